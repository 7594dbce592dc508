"""
GitLab with 500 projects and 3,000 branches, after a busy hour: how many requests a pull of all nine streams costs.

At most 300, counted by the sandbox; the rows equal the API's, and REST alone brings the same rows.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from syncer import engine
from syncer.budget import Budget
from syncer.sandbox import Clock, GitLabSite
from syncer.sandbox.gitlab import Hour
from syncer.transport import Doors
from tests.campaign.beds import Bed, bed, mapping_of
from tests.campaign.kills import NAMES
from tests.conftest import MovableClock, query_file

MOST = 300
GITLAB = [name for name in NAMES if name.startswith("gitlab.")]


def pull(home: Bed, **table: object) -> int:
    """Pull all streams; return how many requests the sandbox counted."""
    home.sandbox.reset_counts()
    clock = MovableClock()
    doors = Doors(clock=clock, budget=Budget(home.folder / "cache", clock=clock))
    settings = home.settings(gitlab={"requests_per_minute": "off", **table})
    failed = [run.error for run in engine.pull(["gitlab.*"], settings=settings, doors=doors) if run.status != "done"]
    if failed:
        raise AssertionError(failed)
    return home.asked("gitlab")


def rows_of(home: Bed, name: str) -> list[tuple[object, ...]]:
    """Return a table's rows, without when they were loaded."""
    mapping = mapping_of(name)
    columns = ", ".join(f'"{field.column}"' for field in mapping.fields)
    return sorted(
        query_file(home.file, f"SELECT {columns}, dss_record_state FROM load.{mapping.table('default')}"), key=repr
    )


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    wrong = 0
    hours = {"as the sheet counts (60 new heads in forks)": Hour(heads_in_forks=60)}
    if not is_short:
        hours["with the 60 new heads on branches of the same projects"] = Hour()
    for title, hour in hours.items():
        wrong += one(title, hour)
    return wrong


def one(title: str, hour: Hour) -> int:
    """Run one kind of busy hour."""
    began = time.monotonic()
    folders = [Path(tempfile.mkdtemp(prefix="syncer-requests-")) for _ in range(2)]
    site = GitLabSite.large(seed=1, clock=Clock(is_frozen=True))
    site.limits = None
    try:
        with bed(folders[0], gitlab=site) as home:
            rest = Bed(home.sandbox, folders[1], home.sites)
            first, first_rest = pull(home), pull(rest, graphql="off")
            site.clock.advance(3_000)
            site.busy_hour(hour=hour)
            site.clock.advance(600)
            again, again_rest = pull(home), pull(rest, graphql="off")
            differences = [what for name in GITLAB for what in home.wrong(name)]
            unequal = [name for name in GITLAB if rows_of(home, name) != rows_of(rest, name)]
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{title}: first load {first} requests ({first_rest} over REST alone); the busy hour {again} ({again_rest}); "
        f"{len(differences)} rows differ from the API; {len(unequal)} tables differ from REST's; "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    for what in [*differences[:5], *unequal]:
        print(f"  {what}")
    return len(differences) + len(unequal) + (again > MOST)
