"""
The way in: pages of a stream become typed rows, and rows, places and run record are committed together, a group of
pages at a time.

One loop serves every source: a thread reads pages ahead into a bounded queue, this one types and loads them. A group
is closed by rows, bytes or time, so that little is read again after a kill; the warehouse is let go while there is
nothing to load. Whatever happens, a place is stored only together with the rows before it.

Not here: the statements (`loading.py`), a census (`census.py`), which source and warehouse (`engine.py`).
"""

from __future__ import annotations

import datetime as dt
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
from loguru import logger

from syncer import journal, marks
from syncer.clock import Clock
from syncer.errors import SyncerError
from syncer.journal import Pulled
from syncer.loading import Braked, Context, Ending, Loading
from syncer.rows import Reject, Typing, key_text, last_of_each_key, merged
from syncer.sources import Page, Place, Record, State, Whole
from syncer.warehouses import Transaction, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 10_000
GROUP_BYTES = 32_000_000
GROUP_S = 5.0
CHUNK_RECORDS = 1_000  # records that are typed at once
PAGES_AHEAD = 8
PATIENCE_S = 0.05  # how long the warehouse is kept while no page is ready


@attrs.frozen(kw_only=True)
class Progress:
    """Where a pull is; handed to `on_progress` with each page and each commit."""

    mapping: str
    read: int
    pages: int
    scope: str
    seconds: float


OnProgress = Callable[[Progress], None]


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
    wholes: list[tuple[str, Whole]] = attrs.field(factory=list)
    slices: set[tuple[str, ...]] = attrs.field(factory=set)

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
        if page.scope != self.waiting_scope:
            self.type_waiting()
            self.waiting_scope = page.scope
        if page.error is not None:
            self.rejects.append(Reject("", "", str(page.error), page.scope))
            return
        self.waiting += page.records
        self.states += page.states
        self.read_scopes.add(page.scope)
        if page.place is not None:
            self.places[page.scope] = (page.place, page.mark)
        if page.whole is not None:
            self.wholes.append((page.scope, page.whole))
            self.slices.update((*page.whole.columns, key_text(value)) for value in page.whole.values if value)
        if len(self.waiting) >= CHUNK_RECORDS:
            self.type_waiting()

    def survivors(self) -> dict[str, str]:
        """The id that survives each record that was merged away."""
        return {key_text(state.key): state.into for state in self.states if state.into is not None}

    def type_waiting(self) -> None:
        """Type the records that wait."""
        if not self.waiting:
            return
        typed = self.typing.rows(self.waiting, scope=self.waiting_scope)
        self.waiting = []
        self.chunks.append(typed.table)
        self.rows += typed.read
        self.size += typed.table.nbytes
        self.rejects += typed.rejects
        self.without_key += typed.without_key

    def is_full(self, now: float) -> bool:
        """Tell whether it is time to commit."""
        return self.rows + len(self.waiting) >= GROUP_ROWS or self.size >= GROUP_BYTES or now - self.since >= GROUP_S

    def is_empty(self) -> bool:
        """Tell whether there is nothing to commit."""
        return not (self.chunks or self.waiting or self.states or self.rejects or self.places or self.wholes)

    def table(self) -> pa.Table:
        """All rows, one a key."""
        self.type_waiting()
        mapping = self.typing.mapping
        empty = self.typing.rows([], scope="").table
        version = mapping.inbound.version if mapping.inbound else None
        return last_of_each_key(merged(self.chunks or [empty]), mapping.key, version)


class Reader:
    """A thread that reads pages ahead. `stop` ends it; what it raises comes out of `next`."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self._pages = pages
        self._queue: queue.Queue[Page | BaseException | None] = queue.Queue(maxsize=PAGES_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="syncer-reader", daemon=True)
        self._thread.start()

    def next(self, timeout_s: float) -> Page | None:
        """
        Return the next page, or None at the end. Raises queue.Empty after *timeout_s*, or what the source raised.
        """
        found = self._queue.get(timeout=max(0.001, timeout_s))
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> None:
        """End the thread: at the latest when the request that it waits for is answered."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _run(self) -> None:
        try:
            for page in self._pages:
                if not self._put(page):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001  # carried to the thread that waits, whatever it is
            self._put(error)

    def _put(self, what: Page | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(what, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


@attrs.define(kw_only=True)
class Inbound:
    """One pull of one mapping, under way."""

    context: Context
    typing: Typing
    loading: Loading
    warehouse: Warehouse
    clock: Clock
    pulled: Pulled
    sent: Callable[[], int]  # requests of this run so far
    on_progress: OnProgress | None = None
    has_rejects: bool = False
    pages: int = 0
    _open_walks: set[str] = attrs.field(factory=set)  # walks that began in an earlier group

    def load(self, pages: Iterator[Page], *, ends_run: bool = True) -> Pulled:
        """
        Load *pages* to their end, group by group; with *ends_run*, the last commit also ends the run.

        Raises: what the source raises; what was read before it is committed first.
        """
        started = self.clock.monotonic()
        reader = Reader(pages)
        group = self._new_group()
        try:
            while True:
                page = self._next(reader, group)
                if page is None:
                    break
                if isinstance(page, Page):
                    if group.holds(page.whole):
                        self.commit(group)
                        group = self._new_group()
                    group.add(page)
                    self.pages += 1
                    self._tell(page.scope, group, started)
                if group.is_full(self.clock.monotonic()):
                    self.commit(group)
                    group = self._new_group()
        except SyncerError:
            self.commit(group)
            raise
        finally:
            reader.stop()
        self.commit(group, ends_run=ends_run)
        return self.pulled

    def commit(self, group: Group, *, ends_run: bool = False) -> None:
        """Write a group: rows, what ended, rejects, places and the run record, in one transaction."""
        if group.is_empty() and not ends_run:
            return
        rows = group.table()
        now = self.clock.now()
        with self.warehouse.transaction() as t:
            endings = self._endings(group)
            loaded = self.loading.load(t, rows, states=group.states, endings=endings, is_last=ends_run, now=now)
            self._keep_walks(t, group)
            self._settle_rejects(t, group)
            for brake in loaded.braked:
                self.note_brake(t, brake, now=now)
            marks.put_places(t, group.places, owner=self.context.owner, now=now)
            marks.put_aliases(t, group.survivors(), owner=self.context.owner, now=now)
            self._count(group, loaded.fresh, loaded.inserted, loaded.updated, loaded.gone)
            if ends_run:
                marks.end_walks(t, "run:", owner=self.context.owner)
                self.pulled = attrs.evolve(self.pulled, status=journal.DONE)
            journal.update(t, self.pulled, now=now)
        self.warehouse.rest(waiting=ends_run)
        logger.debug("{}: {} rows of a group committed", self.pulled.mapping, rows.num_rows)

    def _next(self, reader: Reader, group: Group) -> Page | None | bool:
        """Wait for a page; False when the group's time is over. The warehouse is let go while nothing comes."""
        try:
            return reader.next(PATIENCE_S)
        except queue.Empty:
            self.warehouse.rest(waiting=True)
        left = GROUP_S - (self.clock.monotonic() - group.since) if not group.is_empty() else GROUP_S
        try:
            return reader.next(left)
        except queue.Empty:
            return False

    def _new_group(self) -> Group:
        return Group(self.typing, self.clock.monotonic())

    def _endings(self, group: Group) -> Sequence[Ending]:
        """Put wholes of one kind together; a walk that began in an earlier group has its keys in the warehouse."""
        together: dict[tuple[tuple[str, ...], tuple[str, ...], str], dict[tuple[object, ...], None]] = {}
        endings = []
        begun: set[str] = set()
        for scope, whole in group.wholes:
            if whole.first:
                begun.add(scope)
            if not whole.last:
                continue
            if scope in begun:
                together.setdefault((whole.columns, whole.within, whole.absent), {}).update(
                    dict.fromkeys(whole.values)
                )
            else:
                endings.append(Ending.of(whole, whole.values, walk=f"scope:{scope}"))
        for (columns, within, absent), values in together.items():
            whole = Whole(columns=columns, within=within, absent=absent, values=())
            endings.append(Ending.of(whole, list(values)))
        return endings

    def _keep_walks(self, t: Transaction, group: Group) -> None:
        """Keep the keys of walks that go on in a later group; forget those that ended or began anew."""
        begun = {scope for scope, whole in group.wholes if whole.first}
        for scope, whole in dict(group.wholes).items():
            walk = f"scope:{scope}"
            is_new = scope in begun
            is_kept = walk in self._open_walks or not whole.first or not whole.last
            if is_kept and (is_new or whole.last):
                marks.begin_walk(t, walk, owner=self.context.owner)
            if whole.last:
                self._open_walks.discard(walk)
            else:
                self.loading.remember(t, walk)
                self._open_walks.add(walk)

    def note_rejects(self, t: Transaction, rejects: Sequence[Reject]) -> None:
        """Store rejects, and count them."""
        if rejects:
            self.has_rejects = True
            journal.keep_rejects(t, rejects, pulled=self.pulled, now=self.clock.now())
            self.pulled = attrs.evolve(self.pulled, rejected=self.pulled.rejected + len(rejects))

    def note_brake(self, t: Transaction, brake: Braked, *, now: dt.datetime) -> None:
        """Store that rows of a scope were too many to end, and count it as a reject: a person must look."""
        detail = f"{brake.ending} of {brake.live} live rows would end; look, then --census --force"
        journal.find(t, journal.MAX_GONE_SHARE, brake.scope, detail, pulled=self.pulled, now=now)
        self.pulled = attrs.evolve(self.pulled, rejected=self.pulled.rejected + 1)

    def _settle_rejects(self, t: Transaction, group: Group) -> None:
        """Drop the rejects of what was read again, then store those of this group."""
        if self.has_rejects:
            self.loading.drop_settled_rejects(t)
            journal.drop_scope_rejects(t, group.read_scopes, pulled=self.pulled)
        self.note_rejects(t, group.rejects)

    def _count(self, group: Group, fresh: int, inserted: int, updated: int, gone: int) -> None:
        before = self.pulled
        read = before.read + fresh + group.without_key
        marks_told = [mark for _, mark in group.places.values() if mark]
        self.pulled = attrs.evolve(
            before,
            read=read,
            inserted=before.inserted + inserted,
            updated=before.updated + updated,
            unchanged=before.unchanged + fresh - inserted - updated,
            gone=before.gone + gone,
            requests=self.sent(),
            mark=max([*marks_told, before.mark or ""]) or None,
        )

    def _tell(self, scope: str, group: Group, started: float) -> None:
        if self.on_progress is not None:
            read = self.pulled.read + group.rows + len(group.waiting)
            seconds = self.clock.monotonic() - started
            self.on_progress(
                Progress(mapping=self.pulled.mapping, read=read, pages=self.pages, scope=scope, seconds=seconds)
            )
