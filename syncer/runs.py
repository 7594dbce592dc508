"""
The rows of `syncer.runs` that are no pull's: a run of a plan, with its counts, and a report.

Not here: those of pulls, and the table itself (`journal.py`).
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from syncer import sql
from syncer.findings import Report
from syncer.journal import BROKEN, DONE, RUNNING, RUNS
from syncer.plans import PLANS
from syncer.tally import Pushed
from syncer.warehouses import Transaction


def begin(t: Transaction, pushed: Pushed, *, verb: str, now: dt.datetime) -> None:
    """
    Write the row of a run that begins; runs of the same mapping and verb that never ended, and had no plan yet, are
    `broken`: we hold their lease. Those with a plan are so once it is settled (`left_open`).
    """
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = '{BROKEN}', finished_at = updated_at "
            f"WHERE mapping = ? AND environment = ? AND verb = ? AND status = '{RUNNING}' AND {_has_plan('NOT ')}"
        ),
        [pushed.mapping, pushed.environment, verb],
    )
    begun = {"run": pushed.run, "mapping": pushed.mapping, "environment": pushed.environment}
    _insert(t, {**begun, "verb": verb, "mode": "plan"}, now=now)


def begin_report(t: Transaction, report: Report, *, verb: str, mode: str, now: dt.datetime) -> None:
    """Write the row of a report that begins; one of the same operation that never ended is `broken`."""
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = '{BROKEN}', finished_at = updated_at "
            f"WHERE mapping = ? AND environment = ? AND verb = ? AND mode = ? AND status = '{RUNNING}'"
        ),
        [report.operation, report.environment, verb, mode],
    )
    begun = {"run": report.run, "mapping": report.operation, "environment": report.environment}
    _insert(t, {**begun, "verb": verb, "mode": mode}, now=now)


def end_report(t: Transaction, report: Report, *, now: dt.datetime) -> None:
    """Write how a report ended, and how many lines and findings it has."""
    counts: dict[str, object] = {
        "lines": len(report.lines),
        "findings": len(report.findings),
        "new": len(report.new),
        **({"kept": report.kept} if report.kept else {}),
    }
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = ?, updated_at = ?, finished_at = ?, read = ?, requests = ?, "
            "error = ?, counts = ? WHERE run = ?"
        ),
        [report.status, now, now, len(report.lines), report.requests, report.error, _text(counts), report.run],
    )


def kept(t: Transaction, report: Report, *, verb: str, mode: str) -> Mapping[str, Any]:
    """Return what the last run of a report that was done kept for the next one; empty: nothing, or there was none."""
    rows = t.rows(
        sql.statement(
            f"SELECT counts FROM {sql.table_name(RUNS)} WHERE mapping = ? AND environment = ? AND verb = ? "
            f"AND mode = ? AND status = '{DONE}' ORDER BY finished_at DESC LIMIT 1"
        ),
        [report.operation, report.environment, verb, mode],
    )
    found: Mapping[str, Any] = orjson.loads(str(rows[0][0])).get("kept", {}) if rows and rows[0][0] else {}
    return found


def _text(counts: Mapping[str, object]) -> str:
    return orjson.dumps(counts).decode()


def _insert(t: Transaction, begun: Mapping[str, object], *, now: dt.datetime) -> None:
    row = {
        **begun,
        "status": RUNNING,
        "started_at": now,
        "updated_at": now,
        "pid": os.getpid(),
        "host": socket.gethostname(),
    }
    t.run(sql.insert(RUNS), [row.get(column.name) for column in RUNS.columns])


def left_open(t: Transaction, *, mapping: str, environment: str) -> list[tuple[str, str]]:
    """
    Return the plans and runs of a mapping, of whatever verb, that never ended, and have a plan: their process is gone,
    since we hold their lease.
    """
    query = (
        f'SELECT "plan", run FROM {sql.table_name(RUNS)} WHERE mapping = ? AND environment = ? '
        f"AND status = '{RUNNING}' AND {_has_plan()} ORDER BY started_at"
    )
    return [(row[0], row[1]) for row in t.rows(sql.statement(query), [mapping, environment])]


def _has_plan(negated: str = "") -> str:
    plans_, runs_ = sql.table_name(PLANS), sql.table_name(RUNS)
    return f'{negated}EXISTS (SELECT 1 FROM {plans_} AS p WHERE p."plan" = {runs_}."plan")'


def ended(t: Transaction, run: str) -> tuple[str, str | None, int] | None:
    """Return how a run ended by its own word: status, error and requests; None: it never did."""
    query = f"SELECT status, error, requests FROM {sql.table_name(RUNS)} WHERE run = ? AND status <> '{RUNNING}'"
    found = t.rows(sql.statement(query), [run])
    return (found[0][0], found[0][1], int(found[0][2] or 0)) if found else None


def has_carried_out(t: Transaction, plan: str) -> bool:
    """Tell whether a run has carried out a plan, whatever became of it."""
    query = f'SELECT COUNT(*) FROM {sql.table_name(RUNS)} WHERE "plan" = ?'
    return int(t.rows(sql.statement(query), [plan])[0][0]) > 0


def note_plan(t: Transaction, run: str, plan: str) -> None:
    """Write which plan a run carries out, before it sends anything."""
    t.run(sql.statement(f'UPDATE {sql.table_name(RUNS)} SET "plan" = ? WHERE run = ?'), [plan, run])


def end(t: Transaction, pushed: Pushed, *, now: dt.datetime) -> None:
    """Write how a run ended, and its counts."""
    counts = {
        **attrs.asdict(pushed.counts),
        "associated": pushed.associated,
        "disassociated": pushed.disassociated,
        "trips": list(pushed.trips),
    }
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(RUNS)} SET status = ?, updated_at = ?, finished_at = ?, read = ?, updated = ?, "
            'unchanged = ?, rejected = ?, requests = ?, error = ?, "plan" = ?, counts = ? WHERE run = ?'
        ),
        [
            pushed.status,
            now,
            now,
            pushed.counts.read,
            pushed.counts.updated,
            pushed.counts.unchanged,
            pushed.counts.rejected,
            pushed.requests,
            pushed.error,
            pushed.plan,
            _text(counts),
            pushed.run,
        ],
    )
