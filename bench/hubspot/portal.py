"""
The portal that everybody reads: `python -m bench.hubspot.portal RECORDS`, syncer's sandbox in a process of its own.

It prints its URL, then reads a word a line from stdin and answers each with a line of JSON:

    rest          an hour passes: nothing that changed before stands within a lookback any more
    change        5 % of the live companies change, spread over all ids, and search learns of it: how many
    wait          two minutes pass
    count         how many requests were answered since the last `count`
    truth         {"rows", "checksum"} of what is live now
    properties    how many a company has

Limits are off, and its clock moves only when it is told to. Its CPU is counted for nobody.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from bench.hubspot import CHANGED, FLAG, NUMBERS, TEXTS, TOKEN, checksum
from syncer import values
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import HubSpotSite, generate

EVERY = 20  # one live company of so many changes
HOUR_S, LAG_S = 3600.0, 120.0


class Portal:
    """A portal of companies, and what may happen to it."""

    def __init__(self, records: int) -> None:
        generate.FULL_UP_TO = max(generate.FULL_UP_TO, records)  # a kind of more records has few values on each
        self.site = HubSpotSite.generate(
            seed=1, companies=records, contacts=0, deals=0, tickets=0, activities=0,
            clock=Clock(is_frozen=True), token=TOKEN,
        )  # fmt: skip
        self.site.limits = None
        self.sandbox = Sandbox(sites=[self.site], clock=self.site.clock)
        self._changes = 0
        self.words: dict[str, Callable[[], Any]] = {
            "rest": lambda: self._pass(HOUR_S),
            "change": self.change,
            "wait": lambda: self._pass(LAG_S),
            "count": self._count,
            "truth": self.truth,
            "properties": lambda: sum(each.archived_ms is None for each in self._definitions()),
        }

    def change(self) -> int:
        """Change some of the companies, each time the same ones to other values; return how many."""
        self._pass(HOUR_S)
        self._changes += 1
        chosen = [each.id for each in self._live()][::EVERY]
        with self.sandbox.locked(self.site.name):
            for id in chosen:
                new = {"description": f"Change {self._changes} of the bench", "numberofemployees": str(self._changes)}
                self.site.store.update("companies", id, new)
        self._pass(LAG_S)
        return len(chosen)

    def truth(self) -> dict[str, Any]:
        """Return how many companies are live, and their checksum."""
        rows = [self._row(each.id, each.properties) for each in self._live()]
        return {"rows": len(rows), "checksum": checksum(rows)}

    def _live(self) -> Iterator[Any]:
        return (each for each in self.site.store.records["companies"].values() if not each.is_archived)

    def _definitions(self) -> Iterable[Any]:
        return self.site.store.definitions["companies"].values()

    @staticmethod
    def _row(id: str, properties: dict[str, str | None]) -> list[Any]:
        numbers = [Decimal(found) if (found := properties.get(name)) else None for name in NUMBERS]
        flag = {"true": True, "false": False}.get(properties.get(FLAG) or "")
        changed = round(values.timestamp(properties[CHANGED]).timestamp() * 1000)
        return [id, *(properties.get(name) for name in TEXTS), *numbers, flag, changed]

    def _pass(self, seconds: float) -> None:
        self.site.clock.advance(seconds)

    def _count(self) -> int:
        counts = self.sandbox.counts.get(self.site.name)
        self.sandbox.reset_counts()
        return counts.requests if counts else 0


def main(records: int) -> None:
    """Make the portal, say where it is, and do what it is told until stdin ends."""
    portal = Portal(records)
    with portal.sandbox:
        print(portal.sandbox.url(portal.site.name), flush=True)
        for line in sys.stdin:
            print(json.dumps(portal.words[line.strip()]()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
