"""
Values: the types of a warehouse column, and how a column of JSON values becomes one of them.

A column of values is turned into Arrow at once, in C, where every value has the shape that its type expects; only a
column that has an odd value is looked at value by value. What does not fit becomes NULL and a `Misfit`, never an
exception and never a silent NULL.

Not here: where a value stands in a record (`rows.py`), and what a warehouse calls these types (`warehouses/`).
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import orjson

if TYPE_CHECKING:
    import pyarrow as pa


class Type(enum.Enum):
    """The type of a column, the same for every warehouse."""

    TEXT = "text"
    BIGINT = "bigint"
    DECIMAL = "decimal"  # 38 digits, 9 of them behind the point
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"  # microseconds, always UTC
    JSON = "json"


TEXT, BIGINT, DECIMAL, DOUBLE = Type.TEXT, Type.BIGINT, Type.DECIMAL, Type.DOUBLE
BOOLEAN, DATE, TIMESTAMP, JSON = Type.BOOLEAN, Type.DATE, Type.TIMESTAMP, Type.JSON

DECIMAL_DIGITS, DECIMAL_SCALE = 38, 9
NUL_IN_KEY = "NUL, which the warehouse cannot hold, stands in its key"
NUL_TOLD = "NUL, which the warehouse cannot hold, was replaced by U+FFFD"
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")  # in a JSON text
NUL_REPLACED = "\ufffd"  # what a text has in place of NUL where a warehouse cannot hold that

# What a column may become when a declaration asks for more room, narrowest first; text holds everything.
WIDER: dict[Type, tuple[Type, ...]] = {
    BIGINT: (DECIMAL, DOUBLE, TEXT),
    DECIMAL: (TEXT,),
    DOUBLE: (TEXT,),
    BOOLEAN: (TEXT,),
    DATE: (TIMESTAMP, TEXT),
    TIMESTAMP: (TEXT,),
    JSON: (TEXT,),
    TEXT: (),
}

# What a value of a column may become when it did not fit, without becoming a text: room of the same kind.
ROOMIER: dict[Type, Type] = {BIGINT: DECIMAL, DATE: TIMESTAMP}

_DIGITS = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# The texts that a whole column of a type may have to be cast at once; what else fits is found value by value.
_PLAIN: dict[Type, str] = {
    BIGINT: f"^{_DIGITS.pattern}$",
    DECIMAL: rf"^-?[0-9]{{1,{DECIMAL_DIGITS - DECIMAL_SCALE}}}(\.[0-9]{{1,{DECIMAL_SCALE}}})?$",
    DOUBLE: r"^-?[0-9]{1,15}(\.[0-9]{1,99})?([eE][+-]?[0-9]{1,2})?$",  # exact, and not too close to 0
    BOOLEAN: "^(true|false)$",
}
# A date with a time, and an offset behind it where there is one.
_TIME = r"^(.{10}[T ][0-9:.,]+)\s*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?$"
_OFFSET = re.compile(_TIME.removesuffix("$") + r"\Z")
_LIMIT = 2**63
_EXACT = 2**53  # a double holds every integer up to here
_DAYS = (-719_162, 2_932_897)  # the years 1 to 9999, as days since 1970: what Python can read back
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, _DAYS[1] * 86_400_000_000)
# The Python types of JSON that a column takes as they are, a whole column at once.
_AS_THEY_ARE: dict[Type, frozenset[type]] = {
    BIGINT: frozenset({int}),
    DOUBLE: frozenset({int, float}),
    BOOLEAN: frozenset({bool}),
    DATE: frozenset(),
    TIMESTAMP: frozenset(),
    DECIMAL: frozenset(),
}


class Outside(str):
    """A date or time that Python has none for, outside the years 1 to 9999 or without end: the warehouse's text."""

    __slots__ = ()


@attrs.frozen
class Misfit:
    """One value that did not fit: where it stood in the column, the JSON type it had, and what became of it."""

    row: int
    found: str
    reason: str


class _DoesNotFit(Exception):
    """Inside this module: the value is not of the type; carries the reason."""


class _Mended(Exception):
    """Inside this module: the value fits after a repair that must be told; carries the repaired value."""

    def __init__(self, value: str, reason: str) -> None:
        super().__init__(reason)
        self.value = value


def json_type(value: object) -> str:
    """Name the JSON type of *value*."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


def parse(body: bytes) -> Any:
    """
    Read a JSON text.

    orjson refuses a lone surrogate (`"\\ud83d"`), which APIs do send when a text was cut inside an emoji, and a number
    that no double holds (1e400). The standard library takes both; `column` replaces or refuses them, and says so.

    Raises: ValueError when it is no JSON either way.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body, parse_constant=_refuse_constant, parse_float=_float)
        except RecursionError:
            raise ValueError("JSON that is nested too deeply") from None


class _Beyond(float):
    """Infinity, read from a number that no double holds: orjson writes a float's as null, and refuses this type."""


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _Beyond(number)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def dumps(value: object) -> str:
    """Write *value* as JSON text with sorted keys, so that an equal value is an equal text, whatever is odd in it."""
    try:
        return _json(value)
    except _Mended as mended:
        return mended.value
    except _DoesNotFit as reason:
        return json.dumps(str(reason))


def arrow_type(kind: Type) -> pa.DataType:
    """Return the Arrow type that carries *kind* from the records to the warehouse."""
    import pyarrow as pa

    return {
        Type.TEXT: pa.string(),
        Type.BIGINT: pa.int64(),
        Type.DECIMAL: pa.decimal128(DECIMAL_DIGITS, DECIMAL_SCALE),
        Type.DOUBLE: pa.float64(),
        Type.BOOLEAN: pa.bool_(),
        Type.DATE: pa.date32(),
        Type.TIMESTAMP: pa.timestamp("us", "UTC"),
        Type.JSON: pa.string(),
    }[kind]


def column(
    values: Sequence[Any], kind: Type, *, blank_is_null: bool = False, as_written: bool = False
) -> tuple[pa.Array, list[Misfit]]:
    """
    Turn JSON *values* into an Arrow array of *kind*; what does not fit is NULL there and a `Misfit` beside it.

    blank_is_null: an empty text is NULL, and no misfit. as_written: of a timestamp's text the offset is dropped, and
    the rest taken as UTC: `2024-05-01T10:00:00+0200` is 10:00. Nothing for other types.
    """
    import pyarrow as pa

    as_written = as_written and kind is Type.TIMESTAMP
    try:
        fast = _whole_column(values, kind, blank_is_null=blank_is_null, as_written=as_written)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeEncodeError, OverflowError, TypeError):
        fast = None
    if fast is not None:
        return fast, []
    if blank_is_null:
        values = [None if value == "" else value for value in values]
    if as_written:
        values = [_OFFSET.sub(r"\1", value) if isinstance(value, str) else value for value in values]
    return _by_value(values, kind)


def without_nul(array: pa.Array, kind: Type, *, is_key: bool = False) -> tuple[pa.Array, list[Misfit]]:
    """
    Replace NUL in texts, and in the texts inside JSON, by U+FFFD; each such value is a `Misfit`.

    is_key: make the whole value NULL instead: two keys must never become one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring(array, "\\u0000" if kind is JSON else "\0")).as_py():
        return array, []
    kept: list[str | None] = []
    misfits = []
    for row, value in enumerate(array.to_pylist()):
        clean = value if value is None else _nul_replaced(value, kind)
        if clean != value and is_key:
            clean = None
            misfits.append(Misfit(row, "string", NUL_IN_KEY))
        elif clean != value:
            misfits.append(Misfit(row, "string" if kind is TEXT else json_type(parse(value.encode())), NUL_TOLD))
        kept.append(clean)
    return pa.array(kept, array.type), misfits


def _nul_replaced(text: str, kind: Type) -> str:
    if kind is not JSON:
        return text.replace("\0", NUL_REPLACED)
    return _ESCAPE.sub(lambda found: NUL_REPLACED if found[0] == "\\u0000" else found[0], text)


def roomier(value: object, kind: Type) -> Type | None:
    """Return the type that would hold *value*, which did not fit *kind*; None where only text would, or nothing."""
    wanted = ROOMIER.get(kind)
    if wanted is None or (kind is DATE and not isinstance(value, str)):  # a bare number is no date that lacks room
        return None
    try:
        _CONVERT[wanted](value)
    except _DoesNotFit:
        return None
    return wanted


def _whole_column(
    values: Sequence[Any], kind: Type, *, blank_is_null: bool = False, as_written: bool = False
) -> pa.Array | None:
    """Convert all at once; None or an Arrow error where one value is odd."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind is Type.TEXT:
        texts = pa.array(values, pa.string())
        return _without_blanks(texts) if blank_is_null else texts
    if kind is Type.JSON:
        if blank_is_null:
            values = [None if value == "" else value for value in values]
        written = [
            None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() for value in values
        ]
        return pa.array(written, pa.string())
    # Arrow would cast silently (3.5 to 3, true to 1), so what came is looked at first; a set of types is the cheapest
    # look.
    came = set(map(type, values)) - {type(None)}
    target = arrow_type(kind)
    if came <= _AS_THEY_ARE.get(kind, frozenset()):
        found = pa.array(values, target)
        is_odd = kind is Type.DOUBLE and pc.all(pc.is_finite(found)).as_py() is False  # 1e999 is JSON
        return None if is_odd else found
    if came != {str}:
        return None
    texts = pa.array(values, pa.string())
    if blank_is_null:
        texts = _without_blanks(texts)
    return _whole_texts(_with_utc(texts) if as_written else texts, kind)


def _whole_texts(texts: pa.Array, kind: Type) -> pa.Array | None:
    """Convert a column of texts all at once, where each is written in the plain way of its type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind in (Type.DATE, Type.TIMESTAMP):
        moments = texts.cast(arrow_type(kind))
        ends = pc.min_max(moments.view(pa.int32() if kind is Type.DATE else pa.int64())).as_py()
        first, last = _DAYS if kind is Type.DATE else _MICROSECONDS
        return None if ends["min"] is not None and (ends["min"] < first or ends["max"] >= last) else moments
    if kind not in _PLAIN or pc.all(pc.match_substring_regex(texts, _PLAIN[kind])).as_py() is False:
        return None
    if kind is Type.BOOLEAN:
        return pc.equal(texts, "true")
    return texts.cast(arrow_type(kind))


def _with_utc(texts: pa.Array) -> pa.Array:
    """Write UTC in place of each time's own offset, also where it has none; a date is its midnight."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(
        pc.replace_substring_regex(texts, _TIME, r"\1Z"), r"^([0-9]{4}-[0-9]{2}-[0-9]{2})$", r"\1T00:00:00Z"
    )


def _without_blanks(texts: pa.Array) -> pa.Array:
    """Make empty texts NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    blank = pc.equal(texts, "")
    return pc.if_else(blank, pa.scalar(None, pa.string()), texts) if pc.any(blank).as_py() else texts


def _by_value(values: Sequence[Any], kind: Type) -> tuple[pa.Array, list[Misfit]]:
    import pyarrow as pa

    convert = _CONVERT[kind]
    kept: list[Any] = []
    misfits: list[Misfit] = []
    for row, value in enumerate(values):
        if value is None:
            kept.append(None)
            continue
        try:
            kept.append(convert(value))
        except _Mended as mended:
            kept.append(mended.value)
            misfits.append(Misfit(row, json_type(value), str(mended)))
        except _DoesNotFit as reason:
            kept.append(None)
            misfits.append(Misfit(row, json_type(value), str(reason)))
    return pa.array(kept, arrow_type(kind)), misfits


def _text(value: Any) -> str:
    if isinstance(value, str):
        if value.isascii():
            return value
        clean = _replace_surrogates(value)
        if clean != value:
            raise _Mended(clean, "half of a surrogate pair was replaced by U+FFFD")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if abs(value) >= _EXACT:
            raise _DoesNotFit("a number too large to be told exactly is not text")
        return orjson.dumps(value).decode()
    raise _DoesNotFit(f"{json_type(value)} is not text")


def _bigint(value: Any) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _DoesNotFit(f"{json_type(value)} is not a whole number")
    if not -_LIMIT <= value < _LIMIT:
        raise _DoesNotFit("a number outside 64 bits")
    return value


def _decimal(value: Any) -> decimal.Decimal:
    if isinstance(value, bool) or not (
        isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value))
    ):
        raise _DoesNotFit(f"{json_type(value)} is not a number")
    if isinstance(value, float) and abs(value) >= _EXACT:
        raise _DoesNotFit("a number too large to be told exactly")
    with decimal.localcontext() as context:
        context.prec = DECIMAL_DIGITS
        context.traps[decimal.Inexact] = True
        try:
            exact = decimal.Decimal(str(value))  # refuses an exponent of 19 digits
            return exact.quantize(decimal.Decimal(1).scaleb(-DECIMAL_SCALE))
        except (decimal.InvalidOperation, decimal.Inexact) as error:
            raise _DoesNotFit(
                f"a number with more than {DECIMAL_DIGITS} digits or {DECIMAL_SCALE} decimals"
            ) from error


def _double(value: Any) -> float:
    if isinstance(value, bool) or not (
        isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value))
    ):
        raise _DoesNotFit(f"{json_type(value)} is not a number")
    text = value if isinstance(value, str) else ""
    if (isinstance(value, int) or text.lstrip("-").isdigit()) and abs(decimal.Decimal(value)) > _EXACT:
        raise _DoesNotFit("a whole number that a double cannot hold exactly")
    number = float(value)
    if number in (float("inf"), float("-inf")) or (number == 0 and re.match(r"-?[0.]*[1-9]", text)):
        raise _DoesNotFit("a number outside the range of a double")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _DoesNotFit(f"{json_type(value)} is neither true nor false")


def _date(value: Any) -> dt.date:
    if isinstance(value, str) and len(value) == 10:
        try:
            return dt.date.fromisoformat(value)
        except ValueError as error:
            raise _DoesNotFit("a text that is no date") from error
    raise _DoesNotFit(f"{json_type(value)} is no date")


def timestamp(value: Any) -> dt.datetime:
    """
    Read an instant: ISO 8601 with any offset (none means UTC), or epoch seconds (10 digits) or milliseconds (13
    digits).

    Raises: ValueError.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        seconds, micro = (
            divmod(value * 1_000_000, 1_000_000) if abs(value) < 10**11 else divmod(value * 1_000, 1_000_000)
        )
        try:
            return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds, microseconds=micro)
        except OverflowError as error:
            raise ValueError("a number outside the range of times") from error
    if not isinstance(value, str) or len(value) < 10:
        raise ValueError(f"{json_type(value)} is no point in time")
    try:
        moment = dt.datetime.fromisoformat(value)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("a text that is no point in time") from error


def _timestamp(value: Any) -> dt.datetime:
    try:
        return timestamp(value)
    except ValueError as error:
        raise _DoesNotFit(str(error)) from error


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # a lone surrogate, a number beyond 64 bits or a double, or nesting over 254 levels
        pass
    try:
        clean = _without_surrogates(value)
        text = json.dumps(clean, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        is_same = clean == value
    except RecursionError:
        raise _DoesNotFit(f"{json_type(value)} that is nested too deeply") from None
    except ValueError:
        raise _DoesNotFit("a number outside the range of a double") from None
    if not is_same:
        raise _Mended(text, "half of a surrogate pair was replaced by U+FFFD")
    return text


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, dict):
        return {_replace_surrogates(name): _without_surrogates(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(inner) for inner in value]
    return value


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_CONVERT: dict[Type, Callable[[Any], Any]] = {
    Type.TEXT: _text,
    Type.BIGINT: _bigint,
    Type.DECIMAL: _decimal,
    Type.DOUBLE: _double,
    Type.BOOLEAN: _boolean,
    Type.DATE: _date,
    Type.TIMESTAMP: _timestamp,
    Type.JSON: _json,
}
