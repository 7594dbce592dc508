"""A pattern pushes what an edge leads to before what it comes from, whatever the order of the names."""

from __future__ import annotations

import pytest

from syncer import executing, pushing
from syncer.errors import UsageError
from syncer.tally import Pushed
from tests.outbound.edges_home import EdgesHome


def push(edges: EdgesHome, *names: str) -> list[Pushed]:
    home = edges.home
    return pushing.push(names, settings=home.settings, request=executing.Request(wait_s=5), doors=home.doors)


def order(edges: EdgesHome, *names: str) -> list[str]:
    return [mapping.name.partition(".")[2] for mapping in pushing.chosen_of(names, edges.home.settings)]


def chained(edges: EdgesHome) -> None:
    """Say that tickets name companies, and companies contacts: each of them against the order of the names."""
    edges.words("companies", edges={"champion": "contacts"})
    edges.words("contacts")
    edges.rows("contacts", [{"key": "ann@example.org"}, {"key": "bob@example.org"}])
    edges.rows(
        "companies", [{"key": "new", "champion": "ann@example.org"}, {"key": "a", "champion": "bob@example.org"}]
    )
    edges.rows("tickets", [{"key": "t", "company": "new"}, {"key": "u", "company": "a"}])


@pytest.mark.parametrize(
    "names",
    [
        ("hubspot.*",),
        ("hubspot.c*", "hubspot.t*"),
        ("hubspot.companies", "hubspot.contacts", "hubspot.tickets"),
        ("hubspot.tickets", "hubspot.companies", "hubspot.contacts"),
    ],
)
def test_what_an_edge_leads_to_is_pushed_first(edges: EdgesHome, names: tuple[str, ...]) -> None:
    """All three kinds are new in one push: one plan a mapping, and none waits for the next push."""
    chained(edges)
    assert order(edges, *names) == ["contacts", "companies", "tickets"]
    done = push(edges, *names)
    assert [each.mapping for each in done] == ["hubspot.contacts", "hubspot.companies", "hubspot.tickets"]
    assert [(each.status, each.counts.created, each.counts.rejected, each.exit_code) for each in done] == [
        ("done", 2, 0, 0),
        ("done", 1, 0, 0),  # one of the two is there already
        ("done", 2, 0, 0),
    ]
    assert len({each.plan for each in done}) == 3
    assert set(edges.linked("new", kind="companies", to="contacts")) == {"ann@example.org"}
    assert set(edges.linked("a", kind="companies", to="contacts")) == {"bob@example.org"}
    assert (set(edges.linked("t")), set(edges.linked("u"))) == ({"new"}, {"a"})
    edges.home.later()
    again = push(edges, *names)
    assert [(each.counts.unchanged, each.counts.created + each.counts.updated) for each in again] == [(2, 0)] * 3


def test_a_circle_comes_to_an_end(edges: EdgesHome) -> None:
    """Each is pushed once; what the first of them names, and a later one makes, is linked by the next push."""
    chained(edges)
    edges.words("contacts", edges={"employer": "companies"})
    edges.words("companies", edges={"champion": "contacts", "parent": {"to": "companies", "label": "Child Company"}})
    edges.rows("contacts", [{"key": "ann@example.org", "employer": "new"}])
    champion = {"champion": "ann@example.org", "parent": "a"}
    edges.rows("companies", [{"key": "new", **champion}, {"key": "a", "champion": None, "parent": None}])
    names = order(edges, "hubspot.*")
    assert (sorted(names), names[-1]) == (["companies", "contacts", "tickets"], "tickets")
    done = push(edges, "hubspot.*")
    assert [each.mapping for each in done] == [f"hubspot.{name}" for name in names]
    assert [(each.status, each.counts.rejected) for each in done] == [("done", 1), ("done", 0), ("done", 0)]
    edges.home.later()
    assert [each.exit_code for each in push(edges, "hubspot.*")] == [0, 0, 0]
    assert set(edges.linked("ann@example.org", kind="contacts")) == {"new"}
    assert set(edges.linked("new", kind="companies", to="contacts")) == {"ann@example.org"}
    edges.home.later()
    assert [each.counts.unchanged for each in push(edges, "hubspot.*")] == [1, 2, 2]


def test_a_pattern_leaves_out_what_has_no_relation(edges: EdgesHome) -> None:
    """Many kinds could go out; only those that a relation was named for do."""
    assert order(edges, "hubspot.*") == ["companies", "tickets"]
    with pytest.raises(UsageError, match="has a relation to push"):
        push(edges, "hubspot.contact*")
