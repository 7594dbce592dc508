"""
HubSpot portals that are far away, in a process of their own: `python -m bench.scale.far PORTALS RECORDS LEAST MOST`.

Each answer takes as long as a network would: a time between LEAST and MOST milliseconds, by a seed, waited outside of
the portal's lock, so that requests that are sent together are answered together. It prints the base of its URLs, then
reads a word a line and answers each with a line of JSON:

    change NUMBER   so many records of each kind of each portal change; search knows of it at once
    pass SECONDS    time passes for the portals
    latency LEAST MOST   milliseconds, from now on
    limits on|off   the limits of a professional portal, counted in real time
    count           requests since the last `count`: how many, how many were refused, and CPU seconds of this process
"""

from __future__ import annotations

import json
import random
import resource
import sys
import threading
import time
from typing import Any

from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.limits import TIERS
from syncer.sandbox.messages import Request, Response

KINDS = ("companies", "contacts", "deals", "tickets")
REST_S = 3_600.0


class Far(Sandbox):
    """A sandbox whose answers take time."""

    def __init__(self, *, latency_ms: tuple[float, float], **given: Any) -> None:
        super().__init__(**given)
        self._random, self._lock, self.latency_ms = random.Random(1), threading.Lock(), latency_ms

    def handle(self, request: Request, name: str) -> Response:
        """Answer, and wait before that without holding the site."""
        with self._lock:
            wait_s = self._random.uniform(*self.latency_ms) / 1000
        time.sleep(wait_s)
        return super().handle(request, name)


def portals(count: int, records: int, clock: Clock) -> list[HubSpotSite]:
    """Make portals `p1`, `p2`, … of so many records of each kind; the token of each is `token-` and its name."""
    made = []
    for number in range(1, count + 1):
        site = HubSpotSite.generate(
            seed=number, name=f"p{number}", portal_id=number, token=f"token-p{number}", clock=clock,
            companies=records, contacts=records, deals=records, tickets=records, activities=0,
        )  # fmt: skip
        site.limits = None
        site.index_lag_s = 0
        made.append(site)
    return made


def change(sandbox: Sandbox, number: int, turn: int) -> int:
    """Change so many records of each kind of each portal; return how many in all."""
    done = 0
    for site in sandbox.sites.values():
        assert isinstance(site, HubSpotSite)
        with sandbox.locked(site.name):
            for kind in KINDS:
                live = [each.id for each in site.store.records[kind].values() if not each.is_archived]
                for identifier in live[:number]:
                    name = {"companies": "description", "contacts": "jobtitle", "deals": "description"}.get(kind)
                    site.store.update(kind, identifier, {name or "content": f"change {turn}"})
                    done += 1
    return done


def main(count: int, records: int, least_ms: float, most_ms: float) -> None:
    """Make the portals, say where they are, and do what is told until stdin ends."""
    clock = Clock()
    sandbox = Far(latency_ms=(least_ms, most_ms), sites=portals(count, records, clock), clock=clock)
    turn = 0
    with sandbox:
        print(sandbox.url("p1").removesuffix("/p1"), flush=True)
        for line in sys.stdin:
            word, _, value = line.strip().partition(" ")
            said: Any = None
            if word == "change":
                turn += 1
                said = change(sandbox, int(value), turn)
            elif word == "pass":
                clock.advance(float(value))
            elif word == "latency":
                least, most = map(float, value.split())
                sandbox.latency_ms = (least, most)
            elif word == "limits":
                for site in sandbox.sites.values():
                    site.limits = TIERS["professional"] if value == "on" else None  # type: ignore[attr-defined]
            elif word == "count":
                entries = list(sandbox.log)
                sandbox.reset_counts()
                used = resource.getrusage(resource.RUSAGE_SELF)
                said = {
                    "requests": len(entries),
                    "refused": sum(entry.status == 429 for entry in entries),
                    "cpu_s": used.ru_utime + used.ru_stime,
                    "times": [[entry.time.timestamp(), entry.status] for entry in entries],
                }
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
