"""
Who loads the records: each file here has `IMPORTED`, the modules whose import is not the cost of the work, and `load`,
which loads them once.

A contender runs in a process of its own (`bench/child.py`), in its environment (`bench/measure.py` says which).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

# What DuckDB is told by floor and dlt, as syncer's warehouse tells it.
DUCKDB: dict[str, str | int | float | list[str]] = {
    "memory_limit": "96MB",
    "preserve_insertion_order": False,
    "checkpoint_threshold": "64MB",
}
GROUP_ROWS = 10_000  # rows a commit: syncer's, and the floor's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """
    What a contender does: read all pages of the API at `url` into the DuckDB file in `folder`.

    is_again: the same records were loaded there before.
    """

    url: str
    folder: Path
    is_again: bool

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.folder / "bench.duckdb"


class Contender(Protocol):
    """What a module of this folder is."""

    IMPORTED: tuple[str, ...]

    def load(self, job: Job) -> int:
        """Load; return how many rows were written."""
