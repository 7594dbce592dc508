"""
The clockwork of a simulation: processes that wait for time, for CPU, for a place or for each other; no real time.

A process is a generator that yields what it waits for:

    yield 1.5                 so many seconds pass
    yield cpu.work(0.2)       0.2 s of CPU of a machine, shared evenly with whoever else computes there
    yield slots.take()        a free place; `slots.give()` gives it back
    yield process             another process's end

What happens at one moment happens in the order in which it was asked for, so a run is the same each time. Not here:
what is simulated (`fleet.py`).
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

Steps = Generator[Any, Any, Any]


class Ended(Exception):
    """Thrown into a process whose machine has died."""


class Event:
    """Something that happens once; processes may wait for it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Process, int]] = []
        self.has_happened = False
        self.value: Any = None

    def happen(self, value: Any = None) -> None:
        """Let everybody who waits go on."""
        if self.has_happened:
            return
        self.has_happened, self.value = True, value
        for process, step in self._waiting:
            self._loop.at(self._loop.now, process.resumed, step, value)
        self._waiting.clear()

    def tell(self, process: Process, step: int) -> None:
        """Resume *process* when it happens, if it still waits then."""
        if self.has_happened:
            self._loop.at(self._loop.now, process.resumed, step, self.value)
        else:
            self._waiting.append((process, step))


class Process(Event):
    """A running generator; as an event, its end."""

    def __init__(self, loop: Loop, steps: Steps) -> None:
        super().__init__(loop)
        self._steps, self._step = steps, 0
        loop.at(loop.now, self.resumed, 0, None)

    def resumed(self, step: int, value: Any) -> None:
        """Go on to the next thing to wait for."""
        if step == self._step and not self.has_happened:
            self._go(lambda: self._steps.send(value))

    def kill(self) -> None:
        """End it where it stands: its `finally` blocks run."""
        if not self.has_happened:
            self._go(lambda: self._steps.throw(Ended()))

    def _go(self, resume: Callable[[], Any]) -> None:
        self._step += 1
        try:
            wanted = resume()
        except StopIteration as end:
            self.happen(end.value)
            return
        except Ended:
            self.happen(None)
            return
        if isinstance(wanted, Event):
            wanted.tell(self, self._step)
        else:
            self._loop.at(self._loop.now + wanted, self.resumed, self._step, None)


class Loop:
    """Moments in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._moments: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def at(self, moment: float, what: Callable[..., None], *given: Any) -> None:
        """Do something at a moment."""
        heapq.heappush(self._moments, (max(moment, self.now), next(self._numbers), what, given))

    def start(self, steps: Steps) -> Process:
        """Start a process."""
        return Process(self, steps)

    def run(self, until: float = float("inf")) -> None:
        """Let time pass, until nothing is left to happen, or until a moment."""
        while self._moments and self._moments[0][0] <= until:
            self.now, _, what, given = heapq.heappop(self._moments)
            what(*given)
        if until < float("inf"):
            self.now = max(self.now, until)


class Cpu:
    """The cores of a machine, shared evenly by whoever computes: k tasks on c cores go at min(1, c / k) each."""

    def __init__(self, loop: Loop, cores: float) -> None:
        self._loop, self._cores = loop, cores
        self._done = 0.0  # CPU seconds that each task has had since the beginning
        self._seen = 0.0
        self._tasks: list[tuple[float, int, Event]] = []
        self._numbers = itertools.count()
        self._version = 0
        self.busy_s = 0.0  # of all cores together

    def work(self, seconds: float) -> Event:
        """Ask for so many seconds of one core."""
        ready = Event(self._loop)
        if seconds <= 0:
            ready.happen()
            return ready
        self._pass()
        heapq.heappush(self._tasks, (self._done + seconds, next(self._numbers), ready))
        self._plan()
        return ready

    def used_s(self) -> float:
        """Return what was used so far."""
        self._pass()
        return self.busy_s

    def _rate(self) -> float:
        return min(1.0, self._cores / len(self._tasks)) if self._tasks else 0.0

    def _pass(self) -> None:
        went = self._loop.now - self._seen
        self._seen = self._loop.now
        self.busy_s += went * self._rate() * len(self._tasks)
        self._done += went * self._rate()

    def _plan(self) -> None:
        self._version += 1
        if self._tasks:
            wait = max(self._tasks[0][0] - self._done, 0.0) / self._rate()
            self._loop.at(self._loop.now + wait, self._end, self._version)

    def _end(self, version: int) -> None:
        if version != self._version:
            return
        self._pass()
        while self._tasks and self._tasks[0][0] <= self._done + 1e-9:
            heapq.heappop(self._tasks)[2].happen()
        self._plan()


class Slots:
    """Places that one process each may hold; who waits longest is next."""

    def __init__(self, loop: Loop, count: int) -> None:
        self._loop, self.free = loop, count
        self._waiting: deque[Event] = deque()

    def take(self) -> Event:
        """Ask for a place."""
        ready = Event(self._loop)
        if self.free > 0:
            self.free -= 1
            ready.happen()
        else:
            self._waiting.append(ready)
        return ready

    def give(self) -> None:
        """Give one back."""
        if self._waiting:
            self._waiting.popleft().happen()
        else:
            self.free += 1

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)
