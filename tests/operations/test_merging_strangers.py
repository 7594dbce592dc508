"""
Records that are no longer one when a stored plan of merges is applied: nothing of one is copied to another, and
nothing is written to a record that is none of the group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from syncer import apply, plan_journal, settling_merges
from syncer.plan import ASSOCIATE, MERGE, MOVED, SENDING, UPDATE, Change
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.sources.hubspot.edgewriting import EdgeWriting
from syncer.tally import Pushed
from tests.operations import COMPANY, PRIMARY, SAME, OperationHome, define, edited, planned

pytestmark = pytest.mark.parametrize("merge_mode", ["new", "primary", "archive"], indirect=True)
OWN = {COMPANY, PRIMARY}  # the types of a primary company
Pair = tuple[PortalRecord, PortalRecord]


@pytest.fixture
def pair(home: OperationHome, mode: str) -> Pair:
    """Two tickets that are one; the second has a text and a primary company, and would lose both."""
    home.words(mode=mode, max_archives=10)
    one, two = home.ticket("7", content="of one"), home.ticket("7", content="of two")
    home.link(two, "companies", home.other("companies"), COMPANY, PRIMARY)
    return one, two


def is_left(home: OperationHome, done: Pushed, pair: Pair) -> None:
    """Nothing of the second one came to the first, each is there as it was, and it is told as a conflict."""
    one, _ = pair
    now = home.site.store.records["tickets"][one.id]
    assert (now.properties["content"], home.linked(one.id, "companies")) == ("of one", {})
    states = {each.action: each.state for each in home.changes(done.plan)}
    assert (states[UPDATE], states[ASSOCIATE]) == (MOVED, MOVED)
    assert done.exit_code != 0 and done.counts.conflicts >= 1


# The one that stays


@pytest.mark.parametrize("values", [{SAME: "8"}, {"hs_pipeline": "5"}], ids=["number", "pipeline"])
def test_nothing_is_copied_to_a_ticket_that_is_another_one_by_now(
    home: OperationHome, pair: Pair, values: dict[str, str]
) -> None:
    """It would keep the text and the company of a stranger for good."""
    plan = planned(home)
    edited(home, pair[0], **values)
    done = home.run(plan=plan)
    is_left(home, done, pair)
    assert len(home.live()) == 2
    [reason] = {each.reason for each in home.changes(plan) if each.state == MOVED}
    assert reason == f"Record {pair[0].id} changed on their side since the plan: {', '.join(values)}."


def test_value_that_the_plan_itself_writes_is_no_other_record(home: OperationHome, mode: str) -> None:
    """What it fills is of both only then: the association comes after the value."""
    home.words(mode=mode, max_archives=10)
    home.ticket("7", content="")
    two = home.ticket("7", content="text")
    company = home.other("companies")
    home.link(two, "companies", company, COMPANY)
    assert home.run(plan=planned(home)).exit_code == 0
    found = home.only("7")
    assert (found.properties["content"], set(home.linked(found.id, "companies"))) == ("text", {company.id})


def test_blank_is_not_filled_in_the_ticket_that_the_survivor_was_merged_into(home: OperationHome, mode: str) -> None:
    """Its old id leads there, and its number is another one."""
    define(home.site, "tickets", "extra")
    home.words(mode=mode, max_archives=10)
    one = home.ticket("7", content="")
    home.ticket("7", content="", extra="of two")
    other = home.ticket("9", content="of other")
    plan = planned(home)
    merged = home.site.store.merge("tickets", other.id, one.id)
    done = home.run(plan=plan)
    assert home.site.store.records["tickets"][merged.id].properties.get("extra") in (None, "")
    assert {each.state for each in home.changes(plan)} == {MOVED, "failed"}
    assert done.counts.conflicts == 1


def test_group_that_a_person_began_to_merge_is_gone_on_with(home: OperationHome, mode: str) -> None:
    """What both became has their number: it is what the survivor is by now."""
    define(home.site, "tickets", "extra")
    home.words(mode=mode, max_archives=10)
    one, two = home.ticket("7", content="x"), home.ticket("7", content="x")
    home.ticket("7", content="x", extra="of three")
    plan = planned(home)
    home.site.store.merge("tickets", one.id, two.id)
    done = home.run(plan=plan)
    assert mode == "archive" or done.exit_code == 0
    if mode == "archive":  # it archives nothing that was merged; the next plan has the two that are left
        home.home.later(60)
        assert home.run().exit_code == 0
    [left] = home.live()
    assert (left.properties[SAME], left.properties["extra"]) == ("7", "of three")


# The one that goes


@pytest.mark.parametrize("first", [None, 1], ids=["all", "first 1"])
def test_nothing_is_copied_from_a_ticket_that_is_another_one_by_now(
    home: OperationHome, pair: Pair, first: int | None
) -> None:
    """Also where only what is copied is sent, and the merge waits."""
    plan = planned(home)
    edited(home, pair[1], **{SAME: "8"})
    is_left(home, home.run(plan=plan, first=first), pair)


def test_nothing_is_copied_from_a_ticket_that_a_person_merged_into_another_one(
    home: OperationHome, pair: Pair
) -> None:
    """They decided whose it is."""
    other = home.ticket("9", content="of other")
    plan = planned(home)
    home.site.store.merge("tickets", other.id, pair[1].id)
    is_left(home, home.run(plan=plan), pair)


def test_nothing_is_copied_from_a_ticket_that_a_person_archived(home: OperationHome, pair: Pair) -> None:
    """It was spam, for instance."""
    plan = planned(home)
    home.site.store.archive("tickets", pair[1].id)
    is_left(home, home.run(plan=plan), pair)
    assert home.run().exit_code == 0
    assert home.only("7").properties["content"] == "of one"


def test_one_read_tells_of_all_that_go_and_stay(
    home: OperationHome, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a merge costs does not grow by that."""
    home.words(mode=mode, max_archives=100)
    for number in range(50):
        for text in ("of one", "of two"):
            home.ticket(str(number), content=text)
    plan = planned(home)
    reads: list[int] = []
    as_given = settling_merges.as_given

    def counted(target: Any, *arguments: Any, **words: Any) -> Any:
        before = target.requests
        found = as_given(target, *arguments, **words)
        reads.append(target.requests - before)
        return found

    monkeypatch.setattr(settling_merges, "as_given", counted)
    assert home.run(plan=plan).exit_code == 0
    assert reads == [1]


# A kill


def killed_at(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch, is_it: Callable[[Change], bool], **request: Any
) -> str:
    """Run, and end before a state of such a change is written down; return the run's id."""
    set_states = plan_journal.set_states

    def end(t: Any, plan: str, changed: Sequence[Change], **more: Any) -> None:
        if any(map(is_it, changed)):
            raise KeyboardInterrupt
        set_states(t, plan, changed, **more)

    with monkeypatch.context() as patched:
        patched.setattr(plan_journal, "set_states", end)
        with pytest.raises(KeyboardInterrupt):
            home.run(**request)
    home.home.later()
    [(run,)] = home.rows("SELECT run FROM syncer.runs WHERE status = 'running'")
    return str(run)


def is_taking(change: Change) -> bool:
    """Tell whether a change is the first that takes something away."""
    return change.action in (MERGE, "archive")


def test_what_a_ticket_keeps_of_one_that_is_none_of_it_is_told_once(
    home: OperationHome, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was copied before the kill, and the number changed after it: only a person can take it off."""
    one, two = pair
    killed_at(home, monkeypatch, is_taking)
    edited(home, two, **{SAME: "8"})
    told = home.notes(home.run().plan)
    assert f"{one.id} keeps content and 1 association of {two.id}" in told
    assert "keeps" not in home.notes(home.run().plan)


def test_a_dry_run_does_not_use_up_what_is_told_once(
    home: OperationHome, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It settles nothing, and may be looked at by nobody."""
    killed_at(home, monkeypatch, is_taking)
    edited(home, pair[1], **{SAME: "8"})
    assert "keeps" not in home.notes(home.run(is_rehearsal=True).plan)  # that run may be under way for all it knows
    assert "keeps" in home.notes(home.run().plan)


def test_what_a_group_keeps_that_becomes_one_after_all_is_not_told(
    home: OperationHome, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that a person changed since is read anew, and nothing is foreign."""
    killed_at(home, monkeypatch, is_taking)
    edited(home, pair[1], content="of two, and more")
    done = home.run()
    assert done.exit_code == 0 and "keeps" not in home.notes(done.plan)
    assert len(home.live()) == 1


def test_what_was_put_back_is_not_told(home: OperationHome, pair: Pair, mode: str) -> None:
    """A revert took it off."""
    plan = planned(home)
    first = home.run(plan=plan, first=1)
    edited(home, pair[1], **{SAME: "8"})
    assert home.revert(first.run or "").exit_code == 0
    home.home.later(60)
    assert "keeps" not in home.notes(home.run().plan)


# Primary companies


@pytest.fixture
def two_companies(home: OperationHome, mode: str) -> tuple[PortalRecord, str, str]:
    """A survivor without a company; the other one has two, of which the second is the primary one."""
    home.words(mode=mode, max_archives=10)
    one, two = home.ticket("7", content="x"), home.ticket("7", content="x")
    plain, chosen = home.other("companies"), home.other("companies")
    home.link(two, "companies", plain, COMPANY)
    home.link(two, "companies", chosen, COMPANY, PRIMARY)
    return one, plain.id, chosen.id


@pytest.mark.parametrize("is_stored", [True, False], ids=["the same plan", "a new one"])
def test_primary_company_is_the_one_that_was_also_after_a_kill_between_two_requests(
    home: OperationHome, two_companies: tuple[PortalRecord, str, str], monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    """The first company that a ticket gets becomes its primary one by itself."""
    _, plain, chosen = two_companies
    request = {"plan": planned(home)} if is_stored else {}
    with monkeypatch.context() as patched:
        patched.setitem(apply.READ, ASSOCIATE, 1)
        begun: list[int] = []

        def is_second(change: Change) -> bool:
            if change.action == ASSOCIATE and change.state == SENDING:
                begun.append(change.number)
            return len(begun) == 2

        killed_at(home, patched, is_second, **request)
    assert home.run(**request).exit_code == 0
    linked = home.linked(home.only("7").id, "companies")
    assert (linked[chosen], linked[plain]) == (OWN, {COMPANY})


def test_primary_company_is_the_first_that_is_written(
    home: OperationHome, two_companies: tuple[PortalRecord, str, str]
) -> None:
    """An answer that is lost behind it leaves no other one."""
    _, _, chosen = two_companies
    home.run()
    wrote = [each.rsplit("/", 1)[-1] for each in home.home.sent() if "/associations/" in each]
    assert [each for each in wrote if each in ("create", "default")] == ["create", "default"]


def test_primary_company_moves_though_the_one_before_gets_a_label_in_the_same_go(
    home: OperationHome, mode: str
) -> None:
    """What that had is sent again with the label, and it is the primary one no more."""
    home.words(mode=mode, max_archives=10, primary_company="last")
    label = home.site.store.add_label("tickets", "companies", "Payer")
    one, two = home.ticket("7", content="x"), home.ticket("7", content="x")
    before, after = home.other("companies"), home.other("companies")
    home.link(one, "companies", before, COMPANY, PRIMARY)
    home.link(two, "companies", before, COMPANY, (label.category, label.type_id))
    home.link(two, "companies", after, COMPANY, PRIMARY)
    done = home.run()
    assert (done.error, done.exit_code) == (None, 0)
    linked = home.linked(home.only("7").id, "companies")
    assert (linked[before.id], linked[after.id]) == ({COMPANY, label.type_id}, OWN)


# Labels across two groups


@pytest.mark.parametrize("at_once", [None, 1], ids=["one request", "several at once"])
def test_labels_across_two_groups_are_all_there_after_one_run(
    home: OperationHome, mode: str, monkeypatch: pytest.MonkeyPatch, at_once: int | None
) -> None:
    """Either pair of the four has one, and a write to one end is a write to the other."""
    unions = EdgeWriting._unions

    def slow(*arguments: Any) -> Any:
        found = unions(*arguments)
        time.sleep(0.1)  # between reading what a pair has and writing it
        return found

    if at_once is not None:
        monkeypatch.setitem(apply.READ, ASSOCIATE, at_once)
        monkeypatch.setattr(EdgeWriting, "_unions", slow)
    home.words(mode=mode, max_archives=10)
    first, second = (home.site.store.add_label("tickets", "tickets", name) for name in ("Follows", "Blocks"))
    _, two, three, four = (home.ticket(number, content="x") for number in ("7", "7", "8", "8"))
    home.link(two, "tickets", four, 452, (first.category, first.type_id))
    home.link(three, "tickets", two, 452, (second.category, second.type_id))
    done = home.run()
    assert (done.error, done.exit_code, done.counts.conflicts) == (None, 0, 0)
    left, right = home.only("7"), home.only("8")
    assert home.linked(left.id, "tickets") == {right.id: {452, first.type_id, second.type_id}}
    home.home.later(900)
    again = home.run()
    assert (again.exit_code, again.counts.merged, again.counts.archived, again.counts.updated) == (0, 0, 0, 0)


def test_association_does_not_go_to_the_survivor_of_a_group_that_is_none_any_more(
    home: OperationHome, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is with a ticket that has another number by now: the survivor was to stand for it."""
    monkeypatch.setitem(apply.READ, ASSOCIATE, 1)
    home.words(mode=mode, max_archives=10)
    label = home.site.store.add_label("tickets", "tickets", "Follows")
    one, two, three, four = (home.ticket(number, content="x") for number in ("7", "7", "8", "8"))
    home.link(two, "tickets", four, 452, (label.category, label.type_id))
    plan = planned(home)
    edited(home, two, **{SAME: "9"})
    home.run(plan=plan)
    assert one.id not in home.linked(three.id, "tickets")
    home.home.later(60)
    assert home.run().exit_code == 0
    assert set(home.linked(home.only("8").id, "tickets")) == {two.id}
