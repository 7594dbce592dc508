"""The bench's records as a mapping: every property a typed column."""

from __future__ import annotations

from bench.records import COLUMNS, NUMBERS, TIMES
from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, TEXT, TIMESTAMP


def _field(column: str) -> Field:
    return Field(column, type=BIGINT if column in NUMBERS else TIMESTAMP if column in TIMES else TEXT)


MAPPINGS = (
    EntityMapping(
        name="bench.records",
        key=("id",),
        fields=tuple(_field(column) for column in COLUMNS),
        inbound=Inbound(stream="records"),
    ),
)
