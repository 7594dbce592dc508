"""
Rows whose create was reverted, and that are asked for again (`--again KEY`): as if the snapshot had none of them.

Not here: how such a row comes about (`moving.py`), and is skipped (`deciding.py`).
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from syncer import relation, sql
from syncer.deciding import Row
from syncer.errors import UsageError
from syncer.relation import Wanted
from syncer.snapshots import DECLINED, SNAPSHOTS
from syncer.values import Type
from syncer.warehouses import Transaction


def check(t: Transaction, keys: Collection[str], *, mapping: str, environment: str) -> None:
    """Raise UsageError where a key is that of no row whose create was reverted."""
    if not keys:
        return
    marks = ", ".join("?" for _ in keys)
    query = (
        f"SELECT key FROM {sql.table_name(SNAPSHOTS)} WHERE mapping = ? AND environment = ? "
        f"AND state = '{DECLINED}' AND key IN ({marks})"
    )
    known = {row[0] for row in t.rows(sql.statement(query), [mapping, environment, *sorted(keys)])}
    others = sorted(set(keys) - known)
    if others:
        raise UsageError(
            f"No create of {', '.join(others)} of {mapping} was reverted: there is nothing to make again.",
            hint="--again takes the key of a row that pushes skip since a revert archived its record.",
        )


def check_rows(t: Transaction, keys: Collection[str], wanted: Wanted, types: dict[str, Type], *, mapping: str) -> None:
    """Raise UsageError where a key is that of no row of the relation any more: nothing can be made of it."""
    if not keys:
        return
    marks = ", ".join("?" for _ in keys)
    query = (
        f"SELECT DISTINCT r.key FROM (SELECT {relation.key_text('b', wanted, types)} AS key FROM "
        f"{relation.read_from(wanted.reference)} AS b) AS r WHERE r.key IN ({marks})"
    )
    there = {row[0] for row in t.rows(sql.statement(query), sorted(keys))}
    left = sorted(set(keys) - there)
    if left:
        raise UsageError(
            f"{mapping}: there is no row {', '.join(left)} in {relation.shown(wanted.reference)} now; "
            "nothing was made again.",
            hint="Bring it back into the relation, or leave it out of --again: pushes go on skipping it.",
        )


def asked_again(row: Row, keys: Collection[str]) -> Row:
    """Return a row as if the snapshot had none of it, where its key is among *keys*."""
    if row.key not in keys or row.state != DECLINED:
        return row
    return attrs.evolve(row, known_id=None, agreed=None, state=None)
