"""
What a warehouse ends up with does not depend on which one it is: the same pulls into a DuckDB file and a database of
PostgreSQL leave the same rows, load tables and state alike. And a server's own counters say what a pull wrote.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from syncer import engine, sql
from tests.backends import Database, columns_of
from tests.contracts.test_source import SOURCES, Home, homes

# What differs from run to run, whatever the warehouse: names of runs, times of our clock, processes, an engine's hash.
OF_THE_RUN = {
    "run", "dss_load_date", "dss_offered_by", "row_hash", "started_at", "updated_at", "finished_at", "first_seen",
    "last_seen", "pid", "host", "outdated", "requests",
}  # fmt: skip


def canonical(value: Any) -> Any:
    """Write JSON with its names in order, since jsonb keeps an order of its own; times in one zone."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value


def contents(database: Database) -> dict[str, Counter[tuple[str, ...]]]:
    """The rows of each table of ours, but for who holds a lease."""
    listed = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('load', 'syncer')"
    found = {}
    for schema, table in database.rows(listed):
        if (schema, table) in (("syncer", "leases"), ("syncer", "commits")):  # a file needs neither
            continue
        columns = sorted(set(columns_of(database, table, schema=schema)) - OF_THE_RUN)
        rows = database.rows(f'SELECT {sql.names(columns)} FROM {schema}."{table}"')
        found[f"{schema}.{table}"] = Counter(
            tuple(f"{name}={canonical(value)!r}" for name, value in zip(columns, row, strict=True)) for row in rows
        )
    return found


def differing(one: Database, other: Database) -> list[str]:
    """Name what one has and the other has not."""
    left, right = contents(one), contents(other)
    assert sum(rows.total() for rows in left.values()) > 100
    wrong = [f"{name}: in one of them only" for name in left.keys() ^ right.keys()]
    for name in left.keys() & right.keys():
        for sign, more in (("-", left[name] - right[name]), ("+", right[name] - left[name])):
            wrong += [f"{name} {sign} {' '.join(row)[:500]}" for row in list(more)[:3]]
    return wrong


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_both_warehouses_have_the_same_rows(source: str, tmp_path: Path) -> None:
    """First load, edits, a census; every other mapping in the style delta. Also marks, rejects, findings, aliases."""
    with homes(source, tmp_path, "duckdb", "postgresql", is_mixed=True) as (one, other):
        for step in range(3):
            for home in (one, other):
                runs = home.done(**({"mode": engine.CENSUS, "is_forced": True} if step == 2 else {}))
                assert step or sum(run.inserted for run in runs) > 100
            assert differing(one.database, other.database) == []
            one.site.edit(25, step)
            one.later()


def written(home: Home) -> dict[str, int]:
    """How many rows of each load table, of what was seen and of offers were ever written, by the server's counters."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    began = time.monotonic()
    while home.database.rows(others) != [(0,)]:  # a session counts what it did when it ends
        assert time.monotonic() - began < 20
        time.sleep(0.01)
    return dict(
        home.database.rows(
            "SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
            "WHERE schemaname = 'load' OR relname = 'seen' OR relname LIKE 'offers\\_%'"
        )
    )


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_an_unchanged_second_pull_writes_no_row_by_the_servers_own_count(source: str, tmp_path: Path) -> None:
    """Promise 4, told by neither our counts nor our load dates; half of the mappings in the style delta."""
    with homes(source, tmp_path, "postgresql", is_mixed=True) as (home,):
        home.done()
        first = written(home)
        assert sum(first.values()) > 100 and first["syncer.seen"] > 0
        home.later()
        home.done()
        home.done(mode=engine.FULL)  # many sources tell an incremental pull nothing at all
        assert {name: count - first[name] for name, count in written(home).items() if count != first[name]} == {}
        home.site.edit(25, 1)
        home.later()
        home.done()
        assert sum(written(home).values()) > sum(first.values())
