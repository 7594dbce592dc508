"""
kill -9 anywhere: at every I/O call of a small pull, before and after each, and at random moments of a large one.

After each kill some of the records that were already read are edited, and the pull is run to its end: every record
must be there once and equal to the API's, and pages that were committed may not be fetched again, at most one page a
scope. What a page takes several requests for (a bulk fetch of issues, and the further comments of some of them) has
one place behind it, and is one page here.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Clock, GitLabSite, JiraSite
from tests.campaign.beds import Bed, bed

# What each run asks before its first page: who am I, which site, which projects, definitions, statuses; and behind a
# window that is gone on with the first page of the next one, which looks for what changed meanwhile.
OVERHEAD = 6
GROUP_ROWS = 40
NAMES = tuple(f"jira.{stream}" for stream in ("projects", "issues", "changelogs", "comments", "worklogs")) + tuple(
    f"gitlab.{stream}"
    for stream in (
        "projects",
        "issues",
        "merge_requests",
        "merge_request_commits",
        "pipelines",
        "commits",
        "branches",
        "branch_commits",
        "tags",
    )
)


@attrs.define
class Kills:
    """What came of a number of kills."""

    trials: int = 0
    killed: int = 0
    wrong: list[str] = attrs.field(factory=list)
    first_requests: int = 0
    committed_requests: int = 0
    again_requests: int = 0
    most_extra: int = 0
    seconds: float = 0.0

    def add(self, other: Kills) -> None:
        """Count another one's in."""
        for name in ("trials", "killed", "first_requests", "committed_requests", "again_requests", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most_extra = max(self.most_extra, other.most_extra)
        self.wrong += other.wrong

    def __str__(self) -> str:
        return (
            f"{self.trials} trials, {self.killed} killed: {len(self.wrong)} wrong; requests: {self.first_requests} "
            "before the kills, "
            f"{self.committed_requests} of them for committed pages, {self.again_requests} to the end; at most "
            f"{self.most_extra} more than "
            f"what was not committed, a page a scope included; {self.seconds:.0f} s"
        )


class Victim:
    """A process that forks the victims."""

    def __init__(self, *, within: Sequence[str] = ()) -> None:
        """Start it; *within*: the command that starts it elsewhere, such as on another host."""
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", "tests.campaign.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def order(self, home: Bed, names: list[str], **order: Any) -> dict[str, Any]:
        """Run one order; return how it ended, and what it wrote down."""
        trace = home.folder / order.get("trace", "trace.jsonl")
        trace.unlink(missing_ok=True)
        tables = {"jira": {"workers": 1, "limits": "off"}, "gitlab": {"workers": 1, "requests_per_minute": "off"}}
        full = {"folder": str(home.folder), "variables": home.variables(), "names": names, "tables": tables, **order}
        ended = self.told(full)
        notes = [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []
        ended["notes"] = notes
        ended["end"] = next((note for note in notes if note.get("end")), None)
        return ended

    def told(self, order: dict[str, Any]) -> dict[str, Any]:
        """Hand a whole order over; return how it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        ended: dict[str, Any] = json.loads(self._process.stdout.readline())
        return ended

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


@contextmanager
def victim(*, within: Sequence[str] = ()) -> Iterator[Victim]:
    """Run the process that forks victims."""
    found = Victim(within=within)
    try:
        yield found
    finally:
        found.close()


def small_site(source: str, seed: int) -> Any:
    """Make a small site; the same one for the same seed."""
    clock = Clock(is_frozen=True)
    if source == "jira":
        return JiraSite.generate(seed=seed, projects=3, issues=330, clock=clock, index_lag_s=0)
    return GitLabSite.generate(
        seed=seed,
        projects=5,
        issues=130,
        merge_requests=30,
        pipelines=40,
        branches=14,
        commits=90,
        tags=8,
        hidden=0,
        clock=clock,
    )


@contextmanager
def home_of(source: str, seed: int) -> Iterator[Bed]:
    """Run a small site with an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-kill-"))
    site = small_site(source, seed)
    site.limits = None
    try:
        with bed(folder, **{source: site}) as home:
            yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def everywhere(name: str, *, every: int = 1, seed: int = 1) -> Kills:
    """Kill a small pull of one mapping at each I/O call (or each *every*-th), before and after it."""
    began = time.monotonic()
    source = name.partition(".")[0]
    done = Kills()
    with victim() as killer:
        with home_of(source, seed) as home:
            whole = killer.order(home, [name], group_rows=GROUP_ROWS)
            assert whole["end"] is not None, whole
            calls, full = whole["end"]["calls"], whole["end"]["runs"][0][2]
            done.wrong += home.wrong(name)
        for number in range(1 + seed % every, calls + 1, every):
            for when in ("before", "after"):
                with home_of(source, seed) as home:
                    _one(killer, home, name, done, full=full, edits=number % 3, kill_at=number, when=when)
    done.seconds = time.monotonic() - began
    return done


def _one(killer: Victim, home: Bed, name: str, done: Kills, *, full: int, edits: int, **kill: Any) -> None:
    site = home.sites[name.partition(".")[0]]
    ended = killer.order(home, [name], group_rows=GROUP_ROWS, **kill)
    done.trials += 1
    done.killed += ended["end"] is None
    groups = [note for note in ended["notes"] if note.get("mapping")]
    committed = max([note["committed"] for note in groups if note["scopes"]], default=0)
    first = home.asked(site.name)
    home.sandbox.reset_counts()
    edit_what_was_read(site, edits, seed=kill.get("kill_at", 1))
    site.clock.advance(120)
    again = killer.order(home, [name], group_rows=GROUP_ROWS)
    if again["end"] is None or again["end"]["runs"][0][1] != "done":
        done.wrong.append(f"{name} {kill}: the next pull ended with {again}")
        return
    requests = home.asked(site.name)
    done.first_requests += first
    done.committed_requests += committed
    done.again_requests += requests
    scopes = 1 + max([note["scopes"] for note in groups], default=0)
    extra = requests - (full - committed)
    done.most_extra = max(done.most_extra, extra)
    if ended["end"] is None and edits == 0 and extra > scopes + OVERHEAD:
        done.wrong.append(
            f"{name} {kill}: {requests} requests after the kill, {full} in all, {committed} committed, {scopes} scopes"
        )
    done.wrong += [f"{kill}: {what}" for what in home.wrong(name)]


def edit_what_was_read(site: Any, count: int, *, seed: int) -> None:
    """Change some of the oldest records: those that the killed pull had read."""
    rng = random.Random(seed)
    if site.name == "jira":
        issues = sorted(site.truth("issues"), key=lambda key: int(key[0]))[:30]
        for (number,) in rng.sample(issues, count):
            site.update_issue(number, {"summary": f"edited {rng.random()}"})
    else:
        for (number,) in rng.sample(sorted(site.truth("issues"))[:30], count):
            site.edits.edit_issue(number, title=f"edited {rng.random()}")


def campaign(*, is_short: bool) -> int:
    """Kill every stream everywhere; print the figures; return how many things were wrong."""
    total = Kills()
    for name in NAMES:
        found = everywhere(name, every=9 if is_short else 1)
        print(f"{name}: {found}", flush=True)
        for what in found.wrong[:5]:
            print(f"  {what}")
        total.add(found)
    print(f"all: {total}")
    return len(total.wrong)
