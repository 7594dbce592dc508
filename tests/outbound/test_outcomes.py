"""What became of each input of a batch: by the answer, by reading back where there is none, and never by silence."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from syncer.apply import Applying
from syncer.errors import Unavailable
from syncer.outbound import Planning
from syncer.sandbox import Fault
from syncer.sources.hubspot import HubSpot
from tests.outbound import KEY, PROBE_BYTES, PushHome

KIND = "companies"


def four(home: PushHome, name: str) -> None:
    home.relation([{KEY: str(number), "name": f"{name} {number}"} for number in range(4)])


def test_a_record_that_an_answer_leaves_out_was_not_written(home: PushHome) -> None:
    """HubSpot answers 200 or 207 without it; the row stays open, and the next push says what is so."""
    four(home, "old")
    home.push()
    four(home, "new")
    gone = home.company("2").id

    def purge(site: Any, request: Any) -> None:
        if (
            "/batch/update" in request.path
            and len(request.body) > PROBE_BYTES
            and gone in home.site.store.records[KIND]
        ):
            home.site.store.purge(KIND, gone)

    home.sandbox.before_request.append(purge)  # within the minute in which nothing is read again
    done = home.push()
    assert (done.counts.updated, done.counts.conflicts, done.exit_code) == (3, 1, 3)

    again = home.push()
    assert (again.counts.unchanged, again.counts.read) == (3, 4), "the one is still told of"
    assert again.exit_code == 3


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_write_whose_answer_was_lost_is_read_back_and_not_sent_again(home: PushHome, action: str) -> None:
    """It was done: one request that writes, one that reads, and the rows are counted as what they are."""
    if action == "update":
        four(home, "old")
        home.push()
    four(home, "new")
    home.sandbox.faults.add(Fault(kind="reset_after", match=f"/batch/{action}", times=1))
    home.sent()
    done = home.push()
    counted = done.counts.created if action == "create" else done.counts.updated
    assert (counted, done.exit_code) == (4, 0)
    assert [each.rpartition("/")[2] for each in home.writes()] == [action]
    assert set(home.values("name").values()) == {f"new {number}" for number in range(4)}
    assert home.push().counts.unchanged == 4


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_write_that_did_not_arrive_is_sent_again_after_it_was_looked_for(home: PushHome, action: str) -> None:
    """The reset came before the server had read it: nothing is lost, nothing is there twice."""
    if action == "update":
        four(home, "old")
        home.push()
    four(home, "new")
    home.sandbox.faults.add(Fault(kind="reset_before", match=f"/batch/{action}", times=1))
    home.sent()
    done = home.push()
    counted = done.counts.created if action == "create" else done.counts.updated
    assert (counted, done.exit_code, len(home.live())) == (4, 0, 4)
    assert [each for each in home.sent() if f"/batch/{action}" in each or "/batch/read" in each][-3:] == [
        f"POST /crm/objects/2026-09/companies/batch/{action}",
        "POST /crm/objects/2026-09/companies/batch/read",
        f"POST /crm/objects/2026-09/companies/batch/{action}",
    ]


def test_a_run_that_ended_with_nothing_in_flight_is_counted_by_the_next_one(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did stands in its own row: else a person who adds up the runs misses it."""
    four(home, "new")
    write_down = Applying._write_down

    def and_end(applying: Applying, sent: Any) -> None:
        write_down(applying, sent)
        raise KeyboardInterrupt

    monkeypatch.setattr(Applying, "_write_down", and_end)
    with pytest.raises(KeyboardInterrupt):
        home.push()
    monkeypatch.undo()
    assert home.rows("SELECT status FROM syncer.runs") == [("running",)]
    done = home.push()
    assert done.counts.unchanged == 4 and "ended in the middle" in done.notes[0]
    counted = "SELECT status, read, CAST(counts AS VARCHAR) FROM syncer.runs WHERE status <> 'done'"
    [(status, read, counts)] = home.rows(counted)
    assert (status, read, orjson.loads(counts)["created"]) == ("broken", 4, 4)


def test_a_run_that_ended_before_it_had_a_plan_is_broken(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home, "new")

    def end(planning: Planning) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Planning, "make", end)
    with pytest.raises(KeyboardInterrupt):
        home.push()
    monkeypatch.undo()
    assert (home.push().notes, home.rows("SELECT status FROM syncer.runs ORDER BY started_at")) == (
        (),
        [("broken",), ("done",)],
    )


def test_what_a_run_left_in_flight_is_read_back_and_stands_in_its_own_journal(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended between the answer and its commit: nothing is sent again, and no change is in flight for ever."""
    four(home, "new")

    def end(applying: Applying, sent: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Applying, "_write_down", end)
    with pytest.raises(KeyboardInterrupt):
        home.push()
    monkeypatch.undo()
    assert home.rows("SELECT state, COUNT(*) FROM syncer.changes GROUP BY state") == [("sending", 4)]
    assert [each.rpartition("/")[2] for each in home.writes()] == ["create"]
    done = home.push()
    assert home.writes() == [] and (done.counts.unchanged, done.exit_code) == (4, 0)
    assert "4 changes were in flight and are settled by reading them back" in done.notes[0]
    assert home.rows("SELECT state, COUNT(*) FROM syncer.changes GROUP BY state") == [("done", 4)]
    [(status, counts)] = home.rows("SELECT status, CAST(counts AS VARCHAR) FROM syncer.runs WHERE status <> 'done'")
    assert (status, orjson.loads(counts)["created"]) == ("broken", 4)


def test_a_run_that_failed_keeps_its_own_words_when_what_it_left_is_settled(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error says why; that its process ended would be untrue."""
    four(home, "new")
    send = HubSpot.send

    def fail(source: HubSpot, changes: Any) -> Any:
        send(source, changes)
        raise Unavailable("HubSpot answers 503 for minutes.")

    monkeypatch.setattr(HubSpot, "send", fail)
    failed = home.push()
    assert failed.status == "failed"
    monkeypatch.undo()
    before = home.rows("SELECT error, requests FROM syncer.runs")
    done = home.push()
    assert (done.exit_code, len(home.live())) == (0, 4)
    if done.notes:
        assert "had failed: 4 changes were in flight" in done.notes[0]
    assert home.rows("SELECT error, requests FROM syncer.runs WHERE status = 'failed'") == before


def test_the_first_changes_of_a_plan_are_others_each_time(home: PushHome) -> None:
    """`--plan ID --first N` goes on where the one before stopped."""
    home.relation([{KEY: str(number), "name": f"Company {number}"} for number in range(12)])
    done = home.push(first=4)
    assert (done.counts.created, done.counts.pending) == (4, 8)
    for left in (4, 0):
        done = home.push(plan=done.plan, first=4)
        assert (done.counts.created, done.counts.pending) == (4, left)
    assert len(home.live()) == 12
