"""
The mark that a demo leaves in the warehouse that it fills: nothing else is pulled there, and nothing pushed from it.

Not here: making and ending a demo (`verbs/demo_warehouse.py`).
"""

from __future__ import annotations

from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, TEXT, TIMESTAMP
from syncer.warehouses import Transaction

MADE_BY_DEMO = Table(
    schema=STATE,
    name="demo",
    columns=(
        Column("made_at", TIMESTAMP),
        Column("ended_at", TIMESTAMP),
        Column("pid", BIGINT),
        Column("host", TEXT),
    ),
)


def is_of_demo(t: Transaction) -> bool:
    """Tell whether a demo's mark is there: a table with its columns, and not one that only has its name."""
    return set(t.columns(MADE_BY_DEMO)) == set(MADE_BY_DEMO.types())
