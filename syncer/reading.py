"""
Reading: a thread reads pages ahead of the loader, types their records, and puts them into groups.

A group is closed by rows, bytes or time, so that little is read again after a kill. While one is loaded the next is
begun, but `PAGES_AHEAD` pages of it at most: enough to hide the network, and two threads that do not fight for one
interpreter's lock cost less CPU (7 % of a whole load). So memory does not grow, however fast the source or slow the
warehouse.

Not here: what becomes of a group (`inbound.py`), how a record is typed (`rows.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from syncer.clock import Clock
from syncer.rows import Reject, Typing, key_text, last_of_each_key, merged
from syncer.sources import Page, Place, Record, State, Whole
from syncer.values import dumps

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 10_000
GROUP_BYTES = 8_000_000
GROUP_S = 5.0
CHUNK_RECORDS = 1_000  # records that are typed at once, but fewer where they are large:
CHUNK_BYTES = 4_000_000
SAMPLE = 4  # records of a page whose size is looked at: it costs 0.1 µs a record
PAGES_AHEAD = 8
STOP_S = 5.0


@attrs.define
class Group:
    """Pages that are committed together."""

    typing: Typing
    since: float
    chunks: list[pa.Table] = attrs.field(factory=list)
    waiting: list[Record] = attrs.field(factory=list)  # records of one scope, not typed yet
    waiting_scope: str = ""
    rows: int = 0
    size: int = 0
    states: list[State] = attrs.field(factory=list)
    rejects: list[Reject] = attrs.field(factory=list)
    without_key: int = 0
    places: dict[str, tuple[Place, str | None]] = attrs.field(factory=dict)
    read_scopes: set[str] = attrs.field(factory=set)
    failed_scopes: set[str] = attrs.field(factory=set)
    wholes: list[tuple[str, Whole]] = attrs.field(factory=list)
    slices: set[tuple[str, ...]] = attrs.field(factory=set)
    pages: int = 0
    is_closed: bool = False  # nothing may be added any more
    _waiting_bytes: int = 0

    def holds(self, whole: Whole | None) -> bool:
        """
        Tell whether a slice was read before in this group: a second reading must be compared with what the first one
        loaded.
        """
        return (
            whole is not None
            and whole.first
            and any((*whole.columns, key_text(value)) in self.slices for value in whole.values if value)
        )

    def add(self, page: Page) -> None:
        """Take a page in."""
        self.pages += 1
        if page.scope != self.waiting_scope:
            self.type_waiting()
            self.waiting_scope = page.scope
        if page.error is not None:
            self.rejects.append(Reject("", "", str(page.error), page.scope))
            self.failed_scopes.add(page.scope)
            return
        self.waiting += page.records
        self.states += [state for state in page.states if self.typing.holds_key(state.key)]
        self.read_scopes.add(page.scope)
        if page.place is not None:
            self.places[page.scope] = (page.place, page.mark)
        if page.whole is not None:
            self.wholes.append((page.scope, page.whole))
            self.slices.update((*page.whole.columns, key_text(value)) for value in page.whole.values if value)
        self._waiting_bytes += size_of(page.records)
        if len(self.waiting) >= CHUNK_RECORDS or self._waiting_bytes >= CHUNK_BYTES:
            self.type_waiting()

    def survivors(self) -> dict[str, str]:
        """The id that survives each record that was merged away."""
        return {key_text(state.key): state.into for state in self.states if state.into is not None}

    def type_waiting(self) -> None:
        """Type the records that wait."""
        if not self.waiting:
            return
        typed = self.typing.rows(self.waiting, scope=self.waiting_scope)
        self.waiting, self._waiting_bytes = [], 0
        self.chunks.append(typed.table)
        self.rows += typed.read
        self.size += typed.table.nbytes
        self.rejects += typed.rejects
        self.without_key += typed.without_key

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to commit."""
        return (
            self.is_closed
            or self.rows + len(self.waiting) >= GROUP_ROWS
            or self.size >= GROUP_BYTES
            or (now - self.since >= GROUP_S and not self.is_empty())
        )

    def is_empty(self) -> bool:
        """Tell whether there is nothing to commit."""
        return not (self.chunks or self.waiting or self.states or self.rejects or self.places or self.wholes)

    def table(self) -> pa.Table:
        """Hand over all rows, one a key."""
        self.type_waiting()
        mapping = self.typing.mapping
        empty = self.typing.rows([], scope="").table
        version = mapping.inbound.version if mapping.inbound else None
        chunks, self.chunks = self.chunks, []  # let go of: the warehouse has them twice while it loads
        rows = last_of_each_key(merged(chunks or [empty]), mapping.key, version)
        return self.typing.without_heirs(rows, self.survivors())


def size_of(records: Sequence[Record]) -> int:
    """Estimate the size of records, as JSON, by a few of them."""
    some = records[:: max(1, len(records) // SAMPLE)]
    return sum(map(len, map(dumps, some))) * len(records) // len(some) if some else 0


def parts_of(page: Page) -> Iterator[Page]:
    """
    Part a page that is too large to be loaded at once; its place, states and end of a whole come with the last part.
    What was merged into what comes with each: who inherits from somebody forgotten may stand in any of them.

    What is loaded before a place is stored is read again after a kill, and then found equal.
    """
    size = size_of(page.records)
    if size <= GROUP_BYTES:
        yield page
        return
    step = max(1, len(page.records) * CHUNK_BYTES // size)
    starts = range(0, len(page.records), step)
    merges = [state for state in page.states if state.into is not None]
    for start in starts:
        is_first, is_last = start == 0, start == starts[-1]
        whole = page.whole
        if whole is not None:
            whole = attrs.evolve(whole, first=whole.first and is_first, last=whole.last and is_last)
        part = page.records[start : start + step]
        if is_last:
            yield attrs.evolve(page, records=part, whole=whole)
        else:
            yield Page(scope=page.scope, records=part, states=merges, whole=whole)


class Reader:
    """
    A thread that fills groups with what *pages* yields; the loader takes them, one after the other.

    *on_page* is called in that thread with each page, when it stands in its group; what it raises ends the reading, as
    what the source raises does: it comes out of `next`, behind the groups before it.
    """

    def __init__(
        self, pages: Iterator[Page], typing: Typing, *, clock: Clock, on_page: Callable[[Page], None]
    ) -> None:
        self._pages = pages
        self._typing = typing
        self._clock = clock
        self._on_page = on_page
        self._changed = threading.Condition()
        self._group = self._new_group()
        self._count = 0
        self._is_over = self._is_stopped = self._is_loading = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="syncer-reader", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is a group to take; False where there is none yet after *timeout_s*."""
        with self._changed:
            self._is_loading = False
            self._changed.notify_all()
            return self._changed.wait_for(self._is_due, timeout_s)

    @property
    def pages(self) -> int:
        """Count the pages that came so far."""
        return self._count

    def take(self) -> tuple[Group, bool]:
        """Return the group as it is, and whether it is the last one; it is being loaded until `wait` is called."""
        with self._changed:
            group, is_last = self._group, self._is_over
            group.type_waiting()
            self._group = self._new_group()
            self._is_loading = True
            self._changed.notify_all()
            return group, is_last

    def check(self) -> None:
        """Raise what ended the reading, if it did not just end."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the thread: when the request that it waits for is answered, or with the process."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._thread.join(STOP_S)

    def _is_due(self) -> bool:
        return self._is_over or self._group.is_due(self._clock.monotonic())

    def _must_wait(self) -> bool:
        is_ahead = self._is_loading and self._group.pages >= PAGES_AHEAD
        return not self._is_stopped and (is_ahead or self._group.is_due(self._clock.monotonic()))

    def _run(self) -> None:
        try:
            for page in self._pages:
                for part in parts_of(page):
                    if not self._add(part):
                        return
        except BaseException as error:  # noqa: BLE001  # carried to the thread that waits, whatever it is
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _add(self, page: Page) -> bool:
        """Put a page into its group, once there is room; False when nobody wants it any more."""
        with self._changed:
            if self._group.holds(page.whole):
                self._group.is_closed = True
            while self._must_wait():
                self._changed.notify_all()
                self._changed.wait()
            if self._is_stopped:
                return False
            self._group.add(page)
            self._count += 1
            self._on_page(page)
            if self._group.is_due(self._clock.monotonic()):
                self._changed.notify_all()
            return True

    def _new_group(self) -> Group:
        return Group(self._typing, self._clock.monotonic())
