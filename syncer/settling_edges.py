"""
Edges: whether one that is about to be sent still is what was planned, and what became of one whose answer was lost.

An edge is there when its pair has its type. It is made while what stood in its place stands there; where others had it
that are to go (merges and archives), while one of them still has it, and the record that stays has what it had. A pair
goes whole while it has no type that the plan did not know. Else somebody moved it: a conflict. Not here: records
(`settling.py`), merges (`settling_merges.py`), who asks (`apply.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

import attrs

from syncer import plan
from syncer.plan import ASSOCIATE, DISASSOCIATE, Change, Edge
from syncer.target import BATCH, Target

Pair = tuple[str, str, str]  # a record's id, the kind at the other end, and the id there
_Spec = tuple[str, int]  # category and type id
_End = tuple[str, str]  # kind and id


@attrs.frozen
class _There:
    """What records are associated with now. types: of each pair; ids: at the other ends, by record, kind and type."""

    types: dict[Pair, set[_Spec]] = attrs.field(factory=dict)
    ids: dict[tuple[str, str, _Spec], set[str]] = attrs.field(factory=dict)

    @classmethod
    def read(cls, target: Target, kind: str, changes: Sequence[Change]) -> _There:
        """Read what the records of changes are associated with."""
        there = cls()
        for to in dict.fromkeys(_edge(change).kind for change in changes):
            ids = list(dict.fromkeys(each.id or "" for each in changes if _edge(each).kind == to))
            for id, linked in target.edges(kind, ids, to).items():
                for other in linked:
                    specs = there.types.setdefault((id, to, other.id), set())
                    specs |= {(type.category, type.type_id) for type in other.types}
                    for spec in specs:
                        there.ids.setdefault((id, to, spec), set()).add(other.id)
        return there

    def types_of(self, change: Change) -> Collection[_Spec]:
        """Return the types of a change's pair; none: it is none."""
        return self.types.get(_pair(change), ())

    def has(self, change: Change) -> bool:
        """Tell whether an edge is there; one that goes whole: any type of its pair."""
        types = self.types_of(change)
        is_whole = _edge(change).is_whole and change.action == DISASSOCIATE
        return bool(types) if is_whole else _spec(_edge(change)) in types

    def is_done(self, change: Change) -> bool:
        """Tell whether the change of an edge is done."""
        return self.has(change) is (change.action == ASSOCIATE)


def as_planned(
    target: Target,
    kind: str,
    changes: Sequence[Change],
    *,
    beside: Mapping[int, Container[str]],
    going: Sequence[Change] = (),
) -> list[Change]:
    """
    Return changes of edges that are about to be sent as their records are associated now: planned still, the same
    already, or moved.

    beside: by number of a change, what other columns of its row are linked to: that moved nothing. going: merges and
    archives that leave the records of these changes.
    """
    given = _given(changes, going)
    there = _There.read(target, kind, [*changes, *(each for held in given.values() for each in held)])
    left = [each for each in changes if not there.is_done(each)]
    moved = {each.number: why for each in left if (why := _otherwise(each, there, beside.get(each.number, ())))}
    moved |= _no_longer_given(target, [each for each in left if each.number not in moved], given, there)
    open_ones = {each.number: _as_left(each, moved.get(each.number, "")) for each in left}
    return [open_ones.get(each.number) or attrs.evolve(each, state=plan.SAME) for each in changes]


def _as_left(change: Change, moved: str) -> Change:
    if not moved:
        return attrs.evolve(change, state=plan.PLANNED)
    return attrs.evolve(
        change, state=plan.MOVED, reason=f"Associated otherwise on their side since the plan: {moved}."
    )


def _otherwise(change: Change, there: _There, beside: Container[str]) -> str:
    """Name what took the place of an edge that is made, or came to a pair that goes; empty: it is as it was."""
    if change.action == DISASSOCIATE:
        had = {_spec(each) for each in change.edges}
        return _edge(change).kind if had and not had.issuperset(there.types_of(change)) else ""
    now = there.ids.get((change.id or "", _edge(change).kind, _spec(_edge(change))), set())
    for edit in change.fields.values():  # one at the most
        if edit.before not in now if edit.before is not None else any(id not in beside for id in now):
            return ", ".join(change.fields)
    return ""


def _given(changes: Sequence[Change], going: Sequence[Change]) -> dict[int, list[Change]]:
    """Return, by number, the edges that are made as those had them, when they were planned, that are to go."""
    left: dict[str, list[Change]] = {}
    for each in going:
        left.setdefault(each.into or "", []).append(each)
    return {
        change.number: [
            attrs.evolve(change, id=each.id) for each in left.get(change.id or "", ()) if _had(each, change)
        ]
        for change in changes
        if change.action == ASSOCIATE
    }


def _had(going: Change, change: Change) -> bool:
    edge = _edge(change)
    return any((each.kind, each.id, _spec(each)) == (edge.kind, edge.id, _spec(edge)) for each in going.edges)


def _no_longer_given(
    target: Target, changes: Sequence[Change], given: Mapping[int, Sequence[Change]], there: _There
) -> dict[int, str]:
    """
    Name, by number, what a person took off since: an edge of all that had it, or the pair of the record that stays to
    which it adds a type. A record that was merged since is not asked: under its old id it has none.
    """
    asked = [change for change in changes if given.get(change.number)]
    lost = [each for change in asked for each in given[change.number] if not there.has(each)]
    bare = [change for change in asked if not _edge(change).is_whole and not there.types_of(change)]
    live = _alive(target, [end for each in (*lost, *bare) for end in (_end(each), _start(each))])
    found: dict[int, str] = {}
    for change in asked:
        held = given[change.number]
        if all(live.get(_start(each)) == each.id and not there.has(_followed(each, live)) for each in held):
            found[change.number] = f"{_edge(change).kind} of record {', '.join(each.id or '' for each in held)}"
        elif change in bare and not there.types_of(_followed(change, live)):
            found[change.number] = f"{_edge(change).kind} of record {change.id}"
    return found


def settled(target: Target, kind: str, changes: Sequence[Change], *, going: Collection[Pair]) -> list[Change]:
    """
    Settle edges; one whose other end was merged away since is there under the id of what survives it. But where that
    is the very record that is to be taken away (*going*), it is not there for long.
    """
    there = _There.read(target, kind, changes)
    done = {each.number for each in changes if there.is_done(each)}
    left = [each for each in changes if each.action == ASSOCIATE and each.number not in done]
    live = _alive(target, map(_end, left))
    moved = [each for each in left if _followed(each, live) != each]
    if moved and going:
        ends = _alive(target, [(of, id) for _, of, id in going])
        taken = {(record, of, ends.get((of, id), id)) for record, of, id in going}
        moved = [each for each in moved if _pair(_followed(each, live)) not in taken]
    done |= {each.number for each in moved if there.is_done(_followed(each, live))}
    return [attrs.evolve(each, state=plan.DONE if each.number in done else plan.PLANNED) for each in changes]


def _followed(change: Change, live: Mapping[_End, str]) -> Change:
    """Return the change of an edge with the live record at its other end."""
    edge = _edge(change)
    return attrs.evolve(change, edge=attrs.evolve(edge, id=live.get(_end(change), edge.id)))


def _alive(target: Target, named: Iterable[_End]) -> dict[_End, str]:
    """Return the live records behind kinds and ids."""
    found: dict[_End, str] = {}
    ends = dict.fromkeys(each for each in named if each[1])
    for kind in dict.fromkeys(kind for kind, _ in ends):
        ids = [id for of, id in ends if of == kind]
        for at in range(0, len(ids), BATCH):
            records = target.find(kind, ids[at : at + BATCH], by=None, properties=())
            found |= {(kind, id): each.id for id, each in records.items() if not each.is_archived}
    return found


def _edge(change: Change) -> Edge:
    assert change.edge is not None
    return change.edge


def _spec(edge: Edge) -> _Spec:
    return edge.category, edge.type_id


def _end(change: Change) -> _End:
    return _edge(change).kind, _edge(change).id or ""


def _start(change: Change) -> _End:
    return change.kind, change.id or ""


def _pair(change: Change) -> Pair:
    return change.id or "", *_end(change)
