"""What HubSpot would refuse is found before it is sent, in plain words: rules, owners, stages, choices, columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from syncer.errors import SyncerError
from syncer.plan import CREATE, Change, Edit
from syncer.sandbox.hubspot.model import Owner, Pipeline, Stage
from syncer.sources.hubspot import HubSpot, choices, rules
from syncer.sources.hubspot.definitions import column_of
from syncer.sources.hubspot.normal import Misfit
from syncer.sources.hubspot.rules import Rule
from syncer.target import DONE, REFUSED, Ours
from tests.sources.hubspot_home import (
    HubSpotHome,
    add_custom_kind,
    add_settings,
    define,
    running,
    small_site,
    some,
    without,
)

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    site = small_site(companies=1)
    add_settings(site)
    store = site.store
    names = (("72", "Bo", "Smit"), ("73", "Bo", "Smit"), ("74", "Cy", "Gone"))
    for n, (id, first, last) in enumerate(names):
        store.owners[id] = Owner(
            id=id, email=f"{first}{n}@example.com", first_name=first, last_name=last, user_id=8_000 + n
        )
    store.owners["74"].is_archived = True
    for kind in ("companies", "deals"):
        define(
            site,
            kind,
            "hubspot_owner_id",
            "enumeration",
            external_options=True,
            referenced_object_type="OWNER",
            hubspot_defined=True,
        )
    options = [{"value": value, "label": label} for value, label in (("A", "Alpha"), ("B", "Beta"))]
    define(site, "companies", "tier", "enumeration", field_type="select", options=options)
    define(site, "companies", "tags", "enumeration", field_type="checkbox", options=options)
    define(site, "companies", "size", "number")
    define(site, "companies", "founded", "date")
    define(site, "companies", "Foo-Bar")
    define(site, "companies", "created_at")
    define(site, "companies", "p" * 70)
    define(site, "companies", "sum", "number", calculation_formula="1")
    define(site, "companies", "fixed", read_only=True)
    define(site, "companies", "client_id", has_unique_value=True)
    stages = [
        Stage(id="9", label="New", display_order=0, metadata={}),
        Stage(id="8", label="Won", display_order=1, metadata={}),
    ]
    store.pipelines["deals"]["1"] = Pipeline(id="1", label="Renewals", stages=stages)
    store.pipelines["deals"]["2"] = Pipeline(id="2", label="Old", stages=stages, is_archived=True)
    with running(site, tmp_path) as running_home:
        yield running_home


def target(home: HubSpotHome, **options: Any) -> HubSpot:
    return cast(HubSpot, home.source("companies", **options))


def typed(home: HubSpotHome, kind: str, **row: Any) -> tuple[dict[str, str | None], dict[str, str]]:
    """Return the values that fit, as they are sent, and the reasons of those that do not."""
    found, unfit = target(home).shape(kind).typing(list(row))(list(row.values()))
    return {name: ours.sent for name, ours in found.items()}, {each.property: each.reason for each in unfit}


# Owners


@pytest.mark.parametrize("value", ["71", 71, Decimal(71), "ADA@example.com", " ada@example.com ", "ada  jansen"])
def test_an_owner_is_taken_by_id_address_or_full_name(home: HubSpotHome, value: Any) -> None:
    """Ids differ from portal to portal; people write names."""
    assert typed(home, "companies", hubspot_owner_id=value) == ({"hubspot_owner_id": "71"}, {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Ada Janssen", "There is no such owner in this portal. Did you mean Ada Jansen"),
        ("Nobody", "There is no such owner in this portal."),
        ("Bo Smit", "2 owners have this name: give the e-mail address or the id (72, 73)."),
        ("74", "The owner Cy Gone was deactivated in HubSpot."),
        ("cy gone", "The owner Cy Gone was deactivated in HubSpot."),
        ("8000", "It is a user's id; HubSpot wants the owner's, 72."),
    ],
)
def test_an_unknown_owner_does_not_fit(home: HubSpotHome, value: str, reason: str) -> None:
    """The row is rejected with a reason, and the others go on."""
    found, unfit = typed(home, "companies", hubspot_owner_id=value, name="x")
    assert found == {"name": "x"} and unfit["hubspot_owner_id"].startswith(reason)


def test_without_the_scope_owners_are_written_by_id_only(home: HubSpotHome) -> None:
    """HubSpot judges the id; a name cannot be looked up."""
    token = next(iter(home.site.tokens))
    home.site.add_token(token, scopes=without("crm.objects.owners.read"))
    assert typed(home, "companies", hubspot_owner_id="71")[0] == {"hubspot_owner_id": "71"}
    assert "may not read owners" in typed(home, "companies", hubspot_owner_id="Ada Jansen")[1]["hubspot_owner_id"]


def test_several_owners_are_a_set(home: HubSpotHome) -> None:
    """As other choices of which a record holds several."""
    define(
        home.site,
        "companies",
        "team",
        "enumeration",
        field_type="checkbox",
        external_options=True,
        referenced_object_type="OWNER",
    )
    assert typed(home, "companies", team="ada jansen;71;72")[0] == {"team": "71;72"}


# Pipelines and stages


@pytest.mark.parametrize(
    ("pipeline", "stage", "sent"),
    [
        ("Renewals", "New", ("1", "9")),
        ("1", "9", ("1", "9")),
        ("some", "new", ("0", "1")),
        (None, "Won", ("", "8")),
        (None, "9", ("", "9")),
    ],
)
def test_a_stage_is_taken_by_id_or_label_within_its_pipeline(
    home: HubSpotHome, pipeline: str | None, stage: str, sent: tuple[str, str]
) -> None:
    """Alone where only one stage is called so."""
    assert typed(home, "deals", dealstage=stage, pipeline=pipeline) == (
        dict(zip(("pipeline", "dealstage"), sent, strict=True)),
        {},
    )


@pytest.mark.parametrize(
    ("pipeline", "stage", "column", "reason"),
    [
        (None, "New", "dealstage", "More than one stage is called this (Some, Renewals): give the pipeline"),
        ("Some", "Won", "dealstage", "There is no such stage in the pipeline Some."),
        (None, "Wonn", "dealstage", "There is no such stage in this portal. Did you mean Won?"),
        ("Renewal", "New", "pipeline", "There is no such pipeline in this portal. Did you mean Renewals?"),
        ("Old", "New", "pipeline", "There is no such pipeline in this portal."),
    ],
)
def test_a_stage_that_is_none_of_its_pipelines_does_not_fit(
    home: HubSpotHome, pipeline: str | None, stage: str, column: str, reason: str
) -> None:
    """HubSpot would refuse it; a pipeline that was archived takes nothing."""
    _, unfit = typed(home, "deals", pipeline=pipeline, dealstage=stage)
    assert list(unfit) == [column] and unfit[column].startswith(reason)


def test_a_stage_column_alone_is_resolved_too(home: HubSpotHome) -> None:
    """A relation need not have the pipeline's column."""
    assert typed(home, "deals", dealstage="Won") == ({"dealstage": "8"}, {})


# Choices, types, lengths, rules


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tier", "alpha", "HubSpot wants the value 'A'"),
        ("tier", "Alfa", "the nearest: 'A'"),
        ("tier", "zzz", "none of the choices: A, B."),
        ("tags", "A;q", "none of the choices"),
        ("size", "1,234.5", "no thousands separator"),
        ("size", "1e400", "beyond"),
        ("founded", dt.datetime(2026, 1, 1, 9, tzinfo=dt.UTC), "not midnight UTC"),
        ("name", "x" * 65_537, "65,537 characters"),
        ("name", "a\x00", "NUL"),
        ("name", "\ud800", "half a character"),
    ],
)
def test_a_value_that_hubspot_would_refuse_does_not_fit(home: HubSpotHome, name: str, value: Any, reason: str) -> None:
    """Unknown option with the nearest ones, wrong type, too long."""
    _, unfit = typed(home, "companies", **{name: value})
    assert reason in unfit[name] and str(value)[:20] not in unfit[name].replace("'A'", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\0b", "a\\x00b"), ("\ud800", "\\ud800"), (b"\x01\xff", "0x01ff"), ("x" * 65_537, "x" * 65_537)],
    ids=["nul", "half", "binary", "long"],
)
def test_what_does_not_fit_comes_along_as_a_text_that_can_be_kept(home: HubSpotHome, value: Any, shown: str) -> None:
    """Whole, and what no text can carry as its code: the reject is kept in a warehouse."""
    [unfit] = target(home).shape("companies").typing(["name"])([value])[1]
    assert unfit.value == shown


def test_an_address_of_a_contact_must_be_one(home: HubSpotHome) -> None:
    """HubSpot finds contacts by it, and refuses what is none."""
    assert "email" in typed(home, "contacts", email="no address")[1]
    assert typed(home, "contacts", email=" A@B.example ") == ({"email": "A@B.example"}, {})


RULES: Sequence[tuple[str, list[str], str, str]] = [  # type, arguments, a value that fits, one that does not
    ("REGEX", ["[A-Z]+", "Capitals only, please"], "ABC", "abc"),
    ("MAX_LENGTH", ["3"], "abc", "abcd"),
    ("MIN_LENGTH", ["3"], "abc", "ab"),
    ("ALPHANUMERIC", ["NUMERIC_ONLY"], "12", "12a"),
    ("ALPHANUMERIC", ["ALPHA_ONLY"], "łódź", "a1"),
    ("ALPHANUMERIC", ["ALPHANUMERIC"], "a1", "a-1"),
    ("SPECIAL_CHARACTERS", ["NOT_ALLOWED"], "a 1", "a!"),
    ("WHITESPACE", [], "ab", "a b"),
    ("WHITESPACE", ["TRIM"], "a b", " ab"),
    ("FORMAT", ["UPPER"], "AB", "Ab"),
    ("FORMAT", ["LOWER"], "ab", "Ab"),
    ("FORMAT", ["CAPITALIZATION"], "Ab", "ab"),
    ("EMAIL", [], "a@b.example", "a@b"),
    ("EMAIL_ALLOWED_DOMAINS", ["b.example"], "a@b.example", "a@c.example"),
    ("EMAIL_BLOCKED_DOMAINS", ["b.example"], "a@c.example", "a@b.example"),
    ("DOMAIN", [], "b.example", "b example"),
    ("URL", [], "https://b.example/x", "nothing"),
    ("URL_ALLOWED_DOMAINS", ["b.example"], "https://b.example/x", "https://c.example"),
    ("URL_BLOCKED_DOMAINS", ["b.example"], "https://c.example", "https://b.example"),
    ("PHONE_NUMBER_WITH_EXPLICIT_COUNTRY_CODE", [], "+31 50 123", "050 123"),
]
OF_NUMBERS = [
    ("MAX_NUMBER", ["3"], "3", "3.5"),
    ("MIN_NUMBER", ["-1"], "-1", "-1.5"),
    ("DECIMAL", ["2"], "1.25", "1.255"),
]
OF_DATES = [
    ("START_DATE", ["1767225600000"], "2026-01-01", "2025-12-31"),
    ("END_DATE", ["1767225600000"], "2026-01-01", "2026-01-02"),
    ("DAYS_OF_WEEK", ["MONDAY", "TUESDAY"], "2026-03-02", "2026-03-01"),
]
OF_TIMES = [
    ("START_DATETIME", ["1767225600000"], "2026-01-01T00:00:00.000Z", "2025-12-31T23:59:59.000Z"),
    ("END_DATETIME", ["1767225600000"], "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"),
]
ALL = [
    (property, *each)
    for property, some_rules in (("name", RULES), ("size", OF_NUMBERS), ("founded", OF_DATES), ("at", OF_TIMES))
    for each in some_rules
]


@pytest.mark.parametrize(
    ("name", "type", "arguments", "good", "bad"), ALL, ids=[f"{each[1]}-{n}" for n, each in enumerate(ALL)]
)
def test_a_rule_of_the_portal_is_checked_before_sending(
    home: HubSpotHome, name: str, type: str, arguments: list[str], good: str, bad: str
) -> None:
    """What fits is taken by HubSpot, and what does not fit would be refused by it."""
    define(home.site, "companies", "at", "datetime")
    rule = {"ruleType": type, "ruleArguments": arguments, "shouldApplyNormalization": False}
    home.site.store.rules["companies"] = {name: [rule]}
    assert typed(home, "companies", **{name: good})[1] == {}
    reason = typed(home, "companies", **{name: bad})[1][name]
    assert reason and bad not in reason
    for value, state in ((good, DONE), (bad, REFUSED)):
        fields = {"name": Edit(None, "X"), name: Edit(None, value)}
        [outcome] = target(home).send([Change(number=1, action=CREATE, kind="companies", key="k", fields=fields)])
        assert (outcome.state, outcome.property) == (state, name if state == REFUSED else "")


def test_every_rule_that_hubspot_has_is_known() -> None:
    """27 types, as its guide lists them; two of them, in two forms each, are about the present moment."""
    durations = {"AFTER_DURATION", "BEFORE_DURATION", "AFTER_DATETIME_DURATION", "BEFORE_DATETIME_DURATION"}
    assert {each[1] for each in ALL} | durations == rules.KNOWN and len(rules.KNOWN) == 27


@pytest.mark.parametrize(
    ("type", "text", "fits"),
    [
        ("AFTER_DURATION", "2026-02-01", False),
        ("AFTER_DURATION", "2026-03-08", True),
        ("BEFORE_DATETIME_DURATION", "2026-03-08T00:00:00Z", False),
        ("BEFORE_DURATION", "2026-02-01", True),
    ],
)
def test_a_rule_about_the_present_moment_is_checked_as_far_as_it_is_clear(type: str, text: str, fits: bool) -> None:
    """A date in the past cannot lie any time after today; how far ahead it must lie is HubSpot's to say."""
    rule = [Rule(type, ("P7D",))]
    if fits:
        assert rules.obey(Ours(text, text), rule, now=lambda: NOW).sent == text
    else:
        with pytest.raises(Misfit):
            rules.obey(Ours(text, text), rule, now=lambda: NOW)


def test_a_rule_that_nobody_knew_or_that_makes_no_sense_is_left_to_hubspot() -> None:
    """A false reject is worse than a refusal."""
    odd = [Rule("BRAND_NEW", ("1",)), Rule("REGEX", ("(",)), Rule("MAX_LENGTH", ()), Rule("DECIMAL", ("x",))]
    assert rules.obey(Ours("a", "a"), odd, now=lambda: NOW).sent == "a"


def test_a_rule_that_hubspot_normalizes_by_is_applied_to_our_value() -> None:
    """Else what it keeps would never equal what we hold, and each push would write it again."""
    upper = [Rule("FORMAT", ("UPPER",), True), Rule("WHITESPACE", ("TRIM",), True)]
    assert rules.obey(Ours(" ab ", " ab "), upper, now=lambda: NOW) == Ours("AB", "AB")


def test_rules_are_read_in_both_shapes() -> None:
    """HubSpot's guide shows a list; its specification an object by property."""
    one = [{"ruleType": "MAX_LENGTH", "ruleArguments": ["3"]}]
    listed = rules.read([{"propertyName": "zip", "propertyValidationRules": one}, 7])
    assert listed == rules.read({"zip": one, "odd": 3}) == {"zip": (Rule("MAX_LENGTH", ("3",)),)}
    assert rules.read(None) == rules.read("x") == {}


# Columns, versions, new records


def test_columns_of_changed_names_lead_to_their_properties(home: HubSpotHome) -> None:
    """A load table's columns can be pushed as they are named there."""
    shape = target(home).shape("companies")
    changed = column_of("Foo-Bar", declared=())
    assert changed != "Foo-Bar" and shape.property_of(changed) == "Foo-Bar" == shape.property_of("Foo-Bar")
    own = column_of("created_at", declared=("created_at",))
    assert shape.property_of(own) == "created_at" and shape.property_of("created_at") is None
    long = column_of("p" * 70, declared=())
    assert len(long) <= 63 and shape.property_of(long) == "p" * 70


def test_a_column_that_is_not_pushed_has_a_reason_in_plain_words(home: HubSpotHome) -> None:
    """The plan lists which and why."""
    shape = target(home).shape("companies")
    assert shape.why_not("sum") == "calculated by HubSpot" and shape.why_not("fixed") == "read-only in HubSpot"
    assert shape.why_not("foundd") == "no such property in HubSpot; did you mean founded?"
    assert shape.why_not("found_at") == "no such property in HubSpot", "another word is no slip of the keys"
    assert shape.why_not("name") == "" and shape.why_not("zzzzzzzz") == "no such property in HubSpot"


def test_the_version_of_a_property_moves_with_all_that_decides_whether_a_value_fits(home: HubSpotHome) -> None:
    """What was rejected is tried again then, and only then."""

    def versions() -> dict[str, str]:
        home.later()
        return {name: each.version for name, each in target(home).shape("companies").properties.items()}

    first = versions()
    assert versions() == first
    home.site.store.rules["companies"] = {"name": [{"ruleType": "MAX_LENGTH", "ruleArguments": ["3"]}]}
    home.site.store.owners["71"].is_archived = True
    home.site.store.definitions["companies"]["tier"].options = [{"value": "C", "label": "Gamma"}]
    assert {name for name, version in versions().items() if version != first[name]} == {
        "name",
        "hubspot_owner_id",
        "tier",
    }


def test_a_new_custom_object_needs_what_its_schema_says(home: HubSpotHome) -> None:
    """HubSpot tells it of custom objects only."""
    add_custom_kind(home.site, "machines")
    shape = target(home, objects=["machines"]).shape("machines")
    assert shape.missing({}) == ["name"] and shape.missing({"name": Ours("x", "x")}) == []
    assert target(home).shape("deals").missing({}) == ["dealname", "dealstage", "pipeline"]


# What it costs


def test_definitions_are_asked_once_and_kept_on_disk_for_a_minute(home: HubSpotHome) -> None:
    """Another process of the same token does not ask again; a minute later it does."""
    first = target(home)
    first.shape("companies")
    first.shape("companies")
    cost = home.sent()
    assert len([each for each in cost if "/properties/companies" in each]) == 3  # a list for each sensitivity
    assert len([each for each in cost if "/owners" in each]) == 2 and len(cost) == 6
    target(home).shape("companies")
    assert home.sent() == []
    home.later(61)
    target(home).shape("companies")
    assert len(home.sent()) == 6


def test_what_is_kept_on_disk_is_of_one_token(home: HubSpotHome) -> None:
    """Another token sees other properties, or another portal."""
    target(home).shape("companies")
    home.sent()
    home.site.add_token("pat-other")
    other = cast(HubSpot, home.with_variables(SYNCER_HUBSPOT_TOKEN="pat-other").source("companies"))
    other.shape("companies")
    assert len(home.sent()) == 6


def test_two_hundred_changes_cost_five_requests_besides_definitions(home: HubSpotHome) -> None:
    """The portal, two reads, two writes."""
    ids = [each.id for each in some(home.site, "companies", 200)]
    source = target(home)
    source.shape("companies")
    source.guard("companies")
    home.sent()
    source.check()
    for at in (0, 100):
        source.find("companies", ids[at : at + 100], by=None, properties=["name"])
    for at in (0, 100):
        fields = {"name": Edit("x", "y")}
        changes = [
            Change(number=n, action="update", kind="companies", key=id, id=id, fields=fields)
            for n, id in enumerate(ids[at : at + 100])
        ]
        assert {each.state for each in source.send(changes)} == {DONE}
    assert len(home.sent()) == 5


def test_a_portal_whose_rules_may_not_be_read_is_pushed_to_all_the_same(home: HubSpotHome) -> None:
    """HubSpot then judges what is sent."""
    home.fault("property-validations", {"status": "error"}, status=403)
    assert typed(home, "companies", name="x") == ({"name": "x"}, {})


def test_a_damaged_folder_is_explained(home: HubSpotHome) -> None:
    """What cannot be read there is no reason for a traceback."""
    target(home).shape("companies")
    for file in (home.settings.base / "cache").glob("cache.db*"):
        file.write_bytes(b"no database at all, and long enough to be read as one")
    from syncer import cache

    cache.opened.cache_clear()
    with pytest.raises(SyncerError, match="cannot be used"):
        target(home).shape("companies")


def test_a_name_that_a_deactivated_owner_had_too_means_the_active_one() -> None:
    """Who left does not stand in the way of a namesake."""
    people = [{"id": "1", "firstName": "Bo", "lastName": "Smit", "archived": True}]
    people.append({"id": "2", "firstName": "Bo", "lastName": "Smit", "archived": False})
    assert choices.Owners(people).ours("bo smit").sent == "2"


def test_what_was_archived_of_pipelines_takes_nothing() -> None:
    """Nor does it make a stage's label mean two."""
    new, won = {"id": "1", "label": "New"}, {"id": "2", "label": "Won", "archived": True}
    old = {"id": "o", "label": "Old", "archived": True, "stages": [{"id": "3", "label": "New"}]}
    found = choices.Pipelines([{"id": "p", "label": "Some", "stages": [new, won]}, old])
    assert found.stage("New", None).sent == "1"
    for stage in ("Won", "2", "3"):
        with pytest.raises(Misfit):
            found.stage(stage, None)
    with pytest.raises(Misfit):
        found.pipeline("Old")


def test_owners_that_nobody_may_read_are_not_taken_for_none() -> None:
    """An empty list knows nobody; no list knows nothing."""
    assert choices.Owners(None).ours("12").sent == "12"
    with pytest.raises(Misfit):
        choices.Owners([]).ours("12")
