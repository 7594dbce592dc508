"""
The hash of a row in DuckDB, as SQL text. Not here: what is done with it (`offers.py`, `snapshots.py`).

DuckDB's own HASH takes a value as it is kept: of DECIMAL(10,2) the 150 of 1.50, of a BOOLEAN the 1, of an ENUM the
number of the word, of a list its items whatever they are nested in, of an INTERVAL the days that it would have, of a
text under NOCASE its small letters (measured; nothing in its manual says so). Within the tables of a pull a column
keeps its type; a relation's does not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from syncer.sql import quoted
from syncer.values import Type


def row_hash(alias: str, columns: Collection[str]) -> str:
    """
    Write a hash of *columns*. Where their types are told, DuckDB's own types go first, and what is none of ours is
    hashed as text: then values that differ never share a hash by their kind.

    A cast of text to text and the name of a type cost nothing: DuckDB resolves both before it reads a row.
    """
    listed = [f"{alias}.{quoted(column)}" for column in columns]
    if isinstance(columns, Mapping):
        own = " || ',' || ".join(f"TYPEOF({each})" for each in listed)
        kinds = columns.values()
        as_text = (Type.TEXT, Type.JSON)
        listed = [
            f"CAST({each} AS TEXT) COLLATE POSIX" if kind in as_text else each
            for each, kind in zip(listed, kinds, strict=True)
        ]
        listed.insert(0, own or "''")
    return f"CAST(HASH({', '.join(listed)}) AS TEXT)"
