"""
PostgreSQL 14 and newer over ODBC (psqlodbc, its Unicode driver).

A set goes in as one text a column, written by Arrow and taken apart by `unnest`: about 4 µs of CPU a row here and 6 on
the server for 43 columns (measured; a JSON text of all rows costs 15 and 11). `COPY` hangs in this driver. A row hash
is `hash_record_extended`. Leases are advisory locks of the session; a commit whose answer is lost is settled by
the transaction's status, and under a lease by a row that it wrote itself: a crash gives numbers out again.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from syncer.clock import Clock
from syncer.errors import WarehouseBusy, WarehouseError
from syncer.leases import Holder
from syncer.odbc import connecting, faults
from syncer.odbc import postgrestypes as pg
from syncer.odbc.connecting import Link
from syncer.odbc.postgrestransaction import DIALECT, LONGEST_NAME, PostgreSQLTransaction
from syncer.odbc.transaction import Transaction, lock_key
from syncer.odbc.warehouse import WROTE_NOTHING, Warehouse
from syncer.rewriting import Rewritten
from syncer.sql import state_table
from syncer.tables import STATE, Table

if TYPE_CHECKING:
    import pyodbc

    from syncer.settings import Settings

DBMS = ("PostgreSQL",)
OLDEST = 140_000
FREED_S, POLL_S = 5.0, 0.01  # how long the locks of a closed connection may be seen
# What a session needs, by the server's names; one that a server does not know is left out. A host that is gone is
# noticed within a minute (measured: 60 s, with 60,000 ms below), and its locks are free then. Just-in-time compiling
# costs more than it brings.
SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "standard_conforming_strings": "on",
    "client_min_messages": "error",
    "application_name": "syncer",
    "jit": "off",
    "default_transaction_isolation": "read committed",
    "extra_float_digits": "1",  # a double as a text is exact
    "array_nulls": "on",  # else NULL in an array is a text
    "quote_all_identifiers": "off",
    "row_security": "off",  # what a policy would hide is an error then, and not a row that is not there
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
# What was answered must survive a crash of the server: other settings than off are stronger, and stay. Where a role's
# path names pg_temp at all, a table of its own would go before a set that we pass.
_AS_WELL = (
    "SELECT set_config('synchronous_commit', 'on', FALSE) WHERE current_setting('synchronous_commit') = 'off' "
    "UNION ALL SELECT set_config('search_path', 'pg_temp, ' || current_setting('search_path'), FALSE) "
    "WHERE current_setting('search_path') LIKE '%pg_temp%'"
)
_DEFAULTS = {
    "Protocol": "7.4-0",  # no savepoint around each statement, and no rollback that we did not ask for
    "KeepaliveTime": "20",
    "KeepaliveInterval": "10",
}
LIBPQ = {"keepalives_count": "3", "tcp_user_timeout": "60000"}  # a server that is gone is noticed within a minute
_LEASES, _COMMITS = state_table("leases"), state_table("commits")
_HERE = "p.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
_IS_LOCK = (
    f"p.locktype = 'advisory' AND p.granted AND p.objsubid = 1 AND {_HERE} "
    "AND ((p.classid::bigint << 32) | p.objid::bigint)"
)
_HELD = f"FROM {_LEASES} AS l JOIN pg_locks AS p ON {_IS_LOCK} = l.lock_key AND p.pid = l.session"


def connect(link: Link, *, settings: Settings, clock: Clock) -> PostgreSQLWarehouse:
    """Make the warehouse behind *link*; a site's own options of libpq go before ours."""
    own = link.string.get("pqopt")
    more = " ".join([own, *(f"{name}={value}" for name, value in LIBPQ.items() if name not in own)]).strip()
    string = link.string.having("pqopt", more)
    for key in ("BoolsAsChar", "LFConversion"):  # a false that is "0" would be true; a line feed is no CR and LF
        string = string.having(key, "0")
    link = attrs.evolve(link, string=string)
    return PostgreSQLWarehouse(link, wait_s=settings.wait_s, clock=clock)


class PostgreSQLWarehouse(Warehouse):
    """A database on a PostgreSQL server."""

    dialect = DIALECT
    transactions = PostgreSQLTransaction
    defaults = _DEFAULTS
    longest_name = LONGEST_NAME
    tells_losses = True
    _pid = 0  # of the server's process that serves our connection
    _known_pid = 0  # for which no pooler was found
    _commits = 0  # how many were sealed with a row

    def __init__(self, link: Link, *, wait_s: float, clock: Clock) -> None:
        super().__init__(link, wait_s=wait_s, clock=clock)
        self._writer = uuid.uuid4().hex

    def begin_session(self, connection: pyodbc.Connection) -> None:
        """Set the session up. Raises WarehouseError where the server is too old, or not in UTF-8."""
        cursor = connection.cursor()
        wanted = {**SESSION, "lock_timeout": f"{max(int(self.wait_s * 1000), 1)}"}
        values = ", ".join(f"('{name}', '{value}')" for name, value in wanted.items())
        try:
            cursor.execute(
                f"SELECT set_config(s.name, v.value, FALSE) FROM (VALUES {values}) AS v (name, value) "
                "JOIN pg_settings AS s ON s.name = v.name"
            )
        except connecting.manager().Error as error:
            raise self._pooled() if "pooling mode" in faults.text_of(error) else error from None
        cursor.execute(_AS_WELL)
        version, encoding, pid, database, said = cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_backend_pid(), "
            "current_database(), version()"
        ).fetchone()
        self._pid = int(pid)
        if int(version) < OLDEST or not str(said).startswith("PostgreSQL "):
            raise WarehouseError(f"{self.name} is {str(said)[:60]}; PostgreSQL {OLDEST // 10_000} or newer is needed.")
        if encoding != "UTF8":
            raise WarehouseError(
                f"The database {database} holds {encoding}, which has not every letter.",
                hint="Make a database with ENCODING 'UTF8', and name it with Database=….",
            )

    def sealed(self, t: Transaction) -> object:
        """
        Return the transaction's number, where it has written, and the row that goes with it: a number alone is given
        twice where a crash or a fail-over loses what was not on disk. Raises WarehouseError behind a pooler.
        """
        ((number, pid, keeps),) = t.fetched(f"SELECT txid_current_if_assigned(), pg_backend_pid(), {pg.KEEPS_COMMITS}")
        if self.is_leased and pid != self._pid:
            raise self._pooled()
        if number is None:
            return WROTE_NOTHING
        if not keeps:
            return int(number), 0
        self._commits += 1
        t.execute(
            f"INSERT INTO {_COMMITS} (writer, number, at) VALUES (?, ?, now()) "
            "ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at",
            [self._writer, self._commits],
        )
        return int(number), self._commits

    def outcome(self, t: Transaction, token: Any) -> bool | None:
        """
        Ask for a transaction's status, and for its row. None where neither tells: on a standby, which may be behind;
        and where no row of ours is there, since the number may have been given a second time.
        """
        number, commit = token
        if t.fetched("SELECT pg_is_in_recovery()::int")[0][0]:
            return None
        try:
            found = t.fetched(f"SELECT txid_status({int(number)})")[0][0]
        except connecting.manager().Error as error:  # a number from the future: another server, after a fail-over
            if faults.is_lost(error):
                raise
            return False
        if found == "in progress":
            return None
        if found == "aborted":
            return False
        rows = t.fetched(f"SELECT number FROM {_COMMITS} WHERE writer = ?", [self._writer]) if commit else []
        return rows == [(commit,)] if rows else None

    def has_state(self, t: Transaction) -> bool:
        """Look for the schema."""
        return bool(t.fetched("SELECT 1 FROM pg_namespace WHERE nspname = ?", [STATE]))

    def refused(self, error: BaseException) -> WarehouseError:
        """Tell what the server refused."""
        state, text = faults.state_of(error), faults.text_of(error)
        if state == "55P03":
            return self._blocked()
        for beginning, words, said, hint in pg.REFUSALS:
            if state.startswith(beginning) and words in text:
                return WarehouseError(f"{self.name}: {said.format(shown=faults.shown(error))}.", hint=hint)
        return super().refused(error)

    def prepare_leases(self, t: Transaction) -> None:
        """Make the table of who holds what."""
        if self._known_pid == self._pid:  # once a connection
            return
        for name, columns in pg.KEPT.items():
            table = Table(schema=STATE, name=name, columns=())
            if t.fetched("SELECT to_regclass(?)", [state_table(name)])[0][0] is None:
                t.create_schema(STATE)
                key, *more = (f"{column} {kind}" for column, kind in columns.items())
                listed = ", ".join([f"{key} PRIMARY KEY", *more])
                t.execute(f"CREATE TABLE IF NOT EXISTS {state_table(name)} ({listed})")
            elif not columns.items() <= t.catalogued(table).items():
                raise WarehouseError(
                    f"{self.name}: the name {STATE}.{name} is taken by a table or view that is not syncer's.",
                    hint=f"Give it another name or schema: ALTER TABLE {STATE}.{name} RENAME TO ….",
                )
        t.execute(f"DELETE FROM {_COMMITS} WHERE at < now() - interval '7 days'")  # of writers that are gone

    def recognise_pooler(self) -> None:
        """Refuse a pooler that lends one session of the server to two connections. Raises WarehouseError."""
        if self._known_pid == self._pid:  # once a connection
            return
        with self.transaction() as t:
            ((mine,),) = t.fetched("SELECT pg_backend_pid()")
        session = self._pid  # another one from here on would be another connection: ours may be lost meanwhile
        try:
            with contextlib.closing(self.another()) as connection:
                probe = uuid.uuid4().int >> 65
                asked = PostgreSQLTransaction(connection.cursor())
                ((theirs, _),) = asked.fetched(f"SELECT pg_backend_pid(), pg_try_advisory_lock({probe})")
                connection.rollback()
            is_kept = theirs != mine and self._outlives(probe, int(theirs))
        except (WarehouseError, connecting.manager().Error):  # full, or lost: each commit looks at its session anyway
            theirs, is_kept = 0, False
        if is_kept:
            raise WarehouseError(
                f"{self.name} is a pooler that hands sessions on with their locks: no lease would ever be free.",
                hint="Set server_reset_query = DISCARD ALL in the pooler, or name the server itself.",
            )
        if mine == theirs or mine != session:
            raise self._pooled()
        self._known_pid = session

    def _outlives(self, key: int, pid: int) -> bool:
        """Tell whether a lock is still held though its connection was closed."""
        began = self.clock.monotonic()
        while True:
            with self.transaction() as t:
                if not t.fetched(f"SELECT 1 FROM pg_locks AS p WHERE p.pid = {pid} AND {_IS_LOCK} = {key}"):
                    return False
            if self.clock.monotonic() - began >= FREED_S:
                return True
            self.clock.sleep(POLL_S)

    def lock(self, t: Transaction, name: str) -> bool:
        """Take an advisory lock of the session. Raises WarehouseError where it has that already: it is shared."""
        if t.fetched(f"SELECT 1 FROM pg_locks AS p WHERE p.pid = pg_backend_pid() AND {_IS_LOCK} = {lock_key(name)}"):
            raise self._pooled()
        return bool(t.fetched(f"SELECT pg_try_advisory_lock({lock_key(name)})::int")[0][0])

    def unlock(self, t: Transaction, name: str) -> None:
        """Give it back."""
        t.fetched(f"SELECT pg_advisory_unlock({lock_key(name)})")

    def note_holder(self, t: Transaction, name: str, holder: Holder) -> None:
        """Write down who holds a lease; since when is the server's own time."""
        columns = ("lock_key", "pid", "host", "since", "run", "session")
        t.execute(
            f"INSERT INTO {_LEASES} (name, {', '.join(columns)}) "
            f"VALUES (?, {lock_key(name)}, ?, ?, now(), ?, pg_backend_pid()) ON CONFLICT (name) DO UPDATE "
            f"SET {', '.join(f'{column} = excluded.{column}' for column in columns)}",
            [name, holder.pid, holder.host, holder.run],
        )

    def holders(self, t: Transaction) -> dict[str, Holder]:
        """Return who holds which lease: the names whose lock is taken now."""
        if t.fetched("SELECT to_regclass(?)", [_LEASES])[0][0] is None:
            return {}
        since = "to_char(l.since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
        found = t.fetched(f"SELECT DISTINCT l.name, l.pid, l.host, {since}, l.run {_HELD}")
        return {name: Holder(pid=int(pid), host=host, since=at, run=run) for name, pid, host, at, run in found}

    def rewrite(self) -> Rewritten:
        """Write the tables that we own anew: no dead row is left in them but those that somebody still sees."""
        left = [
            "The server's write-ahead log, its replicas, its backups and the freed blocks of its disks keep what they "
            "hold until it is overwritten."
        ]
        with self.transaction() as t:
            tables = t.fetched(pg.OURS)
            watching = {number for number, _ in t.fetched(pg.WATCHING)}
        with self._beside() as connection:
            connection.autocommit = True
            connection.execute(f"SET lock_timeout = '{max(int(self.wait_s * 1000), 1)}'")
            for table, is_ours in tables:
                seen = {
                    each: None for number, each in connection.execute(pg.WATCHING).fetchall() if number in watching
                }
                left += [
                    f"{each} may still see old rows of {table}, which were kept: end it, and run this again."
                    for each in seen
                ]
                try:
                    if is_ours:
                        connection.execute(f"VACUUM (FULL, ANALYZE) {table}")  # statistics hold values
                    else:
                        left.append(f"{table} belongs to another role: VACUUM (FULL) it yourself.")
                except connecting.manager().Error as error:
                    left.append(f"{table} was not written anew ({faults.shown(error)}): VACUUM (FULL) it yourself.")
            left += self._rewritten_statistics(connection)
        return Rewritten(left=tuple(left))

    @contextlib.contextmanager
    def _beside(self) -> Iterator[pyodbc.Connection]:
        """A connection beside ours; its errors are told as ours are, and ours stays as it is."""
        with contextlib.closing(self.another()) as connection:
            try:
                yield connection
            except connecting.manager().Error as error:
                raise WarehouseError(
                    f"{self.name}: the tables were not all written anew ({faults.shown(error)}).",
                    hint="What was to be erased is erased; run it again to write the tables anew.",
                ) from error

    def _rewritten_statistics(self, connection: pyodbc.Connection) -> list[str]:
        """Write the table of statistics anew, which held values; only the owner of the database may."""
        why = "that is for the owner of the database"
        ((may,),) = connection.execute(pg.OWNS_DATABASE).fetchall()
        try:
            if may:
                connection.execute("VACUUM (FULL) pg_catalog.pg_statistic")
                return []
        except connecting.manager().Error as error:
            why = faults.shown(error)
        return [f"Old statistics of the tables were not written anew ({why}): VACUUM (FULL) pg_catalog.pg_statistic."]

    def _pooled(self) -> WarehouseError:
        return WarehouseError(
            f"{self.name} is a pooler that shares the server's sessions between connections: no lease would hold.",
            hint="Name the server itself, or a database of the pooler with pool_mode = session.",
        )

    def _blocked(self) -> WarehouseBusy:
        """Say who holds a table that we waited for."""
        with self.transaction() as t:
            found = t.fetched(
                "SELECT a.pid, a.usename, a.application_name, a.state, p.relation::regclass::text "
                "FROM pg_locks AS p JOIN pg_stat_activity AS a ON a.pid = p.pid "
                "JOIN pg_class AS c ON c.oid = p.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                f"WHERE n.nspname IN ('load', 'syncer') AND p.granted AND a.pid <> pg_backend_pid() AND {_HERE} "
                f"AND c.relkind = 'r' ORDER BY array_position(ARRAY[{pg.STRONGEST}], p.mode), a.xact_start LIMIT 1"
            )
        if not found:
            return self.busy("another session held a table that this one needs")
        pid, user, program, state, table = found[0]
        return self.busy(
            f"{table} is held by session {pid} of {user} ({program or 'no program named'}, {state or 'state hidden'})"
        )
