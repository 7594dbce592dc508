"""
How much memory DuckDB gets: the usual limit, the larger ones, and what a row of a join needs.

Not here: when another one is taken (`warehouses/duckdb.py`).
"""

from __future__ import annotations

import os

MEMORY_LIMIT = "96MB"
LARGER = ("256MB", "1GB", "4GB")  # taken where nobody set another limit and a group does not fit
A_ROW = 500  # bytes that a join needs for a row of a snapshot (measured: a million with 384 MB spill, with 500 not)


def megabytes(limit: str) -> int:
    """Read a limit as it is written here: 96MB, 1GB."""
    return int(limit[:-2]) * (1_000 if limit.endswith("GB") else 1)


def most_mb() -> int:
    """Return what may be taken at most: of the machine's memory, where it tells, a quarter."""
    told = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 16_000_000_000
    return min(told // 4_000_000, 4_000)
