"""dlt into PostgreSQL, fed with Arrow tables that somebody made by hand, one a group of 10,000 rows."""

from __future__ import annotations

from bench.contenders import Job, dlt_arrow, postgresql_dlt_records

IMPORTED = (*postgresql_dlt_records.IMPORTED, "bench.arrow")
TABLE = postgresql_dlt_records.TABLE


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return postgresql_dlt_records.run(job, lambda: dlt_arrow.tables(job.url), file_format="parquet")
