"""
The walk: the ids of all issues that changed since a moment, while people create, edit and delete issues.

It goes by `created`, which never changes, and asks each page anew from the last time met: a page token is a position
in a live result, so a deletion behind it would make it step over an issue that was not read. Only where more issues
were created in one minute than a page holds, the token is followed, and that minute is walked again until nothing new
turns up. The lower end (`updated`) is frozen while a window lasts, the upper end is open.

A minute, and not a millisecond, is where a page begins again: JQL promises no more than minutes. Ids met before in
that minute are remembered, in the place too, so that nothing is fetched twice.
Source: Jira Cloud REST API v3, "Search for issues using JQL enhanced search"; support.atlassian.com, "JQL fields".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import timedelta
from typing import Any

import attrs

from syncer.errors import AnswerError, RequestError
from syncer.sources import Place, Record
from syncer.sources.jira.calls import Calls, a_list, an_object, iso_of, ms_of
from syncer.transport import Answer

MINUTE_MS = 60_000
BATCH = 100  # issues a bulk fetch takes
EMPTY_PAGES = 1_000  # pages in a row that may be empty: their issues are hidden from us
TOKEN_LOSSES = 3  # times that a token may die within one minute's issues
SECOND_LOOKS = 10  # at a minute that needed a token, while they bring news
MET_IN_PLACE = 5_000  # where one minute has more, they are fetched again after a kill

Once = Callable[[str, Callable[[], Answer]], Answer]  # asks, or returns what was answered before


def ask_again(key: str, ask: Callable[[], Answer]) -> Answer:
    """Ask, whatever was answered before."""
    return ask()


@attrs.frozen(kw_only=True)
class Window:
    """
    A frozen lower end, and how far it was walked. Times in milliseconds.

    mark: the server's clock when the window was opened. floor: issues updated since then; None: all.
    created: where to go on; None: at the beginning. met: ids of that minute that were read already.
    """

    mark: int
    floor: int | None = None
    created: int | None = None
    met: tuple[str, ...] = ()

    @classmethod
    def of(cls, place: Place | None, *, now: int, lookback: timedelta) -> Window:
        """Go on with the window of *place*, or open the next one, or the first."""
        if place is None:
            return cls(mark=now)
        if "created" in place:
            return cls(
                mark=place["mark"], floor=place["floor"], created=place["created"], met=tuple(place.get("met", ()))
            )
        return cls(mark=now, floor=place["mark"] - lookback // timedelta(milliseconds=1))

    @classmethod
    def since(cls, place: Place | None, *, now: int, lookback: timedelta) -> Iterator[Window]:
        """
        Yield the window of *place*; behind one that is gone on with, also the next: what was read may have changed
        since.
        """
        window = cls.of(place, now=now, lookback=lookback)
        yield window
        if place is not None and "created" in place:
            yield cls.of(window.finished, now=now, lookback=lookback)

    @property
    def text(self) -> str:
        """The mark for people."""
        return iso_of(self.mark)

    @property
    def finished(self) -> Place:
        """The place behind the whole window."""
        return {"mark": self.mark}

    def at(self, created: int | None, met: Mapping[str, int]) -> Place:
        """Return the place inside the window."""
        kept = list(met) if len(met) <= MET_IN_PLACE else []
        return {"mark": self.mark, "floor": self.floor, "created": created, "met": kept}


@attrs.frozen(kw_only=True)
class Batch:
    """Issues that are fetched together, and the place behind them. `odd`: found without a usable id."""

    ids: tuple[str, ...]
    place: Place
    entries: tuple[Record, ...] = ()
    odd: tuple[Record, ...] = ()


@attrs.frozen(kw_only=True)
class Found:
    """An issue that search has. `anchor`: a walk that went on from there would lose nothing before this issue."""

    entry: Record
    created: int
    anchor: int


@attrs.frozen(kw_only=True)
class _Outcome:
    is_last: bool
    used_token: bool
    is_news: bool


class Walk:
    """
    One walk of a window.

    *once* keeps answers that other streams of the verb walk by, too; *only*: one more clause of JQL.
    """

    def __init__(
        self, calls: Calls, window: Window, *, once: Once, fields: tuple[str, ...] = ("created",), only: str = ""
    ) -> None:
        self._calls = calls
        self._window = window
        self._once = once
        self._fields = list(fields)
        self._only = only
        self._bound = window.created  # the newest `created` met; never goes back
        self._seen = dict.fromkeys(window.met, window.created or 0)  # by id, since the minute that is asked for
        self._passes = 0

    def batches(self, size: int = BATCH) -> Iterator[Batch]:
        """Yield the issues in batches, each with the place behind it."""
        entries: list[Record] = []
        odd: list[Record] = []
        behind: dict[str, int] = dict(self._seen)
        anchor = self._window.created
        for found in self.found():
            anchor = found.anchor
            if _is_usable(found.entry.get("id")):
                entries.append(found.entry)
                behind[found.entry["id"]] = found.created
            else:
                odd.append(found.entry)
            if len(entries) + len(odd) >= size:
                behind = _since(behind, _minute(anchor))
                yield self._batch(entries, odd, self._window.at(anchor, behind))
                entries, odd = [], []
        if entries or odd:
            yield self._batch(entries, odd, self._window.at(anchor, _since(behind, _minute(anchor))))

    def found(self) -> Iterator[Found]:
        """
        Yield each issue that search has, once; by `created`, but for what a second look found.

        Raises: AnswerError: search contradicts itself (no token but more to come, a token twice, empty pages only).
        """
        while True:
            start = _minute(self._bound)
            self._seen = _since(self._seen, start)
            outcome = yield from self._pass(start)
            is_last = outcome.is_last
            if outcome.used_token:
                horizon = self._bound or 0
                for _ in range(SECOND_LOOKS):
                    again = yield from self._pass(start, horizon=horizon)
                    # A token behind the end, since so many left the result, looks like the last page.
                    is_last = is_last and again.is_last
                    if not again.is_news:
                        break
            if is_last:
                return

    def _pass(self, start: int, *, horizon: int | None = None) -> Generator[Found, None, _Outcome]:
        """
        Walk from the minute *start* to the first page that reaches a later one.

        With *horizon* it is a second look, and news is what it finds up to there.
        """
        token: str | None = None
        tokens: set[str] = set()
        empty = losses = 0
        used_token = is_news = False
        self._passes += 1
        while True:
            try:
                page = self._page(start, token)
            except RequestError as error:
                if token is None or error.status != 400 or losses >= TOKEN_LOSSES:
                    raise
                losses, token, tokens = losses + 1, None, set()  # it has died: begin this minute again
                self._passes += 1
                continue
            is_certain = token is None and horizon is None
            reached = start
            for entry in page["issues"]:
                created = self._created(entry)
                reached = max(reached, _minute(created))
                if self._is_new(entry, created):
                    is_news = is_news or (horizon is not None and created <= horizon)
                    yield Found(entry=entry, created=created, anchor=created if is_certain else start)
            token = self._next_token(page, tokens)
            if token is None or reached > start:
                return _Outcome(is_last=token is None, used_token=used_token, is_news=is_news)
            used_token = True
            empty = 0 if page["issues"] else empty + 1
            if empty > EMPTY_PAGES:
                raise AnswerError(f"POST /search/jql gave {empty} empty pages in a row; the walk was stopped.")

    def _page(self, start: int, token: str | None) -> dict[str, Any]:
        jql = f"updated >= {self._window.floor if self._window.floor is not None else 0}"
        if self._only:
            jql += f" AND {self._only}"
        if start > 0:  # issues may be older than 1970: then the first pages go by the token
            jql += f" AND created >= {start}"
        body = {
            "jql": f"{jql} ORDER BY created ASC, key ASC",
            "fields": self._fields,
            "maxResults": self._calls.ids_a_page,
        }
        if token is not None:
            body["nextPageToken"] = token
        key = f"search {self._passes} {body}"
        answer = self._once(key, lambda: self._calls.post("search/jql", body))
        page = an_object(answer)
        a_list(answer, "issues", of=page)
        return page

    def _created(self, entry: Record) -> int:
        """Return when an issue was created; one that cannot be read stands where the walk is."""
        fields = entry.get("fields")
        created = ms_of(fields.get("created")) if isinstance(fields, dict) else None
        return created if created is not None else self._bound or 0

    def _is_new(self, entry: Record, created: int) -> bool:
        number = entry.get("id")
        name = number if isinstance(number, str) else repr(number)
        if name in self._seen:
            return False
        self._seen[name] = created
        self._bound = created if self._bound is None else max(self._bound, created)
        return True

    @staticmethod
    def _next_token(page: Mapping[str, Any], tokens: set[str]) -> str | None:
        token = page.get("nextPageToken")
        if token is None:
            if page.get("isLast") is False:
                raise AnswerError(
                    "POST /search/jql says that there is more (isLast is false) but gives no nextPageToken."
                )
            return None
        if not isinstance(token, str) or token in tokens:
            raise AnswerError(
                f"POST /search/jql gave a nextPageToken twice, after {len(tokens)} pages: it would never end."
            )
        tokens.add(token)
        return token

    @staticmethod
    def _batch(entries: list[Record], odd: list[Record], place: Place) -> Batch:
        ids = tuple(entry["id"] for entry in entries)
        return Batch(ids=ids, place=place, entries=tuple(entries), odd=tuple(odd))


def _minute(created: int | None) -> int:
    """The beginning of a minute; 0 for all before 1970 and for the beginning of a walk."""
    return 0 if created is None or created < 0 else created - created % MINUTE_MS


def _since(seen: Mapping[str, int], start: int) -> dict[str, int]:
    return {number: created for number, created in seen.items() if created >= start}


def _is_usable(number: object) -> bool:
    return isinstance(number, str) and number.isascii() and number.isdigit()
