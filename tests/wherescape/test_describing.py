"""`create_metadata` of a host script: whose columns a load table has, under which names, and what it may delete."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncer.landings import LANDINGS
from syncer.wherescape import describing, legacy
from syncer.wherescape.legacycolumns import LegacyStream
from syncer.wherescape.metadata import SQL_SERVER, TYPES, Created
from tests.wherescape.red_site import Ended, RedSite

JIRA, BRANCHES = "load_jira_issue", "load_gitlab_branches"
OF_ISSUES, OF_BRANCHES = legacy.stream_of("jira.issues"), legacy.stream_of("gitlab.branches")
assert OF_ISSUES is not None and OF_BRANCHES is not None


def known(host: RedSite, table: str, columns: str = "lc_col_name") -> list[Any]:
    """What RED knows of a load table's columns, in their order."""
    found = host.red.rows(
        f"SELECT {columns} FROM ws_load_col AS c JOIN ws_load_tab AS t ON t.lt_obj_key = c.lc_obj_key "
        "WHERE t.lt_table_name = ? ORDER BY c.lc_order, c.lc_col_name",
        [table],
    )
    return [row[0] for row in found] if columns == "lc_col_name" else found


def describe(host: RedSite, what: str = "", table: str = JIRA, source: str = "jira") -> Ended:
    """Run the host script."""
    done = host.run(f"wherescape.create_metadata({what})", table, source=source)
    assert done.code == 0, done
    return done


def change_written(host: RedSite, **changes: str | None) -> None:
    """Change each column of what was written last; None: take it away, as an earlier version kept it."""
    ((text,),) = host.rows("SELECT w.columns FROM syncer.red_metadata AS w")
    changed = [{k: v for k, v in {**each, **changes}.items() if v is not None} for each in json.loads(text)]
    host.rows("UPDATE syncer.red_metadata SET columns = ?", [json.dumps(changed)])


def of_before(host: RedSite) -> None:
    """A load table of before in RED and in the warehouse, as another library made both; nothing was pulled yet."""
    assert OF_ISSUES is not None
    for place, column in enumerate(OF_ISSUES.columns, start=1):
        host.red.rows(
            "INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_data_type, lc_display_name, lc_order) "
            "VALUES (101, ?, ?, ?, ?)",
            [column.name, column.type, column.display, 10 * place],
        )
    host.make(JIRA, [(column.name, column.type) for column in OF_ISSUES.columns])
    host.no_marks()


def numbered(host: RedSite) -> list[str]:
    """GitLab's branches as a table of long ago has them: 19 columns, each with its place behind its name."""
    assert OF_BRANCHES is not None
    host.red.rows("INSERT INTO ws_load_tab (lt_obj_key, lt_table_name) VALUES (777, ?)", [BRANCHES])
    for place, (name, column) in enumerate(zip(OF_BRANCHES.numbered, OF_BRANCHES.columns, strict=True), start=1):
        host.red.rows(
            "INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_data_type, lc_order) VALUES (777, ?, ?, ?)",
            [name, column.type, 10 * place],
        )
    return list(OF_BRANCHES.numbered)


def test_what_another_mapping_wrote_is_not_deleted(host: RedSite) -> None:
    """Two mappings may share a load table: what vanished is what neither has, and a person's work on it stays."""
    describe(host, '"jira.issues"')
    host.red.rows(
        "UPDATE ws_load_col SET lc_src_strategy = 'by a person', lc_transform_code = 'upper(summary)' "
        "WHERE lc_col_name = 'summary'"
    )
    before = known(host, JIRA, "lc_col_name, lc_src_table, lc_src_column, lc_src_strategy, lc_transform_code")
    told = describe(host, '"jira.projects", delete_vanished=True')
    after = known(host, JIRA, "lc_col_name, lc_src_table, lc_src_column, lc_src_strategy, lc_transform_code")
    assert "deleted" not in told.message and "vanished" not in told.message, told
    assert set(before) < set(after), "nothing of it is gone, and no source or description is another one"
    again = describe(host, '"jira.issues", delete_vanished=True')
    assert "deleted" not in again.message and len(known(host, JIRA)) == len(after), again


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("lc_transform_code = 'upper(x)'", "transformation"),
        ("lc_display_name = 'ours'", "display name"),
        ("lc_src_table = 'crm'", "source table"),
    ],
)
def test_what_a_person_worked_on_is_not_deleted_when_it_vanishes(host: RedSite, change: str, word: str) -> None:
    """A field that a site took out of Jira, say: what a person made of its column is told, and stays."""
    describe(host)
    for name, now in (("summary", "customfield_1"), ("key", "customfield_2")):
        host.red.rows("UPDATE ws_load_col SET lc_col_name = ? WHERE lc_col_name = ?", [now, name])
        renamed = f'replace(columns, \'"name": "{name}"\', \'"name": "{now}"\')'
        host.rows(f"UPDATE syncer.red_metadata SET columns = {renamed}")
    host.red.rows(f"UPDATE ws_load_col SET {change} WHERE lc_col_name = 'customfield_1'")
    told = describe(host, "delete_vanished=True").message
    assert (
        f"1 deleted (customfield_2); 1 vanished (customfield_1); 1 kept as RED has them (customfield_1 ({word}))"
        in told
    )
    assert "customfield_1" in known(host, JIRA) and "customfield_2" not in known(host, JIRA)


@pytest.mark.parametrize("is_old", [False, True])
def test_what_another_mapping_fills_is_not_deleted(host: RedSite, is_old: bool) -> None:
    """Also where nothing but its pulls tells: what was written last is all of the one that asks."""
    describe(host)
    host.make_as_described(JIRA)
    host.no_marks()
    assert host.run("wherescape.pull()", JIRA, source="jira").status == "1"
    change_written(host, mapping="jira.projects")
    before = set(known(host, JIRA))
    if is_old:  # from before pulls wrote down what they filled: then the mapping's own fields are known
        host.rows("UPDATE syncer.landings SET filled = NULL")
        before = {name for name in before if not name.startswith("customfield")}
    told = describe(host, '"jira.projects", delete_vanished=True')
    assert "summary" in before and before < set(known(host, JIRA)), told
    assert is_old or "deleted" not in told.message, told


@pytest.mark.parametrize("by", ["what was written", "pulls"])
def test_a_column_of_ours_that_another_mapping_has_too_stays(host: RedSite, by: str) -> None:
    """What one mapping has no more the other still has: by what was written for it, or by its pulls alone."""
    describe(host, 'columns="legacy"')
    if by == "pulls":  # of a pull that has not ended well yet
        landings = ", ".join(f"{column.name} text" for column in LANDINGS.columns)
        host.rows(f"CREATE TABLE syncer.landings ({landings})")
        host.rows(
            "INSERT INTO syncer.landings (mapping, environment, load_table) VALUES ('jira.issues', 'voys', ?)",
            [f"LOAD.{JIRA}"],
        )
    else:
        (text,) = host.rows("SELECT w.columns FROM syncer.red_metadata AS w")[0]
        theirs = [{**each, "environment": "voys"} for each in json.loads(text)]
        host.rows("UPDATE syncer.red_metadata SET columns = ?", [json.dumps([*json.loads(text), *theirs])])
    told = describe(host, 'columns="mapping", delete_vanished=True')
    assert "added (summary, " in told.message and "deleted" not in told.message, told
    assert {"issuetype_description", "resolution"} < set(known(host, JIRA))


def test_what_was_written_before_mappings_were_told_apart_is_still_ours(host: RedSite) -> None:
    """A site goes on: its row has no mapping and no environment, and is of the mapping that its sources name."""
    describe(host)
    change_written(host, mapping=None, environment=None, display_name="As it was")
    host.red.rows("UPDATE ws_load_col SET lc_display_name = 'As it was' WHERE lc_col_name = 'summary'")
    other = describe(host, '"jira.projects", delete_vanished=True')
    assert "deleted" not in other.message and "summary" in known(host, JIRA), other
    assert "1 changed (summary)" in describe(host).message, "it was ours, and follows"


def test_a_numbered_table_keeps_its_names(host: RedSite) -> None:
    """A column that stands for one of before is that one: nothing is doubled, and the pull fills each once."""
    names = numbered(host)
    told = describe(host, table=BRANCHES, source="gitlab")
    assert "2 added (dss_record_source, dss_load_date)" in told.message, told
    assert known(host, BRANCHES) == [*names, "dss_record_source", "dss_load_date"]
    again = describe(host, table=BRANCHES, source="gitlab")
    assert again.message.startswith(f"{BRANCHES}: metadata unchanged"), again


def test_a_numbered_column_that_was_doubled_can_be_deleted(host: RedSite) -> None:
    """An earlier version added the plain name beside it: that one is ours, and the numbered one stays."""
    names = numbered(host)
    host.red.rows("DELETE FROM ws_load_col WHERE lc_col_name = 'name_002'")
    assert "added (name, " in describe(host, table=BRANCHES, source="gitlab").message
    host.red.rows("INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_order) VALUES (777, 'name_002', 500)")
    told = describe(host, table=BRANCHES, source="gitlab").message
    assert "1 vanished (name)" in told
    told = describe(host, "delete_vanished=True", BRANCHES, "gitlab").message
    assert "1 deleted (name)" in told and known(host, BRANCHES)[:19] == names


def test_a_table_of_before_is_told_what_it_lacks(host: RedSite) -> None:
    """Nobody is left with "unchanged" while the pull names missing columns; asked for, they are added, and filled."""
    of_before(host)
    describe(host)
    first = host.run("wherescape.pull()", JIRA, source="jira")
    assert "89 " in first.out, first
    types = dict(known(host, JIRA, "lc_col_name, lc_data_type"))
    told = describe(host)
    way = 'it has the columns of before: create_metadata(columns="mapping") adds'
    assert (told.status, "metadata unchanged; " + way in told.message) == ("1", True), told
    added = describe(host, 'columns="mapping"')
    assert "89 added (summary, " in added.message and " changed (" not in added.message, added
    assert "its columns of before stay so, as pulls fill them" in added.message, added
    now = dict(known(host, JIRA, "lc_col_name, lc_data_type"))
    assert now.items() > types.items() and "summary" in now and "dss_record_state" not in now
    assert "project_key" in now and "status_category_name" not in now, "the path of one of before comes once"
    last = describe(host, "delete_vanished=True")
    assert last.message == f"{JIRA}: metadata unchanged", "what it has of the mapping has not vanished"
    for name in now.keys() - types.keys():
        host.rows(f'ALTER TABLE load.{JIRA} ADD "{name}" {now[name]}')
    full = host.run("wherescape.pull(full=True)", JIRA, source="jira")
    assert host.rows(f"SELECT count(*), count(summary), max(dss_record_source) FROM load.{JIRA}") == [
        (40, 40, "Jira api - issue")
    ], full


def test_a_table_of_before_that_nobody_pulled_yet_keeps_its_definitions(host: RedSite) -> None:
    """The table that stands says how pulls will fill it."""
    of_before(host)
    describe(host)
    types = set(known(host, JIRA, "lc_col_name, lc_data_type, lc_src_column"))
    told = describe(host, 'columns="mapping"')
    assert types < set(known(host, JIRA, "lc_col_name, lc_data_type, lc_src_column")), told


def test_a_table_that_a_script_has_filled_otherwise_is_described_so(host: RedSite) -> None:
    """As the last pull filled it, whatever its columns are."""
    of_before(host)
    filled = host.run('wherescape.pull(columns="mapping")', JIRA, source="jira")
    assert filled.code == 0 and host.rows(f"SELECT max(dss_record_source) FROM load.{JIRA}") == [("jira.issues",)]
    told = describe(host)
    assert "added (summary, " in told.message and "columns of before" not in told.message, told


def test_of_a_table_that_nobody_can_tell_the_script_says_what_it_is(host: RedSite) -> None:
    """It has some columns of before, and some that only the mapping has."""
    host.make(JIRA, [("id", "numeric"), ("issuetype_description", "text"), ("summary", "text")])
    told = describe(host)
    assert (told.status, known(host, JIRA)) == ("-2", []) and "nobody can tell" in told.message
    assert describe(host, 'columns="mapping"').status == "1" and "summary" in known(host, JIRA)


def test_columns_of_before_are_refused_where_pulls_fill_the_mapping_s(host: RedSite) -> None:
    """What RED says of a column would be another thing than what stands in it."""
    describe(host)
    host.make_as_described(JIRA)
    host.no_marks()
    assert host.run("wherescape.pull()", JIRA, source="jira").status == "1"
    before = known(host, JIRA, "*")
    told = describe(host, 'columns="legacy"')
    assert told.status == "-2" and 'pull(columns="legacy")' in told.message, told
    assert known(host, JIRA, "*") == before


def test_a_table_of_the_mapping_stays_so(host: RedSite) -> None:
    """Also of one whose columns are all of before by their names, before its first pull."""
    table = "load_gitlab_projects"
    host.red.rows("INSERT INTO ws_load_tab (lt_obj_key, lt_table_name) VALUES (778, ?)", [table])
    describe(host, table=table, source="gitlab")
    before = known(host, table, "*")
    assert describe(host, table=table, source="gitlab").message == f"{table}: metadata unchanged"
    host.make_as_described(table)
    for what in ("", 'columns="mapping"'):
        told = describe(host, what, table, "gitlab")
        assert told.message == f"{table}: metadata unchanged" and known(host, table, "*") == before
    pulled = host.run("wherescape.pull()", table, source="gitlab")
    assert pulled.status == "1" and " new of " in pulled.message, pulled
    assert host.rows(f"SELECT DISTINCT dss_record_source FROM load.{table}") == [("gitlab.projects",)]
    assert describe(host, table=table, source="gitlab").message == f"{table}: metadata unchanged"


@pytest.mark.parametrize("stream", legacy.STREAMS, ids=lambda stream: stream.mapping)
def test_columns_of_before_have_types_that_the_target_knows(stream: LegacyStream) -> None:
    """A SQL Server has no text and no bool, and what it calls timestamp is no time."""
    columns = describing.of_before(stream, SQL_SERVER)
    kinds = {column.name: column.type_text for column in columns}
    assert set(kinds.values()) <= {*TYPES[SQL_SERVER].values(), "varchar(256)"}
    assert not set(kinds.values()) & {"text", "bool", "timestamp", "numeric"}


def test_a_result_names_what_is_further_to_be_had() -> None:
    """The message has at most 256 letters: what to do stands before the names."""
    made = Created(table="t", further=tuple(f"column_{n}" for n in range(90)))
    assert str(made) == (
        't: metadata unchanged; it has the columns of before: create_metadata(columns="mapping") adds 90 of the '
        "mapping (column_0, column_1, column_2, column_3, column_4 and 85 more)"
    )
