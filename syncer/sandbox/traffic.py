"""What went over the wire: the log of requests, and counts by site and by route."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from datetime import datetime

import attrs

LOG_LENGTH = 200_000  # entries kept; the oldest go first

# An id in a path: a number, an issue key, an encoded path, a hash or a UUID.
_ID = re.compile(r"\d+|[A-Z][A-Z0-9_]*-\d+|.*%2[Ff].*|[0-9a-f]{32,64}|[0-9a-f]{8}-[0-9a-f-]{27}")


@attrs.frozen(kw_only=True)
class Entry:
    """One request and its answer."""

    time: datetime  # of the sandbox's clock
    site: str
    method: str
    path: str  # as it was sent, with its query, below the site's prefix
    status: int  # 0: nothing was answered
    bytes: int  # of the answer's body, as sent
    fault: str | None  # the kind of fault that it met
    received: int = 0  # bytes of the request's body


@attrs.frozen(kw_only=True)
class SiteCounts:
    """How much was asked of one site."""

    requests: int = 0
    bytes: int = 0
    routes: Counter[tuple[str, str]] = attrs.field(factory=Counter)  # by ("GET", "/rest/api/3/issue/{}")


def route_of(raw_path: str) -> str:
    """Return *raw_path* with each id in it as "{}", so that requests of one kind count as one."""
    return "/".join("{}" if _ID.fullmatch(part) else part for part in raw_path.split("/"))


class Traffic:
    """The log and the counts of a running sandbox; safe to use from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self.log: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self._lock = threading.Lock()
        self._counts: dict[str, SiteCounts] = {}

    def record(self, entry: Entry) -> None:
        """Add one request."""
        route = route_of(entry.path.partition("?")[0])
        with self._lock:
            self.log.append(entry)
            old = self._counts.get(entry.site, SiteCounts())
            old.routes[entry.method, route] += 1
            self._counts[entry.site] = SiteCounts(
                requests=old.requests + 1, bytes=old.bytes + entry.bytes, routes=old.routes
            )

    def counts(self) -> dict[str, SiteCounts]:
        """Return the counts by site, as they are now."""
        with self._lock:
            return {name: attrs.evolve(counts, routes=Counter(counts.routes)) for name, counts in self._counts.items()}

    def reset(self) -> None:
        """Forget the log and the counts."""
        with self._lock:
            self.log.clear()
            self._counts.clear()
