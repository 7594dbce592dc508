"""
What the last creation of metadata wrote for each load table, kept in the warehouse: by it a column's definition that
changed is told from one that a person changed in RED, and a column that vanished from one that a person added.

Several mappings may share a load table: each column has its mapping and environment beside it. One that was kept
before that was done is of the mapping that its source names.

It is written after RED's repository has committed. Where it was lost, or the process ended in between, what differs
from what we write now counts as a person's: it stays, and is told. So does a column that vanished meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from syncer import sql
from syncer.marks import Owner
from syncer.shape import ensure
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT
from syncer.warehouses import Transaction
from syncer.wherescape import legacy
from syncer.wherescape.metadata import MetadataColumn

WRITTEN = Table(
    schema=STATE,
    name="red_metadata",
    columns=(Column("load_table", TEXT), Column("columns", TEXT)),  # by name in small letters; a JSON list
    key=("load_table",),
)


@attrs.frozen
class Last:
    """
    What was written last for a load table.

    own: the columns of one mapping in its environment, and behind them those of it that vanished before, and that RED
    still has. others: the columns of all others.
    """

    own: tuple[MetadataColumn, ...] = ()
    others: tuple[MetadataColumn, ...] = ()


def last(t: Transaction, load_table: str, owner: Owner) -> Last:
    """Return what was written last for a load table, by *owner* and by others; nothing where nothing was kept."""
    own: list[MetadataColumn] = []
    others: list[MetadataColumn] = []
    names = {field.name for field in attrs.fields(MetadataColumn)}
    for each in _listed(t, load_table):
        column = MetadataColumn(**{name: value for name, value in each.items() if name in names})
        (own if _is_of(each, owner) else others).append(column)
    return Last(tuple(own), tuple(others))


def source_of(t: Transaction, load_table: str, owner: Owner) -> str:
    """Return the source table of what *owner* wrote last for a load table; "" where it wrote nothing."""
    own = last(t, load_table, owner).own
    return own[0].source_table if own else ""


def keep(
    t: Transaction, load_table: str, owner: Owner, columns: Sequence[MetadataColumn], *, vanished: Collection[str] = ()
) -> None:
    """
    Keep the columns that *owner* wrote for a load table, in the place of its own of before.

    vanished: names of those of before that RED still has; they stay known, so that they can be deleted later.
    """
    ensure(t, WRITTEN)
    before, names = _listed(t, load_table), {name.lower() for name in vanished}
    own = [each for each in before if _is_of(each, owner)]
    left = [each for each in own if each["name"].lower() in names]
    whose = {"mapping": owner.mapping, "environment": owner.environment}
    stamped = [{**each, **whose} for each in (*map(attrs.asdict, columns), *left)]
    kept = json.dumps([*stamped, *(each for each in before if each not in own)], ensure_ascii=False)
    if not t.run(sql.update_one(WRITTEN), [kept, load_table.lower()]):
        t.run(sql.insert(WRITTEN), [load_table.lower(), kept])


def _listed(t: Transaction, load_table: str) -> list[dict[str, Any]]:
    """Return the columns that were kept for a load table."""
    if not t.columns(WRITTEN):
        return []
    query = f"SELECT w.{sql.quoted('columns')} FROM {sql.table_name(WRITTEN)} AS w WHERE w.load_table = ?"
    rows = t.rows(sql.statement(query), [load_table.lower()])
    return list(json.loads(str(rows[0][0]))) if rows else []


def _is_of(column: Mapping[str, Any], owner: Owner) -> bool:
    """Tell whether a column that was kept is of *owner*."""
    if "mapping" in column:
        return (column["mapping"], column["environment"]) == (owner.mapping, owner.environment)
    stream = legacy.stream_of(owner.mapping)
    return column.get("source_table", "") in ("", owner.mapping, stream.source_table if stream else "")
