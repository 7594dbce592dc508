"""
Merges, and archives of a record of which another has what it held: whether one that is about to be sent still is what
was planned. And what became of a merge whose answer was lost.

Before that, what stays may get what the others hold only while each of them holds what it held when that was planned,
and it itself what both held and what is written over. What a person took out meanwhile is copied nowhere.

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
from collections.abc import Collection, Iterator, Mapping, Sequence

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


@attrs.frozen(kw_only=True)
class Going:
    """
    What is to leave records that get something before. leaving: merges and archives. By a record's id, written: what
    the plan itself writes to it, by property; left: the ids that the plan's own merges made of it.
    """

    leaving: Sequence[Change] = ()
    written: Mapping[str, Mapping[str, Edit]] = attrs.field(factory=dict)
    left: Mapping[str, Collection[str]] = attrs.field(factory=dict)

    @property
    def staying(self) -> frozenset[str]:
        """The records that they are to leave, as the plan knows them."""
        return frozenset(each.into for each in self.leaving if each.into)


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
    compared = _compared(shape)
    found = _found(target, changes, compared)
    looked = [_looked(change, found, shape, compared) for change in changes]
    unlinked = _unlinked(target, shape.kind, [each for each in looked if each.state in plan.OPEN_STATES])
    return [unlinked.get(each.number, each) for each in looked]


def as_given(target: Target, shape: Shape, changes: Sequence[Change], going: Going) -> list[Change]:
    """
    Return changes that give a record what others hold, before these go, or that link one to such a record: planned
    still, or moved where one of them is no longer what was planned. What was copied by then would stay for good.

    Of what goes all is compared, as before it goes: what is joined, or was blank, is part of what is copied. Of what
    stays, what both held, and what the plan writes over.
    """
    leaving, compared = going.leaving, _compared(shape)
    found = _found(target, leaving, compared)
    became = _became(going, found)
    reasons: dict[str, str] = {}
    for each in leaving:
        written = going.written.get(each.into or "", {})
        reason = (
            _parted(each, found, became.get(each.into or "", ()))
            or _other(each, found.get(each.id or ""), shape, compared)
            or _apart(each, found.get(each.into or ""), shape, written)
        )
        if reason:
            reasons.setdefault(each.into or "", reason)

    def told(change: Change) -> str:
        edge = change.edge
        end = edge.id or "" if edge is not None and edge.kind == change.kind else ""
        return reasons.get(change.id or "") or reasons.get(end) or ""

    return [
        attrs.evolve(each, state=plan.MOVED, reason=told(each))
        if each.state in plan.OPEN_STATES and told(each)
        else each
        for each in changes
    ]


def as_named(change: Change, found: Found | None, left: Mapping[str, Collection[str]]) -> Change:
    """Return a change, moved where its id leads to a record that merges of its own plan have not *left* there."""
    if found is None or found.id == change.id or found.id in left.get(change.id or "", ()):
        return change
    reason = f"Its record was merged into record {found.id} on their side."
    return attrs.evolve(change, state=plan.MOVED, reason=reason)


def all_named(
    target: Target, kind: str, changes: Sequence[Change], left: Mapping[str, Collection[str]]
) -> list[Change]:
    """Return changes, of which those are moved whose id leads to another record by now. Reads them."""
    ids = list(dict.fromkeys(each.id for each in changes if each.id))
    found = target.find(kind, ids, by=None, properties=()) if ids else {}
    return [as_named(each, found.get(each.id or ""), left) for each in changes]


def _became(going: Going, found: Mapping[str, Found]) -> dict[str, set[str]]:
    """Return what records that stay are by now: what merges left, of this plan, or a person's of the same two."""
    became: dict[str, set[str]] = {id: {id, *going.left.get(id, ())} for id in going.staying}
    for each in going.leaving:
        one = _survivor(each, found.get(each.id or ""), found.get(each.into or ""))
        if one is not None and each.into:
            became[each.into].add(one)
    return became


def _parted(change: Change, found: Mapping[str, Found], became: Collection[str]) -> str:
    """Say why a record that goes, or the one that stays, is not there any more; empty: both are, or are one."""
    lost, kept = found.get(change.id or ""), found.get(change.into or "")
    reason = _absent(kept, became, f"Record {change.into}")
    if reason or (lost is not None and kept is not None and lost.id == kept.id and not kept.is_archived):
        return reason
    if kept is not None and change.id in kept.merged:
        return ""
    return _absent(lost, (change.id or "",), f"Record {change.id}, whose values it was to get,")


def _other(change: Change, lost: Found | None, shape: Shape, compared: Sequence[str]) -> str:
    """Say what of a record that goes is another value by now; empty: nothing, or it is one with what stays."""
    if lost is None or lost.id != change.id:
        return ""
    return _told(f"Record {change.id}, whose values it was to get,", _since(change, lost, shape, compared))


def _apart(change: Change, kept: Found | None, shape: Shape, written: Mapping[str, Edit]) -> str:
    """
    Say what of the record that stays is another value by now: of what both held, and of what the plan itself has
    *written* to it, or is to.
    """
    if kept is None:
        return ""
    asked: dict[str, tuple[str | None, ...]] = {
        name: (edit.after,) for name, edit in change.fields.items() if _is_of_both(edit, name, shape)
    }
    asked |= {name: (edit.before, edit.after) for name, edit in written.items() if _is_compared(name, shape)}
    moved = []
    for name, values in sorted(asked.items()):
        theirs = shape.properties[name].theirs
        if theirs(kept.properties.get(name)) not in map(theirs, values):
            moved.append(name)
    return _told(f"Record {change.into}", moved)


def _told(record: str, names: Sequence[str]) -> str:
    return f"{record} changed on their side since the plan: {', '.join(names)}." if names else ""


def _since(change: Change, lost: Found, shape: Shape, compared: Sequence[str]) -> list[str]:
    """
    Name the properties of a record that goes whose value is another one since the plan: it holds all that was there.
    A change that says nothing of what its record held is not compared.
    """
    if not change.fields:
        return []
    since = []
    for name in compared:
        theirs, edit = shape.properties[name].theirs, change.fields.get(name)
        if theirs(lost.properties.get(name)) != (theirs(edit.before) if edit is not None else None):
            since.append(name)
    return since


def _compared(shape: Shape) -> list[str]:
    """Return the properties that are compared: those that take a value."""
    return sorted(name for name in shape.properties if _is_compared(name, shape))


def _is_compared(name: str, shape: Shape) -> bool:
    known = shape.properties.get(name)
    return known is not None and not known.why_not


def _is_of_both(edit: Edit, name: str, shape: Shape) -> bool:
    """Tell whether the record that goes and the one that stays had the same value when they were planned."""
    if not _is_compared(name, shape):
        return False
    theirs = shape.properties[name].theirs
    return theirs(edit.before) == theirs(edit.after)


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
    makes them one.
    """
    since = _since(change, lost, shape, compared)
    if since:
        return f"Changed on their side since the plan: {', '.join(since)}."
    return _apart(change, kept, shape, {})


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
    into = f"Record {change.into}, which {STAYS[change.action]},"
    return _absent(lost, (change.id or "",), "It") or _absent(kept, (change.into or "",), into)


def _absent(found: Found | None, ids: Collection[str], name: str) -> str:
    """Say where a record went that is to be there under one of *ids*; empty: it is there."""
    if found is None:
        return f"{name} is there no more on their side."
    if found.is_archived:
        return f"{name} was archived on their side."
    return "" if found.id in ids else f"{name} was merged into record {found.id} on their side."


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
