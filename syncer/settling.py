"""
What became of writes whose answer was lost: found out by reading back, never guessed, never by search.

An update is there when every field reads as it was written, and was not done when every field reads as before. A
create is found by its unique property. Whatever is neither was moved by somebody else: a conflict. Not here: edges
(`settling_edges.py`), merges (`settling_merges.py`), who asks (`apply.py`, while it runs and after a kill).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from syncer import plan, settling_edges, settling_merges
from syncer.plan import ARCHIVE, CREATE, DISASSOCIATE, MERGE, UPDATE, Change
from syncer.settling_edges import Pair
from syncer.settling_merges import Patience
from syncer.target import BATCH, Found, Shape, Target


def settled(
    target: Target,
    shape: Shape,
    changes: Sequence[Change],
    *,
    match_on: str | None,
    patience: Patience,
    going: Collection[Pair] = (),
) -> list[Change]:
    """
    Return *changes*, of one action, with the state that reading back shows: done, moved, or planned (not done).

    going: pairs that are about to be taken away: none of them is what an edge has become.

    Raises: what the target raises; then nothing is known.
    """
    if changes[0].action in plan.OF_EDGES:
        return settling_edges.settled(target, shape.kind, changes, going=going)
    if changes[0].action == MERGE:
        return settling_merges.settled(target, changes, patience)
    found = read_back(target, shape, changes, match_on=match_on)
    return [_settled(change, found.get(looked_up(change)), shape) for change in changes]


def unlike(
    target: Target,
    shape: Shape,
    done: Sequence[Change],
    *,
    behind: Sequence[Change],
    match_on: str | None,
    patience: Patience,
) -> set[int]:
    """
    Return the numbers of those changes, which were done, that do not read back as they were written, also not after
    some patience: what was written just now may not show at once. behind: what is to be sent if they do.
    """
    left = list(done)
    going = {
        (each.id or "", each.edge.kind, each.edge.id or "")
        for each in behind
        if each.action == DISASSOCIATE and each.edge is not None
    }
    waits = patience.waits()
    while True:
        by_action: dict[str, list[Change]] = {}
        for change in left:
            by_action.setdefault(change.action, []).append(change)
        known = [
            each
            for of_action in by_action.values()
            for at in range(0, len(of_action), BATCH * 10)
            for each in settled(
                target, shape, of_action[at : at + BATCH * 10], match_on=match_on, patience=patience.none, going=going
            )
        ]
        shown = {change.number for change in known if change.state == plan.DONE}
        left = [change for change in left if change.number not in shown]
        if not left or not next(waits, False):
            return {change.number for change in left}


def looks_as_planned(
    change: Change, found: Found | None, shape: Shape, *, left: Mapping[str, Collection[str]] | None = None
) -> Change:
    """
    Return a change that is about to be sent as its record, read now, has it: planned still, the same, or moved.

    left: what merges of the same plan made of records, by id; any other record that an id leads to is none that an
    update was planned for. None: a push, which writes through what survived its record.
    """
    if change.action == CREATE:
        return _as_sent(_settled(change, found, shape))
    if found is None or (found.is_archived and change.action != ARCHIVE):
        return attrs.evolve(change, state=plan.MOVED, reason="Its record is there no more.")
    if change.action == UPDATE and left is not None:
        change = settling_merges.as_named(change, found, left)
        if change.state == plan.MOVED:
            return change
    if change.action == ARCHIVE and change.fields and not found.is_archived:  # what a run made, and nobody touched
        before = _normal(change, shape, of_before=True)
        now = {name: shape.properties[name].theirs(found.properties.get(name)) for name in before}
        moved = sorted(name for name, value in before.items() if now[name] != value)
        if moved or found.id != change.id:
            why = f"Changed on their side since the plan: {', '.join(moved)}." if moved else "It was merged since."
            return attrs.evolve(change, state=plan.MOVED, reason=why)
    return _as_sent(_settled(change, found, shape))


def _as_sent(change: Change) -> Change:
    """What is there though nothing was sent yet was not done by us: it is not counted, and a revert leaves it."""
    return attrs.evolve(change, state=plan.SAME) if change.state == plan.DONE else change


def read_back(target: Target, shape: Shape, changes: Sequence[Change], *, match_on: str | None) -> dict[str, Found]:
    """Read the records of changes of one action, with what they write; by what `looked_up` says of each."""
    properties = sorted({name for change in changes for name in change.fields})
    is_create = changes[0].action == CREATE
    by = match_on if is_create else None
    asked = list(dict.fromkeys(looked_up(change) for change in changes))
    found: dict[str, Found] = {}
    for at in range(0, len(asked), BATCH):
        found.update(target.find(shape.kind, asked[at : at + BATCH], by=by, properties=properties))
    return found


def looked_up(change: Change) -> str:
    """Return what a change's record is found by: a create's its key, else its id."""
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
