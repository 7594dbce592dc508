"""
dlt fed with Arrow tables that somebody made by hand, one a group of 10,000 rows: its fastest way, and mostly no longer
its own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.contenders import Job, dlt_records

IMPORTED = (*dlt_records.IMPORTED, "bench.arrow")


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return dlt_records.run(job, lambda: tables(job.url))


def tables(url: str) -> Iterator[Any]:
    """Yield an Arrow table of each group of rows."""
    from bench import arrow, fetch

    for batches in arrow.groups(fetch.pages(url), arrow.columns):
        yield arrow.table(batches)
