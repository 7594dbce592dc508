"""The short forms of `python -m tests.campaign churn` and `older`, with fixed seeds."""

from __future__ import annotations

import pytest

from tests.campaign import churn, older


@pytest.mark.parametrize(("source", "seed"), [("jira", 3), ("gitlab", 7)])
def test_records_that_change_while_they_are_pulled_end_as_the_api_has_them(source: str, seed: int) -> None:
    """Promise 2: edits come between any two requests; nothing is missing or stale after the next pull."""
    assert churn.one(source, seed, records=150) == []


@pytest.mark.parametrize(("source", "seed"), [("jira", 2), ("gitlab", 2)])
def test_a_pull_goes_on_from_an_older_copy_of_the_warehouse(source: str, seed: int) -> None:
    """Last night's backup put back is ordinary life: the next pull ends at the same state."""
    assert older.one(source, seed, records=100) == []
