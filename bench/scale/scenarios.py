"""The scenarios that are simulated, and what is told of each: one line of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from bench.scale.costs import Costs
from bench.scale.fleet import Fleet, Results
from bench.scale.world import ANYWHERE, CADENCES, HOUR_S, PLACEMENTS, SPREAD, TOGETHER, World

USUAL = World()
QUARTER = World(cadence_s=900.0, hours=2.0)
BUSY = next(each.number for each in USUAL.made() if each.number and each.cadence_s == CADENCES[0][0])
OUT = (1 * HOUR_S, 3 * HOUR_S, BUSY)  # an account that is pulled every 15 minutes does not answer for two hours
ROUNDS: Mapping[str, World] = (
    {
        f"{machines} workers, {placement}": dataclasses.replace(USUAL, machines=machines, placement=placement)
        for machines in (4, 8, 16)
        for placement in PLACEMENTS
    }
    | {
        f"8 workers, together, {places} at once on each": dataclasses.replace(USUAL, places=places)
        for places in (1, 2, 8, 16)
    }
    | {
        "8 workers, together, without the large one": dataclasses.replace(USUAL, large_factor=1.0),
        "8 workers, together, ten times the changes": dataclasses.replace(USUAL, change_factor=10.0),
        "8 workers, together, warehouse 5 ms away": dataclasses.replace(USUAL, round_trip_s=0.005),
        "8 workers, together, warehouse 20 ms away": dataclasses.replace(USUAL, round_trip_s=0.020),
        "8 workers, together, warehouse of 2 cores": dataclasses.replace(USUAL, warehouse_cores=2),
        "8 workers, spread, warehouse of 2 cores": dataclasses.replace(USUAL, warehouse_cores=2, placement=SPREAD),
    }
)
DAYS: Mapping[str, World] = {
    f"{machines} workers, together": dataclasses.replace(USUAL, machines=machines) for machines in (4, 8, 16)
} | {
    "8 workers, all due at :00": dataclasses.replace(USUAL, is_spread=False),
    "8 workers, anywhere": dataclasses.replace(USUAL, placement=ANYWHERE),
    "8 workers, a mapping a process": dataclasses.replace(USUAL, placement=SPREAD),
    "8 workers, the same, due at :00": dataclasses.replace(USUAL, placement=SPREAD, is_spread=False),
    "8 workers, each dies 4 times a day": dataclasses.replace(USUAL, deaths_a_day=4.0),
    "8 workers, each dies 48 times a day": dataclasses.replace(USUAL, deaths_a_day=48.0),
    "the same, anywhere": dataclasses.replace(USUAL, deaths_a_day=48.0, placement=ANYWHERE),
    "8 workers, one account out for 2 h": dataclasses.replace(USUAL, outage=OUT),
    "the same, a mapping a process": dataclasses.replace(USUAL, outage=OUT, placement=SPREAD),
}
QUARTERS: Mapping[str, World] = {
    f"{machines} workers, {placement}": dataclasses.replace(QUARTER, machines=machines, placement=placement)
    for machines in (4, 8, 16)
    for placement in (TOGETHER, SPREAD)
} | {
    "8 workers, together, all due at :00": dataclasses.replace(QUARTER, is_spread=False),
    "2 workers, together": dataclasses.replace(QUARTER, machines=2),
}


def rounds(costs: Costs) -> Iterator[str]:
    """Pull every environment once, all due at once: yield a table as it comes."""
    yield (
        f"{'one round, all due at once':<46}{'minutes':>8}{'processes':>10}{'places':>8}{'workers':>8}{'server':>8}"
        f"{'requests':>10}{'refused':>9}{'at once':>8}"
    )
    for what, world in ROUNDS.items():
        found = Fleet(world, costs).run_once()
        yield (
            f"{what:<46}{found.end_s / 60:>8.1f}{len(found.spans):>10,}{found.places_busy:>8.0%}"
            f"{found.worker_busy:>8.0%}{found.warehouse_busy:>8.0%}{found.asked:>10,}{_share(found):>9.1%}{found.most_connections:>8}"
        )


def days(costs: Costs, worlds: Mapping[str, World], title: str) -> Iterator[str]:
    """Simulate hours of a schedule: yield a table as it comes. Freshness is minutes: median, 95 %, longest."""
    cadences = sorted(
        {cadence for cadence, _ in CADENCES} if next(iter(worlds.values())).cadence_s is None else {900.0}
    )
    shown = [cadence for cadence in cadences if cadence <= HOUR_S]
    head = "".join(f"{f'every {cadence / 60:.0f} min: p50, p95, max':>30}" for cadence in shown)
    ends = f"{'places':>8}{'workers':>8}{'server':>8}{'refused':>9}{'skipped':>8}{'killed':>7}{'failed':>7}"
    yield f"{title:<38}{head}{ends}"
    for what, world in worlds.items():
        found = Fleet(world, costs).run()
        fresh = "".join(f"{_fresh(found, cadence):>30}" for cadence in shown)
        yield (
            f"{what:<38}{fresh}{found.places_busy:>8.0%}{found.worker_busy:>8.0%}{found.warehouse_busy:>8.0%}"
            f"{_share(found):>9.1%}{found.skipped:>8,}{found.killed:>7}{found.failed:>7}"
        )


def _fresh(found: Results, cadence_s: float) -> str:
    middle, most = found.fresh(0.5, 0.95, cadence_s=cadence_s)
    return f"{middle / 60:.1f}, {most / 60:.1f}, {found.longest_s(cadence_s) / 60:.1f}"


def _share(found: Results) -> float:
    return found.refused / max(found.asked, 1)
