"""
A first load of Friday Pulse, 150 dates of 60 groups, killed with SIGKILL in the middle, and run to its end.

By the sandbox's log: what was committed before the kill is not asked for again, every slice is there once, and a
second run writes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.friday_pulse import TOKEN, FridayPulseSite
from tests.conftest import query_file

NAME = "friday_pulse.group_results"
VICTIM = """
import json, sys
from pathlib import Path
from loguru import logger
from syncer import engine, settings
logger.remove()
folder = Path(sys.argv[1])
found = settings.load(folder=folder)
print(json.dumps([[run.status, run.read, run.inserted, run.updated, run.gone, run.requests, run.error]
                  for run in engine.pull(sys.argv[2], settings=found)]), flush=True)
"""


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    dates, groups, kills = (12, 10, 1) if is_short else (150, 60, 4)
    site = FridayPulseSite.generate(seed=1, dates=dates, groups=groups, clock=Clock(is_frozen=True), empty_status=200)
    folder = Path(tempfile.mkdtemp(prefix="syncer-friday-"))
    try:
        with Sandbox(sites=[site], clock=site.clock) as sandbox:
            wrong = _Trial(site, sandbox, folder, slices=dates * groups).run(kills)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what in wrong:
        print(f"  {what}")
    return len(wrong)


class _Trial:
    """One first load, killed some times."""

    def __init__(self, site: FridayPulseSite, sandbox: Sandbox, folder: Path, *, slices: int) -> None:
        self.site, self.sandbox, self.folder, self.slices = site, sandbox, folder, slices
        self.file = folder / "warehouse.duckdb"
        (folder / "syncer.toml").write_text('[friday_pulse]\nrequests_per_minute = "off"\n', encoding="utf-8")

    def run(self, kills: int) -> list[str]:
        """Kill, go on, and look again; return what was wrong."""
        wrong: list[str] = []
        began = time.monotonic()
        total = 0
        for number in range(1, kills + 1):
            done = self.done()
            total += self.killed_at(self.slices * number // (kills + 1))
            wrong += self.repeated(done)
        done = self.done()
        self.sandbox.reset_counts()
        (last,) = self.pull()
        total += self.asked()
        wrong += self.repeated(done)
        rows = sum(len(self.site.results(date, group)) for date in self.site.dates for group in self.site.groups)
        found = query_file(self.file, "SELECT count(*) FROM load.friday_pulse_group_results")[0][0]
        if last[0] != "done" or found != rows:
            wrong.append(f"the load ended {last}, with {found} of {rows} rows")
        seconds = time.monotonic() - began
        print(
            f"{self.slices} slices, {rows} rows, {kills} kills: {total} slices asked for, {total - self.slices} of "
            f"them again, {len(done)} stood before the last run; {seconds:.0f} s",
            flush=True,
        )
        began = time.monotonic()
        (again,) = self.pull()
        print(f"once more: {again[5]} requests, {sum(again[2:5])} rows written; {time.monotonic() - began:.1f} s")
        if again[0] != "done" or sum(again[2:5]):
            wrong.append(f"an unchanged second run: {again}")
        return wrong

    def killed_at(self, slices: int) -> int:
        """Pull until so many slices stand in the log, then kill; return how many were asked for."""
        before = len(self.done())
        self.sandbox.reset_counts()
        child = self.start()
        try:
            while child.poll() is None and before + self.asked() < slices:
                time.sleep(0.005)
        finally:
            if child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
        return self.asked()

    def pull(self) -> list[list[object]]:
        """Pull to the end."""
        child = self.start()
        text, _ = child.communicate(timeout=1800)
        found: list[list[object]] = json.loads(text)
        return found

    def start(self) -> subprocess.Popen[str]:
        """Start a pull in a process of its own."""
        variables = {
            **os.environ,
            "HOME": str(self.folder),
            "SYNCER_CACHE": str(self.folder / "cache"),
            "SYNCER_WAREHOUSE": f"duckdb:{self.file}",
            "SYNCER_FRIDAY_PULSE_URL": self.sandbox.url("friday_pulse"),
            "SYNCER_FRIDAY_PULSE_TOKEN": TOKEN,
        }
        command = [sys.executable, "-c", VICTIM, str(self.folder), NAME]
        return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)

    def asked(self) -> int:
        """How many slices were asked for since the counts were reset."""
        routes = self.sandbox.counts["friday_pulse"].routes if "friday_pulse" in self.sandbox.counts else {}
        return sum(count for (_, route), count in routes.items() if route.partition("?")[0].endswith("/results"))

    def done(self) -> set[tuple[str, int]]:
        """The slices that the places tell to be read."""
        if not self.file.exists():
            return set()
        tables = query_file(self.file, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'marks'")
        if tables == [(0,)]:
            return set()
        query = f"SELECT scope, place FROM syncer.marks WHERE mapping = '{NAME}' AND scope <> ''"
        found = set()
        for date, place in query_file(self.file, query):
            last = json.loads(place).get("after", max(self.site.groups))
            found |= {(date, group) for group in self.site.groups if group <= last}
        return found

    def repeated(self, done: set[tuple[str, int]]) -> list[str]:
        """Slices of the log that had been committed before it began."""
        asked = set()
        for entry in self.sandbox.log:
            path, _, date = entry.path.partition("?date=")
            if "/groups/" in path:
                asked.add((date, int(path.split("/")[-2])))
        again = asked & done
        return [f"{len(again)} committed slices were asked for again, such as {min(again)}"] if again else []
