"""A write that a killed push had in flight is told as that: neither lost nor a person's, whether it arrived or not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from syncer import verifying
from syncer.judging import IN_FLIGHT
from syncer.plan import Change
from syncer.sources.hubspot import HubSpot
from syncer.target import Outcome
from syncer.verifying import Verified
from tests.outbound import PushHome
from tests.outbound.edges_home import EdgesHome, agreed_on, tickets


class Killed(BaseException):
    """The process is no more: nothing behind it runs."""


def broken_off(monkeypatch: pytest.MonkeyPatch, push: Callable[[], Any], *, action: str, has_arrived: bool) -> None:
    """Push, and be killed before or after the first changes of an action are sent."""
    send, met = HubSpot.send, []

    def killing(self: HubSpot, changes: Sequence[Change]) -> list[Outcome]:
        if changes[0].action != action:
            return send(self, changes)
        met.append(action)
        if has_arrived:
            send(self, changes)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(HubSpot, "send", killing)
        with contextlib.suppress(Killed):
            push()
    assert met


def verify(home: PushHome, kind: str) -> Verified:
    home.later()
    home.sent()
    [found] = verifying.verify(f"hubspot.{kind}", settings=home.settings, doors=home.doors)
    assert home.writes() == [] and found.read == sum(found.counts.values())
    return found


def some(found: Verified) -> dict[str, int]:
    return {verdict: count for verdict, count in found.counts.items() if count}


def is_in_flight(found: Verified, count: int = 1) -> bool:
    return (found.counts["not_pushed"], found.causes["not_pushed"], found.unexplained, found.counts["left_alone"]) == (
        count,
        {IN_FLIGHT: count},
        0,
        0,
    )


@pytest.mark.parametrize("has_arrived", [True, False])
@pytest.mark.parametrize("action", ["associate", "disassociate"])
@pytest.mark.parametrize("then", ["as it was", "another", "back", "blank", "gone"])
def test_an_edge_in_flight_is_told_as_that(
    edges: EdgesHome, monkeypatch: pytest.MonkeyPatch, action: str, has_arrived: bool, then: str
) -> None:
    """Whatever became of it, and of its row since: the next push finds out, and then it is done."""
    agreed_on(edges)
    edges.set("tickets", "t", company="b")
    broken_off(monkeypatch, edges.push, action=action, has_arrived=has_arrived)
    if then == "gone":
        edges.home.rows("DELETE FROM stage.tickets")
    elif then != "as it was":
        edges.set("tickets", "t", company={"another": "c", "back": "a", "blank": None}[then])
    found = verify(edges.home, "tickets")
    assert is_in_flight(found), (found, list(found))
    assert found.exit_code == 0
    if then != "gone":
        edges.home.later()
        assert edges.push(wait_s=5).status == "done"
        assert some(verify(edges.home, "tickets")) == {"agreed": 1}


@pytest.mark.parametrize("has_arrived", [True, False])
def test_the_edge_of_a_new_record_in_flight_is_told_as_that(
    edges: EdgesHome, monkeypatch: pytest.MonkeyPatch, has_arrived: bool
) -> None:
    """Its record is made already, and the snapshot does not know it before its edge is there."""
    edges.rows("tickets", tickets(("t", "a"), ("u", None)))
    broken_off(monkeypatch, edges.push, action="associate", has_arrived=has_arrived)
    found = verify(edges.home, "tickets")
    assert is_in_flight(found) or found.causes["not_pushed"][IN_FLIGHT] == 1, found
    assert (found.unexplained, found.counts["left_alone"], found.exit_code) == (0, 0, 0), (found, list(found))
    assert edges.push(wait_s=5).status == "done"
    assert some(verify(edges.home, "tickets")) == {"agreed": 2}


@pytest.mark.parametrize("has_arrived", [True, False])
@pytest.mark.parametrize("then", ["as it was", "another", "back", "gone"])
def test_a_field_in_flight_is_told_as_that(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, has_arrived: bool, then: str
) -> None:
    """What arrived of it is no edit of a person's, and no conflict with what the row has by now."""
    home.relation([{"client_id": "1", "name": "C", "phone": "1"}, {"client_id": "2", "name": "D", "phone": "2"}])
    home.push()
    home.later()
    home.change("1", phone="new")
    broken_off(monkeypatch, home.push, action="update", has_arrived=has_arrived)
    if then == "gone":
        home.rows("DELETE FROM stage.companies WHERE client_id = '1'")
    elif then != "as it was":
        home.change("1", phone={"another": "newer", "back": "1"}[then])
    found = verify(home, "companies")
    assert is_in_flight(found) and found.counts["agreed"] == 1, (found, list(found))


@pytest.mark.parametrize("has_arrived", [True, False])
def test_a_record_in_flight_is_told_as_that(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, has_arrived: bool
) -> None:
    """Also where its row has left the relation since: then nothing but the journal leads to it."""
    home.relation([{"client_id": "1", "name": "C", "phone": "1"}])
    broken_off(monkeypatch, home.push, action="create", has_arrived=has_arrived)
    assert is_in_flight(verify(home, "companies"))
    home.rows("DELETE FROM stage.companies")
    assert is_in_flight(verify(home, "companies"))


def test_what_is_left_for_a_person_is_told_of_a_row_in_flight_too(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conflict that stands is none of the write in flight."""
    home.relation([{"client_id": "1", "name": "C", "phone": "1"}])
    home.push()
    home.edit("1", name="theirs")
    home.change("1", name="ours")
    assert home.push().counts.conflicts == 1
    home.later()
    home.change("1", phone="new")
    broken_off(monkeypatch, home.push, action="update", has_arrived=True)
    found = verify(home, "companies")
    assert (some(found), found.exit_code) == ({"conflicts": 1}, 3)
