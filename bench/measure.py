"""
Measuring: the server and the measured processes are started here, and ended, and what they used is read from outside
and inside.

CPU and memory from outside are what the kernel says of the process when it ends, its children's included; so the
interpreter's start and the imports count. Needs `os.wait4` (Linux, macOS).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import environments

CONTENDERS = ("floor", "syncer", "dlt_records", "dlt_arrow")
RUNS = ("first", "again")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Broken(Exception):
    """A measured process failed; the message is what it said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """
    What one process used, or the median of several.

    cpu_s, wall_s: of the whole process.
    work_cpu_s: without the interpreter's start and the imports, read inside.
    """

    cpu_s: float
    work_cpu_s: float
    wall_s: float
    peak_mb: float
    requests: int
    written: int

    @classmethod
    def median(cls, several: Sequence[Measured]) -> Measured:
        """Return the median of each number; of requests and rows, which must not differ, the largest."""
        middle = {
            field: statistics.median(getattr(each, field) for each in several)
            for field in ("cpu_s", "work_cpu_s", "wall_s", "peak_mb")
        }
        return cls(
            **middle, requests=max(each.requests for each in several), written=max(each.written for each in several)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Api:
    """What is read: its URL, and how many requests it answered since the last time that it was asked."""

    url: str
    count: Callable[[], int]


@contextlib.contextmanager
def server(records: int, *, is_changed: bool = False) -> Iterator[Api]:
    """
    Start the API with *records* records, or with them when some have changed; give it once all pages are rendered; end
    it by its process.
    """
    more = ["changed"] if is_changed else []
    with answering([sys.executable, "-m", "bench.server", str(records), *more]) as (_, port):
        url = f"http://127.0.0.1:{port}"
        yield Api(url=url, count=lambda: _count(url))


@contextlib.contextmanager
def answering(
    command: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process; give it and the line that it says once it is ready; end it. Raises Broken: it says none."""
    with subprocess.Popen(
        command, cwd=environments.ROOT, env=dict(variables) if variables else None, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line:
                raise Broken("The server did not start.")
            yield process, line
        finally:
            process.terminate()


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """Make a folder for one contender's files, removed at the end."""
    environments.FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=environments.FOLDER) as name:
        yield Path(name)


def both_runs(contender: str, api: Api, packages: Path) -> dict[str, Measured]:
    """Measure a contender's first and second run on an empty folder, each a process of its own."""
    with work_folder() as folder:
        return {run: process(contender, run, api, folder=folder, packages=packages) for run in RUNS}


def process(contender: str, run: str, api: Api, *, folder: Path, packages: Path) -> Measured:
    """Measure one run of a contender, which works in *folder* and imports from *packages*. Raises Broken."""
    python = environments.interpreter("dlt" if "dlt" in contender else "syncer")
    api.count()
    command = [str(python), "-m", "bench.child", contender, api.url, str(folder), run]
    used = whole(command, f"{contender}, {run}", folder=folder, variables=environments.variables(packages, folder))
    return Measured(
        cpu_s=used.cpu_s, work_cpu_s=used.said["work_cpu_s"], wall_s=used.wall_s, peak_mb=used.peak_mb,
        requests=api.count(), written=used.said["written"],
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """What a whole process used, and what it said in its last line."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    said: dict[str, Any]


def whole(command: Sequence[str], what: str, *, folder: Path, variables: Mapping[str, str]) -> Whole:
    """Run a process to its end, and measure it. Its last line is an object in JSON. Raises Broken: it failed."""
    said = folder / "stderr"
    started = time.perf_counter()
    with said.open("wb") as errors:
        child = subprocess.Popen(command, cwd=folder, env=dict(variables), stdout=subprocess.PIPE, stderr=errors)
    try:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if child.returncode is None:  # we were interrupted
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if child.returncode:
        raise Broken(f"{what}: exit {child.returncode}\n{said.read_text(errors='replace')[-3000:]}")
    return Whole(
        cpu_s=used.ru_utime + used.ru_stime, wall_s=time.perf_counter() - started,
        peak_mb=used.ru_maxrss * _RSS_UNIT / 1e6, said=json.loads(output.splitlines()[-1]),
    )  # fmt: skip


def _count(url: str) -> int:
    """Ask the server how many requests came since the last time."""
    with urllib.request.urlopen(f"{url}/count", timeout=10) as answer:
        return int(answer.read())
