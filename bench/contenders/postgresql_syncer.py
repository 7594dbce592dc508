"""syncer, whole, into PostgreSQL over ODBC: the mapping, source and verb of `syncer.py`, another warehouse."""

from __future__ import annotations

from bench.contenders import Job, syncer
from bench.postgresql import Address

IMPORTED = ("syncer.engine", "syncer.warehouses.postgresql", "pyodbc", "pyarrow.compute", "requests", "diskcache")
TABLE = "load.bench_records"


def load(job: Job) -> int:
    """Pull the mapping; return how many rows were inserted or updated."""
    address = {
        "SYNCER_BENCH_URL": job.url,
        "SYNCER_BENCH_TOKEN": "token",
        "SYNCER_WAREHOUSE": f"odbc:{Address.of(job.folder).odbc}",
    }
    return syncer.pull(job, "bench.records", address, is_full=job.is_again)
