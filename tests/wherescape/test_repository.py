"""What RED's repository knows of tables, and the list of facts with the keys of their dimensions."""

from __future__ import annotations

import pytest

from syncer import counting
from syncer.errors import UsageError
from syncer.wherescape.connections import Connections
from syncer.wherescape.repository import Kind, Repository
from tests.wherescape.stand_in import Red


@pytest.fixture
def repository(red: Red) -> Repository:
    """The repository of the stand-in."""
    return Repository(Connections(red.environment()).meta)


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("load_jira_issue", Kind.LOAD, 101), ("LOAD_Jira_issue", Kind.LOAD, 101),
        ("load.load_jira_issue", Kind.LOAD, 101),
        ("load_jira_issue.", Kind.LOAD, 101), ('"elsewhere"."load_jira_issue"', Kind.LOAD, 101),
        ("[stage].[stage_hubspot_company_voys]", Kind.STAGE, 201), ("fact_call", Kind.FACT, 301),
    ],
)  # fmt: skip
def test_a_table_is_found_by_its_name(repository: Repository, name: str, kind: Kind, key: int) -> None:
    """Whatever its capitals and its schema, which may be called anything; the repository says what it is."""
    found = repository.find(name)
    assert (found.kind, found.key) == (kind, key)


def test_a_table_that_is_not_there_is_told_with_the_nearest(repository: Repository) -> None:
    """A name is easily mistyped."""
    with pytest.raises(UsageError, match=r"no load table named 'load_jira_isue'. Did you mean load_jira_issue"):
        repository.find("load_jira_isue", kinds=[Kind.LOAD])
    with pytest.raises(UsageError, match="no load or stage table named 'fact_call'"):
        repository.find("fact_call", kinds=[Kind.LOAD, Kind.STAGE])


def test_two_of_one_name_are_told(repository: Repository, red: Red) -> None:
    """Where one of them is exactly that, it is meant."""
    red.rows("INSERT INTO ws_stage_tab VALUES (999, 'LOAD_jira_issue')")
    assert repository.find("load_jira_issue").key == 101
    with pytest.raises(UsageError, match=r"several tables named 'Load_Jira_Issue': .*\(load\), .*\(stage\)"):
        repository.find("Load_Jira_Issue")


def test_columns_come_in_their_order(repository: Repository, red: Red) -> None:
    """With the types that RED has; none is an error that says what to do."""
    red.rows("UPDATE ws_stage_col SET sc_order = 5 WHERE sc_col_name = 'name'")
    found = repository.columns(repository.find("stage_hubspot_company_voys"))
    assert [(each.name, each.type, each.order) for each in found[:2]] == [
        ("name", "text", 5),
        ("hs_object_id", "bigint", 10),
    ]
    with pytest.raises(
        UsageError, match="load table load_jira_issue, but no columns of it. Run its script that creates"
    ):
        repository.columns(repository.find("load_jira_issue"))


def test_the_joins_are_what_the_check_of_facts_takes(repository: Repository, red: Red) -> None:
    """Each fact once with its keys in order, one without keys too; a fact whose schema is unknown is a reject."""
    red.rows("INSERT INTO ws_fact_tab VALUES (303, 'fact_lost'), (304, 'Fact.Odd')")
    red.rows("INSERT INTO ws_obj_object VALUES (303, 'fact_lost', 3, NULL), (304, 'Fact.Odd', 3, 3)")
    red.rows("INSERT INTO ws_fact_col (fc_obj_key, fc_col_name, fc_key_type) VALUES (303, 'a', '2'), (303, 'b', '2')")
    found = repository.fact_joins()
    assert found.joins == {
        "star.fact_call": ["dim_client_key", "dim_date_key"], "star.fact_without_dimension": [],
        'star."Fact.Odd"': [] }  # fmt: skip
    assert found.rejects == {"fact_lost": "fact_lost: RED has no target schema for this fact table"}
    assert counting.is_joins(found.joins)
    assert [(join.fact.table, join.key) for join in counting.joins_of(found.joins)][:3] == [
        ("Fact.Odd", None), ("fact_call", "dim_client_key"), ("fact_call", "dim_date_key")]  # fmt: skip
