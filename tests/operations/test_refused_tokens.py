"""A token that is refused: the run stands as failed, so that who looks, or is told, finds it."""

from __future__ import annotations

import pytest

from syncer import journal
from syncer.sandbox.faults import Fault
from tests.operations import MERGE, OperationHome

COLUMNS = "hubspot.check_columns"


def refused(home: OperationHome) -> None:
    home.home.sandbox.faults.add(Fault(kind="status", match="", status=401))


@pytest.mark.parametrize("name", [MERGE, COLUMNS])
def test_a_token_that_is_refused_is_a_run_that_failed(home: OperationHome, name: str) -> None:
    """Who is told of a run finds it in the warehouse, and the one before is not the last that status shows."""
    good = home.words(name, max_merges=9)
    first = good.run(name) if name == MERGE else good.report(name)
    assert first.error is None
    refused(home)
    done = good.run(name) if name == MERGE else good.report(name)
    assert done.status == journal.FAILED and "401" in (done.error or "")
    rows = home.rows("SELECT run, status, error FROM syncer.runs WHERE mapping = ? ORDER BY started_at", [name])
    assert [row[:2] for row in rows] == [(first.run, "done"), (done.run, "failed")]
    assert "401" in rows[1][2]


def test_a_push_with_it_is_one_too(home: OperationHome) -> None:
    """As a pull with it is."""
    home.home.relation([{"client_id": "1", "name": "One"}])
    refused(home)
    done = home.home.push()
    [row] = home.rows("SELECT run, status, error FROM syncer.runs")
    assert row[:2] == (done.run, "failed") and "401" in row[2] and done.exit_code == 1


def test_a_dry_run_with_it_leaves_nothing(home: OperationHome) -> None:
    """It is told, and there is no run to find."""
    refused(home)
    done = home.run(is_rehearsal=True)
    assert "401" in (done.error or "") and home.rows("SELECT run FROM syncer.runs") == []
