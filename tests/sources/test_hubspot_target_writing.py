"""Records that are written: why one was refused, what may not be written, what is found where, who may write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from syncer.errors import NotAllowed, RequestError, Unavailable, UsageError
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, UPDATE, Change, Edge, Edit
from syncer.sandbox.hubspot import TOKEN
from syncer.sources.hubspot import HubSpot
from syncer.target import DONE, MISSED, REFUSED, Outcome, Uncertain
from tests.sources.hubspot_home import HubSpotHome, add_settings, define, running, small_site, some, without

BATCH = "/batch/(create|update)"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    site = small_site(companies=3, contacts=2, tickets=1)
    add_settings(site)
    for name in ("phone", "secret_word"):
        define(site, "companies", name)
    define(site, "companies", "client_id", has_unique_value=True)
    define(site, "companies", "serial", "number", has_unique_value=True)
    define(site, "contacts", "hs_additional_emails")
    with running(site, tmp_path) as running_home:
        yield running_home


def target(home: HubSpotHome, **options: Any) -> HubSpot:
    return cast(HubSpot, home.source("companies", **options))


def create(number: int, kind: str = "companies", **values: str) -> Change:
    fields = {name: Edit(None, value) for name, value in values.items()}
    return Change(number=number, action=CREATE, kind=kind, key=str(number), fields=fields)


def update(number: int, id: str, **values: str) -> Change:
    fields = {name: Edit(None, value) for name, value in values.items()}
    return Change(number=number, action=UPDATE, kind="companies", key=id, id=id, fields=fields)


def refused(home: HubSpotHome, change: Change) -> Outcome:
    [outcome] = target(home).send([change])
    assert outcome.state == REFUSED
    return outcome


def ids(home: HubSpotHome, kind: str = "companies") -> list[str]:
    return list(home.site.store.records[kind])


# Why


@pytest.mark.parametrize("honours", [True, False])
def test_a_value_that_another_record_has_is_named_with_that_record(home: HubSpotHome, honours: bool) -> None:
    """409: HubSpot says the other's id in its text only, and not which property."""
    home.site.store.honours_traces = honours
    home.site.store.update("companies", ids(home)[0], {"client_id": "k"})
    outcome = refused(home, create(1, name="X", client_id="k"))
    assert outcome.property == "client_id"
    assert outcome.reason == f"Client_Id (client_id) must be unique, and record {ids(home)[0]} has it already."
    both = refused(home, create(1, name="X", client_id="k", serial="7"))
    assert both.property == "" and both.reason.startswith("A value must be unique")
    home.site.store.update("contacts", ids(home, "contacts")[0], {"email": "a@b.example"})
    [contact] = target(home).send([create(1, "contacts", email="A@B.example")])
    assert (contact.state, contact.property) == (REFUSED, "email") and ids(home, "contacts")[0] in contact.reason


@pytest.mark.parametrize("honours", [True, False])
def test_a_refused_value_is_told_in_plain_words_without_the_value(home: HubSpotHome, honours: bool) -> None:
    """A reason is kept longer than the value may be."""
    home.site.store.honours_traces = honours
    define(home.site, "companies", "tier", "enumeration", field_type="select", options=[{"value": "A", "label": "A"}])
    outcome = refused(home, create(1, name="X", tier="Confidential"))
    assert (outcome.property, outcome.reason) == ("tier", "It is none of the choices that HubSpot has.")
    two = refused(home, create(1, name="X", tier="Confidential", nonsense="y"))
    assert two.property == "" and "nonsense: There is no such property" in two.reason and "Tier (tier): " in two.reason


def test_an_error_of_an_unknown_shape_still_has_a_reason(home: HubSpotHome) -> None:
    """All fields of an error's body are optional."""
    for body, reason in (
        ({}, "HubSpot refused it and did not say why."),
        ({"message": "Odd: hunter22 is bad"}, "Odd: … is bad"),
        ({"message": 'Bad: [{"name": "phone", "error": "NEW", "message": "hunter22 is bad"}]'}, "… is bad"),
        ({"message": "Bad: [{cut"}, "Bad:"),
        ({"message": "x", "errors": ["odd", {"message": "no", "context": {"propertyName": ["phone"]}}]}, "no"),
    ):
        home.fault(BATCH, body, status=400, times=1)
        assert refused(home, create(1, name="X", phone="hunter22")).reason == reason


def test_what_the_create_form_demands_is_named(home: HubSpotHome) -> None:
    """From 2026-09 on HubSpot refuses a new record without it; no endpoint tells of it."""
    home.site.store.form_required["companies"] = {"phone"}
    outcome = refused(home, create(1, name="X"))
    assert (outcome.property, outcome.reason) == ("phone", "A new record needs phone.")
    [old] = target(home, api="v3").send([create(1, name="X")])
    assert old.state == DONE


def test_one_record_that_is_not_there_is_missed_and_not_refused(home: HubSpotHome) -> None:
    """Its id is no record's any more: that is no fault of the values."""
    for honours in (True, False):
        home.site.store.honours_traces = honours
        [outcome] = target(home).send([update(1, "42", phone="1")])
        assert outcome.state == MISSED and outcome.reason


def test_an_error_that_names_nobody_is_told_and_never_taken_for_done(home: HubSpotHome) -> None:
    """Of one change it is that one's; of several, none is done."""
    first, second, _ = ids(home)
    answer = {"status": "COMPLETE", "results": [{"id": first}], "errors": [{"category": "X", "message": "Nope"}]}
    home.fault(BATCH, answer, status=207, times=1)
    outcomes = target(home).send([update(1, first, phone="1"), update(2, second, phone="2")])
    assert [(each.state, each.reason) for each in outcomes] == [(DONE, ""), (REFUSED, "Nope")]
    home.fault(BATCH, {**answer, "results": []}, status=207, times=1)
    outcomes = target(home).send([update(1, first, phone="1"), update(2, second, phone="2")])
    assert [(each.state, each.reason) for each in outcomes] == [(MISSED, "Nope")] * 2


def test_errors_of_an_archive_are_told_by_id(home: HubSpotHome) -> None:
    """Whatever it does not name is done: HubSpot answers with nothing at all."""
    first, second, _ = ids(home)
    body = {"status": "COMPLETE", "results": [], "errors": [{"message": "Nope", "context": {"ids": [second]}}]}
    home.fault("/batch/archive", body, status=207, times=1)
    changes = [
        Change(number=n, action=ARCHIVE, kind="companies", key=id, id=id) for n, id in enumerate((first, second))
    ]
    assert [each.state for each in target(home).send(changes)] == [DONE, REFUSED]


@pytest.mark.parametrize("body", ['{"results": [7]}', '{"results": {}}', "[]", "{}", '{"results": [{"id": "1"}'])
def test_an_answer_that_is_none_is_uncertain(home: HubSpotHome, body: str) -> None:
    """It was done, or not."""
    home.fault(BATCH, body, times=1)
    with pytest.raises(Uncertain):
        target(home).send([create(1, name="X")])


def test_a_page_that_is_not_hubspots_is_no_refusal(home: HubSpotHome) -> None:
    """A 404 in HTML, a redirect: the base URL is wrong, not the row."""
    for status in (404, 302, 405):
        home.fault(BATCH, "<html>", status=status, times=1)
        with pytest.raises(RequestError):
            target(home).send([create(1, name="X")])


def test_the_daily_limit_ends_a_run_with_nothing_done(home: HubSpotHome) -> None:
    """It is no lost answer: the run ends, and what is open stays open."""
    source = target(home)
    source.shape("companies")
    home.fault(BATCH, {"policyName": "DAILY", "message": "daily limit"}, status=429, times=None)
    with pytest.raises(Unavailable, match="daily limit"):
        source.send([create(1, name="X")])


# Found


def test_a_numeric_key_is_found_however_it_is_written(home: HubSpotHome) -> None:
    """1.0 and 1 are one value."""
    home.site.store.update("companies", ids(home)[0], {"serial": "17"})
    home.fault("/batch/read", {"results": [{"id": ids(home)[0], "properties": {"serial": "17.0"}}]}, times=1)
    assert list(target(home).find("companies", ["17"], by="serial", properties=["name"])) == ["17"]


def test_one_key_in_two_spellings_is_asked_once(home: HubSpotHome) -> None:
    """A value twice in one batch refuses all of it."""
    contact = ids(home, "contacts")[0]
    home.site.store.update("contacts", contact, {"email": "a@b.example"})
    found = target(home).find("contacts", ["A@b.example", "a@B.example"], by="email", properties=["email"])
    assert {key: each.id for key, each in found.items()} == {"A@b.example": contact, "a@B.example": contact}


def test_a_contact_is_found_by_another_of_its_addresses(home: HubSpotHome) -> None:
    """HubSpot answers with the record, whose first address is another one; a create would be refused."""
    properties = {"email": "new@b.example", "hs_additional_emails": "old@b.example;older@b.example"}
    home.fault("/contacts/batch/read", {"results": [{"id": "5", "properties": properties}]}, times=1)
    found = target(home).find("contacts", ["OLD@b.example"], by="email", properties=["email"])
    assert found["OLD@b.example"].id == "5"


def test_a_key_that_a_batch_is_silent_about_is_asked_by_itself(home: HubSpotHome) -> None:
    """Taken for no record, it would be made twice."""
    home.site.store.update("companies", ids(home)[0], {"client_id": "a/b#c"})
    home.fault("/batch/read", {"status": "COMPLETE", "results": []}, times=2)
    source = target(home)
    found = source.find("companies", ["a/b#c", "none"], by="client_id", properties=["name"])
    assert {key: (each.id, each.properties["name"]) for key, each in found.items()} == {
        "a/b#c": (ids(home)[0], "companies 0")
    }


def test_what_cannot_be_an_id_is_not_asked_for(home: HubSpotHome) -> None:
    """A column of ids may hold anything; one bad input may refuse the whole batch."""
    first, *_ = ids(home)
    home.bodies("")
    found = target(home).find("companies", [first, "no id", "", "12.5", "9" * 30], by=None, properties=["name"])
    assert list(found) == [first]
    assert [each["inputs"] for each in home.bodies("/batch/read")] == [[{"id": first}]]


def test_histories_are_sorted_by_their_times(home: HubSpotHome) -> None:
    """Their order is not documented; an entry without a time tells nothing."""
    times = ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00.5Z", "2026-01-01T00:00:00Z", None, "odd"]
    histories = {"phone": [{"value": "x", "timestamp": each} for each in times], "name": [], "odd": 7}
    record = {"id": ids(home)[0], "properties": {}, "propertiesWithHistory": histories}
    home.fault("/batch/read", {"status": "COMPLETE", "results": [record]}, times=1)
    found = target(home).moved("companies", [ids(home)[0]], ["phone", "name"])
    assert found[ids(home)[0]].moved_at == {"phone": "2026-01-03T00:00:00.500000+00:00"}


def test_of_archived_and_merged_records_no_times_are_told(home: HubSpotHome) -> None:
    """They are left out."""
    first, second, third = ids(home)
    home.site.store.archive("companies", third)
    home.site.store.merge("companies", first, second)
    assert target(home).moved("companies", [first, third], ["name"]) == {}


# Who may write


def test_writing_where_people_work_must_be_allowed(home: HubSpotHome) -> None:
    """The type of the portal is known before anything is sent; one that is not told is taken for the worst."""
    source = target(home)
    source.guard("companies")
    assert (source.account_type, source.is_production) == ("DEVELOPER_TEST", False)
    for kind in ("STANDARD", ""):
        home.site.store.account.type = kind
        home.sent()
        with pytest.raises(UsageError, match="allow_production = true"):
            target(home).guard("companies")
        assert not [each for each in home.sent() if each.startswith("POST")]
    target(home, allow_production=True).guard("companies")
    with pytest.raises(UsageError, match="true or false"):
        target(home, allow_production="yes")


@pytest.mark.parametrize("api", ["v3", "2026-09"])
def test_a_token_that_may_only_read_is_found_before_the_first_write(home: HubSpotHome, api: str) -> None:
    """The error names the scope; of edges, the other end's too."""
    home.site.add_token(TOKEN, scopes=without("crm.objects.companies.write"))
    before = len(ids(home))
    with pytest.raises(NotAllowed, match=r"crm\.objects\.companies\.write"):
        target(home, api=api).guard("companies")
    with pytest.raises(NotAllowed, match=r"crm\.objects\.companies\.write"):
        target(home, api=api).guard("tickets", to=["companies"])
    target(home, api=api).guard("tickets", to=["contacts"])
    with pytest.raises(NotAllowed, match=r"crm\.objects\.companies\.write"):
        target(home, api=api).send([create(1, name="X")])
    assert len(ids(home)) == before


def test_that_a_token_may_write_is_believed_for_a_minute(home: HubSpotHome) -> None:
    """A push of a few changes costs a few requests; that it may not is asked each time."""
    target(home).guard("companies", to=["contacts"])
    assert len([each for each in home.sent() if each.startswith("POST")]) == 2
    target(home).guard("companies", to=["contacts"])
    assert not [each for each in home.sent() if each.startswith("POST")]


@pytest.mark.parametrize(("status", "text"), [(401, "not accepted"), (403, "may not write")])
def test_a_token_that_is_no_good_ends_the_run(home: HubSpotHome, status: int, text: str) -> None:
    """Not the row's fault: nothing is rejected because of it."""
    source = target(home)
    source.shape("companies")
    home.fault(BATCH, "", status=status, times=1)
    with pytest.raises(NotAllowed, match=text):
        source.send([create(1, name="X"), create(2, name="Y")])


def test_writes_of_edges_count_in_their_own_limit(home: HubSpotHome) -> None:
    """Associations have a budget beside the general one: here, as in HubSpot."""
    source = target(home, limits="on")
    source.guard("companies", to=["contacts", "tickets"])
    ticket, company = ids(home, "tickets")[0], ids(home)[0]
    end = Edge(kind="tickets", id=ticket, category="HUBSPOT_DEFINED", type_id=340)
    source.send([Change(number=1, action=ASSOCIATE, kind="companies", key="k", id=company, edge=end)])
    used = {each.bucket: each.used for each in home.doors.budget.usage()}
    assert home.site.meter.used["associations"] == 3
    assert 3 <= used["associations"] <= 15 and home.site.meter.peak("associations", 10.0) == 3


def test_many_records_that_were_merged_away_are_found_each_by_itself(home: HubSpotHome) -> None:
    """No batch knows their ids; a purged one leads nowhere."""
    kept, *others = (each.id for each in some(home.site, "companies", 4))
    for other in others:
        kept = home.site.store.merge("companies", kept, other).id
    found = target(home).find("companies", [*others, "999"], by=None, properties=["name"])
    assert {each.id for each in found.values()} == {kept} and set(found) == set(others)
