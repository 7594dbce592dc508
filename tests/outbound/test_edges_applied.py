"""Edge columns carried out: each edge once, whatever is lost or killed on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest

from syncer.plan import ASSOCIATE, DISASSOCIATE, Change
from syncer.sandbox import Fault
from syncer.sources.hubspot import HubSpot
from syncer.target import Outcome
from tests.outbound.edges_home import (
    CHILD,
    EdgesHome,
    agreed_on,
    tickets,
)


def test_an_edge_that_a_person_moved_since_the_plan_is_left_and_named(edges: EdgesHome) -> None:
    agreed_on(edges)
    edges.set("tickets", "t", company="b")
    planned = edges.push(is_rehearsal=True)
    edges.unlink("t", "a")
    edges.link("t", "c")
    edges.home.later()
    done = edges.push(plan=planned.plan)
    assert (done.counts.conflicts, set(edges.linked("t"))) == (1, {"c"})
    states = [(each.action, each.state) for each in edges.changes(done)]
    assert states == [(ASSOCIATE, "moved"), (DISASSOCIATE, "failed")]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
@pytest.mark.parametrize("match", ["/batch/create", "/associate/default", "/batch/archive"])
def test_a_lost_answer_leaves_each_edge_once(edges: EdgesHome, kind: str, match: str) -> None:
    agreed_on(edges)
    edges.rows("tickets", tickets(("t", "b"), ("u", "c")))
    edges.home.sandbox.faults.add(Fault(kind=kind, match=match, times=1))  # type: ignore[arg-type]
    done = edges.push()
    assert (done.status, done.exit_code) == ("done", 0), done
    assert (set(edges.linked("t")), set(edges.linked("u"))) == ({"b"}, {"c"})
    assert edges.push().counts.unchanged == 2


class Killed(BaseException):
    """The process is no more: nothing behind it runs."""


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_kill_at_any_write_of_edges_is_finished_by_the_next_push(
    edges: EdgesHome, monkeypatch: pytest.MonkeyPatch, at: int, is_sent: bool
) -> None:
    """Before a write, or when it was done and nobody knows: creates, the edges of both rows, the one that goes."""
    edges.words("companies", edges={"parent": {"to": "companies", "label": "Child Company"}})
    edges.rows("companies", [{"key": "a", "parent": "b"}])
    assert edges.push("companies").exit_code == 0
    rows = [{"key": "a", "parent": "new"}, {"key": "child", "parent": "new"}, {"key": "new", "parent": None}]
    edges.rows("companies", rows)
    calls, send = [0], HubSpot.send

    def killing(self: HubSpot, changes: Sequence[Change]) -> list[Outcome]:
        calls[0] += 1
        if calls[0] == at and not is_sent:
            raise Killed
        done = send(self, changes)
        if calls[0] == at:
            raise Killed
        return done

    with monkeypatch.context() as patched:
        patched.setattr(HubSpot, "send", killing)
        with contextlib.suppress(Killed):
            edges.push("companies")
    assert calls[0] == at
    edges.home.later()
    done = edges.push("companies", wait_s=5)
    assert (done.status, done.exit_code) == ("done", 0), done
    for row in rows:
        types = edges.linked(str(row["key"]), kind="companies")
        assert {key for key, each in types.items() if CHILD in each} == ({row["parent"]} if row["parent"] else set())
    assert edges.agreed("a", kind="companies") == {"edge:parent": edges.record("companies", "new").id}
    assert edges.home.rows("SELECT COUNT(*) FROM syncer.changes WHERE state IN ('sending', 'failed')") == [(0,)]
    edges.writes()
    assert (edges.push("companies").counts.unchanged, edges.writes()) == (3, [])


@pytest.mark.parametrize(("status", "exit_code"), [(400, 3), (403, 1)])
def test_a_removal_that_was_not_done_is_done_by_the_next_push(edges: EdgesHome, status: int, exit_code: int) -> None:
    """Agreed moves with the last of a row's changes only: else the old edge would be theirs for ever."""
    agreed_on(edges)
    edges.set("tickets", "t", company="b")
    edges.home.sandbox.faults.add(Fault(kind="status", match="companies/batch/archive", status=status))
    assert edges.push().exit_code == exit_code
    assert set(edges.linked("t")) == {"a", "b"}
    edges.home.sandbox.faults.clear()
    assert (edges.push().exit_code, set(edges.linked("t"))) == (0, {"b"})


def test_removals_are_limited(edges: EdgesHome) -> None:
    agreed_on(edges)
    edges.set("tickets", "t", company="b")
    edges.words("tickets", edges={"company": "companies"}, max_disassociations=0)
    done = edges.push()
    assert (done.exit_code, set(edges.linked("t"))) == (4, {"a"}) and "max_disassociations" in done.trips[0]


def test_a_row_that_left_takes_its_edge_along_only_where_the_mapping_clears(edges: EdgesHome) -> None:
    edges.rows("tickets", tickets(("t", "a"), ("u", "b")))
    edges.push()
    for word, companies in (("leave", {"a"}), ("clear", set[str]())):
        edges.words("tickets", edges={"company": "companies"}, on_missing=word)
        edges.rows("tickets", tickets(("u", "b")))
        edges.push()
        assert set(edges.linked("t")) == companies
        edges.rows("tickets", tickets(("t", "a"), ("u", "b")))
        edges.push()
