"""
Whether a contender's table holds what the API has: the number of rows, and a checksum of some columns of each kind.

Only columns that come to everybody in the same type are compared; NULL is written as nothing.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from typing import NamedTuple

from bench.measure import Broken
from bench.postgresql.server import Server
from bench.records import pages

TEXTS, NUMBERS = ("text_01", "text_20", "choice_01", "choice_06"), ("number_02", "number_08")
TIMES = ("updated", "time_08")


class Held(NamedTuple):
    """What a table holds, or should."""

    rows: int
    checksum: str


def check(server: Server, database: str, table: str, expected: Held) -> None:
    """Compare a table with what it should hold. Raises Broken."""
    values = [
        "id::text", *TEXTS, *(f"{name}::text" for name in NUMBERS),
        *(f"(EXTRACT(EPOCH FROM {name}) * 1000)::bigint::text" for name in TIMES),
    ]  # fmt: skip
    row = " || '|' || ".join(f"COALESCE({value}, '')" for value in values)
    found = server.ask(f"SELECT COUNT(*), md5(string_agg({row}, E'\\n' ORDER BY id)) FROM {table}", database)
    rows, _, checksum = found.partition("|")
    held = Held(int(rows), checksum)
    if held != expected:
        raise Broken(f"{table} is not what the API has: {held}, not {expected}")


@functools.lru_cache(maxsize=8)
def truth(records: int, *, is_changed: bool) -> Held:
    """Say what a table of so many records should hold."""
    lines = [
        "|".join(["" if value is None else str(value) for value in _values(record)])
        for page in pages(records, is_changed=is_changed)
        for record in json.loads(page)["records"]
    ]
    return Held(len(lines), hashlib.md5("\n".join(lines).encode()).hexdigest())


def _values(record: dict[str, object]) -> list[object]:
    return [record[name] for name in ("id", *TEXTS, *NUMBERS)] + [_milliseconds(record[name]) for name in TIMES]


def _milliseconds(time: object) -> int | None:
    return None if time is None else round(dt.datetime.fromisoformat(str(time)).timestamp() * 1000)
