"""
Random days of a HubSpot portal's life, a pull after each, every seventh a census: the warehouse equals the portal,
record by record and edge by edge, save what the judge excuses by its cause.

Three forms: plain; with a kill -9 at a random I/O call of every pull and the pull once more; and, on one day of each
seed, going on from a three-day-old copy of the warehouse.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Clock
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.life import Life
from tests.campaign.beds import Bed, bed
from tests.campaign.kills import victim
from tests.portal_truth import OBJECTS, Judge

EVERY = ["hubspot.*"]
HOUR_S = 3_600.0
CENSUS_EACH = 7


@attrs.define
class Days:
    """What a campaign did."""

    days: int = 0
    pulls: int = 0
    kills: int = 0
    copies: int = 0
    compared: Counter[str] = attrs.field(factory=Counter)
    excused: Counter[str] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        compared = sum(self.compared.values())
        excused = ", ".join(f"{count:,} {what}" for what, count in sorted(self.excused.items())) or "none"
        events = ", ".join(f"{what} {count:,}" for what, count in sorted(self.events.items()))
        return (
            f"{self.days} days, {self.pulls} pulls, {self.kills} of them killed, {self.copies} older copies; "
            f"{compared:,} records and edges compared, {len(self.wrong)} wrong; excused: {excused}\n  events: {events}"
        )


def site_of(seed: int, *, records: int = 60) -> HubSpotSite:
    """Make a portal of a few hundred records; every other seed keeps the primary id when it merges."""
    site = HubSpotSite.generate(
        seed=seed,
        companies=records,
        contacts=records,
        deals=records // 2,
        tickets=records // 2,
        activities=records // 6,
        clock=Clock(is_frozen=True),
    )
    site.limits = None
    site.store.merge_mode = "primary" if seed % 2 else "new"
    return site


def live(seed: int, days: int, done: Days, *, kills: bool = False, older: bool = False, family: str = "") -> None:
    """Live *days* days on a portal of *seed*; note in *done* what came of it."""
    site = site_of(seed)
    rng = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="syncer-portal-"))
    purged: list[set[str]] = []  # ids that were purged, as of each census
    try:
        with bed(folder, hubspot=site) as home, victim() as killer:
            home.more = {"SYNCER_HUBSPOT_API": family or ("v3" if seed % 3 == 0 else "2026-09")}
            copies: list[Any] = []
            moments = [site.store.now_ms()]
            life = Life(site, seed)
            pull(home, killer, done, "incremental")
            for day in range(1, days + 1):
                done.events.update(event.kind for event in life.day())
                site.clock.advance(HOUR_S)
                moments.append(site.store.now_ms())
                mode = "census" if day % CENSUS_EACH == 0 else "incremental"
                if older and day == days // 2 and len(copies) >= 3:
                    home.store.put_back(copies[-3])
                    done.copies += 1
                    del moments[-3:-1]  # the copy knows nothing of the pulls since
                kill_at = rng.randrange(1, 320) if kills else None
                if kill_at is not None:
                    ended = pull(home, killer, done, mode, kill_at=kill_at, when=rng.choice(["before", "after"]))
                    done.kills += ended["end"] is None
                pull(home, killer, done, mode)
                if mode == "census":
                    pull(home, killer, done, "incremental")
                    purged.append({number for kind in site.store.purged.values() for number in kind})
                done.days += 1
                twice = purged[-2] if len(purged) > 1 and not older else set()
                judge = Judge(
                    site=site,
                    file=home.file,
                    is_census=mode == "census",
                    purged_twice=frozenset(twice),
                    pulls=tuple(moments),
                )
                found = judge.all()
                done.compared += found.compared
                done.excused += found.excused
                done.wrong += [f"seed {seed}, day {day}: {what}" for what in found.wrong]
                if found.wrong:
                    return
                if older:
                    copies.append(home.store.copy())
                if len(copies) > 4:
                    home.store.forget(copies.pop(0))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pull(home: Bed, killer: Any, done: Days, mode: str, **more: Any) -> dict[str, Any]:
    """Pull everything in a process of its own."""
    done.pulls += 1
    # A third of thirty contacts may well be purged in two weeks.
    tables: dict[str, Any] = {f"hubspot.{kind}": {"max_gone_share": "off"} for kind in (*OBJECTS, "associations")}
    tables["hubspot"] = {"limits": "off", "workers": 2}
    at = home.sites["hubspot"].clock.now().timestamp()
    ended: dict[str, Any] = killer.order(home, EVERY, mode=mode, tables=tables, at=at, **more)
    if "kill_at" not in more:
        failed = [run for run in ended["end"]["runs"] if run[1] != "done"] if ended["end"] else [["all", "no end"]]
        done.wrong += [f"{run[0]}: {run[1:]}" for run in failed]
    return ended


def campaign(*, is_short: bool, seeds: int = 0, days: int = 0) -> int:
    """Run it; print the figures; return how many things were wrong."""
    seeds, days = seeds or (1 if is_short else 10), days or (8 if is_short else 30)
    wrong = 0
    for name, options in (("plain", {}), ("killed", {"kills": True}), ("older copy", {"older": True})):
        began = time.monotonic()
        done = Days()
        for seed in range(1, seeds + 1):
            live(seed, days, done, **options)
        print(f"{name}: {done}; {time.monotonic() - began:.0f} s", flush=True)
        for what in done.wrong[:10]:
            print(f"  {what}", flush=True)
        wrong += len(done.wrong)
    return wrong
