"""
One process that pulls when it is told to: `python -m bench.scale.puller ENVIRONMENT`; the rest is by variables.

It answers each line with a line of JSON: CPU and wall seconds, and what was written.

    pull TIMES MAPPINGS ROWS STEP TURN   `engine.pull` of the first so many mappings, so often; each time the turn is
                                         one more where ROWS is not 0 and TURN is 1 or more, so that all rows change
    large TIMES ROWS STEP TURN           the same of the one large mapping
    lease TIMES                          take a lease and give it back, on one connection
    connect TIMES                        connect and close
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loguru import logger

OWN = Path(__file__).parent / "own"


def pulled(environment: str, names: list[str], *, rows: int, step: int, turn: int) -> int:
    """Pull; return how many rows were written."""
    from syncer import engine
    from syncer import settings as settings_module

    os.environ["SYNCER_SCALE_URL"] = os.environ[f"SYNCER_SCALE__{environment.upper()}_URL"] = (
        f"http://127.0.0.1/{rows}/{step}/{turn}"
    )
    found = engine.pull(names, settings=settings_module.load(environment=environment))
    for one in found:
        if one.status != "done" or one.rejected:
            raise RuntimeError(str(one.error or one))
    return sum(one.inserted + one.updated for one in found)


def leased(environment: str, times: int) -> int:
    """Take a lease so often, each time on the connection that is there."""
    with_warehouse(environment, lambda warehouse: _leased(warehouse, times))
    return 0


def _leased(warehouse: Any, times: int) -> None:
    for _ in range(times):
        warehouse.lease("scale.lease@here", run="bench", wait_s=0.0).release()


def connected(environment: str, times: int) -> int:
    """Connect, ask something, close."""
    for _ in range(times):
        with_warehouse(environment, lambda warehouse: warehouse.exists())
    return 0


def with_warehouse(environment: str, use: Callable[[Any], Any]) -> None:
    """Open the warehouse, use it, close it."""
    from syncer import settings as settings_module
    from syncer import warehouses
    from syncer.clock import SystemClock

    warehouse = warehouses.find(settings_module.load(environment=environment), clock=SystemClock())
    try:
        use(warehouse)
    finally:
        warehouse.close()


def done(environment: str, words: list[str]) -> int:
    """Do what a line says; return how many rows were written."""
    verb, *rest = words
    numbers = [int(word) for word in rest]
    if verb == "lease":
        return leased(environment, numbers[0])
    if verb == "connect":
        return connected(environment, numbers[0])
    if verb == "large":
        times, rows, step, turn = numbers
        names = ["scale.large"]
    else:
        times, mappings, rows, step, turn = numbers
        names = [f"scale.m{number:02}" for number in range(1, mappings + 1)]
    moves = bool(rows and turn)
    return sum(
        pulled(environment, names, rows=rows, step=step, turn=turn + (time_ if moves else 0)) for time_ in range(times)
    )


def main(environment: str) -> None:
    """Do what is told until stdin ends."""
    logger.remove()
    os.environ["SYNCER_CONFIG"] = str(OWN / "syncer.toml")
    os.environ["SYNCER_SCALE_TOKEN"] = os.environ[f"SYNCER_SCALE__{environment.upper()}_TOKEN"] = "token"
    print("ready", flush=True)
    for line in sys.stdin:
        wall, before = time.perf_counter(), _cpu_s()
        written = done(environment, line.split())
        used = {"cpu_s": _cpu_s() - before, "wall_s": time.perf_counter() - wall, "written": written}
        print(json.dumps(used), flush=True)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1])
