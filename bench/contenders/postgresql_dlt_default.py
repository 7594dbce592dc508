"""
dlt into PostgreSQL as it comes: the records as the API has them, no hints, and no settings but that nothing is sent to
its makers; merged by key in the way that dlt chooses (delete and insert).
"""

from __future__ import annotations

import os

from bench.contenders import Job, postgresql_dlt_records

IMPORTED = ("dlt", "dlt.destinations", "dlt.destinations.impl.postgres.postgres", "psycopg2", "bench.fetch")
TABLE = postgresql_dlt_records.TABLE


def load(job: Job) -> int:
    """Run a pipeline; return how many rows were handed to the merge."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # type: ignore[import-not-found]  # stands in the bench's own environment

    from bench import fetch

    resource = dlt.resource(
        lambda: fetch.pages(job.url), name="records", primary_key="id", write_disposition="merge"
    )  # fmt: skip
    return postgresql_dlt_records.merge(job, resource, file_format=None)
