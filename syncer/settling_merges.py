"""
Merges: whether one that is about to be sent still is what was planned, and what became of one whose answer was lost.

A merge is done where both ids lead to one record, whose id is the survivor's, or where one of the two says that the
other was merged into it. An old id may be answered with the survivor, or not at all; then the survivor is looked for
among what changed since the plan was made. The server may still be at work, so what does not show is read again, for
as long as the site's patience lasts, before it counts as not done. Not here: what else is settled (`settling.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import attrs

from syncer import plan
from syncer.clock import Clock
from syncer.plan import Change
from syncer.target import Found, Shape, Target

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 10.0


@attrs.frozen(kw_only=True)
class Patience:
    """How long what does not show is read again. since: when the plan was made: nothing of it was done before."""

    clock: Clock
    seconds: float
    since: dt.datetime

    @property
    def none(self) -> Patience:
        """None of it: read once."""
        return attrs.evolve(self, seconds=0.0)

    def waits(self) -> Iterator[bool]:
        """Wait before each further look, longer each time, and yield True; end when it is over."""
        until = self.clock.monotonic() + self.seconds
        pause = FIRST_WAIT_S
        while (left := until - self.clock.monotonic()) > 0:
            self.clock.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_WAIT_S)
            yield True


def settled(target: Target, changes: Sequence[Change], patience: Patience) -> list[Change]:
    """
    Return merges with the state that reading shows: done, with the survivor's id, moved, or planned (not done).

    Raises: what the target raises; then nothing is known.
    """
    known: dict[int, Change] = {}
    left = list(changes)
    waits = patience.waits()
    while True:
        for change in _read(target, left, patience.since):
            known[change.number] = change
        left = [change for change in changes if known[change.number].state == plan.PLANNED]
        if not left or not next(waits, False):
            return [known[change.number] for change in changes]


def as_planned(target: Target, shape: Shape, changes: Sequence[Change]) -> list[Change]:
    """
    Return merges that are about to be sent as their records are now: planned still, the same (they are one record
    already), or moved: merged otherwise, archived, or edited since the plan was made.
    """
    names = {name for change in changes for name in change.fields}
    compared = sorted(name for name in names if name in shape.properties and not shape.properties[name].why_not)
    found = _found(target, changes, compared)
    return [_looked(change, found, shape, compared) for change in changes]


def _found(target: Target, changes: Sequence[Change], properties: Sequence[str]) -> Mapping[str, Found]:
    ids = list(dict.fromkeys(id for change in changes for id in (change.id, change.into) if id))
    return target.find(changes[0].kind, ids, by=None, properties=properties) if ids else {}


def _looked(change: Change, found: Mapping[str, Found], shape: Shape, compared: Sequence[str]) -> Change:
    lost, kept = found.get(change.id or ""), found.get(change.into or "")
    survivor = _survivor(change, lost, kept)
    if survivor is not None:
        return attrs.evolve(change, state=plan.SAME, id=survivor)
    reason = _moved(change, lost, kept)
    if not reason and lost is not None:
        before = {name: change.fields[name].before for name in compared if name in change.fields}
        moved = sorted(
            name
            for name, value in before.items()
            if shape.properties[name].theirs(lost.properties.get(name)) != shape.properties[name].theirs(value)
        )
        reason = f"Changed on their side since the plan: {', '.join(moved)}." if moved else ""
    return attrs.evolve(change, state=plan.MOVED, reason=reason) if reason else change


def _moved(change: Change, lost: Found | None, kept: Found | None) -> str:
    """Say what stands in the way of a merge; empty: nothing does."""
    for found, id, name in (
        (lost, change.id, "It"),
        (kept, change.into, f"Record {change.into}, which it was to be merged into,"),
    ):
        if found is None:
            return f"{name} is there no more on their side."
        if found.is_archived:
            return f"{name} was archived on their side."
        if found.id != id:
            return f"{name} was merged into record {found.id} on their side."
    return ""


def _survivor(change: Change, lost: Found | None, kept: Found | None) -> str | None:
    """Return the id of the record that both are by now; None: they are two."""
    if lost is not None and kept is not None and lost.id == kept.id and not kept.is_archived:
        return kept.id
    for one, other in ((kept, change.id), (lost, change.into)):
        if one is not None and not one.is_archived and other in one.merged:
            return one.id
    return None


def _read(target: Target, changes: Sequence[Change], since: dt.datetime) -> Iterator[Change]:
    found = _found(target, changes, ())
    for change in changes:
        lost, kept = found.get(change.id or ""), found.get(change.into or "")
        survivor = _survivor(change, lost, kept)
        if survivor is None and lost is None and kept is None:  # old ids are not answered here: ask what survived
            survivors = target.survivors(change.kind, [change.id or "", change.into or ""], since=since)
            both = {survivors.get(change.id or ""), survivors.get(change.into or "")}
            survivor = both.pop() if len(both) == 1 else None
        if survivor is not None:
            yield attrs.evolve(change, state=plan.DONE, id=survivor)
            continue
        others = [each for each, id in ((lost, change.id), (kept, change.into)) if each is not None and each.id != id]
        if others:
            yield attrs.evolve(change, state=plan.MOVED, reason=_moved(change, lost, kept))
        else:
            yield attrs.evolve(change, state=plan.PLANNED)
