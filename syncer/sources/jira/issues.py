"""
The stream `issues`: what changed since the mark, by id, settled before it leaves: rich text as text beside its JSON,
the moment it first went in progress, nothing of the reader's own.

Not here: how changed issues are found (`walk.py`) and fetched (`bulk.py`), the columns (`mappings/jira.py`).
Source: Jira Cloud REST API v3, "Issues", "Issue search". Statuses are renamed and translated, so that only a status's
category tells what it means.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from syncer.ahead import ahead
from syncer.errors import Unavailable
from syncer.sources import GONE, Key, Page, Place, Record, State, Whole
from syncer.sources.jira import adf, bulk, definitions
from syncer.sources.jira.again import Again, InARow, scope_of
from syncer.sources.jira.calls import Calls, iso_of, ms_of
from syncer.sources.jira.definitions import IN_PROGRESS, Definitions
from syncer.sources.jira.walk import BATCH, Batch, Once, Walk, Window, ask_again

ALL_FIELDS = ("*all", "-comment", "-worklog", "-lastViewed")
NAMED_IN_PROGRESS = "In Progress"  # the name that many sites look for; people rename and translate it
NEVER = (
    "comment",
    "worklog",
    "lastViewed",
)  # streams of their own; and the reader's own, which changes with each look
KEYS_A_PAGE = 1_000


@attrs.frozen(kw_only=True)
class _Fetched:
    """The issues of a batch: those that came, those that are gone, and why others did not come."""

    batch: Batch
    records: Sequence[Record] = ()
    vanished: Sequence[str] = ()
    failed: Mapping[str, Unavailable] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Issues:
    """
    Reads issues.

    project_keys: the keys of live projects, by id.
    ended_projects: the states of projects that are archived or in the trash, by id.
    zone: the time zone in which this user is told times.
    shares_histories: another stream of the verb reads all changelog entries of the same issues; so we do, too.
    """

    calls: Calls
    once: Once
    definitions: Definitions
    categories: Mapping[str, str]
    project_keys: Callable[[], Mapping[str, str]] = dict
    ended_projects: Callable[[], Mapping[str, str]] = dict
    zone: str = ""
    shares_histories: bool = False

    def read(self, windows: Iterable[Window], *, place: Place | None) -> Iterator[Page]:
        """
        Yield what changed in *windows*, and the place behind it.

        Before that: issues that could not be read last time, as *place* tells, and all issues of projects that have
        another key now, which changes theirs and not their `updated`.
        """
        again = Again.of(place)
        keys = dict(self.project_keys())
        known: Mapping[str, str] = (place or {}).get("keys", keys)
        for number in again.tries():
            fetched = self._fetched(_batch([number]), row=InARow(), is_shared=False)
            yield from self._pages(fetched, again)
        renamed = [number for number, key in keys.items() if known.get(number, key) != key]
        for fetched in self._read(self._walk_of(renamed), is_shared=False) if renamed else ():
            yield from self._pages(fetched, again)
        for window in windows:
            batches = Walk(self.calls, window, once=self.once).batches()
            is_shared = self.shares_histories and window.floor is not None
            for fetched in self._read(again.untried(batches), is_shared=is_shared):
                behind = {**fetched.batch.place, "keys": known}
                yield from self._pages(fetched, again, place=behind, mark=window.text)
            known = {**known, **keys}
            yield Page(place=again.put({**window.finished, "keys": known}), mark=window.text)

    def _walk_of(self, projects: Sequence[str]) -> Iterator[Batch]:
        """Walk all issues of *projects*."""
        only = f"project in ({', '.join(projects)})"
        return Walk(self.calls, Window(mark=0), once=ask_again, only=only).batches()

    def _read(self, batches: Iterable[Batch], *, is_shared: bool) -> Iterator[_Fetched]:
        row = InARow()
        return ahead(
            lambda batch: self._fetched(batch, row=row, is_shared=is_shared), batches, workers=self.calls.workers
        )

    def _pages(
        self, fetched: _Fetched, again: Again, *, place: Place | None = None, mark: str | None = None
    ) -> Iterator[Page]:
        """
        Yield the issues of a batch; one that failed, now or before, as a scope of its own. The place comes last.
        """
        records = [*fetched.batch.odd]
        for record in fetched.records:
            number = str(record.get("id"))
            if again.note(number, None):
                yield Page(scope=scope_of(number), records=[record])
            else:
                records.append(record)
        for number in fetched.vanished:
            if again.note(number, None):  # its reject goes with it
                yield Page(scope=scope_of(number))
        for number, error in fetched.failed.items():
            again.note(number, error)
            yield Page(scope=scope_of(number), error=error)
        states = [State(key=(int(number),), state=GONE) for number in fetched.vanished]
        behind = again.put(place) if place is not None else None
        yield Page(place=behind, mark=mark, records=records, states=states)

    def keys(self, now: int) -> Iterator[Page]:
        """Yield id and version of every issue."""
        walk = Walk(self.calls, Window(mark=now), once=self.once, fields=("created", "updated"))
        is_first = True
        for batch in walk.batches(KEYS_A_PAGE):
            yield Page(records=[*batch.entries, *batch.odd], whole=Whole(first=is_first, last=False))
            is_first = False
        yield Page(whole=Whole(first=is_first))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the issues of *keys* that are there."""
        ids = [str(key[0]) for key in keys]
        batches = [_batch(ids[at : at + BATCH]) for at in range(0, len(ids), BATCH)]
        fetching = ahead(
            lambda batch: self._fetched(batch, row=None, is_shared=False), batches, workers=self.calls.workers
        )
        for fetched in fetching:
            yield Page(records=fetched.records, states=self._states(fetched.records))

    def _states(self, records: Sequence[Record]) -> list[State]:
        """Return the states of issues that can still be read though their project is archived, or in the trash."""
        states = []
        for record in records:
            project = record["fields"].get("project")
            state = self.ended_projects().get(str(project.get("id"))) if isinstance(project, dict) else None
            if state is not None and str(record.get("id")).isdigit():
                states.append(State(key=(int(record["id"]),), state=state))
        return states

    def _fetched(self, batch: Batch, *, row: InARow | None, is_shared: bool) -> _Fetched:
        """Fetch the issues of a batch, settled."""
        if not batch.ids:
            return _Fetched(batch=batch)
        found = bulk.issues(self.calls, batch.ids, fields=ALL_FIELDS, row=row)
        histories = bulk.changelogs(
            self.calls, batch.ids, only=() if is_shared else ("status",), once=self.once if is_shared else ask_again
        )
        for record in found.found:
            self.settle(record, histories.get(str(record.get("id")), ()))
        return _Fetched(batch=batch, records=found.found, vanished=found.vanished, failed=found.failed)

    def settle(self, record: Record, histories: Sequence[Record]) -> None:
        """Put into *record*, as the API gave it, what only its format explains; take out what is not to be kept."""
        fields = record["fields"]
        for name in NEVER:
            fields.pop(name, None)
        for name in self.definitions.rich_text:
            if name in fields:
                fields[f"{name}_text"] = adf.plain_text(fields[name])
        for name in self.definitions.json:
            if fields.get(name):
                fields[name] = definitions.cleaned(fields[name])
        record["first_in_progress"] = self.first_in_progress(record, histories)
        record["named_in_progress"] = self.named_in_progress(record, histories)

    def first_in_progress(self, record: Record, histories: Sequence[Record]) -> str | None:
        """
        Return when an issue first had a status of the category "in progress", as ISO text; None: never.

        An issue that was created in such a status, as its earliest change tells, or as it still is without any change
        of status, was in progress since its creation.
        """
        changes = sorted(_status_changes(histories), key=lambda change: change[0])
        fields = record["fields"]
        is_since_creation = _category(fields.get("status")) == IN_PROGRESS
        if changes:
            is_since_creation = self._is_in_progress(changes[0][1])
        if is_since_creation:
            created = fields.get("created")
            return created if isinstance(created, str) else None
        return next((iso_of(at) for at, _, to in changes if self._is_in_progress(to)), None)

    def named_in_progress(self, record: Record, histories: Sequence[Record]) -> str | None:
        """
        Return when an issue was first moved to a status that is called "In Progress", written as Jira writes the times
        of the issue itself; None: never.
        """
        times = [at for at, _, to in _status_changes(histories, by="toString") if to == NAMED_IN_PROGRESS]
        return _written(min(times), self.zone, like=record["fields"].get("created")) if times else None

    def _is_in_progress(self, status: object) -> bool:
        return self.categories.get(str(status)) == IN_PROGRESS


def _batch(ids: Sequence[str]) -> Batch:
    """Make a batch of issues that no walk has met."""
    return Batch(ids=tuple(ids), place={})


def _status_changes(histories: Sequence[Record], *, by: str = "to") -> Iterator[tuple[int, object, object]]:
    """Yield the changes of status: when, from which, to which; *by* says whether that is its id or its name."""
    for history in histories:
        at = ms_of(history.get("created"))
        for item in history.get("items") or ():
            if at is not None and isinstance(item, dict) and item.get("fieldId") == "status":
                yield at, item.get("from"), item.get(by)


def _written(ms: int, zone: str, *, like: object) -> str:
    """Write a time in *zone*; where this machine does not know it (Windows), with the offset of the time *like*."""
    try:
        where: dt.tzinfo | None = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        try:
            where = dt.datetime.fromisoformat(str(like)).tzinfo
        except ValueError:
            where = None
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=ms)
    return moment.astimezone(where or dt.UTC).isoformat(timespec="milliseconds")


def _category(status: object) -> object:
    category = status.get("statusCategory") if isinstance(status, dict) else None
    return category.get("key") if isinstance(category, dict) else None
