"""
What differs between a relation and the snapshot: found by the warehouse in one statement, and copied beside the plan.

The relation's rows are joined to the snapshot on the key, and hashes are compared; only rows that differ, are new, or
are gone come out. They stand in a lasting table of the plan until it is made, since the file is let go between batches
and a view may change under us. Not here: what becomes of such a row (`deciding.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

from syncer import sql
from syncer.errors import UsageError
from syncer.journal import REJECTS
from syncer.snapshots import DECLINED, SNAPSHOTS
from syncer.tables import STATE, Table
from syncer.values import Type
from syncer.warehouses import Transaction

KEY, HASH, BASE, ID, STATE_THEN, WAS, NUMBER, IS_TWICE = (
    "dss_key",  # the row's key as one text; NULL: it has none
    "dss_hash",  # of the row; NULL: there is no such row any more
    "dss_base",  # the snapshot's hash; NULL: it has none
    "dss_id",  # the record that the snapshot knows it by
    "dss_state",
    "dss_was",  # the key that the same record had before
    "dss_number",
    "dss_is_twice",
)
OWN = (KEY, HASH, BASE, ID, STATE_THEN, WAS, NUMBER, IS_TWICE)
PUSHED = "push"  # the scope under which rows that are not written stand in `syncer.rejects`
_NAME = re.compile(r'(?:"[^"]+"|[A-Za-z_]\w*)(?:\.(?:"[^"]+"|[A-Za-z_]\w*)){0,2}')
_QUERY = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class Wanted:
    """
    What is compared. columns: those that are pushed, in a fixed order. key: the column that finds a row; id: the one
    with the record's id, empty where there is none. is_lower: the key's letters do not count as large or small.
    """

    reference: str
    columns: Sequence[str]
    key: str
    id: str = ""
    is_lower: bool = False
    extra: Sequence[str] = ()  # read, and not compared: the row's own time
    version: str = ""  # of the definitions, as standing rejects have it


@attrs.frozen(kw_only=True)
class Differing:
    """How many rows there are, by what they are to the snapshot; `copied` stand in the plan's own table."""

    rows: int
    copied: int
    equal: int
    known: int
    missing: int
    standing_rejects: int


def columns_of(t: Transaction, reference: str) -> dict[str, Type]:
    """Return the relation's columns. Raises UsageError: *reference* is neither a name nor a query."""
    return t.query_columns(sql.statement(f"SELECT * FROM {_from(reference)} AS r"))


def copy_table(plan: str) -> Table:
    """Return the table that the differing rows of a plan stand in."""
    return Table(schema=STATE, name=f"copy_{plan}", columns=())


def find(
    t: Transaction, wanted: Wanted, types: dict[str, Type], *, plan: str, mapping: str, environment: str
) -> Differing:
    """Copy the rows that differ from the snapshot, and say how many there are of each sort."""
    copy, whose = copy_table(plan), [mapping, environment]
    copied = _copied(t, wanted, types, copy, whose, twice="FALSE")
    name = sql.table_name(copy)
    rows = _count(t, f"SELECT COUNT(*) FROM {_from(wanted.reference)} AS r")
    known = _count(t, f"SELECT COUNT(*) FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND environment = ?", whose)
    ours, missing, met = t.rows(
        sql.statement(
            f"SELECT COUNT({HASH}), COUNT(*) - COUNT({HASH}), "
            f"COUNT(DISTINCT CASE WHEN {HASH} IS NOT NULL AND {STATE_THEN} IS NOT NULL THEN {KEY} END) FROM {name}"
        )
    )[0]
    keys = _count(t, f"SELECT COUNT(DISTINCT {KEY}) FROM {name} WHERE {HASH} IS NOT NULL AND {KEY} IS NOT NULL")
    with_key = _count(t, f"SELECT COUNT({KEY}) FROM {name} WHERE {HASH} IS NOT NULL")
    if keys < with_key or rows - ours > known - missing - met:
        twice = _twice(t, wanted, types)
        if twice:
            listed = f"SELECT key FROM {twice}"
            copied = _copied(t, wanted, types, copy, whose, twice=f"r.{KEY} IN ({listed})")
            ours, missing = t.rows(sql.statement(f"SELECT COUNT({HASH}), COUNT(*) - COUNT({HASH}) FROM {name}"))[0]
    standing = _drop_standing(t, wanted, copy, whose)
    if wanted.id:
        missing -= _join_by_id(t, wanted, copy, whose)
    return Differing(
        rows=rows,
        copied=copied - standing,
        equal=rows - ours,
        known=known,
        missing=missing,
        standing_rejects=standing,
    )


def batch(
    t: Transaction, wanted: Wanted, *, plan: str, mapping: str, environment: str, after: int, limit: int
) -> list[dict[str, Any]]:
    """Return copied rows behind a number, in order: the columns, those of `OWN`, and `agreed` as JSON text."""
    columns = [*OWN, *wanted.columns, *_others(wanted)]
    query = (
        f"SELECT {sql.names(columns, of='c')}, a.fields FROM {sql.table_name(copy_table(plan))} AS c "
        f"LEFT JOIN {sql.state_table('agreed')} AS a ON a.mapping = ? AND a.environment = ? "
        f"AND a.key = COALESCE(c.{WAS}, c.{KEY}) "
        f"WHERE c.{NUMBER} > ? AND c.{NUMBER} <= ? ORDER BY c.{NUMBER}"
    )
    found = t.rows(sql.statement(query), [mapping, environment, after, after + limit])
    return [dict(zip([*columns, "agreed"], row, strict=True)) for row in found]


def key_text(alias: str, wanted: Wanted, types: dict[str, Type]) -> str:
    """Write the key of a row as one text, in SQL, as snapshots have it: `rows.key_text` of one column, normalised."""
    column = f"{alias}.{sql.quoted(wanted.key)}"
    text = f"CAST({column} AS TEXT)"
    if types.get(wanted.key) in (Type.DECIMAL, Type.DOUBLE):  # 17.000000000 is 17
        text = f"CASE WHEN {text} LIKE '%.%' THEN RTRIM(RTRIM({text}, '0'), '.') ELSE {text} END"
    text = f"NULLIF(TRIM({text}), '')"
    return f"LOWER({text})" if wanted.is_lower else text


def _others(wanted: Wanted) -> list[str]:
    named = dict.fromkeys((wanted.key, wanted.id, *wanted.extra))
    return [each for each in named if each and each not in wanted.columns]


def _hashed(wanted: Wanted) -> list[str]:
    """What a change of makes a row differ: not the row's own time, which moves by itself."""
    return [*wanted.columns, *([wanted.id] if wanted.id and wanted.id not in wanted.columns else [])]


def _copied(
    t: Transaction, wanted: Wanted, types: dict[str, Type], copy: Table, whose: Sequence[str], *, twice: str
) -> int:
    taken = [*wanted.columns, *_others(wanted)]
    hashed = t.row_hash(
        "b", [*wanted.columns, *([wanted.id] if wanted.id and wanted.id not in wanted.columns else [])]
    )
    query = (
        f"SELECT COALESCE(r.{KEY}, s.key) AS {KEY}, r.{HASH} AS {HASH}, s.row_hash AS {BASE}, s.id AS {ID}, "
        f"s.state AS {STATE_THEN}, CAST(NULL AS TEXT) AS {WAS}, "
        f"ROW_NUMBER() OVER (ORDER BY COALESCE(r.{KEY}, s.key)) AS {NUMBER}, "
        f"CASE WHEN {twice} THEN TRUE ELSE FALSE END AS {IS_TWICE}, {sql.names(taken, of='r')} "
        f"FROM (SELECT {key_text('b', wanted, types)} AS {KEY}, {hashed} AS {HASH}, {sql.names(taken, of='b')} "
        f"FROM {_from(wanted.reference)} AS b) AS r "
        f"FULL JOIN (SELECT key, id, row_hash, state FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND "
        f"environment = ?) AS s ON s.key = r.{KEY} "
        f"WHERE s.key IS NULL OR (r.{HASH} IS NULL AND s.state <> '{DECLINED}') OR s.row_hash IS DISTINCT FROM "
        f"r.{HASH} OR (s.state = '{DECLINED}' AND r.{HASH} IS NOT NULL) OR {twice}"
    )
    return t.save(copy, sql.statement(query), whose)


def _twice(t: Transaction, wanted: Wanted, types: dict[str, Type]) -> str:
    """Find the keys that stand in more than one row; return the temporary table they are in, empty for none."""
    query = (
        f"SELECT k.key AS key, COUNT(*) AS times FROM (SELECT {key_text('b', wanted, types)} AS key FROM "
        f"{_from(wanted.reference)} AS b) AS k WHERE k.key IS NOT NULL GROUP BY k.key HAVING COUNT(*) > 1"
    )
    return "keys_twice" if t.derive("keys_twice", sql.statement(query)) else ""


def _drop_standing(t: Transaction, wanted: Wanted, copy: Table, whose: Sequence[str]) -> int:
    """Leave out the rows that were rejected as they are, under definitions that are still the same."""
    name = sql.table_name(copy)
    where = (
        f"c.{HASH} IS NOT NULL AND EXISTS (SELECT 1 FROM {sql.table_name(REJECTS)} AS j WHERE j.mapping = ? AND "
        f"j.environment = ? AND j.scope = '{PUSHED}' AND j.key = c.{KEY} AND j.row_hash = c.{HASH} AND j.version = ?)"
    )
    parameters = [*whose, wanted.version]
    standing = _count(t, f"SELECT COUNT(*) FROM {name} AS c WHERE {where}", parameters)
    if standing:
        t.run(sql.statement(f"DELETE FROM {name} AS c WHERE {where}"), parameters)
    return standing


def _join_by_id(t: Transaction, wanted: Wanted, copy: Table, whose: Sequence[str]) -> int:
    """A row with a new key and a record that is known is the same row under another key; return how many."""
    name, id_text = sql.table_name(copy), f"CAST(t.{sql.quoted(wanted.id)} AS TEXT)"
    same = (
        f"t.{STATE_THEN} IS NULL AND t.{HASH} IS NOT NULL AND s.mapping = ? AND s.environment = ? AND s.id = {id_text}"
    )
    t.run(
        sql.statement(
            f"UPDATE {name} AS t SET {WAS} = s.key, {BASE} = s.row_hash, {ID} = s.id, {STATE_THEN} = s.state "
            f"FROM {sql.table_name(SNAPSHOTS)} AS s WHERE {same} AND EXISTS (SELECT 1 FROM {name} AS m "
            f"WHERE m.{KEY} = s.key AND m.{HASH} IS NULL)"
        ),
        list(whose),
    )
    gone = f"m.{HASH} IS NULL AND EXISTS (SELECT 1 FROM {name} AS t WHERE t.{WAS} = m.{KEY})"
    count = _count(t, f"SELECT COUNT(*) FROM {name} AS m WHERE {gone}")
    if count:
        t.run(sql.statement(f"DELETE FROM {name} AS m WHERE {gone}"))
    return count


def _count(t: Transaction, query: str, parameters: Sequence[Any] = ()) -> int:
    return int(t.rows(sql.statement(query), parameters)[0][0])


def _from(reference: str) -> str:
    """Write what a query reads from: a name, its parts quoted, or a query in brackets."""
    if _QUERY.match(reference):
        return f"({reference.strip().rstrip(';')})"
    if not _NAME.fullmatch(reference.strip()):
        raise UsageError(
            f"The relation {_shown(reference)} is neither a name nor a query.",
            hint="Such as stage.hubspot_companies, or select … from ….",
        )
    parts = re.findall(r'"[^"]+"|\w+', reference)
    return ".".join(part if part.startswith('"') else sql.quoted(part) for part in parts)


def _shown(reference: str) -> str:
    return repr(reference if len(reference) <= 60 else f"{reference[:57]}…")


def drop(t: Transaction, plan: str) -> None:
    """Drop the copy of a plan's rows."""
    t.drop(copy_table(plan))
