"""`syncer wherescape check`: the page that a RED administrator reads before a host script is changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from syncer.verbs.sandbox import Amount
from syncer.wherescape import legacy, otherwise
from syncer.wherescape.checking import plain_type
from tests.wherescape.red_site import Ended, RedSite, red_site
from tests.wherescape.stand_in import Red, red_repository

Columns = Sequence[tuple[str, str]]

DSS = (("dss_record_source", "varchar(256)"), ("dss_load_date", "timestamp"))
PROJECT = (("id", "numeric"), ("key", "text"), ("name", "text"))
KEEP = "not-a-token"  # the value of a parameter in the repository


def of_before(mapping: str, *, is_numbered: bool = False) -> Columns:
    stream = legacy.stream_of(mapping)
    assert stream is not None
    names = stream.numbered if is_numbered else [column.name for column in stream.columns]
    return [(name, column.type) for name, column in zip(names, stream.columns, strict=True)]


def known_to_red(red: Red, key: int, table: str, columns: Columns = (), *, label: str = "") -> None:
    """Have RED know a load table, in the schema `load`."""
    red.rows("INSERT INTO ws_obj_object VALUES (?, ?, 1, 1)", [key, table])
    red.rows("INSERT INTO ws_load_tab (lt_obj_key, lt_table_name) VALUES (?, ?)", [key, table])
    for place, (name, kind) in enumerate(columns, start=1):
        red.rows(
            "INSERT INTO ws_load_col (lc_obj_key, lc_col_name, lc_data_type, lc_src_table, lc_order) "
            "VALUES (?, ?, ?, ?, ?)",
            [key, name, kind, label, place * 10],
        )


def made(site: RedSite, key: int, table: str, columns: Columns, *, label: str = "", there: Columns = ()) -> None:
    """Have RED know a load table that is in the target as RED has it, or as *there*."""
    known_to_red(site.red, key, table, [*columns, *DSS], label=label)
    site.make(table, there or columns)


def checked(site: RedSite, *options: str, **more: str) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "syncer", "wherescape", "check", *options],
        cwd=site.folder,
        env=site.environment(**more),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedSite]:
    """A site with one load table of each kind; no test here changes it but for a routine that it takes away."""
    folder = tmp_path_factory.mktemp("check")
    red = Red(red_repository.make(folder / "red.sqlite"))
    with red_site(folder, red, amount=Amount(1, 5)) as site:
        red.rows("DELETE FROM ws_load_tab WHERE lt_table_name = 'load_jira_issue'")
        made(site, 110, "load_jira_issue", of_before("jira.issues"), label="Jira api - issues")
        made(site, 111, "load_gitlab_issue", of_before("gitlab.issues", is_numbered=True))
        made(site, 112, "load_jira_project", (*PROJECT, ("lead_age", "int")))
        made(site, 113, "load_jira_projects", PROJECT)
        made(site, 114, "load_deal_contact", PROJECT)
        made(site, 115, "load_customer", PROJECT)
        made(site, 116, "load_bot", of_before("anythingllm.embed_chats"), label="AnythingLLM embed - b1f5")
        made(site, 117, "load_gitlab_project_issue", of_before("gitlab.projects"), label="Gitlab api - projects")
        made(site, 121, "load_gitlab_commit", of_before("gitlab.branches"), label="Gitlab api - branches")
        made(site, 122, "load_mine", (("id", "numeric"), ("status", "text")))
        site.run('wherescape.pull("gitlab.pipelines")', "load_mine", source="gitlab")
        known_to_red(red, 118, "load_gitlab_tag")
        made(
            site, 119, "load_friday_pulse_topic", (("code", "varchar(20)"), ("name", "text"), ("lost", "text")),
            there=(("code", "varchar(30)"), ("name", "text"), ("new", "text")),
        )  # fmt: skip
        made(site, 120, "load_hubspot_voys_companies", (("id", "bigint"), ("dss_record_state", "text")))
        red.rows("INSERT INTO dss_parameter VALUES ('gitlab_base_url', 'https://gitlab.example.com', NULL)")
        red.rows("INSERT INTO dss_parameter VALUES ('HWM_ds_friday_pulse_notes', '2026-01-01', NULL)")
        red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token_big_portal_dev', ?, NULL)", [KEEP])
        red.rows("INSERT INTO ws_stage_tab VALUES (202, 'stage_deals_big_portal'), (203, 'stage_calendar')")
        red.rows("INSERT INTO ws_stage_tab VALUES (204, 'stage_note_voys')")
        made(site, 123, "load_hubspot_big_portal_companies", (("id", "bigint"),))
        made(site, 124, "load_hubspot_companies", (("id", "bigint"),))
        made(site, 125, "load_voys_deal_contact", (("id", "bigint"),), label="hubspot.deals")
        yield site


@pytest.fixture(scope="module")
def document(site: RedSite) -> dict[str, Any]:
    """What `--output json` says."""
    ended = checked(site, "--output", "json")
    assert ended.code == 3, ended
    found: dict[str, Any] = json.loads(ended.out)
    return found


@pytest.fixture(scope="module")
def page(site: RedSite) -> Ended:
    """What people read."""
    return checked(site)


def table(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in document["tables"] if each["table"] == f"load.{name}"]
    return dict(found)


def test_a_table_of_before_is_served_as_it_is(document: dict[str, Any]) -> None:
    """Nothing to look at: the host script is changed, and the columns stay."""
    found = table(document, "load_jira_issue")
    assert (found["mapping"], found["told_by"], found["columns"]) == ("jira.issues", "name", "legacy")
    assert (found["filled"], found["unfilled"], found["looks"]) == (22, [], [])
    assert "labels" in found["not_carried"] and not found["has_states"]
    assert any("Private projects" in text for text in found["otherwise"])
    assert any("dss_load_date is UTC" in text for text in document["otherwise"])


def test_what_a_host_script_has_said_is_known(document: dict[str, Any]) -> None:
    """A pull that filled the table tells more than its name."""
    found = table(document, "load_mine")
    assert (found["mapping"], found["told_by"], found["looks"]) == ("gitlab.pipelines", "host script", [])


def test_numbered_columns_are_told(document: dict[str, Any]) -> None:
    """They go on being filled under the names that they have."""
    found = table(document, "load_gitlab_issue")
    assert (found["columns"], found["filled"], found["looks"]) == ("legacy, numbered", 52, [])


def test_the_mappings_own_columns_change_nothing_in_the_data(document: dict[str, Any]) -> None:
    """A table that is not of before was never filled by the library of before; its states are told."""
    found = table(document, "load_hubspot_voys_companies")
    assert (found["mapping"], found["environment"], found["columns"]) == ("hubspot.companies", "voys", "mapping")
    assert found["has_states"] and found["otherwise"] == []
    assert table(document, "load_gitlab_commit")["columns"] == "mapping"
    assert table(document, "load_gitlab_commit")["otherwise"] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("load_gitlab_branch", "The target has no table load.load_gitlab_branch"),
        ("load_gitlab_tag", "RED knows no columns of it"),
        ("load_jira_project", "load.load_jira_projects is of jira.projects (default), too"),
        ("load_jira_project", "Nothing fills lead_age"),
        ("load_deal_contact", "fits hubspot.contacts, hubspot.deals"),
        ("load_bot", 'Say in the host script wherescape.pull("anythingllm.embed_chats")'),
        ("load_gitlab_project_issue", 'The name does not tell it. Say in the host script wherescape.pull("gitlab.pr'),
        ("load_gitlab_commit", "made for gitlab.branches, and the table's name says gitlab.commits"),
        ("load_friday_pulse_topic", "code (varchar(20) in RED, character varying(30) in the table)"),
        ("load_friday_pulse_topic", "In RED's metadata and not in the table: lost"),
        ("load_friday_pulse_topic", "In the table and not in RED's metadata: new"),
        ("load_hubspot_big_portal_companies", "'big_portal' in its name is no environment"),
        ("load_hubspot_big_portal_companies", "RED has no parameter hubspot_access_token_big_portal."),
        ("load_hubspot_companies", "RED's parameter hubspot_access_token is not there: a pull needs it, unless its"),
        ("load_voys_deal_contact", 'Say in the host script wherescape.pull("hubspot.deals", environment="voys").'),
    ],
)
def test_what_somebody_must_look_at(document: dict[str, Any], page: Ended, name: str, said: str) -> None:
    """Each with what to do, in JSON and on the page."""
    assert any(said in look for look in table(document, name)["looks"]), table(document, name)["looks"]
    assert said in page.out


def test_other_load_tables_are_none_of_ours(document: dict[str, Any]) -> None:
    """A repository has hundreds of them."""
    assert document["others"] == ["load.load_customer"]


def test_a_table_whose_account_has_its_token_needs_no_look(document: dict[str, Any]) -> None:
    """What a pull finds is not told."""
    assert not [look for look in table(document, "load_hubspot_voys_companies")["looks"] if "parameter" in look]


def test_parameters_are_named_and_never_shown(document: dict[str, Any], page: Ended) -> None:
    """A value may be a token."""
    assert document["marks"] == ["HWM_ds_friday_pulse_notes", "gitlab_high_water_mark", "jira_high_water_mark"]
    assert document["tokens"] == ["hubspot_access_token_big_portal_dev", "hubspot_access_token_voys"]
    assert document["unread"] == ["gitlab_base_url"]
    for secret in (KEEP, "not-a-secret", "2024-05-01"):
        assert secret not in page.out + page.err + json.dumps(document)


def test_stage_tables_that_a_push_would_read_are_told(document: dict[str, Any], page: Ended) -> None:
    """With the parameter that has the token; that of development is none of production's."""
    assert [list(each.values()) for each in document["stages"]] == [
        ["stage_deals_big_portal", "hubspot.deals", "big_portal", "hubspot_access_token_big_portal", False],
        ["stage_hubspot_company_voys", "hubspot.companies", "voys", "hubspot_access_token_voys", True],
        ["stage_note_voys", "hubspot.notes", "voys", "hubspot_access_token_voys", True],
    ]
    assert "RED's parameter hubspot_access_token_big_portal is not there" in page.out


def test_the_page_is_counted_and_needs_a_look(document: dict[str, Any], page: Ended) -> None:
    """Exit code 3, as where anything of syncer's is left to look at."""
    assert page.code == 3, page
    assert page.out.splitlines()[-1] == f"{document['needing_look']} things to look at."
    assert document["missing"] == {} and document["looks"] == []


def test_a_routine_that_is_not_there_is_told(site: RedSite) -> None:
    """RED 10 has no routines for job logs any more; without the counts of a task a run is a warning each time."""
    site.red.lacks("WsWrkTask")
    site.red.lacks("Ws_Job_Clear_Archive")
    try:
        ended = checked(site)
    finally:
        site.red.rows("DELETE FROM dss_test_missing")
    assert "! Routine WsWrkTask is not there: the row counts of a task." in ended.out
    assert "! Routine Ws_Job_Clear_Archive" not in ended.out
    assert "Ws_Job_Clear_Archive (wherescape.clear_archive)" in ended.out


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"WSL_META_DSN": "", "WSL_TGT_DSN": ""}, 2, "WSL_META_DSN and WSL_TGT_DSN are not set"),
        ({"WSL_TGT_DSN": "nowhere"}, 1, "nowhere"),
        ({"WSL_META_SCHEMA": "red."}, 2, "PostgreSQL"),
        ({"WSL_SEQUENCE": "one"}, 2, "WSL_SEQUENCE is 'one'"),
    ],
)
def test_what_cannot_be_read_is_an_error(site: RedSite, more: dict[str, str], code: int, said: str) -> None:
    """2 where nothing was tried, 1 where it failed."""
    ended = checked(site, **more)
    assert ended.code == code and said in ended.err, ended
    assert KEEP not in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VARCHAR(64)", "character varying(64)"),
        ("int", "integer"),
        ("bool", "boolean"),
        ("numeric(10, 2)", "decimal(10,2)"),
        ("numeric(10)", "numeric(10,0)"),
        ("timestamp", "timestamp without time zone"),
        ("timestamp(6)", "timestamp"),
    ],
)
def test_types_that_are_one(one: str, other: str) -> None:
    """RED has the words that were typed, the catalogue its own."""
    assert plain_type(one) == plain_type(other)


@pytest.mark.parametrize(("one", "other"), [("int", "bigint"), ("varchar(1)", "varchar(2)"), ("varchar(9)", "text")])
def test_types_that_are_two(one: str, other: str) -> None:
    """A value that fits one does not fit the other."""
    assert plain_type(one) != plain_type(other)


def test_each_table_of_before_says_what_is_otherwise() -> None:
    """Nobody is to find out by himself that rows come that never came."""
    assert {stream.mapping for stream in legacy.STREAMS} == set(otherwise.TEXTS)
    assert all(text.endswith(".") for mapping in otherwise.TEXTS for text in otherwise.texts(mapping))
