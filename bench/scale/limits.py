"""
An account's limits in the simulation: what the API grants, and how the budget of each machine holds requests back.

Both are windows that slide. The API's is exact. A machine's is syncer's own (`syncer/budget.py`): a reservation counts
for a little longer than the window, so a machine alone stays below the limit; what other machines ask for it does not
know. A 429 makes all of a machine wait.
"""

from __future__ import annotations

import random
from collections import deque

from syncer.budget import Bucket

GENERAL, SEARCH = "general", "search"
BUCKETS = {
    GENERAL: Bucket(name=GENERAL, limit=190, window_s=10.0),
    SEARCH: Bucket(name=SEARCH, limit=5, window_s=1.0),
}
WAIT_S = {GENERAL: 10.0, SEARCH: 1.0}  # after a 429 that does not say how long


class Window:
    """At most so many requests in a window that slides."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self.window_s = limit, window_s
        self._booked: deque[tuple[float, int]] = deque()
        self._used = 0

    def room(self, now: float) -> int:
        """How many more may be sent now."""
        while self._booked and self._booked[0][0] <= now - self.window_s:
            self._used -= self._booked.popleft()[1]
        return self.limit - self._used

    def book(self, now: float, count: int) -> None:
        """Count some."""
        if count:
            self._booked.append((now, count))
            self._used += count

    def next_room(self) -> float:
        """When the oldest one leaves the window."""
        return self._booked[0][0] + self.window_s if self._booked else 0.0


class Account:
    """An account as its API sees it, and as each machine's budget does."""

    def __init__(self) -> None:
        self._granted = {name: Window(bucket.limit, bucket.window_s) for name, bucket in BUCKETS.items()}
        self._budgets: dict[tuple[int, str], Window] = {}
        self._paused: dict[tuple[int, str], float] = {}
        self.asked = 0
        self.refused = 0

    def hold(self, machine: int, name: str, count: int, now: float) -> tuple[int, float]:
        """Ask a machine's budget for *count*: how many may be sent now, and else how many seconds to wait."""
        key = (machine, name)
        paused_s = self._paused.get(key, 0.0) - now
        if paused_s > 0:
            return 0, paused_s
        window = self._budgets.get(key)
        if window is None:
            bucket = BUCKETS[name]
            window = self._budgets[key] = Window(bucket.limit, bucket.lifetime_s)
        may = min(count, window.room(now))
        if may <= 0:
            return 0, max(0.005, window.next_room() - now)
        window.book(now, may)
        return may, 0.0

    def send(self, machine: int, name: str, count: int, *, now: float, dice: random.Random) -> int:
        """Send *count*: how many were granted. The others got a 429, and the machine's budget waits."""
        window = self._granted[name]
        granted = min(count, max(window.room(now), 0))
        window.book(now, granted)
        self.asked += count
        if granted < count:
            self.refused += count - granted
            until = now + WAIT_S[name] * dice.uniform(0.8, 1.0)
            self._paused[machine, name] = max(until, self._paused.get((machine, name), 0.0))
        return granted
