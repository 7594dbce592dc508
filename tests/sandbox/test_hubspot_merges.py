"""The HubSpot site's merges: what they leave, what follows late, and those that take place after their answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from syncer.sandbox import Clock, Fault, Sandbox
from syncer.sandbox.hubspot import NEW_ID, PRIMARY_ID, TOKEN, HubSpotSite
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED, Definition
from tests.sandbox.hubspot_portal import FAMILIES, Api, hand_made, running, some

PRIMARY_COMPANY = (HUBSPOT_DEFINED, 26)


@pytest.fixture(params=FAMILIES)
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    site = hand_made()
    site.limits = None
    for name in ("content", "hs_merged_object_ids"):
        site.store.define("tickets", Definition(name=name, label=name))
    with running(site) as running_api:
        yield running_api.by(request.param)


@pytest.fixture(params=[NEW_ID, PRIMARY_ID])
def mode(request: pytest.FixtureRequest, api: Api) -> str:
    api.site.merge_mode = request.param
    return str(request.param)


def merge(api: Api, keep: str, lose: str, kind: str = "tickets") -> requests.Response:
    body = {"primaryObjectId": keep, "objectIdToMerge": lose}
    return api.send("POST", api.path("objects", f"/{kind}/merge"), body)


def merged(api: Api, keep: str, lose: str, kind: str = "tickets") -> str:
    """Merge; return the survivor's id."""
    answer = merge(api, keep, lose, kind)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def get(api: Api, id: str, kind: str = "tickets", **params: Any) -> requests.Response:
    return api.send("GET", api.path("objects", f"/{kind}/{id}"), **params)


def shown_id(api: Api, id: str, kind: str = "tickets") -> str:
    return str(get(api, id, kind).json()["id"])


def neighbours(
    api: Api, id: str, *, start: str = "tickets", end: str = "companies"
) -> dict[str, set[tuple[str, int]]]:
    """Read a record's neighbours in a batch: the types of each, by id."""
    body = {"inputs": [{"id": id}]}
    results = api.ok("POST", api.path("associations", f"/{start}/{end}/batch/read"), body)["results"]
    return {
        str(to["toObjectId"]): {(each["category"], each["typeId"]) for each in to["associationTypes"]}
        for result in results
        for to in result["to"]
    }


def pair(api: Api) -> tuple[str, str]:
    """Make two tickets; return their ids."""
    one, other = some(api.site, "tickets", 2)
    return one.id, other.id


def linked(api: Api, ticket: str, *labels: tuple[str, int]) -> str:
    """Link a ticket with a new company; return that one's id."""
    (company,) = some(api.site, "companies")
    api.site.store.associate("tickets", ticket, "companies", company.id, labels)
    return company.id


# What a merge leaves


def test_a_second_primary_company_is_primary_no_more(api: Api, mode: str) -> None:
    """HubSpot drops the primary type of the second one; the plain pair stays."""
    keep, lose = pair(api)
    first, second = linked(api, keep), linked(api, lose)
    found = neighbours(api, merged(api, keep, lose))
    assert found == {first: {PRIMARY_COMPANY, (HUBSPOT_DEFINED, 339)}, second: {(HUBSPOT_DEFINED, 339)}}


def test_labels_move_along_with_their_pair(api: Api, mode: str) -> None:
    """Whose company the second record's was must not be lost."""
    keep, lose = pair(api)
    label = api.site.store.add_label("tickets", "companies", "Reseller")
    linked(api, keep)
    second = linked(api, lose, (USER_DEFINED, label.type_id))
    survivor = merged(api, keep, lose)
    assert (USER_DEFINED, label.type_id) in neighbours(api, survivor)[second]
    back = neighbours(api, second, start="companies", end="tickets")
    assert set(back) == {survivor} and (USER_DEFINED, label.inverse) in back[survivor]


@pytest.mark.parametrize("unites", [False, True])
def test_a_pair_that_both_had_keeps_the_primary_records_labels(api: Api, mode: str, unites: bool) -> None:
    """HubSpot does not say: unless told otherwise the second record's labels of that pair are lost."""
    api.site.store.unites_labels = unites
    keep, lose = pair(api)
    ours, theirs = (api.site.store.add_label("tickets", "companies", text).type_id for text in ("Ours", "Theirs"))
    company = linked(api, keep, (USER_DEFINED, ours))
    api.site.store.associate("tickets", lose, "companies", company, [(USER_DEFINED, theirs)])
    found = neighbours(api, merged(api, keep, lose))[company]
    assert found == {PRIMARY_COMPANY, (HUBSPOT_DEFINED, 339), (USER_DEFINED, ours)} | (
        {(USER_DEFINED, theirs)} if unites else set()
    )


def test_companies_merge_under_a_ticket_of_both(api: Api, mode: str) -> None:
    """The pair with the second company goes, its primary type too; the calculated property follows, at once."""
    store = api.site.store
    ticket = some(api.site, "tickets")[0]
    lose = linked(api, ticket.id)
    keep = linked(api, ticket.id)
    survivor = merged(api, keep, lose, "companies")
    assert neighbours(api, ticket.id) == {survivor: {(HUBSPOT_DEFINED, 339)}}
    assert store.records["tickets"][ticket.id].properties["hs_primary_company_id"] is None


def test_a_primary_company_that_is_merged_leaves_no_gap_in_the_history(api: Api, mode: str) -> None:
    """A ticket goes from one id to the other; without a company it never was."""
    ticket = some(api.site, "tickets")[0]
    lose, keep = linked(api, ticket.id), some(api.site, "companies")[0].id
    survivor = merged(api, keep, lose, "companies")
    values = [each.value for each in ticket.history["hs_primary_company_id"]]
    assert values == [lose, survivor] and set(neighbours(api, ticket.id)) == {survivor}


def test_what_hubspot_calculates_is_not_filled_from_the_other(api: Api, mode: str) -> None:
    """The primary company's id says what the pairs say, not what the second record once had."""
    keep, lose = pair(api)
    company = linked(api, lose)
    api.site.store.associate("tickets", keep, "companies", company, ())
    api.site.store.disassociate("tickets", keep, "companies", company, [PRIMARY_COMPANY])
    survivor = merged(api, keep, lose)
    assert PRIMARY_COMPANY not in neighbours(api, survivor)[company]
    assert api.site.store.records["tickets"][survivor].properties.get("hs_primary_company_id") is None


def test_two_merged_records_that_were_linked_are_not_linked_with_themselves(api: Api, mode: str) -> None:
    """Their links with others stay."""
    store = api.site.store
    keep, lose, other = (each.id for each in some(api.site, "tickets", 3))
    store.associate("tickets", keep, "tickets", lose, ())
    store.associate("tickets", lose, "tickets", other, ())
    survivor = merged(api, keep, lose)
    assert set(neighbours(api, survivor, end="tickets")) == {other}
    assert set(neighbours(api, other, end="tickets")) == {survivor}


def test_the_histories_of_both_are_kept(api: Api, mode: str) -> None:
    """By time; what stands at the end of one is the value that the record has now."""
    store, clock = api.site.store, api.site.clock
    keep, lose = pair(api)
    for second, (ticket, value) in enumerate([(lose, "a"), (keep, "b"), (lose, "c")]):
        clock.advance(second + 1)
        store.update("tickets", ticket, {"content": value})
    clock.advance(1)
    survivor = merged(api, keep, lose)
    shown = get(api, survivor, propertiesWithHistory="content").json()["propertiesWithHistory"]["content"]
    entries = sorted(shown, key=lambda each: each["timestamp"])
    assert [each["value"] for each in entries] == ["a", "b", "c", "b"]
    assert entries[-1]["sourceType"] == "MERGE_OBJECTS"


def test_merges_that_cannot_be_are_refused(api: Api, mode: str) -> None:
    """The same id twice, an archived one, one of another kind, one that was merged; nothing is changed by it."""
    keep, lose, archived, again = (each.id for each in some(api.site, "tickets", 4))
    (company,), notes = some(api.site, "companies"), some(api.site, "notes", 2)
    api.site.store.archive("tickets", archived)
    assert merge(api, keep, keep).status_code == 400
    assert merge(api, keep, archived).status_code == 404 and merge(api, archived, keep).status_code == 404
    assert merge(api, keep, company.id).status_code == 404
    assert merge(api, notes[0].id, notes[1].id, "notes").status_code == 400
    survivor = merged(api, keep, lose)
    assert merge(api, survivor, lose).status_code == 400 and merge(api, lose, again).status_code == 400
    assert len(api.site.store.records["tickets"]) == 3 and len(api.site.store.records["notes"]) == 2


def test_the_search_index_follows_a_merge_late(api: Api, mode: str) -> None:
    """A search finds both for some seconds, and the survivor of a new id not at all."""
    api.site.index_lag_s = 5
    keep, lose = pair(api)
    api.site.clock.advance(6)
    survivor = merged(api, keep, lose)

    def found() -> set[str]:
        return {each["id"] for each in api.ok("POST", api.path("objects", "/tickets/search"), {})["results"]}

    assert found() == {keep, lose}
    api.site.clock.advance(6)
    assert found() == {survivor}


# Old ids


def test_an_old_id_may_be_answered_by_nobody(api: Api, mode: str) -> None:
    """For tickets nobody promises it: then only the survivor's `hs_merged_object_ids` tells."""
    api.site.answers_old_ids = False
    keep, lose = pair(api)
    survivor = merged(api, keep, lose)
    assert get(api, lose).status_code == 404
    assert get(api, keep).status_code == (200 if mode == PRIMARY_ID else 404)
    patched = api.send("PATCH", api.path("objects", f"/tickets/{lose}"), {"properties": {"subject": "x"}})
    assert patched.status_code == 404
    refused = merge(api, survivor, lose)
    assert refused.status_code == 404 and survivor not in refused.text.replace(lose, "")
    read = api.send("POST", api.path("objects", "/tickets/batch/read"), {"inputs": [{"id": lose}]})
    assert read.status_code == 207 and read.json()["results"] == []
    names = "hs_merged_object_ids"
    assert lose in get(api, survivor, properties=names).json()["properties"][names].split(";")


# Edges that follow late


def test_associations_follow_a_merge_late(api: Api, mode: str) -> None:
    """A client that reads them at once takes them for lost; those of a primary record that stays are there."""
    api.site.merge_lag_s = 10
    keep, lose = pair(api)
    first, second = linked(api, keep), linked(api, lose)
    survivor = merged(api, keep, lose)
    at_once = {first} if mode == PRIMARY_ID else set()
    assert set(neighbours(api, survivor)) == at_once
    assert neighbours(api, second, start="companies", end="tickets") == {}
    embedded = get(api, survivor, associations="companies").json().get("associations", {"companies": {"results": []}})
    assert {each["id"] for each in embedded["companies"]["results"]} == at_once
    api.site.clock.advance(9.9)
    assert set(neighbours(api, survivor)) == at_once
    api.site.clock.advance(0.2)
    assert set(neighbours(api, survivor)) == {first, second}
    assert set(neighbours(api, second, start="companies", end="tickets")) == {survivor}


@pytest.mark.parametrize("unites", [False, True])
def test_a_pair_that_the_primary_record_had_does_not_go_for_a_while(api: Api, unites: bool) -> None:
    """Where its id stays, its pairs do; labels that come on top hide nothing."""
    api.site.merge_mode, api.site.merge_lag_s, api.site.store.unites_labels = PRIMARY_ID, 10, unites
    keep, lose = pair(api)
    company = linked(api, keep)
    api.site.store.associate("tickets", lose, "companies", company, ())
    assert set(neighbours(api, merged(api, keep, lose))) == {company}


def test_a_search_by_an_association_that_is_not_there_yet_finds_nothing(api: Api, mode: str) -> None:
    """It reads the same edges."""
    api.site.merge_lag_s = 10
    keep, lose = pair(api)
    second = linked(api, lose)
    survivor = merged(api, keep, lose)
    filters = [{"propertyName": "associations.company", "operator": "EQ", "value": second}]
    body = {"filterGroups": [{"filters": filters}]}
    for found in ([], [survivor]):
        results = api.ok("POST", api.path("objects", "/tickets/search"), body)["results"]
        assert [each["id"] for each in results] == found
        api.site.clock.advance(11)


def test_an_edge_that_is_not_there_yet_cannot_be_removed(api: Api, mode: str) -> None:
    """Removing it succeeds, as with any that is not there, and then it comes."""
    api.site.merge_lag_s = 10
    keep, lose = pair(api)
    second = linked(api, lose)
    survivor = merged(api, keep, lose)
    body = {"inputs": [{"from": {"id": survivor}, "to": [{"id": second}]}]}
    api.ok("POST", api.path("associations", "/tickets/companies/batch/archive"), body)
    api.site.clock.advance(11)
    assert set(neighbours(api, survivor)) == {second}


def test_an_edge_that_is_written_meanwhile_is_there_at_once(api: Api, mode: str) -> None:
    """What a client writes it can read; the labels that were under way do not come on top."""
    api.site.merge_lag_s = 10
    keep, lose = pair(api)
    label = api.site.store.add_label("tickets", "companies", "Theirs").type_id
    second = linked(api, lose, (USER_DEFINED, label))
    survivor = merged(api, keep, lose)
    body = {"inputs": [{"from": {"id": survivor}, "to": {"id": second}}]}
    api.ok("POST", api.path("associations", "/tickets/companies/batch/associate/default"), body)
    assert set(neighbours(api, survivor)) == {second}
    api.site.clock.advance(11)
    assert (USER_DEFINED, label) not in neighbours(api, survivor)[second]


def test_two_merges_have_a_lag_each(api: Api, mode: str) -> None:
    """Edges of the first do not wait for those of the second."""
    api.site.merge_lag_s = 10
    pairs = [pair(api), pair(api)]
    companies = [linked(api, lose) for _, lose in pairs]
    survivors = []
    for keep, lose in pairs:
        survivors.append(merged(api, keep, lose))
        api.site.clock.advance(6)
    assert [set(neighbours(api, each)) for each in survivors] == [{companies[0]}, set()]


def test_each_merge_of_a_chain_has_its_own_lag(api: Api) -> None:
    """With new ids all edges are under way again."""
    api.site.merge_lag_s = 10
    keep, lose = pair(api)
    (third,) = some(api.site, "tickets")
    companies = {linked(api, each) for each in (keep, lose, third.id)}
    between = merged(api, keep, lose)
    api.site.clock.advance(6)
    last = merged(api, between, third.id)
    api.site.clock.advance(6)
    assert neighbours(api, last) == {}
    api.site.clock.advance(5)
    assert set(neighbours(api, last)) == companies


# Merges that take place late


def test_a_late_merge_leaves_two_records_until_it_takes_place(api: Api, mode: str) -> None:
    """The connection is reset; who looks at once sees that nothing happened, and merges again at its peril."""
    api.site.merge_late_s = 30
    keep, lose = pair(api)
    with pytest.raises(requests.ConnectionError):
        merge(api, keep, lose)
    api.site.clock.advance(29)
    assert shown_id(api, keep) == keep and shown_id(api, lose) == lose
    api.site.clock.advance(2)
    survivor = shown_id(api, lose)
    assert shown_id(api, keep) == survivor != lose and (survivor == keep) == (mode == PRIMARY_ID)
    assert (api.site.late.done, api.site.late.dropped) == (1, 0)


@pytest.mark.parametrize("status", [504, 524])
def test_a_late_merge_may_be_answered_by_a_gateway(api: Api, status: int) -> None:
    """In HTML, without a word of what became of it."""
    api.site.merge_late_s, api.site.merge_late_status = 30, status
    keep, lose = pair(api)
    answer = merge(api, keep, lose)
    assert answer.status_code == status and answer.headers["Content-Type"].startswith("text/html")
    api.site.clock.advance(31)
    assert shown_id(api, keep) == shown_id(api, lose)


def test_a_fault_makes_one_merge_late(mode: str, api: Api) -> None:
    """Others are answered; what cannot be late is handled at once, and its answer is lost."""
    site = api.site
    (one, two), (three, four) = pair(api), pair(api)
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        by_fault = Api(site, sandbox.url(site.name), api.family, TOKEN)
        sandbox.faults.add(Fault(kind="late", match="/merge", late_s=30))
        sandbox.faults.add(Fault(kind="late", match="PATCH", late_s=30))
        with pytest.raises(requests.ConnectionError):
            merge(by_fault, one, two)
        assert merged(by_fault, three, four) and shown_id(by_fault, two) == two
        site.clock.advance(31)
        assert shown_id(by_fault, two) == shown_id(by_fault, one) != two
        with pytest.raises(requests.ConnectionError):
            by_fault.send("PATCH", api.path("objects", f"/tickets/{three}"), {"properties": {"subject": "At once"}})
        assert get(by_fault, three).json()["properties"]["subject"] == "At once"
        assert sandbox.faults.reached["late"] == 2 and [each.fault for each in sandbox.log].count("late") == 2


def test_a_merge_of_a_record_that_is_being_merged_is_refused(api: Api, mode: str) -> None:
    """423 while it is under way, whichever of the two is named; afterwards the old id is refused."""
    api.site.merge_late_s, api.site.merge_late_status = 30, 504
    keep, lose, third = (each.id for each in some(api.site, "tickets", 3))
    assert merge(api, keep, lose).status_code == 504
    assert merge(api, keep, lose).status_code == 423 and merge(api, lose, keep).status_code == 423
    assert merge(api, third, lose).status_code == 423
    api.site.clock.advance(31)
    assert merge(api, keep, lose).status_code == 400
    assert len(api.site.store.records["tickets"]) == 2


def test_a_late_merge_is_refused_at_once_where_it_cannot_be(api: Api) -> None:
    """What is wrong is known beforehand; nothing is under way then."""
    api.site.merge_late_s = 30
    keep, lose = pair(api)
    assert merge(api, keep, keep).status_code == 400 and merge(api, keep, "1").status_code == 404
    api.site.store.records["tickets"][keep].merged_ids = [str(number) for number in range(250)]
    assert merge(api, keep, lose).status_code == 414
    api.site.clock.advance(31)
    assert shown_id(api, lose) == lose and (api.site.late.done, api.site.late.dropped) == (0, 0)


@pytest.mark.parametrize("meanwhile", ["archived", "merged", "purged"])
def test_a_late_merge_is_dropped_where_a_record_is_gone_by_then(api: Api, mode: str, meanwhile: str) -> None:
    """A person was faster: the other record stays as it is."""
    api.site.merge_late_s, api.site.merge_late_status = 30, 504
    keep, lose, third = (each.id for each in some(api.site, "tickets", 3))
    merge(api, keep, lose)
    store = api.site.store
    if meanwhile == "merged":
        store.merge("tickets", third, lose)
    else:
        {"archived": store.archive, "purged": store.purge}[meanwhile]("tickets", lose)
    api.site.clock.advance(31)
    assert shown_id(api, keep) == keep and (api.site.late.done, api.site.late.dropped) == (0, 1)


def test_a_late_merge_takes_what_was_written_meanwhile(api: Api, mode: str) -> None:
    """Both records are as any until it takes place."""
    api.site.merge_late_s, api.site.merge_late_status = 30, 504
    keep, lose = pair(api)
    merge(api, keep, lose)
    api.ok("PATCH", api.path("objects", f"/tickets/{lose}"), {"properties": {"content": "Written meanwhile"}})
    api.site.clock.advance(31)
    shown = get(api, keep, properties="content").json()
    assert shown["properties"]["content"] == "Written meanwhile"


def test_the_truth_knows_a_late_merge_when_its_time_has_come(api: Api) -> None:
    """Though no request has come since."""
    api.site.merge_late_s, api.site.merge_late_status = 30, 504
    keep, lose = pair(api)
    merge(api, keep, lose)
    assert api.site.truth("tickets")[lose,]["state"] == "live"
    api.site.clock.advance(31)
    assert api.site.truth("tickets")[lose,]["state"] == "merged"


def test_nothing_of_this_happens_unless_told() -> None:
    """A portal is answered at once, and old ids lead to the survivor."""
    site = HubSpotSite(clock=Clock())
    assert (site.merge_late_s, site.merge_lag_s, site.answers_old_ids) == (0.0, 0.0, True)
