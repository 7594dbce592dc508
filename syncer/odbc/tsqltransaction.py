"""
A transaction on a SQL Server: how a set goes in, what the catalogue says, the locks of what is written, parameters.

Not here: how statements are written (`tsql.py`), what types are called (`tsqltypes.py`), sessions and leases
(`warehouses/sqlserver.py`).
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from syncer.errors import WarehouseBusy, WarehouseError
from syncer.odbc import arrays, connecting, faults, tsql, tsqltypes
from syncer.odbc.exactly import COLLATION
from syncer.odbc.transaction import Rows, Transaction, lock_key
from syncer.odbc.tsql import Rendered, Slot, literal, name
from syncer.odbc.tsqltypes import COLUMN_TYPES, COMPUTED, Described
from syncer.sql import Statement, bare
from syncer.tables import STATE, Column, Table
from syncer.values import DECIMAL_DIGITS, DECIMAL_SCALE, Type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyodbc

LONGEST_NAME = 128
MOST_COLUMNS = 1_024
MOST_PARAMETERS = 2_098  # 2,100, less the two with which drivers send a statement
LONGEST_COMMENT = 7_500  # bytes of UTF-16
LONG_TEXT = 2_000  # from here on a driver may send a text as ntext, which compares with nothing
DENIED = (229, 230, 262, 297, 300, 2760, 15151, 15247)  # a right is missing
DEPENDENT = (0, 4920, 4922, 4928, 5074)  # 0: the driver tells no number
_NUMBER = re.compile(r"\((\d+)\) \(SQL\w+\)")  # as pyodbc writes it: behind the first of several texts, and the call
_WRITES = re.compile(
    r"(?:IF |INSERT |UPDATE |DELETE |ALTER |CREATE |DROP |EXEC )(?!(?:INTO |TABLE )?\[#|sp_releaseapplock)"
)
_COLUMNS = (
    "FROM sys.columns AS c JOIN sys.tables AS o ON o.object_id = c.object_id "
    "JOIN sys.schemas AS s ON s.schema_id = o.schema_id"
)


class SQLServerTransaction(Transaction):
    """An open transaction on a SQL Server."""

    dialect = "tsql"
    types = COLUMN_TYPES
    longest_name = LONGEST_NAME

    def __init__(self, cursor: pyodbc.Cursor) -> None:
        super().__init__(cursor)
        self._locked: dict[str, None] = {}
        self.has_written = False
        self.written = -1  # how many rows the last statement wrote

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> int:
        """Execute; return how many rows were written. Raises WarehouseBusy: another session writes there."""
        text = self.rendered(statement)
        if text.target:
            self.begin_writing(text.target)
        self.execute(text, parameters)
        return max(self.written, 0)

    def rendered(self, statement: Statement) -> Rendered:
        """Write a statement in T-SQL."""
        return tsql.render(statement.text)

    def stage(self, name: str, rows: pa.Table, types: Mapping[str, Type]) -> None:
        """Make *rows* a temporary table: one JSON text, all values in it texts."""
        self.drop_temporary(name)
        texts = {column: _texts(rows[column], kind) for column, kind in types.items()}
        widths = {column: tsqltypes.staged(kind, texts[column]) for column, kind in types.items()}
        table = self.temporary(name)
        columns = ", ".join(f"{tsql.name(column)} {width} NULL" for column, width in widths.items())
        self.execute(f"CREATE TABLE {table} ({columns})")
        self._temporary[name] = None
        if not rows.num_rows:
            return
        places = [f"c{place}" for place in range(len(types))]
        values = (texts[column].to_pylist() for column in types)
        given = orjson.dumps([dict(zip(places, row, strict=True)) for row in zip(*values, strict=True)]).decode()
        kinds = zip(places, types.values(), strict=True)
        cast = ", ".join(tsqltypes.from_text(f"j.{place}", kind) for place, kind in kinds)
        shape = ", ".join(f"{place} nvarchar(max) '$.{place}'" for place in places)
        self.execute(f"INSERT INTO {table} SELECT {cast} FROM OPENJSON(?) WITH ({shape}) AS j", [given])

    def make(self, name: str, query: Statement, parameters: Sequence[Any], *, is_lasting: bool) -> None:
        """
        Make the rows of *query* a table, in words that `tsql.render` knows.

        A statement with parameters runs in a scope of its own, and a temporary table made there ends with it: it is
        made before. The join is for columns that number themselves (IDENTITY): without one the table's would, too.
        """
        rows = f"FROM ({query.text}) AS q CROSS JOIN (SELECT 1 AS n) AS one"
        made = tsql.render(f"SELECT q.* INTO {name} {rows}")
        if not parameters:
            self.execute(made)
            return
        nothing = ["-1" if slot.is_bytes else _nothing(parameters[slot]) for slot in made.slots]
        self.execute(f"{made.filled(nothing)} WHERE 1 = 0")
        self.execute(tsql.render(f"INSERT INTO {name} SELECT q.* {rows}"), parameters)

    def query_columns(self, query: Statement) -> dict[str, Type]:
        """
        Return the columns that *query* would give, as the driver tells them of a result without rows.

        Not by `sys.dm_exec_describe_first_result_set`, which other servers that speak T-SQL lack.
        """
        self._send(tsql.render(f"SELECT * FROM ({bare(query.text)}) AS asked WHERE 1 = 0"), ())
        told = self._cursor.description
        while self._cursor.nextset():
            pass
        return {str(each[0]): self.kind_of(each) for each in told}

    def drop(self, table: Table) -> None:
        """Drop a table, where it is there. Raises WarehouseBusy: another session writes to it."""
        self.begin_writing(f"{table.schema}.{table.name}")
        self.execute(f"DROP TABLE IF EXISTS {_table(table)}")

    def row_hash(self, alias: str, columns: Collection[str]) -> str:
        """Write a hash of *columns*, in words that `tsql.render` knows."""
        listed = ", ".join('{}."{}"'.format(alias, column.replace('"', '""')) for column in columns)
        return f"{tsql.ROW_HASH}({listed})"

    def try_cast(self, expression: str, to: Type) -> str:
        """Write a cast that is NULL for what is none, in words that `tsql.render` knows."""
        names = {Type.BIGINT: tsql.TRY_BIGINT, Type.DECIMAL: tsql.TRY_DECIMAL}
        return f"{names.get(to, tsql.TRY_TIMESTAMP)}({expression})"

    # The catalogue.

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        return {name: each.kind for name, each in self.described(table).items()}

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns of types that hold less than ours, or other things; an index's texts have a length."""
        found, indexed = self.described(table), {*table.key, *tsqltypes.indexed_lengths(table)}
        return {name: each.spelled for name, each in found.items() if not each.is_roomy(is_indexed=name in indexed)}

    def holds(self, table: Table, column: str, to: Type) -> bool:
        """Cast there and back: no value may change."""
        now, given = self.described(table)[column], _table(table)
        query = f"SELECT COUNT(*) FROM {given} WHERE {tsqltypes.changes(name(column), now, to)}"
        return self.fetched(query) == [(0,)]

    def described(self, table: Table) -> dict[str, Described]:
        """Return what the catalogue says of each column of a table, but for those that we compute."""
        query = (
            "SELECT c.name, t.name, c.max_length, c.[precision], c.scale, c.collation_name, "
            f"CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END {_COLUMNS} "
            "JOIN sys.types AS t ON t.user_type_id = c.system_type_id "
            f"WHERE s.name = ? AND o.name = ? AND NOT (c.is_computed = 1 AND LEFT(c.name, {len(COMPUTED)}) = "
            f"{literal(COMPUTED)}) ORDER BY c.column_id"
        )
        found = self.fetched(query, [table.schema, table.name])
        return {
            column.lower() if folds else column: Described.of(kind, length, precision, scale, collation)
            for column, kind, length, precision, scale, collation, folds in found
        }

    def has_table(self, schema: str, table: str) -> bool:
        """Tell whether a table is there."""
        query = "SELECT 1 FROM sys.tables AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id "
        return bool(self.fetched(f"{query} WHERE s.name = ? AND o.name = ?", [schema, table]))

    def has_schema(self, schema: str) -> bool:
        """Tell whether a schema is there."""
        return bool(self.fetched("SELECT 1 FROM sys.schemas WHERE name = ?", [schema]))

    def column_type(self, table: Table, column: Column) -> str:
        """Write the type of a column; a text of a key has a length that an index allows."""
        return tsqltypes.column_type(table, column)

    def create_schema(self, schema: str) -> None:
        """Make a schema where it is missing. Raises WarehouseError where we may not."""
        self.begin_writing(f"{STATE}.")
        if self.has_schema(schema):
            return
        try:
            self.execute(f"CREATE SCHEMA {name(schema)}")
        except connecting.manager().Error as error:
            if not is_denied(error):
                raise
            raise _no_right(f"make the schema {schema}", f"CREATE SCHEMA {name(schema)} AUTHORIZATION …") from error

    def create_table(self, table: Table, columns: str) -> None:
        """Make a table where it is missing. Raises WarehouseError where we may not, or it has too many columns."""
        keys = [column for column in table.columns if column.name in table.key and column.type is Type.TEXT]
        if len(table.columns) + len(keys) > MOST_COLUMNS:
            raise WarehouseError(
                f"{table.schema}.{table.name} would have {len(table.columns) + len(keys):,} columns; SQL Server "
                f"allows {MOST_COLUMNS:,}.",
                hint="Leave out properties that nobody needs.",
            )
        self.begin_writing(f"{STATE}.")
        if self.has_table(table.schema, table.name):
            return
        try:
            self.execute(f"CREATE TABLE {_table(table)} ({tsqltypes.definition(table)})")
        except connecting.manager().Error as error:
            if not is_denied(error):
                raise
            raise _no_right(
                f"make tables in the schema {table.schema}",
                f"GRANT CREATE TABLE TO …; GRANT ALTER ON SCHEMA::{name(table.schema)} TO …",
            ) from error

    def index(self, table: Table) -> None:
        """Make the indexes that a table is to have and lacks; none where a text is longer than one takes."""
        for columns in self.lacking(table):
            self.begin_writing(f"{table.schema}.{table.name}")
            if all(self._has_length(table, column) for column in columns):
                listed = ", ".join(name(column) for column in columns)
                self.execute(f"CREATE INDEX {name(table.index_name(columns))} ON {_table(table)} ({listed})")

    def lacking(self, table: Table) -> list[tuple[str, ...]]:
        """Return the indexes that a table is to have and lacks, by their names."""
        if not table.indexes:
            return []
        query = (
            "SELECT i.name FROM sys.indexes AS i JOIN sys.tables AS o ON o.object_id = i.object_id "
            "JOIN sys.schemas AS s ON s.schema_id = o.schema_id WHERE s.name = ? AND o.name = ?"
        )
        there = {found for (found,) in self.fetched(query, [table.schema, table.name])}
        return [columns for columns in table.indexes if table.index_name(columns) not in there]

    def _has_length(self, table: Table, column: str) -> bool:
        """Give a text that was made without a length the one that an index takes, where all its values fit."""
        length = tsqltypes.indexed_lengths(table).get(column)
        if not self.described(table)[column].is_endless:
            return True
        if length is None or self.fetched(
            f"SELECT COUNT(*) FROM {_table(table)} WHERE DATALENGTH({name(column)}) > {2 * length}"
        ) != [(0,)]:
            return False
        kind = self.column_type(table, Column(column, Type.TEXT))
        self.execute(f"ALTER TABLE {_table(table)} ALTER COLUMN {name(column)} {kind}")
        return True

    def add_column(self, table: Table, column: Column) -> None:
        """Add an empty column."""
        self.begin_writing(f"{table.schema}.{table.name}")
        self.execute(f"ALTER TABLE {_table(table)} ADD {name(column.name)} {self.column_type(table, column)}")
        if column.comment:
            self.comment(table, column)

    def widen(self, table: Table, column: str, to: Type) -> None:
        """
        Give a column a type that holds every value it has. Raises WarehouseError where something depends on it.

        What the server's own cast writes in another way than an API goes into a new column, which takes the name.
        """
        self.begin_writing(f"{table.schema}.{table.name}")
        now, said = self.described(table)[column], self.comments(table).get(column, "")
        given, kind, new = _table(table), COLUMN_TYPES[to], f"dss_new_{lock_key(column) % 10**9}"
        try:
            if to is not Type.TEXT and now.kind is not Type.TEXT:
                self.execute(f"ALTER TABLE {given} ALTER COLUMN {name(column)} {kind}")
                return
            self.execute(f"ALTER TABLE {given} ADD {name(new)} {kind} NULL")
            self.execute(f"UPDATE {given} SET {name(new)} = {tsqltypes.converted(name(column), now.kind, to)}")
            self.execute(f"ALTER TABLE {given} DROP COLUMN {name(column)}")
            self.execute(f"EXEC sp_rename {literal(f'{given}.{name(new)}')}, {literal(column)}, N'COLUMN'")
        except connecting.manager().Error as error:
            if faults.is_lost(error) or number_of(error) not in DEPENDENT:
                raise
            raise WarehouseError(
                f"Column {column} of {table.schema}.{table.name} must become {kind}, which the server does not do: "
                f"{faults.shown(error)}.",
                hint="Drop the index, constraint, statistics or view that uses the column, pull, and make it again.",
            ) from error
        if said:
            self.comment(table, Column(column, to, said))

    def comments(self, table: Table) -> dict[str, str]:
        """Return the comments that the table's columns have: their property MS_Description."""
        query = (
            "SELECT c.name, CAST(p.value AS nvarchar(4000)), CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END "
            f"{_COLUMNS} JOIN sys.extended_properties AS p ON p.major_id = c.object_id AND p.minor_id = c.column_id "
            "AND p.class = 1 AND p.name = N'MS_Description' WHERE s.name = ? AND o.name = ?"
        )
        found = self.fetched(query, [table.schema, table.name])
        return {column.lower() if folds else column: said for column, said, folds in found if said}

    def comment(self, table: Table, column: Column) -> None:
        """Give a column its comment; one that is longer than the server keeps is cut, and ends with `…`."""
        self.has_written = True
        where = ", ".join(
            f"@level{level}type = N'{kind}', @level{level}name = {literal(value)}"
            for level, (kind, value) in enumerate(
                (("SCHEMA", table.schema), ("TABLE", table.name), ("COLUMN", column.name))
            )
        )
        there = (
            f"EXISTS (SELECT 1 {_COLUMNS} JOIN sys.extended_properties AS p ON p.major_id = c.object_id AND "
            "p.minor_id = c.column_id AND p.class = 1 AND p.name = N'MS_Description' "
            f"WHERE s.name = {literal(table.schema)} "
            f"AND o.name = {literal(table.name)} AND c.name = {literal(column.name)})"
        )
        said = f"@name = N'MS_Description', @value = {literal(_kept(str(self.given(column.comment))))}, {where}"
        if column.comment:
            self.execute(f"IF {there} EXEC sp_updateextendedproperty {said} ELSE EXEC sp_addextendedproperty {said}")
        else:
            self.execute(f"IF {there} EXEC sp_dropextendedproperty @name = N'MS_Description', {where}")

    # Locks.

    def begin_writing(self, table: str) -> None:
        """
        Take the application lock of what is written, until the transaction ends: two sessions that look whether a key
        is there would both insert it. All tables of the state have one lock, so that no two wait for each other.

        Raises: WarehouseBusy: another session holds it longer than `wait_s`.
        """
        self.has_written = True
        what = STATE if table.startswith(f"{STATE}.") else table
        if what in self._locked:
            return
        # The lock is the transaction's, which the driver leaves to begin with the first statement that reads a table.
        result, depth = self.answer(
            "DECLARE @any sysname, @result int; SELECT TOP (1) @any = name FROM sys.schemas; "
            f"EXEC @result = sp_getapplock @Resource = {_resource(what)}, "
            "@LockMode = N'Exclusive', @LockOwner = N'Transaction'; SELECT @result, @@TRANCOUNT"
        )
        if depth == 0 or result < -3:
            raise WarehouseError(f"The server gave no lock for writing to {what} ({result}); nothing was written.")
        if result < 0:
            raise WarehouseBusy(
                f"Another session of syncer writes to {what}, and did so longer than this one waits.",
                hint="Look at it with `syncer status`, or set wait_s in [warehouse] of syncer.toml higher.",
            )
        self._locked[what] = None

    def has_ended(self) -> bool:
        """Tell whether the transaction ended before its time: the first lock that it took is gone with it."""
        if not self._locked:
            return False
        resource = _resource(next(iter(self._locked)))
        asked = f"APPLOCK_MODE(N'public', {resource}, N'Transaction')"
        return self.fetched(f"SELECT CASE WHEN @@TRANCOUNT = 0 THEN N'NoLock' ELSE {asked} END AS mode") == [
            ("NoLock",)
        ]

    def tidy(self) -> None:
        """Drop the temporary tables: they would stay as long as the session."""
        for each in list(self._temporary):
            self.drop_temporary(each)

    # What differs from other drivers.

    def temporary(self, name: str) -> str:
        """Write the quoted name of a temporary table."""
        return tsql.name(f"#{name}")

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """
        Execute a statement to its end: an error may stand behind a first result, and before its own number of rows
        are those of triggers.

        Raises: WarehouseError, before anything is sent: it has too many parameters.
        """
        self.has_written = self.has_written or is_writing(text)
        self._send(text, parameters)
        self.written = int(self._cursor.rowcount)
        while self._cursor.nextset():
            if self._cursor.rowcount >= 0:
                self.written = int(self._cursor.rowcount)

    def fetched(self, text: str, parameters: Sequence[Any] = ()) -> Rows:
        """Execute a query; return its rows. Raises as `execute` does."""
        self._send(text, parameters)
        found = [tuple(self.read(value) for value in row) for row in self._cursor.fetchall()]
        while self._cursor.nextset():
            pass
        return found

    def _send(self, text: str, parameters: Sequence[Any]) -> None:
        if not parameters:
            self._cursor.execute(str(text))
            return
        if not isinstance(text, Rendered):
            pieces = text.split("?")
            text = Rendered(pieces, [Slot(place) for place in range(len(pieces) - 1)])
        is_long = len(text.slots) > MOST_PARAMETERS
        marks, given = [], []
        for slot in text.slots:
            value = parameters[slot]
            given_value = self.given(value) if isinstance(value, str) else value
            mark, values = _marked(given_value, is_bytes=slot.is_bytes, is_inline=is_long)
            marks.append(mark)
            given += values
        if len(given) > MOST_PARAMETERS:
            raise WarehouseError(
                f"A statement would have {len(given):,} parameters; SQL Server takes {MOST_PARAMETERS:,}.",
                hint="Nothing was sent. Report it: statements of that size are to be split.",
            )
        if given:
            self._cursor.execute(text.filled(marks), given)
        else:
            self._cursor.execute(text.filled(marks))

    def answer(self, batch: str) -> tuple[Any, ...]:
        """Execute a batch; return the first row of the first result that has rows."""
        self._cursor.execute(batch)
        while self._cursor.description is None:
            if not self._cursor.nextset():
                return ()
        found: Rows = [tuple(row) for row in self._cursor.fetchall()]
        while self._cursor.nextset():
            pass
        return found[0]


def number_of(error: BaseException) -> int:
    """Return the server's own number of an error, 0 where the driver tells none."""
    found = _NUMBER.findall(str(error.args[1]) if len(error.args) > 1 else "")
    return int(found[-1]) if found else 0  # the last: a value before it may be written alike


def is_writing(text: str) -> bool:
    """Tell whether a statement writes what outlives its transaction: neither a temporary table, nor a lock."""
    return bool((isinstance(text, Rendered) and text.target) or _WRITES.match(text))


def is_denied(error: BaseException) -> bool:
    """Tell whether a right is missing."""
    return number_of(error) in DENIED or "permission" in faults.text_of(error).lower()


def _resource(what: str) -> str:
    return literal(f"syncer: write {what}"[:255])


def _table(table: Table) -> str:
    return f"{name(table.schema)}.{name(table.name)}"


def _kept(comment: str) -> str:
    """Cut a comment to what the server keeps; no pair of units, which one letter may be, is taken apart."""
    units = comment.encode("utf-16-le", "surrogatepass")
    if len(units) <= LONGEST_COMMENT:
        return comment
    return units[: LONGEST_COMMENT - 2].decode("utf-16-le", "ignore") + "…"


def _texts(column: pa.ChunkedArray, kind: Type) -> pa.Array:
    """Return a column as texts that the server casts; a decimal without an exponent, which its cast refuses."""
    import pyarrow as pa

    return arrays.texts(column, Type.TEXT if pa.types.is_decimal(column.type) else kind)


def _marked(value: Any, *, is_bytes: bool, is_inline: bool) -> tuple[str, list[Any]]:
    """Return what stands at a parameter's place, and what the driver gets for it."""
    if is_bytes:
        if not isinstance(value, str):
            return "-1", []
        return (
            (f"DATALENGTH({literal(value)})", []) if is_inline else ("DATALENGTH(CAST(? AS nvarchar(max)))", [value])
        )
    if value is None:  # a driver would ask the server what type it is meant to have
        return "CAST(NULL AS nvarchar(1))", []
    if isinstance(value, dt.datetime):
        return "CAST(? AS datetime2(6))", [value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0")]
    if isinstance(value, dt.date):
        return "CAST(? AS date)", [value.isoformat()]
    if isinstance(value, decimal.Decimal):
        return f"CAST(? AS decimal({DECIMAL_DIGITS},{DECIMAL_SCALE}))", [format(value, "f")]
    if isinstance(value, str) and len(value) > LONG_TEXT:
        return "CAST(? AS nvarchar(max))", [value]
    return "?", [value]


def _nothing(value: Any) -> str:
    """Write NULL of the type that a parameter has, so that a table made of it has that, too."""
    kinds = ((bool, "bit"), (int, "bigint"), (float, "float"), (dt.datetime, "datetime2(6)"), (dt.date, "date"))
    kind = next((name for each, name in kinds if isinstance(value, each)), "")
    if isinstance(value, decimal.Decimal):
        kind = COLUMN_TYPES[Type.DECIMAL]
    return f"CAST(NULL AS {kind})" if kind else f"CAST(NULL AS nvarchar(max)) COLLATE {COLLATION}"


def _no_right(what: str, remedy: str) -> WarehouseError:
    return WarehouseError(f"This login may not {what}.", hint=f"Have an administrator run: {remedy}.")
