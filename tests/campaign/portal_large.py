"""
A portal of 120,000 companies: the requests of the first load, and of 25,000 changes in one window, which is more than
a search has results.

Both counted by the sandbox; every company that changed must have arrived.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from syncer import engine
from syncer.budget import Budget
from syncer.sandbox import Clock
from syncer.sandbox.hubspot import HubSpotSite
from syncer.transport import Doors
from tests.campaign.beds import Bed, bed
from tests.conftest import MovableClock, query_file

NAME = "hubspot.companies"
CHANGE = "syncer campaign"


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    companies, changes = (3_000, 1_200) if is_short else (120_000, 25_000)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="syncer-large-"))
    site = HubSpotSite.generate(
        seed=1, companies=companies, contacts=0, deals=0, tickets=0, activities=0, clock=Clock(is_frozen=True)
    )
    site.limits = None
    wrong = 0
    try:
        with bed(folder, hubspot=site) as home:
            live = [each.id for each in site.store.records["companies"].values() if not each.is_archived]
            binned = companies_in_bin(site)
            pages, others, seconds = pull(home)
            wanted = -(-len(live) // 100)
            print(
                f"first load of {len(live):,} companies ({binned:,} archived): {pages:,} list pages, "
                f"{wanted:,} needed, and {sum(others.values()):,} other requests; {seconds:.0f} s\n  {dict(others)}",
                flush=True,
            )
            wrong += abs(pages + sum(others.values()) - wanted) > wanted * 0.02 + 8  # definitions, details, the bin
            for number in live[:: len(live) // changes][:changes]:
                site.store.update("companies", number, {"description": CHANGE})
            site.clock.advance(120)
            _, asked, seconds = pull(home)
            found = count(home, f"description = '{CHANGE}'")
            print(f"{changes:,} changes in one window: {found:,} arrived, {dict(asked)}; {seconds:.0f} s", flush=True)
            wrong += found != changes
            refused = [entry for entry in home.sandbox.log if entry.status >= 400]
            print(f"answers of 400 or more: {len(refused)}; {time.monotonic() - began:.0f} s in all", flush=True)
            wrong += len(refused)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(wrong)


def companies_in_bin(site: HubSpotSite) -> int:
    """Count the archived companies."""
    return sum(each.is_archived for each in site.store.records["companies"].values())


def pull(home: Bed) -> tuple[int, Counter[str], float]:
    """Pull; return the list pages of live records, the other requests by route, and the seconds."""
    home.sandbox.reset_counts()
    began = time.monotonic()
    clock = MovableClock()
    doors = Doors(clock=clock, budget=Budget(home.folder / "cache", clock=clock))
    (run,) = engine.pull(NAME, settings=home.settings(hubspot={"limits": "off"}), doors=doors)
    if run.status != "done":
        raise AssertionError(run.error)
    pages, others = 0, Counter[str]()
    for entry in home.sandbox.log:
        path, _, query = entry.path.partition("?")
        if (
            entry.method == "GET"
            and path.endswith("/companies")
            and "objects" in path
            and "archived=true" not in query
        ):
            pages += 1
        else:
            others[f"{entry.method} {path}{' of the bin' if 'archived=true' in query else ''}"] += 1
    return pages, others, time.monotonic() - began


def count(home: Bed, condition: str) -> int:
    """Count live rows."""
    query = f"SELECT COUNT(*) FROM load.hubspot_companies WHERE dss_record_state = 'live' AND {condition}"
    return int(query_file(home.file, query)[0][0])
