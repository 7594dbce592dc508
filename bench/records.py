"""
The records that everybody loads: 42 properties each, about 1.2 KB of JSON, the same for the same number of records on
every machine.

20 texts, 8 whole numbers (the `id` among them), 8 times (`updated` among them) and 6 enumerations; a quarter of all
but those two is null. Only the standard library is imported, so that every environment can read this.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

PAGE_RECORDS = 100
CHANGED_EVERY = 100
TEXTS = tuple(f"text_{number:02}" for number in range(1, 21))
NUMBERS = ("id", *(f"number_{number:02}" for number in range(2, 9)))
TIMES = ("updated", *(f"time_{number:02}" for number in range(2, 9)))
CHOICES = tuple(f"choice_{number:02}" for number in range(1, 7))
COLUMNS = (NUMBERS[0], TIMES[0], *TEXTS, *NUMBERS[1:], *TIMES[1:], *CHOICES)

_NULL_SHARE = 0.25
_POOL = 8192  # different texts, numbers and times that a property may have
_OPTIONS = ("open", "in progress", "on hold", "closed", "won", "lost", "unknown")
_WORDS = (
    "amber", "bridge", "candle", "delta", "engine", "forest", "garden", "harbour", "island", "journey", "kettle",
    "lantern", "meadow", "number", "orchard", "pepper", "quarry", "river", "summit", "timber", "under", "valley",
    "window", "yellow", "café", "straße", "naïve", "señor",
)  # fmt: skip


def pages(records: int, *, is_changed: bool = False) -> Iterator[bytes]:
    """
    Yield the pages as JSON texts: `records`, and `next`, the id to go on after, null at the end.

    is_changed: the same records, but that one in CHANGED_EVERY has another text.
    """
    chance = random.Random(records)
    pools = _pools(chance)
    template = "{" + ",".join(f'"{column}":%s' for column in COLUMNS) + "}"
    for first in range(1, records + 1, PAGE_RECORDS):
        last = min(first + PAGE_RECORDS - 1, records)
        texts = []
        for number in range(first, last + 1):
            picked = (chance.getrandbits(26) for _ in pools)
            values = [pool[bits % len(pool)] for pool, bits in zip(pools, picked, strict=True)]
            if is_changed and number % CHANGED_EVERY == 0:
                values[0] = '"another text"'
            texts.append(template % (number, _time(number), *values))
        yield f'{{"records":[{",".join(texts)}],"next":{last if last < records else "null"}}}'.encode()


def _pools(chance: random.Random) -> list[list[str]]:
    """Make the values that each property may have, written as JSON, a quarter of them null."""
    texts = [f'"{_text(chance)}"' for _ in range(_POOL)]
    numbers = [str(chance.randrange(10**9)) for _ in range(_POOL)]
    times = [_time(chance.randrange(10**8)) for _ in range(_POOL)]
    options = [f'"{option}"' for option in _OPTIONS]
    kinds = [texts] * len(TEXTS) + [numbers] * (len(NUMBERS) - 1) + [times] * (len(TIMES) - 1)
    kinds += [options] * len(CHOICES)
    return [_with_nulls(kind) for kind in kinds]


def _with_nulls(values: list[str]) -> list[str]:
    nulls = round(len(values) * _NULL_SHARE / (1 - _NULL_SHARE))
    return values + ["null"] * nulls


def _text(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randint(1, 6)))


def _time(number: int) -> str:
    """Write an instant that lies *number* times 7.001 seconds after the beginning of 2000, days of 28 to a month."""
    millis = number * 7001
    seconds, millis = divmod(millis, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    months, day = divmod(days, 28)
    year, month = divmod(months, 12)
    return f'"{2000 + year:04}-{month + 1:02}-{day + 1:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"'
