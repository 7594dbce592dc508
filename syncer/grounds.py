"""
What a change was decided on: values of records, which the change carries, and which are read again just before it is
sent. A change whose grounds are others by then is a conflict.

A change of an edge reads its edge again before it is sent (`settling_edges.py`), and not what the edge was chosen by:
that is what this is for. Not here: which values those are (`standins.py`), when they are read again (`apply.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from syncer import plan
from syncer.plan import Change
from syncer.target import BATCH, Found, Target

PREFIX = "ground"  # of what stands beside the values that both sides agree on; no property has a colon in its name


@attrs.frozen(kw_only=True)
class Ground:
    """A value that something was decided on, trimmed. Its kind, id and property name the record that has it."""

    kind: str
    id: str
    property: str
    value: str

    @classmethod
    def of(cls, change: Change) -> list[Ground]:
        """Return what a change was decided on; nothing where it carries nothing."""
        parts = ((name.split(":", 3), value) for name, value in change.agreed.items())
        return [
            cls(kind=name[1], id=name[2], property=name[3], value=value or "")
            for name, value in parts
            if len(name) == 4 and name[0] == PREFIX
        ]


def carried(grounds: Sequence[Ground]) -> dict[str, str | None]:
    """Write grounds as a change carries them, in `agreed`: that is stored with it, and shown nowhere."""
    return {f"{PREFIX}:{each.kind}:{each.id}:{each.property}": each.value for each in grounds}


def is_of_own(change: Change) -> bool:
    """Tell whether a change was decided on a value of its own record."""
    return any((each.kind, each.id) == (change.kind, change.id) for each in Ground.of(change))


def standing(target: Target, changes: Sequence[Change]) -> list[Change]:
    """
    Return changes that are about to be sent: those that are open still are moved where what they were decided on is
    otherwise by now. Raises: what the target raises.
    """
    grounds = {each.number: Ground.of(each) for each in changes if each.state in plan.OPEN_STATES}
    now = _read(target, [each for found in grounds.values() for each in found])
    told = {number: _told(target, found, now) for number, found in grounds.items()}
    return [
        attrs.evolve(each, state=plan.MOVED, reason=told[each.number]) if told.get(each.number) else each
        for each in changes
    ]


def _read(target: Target, grounds: Sequence[Ground]) -> dict[tuple[str, str], Found]:
    """Read the records that have them, by kind and id; what is there no more is left out."""
    found: dict[tuple[str, str], Found] = {}
    for kind, of_kind in _by_kind(grounds):
        ids = list(dict.fromkeys(each.id for each in of_kind))
        names = sorted({each.property for each in of_kind})
        for at in range(0, len(ids), BATCH):
            records = target.find(kind, ids[at : at + BATCH], by=None, properties=names)
            found |= {(kind, id): each for id, each in records.items()}
    return found


def _told(target: Target, grounds: Sequence[Ground], now: Mapping[tuple[str, str], Found]) -> str:
    """Say what is so no more, with both values where they are for anybody to see; empty: all of it stands."""
    for each in grounds:
        found = now.get((each.kind, each.id))
        if found is None or found.is_archived:
            continue  # the API says so itself, and better
        if found.id != each.id:
            return f"Left: record {each.id} of {each.kind} was merged into {found.id} since the plan."
        value = (found.properties.get(each.property) or "").strip()
        if value != each.value:
            what = f"{each.property} of record {each.id} of {each.kind}"
            if target.shape(each.kind).properties[each.property].is_personal:
                return f"Left: {what} was changed since the plan."
            return f"Left: {what} is {_quoted(value)} by now, and was {_quoted(each.value)} in the plan."
    return ""


def _by_kind(grounds: Sequence[Ground]) -> Iterator[tuple[str, list[Ground]]]:
    for kind in dict.fromkeys(each.kind for each in grounds):
        yield kind, [each for each in grounds if each.kind == kind]


def _quoted(value: str) -> str:
    return f"'{value}'" if value else "blank"
