"""
What runs left for a person: rejects, and of pushes open conflicts; how many a mapping has, and the first of them.

Read for `syncer status`. Not here: writing them down (`journal.py`, `conflicts.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import attrs

from syncer import sql
from syncer.conflicts import CONFLICTS, OPEN
from syncer.journal import PUSHED, REJECTS
from syncer.warehouses import Transaction


@attrs.frozen(kw_only=True)
class RejectCount:
    """How many rejects a mapping has, how many of its scopes failed, and how many rejects are of pushes."""

    mapping: str
    environment: str
    rejects: int
    scopes: int
    last_seen: dt.datetime
    pushed: int


@attrs.frozen(kw_only=True)
class Reject:
    """One reject: a value, a record without a key, or (no key) a scope that failed."""

    mapping: str
    environment: str
    key: str
    column: str
    scope: str
    reason: str
    declared: str | None
    found: str | None
    run: str
    first_seen: dt.datetime
    last_seen: dt.datetime


@attrs.frozen(kw_only=True)
class ConflictCount:
    """How many open conflicts a mapping has, and how many records they are of; first_seen: of the oldest one."""

    mapping: str
    environment: str
    conflicts: int
    records: int
    first_seen: dt.datetime
    last_seen: dt.datetime


@attrs.frozen(kw_only=True)
class Conflict:
    """
    One conflict, open or settled; the field is empty where it is about the whole record.

    The values stand in `syncer.conflicts` alone: which are personal, only the source knows.
    """

    mapping: str
    environment: str
    key: str
    field: str
    id: str | None
    state: str
    reason: str | None
    setting: str | None
    plan: str
    run: str
    first_seen: dt.datetime
    last_seen: dt.datetime
    settled_at: dt.datetime | None


def reject_counts(t: Transaction) -> tuple[RejectCount, ...]:
    """Count the rejects of each mapping; a scope that failed has no key, and a row of a push may have none, either."""
    if not t.columns(REJECTS):
        return ()
    query = (
        "SELECT mapping, environment, COUNT(*), "
        f"SUM(CASE WHEN key = '' AND scope <> '' AND scope <> '{PUSHED}' THEN 1 ELSE 0 END), MAX(last_seen), "
        f"SUM(CASE WHEN scope = '{PUSHED}' THEN 1 ELSE 0 END) FROM {sql.table_name(REJECTS)} "
        "GROUP BY mapping, environment ORDER BY mapping, environment"
    )
    names = [field.name for field in attrs.fields(RejectCount)]
    return tuple(RejectCount(**dict(zip(names, row, strict=True))) for row in t.rows(sql.statement(query)))


def first_rejects(t: Transaction, most: int) -> tuple[Reject, ...]:
    """Return the first *most* rejects of each mapping: those seen last."""
    if not t.columns(REJECTS):
        return ()
    names = [field.name for field in attrs.fields(Reject)]
    query = (
        f"SELECT {sql.names(names, of='r')} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY mapping, environment "
        f'ORDER BY last_seen DESC, key, "column", scope) AS from_last FROM {sql.table_name(REJECTS)}) AS r '
        "WHERE r.from_last <= ? ORDER BY r.mapping, r.environment, r.from_last"
    )
    return tuple(Reject(**dict(zip(names, row, strict=True))) for row in t.rows(sql.statement(query), [most]))


def conflict_counts(t: Transaction) -> tuple[ConflictCount, ...]:
    """Count the open conflicts of each mapping."""
    if not t.columns(CONFLICTS):
        return ()
    query = (
        "SELECT mapping, environment, COUNT(*), COUNT(DISTINCT key), MIN(first_seen), MAX(last_seen) FROM "
        f"{sql.table_name(CONFLICTS)} WHERE state = '{OPEN}' GROUP BY mapping, environment "
        "ORDER BY mapping, environment"
    )
    names = [field.name for field in attrs.fields(ConflictCount)]
    return tuple(ConflictCount(**dict(zip(names, row, strict=True))) for row in t.rows(sql.statement(query)))


def first_conflicts(t: Transaction, most: int) -> tuple[Conflict, ...]:
    """Return the first *most* open conflicts of each mapping: those seen last."""
    return _conflicts(t, f"WHERE state = '{OPEN}'", [], most)


def conflicts_of(t: Transaction, runs: Sequence[str], most: int) -> tuple[Conflict, ...]:
    """Return the conflicts that some runs were the last to see, the settled ones too; *most* of each mapping."""
    marks = ", ".join("?" for _ in runs)
    return _conflicts(t, f"WHERE run IN ({marks})", list(runs), most) if runs else ()


def _conflicts(t: Transaction, where: str, parameters: list[Any], most: int) -> tuple[Conflict, ...]:
    if not t.columns(CONFLICTS):
        return ()
    names = [field.name for field in attrs.fields(Conflict)]
    query = (
        f"SELECT {sql.names(names, of='c')} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY mapping, environment "
        f"ORDER BY state, last_seen DESC, key, field) AS from_last FROM {sql.table_name(CONFLICTS)} {where}) AS c "
        "WHERE c.from_last <= ? ORDER BY c.mapping, c.environment, c.from_last"
    )
    found = t.rows(sql.statement(query), [*parameters, most])
    return tuple(Conflict(**dict(zip(names, row, strict=True))) for row in found)
