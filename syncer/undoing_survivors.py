"""
What a record got of others: taken off it only while each of these stands by itself, or is there again.

Taken off while they are nowhere, it would be lost: with no property by which a new record is made exactly once, with a
create that is rejected, with an archived record that only the UI restores; and where another run of ours, or a person,
made one of them since, which this revert does not bring back. Of whom a record got something is asked of the run's
journal, and how they are of the target. Not here: making records anew (`undoing_merges.py`), what a record had by
itself (`undoing_own.py`), what is put back of the others (`undoing.py`, `undoing_edges.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from syncer import plan, plan_journal, reverted_beside
from syncer.reverted import Done, Reverted
from syncer.reverted_beside import Giver
from syncer.target import BATCH, Found, Target
from syncer.undoing_merges import UndoingMerges
from syncer.warehouses import Warehouse

TOLD = 3  # records that one reason names


@attrs.frozen
class Behind:
    """After which creates of the plan something is taken off a record, by number; why it stays instead, if it does."""

    after: tuple[int, ...] = ()
    why: str = ""


@attrs.frozen(kw_only=True)
class _Now:
    """
    Others as they are now. found: records by the id of the journal; made: the creates of this plan, restored: the
    records that an earlier revert made, by old id; runs: those of ours, others than this one, that merged them away.
    """

    found: Mapping[str, Found]
    made: Mapping[str, int]
    restored: Mapping[str, str]
    runs: Mapping[str, str]

    def is_there(self, id: str, of: str | None) -> bool:
        """Tell whether what a record got of another is there without it. of: that record's live id."""
        found = self.found.get(id)
        if id in self.made or (found is not None and not found.is_archived and found.id == id != of):
            return True
        return id in self.restored and self.restored[id] != of


@attrs.define(kw_only=True)
class UndoingSurvivors:
    """Tells what may be taken off the records that got something of others."""

    reverted: Reverted
    kind: str
    target: Target
    warehouse: Warehouse
    merges: UndoingMerges
    _is_asked: bool | None = attrs.field(default=None, init=False)

    def behind(self, plan_id: str, batch: Sequence[Done]) -> dict[int, Behind]:
        """Return what the undoing of changes waits for, by number; of those that were of nobody else: nothing."""
        gave = [done for done in batch if done.action in (plan.UPDATE, plan.ASSOCIATE) and done.was]
        if not gave:
            return {}
        with self.warehouse.transaction() as t:
            if self._is_asked is None:
                self._is_asked = reverted_beside.has_givers(t, self.reverted)
            givers = reverted_beside.givers(t, self.reverted, gave) if self._is_asked else {}
            made: dict[str, int] = {}
            for part in _parts(giver.id for each in givers.values() for giver in each):
                made |= plan_journal.creates_of(t, plan_id, part)
        self.warehouse.rest(waiting=True)
        if not givers:
            return {}
        ids = {done.number: done.id or "" for done in gave}
        now = self._now({giver.id for each in givers.values() for giver in each}, {ids[each] for each in givers}, made)
        return {number: _behind(each, now, ids[number]) for number, each in givers.items()}

    def _now(self, others: Collection[str], records: Collection[str], made: Mapping[str, int]) -> _Now:
        """Read how others are now that do not come back with this plan, and the records that got something of them."""
        asked = [id for id in others if id not in made]
        found: dict[str, Found] = {}
        for part in _parts([*asked, *records] if asked else ()):
            found |= self.target.find(self.kind, part, by=None, properties=())
        gone = [id for id in asked if id not in found or found[id].is_archived or found[id].id != id]
        restored: dict[str, str] = {}
        runs: dict[str, str] = {}
        for part in _parts(gone):
            restored |= self.merges.restored(part)
            with self.warehouse.transaction() as t:
                merges = reverted_beside.merged_by(t, self.reverted, part)
            self.warehouse.rest(waiting=True)
            runs |= {each.id: each.run for each in merges if each.run != self.reverted.run}
        return _Now(found=found, made=made, restored=restored, runs=runs)


def _behind(givers: Collection[Giver], now: _Now, id: str) -> Behind:
    live = now.found[id].id if id in now.found else None
    missing = [each for each in givers if not now.is_there(each.id, live)]
    if not missing:
        return Behind(after=tuple(sorted({now.made[each.id] for each in givers if each.id in now.made})))
    ids = sorted({each.id for each in missing}, key=lambda id: (len(id), id))
    named = ", ".join(ids[:TOLD]) + (f" and {len(ids) - TOLD:,} more" if len(ids) > TOLD else "")
    noun = "Record" if len(ids) == 1 else "Records"
    how = "merged into it or elsewhere" if missing[0].is_merged else "archived or merged after it had got this"
    runs = sorted({now.runs[id] for id in ids if id in now.runs})
    first = f" Revert run {', '.join(runs[:TOLD])} first, which merged what it is of." if runs else ""
    return Behind(why=f"{noun} {named}, {how}, would not come back: what it got stays.{first}")


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ids, each once, as many at a time as one request takes."""
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), BATCH):
        yield wanted[at : at + BATCH]
