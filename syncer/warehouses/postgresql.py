"""
PostgreSQL 14 and newer over ODBC (psqlodbc, its Unicode driver).

A set goes in as one array a column, written as text by Arrow and taken apart by `unnest`: about 7 µs of CPU a row here
and 9 on the server for 43 columns (measured; a JSON text costs 15 and 11). `COPY` hangs in this driver. A row hash is
`hash_record_extended`. Leases are advisory locks of the session; a commit whose answer is lost is settled by
`txid_status`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncer.clock import Clock
from syncer.errors import WarehouseBusy, WarehouseError
from syncer.leases import Holder
from syncer.odbc import arrays, connecting, faults
from syncer.odbc.connecting import Link
from syncer.odbc.transaction import Transaction
from syncer.odbc.warehouse import Warehouse, lock_key
from syncer.rewriting import Rewritten
from syncer.sql import quoted, state_table, table_name
from syncer.tables import STATE, Column, Table
from syncer.values import DECIMAL_DIGITS, DECIMAL_SCALE, Type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyodbc

    from syncer.settings import Settings

DBMS = ("PostgreSQL",)
DIALECT = "postgres"
OLDEST = 140_000
LONGEST_NAME = 63  # bytes; a longer one is cut, and nothing says so
MOST_COLUMNS = 1_600
TYPE_NAMES = {
    Type.TEXT: "text",
    Type.BIGINT: "bigint",
    Type.DECIMAL: f"numeric({DECIMAL_DIGITS},{DECIMAL_SCALE})",
    Type.DOUBLE: "double precision",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
    Type.TIMESTAMP: "timestamp with time zone",
    Type.JSON: "jsonb",
}
_BY_NAME = {name: kind for kind, name in TYPE_NAMES.items()} | {
    "integer": Type.BIGINT,
    "smallint": Type.BIGINT,
    "numeric": Type.DECIMAL,
    "real": Type.DOUBLE,
    "timestamp without time zone": Type.TIMESTAMP,
    "json": Type.JSON,
}
_ROOMY = frozenset({*TYPE_NAMES.values(), "character varying", "numeric", "timestamp without time zone"})
# What a session needs, by the server's names; one that a server does not know is left out. A host that is gone is
# noticed within 20 + 3 × 10 seconds, and its locks are free then. Just-in-time compiling costs more than it brings.
SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "standard_conforming_strings": "on",
    "client_min_messages": "error",
    "application_name": "syncer",
    "jit": "off",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_DDL = lock_key("syncer: tables are made one after the other")
_DEFAULTS = {
    "BoolsAsChar": "0",
    "Protocol": "7.4-0",  # no savepoint around each statement, and no rollback that we did not ask for
    "KeepaliveTime": "20",
    "KeepaliveInterval": "10",
}
_LEASES = state_table("leases")
_HELD = (
    f"FROM {_LEASES} AS l JOIN pg_locks AS p ON p.locktype = 'advisory' AND p.granted AND p.objsubid = 1 "
    "AND p.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND ((p.classid::bigint << 32) | p.objid::bigint) = l.lock_key"
)


def connect(link: Link, *, settings: Settings, clock: Clock) -> PostgreSQLWarehouse:
    """Make the warehouse behind *link*."""
    return PostgreSQLWarehouse(link, wait_s=settings.wait_s, clock=clock)


class PostgreSQLTransaction(Transaction):
    """An open transaction on a PostgreSQL server."""

    dialect = DIALECT
    types = TYPE_NAMES
    longest_name = LONGEST_NAME

    def stage(self, name: str, rows: pa.Table, types: Mapping[str, Type]) -> None:
        """Make *rows* a temporary table: an array a column, as text."""
        self.drop_temporary(name)
        columns = ", ".join(f"{quoted(column)} {TYPE_NAMES[kind]}" for column, kind in types.items())
        self.execute(f"CREATE TEMPORARY TABLE {quoted(name)} ({columns}) ON COMMIT DROP")
        self._temporary[name] = None
        if not rows.num_rows:
            return
        given = [arrays.written(rows[column], kind) for column, kind in types.items()]
        places = ", ".join(f"?::{TYPE_NAMES[kind]}[]" for kind in types.values())
        self.execute(f"INSERT INTO {quoted(name)} SELECT * FROM unnest({places})", given)

    def derived(self, name: str, query: str) -> str:
        """Write the statement that makes the rows of *query* a temporary table."""
        return f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {query}"

    def given(self, value: Any) -> Any:
        """An array is sent as it is: it was looked through when it was written."""
        return value if isinstance(value, str) and value.startswith("{") else super().given(value)

    def row_hash(self, alias: str, columns: Sequence[str]) -> str:
        """Write a hash of *columns*."""
        listed = ", ".join(f"{alias}.{quoted(column)}" for column in columns)
        return f"CAST(hash_record_extended(ROW({listed}), 0) AS TEXT)"

    def try_cast(self, expression: str, to: Type) -> str:
        """Write a cast to bigint or timestamp that is NULL for what is none."""
        text = f"CAST({expression} AS TEXT)"
        pattern = r"^\s*[-+]?\d{1,18}\s*$" if to is Type.BIGINT else _MOMENT
        return f"CASE WHEN {text} ~ '{pattern}' THEN CAST({text} AS {TYPE_NAMES[to]}) END"

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        return {name: _type_of(kind) for name, kind in self._catalogued(table).items()}

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns of types that hold less than ours, or other things."""
        return {name: kind for name, kind in self._catalogued(table).items() if kind not in _ROOMY}

    def holds(self, table: Table, column: str, to: Type) -> bool:
        """Cast there and back: no value may change."""
        now, name = self._catalogued(table)[column], quoted(column)
        cast = f"CAST(CAST({name} AS {TYPE_NAMES[to]}) AS {now})"
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
        now = _type_of(self._catalogued(table)[column])
        name = f"{table.schema}.{table.name}"
        try:
            self.execute(
                f"ALTER TABLE {table_name(table)} ALTER COLUMN {quoted(column)} TYPE {TYPE_NAMES[to]} "
                f"USING {_as_type(column, now, to)}"
            )
        except connecting.manager().Error as error:
            if not faults.state_of(error).startswith(("0A", "42", "2B")):
                raise
            raise WarehouseError(
                f"Column {column} of {name} must become {TYPE_NAMES[to]}, which the server does not do: "
                f"{faults.shown(error)}.",
                hint="Drop the view, rule, index or policy that uses the column, pull, and make it again.",
            ) from error

    def comments(self, table: Table) -> dict[str, str]:
        """Return the comments that the table's columns have."""
        query = f"SELECT a.attname, col_description(a.attrelid, a.attnum) {_COLUMNS}"
        return {name: text for name, text in self.fetched(query, [table.schema, table.name]) if text is not None}

    def comment(self, table: Table, column: Column) -> None:
        """Give a column its comment."""
        text = "'" + column.comment.replace("'", "''") + "'" if column.comment else "NULL"
        self.execute(f"COMMENT ON COLUMN {table_name(table)}.{quoted(column.name)} IS {text}")

    def _catalogued(self, table: Table) -> dict[str, str]:
        """Return what the catalogue calls the type of each column."""
        query = f"SELECT a.attname, format_type(a.atttypid, a.atttypmod) {_COLUMNS} ORDER BY a.attnum"
        return dict(self.fetched(query, [table.schema, table.name]))

    def _take_turns(self) -> None:
        """Wait for whoever makes tables just now: `IF NOT EXISTS` fails where two look at the same time."""
        self.execute(f"SELECT pg_advisory_xact_lock({_DDL})")


class PostgreSQLWarehouse(Warehouse):
    """A database on a PostgreSQL server."""

    dialect = DIALECT
    transactions = PostgreSQLTransaction
    defaults = _DEFAULTS
    longest_name = LONGEST_NAME
    _pid = 0

    def begin_session(self, connection: pyodbc.Connection) -> None:
        """Set the session up. Raises WarehouseError where the server is too old, or not in UTF-8."""
        cursor = connection.cursor()
        wanted = {**SESSION, "lock_timeout": f"{max(int(self.wait_s * 1000), 1)}"}
        values = ", ".join(f"('{name}', '{value}')" for name, value in wanted.items())
        cursor.execute(
            f"SELECT set_config(s.name, v.value, FALSE) FROM (VALUES {values}) AS v (name, value) "
            "JOIN pg_settings AS s ON s.name = v.name"
        )
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

    def sealed(self, t: Transaction) -> int | None:
        """Return the transaction's number, where it has written. Raises WarehouseError behind a pooler."""
        ((number, pid),) = t.fetched("SELECT txid_current_if_assigned(), pg_backend_pid()")
        if self.is_leased and pid != self._pid:
            raise self._pooled()
        return None if number is None else int(number)

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
                "host text, since timestamp with time zone, run text)"
            )

    def recognise_pooler(self) -> None:
        """Refuse a pooler that lends one session of the server to two connections. Raises WarehouseError."""
        if self.is_leased:
            return
        with self.transaction() as t:
            ((mine,),) = t.fetched("SELECT pg_backend_pid()")
        with contextlib.closing(self.another()) as connection:
            ((theirs,),) = PostgreSQLTransaction(connection.cursor()).fetched("SELECT pg_backend_pid()")
            connection.rollback()
        if mine == theirs or mine != self._pid:
            raise self._pooled()

    def lock(self, t: Transaction, name: str) -> bool:
        """Take an advisory lock of the session."""
        return bool(t.fetched(f"SELECT pg_try_advisory_lock({lock_key(name)})")[0][0])

    def unlock(self, t: Transaction, name: str) -> None:
        """Give it back."""
        t.fetched(f"SELECT pg_advisory_unlock({lock_key(name)})")

    def note_holder(self, t: Transaction, name: str, holder: Holder) -> None:
        """Write down who holds a lease; since when is the server's own time."""
        columns = ("lock_key", "pid", "host", "since", "run")
        t.execute(
            f"INSERT INTO {_LEASES} (name, {', '.join(columns)}) VALUES (?, {lock_key(name)}, ?, ?, now(), ?) "
            f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in columns)}",
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
        """Write the tables that we own anew, so that no dead row is left in them."""
        left = ["The server's write-ahead log, its replicas and its backups keep what they hold until they end."]
        with self.transaction() as t:
            tables = t.fetched(
                "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class AS c JOIN pg_namespace "
                "AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('load', 'syncer') "
                "AND pg_has_role(c.relowner, 'USAGE') ORDER BY 1"
            )
        with contextlib.closing(self.another()) as connection:
            connection.autocommit = True
            for (table,) in tables:
                try:
                    connection.execute(f"SET lock_timeout = '{max(int(self.wait_s * 1000), 1)}'")
                    connection.execute(f"VACUUM (FULL) {table}")
                except connecting.manager().Error as error:
                    left.append(f"{table} was not written anew ({faults.shown(error)}): VACUUM (FULL) it yourself.")
        return Rewritten(left=tuple(left))

    def _pooled(self) -> WarehouseError:
        return WarehouseError(
            f"{self.name} is a pooler that shares the server's sessions between connections: no lease would hold.",
            hint="Name the server itself, or a database of the pooler with pool_mode = session.",
        )

    def _blocked(self) -> WarehouseBusy:
        """Say who holds a table that we waited for."""
        with self.transaction() as t:
            found = t.fetched(
                "SELECT DISTINCT a.pid, a.usename, a.application_name, a.state, p.relation::regclass::text "
                "FROM pg_locks AS p JOIN pg_stat_activity AS a ON a.pid = p.pid "
                "JOIN pg_class AS c ON c.oid = p.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                "WHERE n.nspname IN ('load', 'syncer') AND p.granted AND a.pid <> pg_backend_pid() "
                "AND c.relkind = 'r' ORDER BY 1 LIMIT 1"
            )
        if not found:
            return self.busy("another session held a table that this one needs")
        pid, user, program, state, table = found[0]
        return self.busy(f"{table} is held by session {pid} of {user} ({program or 'no program named'}, {state})")


_COLUMNS = (
    "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = ? AND c.relname = ? AND a.attnum > 0 AND NOT a.attisdropped"
)
_MOMENT = (
    r"^\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])"
    r"([ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[-+]\d\d(:?\d\d)?)?)?$"
)
_LENGTH = re.compile(r"\(.*\)")


def _type_of(name: str) -> Type:
    return _BY_NAME.get(name) or _BY_NAME.get(_LENGTH.sub("", name), Type.TEXT)


def _as_type(column: str, now: Type, to: Type) -> str:
    """Write the cast of a column of type *now*; a text reads as an API writes the value."""
    name = quoted(column)
    if to is not Type.TEXT:
        return f"CAST({name} AS {TYPE_NAMES[to]})"
    if now is Type.DECIMAL:
        return f"CAST(trim_scale({name}) AS TEXT)"
    if now is Type.TIMESTAMP:
        moment = f"(CAST({name} AS {TYPE_NAMES[now]}) AT TIME ZONE 'UTC')"
        micro = f"(EXTRACT(MICROSECONDS FROM {moment})::bigint % 1000000)"
        decimals = (
            f"CASE WHEN {micro} = 0 THEN 'Z' WHEN {micro} % 1000 = 0 THEN to_char({moment}, '.MS\"Z\"') "
            f"ELSE to_char({moment}, '.US\"Z\"') END"
        )
        return f"to_char({moment}, 'YYYY-MM-DD\"T\"HH24:MI:SS') || {decimals}"
    if now is Type.JSON:  # a JSON text that is one string is that string
        return f"CASE WHEN jsonb_typeof({name}::jsonb) = 'string' THEN {name} #>> '{{}}' ELSE CAST({name} AS TEXT) END"
    return f"CAST({name} AS TEXT)"


def _no_right(what: str, remedy: str) -> WarehouseError:
    return WarehouseError(f"This login may not {what}.", hint=f"Have an administrator run: {remedy}.")
