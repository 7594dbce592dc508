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


def test_a_portal_where_people_work_is_a_warning(home: PushHome) -> None:
    """A dry run is allowed there."""
    home.relation([{"client_id": "1", "name": "One"}])
    home.site.store.account = attrs.evolve(home.site.store.account, type="STANDARD")
    found = [each for each in looks(home) if each.status == WARNING]
    assert len(found) == 1 and "allow_production" in found[0].hint


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
