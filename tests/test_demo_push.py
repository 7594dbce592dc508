"""
What the demo pushes, in a file and on a real PostgreSQL: the plan that it shows, what the portal has afterwards, and
that nothing is left to do.

Not here: its pulls (`test_console.py`), what it leaves alone (`test_demo_server.py`, `test_demo_warehouse.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import pushing
from syncer.sandbox import Sandbox
from syncer.sandbox.hubspot import TOKEN, HubSpotSite
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.sources.friday_pulse import calls
from syncer.verbs import demo, demo_push
from syncer.verbs.demo_push import DemoPush
from syncer.verbs.sandbox import Amount
from tests.conftest import query_file
from tests.servers import postgresql
from tests.shop import Syncer
from tests.test_demo_server import SMALL, always_alike, plain, tables

pytest_plugins = ["tests.shop.fixtures", "tests.servers.postgresql_fixtures"]
FEW = ("hubspot.companies",)
COUNTS = ("created", "updated", "conflicts", "rejected", "failed", "pending", "skipped", "associated")
NOTHING = (0, 0, 0, 0, 0, 0, 0, 0)
# What the pushes leave: each table, and its columns without ids of runs and plans, times, and a hash of the engine's.
LEFT = {
    "changes": "number, action, kind, key, id, result, fields, edge, after, state, reason",
    "conflicts": "mapping, environment, key, field, id, state, reason, agreed, ours, theirs",
    "rejects": 'mapping, key, "column", scope, reason, value',
    "snapshots": "mapping, environment, key, id, state",
    "agreed": "mapping, environment, key, fields",
}


@attrs.define
class Portals:
    """The portals of the demos that ran."""

    made: list[HubSpotSite] = attrs.field(factory=list)

    def built(self, amount: Amount, *, seed: int, port: int) -> Sandbox:
        """Make a demo's sandbox, and keep its portal to look at."""
        sandbox = always_alike(amount, seed=seed, port=port or postgresql.free_port())
        self.made.append(sandbox.sites["hubspot"])  # type: ignore[arg-type]  # that is what it is
        return sandbox

    def companies(self) -> dict[str, PortalRecord]:
        """The live companies of the last one, by `client_id`."""
        found = [each for each in self.made[-1].store.records["companies"].values() if not each.is_archived]
        keys = [each.properties["client_id"] or "" for each in found if each.properties.get("client_id")]
        assert len(keys) == len(set(keys))
        return {each.properties.get("client_id") or "": each for each in found}


@pytest.fixture(autouse=True)
def portals(monkeypatch: pytest.MonkeyPatch) -> Portals:
    """A small demo of one stream."""
    found = Portals()
    monkeypatch.setattr(demo, "AMOUNT", SMALL)
    monkeypatch.setattr(demo, "NAMES", FEW)
    monkeypatch.setattr(demo, "SAMPLES", {})
    monkeypatch.setattr(demo, "built", found.built)
    return found


@pytest.fixture(params=["duckdb", "postgresql"])
def anywhere(request: pytest.FixtureRequest, syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> Syncer:
    """Call the command line, whose demo goes to a file or to a server."""
    if request.param == "postgresql":
        setting = f"odbc:{postgresql.shared().string(request.getfixturevalue('database'))}"
        monkeypatch.setenv("SYNCER_WAREHOUSE", setting)
    return syncer


def counts(run: dict[str, Any]) -> tuple[int, ...]:
    return tuple(run[name] for name in COUNTS)


def test_the_plan_that_is_shown_is_applied_and_then_nothing_is_left_to_do(anywhere: Syncer) -> None:
    """Both sides agree; then a plan of each kind of change; just that one is applied; then none."""
    pushes = anywhere("demo", "--output", "json").json["pushes"]
    agreed, planned, applied, again = pushes
    assert [run["run"] is None for run in pushes] == [False, True, False, False]
    assert counts(agreed) == NOTHING and agreed["unchanged"] == agreed["read"] > 20
    assert counts(planned) == counts(applied) == (2, 3, 1, 1, 0, 0, 0, 1)
    assert planned["plan"] == applied["plan"] and planned["checksum"] == applied["checksum"]
    assert {change["state"] for change in planned["changes"]} == {"planned"}
    assert {change["state"] for change in applied["changes"]} == {"done"}
    assert [change["action"] for change in planned["changes"]] == ["update"] * 3 + ["create"] * 2 + ["associate"]
    assert counts(again) == (0, 0, 1, 1, 0, 0, 0, 0) and again["changes"] == []
    assert again["read"] == agreed["read"] + 2


def test_the_portal_has_what_the_plan_showed_and_nothing_else(syncer: Syncer, portals: Portals) -> None:
    """What a person typed there stands, what HubSpot would refuse was not sent, and no company is there twice."""
    _, planned, _, _ = syncer("demo", "--output", "json").json["pushes"]
    there = portals.companies()
    for change in planned["changes"][:5]:
        record = there[change["key"]].properties
        assert {name: edit["after"] for name, edit in change["fields"].items()}.items() <= record.items()
    (conflict, reject) = sorted(planned["problems"], key=lambda problem: str(problem["kind"]))
    assert there[conflict["key"]].properties["phone"] == demo_push.THEIRS
    assert demo_push.NO_OPTION not in {each.properties.get("industry") for each in there.values()}
    assert reject["field"] == "industry" and "none of the choices" in reject["reason"]
    one, other = (there[row["client_id"]].id for row in demo_push.NEW)
    assert portals.made[-1].store.specs("companies", other, "companies", one) >= {("HUBSPOT_DEFINED", 13)}


def test_the_picture_stands_between_the_pulls_and_the_apply(anywhere: Syncer) -> None:
    """As the command shows it: each field before and after, what is left, and why; then a line each."""
    result = anywhere("demo")
    assert (result.code, result.err) == (0, "")
    shown = result.out[result.out.index("\n4. ") :]
    lines = [
        "   push hubspot.companies: ",
        "\n5. ",
        "of hubspot.companies: load.demo_companies → hubspot (default, account 62515)",
        "     ~ update C0",
        "' → '+31 20 555 0100'",
        "     + create N000001",
        "     > associate N000002 → companies N000001",
        "1 field or row in conflict: left alone",
        f"here '{demo_push.OURS}', there '{demo_push.THEIRS}', last agreed '+31",
        "1 field or row rejected: not written",
        "health_score  calculated by HubSpot",
        "Nothing written.",
        "\n6. ",
        "   push hubspot.companies: 2 created, 3 updated, 1 in conflict, 1 rejected",
        "\n7. ",
        "   push hubspot.companies: 1 in conflict, 1 rejected",
        "Four commands to try next",
    ]
    places = [shown.index(line) for line in lines[:-2]]
    assert places == sorted(places) and all(line in shown[shown.index("\n7. ") :] for line in lines[-2:])


def test_a_quiet_demo_says_nothing(anywhere: Syncer) -> None:
    """Its conflict and its reject are the demo's own, and nobody must look at them."""
    result = anywhere("demo", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_pushes_leave_the_same_on_a_server(syncer: Syncer, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table by table: the journal, what both sides agreed on, and what is left for a person."""
    assert syncer("demo", "-q").code == 0
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{postgresql.shared().string(database)}")
    assert syncer("demo", "-q").code == 0
    for table, columns in LEFT.items():
        query = f"SELECT {columns} FROM syncer.{table}"
        file, server = (
            sorted((tuple(map(plain, row)) for row in asked(query)), key=repr)
            for asked in (
                lambda text: query_file(Path("demo.duckdb"), text),
                lambda text: postgresql.shared().query(database, text),
            )
        )
        assert file == server != [], table


def test_a_demo_that_was_ended_while_it_pushed_is_made_anew(anywhere: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its relation and its plan are the demo's; the next one ends as any other."""
    with monkeypatch.context() as patched:
        patched.setattr(DemoPush, "_edit", ended)
        assert anywhere("demo").code == 130
    result = anywhere("demo", "--output", "json")
    assert result.code == 0 and [run["status"] for run in result.json["pushes"]] == ["done"] * 4
    assert "it is made anew" in anywhere("demo").out


def ended(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("output", [(), ("--output", "json")])
def test_a_push_that_fails_is_a_demo_that_failed(
    anywhere: Syncer, portals: Portals, monkeypatch: pytest.MonkeyPatch, output: tuple[str, ...]
) -> None:
    """It says why, and goes no further."""
    edit = DemoPush._edit

    def revoked(self: DemoPush, keys: list[str]) -> None:
        edit(self, keys)
        portals.made[-1].revoke_token(TOKEN)

    monkeypatch.setattr(DemoPush, "_edit", revoked)
    result = anywhere("demo", *output)
    assert result.code == 1
    if output:
        done, failed = result.json["pushes"]
        assert (done["status"], failed["status"]) == ("done", "failed") and "401" in failed["error"]
    else:
        assert "401" in result.err and "\n6. " not in result.out


def test_an_apply_that_fails_is_a_demo_that_failed(
    syncer: Syncer, portals: Portals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that failed is told with its reason, and no further push pretends that there is nothing to do."""
    edit = DemoPush._edit

    def closed(self: DemoPush, keys: list[str]) -> None:
        edit(self, keys)
        portals.made[-1].store.account = attrs.evolve(portals.made[-1].store.account, type="STANDARD")

    monkeypatch.setattr(DemoPush, "_edit", closed)
    result = syncer("demo")
    assert result.code == 1 and "Something failed; see above." in result.out and "\n7. " not in result.out
    assert "syncer: push hubspot.companies failed: " in result.err and "allow_production" in result.err


def test_pulls_that_failed_are_not_pushed(syncer: Syncer, portals: Portals, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to make a relation of."""
    monkeypatch.setattr(demo._Show, "_edit", lambda self: portals.made[-1].revoke_token(TOKEN))
    result = syncer("demo", "--output", "json")
    assert result.code == 1 and "pushes" not in result.json


def test_a_relation_of_that_name_is_a_demos_in_its_schema_only(anywhere: Syncer, request: Any) -> None:
    """What somebody has under that name elsewhere stays, and keeps no demo out of a server."""
    assert anywhere("demo", "-q").code == 0
    database = request.getfixturevalue("database") if "postgresql" in request.node.name else ""
    if not database:
        query_file(Path("demo.duckdb"), "CREATE SCHEMA stage")
        query_file(Path("demo.duckdb"), "CREATE TABLE stage.demo_companies (id INT)")
        assert anywhere("demo", "-q").code == 2
        return
    with postgresql.shared().connection(database) as connection:
        connection.execute("CREATE SCHEMA stage")
        connection.execute("CREATE TABLE stage.demo_companies (id INT)")
    assert anywhere("demo", "-q").code == 0
    assert postgresql.shared().query(database, "SELECT COUNT(*) FROM stage.demo_companies") == [(0,)]
    assert ("load", "demo_companies") in tables(database)


def test_the_demo_waits_for_no_budget(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a true API would be spared for is here in this process: a minute's wait shows nothing."""
    waited: list[str] = []
    monkeypatch.setattr(demo, "NAMES", ("friday_pulse.groups", "friday_pulse.result_dates", *FEW))
    monkeypatch.setattr(calls, "REQUESTS_PER_MINUTE", 1)
    push = pushing.push
    monkeypatch.setattr(pushing, "push", lambda *names, **asked: waited.append("pushed") or push(*names, **asked))
    assert syncer("demo", "-q").code == 0 and len(waited) == 4
