"""
The warehouses that tests run on, each asked in its own words, through a connection of its own, as a person's shell
would: a DuckDB file, and a database of a PostgreSQL server that the tests start.

What comes back compares: times aware and in UTC, exact numbers as Decimal, JSON as compact text.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import attrs

from syncer import sql
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from tests.servers import postgresql

Rows = list[tuple[Any, ...]]
Told = tuple[str, Sequence[Any]]  # a statement, and its parameters
ASKED = threading.Lock()  # one file at a time

TYPES: dict[str, Type] = {
    "VARCHAR": TEXT,
    "BIGINT": BIGINT,
    "DECIMAL(38,9)": DECIMAL,
    "DOUBLE": DOUBLE,
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMP,
    "JSON": JSON,
    "text": TEXT,
    "bigint": BIGINT,
    "numeric(38,9)": DECIMAL,
    "double precision": DOUBLE,
    "boolean": BOOLEAN,
    "date": DATE,
    "timestamp with time zone": TIMESTAMP,
    "jsonb": JSON,
}


class Database(Protocol):
    """A warehouse, from a person's side."""

    setting: str  # as SYNCER_WAREHOUSE has it
    nul: str  # what becomes of a NUL in a text

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Rows:
        """Ask it, or tell it something: what has no rows returns none."""

    def tell(self, *statements: Told) -> None:
        """Tell it several things, each committed, through one connection."""

    def comments(self, table: str) -> dict[str, str | None]:
        """Return the comment of each column of a load table."""

    def types(self, table: str) -> dict[str, Type | str]:
        """Return the type of each column of a load table; one that is none of ours by its name there."""

    def native(self, kind: Type) -> str:
        """Return what it calls one of our types."""

    def array(self, *values: str) -> str:
        """Write an array of some expressions."""

    def kept_in(self) -> list[Path]:
        """Return the files that hold what it holds now, and nothing that it let go of a while ago."""

    def close(self) -> None:
        """Let go of it, and of whoever uses it."""


@attrs.define
class DuckDBFile:
    """A DuckDB file."""

    file: Path
    nul: ClassVar[str] = "\0"

    @property
    def setting(self) -> str:
        """The file by its whole name."""
        return f"duckdb:{self.file}"

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Rows:
        """Open the file, ask, and close it."""
        return query_file(self.file, query, parameters)

    def tell(self, *statements: Told) -> None:
        """Open the file, and close it behind the last one."""
        with opened_file(self.file) as connection:
            for query, parameters in statements:
                connection.execute(query, list(parameters))

    def comments(self, table: str) -> dict[str, str | None]:
        """Ask the catalogue."""
        query = "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'load' AND table_name = ?"
        return dict(self.rows(query, [table]))

    def types(self, table: str) -> dict[str, Type | str]:
        """Ask the catalogue."""
        query = "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'load' AND table_name = ?"
        return {name: TYPES.get(kind, kind) for name, kind in self.rows(query, [table])}

    def native(self, kind: Type) -> str:
        """In capitals."""
        return next(name for name, each in TYPES.items() if each is kind and name.isupper())

    def array(self, *values: str) -> str:
        """In brackets alone."""
        return f"[{', '.join(values)}]"

    def kept_in(self) -> list[Path]:
        """The file, and what stands beside it."""
        return [file for file in self.file.parent.glob(f"{self.file.name}*") if file.is_file()]

    def close(self) -> None:
        """Nothing is open."""


@attrs.define
class PostgreSQLDatabase:
    """A database of the server that all tests of this process share; an empty one is used again."""

    name: str
    is_used_again: bool = True
    nul: ClassVar[str] = "\ufffd"

    @property
    def setting(self) -> str:
        """Its connection string."""
        return f"odbc:{postgresql.shared().string(self.name)}"

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Rows:
        """Connect, ask, and hang up; each statement is committed."""
        with postgresql.shared().connection(self.name) as connection:
            cursor = connection.execute(query, *parameters)
            found = cursor.fetchall() if cursor.description else []
            return [tuple(plain(value) for value in row) for row in found]

    def tell(self, *statements: Told) -> None:
        """Connect, and hang up behind the last one."""
        with postgresql.shared().connection(self.name) as connection:
            for query, parameters in statements:
                connection.execute(query, *parameters)

    def comments(self, table: str) -> dict[str, str | None]:
        """Ask the catalogue."""
        query = (
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = ('load.' || quote_ident(?))::regclass AND attnum > 0 AND NOT attisdropped"
        )
        return dict(self.rows(query, [table]))

    def types(self, table: str) -> dict[str, Type | str]:
        """Ask the catalogue."""
        query = (
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = ('load.' || quote_ident(?))::regclass AND attnum > 0 AND NOT attisdropped"
        )
        return {name: TYPES.get(kind, kind) for name, kind in self.rows(query, [table])}

    def native(self, kind: Type) -> str:
        """In small letters."""
        return next(name for name, each in TYPES.items() if each is kind and name.islower())

    def array(self, *values: str) -> str:
        """By its constructor."""
        return f"ARRAY[{', '.join(values)}]"

    def kept_in(self) -> list[Path]:
        """Write everything out, and return the database's own files; the server's log of writes is not among them."""
        self.is_used_again = False
        self.rows("CHECKPOINT")
        ((number,),) = self.rows("SELECT oid::int FROM pg_database WHERE datname = current_database()")
        files = (postgresql.shared().folder / "data" / "base" / str(number)).iterdir()
        return sorted(each for each in files if each.name != "pg_internal.init")  # of the catalogue; it comes and goes

    def close(self) -> None:
        """End who is still connected, empty it, and lay it by for the next test."""
        if not self.is_used_again:
            postgresql.shared().drop(self.name)
            return
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ? AND pid <> ?"
        with postgresql.shared().connection(self.name) as connection:
            (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
            connection.execute(others, self.name, pid).fetchall()
            named = "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
            for (schema,) in connection.execute(named).fetchall():
                connection.execute(f"DROP SCHEMA {schema} CASCADE")
            connection.execute("CREATE SCHEMA public")
        _EMPTY.append(self.name)


_EMPTY: list[str] = []  # databases that a test is done with: making one anew takes ten times as long as emptying it


def new_file(folder: Path) -> DuckDBFile:
    """Name a file that is not there yet."""
    return DuckDBFile(folder / "warehouse.duckdb")


def new_database(folder: Path) -> PostgreSQLDatabase:
    """Take an empty database."""
    return PostgreSQLDatabase(_EMPTY.pop() if _EMPTY else postgresql.shared().database())


BACKENDS: dict[str, Callable[[Path], Database]] = {"duckdb": new_file, "postgresql": new_database}


def plain(value: Any) -> Any:
    """Make what a driver returned comparable: times aware, the JSON of a jsonb column as DuckDB keeps it."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC)
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), ensure_ascii=False, separators=(",", ":"))
        except ValueError:
            return value
    return value


def query_file(file: Path, query: str, parameters: Sequence[Any] = ()) -> Rows:
    """Ask a DuckDB file."""
    with opened_file(file) as connection:
        return list(connection.execute(query, list(parameters)).fetchall())


@contextlib.contextmanager
def opened_file(file: Path) -> Iterator[Any]:
    """Open a DuckDB file, with one instance for all: making one each time took a fifth of the tests' time."""
    instance = _instance()
    with ASKED:
        instance.execute(f"ATTACH {sql.literal(str(file))} AS asked_file")
        try:
            with instance.cursor() as connection:
                connection.execute("USE asked_file")
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
        finally:
            instance.execute("DETACH asked_file")


@functools.cache
def _instance() -> Any:
    import duckdb

    return duckdb.connect(":memory:")


def asked(where: Path | Database, query: str, parameters: Sequence[Any] = ()) -> Rows:
    """Ask a warehouse, or the DuckDB file of that name."""
    return query_file(where, query, parameters) if isinstance(where, Path) else where.rows(query, parameters)


def columns_of(where: Path | Database, table: str, *, schema: str = "load") -> list[str]:
    """Return the names of a table's columns, in their order."""
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
        "ORDER BY ordinal_position"
    )
    return [name for (name,) in asked(where, query, [schema, table])]
