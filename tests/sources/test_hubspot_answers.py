"""HubSpot's answers that cannot be true, or are very many; and options that cannot be meant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import sources
from syncer.errors import UsageError
from syncer.sandbox.hubspot.model import USER_DEFINED
from syncer.settings import Account
from syncer.sources.hubspot import edges
from syncer.sources.hubspot.kinds import all_kinds
from syncer.sources.hubspot.paths import Paths
from tests.sources.hubspot_home import DAY_S, HubSpotHome, running, small_site, some

EDGES = "associations"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    with running(small_site(companies=4, contacts=4, deals=3), tmp_path) as running_home:
        yield running_home


@pytest.fixture
def large(tmp_path: Path) -> Iterator[HubSpotHome]:
    """Three pages of companies."""
    with running(small_site(companies=250), tmp_path) as running_home:
        yield running_home


# Lists that end too early


def test_an_empty_page_is_asked_for_again(large: HubSpotHome) -> None:
    """A page that was announced holds a record, unless it was archived since."""
    large.fault(r"GET .*companies\?.*after=", {"results": []}, times=1)
    large.pull("companies")
    assert len(large.states("companies")) == 250


@pytest.mark.parametrize("match", ["after=", ""])
@pytest.mark.parametrize("mode", ["incremental", "census"])
def test_a_list_that_stays_empty_where_a_search_has_records_fails_the_run(
    large: HubSpotHome, match: str, mode: str
) -> None:
    """Believed, a first load would be done with a part, and a census would miss what is there."""
    if mode == "census":
        large.pull("companies")
    large.fault(rf"GET .*companies\?(?!.*archived=true).*{match}", {"results": []})
    found = large.failure("companies", mode=mode)
    assert "gave no record, where a search of companies has" in found
    large.sandbox.faults.clear()
    large.later()
    large.pull("companies", mode=mode)
    assert large.states("companies") == large.true_states("companies")
    assert large.rows("SELECT * FROM syncer.findings") == []


def test_a_last_page_whose_records_were_archived_meanwhile_ends_the_list(tmp_path: Path) -> None:
    """It was announced, and there is nothing behind it any more."""
    with running(small_site(companies=101), tmp_path) as home:
        last = max(home.site.store.records["companies"], key=int)
        home.between("after=", lambda: home.site.store.archive("companies", last))
        home.pull("companies")
        assert home.states("companies") == home.true_states("companies")


def test_a_kind_without_records_costs_one_search(home: HubSpotHome) -> None:
    """An empty list is proven, not believed."""
    home.pull("tickets")
    assert [body["limit"] for body in home.bodies("/tickets/search")] == [1]


# Edges


@pytest.mark.parametrize("body", [{"numErrors": 3}, {"numErrors": 3, "errors": []}])
def test_errors_that_are_counted_and_not_named_fail_the_run(home: HubSpotHome, body: dict[str, Any]) -> None:
    """For which records they stand is not known: their edges would end."""
    one, other = (next(iter(home.site.store.records[kind])) for kind in ("contacts", "companies"))
    home.site.store.associate("contacts", one, "companies", other, ())
    home.pull(EDGES)
    home.fault("contacts/companies/batch/read", {"status": "COMPLETE", "results": [], **body}, status=207)
    home.later()
    assert "counts errors" in home.failure(EDGES)
    assert home.edges() == home.true_edges() != {}


def test_afters_that_go_round_fail_the_run(home: HubSpotHome) -> None:
    """A, B, A, B: none is as the one before, and it would never end."""
    one = next(iter(home.site.store.records["contacts"]))
    for after in "ABABABAB":
        page = {"from": {"id": one}, "to": [], "paging": {"next": {"after": after}}}
        home.fault("contacts/companies/batch/read", {"status": "COMPLETE", "results": [page]}, times=1)
    assert "never end" in home.failure(EDGES)
    assert len([each for each in home.sent() if "contacts/companies/batch/read" in each]) == 3


def test_records_with_many_edges_are_read_in_small_parts(home: HubSpotHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand records of a thousand edges each are more than memory is for."""
    monkeypatch.setattr(edges, "MOST", 10)
    store = home.site.store
    store.edge_page = 4
    contacts = [record.id for record in some(home.site, "contacts", 9)]
    for deal in store.records["deals"]:
        for contact in contacts:
            store.associate("deals", deal, "contacts", contact, ())
    store.associate("contacts", contacts[0], "companies", next(iter(store.records["companies"])), ())
    source = home.source(EDGES)
    pages = [page for page in source.read(EDGES, places={}, lookback=dt.timedelta(days=7), fields=()) if page.records]
    source.close()
    assert [len(page.records) for page in pages if page.scope == "deals to contacts"] == [9, 9, 9]
    home.pull(EDGES)
    home.pull(EDGES, mode="census")
    assert home.edges() == home.true_edges() and len(home.edges()) == 29


def test_a_census_asks_once_for_the_edges_of_one_record(home: HubSpotHome) -> None:
    """It heals 500 keys at a time, and they may all be of one record."""
    store = home.site.store
    deal = next(iter(store.records["deals"]))
    label = store.add_label("deals", "contacts", "Buyer")
    for contact in some(home.site, "contacts", 1_100):
        store.associate("deals", deal, "contacts", contact.id, [(USER_DEFINED, label.type_id)])
    home.pull(EDGES)
    for pair in (("deals", "contacts"), ("contacts", "deals")):
        found = store.labels[pair]
        found[:] = [attrs.evolve(each, label="Payer") if each.label == "Buyer" else each for each in found]
    home.later(10 * DAY_S)
    home.asked.clear()
    home.pull(EDGES, mode="census")
    assert home.edges() == home.true_edges() and "Payer" in home.edges().values()
    assert len(home.bodies("deals/contacts/batch/read")) == 2 * 3  # the walk, and one healing: three pages


# Headers


@pytest.mark.parametrize("told", ["²", "٣", "9" * 400, "-5", "1e3", "0"])
def test_a_limit_in_a_header_that_is_no_number_is_not_believed(home: HubSpotHome, told: str) -> None:
    """It broke the run with an error of Python's, or held it back for ever."""
    names = ("Max", "Remaining", "Interval-Milliseconds", "Daily")
    headers = {f"X-HubSpot-RateLimit-{name}": told for name in names if told != "0" or name == "Max"}
    home.fault("details", {"portalId": 62515}, headers={name: _latin(each) for name, each in headers.items()})
    home.with_options(limits="on").pull("companies")


def _latin(text: str) -> str:
    """Return a text as it arrives when it is sent in UTF-8 within a header."""
    return text if text.isascii() else text.encode().decode("latin-1")


def test_an_id_of_odd_digits_fails_the_run(home: HubSpotHome) -> None:
    """Python takes more for a digit than for a number."""
    home.pull("companies")
    home.later()
    home.fault("/search", {"total": 1, "results": [{"id": "²", "properties": {}}]})
    assert "without a usable id" in home.failure("companies")


# Options

ODD: dict[str, tuple[dict[str, Any], str]] = {
    "a list in the list": ({"objects": [["a"]]}, "objects is a list of custom objects' names"),
    "a capital": ({"objects": ["Machines!"]}, "objects is a list of custom objects' names"),
    "nothing": ({"objects": [""]}, "objects is a list of custom objects' names"),
    "a number": ({"objects": 5}, "objects is a list of custom objects' names"),
    "no path": ({"objects": {"a": 5}}, "objects is a list of custom objects' names"),
    "no such kind": ({"histories": ["dealz.x"]}, "histories is a list of"),
    "too many": ({"workers": 99}, "workers is 99"),
    "no number": ({"portal_id": "²"}, "portal_id is "),
    "neither": ({"limits": "no"}, "limits is "),
    "no version": ({"api": "v9"}, "the API version "),
}


@pytest.mark.parametrize("case", ODD)
def test_an_option_that_cannot_be_meant_is_told_with_its_own_place(home: HubSpotHome, case: str) -> None:
    """A site has several portals, and the option may stand in any of their tables."""
    options, told = ODD[case]
    settings = attrs.evolve(home.settings, environment="voys")
    account = settings.account("hubspot")
    account = attrs.evolve(account, url=home.settings.account("hubspot").url, token="x", options=options)
    with pytest.raises(UsageError) as caught:
        _connect(home, account)
    assert str(caught.value).startswith("in [environments.voys.hubspot]: ") and told in str(caught.value)
    assert "\n" not in str(caught.value)
    [key] = options
    with pytest.raises(UsageError, match=r"^syncer.toml, line 7, in \[x\]: "):
        _connect(home, attrs.evolve(account, places={key: "syncer.toml, line 7, in [x]"}))


def test_an_option_of_a_variable_is_told_by_the_variables_name(home: HubSpotHome) -> None:
    """That of the environment in force."""
    settings = attrs.evolve(
        home.with_variables(SYNCER_HUBSPOT__VOYS_API="v9", SYNCER_HUBSPOT__VOYS_URL="http://127.0.0.1:1").settings,
        environment="voys",
    )
    account = attrs.evolve(settings.account("hubspot"), token="x")
    with pytest.raises(UsageError, match="^SYNCER_HUBSPOT__VOYS_API: the API version "):
        _connect(home, account)


def _connect(home: HubSpotHome, account: Account) -> None:
    sources.connect(account, doors=home.doors, streams=["companies"])


def test_objects_and_paths_without_an_account_name_the_table() -> None:
    """Who calls them has no place."""
    with pytest.raises(UsageError, match=r"in \[hubspot\]: objects names deals"):
        all_kinds(["deals"])
    with pytest.raises(UsageError, match=r"in \[hubspot\]: "):
        Paths("v9")


def test_an_empty_page_of_the_bin_is_asked_for_again(large: HubSpotHome) -> None:
    """What it hides would count as restored, and be asked for by id."""
    for number in list(large.site.store.records["companies"])[:120]:
        large.site.store.archive("companies", number)
    large.later(3_600)
    large.pull("companies")
    large.later(DAY_S)
    large.asked.clear()
    large.fault(r"archived=true.*after=|after=.*archived=true", {"results": []}, times=1)
    large.pull("companies")
    assert large.bodies("/batch/read") == []
