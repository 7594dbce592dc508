"""
dlt on records as it takes them: lists of dicts, page by page, merged by `upsert`, with the best settings that we
found.

What each setting brings, and what brought nothing, stands in `docs/bench.md`.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from typing import Any

from bench.contenders import DUCKDB, Job
from bench.records import COLUMNS, NUMBERS, TIMES

IMPORTED = ("dlt", "dlt.destinations", "dlt.destinations.impl.duckdb.duck", "duckdb", "pyarrow.parquet", "bench.fetch")

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "2000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": "1",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "SCHEMA__NAMING": "direct",
}
_TYPES = {column: "bigint" if column in NUMBERS else "timestamp" if column in TIMES else "text" for column in COLUMNS}
HINTS: dict[str, Any] = {column: {"data_type": kind, "nullable": column != "id"} for column, kind in _TYPES.items()}


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return run(job, lambda: pages(job.url))


def run(job: Job, read: Callable[[], Iterator[Any]]) -> int:
    """Merge what *read* yields by `upsert`; return how many rows were handed to the merge."""

    def resource() -> Any:
        import dlt  # type: ignore[import-not-found]  # stands in the bench's own environment

        return dlt.resource(
            read, name="records", primary_key="id", columns=HINTS, max_table_nesting=0,
            write_disposition={"disposition": "merge", "strategy": "upsert"},
        )  # fmt: skip

    return merge(job, resource, table="records")


def merge(job: Job, made: Callable[[], Any], *, table: str) -> int:
    """
    Run the source or resource that *made* makes, with the settings above; return how many rows were handed to the
    merge.

    Each of them is written: dlt's merge sets every row that it matches.
    """
    os.environ |= SETTINGS
    import dlt
    import duckdb

    connection = duckdb.connect(str(job.database), config=DUCKDB)
    destination = dlt.destinations.duckdb(connection)
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(job.folder / "pipelines"), destination=destination, dataset_name="load"
    )
    pipeline.run(made(), loader_file_format="parquet").raise_on_failed_jobs()
    connection.close()
    normalized = pipeline.last_trace.last_normalize_info  # None: there was nothing
    return int(normalized.row_counts.get(table, 0)) if normalized else 0


def pages(url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages, times read already: the standard library reads them faster than dlt does."""
    from bench import fetch

    read_time = dt.datetime.fromisoformat
    for page in fetch.pages(url):
        for record in page:
            for column in TIMES:
                if record[column] is not None:
                    record[column] = read_time(record[column])
        yield page
