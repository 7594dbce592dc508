"""
What became of writes whose answer was lost: found out by reading back, never guessed, never by search.

An update is there when every field reads as it was written, and was not done when every field reads as before. A
create is found by its unique property. Whatever is neither was moved by somebody else: a conflict. Not here: who asks
(`apply.py`, while it runs and after a kill).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from syncer import plan
from syncer.plan import ARCHIVE, CREATE, UPDATE, Change
from syncer.target import BATCH, Found, Shape, Target


def settled(target: Target, shape: Shape, changes: Sequence[Change], *, match_on: str | None) -> list[Change]:
    """
    Return *changes*, of one action, with the state that reading back shows: done, moved, or planned (not done).

    Raises: what the target raises; then nothing is known.
    """
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
