"""
What became of writes whose answer was lost: found out by reading back, never guessed, never by search.

An update is there when every field reads as it was written, and was not done when every field reads as before. A
create is found by its unique property, an edge by the types of its pair, a merge by the record that both ids lead to.
Whatever is neither was moved by somebody else: a conflict. Not here: who asks (`apply.py`, while it runs and after a
kill).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from syncer import plan
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, MERGE, UPDATE, Change
from syncer.target import BATCH, Found, Shape, Target


def settled(target: Target, shape: Shape, changes: Sequence[Change], *, match_on: str | None) -> list[Change]:
    """
    Return *changes*, of one action, with the state that reading back shows: done, moved, or planned (not done).

    Raises: what the target raises; then nothing is known.
    """
    if changes[0].action in plan.OF_EDGES:
        return _settled_edges(target, shape.kind, changes)
    if changes[0].action == MERGE:
        return [_settled_merge(target, change) for change in changes]
    found = _read_back(target, shape, changes, match_on=match_on)
    return [_settled(change, found.get(_asked(change)), shape) for change in changes]


def looks_as_planned(change: Change, found: Found | None, shape: Shape) -> Change:
    """
    Return a change that is about to be sent as its record, read now, has it: planned still, done already, or moved.
    """
    if change.action == CREATE:
        return change
    if found is None or (found.is_archived and change.action != ARCHIVE):
        return attrs.evolve(change, state=plan.MOVED, reason="Its record is there no more.")
    return _settled(change, found, shape)


def _settled_edges(target: Target, kind: str, changes: Sequence[Change]) -> list[Change]:
    """An edge is done where the pair has its type, or has it no more; else it was not."""
    there: set[tuple[str, str, str, str, int]] = set()
    for to in dict.fromkeys(change.edge.kind for change in changes if change.edge is not None):
        ids = list(dict.fromkeys(each.id or "" for each in changes if each.edge is not None and each.edge.kind == to))
        for id, linked in target.edges(kind, ids, to).items():
            there |= {(id, to, each.id, type.category, type.type_id) for each in linked for type in each.types}
    settled = []
    for change in changes:
        edge = change.edge
        assert edge is not None
        is_there = (change.id, edge.kind, edge.id, edge.category, edge.type_id) in there
        is_done = is_there is (change.action == ASSOCIATE)
        settled.append(attrs.evolve(change, state=plan.DONE if is_done else plan.PLANNED))
    return settled


def _settled_merge(target: Target, change: Change) -> Change:
    """A merge is done where both ids lead to one record: its id is the survivor's."""
    asked = [change.id or "", change.into or ""]
    found = target.find(change.kind, asked, by=None, properties=())
    ids = {found[each].id for each in asked if each in found and not found[each].is_archived}
    if len(ids) == 1 and all(each in found for each in asked):
        return attrs.evolve(change, state=plan.DONE, id=ids.pop())
    return attrs.evolve(change, state=plan.PLANNED)


def _read_back(target: Target, shape: Shape, changes: Sequence[Change], *, match_on: str | None) -> dict[str, Found]:
    properties = sorted({name for change in changes for name in change.fields})
    is_create = changes[0].action == CREATE
    by = match_on if is_create else None
    asked = list(dict.fromkeys(_asked(change) for change in changes))
    found: dict[str, Found] = {}
    for at in range(0, len(asked), BATCH):
        found.update(target.find(shape.kind, asked[at : at + BATCH], by=by, properties=properties))
    return found


def _asked(change: Change) -> str:
    return change.key if change.action == CREATE else change.id or ""


def _settled(change: Change, found: Found | None, shape: Shape) -> Change:
    if change.action == ARCHIVE:
        is_gone = found is None or found.is_archived
        return attrs.evolve(change, state=plan.DONE if is_gone else plan.PLANNED)
    if found is None:
        if change.action == CREATE:
            return attrs.evolve(change, state=plan.PLANNED)
        return attrs.evolve(change, state=plan.MOVED, reason="Its record is there no more.")
    now = {name: shape.properties[name].theirs(found.properties.get(name)) for name in change.fields}
    after = _normal(change, shape, of_before=False)
    if now == after:
        return attrs.evolve(change, state=plan.DONE, id=found.id)
    if change.action == CREATE:
        reason = f"Record {found.id} has this key, and other values: somebody made it since the plan."
        return attrs.evolve(change, state=plan.MOVED, reason=reason)
    before = _normal(change, shape, of_before=True)
    if change.action == UPDATE and now == before:
        return attrs.evolve(change, state=plan.PLANNED, id=found.id)
    moved = sorted(name for name, value in now.items() if value != before[name])
    return attrs.evolve(change, state=plan.MOVED, reason=f"Changed on their side since the plan: {', '.join(moved)}.")


def _normal(change: Change, shape: Shape, *, of_before: bool) -> Mapping[str, str | None]:
    return {
        name: shape.properties[name].theirs(edit.before if of_before else edit.after)
        for name, edit in change.fields.items()
    }
