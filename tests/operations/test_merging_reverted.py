"""Reverts of merges at their edges: unique values, tickets that were linked to each other, and what is gone since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from syncer import plan_journal
from syncer.plan import Change
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, PortalRecord
from tests.operations import COMPANY, CONTACT, PRIMARY, RESTORED_FROM, SAME, OperationHome, define

KEY = "own_key"


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


def back(home: OperationHome, kind: str = "tickets") -> dict[str, PortalRecord]:
    """Return what a revert made, by the id that it had."""
    records = home.site.store.records[kind].values()
    found = {each.properties.get(RESTORED_FROM): each for each in records if not each.is_archived}
    return {id: each for id, each in found.items() if id}


def merged(home: OperationHome, **words: Any) -> str:
    done = home.words(**words).run()
    assert (done.error, done.exit_code) == (None, 0)
    home.home.later()
    return done.run or ""


def test_a_unique_value_that_the_survivor_has_now_stays_there_and_is_told(home: OperationHome) -> None:
    """HubSpot fills blanks when it merges: the new ticket comes without it, a dry run names it."""
    define(home.site, "tickets", KEY, has_unique_value=True)
    home.ticket("7")
    two = home.ticket("7", content="two", **{KEY: "k-2"})
    run = merged(home)
    assert home.only("7").properties[KEY] == "k-2"
    shown = home.revert(run, is_rehearsal=True)
    [told] = [each for each in home.home.problems(shown.plan) if each["field"] == KEY]
    assert home.only("7").id in told["reason"] and "unique" in told["reason"]
    put = home.revert(run)
    assert (put.error, put.counts.conflicts, put.exit_code) == (None, 1, 3)
    assert back(home)[two.id].properties["content"] == "two" and not back(home)[two.id].properties.get(KEY)


def test_a_unique_value_that_went_with_its_ticket_comes_back(home: OperationHome) -> None:
    """Nobody has it now."""
    define(home.site, "tickets", KEY, has_unique_value=True)
    home.ticket("7", **{KEY: "k-1"})
    two = home.ticket("7", **{KEY: "k-2"})
    put = home.revert(merged(home))
    assert (put.error, put.counts.created) == (None, 1)
    assert back(home)[two.id].properties[KEY] == "k-2" and home.live()


def test_contacts_come_back_with_their_address_or_it_is_told(home: OperationHome) -> None:
    """A contact's address is unique, and HubSpot may keep it as a second one of the survivor."""
    define(home.site, "contacts", SAME)
    define(home.site, "contacts", RESTORED_FROM, has_unique_value=True)
    made = []
    for name in ("ada", "bob"):
        home.home.later(60)
        made.append(home.other("contacts", email=f"{name}@example.com", firstname=name, **{SAME: "7"}))
    run = merged(home, object="contacts")
    put = home.revert(run)
    assert put.error is None
    found = back(home, "contacts").get(made[1].id)
    problems = home.home.problems(put.plan)
    assert found is not None and found.properties["firstname"] == "bob"
    assert found.properties.get("email") == "bob@example.com" or [each["field"] for each in problems] == ["email"]


def between(home: OperationHome) -> int:
    """Return the type between tickets."""
    spec = home.site.store.default_spec("tickets", "tickets")
    assert spec is not None and spec[0] == HUBSPOT_DEFINED
    return spec[1]


def test_two_that_both_come_back_are_linked_to_each_other_again(home: OperationHome) -> None:
    """Once, under their new ids; with a ticket outside of the group as well."""
    one, two, three = (home.ticket("7") for _ in range(3))
    outside = home.ticket(None)
    home.link(two, "tickets", three, between(home))
    home.link(three, "tickets", outside, between(home))
    home.link(one, "tickets", two, between(home))
    put = home.revert(merged(home))
    assert (put.error, put.counts.created) == (None, 2)
    now = back(home)
    survivor = next(each for each in home.live() if each.id not in (now[two.id].id, now[three.id].id, outside.id))
    assert set(home.linked(now[three.id].id, "tickets")) == {now[two.id].id, outside.id}
    assert set(home.linked(now[two.id].id, "tickets")) == {now[three.id].id, survivor.id}


def test_an_end_that_was_merged_since_is_followed_and_one_that_is_gone_is_left(home: OperationHome) -> None:
    """What can come back does."""
    define(home.site, "contacts", "hs_merged_object_ids")
    _, two = home.ticket("7"), home.ticket("7")
    contacts = [home.other("contacts", email=f"{number}@example.com") for number in range(3)]
    for each in contacts:
        home.link(two, "contacts", each, CONTACT)
    run = merged(home)
    moved = home.site.store.merge("contacts", contacts[2].id, contacts[0].id)
    home.site.store.archive("contacts", contacts[1].id)
    put = home.revert(run)
    assert (put.error, put.counts.conflicts) == (None, 1)
    assert set(home.linked(back(home)[two.id].id, "contacts")) == {moved.id}


def test_a_dry_run_names_each_value_and_association_that_does_not_come_back(home: OperationHome) -> None:
    """What went since is nobody's fault, and yet a loss; what comes back is made all the same."""
    define(home.site, "tickets", "extra")
    label = home.site.store.add_label("tickets", "companies", "Reseller")
    home.ticket("7", content="one", extra="A")
    two = home.ticket("7", content="two", extra="B")
    gone, kept = home.other("companies", name="Gone"), home.other("companies", name="Kept")
    home.link(two, "companies", gone, COMPANY, PRIMARY)
    home.link(two, "companies", kept, COMPANY, (label.category, label.type_id))
    run = merged(home)
    home.home.later(9_000)
    home.site.store.archive("companies", gone.id)
    del home.site.store.definitions["tickets"]["extra"]
    shown = home.revert(run, is_rehearsal=True)
    told = {(each["field"], each["ours"]) for each in home.home.problems(shown.plan) if each["key"] == two.id}
    assert told == {("extra", "B"), ("companies", gone.id)} and shown.exit_code == 3
    put = home.revert(run)
    assert (put.error, put.counts.conflicts, len(home.live())) == (None, 1, 2)
    linked = home.linked(back(home)[two.id].id, "companies")
    assert set(linked) == {kept.id} and {COMPANY, label.type_id} <= linked[kept.id]


def test_without_its_label_an_association_comes_back_all_the_same(home: OperationHome) -> None:
    """The label was deleted since, and is told; the plain one is none the less."""
    label = home.site.store.add_label("tickets", "companies", "Reseller")
    _, two, company = home.ticket("7"), home.ticket("7"), home.other("companies")
    home.link(two, "companies", company, COMPANY, (label.category, label.type_id))
    run = merged(home)
    for types in home.site.store.labels.values():
        types[:] = [each for each in types if each.label != "Reseller"]
    put = home.revert(run)
    [told] = [each for each in home.home.problems(put.plan) if each["key"] == two.id]
    assert "Reseller" in told["reason"] and put.error is None
    assert set(home.linked(back(home)[two.id].id, "companies")) == {company.id}


def test_a_revert_is_reverted_by_archiving_what_it_made(home: OperationHome) -> None:
    """The survivor gets again what the merge had given it, where nobody touched it."""
    home.ticket("7", content="one")
    home.ticket("7", content="two", hs_resolution="done")
    run = merged(home)
    text = home.only("7").properties["content"]
    put = home.revert(run)
    home.home.later()
    again = home.revert(put.run or "")
    assert again.error is None
    found = home.only("7")
    assert (found.properties["content"], found.properties["hs_resolution"]) == (text, "done")
    assert back(home) == {}


def test_a_dry_run_names_what_cannot_come_back_and_writes_nothing(home: OperationHome) -> None:
    """Ids and timelines; each new ticket is shown with what it gets."""
    home.ticket("7", subject="First")
    two = home.ticket("7", subject="Second")
    run = merged(home)
    shown = home.revert(run, is_rehearsal=True)
    assert shown.counts.created == 1 and len(home.live()) == 1
    [made] = [each for each in home.changes(shown.plan) if each.action == "create"]
    assert (made.title, made.fields["subject"].after, made.fields[RESTORED_FROM].after) == ("Second", "Second", two.id)
    assert "another id" in home.notes(shown.plan) and "timeline" in home.notes(shown.plan)


@pytest.mark.parametrize(("action", "nth"), [("create", 1), ("create", 2), ("associate", 1), ("associate", 2)])
def test_a_revert_that_was_killed_is_gone_on_with(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch, action: str, nth: int
) -> None:
    """Each ticket comes back once, with its company."""
    company = home.other("companies")
    tickets = [home.ticket("7", content=text) for text in ("one", "two", "three")]
    for each in tickets:
        home.link(each, "companies", company, COMPANY)
    run = merged(home)
    set_states = plan_journal.set_states
    left = [nth]

    def end(t: Any, plan: str, changed: Sequence[Change], **more: Any) -> None:
        if changed and changed[0].action == action:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
        set_states(t, plan, changed, **more)

    with monkeypatch.context() as patched:
        patched.setattr(plan_journal, "set_states", end)
        with pytest.raises(KeyboardInterrupt):
            home.revert(run)
    home.home.later()
    put = home.revert(run)
    assert put.error is None
    assert set(back(home)) == {each.id for each in tickets[1:]} and len(home.live()) == 3
    assert [set(home.linked(each.id, "companies")) for each in home.live()] == [{company.id}] * 3
    assert sorted(str(each.properties["content"]) for each in home.live()) == ["one", "three", "two"]


@pytest.mark.parametrize("first", [1, 3])
def test_a_part_of_a_revert_is_made_whole_by_the_next_one(home: OperationHome, first: int) -> None:
    """Also the associations of a ticket that came back without them: else they would be nowhere."""
    had: dict[str, set[str]] = {}
    for same in ("7", "8"):
        home.ticket(same)
        went, company = home.ticket(same), home.other("companies")
        home.link(went, "companies", company, COMPANY)
        had[went.id] = {company.id}
    run = merged(home)
    assert home.revert(run, first=first).counts.pending
    home.home.later()
    put = home.revert(run)
    assert put.error is None
    now = back(home)
    assert {id: set(home.linked(each.id, "companies")) for id, each in now.items()} == had
    assert home.changes(home.revert(run, is_rehearsal=True).plan) == []
