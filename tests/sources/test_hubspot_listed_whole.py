"""Owners, pipelines, stages and definitions of a whole portal: what the warehouse has is what the portal has."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import engine, mappings
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.mapping import EntityMapping, Field
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import ALL_SCOPES, TOKEN, HubSpotSite
from syncer.settings import Settings
from syncer.sources.hubspot.definitions import columns, of_type
from syncer.sources.hubspot.official import Official
from syncer.transport import Doors, Transport
from syncer.values import BOOLEAN, DECIMAL, JSON, TIMESTAMP
from tests.conftest import MovableClock, query_file

STREAMS = ("owners", "pipelines", "pipeline_stages", "properties")
NAMES = [f"hubspot.{stream}" for stream in STREAMS]
MADE = {"object_type", "pipeline_id", "group_label", "is_writable", "definition"}  # beside the record, or whole


@attrs.define
class Home:
    """A running portal, and a warehouse beside it."""

    site: HubSpotSite
    sandbox: Sandbox
    settings: Settings
    doors: Doors

    def pull(self, **request: Any) -> list[Pulled]:
        return engine.pull(NAMES, settings=self.settings, request=engine.Request(**request), doors=self.doors)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return query_file(self.settings.base / "warehouse.duckdb", query)

    def wrong(self) -> list[str]:
        """Name what the warehouse has otherwise than the portal: rows, states, values."""
        found = []
        for name in NAMES:
            mapping = mappings.known()[name]
            wanted = {key: settled(mapping.entity, record) for key, record in self.site.truth(mapping.entity).items()}
            rows = self._loaded(mapping)
            present = {key: row for key, row in rows.items() if row[1] != "gone"}
            found += [f"{name} {key}" for key in wanted.keys() ^ present.keys()]
            for key in wanted.keys() & present.keys():
                state, record = wanted[key]
                if state != present[key][1]:
                    found.append(f"{name} {key}: {present[key][1]}, and it is {state}")
                found += [
                    f"{name} {key}: {field.column}"
                    for field in mapping.fields
                    if field.column not in MADE and truth_of(field, record) != loaded(field, present[key][0])
                ]
        return found

    def _loaded(self, mapping: EntityMapping) -> dict[tuple[str, ...], tuple[dict[str, Any], str]]:
        names = [field.column for field in mapping.fields]
        query = f"SELECT {', '.join(f'{name!r}'.replace(chr(39), chr(34)) for name in names)}, dss_record_state FROM "
        found = {}
        for row in self.rows(f"{query}load.{mapping.table('default')}"):
            record = dict(zip(names, row, strict=False))
            found[tuple(record[column] for column in mapping.key)] = (record, row[-1])
        return found


def settled(stream: str, record: Any) -> tuple[str, dict[str, Any]]:
    """Return the state that a record is in, and the record."""
    if stream == "properties":
        return record["state"], record["record"]
    return "archived" if record["archived"] else "live", record


def truth_of(field: Field, record: dict[str, Any]) -> Any:
    value: Any = record
    for step in field.steps:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return None
    if field.type is TIMESTAMP:
        return dt.datetime.fromisoformat(value)
    if field.type is BOOLEAN:
        return value in (True, "true")
    if field.type is DECIMAL:
        return float(value)
    if field.type is JSON:
        return ordered(value)
    return str(value) if isinstance(value, int) and field.type.value == "text" else value


def loaded(field: Field, row: dict[str, Any]) -> Any:
    value = row[field.column]
    if value is None or field.type not in (JSON, DECIMAL):
        return value
    return ordered(json.loads(value)) if field.type is JSON else float(value)


def ordered(value: Any) -> Any:
    """A list of objects in one order: that of HubSpot's answer is no promise."""
    return sorted(value, key=lambda each: json.dumps(each, sort_keys=True)) if isinstance(value, list) else value


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    clock = Clock(dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC), is_frozen=True)
    sizes = {"companies": 4, "contacts": 4, "deals": 4, "tickets": 4, "activities": 2, "extra_properties": 300}
    site = HubSpotSite.generate(seed=2, clock=clock, custom=True, **sizes)
    site.limits = None
    with Sandbox(sites=[site], clock=clock) as sandbox:
        mine = MovableClock()
        settings = Settings(
            warehouse="duckdb:warehouse.duckdb",
            base=tmp_path,
            variables={"SYNCER_HUBSPOT_URL": sandbox.url("hubspot"), "SYNCER_HUBSPOT_TOKEN": TOKEN},
            tables={"hubspot": {"objects": {"machines": "2-100"}, "limits": "off"}},
        )
        doors = Doors(clock=mine, budget=Budget(tmp_path / "cache", clock=mine))
        yield Home(site, sandbox, settings, doors)
        assert sandbox.errors == []


def done(runs: list[Pulled]) -> list[Pulled]:
    assert [(run.mapping, run.error, run.rejected) for run in runs if run.status != "done" or run.rejected] == []
    return runs


def test_a_first_pull_equals_the_portal_and_a_second_writes_nothing(home: Home) -> None:
    """Record by record, column by column; a page of definitions is not all of them."""
    runs = {run.mapping: run for run in done(home.pull())}
    assert home.wrong() == [] and runs["hubspot.properties"].inserted > 800
    again = done(home.pull())
    assert [(run.inserted, run.updated, run.gone) for run in again] == [(0, 0, 0)] * 4
    custom = home.rows("SELECT DISTINCT object_type FROM load.hubspot_properties WHERE object_type = 'machines'")
    assert custom == [("machines",)]


def test_whatever_people_do_to_the_portal_arrives(home: Home) -> None:
    """Owners join and leave, pipelines get stages and lose them, properties are added, renamed and archived."""
    done(home.pull())
    for seed in range(6):
        home.site.edit(60, seed)
        done(home.pull())
        assert home.wrong() == []
    done(home.pull(mode=engine.CENSUS, is_forced=True))
    assert home.wrong() == []
    assert any("owner" in str(event) for event in home.site.events)


def test_changes_between_any_two_requests_are_not_lost(home: Home) -> None:
    """The lists are read while people work; the next pull has everything."""
    done(home.pull())
    counter = itertools.count(100)
    home.sandbox.before_request.append(lambda site, request: site.edit(4, next(counter)))
    done(home.pull())
    home.sandbox.before_request.clear()
    done(home.pull())
    assert home.wrong() == []


def test_a_scope_that_is_missing_is_named_and_costs_only_its_type(home: Home) -> None:
    """Rows of what may not be read any more stay as they were."""
    done(home.pull())
    home.site.add_token(TOKEN, frozenset(ALL_SCOPES - {"tickets"}))
    runs = {run.mapping: run for run in home.pull()}
    assert {run.status for run in runs.values()} == {"done"} and sum(run.gone for run in runs.values()) == 0
    assert {name: run.rejected for name, run in runs.items()} == {
        "hubspot.owners": 0, "hubspot.pipelines": 1, "hubspot.pipeline_stages": 1, "hubspot.properties": 1
    }  # fmt: skip
    reasons = home.rows("SELECT scope, reason FROM syncer.rejects")
    assert {scope for scope, _ in reasons} == {"tickets"}
    assert all("lacks" in reason and "tickets" in reason.partition("lacks")[2] for _, reason in reasons)
    assert home.wrong() == []


def test_owners_fail_without_their_scope_by_its_name(home: Home) -> None:
    """The message says what to add to the key."""
    home.site.add_token(TOKEN, frozenset(ALL_SCOPES - {"crm.objects.owners.read"}))
    failed = [run for run in home.pull() if run.status != "done"]
    assert [run.mapping for run in failed] == ["hubspot.owners"]
    assert "crm.objects.owners.read" in str(failed[0].error)


def official_of(home: Home) -> tuple[Official, Transport]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = Transport(home.sandbox.url("hubspot"), owner="hubspot:x", doors=home.doors, headers=headers)
    return Official(lambda method, path, params: transport.call(method, path, params=params)), transport


def test_the_clients_models_read_the_portals_answers(home: Home) -> None:
    """Whoever wrote the sandbox did not write them."""
    official, transport = official_of(home)
    models = official.api("properties", "CoreApi").get_all("companies")
    assert len(models.results) == len(official.properties("companies")) > 300
    assert official.api("pipelines", "PipelinesApi").get_all("deals").results[0].stages
    assert official.api("owners", "OwnersApi").get_page(archived=True).results[0].archived
    assert official.api("properties", "GroupsApi").get_all("tickets").results
    transport.close()


def test_every_property_of_a_portal_has_a_column_of_its_own(home: Home) -> None:
    """Also where a token may see the sensitive ones."""
    official, transport = official_of(home)
    for kind, path in {**dict.fromkeys(home.site.store.kinds, ""), "machines": "2-100"}.items():
        found = of_type(official, path or kind)
        fields = columns(found, declared=("id", "created_at", "updated_at", "archived_at", "url"))
        assert len({field.column for field in fields}) == len(found) == len(fields)
    scopes = {"crm.objects.companies.sensitive.read.v2", "crm.objects.companies.highly_sensitive.read.v2"}
    home.site.add_token(TOKEN, frozenset(ALL_SCOPES | scopes))
    for name, sensitivity in (("iban_of_owner", "sensitive"), ("diagnosis", "highly_sensitive")):
        ordinary = next(iter(home.site.store.definitions["companies"].values()))
        home.site.store.define("companies", attrs.evolve(ordinary, name=name, data_sensitivity=sensitivity))
    found = of_type(official, "companies")
    assert {each.name for each in found if each.is_sensitive} == {"iban_of_owner", "diagnosis"}
    transport.close()
