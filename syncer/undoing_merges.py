"""
Merges of a run, put back as far as that can be done: for each record that went, a new one with its old values and
associations, which says in a unique property of ours what it was before.

A merge itself cannot be undone: the old id stays the survivor's, the timeline stays with it, and what the API sets
itself (when it was made, by whom) is new. What people changed on the survivor since is not touched here. Not here:
the survivor's own fields and edges (`undoing.py`, `undoing_edges.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from syncer import plan, plan_journal, reverted
from syncer.plan import ASSOCIATE, CREATE, Change, Edge, Edit
from syncer.plans import PlanRow, Problem
from syncer.restoring import RESTORED_FROM
from syncer.reverted import Done, Reverted
from syncer.target import BATCH, EdgeType, Shape, Target
from syncer.undone import ERASED, Undone, conflict, left, nothing
from syncer.warehouses import Warehouse

AT_ONCE = 100
STAYS = (
    "a record that was merged comes back as a new one: under another id, without its timeline, and with the times "
    "that HubSpot gives it now"
)


@attrs.define(kw_only=True)
class UndoingMerges:
    """Puts records back that a run merged away."""

    reverted: Reverted
    kind: str
    shape: Shape
    target: Target
    warehouse: Warehouse
    _types: dict[str, Sequence[EdgeType]] = attrs.field(factory=dict, init=False)

    @property
    def is_possible(self) -> bool:
        """Whether records can say what they were: without that a create could not be done exactly once."""
        known = self.shape.properties.get(RESTORED_FROM)
        return known is not None and known.is_unique and not known.why_not

    def records(self, keyed: Sequence[tuple[Done, str, int]]) -> Iterator[Undone]:
        """Yield the new record of each merge of a batch, or why there is none."""
        there = self.restored([done.was for done, _, _ in keyed if done.was])
        taken = self._taken([done for done, _, _ in keyed])
        ends = self._ends([done for done, _, _ in keyed if done.was not in there])
        for done, key, number in keyed:
            if not self.is_possible:
                reason = (
                    f"It was merged, which cannot be undone, and {self.kind} have no unique property {RESTORED_FROM} "
                    "by which a new record could be told from a second one."
                )
                yield left(done, key, reason)
            elif not done.was or not done.fields:
                yield left(done, key, ERASED)
            elif done.was in there:
                yield nothing(done, key)
            else:
                undone = self._made(done, done.was, key, number, taken)
                problems = [*undone.row.problems, *self._edges_lost(done, ends)]
                outcome = plan.CONFLICT if problems else ""
                yield attrs.evolve(undone, row=attrs.evolve(undone.row, outcome=outcome, problems=problems))

    def _made(self, done: Done, was: str, key: str, number: int, taken: Mapping[tuple[str, str], str]) -> Undone:
        fields, problems = {RESTORED_FROM: Edit(None, was)}, []
        for name, edit in sorted(done.fields.items()):
            known = self.shape.properties.get(name)
            if not edit.before or name == RESTORED_FROM:
                continue
            if known is None or known.why_not:
                why = "There is no such property any more" if known is None else f"It takes no value: {known.why_not}"
                if known is None or edit.before != edit.after:  # what HubSpot sets itself has the same after it
                    problems.append(conflict(name, edit.before, None, None, f"{why}. It does not come back."))
                continue
            holder = taken.get((name, edit.before))
            if holder is not None:
                reason = f"Its values are unique, and record {holder} has this one now."
                problems.append(conflict(name, edit.before, None, edit.before, reason))
            else:
                fields[name] = Edit(None, edit.before)
        row = PlanRow(key=key, outcome=plan.CONFLICT if problems else "", problems=problems)
        change = Change(number=number, action=CREATE, kind=self.kind, key=was, fields=fields, title=done.title)
        return Undone(row, change)

    def restored(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the new records that there are already, by the old ids."""
        if not ids or not self.is_possible:
            return {}
        found = self.target.find(self.kind, list(ids), by=RESTORED_FROM, properties=())
        return {id: record.id for id, record in found.items() if not record.is_archived}

    def _taken(self, batch: Sequence[Done]) -> dict[tuple[str, str], str]:
        """Return who holds values of unique properties that the records of a batch had: most often the survivor."""
        if not self.is_possible:
            return {}
        taken: dict[tuple[str, str], str] = {}
        names = {name for done in batch for name in done.fields}
        for name in sorted(names - {RESTORED_FROM}):
            known = self.shape.properties.get(name)
            if known is None or not known.is_unique or known.why_not:
                continue
            values = list(
                dict.fromkeys(edit.before for done in batch if (edit := done.fields.get(name)) and edit.before)
            )
            found = self.target.find(self.kind, values, by=name, properties=())
            taken |= {(name, value): record.id for value, record in found.items()}
        return taken

    # Edges.

    def _ends(self, batch: Sequence[Done]) -> set[tuple[str, str]]:
        """Return the other ends of the associations of a batch that are there, or come back with this plan."""
        if not self.is_possible:
            return set()
        edges = [edge for done in batch for edge in done.edges]
        found = set(self._alive(edges))
        lost = [edge.id for edge in edges if edge.kind == self.kind and edge.id and (edge.kind, edge.id) not in found]
        if lost:
            with self.warehouse.transaction() as t:
                found |= {(self.kind, id) for id in reverted.merged_of(t, self.reverted, lost)}
            self.warehouse.rest(waiting=True)
        return found

    def _edges_lost(self, done: Done, ends: Collection[tuple[str, str]]) -> Iterator[Problem]:
        """Say which associations of a record do not come back with it, each record at the other end once."""
        told: set[tuple[str, str]] = set()
        for edge in done.edges:
            end = edge.kind, edge.id or ""
            if end not in ends:
                reason = f"The record {edge.id} of {edge.kind} is there no more on their side."
            elif not self._has_type(edge):
                what = f"the label {edge.label}" if edge.label else f"the type {edge.type_id}"
                reason = f"{self.kind} and {edge.kind} have no association with {what} any more."
            else:
                continue
            if end not in told:
                yield conflict(edge.kind, edge.id, None, None, f"{reason} The association does not come back.")
            told.add(end)

    def edges(self, plan_id: str, *, number: int) -> Iterator[list[Change]]:
        """Yield the associations of the records that a plan makes anew, some at a time, numbered behind *number*."""
        after = 0
        while True:
            with self.warehouse.transaction() as t:
                done = reverted.records(t, self.reverted, after=after, limit=AT_ONCE, actions=(plan.MERGE,))
                made = plan_journal.creates_of(t, plan_id, [each.was for each in done if each.was])
                left = reverted.unlinked(t, self.reverted, [each.was for each in done if each.was])
                ends = [edge.id for each in done for edge in each.edges if edge.kind == self.kind and edge.id]
                made_ends = made | plan_journal.creates_of(t, plan_id, ends)
            self.warehouse.rest(waiting=True)
            if not done:
                return
            after = done[-1].number
            again = self.restored(sorted(left - set(made)))
            changes = list(self._of_batch([each for each in done if each.was in made], made, made_ends, number))
            begun = [each for each in done if each.was in again]
            changes += self._again(begun, again, made_ends, number + len(changes))
            number += len(changes)
            yield changes

    def _again(
        self, batch: Sequence[Done], again: Mapping[str, str], made_ends: Mapping[str, int], number: int
    ) -> Iterator[Change]:
        """Yield the associations that records lack which an earlier revert made, and did not get as far as these."""
        alive = self._alive([edge for done in batch for edge in done.edges])
        kinds = dict.fromkeys(edge.kind for done in batch for edge in done.edges)
        ids = sorted(set(again.values()))
        linked = {kind: self.target.edges(self.kind, ids, kind) for kind in kinds}
        for done in batch:
            id, labelled = again[done.was or ""], self._labelled(done)
            for edge in done.edges:
                if not edge.label and (edge.kind, edge.id) in labelled:
                    continue
                back = self._back(edge, alive, made_ends)
                spec = edge.category, edge.type_id
                there = {
                    (each.id, type.category, type.type_id)
                    for each in linked[edge.kind].get(id, ())
                    for type in each.types
                }
                if back is None or (back.id, *spec) in there:
                    continue
                number += 1
                after = () if back.made_by is None else (back.made_by,)
                change = Change(number=number, action=ASSOCIATE, kind=self.kind, key=done.was or "", id=id, edge=back)
                yield attrs.evolve(change, after=after, title=done.title)

    def _of_batch(
        self, batch: Sequence[Done], made: Mapping[str, int], made_ends: Mapping[str, int], number: int
    ) -> Iterator[Change]:
        alive = self._alive([edge for done in batch for edge in done.edges])
        seen: set[tuple[str, frozenset[int | str | None], str, int]] = set()
        for done in batch:
            create = made.get(done.was or "")
            if create is None:
                continue
            labelled = self._labelled(done)
            for edge in done.edges:
                is_plain = not edge.label and (edge.kind, edge.id) in labelled  # a label brings it along
                back = self._back(edge, alive, made_ends)
                if is_plain or back is None:
                    continue
                ends = frozenset({create, back.id if back.made_by is None else back.made_by})
                spec = (edge.kind, ends, edge.category, edge.type_id)  # of two that both come back, told by each
                if spec in seen:
                    continue
                seen.add(spec)
                number += 1
                yield Change(
                    number=number,
                    action=ASSOCIATE,
                    kind=self.kind,
                    key=done.was or "",
                    edge=back,
                    after=(create, *([back.made_by] if back.made_by is not None else [])),  # its own record first
                    title=done.title,
                )

    def _back(self, edge: Edge, alive: Mapping[tuple[str, str], str], made_ends: Mapping[str, int]) -> Edge | None:
        """Return an edge as it can be made now; None: its other end is there no more, or has no such type."""
        if not self._has_type(edge):
            return None
        if edge.kind == self.kind and edge.id is not None and edge.id in made_ends:
            return attrs.evolve(edge, id=None, made_by=made_ends[edge.id], key=edge.id, is_whole=True)
        live = alive.get((edge.kind, edge.id or ""))
        return None if live is None else attrs.evolve(edge, id=live, is_whole=True)

    def _labelled(self, done: Done) -> set[tuple[str, str | None]]:
        """Return the other ends to which a label is put back: it brings the plain association along."""
        return {(edge.kind, edge.id) for edge in done.edges if edge.label and self._has_type(edge)}

    def _has_type(self, edge: Edge) -> bool:
        types = {(each.category, each.type_id) for each in self._types_to(edge.kind)}
        return (edge.category, edge.type_id) in types

    def _types_to(self, kind: str) -> Sequence[EdgeType]:
        if kind not in self._types:
            self._types[kind] = self.target.edge_types(self.kind, kind)
        return self._types[kind]

    def _alive(self, edges: Sequence[Edge]) -> dict[tuple[str, str], str]:
        """Return the live records behind the other ends, those that were merged away followed."""
        found: dict[tuple[str, str], str] = {}
        for kind in dict.fromkeys(edge.kind for edge in edges):
            ids = list(dict.fromkeys(edge.id for edge in edges if edge.kind == kind and edge.id is not None))
            for at in range(0, len(ids), BATCH):
                records = self.target.find(kind, ids[at : at + BATCH], by=None, properties=())
                found |= {(kind, id): each.id for id, each in records.items() if not each.is_archived}
        ends = list(dict.fromkeys(id for kind, id in found if kind == self.kind))
        for at in range(0, len(ends), BATCH):
            found |= {(self.kind, id): made for id, made in self.restored(ends[at : at + BATCH]).items()}
        return found
