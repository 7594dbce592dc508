"""Merges whose answer was lost: what became of them is read, as long as patience lasts, and only then sent again."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from syncer import settling_merges
from syncer.errors import Unavailable
from syncer.plan import DONE, MERGE
from syncer.sandbox.faults import Fault
from tests.operations import OperationHome

SETTLE_S = 60.0


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


@pytest.fixture
def group(home: OperationHome, monkeypatch: pytest.MonkeyPatch) -> OperationHome:
    """Three tickets that are one; where we wait, time passes in the portal as well."""
    own = home.home.clock.advance

    def both(seconds: float) -> None:
        own(seconds)
        home.site.clock.advance(seconds)

    for text in ("one", "two", "three"):
        home.ticket("7", content=text)
    monkeypatch.setattr(home.home.clock, "advance", both)
    return home


def waiting(home: OperationHome, seconds: float) -> None:
    tables = {**home.home.settings.tables, "push": {"settle_s": seconds}}
    home.home.settings = attrs.evolve(home.home.settings, tables=tables)


def posts(home: OperationHome) -> int:
    """Return how many merges were asked for."""
    return sum(each.method == "POST" and each.path.endswith("/merge") for each in home.home.sandbox.log)


def are_one(home: OperationHome, plan: str) -> None:
    """The three are one, with the texts of all, and the plan knows each merge's survivor."""
    found = home.only("7")
    assert len(home.live()) == 1 and len(set(found.merged_ids) | {found.id}) == (
        5 if home.site.merge_mode == "new" else 3
    )
    text = found.properties["content"] or ""
    assert [text.count(each) for each in ("\none", "\ntwo", "\nthree")] == [1, 1, 1]
    merges = [each for each in home.changes(plan) if each.action == MERGE]
    assert [each.state for each in merges] == [DONE, DONE]


@pytest.mark.parametrize("skip", [0, 1], ids=["the first", "the last"])
@pytest.mark.parametrize(
    ("kind", "words", "sent"),
    [
        ("reset_after", {}, 2),
        ("truncate", {}, 2),
        ("reset_before", {}, 3),
        ("status", {"status": 504}, 3),
        ("status", {"status": 524}, 3),
        ("late", {"late_s": 20.0}, 2),
    ],
)
def test_a_merge_whose_answer_was_lost_is_done_once(
    group: OperationHome, kind: Any, words: dict[str, Any], sent: int, skip: int
) -> None:
    """What was done is not sent again; what was not done is, and not before patience is over."""
    group.home.sandbox.faults.add(Fault(kind=kind, match="POST .*/merge", skip=skip, **words))
    before = group.home.clock.monotonic()
    done = group.run()
    assert (done.error, done.counts.merged, done.exit_code) == (None, 2, 0)
    are_one(group, done.plan)
    assert posts(group) == sent
    if sent == 3:
        assert group.home.clock.monotonic() - before >= SETTLE_S


def test_how_long_is_waited_is_a_setting(group: OperationHome) -> None:
    """A site that knows its portal waits less."""
    waiting(group, 5)
    group.home.sandbox.faults.add(Fault(kind="reset_before", match="POST .*/merge"))
    before = group.home.clock.monotonic()
    done = group.run()
    assert (done.error, done.counts.merged) == (None, 2)
    assert 5 <= group.home.clock.monotonic() - before < SETTLE_S


@pytest.mark.parametrize("status", [0, 504], ids=["reset", "504"])
def test_a_portal_that_merges_late_each_time_is_waited_for(group: OperationHome, status: int) -> None:
    """Each merge takes place half a minute after its answer was given up."""
    group.site.merge_late_s, group.site.merge_late_status = 30.0, status
    done = group.run()
    assert (done.error, done.counts.merged, done.exit_code) == (None, 2, 0)
    are_one(group, done.plan)
    assert (posts(group), group.site.late.done, group.site.late.dropped) == (2, 2, 0)


def test_a_merge_that_takes_place_after_patience_is_over_is_not_done_twice(group: OperationHome) -> None:
    """It is sent again while the server is still at work, which refuses it; at the end the tickets are one."""
    waiting(group, 5)
    group.home.sandbox.faults.add(Fault(kind="late", late_s=40.0, match="POST .*/merge", skip=1))
    done = group.run()
    group.home.clock.advance(100)
    again = group.run()
    assert (again.error, again.exit_code) == (None, 0), (done, again)
    assert len(group.live()) == 1 and group.site.late.done == 1
    assert (group.only("7").properties["content"] or "").count("\nthree") == 1


def test_where_old_ids_are_not_answered_the_survivor_is_found_by_what_was_merged_into_it(group: OperationHome) -> None:
    """Also where the search index shows it only later."""
    group.site.answers_old_ids = False
    group.site.index_lag_s = 20
    group.home.clock.advance(60)
    group.home.sandbox.faults.add(Fault(kind="reset_after", match="POST .*/merge", times=2))
    done = group.run()
    assert (done.error, done.counts.merged, done.exit_code) == (None, 2, 0)
    are_one(group, done.plan)
    assert posts(group) == 2


def test_edges_that_follow_a_merge_late_do_not_stop_the_next_one(group: OperationHome) -> None:
    """They were put on the survivor before, which is not looked at again in between."""
    company = group.other("companies")
    group.link(group.live()[2], "companies", company, 339)
    group.site.merge_lag_s = 300.0
    done = group.run()
    assert (done.error, done.counts.merged, done.exit_code) == (None, 2, 0)
    assert set(group.linked(group.only("7").id, "companies")) == {company.id}


@pytest.mark.parametrize("is_done", [True, False], ids=["it was done", "it was not done"])
def test_a_run_that_could_not_find_out_is_settled_by_the_next_one(
    group: OperationHome, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    """The network was away when it ended: nothing is sent a second time before it is known."""
    kind: Any = "reset_after" if is_done else "reset_before"
    group.home.sandbox.faults.add(Fault(kind=kind, match="POST .*/merge", skip=1))

    def away(*_: Any) -> None:
        raise Unavailable("The network is away.")

    with monkeypatch.context() as patched:
        patched.setattr(settling_merges, "settled", away)
        done = group.run()
    assert (done.exit_code, done.error) == (1, "The network is away.")
    group.home.clock.advance(600)
    sent = posts(group)
    again = group.run()
    assert (again.error, again.exit_code, posts(group) - sent) == (None, 0, 0 if is_done else 1)
    found = group.only("7")
    assert len(group.live()) == 1 and (found.properties["content"] or "").count("\nthree") == 1
