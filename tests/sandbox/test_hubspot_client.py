"""HubSpot's own client for Python reads and writes the sandbox: where the two differ, one of them is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import hubspot
import pytest
from hubspot.crm.associations.v4.exceptions import ApiException as AssociationsError
from hubspot.crm.companies.exceptions import ApiException as CompaniesError
from hubspot.crm.contacts.exceptions import ApiException as ContactsError
from hubspot.crm.pipelines.exceptions import ApiException as PipelinesError
from hubspot.crm.properties.exceptions import ApiException as PropertiesError
from hubspot.crm.tickets.exceptions import ApiException as TicketsError

from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import NEW_ID, PRIMARY_ID, TOKEN, HubSpotSite
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED
from syncer.sandbox.hubspot.truth import of
from tests.sandbox.hubspot_portal import START

Client = Any  # the client has no types


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[HubSpotSite, str]]:
    site = HubSpotSite.generate(seed=2, custom=True, clock=Clock(START, is_frozen=True), index_lag_s=0)
    site.limits = None
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        yield site, sandbox.url("hubspot")
        assert sandbox.errors == []


@pytest.fixture
def site(served: tuple[HubSpotSite, str]) -> HubSpotSite:
    return served[0]


@pytest.fixture
def client(served: tuple[HubSpotSite, str]) -> Client:
    """Return a client whose models refuse an answer without what HubSpot's specification demands."""
    return hubspot.Client.create(access_token=TOKEN, host=served[1], client_side_validation=True)


@pytest.fixture
def lenient(served: tuple[HubSpotSite, str]) -> Client:
    """Return a client as it is out of the box: the errors of a 207 may lack what its models demand (`links`)."""
    return hubspot.Client.create(access_token=TOKEN, host=served[1])


def live(site: HubSpotSite, kind: str) -> list[str]:
    return [id for id, record in site.store.records[kind].items() if not record.is_archived]


def new(client: Client, name: str, **more: str) -> str:
    """Create a company; return its id."""
    return str(client.crm.companies.basic_api.create({"properties": {"name": name, **more}}).id)


@pytest.mark.parametrize("kind", ["companies", "contacts", "deals", "tickets"])
def test_the_client_lists_every_live_record(client: Client, site: HubSpotSite, kind: str) -> None:
    """Its `get_all` pages by `after`, 100 at a time."""
    found = getattr(client.crm, kind).get_all(properties=["hs_object_id"])
    assert sorted(each.id for each in found) == sorted(live(site, kind))
    truth = of(site, kind)
    assert all(each.to_dict()["created_at"] and truth[each.id,]["state"] == "live" for each in found)


def test_the_client_lists_activities_and_custom_objects(client: Client, site: HubSpotSite) -> None:
    """By the generic objects API, by name, type id or qualified name."""
    for ref, kind in (("notes", "notes"), ("0-48", "calls"), (f"p{site.store.portal_id}_machines", "machines")):
        assert sorted(each.id for each in client.crm.objects.get_all(ref)) == sorted(live(site, kind))


def test_the_client_reads_the_recycle_bin(client: Client, site: HubSpotSite) -> None:
    """Archived records come with `archived_at`, and only then."""
    id = new(client, "Bin")
    client.crm.companies.basic_api.archive(id)
    (found,) = [each for each in client.crm.companies.get_all(archived=True) if each.id == id]
    assert found.archived and found.archived_at is not None
    with pytest.raises(CompaniesError) as caught:
        client.crm.companies.basic_api.get_by_id(id)
    assert caught.value.status == 404
    assert client.crm.companies.basic_api.get_by_id(id, archived=True).id == id


def test_the_client_creates_reads_and_updates_one_record(client: Client, site: HubSpotSite) -> None:
    """Values come back as texts; a blank clears; histories and associations come along."""
    api = client.crm.companies.basic_api
    id = new(client, "Acme", numberofemployees="17")
    site.clock.advance(5)
    assert api.update(id, {"properties": {"numberofemployees": "18"}}).properties["numberofemployees"] == "18"
    contact = live(site, "contacts")[0]
    client.crm.associations.v4.basic_api.create_default("contacts", contact, "companies", id)
    found = api.get_by_id(
        id, properties=["name"], properties_with_history=["numberofemployees"], associations=["contacts"]
    )
    assert found.properties["name"] == "Acme"
    assert {each.value for each in found.properties_with_history["numberofemployees"]} == {"17", "18"}
    assert {each.id for each in found.associations["contacts"].results} == {contact}
    assert api.update(id, {"properties": {"numberofemployees": ""}}).properties["numberofemployees"] in ("", None)


def test_the_client_gets_the_refusals(client: Client) -> None:
    """400, 404 and 409 are exceptions with the body."""
    api = client.crm.contacts.basic_api
    first = api.create({"properties": {"email": "One@Example.com"}})
    assert first.properties["email"] == "one@example.com"
    with pytest.raises(ContactsError) as caught:
        api.create({"properties": {"email": "one@example.com"}})
    assert caught.value.status == 409
    assert json.loads(caught.value.body)["message"] == f"Contact already exists. Existing ID: {first.id}"
    with pytest.raises(ContactsError) as caught:
        api.update(first.id, {"properties": {"no_such_property": "1"}})
    assert caught.value.status == 400 and "PROPERTY_DOESNT_EXIST" in caught.value.body
    with pytest.raises(ContactsError) as caught:
        api.get_by_id("42")
    assert caught.value.status == 404


def test_the_client_reads_and_archives_in_batches(lenient: Client, site: HubSpotSite) -> None:
    """207 is no exception for it: another class of result, with `num_errors`."""
    api = lenient.crm.companies.batch_api
    ids = [new(lenient, f"B{number}") for number in range(3)]
    wish = {"inputs": [{"id": id} for id in ids], "properties": ["name"], "propertiesWithHistory": []}
    whole = api.read(wish)
    assert type(whole).__name__ == "BatchResponseSimplePublicObject"
    assert {each.id: each.properties["name"] for each in whole.results} == dict(
        zip(ids, ("B0", "B1", "B2"), strict=True)
    )
    assert api.archive({"inputs": [{"id": ids[0]}]}) is None
    part = api.read(wish)
    assert type(part).__name__ == "BatchResponseSimplePublicObjectWithErrors"
    assert part.num_errors == 1 and part.errors[0].context["ids"] == [ids[0]] and len(part.results) == 2


def test_the_client_creates_and_updates_in_batches(lenient: Client, site: HubSpotSite) -> None:
    """With a trace id on every input one bad input costs one input; without, the whole batch."""
    api = lenient.crm.companies.batch_api
    good = {"properties": {"name": "Good"}, "associations": [], "objectWriteTraceId": "a"}
    bad = {"properties": {"name": "Bad", "no_such_property": "1"}, "associations": [], "objectWriteTraceId": "b"}
    part = api.create({"inputs": [good, bad]})
    (made,) = part.results
    assert made.object_write_trace_id == "a" and part.errors[0].context["objectWriteTraceId"] == ["b"]
    with pytest.raises(CompaniesError) as caught:
        api.create({"inputs": [{"properties": each["properties"], "associations": []} for each in (good, bad)]})
    assert caught.value.status == 400
    done = api.update({"inputs": [{"id": made.id, "properties": {"name": "Better"}, "objectWriteTraceId": "c"}]})
    assert [each.properties["name"] for each in done.results] == ["Better"]
    with pytest.raises(CompaniesError) as caught:
        api.update({"inputs": [{"id": made.id, "properties": {"name": "X"}}] * 2})
    assert "Duplicate IDs found in batch input" in caught.value.body


def test_the_client_upserts_by_a_unique_property(client: Client, site: HubSpotSite) -> None:
    """Results say whether a record is new."""
    client.crm.properties.core_api.create(
        "companies",
        {
            "name": "client_key",
            "label": "Key",
            "type": "string",
            "fieldType": "text",
            "groupName": "companyinformation",
            "hasUniqueValue": True,
        },
    )
    api = client.crm.companies.batch_api
    wish = {"inputs": [{"id": "k-1", "idProperty": "client_key", "properties": {"name": "Keyed"}}]}
    (first,) = api.upsert(wish).results
    (second,) = api.upsert(wish).results
    assert (first.new, second.new) == (True, False) and first.id == second.id
    assert site.store.records["companies"][first.id].properties["client_key"] == "k-1"
    with pytest.raises(CompaniesError) as caught:
        api.upsert({"inputs": [{"id": "x.example", "idProperty": "domain", "properties": {"name": "N"}}]})
    assert caught.value.status == 400


def test_the_client_searches(client: Client, site: HubSpotSite) -> None:
    """Keyset by id; its model of `sorts` is wrong, and dicts pass all the same."""
    api, ids, last = client.crm.companies.search_api, [], "0"
    while True:
        page = api.do_search(
            {
                "filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "GT", "value": last}]}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": ["name"],
                "limit": 20,
            }
        )
        if not page.results:
            break
        ids += [each.id for each in page.results]
        last = ids[-1]
    assert ids == sorted(live(site, "companies"), key=int) and page.total == 0


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
def test_the_client_merges(client: Client, site: HubSpotSite, mode: str) -> None:
    """The answer's id is the one to go on with; the old ids lead to it."""
    site.merge_mode = mode
    kept, lost = new(client, "Kept"), new(client, "Lost", phone="+31501")
    api = client.crm.companies.basic_api
    merged = api.merge({"primaryObjectId": kept, "objectIdToMerge": lost})
    assert (merged.id == kept) == (mode == PRIMARY_ID) and merged.id != lost
    for old in (kept, lost):
        found = api.get_by_id(old, properties=["name", "phone", "hs_merged_object_ids"])
        assert found.id == merged.id and found.properties["name"] == "Kept" and found.properties["phone"] == "+31501"
        assert lost in found.properties["hs_merged_object_ids"].split(";")
    assert {lost, kept} - {merged.id} & {each.id for each in client.crm.companies.get_all()} == set()
    site.merge_mode = NEW_ID


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
@pytest.mark.parametrize("kind", ["companies", "contacts", "deals", "tickets"])
def test_the_client_merges_each_kind_that_has_merges(client: Client, site: HubSpotSite, kind: str, mode: str) -> None:
    """Twice, into the running survivor; every old id leads to the last one, and its edges are that one's."""
    site.merge_mode = mode
    ids = live(site, kind)[:3]
    note = client.crm.objects.basic_api.create("notes", {"properties": {"hs_timestamp": "2026-03-02T09:00:00Z"}}).id
    client.crm.associations.v4.basic_api.create_default("notes", note, kind, ids[2])
    api = getattr(client.crm, kind).basic_api
    survivor = ids[0]
    for lost in ids[1:]:
        survivor = api.merge(public_merge_input={"primaryObjectId": survivor, "objectIdToMerge": lost}).id
    found = [api.get_by_id(id, properties=["hs_merged_object_ids"], associations=["notes"]) for id in ids]
    assert {each.id for each in found} == {survivor} and (survivor == ids[0]) == (mode == PRIMARY_ID)
    assert set(ids) - {survivor} <= set(found[0].properties["hs_merged_object_ids"].split(";"))
    assert note in {each.id for each in found[0].associations["notes"].results}
    site.merge_mode = NEW_ID


def test_the_client_meets_a_merge_that_takes_place_late(client: Client, site: HubSpotSite) -> None:
    """It raises; the merge is done all the same, and what it may do meanwhile is wait."""
    kept, lost = live(site, "tickets")[:2]
    api = client.crm.tickets.basic_api
    site.merge_late_s, site.merge_late_status = 30.0, 504
    statuses = []
    for _ in range(2):
        with pytest.raises(TicketsError) as caught:
            api.merge({"primaryObjectId": kept, "objectIdToMerge": lost})
        statuses.append(caught.value.status)
    site.merge_late_s, site.merge_late_status = 0.0, 0
    assert statuses == [504, 423] and api.get_by_id(lost).id == lost
    site.clock.advance(31)
    assert api.get_by_id(lost).id == api.get_by_id(kept).id != lost


def test_the_client_deletes_a_contact_for_good(client: Client, site: HubSpotSite) -> None:
    """It is nowhere then, not even in the recycle bin."""
    api = client.crm.contacts.basic_api
    by_id = api.create({"properties": {"email": "gone@example.com"}}).id
    by_email = api.create({"properties": {"email": "gone-too@example.com"}}).id
    api.purge({"objectId": by_id})
    api.purge({"objectId": "gone-too@example.com", "idProperty": "email"})
    everywhere = {each.id for archived in (False, True) for each in client.crm.contacts.get_all(archived=archived)}
    assert not {by_id, by_email} & everywhere and {by_id, by_email} <= site.store.purged["contacts"]


# Associations


def spec(type_id: int, category: str = HUBSPOT_DEFINED) -> dict[str, Any]:
    return {"associationCategory": category, "associationTypeId": type_id}


def test_the_client_reads_associations_page_by_page(client: Client, site: HubSpotSite) -> None:
    """One record by `limit` and `after`, many by each record's own `after`."""
    company, contacts = new(client, "Hub"), live(site, "contacts")[:7]
    api = client.crm.associations.v4
    for contact in contacts:
        api.basic_api.create_default("companies", company, "contacts", contact)
    first = api.basic_api.get_page("companies", company, "contacts", limit=5)
    second = api.basic_api.get_page("companies", company, "contacts", limit=5, after=first.paging.next.after)
    ids = [each.to_object_id for each in first.results + second.results]
    assert sorted(ids) == sorted(contacts) and second.paging is None
    site.store.edge_page, found, after = 3, [], None
    while True:
        wish = {"id": company} | ({"after": after} if after else {})
        (result,) = api.batch_api.get_page("companies", "contacts", {"inputs": [wish]}).results
        found += [each.to_object_id for each in result.to]
        if result.paging is None:
            break
        after = result.paging.next.after
    site.store.edge_page = 500
    assert sorted(found) == sorted(contacts)


def test_the_client_labels_and_unlabels_pairs(client: Client, site: HubSpotSite) -> None:
    """Its models take what the sandbox says after each step."""
    label = site.store.add_label("contacts", "companies", "Signs for")
    contact, company = live(site, "contacts")[3], new(client, "Signed")
    api = client.crm.associations.v4
    made = api.basic_api.create(
        "contacts", contact, "companies", company, [spec(931), spec(label.type_id, USER_DEFINED)]
    )
    assert set(made.labels) >= {"Billing contact", "Signs for"} and made.to_object_id == company
    pair = {"from": {"id": contact}, "to": {"id": company}}
    api.batch_api.archive_labels("contacts", "companies", {"inputs": [pair | {"types": [spec(931)]}]})
    (result,) = api.batch_api.get_page("contacts", "companies", {"inputs": [{"id": contact}]}).results
    (found,) = [each for each in result.to if each.to_object_id == company]
    assert {each.label for each in found.association_types} >= {"Signs for", None}
    assert "Billing contact" not in {each.label for each in found.association_types}
    definitions = api.schema.definitions_api.get_all("contacts", "companies").results
    assert ("Signs for", label.type_id, USER_DEFINED) in [
        (each.label, each.type_id, each.category) for each in definitions
    ]


def test_the_client_associates_and_disassociates_in_batches(lenient: Client, site: HubSpotSite) -> None:
    """Bad pairs come as errors beside the good ones."""
    contacts, company = live(site, "contacts")[10:12], new(lenient, "Batch")
    api = lenient.crm.associations.v4.batch_api
    pairs = [{"from": {"id": id}, "to": {"id": company}} for id in (*contacts, "42")]
    part = api.create("contacts", "companies", {"inputs": [pair | {"types": [spec(279)]} for pair in pairs]})
    assert len(part.results) == 2 and part.num_errors == 1 and part.errors[0].context["fromObjectId"] == ["42"]
    default = api.create_default("contacts", "companies", {"inputs": pairs[:2]})
    assert {each.association_spec.association_type_id for each in default.results} == {279, 280}
    api.archive("contacts", "companies", {"inputs": [{"from": {"id": contacts[0]}, "to": [{"id": company}]}]})
    lenient.crm.associations.v4.basic_api.archive("contacts", contacts[1], "companies", company)
    assert site.store.neighbours("companies", company, "contacts") == {}
    with pytest.raises(AssociationsError) as caught:
        lenient.crm.associations.v4.basic_api.create("contacts", contacts[0], "companies", "42", [spec(279)])
    assert caught.value.status == 404


# Properties, pipelines, owners


def test_the_client_reads_all_definitions(client: Client, site: HubSpotSite) -> None:
    """Its model refuses a definition that lacks what it must have."""
    for kind in site.store.kinds:
        found = client.crm.properties.core_api.get_all(kind).results
        truth = {
            name for (one, name), each in of(site, "properties").items() if one == kind and each["state"] == "live"
        }
        assert {each.name for each in found} == truth
        assert all(each.modification_metadata is not None and each.updated_at for each in found)


def test_the_client_makes_changes_and_archives_definitions(lenient: Client) -> None:
    """Groups first, then properties, one by one and in batches."""
    groups, core, batch = (getattr(lenient.crm.properties, name) for name in ("groups_api", "core_api", "batch_api"))
    assert groups.create("deals", {"name": "lines", "label": "Lines", "displayOrder": 3}).name == "lines"
    assert "lines" in [each.name for each in groups.get_all("deals").results]
    assert groups.update("deals", "lines", {"label": "All lines"}).label == "All lines"
    wish = {"name": "line_count", "label": "Count", "type": "number", "fieldType": "number", "groupName": "lines"}
    assert core.create("deals", wish).type == "number"
    with pytest.raises(PropertiesError) as caught:
        core.create("deals", wish)
    assert caught.value.status == 409
    assert core.update("deals", "line_count", {"label": "Lines"}).label == "Lines"
    made = batch.create("deals", {"inputs": [wish | {"name": "line_speed"}]})
    assert [each.name for each in made.results] == ["line_speed"]
    read = batch.read("deals", {"archived": False, "inputs": [{"name": "line_speed"}, {"name": "nothing"}]})
    assert read.num_errors == 1 and [each.name for each in read.results] == ["line_speed"]
    batch.archive("deals", {"inputs": [{"name": "line_speed"}]})
    core.archive("deals", "line_count")
    archived = core.get_all("deals", archived=True).results
    assert {"line_speed", "line_count"} <= {each.name for each in archived if each.archived_at}
    groups.archive("deals", "lines")


def test_the_client_reads_and_writes_pipelines(client: Client, site: HubSpotSite) -> None:
    """Stages have their metadata; an archived pipeline is not there any more."""
    pipelines, stages = client.crm.pipelines.pipelines_api, client.crm.pipelines.pipeline_stages_api
    for kind in ("deals", "tickets"):
        found = {(kind, each.id): [stage.id for stage in each.stages] for each in pipelines.get_all(kind).results}
        assert set(found) == {key for key in of(site, "pipelines") if key[0] == kind}
    first = {"label": "In", "displayOrder": 0, "metadata": {"probability": "0.1"}}
    made = pipelines.create("deals", {"label": "Client's", "displayOrder": 9, "stages": [first]})
    stage = stages.create("deals", made.id, {"label": "Out", "displayOrder": 1, "metadata": {"probability": "1.0"}})
    assert stages.update("deals", made.id, stage.id, {"label": "Over"}).label == "Over"
    assert [each.label for each in stages.get_all("deals", made.id).results] == ["In", "Over"]
    audit = client.crm.pipelines.pipeline_audits_api.get_audit("deals", made.id).results
    assert [each.action for each in audit] == ["CREATE"] and audit[0].portal_id == site.store.portal_id
    stages.archive("deals", made.id, stage.id)
    pipelines.archive("deals", made.id)
    with pytest.raises(PipelinesError) as caught:
        pipelines.get_by_id("deals", made.id)
    assert caught.value.status == 404


def test_the_client_reads_owners(client: Client, site: HubSpotSite) -> None:
    """Active ones and those who left; by the owner's number and by the user's."""
    api = client.crm.owners.owners_api
    found = {each.id: each for archived in (False, True) for each in client.crm.owners.get_all(archived=archived)}
    assert {(id,) for id in found} == set(of(site, "owners"))
    person = next(each for each in found.values() if each.user_id is not None)
    assert api.get_by_id(int(person.user_id), id_property="userId").id == person.id
    (by_email,) = api.get_page(email=person.email).results
    assert by_email.id == person.id


def test_the_client_asks_whose_account_it_is(client: Client, served: tuple[HubSpotSite, str]) -> None:
    """It has no module for that; its way out is a request of one's own, which does not follow `host`."""
    site, url = served
    answer = client.api_request({"method": "GET", "path": "/account-info/v3/details", "base_url": url})
    assert answer.status_code == 200 and answer.json()["portalId"] == site.store.portal_id
