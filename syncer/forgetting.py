"""
Forgetting: a person is erased from the warehouse, and does not come back.

What is personal of a record (its personal columns, and JSON above a personal field) becomes NULL in the load table and
among the offers of the style `delta`; its rejects and findings are deleted; a keyed hash of its key goes into
`syncer.forgotten`, so that a pull leaves those columns blank as long as the source still has the person, and a push
rejects the row instead of making the person again. All that is one transaction. Then the warehouse is rewritten, so
that no byte is left where it can: another run of it finishes what a killed one began.

Where the key is personal itself, the row is deleted, and what comes in under that key later is left out.

What pushes keep of them goes in the same transaction (`forgetting_pushed.py`). Not here: how a file is rewritten
(`rewriting.py`), what a field's treatment is (`privacy.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence

import attrs
from loguru import logger

from syncer import forgotten, journal, mappings, marks, privacy, shape, sources, sql
from syncer.clock import Clock
from syncer.errors import LeaseHeld, UnknownName, UsageError
from syncer.forgetting_pushed import InFlight, Pushed, WayOut
from syncer.forgotten import FORGOTTEN as FORGOTTEN
from syncer.forgotten import Touched as Touched
from syncer.forgotten import merged_pairs
from syncer.forgotten import recalled as recalled
from syncer.journal import PUSHED
from syncer.loading import LOAD_DATE, RECORD_STATE
from syncer.mapping import EntityMapping, Field
from syncer.offers import offers_table
from syncer.privacy import Privacy
from syncer.rows import key_text, key_values
from syncer.settings import Settings
from syncer.sources import GONE
from syncer.tables import Table
from syncer.transport import Doors
from syncer.warehouses import Rewritten, Transaction, Warehouse

# What else of ours has rows of a record, by its key as one text; such rows are deleted whole.
HOLDERS = ((journal.REJECTS, "key"), (journal.FINDINGS, "key"))
# Keys alone: deleted only where the key itself is personal.
KEY_HOLDERS = ((marks.SEEN, "key"), (marks.WALKS, "key"), (marks.ALIASES, "old_id"))
KEYS_A_STATEMENT = 500


@attrs.frozen(kw_only=True)
class Forgotten:
    """
    What forgetting did, or would do.

    records: how many. others: those of them that were merged with who was asked for. columns: what was blanked.
    left: what it does not reach, in sentences. is_rewritten: False in a rehearsal.
    """

    mapping: str
    environment: str
    records: int
    columns: tuple[str, ...]
    touched: tuple[Touched, ...]
    is_rewritten: bool
    left: tuple[str, ...] = ()
    others: int = 0

    def __str__(self) -> str:
        what = "1 record" if self.records == 1 else f"{self.records:,} records"
        lines = [f"forget {self.mapping}: {what}{'' if self.is_rewritten else ' (nothing was changed)'}"]
        if self.others:
            lines.append(f"  {self.others:,} of them because they were merged with a record that is forgotten")
        lines += [f"  {each.table}: {each.rows:,} {each.what}" for each in self.touched]
        lines.append(f"  columns: {', '.join(self.columns)}")
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.left)])


@attrs.define(kw_only=True)
class _Erasing:
    """One mapping's records that are being erased, in one transaction."""

    t: Transaction
    privacy: Privacy
    environment: str
    now: dt.datetime
    pushed: Pushed | None = None  # what the way out keeps, where rows name their record by the key

    @property
    def mapping(self) -> EntityMapping:
        return self.privacy.mapping

    @property
    def table(self) -> Table:
        return shape.load_table(self.mapping, self.environment)

    def columns(self) -> tuple[str, ...]:
        """
        The columns to blank: the personal ones that the table has, and where a source's definitions add columns, those
        that it no longer tells us of.
        """
        present = self.t.columns(self.table)
        personal = self.privacy.personal_columns
        found = [column for column in present if column in personal]
        if self.mapping.inbound is not None and self.mapping.inbound.discovers:
            declared = {column.name for column in self.table.columns}
            found += [column for column in present if column not in declared and not column.startswith("dss_")]
        return tuple(column for column in found if column not in self.mapping.key)

    def known(self, keys: Sequence[str]) -> set[str]:
        """Return which of *keys* stand in the load table, among the offers, in `seen`, among the rejects, in plans."""
        found: set[str] = set() if self.pushed is None else self.pushed.known(keys)
        for table in (self.table, offers_table(self.table)):
            if self.t.columns(table):
                found.update(self._texts(f"SELECT {self._key_of(table)} FROM {sql.table_name(table)} AS b", keys))
        for table, column in (KEY_HOLDERS[0], KEY_HOLDERS[2], *HOLDERS):
            if self.t.columns(table):
                found.update(self._texts(f'SELECT b."{column}" FROM {self._owned(table)}', keys))
        hashes = {self.hash_of(key): key for key in keys}
        done = self.t.rows(sql.statement(f"SELECT b.key_hash FROM {self._owned(FORGOTTEN)}"))
        found |= {hashes[each] for (each,) in done if each in hashes}
        return found | {key for key in keys if key not in found and self._spelled([key])}

    def family(self, keys: Sequence[str], *, with_survivors: bool = True) -> list[str]:
        """
        Return *keys* and who else is the same person: what was merged into them, *with_survivors* also what they were
        merged into, with all that was; where the key is personal, the other ways to write it.
        """
        pairs = merged_pairs(self.t, self.mapping, self.environment)
        found, before = {*keys, *self._spelled(keys)}, 0
        while len(found) != before:
            before = len(found)
            for old, new in pairs:
                if new in found or (with_survivors and old in found):
                    found |= {old, new}
        return [*keys, *sorted(found.difference(keys))]

    def _spelled(self, keys: Sequence[str]) -> set[str]:
        """Return the keys that are there and differ from those of *keys* by capitals or blanks, if at all."""
        if not self.privacy.has_personal_key:
            return set()
        wanted = {privacy.normalised(key) for key in keys}
        queries = [
            f"SELECT {self._key_of(table)} FROM {sql.table_name(table)} AS b"
            for table in (self.table, offers_table(self.table))
            if self.t.columns(table)
        ]
        queries += [
            f'SELECT b."{column}" FROM {self._owned(table)}'
            for table, column in (*HOLDERS, *KEY_HOLDERS)
            if self.t.columns(table)
        ]
        there = {row[0] for query in queries for row in self.t.rows(sql.statement(query)) if row[0] is not None}
        return {key for key in there if privacy.normalised(key) in wanted}

    def gone(self) -> list[str]:
        """Return the keys of records that are gone, those they were merged into, too, and were not forgotten yet."""
        found: set[str] = set()
        if self.t.columns(self.table):
            query = (
                f"SELECT {self._key_of(self.table)} FROM {sql.table_name(self.table)} AS b WHERE b.{RECORD_STATE} = ?"
            )
            found.update(row[0] for row in self.t.rows(sql.statement(query), [GONE]))
        if self.t.columns(marks.SEEN):
            query = f"SELECT b.key FROM {self._owned(marks.SEEN)} AND b.state = ?"
            found.update(row[0] for row in self.t.rows(sql.statement(query), [GONE]))
        done = {row[0] for row in self.t.rows(sql.statement(f"SELECT b.key_hash FROM {self._owned(FORGOTTEN)}"))}
        into = dict(merged_pairs(self.t, self.mapping, self.environment))
        lasting = {key for key in found if found.isdisjoint([*forgotten.survivors(key, into)][-1:]) and key in into}
        return sorted(key for key in found - lasting if self.hash_of(key) not in done)

    def is_pending(self) -> bool:
        """Tell whether the warehouse was not rewritten since somebody was erased."""
        query = f"SELECT COUNT(*) FROM {self._owned(FORGOTTEN)} AND b.rewritten_at IS NULL"
        return bool(self.t.rows(sql.statement(query))[0][0])

    def erase(self, keys: Sequence[str]) -> list[Touched]:
        """Blank and delete; return what was there."""
        touched: list[Touched] = self.pushed.erase(keys) if self.pushed is not None and keys else []
        for start in range(0, len(keys), KEYS_A_STATEMENT):
            touched += self._erase(keys[start : start + KEYS_A_STATEMENT])
        return _added(touched)

    def remember(self, keys: Sequence[str]) -> None:
        """Keep hashes of the keys."""
        hashes = [(self.mapping.name, self.privacy.hash_of_key(key)) for key in keys]
        forgotten.remember(self.t, hashes, key=self.privacy.key, environment=self.environment, now=self.now)

    def hash_of(self, key: str) -> str:
        return self.privacy.hash_of_key(key).hex()

    def _erase(self, keys: Sequence[str]) -> Iterator[Touched]:
        columns = self.columns()
        is_keyed = self.privacy.has_personal_key
        marks_of = ", ".join("?" for _ in keys)
        for table in (self.table, offers_table(self.table)):
            present = self.t.columns(table)
            if not present:
                continue
            where = f"WHERE {self._key_of(table)} IN ({marks_of})"
            blank = ", ".join(f"{sql.quoted(column)} = NULL" for column in columns if column in present)
            blank += f", {LOAD_DATE} = ?" if blank else ""
            if is_keyed:
                statement = f"DELETE FROM {sql.table_name(table)} AS b {where}"
            elif blank:
                statement = f"UPDATE {sql.table_name(table)} AS b SET {blank} {where}"
            else:
                continue
            rows = self.t.run(sql.statement(statement), list(keys) if is_keyed else [self.now, *keys])
            yield Touched(table=f"{table.schema}.{table.name}", rows=rows, what="deleted" if is_keyed else "blanked")
        for table, column in (*HOLDERS, *(KEY_HOLDERS if is_keyed else ())):
            if self.t.columns(table):
                rows = self.t.run(
                    sql.statement(f'DELETE FROM {self._owned(table)} AND b."{column}" IN ({marks_of})'), list(keys)
                )
                yield Touched(table=f"{table.schema}.{table.name}", rows=rows, what="deleted")
        if self.t.columns(marks.SEEN):  # it has a hash of the row: the blank row is another one, and is offered
            self.t.run(
                sql.statement(
                    f"UPDATE {self._owned(marks.SEEN).replace(' WHERE', ' SET row_hash = NULL WHERE', 1)} "
                    f"AND b.key IN ({marks_of})"
                ),
                list(keys),
            )

    def _owned(self, table: Table) -> str:
        """A state table's rows of this mapping and environment, which are names that were checked."""
        also = f" AND b.scope <> '{PUSHED}'" if table is journal.REJECTS else ""  # those have keys of the way out
        return (
            f"{sql.table_name(table)} AS b WHERE b.mapping = '{self.mapping.name}' "
            f"AND b.environment = '{self.environment}'{also}"
        )

    def _key_of(self, table: Table) -> str:
        return sql.key_text("b", self.mapping.key, table.types())

    def _texts(self, query: str, keys: Sequence[str]) -> list[str]:
        marks_of = ", ".join("?" for _ in keys)
        return [
            row[0]
            for row in self.t.rows(
                sql.statement(f"SELECT k.key FROM ({query}) AS k (key) WHERE k.key IN ({marks_of})"), list(keys)
            )
        ]


class _Rehearsed(Exception):
    """Inside this module: the transaction is to be rolled back; nothing went wrong."""


def forget(
    name: str, record: str, *, settings: Settings, doors: Doors, warehouse: Warehouse, is_rehearsal: bool = False
) -> Forgotten:
    """
    Erase one record of a mapping; *record* is its key, the parts of a longer one joined by `/`.

    Raises: UsageError: nothing is personal in the mapping, the record is not known, or there is no hash key.
    """
    mapping = described(name, settings=settings, doors=doors, warehouse=warehouse)
    found = attrs.evolve(settings.privacy_of(mapping), key=settings.hash_key())
    if not found.personal_columns:
        raise UsageError(
            f"{name} has no personal field: there is nothing to forget.",
            hint=f'Name its personal columns in syncer.toml: personal in ["{name}"].',
        )
    key = _key_of(mapping, record)
    if not warehouse.exists():
        raise UsageError(f"Nothing was ever pulled into {warehouse.name}.")
    way_out = WayOut.of(mapping, settings, environment=settings.environment)
    with contextlib.ExitStack() as held:
        for lease in (f"{name}@{settings.environment}", *way_out.leases()):
            held.callback(warehouse.lease(lease, run=journal.new_run(), wait_s=0).release)
        touched, columns, count, left = _erased(warehouse, found, way_out, [key], doors.clock, is_rehearsal)
        rewritten = None if is_rehearsal else _rewritten(warehouse, way_out, doors.clock)
    logger.info("{}: {} record(s) forgotten{}", name, count, " (rehearsed)" if is_rehearsal else "")
    return Forgotten(
        mapping=name,
        environment=settings.environment,
        records=count,
        others=count - 1,
        columns=columns,
        touched=tuple(touched),
        is_rewritten=not is_rehearsal,
        left=(*left, *LEFT, *(rewritten.left if rewritten else ())),
    )


def erase_gone(
    warehouse: Warehouse, found: Privacy, *, environment: str, clock: Clock, settings: Settings | None = None
) -> Forgotten | None:
    """
    Erase the records of a mapping that are `gone`, with one rewriting for all; None where there is none, or where a
    push is under way, or has left a change in flight to one of them: the next census does it then.

    The caller holds the mapping's lease. settings: without them, only the mapping's own way out is known. Raises:
    UsageError: there is no hash key.
    """
    if not found.key:
        raise privacy.no_key()
    if not found.personal_columns:
        return None
    way_out = WayOut.of(found.mapping, settings, environment=environment)
    try:
        with contextlib.ExitStack() as held:
            for lease in way_out.leases():
                held.callback(warehouse.lease(lease, run=journal.new_run(), wait_s=0).release)
            return _erased_gone(warehouse, found, way_out, clock)
    except (LeaseHeld, InFlight) as error:
        logger.warning("{}: who is gone is not forgotten this time. {}", found.mapping.name, error)
        return None


def _erased_gone(warehouse: Warehouse, found: Privacy, way_out: WayOut, clock: Clock) -> Forgotten | None:
    with warehouse.transaction() as t:
        shape.ensure(t, FORGOTTEN)
        erasing = _erasing(t, found, way_out, clock)
        gone = erasing.gone()
        keys = erasing.family(gone, with_survivors=False)
        is_pending = erasing.is_pending()
        columns = erasing.columns()
        touched = erasing.erase(keys)
        erasing.remember(keys)
    if not keys and not is_pending:
        return None
    rewritten = _rewritten(warehouse, way_out, clock)
    logger.info("{}: {} records that were gone are forgotten", found.mapping.name, len(keys))
    return Forgotten(
        mapping=found.mapping.name,
        environment=way_out.environment,
        records=len(keys),
        others=len(keys) - len(gone),
        columns=columns,
        touched=tuple(touched),
        is_rewritten=True,
        left=(*LEFT, *rewritten.left),
    )


def _erasing(t: Transaction, found: Privacy, way_out: WayOut, clock: Clock) -> _Erasing:
    now = clock.now()
    pushed = way_out.pushed(t, found, now=now) if way_out.goes_out else None
    return _Erasing(t=t, privacy=found, environment=way_out.environment, now=now, pushed=pushed)


LEFT = (
    "Not reached: what free text elsewhere says of the person, rows that name the record by its id (associations are "
    "ids and labels, nothing personal), the same person under another environment or mapping, what was carried on "
    "from the load table, and the source itself.",
)


def _erased(
    warehouse: Warehouse, found: Privacy, way_out: WayOut, keys: Sequence[str], clock: Clock, is_rehearsal: bool
) -> tuple[list[Touched], tuple[str, ...], int, list[str]]:
    """
    Erase in one transaction; a rehearsal does the same, and rolls back.

    Return what was touched, the columns, how many records, and what a person should know besides.
    """
    touched: list[Touched] = []
    columns: tuple[str, ...] = ()
    left: list[str] = []
    try:
        with warehouse.transaction() as t:
            shape.ensure_state(t)
            shape.ensure(t, FORGOTTEN)
            recalled(t, found, environment=way_out.environment)
            erasing = _erasing(t, found, way_out, clock)
            missing = [key for key in keys if key not in erasing.known(keys)]
            if missing:
                raise UsageError(
                    f"{found.mapping.name} has no record with this key in environment {way_out.environment}; "
                    "nothing was changed.",
                    hint="Give the key as the load table has it: "
                    f"{'/'.join(erasing.mapping.key)} of {erasing.table.schema}.{erasing.table.name}.",
                )
            columns = erasing.columns()
            keys = erasing.family(keys)  # all that is one person
            touched = erasing.erase(keys)
            erasing.remember(keys)
            left = erasing.pushed.left() if erasing.pushed is not None else []
            if is_rehearsal:
                raise _Rehearsed
    except _Rehearsed:
        pass
    finally:
        warehouse.rest(waiting=True)
    return touched, columns, len(keys), left


def _rewritten(warehouse: Warehouse, way_out: WayOut, clock: Clock) -> Rewritten:
    """Rewrite the warehouse, then note that it was: what was not noted is done again by the next one."""
    done = warehouse.rewrite()
    owners = [way_out.mapping.name, *way_out.owners()]
    marks_of = ", ".join("?" for _ in owners)
    with warehouse.transaction() as t:
        t.run(
            sql.statement(
                f"UPDATE {sql.table_name(FORGOTTEN)} SET rewritten_at = ? WHERE mapping IN ({marks_of}) "
                "AND environment = ? AND rewritten_at IS NULL"
            ),
            [clock.now(), *owners, way_out.environment],
        )
    warehouse.rest(waiting=True)
    return done


def only_loaded(mapping: EntityMapping, *, settings: Settings, warehouse: Warehouse) -> list[Field]:
    """Return the columns that a site's rules name and that stand in the load table alone."""
    rules = settings.for_mapping(mapping.name).get("personal", {})
    unknown = set() if isinstance(rules, str) else set(rules) - {field.column for field in mapping.fields}
    if not unknown or not warehouse.exists():
        return []
    with warehouse.transaction() as t:
        there = t.columns(shape.load_table(mapping, settings.environment))
    warehouse.rest(waiting=True)
    return [Field(column, type=there[column]) for column in sorted(unknown) if column in there]


def described(name: str, *, settings: Settings, doors: Doors, warehouse: Warehouse) -> EntityMapping:
    """
    Return a mapping as a site has it; its source is asked where that adds columns, and the load table for those that
    it does not tell of any more. Raises: UnknownName; what the source raises.
    """
    known = mappings.known(folders=settings.folders, objects=settings.objects())
    if name not in known:
        raise UnknownName("mapping", name, known=known)
    mapping = settings.applied_to(known[name])
    if mapping.inbound is None or not mapping.inbound.discovers:
        return mapping
    stream = mapping.inbound.stream
    source = sources.connect(settings.account(mapping.source), doors=doors, streams=[stream], folders=settings.folders)
    try:
        mapping = mapping.with_fields(source.describe(stream))
        mapping = mapping.with_fields(only_loaded(mapping, settings=settings, warehouse=warehouse))
        return settings.treated(mapping).with_names_of(warehouse.longest_name)
    finally:
        source.close()


def _key_of(mapping: EntityMapping, record: str) -> str:
    """Write a key as the warehouse has it. Raises UsageError where it cannot be one."""
    types = [mapping.field(column).type for column in mapping.key]
    try:
        return key_text(key_values(record, types))
    except ValueError:
        parts = "/".join(f"{column} ({kind.value})" for column, kind in zip(mapping.key, types, strict=True))
        raise UsageError(f"That is no key of {mapping.name}, which is {parts}.") from None


def _added(touched: Sequence[Touched]) -> list[Touched]:
    """Add up what was touched in the same table."""
    rows: Counter[tuple[str, str]] = Counter()
    for each in touched:
        rows[each.table, each.what] += each.rows
    return [Touched(table=table, rows=count, what=what) for (table, what), count in rows.items()]
