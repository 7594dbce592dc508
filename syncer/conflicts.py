"""
What a push could not write, kept where a person can ask for it: rejects, with reason, and conflicts, until they are
settled on either side.

A run of a plan brings both tables in line with what it saw: of the rows that it looked at, what still stands is seen
again, what does not is settled (a conflict) or dropped (a reject). A dry run changes neither. Not here: rejects of
pulls (`journal.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import plan, sql
from syncer.journal import PUSHED, REJECTS, UNSEEN
from syncer.plans import CHANGES, PLAN_ROWS, Header
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT, TIMESTAMP
from syncer.warehouses import Transaction

OPEN, SETTLED = "open", "settled"
AT_ONCE = 2_000
OPERATION = "run"  # the verb of an operation's plan: what it does not name is no conflict of its any more

CONFLICTS = Table(
    schema=STATE,
    name="conflicts",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("key", TEXT),
        Column("field", TEXT),  # empty: the whole record
        Column("id", TEXT),
        Column("state", TEXT),
        Column("reason", TEXT),
        Column("agreed", TEXT),
        Column("ours", TEXT),
        Column("theirs", TEXT),
        Column("setting", TEXT),
        Column("plan", TEXT),
        Column("run", TEXT),
        Column("first_seen", TIMESTAMP),
        Column("last_seen", TIMESTAMP),
        Column("settled_at", TIMESTAMP),
    ),
    key=("mapping", "environment", "key", "field"),
)
TABLES = (CONFLICTS,)


@attrs.frozen(kw_only=True)
class Seen:
    """A run of a plan, and what it was made under: `version` is that of the definitions."""

    header: Header
    run: str
    version: str
    personal: frozenset[str]  # fields whose values stand in no reject

    @property
    def whose(self) -> list[str]:
        """The mapping and environment."""
        return [self.header.mapping, self.header.environment]


def keep(t: Transaction, seen: Seen, *, now: dt.datetime) -> None:
    """
    Bring both tables in line with what a run of a plan saw. A revert changes neither: what it left stands with its
    plan, and says nothing about what a push of the same rows would do. An operation looks at all that concerns it, so
    that a conflict from before its plan is settled, too, where it does not name the record any more.
    """
    if seen.header.reverts is not None:
        return
    for conflicts, rejects in _found(t, seen):
        _upsert(t, CONFLICTS, [_conflict(each, seen, now) for each in conflicts])
        _upsert(t, REJECTS, [_reject(each, seen, now) for each in rejects])
    looked_at = f"EXISTS (SELECT 1 FROM {sql.table_name(PLAN_ROWS)} AS p WHERE p.plan = ? AND p.key = t.key)"
    of_others = "t.mapping = ? AND t.environment = ? AND (t.run IS NULL OR t.run <> ?)"
    parameters = [*seen.whose, seen.run, seen.header.plan]
    is_past, moment = looked_at, []
    if seen.header.verb == OPERATION:
        is_past, moment = f"({looked_at} OR t.last_seen <= ?)", [seen.header.made_at]
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(CONFLICTS)} AS t SET state = '{SETTLED}', settled_at = ? "
            f"WHERE t.state = '{OPEN}' AND {of_others} AND {is_past}"
        ),
        [now, *parameters, *moment],
    )
    if seen.header.verb == OPERATION:
        _see_again(t, seen, now)
    t.run(
        sql.statement(
            f"DELETE FROM {sql.table_name(REJECTS)} AS t WHERE t.scope = '{PUSHED}' AND {of_others} AND {looked_at}"
        ),
        parameters,  # a reject stands until its record is named: an operation may tell it once only
    )


def _see_again(t: Transaction, seen: Seen, now: dt.datetime) -> None:
    """
    Note that rejects still stand that an operation told once: its rows say so, unchanged, and by their hash, or that
    it could not look.
    """
    told = (
        f"SELECT 1 FROM {sql.table_name(PLAN_ROWS)} AS p WHERE p.plan = ? AND p.key = t.key "
        f"AND p.outcome = '{plan.UNCHANGED}' AND p.row_hash <> '' AND p.row_hash IN (t.row_hash, '{UNSEEN}')"
    )
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(REJECTS)} AS t SET last_seen = ?, run = ? "
            f"WHERE t.scope = '{PUSHED}' AND t.mapping = ? AND t.environment = ? AND EXISTS ({told})"
        ),
        [now, seen.run, *seen.whose, seen.header.plan],
    )


def _found(t: Transaction, seen: Seen) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yield conflicts and rejects, some thousand at once: those of rows, and those of changes."""
    after: list[str] = []  # the last key; a row without a key has the empty one, which comes first
    while True:
        query = (
            f"SELECT key, id, row_hash, problems FROM {sql.table_name(PLAN_ROWS)} WHERE plan = ? "
            f"{'AND key > ? ' if after else ''}AND problems IS NOT NULL ORDER BY key LIMIT {AT_ONCE}"
        )
        rows = t.rows(sql.statement(query), [seen.header.plan, *after])
        if not rows:
            break
        after = [rows[-1][0]]
        told = [
            {"key": key, "id": id, "row_hash": row_hash, **problem}
            for key, id, row_hash, problems in rows
            for problem in orjson.loads(problems)
        ]
        yield (
            [each for each in told if each["kind"] != plan.REJECTED],
            [each for each in told if each["kind"] == plan.REJECTED],
        )
    number = 0
    while True:
        query = (
            f"SELECT number, key, id, row_hash, state, reason FROM {sql.table_name(CHANGES)} WHERE plan = ? "
            f"AND number > ? AND state IN ('{plan.MOVED}', '{plan.REJECTED}') ORDER BY number LIMIT {AT_ONCE}"
        )
        changed = t.rows(sql.statement(query), [seen.header.plan, number])
        if not changed:
            break
        number = int(changed[-1][0])
        names = ("key", "id", "row_hash", "kind", "reason")
        told = [dict(zip(names, row[1:], strict=True)) for row in changed]
        yield (
            [{**each, "kind": plan.CONFLICT} for each in told if each["kind"] == plan.MOVED],
            [each for each in told if each["kind"] == plan.REJECTED],
        )


def _conflict(each: Mapping[str, Any], seen: Seen, now: dt.datetime) -> dict[str, Any]:
    is_open = each["kind"] == plan.CONFLICT
    return {
        "mapping": seen.header.mapping,
        "environment": seen.header.environment,
        "key": each["key"],
        "field": each.get("field") or "",
        "id": each.get("id"),
        "state": OPEN if is_open else SETTLED,
        "reason": each.get("reason"),
        "agreed": each.get("agreed"),
        "ours": each.get("ours"),
        "theirs": each.get("theirs"),
        "setting": each.get("setting"),
        "plan": seen.header.plan,
        "run": seen.run,
        "first_seen": now,
        "last_seen": now,
        "settled_at": None if is_open else now,
    }


def _reject(each: Mapping[str, Any], seen: Seen, now: dt.datetime) -> dict[str, Any]:
    field = each.get("field") or ""
    found = dict.fromkeys(REJECTS.types())
    return {
        **found,
        "mapping": seen.header.mapping,
        "environment": seen.header.environment,
        "key": each["key"],
        "column": field,
        "scope": PUSHED,
        "reason": each.get("reason"),
        "declared": "",
        "found": "",
        "run": seen.run,
        "first_seen": now,
        "last_seen": now,
        "roomier": "",
        "value": None if field in seen.personal else each.get("ours"),
        "row_hash": each.get("row_hash"),
        "version": seen.version,
    }


def _upsert(t: Transaction, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Bring rows into a table by its key; what stands there keeps when it was first seen."""
    if not rows:
        return
    unique = {tuple(row[name] for name in table.key): row for row in rows}
    t.stage("seen_now", table.arrow(list(unique.values())), table.types())
    rest = [name for name in table.types() if name not in (*table.key, "first_seen")]
    setting = ", ".join(f"{sql.quoted(name)} = s.{sql.quoted(name)}" for name in rest)
    with t.by_key(table):
        t.run(
            sql.statement(
                f"UPDATE {sql.table_name(table)} AS t SET {setting} FROM seen_now AS s WHERE "
                f"{sql.equal('t', 's', table.key)}"
            )
        )
        t.run(sql.insert_new(table, "seen_now", list(table.types())))
