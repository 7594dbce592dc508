"""
What a push reads of its own tables on a server: each batch its own rows, however many the plan has.

Rows are counted, as the server tells them, and not time: a table that is read once a batch is read a hundred times by
a plan of ten thousand changes, and nobody notices it with ten.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer import plans, reverting, verifying
from tests.outbound import KEY, PushHome, at_home

ROWS = 2_500  # 25 batches: a table that is read in each of them is read 25 times
AT_MOST = 24  # reads of each row of a table: its batch's, and those of the few statements that are about a whole plan
TABLES = ("changes", "plan_rows", "snapshots", "agreed", "conflicts")
FIRST = "c0000001"  # a row that stays as it is


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushHome]:
    """Companies that were adopted, in a warehouse whose server knows of that push only."""
    with at_home(Path(tmp_path_factory.mktemp("crm")), "postgresql") as home:
        name, home.database.is_used_again = home.database.name, False  # type: ignore[attr-defined]  # a server's
        home.rows(f'ALTER DATABASE "{name}" SET random_page_cost = 1.1')  # else few rows are read whole, and rightly
        for number in range(1, ROWS + 1):
            home.make(f"c{number:07}", phone="old")
        home.rows("CREATE SCHEMA stage")
        home.rows(
            f"CREATE TABLE stage.companies AS SELECT 'c' || LPAD(CAST(i AS text), 7, '0') AS {KEY}, "
            f"CAST('old' AS text) AS phone FROM generate_series(1, {ROWS}) AS i"
        )
        home.push()
        home.change(FIRST, phone="one")
        home.push()
        home.rows("ANALYZE")  # a plan of one change is all that it knows of
        yield home


def read(home: PushHome) -> dict[str, int]:
    """Return how many rows of each table were read so far, by any way; who reads has hung up, and told."""
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while home.rows(others):
        time.sleep(0.02)
    query = (
        "SELECT relname, seq_tup_read + COALESCE(idx_tup_fetch, 0) FROM pg_stat_all_tables WHERE schemaname = 'syncer'"
    )
    return {name: int(count) for name, count in home.rows(query) if name in TABLES}


def too_many(home: PushHome, before: dict[str, int]) -> dict[str, int]:
    """Return the tables of which too many rows were read since, and how many for each that they have."""
    counted = read(home)
    sizes = {name: home.rows(f"SELECT COUNT(*) FROM syncer.{name}")[0][0] for name in TABLES}
    found = {name: (count - before.get(name, 0)) / (sizes[name] or 1) for name, count in counted.items()}
    return {name: each for name, each in found.items() if each > AT_MOST}


def test_a_batch_reads_its_own_rows(crm: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push, its revert and a verify: each reads a plan a dozen times as a whole, and never once a batch."""
    monkeypatch.setattr(plans, "SURVEYED", ROWS // 2)
    crm.later()
    before = read(crm)
    crm.rows("UPDATE stage.companies SET phone = 'new'")
    pushed = crm.push()
    assert pushed.counts.updated == ROWS and too_many(crm, before) == {}
    crm.later()
    crm.rows("ANALYZE")  # the plan of the revert is none that the server has heard of
    before = read(crm)
    reverted = reverting.revert(pushed.run or "", settings=crm.settings, request=crm.request(), doors=crm.doors)
    assert reverted.counts.updated == ROWS and too_many(crm, before) == {}
    crm.later()
    before = read(crm)
    [verified] = verifying.verify("hubspot.companies", settings=crm.settings, doors=crm.doors)
    assert verified.counts["left_alone"] == ROWS and too_many(crm, before) == {}


@pytest.mark.parametrize(("from_on", "times"), [(1, 1), (2, 0)])
def test_a_large_plan_is_made_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_on: int, times: int) -> None:
    """A planner that takes it for a row compares each of its rows with each: 8,000 took a minute to be counted."""
    monkeypatch.setattr(plans, "SURVEYED", from_on)
    query = "SELECT relname, analyze_count::int FROM pg_stat_all_tables WHERE schemaname = 'syncer'"
    with at_home(tmp_path / "home", "postgresql") as home:
        home.make("a", phone="old")
        home.relation([{KEY: "a", "phone": "old"}])
        home.push()
        home.change("a", phone="new")
        assert home.push().counts.updated == 1
        read(home)
        analyzed = dict(home.rows(query))
    assert [analyzed[name] for name in TABLES] == [times] * 4 + [0]
