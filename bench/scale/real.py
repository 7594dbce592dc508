"""
A small fleet that really runs, and the costs that the simulation starts from.

Portals of the sandbox are the environments (`far.py`, in a process of its own), PostgreSQL is the warehouse, and the
workers start `syncer pull` as a scheduler would. All of it shares the cores of this machine, so the simulation is told
so: workers, server and portals compute on the same two cores.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import environments, measure
from bench.scale import fleet, pulls, server, told
from bench.scale.costs import Costs
from bench.scale.world import ANYWHERE, HOUR_S, SPREAD, World

NAMES = ("hubspot.companies", "hubspot.contacts", "hubspot.deals", "hubspot.tickets", "hubspot.pipelines")
CHANGING = 4  # of them have records that change
PORTALS, PLACES, CORES = 6, 2, 2
LATENCY_MS = (50.0, 300.0)
RECORDS, CHANGED = 400, 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """One real run beside its prediction; seconds until the last process ended."""

    what: str
    processes: int
    measured_s: tuple[float, ...]
    predicted_s: float
    requests: int
    predicted_requests: int
    others: float  # programs beside ours that wanted a core, on average

    @property
    def middle_s(self) -> float:
        """The median of the runs."""
        return statistics.median(self.measured_s)

    @property
    def error(self) -> float:
        """How far the prediction is off, of what was measured."""
        return self.predicted_s / self.middle_s - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bed:
    """What a real run stands on."""

    far: told.Told
    measured: server.Measured
    folder: Path

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        found = pulls.variables(self.measured.string, self.folder) | {"PYTHONPATH": str(environments.ROOT)}
        for number in range(1, PORTALS + 1):
            found[f"SYNCER_HUBSPOT__E{number}_URL"] = f"{self.far.said}/p{number}"
            found[f"SYNCER_HUBSPOT__E{number}_TOKEN"] = f"token-p{number}"
        return found

    def command(self, number: int, names: Sequence[str]) -> list[dict[str, Any]]:
        """Run `syncer pull` of an environment; return its runs. Raises Broken."""
        ended = subprocess.run(
            [sys.executable, "-m", "syncer", "pull", *names, "--environment", f"e{number}", "--output", "json"],
            cwd=self.folder, env=self.variables(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ended.returncode:
            raise measure.Broken(f"syncer pull: exit {ended.returncode}\n{ended.stdout[-1500:]}{ended.stderr[-1500:]}")
        runs: list[dict[str, Any]] = json.loads(ended.stdout)["runs"]
        return runs


@contextlib.contextmanager
def bed(*, latency_ms: tuple[float, float] = LATENCY_MS, portals: int = PORTALS) -> Iterator[Bed]:
    """Start portals and server, and load every environment once."""
    command = [sys.executable, "-m", "bench.scale.far", str(portals), str(RECORDS), *map(str, latency_ms)]
    with pulls.folder_() as folder, told.process(command) as far, server.running() as measured:
        made = Bed(far=far, measured=measured, folder=Path(folder))
        for number in range(1, portals + 1):
            made.command(number, NAMES)
        far.tell("pass 3600")
        yield made


def costs(*, times: int) -> Costs:
    """Measure what a pull costs, with the API at hand; waits of the server's disk come from pulls without an API."""
    with bed(latency_ms=(0.0, 0.0), portals=1) as made:
        found = _costs(made, times)
    with server.running() as measured, pulls.folder_() as folder:
        alone = {each.what: each for each in pulls.costs(measured, Path(folder), times=20)}
    connection, mapping = alone["a connection"], alone["nothing: each further mapping"]
    return dataclasses.replace(
        found, start_s=found.start_s - connection.client_ms / 1000, start_wait_s=0.0,
        connect_client_s=connection.client_ms / 1000, connect_server_s=connection.server_ms / 1000,
        mapping_wait_s=max(mapping.wall_ms - mapping.client_ms - mapping.server_ms, 0.0) / 1000,
        statements=round(mapping.statements),
    )  # fmt: skip


def _costs(made: Bed, times: int) -> Costs:
    """Measure one process alone, as it is now: its CPU, and how much longer it took than that."""
    made.command(1, NAMES)
    one = _mean([_several(made, [name], times) for name in NAMES])
    five = _several(made, NAMES, times)
    made.far.ask(f"change {RECORDS // 2}")
    changed = _several(made, NAMES, 1)
    for _ in range(times - 1):
        made.far.tell("pass 3600")
        made.far.ask(f"change {RECORDS // 2}")
        changed = changed.least(_several(made, NAMES, 1))
    made.far.tell("pass 3600")
    each = _Used(
        **{
            field.name: (getattr(five, field.name) - getattr(one, field.name)) / (len(NAMES) - 1)
            for field in dataclasses.fields(_Used)
        }
    )
    rows, start_s = max(changed.rows, 1), one.client_s - each.client_s
    waited_s = one.wall_s - each.wall_s - start_s - (one.server_s - each.server_s) - (one.api_s - each.api_s)
    return Costs(
        start_s=start_s, connect_client_s=0.0, connect_server_s=max(one.server_s - each.server_s, 0.0),
        mapping_client_s=each.client_s, mapping_server_s=each.server_s,
        mapping_wait_s=max(each.wall_s - each.client_s - each.server_s - each.api_s, 0.0),
        row_client_s=max(changed.client_s - five.client_s, 0.0) / rows,
        row_server_s=max(changed.server_s - five.server_s, 0.0) / rows,
        statements=0, requests_a_pull=round(one.requests - each.requests), requests_a_mapping=round(each.requests),
        api_s=five.api_s / max(five.requests, 1), start_wait_s=max(waited_s, 0.0),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Used:
    client_s: float
    server_s: float
    api_s: float
    wall_s: float
    requests: float
    rows: float

    def least(self, other: _Used) -> _Used:
        """Return the smaller CPU of both: what others do to a busy machine only adds to it."""
        return dataclasses.replace(
            self, client_s=min(self.client_s, other.client_s), server_s=min(self.server_s, other.server_s)
        )


def _mean(several: Sequence[_Used]) -> _Used:
    """Return the average of what single mappings used: what they share, each has asked for itself."""
    return _Used(
        **{
            field.name: sum(getattr(each, field.name) for each in several) / len(several)
            for field in dataclasses.fields(_Used)
        }
    )


def _several(made: Bed, names: Sequence[str], times: int) -> _Used:
    """Run a command so often; return the medians of what one used."""
    client, serving, api, wall = [], [], [], []
    runs: list[dict[str, Any]] = []
    for _ in range(times):
        before, cpu = resource.getrusage(resource.RUSAGE_CHILDREN), made.measured.cpu_s()
        asked = made.far.ask("count")["cpu_s"]
        began = time.perf_counter()
        runs = made.command(1, names)
        wall.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        client.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        serving.append(made.measured.cpu_s() - cpu)
        api.append(made.far.ask("count")["cpu_s"] - asked)
    return _Used(
        client_s=statistics.median(client), server_s=statistics.mean(serving), api_s=statistics.median(api),
        wall_s=statistics.median(wall),
        requests=sum(run["requests"] for run in runs), rows=sum(run["read"] for run in runs),
    )  # fmt: skip


def compare(*, times: int) -> list[Ran]:
    """
    Run the small fleet in three ways, each so often, and predict each from what one process alone takes.

    That is measured in the same minutes: on a machine that others use too, a process waits for a core at each of its
    steps, and no figure of a quiet hour tells how long.
    """
    with bed() as made:
        made.far.tell("latency 0 0")
        found = _costs(made, times)
        made.far.tell("latency " + " ".join(map(str, LATENCY_MS)))
        return [
            _ran(made, found, "an environment a process, nothing changed", placement=ANYWHERE, times=times),
            _ran(
                made,
                found,
                f"an environment a process, {CHANGED} of each kind changed",
                placement=ANYWHERE,
                rows=CHANGED,
                times=times,
            ),
            _ran(made, found, "a mapping a process, nothing changed", placement=SPREAD, times=times),
        ]


def _ran(made: Bed, found: Costs, what: str, *, placement: str, times: int, rows: int = 0) -> Ran:
    took, requests, others = [], 0, []
    for _ in range(times):
        if rows:
            made.far.ask(f"change {rows}")
        made.far.ask("count")
        with Others() as beside:
            took.append(_fleet(made, placement))
        others.append(beside.mean)
        requests = made.far.ask("count")["requests"]
        made.far.tell("pass 3600")
    predicted = predict(found, placement=placement, rows=rows)
    groups = len(NAMES) if placement == SPREAD else 1
    return Ran(
        what=what, processes=PORTALS * groups, measured_s=tuple(took), predicted_s=predicted.end_s,
        requests=requests, predicted_requests=predicted.asked, others=statistics.mean(others),
    )  # fmt: skip


def predict(found: Costs, *, placement: str, rows: int) -> fleet.Results:
    """Simulate the same: one machine that workers, server and portals share."""
    middle = sum(LATENCY_MS) / 2000
    world = World(
        environments=PORTALS, machines=1, cores=CORES, places=PLACES, placement=placement, size_spread=0.0,
        large_factor=1.0, mappings=((CHANGING, float(rows)), (len(NAMES) - CHANGING, 0.0)), cadence_s=HOUR_S,
        latency_s=(middle, middle), round_trip_s=0.0,
    )  # fmt: skip
    return fleet.Fleet(world, found, machine_is_shared=True).run_once()


def _fleet(made: Bed, placement: str) -> float:
    """Let workers take what is due, one after the other; return the seconds until the last one has ended."""
    due: queue.SimpleQueue[tuple[int, Sequence[str]]] = queue.SimpleQueue()
    for number in range(1, PORTALS + 1):
        for names in [[name] for name in NAMES] if placement == SPREAD else [list(NAMES)]:
            due.put((number, names))
    broken: list[Exception] = []

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while not broken:
                number, names = due.get_nowait()
                try:
                    made.command(number, names)
                except measure.Broken as error:
                    broken.append(error)

    began = time.perf_counter()
    workers = [threading.Thread(target=work) for _ in range(PLACES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if broken:
        raise broken[0]
    return time.perf_counter() - began


class Others:
    """Looks ten times a second how many programs that are not ours want a core."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def mean(self) -> float:
        """The average so far."""
        return statistics.mean(self._seen) if self._seen else 0.0

    def __enter__(self) -> Others:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            running = int(Path("/proc/stat").read_text().partition("procs_running ")[2].split()[0])
            ours = sum(_is_running(pid) for pid in _tree(os.getpid()))
            self._seen.append(max(running - max(ours, 1), 0))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for child in server.children(pid):
        found += _tree(child)
    return found


def _is_running(pid: int) -> int:
    """Count the threads of a process that want a core."""
    count = 0
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            count += task.read_text().rpartition(")")[2].split()[0] == "R"
    return count


def lines(found: Sequence[Ran]) -> Iterator[str]:
    """Yield the table."""
    head = f"{'':<54}{'processes':>10}{'measured s':>12}{'predicted s':>12}{'error':>8}"
    yield f"{head}{'requests':>9}{'predicted':>10}{'others':>8}"
    for one in found:
        yield (
            f"{one.what:<54}{one.processes:>10}{one.middle_s:>12.1f}{one.predicted_s:>12.1f}{one.error:>+8.0%}"
            f"{one.requests:>9,}{one.predicted_requests:>10,}{one.others:>8.1f}"
        )
