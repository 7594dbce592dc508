"""What people do between the plan of a merge and the merge: nothing is lost, and the rest of the plan is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from syncer.plan import DONE, FAILED, MERGE, MOVED, SAME
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.tally import Pushed
from tests.operations import CONTACT, OperationHome
from tests.operations import SAME as PROPERTY


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


def planned(home: OperationHome, *, size: int = 2) -> tuple[list[PortalRecord], str]:
    """Make a group that somebody interferes with, and one that nobody does; return the first and a stored plan."""
    tickets = [home.ticket("7", content=f"text {number}") for number in range(size)]
    home.ticket("8", content="other")
    home.ticket("8", content="another")
    shown = home.run(is_rehearsal=True)
    assert shown.counts.merged == size
    home.home.later(60)
    return tickets, shown.plan


def applied(home: OperationHome, plan: str) -> Pushed:
    """Apply a stored plan; the group that nobody interfered with is one then, whatever became of the other one."""
    done = home.run(plan=plan)
    assert done.error is None and home.only("8")
    return done


def merges(home: OperationHome, plan: str, *ids: str) -> list[tuple[str, str]]:
    """Return state and reason of the merges of these tickets."""
    of_tickets = [each for each in home.changes(plan) if each.action == MERGE and each.key in ids]
    return [(each.state, each.reason) for each in of_tickets]


def texts(home: OperationHome) -> str:
    """Return the content of all live tickets of the first group."""
    return "\n".join(each.properties.get("content") or "" for each in home.live() if each.properties[PROPERTY] == "7")


def test_two_that_a_person_merged_already_are_the_same(home: OperationHome) -> None:
    """Somebody did what was planned: that is no conflict, and nothing is merged twice."""
    (one, two), plan = planned(home)
    home.site.store.merge("tickets", one.id, two.id)
    done = applied(home, plan)
    assert merges(home, plan, two.id) == [(SAME, "")]
    assert (done.counts.merged, done.exit_code, len(home.live())) == (1, 0, 2)
    again = home.run()
    assert (again.counts.merged, again.counts.updated, again.exit_code) == (0, 0, 0)


def test_of_three_those_that_a_person_merged_are_the_same_and_the_third_goes_into_what_is_left(
    home: OperationHome,
) -> None:
    """Whichever id that is."""
    (one, two, three), plan = planned(home, size=3)
    home.site.store.merge("tickets", one.id, two.id)
    done = applied(home, plan)
    assert [state for state, _ in merges(home, plan, two.id, three.id)] == [SAME, DONE]
    assert set(home.only("7").merged_ids) >= {one.id, two.id, three.id} - {home.only("7").id}
    assert (done.exit_code, done.counts.merged) == (0, 2)


def elsewhere(home: OperationHome, ticket: PortalRecord) -> None:
    other = home.ticket(None, subject="Another one")
    home.site.store.merge("tickets", other.id, ticket.id)


def archived(home: OperationHome, ticket: PortalRecord) -> None:
    home.site.store.archive("tickets", ticket.id)


def purged(home: OperationHome, ticket: PortalRecord) -> None:
    archived(home, ticket)
    home.site.store.purge("tickets", ticket.id)


@pytest.mark.parametrize(
    ("did", "reason"),
    [(elsewhere, "It was merged into record "), (archived, "It was archived"), (purged, "It is there no more")],
)
def test_one_that_is_somewhere_else_by_now_is_left_there(
    home: OperationHome, did: Callable[[OperationHome, PortalRecord], None], reason: str
) -> None:
    """A person decided about it; the others of its group are merged all the same at the next run."""
    (one, two, three), plan = planned(home, size=3)
    did(home, two)
    done = applied(home, plan)
    assert merges(home, plan, two.id)[0][0] == MOVED and merges(home, plan, two.id)[0][1].startswith(reason)
    [(state, why)] = merges(home, plan, three.id)
    assert (done.exit_code, done.counts.conflicts, state) == (1, 1, FAILED) and "It comes after change" in why
    assert "text 0" in texts(home) and "text 2" in texts(home)
    again = home.run()
    assert (again.error, again.exit_code) == (None, 0)
    live = {each.id for each in home.live()}
    assert three.id not in live or one.id not in live
    assert home.run().counts.unchanged == len(home.live()), "and then there is nothing left"


@pytest.mark.parametrize(
    ("did", "reason"), [(elsewhere, "was merged into record "), (archived, "was archived"), (purged, "no more")]
)
def test_where_the_survivor_is_somewhere_else_the_others_stay(
    home: OperationHome, did: Callable[[OperationHome, PortalRecord], None], reason: str
) -> None:
    """They are not merged into what a person did not mean; the next run finds another survivor."""
    (one, two, three), plan = planned(home, size=3)
    did(home, one)
    done = applied(home, plan)
    assert done.exit_code == 1 and {two.id, three.id} <= {each.id for each in home.live()}
    told = " ".join(each.reason for each in home.changes(plan) if each.key in (one.id, two.id, three.id))
    assert reason in told or "no more" in told
    assert "text 1" in texts(home) and "text 2" in texts(home)
    again = home.run()
    assert (again.error, again.exit_code, again.counts.merged) == (None, 0, 2 if did is elsewhere else 1)
    assert "text 1" in (home.only("7").properties["content"] or "")


def test_one_that_was_edited_since_is_left_and_planned_anew(home: OperationHome) -> None:
    """What was written since stands in no joined text yet."""
    (_, two), plan = planned(home)
    home.site.store.update("tickets", two.id, {"content": "more since"}, source_type="CRM_UI")
    done = applied(home, plan)
    assert merges(home, plan, two.id) == [(MOVED, "Changed on their side since the plan: content.")]
    assert (done.exit_code, two.properties["content"]) == (3, "more since")
    again = home.run()
    assert (again.counts.merged, again.exit_code) == (1, 0)
    assert "more since" in texts(home) and "text 0" in texts(home)


def test_where_the_survivor_was_edited_since_nothing_of_the_group_goes(home: OperationHome) -> None:
    """Its text would be overwritten, or that of the others be lost."""
    (one, two), plan = planned(home)
    home.site.store.update("tickets", one.id, {"content": "mine"}, source_type="CRM_UI")
    done = applied(home, plan)
    assert done.exit_code == 1 and one.properties["content"] == "mine" and two.id in {e.id for e in home.live()}
    again = home.run()
    assert (again.counts.merged, again.exit_code) == (1, 0)
    assert "mine" in texts(home) and "text 1" in texts(home)


def test_an_association_that_a_person_made_since_is_carried_over(home: OperationHome) -> None:
    """HubSpot moves it with the merge, though no plan knew of it."""
    (_, two), plan = planned(home)
    contact = home.other("contacts", email="a@example.com")
    home.link(two, "contacts", contact, CONTACT)
    assert applied(home, plan).exit_code == 0
    assert set(home.linked(home.only("7").id, "contacts")) == {contact.id}


def test_in_mode_archive_one_that_a_person_merged_away_since_is_left(home: OperationHome) -> None:
    """What it is by now must not go."""
    home.words(mode="archive", max_archives=10)
    one, two = home.ticket("7", content="one"), home.ticket("7", content="two")
    other = home.ticket(None)
    shown = home.run(is_rehearsal=True)
    merged = home.site.store.merge("tickets", other.id, two.id)
    home.home.later(60)
    done = home.run(plan=shown.plan)
    assert done.exit_code == 3 and not home.site.store.records["tickets"][merged.id].is_archived
    assert not home.site.store.records["tickets"][one.id].is_archived
