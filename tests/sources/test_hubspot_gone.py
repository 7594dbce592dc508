"""HubSpot's records that are no longer live: archived, merged away, purged; and what a census makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.sandbox.hubspot import NEW_ID, PRIMARY_ID, TOKEN
from tests.sources.hubspot_home import DAY_S, HubSpotHome, define, running, small_site, some, without


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    with running(small_site(companies=12, contacts=6), tmp_path) as running_home:
        yield running_home


def first(home: HubSpotHome, count: int = 1, kind: str = "companies") -> list[str]:
    """Return the ids of the first records."""
    return list(home.site.store.records[kind])[:count]


def right(home: HubSpotHome, kind: str = "companies") -> bool:
    """Tell whether every record has the state that it has in the portal."""
    return home.states(kind) == home.true_states(kind)


# Archived and restored


def test_an_archived_record_keeps_its_values_and_is_live_again_when_it_is_restored(home: HubSpotHome) -> None:
    """Neither moves its modified date: no search tells."""
    [number] = first(home)
    home.pull("companies")
    home.later()
    home.site.store.archive("companies", number)
    home.pull("companies")
    assert home.one("companies", number, "dss_record_state, name, archived_at IS NULL") == (
        "archived",
        "companies 0",
        False,
    )
    home.later(DAY_S)
    home.site.store.restore("companies", number)
    home.pull("companies")
    assert home.one("companies", number, "dss_record_state, archived_at") == ("live", None)


def test_a_record_that_was_archived_again_with_other_values_has_them(home: HubSpotHome) -> None:
    """It stood in the bin at both looks: the time of its archiving tells."""
    [number] = first(home)
    home.site.store.archive("companies", number)
    home.pull("companies")
    home.later(DAY_S)
    home.site.store.restore("companies", number)
    home.site.store.update("companies", number, {"name": "renamed between"})
    home.site.store.archive("companies", number)
    home.later()
    home.pull("companies")
    assert home.one("companies", number, "dss_record_state, name") == ("archived", "renamed between")


def test_a_record_that_is_archived_while_the_pull_runs_ends_archived(home: HubSpotHome) -> None:
    """The bin is looked into behind the list: later than it, never before."""
    [number] = first(home)
    home.between("archived=true", lambda: home.site.store.archive("companies", number))
    home.pull("companies")
    assert right(home)


def test_what_lies_in_the_bin_untouched_is_not_read_again(home: HubSpotHome) -> None:
    """Only what is new there is asked for with its properties."""
    for number in first(home, 3):
        home.site.store.archive("companies", number)
    home.later(3_600)
    home.pull("companies")
    assert [len(body["inputs"]) for body in home.bodies("/batch/read")] == [3]
    home.later(DAY_S)
    home.pull("companies")
    assert home.bodies("/batch/read") == []


def test_a_bin_of_many_pages_is_walked_to_its_end(home: HubSpotHome) -> None:
    """100 a page, as any list."""
    for record in some(home.site, "companies", 130):
        home.site.store.archive("companies", record.id)
    home.pull("companies")
    assert right(home) and list(home.states("companies").values()).count("archived") == 130


# Merged


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
def test_merged_records_name_the_one_that_survives(home: HubSpotHome, mode: str) -> None:
    """Portals differ: a third id, or the primary one's; merged ones stand in no list and no bin."""
    home.pull("companies")
    home.site.merge_mode = mode
    home.later()
    one, other = first(home, 2)
    survivor = home.site.store.merge("companies", one, other).id
    home.later()
    home.pull("companies")
    assert right(home) and (survivor == one) == (mode == PRIMARY_ID)
    assert home.one("companies", other, "dss_record_state, dss_merged_into") == ("merged", survivor)
    assert home.one("companies", survivor, "dss_record_state, name") == ("live", "companies 0")
    assert home.aliases("companies") == {old: survivor for old in (one, other) if old != survivor}


@pytest.mark.parametrize("mode", [NEW_ID, PRIMARY_ID])
@pytest.mark.parametrize("is_loaded_between", [True, False])
def test_what_was_merged_twice_leads_to_the_last_one(home: HubSpotHome, mode: str, is_loaded_between: bool) -> None:
    """As the surviving record, and as the one that loses."""
    home.pull("companies")
    home.site.merge_mode = mode
    one, other, third, fourth = first(home, 4)
    home.later()
    middle = home.site.store.merge("companies", one, other).id
    if is_loaded_between:
        home.later()
        home.pull("companies")
    home.later()
    last = home.site.store.merge("companies", third, middle).id
    last = home.site.store.merge("companies", last, fourth).id
    home.later()
    home.pull("companies")
    aliases, merged = home.aliases("companies"), home.site.store.merged["companies"]
    assert aliases == merged and set(merged.values()) == {last}
    states = home.states("companies")
    assert {number: states[number] for number in states} == {
        number: state for number, state in home.true_states("companies").items() if number in states
    }
    assert {one, other, third, fourth} <= set(states) and (middle in states) >= is_loaded_between


def test_what_was_merged_into_a_record_that_is_archived_leads_to_it(home: HubSpotHome) -> None:
    """The survivor stands in the bin only, and tells of both."""
    home.pull("companies")
    one, other = first(home, 2)
    home.later()
    survivor = home.site.store.merge("companies", one, other).id
    home.site.store.archive("companies", survivor)
    home.later()
    home.pull("companies")
    assert right(home) and home.states("companies")[survivor] == "archived"
    assert home.aliases("companies") == {one: survivor, other: survivor}


def test_ids_that_were_merged_before_the_first_load_have_their_alias(home: HubSpotHome) -> None:
    """Who holds an old id must find the record; there is no row to mark."""
    one, other = first(home, 2)
    survivor = home.site.store.merge("companies", one, other).id
    home.pull("companies")
    assert home.aliases("companies") == {one: survivor, other: survivor}
    assert home.states("companies").get(one, "merged") == "merged"


def test_a_merged_id_that_is_asked_for_leads_to_the_survivor(home: HubSpotHome) -> None:
    """A batch names it as not found; the record itself, live or archived, is told under its own id."""
    one, other, third, fourth, fifth = first(home, 5)
    live = home.site.store.merge("companies", one, other).id
    archived = home.site.store.merge("companies", third, fourth).id
    home.site.store.archive("companies", archived)
    home.site.store.purge("companies", fifth)
    source = home.source("companies")
    pages = list(source.fetch("companies", [(one,), (other,), (third,), (fifth,), ("99",)]))
    source.close()
    states = {state.key[0]: (state.state, state.into) for page in pages for state in page.states}
    assert states == {
        one: ("merged", live),
        other: ("merged", live),
        third: ("merged", archived),
    }


def test_a_record_that_only_one_by_one_requests_know_is_read_with_all_its_properties(home: HubSpotHome) -> None:
    """Restored between two batches, it must not come with empty columns."""
    define(home.site, "companies", "colour", created_ms=1)
    [number] = first(home)
    home.site.store.update("companies", number, {"colour": "green"})
    home.site.store.archive("companies", number)
    home.between("GET /crm/objects/2026-09/companies/", lambda: home.site.store.restore("companies", number))
    source = home.source("companies")
    home.fault("archived=true", {"status": "COMPLETE", "results": [], "errors": [not_found(number)]}, times=1)
    [record] = [record for page in source.fetch("companies", [(number,)]) for record in page.records]
    source.close()
    assert record["properties"]["colour"] == "green"


def not_found(number: str) -> dict[str, Any]:
    """Make the error of a batch that names an id."""
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": [number]}}


# Purged, and the census


def test_what_was_merged_into_a_purged_record_is_gone_with_it(home: HubSpotHome) -> None:
    """Its rows hold the same person; no list, no bin and no survivor tells of them any more."""
    one, other = first(home, 2, "contacts")
    home.pull("contacts")
    survivor = home.site.store.merge("contacts", one, other).id
    home.later()
    home.pull("contacts")
    home.site.store.purge("contacts", survivor)
    states = []
    for _ in range(2):
        home.later(DAY_S)
        home.pull("contacts", mode="census")
        states.append({home.one("contacts", each, "dss_record_state")[0] for each in (one, other, survivor)})
    assert states == [{"live", "merged"}, {"gone"}]


def test_a_purged_record_is_gone_when_two_censuses_a_day_apart_missed_it(home: HubSpotHome) -> None:
    """HubSpot has no sign for it: one look is not believed."""
    [number] = first(home)
    home.pull("companies")
    home.site.store.purge("companies", number)
    home.later()
    home.pull("companies", mode="census")
    assert home.states("companies")[number] == "live"
    assert home.rows("SELECT kind FROM syncer.findings") == [("census_miss",)]
    home.later(DAY_S)
    [done] = home.pull("companies", mode="census")
    assert home.states("companies")[number] == "gone" and done.gone == 1
    assert home.rows("SELECT * FROM syncer.findings") == []


def test_a_second_census_an_hour_later_ends_nothing(home: HubSpotHome) -> None:
    """What hides a record for a moment is not its end."""
    [number] = first(home)
    home.pull("companies")
    home.site.store.purge("companies", number)
    for _ in range(3):
        home.pull("companies", mode="census")
        home.later(3_600)
    assert home.states("companies")[number] == "live"
    [(times,)] = home.rows("SELECT times FROM syncer.findings WHERE kind = 'census_miss'")
    assert times == 3


def test_a_census_does_not_count_from_before_the_token_lost_a_scope(home: HubSpotHome) -> None:
    """What the token may not read any more looks as if it were purged."""
    [number] = first(home)
    home.pull("companies")
    home.site.store.purge("companies", number)
    home.pull("companies", mode="census")
    home.later(DAY_S)
    home.site.add_token(TOKEN, without("tickets"))
    home.pull("companies", mode="census")
    assert home.states("companies")[number] == "live"
    home.later(DAY_S)
    home.pull("companies", mode="census")
    assert home.states("companies")[number] == "gone"


def test_a_census_names_what_the_token_reads_also_where_a_custom_object_is_not_there(tmp_path: Path) -> None:
    """One name that is wrong must not keep every kind's census from ending."""
    with running(small_site(companies=12), tmp_path, objects=["ghosts"]) as home:
        [number] = first(home)
        home.pull("companies")
        home.site.store.purge("companies", number)
        home.pull("companies", mode="census")
        [(detail,)] = home.rows("SELECT detail FROM syncer.findings")
        assert "companies" in detail and "ghosts" not in detail


def test_a_record_that_a_census_meets_again_begins_anew(home: HubSpotHome) -> None:
    """A miss does not count once the record was seen."""
    [number] = first(home)
    home.pull("companies")
    record = home.site.store.records["companies"].pop(number)
    home.site.reset()
    home.pull("companies", mode="census")
    home.later(DAY_S)
    home.site.store.records["companies"][number] = record
    home.site.reset()
    home.pull("companies", mode="census")
    assert home.rows("SELECT * FROM syncer.findings") == []
    assert home.states("companies")[number] == "live"


def test_a_census_tells_archived_and_merged_records_from_absent_ones(home: HubSpotHome) -> None:
    """Three ways to stand in no list, and only one of them may end a row."""
    home.pull("companies")
    archived, one, other, purged, restored = first(home, 5)
    home.later()
    home.site.store.archive("companies", archived)
    survivor = home.site.store.merge("companies", one, other).id
    home.site.store.purge("companies", purged)
    home.between("archived=true", lambda: home.site.store.update("companies", restored, {"name": "moved"}))
    [done] = home.pull("companies", mode="census")
    states = home.states("companies")
    assert (states[archived], states[one], states[other], states[purged]) == ("archived", "merged", "merged", "live")
    assert states[survivor] == "live" and done.gone == 3
    assert home.aliases("companies") == {one: survivor, other: survivor}


def test_a_record_that_is_restored_between_the_two_lists_of_a_census_stays(home: HubSpotHome) -> None:
    """It stands in neither: the first was behind it, the second before it; asked for by itself, it is there."""
    [number] = first(home)
    home.pull("companies")
    home.site.store.archive("companies", number)
    home.between("archived=true", lambda: home.site.store.restore("companies", number))
    home.pull("companies", mode="census")
    assert home.states("companies")[number] == "live"
    assert home.rows("SELECT * FROM syncer.findings") == []


def test_a_census_heals_what_the_warehouse_lacks_or_has_otherwise(home: HubSpotHome) -> None:
    """Rows that are missing, ended, or of an older version."""
    home.pull("companies")
    one, other, third = first(home, 3)
    table = "load.hubspot_companies"
    home.rows(f"DELETE FROM {table} WHERE id = '{one}' RETURNING 1")
    home.rows(f"UPDATE {table} SET dss_record_state = 'gone' WHERE id = '{other}' RETURNING 1")
    home.rows(f"UPDATE {table} SET updated_at = NULL, name = 'x' WHERE id = '{third}' RETURNING 1")
    home.pull("companies", mode="census")
    assert right(home) and home.one("companies", third, "name") == ("companies 2",)
    assert home.one("companies", one, "name") == ("companies 0",)
