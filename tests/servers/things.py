"""Rows that a T-SQL server would take for one another, and a table for them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from syncer import sql
from syncer.tables import Column, Table
from syncer.values import BIGINT, JSON, TEXT, TIMESTAMP
from syncer.warehouses import Warehouse

TEXTS = ["a", "A", "a ", " a", "", " ", "😀", "😀 ", "é", "a[b]%_", "x/y", "x/y/z", None]
THINGS = Table(
    schema="load",
    name="things",
    columns=(
        Column("id", BIGINT),
        Column("k", TEXT),
        Column("v", TEXT),
        Column("moment", TIMESTAMP),
        Column("j", JSON),
    ),
    key=("id",),
)
NOON = dt.datetime(2026, 1, 31, 12, 0, 0, 123456, dt.UTC)


def things(texts: list[Any], *, shift: int = 0) -> pa.Table:
    """Rows with every text, and with others in some columns."""
    count = len(texts)
    moments = [None if n % 3 == 2 else NOON + dt.timedelta(microseconds=n * shift) for n in range(count)]
    return pa.table({
        "id": pa.array(range(count), pa.int64()),
        "k": pa.array(texts, pa.string()),
        "v": pa.array(texts[shift:] + texts[:shift], pa.string()),
        "moment": pa.array(moments, pa.timestamp("us", "UTC")),
        "j": pa.array(['"a"', '"a "', None] * count, pa.string())[:count],
    })  # fmt: skip


def prepared(warehouse: Warehouse) -> None:
    with warehouse.transaction() as t:
        t.create(THINGS)
        t.stage("s", things(TEXTS), THINGS.types())
        t.run(sql.insert_new(THINGS, "s", list(THINGS.types())))
