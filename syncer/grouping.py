"""
Which records share a value: found in one walk over all of them, in memory that does not grow with their number.

What is remembered is a digest of each value and the record's id, and which record stands for one that is to go, in a
database that SQLite keeps in a file without a name: only this process can open it, and it is gone with the process.
Whether two values are the same is asked again when their records are read. Not here: what is done about them
(`operations/`).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType

import attrs


@attrs.frozen
class Group:
    """Records that share a value: how many there are, and their ids, the first of them where there are too many."""

    size: int
    ids: tuple[str, ...]


class Groups:
    """Values and the records that have them."""

    def __init__(self) -> None:
        # Autocommit without a journal: nothing here outlives the process, so nothing needs to be undone.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA temp_store = FILE")
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE met (value BLOB, id TEXT, PRIMARY KEY (value, id)) WITHOUT ROWID")
        self._file.execute("CREATE TABLE gone (id TEXT PRIMARY KEY, survivor TEXT) WITHOUT ROWID")

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Remember values and the ids of their records; one that was met before counts once."""
        rows = [
            (hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).digest(), id)
            for value, id in pairs
        ]
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR IGNORE INTO met VALUES (?, ?)", rows)
        self._file.execute("COMMIT")

    def found(self, *, most: int) -> Iterator[Group]:
        """Yield the groups of two records and more, in the order of their smallest id; of larger ones *most* ids."""
        query = (
            "SELECT value, COUNT(*) FROM met GROUP BY value HAVING COUNT(*) > 1 "
            "ORDER BY MIN(PRINTF('%64s', id)), value"
        )
        for value, size in self._file.execute(query):
            own = "SELECT id FROM met WHERE value = ? ORDER BY LENGTH(id), id LIMIT ?"
            yield Group(int(size), tuple(id for (id,) in self._file.execute(own, (value, most))))

    def decided(self, survivor: str, gone: Iterable[str]) -> None:
        """Remember which record stands for others that are to go."""
        self._file.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", [(id, survivor) for id in gone])

    def stands_for(self, ids: Iterable[str]) -> dict[str, str]:
        """Return which record stands for each of these, as far as that was decided."""
        query = "SELECT survivor FROM gone WHERE id = ?"
        found = ((id, self._file.execute(query, (id,)).fetchone()) for id in ids)
        return {id: str(row[0]) for id, row in found if row is not None}

    def close(self) -> None:
        """Forget everything."""
        self._file.close()

    def __enter__(self) -> Groups:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
