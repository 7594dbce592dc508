"""
A relation, or a column of it, that suddenly holds nothing: a load that failed looks so, and so does a renamed column.

It is held against `max_missing_share`, of which it is the extreme. Not here: the shares themselves (`limits.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from syncer import sql
from syncer.limits import DEFAULTS, FROM_ROWS, OFF
from syncer.plan import UPDATE, Change
from syncer.relation import Differing, Wanted, read_from
from syncer.warehouses import Transaction

LIMIT = "max_missing_share"


def cleared(changes: Iterable[Change]) -> Counter[str]:
    """Count, by property, the records whose value an update would take away."""
    return Counter(
        name
        for change in changes
        if change.action == UPDATE
        for name, edit in change.fields.items()
        if edit.before and not edit.after
    )


def trips(
    t: Transaction,
    wanted: Wanted,
    differing: Differing,
    cleared: Mapping[str, int],
    limits: Mapping[str, float | str],
) -> list[str]:
    """
    Return why a plan is refused whose relation is empty now, or has a column that is blank in all its rows.

    cleared: by property, how many records lose their value; below ten of them nothing is asked.
    """
    if limits.get(LIMIT, DEFAULTS[LIMIT]) == OFF:
        return []
    if not differing.rows and differing.known:
        return [f"{LIMIT}: the relation is empty, and {differing.known:,} rows were there at the last run"]
    found = []
    for column, name in zip(wanted.columns, wanted.properties, strict=True):
        count = cleared.get(name, 0)
        if count >= FROM_ROWS and _is_blank(t, wanted, column):
            found.append(
                f"{LIMIT}: column {column} is blank in all {differing.rows:,} rows, and {count:,} records would lose "
                f"their {name}"
            )
    return found


def _is_blank(t: Transaction, wanted: Wanted, column: str) -> bool:
    text = f"COALESCE(TRIM(CAST(r.{sql.quoted(column)} AS TEXT)), '')"
    query = f"SELECT {text} FROM {read_from(wanted.reference)} AS r WHERE {text} <> '' LIMIT 1"
    return not t.rows(sql.statement(query))
