"""
One run of drt: `PYTHON -m bench.push.peer_child URL`, in the folder of its project, by the interpreter that has drt.

drt's HubSpot destination has the address in a constant; here it is another one, and everything else is as it comes. It
prints one line of JSON of what was seen from inside.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version

from bench.child import cpu_s


def main(url: str) -> None:
    """Run `drt run`; print what it said, and what it used."""
    hubspot = importlib.import_module("drt.destinations.hubspot")
    for name, path in (("_HUBSPOT_API", "objects"), ("_HUBSPOT_PROPERTIES_API", "properties")):
        if not hasattr(hubspot, name):
            raise SystemExit(f"drt {version('drt-core')} keeps HubSpot's address elsewhere: it cannot be measured.")
        setattr(hubspot, name, f"{url}/crm/v3/{path}")
    command = importlib.import_module("drt.cli.main")
    sys.argv = ["drt", "run", "--select", "companies", "--quiet"]
    wall, cpu = time.perf_counter(), cpu_s()
    ended = 0
    try:
        command.app()
    except SystemExit as said:
        ended = said.code if isinstance(said.code, int) else 1
    inside = {"work_s": time.perf_counter() - wall, "work_cpu_s": cpu_s() - cpu, "exit": ended}
    print(json.dumps({**inside, "version": version("drt-core")}))


if __name__ == "__main__":
    main(sys.argv[1])
