"""A portal in the sandbox, a warehouse beside it, and a relation in it: what the tests of pushes stand on."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson

from syncer import executing, plans, pushing, settings
from syncer.budget import Budget
from syncer.plan import Change
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import TOKEN, HubSpotSite
from syncer.sandbox.hubspot.model import Definition, PortalRecord
from syncer.settings import Settings
from syncer.tally import Pushed
from syncer.transport import Doors
from syncer.warehouses import Warehouse, find
from tests.backends import BACKENDS, Database
from tests.conftest import MovableClock
from tests.outbound import counted
from tests.sandbox.hubspot_portal import hand_made

START = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)  # where a MovableClock stands
KEY = "client_id"
PROBE_BYTES = len(b'{"inputs":[]}')  # an update of nothing: the guard's question whether the token may write
PROPERTIES = (
    (KEY, "string", "text"),
    ("phone", "string", "text"),
    ("industry", "string", "text"),
    ("size", "number", "number"),
    ("since", "date", "date"),
    ("met_at", "datetime", "date"),
    ("is_customer", "bool", "booleancheckbox"),
    ("tier", "enumeration", "select"),
    ("products", "enumeration", "checkbox"),
)
OPTIONS = {"tier": ("gold", "silver"), "products": ("a", "b", "c")}


@attrs.define
class PushHome:
    """
    A portal with companies that have `client_id`, a relation `stage.companies`, and settings that lead to both.

    words: what `syncer.toml` says of `hubspot.companies`, beside relation and key.
    """

    site: HubSpotSite
    sandbox: Sandbox
    settings: Settings
    doors: Doors
    clock: MovableClock
    database: Database

    def push(self, **request: Any) -> Pushed:
        """Push the companies, however it ends; each row of the relation is counted once."""
        pushed = pushing.push(
            "hubspot.companies", settings=self.settings, request=self.request(**request), doors=self.doors
        )[0]
        relation = self.settings.tables["hubspot.companies"].get("relation")
        if relation == "stage.companies" and "plan" not in request:
            assert counted.read_wrong(self, pushed, relation) == []
        return pushed

    def request(self, **request: Any) -> executing.Request:
        """Make a request."""
        return executing.Request(**request)

    def with_words(self, **words: Any) -> PushHome:
        """Return the same with other words for the mapping."""
        own = {**self.settings.tables["hubspot.companies"], **words}
        tables = {**self.settings.tables, "hubspot.companies": own}
        return attrs.evolve(self, settings=attrs.evolve(self.settings, tables=tables))

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the warehouse, or tell it something, as a person would."""
        return self.database.rows(query, parameters)

    def relation(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Make the relation hold just these rows; columns are those of the first one, and texts unless said."""
        given = list(rows)
        types = ", ".join(f'"{name}" {_type(value)}' for name, value in given[0].items())
        table = "CREATE SCHEMA IF NOT EXISTS stage", "DROP TABLE IF EXISTS stage.companies"
        self.database.tell(
            *((each, ()) for each in (*table, f"CREATE TABLE stage.companies ({types})")),
            *(_insertion("stage.companies", row) for row in given),
        )

    def change(self, key: str, **values: Any) -> None:
        """Change a row of the relation."""
        setting = ", ".join(f'"{name}" = ?' for name in values)
        self.rows(f"UPDATE stage.companies SET {setting} WHERE {KEY} = ?", [*values.values(), key])

    def warehouse(self) -> Warehouse:
        """Open the warehouse as syncer does; the caller closes it."""
        return find(self.settings, clock=self.clock)

    def changes(self, plan: str) -> list[Change]:
        """Return the changes of a stored plan."""
        warehouse = self.warehouse()
        try:
            with warehouse.transaction() as t:
                return plans.changes(t, plan)
        finally:
            warehouse.close()

    def problems(self, plan: str) -> list[dict[str, Any]]:
        """Return what stands beside the changes of a plan: rejects and conflicts, with the key of each."""
        found = self.rows("SELECT key, problems FROM syncer.plan_rows WHERE plan = ? ORDER BY key", [plan])
        return [{"key": key, **problem} for key, problems in found for problem in orjson.loads(problems or "[]")]

    def company(self, key: str) -> PortalRecord:
        """Return the one live company with a key."""
        [found] = [each for each in self.live() if each.properties.get(KEY) == key]
        return found

    def live(self) -> list[PortalRecord]:
        """Return the companies that are live in the portal."""
        return [each for each in self.site.store.records["companies"].values() if not each.is_archived]

    def values(self, name: str) -> dict[str, str | None]:
        """Return a property of all live companies, by key."""
        return {each.properties.get(KEY) or "": each.properties.get(name) for each in self.live()}

    def make(self, key: str | None = None, **properties: str) -> PortalRecord:
        """Create a company as a person would."""
        own = {} if key is None else {KEY: key}
        return self.site.store.create("companies", {"name": "x", **own, **properties}, source_type="CRM_UI")

    def edit(self, key: str, **properties: str) -> None:
        """Change a company as a person would."""
        self.site.store.update("companies", self.company(key).id, properties, source_type="CRM_UI")

    def later(self, seconds: float = 300.0) -> None:
        """Let time pass, here and there."""
        self.site.clock.advance(seconds)
        self.clock.advance(seconds)

    def sent(self) -> list[str]:
        """Return method and path, without a query, of what was asked since the last call."""
        found = [
            f"{each.method} {each.path.partition('?')[0]}" for each in self.sandbox.log if each.received != PROBE_BYTES
        ]
        self.sandbox.log.clear()
        return found

    def writes(self) -> list[str]:
        """Return which requests that write were sent since the last call."""
        ends = (
            "/batch/create",
            "/batch/update",
            "/batch/archive",
            "/merge",
            "/batch/associate/default",
            "/labels/archive",
        )
        return [each for each in self.sent() if each.endswith(ends)]


def portal() -> HubSpotSite:
    """Return a small portal whose companies have a unique `client_id`, and a property of each type."""
    site = hand_made()
    site.index_lag_s = 0
    site.limits = None
    for name, type, field in PROPERTIES:
        options = [{"value": value, "label": value.title()} for value in OPTIONS.get(name, ())]
        site.store.define(
            "companies",
            Definition(
                name=name,
                label=name.title(),
                type=type,
                field_type=field,
                group_name="companies_information",
                has_unique_value=name == KEY,
                options=options,
            ),
        )
    return site


@contextlib.contextmanager
def at_home(folder: Path, backend: str, *, site: HubSpotSite | None = None) -> Iterator[PushHome]:
    """Serve a portal, and make a warehouse beside it; at the end, no request may have failed inside it."""
    folder.mkdir(exist_ok=True)
    database = BACKENDS[backend](folder)
    clock = MovableClock()
    site = site or portal()
    site.clock = Clock(START, is_frozen=True)
    site.store.clock = site.clock
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        variables = {
            "SYNCER_WAREHOUSE": database.setting,
            "SYNCER_HUBSPOT_URL": sandbox.url(site.name),
            "SYNCER_HUBSPOT_TOKEN": TOKEN,
            "SYNCER_CACHE": str(folder / "cache"),
        }
        found = settings.load(variables=variables, folder=folder)
        words = {"relation": "stage.companies", "match_on": KEY, "max_create_share": "off", "max_update_share": "off"}
        tables = {"hubspot": {"limits": "off", "workers": 1}, "hubspot.companies": words}
        found = attrs.evolve(found, tables=tables)
        doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock), random=random.Random(1))
        home = PushHome(site, sandbox, found, doors, clock, database)
        yield home
        assert sandbox.errors == []
        if home.rows("SELECT 1 FROM information_schema.columns WHERE table_name = 'runs' AND column_name = 'counts'"):
            assert counted.sums_wrong(home) == []
    database.close()


def _insertion(table: str, row: Mapping[str, Any]) -> tuple[str, list[Any]]:
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
    return f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "BIGINT"
    if isinstance(value, dt.datetime):
        return "TIMESTAMP WITH TIME ZONE"
    if isinstance(value, dt.date):
        return "DATE"
    return "TEXT" if isinstance(value, str) or value is None else "DECIMAL(20,4)"
