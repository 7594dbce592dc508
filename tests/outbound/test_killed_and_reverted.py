"""A push that was killed half-way, and is reverted before it is gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from syncer import executing, plan_journal, reverting
from syncer.plan import Change
from tests.outbound.edges_home import EdgesHome


def killed_before(edges: EdgesHome, monkeypatch: pytest.MonkeyPatch, action: str) -> str:
    """Push the tickets; end it before the first intent of an action is written down; return the run's id."""
    set_states = plan_journal.set_states

    def end(t: Any, plan: str, changed: Sequence[Change], **more: Any) -> None:
        if changed and changed[0].action == action:
            raise KeyboardInterrupt
        set_states(t, plan, changed, **more)

    monkeypatch.setattr(plan_journal, "set_states", end)
    with pytest.raises(KeyboardInterrupt):
        edges.push()
    monkeypatch.setattr(plan_journal, "set_states", set_states)
    edges.home.later()
    [(run,)] = edges.home.rows("SELECT run FROM syncer.runs WHERE status = 'running'")
    return str(run)


def reverted(edges: EdgesHome, run: str) -> Any:
    home = edges.home
    done = reverting.revert(run, settings=home.settings, request=executing.Request(wait_s=5), doors=home.doors)
    home.later()
    return done


def test_a_group_that_was_begun_is_finished_before_it_is_put_back(
    edges: EdgesHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten tickets move from a to b; it ended when b was there and a not gone: reverted, each has a again, and no b."""
    edges.rows("tickets", [{"key": f"t{number}", "company": "a"} for number in range(10)])
    assert edges.push().associated == 10
    edges.home.later()
    edges.home.rows("UPDATE stage.tickets SET company = 'b'")
    run = killed_before(edges, monkeypatch, "disassociate")
    done = reverted(edges, run)
    assert (done.status, done.exit_code) == ("done", 0)
    before = {f"t{number}": edges.linked(f"t{number}") for number in range(10)}
    assert all(len(linked) == 1 for linked in before.values())
    last = edges.push()
    assert (last.counts.unchanged, last.exit_code) == (10, 0)
    assert {key: edges.linked(key) for key in before} == before, "the push after a revert writes nothing"
    assert edges.home.rows("SELECT COUNT(*) FROM syncer.runs WHERE status = 'running'") == [(0,)]


def test_what_a_revert_finishes_first_is_within_its_limits(edges: EdgesHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held against what the run did, and finishing a group makes that more."""
    edges.rows("tickets", [{"key": f"t{number}", "company": "a"} for number in range(10)])
    run = killed_before(edges, monkeypatch, "associate")
    done = reverted(edges, run)
    assert (done.status, done.trips) == ("done", ())
    live = [each for each in edges.home.site.store.records["tickets"].values() if not each.is_archived]
    assert live == []
    last = edges.push()
    assert (last.exit_code, last.counts.skipped) == (0, 10), "a create that was reverted is skipped"
