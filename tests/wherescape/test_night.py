"""Host scripts as RED starts them, on a warehouse, an API and a repository: all that was offered is carried on."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from syncer.sandbox import Fault
from syncer.verbs.sandbox import Amount, variables
from tests.wherescape.red_site import RedSite, red_site
from tests.wherescape.stand_in import Red

DOCS = Path(__file__).parents[2] / "docs"
JIRA = "load_jira_issue"
ISSUE = (
    ("id", "numeric"),
    ("key", "text"),
    ("issuetype_name", "text"),
    ("created", "timestamp"),
    ("updated", "timestamp"),
)


def test_two_lines_fill_a_load_table(host: RedSite) -> None:
    """The first line is the status, the second what people see, the exit code 0; columns that lack are told once."""
    host.make(JIRA, ISSUE)
    host.no_marks()
    ended = host.run("wherescape.pull()", JIRA, source="jira")
    assert (ended.status, ended.code) == ("-1", 0), ended
    assert ended.message.startswith("jira.issues: 40 new of 40 read; 103 columns that load.load_jira_issue does not")
    again = host.run("wherescape.pull()", JIRA, source="jira")
    assert (again.status, again.message) == ("1", "jira.issues: nothing new of 0 read"), again
    assert host.rows(f"SELECT count(*), count(created), max(dss_record_source) FROM load.{JIRA}") == [
        (40, 40, "Jira api - issue")
    ]


def test_what_was_not_carried_on_is_offered_again_until_it_is_confirmed(host: RedSite) -> None:
    """RED empties the load table whatever came of its rows; the job's last step says that they were carried on."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()", JIRA, source="jira")
    host.truncate(JIRA)  # the step to the datastore failed
    again = host.run("wherescape.pull()", JIRA, source="jira")
    assert (again.status, again.code) == ("1", 0), again
    assert "nothing new" in again.message
    host.carry(JIRA, "id")
    assert host.rows("SELECT count(*) FROM datastore.ds_jira_issue") == [(40,)]
    confirmed = host.run("wherescape.confirm()")
    assert (confirmed.status, confirmed.message) == ("1", f"confirmed: 40 rows of load.{JIRA}"), confirmed
    host.truncate(JIRA)
    last = host.run("wherescape.pull()", JIRA, source="jira")
    assert last.status == "1"
    assert host.rows(f"SELECT count(*) FROM load.{JIRA}") == [(0,)]


def test_a_confirmation_is_of_this_execution_of_the_job(host: RedSite) -> None:
    """What another job has loaded, nobody here has carried on."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()", JIRA, source="jira")
    host.sequence += 1
    other = host.run("wherescape.confirm()")
    assert (other.status, other.message) == (
        "1",
        "nothing to confirm: this job has pulled nothing, or another one has pulled it again since",
    )
    named = host.run('wherescape.confirm("jira.issues")')
    assert named.message == f"confirmed: 40 rows of load.{JIRA}"


def test_the_scheduler_is_told_the_counts(host: RedSite) -> None:
    """As `WsWrkTask` takes them: inserted, updated, replaced, deleted, discarded, rejected, errored."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()", JIRA, source="jira")
    counts = [values for routine, values in host.red.calls() if routine == "WsWrkTask"]
    assert counts == [[9999, 6666, 1234, 40, 0, 0, 0, 0, 0, 0]]


def test_a_census_tells_what_is_gone_and_the_datastore_keeps_what_it_was(host: RedSite) -> None:
    """It comes as its key and its state: RED's step leaves the old values, and sets the state."""
    host.make(JIRA, (*ISSUE, ("dss_record_state", "varchar(256)")))
    host.run("wherescape.pull()", JIRA, source="jira")
    host.carry(JIRA, "id")
    with host.sandbox.locked("jira") as jira:
        (number,) = max(jira.truth("issues"), key=lambda key: int(key[0]))  # type: ignore[attr-defined]
        jira.delete_issue(number)  # type: ignore[attr-defined]
    host.sandbox.clock.advance(600)
    host.run("wherescape.confirm()")
    host.truncate(JIRA)
    assert "1 gone of 39 read" in host.run("wherescape.pull(census=True)", JIRA, source="jira").message
    assert host.rows(f"SELECT count(*), count(key) FROM load.{JIRA}") == [(1, 0)]
    host.carry(JIRA, "id")
    which = f"id = {number} AND dss_record_state = 'gone'"
    assert host.rows(f"SELECT count(key), count(created) FROM datastore.ds_jira_issue WHERE {which}") == [(1, 1)]
    assert host.rows("SELECT count(*) FROM datastore.ds_jira_issue") == [(40,)]


def test_a_datastore_that_was_lost_is_filled_anew(host: RedSite) -> None:
    """What was confirmed is offered no more; a full pull offers all of it."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()", JIRA, source="jira")
    host.run("wherescape.confirm()")
    host.truncate(JIRA)
    host.run("wherescape.pull()", JIRA, source="jira")
    assert host.rows(f"SELECT count(*) FROM load.{JIRA}") == [(0,)]
    ended = host.run("wherescape.pull(full=True)", JIRA, source="jira")
    assert ended.message == "jira.issues: 40 changed of 40 read"
    assert host.rows(f"SELECT count(*) FROM load.{JIRA}") == [(40,)]


def test_a_script_may_pull_into_tables_of_our_own(host: RedSite) -> None:
    """The one of the page, a pattern of mappings: RED is told of each; one that fails is a handled error."""
    script = (DOCS / "examples" / "wherescape_syncer.py").read_text(encoding="utf-8").replace("hubspot.*", "jira.*")
    where = {"SYNCER_WAREHOUSE": host.database.setting, **variables(host.sandbox)}
    ended = host.run(script, **where)
    assert (ended.status, ended.code) == ("1", 0), ended
    assert "pull jira.issues: 40 read" in ended.message
    assert host.rows("SELECT count(*) FROM load.jira_issues") == [(40,)]
    ended = host.run(script, **{**where, "SYNCER_JIRA_TOKEN": "wrong"})
    assert (ended.status, ended.code) == ("-2", 0) and "pulls failed" in ended.message, ended


def test_two_verbs_of_a_script_are_counted_together(host: RedSite) -> None:
    """RED keeps what it was told last, and a script may take a census behind its pull."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()\nwherescape.pull(census=True)", JIRA, source="jira")
    counts = [values[3:] for routine, values in host.red.calls() if routine == "WsWrkTask"]
    assert counts == [[40, 0, 0, 0, 0, 0, 0]] * 2


def test_a_source_that_is_down_fails_and_leaves_the_load_table(host: RedSite) -> None:
    """What depends on it is held by RED (-2); what stood there stands."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()", JIRA, source="jira")
    down = host.run("wherescape.pull()", JIRA, source="jira", WSL_SRCCFG_url="http://127.0.0.1:9")
    assert (down.status, down.code) == ("-2", 0), down
    assert "127.0.0.1:9" in down.message
    assert host.rows(f"SELECT count(*) FROM load.{JIRA}") == [(40,)]
    assert host.run("wherescape.confirm()").status == "-1", "a pull that did not finish confirms nothing"


def test_a_value_that_does_not_fit_is_a_warning(host: RedSite) -> None:
    """The other columns of the row are loaded."""
    host.make(JIRA, (("id", "numeric"), ("key", "varchar(3)"), ("created", "timestamp")))
    ended = host.run("wherescape.pull()", JIRA, source="jira")
    assert (ended.status, ended.code) == ("-1", 0), ended
    assert "40 rejected" in ended.message
    assert host.rows(f"SELECT count(*), count(key), count(created) FROM load.{JIRA}") == [(40, 0, 40)]


@pytest.mark.parametrize(
    ("script", "table", "said"),
    [
        ("wherescape.pull()", "", "WSL_LOAD_TABLE is not set"),
        ("wherescape.pull()", "load_something", "fits no mapping"),
        ('wherescape.pull("jira.issue")', JIRA, "No mapping named 'jira.issue'"),
        ("wherescape.pull()", "load_jira_project", "no such table in the warehouse"),
        ("wherescape.pull(full=True, census=True)", JIRA, "a census, not both"),
        ('wherescape.pull(columns="old")', JIRA, "choices: legacy, mapping"),
        ('wherescape.confirm("jira.projects")', "", "No pull of jira.projects"),
    ],
)
def test_wrong_use_is_a_handled_error(host: RedSite, script: str, table: str, said: str) -> None:
    """Nothing was tried; the message is what RED shows first."""
    host.make(JIRA, ISSUE)
    ended = host.run(script, table, source="jira")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert said in ended.message


def stage(host: RedSite, rows: str) -> None:
    """Make a stage table as RED does: what goes out to the portal voys."""
    host.rows("CREATE SCHEMA IF NOT EXISTS stage")
    host.rows(f"CREATE TABLE stage.stage_company_voys AS SELECT * FROM (VALUES {rows}) AS v (hs_object_id, name)")


def companies(host: RedSite, *ids: str) -> dict[str, str]:
    with host.sandbox.locked("hubspot") as portal:
        records = portal.store.records["companies"]  # type: ignore[attr-defined]
        return {each: records[each].properties["name"] for each in ids}


@pytest.fixture
def portal(host: RedSite) -> tuple[str, dict[str, str]]:
    return hubspot(host)


def hubspot(host: RedSite) -> tuple[str, dict[str, str]]:
    """Return a company of the sandbox's portal, and the variables that lead there; its token is a parameter of RED."""
    from syncer.sandbox.hubspot import TOKEN

    with host.sandbox.locked("hubspot") as portal:
        first = min(portal.store.records["companies"])  # type: ignore[attr-defined]
    host.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name = 'hubspot_access_token_voys'")
    host.red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token_voys', ?, NULL)", [TOKEN])
    return first, {"SYNCER_HUBSPOT__VOYS_URL": host.sandbox.url("hubspot"), "schema": "stage"}


def test_rows_of_a_stage_table_go_out(host: RedSite, portal: tuple[str, dict[str, str]]) -> None:
    """The object and the portal are in the table's name, the portal's token in a parameter."""
    company, where = portal
    stage(host, f"('{company}', 'New name')")
    (host.folder / "syncer.toml").write_text('["hubspot.companies"]\nadopt = "ours"\n', encoding="utf-8")
    dry = host.run("wherescape.push(dry_run=True)", "stage_company_voys", **where)
    assert (dry.status, dry.code) == ("1", 0), dry
    assert "1 to update" in dry.message and companies(host, company)[company] != "New name"
    ended = host.run("wherescape.push()", "stage_company_voys", **where)
    assert (ended.status, ended.code) == ("1", 0), ended
    assert "1 updated" in ended.message
    assert companies(host, company) == {company: "New name"}
    counts = [values for routine, values in host.red.calls() if routine == "WsWrkTask"]
    assert counts == [[9999, 6666, 1234, 0, 1, 0, 0, 0, 0, 0]]
    assert "pat-na1" not in dry.out + dry.err + ended.out + ended.err, "a token is nobody's business"


def test_a_refused_push_is_a_handled_error(host: RedSite, portal: tuple[str, dict[str, str]]) -> None:
    """What depends on it is held; nothing was written."""
    company, where = portal
    stage(host, f"('{company}', 'New name')")
    toml = '["hubspot.companies"]\nadopt = "ours"\nmax_updates = 0\n'
    (host.folder / "syncer.toml").write_text(toml, encoding="utf-8")
    ended = host.run("wherescape.push()", "stage_company_voys", **where)
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert "refused" in ended.message and companies(host, company)[company] != "New name"


def test_a_push_that_failed_on_its_way_is_counted_by_what_it_wrote(tmp_path: Path, red: Red) -> None:
    """RED's log has what is at HubSpot by now, also of a script that failed."""
    toml = '["hubspot.companies"]\nadopt = "ours"\nmax_update_share = "off"\n'
    with red_site(tmp_path, red, amount=Amount(3, 300)) as host:
        (host.folder / "syncer.toml").write_text(toml, encoding="utf-8")
        _, where = hubspot(host)
        with host.sandbox.locked("hubspot") as portal:
            ids = sorted(portal.store.records["companies"])  # type: ignore[attr-defined]
        stage(host, ", ".join(f"('{number}', 'New name')" for number in ids))
        host.sandbox.faults.add(Fault(kind="status", match="/batch/update", status=403, skip=1))
        ended = host.run("wherescape.push()", "stage_company_voys", **where)
        assert (ended.status, ended.code) == ("-2", 0), ended
        (counts,) = [values[3:] for routine, values in host.red.calls() if routine == "WsWrkTask"]
        written = sum(name == "New name" for name in companies(host, *ids).values())
        assert 0 < written < len(ids) and counts[1] == written, (counts, ended)


def test_a_report_that_cannot_be_written_is_a_handled_error(host: RedSite) -> None:
    """The work directory is a file."""
    host.rows("CREATE SCHEMA star")
    (host.folder / "file").write_text("", encoding="utf-8")
    ended = host.run('wherescape.run("warehouse.check_fact_dimensions")', WSL_WORKDIR=str(host.folder / "file"))
    assert ended.status == "-2" and "WSL_WORKDIR must be a folder" in ended.out, ended


def test_the_joins_of_the_repository_are_checked(host: RedSite) -> None:
    """Each fact and key that RED knows; the CSV is where the one of before was."""
    host.rows("CREATE SCHEMA star")
    host.rows("CREATE TABLE star.fact_call (dim_client_key integer, dim_date_key integer, seconds integer)")
    host.rows("CREATE TABLE star.fact_without_dimension (amount numeric)")
    host.rows("INSERT INTO star.fact_call VALUES (0, 1, 10), (2, 1, 20)")
    ended = host.run('wherescape.run("warehouse.check_fact_dimensions")')
    assert ended.code == 0 and ended.status in ("1", "-1"), ended
    (file,) = host.folder.glob("9999_fact_dimension_check_result_*.csv")
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].split(",")[:5] == [
        "date", "table", "attribute", "count_of_all_records", "count_of_0_key_records"
    ]  # fmt: skip
    assert [line.split(",")[1:5] for line in lines[1:]] == [
        ["star.fact_call", "dim_client_key", "2", "1"],
        ["star.fact_call", "dim_date_key", "2", "0"],
        ["star.fact_without_dimension", "", "0", ""],
    ]


def test_job_logs_are_cleared(host: RedSite) -> None:
    """By RED's own procedures; a job that RED does not know is its error, and ours."""
    done = host.run("wherescape.clear_job_logs(90)")
    assert (done.status, done.message) == ("1", "job logs: 1 job logs archived"), done
    gone = host.run("wherescape.clear_archive(365)")
    assert gone.status == "1" and gone.message == "archive of job logs: 1 archived logs removed"
    unknown = host.run('wherescape.clear_job_logs(90, "no such job")')
    assert unknown.status == "-2" and "No such job" in unknown.message


def metadata(host: RedSite, table: str) -> list[tuple[str, str]]:
    return host.red.rows(
        "SELECT c.lc_col_name, c.lc_data_type FROM ws_load_col AS c "
        "JOIN ws_load_tab AS t ON t.lt_obj_key = c.lc_obj_key WHERE t.lt_table_name = ? ORDER BY c.lc_order",
        [table],
    )


def test_a_new_load_table_is_described_created_and_filled(host: RedSite) -> None:
    """From nothing but its name: the columns of the mapping, as RED then makes the table, and a pull."""
    told = host.run("wherescape.create_metadata()", JIRA, source="jira")
    assert (told.status, told.code) == ("1", 0), told
    columns = metadata(host, JIRA)
    assert columns[:2] == [("id", "bigint"), ("key", "text")]
    assert [name for name, _ in columns[-4:]] == [
        "dss_record_source", "dss_load_date", "dss_record_state", "dss_merged_into"
    ]  # fmt: skip
    spelled = ", ".join(f'"{name}" {kind}' for name, kind in columns)
    host.rows("CREATE SCHEMA load")
    host.rows(f"CREATE TABLE load.{JIRA} ({spelled})")
    host.no_marks()
    ended = host.run("wherescape.pull()", JIRA, source="jira")
    assert (ended.status, ended.code) == ("1", 0), ended
    assert host.rows(f"SELECT count(*), count(summary), max(dss_record_source) FROM load.{JIRA}") == [
        (40, 40, "jira.issues")
    ]
    again = host.run("wherescape.create_metadata()", JIRA, source="jira")
    assert again.message == f"{JIRA}: metadata unchanged"


def test_metadata_of_a_table_of_before_stays_so(host: RedSite) -> None:
    """The seed of the repository has one column of before, with a person's words."""
    told = host.run("wherescape.create_metadata()", "load_gitlab_branch", source="gitlab")
    assert (told.status, told.code) == ("1", 0), told
    names = [name for name, _ in metadata(host, "load_gitlab_branch")]
    assert names[:5] == ["project_id", "name", "merged", "protected", "default"], told
    kept = host.red.rows("SELECT lc_src_strategy, lc_transform_code FROM ws_load_col WHERE lc_col_name = 'name'")
    assert kept == [("Described by hand", "lower(name)")]


def parameter(host: RedSite, name: str) -> str:
    return str(
        host.red.rows("SELECT dss_parameter_value FROM dss_parameter WHERE dss_parameter_name = ?", [name])[0][0]
    )


def test_a_mark_of_before_is_where_the_first_pull_begins(host: RedSite) -> None:
    """Taken over once; `confirm` keeps it up to date for others who read it, in their own form."""
    host.make(JIRA, ISSUE)
    host.red.rows(
        "UPDATE dss_parameter SET dss_parameter_value = '2100-01-01 10:00' WHERE dss_parameter_name LIKE 'jira%'"
    )
    ended = host.run("wherescape.pull()", JIRA, source="jira")
    told = (
        "jira.issues: nothing new of 0 read; begins at 2100-01-01 10:00 UTC, by RED's parameter jira_high_water_mark"
    )
    assert (ended.status, ended.message[: len(told)]) == ("-1", told), "rows that are older do not come"
    assert host.run("wherescape.confirm()").status == "1"
    mark = dt.datetime.strptime(parameter(host, "jira_high_water_mark"), "%Y-%m-%d %H:%M").astimezone()
    assert abs((dt.datetime.now(dt.UTC) - mark).total_seconds()) < 300
    census = host.run("wherescape.pull(census=True)", JIRA, source="jira")
    assert census.status == "1"
    assert host.rows(f"SELECT count(*) FROM load.{JIRA}") == [(40,)], "what the mark left out, a census brings"


def test_a_mark_that_is_no_date_is_an_error(host: RedSite) -> None:
    """To read everything, or nothing, would both be a guess."""
    host.make(JIRA, ISSUE)
    host.red.rows("UPDATE dss_parameter SET dss_parameter_value = 'yesterday' WHERE dss_parameter_name LIKE 'jira%'")
    ended = host.run("wherescape.pull()", JIRA, source="jira")
    assert (ended.status, ended.code) == ("-2", 0)
    assert "parameter jira_high_water_mark is neither a date nor a time" in ended.message


def test_a_host_script_has_sql_and_parameters_of_its_own(host: RedSite) -> None:
    """As the class of before had: rows with their names, counts, and parameters; a failed write raises."""
    script = (
        "with wherescape.connect() as c:\n"
        "    c.target.execute('CREATE TABLE t (a int)')\n"
        "    assert c.target.load('t', ['a'], [(1,), (2,)]) == 2\n"
        "    assert c.target.query('SELECT sum(a) AS total FROM t').named() == [{'total': 3}]\n"
        "    assert c.meta.query('SELECT lt_table_name FROM dbo.ws_load_tab WHERE lt_obj_key = ?', [101])[0][0]\n"
        "parameters = wherescape.red_parameters()\n"
        "assert parameters.read('gitlab_high_water_mark') is None and parameters.read('no such one') is None\n"
        "assert parameters.write('colour', 'blue', 'of the sky') == 'added'\n"
        "assert parameters.write('colour', 'red') == 'updated' and parameters.comment('colour') == 'of the sky'\n"
        "wherescape.host().message = 'done by hand'"
    )
    ended = host.run(script, JIRA)
    assert (ended.status, ended.message, ended.code) == ("1", "done by hand", 0), ended
