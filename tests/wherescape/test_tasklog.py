"""The counts of a run reach RED's scheduler, and never fail the run."""

from __future__ import annotations

import pytest

from syncer.journal import Pulled
from syncer.tally import Counts as Tally
from syncer.tally import Pushed
from syncer.wherescape.procedures import Procedures
from syncer.wherescape.tasklog import Counts, of_pull, of_push, tell
from tests.wherescape.stand_in import Red

PULLED = Pulled(run="r", mapping="jira.issues", read=9, inserted=3, updated=2, unchanged=4, gone=1, rejected=5)


def told(red: Red, counts: Counts, **more: object) -> str:
    """Tell RED's scheduler, as a task of a job."""
    return tell(counts, environment=red.environment(**more), procedures=red.procedures)


def test_what_a_pull_did_stands_beside_the_task(red: Red) -> None:
    """What is gone is deleted; two runs of a task are counted together."""
    assert told(red, of_pull(PULLED) + of_pull(PULLED)) == ""
    counts = "wtr_inserted_count, wtr_updated_count, wtr_replaced_count, wtr_deleted_count, wtr_rejected_count"
    assert red.rows(f"SELECT {counts} FROM ws_wrk_task_run") == [(6, 4, 0, 2, 10)]


def test_what_a_push_did_is_counted() -> None:
    """What it left alone is discarded, what failed is an error."""
    rows = Tally(created=1, updated=2, archived=3, merged=4, skipped=5, conflicts=6, rejected=7, failed=8, unchanged=9)
    pushed = Pushed(run="r", plan="p", checksum="c", mapping="m", environment="default", counts=rows)
    counts = Counts(inserted=1, updated=2, deleted=7, discarded=11, rejected=7, errored=8)
    assert of_push(pushed) == counts


@pytest.mark.parametrize("more", [{"sequence": 0}, {"task_key": 0}, {"job_key": 0, "job_name": "Develop"}])
def test_without_a_task_nothing_is_called(red: Red, more: dict[str, object]) -> None:
    """Outside a job, and from RED's window: not even a connection is made."""

    def unwanted() -> Procedures:
        raise AssertionError

    assert tell(of_pull(PULLED), environment=red.environment(**more), procedures=unwanted) == ""


def test_an_error_is_told_and_no_more(red: Red) -> None:
    """The rows are committed: a failed task would hold those behind it for a number."""
    red.switch(fail=1)
    assert "not counted in RED's log of the task: dbo.WsWrkTask answered -3" in told(red, of_pull(PULLED))
    red.lacks("WsWrkTask")
    assert "no routine dbo.WsWrkTask" in told(red, of_pull(PULLED))


def test_a_count_that_no_int_holds_is_the_largest_one(red: Red) -> None:
    """A count is not worth an error."""
    assert told(red, Counts(inserted=2**40)) == ""
    assert red.calls()[0][1][3] == 2**31 - 1
