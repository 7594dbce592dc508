"""
The way in: pages of a stream become typed rows, and rows, places and run record are committed together, a group of
pages at a time.

One loop serves every source: a thread fills groups (`reading.py`), this one loads them. The warehouse is let go while
there is nothing to load. Whatever happens, a place is stored only together with the rows before it.

Not here: the statements (`loading.py`), a census (`census.py`), which source and warehouse (`engine.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
from loguru import logger

from syncer import journal, marks
from syncer.clock import Clock
from syncer.errors import OutOfMemory, SyncerError
from syncer.journal import Pulled
from syncer.loading import Braked, Context, Ending, Loading, OnEnd
from syncer.reading import Group, Reader
from syncer.rows import Reject, Typing
from syncer.sources import Page, Whole
from syncer.warehouses import Transaction, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

PATIENCE_S = 0.05  # how long the warehouse is kept while no page comes


@attrs.frozen(kw_only=True)
class Progress:
    """Where a pull is; handed to `on_progress` with each page, in the thread that reads."""

    mapping: str
    read: int
    pages: int
    scope: str
    seconds: float


OnProgress = Callable[[Progress], None]


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
    on_wait: Callable[[str], None] | None = None  # called with the warehouse's name, and with nothing when it is over
    on_end: OnEnd | None = None  # called in the transaction that ends the run
    has_rejects: bool = False
    pages: int = 0
    records: int = 0
    _open_walks: set[str] = attrs.field(factory=set)  # walks that began in an earlier group
    _told_of_full: str | None = None  # what is to be told of a --full that did not end; None: not looked at yet

    def load(self, pages: Iterator[Page], *, ends_run: bool = True) -> Pulled:
        """
        Load *pages* to their end, group by group; with *ends_run*, the last commit also ends the run.

        Raises: what the source raises; what was read before it is committed first.
        """
        started = self.clock.monotonic()

        def told(page: Page) -> None:
            self.pages += 1
            self.records += len(page.records)
            self._tell(page.scope, self.clock.monotonic() - started)

        reader = Reader(pages, self.typing, clock=self.clock, on_page=told)
        try:
            while True:
                self._wait(reader)
                group, is_last = reader.take()
                if is_last:
                    break
                self.commit(group)
            try:
                reader.check()
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
        self._waits(self.warehouse.name)
        while not self._is_written(group, rows, ends_run=ends_run):
            logger.info("{}: a group of {} rows needs more memory", self.pulled.mapping, rows.num_rows)
        logger.debug("{}: {} rows of a group committed", self.pulled.mapping, rows.num_rows)
        del rows  # closing the file takes memory of its own
        self.warehouse.rest(waiting=ends_run)
        self._waits("")

    def _waits(self, what: str) -> None:
        if self.on_wait is not None:
            self.on_wait(what)

    def _is_written(self, group: Group, rows: pa.Table, *, ends_run: bool) -> bool:
        """Write a group; False where it must be tried again with more memory. What was not kept is not counted."""
        before, walks, told = self.pulled, set(self._open_walks), self._told_of_full
        is_kept = False
        try:
            self._write(group, rows, ends_run=ends_run)
            is_kept = True
        except OutOfMemory:
            if not self.warehouse.grow():
                raise
        finally:
            if not is_kept:
                self.pulled, self._open_walks, self._told_of_full = before, walks, told
        return is_kept

    def _write(self, group: Group, rows: pa.Table, *, ends_run: bool) -> None:
        now = self.clock.now()
        with self.warehouse.transaction() as t:
            self._look_for_full(t, now)
            endings = self._endings(group)
            loaded = self.loading.load(t, rows, states=group.states, endings=endings, is_last=ends_run, now=now)
            self._keep_walks(t, group)
            self._settle_rejects(t, group)
            for brake in loaded.braked:
                self.note_brake(t, brake, now=now)
            if self.context.is_full:
                marks.forget_places(t, group.failed_scopes, owner=self.context.owner)
            marks.put_places(t, group.places, owner=self.context.owner, now=now)
            marks.put_aliases(t, group.survivors(), owner=self.context.owner, now=now)
            self._count(group, loaded.fresh, loaded.inserted, loaded.updated, loaded.gone)
            if ends_run and self.context.is_full:
                marks.forget_places_of_others(t, owner=self.context.owner)
                journal.settle(t, marks.FULL_UNFINISHED, pulled=self.pulled)
            if ends_run and self.on_end is not None:
                ended = self.on_end(t, now)
                notes, rejected = (*self.pulled.notes, *ended.notes), self.pulled.rejected + ended.rejected
                self.pulled = attrs.evolve(self.pulled, notes=notes, landed=ended.landed, rejected=rejected)
            if ends_run:
                marks.end_walks(t, "run:", owner=self.context.owner)
                notes = (*self.pulled.notes, *([self._told_of_full] if self._told_of_full else []))
                self.pulled = attrs.evolve(self.pulled, status=journal.DONE, notes=notes)
            journal.update(t, self.pulled, now=now)

    def _look_for_full(self, t: Transaction, now: dt.datetime) -> None:
        """Find out, once and before the first place is put, whether a --full before this plain pull did not end."""
        if self._told_of_full is not None or self.pulled.mode != journal.INCREMENTAL:
            return
        inbound = self.context.mapping.inbound
        self._told_of_full = marks.meet_unfinished_full(
            t, owner=self.context.owner, pulled=self.pulled, version=inbound.version if inbound else None, now=now
        )

    def _wait(self, reader: Reader) -> None:
        """Wait for a group. The warehouse is let go while no page comes, and now and then for others."""
        before = reader.pages
        while not reader.wait(PATIENCE_S):
            self.warehouse.rest(waiting=reader.pages == before)
            before = reader.pages

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
                endings.append(Ending.of(whole, whole.values, walk=marks.walk_of(scope)))
        for (columns, within, absent), values in together.items():
            whole = Whole(columns=columns, within=within, absent=absent, values=())
            endings.append(Ending.of(whole, list(values)))
        return endings

    def _keep_walks(self, t: Transaction, group: Group) -> None:
        """Keep the keys of walks that go on in a later group; forget those that ended or began anew."""
        begun = {scope for scope, whole in group.wholes if whole.first}
        for scope, whole in dict(group.wholes).items():
            walk = marks.walk_of(scope)
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
        self.pulled = attrs.evolve(
            self.pulled, rejected=self.pulled.rejected + 1, braked=self.pulled.braked + brake.ending
        )

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

    def _tell(self, scope: str, seconds: float) -> None:
        if self.on_progress is not None:
            self.on_progress(
                Progress(
                    mapping=self.pulled.mapping, read=self.records, pages=self.pages, scope=scope, seconds=seconds
                )
            )
