"""The short forms of the campaigns of merges, with fixed seeds, on each kind of warehouse."""

from __future__ import annotations

import pytest

from syncer.sandbox import Fault
from tests.campaign import beds, merge_kills, merge_lost_answers, merge_reverts, merges
from tests.campaign.merges_history import MergeHistory
from tests.campaign.merges_portal import Sizes, portal_of, run


@pytest.fixture(autouse=True)
def on_each(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Campaigns run on the kind of warehouse that the test is of."""
    monkeypatch.setattr(beds.KIND, "name", backend)


def test_one_ticket_a_group_and_nothing_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Compared with a second opinion, record by record and edge by edge; a merge cannot be undone."""
    assert merges.campaign(is_short=True) == 0, capsys.readouterr().out


def test_a_kill_at_any_call_leaves_what_the_next_run_finishes(capsys: pytest.CaptureFixture[str]) -> None:
    """At some of them here; nothing is merged twice, and what arrived stood in the journal before."""
    assert merge_kills.campaign(is_short=True) == 0, capsys.readouterr().out


def test_a_lost_answer_of_a_merge_is_read_and_not_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the portal is still at work, and where it knows old ids no more."""
    assert merge_lost_answers.campaign(is_short=True) == 0, capsys.readouterr().out


def test_merges_put_back_are_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    """But for what people changed on the survivors since, which stands."""
    assert merge_reverts.campaign(is_short=True) == 0, capsys.readouterr().out


def test_a_group_whose_associations_are_refused_is_not_merged(backend: str) -> None:
    """What could not be copied would be lost with the record that goes."""
    with portal_of(backend, Sizes(tickets=6, groups=2, large=0, most=3), merge_mode="new") as home:
        history, live = MergeHistory.of(home), len(home.live())
        home.home.sandbox.faults.add(
            Fault(kind="status", status=400, body="{}", times=None, match="/associations/.*/batch/(create|associate)")
        )
        done = run(home)
        home.home.sandbox.faults.clear()
        assert (history.took, history.sent, len(home.live())) == ([], [], live)
        assert (done.counts.merged, done.exit_code) == (0, 3)
