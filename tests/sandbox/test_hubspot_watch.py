"""A watch over the HubSpot site: whether a record is, at any moment, without the others that it had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncer.sandbox.hubspot import NEW_ID, PRIMARY_ID, Store
from syncer.sandbox.hubspot.watching import Watch
from tests.sandbox.hubspot_portal import Api, hand_made, running, some

ARCHIVE = "/crm/v4/associations/tickets/companies/batch/archive"
CREATE = "/crm/v4/associations/tickets/companies/batch/associate/default"


@pytest.fixture
def api() -> Iterator[Api]:
    site = hand_made()
    site.limits = None
    with running(site) as running_api:
        yield running_api


def company(api: Api, *tickets: str) -> str:
    """Make a company of these tickets."""
    (made,) = some(api.site, "companies")
    for ticket in tickets:
        api.site.store.associate("tickets", ticket, "companies", made.id, ())
    return made.id


def tickets(api: Api, count: int) -> list[str]:
    return [each.id for each in some(api.site, "tickets", count)]


def remove(api: Api, *pairs: tuple[str, str]) -> None:
    api.ok("POST", ARCHIVE, {"inputs": [{"from": {"id": one}, "to": [{"id": other}]} for one, other in pairs]})


def add(api: Api, *pairs: tuple[str, str]) -> None:
    api.ok("POST", CREATE, {"inputs": [{"from": {"id": one}, "to": {"id": other}} for one, other in pairs]})


def why(watch: Watch) -> list[tuple[str, str]]:
    return [(id, why) for id, _, why in watch.found]


def test_a_ticket_that_loses_its_last_company_is_told(api: Api) -> None:
    """With the time; the second last is none of it."""
    one, two = tickets(api, 2)
    first, second = company(api, one, two), company(api, one)
    watch = api.site.store.watch_bare("tickets", "companies")
    remove(api, (one, first))
    assert watch.found == []
    api.site.clock.advance(5)
    remove(api, (one, second), (two, first))
    now = api.site.store.now_ms()
    assert watch.found == [(one, now, "disassociate"), (two, now, "disassociate")]


def test_it_sees_each_state_between_two_requests(api: Api) -> None:
    """Bare for one request is bare, though at the end nothing is to be seen."""
    (one,) = tickets(api, 1)
    first, second = company(api, one), company(api)
    watch = api.site.store.watch_bare("tickets", "companies")
    add(api, (one, second))
    remove(api, (one, first))
    assert watch.found == []
    remove(api, (one, second))
    add(api, (one, first))
    assert why(watch) == [(one, "disassociate")]
    remove(api, (one, first))
    assert why(watch) == [(one, "disassociate")] * 2, "each time counts"


def test_it_sees_each_state_within_a_request(api: Api) -> None:
    """A pair named twice in one batch is taken away once, and put back by none of the inputs."""
    (one,) = tickets(api, 1)
    first, second = company(api, one), company(api, one)
    watch = api.site.store.watch_bare("tickets", "companies")
    remove(api, (one, first), (one, second), (one, first))
    assert why(watch) == [(one, "disassociate")]


def test_a_label_that_takes_the_pair_along_is_seen(api: Api) -> None:
    """Archiving the unlabelled type removes the pair."""
    (one,) = tickets(api, 1)
    first = company(api, one)
    watch = api.site.store.watch_bare("tickets", "companies")
    specs = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number} for number in (26, 339)]
    path = "/crm/v4/associations/tickets/companies/batch/labels/archive"
    for spec, found in zip(specs, ([], [(one, "disassociate")]), strict=True):
        api.ok("POST", path, {"inputs": [{"from": {"id": one}, "to": {"id": first}, "types": [spec]}]})
        assert why(watch) == found


def test_a_company_that_goes_leaves_its_tickets_bare(api: Api) -> None:
    """Archived or deleted for good: both are told, for each ticket of it that has no other."""
    one, two, three = tickets(api, 3)
    archived, purged, other = company(api, one), company(api, two, three), company(api, three)
    watch = api.site.store.watch_bare("tickets", "companies")
    api.ok("DELETE", f"/crm/v3/objects/companies/{archived}")
    api.site.store.purge("companies", purged)
    assert why(watch) == [(one, "archive"), (two, "purge")]
    api.site.store.restore("companies", archived)
    api.ok("POST", "/crm/v3/objects/companies/batch/archive", {"inputs": [{"id": archived}, {"id": other}]})
    assert why(watch)[2:] == [(one, "archive"), (three, "archive")]


def test_tickets_that_are_not_there_do_not_count(api: Api) -> None:
    """Neither one that never had a company nor one that is archived; one that comes back without any does."""
    never, archived = tickets(api, 2)
    first = company(api, archived)
    watch = api.site.store.watch_bare("tickets", "companies")
    add(api, (never, first))
    api.site.store.archive("tickets", archived)
    api.site.store.disassociate("tickets", archived, "companies", first)
    assert watch.found == []
    api.site.store.restore("tickets", archived)
    assert why(watch) == [(archived, "restore")]
    api.site.store.purge("tickets", archived)
    some(api.site, "tickets")
    assert len(watch.found) == 1


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
@pytest.mark.parametrize("kind", ["tickets", "companies"])
def test_a_merge_is_one_change(api: Api, kind: str, mode: str) -> None:
    """Its edges are moved, not taken away and put back: nobody is bare meanwhile, though reads may show it late."""
    api.site.merge_mode, api.site.merge_lag_s = mode, 10
    one, two = tickets(api, 2)
    first, second = company(api, one), company(api, two)
    watch = api.site.store.watch_bare("tickets", "companies")
    keep, lose = (one, two) if kind == "tickets" else (first, second)
    body = {"primaryObjectId": keep, "objectIdToMerge": lose}
    api.ok("POST", f"/crm/v3/objects/{kind}/merge", body)
    assert watch.found == []


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
def test_a_survivor_has_had_what_those_behind_it_had(api: Api, mode: str) -> None:
    """Both bare, one of them since it lost its company: so is what they become, and that is told of the new record."""
    api.site.merge_mode = mode
    keep, lose = tickets(api, 2)
    first = company(api, lose)
    watch = api.site.store.watch_bare("tickets", "companies")
    remove(api, (lose, first))
    survivor = api.site.store.merge("tickets", keep, lose).id
    assert why(watch) == [(lose, "disassociate"), (survivor, "merge")]


def test_several_watches_see_their_own_kinds(api: Api) -> None:
    """The other way round it is companies without tickets."""
    (one,) = tickets(api, 1)
    first, _ = company(api, one), company(api, one)
    store: Store = api.site.store
    of_tickets, of_companies = store.watch_bare("tickets", "companies"), store.watch_bare("companies", "tickets")
    remove(api, (one, first))
    assert of_tickets.found == [] and why(of_companies) == [(first, "disassociate")]
    of_companies.stop()
    store.archive("tickets", one)
    assert len(of_companies.found) == 1 and of_tickets.found == []


@pytest.mark.parametrize("kinds", [("ticket", "companies"), ("tickets", "nothing")])
def test_a_watch_of_what_there_is_not_is_refused(api: Api, kinds: tuple[str, str]) -> None:
    """One with a misspelt name would see nothing, for ever."""
    with pytest.raises(KeyError, match="no kind"):
        api.site.store.watch_bare(*kinds)
