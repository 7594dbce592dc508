"""Records that they archived, against a portal: reported, or made anew once where `on_archived = "create"` says so."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import executing, reverting
from syncer.plan import CREATE
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.tally import Pushed
from tests.outbound import KEY, PushHome
from tests.outbound.edges_home import EdgesHome, agreed_on, tickets


def archived(home: PushHome, *, is_purged: bool = False, **more: Any) -> PortalRecord:
    """Push three rows; then they archive the record of the first, and its row changes."""
    home.relation([{KEY: str(n), "name": f"C{n}", "phone": "1", **more} for n in range(3)])
    assert home.push().counts.created == 3
    old = home.company("0")
    gone = home.site.store.purge if is_purged else home.site.store.archive
    gone("companies", old.id)
    home.later()
    unchanged = home.push()
    assert (unchanged.counts.unchanged, unchanged.exit_code) == (3, 0), "nothing of ours changed"
    home.change("0", phone="2")
    home.sent()
    return old


def open_conflicts(home: PushHome) -> list[tuple[Any, ...]]:
    return home.rows("SELECT key, field FROM syncer.conflicts WHERE state = 'open'")


def revert(home: PushHome, done: Pushed) -> Pushed:
    found = reverting.revert(
        done.run or "", settings=home.settings, request=executing.Request(wait_s=5), doors=home.doors
    )
    home.later()
    return found


def is_empty(home: PushHome) -> bool:
    """Tell whether the next push finds nothing to do."""
    home.later()
    home.writes()
    done = home.push()
    return (done.counts.unchanged, done.exit_code, home.writes()) == (3, 0, [])


@pytest.mark.parametrize("is_purged", [False, True])
def test_it_is_a_conflict_unless_the_mapping_says_otherwise(home: PushHome, is_purged: bool) -> None:
    """They archived it: making it again is for a person to say. It stays open as long as nobody does."""
    old = archived(home, is_purged=is_purged)
    for _ in range(2):
        done = home.push()
        assert (done.counts.conflicts, done.counts.unchanged, done.exit_code) == (1, 2, 3), done
        [problem] = home.problems(done.plan)
        assert (problem["kind"], problem["key"]) == ("conflict", "0") and old.id in problem["reason"]
        assert 'on_archived = "create" would make a new one' in problem["reason"]
        assert (open_conflicts(home), len(home.live()), home.writes()) == ([("0", "")], 2, [])
        home.later()


@pytest.mark.parametrize("is_purged", [False, True])
def test_it_is_made_anew_once_and_a_revert_archives_it(home: PushHome, is_purged: bool) -> None:
    old = archived(home, is_purged=is_purged)
    home.push()
    home = home.with_words(on_archived="create")
    done = home.push()
    assert (done.counts.created, done.counts.conflicts, done.counts.unchanged, done.exit_code) == (1, 0, 2, 0), done
    [change] = home.changes(done.plan)
    new = home.company("0")
    assert (change.action, change.key, new.id != old.id) == (CREATE, "0", True)
    assert (new.properties["name"], new.properties["phone"]) == ("C0", "2"), "all of the row, not what changed alone"
    assert (open_conflicts(home), len(home.live())) == ([], 3)
    assert home.rows("SELECT id FROM syncer.snapshots WHERE key = '0'") == [(new.id,)]
    assert is_empty(home)
    undone = revert(home, done)
    assert (undone.counts.archived, undone.exit_code, len(home.live())) == (1, 0, 2), undone
    again = home.push()
    assert (again.counts.skipped, again.counts.created, len(home.live())) == (1, 0, 2), "until --again asks for it"
    assert (home.push(again=("0",)).counts.created, len(home.live())) == (1, 3)


def test_a_row_that_names_the_old_record_is_made_anew_once(home: PushHome) -> None:
    """Its id finds what was archived then, and its key the new one: a reject until it names that, or none."""
    old = archived(home, hs_object_id=None)
    home.change("0", hs_object_id=old.id)
    home = home.with_words(on_archived="create")
    assert (home.push().counts.created, len(home.live())) == (1, 3)
    new = home.company("0")
    assert is_empty(home)
    home.change("0", phone="3")
    done = home.push()
    assert (done.counts.rejected, done.counts.created, done.exit_code, len(home.live())) == (1, 0, 3, 3), done
    [problem] = home.problems(done.plan)
    assert old.id in problem["reason"] and new.id in problem["reason"]
    home.change("0", hs_object_id=new.id)
    home.later()
    assert (home.push().counts.updated, home.values("phone")["0"], len(home.live())) == (1, "3", 3)
    home.change("0", hs_object_id=None)
    assert is_empty(home)


def test_one_that_a_person_made_anew_is_the_rows_record(home: PushHome) -> None:
    """It has the row's key and is live: no second one is made, and what it holds was never agreed on."""
    archived(home)
    theirs = home.make("0", name="C0", phone="9")
    home = home.with_words(on_archived="create")
    done = home.push()
    assert (done.counts.conflicts, done.counts.created, len(home.live())) == (1, 0, 3), done
    [problem] = home.problems(done.plan)
    assert (problem["field"], problem["theirs"], problem["has_agreed"]) == ("phone", "9", False)
    home.later()
    adopted = home.with_words(adopt="ours").push()
    assert (adopted.counts.updated, home.company("0").id, home.values("phone")["0"]) == (1, theirs.id, "2")


def test_edges_of_one_that_a_person_made_anew_are_written(edges: EdgesHome) -> None:
    """Nothing was agreed on with the new record: that it is linked to nothing is no edit of theirs."""
    agreed_on(edges)
    old = edges.record("tickets", "t")
    edges.home.site.store.archive("tickets", old.id)
    new = edges.make("tickets", "t")
    edges.home.later()
    edges.words("tickets", edges={"company": "companies"}, on_archived="create", adopt="ours")
    edges.rows("tickets", tickets(("t", "a"), name="other"))
    done = edges.push()
    assert (done.counts.created, done.exit_code, edges.record("tickets", "t").id) == (0, 0, new.id), done
    assert (set(edges.linked("t")), edges.agreed("t")) == ({"a"}, {"edge:company": edges.record("companies", "a").id})
    edges.home.later()
    edges.writes()
    assert (edges.push().counts.unchanged, edges.writes()) == (1, [])


def test_edges_of_one_that_is_made_anew_come_along(edges: EdgesHome) -> None:
    agreed_on(edges)
    edges.home.site.store.archive("tickets", edges.record("tickets", "t").id)
    edges.home.later()
    edges.words("tickets", edges={"company": "companies"}, on_archived="create")
    edges.rows("tickets", tickets(("t", "b"), name="other"))
    done = edges.push()
    assert (done.counts.created, done.exit_code, set(edges.linked("t"))) == (1, 0, {"b"}), done
    edges.home.later()
    assert edges.push().counts.unchanged == 1
