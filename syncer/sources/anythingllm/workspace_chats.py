"""
The stream `workspace_chats`: every chat of the instance, by page number, newest first.

What is new is read down to a little below the newest id that is known. Everything is read now and then, since edits,
ratings, resets and deletions leave no trace: what such a walk did not meet is gone, but only where the walk proved
that it missed nothing (`descent.py`). A walk that was killed goes on from the oldest id that it had read down to.

Source: `endpoints/api/admin/index.js`, `models/workspaceChats.js`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

import attrs

from syncer.errors import AnswerError
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.anythingllm.calls import LOOKS_AT_NOTHING, Calls, a_list, an_object, number_of
from syncer.sources.anythingllm.chat_records import settled
from syncer.sources.anythingllm.descent import Descent, Sheet
from syncer.transport import Answer

PATH = "/v1/admin/workspace-chats"
CHATS_A_PAGE = 20
OVERLAP = 40  # ids below the newest that are read again: a database may show a lower id a moment later
TRIES = 3
MOST_LOOKED_UP = 50  # keys that are looked for one by one; more are met by a walk
COST_OF_A_LOOK = 8  # requests, about


@attrs.define(kw_only=True)
class WorkspaceChats:
    """Reads workspace chats."""

    calls: Calls
    _last: Answer | None = None  # for messages
    _depth: int = 0  # pages that a census has met

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """
        Yield what is new, or everything where that is due.

        The place: {"max": the newest id to which all is known, "full_at": when all was last compared, "owed": true
        where a comparison could not be proven}; while a walk is under way "walk": {"low", "top", "page", "floor",
        "proven", "is_full", "opened"}.
        Raises: AnswerError: no chat at all where there were some, or pages that contradict each other.
        """
        place = places.get("", {})
        walk = place.get("walk")
        is_resumed = walk is not None
        if walk is None:
            walk = self._begun(place)
        place = yield from self._walked(place, walk, is_resumed=is_resumed)
        if is_resumed and "max" in place:  # what came while nobody walked
            yield from self._walked(place, self._begun(place), is_resumed=False)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield all chats, for a census; what it misses is asked for by its id before it ends."""
        place = places.get("", {})
        descent = Descent(ask=self._sheet)
        is_first = True
        for rows in descent.batches():
            yield Page(records=rows, whole=Whole(first=is_first, last=False))
            is_first = False
        self._depth = descent.page + 1
        if descent.is_empty and not self._may_be_empty(place):
            return
        yield Page(whole=Whole(first=is_first))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """
        Yield the chats of *keys* that are there.

        Raises: AnswerError: there is no chat at all, or what is there moves too fast to be sure.
        """
        wanted = sorted({int(key[0]) for key in keys}, reverse=True)
        if len(wanted) <= MOST_LOOKED_UP and (not self._depth or len(wanted) * COST_OF_A_LOOK < self._depth):
            at = 0
            for number in wanted:
                found, at = self._look_up(number, at)
                if found is not None:
                    yield Page(records=[settled(found)])
            return
        sought = frozenset(wanted)
        descent = Descent(ask=self._sheet, floor=wanted[-1])
        for rows in descent.batches():
            some = [settled(row) for row in rows if row["id"] in sought]
            if some:
                yield Page(records=some)
        if descent.top is None and not self.calls.believes_empty:
            raise self._nothing("answered 200 with no chat at all where some were looked for")
        if not descent.is_proven:
            raise _restless()

    def _begun(self, place: Place) -> Place:
        is_full = self.calls.is_due(place) or bool(place.get("owed"))
        floor = 0 if is_full else max(0, place["max"] - OVERLAP)
        return {"floor": floor, "is_full": is_full, "opened": self.calls.opened, "proven": True}

    def _walked(self, place: Place, walk: Place, *, is_resumed: bool) -> Generator[Page, None, Place]:
        """Walk on; return the place behind it."""
        descent = Descent(
            ask=self._sheet,
            floor=walk["floor"],
            low=walk.get("low"),
            page=walk.get("page", 0),
            top=walk.get("top"),
            is_proven=walk["proven"],
        )
        is_first = not is_resumed
        for rows in descent.batches():
            state = {"low": descent.low, "top": descent.top, "page": descent.page, "proven": descent.is_proven}
            yield Page(
                records=[settled(row) for row in rows],
                whole=Whole(first=is_first, last=False) if walk["is_full"] else None,
                place={**place, "walk": {**walk, **state}},
                mark=self.calls.mark(),
            )
            is_first = False
        if descent.is_empty and is_resumed:
            raise self._nothing("answered 200 with no chat at all, where a walk was under way")
        if descent.is_empty and not self._may_be_empty(place):
            return place
        after = self._behind(place, walk, descent)
        is_whole = walk["is_full"] and descent.is_proven
        yield Page(place=after, mark=self.calls.mark(), whole=Whole(first=is_first) if is_whole else None)
        return after

    def _behind(self, place: Place, walk: Place, descent: Descent) -> Place:
        """Return the place behind a walk. One that was not proven leaves the newest known id where it was."""
        top = descent.top or 0
        kept: Place = {name: place[name] for name in ("max", "full_at") if name in place}
        if not descent.is_proven:
            return {**kept, "max": kept.get("max", top), "owed": True}
        if walk["is_full"]:
            return {"max": top, "full_at": walk["opened"]}
        return {**kept, "max": max(top, kept["max"])}

    def _may_be_empty(self, place: Place) -> bool:
        """
        Tell whether no chat at all may be the truth, so that rows end.

        Raises: AnswerError: there were some, and nobody has said that this is to be believed.
        """
        if self.calls.believes_empty:
            return True
        if place.get("max"):
            raise self._nothing("answered 200 with no chat at all, where there were some")
        self.calls.witness()
        if "max" not in place and any(self._sheet(0).rows for _ in range(LOOKS_AT_NOTHING)):
            raise self._nothing("answered 200 with no chat at all, and then with some")
        return "max" in place

    def _nothing(self, what: str) -> AnswerError:
        assert self._last is not None
        return self.calls.liar(self._last, what)

    def _sheet(self, page: int) -> Sheet:
        """
        Ask for a page.

        Raises: AnswerError: it is not in the order of ids, too long, or short though more follow, each time.
        """
        for _ in range(TRIES):
            answer = self._last = self.calls.post(PATH, {"offset": page})
            data = an_object(answer)
            rows, follows = a_list(answer, "chats", of=data), data.get("hasPages")
            ids = [number_of(answer, row, "id") for row in rows]
            if not isinstance(follows, bool):
                raise AnswerError(f"{answer.where}: 'hasPages' is neither true nor false.")
            if len(ids) > CHATS_A_PAGE or any(one <= other for one, other in zip(ids, ids[1:], strict=False)):
                raise AnswerError(
                    f"{answer.where}, page {page}: {len(ids)} chats, and not {CHATS_A_PAGE} by id from the newest on: "
                    "this version pages in another way."
                )
            if not follows or len(ids) == CHATS_A_PAGE:
                return Sheet(rows=rows, follows=follows, size=CHATS_A_PAGE)
        raise AnswerError(
            f"{answer.where}, page {page}: {len(ids)} chats, and it says that more follow, {TRIES} times; nothing was "
            "changed.",
            hint="AnythingLLM answers 200 with nothing when its database fails: it is safe to run again.",
        )

    def _look_up(self, number: int, at: int) -> tuple[Record | None, int]:
        """
        Find a chat by its id, from page *at* on; return it, and the page that it is or would be on.

        It is not there where it lies between two rows of one page, above the first page or below the last one; between
        two pages, where reading up from the second to the first shows nothing while nothing is added.
        """
        for _ in range(TRIES):
            page = self._page_of(number, at)
            head = self._sheet(0)
            sheets = [self._sheet(page + 1), self._sheet(page)]
            if not head.rows:
                if self.calls.believes_empty:
                    return None, 0
                raise self._nothing("answered 200 with no chat at all where some were looked for")
            found = next((row for sheet in sheets for row in sheet.rows if row["id"] == number), None)
            if found is not None:
                return found, page
            below, above = sheets
            is_head = page == 0 and bool(above.rows) and number > above.first
            is_inside = bool(above.rows) and above.first > number
            is_closed = above.is_end or above.last < number if above.rows else False
            is_closed = is_closed or (bool(below.rows) and below.first < number) or self._is_end(above, below)
            if (is_head or (is_inside and is_closed)) and self._sheet(0).rows[:1] == head.rows[:1]:
                return None, page
            at = 0
        raise _restless()

    @staticmethod
    def _is_end(above: Sheet, below: Sheet) -> bool:
        return bool(above.rows) and not above.follows and not below.rows

    def _page_of(self, number: int, at: int) -> int:
        """Return the page on which a chat stands or would stand, as the pages are while it is looked for."""
        low, step = at, 1
        while (sheet := self._sheet(low + step)).rows and sheet.first >= number:
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            sheet = self._sheet(middle)
            low, high = (middle, high) if sheet.rows and sheet.first >= number else (low, middle)
        return low


def _restless() -> AnswerError:
    return AnswerError(
        "Chats come and go so fast that none can be said to be gone; nothing was ended.",
        hint="It is safe to run again, at a quieter time.",
    )
