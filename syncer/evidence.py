"""
What the warehouse knows about rows that are verified: the relation's rows beside the snapshot's, all of them or a
sample, and marks on those that something is odd about; what stands open about a row, and who wrote it last.

The rows are copied first, set-based, since the file is let go between batches and a view may change under us; they are
read a batch at a time. Not here: what follows from any of it (`judging.py`), the API's side (`verifying.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import plan, readings, relation, snapshots, sql
from syncer.conflicts import CONFLICTS, OPEN
from syncer.journal import PUSHED, REJECTS, RUNS
from syncer.plans import CHANGES, PLANS
from syncer.relation import BASE, HASH, ID, KEY, NUMBER, STATE_THEN, WAS, Wanted
from syncer.snapshots import LIVE, SNAPSHOTS
from syncer.tables import Table
from syncer.values import TEXT, Type
from syncer.warehouses import Transaction

KEYS_AT_ONCE = 100
READ_AT_ONCE = 10_000
DIFFERS = "dss_differs"  # whether the next push would look at the row
IS_SHARED, IS_SENDING, IS_WRITTEN = MARKS = (
    "dss_is_shared",  # the snapshot has its record for another row as well
    "dss_is_sending",  # an intent of it was written down, and what became of it is not known
    "dss_is_written",  # a push wrote it, and the snapshot has no row for it
)
_WROTE = f"state = '{plan.DONE}' AND action IN ('{plan.CREATE}', '{plan.UPDATE}')"


@attrs.frozen(kw_only=True)
class Whole:
    """
    Both sides of a mapping here, as they are copied. name: of the copy.

    sample: about so many rows, and all that something is open or odd about; None: every row. seed: chooses which.
    """

    name: str
    mapping: str
    environment: str
    sample: int | None = None
    seed: str = ""

    @property
    def whose(self) -> list[str]:
        """The mapping and environment."""
        return [self.mapping, self.environment]

    @property
    def rows(self) -> Table:
        """The table that the rows stand in, looked at or not."""
        return relation.copy_table(self.name)

    @property
    def looked_at(self) -> Table:
        """The table with the rows that are looked at."""
        return self.rows if self.sample is None else relation.copy_table(f"{self.name}{relation.SAMPLE}")

    @property
    def marks(self) -> Table:
        """The table with the keys that something is open or odd about."""
        copy = relation.copy_table(f"{self.name}{relation.MARKS}")
        return attrs.evolve(copy, key=("key",), indexes=(("key",),))


@attrs.frozen(kw_only=True)
class Extent:
    """How many rows the relation has, how many are looked at (those that left it, too), and how far numbers go."""

    rows: int
    looked_at: int
    numbers: int


@attrs.frozen(kw_only=True)
class Written:
    """The last write of one property that a run had an answer to. is_revert: by a run that put another one back."""

    id: str | None
    before: str | None
    after: str | None
    sent_at: dt.datetime | None
    ended_at: dt.datetime | None
    run: str
    is_revert: bool = False


@attrs.frozen(kw_only=True)
class Stray:
    """A change whose key is in neither the relation nor the snapshot; is_sending: what became of it is not known."""

    key: str
    id: str | None
    run: str
    is_sending: bool


@attrs.define(kw_only=True)
class Standing:
    """
    What stands about rows, by key: open conflicts (fields), conflicts that a setting settled (setting by field),
    rejects (field and reason) of the row as it is now, and the words that the snapshot's row was made with.
    """

    open: dict[str, dict[str, str]] = attrs.field(factory=dict)
    settled: dict[str, dict[str, str]] = attrs.field(factory=dict)
    rejects: dict[str, dict[str, str]] = attrs.field(factory=dict)
    words: dict[str, Mapping[str, Any]] = attrs.field(factory=dict)
    moving: set[str] = attrs.field(factory=set)  # written by somebody since the rows were copied


IsBarred = Callable[[Mapping[str, Any]], bool]  # whether a copied row is of somebody who was forgotten


def copy(
    t: Transaction, wanted: Wanted, types: dict[str, Type], whole: Whole, *, is_barred: IsBarred | None = None
) -> Extent:
    """Copy both sides, and mark what is odd; *is_barred*: None where nobody was forgotten."""
    hashes = snapshots.hashes(t, wanted.hashed, mapping=whole.mapping, environment=whole.environment)
    of_mapping = f"FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND environment = ?"
    t.make_room(_count(t, f"SELECT COUNT(*) {of_mapping}", [whole.mapping, whole.environment]))
    numbers = t.save(whole.rows, sql.statement(_copied(t, wanted, types, hashes)), whole.whose)
    if wanted.id:
        relation.join_by_id(t, wanted, whole.rows, whole.whose, types)
    _mark(t, whole)
    rows = _count(t, f"SELECT COUNT({HASH}) FROM {sql.table_name(whole.rows)}")
    if whole.sample is not None:
        if is_barred is not None:
            _mark_forgotten(t, wanted, whole, is_barred)
        columns = [*relation.OWN, DIFFERS, *_columns(wanted)]
        parameters = [whole.seed, *whole.whose, *whole.whose]
        numbers = t.save(whole.looked_at, sql.statement(_sampled(whole, columns)), parameters)
        t.drop(whole.rows)
    looked_at = _count(t, f"SELECT COUNT(*) FROM {sql.table_name(whole.looked_at)}")
    return Extent(rows=rows, looked_at=looked_at, numbers=numbers)


def batch(t: Transaction, wanted: Wanted, whole: Whole, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Return rows behind a number, in order: with the columns of `relation.OWN`, `MARKS`, `agreed` as JSON text."""
    own = [*relation.OWN, DIFFERS]
    reading = readings.of(t, whole.looked_at, _columns(wanted), alias="c")
    marks = ", ".join(f"COALESCE(m.{name}, 0)" for name in MARKS)
    query = (
        f"SELECT {sql.names(own, of='c')}, {marks}, a.fields, {reading.listed} "
        f"FROM {sql.table_name(whole.looked_at)} AS c "
        f"LEFT JOIN {sql.table_name(whole.marks)} AS m ON m.key = c.{KEY} "
        f"LEFT JOIN {sql.state_table('agreed')} AS a ON a.mapping = ? AND a.environment = ? "
        f"AND a.key = COALESCE(c.{WAS}, c.{KEY}) "
        f"WHERE c.{NUMBER} > ? AND c.{NUMBER} <= ? ORDER BY c.{NUMBER}"
    )
    named, found = [*own, *MARKS, "agreed"], []
    with t.by_key(whole.marks, snapshots.AGREED):
        rows = t.rows(sql.statement(query), [*whole.whose, after, after + limit])
    for row in rows:
        ours = dict(zip(named, row, strict=False))
        found.append({**ours, **reading.row(row[len(named) :], key=wanted.key, text=ours[KEY])})
    return found


def strays(t: Transaction, whole: Whole) -> list[Stray]:
    """
    Return changes whose outcome nobody knows, and records that were made, whose key is neither here nor in the
    snapshot, and the record by no other key there. None where only a sample is looked at: the rest is not there then.
    """
    if whole.sample is not None:
        return []
    query = (
        f"SELECT c.key, COALESCE(c.result, c.id), c.run, c.state FROM {sql.table_name(CHANGES)} AS c "
        f"WHERE c.mapping = ? AND c.environment = ? AND (c.state = '{plan.SENDING}' OR (c.state = '{plan.DONE}' AND "
        f"c.action = '{plan.CREATE}')) AND NOT EXISTS (SELECT 1 FROM {sql.table_name(whole.rows)} AS r WHERE "
        f"r.{KEY} = c.key) AND NOT EXISTS (SELECT 1 FROM {sql.table_name(SNAPSHOTS)} AS s WHERE s.mapping = c.mapping "
        "AND s.environment = c.environment AND s.key = c.key) AND NOT EXISTS (SELECT 1 FROM "
        f"{sql.table_name(SNAPSHOTS)} AS s WHERE s.mapping = c.mapping AND s.environment = c.environment AND s.id = "
        "COALESCE(c.result, c.id)) ORDER BY c.key, c.state, c.run"
    )
    found: dict[str, Stray] = {}
    for key, id, run, state in t.rows(sql.statement(query), whole.whose):
        is_sending = state == plan.SENDING
        if key not in found or is_sending:
            found[key] = Stray(key=key, id=id, run=run or "", is_sending=is_sending)
    return list(found.values())


def standing(
    t: Transaction, whole: Whole, hashes: Mapping[str, str | None], *, version: str, since: dt.datetime
) -> Standing:
    """Return what stands about rows, by their keys; *hashes* are of the rows now, *version* is of the definitions."""
    found = Standing()
    keys = list(hashes)
    for at in range(0, len(keys), KEYS_AT_ONCE):
        part = keys[at : at + KEYS_AT_ONCE]
        _add_conflicts(t, whole, part, found)
        _add_words(t, whole, part, found)
        of = f"t.mapping = ? AND t.environment = ? AND t.key IN ({_marks(part)})"
        rejects = f'SELECT t.key, t."column", t.reason, t.row_hash FROM {sql.table_name(REJECTS)} AS t WHERE {of}'
        query = f"{rejects} AND t.scope = '{PUSHED}' AND t.version = ?"
        for key, column, reason, row_hash in t.rows(sql.statement(query), [*whole.whose, *part, version]):
            if row_hash is not None and row_hash == hashes[key]:
                found.rejects.setdefault(key, {})[column or ""] = reason or ""
        query = f"SELECT DISTINCT t.key FROM {sql.table_name(CHANGES)} AS t WHERE {of} AND t.sent_at >= ?"
        found.moving |= {row[0] for row in t.rows(sql.statement(query), [*whole.whose, *part, since])}
    return found


def last_writes(t: Transaction, whole: Whole, keys: Sequence[str]) -> dict[str, dict[str, Written]]:
    """Return who wrote each property last, by key and property; as far back as the journal goes."""
    found: dict[str, dict[str, Written]] = {}
    for at in range(0, len(keys), KEYS_AT_ONCE):
        part = keys[at : at + KEYS_AT_ONCE]
        query = (
            "SELECT c.key, COALESCE(c.result, c.id), c.fields, c.sent_at, c.ended_at, c.run, p.reverts "
            f"FROM {sql.table_name(CHANGES)} AS c LEFT JOIN {sql.table_name(PLANS)} AS p ON p.plan = c.plan "
            f"WHERE c.mapping = ? AND c.environment = ? AND c.{_WROTE} AND c.key IN ({_marks(part)}) "
            "ORDER BY c.ended_at, c.number"
        )
        for key, id, fields, sent_at, ended_at, run, reverts in t.rows(sql.statement(query), [*whole.whose, *part]):
            for name, (before, after, *_) in orjson.loads(fields or "{}").items():
                found.setdefault(key, {})[name] = Written(
                    id=id,
                    before=before,
                    after=after,
                    sent_at=sent_at,
                    ended_at=ended_at,
                    run=run or "",
                    is_revert=reverts is not None,
                )
    return found


def known_as(t: Transaction, whole: Whole, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the keys that the snapshot has records under, by id."""
    found: dict[str, list[str]] = {}
    for at in range(0, len(ids), KEYS_AT_ONCE):
        part = ids[at : at + KEYS_AT_ONCE]
        query = (
            f"SELECT s.id, s.key FROM {sql.table_name(SNAPSHOTS)} AS s WHERE s.mapping = ? AND s.environment = ? "
            f"AND s.state = '{LIVE}' AND s.id IN ({_marks(part)}) ORDER BY s.id, s.key"
        )
        for id, key in t.rows(sql.statement(query), [*whole.whose, *part]):
            found.setdefault(id, []).append(key)
    return found


def _copied(t: Transaction, wanted: Wanted, types: dict[str, Type], hashes: snapshots.Hashes) -> str:
    """
    Write what both sides are here: every row, and those of the snapshot that left the relation since the last run.

    As in `relation.find`, whose columns these are; but nothing is left out, and what a push would look at is marked.
    """
    made = relation.named_hash(t, "b", hashes.now, wanted.hashed)
    taken = _columns(wanted)
    differs = f"s.key IS NULL OR r.{HASH} IS NULL OR s.state <> '{LIVE}' OR {relation.differs(t, wanted, hashes)}"
    return (
        f"SELECT COALESCE(r.{KEY}, s.key) AS {KEY}, r.{HASH} AS {HASH}, s.row_hash AS {BASE}, s.id AS {ID}, "
        f"s.state AS {STATE_THEN}, CAST(NULL AS TEXT) AS {WAS}, "
        f"ROW_NUMBER() OVER (ORDER BY COALESCE(r.{KEY}, s.key)) AS {NUMBER}, "
        f"CASE WHEN {differs} THEN 1 ELSE 0 END AS {DIFFERS}, {sql.names(taken, of='r')} "
        f"FROM (SELECT {relation.key_text('b', wanted, types)} AS {KEY}, {made} AS {HASH}, "
        f"{sql.names(taken, of='b')} FROM {relation.read_from(wanted.reference)} AS b) AS r "
        f"FULL JOIN (SELECT key, id, row_hash, state FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND "
        f"environment = ?) AS s ON s.key = r.{KEY} WHERE r.{HASH} IS NOT NULL OR s.state = '{LIVE}'"
    )


def _mark(t: Transaction, whole: Whole) -> None:
    """Save the keys that something is open or odd about, one row each, with what is odd."""
    of = "x.mapping = ? AND x.environment = ?"
    snapshots, changes = sql.table_name(SNAPSHOTS), sql.table_name(CHANGES)
    is_live = f"x.id IS NOT NULL AND x.state = '{LIVE}'"
    shared = f"SELECT x.id FROM {snapshots} AS x WHERE {of} AND {is_live} GROUP BY x.id HAVING COUNT(*) > 1"
    none = (
        f"NOT EXISTS (SELECT 1 FROM {snapshots} AS s WHERE s.mapping = x.mapping AND s.environment = x.environment "
        "AND s.key = x.key) AND NOT EXISTS (SELECT 1 FROM "
        f"{snapshots} AS s WHERE s.mapping = x.mapping AND s.environment = x.environment AND s.id = "
        "COALESCE(x.result, x.id))"
    )
    told = {
        IS_SHARED: f"{snapshots} AS x WHERE {of} AND {is_live} AND x.id IN ({shared})",
        IS_SENDING: f"{changes} AS x WHERE {of} AND x.state = '{plan.SENDING}'",
        IS_WRITTEN: f"{changes} AS x WHERE {of} AND x.{_WROTE} AND {none}",
        "rejected": f"{sql.table_name(REJECTS)} AS x WHERE {of} AND x.scope = '{PUSHED}' AND x.key <> ''",
        "conflict": f"{sql.table_name(CONFLICTS)} AS x WHERE {of} AND x.state = '{OPEN}'",
    }
    parts = " UNION ALL ".join(f"SELECT x.key AS key, '{name}' AS mark FROM {rest}" for name, rest in told.items())
    marks = ", ".join(f"MAX(CASE WHEN k.mark = '{name}' THEN 1 ELSE 0 END) AS {name}" for name in MARKS)
    parameters = whole.whose * (len(told) + 1)
    t.save(whole.marks, sql.statement(f"SELECT k.key AS key, {marks} FROM ({parts}) AS k GROUP BY k.key"), parameters)


def _mark_forgotten(t: Transaction, wanted: Wanted, whole: Whole, is_barred: IsBarred) -> None:
    """Mark the rows of those who were forgotten: their reject stands under another key, and is to be looked at."""
    import pyarrow as pa

    names, after = [KEY, ID, NUMBER, *([wanted.id] if wanted.id else [])], 0
    query = (
        f"SELECT {sql.names(names)} FROM {sql.table_name(whole.rows)} WHERE {NUMBER} > ? AND {KEY} IS NOT NULL "
        f"ORDER BY {NUMBER} LIMIT {READ_AT_ONCE}"
    )
    barred: set[str] = set()
    while found := [dict(zip(names, row, strict=True)) for row in t.rows(sql.statement(query), [after])]:
        barred |= {each[KEY] for each in found if is_barred(each)}
        after = found[-1][NUMBER]
    t.stage("barred_now", pa.table({"key": pa.array(sorted(barred), pa.string())}), {"key": TEXT})
    marks = sql.table_name(whole.marks)
    t.run(
        sql.statement(
            f"INSERT INTO {marks} (key, {sql.names(MARKS)}) SELECT b.key, {', '.join('0' for _ in MARKS)} "
            f"FROM barred_now AS b WHERE NOT EXISTS (SELECT 1 FROM {marks} AS m WHERE m.key = b.key)"
        )
    )


def _sampled(whole: Whole, columns: Sequence[str]) -> str:
    """
    Write what a sample is: the keys whose digest with the seed comes first, so that the same seed takes the same rows
    on every backend; rows that are marked, or have no key; and those whose agreed values are not there.
    """
    rest = [name for name in columns if name != NUMBER]
    first = (
        f"SELECT k.key FROM (SELECT DISTINCT {KEY} AS key FROM {sql.table_name(whole.rows)} WHERE {KEY} IS NOT NULL) "
        f"AS k ORDER BY MD5(k.key || CAST(? AS TEXT)), k.key LIMIT {whole.sample or 0}"
    )
    agreed = (
        f"SELECT 1 FROM {sql.state_table('agreed')} AS a WHERE a.mapping = ? AND a.environment = ? "
        f"AND a.key = COALESCE(c.{WAS}, c.{KEY})"
    )
    has_base = f"c.{STATE_THEN} = '{LIVE}'"
    return (
        f"SELECT ROW_NUMBER() OVER (ORDER BY c.{NUMBER}) AS {NUMBER}, {sql.names(rest, of='c')} "
        f"FROM {sql.table_name(whole.rows)} AS c LEFT JOIN {sql.table_name(whole.marks)} AS m ON m.key = c.{KEY} "
        f"WHERE c.{KEY} IS NULL OR m.key IS NOT NULL OR c.{KEY} IN ({first}) "
        f"OR ({has_base} AND NOT EXISTS ({agreed})) "
        f"OR (c.{STATE_THEN} IS NULL AND EXISTS ({agreed}))"
    )


def _add_conflicts(t: Transaction, whole: Whole, part: Sequence[str], found: Standing) -> None:
    query = (
        f"SELECT key, field, state, reason, setting FROM {sql.table_name(CONFLICTS)} WHERE mapping = ? AND "
        f"environment = ? AND key IN ({_marks(part)})"
    )
    for key, field, state, reason, setting in t.rows(sql.statement(query), [*whole.whose, *part]):
        if state == OPEN:
            found.open.setdefault(key, {})[field or ""] = reason or ""
        elif setting:
            found.settled.setdefault(key, {})[field or ""] = setting


def _add_words(t: Transaction, whole: Whole, part: Sequence[str], found: Standing) -> None:
    query = (
        f"SELECT s.key, p.settings FROM {sql.table_name(SNAPSHOTS)} AS s "
        f"JOIN {sql.table_name(RUNS)} AS r ON r.run = s.run JOIN {sql.table_name(PLANS)} AS p ON p.plan = r.plan "
        f"WHERE s.mapping = ? AND s.environment = ? AND s.key IN ({_marks(part)})"
    )
    read: dict[str, Mapping[str, Any]] = {}  # of a run's rows all are the same
    for key, settings in t.rows(sql.statement(query), [*whole.whose, *part]):
        if settings not in read:
            read[settings] = orjson.loads(settings) if settings else {}
        found.words[key] = read[settings]


def _columns(wanted: Wanted) -> list[str]:
    named = dict.fromkeys((*wanted.columns, wanted.key, wanted.id, *wanted.links, *wanted.extra))
    return [each for each in named if each]


def _marks(part: Sequence[str]) -> str:
    return ", ".join("?" for _ in part)


def _count(t: Transaction, query: str, parameters: Sequence[Any] = ()) -> int:
    return int(t.rows(sql.statement(query), parameters)[0][0])
