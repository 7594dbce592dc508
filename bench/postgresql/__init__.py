"""
The bench of PostgreSQL, `python -m bench postgresql`: the made-up API's records into a server over ODBC, and what
client and server together used for it.

    server.py      a server of the bench's own, and what the kernel and the server say of its work
    turns.py       who is measured, and the runs of one turn
    table.py       what is printed

The contenders stand with the others, in `bench/contenders`. Not here: how the client is measured (`bench/measure.py`).
Only the standard library is imported here, so that every environment can read this.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, Protocol

RUNS = ("first", "again", "changed")
_FILE = "postgresql.json"


class Address(NamedTuple):
    """Where a contender's database is; its user is `postgres`, on the loopback."""

    port: int
    database: str

    def keep(self, folder: Path) -> None:
        """Write it into a contender's folder."""
        (folder / _FILE).write_text(json.dumps(self._asdict()))

    @classmethod
    def of(cls, folder: Path) -> Address:
        """Read it from there."""
        return cls(**json.loads((folder / _FILE).read_text()))

    @property
    def odbc(self) -> str:
        """The connection string for ODBC."""
        return (
            f"Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={self.port};Database={self.database};UID=postgres;"
        )

    @property
    def url(self) -> str:
        """The address as libpq reads it; dlt wants a password, which the server does not ask for."""
        return f"postgresql://postgres:unused@127.0.0.1:{self.port}/{self.database}?sslmode=disable"


class Contender(Protocol):
    """What a contender's module has beside `IMPORTED` and `load`: the table that it loads, with its schema."""

    TABLE: str
