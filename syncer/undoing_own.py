"""
What a record had by itself before the run that is reverted: no association of those is taken off it, under whatever id
the record at the other end has today, and the last one of a kind stays where it had one before.

A merge of two records at the other end makes one association of what the record had and of what the run made. A merge
of the record itself may bring along what the other one had. Not here: what a run copied of others
(`undoing_survivors.py`), what else is asked of an association (`undoing_edges.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from syncer import plan_journal, reverted, reverted_beside
from syncer.plan import ASSOCIATE, Edge
from syncer.reverted import Done, Reverted
from syncer.reverted_beside import Own
from syncer.target import BATCH, Found, Linked
from syncer.undoing_merges import UndoingMerges
from syncer.warehouses import Warehouse

_Linked = Mapping[str, Mapping[str, Sequence[Linked]]]  # by kind and record, as it is now


@attrs.define(kw_only=True)
class OwnNow:
    """
    What the records of a batch had by themselves. had: by the id of the journal and kind; left: the ids that merges of
    the same plan made of records; back: records that those merged away, and that come back by themselves.

    strange: what records were merged into, by live id, that may have had associations of its own. ends: what records
    are associated with once this plan is done, as far as it is made, by live id and kind.
    """

    kind: str
    had: Mapping[tuple[str, str], Own]
    left: Mapping[str, set[str]]
    back: frozenset[str]
    strange: frozenset[str]
    ends: dict[tuple[str, str], set[str]]

    def why(self, done: Done, edge: Edge, one: str, other: Found) -> str:
        """Say why the record may have had an association by itself that the run made too; empty: it had not."""
        if one in self.strange:
            return f"Its record was merged into record {one} since, which may have had it by itself: it stays."
        had = self._had(done, edge.kind)
        as_known = {edge.id or "", *(self.left.get(edge.id or "", ()) if edge.kind == self.kind else ())}
        others = {other.id, *other.merged} - as_known - self.back
        is_followed = other.id in as_known or edge.id in other.merged
        if (had.ids & others) or not (had.is_whole and is_followed or not others):
            return f"Its record may have had {other.id} by itself, which was merged since: it stays."
        return ""

    def is_last(self, done: Done, edge: Edge, one: str, other: str) -> bool:
        """Tell whether a record that had some of a kind before would be left without any."""
        return bool(self._had(done, edge.kind).ids) and not self.ends.get((one, edge.kind), set()) - {other}

    def is_taken(self, kind: str, one: str, other: str) -> None:
        """Remember that a pair ends."""
        self.ends.get((one, kind), set()).discard(other)

    def is_put_back(self, kind: str, one: str, other: str) -> None:
        """Remember that a pair comes back."""
        self.ends.setdefault((one, kind), set()).add(other)

    def _had(self, done: Done, kind: str) -> Own:
        if done.was is None:  # the run made it
            return Own(is_whole=True)
        found = self.had.get((done.was, kind), Own())
        return attrs.evolve(found, ids=found.ids - self.back) if kind == self.kind else found


@attrs.define(kw_only=True)
class UndoingOwn:
    """Reads what the records of a run had by themselves."""

    reverted: Reverted
    kind: str
    warehouse: Warehouse
    merges: UndoingMerges

    def now(self, plan_id: str, batch: Sequence[Done], records: Mapping[str, Found], linked: _Linked) -> OwnNow:
        """Return what the records of a batch had. records: the live ones, by the id of the journal."""
        ids = {each.was for each in batch if each.was}
        ends = {each.edge.id for each in batch if each.edge and each.edge.id and each.edge.kind == self.kind}
        live = {each.id for each in records.values()}
        with self.warehouse.transaction() as t:
            had = reverted_beside.own(t, self.reverted, ids)
            left = plan_journal.left_by_merges(t, self.reverted.header.plan, ids | ends)
            own_ends = {id for (_, kind), each in had.items() if kind == self.kind for id in each.ids}
            back = reverted.merged_of(t, self.reverted, own_ends)
            moving = reverted_beside.moving(t, plan_id, live)
        self.warehouse.rest(waiting=True)
        now = OwnNow(
            kind=self.kind,
            had=had,
            left=left,
            back=frozenset(back),
            strange=self._strange(batch, records, left),
            ends={(id, kind): {o.id for o in others} for kind, of in linked.items() for id, others in of.items()},
        )
        for id, changes in moving.items():
            for action, edge in changes:
                if action == ASSOCIATE and edge.id:
                    now.is_put_back(edge.kind, id, edge.id)
                elif edge.id and ends_pair(edge):
                    now.is_taken(edge.kind, id, edge.id)
        return now

    def _strange(
        self, batch: Sequence[Done], records: Mapping[str, Found], left: Mapping[str, set[str]]
    ) -> frozenset[str]:
        """Return the live ids behind which others are, that the plan did not merge, and that are not there again."""
        moved: dict[str, set[str]] = {}  # what is behind each, but for its own
        for done in batch:
            found = records.get(done.id or "")
            own = {done.was or "", done.id or "", *left.get(done.was or "", ())}
            if found is not None and found.id not in own:
                moved[found.id] = {found.id, *found.merged} - own
        if not moved:
            return frozenset()
        behind = sorted({id for ids in moved.values() for id in ids})
        known: set[str] = set()
        for at in range(0, len(behind), BATCH):
            part = behind[at : at + BATCH]
            with self.warehouse.transaction() as t:
                known |= {each.result for each in reverted_beside.merged_to(t, self.reverted, part) if _is_new(each)}
                known |= reverted_beside.of_plan(t, self.reverted, part)
            self.warehouse.rest(waiting=True)
            known |= {id for id, now in self.merges.restored(part).items() if now not in moved}
        return frozenset(id for id, others in moved.items() if others - known)


def ends_pair(edge: Edge) -> bool:
    """Tell whether a pair has no type left once an edge of it is taken away."""
    return edge.is_whole or not edge.label


def _is_new(merge: reverted_beside.Merging) -> bool:
    """Tell whether a merge left a third record, which was none before."""
    return merge.result not in (merge.id, merge.into)
