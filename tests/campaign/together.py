"""
Two processes on one token and one DuckDB file: Jira in one and GitLab in the other, and both GitLab on two mappings.

The sandbox counts that no limit is ever passed; both finish; `syncer status` answers meanwhile in under 5 s.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from syncer.sandbox import Clock, GitLabSite, JiraSite
from syncer.sandbox.gitlab import Limits
from tests.campaign.beds import Bed, bed

LIMIT, WINDOW_S = 150, 60.0  # of the GitLab token, narrow enough to be met
STATUS_S = 5.0


def campaign(*, is_short: bool) -> int:
    """Run it three times; print the figures; return how many things were wrong."""
    wrong = 0
    for number in range(1 if is_short else 3):
        for names in (("jira.*", "gitlab.*"), ("gitlab.commits", "gitlab.branch_commits")):
            wrong += one(names, seed=number + 1, records=200 if is_short else 1_500)
    return wrong


def one(names: tuple[str, str], *, seed: int, records: int) -> int:
    """Run two processes side by side."""
    clock = Clock()
    gitlab = GitLabSite.generate(
        seed=seed,
        projects=25,
        issues=records,
        merge_requests=100,
        pipelines=100,
        branches=80,
        commits=records,
        tags=20,
        clock=clock,
    )
    gitlab.limits = Limits(requests=LIMIT, window_s=WINDOW_S, headers="none")
    jira = JiraSite.generate(seed=seed, projects=4, issues=records, clock=clock, index_lag_s=0)
    folder = Path(tempfile.mkdtemp(prefix="syncer-together-"))
    try:
        with bed(folder, jira=jira, gitlab=gitlab) as home:
            (folder / "syncer.toml").write_text(f"[gitlab]\nrequests_per_minute = {LIMIT}\n")
            began = time.monotonic()
            pulls = [start(home, "pull", name, "--output", "json") for name in names]
            slowest, answers = 0.0, 0
            while any(process.poll() is None for process in pulls) and time.monotonic() - began < 600:
                asked = time.monotonic()
                answered = start(home, "status", "--output", "json").wait(timeout=60)
                slowest = max(slowest, time.monotonic() - asked)
                answers += answered == 0
                time.sleep(0.3)
            codes = [process.wait(timeout=60) for process in pulls]
            peak, refused = gitlab.peak_requests(WINDOW_S), gitlab.too_many
            missing = [what for name in ("gitlab.commits", "gitlab.branch_commits") for what in home.wrong(name)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{' and '.join(names)}: exit codes {codes}; GitLab saw at most {peak} of {LIMIT} requests "
        f"in {WINDOW_S:.0f} s, refused {refused}; status answered {answers} times, the slowest in {slowest:.1f} s; "
        f"{len(missing)} rows differ; "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return sum(codes) + (peak > LIMIT) + refused + (slowest > STATUS_S) + len(missing)


def start(home: Bed, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "syncer", *arguments],
        cwd=home.folder,
        env=home.process_environment(),
        stdout=subprocess.DEVNULL,
    )
