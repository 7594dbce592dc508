"""`syncer check` tells what a push needs before one is tried, and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from syncer import mappings, sources
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.verbs import check_push
from syncer.verbs.found import FAILED, OK, WARNING, Found
from tests.outbound import PushHome


def looks(home: PushHome, names: Sequence[str] = ("hubspot.companies",)) -> list[Found]:
    settings = home.settings
    source = sources.connect(settings.account("hubspot"), doors=home.doors, streams=())
    try:
        source.check()
        chosen = [settings.applied_to(each) for each in mappings.choose(list(names))]
        return list(check_push.looks(source, chosen, settings, home.clock))
    finally:
        source.close()


def test_what_goes_out_and_what_does_not_is_named(home: PushHome) -> None:
    """With the key, the portal's type and its tier."""
    home.relation([{"client_id": "1", "name": "One", "colour": "red", "dss_load_date": "x"}])
    portal, found = looks(home)
    assert (portal.status, found.status) == (OK, OK)
    assert "DEVELOPER_TEST" in portal.detail and "requests in 10 s" in portal.detail
    assert "2 columns (client_id, name)" in found.detail and "found by client_id" in found.detail
    assert "colour" in found.detail and "dss_load_date" not in found.detail
    assert home.writes() == []


def test_a_token_that_may_not_write_is_told_with_the_scope(home: PushHome) -> None:
    """Before the first write."""
    home.relation([{"client_id": "1", "name": "One"}])
    home.site.add_token(TOKEN, ALL_SCOPES - {"crm.objects.companies.write"})
    found = [each for each in looks(home) if each.status == FAILED]
    assert [each.about for each in found] == ["hubspot.companies push"] and "write" in found[0].detail + found[0].hint


def of_mapping(found: Sequence[Found], name: str = "hubspot.companies") -> list[Found]:
    return [each for each in found if each.about.startswith(f"{name} push")]


@pytest.mark.parametrize(
    ("words", "scope"),
    [
        ({}, "crm.objects.companies.write"),
        ({"edges": {"person": "contacts"}}, "crm.objects.contacts.write"),
    ],
    ids=["of the kind", "of the other end of an edge column"],
)
def test_where_a_scope_is_missing_no_line_says_that_the_push_works(
    home: PushHome, words: dict[str, object], scope: str
) -> None:
    """One line, with the missing scope first, then all that the push needs."""
    home.relation([{"client_id": "1", "name": "One", "person": "ada@example.com"}])
    home.site.add_token(TOKEN, ALL_SCOPES - {scope})
    [found] = of_mapping(looks(home.with_words(**words)))
    assert found.status == FAILED and f"lacks the scope {scope}." in found.detail, found
    assert "found by client_id" in found.detail and "scopes:" in found.detail
    assert "service key" in found.hint
    assert home.writes() == []


def test_what_else_is_wrong_is_told_beside_a_missing_scope(home: PushHome) -> None:
    """Both are mended in one go."""
    home.relation([{"client_id": "1", "name": "One"}])
    home.site.add_token(TOKEN, ALL_SCOPES - {"crm.objects.companies.write"})
    first, second = of_mapping(looks(home.with_words(match_on="phone")))
    assert (first.status, second.status) == (FAILED, FAILED)
    assert "crm.objects.companies.write" in first.detail and "unique" in second.detail
    first, second = of_mapping(looks(home.with_words(relation="stage.nothing")))
    assert "crm.objects.companies.write" in first.detail and "nothing" in second.about


def test_the_scopes_that_a_push_needs_are_named_where_all_are_there(home: PushHome) -> None:
    """Of the kind, to read and to write: who makes a token sees which ones to choose."""
    home.relation([{"client_id": "1", "name": "One"}])
    [found] = of_mapping(looks(home))
    assert found.status == OK
    assert found.detail.endswith("; scopes: crm.objects.companies.read, crm.objects.companies.write"), found.detail


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        ({"person": "contacts"}, ", crm.objects.contacts.read, crm.objects.contacts.write"),
        ({"person": "tickets"}, ", tickets"),
        ({"person": "companies"}, ""),
        ({"person": "notes"}, ", crm.objects.contacts.read, crm.objects.contacts.write"),
        ({"person": "emails"}, ", crm.objects.contacts.read, crm.objects.contacts.write, sales-email-read"),
        ({"person": "cables"}, ", crm.objects.custom.read, crm.objects.custom.write"),
    ],
)
def test_the_scopes_of_the_other_ends_are_named_too(home: PushHome, edges: dict[str, str], told: str) -> None:
    """Each once; they are just those without which the sandbox refuses."""
    own = {**home.settings.tables["hubspot"], "objects": ["cables"]}
    settings = attrs.evolve(home.settings, tables={**home.settings.tables, "hubspot": own})
    source = sources.connect(settings.account("hubspot"), doors=home.doors, streams=())
    try:
        named = source.scopes("companies", to=tuple(edges.values()))  # type: ignore[attr-defined]  # of a target
    finally:
        source.close()
    assert ", ".join(named) == f"crm.objects.companies.read, crm.objects.companies.write{told}"
    kinds = [home.site.store.kinds[each] for each in ("companies", *edges.values())]
    assert set(named) == {scope for kind in kinds for scope in (*kind.read_scopes, *kind.write_scopes)}


def test_a_portal_where_people_work_is_a_warning(home: PushHome) -> None:
    """A dry run is allowed there."""
    home.relation([{"client_id": "1", "name": "One"}])
    home.site.store.account = attrs.evolve(home.site.store.account, type="STANDARD")
    found = [each for each in looks(home) if each.status == WARNING]
    assert len(found) == 1 and "allow_production" in found[0].hint
    [line] = of_mapping(looks(home))
    assert "people work" in line.detail and "found by client_id" in line.detail and "scopes:" in line.detail


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"relation": "stage.nothing"}, "nothing"),
        ({"match_on": "phone"}, "unique"),
        ({"match_on": "nowhere"}, "nowhere"),
        ({"policy": "newest"}, "changed_at"),
        ({"edges": {"person": "contacts"}}, "person"),
    ],
)
def test_what_is_missing_is_told(home: PushHome, words: dict[str, object], told: str) -> None:
    """Each with its name."""
    home.relation([{"client_id": "1", "name": "One"}])
    failed = [each for each in looks(home.with_words(**words)) if each.status == FAILED]
    assert len(failed) == 1 and told in failed[0].detail + failed[0].hint


def test_nothing_is_said_where_no_mapping_has_a_relation(home: PushHome) -> None:
    """Who only pulls reads nothing of pushes."""
    assert looks(home, ["hubspot.deals"]) == []
