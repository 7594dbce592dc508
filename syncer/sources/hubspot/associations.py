"""
The stream `associations`: edges between the records of all kinds, each once, from the kind that comes first.

An edge may come and go without any date moving. So each run reads the edges of every record that changed within the
lookback of this stream (the *trailing window*), of those that were archived, restored or merged since then, and a
census reads all of them. What a record's answer does not hold any more is `deleted`.

A place a kind: the window as for objects, and beside it what stood in the recycle bin and what left it of late. A pair
of kinds that cannot be read is a scope that failed; once it can, it is read whole (`pairs.py`).
Not here: the requests of one batch (`edges.py`). Source: HubSpot's guide "Associate records", and on merging.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import attrs

from syncer.errors import RequestError
from syncer.sources import DELETED, LIVE, Key, Page, Place, Record, State, Whole
from syncer.sources.hubspot import walk
from syncer.sources.hubspot.archive import Bin, Sweep
from syncer.sources.hubspot.batches import merged_ids
from syncer.sources.hubspot.calls import NO_SUCH_KIND, Calls
from syncer.sources.hubspot.edges import BATCH, edges_of
from syncer.sources.hubspot.ids import Ids
from syncer.sources.hubspot.kinds import MERGED_IDS, Kind
from syncer.sources.hubspot.pairs import SCOPE, Pairs
from syncer.sources.hubspot.places import Window

KEY = ("from_type", "from_id", "to_type", "to_id", "category", "type_id")
SLICE = KEY[:3]
BIN = "archived:"  # before the kind: the scope of its recycle bin


@attrs.frozen(kw_only=True)
class Associations:
    """Reads the edges of a portal. `kinds` in their order; `now` is the server's clock, in milliseconds."""

    calls: Calls
    kinds: Sequence[Kind]
    now: int
    ids: Ids
    pairs: Pairs
    _sizes: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False)
    _last: dict[tuple[str, str, str], dict[Key, Record]] = attrs.field(factory=dict, init=False)  # of one record

    def read(self, *, places: Mapping[str, Place], lookback: timedelta) -> Iterator[Page]:
        """Yield the edges of what changed, kind by kind; a kind that the token may not read is a scope that failed."""
        kinds = {kind.name: kind for kind in self.kinds}
        new = self.pairs.look(places.get(SCOPE))
        yield from self.pairs.pages()
        for pair in new:
            if pair[0] in places:
                binned = sorted(Bin.of(places.get(BIN + pair[0])).ids)
                yield from self._all_of_pair(kinds[pair[0]], kinds[pair[1]], binned)
            else:
                self.pairs.settle(pair)  # its kind is read for the first time
        for kind in self.kinds:
            try:
                for page in self._of_kind(kind, places=places, lookback=lookback):
                    if page.error is not None:
                        yield from self.pairs.pages()
                    yield page
            except RequestError as error:
                if error.status not in NO_SUCH_KIND:
                    raise
                yield Page(scope=kind.name, error=error)
        yield from self.pairs.pages()

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every edge there is."""
        for kind in self.kinds:
            try:
                yield from self._all_of_kind(kind)
                place = places.get(BIN + kind.name) or {}
                kept = Bin.of(places.get(BIN + kind.name)).with_perhaps(self._binned(kind)).place
                yield Page(scope=BIN + kind.name, place={**place, **kept})
            except RequestError as error:
                if error.status not in NO_SUCH_KIND:
                    raise
                yield Page(scope=kind.name, error=error)

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the edges of *keys* that are there; the others are deleted."""
        by_pair: dict[tuple[str, str], dict[str, list[Key]]] = {}
        records, gone = self._kept(keys)
        if records or gone:
            yield Page(records=records, states=[State(key=key, state=DELETED) for key in gone])
        for key in keys:
            if (str(key[0]), str(key[1]), str(key[2])) in self._last:
                continue
            by_pair.setdefault((str(key[0]), str(key[2])), {}).setdefault(str(key[1]), []).append(key)
        kinds = {kind.name: kind for kind in self.kinds}
        for (start, end), by_id in by_pair.items():
            ids = list(by_id)
            if start not in kinds or end not in kinds:  # a custom object that the site names no more: its edges stay
                yield Page(states=[State(key=key, state=LIVE) for each in ids for key in by_id[each]])
                continue
            for at in range(0, len(ids), BATCH):
                part = ids[at : at + BATCH]
                for some, records in self._edges(kinds[start], kinds[end], part):
                    there = {tuple(each[column] for column in KEY) for each in records}
                    gone = [key for each in some for key in by_id[each] if key not in there]
                    yield Page(records=records, states=[State(key=key, state=DELETED) for key in gone])
                    self._remember(kinds[start], kinds[end], some[-1], records)

    def _remember(self, start: Kind, end: Kind, id: str, records: Sequence[Record]) -> None:
        """Keep the edges of one record: a census asks for those of a record with many a part at a time."""
        self._last.clear()
        own = [each for each in records if each["from_id"] == id]
        self._last[start.name, id, end.name] = {tuple(each[column] for column in KEY): each for each in own}

    def _kept(self, keys: Sequence[Key]) -> tuple[list[Record], list[Key]]:
        """Return, of *keys* that are the last asked record's, the edges that are there, and the other keys."""
        records, gone = [], []
        for key in keys:
            own = self._last.get((str(key[0]), str(key[1]), str(key[2])))
            if own is None:
                continue
            if tuple(key) in own:
                records.append(own[tuple(key)])
            else:
                gone.append(key)
        return records, gone

    def _edges(self, start: Kind, end: Kind, ids: Sequence[str]) -> Iterator[tuple[list[str], list[Record]]]:
        """Yield the edges of some records to one kind; none where the pair has no type of association any more."""
        try:
            yield from edges_of(self.calls, start, end, ids, sizes=self._sizes)
        except RequestError as error:
            if error.status not in (400, 404) or self.pairs.is_possible(start, end) is not False:
                raise
            yield list(ids), []

    def _binned(self, kind: Kind) -> Iterator[str]:
        """Yield the ids of all records that lie in the recycle bin now."""
        for page in walk.list_pages(self.calls, kind, properties=[MERGED_IDS], archived=True):
            yield from (str(record.get("id")) for record in page.records)

    def _of_kind(self, kind: Kind, *, places: Mapping[str, Place], lookback: timedelta) -> Iterator[Page]:
        place, binned = places.get(kind.name), places.get(BIN + kind.name)
        if binned is None:  # what is restored while the list is read stands in neither
            earlier = [each for ids in self.ids.batches(f"{kind.name} binned", BATCH) for each in ids]
            binned = Bin().with_perhaps([*self._binned(kind), *earlier]).place
            yield Page(scope=BIN + kind.name, place=binned)
        for window in Window.since(place, now=self.now, lookback=lookback):
            found = self._all_ids(kind, window) if window.floor is None else self._changed_ids(kind, window)
            for ids, behind in found:
                yield from self._pages(kind, ids, place=behind, mark=window.text)
            yield Page(scope=kind.name, place=window.finished, mark=window.text)
        yield from self._bin(kind, binned, lookback)

    def _all_ids(self, kind: Kind, window: Window) -> Iterator[tuple[Sequence[str], Place | None]]:
        """Yield the ids of all live records, and the place behind each batch of them."""
        if self.ids.has_all(kind.name):
            for ids in self.ids.batches(f"{kind.name} merged", BATCH):  # first: no place is behind them
                yield ids, None
            for ids in self.ids.batches(kind.name, BATCH, after=window.last):
                yield ids, window.at(ids[-1])
            return
        pages = walk.list_pages(self.calls, kind, properties=[MERGED_IDS], after=window.last)
        waiting: list[str] = []
        for page in pages:
            for record in page.records:
                waiting += [*merged_ids(record), str(record.get("id"))]
            if len(waiting) >= BATCH or page.after is None:
                yield waiting, window.at(page.after)
                waiting = []

    def _changed_ids(self, kind: Kind, window: Window) -> Iterator[tuple[Sequence[str], Place | None]]:
        """Yield the ids of what changed since the floor, and of what was merged into it, which has no edges now."""
        assert window.floor is not None
        waiting: dict[str, None] = {}
        last: str | None = None
        for page in walk.changed(self.calls, kind, floor=window.floor, last=window.last):
            for record in page:
                last = str(record["id"])
                waiting.update(dict.fromkeys([last, *merged_ids(record)]))
            if len(waiting) >= BATCH:
                yield list(waiting), window.at(last)
                waiting = {}
        if waiting:
            yield list(waiting), window.at(last)

    def _bin(self, kind: Kind, place: Place | None, lookback: timedelta) -> Iterator[Page]:
        """Yield the edges of what was archived or restored within the lookback: those of archived records end."""
        before = Bin.of(place)
        floor = self.now - lookback // timedelta(milliseconds=1)
        sweep = Sweep(self.calls, kind, before, mark=self.now, floor=min(floor, before.mark))
        touched: dict[str, None] = {}
        for fresh in sweep.new():
            for record in fresh:
                touched.update(dict.fromkeys([str(record.get("id")), *merged_ids(record)]))
        known: Mapping[str, int] = (place or {}).get("restored", {})
        restored = {number: ms for number, ms in known.items() if ms >= floor} | dict.fromkeys(sweep.left, self.now)
        touched.update(dict.fromkeys(restored))
        yield from self._pages(kind, list(touched), place=None, mark=None)
        yield Page(scope=BIN + kind.name, place={**sweep.bin.place, "restored": restored})

    def _all_of_kind(self, kind: Kind) -> Iterator[Page]:
        whole = Whole(columns=("from_type",), values=((kind.name,),), absent=DELETED, first=True, last=False)
        yield Page(scope=kind.name, whole=whole)
        failed: set[str] = set()
        for ids, _ in self._all_ids(kind, Window(mark=self.now)):
            for page in self._pages(kind, ids, place=None, mark=None):
                if page.error is not None:
                    failed.add(page.scope)
                    yield page
                else:
                    yield attrs.evolve(page, whole=attrs.evolve(whole, first=False))
        if not failed:
            yield Page(scope=kind.name, whole=attrs.evolve(whole, first=False, last=True))

    def _all_of_pair(self, start: Kind, end: Kind, binned: Sequence[str]) -> Iterator[Page]:
        """Yield the edges of a pair, those of all records; then it is settled."""
        scope = f"{start.name} to {end.name}"
        try:
            for ids, _ in itertools.chain([(binned, None)], self._all_ids(start, Window(mark=self.now))):
                for at in range(0, len(ids), BATCH):
                    yield from self._of_batch(start, end, ids[at : at + BATCH])
        except RequestError as error:
            if error.status not in NO_SUCH_KIND:
                raise
            self.pairs.lose((start.name, end.name))
            yield Page(scope=scope, error=error)
            return
        self.pairs.settle((start.name, end.name))
        yield Page(scope=scope)
        yield from self.pairs.pages()

    def _pages(self, kind: Kind, ids: Sequence[str], *, place: Place | None, mark: str | None) -> Iterator[Page]:
        """Yield the edges of some records, a page for each kind at the other end; the place comes last."""
        for at in range(0, len(ids), BATCH):
            part = list(ids[at : at + BATCH])
            for other in self.pairs.of(kind):
                try:
                    yield from self._of_batch(kind, other, part)
                except RequestError as error:
                    if error.status not in NO_SUCH_KIND:
                        raise
                    self.pairs.lose((kind.name, other.name))
                    yield Page(scope=f"{kind.name} to {other.name}", error=error)
        if place is not None:
            yield Page(scope=kind.name, place=place, mark=mark)

    def _of_batch(self, start: Kind, end: Kind, ids: Sequence[str]) -> Iterator[Page]:
        """Ask for the edges of up to a batch of records to one kind: a page, more where they are many."""
        for part, records in edges_of(self.calls, start, end, ids, sizes=self._sizes):
            values = [(start.name, each, end.name) for each in part]
            whole = Whole(columns=SLICE, values=values, absent=DELETED)
            yield Page(scope=f"{start.name} to {end.name}", records=records, whole=whole)
