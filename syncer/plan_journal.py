"""
The changes of a plan as its journal: which are open, what was intended, what became of it.

An intent is the state `sending`, written before anything is sent. Not here: plans and changes as they are stored and
read back (`plans.py`), carrying them out (`apply.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from syncer import sql
from syncer.plan import SENDING, Change, Edit
from syncer.plans import CHANGES, READ_AT_ONCE, changes_where
from syncer.values import BIGINT, TEXT
from syncer.warehouses import Transaction


def next_open(t: Transaction, plan: str, *, wave: int, action: str, after: int, limit: int) -> list[Change]:
    """Return changes of one wave and action that nobody has begun, in the order of their numbers."""
    where = "wave = ? AND action = ? AND number > ? AND state IN ('planned', 'pending')"
    return changes_where(t, where, "number", [plan, wave, action, after], limit)


def by_number(t: Transaction, plan: str, numbers: Iterable[int]) -> list[Change]:
    """Return the changes of a plan with some numbers, some thousand at the most."""
    wanted = sorted(set(numbers))
    if not wanted:
        return []
    return changes_where(t, f"number IN ({', '.join('?' for _ in wanted)})", "number", [plan, *wanted], len(wanted))


def creates_of(t: Transaction, plan: str, keys: Iterable[str]) -> dict[str, int]:
    """Return the numbers of the creates of a plan, by key, of some thousand keys at the most."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    query = (
        f"SELECT key, number FROM {sql.table_name(CHANGES)} WHERE plan = ? AND action = 'create' "
        f"AND key IN ({', '.join('?' for _ in wanted)})"
    )
    return {key: int(number) for key, number in t.rows(sql.statement(query), [plan, *wanted])}


def has_going(t: Transaction, plan: str) -> bool:
    """Tell whether a plan has records that go into others: merges, or archives with a survivor."""
    return bool(changes_where(t, f"{sql.quoted('into')} IS NOT NULL", "number", [plan], 1))


def going(t: Transaction, plan: str, ids: Iterable[str], *, limit: int) -> list[Change]:
    """
    Return the merges and archives of a plan that are yet to leave one of these records, which are some hundred; also
    those that wait for the rest of the plan.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return []
    states = "'planned', 'pending', 'left_out'"
    where = f"{sql.quoted('into')} IN ({', '.join('?' for _ in wanted)}) AND state IN ({states})"
    return changes_where(t, where, "number", [plan, *wanted], limit)


def written(t: Transaction, plan: str, ids: Iterable[str]) -> dict[str, dict[str, Edit]]:
    """Return what updates of a plan write to records, which are some hundred, by id and property."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    where = f"id IN ({', '.join('?' for _ in wanted)}) AND action = 'update'"
    found: dict[str, dict[str, Edit]] = {}
    for each in changes_where(t, where, "number", [plan, *wanted], READ_AT_ONCE):
        found.setdefault(each.id or "", {}).update(each.fields)
    return found


def left_by_merges(t: Transaction, plan: str, ids: Iterable[str]) -> dict[str, set[str]]:
    """Return the ids that records, some hundred, have behind merges of the same plan, by the id that it knows."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    into = {id: id for id in wanted}
    marks = ", ".join("?" for _ in wanted)
    of_merges = f"FROM {sql.table_name(CHANGES)} WHERE plan = ? AND action = 'merge' AND"
    query = f"SELECT id, {sql.quoted('into')} {of_merges} id IN ({marks})"
    into |= dict(t.rows(sql.statement(query), [plan, *wanted]))
    kept_ids = sorted(set(into.values()))
    marks = ", ".join("?" for _ in kept_ids)
    query = (
        f"SELECT {sql.quoted('into')}, result {of_merges} {sql.quoted('into')} IN ({marks}) "
        "AND state IN ('done', 'same') AND result IS NOT NULL"
    )
    results: dict[str, set[str]] = {}
    for kept, result in t.rows(sql.statement(query), [plan, *kept_ids]):
        results.setdefault(kept, set()).add(result)
    return {id: results[kept] for id, kept in into.items() if kept in results}


def steps(t: Transaction, plan: str) -> list[tuple[int, str]]:
    """Return the waves of a plan, and the actions of each, with open changes."""
    query = (
        f"SELECT DISTINCT wave, action FROM {sql.table_name(CHANGES)} WHERE plan = ? "
        "AND state IN ('planned', 'pending') ORDER BY wave, action"
    )
    return [(int(wave), action) for wave, action in t.rows(sql.statement(query), [plan])]


def keeps_id(t: Transaction, *, kind: str, environment: str) -> bool | None:
    """Tell whether the last merge of a kind left the record that it was merged into; None: there was none."""
    query = (
        f"SELECT CASE WHEN result = sent_into THEN 1 ELSE 0 END FROM {sql.table_name(CHANGES)} WHERE kind = ? "
        f"AND environment = ? AND action = 'merge' AND state = 'done' AND result IS NOT NULL "
        "AND sent_into IS NOT NULL ORDER BY ended_at DESC LIMIT 1"
    )
    found = t.rows(sql.statement(query), [kind, environment])
    return bool(found[0][0]) if found else None


def left_in_flight(t: Transaction, *, kind: str, environment: str) -> list[tuple[str, str]]:
    """Return the plans and runs with changes to a kind whose intent was written and whose outcome is not known."""
    query = (
        f"SELECT DISTINCT plan, run FROM {sql.table_name(CHANGES)} WHERE kind = ? AND environment = ? "
        f"AND state = '{SENDING}' ORDER BY plan, run"
    )
    return [(row[0], row[1]) for row in t.rows(sql.statement(query), [kind, environment])]


def in_flight(t: Transaction, plan: str) -> list[Change]:
    """Return the changes of a plan whose intent was written and whose outcome is not known."""
    return changes_where(t, f"state = '{SENDING}'", "number", [plan], READ_AT_ONCE)


def last_sent(t: Transaction, plan: str) -> dt.datetime | None:
    """Return when the last change of a plan was sent of which nobody knows what became of it; None: there is none."""
    query = f"SELECT MAX(sent_at) FROM {sql.table_name(CHANGES)} WHERE plan = ? AND state = '{SENDING}'"
    found: dt.datetime | None = t.rows(sql.statement(query), [plan])[0][0]
    return found


def leave(t: Transaction, plan: str, *, states: Sequence[str], as_state: str, but: Iterable[int] = ()) -> None:
    """Give the changes of a plan that are in one of *states* another one, all *but* those with these numbers."""
    import pyarrow as pa

    kept = sorted(set(but))
    t.stage("numbers_now", pa.table({"number": pa.array(kept, pa.int64())}), {"number": BIGINT})
    marks = ", ".join("?" for _ in states)
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(CHANGES)} AS t SET state = ? WHERE t.plan = ? AND t.state IN ({marks}) "
            "AND NOT EXISTS (SELECT 1 FROM numbers_now AS s WHERE s.number = t.number)"
        ),
        [as_state, plan, *states],
    )


def set_states(t: Transaction, plan: str, changed: Sequence[Change], *, run: str, now: dt.datetime) -> None:
    """Write the state, reason and id that changes have now: an intent, or an outcome."""
    import pyarrow as pa

    if not changed:
        return
    bounds = [min(change.number for change in changed), max(change.number for change in changed)]
    staged = pa.table(
        {
            "number": pa.array([change.number for change in changed], pa.int64()),
            "state": pa.array([change.state for change in changed], pa.string()),
            "reason": pa.array([change.reason for change in changed], pa.string()),
            "result": pa.array([change.id for change in changed], pa.string()),
            "sent_into": pa.array([change.into for change in changed], pa.string()),
        }
    )
    types = {"number": BIGINT, "state": TEXT, "reason": TEXT, "result": TEXT, "sent_into": TEXT}
    t.stage("states_now", staged, types)
    moment = "sent_at" if all(change.state == SENDING for change in changed) else "ended_at"
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(CHANGES)} AS t SET state = s.state, reason = s.reason, "
            "result = s.result, sent_into = s.sent_into, run = ?, "
            f"{moment} = ? FROM states_now AS s WHERE t.plan = ? AND t.number >= ? AND t.number <= ? "
            "AND t.number = s.number"
        ),
        [run, now, plan, *bounds],  # by which only their part of the plan is looked through
    )


def ids_made(t: Transaction, plan: str, numbers: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    """Return the state and the record's id of changes, by number."""
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    marks = ", ".join("?" for _ in wanted)
    made = "COALESCE(result, id)"
    query = f"SELECT number, state, {made} FROM {sql.table_name(CHANGES)} WHERE plan = ? AND number IN ({marks})"
    return {int(number): (state, id) for number, state, id in t.rows(sql.statement(query), [plan, *wanted])}


def counts(t: Transaction, plan: str) -> dict[tuple[str, str], int]:
    """Return how many changes there are of each action and state."""
    query = f"SELECT action, state, COUNT(*) FROM {sql.table_name(CHANGES)} WHERE plan = ? GROUP BY action, state"
    return {(action, state): int(count) for action, state, count in t.rows(sql.statement(query), [plan])}


def is_left(t: Transaction, plan: str) -> bool:
    """Tell whether a plan has changes that nobody has begun."""
    query = (
        f"SELECT COUNT(*) FROM {sql.table_name(CHANGES)} WHERE plan = ? "
        "AND state IN ('planned', 'pending', 'left_out', 'sending')"
    )
    return int(t.rows(sql.statement(query), [plan])[0][0]) > 0
