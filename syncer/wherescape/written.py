"""
What the last creation of metadata wrote for each load table, kept in the warehouse: by it a column's definition that
changed is told from one that a person changed in RED, and a column that vanished from one that a person added.

It is written after RED's repository has committed. Where it was lost, or the process ended in between, what differs
from what we write now counts as a person's: it stays, and is told. So does a column that vanished meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import attrs

from syncer import sql
from syncer.shape import ensure
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT
from syncer.warehouses import Transaction
from syncer.wherescape.metadata import MetadataColumn

WRITTEN = Table(
    schema=STATE,
    name="red_metadata",
    columns=(Column("load_table", TEXT), Column("columns", TEXT)),  # by name in small letters; a JSON list
    key=("load_table",),
)


def last(t: Transaction, load_table: str) -> tuple[MetadataColumn, ...]:
    """
    Return the columns that were written last for a load table, and behind them those that vanished before, and that
    RED still has; none where nothing was kept.
    """
    ensure(t, WRITTEN)
    query = f"SELECT w.{sql.quoted('columns')} FROM {sql.table_name(WRITTEN)} AS w WHERE w.load_table = ?"
    rows = t.rows(sql.statement(query), [load_table.lower()])
    known = {field.name for field in attrs.fields(MetadataColumn)}
    listed = json.loads(str(rows[0][0])) if rows else []
    return tuple(MetadataColumn(**{name: value for name, value in each.items() if name in known}) for each in listed)


def keep(
    t: Transaction, load_table: str, columns: Sequence[MetadataColumn], *, vanished: Collection[str] = ()
) -> None:
    """
    Keep the columns that were written for a load table, in the place of those of before.

    vanished: names of those of before that RED still has; they stay known, so that they can be deleted later.
    """
    names = {name.lower() for name in vanished}
    left = [column for column in last(t, load_table) if column.name.lower() in names]
    listed = json.dumps([attrs.asdict(column) for column in (*columns, *left)], ensure_ascii=False)
    if not t.run(sql.update_one(WRITTEN), [listed, load_table.lower()]):
        t.run(sql.insert(WRITTEN), [load_table.lower(), listed])
