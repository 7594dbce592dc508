"""
Reading a list down that has newest rows first and nothing but page numbers, while rows come and go.

What is added pushes rows down, to later pages; what is deleted pulls them up, to earlier ones. So a stretch of pages
is read from its far end *up* to what is known: deletions then move rows ahead of us, where we meet them. Additions
would move them behind us, and are told by the ids of the first page, asked for before and after the stretch: where one
came, the newest or a lower one that is shown late, the stretch is read again, a shorter one each time. A page that
begins with a row that is known needs no proof. Where no try was quiet, the walk goes on and is no longer `is_proven`:
then nothing may end, and a walk is owed.

An empty page is no end: the server answers so when its database fails. The end is a page that is not full and says
that none follows, or a full one that says so before an empty one, three times: rows and their count are two queries,
and each may fail by itself.

Not here: what a page is (`workspace_chats.py`).
Source: `endpoints/api/admin/index.js`: twenty a page, by id, descending; ids are never given twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from syncer.errors import AnswerError
from syncer.sources import Record

FIRST_STRETCH, STRETCH = 2, 16  # pages; each one is twice the one before
LOOKS_AT_END = 2  # more, at an empty page: finding and counting may both have failed, each time by itself
TRIES = 4  # of one page, where additions or a contradiction spoil it


@attrs.frozen(kw_only=True)
class Sheet:
    """One page as it was answered: its rows, newest first, and whether it says that more follow."""

    rows: list[Record]
    follows: bool
    size: int  # of a full page

    @property
    def first(self) -> int:
        """The newest id."""
        return int(self.rows[0]["id"])

    @property
    def last(self) -> int:
        """The oldest id."""
        return int(self.rows[-1]["id"])

    @property
    def is_end(self) -> bool:
        """Tell whether nothing follows for certain: a page that is not full."""
        return bool(self.rows) and not self.follows and len(self.rows) < self.size


@attrs.define(kw_only=True)
class Descent:
    """
    A walk from the newest row down to *floor*, or to the end.

    low: every row from the newest down to this id was read. page: where it stood. Both go on from a place.
    """

    ask: Callable[[int], Sheet]
    floor: int = 0
    low: int | None = None
    page: int = 0
    is_proven: bool = True
    is_over: bool = False
    is_empty: bool = False  # there was no row at all
    top: int | None = None  # the newest id when the walk began; None: there is no row
    _head_last: int = 0  # of the first page, as it was seen last: its oldest id, and all
    _head: frozenset[int] = frozenset()
    _bound: int = 0  # a page that was empty, 0: none yet; it only tells how far to reach
    _met: dict[int, Record] = attrs.field(factory=dict)
    _last_follows: bool = True
    _empty: set[int] = attrs.field(factory=set)  # pages of this stretch that were answered with nothing

    def batches(self) -> Iterator[list[Record]]:
        """Yield the rows of one stretch after the other, each row once a stretch; raises AnswerError."""
        head = self._take(0)
        if not head.rows:
            self.is_over = self.is_empty = True
            return
        self._see(head)
        if self.low is None:
            self.top, self.low, self.page = head.first, head.last, 0
            self._last_follows = head.follows
            self.is_over = head.is_end
        yield self._handed()
        size = FIRST_STRETCH
        while not self.is_over and not self._is_deep():
            size = self._sensible(size)
            if self._stretch(size):
                yield self._handed()
                size = min(STRETCH, size * 2)
            else:
                size = max(1, size // 2)
        self.is_over = True

    def _sensible(self, size: int) -> int:
        """Make a stretch so short that it does not reach behind the end, as far as that is known."""
        if not self._last_follows:
            return 1
        return min(size, max(1, (self._bound - self.page) // 2)) if self._bound else size

    def _is_deep(self) -> bool:
        assert self.low is not None
        return self.low <= self.floor

    def _stretch(self, size: int) -> bool:
        """Read a stretch of pages; False where a shorter one must be tried."""
        if size > 1:
            far = self._take(self.page + size)
            self._bound = self._bound if far.rows else self.page + size
            return bool(far.rows) and self._settle(far, size) is None
        trouble = ""
        for _ in range(TRIES):
            far = self._take(self.page + 1)
            found = self._settle(far, 1) if far.rows else self._settle_end()
            if found is None:
                return True
            trouble = found
        if trouble:
            raise AnswerError(f"The list of workspace chats contradicts itself: {trouble}, {TRIES} times.")
        self.is_proven = False  # rows were added each time
        if far.rows:
            self._advance(far, 1)
        else:
            self.is_over = True
        return True

    def _settle(self, far: Sheet, size: int) -> str | None:
        """
        Read from *far* up to what is known; None where nothing can lie between. "": rows were added meanwhile; else
        what contradicts itself.
        """
        assert self.low is not None
        if far.first < self.low:
            trouble = self._read_up(self.page + size)
            if trouble is not None:
                return trouble
        self._advance(far, size)
        return None

    def _settle_end(self) -> str | None:
        """Make sure that an empty page was the end: the pages before it say that none follows, each time."""
        trouble = self._read_up(self.page + 1)
        for _ in range(LOOKS_AT_END):
            if trouble is not None:
                break
            if self._take(self.page + 1).rows:
                return f"page {self.page + 1} is empty, and then is not"
            trouble = self._read_up(self.page + 1)
        if trouble is None:
            self.low = min([self.low or 0, *self._met])
            self.is_over = True
        return trouble

    def _read_up(self, page: int) -> str | None:
        """Read pages upwards, from the one before *page* until one begins with a row that is known."""
        assert self.low is not None
        is_behind_empty = page in self._empty
        sheet = None
        while page > 0:
            page -= 1
            sheet = self._take(page)
            if not sheet.rows:
                if not is_behind_empty:
                    return f"page {page} is empty, and page {page + 1} was not"
                continue
            if is_behind_empty and sheet.follows:
                return f"page {page} says that another one follows, which is empty"
            is_behind_empty = False
            if sheet.first >= self.low:
                break
        newest = sheet if sheet is not None and page == 0 else self._take(0)
        if not newest.rows:
            return "its first page is empty, where it had rows"
        if self._has_more(newest):
            self._see(newest)
            return ""
        return None

    def _see(self, head: Sheet) -> None:
        self._head_last, self._head = head.last, frozenset(int(row["id"]) for row in head.rows)

    def _has_more(self, head: Sheet) -> bool:
        """Tell whether a row was added: the newest, or one of a lower id that the database shows only now."""
        return any(int(row["id"]) > self._head_last and int(row["id"]) not in self._head for row in head.rows)

    def _advance(self, far: Sheet, size: int) -> None:
        assert self.low is not None
        self.low = min(self.low, far.last)
        self.page += size
        self._last_follows = far.follows
        self.is_over = far.is_end

    def _take(self, page: int) -> Sheet:
        """Ask for a page, and keep its rows; the newest answer about a row counts."""
        sheet = self.ask(page)
        (self._empty.discard if sheet.rows else self._empty.add)(page)
        self._met.update((int(row["id"]), row) for row in sheet.rows)
        return sheet

    def _handed(self) -> list[Record]:
        rows, self._met, self._empty = list(self._met.values()), {}, set()
        return rows
