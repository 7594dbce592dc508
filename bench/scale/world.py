"""
What is simulated: environments, their mappings, how often they are pulled, where, and what goes wrong. Data only.

The shape of the environments is assumed, not measured: how many records change in an hour differs between sites more
than anything else here. `change_factor` and the tables of docs/scale.md show what it does.
"""

from __future__ import annotations

import dataclasses
import random

HOUR_S, DAY_S = 3_600.0, 86_400.0
# Of forty mappings: how many, and records that change in an hour in an environment of the usual size.
MAPPINGS = ((2, 200.0), (8, 20.0), (30, 1.0))
# How often an environment is pulled, and what share of them is.
CADENCES = ((900.0, 0.2), (HOUR_S, 0.6), (DAY_S, 0.2))
LATENCY_S = (0.05, 0.30)

TOGETHER, ANYWHERE, SPREAD = "together", "anywhere", "spread"
PLACEMENTS = {
    TOGETHER: "each environment on one machine, always the same, one process",
    ANYWHERE: "each environment one process, on whatever machine has a place",
    SPREAD: "each mapping a process of its own, on whatever machine has a place",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """One account. rates: records that change in an hour, a number a mapping; offset_s: when it is due after :00."""

    number: int
    cadence_s: float
    offset_s: float
    latency_s: float
    rates: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """
    A whole scenario.

    machines, cores, places: how many workers, their cores, and how many processes each runs at once.
    warehouse_cores, round_trip_s: the server's cores, and the way to it.
    is_spread: environments are due at moments of their own, not all at :00.
    size_spread: sigma of how their sizes differ (log-normal, the median is 1).
    large_factor: how much more changes in environment 0; 1: it is like the others.
    deaths_a_day: how often each machine dies; it is back after `death_s`.
    outage: begin, end (seconds) and environment of an account that does not answer; None: all do.
    cadence_s: of all environments; None: as CADENCES has it.
    """

    seed: int = 1
    environments: int = 200
    mappings: tuple[tuple[int, float], ...] = MAPPINGS
    machines: int = 8
    cores: int = 2
    places: int = 4
    warehouse_cores: int = 4
    round_trip_s: float = 0.0005
    placement: str = TOGETHER
    is_spread: bool = True
    large_factor: float = 100.0
    change_factor: float = 1.0
    size_spread: float = 0.7
    deaths_a_day: float = 0.0
    death_s: float = 300.0
    outage: tuple[float, float, int] | None = None
    cadence_s: float | None = None
    latency_s: tuple[float, float] = LATENCY_S
    hours: float = 4.0

    @property
    def horizon_s(self) -> float:
        """How long is simulated."""
        return self.hours * HOUR_S

    def made(self) -> list[Environment]:
        """Make the environments; the same seed makes the same ones, whatever else differs."""
        dice = random.Random(self.seed)
        found = []
        for number in range(self.environments):
            size, latency_s = dice.lognormvariate(0.0, self.size_spread), dice.uniform(*self.latency_s)
            share, moment = dice.random(), dice.random()
            factor = self.change_factor * (self.large_factor if number == 0 else size)
            cadence_s = self.cadence_s or (CADENCES[0][0] if number == 0 else _cadence(share))
            found.append(
                Environment(
                    number=number,
                    cadence_s=cadence_s,
                    offset_s=moment * cadence_s if self.is_spread else 0.0,
                    latency_s=latency_s,
                    rates=tuple(rate * factor for count, rate in self.mappings for _ in range(count)),
                )  # fmt: skip
            )
        return found


def _cadence(share: float) -> float:
    for cadence_s, part in CADENCES:
        if share < part:
            return cadence_s
        share -= part
    return CADENCES[-1][0]
