"""
What became of writes whose answer was lost: found out by reading back, never guessed, never by search.

An update is there when every field reads as it was written, and was not done when every field reads as before. A
create is found by its unique property, an edge by the types of its pair; merges are `settling_merges.py`. Whatever is
neither was moved by somebody else: a conflict. Not here: who asks (`apply.py`, while it runs and after a kill).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

import attrs

from syncer import plan, settling_merges
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, DISASSOCIATE, MERGE, UPDATE, Change
from syncer.settling_merges import Patience
from syncer.target import BATCH, Found, Shape, Target

_Type = tuple[str, str, str, int]  # a record's id, the kind at the other end, category and type id
_Pair = tuple[str, str, str]  # a record's id, the kind at the other end, and the id there
_WHOLE = ("", 0)  # in place of category and type id: any of them


def settled(
    target: Target,
    shape: Shape,
    changes: Sequence[Change],
    *,
    match_on: str | None,
    patience: Patience,
    going: Collection[_Pair] = (),
) -> list[Change]:
    """
    Return *changes*, of one action, with the state that reading back shows: done, moved, or planned (not done).

    going: pairs that are about to be taken away: none of them is what an edge has become.

    Raises: what the target raises; then nothing is known.
    """
    if changes[0].action in plan.OF_EDGES:
        return _settled_edges(target, shape.kind, changes, going)
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


def looks_as_planned(change: Change, found: Found | None, shape: Shape) -> Change:
    """
    Return a change that is about to be sent as its record, read now, has it: planned still, the same, or moved.
    """
    if change.action == CREATE:
        return _as_sent(_settled(change, found, shape))
    if found is None or (found.is_archived and change.action != ARCHIVE):
        return attrs.evolve(change, state=plan.MOVED, reason="Its record is there no more.")
    if change.action == ARCHIVE and change.fields and not found.is_archived:  # what a run made, and nobody touched
        before = _normal(change, shape, of_before=True)
        now = {name: shape.properties[name].theirs(found.properties.get(name)) for name in before}
        moved = sorted(name for name, value in before.items() if now[name] != value)
        if moved or found.id != change.id:
            why = f"Changed on their side since the plan: {', '.join(moved)}." if moved else "It was merged since."
            return attrs.evolve(change, state=plan.MOVED, reason=why)
    return _as_sent(_settled(change, found, shape))


def edges_as_planned(
    target: Target, kind: str, changes: Sequence[Change], *, beside: Mapping[int, Container[str]]
) -> list[Change]:
    """
    Return changes of edges that are about to be sent as their records are associated now: planned still, the same
    already, or moved: an edge that is made finds another one in the place of what stood there when it was planned.

    beside: by number of a change, what other columns of its row are linked to: that moved nothing.
    """
    there = _linked(target, kind, changes)
    checked = []
    for change in _by_edges(changes, there):
        now = there.get(_type_of(change), set())
        befores = [edit.before for edit in change.fields.values()]
        if change.state == plan.PLANNED and change.action == ASSOCIATE and befores:
            others = {id for id in now if id not in beside.get(change.number, ())}
            if befores[0] not in now if befores[0] is not None else others:
                reason = f"Associated otherwise on their side since the plan: {', '.join(change.fields)}."
                change = attrs.evolve(change, state=plan.MOVED, reason=reason)
        checked.append(_as_sent(change))
    return checked


def _as_sent(change: Change) -> Change:
    """What is there though nothing was sent yet was not done by us: it is not counted, and a revert leaves it."""
    return attrs.evolve(change, state=plan.SAME) if change.state == plan.DONE else change


def _settled_edges(target: Target, kind: str, changes: Sequence[Change], going: Collection[_Pair]) -> list[Change]:
    """
    Settle edges; one whose other end was merged away since is there under the id of what survives it. But where that
    is the very record that is to be taken away (*going*), it is not there for long.
    """
    there = _linked(target, kind, changes)
    settled = _by_edges(changes, there)
    left = [each for each in settled if each.action == ASSOCIATE and each.state == plan.PLANNED]
    live = _alive(target, map(_end_of, left))
    moved = [each for each in left if live.get(_end_of(each), _end_of(each)[1]) != _end_of(each)[1]]
    if moved and going:
        ends = _alive(target, [(of, id) for _, of, id in going])
        taken = {(record, of, ends.get((of, id), id)) for record, of, id in going}
        moved = [each for each in moved if (each.id or "", _end_of(each)[0], live[_end_of(each)]) not in taken]
    if not moved:
        return settled
    followed = [
        attrs.evolve(each, edge=attrs.evolve(each.edge, id=live[_end_of(each)]) if each.edge else None)
        for each in moved
    ]
    done = {each.number for each in _by_edges(followed, there) if each.state == plan.DONE}
    return [attrs.evolve(each, state=plan.DONE) if each.number in done else each for each in settled]


def _end_of(change: Change) -> tuple[str, str]:
    """Name the other end of an edge: its kind and id."""
    assert change.edge is not None
    return change.edge.kind, change.edge.id or ""


def _alive(target: Target, named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the live records behind kinds and ids."""
    found: dict[tuple[str, str], str] = {}
    ends = dict.fromkeys(each for each in named if each[1])
    for kind in dict.fromkeys(kind for kind, _ in ends):
        ids = [id for of, id in ends if of == kind]
        for at in range(0, len(ids), BATCH):
            records = target.find(kind, ids[at : at + BATCH], by=None, properties=())
            found |= {(kind, id): each.id for id, each in records.items() if not each.is_archived}
    return found


def _by_edges(changes: Sequence[Change], there: Mapping[_Type, Container[str | None]]) -> list[Change]:
    """
    An edge is done where the pair has its type, or has it no more; a pair that is taken away whole where it has none.
    """
    settled = []
    for change in changes:
        assert change.edge is not None
        is_there = change.edge.id in there.get(_type_of(change), ())
        is_done = is_there is (change.action == ASSOCIATE)
        settled.append(attrs.evolve(change, state=plan.DONE if is_done else plan.PLANNED))
    return settled


def _linked(target: Target, kind: str, changes: Sequence[Change]) -> dict[_Type, set[str]]:
    """Return the ids at the other ends of records' edges, by record, kind and type."""
    there: dict[_Type, set[str]] = {}
    for to in dict.fromkeys(change.edge.kind for change in changes if change.edge is not None):
        ids = list(dict.fromkeys(each.id or "" for each in changes if each.edge is not None and each.edge.kind == to))
        for id, linked in target.edges(kind, ids, to).items():
            for each in linked:
                for spec in (_WHOLE, *((type.category, type.type_id) for type in each.types)):
                    there.setdefault((id, to, *spec), set()).add(each.id)
    return there


def _type_of(change: Change) -> _Type:
    edge = change.edge
    assert edge is not None
    is_whole = edge.is_whole and change.action == DISASSOCIATE
    return change.id or "", edge.kind, *(_WHOLE if is_whole else (edge.category, edge.type_id))


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
