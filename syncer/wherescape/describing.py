"""
`wherescape.create_metadata`: the columns of a load table, written into RED's repository, out of the mapping.

A table that RED already knows with the columns of before keeps those; any other gets the mapping's, with the fields
that the source itself defines. What was written last is kept in the warehouse, so that a person's changes are told
from ours.

Not here: what is written, and what stays (`metadata.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from syncer import engine, sources, warehouses
from syncer.clock import SystemClock
from syncer.errors import UsageError
from syncer.loadtypes import LoadColumn
from syncer.mapping import EntityMapping, Field
from syncer.settings import Settings
from syncer.wherescape import legacy, metadata, shapes, written
from syncer.wherescape.binding import hosted
from syncer.wherescape.legacycolumns import LegacyStream
from syncer.wherescape.metadata import POSTGRESQL, SQL_SERVER, Created, MetadataColumn
from syncer.wherescape.repository import Kind, Repository
from syncer.wherescape.sitting import Meant, Sitting, meant_by, sitting

TARGETS = {"postgres": POSTGRESQL, "duckdb": POSTGRESQL, "tsql": SQL_SERVER}  # by sqlglot's name of the warehouse


@hosted
def create_metadata(
    name: str = "", *, environment: str = "", columns: str = "", delete_vanished: bool = False
) -> Created:
    """
    Write the columns of this host script's load table into RED's repository; RED makes the table itself, afterwards.

    name, environment: the mapping and its account; left out, they are deduced from the load table's name.
    columns: `legacy` (those that tables had before) or `mapping`; left out, what RED's metadata has already, else the
    mapping's. delete_vanished: delete columns that an earlier run wrote, and that are none of the mapping's any more.

    Raises: UsageError: nothing was written; what the source, the repository and the warehouse raise.
    """
    with sitting() as here:
        here.red.require("target_dsn", "meta_dsn", "load_table")
        found = meant_by(here, name, environment)
        repository = Repository(here.connections.meta, here.red.meta_schema)
        stream = _stream_of_before(found.mapping, repository, here, columns)
        warehouse = warehouses.find(found.settings, clock=SystemClock())
        try:
            target = TARGETS.get(warehouse.dialect, POSTGRESQL)
            wanted = _of_before(stream, target) if stream else _of_mapping(found, target)
            with warehouse.transaction() as t:
                before = written.last(t, here.red.load_table)
            made = metadata.create_metadata(
                wanted,
                here.red.load_table,
                repository=repository,
                before=before,
                deletes_vanished=delete_vanished,
            )
            with warehouse.transaction() as t:
                written.keep(t, here.red.load_table, wanted, vanished=made.vanished)
        finally:
            warehouse.close()
        here.ended(0, str(made), details=_details(made))
        return made


def _stream_of_before(
    mapping: EntityMapping, repository: Repository, here: Sitting, shape: str
) -> LegacyStream | None:
    """Return the table of before that is meant: as the script says, else as RED's metadata has it by now."""
    stream = legacy.stream_of(mapping.name)
    if shape or stream is None:
        shapes.meanings(mapping, (), shape=shape or shapes.MAPPING)  # the words are checked there
        return stream if shape == shapes.BEFORE else None
    table = repository.find(here.red.load_table, kinds=[Kind.LOAD])
    try:
        there = repository.columns(table)
    except UsageError:  # none yet
        return None
    known = [LoadColumn(name=column.name, type="text") for column in there]
    return stream if shapes.meanings(mapping, known)[1] else None


def _of_before(stream: LegacyStream, target: str) -> tuple[MetadataColumn, ...]:
    """Return the columns of before, under their plain names."""
    fields = tuple(
        MetadataColumn(
            name=column.name,
            display_name=column.display,
            type_text=column.type,
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
    words = ("added", "changed", "kept", "vanished", "deleted", "others")
    return tuple(f"{word}: {', '.join(names)}" for word in words if (names := getattr(made, word)))
