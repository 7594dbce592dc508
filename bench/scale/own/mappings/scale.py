"""Forty mappings of twelve columns, alike but for their names, and one that is made large by hand."""

from __future__ import annotations

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, DOUBLE, TIMESTAMP

NAMES = tuple(f"m{number:02}" for number in range(1, 41))
FIELDS = (
    Field("id", type=BIGINT),
    Field("updated", type=TIMESTAMP),
    Field("amount", type=DOUBLE),
    Field("owner_id", type=BIGINT),
    *(Field(f"text_{number}") for number in range(1, 9)),
)
MAPPINGS = tuple(
    EntityMapping(name=f"scale.{name}", key=("id",), fields=FIELDS, inbound=Inbound(stream=name))
    for name in (*NAMES, "large")
)
