"""HubSpot's objects: the first load and going on with it, searches, batches, long URLs, histories, custom objects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from syncer.sandbox import Fault
from tests.sources.hubspot_home import (
    HubSpotHome,
    add_custom_kind,
    add_settings,
    define,
    ids_of,
    running,
    small_site,
    some,
)

TEN_MINUTES = dt.timedelta(minutes=10)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    with running(small_site(companies=5, contacts=3), tmp_path) as running_home:
        yield running_home


@pytest.fixture
def large(tmp_path: Path) -> Iterator[HubSpotHome]:
    """Four pages of companies."""
    with running(small_site(companies=350), tmp_path) as running_home:
        yield running_home


class Killed(Exception):
    """What a test raises in the thread that reads."""


def after_pages(count: int) -> Any:
    """Return an `on_progress` that breaks the run with its page *count* + 1."""

    def stop(progress: Any) -> None:
        if progress.pages > count:
            raise Killed

    return stop


def list_afters(home: HubSpotHome, kind: str = "companies") -> list[str]:
    """Return where each page of the list began; "" is the first."""
    lists = [each for each in home.sent() if each.startswith(f"GET /crm/objects/2026-09/{kind}?")]
    return [each.partition("after=")[2] for each in lists if "archived=true" not in each]


# The first load


def test_a_first_load_goes_by_the_list_with_the_place_behind_each_page(large: HubSpotHome) -> None:
    """No search, 100 records a page, and each page's place is where the next one begins."""
    source = large.source("companies")
    pages = list(source.read("companies", places={}, lookback=TEN_MINUTES, fields=()))
    source.close()
    listed = [page for page in pages if page.records]
    assert [len(page.records) for page in listed] == [100, 100, 100, 50]
    assert [(page.place or {}).get("after", "") for page in listed] == [*list_afters(large)[1:], ""]
    assert large.bodies("/search") == []
    assert {page.mark for page in listed} == {"2026-03-01T12:59:00.000Z"}


def test_a_killed_first_load_asks_for_no_committed_page_again(large: HubSpotHome) -> None:
    """What was committed is not paid for twice; the window of what changed since follows in the same run."""
    large.sandbox.faults.add(Fault(kind="status", match="after=", skip=1, times=None, status=400))
    large.failure("companies")
    before = list_afters(large)
    large.sandbox.faults.clear()
    large.later()
    edited = next(iter(large.site.store.records["companies"]))
    large.site.store.update("companies", edited, {"name": "edited behind the walk"})
    [done] = large.pull("companies")
    assert list_afters(large)[0] == before[-1] and len(before) == 3  # the page that failed is where it goes on
    assert len(large.bodies("/search")) == 1
    assert (done.inserted, done.updated) == (150, 1)
    assert large.states("companies") == large.true_states("companies")
    assert large.one("companies", edited, "name") == ("edited behind the walk",)


def test_a_run_that_is_broken_within_goes_on_with_what_was_committed(large: HubSpotHome) -> None:
    """The place stands beside the rows: neither lost nor loaded twice."""
    with pytest.raises(Killed):
        large.outcome("companies", on_progress=after_pages(2))
    known = large.rows("SELECT count(*) FROM load.hubspot_companies")[0][0]
    large.sent()
    [done] = large.pull("companies")
    assert done.inserted == 350 - known and len(list_afters(large)) == 4 - known // 100
    assert large.states("companies") == large.true_states("companies")


def test_what_is_edited_before_and_behind_the_walk_is_right_in_the_end(large: HubSpotHome) -> None:
    """The mark is from before the list began: an edit behind the walk comes with the next pull."""
    ids = sorted(large.site.store.records["companies"], key=int)
    first, last, archived = ids[3], ids[-3], ids[200]

    def edit() -> None:
        large.site.clock.advance(30)
        for number in (first, last):
            large.site.store.update("companies", number, {"name": "edited"})
        large.site.store.archive("companies", archived)

    large.between("after=", edit)
    large.pull("companies")
    assert large.one("companies", last, "name") == ("edited",)
    large.later()
    large.pull("companies")
    assert large.one("companies", first, "name") == ("edited",)
    assert large.states("companies") == large.true_states("companies")


def test_records_with_a_smaller_id_that_come_during_the_walk_are_found(large: HubSpotHome) -> None:
    """A new record need not have the greatest id."""
    smallest = min(map(int, large.site.store.records["companies"]))

    def create() -> None:
        large.site.store.create("companies", {"name": "small"}, id=str(smallest - 1))

    large.between("after=", create)
    large.pull("companies")
    assert str(smallest - 1) not in large.states("companies")
    large.later()
    large.pull("companies")
    assert large.one("companies", str(smallest - 1), "name, dss_record_state") == ("small", "live")


def test_records_with_a_smaller_id_that_come_during_a_search_are_found(large: HubSpotHome) -> None:
    """The walk is behind them: the overlap of the next window has them."""
    large.pull("companies")
    large.later(3_600)
    ids = sorted(large.site.store.records["companies"], key=int)
    for number in ids:
        large.site.store.update("companies", number, {"name": "all"})
    large.between(
        "batch/read", lambda: large.site.store.create("companies", {"name": "small"}, id=str(int(ids[0]) - 1))
    )
    large.pull("companies")
    large.later()
    large.pull("companies")
    assert large.states("companies") == large.true_states("companies")


def test_an_unchanged_second_run_writes_no_row_of_any_stream(tmp_path: Path) -> None:
    """Overlaps and sweeps read again what is there; nothing of it is written."""
    site = small_site(companies=4, contacts=4, deals=4, tickets=4, notes=3)
    add_settings(site)
    tickets, companies = list(site.store.records["tickets"]), list(site.store.records["companies"])
    site.store.associate("tickets", tickets[0], "companies", companies[0], ())
    site.store.archive("tickets", tickets[1])
    site.store.merge("companies", companies[1], companies[2])
    with running(site, tmp_path) as home:
        home.pull("*")
        again = home.pull("*")
        assert [run for run in again if run.inserted or run.updated or run.gone or run.rejected] == []
        assert len(again) == 15 and sum(run.unchanged for run in again) > 60


# Searches


def test_later_pulls_search_by_id_without_after_and_read_by_id(large: HubSpotHome) -> None:
    """Offsets shift while people edit, and end at 10,000; a request body of all names is too long for a search."""
    large.pull("companies")
    large.later(3_600)
    ids = sorted(large.site.store.records["companies"], key=int)
    for number in ids:
        large.site.store.update("companies", number, {"name": "again"})
    large.asked.clear()
    large.pull("companies")
    asked = [body for path, body in large.asked if path.endswith("/search")]
    assert len(asked) == 2 and all("after" not in body and body["limit"] == 200 for body in asked)
    keyset = [(f["propertyName"], f["operator"], f["value"]) for f in asked[1]["filterGroups"][0]["filters"]]
    assert keyset[1] == ("hs_object_id", "GT", ids[199]) and keyset[0][:2] == ("hs_lastmodifieddate", "GTE")
    assert asked[0]["sorts"] == [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
    assert asked[0]["properties"] == ["hs_lastmodifieddate", "hs_merged_object_ids"]
    assert [len(body["inputs"]) for body in large.bodies("/batch/read")] == [100, 100, 100, 50]
    assert set(large.column("companies", "name").values()) == {"again"}


def test_a_killed_search_goes_on_behind_its_last_id(large: HubSpotHome) -> None:
    """The window stays the same, its lower end too; what came since follows in the next one."""
    large.pull("companies")
    large.later(3_600)
    ids = sorted(large.site.store.records["companies"], key=int)
    for number in ids:
        large.site.store.update("companies", number, {"name": "again"})
    large.fault("batch/read", "cut", status=400, skip=2)
    large.failure("companies")
    floor = large.bodies("/search")[0]["filterGroups"][0]["filters"][0]["value"]
    large.sandbox.faults.clear()
    large.later()
    large.pull("companies")
    first = large.bodies("/search")[0]["filterGroups"][0]["filters"]
    assert [each["value"] for each in first] == [floor, ids[199]]
    assert set(large.column("companies", "name").values()) == {"again"}


def test_contacts_have_a_cursor_of_their_own(home: HubSpotHome) -> None:
    """By the other name a search finds nothing and says nothing."""
    home.pull("contacts")
    home.later(3_600)
    [number, *_] = home.site.store.records["contacts"]
    home.site.store.update("contacts", number, {"email": "new@example.com"})
    home.pull("contacts")
    assert home.bodies("/search")[0]["filterGroups"][0]["filters"][0]["propertyName"] == "lastmodifieddate"
    assert home.one("contacts", number, "email") == ("new@example.com",)


@pytest.mark.parametrize(("lag_s", "at_s"), [(30, 10), (300, 90)])
def test_what_search_has_not_learned_yet_comes_with_the_next_pull(home: HubSpotHome, lag_s: int, at_s: int) -> None:
    """The mark is held back by a minute, and a window begins ten before it."""
    home.pull("companies")
    home.site.index_lag_s = lag_s
    home.later(3_600)
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"name": "just now"})
    home.later(at_s)
    home.pull("companies")
    assert home.one("companies", number, "name") == ("companies 0",)
    home.later(lag_s)
    home.pull("companies")
    assert home.one("companies", number, "name") == ("just now",)


def found(*records: tuple[str, str], total: int | None = None) -> dict[str, Any]:
    """Make an answer of search: ids and when they changed."""
    results = [{"id": number, "properties": {"hs_lastmodifieddate": at}} for number, at in records]
    return {"total": len(results) if total is None else total, "results": results}


NOW, OLD = "2026-03-01T14:00:00Z", "2019-01-01T00:00:00Z"
UNTRUE = {
    "the lower end was not heeded": (found(("5", NOW), ("7", OLD)), "the filter was not heeded"),
    "records that it keeps back": (found(total=12), "told of 12 records and gave none"),
    "no total": ({"results": []}, "told no total"),
    "another order": (found(("7", NOW), ("5", NOW)), "not in the order of their ids"),
    "no id": ({"total": 1, "results": [{"properties": {}}]}, "without a usable id"),
    "null": ({"total": 1, "results": None}, "'results' is a JSON null"),
    "a text": ({"total": 1, "results": ["5"]}, "a JSON string in an array"),
    "an array": ([], "a JSON array where an object"),
}


@pytest.mark.parametrize("what", UNTRUE)
def test_an_answer_of_search_that_cannot_be_true_fails_the_run(home: HubSpotHome, what: str) -> None:
    """A filter that is not heeded, or a page that is kept back, would be a short success."""
    home.pull("companies")
    [before] = home.rows("SELECT place FROM syncer.marks WHERE scope = ''")
    home.later(3_600)
    body, told = UNTRUE[what]
    home.fault("companies/search", body)
    assert told in home.failure("companies")
    assert home.rows("SELECT place FROM syncer.marks WHERE scope = ''") == [before]


def test_a_keyset_that_is_not_heeded_fails_the_run(large: HubSpotHome) -> None:
    """It would go round for ever, or end too early."""
    large.pull("companies")
    large.later(3_600)
    numbers = sorted(map(int, large.site.store.records["companies"]))
    for number in numbers:
        large.site.store.update("companies", str(number), {"name": "again"})
    large.fault("companies/search", found((str(numbers[0]), NOW), total=400), skip=1, times=20)
    assert "the filter was not heeded" in large.failure("companies")


# Batches


def batch(home: HubSpotHome, *ids: str, errors: Any = ()) -> dict[str, Any]:
    """Make an answer of batch/read."""
    results = [
        {"id": number, "properties": {"name": "by batch"}, "createdAt": NOW, "updatedAt": NOW} for number in ids
    ]
    return {"status": "COMPLETE", "results": results, "errors": list(errors)}


def test_an_id_that_a_batch_leaves_out_without_a_word_is_asked_for_by_itself(home: HubSpotHome) -> None:
    """The place moves on behind it: nobody would ask again."""
    home.pull("companies")
    home.later(3_600)
    ids = list(home.site.store.records["companies"])[:2]
    for number in ids:
        home.site.store.update("companies", number, {"name": "changed"})
    home.fault("companies/batch/read", batch(home, ids[0]), times=1)
    home.pull("companies")
    assert home.one("companies", ids[0], "name") == ("by batch",)
    assert home.one("companies", ids[1], "name") == ("changed",)


def test_an_id_that_batches_never_tell_of_fails_the_run(home: HubSpotHome) -> None:
    """The record is there when it is asked for by itself: the batches cannot be true."""
    home.pull("companies")
    home.later(3_600)
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"name": "changed"})
    home.fault("companies/batch/read", batch(home))
    assert f"companies {number}" in home.failure("companies")


@pytest.mark.parametrize("trouble", ["status", "category"])
def test_a_batch_that_failed_in_part_does_not_pass_for_records_that_are_gone(home: HubSpotHome, trouble: str) -> None:
    """Only OBJECT_NOT_FOUND means that a record is not there; a batch that is under way is no answer."""
    home.pull("companies")
    home.later(3_600)
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {"name": "changed"})
    errors = [{"status": "error", "category": "INTERNAL_ERROR", "context": {"ids": [number]}}]
    body = batch(home, errors=errors) if trouble == "category" else {**batch(home), "status": "PROCESSING"}
    home.fault("companies/batch/read", body, times=1, status=207)
    if trouble == "status":
        assert "the batch is not complete" in home.failure("companies")
        home.pull("companies")
    else:
        home.pull("companies")
    assert home.one("companies", number, "name") == ("changed",)


def test_an_id_that_was_merged_while_search_lagged_costs_nothing(home: HubSpotHome) -> None:
    """Search still has it, a batch names it as not found, the survivor tells of it."""
    home.pull("companies")
    home.later(3_600)
    home.site.index_lag_s = 3_600
    first, second, *_ = home.site.store.records["companies"]
    home.site.store.update("companies", first, {"name": "changed"})
    home.later(3_600)
    home.site.store.merge("companies", first, second)
    home.pull("companies")
    home.site.index_lag_s = 0
    home.later()
    home.pull("companies")
    assert home.states("companies") == home.true_states("companies")


# Long URLs, histories, names


@pytest.mark.parametrize(("count", "length"), [(250, 80), (2_000, 6)])
def test_names_that_no_url_holds_are_read_by_id(home: HubSpotHome, count: int, length: int) -> None:
    """More than 15,000 characters are answered with 414, and a comma takes three of them."""
    for number in range(count):
        define(home.site, "companies", f"p{number:04d}".ljust(length, "x"))
    [number, *_] = home.site.store.records["companies"]
    last = f"p{count - 1:04d}".ljust(length, "x")
    home.site.store.update("companies", number, {last: "far behind"})
    source = home.source("companies")
    pages = list(source.read("companies", places={}, lookback=TEN_MINUTES, fields=()))
    source.close()
    assert {each.status for each in home.sandbox.log} == {200}
    assert {record["id"]: record["properties"][last] for page in pages for record in page.records}[
        number
    ] == "far behind"
    assert len(ids_of(pages)) == 5 and [len(body["inputs"]) for body in home.bodies("/batch/read")] == [5]


def test_histories_stand_beside_their_property_and_halve_the_pages(tmp_path: Path) -> None:
    """HubSpot gives 50 at most where a history is asked for, by list and by batch."""
    with running(small_site(companies=120), tmp_path, histories=["companies.name"]) as home:
        [number, *_] = home.site.store.records["companies"]
        home.site.store.update("companies", number, {"name": "second"})
        home.pull("companies")
        assert len(list_afters(home)) == 3
        history = home.one("companies", number, "json_extract_string(name_history, '$[*].value')")[0]
        assert sorted(history) == ["companies 0", "second"]
        home.later(3_600)
        for each in home.site.store.records["companies"]:
            home.site.store.update("companies", each, {"name": "third"})
        home.pull("companies")
        assert [len(body["inputs"]) for body in home.bodies("/batch/read")] == [50, 50, 20]
        assert "third" in str(home.one("companies", number, "name_history"))


def test_a_history_of_no_property_is_told_and_costs_nothing(tmp_path: Path) -> None:
    """A name that is wrong, or of a property that was archived."""
    said: list[str] = []
    logger.enable("syncer")
    sink = logger.add(said.append, level="WARNING", format="{message}")
    try:
        with running(small_site(companies=2), tmp_path, histories=["companies.naem"]) as home:
            home.pull("companies")
            assert len(home.states("companies")) == 2
    finally:
        logger.disable("syncer")
        logger.remove(sink)
    assert said == ["companies: there is no property naem whose history could be read\n"]


@pytest.mark.parametrize("name", ["a.dotted.name", "UpperCase", "id", "archived_at", "dss_hash", "n" * 80, "9lives"])
def test_a_property_of_any_name_has_a_column(home: HubSpotHome, name: str) -> None:
    """Names that cannot be a column, or that ours have, get another; no two share one."""
    define(home.site, "companies", name, created_ms=1)
    [number, *_] = home.site.store.records["companies"]
    home.site.store.update("companies", number, {name: "the value"})
    home.pull("companies")
    columns = [column for (column, *_) in home.rows("DESCRIBE load.hubspot_companies") if "_x" in column]
    assert len(columns) == 1
    assert home.one("companies", number, f'id, "{columns[0]}", archived_at') == (number, "the value", None)


# Custom objects


@pytest.mark.parametrize("objects", [["machines"], {"machines": "2-100"}, {"machines": "p62515_machines"}])
def test_custom_objects_are_read_by_the_names_that_a_site_gives(tmp_path: Path, objects: Any) -> None:
    """By its plural, by its type id, by its qualified name: one mapping and table."""
    site = small_site()
    add_custom_kind(site, "machines")
    [record] = some(site, "machines", name="lathe")
    with running(site, tmp_path, objects=objects) as home:
        home.pull("machines")
        home.later(3_600)
        site.store.update("machines", record.id, {"name": "mill"})
        home.pull("machines")
        assert home.one("machines", record.id, "name, dss_record_state") == ("mill", "live")


def test_a_custom_object_that_does_not_exist_fails_alone(tmp_path: Path) -> None:
    """One line names it, and the others are pulled."""
    with running(small_site(companies=2), tmp_path, objects=["ghosts"]) as home:
        companies, ghosts = home.outcome("companies", "ghosts")
        assert (companies.status, ghosts.status) == ("done", "failed") and "ghosts" in str(ghosts.error)


def test_ids_of_a_list_are_those_of_its_pages(large: HubSpotHome) -> None:
    """Every record once, in the order of the ids."""
    source = large.source("companies")
    ids = ids_of(list(source.read("companies", places={}, lookback=TEN_MINUTES, fields=())))
    source.close()
    assert ids == sorted(large.site.store.records["companies"], key=int)
