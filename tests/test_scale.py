"""The simulation of many environments is sound: its clockwork, its limits, what it repeats; and its page is true."""

from __future__ import annotations

import dataclasses
import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.scale import accounts, allowance, costs, limits, picture
from bench.scale.fleet import Delay, Fleet, Results
from bench.scale.kernel import Cpu, Ended, Event, Loop, Slots
from bench.scale.world import ANYWHERE, PLACEMENTS, SPREAD, TOGETHER, World

PAGE = (Path(__file__).parents[1] / "docs" / "scale.md").read_text(encoding="utf-8")
COSTS = costs.Costs(
    start_s=0.5, connect_client_s=0.01, connect_server_s=0.01, mapping_client_s=0.02, mapping_server_s=0.02,
    mapping_wait_s=0.01, row_client_s=1e-4, row_server_s=1e-4, statements=100, requests_a_pull=1,
    requests_a_mapping=3, api_s=0.001,
)  # fmt: skip
SMALL = World(environments=12, mappings=((1, 100.0), (3, 1.0)), machines=3, places=2, hours=2.0)


def ran(world: World) -> Results:
    """Pull every environment once."""
    return Fleet(world, COSTS).run_once()


def finished(loop: Loop, *tasks: tuple[Cpu, float]) -> list[float]:
    """Let tasks compute that begin together; say when each was done."""
    ends: list[float] = []

    def task(cpu: Cpu, seconds: float) -> Iterator[Any]:
        yield cpu.work(seconds)
        ends.append(loop.now)

    for cpu, seconds in tasks:
        loop.start(task(cpu, seconds))  # type: ignore[arg-type]
    loop.run()
    return ends


def test_as_many_tasks_as_cores_do_not_slow_each_other() -> None:
    """A core each."""
    loop = Loop()
    cpu = Cpu(loop, 2)
    assert finished(loop, (cpu, 1.0), (cpu, 3.0)) == pytest.approx([1.0, 3.0])
    assert cpu.used_s() == pytest.approx(4.0)


def test_more_tasks_than_cores_share_them_evenly() -> None:
    """Four on two cores go at half: the short ones end at 2, and then the long ones have a core each again."""
    loop = Loop()
    cpu = Cpu(loop, 2)
    assert finished(loop, *[(cpu, 1.0)] * 2, *[(cpu, 2.0)] * 2) == pytest.approx([2.0, 2.0, 3.0, 3.0])


def test_places_go_to_who_waits_longest() -> None:
    """No task is passed over."""
    loop, order = Loop(), []
    slots = Slots(loop, 1)

    def one(name: str) -> Iterator[Any]:
        yield slots.take()
        order.append((name, loop.now))
        yield 1.0
        slots.give()

    for name in "abc":
        loop.start(one(name))  # type: ignore[arg-type]
    loop.run()
    assert order == [("a", 0.0), ("b", 1.0), ("c", 2.0)]


def test_a_killed_process_cleans_up_and_is_not_resumed() -> None:
    """A machine that dies ends what ran on it, once; whoever waited for it goes on."""
    loop, seen = Loop(), []

    def doomed() -> Iterator[Any]:
        try:
            yield 10.0
            seen.append("resumed")
        except Ended:
            seen.append("ended")
            raise

    def waits(other: Event) -> Iterator[Any]:
        yield other
        seen.append(f"at {loop.now:g}")

    process = loop.start(doomed())  # type: ignore[arg-type]
    loop.start(waits(process))  # type: ignore[arg-type]
    loop.at(3.0, process.kill)
    loop.run()
    assert seen == ["ended", "at 3"]


def through(budgets: int, seconds: float, name: str = limits.GENERAL) -> limits.Account:
    """Ask for as much as the budgets of so many machines let through."""
    account, dice, now = limits.Account(), random.Random(1), 0.0
    while now < seconds:
        for machine in range(budgets):
            may, _ = account.hold(machine, name, 9, now)
            account.send(machine, name, may, now=now, dice=dice)
        now += 0.1
    return account


@pytest.mark.parametrize("name", [limits.GENERAL, limits.SEARCH])
def test_one_budget_is_never_refused(name: str) -> None:
    """The budget of one machine stays within the account's window."""
    account = through(1, 120.0, name)
    assert account.refused == 0
    bucket = limits.BUCKETS[name]
    windows = 120.0 / bucket.lifetime_s
    assert 0.9 * bucket.limit * windows <= account.asked <= bucket.limit * (windows + 1)


def test_a_budget_for_each_machine_is_refused() -> None:
    """Two machines that know nothing of each other ask for twice the limit."""
    assert through(2, 120.0).refused > 0


def test_a_refused_machine_waits() -> None:
    """After a 429 nothing is sent for as long as the pause."""
    account = through(2, 0.0)
    account.send(0, limits.GENERAL, 191, now=0.0, dice=random.Random(1))
    may, wait_s = account.hold(0, limits.GENERAL, 1, 0.0)
    assert (may, account.refused) == (0, 1)
    assert 8.0 <= wait_s <= 10.0
    assert account.hold(1, limits.GENERAL, 1, 0.0) == (1, 0.0)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_round_pulls_every_mapping_once(placement: str) -> None:
    """However it is spread."""
    found = ran(dataclasses.replace(SMALL, placement=placement))
    assert found.pulls == 12 * 4
    assert len(found.spans) == (48 if placement == SPREAD else 12)
    assert found.failed == found.killed == 0


def test_the_same_seed_is_the_same_run() -> None:
    """A figure of the page can be had again; another seed is another world."""
    first, again = ran(SMALL), ran(SMALL)
    assert (first.spans, first.delays) == (again.spans, again.delays)
    assert ran(dataclasses.replace(SMALL, seed=2)).spans != first.spans


def test_an_environment_kept_together_stays_on_its_machine() -> None:
    """One account, one budget."""
    found = ran(dataclasses.replace(SMALL, placement=TOGETHER))
    assert all(span.machine == span.environment % 3 for span in found.spans)
    assert found.refused == 0


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_machine_never_runs_more_than_its_places(placement: str) -> None:
    """The lanes of a worker are its places."""
    found = ran(dataclasses.replace(SMALL, placement=placement))
    for machine in range(3):
        lanes = picture.lanes([span for span in found.spans if span.machine == machine])
        assert len(lanes) <= 2
        for lane in lanes:
            assert all(before.end_s <= after.begin_s + 1e-6 for before, after in pairwise(lane))


def test_more_workers_are_not_slower() -> None:
    """And a round cannot take less than its slowest environment."""
    ends = [ran(dataclasses.replace(SMALL, machines=count, placement=ANYWHERE)).end_s for count in (1, 2, 4, 12)]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] >= max(span.end_s - span.begin_s for span in ran(dataclasses.replace(SMALL, machines=12)).spans)


def test_a_far_warehouse_costs_a_way_a_statement() -> None:
    """A hundred statements at 10 ms more are a second more a mapping."""
    alone = World(environments=1, mappings=((4, 0.0),), machines=1, large_factor=1.0, round_trip_s=0.0)
    far = dataclasses.replace(alone, round_trip_s=0.010)
    assert ran(far).end_s - ran(alone).end_s == pytest.approx(4.0, abs=0.01)


def test_freshness_is_at_least_half_the_cadence() -> None:
    """A change is made at any moment between two pulls; the longest waits a whole cadence and the pull."""
    world = dataclasses.replace(SMALL, cadence_s=900.0)
    found = Fleet(world, COSTS).run()
    middle, most = found.fresh(0.5, 0.95)
    assert 450 < middle < 500
    assert 855 < most < found.longest_s() < 960


def test_quantiles_of_freshness_are_those_of_the_changes() -> None:
    """One pull brings changes of 10 to 110 s, another of 0 to 300: half of the 400 are younger than 125 s."""
    found = Results(SMALL, delays=[Delay(900.0, 10.0, 100.0), Delay(900.0, 0.0, 300.0)])
    assert found.fresh(0.5, 1.0) == pytest.approx([100.0 + 5.0, 300.0])
    assert found.longest_s() == 300.0


def test_a_dead_machine_costs_no_pull() -> None:
    """What it ran is tried again, and every mapping is still pulled; its leases are free by then."""
    world = dataclasses.replace(SMALL, deaths_a_day=400.0, placement=ANYWHERE, cadence_s=900.0)
    found = Fleet(world, COSTS).run()
    assert found.killed > 0
    last = {span.environment: span.end_s for span in found.spans if span.outcome == "done"}
    assert min(last[number] for number in range(12)) > world.horizon_s - 2 * 900.0


def test_an_account_that_is_out_fails_alone() -> None:
    """Its changes wait until it is back; the others' do not."""
    world = dataclasses.replace(SMALL, outage=(600.0, 3_000.0, 1), cadence_s=900.0)
    found, calm = Fleet(world, COSTS).run(), Fleet(dataclasses.replace(world, outage=None), COSTS).run()
    assert found.failed > 0 == calm.failed
    assert {span.environment for span in found.spans if span.outcome == "failed"} == {1}
    assert found.longest_s() > 2_000 > calm.longest_s()


def test_what_still_runs_is_not_started_again() -> None:
    """One place for twelve environments that are due each half minute: starts are skipped, none piles up."""
    world = dataclasses.replace(SMALL, machines=1, places=1, cadence_s=30.0, hours=0.1)
    found = Fleet(world, COSTS).run()
    assert found.skipped > 0
    assert len(picture.lanes(found.spans)) == 1


def test_settling_is_the_last_bad_window_behind_us() -> None:
    """A window is bad where more than one in twenty is refused."""
    good = [float(second) for second in range(40)]
    assert accounts.settled(good, [], seconds=40) == 0.0
    assert accounts.settled(good, [12.0], seconds=40) == 20.0
    assert accounts.settled(good, [12.0, 39.0], seconds=40) is None


def test_an_allowance_is_the_narrowest_of_latency_budget_and_limit() -> None:
    """HubSpot's list of a professional portal: 19 requests a second of 100 records; one mapping asks one at a time."""
    listed = allowance.WAYS[0]
    assert listed.records_an_hour() == pytest.approx(6_840_000)
    assert listed.records_an_hour(0.2) == pytest.approx(5 * 100 * 3_600)
    assert listed.records_an_hour(0.001) == pytest.approx(190 / 11.3 * 100 * 3_600)
    assert allowance.carried("HubSpot, one kind", minutes=6, latency_s=0.05) == pytest.approx(5 / 1.2 * 200 * 360)


def test_the_picture_is_svg_and_shows_every_process() -> None:
    """One bar a process, in one drawing that a browser reads."""
    text = picture.draw(COSTS, SMALL)
    root = ET.fromstring(text)
    bars = [
        path.get("d", "").count("M")
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        if not path.get("stroke")
    ]
    assert sum(bars[:2]) == 12
    assert picture.draw(COSTS, SMALL) == text


def test_the_page_has_the_allowance_that_the_command_prints() -> None:
    """Limits that change in a source change here."""
    listed = [f"{way.records_an_hour():,.0f}" for way in allowance.WAYS if way.limit]
    assert [number for number in listed if number not in PAGE] == []


def test_the_page_has_the_round_that_the_costs_give() -> None:
    """The first figure that people read is the simulation's own."""
    found = Fleet(World(), costs.load()).run_once()
    assert f"{found.end_s / 60:.1f} minutes" in PAGE
