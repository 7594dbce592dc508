"""An AnythingLLM in the sandbox and a warehouse beside it, for the tests of the source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson

from syncer import engine, sources
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.mappings import anythingllm
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.anythingllm import AnythingLLMSite
from syncer.settings import Settings
from syncer.sources import Source
from syncer.transport import Doors
from tests.conftest import MovableClock, query_file
from tests.truth import differences, unmasked

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STREAMS = ("embeds", "embed_chats", "workspaces", "threads", "workspace_chats")
PAGE = "/api/v1/admin/workspace-chats"


@attrs.define
class Home:
    """A running instance, and settings that lead to it."""

    site: AnythingLLMSite
    sandbox: Sandbox
    settings: Settings
    doors: Doors

    def pull(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams, all of them where none is named; each must be done."""
        done = self.outcome(*streams, **request)
        assert [pulled.error for pulled in done if pulled.status != "done"] == []
        return done

    def outcome(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams, however it ends."""
        names = [f"anythingllm.{stream}" for stream in streams or STREAMS]
        return engine.pull(names, settings=self.settings, request=engine.Request(**request), doors=self.doors)

    def source(self, **options: Any) -> Source:
        """Connect to the instance without an engine."""
        account = self.settings.account("anythingllm")
        return sources.connect(attrs.evolve(account, options=options), doors=self.doors, streams=STREAMS)

    def set(self, **options: Any) -> None:
        """Change options of the source."""
        tables = {**self.settings.tables, "anythingllm": {**self.settings.tables.get("anythingllm", {}), **options}}
        self.settings = attrs.evolve(self.settings, tables=tables)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse file."""
        return query_file(self.settings.base / "warehouse.duckdb", query)

    def states(self, stream: str) -> dict[Any, str]:
        """Return the states of the rows that are not live, by key."""
        key = "slug" if stream == "threads" else "id"
        table = f"load.anythingllm_{stream}"
        return dict(self.rows(f"SELECT {key}, dss_record_state FROM {table} WHERE dss_record_state <> 'live'"))

    def wrong(self, *streams: str) -> list[str]:
        """What the warehouse has otherwise than the API."""
        file = self.settings.base / "warehouse.duckdb"
        return [
            what
            for mapping in anythingllm.MAPPINGS
            if mapping.entity in (streams or STREAMS)
            for what in differences(file, mapping, self.site.truth(mapping.entity))
        ]

    def asked(self) -> list[str]:
        """What was asked since the last call: method and path, but for who we are."""
        found = [f"{entry.method} {entry.path}" for entry in self.sandbox.log]
        self.sandbox.reset_counts()
        return [each for each in found if not each.endswith(("/auth", "/metrics"))]

    def place(self, stream: str, scope: str = "") -> Any:
        """Return a stored place."""
        found = self.rows(
            f"SELECT place FROM syncer.marks WHERE mapping = 'anythingllm.{stream}' AND scope = '{scope}'"
        )
        return orjson.loads(found[0][0]) if found else None

    def later(self, hours: float = 25.0) -> None:
        """Let time pass: a full comparison is due."""
        self.site.clock.advance(hours * 3600)


@contextlib.contextmanager
def running(site: AnythingLLMSite, folder: Path, **options: Any) -> Iterator[Home]:
    """Run *site*, with a warehouse in *folder*; *options* are those of the source."""
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        clock = MovableClock()
        settings = Settings(
            warehouse=f"duckdb:{folder / 'warehouse.duckdb'}",
            base=folder,
            variables={"SYNCER_ANYTHINGLLM_URL": sandbox.url("anythingllm"), "SYNCER_ANYTHINGLLM_TOKEN": site.token},
            tables={"anythingllm": options, **unmasked("anythingllm")},
        )
        yield Home(site, sandbox, settings, Doors(clock=clock, budget=Budget(folder / "cache", clock=clock)))
        assert sandbox.errors == []


def small_site(**amounts: int) -> AnythingLLMSite:
    """Make an instance whose clock stands until it is moved."""
    return AnythingLLMSite.generate(seed=5, clock=Clock(START, is_frozen=True), **amounts)
