"""
A PostgreSQL server to measure: what it used, what it was asked, and how its catalogue grew.

CPU is that of all its processes, ended ones too, as `/proc` tells it: Linux only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from tests.servers import postgresql

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# As a server of people's own is: durable, and with the statements counted.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "autovacuum_naptime": "60s",
    "shared_preload_libraries": "pg_stat_statements",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Used:
    """What a server has used and been asked so far."""

    cpu_s: float = 0.0
    commits: int = 0
    rollbacks: int = 0
    sessions: int = 0
    statements: int = 0

    def since(self, before: Used) -> Used:
        """Return the difference."""
        return Used(**{each.name: getattr(self, each.name) - getattr(before, each.name) for each in FIELDS})


FIELDS = dataclasses.fields(Used)


@dataclasses.dataclass
class Measured:
    """A running server and one database of it."""

    server: postgresql.Server
    database: str

    @property
    def string(self) -> str:
        """The warehouse, as SYNCER_WAREHOUSE has it."""
        return f"odbc:{self.server.string(self.database)}"

    def query(self, text: str) -> list[tuple[object, ...]]:
        """Ask the database from another one's connection where that matters; here from its own."""
        return self.server.query(self.database, text)

    def used(self) -> Used:
        """Read what it has used; our own question is in the database `postgres`, so it is not counted."""
        asked = f"SELECT xact_commit, xact_rollback, sessions FROM pg_stat_database WHERE datname = '{self.database}'"
        ((commits, rollbacks, sessions),) = self.server.query("postgres", asked)
        ((statements,),) = self.server.query(
            "postgres",
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements AS s "
            f"JOIN pg_database AS d ON d.oid = s.dbid WHERE d.datname = '{self.database}'",
        )
        return Used(
            cpu_s=self.cpu_s(), commits=int(commits), rollbacks=int(rollbacks), sessions=int(sessions),
            statements=int(statements),
        )  # fmt: skip

    def cpu_s(self) -> float:
        """CPU of the server's processes; of those that ended the postmaster knows."""
        postmaster = self.server.process.pid
        total = 0.0
        for pid in (postmaster, *children(postmaster)):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ended = slice(11, 15) if pid == postmaster else slice(11, 13)
                total += sum(map(int, fields[ended])) * _TICK_S
        return total

    def catalogue(self) -> dict[str, tuple[int, int]]:
        """Bytes and dead rows of what temporary tables make grow, and of syncer's own state."""
        names = "'pg_class', 'pg_attribute', 'pg_type', 'pg_depend', 'pg_statistic'"
        found = self.query(
            "SELECT c.relname, pg_total_relation_size(c.oid), coalesce(pg_stat_get_dead_tuples(c.oid), 0) "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            f"WHERE (n.nspname = 'pg_catalog' AND c.relname IN ({names})) "
            "OR (n.nspname = 'syncer' AND c.relname IN ('runs', 'marks', 'leases')) ORDER BY 1"
        )
        return {str(name): (int(str(size)), int(str(dead))) for name, size, dead in found}


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(each) for each in task.read_text().split()]
    return found


@contextlib.contextmanager
def running(**more: str) -> Iterator[Measured]:
    """Start a server of our own, with an empty database; it ends with the block."""
    server = postgresql.start(settings={**SETTINGS, **more})
    try:
        with server.connection("postgres") as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        yield Measured(server=server, database=server.database())
    finally:
        server.stop()
