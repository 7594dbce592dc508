"""A revert of a push leaves an association that a record had by itself, and the last one that it has."""

from __future__ import annotations

import pytest

from tests.operations import define
from tests.outbound.edges_home import EdgesHome, tickets
from tests.outbound.test_reverting_edges import edges as edges
from tests.outbound.test_reverting_edges import linked, swapped, undo


def merged(edges: EdgesHome, one: str, other: str) -> str:
    """Merge two companies as a person would; return what survives."""
    ids = [edges.record("companies", key).id for key in (one, other)]
    return edges.home.site.store.merge("companies", *ids).id


def companies(edges: EdgesHome, key: str) -> set[str]:
    record = edges.record("tickets", key)
    return set(edges.home.site.store.neighbours("tickets", record.id, "companies"))


@pytest.mark.parametrize("merge_mode", ["new", "primary"])
@pytest.mark.parametrize("pair", ["AB", "BA"])
def test_what_took_the_place_of_what_it_is_one_with_by_now_stays(edges: EdgesHome, merge_mode: str, pair: str) -> None:
    """It would be taken off, and nothing put back."""
    edges.home.site.merge_mode = merge_mode
    define(edges.home.site, "companies", "hs_merged_object_ids")
    done = swapped(edges)
    now = merged(edges, *pair)
    back = undo(edges, done)
    assert (back.exit_code, companies(edges, "T1")) == (3, {now})


@pytest.mark.parametrize("merge_mode", ["new", "primary"])
def test_an_old_merge_of_the_other_end_keeps_nothing(edges: EdgesHome, merge_mode: str) -> None:
    """It was one before the run already."""
    edges.home.site.merge_mode = merge_mode
    define(edges.home.site, "companies", "hs_merged_object_ids")
    merged(edges, "B", "C")
    edges.words("tickets", edges={"company": {"to": "companies"}})
    edges.rows("tickets", tickets(("T1", None)))
    edges.push()
    edges.set("tickets", "T1", company="B")
    done = edges.push()
    assert companies(edges, "T1") != set()
    back = undo(edges, done)
    assert (back.exit_code, companies(edges, "T1")) == (0, set())


def test_a_record_without_any_before_has_none_after(edges: EdgesHome) -> None:
    """There is nothing that it is to keep."""
    done = linked(edges)
    assert undo(edges, done).exit_code == 0 and companies(edges, "T1") == set()
