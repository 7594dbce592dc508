"""
An instance of DuckDB waits for the next file once its own was let go.

Making one takes 35 to 50 ms of CPU (functions, collations, threads: measured on DuckDB 2.0), attaching a file to one
that is there 3 ms, and a run lets go of its file whenever it waits.

Not here: DuckDB itself, which one file imports (`warehouses/duckdb.py`); what an instance is given for a file, and how
that is taken from it again.
"""

from __future__ import annotations

import atexit
import os
from typing import Generic, Protocol, TypeVar

import attrs


class Closed(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it."""


Instance = TypeVar("Instance", bound=Closed)


@attrs.define
class Spare(Generic[Instance]):
    """The one instance that waits, if any; each process has its own: a forked one lacks its parent's threads."""

    _waiting: dict[int, Instance] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Close it with the process, while DuckDB is there."""
        atexit.register(self.close)

    def take(self) -> Instance | None:
        """Take the one that waits."""
        return self._waiting.pop(os.getpid(), None)

    def keep(self, instance: Instance) -> None:
        """Let it wait, or close it where another does."""
        if self._waiting.setdefault(os.getpid(), instance) is not instance:
            instance.close()

    def close(self) -> None:
        """Close the one that waits."""
        instance = self.take()
        if instance is not None:
            instance.close()
