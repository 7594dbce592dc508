"""HubSpot's properties and their values: what comes, goes or changes its type, and what each value becomes."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.hubspot_home import DAY_S, HubSpotHome, define, running, small_site


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    with running(small_site(companies=5, notes=2), tmp_path) as running_home:
        yield running_home


# Properties come and go


def test_a_new_property_gets_its_column_and_values(home: HubSpotHome) -> None:
    """Writing it moved the records' dates."""
    home.pull("companies")
    home.later()
    define(home.site, "companies", "colour")
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"colour": "green"})
    home.later()
    home.pull("companies")
    assert home.one("companies", number, "colour") == ("green",)


@pytest.mark.parametrize("is_loaded", [False, True])
def test_values_of_a_restored_property_are_read_though_no_record_changed(home: HubSpotHome, is_loaded: bool) -> None:
    """No record's date moves when a property comes back; also where nobody had it when everything was loaded."""
    definition = define(home.site, "companies", "colour", created_ms=1)
    [number, *others] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"colour": "green"})
    if is_loaded:
        home.pull("companies")
    definition.archived_ms = home.site.store.now_ms()
    home.later(DAY_S)
    home.pull("companies")
    home.later(DAY_S)
    definition.archived_ms = None
    home.asked.clear()
    [done] = home.pull("companies")
    assert home.one("companies", number, "colour") == ("green",)
    filters = [body["filterGroups"][0]["filters"] for path, body in home.asked if path.endswith("/search")]
    assert [each[0]["propertyName"] for each in filters] == ["hs_lastmodifieddate", "colour"]
    home.later(DAY_S)
    home.pull("companies")
    assert len(home.bodies("/search")) == 3


def test_values_of_a_restored_property_are_read_of_archived_records_too(home: HubSpotHome) -> None:
    """No search finds these."""
    definition = define(home.site, "companies", "colour", created_ms=1)
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"colour": "green"})
    home.site.store.archive("companies", number)
    definition.archived_ms = home.site.store.now_ms()
    home.pull("companies")
    home.later(DAY_S)
    definition.archived_ms = None
    home.pull("companies")
    assert home.one("companies", number, "dss_record_state, colour") == ("archived", "green")


def test_a_property_that_cannot_be_searched_for_does_not_fail_the_run(home: HubSpotHome) -> None:
    """Some of HubSpot's own are not filterable; --full reads them."""
    definition = define(home.site, "notes", "hs_body_preview_html", created_ms=1)
    definition.archived_ms = home.site.store.now_ms()
    home.pull("notes")
    definition.archived_ms = None
    home.later()
    assert home.pull("notes")[0].status == "done"


def test_an_archived_retyped_or_renamed_property_keeps_its_column(home: HubSpotHome) -> None:
    """The warehouse's readers stand on it; the run says so."""
    colour, size = define(home.site, "companies", "colour"), define(home.site, "companies", "size")
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"colour": "green", "size": "12"})
    home.pull("companies")
    home.later()
    colour.archived_ms = home.site.store.now_ms()
    size.type, size.label = "number", "How large"
    home.site.store.update("companies", number, {"size": "13.5", "name": "now"})
    home.later()
    [done] = home.pull("companies")
    assert home.one("companies", number, "colour, size, name") == ("green", "13.5", "now")
    kinds = {kind for (kind,) in home.rows("SELECT kind FROM syncer.findings")}
    assert kinds == {"column_gone", "column_retyped", "column_renamed"} and len(done.notes) == 3


def test_a_property_that_is_deleted_between_its_definition_and_the_read_is_empty(home: HubSpotHome) -> None:
    """The list leaves an unknown name out without a word."""
    definition = define(home.site, "companies", "colour", created_ms=1)
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"colour": "green"})
    home.between("GET /crm/objects", lambda: setattr(definition, "archived_ms", home.site.store.now_ms()))
    home.pull("companies")
    assert home.one("companies", number, "name, colour") == ("companies 0", None)


# Values

TEXTS = ["nul \x00 in it", "emoji 👩‍🚀 and ümlaut", "x" * 65_536, "{braces} {0} %s", "", "line\r\nbreak\u2028"]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:12]))
def test_texts_arrive_as_they_are(home: HubSpotHome, text: str) -> None:
    """Nothing in a value may be taken for syntax, cut or trimmed."""
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"name": text})
    [done] = home.pull("companies")
    assert home.one("companies", number, "name") == (text,) and done.rejected == 0


@pytest.mark.parametrize("type", ["number", "bool", "date", "datetime", "enumeration", "string"])
def test_an_empty_text_is_no_value_and_no_reject(home: HubSpotHome, type: str) -> None:
    """HubSpot writes "" where a value was cleared; in a text column it stays as it is."""
    define(home.site, "companies", "some_value", type, created_ms=1)
    first, second, *_ = home.site.store.records["companies"]
    home.site.store.update("companies", first, {"some_value": ""})
    home.site.store.update("companies", second, {"some_value": None})
    [done] = home.pull("companies")
    assert home.one("companies", first, "some_value") == ("" if type in ("enumeration", "string") else None,)
    assert home.one("companies", second, "some_value") == (None,) and done.rejected == 0


def test_values_that_do_not_fit_are_rejects_and_the_record_is_loaded(home: HubSpotHome) -> None:
    """One value costs one value: NULL, and a reject that names key and column."""
    define(home.site, "companies", "amount", "number", created_ms=1)
    define(home.site, "companies", "stage", "enumeration", created_ms=1, options=[{"label": "A", "value": "a"}])
    first, second, third, *_ = home.site.store.records["companies"]
    home.site.store.update("companies", first, {"amount": "1.12345678901234567890", "stage": "none of them"})
    home.site.store.update("companies", second, {"amount": "no number"})
    home.site.store.update("companies", third, {"amount": "12345678901234567890.5", "stage": "a"})
    [done] = home.pull("companies")
    assert home.one("companies", first, "stage") == ("none of them",)
    assert home.one("companies", third, "amount, stage") == (decimal.Decimal("12345678901234567890.5"), "a")
    rejects = home.rows('SELECT key, "column" FROM syncer.rejects')
    assert (second, "amount") in rejects and done.exit_code == 3 and len(home.states("companies")) == 5
    assert (home.one("companies", first, "amount")[0] is None) == ((first, "amount") in rejects)


def test_ids_of_nineteen_digits_are_texts_and_sort_as_numbers(home: HubSpotHome) -> None:
    """They do not fit a float, and "10" stands before "9" as text."""
    huge = "9223372036854775807"
    home.site.store.create("companies", {"name": "huge"}, id=huge)
    home.pull("companies")
    home.later(3_600)
    for number in (huge, *list(home.site.store.records["companies"])[:2]):
        home.site.store.update("companies", number, {"name": "again"})
    home.pull("companies")
    assert home.one("companies", huge, "name") == ("again",)
    assert list(home.column("companies", "name").values()).count("again") == 3
