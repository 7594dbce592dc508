"""
syncer, whole: `engine.pull` of a mapping and a source that stand in `bench/own`, with transport, budget, lease, places
and run record.

The second run is `--full`: without it syncer would read nothing, since it knows its place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bench.contenders import Job

IMPORTED = ("syncer.engine", "syncer.warehouses.duckdb", "duckdb", "pyarrow.compute", "requests", "diskcache")

OWN = Path(__file__).parent.parent / "own"


def load(job: Job) -> int:
    """Pull the mapping; return how many rows were inserted or updated."""
    address = {"SYNCER_BENCH_URL": job.url, "SYNCER_BENCH_TOKEN": "token"}
    return pull(job, "bench.records", address, is_full=job.is_again)


def pull(job: Job, mapping: str, address: Mapping[str, str], *, is_full: bool = False) -> int:
    """Pull a mapping from a source at *address*, environment variables; return how many rows were written."""
    from syncer import engine

    os.environ |= {
        "SYNCER_CONFIG": str(OWN / "syncer.toml"),
        "SYNCER_WAREHOUSE": f"duckdb:{job.database}",  # where *address* names none
        "SYNCER_CACHE": str(job.folder / "cache"),
        **address,
    }
    mode = engine.FULL if is_full else engine.INCREMENTAL
    [pulled] = engine.pull(mapping, request=engine.Request(mode=mode))
    if pulled.status != "done" or pulled.rejected:
        raise RuntimeError(str(pulled))
    return pulled.inserted + pulled.updated
