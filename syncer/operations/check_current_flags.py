"""
`warehouse.check_current_flags`: each business key of a dimension with history has exactly one current row.

Several current rows make facts count twice, none makes them lose their dimension. What is told are counts, never a
key: it may be personal. A business key that is NULL is one key. Not here: the query (`counting.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncer import counting
from syncer.counting import Flags, Name, Place
from syncer.declared import table, text
from syncer.errors import UsageError
from syncer.findings import Line, Unseen
from syncer.mapping import EntityMapping
from syncer.operations import Context
from syncer.settings import Settings


def _is_dimensions(value: Any) -> bool:
    lists = [[each] if isinstance(each, str) else each for each in value.values()] if isinstance(value, dict) else [0]
    return all(isinstance(each, list) and each and all(key and isinstance(key, str) for key in each) for each in lists)


NAME = "warehouse.check_current_flags"
SUMMARY = "count the business keys of dimensions that have several current rows, or none"
SETTINGS = {
    "dimensions": table(
        'a table of dimensions, each with its business key: "dw.dim_customer" = ["code"]', _is_dimensions
    ),
    "flag": text("dss_current_flag", meaning="a column, such as dss_current_flag"),
    "current": text("Y", meaning='the flag of a current row as text, such as "Y"', may_be_blank=True),
}
ROWS, KEYS, SEVERAL, NONE = (
    "count_of_all_records",
    "count_of_keys",
    "count_of_keys_with_several_current",
    "count_of_keys_without_current",
)
COLUMNS = ("date", "table", ROWS, KEYS, SEVERAL, NONE)


def check(values: Mapping[str, Any], *, settings: Settings, mappings: Sequence[EntityMapping]) -> None:
    """Raise UsageError where no dimension is named."""
    if not values["dimensions"]:
        raise UsageError(
            f"{NAME} has no dimensions to check.",
            hint=f'Set dimensions in ["{NAME}"] of syncer.toml, each with its business key: docs/operations.md.',
        )


def lines(context: Context) -> Iterator[Line]:
    """Yield a line for each dimension."""
    words: Mapping[str, Any] = context.values["dimensions"]
    keys = {counting.parse(name): [key] if isinstance(key, str) else list(key) for name, key in words.items()}
    yield from checked(context, keys)


def checked(context: Context, keys: Mapping[Name, Sequence[str]]) -> Iterator[Line]:
    """Yield a line for each dimension of a list; one that only a pattern names, and has no flag, has no history."""
    seen: set[Name] = set()
    for number, (name, key) in enumerate(_exact_first(keys), start=1):
        for place in counting.places(context.warehouse, [name]):
            has_flag = place.column(context.values["flag"]) is not None
            if place.name not in seen and (has_flag or not name.is_pattern):
                seen.add(place.name)
                yield _line(context, place, key)
        context.moved(number, len(keys))


def _exact_first(keys: Mapping[Name, Sequence[str]]) -> list[tuple[Name, Sequence[str]]]:
    return sorted(keys.items(), key=lambda item: item[0].is_pattern)


def _line(context: Context, place: Place, key: Sequence[str]) -> Line:
    name = str(place.name)
    values: dict[str, Any] = {"date": context.now.date().isoformat(), "table": name}
    why_not = place.why_not or _missing(context, place, key)
    found = Flags(why_not=why_not) if why_not else _counted(context, place, key)
    if found.why_not:
        told = f"{name}: {why_not or counting.UNREADABLE}"
        text, unseen = f"{name}: {found.why_not}", Unseen(part=name, key=name)
        return Line(key=f"{name} (no keys)", text=text, values=values, told=told, unseen=unseen)
    values |= {ROWS: found.rows, KEYS: found.keys, SEVERAL: found.several, NONE: found.without}
    wrong = [
        (found.several, "have several current rows"),
        (found.without, "have none"),
    ]
    wrong = [(count, what) for count, what in wrong if count]
    text = ", ".join(f"{count:,} {what}" for count, what in wrong) or "each has one current row"
    return Line(
        key=name,
        text=f"{name}: of {found.keys:,} keys {text}",
        values=values,
        is_finding=bool(wrong),
        told=f"{name}: keys {', '.join(what for _, what in wrong)}",
    )


def _missing(context: Context, place: Place, key: Sequence[str]) -> str:
    names = [each for each in (context.values["flag"], *key) if place.column(each) is None]
    return f"there is no column {', '.join(names)}" if names else ""


def _counted(context: Context, place: Place, key: Sequence[str]) -> Flags:
    flag, current = context.values["flag"], context.values["current"]
    known = [column for each in (flag, *key) if (column := place.column(each)) is not None]
    return counting.count_flags(context.warehouse, place, known[1:], flag=known[0], current=current)
