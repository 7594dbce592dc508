"""
The types of a load table that somebody else made: what a column there holds, and how a value of ours gets into it.

A warehouse calls its types by many names, of which each belongs to a family. What does not fit a column (a text that
is longer than it, a number out of its range) is found before it is written: no warehouse is left to cut or to round a
value down to another one. The one thing that is rounded is what stands behind a number's point.

Not here: which value belongs into which column (`landing.py`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

import attrs

from syncer.mapping import KEEP, Field
from syncer.values import (
    BIGINT,
    BOOLEAN,
    DATE,
    DECIMAL,
    DECIMAL_DIGITS,
    DECIMAL_SCALE,
    DOUBLE,
    JSON,
    TEXT,
    TIMESTAMP,
    Type,
)

TryCast = Callable[[str, Type], str]  # as a transaction writes it


class Family(enum.Enum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMERIC = "numeric"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    WALL = "timestamp without time zone"
    MOMENT = "timestamp with time zone"
    JSON = "json"
    OTHER = "other"


FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        ("text", "character varying", "varchar", "character", "char", "bpchar", "nvarchar", "nchar", "ntext", "string",
         "citext"),
        Family.TEXT,
    ),
    **dict.fromkeys(("smallint", "integer", "int", "int4", "int2", "int8", "bigint", "tinyint"), Family.INTEGER),
    **dict.fromkeys(("numeric", "decimal", "money"), Family.NUMERIC),
    **dict.fromkeys(("double precision", "double", "real", "float", "float4", "float8"), Family.FLOAT),
    **dict.fromkeys(("boolean", "bool", "bit"), Family.BOOLEAN),
    "date": Family.DATE,
    **dict.fromkeys(
        ("timestamp without time zone", "timestamp", "datetime", "datetime2", "smalldatetime"), Family.WALL
    ),
    **dict.fromkeys(("timestamp with time zone", "timestamptz", "datetimeoffset"), Family.MOMENT),
    **dict.fromkeys(("json", "jsonb"), Family.JSON),
}  # fmt: skip
_BITS = {"tinyint": 8, "smallint": 16, "int2": 16, "integer": 32, "int": 32, "int4": 32}  # others: 64
_SINGLE = 24  # bits of digits of a `real`, all others 53
_LEAST_SINGLE = "1.4e-45"  # what is closer to nothing is nothing in a `real`, or an error
_MOST_DOUBLE = "9.9999999999999e28"  # of what a decimal of ours holds; 15 digits, to which PostgreSQL rounds it first
_MONEY = {2: "92233720368547758.07", 4: "922337203685477.5807"}  # 64 bits: of PostgreSQL; of SQL Server, with a scale
_WIDE_SCALE = 2048  # PostgreSQL's catalogue adds it to a scale that is less than nothing
_SIZED = re.compile(r"(?P<type>.*?)(?:\((?P<digits>\d+)(?:,\s*(?P<scale>\d+))?\))?", re.DOTALL)
NOTHING = "NULL"  # the value where no value fits
_NUMBERS = (BIGINT, DECIMAL, DOUBLE)


@attrs.frozen(kw_only=True)
class LoadColumn:
    """
    One column of a load table as the warehouse's catalogue has it.

    type: by its name there, in small letters, without its size. longest: letters that a text may have, None: any; bits
    of a `bit` of PostgreSQL, None: another warehouse's, which is a truth. digits, scale: of a number with a point, all
    of them and those behind it; None: any. bits: of a floating one's digits.
    """

    name: str
    type: str
    longest: int | None = None
    digits: int | None = None
    scale: int | None = None
    bits: int | None = None

    @property
    def family(self) -> Family:
        """What it holds; several bits are nothing of ours."""
        has_bits = self.type == "bit" and (self.longest or 1) > 1
        return Family.OTHER if has_bits else FAMILIES.get(self.type, Family.OTHER)

    @property
    def is_bit(self) -> bool:
        """Whether it is one bit of PostgreSQL, which is no truth."""
        return self.type == "bit" and self.longest == 1

    @property
    def exact(self) -> int:
        """The number up to which a floating one holds every whole number."""
        return 1 << (_SINGLE if self.is_single else 53)

    @property
    def is_single(self) -> bool:
        """Whether a floating number has 24 bits of digits."""
        return self.type in ("real", "float4") or self.bits == _SINGLE

    @property
    def told(self) -> str:
        """Its type for people: `varchar(64)`, `numeric(10,2)`."""
        if self.longest is not None:
            return f"{self.type}({self.longest})"
        return (
            f"{self.type}({self.digits},{self.scale})" if self.family is Family.NUMERIC and self.digits else self.type
        )


def described(name: str, kind: str, longest: int | None, digits: int | None, scale: int | None) -> LoadColumn:
    """
    Make a column of what the view `information_schema.columns` says of it.

    DuckDB has digits and scale in the name of the type, SQL Server -1 for a text of any length, and a whole number has
    digits, too, in bits or not: they count for a number with a point alone. A floating one's are bits everywhere.
    """
    found = _SIZED.fullmatch(kind.strip().lower())
    assert found is not None  # it takes any text
    type_name = found["type"].strip()
    if found["digits"]:
        digits, scale = int(found["digits"]), int(found["scale"] or 0)
    is_numeric = FAMILIES.get(type_name) is Family.NUMERIC
    has_length = FAMILIES.get(type_name) is Family.TEXT or type_name == "bit"
    is_float = FAMILIES.get(type_name) is Family.FLOAT
    if scale is not None and scale > _WIDE_SCALE // 2:
        scale -= _WIDE_SCALE
    return LoadColumn(
        name=name,
        type=type_name,
        longest=int(longest) if has_length and longest is not None and longest > 0 else None,
        digits=int(digits) if is_numeric and digits is not None else None,
        scale=int(scale) if is_numeric and digits is not None and scale is not None else None,
        bits=int(digits) if is_float and digits is not None else None,
    )


def wanted(field: Field, column: LoadColumn) -> Type:
    """Return the type by which a field is offered to a column; one that is hashed or masked keeps its own."""
    if field.treatment != KEEP:
        return field.type
    family = column.family
    if family is Family.TEXT:
        return JSON if field.type is JSON else TEXT
    if family is Family.NUMERIC:
        return field.type if field.type in (BIGINT, DOUBLE) else DECIMAL  # a double may have more than nine decimals
    if column.is_bit:
        return BIGINT if field.type in _NUMBERS else TEXT
    if family in (Family.WALL, Family.MOMENT):
        return DATE if field.type is DATE else TIMESTAMP
    return {
        Family.INTEGER: BIGINT,
        Family.FLOAT: DOUBLE,
        Family.BOOLEAN: BOOLEAN,
        Family.DATE: DATE,
        Family.JSON: JSON,
    }.get(family, field.type)


@attrs.frozen
class Fitting:
    """SQL of a value as a column takes it, and the condition that it fits; "" where any does."""

    value: str
    fits: str = ""

    @property
    def safe(self) -> str:
        """The value, NULL where it does not fit."""
        is_whole = not self.fits or self.value == NOTHING  # a CASE of it would be a text
        return self.value if is_whole else f"CASE WHEN {self.fits} THEN {self.value} END"


def fitting(value: str, stored: Type, column: LoadColumn, *, try_cast: TryCast) -> Fitting | None:
    """Write how *value*, SQL of a type of ours, gets into a column; None where no value of that type can."""
    make = {
        Family.TEXT: _text,
        Family.INTEGER: _integer,
        Family.NUMERIC: _numeric,
        Family.FLOAT: _float,
        Family.BOOLEAN: _boolean,
        Family.DATE: _date,
        Family.WALL: _wall,
        Family.MOMENT: _moment,
        Family.JSON: _json,
    }.get(column.family)
    return make(value, stored, column, try_cast) if make else None


def _text(value: str, stored: Type, column: LoadColumn, _: TryCast) -> Fitting:
    text = value if stored is TEXT else f"CAST({value} AS TEXT)"
    if column.longest is None:
        return Fitting(text)
    return Fitting(text, f"({value} IS NULL OR LENGTH({text}) <= {column.longest})")


def _integer(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    bits = _BITS.get(column.type, 64)
    lowest, highest = (0, 255) if bits == 8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    within = f"BETWEEN {lowest} AND {highest}"
    if stored is BIGINT:
        return Fitting(value) if bits == 64 else Fitting(value, f"({value} IS NULL OR {value} {within})")
    if stored in (DECIMAL, DOUBLE):
        whole = f"{value} = TRUNC({value})"
        if bits == 64:  # a double has no number for the highest: what rounds to it is one too many
            within = f">= {lowest} AND {value} < {highest + 1}"
        return Fitting(f"CAST({value} AS BIGINT)", f"({value} IS NULL OR ({whole} AND {value} {within}))")
    if stored is TEXT:
        number = try_cast(value, BIGINT)
        whole = f"{try_cast(value, DECIMAL)} - {number} = 0"  # the warehouse rounds what has a point
        return Fitting(number, f"({value} IS NULL OR ({number} IS NOT NULL AND {number} {within} AND {whole}))")
    return None


def _numeric(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    if stored is TEXT:
        number = try_cast(value, DECIMAL)
        conditions = [f"{number} IS NOT NULL"]
    elif stored is DOUBLE:
        is_within = f"ABS({value}) < {_MOST_DOUBLE}"  # beyond, the cast itself would fail
        number = f"CASE WHEN {is_within} THEN CAST({value} AS DECIMAL({DECIMAL_DIGITS},{DECIMAL_SCALE})) END"
        conditions = [is_within]
    elif stored in _NUMBERS:
        number, conditions = value, []
    else:
        return None
    if column.type == "money":
        scale = column.scale or 2
        conditions.append(f"ABS(ROUND({number}, {scale})) <= {_MONEY.get(scale, _MONEY[4])}")
    elif column.digits is not None:
        scale = column.scale or 0
        conditions.append(f"ABS(ROUND({number}, {scale})) < {10 ** (column.digits - scale)}")
    return Fitting(number, f"({value} IS NULL OR ({' AND '.join(conditions)}))" if conditions else "")


def _float(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    """A whole number must be there to its last digit; what stands behind the point is rounded."""
    within = f"BETWEEN {-column.exact} AND {column.exact}"
    if stored is DOUBLE:
        if not column.is_single:
            return Fitting(value)
        some = f"({value} = 0 OR ABS({value}) >= {_LEAST_SINGLE})"
        return Fitting(value, f"({value} IS NULL OR ({value} {within} AND {some}))")
    if stored in _NUMBERS:
        return Fitting(f"CAST({value} AS DOUBLE PRECISION)", f"({value} IS NULL OR {value} {within})")
    if stored is not TEXT:
        return None
    number = try_cast(value, DECIMAL)
    noughts = f"TRIM(REPLACE(REPLACE({value}, '0', ''), '.', '')) IN ('', '-', '+')"
    some = f"({number} <> 0 OR {noughts})"  # else the point is too far away for a decimal
    fits = f"({value} IS NULL OR ({number} IS NOT NULL AND {number} {within} AND {some}))"
    return Fitting(f"CAST({number} AS DOUBLE PRECISION)", fits)


def _boolean(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    if column.is_bit:
        return _bit(value, stored)
    if stored is BOOLEAN:
        return Fitting(value)
    if stored is not TEXT:
        return None
    return Fitting(f"(LOWER({value}) = 'true')", f"({value} IS NULL OR LOWER({value}) IN ('true', 'false'))")


def _bit(value: str, stored: Type) -> Fitting | None:
    """No truth becomes a bit by itself, in PostgreSQL."""
    if stored is BOOLEAN:
        return Fitting(f"CAST(CAST({value} AS INTEGER) AS BIT(1))")
    if stored in _NUMBERS:
        return Fitting(f"CAST(CAST({value} AS INTEGER) AS BIT(1))", f"({value} IS NULL OR {value} IN (0, 1))")
    if stored is not TEXT:
        return None
    bit = f"CASE WHEN LOWER({value}) IN ('true', '1') THEN 1 WHEN {value} IS NOT NULL THEN 0 END"
    fits = f"({value} IS NULL OR LOWER({value}) IN ('true', 'false', '1', '0'))"
    return Fitting(f"CAST({bit} AS BIT(1))", fits)


def _wall(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    """A time without a zone is that of UTC."""
    if stored is TIMESTAMP:
        return Fitting(f"({value} AT TIME ZONE 'UTC')")
    if stored is DATE:
        return Fitting(f"CAST({value} AS TIMESTAMP)")
    if stored is not TEXT:
        return None
    moment = try_cast(value, TIMESTAMP)
    return Fitting(f"({moment} AT TIME ZONE 'UTC')", f"({value} IS NULL OR {moment} IS NOT NULL)")


def _moment(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    if stored is TIMESTAMP:
        return Fitting(value)
    if stored is DATE:
        return Fitting(f"(CAST({value} AS TIMESTAMP) AT TIME ZONE 'UTC')")
    if stored is not TEXT:
        return None
    moment = try_cast(value, TIMESTAMP)
    return Fitting(moment, f"({value} IS NULL OR {moment} IS NOT NULL)")


def _date(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    if stored is DATE:
        return Fitting(value)
    found = _wall(value, stored, column, try_cast)
    return None if found is None else Fitting(f"CAST({found.value} AS DATE)", found.fits)


def _json(value: str, stored: Type, column: LoadColumn, try_cast: TryCast) -> Fitting | None:
    return Fitting(value) if stored is JSON else None
