"""
How long the journal keeps what it wrote: `[journal] keep_days` of `syncer.toml`.

A plan is as old as the last run of it, or as itself where none carried it out. Of an older one the changes and rows
are deleted, with all values; its header stays where a run names it, so that the run still tells what it did, and can
say why it cannot be put back. Conflicts that were settled longer ago are deleted. A plan with a change in flight is
never too old: only its journal tells what may have arrived. A plan that is not whole after a day was left by a kill.

Set-based, in one transaction; nothing is read where no plan is old. Not here: forgetting (`forgetting_pushed.py`).
"""

from __future__ import annotations

import datetime as dt

import attrs

from syncer import forgetting_pushed, plan, plans, sql
from syncer.conflicts import CONFLICTS, SETTLED
from syncer.journal import RUNS
from syncer.plans import CHANGES, PLAN_ROWS, PLANS
from syncer.warehouses import Transaction

AGED = "aged"  # the state of a plan whose changes and rows were deleted
ABANDONED = dt.timedelta(days=1)


@attrs.frozen(kw_only=True)
class Aged:
    """What was deleted, in rows. plans: those that no run names, whole. abandoned: plans that were never whole."""

    plans: int = 0
    abandoned: int = 0
    changes: int = 0
    plan_rows: int = 0
    conflicts: int = 0

    def __str__(self) -> str:
        counts = [
            f"{count:,} {'row' if count == 1 else 'rows'} of syncer.{name}"
            for name, count in attrs.asdict(self).items()
            if count and name != "abandoned"
        ]
        counts += [f"{self.abandoned:,} of a plan that was never whole"] if self.abandoned else []
        return ", ".join(counts) or "nothing"


def age(t: Transaction, *, keep_days: int | None, now: dt.datetime) -> Aged:
    """Delete what is older than *keep_days* (None: keep it), and what killed runs left of plans."""
    if not all(t.columns(table) for table in (PLANS, CHANGES, PLAN_ROWS, RUNS)):
        return Aged()
    abandoned = _abandoned(t, now)
    if keep_days is None:
        return Aged(abandoned=abandoned)
    oldest = now - dt.timedelta(days=keep_days)
    settled = 0
    if t.columns(CONFLICTS):
        query = f"DELETE FROM {sql.table_name(CONFLICTS)} WHERE state = '{SETTLED}' AND settled_at < ?"
        settled = t.run(sql.statement(query), [oldest])
    old = t.derive(
        "plans_old",
        sql.statement(
            f"SELECT p.plan AS plan FROM {sql.table_name(PLANS)} AS p WHERE p.made_at < ? AND p.state <> '{AGED}' "
            f'AND NOT EXISTS (SELECT 1 FROM {sql.table_name(RUNS)} AS r WHERE r."plan" = p.plan AND '
            f"(r.updated_at >= ? OR r.finished_at >= ?)) AND NOT EXISTS (SELECT 1 FROM {sql.table_name(CHANGES)} AS c "
            f"WHERE c.plan = p.plan AND c.state = '{plan.SENDING}')"
        ),
        [oldest, oldest, oldest],
    )
    if not old:
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


def _abandoned(t: Transaction, now: dt.datetime) -> int:
    query = f"SELECT plan FROM {sql.table_name(PLANS)} WHERE state = '{plans.PLANNING}' AND made_at < ?"
    found = [row[0] for row in t.rows(sql.statement(query), [now - ABANDONED])]
    for each in found:
        forgetting_pushed.drop(t, each)
    return len(found)
