"""
One turn of a contender: the first load, what changed, and nothing; the table is compared with the portal behind each.

A table that is wrong is no figure: the bench ends there. Not here: what is measured of a process (`bench/measure.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import environments, measure

CONTENDERS = ("hubspot_floor", "hubspot_syncer", "hubspot_dlt_list", "hubspot_dlt_search", "hubspot_dlt_source")
LENT = "hubspot_dlt_source"  # only where somebody has dlt's HubSpot source
FIRST, CHANGED, UNCHANGED = RUNS = ("first", "changed", "unchanged")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packages:
    """The folder of the package syncer, and that in which dlt's HubSpot source stands as `hubspot`, if any."""

    syncer: Path
    dlt_source: Path | None = None

    def of(self, contender: str) -> Path:
        """Return the folder that a contender imports from."""
        return self.dlt_source if contender == LENT and self.dlt_source else self.syncer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """What the runs used, and how many companies they were about."""

    measured: dict[str, measure.Measured]
    live: int
    changed: int


class Portal:
    """The parent's hold on the portal's process."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.api = measure.Api(url=url, count=lambda: int(self.ask("count")))

    def ask(self, word: str) -> Any:
        """Tell the portal what to do; return what it answers. Raises Broken."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise measure.Broken(f"The portal ended at {word!r}.")
        return json.loads(line)


@contextlib.contextmanager
def portal(records: int, packages: Packages) -> Iterator[Portal]:
    """Start a portal of *records* companies, archived and merged ones among them; end it by its process."""
    command = [str(environments.interpreter("syncer")), "-m", "bench.hubspot.portal", str(records)]
    with measure.work_folder() as folder:
        variables = environments.variables(packages.syncer, folder)
        with measure.answering(command, variables) as (process, url):
            yield Portal(process, url)


def turn(contender: str, site: Portal, packages: Packages) -> Turn:
    """Measure a contender's three runs on an empty folder. Raises Broken: it failed, or its table is wrong."""
    found: dict[str, measure.Measured] = {}
    with measure.work_folder() as folder:

        def run(name: str) -> None:
            found[name] = measure.process(contender, name, site.api, folder=folder, packages=packages.of(contender))
            _compare(contender, name, site, folder=folder, packages=packages)

        site.ask("rest")
        run(FIRST)
        changed = site.ask("change")
        run(CHANGED)
        site.ask("wait")
        run(UNCHANGED)
    return Turn(measured=found, live=site.ask("truth")["rows"], changed=changed)


def _compare(contender: str, run: str, site: Portal, *, folder: Path, packages: Packages) -> None:
    """Compare a contender's table with the portal."""
    command = [str(environments.interpreter("syncer")), "-m", "bench.hubspot.check", contender]
    said = subprocess.run(
        [*command, str(folder / "bench.duckdb")], cwd=folder, capture_output=True, text=True, check=False,
        env=dict(environments.variables(packages.syncer, folder)),
    )  # fmt: skip
    if said.returncode:
        raise measure.Broken(f"{contender}, {run}: its table cannot be read.\n{said.stderr[-3000:]}")
    ours, theirs = json.loads(said.stdout), site.ask("truth")
    if ours != theirs:
        raise measure.Broken(f"{contender}, {run}: its table holds {ours}, the portal {theirs}.")
