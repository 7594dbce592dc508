"""
The way out: rows that changed become a plan. The warehouse finds them, the API's records are read a batch at a time,
each field is compared three ways, and the plan is stored as it is made.

The warehouse is let go while the API is asked, and memory holds some hundred rows. Not here: which columns are pushed
(`wanting.py`), the diff (`relation.py`), what becomes of a row (`deciding.py`), rows that collide (`colliding.py`),
limits (`limits.py`), sending (`apply.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import orjson

from syncer import colliding, declined, emptied, plan, plans, relation, snapshots, values, wanting
from syncer.ahead import ahead
from syncer.clock import Clock
from syncer.deciding import LEAVE, Decided, Deciding, Row
from syncer.errors import OutOfMemory, SyncerError, UsageError
from syncer.forgotten import Barred
from syncer.linking import Linking
from syncer.mapping import EntityMapping, Outbound
from syncer.plan import Change, Checksum
from syncer.plans import Header, Problem
from syncer.relation import Differing, Wanted
from syncer.target import BATCH, Found, Shape, Target, Typing
from syncer.values import Type
from syncer.wanting import RECORD_IDS
from syncer.warehouses import Transaction, Warehouse

ROWS_AT_ONCE = 1_000
TIMES_AT_ONCE = 50  # records whose times are read at once
WORKERS = 4
T = TypeVar("T")
OnProgress = Callable[[int, int], None]  # rows looked at, of how many
Looked = tuple[Row, Found | None, Decided]


@attrs.define(kw_only=True)
class Planning:
    """One plan of one mapping, under way."""

    mapping: EntityMapping
    environment: str
    account: str
    target: Target
    warehouse: Warehouse
    clock: Clock
    verb: str = "push"
    others: Mapping[str, Outbound] = attrs.field(factory=dict)  # the ways out to other kinds, by kind
    barred: Mapping[str, Barred] = attrs.field(factory=dict)  # whom nobody may make again, by kind
    is_rehearsal: bool = False
    again: frozenset[str] = frozenset()  # keys of rows whose create was reverted, and that are made again
    on_progress: OnProgress | None = None
    workers: int = WORKERS
    _checksum: Checksum = attrs.field(factory=Checksum)
    _number: int = 0
    _found: int = 0
    _cleared: Counter[str] = attrs.field(factory=Counter)  # by property, records that lose their value

    @property
    def outbound(self) -> Outbound:
        """The mapping's way out."""
        assert self.mapping.outbound is not None
        return self.mapping.outbound

    def make(self) -> Header:
        """Make and store a plan; return its header. Raises: UsageError: the relation, its key or a column is wrong."""
        reference = wanting.reference_of(self.mapping)
        wanting.check_words(self.mapping.name, self.outbound)
        types = wanting.types_of(self.warehouse, self.mapping.name, reference)
        wanting.check_columns(self.mapping.name, self.outbound, types)
        shape = self.target.shape(self.outbound.kind)
        wanting.check_key(self.mapping.name, shape, self.outbound)
        wanting.check_fields(self.mapping.name, shape, self.outbound)
        linking = Linking.of(self.outbound, self.target, self.others, is_rehearsal=self.is_rehearsal)
        linking.check(types, reference)
        linking.barred = self.barred
        wanted, left = wanting.choose(reference, types, shape, self.outbound)
        header, differing = self._with_room(lambda: self._begun(wanted, left, types))
        try:
            return self._made(header, wanted, differing, shape, linking)
        except SyncerError:
            with contextlib.suppress(SyncerError), self.warehouse.transaction() as t:
                _drop(t, header.plan)
            raise
        finally:
            plans.let_go(header.plan)

    def _made(self, header: Header, wanted: Wanted, differing: Differing, shape: Shape, linking: Linking) -> Header:
        deciding = Deciding(self.outbound, shape)
        looked_at, read_at = 0, None
        for rows in self._batches(header, wanted, shape.typing(wanted.properties), differing):
            self.warehouse.rest(waiting=True)
            moment = self.clock.now()
            read_at = read_at or moment
            allowed, forgotten = self._parted(rows)
            looked = linking.decide(self._looked(deciding, shape, allowed), deciding.rule)
            self._store(header, [*looked, *forgotten], shape, read_at=moment)
            looked_at += len(rows)
            if self.on_progress is not None:
                self.on_progress(looked_at, differing.copied)
        self._with_room(lambda: self._settle_claims(header, shape))
        for late in linking.late(self.warehouse, header, deciding.rule, number=self._number, clock=self.clock):
            self._checksum.add(change.digest(header.mapping, header.environment) for change in late)
        return self._ended(header, wanted, differing, read_at)

    def _with_room(self, do: Callable[[], T]) -> T:
        """Do one transaction; where the warehouse ran out of memory, again with more of it."""
        while True:
            try:
                return do()
            except OutOfMemory:
                if not self.warehouse.grow():
                    raise

    def _begun(self, wanted: Wanted, left: Mapping[str, str], types: dict[str, Type]) -> tuple[Header, Differing]:
        now = self.clock.now()
        header = Header(
            plan=plans.new_plan(),
            mapping=self.mapping.name,
            environment=self.environment,
            account=self.account,
            verb=self.verb,
            made_at=now,
            settings=plans.words_of(self.outbound),
            left_columns=left,
            pid=os.getpid(),
            host=socket.gethostname(),
        )
        with self.warehouse.transaction() as t:
            for table in (*plans.TABLES, *snapshots.TABLES, colliding.claims_table(header.plan)):
                t.create(table)
            declined.check(t, self.again, mapping=self.mapping.name, environment=self.environment)
            declined.check_rows(t, self.again, wanted, types, mapping=self.mapping.name)
            differing = relation.find(
                t, wanted, types, plan=header.plan, mapping=self.mapping.name, environment=self.environment
            )
            header = attrs.evolve(
                header,
                relation_rows=differing.rows,
                unchanged_rows=differing.equal,
                known_rows=differing.known,
                missing_rows=differing.missing,
                standing_rejects=differing.standing_rejects,
            )
            plans.insert(t, header)
        return header, differing

    def _batches(self, header: Header, wanted: Wanted, typing: Typing, differing: Differing) -> Iterator[list[Row]]:
        """
        Yield the copied rows, typed, a thousand at once; rows with one key come as one, wherever they stand.

        The last row is held back until the next one has another key. Memory holds at most two thousand.
        """
        held: list[Row] = []
        after = 0
        while after < differing.last:
            limit = ROWS_AT_ONCE + (not after)  # one more at first, since one is held back
            with self.warehouse.transaction() as t:
                found = relation.batch(
                    t,
                    wanted,
                    plan=header.plan,
                    mapping=header.mapping,
                    environment=header.environment,
                    after=after,
                    limit=limit,
                )
            after += limit
            for each in found:
                row = declined.asked_again(_row(each, wanted, typing), self.again)
                if held and row.key == held[-1].key:
                    held[-1] = attrs.evolve(held[-1], times=held[-1].times + 1)
                else:
                    held.append(row)
            if len(held) > ROWS_AT_ONCE:
                yield held[:ROWS_AT_ONCE]
                del held[:ROWS_AT_ONCE]
        if held:
            yield held

    def _looked(self, deciding: Deciding, shape: Shape, rows: Sequence[Row]) -> list[Looked]:
        """Read the records of rows, and decide about each."""
        properties = {name for row in rows for name in (*row.values, *(row.agreed or {})) if name in shape.properties}
        is_read = [_is_usable(row) and not self._is_unasked(deciding, row) for row in rows]
        asked = [row for row, reads in zip(rows, is_read, strict=True) if reads]
        ids = [id for row in asked for id in (row.given_id, row.known_id) if id is not None]
        by_id = self._read(ids, None, sorted(properties))
        by_key: dict[str, Found] = {}
        match_on = self.outbound.match_on
        if match_on is not None:
            keys = [
                row.key
                for row in asked
                if row.key is not None
                and row.row_hash is not None
                and (row.id is None or deciding.asks_for_key(row, by_id.get(row.id)))
            ]
            by_key = self._read(keys, match_on, sorted(properties))
        by_id = self._timed(deciding, asked, by_id)
        looked: list[Looked] = []
        for row, reads in zip(rows, is_read, strict=True):
            if not reads and _is_usable(row):
                self._found += row.row_hash is not None
                looked.append((row, None, deciding.unasked(row)))
                continue
            found = by_id.get(row.id) if row.id is not None else by_key.get(row.key or "")
            self._found += found is not None and not found.is_archived
            row = _with_times(deciding, row, found)
            known = by_id.get(row.known_id or "")
            also = by_key.get(row.key or "") if row.id is not None else None
            decided = deciding.decide(row, found, known=known, by_key=also)
            if also is not None and decided.row.id == also.id and decided.row.outcome != plan.REJECTED:
                row, found = attrs.evolve(row, agreed=None), also  # its record was made anew
            looked.append((deciding.of_its_record(row, found, known=known), found, decided))
        return self._without_taken(self._without_forgotten(looked), shape)

    def _parted(self, rows: Sequence[Row]) -> tuple[list[Row], list[Looked]]:
        """Take out the rows of those who were forgotten: each is a reject without its key, its id or a value of it."""
        barred = self.barred.get(self.outbound.kind)
        if barred is None:
            return list(rows), []
        allowed = [row for row in rows if not (barred(row.key, row.given_id) or barred(None, row.known_id))]
        kept = {id(row) for row in allowed}
        return allowed, [_forgotten(barred, row, row.id) for row in rows if id(row) not in kept]

    def _without_forgotten(self, looked: Sequence[Looked]) -> list[Looked]:
        """Take out the rows whose key leads to the record of somebody who was forgotten."""
        barred = self.barred.get(self.outbound.kind)
        if barred is None:
            return list(looked)
        return [
            _forgotten(barred, row, found.id)
            if found is not None and barred(None, found.id)
            else (row, found, decided)
            for row, found, decided in looked
        ]

    def _is_unasked(self, deciding: Deciding, row: Row) -> bool:
        """Tell whether a row comes to the same whatever its record holds."""
        if row.row_hash is None:
            return self.outbound.on_missing == LEAVE
        return deciding.is_as_agreed(row)

    def _timed(self, deciding: Deciding, rows: Sequence[Row], by_id: Mapping[str, Found]) -> dict[str, Found]:
        """Read when fields last changed, of those records and fields only where that decides."""
        waiting: dict[str, list[str]] = {}
        for row in rows:
            found = by_id.get(row.id or "")
            if found is not None and not found.is_archived and row.changed_at is not None and row.row_hash is not None:
                fields = deciding.waits_for_times(row, found)
                if fields:
                    waiting[found.id] = sorted({*waiting.get(found.id, ()), *fields})
        ids = list(waiting)
        parts = [ids[at : at + TIMES_AT_ONCE] for at in range(0, len(ids), TIMES_AT_ONCE)]
        kind = self.outbound.kind

        def read(part: Sequence[str]) -> Mapping[str, Found]:
            return self.target.moved(kind, part, sorted({name for id in part for name in waiting[id]}))

        timed: dict[str, Found] = {}
        for answer in ahead(read, parts, workers=self.workers):
            timed.update(answer)
        return {
            asked: attrs.evolve(
                found,
                properties={**found.properties, **timed[found.id].properties},
                moved_at=timed[found.id].moved_at,
            )
            if found.id in timed
            else found
            for asked, found in by_id.items()
        }

    def _without_taken(self, looked: Sequence[Looked], shape: Shape) -> list[Looked]:
        """Reject rows that write a value to a unique property which another record of the target holds."""
        writes: dict[str, dict[str, list[int]]] = {}
        for at, (_, _, decided) in enumerate(looked):
            for change in decided.changes:
                for name, edit in change.fields.items():
                    if edit.after and name != self.outbound.match_on and shape.properties[name].is_unique:
                        writes.setdefault(name, {}).setdefault(edit.after, []).append(at)
        done = list(looked)
        for name, by_value in writes.items():
            for value, holder in self._read(list(by_value), name, ()).items():
                for at in by_value[value]:
                    row, found, decided = done[at]
                    if not any(change.id == holder.id for change in decided.changes):
                        reason = f"Record {holder.id} has this value, and {name} is unique."
                        problem = Problem(kind=plan.REJECTED, field=name, reason=reason, ours=value)
                        done[at] = (row, found, _rejected(decided, problem))
        return done

    def _read(self, keys: Sequence[str], by: str | None, properties: Sequence[str]) -> dict[str, Found]:
        unique = list(dict.fromkeys(keys))
        parts = [unique[at : at + BATCH] for at in range(0, len(unique), BATCH)]
        kind = self.outbound.kind
        found: dict[str, Found] = {}
        for answer in ahead(
            lambda part: self.target.find(kind, part, by=by, properties=properties), parts, workers=self.workers
        ):
            found.update(answer)
        return found

    def _store(self, header: Header, looked: Sequence[Looked], shape: Shape, *, read_at: dt.datetime) -> None:
        """Number the changes of a batch, and write them, its rows, and what they claim."""
        changes: list[Change] = []
        for _, _, decided in looked:
            first = self._number
            for change in decided.changes:
                self._number += 1
                after = tuple(first + number for number in change.after)  # numbered from 1 within the row
                changes.append(attrs.evolve(change, number=self._number, after=after))
        self._checksum.add(change.digest(header.mapping, header.environment) for change in changes)
        self._cleared.update(emptied.cleared(changes))
        claims = [claim for row, found, decided in looked for claim in colliding.claims(row, found, decided, shape)]
        with self.warehouse.transaction() as t:
            if not plans.is_there(t, header.plan):
                raise UsageError("Somebody was forgotten while this plan was made.", hint="Run it again.")
            plans.add(t, header, changes=changes, rows=[decided.row for _, _, decided in looked], read_at=read_at)
            if claims:
                colliding.add(t, header.plan, claims)

    def _settle_claims(self, header: Header, shape: Shape) -> None:
        with self.warehouse.transaction() as t:
            if colliding.settle(t, header, shape, match_on=self.outbound.match_on):
                self._checksum = colliding.counted(t, header)

    def _ended(self, header: Header, wanted: Wanted, differing: Differing, read_at: dt.datetime | None) -> Header:
        with self.warehouse.transaction() as t:
            ended = attrs.evolve(
                header,
                state=plans.PLANNED,
                trips=emptied.trips(t, wanted, differing, self._cleared, self.outbound.limits),
                read_at=read_at,
                found_rows=self._found + differing.equal,
                changes=self._checksum.count,
                checksum=str(self._checksum),
            )
            plans.update(t, ended)
            _drop(t, header.plan)
        self.warehouse.rest(waiting=True)
        return ended


def _forgotten(barred: Barred, row: Row, id: str | None) -> Looked:
    kept = Row(key=None, row_hash=row.row_hash)  # without a key it claims nothing
    return kept, None, Decided(barred.row(row.key, id, times=row.times))


def _is_usable(row: Row) -> bool:
    return row.key is not None and row.times == 1 and not row.unfit


def _rejected(decided: Decided, problem: Problem) -> Decided:
    problems = (*decided.row.problems, problem)
    return Decided(attrs.evolve(decided.row, outcome=plan.REJECTED, problems=problems, row_hash=""))


def _with_times(deciding: Deciding, row: Row, found: Found | None) -> Row:
    """Say of each field that waits for it whether our row is later than their last change."""
    if found is None or not found.moved_at or row.changed_at is None:
        return row
    newer: dict[str, bool | None] = {}
    for name in deciding.waits_for_times(row, found):
        theirs = _moment(found.moved_at.get(name))
        newer[name] = None if theirs is None or theirs == row.changed_at else row.changed_at > theirs
    return attrs.evolve(row, is_newer=newer)


def _drop(t: Transaction, of_plan: str) -> None:
    """Drop what stands beside a plan while it is made."""
    relation.drop(t, of_plan)
    t.drop(colliding.claims_table(of_plan))


def _row(each: Mapping[str, Any], wanted: Wanted, typing: Typing) -> Row:
    """Make the row of a copied one."""
    given = each.get(wanted.id) if wanted.id else None
    is_row = each[relation.HASH] is not None
    own = [each[column] for column in wanted.columns]
    if wanted.key in wanted.columns and isinstance(each[wanted.key], str):  # the key is written as it is looked for
        own[wanted.columns.index(wanted.key)] = each[wanted.key].strip(" ")
    known, unfit = typing(own) if is_row else ({}, ())
    key = each[relation.KEY]
    if not wanted.id and key is not None and wanted.key in RECORD_IDS:
        given = key
    return Row(
        key=key,
        row_hash=each[relation.HASH],
        base=each[relation.BASE],
        known_id=each[relation.ID],
        given_id=_id(given),
        state=each[relation.STATE_THEN],
        values=known,
        unfit=unfit,
        links={column: each[column] for column in wanted.links} if is_row else {},
        agreed=orjson.loads(each["agreed"]) if each["agreed"] else None,
        changed_at=_moment(each[wanted.extra[0]]) if wanted.extra and is_row else None,
        is_renamed=each[relation.WAS] is not None,
    )


def _id(value: Any) -> str | None:
    """Return a record's id as text: 17 of a decimal 17.000000000."""
    if isinstance(value, float | decimal.Decimal):
        value = f"{decimal.Decimal(value):f}"
        value = value.rstrip("0").rstrip(".") if "." in value else value
    return (str(value).strip() or None) if value is not None else None


def _moment(value: Any) -> dt.datetime | None:
    """Read a row's own time, or the API's, to the millisecond that both keep; None: there is none that can be read."""
    if isinstance(value, str):
        try:
            value = values.timestamp(value.strip())
        except ValueError:
            return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime):
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return aware.astimezone(dt.UTC).replace(microsecond=aware.microsecond // 1000 * 1000)
