"""What a portal defines, through the official client over our transport, and the columns that it becomes."""

from __future__ import annotations

import datetime as dt
import http.client
import itertools
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import AnswerError, NotAllowed, NotFound, SyncerError, Unavailable
from syncer.mapping import EntityMapping, Field
from syncer.sandbox.messages import Response, json_response
from syncer.sources.hubspot import definitions
from syncer.sources.hubspot.definitions import Definition, Option, column_of, columns, history_column_of, of_type
from syncer.sources.hubspot.official import Official
from syncer.values import BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from tests.sources.hubspot_lists import Bed, Lists, definition, owner, running

DECLARED = ("id", "created_at", "updated_at", "archived_at", "url")


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    """A portal with one property, a group and an owner."""
    lists = Lists(
        definitions={"companies": [definition("name")]},
        groups={"companies": [{"name": "information", "label": "Company information"}]},
        owners=[owner(1)],
    )
    with running(lists, tmp_path) as made:
        yield made


def defined(name: str, **more: Any) -> Definition:
    return Definition(object_type=more.pop("object_type", "companies"), name=name, **more)


def one_column(definition: Definition, **more: Any) -> Field:
    return columns([definition], declared=DECLARED, **more)[0]


# The client


def test_everything_that_hubspot_says_of_a_property_is_kept(bed: Bed) -> None:
    """The client's own model drops some of it (`dataSensitivity`)."""
    option = {"label": "One", "value": "1", "hidden": True, "displayOrder": 3, "description": "first"}
    rules = {"archivable": True, "readOnlyDefinition": True, "readOnlyOptions": True, "readOnlyValue": True}
    bed.lists.definitions["companies"] = [
        definition(
            "tier",
            type="enumeration",
            fieldType="select",
            description="How large",
            options=[option],
            displayOrder=2,
            calculated=True,
            calculationFormula="a + b",
            externalOptions=True,
            referencedObjectType="OWNER",
            hasUniqueValue=True,
            hidden=True,
            hubspotDefined=True,
            formField=True,
            dataSensitivity="non_sensitive",
            currencyPropertyName="currency",
            showCurrencySymbol=True,
            createdUserId="11",
            updatedUserId="12",
            archivedAt="2026-01-02T03:04:05Z",
            modificationMetadata=rules,
        )
    ]
    labels = definitions.groups(bed.official, "companies")
    assert of_type(bed.official, "companies", group_labels=labels) == [
        Definition(
            object_type="companies",
            name="tier",
            label="Tier",
            type="enumeration",
            field_type="select",
            group_name="information",
            group_label="Company information",
            description="How large",
            display_order=2,
            options=(Option(value="1", label="One", description="first", display_order=3, hidden=True),),
            calculated=True,
            calculation_formula="a + b",
            external_options=True,
            referenced_object_type="OWNER",
            has_unique_value=True,
            hidden=True,
            hubspot_defined=True,
            form_field=True,
            archived=False,
            archivable=True,
            read_only=True,
            read_only_definition=True,
            read_only_options=True,
            data_sensitivity="non_sensitive",
            currency_property_name="currency",
            show_currency_symbol=True,
            created_at=dt.datetime(2024, 3, 1, 8, 0, 0, 123_000, tzinfo=dt.UTC),
            updated_at=dt.datetime(2025, 3, 1, 8, tzinfo=dt.UTC),
            archived_at=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
            created_user_id="11",
            updated_user_id="12",
        )
    ]


def test_archived_definitions_are_a_list_of_their_own(bed: Bed) -> None:
    """And Python's True is not what the API documents."""
    bed.lists.definitions["companies"].append(definition("old", archived=True))
    assert [each.name for each in of_type(bed.official, "companies")] == ["name"]
    bed.lists.sent()
    assert [each.name for each in of_type(bed.official, "companies", archived=True)] == ["old"]
    assert bed.lists.sent()[0] == "/crm/v3/properties/companies?archived=true"


def test_sensitive_properties_are_read_where_the_token_may_see_them(bed: Bed) -> None:
    """They are in no list but their own."""
    bed.lists.definitions["companies"] += [
        definition("iban", dataSensitivity="sensitive"),
        definition("health", dataSensitivity="highly_sensitive"),
    ]
    found = {each.name: each for each in of_type(bed.official, "companies")}
    assert [name for name, each in found.items() if each.is_sensitive] == ["iban", "health"]
    assert all(one_column(found[name]).personal for name in ("iban", "health"))


@pytest.mark.parametrize("status", [400, 403])
def test_sensitive_properties_that_are_refused_are_not_there(bed: Bed, status: int) -> None:
    """Most tokens have no scope for them: that is no failure, and not asked twice."""
    bed.lists.said["dataSensitivity"] = json_response({"status": "error"}, status=status)
    assert [each.name for each in of_type(bed.official, "companies")] == ["name"]
    assert len(bed.lists.sent()) == 2


def test_an_error_of_the_transport_goes_through_the_client_unchanged(bed: Bed) -> None:
    """Callers act on our classes; the client would raise one of its own for each package."""
    bed.lists.scopes["/crm/v3/properties/companies"] = "crm.schemas.companies.read"
    with pytest.raises(NotAllowed) as refused:
        of_type(bed.official, "companies")
    assert refused.value.status == 403 and "requiredGranularScopes" in refused.value.body
    bed.lists.said["/crm/v3/owners"] = json_response({}, status=404)
    with pytest.raises(NotFound):
        list(bed.official.owners())
    bed.lists.said["/crm/v3/pipelines"] = Response(status=502, body=b"<html>")
    bed.lists.sent()
    with pytest.raises(Unavailable):
        bed.official.pipelines("deals")
    assert len(bed.lists.sent()) == bed.transport.rules.tries


def test_a_token_that_is_no_good_is_told(bed: Bed) -> None:
    """Also where only the sensitive list notices it."""
    bed.lists.said["dataSensitivity"] = json_response({}, status=401)
    with pytest.raises(NotAllowed, match="401"):
        of_type(bed.official, "companies")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Log in</html>",
        b"[]",
        b"{}",
        b'{"results": null}',
        b'{"results": [1]}',
        b'{"results": [{"label": "no name"}]}',
        b'{"results": [], "paging": {"next": {"after": "5"}}}',
    ],
)
def test_an_answer_that_is_no_whole_list_is_an_error(bed: Bed, body: bytes) -> None:
    """A short list would make columns, and rows, look gone."""
    bed.lists.said["/crm/v3/properties"] = Response(headers={"Content-Type": "application/json"}, body=body)
    with pytest.raises(AnswerError):
        of_type(bed.official, "companies")


def test_a_walk_that_would_never_end_is_an_error(bed: Bed) -> None:
    """HubSpot has named the same page again before."""
    bed.lists.said["/owners"] = json_response({"results": [owner(1)], "paging": {"next": {"after": "9"}}})
    with pytest.raises(AnswerError, match="never end"):
        list(bed.official.owners())


def test_the_requests_are_ours(bed: Bed) -> None:
    """Our User-Agent, our token, the largest page, no other host."""
    list(bed.official.owners(archived=True))
    request = bed.lists.asked[0]
    assert request.sent == "/crm/v3/owners/?limit=500&archived=true"
    assert request.headers["user-agent"] == "syncer" and request.headers["authorization"].startswith("Bearer ")


def test_a_types_name_is_one_segment_of_the_path(bed: Bed) -> None:
    """A site writes the names of its custom objects itself."""
    bed.lists.said["/crm/v3/properties/"] = json_response({"results": []})
    bed.official.properties("a/../b?c")
    assert bed.lists.sent() == ["/crm/v3/properties/a%2F..%2Fb%3Fc?archived=false"]


def test_api_objects_are_made_once(bed: Bed) -> None:
    """The client's accessors make a connection pool for each call."""
    core, groups = bed.official.api("properties", "CoreApi"), bed.official.api("properties", "GroupsApi")
    assert core is bed.official.api("properties", "CoreApi") and core.api_client is groups.api_client


def test_the_clients_models_can_be_read_too(bed: Bed) -> None:
    """They prove a sandbox; the adapter gives them what they want of an answer."""
    models = bed.official.api("properties", "CoreApi").get_all("companies")
    assert [(each.name, each.has_unique_value) for each in models.results] == [("name", False)]
    data, status, headers = bed.official.api("owners", "OwnersApi").get_page_with_http_info()
    assert (data.results[0].email, status) == ("owner1@example.com", 200) and headers["Content-Type"]


def test_loggers_and_the_switch_of_http_client_stay_as_they_were(bed: Bed) -> None:
    """The client sets them for the whole process, where a host may be looking at its own requests."""
    loggers = [logging.getLogger(name) for name in ("urllib3", "hubspot.crm.pipelines")]
    before = [logger.level for logger in loggers], http.client.HTTPConnection.debuglevel
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        http.client.HTTPConnection.debuglevel = 7
        bed.official.api("pipelines", "PipelinesApi")
        assert [logger.level for logger in loggers] == [logging.DEBUG, logging.DEBUG]
        assert http.client.HTTPConnection.debuglevel == 7
    finally:
        for logger, level in zip(loggers, before[0], strict=True):
            logger.setLevel(level)
        http.client.HTTPConnection.debuglevel = before[1]


def test_the_client_is_imported_when_it_is_used() -> None:
    """It costs 85 ms and more."""
    code = (
        "import sys; from syncer.sources.hubspot import definitions, listed, official; "
        "sys.exit(any(name == 'hubspot' or name.startswith('hubspot.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_writing_needs_a_door_of_its_own(bed: Bed) -> None:
    """A source only reads."""
    group = {"name": "billing", "label": "Billing"}
    reading = Official(lambda method, path, params: bed.transport.call(method, path, params=params))
    with pytest.raises(SyncerError, match="only read"):
        reading.api("properties", "GroupsApi").create("companies", group)
    assert bed.lists.sent() == []
    made = bed.official.api("properties", "GroupsApi").create("companies", group, _preload_content=False)
    assert made.status == 201 and bed.lists.groups["companies"][-1] == group


# Columns


@pytest.mark.parametrize(
    ("type_", "field_type", "expected"),
    [
        ("string", "text", TEXT),
        ("string", "html", TEXT),
        ("phone_number", "phonenumber", TEXT),
        ("json", "text", TEXT),
        ("object_coordinates", "text", TEXT),
        ("enumeration", "checkbox", TEXT),
        ("enumeration", "booleancheckbox", TEXT),
        ("number", "number", DECIMAL),
        ("number", "calculation_equation", DOUBLE),  # with more decimals than a decimal column has
        ("bool", "booleancheckbox", BOOLEAN),
        ("bool", "calculation_read_time", BOOLEAN),
        ("date", "date", DATE),
        ("datetime", "date", TIMESTAMP),
        ("something_new", "text", TEXT),
        ("", "", TEXT),
    ],
)
def test_a_column_has_the_type_of_its_property(type_: str, field_type: str, expected: Type) -> None:
    """By `type`: `fieldType` is how a form shows it, and a datetime has the one of a date."""
    assert one_column(defined("x", type=type_, field_type=field_type)).type is expected


def test_a_cleared_value_is_null_where_the_column_is_no_text() -> None:
    """HubSpot writes "" where a number was cleared."""
    assert one_column(defined("x", type="number")).blank_is_null
    assert not one_column(defined("x", type="string")).blank_is_null


def test_a_value_stands_under_its_propertys_own_name() -> None:
    """Also where that has a dot."""
    assert one_column(defined("a.b")).steps == ("properties", "a.b")


@pytest.mark.parametrize(
    ("definition", "comment"),
    [
        (defined("x", label="Naam – größer"), "Naam – größer"),
        (defined("x", label="Tags", type="enumeration", field_type="checkbox"), "Tags (several values, parted by ;)"),
        (defined("x", label="Tag", type="enumeration", field_type="select"), "Tag"),
        (defined("x", label="cut \ud83d"), "cut \ud83d"),
        (defined("x"), ""),
    ],
)
def test_the_comment_is_the_label(definition: Definition, comment: str) -> None:
    """People know a property by it; half an emoji is replaced where the table is shaped, for every source."""
    assert one_column(definition).comment == comment


@pytest.mark.parametrize("name", ["name", "hs_object_id", "_own", "x1", "a" * 63, "history", "dss", "x_12345678"])
def test_a_name_that_can_be_a_column_is_one(name: str) -> None:
    """Nobody looks for another one."""
    assert column_of(name, declared=DECLARED) == name


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("Name", "name_x"),
        ("NAME", "name_x"),
        ("first.name", "first_name_x"),
        ("first-name", "first_name_x"),
        ("2fa", "property_2fa_x"),
        ("имя", "property_x"),
        ("", "property_x"),
        ("dss_load_date", "property_dss_load_date_x"),
        ("DSS_X", "property_dss_x_x"),
        ("url", "url_x"),
        ("created_at", "created_at_x"),
        ("stage_history", "stage_history_x"),
        ("name_x1a2b3c4d", "name_x1a2b3c4d_x"),
        ("a" * 64, "a" * 53 + "_x"),
        ("name\n", "name_x"),
        ("\ud83d", "property_x"),
    ],
)
def test_a_name_that_cannot_be_a_column_has_a_digest(name: str, begins: str) -> None:
    """Two of them must not fall together, nor with what another property is called."""
    column = column_of(name, declared=DECLARED)
    assert column.startswith(begins) and len(column) <= 63 and len(column) == len(begins) + 8


def test_the_rule_of_names_is_fixed() -> None:
    """A warehouse has columns by it: another digest would add each of them once more."""
    assert column_of("First.Name", declared=DECLARED) == "first_name_x8cb49afd"
    assert history_column_of("First.Name", declared=DECLARED) == "first_name_x8cb49afd_history"


NAMES = st.one_of(
    st.text(alphabet="abAB_.-1xé", max_size=6),
    st.sampled_from(
        ["foo", "Foo", "foo_history", "Foo_history", "foo_x1a2b3c4d", "a" * 60, "a" * 63, "a" * 70, *DECLARED]
    ),
    st.text(max_size=80),
)


@given(st.lists(NAMES, unique=True, max_size=8))
def test_no_two_names_share_a_column_and_none_depends_on_the_others(names: list[str]) -> None:
    """A new property must never rename the column of another one, and a mapping must be possible with all of them."""
    found = columns([defined(name, type="number") for name in names], declared=DECLARED, histories=set(names))
    declared = tuple(Field(column) for column in DECLARED)
    EntityMapping(name="hubspot.things", key=("id",), fields=(*declared, *found))  # it refuses a column that is twice
    assert [field.column for field in found] == list(
        itertools.chain.from_iterable(
            (column_of(name, declared=DECLARED), history_column_of(name, declared=DECLARED)) for name in names
        )
    )


def test_a_history_is_a_second_column() -> None:
    """Only of the properties that a site names."""
    given = [defined("dealstage", label="Stage"), defined("amount", type="number")]
    found = columns(given, declared=DECLARED, histories={"dealstage"})
    assert [(field.column, field.steps, field.type) for field in found] == [
        ("dealstage", ("properties", "dealstage"), TEXT),
        ("dealstage_history", ("propertiesWithHistory", "dealstage"), JSON),
        ("amount", ("properties", "amount"), DECIMAL),
    ]
    assert found[1].comment == "Stage: all values that it had"


# Personal data, and what may be written


@pytest.mark.parametrize(
    ("object_type", "name", "expected"),
    [
        ("contacts", "email", True),
        ("contacts", "phone", True),
        ("contacts", "hs_ip_timezone", True),
        ("contacts", "ip_city", True),
        ("contacts", "hs_email_open", False),
        ("contacts", "lifecyclestage", False),
        ("companies", "phone", False),
        ("companies", "city", False),
        ("companies", "email", True),
        ("companies", "owneremail", True),
        ("companies", "hubspot_owner_id", False),
        ("2-345", "phone", True),
        ("notes", "hs_note_body", True),
        ("calls", "hs_call_to_number", True),
        ("calls", "hs_call_duration", False),
        ("emails", "hs_email_from_firstname", True),
        ("emails", "hs_email_to_email", True),
        ("emails", "hs_email_status", False),
        ("meetings", "hs_internal_meeting_notes", True),
        ("tasks", "hs_task_body", True),
        ("communications", "hs_communication_body", True),
        ("tickets", "content", True),
    ],
)
def test_personal_properties_are_known_by_name(object_type: str, name: str, expected: bool) -> None:
    """What a person is called, where they live and what they wrote; a company's address is no person's."""
    field = one_column(defined(name, object_type=object_type))
    assert field.personal is expected


def test_a_site_and_a_definition_may_call_a_property_personal() -> None:
    """And its history is as personal."""
    assert one_column(defined("nickname"), personal=["nickname"]).personal
    found = columns([defined("iban", data_sensitivity="sensitive")], declared=DECLARED, histories=["iban"])
    assert [field.personal for field in found] == [True, True]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"read_only": True}, False),
        ({"archived": True}, False),
        ({"hubspot_defined": True}, True),
        ({"hubspot_defined": True, "calculated": True}, False),
        ({"hubspot_defined": True, "read_only": True}, False),
        ({"calculated": True}, True),
        ({"calculation_formula": "a + b"}, False),
        ({"field_type": "calculation_equation"}, False),
    ],
)
def test_a_property_is_writable_unless_it_is_calculated_or_read_only(more: dict[str, Any], expected: bool) -> None:
    """Of a portal's own properties `calculated` means nothing: the formula tells."""
    assert defined("x", **more).is_writable is expected
