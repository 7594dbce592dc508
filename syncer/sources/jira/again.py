"""
Issues that could not be read well by themselves: kept in the place, so that the next pull reads them first.

One issue must not stop all others, nor be forgotten once the mark has moved on. But where several in a row fail, it is
the API that does not answer, and not they.

Not here: what is asked of an issue (`bulk.py`), the pages (`issues.py`, `parts.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import attrs

from syncer.errors import SyncerError, Unavailable
from syncer.sources import Place
from syncer.sources.jira.walk import Batch

MOST = 100  # issues that a place keeps; where there are more, it does not move
MOST_IN_A_ROW = 3  # issues that may fail one after the other


class InARow:
    """How many issues in a row could not be read; safe for threads."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def went_well(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._count = 0

    def failed(self, error: Unavailable) -> None:
        """Count one more. Raises *error* where there are too many, or where it is no answer of status 5xx."""
        with self._lock:
            self._count += 1
            if self._count > MOST_IN_A_ROW or error.status < 500:
                raise error


@attrs.define
class Again:
    """The ids of issues to read again, in the order of their last try; those that failed just now not once more."""

    ids: dict[str, None]
    _failed: set[str] = attrs.field(factory=set)

    @classmethod
    def of(cls, place: Place | None) -> Again:
        """Take those that a place has."""
        return cls(dict.fromkeys(place.get("again", ())) if place else {})

    def tries(self) -> Iterator[str]:
        """Yield each to be tried once; after too many failures in a row, the others must wait for the next pull."""
        failures = 0
        for number in list(self.ids):
            yield number
            failures = failures + 1 if number in self.ids else 0
            if failures >= MOST_IN_A_ROW:
                return

    def note(self, number: str, error: SyncerError | None) -> bool:
        """Note how reading an issue went; True where it went well and was to be read again."""
        is_known = number in self.ids
        self.ids.pop(number, None)
        if error is not None:
            self.ids[number] = None
            self._failed.add(number)
        return is_known and error is None

    def untried(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Leave out of *batches* what has failed already."""
        for batch in batches:
            yield attrs.evolve(batch, ids=tuple(number for number in batch.ids if number not in self._failed))

    def put(self, place: Place) -> Place | None:
        """Return *place* with them; None where they are too many, so that it stays."""
        if len(self.ids) > MOST:
            return None
        return {**place, "again": list(self.ids)} if self.ids else place


def scope_of(number: str | int) -> str:
    """Name an issue as a scope of its own: it may fail, and then be read well again."""
    return f"issue {number}"
