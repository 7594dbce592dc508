"""
A relation, or a column of it, that suddenly holds nothing: a load that failed looks so, and so does a renamed column.

It is held against `max_missing_share`, of which it is the extreme. Not here: the shares themselves (`limits.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from syncer import sql
from syncer.limits import DEFAULTS, FROM_ROWS, OFF
from syncer.plan import DISASSOCIATE, UPDATE, Change
from syncer.relation import Differing, Wanted, read_from
from syncer.warehouses import Transaction

LIMIT = "max_missing_share"
NOTHING = " ;,[]{}''"  # what a set without a member is written with, in SQL: `[]`, `['']`, `{}`, `;`


def cleared(changes: Iterable[Change]) -> Counter[str]:
    """Count, by property or edge column, the records whose value, or whose association, would be taken away."""
    return Counter(
        name
        for change in changes
        if change.action in (UPDATE, DISASSOCIATE)
        for name, edit in change.fields.items()
        if edit.before and not (edit.after or "").strip()
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

    cleared: by property or edge column, how many records lose their value. Fewer than ten of them, and a smaller
    share of the rows than the limit's, are everyday work.
    """
    most = limits.get(LIMIT, DEFAULTS[LIMIT])
    if most == OFF:
        return []
    if not differing.rows and differing.known:
        return [f"{LIMIT}: the relation is empty, and {differing.known:,} rows were there at the last run"]
    found = []
    enough = min(FROM_ROWS, float(most) * differing.rows) if differing.rows >= FROM_ROWS else FROM_ROWS
    for column, name in [
        *zip(wanted.columns, wanted.properties, strict=True),
        *((each, each) for each in wanted.links),
    ]:
        count = cleared.get(name, 0)
        if count >= max(1, enough) and _is_blank(t, wanted, column):
            found.append(
                f"{LIMIT}: column {column} is blank in all {differing.rows:,} rows, and {count:,} records would lose "
                f"their {name}"
            )
    return found


def _is_blank(t: Transaction, wanted: Wanted, column: str) -> bool:
    """Tell whether no row has anything in a column: blanks, and sets without a member, are nothing."""
    text = f"COALESCE(TRIM(CAST(r.{sql.quoted(column)} AS TEXT), '{NOTHING}'), '')"
    query = f"SELECT {text} FROM {read_from(wanted.reference)} AS r WHERE {text} <> '' LIMIT 1"
    return not t.rows(sql.statement(query))
