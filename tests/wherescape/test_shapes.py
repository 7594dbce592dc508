"""Whether a load table's columns are those of before or the mapping's: as a whole, or nobody can tell."""

from __future__ import annotations

import pytest

from syncer import mappings
from syncer.errors import UsageError
from syncer.loadtypes import LoadColumn
from syncer.wherescape import legacy, shapes

ISSUES = mappings.known()["jira.issues"]
STREAM = legacy.stream_of("jira.issues")
assert STREAM is not None
BEFORE = tuple(column.name for column in STREAM.columns)
LABEL = STREAM.record_source


def label(*names: str, shape: str = "") -> str:
    """The text of `dss_record_source` that a table with such columns keeps; none where it is the mapping's."""
    return shapes.meanings(ISSUES, [LoadColumn(name=name, type="text") for name in names], shape=shape)[1]


def test_a_table_of_before_with_columns_more_is_of_before() -> None:
    """A person added one in RED that only the mapping knows: the others mean what they did."""
    assert label(*BEFORE, "summary") == LABEL
    assert label(*STREAM.numbered, "summary", "dss_record_state") == LABEL


def test_a_table_with_some_columns_of_before_is_of_before() -> None:
    """A person took some away."""
    assert label("id", "key", "issuetype_name", "created") == LABEL


def test_what_only_the_mapping_has_makes_a_table_the_mapping_s() -> None:
    """As `create_metadata` writes it."""
    assert label("id", "key", "summary", "created") == ""


def test_a_mixed_table_is_refused_until_a_script_says_what_it_is() -> None:
    """A time as the API wrote it, or in UTC: nobody can tell."""
    mixed = ("id", "created", "issuetype_description", "named_by_nobody", "summary")
    with pytest.raises(UsageError, match="columns of before .issuetype_description. without"):
        label(*mixed)
    assert label(*mixed, shape="legacy") == LABEL
    assert label(*mixed, shape="mapping") == ""


def test_a_column_that_both_have_is_that_of_before() -> None:
    """In a table of before `created` is what the API wrote, its offset dropped."""
    columns = [
        LoadColumn(name=name, type="timestamp" if name == "created" else "text") for name in (*BEFORE, "summary")
    ]
    found = shapes.meanings(ISSUES, columns)[0]
    assert found["created"].field is not None and found["created"].field.as_written
    assert "summary" not in found, "the mapping's field of that name fills it"
