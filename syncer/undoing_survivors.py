"""
What a record got before others went into it, or were archived after it: put back only once those are there again.

Taken off while they are nowhere, it would be lost: with no property by which a new record is made exactly once, with a
create that is rejected, with an archived record that only the UI restores. Which of a run's changes that concerns is
asked of its journal. Not here: making records anew (`undoing_merges.py`), what is put back of the others
(`undoing.py`, `undoing_edges.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from syncer import plan, plan_journal, reverted
from syncer.reverted import Done, Reverted, Went
from syncer.target import BATCH, Target
from syncer.undoing_merges import UndoingMerges
from syncer.warehouses import Warehouse

TOLD = 3  # records that one reason names


@attrs.frozen
class Behind:
    """After which creates of the plan something is taken off a record, by number; why it stays instead, if it does."""

    after: tuple[int, ...] = ()
    why: str = ""


@attrs.define(kw_only=True)
class UndoingSurvivors:
    """Tells what may be taken off the records that others went into."""

    reverted: Reverted
    kind: str
    target: Target
    warehouse: Warehouse
    merges: UndoingMerges
    _is_asked: bool | None = attrs.field(default=None, init=False)

    def behind(self, plan_id: str, batch: Sequence[Done]) -> dict[int, Behind]:
        """Return what the undoing of changes waits for, by number; of those after which nothing went: nothing."""
        gave = [done for done in batch if done.action in (plan.UPDATE, plan.ASSOCIATE) and done.was]
        if not gave:
            return {}
        with self.warehouse.transaction() as t:
            if self._is_asked is None:
                self._is_asked = reverted.has_gone(t, self.reverted)
            gone = reverted.gone_after(t, self.reverted, gave) if self._is_asked else {}
            ids = {went.id for each in gone.values() for went in each}
            made: dict[str, int] = {}
            for part in _parts(ids):
                made |= plan_journal.creates_of(t, plan_id, part)
        self.warehouse.rest(waiting=True)
        if not gone:
            return {}
        back = self._back({went for each in gone.values() for went in each if went.id not in made})
        return {number: self._of(went, made, back) for number, went in gone.items()}

    def _back(self, gone: Collection[Went]) -> set[Went]:
        """Return which records are there again: made by an earlier revert, or restored in the UI."""
        found: set[Went] = set()
        for part in _parts(each.id for each in gone if each.is_merged):
            found |= {Went(id, True) for id in self.merges.restored(part)}
        for part in _parts(each.id for each in gone if not each.is_merged):
            records = self.target.find(self.kind, part, by=None, properties=())
            found |= {Went(id, False) for id, each in records.items() if not each.is_archived and each.id == id}
        return found

    def _of(self, gone: Collection[Went], made: Mapping[str, int], back: Collection[Went]) -> Behind:
        missing = [each for each in gone if each.id not in made and each not in back]
        if not missing:
            return Behind(after=tuple(sorted({made[each.id] for each in gone if each.id in made})))
        ids = sorted({each.id for each in missing}, key=lambda id: (len(id), id))
        named = ", ".join(ids[:TOLD]) + (f" and {len(ids) - TOLD:,} more" if len(ids) > TOLD else "")
        noun = "Record" if len(ids) == 1 else "Records"
        how = "merged into it" if missing[0].is_merged else "archived after it had got this"
        return Behind(why=f"{noun} {named}, {how}, would not come back: what it got stays.")


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ids, each once, as many at a time as one request takes."""
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), BATCH):
        yield wanted[at : at + BATCH]
