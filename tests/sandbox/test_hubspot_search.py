"""The HubSpot site's search: filters, the cursor's trap, offsets and their wall, keyset paging, the lagging index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncer.sandbox import Clock
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.model import PortalRecord
from tests.sandbox.hubspot_portal import FAMILIES, START, Api, running

LONG_AGO = "1000"


def portal(**sizes: Any) -> HubSpotSite:
    """Return a generated portal whose clock stands, without limits and lag."""
    site = HubSpotSite.generate(seed=5, clock=Clock(START, is_frozen=True), index_lag_s=0, **sizes)
    site.limits = None
    return site


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    """A portal that no test changes."""
    with running(portal(companies=300, custom=True)) as api:
        yield api


@pytest.fixture(params=FAMILIES)
def api(request: pytest.FixtureRequest, served: Api) -> Api:
    return served.by(request.param)


@pytest.fixture
def own() -> Iterator[Api]:
    """A portal that a test may change."""
    with running(portal()) as api:
        yield api


def one(name: str, operator: str, value: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a filter."""
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}


def send(api: Api, *filters: dict[str, Any], kind: str = "companies", **more: Any) -> Any:
    body = {**({"filterGroups": [{"filters": list(filters)}]} if filters else {}), **more}
    return api.send("POST", api.path("objects", f"/{kind}/search"), body)


def search(api: Api, *filters: dict[str, Any], kind: str = "companies", **more: Any) -> Any:
    answer = send(api, *filters, kind=kind, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(api: Api, *filters: dict[str, Any], kind: str = "companies", **more: Any) -> list[str]:
    found = search(api, *filters, kind=kind, **{"limit": 200, **more})["results"]
    return [each["id"] for each in found]


def live(site: HubSpotSite, kind: str = "companies") -> list[PortalRecord]:
    return [record for record in site.store.records[kind].values() if not record.is_archived]


def having(api: Api, name: str, kind: str = "companies") -> PortalRecord:
    """Return a live record with a value of a property."""
    return next(each for each in live(api.site, kind) if each.properties.get(name))


BY_ID = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]


def walked(api: Api, low: str = LONG_AGO, *, size: int = 200) -> Iterator[list[Any]]:
    """Yield the pages of a keyset walk."""
    last = "0"
    while True:
        filters = one("hs_lastmodifieddate", "GTE", low), one("hs_object_id", "GT", last)
        page = search(api, *filters, sorts=BY_ID, limit=size)["results"]
        if not page:
            return
        yield page
        last = page[-1]["id"]


def test_an_answer_has_total_results_and_the_next_offset(api: Api) -> None:
    """`after` is a number of rows, not an id; ten come without a limit; nothing is associated."""
    first = search(api)
    assert first["total"] == len(live(api.site)) and len(first["results"]) == 10
    assert first["paging"] == {"next": {"after": "10"}}
    last = search(api, after=str(first["total"] - 3))
    assert len(last["results"]) == 3 and "paging" not in last
    assert all("associations" not in each and each["archived"] is False for each in first["results"])


def test_the_wrong_cursor_finds_nothing_and_says_nothing(api: Api) -> None:
    """Trap 4: contacts have `lastmodifieddate`, all others `hs_lastmodifieddate`."""
    for kind, right, wrong in (
        ("contacts", "lastmodifieddate", "hs_lastmodifieddate"),
        ("companies", "hs_lastmodifieddate", "lastmodifieddate"),
        ("notes", "hs_lastmodifieddate", "lastmodifieddate"),
    ):
        assert search(api, one(right, "GTE", LONG_AGO), kind=kind)["total"] == len(live(api.site, kind))
        assert search(api, one(wrong, "GTE", LONG_AGO), kind=kind)["total"] == 0


def test_dates_are_compared_as_milliseconds(api: Api) -> None:
    """ISO 8601 is what comes, milliseconds are what is sent."""
    record = live(api.site)[7]
    exact = one("hs_lastmodifieddate", "EQ", str(record.updated_ms))
    assert record.id in ids(api, exact)
    assert record.id not in ids(api, one("hs_lastmodifieddate", "GT", str(record.updated_ms)))
    assert send(api, one("hs_lastmodifieddate", "GTE", "2026-01-01T00:00:00Z")).status_code == 400


@pytest.mark.parametrize("operator", ["EQ", "NEQ", "LT", "LTE", "GT", "GTE"])
def test_numbers_are_compared_as_numbers(api: Api, operator: str) -> None:
    """ "9" is less than "10"; a record without a value passes no comparison."""
    tests = {
        "EQ": lambda value: value == 5000,
        "NEQ": lambda value: value != 5000,
        "LT": lambda value: value < 5000,
        "LTE": lambda value: value <= 5000,
        "GT": lambda value: value > 5000,
        "GTE": lambda value: value >= 5000,
    }
    having = [each for each in live(api.site) if each.properties.get("annualrevenue")]
    wanted = {each.id for each in having if tests[operator](float(str(each.properties["annualrevenue"])))}
    assert set(ids(api, one("annualrevenue", operator, "5000"))) == wanted


def test_between_takes_both_ends(api: Api) -> None:
    """value and highValue, inclusive."""
    records = sorted(live(api.site), key=lambda each: each.created_ms)
    low, high = str(records[10].created_ms), str(records[20].created_ms)
    found = ids(api, one("createdate", "BETWEEN", low, highValue=high))
    assert {records[10].id, records[20].id} <= set(found) and len(found) < 20


def test_strings_ignore_case_but_lists_want_lower_case(api: Api) -> None:
    """IN with a capital finds nothing: nobody says so."""
    record = having(api, "domain")
    domain = str(record.properties["domain"])
    assert ids(api, one("domain", "EQ", domain.upper())) == [record.id]
    assert ids(api, one("domain", "IN", values=[domain])) == [record.id]
    assert ids(api, one("domain", "IN", values=[domain.upper()])) == []
    assert record.id not in ids(api, one("domain", "NOT_IN", values=[domain]))
    assert send(api, one("domain", "IN", values=[str(number) for number in range(101)])).status_code == 400


def test_enumerations_are_compared_as_they_are(api: Api) -> None:
    """Their case counts."""
    record = having(api, "industry")
    industry = str(record.properties["industry"])
    assert record.id in ids(api, one("industry", "IN", values=[industry]))
    assert ids(api, one("industry", "EQ", industry.lower())) == []


def test_has_property_and_its_opposite_part_the_records(api: Api) -> None:
    """ "" is no value."""
    with_it, without = ids(api, one("city", "HAS_PROPERTY")), ids(api, one("city", "NOT_HAS_PROPERTY"))
    assert with_it and without and not set(with_it) & set(without)
    blank = next(each for each in live(api.site) if any(value == "" for value in each.properties.values()))
    name = next(name for name, value in blank.properties.items() if value == "")
    assert blank.id in ids(api, one(name, "NOT_HAS_PROPERTY"), one("hs_object_id", "EQ", blank.id))


def test_tokens_are_words_and_a_star_is_anything(api: Api) -> None:
    """CONTAINS_TOKEN looks at whole words."""
    whole = ids(api, one("name", "CONTAINS_TOKEN", "bakkerij"))
    assert whole and whole == ids(api, one("name", "CONTAINS_TOKEN", "BAKK*"))
    assert ids(api, one("name", "CONTAINS_TOKEN", "bakk")) == []
    assert len(whole) + search(api, one("name", "NOT_CONTAINS_TOKEN", "bakkerij"))["total"] == len(live(api.site))


def test_a_query_looks_into_a_few_properties(api: Api) -> None:
    """Words may be begun only."""
    found = search(api, query="noorder tele")["results"]
    assert found and all("Noorderlicht Telecom" in each["properties"]["name"] for each in found)
    api.site.search_body_most = None
    assert send(api, query="q" * 3001).status_code == 400
    api.site.search_body_most = 3_000


def test_groups_are_or_and_filters_are_and(api: Api) -> None:
    """So two groups find more, two filters less."""
    first, second = live(api.site)[:2]
    either = [{"filters": [one("hs_object_id", "EQ", each.id)]} for each in (first, second)]
    assert set(ids(api, filterGroups=either)) == {first.id, second.id}
    assert ids(api, one("hs_object_id", "EQ", first.id), one("hs_object_id", "EQ", second.id)) == []


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 0},
        {"after": "abc"},
        {"sorts": [*BY_ID, {"propertyName": "name", "direction": "DESCENDING"}]},
        {"sorts": [{"propertyName": "nonsense"}]},
        {"filterGroups": [{"filters": [one("name", "HAS_PROPERTY")]}] * 6},
        {"filterGroups": [{"filters": [one("name", "HAS_PROPERTY")] * 7}]},
        {"filterGroups": [{"filters": [one("name", "HAS_PROPERTY")] * 5}] * 4},
        {"filterGroups": [{"filters": [one("name", "LIKE", "x")]}]},
        {"filterGroups": [{"filters": [one("nonsense", "EQ", "x")]}]},
        {"filterGroups": [{"filters": [one("name", "EQ")]}]},
        {"filterGroups": [{"filters": [one("annualrevenue", "GT", "much")]}]},
        {"filterGroups": [{"filters": [one("hs_object_id", "GT", "x")]}]},
        {"filterGroups": "x"},
        {"page": 1},
    ],
)
def test_what_is_wrong_is_refused(api: Api, body: dict[str, Any]) -> None:
    """At most 5 groups, 6 filters in each, 18 in all, one sort, 200 rows."""
    answer = send(api, **body)
    assert answer.status_code == 400 and answer.json()["category"] == "VALIDATION_ERROR"


def test_bodies_of_emails_and_previews_cannot_be_filtered_by(api: Api) -> None:
    """The guide names them."""
    assert send(api, one("hs_email_html", "HAS_PROPERTY"), kind="emails").status_code == 400
    assert send(api, one("hs_body_preview_html", "HAS_PROPERTY"), kind="notes").status_code == 400


def test_a_long_body_is_refused_unless_switched_off(own: Api) -> None:
    """The guide says 3,000 characters, others get by with more."""
    names = [f"a_property_with_a_long_name_{number}" for number in range(120)]
    assert send(own, properties=names).status_code == 400
    own.site.search_body_most = None
    assert send(own, properties=names).status_code == 200


def test_one_sort_orders_the_answer_and_blanks_come_last(api: Api) -> None:
    """By value, either way."""
    for direction in ("ASCENDING", "DESCENDING"):
        sorts = [{"propertyName": "annualrevenue", "direction": direction}]
        page = search(api, sorts=sorts, limit=200, properties=["annualrevenue"])["results"]
        values = [each["properties"]["annualrevenue"] for each in page]
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, reverse=direction == "DESCENDING")
        assert len(numbers) == len(values) or not any(values[len(numbers) :])


def test_the_neighbours_of_a_record_are_found_by_a_pseudo_property(api: Api) -> None:
    """`associations.company` EQ id; not for custom objects."""
    store = api.site.store
    company = next(id for id, found in store.edges["companies", "contacts"].items() if found)
    wanted = set(store.neighbours("companies", company, "contacts"))
    assert set(ids(api, one("associations.company", "EQ", company), kind="contacts")) == wanted
    assert send(api, one("associations.company", "EQ", company), kind="machines").status_code == 400


def test_nothing_lies_behind_ten_thousand_though_all_is_counted() -> None:
    """Trap 5: the last page within it is given, with a next one that is refused."""
    with running(portal(companies=11_000, contacts=0, deals=0, tickets=0, activities=0)) as api:
        last = search(api, after="9800", limit=200)
        assert last["total"] > 10_000 and last["paging"]["next"]["after"] == "10000"
        assert send(api, after="10000", limit=200).status_code == 400
        assert send(api, after="9801", limit=200).status_code == 400
        found = [each["id"] for page in walked(api) for each in page]
        assert sorted(found, key=int) == found and len(found) == last["total"]


def test_a_keyset_walk_sees_every_record_once_while_people_edit(own: Api) -> None:
    """What is changed behind the last id comes next time; nothing comes twice or is skipped."""
    store, seen = own.site.store, []
    untouched = {each.id for each in live(own.site)}
    for number, page in enumerate(walked(own, size=7)):
        seen += [each["id"] for each in page]
        own.site.clock.advance(1)
        moved = live(own.site)[number]
        store.update("companies", moved.id, {"city": f"Moved {number}"})
        gone = live(own.site)[-1].id
        store.archive("companies", gone)
        untouched.discard(gone)
    assert len(seen) == len(set(seen)) and untouched <= set(seen)


def test_a_cached_answer_follows_every_change(own: Api) -> None:
    """The same question asked again must not be answered from before."""
    store = own.site.store
    test = one("city", "EQ", "here")
    assert ids(own, test, sorts=BY_ID) == []
    first, second = (each.id for each in live(own.site)[:2])
    store.update("companies", second, {"city": "Here"})
    store.update("companies", first, {"city": "here"})
    assert ids(own, test, sorts=BY_ID) == sorted([first, second], key=int)
    store.update("companies", first, {"city": "there"})
    store.archive("companies", second)
    assert ids(own, test, sorts=BY_ID) == []
    store.restore("companies", second)
    made = store.create("companies", {"name": "New", "city": "HERE"}).id
    assert set(ids(own, test, sorts=BY_ID)) == {second, made}
    survivor = store.merge("companies", made, second).id
    assert ids(own, test, sorts=BY_ID) == [survivor]
    store.purge("companies", survivor)
    assert ids(own, test, sorts=BY_ID) == []


def test_the_index_lags_for_every_kind_of_change(own: Api) -> None:
    """Trap 7: a search sees a record as it was some seconds ago, values and all; get sees it at once."""
    own.site.index_lag_s = 5
    store, clock = own.site.store, own.site.clock
    written, archived, merged, lost = (each.id for each in live(own.site)[:4])
    before = search(own, one("hs_object_id", "EQ", written), properties=["name"])["results"][0]
    store.update("companies", written, {"name": "Renamed"})
    store.archive("companies", archived)
    survivor = store.merge("companies", merged, lost).id
    made = store.create("companies", {"name": "Made"}).id
    clock.advance(4.9)
    assert {archived, merged, lost, written} <= set(ids(own)) and not {survivor, made} & set(ids(own))
    assert search(own, one("hs_object_id", "EQ", written), properties=["name"])["results"][0] == before
    assert own.ok("GET", f"/crm/v3/objects/companies/{written}")["properties"]["name"] == "Renamed"
    clock.advance(0.2)
    now = set(ids(own))
    assert {survivor, made, written} <= now and not {archived, merged, lost} & now
    shown = search(own, one("name", "EQ", "renamed"))["results"][0]
    assert shown["id"] == written and shown["updatedAt"] > before["updatedAt"]
