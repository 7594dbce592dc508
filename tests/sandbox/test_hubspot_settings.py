"""The HubSpot site's properties, groups, pipelines, owners, account and limits, over both families of paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncer.sandbox.hubspot.model import Definition, Owner
from tests.sandbox.hubspot_portal import FAMILIES, Api, hand_made, running, some


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    with running(hand_made()) as api:
        api.site.limits = None
        yield api


@pytest.fixture(params=FAMILIES)
def api(request: pytest.FixtureRequest, served: Api) -> Api:
    return served.by(request.param)


def wish(name: str, **more: Any) -> dict[str, Any]:
    """Return what a create of a property needs."""
    shown = {"name": name, "label": name.title(), "type": "string", "fieldType": "text"}
    return shown | {"groupName": "companies_information"} | more


def properties(api: Api, tail: str = "", kind: str = "companies") -> str:
    return api.path("properties", f"/{kind}{tail}")


def name_for(api: Api, stem: str) -> str:
    """Return a name that no other test or family uses."""
    return f"{stem}_{'v3' if api.family == 'v3' else 'dated'}"


# Properties


def test_a_property_is_created_read_changed_and_archived(api: Api) -> None:
    """Archived ones show with `archived=true` only; their name stays taken."""
    name = name_for(api, "line")
    made = api.send("POST", properties(api), wish(name, description="Lines"))
    assert made.status_code == 201 and made.json()["modificationMetadata"]["readOnlyValue"] is False
    assert api.send("POST", properties(api), wish(name)).status_code == 409
    api.site.clock.advance(1)
    changed = api.ok("PATCH", properties(api, f"/{name}"), {"label": "Line"})
    assert changed["label"] == "Line" and changed["description"] == "Lines"
    assert changed["createdAt"] < changed["updatedAt"]
    assert api.send("DELETE", properties(api, f"/{name}")).status_code == 204
    assert api.send("GET", properties(api, f"/{name}")).status_code == 404
    gone = api.ok("GET", properties(api, f"/{name}"), archived="true")
    assert gone["archived"] and gone["archivedAt"]
    live = api.ok("GET", properties(api))["results"]
    archived = api.ok("GET", properties(api), archived="true")["results"]
    assert name not in [each["name"] for each in live] and name in [each["name"] for each in archived]
    assert api.send("POST", properties(api), wish(name)).status_code == 409


def test_a_type_can_change_and_values_stay(api: Api) -> None:
    """A text in a property that is a number now comes as it was written."""
    name = name_for(api, "size")
    api.ok("POST", properties(api), wish(name))
    (company,) = some(api.site, "companies")
    api.site.store.update("companies", company.id, {name: "n/a"})
    changed = api.ok("PATCH", properties(api, f"/{name}"), {"type": "number", "fieldType": "number"})
    assert (changed["type"], changed["fieldType"]) == ("number", "number")
    assert company.properties[name] == "n/a"
    assert api.send("PATCH", properties(api, f"/{name}"), {"type": "number", "fieldType": "text"}).status_code == 400
    assert api.send("PATCH", properties(api, f"/{name}"), {"hasUniqueValue": True}).status_code == 400


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "Upper"},
        {"name": "1st"},
        {"type": "text"},
        {"type": "number"},
        {"groupName": "nowhere"},
        {"label": ""},
        {"type": "enumeration", "fieldType": "select"},
        {"type": "enumeration", "fieldType": "select", "options": [{"label": "A", "value": "a"}] * 2},
        {"type": "bool", "fieldType": "booleancheckbox", "hasUniqueValue": True},
    ],
    ids=str,
)
def test_a_definition_that_cannot_be_is_refused(served: Api, bad: dict[str, Any]) -> None:
    """Name, type, field type, group, label and options are looked at."""
    answer = served.send("POST", properties(served), wish("refused") | bad)
    assert answer.status_code == 400 and answer.json()["category"] == "VALIDATION_ERROR"
    assert "refused" not in served.site.store.definitions["companies"]


def test_options_keep_their_order_and_a_bool_gets_its_two(api: Api) -> None:
    """An enumeration without options is possible for references only."""
    options = [{"label": "Gold", "value": "g"}, {"label": "Tin", "value": "t", "hidden": True}]
    tier = wish(name_for(api, "tier"), type="enumeration", fieldType="select", options=options)
    found = api.ok("POST", properties(api), tier)["options"]
    assert [(each["value"], each["displayOrder"], each["hidden"]) for each in found] == [
        ("g", 0, False),
        ("t", 1, True),
    ]
    flag = wish(name_for(api, "flag"), type="bool", fieldType="booleancheckbox")
    assert [each["value"] for each in api.ok("POST", properties(api), flag)["options"]] == ["true", "false"]
    owner = wish(name_for(api, "keeper"), type="enumeration", fieldType="select", externalOptions=True)
    found = api.ok("POST", properties(api), owner | {"referencedObjectType": "OWNER"})
    assert found["options"] == [] and found["referencedObjectType"] == "OWNER"


def test_a_calculated_property_of_ones_own_does_not_say_so(api: Api) -> None:
    """Neither `calculated` nor the metadata tell that it cannot be written: its field type and formula do."""
    name = name_for(api, "sum")
    formula = {"type": "number", "fieldType": "calculation_equation", "calculationFormula": "numberofemployees + 1"}
    found = api.ok("POST", properties(api), wish(name) | formula)
    assert not found["calculated"] and not found["modificationMetadata"]["readOnlyValue"]
    assert found["calculationFormula"] == formula["calculationFormula"]
    (company,) = some(api.site, "companies")
    answer = api.send("PATCH", api.path("objects", f"/companies/{company.id}"), {"properties": {name: "5"}})
    assert answer.status_code == 400


def test_ten_unique_properties_are_enough(served: Api) -> None:
    """They are unique from the start, or never."""
    kind, group = "cables", {"groupName": "cables_information", "hasUniqueValue": True}
    answers = [served.send("POST", properties(served, kind=kind), wish(f"key_{n}") | group) for n in range(11)]
    assert [each.status_code for each in answers] == [201] * 10 + [400]


def test_what_hubspot_defined_stays_as_it_is(api: Api) -> None:
    """It shows as such in the metadata."""
    shown = api.ok("GET", properties(api, "/name"))
    assert shown["hubspotDefined"] and not shown["modificationMetadata"]["archivable"]
    assert api.send("PATCH", properties(api, "/name"), {"label": "Title"}).status_code == 400
    assert api.send("DELETE", properties(api, "/name")).status_code == 400
    assert api.ok("POST", properties(api, "/batch/archive"), {"inputs": [{"name": "name"}]}) is None
    assert api.site.store.definitions["companies"]["name"].archived_ms is None


def test_batches_of_definitions_tell_what_is_not_there(api: Api) -> None:
    """207 for a read and a create; an archive says 204 whatever becomes of it."""
    name = name_for(api, "batch")
    answer = api.send("POST", properties(api, "/batch/create"), {"inputs": [wish(name), wish("name")]})
    assert answer.status_code == 207 and [each["name"] for each in answer.json()["results"]] == [name]
    assert answer.json()["errors"][0]["category"] == "CONFLICT"
    body = {"archived": False, "inputs": [{"name": name}, {"name": "nothing"}]}
    answer = api.send("POST", properties(api, "/batch/read"), body)
    assert answer.status_code == 207 and answer.json()["errors"][0]["context"] == {"name": ["nothing"]}
    archive = {"inputs": [{"name": name}, {"name": "nothing"}]}
    assert api.send("POST", properties(api, "/batch/archive"), archive).status_code == 204
    assert len(api.ok("POST", properties(api, "/batch/read"), body | {"archived": True})["results"]) == 1
    assert api.send("POST", properties(api, "/batch/read"), {"inputs": [{"name": "a"}] * 101}).status_code == 400


def test_sensitive_properties_are_invisible_without_their_scope(api: Api) -> None:
    """Neither the list nor a get tells that they are there."""
    secret = Definition(name="bsn", label="BSN", data_sensitivity="sensitive")
    api.site.store.define("contacts", secret)
    path = properties(api, kind="contacts")
    assert "bsn" not in [each["name"] for each in api.ok("GET", path)["results"]]
    assert api.ok("GET", path, dataSensitivity="sensitive")["results"] == []
    assert api.send("GET", f"{path}/bsn").status_code == 404
    seer = api.limited("crm.objects.contacts.read", "crm.objects.contacts.sensitive.read.v2")
    assert [each["name"] for each in seer.ok("GET", path, dataSensitivity="sensitive")["results"]] == ["bsn"]
    assert api.send("GET", path, dataSensitivity="secret").status_code == 400


def test_definitions_need_any_scope_to_be_read_and_the_schemas_to_be_written(api: Api) -> None:
    """A token that writes records cannot create properties."""
    writer = api.limited("crm.objects.companies.write")
    assert writer.ok("GET", properties(api))["results"]
    answer = writer.send("POST", properties(api), wish(name_for(api, "never")))
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["context"]["requiredGranularScopes"] == ["crm.schemas.companies.write"]
    assert api.limited("tickets").send("GET", properties(api)).status_code == 403
    ticket = wish(name_for(api, "kind"), groupName="tickets_information")
    assert api.limited("tickets").send("POST", properties(api, kind="tickets"), ticket).status_code == 201


def test_groups_are_made_first_and_go_last(api: Api) -> None:
    """A property needs its group; a group with properties stays."""
    group = name_for(api, "billing")
    assert api.send("POST", properties(api, "/groups"), {"name": group, "label": "Billing"}).status_code == 201
    assert api.send("POST", properties(api, "/groups"), {"name": group, "label": "Billing"}).status_code == 409
    api.ok("POST", properties(api), wish(f"{group}_id", groupName=group))
    assert api.ok("PATCH", properties(api, f"/groups/{group}"), {"label": "Money"})["label"] == "Money"
    assert api.send("DELETE", properties(api, f"/groups/{group}")).status_code == 400
    api.ok("DELETE", properties(api, f"/{group}_id"))
    assert api.send("DELETE", properties(api, f"/groups/{group}")).status_code == 204
    assert group not in [each["name"] for each in api.ok("GET", properties(api, "/groups"))["results"]]
    assert api.send("GET", properties(api, f"/groups/{group}")).status_code == 404
    assert api.ok("GET", properties(api, "/groups/companies_information"))["archived"] is False


def test_rules_for_values_are_told_by_property(api: Api) -> None:
    """A dry run can then refuse what the portal would."""
    rule = {"ruleType": "MAX_LENGTH", "ruleArguments": ["20"]}
    api.site.store.rules["companies"] = {"name": [rule], "domain": []}
    found = api.ok("GET", api.path("property-validations", "/0-2"))["results"]
    assert found == {"name": [rule | {"shouldApplyNormalization": False}]}
    assert api.ok("GET", api.path("property-validations", "/0-2/name"))["results"] == found["name"]
    assert api.send("GET", api.path("property-validations", "/0-2/nothing")).status_code == 404


# Pipelines


def test_pipelines_come_whole_with_their_live_stages(api: Api) -> None:
    """Custom objects have them too; other kinds have none."""
    (found,) = [each for each in api.ok("GET", api.path("pipelines", "/0-3"))["results"] if each["id"] == "default"]
    assert [stage["id"] for stage in found["stages"]][:2] == ["new", "won"]
    assert api.ok("GET", api.path("pipelines", "/deals/default/stages/won"))["label"] == "Stage won"
    assert api.ok("GET", api.path("pipelines", "/cables"))["results"] == []
    assert api.send("GET", api.path("pipelines", "/companies")).status_code == 400


def test_a_pipeline_lives_and_is_archived(api: Api) -> None:
    """Archived ones answer 404, and only the audit still knows them."""
    base = api.path("pipelines", "/deals")
    stage = {"label": "Open", "displayOrder": 0, "metadata": {"probability": "1.0"}}
    body = {"label": name_for(api, "Renewals"), "displayOrder": 5, "stages": [stage]}
    made = api.send("POST", base, body)
    assert made.status_code == 201 and made.json()["stages"][0]["metadata"]["isClosed"] == "true"
    assert api.send("POST", base, body).status_code == 400
    id = made.json()["id"]
    assert api.ok("PATCH", f"{base}/{id}", {"displayOrder": 9})["displayOrder"] == 9
    replaced = api.ok("PUT", f"{base}/{id}", body | {"stages": [stage, stage | {"label": "Shut"}]})
    assert [each["label"] for each in replaced["stages"]] == ["Open", "Shut"]
    assert api.send("DELETE", f"{base}/{id}").status_code == 204
    assert api.send("GET", f"{base}/{id}").status_code == 404
    assert id not in [each["id"] for each in api.ok("GET", base)["results"]]
    audit = api.ok("GET", f"{base}/{id}/audit")["results"]
    assert [each["action"] for each in audit] == ["DELETE", "UPDATE", "UPDATE", "CREATE"]
    assert audit[0]["identifier"] == id and audit[0]["portalId"] == 62515


def test_a_stage_lives_and_is_archived(api: Api) -> None:
    """Deals need a probability; records keep the stage that was archived."""
    base = api.path("pipelines", "/deals/default/stages")
    for bad in ({}, {"probability": "2"}, {"probability": "high"}):
        body = {"label": "Bad", "displayOrder": 1, "metadata": bad}
        assert api.send("POST", base, body).status_code == 400
    body = {"label": name_for(api, "Trial"), "displayOrder": 7, "metadata": {"probability": "0.5"}}
    made = api.send("POST", base, body)
    assert made.status_code == 201
    id = made.json()["id"]
    assert api.ok("PATCH", f"{base}/{id}", {"metadata": {"probability": "0.7"}})["metadata"]["probability"] == "0.7"
    assert api.ok("PUT", f"{base}/{id}", body | {"displayOrder": 8})["displayOrder"] == 8
    (deal,) = some(api.site, "deals")
    api.site.store.update("deals", deal.id, {"dealstage": id})
    used = api.send("DELETE", f"{base}/{id}", validateReferencesBeforeDelete="true")
    assert used.status_code == 400 and used.json()["context"]["ids"] == [deal.id]
    assert api.send("DELETE", f"{base}/{id}").status_code == 204 and deal.properties["dealstage"] == id
    assert api.send("GET", f"{base}/{id}").status_code == 404
    assert id not in [each["id"] for each in api.ok("GET", base)["results"]]
    assert [each["action"] for each in api.ok("GET", f"{base}/{id}/audit")["results"]][0] == "DELETE"


def test_an_edit_of_a_pipeline_makes_all_its_records_modified(api: Api) -> None:
    """Users of the API report it; a pull then reads every deal of the pipeline again."""
    (inside,), (archived,) = some(api.site, "deals"), some(api.site, "deals")
    api.site.store.archive("deals", archived.id)
    api.site.clock.advance(60)
    api.ok("PATCH", api.path("pipelines", "/deals/default"), {"label": "Selling"})
    assert inside.updated_ms == api.site.store.now_ms() > archived.updated_ms


# Owners


def test_owners_are_listed_by_500_at_most(api: Api) -> None:
    """100 where nothing is asked; `after` goes on; the slash at the end that a client sends does no harm."""
    owners = {
        str(number): Owner(
            id=str(number), email=f"o{number}@example.com", first_name="", last_name="", user_id=number + 1
        )
        for number in range(1_000, 1_600)
    }
    api.site.store.owners |= owners
    path = api.path("owners", "/")
    first = api.ok("GET", path)
    assert len(first["results"]) == 100
    following = api.ok("GET", path, limit=500, after=first["paging"]["next"]["after"])
    last = api.ok("GET", path, limit=500, after=following["paging"]["next"]["after"])
    ids = [each["id"] for page in (first, following, last) for each in page["results"]]
    assert len(ids) == len(set(ids)) == 601 and "paging" not in last
    assert api.send("GET", path, limit=501).status_code == 400
    for id in owners:
        del api.site.store.owners[id]


def test_an_owner_who_left_shows_with_archived_only(api: Api) -> None:
    """Records keep the id; the user's number moves to `userIdIncludingInactive`."""
    left = Owner(id="72", email="Left@example.com", first_name="L", last_name="E", user_id=8, is_archived=True)
    api.site.store.owners["72"] = left
    assert [each["id"] for each in api.ok("GET", api.path("owners", ""))["results"]] == ["71"]
    (found,) = api.ok("GET", api.path("owners", ""), archived="true")["results"]
    assert found["userIdIncludingInactive"] == 8 and "userId" not in found
    assert api.send("GET", api.path("owners", "/72")).status_code == 404
    assert api.ok("GET", api.path("owners", "/72"), archived="true")["archived"] is True
    assert api.ok("GET", api.path("owners", ""), archived="true", email="left@example.com")["results"] == [found]


def test_an_owner_is_found_by_the_users_number(api: Api) -> None:
    """Records hold the owner's id; other systems hold the user's."""
    assert api.ok("GET", api.path("owners", "/7"), idProperty="userId")["id"] == "71"
    assert api.send("GET", api.path("owners", "/7")).status_code == 404
    assert api.send("GET", api.path("owners", "/7"), idProperty="email").status_code == 400
    answer = api.limited("tickets").send("GET", api.path("owners", ""))
    assert answer.status_code == 403


# Account and limits


def account(api: Api, tail: str) -> str:
    return f"/account-info/{'v3' if api.family == 'v3' else '2026-09'}/{tail}"


def test_the_account_tells_whose_it_is(api: Api) -> None:
    """A guard compares the portal's number before it writes."""
    found = api.ok("GET", account(api, "details"))
    assert found["portalId"] == 62515 and found["accountType"] == "DEVELOPER_TEST"
    assert (found["timeZone"], found["utcOffset"]) == ("Europe/Amsterdam", "+01:00")
    api.site.store.account.type = "STANDARD"
    assert api.ok("GET", account(api, "details"))["accountType"] == "STANDARD"
    api.site.store.account.type = "DEVELOPER_TEST"


def test_the_days_use_grows_and_ends_at_the_portals_midnight(api: Api) -> None:
    """It is Amsterdam's midnight, an hour before that of UTC."""
    path = account(api, "api-usage/daily/private-apps")
    (first,), (second,) = (api.ok("GET", path)["results"] for _ in range(2))
    assert second["currentUsage"] == first["currentUsage"] + 1
    assert second["resetsAt"].startswith("2026-03-02T23:00:00") and second["fetchStatus"] == "SUCCESS"


def test_limits_tell_what_is_used(api: Api) -> None:
    """Records by kind, properties by kind."""
    some(api.site, "companies")
    live = sum(not each.is_archived for each in api.site.store.records["companies"].values())
    records = api.ok("GET", api.path("limits", "/records"))
    (found,) = [each for each in records["hubspotDefinedObjectTypes"] if each["objectTypeId"] == "0-2"]
    assert found["usage"] == live and found["limit"] > live
    assert [each["pluralLabel"] for each in records["customObjectTypes"]["byObjectType"]] == ["cables"]
    own = [each for each in api.site.store.definitions["companies"].values() if not each.hubspot_defined]
    told = api.ok("GET", api.path("limits", "/custom-properties"))["byObjectType"]
    (found,) = [each for each in told if each["objectTypeId"] == "0-2"]
    assert found["usage"] == sum(each.archived_ms is None for each in own) and found["limit"] == 1_000
