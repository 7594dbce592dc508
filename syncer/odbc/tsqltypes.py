"""
Types in T-SQL: what a column is called, what the catalogue says of it, and casts that lose nothing or say so.

All texts are national and have one collation, that of `tsql.py`, which takes letters as they are; columns of JSON have
another one of that kind, by which they are known again. A text of a key, or of another index, has a length that an
index allows: 1,700 bytes in all, the index not being a clustered one. Since an index, too, takes `a` for the same as
`a` with a blank behind it, the bytes of each text of a key are a computed column of the table, and part of the key.
Tables of the state whose key has several texts of any length (a reject's scope, key and column) have one hash of them
there instead.

Source: the Transact-SQL reference (CREATE TABLE, CAST and CONVERT, "maximum capacity specifications").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs

from syncer.odbc.exactly import COLLATION
from syncer.odbc.tsql import name
from syncer.tables import STATE, Column, Table
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DECIMAL_DIGITS, DECIMAL_SCALE, DOUBLE, JSON, TEXT, TIMESTAMP
from syncer.values import Type as Type

if TYPE_CHECKING:
    import pyarrow as pa

JSON_COLLATION: Final = "Latin1_General_BIN2"
COLUMN_TYPES = {
    TEXT: f"nvarchar(max) COLLATE {COLLATION}",
    BIGINT: "bigint",
    DECIMAL: f"decimal({DECIMAL_DIGITS},{DECIMAL_SCALE})",
    DOUBLE: "float",
    BOOLEAN: "bit",
    DATE: "date",
    TIMESTAMP: "datetime2(6)",
    JSON: f"nvarchar(max) COLLATE {JSON_COLLATION}",
}
COMPUTED: Final = "dss_"  # what the names of computed columns begin with
BYTES_OF: Final = f"{COMPUTED}bytes_of_"
HASH: Final = f"{COMPUTED}hash_of_key"
KEY_BYTES = 1_700
HASHED_LETTERS = 4_000  # of a key's text that the index has the hash of only
NAMES = {"mapping": 100, "environment": 60}  # letters of a key's texts that are names of ours
ID_LETTERS = 32  # that ids of ours have at the most: a plan's, a run's
STAGED = (450, 4_000)  # letters that a staged text may have without being one of any length
_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), BIGINT),
    **dict.fromkeys(("decimal", "numeric", "money", "smallmoney"), DECIMAL),
    **dict.fromkeys(("float", "real"), DOUBLE),
    **dict.fromkeys(("datetime2", "datetime", "smalldatetime", "datetimeoffset"), TIMESTAMP),
    "bit": BOOLEAN,
    "date": DATE,
}
_ROOMY = frozenset({*COLUMN_TYPES.values(), "datetime2(7)", f"numeric({DECIMAL_DIGITS},{DECIMAL_SCALE})"})
_NUMBERS, _TIMES, _TEXTS = (BIGINT, DECIMAL, DOUBLE, BOOLEAN), (DATE, TIMESTAMP), (TEXT, JSON)


@attrs.frozen
class Described:
    """A column as the catalogue has it: its type with us, and as it is spelled there."""

    kind: Type
    spelled: str
    is_exact: bool = False  # a text of our collation

    @classmethod
    def of(cls, type_name: str, length: int, precision: int, scale: int, collation: str | None) -> Described:
        """Read what `sys.columns` says; *length* is in bytes, -1: any."""
        type_name, spelled = type_name.lower(), type_name.lower()
        kind = _KINDS.get(type_name, TEXT)
        if type_name in ("decimal", "numeric"):
            spelled = f"{type_name}({precision},{scale})"
        elif type_name in ("datetime2", "datetimeoffset"):
            spelled = f"{type_name}({scale})"
        elif "char" in type_name or "binary" in type_name:
            size = "max" if length == -1 else str(length // 2 if type_name.startswith("n") else length)
            spelled = f"{type_name}({size})"
        is_exact = (collation or "").lower() == COLLATION.lower()
        if collation:
            known = {each.lower(): each for each in (COLLATION, JSON_COLLATION)}
            spelled += f" COLLATE {known.get(collation.lower(), collation)}"
        return cls(JSON if spelled == COLUMN_TYPES[JSON] else kind, spelled, is_exact)

    def is_roomy(self, *, is_indexed: bool) -> bool:
        """Tell whether the column holds whatever its kind holds; a text of an index, as a key's, has a length."""
        return self.spelled in _ROOMY or (is_indexed and self.is_exact and self.spelled.startswith("nvarchar("))

    @property
    def is_endless(self) -> bool:
        """Whether it is a text of any length, which no index takes."""
        return "(max)" in self.spelled


def hashed(table: Table) -> list[str]:
    """Return the texts of a table's key that its index has as one hash: several of no known length in the state."""
    types = table.types()
    found = [column for column in table.key if types[column] is TEXT and column not in NAMES]
    return found if table.schema == STATE and len(found) > 1 else []


def key_lengths(table: Table) -> dict[str, int]:
    """Return how many letters each text of a table's key may have."""
    types = table.types()
    texts = [column for column in table.key if types[column] is TEXT]
    is_wide = len(texts) > 1
    given = {column: NAMES[column] for column in texts if column in NAMES and is_wide}
    if hashes := hashed(table):
        return {**given, **dict.fromkeys(hashes, HASHED_LETTERS)}
    others = [column for column in texts if column not in given]
    left = KEY_BYTES - 8 * (len(table.key) - len(texts)) - 4 * len(texts) - 2 * sum(given.values())
    return {**given, **{column: left // 2 // len(others) for column in others}}


def indexed_lengths(table: Table) -> dict[str, int]:
    """
    Return how many letters each text may have that is no part of a table's key, and of another index.

    What stands there beside it is counted as it is: names, and ids of ours, whatever their columns would hold.
    """
    types, found = table.types(), dict[str, int]()
    for index in table.indexes:
        texts = [column for column in index if types.get(column) is TEXT and column not in table.key]
        taken = sum(2 * NAMES.get(each, ID_LETTERS) if types.get(each) is TEXT else 8 for each in index)
        taken -= sum(2 * NAMES.get(each, ID_LETTERS) for each in texts)
        for column in texts:
            length = (KEY_BYTES - taken) // 2 // len(texts)
            found[column] = min(length, found.get(column, length))
    return found


def column_type(table: Table, column: Column) -> str:
    """Write the type of a column."""
    if column.name not in table.key:
        length = indexed_lengths(table).get(column.name)
        return f"nvarchar({length}) COLLATE {COLLATION} NULL" if length else f"{COLUMN_TYPES[column.type]} NULL"
    if column.type is TEXT:
        return f"nvarchar({key_lengths(table)[column.name]}) COLLATE {COLLATION} NOT NULL"
    return f"{COLUMN_TYPES[column.type]} NOT NULL"


def definition(table: Table) -> str:
    """Write the columns and the key of a table."""
    types, parts = table.types(), [f"{name(each.name)} {column_type(table, each)}" for each in table.columns]
    hashes = hashed(table)
    key = [column for column in table.key if column not in hashes]
    texts = [column for column in key if types[column] is TEXT]
    parts += [f"{name(BYTES_OF + each)} AS DATALENGTH({name(each)}) PERSISTED NOT NULL" for each in texts]
    if hashes:
        parts.append(f"{name(HASH)} AS {_hash(hashes)} PERSISTED NOT NULL")
    if table.key:
        more = [*(BYTES_OF + each for each in texts), *([HASH] if hashes else [])]
        listed = ", ".join(name(each) for each in (*key, *more))
        parts.append(f"PRIMARY KEY NONCLUSTERED ({listed})")
    return ", ".join(parts)


def _hash(texts: Sequence[str]) -> str:
    """Write the hash of some texts, their blanks at the end too; none is taken for a part of its neighbour."""
    parts = [f"CAST(DATALENGTH({name(each)}) AS binary(8)) + CAST({name(each)} AS varbinary(max))" for each in texts]
    return f"CAST(HASHBYTES('SHA2_256', {' + '.join(parts)}) AS binary(32))"


def staged(kind: Type, texts: pa.Array) -> str:
    """Write the type of a staged column: a text is as wide as what it holds, since narrow ones are joined faster."""
    import pyarrow.compute as pc

    if kind is not TEXT:
        return COLUMN_TYPES[kind]
    longest = pc.max(pc.binary_length(texts)).as_py() or 0  # UTF-8 has never fewer bytes than UTF-16 has units
    size = next((str(size) for size in STAGED if longest <= size), "max")
    return f"nvarchar({size}) COLLATE {COLLATION}"


def from_text(given: str, kind: Type) -> str:
    """Cast what was passed as a text."""
    if kind in _TEXTS:
        return given
    style = {DATE: ", 23", TIMESTAMP: ", 121"}.get(kind, "")
    return f"CONVERT({COLUMN_TYPES[kind]}, {given}{style})"


def as_text(given: str, now: Type) -> str:
    """Write a value as a text, exactly; two values that differ are two texts."""
    if now is BOOLEAN:
        written = f"CASE {given} WHEN 1 THEN N'true' WHEN 0 THEN N'false' END"
    elif now in (DATE, TIMESTAMP, DOUBLE):
        style = {DATE: 23, TIMESTAMP: 126, DOUBLE: 3}[now]
        written = f"CONVERT(nvarchar(40), {given}, {style})"
    else:
        written = f"CAST({given} AS nvarchar(max))"
    return f"({written} COLLATE {COLLATION})"


def tried(given: str, now: Type, to: Type, spelled: str) -> str:
    """Write a cast of *now* to the type *spelled*, which is of kind *to*; NULL for what cannot be one."""
    if to in _TEXTS:
        return as_text(given, now)
    if now in _TEXTS and to is BOOLEAN:
        return f"CASE {given} WHEN N'true' THEN CAST(1 AS bit) WHEN N'false' THEN CAST(0 AS bit) END"
    return f"TRY_CAST({given} AS {spelled})"


def changes(column: str, now: Described, to: Type) -> str:
    """Write the condition of a row whose value would be another one after a cast to *to* and back."""
    is_impossible = (now.kind in _NUMBERS and to in _TIMES) or (now.kind in _TIMES and to in _NUMBERS)
    if is_impossible:  # T-SQL does not even try
        return f"{column} IS NOT NULL"
    there = tried(column, now.kind, to, COLUMN_TYPES[to].partition(" ")[0])
    back = as_text(tried(there, to, now.kind, now.spelled.partition(" ")[0]), now.kind)
    was = as_text(column, now.kind)
    return f"{column} IS NOT NULL AND ({back} IS NULL OR {back} <> {was} OR DATALENGTH({back}) <> DATALENGTH({was}))"


def converted(column: str, now: Type, to: Type) -> str:
    """Write the cast of a column when it gets another type; a text reads as an API writes the value."""
    if to is not TEXT:
        return f"CAST({column} AS {COLUMN_TYPES[to]})"
    if now is DECIMAL:
        return _without_zeros(f"CAST({column} AS nvarchar(50))")
    if now is TIMESTAMP:
        return _moment(f"CAST({column} AS datetime2(6))")
    if now is JSON:  # a JSON text that is one string is that string
        whole = f"(SELECT j.[value] FROM OPENJSON(N'[' + {column} + N']') AS j)"
        texts = f"THEN {whole} COLLATE {COLLATION} ELSE {column} COLLATE {COLLATION}"
        return f"CASE WHEN LEFT({column}, 1) = N'\"' {texts} END"
    return as_text(column, now)


def _without_zeros(text: str) -> str:
    """Take the zeros, and then the point, from the end of a number: blanks can be trimmed."""
    zeros = f"REPLACE(RTRIM(REPLACE({text}, N'0', N' ')), N' ', N'0')"
    point = f"REPLACE(RTRIM(REPLACE({zeros}, N'.', N' ')), N' ', N'.')"
    return f"CASE WHEN CHARINDEX(N'.', {text}) > 0 THEN {point} ELSE {text} END"


def _moment(moment: str) -> str:
    """Write a moment with the shortest of 0, 3 or 6 decimals."""
    micro = f"DATEPART(microsecond, {moment})"
    six = f"RIGHT(N'00000' + CAST({micro} AS nvarchar(6)), 6)"
    decimals = (
        f"CASE WHEN {micro} = 0 THEN N'' WHEN {micro} % 1000 = 0 THEN N'.' + LEFT({six}, 3) ELSE N'.' + {six} END"
    )
    return f"LEFT(CONVERT(nvarchar(40), {moment}, 126), 19) + {decimals} + N'Z'"
