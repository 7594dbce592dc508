"""
How the columns of a copied row are read: each value as one that Python can tell, or as the warehouse's own text.

Drivers turn some values into others without a word: a date that never ends is 9999-12-31 in DuckDB's, one before
Christ or behind 9999 is some other date in PostgreSQL's; a FLOAT gets digits that nobody wrote. Such values are read
as text. Source: DuckDB's page "Conversion between DuckDB and Python"; PostgreSQL's chapter "Date/Time Types". Not
here: which rows are read (`relation.py`), and what a value is in the target's words (`Shape`).
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import uuid
from collections.abc import Sequence
from typing import Any

import attrs

from syncer import sql
from syncer.tables import Table
from syncer.values import Outside, Type
from syncer.warehouses import Transaction

_DAYS = "'0001-01-01'", "'9999-12-31'"
_MOMENTS = "'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"
_AS_TEXT = "CAST({} AS TEXT)"
# By what the catalogues call a type, in small letters and without its length; {} is the column.
_SHORTEST = "float"
_READ_AS = {
    "uuid": _AS_TEXT,
    "time": _AS_TEXT,
    "time_ns": _AS_TEXT,
    "time with time zone": _AS_TEXT,
    "time without time zone": _AS_TEXT,
    "interval": _AS_TEXT,
    _SHORTEST: _AS_TEXT,
    "oid": _AS_TEXT,
    "xid": _AS_TEXT,
    "cid": _AS_TEXT,
    "character": _AS_TEXT,  # without the blanks that fill it up
    "money": "CAST({} AS NUMERIC)",
    "timestamp_s": "CAST({} AS TIMESTAMP)",
    "timestamp_ms": "CAST({} AS TIMESTAMP)",
    "timestamp_ns": "CAST({} AS TIMESTAMP)",
}
# Lists and structures of DuckDB that hold such values are read as JSON, which its own words stand in.
_HOLDS = re.compile(r"\b(?:date|time|timestamp\w*|interval)\b")
_IS_NESTED = re.compile(r"\]$|^(?:struct|map|union)\(")
_LENGTH = re.compile(r"\(\d+(?:,\s*\d+)?\)")
_KEYS = (int, float, decimal.Decimal, dt.date, dt.time, dt.timedelta, uuid.UUID)


@attrs.frozen
class Reading:
    """What is selected of a copy for *columns*; its values are turned into theirs by `row`."""

    listed: str
    columns: Sequence[str]
    outside: Sequence[str]  # columns whose text stands behind all of them, where it is no date or time of Python
    shortest: frozenset[str]

    def row(self, values: Sequence[Any], *, key: str, text: str | None) -> dict[str, Any]:
        """Return a row by column; *key*, where it is no text itself, holds *text*: the row's key, as it is kept."""
        row = dict(zip(self.columns, values, strict=False))
        for column, told in zip(self.outside, values[len(self.columns) :], strict=True):
            if told is not None:
                row[column] = Outside(told)
        for column in self.shortest:
            if row[column] is not None:
                row[column] = _number(row[column])
        if isinstance(row.get(key), _KEYS) and not isinstance(row[key], bool):
            row[key] = text
        return row


def of(t: Transaction, copy: Table, columns: Sequence[str], *, alias: str) -> Reading:
    """Look at the types of a copy's columns, and write what is selected of *alias*."""
    kinds = t.columns(copy)
    foreign = {name: _LENGTH.sub("", called.lower()).strip() for name, called in t.foreign(copy).items()}
    listed, beside = [], {}
    shortest = set()
    for column in columns:
        name = column if column in kinds else column.lower()  # as the warehouse compares names
        called, read = foreign.get(name, ""), f"{alias}.{sql.quoted(column)}"
        if called == _SHORTEST:
            shortest.add(column)
        if _IS_NESTED.search(called):
            read = f"CAST(TO_JSON({read}) AS TEXT)" if _HOLDS.search(called) else read
        elif called in _READ_AS:
            read = _READ_AS[called].format(read)
        kind = Type.TIMESTAMP if called.startswith("timestamp_") else kinds.get(name)
        if kind in (Type.DATE, Type.TIMESTAMP):
            within = _within(read, kind)
            beside[column] = f"CASE WHEN NOT {within} THEN CAST({read} AS TEXT) END"
            read = f"CASE WHEN {within} THEN {read} END"
        listed.append(read)
    return Reading(", ".join([*listed, *beside.values()]), columns, list(beside), frozenset(shortest))


def _within(read: str, kind: Type) -> str:
    first, last = _DAYS if kind is Type.DATE else _MOMENTS
    cast = "DATE" if kind is Type.DATE else "TIMESTAMP"
    return f"({read} >= CAST({first} AS {cast}) AND {read} <= CAST({last} AS {cast}))"


def _number(text: str) -> decimal.Decimal | float:
    found = decimal.Decimal(text)
    return found if found.is_finite() else float(found)
