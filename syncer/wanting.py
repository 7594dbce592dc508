"""
Which columns of a relation are pushed, under which properties, what finds a row, and why the other columns are left.

A column stands for the property that a pull would have named it after, else for the one of its own name; a target says
which (`Shape.property_of`). Not here: what differs (`relation.py`), what a value is in the target's words (`Shape`).
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from syncer import relation
from syncer.compare import CLEAR, NEWEST
from syncer.edgecolumns import how_unique
from syncer.errors import UsageError, WarehouseBusy, WarehouseError, WarehouseLost
from syncer.mapping import EntityMapping, Outbound
from syncer.relation import Wanted
from syncer.target import Shape
from syncer.values import Type
from syncer.warehouses import Warehouse

RECORD_IDS = ("hs_object_id", "id")  # columns that name a row's record, the first that is there
OWN = "dss_"
# Some values of a type; of true and false all that there are. What none of the others fits, for the very reason that
# nonsense does not fit, takes no value of that type.
PROBES: Mapping[Type, tuple[Any, ...]] = {
    Type.BOOLEAN: (True, False),
    Type.DATE: (dt.date(1970, 1, 1), dt.date(2026, 3, 2), dt.date(2099, 12, 31)),
    Type.TIMESTAMP: tuple(
        dt.datetime(year, 3, 2, hour, tzinfo=dt.UTC) for year in (1970, 2026, 2099) for hour in (0, 9)
    ),
}
NONSENSE: Mapping[str, str] = {"no": "value of any type but text"}


def check_words(name: str, outbound: Outbound) -> None:
    """Raise UsageError where a mapping's words contradict each other: nobody was asked anything yet."""
    if _waits_for_times(outbound) and not outbound.changed_at:
        raise UsageError(
            f'{name}: the policy "newest" needs changed_at: the column with the row\'s own time.',
            hint=f'Such as ["{name}"] changed_at = "updated_at" in syncer.toml.',
        )


def check_columns(name: str, outbound: Outbound, types: Mapping[str, Type]) -> None:
    """Raise UsageError where the relation lacks a column that finds its rows or tells their times."""
    if _waits_for_times(outbound) and outbound.changed_at not in types:
        raise UsageError(
            f"{name}: the relation has no column {outbound.changed_at}, which changed_at names.",
            hint=f"It has: {', '.join(types)}.",
        )


def choose(
    reference: str, types: Mapping[str, Type], shape: Shape, outbound: Outbound
) -> tuple[Wanted, dict[str, str]]:
    """
    Say what is read and compared of a relation, and of each column that is not pushed, why.

    Raises UsageError: no column finds records; two columns stand for one property; a column can never fit.
    """
    ids = [column for column in RECORD_IDS if column in types]
    key = _key(reference, types, shape, outbound, ids)
    links = sorted({edge.column for edge in outbound.edges if edge.column in types})
    apart = {*ids, outbound.changed_at, *links}
    pushed: dict[str, str] = {}
    left: dict[str, str] = {}
    for column in types:
        name = shape.property_of(column)
        if column == key and outbound.match_on:
            pushed[column] = outbound.match_on
        elif column.startswith(OWN):
            left[column] = "the warehouse's own"
        elif column in apart:
            continue
        elif name is None or shape.why_not(column):
            left[column] = shape.why_not(column)
        else:
            pushed[column] = name
    own_time = outbound.changed_at
    if own_time and own_time in types and own_time != key and shape.property_of(own_time):
        left[own_time] = "the row's own time, as changed_at says"
    _check_one_each(reference, pushed)
    _check_fit(reference, pushed, types, shape)
    columns = sorted(pushed)
    wanted = Wanted(
        reference=reference,
        columns=columns,
        properties=[pushed[column] for column in columns],
        key=key,
        id=ids[0] if ids and outbound.match_on else "",
        is_lower=outbound.match_on == "email",
        links=links,
        clears=[column for column in columns if _clears(outbound, pushed[column])],
        extra=[outbound.changed_at] if outbound.changed_at and _waits_for_times(outbound) else [],
        version=shape.version,
        types=types,
    )
    return wanted, left


def check_key(name: str, shape: Shape, outbound: Outbound) -> None:
    """Raise UsageError where `match_on` names no property that finds one record at most."""
    match_on = outbound.match_on
    if match_on is None:
        return
    found = shape.properties.get(match_on)
    if found is None or not found.is_unique:
        what = "has no property" if found is None else "holds no unique values in its property"
        raise UsageError(
            f"{name}: {shape.kind} {what} {match_on}, which match_on names.", hint=how_unique(shape, match_on)
        )


def check_fields(name: str, shape: Shape, outbound: Outbound) -> None:
    """Raise UsageError where a word is for a field that is neither a property nor an edge: it would hold for none."""
    known = {*shape.properties, *(edge.column for edge in outbound.edges)}
    for word, fields in (("policies", outbound.policies), ("blanks_by_field", outbound.blanks_by_field)):
        for field in sorted(set(fields) - known):
            near = difflib.get_close_matches(field, sorted(known), n=3, cutoff=0.6)
            hint = f"Did you mean {' or '.join(near)}?" if near else "A field is a property, or an edge column."
            raise UsageError(f"{name}: {word} names {field}, and {shape.kind} has no such field.", hint=hint)


def reference_of(mapping: EntityMapping) -> str:
    """Return what a mapping reads. Raises UsageError where nobody said."""
    assert mapping.outbound is not None
    if not mapping.outbound.relation:
        raise UsageError(
            f"{mapping.name} has no relation to push.",
            hint=f'Name a table or view in syncer.toml: ["{mapping.name}"] relation = "stage.…".',
        )
    return mapping.outbound.relation


def types_of(warehouse: Warehouse, name: str, reference: str) -> dict[str, Type]:
    """Return the columns of a relation. Raises UsageError where it cannot be read; what a lost warehouse raises."""
    try:
        with warehouse.transaction() as t:
            return relation.columns_of(t, reference)
    except (WarehouseBusy, WarehouseLost):
        raise
    except WarehouseError as error:  # it is explained behind the transaction, and not inside it
        raise UsageError(
            f"The relation {relation.shown(reference)} of {name} cannot be read. {error.message}",
            hint="Is its name right, and may this login read it?",
        ) from error


def _key(reference: str, types: Mapping[str, Type], shape: Shape, outbound: Outbound, ids: list[str]) -> str:
    match_on = outbound.match_on
    if match_on is None:
        found = ids[:1]
    else:
        found = [column for column in types if not column.startswith(OWN) and shape.property_of(column) == match_on]
        found = found or [column for column in types if column == match_on]
    if len(found) > 1:
        raise _two(reference, found, match_on or "")
    if not found:
        raise UsageError(
            f"{reference} has no column {match_on or RECORD_IDS[0]} to find records by.",
            hint=f"It has: {', '.join(types)}. Name the unique property in match_on.",
        )
    return found[0]


def _check_one_each(reference: str, pushed: Mapping[str, str]) -> None:
    by_property: dict[str, list[str]] = {}
    for column, name in pushed.items():
        by_property.setdefault(name, []).append(column)
    for name, columns in by_property.items():
        if len(columns) > 1:
            raise _two(reference, columns, name)


def _two(reference: str, columns: Iterable[str], name: str) -> UsageError:
    return UsageError(
        f"{reference}: the columns {' and '.join(sorted(columns))} both stand for the property {name}.",
        hint="Leave one of them out of the relation, or give it another name.",
    )


def _check_fit(reference: str, pushed: Mapping[str, str], types: Mapping[str, Type], shape: Shape) -> None:
    """
    Refuse a column none of whose values can ever fit: else every row of the relation would be a reject.

    Only of true or false, dates and times this is known beforehand; of all else each row is judged by itself.
    """
    for column, name in pushed.items():
        probes = PROBES.get(types[column], ())
        if not probes:
            continue
        typed = shape.typing([name])
        unfit = [typed([probe])[1] for probe in probes]
        reasons = {each.reason for some in (*unfit, typed([NONSENSE])[1]) for each in some}
        if all(unfit) and (len(reasons) == 1 or types[column] is Type.BOOLEAN):
            raise UsageError(
                f"{reference}: no value of column {column} ({types[column].value}) can stand in {name}. "
                f"{unfit[0][0].reason}",
                hint="Cast it in the relation, or leave it out.",
            )


def _waits_for_times(outbound: Outbound) -> bool:
    return NEWEST in (outbound.policy, *outbound.policies.values())


def _clears(outbound: Outbound, name: str) -> bool:
    return outbound.blanks_by_field.get(name, outbound.blanks) == CLEAR
