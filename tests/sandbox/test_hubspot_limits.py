"""The HubSpot site's limits, tokens and scopes: three buckets, the day, and what each refusal looks like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncer.sandbox import Clock
from syncer.sandbox.hubspot import ALL_SCOPES, TOKEN, HubSpotSite, Limits, Meter
from tests.sandbox.hubspot_portal import FAMILIES, START, Api, running

LIST = "/crm/v3/objects/companies"
SEARCH = "/crm/objects/2026-09/companies/search"
EDGES = "/crm/v4/associations/companies/contacts/batch/read"


class Seconds:
    """A real time that a test moves."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def time() -> Seconds:
    return Seconds()


@pytest.fixture
def api(time: Seconds) -> Iterator[Api]:
    site = HubSpotSite.generate(seed=2, clock=Clock(START, is_frozen=True), companies=5)
    site.meter = Meter(time)
    with running(site) as running_api:
        yield running_api


def statuses(api: Api, count: int, path: str = LIST, method: str = "GET", body: Any = None) -> list[int]:
    return [api.send(method, path, body).status_code for _ in range(count)]


def edges(api: Api, count: int) -> list[int]:
    return statuses(api, count, EDGES, "POST", {"inputs": [{"id": "1"}]})


def test_the_general_limit_rolls_over_ten_seconds(api: Api, time: Seconds) -> None:
    """What was granted ten seconds ago is free again; refusals take nothing."""
    api.site.limits = Limits(ten_secondly=4)
    assert statuses(api, 2) == [200] * 2
    time.at += 6
    assert statuses(api, 4) == [200, 200, 429, 429]
    time.at += 4.1
    assert statuses(api, 3) == [200, 200, 429]


def test_the_headers_tell_the_general_limit(api: Api) -> None:
    """Client-side buckets read them; a tier is never hard-coded."""
    api.site.limits = Limits(ten_secondly=3, daily=1_000, daily_used=100)
    headers = api.send("GET", LIST).headers
    assert {
        name: headers[f"X-HubSpot-RateLimit-{name}"] for name in ("Max", "Remaining", "Interval-Milliseconds")
    } == {
        "Max": "3",
        "Remaining": "2",
        "Interval-Milliseconds": "10000",
    }
    assert headers["X-HubSpot-RateLimit-Daily"] == "1000"
    assert headers["X-HubSpot-RateLimit-Daily-Remaining"] == "899"


def test_a_refusal_names_its_policy(api: Api) -> None:
    """The documented body; Retry-After only now and then."""
    api.site.limits = Limits(ten_secondly=0)
    body = api.send("GET", LIST).json()
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    assert (body["errorType"], body["policyName"], body["status"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING", "error")
    assert body["correlationId"] and body["groupName"] and body["requestId"]


def test_retry_after_is_there_now_and_then(api: Api, time: Seconds) -> None:
    """HubSpot promises it for 477 only."""
    api.site.limits = Limits(ten_secondly=1)
    api.send("GET", LIST)
    time.at += 2.5
    told = [api.send("GET", LIST).headers.get("Retry-After") for _ in range(6)]
    assert told.count(None) == 4 and set(told) == {None, "8"}


def test_each_token_has_its_own_general_limit_and_search_is_the_accounts(api: Api) -> None:
    """Two apps share the searches of a portal."""
    api.site.limits = Limits(ten_secondly=2, search_a_second=2)
    other = api.limited(*ALL_SCOPES)
    assert statuses(api, 3) == [200, 200, 429] and statuses(other, 2) == [200, 200]
    assert statuses(api, 1, SEARCH, "POST", {}) == [200]
    assert statuses(other, 2, SEARCH, "POST", {}) == [200, 429]


def test_search_has_no_headers_and_a_body_of_its_own(api: Api, time: Seconds) -> None:
    """Five a second; no policy's name."""
    answers = [api.send("POST", SEARCH, {}) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert not any(name.startswith("X-HubSpot") for each in answers for name in each.headers)
    body = answers[-1].json()
    assert body["message"] == "You have reached your secondly limit." and body["category"] == "RATE_LIMITS"
    assert "policyName" not in body
    time.at += 1.01
    assert api.send("POST", SEARCH, {}).status_code == 200


def test_batches_of_associations_have_a_bucket_of_their_own(api: Api) -> None:
    """Trap 24: they take nothing from the general one."""
    api.site.limits = Limits(ten_secondly=1, associations_ten_secondly=2)
    assert edges(api, 3) == [200, 200, 429] and statuses(api, 2) == [200, 429]


def test_the_day_ends_at_midnight_of_the_portal(api: Api, time: Seconds) -> None:
    """DAILY: a run stops. The day is Amsterdam's, and the calls of other apps count."""
    api.site.limits = Limits(daily=10, daily_used=7)
    answers = [api.send("GET", LIST) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["policyName"] == "DAILY"
    assert answers[-1].json()["message"] == "You have reached your daily limit."
    assert api.send("POST", SEARCH, {}).status_code == 429
    limit, used, resets_at = api.site.daily_usage()
    assert (limit, used, resets_at.isoformat()) == (10, 10, "2026-03-03T00:00:00+01:00")
    api.site.clock.advance(13 * 3600)
    assert statuses(api, 1) == [429]
    api.site.clock.advance(2 * 3600)
    assert statuses(api, 1) == [200]


def test_the_meter_tells_the_peak_of_each_bucket(api: Api, time: Seconds) -> None:
    """A test of politeness asks for it; refused requests count."""
    for _ in range(3):
        statuses(api, 2)
        time.at += 4.9
    statuses(api, 7, SEARCH, "POST", {})
    assert api.site.meter.peak("general") == 6 and api.site.meter.peak("general", 1.0) == 2
    assert api.site.meter.peak("search") == 7 and api.site.meter.refused == 2
    assert api.site.peak_requests(10.0) == 6 and api.site.refused_requests == 2
    assert api.site.meter.peak("associations") == 0 and api.site.meter.total("general") == 6


def test_without_limits_everything_passes_and_is_noted(api: Api) -> None:
    """The tests of other things switch them off."""
    api.site.limits = None
    assert statuses(api, 250) == [200] * 250 and api.site.meter.peak("general") == 250


# Tokens and scopes


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer pat-other"}, {"Authorization": "Basic abc"}])
def test_a_missing_or_unknown_token_gets_401(api: Api, header: dict[str, str]) -> None:
    """It counts in no limit."""
    api.session.headers.pop("Authorization")
    answer = api.session.get(api.root + LIST, headers=header, timeout=30)
    assert answer.status_code == 401 and answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert answer.json()["correlationId"] and api.site.meter.total("general") == 0


def test_a_revoked_token_gets_401_until_it_is_good_again(api: Api) -> None:
    """Keys are rotated while runs go on."""
    api.site.revoke_token(TOKEN)
    assert statuses(api, 1) == [401]
    api.site.restore_token(TOKEN)
    assert statuses(api, 1) == [200]


def test_a_malformed_token_gets_530_in_html(api: Api) -> None:
    """What stands before the API answers."""
    answer = api.session.get(api.root + LIST, headers={"Authorization": 'Bearer "pat" x'}, timeout=30)
    assert answer.status_code == 530 and answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "tail", "body", "scope"),
    [
        ("GET", "/companies", None, "crm.objects.companies.read"),
        ("GET", "/companies?associations=contacts", None, "crm.objects.contacts.read"),
        ("POST", "/contacts/search", {}, "crm.objects.contacts.read"),
        ("POST", "/deals/batch/read", {"inputs": [{"id": "1"}]}, "crm.objects.deals.read"),
        ("POST", "/deals", {"properties": {}}, "crm.objects.deals.write"),
        ("POST", "/companies/merge", {}, "crm.objects.companies.write"),
        ("GET", "/tickets", None, "tickets"),
        ("GET", "/notes", None, "crm.objects.contacts.read"),
        ("GET", "/emails", None, "sales-email-read"),
        ("POST", "/tasks/batch/archive", {"inputs": [{"id": "1"}]}, "crm.objects.contacts.write"),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_scope_is_named(api: Api, family: str, method: str, tail: str, body: Any, scope: str) -> None:
    """403, with `requiredGranularScopes`; with the scope it is no 403."""
    api = api.by(family)
    path = api.path("objects", tail)
    answer = api.limited(*(ALL_SCOPES - {scope})).send(method, path, body)
    found = answer.json()
    assert answer.status_code == 403 and found["category"] == "MISSING_SCOPES"
    assert found["errors"][0]["context"]["requiredGranularScopes"] == [scope]
    assert api.send(method, path, body).status_code != 403


def test_refusals_are_all_of_one_shape(api: Api) -> None:
    """status, message, correlationId, category."""
    for path in (f"{LIST}/1", f"{LIST}?limit=0"):
        body = api.send("GET", path).json()
        assert body["status"] == "error" and {"message", "correlationId", "category"} <= set(body)
