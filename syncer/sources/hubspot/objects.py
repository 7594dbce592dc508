"""
The streams of objects: companies, contacts, deals, tickets, activities, custom objects.

A first load goes by the list, later pulls by search for what changed, then by id for all its properties. Behind that
come the recycle bin, and records that have values of properties which are new to us. A record that was merged away is
told by the one that survives it.

Not here: walks (`walk.py`), batches (`batches.py`), the bin (`archive.py`), places (`places.py`).
Source: HubSpot's guides on objects, search and merging.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import attrs
from loguru import logger

from syncer.ahead import ahead
from syncer.errors import RequestError
from syncer.sources import ARCHIVED, Key, Page, Place, Record, State, Whole
from syncer.sources.hubspot import batches, walk
from syncer.sources.hubspot.archive import Bin, Sweep
from syncer.sources.hubspot.batches import Read, Wanted
from syncer.sources.hubspot.calls import Calls
from syncer.sources.hubspot.ids import Ids
from syncer.sources.hubspot.kinds import MERGED_IDS
from syncer.sources.hubspot.places import Window, packed, unpacked

BIN, PROPERTIES, UNREAD = "archived", "properties", "unread properties"  # scopes beside that of the records, ""


@attrs.frozen(kw_only=True)
class Known:
    """A property that the portal defines now, and when it came to be, in milliseconds; None: not told."""

    name: str
    created: int | None = None


@attrs.frozen(kw_only=True)
class Objects:
    """
    Reads one kind. `now` is the server's clock at the start, in milliseconds; `known` what the portal defines; `ids`
    keeps the ids that a list gave, for the associations of the same verb.
    """

    calls: Calls
    wanted: Wanted
    known: Sequence[Known]
    now: int
    ids: Ids | None = None
    _away: set[str] = attrs.field(factory=set, init=False)  # met, and given by no batch: archived, perhaps just now

    def read(self, *, places: Mapping[str, Place], lookback: timedelta) -> Iterator[Page]:
        """Yield what is new since *places*."""
        place = places.get("")
        names = {*(each.name for each in self.known), *map(_history, self.wanted.histories)}
        told = unpacked(places[PROPERTIES]["names"]) if PROPERTIES in places else names
        if PROPERTIES not in places or not told <= names:  # from here on rows are read without those that went
            yield Page(scope=PROPERTIES, place={"names": packed(told & names)})
        binned = places.get(BIN)
        if binned is None:  # what is restored while the list is read stands in neither
            pages = walk.list_pages(self.calls, self.wanted.kind, properties=[MERGED_IDS], archived=True)
            found = [str(each.get("id")) for page in pages for each in page.records]
            if self.ids is not None:
                self.ids.begin(f"{self.wanted.kind.name} binned", is_whole=True)
                self.ids.add(f"{self.wanted.kind.name} binned", found)
            binned = Bin().with_perhaps(found).place
            yield Page(scope=BIN, place=binned)
        since = place["mark"] - lookback // timedelta(milliseconds=1) if place is not None else None
        reappeared = self._reappeared(places.get(PROPERTIES), since)
        for window in Window.since(place, now=self.now, lookback=lookback):
            yield from self._listed(window) if window.floor is None else self._changed(window)
        failed: dict[str, RequestError] = {}
        for name in reappeared:
            yield from self._with_property(name, failed)
        yield self._unread(failed)
        binned = Bin.of(binned).with_perhaps(self._away).place
        yield from self._bin(binned, lookback, is_all=len(failed) < len(reappeared))
        names -= {each for name in failed for each in (name, _history(name))}
        if told != names:
            yield Page(scope=PROPERTIES, place={"names": packed(names)})

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every id there is, live and archived, with its version and what was merged into it."""
        names = [MERGED_IDS]
        is_first = True
        binned: set[str] = set()
        for archived in (False, True):
            for page in walk.list_pages(self.calls, self.wanted.kind, properties=names, archived=archived):
                states = batches.states_of(page.records)
                yield Page(records=page.records, states=states, whole=Whole(first=is_first, last=False))
                binned.update(str(each.get("id")) for each in page.records if archived)
                is_first = False
        yield Page(whole=Whole(first=is_first))
        if binned:  # the census makes rows archived: the next sweep asks for those that were restored since
            yield Page(scope=BIN, place=Bin.of(places.get(BIN)).with_perhaps(binned).place)

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield what there is for *keys*: records, live or archived, or what they were merged into."""
        ids = [str(key[0]) for key in keys]
        missing: list[str] = []
        for read in batches.read_all(self.calls, self.wanted, ids):
            missing += read.missing
            yield self._page(read.records, read.states)
        still: list[str] = []
        for read in batches.read_all(self.calls, self.wanted, missing, archived=True):
            still += read.missing
            yield self._archived(read)
        for number in still:  # merged away: into a record that is live, or archived
            for archived in (False, True):
                record, state = batches.one(self.calls, self.wanted, number, archived=archived)
                if record is not None or state is not None:
                    found = Read(ids=[number], records=[record] if record else [], states=[state] if state else [])
                    yield self._archived(found) if archived else self._page(found.records, found.states)
                    break

    def _listed(self, window: Window) -> Iterator[Page]:
        """Yield all live records, by id."""
        wanted = self.wanted
        is_direct = walk.fits_url(wanted.properties, wanted.histories)
        if self.ids is not None:
            for name in (wanted.kind.name, f"{wanted.kind.name} merged"):
                self.ids.begin(name, is_whole=window.last is None)
        pages = walk.list_pages(
            self.calls,
            wanted.kind,
            properties=wanted.properties if is_direct else [MERGED_IDS],
            histories=wanted.histories if is_direct else (),
            after=window.last,
        )
        for page in pages:
            if self.ids is not None:
                self.ids.add(wanted.kind.name, [str(record.get("id")) for record in page.records])
                merged = [old for record in page.records for old in batches.merged_ids(record)]
                self.ids.add(f"{wanted.kind.name} merged", merged)
            records, states = page.records, list[State]()
            if not is_direct:  # the names of all properties are longer than a URL may be: read them by id
                numbers = [str(record.get("id")) for record in page.records]
                reads = list(batches.read_all(self.calls, wanted, numbers))
                self._away.update(each for read in reads for each in read.missing)
                records = [record for read in reads for record in read.records]
                states = [state for read in reads for state in read.states]
            yield self._page(records, states, place=window.at(page.after), mark=window.text)
        if self.ids is not None:
            self.ids.end(wanted.kind.name)
        yield Page(place=window.finished, mark=window.text)

    def _changed(self, window: Window) -> Iterator[Page]:
        """Yield what changed since the floor of *window*."""
        assert window.floor is not None
        found = walk.changed(self.calls, self.wanted.kind, floor=window.floor, last=window.last)
        parts = (
            numbers[at : at + self.wanted.batch]
            for numbers in ([str(record["id"]) for record in page] for page in found)
            for at in range(0, len(numbers), self.wanted.batch)
        )
        reading = ahead(lambda part: batches.read(self.calls, self.wanted, part), parts, workers=self.calls.workers)
        for read in reading:
            self._away.update(read.missing)
            yield self._page(read.records, read.states, place=window.at(read.ids[-1]), mark=window.text)
        yield Page(place=window.finished, mark=window.text)

    def _reappeared(self, place: Place | None, since: int | None) -> list[str]:
        """
        Return the properties that are new to us though they are older than the last pull: they were archived, or
        hidden from the token, and no date of a record tells that their values are back.
        """
        if place is None:
            return []
        before = unpacked(place["names"])
        new = [each for each in self.known if each.name not in before]
        back = [each.name for each in new if since is None or each.created is None or each.created < since]
        return list(dict.fromkeys([*back, *(name for name in self.wanted.histories if _history(name) not in before)]))

    def _with_property(self, name: str, failed: dict[str, RequestError]) -> Iterator[Page]:
        """Yield the live records that have a value of a property; it *failed* where no search can tell."""
        only = {"propertyName": name, "operator": "HAS_PROPERTY"}
        try:
            for page in walk.searched(self.calls, self.wanted.kind, only=only):
                numbers = [str(record["id"]) for record in page]
                for read in batches.read_all(self.calls, self.wanted, numbers):
                    self._away.update(read.missing)
                    yield self._page(read.records, read.states)
        except RequestError as error:
            if error.status != 400:
                raise
            logger.warning("{}: property {} cannot be searched for; --full reads it", self.wanted.kind.name, name)
            failed[name] = error

    @staticmethod
    def _unread(failed: Mapping[str, RequestError]) -> Page:
        """Tell which properties have values that could not be searched for; a page without an error: none."""
        if not failed:
            return Page(scope=UNREAD)
        names, why = ", ".join(sorted(failed)), next(iter(failed.values()))
        told = f"Records with values of {names} are not read again: a search for them fails. --full reads them. {why}"
        return Page(scope=UNREAD, error=RequestError(told, status=why.status))

    def _bin(self, place: Place | None, lookback: timedelta, *, is_all: bool) -> Iterator[Page]:
        """Yield what was archived, and what was restored; *is_all*: all that lies there, which no search finds."""
        before = Bin.of(place)
        back = lookback // timedelta(milliseconds=1)
        floor = 0 if is_all else before.mark - back
        sweep = Sweep(self.calls, self.wanted.kind, before, mark=self.now, floor=floor)
        for fresh in sweep.new():
            numbers = [str(record.get("id")) for record in fresh]
            if numbers:
                yield Page(scope=BIN, place=sweep.meanwhile.place)
            for read in batches.read_all(self.calls, self.wanted, numbers, archived=True):
                yield self._archived(read)
        for read in batches.read_all(self.calls, self.wanted, sweep.left):
            yield self._page(read.records, read.states)
        if place is None or sweep.bin.ids != before.ids or before.perhaps or sweep.bin.mark != before.mark:
            yield Page(scope=BIN, place=sweep.bin.place)

    @staticmethod
    def _page(
        records: Sequence[Record],
        states: Sequence[State] = (),
        *,
        place: Place | None = None,
        mark: str | None = None,
    ) -> Page:
        return Page(records=records, states=[*states, *batches.merged_into(records)], place=place, mark=mark)

    @staticmethod
    def _archived(read: Read) -> Page:
        states = [State(key=(str(record.get("id")),), state=ARCHIVED) for record in read.records]
        return Page(
            scope=BIN, records=read.records, states=[*states, *read.states, *batches.merged_into(read.records)]
        )


def _history(name: str) -> str:
    """Return how a history stands among the names of what was read; no property's name has a slash."""
    return f"{name}/history"
