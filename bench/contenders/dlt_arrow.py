"""
dlt fed with Arrow tables that somebody made by hand, one a group of 10,000 rows: its fastest way, and mostly no longer
its own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.contenders import GROUP_ROWS, Job, dlt_records

IMPORTED = (*dlt_records.IMPORTED, "bench.arrow")


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return dlt_records.run(job, lambda: _tables(job.url))


def _tables(url: str) -> Iterator[Any]:
    """Yield an Arrow table of each group of rows."""
    from bench import arrow, fetch

    records: list[dict[str, Any]] = []
    batches: list[Any] = []
    for page in fetch.pages(url):
        records += page
        if len(records) >= arrow.BATCH_ROWS:
            batches.append(arrow.columns(records))
            records = []
        if len(batches) * arrow.BATCH_ROWS >= GROUP_ROWS:
            yield arrow.table(batches)
            batches = []
    if records:
        batches.append(arrow.columns(records))
    if batches:
        yield arrow.table(batches)
