"""A revert of edges: what a run made is taken away, what it took away is put back; and five hundred changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import executing, reverting
from syncer.tally import Pushed
from tests.outbound.edges_home import PRIMARY, TICKET_COMPANY, EdgesHome, edges_at_home, tickets

REQUESTS = 25  # of the revert of 500 changes: 12 of them look at the portal, 7 read, 5 write


@pytest.fixture
def edges(tmp_path: Path, backend: str) -> Iterator[EdgesHome]:
    with edges_at_home(tmp_path / "edges", backend) as found:
        for key in ("A", "B", "C"):
            found.make("companies", key)
        yield found


def linked(edges: EdgesHome, **words: Any) -> Pushed:
    """Make tickets without companies, then name one: the run that is reverted only makes edges."""
    edges.words("tickets", edges={"company": {"to": "companies", **words}})
    edges.rows("tickets", tickets(("T1", None), ("T2", None)))
    edges.push()
    edges.set("tickets", "T1", company="A")
    edges.set("tickets", "T2", company="B")
    return edges.push()


def undo(edges: EdgesHome, done: Pushed, **request: Any) -> Pushed:
    home = edges.home
    asked = executing.Request(**request)
    return reverting.revert(done.run or "", settings=home.settings, request=asked, doors=home.doors)


def test_an_edge_that_was_made_is_taken_away(edges: EdgesHome) -> None:
    done = linked(edges)
    assert edges.linked("T1") != {}
    back = undo(edges, done)
    assert (back.counts.updated, back.disassociated, back.counts.read) == (2, 2, 2)
    assert (edges.linked("T1"), edges.linked("T2")) == ({}, {})
    again = edges.push()
    assert (edges.changes(again), edges.linked("T1")) == ([], {})


def test_an_edge_that_is_gone_already_is_nothing_to_do(edges: EdgesHome) -> None:
    done = linked(edges)
    edges.unlink("T1", "A")
    back = undo(edges, done)
    assert (back.counts.updated, back.counts.unchanged, edges.linked("T2")) == (1, 1, {})


def test_an_edge_with_a_label_goes_with_the_pair_that_it_made(edges: EdgesHome) -> None:
    """HubSpot gives a pair its type without a label by itself: nothing of it was there before."""
    edges.label("Payer")
    done = linked(edges, label="Payer")
    back = undo(edges, done)
    assert (back.exit_code, edges.linked("T1")) == (0, {})
    forth = undo(edges, back)
    assert (forth.exit_code, len(edges.linked("T1")["A"])) == (0, 3)
    assert undo(edges, forth).exit_code == 0 and edges.linked("T1") == {}


def test_a_label_goes_alone_where_the_pair_was_there_before(edges: EdgesHome) -> None:
    edges.label("Payer")
    edges.words("tickets", edges={"company": {"to": "companies", "label": "Payer"}})
    edges.rows("tickets", tickets(("T1", None)))
    edges.push()
    edges.link("T1", "A")
    before = edges.linked("T1")
    edges.set("tickets", "T1", company="A")
    done = edges.push()
    assert edges.linked("T1") != before
    undo(edges, done)
    assert edges.linked("T1") == before


def test_a_label_that_somebody_added_keeps_the_association(edges: EdgesHome) -> None:
    done = linked(edges)
    spec = edges.label("Payer")
    edges.link("T1", "A", spec)
    back = undo(edges, done)
    assert (back.counts.conflicts, back.counts.updated, list(edges.linked("T1"))) == (1, 1, ["A"])
    assert "has the label Payer" in edges.home.problems(back.plan)[0]["reason"]


def swapped(edges: EdgesHome) -> Pushed:
    """Put B in the place of A."""
    edges.rows("tickets", tickets(("T1", "A")))
    edges.push()
    edges.set("tickets", "T1", company="B")
    done = edges.push()
    assert list(edges.linked("T1")) == ["B"]
    return done


def test_an_edge_that_took_the_place_of_another_gives_it_back(edges: EdgesHome) -> None:
    done = swapped(edges)
    back = undo(edges, done)
    assert (list(edges.linked("T1")), back.counts.updated, back.exit_code) == (["A"], 2, 0)
    assert TICKET_COMPANY in edges.linked("T1")["A"]
    undo(edges, back)
    assert list(edges.linked("T1")) == ["B"]


def test_an_edge_that_was_replaced_by_somebody_since_is_a_conflict(edges: EdgesHome) -> None:
    done = swapped(edges)
    edges.unlink("T1", "B")
    edges.link("T1", "C")
    back = undo(edges, done)
    assert (list(edges.linked("T1")), back.counts.conflicts, back.counts.unchanged) == (["C"], 1, 1)


def test_an_edge_stays_where_what_it_took_the_place_of_is_gone(edges: EdgesHome) -> None:
    done = swapped(edges)
    edges.home.site.store.archive("companies", edges.record("companies", "A").id)
    back = undo(edges, done)
    assert (list(edges.linked("T1")), back.counts.conflicts, back.counts.updated) == (["B"], 2, 0)


def test_a_primary_company_that_was_replaced_is_the_primary_one_again(edges: EdgesHome) -> None:
    edges.words("tickets", edges={"company": {"to": "companies", "primary": True}})
    done = swapped_primary(edges)
    back = undo(edges, done)
    found = edges.linked("T1")
    assert (back.exit_code, [key for key, types in found.items() if PRIMARY[1] in types]) == (0, ["A"])


def swapped_primary(edges: EdgesHome) -> Pushed:
    edges.rows("tickets", tickets(("T1", "A")))
    edges.push()
    edges.set("tickets", "T1", company="B")
    done = edges.push()
    assert PRIMARY[1] in edges.linked("T1")["B"]
    return done


def test_edges_of_a_record_that_is_archived_go_with_it(edges: EdgesHome) -> None:
    """Who restores it in the UI finds it as it was."""
    edges.rows("tickets", tickets(("T1", "A"), ("T2", "B")))
    done = edges.push()
    edges.home.sent()
    back = undo(edges, done)
    assert (back.counts.archived, back.counts.unchanged, back.counts.read) == (2, 2, 4)
    assert edges.writes() == ["POST /crm/objects/2026-09/tickets/batch/archive"]


def test_each_change_is_a_row_that_is_counted_once(edges: EdgesHome) -> None:
    """A record whose field is in conflict, and whose edge comes back, is two rows."""
    edges.rows("tickets", tickets(("T1", None)))
    edges.push()
    edges.set("tickets", "T1", company="A", subject="new")
    done = edges.push()
    record = edges.record("tickets", "T1")
    edges.home.site.store.update("tickets", record.id, {"subject": "theirs"}, source_type="CRM_UI")
    back = undo(edges, done)
    assert (back.counts.conflicts, back.counts.updated, back.counts.read) == (1, 1, 2)
    assert edges.linked("T1") == {}


# All of it.


def test_of_five_hundred_changes_fifty_were_edited_since(edges: EdgesHome) -> None:
    """450 come back, 50 are conflicts that stay as they are, and nothing else is touched."""
    store = edges.home.site.store
    named = range(400, 500)
    edges.rows("tickets", [{"key": "T200", "company": None, "name": "old 200"}])
    edges.home.rows(
        "INSERT INTO stage.tickets SELECT 'T' || CAST(g AS TEXT), 'old ' || CAST(g AS TEXT), hs_pipeline, "
        "hs_pipeline_stage, company FROM stage.tickets, generate_series(201, 499) AS s(g)"
    )
    edges.push()
    edges.home.rows("UPDATE stage.tickets SET subject = 'new' WHERE own_key < 'T400'")
    edges.home.rows("UPDATE stage.tickets SET company = 'A' WHERE own_key >= 'T400'")
    edges.home.rows(
        "INSERT INTO stage.tickets SELECT REPLACE(own_key, 'T', 'M'), 'made', hs_pipeline, hs_pipeline_stage, company "
        "FROM stage.tickets WHERE own_key < 'T400'"
    )
    done = edges.push()
    assert (done.counts.created, done.counts.updated, done.exit_code) == (200, 300, 0)
    keys = {each.properties["own_key"]: each.id for each in store.records["tickets"].values()}
    edited = [*(f"M{each}" for each in range(300, 320)), *(f"T{each}" for each in range(200, 220))]
    for key in edited:
        store.update("tickets", keys[key], {"subject": "theirs"}, source_type="CRM_UI")
    spec = edges.label("Payer")
    for each in range(400, 410):
        edges.link(f"T{each}", "A", spec)
    edges.home.later()
    edges.home.sent()
    before = {id: dict(each.properties) for id, each in store.records["tickets"].items()}
    back = undo(edges, done)
    assert back.requests <= REQUESTS
    counts = back.counts
    assert (counts.archived, counts.updated, counts.conflicts, counts.read) == (180, 270, 50, 500)
    assert (back.disassociated, back.exit_code) == (90, 3)
    live = {each.properties["own_key"]: each for each in store.records["tickets"].values() if not each.is_archived}
    assert sorted(key for key in live if key.startswith("M")) == sorted(f"M{each}" for each in range(300, 320))
    assert all(live[key].properties == before[keys[key]] for key in edited)
    assert all(live[f"T{each}"].properties["subject"] == f"old {each}" for each in range(220, 400))
    own = ("own_key", "subject", "hs_pipeline", "hs_pipeline_stage")
    named_ones = [(live[f"T{each}"].properties, before[keys[f"T{each}"]]) for each in named]
    assert all(now[name] == then[name] for now, then in named_ones for name in own)
    assert [bool(edges.linked(f"T{each}")) for each in named] == [True] * 10 + [False] * 90
    again = edges.push()
    assert (edges.changes(again), again.counts.skipped, again.exit_code) == ([], 180, 0)
