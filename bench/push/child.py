"""
One process that works on the warehouse or pushes: `python -m bench.push.child STEP`, told what by `job.json` in its
folder.

    tell      statements are run, unmeasured
    know      the snapshot is given all rows of the relation of the diff as they are, unmeasured
    push      the companies are pushed
    find      the rows that differ are found, as a plan finds them
    hand      the same by hand

It prints one line of JSON of what it saw from inside; `work_s` and `work_cpu_s` are without the interpreter's start
and the imports, and with opening and closing the warehouse.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bench.child import cpu_s
from bench.push import KEY, MAPPING
from bench.push.wide import FOUND, WIDE, by_hand

if TYPE_CHECKING:
    from syncer.relation import Wanted
    from syncer.settings import Settings
    from syncer.values import Type
    from syncer.warehouses import Transaction, Warehouse

Job = dict[str, Any]
T = TypeVar("T")
PLAN = "20260101_000000_bench"
WORK_MEM = "256MB"  # of a session of the diff by hand, as was found fastest


class Told(Protocol):
    """A connection of somebody who works without syncer."""

    def execute(self, query: str) -> Any:
        """Run a statement."""


def main(step: str) -> None:
    """Do one step; print what it came to."""
    job = json.loads(Path("job.json").read_text())
    print(json.dumps(STEPS[step](job)))


def _tell(job: Job) -> Job:
    with _connected(job) as connection:
        for each in job["statements"]:
            connection.execute(each)
    return {}


def _push(job: Job) -> Job:
    import pyarrow  # noqa: F401
    import requests  # noqa: F401

    from syncer import executing, pushing
    from syncer.warehouses import duckdb, postgresql  # noqa: F401

    settings = _settings(job)
    request = executing.Request(**job.get("request", {}))
    with _timed() as said:
        [pushed] = pushing.push(MAPPING, settings=settings, request=request)
    if pushed.status != "done":
        raise RuntimeError(f"{pushed} {pushed.trips} {pushed.error}")
    counts = {name: number for name, number, _ in pushed.outcomes() if number}
    return {**said, "counts": counts, "told": str(pushed)}


def _know(job: Job) -> Job:
    from syncer import plans, shape, snapshots, sql

    settings, wanted, types, warehouse = _opened(job)

    def know(t: Transaction) -> None:
        shape.ensure_state(t)
        for table in (*plans.TABLES, *snapshots.TABLES):
            shape.ensure(t, table)
        t.run(sql.statement(_knowing(t, wanted, types, settings)), [MAPPING, settings.environment])

    _with_room(warehouse, know)
    warehouse.close()
    return {}


def _find(job: Job) -> Job:
    from syncer import relation

    _opened(job)[3].close()  # so that nothing is imported, and no file read, for the first time
    with _timed() as said:
        settings, wanted, types, warehouse = _opened(job)
        where = {"mapping": MAPPING, "environment": settings.environment}
        found = _with_room(warehouse, lambda t: relation.find(t, wanted, types, plan=PLAN, **where))
        warehouse.close()
    warehouse = _opened(job)[3]
    with warehouse.transaction() as t:
        relation.drop(t, PLAN)
    warehouse.close()
    return {**said, "rows": found.rows, "found": found.copied}


def _hand(job: Job) -> Job:
    with _connected(job):
        pass
    with _timed() as said, _connected(job) as connection:
        if job["backend"] == "postgresql":
            connection.execute(f"SET work_mem = '{WORK_MEM}'")
        for each in by_hand(job["backend"], job["way"]):
            connection.execute(each)
    with _connected(job) as connection:
        [found] = connection.execute(f"SELECT COUNT(*) FROM {FOUND}").fetchone()
        connection.execute(f"DROP TABLE {FOUND}")
    return {**said, "found": found}


def _with_room(warehouse: Warehouse, do: Callable[[Transaction], T]) -> T:
    """Do one transaction; where the warehouse ran out of memory, again with more of it, as a plan does."""
    from syncer.errors import OutOfMemory

    while True:
        try:
            with warehouse.transaction() as t:
                return do(t)
        except OutOfMemory:
            if not warehouse.grow():
                raise


def _knowing(t: Transaction, wanted: Wanted, types: dict[str, Type], settings: Settings) -> str:
    """Write the statement that makes the snapshot of all rows, with the hash that a push would have kept."""
    from syncer import relation, snapshots, sql

    name = snapshots.hashes(t, wanted.hashed, mapping=MAPPING, environment=settings.environment).now
    return (
        f"INSERT INTO {sql.table_name(snapshots.SNAPSHOTS)} (mapping, environment, key, id, row_hash, state, run, "
        f"moved_at) SELECT ?, ?, {relation.key_text('r', wanted, types)}, SUBSTR(r.{KEY}, 2), '{name}' || "
        f"{t.row_hash('r', wanted.hashed)}, '{snapshots.LIVE}', 'bench', CURRENT_TIMESTAMP FROM {WIDE} AS r"
    )


def _opened(job: Job) -> tuple[Settings, Wanted, dict[str, Type], Warehouse]:
    """Open the warehouse, and say what is compared in the relation of the diff."""
    from syncer import relation, warehouses
    from syncer.clock import SystemClock

    settings = _settings(job)
    warehouse = warehouses.find(settings, clock=SystemClock())
    with warehouse.transaction() as t:
        types = relation.columns_of(t, WIDE)
    columns = sorted(types)
    wanted = relation.Wanted(reference=WIDE, columns=columns, properties=columns, key=KEY, types=types)
    return settings, wanted, types, warehouse


def _settings(job: Job) -> Settings:
    from syncer import settings

    os.environ |= job["variables"]
    return settings.load()


@contextlib.contextmanager
def _connected(job: Job) -> Iterator[Told]:
    """Connect to the warehouse as a person would; what was done is there at the end."""
    if job["backend"] == "duckdb":
        import duckdb

        file = duckdb.connect(job["file"])
        try:
            yield file
        finally:
            file.close()
    else:
        import pyodbc

        pyodbc.pooling = False
        server = pyodbc.connect(job["odbc"], autocommit=True)
        try:
            yield _Cursor(server.cursor())
        finally:
            server.close()


class _Cursor:
    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def execute(self, query: str) -> Any:
        """Run a statement."""
        return self._cursor.execute(query)


@contextlib.contextmanager
def _timed() -> Iterator[Job]:
    said: Job = {}
    wall, cpu = time.perf_counter(), cpu_s()
    yield said
    said |= {"work_s": time.perf_counter() - wall, "work_cpu_s": cpu_s() - cpu}


STEPS: dict[str, Callable[[Job], Job]] = {"tell": _tell, "know": _know, "push": _push, "find": _find, "hand": _hand}

if __name__ == "__main__":
    main(sys.argv[1])
