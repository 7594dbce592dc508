"""
Watches over a store, for tests that promise something of every moment: what is read before and after is too little.

Not here: when a moment ends (`Store`: each change of one pair or one record, within a batch too; a merge is one).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncer.sandbox.hubspot.store import Store


class Watch:
    """
    Tells which records of a kind were left without any record of another kind: `found`, (id, ms, why), in order.

    A record is bare at a moment when it is live, has no live neighbour of the other kind, and had one before: at the
    start of the watch or at any moment since, itself or a record that was merged into it. Each time a record becomes
    bare it is told once. Not counted: records that never had a neighbour (so one that is created and then linked),
    archived, purged and merged-away ones. One that is restored, and finds its neighbours gone, counts. why: the change
    that did it: "disassociate", "archive", "purge", "merge", "restore".

    It sees what stands in the store: that reads show edges late after a merge (`merge_lag_s`) makes nothing bare.
    Edges that were put into the store without its methods are not seen.
    """

    def __init__(self, store: Store, kind: str, other: str) -> None:
        """Look at what there is now; `Store.watch_bare` makes one."""
        self.kind, self.other = kind, other
        self.found: list[tuple[str, int, str]] = []
        self._store = store
        self._bare: set[str] = set()
        self._had = {id for id in store.edges.get((kind, other), {}) if self._has_one(id)}

    def look(self, touched: Iterable[tuple[str, str]], *, why: str) -> None:
        """Look at the records that a change concerned, by kind and id; the store calls this."""
        for kind, id in sorted(touched):
            if kind == self.kind:
                self._look_at(id, why)

    def stop(self) -> None:
        """Look no more; what was found stays."""
        self._store.watches.remove(self)

    def _look_at(self, id: str, why: str) -> None:
        record = self._store.records[self.kind].get(id)
        is_live = record is not None and not record.is_archived
        if is_live and self._has_one(id):
            self._had.add(id)
        elif record is not None and is_live and not self._had.isdisjoint((id, *record.merged_ids)):
            if id not in self._bare:
                self._bare.add(id)
                self.found.append((id, self._store.now_ms(), why))
            return
        self._bare.discard(id)

    def _has_one(self, id: str) -> bool:
        return bool(self._store.neighbours(self.kind, id, self.other))
