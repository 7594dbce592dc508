"""Mappings of the tests' own source."""

from __future__ import annotations

from datetime import timedelta

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TIMESTAMP

THINGS = EntityMapping(
    name="scripted.things",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("name"),
        Field("city", path="address.city"),
        Field("size", type=BIGINT),
        Field("price", type=DECIMAL),
        Field("weight", type=DOUBLE),
        Field("is_sold", type=BOOLEAN),
        Field("made_on", type=DATE),
        Field("updated", type=TIMESTAMP),
        Field("tags", type=JSON),
    ),
    inbound=Inbound(stream="things"),
)
VERSIONED = EntityMapping(
    name="scripted.versioned",
    key=("id",),
    fields=(Field("id", type=BIGINT), Field("name"), Field("updated", type=TIMESTAMP)),
    inbound=Inbound(stream="versioned", version="updated"),
)
NOTES = EntityMapping(
    name="scripted.notes",
    key=("thing_id", "name"),
    fields=(Field("thing_id", type=BIGINT), Field("name"), Field("text")),
    inbound=Inbound(stream="notes", slice_by=("thing_id",)),
)
CAREFUL = EntityMapping(
    name="scripted.careful",
    key=("id",),
    fields=(Field("id", type=BIGINT), Field("name")),
    inbound=Inbound(stream="careful", misses=2, misses_apart=timedelta(days=1)),
)
DISCOVERING = EntityMapping(
    name="scripted.discovering",
    key=("id",),
    fields=(Field("id", type=BIGINT),),
    inbound=Inbound(stream="discovering", discovers=True),
)
MAPPINGS = (THINGS, VERSIONED, NOTES, CAREFUL, DISCOVERING)
