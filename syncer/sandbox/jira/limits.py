"""
Jira's burst limits: a token bucket for each endpoint and method, in real time.

The hourly points are left out: traffic of an API token is not under them.
Source: developer.atlassian.com, Jira Cloud platform, "Rate limiting".
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

NEAR_SHARE = 0.2


@attrs.frozen(kw_only=True)
class Limits:
    """Requests a second, by method, and for some endpoints their own."""

    methods: dict[str, float] = attrs.field(factory=lambda: {"GET": 100.0, "POST": 100.0, "PUT": 50.0, "DELETE": 50.0})
    endpoints: dict[str, float] = attrs.field(
        factory=lambda: {
            "GET /issue/{}": 150.0,
            "GET /issue/{}/changelog": 200.0,
            "POST /search/approximate-count": 150.0,
        }
    )

    def rate(self, endpoint: str) -> float:
        """Return the requests a second that *endpoint* ("GET /issue/{}") may have."""
        return self.endpoints.get(endpoint, self.methods.get(endpoint.partition(" ")[0], 50.0))


@attrs.define
class _Bucket:
    tokens: float
    at: float


class Meter:
    """Counts requests, and grants or refuses them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets; *monotonic* is the real time in seconds."""
        self.refused = 0
        self.arrivals: dict[str, list[float]] = {}
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}

    def ask(self, endpoint: str, limits: Limits | None) -> Verdict:
        """Note a request for *endpoint*; say whether it may pass. *limits* None: everything may."""
        now = self._monotonic()
        self.arrivals.setdefault(endpoint, []).append(now)
        if limits is None:
            return Verdict(is_granted=True)
        rate = limits.rate(endpoint)
        bucket = self._buckets.setdefault(endpoint, _Bucket(rate, now))
        bucket.tokens = min(rate, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            self.refused += 1
            return Verdict(is_granted=False, limit=int(rate), wait_s=max(1, math.ceil((1.0 - bucket.tokens) / rate)))
        bucket.tokens -= 1.0
        return Verdict(is_granted=True, limit=int(rate), remaining=int(bucket.tokens))

    def peak(self, window_s: float, endpoint: str | None = None) -> int:
        """
        Return the most requests, refused ones too, that came in any *window_s* seconds.

        Limits hold for each endpoint and method apart, so with *endpoint* None it is the busiest one's number.
        """
        chosen = [endpoint] if endpoint is not None else list(self.arrivals)
        return max((_peak(self.arrivals.get(name, []), window_s) for name in chosen), default=0)

    def totals(self) -> Counter[str]:
        """Return how many requests each endpoint got."""
        return Counter({name: len(times) for name, times in self.arrivals.items()})


@attrs.frozen(kw_only=True)
class Verdict:
    """What the meter says to one request. `limit` None: there are no limits."""

    is_granted: bool
    limit: int | None = None
    remaining: int = 0
    wait_s: int = 0

    def headers(self, now: datetime) -> dict[str, str]:
        """Return the headers that tell it; Reset, Retry-After and the reason come with a refusal only."""
        if self.limit is None:
            return {}
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-NearLimit": "true" if self.remaining < self.limit * NEAR_SHARE else "false",
        }
        if not self.is_granted:
            reset = now + timedelta(seconds=self.wait_s)
            headers["Retry-After"] = str(self.wait_s)
            headers["X-RateLimit-Reset"] = f"{reset:%Y-%m-%dT%H:%MZ}"
            headers["RateLimit-Reason"] = "jira-burst-based"
        return headers


def _peak(times: list[float], window_s: float) -> int:
    """Return the most of *times*, which ascend, that lie within any *window_s*."""
    return max((bisect_right(times, start + window_s) - index for index, start in enumerate(times)), default=0)
