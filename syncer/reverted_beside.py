"""
What the journal tells of the records that a reverted run wrote to, beside what it did: of which others they got what
they got, what they were associated with by themselves before its plan, and what later runs merged.

All of the plan counts, whatever became of its changes: a record that was to go, and did not then, may have gone since.
Not here: what the run did (`reverted.py`), how its records are now (`undoing_survivors.py`, `undoing_own.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
import orjson

from syncer import plan, sql
from syncer.plan import Edge
from syncer.plans import CHANGES
from syncer.reverted import Done, Reverted
from syncer.warehouses import Transaction

ARCHIVES = 500  # of a plan that are looked through at once, those next behind what they may come after


@attrs.frozen
class Giver:
    """A record of which others got something before it was to go: merged into them, or archived after it."""

    id: str
    is_merged: bool


@attrs.frozen(kw_only=True)
class Own:
    """
    What a record was associated with by itself before a plan, to one kind: ids. is_whole: these are all of them; a
    plan that an older version made tells no more than what it took away.
    """

    ids: frozenset[str] = frozenset()
    is_whole: bool = False


@attrs.frozen(kw_only=True)
class Merging:
    """A merge of ours, done: what went, into what, what that is since, and by which run."""

    id: str
    into: str
    result: str
    run: str


def has_givers(t: Transaction, reverted: Reverted) -> bool:
    """Tell whether the plan has merges, or archives that come after something."""
    query = (
        f"SELECT COUNT(*) FROM {sql.table_name(CHANGES)} WHERE plan = ? "
        f"AND (action = '{plan.MERGE}' OR (action = '{plan.ARCHIVE}' AND after <> '[]'))"
    )
    return int(t.rows(sql.statement(query), [reverted.header.plan])[0][0]) > 0


def givers(t: Transaction, reverted: Reverted, done: Sequence[Done]) -> dict[int, set[Giver]]:
    """
    Return the records that were to go after changes, by number: merged into the one that was written to, or archived.

    *done*: in the order of numbers, either way; an archive stands behind what it comes after.
    """
    found: dict[int, set[Giver]] = {}
    of_record: dict[str, list[int]] = {}
    for each in done:
        of_record.setdefault(each.was or "", []).append(each.number)
    changes, wanted = sql.table_name(CHANGES), sorted(of_record)
    query = (
        f"SELECT {sql.quoted('into')}, id FROM {changes} WHERE plan = ? AND action = '{plan.MERGE}' "
        f"AND {sql.quoted('into')} IN ({_marks(wanted)})"
    )
    for into, id in t.rows(sql.statement(query), [reverted.header.plan, *wanted]):
        for number in of_record[into]:
            found.setdefault(number, set()).add(Giver(id, True))
    numbers = {each.number for each in done}
    query = (
        f"SELECT number, id, after FROM {changes} WHERE plan = ? AND action = '{plan.ARCHIVE}' AND after <> '[]' "
        f"AND number > ? ORDER BY number LIMIT {ARCHIVES}"
    )
    place, last, is_near = min(numbers), max(numbers), True
    while is_near:
        is_near = False
        for number_of, id, after in t.rows(sql.statement(query), [reverted.header.plan, place]):
            place, of_archive = int(number_of), orjson.loads(after)
            is_near = is_near or min(of_archive) <= last
            for number in numbers.intersection(of_archive):
                found.setdefault(number, set()).add(Giver(id, False))
    return found


def own(t: Transaction, reverted: Reverted, ids: Iterable[str]) -> dict[tuple[str, str], Own]:
    """
    Return what some hundred records were associated with by themselves before the plan, by id and kind; what it does
    not tell of is left out.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    listed = ", ".join(f"'{action}'" for action in sorted(plan.OF_EDGES))
    query = (
        f"SELECT id, action, edge, edges, fields FROM {sql.table_name(CHANGES)} WHERE plan = ? "
        f"AND action IN ({listed}) AND id IN ({_marks(wanted)}) "
        f"AND (action = '{plan.DISASSOCIATE}' OR edges IS NOT NULL OR fields <> '{{}}')"
    )
    found: dict[tuple[str, str], set[str]] = {}
    whole: set[tuple[str, str]] = set()
    for id, action, edge, edges, fields in t.rows(sql.statement(query), [reverted.header.plan, *wanted]):
        made, had = Edge(**orjson.loads(edge)), [Edge(**each) for each in orjson.loads(edges or "[]")]
        if action == plan.ASSOCIATE:
            whole |= {(id, made.kind)} if had else set()
            told = {before for before, *_ in orjson.loads(fields or "{}").values()}  # whose place it took
            had = had[:-1]  # the last one is what was made
        else:
            told = {made.id}
        found.setdefault((id, made.kind), set()).update(each for each in told if each)
        for each in had:
            found.setdefault((id, each.kind), set()).update([each.id] if each.id else [])
    return {where: Own(ids=frozenset(each), is_whole=where in whole) for where, each in found.items()}


def merged_by(t: Transaction, reverted: Reverted, ids: Iterable[str]) -> list[Merging]:
    """Return the merges by which our runs took records away, some hundred of them."""
    return _merges(t, reverted, "key", ids)


def merged_to(t: Transaction, reverted: Reverted, ids: Iterable[str]) -> list[Merging]:
    """Return the merges by which our runs made records what they are, some hundred of them."""
    return _merges(t, reverted, "result", ids)


def of_plan(t: Transaction, reverted: Reverted, ids: Iterable[str]) -> set[str]:
    """Return which of some hundred records the plan was to merge away, or others into."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    into = sql.quoted("into")
    query = (
        f"SELECT id, {into} FROM {sql.table_name(CHANGES)} WHERE plan = ? AND action = '{plan.MERGE}' "
        f"AND (id IN ({_marks(wanted)}) OR {into} IN ({_marks(wanted)}))"
    )
    found = t.rows(sql.statement(query), [reverted.header.plan, *wanted, *wanted])
    return {each for pair in found for each in pair if each} & set(wanted)


def _merges(t: Transaction, reverted: Reverted, column: str, ids: Iterable[str]) -> list[Merging]:
    wanted = sorted(set(ids))
    if not wanted:
        return []
    header = reverted.header
    query = (
        f"SELECT id, COALESCE(sent_into, {sql.quoted('into')}), result, run FROM {sql.table_name(CHANGES)} "
        f"WHERE {column} IN ({_marks(wanted)}) AND environment = ? AND kind = ? AND action = '{plan.MERGE}' "
        f"AND state = '{plan.DONE}' AND result IS NOT NULL ORDER BY ended_at, number"
    )
    rows = t.rows(sql.statement(query), [*wanted, header.environment, header.settings["kind"]])
    return [Merging(id=id, into=into, result=result, run=run) for id, into, result, run in rows]


def moving(t: Transaction, plan_id: str, ids: Iterable[str]) -> Mapping[str, Sequence[tuple[str, Edge]]]:
    """Return the edges of some hundred records that a plan makes and takes away so far: action and edge, by record."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    listed = ", ".join(f"'{action}'" for action in sorted(plan.OF_EDGES))
    query = (
        f"SELECT id, action, edge FROM {sql.table_name(CHANGES)} WHERE plan = ? AND action IN ({listed}) "
        f"AND id IN ({_marks(wanted)})"
    )
    found: dict[str, list[tuple[str, Edge]]] = {}
    for id, action, edge in t.rows(sql.statement(query), [plan_id, *wanted]):
        found.setdefault(id, []).append((action, Edge(**orjson.loads(edge))))
    return found


def _marks(wanted: Sequence[str]) -> str:
    return ", ".join("?" for _ in wanted)
