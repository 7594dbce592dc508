"""
Both sides of a mapping compared, whole or a sample, and nothing written to the API: what is agreed, what a push has
still to do, what was left alone, and what nothing explains. One runs it weekly, to know that nothing was quietly lost.

Records are read a hundred at a time; what is not plainly agreed is looked up in the journal, and only what that cannot
tell costs a history. No lease is needed: what somebody writes meanwhile is told as that. Not here: what is said of a
row (`judging.py`), the warehouse's side (`evidence.py`), how it is shown (`reports/verified.py`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import socket
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import (
    aging,
    conflicts,
    evidence,
    forgetting_pushed,
    marks,
    notifying,
    plans,
    pushing,
    shape,
    snapshots,
    wanting,
)
from syncer.ahead import ahead
from syncer.clock import SystemClock
from syncer.deciding import Decided, Row
from syncer.engine import doors_of
from syncer.errors import UsageError
from syncer.evidence import Extent, Whole, Written
from syncer.executing import Executing, Request, lease_name
from syncer.forgotten import STANDS_FOR, Barred
from syncer.judging import (
    AGREED,
    UNEXPLAINED,
    VERDICTS,
    Item,
    Judged,
    Judging,
    Known,
    judge_forgotten,
    judge_stray,
)
from syncer.linking import Linking
from syncer.mapping import EntityMapping
from syncer.outbound import _id, _row
from syncer.plans import Header
from syncer.relation import ID, KEY, Wanted
from syncer.settings import Settings, load
from syncer.target import BATCH, Found, Shape, Typing
from syncer.transport import Doors
from syncer.wanting import RECORD_IDS
from syncer.warehouses import Transaction

ROWS_AT_ONCE = 1_000
HISTORIES_AT_ONCE = 50
VERIFY = "verify"
KEPT = 1_000  # unexplained records that a `Verified` holds; `on_unexplained` is told of all
OnProgress = Callable[[str, int, int], None]  # mapping, rows looked at, of how many
OnUnexplained = Callable[["Told"], None]


@attrs.frozen(kw_only=True)
class Verified:
    """
    What came of comparing both sides; iterate over it for the unexplained records (the first thousand).

    counts: rows by verdict, each once; causes: the same by verdict and cause, where a row may have several.
    rows: of the relation; sample: how many of them were asked for, None: all. seed: which ones.
    personal: properties whose values are not shown; hides_key: the key is one.
    """

    mapping: str
    environment: str
    rows: int = 0
    sample: int | None = None
    seed: str = ""
    counts: Mapping[str, int] = attrs.field(factory=dict)
    causes: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    records: tuple[Judged, ...] = ()
    requests: int = 0
    notes: tuple[str, ...] = ()
    personal: frozenset[str] = frozenset()
    hides_key: bool = False

    @property
    def read(self) -> int:
        """All rows that were looked at: the sum of the counts."""
        return sum(self.counts.values())

    @property
    def unexplained(self) -> int:
        """How many rows nothing explains."""
        return self.counts.get(UNEXPLAINED, 0)

    @property
    def exit_code(self) -> int:
        """3 where something is unexplained, or rejects or conflicts are left; else 0."""
        return 3 if any(self.counts.get(each) for each in ("unexplained", "conflicts", "rejects")) else 0

    def __iter__(self) -> Iterator[Judged]:
        return iter(self.records)

    def __str__(self) -> str:
        told = ", ".join(f"{self.counts.get(each, 0):,} {each.replace('_', ' ')}" for each in reversed(VERDICTS))
        what = f"{self.read:,} of {self.rows:,} rows" if self.sample is not None else f"{self.read:,} rows"
        return f"verify {self.mapping}: {what}: {told}; {self.requests:,} requests"


@attrs.frozen(kw_only=True)
class Told:
    """An unexplained record as it is found, and what may not be shown of it."""

    mapping: str
    record: Judged
    personal: frozenset[str]
    hides_key: bool


def verify(
    name: str | Sequence[str],
    *,
    settings: Settings | None = None,
    doors: Doors | None = None,
    sample: int | None = None,
    on_progress: OnProgress | None = None,
    on_unexplained: OnUnexplained | None = None,
) -> list[Verified]:
    """
    Compare both sides of the mappings that *name* names, and write nothing to the API; return what came of each.

    sample: how many rows of each; those of a day are the same ones, and all that something is open about are with
    them. Raises: UsageError; what the warehouse and the source raise.
    """
    if sample is not None and sample < 1:
        raise UsageError(f"--sample is {sample}; it is a number from 1 on.")
    settings = settings or load()
    doors = doors or doors_of(settings, SystemClock())
    chosen = pushing.chosen_of(name, settings)
    done: list[Verified] = []
    with notifying.Watch(VERIFY, asked=[each.name for each in chosen], settings=settings, doors=doors) as watch:
        for source in dict.fromkeys(mapping.source for mapping in chosen):
            with pushing.executing(source, settings=settings, request=Request(is_rehearsal=True), doors=doors) as run:
                for mapping in chosen:
                    if mapping.source == source:
                        verifying = _Verifying(
                            mapping=mapping,
                            run=run,
                            sample=sample,
                            on_progress=on_progress,
                            on_unexplained=on_unexplained,
                        )
                        done.append(verifying.whole())
                        watch.add(notifying.of_verified(done[-1]))
    return done


@attrs.define(kw_only=True)
class _Verifying:
    """One mapping being verified."""

    mapping: EntityMapping
    run: Executing
    sample: int | None
    on_progress: OnProgress | None
    on_unexplained: OnUnexplained | None
    _counts: Counter[str] = attrs.field(factory=Counter)
    _causes: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    _records: list[Judged] = attrs.field(factory=list)

    def whole(self) -> Verified:
        """Compare all that is asked for."""
        outbound, before = pushing.out_of(self.mapping), self.run.target.requests
        found = self.run.target.shape(outbound.kind)
        began_at = self.run.doors.clock.now()
        whole = Whole(
            name=plans.new_plan(),
            mapping=self.mapping.name,
            environment=self.run.settings.environment,
            sample=self.sample,
            seed=began_at.date().isoformat(),
        )
        is_pushing = self._is_pushing()
        others = pushing.going_out(self.mapping.source, self.run.settings)
        linking = Linking.of(outbound, self.run.target, others, is_rehearsal=True)
        linking.barred = pushing.barred_of(self.run, self.mapping)
        barred = linking.barred.get(outbound.kind, Barred())
        wanted, extent = self._copied(whole, found, linking, barred)
        personal = frozenset(name for name, each in found.properties.items() if each.is_personal)
        told = Told(
            mapping=self.mapping.name,
            record=Judged(key="", id=None, verdict=AGREED),
            personal=personal,
            hides_key=outbound.match_on in personal,
        )
        try:
            reading = _Reading(
                run=self.run,
                whole=whole,
                wanted=wanted,
                shape=found,
                judging=Judging(outbound, found),
                linking=linking,
                match_on=outbound.match_on,
                began_at=began_at,
                is_pushing=self._is_pushing,
                barred=barred,
            )
            self._compare(reading, extent, told)
        finally:
            plans.let_go(whole.name)
            with self.run.warehouse.transaction() as t:
                forgetting_pushed.drop(t, whole.name)
            self.run.warehouse.rest(waiting=True)
        note = "somebody was writing such records meanwhile; what that touched is told as such"
        return Verified(
            mapping=whole.mapping,
            environment=whole.environment,
            rows=extent.rows,
            sample=self.sample,
            seed=whole.seed if self.sample is not None else "",
            counts={each: self._counts[each] for each in VERDICTS},
            causes={each: self._causes_of(each) for each in VERDICTS},
            records=tuple(self._records),
            requests=self.run.target.requests - before,
            notes=(note,) if is_pushing or self._is_pushing() else (),
            personal=personal,
            hides_key=told.hides_key,
        )

    def _causes_of(self, verdict: str) -> dict[str, int]:
        return {cause: count for (each, cause), count in self._causes.most_common() if each == verdict}

    def _is_pushing(self) -> bool:
        name = lease_name(f"{self.mapping.source}.{pushing.out_of(self.mapping).kind}", self.run.settings.environment)
        return name in self.run.warehouse.leases()

    def _copied(self, whole: Whole, found: Shape, linking: Linking, barred: Barred) -> tuple[Wanted, Extent]:
        """
        Copy both sides as they are here, and say what is compared; like a plan that is being made, it has a header, by
        which what a kill leaves of it is found. Raises UsageError: the relation is wrong.
        """
        outbound = pushing.out_of(self.mapping)
        reference = wanting.reference_of(self.mapping)
        wanting.check_words(self.mapping.name, outbound)
        wanting.check_key(self.mapping.name, found, outbound)
        wanting.check_fields(self.mapping.name, found, outbound)
        types = wanting.types_of(self.run.warehouse, self.mapping.name, reference)
        now, account = self.run.doors.clock.now(), self.run.identity.account
        with self.run.warehouse.transaction() as t:
            shape.ensure_state(t)
            for table in (*plans.TABLES, *snapshots.TABLES, *conflicts.TABLES):
                shape.ensure(t, table)
        marks.admit(self.run.warehouse.transaction, self.mapping.source, whole.environment, account, now=now)
        with self.run.warehouse.transaction() as t:
            wanting.check_columns(self.mapping.name, outbound, types)
            linking.check(types, reference)
            wanted, _ = wanting.choose(reference, types, found, outbound)
            aging.sweep(t, now=now, mapping=whole.mapping, environment=whole.environment)
            plans.insert(t, self._header(whole, account, now))
            is_theirs = (lambda each: _is_barred(barred, _named(each, wanted))) if barred.is_anybody else None
            extent = evidence.copy(t, wanted, types, whole, is_barred=is_theirs)
        self.run.warehouse.rest(waiting=True)
        return wanted, extent

    def _header(self, whole: Whole, account: str, now: dt.datetime) -> Header:
        return Header(
            plan=whole.name,
            mapping=whole.mapping,
            environment=whole.environment,
            account=account,
            verb=VERIFY,
            made_at=now,
            pid=os.getpid(),
            host=socket.gethostname(),
        )

    def _compare(self, reading: _Reading, extent: Extent, told: Told) -> None:
        items = reading.items(extent)
        looked_at = 0
        while part := list(itertools.islice(items, ROWS_AT_ONCE)):
            self.run.warehouse.rest(waiting=True)
            for judged in reading.judged(part):
                self._take(judged, told)
                looked_at += judged.times
            if self.on_progress is not None:
                self.on_progress(self.mapping.name, looked_at, extent.looked_at)
        for judged in reading.strays():
            self._take(judged, told)

    def _take(self, judged: Judged, told: Told) -> None:
        self._counts[judged.verdict] += judged.times
        for cause in dict.fromkeys(reason.cause for reason in judged.reasons):
            self._causes[judged.verdict, cause] += judged.times
        if judged.verdict == UNEXPLAINED:
            if len(self._records) < KEPT:
                self._records.append(judged)
            if self.on_unexplained is not None:
                self.on_unexplained(attrs.evolve(told, record=judged))


@attrs.frozen(kw_only=True)
class _Reading:
    """Both sides of some rows, read and judged."""

    run: Executing
    whole: Whole
    wanted: Wanted
    shape: Shape
    judging: Judging
    linking: Linking
    match_on: str | None
    began_at: dt.datetime
    is_pushing: Callable[[], bool]
    barred: Barred

    def items(self, extent: Extent) -> Iterator[Item]:
        """Yield the rows; those with one key come as one, wherever they stand."""
        typing = self.shape.typing(self.wanted.properties)
        last: Item | None = None
        for after in range(0, extent.numbers, ROWS_AT_ONCE):
            with self.run.warehouse.transaction() as t:
                self._check_there(t)
                found = evidence.batch(t, self.wanted, self.whole, after=after, limit=ROWS_AT_ONCE)
            for each in found:
                item = self._item(each, typing)
                if last is not None and item.row.key == last.row.key:
                    last = attrs.evolve(last, row=attrs.evolve(last.row, times=last.row.times + 1))
                    continue
                if last is not None:
                    yield last
                last = item
        if last is not None:
            yield last

    def _item(self, each: Mapping[str, Any], typing: Typing) -> Item:
        row = _row(each, self.wanted, typing)
        return Item(
            row=row,
            is_settled=self.judging.is_settled(row, differs=bool(each[evidence.DIFFERS])),
            is_shared=bool(each[evidence.IS_SHARED]),
            is_sending=bool(each[evidence.IS_SENDING]),
            is_written=bool(each[evidence.IS_WRITTEN]),
        )

    def judged(self, items: Sequence[Item]) -> Iterator[Judged]:
        """Read the records of rows, and what else is to be known; yield what is to be said of each."""
        forgotten = {id(item) for item in items if _is_barred(self.barred, item.row)}
        items, theirs = _parted(items, forgotten)
        records = self._records(items)  # nobody is asked for those who were forgotten
        asked = [item for item in items if not self.judging.is_plain(item, _of(item, records))]
        known = self._known(asked, records) if asked else Known()
        in_question = {id(item) for item in asked}
        for item in items:
            found, holder = _of(item, records), known.by_key.get(item.row.key or "")
            if any(each is not None and self.barred(None, each.id) for each in (found, holder)):
                theirs.append(item)
            elif id(item) in in_question:
                yield self.judging.judge(item, found, known)
            else:
                yield Judged(key=item.row.key or "", id=found.id if found else None, verdict=AGREED)
        for item in theirs:
            yield judge_forgotten(self.barred.row(item.row.key, item.row.id, times=item.row.times))

    def strays(self) -> Iterator[Judged]:
        """Yield changes that lead to no row of either side, where their records are live or nobody knows."""
        with self.run.warehouse.transaction() as t:
            self._check_there(t)
            found = evidence.strays(t, self.whole)
        self.run.warehouse.rest(waiting=True)
        found = [each for each in found if not each.key.startswith(STANDS_FOR) and not self.barred(each.key, each.id)]
        if self.is_pushing():
            found = [each for each in found if not each.is_sending]
        live = self._read([each.id for each in found if each.id and not each.is_sending], None, [])
        for each in found:
            record = live.get(each.id or "")
            if each.is_sending or (record is not None and not record.is_archived):
                yield judge_stray(each)

    def _check_there(self, t: Transaction) -> None:
        """Raise UsageError where a forgetting took the copy away, which had the person's row."""
        if not plans.is_there(t, self.whole.name):
            raise UsageError("Somebody was forgotten while both sides were compared.", hint="Run it again.")

    def _records(self, items: Sequence[Item]) -> dict[tuple[bool, str], Found]:
        """Read records by id where one is known, else by key; by whether it was by id, and by what was asked."""
        usable = [item.row for item in items if not self.judging.is_unasked(item.row)]
        properties = self._properties(items)
        ids = [id for row in usable for id in dict.fromkeys((row.given_id, row.known_id)) if id is not None]
        by_id = self._read(ids, None, properties)
        found = {(True, asked): each for asked, each in by_id.items()}
        if self.match_on is not None:
            keys = [row.key for row in usable if row.id is None and row.row_hash is not None and row.key is not None]
            found |= {(False, key): each for key, each in self._read(keys, self.match_on, properties).items()}
        return found

    def _properties(self, items: Sequence[Item]) -> list[str]:
        names = {*self.wanted.properties, *(name for item in items for name in item.row.agreed or {})}
        return sorted(name for name in names if name in self.shape.properties)

    def _known(self, items: Sequence[Item], records: Mapping[tuple[bool, str], Found]) -> Known:
        """Look up what is to be known about rows that are not plainly agreed."""
        for_key = [each.row.key for each in items if self.judging.asks_for_key(each, _of(each, records))]
        by_key = self._read([key for key in for_key if key is not None], self.match_on, self._properties(items))
        moved = [each for each in items if each.row.times == 1 and self.judging.moved_ones(each, _of(each, records))]
        ids = {each.row.known_id for each in items if each.is_shared}
        ids |= {found.id for each in items if (found := _of(each, records)) is not None and found.id != each.row.id}
        hashes = {each.row.key: each.row.row_hash for each in items if each.row.key is not None}
        with self.run.warehouse.transaction() as t:
            standing = evidence.standing(t, self.whole, hashes, version=self.wanted.version, since=self.began_at)
            writes = evidence.last_writes(t, self.whole, [each.row.key for each in moved if each.row.key is not None])
            shared = evidence.known_as(t, self.whole, sorted(each for each in ids if each is not None))
        shared = {id: [key for key in keys if not self.barred(key, None)] for id, keys in shared.items()}
        self.run.warehouse.rest(waiting=True)
        known = Known(
            standing=standing,
            by_key=by_key,
            by_id={asked: found for (is_id, asked), found in records.items() if is_id},
            shared=shared,
            writes=writes,
            moved=self._histories(moved, records, writes),
            is_pushing=any(each.is_sending for each in items) and self.is_pushing(),
            skew=dt.timedelta(seconds=self.run.identity.clock_skew_s),
        )
        return attrs.evolve(known, edges=self._edges(items, records, known)) if self.linking.columns else known

    def _edges(
        self, items: Sequence[Item], records: Mapping[tuple[bool, str], Found], known: Known
    ) -> dict[str, Decided]:
        """Return what the edge columns of rows come to, by key."""
        usable = [each for each in items if not self.judging.is_unasked(each.row)]
        bare = [self.judging.bare(each, _of(each, records), known) for each in usable]
        return {decided.row.key: decided for _, _, decided in self.linking.decide(bare, self.judging.rule)}

    def _histories(
        self,
        items: Sequence[Item],
        records: Mapping[tuple[bool, str], Found],
        writes: Mapping[str, Mapping[str, Written]],
    ) -> dict[str, Found]:
        """Read when properties last changed, of the few that nothing else tells about."""
        names: set[str] = set()
        ids: list[str] = []
        for item in items:
            found = _of(item, records)
            doubtful = self.judging.doubtful(item, found, writes.get(item.row.key or "", {}))
            if doubtful and found is not None:
                names |= set(doubtful)
                ids.append(found.id)
        parts = [ids[at : at + HISTORIES_AT_ONCE] for at in range(0, len(ids), HISTORIES_AT_ONCE)]
        moved: dict[str, Found] = {}
        for part in parts:
            moved.update(self.run.target.moved(self.shape.kind, part, sorted(names)))
        return moved

    def _read(self, asked: Sequence[str], by: str | None, properties: Sequence[str]) -> dict[str, Found]:
        unique = list(dict.fromkeys(asked))
        parts = [unique[at : at + BATCH] for at in range(0, len(unique), BATCH)]
        found: dict[str, Found] = {}
        target, kind = self.run.target, self.shape.kind
        for answer in ahead(lambda part: target.find(kind, part, by=by, properties=properties), parts):
            found.update(answer)
        return found


def _of(item: Item, records: Mapping[tuple[bool, str], Found]) -> Found | None:
    """Return the record of a row among those that were read."""
    row = item.row
    return records.get((True, row.id)) if row.id is not None else records.get((False, row.key or ""))


def _named(each: Mapping[str, Any], wanted: Wanted) -> Row:
    """Return a copied row with what names it, and no values."""
    given = each[wanted.id] if wanted.id else each[KEY] if wanted.key in RECORD_IDS else None
    return Row(key=each[KEY], row_hash=None, known_id=each[ID], given_id=_id(given))


def _is_barred(barred: Barred, row: Row) -> bool:
    """Tell whether a row is of somebody who was forgotten, as far as it says itself; as a push does."""
    return barred(row.key, row.given_id) or barred(None, row.known_id)


def _parted(items: Sequence[Item], which: Container[int]) -> tuple[list[Item], list[Item]]:
    """Part the items with certain identities from the others; return the others first."""
    return [each for each in items if id(each) not in which], [each for each in items if id(each) in which]
