"""
Processes that ask one account at once: with one budget, as on one machine, and with a budget each, as on two.

The portal is the sandbox's with the limits of a professional account on, 100 ms away; the client is syncer's own. Two
machines are two folders of the budget on this machine: what they know of each other is the same as far apart, the
answers' headers and the 429s.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import environments
from bench.scale import told

LATENCY_MS = (100.0, 100.0)
THREADS = 4
WINDOW_S = {"general": 10.0, "search": 1.0}
LIMIT = {"general": 190, "search": 5}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """
    What came of a scenario.

    answered_a_s: requests a second that were granted, over all processes.
    refused: share of all requests that got a 429.
    settled_s: from when on, in seconds from the start, at most 5 % of the requests of each window of ten seconds were
        refused; None: at no time.
    given_up: requests after which a pull would have failed.
    """

    bucket: str
    processes: int
    budgets: int
    seconds: float
    answered_a_s: float
    refused: float
    settled_s: float | None
    given_up: int
    shares: tuple[int, ...]  # requests that each process got


def measure(bucket: str, *, processes: int, budgets: int, seconds: float, threads: int = THREADS) -> Asked:
    """Let so many processes ask for so long, with so many budgets between them."""
    command = [sys.executable, "-m", "bench.scale.far", "1", "50", *map(str, LATENCY_MS)]
    with told.process(command) as far, tempfile.TemporaryDirectory() as folder:
        far.tell("limits on")
        far.ask("count")
        children = []
        for number in range(processes):
            cache = Path(folder) / f"budget{number % budgets}"
            cache.mkdir(exist_ok=True)
            asked = [f"{far.said}/p1", "token-p1", bucket, str(seconds), str(threads)]
            children.append(
                subprocess.Popen(
                    [sys.executable, "-m", "bench.scale.asker", *asked],
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=environments.ROOT,
                    env={**os.environ, "SYNCER_CACHE": str(cache)},
                )  # fmt: skip
            )
        ended = [json.loads(child.communicate()[0]) for child in children]
        counted = far.ask("count")
    return _judged(counted["times"], ended, bucket=bucket, budgets=budgets, seconds=seconds)


def _judged(
    times: list[list[float]], ended: list[dict[str, Any]], *, bucket: str, budgets: int, seconds: float
) -> Asked:
    first = min(moment for moment, _ in times)
    granted = [moment - first for moment, status in times if status == 200 and moment - first < seconds]
    refused = [moment - first for moment, status in times if status == 429]
    return Asked(
        bucket=bucket, processes=len(ended), budgets=budgets, seconds=seconds,
        answered_a_s=len(granted) / seconds,
        refused=len(refused) / max(len(times), 1),
        settled_s=settled(granted, refused, seconds=seconds),
        given_up=sum(each["given_up"] for each in ended),
        shares=tuple(each["answered"] for each in ended),
    )  # fmt: skip


def settled(granted: list[float], refused: list[float], *, seconds: float, window_s: float = 10.0) -> float | None:
    """Return from when on every window has at most 5 % refused; None where the last whole one still has more."""
    found: float | None = 0.0
    for number in range(int(seconds // window_s)):
        begin, end = number * window_s, (number + 1) * window_s
        bad = sum(begin <= moment < end for moment in refused)
        good = sum(begin <= moment < end for moment in granted)
        if bad > 0.05 * (bad + good):
            found = None
        elif found is None:
            found = begin
    return found


def lines(found: list[Asked]) -> Iterator[str]:
    """Yield the table."""
    head = f"{'limit':<10}{'processes':>10}{'budgets':>9}{'granted/s':>11}{'refused':>9}"
    yield head + f"{'settled s':>11}{'given up':>10}  each got"
    for one in found:
        when = "never" if one.settled_s is None else f"{one.settled_s:.0f}"
        yield (
            f"{one.bucket:<10}{one.processes:>10}{one.budgets:>9}{one.answered_a_s:>11.2f}{one.refused:>9.1%}"
            f"{when:>11}{one.given_up:>10}  {', '.join(map(str, one.shares))}"
        )
