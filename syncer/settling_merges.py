"""
Merges, and archives of a record of which another has what it held: whether one that is about to be sent still is what
was planned. And what became of a merge whose answer was lost.

What was read for the plan is compared with all that can be written now: also a blank that somebody filled since goes
with its record. The survivor must be there, with the values that both held; an association that came since must not
be lost.

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
from syncer.plan import ARCHIVE, MERGE, Change, Edit
from syncer.target import Found, Shape, Target

STAYS = {MERGE: "it was to be merged into", ARCHIVE: "was to stay in its place"}
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
    Return merges, or archives with a survivor, that are about to be sent as their records are now: planned still, the
    same (done already), or moved: merged otherwise, archived, edited or associated otherwise since the plan was made.
    """
    compared = sorted(name for name, known in shape.properties.items() if not known.why_not)
    found = _found(target, changes, compared)
    looked = [_looked(change, found, shape, compared) for change in changes]
    unlinked = _unlinked(target, shape.kind, [each for each in looked if each.state in plan.OPEN_STATES])
    return [unlinked.get(each.number, each) for each in looked]


def as_given(target: Target, shape: Shape, changes: Sequence[Change], going: Sequence[Change]) -> list[Change]:
    """
    Return changes that give a record what others hold, before these go: planned still, or moved where one of *going*
    is no longer what both were. What was copied from it by then would stay for good.
    """
    names = sorted({name for each in going for name, edit in each.fields.items() if _is_of_both(edit, name, shape)})
    found = target.find(shape.kind, [each.id for each in going if each.id], by=None, properties=names)
    reasons: dict[str, str] = {}
    for each in going:
        lost = found.get(each.id or "")
        if lost is None or lost.is_archived or lost.id != each.id:
            continue  # it goes otherwise, and is still one with what stays
        own = [(name, each.fields[name]) for name in names if name in each.fields]
        moved = [
            name
            for name, edit in own
            if _is_of_both(edit, name, shape)
            and shape.properties[name].theirs(lost.properties.get(name)) != shape.properties[name].theirs(edit.after)
        ]
        if moved and each.into:
            reasons[each.into] = (
                f"Record {each.id}, whose values it was to get, changed on their side since the plan: "
                f"{', '.join(moved)}."
            )
    return [
        attrs.evolve(each, state=plan.MOVED, reason=reasons[each.id]) if each.id in reasons else each
        for each in changes
    ]


def _is_of_both(edit: Edit, name: str, shape: Shape) -> bool:
    """Tell whether the record that goes and the one that stays had the same value when they were planned."""
    known = shape.properties.get(name)
    if known is None or known.why_not:
        return False
    return known.theirs(edit.before) == known.theirs(edit.after)


def _found(target: Target, changes: Sequence[Change], properties: Sequence[str]) -> Mapping[str, Found]:
    ids = list(dict.fromkeys(id for change in changes for id in (change.id, change.into) if id))
    return target.find(changes[0].kind, ids, by=None, properties=properties) if ids else {}


def _looked(change: Change, found: Mapping[str, Found], shape: Shape, compared: Sequence[str]) -> Change:
    lost, kept = found.get(change.id or ""), found.get(change.into or "")
    if change.action == ARCHIVE and lost is not None and lost.is_archived:
        return attrs.evolve(change, state=plan.SAME)
    survivor = _survivor(change, lost, kept) if change.action == MERGE else None
    if survivor is not None:
        return attrs.evolve(change, state=plan.SAME, id=survivor)
    reason = _moved(change, lost, kept)
    if not reason and lost is not None and kept is not None:
        reason = _edited(change, lost, kept, shape, compared)
    return attrs.evolve(change, state=plan.MOVED, reason=reason) if reason else change


def _edited(change: Change, lost: Found, kept: Found, shape: Shape, compared: Sequence[str]) -> str:
    """
    Say what was edited since the plan: of what goes, anything; of what stays, what both held, such as the value that
    makes them one. A change that says nothing of what its record held is not compared.
    """
    if not change.fields:
        return ""
    lost_now, kept_now, since, apart = lost.properties, kept.properties, [], []
    for name in compared:
        known, edit = shape.properties[name], change.fields.get(name)
        before = known.theirs(edit.before) if edit is not None else None
        if known.theirs(lost_now.get(name)) != before:
            since.append(name)
        elif edit is not None and _is_of_both(edit, name, shape) and before != known.theirs(kept_now.get(name)):
            apart.append(name)
    if since:
        return f"Changed on their side since the plan: {', '.join(since)}."
    return f"Record {change.into} changed on their side since the plan: {', '.join(apart)}." if apart else ""


def _unlinked(target: Target, kind: str, changes: Sequence[Change]) -> Mapping[int, Change]:
    """
    Return, by number, those of which an association that came since the plan would be lost.

    Nothing that is archived takes an association along. A merge takes those with other records along; of a record that
    both are associated with, the pair of the one that stays is what stays, without the labels of the other.
    """
    asked = [change for change in changes if change.fields or change.edges]
    if not asked:
        return {}
    new: dict[int, list[str]] = {}
    lost, kept = (
        [id for id in dict.fromkeys(ids) if id] for ids in zip(*((c.id, c.into) for c in asked), strict=True)
    )
    for to in target.linked_kinds(kind):
        theirs = target.edges(kind, lost, to)
        if not theirs:
            continue
        ours = target.edges(kind, kept, to)
        for change in asked:
            known = {(each.id, each.category, each.type_id) for each in change.edges if each.kind == to}
            there = ours.get(change.into or "", ())
            has = {(each.id, type.category, type.type_id) for each in there for type in each.types}
            pairs = {each.id for each in there}
            for each in theirs.get(change.id or "", ()):
                specs = {(each.id, type.category, type.type_id) for type in each.types} - known - has
                if specs and each.id != change.into and (change.action == ARCHIVE or each.id in pairs):
                    new.setdefault(change.number, []).append(to)
    reason = "Associated otherwise on their side since the plan: "
    return {
        each.number: attrs.evolve(
            each, state=plan.MOVED, reason=f"{reason}{', '.join(dict.fromkeys(new[each.number]))}."
        )
        for each in asked
        if each.number in new
    }


def _moved(change: Change, lost: Found | None, kept: Found | None) -> str:
    """Say what stands in the way of a merge; empty: nothing does."""
    for found, id, name in (
        (lost, change.id, "It"),
        (kept, change.into, f"Record {change.into}, which {STAYS[change.action]},"),
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
