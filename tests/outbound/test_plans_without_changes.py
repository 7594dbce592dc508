"""Stored plans of a push that have no changes."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.errors import UsageError
from tests.outbound import PushHome


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"Company {number}", **more} for number in numbers]


def test_plan_without_changes_is_carried_out_once_and_says_so(home: PushHome) -> None:
    """What it saw equal is agreed from then on."""
    home.relation(rows(1, 2))
    home.push()
    home.rows("DELETE FROM syncer.snapshots")
    home.sent()
    shown = home.push(is_rehearsal=True)
    done = home.push(plan=shown.plan)
    assert (done.exit_code, done.counts.unchanged, done.counts.read, home.writes()) == (0, 2, 2, [])
    assert done.notes == (f"plan {shown.plan} had no changes",)
    assert home.rows("SELECT COUNT(*) FROM syncer.snapshots") == [(2,)]
    with pytest.raises(UsageError, match="had no changes, and a run has carried it out already"):
        home.push(plan=shown.plan)


def test_plan_of_rejects_alone_ends_as_its_dry_run_did(home: PushHome) -> None:
    """A row to look at is one, whether or not another one changes."""
    home.relation(rows(1, tier="tin"))
    shown = home.push(is_rehearsal=True)
    done = home.push(plan=shown.plan)
    assert (shown.exit_code, done.exit_code, done.counts.rejected) == (3, 3, 1)
