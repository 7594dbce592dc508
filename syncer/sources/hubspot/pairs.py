"""
Which kinds can be associated with each other: those pairs that have a type of association. The others are not asked.

A pair that was possible once stays so; the others are looked at again once a day, since a portal may add labels of its
own. A pair that becomes possible, or that the token may read again, is read whole: the places of its kind have moved
on meanwhile. Source: HubSpot's guide "Associate records" ("Retrieve association types").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from syncer.errors import RequestError
from syncer.sources import Page, Place
from syncer.sources.hubspot.calls import Calls, a_list
from syncer.sources.hubspot.kinds import Kind

SCOPE = "pairs"  # of the stream of associations, beside its kinds
AGAIN_MS = 20 * 3_600_000
FORBIDDEN = 403


Pair = tuple[str, str]  # the names of two kinds, in their order


@attrs.define(kw_only=True)
class Pairs:
    """The pairs of one portal, as a place keeps them. `now` is the server's clock, in milliseconds."""

    calls: Calls
    kinds: Sequence[Kind]
    now: int
    _read: set[Pair] | None = None  # those that are read in this run
    _possible: set[Pair] = attrs.field(factory=set)  # as the place has them: read so far, all of their records
    _asked: set[Pair] = attrs.field(factory=set)
    _at: int = 0
    _is_changed: bool = False

    def look(self, place: Place | None) -> list[Pair]:
        """Find out what is possible; return the pairs that were not when *place* was written."""
        ours = set(self._all())
        self._possible = {(start, end) for start, end in (place or {}).get("possible", ())}
        self._asked = {(start, end) for start, end in (place or {}).get("asked", ())}
        if not (self._possible | self._asked) <= ours:  # a custom object that is named no more: whole once it is again
            self._possible, self._asked, self._is_changed = self._possible & ours, self._asked & ours, True
        is_due = place is None or self.now - place["at"] >= AGAIN_MS
        self._at = self.now if place is None or is_due else place["at"]
        found, forbidden, new = set(self._possible), set(), []
        names = {kind.name: kind for kind in self.kinds}
        for start, end in self._all():
            if (start, end) in self._possible or ((start, end) in self._asked and not is_due):
                continue
            is_possible = self.is_possible(names[start], names[end])
            self._is_changed = True
            if is_possible is None:
                forbidden.add((start, end))
            elif is_possible:
                new.append((start, end))
            else:
                self._asked.add((start, end))
        self._read = found | forbidden | set(new)
        if place is not None:
            return new
        for pair in new:  # nothing was read yet: all of it comes anyway
            self.settle(pair)
        return []

    def settle(self, pair: Pair) -> None:
        """Note that a pair was read, all of it."""
        self._possible.add(pair)
        self._is_changed = True

    def lose(self, pair: Pair) -> None:
        """Note that a pair could not be read: it is not asked again in this run, and read whole once it can be."""
        if self._read is not None:
            self._read.discard(pair)
        self._possible.discard(pair)
        self._asked.discard(pair)
        self._is_changed = True

    def pages(self) -> Iterator[Page]:
        """Yield the place to keep, where it is another one now."""
        if self._is_changed:
            self._is_changed = False
            possible, asked = sorted(map(list, self._possible)), sorted(map(list, self._asked))
            yield Page(scope=SCOPE, place={"at": self._at, "possible": possible, "asked": asked})

    def of(self, kind: Kind) -> list[Kind]:
        """Return the kinds at the other end of *kind*'s edges: itself, and those behind it in the order."""
        if self._read is None:
            self.look(None)
        assert self._read is not None
        others = self.kinds[[each.name for each in self.kinds].index(kind.name) :]
        return [other for other in others if (kind.name, other.name) in self._read]

    def _all(self) -> list[Pair]:
        names = [kind.name for kind in self.kinds]
        return [(start, end) for at, start in enumerate(names) for end in names[at:]]

    def is_possible(self, start: Kind, end: Kind) -> bool | None:
        """Ask for the types of a pair; None where the token may not, so that reading it says so."""
        try:
            answer = self.calls.get(self.calls.paths.associations(start.path, end.path, "labels"))
        except RequestError as error:
            if error.status == FORBIDDEN:
                return None
            if error.status in (400, 404):
                return False
            raise
        return bool(a_list(answer, "results"))
