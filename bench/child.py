"""
One measured process: `python -m bench.child CONTENDER URL FOLDER RUN`. It prints one JSON line of what it saw from
inside.

The bench measures the same process from outside as well; what differs is the interpreter's start and the imports.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

from bench.contenders import Contender, Job


def main(contender: str, url: str, folder: str, run: str) -> None:
    """Import what the contender needs, then measure its work."""
    module: Contender = importlib.import_module(f"bench.contenders.{contender}")
    for name in module.IMPORTED:
        importlib.import_module(name)
    wall, cpu = time.perf_counter(), cpu_s()
    written = module.load(Job(url=url, folder=Path(folder), is_again=run != "first"))
    inside = {"written": written, "work_wall_s": time.perf_counter() - wall, "work_cpu_s": cpu_s() - cpu}
    print(json.dumps(inside))


def cpu_s() -> float:
    """CPU seconds of this process, user and system, with the children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main(*sys.argv[1:])
