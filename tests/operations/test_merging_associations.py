"""What people do to associations between the plan of a merge and the merge: it stands, and the group waits."""

from __future__ import annotations

import pytest

from syncer import apply
from syncer.plan import ASSOCIATE, FAILED, MOVED, Change
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.tally import Pushed
from tests.operations import COMPANY, CONTACT, PRIMARY, OperationHome

pytestmark = pytest.mark.parametrize("merge_mode", ["new", "primary", "archive"], indirect=True)
OWN = {COMPANY, PRIMARY}  # the types of a primary company


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


def group(home: OperationHome, mode: str, *, size: int = 2) -> list[PortalRecord]:
    """Make tickets that are one, the first of which survives."""
    home.words(mode=mode, max_archives=10)
    return [home.ticket("7", content="text") for _ in range(size)]


def planned(home: OperationHome) -> str:
    """Store a plan of all there is, and let an hour pass."""
    shown = home.run(is_rehearsal=True)
    assert shown.exit_code == 0
    home.home.later(3_600)
    return shown.plan


def unlink(home: OperationHome, ticket: PortalRecord, kind: str, other: PortalRecord) -> None:
    """Take an association away as a person would."""
    home.site.store.disassociate("tickets", ticket.id, kind, other.id)


def associates(home: OperationHome, done: Pushed) -> list[Change]:
    """Return the associations that a plan makes."""
    return [each for each in home.changes(done.plan) if each.action == ASSOCIATE]


def open_conflicts(home: OperationHome) -> int:
    """Return how many conflicts are open."""
    return int(home.rows("SELECT COUNT(*) FROM syncer.conflicts WHERE state = 'open'")[0][0])


def told(home: OperationHome, done: Pushed, mode: str) -> tuple[str, str]:
    """Return why the one association was not made; nothing of its group was sent, and it counts as a conflict."""
    changes = home.changes(done.plan)
    [moved] = [each for each in changes if each.state == MOVED]
    assert {each.state for each in changes if each.action == mode} == {FAILED}
    assert (done.exit_code, done.counts.conflicts) == (1, 1)
    return moved.action, moved.reason


# A primary company


@pytest.mark.parametrize("first", [True, False], ids=["it had one", "it had none"])
def test_primary_company_that_a_person_chose_on_the_survivor_stands(
    home: OperationHome, mode: str, first: bool
) -> None:
    """The plan knew another one; by the next plan, theirs is the survivor's own."""
    one, two = group(home, mode)
    acme, bolt, chosen = (home.other("companies") for _ in range(3))
    home.words(primary_company="last")
    if first:
        home.link(one, "companies", acme, COMPANY, PRIMARY)
    home.link(two, "companies", bolt, COMPANY, PRIMARY)
    plan = planned(home)
    home.link(one, "companies", chosen, COMPANY, PRIMARY)
    done = home.run(plan=plan)
    assert told(home, done, mode) == (
        ASSOCIATE,
        "Associated otherwise on their side since the plan: primary_company.",
    )
    assert home.linked(one.id, "companies")[chosen.id] == OWN
    home.words(primary_company="survivor")
    assert home.run().exit_code == 0
    linked = home.linked(home.only("7").id, "companies")
    assert (linked[chosen.id], linked[bolt.id]) == (OWN, {COMPANY})


def test_primary_company_that_a_person_chose_on_the_loser_stands(home: OperationHome, mode: str) -> None:
    """What the plan gives is not the loser's any more."""
    one, two = group(home, mode)
    acme, chosen = home.other("companies"), home.other("companies")
    home.link(two, "companies", acme, COMPANY, PRIMARY)
    plan = planned(home)
    home.link(two, "companies", chosen, COMPANY, PRIMARY)
    done = home.run(plan=plan)
    action, reason = told(home, done, mode)
    assert action == ASSOCIATE and reason.startswith("Associated otherwise on their side since the plan: ")
    assert home.linked(one.id, "companies") == {}
    assert home.run().exit_code == 0
    assert home.linked(home.only("7").id, "companies") == {acme.id: {COMPANY}, chosen.id: OWN}


def test_primary_company_that_a_person_set_as_planned_is_the_same(home: OperationHome, mode: str) -> None:
    """They did what the plan would, and the group is one."""
    one, two = group(home, mode)
    acme = home.other("companies")
    home.link(two, "companies", acme, COMPANY, PRIMARY)
    plan = planned(home)
    home.link(one, "companies", acme, COMPANY, PRIMARY)
    assert home.run(plan=plan).exit_code == 0
    assert home.linked(home.only("7").id, "companies") == {acme.id: OWN}


# An association that is there no more


def test_association_that_a_person_took_off_the_loser_is_not_made_again(home: OperationHome, mode: str) -> None:
    """It would be the survivor's then, for good."""
    one, two = group(home, mode)
    contact = home.other("contacts", email="a@example.com")
    home.link(two, "contacts", contact, CONTACT)
    plan = planned(home)
    unlink(home, two, "contacts", contact)
    done = home.run(plan=plan)
    assert told(home, done, mode) == (
        ASSOCIATE,
        f"Associated otherwise on their side since the plan: contacts of record {two.id}.",
    )
    assert (home.linked(one.id, "contacts"), open_conflicts(home)) == ({}, 1)
    assert home.run().exit_code == 0
    assert (home.linked(home.only("7").id, "contacts"), open_conflicts(home)) == ({}, 0)


def test_all_that_go_are_looked_at_also_where_they_are_many(
    home: OperationHome, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked at at once is bounded; what is sent is no more than that."""
    monkeypatch.setattr(apply, "GOING", 1)
    contacts = [home.other("contacts", email=f"{number}@example.com") for number in range(3)]
    group(home, mode, size=1)
    lost = [home.ticket("7", content="text"), *(home.ticket(same) for same in ("8", "8", "9", "9"))][::2]
    for each, contact in zip(lost, contacts, strict=True):
        home.link(each, "contacts", contact, CONTACT)
    plan = planned(home)
    unlink(home, lost[-1], "contacts", contacts[-1])
    done = home.run(plan=plan)
    assert [each.state for each in associates(home, done)] == ["done", "done", MOVED]


def test_association_that_another_one_of_the_group_still_has_is_made(home: OperationHome, mode: str) -> None:
    """It was taken off one of two that go."""
    _, two, three = group(home, mode, size=3)
    contact = home.other("contacts", email="a@example.com")
    for each in (two, three):
        home.link(each, "contacts", contact, CONTACT)
    plan = planned(home)
    unlink(home, two, "contacts", contact)
    assert home.run(plan=plan).exit_code == 0
    assert set(home.linked(home.only("7").id, "contacts")) == {contact.id}


def test_label_that_a_person_took_off_the_loser_is_not_given(home: OperationHome, mode: str) -> None:
    """The company itself is of both still."""
    one, two = group(home, mode)
    label = home.site.store.add_label("tickets", "companies", "Payer")
    company = home.other("companies")
    home.link(one, "companies", company, COMPANY)
    home.link(two, "companies", company, COMPANY, (label.category, label.type_id))
    plan = planned(home)
    unlink(home, two, "companies", company)
    home.link(two, "companies", company, COMPANY)
    assert told(home, home.run(plan=plan), mode)[0] == ASSOCIATE
    assert home.run().exit_code == 0
    assert label.type_id not in home.linked(home.only("7").id, "companies")[company.id]


def test_association_that_a_person_took_off_the_survivor_is_not_made_again_for_a_label(
    home: OperationHome, mode: str
) -> None:
    """The loser's label would bring the company back."""
    one, two = group(home, mode)
    label = home.site.store.add_label("tickets", "companies", "Payer")
    company = home.other("companies")
    home.link(one, "companies", company, COMPANY)
    home.link(two, "companies", company, COMPANY, (label.category, label.type_id))
    plan = planned(home)
    unlink(home, one, "companies", company)
    done = home.run(plan=plan)
    assert told(home, done, mode) == (
        ASSOCIATE,
        f"Associated otherwise on their side since the plan: companies of record {one.id}.",
    )
    assert home.linked(one.id, "companies") == {}


def test_association_with_what_was_merged_since_is_made_with_what_survived(home: OperationHome, mode: str) -> None:
    """The loser has it still, under another id: nobody took it off."""
    _, two = group(home, mode)
    acme, other = home.other("companies"), home.other("companies")
    home.link(two, "companies", acme, COMPANY)
    plan = planned(home)
    survivor = home.site.store.merge("companies", other.id, acme.id)
    done = home.run(plan=plan)
    assert MOVED not in {each.state for each in associates(home, done)}
    home.home.later(60)
    assert home.run().exit_code == 0
    assert set(home.linked(home.only("7").id, "companies")) == {survivor.id}


def test_association_of_a_loser_that_was_merged_since_is_not_taken_for_taken_off(
    home: OperationHome, mode: str
) -> None:
    """Its old id shows none, whatever its record has."""
    one, two = group(home, mode)
    contact = home.other("contacts", email="a@example.com")
    home.link(two, "contacts", contact, CONTACT)
    plan = planned(home)
    home.site.store.merge("tickets", one.id, two.id)
    done = home.run(plan=plan)
    assert MOVED not in {each.state for each in associates(home, done)}
    assert set(home.linked(home.only("7").id, "contacts")) == {contact.id}
