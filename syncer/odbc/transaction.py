"""A transaction over ODBC: what all backends do alike. A backend adds its types, its catalogue and how sets go in."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from syncer import sql
from syncer.errors import WarehouseError
from syncer.sql import Statement, quoted, table_name
from syncer.tables import Column, Table
from syncer.values import NUL_REPLACED, Type

if TYPE_CHECKING:
    import pyodbc

Rows = list[tuple[Any, ...]]
_OF_PYTHON: Mapping[type, Type] = {  # what pyodbc says that a column's values will be
    str: Type.TEXT,
    int: Type.BIGINT,
    decimal.Decimal: Type.DECIMAL,
    float: Type.DOUBLE,
    bool: Type.BOOLEAN,
    dt.date: Type.DATE,
    dt.datetime: Type.TIMESTAMP,
}


class Transaction:
    """
    An open transaction. All of it is kept, or nothing.

    Raises: pyodbc's own errors, which the warehouse explains when it has rolled back.
    """

    dialect: ClassVar[str]  # sqlglot's name
    types: ClassVar[Mapping[Type, str]]  # what the backend calls each type
    by_name: ClassVar[Mapping[str, Type]] = {}  # types that hold all that ours do, by what the catalogue calls them
    longest_name: ClassVar[int | None] = None  # of a column or table, in bytes
    forgets_types: ClassVar[bool] = False  # where a table is made of a query by CREATE TABLE … AS

    def __init__(self, cursor: pyodbc.Cursor) -> None:
        self._cursor = cursor
        self._temporary: dict[str, None] = {}

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> int:
        """Execute; return how many rows were written."""
        self.execute(self.rendered(statement), parameters)
        return max(int(self._cursor.rowcount), 0)

    def rows(self, statement: Statement, parameters: Sequence[Any] = ()) -> Rows:
        """Execute; return the rows."""
        return self.fetched(self.rendered(statement), parameters)

    def derive(self, name: str, query: Statement, parameters: Sequence[Any] = ()) -> int:
        """Make the rows of *query* a temporary table."""
        self.drop_temporary(name)
        self.make(quoted(name), _alone(query), parameters, is_lasting=False)
        self._temporary[name] = None
        return int(self.fetched(f"SELECT COUNT(*) FROM {self.temporary(name)}")[0][0])

    def query_columns(self, query: Statement) -> dict[str, Type]:
        """Return the columns that *query* would give, by the types that the driver makes of them."""
        self.execute(self.rendered(sql.statement(f"SELECT * FROM ({sql.bare(query.text)}) AS asked WHERE 1 = 0")))
        return {str(each[0]): self.kind_of(each) for each in self._cursor.description}

    def save(self, table: Table, query: Statement, parameters: Sequence[Any] = ()) -> int:
        """Make the rows of *query* a lasting table."""
        self.create_schema(table.schema)
        self.drop(table)
        self.make(table_name(table), _alone(query), parameters, is_lasting=True)
        self.index(table)
        return int(self.fetched(f"SELECT COUNT(*) FROM {table_name(table)}")[0][0])

    def drop(self, table: Table) -> None:
        """Drop a table."""
        self.execute(f"DROP TABLE IF EXISTS {table_name(table)}")

    def keep(self, name: str, key: Column) -> bool:
        """Make an empty temporary table of keys that lasts as long as the connection; a backend may."""
        return False

    def columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the table has now."""
        return {name: self.by_name.get(kind, Type.TEXT) for name, kind in self.catalogued(table).items()}

    def foreign(self, table: Table) -> dict[str, str]:
        """Return the columns of types that hold less than ours, or other things."""
        return {name: kind for name, kind in self.catalogued(table).items() if kind not in self.by_name}

    def create(self, table: Table) -> None:
        """Create the table, and its schema where it is missing. Raises WarehouseError: its name is too long."""
        if self.longest_name is not None and len(table.name.encode()) > self.longest_name:
            raise WarehouseError(
                f"The table {table.schema}.{table.name} would have a name of {len(table.name.encode())} bytes; the "
                f"server keeps {self.longest_name}.",
                hint="Give the environment, or the custom object, a shorter name.",
            )
        self.create_schema(table.schema)
        columns = [f"{quoted(column.name)} {self.column_type(table, column)}" for column in table.columns]
        if table.key:
            columns.append(f"PRIMARY KEY ({sql.names(table.key)})")
        self.create_table(table, ", ".join(columns))
        for column in table.columns:
            if column.comment:
                self.comment(table, column)
        self.index(table)

    def index(self, table: Table) -> None:
        """Make the indexes that a table is to have and lacks."""
        for columns in self.lacking(table):
            name, listed = quoted(table.index_name(columns)), sql.names(columns)
            self.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {table_name(table)} ({listed})")

    def lacking(self, table: Table) -> list[tuple[str, ...]]:
        """Return the indexes that a table is to have, lacks, and may be given; a backend that says none has none."""
        return []

    def survey(self, *tables: Table) -> None:
        """Have the server look at what tables hold, where it does not do so by itself."""

    def add_column(self, table: Table, column: Column) -> None:
        """Add an empty column."""
        self.execute(f"ALTER TABLE {table_name(table)} ADD {quoted(column.name)} {self.column_type(table, column)}")
        if column.comment:
            self.comment(table, column)

    def catalogued(self, table: Table) -> dict[str, str]:
        """Return what the catalogue calls the type of each column; empty where there is no table. A backend does."""
        raise NotImplementedError

    def comment(self, table: Table, column: Column) -> None:
        """Give a column its comment. A backend does."""
        raise NotImplementedError

    def by_key(self, *tables: Table) -> AbstractContextManager[None]:
        """Have rows of *tables* found by their keys, as most servers do by themselves."""
        return contextlib.nullcontext()

    def make_room(self, rows: int) -> None:
        """Take memory for a join of so many rows, as most servers do by themselves."""

    # What a backend may say otherwise.

    def rendered(self, statement: Statement) -> str:
        """Write a statement in the backend's dialect."""
        return statement.sql(self.dialect)

    def temporary(self, name: str) -> str:
        """Write the quoted name of a temporary table."""
        return quoted(name)

    def make(self, name: str, query: Statement, parameters: Sequence[Any], *, is_lasting: bool) -> None:
        """Make the rows of *query* a table of the types that they have; *name* is quoted as in our statements."""
        written = self.rendered(query)
        if not self.forgets_types:
            self.execute(self.saved(name, written) if is_lasting else self.derived(name, written), parameters)
            return
        self.execute(f"SELECT * FROM ({written}) AS asked WHERE 1 = 0", parameters)
        columns = ", ".join(f"{quoted(told[0])} {self.made_as(told)}" for told in self._cursor.description)
        self.execute(f"CREATE {'' if is_lasting else 'TEMPORARY '}TABLE {name} ({columns})")
        self.execute(f"INSERT INTO {name} {written}", parameters)

    def kind_of(self, told: Sequence[Any]) -> Type:
        """Return the type of a query's column by what the driver tells of it, as `Cursor.description` has it."""
        return _OF_PYTHON.get(told[1], Type.TEXT)

    def made_as(self, told: Sequence[Any]) -> str:
        """Write the type of a column that is made of a query's, by what the driver tells of that."""
        return self.types[self.kind_of(told)]

    def derived(self, name: str, query: str) -> str:
        """Write the statement that makes the rows of *query* a temporary table."""
        return f"CREATE TEMPORARY TABLE {name} AS {query}"

    def saved(self, name: str, query: str) -> str:
        """Write the statement that makes the rows of *query* a lasting table."""
        return f"CREATE TABLE {name} AS {query}"

    def column_type(self, table: Table, column: Column) -> str:
        """Write the type of a column of a table; a key may need another one."""
        return self.types[column.type] + (" NOT NULL" if column.name in table.key else "")

    def create_schema(self, schema: str) -> None:
        """Make a schema where it is missing. A backend does."""
        raise NotImplementedError

    def create_table(self, table: Table, columns: str) -> None:
        """Make a table where it is missing."""
        self.execute(f"CREATE TABLE IF NOT EXISTS {table_name(table)} ({columns})")

    def drop_temporary(self, name: str) -> None:
        """Drop a temporary table that this transaction has made."""
        if name in self._temporary:
            self.execute(f"DROP TABLE {self.temporary(name)}")
            del self._temporary[name]

    def read(self, value: Any) -> Any:
        """Turn a value that the driver returned into what `rows` returns; times are aware and in UTC."""
        return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value

    def given(self, value: Any) -> Any:
        """Turn a parameter into what the driver takes: times without their zone, in UTC; texts without NUL."""
        if isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC).replace(tzinfo=None)
        if not isinstance(value, str) or (value.isascii() and "\0" not in value):
            return value
        return _whole(value).replace("\0", NUL_REPLACED)

    def finish(self) -> None:
        """Drop what was staged and derived; where a commit does that by itself, nothing."""
        for name in list(self._temporary):
            self.drop_temporary(name)

    # For backends.

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """Execute a statement in the backend's own words."""
        if parameters:
            self._cursor.execute(text, [self.given(value) for value in parameters])
        else:
            self._cursor.execute(text)

    def fetched(self, text: str, parameters: Sequence[Any] = ()) -> Rows:
        """Execute a query in the backend's own words; return its rows."""
        self.execute(text, parameters)
        return [tuple(self.read(value) for value in row) for row in self._cursor.fetchall()]


def _alone(query: Statement) -> Statement:
    return sql.statement(sql.bare(query.text))


def lock_key(name: str) -> int:
    """Make the number of a lock from its name: 64 bits, signed."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def _whole(text: str) -> str:
    """Replace halves of surrogate pairs, which a host's name may have for bytes that are no UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
