"""Promise 15: memory does not grow with the number of records. Measured in processes, one size against another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import resource, sys
from pathlib import Path
from syncer import engine
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.sources import Page, Whole
from syncer.transport import Doors
from tests.conftest import OWN, own_module

count, folder = int(sys.argv[1]), Path(sys.argv[2])
module = own_module("sources", "scripted")
script = module.SCRIPTS["memory"] = module.Script()

def pages(stream, places=None):
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        records = [{"id": n, "name": f"{n} " + "x" * 900, "tags": [str(n)] * 20} for n in numbers]
        yield Page(place={"n": start}, records=records, whole=Whole(first=start == 0, last=start + 500 >= count))

script.read = pages
script.keys = pages
variables = {"SYNCER_SCRIPTED_URL": "http://script/memory", "SYNCER_SCRIPTED_TOKEN": "x"}
settings = Settings(warehouse="duckdb:w.duckdb", base=folder, folders=(OWN,), variables=variables)
clock = SystemClock()
for mode in ("incremental", "incremental", "census"):
    doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock))
    (done,) = engine.pull("scripted.things", settings=settings, request=engine.Request(mode=mode), doors=doors)
    assert done.status == "done", done
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mb(count: int, folder: Path) -> int:
    """Pull *count* records twice, and take a census, in a process of its own; return its peak memory."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count), str(folder)],
        capture_output=True,
        text=True,
        timeout=170,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return int(done.stdout)


def test_five_times_the_records_need_no_more_memory(tmp_path: Path) -> None:
    """Groups, queues and keys are bounded; what is not is in the warehouse."""
    small, large = peak_mb(12_000, tmp_path / "small"), peak_mb(60_000, tmp_path / "large")
    assert large <= 1.25 * small, f"{small} MB for 12,000 records, {large} MB for 60,000"
