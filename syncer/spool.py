"""
The spool: answers that several streams of one verb stand on, asked once and kept in a temporary file until the source
is closed.

The file is an SQLite database without a name: only this process can open it, and it is gone with the process, however
that ends. What is asked at the same time by two threads is asked once. An error is not kept: the next one who wants
the answer asks again.

Not here: which answers are worth keeping (the sources know what their streams share).
Source: SQLite documentation, "In-Memory Databases", section "Temporary Databases".
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from types import TracebackType

import orjson
from requests.structures import CaseInsensitiveDict

from syncer.transport import Answer


class Spool:
    """Answers by key; safe for threads. `kept` counts those that it holds, `saved` the requests that it spared."""

    def __init__(self) -> None:
        self.kept = 0
        self.saved = 0
        self._lock = threading.Condition()
        self._asked: set[str] = set()  # keys that a thread is asking for now
        # Autocommit without a journal: nothing here outlives the process, so nothing needs to be undone.
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA temp_store = FILE")
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, told BLOB, body BLOB) WITHOUT ROWID")

    def once(self, key: str, ask: Callable[[], Answer]) -> Answer:
        """
        Return the answer kept under *key*; where there is none, *ask* and keep it.

        Raises: what *ask* raises.
        """
        with self._lock:
            while key in self._asked:
                self._lock.wait()
            found = self._find(key)
            if found is not None:
                self.saved += 1
                return found
            self._asked.add(key)
        answer = None
        try:
            answer = ask()
        finally:
            with self._lock:
                if answer is not None:
                    self._keep(key, answer)
                self._asked.discard(key)
                self._lock.notify_all()
        return answer

    def close(self) -> None:
        """Let go of the file, which ends it."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, key: str) -> Answer | None:
        row = self._file.execute("SELECT told, body FROM answers WHERE key = ?", [key]).fetchone()
        if row is None:
            return None
        told = orjson.loads(row[0])
        headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(told["headers"])
        return Answer(status=told["status"], headers=headers, body=row[1], url=told["url"], where=told["where"])

    def _keep(self, key: str, answer: Answer) -> None:
        told = {
            "status": answer.status,
            "headers": dict(answer.headers),
            "url": answer.url,
            "where": answer.where,
        }
        self._file.execute("INSERT INTO answers VALUES (?, ?, ?)", [key, orjson.dumps(told), answer.body])
        self.kept += 1
