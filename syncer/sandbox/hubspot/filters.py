"""
What the filters and sorts of a search mean: JSON in, a test of one record and a sort key out.

Dates are compared as epoch milliseconds; a filter gives them as a text of digits. Strings are compared without regard
to case, but IN and NOT_IN find what was sent in lower case only, and enumerations are compared as they are. A record
without a value passes NOT_HAS_PROPERTY and NOT_CONTAINS_TOKEN only. Source: HubSpot's guide "Search the CRM".
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from syncer.sandbox.hubspot.errors import invalid
from syncer.sandbox.hubspot.index import Key, Seen, Test
from syncer.sandbox.hubspot.model import Definition

GROUPS_MOST, FILTERS_MOST, ALL_FILTERS_MOST, VALUES_MOST = 5, 6, 18, 100
OPERATORS = frozenset(
    [
        "EQ",
        "NEQ",
        "LT",
        "LTE",
        "GT",
        "GTE",
        "BETWEEN",
        "IN",
        "NOT_IN",
        "HAS_PROPERTY",
        "NOT_HAS_PROPERTY",
        "CONTAINS_TOKEN",
        "NOT_CONTAINS_TOKEN",
    ]
)
ID = "hs_object_id"
_TOKEN = re.compile(r"[^\W_]+", re.UNICODE)
Value = float | int | str


def check(groups: Any) -> list[list[Mapping[str, Any]]]:
    """Return the filters by group; refuse a wrong shape, an unknown operator, or too many of anything."""
    if groups is None:
        return []
    if not isinstance(groups, list) or any(not isinstance(group, dict) for group in groups):
        raise invalid("Invalid input JSON: filterGroups must be an array of objects")
    found = [group.get("filters") or [] for group in groups]
    if any(not isinstance(filters, list) or any(not isinstance(one, dict) for one in filters) for filters in found):
        raise invalid("Invalid input JSON: filters must be an array of objects")
    if len(found) > GROUPS_MOST:
        raise invalid(f"{len(found)} filterGroups were sent; the maximum is {GROUPS_MOST}")
    if any(len(filters) > FILTERS_MOST for filters in found):
        raise invalid(f"A filterGroup has too many filters; the maximum is {FILTERS_MOST}")
    if sum(map(len, found)) > ALL_FILTERS_MOST:
        raise invalid(f"{sum(map(len, found))} filters were sent; the maximum is {ALL_FILTERS_MOST}")
    for filters in found:
        for one in filters:
            if not isinstance(one.get("propertyName"), str):
                raise invalid("Some required fields were not set: [propertyName]")
            if one.get("operator") not in OPERATORS:
                raise invalid(f"Invalid input JSON: {one.get('operator')!r} is no operator")
    return found


def test_of(
    one: Mapping[str, Any], definition: Definition | None, *, stamp: Callable[[Seen], int] | None = None
) -> Test:
    """
    Return the test of one filter.

    *definition* None: no record has the property. *stamp*: the time that stands beside the property as a number.
    """
    name, operator = one["propertyName"], one["operator"]
    convert = converter(definition)

    def converted(seen: Seen) -> Value | None:
        return convert(seen.properties.get(name) or "") if definition is not None else None

    value_of: Callable[[Seen], Any] = stamp or converted

    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        wanted = operator == "HAS_PROPERTY"
        return lambda seen: (definition is not None and bool(seen.properties.get(name))) == wanted
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        return _token_test(name, _text(one, "value"), is_wanted=operator == "CONTAINS_TOKEN")
    if operator in ("IN", "NOT_IN"):
        return _list_test(one, definition, value_of)
    low = _bound(one, "value", definition)
    if operator == "BETWEEN":
        high = _bound(one, "highValue", definition)
        return lambda seen: (value := value_of(seen)) is not None and low <= value <= high
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "EQ": lambda value, bound: value == bound,
        "NEQ": lambda value, bound: value != bound,
        "LT": lambda value, bound: value < bound,
        "LTE": lambda value, bound: value <= bound,
        "GT": lambda value, bound: value > bound,
        "GTE": lambda value, bound: value >= bound,
    }
    passes = compare[operator]
    return lambda seen: (value := value_of(seen)) is not None and passes(value, low)


def sort_key(name: str | None, definition: Definition | None, *, descending: bool) -> Key:
    """Return the key of a sort by one property, records without a value last; *name* None: oldest first."""
    if name is None:
        return lambda seen: seen.created_ms
    if name == ID and not descending:
        return lambda seen: int(seen.id)
    convert = converter(definition)

    def key(seen: Seen) -> tuple[bool, Any]:
        value = convert(seen.properties.get(name) or "")
        return value is None, 0 if value is None else _Reversed(value) if descending else value

    return key


@functools.total_ordering
class _Reversed:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and self.value == other.value

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    __hash__ = None  # type: ignore[assignment]  # it is a sort key only


def converter(definition: Definition | None) -> Callable[[str], Value | None]:
    """Return what makes values of a property comparable; None is what has no value."""
    kind = definition.type if definition is not None else "string"
    if definition is not None and definition.name == ID:
        return lambda text: int(text) if text else None
    if kind == "number":
        return _number
    if kind in ("date", "datetime"):
        return _moment
    if kind == "enumeration":
        return lambda text: text or None
    return lambda text: text.lower() or None


@functools.lru_cache(maxsize=65_536)
def _moment(text: str) -> int | None:
    """Read a stored date or datetime as milliseconds."""
    if not text:
        return None
    if text.isdigit():
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1000)


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _text(one: Mapping[str, Any], key: str) -> str:
    value = one.get(key)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or value == "":
        raise invalid(
            f"Filter {one['operator']} on {one['propertyName']} needs {key}", propertyName=[one["propertyName"]]
        )
    return value


def _bound(one: Mapping[str, Any], key: str, definition: Definition | None) -> Value:
    """Read what a filter compares with."""
    text = _text(one, key)
    if definition is None:
        return text
    if definition.type in ("date", "datetime") and not re.fullmatch(r"-?[0-9]{1,16}", text):
        raise invalid(f"{text} is not a valid long: dates are epoch milliseconds", propertyName=[definition.name])
    if definition.name == ID and not text.isdigit():
        raise invalid(f"{text} is not a valid long", propertyName=[definition.name])
    if definition.type in ("date", "datetime"):
        return int(text)
    value = converter(definition)(text)
    if value is None:
        raise invalid(f"{text} is not a valid {definition.type}", propertyName=[definition.name])
    return value


def _list_test(
    one: Mapping[str, Any], definition: Definition | None, value_of: Callable[[Seen], Value | None]
) -> Test:
    """Return the test of IN and NOT_IN; the values of a string property are compared as they were sent."""
    sent = one.get("values")
    if not isinstance(sent, list) or not sent or any(not isinstance(each, str) for each in sent):
        raise invalid(f"Filter {one['operator']} on {one['propertyName']} needs values")
    if len(sent) > VALUES_MOST:
        raise invalid(f"{len(sent)} values were sent; the maximum is {VALUES_MOST}")
    is_typed = definition is not None and definition.type not in ("string", "phone_number")
    bounds = {_bound({**one, "value": each}, "value", definition) if is_typed else each for each in sent}
    wanted = one["operator"] == "IN"
    return lambda seen: (value := value_of(seen)) is not None and (value in bounds) == wanted


def _token_test(name: str, pattern: str, *, is_wanted: bool) -> Test:
    """Return the test of CONTAINS_TOKEN: every word of *pattern* is one of the value; * stands for anything."""
    wanted = [re.compile(fnmatch.translate(part.lower())) for part in re.split(r"[^\w*]+", pattern) if part]

    def test(seen: Seen) -> bool:
        words = tokens(seen.properties.get(name) or "")
        return bool(wanted and all(any(part.match(word) for word in words) for part in wanted)) == is_wanted

    return test


@functools.lru_cache(maxsize=65_536)
def tokens(text: str) -> tuple[str, ...]:
    """Return the words of a text, in lower case."""
    return tuple(_TOKEN.findall(text.lower()))
