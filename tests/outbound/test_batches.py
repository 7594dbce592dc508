"""How many records are read at once: a plan asks no more often than its rows need, wherever keys stand twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncer import outbound
from tests.backends import BACKENDS
from tests.outbound import KEY, PushHome, at_home, portal

MANY = 2_000


def relate(home: PushHome, *, twice: dict[int, int] | None = None, rows: int = MANY) -> None:
    """Make a relation of many rows, numbered by the order of their keys; some stand there so many times more."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows("DROP TABLE IF EXISTS stage.companies")
    home.rows(
        f"CREATE TABLE stage.companies AS SELECT CAST(10000 + g.i AS TEXT) AS {KEY}, 'n' AS name "
        f"FROM generate_series(1, {rows}) AS g(i)"
    )
    for number, more in (twice or {}).items():
        home.rows(
            f"INSERT INTO stage.companies SELECT CAST(10000 + {number} AS TEXT), 'n' "
            f"FROM generate_series(1, {more}) AS g(i)"
        )


def reads(home: PushHome) -> int:
    return sum(each.endswith("/batch/read") for each in home.sent())


@pytest.fixture(scope="module", params=list(BACKENDS))
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushHome]:
    """A portal that has a company of each row; nothing is written to it, and plans of it are no pushes."""
    site = portal()
    for number in range(1, MANY + 1):
        site.store.create("companies", {KEY: str(10_000 + number), "name": "n"}, source_type="CRM_UI")
    folder = tmp_path_factory.mktemp("full")
    with at_home(folder, request.param, site=site) as home:
        yield home


@pytest.mark.parametrize(
    ("twice", "rejected"),
    [
        ({}, 0),
        ({1: 1}, 2),
        ({1_000: 1}, 2),
        ({1_001: 1}, 2),
        ({999: 1, 1_000: 1, 1_001: 1}, 6),
        ({2_000: 1}, 2),
        ({1_000: 2_500}, 2_501),
    ],
)
def test_adopting_reads_once_a_hundred_rows(full: PushHome, twice: dict[int, int], rejected: int) -> None:
    """A key that stands twice at a border costs no read more, and its rows are one; those are not asked for."""
    relate(full, twice=twice)
    full.sent()
    done = full.push(is_rehearsal=True)
    assert (done.counts.unchanged, done.counts.rejected) == (MANY - len(twice), rejected)
    assert reads(full) == 20
    told = full.rows("SELECT key, times FROM syncer.plan_rows WHERE plan = ? AND times > 1 ORDER BY key", [done.plan])
    assert told == [(str(10_000 + number), more + 1) for number, more in twice.items()]


def test_memory_holds_two_batches_however_often_a_key_stands(full: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows wait until the next key is known; they must not pile up."""
    monkeypatch.setattr(outbound, "ROWS_AT_ONCE", 100)
    relate(full, twice={100: 5_000, 150: 1, 151: 777, 1_999: 99})
    sizes: list[int] = []
    batches = outbound.Planning._batches

    def counted(self: outbound.Planning, *given: Any) -> Iterator[list[outbound.Row]]:
        for rows in batches(self, *given):
            sizes.append(len(rows))
            yield rows

    monkeypatch.setattr(outbound.Planning, "_batches", counted)
    done = full.push(is_rehearsal=True)
    assert (done.counts.read, done.counts.rejected) == (MANY + 5_877, 5_881)
    assert sizes == [100] * 20
