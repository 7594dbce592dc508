"""Stored plans that have no changes: that is said, and it is no failure."""

from __future__ import annotations

import pytest

from syncer.errors import UsageError
from tests.operations import OperationHome

ONE_MODE = pytest.mark.parametrize("merge_mode", ["new"])


@ONE_MODE
def test_plan_of_an_operation_without_changes_has_nothing_to_do(home: OperationHome, merge_mode: str) -> None:
    """It never was applied, and a job that applies what was looked at does not fail for it."""
    home.ticket("1")
    shown = home.run(is_rehearsal=True)
    done = home.run(plan=shown.plan)
    assert (done.exit_code, done.error, done.plan) == (0, None, shown.plan)
    assert done.notes == (f"plan {shown.plan} had no changes",) and "1 unchanged of 1 read" in str(done)
    with pytest.raises(UsageError, match="had no changes, and a run has carried it out already"):
        home.run(plan=shown.plan)


@ONE_MODE
def test_plan_of_a_run_that_had_nothing_to_do_says_so(home: OperationHome, merge_mode: str) -> None:
    """Its own run carried it out."""
    home.ticket("1")
    with pytest.raises(UsageError, match="had no changes, and a run has carried it out already"):
        home.run(plan=home.run().plan)


@ONE_MODE
def test_plan_with_changes_is_applied_once(home: OperationHome, merge_mode: str) -> None:
    home.ticket("1")
    home.ticket("1")
    shown = home.run(is_rehearsal=True)
    assert home.run(plan=shown.plan).notes == ()
    with pytest.raises(UsageError, match="was applied already"):
        home.run(plan=shown.plan)
