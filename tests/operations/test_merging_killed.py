"""A run of merges that ended half-way: the next one finishes the group that was begun, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from syncer import plan_journal
from syncer.plan import DONE, MERGE, SENDING, Change
from tests.operations import COMPANY, RESTORED_FROM, SAME, OperationHome

TEXTS = ("one", "two", "three")


@pytest.fixture
def group(home: OperationHome) -> OperationHome:
    """Three tickets that are one, of which one has a company."""
    tickets = [home.ticket("7", content=text) for text in TEXTS]
    home.link(tickets[1], "companies", home.other("companies"), COMPANY)
    return home


def killed(home: OperationHome, monkeypatch: pytest.MonkeyPatch, action: str, state: str, nth: int = 1) -> str:
    """Run, and end before the nth time that a state of such changes is written down; return the run's id."""
    set_states = plan_journal.set_states
    left = [nth]

    def end(t: Any, plan: str, changed: Sequence[Change], **more: Any) -> None:
        if changed and changed[0].action == action and changed[0].state == state:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
        set_states(t, plan, changed, **more)

    with monkeypatch.context() as patched:
        patched.setattr(plan_journal, "set_states", end)
        with pytest.raises(KeyboardInterrupt):
            home.run()
    home.home.later()
    [(run,)] = home.rows("SELECT run FROM syncer.runs WHERE status = 'running'")
    return str(run)


def merges(home: OperationHome) -> int:
    return sum(each.method == "POST" and each.path.endswith("/merge") for each in home.home.sandbox.log)


def is_whole(home: OperationHome) -> None:
    """There is one ticket, with each text once, and the company."""
    found = home.only("7")
    text = found.properties["content"] or ""
    assert [text.count(f"\n{each}") for each in TEXTS] == [1, 1, 1] and text.count("--- ticket") == 3
    assert len(home.live()) == 1 and len(home.linked(found.id, "companies")) == 1


@pytest.mark.parametrize(
    ("action", "state", "nth"),
    [
        ("update", DONE, 1),
        ("associate", SENDING, 1),
        (MERGE, SENDING, 1),
        (MERGE, DONE, 1),
        (MERGE, SENDING, 2),
        (MERGE, DONE, 2),
    ],
)
def test_the_next_run_makes_the_group_one(
    group: OperationHome, monkeypatch: pytest.MonkeyPatch, action: str, state: str, nth: int
) -> None:
    """Wherever it ended: each ticket is merged once, and no text stands there twice."""
    killed(group, monkeypatch, action, state, nth)
    done = group.run()
    assert (done.error, done.exit_code) == (None, 0)
    is_whole(group)
    assert merges(group) == 2
    again = group.run()
    assert (again.counts.merged, again.counts.updated, again.counts.unchanged) == (0, 0, 1)


@pytest.mark.parametrize(("state", "nth"), [(SENDING, 2), (DONE, 1)])
def test_what_was_begun_is_the_broken_runs(
    group: OperationHome, monkeypatch: pytest.MonkeyPatch, state: str, nth: int
) -> None:
    """So that one revert puts all of the group back."""
    run = killed(group, monkeypatch, MERGE, state, nth)
    done = group.run()
    assert (done.error, done.counts.merged) == (None, 0)
    home = group.home
    [(status,)] = home.rows("SELECT status FROM syncer.runs WHERE run = ?", [run])
    assert status == "broken"
    runs = home.rows("SELECT DISTINCT run FROM syncer.changes WHERE action = 'merge'")
    assert runs == [(run,)]
    home.later()
    put = group.revert(run)
    assert (put.error, put.counts.created) == (None, 2)
    back = [each for each in group.live() if each.properties.get(RESTORED_FROM)]
    assert sorted(str(each.properties["content"]) for each in back) == ["three", "two"]


def test_a_revert_of_a_broken_run_finishes_its_group_first(
    group: OperationHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a group put back would be neither before nor after."""
    run = killed(group, monkeypatch, MERGE, DONE)
    put = group.revert(run)
    assert (put.error, put.counts.created) == (None, 2)
    assert sorted(str(each.properties["content"]) for each in group.live()) == ["one", "three", "two"]
    assert {each.properties[SAME] for each in group.live()} == {"7"}


def test_a_first_small_part_leaves_no_group_half_merged(group: OperationHome) -> None:
    """However few changes are asked for; the rest of the plan is done by the plan."""
    for number in (8, 9):
        for text in TEXTS:
            group.ticket(str(number), content=text)
    begun = group.run(first=1)
    assert begun.error is None
    sizes = sorted(sum(each.properties[SAME] == same for each in group.live()) for same in "789")
    assert set(sizes) <= {1, 3}
    rest = group.run(plan=begun.plan)
    assert (rest.error, rest.exit_code, len(group.live())) == (None, 0, 3)
    assert sum(bool(each.merged_ids) for each in group.live()) == 3
