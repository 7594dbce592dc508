"""
`warehouse.check_fact_dimensions`: of each fact and each of its dimension keys, the rows and those with 0.

In a star schema 0 stands for "no row of that dimension"; NULL stands for nothing, and is a finding, as is a table or
column that is not there, or that cannot be read: it has no counts. A fact is read once, however many keys it has. Not
here: the list of joins and the queries (`counting.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncer import counting, limits
from syncer.counting import Counted, Fact, Join
from syncer.errors import UsageError
from syncer.findings import Line, Unseen
from syncer.mapping import EntityMapping
from syncer.operations import Context
from syncer.settings import Settings

NAME = counting.LIST
SUMMARY = "count the rows of facts, and those whose key of a dimension is 0"
SETTINGS = counting.JOINS
DATE, TABLE, ATTRIBUTE, ROWS, ZEROS, NULLS = (
    "date",  # the day on which the run began, where this computer is
    "table",
    "attribute",
    "count_of_all_records",
    "count_of_0_key_records",
    "count_of_null_key_records",  # beside the columns: programs that read the CSV know five
)
COLUMNS = (DATE, TABLE, ATTRIBUTE, ROWS, ZEROS)


def check(values: Mapping[str, Any], *, settings: Settings, mappings: Sequence[EntityMapping]) -> None:
    """Raise UsageError where no list is set."""
    if not counting.has_list(settings):
        raise UsageError(
            f"{NAME} has no joins to check.",
            hint=f'Set joins or joins_from in ["{NAME}"] of syncer.toml: docs/operations.md shows both.',
        )


def lines(context: Context) -> Iterator[Line]:
    """Yield a line for each key of each fact of the site's list. Raises UsageError: it is not there, or empty."""
    joins = counting.listed(context.warehouse, context.settings)
    if not joins:
        raise UsageError(f"{NAME} has no joins to check: joins_from names a table without rows.")
    yield from checked(context, joins)


def checked(context: Context, joins: Sequence[Join]) -> Iterator[Line]:
    """Yield a line for each key of each fact of a list, which a host may have made; one line for a fact without."""
    found = counting.facts(context.warehouse, joins)
    for number, fact in enumerate(found, start=1):
        yield from _of_fact(context, fact)
        context.moved(number, len(found))


def _of_fact(context: Context, fact: Fact) -> Iterator[Line]:
    name = str(fact.place.name)
    of_table: dict[str, Any] = {DATE: context.now.astimezone().date().isoformat(), TABLE: name}
    counted = Counted(why_not=fact.place.why_not)
    if not counted.why_not:
        counted = counting.count(context.warehouse, fact.place, fact.keys)
    if counted.why_not:
        within = f".{name}." if fact.place.name.schema is None else ""  # it had one in a run before, perhaps
        unseen = Unseen(part=name, beginning=f"{name}.", within=within)
        text, told = f"{name}: {counted.why_not}", f"{name}: {fact.place.why_not or counting.UNREADABLE}"
        yield Line(key=name, text=text, values=of_table, told=told, unseen=unseen)
        return
    of_table[ROWS] = counted.rows
    if not fact.keys:
        yield Line(key=name, text=f"{name}: {counted.rows:,} rows, no keys", values=of_table, is_finding=False)
    for key, column in fact.keys.items():
        about, values = f"{name}.{key}", {**of_table, ATTRIBUTE: key}
        if column is None:
            text = f"{about}: {name} has no such column"
            unseen = Unseen(part=about, key=about)
            yield Line(key=f"{about} (no column)", text=text, values={**values, ROWS: None}, unseen=unseen)
        else:
            yield _of_key(context.values, about, {**values, ZEROS: counted.zeros[key], NULLS: counted.nulls[key]})


def _of_key(words: Mapping[str, Any], about: str, values: Mapping[str, Any]) -> Line:
    """Make the line of a key: a finding where rows have none, or more have 0 than the site lets pass."""
    rows, zeros, nulls = values[ROWS], values[ZEROS], values[NULLS]
    most = words["max_zero_share"]
    wrong = ["rows have NULL"] if nulls else []
    is_too_many = most != limits.OFF and rows > 0 and zeros / rows > most
    if is_too_many:
        wrong.append(f"more than {most:.0%} of the rows have 0")
    text = f"{about}: {zeros:,} of {rows:,} rows have 0" + (f", and {nulls:,} have NULL" if nulls else "")
    return Line(
        key=about,
        text=text + (f": more than max_zero_share = {most:.0%}" if is_too_many else ""),
        values=values,
        is_finding=bool(wrong),
        told=f"{about}: {', '.join(wrong)}",
    )
