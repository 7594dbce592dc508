"""
Edges that a run made or took away, undone: those that it made are taken away where they are still there, those that it
took away are put back with their label, unless something else took their place since.

Edges of records that the same revert archives go with them. An edge that was put in the place of another one is taken
away after that one is back, and stays where it cannot be. Not here: records (`undoing.py`), sending (`apply.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from syncer import plan, reverted, sql
from syncer.plan import ARCHIVE, ASSOCIATE, DISASSOCIATE, Change, Edge
from syncer.plans import CHANGES, PlanRow
from syncer.reverted import Done, Reverted
from syncer.target import BATCH, EdgeType, Found, Linked, Target
from syncer.undoing_own import OwnNow, UndoingOwn, ends_pair
from syncer.undoing_survivors import Behind, UndoingSurvivors
from syncer.undone import ERASED, Undone, left, nothing
from syncer.values import TEXT
from syncer.warehouses import Transaction, Warehouse

Keyed = tuple[Done, str, int]  # a change, the key of its row, and the number of what undoes it
_Spec = tuple[str, int]  # category and type id


@attrs.frozen(kw_only=True)
class _There:
    """
    The edges of a batch as they are now. records, ends: the live record behind each id of the journal, ends by kind.
    own: what records had by themselves.

    moved_on: what new records of merged ones are associated with by then, by kind and id: changes of the plan.
    going: records of the own kind that this plan archives. partners: edges that the plan made, by number. batch: what
    is undone. behind: what the undoing of changes waits for, by number.
    """

    records: Mapping[str, Found]
    ends: Mapping[str, Mapping[str, Found]]
    linked: Mapping[str, Mapping[str, Sequence[Linked]]]
    going: frozenset[str]
    partners: Mapping[int, Edge]
    batch: Sequence[Done]
    moved_on: Mapping[tuple[str, str], set[int]]
    behind: Mapping[int, Behind]
    own: OwnNow

    def one(self, done: Done) -> str | None:
        """Return the record's live id; None: there is none."""
        found = self.records.get(done.id or "")
        return None if found is None else found.id

    def other(self, edge: Edge) -> str | None:
        """Return the live id at the other end; None: there is none."""
        found = self.ends[edge.kind].get(edge.id or "")
        return None if found is None else found.id

    def types(self, done: Done, edge: Edge) -> dict[_Spec, EdgeType]:
        """Return the types that the pair has."""
        other = self.other(edge)
        linked = self.linked[edge.kind].get(self.one(done) or "", ())
        return {(type.category, type.type_id): type for each in linked if each.id == other for type in each.types}

    def with_type(self, done: Done, edge: Edge) -> dict[str, EdgeType]:
        """Return what the record is linked to by the type of an edge, by id."""
        linked = self.linked[edge.kind].get(self.one(done) or "", ())
        spec = edge.category, edge.type_id
        return {each.id: type for each in linked for type in each.types if (type.category, type.type_id) == spec}

    def of_run(self, done: Done, edge: Edge) -> list[Edge]:
        """Return the edges of the same record and type that the run made: those of the batch."""
        spec = edge.kind, edge.category, edge.type_id
        made = [each.edge for each in self.batch if each.action == ASSOCIATE and each.id == done.id]
        return [each for each in made if each is not None and (each.kind, each.category, each.type_id) == spec]

    def undone_types(self, done: Done, edge: Edge) -> set[_Spec]:
        """Return the types of a pair that the run made: they are taken away as well."""
        return {
            (each.edge.category, each.edge.type_id)
            for each in self.batch
            if each.edge is not None
            and (each.action, each.id, each.edge.kind, each.edge.id) == (ASSOCIATE, done.id, edge.kind, edge.id)
        }


@attrs.define(kw_only=True)
class UndoingEdges:
    """Undoes the edges of one run, the last one first."""

    reverted: Reverted
    kind: str
    target: Target
    warehouse: Warehouse
    survivors: UndoingSurvivors
    own: UndoingOwn
    _replaced: dict[int, tuple[int, bool]] = attrs.field(factory=dict, init=False)

    def undo(self, plan_id: str, keyed: Iterable[Keyed]) -> Iterator[Undone]:
        """Yield what each change of a batch comes to."""
        given = list(keyed)
        there = self._there(plan_id, [done for done, _, _ in given])
        for done, key, number in given:
            edge = done.edge
            if edge is None or edge.id is None or done.id is None:
                yield left(done, key, ERASED)
            elif done.action == ASSOCIATE:
                yield self._made((done, key, number), edge, there)
            else:
                undone = self._taken((done, key, number), edge, there)
                is_left = undone.row.outcome == plan.CONFLICT
                self._replaced |= dict.fromkeys(done.after, (number if undone.change else 0, is_left))
                yield undone

    def _there(self, plan_id: str, batch: Sequence[Done]) -> _There:
        edges = [each.edge for each in batch if each.edge is not None]
        with self.warehouse.transaction() as t:
            partners = reverted.partners(t, self.reverted, (number for each in batch for number in each.after))
        self.warehouse.rest(waiting=True)
        named = [*edges, *partners.values()]
        kinds = dict.fromkeys(each.kind for each in named)
        ends = {to: self._alive(to, [each.id for each in named if each.kind == to]) for to in kinds}
        records = self._alive(self.kind, [each.id for each in batch])
        live = list(dict.fromkeys(each.id for each in records.values()))
        linked = {to: self.target.edges(self.kind, live, to) if live else {} for to in kinds}
        with self.warehouse.transaction() as t:
            going = _archived(t, plan_id, [*live, *(each.id for each in ends.get(self.kind, {}).values())])
            moved_on = reverted.moved_on(t, self.reverted, plan_id, (each.key for each in batch))
        self.warehouse.rest(waiting=True)
        return _There(
            records=records,
            ends=ends,
            linked=linked,
            going=going,
            partners=partners,
            batch=batch,
            moved_on=moved_on,
            behind=self.survivors.behind(plan_id, batch),
            own=self.own.now(plan_id, batch, records, linked),
        )

    def _alive(self, kind: str, ids: Sequence[str | None]) -> dict[str, Found]:
        """Return the live records behind ids, those that were merged away followed."""
        asked = list(dict.fromkeys(id for id in ids if id is not None))
        found: dict[str, Found] = {}
        for at in range(0, len(asked), BATCH):
            records = self.target.find(kind, asked[at : at + BATCH], by=None, properties=())
            found |= {id: record for id, record in records.items() if not record.is_archived}
        return found

    def _made(self, keyed: Keyed, edge: Edge, there: _There) -> Undone:
        """Take an edge away that the run made, if it is still there."""
        done, key, number = keyed
        after, is_held = self._replaced.pop(done.number, (0, False))
        one, other = there.one(done), there.other(edge)
        types = there.types(done, edge)
        mine = types.get((edge.category, edge.type_id))
        is_going = one in there.going or (edge.kind == self.kind and other in there.going)
        if one is None or mine is None or is_going:
            return nothing(done, key)
        behind = there.behind.get(done.number, Behind())
        reason = "What it took the place of cannot be put back: it stays." if is_held else behind.why
        reason = reason or there.own.why(done, edge, one, there.ends[edge.kind][edge.id or ""])
        if reason:
            return left(done, key, reason, field=edge.kind, theirs=other)
        ours = there.undone_types(done, edge)
        labels = sorted(
            type.label for spec, type in types.items() if type.label and not type.is_primary and spec not in ours
        )
        is_plain = not mine.label and not mine.is_primary
        if is_plain and labels:
            reason = f"The association has the label {', '.join(labels)}, which would go with it."
            return left(done, key, reason, field=edge.kind, theirs=other)
        gone = attrs.evolve(edge, id=other, made_by=None, is_whole=edge.is_whole and not labels)
        if ends_pair(gone):
            if there.own.is_last(done, edge, one, gone.id or ""):
                reason = f"It has no other of {edge.kind} by then, and had one before: it stays."
                return left(done, key, reason, field=edge.kind, theirs=other)
            there.own.is_taken(edge.kind, one, gone.id or "")
        change = self._change(keyed, DISASSOCIATE, one, gone)
        before = {*([after] if after else []), *behind.after, *there.moved_on.get((edge.kind, other or ""), ())}
        return Undone(PlanRow(key=key, id=one), attrs.evolve(change, after=tuple(sorted(before))))

    def _taken(self, keyed: Keyed, edge: Edge, there: _There) -> Undone:
        """Put an edge back that the run took away, unless something else took its place since."""
        done, key, _ = keyed
        one, other = there.one(done), there.other(edge)
        if one is None or other is None:
            end = "Its record" if one is None else f"The record {edge.id} of {edge.kind}"
            return left(done, key, f"{end} is there no more on their side.", field=edge.kind)
        if (edge.category, edge.type_id) in there.types(done, edge):
            return nothing(done, key)
        now = there.with_type(done, edge)
        partners = [there.partners[each] for each in done.after if each in there.partners]
        own = {there.other(each) for each in (*partners, *there.of_run(done, edge))}
        is_one_only = any(type.is_primary for type in now.values())
        is_moved = bool(partners) and all(there.other(each) not in there.with_type(done, each) for each in partners)
        if is_moved or (is_one_only and set(now) - own):
            reason = "Associated otherwise on their side since."
            return left(done, key, reason, field=edge.kind, theirs=", ".join(sorted(now)) or None)
        back = attrs.evolve(edge, id=other, made_by=None)
        there.own.is_put_back(edge.kind, one, other)
        return Undone(PlanRow(key=key, id=one), self._change(keyed, ASSOCIATE, one, back))

    def _change(self, keyed: Keyed, action: str, id: str, edge: Edge) -> Change:
        done, _, number = keyed
        return Change(number=number, action=action, kind=self.kind, key=done.key, id=id, edge=edge)


def _archived(t: Transaction, plan_id: str, ids: Iterable[str]) -> frozenset[str]:
    """Return which records a plan archives."""
    import pyarrow as pa

    wanted = sorted(set(ids))
    if not wanted:
        return frozenset()
    t.stage("ids_now", pa.table({"id": pa.array(wanted, pa.string())}), {"id": TEXT})
    query = (
        f"SELECT c.id FROM {sql.table_name(CHANGES)} AS c WHERE c.plan = ? AND c.action = '{ARCHIVE}' "
        "AND EXISTS (SELECT 1 FROM ids_now AS s WHERE s.id = c.id)"
    )
    return frozenset(row[0] for row in t.rows(sql.statement(query), [plan_id]))
