"""
The request budget of a token, shared by every process of this machine that uses it.

A bucket is a limit of requests in a sliding window. A process reserves a few requests at a time, so that the shared
file is written once for many; a reservation counts until the last moment at which one of its requests could still lie
in a window with a new one. With its next reservation a process tells what became of the one before: what it did not
use is given back, and the rest counts from its last use. So a process that is killed takes its unused reservations
with it only until they run out, and nothing needs to be cleaned up.

Moments are of the machine's monotonic clock, which all its processes share: the time of day may be set while we run.
After a restart that clock begins anew, and what was written before seems to lie ahead: it counts once more from then
on, and a pause is never longer than it was.

What other machines and other apps use is not known here: their share shows as a 429, and `pause` then slows every
process down. Not here: which buckets an API has (`sources/`), and retrying (`transport.py`).
Source: Python's documentation of `time.monotonic` ("always system-wide").
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from syncer import cache
from syncer.clock import Clock

KEPT_S = 7 * 86_400.0  # how long an entry that nobody uses stays: longer than a clock is set by mistake


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
    def counted_s(self) -> float:
        """How long a request counts: a window, and its way to the server."""
        return self.window_s + max(0.1, self.window_s * 0.03)

    @property
    def lifetime_s(self) -> float:
        """How long a reservation counts of which no more is known: as if its last request were as late as can be."""
        return self.hold_s + self.counted_s


@attrs.frozen(kw_only=True)
class Usage:
    """What is known of one bucket now; `paused_s` is how long an answer told everybody to wait."""

    owner: str
    bucket: str
    used: int
    limit: int
    window_s: float
    paused_s: float


@attrs.define(kw_only=True)
class _Ready:
    """A reservation of this process: `left` of it may be used until then; `used_at` is when the last one was."""

    name: str
    left: int
    until: float
    used_at: float


def owner_of(source: str, url: str, secret: str) -> str:
    """Name the owner of a budget (source and token) without the token: a digest that cannot be turned back."""
    digest = hashlib.blake2s(
        f"{url}\0{secret}".encode("utf-8", "surrogatepass"), key=b"syncer.budget", digest_size=8
    ).hexdigest()
    return f"{source}:{digest}"


class Budget:
    """Reserves requests; one object a process, safe for threads."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._ready: dict[tuple[str, str], _Ready] = {}

    def take(self, owner: str, bucket: Bucket, *, sleep: Callable[[float], None] | None = None) -> float:
        """
        Wait until one more request is within *bucket*, and count it; return the seconds waited.

        sleep: what waits, in place of the clock; what it raises ends the waiting, and nothing is counted.
        Raises: SyncerError: the shared folder cannot be used.
        """
        waited = 0.0
        while True:
            with self._lock:
                wait = self._try(owner, bucket)
            if wait <= 0:
                return waited
            (sleep or self._clock.sleep)(wait)
            waited += wait

    def pause(self, owner: str, bucket: Bucket, seconds: float) -> None:
        """Let every process that shares *bucket* wait: the server said so."""
        with self._lock, cache.transaction(self._directory) as store:
            self._ready.pop((owner, bucket.name), None)
            now = self._clock.monotonic()
            state = _believed(self._read(store, owner, bucket), bucket, now)
            until = max(now + seconds, state["paused_until"])
            self._write(store, owner, bucket, {**state, "paused_until": until, "paused_s": until - now})

    def usage(self) -> list[Usage]:
        """
        Return what is known of every bucket that was used lately on this machine.

        Raises: SyncerError: the shared folder cannot be used.
        """
        with cache.explained(self._directory):
            if not self._directory.exists():
                return []
            store = cache.opened(self._directory)
            found = []
            for key in map(str, store.iterkeys()):
                state = store.get(key, retry=True) if key.startswith("budget/") else None
                if state is not None:
                    found.append(_usage(key, state, self._clock.monotonic()))
        return sorted(found, key=lambda usage: (usage.owner, usage.bucket))

    def _try(self, owner: str, bucket: Bucket) -> float:
        """Use a request that is reserved, or reserve some; return the seconds to wait where there is no room."""
        now = self._clock.monotonic()
        ready = self._ready.get((owner, bucket.name))
        if ready is not None and ready.left > 0 and now < ready.until:
            ready.left, ready.used_at = ready.left - 1, now
            return 0.0
        with cache.transaction(self._directory) as store:
            now = self._clock.monotonic()
            known = self._read(store, owner, bucket)
            state = _believed(known, bucket, now)
            if ready is not None:
                state["reserved"] = _told(state["reserved"], ready, bucket, now)
            room = bucket.limit - sum(count for _, count, _ in state["reserved"])
            count = min(bucket.chunk, room)
            is_free = count > 0 and state["paused_until"] <= now
            name = secrets.token_hex(4)
            if is_free:
                state["reserved"].append([now + bucket.lifetime_s, count, name])
            if state != known:  # or a clock that began anew would take in the same entry each time, for ever
                self._write(store, owner, bucket, state)
        if is_free:
            self._ready[owner, bucket.name] = _Ready(name=name, left=count - 1, until=now + bucket.hold_s, used_at=now)
            return 0.0
        self._ready.pop((owner, bucket.name), None)
        return max(0.005, _free_at(state, now) - now)

    @staticmethod
    def _read(store: Any, owner: str, bucket: Bucket) -> dict[str, Any]:
        state = store.get(f"budget/{owner}/{bucket.name}")
        return state or {"reserved": [], "paused_until": 0.0, "paused_s": 0.0}

    @staticmethod
    def _write(store: Any, owner: str, bucket: Bucket, state: dict[str, Any]) -> None:
        kept = {**state, "limit": bucket.limit, "window_s": bucket.window_s}
        store.set(f"budget/{owner}/{bucket.name}", kept, expire=KEPT_S)


def _believed(state: dict[str, Any], bucket: Bucket, now: float) -> dict[str, Any]:
    """
    Return what of *state* still holds, nothing in it later than what could have been written now.

    Raises: ValueError: it is not what we write.
    """
    latest = now + bucket.lifetime_s
    try:
        reserved = [[min(until, latest), count, name] for until, count, name in state["reserved"] if until > now]
        paused_until = min(state["paused_until"], now + state.get("paused_s", 0.0))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no state of a budget") from error
    return {**state, "reserved": reserved, "paused_until": paused_until}


def _told(reserved: list[list[Any]], ready: _Ready, bucket: Bucket, now: float) -> list[list[Any]]:
    """Return what is reserved now that one of them is used no more: its rest is free, the other counts from then."""
    told = [
        [min(until, ready.used_at + bucket.counted_s), count - ready.left, name] if name == ready.name else each
        for each in reserved
        for until, count, name in (each,)
    ]
    return [each for each in told if each[0] > now and each[1] > 0]


def _free_at(state: dict[str, Any], now: float) -> float:
    if state["paused_until"] > now:
        return float(state["paused_until"])
    return float(min(until for until, _, _ in state["reserved"]))


def _usage(key: str, state: dict[str, Any], now: float) -> Usage:
    owner, _, name = key.removeprefix("budget/").partition("/")
    try:
        bucket = Bucket(name=name, limit=state["limit"], window_s=state["window_s"])
    except (KeyError, TypeError) as error:
        raise ValueError("no state of a budget") from error
    held = _believed(state, bucket, now)
    return Usage(
        owner=owner,
        bucket=name,
        used=sum(count for _, count, _ in held["reserved"]),
        limit=bucket.limit,
        window_s=bucket.window_s,
        paused_s=max(0.0, held["paused_until"] - now),
    )
