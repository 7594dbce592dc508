"""The short forms of the campaigns of merges, with fixed seeds, on each kind of warehouse."""

from __future__ import annotations

import pytest

from tests.campaign import beds, merge_kills, merge_lost_answers, merge_reverts, merges
from tests.operations import CONTACT, OperationHome


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


def test_a_ticket_whose_association_is_refused_is_not_merged(home: OperationHome) -> None:
    """What could not be copied would be lost with the record that goes."""
    one, two = home.ticket("7"), home.ticket("7")
    contact = home.other("contacts", email="a@example.com")
    home.link(two, "contacts", contact, CONTACT)
    shown = home.run(is_rehearsal=True)
    home.site.store.archive("contacts", contact.id)
    done = home.run(plan=shown.plan)
    assert (done.counts.merged, {each.id for each in home.live()}) == (0, {one.id, two.id})
