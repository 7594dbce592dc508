"""Mappings of the shop."""

from __future__ import annotations

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT


def _mapping(entity: str) -> EntityMapping:
    return EntityMapping(
        name=f"shop.{entity}",
        key=("id",),
        fields=(Field("id", type=BIGINT), Field("name"), Field("price", type=BIGINT)),
        inbound=Inbound(stream=entity),
    )


MAPPINGS = tuple(_mapping(entity) for entity in ("items", "orders"))
