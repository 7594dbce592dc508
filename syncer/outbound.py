"""
The way out: rows that changed become a plan. The warehouse finds them, the API's records are read a batch at a time,
each field is compared three ways, and the plan is stored as it is made.

The warehouse is let go while the API is asked, and memory holds some hundred rows. Not here: the diff (`relation.py`),
what becomes of a row (`deciding.py`), limits (`limits.py`), sending (`apply.py`).
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import plans, relation, snapshots
from syncer.ahead import ahead
from syncer.clock import Clock
from syncer.deciding import Decided, Deciding, Row
from syncer.errors import UsageError, WarehouseError
from syncer.mapping import EntityMapping, Outbound
from syncer.plan import Change, Checksum
from syncer.plans import Header
from syncer.relation import Differing, Wanted
from syncer.target import BATCH, Found, Shape, Target, Typing
from syncer.values import Type
from syncer.warehouses import Warehouse

ROWS_AT_ONCE = 1_000
RECORD_IDS = ("hs_object_id", "id")  # columns that name a row's record, the first that is there
WORKERS = 4
OnProgress = Callable[[int, int], None]  # rows looked at, of how many


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
    on_progress: OnProgress | None = None
    workers: int = WORKERS
    _checksum: Checksum = attrs.field(factory=Checksum)
    _number: int = 0
    _found: int = 0

    @property
    def outbound(self) -> Outbound:
        """The mapping's way out."""
        assert self.mapping.outbound is not None
        return self.mapping.outbound

    def make(self) -> Header:
        """Make and store a plan; return its header. Raises: UsageError: the relation, its key or a column is wrong."""
        shape = self.target.shape(self.outbound.kind)
        header, wanted, differing = self._begun(shape)
        deciding = Deciding(self.outbound, shape)
        typing = shape.typing(wanted.columns)
        looked_at, read_at = 0, None
        for after in range(0, _numbers(differing), ROWS_AT_ONCE):
            rows = list(self._rows(header, wanted, typing, after))
            self.warehouse.rest(waiting=True)
            moment = self.clock.now()
            read_at = read_at or moment
            decided = self._decided(deciding, shape, rows)
            self._store(header, decided, read_at=moment)
            looked_at += len(rows)
            if self.on_progress is not None:
                self.on_progress(looked_at, differing.copied)
        return self._ended(header, differing, read_at)

    def _begun(self, shape: Shape) -> tuple[Header, Wanted, Differing]:
        reference = self.outbound.relation
        if not reference:
            raise UsageError(
                f"{self.mapping.name} has no relation to push.",
                hint=f'Name a table or view in syncer.toml: ["{self.mapping.name}"] relation = "stage.…".',
            )
        now = self.clock.now()
        with self.warehouse.transaction() as t:
            for table in (*plans.TABLES, *snapshots.TABLES):
                t.create(table)
            try:
                types = relation.columns_of(t, reference)
            except WarehouseError as error:
                raise UsageError(f"The relation of {self.mapping.name} cannot be read. {error.message}") from error
            wanted, left = self._wanted(reference, types, shape)
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
        return header, wanted, differing

    def _wanted(self, reference: str, types: Mapping[str, Type], shape: Shape) -> tuple[Wanted, dict[str, str]]:
        """Say which columns are pushed, and why the others are not."""
        words = self.outbound
        ids = [column for column in RECORD_IDS if column in types]
        key = words.match_on or (ids[0] if ids else "")
        if not key or key not in types:
            raise UsageError(
                f"{reference} has no column {key or 'hs_object_id'} to find records by.",
                hint=f"It has: {', '.join(types)}. Name the unique property in match_on.",
            )
        self._check_key(shape)
        apart = {key, *ids, words.changed_at, *(edge.column for edge in words.edges)}
        pushed, left = [], {}
        for column in types:
            found = shape.properties.get(column)
            if column == words.match_on or (column not in apart and found is not None and not found.why_not):
                pushed.append(column)
            elif column.startswith("dss_"):
                left[column] = "the warehouse's own"
            elif column not in apart:
                left[column] = "no such property" if found is None else found.why_not
        is_email = words.match_on == "email"
        return (
            Wanted(
                reference=reference,
                columns=sorted(pushed),
                key=key,
                id=ids[0] if ids and words.match_on else "",
                is_lower=is_email,
                extra=[words.changed_at] if words.changed_at else [],
                version=shape.version,
            ),
            left,
        )

    def _check_key(self, shape: Shape) -> None:
        match_on = self.outbound.match_on
        if match_on is None:
            return
        found = shape.properties.get(match_on)
        if found is None or not found.is_unique:
            what = "has no property" if found is None else "holds no unique values in its property"
            raise UsageError(
                f"{self.mapping.name}: {shape.kind} {what} {match_on}, which match_on names.",
                hint="`syncer run hubspot.create_properties --dry-run` shows how it would be made.",
            )

    def _rows(self, header: Header, wanted: Wanted, typing: Typing, after: int) -> Iterator[Row]:
        """Yield the next copied rows, typed; rows with one key come as one."""
        with self.warehouse.transaction() as t:
            found = relation.batch(
                t,
                wanted,
                plan=header.plan,
                mapping=header.mapping,
                environment=header.environment,
                after=after,
                limit=ROWS_AT_ONCE,
            )
        last: Row | None = None
        for each in found:
            row = _row(each, wanted, typing)
            if last is not None and row.key == last.key and row.row_hash is not None:
                last = attrs.evolve(last, times=last.times + 1)
                continue
            if last is not None:
                yield last
            last = row
        if last is not None:
            yield last

    def _decided(self, deciding: Deciding, shape: Shape, rows: Sequence[Row]) -> list[Decided]:
        """Read the records of rows, and decide about each."""
        properties = sorted(
            {name for row in rows for name in row.values} | {name for row in rows for name in row.agreed or {}}
        )
        properties = [name for name in properties if name in shape.properties]
        match_on = self.outbound.match_on
        usable = [row for row in rows if row.key is not None and row.times == 1 and not row.unfit]
        by_id = self._read([row.id for row in usable if row.id is not None], None, properties)
        by_key: dict[str, Found] = {}
        if match_on is not None:
            asked = [row.key for row in usable if row.id is None and row.row_hash is not None and row.key is not None]
            by_key = self._read(asked, match_on, properties)
        decided = []
        for row in rows:
            found = by_id.get(row.id) if row.id is not None else by_key.get(row.key or "")
            self._found += found is not None and not found.is_archived
            decided.append(deciding.decide(row, found))
        return decided

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

    def _store(self, header: Header, decided: Sequence[Decided], *, read_at: dt.datetime) -> None:
        """Number the changes of a batch, and write them and its rows."""
        changes: list[Change] = []
        for each in decided:
            first = self._number
            for change in each.changes:
                self._number += 1
                after = tuple(first + number for number in change.after)  # numbered from 1 within the row
                changes.append(attrs.evolve(change, number=self._number, after=after))
        self._checksum.add(change.digest(header.mapping, header.environment) for change in changes)
        with self.warehouse.transaction() as t:
            plans.add(t, header, changes=changes, rows=[each.row for each in decided], read_at=read_at)

    def _ended(self, header: Header, differing: Differing, read_at: dt.datetime | None) -> Header:
        ended = attrs.evolve(
            header,
            state=plans.PLANNED,
            read_at=read_at,
            found_rows=self._found + differing.equal,
            changes=self._number,
            checksum=str(self._checksum),
        )
        with self.warehouse.transaction() as t:
            plans.update(t, ended)
            relation.drop(t, header.plan)
        self.warehouse.rest(waiting=True)
        return ended


def _numbers(differing: Differing) -> int:
    """Return how far the numbers of copied rows go: some were dropped since they were given."""
    return differing.copied + differing.standing_rejects + differing.missing + 1


def _row(each: Mapping[str, Any], wanted: Wanted, typing: Typing) -> Row:
    """Make the row of a copied one."""
    given = each.get(wanted.id) if wanted.id else None
    is_row = each[relation.HASH] is not None
    values, unfit = typing([each[column] for column in wanted.columns]) if is_row else ({}, ())
    key = each[relation.KEY]
    if not wanted.id and key is not None and wanted.key in RECORD_IDS:
        given = key
    return Row(
        key=key,
        row_hash=each[relation.HASH],
        base=each[relation.BASE],
        known_id=each[relation.ID],
        given_id=str(given) if given not in (None, "") else None,
        state=each[relation.STATE_THEN],
        values=values,
        unfit=unfit,
        agreed=orjson.loads(each["agreed"]) if each["agreed"] else None,
    )
