"""
Values that people change between the plan of a merge and its run: what a copy is made of is compared before it is
made, so that nothing comes to the survivor that somebody took out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncer.plan import ASSOCIATE, DONE, FAILED, LEFT_OUT, MOVED, UPDATE
from syncer.tally import Pushed
from tests.operations import CONTACT, OperationHome, define, edited, planned

pytestmark = pytest.mark.parametrize("merge_mode", ["new", "primary", "archive"], indirect=True)
FIRST = pytest.mark.parametrize("first", [None, 1], ids=["all", "first 1"])
SECRET = "secret: hunter2"
OPTIONS = [{"value": each, "label": each, "displayOrder": 0} for each in ("a", "b", "hunter2")]


@pytest.fixture
def words(home: OperationHome, mode: str) -> Callable[..., None]:
    """Say what the site says of the operation, in each mode."""
    define(home.site, "tickets", "memo")
    return lambda **own: home.words(mode=mode, max_archives=10, **own) and None


def run(home: OperationHome, plan: str, first: int | None = None) -> Pushed:
    """Apply a stored plan, all of it or its first changes."""
    return home.run(plan=plan, **({} if first is None else {"first": first}))


def text_of(home: OperationHome) -> str:
    """Return all values of the live tickets."""
    return repr([each.properties for each in home.live()])


def reasons(home: OperationHome, plan: str) -> set[str]:
    """Return why changes of a plan were left."""
    return {each.reason for each in home.changes(plan) if each.state == MOVED}


def is_taken_up(home: OperationHome) -> None:
    """The next run makes one of the two, without what was taken out, and is the last that has to do."""
    home.home.later(86_400)
    assert home.run().exit_code == 0
    assert len(home.live()) == 1 and "hunter2" not in text_of(home)
    home.home.later(900)
    again = home.run()
    assert (again.exit_code, again.counts.merged, again.counts.archived, again.counts.updated) == (0, 0, 0, 0)


@FIRST
def test_text_that_a_person_took_out_is_not_joined(
    home: OperationHome, words: Callable[..., None], first: int | None
) -> None:
    """Both tickets have one: the old one stands in the plan, and would be copied for good."""
    words()
    one, two = home.ticket("7", content="of one"), home.ticket("7", memo="a memo", content=SECRET)
    plan = planned(home)
    edited(home, two, content="no secret any more")
    done = run(home, plan, first)
    assert one.properties["content"] == "of one" and not one.properties.get("memo")
    assert (done.exit_code != 0, done.counts.conflicts >= 1, len(home.live())) == (True, True, 2)
    said = f"Record {two.id}, whose values it was to get, changed on their side since the plan: content."
    assert reasons(home, plan) == {said}
    assert {each.state for each in home.changes(plan)} <= {MOVED, FAILED, LEFT_OUT}
    is_taken_up(home)
    assert "no secret any more" in text_of(home) and "of one" in text_of(home) and "a memo" in text_of(home)


@FIRST
@pytest.mark.parametrize(
    ("rule", "texts", "after"),
    [
        ("concatenate", ("of one", SECRET), "fine"),
        ("longest", ("x", SECRET), "y"),
        ("last", ("x", SECRET), "fine"),
        ("fill", ("", SECRET), "fine"),
        ("fill", ("", SECRET), ""),
    ],
)
def test_no_rule_copies_a_value_that_is_another_one_by_now(
    home: OperationHome, words: Callable[..., None], rule: str, texts: tuple[str, str], after: str, first: int | None
) -> None:
    """Whatever the survivor was to get."""
    words(keep={"memo": rule})
    one, two = (home.ticket("7", content="same", memo=text) for text in texts)
    plan = planned(home)
    edited(home, two, memo=after)
    done = run(home, plan, first)
    assert (one.properties.get("memo") or "", done.exit_code != 0) == (texts[0], True)
    assert all(each.endswith(": memo.") for each in reasons(home, plan)) and reasons(home, plan)
    is_taken_up(home)


@FIRST
def test_choices_that_a_person_took_out_do_not_come_with_the_others(
    home: OperationHome, words: Callable[..., None], first: int | None
) -> None:
    """`union` puts together what all have."""
    define(home.site, "tickets", "tags", type="enumeration", field_type="checkbox", options=OPTIONS)
    words(keep={"tags": "union"})
    one, two = (home.ticket("7", content="same", tags=tags) for tags in ("a", "b;hunter2"))
    plan = planned(home)
    edited(home, two, tags="b")
    assert run(home, plan, first).exit_code != 0
    assert one.properties["tags"] == "a"
    is_taken_up(home)
    assert set((home.only("7").properties["tags"] or "").split(";")) == {"a", "b"}


@FIRST
def test_where_the_survivor_is_another_one_nothing_of_the_group_is_copied(
    home: OperationHome, words: Callable[..., None], first: int | None
) -> None:
    """Its associations wait with its text: it is one conflict, and no half of a copy."""
    words()
    one, two = home.ticket("7", content=SECRET), home.ticket("7", content="of two")
    home.link(two, "contacts", home.other("contacts", email="a@example.com"), CONTACT)
    plan = planned(home)
    edited(home, one, content="mine")
    done = run(home, plan, first)
    assert (one.properties["content"], home.linked(one.id, "contacts"), done.exit_code != 0) == ("mine", {}, True)
    states = {each.action: each.state for each in home.changes(plan) if each.action in (UPDATE, ASSOCIATE)}
    assert states[ASSOCIATE] in (MOVED, LEFT_OUT) and states[UPDATE] in (MOVED, LEFT_OUT)
    assert f"Record {one.id} changed on their side since the plan: content." in reasons(home, plan)
    is_taken_up(home)


def test_of_three_one_that_changed_keeps_all_from_being_copied(
    home: OperationHome, words: Callable[..., None]
) -> None:
    """A joined text is of all of them: the two others wait for the next plan."""
    words()
    one, two = home.ticket("7", content="of one"), home.ticket("7", content="of two")
    three = home.ticket("7", content=SECRET)
    plan = planned(home)
    edited(home, three, content="of three")
    run(home, plan)
    assert [each.properties["content"] for each in (one, two, three)] == ["of one", "of two", "of three"]
    is_taken_up(home)


def test_blank_that_somebody_filled_is_part_of_what_is_copied(home: OperationHome, words: Callable[..., None]) -> None:
    """The joined text would be without it."""
    words(keep={"memo": "concatenate"})
    one, two = home.ticket("7", content="same"), home.ticket("7", content="same", memo="of two")
    three = home.ticket("7", content="same")
    plan = planned(home)
    edited(home, three, memo="of three")
    run(home, plan)
    assert not one.properties.get("memo") and len(home.live()) == 3
    assert two.properties["memo"] == "of two"
    is_taken_up(home)
    assert "of two" in text_of(home) and "of three" in text_of(home)


def test_other_groups_of_the_same_batch_are_copied(home: OperationHome, words: Callable[..., None]) -> None:
    """A conflict is one group's."""
    words()
    home.ticket("7", content="of one")
    two = home.ticket("7", content=SECRET)
    home.ticket("8", content="third")
    home.ticket("8", content="fourth")
    plan = planned(home)
    edited(home, two, content="fine")
    run(home, plan)
    assert {each for each in ("third", "fourth") if each in (home.only("8").properties["content"] or "")} == {
        "third",
        "fourth",
    }


def test_rest_of_a_plan_goes_on_over_what_its_first_part_wrote(
    home: OperationHome, words: Callable[..., None]
) -> None:
    """What the plan itself wrote to the survivor is no edit of a person's."""
    words()
    home.ticket("7", content="of one")
    two = home.ticket("7", content="of two")
    contact = home.other("contacts", email="a@example.com")
    home.link(two, "contacts", contact, CONTACT)
    plan = planned(home)
    done = run(home, plan, 1)
    assert (done.error, {each.state for each in home.changes(plan)} <= {DONE, LEFT_OUT, "pending"}) == (None, True)
    home.home.later(86_400)
    assert run(home, plan).exit_code == 0
    left = home.only("7")
    assert "of one" in (left.properties["content"] or "") and "of two" in (left.properties["content"] or "")
    assert set(home.linked(left.id, "contacts")) == {contact.id}


def test_no_value_is_told(home: OperationHome, words: Callable[..., Any]) -> None:
    """Ids and names are enough to find it."""
    words()
    home.ticket("7", content="of one")
    two = home.ticket("7", content=SECRET)
    plan = planned(home)
    edited(home, two, content="changed text")
    done = run(home, plan)
    told = repr([done.error, done.notes, done.trips, reasons(home, plan)])
    assert "hunter2" not in told and "changed text" not in told and two.id in told
