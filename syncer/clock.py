"""
The clock: one of the two doors through which the outside world comes in (the other is the transport's `send`).

Nothing in syncer asks the time or sleeps but through a `Clock`, so that a test can hold both.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Time, as the program sees it."""

    def now(self) -> dt.datetime:
        """Return the time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> dt.datetime:
        """Return the time of day, aware, in UTC."""
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for real."""
        time.sleep(max(0.0, seconds))


def iso(moment: dt.datetime) -> str:
    """Write *moment* as people and places have it: UTC, milliseconds, `Z`."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> dt.datetime:
    """Read what `iso` wrote."""
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
