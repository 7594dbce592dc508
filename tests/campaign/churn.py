"""
3,000 records changing, appearing and disappearing at random while they are pulled.

After the next pull nothing may be missing and nothing stale, of what the API tells without a census; after a census
nothing at all. The edits come between any two requests, from the seed.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from syncer import engine
from syncer.budget import Budget
from syncer.sandbox import Clock, GitLabSite, JiraSite
from syncer.transport import Doors
from tests.campaign.beds import Bed, bed
from tests.campaign.kills import NAMES
from tests.conftest import MovableClock

EDITS_A_REQUEST = 12


def site_of(source: str, seed: int, *, records: int) -> Any:
    """Make a site of about *records* records that change."""
    clock = Clock(is_frozen=True)
    if source == "jira":
        return JiraSite.generate(seed=seed, projects=4, issues=records, clock=clock, index_lag_s=30)
    return GitLabSite.generate(
        seed=seed,
        projects=12,
        issues=records,
        merge_requests=records // 10,
        pipelines=records // 10,
        branches=60,
        commits=400,
        tags=20,
        hidden=1,
        clock=clock,
    )


def one(source: str, seed: int, *, records: int) -> list[str]:
    """Run one seed; return what was wrong."""
    site = site_of(source, seed, records=records)
    site.limits = None
    folder = Path(tempfile.mkdtemp(prefix="syncer-churn-"))
    rng = random.Random(seed)
    names = [name for name in NAMES if name.startswith(source)]
    try:
        with bed(folder, **{source: site}) as home:
            churning = [True]

            def edit(_: Any, request: Any) -> None:
                if churning[0]:
                    site.edit(rng.randrange(EDITS_A_REQUEST), rng.randrange(2**31))
                    site.clock.advance(rng.random())

            home.sandbox.before_request.append(edit)
            wrong = pull(home, names)  # the first load
            site.clock.advance(3600)
            wrong += pull(home, names)  # and an incremental one
            churning[0] = False
            site.clock.advance(3600)
            wrong += pull(home, names)
            for name in names:
                wrong += [f"after a pull: {what}" for what in home.wrong(name) if is_told_without_a_census(what)]
            wrong += pull(home, names, mode=engine.CENSUS, is_forced=True)
            for name in names:
                wrong += [f"after a census: {what}" for what in home.wrong(name)]
            again = pull(home, names)
            return [f"seed {seed}: {what}" for what in wrong + again]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pull(home: Bed, names: list[str], **request: Any) -> list[str]:
    """Pull; return what failed."""
    clock = MovableClock()
    doors = Doors(clock=clock, budget=Budget(home.folder / "cache", clock=clock))
    runs = engine.pull(names, settings=home.settings(), request=engine.Request(**request), doors=doors)
    return [f"{run.mapping}: {run.error}" for run in runs if run.status != "done"]


def is_told_without_a_census(what: str) -> bool:
    """Disappearing is not told; everything else is."""
    return "the API has it no more" not in what


def campaign(*, is_short: bool) -> int:
    """Run all seeds; print the figures; return how many things were wrong."""
    seeds, records = (2, 300) if is_short else (20, 3_000)
    wrong: list[str] = []
    for source in ("jira", "gitlab"):
        began = time.monotonic()
        found = [what for seed in range(1, seeds + 1) for what in one(source, seed, records=records)]
        print(
            f"{source}: {seeds} seeds, {records} records: {len(found)} wrong; {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for what in found[:8]:
            print(f"  {what}")
        wrong += found
    return len(wrong)
