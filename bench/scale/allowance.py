"""
What one account's limits let through: arithmetic on documented limits, the sizes of a request, and syncer's budget.

The limits are those that the sources hold themselves to; where they come from stands in each source's page. Nothing is
measured here. What a network adds: a way that asks one request after the other cannot go faster than the answers come.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from syncer.budget import Bucket
from syncer.sources.friday_pulse.calls import REQUESTS_PER_MINUTE as PULSE_A_MINUTE
from syncer.sources.gitlab.api import REQUESTS_PER_MINUTE as GITLAB_A_MINUTE
from syncer.sources.hubspot.calls import SEARCHES_A_SECOND
from syncer.sources.jira.calls import BURST_A_SECOND, IDS_A_PAGE

LATENCIES_S = (0.05, 0.15, 0.30)
MINUTES = (5, 15, 60)
DAILY_SHARE = 0.95  # HubSpot's day, less what is left to others


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """
    A way in: what a request brings, how many go at once, and the limit that holds for them.

    limit, window_s: requests; 0: there is none. daily: requests a day; 0: not limited.
    """

    source: str
    what: str
    limit: int
    window_s: float
    records: int
    at_once: int
    daily: int = 0

    @property
    def limit_a_s(self) -> float:
        """Requests a second that the API grants."""
        return self.limit / self.window_s if self.limit else float("inf")

    @property
    def budget_a_s(self) -> float:
        """Requests a second that syncer's budget lets through in the long run."""
        if not self.limit:
            return float("inf")
        return self.limit / Bucket(name="any", limit=self.limit, window_s=self.window_s).lifetime_s

    def records_an_hour(self, latency_s: float | None = None) -> float:
        """Records an hour by the limit alone, or of one mapping whose answers take so long, within the budget."""
        if latency_s is None:
            return self.limit_a_s * self.records * 3_600
        return min(self.budget_a_s, self.at_once / latency_s) * self.records * 3_600


_DAY = 625_000
WAYS = (
    Way(source="HubSpot", what="list, first load", limit=190, window_s=10, records=100, at_once=1, daily=_DAY),
    Way(
        source="HubSpot", what="list, Free and Starter", limit=100, window_s=10, records=100, at_once=1, daily=250_000
    ),
    Way(
        source="HubSpot",
        what="search for ids",
        limit=SEARCHES_A_SECOND,
        window_s=1,
        records=200,
        at_once=1,
        daily=_DAY,
    ),
    Way(source="HubSpot", what="batch read", limit=190, window_s=10, records=100, at_once=4, daily=_DAY),
    Way(
        source="HubSpot",
        what="associations of a pair",
        limit=150,
        window_s=10,
        records=1_000,
        at_once=1,
        daily=500_000,
    ),
    Way(source="Jira", what="search for ids", limit=BURST_A_SECOND, window_s=1, records=IDS_A_PAGE, at_once=1),
    Way(source="Jira", what="bulk fetch of issues", limit=BURST_A_SECOND, window_s=1, records=100, at_once=4),
    Way(source="GitLab", what="a list by keyset", limit=GITLAB_A_MINUTE, window_s=60, records=100, at_once=1),
    Way(source="GitLab", what="lists of many projects", limit=GITLAB_A_MINUTE, window_s=60, records=100, at_once=4),
    Way(source="Friday Pulse", what="a date of a group", limit=PULSE_A_MINUTE, window_s=60, records=1, at_once=1),
    Way(source="AnythingLLM", what="workspace chats", limit=0, window_s=1, records=17, at_once=1),
)
# What a pull of what changed is made of: the slowest of its ways, by how many requests of each a record takes.
PULLS = {
    "HubSpot, one kind": ((WAYS[2], 1.0), (WAYS[3], 1.0)),
    "Jira, issues and their changes of status": ((WAYS[5], 1.0), (WAYS[6], 2.0)),
    "GitLab, issues of a group": ((WAYS[7], 1.0),),
    "Friday Pulse, dates of groups": ((WAYS[9], 1.0),),
    "AnythingLLM, new workspace chats": ((WAYS[10], 1.0),),
}


def carried(pull: str, *, minutes: float, latency_s: float) -> float:
    """Return how many changed records a pull of so many minutes can bring in, while nobody else uses the account."""
    return min(way.records_an_hour(latency_s) / share for way, share in PULLS[pull]) * minutes / 60


def lines() -> Iterator[str]:
    """Yield both tables."""
    yield (
        f"{'':<40}{'granted/s':>10}{'budget/s':>9}{'each':>7}{'records/h':>15}"
        + "".join(f"{f'{latency * 1000:.0f} ms':>13}" for latency in LATENCIES_S)
        + f"{'records/day':>14}"
    )
    for way in WAYS:
        day = f"{way.daily * DAILY_SHARE * way.records:,.0f}" if way.daily else "-"
        yield (
            f"{way.source + ': ' + way.what:<40}{_number(way.limit_a_s, 1):>10}{_number(way.budget_a_s, 1):>9}"
            f"{way.records:>7,}{_number(way.records_an_hour()):>15}"
            + "".join(f"{_number(way.records_an_hour(latency)):>13}" for latency in LATENCIES_S)
            + f"{day:>14}"
        )
    yield ""
    yield f"{'changed records that a pull carries':<44}" + "".join(
        f"{f'{minutes} min at {latency * 1000:.0f} ms':>18}" for minutes in MINUTES for latency in LATENCIES_S[1:]
    )
    for pull in PULLS:
        yield f"{pull:<44}" + "".join(
            f"{carried(pull, minutes=minutes, latency_s=latency):>18,.0f}"
            for minutes in MINUTES
            for latency in LATENCIES_S[1:]
        )


def _number(number: float, digits: int = 0) -> str:
    return "-" if number == float("inf") else f"{number:,.{digits}f}"
