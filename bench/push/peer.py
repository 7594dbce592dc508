"""
drt beside syncer: the same rows, the same file and the same portal, as far as drt goes.

drt reads no record of HubSpot before it writes one, and writes one record a request: a create, and where that is
refused because the record is there, an update. So a run of all rows sends all of them, changed or not; a query that
selects those that changed sends those. Pacing is off, as limits are for syncer.

Its project is written here: a source in DuckDB, HubSpot companies by `client_id`. Values are texts, as HubSpot has
them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench import environments, measure
from bench.measure import Broken, Whole
from bench.push import KEY, KIND, RELATION, TOKEN
from bench.push.rows import COLUMNS
from bench.push.site import Warehouse

UPSERT, UPDATE = "upsert", "update_only"  # drt's `match_policy`


def version_of(python: Path) -> str:
    """Return the version of drt that an interpreter has. Raises Broken: it has none."""
    query = (
        "import drt.destinations.hubspot, duckdb; from importlib.metadata import version; print(version('drt-core'))"
    )
    try:
        said = subprocess.run([str(python), "-c", query], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Broken(f"--drt: {python} cannot be run ({error.strerror}).") from error
    if said.returncode:
        raise Broken(
            f"--drt: {python} has no drt that can be measured; drt-core[duckdb] is its package.\n{said.stderr[-500:]}"
        )
    return said.stdout.strip()


def run(python: Path, place: Warehouse, *, policy: str, where: str = "") -> Whole:
    """Measure a run of drt on a warehouse's rows, those of a condition. Raises Broken."""
    _write(place, policy=policy, where=where)
    variables = {
        **environments.variables(place.packages, place.folder),
        "PYTHONPATH": str(environments.ROOT),
        "HUBSPOT_TOKEN": TOKEN,
    }
    url = place.job["variables"]["SYNCER_HUBSPOT_URL"]
    command = [str(python), "-m", "bench.push.peer_child", url]
    return measure.whole(command, f"drt, {policy}", folder=place.folder, variables=variables)


def _write(place: Warehouse, *, policy: str, where: str) -> None:
    """Write drt's project; its files are YAML, of which JSON is a part."""
    chosen = ", ".join(f"CAST({_as_text(name, type)} AS VARCHAR) AS {name}" for name, type, _, _ in COLUMNS)
    profiles = {"local": {"type": "duckdb", "database": place.job["file"]}}
    sync = {
        "name": "companies",
        "model": f"SELECT {chosen} FROM {RELATION}{f' WHERE {where}' if where else ''}",
        "destination": {
            "type": "hubspot", "object_type": KIND, "id_property": KEY,
            "auth": {"type": "bearer", "token_env": "HUBSPOT_TOKEN"}, "rate_limit": {"requests_per_second": 0},
        },
        "sync": {"mode": "full", "match_policy": policy, "on_error": "skip"},
    }  # fmt: skip
    for file, content in (
        (".drt/profiles.yml", profiles),
        ("drt_project.yml", {"name": "bench", "profile": "local"}),
        ("syncs/companies.yml", sync),
    ):
        target = place.folder / file
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(content))


def _as_text(name: str, type: str) -> str:
    """Write a value as HubSpot has it: a time with its zone."""
    return f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ')" if type == "datetime" else name
