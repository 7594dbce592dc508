"""The request budget is shared by all processes of a machine, and survives a crash of any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from syncer.budget import Bucket, Budget, owner_of
from syncer.clock import SystemClock
from tests.conftest import MovableClock

TAKER = """
import sys, time
from pathlib import Path
from syncer.budget import Bucket, Budget
from syncer.clock import SystemClock
budget = Budget(Path(sys.argv[1]), clock=SystemClock())
bucket = Bucket(name="all", limit=40, window_s=1.0)
for _ in range(int(sys.argv[2])):
    budget.take("x:1", bucket)
    print(repr(time.time()), flush=True)
"""


def test_never_more_than_the_limit_in_any_window(tmp_path: Path) -> None:
    """Three processes at once; each moment is counted with all others."""
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKER, str(tmp_path), "50"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    moments = sorted(float(line) for taker in takers for line in taker.communicate(timeout=60)[0].split())
    assert len(moments) == 150
    most = max(sum(1 for other in moments if start <= other < start + 1.0) for start in moments)
    assert most <= 40


def test_most_of_the_limit_is_used() -> None:
    """A budget that is only safe would be a brake."""
    bucket = Bucket(name="all", limit=2000, window_s=60)
    assert bucket.window_s / bucket.lifetime_s >= 0.9


def test_a_process_that_is_killed_takes_nothing_with_it_for_good(tmp_path: Path) -> None:
    """Its reservation runs out; nobody needs to clean up."""
    taker = subprocess.Popen([sys.executable, "-c", TAKER, str(tmp_path), "1000"], stdout=subprocess.PIPE, text=True)
    assert taker.stdout is not None
    taker.stdout.readline()
    os.kill(taker.pid, signal.SIGKILL)
    taker.communicate(timeout=60)
    budget = Budget(tmp_path, clock=SystemClock())
    bucket = Bucket(name="all", limit=40, window_s=1.0)
    began = time.monotonic()
    for _ in range(40):
        budget.take("x:1", bucket)
    assert time.monotonic() - began < 10


def test_tokens_do_not_share(tmp_path: Path) -> None:
    """Each token has its own budget, and its name gives the token away to nobody."""
    clock = MovableClock()
    budget = Budget(tmp_path, clock=clock)
    bucket = Bucket(name="all", limit=1, window_s=60)
    one, other = owner_of("jira", "http://x", "secret-one"), owner_of("jira", "http://x", "secret-two")
    assert budget.take(one, bucket) == 0 and budget.take(other, bucket) == 0
    assert budget.take(one, bucket) >= 60
    assert one != other and "secret" not in one
    assert all("secret" not in file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file())


def test_usage_tells_what_is_used_and_who_waits(tmp_path: Path) -> None:
    """`status` shows it."""
    clock = MovableClock()
    budget = Budget(tmp_path, clock=clock)
    bucket = Bucket(name="search", limit=10, window_s=60)
    budget.take("hubspot:1", bucket)
    budget.pause("hubspot:1", bucket, 30)
    (usage,) = budget.usage()
    assert (usage.owner, usage.bucket, usage.limit) == ("hubspot:1", "search", 10)
    assert usage.used >= 1 and 29 < usage.paused_s <= 30


def test_a_clock_that_was_set_back_does_not_stop_the_world(tmp_path: Path) -> None:
    """Reservations from the future are not believed."""
    clock = MovableClock()
    budget = Budget(tmp_path, clock=clock)
    bucket = Bucket(name="all", limit=1, window_s=60)
    budget.take("x:1", bucket)
    clock.advance(-86_400)
    assert Budget(tmp_path, clock=clock).take("x:1", bucket) == 0
