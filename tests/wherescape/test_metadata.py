"""Metadata of a load table: made again and again, without a second copy, and without losing what a person changed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import sql
from syncer.errors import UsageError, WarehouseError
from syncer.mapping import EntityMapping, Field
from syncer.marks import Owner
from syncer.shape import ensure
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, JSON, TEXT, TIMESTAMP
from syncer.wherescape.connections import Connections
from syncer.wherescape.metadata import Created, MetadataColumn, columns_of, create_metadata
from syncer.wherescape.repository import Repository
from syncer.wherescape.written import WRITTEN, Last, keep, last
from tests.conftest import Site
from tests.wherescape.red_site import red_site
from tests.wherescape.stand_in import Red

BRANCHES = EntityMapping(
    name="gitlab.branches",
    key=("project_id", "name"),
    fields=(
        Field("project_id", type=BIGINT),
        Field("name"),
        Field("default", type=BOOLEAN, comment="the project's own branch"),
        Field("author_name", path="commit.author.name", comment="who's who"),
        Field("committed", type=TIMESTAMP),
        Field("weight", type=DECIMAL),
        Field("day", type=DATE),
        Field("raw", path=".", type=JSON),
    ),
)
COLUMNS = columns_of(BRANCHES, source_table="gitlab api - branches")
JIRA = "load_jira_issue"
OWNER = Owner(mapping="gitlab.branches", environment="default", run="")
NAMES = [column.name for column in COLUMNS]
ALL = "lc_col_name, lc_display_name, lc_data_type, lc_src_table, lc_src_column, lc_src_strategy, lc_order"


def create(red: Red, columns: Any = COLUMNS, table: str = "load_jira_issue", **more: Any) -> Created:
    """Create metadata as a host script does."""
    with Connections(red.environment()) as connections:
        return create_metadata(columns, table, repository=Repository(connections.meta), **more)


def rows(red: Red, columns: str = ALL, key: int = 101) -> list[tuple[Any, ...]]:
    """What stands in the repository."""
    return red.rows(f"SELECT {columns} FROM ws_load_col WHERE lc_obj_key = ? ORDER BY lc_order", [key])


def test_columns_are_written_with_all_that_red_shows(red: Red) -> None:
    """Names, types, order, display names, descriptions, sources; an apostrophe and a reserved word are letters."""
    assert create(red).added == tuple(NAMES)
    assert rows(red) == [
        ("project_id", "Project id", "bigint", "gitlab api - branches", "project_id", "Project id", 10),
        ("name", "Name", "text", "gitlab api - branches", "name", "Name", 20),
        ("default", "Default", "boolean", "gitlab api - branches", "default", "the project's own branch", 30),
        ("author_name", "Author name", "text", "gitlab api - branches", "commit.author.name", "who's who", 40),
        ("committed", "Committed", "timestamptz", "gitlab api - branches", "committed", "Committed", 50),
        ("weight", "Weight", "numeric", "gitlab api - branches", "weight", "Weight", 60),
        ("day", "Day", "date", "gitlab api - branches", "day", "Day", 70),
        ("raw", "Raw", "text", "gitlab api - branches", "raw", "Raw", 80),
        ("dss_record_source", "dss record source", "varchar(256)", None, None, "Record source.", 99_999_991),
        ("dss_load_date", "dss load date", "timestamp", None, None, "Load date.", 99_999_992),
        ("dss_record_state", "dss record state", "varchar(256)", None, None,
         "Record state: live, archived, merged, deleted or gone.", 99_999_993),
        ("dss_merged_into", "dss merged into", "varchar(256)", None, None, "Key of the record that survived a merge.",
         99_999_994),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "numeric", "attribute"),
    [
        ("numeric", "Y", "N"), ("numeric(10,2)", "Y", "N"), ("int", "Y", "N"), ("bigint", "Y", "N"),
        ("text", "N", "Y"), ("bool", "N", "Y"), ("boolean", "N", "Y"), ("timestamp", "N", "N"), ("date", "N", "N"),
        ("varchar(256)", "N", "N"), ("nvarchar(max)", "N", "Y"), ("bit", "N", "Y"),
    ],
)  # fmt: skip
def test_flags_follow_the_type(red: Red, kind: str, numeric: str, attribute: str) -> None:
    """As RED's tables have them; the warehouse's own columns are attributes."""
    create(red, [MetadataColumn(name="a", display_name="A", type_text=kind), COLUMNS[-4]])
    flags = rows(red, "lc_nulls_flag, lc_numeric_flag, lc_additive_flag, lc_attribute_flag")
    assert flags == [("Y", numeric, "N", attribute), ("Y", "N", "N", "Y")]


def test_a_second_time_changes_nothing(red: Red) -> None:
    """Rows keep their keys, and no column stands there twice."""
    create(red)
    before = rows(red, "*")
    done = create(red, table="LOAD_JIRA_ISSUE.")
    assert rows(red, "*") == before
    assert str(done) == "load_jira_issue: metadata unchanged"


def test_what_a_person_changed_stays_and_is_told(red: Red) -> None:
    """Between two runs: a display name, a description, a type, a transformation, a flag, a column of their own."""
    create(red)
    for change in (
        "lc_display_name = 'Owner' WHERE lc_col_name = 'author_name'",
        "lc_src_strategy = 'O''Brien''s' WHERE lc_col_name = 'name'",
        "lc_data_type = 'varchar(20)' WHERE lc_col_name = 'day'",
        "lc_transform_code = 'lower(name)', lc_additive_flag = 'Y' WHERE lc_col_name = 'name'",
        "lc_display_name = ' ', lc_nulls_flag = NULL WHERE lc_col_name = 'weight'",
    ):
        red.rows(f"UPDATE ws_load_col SET {change}")
    red.rows("INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_order) VALUES (101, 'by_hand', 45)")
    done = create(red)
    kept = "lc_display_name, lc_src_strategy, lc_data_type, lc_transform_code, lc_additive_flag, lc_nulls_flag"
    found = {row[0]: row[1:] for row in rows(red, f"lc_col_name, {kept}")}
    assert found["author_name"][0] == "Owner" and found["day"][2] == "varchar(20)" and found["weight"][0] == "Weight"
    assert found["name"] == ("Name", "O'Brien's", "text", "lower(name)", "Y", "Y") and found["weight"][5] == "Y"
    assert done.kept == ("name (description)", "author_name (display name)", "day (type)")
    assert (done.added, done.changed, done.others) == ((), ("weight",), ("by_hand",))
    assert str(done).startswith("load_jira_issue: 1 changed (weight); 3 kept as RED has them (name (desc")
    assert rows(red, "lc_col_name, lc_order")[7:9] == [("raw", 80), ("by_hand", 90)]


def test_added_changed_and_vanished_columns_are_told(red: Red) -> None:
    """What we wrote last is not a person's: it follows the mapping. What vanished is deleted on request only."""
    create(red)
    red.rows("INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_order) VALUES (101, 'by_hand', 45)")
    red.rows("UPDATE ws_load_col SET lc_data_type = 'int' WHERE lc_col_name = 'weight'")
    later = [column for column in COLUMNS if column.name != "day"]
    later[0] = attrs.evolve(later[0], type_text="numeric", display_name="Project")
    later[5] = attrs.evolve(later[5], type_text="double precision")
    later.insert(2, MetadataColumn(name="protected", display_name="Protected", type_text="boolean"))
    done = create(red, later, before=COLUMNS)
    assert (done.added, done.changed, done.kept) == (("protected",), ("project_id",), ("weight (type)",))
    assert done.vanished == ("day",) and done.others == ("by_hand",) and "1 vanished (day)" in str(done)
    assert rows(red)[0][:3] == ("project_id", "Project", "numeric") and len(rows(red)) == 14
    orders = [order for _, order in rows(red, "lc_col_name, lc_order")]
    assert orders == [*range(10, 110, 10), *range(99_999_991, 99_999_995)]
    done = create(red, later, before=COLUMNS, deletes_vanished=True)
    assert (done.deleted, done.vanished, done.others) == (("day",), (), ("by_hand",))
    assert rows(red, "lc_col_name, lc_order")[7:9] == [("raw", 80), ("by_hand", 90)]


def test_metadata_of_the_library_of_before_stays_as_its_table_is(red: Red) -> None:
    """Types, descriptions and sources that differ from ours are those of a table that exists."""
    done = create(red, table="load_gitlab_branch")
    assert done.kept == ("name (description)", "name (source table)") and "name" not in done.added
    assert rows(red, "lc_transform_code, lc_src_strategy", 102)[1] == ("lower(name)", "Described by hand")


def test_1_500_columns_fit(red: Red) -> None:
    """A statement takes 2,100 values at most."""
    many = [MetadataColumn(name=f"c{n}", display_name=f"C {n}", type_text="text") for n in range(1_500)]
    assert len(create(red, many).added) == len(rows(red)) == 1_500
    assert rows(red)[-1][-1] == 15_000


def test_an_error_on_the_way_leaves_what_was(red: Red) -> None:
    """One transaction: no half of the columns."""
    create(red, COLUMNS[:3])
    red.rows(
        "CREATE TRIGGER no BEFORE INSERT ON ws_load_col WHEN NEW.lc_col_name = 'raw' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    before = rows(red, "*")
    with pytest.raises(WarehouseError):
        create(red, [attrs.evolve(column, source_table="other") for column in COLUMNS], before=COLUMNS)
    assert rows(red, "*") == before


@pytest.mark.parametrize(
    ("columns", "table", "said"),
    [
        ([], "load_jira_issue", "no columns to create for load_jira_issue"),
        ([COLUMNS[0], attrs.evolve(COLUMNS[0], name="PROJECT_ID")], "load_jira_issue", "column PROJECT_ID twice"),
        ([attrs.evolve(COLUMNS[0], name="x" * 64)], "load_jira_issue", "over 63 bytes"),
        (COLUMNS, "stage_hubspot_company_voys", "no load table named 'stage_hubspot_company_voys'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(red: Red, columns: Any, table: str, said: str) -> None:
    """With the numbers, and the name."""
    with pytest.raises(UsageError, match=said):
        create(red, columns, table)
    assert rows(red) == []


def test_who_comes_second_waits_and_writes_nothing_twice(red: Red) -> None:
    """The repository itself may have no unique index."""
    first = sqlite3.connect(red.file, isolation_level=None)
    first.execute("BEGIN IMMEDIATE")
    done: list[Created] = []
    second = threading.Thread(target=lambda: done.append(create(red)))
    second.start()
    second.join(0.5)
    assert second.is_alive()
    first.execute("INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_order) VALUES (101, 'Project_ID', 10)")
    first.execute("COMMIT")
    first.close()
    second.join(30)
    assert "project_id" not in done[0].added and len(rows(red)) == len(COLUMNS)


def test_two_processes_write_each_column_once(red: Red, tmp_path: Path) -> None:
    """Each with nothing but its environment."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom syncer.wherescape import connections, environment, metadata, repository\n"
        "many = [metadata.MetadataColumn(name=f'c{n}', display_name='C', type_text='text') for n in range(500)]\n"
        "with connections.Connections(environment.read(os.environ)) as c:\n"
        "    metadata.create_metadata(many, 'load_jira_issue', repository=repository.Repository(c.meta))\n",
        encoding="utf-8",
    )
    variables = {**os.environ, **red.variables}
    started = [subprocess.Popen([sys.executable, str(script)], env=variables) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    assert len(rows(red)) == 500


def test_flags_follow_a_type_that_is_ours(red: Red) -> None:
    """A number that became a text is no number any more; a flag that a person set stays else."""
    create(red)
    red.rows("UPDATE ws_load_col SET lc_numeric_flag = 'Y' WHERE lc_col_name = 'name'")
    later = [attrs.evolve(column, type_text="text") if column.name == "weight" else column for column in COLUMNS]
    done = create(red, later, before=COLUMNS)
    assert (done.changed, done.kept) == (("weight",), ())
    found = {row[0]: row[1:] for row in rows(red, "lc_col_name, lc_numeric_flag, lc_attribute_flag")}
    assert found["weight"] == ("N", "Y") and found["name"] == ("Y", "Y")


def test_a_flag_that_a_person_set_does_not_follow_the_type(red: Red) -> None:
    """It is told; one that is as we wrote it follows."""
    first = [MetadataColumn(name=name, display_name=name, type_text="bigint") for name in ("a", "b")]
    create(red, first)
    red.rows("UPDATE ws_load_col SET lc_numeric_flag = 'N', lc_attribute_flag = 'Y' WHERE lc_col_name = 'a'")
    done = create(red, [attrs.evolve(column, type_text="numeric") for column in first], before=first)
    assert done.changed == ("a", "b") and done.kept == ("a (numeric flag)", "a (attribute flag)")
    found = rows(red, "lc_col_name, lc_data_type, lc_numeric_flag, lc_attribute_flag")
    assert found == [("a", "numeric", "N", "Y"), ("b", "numeric", "Y", "N")]


def test_a_source_that_a_person_changed_stays_and_is_told(red: Red) -> None:
    """As a display name; one that is as we wrote it follows, one that is blank is filled, and the order is ours."""
    first = [
        MetadataColumn(name=name, display_name=name, type_text="text", source_table="api", source_column=f"x.{name}")
        for name in ("a", "b", "c")
    ]
    create(red, first)
    red.rows("UPDATE ws_load_col SET lc_src_table = 'T', lc_src_column = 'C', lc_order = 25 WHERE lc_col_name = 'a'")
    red.rows("UPDATE ws_load_col SET lc_src_table = NULL, lc_src_column = ' ' WHERE lc_col_name = 'c'")
    later = [attrs.evolve(column, source_column=f"y.{column.name}") for column in first]
    done = create(red, later, before=first)
    assert done.kept == ("a (source table)", "a (source column)") and done.changed == ("b", "c")
    assert rows(red, "lc_col_name, lc_src_table, lc_src_column, lc_order") == [
        ("a", "T", "C", 10), ("b", "api", "y.b", 20), ("c", "api", "y.c", 30)
    ]  # fmt: skip


def test_what_other_mappings_have_does_not_vanish(red: Red) -> None:
    """Though we wrote it, too; whatever the capitals."""
    create(red)
    done = create(red, COLUMNS[2:], before=COLUMNS, others={"name"}, deletes_vanished=True)
    assert (done.deleted, done.vanished, done.others) == (("project_id",), (), ("name",))


def test_what_was_written_is_ours_and_a_copy_of_it_is_not(red: Red) -> None:
    """A person who copies a column in RED copies its source, too; what is ours only what was kept tells."""
    create(red)
    red.rows(
        "INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_src_table, lc_src_column, lc_order) "
        "SELECT lc_obj_key, 'name_copy', lc_src_table, lc_src_column, 25 FROM ws_load_col WHERE lc_col_name = 'name'"
    )
    later = [column for column in COLUMNS if column.name != "day"]
    done = create(red, later, before=COLUMNS, deletes_vanished=True)
    assert (done.vanished, done.deleted, done.others) == ((), ("day",), ("name_copy",))
    done = create(red, later[1:], deletes_vanished=True)  # what was kept is lost
    assert (done.vanished, done.deleted, done.others) == ((), (), ("project_id", "name_copy"))


def test_an_apostrophe_is_a_letter(red: Red) -> None:
    """In a display name, in a description, and where they change."""
    odd = MetadataColumn(name="default", display_name="It's", type_text="text", comment="'; DROP TABLE x --")
    create(red, [odd])
    assert rows(red)[0][:2] == ("default", "It's") and rows(red)[0][5] == "'; DROP TABLE x --"
    assert create(red, [attrs.evolve(odd, display_name="O'Brien's")], before=[odd]).changed == ("default",)
    assert rows(red)[0][1] == "O'Brien's" and len(rows(red)) == 1


def test_what_is_longer_than_its_column_of_the_repository_is_cut(red: Red) -> None:
    """A server refuses it, and with it all columns of the table; a second time it is still what we wrote."""
    longest = {"lc_display_name": 256, "lc_src_table": 256, "lc_src_column": 256, "lc_src_strategy": 1024}
    too_long = " OR ".join(f"LENGTH(NEW.{column}) > {most}" for column, most in longest.items())
    for event in ("INSERT", "UPDATE"):
        red.rows(
            f"CREATE TRIGGER long_{event} BEFORE {event} ON ws_load_col WHEN {too_long} "
            "BEGIN SELECT RAISE(ABORT, 'String or binary data would be truncated'); END"
        )
    words = {"display_name": "d" * 257, "source_table": "t" * 300, "source_column": "s" * 300, "comment": "c" * 2_000}
    fits = MetadataColumn(name="b", display_name="d" * 256, type_text="text", comment="c" * 1_024)
    long = MetadataColumn(name="a", type_text="text", **words)
    create(red, [long, fits])
    assert rows(red, ", ".join(longest))[0] == ("d" * 255 + "…", "t" * 255 + "…", "s" * 255 + "…", "c" * 1_023 + "…")
    assert rows(red)[1][1] == "d" * 256 and rows(red)[1][5] == "c" * 1_024
    assert str(create(red, [long, fits])) == "load_jira_issue: metadata unchanged"
    other = attrs.evolve(long, display_name="e" * 257)
    assert create(red, [other, fits], before=[long, fits]).changed == ("a",)


def test_a_target_has_its_own_types() -> None:
    """A SQL Server target knows no text; an unknown one is refused."""
    kinds = [column.type_text for column in columns_of(BRANCHES, target="sqlserver", has_states=False)]
    assert kinds == ["bigint", "nvarchar(max)", "bit", "nvarchar(max)", "datetime2", "numeric(38,9)", "date",
                     "nvarchar(max)", "varchar(256)", "datetime2"]  # fmt: skip
    assert TEXT is Field("x").type
    with pytest.raises(UsageError, match="choices: postgresql, sqlserver"):
        columns_of(BRANCHES, target="oracle")


def test_what_was_written_is_kept_in_the_warehouse(site: Site) -> None:
    """So that the next run knows its own; on every warehouse, an apostrophe and an emoji too."""
    odd = attrs.evolve(COLUMNS[0], comment="it's 😀 {x}")
    warehouse = site.warehouse()
    with warehouse.transaction() as t:
        assert last(t, "load_jira_issue", OWNER) == Last()
        keep(t, "load_jira_issue", OWNER, COLUMNS)
        keep(t, "LOAD_jira_issue", OWNER, [odd])
    with warehouse.transaction() as t:
        assert last(t, "Load_Jira_Issue", OWNER) == Last((odd,))
    warehouse.close()


def test_what_vanished_is_known_until_red_has_it_no_more(site: Site) -> None:
    """Else nobody could have it deleted later; whatever the capitals that RED has."""
    warehouse = site.warehouse()
    with warehouse.transaction() as t:
        keep(t, "load_jira_issue", OWNER, COLUMNS[:4])
        keep(t, "load_jira_issue", OWNER, COLUMNS[2:3], vanished=["NAME", "project_id", "by_hand"])
        assert last(t, "load_jira_issue", OWNER).own == (COLUMNS[2], *COLUMNS[:2])
        keep(t, "load_jira_issue", OWNER, COLUMNS[1:2], vanished=["project_id"])
        assert last(t, "load_jira_issue", OWNER).own == (COLUMNS[1], COLUMNS[0])
        keep(t, "load_jira_issue", OWNER, COLUMNS[1:2])
        assert last(t, "load_jira_issue", OWNER).own == (COLUMNS[1],)
    warehouse.close()


def test_what_each_mapping_and_environment_wrote_is_kept_apart(site: Site) -> None:
    """Who writes anew leaves what others wrote; what was kept before that is of the mapping that its source names."""
    other, there = attrs.evolve(OWNER, mapping="gitlab.tags"), attrs.evolve(OWNER, environment="voys")
    first = [attrs.evolve(column, source_table=OWNER.mapping) for column in COLUMNS[:2]]
    warehouse = site.warehouse()
    with warehouse.transaction() as t:
        ensure(t, WRITTEN)
        t.run(sql.insert(WRITTEN), ["load_x", json.dumps([attrs.asdict(column) for column in first])])
        assert last(t, "load_x", other) == Last((), tuple(first))
        keep(t, "load_x", other, COLUMNS[2:4])
        assert last(t, "load_x", OWNER) == Last(tuple(first), COLUMNS[2:4])
        keep(t, "load_x", OWNER, first[:1], vanished=["name"])
        keep(t, "load_x", there, COLUMNS[4:5])
        assert last(t, "load_x", OWNER) == Last(tuple(first), (COLUMNS[4], *COLUMNS[2:4]))
        assert last(t, "load_x", there).own == COLUMNS[4:5] and last(t, "load_x", other).own == COLUMNS[2:4]
    warehouse.close()


def test_a_later_run_deletes_what_vanished_in_an_earlier_one(tmp_path: Path, red: Red) -> None:
    """It is told until then; a column that somebody added by hand stays, and one that RED lost is forgotten."""
    with red_site(tmp_path, red) as site:
        made = site.run('wherescape.create_metadata(columns="legacy")', JIRA, source="jira")
        assert made.status == "1" and "resolution" in names(red), made
        red.rows("INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_order) VALUES (101, 'by_hand', 45)")
        mapping = 'wherescape.create_metadata(columns="mapping"'
        told = site.run(f"{mapping})", JIRA, source="jira").message
        assert "6 vanished (issuetype_description, " in told, told
        red.rows("DELETE FROM ws_load_col WHERE lc_col_name = 'issuetype_description'")
        again = site.run(f"{mapping})", JIRA, source="jira").message
        assert again.startswith(f"{JIRA}: 5 vanished (status_statuscategory_id, "), again
        red.rows("INSERT INTO ws_load_col (lc_obj_key, lc_col_name) VALUES (101, 'issuetype_description')")
        done = site.run(f"{mapping}, delete_vanished=True)", JIRA, source="jira").message
        assert done.startswith(f"{JIRA}: 5 deleted (status_statuscategory_id, "), done
        assert {"by_hand", "issuetype_description"} < names(red) and "resolution" not in names(red)
        last_one = site.run(f"{mapping}, delete_vanished=True)", JIRA, source="jira").message
        assert last_one == f"{JIRA}: metadata unchanged"


def names(red: Red) -> set[str]:
    """The columns of the load table."""
    return {name for (name,) in rows(red, "lc_col_name")}


@pytest.mark.sqlserver
def test_a_real_server_takes_the_statements(server: Connections) -> None:
    """Those of metadata, of tables with their columns, and of joins."""
    repository = Repository(server.meta)
    many = [MetadataColumn(name=f"c{n}", display_name="it's", type_text="text") for n in range(1_500)]
    assert len(create_metadata(many, "LOAD_jira_issue", repository=repository).added) == 1_500
    assert create_metadata(many[1:], "load_jira_issue", repository=repository, before=many).vanished == ("c0",)
    assert len(repository.columns(repository.find("load_jira_issue"))) == 1_500
    assert repository.fact_joins().joins["star.fact_call"] == ["dim_client_key", "dim_date_key"]
