"""
PostgreSQL 14 and newer over ODBC (psqlodbc, its Unicode driver).

A set goes in as one text a column, written by Arrow and taken apart by `unnest`: about 4 µs of CPU a row here and 6 on
the server for 43 columns (measured; a JSON text of all rows costs 15 and 11). `COPY` hangs in this driver. A row hash
is `hash_record_extended`. Leases are advisory locks of the session; a commit whose answer is lost is settled by
`txid_status`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer.clock import Clock
from syncer.errors import WarehouseBusy, WarehouseError
from syncer.leases import Holder
from syncer.odbc import arrays, connecting, faults
from syncer.odbc import postgrestypes as pg
from syncer.odbc.connecting import Link
from syncer.odbc.transaction import Transaction
from syncer.odbc.warehouse import WROTE_NOTHING, Warehouse, lock_key
from syncer.rewriting import Rewritten
from syncer.sql import quoted, state_table, table_name
from syncer.tables import STATE, Column, Table
from syncer.values import Type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyodbc

    from syncer.settings import Settings

DBMS = ("PostgreSQL",)
DIALECT = "postgres"
OLDEST = 140_000
LONGEST_NAME = 63  # bytes; a longer one is cut, and nothing says so
MOST_COLUMNS = 1_600
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
_DDL = lock_key("syncer: tables are made one after the other")
_DEFAULTS = {
    "BoolsAsChar": "0",
    "Protocol": "7.4-0",  # no savepoint around each statement, and no rollback that we did not ask for
    "KeepaliveTime": "20",
    "KeepaliveInterval": "10",
}
LIBPQ = {"keepalives_count": "3", "tcp_user_timeout": "60000"}  # a server that is gone is noticed within a minute
_LEASES = state_table("leases")
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
    link = attrs.evolve(link, string=link.string.having("pqopt", more))
    return PostgreSQLWarehouse(link, wait_s=settings.wait_s, clock=clock)


class PostgreSQLTransaction(Transaction):
    """An open transaction on a PostgreSQL server."""

    dialect = DIALECT
    types = pg.TYPE_NAMES
    longest_name = LONGEST_NAME

    def __init__(self, cursor: pyodbc.Cursor) -> None:
        super().__init__(cursor)
        self._known: dict[tuple[str, str], dict[str, str]] = {}

    def stage(self, name: str, rows: pa.Table, types: Mapping[str, Type]) -> None:
        """Make *rows* a temporary table: an array a column, as text."""
        self.drop_temporary(name)
        columns = ", ".join(f"{quoted(column)} {pg.TYPE_NAMES[kind]}" for column, kind in types.items())
        self.execute(f"CREATE TEMPORARY TABLE {quoted(name)} ({columns}) ON COMMIT DROP")
        self._temporary[name] = None
        if not rows.num_rows:
            return
        sets = [arrays.as_set(rows[column], kind, pg.TYPE_NAMES[kind]) for column, kind in types.items()]
        expressions = ", ".join(expression for expression, _ in sets)
        self._cursor.execute(f"INSERT INTO {quoted(name)} SELECT {expressions}", [text for _, text in sets])

    @contextlib.contextmanager
    def by_key(self, *tables: Table) -> Iterator[None]:
        """
        Have rows found by the index, where each of *tables* has one on its key.

        Left alone, the planner hashes the whole table once a group: 11 µs a row of 50,000 against 2.5, and more with
        each row that the table has.
        """
        is_wanted = all(self._has_index(table) for table in tables)
        if is_wanted:
            self._join_by(hashes="off")
        yield
        if is_wanted:
            self._join_by(hashes="on")

    def finish(self) -> None:
        """A commit drops the temporary tables."""

    def keep(self, name: str, key: Column) -> bool:
        """Make an empty temporary table that outlives commits."""
        self.execute(f"DROP TABLE IF EXISTS pg_temp.{quoted(name)}")
        column = f"{quoted(key.name)} {pg.TYPE_NAMES[key.type]} PRIMARY KEY"
        self.execute(f"CREATE TEMPORARY TABLE {quoted(name)} ({column}) ON COMMIT PRESERVE ROWS")
        return True

    def derived(self, name: str, query: str) -> str:
        """Write the statement that makes the rows of *query* a temporary table."""
        return f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {query}"

    def row_hash(self, alias: str, columns: Sequence[str]) -> str:
        """Write a hash of *columns*."""
        listed = ", ".join(f"{alias}.{quoted(column)}" for column in columns)
        return f"CAST(hash_record_extended(ROW({listed}), 0) AS TEXT)"

    def try_cast(self, expression: str, to: Type) -> str:
        """Write a cast to bigint or timestamp that is NULL for what is none."""
        text = f"CAST({expression} AS TEXT)"
        if to is Type.BIGINT:  # also of a column that has got decimals
            number = f"CAST({text} AS numeric)"
            pattern = r"^\s*[-+]?\d{1,19}(\.\d+)?\s*$"
            cast = f"CASE WHEN {number} BETWEEN -9223372036854775808 AND 9223372036854775807 THEN {number}::bigint END"
        else:
            pattern, cast = pg.MOMENT, f"CAST({text} AS {pg.TYPE_NAMES[to]})"
        return f"CASE WHEN {text} ~ '{pattern}' THEN {cast} END"

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        return {name: pg.type_of(kind) for name, kind in self.catalogued(table).items()}

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns of types that hold less than ours, or other things."""
        return {name: kind for name, kind in self.catalogued(table).items() if kind not in pg.ROOMY}

    def holds(self, table: Table, column: str, to: Type) -> bool:
        """Cast there and back: no value may change."""
        now, name = self.catalogued(table)[column], quoted(column)
        cast = f"CAST(CAST({name} AS {pg.TYPE_NAMES[to]}) AS {now})"
        query = (
            f"SELECT COUNT(*) FROM {table_name(table)} "
            f"WHERE {name} IS NOT NULL AND CAST({cast} AS TEXT) IS DISTINCT FROM CAST({name} AS TEXT)"
        )
        self.execute("SAVEPOINT holds")
        try:
            is_held = self.fetched(query) == [(0,)]
        except connecting.manager().Error as error:
            if not faults.state_of(error).startswith(("22", "42")):
                raise
            is_held = False
        self.execute("ROLLBACK TO SAVEPOINT holds")
        self.execute("RELEASE SAVEPOINT holds")
        return is_held

    def create_schema(self, schema: str) -> None:
        """Make a schema where it is missing. Raises WarehouseError where we may not."""
        self._take_turns()
        if self.fetched("SELECT 1 FROM pg_namespace WHERE nspname = ?", [schema]):
            return
        try:
            self.execute(f"CREATE SCHEMA {quoted(schema)}")
        except connecting.manager().Error as error:
            if faults.state_of(error) != "42501":
                raise
            raise _no_right(f"make the schema {schema}", f"CREATE SCHEMA {schema} AUTHORIZATION …") from error

    def create_table(self, table: Table, columns: str) -> None:
        """Make a table where it is missing. Raises WarehouseError where we may not, or it has too many columns."""
        if len(table.columns) > MOST_COLUMNS:
            raise WarehouseError(
                f"{table.schema}.{table.name} would have {len(table.columns):,} columns; PostgreSQL allows "
                f"{MOST_COLUMNS:,}.",
                hint="Leave out properties that nobody needs.",
            )
        try:
            super().create_table(table, columns)
        except connecting.manager().Error as error:
            if faults.state_of(error) != "42501":
                raise
            raise _no_right(
                f"make tables in the schema {table.schema}", f"GRANT USAGE, CREATE ON SCHEMA {table.schema} TO …"
            ) from error

    def widen(self, table: Table, column: str, to: Type) -> None:
        """Give a column a type that holds every value it has. Raises WarehouseError where a view depends on it."""
        now = pg.type_of(self.catalogued(table)[column])
        name = f"{table.schema}.{table.name}"
        try:
            self.execute(
                f"ALTER TABLE {table_name(table)} ALTER COLUMN {quoted(column)} TYPE {pg.TYPE_NAMES[to]} "
                f"USING {pg.as_type(column, now, to)}"
            )
        except connecting.manager().Error as error:
            if not faults.state_of(error).startswith(("0A", "42", "2B")):
                raise
            raise WarehouseError(
                f"Column {column} of {name} must become {pg.TYPE_NAMES[to]}, which the server does not do: "
                f"{faults.shown(error)}.",
                hint="Drop the view, rule, index or policy that uses the column, pull, and make it again.",
            ) from error

    def comments(self, table: Table) -> dict[str, str]:
        """Return the comments that the table's columns have."""
        query = f"SELECT a.attname, col_description(a.attrelid, a.attnum) {pg.COLUMNS}"
        return {name: text for name, text in self.fetched(query, [table.schema, table.name]) if text is not None}

    def comment(self, table: Table, column: Column) -> None:
        """Give a column its comment."""
        text = "'" + column.comment.replace("'", "''") + "'" if column.comment else "NULL"
        self.execute(f"COMMENT ON COLUMN {table_name(table)}.{quoted(column.name)} IS {text}")

    def catalogued(self, table: Table) -> dict[str, str]:
        """Return what the catalogue calls the type of each column; it is asked once, and after each change."""
        name = (table.schema, table.name)
        if name not in self._known:
            query = f"SELECT a.attname, format_type(a.atttypid, a.atttypmod) {pg.COLUMNS} ORDER BY a.attnum"
            self._known[name] = dict(self.fetched(query, list(name)))
        return self._known[name]

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """Execute a statement; one that may change a table's columns makes what is known of them old."""
        if text.startswith(("ALTER", "CREATE TABLE", "DROP")):
            self._known.clear()
        super().execute(text, parameters)

    def _join_by(self, *, hashes: str) -> None:
        """Switch joins that read a whole table off or on, until the transaction ends."""
        self.fetched(
            f"SELECT set_config('enable_hashjoin', '{hashes}', TRUE), set_config('enable_mergejoin', '{hashes}', TRUE)"
        )

    def _has_index(self, table: Table) -> bool:
        """Tell whether a table has an index on its key; a site may have dropped it."""
        key = ", ".join(f"'{column.replace(chr(39), chr(39) * 2)}'" for column in sorted(table.key))
        query = pg.INDEXES.format(count=len(table.key), key=key)
        return bool(table.key) and bool(self.fetched(query, [table.schema, table.name]))

    def _take_turns(self) -> None:
        """Wait for whoever makes tables just now: `IF NOT EXISTS` fails where two look at the same time."""
        self.execute(f"SELECT pg_advisory_xact_lock({_DDL})")


class PostgreSQLWarehouse(Warehouse):
    """A database on a PostgreSQL server."""

    dialect = DIALECT
    transactions = PostgreSQLTransaction
    defaults = _DEFAULTS
    longest_name = LONGEST_NAME
    _pid = 0  # of the server's process that serves our connection
    _known_pid = 0  # for which no pooler was found

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
        """Return the transaction's number, where it has written. Raises WarehouseError behind a pooler."""
        ((number, pid),) = t.fetched("SELECT txid_current_if_assigned(), pg_backend_pid()")
        if self.is_leased and pid != self._pid:
            raise self._pooled()
        return WROTE_NOTHING if number is None else int(number)

    def outcome(self, t: Transaction, token: Any) -> bool | None:
        """Ask for a transaction's status; one that the server does not know was not kept here."""
        try:
            found = t.fetched(f"SELECT txid_status({int(token)})")[0][0]
        except connecting.manager().Error as error:  # a number from the future: another server, after a fail-over
            if faults.is_lost(error):
                raise
            return False
        return {"committed": True, "aborted": False}.get(found)

    def has_state(self, t: Transaction) -> bool:
        """Look for the schema."""
        return bool(t.fetched("SELECT 1 FROM pg_namespace WHERE nspname = ?", [STATE]))

    def refused(self, error: BaseException) -> WarehouseError:
        """Tell what the server refused."""
        state = faults.state_of(error)
        if state == "55P03":
            return self._blocked()
        if state == "57014":
            return WarehouseError(
                f"{self.name}: the server ended a statement: {faults.shown(error)}.",
                hint="Set statement_timeout higher for this role: ALTER ROLE … SET statement_timeout = 0.",
            )
        if state == "42501":
            return WarehouseError(
                f"{self.name}: a right is missing: {faults.shown(error)}.",
                hint="Give the role USAGE and CREATE on the schemas load and syncer, and make it own their tables.",
            )
        if state == "23502":
            return WarehouseError(
                f"{self.name}: {faults.shown(error)}.",
                hint="Is it a column of your own? Then give it a DEFAULT, or let it be NULL.",
            )
        if state.startswith("P0"):
            return WarehouseError(
                f"{self.name}: {faults.shown(error)}.",
                hint="Drop the trigger on that table, or have it let our rows by.",
            )
        if state == "25006":
            return WarehouseError(
                f"{self.name}: the server, the database or this role may only be read.",
                hint="Name the server that takes writes, not a standby; or: ALTER ROLE … SET "
                "default_transaction_read_only = off.",
            )
        if state in ("53100", "58030"):
            return WarehouseError(
                f"{self.name}: the server's disk is full.",
                hint="Make room and run again; nothing of this group was kept.",
            )
        if state == "54000" and "row is too big" in faults.text_of(error):
            return WarehouseError(
                f"{self.name}: a row is larger than a page of PostgreSQL (8 kB, with long texts beside it).",
                hint="Leave out properties that nobody needs: a row holds about 450 texts beside numbers and dates.",
            )
        return super().refused(error)

    def prepare_leases(self, t: Transaction) -> None:
        """Make the table of who holds what."""
        if t.fetched("SELECT to_regclass(?)", [_LEASES])[0][0] is None:
            t.create_schema(STATE)
            t.execute(
                f"CREATE TABLE IF NOT EXISTS {_LEASES} (name text PRIMARY KEY, lock_key bigint, pid bigint, "
                "host text, since timestamp with time zone, run text, session bigint)"
            )

    def recognise_pooler(self) -> None:
        """Refuse a pooler that lends one session of the server to two connections. Raises WarehouseError."""
        if self._known_pid == self._pid:  # once a connection
            return
        with self.transaction() as t:
            ((mine,),) = t.fetched("SELECT pg_backend_pid()")
        try:
            with contextlib.closing(self.another()) as connection:
                ((theirs,),) = PostgreSQLTransaction(connection.cursor()).fetched("SELECT pg_backend_pid()")
                connection.rollback()
        except WarehouseError:  # the server is full: each commit looks whether the session is still ours
            theirs = 0
        if mine == theirs or mine != self._pid:
            raise self._pooled()
        self._known_pid = self._pid

    def lock(self, t: Transaction, name: str) -> bool:
        """Take an advisory lock of the session. Raises WarehouseError where it has that already: it is shared."""
        if t.fetched(f"SELECT 1 FROM pg_locks AS p WHERE p.pid = pg_backend_pid() AND {_IS_LOCK} = {lock_key(name)}"):
            raise self._pooled()
        return bool(t.fetched(f"SELECT pg_try_advisory_lock({lock_key(name)})")[0][0])

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
        with contextlib.closing(self.another()) as connection:
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
        return self.busy(f"{table} is held by session {pid} of {user} ({program or 'no program named'}, {state})")


def _no_right(what: str, remedy: str) -> WarehouseError:
    return WarehouseError(f"This login may not {what}.", hint=f"Have an administrator run: {remedy}.")
