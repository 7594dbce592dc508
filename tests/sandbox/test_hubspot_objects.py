"""The HubSpot site's records as they are read: list, get, batch/read, histories, the recycle bin; both families."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hubspot  # type: ignore[import-untyped]  # it has no types
import pytest
from hubspot.crm.companies import ApiException  # type: ignore[import-untyped]  # it has no types
from hubspot.crm.contacts import SimplePublicObjectInputForCreate  # type: ignore[import-untyped]  # it has no types

from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import TOKEN, HubSpotSite
from syncer.sandbox.hubspot.model import DAY_MS, PortalRecord
from syncer.sandbox.messages import Editable
from tests.sandbox.hubspot_portal import FAMILIES, START, Api, running


def portal(**sizes: Any) -> HubSpotSite:
    """Return a generated portal whose clock stands, without limits and lag."""
    site = HubSpotSite.generate(seed=3, clock=Clock(START, is_frozen=True), index_lag_s=0, **sizes)
    site.limits = None
    return site


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    """A portal that no test changes."""
    with running(portal(custom=True, extra_properties=300, companies=230)) as api:
        yield api


@pytest.fixture(params=FAMILIES)
def api(request: pytest.FixtureRequest, served: Api) -> Api:
    return served.by(request.param)


@pytest.fixture
def own() -> Iterator[Api]:
    """A portal that a test may change."""
    with running(portal()) as api:
        yield api


def listed(api: Api, kind: str = "companies", **params: Any) -> list[Any]:
    """Return all records of a listing, page by page."""
    found, page = [], api.ok("GET", api.path("objects", f"/{kind}"), **params)
    while True:
        found += page["results"]
        if "paging" not in page:
            return found
        after = page["paging"]["next"]["after"]
        page = api.ok("GET", api.path("objects", f"/{kind}"), after=after, **params)


def live(site: HubSpotSite, kind: str = "companies") -> list[PortalRecord]:
    return [record for record in site.store.records[kind].values() if not record.is_archived]


def read(api: Api, ids: list[str], kind: str = "companies", **more: Any) -> Any:
    body = {"inputs": [{"id": id} for id in ids], **more}
    return api.ok("POST", api.path("objects", f"/{kind}/batch/read"), body)


def test_a_site_can_be_edited_and_tells_the_truth(own: Api) -> None:
    """Tests and `/_sandbox` rely on the protocol."""
    assert isinstance(own.site, Editable)
    assert len(own.site.edit(5, seed=1)) == 5 and own.site.truth("companies")


def test_two_portals_of_one_sandbox_have_their_own_ids_tokens_and_records() -> None:
    """A wrong portal is a trap of its own: tokens look alike."""
    one = portal()
    other = HubSpotSite.generate(seed=4, clock=one.clock, name="hubspot_b", portal_id=77, token="pat-b", companies=3)
    with Sandbox(sites=[one, other], clock=one.clock) as sandbox:
        mine, theirs = Api(one, sandbox.url("hubspot")), Api(other, sandbox.url("hubspot_b"), token="pat-b")
        assert mine.ok("GET", "/account-info/v3/details")["portalId"] == one.store.portal_id
        assert theirs.ok("GET", "/account-info/2026-09/details")["portalId"] == 77
        wrong = Api(other, sandbox.url("hubspot_b"), token=TOKEN)
        assert wrong.send("GET", "/crm/v3/objects/companies").status_code == 401
        assert len(listed(theirs)) == 3


def test_the_same_arguments_make_the_same_portal() -> None:
    """A failing test can be run again."""
    one, two = portal(), portal()
    assert [(each.id, each.properties) for each in one.store.records["contacts"].values()] == [
        (each.id, each.properties) for each in two.store.records["contacts"].values()
    ]
    assert one.store.edges == two.store.edges


def test_listing_goes_through_all_live_records_in_the_order_of_their_ids(api: Api) -> None:
    """`after` is the next record's id; pages of ten without a limit."""
    assert len(api.ok("GET", api.path("objects", "/companies"))["results"]) == 10
    ids = [each["id"] for each in listed(api, limit=100)]
    assert ids == sorted((each.id for each in live(api.site)), key=int) and len(ids) > 200
    page = api.ok("GET", api.path("objects", "/companies"), limit=2)
    assert page["paging"]["next"]["after"] == ids[2] and f"after={ids[2]}" in page["paging"]["next"]["link"]


def test_a_page_goes_on_where_it_was_though_its_first_record_is_gone(own: Api) -> None:
    """An id is a place, also when nobody has it any more."""
    ids = [each["id"] for each in listed(own)]
    own.site.store.archive("companies", ids[3])
    page = own.ok("GET", "/crm/v3/objects/companies", after=ids[3], limit=1)
    assert page["results"][0]["id"] == ids[4]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"limit": 100}, 200),
        ({"limit": 101}, 400),
        ({"limit": 0}, 400),
        ({"limit": 50, "propertiesWithHistory": "name"}, 200),
        ({"limit": 51, "propertiesWithHistory": "name"}, 400),
        ({"after": "x"}, 400),
        ({"archived": "maybe"}, 400),
        ({"associations": "spaceships"}, 400),
    ],
)
def test_parameters_have_bounds(api: Api, params: dict[str, Any], status: int) -> None:
    """Histories halve the pages."""
    answer = api.send("GET", api.path("objects", "/companies"), **params)
    assert answer.status_code == status and (status == 200 or answer.json()["correlationId"])


@pytest.mark.parametrize("name", ["0-2", "companies"])
def test_a_kind_is_named_by_its_plural_or_its_id(api: Api, name: str) -> None:
    """The specification itself uses 0-3 for deals."""
    assert api.ok("GET", api.path("objects", f"/{name}"))["results"]


def test_a_custom_object_has_a_qualified_name_too(api: Api) -> None:
    """A portal's own kinds are reached by name, by `2-…` and by `p{portal}_{name}`."""
    kind = api.site.store.kinds["machines"]
    found = [
        api.ok("GET", api.path("objects", f"/{name}")) for name in ("machines", kind.type_id, kind.qualified_name)
    ]
    results = [each["results"] for each in found]
    assert results[0] and results[0] == results[1] == results[2]


def test_an_unknown_kind_is_refused(api: Api) -> None:
    """It is a 400, not a 404."""
    answer = api.send("GET", api.path("objects", "/spaceships"))
    assert answer.status_code == 400 and "spaceships" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/crm/v1/objects/companies", 404),
        ("GET", "/crm/objects/2026-03/companies", 404),
        ("PUT", "/crm/v3/objects/companies", 405),
    ],
)
def test_other_paths_answer_no_json(api: Api, method: str, path: str, status: int) -> None:
    """What stands before the API answers in HTML; only v3 and 2026-09 are served."""
    answer = api.send(method, path)
    assert answer.status_code == status and answer.headers["Content-Type"].startswith("text/html")


def test_without_properties_a_few_come_and_unknown_names_are_left_out(api: Api) -> None:
    """A typo is silent; values are texts or null."""
    few = api.ok("GET", api.path("objects", "/companies"))["results"][0]
    assert set(few["properties"]) == {"createdate", "hs_lastmodifieddate", "hs_object_id", "name", "domain"}
    named = api.ok("GET", api.path("objects", "/companies"), properties="city,citty,numberofemployees")["results"]
    always = {"createdate", "hs_lastmodifieddate", "hs_object_id"}
    assert set(named[0]["properties"]) == {"city", "numberofemployees"} | always
    assert {type(value) for each in named for value in each["properties"].values()} == {str, type(None)}


def test_generated_values_are_null_and_blank_and_of_every_type(api: Api) -> None:
    """null and "" are both there, and mean the same; so do times with and without a fraction."""
    names = [
        each.name for each in api.site.store.definitions["companies"].values() if not each.name.startswith("extra")
    ]
    records = listed(api, limit=100, properties=",".join(names))
    values = [value for each in records for value in each["properties"].values()]
    assert None in values and "" in values and any(value and ";" in value for value in values)
    stamps = [each["updatedAt"] for each in records]
    assert any("." not in each for each in stamps) and any("." in each for each in stamps)
    assert all(each["updatedAt"] == each["properties"]["hs_lastmodifieddate"] for each in records)


def test_a_long_url_gets_414(api: Api) -> None:
    """Hundreds of property names do not fit: they are asked for in parts."""
    names = [name for name in api.site.store.definitions["companies"] if name.startswith("extra")]
    assert api.send("GET", api.path("objects", "/companies"), properties=",".join(names[:150])).status_code == 200
    long = ",".join(name + "x" * 20 for name in names)
    assert api.send("GET", api.path("objects", "/companies"), properties=long).status_code == 414


def test_archived_properties_and_sensitive_ones_are_not_there(api: Api) -> None:
    """Sensitive ones need a scope of their own; without it they are as unknown as a typo."""
    path = api.path("objects", "/contacts")
    blind = api.ok("GET", path, properties="passport_number", limit=1)["results"][0]["properties"]
    scope = "crm.objects.contacts.sensitive.read.v2"
    seeing = api.limited("crm.objects.contacts.read", scope)
    seen = seeing.ok("GET", path, properties="passport_number", limit=1)["results"][0]["properties"]
    assert "passport_number" not in blind and "passport_number" in seen
    company = api.ok("GET", api.path("objects", "/companies"), properties="old_segment", limit=1)["results"][0]
    assert "old_segment" not in company["properties"]


def test_archived_records_are_listed_apart_for_90_days(own: Api) -> None:
    """They have `archivedAt`; their modified date does not move."""
    record = live(own.site)[0]
    before = record.updated_ms
    own.site.clock.advance(60)
    own.site.store.archive("companies", record.id)
    gone = {each["id"]: each for each in listed(own, archived="true")}
    assert gone[record.id]["archived"] is True and gone[record.id]["archivedAt"] == "2026-03-02T09:01:00Z"
    assert record.updated_ms == before and record.id not in {each["id"] for each in listed(own)}
    record.archived_ms = own.site.store.now_ms() - 91 * DAY_MS
    assert record.id not in {each["id"] for each in listed(own, archived="true")}


def test_an_archived_record_is_got_with_archived_true_only(own: Api) -> None:
    """404 does not mean that it never was."""
    record = live(own.site)[0]
    path = f"/crm/v3/objects/companies/{record.id}"
    assert own.send("GET", path, archived="true").status_code == 404
    own.site.store.archive("companies", record.id)
    assert own.send("GET", path).json()["category"] == "OBJECT_NOT_FOUND"
    assert own.ok("GET", path, archived="true")["archivedAt"]
    own.site.store.restore("companies", record.id)
    assert own.ok("GET", path)["id"] == record.id and record.id in {each["id"] for each in listed(own)}


def test_a_record_is_got_by_a_unique_property(api: Api) -> None:
    """`idProperty` is in the query here; a property that is not unique is refused."""
    record = live(api.site, "contacts")[0]
    email = str(record.properties["email"]).upper()
    assert api.ok("GET", api.path("objects", f"/contacts/{email}"), idProperty="email")["id"] == record.id
    for name in ("firstname", "hs_object_id"):
        answer = api.send("GET", api.path("objects", "/contacts/x"), idProperty=name)
        assert answer.status_code == 400 and "non-unique" in answer.json()["message"]


def test_a_merged_id_shows_the_survivor_under_its_own_id(api: Api) -> None:
    """Trap 1: the id that was asked for is not the one that comes; batch/read does not find it, no list has it."""
    old, new = next(iter(api.site.store.merged["companies"].items()))
    shown = api.ok("GET", api.path("objects", f"/companies/{old}"), properties="hs_merged_object_ids")
    assert shown["id"] == new != old and old in shown["properties"]["hs_merged_object_ids"].split(";")
    assert read(api, [old])["errors"][0]["context"]["ids"] == [old]
    ids = {each["id"] for archived in ("true", "false") for each in listed(api, archived=archived, limit=100)}
    assert new in ids and old not in ids


def test_associations_stand_in_a_record_once_for_each_type(api: Api) -> None:
    """A primary pair has the unlabelled type as well: the same id comes twice."""
    records = listed(api, "contacts", associations="companies,deals")
    found = [
        each["associations"]["companies"]["results"] for each in records if "companies" in each.get("associations", {})
    ]
    types = {entry["type"] for each in found for entry in each}
    assert {"contact_to_company", "contact_to_company_unlabeled"} <= types
    first = found[0]
    assert len({entry["id"] for entry in first}) < len(first)
    assert any("associations" not in each for each in records)


def test_many_associations_are_paged_inside_the_record(own: Api) -> None:
    """Airbyte lost them: the rest is behind a link."""
    store = own.site.store
    company = live(own.site)[0].id
    for number in range(101):
        store.associate("companies", company, "contacts", store.create("contacts", {"firstname": str(number)}).id, ())
    shown = own.ok("GET", f"/crm/v3/objects/companies/{company}", associations="contacts")["associations"]["contacts"]
    assert len(shown["results"]) in (99, 100)
    entries = shown["results"]
    while "paging" in shown:
        shown = own.session.get(shown["paging"]["next"]["link"], timeout=30).json()
        entries += shown["results"]
    found = store.neighbours("companies", company, "contacts")
    assert {each["id"] for each in entries} == set(found) and len(entries) == sum(map(len, found.values()))


def test_the_primary_company_is_mirrored_in_a_property(api: Api) -> None:
    """It changes with the edge, and no date moves."""
    record = next(
        each for each in live(api.site, "contacts") if api.site.store.edges["contacts", "companies"].get(each.id)
    )
    path = api.path("objects", f"/contacts/{record.id}")
    shown = api.ok("GET", path, properties="associatedcompanyid", associations="companies")
    primary = [
        each["id"] for each in shown["associations"]["companies"]["results"] if each["type"] == "contact_to_company"
    ]
    assert [shown["properties"]["associatedcompanyid"]] == primary


def test_histories_are_told_for_the_named_properties(own: Api) -> None:
    """Values that a record was made with are there as well; at most twenty, in no order to rely on."""
    record = live(own.site)[0]
    for number in range(25):
        own.site.clock.advance(1)
        own.site.store.update("companies", record.id, {"city": f"City {number}"})
    shown = own.ok("GET", f"/crm/v3/objects/companies/{record.id}", propertiesWithHistory="city,name,nonsense")
    assert set(shown["propertiesWithHistory"]) == {"city", "name"} and shown["properties"]["city"] == "City 24"
    entries = sorted(shown["propertiesWithHistory"]["city"], key=lambda each: each["timestamp"])
    assert len(entries) == 20 and entries[-1]["value"] == "City 24" and entries[-1]["sourceType"] == "CRM_UI"
    assert [each["value"] for each in shown["propertiesWithHistory"]["name"]] == [record.properties["name"]]


def test_batch_read_names_what_is_missing_in_one_error(api: Api) -> None:
    """207: numErrors counts error objects, not records."""
    ids = [each.id for each in live(api.site)[:3]]
    body = {"inputs": [{"id": id} for id in [*ids, "1", "2"]], "properties": ["name"]}
    answer = api.send("POST", api.path("objects", "/companies/batch/read"), body)
    found = answer.json()
    assert answer.status_code == 207 and found["status"] == "COMPLETE" and found["numErrors"] == 1
    assert {each["id"] for each in found["results"]} == set(ids)
    assert found["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert found["errors"][0]["context"] == {"ids": ["1", "2"]}


def test_batch_read_keeps_no_order(api: Api) -> None:
    """Trap 14: match by id."""
    ids = [each.id for each in live(api.site)[:20]]
    for asked in (ids, [each["id"] for each in read(api, ids)["results"]]):
        assert [each["id"] for each in read(api, asked)["results"]] != asked


@pytest.mark.parametrize(
    ("count", "more", "text"),
    [
        (101, {}, "100"),
        (51, {"propertiesWithHistory": ["name"]}, "for property histories is 50"),
        (0, {}, "inputs"),
    ],
)
def test_batch_read_has_a_most(api: Api, count: int, more: dict[str, Any], text: str) -> None:
    """Histories halve it."""
    body = {"inputs": [{"id": str(number)} for number in range(count)], **more}
    answer = api.send("POST", api.path("objects", "/companies/batch/read"), body)
    assert answer.status_code == 400 and text in answer.json()["message"]


def test_an_id_twice_refuses_the_whole_batch(api: Api) -> None:
    """Trap 15."""
    id = live(api.site)[0].id
    answer = api.send("POST", api.path("objects", "/companies/batch/read"), {"inputs": [{"id": id}, {"id": id}]})
    assert answer.status_code == 400 and answer.json()["context"]["ids"] == [id]
    assert answer.json()["message"] == f"Duplicate IDs found in batch input: [{id}]. IDs must be unique"


def test_batch_read_takes_a_unique_property_and_the_recycle_bin(api: Api) -> None:
    """`idProperty` is at the top level here."""
    record = live(api.site)[0]
    found = read(api, [str(record.properties["client_id"]), "none"], idProperty="client_id")
    assert [each["id"] for each in found["results"]] == [record.id]
    gone = next(each.id for each in api.site.store.records["companies"].values() if each.is_archived)
    path = api.path("objects", "/companies/batch/read")
    answer = api.send("POST", path, {"inputs": [{"id": gone}, {"id": record.id}]}, archived="true").json()
    assert [each["id"] for each in answer["results"]] == [gone] and answer["numErrors"] == 1


def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    """A 400 with the usual body."""
    url = api.root + api.path("objects", "/companies/batch/read")
    answer = api.session.post(url, data=b"{", timeout=30)
    assert answer.status_code == 400 and "Invalid input JSON" in answer.json()["message"]


def test_a_portal_of_many_records_is_made_and_read_quickly() -> None:
    """The measurements need 120,000; here a tenth, with few properties on each."""
    site = portal(companies=30_000, contacts=0, deals=0, tickets=0, activities=0)
    assert max(len(each.properties) for each in site.store.records["companies"].values()) < 9
    with running(site) as api:
        assert len(api.ok("GET", "/crm/v3/objects/companies", limit=100, after="9005000000")["results"]) == 100


def test_the_official_client_reads_and_writes(own: Api) -> None:
    """What others wrote keeps the sandbox honest."""
    client = hubspot.Client.create(access_token=TOKEN, host=own.root)
    assert len(client.crm.companies.get_all(properties=["name"])) == len(live(own.site))
    made = client.crm.contacts.basic_api.create(
        SimplePublicObjectInputForCreate(properties={"email": "New@Example.com"}, associations=[])
    )
    assert client.crm.contacts.basic_api.get_by_id(made.id).properties["email"] == "new@example.com"
    ids = [each.id for each in live(own.site)[:2]]
    found = client.crm.companies.batch_api.read({"inputs": [{"id": id} for id in [*ids, "5"]], "properties": ["name"]})
    assert {each.id for each in found.results} == set(ids) and found.num_errors == 1
    merged = client.crm.companies.basic_api.merge({"primaryObjectId": ids[0], "objectIdToMerge": ids[1]})
    assert merged.id not in ids
    body = {"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": merged.id}]}]}
    assert client.crm.companies.search_api.do_search(body).total == 1
    client.crm.companies.basic_api.archive(merged.id)
    with pytest.raises(ApiException) as refused:
        client.crm.companies.basic_api.get_by_id(merged.id)
    assert refused.value.status == 404
