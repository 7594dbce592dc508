"""
What a campaign pulls into: a DuckDB file in the bed's folder, or a database of a PostgreSQL server. Each can be asked,
emptied, copied and put back; the judges, which read files, get a server's tables as a file.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from tests.conftest import query_file
from tests.servers.postgresql import Server

_NUMBERS = itertools.count(1)
_TYPES = {  # a server's type is this one in the file
    "text": "VARCHAR",
    "bigint": "BIGINT",
    "integer": "INTEGER",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp with time zone": "TIMESTAMPTZ",
    "jsonb": "VARCHAR",
}
_NUMERIC = re.compile(r"numeric(\(\d+,\d+\))")


class Store(Protocol):
    """A warehouse of a campaign."""

    @property
    def url(self) -> str:
        """What `SYNCER_WAREHOUSE` is."""

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask it, as a person's shell would."""

    def readable(self) -> Path:
        """Return a DuckDB file that holds what is there now."""

    def clear(self) -> None:
        """Empty it."""

    def copy(self) -> Any:
        """Copy it; return what `put_back` and `forget` take."""

    def put_back(self, copy: Any) -> None:
        """Make a copy what is there."""

    def forget(self, copy: Any) -> None:
        """Drop a copy."""

    def close(self) -> None:
        """Leave nothing behind."""


@attrs.define
class File:
    """A DuckDB file."""

    path: Path

    @property
    def url(self) -> str:
        """The setting."""
        return f"duckdb:{self.path}"

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask the file."""
        return query_file(self.path, text)

    def readable(self) -> Path:
        """The file itself."""
        return self.path

    def clear(self) -> None:
        """Take the file away, with its log and leases."""
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.path.with_name(self.path.name + ".leases"), ignore_errors=True)
        self._drop_log()

    def copy(self) -> Path:
        """Copy the file beside it."""
        return Path(shutil.copyfile(self.path, self.path.with_name(f"copy-{next(_NUMBERS)}")))

    def put_back(self, copy: Path) -> None:
        """Copy it back."""
        shutil.copyfile(copy, self.path)
        self._drop_log()

    def forget(self, copy: Path) -> None:
        """Take the copy away."""
        copy.unlink()

    def close(self) -> None:
        """The folder goes with its bed."""

    def _drop_log(self) -> None:
        self.path.with_name(self.path.name + ".wal").unlink(missing_ok=True)


@attrs.define
class Database:
    """
    A database of a PostgreSQL server.

    host: under which address its clients find the server. only: the tables that the judges want; empty: all.
    """

    server: Server
    folder: Path
    name: str = ""
    host: str = "127.0.0.1"
    only: tuple[str, ...] = ()
    _copies: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        """Make it."""
        self.name = self.server.database(self.name)

    @property
    def url(self) -> str:
        """The setting."""
        return f"odbc:{self.server.string(self.name, Server=self.host)}"

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.server.query(self.name, text)

    def execute(self, text: str) -> None:
        """Run a statement that returns nothing."""
        with self.server.connection(self.name) as connection:
            connection.execute(text)

    def readable(self) -> Path:
        """Write the tables into a file."""
        file = self.folder / "as-a-file.duckdb"
        file.unlink(missing_ok=True)
        write(self.server, self.name, file, only=self.only)
        return file

    def clear(self) -> None:
        """Drop it, and make an empty one of the same name."""
        self.server.drop(self.name)
        self.server.database(self.name)

    def copy(self) -> str:
        """Copy it within the server; nobody may be connected."""
        name = f"{self.name}_copy{next(_NUMBERS)}"
        self._make(name, self.name)
        self._copies.append(name)
        return name

    def put_back(self, copy: str) -> None:
        """Make a copy of the copy."""
        self.server.drop(self.name)
        self._make(self.name, copy)

    def forget(self, copy: str) -> None:
        """Drop the copy."""
        self.server.drop(copy)
        self._copies.remove(copy)

    def close(self) -> None:
        """Drop the database and its copies."""
        for name in (self.name, *self._copies):
            self.server.drop(name)

    def _make(self, name: str, template: str) -> None:
        with self.server.connection("postgres") as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ?", template
            ).fetchall()
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')


def write(server: Server, database: str, file: Path, *, only: Sequence[str] = ()) -> None:
    """Write tables of the schemas `load` and `syncer` into a new DuckDB file, values as they are."""
    import duckdb
    import pyarrow as pa

    with server.connection(database) as asked, duckdb.connect(str(file)) as written:
        written.execute("SET TimeZone = 'UTC'")
        found = asked.execute(
            "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a "
            "JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE "
            "n.nspname IN ('load', 'syncer') AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped "
            "ORDER BY 1, 2, a.attnum"
        ).fetchall()
        for (schema, table), group in itertools.groupby(found, key=lambda row: (row[0], row[1])):
            if only and table not in only:
                continue
            columns = [(str(row[2]), file_type(str(row[3]))) for row in group]
            rows = asked.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()
            written.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns)
            written.execute(f'CREATE TABLE "{schema}"."{table}" ({listed})')
            if rows:
                now = pa.table([_array([row[n] for row in rows], columns[n][1]) for n in range(len(columns))],
                               names=[name for name, _ in columns])  # fmt: skip
                written.register("now", now)
                written.execute(f'INSERT INTO "{schema}"."{table}" SELECT * FROM now')
                written.unregister("now")


def file_type(name: str) -> str:
    """Name the type of a file's column that holds what a server's column of type *name* does. KeyError: none known."""
    numeric = _NUMERIC.fullmatch(name)
    return f"DECIMAL{numeric[1]}" if numeric else _TYPES[name]


def _array(values: Sequence[Any], kind: str) -> Any:
    import pyarrow as pa

    if kind == "TIMESTAMPTZ":
        aware = [None if value is None else value.replace(tzinfo=dt.UTC) for value in values]
        return pa.array(aware, pa.timestamp("us", "UTC"))
    kinds = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64(),
             "BOOLEAN": pa.bool_(), "DATE": pa.date32()}  # fmt: skip
    if kind in kinds:
        return pa.array(values, kinds[kind])
    digits, scale = (int(part) for part in re.findall(r"\d+", kind))
    return pa.array(values, pa.decimal128(digits, scale))
