"""What the tests on a real PostgreSQL server share: a database, the warehouse in it, and tables to try things on."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa

from syncer.clock import Clock, SystemClock
from syncer.settings import Settings
from syncer.sources import Page
from syncer.sql import statement
from syncer.tables import Column, Table
from syncer.values import BIGINT, TEXT
from syncer.warehouses import Transaction, Warehouse, find
from tests.backends import PostgreSQLDatabase, Rows, new_database
from tests.servers import postgresql

PAIRS = Table(schema="load", name="pairs", columns=(Column("a", BIGINT), Column("b", TEXT)), key=("a",))
_numbers = itertools.count(1)


@attrs.define(kw_only=True)
class Place:
    """An empty database of a server, and the warehouses that a test opens in it."""

    folder: Path
    database: PostgreSQLDatabase
    made: list[Warehouse] = attrs.field(factory=list)
    roles: list[str] = attrs.field(factory=list)

    @property
    def server(self) -> postgresql.Server:
        """The server."""
        return postgresql.shared()

    @property
    def name(self) -> str:
        """The database's name."""
        return self.database.name

    def settings(self, *, wait_s: float = 5, **more: str) -> Settings:
        """Settings of a site; *more* are keys of the connection string."""
        return Settings(warehouse=f"odbc:{self.server.string(self.name, **more)}", base=self.folder, wait_s=wait_s)

    def warehouse(self, *, wait_s: float = 5, clock: Clock | None = None, **more: str) -> Any:
        """Open a warehouse; it is closed with the test. Any: tests look inside."""
        found = find(self.settings(wait_s=wait_s, **more), clock=clock or SystemClock())
        self.made.append(found)
        return found

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Rows:
        """Ask as an administrator."""
        return self.database.rows(query, parameters)

    def role(self, rights: str = "", *, may_create: bool = False) -> str:
        """Make a role that may log in, and no more."""
        name = f"role{os.getpid()}_{next(_numbers)}"
        self.rows(f"CREATE ROLE {name} LOGIN {rights}")
        self.roles.append(name)
        if may_create:
            self.rows(f'GRANT CREATE ON DATABASE "{self.name}" TO {name}')
        return name

    def close(self) -> None:
        """Close what was opened, and take away what was made."""
        for warehouse in self.made:
            warehouse.close()
        for role in self.roles:
            self.rows(f"DROP OWNED BY {role} CASCADE")
            self.rows(f"DROP ROLE {role}")
        self.database.close()


def new_place(folder: Path, *, options: str = "") -> Place:
    """Take an empty database; with *options*, make one that is dropped with its test."""
    if not options:
        return Place(folder=folder, database=new_database(folder))
    name = postgresql.shared().database(options=options)
    return Place(folder=folder, database=PostgreSQLDatabase(name, is_used_again=False))


def write(t: Transaction, number: int, text: str = "x") -> int:
    """Write one row of PAIRS."""
    return t.run(statement("INSERT INTO load.pairs VALUES (?, ?)"), [number, text])


def with_pairs(warehouse: Warehouse) -> Warehouse:
    """Make the table PAIRS."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
    return warehouse


def things(*numbers: int, **values: Any) -> Iterator[Page]:
    """A page of the scripted source."""
    yield Page(scope="all", records=[{"id": number, **values} for number in numbers], place={"at": max(numbers)})


def eventually(is_so: Callable[[], Any], *, within_s: float = 10) -> float:
    """Wait until something is so; return how long it took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within_s, "it did not come to be"
        time.sleep(0.02)
    return time.monotonic() - began


def started(script: str, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a process that says one line when it is ready, and wait for that line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(variables or {})},
    )
    assert process.stdout is not None
    assert process.stdout.readline(), "it ended"
    return process


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Table:
    """A table of one column."""
    return pa.table({"a": pa.array(values, kind)})
