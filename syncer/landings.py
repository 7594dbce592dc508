"""
Which load table of a host's each mapping fills: looked up in the catalogue, and written down in `syncer.landings`.

Not here: how such a table is filled (`landing.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from syncer import sql
from syncer.errors import UsageError
from syncer.loading import Context
from syncer.loadtypes import LoadColumn, described
from syncer.marks import Owner
from syncer.offers import HAS_VALUES, number, offers_table
from syncer.shape import ensure
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT, TIMESTAMP
from syncer.warehouses import Transaction

if TYPE_CHECKING:
    from syncer.landing import Landing

LANDINGS = Table(
    schema=STATE,
    name="landings",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("load_table", TEXT),  # with its schema, as the host has it
        Column("run", TEXT),  # the last pull that began to fill it
        Column("carrier", TEXT),  # what carries it on: the host's word for this execution of its job
        Column("began_at", TIMESTAMP),
        Column("label", TEXT),  # what `dss_record_source` of its rows is: of columns of before another one
        Column("filled", TEXT),  # a JSON list: the columns that the last pull filled which ended well
        Column("carried_at", TIMESTAMP),  # when the last pull began whose rows were carried on; NULL: none was
    ),
    key=("mapping", "environment"),
)


@attrs.frozen
class Found:
    """A load table as the catalogue has it: its name in the catalogue's letters, and its columns in their order."""

    schema: str
    name: str
    columns: tuple[LoadColumn, ...] = ()


def look_up(t: Transaction, schema: str, name: str) -> Found:
    """
    Read a load table out of the catalogue, whatever the capitals of its name; without columns where there is none.

    Raises: UsageError: two differ by capitals alone, and neither is written so.
    """
    query = (
        "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.character_maximum_length, "
        "c.numeric_precision, c.numeric_scale FROM information_schema.columns AS c "
        "WHERE LOWER(c.table_schema) = ? AND LOWER(c.table_name) = ? ORDER BY c.ordinal_position"
    )
    tables: dict[tuple[str, str], list[LoadColumn]] = {}
    for its_schema, its_name, *column in t.rows(sql.statement(query), [schema.lower(), name.lower()]):
        tables.setdefault((its_schema, its_name), []).append(described(*column))
    if (schema, name) in tables:
        return Found(schema, name, tuple(tables[schema, name]))
    if len(tables) > 1:
        there = ", ".join(".".join(each) for each in sorted(tables))
        raise UsageError(
            f"{schema}.{name} may be {there}: they differ by capitals alone.", hint="Rename or drop one of them."
        )
    for (its_schema, its_name), columns in tables.items():
        return Found(its_schema, its_name, tuple(columns))
    return Found(schema, name)


def label_of(t: Transaction, owner: Owner, told: str) -> str:
    """Return what `dss_record_source` was when *owner* filled the load table *told* last; "" where it never did."""
    return _written_down(t, "label", owner, told)


def filled_before(t: Transaction, owner: Owner, told: str) -> list[str]:
    """Return the columns of the load table *told* that the last pull of *owner* filled which ended well."""
    return [str(name) for name in json.loads(_written_down(t, "filled", owner, told) or "[]")]


def filled_by_others(t: Transaction, owner: Owner, told: str) -> list[tuple[str, list[str]]]:
    """
    Return what else than *owner* fills the load table *told*: each mapping, and the columns that the last of its pulls
    filled which ended well.
    """
    if not t.columns(LANDINGS):
        return []
    ensure(t, LANDINGS)  # columns came later
    query = f"SELECT mapping, environment, filled FROM {sql.table_name(LANDINGS)} WHERE LOWER(load_table) = ?"
    rows = t.rows(sql.statement(query), [told.lower()])
    return [
        (str(mapping), json.loads(filled or "[]"))
        for mapping, environment, filled in rows
        if (mapping, environment) != (owner.mapping, owner.environment)
    ]


def note_filled(t: Transaction, owner: Owner, columns: Sequence[str]) -> None:
    """Write down which columns of its load table a pull of *owner* that ends well has filled."""
    query = f"UPDATE {sql.table_name(LANDINGS)} SET filled = ? WHERE mapping = ? AND environment = ?"
    t.run(sql.statement(query), [json.dumps(columns), owner.mapping, owner.environment])


def _written_down(t: Transaction, column: str, owner: Owner, told: str) -> str:
    """Return what stands in a column of *owner* and the load table *told*; "" where nothing does."""
    if column not in t.columns(LANDINGS):  # the table is there from the first pull on, and columns came later
        return ""
    query = (
        f"SELECT {column} FROM {sql.table_name(LANDINGS)} "
        "WHERE mapping = ? AND environment = ? AND LOWER(load_table) = ?"
    )
    rows = t.rows(sql.statement(query), [owner.mapping, owner.environment, told.lower()])
    return str(rows[0][0] or "") if rows else ""


class OfHost(UsageError):
    """Host scripts pull the mapping: nothing was tried, and no run is written down, which `confirm` would look at."""


def host_table(t: Transaction, owner: Owner) -> str:
    """Return the load table that a host's scripts pull this mapping into, with its schema; "" where none do."""
    if not t.columns(LANDINGS):
        return ""
    query = f"SELECT load_table FROM {sql.table_name(LANDINGS)} WHERE mapping = ? AND environment = ?"
    rows = t.rows(sql.statement(query), [owner.mapping, owner.environment])
    return str(rows[0][0]) if rows else ""


def refuse_ours(t: Transaction, owner: Owner) -> None:
    """
    Raise OfHost where a host's scripts pull this mapping: what a pull into a table of ours did would be offered to
    nobody, and it would count as a time that the host's offers were put back.
    """
    table = host_table(t, owner)
    if table:
        raise OfHost(
            f"{owner.mapping} of the environment {owner.environment} is pulled into {table} by host scripts; a pull "
            "into a table of syncer's own would take from their load table what changed.",
            hint="Leave it to them. Where their table is given up, delete its row of syncer.landings.",
        )


def begin(t: Transaction, context: Context, host: Landing, *, reoffer: dt.timedelta, now: dt.datetime) -> None:
    """
    Give this pull its number among those that offer, and write down which load table it fills.

    Raises: UsageError: it is another one than before, whose offers would go astray; or one that another environment
    fills, whose rows nobody could tell from these; or its columns mean something else from now on, while rows are
    offered that were made for what they meant before.
    """
    number(t, context, outdated=now - reoffer)
    owner, name, table = context.owner, sql.table_name(LANDINGS), host.told
    query = f"SELECT mapping, environment FROM {name} WHERE environment <> ? AND LOWER(load_table) = ? ORDER BY 1, 2"
    for other, environment in t.rows(sql.statement(query), [owner.environment, table.lower()]):
        raise UsageError(
            f"{table} is filled with {other} of the environment {environment}, and not of {owner.environment}.",
            hint="An environment fills a load table of its own.",
        )
    whose = [owner.mapping, owner.environment]
    where = "WHERE mapping = ? AND environment = ?"
    known = t.rows(sql.statement(f"SELECT load_table, label FROM {name} {where}"), whose)
    if known and known[0][0].lower() != table.lower():
        raise UsageError(
            f"{owner.mapping} of the environment {owner.environment} fills {known[0][0]}, and not {table}.",
            hint="A mapping fills one load table an environment: name another environment; or, where the first table "
            "is given up, delete its row of syncer.landings, and pull once with full=True.",
        )
    if known and known[0][1] not in (None, "", host.label):
        _refuse_mixed(t, context, host, before=known[0][1])
    if known:
        setting = "load_table = ?, run = ?, carrier = ?, began_at = ?, label = ?"
        given = [table, owner.run, host.carrier, now, host.label, *whose]
        t.run(sql.statement(f"UPDATE {name} SET {setting} {where}"), given)
    else:
        t.run(sql.insert(LANDINGS), [*whose, table, owner.run, host.carrier, now, host.label, None, None])


def _refuse_mixed(t: Transaction, context: Context, host: Landing, *, before: str) -> None:
    """Raise UsageError where rows with values are offered that were made for columns of another meaning."""
    offers = sql.table_name(offers_table(context.table))
    query = f"SELECT COUNT(*) FROM {offers} WHERE {HAS_VALUES}"
    count = t.rows(sql.statement(query))[0][0]
    if count:
        raise UsageError(
            f"{host.told} has columns as of {host.label} from now on, and {count:,} rows are offered still that were "
            f"made for its columns as of {before}.",
            hint="Pull once more as before, carry on and confirm those; then pull with full=True.",
        )
