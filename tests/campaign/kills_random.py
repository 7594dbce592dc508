"""kill -9 at 50 random moments of a pull of 20,000 records, then to the end: everything once, and equal."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path

from syncer.sandbox import Clock, JiraSite
from tests.campaign.beds import bed
from tests.campaign.kills import OVERHEAD, Kills, edit_what_was_read, victim

PAGE = 3  # one page a scope: of search, the issues that were under way, and those asked for ahead of them


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    kills, issues = (3, 1_500) if is_short else (50, 20_000)
    done = Kills()
    began = time.monotonic()
    rng = random.Random(7)
    site = JiraSite.generate(seed=5, projects=4, issues=issues, clock=Clock(is_frozen=True), index_lag_s=0)
    site.limits = None
    folder = Path(tempfile.mkdtemp(prefix="syncer-kill-"))
    with bed(folder, jira=site) as home, victim() as killer:
        whole = killer.order(home, ["jira.issues"])
        full, seconds = whole["end"]["runs"][0][2], whole["seconds"]
        print(f"uninterrupted: {full} requests, {seconds:.1f} s", flush=True)
        for number in range(kills):
            home.store.clear()
            home.sandbox.reset_counts()
            ended = killer.order(
                home, ["jira.issues"], kill_after_s=rng.uniform(0.05, 0.98) * seconds, group_rows=2_000
            )
            done.trials += 1
            done.killed += ended["end"] is None
            committed = max([note["committed"] for note in ended["notes"] if note.get("mapping")], default=0)
            done.first_requests += home.asked("jira")
            done.committed_requests += committed
            edits = 3 if number % 2 else 0
            edit_what_was_read(site, edits, seed=number)
            site.clock.advance(120)
            home.sandbox.reset_counts()
            again = killer.order(home, ["jira.issues"])
            if again["end"] is None or again["end"]["runs"][0][1] != "done":
                done.wrong.append(f"kill {number}: the next pull ended with {again}")
                continue
            requests = home.asked("jira")
            done.again_requests += requests
            if ended["end"] is None and not edits:
                extra = requests - (full - committed)
                done.most_extra = max(done.most_extra, extra)
                if extra > OVERHEAD + PAGE:
                    done.wrong.append(f"kill {number}: {requests} requests, {full} in all, {committed} committed")
            done.wrong += [f"kill {number}: {what}" for what in home.wrong("jira.issues")[:3]]
    shutil.rmtree(folder, ignore_errors=True)
    done.seconds = time.monotonic() - began
    print(done)
    for what in done.wrong[:10]:
        print(f"  {what}")
    return len(done.wrong)
