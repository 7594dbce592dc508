"""
How long the journal keeps what it wrote: `[journal] keep_days` of `syncer.toml`.

A plan is as old as the last run of it, or as itself where none carried it out. Of an older one the changes and rows
are deleted, with all values; its header stays where a run names it, so that the run still tells what it did, and can
say why it cannot be put back. Conflicts that were settled longer ago are deleted. A plan with a change in flight is
never too old: only its journal tells what may have arrived. Nor is one that a run needs (`plan_stays`).

What a kill left of a plan that was being made, or of a verify, is found by its header, which says which process makes
it: one that runs no more on this machine makes nothing; of another machine's nobody can tell, and it is given a day.

Set-based, in one transaction; nothing is read where no plan is old. Not here: forgetting (`forgetting_pushed.py`);
how `syncer clean` does the same in parts, and what else it deletes (`cleaning.py`).
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from syncer import forgetting_pushed, plan, plans, sql
from syncer.conflicts import CONFLICTS, SETTLED
from syncer.journal import RUNNING, RUNS
from syncer.plans import CHANGES, PLAN_ROWS, PLANS
from syncer.tables import STATE, Table
from syncer.warehouses import Transaction

AGED = "aged"  # the state of a plan whose changes and rows were deleted
ABANDONED = dt.timedelta(days=1)  # how long a plan may be made of which nobody can tell whether it still is
LONGEST = dt.timedelta(days=7)  # how long one may be made whose process runs: another one may have its number by then
_OF_A_PLAN = re.compile("(?:copy_([0-9a-f]{12})(?:_sample|_marks)?|claims_([0-9a-f]{12}))")


@attrs.frozen(kw_only=True)
class Aged:
    """
    What was deleted, in rows. plans: those that no run names, whole. abandoned: plans, and comparisons, that a killed
    run was making; tables: copies of rows that belong to none.
    """

    plans: int = 0
    abandoned: int = 0
    changes: int = 0
    plan_rows: int = 0
    conflicts: int = 0
    tables: int = 0

    def __str__(self) -> str:
        """Write it in a line: `2 rows of syncer.changes, 1 plan or comparison that a killed run was making`."""
        counts = [
            f"{count:,} {'row' if count == 1 else 'rows'} of syncer.{name}"
            for name, count in attrs.asdict(self).items()
            if count and name not in ("abandoned", "tables")
        ]
        return ", ".join([*counts, *left_behind(self.abandoned, self.tables)]) or "nothing"


def left_behind(abandoned: int, tables: int) -> list[str]:
    """Name what killed runs left, in words; what there is none of is left out."""
    plans_ = "plan or comparison" if abandoned == 1 else "plans or comparisons"
    belongs = "copy of rows that belongs" if tables == 1 else "copies of rows that belong"
    found = [f"{abandoned:,} {plans_} that a killed run was making"] if abandoned else []
    return found + ([f"{tables:,} {belongs} to no run"] if tables else [])


def age(t: Transaction, *, keep_days: int | None, now: dt.datetime) -> Aged:
    """Delete what is older than *keep_days* (None: keep it), and what killed runs left of plans."""
    if not all(t.columns(table) for table in (PLANS, CHANGES, PLAN_ROWS, RUNS)):
        return Aged()
    abandoned = sweep(t, now=now)
    if keep_days is None:
        return Aged(abandoned=abandoned)
    oldest = now - dt.timedelta(days=keep_days)
    settled = 0
    if t.columns(CONFLICTS):
        query = f"DELETE FROM {sql.table_name(CONFLICTS)} WHERE state = '{SETTLED}' AND settled_at < ?"
        settled = t.run(sql.statement(query), [oldest])
    if not note_old(t, oldest):
        return Aged(abandoned=abandoned, conflicts=settled)
    is_old = "EXISTS (SELECT 1 FROM plans_old AS s WHERE s.plan = {}.plan)"
    changes, rows = (
        t.run(sql.statement(f"DELETE FROM {sql.table_name(table)} AS x WHERE {is_old.format('x')}"))
        for table in (CHANGES, PLAN_ROWS)
    )
    is_named = f'EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS r WHERE r."plan" = x.plan)'
    gone = t.run(
        sql.statement(f"DELETE FROM {sql.table_name(PLANS)} AS x WHERE {is_old.format('x')} AND NOT {is_named}")
    )
    t.run(sql.statement(f"UPDATE {sql.table_name(PLANS)} AS t SET state = '{AGED}' WHERE {is_old.format('t')}"))
    return Aged(abandoned=abandoned, plans=gone, changes=changes, plan_rows=rows, conflicts=settled)


@attrs.frozen
class Reason:
    """Why a row stays: in words, and the condition as SQL, with its parameters."""

    words: str
    condition: str
    parameters: Sequence[Any] = ()


def plan_stays(oldest: dt.datetime) -> tuple[Reason, ...]:
    """Return why the changes and rows of a plan `p` stay that is not aged yet; *oldest*: what is older may go."""
    named = f'EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS r WHERE r."plan" = p.plan AND {{}})'
    return (
        Reason(
            "younger", f"(p.made_at >= ? OR {named.format('(r.updated_at >= ? OR r.finished_at >= ?)')})", [oldest] * 3
        ),
        Reason(
            "a change is in flight",
            f"EXISTS (SELECT 1 FROM {sql.table_name(CHANGES)} AS c WHERE c.plan = p.plan "
            f"AND c.state = '{plan.SENDING}')",
        ),
        Reason("its run was broken off: the next one settles it", named.format(f"r.status = '{RUNNING}'")),
        Reason("it is being put back", *_is_put_back("p", oldest)),
        Reason("a run has begun that may take it up", *may_take_up("p", oldest)),
    )


def _is_put_back(of: str, oldest: dt.datetime) -> tuple[str, Sequence[Any]]:
    """
    Say, in SQL, that a revert of a run of a plan is not over: its own plan is being made, has a change in flight or a
    run that was broken off, or can still be applied.
    """
    runs, changes = sql.table_name(RUNS), sql.table_name(CHANGES)
    run_of = f'EXISTS (SELECT 1 FROM {runs} AS v WHERE v."plan" = q.plan AND {{}})'
    has = f"EXISTS (SELECT 1 FROM {changes} AS d WHERE d.plan = q.plan AND d.state IN ({{}}))"
    open_ones = has.format(f"'{plan.PLANNED}', '{plan.PENDING}', '{plan.LEFT_OUT}'")
    is_young = f"(q.made_at >= ? OR {run_of.format('(v.updated_at >= ? OR v.finished_at >= ?)')})"
    sending, broken_off = has.format(f"'{plan.SENDING}'"), run_of.format(f"v.status = '{RUNNING}'")
    return (
        f"EXISTS (SELECT 1 FROM {sql.table_name(PLANS)} AS q JOIN {runs} AS r ON r.run = q.reverts WHERE "
        f"r.\"plan\" = {of}.plan AND q.state <> '{AGED}' AND (q.state = '{plans.PLANNING}' OR {sending} "
        f"OR {broken_off} OR ({is_young} AND {open_ones})))",
        [oldest] * 3,
    )


def may_take_up(of: str, oldest: dt.datetime) -> tuple[str, Sequence[Any]]:
    """Say, in SQL, that a run of a plan's mapping has begun, and has not told yet which plan it carries out."""
    return (
        f"EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS u WHERE u.mapping = {of}.mapping AND u.environment = "
        f"{of}.environment AND u.status = '{RUNNING}' "
        "AND u.\"plan\" IS NULL AND u.verb <> 'pull' AND u.updated_at >= ?)",
        [oldest],
    )


def note_old(t: Transaction, oldest: dt.datetime) -> int:
    """Note in the temporary table `plans_old` the plans whose changes and rows are to go; return how many."""
    stays, parameters = either(plan_stays(oldest))
    return t.derive(
        "plans_old",
        sql.statement(
            f"SELECT p.plan AS plan FROM {sql.table_name(PLANS)} AS p WHERE p.state <> '{AGED}' AND NOT ({stays})"
        ),
        parameters,
    )


def either(reasons: Iterable[Reason]) -> tuple[str, list[Any]]:
    """Return the condition that one of *reasons* holds, and its parameters."""
    given = list(reasons)
    return (
        " OR ".join(f"({each.condition})" for each in given),
        [value for each in given for value in each.parameters],
    )


def is_aged(t: Transaction, run: str) -> bool:
    """Tell whether what a run wrote was deleted since: it cannot be put back any more. *run* is its whole id."""
    if not t.columns(PLANS):
        return False
    query = (
        f'SELECT r."plan", p.state FROM {sql.table_name(RUNS)} AS r LEFT JOIN {sql.table_name(PLANS)} AS p ON '
        'p.plan = r."plan" WHERE r.run = ? AND r."plan" IS NOT NULL'
    )
    found = t.rows(sql.statement(query), [run])
    return bool(found) and found[0][1] in (None, AGED)


def sweep(t: Transaction, *, now: dt.datetime, mapping: str | None = None, environment: str | None = None) -> int:
    """
    Delete what killed processes left of plans that they were making, and of comparisons; return of how many.

    mapping, environment: whose; None: all. What a process makes that still runs is left alone.
    """
    query = f"SELECT plan, made_at, pid, host FROM {sql.table_name(PLANS)} WHERE state = '{plans.PLANNING}'"
    whose = {"mapping": mapping, "environment": environment}
    chosen = {name: value for name, value in whose.items() if value is not None}
    found = t.rows(sql.statement(query + "".join(f" AND {name} = ?" for name in chosen)), list(chosen.values()))
    left = [of_plan for of_plan, made_at, pid, host in found if _is_left(of_plan, made_at, int(pid or 0), host, now)]
    for each in left:
        forgetting_pushed.drop(t, each)
    return len(left)


def drop_ownerless(t: Transaction) -> int:
    """
    Drop copies of rows that no plan has, and no comparison; return how many.

    Both commit their header with their copy, and end both in one transaction: one without the other is nobody's.
    """
    tables = f"SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{STATE}' ORDER BY TABLE_NAME"
    named = {name: found for (name,) in t.rows(sql.statement(tables)) if (found := _OF_A_PLAN.fullmatch(name))}
    if not named:
        return 0
    making = f"SELECT plan FROM {sql.table_name(PLANS)} WHERE state = '{plans.PLANNING}'"
    owners = {of_plan for (of_plan,) in t.rows(sql.statement(making))}
    left = [name for name, found in named.items() if owners.isdisjoint(found.groups())]
    for each in left:
        t.drop(Table(schema=STATE, name=each, columns=()))
    return len(left)


def _is_left(of_plan: str, made_at: dt.datetime | None, pid: int, host: str | None, now: dt.datetime) -> bool:
    """Tell whether the process that was making a plan is no more; where that cannot be told, after a day."""
    age = None if made_at is None else now - made_at
    is_running = _is_running(pid) if pid and host == socket.gethostname() else None
    if is_running is None:
        return age is None or age > ABANDONED
    if pid == os.getpid():
        return not plans.is_begun_here(of_plan)
    return not is_running or (age is not None and age > LONGEST)


def _is_running(pid: int) -> bool | None:
    """Tell whether a process runs; None where that cannot be told."""
    if os.name == "nt":
        return None  # os.kill would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
