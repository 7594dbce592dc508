"""
The portal that is pushed to: `python -m bench.push.portal COMPANIES`, syncer's sandbox in a process of its own.

It prints its URL, then reads a word a line from stdin and answers each with a line of JSON:

    count          {"requests", and how many of each sort}: what was answered since the last `count`
    versions       {"live", "keys", "wrong", "versions": {version: how many}} of what the companies hold

Limits are off. Its CPU is counted for nobody.
"""

from __future__ import annotations

import collections
import json
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from bench.push import DEFINITIONS, GUARD, KEY, KIND, OTHER, READ, TOKEN, WRITE
from bench.push.rows import COLUMNS, TIERS, values
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.model import Definition, PortalRecord
from syncer.sandbox.hubspot.store import iso
from syncer.sandbox.messages import Request, Site

FIRST_ID = 9_100_000_000
PROBE = b'{"inputs":[]}'  # an update of nothing: whether the token may write
WRITES = ("/batch/create", "/batch/update", "/batch/upsert", "/batch/archive", "/merge")
NUMBERS = frozenset(name for name, type, _, _ in COLUMNS if type == "number")
ALONE = f"/{KIND}"  # a record a request
TOLD = ("/properties/", "/owners", "/pipelines/", "/property-validations/", "/schemas")


class Portal:
    """A portal whose companies are rows of version 1."""

    def __init__(self, companies: int) -> None:
        self.site = HubSpotSite(clock=Clock(), token=TOKEN, index_lag_s=0)
        self.site.limits = None
        for name, type, field, _ in COLUMNS:
            self.site.store.define(
                KIND,
                Definition(
                    name=name, label=name.title(), type=type, field_type=field, group_name="companies_information",
                    has_unique_value=name == KEY,
                    options=[{"value": each, "label": each.title()} for each in TIERS] if name == "tier" else [],
                ),
            )  # fmt: skip
        self._fill(companies)
        self.sandbox = Sandbox(sites=[self.site], clock=self.site.clock)
        self.sandbox.before_request.append(self._note)
        self._counts: collections.Counter[str] = collections.Counter()
        self.words: dict[str, Callable[[], Any]] = {"count": self._count, "versions": self.versions}

    def versions(self) -> dict[str, Any]:
        """Return how many companies are live, how many keys they have, and of which rows they are; wrong: of none."""
        found: collections.Counter[str] = collections.Counter()
        keys, live, wrong = set(), 0, 0
        for each in self._live():
            live += 1
            key, phone = each.properties.get(KEY) or "", each.properties.get("phone") or ""
            keys.add(key)
            version = phone.split(" ")[1] if phone.count(" ") == 2 else ""
            is_row = version.isdigit() and key[1:].isdigit()
            told = values(int(key[1:]), int(version)) if is_row else {}
            if told and all(_is_same(name, each.properties.get(name), value) for name, value in told.items()):
                found[version] += 1
            else:
                wrong += 1
        return {"live": live, "keys": len(keys), "wrong": wrong, "versions": dict(sorted(found.items()))}

    def _fill(self, companies: int) -> None:
        """Put companies into the store without telling anybody: 100,000 take some seconds."""
        store = self.site.store
        now = store.now_ms()
        created, cursor, moment = store.kinds[KIND].created, store.kinds[KIND].cursor, iso(now)
        for number in range(1, companies + 1):
            id = str(FIRST_ID + number)
            own: dict[str, str | None] = {"hs_object_id": id, created: moment, cursor: moment, **values(number)}
            record = PortalRecord(id=id, kind=KIND, properties=own, created_ms=now, updated_ms=now)
            store.records[KIND][id] = record
        store.start_ids_behind(FIRST_ID + companies)
        self.site.reset()

    def _live(self) -> Iterator[PortalRecord]:
        return (each for each in self.site.store.records[KIND].values() if not each.is_archived)

    def _note(self, site: Site, request: Request) -> None:
        self._counts[sort_of(request.method, request.path, request.body)] += 1

    def _count(self) -> dict[str, int]:
        counts, self._counts = self._counts, collections.Counter()
        self.sandbox.reset_counts()
        return {"requests": counts.total(), **counts}


def _is_same(name: str, held: str | None, value: str) -> bool:
    """Compare a value with a row's: 4.0 is the number 4."""
    return held == value or (name in NUMBERS and bool(held) and Decimal(held or 0) == Decimal(value))


def sort_of(method: str, path: str, body: bytes) -> str:
    """Tell what a request is for; `OTHER` and its path: none of what a push is known to send."""
    if body == PROBE or "/account-info/" in f"{path}/":
        return GUARD
    if path.endswith("/batch/read"):
        return READ
    if path.endswith(WRITES) or method == "PATCH" or (method == "POST" and path.endswith(ALONE)):
        return WRITE
    if method == "GET" and any(part in f"{path}/" for part in TOLD):
        return DEFINITIONS
    return f"{OTHER} {method} {path}"


def main(companies: int) -> None:
    """Make the portal, say where it is, and do what it is told until stdin ends."""
    portal = Portal(companies)
    with portal.sandbox:
        print(portal.sandbox.url(portal.site.name), flush=True)
        for line in sys.stdin:
            print(json.dumps(portal.words[line.strip()]()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
