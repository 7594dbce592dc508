"""
What differs between a relation and the snapshot: found by the warehouse in one statement, and copied beside the plan.

The relation's rows are joined to the snapshot on the key, and hashes are compared; only rows that differ, are new, or
are gone come out. They stand in a lasting table of the plan until it is made, since the file is let go between batches
and a view may change under us. Not here: what becomes of such a row (`deciding.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer import readings, snapshots, sql
from syncer.errors import UsageError
from syncer.journal import PUSHED, REJECTS
from syncer.plan import UNCHANGED
from syncer.plans import PLAN_ROWS
from syncer.snapshots import LEFT, LIVE, SNAPSHOTS, Hashes
from syncer.tables import STATE, Table
from syncer.values import Type
from syncer.warehouses import Transaction

KEY, HASH, BASE, ID, STATE_THEN, WAS, NUMBER = (
    "dss_key",  # the row's key as one text; NULL: it has none
    "dss_hash",  # of the row; NULL: there is no such row any more
    "dss_base",  # the snapshot's hash; NULL: it has none
    "dss_id",  # the record that the snapshot knows it by
    "dss_state",
    "dss_was",  # the key that the same record had before
    "dss_number",
)
OWN = (KEY, HASH, BASE, ID, STATE_THEN, WAS, NUMBER)
CONFLICTS = "conflicts"  # of `conflicts.py`
BESIDE = SAMPLE, MARKS = ("_sample", "_marks")  # how the names of copies end that a comparison has beside its own
_NAME = re.compile(r'(?:"[^"]+"|[A-Za-z_]\w*)(?:\.(?:"[^"]+"|[A-Za-z_]\w*)){0,2}')
_BEFORE = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)  # blanks and comments
_QUERY = re.compile(rf"(?:{_BEFORE.pattern}\()*{_BEFORE.pattern}(?:select|with)\b", re.IGNORECASE | re.DOTALL)


@attrs.frozen(kw_only=True)
class Wanted:
    """
    What is compared. columns: those that are pushed, in a fixed order; properties: what each is pushed under. key: the
    column that finds a row; id: the one with the record's id, empty where there is none. links: columns whose value is
    a record at the other end of an edge. clears: columns whose blanks are written though nothing was agreed.
    is_lower: the key's letters do not count as large or small.
    """

    reference: str
    columns: Sequence[str]
    properties: Sequence[str]
    key: str
    id: str = ""
    is_lower: bool = False
    links: Sequence[str] = ()
    clears: Sequence[str] = ()
    types: Mapping[str, Type] = attrs.field(factory=dict)  # of the relation's columns; what is not told is text
    extra: Sequence[str] = ()  # read, and not compared: the row's own time
    version: str = ""  # of the definitions, as standing rejects have it

    @property
    def hashed(self) -> dict[str, Type]:
        """The columns that make a row differ, and their types: not the row's own time, which moves by itself."""
        return {each: self.types.get(each, Type.TEXT) for each in (*self.columns, self.id, *self.links) if each}


@attrs.frozen(kw_only=True)
class Differing:
    """
    How many rows there are, by what they are to the snapshot; `copied` stand in the plan's own table, numbered up to
    `last`. known, missing: of the rows that were there at the last run.
    """

    rows: int
    copied: int
    last: int
    equal: int
    known: int
    missing: int
    standing_rejects: int


def columns_of(t: Transaction, reference: str) -> dict[str, Type]:
    """Return the relation's columns. Raises UsageError: *reference* is no name or query; two have one name."""
    if _QUERY.match(reference):  # by itself: inside another one, DuckDB gives a doubled column another name
        return t.query_columns(sql.statement(f"({_bare(reference)})"))
    return t.query_columns(sql.statement(f"SELECT * FROM {read_from(reference)} AS r"))


def copy_table(plan: str) -> Table:
    """Return the table that the differing rows of a plan stand in, and are found in by their numbers."""
    return Table(schema=STATE, name=f"copy_{plan}", columns=(), indexes=((NUMBER,),))


def find(
    t: Transaction, wanted: Wanted, types: dict[str, Type], *, plan: str, mapping: str, environment: str
) -> Differing:
    """Copy the rows that differ from the snapshot, and say how many there are of each sort."""
    copy, whose = copy_table(plan), [mapping, environment]
    in_snapshot, known = t.rows(
        sql.statement(
            f"SELECT COUNT(*), COUNT(CASE WHEN state = '{LIVE}' THEN 1 END) FROM {sql.table_name(SNAPSHOTS)} "
            "WHERE mapping = ? AND environment = ?"
        ),
        whose,
    )[0]
    t.make_room(in_snapshot)
    hashes = snapshots.hashes(t, wanted.hashed, mapping=mapping, environment=environment)
    which = differs(t, wanted, hashes)
    copied = _copied(t, wanted, types, copy, whose, differs=which)
    name = sql.table_name(copy)
    rows = _count(t, f"SELECT COUNT(*) FROM {read_from(wanted.reference)} AS r")
    ours, missing, met, keys, with_key = t.rows(
        sql.statement(
            f"SELECT COUNT({HASH}), COUNT(*) - COUNT({HASH}), "
            f"COUNT(DISTINCT CASE WHEN {HASH} IS NOT NULL AND {STATE_THEN} = '{LIVE}' THEN {KEY} END), "
            f"COUNT(DISTINCT CASE WHEN {HASH} IS NOT NULL THEN {KEY} END), "
            f"COUNT(CASE WHEN {HASH} IS NOT NULL THEN {KEY} END) FROM {name}"
        )
    )[0]
    if keys < with_key or rows - ours > known - missing - met:
        twice = _twice(t, wanted, types)
        if twice:
            listed = f"r.{KEY} IN (SELECT key FROM {twice})"
            copied = _copied(t, wanted, types, copy, whose, differs=which, twice=listed)
            ours, missing = t.rows(sql.statement(f"SELECT COUNT({HASH}), COUNT(*) - COUNT({HASH}) FROM {name}"))[0]
    _note_settled(t, copy, plan, whose)
    standing = _drop_standing(t, wanted, copy, whose)
    if wanted.id:
        missing -= join_by_id(t, wanted, copy, whose, types)
    return Differing(
        rows=rows,
        copied=copied - standing,
        last=_count(t, f"SELECT COALESCE(MAX({NUMBER}), 0) FROM {name}"),
        equal=rows - ours,
        known=known,
        missing=missing,
        standing_rejects=standing,
    )


def batch(
    t: Transaction, wanted: Wanted, *, plan: str, mapping: str, environment: str, after: int, limit: int
) -> list[dict[str, Any]]:
    """Return copied rows behind a number, in order: the columns, those of `OWN`, and `agreed` as JSON text."""
    copy = copy_table(plan)
    reading = readings.of(t, copy, [*wanted.columns, *_others(wanted)], alias="c")
    query = (
        f"SELECT {sql.names(OWN, of='c')}, {reading.listed} FROM {sql.table_name(copy)} AS c "
        f"WHERE c.{NUMBER} > ? AND c.{NUMBER} <= ? ORDER BY c.{NUMBER}"
    )
    found = []
    for row in t.rows(sql.statement(query), [after, after + limit]):
        own = dict(zip(OWN, row, strict=False))
        found.append({**own, **reading.row(row[len(OWN) :], key=wanted.key, text=own[KEY])})
    keys = [row[WAS] or row[KEY] for row in found]
    agreed = snapshots.agreed(t, [key for key in keys if key], mapping=mapping, environment=environment)
    return [{**row, "agreed": agreed.get(key or "")} for row, key in zip(found, keys, strict=True)]


def key_text(alias: str, wanted: Wanted, types: dict[str, Type]) -> str:
    """Write the key of a row as one text, in SQL, as snapshots have it: `rows.key_text` of one column, normalised."""
    text = _text(alias, wanted.key, types)
    return f"LOWER({text})" if wanted.is_lower else text


def _text(alias: str, column: str, types: Mapping[str, Type]) -> str:
    text = f"CAST({alias}.{sql.quoted(column)} AS TEXT)"
    if types.get(column) in (Type.DECIMAL, Type.DOUBLE):  # 17.000000000 is 17
        text = (
            f"CASE WHEN {text} LIKE '%e+1_' OR {text} LIKE '%e+2_' THEN CAST(CAST({text} AS DECIMAL(38,0)) AS TEXT) "
            f"WHEN {text} LIKE '%.%' AND {text} NOT LIKE '%e%' THEN RTRIM(RTRIM({text}, '0'), '.') ELSE {text} END"
        )
    return f"NULLIF(TRIM({text}, ' '), '')"  # DuckDB's own takes every blank of Unicode, as nobody else does


def _others(wanted: Wanted) -> list[str]:
    named = dict.fromkeys((wanted.key, wanted.id, *wanted.links, *wanted.extra))
    return [each for each in named if each and each not in wanted.columns]


def differs(t: Transaction, wanted: Wanted, hashes: Hashes) -> str:
    """
    Write when a row `r` differs from its snapshot `s`.

    A hash that stands there over fewer columns is made again over just those: then a row differs by them, or where a
    column that came since holds something. A blank one does not, unless the mapping would write it. Over columns of
    which one is gone it cannot be made: such rows are read, and no record is asked for (`deciding.py`).
    """
    plain = f"s.row_hash IS DISTINCT FROM r.{HASH}"
    cases, now = [], wanted.hashed
    for name, columns in hashes.older.items():
        if not set(columns) <= set(now):
            continue
        came = [each for each in now if each not in columns]
        if any(each in wanted.clears for each in came):
            continue
        is_other = f"s.row_hash <> {named_hash(t, 'r', name, {each: now[each] for each in columns})}"
        holds = [f"COALESCE(CAST(r.{sql.quoted(each)} AS TEXT), '') <> ''" for each in came]
        cases.append(f"WHEN '{name}' THEN {' OR '.join([is_other, *holds])} ")
    if not cases:
        return plain
    return f"CASE SUBSTR(s.row_hash, 1, {snapshots.NAME_LENGTH}) {''.join(cases)}ELSE {plain} END"


def named_hash(t: Transaction, alias: str, name: str, columns: Mapping[str, Type]) -> str:
    """Write a hash with the name of what made it before it."""
    return f"'{name}' || {t.row_hash(alias, columns)}"


def _copied(
    t: Transaction,
    wanted: Wanted,
    types: dict[str, Type],
    copy: Table,
    whose: Sequence[str],
    *,
    differs: str = "TRUE",
    twice: str = "FALSE",
) -> int:
    """Copy the rows that are new, gone or differ, and those that are *twice*, whatever they are."""
    taken = [*wanted.columns, *_others(wanted)]
    hashed = named_hash(t, "b", snapshots.hash_name(t, wanted.hashed), wanted.hashed)
    query = (
        f"SELECT COALESCE(r.{KEY}, s.key) AS {KEY}, r.{HASH} AS {HASH}, s.row_hash AS {BASE}, s.id AS {ID}, "
        f"s.state AS {STATE_THEN}, CAST(NULL AS TEXT) AS {WAS}, "
        f"ROW_NUMBER() OVER (ORDER BY COALESCE(r.{KEY}, s.key)) AS {NUMBER}, {sql.names(taken, of='r')} "
        f"FROM (SELECT {key_text('b', wanted, types)} AS {KEY}, {hashed} AS {HASH}, {sql.names(taken, of='b')} "
        f"FROM {read_from(wanted.reference)} AS b) AS r "
        f"FULL JOIN (SELECT key, id, row_hash, state FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND "
        f"environment = ?) AS s ON s.key = r.{KEY} "
        f"WHERE s.key IS NULL OR (r.{HASH} IS NULL AND s.state = '{LIVE}') OR (r.{HASH} IS NOT NULL AND "
        f"(s.state <> '{LIVE}' OR {differs})) OR {twice}"
    )
    return t.save(copy, sql.statement(query), whose)


def _twice(t: Transaction, wanted: Wanted, types: dict[str, Type]) -> str:
    """Find the keys that stand in more than one row; return the temporary table they are in, empty for none."""
    query = (
        f"SELECT k.key AS key, COUNT(*) AS times FROM (SELECT {key_text('b', wanted, types)} AS key FROM "
        f"{read_from(wanted.reference)} AS b) AS k WHERE k.key IS NOT NULL GROUP BY k.key HAVING COUNT(*) > 1"
    )
    return "keys_twice" if t.derive("keys_twice", sql.statement(query)) else ""


def _drop_standing(t: Transaction, wanted: Wanted, copy: Table, whose: Sequence[str]) -> int:
    """
    Leave out the rows that were rejected as they are, under definitions that are still the same; but not where their
    key stands in another row too, which would be taken for the only one.
    """
    name = sql.table_name(copy)
    where = (
        f"c.{HASH} IS NOT NULL AND EXISTS (SELECT 1 FROM {sql.table_name(REJECTS)} AS j WHERE j.mapping = ? AND "
        f"j.environment = ? AND j.scope = '{PUSHED}' AND j.key = c.{KEY} AND j.row_hash = c.{HASH} AND j.version = ?) "
        f"AND NOT EXISTS (SELECT 1 FROM {name} AS o WHERE o.{KEY} = c.{KEY} AND o.{HASH} IS NOT NULL "
        f"AND o.{NUMBER} <> c.{NUMBER})"
    )
    parameters = [*whose, wanted.version]
    standing = _count(t, f"SELECT COUNT(*) FROM {name} AS c WHERE {where}", parameters)
    if standing:
        t.run(sql.statement(f"DELETE FROM {name} AS c WHERE {where}"), parameters)
    return standing


def _note_settled(t: Transaction, copy: Table, plan: str, whose: Sequence[str]) -> None:
    """
    Put what a reject or an open conflict stands for, and what no row differs by any more, among the rows of the plan.

    Such a row is gone, or is again as both sides agreed: it counts as none, and a run of the plan lets go of it.
    """
    # The reject of somebody who was forgotten stands under a hash, and comes with its row again.
    left = {REJECTS.name: f"j.scope = '{PUSHED}' AND SUBSTR(j.key, 1, 10) <> 'forgotten '"}
    if t.columns(Table(schema=STATE, name=CONFLICTS, columns=())):
        left[CONFLICTS] = "j.state = 'open'"
    told = " UNION ".join(
        f"SELECT j.key AS key FROM {sql.state_table(table)} AS j WHERE j.mapping = ? AND j.environment = ? AND {which}"
        for table, which in left.items()
    )
    t.run(
        sql.statement(
            f"INSERT INTO {sql.table_name(PLAN_ROWS)} (plan, key, row_hash, outcome, times) "
            f"SELECT CAST(? AS TEXT), j.key, '', '{UNCHANGED}', 0 FROM ({told}) AS j WHERE NOT EXISTS "
            f"(SELECT 1 FROM {sql.table_name(copy)} AS c WHERE COALESCE(c.{KEY}, '') = j.key)"
        ),
        [plan, *(list(whose) * len(left))],
    )


def join_by_id(
    t: Transaction, wanted: Wanted, copy: Table, whose: Sequence[str], types: Mapping[str, Type] | None = None
) -> int:
    """A row with a new key and a record that is known is the same row under another key; return how many were gone."""
    name, id_text = sql.table_name(copy), _text("t", wanted.id, types or {})
    same = (
        f"t.{STATE_THEN} IS NULL AND t.{HASH} IS NOT NULL AND s.mapping = ? AND s.environment = ? AND s.id = {id_text}"
    )
    is_gone = f"EXISTS (SELECT 1 FROM {name} AS m WHERE m.{KEY} = s.key AND m.{HASH} IS NULL)"
    is_away = f"(s.state = '{LEFT}' AND NOT EXISTS (SELECT 1 FROM {name} AS m WHERE m.{KEY} = s.key))"
    t.run(
        sql.statement(
            f"UPDATE {name} AS t SET {WAS} = s.key, {BASE} = s.row_hash, {ID} = s.id, {STATE_THEN} = s.state "
            f"FROM {sql.table_name(SNAPSHOTS)} AS s WHERE {same} AND ({is_gone} OR {is_away})"
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


def read_from(reference: str) -> str:
    """Write what a query reads from: a name, its parts quoted, or a query in brackets."""
    if _QUERY.match(reference):
        return f"({_bare(reference)})"
    if not _NAME.fullmatch(reference.strip()):
        raise UsageError(
            f"The relation {shown(reference)} is neither a name nor a query.",
            hint="Such as stage.hubspot_companies, or select … from ….",
        )
    parts = re.findall(r'"[^"]+"|\w+', reference)
    return ".".join(part if part.startswith('"') else sql.quoted(part) for part in parts)


def _bare(reference: str) -> str:
    """Return a query without the comments before and behind it, in which a question mark would be a parameter."""
    return sql.bare(_BEFORE.sub("", reference, count=1))


def shown(reference: str) -> str:
    """Write a relation for people: a long query is cut."""
    return repr(reference if len(reference) <= 60 else f"{reference[:57]}…")


def drop(t: Transaction, plan: str) -> None:
    """Drop the copy of a plan's rows, and what a comparison has beside its own."""
    for beside in ("", *BESIDE):
        t.drop(copy_table(f"{plan}{beside}"))
