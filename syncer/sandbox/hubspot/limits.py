"""
HubSpot's limits, in real time: 10 s rolling for most calls, 1 s for search, 10 s for batches of associations; a day.

The day follows the sandbox's clock and ends at midnight in the portal's time zone. A refused request counts in no
limit. Source: HubSpot's pages "Usage guidelines", "Search the CRM", "Associate records", "Error handling".
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from syncer.sandbox.messages import Response, json_response

GENERAL, SEARCH, ASSOCIATIONS = "general", "search", "associations"
WINDOW_S = {GENERAL: 10.0, SEARCH: 1.0, ASSOCIATIONS: 10.0}
RETRY_AFTER_EVERY = 3  # every third refusal has Retry-After: HubSpot promises it for 477 only


@attrs.frozen(kw_only=True)
class Limits:
    """How much is let through. The general limit holds for each token, the others for the account."""

    ten_secondly: int = 190
    search_a_second: int = 5
    associations_ten_secondly: int = 150
    daily: int = 1_000_000
    daily_used: int = 0  # what other apps of the account have used of the day
    associations_daily: int = 500_000

    def burst(self, bucket: str) -> int:
        """Return how many requests a bucket's window takes."""
        return {
            GENERAL: self.ten_secondly,
            SEARCH: self.search_a_second,
            ASSOCIATIONS: self.associations_ten_secondly,
        }[bucket]


TIERS = {
    "free": Limits(ten_secondly=100, associations_ten_secondly=100, daily=250_000),
    "professional": Limits(daily=625_000),
    "enterprise": Limits(),
}


@attrs.frozen(kw_only=True)
class Verdict:
    """What the meter says. policy None: it may pass."""

    bucket: str
    policy: str | None = None
    wait_s: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def response(self, correlation_id: str) -> Response:
        """Return the 429; search has a body of its own, without a policy's name."""
        headers = dict(self.headers)
        if self.wait_s:
            headers["Retry-After"] = str(self.wait_s)
        body: dict[str, Any] = {"status": "error", "correlationId": correlation_id}
        if self.policy == "SECONDLY":
            body |= {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}
        else:
            body |= {
                "message": f"You have reached your {str(self.policy).lower()} limit.",
                "errorType": "RATE_LIMIT",
                "policyName": self.policy,
                "groupName": "publicapi:private-apps:calls",
                "requestId": correlation_id.replace("-", ""),
            }
        return json_response(body, status=429, headers=headers)


class Meter:
    """Notes requests, and grants or refuses them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing used; *monotonic* is the real time in seconds."""
        self.refused = 0
        self.day = ""  # of the portal, as the last request saw it
        self.used: dict[str, int] = {GENERAL: 0, ASSOCIATIONS: 0}  # granted that day; searches count as general
        self._monotonic = monotonic
        self._arrivals: dict[tuple[str, str], list[float]] = {}
        self._granted: dict[tuple[str, str], deque[float]] = {}

    def ask(self, bucket: str, limits: Limits | None, *, token: str, day: str) -> Verdict:
        """Note a request; say whether it may pass. *limits* None: everything may. *day*: the portal's date."""
        now = self._monotonic()
        whose = token if bucket == GENERAL else ""
        self._arrivals.setdefault((bucket, whose), []).append(now)
        if day != self.day:
            self.day, self.used = day, {GENERAL: 0, ASSOCIATIONS: 0}
        daily = ASSOCIATIONS if bucket == ASSOCIATIONS else GENERAL
        if limits is None:
            self.used[daily] += 1
            return Verdict(bucket=bucket)
        granted = self._granted.setdefault((bucket, whose), deque())
        while granted and granted[0] <= now - WINDOW_S[bucket]:
            granted.popleft()
        if self.left(limits, daily) <= 0:
            return self._refuse(bucket, "DAILY", 0.0, self._headers(bucket, limits, len(granted)))
        if len(granted) >= limits.burst(bucket):
            wait_s = WINDOW_S[bucket] - (now - granted[0] if granted else 0.0)
            policy = "SECONDLY" if bucket == SEARCH else "TEN_SECONDLY_ROLLING"
            return self._refuse(bucket, policy, wait_s, self._headers(bucket, limits, len(granted)))
        granted.append(now)
        self.used[daily] += 1
        return Verdict(bucket=bucket, headers=self._headers(bucket, limits, len(granted)))

    def left(self, limits: Limits, daily: str = GENERAL) -> int:
        """Return how many calls the day still has."""
        if daily == ASSOCIATIONS:
            return limits.associations_daily - self.used[ASSOCIATIONS]
        return limits.daily - limits.daily_used - self.used[GENERAL]

    def peak(self, bucket: str, window_s: float | None = None) -> int:
        """Return the most requests of a bucket, refused ones too, in any window; for `general` the busiest token's."""
        width = WINDOW_S[bucket] if window_s is None else window_s
        return max((_peak(times, width) for (name, _), times in self._arrivals.items() if name == bucket), default=0)

    def total(self, bucket: str) -> int:
        """Return how many requests a bucket got, refused ones too."""
        return sum(len(times) for (name, _), times in self._arrivals.items() if name == bucket)

    def _refuse(self, bucket: str, policy: str, wait_s: float, headers: Mapping[str, str]) -> Verdict:
        self.refused += 1
        told = math.ceil(wait_s) if wait_s and self.refused % RETRY_AFTER_EVERY == 0 else 0
        return Verdict(bucket=bucket, policy=policy, wait_s=told, headers=headers)

    def _headers(self, bucket: str, limits: Limits, granted: int) -> dict[str, str]:
        """Return what tells the limits; search tells nothing."""
        if bucket == SEARCH:
            return {}
        daily = limits.associations_daily if bucket == ASSOCIATIONS else limits.daily
        most = limits.burst(bucket)
        return {
            "X-HubSpot-RateLimit-Daily": str(daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(
                max(0, self.left(limits, ASSOCIATIONS if bucket == ASSOCIATIONS else GENERAL))
            ),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, most - granted)),
        }


def _peak(times: list[float], window_s: float) -> int:
    """Return the most of *times*, which ascend, that lie within any *window_s*."""
    return max((bisect_left(times, start + window_s) - index for index, start in enumerate(times)), default=0)
