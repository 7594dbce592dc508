"""How HubSpot is asked: limits, the day's reserve, errors and what each says, families of paths, portals, tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import UsageError
from syncer.sandbox import Fault
from syncer.sandbox.hubspot import TOKEN, Limits
from tests.sources.hubspot_home import (
    DAY_S,
    HubSpotHome,
    add_settings,
    running,
    small_site,
    table,
    without,
)

SECONDLY = {
    "status": "error",
    "message": "You have reached your secondly limit.",
    "category": "RATE_LIMITS",
    "correlationId": "c",
}
ROLLING = {
    "status": "error",
    "message": "You have reached your ten_secondly_rolling limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "TEN_SECONDLY_ROLLING",
}
DAILY = {"status": "error", "message": "You have reached your daily limit.", "policyName": "DAILY"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    with running(small_site(companies=6, contacts=4, tickets=4), tmp_path) as running_home:
        yield running_home


def slept(home: HubSpotHome) -> float:
    """Return how long the source waited since the last call."""
    seconds = sum(home.clock.waited)
    home.clock.slept.clear()
    return seconds


# Limits


@pytest.mark.parametrize(
    ("match", "body", "headers", "least", "most"),
    [
        ("/search", SECONDLY, {}, 1.0, 1.0),
        ("/search", SECONDLY, {"Retry-After": "4"}, 4.0, 4.0),
        ("archived=true", ROLLING, {}, 10.0, 10.0),
        ("archived=true", ROLLING, {"Retry-After": "7"}, 7.0, 7.0),
        ("archived=true", "no JSON", {}, 10.0, 10.0),
    ],
)
def test_a_429_is_waited_for_by_its_kind(
    home: HubSpotHome, match: str, body: Any, headers: dict[str, str], least: float, most: float
) -> None:
    """HubSpot promises no Retry-After: search's limit is a second's, the general one ten seconds'."""
    home.pull("companies")
    home.later(3_600)
    slept(home)
    home.fault(match, body, status=429, times=1, headers=headers)
    home.pull("companies")
    assert least <= slept(home) <= most + 0.1


def test_searches_that_go_on_being_refused_are_waited_for_longer(home: HubSpotHome) -> None:
    """A second, two, three."""
    home.pull("companies")
    home.later(3_600)
    home.fault("/search", SECONDLY, status=429, times=3)
    slept(home)
    home.pull("companies")
    assert slept(home) == pytest.approx(6.0, abs=0.1)  # and a moment in which the file is left to others


@pytest.mark.parametrize("match", ["/crm/objects/.*companies", "/crm/v3/properties", "/account-info/.*details"])
@pytest.mark.parametrize("told", ["policyName", "message"])
def test_the_daily_limit_ends_the_run_and_tells_when_it_resets(home: HubSpotHome, match: str, told: str) -> None:
    """Waiting until midnight would keep the lease; the answer's own reset time is told. Any field may be missing."""
    home.site.limits = Limits(daily=1_000)
    home.fault(match, {"status": "error", told: DAILY[told]}, status=429)
    error = home.failure("companies")
    assert "daily limit" in error and "2026-03-01 23:00 UTC" in error and slept(home) == 0


def test_the_daily_limit_is_told_though_the_reset_cannot_be_asked_for(home: HubSpotHome) -> None:
    """Then it is the portal's midnight, Amsterdam's here."""
    home.pull("companies")
    home.fault("companies|api-usage", DAILY, status=429)
    error = home.failure("companies")
    assert "daily limit" in error and "2026-03-01 23:00 UTC" in error


def test_a_run_stops_at_the_days_reserve_and_keeps_what_it_read(tmp_path: Path) -> None:
    """The rest of the day is the other apps'."""
    with running(small_site(companies=750), tmp_path) as home:
        home.site.limits = Limits(daily=1_000, daily_used=940)
        error = home.failure("companies")
        assert "50 of 1,000 requests are left today, and 50 are kept for others (daily_reserve)" in error
        assert "It resets at 2026-03-01 23:00 UTC" in error
        known = len(home.states("companies"))
        assert 0 < known < 750 and home.site.meter.used["general"] <= 11
        home.sent()
        home.with_options(daily_reserve=0).pull("companies")
        assert len(home.states("companies")) == 750
        assert len([each for each in home.sent() if "companies?limit=100" in each and "archived" not in each]) < 8


def test_associations_have_a_day_of_their_own(home: HubSpotHome) -> None:
    """Their limit is used up, the others' is not."""
    home.site.limits = Limits(associations_daily=4, search_a_second=100)
    assert "daily limit (associations)" in home.failure("associations")
    home.pull("companies")


def test_searches_are_held_back_by_a_limit_of_their_own(home: HubSpotHome) -> None:
    """Five a second; their answers tell nothing about it."""
    streams = ("companies", "contacts", "tickets", "notes", "calls", "tasks", "emails", "deals")
    held = home.with_options(limits="on")
    held.pull(*streams)
    held.later(3_600)
    for on, least, most in ((True, 1.0, 3.0), (False, 0.0, 0.0)):
        slept(home)
        (held if on else home).pull(*streams)
        assert least <= slept(home) <= most


@pytest.mark.parametrize(
    ("told", "least"), [({"Max": "2", "Interval-Milliseconds": "10000"}, 10.0), ({"Remaining": "0"}, 1.0)]
)
def test_the_general_limit_is_read_from_the_answers(home: HubSpotHome, told: dict[str, str], least: float) -> None:
    """A portal's tier, and what other processes took of it, are told by headers only."""
    headers = {f"X-HubSpot-RateLimit-{name}": value for name, value in told.items()}
    home.fault("details", {"portalId": 62515}, headers=headers)
    home.with_options(limits="on").pull("companies")
    assert slept(home) >= least - 0.01
    home.sandbox.faults.clear()
    home.with_options(limits="off").pull("companies")
    assert slept(home) == 0


# Errors that pass


@pytest.mark.parametrize("status", [423, 500, 502, 503, 504, 521, 523, 524])
def test_what_passes_is_asked_again(home: HubSpotHome, status: int) -> None:
    """Overload, an outage, a lock of two seconds."""
    home.fault("companies", "busy", status=status, times=3)
    home.pull("companies")
    assert len(home.states("companies")) == 6
    waited = slept(home)
    assert waited == pytest.approx(12.0) if status == 423 else 4.0 < waited < 10.0  # 423 lasts two seconds at least


def test_a_portal_that_is_being_moved_is_waited_for_as_long_as_it_says(home: HubSpotHome) -> None:
    """477; without a time there is nothing to wait for, and for a day nobody waits."""
    home.fault("companies", "moving", status=477, times=1, headers={"Retry-After": "30"})
    home.pull("companies")
    assert slept(home) == pytest.approx(30.0)
    home.fault("companies", "moving", status=477, times=1)
    assert "moving this portal to another data centre" in home.failure("companies") and slept(home) == 0
    home.fault("companies", "moving", status=477, times=1, headers={"Retry-After": "86400"})
    assert "86400 s" in home.failure("companies") and slept(home) == 0
    home.pull("companies")


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
def test_answers_that_are_lost_or_cut_are_asked_for_again(home: HubSpotHome, kind: Any) -> None:
    """Reads by POST as well."""
    home.pull("companies")
    home.later(3_600)
    for number in home.site.store.records["companies"]:
        home.site.store.update("companies", number, {"name": "again"})
    for match in ("GET", "/search", "/batch/read"):
        home.sandbox.faults.add(Fault(kind=kind, match=match, times=2))
    home.pull("companies")
    assert set(home.column("companies", "name").values()) == {"again"}


# Errors that do not


def test_a_missing_scope_is_named_and_the_other_streams_load(home: HubSpotHome) -> None:
    """Tickets have one scope; notes have that of contacts, emails one more."""
    home.site.add_token(TOKEN, without("tickets", "sales-email-read"))
    done = {run.mapping.partition(".")[2]: run for run in home.outcome("companies", "tickets", "notes", "emails")}
    assert {name for name, run in done.items() if run.status == "failed"} == {"tickets", "emails"}
    assert "SYNCER_HUBSPOT_TOKEN lacks one of these scopes, or all: crm.schemas.tickets" in str(done["tickets"].error)
    assert "SYNCER_HUBSPOT_TOKEN lacks the scope sales-email-read." in str(done["emails"].error)


def test_a_scope_that_was_taken_away_ends_no_row(home: HubSpotHome) -> None:
    """Not by a pull, a reload or a census."""
    home.pull("tickets")
    home.site.add_token(TOKEN, without("tickets"))
    for mode in ("incremental", "full", "census"):
        assert ", tickets." in home.failure("tickets", mode=mode, is_forced=True)
    assert set(home.states("tickets").values()) == {"live"}


def test_a_token_of_another_portal_is_refused_before_anything_is_read(home: HubSpotHome) -> None:
    """By `portal_id`, or by what the environment's first run found."""
    wrong = home.with_options(portal_id=99)
    assert "is of portal 62515, but portal_id is 99" in wrong.failure("companies")
    assert {each.partition(" ")[2] for each in home.sent()} == {"/account-info/2026-09/details"}
    home.with_options(portal_id=62515).pull("companies")
    home.with_options(portal_id="62515").pull("companies")
    home.site.store.portal_id = 77
    home.sent()
    error = home.failure("companies")
    assert "77" in error and "62515" in error
    assert not any("/crm/objects" in each for each in home.sent())


def test_a_revoked_token_is_told_and_ends_nothing(home: HubSpotHome) -> None:
    """401, whatever is asked."""
    home.pull("companies")
    home.site.revoke_token()
    for mode in ("incremental", "full", "census"):
        assert "SYNCER_HUBSPOT_TOKEN" in home.failure("companies", "associations", mode=mode)
    assert set(home.states("companies").values()) == {"live"}


def test_a_token_that_is_revoked_during_the_run_fails_it(home: HubSpotHome) -> None:
    """Also in the stream of edges, where one kind's error is not all kinds'."""
    home.pull("companies", "associations")
    home.between("associations/.*batch/read", home.site.revoke_token)
    home.between("notes", home.site.revoke_token)
    assert "SYNCER_HUBSPOT_TOKEN" in home.failure("associations", mode="full")


WRONG: dict[str, Any] = {
    "that are not JSON": "<html>Log in</html>",
    "a JSON null where an object": "null",
    "a JSON array where an object": [],
    "'results' is a JSON null": {"results": None},
    "'results' is a JSON string": {"results": "x"},
    "a JSON number in an array of 2": {"results": [{"id": "1"}, 5]},
    "'paging' has no 'after'": {"results": [{"id": "1"}], "paging": {"next": {"link": "x"}}},
    "gave 0 records and goes on": {"results": [], "paging": {"next": {"after": "5"}}},
}


@pytest.mark.parametrize("told", WRONG)
@pytest.mark.parametrize("match", ["companies[?]limit=100", "companies.*archived=true"])
def test_a_list_that_cannot_be_true_fails_and_ends_nothing(home: HubSpotHome, told: str, match: str) -> None:
    """A 200 that is no list is no empty list: of records, and of the recycle bin."""
    home.pull("companies")
    before = home.rows("SELECT scope, place FROM syncer.marks ORDER BY ALL")
    home.fault(match, WRONG[told], times=20)
    for mode in ("full", "census"):
        assert told in home.failure("companies", mode=mode, is_forced=True)
    assert set(home.states("companies").values()) == {"live"}
    assert home.rows("SELECT scope, place FROM syncer.marks WHERE scope = 'archived'") == [
        row for row in before if row[0] == "archived"
    ]


def test_a_list_that_does_not_move_fails(home: HubSpotHome) -> None:
    """It would go round for ever."""
    home.fault("companies[?]limit", {"results": [{"id": "5"}], "paging": {"next": {"after": "5"}}}, times=20)
    assert "goes on with 'after' as before" in home.failure("companies")


@pytest.mark.parametrize("body", [{}, {"portalId": None}, {"portalId": True}, {"portalId": ""}])
def test_a_portal_that_does_not_say_which_it_is_is_not_read(home: HubSpotHome, body: Any) -> None:
    """Ids of two portals must never meet in a table."""
    home.fault("details", body)
    assert "portalId" in home.failure("companies")


def test_no_error_has_the_token(home: HubSpotHome, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor what is printed, also where an answer repeats it."""
    home.pull("companies")
    echo = {"status": "error", "category": TOKEN, "message": TOKEN, "errors": [{"context": {"x": [TOKEN]}}]}
    for status in (200, 207, 400, 401, 403, 404, 409, 429, 477, 500):
        home.fault("", echo, status=status)
        assert TOKEN not in home.failure("companies", "associations", mode="full")
        home.sandbox.faults.clear()
    assert TOKEN not in "".join(capfd.readouterr())


# Families, addresses, options, portals

CHOICES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "the default": ({}, {}),
    "by variable": ({"SYNCER_HUBSPOT_API": "v3"}, {}),
    "by option": ({}, {"api": "v3"}),
    "the variable wins": ({"SYNCER_HUBSPOT_API": "v3"}, {"api": "2026-03"}),
}


@pytest.mark.parametrize("how", CHOICES)
def test_a_family_is_chosen_by_variable_or_option(home: HubSpotHome, how: str) -> None:
    """v3 means v3 objects with v4 associations."""
    variables, options = CHOICES[how]
    home.with_variables(**variables).with_options(**options).pull("companies", "associations")
    families = {each.split("/")[2] for each in home.sent() if "/objects" in each or "/associations" in each}
    assert families == ({"objects", "associations"} if how == "the default" else {"v3", "v4"})


def test_both_families_give_equal_tables(tmp_path: Path) -> None:
    """Ids are numbers in one and texts in the other."""
    site = small_site(companies=5, contacts=5, tickets=5)
    add_settings(site)
    store = site.store
    companies, contacts = list(store.records["companies"]), list(store.records["contacts"])
    store.associate("contacts", contacts[0], "companies", companies[0], ())
    store.archive("companies", companies[4])
    store.merge("companies", companies[1], companies[2])
    streams = ("companies", "contacts", "associations", "owners", "pipelines", "properties")
    tables = []
    for family in ("v3", "2026-09"):
        (tmp_path / family).mkdir()
        with running(site, tmp_path / family, api=family) as home:
            home.pull(*streams)
            home.later(DAY_S)
            store.update("contacts", contacts[1], {"email": "same"})
            home.later()
            home.pull(*streams)
            tables.append([[without_time(row) for row in table(home, stream)] for stream in streams])
    assert tables[0] == tables[1] and [len(each) for each in tables[0][:3]] == [4, 5, 2]


def without_time(row: Any) -> dict[str, Any]:
    """Return a row without what moved between the two pulls."""
    return {name: value for name, value in row.items() if name not in ("updated_at", "lastmodifieddate")}


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"api": "v9"}, "none of HubSpot's"),
    ({"api": "2026-04"}, "none of HubSpot's"),
    ({"api": 3}, "none of HubSpot's"),
    ({"workers": 0}, "a whole number from 1 to 16"),
    ({"workers": "4"}, "a whole number from 1 to 16"),
    ({"workers": True}, "a whole number from 1 to 16"),
    ({"daily_reserve": -1}, "a whole number from 0"),
    ({"limits": False}, "Choices: on, off"),
    ({"limits": ["on"]}, "Choices: on, off"),
    ({"objects": "machines"}, "objects is a list of"),
    ({"objects": ["Machines!"]}, "objects is a list of"),
    ({"objects": {"machines": 5}}, "objects is a list of"),
    ({"objects": ["deals"]}, "objects names deals, which is no"),
    ({"histories": ["dealstage"]}, "a list of KIND.PROPERTY"),
    ({"histories": [5]}, "a list of KIND.PROPERTY"),
    ({"histories": {"deals": "x"}}, "a list of KIND.PROPERTY"),
    ({"portal_id": True}, "it is the portal's number"),
    ({"portal_id": [62515]}, "it is the portal's number"),
    ({"portal_id": "acme"}, "it is the portal's number"),
    ({"histories": ["ghosts.name"]}, "a list of KIND.PROPERTY"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("options", "told"), OPTIONS, ids=lambda value: str(value)[:40])
def test_a_wrong_option_is_told_in_one_line(home: HubSpotHome, options: dict[str, Any], told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError) as refused:
        home.with_options(**options).pull("companies")
    assert told in str(refused.value) and "\n" not in str(refused.value)
    assert home.sent() == []


@pytest.mark.parametrize("ending", ["/", "//", ""])
def test_an_address_may_have_a_path_and_slashes_at_its_end(home: HubSpotHome, ending: str) -> None:
    """A gateway has one; the sandbox's is `/hubspot`."""
    add_settings(home.site)
    url = home.sandbox.url("hubspot") + ending
    home.with_variables(SYNCER_HUBSPOT_URL=url).pull("companies", "owners", "associations")
    assert len(home.states("companies")) == 6
    assert all(each.partition(" ")[2].startswith(("/crm/", "/account-info/")) for each in home.sent())


def test_two_portals_stand_side_by_side_in_one_file(tmp_path: Path) -> None:
    """Tables with the environment's name behind; places, aliases and accounts of their own; a family of its own."""
    first = small_site(companies=4)
    second = small_site(name="other", portal_id=99, token="pat-other", companies=3)
    second.clock = first.clock
    with running(first, tmp_path, second) as home:
        tables = {**home.settings.tables, "environments": {"voys": {"hubspot": {"api": "v3", "portal_id": 99}}}}
        there = home.with_variables(
            SYNCER_HUBSPOT__VOYS_URL=home.sandbox.url("other"), SYNCER_HUBSPOT__VOYS_TOKEN="pat-other"
        )
        there.settings = _named(there.settings, tables)
        home.pull("companies", "associations")
        there.pull("companies", "associations")
        counts = [home.rows(f"SELECT count(*) FROM load.hubspot_companies{end}")[0][0] for end in ("", "_voys")]
        assert counts == [4, 3]
        assert home.rows("SELECT count(*) FROM load.hubspot_associations_voys") == [(0,)]
        assert {each.path.split("/")[2] for each in home.sandbox.log if each.site == "other"} >= {"v3"}
        assert not any("2026-09" in each.path for each in home.sandbox.log if each.site == "other")
        swapped = there.with_variables(
            SYNCER_HUBSPOT__VOYS_URL=home.sandbox.url("hubspot"), SYNCER_HUBSPOT__VOYS_TOKEN=TOKEN
        )
        assert "SYNCER_HUBSPOT__VOYS_TOKEN is of portal 62515" in swapped.failure("companies")


def _named(settings: Any, tables: Any) -> Any:
    import attrs

    return attrs.evolve(settings, environment="voys", tables=tables)
