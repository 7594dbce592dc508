"""HubSpot while people work in it: what comes, goes and comes back between two requests, two pulls, two settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer.errors import UsageError
from syncer.sandbox.hubspot import NEW_ID, PRIMARY_ID
from syncer.sandbox.messages import Request, Site
from syncer.sources.hubspot import calls
from syncer.transport import moment_of
from tests.sources.hubspot_home import (
    DAY_S,
    HubSpotHome,
    add_custom_kind,
    define,
    running,
    small_site,
    some,
    without,
)

EDGES = "associations"
BIN_OF_CONTACTS = r"/objects/2026-09/contacts\?.*archived=true"
MONTH_S = 30 * DAY_S


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    with running(small_site(companies=5), tmp_path) as running_home:
        yield running_home


@pytest.fixture
def old(tmp_path: Path) -> Iterator[HubSpotHome]:
    """Records with edges that nobody touched for a month."""
    with running(small_site(companies=4, contacts=4, tickets=3, notes=2), tmp_path) as running_home:
        for at in (0, 1):
            link(running_home, "contacts", "companies", at)
        running_home.later(MONTH_S)
        yield running_home


def link(home: HubSpotHome, start: str, end: str, at: int = 0) -> None:
    """Associate a record of one kind with another's."""
    records = home.site.store.records
    home.site.store.associate(start, list(records[start])[at], end, list(records[end])[at], ())


def first(home: HubSpotHome, kind: str, at: int = 0) -> str:
    """Return the id of a record."""
    return list(home.site.store.records[kind])[at]


def right(home: HubSpotHome, kind: str = "companies") -> bool:
    """Tell whether every record has the state that it has in the portal."""
    return home.states(kind) == home.true_states(kind)


def pull_twice(home: HubSpotHome, *streams: str) -> None:
    """Pull on two days."""
    for _ in range(2):
        home.later(DAY_S)
        home.pull(*streams)


# Properties that come back


def test_a_property_that_comes_back_during_a_broken_first_load_is_read(tmp_path: Path) -> None:
    """The pages that were committed before came without it, and no date of their records moved."""
    site = small_site()
    tier = define(site, "companies", "tier", created_ms=1)
    some(site, "companies", 250, tier="gold")
    with running(site, tmp_path) as home:
        tier.archived_ms = site.store.now_ms()
        home.later(3_600)
        home.fault(r"companies\?.*after=", status=400, skip=1, times=None)
        home.failure("companies")
        home.sandbox.faults.clear()
        assert home.rows("SELECT count(*) FROM load.hubspot_companies") == [(200,)]
        tier.archived_ms = None
        home.later(DAY_S)
        home.pull("companies")
        assert set(home.column("companies", "tier").values()) == {"gold"}


def test_a_property_that_was_away_during_a_pull_that_failed_is_read_when_it_is_back(tmp_path: Path) -> None:
    """That pull wrote rows without it, and kept its place."""
    site = small_site()
    tier = define(site, "companies", "tier", created_ms=1)
    some(site, "companies", 5, tier="gold")
    with running(site, tmp_path) as home:
        home.pull("companies")
        home.later(3_600)
        [new] = some(site, "companies", tier="gold")
        home.later(3_600)
        tier.archived_ms = site.store.now_ms()
        home.fault(r"companies\?.*archived=true", status=400, times=1)
        home.failure("companies")
        tier.archived_ms = None
        home.later(DAY_S)
        home.pull("companies")
        assert home.one("companies", new.id, "tier") == ("gold",)


def test_a_history_that_is_named_later_is_read_of_all_records_that_have_a_value(home: HubSpotHome) -> None:
    """No date of them moves because a site wants more."""
    home.pull("companies")
    home.later(DAY_S)
    more = home.with_options(histories=["companies.name"])
    more.pull("companies")
    assert None not in more.column("companies", "name_history").values()
    more.asked.clear()
    more.later(DAY_S)
    more.pull("companies")
    assert more.bodies("/batch/read") == []
    home.pull("companies")
    [edited] = some(home.site, "companies")
    home.later(3_600)
    home.pull("companies")
    more.later(3_600)
    more.pull("companies")
    assert more.one("companies", edited.id, "name_history IS NULL") == (False,)


def test_a_property_that_no_search_takes_is_told_and_tried_again(tmp_path: Path) -> None:
    """It would count as read, and its values never come."""
    site = small_site()
    tier = define(site, "companies", "tier", created_ms=1, archived_ms=1)
    some(site, "companies", 3, tier="gold")
    with running(site, tmp_path) as home:
        home.later(3_600)
        home.pull("companies")
        tier.archived_ms = None
        for _ in range(2):
            home.later(DAY_S)
            home.fault("/search", {"message": "no"}, status=400, skip=1, times=1)  # the first search is for changes
            [done] = home.pull("companies")
            assert done.exit_code == 3 and set(home.column("companies", "tier").values()) == {None}
            [(reason,)] = home.rows("SELECT reason FROM syncer.rejects")
            assert "values of tier" in reason and "--full" in reason
        home.later(DAY_S)
        assert home.pull("companies")[0].exit_code == 0
        assert set(home.column("companies", "tier").values()) == {"gold"}
        assert home.rows("SELECT * FROM syncer.rejects") == []


def test_a_property_with_a_comma_in_its_name_is_read(tmp_path: Path) -> None:
    """A list's URL separates names by commas: they are read by id then."""
    site = small_site()
    define(site, "companies", "a,b%2C", created_ms=1)
    some(site, "companies", 2, **{"a,b%2C": "x"})
    with running(site, tmp_path) as home:
        home.pull("companies")
        [column] = [row[0] for row in home.rows("DESCRIBE load.hubspot_companies") if row[0].startswith("a_b")]
        assert set(home.column("companies", column).values()) == {"x"}
        home.later(DAY_S)
        home.asked.clear()
        home.pull("companies")
        assert len(home.bodies("/search")) == 1  # it does not count as new


# Records that come back


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_a_record_that_is_restored_during_a_first_load_is_read(home: HubSpotHome, mode: str) -> None:
    """The list was behind it, the bin was not there yet."""
    number = first(home, "companies")
    home.site.store.archive("companies", number)
    if mode == "full":
        home.pull("companies")
    home.later(3_600)
    archived = iter((False, True))  # the bin is walked before the list and behind it

    def hook(_: Site, request: Request) -> None:
        if "archived=true" in request.target and "/companies?" in request.target and next(archived, False):
            home.site.store.restore("companies", number)

    home.sandbox.before_request.append(hook)
    home.pull("companies", mode=mode)
    pull_twice(home, "companies")
    assert right(home)


def test_a_record_that_is_away_only_while_its_batch_is_read_is_read_again(home: HubSpotHome) -> None:
    """Archived between the search and the batch, restored before the bin was walked: nothing else tells of it."""
    home.pull("companies")
    number, store = first(home, "companies"), home.site.store
    home.later(3_600)
    store.update("companies", number, {"name": "edited"})
    home.later(7_200)
    home.between("batch/read", lambda: store.archive("companies", number))
    home.between(r"companies\?.*archived=true", lambda: store.restore("companies", number))
    home.pull("companies")
    assert home.one("companies", number, "name, dss_record_state") == ("edited", "live")


@pytest.mark.parametrize("streams", [("companies",), ("contacts", EDGES)])
def test_what_is_restored_behind_a_census_is_live_with_the_next_pull(
    old: HubSpotHome, streams: tuple[str, ...]
) -> None:
    """The census made it archived; no sweep of the bin had met it."""
    kind = streams[0]
    old.pull(*streams)
    number = first(old, kind)
    old.later(3_600)
    old.site.store.archive(kind, number)
    old.later()
    old.pull(*streams, mode="census", is_forced=True)
    assert old.states(kind)[number] == "archived"
    old.site.store.restore(kind, number)
    old.later(3_600)
    old.pull(*streams)
    assert right(old, kind)
    if EDGES in streams:
        assert old.edges() == old.true_edges() != {}


def test_what_is_restored_behind_a_sweep_that_failed_is_live_with_the_next_pull(tmp_path: Path) -> None:
    """Its rows were committed as archived, the place of the bin was not."""
    with running(small_site(companies=120), tmp_path) as home:
        home.pull("companies")
        store, numbers = home.site.store, list(home.site.store.records["companies"])
        home.later(3_600)
        for number in numbers[:110]:
            store.archive("companies", number)
        home.fault(r"archived=true.*after=|after=.*archived=true", status=400, times=1)
        home.failure("companies")
        assert "archived" in home.states("companies").values()
        for number in (numbers[0], numbers[105]):
            store.restore("companies", number)
        home.later(DAY_S)
        home.pull("companies")
        assert right(home)


def test_a_census_reads_what_was_edited_and_restored_between_a_search_and_the_bin(home: HubSpotHome) -> None:
    """Neither tells of it, and its edit is older than the next window: docs/hubspot.md promises the census."""
    home.pull("companies")
    number, store = first(home, "companies"), home.site.store
    home.later(3_600)
    store.update("companies", number, {"name": "edited"})
    store.archive("companies", number)
    home.later(7_200)
    home.between("archived=true", lambda: store.restore("companies", number))
    home.pull("companies")
    pull_twice(home, "companies")
    home.pull("companies", mode="census")
    assert home.one("companies", number, "name, dss_record_state") == ("edited", "live")


def test_one_wrong_date_of_the_server_hides_no_edit_of_later(
    home: HubSpotHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark two years ahead would make all windows begin there."""
    home.pull("companies")

    def ahead(text: str) -> dt.datetime | None:
        found = moment_of(text)
        return None if found is None else found + dt.timedelta(days=730)

    home.later(3_600)
    with monkeypatch.context() as patched:
        patched.setattr(calls, "moment_of", ahead)
        home.pull("companies")
    number = first(home, "companies")
    for name in ("edited", "edited again"):
        home.later(DAY_S)
        home.site.store.update("companies", number, {"name": name})
        home.later()
        home.pull("companies")
        assert home.one("companies", number, "name") == (name,)


@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_what_was_merged_into_a_record_that_was_merged_itself_leads_to_the_last_one(
    home: HubSpotHome, style: str
) -> None:
    """Also where the receiver of offers has taken the rows of the first merge away."""
    tables = {**home.settings.tables, "hubspot.companies": {"style": style}}
    home = attrs.evolve(home, settings=attrs.evolve(home.settings, tables=tables))
    home.pull("companies")
    store, (one, other, third, *_) = home.site.store, list(home.site.store.records["companies"])
    home.later(3_600)
    between = store.merge("companies", one, other).id
    home.later(3_600)
    home.pull("companies")
    home.later(3_600)
    last = store.merge("companies", between, third).id
    home.later(3_600)
    home.pull("companies")
    found = home.rows("SELECT id, dss_merged_into FROM load.hubspot_companies WHERE dss_record_state = 'merged'")
    assert dict.fromkeys((one, other, third, between), last) == dict(found) == home.aliases("companies")


# Edges


@pytest.mark.parametrize("streams", [(EDGES,), ("contacts", EDGES)])
def test_edges_of_a_record_that_is_restored_during_a_first_load_are_read(
    old: HubSpotHome, streams: tuple[str, ...]
) -> None:
    """It stood in no list, and its dates are a month old."""
    number = first(old, "contacts")
    old.site.store.archive("contacts", number)
    old.later()
    old.between("/associations/2026-09/contacts/companies/batch", lambda: old.site.store.restore("contacts", number))
    old.pull(*streams)
    old.later(3_600)
    old.pull(*streams)
    assert old.edges() == old.true_edges() != {}


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
@pytest.mark.parametrize("streams", [(EDGES,), ("contacts", EDGES)])
def test_a_full_pull_ends_the_edges_of_ids_that_were_merged_away(
    old: HubSpotHome, mode: str, streams: tuple[str, ...]
) -> None:
    """No list has them; the records that survive name them."""
    old.site.merge_mode = mode
    old.pull(*streams)
    old.later()
    old.site.store.merge("contacts", first(old, "contacts"), first(old, "contacts", 1))
    old.later(8 * DAY_S)
    old.pull(*streams, mode="full")
    assert old.edges() == old.true_edges() != {}


def test_edges_of_a_custom_object_that_is_named_again_are_read_whole(tmp_path: Path) -> None:
    """Places of other kinds have moved on meanwhile; a census leaves its rows as they are."""
    site = small_site(contacts=3)
    add_custom_kind(site, "machines")
    some(site, "machines", 2)
    with running(site, tmp_path, objects=["machines"]) as home:
        link(home, "contacts", "machines")
        home.pull(EDGES)
        less = home.with_options(objects=[])
        home.later(DAY_S)
        less.pull(EDGES)
        less.pull(EDGES, mode="census")
        assert home.edges() == home.true_edges() != {}
        link(home, "contacts", "machines", 1)
        home.later(MONTH_S)
        less.pull(EDGES)
        home.later(DAY_S)
        home.pull(EDGES)
        assert home.edges() == home.true_edges() and len(home.edges()) == 2


@pytest.mark.parametrize("name", ["pairs", EDGES, "owners", "pipelines", "pipeline_stages", "properties", "deals"])
def test_a_custom_object_may_not_be_named_as_another_stream_is(home: HubSpotHome, name: str) -> None:
    """Two streams would fill one table, or one place."""
    with pytest.raises(UsageError, match="which is no custom object"):
        home.source(EDGES, objects=[name])


def test_edges_of_a_pair_that_is_not_possible_any_more_are_deleted(old: HubSpotHome) -> None:
    """Its last label was deleted: HubSpot refuses to read the pair, and that is no failure."""
    store = old.site.store
    store.add_label("notes", "tasks", None)
    [task] = some(old.site, "tasks")
    note = first(old, "notes")
    store.associate("notes", note, "tasks", task.id, ())
    old.pull(EDGES)
    store.disassociate("notes", note, "tasks", task.id)
    for pair in (("notes", "tasks"), ("tasks", "notes")):
        store.labels[pair].clear()
    old.later(DAY_S)
    old.outcome(EDGES)
    old.later(DAY_S)
    assert old.pull(EDGES, mode="census")[0].exit_code == 0
    assert old.edges() == old.true_edges() != {}


@pytest.mark.parametrize("what", ["archived", "merged"])
def test_edges_of_records_that_ended_while_a_scope_was_missing_end_when_it_is_back(
    old: HubSpotHome, what: str
) -> None:
    """Longer than the lookback: the bin alone tells of them."""
    link(old, "tickets", "contacts")
    old.pull(EDGES)
    one, other = first(old, "tickets"), first(old, "tickets", 1)
    old.site.add_token(old.settings.variables["SYNCER_HUBSPOT_TOKEN"], without("crm.objects.contacts.read"))
    old.later(DAY_S)
    old.outcome(EDGES)
    if what == "archived":
        old.site.store.archive("tickets", one)
    else:
        old.site.store.merge("tickets", other, one)
    for _ in range(3):
        old.later(3 * DAY_S)
        old.outcome(EDGES)
    old.site.add_token(old.settings.variables["SYNCER_HUBSPOT_TOKEN"])
    pull_twice(old, EDGES)
    gone: Any = old.site.store.merged["tickets"] if what == "merged" else {one}
    assert [key for key in old.edges() if key[1] in gone] == []
