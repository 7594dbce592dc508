"""
What both sides last agreed on: one row a record, the base of every comparison.

Tables in schema `syncer`: `snapshots` (key, record id, hash of the row as a plan read it: narrow, since every diff
reads all of it) and `agreed` (the values by field, in normal form: read for rows that differ only). A field's agreed
value moves only when both sides were seen equal or we wrote it. Not here: ids that were merged away (`marks.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence

import attrs
import orjson

from syncer import sql
from syncer.plan import AGREED_STATES, REJECTED, Change
from syncer.plans import CHANGES, PLAN_ROWS
from syncer.tables import STATE, Column, Table
from syncer.values import JSON, TEXT, TIMESTAMP, Type
from syncer.warehouses import Transaction

# declined: a create that was reverted; skipped until it is asked for again. left: its row left the relation, and what
# the mapping says about that is done: it is looked at again when the row comes back.
LIVE, DECLINED, LEFT = "live", "declined", "left"
IS_LEFT = "left"  # in place of a row's hash: there is no row
MOVED_AT_ONCE = 10_000  # rows of a plan that have no change
NAME_LENGTH = 9  # of what stands before a hash: which hash made it

SNAPSHOTS = Table(
    schema=STATE,
    name="snapshots",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("key", TEXT),
        Column("id", TEXT),
        Column("row_hash", TEXT),  # behind the name of what made it; NULL: look at the row again, whatever it holds
        Column("state", TEXT),
        Column("run", TEXT),
        Column("moved_at", TIMESTAMP),
    ),
    key=("mapping", "environment", "key"),
    indexes=(("id", "mapping", "environment"),),
)
AGREED = Table(
    schema=STATE,
    name="agreed",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("key", TEXT),
        Column("fields", JSON),
    ),
    key=("mapping", "environment", "key"),
)
HASHES = Table(
    schema=STATE,
    name="hashes",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("name", TEXT),  # a digest of the other two
        Column("engine", TEXT),  # what the warehouse's hash makes of a row that is always the same
        Column("columns", JSON),
    ),
    key=("mapping", "environment", "name"),
)
TABLES = (SNAPSHOTS, AGREED, HASHES)
_SAMPLE = (
    "SELECT CAST('a' AS TEXT) AS t, CAST(NULL AS TEXT) AS n, CAST(42 AS BIGINT) AS i, CAST(1.5 AS DECIMAL(38, 9)) AS d"
    ", CAST('2026-03-01' AS DATE) AS y, CAST('2026-03-01 12:00:00+00' AS TIMESTAMP WITH TIME ZONE) AS z, TRUE AS b"
)
_SAMPLED = {
    "t": Type.TEXT,
    "n": Type.TEXT,
    "i": Type.BIGINT,
    "d": Type.DECIMAL,
    "y": Type.DATE,
    "z": Type.TIMESTAMP,
    "b": Type.BOOLEAN,
}


@attrs.frozen
class Hashes:
    """What makes the hash of a row now, by its name, and the columns of those that snapshots may hold beside it."""

    now: str
    older: Mapping[str, Sequence[str]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Owner:
    """Whose snapshot it is, and the plan and run that move it."""

    mapping: str
    environment: str
    plan: str
    run: str


@attrs.frozen(kw_only=True)
class _Row:
    key: str
    id: str | None
    row_hash: str | None
    state: str = LIVE
    fields: Mapping[str, str | None] = attrs.field(factory=dict)


@attrs.frozen
class _Some:
    """
    Some keys as a condition. *bounds*, in the warehouse's own order, are for DuckDB, which finds keys by looking
    through a table, and passes over parts of it that are outside (measured: half the time at 100,000 rows).
    """

    keys: Sequence[str]
    bounds: Sequence[str]

    @classmethod
    def of(cls, t: Transaction, keys: Sequence[str]) -> _Some:
        """Ask the warehouse which of *keys* is the first one, and which the last."""
        values = ", ".join("(CAST(? AS TEXT))" for _ in keys)
        query = f"SELECT MIN(v.key), MAX(v.key) FROM (VALUES {values}) AS v(key)"
        return cls(keys, t.rows(sql.statement(query), keys)[0])

    @property
    def where(self) -> str:
        """The condition; `parameters` fill it in."""
        return f"key >= ? AND key <= ? AND key IN ({', '.join('?' for _ in self.keys)})"

    @property
    def parameters(self) -> list[str]:
        """What stands in the places of `where`."""
        return [*self.bounds, *self.keys]


def hash_name(t: Transaction, columns: Mapping[str, Type]) -> str:
    """Name the hash of a row over *columns*: another name for other columns, and where the engine's hash changed."""
    return _hash_name(_engine(t), columns)


def hashes(t: Transaction, columns: Mapping[str, Type], *, mapping: str, environment: str) -> Hashes:
    """
    Write down what makes the hash of a row now; return it, with the older ones that this engine can still make.

    An older one that no snapshot holds any more is forgotten.
    """
    engine, whose = _engine(t), [mapping, environment]
    now = _hash_name(engine, columns)
    query = f"SELECT name, engine, columns FROM {sql.table_name(HASHES)} WHERE mapping = ? AND environment = ?"
    known = {name: (made_by, orjson.loads(listed)) for name, made_by, listed in t.rows(sql.statement(query), whose)}
    if now not in known:
        t.run(sql.insert(HASHES), [*whose, now, engine, orjson.dumps(list(columns)).decode()])
    if not set(known) - {now}:
        return Hashes(now)
    query = (
        f"SELECT DISTINCT SUBSTR(row_hash, 1, {NAME_LENGTH}) FROM {sql.table_name(SNAPSHOTS)} "
        "WHERE mapping = ? AND environment = ? AND row_hash IS NOT NULL"
    )
    held = {row[0] for row in t.rows(sql.statement(query), whose)}
    for name in sorted(set(known) - held - {now}):
        delete = f"DELETE FROM {sql.table_name(HASHES)} WHERE mapping = ? AND environment = ? AND name = ?"
        t.run(sql.statement(delete), [*whose, name])
    older = {name: listed for name, (made_by, listed) in known.items() if name in held - {now} and made_by == engine}
    return Hashes(now, older)


def _engine(t: Transaction) -> str:
    made = t.row_hash("c", _SAMPLED)
    return str(t.rows(sql.statement(f"SELECT {made} FROM ({_SAMPLE}) AS c"))[0][0])


def _hash_name(engine: str, columns: Collection[str]) -> str:
    text = orjson.dumps([engine, list(columns)])
    return f"{hashlib.blake2b(text, digest_size=(NAME_LENGTH - 1) // 2).hexdigest()}-"


def rename(t: Transaction, owner: Owner) -> int:
    """
    Give snapshots the keys that their rows have in a plan: of rows that name their record, and have a new key. Return
    how many there were.
    """
    whose = [owner.mapping, owner.environment]
    snapshots_, agreed = sql.table_name(SNAPSHOTS), sql.table_name(AGREED)
    count = t.derive(
        "keys_new",
        sql.statement(
            f"SELECT p.key AS key, p.id AS id, p.base AS base FROM {sql.table_name(PLAN_ROWS)} AS p WHERE p.plan = ? "
            f"AND p.id IS NOT NULL AND p.outcome <> '{REJECTED}' AND NOT EXISTS (SELECT 1 FROM {snapshots_} AS s "
            "WHERE s.mapping = ? AND s.environment = ? AND s.key = p.key)"
        ),
        [owner.plan, *whose],
    )
    if not count:
        return 0
    count = t.derive(
        "keys_now",
        sql.statement(
            f"SELECT MIN(n.key) AS key, s.key AS was FROM keys_new AS n JOIN {snapshots_} AS s ON s.id = n.id "
            "AND s.mapping = ? AND s.environment = ? AND s.row_hash IS NOT DISTINCT FROM n.base AND NOT EXISTS "
            f"(SELECT 1 FROM {sql.table_name(PLAN_ROWS)} AS p WHERE p.plan = ? AND p.key = s.key) "
            "GROUP BY s.key HAVING COUNT(*) = 1"
        ),
        [*whose, owner.plan],
    )
    if count:
        of_owner = "t.mapping = ? AND t.environment = ? AND t.key = s.was"
        for table in (snapshots_, agreed):
            t.run(sql.statement(f"UPDATE {table} AS t SET key = s.key FROM keys_now AS s WHERE {of_owner}"), whose)
    return count


def agreed(t: Transaction, keys: Sequence[str], *, mapping: str, environment: str) -> dict[str, str]:
    """Return the agreed values of the rows with some keys, as JSON text by key."""
    return _agreed(t, _Some.of(t, keys), [mapping, environment]) if keys else {}


def _agreed(t: Transaction, some: _Some, whose: Sequence[str]) -> dict[str, str]:
    query = f"SELECT key, fields FROM {sql.table_name(AGREED)} WHERE mapping = ? AND environment = ? AND {some.where}"
    return {key: fields for key, fields in t.rows(sql.statement(query), [*whose, *some.parameters]) if fields}


def move_unchanged(t: Transaction, owner: Owner, *, after: str, now: dt.datetime) -> str:
    """
    Carry the rows of a plan that have no change into the snapshot, of some thousand keys behind *after*; each only
    where its snapshot row is still the one that the plan read. Return the last of these keys, empty at the end.

    A row that was carried stays as it is when that is done again, so each part may be committed by itself. Before the
    first one, when *after* is empty, snapshots get the new keys of their rows.
    """
    if not after:
        rename(t, owner)
    plan_rows = sql.table_name(PLAN_ROWS)
    query = (
        f"SELECT MAX(k.key) FROM (SELECT p.key AS key FROM {plan_rows} AS p WHERE p.plan = ? AND p.key > ? "
        f"ORDER BY p.key LIMIT {MOVED_AT_ONCE}) AS k"
    )
    [(last,)] = t.rows(sql.statement(query), [owner.plan, after])
    if last is None:
        return ""
    within = [after, last]
    t.derive(
        "rows_now",
        sql.statement(
            f"SELECT p.key AS key, p.id AS id, CASE WHEN p.row_hash = '' THEN s.row_hash ELSE p.row_hash END AS "
            f"row_hash, p.agreed AS agreed FROM {plan_rows} AS p LEFT JOIN (SELECT key, row_hash FROM "
            f"{sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND environment = ? AND key > ? AND key <= ?) AS s "
            "ON s.key = p.key WHERE p.plan = ? AND p.key > ? AND p.key <= ? "
            "AND p.outcome IN ('unchanged', 'conflict') "
            "AND p.id IS NOT NULL AND p.base IS NOT DISTINCT FROM s.row_hash AND NOT EXISTS (SELECT 1 FROM "
            f"{sql.table_name(CHANGES)} AS c WHERE c.plan = p.plan AND c.key = p.key)"
        ),
        [owner.mapping, owner.environment, *within, owner.plan, *within],
    )
    _bring(t, owner, within, now=now)
    return str(last)


def move_done(t: Transaction, owner: Owner, done: Sequence[Change], *, now: dt.datetime) -> None:
    """
    Move the snapshot by changes that were done, whose states stand in the plan already.

    A row's hash moves when all its changes are done, and nothing of it was rejected or in conflict.
    """
    keys = sorted({change.key for change in done})
    if not keys:
        return
    some = _Some.of(t, keys)
    table = sql.table_name(CHANGES)
    query = (
        f"SELECT key, state, COALESCE(result, id), agreed FROM {table} WHERE plan = ? AND {some.where} ORDER BY number"
    )
    fields: dict[str, dict[str, str | None]] = {key: {} for key in keys}
    ids: dict[str, str | None] = {}
    is_whole = dict.fromkeys(keys, True)
    for key, state, id, agreed in t.rows(sql.statement(query), [owner.plan, *some.parameters]):
        is_whole[key] = is_whole[key] and state in AGREED_STATES
        if state in AGREED_STATES:
            fields[key].update(orjson.loads(agreed) if agreed else {})
            ids[key] = id or ids.get(key)
    rows = {row[0]: row[1:] for row in _plan_rows(t, owner.plan, some)}
    now_there = _now_there(t, owner, some)
    moved = []
    for key in keys:
        planned_id, row_hash, base, seen = rows.get(key, (None, "", None, {}))
        old_hash, old_run, old_fields = now_there.get(key, (None, None, {}))
        is_base = base == old_hash or (
            old_hash is None and old_run == owner.run
        )  # another change of this row moved it
        known = seen if is_base else old_fields
        new_hash = row_hash if row_hash and is_whole[key] and is_base else None
        moved.append(_Row(key=key, id=ids.get(key) or planned_id, row_hash=new_hash, fields={**known, **fields[key]}))
    _write(t, owner, moved, some.bounds, now=now)


def _plan_rows(
    t: Transaction, plan: str, some: _Some
) -> list[tuple[str, str | None, str, str | None, dict[str, str | None]]]:
    query = f"SELECT key, id, row_hash, base, agreed FROM {sql.table_name(PLAN_ROWS)} WHERE plan = ? AND {some.where}"
    return [
        (key, id, row_hash or "", base, orjson.loads(agreed) if agreed else {})
        for key, id, row_hash, base, agreed in t.rows(sql.statement(query), [plan, *some.parameters])
    ]


def _now_there(
    t: Transaction, owner: Owner, some: _Some
) -> dict[str, tuple[str | None, str | None, dict[str, str | None]]]:
    """
    Return hash, run and agreed values of the snapshot rows of some keys.

    Two reads by key, and no join: PostgreSQL, which knows little of tables that have just been filled, hashes the
    whole of both for a hundred rows.
    """
    whose = [owner.mapping, owner.environment]
    fields = {key: orjson.loads(text) for key, text in _agreed(t, some, whose).items()}
    query = (
        f"SELECT key, row_hash, run FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND environment = ? "
        f"AND {some.where}"
    )
    found = t.rows(sql.statement(query), [*whose, *some.parameters])
    return {key: (row_hash, run, fields.get(key, {})) for key, row_hash, run in found}


def _write(t: Transaction, owner: Owner, rows: Sequence[_Row], bounds: Sequence[str], *, now: dt.datetime) -> None:
    import pyarrow as pa

    staged = pa.table(
        {
            "key": pa.array([row.key for row in rows], pa.string()),
            "id": pa.array([row.id for row in rows], pa.string()),
            "row_hash": pa.array([row.row_hash for row in rows], pa.string()),
            "agreed": pa.array(
                [orjson.dumps(dict(row.fields), option=orjson.OPT_SORT_KEYS).decode() for row in rows], pa.string()
            ),
        }
    )
    t.stage("rows_now", staged, {"key": TEXT, "id": TEXT, "row_hash": TEXT, "agreed": JSON})
    _bring(t, owner, bounds, now=now)


def _bring(t: Transaction, owner: Owner, bounds: Sequence[str], *, now: dt.datetime) -> None:
    """Bring the rows of the temporary table `rows_now` into the snapshot; *bounds*: no key is outside these two."""
    of_owner = "t.mapping = ? AND t.environment = ? AND t.key >= ? AND t.key <= ? AND t.key = s.key"
    whose = [owner.mapping, owner.environment]
    within = [*whose, *bounds]
    snapshots, agreed = sql.table_name(SNAPSHOTS), sql.table_name(AGREED)
    state = f"CASE WHEN s.row_hash = '{IS_LEFT}' THEN '{LEFT}' ELSE '{LIVE}' END"
    t.run(
        sql.statement(
            f"UPDATE {snapshots} AS t SET id = s.id, row_hash = s.row_hash, state = {state}, run = ?, moved_at = ? "
            f"FROM rows_now AS s WHERE {of_owner}"
        ),
        [owner.run, now, *within],
    )
    t.run(sql.statement(f"UPDATE {agreed} AS t SET fields = s.agreed FROM rows_now AS s WHERE {of_owner}"), within)
    t.run(
        sql.statement(
            f"INSERT INTO {snapshots} (mapping, environment, key, id, row_hash, state, run, moved_at) "
            f"SELECT ?, ?, s.key, s.id, s.row_hash, {state}, ?, ? FROM rows_now AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {snapshots} AS t WHERE {of_owner})"
        ),
        [*whose, owner.run, now, *within],
    )
    t.run(
        sql.statement(
            f"INSERT INTO {agreed} (mapping, environment, key, fields) SELECT ?, ?, s.key, s.agreed FROM rows_now "
            f"AS s WHERE NOT EXISTS (SELECT 1 FROM {agreed} AS t WHERE {of_owner})"
        ),
        [*whose, *within],
    )
