"""The HubSpot site's writes: one record, batches with and without trace ids, values, conflicts, merges, deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from syncer.sandbox import Clock
from syncer.sandbox.hubspot import PRIMARY_ID, HubSpotSite
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, PortalRecord
from tests.sandbox.hubspot_portal import FAMILIES, START, Api, running


@pytest.fixture(params=FAMILIES)
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    site = HubSpotSite.generate(
        seed=11, clock=Clock(START, is_frozen=True), index_lag_s=0, companies=30, contacts=20, tickets=20, custom=True
    )
    site.limits = None
    with running(site) as running_api:
        yield running_api.by(request.param)


def live(api: Api, kind: str = "companies") -> list[PortalRecord]:
    return [record for record in api.site.store.records[kind].values() if not record.is_archived]


def path(api: Api, tail: str) -> str:
    return api.path("objects", f"/{tail}")


def create(api: Api, properties: dict[str, Any], kind: str = "companies", **more: Any) -> Any:
    return api.send("POST", path(api, kind), {"properties": properties, **more})


def update(api: Api, record: PortalRecord, properties: dict[str, Any]) -> Any:
    return api.send("PATCH", path(api, f"{record.kind}/{record.id}"), {"properties": properties})


def batch(api: Api, verb: str, inputs: list[dict[str, Any]], kind: str = "companies") -> Any:
    return api.send("POST", path(api, f"{kind}/batch/{verb}"), {"inputs": inputs})


def merge(api: Api, keep: str, lose: str, *, kind: str = "companies") -> Any:
    return api.send("POST", path(api, f"{kind}/merge"), {"primaryObjectId": keep, "objectIdToMerge": lose})


def names(api: Api) -> set[str | None]:
    return {each.properties.get("name") for each in live(api)}


# One record


def test_a_record_is_created_and_read_at_once(api: Api) -> None:
    """201; list and get know it before search does."""
    answer = create(api, {"name": "New", "city": "Groningen"})
    made = answer.json()
    assert answer.status_code == 201 and made["properties"]["city"] == "Groningen" and made["createdAt"]
    assert api.ok("GET", path(api, f"companies/{made['id']}"))["properties"]["name"] == "New"


@pytest.mark.parametrize(
    ("kind", "properties", "missing"),
    [
        ("companies", {"city": "x"}, "domain"),
        ("contacts", {"city": "x"}, "email"),
        ("deals", {"dealname": "x"}, "dealstage"),
        ("tickets", {"subject": "x"}, "hs_pipeline_stage"),
        ("notes", {"hs_note_body": "x"}, "hs_timestamp"),
        ("emails", {"hs_timestamp": "1767225600000"}, "hs_email_direction"),
        ("communications", {"hs_timestamp": "1767225600000"}, "hs_communication_channel_type"),
    ],
)
def test_a_record_needs_what_its_kind_needs(api: Api, kind: str, properties: dict[str, str], missing: str) -> None:
    """A 400 names what is missing."""
    answer = create(api, properties, kind)
    assert answer.status_code == 400 and missing in answer.json()["context"]["properties"]


def test_the_create_form_binds_the_dated_family_only(api: Api) -> None:
    """A write that passed in v3 may fail in 2026-09."""
    api.site.store.form_required["companies"] = {"city"}
    assert create(api, {"name": "x"}).status_code == (201 if api.family == "v3" else 400)


def test_a_record_is_created_with_associations(api: Api) -> None:
    """The types tell which kind the other record is of; a type that is none is refused, and nothing is made."""
    company = live(api)[0].id
    types = [{"associationCategory": HUBSPOT_DEFINED, "associationTypeId": 279}]
    made = create(api, {"email": "a@b.example"}, "contacts", associations=[{"to": {"id": company}, "types": types}])
    assert set(api.site.store.neighbours("contacts", made.json()["id"], "companies")) == {company}
    wrong = [{"to": {"id": company}, "types": [{"associationCategory": HUBSPOT_DEFINED, "associationTypeId": 9}]}]
    assert create(api, {"email": "c@d.example"}, "contacts", associations=wrong).status_code == 400
    nobody = [{"to": {"id": "1"}, "types": types}]
    assert create(api, {"email": "c@d.example"}, "contacts", associations=nobody).status_code == 404
    assert not any(each.properties.get("email") == "c@d.example" for each in live(api, "contacts"))


def test_an_update_writes_what_is_sent_and_moves_the_date(api: Api) -> None:
    """Partial; "" clears; a null is passed over."""
    record = live(api)[0]
    before = dict(record.properties)
    shown = update(api, record, {"city": "", "phone": None, "numberofemployees": 17}).json()
    assert shown["properties"]["city"] == "" and shown["properties"]["numberofemployees"] == "17"
    assert record.properties.get("phone") == before.get("phone") and record.properties["name"] == before["name"]
    assert shown["updatedAt"] == "2026-03-02T09:00:00Z"


@pytest.mark.parametrize("properties", [{}, {"city": None}])
def test_an_update_of_nothing_is_refused(api: Api, properties: dict[str, Any]) -> None:
    """Empty `properties` are an error, and nulls are as good as nothing."""
    answer = update(api, live(api)[0], properties)
    assert answer.status_code == 400 and "No properties found to update" in answer.json()["message"]


@pytest.mark.parametrize(
    ("kind", "name", "sent", "stored"),
    [
        ("companies", "annualrevenue", "17.50", "17.50"),
        ("companies", "is_public", True, "true"),
        ("companies", "contract_end", "2026-03-01", "2026-03-01"),
        ("companies", "contract_end", "1772323200000", "2026-03-01"),
        ("companies", "closedate", "1772366400123", "2026-03-01T12:00:00.123Z"),
        ("companies", "closedate", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00Z"),
        ("companies", "industry", "BANKING", "BANKING"),
        ("companies", "products", "voip;mobile", "voip;mobile"),
        ("contacts", "email", "Ada@Example.COM", "ada@example.com"),
    ],
)
def test_values_are_taken_and_stored_as_hubspot_has_them(
    api: Api, kind: str, name: str, sent: Any, stored: str
) -> None:
    """What is read back need not be what was sent."""
    record = live(api, kind)[0]
    assert update(api, record, {name: sent}).json()["properties"][name] == stored == record.properties[name]


@pytest.mark.parametrize(
    ("kind", "name", "sent", "code"),
    [
        ("companies", "nonsense", "x", "PROPERTY_DOESNT_EXIST"),
        ("companies", "old_segment", "x", "PROPERTY_DOESNT_EXIST"),
        ("contacts", "passport_number", "x", "PROPERTY_DOESNT_EXIST"),
        ("companies", "hs_object_id", "1", "READ_ONLY_VALUE"),
        ("companies", "total_revenue", "1", "READ_ONLY_VALUE"),
        ("companies", "health_score", "1", "READ_ONLY_VALUE"),
        ("companies", "annualrevenue", "1,234.5", "INVALID_DOUBLE"),
        ("companies", "is_public", "yes", "INVALID_OPTION"),
        ("companies", "industry", "Banking", "INVALID_OPTION"),
        ("companies", "products", "voip; mobile", "INVALID_OPTION"),
        ("companies", "contract_end", "1772366400000", "INVALID_DATE"),
        ("companies", "contract_end", "01-03-2026", "INVALID_DATE"),
        ("companies", "contract_end", "2026-02-31", "INVALID_DATE"),
        ("companies", "closedate", "2026-03-01T13:00:00", "INVALID_DATE"),
        ("companies", "hubspot_owner_id", "1", "INVALID_OWNER_ID"),
        ("companies", "description", "x" * 65_537, "INVALID_LENGTH"),
        ("companies", "client_id", "x" * 21, "INVALID_MAX_LENGTH"),
        ("contacts", "email", "nobody", "INVALID_EMAIL"),
        ("tickets", "hs_pipeline", "Support pipeline", "INVALID_OPTION"),
        ("tickets", "hs_pipeline_stage", "New", "INVALID_OPTION"),
    ],
)
def test_bad_values_are_refused_with_a_code(api: Api, kind: str, name: str, sent: str, code: str) -> None:
    """The reasons stand as JSON inside the message, and in `errors`."""
    answer = update(api, live(api, kind)[0], {name: sent})
    body = answer.json()
    inside = orjson.loads(body["message"].removeprefix("Property values were not valid: "))
    assert answer.status_code == 400 and body["category"] == "VALIDATION_ERROR"
    assert [each["error"] for each in inside] == [code] == [each["code"] for each in body["errors"]]
    assert inside[0]["name"] == name and body["errors"][0]["context"] == {"propertyName": [name]}


def test_a_leading_semicolon_adds_to_what_is_set(api: Api) -> None:
    """Without it the value is replaced."""
    record = live(api)[0]
    update(api, record, {"products": "voip"})
    update(api, record, {"products": ";mobile"})
    assert record.properties["products"] == "voip;mobile"
    update(api, record, {"products": "hosting"})
    assert record.properties["products"] == "hosting"


def test_a_stage_belongs_to_its_pipeline(api: Api) -> None:
    """Stages of the other pipeline are no options, unless the pipeline moves with them."""
    record = next(each for each in live(api, "tickets") if each.properties["hs_pipeline"] == "0")
    assert update(api, record, {"hs_pipeline_stage": "51120001"}).status_code == 400
    assert update(api, record, {"hs_pipeline": "51120000", "hs_pipeline_stage": "51120001"}).status_code == 200


def test_an_archived_owner_is_no_owner(api: Api) -> None:
    """Records keep the id, but nobody can be given it."""
    owners = api.site.store.owners.values()
    gone = next(each.id for each in owners if each.is_archived)
    active = next(each.id for each in owners if not each.is_archived)
    assert update(api, live(api)[0], {"hubspot_owner_id": gone}).status_code == 400
    assert update(api, live(api)[0], {"hubspot_owner_id": active}).status_code == 200


def test_a_rule_binds_every_version(api: Api) -> None:
    """Regular expressions and numbers, as admins write them."""
    rule = {"ruleType": "REGEX", "ruleArguments": ["[A-Z]{2}[0-9]+"], "shouldApplyNormalization": False}
    api.site.store.rules["companies"]["city"] = [rule]
    assert update(api, live(api)[0], {"city": "x"}).status_code == 400
    assert update(api, live(api)[0], {"city": "AB12"}).status_code == 200


def test_a_taken_value_is_a_conflict_whose_id_stands_in_the_text(api: Api) -> None:
    """409, for the e-mail address of a contact and for unique properties."""
    taken, other = live(api, "contacts")[:2]
    answer = create(api, {"email": str(taken.properties["email"]).upper()}, "contacts")
    assert answer.status_code == 409 and answer.json()["category"] == "CONFLICT"
    assert answer.json()["message"] == f"Contact already exists. Existing ID: {taken.id}"
    assert update(api, other, {"email": taken.properties["email"]}).status_code == 409
    assert update(api, taken, {"email": taken.properties["email"]}).status_code == 200
    assert create(api, {"name": "x", "client_id": live(api)[0].properties["client_id"]}).status_code == 409


def test_companies_may_share_a_domain(api: Api) -> None:
    """The API does not deduplicate them."""
    domain = live(api)[0].properties["domain"]
    assert create(api, {"name": "again", "domain": domain}).status_code == 201


def test_a_value_of_an_archived_record_is_free(api: Api) -> None:
    """The recycle bin holds nothing back."""
    record = live(api, "contacts")[0]
    assert api.send("DELETE", path(api, f"contacts/{record.id}")).status_code == 204
    assert create(api, {"email": record.properties["email"]}, "contacts").status_code == 201


def test_a_delete_archives_and_says_the_same_again(api: Api) -> None:
    """204 also for what is gone, or never was."""
    record = live(api)[0]
    for id in (record.id, record.id, "1"):
        assert api.send("DELETE", path(api, f"companies/{id}")).status_code == 204
    assert record.is_archived
    assert update(api, record, {"city": "x"}).status_code == 404


# Batches


def test_one_bad_input_without_traces_refuses_the_whole_batch(api: Api) -> None:
    """Trap 11: nothing is written."""
    inputs = [{"properties": {"name": "good"}}, {"properties": {"name": "bad", "annualrevenue": "x"}}]
    before = len(live(api))
    assert batch(api, "create", inputs).status_code == 400 and len(live(api)) == before
    half: list[dict[str, Any]] = [{**inputs[0], "objectWriteTraceId": "1"}, inputs[1]]
    assert batch(api, "create", half).status_code == 400 and len(live(api)) == before


def test_with_traces_the_good_ones_are_written(api: Api) -> None:
    """207: the outcome of each input is told by its trace."""
    inputs = [
        {"properties": {"name": "good"}, "objectWriteTraceId": "row 1"},
        {"properties": {"name": "bad", "annualrevenue": "x"}, "objectWriteTraceId": "row 2"},
        {"properties": {"name": "fine"}, "objectWriteTraceId": "row 3"},
    ]
    answer = batch(api, "create", inputs)
    body = answer.json()
    assert answer.status_code == 207 and body["numErrors"] == 1 and body["status"] == "COMPLETE"
    assert {each["objectWriteTraceId"] for each in body["results"]} == {"row 1", "row 3"}
    assert body["errors"][0]["context"]["objectWriteTraceId"] == ["row 2"]
    assert body["errors"][0]["category"] == "VALIDATION_ERROR"
    assert {"good", "fine"} <= names(api) and "bad" not in names(api)


def test_results_of_a_batch_are_in_another_order(api: Api) -> None:
    """Trap 14."""
    inputs = [{"properties": {"name": f"n{number}"}, "objectWriteTraceId": str(number)} for number in range(10)]
    answer = batch(api, "create", inputs)
    assert answer.status_code == 201
    traces = [each["objectWriteTraceId"] for each in answer.json()["results"]]
    assert sorted(traces) == [str(number) for number in range(10)] != traces


def test_traces_and_ids_must_be_unique(api: Api) -> None:
    """Trap 15: the whole batch, with or without traces."""
    id = live(api)[0].id
    twice = [{"id": id, "properties": {"city": "x"}, "objectWriteTraceId": str(number)} for number in range(2)]
    answer = batch(api, "update", twice)
    assert answer.status_code == 400 and answer.json()["context"]["ids"] == [id]
    assert batch(api, "archive", [{"id": id}, {"id": id}]).status_code == 400
    same = [{"properties": {"name": "x"}, "objectWriteTraceId": "1"}] * 2
    assert batch(api, "create", same).status_code == 400
    keys: list[dict[str, Any]] = [{"id": "K", "idProperty": "client_id", "properties": {"name": "x"}}] * 2
    assert batch(api, "upsert", keys).status_code == 400


@pytest.mark.parametrize("verb", ["create", "update", "upsert", "archive"])
def test_a_batch_takes_a_hundred(api: Api, verb: str) -> None:
    """101 are refused."""
    inputs = [{"id": str(number), "idProperty": "client_id", "properties": {"name": "x"}} for number in range(101)]
    answer = batch(api, verb, inputs)
    assert answer.status_code == 400 and "100" in answer.json()["message"]


def test_an_update_of_a_merged_id_is_passed_over_in_silence(api: Api) -> None:
    """Neither result nor error; alone, PATCH writes to the survivor and tells its id."""
    keep, lose, other = live(api)[:3]
    survivor = api.site.store.merge("companies", keep.id, lose.id)
    inputs = [
        {"id": each.id, "properties": {"city": "Moved"}, "objectWriteTraceId": each.id} for each in (lose, other)
    ]
    answer = batch(api, "update", inputs)
    assert answer.status_code == 200 and [each["id"] for each in answer.json()["results"]] == [other.id]
    assert "numErrors" not in answer.json() and survivor.properties.get("city") != "Moved"
    assert update(api, lose, {"city": "Straight"}).json()["id"] == survivor.id
    assert survivor.properties["city"] == "Straight"


def test_an_update_of_what_is_not_there_is_an_error(api: Api) -> None:
    """404 for the whole batch without traces, one of the errors with them."""
    here = live(api)[0]
    inputs = [{"id": id, "properties": {"city": "Z"}} for id in (here.id, "5")]
    assert batch(api, "update", inputs).status_code == 404 and here.properties.get("city") != "Z"
    traced = [{**each, "objectWriteTraceId": each["id"]} for each in inputs]
    answer = batch(api, "update", traced)
    assert answer.status_code == 207 and here.properties["city"] == "Z"
    assert answer.json()["errors"][0]["context"] == {"ids": ["5"], "objectWriteTraceId": ["5"]}


@pytest.mark.parametrize("name", ["hs_object_id", "email", "firstname"])
def test_an_update_takes_no_property_that_is_not_unique(api: Api, name: str) -> None:
    """Trap 16: it is left out, and record ids are sent."""
    answer = batch(api, "update", [{"id": "x", "idProperty": name, "properties": {"city": "x"}}], "contacts")
    assert answer.status_code == 400
    assert answer.json()["message"] == f"Unable to perform update/upsert by non-unique 0-1 property {name}"


def test_an_upsert_tells_what_is_new(api: Api) -> None:
    """By a unique property, which need not be sent again for a new record."""
    known = live(api)[0]
    inputs: list[dict[str, Any]] = [
        {"id": known.properties["client_id"], "idProperty": "client_id", "properties": {"city": "Old"}},
        {"id": "C-new", "idProperty": "client_id", "properties": {"name": "Brand new"}},
    ]
    for is_new in (True, False):
        found = {each["id"]: each["new"] for each in batch(api, "upsert", inputs).json()["results"]}
        assert found.pop(known.id) is False and list(found.values()) == [is_new]
    made = next(each for each in live(api) if each.properties.get("client_id") == "C-new")
    assert made.properties["name"] == "Brand new" and known.properties["city"] == "Old"


@pytest.mark.parametrize(("kind", "name", "status"), [("companies", "domain", 400), ("contacts", "email", 200)])
def test_an_upsert_needs_a_unique_property(api: Api, kind: str, name: str, status: int) -> None:
    """Trap 17: no companies by domain; contacts by e-mail."""
    inputs = [{"id": "new@new.example", "idProperty": name, "properties": {"city": "x"}}]
    assert batch(api, "upsert", inputs, kind).status_code == status
    assert batch(api, "upsert", [{"id": "x", "properties": {"city": "x"}}], kind).status_code == 400


def test_the_first_conflict_refuses_a_batch_and_with_traces_each_is_told(api: Api) -> None:
    """Two new rows with one key conflict as well."""
    taken = [str(each.properties["email"]) for each in live(api, "contacts")[:2]]
    inputs: list[dict[str, Any]] = [{"properties": {"email": email}} for email in ("new@x.example", *taken)]
    whole = batch(api, "create", inputs, "contacts")
    assert whole.status_code == 409 and live(api, "contacts")[0].id in whole.json()["message"]
    assert batch(api, "create", [inputs[0]] * 2, "contacts").status_code == 409
    traced = [{**each, "objectWriteTraceId": str(number)} for number, each in enumerate([*inputs, inputs[0]])]
    body = batch(api, "create", traced, "contacts").json()
    assert body["numErrors"] == 3 and len(body["results"]) == 1
    assert {each["category"] for each in body["errors"]} == {"CONFLICT"}


def test_a_batch_archives_and_passes_over_what_is_gone(api: Api) -> None:
    """204 without a word."""
    first, second = live(api)[:2]
    assert batch(api, "archive", [{"id": first.id}, {"id": "7"}]).status_code == 204
    assert first.is_archived and not second.is_archived
    assert batch(api, "archive", [{"id": first.id}, {"id": second.id}]).status_code == 204 and second.is_archived


# Merge and deletion for good


@pytest.mark.parametrize("kind", ["companies", "contacts", "deals", "tickets", "0-5"])
def test_a_merge_makes_a_third_record(api: Api, kind: str) -> None:
    """Trap 2: both ids are gone from list and recycle bin, and lead to the new one."""
    plural = api.site.store.kind(kind).name  # type: ignore[union-attr]  # it is there
    keep, lose = (each.id for each in live(api, plural)[:2])
    merged = merge(api, keep, lose, kind=kind).json()
    assert merged["id"] not in (keep, lose)
    assert {keep, lose} <= set(merged["properties"]["hs_merged_object_ids"].split(";"))
    for id in (keep, lose):
        assert api.ok("GET", path(api, f"{kind}/{id}"))["id"] == merged["id"]
    assert not {keep, lose} & set(api.site.store.records[plural])


def test_a_merge_can_keep_the_primary_id(api: Api) -> None:
    """Portals in HubSpot's beta do so: support both."""
    api.site.merge_mode = PRIMARY_ID
    keep, lose = (each.id for each in live(api)[:2])
    assert merge(api, keep, lose).json()["id"] == keep
    assert api.ok("GET", path(api, f"companies/{lose}"))["id"] == keep


def test_a_merge_fills_blanks_and_moves_edges(api: Api) -> None:
    """The primary's values win; associations asked for under an old id are empty."""
    keep, lose = live(api)[:2]
    store = api.site.store
    store.update("companies", keep.id, {"city": "", "name": "Keep"})
    store.update("companies", lose.id, {"city": "Lost city", "name": "Lose"})
    contact = live(api, "contacts")[0].id
    store.associate("companies", lose.id, "contacts", contact, ())
    merged = merge(api, keep.id, lose.id).json()
    assert merged["properties"]["name"] == "Keep" and merged["properties"]["city"] == "Lost city"
    assert contact in store.neighbours("companies", merged["id"], "contacts")
    assert store.neighbours("companies", lose.id, "contacts") == {}


def test_merges_that_cannot_be_are_refused(api: Api) -> None:
    """Itself, unknown, archived and merged ids, and kinds that have no merge."""
    first, second, third, fourth = (each.id for each in live(api)[:4])
    api.site.store.archive("companies", third)
    assert merge(api, first, first).status_code == 400
    assert merge(api, first, "1").status_code == 404 and merge(api, first, third).status_code == 404
    assert merge(api, first, second).status_code == 200 and merge(api, first, fourth).status_code == 400
    one, two = (each.id for each in live(api, "notes")[:2])
    assert merge(api, one, two, kind="notes").status_code == 400


def test_a_record_with_250_merges_behind_it_takes_no_more(api: Api) -> None:
    """414, which else means a long URL."""
    keep, lose = live(api)[:2]
    keep.merged_ids = [str(number) for number in range(250)]
    answer = merge(api, keep.id, lose.id)
    assert answer.status_code == 414
    assert answer.json()["message"] == "Cannot have more than 250 identities on a profile"


def test_a_contact_deleted_for_good_is_nowhere(api: Api) -> None:
    """Neither live nor archived; its address is refused from then on, known or not."""
    record = live(api, "contacts")[0]
    email = str(record.properties["email"])
    url = path(api, "contacts/gdpr-delete")
    assert api.send("POST", url, {"objectId": email, "idProperty": "email"}).status_code == 204
    assert api.send("POST", url, {"objectId": "no@body.example", "idProperty": "email"}).status_code == 204
    for archived in ("true", "false"):
        assert api.send("GET", path(api, f"contacts/{record.id}"), archived=archived).status_code == 404
    for address in (email, "no@body.example"):
        assert create(api, {"email": address}, "contacts").status_code == 400
    other = live(api, "contacts")[0].id
    assert api.send("POST", url, {"objectId": other}).status_code == 204
    assert api.send("POST", url, {"objectId": other}).status_code == 404
