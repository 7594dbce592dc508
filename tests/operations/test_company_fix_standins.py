"""What becomes of a ticket of a stand-in, by what it is linked to: a truth table."""

from __future__ import annotations

import pytest

from syncer import plan
from syncer.standins import Company, Ticket, decide, named, spellings
from syncer.target import EdgeType, Linked

PLAIN = EdgeType(category="HUBSPOT_DEFINED", type_id=339)
FIRST = EdgeType(category="HUBSPOT_DEFINED", type_id=26, label="Primary", is_primary=True)
PAYER = EdgeType(category="USER_DEFINED", type_id=7, label="Payer")
STAND_IN, ACME, BOLT = Company(id="1", name="Everybody"), Company(id="2", name="Acme"), Company(id="3", name="Bolt")


@pytest.mark.parametrize(
    ("linked", "expected"),
    [
        ({"1": [PLAIN, FIRST]}, [("+", "2", 26, True, plan.PLANNED, "1"), ("-", "1", 26, True)]),
        ({"1": [PLAIN]}, [("+", "2", 26, True, plan.PLANNED, None), ("-", "1", 339, True)]),
        ({"1": [PLAIN], "2": [PLAIN, FIRST]}, [("+", "2", 26, False, plan.SAME, ""), ("-", "1", 339, True)]),
        ({"1": [PLAIN, FIRST], "2": [PLAIN]}, [("+", "2", 26, False, plan.PLANNED, "1"), ("-", "1", 26, True)]),
        (
            {"1": [PLAIN, FIRST, PAYER]},
            [("+", "2", 26, True, plan.PLANNED, "1"), ("-", "1", 26, True), ("-", "1", 7, True)],
        ),
        (
            {"1": [PLAIN, PAYER], "3": [PLAIN, FIRST]},
            [("+", "2", 26, True, plan.PLANNED, "3"), ("-", "1", 7, True), ("-", "3", 26, False)],
        ),
        ({"3": [PLAIN, FIRST]}, []),
    ],
)
def test_changes_of_a_ticket_by_what_it_is_linked_to(
    linked: dict[str, list[EdgeType]], expected: list[object]
) -> None:
    """The right company first; each type of the stand-in that a revert could not tell from another one."""
    ticket = Ticket(id="9", wanted="4711", linked=[Linked(id=id, types=types) for id, types in linked.items()])
    found = []
    for each in decide(ticket, STAND_IN, [ACME], FIRST).changes:
        assert each.edge is not None
        edge = each.edge.id, each.edge.type_id, each.edge.is_whole
        if each.action == plan.ASSOCIATE:
            before = [edit.before for edit in each.fields.values()]
            found.append(("+", *edge, each.state, *(before or [""])))
        else:
            assert each.after == ((1,) if each.edge.is_whole else (1, each.number - 1))
            found.append(("-", *edge))
    assert found == expected


@pytest.mark.parametrize(
    ("companies", "why"),
    [
        ([], "no company"),
        ([ACME, BOLT], "2 companies (2, 3)"),
        ([STAND_IN], ""),
        ([STAND_IN, ACME], "2 companies (1, 2)"),
    ],
)
def test_ticket_is_left_unless_its_number_names_one_other_company(companies: list[Company], why: str) -> None:
    """What is not known is not guessed."""
    ticket = Ticket(id="9", wanted="4711", linked=[Linked(id="1", types=[PLAIN, FIRST])])
    decided = decide(ticket, STAND_IN, companies, FIRST)
    assert (decided.changes, decided.why) == ((), why)


@pytest.mark.parametrize(
    ("value", "plain", "stripped"),
    [(None, "", ""), ("  ", "", ""), (" 007 ", "007", "7"), ("0", "0", "0"), ("000", "000", "0"), ("a0", "a0", "a0")],
)
def test_names_are_trimmed_and_stripped_of_zeros_only_if_told(value: str | None, plain: str, stripped: str) -> None:
    """A number that is nothing but zeros stays one."""
    assert (named(value, strips_zeros=False), named(value, strips_zeros=True)) == (plain, stripped)


def test_spellings_are_those_up_to_a_width() -> None:
    """A search finds just what it is asked for."""
    assert list(spellings("7", strips_zeros=True, widest=3)) == ["7", "07", "007"]
    assert list(spellings("7", strips_zeros=False, widest=3)) == ["7"]
