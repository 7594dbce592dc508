"""
Many environments on some machines: what happens when, in simulated time.

A pull is what it costs (`costs.py`): a start, a connection, and for each mapping some CPU here, some on the warehouse,
requests one after the other, and rows. Requests are asked for as HubSpot's source does: some always, then a search for
each 200 records that changed and two batches for each search, which go beside the next one. A change arrives when the
pull commits that opened its window behind it.

Not here: what the machines and accounts are (`world.py`, `limits.py`), what is told of it (`scenarios.py`).
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterator, Sequence

from bench.scale import limits
from bench.scale.costs import Costs
from bench.scale.kernel import Cpu, Ended, Event, Loop, Process, Slots, Steps
from bench.scale.limits import GENERAL, SEARCH, Account
from bench.scale.world import ANYWHERE, SPREAD, TOGETHER, Environment, World

SEARCH_PAGE, BATCH = 200, 100
LEASE_LOST_S = 50.0  # a machine that dies keeps its leases so long: 20 s + 3 × 10 s of TCP keep-alive
NOTICED_S = 60.0  # a scheduler notices a dead machine
TRIES, FIRST_WAIT_S = 6, 1.0  # of a request that is not answered: 1 + 2 + 4 + 8 + 16 s, then the pull fails
RETRY_S, RETRIES = 300.0, 2  # of the scheduler


@dataclasses.dataclass
class Machine:
    """A worker."""

    number: int
    cpu: Cpu
    slots: Slots
    running: dict[Process, None] = dataclasses.field(default_factory=dict)
    is_up: bool = True


@dataclasses.dataclass(frozen=True)
class Span:
    """A process that ran: which environment, where, when, and how it ended."""

    environment: int
    machine: int
    begin_s: float
    end_s: float
    outcome: str


@dataclasses.dataclass(frozen=True, slots=True)
class Delay:
    """Changes that one pull brought: made within `since_s` before its window, there `least_s` behind it."""

    cadence_s: float
    least_s: float
    since_s: float


@dataclasses.dataclass
class Results:
    """What came of a run of the simulation."""

    world: World
    spans: list[Span] = dataclasses.field(default_factory=list)
    delays: list[Delay] = dataclasses.field(default_factory=list)
    waits: list[float] = dataclasses.field(default_factory=list)  # of starts for a place
    skipped: int = 0  # starts while the last one of the same still ran
    failed: int = 0
    killed: int = 0
    pulls: int = 0  # of mappings
    asked: int = 0
    refused: int = 0
    end_s: float = 0.0
    worker_busy: float = 0.0
    places_busy: float = 0.0
    warehouse_busy: float = 0.0
    most_connections: int = 0

    def fresh(self, *shares: float, cadence_s: float | None = None) -> list[float]:
        """
        How long until a change arrives, seconds: quantiles over the moments at which something may change, of all
        mappings, or of those that are pulled so often.
        """
        chosen = [one for one in self.delays if cadence_s in (None, one.cadence_s)]
        total = sum(one.since_s for one in chosen)
        # Each pull brings as many changes of each age between its least and its most: sweep over the ages.
        edges = sorted([(one.least_s, 1) for one in chosen] + [(one.least_s + one.since_s, -1) for one in chosen])
        found, arrived, active, before, at = [], 0.0, 0, 0.0, 0
        for share in sorted(shares):
            while at < len(edges) and arrived + active * (edges[at][0] - before) < share * total:
                moment, step = edges[at]
                arrived += active * (moment - before)
                before, active, at = moment, active + step, at + 1
            found.append(before + (share * total - arrived) / active if active else math.nan)
        return found

    def longest_s(self, cadence_s: float | None = None) -> float:
        """The longest that any change took."""
        found = [one.least_s + one.since_s for one in self.delays if cadence_s in (None, one.cadence_s)]
        return max(found, default=math.nan)


class Fleet:
    """One run of the simulation."""

    def __init__(self, world: World, costs: Costs, *, machine_is_shared: bool = False) -> None:
        self.world, self.costs = world, costs
        self.loop = Loop()
        self.environments = world.made()
        self.machines = [
            Machine(number, Cpu(self.loop, world.cores), Slots(self.loop, world.places))
            for number in range(world.machines)
        ]
        # As on the machine of the measurements: workers, warehouse and API share the cores of one.
        self.is_shared = machine_is_shared
        self.warehouse = self.machines[0].cpu if machine_is_shared else Cpu(self.loop, world.warehouse_cores)
        self.everywhere = Slots(self.loop, world.places * world.machines)
        self.accounts = [Account() for _ in self.environments]
        self.results = Results(world)
        self._leases: dict[tuple[int, int], Event] = {}
        self._opened: dict[tuple[int, int], float] = {}  # when the last window was opened that was committed
        self._active: dict[tuple[int, int], None] = {}
        self._connections = 0

    def run(self) -> Results:
        """Simulate the world's hours on its schedule."""
        for environment in self.environments:
            self.loop.start(self._scheduled(environment))
        if self.world.deaths_a_day:
            for machine in self.machines:
                self.loop.start(self._mortal(machine))
        self.loop.run(self.world.horizon_s)
        return self._told(self.world.horizon_s)

    def run_once(self) -> Results:
        """Pull every environment once, all due at once, until the last one has ended."""
        for environment in self.environments:
            for key in self._keys(environment):
                self._opened[key] = -environment.cadence_s
            self._due(environment)
        self.loop.run()
        return self._told(self.results.end_s)

    def _told(self, until_s: float) -> Results:
        found = self.results
        found.end_s = until_s
        cores = self.world.cores * self.world.machines
        found.worker_busy = sum(machine.cpu.used_s() for machine in self.machines) / (until_s * cores)
        found.warehouse_busy = self.warehouse.used_s() / (until_s * self.world.warehouse_cores)
        held = sum(min(span.end_s, until_s) - span.begin_s for span in found.spans)
        found.places_busy = held / (until_s * self.world.machines * self.world.places)
        found.asked = sum(account.asked for account in self.accounts)
        found.refused = sum(account.refused for account in self.accounts)
        return found

    def _keys(self, environment: Environment) -> Iterator[tuple[int, int]]:
        return ((environment.number, number) for number in range(len(environment.rates)))

    # The scheduler.

    def _scheduled(self, environment: Environment) -> Steps:
        for key in self._keys(environment):
            self._opened[key] = environment.offset_s - environment.cadence_s
        yield environment.offset_s
        while True:
            self._due(environment)
            yield environment.cadence_s

    def _due(self, environment: Environment) -> None:
        """Start what is due: one process, or one a mapping; what still runs is not started again."""
        mappings = list(range(len(environment.rates)))
        groups = [[number] for number in mappings] if self.world.placement == SPREAD else [mappings]
        for group in groups:
            key = (environment.number, group[0])
            if key in self._active:
                self.results.skipped += 1
                continue
            self._active[key] = None
            self.loop.start(self._task(environment, group))

    def _task(self, environment: Environment, group: Sequence[int]) -> Steps:
        """Wait for a place, pull, and try again what failed."""
        left = list(group)
        for attempt in range(RETRIES + 1):
            asked = self.loop.now
            machine = yield from self._placed(environment)
            self.results.waits.append(self.loop.now - asked)
            outcome: dict[str, object] = {"outcome": "killed", "left": left}
            begin = self.loop.now
            process = self.loop.start(self._process(environment, left, machine, outcome))
            machine.running[process] = None
            yield process
            machine.running.pop(process, None)
            self._given(machine)
            span = Span(environment.number, machine.number, begin, self.loop.now, str(outcome["outcome"]))
            self.results.spans.append(span)
            self.results.end_s = self.loop.now
            left = outcome["left"]  # type: ignore[assignment]
            if not left:
                break
            killed = outcome["outcome"] == "killed"
            self.results.killed += killed
            self.results.failed += not killed
            if attempt < RETRIES:
                yield NOTICED_S if killed else RETRY_S
        del self._active[environment.number, group[0]]

    def _placed(self, environment: Environment) -> Steps:
        """Wait for a place on the machine that the placement names, or on the one with the most room."""
        if self.world.placement == TOGETHER:
            machine = self.machines[environment.number % len(self.machines)]
            yield machine.slots.take()
            while not machine.is_up:
                yield 10.0
            return machine
        yield self.everywhere.take()
        while True:
            up = [machine for machine in self.machines if machine.is_up and machine.slots.free > 0]
            if up:
                machine = max(up, key=lambda one: (one.slots.free, -one.number))
                yield machine.slots.take()
                return machine
            yield 1.0

    def _given(self, machine: Machine) -> None:
        machine.slots.give()
        if self.world.placement in (ANYWHERE, SPREAD):
            self.everywhere.give()

    def _mortal(self, machine: Machine) -> Steps:
        dice = random.Random(f"{self.world.seed} death {machine.number}")
        while True:
            yield dice.expovariate(self.world.deaths_a_day / 86_400)
            machine.is_up = False
            for process in list(machine.running):
                process.kill()
            yield self.world.death_s
            machine.is_up = True

    # A process.

    def _process(
        self, environment: Environment, group: Sequence[int], machine: Machine, outcome: dict[str, object]
    ) -> Steps:
        """One `syncer pull` of some mappings of an environment."""
        dice = random.Random(f"{self.world.seed} {environment.number} {group[0]} {self.loop.now}")
        self._connections += 1
        self.results.most_connections = max(self.results.most_connections, self._connections)
        try:
            yield machine.cpu.work(self.costs.start_s)
            yield self.costs.start_wait_s
            if not (yield from self._answered(environment)):
                outcome.update(outcome="failed", left=list(group))
                return
            yield from self._requests(environment, machine, dice, [(GENERAL, self.costs.requests_a_pull)])
            yield machine.cpu.work(self.costs.connect_client_s)
            yield self.warehouse.work(self.costs.connect_server_s)
            left = list(group)
            for number in group:
                outcome["left"] = left
                yield from self._mapping(environment, number, machine, dice)
                left = left[1:]
            outcome.update(outcome="done", left=[])
        finally:
            self._connections -= 1

    def _mapping(self, environment: Environment, number: int, machine: Machine, dice: random.Random) -> Steps:
        key, costs = (environment.number, number), self.costs
        yield from self._lease(key)
        try:
            yield machine.cpu.work(costs.mapping_client_s / 2)
            yield self.warehouse.work(costs.mapping_server_s / 2)
            yield (costs.mapping_wait_s + costs.statements * self.world.round_trip_s) / 2
            opened = self.loop.now
            rate = environment.rates[number] / 3_600
            rows = _drawn(rate * (opened - self._opened[key]), dice)
            yield from self._read(environment, machine, dice, rows)
            yield machine.cpu.work(costs.mapping_client_s / 2 + rows * costs.row_client_s)
            yield self.warehouse.work(costs.mapping_server_s / 2 + rows * costs.row_server_s)
            yield (costs.mapping_wait_s + costs.statements * self.world.round_trip_s) / 2
        except Ended:
            self.loop.at(self.loop.now + LEASE_LOST_S, self._freed, key)
            raise
        since = self._opened[key]
        if since >= environment.offset_s - 1.0:  # what changed before the first pull is not of this time
            self.results.delays.append(Delay(environment.cadence_s, self.loop.now - opened, opened - since))
        self._opened[key] = opened
        self.results.pulls += 1
        self._freed(key)

    def _lease(self, key: tuple[int, int]) -> Steps:
        """Take the lease of a mapping; wait for whoever has it (`--wait`)."""
        while key in self._leases:
            yield self._leases[key]
        self._leases[key] = Event(self.loop)

    def _freed(self, key: tuple[int, int]) -> None:
        self._leases.pop(key).happen()

    def _answered(self, environment: Environment) -> Steps:
        """Ask who we are; False where the account does not answer in all tries."""
        for attempt in range(TRIES):
            if not self._is_out(environment):
                return True
            if attempt < TRIES - 1:
                yield FIRST_WAIT_S * 2**attempt
        return False

    def _is_out(self, environment: Environment) -> bool:
        outage = self.world.outage
        return outage is not None and outage[2] == environment.number and outage[0] <= self.loop.now < outage[1]

    def _read(self, environment: Environment, machine: Machine, dice: random.Random, rows: int) -> Steps:
        """Ask what a mapping asks: what it always does, and a search and its batches for each 200 rows."""
        always = self.costs.requests_a_mapping
        yield from self._requests(environment, machine, dice, [(GENERAL, always - 1)])
        for page in range(max(1, math.ceil(rows / SEARCH_PAGE))):
            ready = min(SEARCH_PAGE, rows - page * SEARCH_PAGE)
            batches = math.ceil(max(ready, 0) / BATCH)
            yield from self._requests(environment, machine, dice, [(SEARCH, 1), (GENERAL, batches)], is_beside=True)

    def _requests(
        self, environment: Environment, machine: Machine, dice: random.Random, wanted: list[tuple[str, int]],
        is_beside: bool = False,
    ) -> Steps:  # fmt: skip
        """Send requests, one after the other or beside each other; each waits for the budget, and after a 429."""
        account = self.accounts[environment.number]
        latency_s = 0.0
        for name, count in wanted:
            left = count
            while left > 0:
                may, wait_s = account.hold(machine.number, name, min(left, limits.BUCKETS[name].chunk), self.loop.now)
                if not may:
                    yield wait_s
                    continue
                granted = account.send(machine.number, name, may, now=self.loop.now, dice=dice)
                left -= granted
                took = environment.latency_s * dice.uniform(0.7, 1.3) * (1 if is_beside else max(granted, 1))
                if self.is_shared:
                    yield machine.cpu.work(self.costs.api_s * may)
                if not is_beside:
                    yield took
                latency_s = max(latency_s, took)
        if is_beside and latency_s:
            yield latency_s


def _drawn(mean: float, dice: random.Random) -> int:
    """Draw how many records changed, around a mean."""
    if mean > 30:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    least, count, product = math.exp(-max(mean, 0.0)), 0, dice.random()
    while product > least:
        count += 1
        product *= dice.random()
    return count
