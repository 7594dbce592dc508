"""
What a small pull costs a warehouse: alone, beside others, a thousand times; what a connection and a lease cost.

The API is taken out (`own/`): a pull that finds nothing, ten rows that are as they were, ten that changed. CPU of the
client is the process's own after its imports; the server's is that of all its processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import environments
from bench.scale import server, told

KINDS = {"nothing": (0, 0), "10 unchanged": (10, 0), "10 changed": (10, 1), "1,000 changed": (1_000, 1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What one of something costs, averages: milliseconds of CPU here and there, of wall; what the server counted."""

    what: str
    client_ms: float
    server_ms: float
    wall_ms: float
    connections: float = 0.0
    statements: float = 0.0
    commits: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Together:
    """What so many processes do to one server at once."""

    processes: int
    pulls_a_minute: float
    client_ms: float
    server_ms: float
    slowest_ms: float


def variables(warehouse: str, folder: Path) -> dict[str, str]:
    """Return the environment of a process that pulls."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")}
    return kept | {"SYNCER_WAREHOUSE": warehouse, "SYNCER_CACHE": str(folder / "cache")}


@contextlib.contextmanager
def puller(environment: str, given: Mapping[str, str]) -> Iterator[told.Told]:
    """Start a process that pulls when told."""
    with told.process([sys.executable, "-m", "bench.scale.puller", environment], given) as found:
        yield found


def costs(measured: server.Measured | None, folder: Path, *, times: int) -> list[Cost]:
    """Measure small pulls one after the other; *measured* None: into a DuckDB file."""
    warehouse = measured.string if measured else f"duckdb:{folder / 'warehouse.duckdb'}"
    found = []
    with puller("alone", variables(warehouse, folder)) as one:
        one.ask("pull 1 10 10 1 0")  # the tables are made, and ten rows stand in each
        one.ask("pull 1 10 0 1 0")
        for what, (rows, turn) in KINDS.items():
            one.ask(f"pull 1 1 {rows} 1 {turn}")
            alone = _cost(what, one, f"pull {times} 1 {rows} 1 {turn and turn + 100}", measured, times)
            ten = _cost(
                what, one, f"pull {times // 4 or 1} 10 {rows} 1 {turn and turn + 900}", measured, times // 4 or 1
            )
            found += [alone, dataclasses.replace(_less(ten, alone, 9), what=f"{what}: each further mapping")]
        found.append(_cost("a connection", one, f"connect {times}", measured, times))
        one.ask("lease 2")
        many = times * 10
        found.append(_less(_cost("a lease", one, f"lease {many}", measured, many), None, 1))
    return found


def _cost(what: str, one: told.Told, words: str, measured: server.Measured | None, times: int) -> Cost:
    before = measured.used() if measured else server.Used()
    said: dict[str, Any] = one.ask(words)
    if measured:
        time.sleep(0.2)  # a session's counts come with its end
    used = measured.used().since(before) if measured else server.Used()
    return Cost(
        what=what, client_ms=said["cpu_s"] / times * 1000, server_ms=used.cpu_s / times * 1000,
        wall_ms=said["wall_s"] / times * 1000, connections=used.sessions / times,
        statements=used.statements / times, commits=used.commits / times,
    )  # fmt: skip


def _less(several: Cost, one: Cost | None, more: int) -> Cost:
    """Return what each of *more* mappings costs beside the first one."""
    numbers = {}
    for field in dataclasses.fields(Cost):
        if field.name != "what":
            alone = getattr(one, field.name) if one else 0.0
            numbers[field.name] = (getattr(several, field.name) - alone) / more
    return Cost(what=several.what, **numbers)


def together(measured: server.Measured, folder: Path, *, processes: int, seconds: float) -> Together:
    """Let so many processes pull at once, each its own environment's mapping, ten changed rows each time."""
    with contextlib.ExitStack() as stack:
        given = variables(measured.string, folder)
        several = [stack.enter_context(puller(f"e{number}", given)) for number in range(processes)]
        for one in several:
            one.ask("pull 1 1 10 1 0")
            one.ask("pull 1 1 10 1 1")
        began, before = time.perf_counter(), measured.cpu_s()
        count, client, slowest, turn = 0, 0.0, 0.0, 2
        while time.perf_counter() - began < seconds:
            for one in several:
                one.begin(f"pull 10 1 10 1 {turn}")
            for said in [one.end() for one in several]:
                count, client = count + 10, client + said["cpu_s"]
                slowest = max(slowest, said["wall_s"] / 10)
            turn += 10
        wall, cpu = time.perf_counter() - began, measured.cpu_s() - before
    return Together(
        processes=processes, pulls_a_minute=count / wall * 60, client_ms=client / count * 1000,
        server_ms=cpu / count * 1000, slowest_ms=slowest * 1000,
    )  # fmt: skip


def growth(
    measured: server.Measured, folder: Path, *, times: int, processes: int = 4
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pull ten changed rows so often, by a few processes; return what the catalogue has before and after."""
    with contextlib.ExitStack() as stack:
        given = variables(measured.string, folder)
        several = [stack.enter_context(puller(f"growth{number}", given)) for number in range(processes)]
        for one in several:
            one.ask("pull 1 1 10 1 0")
        before = measured.catalogue()
        for one in several:
            one.begin(f"pull {times // processes} 1 10 1 1")
        for one in several:
            one.end()
        time.sleep(1.0)
        return before, measured.catalogue()


def command(warehouse: str, folder: Path, *, mappings: int, times: int) -> Cost:
    """Measure the command itself, `syncer pull`, as a scheduler starts it; nothing changed."""
    given = variables(warehouse, folder) | {
        "SYNCER_CONFIG": str(environments.ROOT / "bench/scale/own/syncer.toml"),
        "SYNCER_SCALE_URL": "http://127.0.0.1/0/1/0",
        "SYNCER_SCALE_TOKEN": "token",
    }
    names = [f"scale.m{number:02}" for number in range(1, mappings + 1)]
    cpu, wall = 0.0, 0.0
    for _ in range(times):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "syncer", "pull", *names, "--output", "json"],
            check=True, stdout=subprocess.DEVNULL, cwd=environments.ROOT, env=given,
        )  # fmt: skip
        wall += time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(
        what=f"the command, {mappings} mapping{'s' * (mappings > 1)}", client_ms=cpu / times * 1000, server_ms=0.0,
        wall_ms=wall / times * 1000,
    )  # fmt: skip


def lines(found: list[Cost]) -> Iterator[str]:
    """Yield a table of costs."""
    head = f"{'':<40}{'client ms':>10}{'server ms':>10}{'wall ms':>9}"
    yield f"{head}{'connections':>12}{'statements':>11}{'commits':>8}"
    for one in found:
        yield (
            f"{one.what:<40}{one.client_ms:>10.2f}{one.server_ms:>10.2f}{one.wall_ms:>9.2f}{one.connections:>12.1f}"
            f"{one.statements:>11.1f}{one.commits:>8.1f}"
        )


def folder_() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for files of a measurement."""
    return tempfile.TemporaryDirectory(prefix="syncer-scale-")


def beside(found: list[Together]) -> Iterator[str]:
    """Yield a table of many at once."""
    yield f"{'processes at once':<20}{'pulls/minute':>13}{'client ms':>10}{'server ms':>10}{'slowest ms':>11}"
    for one in found:
        yield (
            f"{one.processes:<20}{one.pulls_a_minute:>13,.0f}{one.client_ms:>10.1f}{one.server_ms:>10.1f}"
            f"{one.slowest_ms:>11.0f}"
        )


def grown(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]], *, times: int) -> Iterator[str]:
    """Yield a table of what grew."""
    yield f"{f'after {times:,} pulls':<20}{'kB before':>10}{'kB after':>10}{'dead rows':>10}"
    for name, (size, dead) in after.items():
        yield f"{name:<20}{before.get(name, (0, 0))[0] / 1024:>10,.0f}{size / 1024:>10,.0f}{dead:>10,}"
