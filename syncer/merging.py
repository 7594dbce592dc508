"""
What becomes of a group of records that are one: which survives, what it gets of the others, and what is lost with
them. Decided without I/O, from what was read.

    survivor    by rule: the oldest, the newest, the one with the most associations, an open one before a closed one
    values      by rule, property by property: else the survivor's own, and where that is blank the next oldest's
    edges       all of the others', with their labels; one primary company, by rule. A company stays the primary one of
                all that had it

Not here: which records are one (`grouping.py`), reading them, and the changes of a plan (`operations/`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

import attrs

from syncer import joining
from syncer.blanks import is_blank
from syncer.joining import Part
from syncer.plan import Edge, Edit
from syncer.target import Linked, Property, Shape

OLDEST, NEWEST, MOST_ASSOCIATIONS, OPEN_FIRST = SURVIVORS = ("oldest", "newest", "most_associations", "open_first")
FILL, FIRST, LAST, LONGEST, CONCATENATE, UNION = KEEPS = ("fill", "first", "last", "longest", "concatenate", "union")
SURVIVORS_OWN = "survivor"
PRIMARIES = (SURVIVORS_OWN, FIRST, LAST)
COMPANIES = "companies"
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@attrs.frozen(kw_only=True)
class Member:
    """
    One record of a group as it was read. made_at: None where that is not told. values: in normal form; properties: as
    the API has them. linked: what it is associated with, by kind. is_open: its stage is none that closes it.
    """

    id: str
    made_at: dt.datetime | None
    properties: Mapping[str, str | None]
    linked: Mapping[str, Sequence[Linked]] = attrs.field(factory=dict)
    merged: Sequence[str] = ()
    is_open: bool = True

    @property
    def age(self) -> tuple[dt.datetime, int, str]:
        """What it is put in order by: the oldest first, then the smaller id."""
        return self.made_at or NEVER, len(self.id), self.id

    @property
    def associations(self) -> int:
        """How many records it is associated with."""
        return sum(len(others) for others in self.linked.values())

    @property
    def primary_company(self) -> str | None:
        """The id of its primary company; None: it has none."""
        companies = self.linked.get(COMPANIES, ())
        return next((each.id for each in companies if any(type.is_primary for type in each.types)), None)

    def edges(self) -> list[Edge]:
        """Return its associations, one for each type."""
        return [
            Edge(kind=kind, id=other.id, category=type.category, type_id=type.type_id, label=type.label)
            for kind, others in self.linked.items()
            for other in others
            for type in other.types
        ]


@attrs.frozen(kw_only=True)
class Rules:
    """
    How a group is decided. keep: the rule of a property, by name. noun: what a record is called in a text that is
    joined. primary: whose primary company stays.
    """

    survivor: str = OLDEST
    keep: Mapping[str, str] = attrs.field(factory=dict)
    primary: str = SURVIVORS_OWN
    noun: str = "record"


@attrs.frozen(kw_only=True)
class Merged:
    """
    What becomes of one group. others: those that go, the oldest first. edits: what the survivor gets. edges: what it
    is associated with besides; primary: the one of them that leads to its primary company. after: the survivor's
    values then, as the API will have them. cut: characters that did not fit, by property.
    """

    survivor: Member
    others: Sequence[Member]
    edits: Mapping[str, Edit]
    edges: Sequence[Edge]
    primary: Edge | None = None
    after: Mapping[str, str | None]
    cut: Mapping[str, int] = attrs.field(factory=dict)

    def lost(self, member: Member, shape: Shape) -> list[str]:
        """Name the properties of which a record's value goes with it: those that take values, and that differ then."""
        return [
            name
            for name, value in sorted(member.properties.items())
            if value
            and not is_blank(value)
            and (known := shape.properties.get(name)) is not None
            and not known.why_not
            and known.theirs(value) != known.theirs(self.after.get(name))
            and not _is_within(value, self.after.get(name), known)
        ]


def _is_within(value: str, after: str | None, known: Property) -> bool:
    """Tell whether a value is part of what stands there then: of what was joined, or among the choices."""
    if after is None:
        return False
    if known.is_list:
        return set(_choices(value)) <= set(_choices(after))
    return known.type == "string" and joining.is_within(value, after)


def decide(
    members: Sequence[Member], shape: Shape, rules: Rules, *, instead: Mapping[tuple[str, str], str] | None = None
) -> Merged:
    """
    Decide what becomes of records that are one, two at least. instead: by kind and id, which record stands for one
    that is to go as well: who was associated with that gets this one.
    """
    ordered = sorted(members, key=lambda member: member.age)
    survivor = _survivor(ordered, rules.survivor)
    others = [member for member in ordered if member is not survivor]
    edits: dict[str, Edit] = {}
    cut: dict[str, int] = {}
    after = dict(survivor.properties)
    for name in sorted({name for member in members for name, value in member.properties.items() if value}):
        known = shape.properties.get(name)
        if known is None or known.why_not or known.is_unique:
            continue
        value, left = _value(name, known, ordered, survivor, rules)
        if left:
            cut[name] = left
        if known.theirs(value) != known.theirs(survivor.properties.get(name)):
            edits[name] = Edit(survivor.properties.get(name) or None, value)
            after[name] = value
    edges = _edges(survivor, others, ordered, rules.primary, instead or {})
    primaries = {spec for spec in _primaries(members) if spec[2] == COMPANIES}
    return Merged(
        survivor=survivor,
        others=others,
        edits=edits,
        edges=edges,
        primary=next((each for each in edges if (each.category, each.type_id, each.kind) in primaries), None),
        after=after,
        cut=cut,
    )


def _survivor(ordered: Sequence[Member], rule: str) -> Member:
    if rule == NEWEST:
        return ordered[-1]
    if rule == MOST_ASSOCIATIONS:
        return max(ordered, key=lambda member: (member.associations, -ordered.index(member)))
    if rule == OPEN_FIRST:
        return min(ordered, key=lambda member: (not member.is_open, ordered.index(member)))
    return ordered[0]


def _value(
    name: str, known: Property, ordered: Sequence[Member], survivor: Member, rules: Rules
) -> tuple[str | None, int]:
    """Return what the survivor has then, and how many characters of it did not fit."""
    own = survivor.properties.get(name)
    filled = [(member, value) for member in ordered if _is_filled(value := member.properties.get(name), known)]
    values = [value for _, value in filled if value is not None]
    if not values:
        return own, 0
    rule = rules.keep.get(name, FILL)
    if rule == FIRST:
        return values[0], 0
    if rule == LAST:
        return values[-1], 0
    if rule == LONGEST:
        return max(values, key=len), 0
    if rule == CONCATENATE:
        parts = [Part(noun=rules.noun, id=member.id, at=member.made_at, text=value or "") for member, value in filled]
        made = joining.joined(parts, ids={id for member in ordered for id in member.merged})
        return made.text, made.left
    if rule == UNION:
        return ";".join(dict.fromkeys(choice for value in values for choice in _choices(value))), 0
    return (own if _is_filled(own, known) else values[0]), 0


def _is_filled(value: str | None, known: Property) -> bool:
    return known.theirs(value) is not None and not is_blank(value)


def _choices(value: str) -> list[str]:
    return [choice for each in value.split(";") if (choice := each.strip())]


def _edges(
    survivor: Member,
    others: Sequence[Member],
    ordered: Sequence[Member],
    primary: str,
    instead: Mapping[tuple[str, str], str],
) -> list[Edge]:
    """
    Return the associations that the survivor lacks: those of the others, but for those among themselves. The primary
    ones are the first.
    """
    group = {member.id for member in ordered} | {id for member in ordered for id in member.merged}
    has = {(edge.kind, edge.id, edge.category, edge.type_id) for edge in survivor.edges()}
    pairs = {(edge.kind, edge.id) for edge in survivor.edges()}
    wanted: dict[tuple[str, str | None, str, int], Edge] = {}
    is_primary = _primaries(ordered)
    chosen = _primary(survivor, ordered, primary, is_primary)
    theirs = [
        attrs.evolve(edge, id=instead.get((edge.kind, edge.id or ""), edge.id))
        for member in others
        for edge in member.edges()
    ]
    labels = [edge for edge in theirs if edge.label and (edge.category, edge.type_id, edge.kind) not in is_primary]
    labelled = {(edge.kind, edge.id) for edge in (*labels, *chosen)}
    for edge in chosen:  # first: whichever company is written first becomes the primary one by itself
        spec = edge.kind, edge.id, edge.category, edge.type_id
        if spec not in has:
            wanted[spec] = attrs.evolve(edge, is_whole=(edge.kind, edge.id) not in pairs)
    for edge in theirs:
        spec = edge.kind, edge.id, edge.category, edge.type_id
        if edge.id in group or spec in has or (edge.category, edge.type_id, edge.kind) in is_primary:
            continue
        if not edge.label and (edge.kind, edge.id) in pairs | labelled:  # a label brings it along
            continue
        wanted.setdefault(spec, attrs.evolve(edge, is_whole=(edge.kind, edge.id) not in pairs))
    return list(wanted.values())


def _primaries(members: Sequence[Member]) -> set[tuple[str, int, str]]:
    return {
        (type.category, type.type_id, kind)
        for member in members
        for kind, others in member.linked.items()
        for other in others
        for type in other.types
        if type.is_primary
    }


def _primary(
    survivor: Member, ordered: Sequence[Member], rule: str, is_primary: Collection[tuple[str, int, str]]
) -> list[Edge]:
    """
    Return the primary associations that the survivor has then: one to a company; where it is the company itself, those
    of all records whose primary one it is, since each has one of its own.
    """
    first = [survivor, *(each for each in ordered if each is not survivor)]
    asked = {FIRST: list(ordered), LAST: list(reversed(ordered))}.get(rule, first)
    found: dict[tuple[str, str], Edge] = {}
    for member in asked:
        for edge in member.edges():
            if (edge.category, edge.type_id, edge.kind) in is_primary:
                found.setdefault((edge.kind, "" if edge.kind == COMPANIES else edge.id or ""), edge)
    return list(found.values())
