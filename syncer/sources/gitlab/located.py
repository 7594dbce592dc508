"""
Where records are found: the project and iid of each id that a walk has met, in a temporary file.

The API finds an issue by project and iid, not by its id. So a census keeps what its walk met; a key that it did not
meet is looked for in a second walk, and what neither met is not there.

Source: GitLab REST API docs, "Issues" (`GET /issues/:id` is for administrators only).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen
class Location:
    """Where one record is."""

    id: int
    project_id: int
    iid: int


class Located:
    """Locations by id; the file is gone with the process."""

    def __init__(self) -> None:
        self.is_confirmed = False  # a second walk was made
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE locations (id INTEGER PRIMARY KEY, project_id INTEGER, iid INTEGER)")

    def put(self, found: Iterable[Location]) -> None:
        """Keep locations; the last one of an id counts."""
        rows = [attrs.astuple(location) for location in found]
        self._file.executemany("INSERT OR REPLACE INTO locations VALUES (?, ?, ?)", rows)

    def find(self, ids: Sequence[int]) -> list[Location]:
        """Return the locations of those *ids* that were met, by project."""
        marks = ", ".join("?" for _ in ids)
        query = f"SELECT id, project_id, iid FROM locations WHERE id IN ({marks}) ORDER BY project_id, iid"
        return [Location(*row) for row in self._file.execute(query, list(ids))]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
