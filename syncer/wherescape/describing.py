"""
`wherescape.create_metadata`: the columns of a load table, written into RED's repository, out of the mapping.

Pulls fill a table as of before, or as the mapping's (`shapes.py`), and its columns are described as they are filled:
a table of before keeps those, under the names that RED has, and gets further ones of the mapping where that is asked
for; any other gets the mapping's, with the fields that the source itself defines. What was written last is kept in the
warehouse, so that a person's changes are told from ours, and one mapping's columns from another's.

Not here: what is written, and what stays (`metadata.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from syncer import engine, landings, mappings, sources, warehouses
from syncer.clock import SystemClock
from syncer.errors import UsageError
from syncer.landing import OURS
from syncer.loadtypes import LoadColumn
from syncer.mapping import EntityMapping, Field
from syncer.marks import Owner
from syncer.settings import Settings
from syncer.warehouses import Transaction
from syncer.wherescape import legacy, metadata, shapes, written
from syncer.wherescape.binding import hosted
from syncer.wherescape.inward import schema_of
from syncer.wherescape.legacycolumns import LegacyStream
from syncer.wherescape.metadata import POSTGRESQL, SQL_SERVER, TYPES, Created, MetadataColumn
from syncer.wherescape.repository import Kind, Repository
from syncer.wherescape.sitting import Meant, Sitting, meant_by, sitting

TARGETS = {"postgres": POSTGRESQL, "duckdb": POSTGRESQL, "tsql": SQL_SERVER}  # by sqlglot's name of the warehouse


@attrs.frozen(kw_only=True)
class Known:
    """
    What is known of a load table before it is described.

    red: the names of its columns in RED. table: its columns in the warehouse; none where there is no such table.
    label: what `dss_record_source` was when the mapping filled it last; "" where it never did. last: what was written
    for the mapping last. others: names of columns that other mappings wrote or fill, in small letters.
    """

    red: tuple[str, ...] = ()
    table: tuple[LoadColumn, ...] = ()
    label: str = ""
    last: tuple[MetadataColumn, ...] = ()
    others: frozenset[str] = frozenset()


@hosted
def create_metadata(
    name: str = "", *, environment: str = "", columns: str = "", delete_vanished: bool = False
) -> Created:
    """
    Write the columns of this host script's load table into RED's repository; RED makes the table itself, afterwards.

    name, environment: the mapping and its account; left out, they are deduced from the load table's name.
    columns: `legacy` (those that tables had before) or `mapping`; left out, as pulls fill the table, else what RED's
    metadata has already, else the mapping's. To a table that pulls fill as of before, `mapping` adds what it lacks.
    delete_vanished: delete columns that an earlier run wrote, and that no mapping of this table has any more.

    Raises: UsageError: nothing was written; what the source, the repository and the warehouse raise.
    """
    with sitting() as here:
        here.red.require("target_dsn", "meta_dsn", "load_table")
        found = meant_by(here, name, environment)
        owner = Owner(mapping=found.mapping.name, environment=found.environment, run="")
        repository = Repository(here.connections.meta, here.red.meta_schema)
        red = _columns_in_red(repository, here.red.load_table)
        warehouse = warehouses.find(found.settings, clock=SystemClock())
        try:
            with warehouse.transaction() as t:
                known = _known(t, here, found, owner, red)
            shape = _shape(found.mapping, columns, known)
            target = TARGETS.get(warehouse.dialect, POSTGRESQL)
            wanted, further = _wanted(found, target, known, shape=shape, adds=columns == shapes.MAPPING)
            made = metadata.create_metadata(
                wanted,
                here.red.load_table,
                repository=repository,
                before=known.last,
                others=known.others,
                deletes_vanished=delete_vanished,
            )
            with warehouse.transaction() as t:
                written.keep(t, here.red.load_table, owner, wanted, vanished=made.vanished)
        finally:
            warehouse.close()
        made = attrs.evolve(made, further=() if columns else further)
        is_mixed = shape == shapes.BEFORE and columns == shapes.MAPPING
        note = "; its columns of before stay so, as pulls fill them" if is_mixed else ""
        here.ended(0, f"{made}{note}", details=_details(made))
        return made


def _columns_in_red(repository: Repository, load_table: str) -> tuple[str, ...]:
    """Return the names that RED has for a load table's columns, if any. Raises UsageError: no such table."""
    table = repository.find(load_table, kinds=[Kind.LOAD])
    try:
        return tuple(column.name for column in repository.columns(table))
    except UsageError:  # none yet
        return ()


def _known(t: Transaction, here: Sitting, found: Meant, owner: Owner, red: tuple[str, ...]) -> Known:
    """Gather what is known of the load table in RED and in the warehouse."""
    table = landings.look_up(t, schema_of(here.red), here.red.load_table)
    told = f"{table.schema}.{table.name}"
    last = written.last(t, here.red.load_table, owner)
    others = {column.name.lower() for column in last.others}
    filled = landings.filled_by_others(t, owner, told)
    site = found.settings
    every = mappings.known(folders=site.folders, objects=site.objects(is_every=True)) if filled else {}
    for mapping, columns in filled:
        stream = legacy.stream_of(mapping)
        fields = every[mapping].fields if mapping in every else ()
        others |= {*(name.lower() for name in columns), *(field.column.lower() for field in fields)}
        others |= {name.lower() for name in red if stream is not None and stream.column(name) is not None}
    return Known(
        red=red,
        table=table.columns,
        label=landings.label_of(t, owner, told),
        last=last.own,
        others=frozenset(others),
    )


def _shape(mapping: EntityMapping, asked: str, known: Known) -> str:
    """
    Return the shape that a load table is described in: as pulls fill it, else as asked for, else as RED has it by now.

    Raises: UsageError: *asked* is no shape of it, or is that of before, and pulls fill it as the mapping's.
    """
    shapes.meanings(mapping, (), shape=asked or shapes.MAPPING)  # the words are checked there
    red = [LoadColumn(name=name, type="text") for name in known.red]
    filled = shapes.shape_of_label(mapping, known.label) or _shape_of(mapping, known.table, asked, known.last)
    if filled == shapes.MAPPING and asked == shapes.BEFORE:
        raise UsageError(
            f"Pulls fill this load table with the columns of {mapping.name}: those of before would mean other things.",
            hint='Leave columns="legacy" out; or have it filled as of before: pull(columns="legacy"), and then this.',
        )
    return filled or asked or _shape_of(mapping, red, asked, known.last) or shapes.MAPPING


def _shape_of(
    mapping: EntityMapping, columns: Sequence[LoadColumn], asked: str, last: Sequence[MetadataColumn]
) -> str:
    """Return the shape that columns tell, with what was written last; "" where there are none."""
    if not columns:
        return ""
    wrote = shapes.shape_of_source(mapping, last[0].source_table if last else "")
    try:
        return shapes.BEFORE if shapes.meanings(mapping, columns, written=wrote)[1] else shapes.MAPPING
    except UsageError:
        if not asked:
            raise
        return asked


def _wanted(
    found: Meant, target: str, known: Known, *, shape: str, adds: bool
) -> tuple[tuple[MetadataColumn, ...], tuple[str, ...]]:
    """
    Return the columns that a load table is to have, and the names of those that only the mapping has and a table of
    before is without: what tells of records that ended is none, since RED's own steps must know of it.

    adds: they are wanted, too. Those that RED has by now are wanted in any case.
    """
    own, stream = _of_mapping(found, target), legacy.stream_of(found.mapping.name)
    if stream is None or shape == shapes.MAPPING:
        return own, ()
    before = of_before(stream, target, known.red)
    names, taken = {name.lower() for name in known.red}, {column.name for column in before}
    read = {".".join(field.steps) for column in stream.columns if (field := column.field()) is not None}
    beside = [column for column in own if stream.column(column.name) is None and column.name not in taken]
    further = tuple(
        column.name
        for column in beside
        if column.name not in names and column.name not in OURS and column.source_column not in read
    )
    return (*before, *(each for each in beside if each.name in names or (adds and each.name in further))), further


def of_before(stream: LegacyStream, target: str, red: Sequence[str] = ()) -> tuple[MetadataColumn, ...]:
    """
    Return the columns of before: under the name that RED has for what they are, else under their plain one.

    red: the names that RED has. Of two that mean the same column the longer one has its place behind it: the plain
    one was added beside it, and is not wanted.
    """
    named: dict[str, str] = {}
    for name in red:
        if (column := stream.column(name)) is not None:
            named[column.name] = max(named.get(column.name, ""), name, key=len)
    fields = tuple(
        MetadataColumn(
            name=named.get(column.name, column.name),
            display_name=column.display,
            type_text=column.type if target == POSTGRESQL else TYPES[target][column.kind],
            source_table=stream.source_table,
            source_column=column.source,
        )
        for column in stream.columns
    )
    return (*fields, *metadata.own_columns(target, has_states=False))


def _of_mapping(found: Meant, target: str) -> tuple[MetadataColumn, ...]:
    """Return the mapping's columns, with those that the source defines."""
    mapping = found.mapping
    if mapping.inbound is None:
        raise UsageError(f"{mapping.name} only goes out: it has no load table.")
    if mapping.inbound.discovers:
        mapping = mapping.with_fields(described(mapping, found.settings))
    return metadata.columns_of(mapping, target=target)


def described(mapping: EntityMapping, settings: Settings) -> Sequence[Field]:
    """Ask the source which fields it defines beside the declared ones."""
    assert mapping.inbound is not None
    stream = mapping.inbound.stream
    doors = engine.doors_of(settings, SystemClock())
    source = sources.connect(settings.account(mapping.source), doors=doors, streams=[stream], folders=settings.folders)
    try:
        source.check()
        return source.describe(stream)
    finally:
        source.close()


def _details(made: Created) -> tuple[str, ...]:
    """Name all columns of what was done, a line each; the message names a few."""
    words = ("added", "changed", "kept", "vanished", "deleted", "others", "further")
    return tuple(f"{word}: {', '.join(names)}" for word in words if (names := getattr(made, word)))
