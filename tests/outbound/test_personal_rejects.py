"""What is personal stands in no reject: who may see that something is wrong need not see whom it is about."""

from __future__ import annotations

from tests.outbound.edges_home import EdgesHome

REJECTS = "SELECT \"column\", value FROM syncer.rejects WHERE scope = 'push'"


def test_a_personal_value_that_does_not_fit_is_not_kept(edges: EdgesHome) -> None:
    """The column and the reason are."""
    edges.words("contacts")
    edges.rows("contacts", [{"key": "a@example.com", "firstname": "x" * 70_000}])
    done = edges.push("contacts")
    assert done.counts.rejected == 1
    assert edges.home.rows(REJECTS) == [("firstname", None)]


def test_the_address_of_an_edge_whose_contact_is_not_there_is_not_kept(edges: EdgesHome) -> None:
    """The key at the other end is as personal there as it is at home."""
    edges.words("contacts")
    edges.rows("contacts", [{"key": "a@example.com"}])
    assert edges.push("contacts").counts.created == 1
    edges.words("tickets", edges={"contact": "contacts"})
    edges.rows("tickets", [{"key": "t1", "contact": "nobody@example.com"}])
    done = edges.push("tickets")
    assert (done.counts.rejected, done.associated) == (1, 0)
    found = edges.home.rows(REJECTS)
    assert [value for _, value in found] == [None] and "contact" in found[0][0]
