"""
The ids that the lists of a verb gave, kept so that its associations need not list them again.

A temporary SQLite database without a name: it is gone with the process. Only a list that was read from its beginning
to its end is used. Source: SQLite documentation, "In-Memory Databases", section "Temporary Databases".
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence


class Ids:
    """Ids by kind, in the order of the list; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole: set[str] = set()
        self._open: set[str] = set()
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA temp_store = FILE")
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE ids (kind TEXT, id TEXT)")

    def begin(self, kind: str, *, is_whole: bool) -> None:
        """A list begins; *is_whole*: at its beginning."""
        with self._lock:
            self._file.execute("DELETE FROM ids WHERE kind = ?", [kind])
            self._whole.discard(kind)
            self._open.discard(kind)
            if is_whole:
                self._open.add(kind)

    def add(self, kind: str, ids: Sequence[str]) -> None:
        """Keep the ids of a page."""
        with self._lock:
            if kind in self._open:
                self._file.executemany("INSERT INTO ids VALUES (?, ?)", [(kind, each) for each in ids])

    def end(self, kind: str) -> None:
        """The list was read to its end."""
        with self._lock:
            if kind in self._open:
                self._open.discard(kind)
                self._whole.add(kind)

    def has_all(self, kind: str) -> bool:
        """Tell whether the list of *kind* was read whole."""
        return kind in self._whole

    def batches(self, kind: str, size: int, *, after: str | None = None) -> Iterator[list[str]]:
        """
        Yield the ids of a kind, *size* at a time, from *after* on, that one included: it is where a list goes on, too.
        """
        row = 0
        if after is not None:
            with self._lock:
                found = self._file.execute("SELECT rowid FROM ids WHERE kind = ? AND id = ?", [kind, after]).fetchone()
            row = found[0] - 1 if found else 0
        while True:
            with self._lock:
                rows = self._file.execute(
                    "SELECT rowid, id FROM ids WHERE kind = ? AND rowid > ? ORDER BY rowid LIMIT ?", [kind, row, size]
                ).fetchall()
            if not rows:
                return
            row = rows[-1][0]
            yield [each for _, each in rows]

    def close(self) -> None:
        """Let go of the file, which ends it."""
        with self._lock:
            self._file.close()
