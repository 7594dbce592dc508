"""`syncer run hubspot.check_columns`: what the warehouse and the portal lack of each other, told once."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import engine
from syncer.errors import UsageError
from syncer.findings import Report
from syncer.operations import check_columns
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.sandbox.hubspot.model import Definition
from syncer.sources.hubspot import connect
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, TEXT, TIMESTAMP, Type
from tests.operations import OperationHome
from tests.outbound import at_home

NAME = "hubspot.check_columns"
ROW = {"client_id": "A1", "name": "One"}


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[OperationHome]:
    """A portal without records, a warehouse of each backend, and a relation that fits."""
    with at_home(tmp_path / "home", backend) as found:
        found.relation([ROW])
        home = OperationHome(found)
        for kind in ("companies", "deals", "tickets", "cables"):  # what a pull asks for by name
            define(home, "hs_object_id", kind, type="number", hubspot_defined=True)
            define(home, "hs_lastmodifieddate", kind, type="datetime", hubspot_defined=True)
        yield home


def pull(home: OperationHome, *names: str) -> None:
    wanted = [f"hubspot.{name}" for name in names or ("companies",)]
    for done in engine.pull(wanted, settings=home.home.settings, request=engine.Request(), doors=home.home.doors):
        assert done.error is None


def found(report: Report) -> list[tuple[str, str, str]]:
    """Return finding, column, and where it is missing, of the findings that are new."""
    assert report.error is None
    return [
        (line.values["finding"], f"{line.values['object']}.{line.values['column']}", line.values["missing_where"])
        for line in report.new
    ]


def define(home: OperationHome, name: str, kind: str = "companies", **words: Any) -> Definition:
    given = {"label": name.title(), "group_name": f"{kind}_information", **words}
    defined = Definition(name=name, **given)
    home.site.store.define(kind, defined)
    home.home.later()
    return defined


def archive(home: OperationHome, name: str, kind: str = "companies") -> None:
    home.site.store.definitions[kind][name].archived_ms = 1
    home.home.later()


def test_what_fits_is_one_line_and_no_finding(home: OperationHome) -> None:
    """A daily run that finds nothing is read by nobody."""
    pull(home, "companies", "deals")
    report = home.report(NAME)
    assert (report.exit_code, report.lines, report.notes) == (0, [], ())
    assert str(report) == f"run {NAME}: nothing found"


def test_that_there_is_nothing_to_look_at_is_told_once_and_hides_what_was_told(home: OperationHome) -> None:
    """No load table and no relation: `nothing found` would not be so, and nothing that was found is gone."""
    pull(home, "deals")
    define(home, "segment", "deals")
    objects = home.words(NAME, objects=["deals"])
    assert len(found(objects.report(NAME))) == 1
    home.home.rows("DROP TABLE load.hubspot_deals")
    first, second = objects.report(NAME), objects.report(NAME)
    assert [line.text.partition(":")[0] for line in first.new] == ["Nothing was looked at"]
    assert (first.exit_code, first.gone, second.exit_code, second.new) == (3, [], 0, [])
    assert "not looked at: any object" in str(second)


def test_a_property_that_no_pull_brought_yet_is_missing_in_the_warehouse(home: OperationHome) -> None:
    """Each is told once, whatever the next run finds beside it, and is gone after the next pull."""
    pull(home)
    define(home, "segment")
    first = home.report(NAME)
    assert found(first) == [("missing", "companies.segment", "warehouse")] and first.exit_code == 3
    assert first.lines[0].values["table"] == "load.hubspot_companies"
    define(home, "region")
    assert found(home.report(NAME)) == [("missing", "companies.region", "warehouse")]
    again = home.report(NAME)
    assert (found(again), again.exit_code, len(again.findings)) == ([], 0, 2)
    pull(home)
    assert home.report(NAME).lines == []


def test_a_dry_run_makes_no_finding_an_old_one(home: OperationHome) -> None:
    """Who looks by hand takes nothing from the daily run."""
    pull(home)
    define(home, "segment")
    assert len(found(home.report(NAME, is_rehearsal=True))) == 1
    assert len(found(home.report(NAME))) == 1


def test_hubspots_own_new_properties_are_counted_in_a_note(home: OperationHome) -> None:
    """It adds some each month, and a pull brings them anyway; a site may have them told."""
    pull(home)
    for name in ("hs_new_one", "hs_new_two"):
        define(home, name, hubspot_defined=True)
    report = home.report(NAME)
    assert (report.lines, report.exit_code) == ([], 0)
    assert "2 properties of HubSpot's own" in report.notes[0]
    assert len(found(home.words(NAME, hs_properties=True).report(NAME))) == 2


def test_names_that_a_pull_changes_are_no_findings(home: OperationHome) -> None:
    """A property may be called as a column of ours is, or as no column can be; a history has a column, too."""
    tables = home.home.settings.tables
    hubspot = {**tables["hubspot"], "histories": ["companies.phone"]}
    home.home.settings = attrs.evolve(home.home.settings, tables={**tables, "hubspot": hubspot})
    for name in ("url", "dss_load_date", "phone_history", "a" * 100):
        define(home, name)
    pull(home)
    assert home.report(NAME).lines == []


@pytest.mark.parametrize("treatment", ["drop", "hash", "mask"])
def test_a_treatment_is_no_finding(home: OperationHome, treatment: str) -> None:
    """What a site drops keeps its column, what it hashes becomes a text; a rule may name what is gone."""
    column = "phone" if treatment == "mask" else "size"
    settings = attrs.evolve(
        home.home.settings, variables={"SYNCER_HASH_KEY": "k" * 32, **home.home.settings.variables}
    )
    home.home.settings = settings
    home.home = home.home.with_words(personal={column: treatment, "industry": "drop"})
    pull(home)
    assert home.report(NAME).lines == []
    archive(home, "industry")
    assert found(home.report(NAME)) == [("missing", "companies.industry", "hubspot")]


def test_a_column_of_the_load_table_whose_property_is_gone_is_told(home: OperationHome) -> None:
    """The column stays, and nothing fills it; a person's own column beside it is nobody's."""
    pull(home)
    home.rows("ALTER TABLE load.hubspot_companies ADD COLUMN my_own TEXT")
    archive(home, "industry")
    del home.site.store.definitions["companies"]["phone"]
    report = home.report(NAME)
    assert sorted(found(report)) == [
        ("missing", "companies.industry", "hubspot"),
        ("missing", "companies.phone", "hubspot"),
    ]
    told = {line.values["column"]: line.text for line in report.lines}
    assert "is archived" in told["industry"] and "not there any more" in told["phone"]


def test_a_property_of_another_type_than_its_column_is_told(home: OperationHome) -> None:
    """A column never gets narrower, so what reads it must know."""
    pull(home)
    home.site.store.definitions["companies"]["size"].type = "string"
    home.site.store.definitions["companies"]["phone"].type = "number"
    home.home.later()
    pull(home)
    report = home.report(NAME)
    assert found(report) == [("type", "companies.phone", "")]
    assert "it is text" in report.lines[0].text and "decimal" in report.lines[0].text


def test_a_column_that_somebody_altered_is_told(home: OperationHome) -> None:
    """It holds less than a pull brings."""
    pull(home)
    home.rows("ALTER TABLE load.hubspot_companies ALTER COLUMN phone TYPE VARCHAR(20)")
    home.rows("ALTER TABLE load.hubspot_companies ALTER COLUMN size TYPE SMALLINT")
    report = home.report(NAME)
    assert ("type", "companies.size", "") in found(report)
    assert "somebody made it SMALLINT" in next(line.text for line in report.lines if "size" in line.key).replace(
        "smallint", "SMALLINT"
    )


def test_a_column_of_the_relation_that_is_no_property_is_told_with_the_nearest(home: OperationHome) -> None:
    """A push leaves it out, and a slip of the keys does so silently; what is no property by intent is left alone."""
    words: dict[str, Any] = {"edges": {"parent": "companies"}, "changed_at": "moved"}
    home.home = home.home.with_words(**words)
    apart = {"id": "1", "parent": "A2", "moved": "x", "dss_x": "x", "url": "x", "phone_history": "x", "nonsense": "x"}
    home.home.relation([{**ROW, **apart, "industri": "x"}])
    report = home.report(NAME)
    assert found(report) == [
        ("missing", "companies.nonsense", "hubspot"),
        ("missing", "companies.industri", "hubspot"),
    ]
    assert "did you mean industry?" in report.lines[1].text and report.lines[0].values["table"] == "stage.companies"
    define(home, "industria")
    assert found(home.report(NAME)) == []


def test_an_archived_property_that_is_still_pushed_is_told_and_so_is_one_that_takes_no_value(
    home: OperationHome,
) -> None:
    """The push leaves the column out, and goes on."""
    define(home, "score", calculated=True, hubspot_defined=True)
    define(home, "hs_score", calculated=True, hubspot_defined=True)
    home.home.relation([{**ROW, "phone": "1", "score": "1", "hs_score": "1"}])
    archive(home, "phone")
    report = home.report(NAME)
    assert found(report) == [("archived", "companies.phone", "hubspot"), ("read-only", "companies.score", "")]
    assert "1 property of HubSpot's own" in report.notes[0] and "archived in HubSpot" in report.lines[0].text


SAMPLES: dict[Type, tuple[Any, ...]] = {
    TEXT: ("x", "true", "1", "2026-03-01", "2026-03-01T09:00:00Z", "gold"),
    BIGINT: (0, 1, 20_000),
    DECIMAL: (decimal.Decimal(0), decimal.Decimal("1.5")),
    DOUBLE: (0.0, 1.5),
    BOOLEAN: (True, False),
    DATE: (dt.date(2026, 3, 1),),
    TIMESTAMP: (dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)),
}


def test_what_is_told_of_types_is_what_a_push_rejects(tmp_path: Path) -> None:
    """Of each type of column and each type of property: all values rejected, some, or none."""
    with at_home(tmp_path / "home", "duckdb") as home:
        source: Any = connect(home.settings.account("hubspot"), doors=home.doors, streams=())
        shape = source.shape("companies")
        for name in ("phone", "size", "is_customer", "since", "met_at", "tier"):
            for type, samples in SAMPLES.items():
                rejected = [bool(shape.typing([name])([each])[1]) for each in samples]
                told = check_columns._misfit(type, shape.properties[name], shape)
                if name == "tier" and type not in (BOOLEAN, DATE, TIMESTAMP):
                    assert told == ""  # of choices each value is judged by itself
                else:
                    expected = "all" if all(rejected) else "some" if any(rejected) else "none"
                    is_told = "all" if "all" in told.split() or "all values" in told else "some" if told else "none"
                    assert (name, type, is_told) == (name, type, expected)
        source.close()


def test_a_type_of_the_relation_that_does_not_go_with_its_property_is_told(home: OperationHome) -> None:
    """Before a push rejects row by row."""
    home.home.relation([{**ROW, "size": "7", "since": 7, "met_at": "x", "phone": 7}])
    report = home.report(NAME)
    assert found(report) == [("type", f"companies.{each}", "") for each in ("size", "since", "met_at")]
    assert "text" in report.lines[0].text and "all values are rejected" in report.lines[1].text


def test_a_missing_scope_is_told_once_and_the_others_are_looked_at(home: OperationHome) -> None:
    """One object's scope is no reason to stay silent about the rest, and `nothing found` would not be so."""
    pull(home, "companies", "deals", "tickets")
    define(home, "segment")
    home.site.add_token(TOKEN, {each for each in ALL_SCOPES if "deals" not in each})
    report = home.report(NAME)
    assert found(report) == [("missing", "companies.segment", "warehouse"), ("not looked at", "deals.", "")]
    assert report.new[1].text.startswith("deals: not looked at.") and "crm.objects.deals.read" in report.new[1].text
    again = home.report(NAME)
    assert (found(again), again.exit_code) == ([], 0)
    assert str(again) == f"run {NAME}: 2 findings, none of them new; not looked at: deals"


def test_findings_of_an_object_that_cannot_be_seen_stay_as_they_are(home: OperationHome) -> None:
    """A scope that is missing for one run makes nothing gone, and nothing new again."""
    pull(home, "companies", "deals")
    define(home, "segment")
    define(home, "stage", "deals")
    assert len(found(home.report(NAME))) == 2
    scopes = ALL_SCOPES - {each for each in ALL_SCOPES if "deals" in each}
    home.site.add_token(TOKEN, scopes)
    hidden = home.report(NAME)
    assert found(hidden) == [("not looked at", "deals.", "")]
    assert (hidden.gone, len(hidden.hidden)) == ([], 1)
    home.site.add_token(TOKEN, ALL_SCOPES)
    seen = home.report(NAME)
    assert (found(seen), len(seen.findings), len(seen.gone), seen.exit_code) == ([], 2, 1, 0)


def test_a_custom_object_is_looked_at_and_one_that_is_gone_is_told(home: OperationHome) -> None:
    """What a site names in `objects` of [hubspot]."""
    tables = home.home.settings.tables
    hubspot = {**tables["hubspot"], "objects": ["cables"]}
    home.home.settings = attrs.evolve(home.home.settings, tables={**tables, "hubspot": hubspot})
    pull(home, "cables")
    define(home, "colour", "cables")
    assert found(home.report(NAME)) == [("missing", "cables.colour", "warehouse")]
    hubspot = {**hubspot, "objects": {"cables": "2-999"}}
    home.home.settings = attrs.evolve(home.home.settings, tables={**tables, "hubspot": hubspot})
    assert "cables: not looked at." in home.report(NAME).new[0].text


def test_a_relation_that_cannot_be_read_is_told_and_hides_only_its_own(home: OperationHome) -> None:
    """The load table is looked at all the same; what was told of the relation is neither gone nor new."""
    pull(home)
    define(home, "segment")
    home.home.relation([{**ROW, "no_such": "x"}])
    assert len(found(home.report(NAME))) == 2
    home.rows("ALTER TABLE stage.companies RENAME TO away")
    pull(home)
    report = home.report(NAME)
    assert found(report) == [("not looked at", "companies.", "")] and report.exit_code == 3
    assert report.new[0].text.startswith("the relation of companies: not looked at.")
    assert ([len(report.gone), len(report.hidden)], report.unseen) == ([1, 1], ["the relation of companies"])
    home.rows("ALTER TABLE stage.away RENAME TO companies")
    seen = home.report(NAME)
    assert (found(seen), len(seen.findings), seen.exit_code) == ([], 1, 0)


def test_only_the_objects_that_a_site_names_and_not_what_it_ignores(home: OperationHome) -> None:
    """Patterns of kind and property; an object that is none is told with the nearest."""
    pull(home, "companies", "deals")
    for kind in ("companies", "deals"):
        define(home, "segment", kind)
        define(home, "old_segment", kind)
    report = home.words(NAME, objects=["deals"], ignore=["*.old_*"]).report(NAME)
    assert found(report) == [("missing", "deals.segment", "warehouse")]
    with pytest.raises(UsageError, match="deals"):
        home.words(NAME, objects=["deal"]).report(NAME)


def test_an_environment_is_looked_at_by_itself(home: OperationHome) -> None:
    """Each portal has its own properties, and its own load tables."""
    pull(home)
    define(home, "segment")
    named = {
        "SYNCER_HUBSPOT__VOYS_TOKEN": TOKEN,
        "SYNCER_HUBSPOT__VOYS_URL": home.home.settings.account("hubspot").url,
    }
    settings = attrs.evolve(
        home.home.settings, environment="voys", variables={**home.home.settings.variables, **named}
    )
    assert len(found(home.report(NAME))) == 1
    home.home.settings = settings
    assert home.report(NAME).lines == []  # nothing was pulled there
    pull(home)
    define(home, "region")
    report = home.report(NAME)
    assert found(report) == [("missing", "companies.region", "warehouse")]
    assert report.lines[0].values["table"] == "load.hubspot_companies_voys"


def test_definitions_are_asked_once_for_relation_and_load_table(home: OperationHome) -> None:
    """And what is archived only where a column stands for no property."""
    pull(home)
    home.home.later()
    home.home.sent()
    home.report(NAME)
    assert len([each for each in home.home.sent() if "/properties/" in each]) <= 3
