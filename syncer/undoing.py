"""
What a run did, undone as far as nobody touched it since: each change of its journal is held against the records as
they are now, and becomes a change of the opposite, nothing, or a conflict that names both values.

    update        the fields that still read as they were written get their old values
    create        archived, where everything that it wrote still reads so
    associate     taken away; disassociate: put back
    archive       only the UI can restore it
    merge         cannot be undone: a new record with the old values and edges (`undoing_merges.py`)

What reads as before already is nothing to do: so a revert that was killed is gone on with by the next one. Records are
read a batch at a time. Not here: which run it is, and its journal (`reverted.py`); edges (`undoing_edges.py`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from syncer import plan, plans, reverted
from syncer.clock import Clock
from syncer.mapping import Outbound
from syncer.plan import ARCHIVE, CREATE, MERGE, UPDATE, Change, Checksum, Edit
from syncer.plans import Header, PlanRow
from syncer.reverted import Done, Reverted, Written
from syncer.tally import BEHIND_KEY
from syncer.target import BATCH, Found, Shape, Target
from syncer.undoing_edges import UndoingEdges
from syncer.undoing_merges import STAYS, UndoingMerges
from syncer.undoing_own import UndoingOwn
from syncer.undoing_survivors import Behind, UndoingSurvivors
from syncer.undone import ERASED, Undone, conflict, left, nothing
from syncer.warehouses import Warehouse

REVERT = "revert"
BUT_MERGES = tuple(action for action in reverted.OF_RECORDS if action != MERGE)
_Later = Mapping[str, Written]  # what other runs wrote since to a record, by field


@attrs.define(kw_only=True)
class Undoing:
    """
    The plan that puts one run back, being made.

    stays: why what it created is not taken away again; empty where it is. is_rehearsal: nothing was settled before.
    """

    reverted: Reverted
    outbound: Outbound
    account: str
    target: Target
    warehouse: Warehouse
    clock: Clock
    stays: str = ""
    is_rehearsal: bool = False
    on_progress: Callable[[int, int], None] | None = None
    _checksum: Checksum = attrs.field(factory=Checksum, init=False)
    _number: int = attrs.field(default=0, init=False)
    _rows: int = attrs.field(default=0, init=False)
    _several: frozenset[str] = attrs.field(default=frozenset(), init=False)
    _has_since: bool = attrs.field(default=True, init=False)
    _merges: UndoingMerges = attrs.field(init=False)
    _survivors: UndoingSurvivors = attrs.field(init=False)

    @property
    def _kind(self) -> str:
        return self.outbound.kind

    @property
    def _shape(self) -> Shape:
        return self.target.shape(self._kind)

    def make(self) -> Header:
        """Make and store the plan; return its header. Raises: what the target raises."""
        header = Header(
            plan=plans.new_plan(),
            mapping=self.reverted.header.mapping,
            environment=self.reverted.header.environment,
            account=self.account,
            verb=REVERT,
            made_at=self.clock.now(),
            settings=plans.words_of(self.outbound),
            notes=self._notes(),
            reverts=self.reverted.run,
            pid=os.getpid(),
            host=socket.gethostname(),
        )
        with self.warehouse.transaction() as t:
            plans.insert(t, header)
            self._several = reverted.several(t, self.reverted)
            self._has_since = reverted.has_since(t, self.reverted)
        self._merges = UndoingMerges(
            reverted=self.reverted, kind=self._kind, shape=self._shape, target=self.target, warehouse=self.warehouse
        )
        self._survivors = UndoingSurvivors(
            reverted=self.reverted,
            kind=self._kind,
            target=self.target,
            warehouse=self.warehouse,
            merges=self._merges,
        )
        edges = self._edges()
        read_at = self.clock.now()
        if self.reverted.did.get(MERGE):
            for done in self._did_to_records((MERGE,)):  # first: what their survivors got goes once they are back
                self._store(header, self._merges.records(list(self._keyed(done))))
        for done in self._did_to_records(BUT_MERGES):
            self._store(header, self._records(header.plan, done))
        if self.reverted.did.get(MERGE):
            for changes in self._merges.edges(header.plan, number=self._number):
                self._number += len(changes)
                self._store(header, (), changes)
        for done in self._did_to_edges():  # what the new records have by then is taken off the survivor
            self._store(header, edges.undo(header.plan, self._keyed(done)))
        header = attrs.evolve(
            header,
            state=plans.PLANNED,
            read_at=read_at,
            relation_rows=self._rows,
            found_rows=self._rows,
            changes=self._checksum.count,
            checksum=str(self._checksum),
        )
        with self.warehouse.transaction() as t:
            plans.update(t, header)
        return header

    def _edges(self) -> UndoingEdges:
        """Return what undoes the edges of the run."""
        return UndoingEdges(
            reverted=self.reverted,
            kind=self._kind,
            target=self.target,
            warehouse=self.warehouse,
            survivors=self._survivors,
            own=UndoingOwn(reverted=self.reverted, kind=self._kind, warehouse=self.warehouse, merges=self._merges),
        )

    def _store(self, header: Header, undone: Iterable[Undone], more: Sequence[Change] = ()) -> None:
        moment = self.clock.now()
        given = list(undone)
        changes = [*(each.change for each in given if each.change is not None), *more]
        self._checksum.add(change.digest(header.mapping, header.environment) for change in changes)
        with self.warehouse.transaction() as t:
            plans.add(t, header, changes=changes, rows=[each.row for each in given], read_at=moment)
        self.warehouse.rest(waiting=True)
        self._rows += len(given)
        if self.on_progress is not None:
            self.on_progress(self._rows, sum(self.reverted.did.values()))

    def _notes(self) -> list[str]:
        notes = [STAYS] if self.reverted.did.get(MERGE) else []
        if not self.reverted.in_flight or not self.is_rehearsal:
            return notes
        return [
            *notes,
            f"When run {self.reverted.run} was broken off, {self.reverted.in_flight:,} changes were in flight. A "
            "revert finds out first what became of them; a dry run does not.",
        ]

    def _did_to_records(self, actions: Sequence[str]) -> Iterator[list[Done]]:
        """Yield what the run did to records by some actions, in its order, a batch at a time."""
        after = 0
        while True:
            with self.warehouse.transaction() as t:
                done = reverted.records(t, self.reverted, after=after, limit=BATCH, actions=actions)
            self.warehouse.rest(waiting=True)
            if not done:
                return
            after = done[-1].number
            yield done

    def _did_to_edges(self) -> Iterator[list[Done]]:
        """Yield what the run did to edges, the last one first, a batch at a time."""
        before = 2**62
        while True:
            with self.warehouse.transaction() as t:
                done = reverted.edges(t, self.reverted, before=before, limit=BATCH)
            self.warehouse.rest(waiting=True)
            if not done:
                return
            before = done[-1].number
            yield done

    def _key(self, done: Done) -> str:
        """Name the row of an undone change: by its record's key; by its number, too, where that has several."""
        self._number += 1
        is_alone = done.action not in plan.OF_EDGES and done.key not in self._several
        return done.key if is_alone else f"{done.key}{BEHIND_KEY}{self._number}"

    def _keyed(self, batch: Sequence[Done]) -> Iterator[tuple[Done, str, int]]:
        for done in batch:
            yield done, self._key(done), self._number

    # Records.

    def _records(self, plan_id: str, batch: Sequence[Done]) -> Iterator[Undone]:
        ids = list(dict.fromkeys(each.id for each in batch if each.id is not None))
        names = {name for each in batch for name in each.fields if name in self._shape.properties}
        found = self.target.find(self._kind, ids, by=None, properties=sorted(names))
        asked = {*ids, *(each.id for each in found.values())}
        with self.warehouse.transaction() as t:
            since = reverted.since(t, self.reverted, batch, asked) if self._has_since else {}
        self.warehouse.rest(waiting=True)
        behind = self._survivors.behind(plan_id, batch)
        for done in batch:
            now = found.get(done.id or "")
            later = {**since.get(done.id or "", {}), **(since.get(now.id, {}) if now is not None else {})}
            yield self._record(done, now, later, behind.get(done.number, Behind()))

    def _record(self, done: Done, found: Found | None, later: _Later, behind: Behind) -> Undone:
        key = self._key(done)
        if done.action == ARCHIVE:
            if found is not None and not found.is_archived:
                return nothing(done, key)
            return left(done, key, "It was archived, and only the UI can restore it.")
        if done.id is None or not done.fields:
            return left(done, key, ERASED)
        if done.action == CREATE:
            return self._created(done, key, found, later)
        return self._updated((done, key, behind), found, later)

    def _updated(self, keyed: tuple[Done, str, Behind], found: Found | None, later: _Later) -> Undone:
        """Put old values back, each where it still reads as the run wrote it, and nothing else is lost with it."""
        done, key, behind = keyed
        if found is None or found.is_archived:
            gone = "was archived" if found is not None else "is there no more"
            return left(done, key, f"Its record {gone} on their side: nothing of it is put back.")
        edits, problems = {}, []
        for name, edit in done.fields.items():
            known = self._shape.properties.get(name)
            now = found.properties.get(name) or None
            if known is not None and known.theirs(now) == known.theirs(edit.before):
                continue
            reason = self._moved(name, edit, now, later.get(name))
            if not reason and known is not None and known.why_not:
                reason = f"It takes no value from us: {known.why_not}."
            reason = reason or behind.why
            if reason:
                problems.append(conflict(name, edit.before, edit.after, now, reason))
            else:
                edits[name] = Edit(now, edit.before)
        outcome = plan.CONFLICT if problems else "" if edits else plan.UNCHANGED
        row = PlanRow(key=key, id=found.id, outcome=outcome, problems=problems)
        if not edits:
            return Undone(row)
        return Undone(row, attrs.evolve(self._change(done, UPDATE, found.id, fields=edits), after=behind.after))

    def _created(self, done: Done, key: str, found: Found | None, later: _Later) -> Undone:
        """Archive what the run made, where everything that it wrote still reads so."""
        if found is None or found.is_archived:
            return nothing(done, key)
        if self.stays:
            return left(done, key, self.stays)
        if found.id != done.id:
            return left(done, key, f"It was merged into record {found.id} since, which stays.")
        problems = []
        now = {name: found.properties.get(name) or None for name in done.fields}
        for name, edit in done.fields.items():
            reason = self._moved(name, edit, now[name], later.get(name))
            if reason:
                reason = f"{reason} The record is not archived."
                problems.append(conflict(name, None, edit.after, now[name], reason))
        row = PlanRow(key=key, id=found.id, outcome=plan.CONFLICT if problems else "", problems=problems)
        if problems:
            return Undone(row)
        fields = {name: Edit(value, None) for name, value in sorted(now.items())}
        return Undone(row, self._change(done, ARCHIVE, found.id, fields=fields))

    def _moved(self, name: str, edit: Edit, now: str | None, later: Written | None) -> str:
        """Say why a field does not read as the run left it; empty where it does."""
        known = self._shape.properties.get(name)
        if known is None:
            return "There is no such property any more."
        value = known.theirs(now)
        is_later = later is not None and value == known.theirs(later.after)
        if value == known.theirs(edit.after):
            return f"Run {later.run} wrote it since." if later is not None and is_later and not later.is_revert else ""
        return f"Run {later.run} wrote it since." if later is not None and is_later else "Changed on their side since."

    def _change(self, done: Done, action: str, id: str, *, fields: Mapping[str, Edit]) -> Change:
        ordered = dict(sorted(fields.items()))
        return Change(number=self._number, action=action, kind=self._kind, key=done.key, id=id, fields=ordered)
