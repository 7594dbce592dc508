"""
The sandbox's own clock: what its records, its searches and its Date headers say the time is.

Rate limits do not follow it: they count in real time, since a client really waits.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

DEFAULT_START = datetime(2026, 8, 31, 8, 0, tzinfo=UTC)


class Clock:
    """A clock that starts at *start* and runs with real time until it is frozen; it never goes back."""

    def __init__(self, start: datetime = DEFAULT_START, *, is_frozen: bool = False) -> None:
        """Start at *start*, which must be aware; seconds are kept in UTC."""
        if start.tzinfo is None:
            raise ValueError(f"a clock starts at an aware datetime, not at {start!r}: add tzinfo=UTC")
        self._lock = threading.Lock()
        self._at = start.astimezone(UTC)
        self._since: float | None = None if is_frozen else time.monotonic()

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> datetime:
        """Put the clock *seconds* on, frozen or not; return the new time."""
        if seconds < 0:
            raise ValueError(f"a clock goes forward only, not by {seconds} s")
        with self._lock:
            self._at += timedelta(seconds=seconds)
            return self._now()

    def freeze(self) -> datetime:
        """Stop the clock; return the time at which it stands. `advance` still moves it."""
        with self._lock:
            self._at = self._now()
            self._since = None
            return self._at

    def unfreeze(self) -> None:
        """Let the clock run on from where it stands."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()

    def http_date(self) -> str:
        """Return the time as an HTTP Date header has it: whole seconds, GMT."""
        return format_datetime(self.now(), usegmt=True)

    def _now(self) -> datetime:
        if self._since is None:
            return self._at
        return self._at + timedelta(seconds=time.monotonic() - self._since)
