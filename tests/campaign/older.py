"""
Going on from an older copy of the warehouse: last night's backup was put back; the next pull ends at the same
state.

The copy is taken after some pulls, the site lives on and is pulled, then the copy is put back and pulled once more.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.campaign.beds import bed
from tests.campaign.churn import is_told_without_a_census, pull, site_of
from tests.campaign.kills import NAMES


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    wrong: list[str] = []
    for source in ("jira", "gitlab"):
        for seed in range(1, 2 if is_short else 6):
            wrong += one(source, seed, records=150 if is_short else 600)
        print(f"{source}: {len(wrong)} wrong", flush=True)
    for what in wrong[:10]:
        print(f"  {what}")
    return len(wrong)


def one(source: str, seed: int, *, records: int) -> list[str]:
    """Run one seed."""
    site = site_of(source, seed, records=records)
    site.limits = None
    folder = Path(tempfile.mkdtemp(prefix="syncer-older-"))
    names = [name for name in NAMES if name.startswith(source)]
    try:
        with bed(folder, **{source: site}) as home:
            wrong = pull(home, names)
            for day in range(4):
                if day == 1:
                    copy = home.store.copy()
                site.clock.advance(20_000)
                site.edit(records // 10, seed * 10 + day)
                site.clock.advance(3_600)
                wrong += pull(home, names)
            home.store.put_back(copy)
            wrong += pull(home, names)
            for name in names:
                wrong += [what for what in home.wrong(name) if is_told_without_a_census(what)]
            return [f"seed {seed}: {what}" for what in wrong]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
