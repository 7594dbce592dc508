"""
What a relation has that its target lacks: columns that would go out, and stand for no property. Also what the
warehouse calls them, for people.

Not here: which columns are pushed (`wanting.py`), making the properties or telling of them (`operations/`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from syncer import relation
from syncer.mapping import EntityMapping
from syncer.tables import Table
from syncer.target import Shape
from syncer.wanting import OWN, RECORD_IDS

HISTORY = "_history"  # how the column of a property's history ends: a pull's, and never pushed
_PART = re.compile(r'"([^"]+)"')


def named_for_pulls(mapping: EntityMapping, columns: Iterable[str], shape: Shape) -> list[str]:
    """
    Return columns that a pull has for itself, and that stand for no property: those that the mapping declares, such as
    `url`, and histories. They never go out.
    """
    declared = {field.column for field in mapping.fields}
    return [
        column
        for column in columns
        if column not in RECORD_IDS and shape.property_of(column) is None and _is_a_pulls(column, declared, shape)
    ]


def of(mapping: EntityMapping, columns: Iterable[str], shape: Shape) -> list[str]:
    """
    Return the columns of a relation that should go out and stand for no property, in their order.

    What the mapping names for something else is none of them: the record's id, its key, edges, the row's own time.
    """
    outbound = mapping.outbound
    assert outbound is not None
    declared = {field.column for field in mapping.fields}
    apart = {*RECORD_IDS, outbound.match_on, outbound.changed_at, *(edge.column for edge in outbound.edges)}
    return [
        column
        for column in columns
        if column not in apart
        and not column.startswith(OWN)
        and shape.property_of(column) is None
        and not _is_a_pulls(column, declared, shape)
    ]


def table_of(reference: str) -> Table | None:
    """Return the table or view that a relation is, without its columns; None for a query, or a name alone."""
    parts = _PART.findall(named) if (named := relation.read_from(reference)).startswith('"') else []
    return Table(schema=parts[-2], name=parts[-1], columns=()) if len(parts) > 1 else None


def is_query(reference: str) -> bool:
    """Tell whether a relation is a query, and has no name."""
    return not relation.read_from(reference).startswith('"')


def shown(reference: str) -> str:
    """Call a relation by its name, and a query `the relation`."""
    return "the relation" if is_query(reference) else reference.strip()


def _is_a_pulls(column: str, declared: Iterable[str], shape: Shape) -> bool:
    is_history = column.endswith(HISTORY) and shape.property_of(column.removesuffix(HISTORY)) is not None
    return is_history or column in declared
