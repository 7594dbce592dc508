"""A Friday Pulse account in the sandbox and a warehouse beside it, for the tests of the source."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from syncer import engine, mappings, sources
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.friday_pulse import TOKEN, FridayPulseSite
from syncer.settings import Settings
from syncer.sources import Source
from syncer.transport import Doors
from tests.conftest import MovableClock, query_file
from tests.truth import differences, unmasked

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LISTS = ("topics", "group_types", "groups", "result_dates")
OF_GROUPS = ("group_results", "group_notes", "group_risks")
OF_COMPANY = ("company_results", "notes", "risks")
STREAMS = (*LISTS, *OF_COMPANY, *OF_GROUPS)


@attrs.define
class PulseHome:
    """A running account, and settings that lead to it."""

    site: FridayPulseSite
    sandbox: Sandbox
    settings: Settings
    doors: Doors

    def outcome(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams, all of them where none is named, however it ends."""
        names = [f"friday_pulse.{stream}" for stream in streams or STREAMS]
        return engine.pull(names, settings=self.settings, request=engine.Request(**request), doors=self.doors)

    def pull(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams; each must be done."""
        done = self.outcome(*streams, **request)
        assert [pulled.error for pulled in done if pulled.status != "done"] == []
        return done

    def written(self, *streams: str, **request: Any) -> dict[str, tuple[int, int, int]]:
        """Pull; return rows inserted, updated and gone, of each stream that has any."""
        runs = self.pull(*streams, **request)
        counts = {run.mapping.partition(".")[2]: (run.inserted, run.updated, run.gone) for run in runs}
        return {stream: found for stream, found in counts.items() if any(found)}

    def source(self, *streams: str, **options: Any) -> Source:
        """Connect to the account without an engine."""
        account = self.settings.account("friday_pulse")
        account = attrs.evolve(account, options={**account.options, **options})
        return sources.connect(account, doors=self.doors, streams=streams or STREAMS)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse file."""
        return query_file(self.settings.base / "warehouse.duckdb", query)

    def asked(self) -> list[str]:
        """Return paths and queries that were asked for since the last time, below the version."""
        found = [entry.path.removeprefix("/api/v1") for entry in self.sandbox.log]
        self.sandbox.reset_counts()
        return found

    def rejects(self, stream: str) -> dict[str, str]:
        """Return the reasons of a stream's rejects, by scope."""
        query = f"SELECT scope, reason FROM syncer.rejects WHERE mapping = 'friday_pulse.{stream}'"
        return dict(self.rows(query))

    def wrong(self, *streams: str) -> list[str]:
        """Compare what stands in the warehouse with the account, column by column."""
        known = mappings.known()
        return [
            what
            for stream in streams or STREAMS
            for what in differences(self.file, known[f"friday_pulse.{stream}"], self._truth(stream))
        ]

    def _truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """The truth with its numbers as the columns have them."""

        def told(name: str, value: Any) -> Any:
            return float(value) if name in ("score", "response_rate") and value is not None else value

        truth = self.site.truth(stream)
        return {key: {name: told(name, value) for name, value in row.items()} for key, row in truth.items()}

    @property
    def file(self) -> Path:
        """The warehouse file."""
        return self.settings.base / "warehouse.duckdb"

    @property
    def dates(self) -> list[str]:
        """The flow dates, newest first."""
        return sorted(self.site.dates, reverse=True)


@contextlib.contextmanager
def running(site: FridayPulseSite, folder: Path, *, url: str = "", **options: Any) -> Iterator[PulseHome]:
    """Run *site*, with a warehouse in *folder*; *url* goes behind its own; *options* are those of the source."""
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        clock = MovableClock()
        variables = {
            "SYNCER_FRIDAY_PULSE_URL": sandbox.url("friday_pulse") + url,
            "SYNCER_FRIDAY_PULSE_TOKEN": TOKEN,
        }
        settings = Settings(
            warehouse=f"duckdb:{folder / 'warehouse.duckdb'}",
            base=folder,
            variables=variables,
            tables={"friday_pulse": {"requests_per_minute": "off", **options}, **unmasked("friday_pulse")},
        )
        doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock), random=random.Random(1))
        yield PulseHome(site, sandbox, settings, doors)
        assert sandbox.errors == []


def small_site(*, dates: int = 7, groups: int = 6, empty_status: int = 200) -> FridayPulseSite:
    """Make an account whose clock stands until it is moved."""
    return FridayPulseSite.generate(
        seed=3, dates=dates, groups=groups, clock=Clock(START, is_frozen=True), empty_status=empty_status
    )


def slices_of(asked: list[str]) -> Counter[str]:
    """Count the requests for slices, by path and query."""
    return Counter(path for path in asked if "date=" in path)
