"""
The types of DuckDB: what it calls ours, what its own are to us, and how one is cast to another.

Not here: DuckDB itself, which one file imports (`warehouses/duckdb.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.sql import quoted
from syncer.values import DECIMAL_DIGITS, DECIMAL_SCALE, Type

if TYPE_CHECKING:
    import pyarrow as pa

TYPE_NAMES = {
    Type.TEXT: "VARCHAR",
    Type.BIGINT: "BIGINT",
    Type.DECIMAL: f"DECIMAL({DECIMAL_DIGITS},{DECIMAL_SCALE})",
    Type.DOUBLE: "DOUBLE",
    Type.BOOLEAN: "BOOLEAN",
    Type.DATE: "DATE",
    Type.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    Type.JSON: "JSON",
}
_BY_NAME = {name: kind for kind, name in TYPE_NAMES.items()} | {
    "INTEGER": Type.BIGINT,
    "SMALLINT": Type.BIGINT,
    "FLOAT": Type.DOUBLE,
    "TIMESTAMP": Type.TIMESTAMP,
}
ROOMY = frozenset({*TYPE_NAMES.values(), "TIMESTAMP"})  # they hold all that ours do


def type_of(data_type: str) -> Type:
    """Return our type for one of DuckDB's, by its name."""
    if data_type.startswith("DECIMAL"):
        return Type.DECIMAL
    return _BY_NAME.get(data_type, Type.TEXT)


def arrived(rows: pa.Table, column: str) -> Type | None:
    """Return the type with which a column of *rows* came, where its text is written in a way of its own."""
    kind = str(rows.schema.field(column).type).partition("[")[0].partition("(")[0]
    return {"timestamp": Type.TIMESTAMP, "decimal128": Type.DECIMAL}.get(kind)


def as_type(column: str, now: Type | None, to: Type) -> str:
    """
    Write the cast of a column of type *now*; a text reads as an API writes the value, not as DuckDB prints it.

    A decimal has no zeros at its end, and a time is as ISO 8601 with Z and the shortest of 0, 3 or 6 decimals (as
    `Instant.toString` of Java, in which HubSpot's and Atlassian's servers are written).
    """
    name = quoted(column)
    text = f"CAST({name} AS {TYPE_NAMES[to]})"
    if to is not Type.TEXT:
        return text
    if now is Type.DECIMAL:
        return f"REGEXP_REPLACE({text}, '(\\.[0-9]*[1-9])0+$|\\.0+$', '\\1')"
    if now is Type.TIMESTAMP:
        moment = f"(CAST({name} AS {TYPE_NAMES[now]}) AT TIME ZONE 'UTC')"
        decimals = (
            f"CASE WHEN MICROSECOND({moment}) % 1000000 = 0 THEN 'Z' WHEN MICROSECOND({moment}) % 1000 = 0 "
            f"THEN STRFTIME({moment}, '.%gZ') ELSE STRFTIME({moment}, '.%fZ') END"
        )
        return f"STRFTIME({moment}, '%Y-%m-%dT%H:%M:%S') || {decimals}"
    if now is Type.JSON:  # a JSON text that is one string is that string
        return f"CASE WHEN JSON_TYPE({name}) = 'VARCHAR' THEN {name} ->> '$' ELSE {text} END"
    return text
