"""
Columns as texts: an Arrow column becomes one text, in C and without a Python value a row, and PostgreSQL makes a set
of it.

Texts that hold neither of two control characters are joined by one, with the other for NULL: nothing is quoted. All
else is an array literal, `{"a",NULL,"b"}`. Source: the array input syntax of the PostgreSQL manual (8.15): in quotes,
`\\` and `"` escaped; NULL bare.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING

from syncer.values import NUL_REPLACED, Type

if TYPE_CHECKING:
    import pyarrow as pa

BETWEEN, NOTHING = "\x1f", "\x1e"  # the separators of units and of records, which no text of people holds
FARTHEST = 2**52  # microseconds that a double, in which the server multiplies, holds exactly: 1827 to 2112
_OF_TEXTS = "unnest(string_to_array(?, E'\\x1f', E'\\x1e'))"
_OF_MICROSECONDS = "timestamptz 'epoch' + unnest(?::bigint[]) * interval '1 microsecond'"
_ESCAPED_NUL = r"((?:^|[^\\])(?:\\\\)*)\\u0000"  # in JSON, behind an even number of backslashes


def as_set(column: pa.ChunkedArray, kind: Type, name: str) -> tuple[str, str]:
    """
    Write a column as an expression that makes a set, with one parameter, and that parameter; *name* is what the server
    calls *kind*.
    """
    import pyarrow as pa

    if kind is Type.TIMESTAMP and pa.types.is_timestamp(column.type):
        numbers = _microseconds(column)
        if numbers is not None:
            return _OF_MICROSECONDS, f"{{{_joined(numbers, 'NULL', ',')}}}"
    if kind in (Type.TEXT, Type.JSON):
        found = texts(column, kind)
        held = bytes(found.buffers()[2] or b"")
        if BETWEEN.encode() not in held and NOTHING.encode() not in held:
            text = _joined(found, NOTHING, BETWEEN)
            if text:  # an empty one is no row, and not the one row that it may be
                return _OF_TEXTS if kind is Type.TEXT else f"CAST({_OF_TEXTS} AS {name})", text
    return f"unnest(?::{name}[])", written(column, kind)


def _microseconds(column: pa.ChunkedArray) -> pa.Array | None:
    """Return moments as microseconds since 1970 in texts; None where one is too far for the server's arithmetic."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = column.cast(pa.timestamp("us", column.type.tz)).combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        return None
    numbers = found.view(pa.int64())
    ends = pc.min_max(numbers).as_py()
    is_near = ends["min"] is None or (ends["min"] > -FARTHEST and ends["max"] < FARTHEST)
    return numbers.cast(pa.string()).cast(pa.large_string()) if is_near else None


def _joined(found: pa.Array, nothing: str, between: str) -> str:
    """Join texts into one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    listed = pa.ListArray.from_arrays(pa.array([0, len(found)], pa.int32()), found.fill_null(nothing))
    return str(pc.binary_join(listed, pa.scalar(between, found.type))[0].as_py())


def written(column: pa.ChunkedArray, kind: Type) -> str:
    """
    Write a column as an array literal. What came with another type than *kind* reads as an API writes it, where that
    is a text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found, large = texts(column, kind), pa.large_string()
    quote, nothing = pa.scalar('"', large), pa.scalar("", large)
    if kind is Type.TEXT or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found = pc.replace_substring(pc.replace_substring(found, "\\", "\\\\"), '"', '\\"')
        found = pc.binary_join_element_wise(quote, found, quote, nothing)
    return f"{{{_joined(found, 'NULL', ',')}}}"


def texts(column: pa.ChunkedArray, kind: Type) -> pa.Array:
    """Return a column as texts that a server casts to *kind*; NUL, which no server holds, is replaced."""
    import pyarrow as pa

    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(found, pa.ChunkedArray):  # no chunk at all, or too many bytes for one
        found = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in found.chunks])
    if pa.types.is_string(found.type) or pa.types.is_large_string(found.type):
        return _without_nul(found.cast(pa.large_string()), kind)
    if pa.types.is_timestamp(found.type):
        return _moments(found, kind)
    if pa.types.is_decimal(found.type) and kind is Type.TEXT:  # Arrow writes 1E-9
        return pa.array([None if value is None else _plain(value) for value in found.to_pylist()], pa.large_string())
    if pa.types.is_null(found.type):
        return pa.nulls(len(found), pa.large_string())
    if pa.types.is_floating(found.type):
        return pa.array([None if value is None else repr(value) for value in found.to_pylist()], pa.large_string())
    return found.cast(pa.string()).cast(pa.large_string())


def _plain(value: decimal.Decimal) -> str:
    """Write a decimal without an exponent, and without zeros at its end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moments(found: pa.Array, kind: Type) -> pa.Array:
    """Write moments in UTC; as a text, with the shortest of 0, 3 or 6 decimals, as APIs do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    naive = found.cast(pa.timestamp("us"))
    if kind is not Type.TEXT:
        return naive.cast(pa.string()).cast(pa.large_string())
    written = pc.replace_substring(naive.cast(pa.string()), " ", "T")
    written = pc.replace_substring_regex(written, r"(\.[0-9]{3})000$", r"\1")
    written = pc.replace_substring_regex(written, r"\.000$", "")
    return pc.binary_join_element_wise(written, "Z", "").cast(pa.large_string())


def _without_nul(found: pa.Array, kind: Type) -> pa.Array:
    import pyarrow.compute as pc

    if kind is not Type.JSON:
        has_nul = pc.any(pc.match_substring(found, "\0")).as_py()
        return pc.replace_substring(found, "\0", NUL_REPLACED) if has_nul else found
    if not pc.any(pc.match_substring(found, "\\u0000")).as_py():
        return found
    while pc.any(pc.match_substring_regex(found, _ESCAPED_NUL)).as_py():  # those side by side take turns
        found = pc.replace_substring_regex(found, _ESCAPED_NUL, r"\1" + NUL_REPLACED)
    return found
