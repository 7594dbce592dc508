"""
Records made into Arrow columns by hand, without checks: what the floor does instead of an engine, and what dlt is fed
with.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bench.contenders import GROUP_ROWS
from bench.records import COLUMNS, NUMBERS, TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Records = Sequence[dict[str, Any]]

BATCH_ROWS = 1_000  # records that become columns at once: measured best, 4.5 µs a row; a page at a time 7

_ARRIVING = [(column, pa.int64() if column in NUMBERS else pa.string()) for column in COLUMNS]
SCHEMA = pa.schema([(column, pa.timestamp("us", "UTC") if column in TIMES else kind) for column, kind in _ARRIVING])
_values = itemgetter(*COLUMNS)


def groups(pages: Iterable[Records], turned: Callable[[Records], Any]) -> Iterator[list[Any]]:
    """Yield groups of GROUP_ROWS rows, as the batches that *turned* makes of BATCH_ROWS records each."""
    records: list[dict[str, Any]] = []
    batches: list[Any] = []
    for page in pages:
        records += page
        if len(records) >= BATCH_ROWS:
            batches.append(turned(records))
            records = []
        if len(batches) * BATCH_ROWS >= GROUP_ROWS:
            yield batches
            batches = []
    if records:
        batches.append(turned(records))
    if batches:
        yield batches


def columns(records: Records) -> Any:
    """Turn *records* into an Arrow batch, times still as text."""
    found = zip(*map(_values, records), strict=True)
    arrays = [pa.array(values, kind) for values, (_, kind) in zip(found, _ARRIVING, strict=True)]
    return pa.record_batch(arrays, names=list(COLUMNS))


def table(batches: Sequence[Any]) -> Any:
    """Put batches together and give the times their type."""
    return pa.Table.from_batches(batches).cast(SCHEMA)
