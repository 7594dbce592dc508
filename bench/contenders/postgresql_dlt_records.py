"""
dlt on records into PostgreSQL: lists of dicts, page by page, merged by `upsert`, with the settings of `dlt_records`
and the file format that was found best for this destination.

What other formats cost stands in `docs/bench.md`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from bench.contenders import Job, dlt_records
from bench.postgresql import Address

IMPORTED = (
    "dlt", "dlt.destinations", "dlt.destinations.impl.postgres.postgres", "psycopg2", "pyarrow.parquet", "bench.fetch",
)  # fmt: skip
TABLE = "load.records"


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return run(job, lambda: dlt_records.pages(job.url), file_format="csv")


def run(job: Job, read: Callable[[], Iterator[Any]], *, file_format: str) -> int:
    """Merge what *read* yields by `upsert`; return how many rows were handed to the merge."""
    os.environ |= dlt_records.SETTINGS
    import dlt  # type: ignore[import-not-found]  # stands in the bench's own environment

    resource = dlt.resource(
        read, name="records", primary_key="id", columns=dlt_records.HINTS, max_table_nesting=0,
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )  # fmt: skip
    return merge(job, resource, file_format=file_format)


def merge(job: Job, resource: Any, *, file_format: str | None) -> int:
    """Run a pipeline of *resource*; None: files in the format that dlt chooses. Return how many rows it handed on."""
    import dlt

    destination = dlt.destinations.postgres(credentials=Address.of(job.folder).url)
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(job.folder / "pipelines"), destination=destination, dataset_name="load"
    )
    pipeline.run(resource, loader_file_format=file_format).raise_on_failed_jobs()
    normalized = pipeline.last_trace.last_normalize_info  # None: there was nothing
    return int(normalized.row_counts.get("records", 0)) if normalized else 0
