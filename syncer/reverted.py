"""
The run that is reverted: found by its id, looked at whether it can be, and what it did, as its journal has it.

Only what a run itself did is read: a plan may have been carried out by several. Not here: what else the journal tells
of its records (`reverted_beside.py`), what is put back (`undoing.py`), what the journal is (`plans.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs
import orjson

from syncer import aging, plan, plan_journal, plans, sql
from syncer.errors import UsageError
from syncer.journal import RUNNING, RUNS
from syncer.limits import OFF
from syncer.mapping import EdgeColumn, Outbound
from syncer.plan import Edge, Edit
from syncer.plans import CHANGES, PLANS, Header
from syncer.restoring import RESTORED_FROM
from syncer.warehouses import Transaction

PULL = "pull"
SHORTEST_ID = 4  # of the beginning of a run's id that a person types
OF_RECORDS = (plan.CREATE, plan.UPDATE, plan.ARCHIVE, plan.MERGE)
OF_EDGES = (plan.ASSOCIATE, plan.DISASSOCIATE)


@attrs.frozen(kw_only=True)
class Reverted:
    """
    A run that can be reverted: its plan, and how many changes of each action it did.

    in_flight: changes that were sent, and nobody knows yet what became of them.
    """

    run: str
    header: Header
    did: Mapping[str, int]
    in_flight: int = 0

    @property
    def source(self) -> str:
        """The name of the source that was written."""
        return self.header.mapping.partition(".")[0]

    @property
    def outbound(self) -> Outbound:
        """How the run's records go out, with limits by which what is put back is never more than what it did."""
        words = self.header.settings
        did = {action: self.did.get(action, 0) for action in plan.ACTIONS}
        limits: dict[str, float | str] = {
            "max_updates": did[plan.UPDATE] + did[plan.ASSOCIATE] + did[plan.DISASSOCIATE] + did[plan.MERGE],
            "max_creates": did[plan.MERGE],
            "max_archives": did[plan.CREATE],
            "max_disassociations": did[plan.ASSOCIATE],
            "max_merges": 0,
            **dict.fromkeys(("max_update_share", "max_create_share", "max_missing_share"), OFF),
        }
        return Outbound(
            kind=words["kind"],
            match_on=words.get("match_on") or (RESTORED_FROM if did[plan.MERGE] else None),
            edges=tuple(EdgeColumn(**edge) for edge in words.get("edges", ())),
            limits=limits,
        )


@attrs.frozen(kw_only=True)
class Done:
    """
    One change that the run did; `id` is the record's that it was written to, or that it made, *was* what it was when
    it was planned: of a merge, the record that went. edges: those that a record had that went.
    """

    number: int
    action: str
    key: str
    id: str | None
    fields: Mapping[str, Edit]
    edge: Edge | None
    after: tuple[int, ...]
    sent_at: dt.datetime | None
    was: str | None = None
    edges: tuple[Edge, ...] = ()
    title: str = ""


@attrs.frozen(kw_only=True)
class Written:
    """A later write of ours to one field, as it was sent; is_revert: by a run that put another one back."""

    run: str
    after: str | None
    is_revert: bool


def find(t: Transaction, beginning: str, *, environment: str, held: Collection[str]) -> Reverted:
    """
    Find the run whose id begins so. *held*: the runs that hold a lease now.

    Raises: UsageError: there is none or several, or nothing of it can be put back.
    """
    run, of_environment, verb, status, of_plan = _run(t, beginning)
    if verb == PULL:
        raise UsageError(
            f"Run {run} is a pull: it wrote to the warehouse only, and there is nothing to put back.",
            hint="Only runs that write to an API are reverted: push, run, revert.",
        )
    if of_environment != environment:
        raise UsageError(
            f"Run {run} is of the environment {of_environment}, not of {environment}.",
            hint=f"Add --environment {of_environment}: what it wrote is put back in the same account.",
        )
    if status == RUNNING and run in held:
        raise UsageError(f"Run {run} is still going.", hint="Wait until it ends, or end it, and revert it then.")
    if of_plan is None:
        raise UsageError(f"Run {run} has nothing to put back: it ended before there was a plan.")
    if aging.is_aged(t, run):
        raise UsageError(
            f"Run {run} cannot be put back any more: what it wrote was deleted from the journal.",
            hint="keep_days in [journal] of syncer.toml says how long the journal keeps values.",
        )
    header = plans.header_of(t, of_plan)
    query = (
        f"SELECT action, state, COUNT(*) FROM {sql.table_name(CHANGES)} WHERE plan = ? AND run = ? "
        f"AND state IN ('{plan.DONE}', '{plan.SENDING}') GROUP BY action, state"
    )
    did: dict[str, int] = {}
    in_flight = 0
    for action, state, count in t.rows(sql.statement(query), [of_plan, run]):
        did[action] = did.get(action, 0) + int(count)
        in_flight += int(count) if state == plan.SENDING else 0
    if not did:
        raise UsageError(f"Run {run} has nothing to put back: it is {status}, and wrote nothing.")
    if status == RUNNING or in_flight:  # groups of changes that it began are finished first, under its id
        query = (
            f"SELECT action, COUNT(*) FROM {sql.table_name(CHANGES)} WHERE plan = ? AND wave > 0 "
            f"AND state IN ('{plan.PLANNED}', '{plan.PENDING}') GROUP BY action"
        )
        for action, count in t.rows(sql.statement(query), [of_plan]):
            did[action] = did.get(action, 0) + int(count)
    return Reverted(run=run, header=header, did=did, in_flight=in_flight)


def _run(t: Transaction, beginning: str) -> tuple[str, str, str, str, str | None]:
    if len(beginning) < SHORTEST_ID:
        raise UsageError(f"'{beginning}' is too short for a run's id: {SHORTEST_ID} letters at least.")
    columns = t.columns(RUNS)
    found = []
    if columns:
        named = "plan" if "plan" in columns and t.columns(PLANS) else None
        query = (
            f"SELECT run, environment, verb, status, {sql.quoted(named) if named else 'NULL'} "
            f"FROM {sql.table_name(RUNS)} WHERE SUBSTR(run, 1, ?) = ? ORDER BY started_at, run"
        )
        found = t.rows(sql.statement(query), [len(beginning), beginning])
    if not found:
        raise UsageError(
            f"There is no run {beginning} in this warehouse.",
            hint="`syncer status` shows the last one of each mapping; a plan's id is no run's.",
        )
    if len(found) > 1:
        named_ones = ", ".join(row[0] for row in found[:3])
        raise UsageError(f"{beginning} is the beginning of {len(found)} runs: {named_ones}.", hint="Give more of it.")
    run, environment, verb, status, of_plan = found[0]
    return run, environment, verb, status, of_plan or None


def records(
    t: Transaction, reverted: Reverted, *, after: int, limit: int, actions: Sequence[str] = OF_RECORDS
) -> list[Done]:
    """Return what the run did to records behind a number, in the order of their numbers."""
    return _done(t, reverted, actions, "number > ?", "number", after, limit)


def edges(t: Transaction, reverted: Reverted, *, before: int, limit: int) -> list[Done]:
    """Return what the run did to edges below a number, the last one first."""
    return _done(t, reverted, OF_EDGES, "number < ?", "number DESC", before, limit)


def _done(
    t: Transaction, reverted: Reverted, actions: Sequence[str], where: str, order: str, place: int, limit: int
) -> list[Done]:
    listed = ", ".join(f"'{action}'" for action in actions)
    query = (
        "SELECT number, action, key, COALESCE(result, id), fields, edge, after, sent_at, id, edges, title "
        f"FROM {sql.table_name(CHANGES)} WHERE plan = ? AND run = ? AND state = '{plan.DONE}' "
        f"AND action IN ({listed}) AND {where} ORDER BY {order} LIMIT {limit}"
    )
    found = t.rows(sql.statement(query), [reverted.header.plan, reverted.run, place])
    linked = {int(row[0]): Edge(**orjson.loads(row[5])) for row in found if row[5]}
    ends = _with_ends(t, reverted, linked)
    return [
        Done(
            number=int(number),
            action=action,
            key=key,
            id=id,
            fields={name: Edit(*edit) for name, edit in orjson.loads(fields or "{}").items()},
            edge=ends.get(int(number)),
            after=tuple(orjson.loads(after or "[]")),
            sent_at=sent_at,
            was=was,
            edges=tuple(Edge(**each) for each in orjson.loads(had or "[]")),
            title=title or "",
        )
        for number, action, key, id, fields, _, after, sent_at, was, had, title in found
    ]


def several(t: Transaction, reverted: Reverted) -> frozenset[str]:
    """Return the keys under which a run did several changes to records: an operation may."""
    listed = ", ".join(f"'{action}'" for action in OF_RECORDS)
    query = (
        f"SELECT key FROM {sql.table_name(CHANGES)} WHERE plan = ? AND run = ? AND state = '{plan.DONE}' "
        f"AND action IN ({listed}) GROUP BY key HAVING COUNT(*) > 1"
    )
    return frozenset(row[0] for row in t.rows(sql.statement(query), [reverted.header.plan, reverted.run]))


def partners(t: Transaction, reverted: Reverted, numbers: Iterable[int]) -> dict[int, Edge]:
    """Return the edges that changes of the plan made, by number."""
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    marks = ", ".join("?" for _ in wanted)
    query = (
        f"SELECT number, edge FROM {sql.table_name(CHANGES)} WHERE plan = ? AND number IN ({marks}) "
        f"AND action = '{plan.ASSOCIATE}' AND edge IS NOT NULL"
    )
    found = t.rows(sql.statement(query), [reverted.header.plan, *wanted])
    edges = {int(number): Edge(**orjson.loads(edge)) for number, edge in found}
    return _with_ends(t, reverted, edges)


def _with_ends(t: Transaction, reverted: Reverted, edges: Mapping[int, Edge]) -> dict[int, Edge]:
    """Return edges with the ids of records that the same plan made."""
    numbers = [each.made_by for each in edges.values() if each.id is None and each.made_by is not None]
    made = plan_journal.ids_made(t, reverted.header.plan, numbers)
    return {
        number: attrs.evolve(edge, id=made.get(edge.made_by, ("", None))[1])
        if edge.id is None and edge.made_by is not None
        else edge
        for number, edge in edges.items()
    }


def moved_on(t: Transaction, reverted: Reverted, of_plan: str, keys: Iterable[str]) -> dict[tuple[str, str], set[int]]:
    """
    Return what a plan associates with new records that it makes of those that were merged into some: by kind and id of
    the other end, the numbers of its changes. *keys*: of the records that others were merged into.
    """
    wanted = sorted(set(keys))
    if not wanted or not reverted.did.get(plan.MERGE):
        return {}
    marks = ", ".join("?" for _ in wanted)
    query = (
        f"SELECT c.number, c.edge FROM {sql.table_name(CHANGES)} AS c WHERE c.plan = ? "
        f"AND c.action = '{plan.ASSOCIATE}' AND EXISTS (SELECT 1 FROM {sql.table_name(CHANGES)} AS m "
        "WHERE m.plan = ? AND m.run = ? "
        f"AND m.action = '{plan.MERGE}' AND m.{sql.quoted('into')} IN ({marks}) AND m.id = c.key)"
    )
    found: dict[tuple[str, str], set[int]] = {}
    for number, edge in t.rows(sql.statement(query), [of_plan, reverted.header.plan, reverted.run, *wanted]):
        made = Edge(**orjson.loads(edge))
        if made.id is not None:
            found.setdefault((made.kind, made.id), set()).add(int(number))
    return found


def merged_of(t: Transaction, reverted: Reverted, ids: Iterable[str]) -> set[str]:
    """Return which of some thousand ids at the most the run merged away."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    query = (
        f"SELECT id FROM {sql.table_name(CHANGES)} WHERE plan = ? AND run = ? AND action = '{plan.MERGE}' "
        f"AND state = '{plan.DONE}' AND id IN ({', '.join('?' for _ in wanted)})"
    )
    return {id for (id,) in t.rows(sql.statement(query), [reverted.header.plan, reverted.run, *wanted])}


def unlinked(t: Transaction, reverted: Reverted, ids: Iterable[str]) -> set[str]:
    """Return which of merged records an earlier revert of the run made anew, and left without an association."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    changes = sql.table_name(CHANGES)
    query = (
        f"SELECT DISTINCT c.key FROM {changes} AS c JOIN {sql.table_name(PLANS)} AS q ON q.plan = c.plan "
        f"WHERE q.reverts = ? AND c.action = '{plan.ASSOCIATE}' AND c.state NOT IN ('{plan.DONE}', '{plan.SAME}') "
        f"AND c.key IN ({', '.join('?' for _ in wanted)}) AND EXISTS (SELECT 1 FROM {changes} AS m "
        f"WHERE m.plan = c.plan AND m.key = c.key AND m.action = '{plan.CREATE}' AND m.state = '{plan.DONE}')"
    )
    return {key for (key,) in t.rows(sql.statement(query), [reverted.run, *wanted])}


def has_since(t: Transaction, reverted: Reverted) -> bool:
    """Tell whether other runs wrote records of the kind since the run began."""
    changes = sql.table_name(CHANGES)
    query = (
        f"SELECT COUNT(*) FROM {changes} AS c WHERE c.environment = ? AND c.kind = ? AND c.run <> ? "
        f"AND c.state = '{plan.DONE}' AND c.sent_at >= (SELECT MIN(x.sent_at) FROM {changes} AS x WHERE x.run = ?)"
    )
    header = reverted.header
    whose = [header.environment, header.settings["kind"], reverted.run, reverted.run]
    return int(t.rows(sql.statement(query), whose)[0][0]) > 0


def since(
    t: Transaction, reverted: Reverted, done: Sequence[Done], ids: Iterable[str]
) -> dict[str, dict[str, Written]]:
    """Return the last write of ours, by other runs since, to fields of records: by the record's id and the field."""
    moments = [each.sent_at for each in done if each.sent_at is not None]
    wanted = sorted(set(ids))
    if not moments or not wanted:
        return {}
    begins = f"{reverted.source}."
    query = (
        f"SELECT c.result, c.run, c.fields, p.reverts FROM {sql.table_name(CHANGES)} AS c "
        f"JOIN {sql.table_name(PLANS)} AS p ON p.plan = c.plan WHERE c.environment = ? AND c.kind = ? "
        f"AND SUBSTR(c.mapping, 1, ?) = ? AND c.state = '{plan.DONE}' "
        f"AND c.action IN ('{plan.CREATE}', '{plan.UPDATE}') AND c.run <> ? AND c.sent_at >= ? "
        f"AND c.result IN ({', '.join('?' for _ in wanted)}) ORDER BY c.sent_at, c.number"
    )
    header = reverted.header
    whose = [header.environment, header.settings["kind"], len(begins), begins, reverted.run, min(moments), *wanted]
    found: dict[str, dict[str, Written]] = {}
    for id, run, fields, reverts in t.rows(sql.statement(query), whose):
        of_record = found.setdefault(id, {})
        for name, edit in orjson.loads(fields or "{}").items():
            of_record[name] = Written(run=run, after=edit[1], is_revert=reverts is not None)
    return found
