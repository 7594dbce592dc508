"""What a relation may be beside a name: a query, however it begins; and what its columns may be called."""

from __future__ import annotations

import pytest

from tests.outbound import KEY, PushHome


@pytest.mark.parametrize(
    "query",
    [
        "-- the companies?\nselect client_id, name from stage.companies",
        "/* the\ncompanies? */ select client_id, name from stage.companies",
        "  -- one\n  /* two */ -- three\nwith c as (select * from stage.companies) select client_id, name from c -- ?",
        "(select client_id, name from stage.companies)",
        "( -- a\n (select client_id, name from stage.companies) )",
        "(select client_id, name from stage.companies) union all (select '2', 'b')",
    ],
)
def test_a_query_may_begin_with_a_comment_or_a_bracket(home: PushHome, query: str) -> None:
    home.relation([{KEY: "1", "name": "a"}])
    done = home.with_words(relation=query).push()
    assert done.exit_code == 0, done.error
    assert home.values("name")["1"] == "a"


@pytest.mark.parametrize("reference", ["update stage.companies", "-- select\nno name", "(a)", "selected from"])
def test_what_is_neither_a_name_nor_a_query_is_told(home: PushHome, reference: str) -> None:
    home.relation([{KEY: "1", "name": "a"}])
    done = home.with_words(relation=reference).push()
    assert done.exit_code != 0
    assert "neither a name nor a query" in done.error


@pytest.mark.parametrize("columns", ["name, name", "name, phone as name", "*, name"])
def test_two_columns_of_one_name_are_told(home: PushHome, columns: str) -> None:
    """Which of the two is meant nobody can tell; DuckDB would call the second one otherwise, and leave it."""
    home.relation([{KEY: "1", "name": "a", "phone": "b"}])
    done = home.with_words(relation=f"select client_id, {columns.replace('*', 'c.*')} from stage.companies c").push()
    assert done.exit_code != 0
    assert "Two columns of the relation are called " in done.error
