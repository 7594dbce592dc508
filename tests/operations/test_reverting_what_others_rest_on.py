"""A revert takes off nothing that somebody made rest on it since: another run of ours, or a person."""

from __future__ import annotations

import pytest

from syncer.sandbox.hubspot.model import PortalRecord
from syncer.tally import Pushed
from tests.operations import COMPANY, CONTACT, OperationHome, define
from tests.operations.company_home import CompanyHome

DAY_S = 86_400
MERGED_IDS = "hs_merged_object_ids"
ENDS = [("contacts", CONTACT), ("companies", COMPANY)]
each_mode = pytest.mark.parametrize("merge_mode", ["new", "primary", "archive"], indirect=True)


def texts(home: OperationHome) -> str:
    return " ".join(str(each.properties.get("content")) for each in home.live())


def contacts(home: OperationHome) -> set[str]:
    return {id for each in home.live() for id in home.linked(each.id, "contacts")}


def given(home: OperationHome, mode: str, *, first: int | None = None) -> tuple[Pushed, PortalRecord]:
    """One run gives a ticket what another one has, and does not merge them: the first part only, or a conflict."""
    home.words(mode=mode, max_archives=10)
    define(home.site, "tickets", "memo")
    home.ticket("7", content="of one")
    two, contact = home.ticket("7", content="of two"), home.other("contacts", email="a@b.nl")
    home.link(two, "contacts", contact, CONTACT)
    shown = home.run(is_rehearsal=True)
    done = home.run(plan=shown.plan, first=first or 2)
    if first is None:
        home.site.store.update("tickets", two.id, {"memo": "filled by a person"}, source_type="CRM_UI")
        assert home.run(plan=shown.plan).counts.conflicts
    home.home.later(DAY_S)
    return done, contact


@each_mode
@pytest.mark.parametrize("first", [None, 1, 2])
def test_what_a_later_run_made_one_keeps_what_it_got(home: OperationHome, mode: str, first: int | None) -> None:
    """The other ticket is nowhere but here by now; the dry run says so, and names the run that comes first."""
    done, contact = given(home, mode, first=first)
    later = home.run()
    home.home.later(DAY_S)
    shown = home.revert(done.run or "", is_rehearsal=True)
    assert home.changes(shown.plan) == [] and shown.exit_code == 3
    reasons = [each["reason"] for each in home.home.problems(shown.plan)]
    assert all((str(later.run) in each) is (mode == "merge") for each in reasons if "what it got" in each) and reasons
    put = home.revert(done.run or "")
    assert (put.error, put.exit_code) == (None, 3)
    assert "of two" in texts(home) and contacts(home) == {contact.id}


@pytest.mark.parametrize("order", ["later first", "earlier first"])
@pytest.mark.parametrize("first", [None, 1])
def test_both_runs_put_back_lose_nothing(home: OperationHome, order: str, first: int | None) -> None:
    """Whichever comes first; once the other ticket is there again, the one is as it was."""
    done, contact = given(home, "merge", first=first)
    runs = [home.run().run or "", done.run or ""]
    for run in runs if order == "later first" else [*reversed(runs), *runs]:
        home.home.later(DAY_S)
        assert home.revert(run).error is None
        assert "of two" in texts(home) and contacts(home) == {contact.id}
    found = sorted((str(each.properties["content"]), set(home.linked(each.id, "contacts"))) for each in home.live())
    assert found == [("of one", set()), ("of two", {contact.id})]


@each_mode
@pytest.mark.parametrize("act", ["merge", "archive", "into the other"])
def test_what_a_person_made_one_keeps_what_it_got(home: OperationHome, mode: str, act: str) -> None:
    """Nobody but HubSpot tells of it."""
    done, contact = given(home, mode)
    one, two = home.live()
    if act == "archive":
        home.site.store.archive("tickets", two.id)
    else:
        pair = (one, two) if act == "merge" else (two, one)
        home.site.store.merge("tickets", *(each.id for each in pair))
        if act == "merge":
            assert "of two" in texts(home)
    home.home.later(DAY_S)
    before = [(each.properties["content"], home.linked(each.id, "contacts")) for each in home.live()]
    put = home.revert(done.run or "")
    assert (
        put.error is None
        and [(each.properties["content"], home.linked(each.id, "contacts")) for each in home.live()] == before
    )
    assert contacts(home) == {contact.id}


def test_what_did_not_go_and_is_there_still_is_no_reason_to_keep_anything(home: OperationHome) -> None:
    """It has its own, as it had."""
    done, contact = given(home, "merge")
    put = home.revert(done.run or "")
    assert (put.error, put.exit_code) == (None, 0)
    found = sorted((str(each.properties["content"]), set(home.linked(each.id, "contacts"))) for each in home.live())
    assert found == [("of one", set()), ("of two", {contact.id})]


# Associations that a record had by itself.


def own(home: OperationHome, kind: str, name: str) -> PortalRecord:
    define(home.site, kind, MERGED_IDS)
    return home.other(kind, **({"email": f"{name}@b.nl"} if kind == "contacts" else {"name": name}))


@pytest.mark.parametrize(("kind", "type"), ENDS)
@pytest.mark.parametrize("is_swapped", [False, True])
def test_what_it_had_by_itself_stays_under_its_id_of_today(
    home: OperationHome, kind: str, type: int, is_swapped: bool
) -> None:
    """A person made one of the two at the other end."""
    one, two = home.ticket("7", content="of one"), home.ticket("7", content="of two")
    ends = [own(home, kind, name) for name in ("c1", "c2")]
    for ticket, end in zip((one, two), ends, strict=True):
        home.link(ticket, kind, end, type)
    done = home.run()
    home.home.later(DAY_S)
    now = home.site.store.merge(kind, *(each.id for each in (reversed(ends) if is_swapped else ends)))
    shown = home.revert(done.run or "", is_rehearsal=True)
    assert [each["field"] for each in home.home.problems(shown.plan)] == [kind]
    put = home.revert(done.run or "")
    assert (put.error, put.counts.created) == (None, 1)
    assert [set(home.linked(each.id, kind)) for each in home.live()] == [{now.id}, {now.id}]


@pytest.mark.parametrize(("kind", "type"), ENDS)
def test_what_it_did_not_have_goes_though_it_was_merged_since(home: OperationHome, kind: str, type: int) -> None:
    """The journal knows what it had: no other is kept for a merge that does not concern it."""
    home.ticket("7", content="of one")
    two = home.ticket("7", content="of two")
    ends = [own(home, kind, name) for name in ("c1", "c2")]
    home.link(two, kind, ends[0], type)
    done = home.run()
    home.home.later(DAY_S)
    now = home.site.store.merge(kind, ends[1].id, ends[0].id)
    put = home.revert(done.run or "")
    assert (put.error, put.exit_code) == (None, 0)
    found = {str(each.properties["content"]): set(home.linked(each.id, kind)) for each in home.live()}
    assert found == {"of one": set(), "of two": {now.id}}


def test_what_it_was_merged_into_since_may_have_had_it_by_itself(home: OperationHome) -> None:
    """The journal of the run knows nothing of that ticket."""
    home.ticket("7", content="of one")
    two, contact = home.ticket("7", content="of two"), home.other("contacts", email="a@b.nl")
    home.link(two, "contacts", contact, CONTACT)
    done = home.run()
    home.home.later(DAY_S)
    stranger = home.ticket(None, content="another")
    home.link(stranger, "contacts", contact, CONTACT)
    now = home.site.store.merge("tickets", stranger.id, home.only("7").id)
    put = home.revert(done.run or "")
    assert (put.error, put.exit_code) == (None, 3)
    assert set(home.linked(now.id, "contacts")) == {contact.id}


# The company of a ticket.


def is_told(fix: CompanyHome, done: Pushed) -> bool:
    """Tell whether a revert has a conflict of the ticket's company."""
    return any(each["field"] == "companies" for each in fix.problems(done.plan))


def test_a_company_stays_where_a_later_run_took_what_it_took_the_place_of(fix: CompanyHome) -> None:
    """The stand-in was left by the run that is reverted: it puts nothing back."""
    label = fix.label("mailbox")
    right, ticket = fix.company("4711"), fix.ticket("4711")
    shown = fix.run(is_rehearsal=True)
    fix.of.home.later(DAY_S)
    fix.link(ticket, fix.stand_in, label)
    done = fix.run(plan=shown.plan)
    fix.of.home.later(DAY_S)
    later = fix.run()
    fix.of.home.later(DAY_S)
    dry = fix.revert(done.run, is_rehearsal=True)
    assert (dry.exit_code, fix.changes(dry.plan), is_told(fix, dry)) == (3, [], True)
    assert fix.revert(done.run).exit_code == 3 and set(fix.companies(ticket)) == {right.id}
    fix.of.home.later(DAY_S)
    assert fix.revert(later.run).error is None and fix.stand_in.id in fix.companies(ticket)
    fix.of.home.later(DAY_S)
    assert fix.revert(done.run).error is None and set(fix.companies(ticket)) == {fix.stand_in.id}


@pytest.mark.parametrize("merge_mode", ["new", "primary"])
@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_company_stays_that_is_one_with_what_it_took_the_place_of(
    fix: CompanyHome, merge_mode: str, is_swapped: bool
) -> None:
    """What is put back is what would be taken off."""
    fix.site.merge_mode = merge_mode
    define(fix.site, "companies", MERGED_IDS)
    right, ticket = fix.company("4711"), fix.ticket("4711")
    done = fix.run()
    fix.of.home.later(DAY_S)
    pair = [right.id, fix.stand_in.id]
    now = fix.site.store.merge("companies", *(reversed(pair) if is_swapped else pair))
    dry = fix.revert(done.run, is_rehearsal=True)
    assert (dry.exit_code, is_told(fix, dry)) == (3, True)
    fix.revert(done.run)
    assert set(fix.companies(ticket)) == {now.id}


@pytest.mark.parametrize("merge_mode", ["new", "primary"])
def test_another_company_of_the_ticket_stays_that_is_one_with_the_right_one_since(
    fix: CompanyHome, merge_mode: str
) -> None:
    """It was the ticket's own before the run, and the stand-in's return does not make up for it."""
    fix.site.merge_mode = merge_mode
    define(fix.site, "companies", MERGED_IDS)
    right, other, ticket = fix.company("4711"), fix.company(), fix.ticket("4711")
    fix.link(ticket, other)
    done = fix.run()
    fix.of.home.later(DAY_S)
    now = fix.site.store.merge("companies", right.id, other.id)
    assert fix.revert(done.run).exit_code == 3
    assert set(fix.companies(ticket)) == {now.id, fix.stand_in.id}


def test_what_a_later_run_merged_in_and_put_back_is_no_stranger(home: OperationHome) -> None:
    """Both runs are put back, the later one first: all three are as they were."""
    home.ticket("7", content="of one")
    contact = home.other("contacts", email="a@b.nl")
    home.link(home.ticket("7", content="of two"), "contacts", contact, CONTACT)
    runs = [home.run().run or ""]
    home.home.later(DAY_S)
    home.ticket("7", content="of three")
    runs.append(home.run().run or "")
    for run in reversed(runs):
        home.home.later(DAY_S)
        assert home.revert(run).error is None
    found = {str(each.properties["content"]): set(home.linked(each.id, "contacts")) for each in home.live()}
    assert found == {"of one": set(), "of two": {contact.id}, "of three": set()}
