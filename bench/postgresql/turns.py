"""
Who is measured on PostgreSQL, and the runs of one turn, in a database of its own: first, again (nothing changed), and
changed (one record in a hundred).

Behind each run a checkpoint is made within what is measured: what is not on disk yet is work that the run has left to
the server. Then the server is asked which rows were written, and the table is compared with the API's records. What
autovacuum would do is done last, and told apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from bench import measure
from bench.measure import Api, Measured
from bench.postgresql import RUNS, Address
from bench.postgresql.check import check, truth
from bench.postgresql.server import Server

CONTENDERS = (
    "postgresql_floor", "postgresql_syncer", "postgresql_dlt_records", "postgresql_dlt_arrow",
    "postgresql_dlt_default",
)  # fmt: skip
_number = itertools.count(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Used:
    """
    What one run used, or the median of several.

    server_cpu_s: all processes of the server, with the checkpoint behind the run.
    written: rows that were inserted, updated or deleted in the contender's table; written_elsewhere: in all others.
    upkeep_cpu_s: of the `VACUUM (ANALYZE)` behind it, which is in no sum.
    """

    client: Measured
    server_cpu_s: float
    wal_mb: float
    written: int
    written_elsewhere: int
    upkeep_cpu_s: float

    @property
    def cpu_s(self) -> float:
        """Client and server together."""
        return self.client.cpu_s + self.server_cpu_s

    @classmethod
    def median(cls, several: Sequence[Used]) -> Used:
        """Return the median of each number; of rows, which must not differ, the largest."""
        names = ("server_cpu_s", "wal_mb", "upkeep_cpu_s")
        middle = {name: statistics.median(getattr(each, name) for each in several) for name in names}
        return cls(
            **middle, client=Measured.median([each.client for each in several]),
            written=max(each.written for each in several),
            written_elsewhere=max(each.written_elsewhere for each in several),
        )  # fmt: skip


Turn = Mapping[str, Used]  # by run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """What is read, as it is and changed, and where it goes."""

    server: Server
    records: int
    api: Api
    changed: Api


@contextlib.contextmanager
def site(server: Server, records: int) -> Iterator[Site]:
    """Start the API twice: as it is, and when some records have changed."""
    with measure.server(records) as api, measure.server(records, is_changed=True) as changed:
        yield Site(server=server, records=records, api=api, changed=changed)


def turn(contender: str, site: Site, packages: Path) -> Turn:
    """Measure a contender's runs in an empty database, each a process of its own."""
    server, database = site.server, f"bench_{next(_number)}"
    server.ask(f"CREATE DATABASE {database} TEMPLATE template0")
    try:
        with measure.work_folder() as folder:
            server.address(database).keep(folder)
            return {run: _run(contender, run, site, folder=folder, packages=packages) for run in RUNS}
    finally:
        server.ask(f"DROP DATABASE {database} WITH (FORCE)")


def _run(contender: str, run: str, site: Site, *, folder: Path, packages: Path) -> Used:
    server, database = site.server, Address.of(folder).database
    table = import_module(f"bench.contenders.{contender}").TABLE
    server.ask("CHECKPOINT")
    server.wait_until_idle()
    before, place, cpu = _rows(server, database), _wal(server), server.cpu_s()
    is_changed = run == "changed"
    api = site.changed if is_changed else site.api
    client = measure.process(contender, run, api, folder=folder, packages=packages)
    server.wait_until_idle()
    server.ask("CHECKPOINT")
    server.wait_until_idle()
    used, wal = server.cpu_s() - cpu, _wal(server) - place
    after = _rows(server, database)
    done = {name: count - before.get(name, 0) for name, count in after.items()}
    written = done.pop(table)
    check(server, database, table, truth(site.records, is_changed=is_changed))
    began = server.cpu_s()
    server.ask("VACUUM (ANALYZE)", database)
    server.wait_until_idle()
    return Used(
        client=client, server_cpu_s=used, wal_mb=wal / 1e6, written=written, written_elsewhere=sum(done.values()),
        upkeep_cpu_s=server.cpu_s() - began,
    )  # fmt: skip


def _rows(server: Server, database: str) -> Mapping[str, int]:
    """Ask the server how many rows were written in each table since it was made; one that was dropped is gone."""
    query = "SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"
    lines = server.ask(query, database).splitlines()
    return {name: int(count) for name, _, count in (line.rpartition("|") for line in lines)}


def _wal(server: Server) -> int:
    """Ask the server how many bytes its write-ahead log has had so far."""
    return int(server.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))
