"""
Properties whose names are longer than a warehouse keeps: PostgreSQL cuts a name behind 63 bytes, and says nothing. So
their columns have shorter ones, made by the source (HubSpot's own way is used here); a label is the whole name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from syncer import forgetting
from syncer.mapping import Field
from syncer.sources import Page
from syncer.sources.hubspot.definitions import column_of
from syncer.values import BIGINT
from tests.conftest import Site
from tests.people import furnished, left_in
from tests.test_inbound import say

pytest_plugins = ["tests.people.fixtures"]
NAME, TABLE = "scripted.discovering", "scripted_discovering"
BEGINNING = "a_property_that_somebody_has_named_with_very_great_care_and_detail"  # 65 letters
ONE, OTHER, LETTERS = f"{BEGINNING}_one", f"{BEGINNING}_other", "é" * 40 + "1"
NAMES = (ONE, OTHER, LETTERS, "é" * 40 + "2", "x" * 63, "x" * 64)


def defined(name: str, **given: Any) -> Field:
    """A property as its source defines it."""
    return Field(column_of(name, declared=("id",)), path=(name,), comment=name, **given)


def named(site: Site, *records: dict[str, Any], **request: Any) -> Any:
    """Pull records while the API defines all of NAMES; a definition's label is its whole name."""
    site.script.describe = lambda stream: [defined(name) for name in NAMES]
    say(site, Page(records=list(records)))
    return site.pull(NAME, **request)


def values(site: Site) -> dict[str, Any]:
    """What the one row has, by the label of its column."""
    labels = site.database.comments(TABLE)
    (row,) = site.rows(f"SELECT * FROM load.{TABLE}")
    return {labels[name] or name: value for name, value in zip(site.columns(TABLE), row, strict=True)}


@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_names_with_one_beginning_are_two_columns_in_every_run(make_site: Callable[..., Site], style: str) -> None:
    """Cut, they would be one: values of one property would stand in the other's column."""
    site = make_site(f'["{NAME}"]\nstyle = "{style}"\n')
    told = {"id": 1} | {name: f"of {name[-5:]}" for name in NAMES}
    assert named(site, told).inserted == 1
    before = site.columns(TABLE)
    found = values(site)
    assert {name: found[name] for name in NAMES} == {name: f"of {name[-5:]}" for name in NAMES}
    again = named(site, told)
    assert (again.unchanged, again.notes, site.columns(TABLE)) == (1, (), before)
    assert named(site, told | {OTHER: "new"}).updated == 1
    assert (values(site)[ONE], values(site)[OTHER]) == (found[ONE], "new")
    assert site.rows("SELECT count(*) FROM syncer.findings") == [(0,)]


def test_a_definition_that_goes_leaves_its_own_column(site: Site) -> None:
    """The finding names a column that stands in the catalogue, not the one beside it."""
    named(site, {"id": 1, ONE: "a", OTHER: "b"})
    site.script.describe = lambda stream: [defined(name) for name in NAMES if name != ONE]
    say(site, Page(records=[{"id": 1, OTHER: "b"}]))
    assert len(site.pull(NAME).notes) == 1
    ((column,),) = site.rows("SELECT key FROM syncer.findings WHERE kind = 'column_gone'")
    assert site.database.comments(TABLE)[column] == ONE
    assert (values(site)[ONE], values(site)[OTHER]) == ("a", "b")


def test_a_value_that_does_not_fit_is_rejected_under_its_columns_name(site: Site) -> None:
    """Whoever reads the reject looks for that column in the table; when it gets room, the value comes."""
    site.script.describe = lambda stream: [defined(ONE, type=BIGINT), defined(OTHER, type=BIGINT)]
    say(site, Page(records=[{"id": 1, ONE: 5, OTHER: 2**63}]))
    assert site.pull(NAME).rejected == 1
    ((column,),) = site.rows('SELECT "column" FROM syncer.rejects')
    assert column in site.columns(TABLE)
    site.script.fetch = lambda stream, keys: iter([Page(records=[{"id": 1, ONE: 5, OTHER: 2**63}])])
    say(site)
    assert (site.pull(NAME).updated, site.pull(NAME).exit_code) == (1, 0)
    assert site.rows(f'SELECT "{column}" FROM load.{TABLE}') == [(2**63,)]


@pytest.mark.parametrize("treatment", ["drop", "hash", "mask"])
def test_a_personal_rule_finds_its_column(make_site: Callable[..., Site], treatment: str) -> None:
    """It stands in syncer.toml under the column's name, as the catalogue has it."""
    site = furnished(make_site(f'["scripted.found"]\npersonal = {{ {defined(ONE).column} = "{treatment}" }}\n'))
    site.script.describe = lambda stream: (defined(ONE), defined(OTHER))
    say(site, Page(records=[{"id": 7, ONE: "geheim7@voorbeeld.example", OTHER: "open7@voorbeeld.example"}]))
    done = site.pull("scripted.found")
    assert (done.status, done.inserted) == ("done", 1), done.error
    assert left_in(site, {"one": [b"geheim7@"], "other": [b"open7@"]}).keys() == {"other"}


@pytest.mark.parametrize("is_told", [True, False])
def test_forget_finds_a_personal_column(make_site: Callable[..., Site], is_told: bool) -> None:
    """One that the source calls personal, also when it tells of it no more."""
    site = furnished(make_site())
    fields = (defined(ONE, personal=True, treatment="keep"), defined("mail", personal=True), defined(OTHER))
    site.script.describe = lambda stream: fields
    say(site, Page(records=[{"id": n, ONE: f"geheim{n}", OTHER: f"open{n}"} for n in (7, 8)]))
    assert site.pull("scripted.found").inserted == 2
    site.script.describe = lambda stream: fields if is_told else fields[1:]
    warehouse = site.warehouse()
    forgetting.forget("scripted.found", "7", settings=site.settings, doors=site.doors, warehouse=warehouse)
    warehouse.close()
    found = left_in(site, {"forgotten": [b"geheim7"], "other": [b"geheim8"]})
    assert found.keys() == {"other"}


def test_an_environment_whose_table_would_have_too_long_a_name_is_told(site: Site) -> None:
    """Cut, it would be another environment's table."""
    long = "e" * 60
    variables = {
        name.replace("SCRIPTED_", f"SCRIPTED__{long.upper()}_"): value
        for name, value in site.settings.variables.items()
    }
    site.settings = attrs.evolve(site.settings, environment=long, variables=variables)
    say(site, Page(records=[{"id": 1}]))
    done = site.pull("scripted.careful")
    if site.database.nul == "\0":  # DuckDB keeps names of any length
        assert done.inserted == 1
    else:
        assert done.status == "failed" and "shorter name" in str(done.error)


def test_a_name_that_a_server_would_cut_is_no_column(site: Site) -> None:
    """Whoever writes a source learns it from its first pull, on every warehouse, before anything is made."""
    site.script.describe = lambda stream: [Field("x" * 64)]
    done = site.pull(NAME)
    assert done.status == "failed" and "at most 63" in str(done.error)
    assert site.rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'load'") == [(0,)]
