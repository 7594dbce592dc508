"""
What becomes of a ticket whose company is a stand-in: the company that its own number names becomes the primary one,
and the stand-in goes. Decided from what was read, no I/O.

What takes the stand-in away comes after the change that makes the right company the primary one, also where that one
is so already: then its state says so, and it is not sent, but it has to read back all the same before the stand-in
goes. Not here: reading (`operations/fix_company_associations.py`), sending and reading back (`apply.py`).
Source: HubSpot's guide "Associate records": one primary company at most, which has the type without a label as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from syncer import grounds, plan
from syncer.grounds import Ground
from syncer.plan import Change, Edge, Edit
from syncer.target import PRIMARY_COMPANY, EdgeType, Linked

TICKETS, COMPANIES = "tickets", "companies"
NAMED = 5  # companies that a reason names


@attrs.frozen(kw_only=True)
class Company:
    """
    A company, and what people know it by; empty where that is for nobody to see. grounds: what makes it the right one.
    """

    id: str
    name: str = ""
    grounds: Sequence[Ground] = ()


@attrs.frozen(kw_only=True)
class Ticket:
    """
    A ticket of the stand-in. wanted: what names its company, as `named` gives it. linked: its companies. grounds: what
    makes it one to put right.
    """

    id: str
    title: str = ""
    wanted: str
    linked: Sequence[Linked]
    grounds: Sequence[Ground] = ()


@attrs.frozen
class Decided:
    """What becomes of a ticket: its changes, or why it is left as it is; neither: it needs nothing."""

    changes: Sequence[Change] = ()
    why: str = ""


def named(value: str | None, *, strips_zeros: bool) -> str:
    """Return what names a company, as it is compared: trimmed; empty where there is nothing."""
    text = (value or "").strip()
    return (text.lstrip("0") or text[:1]) if strips_zeros else text


def spellings(wanted: str, *, strips_zeros: bool, widest: int) -> Iterator[str]:
    """Yield what may stand with a company that is named so: with leading zeros, up to so many characters, if told."""
    yield wanted
    if strips_zeros:
        yield from (wanted.zfill(width) for width in range(len(wanted) + 1, widest + 1))


def decide(ticket: Ticket, stand_in: Company, found: Sequence[Company], primary: EdgeType) -> Decided:
    """
    Decide what becomes of one ticket. found: the companies that it names. primary: the type of a primary company.
    """
    linked = {each.id: each.types for each in ticket.linked}
    if stand_in.id not in linked:
        return Decided()  # it is none of the stand-in's any more
    if not found:
        return Decided(why="no company")
    if len(found) > 1:
        ids = sorted((each.id for each in found), key=lambda id: (len(id), id))
        more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
        return Decided(why=f"{len(ids):,} companies ({', '.join(ids[:NAMED])}{more})")
    [right] = found
    if right.id == stand_in.id:
        return Decided()
    return Decided(list(_numbered(_edges(linked, stand_in, right, primary), ticket, right, primary)))


def _edges(
    linked: Mapping[str, Sequence[EdgeType]], stand_in: Company, right: Company, primary: EdgeType
) -> Iterator[Edge]:
    """Yield the edge that is made, and those that go: of another primary company only that it is the primary one."""
    yield _edge(right, primary, is_whole=right.id not in linked)
    for type in _told_apart(linked[stand_in.id]):
        yield _edge(stand_in, type, is_whole=True)
    for id, types in linked.items():
        if id not in (stand_in.id, right.id) and _is_primary(types, primary):
            yield _edge(Company(id=id), primary, is_whole=False)


def _numbered(edges: Iterator[Edge], ticket: Ticket, right: Company, primary: EdgeType) -> Iterator[Change]:
    """
    Yield the changes of a ticket: the first one makes its company the primary one, the others come after it. What is
    taken from another company comes last: a label goes by another request than a pair, and shares it with others then.
    """
    held = [each.id for each in ticket.linked if _is_primary(each.types, primary)]
    for number, edge in enumerate(edges, 1):
        after = () if number == 1 else (1,) if edge.is_whole else (1, number - 1)
        change = Change(
            number=number,
            action=plan.DISASSOCIATE if number > 1 else plan.ASSOCIATE,
            kind=TICKETS,
            key=ticket.id,
            id=ticket.id,
            title=ticket.title,
            edge=edge,
            after=after,
            edges=_before(ticket, edge) if number == 1 else _held_by(ticket, edge) if edge.is_whole else (),
            agreed=grounds.carried([*ticket.grounds, *right.grounds]),
        )
        if number == 1 and right.id in held:
            change = attrs.evolve(change, state=plan.SAME)
        elif number == 1:
            change = attrs.evolve(change, fields={PRIMARY_COMPANY: Edit(held[0] if held else None, right.id)})
        yield change


def _edge(company: Company, type: EdgeType, *, is_whole: bool) -> Edge:
    return Edge(
        kind=COMPANIES,
        id=company.id,
        category=type.category,
        type_id=type.type_id,
        label=type.label,
        key=company.name,
        is_whole=is_whole,
    )


def _held_by(ticket: Ticket, edge: Edge) -> tuple[Edge, ...]:
    """Return all types of a pair: what it has got besides, when it is to go, was not planned."""
    linked = next(each for each in ticket.linked if each.id == edge.id)
    return tuple(_edge(Company(id=linked.id), type, is_whole=True) for type in linked.types)


def _before(ticket: Ticket, made: Edge) -> tuple[Edge, ...]:
    """Return what the ticket had by itself, which a revert leaves under its id of then, and what is made behind."""
    had = (_edge(Company(id=each.id), type, is_whole=True) for each in ticket.linked for type in each.types)
    return (*had, attrs.evolve(made, key=""))


def _told_apart(types: Sequence[EdgeType]) -> list[EdgeType]:
    """Return the types by which a revert makes a pair again: the one without a label comes along with any other."""
    labelled = [each for each in types if each.label or each.is_primary]
    return sorted(labelled or types, key=lambda each: (not each.is_primary, each.category, each.type_id))


def _is_primary(types: Sequence[EdgeType], primary: EdgeType) -> bool:
    return (primary.category, primary.type_id) in {(each.category, each.type_id) for each in types}
