"""
What a change was decided on: values of records, which the change carries, and which are read again just before it is
sent. A change whose grounds are others by then is not sent.

A change of an edge reads its edge again before it is sent (`settling.py`), and not what the edge was chosen by: that
is what this is for. As there, what was read a moment ago is not read again: changes of a plan that this run made are
sent as they are as long as its reading is fresh. Not here: which values those are (`standins.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import attrs

from syncer.clock import Clock, SystemClock
from syncer.plan import Change
from syncer.target import REFUSED, Found, Outcome, Target

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


def on(target: Target) -> Target:
    """Return a target that sends a change only while what it was decided on still stands."""
    return cast(Target, _Standing(target))


def read(target: Target, *, fresh_s: float) -> None:
    """Say that what is sent from now on is decided on what is read from now on, which is fresh for so long."""
    note = getattr(target, "note_read", None)  # it may stand within another one
    if note is not None:
        note(fresh_s)


@attrs.define
class _Standing:
    """A target, and before it a look at grounds; everything else is the target's own."""

    target: Target
    clock: Clock = attrs.field(factory=SystemClock)
    fresh_until: float | None = None  # of its clock; None: this run has planned nothing yet

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def note_read(self, fresh_s: float) -> None:
        """Say that what is decided from now on is fresh for so many seconds."""
        self.fresh_until = self.clock.monotonic() + fresh_s

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Send those changes whose grounds stand; of the others say what is so no more. Raises as the target does."""
        if self.fresh_until is not None and self.clock.monotonic() <= self.fresh_until:
            return list(self.target.send(changes))
        grounds = {change.number: found for change in changes if (found := Ground.of(change))}
        now = self._now([each for found in grounds.values() for each in found])
        told = {number: self._told(found, now) for number, found in grounds.items()}
        left = {number: reason for number, reason in told.items() if reason}
        sent = [change for change in changes if change.number not in left]
        refused = [Outcome(number=number, state=REFUSED, reason=reason) for number, reason in left.items()]
        return [*refused, *(self.target.send(sent) if sent else ())]

    def _now(self, grounds: Sequence[Ground]) -> dict[tuple[str, str], Found]:
        """Read the records that have them, by kind and id; what is there no more is left out."""
        found: dict[tuple[str, str], Found] = {}
        for kind, of_kind in _by_kind(grounds):
            ids = list(dict.fromkeys(each.id for each in of_kind))
            names = sorted({each.property for each in of_kind})
            records = self.target.find(kind, ids, by=None, properties=names)
            found |= {(kind, id): each for id, each in records.items()}
        return found

    def _told(self, grounds: Sequence[Ground], now: Mapping[tuple[str, str], Found]) -> str:
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
                if self.target.shape(each.kind).properties[each.property].is_personal:
                    return f"Left: {what} was changed since the plan."
                return f"Left: {what} is {_quoted(value)} by now, and was {_quoted(each.value)} in the plan."
        return ""


def _by_kind(grounds: Sequence[Ground]) -> Iterator[tuple[str, list[Ground]]]:
    for kind in dict.fromkeys(each.kind for each in grounds):
        yield kind, [each for each in grounds if each.kind == kind]


def _quoted(value: str) -> str:
    return f"'{value}'" if value else "blank"
