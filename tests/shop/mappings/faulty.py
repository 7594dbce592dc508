"""Mappings of the faulty source."""

from __future__ import annotations

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT

MAPPINGS = tuple(
    EntityMapping(
        name=f"faulty.{stream}", key=("id",), fields=(Field("id", type=BIGINT),), inbound=Inbound(stream=stream)
    )
    for stream in ("values", "dates", "secrets")
)
