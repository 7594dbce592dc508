"""
Half an emoji, and NUL, in what an API calls its fields, choices, stages and people: text is cut there by programs that
count in 16 bits. A pull takes it as it takes values.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.model import Owner, Pipeline, Stage
from syncer.sources.hubspot import choices
from tests.sources import hubspot_home, jira_home
from tests.sources.hubspot_home import define, some
from tests.sources.test_hubspot_target_values import target

ODD, HELD, MENDED = "cut \ud83d\0", "cut \ufffd\ufffd", "cut \ufffd\0"  # as sent, as a label, as a value in DuckDB
LISTS = ("properties", "owners", "pipelines", "pipeline_stages")


def odd_portal() -> HubSpotSite:
    """A portal in which everything that people name is cut."""
    site = hubspot_home.small_site(companies=1)
    owner = Owner(id="71", email="x\ud83d@example.com", first_name=ODD, last_name=ODD, user_id=7)
    site.store.owners["71"] = owner
    stage = Stage(id="1", label=ODD, display_order=0, metadata={"probability": ODD})
    site.store.pipelines["deals"] = {"0": Pipeline(id="0", label=ODD, stages=[stage])}
    options = [{"value": "a\ud83d", "label": ODD}, {"value": "b\0", "label": "b"}]
    tier = define(site, "companies", "tier", "enumeration", field_type="select", options=options, created_ms=1)
    tags = define(site, "companies", "tags", "enumeration", field_type="checkbox", options=options, created_ms=1)
    tier.label = tags.label = ODD
    for name in ("nul\0x", "\ud83d"):
        define(site, "companies", name, created_ms=1).label = ODD
    define(site, "companies", "plain", created_ms=1)
    for kind in ("companies", "deals"):
        define(site, kind, "hubspot_owner_id", "enumeration", external_options=True, referenced_object_type="OWNER")
    some(site, "companies", 2, tier="a\ud83d", plain="x")
    return site


def test_a_portal_with_cut_names_is_pulled(tmp_path: Path) -> None:
    """Labels become comments, records of lists have values; a property that no request could name has no column."""
    with hubspot_home.running(odd_portal(), tmp_path) as home:
        done = home.pull("companies", *LISTS)
        assert {each.exit_code for each in done} == {3}  # values that were mended are told
        comments = dict(
            home.rows("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'hubspot_companies'")
        )
        assert comments["tier"] == HELD and comments["tags"] == f"{HELD} (several values, parted by ;)"
        [nul] = [name for name in comments if name.startswith("nul_x_x")]
        assert comments[nul] == HELD and not any(name.startswith("property_") for name in comments)
        labels = 'SELECT label FROM syncer."columns" WHERE "column" = \'tier\''
        assert home.rows(labels) == [(HELD,)]
        found = home.rows("SELECT tier, plain FROM load.hubspot_companies WHERE plain IS NOT NULL")
        assert found == [("a\ufffd", "x")] * 2
        assert home.rows("SELECT label FROM load.hubspot_pipelines WHERE id = '0'") == [(MENDED,)]
        assert home.pull("companies")[0].notes == ()


def test_a_portal_with_cut_names_can_be_written_to(tmp_path: Path) -> None:
    """What decides whether a value fits is digested, choices and people among it."""
    with hubspot_home.running(odd_portal(), tmp_path) as home:
        shapes = target(home)
        companies, deals = shapes.shape("companies"), shapes.shape("deals")
        assert companies.version and deals.version
        assert companies.version == target(home).shape("companies").version
    people = [{"id": "1", "email": ODD, "firstName": ODD, "lastName": "Smit"}, {"id": "2", "lastName": "Bo"}]
    assert choices.Owners(people).ours("Bo").sent == "2"
    stages = [{"id": "1", "label": ODD}, {"id": "2", "label": "New"}]
    assert choices.Pipelines([{"id": "p", "label": ODD, "stages": stages}]).stage("New", None).sent == "2"


def test_a_jira_site_with_cut_names_is_pulled(tmp_path: Path) -> None:
    """A field is a column by its id; its name is the comment."""
    site = jira_home.small_site(issues=3, projects=1)
    own = [number for number in site.catalogue.fields if number.startswith("customfield_")]
    assert own
    for number in own:
        site.catalogue.fields[number] = attrs.evolve(site.catalogue.fields[number], name=ODD)
    with jira_home.running(site, tmp_path) as home:
        home.pull("issues")
        comments = home.rows(
            "SELECT DISTINCT comment FROM duckdb_columns() WHERE table_name = 'jira_issues' AND column_name LIKE "
            "'customfield_%'"
        )
        assert comments == [(HELD,)]
