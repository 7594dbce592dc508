"""
Forgetting one of records that are one: what goes on the others holds their values, too.

Before a merge or an archive, the record that stays is given what the others have; so the changes of such a group are
blanked as a whole, sent or not, and what was not sent is rejected. The next run plans the group anew.

Not here: which changes are a person's by their ids and keys, and the blanking (`forgetting_pushed.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from syncer import forgetting_edges, plan, sql
from syncer.plans import CHANGES
from syncer.values import BIGINT, TEXT
from syncer.warehouses import Transaction

GOING = f"'{plan.MERGE}', '{plan.ARCHIVE}'"


def spread(t: Transaction, theirs: str, gone: str) -> None:
    """
    Make the table *gone* (plan, number, alias) of *theirs* and of what stands in one group with them.

    A change of another record keeps its key as its alias.
    """
    found: list[tuple[str, int]] = []
    query = f"SELECT DISTINCT plan FROM {sql.quoted(theirs)} ORDER BY plan"
    for (each,) in t.rows(sql.statement(query)):
        numbers = t.rows(sql.statement(f"SELECT number FROM {sql.quoted(theirs)} WHERE plan = ?"), [each])
        known = {int(number) for (number,) in numbers}
        found += ((each, number) for number in sorted(_together(_groups(t, each), known) - known))
    columns: dict[str, list[Any]] = {"plan": [each for each, _ in found], "number": [number for _, number in found]}
    forgetting_edges.stage(t, "of_groups", columns, {"plan": TEXT, "number": BIGINT})
    changes = sql.table_name(CHANGES)
    query = (
        f"SELECT plan, number, alias FROM {sql.quoted(theirs)} "
        f"UNION ALL SELECT x.plan AS plan, x.number AS number, x.key AS alias FROM {changes} AS x "
        "JOIN of_groups AS g ON g.plan = x.plan AND g.number = x.number"
    )
    t.derive(gone, sql.statement(query))


def _groups(t: Transaction, plan_id: str) -> list[set[int]]:
    """Return the numbers of each merge and archive of a plan, with those of what it comes after."""
    if not {"into_by", "edges"} <= set(t.columns(CHANGES)):  # a table of a version that merged nothing
        return []
    query = (
        f"SELECT number, into_by, CAST(after AS TEXT) FROM {sql.table_name(CHANGES)} "
        f"WHERE plan = ? AND action IN ({GOING})"
    )
    return [
        {int(number), *json.loads(after or "[]"), *([] if by is None else [int(by)])}
        for number, by, after in t.rows(sql.statement(query), [plan_id])
    ]


def _together(groups: Iterable[set[int]], known: set[int]) -> set[int]:
    """Return *known* with all groups that lead to one of them, also through another group."""
    found, waiting = set(known), list(groups)
    while near := [group for group in waiting if group & found]:
        waiting = [group for group in waiting if not group & found]
        found.update(*near)
    return found
