"""HubSpot's associations: which edges there are, which are deleted, what is asked for, what a missing scope costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED
from syncer.sandbox.hubspot.store import AS_ERRORS, LEFT_OUT
from tests.sources.hubspot_home import DAY_S, HubSpotHome, add_custom_kind, running, small_site, some, without

EDGES = "associations"
WEEK_S = 7 * DAY_S


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HubSpotHome]:
    site = small_site(companies=4, contacts=4, deals=3, tickets=3, notes=2)
    with running(site, tmp_path) as running_home:
        yield running_home


def link(home: HubSpotHome, start: str, end: str, *specs: tuple[str, int], at: int = 0) -> tuple[str, str]:
    """Associate the first record of one kind with another's; return both ids."""
    one, other = list(home.site.store.records[start])[at], list(home.site.store.records[end])[-1 - at]
    home.site.store.associate(start, one, end, other, specs)
    return one, other


def ended(home: HubSpotHome) -> int:
    """Return how many edges are deleted, and see that none is anything else."""
    query = "SELECT dss_record_state, count(*) FROM load.hubspot_associations GROUP BY 1"
    states = dict(home.rows(query))
    assert set(states) <= {"live", "deleted"}
    return int(states.get("deleted", 0))


def pairs_read(home: HubSpotHome) -> list[str]:
    """Return the pairs of kinds whose edges were asked for since the last call."""
    tails = [
        each.split("/associations/2026-09/")[1]
        for each in home.sent()
        if each.endswith("/batch/read") and "/associations/" in each
    ]
    return [tail.removesuffix("/batch/read") for tail in tails]


# What there is


@pytest.mark.parametrize("told", [LEFT_OUT, AS_ERRORS])
def test_each_edge_stands_once_with_a_row_for_each_label(home: HubSpotHome, told: str) -> None:
    """Whether records without edges are left out of an answer, or told as errors of it."""
    home.site.store.no_edges = told
    one, other = link(home, "contacts", "companies")
    link(home, "notes", "contacts")
    link(home, "tickets", "deals")
    label = home.site.store.add_label("contacts", "companies", "Decision maker; ✍")
    link(home, "contacts", "companies", (USER_DEFINED, label.type_id), at=1)
    home.pull(EDGES)
    edges = home.edges()
    assert edges == home.true_edges() and len(edges) == 7
    of_pair = {key[4:]: text for key, text in edges.items() if key[:4] == ("contacts", one, "companies", other)}
    assert of_pair == {(HUBSPOT_DEFINED, 279): None, (HUBSPOT_DEFINED, 1): "Primary"}
    assert "Decision maker; ✍" in edges.values()


def test_edges_between_records_of_one_kind_stand_in_both_directions(home: HubSpotHome) -> None:
    """As the API has them: parent of, child of."""
    one, other = link(home, "companies", "companies", (HUBSPOT_DEFINED, 13))
    home.pull(EDGES)
    edges = home.edges()
    assert edges == home.true_edges() and {key[1] for key in edges} == {one, other}
    assert edges["companies", one, "companies", other, HUBSPOT_DEFINED, 13] == "Parent Company"
    assert edges["companies", other, "companies", one, HUBSPOT_DEFINED, 14] == "Child Company"


def test_a_record_with_many_edges_is_paged_within(home: HubSpotHome) -> None:
    """The answer goes on by record, each with an `after` of its own."""
    home.site.store.edge_page = 3
    company, *_ = home.site.store.records["companies"]
    for contact in some(home.site, "contacts", 8):
        home.site.store.associate("contacts", contact.id, "companies", company, ())
    for deal in some(home.site, "deals", 7):
        home.site.store.associate("deals", deal.id, "contacts", contact.id, ())
        home.site.store.associate("companies", company, "companies", some(home.site, "companies")[0].id, ())
    home.pull(EDGES)
    assert home.edges() == home.true_edges() and len(home.edges()) == 8 * 2 + 7 + 2 * 7
    assert pairs_read(home).count("companies/companies") == 3


def test_more_than_a_thousand_records_take_a_batch_more(home: HubSpotHome) -> None:
    """1,000 is the most that one request takes; the first takes fewer, since they might have many edges."""
    company, *_ = home.site.store.records["companies"]
    for contact in some(home.site, "contacts", 997):
        if int(contact.id) % 100 == 0:
            home.site.store.associate("contacts", contact.id, "companies", company, ())
    last = max(home.site.store.records["contacts"], key=int)
    home.site.store.associate("contacts", last, "companies", company, ())
    home.pull(EDGES)
    assert home.edges() == home.true_edges()
    sizes = [len(body["inputs"]) for body in home.bodies("/contacts/companies/batch/read")]
    assert sizes == [250, 750, 1]


def test_a_pair_without_a_type_of_association_is_not_asked(home: HubSpotHome) -> None:
    """Notes have no edges to notes; which pairs have is asked once a day."""
    home.pull(EDGES)
    labels = [each for each in home.sent() if each.endswith("/labels")]
    assert len(labels) == 55
    home.later()
    home.site.store.update("notes", next(iter(home.site.store.records["notes"])), {"hs_note_body": "x"})
    home.pull(EDGES)
    sent = home.sent()
    assert not any(each.endswith("/labels") for each in sent)
    asked = {each for each in sent if "/associations/2026-09/notes/" in each}
    assert {each.split("/")[-3] for each in asked} == {"tickets", "deals", "contacts", "companies"}


def test_a_label_of_the_portals_own_opens_a_pair_within_a_day(home: HubSpotHome) -> None:
    """What was not possible yesterday is looked at again."""
    home.pull(EDGES)
    home.site.store.add_label("notes", "tasks", None)
    [task] = some(home.site, "tasks")
    home.site.store.associate("notes", next(iter(home.site.store.records["notes"])), "tasks", task.id, ())
    home.later(DAY_S)
    home.pull(EDGES)
    assert home.edges() == home.true_edges() != {}


def test_custom_objects_come_last_in_the_order(tmp_path: Path) -> None:
    """By name, behind HubSpot's own: contacts to machines, machines to visits."""
    site = small_site(contacts=2)
    for name in ("visits", "machines"):
        add_custom_kind(site, name)
        some(site, name, 2)
    site.store.add_label("machines", "visits", "On site")
    with running(site, tmp_path, objects=["visits", "machines"]) as home:
        link(home, "visits", "contacts")
        label = next(each for each in site.store.labels["visits", "machines"] if each.label == "On site")
        site.store.add_label("visits", "machines", None)
        link(home, "visits", "machines", (USER_DEFINED, label.type_id))
        link(home, "machines", "machines")
        home.pull(EDGES)
        assert home.edges() == home.true_edges()
        assert {key[0:3:2] for key in home.edges()} == {
            ("contacts", "visits"),
            ("machines", "visits"),
            ("machines", "machines"),
        }


# What changes


def test_edges_that_come_go_and_are_relabelled_follow_without_any_date_moving(home: HubSpotHome) -> None:
    """Notes were written within the week: their edges are read again each time."""
    one, other = link(home, "notes", "contacts")
    link(home, "notes", "deals")
    label = home.site.store.add_label("tickets", "deals", "Caused by")
    ticket, deal = link(home, "tickets", "deals")
    home.pull(EDGES)
    home.later(DAY_S)
    home.site.store.disassociate("notes", one, "contacts", other)
    link(home, "notes", "companies", at=1)
    home.site.store.associate("tickets", ticket, "deals", deal, [(USER_DEFINED, label.type_id)])
    home.pull(EDGES)
    assert home.edges() == home.true_edges() and ended(home) == 1
    home.later(DAY_S)
    home.site.store.disassociate("tickets", ticket, "deals", deal, [(USER_DEFINED, label.type_id)])
    [done] = home.pull(EDGES)
    assert home.edges() == home.true_edges() and (ended(home), done.gone) == (2, 1)


def test_a_label_that_was_renamed_is_written(home: HubSpotHome) -> None:
    """It is a column of the row, not of its key."""
    label = home.site.store.add_label("tickets", "deals", "Caused by")
    link(home, "tickets", "deals", (USER_DEFINED, label.type_id))
    home.pull(EDGES)
    for pair in (("tickets", "deals"), ("deals", "tickets")):
        found = home.site.store.labels[pair]
        found[:] = [each if each.label is None else attrs.evolve(each, label="Due to") for each in found]
    home.later(2 * WEEK_S)
    home.pull(EDGES, mode="census")
    assert home.edges() == home.true_edges() and "Due to" in home.edges().values()


def test_the_trailing_window_reaches_back_seven_days(home: HubSpotHome) -> None:
    """What nobody touched for longer is the census's."""
    link(home, "notes", "contacts")
    home.pull(EDGES)
    store = home.site.store
    number, other = next(iter(store.edges["notes", "contacts"].items()))
    for days, is_seen in ((6, True), (2, True), (1, False)):
        home.later(days * DAY_S)
        home.pull(EDGES)
        assert any("notes/" in pair for pair in pairs_read(home)) is is_seen
    store.disassociate("notes", number, "contacts", next(iter(other)))
    home.later()
    home.pull(EDGES)
    assert home.edges() != {} and home.true_edges() == {}
    [done] = home.pull(EDGES, mode="census")
    assert home.edges() == {} and (done.gone, ended(home)) == (1, 1)


def test_a_census_brings_edges_that_nobody_told_of(home: HubSpotHome) -> None:
    """Made between records that were not touched for long, and relabelled there."""
    label = home.site.store.add_label("tickets", "deals", "Caused by")
    ticket, deal = link(home, "tickets", "deals")
    home.pull(EDGES)
    home.later(2 * WEEK_S)
    home.pull(EDGES)
    link(home, "notes", "deals")
    home.site.store.associate("tickets", ticket, "deals", deal, [(USER_DEFINED, label.type_id)])
    home.later()
    home.pull(EDGES)
    assert home.edges() != home.true_edges()
    home.pull(EDGES, mode="census")
    assert home.edges() == home.true_edges()


@pytest.mark.parametrize("is_first", [True, False])
def test_edges_of_an_archived_record_end_and_come_back(home: HubSpotHome, is_first: bool) -> None:
    """Neither moves a date; the other end, where it is the one that is archived, was written within the week."""
    one, other = link(home, "notes", "contacts")
    kind, number = ("notes", one) if is_first else ("contacts", other)
    home.pull(EDGES)
    if is_first:
        home.later(2 * WEEK_S)
        home.pull(EDGES)
    home.site.store.archive(kind, number)
    home.later()
    home.pull(EDGES)
    assert home.edges() == home.true_edges() == {} and ended(home) == 1
    home.later(DAY_S)
    home.site.store.restore(kind, number)
    home.later()
    home.pull(EDGES)
    assert home.edges() == home.true_edges() != {}


def test_a_restored_records_edges_are_read_for_a_week(home: HubSpotHome) -> None:
    """Its edges may be changed behind its restoring as well."""
    one, other = link(home, "notes", "contacts")
    home.pull(EDGES)
    home.later(2 * WEEK_S)
    home.site.store.archive("notes", one)
    home.pull(EDGES)
    home.later()
    home.site.store.restore("notes", one)
    home.pull(EDGES)
    home.later(5 * DAY_S)
    home.site.store.disassociate("notes", one, "contacts", other)
    home.pull(EDGES)
    assert home.edges() == home.true_edges() == {}


@pytest.mark.parametrize("mode", ["new", "primary"])
def test_edges_of_records_that_were_merged_move_to_the_survivor(home: HubSpotHome, mode: str) -> None:
    """Old ids come back empty: theirs are deleted, also where no list has them any more."""
    home.site.merge_mode = mode
    link(home, "tickets", "companies")
    link(home, "tickets", "contacts", at=1)
    link(home, "notes", "tickets", at=1)
    home.pull(EDGES)
    home.later(2 * WEEK_S)
    home.pull(EDGES)
    one, other, *_ = home.site.store.records["tickets"]
    home.site.store.merge("tickets", one, other)
    home.later()
    home.pull(EDGES)
    merged = home.site.store.merged["tickets"]
    assert not [key for key in home.edges() if key[1] in merged]
    home.pull(EDGES, mode="census")
    assert home.edges() == home.true_edges() and len(home.edges()) == 4


def test_a_census_ends_no_edge_where_a_batch_failed_in_part(home: HubSpotHome) -> None:
    """An error that does not say "none" says nothing about what is there."""
    link(home, "notes", "contacts")
    home.pull(EDGES)
    errors = [{"status": "error", "category": "INTERNAL_ERROR", "message": "x", "context": {}}]
    home.fault("notes/contacts/batch/read", {"status": "COMPLETE", "results": [], "errors": errors}, status=207)
    for mode in ("incremental", "census"):
        assert "INTERNAL_ERROR" in home.failure(EDGES, mode=mode)
    assert home.edges() == home.true_edges()


ODD: dict[str, Any] = {
    "not asked for": [{"from": {"id": "1"}, "to": []}],
    "without toObjectId": [{"from": {"id": "ID"}, "to": [{"associationTypes": []}]}],
    "without category or typeId": [{"from": {"id": "ID"}, "to": [{"toObjectId": 5, "associationTypes": [{}]}]}],
    "without the id": [{"to": []}],
    "'to' is a JSON null": [{"from": {"id": "ID"}, "to": None}],
    "'results' is a JSON null": None,
}


@pytest.mark.parametrize("told", ODD)
def test_an_answer_about_edges_that_cannot_be_true_fails_the_run(home: HubSpotHome, told: str) -> None:
    """Read as none, it would end edges that are there."""
    number, *_ = home.site.store.records["notes"]
    link(home, "notes", "contacts")
    home.pull(EDGES)
    results = ODD[told]
    if results and results[0].get("from") == {"id": "ID"}:
        results = [{**results[0], "from": {"id": number}}]
    home.fault("notes/contacts/batch/read", {"status": "COMPLETE", "results": results})
    assert told in home.failure(EDGES)
    assert home.edges() == home.true_edges()


def test_an_after_that_does_not_move_fails_the_run(home: HubSpotHome) -> None:
    """It would never end."""
    link(home, "notes", "contacts")
    number, *_ = home.site.store.records["notes"]
    page = {"from": {"id": number}, "to": [], "paging": {"next": {"after": "x"}}}
    home.fault("notes/contacts/batch/read", {"status": "COMPLETE", "results": [page]}, times=20)
    assert "never end" in home.failure(EDGES)


# Going on, scopes


def test_a_killed_first_load_of_edges_goes_on_behind_its_last_batch(home: HubSpotHome) -> None:
    """Pairs that are done are not read again but for what changed lately."""
    for start, end in (("notes", "contacts"), ("tickets", "deals"), ("contacts", "companies")):
        link(home, start, end)
    home.later(2 * WEEK_S)
    home.fault("contacts/companies/batch/read", "cut", status=503)
    assert home.outcome(EDGES)[0].status == "failed"
    home.sandbox.faults.clear()
    home.sent()
    home.pull(EDGES)
    assert home.edges() == home.true_edges()
    assert pairs_read(home)[0] == "contacts/contacts"


@pytest.mark.parametrize("is_with_objects", [True, False])
def test_going_on_with_the_list_of_the_other_way_skips_no_record(tmp_path: Path, is_with_objects: bool) -> None:
    """Ids come from the objects' list of the same verb, or from a list of its own: the place serves both."""
    site = small_site(contacts=1_002, companies=1)
    company, *_ = site.store.records["companies"]
    for number in site.store.records["contacts"]:
        site.store.associate("contacts", number, "companies", company, ())
    ways: tuple[tuple[str, ...], tuple[str, ...]] = ((EDGES,), ("contacts", EDGES))
    with running(site, tmp_path) as home:
        home.later(2 * WEEK_S)
        home.fault("contacts/companies/batch/read", "cut", status=503, skip=1)
        assert home.outcome(*ways[is_with_objects])[-1].status == "failed"
        home.sandbox.faults.clear()
        home.pull(*ways[not is_with_objects])
        assert home.edges() == home.true_edges() and len(home.edges()) > 1_002


def test_a_missing_scope_costs_its_kind_and_names_it(home: HubSpotHome) -> None:
    """The others' edges come (exit code 3), and none of its own ends."""
    link(home, "notes", "contacts")
    link(home, "tickets", "contacts")
    home.pull(EDGES)
    home.site.add_token(TOKEN, without("tickets"))
    home.later()
    link(home, "notes", "companies", at=1)
    for mode in ("incremental", "census"):
        [done] = home.pull(EDGES, mode=mode, is_forced=True)
        assert done.exit_code == 3 and done.gone == 0
        assert home.edges() == home.true_edges()
        rejects = dict(home.rows("SELECT scope, reason FROM syncer.rejects"))
        assert "tickets" in rejects and "lacks the scope tickets" in rejects["tickets"]
    home.site.add_token(TOKEN)
    home.later()
    assert home.pull(EDGES)[0].exit_code == 0
    assert home.rows("SELECT * FROM syncer.rejects") == []


def test_edges_of_a_scope_that_was_missing_at_first_come_when_it_is_there(home: HubSpotHome) -> None:
    """The others have their places by then: nobody changed these records for weeks."""
    link(home, "contacts", "companies")
    link(home, "tickets", "contacts")
    link(home, "notes", "tickets")
    home.site.add_token(TOKEN, without("tickets"))
    assert home.pull(EDGES)[0].exit_code == 3
    home.later(2 * WEEK_S)
    assert home.pull(EDGES)[0].exit_code == 3
    home.site.add_token(TOKEN)
    home.later(DAY_S)
    assert home.pull(EDGES)[0].exit_code == 0
    assert home.edges() == home.true_edges()


def test_edges_that_changed_while_a_scope_was_missing_come_when_it_is_there_again(home: HubSpotHome) -> None:
    """The place of notes moved on without their edges to tickets."""
    link(home, "notes", "tickets")
    home.pull(EDGES)
    home.later(2 * WEEK_S)
    home.site.add_token(TOKEN, without("tickets"))
    home.site.store.update("notes", next(iter(home.site.store.records["notes"])), {"hs_note_body": "x"})
    link(home, "notes", "tickets", at=1)
    for _ in range(2):
        home.later()
        assert home.pull(EDGES)[0].exit_code == 3
    home.later(2 * WEEK_S)
    home.pull(EDGES)
    home.site.add_token(TOKEN)
    home.later()
    assert home.pull(EDGES)[0].exit_code == 0
    assert home.edges() == home.true_edges() and len(home.edges()) == 2
    home.sent()
    home.later(2 * WEEK_S)
    home.pull(EDGES)
    assert "notes/tickets" not in pairs_read(home)


def test_ids_that_a_list_gave_serve_the_associations_of_the_same_verb(home: HubSpotHome) -> None:
    """The list of a first load is not walked twice."""
    link(home, "notes", "contacts")
    home.pull("notes", EDGES)
    lists = [each for each in home.sent() if each.startswith("GET /crm/objects/2026-09/notes?")]
    assert len([each for each in lists if "archived=true" not in each]) == 1
    assert home.edges() == home.true_edges()
