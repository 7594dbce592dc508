"""The request budget is shared by all processes of a machine, and survives a crash of any of them."""

from __future__ import annotations

import datetime as dt
import errno
import heapq
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import diskcache
import pytest

from syncer import cache
from syncer.budget import Bucket, Budget, owner_of
from syncer.clock import SystemClock
from syncer.errors import SyncerError
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
    assert most_in(1.0, moments) <= 40


class Waits(Exception):
    """A process has to wait that many seconds."""


@pytest.mark.parametrize("seed", range(4))
def test_most_of_the_limit_is_used_and_never_more(tmp_path: Path, seed: int) -> None:
    """A budget that is only safe would be a brake: four processes that want more than there is get nine tenths."""
    clock, chance = MovableClock(), random.Random(seed)
    bucket = Bucket(name="all", limit=100, window_s=10.0)
    processes = [Budget(tmp_path, clock=clock) for _ in range(4)]
    next_ones = [(clock.monotonic() + chance.random(), at) for at in range(4)]
    began, moments = clock.monotonic(), list[float]()

    def waits(seconds: float) -> None:
        raise Waits(seconds)

    while len(moments) < 1_200:
        moment, at = heapq.heappop(next_ones)
        clock.advance(max(0.0, moment - clock.monotonic()))
        try:
            processes[at].take("x:1", bucket, sleep=waits)
        except Waits as error:
            heapq.heappush(next_ones, (clock.monotonic() + error.args[0], at))
        else:
            moments.append(clock.monotonic())
            heapq.heappush(next_ones, (clock.monotonic() + chance.uniform(0.05, 0.5), at))
    assert most_in(10.0, moments) <= 100
    late = [moment + chance.uniform(0.0, 0.2) for moment in moments]  # on their way to the server
    assert most_in(10.0, sorted(late)) <= 100
    steady = [moment for moment in moments if moment > began + 20.0]
    assert len(steady) / (steady[-1] - steady[0]) >= 0.9 * 10.0


def test_what_is_reserved_and_not_used_is_given_back(tmp_path: Path) -> None:
    """A process that sends little must not take much from the others."""
    clock = MovableClock()
    budget, bucket = Budget(tmp_path, clock=clock), Bucket(name="all", limit=200, window_s=10.0)
    for _ in range(100):
        budget.take("x:1", bucket)
        clock.advance(0.7)
    (usage,) = budget.usage()
    assert 10 / 0.7 <= usage.used <= 11.3 / 0.7 + bucket.chunk


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


def test_a_clock_that_begins_anew_stops_nobody_longer_than_a_window(tmp_path: Path) -> None:
    """After a restart, what was reserved lies in the future: it counts once more, and then no more."""
    clock = MovableClock()
    bucket = Bucket(name="all", limit=1, window_s=60)
    Budget(tmp_path, clock=clock).take("x:1", bucket)
    clock.advance(-86_400)
    assert 0 < Budget(tmp_path, clock=clock).take("x:1", bucket) <= bucket.lifetime_s + 0.01


class Stepped(MovableClock):
    """A machine whose time of day is set while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.step = dt.timedelta(0)

    def now(self) -> dt.datetime:
        return super().now() + self.step

    def monotonic(self) -> float:
        return (super().now() - self._start).total_seconds()


@pytest.mark.parametrize("step_s", [0, -5, -61, -3_600, 70, 7_200])
def test_a_clock_that_is_set_lets_nothing_more_through(tmp_path: Path, step_s: float) -> None:
    """The limit is the server's, whose clock was not set."""
    clock = Stepped()
    bucket, budget = Bucket(name="all", limit=100, window_s=60), Budget(tmp_path, clock=clock)
    moments = []
    for number in range(250):
        if number == 90:
            clock.step = dt.timedelta(seconds=step_s)
        budget.take("x:1", bucket)
        moments.append(clock.monotonic())
        clock.advance(0.01)
    assert most_in(60, moments) <= 100 and moments[-1] < 200


def test_a_step_back_lets_nothing_more_through_where_the_clock_is_all_there_is(tmp_path: Path) -> None:
    """A reservation from the future counts as a new one, and is not forgotten."""
    clock = MovableClock()
    bucket = Bucket(name="all", limit=20, window_s=60)
    for _ in range(20):
        Budget(tmp_path, clock=clock).take("x:1", bucket)
    clock.advance(-5)
    assert Budget(tmp_path, clock=clock).take("x:1", bucket) > 60


def test_a_pause_is_never_longer_than_it_was(tmp_path: Path) -> None:
    """A clock that begins anew made a pause of five minutes a day."""
    clock = MovableClock()
    budget, bucket = Budget(tmp_path, clock=clock), Bucket(name="all", limit=100, window_s=60)
    budget.pause("x:1", bucket, 300)
    clock.advance(-86_400)
    assert budget.usage()[0].paused_s <= 300
    assert 299 < budget.take("x:1", bucket) <= 300.1


def test_a_shorter_pause_does_not_end_a_longer_one(tmp_path: Path) -> None:
    """Two answers that say different things: the later end holds."""
    clock = MovableClock()
    budget, bucket = Budget(tmp_path, clock=clock), Bucket(name="all", limit=100, window_s=60)
    budget.pause("x:1", bucket, 100)
    clock.advance(10)
    budget.pause("x:1", bucket, 20)
    assert 89 < budget.take("x:1", bucket) <= 90.1


def test_an_entry_does_not_stay_for_ever(tmp_path: Path) -> None:
    """Tokens are changed once a year, and their budgets must not pile up."""
    clock = MovableClock()
    budget, bucket = Budget(tmp_path, clock=clock), Bucket(name="all", limit=100, window_s=60)
    budget.pause("x:1", bucket, 300)
    ((ends,),) = cache.opened(tmp_path)._sql("SELECT expire_time FROM Cache").fetchall()
    assert 3_600 < ends - time.time() <= 8 * 86_400


def test_what_waits_can_be_told_to_stop(tmp_path: Path) -> None:
    """A transport that is closed ends its waits."""
    budget, bucket = Budget(tmp_path, clock=MovableClock()), Bucket(name="all", limit=1, window_s=60)
    budget.take("x:1", bucket)

    def refuse(seconds: float) -> None:
        raise SyncerError("closed")

    with pytest.raises(SyncerError, match="closed"):
        budget.take("x:1", bucket, sleep=refuse)


def test_an_owner_is_named_whatever_its_token_holds() -> None:
    """A variable that is no UTF-8 has lone surrogates in Python."""
    assert owner_of("jira", "http://x", "tok\udce9n") != owner_of("jira", "http://x", "token")


def spoil(folder: Path, how: str) -> None:
    if how == "a file":
        folder.write_text("here")
        return
    if how == "below a file":
        folder.parent.rmdir()
        folder.parent.write_text("here")
        return
    folder.mkdir()
    if how == "no database":
        (folder / "cache.db").write_bytes(b"not a database" * 100)
        return
    Budget(folder, clock=MovableClock()).take("x:1", Bucket(name="all", limit=9, window_s=60))
    cache.opened(folder).close()
    cache.opened.cache_clear()
    with sqlite3.connect(folder / "cache.db") as file:
        if how == "another shape":
            file.execute("UPDATE Cache SET value = ?", [zlib.compress(b'{"reserved": 5}')])
        else:
            file.execute("UPDATE Cache SET value = ?", [b"garbage"])
    file.close()


@pytest.mark.parametrize("how", ["a file", "below a file", "no database", "another shape", "garbage"])
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, how: str) -> None:
    """Going on without it would break the promise that processes share a budget, and nobody would know."""
    folder = tmp_path / "above" / "cache"
    folder.parent.mkdir()
    spoil(folder, how)
    budget, bucket = Budget(folder, clock=MovableClock()), Bucket(name="all", limit=9, window_s=60)
    asked: list[Callable[[], object]] = [
        lambda: budget.take("x:1", bucket),
        lambda: budget.pause("x:1", bucket, 5),
        budget.usage,
    ]
    for ask in asked[: 2 if how == "below a file" else 3]:  # what is not there is used by nobody
        with pytest.raises(SyncerError, match="SYNCER_CACHE") as caught:
            ask()
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
        assert ("Delete the folder" in str(caught.value)) is not how.endswith("a file")  # it may be a person's


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of another user."""

    def refused(path: str, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "makedirs", refused)  # root, as whom tests may run, would be let in
    with pytest.raises(SyncerError, match=r"Permission denied.*SYNCER_CACHE"):
        Budget(tmp_path / "cache", clock=MovableClock()).take("x:1", Bucket(name="all", limit=9, window_s=60))


def test_a_folder_that_turns_bad_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails is no lock: trying for ever would be silence."""
    store = cache.opened(tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise diskcache.Timeout

    monkeypatch.setattr(store, "transact", fails)
    with pytest.raises(SyncerError, match="SYNCER_CACHE"):
        Budget(tmp_path, clock=MovableClock()).take("x:1", Bucket(name="all", limit=9, window_s=60))


def most_in(window_s: float, moments: Sequence[float]) -> int:
    return max(sum(1 for other in moments if start <= other < start + window_s) for start in moments)
