"""
Four processes of four threads each push a mapping of their own to one portal, with limits on, in real time: whatever
any of them asks (definitions, the guard, reads, writes, what is asked again), no window of ten seconds holds more
requests than the limit, and while there is work, the limit is used.

On DuckDB twice: with one file for all, whose turns cost time of their own, and with a file for each.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Fault
from syncer.sandbox.hubspot.limits import GENERAL, Limits
from syncer.sandbox.messages import Request
from tests.backends import DuckDBFile
from tests.campaign import beds, push_beds
from tests.campaign.kills import Victim, victim
from tests.outbound import PushHome, counted
from tests.outbound.edges_home import KEYS, NAMES, NEEDED, UNIQUE, EdgesHome, edges_at_home

MAPPINGS = ("companies", "contacts", "deals", "tickets")
WINDOW_S = 10.0
SIZES = {False: (100, 6_000), True: (50, 400)}  # requests a window, rows of each mapping
LEAST_USED = 0.9
STEP_S = 0.1


@attrs.define
class Used:
    """
    What came of it. used: the mean of all windows while there was work, as a share of the limit: those that ended
    before no more was left to ask than one window takes.
    """

    limit: int
    rows: int = 0
    requests: int = 0
    peak: int = 0
    used: float = 0.0
    refused: int = 0
    retried: int = 0
    seconds: float = 0.0
    processes: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows of {len(MAPPINGS)} mappings, {self.requests:,} requests in {self.seconds:.0f} s, "
            f"{self.retried} of them met a fault: at most {self.peak} of {self.limit} in any {WINDOW_S:.0f} s, "
            f"{self.used:.1%} used, {self.refused} refused; {len(self.wrong)} wrong"
        )


def rows_of(kind: str, count: int) -> list[dict[str, Any]]:
    """Make the rows of a mapping."""
    key = KEYS.get(kind, UNIQUE)
    at = "@example.com" if key == "email" else ""
    return [
        {key: f"{kind}{number}{at}", NAMES[kind]: f"{kind} {number}", **NEEDED.get(kind, {})}
        for number in range(count)
    ]


def run(backend: str, *, limit: int, count: int, has_own_files: bool = False) -> Used:
    """Push four mappings at once; *has_own_files*: each has a DuckDB file to itself."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-push-budget-"))
    used = Used(limit)
    try:
        with edges_at_home(folder, backend) as edges, ExitStack() as opened:
            home, site = edges.home, edges.home.site
            for kind in MAPPINGS:
                push_beds.fill(home, kind, rows_of(kind, count))
                edges.words(kind, max_creates="off", edges={})
            home.settings = attrs.evolve(
                home.settings, tables={**home.settings.tables, "hubspot": {"workers": 4, "objects": ["cables"]}}
            )
            site.limits = Limits(ten_secondly=limit, associations_ten_secondly=limit)
            arrivals: list[float] = []
            home.sandbox.before_request.append(lambda site, request: note(arrivals, request))
            faults = home.sandbox.faults  # what is asked again counts as well
            faults.add(Fault(kind="status", status=502, match="/batch/read", times=None, probability=0.03))
            faults.add(Fault(kind="reset_after", match="/batch/create", times=None, probability=0.03))
            homes = {kind: own_file(home, kind) if has_own_files else home for kind in MAPPINGS}
            victims = [opened.enter_context(victim()) for _ in MAPPINGS]
            with ThreadPoolExecutor(len(MAPPINGS)) as pool:
                ended = list(pool.map(pushed, homes.values(), MAPPINGS, victims))
            used.rows = len(MAPPINGS) * count
            judge(edges, used, arrivals, ended, count)
            for each in homes.values():
                used.wrong += counted.sums_wrong(each) + push_beds.left_open(each)
            return used
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def note(arrivals: list[float], request: Request) -> None:
    """Write down that a request came."""
    arrivals.append(time.monotonic())


def own_file(home: PushHome, kind: str) -> PushHome:
    """Return the same with a copy of the warehouse."""
    file = home.settings.base / f"{kind}.duckdb"
    shutil.copyfile(home.settings.base / "warehouse.duckdb", file)
    variables = {**home.settings.variables, "SYNCER_WAREHOUSE": f"duckdb:{file}"}
    database: Any = DuckDBFile(file)
    return attrs.evolve(home, settings=attrs.evolve(home.settings, variables=variables), database=database)


def pushed(home: PushHome, kind: str, killer: Victim) -> dict[str, Any]:
    """Push one mapping in a process of its own."""
    return push_beds.ordered(killer, home, [f"hubspot.{kind}"], trace=f"{kind}.jsonl")


def judge(edges: EdgesHome, used: Used, arrivals: list[float], ended: list[dict[str, Any]], count: int) -> None:
    """Compare the windows with the limit, and the records with the rows."""
    home, site = edges.home, edges.home.site
    used.requests, used.seconds = len(arrivals), arrivals[-1] - arrivals[0]
    used.peak = max(in_window(arrivals, start) for start in arrivals)
    used.refused = site.meter.refused
    used.retried = sum(home.sandbox.faults.reached.values())
    worked = arrivals[-min(used.limit, len(arrivals))] - arrivals[0]
    starts = [arrivals[0] + number * STEP_S for number in range(int((worked - WINDOW_S) / STEP_S))]
    used.used = sum(in_window(arrivals, start) for start in starts) / max(1, len(starts)) / used.limit
    if used.peak > used.limit or site.meter.peak(GENERAL) > used.limit:
        used.wrong.append(f"{used.peak} requests in {WINDOW_S:.0f} s, of {used.limit}")
    if used.refused:
        used.wrong.append(f"{used.refused} requests were refused")
    for kind, end in zip(MAPPINGS, ended, strict=True):
        if not push_beds.is_done(end):
            used.wrong.append(f"{kind}: {end['end']}")
        live = [each for each in site.store.records[kind].values() if not each.is_archived]
        keys = Counter(each.properties.get(KEYS.get(kind, UNIQUE)) for each in live)
        if len(keys) != count or len(live) != count:
            used.wrong.append(f"{kind}: {len(live)} records with {len(keys)} keys, of {count} rows")


def in_window(arrivals: list[float], start: float) -> int:
    """Count what arrived within ten seconds from a moment on."""
    return bisect_left(arrivals, start + WINDOW_S) - bisect_left(arrivals, start)


def campaign(*, is_short: bool, seed: int = 1) -> int:
    """Run it; print the figures; return how many things were wrong."""
    limit, count = SIZES[is_short]
    wrong = 0
    backend = beds.KIND.name
    forms = (False,) if is_short or backend != beds.DUCKDB else (True, False)
    for has_own_files in forms:
        found = run(backend, limit=limit, count=count, has_own_files=has_own_files)
        of_files = ", a file each" if has_own_files else ""
        print(f"{backend}{of_files}: {found}", flush=True)
        is_held = not is_short and (has_own_files or backend != beds.DUCKDB)
        if is_held and found.used < LEAST_USED:
            found.wrong.append(f"{found.used:.1%} of the limit was used, {LEAST_USED:.0%} had to be")
        for what in found.wrong[:10]:
            print(f"  {what}")
        wrong += len(found.wrong)
    return wrong
