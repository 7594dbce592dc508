"""What people do between the plan of a merge and the merge: nothing is lost, and the rest of the plan is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncer import settling
from syncer.apply import Applying
from syncer.plan import ARCHIVE, DONE, FAILED, MERGE, MOVED, SAME
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.tally import Pushed
from tests.operations import COMPANY, CONTACT, OperationHome
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
    [(elsewhere, "was merged into record "), (archived, "was archived"), (purged, "is there no more")],
)
def test_one_that_is_somewhere_else_by_now_is_left_there(
    home: OperationHome, did: Callable[[OperationHome, PortalRecord], None], reason: str
) -> None:
    """A person decided about it; the others of its group are merged all the same at the next run."""
    (one, two, three), plan = planned(home, size=3)
    did(home, two)
    done = applied(home, plan)
    told = {each.reason for each in home.changes(plan) if each.state == MOVED}
    assert told and all(f"Record {two.id}, whose values it was to get, {reason}" in each for each in told)
    for ticket in (two, three):
        [(state, why)] = merges(home, plan, ticket.id)
        assert (done.exit_code, state) == (1, FAILED) and "It comes after change" in why
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
    """What was written since stands in no joined text yet; and what was taken out does not come to the survivor."""
    (one, two), plan = planned(home)
    home.site.store.update("tickets", two.id, {"content": "more since"}, source_type="CRM_UI")
    done = applied(home, plan)
    assert merges(home, plan, two.id) == [(FAILED, "It comes after change 1, which was not done.")]
    told = [each.reason for each in home.changes(plan) if each.key == one.id and each.state == MOVED]
    assert told == [f"Record {two.id}, whose values it was to get, changed on their side since the plan: content."]
    assert (done.exit_code, one.properties["content"], two.properties["content"]) == (1, "text 0", "more since")
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
    assert done.exit_code == 1 and not home.site.store.records["tickets"][merged.id].is_archived
    assert not home.site.store.records["tickets"][one.id].is_archived


def edited(home: OperationHome, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> Pushed:
    """Run, and do something when the plan is made and nothing is sent yet."""
    with monkeypatch.context() as patched:
        own = Applying.carry_out

        def interfered(applying: Applying) -> None:
            act()
            own(applying)

        patched.setattr(Applying, "carry_out", interfered)
        return home.run()


MODES = pytest.mark.parametrize("mode", ["merge", "archive"])


@MODES
@pytest.mark.parametrize("is_stored", [True, False], ids=["a stored plan", "within one run"])
def test_a_blank_that_a_person_filled_since_does_not_go_with_its_ticket(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch, mode: str, is_stored: bool
) -> None:
    """The plan holds no value of it, so that no joined text has it, and no way back."""
    home.words(mode=mode, max_archives=10)
    home.ticket("7", content="one")
    two = home.ticket("7")

    def fills() -> None:
        home.site.store.update("tickets", two.id, {"content": "important"}, source_type="CRM_UI")

    if is_stored:
        shown = home.run(is_rehearsal=True)
        fills()
        home.home.later(60)
        done = home.run(plan=shown.plan)
    else:
        done = edited(home, monkeypatch, fills)
    [(state, reason)] = [(each.state, each.reason) for each in home.changes(done.plan) if each.key == two.id]
    assert (state, reason) == (MOVED, "Changed on their side since the plan: content.")
    assert (done.exit_code, two.is_archived) == (3, False)
    home.home.later(60)
    assert home.run().exit_code == 0 and "important" in texts(home) and len(home.live()) == 1


@pytest.mark.parametrize("text", ["one", "two"], ids=["nothing to copy", "a text to copy"])
@pytest.mark.parametrize("did", [elsewhere, archived, purged])
@pytest.mark.parametrize("is_stored", [True, False], ids=["a stored plan", "within one run"])
def test_in_mode_archive_the_last_one_stays_where_the_survivor_is_gone(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch, did: Callable[..., None], text: str, is_stored: bool
) -> None:
    """It would be the last that has what both held."""
    home.words(mode="archive", max_archives=10)
    one, two = home.ticket("7", content="one"), home.ticket("7", content=text)
    if is_stored:
        shown = home.run(is_rehearsal=True)
        did(home, one)
        home.home.later(60)
        done = home.run(plan=shown.plan)
    else:
        done = edited(home, monkeypatch, lambda: did(home, one))
    assert not two.is_archived and done.exit_code in (1, 3)


def test_in_mode_archive_the_survivor_is_looked_at_after_it_got_what_the_others_had(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads back as it was written where it is archived as well."""
    home.words(mode="archive", max_archives=10)
    one, two = home.ticket("7", content="one"), home.ticket("7", content="two")
    own = settling.unlike

    def unlike(*args: Any, **words: Any) -> set[int]:
        archived(home, one)
        return own(*args, **words)

    with monkeypatch.context() as patched:
        patched.setattr(settling, "unlike", unlike)
        done = home.run()
    [archive] = [each for each in home.changes(done.plan) if each.action == ARCHIVE]
    assert (done.exit_code, two.is_archived, archive.state) == (3, False, MOVED)
    assert archive.reason == f"Record {one.id}, which was to stay in its place, was archived on their side."


def test_in_mode_archive_what_a_killed_run_left_is_looked_at_when_it_is_settled(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day later the survivor may be gone."""
    home.words(mode="archive", max_archives=10)
    one, two = home.ticket("7", content="one"), home.ticket("7", content="two")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(settling, "unlike", killed)
        home.run()
    home.home.later(86_400)
    archived(home, one)
    home.run()
    assert not two.is_archived


@MODES
@pytest.mark.parametrize("since", [{PROPERTY: "9"}, {"hs_pipeline": "5"}], ids=["another number", "another pipeline"])
def test_where_the_survivor_is_no_longer_one_with_the_others_they_stay(
    home: OperationHome, mode: str, since: dict[str, str]
) -> None:
    """A person said that they are two; what both held is what made them one."""
    home.words(mode=mode, max_archives=10)
    one, two = home.ticket("7", content="text"), home.ticket("7", content="text")
    shown = home.run(is_rehearsal=True)
    home.site.store.update("tickets", one.id, since, source_type="CRM_UI")
    home.home.later(60)
    done = home.run(plan=shown.plan)
    [change] = [each for each in home.changes(shown.plan) if each.key == two.id]
    assert (change.state, done.exit_code) == (MOVED, 3)
    assert change.reason == f"Record {one.id} changed on their side since the plan: {', '.join(since)}."
    assert {one.id, two.id} == {each.id for each in home.live()}


@MODES
def test_a_label_that_a_person_gave_since_is_not_lost(home: OperationHome, mode: str) -> None:
    """Of a company of both, a merge keeps the survivor's labels only; with an archived ticket they all go."""
    home.words(mode=mode, max_archives=10)
    label = home.site.store.add_label("tickets", "companies", "Payer")
    company = home.other("companies")
    one, two = home.ticket("7", content="one"), home.ticket("7", content="two")
    home.link(one, "companies", company, COMPANY)
    home.link(two, "companies", company, COMPANY)
    shown = home.run(is_rehearsal=True)
    home.link(two, "companies", company, (label.category, label.type_id))
    home.home.later(60)
    done = home.run(plan=shown.plan)
    assert (done.exit_code, len(home.live())) == (3, 2)
    home.home.later(60)
    assert home.run().exit_code == 0
    assert label.type_id in home.linked(home.only("7").id, "companies")[company.id]


def test_in_mode_archive_an_association_that_a_person_made_since_is_not_lost(home: OperationHome) -> None:
    """Nothing takes it to the survivor."""
    home.words(mode="archive", max_archives=10)
    home.ticket("7", content="one")
    two = home.ticket("7", content="two")
    shown = home.run(is_rehearsal=True)
    contact = home.other("contacts", email="a@example.com")
    home.link(two, "contacts", contact, CONTACT)
    home.home.later(60)
    done = home.run(plan=shown.plan)
    assert (done.exit_code, two.is_archived) == (3, False)
    home.home.later(60)
    assert home.run().exit_code == 0
    assert set(home.linked(home.only("7").id, "contacts")) == {contact.id}


@MODES
@pytest.mark.parametrize("is_stored", [True, False], ids=["a stored plan", "a run that takes its time"])
def test_nothing_is_copied_from_a_ticket_that_is_another_one_by_now(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch, mode: str, is_stored: bool
) -> None:
    """It would stay with the survivor for good: no later run sees the two as one."""
    home.words(mode=mode, max_archives=10)
    one, two = home.ticket("7", content="of one"), home.ticket("7", content="of another customer")
    home.link(two, "companies", home.other("companies"), COMPANY)

    def renumbers() -> None:
        home.site.store.update("tickets", two.id, {PROPERTY: "8"}, source_type="CRM_UI")
        home.home.later(90)

    if is_stored:
        shown = home.run(is_rehearsal=True)
        renumbers()
        done = home.run(plan=shown.plan)
    else:
        done = edited(home, monkeypatch, renumbers)
    states = {each.action: each.state for each in home.changes(done.plan)}
    assert (states["update"], states["associate"], states[mode]) == (MOVED, MOVED, FAILED)
    assert (one.properties["content"], home.linked(one.id, "companies")) == ("of one", {})
    reason = f"Record {two.id}, whose values it was to get, changed on their side since the plan: {PROPERTY}."
    assert reason in {each.reason for each in home.changes(done.plan)}
    assert (done.exit_code, len(home.live()), home.run().exit_code) == (1, 2, 0)
