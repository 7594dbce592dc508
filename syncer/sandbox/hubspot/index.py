"""
What search knows: each record as it was `index_lag_s` ago, and the sorted answers that follow its changes.

A change of any kind (created, written, archived, restored, merged, purged) is seen when it is older than the lag.
An answer to one filter and sort is computed once and then kept up to date, so that a walk of hundreds of pages through
a large portal, while people edit it, costs one scan. Not here: what filters mean (`filters`), the route (`search`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import attrs

from syncer.sandbox.hubspot.model import PortalRecord
from syncer.sandbox.hubspot.store import Store

KEPT = 12  # so many answers are kept, the last used ones


@attrs.frozen
class Seen:
    """A record as the index has it. The store makes a new dict at each write, so this one stays as it is."""

    id: str
    properties: dict[str, str | None]
    created_ms: int
    updated_ms: int

    @classmethod
    def of(cls, record: PortalRecord | None) -> Seen | None:
        """See a record now; None where search does not find it."""
        if record is None or record.is_archived:
            return None
        return cls(record.id, record.properties, record.created_ms, record.updated_ms)


Test = Callable[[Seen], bool]
Key = Callable[[Seen], Any]  # the same records have the same keys; keys of one answer can be compared


class Answer:
    """The records that pass a test, in order; it follows the index."""

    def __init__(self, test: Test, key: Key, seen: dict[str, Seen]) -> None:
        """Scan *seen* once."""
        self._test, self._key = test, key
        found = [(key(each), int(each.id)) for each in seen.values() if test(each)]
        found.sort()
        self._rows = found
        self._keys = {number: sort for sort, number in found}

    def change(self, id: str, seen: Seen | None) -> None:
        """Put one record in its new place, or out."""
        number = int(id)
        if number in self._keys:
            at = bisect_left(self._rows, (self._keys.pop(number), number))
            del self._rows[at]
        if seen is not None and self._test(seen):
            sort = self._key(seen)
            insort(self._rows, (sort, number))
            self._keys[number] = sort

    def page(self, start: int, limit: int, *, behind: int | None = None) -> tuple[int, list[str]]:
        """Return the total and ids from *start* on; *behind*: only ids greater than it, for answers sorted by id."""
        first = 0 if behind is None else bisect_right(self._rows, (behind, behind))
        rows = self._rows[first + start : first + start + limit]
        return len(self._rows) - first, [str(number) for _, number in rows]


class Index:
    """The lagging view of one portal."""

    def __init__(self, store: Store) -> None:
        """Follow *store*; what is in it is seen at once."""
        self._store = store
        self._seen: dict[str, dict[str, Seen]] = {}
        self._waiting: deque[tuple[int, str, str, Seen | None]] = deque()  # when it changed, kind, id, as it is then
        self._answers: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        store.on_change.append(self._changed)
        self.reset()

    def reset(self) -> None:
        """See everything as it is now: records were put into the store without telling."""
        self._waiting.clear()
        self._answers.clear()
        self._seen = {
            kind: {id: seen for id, record in records.items() if (seen := Seen.of(record)) is not None}
            for kind, records in self._store.records.items()
        }

    def catch_up(self, lag_s: float) -> None:
        """See what changed *lag_s* ago or earlier."""
        due = self._store.now_ms() - int(lag_s * 1000)
        while self._waiting and self._waiting[0][0] <= due:
            _, kind, id, seen = self._waiting.popleft()
            known = self._seen.setdefault(kind, {})
            if seen is None:
                known.pop(id, None)
            else:
                known[id] = seen
            for (answered, _), answer in self._answers.items():
                if answered == kind:
                    answer.change(id, seen)

    def get(self, kind: str, id: str) -> Seen:
        """Return one record as it is seen."""
        return self._seen[kind][id]

    def answer(self, kind: str, text: str | None, test: Test, key: Key) -> Answer:
        """Return the answer that *text* (filters, query, sort) names; scan where it is new. None: it is not kept."""
        if text is None:
            return Answer(test, key, self._seen.get(kind, {}))
        found = self._answers.get((kind, text))
        if found is None:
            found = Answer(test, key, self._seen.get(kind, {}))
            self._answers[kind, text] = found
            if len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        self._answers.move_to_end((kind, text))
        return found

    def _changed(self, kind: str, id: str) -> None:
        self._waiting.append((self._store.now_ms(), kind, id, Seen.of(self._store.records[kind].get(id))))
