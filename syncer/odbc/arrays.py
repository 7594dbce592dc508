"""
Columns as texts: an Arrow column becomes one array literal, `{"a",NULL,"b"}`, in C and without a Python value a row.

Source: the array input syntax of the PostgreSQL manual (8.15): in quotes, `\\` and `"` escaped; NULL bare.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING

from syncer.values import NUL_REPLACED, Type

if TYPE_CHECKING:
    import pyarrow as pa

_ESCAPED_NUL = r"((?:^|[^\\])(?:\\\\)*)\\u0000"  # in JSON, behind an even number of backslashes


def written(column: pa.ChunkedArray, kind: Type) -> str:
    """
    Write a column as an array literal. What came with another type than *kind* reads as an API writes it, where that
    is a text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found, large = texts(column, kind), pa.large_string()
    quote, nothing, comma = (pa.scalar(text, large) for text in ('"', "", ","))
    if kind is Type.TEXT or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found = pc.replace_substring(pc.replace_substring(found, "\\", "\\\\"), '"', '\\"')
        found = pc.binary_join_element_wise(quote, found, quote, nothing)
    joined = pc.binary_join(
        pa.ListArray.from_arrays(pa.array([0, len(found)], pa.int32()), found.fill_null("NULL")), comma
    )
    return f"{{{joined[0].as_py()}}}"


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
