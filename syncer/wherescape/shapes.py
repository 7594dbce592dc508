"""
Which columns a load table has: those of before, or those of a mapping as `create_metadata` writes them.

Names that both know may mean different things (a time as the API wrote it, or in UTC), so that a table is the one or
the other as a whole. It is of before where it has all columns of before, or none that only the mapping has; it is the
mapping's where it has some that only that has. What the other side alone knows is filled by that side. Some mappings
have all names of before: there it is the mapping's where `create_metadata` wrote it so. A table that lacks columns of
before and has some of the mapping's is one that somebody changed: a host script then says which.

Not here: the columns of before (`legacy.py`), and how a table is filled (`landing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncer.errors import UsageError
from syncer.landing import OURS, Meaning
from syncer.loadtypes import FAMILIES, Family, LoadColumn
from syncer.mapping import EntityMapping
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from syncer.wherescape import legacy
from syncer.wherescape.legacycolumns import LegacyColumn, LegacyStream

BEFORE, MAPPING = "legacy", "mapping"  # as `pull(columns=…)` has them
NAMED = 5
_KINDS: dict[Family, Type] = {
    Family.TEXT: TEXT,
    Family.INTEGER: BIGINT,
    Family.NUMERIC: DECIMAL,
    Family.FLOAT: DOUBLE,
    Family.BOOLEAN: BOOLEAN,
    Family.DATE: DATE,
    Family.WALL: TIMESTAMP,
    Family.MOMENT: TIMESTAMP,
    Family.JSON: JSON,
}


def meanings(
    mapping: EntityMapping, columns: Sequence[LoadColumn], *, shape: str = "", written: str = ""
) -> tuple[dict[str, Meaning], str]:
    """
    Return what columns mean that are not just the mapping's fields, by name in small letters, and the text that
    `dss_record_source` has had in such a table; both empty where the table is the mapping's alone.

    shape: `legacy` or `mapping`, where the host script says it. written: the same, as its metadata was written last;
    it counts where the table has all columns of before, and others of the mapping.
    Raises: UsageError: *shape* is another word, or the mapping has no columns of before, or nobody can tell.
    """
    stream = legacy.stream_of(mapping.name)
    if shape not in ("", BEFORE, MAPPING):
        raise UsageError(f"columns is {shape!r}; choices: {BEFORE}, {MAPPING}.")
    if stream is None:
        if shape == BEFORE:
            raise UsageError(f"{mapping.name} has no load table of before.", hint='Leave columns="legacy" out.')
        return {}, ""
    own = {field.column for field in mapping.fields}
    names = [column.name.lower() for column in columns if column.name.lower() not in OURS]
    is_before = (shape or _shape_of(mapping, stream, names, own, written)) == BEFORE
    found: dict[str, Meaning] = {}
    for column in columns:
        name = column.name.lower()
        if name in OURS or (name in own and not (is_before and stream.column(name))):
            continue
        of_before = stream.column(name) or (stream.other(name) if is_before else None)
        if of_before is not None:
            found[name] = _meaning(of_before, column)
    return found, stream.record_source if is_before else ""


def shape_of_label(mapping: EntityMapping, label: str) -> str:
    """
    Return the shape of a table whose rows have had *label* as `dss_record_source`; "" where that tells nothing.

    What a table has been it stays, whatever columns it gets or loses.
    """
    stream = legacy.stream_of(mapping.name)
    if stream is None or not label:
        return ""
    return BEFORE if label == stream.record_source else MAPPING


def shape_of_source(mapping: EntityMapping, source_table: str) -> str:
    """Return the shape in which metadata was written, by the source table that it has; "" where that tells nothing."""
    stream = legacy.stream_of(mapping.name)
    if source_table == mapping.name:
        return MAPPING
    return BEFORE if stream is not None and source_table == stream.source_table else ""


def _shape_of(
    mapping: EntityMapping, stream: LegacyStream, names: Iterable[str], own: Iterable[str], written: str
) -> str:
    """Tell which shape a table has. Raises UsageError: it has some of both, and not all of either."""
    there, wanted = {stream.column(name) for name in names}, set(stream.columns)
    lacking = [column.name for column in stream.columns if column not in there]
    only_own = [name for name in names if name in own and stream.column(name) is None]
    if not only_own:
        return BEFORE if there & wanted else MAPPING
    if not lacking:
        return written or BEFORE
    only_before = [name for name in names if stream.column(name) is not None and name not in own]
    if not only_before:
        return MAPPING
    raise UsageError(
        f"The load table of {mapping.name} has columns of before ({_some(only_before)}) without {_some(lacking)}, and "
        f"columns of the mapping ({_some(only_own)}): nobody can tell what those mean that both have.",
        hint='Say in the host script which they are: pull(columns="legacy") or pull(columns="mapping").',
    )


def _meaning(column: LegacyColumn, there: LoadColumn) -> Meaning:
    if column.constant is not None:
        return Meaning(constant=column.constant)
    kind = column.kind if there.family is Family.NUMERIC else _KINDS.get(FAMILIES.get(there.type, Family.OTHER))
    return Meaning(field=column.field(kind))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
