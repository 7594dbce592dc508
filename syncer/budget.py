"""
The request budget of a token, shared by every process of this machine that uses it.

A bucket is a limit of requests in a sliding window. A process reserves a few requests at a time, so that the shared
file is written once for many; a reservation counts until the last moment at which one of its requests could still lie
in a window with a new one. So a process that is killed takes its unused reservations with it only until they run out,
and nothing needs to be cleaned up.

What other machines and other apps use is not known here: their share shows as a 429, and `pause` then slows every
process down. Not here: which buckets an API has (`sources/`), and retrying (`transport.py`).
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import attrs

from syncer import cache
from syncer.clock import Clock


@attrs.frozen(kw_only=True)
class Bucket:
    """A limit: at most `limit` requests in any `window_s` seconds."""

    name: str
    limit: int = attrs.field(validator=attrs.validators.ge(1))
    window_s: float = attrs.field(validator=attrs.validators.gt(0))

    @property
    def chunk(self) -> int:
        """How many requests a process reserves at once."""
        return max(1, min(20, self.limit // 20))

    @property
    def hold_s(self) -> float:
        """How long a reservation may be used."""
        return min(1.0, self.window_s / 10)

    @property
    def lifetime_s(self) -> float:
        """
        How long a reservation counts: until it may be used no more, and a window and the way to the server after that.
        """
        return self.window_s + self.hold_s + max(0.1, self.window_s * 0.03)


@attrs.frozen(kw_only=True)
class Usage:
    """What is known of one bucket now; `paused_s` is how long an answer told everybody to wait."""

    owner: str
    bucket: str
    used: int
    limit: int
    window_s: float
    paused_s: float


def owner_of(source: str, url: str, secret: str) -> str:
    """Name the owner of a budget (source and token) without the token: a digest that cannot be turned back."""
    digest = hashlib.blake2s(f"{url}\0{secret}".encode(), key=b"syncer.budget", digest_size=8).hexdigest()
    return f"{source}:{digest}"


class Budget:
    """Reserves requests; one object a process, safe for threads."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._ready: dict[tuple[str, str], tuple[int, float]] = {}  # requests left of a reservation, and until when

    def take(self, owner: str, bucket: Bucket) -> float:
        """Wait until one more request is within *bucket*, and count it; return the seconds waited."""
        waited = 0.0
        while True:
            with self._lock:
                wait = self._try(owner, bucket)
            if wait <= 0:
                return waited
            self._clock.sleep(wait)
            waited += wait

    def pause(self, owner: str, bucket: Bucket, seconds: float) -> None:
        """Let every process that shares *bucket* wait: the server said so."""
        until = self._now() + seconds
        store = cache.opened(self._directory)
        with self._lock, store.transact(retry=True):
            self._ready.pop((owner, bucket.name), None)
            state = self._read(store, owner, bucket)
            state["paused_until"] = max(until, state["paused_until"])
            self._write(store, owner, bucket, state)

    def usage(self) -> list[Usage]:
        """Return what is known of every bucket that was used lately on this machine."""
        if not self._directory.exists():
            return []
        store = cache.opened(self._directory)
        now = self._now()
        found = []
        for key in store.iterkeys():
            if not str(key).startswith("budget/"):
                continue
            state = store.get(key, retry=True)
            if state is None:
                continue
            owner, bucket = str(key).removeprefix("budget/").split("/", 1)
            used = sum(count for until, count in state["reserved"] if until > now)
            paused = max(0.0, state["paused_until"] - now)
            found.append(
                Usage(
                    owner=owner,
                    bucket=bucket,
                    used=used,
                    limit=state["limit"],
                    window_s=state["window_s"],
                    paused_s=paused,
                )
            )
        return sorted(found, key=lambda usage: (usage.owner, usage.bucket))

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _try(self, owner: str, bucket: Bucket) -> float:
        """Use a request that is reserved, or reserve some; return the seconds to wait where there is no room."""
        now = self._now()
        left, until = self._ready.get((owner, bucket.name), (0, 0.0))
        if left > 0 and now < until:
            self._ready[owner, bucket.name] = (left - 1, until)
            return 0.0
        store = cache.opened(self._directory)
        with store.transact(retry=True):
            now = self._now()
            state = self._read(store, owner, bucket)
            if state["paused_until"] > now:
                return float(state["paused_until"] - now)
            reserved = [entry for entry in state["reserved"] if now < entry[0] <= now + bucket.lifetime_s]
            room = bucket.limit - sum(count for _, count in reserved)
            if room <= 0:
                return max(0.005, float(min(until for until, _ in reserved)) - now)
            count = min(bucket.chunk, room)
            state["reserved"] = [*reserved, [now + bucket.lifetime_s, count]]
            self._write(store, owner, bucket, state)
        self._ready[owner, bucket.name] = (count - 1, now + bucket.hold_s)
        return 0.0

    @staticmethod
    def _read(store: Any, owner: str, bucket: Bucket) -> dict[str, Any]:
        state = store.get(f"budget/{owner}/{bucket.name}")
        return state or {"reserved": [], "paused_until": 0.0}

    @staticmethod
    def _write(store: Any, owner: str, bucket: Bucket, state: dict[str, Any]) -> None:
        kept = {**state, "limit": bucket.limit, "window_s": bucket.window_s}
        longest = max(
            bucket.lifetime_s, state["paused_until"] - state.get("now", 0.0) if state["paused_until"] else 0.0
        )
        store.set(f"budget/{owner}/{bucket.name}", kept, expire=max(3600.0, longest))
