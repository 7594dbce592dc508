"""
The recycle bin of one kind: records that were archived, and those that were taken out of it.

Neither moves a record's modified date, so no search tells. The list of archived records is walked in each run and
compared with the ids that stood there before: new ones are read, and those that left are asked for by id; they are
live again, or purged, which only a census settles.
Source: HubSpot's guides on objects; the list reaches about 90 days back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from syncer.sources import Place, Record
from syncer.sources.hubspot.calls import Calls
from syncer.sources.hubspot.kinds import MERGED_IDS, Kind
from syncer.sources.hubspot.places import ms_of, packed, unpacked
from syncer.sources.hubspot.walk import list_pages


@attrs.frozen(kw_only=True)
class Bin:
    """
    What stands in the bin, as a place keeps it. Times in milliseconds.

    mark: the server's clock when it was walked. ids: what stood there.
    """

    mark: int = 0
    ids: frozenset[str] = frozenset()
    perhaps: frozenset[str] = frozenset()  # ids that a sweep that was broken off, or a census, may have read there

    @classmethod
    def of(cls, place: Place | None) -> Bin:
        """Read a place; nothing where the bin was never walked."""
        if place is None:
            return cls()
        perhaps = frozenset(unpacked(place["perhaps"])) if "perhaps" in place else frozenset()
        return cls(mark=place["mark"], ids=frozenset(unpacked(place["ids"])), perhaps=perhaps)

    @property
    def place(self) -> Place:
        """The place to keep."""
        place = {"mark": self.mark, "ids": packed(self.ids)}
        return {**place, "perhaps": packed(self.perhaps)} if self.perhaps else place

    def with_perhaps(self, ids: Iterable[str]) -> Bin:
        """Return the same with ids that may be read as archived from now on."""
        return attrs.evolve(self, perhaps=self.perhaps | (frozenset(ids) - self.ids))


@attrs.define
class Sweep:
    """
    One walk of the bin. After it, `left` are the ids that stand there no more, and `bin` what is there now.

    *floor*: what was archived since then, or was written while it lay there, is new, whether it stood there before or
    not.
    """

    calls: Calls
    kind: Kind
    before: Bin
    mark: int
    floor: int
    _now: set[str] = attrs.field(factory=set)

    def new(self) -> Iterator[Sequence[Record]]:
        """Yield, page by page, what is new in the bin: id, dates and merged ids of each."""
        for page in list_pages(self.calls, self.kind, properties=[MERGED_IDS], archived=True):
            fresh = []
            for record in page.records:
                number = str(record.get("id"))
                self._now.add(number)
                times = [ms_of(record.get(name)) for name in ("archivedAt", "updatedAt")]
                if number not in self.before.ids or any(each is None or each >= self.floor for each in times):
                    fresh.append(record)
            yield fresh

    @property
    def left(self) -> list[str]:
        """The ids that stood in the bin and do not any more; known once it was walked."""
        return sorted((self.before.ids | self.before.perhaps) - self._now)

    @property
    def meanwhile(self) -> Bin:
        """What stood there before, and what this sweep may have read."""
        return self.before.with_perhaps(self._now)

    @property
    def bin(self) -> Bin:
        """What stands in the bin now."""
        return Bin(mark=self.mark, ids=frozenset(self._now))
