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
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import environments

ENVIRONMENT_OF = {"floor": "syncer", "syncer": "syncer", "dlt_records": "dlt", "dlt_arrow": "dlt"}
CONTENDERS = tuple(ENVIRONMENT_OF)
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


@contextlib.contextmanager
def server(records: int) -> Iterator[str]:
    """Start the API with *records* records; give its URL once all pages are rendered; end it by its process."""
    command = [sys.executable, "-m", "bench.server", str(records)]
    with subprocess.Popen(command, cwd=environments.ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise Broken("The server did not start.")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """Make a folder for one contender's files, removed at the end."""
    environments.FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=environments.FOLDER) as name:
        yield Path(name)


def both_runs(contender: str, url: str, packages: Path) -> dict[str, Measured]:
    """Measure a contender's first and second run on an empty folder, each a process of its own."""
    with work_folder() as folder:
        return {run: _process(contender, url, run, folder=folder, packages=packages) for run in RUNS}


def _process(contender: str, url: str, run: str, *, folder: Path, packages: Path) -> Measured:
    python = environments.interpreter(ENVIRONMENT_OF[contender])
    _count(url)
    command = [str(python), "-m", "bench.child", contender, url, str(folder), run]
    said = folder / "stderr"
    started = time.perf_counter()
    with said.open("wb") as errors:
        variables = dict(environments.variables(packages, folder))
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:  # we were interrupted
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode:
        raise Broken(f"{contender}, {run}: exit {process.returncode}\n{said.read_text(errors='replace')[-3000:]}")
    inside = json.loads(output.splitlines()[-1])
    return Measured(
        cpu_s=used.ru_utime + used.ru_stime, work_cpu_s=inside["work_cpu_s"], wall_s=time.perf_counter() - started,
        peak_mb=used.ru_maxrss * _RSS_UNIT / 1e6, requests=_count(url), written=inside["written"],
    )  # fmt: skip


def _count(url: str) -> int:
    """Ask the server how many requests came since the last time."""
    with urllib.request.urlopen(f"{url}/count", timeout=10) as answer:
        return int(answer.read())
