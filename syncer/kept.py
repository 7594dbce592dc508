"""
What records keep of others that were to become one with them, and did not: told by the next run, once.

What stays is given first, and the others go after that. Where a run ends between the two, or a person makes another
record of one meanwhile, the one that stays has values and associations of a stranger, which nobody else would tell of.
Not here: what is given, and when (`apply.py`), taking it off again (`undoing.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from typing import Any

import attrs
import orjson

from syncer import joining, sql
from syncer.journal import DONE, RUNNING, RUNS
from syncer.plan import ASSOCIATE, UPDATE, Change
from syncer.plans import CHANGES, PLANS, changes_where
from syncer.warehouses import Transaction

RUNS_AT_MOST = 50  # of an operation that are looked back on
AT_ONCE = 500  # records that did not go

_Given = Sequence[Any]  # action, fields and edge of a change that was done


@attrs.frozen(kw_only=True)
class Kept:
    """What one record keeps of another: properties, and how many associations. plan: by which it was given."""

    plan: str
    id: str
    of: str
    properties: Sequence[str]
    edges: int

    def __str__(self) -> str:
        """Name it, without a value."""
        edges = ["1 association" if self.edges == 1 else f"{self.edges:,} associations"] if self.edges else []
        names = [*self.properties, *edges]
        what = " and ".join(each for each in (", ".join(names[:-1]), names[-1]) if each)
        return f"{self.id} keeps {what} of {self.of} (plan {self.plan})"


def found(t: Transaction, operation: str, *, environment: str) -> Iterator[Kept]:
    """
    Yield what was given by runs of an operation that no run since has told of: no run of another plan that ended well.
    What was put back since is not kept.
    """
    if not t.columns(RUNS) or not t.columns(CHANGES):
        return
    for plan, runs in _untold(t, operation, environment).items():
        yield from _of_plan(t, plan, _reverted(t, runs))


def _untold(t: Transaction, operation: str, environment: str) -> dict[str, list[str]]:
    """Return the runs of each plan that was applied since the last run that told, the newest first."""
    query = (
        f"SELECT plan, run, status FROM {sql.table_name(RUNS)} WHERE mapping = ? AND environment = ? AND verb = 'run' "
        f"AND plan IS NOT NULL AND status <> '{RUNNING}' ORDER BY started_at DESC LIMIT {RUNS_AT_MOST}"
    )
    untold: dict[str, list[str]] = {}
    told: set[str] = set()  # plans of runs that told what was kept before them
    for plan, run, status in t.rows(sql.statement(query), [operation, environment]):
        if told - {plan}:
            break
        untold.setdefault(plan, []).append(run)
        if status == DONE:
            told.add(plan)
    return untold


def _reverted(t: Transaction, runs: Sequence[str]) -> set[str]:
    """Return those runs that were put back."""
    query = (
        f"SELECT p.reverts FROM {sql.table_name(PLANS)} AS p WHERE p.reverts IN ({', '.join('?' for _ in runs)}) AND "
        f"EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS r WHERE r.plan = p.plan AND r.status = '{DONE}')"
    )
    return {str(run) for (run,) in t.rows(sql.statement(query), list(runs))}


def _of_plan(t: Transaction, plan: str, reverted: Container[str]) -> Iterator[Kept]:
    """Yield what was given of each record that did not go, some hundred of them in memory at once."""
    into, after = sql.quoted("into"), 0
    where = f"number > ? AND action IN ('merge', 'archive') AND {into} IS NOT NULL AND state NOT IN ('done', 'same')"
    while left := changes_where(t, where, "number", [plan, after], AT_ONCE):
        after = left[-1].number
        given = _given(t, plan, {each.into or "" for each in left}, reverted)
        for lost in left:
            kept = _kept(plan, lost, given.get(lost.into or "", ()))
            if kept.properties or kept.edges:
                yield kept


def _given(t: Transaction, plan: str, ids: Collection[str], reverted: Container[str]) -> dict[str, list[_Given]]:
    """Return what records got by a plan, and still have for all that syncer did."""
    query = (
        f"SELECT COALESCE(run, ''), id, action, fields, edge FROM {sql.table_name(CHANGES)} WHERE plan = ? "
        f"AND action IN ('{UPDATE}', '{ASSOCIATE}') AND state = 'done' AND id IN ({', '.join('?' for _ in ids)})"
    )
    given: dict[str, list[_Given]] = {}
    for run, id, *what in t.rows(sql.statement(query), [plan, *ids]):
        if run not in reverted:
            given.setdefault(id, []).append(what)
    return given


def _kept(plan: str, lost: Change, given: Iterable[_Given]) -> Kept:
    """Return what of a record that did not go is among what was *given*."""
    own = {(each.kind, each.id, each.category, each.type_id) for each in lost.edges}
    names: list[str] = []
    edges = 0
    for action, fields, edge in given:
        if action == ASSOCIATE:
            to = orjson.loads(edge)
            edges += (to["kind"], to["id"], to["category"], to["type_id"]) in own
            continue
        for name, (_, after, *_) in orjson.loads(fields).items():
            held = lost.fields[name].before if name in lost.fields else None
            if held and after and _is_of(held, after):
                names.append(name)
    return Kept(plan=plan, id=lost.into or "", of=lost.id or "", properties=sorted(names), edges=edges)


def _is_of(held: str, after: str) -> bool:
    """Tell whether a value is what was written, a part of a joined text, or one of the choices."""
    return joining.is_within(held, after) or bool(set(held.split(";")) & set(after.split(";")))
