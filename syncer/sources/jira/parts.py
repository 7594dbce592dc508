"""
The streams `comments` and `changelogs`: what hangs on issues, read issue by issue, each issue's records whole.

Both walk the issues that changed; what an issue has is a slice, so what is not in it any more is gone. A part's own id
does not say which issue it is of: a walk of all notes it, in a temporary file, so that parts can be fetched by key.

Not here: the records as the API gives them (`bulk.py`).
Source: Jira Cloud REST API v3, "Issue comments", "Bulk fetch changelogs"; comments embedded in an issue are its first
few, `total` tells how many there are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import attrs

from syncer.ahead import ahead
from syncer.errors import AnswerError, SyncerError, Unavailable
from syncer.sources import LIVE, Key, Page, Place, State, Whole
from syncer.sources.jira import adf, bulk
from syncer.sources.jira.again import Again, InARow, scope_of
from syncer.sources.jira.bulk import Slice
from syncer.sources.jira.calls import Calls, iso_of
from syncer.sources.jira.offsets import Listed
from syncer.sources.jira.walk import BATCH, Batch, Once, Walk, Window, ask_again

RECORDS_A_PAGE = 500


class Part(Protocol):
    """What hangs on issues."""

    def of(self, ids: Sequence[str], *, row: InARow, is_shared: bool) -> list[Slice]:
        """
        Return the slices of issues; an issue that is gone, or tells nothing, has none.

        Raises: Unavailable, where it is more than a few issues in a *row*.
        """

    def there(self, ids: Sequence[str]) -> Sequence[str]:
        """Return those of *ids* that are there, though their issue does not tell all of its parts."""


@attrs.frozen(kw_only=True)
class Comments:
    """The comments of issues."""

    calls: Calls

    def of(self, ids: Sequence[str], *, row: InARow, is_shared: bool = False) -> list[Slice]:
        """Return the comments of issues; those that are not all embedded are paged."""
        fetched = bulk.issues(self.calls, ids, fields=("comment",), row=row)
        slices = [_failed(number, error) for number, error in fetched.failed.items()]
        for record in fetched.found:
            each = self._slice(str(record.get("id")), record["fields"].get("comment"), row)
            slices += [each] if each is not None else []
        return slices

    def there(self, ids: Sequence[str]) -> Sequence[str]:
        """Return those of *ids* that Jira gives by their ids."""
        return bulk.comments_there(self.calls, ids)

    def _slice(self, number: str, embedded: object, row: InARow) -> Slice | None:
        embedded_whole = _embedded(embedded)
        found: Listed | None = embedded_whole
        if found is None:
            try:
                found = bulk.comments(self.calls, number)
            except Unavailable as failure:
                row.failed(failure)
                return _failed(number, failure)
            row.went_well()
        if found is None:
            return None
        error: SyncerError | None = None
        if not found.is_whole:
            error = AnswerError(
                f"GET /issue/{number}/comment: {len(found.records)} comments came of {found.total}; none was ended.",
                hint="If it stays so, look at the issue's comments: one of them may not be shown to this user.",
            )
        texts = ((record, adf.plain_text(record.get("body"))) for record in found.records)
        records = tuple({**record, "issue_id": number, "body_text": text} for record, text in texts)
        return Slice(issue=int(number), records=records, error=error, is_apart=embedded_whole is None)


def _failed(number: str, error: SyncerError) -> Slice:
    """Make the slice of an issue of which nothing came."""
    return Slice(issue=int(number), records=(), error=error, is_apart=True)


def _embedded(found: object) -> Listed | None:
    """Return the comments that came with the issue; None where they are not all, or not as they should be."""
    comments = found.get("comments") if isinstance(found, dict) else None
    total = found.get("total") if isinstance(found, dict) else None
    if not isinstance(comments, list) or len(comments) != total:
        return None
    is_whole = all(isinstance(comment, dict) for comment in comments)
    return Listed(records=comments, total=total, is_whole=True) if is_whole else None


@attrs.frozen(kw_only=True)
class Changelogs:
    """The changelog entries of issues."""

    calls: Calls
    once: Once

    def of(self, ids: Sequence[str], *, row: InARow, is_shared: bool = False) -> list[Slice]:
        """Return the entries of issues; an issue without any, or hidden, has no slice: its rows stay."""
        found = bulk.changelogs(self.calls, ids, once=self.once if is_shared else ask_again)
        return bulk.sliced(found)

    def there(self, ids: Sequence[str]) -> Sequence[str]:
        """Return none: an issue's entries come whole, or not at all."""
        return ()


class Homes:
    """Which issue a part is of, by its id: in a file without a name, which ends with the process."""

    def __init__(self) -> None:
        self.is_complete = False
        self.is_lacking = False  # an issue did not tell all of its parts
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE homes (id INTEGER PRIMARY KEY, issue INTEGER)")

    def add(self, slices: Sequence[Slice]) -> None:
        """Note the records of *slices*."""
        self.is_lacking = self.is_lacking or any(each.error is not None for each in slices)
        rows = [(int(record["id"]), each.issue) for each in slices for record in each.records if _has_id(record)]
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR REPLACE INTO homes VALUES (?, ?)", rows)
        self._file.execute("COMMIT")

    def of(self, ids: Sequence[int]) -> list[str]:
        """Return the ids of the issues that *ids* are of, each once."""
        found: dict[int, None] = {}
        for number in ids:
            row = self._file.execute("SELECT issue FROM homes WHERE id = ?", [number]).fetchone()
            if row is not None:
                found[row[0]] = None
        return [str(issue) for issue in sorted(found)]

    def close(self) -> None:
        """End the file."""
        self._file.close()


@attrs.frozen(kw_only=True)
class Parts:
    """Reads one kind of part, whatever it is."""

    calls: Calls
    once: Once
    part: Part
    homes: Homes
    shares: bool = False  # another stream of the verb reads the same answers

    def read(self, windows: Iterable[Window], *, place: Place | None) -> Iterator[Page]:
        """
        Yield the parts of issues that changed in *windows*, and the place behind them.

        Issues that were not read well last time, as *place* tells, come first.
        """
        again = Again.of(place)
        for number in again.tries():
            slices = self.part.of([number], row=InARow(), is_shared=False)
            if not slices:  # the issue is gone, and its reject with it
                again.note(number, None)
                yield Page(scope=scope_of(number))
            yield from _pages(_noted(slices, again))
        for window in windows:
            batches = Walk(self.calls, window, once=self.once).batches()
            is_shared = self.shares and window.floor is not None
            for batch, slices in self._sliced(again.untried(batches), is_shared=is_shared):
                noted = _noted(slices, again)
                yield from _pages(noted, place=again.put(batch.place), mark=window.text)
            yield Page(place=again.put(window.finished), mark=window.text)

    def keys(self, now: int, *, place: Place | None) -> Iterator[Page]:
        """
        Yield every part that there is.

        An issue that does not tell all of its parts fails as a scope of its own: `fetch` ends none of them that is
        there. The next pull reads it again; so *place*, which is where that begins, comes back with it.
        """
        again = Again.of(place)
        is_first, is_news = True, False
        for slices in self._everything(now):
            yield Page(
                records=[record for each in slices for record in each.records], whole=Whole(first=is_first, last=False)
            )
            is_first = False
            for each in slices:
                if each.error is not None:
                    is_news = True
                    again.note(str(each.issue), each.error)
                    yield Page(scope=scope_of(each.issue), error=each.error)
        yield Page(whole=Whole(first=is_first))
        if place is not None and is_news:
            yield Page(place=again.put(place), mark=iso_of(place["mark"]))

    def fetch(self, keys: Sequence[Key], now: int) -> Iterator[Page]:
        """Yield the parts of *keys* that are there; where no walk has noted yet which issue each is of, walk first."""
        if not self.homes.is_complete:
            for _ in self._everything(now):
                pass
        wanted = dict.fromkeys(str(key[0]) for key in keys)
        issues = self.homes.of([int(key[0]) for key in keys])
        batches = (Batch(ids=tuple(issues[at : at + BATCH]), place={}) for at in range(0, len(issues), BATCH))
        is_lacking = self.homes.is_lacking
        for _, slices in self._sliced(batches, is_shared=False):
            is_lacking = is_lacking or any(each.error is not None for each in slices)
            records = [record for each in slices for record in each.records if str(record.get("id")) in wanted]
            for record in records:
                wanted.pop(str(record["id"]), None)
            yield Page(records=records)
        if is_lacking and wanted:
            yield Page(states=[State(key=(int(number),), state=LIVE) for number in self.part.there(list(wanted))])

    def _everything(self, now: int) -> Iterator[list[Slice]]:
        """Walk the parts of all issues, and note which issue each is of."""
        for _, slices in self._sliced(Walk(self.calls, Window(mark=now), once=self.once).batches(), is_shared=False):
            self.homes.add(slices)
            yield slices
        self.homes.is_complete = True

    def _sliced(self, batches: Iterator[Batch], *, is_shared: bool) -> Iterator[tuple[Batch, list[Slice]]]:
        row = InARow()

        def fetched(batch: Batch) -> tuple[Batch, list[Slice]]:
            return batch, self.part.of(batch.ids, row=row, is_shared=is_shared) if batch.ids else []

        return ahead(fetched, batches, workers=self.calls.workers)


def _noted(slices: Sequence[Slice], again: Again) -> list[Slice]:
    """Note how it went; what is read well after it was not stands apart, so that its reject ends."""
    return [attrs.evolve(each, is_apart=True) if again.note(str(each.issue), each.error) else each for each in slices]


def _pages(slices: Sequence[Slice], *, place: Place | None = None, mark: str | None = None) -> Iterator[Page]:
    """Yield slices some at a time; the place comes with the last of them."""
    waiting: list[Slice] = []
    count = 0
    for each in slices:
        if each.is_apart:
            yield from _apart(each)
            continue
        waiting.append(each)
        count += len(each.records)
        if count >= RECORDS_A_PAGE:
            yield _page(waiting)
            waiting, count = [], 0
    yield attrs.evolve(_page(waiting), place=place, mark=mark)


def _page(slices: Sequence[Slice]) -> Page:
    whole = Whole(columns=("issue_id",), values=[(each.issue,) for each in slices]) if slices else None
    return Page(records=[record for each in slices for record in each.records], whole=whole)


def _apart(each: Slice) -> Iterator[Page]:
    """Yield an issue that was asked for by itself as a scope of its own."""
    scope = scope_of(each.issue)
    if each.error is None:
        yield attrs.evolve(_page([each]), scope=scope)
        return
    if each.records:
        yield Page(scope=scope, records=each.records)
    yield Page(scope=scope, error=each.error)


def _has_id(record: Mapping[str, object]) -> bool:
    return str(record.get("id")).isdigit()
