"""The HubSpot site's associations, over both families of paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED
from syncer.sandbox.hubspot.store import AS_ERRORS
from tests.sandbox.hubspot_portal import FAMILIES, Api, hand_made, running, some


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    with running(hand_made()) as api:
        yield api


@pytest.fixture(params=FAMILIES)
def api(request: pytest.FixtureRequest, served: Api) -> Api:
    """One family after the other; each test makes records of its own."""
    store = served.site.store
    store.edge_page, store.no_edges, store.edge_caps = 500, "left out", {}
    served.site.limits = None
    return served.by(request.param)


def read(api: Api, start: str, end: str, *ids: str) -> dict[str, Any]:
    """Read a batch; return its results by the record they are of."""
    path = api.path("associations", f"/{start}/{end}/batch/read")
    answer = api.ok("POST", path, {"inputs": [{"id": id} for id in ids]})
    return {each["from"]["id"]: each for each in answer["results"]}


def types(result: dict[str, Any], other: str) -> set[tuple[str, int]]:
    """Return the types by which a result is linked with *other*."""
    found = [each for each in result["to"] if str(each["toObjectId"]) == other]
    return {(one["category"], one["typeId"]) for each in found for one in each["associationTypes"]}


def create(api: Api, start: str, end: str, *inputs: dict[str, Any]) -> Any:
    path = api.path("associations", f"/{start}/{end}/batch/create")
    return api.send("POST", path, {"inputs": list(inputs)})


def link(one: str, other: str, *specs: tuple[str, int]) -> dict[str, Any]:
    shown = [{"associationCategory": category, "associationTypeId": id} for category, id in specs]
    return {"from": {"id": one}, "to": {"id": other}, "types": shown}


def test_ids_are_numbers_in_v4_and_texts_in_the_dated_family(api: Api) -> None:
    """A client that compares them unconverted finds no record."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    api.site.store.associate("contacts", contact.id, "companies", company.id, ())
    (found,) = read(api, "contacts", "companies", contact.id)[contact.id]["to"]
    assert found["toObjectId"] == (int(company.id) if api.family == "v3" else company.id)
    assert found["associationTypes"] == [
        {"category": HUBSPOT_DEFINED, "typeId": 1, "label": "Primary"},
        {"category": HUBSPOT_DEFINED, "typeId": 279, "label": None},
    ]


def test_a_record_with_many_neighbours_is_paged_by_itself(api: Api) -> None:
    """Each record of a batch has its own `after`; who ignores it loses neighbours without a word."""
    api.site.store.edge_page = 3
    (company, small), contacts = some(api.site, "companies", 2), some(api.site, "contacts", 8)
    for contact in contacts:
        api.site.store.associate("companies", company.id, "contacts", contact.id, ())
    api.site.store.associate("companies", small.id, "contacts", contacts[0].id, ())
    path = api.path("associations", "/companies/contacts/batch/read")
    found, wanted, rounds = [], [{"id": company.id}, {"id": small.id}], 0
    while wanted:
        results = api.ok("POST", path, {"inputs": wanted})["results"]
        found += [(each["from"]["id"], str(to["toObjectId"])) for each in results for to in each["to"]]
        wanted = [{"id": each["from"]["id"], **_after(each)} for each in results if "paging" in each]
        rounds += 1
    assert rounds == 3 and len(found) == len(set(found)) == 9
    assert {other for one, other in found if one == company.id} == {each.id for each in contacts}


def _after(result: dict[str, Any]) -> dict[str, str]:
    return {"after": result["paging"]["next"]["after"]}


def test_a_page_token_goes_on_where_it_was_though_edges_come_and_go(api: Api) -> None:
    """What is linked all the while comes exactly once."""
    api.site.store.edge_page = 3
    (company,), contacts = some(api.site, "companies"), some(api.site, "contacts", 7)
    for contact in contacts:
        api.site.store.associate("companies", company.id, "contacts", contact.id, ())
    path = api.path("associations", "/companies/contacts/batch/read")
    (first,) = api.ok("POST", path, {"inputs": [{"id": company.id}]})["results"]
    seen = [str(each["toObjectId"]) for each in first["to"]]
    api.site.store.disassociate("companies", company.id, "contacts", seen[0])
    (second,) = api.ok("POST", path, {"inputs": [{"id": company.id, **_after(first)}]})["results"]
    seen += [str(each["toObjectId"]) for each in second["to"]]
    assert len(set(seen)) == 6 and seen == sorted(seen, key=int)
    assert api.send("POST", path, {"inputs": [{"id": company.id, "after": "?"}]}).status_code == 400


def test_records_without_associations_are_left_out_or_told_as_errors(api: Api) -> None:
    """The documentation leaves open which; a client must take both."""
    lone, linked = some(api.site, "contacts", 2)
    (company,) = some(api.site, "companies")
    api.site.store.associate("contacts", linked.id, "companies", company.id, ())
    assert set(read(api, "contacts", "companies", lone.id, linked.id, "42")) == {linked.id}
    api.site.store.no_edges = AS_ERRORS
    path = api.path("associations", "/contacts/companies/batch/read")
    answer = api.send("POST", path, {"inputs": [{"id": lone.id}, {"id": linked.id}]})
    assert answer.status_code == 207 and answer.json()["numErrors"] == 1
    (error,) = answer.json()["errors"]
    assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert error["context"]["fromObjectId"] == [lone.id]


def test_a_batch_read_takes_1000_and_no_more(api: Api) -> None:
    """So it is since 2025; before, it silently took more."""
    path = api.path("associations", "/contacts/companies/batch/read")
    assert api.ok("POST", path, {"inputs": [{"id": str(n)} for n in range(1, 1001)]})["results"] == []
    answer = api.send("POST", path, {"inputs": [{"id": str(n)} for n in range(1, 1002)]})
    assert answer.status_code == 400 and answer.json()["category"] == "VALIDATION_ERROR"
    assert api.send("POST", path, {"inputs": []}).status_code == 400


@pytest.mark.parametrize("mode", ["new", "primary"])
def test_a_merged_away_id_has_no_associations(api: Api, mode: str) -> None:
    """They are behind the survivor's id; by the old one nothing comes, and nothing is an answer too."""
    api.site.merge_mode = mode
    (kept, lost), companies = some(api.site, "contacts", 2), some(api.site, "companies", 2)
    for contact, company in zip((kept, lost), companies, strict=True):
        api.site.store.associate("contacts", contact.id, "companies", company.id, ())
    survivor = api.site.store.merge("contacts", kept.id, lost.id)
    found = read(api, "contacts", "companies", kept.id, lost.id, survivor.id)
    assert set(found) == {survivor.id} and len(found[survivor.id]["to"]) == 2
    primary = [other.id for other in companies if (HUBSPOT_DEFINED, 1) in types(found[survivor.id], other.id)]
    assert primary == [companies[0].id], "the second one's primary company is primary no more"
    assert api.by("v3").ok("GET", api.by("v3").pair_path("contacts", lost.id, "companies"))["results"] == []


def test_archived_records_are_not_seen_from_either_side(api: Api) -> None:
    """After a restore the edges are there again."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    store = api.site.store
    store.associate("contacts", contact.id, "companies", company.id, ())
    for kind, id in (("contacts", contact.id), ("companies", company.id)):
        store.archive(kind, id)
        assert read(api, "contacts", "companies", contact.id) == {}
        assert read(api, "companies", "contacts", company.id) == {}
        store.restore(kind, id)
    assert set(read(api, "contacts", "companies", contact.id)) == {contact.id}


def test_one_record_is_listed_in_pages_of_500_by_v4_only(served: Api) -> None:
    """The dated family has no such GET."""
    (company,), contacts = some(served.site, "companies"), some(served.site, "contacts", 5)
    for contact in contacts:
        served.site.store.associate("companies", company.id, "contacts", contact.id, ())
    path = served.pair_path("companies", company.id, "contacts")
    first = served.ok("GET", path, limit=3)
    second = served.ok("GET", path, limit=3, after=first["paging"]["next"]["after"])
    assert [len(page["results"]) for page in (first, second)] == [3, 2] and "paging" not in second
    assert served.session.get(first["paging"]["next"]["link"], timeout=30).json() == second
    assert served.send("GET", path, limit=501).status_code == 400
    assert served.send("GET", served.pair_path("companies", "42", "contacts")).status_code == 404
    dated = served.by("2026-09")
    assert dated.send("GET", dated.pair_path("companies", company.id, "contacts")).status_code in (404, 405)


def test_a_create_replaces_the_labels_of_its_pair(api: Api) -> None:
    """To add a label one sends the old ones as well; the unlabelled type comes along by itself."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    label = api.site.store.add_label("contacts", "companies", "Signs")
    billing, own = (HUBSPOT_DEFINED, 931), (USER_DEFINED, label.type_id)
    answer = create(api, "contacts", "companies", link(contact.id, company.id, billing))
    assert answer.status_code == (201 if api.family == "v3" else 200)
    create(api, "contacts", "companies", link(contact.id, company.id, own))
    found = types(read(api, "contacts", "companies", contact.id)[contact.id], company.id)
    assert own in found and (HUBSPOT_DEFINED, 279) in found and billing not in found
    back = types(read(api, "companies", "contacts", company.id)[company.id], contact.id)
    assert (USER_DEFINED, label.inverse) in back and (HUBSPOT_DEFINED, 280) in back


def test_a_create_tells_the_pair_with_its_labels(api: Api) -> None:
    """The ids have the family's type here too."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    (found,) = create(api, "contacts", "companies", link(contact.id, company.id, (HUBSPOT_DEFINED, 1))).json()[
        "results"
    ]
    assert found["labels"] == ["Primary"] and found["fromObjectTypeId"] == "0-1"
    assert found["toObjectId"] == (int(company.id) if api.family == "v3" else company.id)


def test_one_bad_input_costs_one_input(api: Api) -> None:
    """An id that is not there, an archived one, a type of another pair of kinds, a record with itself: 207."""
    contacts, (company,) = some(api.site, "contacts", 4), some(api.site, "companies")
    api.site.store.archive("contacts", contacts[1].id)
    good = (HUBSPOT_DEFINED, 279)
    answer = create(
        api,
        "contacts",
        "companies",
        link(contacts[0].id, company.id, good),
        link(contacts[1].id, company.id, good),
        link(contacts[2].id, "42", good),
        link(contacts[3].id, company.id, (HUBSPOT_DEFINED, 280)),
    )
    body = answer.json()
    assert answer.status_code == 207 and body["numErrors"] == 3 and len(body["results"]) == 1
    assert [each["context"]["fromObjectId"] for each in body["errors"]] == [[each.id] for each in contacts[1:]]
    assert [each["category"] for each in body["errors"]] == ["OBJECT_NOT_FOUND"] * 2 + ["VALIDATION_ERROR"]
    assert set(read(api, "companies", "contacts", company.id)) == {company.id}
    itself = create(api, "contacts", "contacts", link(contacts[0].id, contacts[0].id, (HUBSPOT_DEFINED, 449)))
    assert itself.status_code == 207


def test_a_create_without_types_or_with_an_unknown_category_is_refused_whole(api: Api) -> None:
    """Nothing of it is written."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    good = link(contact.id, company.id, (HUBSPOT_DEFINED, 279))
    for bad in (link(contact.id, company.id), link(contact.id, company.id, ("MINE", 1)), {"from": {"id": contact.id}}):
        assert create(api, "contacts", "companies", good, bad).status_code == 400
    assert read(api, "contacts", "companies", contact.id) == {}
    assert create(api, "contacts", "companies", *[good] * 2001).status_code == 400
    assert create(api, "contacts", "companies", *[good] * 2000).status_code == (201 if api.family == "v3" else 200)


def test_the_same_number_means_two_types_in_two_categories(api: Api) -> None:
    """An id is unique only inside its category."""
    (contact,), (first, second) = some(api.site, "contacts"), some(api.site, "companies", 2)
    label = api.site.store.add_label("contacts", "companies", "Own")
    api.site.store.associate("contacts", contact.id, "companies", first.id, ())
    if api.site.store.label_of("contacts", "companies", (HUBSPOT_DEFINED, label.type_id)) is None:
        wrong = create(api, "contacts", "companies", link(contact.id, second.id, (HUBSPOT_DEFINED, label.type_id)))
        assert wrong.status_code == 207
    create(api, "contacts", "companies", link(contact.id, second.id, (USER_DEFINED, label.type_id)))
    found = types(read(api, "contacts", "companies", contact.id)[contact.id], second.id)
    assert found == {(USER_DEFINED, label.type_id), (HUBSPOT_DEFINED, 279)}


def test_the_first_company_becomes_primary_and_a_new_primary_one_takes_its_place(api: Api) -> None:
    """There is at most one; the old one stays, without the label."""
    (ticket,), (first, second) = some(api.site, "tickets"), some(api.site, "companies", 2)
    create(api, "tickets", "companies", link(ticket.id, first.id, (HUBSPOT_DEFINED, 339)))
    assert types(read(api, "tickets", "companies", ticket.id)[ticket.id], first.id) == {
        (HUBSPOT_DEFINED, 26),
        (HUBSPOT_DEFINED, 339),
    }
    create(api, "tickets", "companies", link(ticket.id, second.id, (HUBSPOT_DEFINED, 26)))
    found = read(api, "tickets", "companies", ticket.id)[ticket.id]
    assert types(found, first.id) == {(HUBSPOT_DEFINED, 339)}
    assert types(found, second.id) == {(HUBSPOT_DEFINED, 26), (HUBSPOT_DEFINED, 339)}
    back = read(api, "companies", "tickets", first.id, second.id)
    assert types(back[first.id], ticket.id) == {(HUBSPOT_DEFINED, 340)}
    assert types(back[second.id], ticket.id) == {(HUBSPOT_DEFINED, 25), (HUBSPOT_DEFINED, 340)}


def test_associating_by_default_keeps_the_labels(api: Api) -> None:
    """It is idempotent, one pair at a time or many."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    create(api, "contacts", "companies", link(contact.id, company.id, (HUBSPOT_DEFINED, 931)))
    before = api.site.store.specs("contacts", contact.id, "companies", company.id)
    batch = api.path("associations", "/contacts/companies/batch/associate/default")
    answer = api.ok("POST", batch, {"inputs": [{"from": {"id": contact.id}, "to": {"id": company.id}}]})
    specs = [each["associationSpec"]["associationTypeId"] for each in answer["results"]]
    assert specs == [279, 280]
    api.ok("PUT", api.pair_path("contacts", contact.id, f"default/companies/{company.id}"))
    assert api.site.store.specs("contacts", contact.id, "companies", company.id) == before
    bad = api.send("POST", batch, {"inputs": [{"from": {"id": contact.id}, "to": {"id": "42"}}]})
    assert bad.status_code == 207 and bad.json()["results"] == []
    assert api.send("PUT", api.pair_path("contacts", contact.id, "default/companies/42")).status_code == 404


def test_a_pair_is_labelled_by_put_with_an_array_and_taken_away_by_delete(api: Api) -> None:
    """PUT says 201; DELETE says 204 whatever was there."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    path = api.pair_path("contacts", contact.id, f"companies/{company.id}")
    spec = {"associationCategory": HUBSPOT_DEFINED, "associationTypeId": 931}
    answer = api.send("PUT", path, [spec])
    assert answer.status_code == 201 and answer.json()["labels"] == ["Primary", "Billing contact"]
    assert api.send("PUT", path, {"types": [spec]}).status_code == 400
    assert api.send("PUT", path, []).status_code == 400
    assert api.send("PUT", path, [spec | {"associationTypeId": 280}]).status_code == 400
    assert [api.send("DELETE", path).status_code for _ in range(2)] == [204, 204]
    assert read(api, "contacts", "companies", contact.id) == {}


def test_pairs_are_archived_in_batches_of_100_records(api: Api) -> None:
    """204 without a body in v4, 200 in the dated family; what is not there costs nothing."""
    (contact,), companies = some(api.site, "contacts"), some(api.site, "companies", 3)
    for company in companies:
        api.site.store.associate("contacts", contact.id, "companies", company.id, ())
    path = api.path("associations", "/contacts/companies/batch/archive")
    body = {
        "inputs": [{"from": {"id": contact.id}, "to": [{"id": each.id} for each in companies[:2]] + [{"id": "42"}]}]
    }
    assert [api.send("POST", path, body).status_code for _ in range(2)] == [204 if api.family == "v3" else 200] * 2
    (left,) = read(api, "contacts", "companies", contact.id)[contact.id]["to"]
    assert str(left["toObjectId"]) == companies[2].id
    assert api.send("POST", path, {"inputs": body["inputs"] * 101}).status_code == 400
    assert api.send("POST", path, {"inputs": [{"from": {"id": contact.id}}]}).status_code == 400


def test_after_the_primary_company_is_removed_no_other_becomes_primary(api: Api) -> None:
    """The documentation does not say which would; a client must not count on any."""
    (deal,), (first, second) = some(api.site, "deals"), some(api.site, "companies", 2)
    for company in (first, second):
        create(api, "deals", "companies", link(deal.id, company.id, (HUBSPOT_DEFINED, 341)))
    api.ok("DELETE", api.pair_path("deals", deal.id, f"companies/{first.id}"))
    assert types(read(api, "deals", "companies", deal.id)[deal.id], second.id) == {(HUBSPOT_DEFINED, 341)}


def test_archiving_labels_keeps_the_pair_unless_it_is_the_unlabelled_one(api: Api) -> None:
    """With the unlabelled type everything goes."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    create(api, "contacts", "companies", link(contact.id, company.id, (HUBSPOT_DEFINED, 931), (HUBSPOT_DEFINED, 1)))
    path = api.path("associations", "/contacts/companies/batch/labels/archive")
    api.ok("POST", path, {"inputs": [link(contact.id, company.id, (HUBSPOT_DEFINED, 931))]})
    found = types(read(api, "contacts", "companies", contact.id)[contact.id], company.id)
    assert found == {(HUBSPOT_DEFINED, 1), (HUBSPOT_DEFINED, 279)}
    api.ok("POST", path, {"inputs": [link(contact.id, company.id, (HUBSPOT_DEFINED, 279))]})
    assert read(api, "contacts", "companies", contact.id) == {}


def test_only_a_new_primary_company_moves_a_modified_date(api: Api) -> None:
    """It stands in a property of the contact, deal or ticket; other associations are missed by a pull by date."""
    (deal,), (contact,), (company,) = (some(api.site, kind) for kind in ("deals", "contacts", "companies"))
    before = (deal.updated_ms, contact.updated_ms, company.updated_ms)
    api.site.clock.advance(60)
    create(api, "deals", "contacts", link(deal.id, contact.id, (HUBSPOT_DEFINED, 3)))
    assert (deal.updated_ms, contact.updated_ms) == before[:2]
    create(api, "deals", "companies", link(deal.id, company.id, (HUBSPOT_DEFINED, 341)))
    assert deal.updated_ms > before[0] and company.updated_ms == before[2]
    assert deal.properties["hs_primary_associated_company"] == company.id
    api.site.clock.advance(60)
    api.ok("DELETE", api.pair_path("deals", deal.id, f"companies/{company.id}"))
    assert not deal.properties["hs_primary_associated_company"]


def test_labels_are_listed_by_all_spellings_of_the_path(served: Api) -> None:
    """The dated family names the kinds as well; each direction has type ids of its own."""
    label = served.site.store.add_label("contacts", "deals", "Decides")
    there = served.ok("GET", "/crm/v4/associations/contacts/deals/labels")["results"]
    assert there == served.ok("GET", "/crm/associations/v4/0-1/0-3/labels")["results"]
    dated = served.ok("GET", "/crm/associations/2026-09/contacts/deals/labels")["results"]
    assert dated == [each | {"fromObjectTypeId": "0-1", "toObjectTypeId": "0-3"} for each in there]
    assert {"category": USER_DEFINED, "typeId": label.type_id, "label": "Decides"} in there
    back = served.ok("GET", "/crm/v4/associations/deals/contacts/labels")["results"]
    assert {"category": USER_DEFINED, "typeId": label.inverse, "label": "Decides"} in back


def test_both_ends_need_their_scopes(api: Api) -> None:
    """Reading needs both reads, writing both writes."""
    (contact,), (company,) = some(api.site, "contacts"), some(api.site, "companies")
    one = api.limited("crm.objects.contacts.read", "crm.objects.contacts.write")
    path = api.path("associations", "/contacts/companies/batch/read")
    answer = one.send("POST", path, {"inputs": [{"id": contact.id}]})
    assert answer.status_code == 403 and answer.json()["category"] == "MISSING_SCOPES"
    reader = api.limited("crm.objects.contacts.read", "crm.objects.companies.read")
    assert read(reader, "contacts", "companies", contact.id) == {}
    assert (
        create(reader, "contacts", "companies", link(contact.id, company.id, (HUBSPOT_DEFINED, 279))).status_code
        == 403
    )


def test_kinds_that_have_no_types_cannot_be_associated(api: Api) -> None:
    """A custom object is linked with what it was set up for."""
    (cable,), (company,) = some(api.site, "cables"), some(api.site, "companies")
    default = api.site.store.default_spec("cables", "companies")
    assert default is not None
    create(api, "cables", "companies", link(cable.id, company.id, default))
    assert set(read(api, "p62515_cables", "2-100", cable.id)) == set()
    assert set(read(api, "p62515_cables", "0-2", cable.id)) == {cable.id}
    path = api.path("associations", "/cables/deals/batch/read")
    assert api.send("POST", path, {"inputs": [{"id": cable.id}]}).status_code == 400


def test_a_record_takes_so_many_neighbours_and_no_more(api: Api) -> None:
    """The limit is told by the limits endpoint, and an admin may set it lower."""
    (company,), contacts = some(api.site, "companies"), some(api.site, "contacts", 3)
    api.site.store.edge_caps["companies", "contacts"] = 2
    answers = [
        create(api, "companies", "contacts", link(company.id, each.id, (HUBSPOT_DEFINED, 280))) for each in contacts
    ]
    assert [answer.status_code for answer in answers] == [201 if api.family == "v3" else 200] * 2 + [207]
    again = create(api, "companies", "contacts", link(company.id, contacts[0].id, (HUBSPOT_DEFINED, 280)))
    assert again.json().get("numErrors") is None
    told = api.ok("GET", api.path("limits", "/associations/records/0-2/0-1"))["results"]
    assert {each["limit"] for each in told} == {2} and told[0]["typeId"] == 280
    set_by_admin = api.path("associations", "/definitions/configurations/companies/contacts")
    told = api.ok("GET", set_by_admin)["results"]
    assert {each["userEnforcedMaxToObjectIds"] for each in told} == {2}
    api.site.store.edge_caps.clear()
    assert api.ok("GET", set_by_admin)["results"] == []


def test_what_an_admin_closed_to_users_binds_the_dated_family_only(api: Api) -> None:
    """A write that passed by v4 fails by 2026-09."""
    (deal,), (contact,) = some(api.site, "deals"), some(api.site, "contacts")
    api.site.store.closed_edges = {("contacts", "deals")}
    answer = create(api, "deals", "contacts", link(deal.id, contact.id, (HUBSPOT_DEFINED, 3)))
    api.site.store.closed_edges = set()
    assert answer.status_code == (201 if api.family == "v3" else 400)
    assert (contact.id in api.site.store.neighbours("deals", deal.id, "contacts")) == (api.family == "v3")
