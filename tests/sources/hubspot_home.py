"""A small portal in the sandbox and a warehouse beside it, for the tests of the HubSpot source."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson

from syncer import engine, sources
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.sandbox import Clock, Fault, Sandbox
from syncer.sandbox.hubspot import TOKEN, HubSpotSite
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.sandbox.hubspot.model import Definition, Kind, Owner, Pipeline, PortalRecord, Stage
from syncer.sandbox.messages import Request, Site
from syncer.settings import Settings
from syncer.sources import Page, Source
from syncer.transport import Doors
from tests.conftest import MovableClock, query_file

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)  # where a MovableClock stands
DAY_S = 86_400.0
OBJECTS = ("companies", "contacts", "deals", "tickets", "notes")
KEY = "from_type, from_id, to_type, to_id, category, type_id"


@attrs.define
class HubSpotHome:
    """A running portal, settings that lead to it, and what was asked of it by POST (`asked`: path and body)."""

    site: HubSpotSite
    sandbox: Sandbox
    settings: Settings
    doors: Doors
    clock: MovableClock
    asked: list[tuple[str, Any]] = attrs.field(factory=list)

    def pull(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams; each must be done."""
        done = self.outcome(*streams, **request)
        assert [pulled.error for pulled in done if pulled.status != "done"] == []
        return done

    def outcome(self, *streams: str, **request: Any) -> list[Pulled]:
        """Pull streams, however it ends."""
        names = [f"hubspot.{stream}" for stream in streams]
        return engine.pull(names, settings=self.settings, request=engine.Request(**request), doors=self.doors)

    def failure(self, *streams: str, **request: Any) -> str:
        """Pull streams, each must fail; return the first one's error, without the site's address."""
        failed = self.outcome(*streams, **request)
        assert {pulled.status for pulled in failed} == {"failed"}
        return str(failed[0].error)

    def with_options(self, **options: Any) -> HubSpotHome:
        """Return the same with other options of the source."""
        tables = {**self.settings.tables, "hubspot": {**self.settings.tables["hubspot"], **options}}
        return attrs.evolve(self, settings=attrs.evolve(self.settings, tables=tables))

    def with_variables(self, **variables: str) -> HubSpotHome:
        """Return the same with other environment variables."""
        return attrs.evolve(
            self, settings=attrs.evolve(self.settings, variables={**self.settings.variables, **variables})
        )

    def source(self, *streams: str, **options: Any) -> Source:
        """Connect to the portal without an engine."""
        account = self.settings.account("hubspot")
        account = attrs.evolve(account, options={**account.options, **options})
        return sources.connect(account, doors=self.doors, streams=streams)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse file."""
        return query_file(self.settings.base / "warehouse.duckdb", query)

    def one(self, stream: str, id: str, columns: str) -> tuple[Any, ...]:
        """Return some columns of one row."""
        [row] = self.rows(f"SELECT {columns} FROM load.hubspot_{stream} WHERE id = '{id}'")
        return row

    def column(self, stream: str, column: str) -> dict[str, Any]:
        """Return a column of all rows, by id."""
        return dict(self.rows(f'SELECT id, "{column}" FROM load.hubspot_{stream}'))

    def states(self, stream: str) -> dict[str, str]:
        """Return the state of each row, by id."""
        return self.column(stream, "dss_record_state")

    def true_states(self, stream: str) -> dict[str, str]:
        """Return what the states are in the portal."""
        return {key[0]: each["state"] for key, each in self.site.truth(stream).items()}

    def aliases(self, stream: str) -> dict[str, str]:
        """Return the ids that were merged away, and what survives each."""
        return dict(self.rows(f"SELECT old_id, new_id FROM syncer.aliases WHERE mapping = 'hubspot.{stream}'"))

    def edges(self) -> dict[tuple[Any, ...], str | None]:
        """Return the labels of the live edges, by key."""
        query = f"SELECT {KEY}, label FROM load.hubspot_associations WHERE dss_record_state = 'live'"
        return {row[:-1]: row[-1] for row in self.rows(query)}

    def true_edges(self) -> dict[tuple[Any, ...], str | None]:
        """Return what the edges are in the portal."""
        return {key: each["label"] for key, each in self.site.truth("associations").items()}

    def later(self, seconds: float = 300.0) -> None:
        """Let time pass, here and there: more than search lags, and than a mark is held back."""
        self.site.clock.advance(seconds)
        self.clock.advance(seconds)

    def sent(self) -> list[str]:
        """Return method, path and query of what was asked since the last call."""
        found = [f"{each.method} {each.path}" for each in self.sandbox.log]
        self.sandbox.log.clear()
        return found

    def bodies(self, tail: str) -> list[Any]:
        """Return what was sent by POST to paths with this end since the last call."""
        found = [body for path, body in self.asked if path.endswith(tail)]
        self.asked.clear()
        return found

    def fault(self, match: str, body: Any = "", *, status: int = 200, times: int | None = None, **more: Any) -> None:
        """Let requests that match be answered with *body*."""
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        self.sandbox.faults.add(Fault(kind="status", match=match, status=status, body=text, times=times, **more))

    def between(self, match: str, do: Any) -> None:
        """Call *do* once, just before the first request that matches is answered."""
        waiting = [do]

        def hook(_: Site, request: Request) -> None:
            if waiting and re.search(match, request.target):
                waiting.pop()()

        self.sandbox.before_request.append(hook)


@contextlib.contextmanager
def running(site: HubSpotSite, folder: Path, *others: HubSpotSite, **options: Any) -> Iterator[HubSpotHome]:
    """Run *site*, with a warehouse in *folder*; *options* are those of the source, *others* further portals."""
    with Sandbox(sites=[site, *others], clock=site.clock) as sandbox:
        clock = MovableClock()
        variables = {"SYNCER_HUBSPOT_URL": sandbox.url("hubspot"), "SYNCER_HUBSPOT_TOKEN": TOKEN}
        settings = Settings(
            warehouse=f"duckdb:{folder / 'warehouse.duckdb'}",
            base=folder,
            variables=variables,
            tables={"hubspot": {"workers": 1, "limits": "off", **options}},
        )
        doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock), random=random.Random(1))
        home = HubSpotHome(site, sandbox, settings, doors, clock)

        def note(_: Site, request: Request) -> None:
            if request.method == "POST":
                home.asked.append((request.path, orjson.loads(request.body)))

        sandbox.before_request.append(note)
        yield home
        assert sandbox.errors == []


def small_site(*, name: str = "hubspot", portal_id: int = 62515, token: str = TOKEN, **counts: int) -> HubSpotSite:
    """Make a portal of few properties whose clock stands until it is moved; *counts*: records by kind."""
    site = HubSpotSite(clock=Clock(START, is_frozen=True), index_lag_s=0, name=name, portal_id=portal_id, token=token)
    site.limits = None
    for kind in site.store.kinds.values():
        define_needed(site, kind)
    for kind_name, count in counts.items():
        some(site, kind_name, count)
    site.clock.advance(3_600)
    return site


def define(site: HubSpotSite, kind: str, name: str, type: str = "string", **more: Any) -> Definition:
    """Add a property."""
    definition = Definition(name=name, label=name.title(), type=type, **more)
    site.store.define(kind, definition)
    return definition


def define_needed(site: HubSpotSite, kind: Kind) -> None:
    """Add the properties that a kind cannot be without."""
    dates = {"datetime": (kind.created, kind.cursor)}
    texts = {"string": (kind.primary, "hs_object_id", "hs_merged_object_ids", *kind.required)}
    for type, names in {**dates, **texts}.items():
        for each in dict.fromkeys(names):
            define(site, kind.name, each, type)


def add_custom_kind(site: HubSpotSite, name: str) -> None:
    """Add a custom object."""
    define_needed(site, site.store.add_custom_kind(name, name.removesuffix("s")))


def add_settings(site: HubSpotSite) -> None:
    """Add an owner, and a pipeline of deals and of tickets: a portal is never without."""
    site.store.owners["71"] = Owner(
        id="71", email="ada@example.com", first_name="Ada", last_name="Jansen", user_id=7, created_ms=1, updated_ms=1
    )
    for kind in ("deals", "tickets"):
        stage = Stage(id="1", label="New", display_order=0, metadata={"probability": "0.2"})
        site.store.pipelines[kind] = {"0": Pipeline(id="0", label="Some", stages=[stage])}


def some(site: HubSpotSite, kind: str, count: int = 1, **properties: str | None) -> list[PortalRecord]:
    """Create records."""
    primary = site.store.kinds[kind].primary
    return [site.store.create(kind, {primary: f"{kind} {at}", **properties}) for at in range(count)]


def without(*scopes: str) -> frozenset[str]:
    """Return all scopes but these."""
    return ALL_SCOPES - set(scopes)


def ids_of(pages: list[Page]) -> list[str]:
    """Return the ids of the records of *pages*, in order."""
    return [str(record["id"]) for page in pages for record in page.records]


def table(home: HubSpotHome, stream: str) -> list[Mapping[str, Any]]:
    """Return a load table without what a run writes into it."""
    names = [row[0] for row in home.rows(f"DESCRIBE load.hubspot_{stream}")]
    kept = [name for name in names if name != "dss_load_date"]
    chosen = ", ".join(f'"{name}"' for name in kept)
    found = home.rows(f"SELECT {chosen} FROM load.hubspot_{stream} ORDER BY ALL")
    return [dict(zip(kept, row, strict=True)) for row in found]
