"""Aliases, snapshots and load tables follow a merge at once: the next pull and the next push see one record."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import engine, pushing
from syncer.executing import Request
from syncer.journal import Pulled
from syncer.tally import Pushed
from tests.operations import OperationHome, define

TICKETS, KEY = "hubspot.tickets", "own_key"
Row = tuple[Any, ...]


def pull(home: OperationHome) -> Pulled:
    [done] = engine.pull([TICKETS], settings=home.home.settings, request=engine.Request(), doors=home.home.doors)
    assert done.status == "done", done.error
    return done


def loaded(home: OperationHome) -> dict[str, Row]:
    """Return state and survivor of each row of the load table, by id."""
    query = "SELECT id, dss_record_state, dss_merged_into FROM load.hubspot_tickets"
    return {str(id): rest for id, *rest in ((id, state, into) for id, state, into in home.rows(query))}  # type: ignore[misc]


def aliases(home: OperationHome) -> dict[str, str]:
    return dict(home.rows("SELECT old_id, new_id FROM syncer.aliases WHERE mapping = ?", [TICKETS]))


def of_group(home: OperationHome) -> tuple[list[str], str]:
    """Make three that are one and one that is alone, pulled; merge them; return their ids, and the survivor's."""
    ids = [home.ticket("7", content=text).id for text in ("one", "two", "three")]
    home.ticket("8")
    pull(home)
    home.home.later()
    done = home.run()
    assert (done.error, done.counts.merged) == (None, 2)
    home.home.later()
    return ids, home.only("7").id


def test_the_load_table_has_one_live_row_a_group_before_anything_is_pulled(home: OperationHome) -> None:
    """Under the id that survives; the others say what they were merged into."""
    ids, survivor = of_group(home)
    rows = loaded(home)
    states = {id: tuple(rest) for id, rest in rows.items()}
    assert states.pop(home.only("8").id) == ("live", None)
    assert states == {survivor: ("live", None)} | {
        id: ("merged", survivor) for id in ids if id != survivor and id in states
    }
    assert len(states) == 3
    assert {aliases(home)[id] for id in ids if id != survivor} == {survivor}


def test_a_pull_after_it_ends_with_the_same(home: OperationHome) -> None:
    """It reads the survivor's new values, and knows the others for merged, each old id of them."""
    ids, survivor = of_group(home)
    before = {id: tuple(rest) for id, rest in loaded(home).items()}
    pull(home)
    after = {id: tuple(rest) for id, rest in loaded(home).items()}
    assert {id: after[id] for id in before} == before
    assert [id for id, (state, _) in after.items() if state == "live"] == sorted(
        [survivor, home.only("8").id], key=list(after).index
    )
    assert all(each == ("merged", survivor) for id, each in after.items() if id in ids and id != survivor)
    [(content,)] = home.rows("SELECT content FROM load.hubspot_tickets WHERE CAST(id AS TEXT) = ?", [survivor])
    assert content == home.only("7").properties["content"]


def test_a_merge_before_the_first_pull_needs_no_load_table(home: OperationHome) -> None:
    """A site may merge before it reads anything."""
    home.ticket("7")
    home.ticket("7")
    assert home.run().error is None
    pull(home)
    survivor = home.only("7").id
    assert tuple(loaded(home)[survivor]) == ("live", None)


@pytest.mark.parametrize("is_emptied", [True, False])
def test_in_style_delta_the_next_pull_tells_of_it(home: OperationHome, is_emptied: bool) -> None:
    """There a load table is somebody else's to empty: rows in it may be gone, and none is touched."""
    home.words(TICKETS, style="delta")
    ids = [home.ticket("7", content=text).id for text in ("one", "two")]
    pull(home)
    if is_emptied:
        home.rows("DELETE FROM load.hubspot_tickets")
    before = loaded(home)
    home.home.later()
    assert home.run().error is None
    assert loaded(home) == before
    home.home.later()
    pull(home)
    survivor = home.only("7").id
    told = {id: tuple(rest) for id, rest in loaded(home).items()}
    assert told[survivor] == ("live", None)
    assert all(told[id] == ("merged", survivor) for id in ids if id != survivor)


# Pushes


def push(home: OperationHome, *rows: tuple[str, str]) -> Pushed:
    """Push tickets whose relation has these keys and subjects."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows("DROP TABLE IF EXISTS stage.tickets")
    home.rows(f"CREATE TABLE stage.tickets ({KEY} TEXT, subject TEXT, hs_pipeline TEXT, hs_pipeline_stage TEXT)")
    for key, subject in rows:
        home.rows("INSERT INTO stage.tickets VALUES (?, ?, '0', '1')", [key, subject])
    [done] = pushing.push(TICKETS, settings=home.home.settings, request=Request(), doors=home.home.doors)
    home.home.later()
    return done


@pytest.fixture
def pushed(home: OperationHome) -> OperationHome:
    """Two tickets that a push made, and that are one."""
    define(home.site, "tickets", KEY, has_unique_value=True)
    words = {"relation": "stage.tickets", "match_on": KEY}
    off = dict.fromkeys(("max_create_share", "max_update_share", "max_missing_share"), "off")
    home.words(TICKETS, **words, **off)
    assert push(home, ("a", "Printer"), ("b", "Printer")).counts.created == 2
    for each in home.live():
        home.site.store.update("tickets", each.id, {"nerds_ticket_id": "7"}, source_type="CRM_UI")
        home.site.clock.advance(60)
    done = home.run()
    assert (done.error, done.counts.merged) == (None, 1)
    home.home.later()
    return home


def test_a_push_whose_relation_has_both_keys_changes_neither_and_names_both(pushed: OperationHome) -> None:
    """Two rows of ours are one record of theirs: which one is right a person says."""
    subject = pushed.live()[0].properties["subject"]
    done = push(pushed, ("a", "A new"), ("b", "B new"))
    assert (done.exit_code, done.counts.created, done.counts.updated) == (3, 0, 0), done
    told = {each["key"]: each["reason"] for each in pushed.home.problems(done.plan)}
    assert set(told) == {"a", "b"} and "b" in told["a"] and "a" in told["b"]
    assert [each.properties["subject"] for each in pushed.live()] == [subject]


@pytest.mark.parametrize("key", ["a", "b"])
def test_a_push_of_one_of_the_two_goes_to_the_survivor(pushed: OperationHome, key: str) -> None:
    """Whichever of them it is, and nothing is made anew."""
    done = push(pushed, (key, "New"))
    assert (done.error, done.counts.created, done.counts.updated) == (None, 0, 1), pushed.home.problems(done.plan)
    [left] = pushed.live()
    assert left.properties["subject"] == "New"
