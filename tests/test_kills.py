"""Promise 1 under kill -9: the short form of `python -m tests.campaign kills`, with fixed points."""

from __future__ import annotations

import pytest

from tests.campaign.kills import everywhere


@pytest.mark.parametrize(
    ("name", "every"), [("jira.issues", 6), ("jira.comments", 9), ("gitlab.issues", 5), ("gitlab.branch_commits", 13)]
)
def test_a_kill_at_any_io_call_loses_nothing(name: str, every: int) -> None:
    """Killed before and after sends and commits, records edited, run again: all there once, no page asked again."""
    done = everywhere(name, every=every)
    assert done.killed >= 2
    assert done.wrong == []
