"""What becomes of a group of records that are one, decided from what was read; and which records share a value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest

from syncer import merging
from syncer.grouping import Group, Groups
from syncer.merging import Member, Merged, Rules, decide
from syncer.target import EdgeType, Linked, Property, Typing

AT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
PLAIN, PRIMARY = (
    EdgeType(category="HUBSPOT_DEFINED", type_id=339),
    EdgeType(category="HUBSPOT_DEFINED", type_id=26, label="Primary", is_primary=True),
)
LABEL = EdgeType(category="USER_DEFINED", type_id=7, label="Reseller")


def blank_is_none(value: str | None) -> str | None:
    return value.strip() or None if value else None


@attrs.frozen
class Kind:
    """Records with some properties, as far as deciding looks at them."""

    properties: Mapping[str, Property]
    kind: str = "tickets"
    version: str = ""
    title: str = "subject"

    def property_of(self, column: str) -> str | None:
        return column if column in self.properties else None

    def why_not(self, column: str) -> str:
        return self.properties[column].why_not

    def typing(self, columns: Sequence[str]) -> Typing:
        raise NotImplementedError

    def missing(self, values: Mapping[str, Any]) -> Sequence[str]:
        return ()


def known(name: str, **words: Any) -> Property:
    return Property(name=name, label=name, theirs=blank_is_none, **words)


KIND = Kind(
    {
        each.name: each
        for each in (
            known("subject"),
            known("notes"),
            known("tags", type="enumeration", is_list=True),
            known("code", is_unique=True),
            known("set_by_them", why_not="HubSpot sets it itself"),
        )
    }
)


def member(
    id: int, *, days: int | None = None, linked: Mapping[str, Sequence[Linked]] | None = None, **own: str
) -> Member:
    made = AT + dt.timedelta(days=id if days is None else days)
    return Member(id=str(id), made_at=made, properties=own, linked=linked or {})


def to(id: str, *types: EdgeType) -> Linked:
    return Linked(id=id, types=types or (PLAIN,))


def decided(*members: Member, **words: Any) -> Merged:
    return decide(members, KIND, Rules(**words))


def edges(merged: Merged) -> set[tuple[str, str | None, int]]:
    return {(each.kind, each.id, each.type_id) for each in merged.edges}


# The survivor


def test_the_oldest_survives_and_the_others_go_the_oldest_first() -> None:
    """Whatever order they were read in; of two of the same moment the smaller number, not the smaller text."""
    merged = decided(member(10, days=1), member(3, days=2), member(9, days=1))
    assert (merged.survivor.id, [each.id for each in merged.others]) == ("9", ["10", "3"])


def test_one_whose_date_is_not_told_counts_as_the_newest() -> None:
    """It must not win by not being known."""
    unknown = attrs.evolve(member(1), made_at=None)
    assert decided(unknown, member(2)).survivor.id == "2"
    assert decided(unknown, member(2), survivor=merging.NEWEST).survivor.id == "1"


def test_the_one_with_most_associations_survives_and_of_equals_the_older() -> None:
    """Associations are counted, not their types."""
    one = member(1, linked={"notes": [to("5", PLAIN, LABEL)]})
    two = member(2, linked={"notes": [to("5")], "companies": [to("6")]})
    three = member(3, linked={"notes": [to("5"), to("6")]})
    assert decided(one, three, two, survivor=merging.MOST_ASSOCIATIONS).survivor.id == "2"


@pytest.mark.parametrize(("open", "survivor"), [((), "1"), ((3,), "3"), ((2, 3), "2"), ((1, 2, 3), "1")])
def test_an_open_one_survives_before_a_closed_one(open: tuple[int, ...], survivor: str) -> None:
    """Of several open ones, and where all are closed, the oldest."""
    members = [attrs.evolve(member(number), is_open=number in open) for number in (1, 2, 3)]
    assert decided(*members, survivor=merging.OPEN_FIRST).survivor.id == survivor


# Values


@pytest.mark.parametrize(
    ("rule", "kept"),
    [(merging.FILL, "bb"), (merging.FIRST, "a"), (merging.LAST, "cc"), (merging.LONGEST, "bb")],
)
def test_a_value_is_kept_by_its_rule(rule: str, kept: str) -> None:
    """First and last are the oldest's and the newest's, whichever survives; of equally long ones the older's."""
    members = [member(1, notes="a"), member(2, notes="bb"), member(3, notes="cc"), member(4)]
    ordered = [attrs.evolve(each, is_open=each.id == "2") for each in members]
    merged = decided(*ordered, survivor=merging.OPEN_FIRST, keep={"notes": rule})
    assert merged.survivor.id == "2" and merged.after["notes"] == kept
    assert ("notes" in merged.edits) == (kept != "bb")


def test_a_blank_is_filled_from_the_next_oldest_that_has_one() -> None:
    """Spaces are a blank, too."""
    merged = decided(member(1, notes=" "), member(2), member(3, notes="c"), member(4, notes="d"))
    assert merged.edits["notes"].after == "c"


@pytest.mark.parametrize("unseen", ["\u00a0", "\u200b", " \t\n", "\ufeff", "\u2060\u200d", "\u3164\ufe0f"])
def test_what_nobody_can_see_is_a_blank(unseen: str) -> None:
    """It is filled, it is never what a rule picks, and nothing is lost with it."""
    merged = decided(member(1, notes=unseen), member(2, notes="b"), member(3, notes=unseen))
    assert merged.after["notes"] == "b" and merged.lost(merged.others[1], KIND) == []
    last = decided(member(1, notes="a"), member(2, notes=unseen), keep={"notes": merging.LAST})
    assert last.edits == {} and decided(member(1, notes=unseen), member(2)).edits == {}


def test_choices_are_united_once_each_in_the_order_of_age() -> None:
    """The survivor's order stays, so that one that has them all is not written."""
    union = {"tags": merging.UNION}
    assert decided(member(1, tags="b;a"), member(2, tags="a; c;"), keep=union).after["tags"] == "b;a;c"
    assert decided(member(1, tags="b;a"), member(2, tags="a"), keep=union).edits == {}


def test_what_takes_no_value_or_is_unique_is_not_written() -> None:
    """A unique value is the loser's still when the survivor would get it."""
    merged = decided(member(1), member(2, code="K-2", set_by_them="x"))
    assert merged.edits == {}
    assert merged.lost(merged.others[0], KIND) == ["code"]


def test_lost_is_what_differs_then_and_is_not_part_of_what_stands_there() -> None:
    """What was joined or chosen as well is there still."""
    rules = {"notes": merging.CONCATENATE, "tags": merging.UNION}
    merged = decided(
        member(1, subject="A", notes="one", tags="a"), member(2, subject="B", notes="two", tags="b"), keep=rules
    )
    assert merged.lost(merged.others[0], KIND) == ["subject"]


def test_a_value_is_lost_also_where_a_longer_one_happens_to_hold_it() -> None:
    """`paid` is not kept by `not paid`: only a text that was joined has parts."""
    merged = decided(member(1, notes="not paid", subject="AB"), member(2, notes="paid", subject="A"))
    assert merged.lost(merged.others[0], KIND) == ["notes", "subject"]
    joined = decided(member(1, notes="not paid"), member(2, notes="paid"), keep={"notes": merging.CONCATENATE})
    assert joined.lost(joined.others[0], KIND) == []


def test_a_line_above_a_part_is_known_by_the_records_that_were_merged_before() -> None:
    """What one said that went long ago stands there once, whoever says it again."""
    text = "--- record 8, 2026-03-01 09:14 UTC ---\nold\n\n--- record 1, 2026-03-02 00:00 UTC ---\none"
    one = attrs.evolve(member(1, notes=text), merged=("8",))
    older = member(0, notes="old")
    kept = decided(one, older, keep={"notes": merging.CONCATENATE}).after["notes"] or ""
    assert kept.count("old") == 1 and kept.count("--- record") == 2


# Associations


def test_associations_among_records_of_the_group_go_with_them() -> None:
    """Also with one that was merged into one of them before."""
    one = attrs.evolve(member(1, linked={"tickets": [to("2")]}), merged=("8",))
    two = member(2, linked={"tickets": [to("1"), to("8"), to("9")]})
    assert edges(decided(one, two)) == {("tickets", "9", 339)}


def test_what_is_to_go_as_well_is_followed_to_what_stands_for_it() -> None:
    """Once, with the labels of both; and not where the survivor has it."""
    two = member(2, linked={"tickets": [to("8"), to("9", PLAIN, LABEL), to("6")], "notes": [to("8")]})
    one = member(1, linked={"tickets": [to("5")]})
    instead = {("tickets", "8"): "7", ("tickets", "9"): "7", ("tickets", "6"): "5"}
    merged = decide([one, two], KIND, Rules(), instead=instead)
    assert edges(merged) == {("tickets", "7", 7), ("notes", "8", 339)}


def test_a_label_brings_its_association_along() -> None:
    """The plain type beside a label is not made a second time; of a pair that the survivor has the label is added."""
    one = member(1, linked={"companies": [to("5")]})
    two = member(2, linked={"companies": [to("5", PLAIN, LABEL), to("6", PLAIN, LABEL)]})
    merged = decided(one, two)
    assert edges(merged) == {("companies", "5", 7), ("companies", "6", 7)}
    assert {each.id: each.is_whole for each in merged.edges} == {"5": False, "6": True}


@pytest.mark.parametrize(("rule", "company"), [("survivor", "b"), ("first", "a"), ("last", "c")])
def test_the_primary_company_is_by_rule_and_there_is_one(rule: str, company: str) -> None:
    """The others become plain ones."""
    members = [
        attrs.evolve(member(n, linked={"companies": [to(id, PLAIN, PRIMARY)]}), is_open=n == 2)
        for n, id in ((1, "a"), (2, "b"), (3, "c"))
    ]
    merged = decided(*members, survivor=merging.OPEN_FIRST, primary=rule)
    primary = [each.id for each in merged.edges if each.type_id == 26]
    assert primary == ([] if company == "b" else [company])
    assert {each.id for each in merged.edges} == {"a", "c"}


def test_a_company_that_survives_is_the_primary_one_of_all_that_had_one_of_them() -> None:
    """Each ticket has a primary company of its own: there are many from here, and none may lose its own."""
    back = EdgeType(category="HUBSPOT_DEFINED", type_id=340)
    primary = EdgeType(category="HUBSPOT_DEFINED", type_id=25, label="Primary", is_primary=True)
    one = member(1, linked={"tickets": [to("a", back)]})
    two = member(2, linked={"tickets": [to("a", back, primary), to("b", back, primary), to("c", back)]})
    three = member(3, linked={"tickets": [to("d", back, primary)]})
    assert edges(decided(one, two, three)) == {
        ("tickets", "a", 25), ("tickets", "b", 25), ("tickets", "c", 340), ("tickets", "d", 25)
    }  # fmt: skip


def test_a_survivor_without_a_primary_company_gets_that_of_the_oldest_other() -> None:
    """Rather than none."""
    members = [member(1), member(2, linked={"companies": [to("b", PLAIN, PRIMARY)]})]
    members.append(member(3, linked={"companies": [to("c", PLAIN, PRIMARY)]}))
    assert edges(decided(*members)) == {("companies", "b", 26), ("companies", "c", 339)}


# Finding groups


def found(*batches: Sequence[tuple[str, str]], most: int = 10) -> list[Group]:
    with Groups() as groups:
        for batch in batches:
            groups.add(batch)
        return list(groups.found(most=most))


def test_records_that_share_a_value_are_a_group_whichever_page_they_came_on() -> None:
    """In the order of their smallest id, as a number; one alone is none."""
    assert found([("b", "95"), ("a", "9"), ("c", "1")], [("a", "10"), ("b", "8")]) == [
        Group(2, ("8", "95")),
        Group(2, ("9", "10")),
    ]


def test_a_record_that_was_met_twice_is_one() -> None:
    """A walk may come past it again while it runs."""
    assert found([("a", "1")], [("a", "1")]) == []


def test_of_a_group_that_is_too_large_only_so_many_are_named_and_all_are_counted() -> None:
    """A thousand ids would stand in memory for nothing."""
    assert found([("a", str(number)) for number in range(100, 150)], most=3) == [Group(50, ("100", "101", "102"))]


def test_what_stands_for_one_that_goes_is_told_when_it_was_decided() -> None:
    """Of others nothing is said."""
    with Groups() as groups:
        groups.decided("1", ["2", "3"])
        assert groups.stands_for(["3", "1", "4"]) == {"3": "1"}


def test_values_are_told_apart_by_each_character() -> None:
    """Also by what no text may hold."""
    assert found([("a", "1"), ("A", "2"), ("a ", "3"), ("\ud800", "4"), ("\ud800", "5")]) == [Group(2, ("4", "5"))]
