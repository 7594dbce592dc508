"""
The shape of the tables: created, and widened as mappings grow; a person's own columns and views are left alone.

A column gets a wider type where the declaration asks for one and nothing is lost (checked by casting there and back);
it never gets a narrower one, so a column may be wider than its field. A key column never changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from syncer import journal, marks
from syncer.errors import WarehouseError
from syncer.loading import LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE
from syncer.mapping import EntityMapping
from syncer.tables import LOAD, Column, Table
from syncer.values import NUL_REPLACED, TEXT, TIMESTAMP, WIDER, Type
from syncer.warehouses import Transaction

_MEMBERS = re.compile(r"\((?![\d, ]+\)).*")  # of a type such as ENUM('a', 'b'): they may be values of records

OWN_COLUMNS = (
    Column(RECORD_SOURCE, TEXT, "mapping that filled the row"),
    Column(LOAD_DATE, TIMESTAMP, "when the row was last written"),
    Column(RECORD_STATE, TEXT, "live, archived, merged, deleted or gone"),
    Column(MERGED_INTO, TEXT, "id of the record that survives a merge"),
)


@attrs.frozen
class Shaped:
    """
    The load table as it stands now, and what was done to it just now.

    widened: the columns that got another type, with the one that they had before. restored: those that somebody had
    given a type with less room, by its name there, and that have one of ours again. others: the columns that the table
    has beside those of its mapping: a person's own, and what no field fills any more.
    """

    table: Table
    widened: Mapping[str, Type] = attrs.field(factory=dict)
    added: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    is_new: bool = False
    restored: Mapping[str, str] = attrs.field(factory=dict)


def load_table(mapping: EntityMapping, environment: str) -> Table:
    """Return the load table that a mapping wants; its comments are the fields' labels as any warehouse holds them."""
    labelled = (Column(field.column, field.type, label_of(field.comment)) for field in mapping.fields)
    columns = (*labelled, *OWN_COLUMNS)
    return Table(schema=LOAD, name=mapping.table(environment), columns=columns, key=mapping.key)


def label_of(text: str) -> str:
    """
    Write a label as a warehouse holds it: half of a surrogate pair, and NUL, become U+FFFD, as in records' texts.

    NUL does so everywhere: a catalogue's comment is part of a statement, and no record's value.
    """
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", NUL_REPLACED)


def ensure_state(t: Transaction) -> None:
    """Create the tables of schema `syncer`, and add columns and indexes that came since."""
    for table in (*journal.TABLES, *marks.TABLES):
        ensure(t, table)


def ensure(t: Transaction, wanted: Table) -> Shaped:
    """
    Make *wanted* stand in the warehouse; return it with the types that its columns have then.

    Raises: WarehouseError: a key column has another type; somebody gave a column one that cannot be ours again.
    """
    present = t.columns(wanted)
    if not present:
        t.create(wanted)
        return Shaped(wanted, is_new=True)
    columns, added = [], []
    widened: dict[str, Type] = {}
    mapped = wanted.types()
    restored = {name: _MEMBERS.sub("", kind) for name, kind in t.foreign(wanted).items() if name in mapped}
    for column in wanted.columns:
        now = present.get(column.name)
        if column.name in restored:
            now = _restored(t, wanted, column, restored[column.name])
        if now is None:
            t.add_column(wanted, column)
            added.append(column.name)
            now = column.type
        elif now is not column.type:
            to = _widened(t, wanted, column, now)
            if to is not now:
                widened[column.name] = now
            now = to
        columns.append(Column(column.name, now, column.comment))
    t.index(wanted)
    others = tuple(name for name in present if name not in mapped)
    table = attrs.evolve(wanted, columns=tuple(columns))
    return Shaped(table, widened, tuple(added), others, restored=restored)


def make_room(t: Transaction, shaped: Shaped, asked: Mapping[str, tuple[Type, Type]]) -> Shaped:
    """
    Widen the columns that values *asked* room for, each from the type that it had then; return the table as it is now.

    Only within a kind (`values.ROOMIER`): a whole number gets decimals, a date a time. A column of numbers never
    becomes text because of a value: what computes with it would break.
    """
    columns, widened = [], dict(shaped.widened)
    for column in shaped.table.columns:
        had, roomier = asked.get(column.name, (None, column.type))
        if had is column.type and t.holds(shaped.table, column.name, roomier):
            t.widen(shaped.table, column.name, roomier)
            widened.setdefault(column.name, had)
            column = attrs.evolve(column, type=roomier)
        columns.append(column)
    return attrs.evolve(shaped, table=attrs.evolve(shaped.table, columns=tuple(columns)), widened=widened)


def _widened(t: Transaction, table: Table, column: Column, now: Type) -> Type:
    """Give a column room for the type that is declared; return the type that it has then."""
    if now in WIDER[column.type]:
        return now
    if column.name in table.key:
        raise WarehouseError(
            f"{table.schema}.{table.name}: key column {column.name} is {now.value}, and the mapping declares "
            f"{column.type.value}.",
            hint="A key column is never changed: rename the table and pull again, or declare the old type.",
        )
    choices: Sequence[Type] = [column.type, TEXT] if column.type in WIDER[now] else [TEXT]
    for to in choices:
        if to is TEXT or t.holds(table, column.name, to):
            t.widen(table, column.name, to)
            return to
    return now


def _restored(t: Transaction, table: Table, column: Column, foreign: str) -> Type:
    """Give a column that somebody altered the type that is declared, or a wider one of its kind."""
    wider = [] if column.name in table.key else [to for to in WIDER[column.type] if to is not TEXT]
    choices: Sequence[Type] = [column.type, *wider]
    for to in choices:
        if t.holds(table, column.name, to):
            t.widen(table, column.name, to)
            return to
    raise WarehouseError(
        f"{table.schema}.{table.name}: somebody made column {column.name} {foreign}; it is to be {column.type.value}, "
        "and its values cannot become that.",
        hint="Alter it back, or drop it and pull with --full, which makes it anew.",
    )
