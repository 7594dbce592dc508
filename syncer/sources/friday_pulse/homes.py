"""
Which flow date a note is of, by its key: in a file without a name, which ends with the process.

A note's key does not tell its date, and only a whole date can be asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from syncer.sources import Key, Record
from syncer.sources.friday_pulse.listing import whole_number
from syncer.sources.friday_pulse.records import Slice

COMPANY = 0  # stands for the company where a group's id would


class Homes:
    """The homes of notes; complete once all dates were walked."""

    def __init__(self) -> None:
        self.is_complete = False
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE homes (team INTEGER, id INTEGER, day TEXT, PRIMARY KEY (team, id))")

    def add(self, part: Slice, records: Sequence[Record]) -> None:
        """Note the records of a slice."""
        team = COMPANY if part.group is None else part.group
        ids = [number for record in records if (number := whole_number(record.get("id"))) is not None]
        self._file.execute("BEGIN")
        self._file.executemany(
            "INSERT OR REPLACE INTO homes VALUES (?, ?, ?)", [(team, number, part.date) for number in ids]
        )
        self._file.execute("COMMIT")

    def of(self, key: Key) -> Slice | None:
        """Return the slice that a note is in; None where no walk has met it."""
        team, number = (COMPANY, key[0]) if len(key) == 1 else (key[0], key[1])
        row = self._file.execute("SELECT day FROM homes WHERE team = ? AND id = ?", [team, number]).fetchone()
        return None if row is None else Slice(date=row[0], group=team if len(key) > 1 else None)

    def close(self) -> None:
        """End the file."""
        self._file.close()
