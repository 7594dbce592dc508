"""What is about people is marked so by the mappings and by what sources find in definitions."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from syncer.mapping import DROP, KEEP
from tests.sources import jira_home


@pytest.mark.parametrize("treatment", [KEEP, DROP])
def test_no_list_of_people_is_left_in_issues_that_are_dropped(tmp_path: Path, treatment: str) -> None:
    """A picker of several users and the attachments have names inside; with `keep` they are there."""
    site = jira_home.small_site(issues=60)
    with jira_home.running(site, tmp_path) as home:
        tables = {**home.settings.tables, "jira.issues": {"personal": treatment}}
        home.settings = attrs.evolve(home.settings, tables=tables)
        home.pull("issues")
        columns = [row[0] for row in home.rows("SELECT column_name FROM (DESCRIBE load.jira_issues)")]
        holding = {
            column
            for column in columns
            if home.rows(
                f"SELECT 1 FROM load.jira_issues WHERE CAST(\"{column}\" AS TEXT) LIKE '%displayName%' LIMIT 1"
            )
        }
    assert holding == (set() if treatment == DROP else {"attachments", "customfield_10035"})
