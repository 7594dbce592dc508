"""A batch that is refused whole is halved until the bad change stands alone, though an answer is lost meanwhile."""

from __future__ import annotations

import pytest

from syncer.sandbox import Fault
from tests.outbound import PushHome

ROWS = 100


def relate(home: PushHome, *bad: int) -> PushHome:
    """A hundred new rows, of which the portal's own form refuses some: nothing that is asked before tells of it."""
    home.site.store.form_required["companies"] = {"phone"}
    home.relation(
        {"client_id": f"{number:02}", "name": f"Company {number}", "phone": None if number in bad else "1"}
        for number in range(ROWS)
    )
    return home


@pytest.fixture
def with_a_bad_row(home: PushHome) -> PushHome:
    return relate(home, 37)


def creates(home: PushHome) -> int:
    return sum(each.endswith("/batch/create") for each in home.sent())


def test_a_bad_row_costs_no_request_where_trace_ids_are_honoured(with_a_bad_row: PushHome) -> None:
    done = with_a_bad_row.push()
    assert (done.counts.created, done.counts.rejected) == (ROWS - 1, 1)
    assert creates(with_a_bad_row) == 1


def test_a_bad_row_costs_at_most_eight_requests_more_where_they_are_not(with_a_bad_row: PushHome) -> None:
    with_a_bad_row.site.store.honours_traces = False
    done = with_a_bad_row.push()
    assert (done.counts.created, done.counts.rejected, done.counts.read) == (ROWS - 1, 1, ROWS)
    assert creates(with_a_bad_row) <= 9
    assert with_a_bad_row.rows("SELECT key FROM syncer.rejects WHERE scope = 'push'") == [("37",)]


@pytest.mark.parametrize(
    "bad", [(0,), (1,), (2,), (24,), (49,), (50,), (62,), (98,), (99,), (3, 4), (0, 99), (10, 40, 70)]
)
def test_just_the_bad_rows_are_rejected_wherever_they_stand(home: PushHome, bad: tuple[int, ...]) -> None:
    relate(home, *bad).site.store.honours_traces = False
    done = home.push()
    assert (done.counts.created, done.counts.rejected) == (ROWS - len(bad), len(bad))
    found = home.rows("SELECT key FROM syncer.rejects WHERE scope = 'push' ORDER BY key")
    assert found == [(f"{number:02}",) for number in bad]
    if len(bad) == 1:
        assert creates(home) <= 9
    elif len(bad) == 2:
        assert creates(home) <= 16


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
@pytest.mark.parametrize("skip", range(9))
def test_an_answer_that_is_lost_meanwhile_is_read_back(with_a_bad_row: PushHome, kind: str, skip: int) -> None:
    """Sent again unread, a create that was done would be refused as taken: by ourselves."""
    home = with_a_bad_row
    home.site.store.honours_traces = False
    home.sandbox.faults.add(Fault(kind=kind, match="/batch/create", skip=skip))  # type: ignore[arg-type]
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.counts.read) == (ROWS - 1, 1, ROWS)
    keys = [each.properties.get("client_id") for each in home.live()]
    assert len(keys) == len(set(keys)) == ROWS - 1
    assert home.rows("SELECT key FROM syncer.rejects WHERE scope = 'push'") == [("37",)]
