"""A portal, warehouses, and the processes that work on them: made here, measured here, and ended here."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import environments, measure
from bench.hubspot.turns import Portal
from bench.measure import Whole
from bench.postgresql.server import Server
from bench.push import MAPPING, RELATION, TOKEN

_numbers = itertools.count(1)
# Each word may be "off"; else plans of this size wait for a person.
SETTINGS = f"""
[hubspot]
limits = "off"

["{MAPPING}"]
relation = "{RELATION}"
match_on = "client_id"
max_create_share = "off"
max_update_share = "off"
max_creates = "off"
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Warehouse:
    """A folder with a warehouse, and the settings that lead to it and to a portal."""

    backend: str
    folder: Path
    packages: Path
    job: Mapping[str, Any]

    def tell(self, statements: Sequence[str]) -> None:
        """Run statements, as a person would; nothing of it is measured."""
        self.step("tell", statements=list(statements))

    def step(self, name: str, **more: Any) -> Whole:
        """Run a step of `child.py` in a process of its own. Raises Broken."""
        (self.folder / "job.json").write_text(json.dumps({**self.job, **more}))
        command = [str(environments.interpreter("syncer")), "-m", "bench.push.child", name]
        variables = environments.variables(self.packages, self.folder)
        return measure.whole(command, f"{name}, {self.backend}", folder=self.folder, variables=variables)


@contextlib.contextmanager
def warehouse(backend: str, packages: Path, *, server: Server | None, url: str = "") -> Iterator[Warehouse]:
    """Make an empty warehouse, a file or a database of *server*; take it away at the end."""
    with measure.work_folder() as folder, contextlib.ExitStack() as opened:
        job: dict[str, Any] = {"backend": backend, "file": str(folder / "bench.duckdb")}
        setting = f"duckdb:{folder / 'bench.duckdb'}"
        if backend == "postgresql":
            assert server is not None
            database = f"push_{next(_numbers)}"
            server.ask(f"CREATE DATABASE {database} TEMPLATE template0")
            opened.callback(server.ask, f"DROP DATABASE {database} WITH (FORCE)")
            job["odbc"] = server.address(database).odbc
            setting = f"odbc:{job['odbc']}"
        (folder / "syncer.toml").write_text(SETTINGS)
        job["variables"] = {
            "SYNCER_CONFIG": str(folder / "syncer.toml"),
            "SYNCER_WAREHOUSE": setting,
            "SYNCER_CACHE": str(folder / "cache"),
            "SYNCER_HUBSPOT_URL": url,
            "SYNCER_HUBSPOT_TOKEN": TOKEN,
        }
        yield Warehouse(backend=backend, folder=folder, packages=packages, job=job)


@contextlib.contextmanager
def portal(companies: int, packages: Path) -> Iterator[Portal]:
    """Start a portal whose companies are rows of version 1; end it by its process."""
    command = [str(environments.interpreter("syncer")), "-m", "bench.push.portal", str(companies)]
    with measure.work_folder() as folder:
        variables = environments.variables(packages, folder)
        with measure.answering(command, variables) as (process, url):
            yield Portal(process, url)
