"""
`warehouse.check_sizes`: the rows of each fact and dimension, and what they were at the last run.

A table that became empty is a finding for as long as it is; one that lost more rows than a share is told once, since
a report cannot know whether they were meant to go, and what it has now is what the next run compares with. Not here:
the list of tables and the queries (`counting.py`), where the counts of a run are kept (`runs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncer import counting, limits
from syncer.counting import Join, Name, Place
from syncer.declared import share, texts
from syncer.errors import UsageError
from syncer.findings import Line, Unseen
from syncer.mapping import EntityMapping
from syncer.operations import Context
from syncer.settings import Settings

NAME = "warehouse.check_sizes"
SUMMARY = "count the rows of facts and dimensions, and tell which became empty or lost many"
SETTINGS = {
    "tables": texts(meaning='a list of tables, such as ["dw.fact_*", "dw.dim_*"]'),
    "max_lost_share": share(0.3),
}
ROWS, BEFORE = "count_of_all_records", "count_of_last_run"
COLUMNS = ("date", "table", ROWS, BEFORE)


def check(values: Mapping[str, Any], *, settings: Settings, mappings: Sequence[EntityMapping]) -> None:
    """Raise UsageError where no table is named."""
    if not values["tables"] and not counting.has_list(settings):
        raise UsageError(
            f"{NAME} has no tables to count.",
            hint=f'Set tables in ["{NAME}"] of syncer.toml, or the joins of ["{counting.LIST}"]: docs/operations.md.',
        )


def lines(context: Context) -> Iterator[Line]:
    """Yield a line for each table. Raises UsageError: the list of joins is not there, or empty."""
    names = [counting.parse(text) for text in context.values["tables"]]
    names = names or named_in(counting.listed(context.warehouse, context.settings))
    if not names:
        raise UsageError(f"{NAME} has no tables to count: joins_from names a table without rows.")
    yield from checked(context, names)


def named_in(joins: list[Join]) -> list[Name]:
    """Return the tables that a list of joins names, facts first, each once."""
    facts, dimensions = [join.fact for join in joins], [join.dimension for join in joins if join.dimension is not None]
    return list(dict.fromkeys([*facts, *dimensions]))


def checked(context: Context, names: list[Name]) -> Iterator[Line]:
    """Yield a line for each table of a list, and one for each that the last run counted and that is gone."""
    found = counting.places(context.warehouse, names)
    before = {_key(name): rows for name, rows in context.kept.items()}
    for number, place in enumerate(found, start=1):
        yield _line(context, place, before.pop(str(place.name), None))
        context.moved(number, len(found))
    places = counting.places(context.warehouse, [counting.kept(name) for name in before])
    away = {str(place.name) for place in places if place.why_not}
    yield from (_gone(context, name, rows) for name, rows in before.items() if name in away)
    if not context.kept:
        context.note("nothing to compare with: no run before counted anything")


def _key(kept: str) -> str:
    """Return a table's name as it is written now, of one that a run of before wrote down."""
    name = counting.kept(kept)
    return kept if name.schema is None else str(Name.of(name.schema, name.table))


def _line(context: Context, place: Place, before: int | None) -> Line:
    name = str(place.name)
    values = {"date": context.now.date().isoformat(), "table": name, BEFORE: before}
    counted = counting.Counted(why_not=place.why_not)
    if not counted.why_not:
        counted = counting.count(context.warehouse, place)
    if counted.why_not:
        if before is not None:
            context.keeps[name] = before
        told = f"{name}: {place.why_not or counting.UNREADABLE}"
        text, unseen = f"{name}: {counted.why_not}", Unseen(part=name, key=name)
        return Line(key=f"{name} (no rows)", text=text, values=values, told=told, unseen=unseen)
    rows, values = counted.rows, {**values, ROWS: counted.rows}
    context.keeps[name] = rows or before or 0
    if before and not rows:
        text = f"{name}: empty, and had {before:,} rows"
        return Line(key=name, text=text, values=values, told=f"{name}: empty")
    most = context.values["max_lost_share"]
    if before and most != limits.OFF and before >= limits.FROM_ROWS and (before - rows) / before > most:
        lost = f"{(before - rows) / before:.0%} are gone, and max_lost_share is {most:.0%}"
        return Line(key=name, text=f"{name}: {rows:,} rows, and had {before:,}: {lost}", values=values)
    return Line(key=name, text=f"{name}: {rows:,} rows", values=values, is_finding=False)


def _gone(context: Context, name: str, before: int) -> Line:
    values = {"date": context.now.date().isoformat(), "table": name, BEFORE: before}
    return Line(key=name, text=f"{name}: not there any more, and had {before:,} rows", values=values)
