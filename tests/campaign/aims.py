"""
Who kills, whom, and when: beside a pull that runs in a victim, at a random moment of it or while the server is in the
middle of a commit.

A commit is held open in two places, by means of the server's own. *Before its record*: a deferred trigger waits for an
advisory lock that we hold; what dies there is not kept. *Behind its record*: the server waits for a standby that does
not exist (`synchronous_standby_names`); what dies there is kept, and its client is not told.
Source: the PostgreSQL manual, CREATE TRIGGER (constraint triggers), 27.2.8 (synchronous replication).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.servers.postgresql import Server

CLIENT, BACKEND, TERMINATED = "client, kill -9", "server's process, kill -9", "pg_terminate_backend"
ANYTIME, BEFORE, BEHIND, EMPTY = "at any time", "before a commit's record", "behind a commit's record", "empty commit"
READING, STAGING, COMMITTING = "reading", "staging", "committing"
POLL_S = 0.002
ORPHANED_S = 0.4  # how long a commit goes on whose client is dead
LOCK = 7_711
TRIGGER = (
    "CREATE OR REPLACE FUNCTION public.held_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER held_open AFTER INSERT OR UPDATE ON syncer.runs DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION public.held_open()",
)
_SESSIONS = (
    "SELECT pid, COALESCE(state, ''), COALESCE(query, ''), COALESCE(wait_event_type, ''), COALESCE(wait_event, '') "
    "FROM pg_stat_activity "
    "WHERE datname = ? AND application_name = 'syncer' ORDER BY backend_start LIMIT 1"
)


@attrs.frozen
class Session:
    """What the server says of the victim's session."""

    pid: int
    state: str
    query: str
    wait_type: str
    wait: str

    @classmethod
    def of(cls, watched: Any, database: str) -> Session | None:
        """Ask for it; None: there is none."""
        found = watched.execute(_SESSIONS, database).fetchone()
        return cls(*found) if found else None

    @property
    def is_committing(self) -> bool:
        """Tell whether a commit is under way."""
        return self.state == "active" and self.query.strip().upper().startswith("COMMIT")

    @property
    def phase(self) -> str:
        """Name what the pull was at, as far as the server knows."""
        if self.is_committing:
            return COMMITTING
        return READING if self.state == "idle" else STAGING


@attrs.define(kw_only=True)
class Aim:
    """
    One kill of one victim: of whom, where, and how many seconds after it began.

    Afterwards `phase` says what was hit, None: the pull was over before. `was_orphaned`: a commit went on whose client
    was dead, and its lease was held as long.
    """

    server: Server
    database: str
    trace: Path
    whom: str
    where: str = ANYTIME
    after_s: float
    phase: str | None = None
    was_orphaned: bool = False
    error: str = ""
    _is_over: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to aim: before the victim is sent."""
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The victim has ended; a commit that goes on goes on."""
        self._is_over.set()

    def join(self) -> None:
        """Wait until the aim leaves nothing behind. Raises AssertionError where it could not do its work."""
        assert self._thread is not None
        self._thread.join(30)
        if self.error or self._thread.is_alive():
            raise AssertionError(f"the aim {self.whom}, {self.where}: {self.error or 'does not end'}")

    def _guarded(self) -> None:
        import pyodbc

        try:
            self._take()
        except (pyodbc.Error, OSError) as error:  # told by `join`
            self.error = f"{type(error).__name__}: {error}"

    def _take(self) -> None:
        pid = self._began()
        if pid is None or self._is_over.wait(self.after_s):
            return
        with self._asking("postgres") as watched:
            if self.where == BEFORE:
                self._before(watched, pid)
            elif self.where == BEHIND:
                self._behind(watched, pid)
            else:
                self._kill(watched, pid, self._session(watched))

    def _began(self) -> int | None:
        """Wait for the victim; return its process."""
        while not self._is_over.is_set():
            with contextlib.suppress(OSError, ValueError, IndexError):  # not written yet
                return int(json.loads(self.trace.read_text().splitlines()[0])["pid"])
            time.sleep(POLL_S)
        return None

    def _session(self, watched: Any) -> Session | None:
        """Wait for a session of the victim, where it is the server's process that is to die."""
        while not self._is_over.is_set():
            session = Session.of(watched, self.database)
            if session or self.whom == CLIENT:
                return session
            time.sleep(POLL_S)
        return None

    def _committing(self, watched: Any, wait_type: str, wait: str) -> Session | None:
        while not self._is_over.is_set():
            session = Session.of(watched, self.database)
            if session and session.is_committing and (session.wait_type, session.wait) == (wait_type, wait):
                return session
            time.sleep(POLL_S)
        return None

    def _kill(self, watched: Any, client: int, session: Session | None) -> None:
        """Kill, and note what was hit."""
        if self._is_over.is_set() or (session is None and self.whom != CLIENT):
            return
        self.phase = session.phase if session else READING
        if self.whom == CLIENT:
            os.kill(client, signal.SIGKILL)
            return
        assert session is not None
        if self.whom == BACKEND:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself since we looked
                os.kill(session.pid, signal.SIGKILL)
        else:
            watched.execute("SELECT pg_terminate_backend(?)", session.pid).fetchall()

    def _before(self, watched: Any, client: int) -> None:
        """Hold the next commit open before its record."""
        with self._asking(self.database) as inside:
            while not inside.execute("SELECT to_regclass('syncer.runs')").fetchone()[0]:
                if self._is_over.wait(POLL_S):
                    return
            for statement in TRIGGER:
                inside.execute(statement)
            inside.execute(f"SELECT pg_advisory_lock({LOCK})").fetchall()
            session = self._committing(watched, "Lock", "advisory")
            self._kill(watched, client, session)
            if self.whom == CLIENT and session:
                self._orphan(watched, session)

    def _orphan(self, watched: Any, session: Session) -> None:
        """Let a commit go on for a while whose client is dead."""
        time.sleep(ORPHANED_S)
        held = (
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = ? AND mode = "
            "'ExclusiveLock'"
        )
        self.was_orphaned = watched.execute(held, session.pid).fetchone()[0] > 0

    def _behind(self, watched: Any, client: int) -> None:
        """Hold the next commit open behind its record."""
        watched.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            watched.execute("SELECT pg_reload_conf()").fetchall()
            session = self._committing(watched, "IPC", "SyncRep")
            watched.execute("ALTER SYSTEM RESET synchronous_standby_names")
            self._kill(watched, client, session)
            if self.whom == CLIENT and session:
                self._orphan(watched, session)
        finally:
            self.server.process.send_signal(signal.SIGHUP)  # the server may be starting anew, and takes no question

    @contextlib.contextmanager
    def _asking(self, database: str) -> Iterator[Any]:
        """A connection that may die with the server."""
        import pyodbc

        pyodbc.pooling = False
        connection = pyodbc.connect(self.server.string(database), autocommit=True)
        try:
            yield connection
        finally:
            with contextlib.suppress(pyodbc.Error):
                connection.close()
