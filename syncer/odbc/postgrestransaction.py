"""A transaction on PostgreSQL: how a set goes in, how rows are found, and what the catalogue tells."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncer import queried, sql
from syncer.errors import WarehouseError
from syncer.odbc import arrays, connecting, faults
from syncer.odbc import postgrestypes as pg
from syncer.odbc.transaction import Transaction, lock_key
from syncer.sql import Statement, bare, literal, quoted, table_name
from syncer.tables import Column, Table
from syncer.values import Type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyodbc

DIALECT = "postgres"
LONGEST_NAME = 63  # bytes; a longer one is cut, and nothing says so
MOST_COLUMNS = 1_600
A_ROW = 256  # bytes that a join needs for a row of a snapshot, and what it grows by (93 MB for a million: measured)
MOST_ROOM_KB = 256 * 1024
DDL = lock_key("syncer: tables are made one after the other")


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

    def query_columns(self, query: Statement) -> dict[str, Type]:
        """
        Return the columns that *query* would give, by the types that the driver makes of them. Raises UsageError: two
        have one name.

        Of what the driver calls a whole number the server is asked: what only looks like one (`oid`) is text to us.
        """
        text = bare(query.text)
        self.execute(f"SELECT * FROM ({text}) AS asked WHERE 1 = 0")
        found = {name: self.kind_of(told) for name, told in queried.named(self._cursor.description, folds=False)}
        whole = [name for name, kind in found.items() if kind is Type.BIGINT]
        if whole:
            listed = ", ".join(f"CAST(pg_typeof(asked.{quoted(name)}) AS TEXT)" for name in whole)
            [called] = self.fetched(f"SELECT {listed} FROM (SELECT 1) AS one LEFT JOIN ({text}) AS asked ON FALSE")
            found |= {name: Type.TEXT for name, each in zip(whole, called, strict=True) if each in pg.NO_NUMBERS}
        return found

    def row_hash(self, alias: str, columns: Collection[str]) -> str:
        """
        Write a hash of *columns* as texts: the server's own hash of a number has no sign, and of bigint 32 bits.

        Where their types are told, by the bytes that numbers, days and moments are sent as, which no setting of a
        session changes; the types go first, so that values of different ones never share a hash.
        """
        if not isinstance(columns, Mapping):
            listed = [pg.AS_TEXT.format(f"{alias}.{quoted(column)}") for column in columns]
        else:
            told = " ".join(kind.value for kind in columns.values())
            number = int.from_bytes(hashlib.blake2b(told.encode(), digest_size=4).digest(), "big", signed=True)
            listed = [f"({number})"]
            listed += [pg.HASHED.get(kind, pg.AS_TEXT).format(f"{alias}.{quoted(c)}") for c, kind in columns.items()]
        return f"CAST(hash_record_extended(ROW({', '.join(listed)}), 0) AS TEXT)"

    def make_room(self, rows: int) -> None:
        """Raise `work_mem` where it is too small for a hash of so many rows, until the transaction ends."""
        wanted = min(rows * A_ROW // 1024, MOST_ROOM_KB)
        self.fetched(
            f"SELECT set_config('work_mem', '{wanted}kB', TRUE) FROM pg_settings "
            f"WHERE name = 'work_mem' AND setting::bigint < {wanted}"
        )

    def try_cast(self, expression: str, to: Type) -> str:
        """Write a cast to bigint, decimal or timestamp that is NULL for what is none."""
        text = f"CAST({expression} AS TEXT)"
        if to is Type.BIGINT:  # also of a column that has got decimals
            number = f"CAST({text} AS numeric)"
            pattern = r"^\s*[-+]?\d{1,19}(\.\d+)?\s*$"
            cast = f"CASE WHEN {number} BETWEEN -9223372036854775808 AND 9223372036854775807 THEN {number}::bigint END"
        elif to is Type.DECIMAL:
            pattern, cast = r"^\s*[-+]?\d{1,29}(\.\d+)?\s*$", f"CAST({text} AS {pg.TYPE_NAMES[to]})"
        else:
            last = f"CAST(CAST(SUBSTR({text}, 1, 7) || '-01' AS date) + interval '1 month' AS date) - 1"
            is_day = f"CAST(SUBSTR({text}, 9, 2) AS integer) <= EXTRACT(DAY FROM {last})"
            pattern, cast = pg.MOMENT, f"CASE WHEN {is_day} THEN CAST({text} AS {pg.TYPE_NAMES[to]}) END"
        return f"CASE WHEN {text} ~ '{pattern}' THEN {cast} END"

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        return {name: pg.type_of(kind) for name, kind in self.catalogued(table).items()}

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns of types that hold less than ours, or other things."""
        return {name: kind for name, kind in self.catalogued(table).items() if kind not in pg.ROOMY}

    def holds(self, table: Table, column: str, to: Type) -> bool:
        """Cast there and back: no value may change."""
        now, name = self.catalogued(table)[column].removesuffix(pg.ODD_COLLATION), quoted(column)
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
        if not table.key:  # else a publication of all tables refuses deletes
            self.execute(f"ALTER TABLE {table_name(table)} REPLICA IDENTITY FULL")

    def index(self, table: Table) -> None:
        """Make the indexes that a table is to have and lacks; who makes tables just now is waited for."""
        if self.lacking(table):
            self._take_turns()
            super().index(table)

    def lacking(self, table: Table) -> list[tuple[str, ...]]:
        """
        Return the indexes that a table is to have and lacks; one of a site's own serves as well, whatever its name.

        Asked of the catalogue, since `IF NOT EXISTS` waits for whoever writes there. None where the table is another
        role's, who alone may make one.
        """
        if not table.indexes:
            return []
        found = self.fetched(pg.INDEXED, [table.schema, table.name])
        there = [str(columns).split("\n") for (columns,) in found]
        return [wanted for wanted in table.indexes if found and list(wanted) not in (e[: len(wanted)] for e in there)]

    def survey(self, *tables: Table) -> None:
        """Analyze the columns that rows are found by; a table that another session is at, or owns, is passed over."""
        for table in tables:
            columns = dict.fromkeys([*table.key, *(column for index in table.indexes for column in index)])
            self.execute(f"ANALYZE (SKIP_LOCKED) {table_name(table)} ({sql.names(columns)})")

    def make(self, name: str, query: Statement, parameters: Sequence[Any], *, is_lasting: bool) -> None:
        """Make a table of a query's rows; it has no key, and what is published must be told apart by all of a row."""
        super().make(name, query, parameters, is_lasting=is_lasting)
        if is_lasting:
            self.execute(f"ALTER TABLE {name} REPLICA IDENTITY FULL")

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
        text = literal(str(self.given(column.comment))) if column.comment else "NULL"
        self.execute(f"COMMENT ON COLUMN {table_name(table)}.{quoted(column.name)} IS {text}")

    def catalogued(self, table: Table) -> dict[str, str]:
        """Return what the catalogue calls the type of each column; it is asked once, and after each change."""
        name = (table.schema, table.name)
        if name not in self._known:
            query = f"SELECT a.attname, {pg.TYPE_OF_COLUMN} {pg.COLUMNS} ORDER BY a.attnum"
            self._known[name] = dict(self.fetched(query, list(name)))
        return self._known[name]

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """Execute a statement; one that may change a table's columns makes what is known of them old."""
        if text.startswith(("ALTER", "CREATE TABLE", "DROP")):
            self._known.clear()
        super().execute(text, parameters)

    def _join_by(self, *, hashes: str) -> None:
        """Switch plans that read a whole table for a set off or on, until the transaction ends."""
        ways = ("enable_hashjoin", "enable_mergejoin", "enable_seqscan")  # a table that was empty a moment ago, too
        self.fetched("SELECT " + ", ".join(f"set_config('{way}', '{hashes}', TRUE)" for way in ways))

    def _has_index(self, table: Table) -> bool:
        """Tell whether a table has an index on its key; a site may have dropped it."""
        key = ", ".join(f"'{column.replace(chr(39), chr(39) * 2)}'" for column in sorted(table.key))
        query = pg.INDEXES.format(count=len(table.key), key=key)
        return bool(table.key) and bool(self.fetched(query, [table.schema, table.name]))

    def _take_turns(self) -> None:
        """Wait for whoever makes tables just now: `IF NOT EXISTS` fails where two look at the same time."""
        self.execute(f"SELECT pg_advisory_xact_lock({DDL})")


def _no_right(what: str, remedy: str) -> WarehouseError:
    return WarehouseError(f"This login may not {what}.", hint=f"Have an administrator run: {remedy}.")
