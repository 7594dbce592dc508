"""`wherescape.confirm`, and the marks of before: nothing that was not carried on is let go, or passed over."""

from __future__ import annotations

import datetime as dt

import pytest

from syncer.verbs.sandbox import variables
from tests.wherescape.red_site import RedSite

COMPANIES, VOYS = "load_hubspot_companies", "load_hubspot_voys_companies"
COMPANY = (("id", "bigint"), ("name", "text"), ("archived_at", "timestamp"), ("dss_record_state", "varchar(256)"))
ISSUES, PROJECTS = "load_jira_issues", "load_jira_projects"
ISSUE = (("id", "bigint"), ("key", "text"), ("updated", "timestamp"))
PROJECT = (("id", "bigint"), ("key", "text"))
MARK = "jira_high_water_mark"


def counted(host: RedSite, table: str) -> int:
    return int(host.rows(f"SELECT count(*) FROM load.{table}")[0][0])


def two_portals(host: RedSite) -> None:
    """Fill a load table of each of two environments; here both are one portal."""
    (host.folder / "syncer.toml").write_text("[environments.voys]\n", encoding="utf-8")
    for table in (COMPANIES, VOYS):
        host.make(table, COMPANY)
        assert host.run("wherescape.pull()", table, source="hubspot").status in ("1", "-1")


def mark(host: RedSite) -> str:
    query = "SELECT dss_parameter_value FROM dss_parameter WHERE dss_parameter_name = ?"
    return str(host.red.rows(query, [MARK])[0][0])


def set_mark(host: RedSite, value: str) -> None:
    host.red.rows("UPDATE dss_parameter SET dss_parameter_value = ? WHERE dss_parameter_name = ?", [value, MARK])


def test_one_of_two_environments_is_confirmed_by_its_load_table(host: RedSite) -> None:
    """A step behind each datastore procedure names what that one carried, and no more."""
    two_portals(host)
    offered = counted(host, VOYS)
    assert offered
    both = host.run('wherescape.confirm("hubspot.companies")')
    assert both.status == "-2" and f"load.{COMPANIES}" in both.message and f"load.{VOYS}" in both.message, both
    assert host.run(f'wherescape.confirm("{VOYS}")').message == f"confirmed: {offered} rows of load.{VOYS}"
    again = host.run('wherescape.confirm("hubspot.*", environment="voys")')
    assert again.message == f"confirmed: 0 rows of load.{VOYS}"
    for table in (COMPANIES, VOYS):
        host.truncate(table)
        host.run("wherescape.pull()", table, source="hubspot")
    assert (counted(host, COMPANIES) > 0, counted(host, VOYS)) == (True, 0), "the other one is offered still"
    every = host.run('wherescape.confirm("hubspot.companies", environment="*")')
    assert every.status == "1" and f"load.{COMPANIES}" in every.message and f"load.{VOYS}" in every.message


def test_a_name_that_nobody_pulled_is_refused_with_those_that_were(host: RedSite) -> None:
    """A slip of the pen must not look like a confirmation."""
    two_portals(host)
    for name in (
        '"hubspot.company"',
        f'"{COMPANIES}s"',
        '"hubspot.companies", environment="vois"',
        'environment="vois"',
    ):
        ended = host.run(f"wherescape.confirm({name})")
        assert ended.status == "-2" and f"load.{VOYS} (hubspot.companies of voys)" in ended.message, ended


def test_two_environments_do_not_share_a_load_table(host: RedSite) -> None:
    """The rows of the one would take those of the other away, before they were carried on."""
    two_portals(host)
    before = counted(host, COMPANIES)
    ended = host.run('wherescape.pull(environment="voyz")', COMPANIES, source="hubspot")
    assert ended.status == "-2" and "of the environment default, and not of voyz" in ended.message, ended
    assert counted(host, COMPANIES) == before


def test_a_pull_that_failed_is_not_confirmed_and_says_why(host: RedSite) -> None:
    """The next good one mends it: nobody has to name a run."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    failed = host.run("wherescape.pull()", ISSUES, source="jira", WSL_SRCCFG_apikey="wrong")
    assert failed.status == "-2"
    ended = host.run("wherescape.confirm()")
    assert ended.status == "-1" and f"load.{ISSUES} is not confirmed" in ended.message, ended
    assert "failed: what is offered stays so until a pull ended well behind it" in ended.message, ended
    assert host.run("wherescape.pull()", ISSUES, source="jira").status == "1"
    assert host.run("wherescape.confirm()").message == f"confirmed: 40 rows of load.{ISSUES}"


def test_the_mark_is_that_of_the_table_that_was_carried_on_longest_ago(host: RedSite) -> None:
    """Who reads it, reads for all tables of the source: it passes over none that is not confirmed."""
    for table, columns in ((ISSUES, ISSUE), (PROJECTS, PROJECT)):
        host.make(table, columns)
        host.run("wherescape.pull()", table, source="jira")
    set_mark(host, "2024-05-01 10:00")
    host.run(f'wherescape.confirm("{PROJECTS}")')
    assert mark(host) == "2024-05-01 10:00", "issues were never carried on"
    host.run(f'wherescape.confirm("{ISSUES}")')
    host.rows("UPDATE syncer.landings SET carried_at = '2025-01-01 00:00:00+00' WHERE mapping = 'jira.projects'")
    host.run(f'wherescape.confirm("{ISSUES}")')
    earliest = dt.datetime(2025, 1, 1, tzinfo=dt.UTC).astimezone()
    assert mark(host) == f"{earliest:%Y-%m-%d %H:%M}"


def test_a_mark_that_confirm_wrote_is_nobodys_beginning(host: RedSite) -> None:
    """A table that moves over later begins by the mark of before, and reads all where there was none."""
    set_mark(host, "")
    host.make(PROJECTS, PROJECT)
    host.run("wherescape.pull()", PROJECTS, source="jira")
    host.run("wherescape.confirm()")
    assert mark(host) > "2026", "written, since RED has the parameter"
    host.run("wherescape.confirm()")  # once more: what stands there now is ours, too
    host.make(ISSUES, ISSUE)
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    assert "40 new of 40 read" in ended.message and "begins at" not in ended.message, ended


def test_a_mark_of_another_warehouse_is_nobodys_beginning_either(host: RedSite) -> None:
    """The repository is one, and its parameter says in its comment who wrote it; a person's words stay in front."""
    set_mark(host, "")
    host.red.rows("UPDATE dss_parameter SET dss_parameter_comment = 'of old' WHERE dss_parameter_name = ?", [MARK])
    host.make(PROJECTS, PROJECT)
    host.run("wherescape.pull()", PROJECTS, source="jira")
    host.run("wherescape.confirm()")
    query = "SELECT dss_parameter_comment FROM dss_parameter WHERE dss_parameter_name = ?"
    assert host.red.rows(query, [MARK]) == [(f"of old [syncer wrote {mark(host)}; before: ]",)]
    host.rows("DROP SCHEMA syncer CASCADE")
    ended = host.run("wherescape.pull()", PROJECTS, source="jira")
    assert "begins at" not in ended.message, ended
    set_mark(host, "2100-01-01 10:00")  # somebody else's word counts
    host.rows("DROP SCHEMA syncer CASCADE")
    whole = host.run("wherescape.pull()", PROJECTS, source="jira")
    assert "begins at" not in whole.message and "0 read" not in whole.message, "projects are read as a whole each time"
    host.make(ISSUES, ISSUE)
    assert "begins at 2100-01-01 10:00" in host.run("wherescape.pull()", ISSUES, source="jira").message


def test_of_two_tables_of_one_name_the_schema_tells_which(host: RedSite) -> None:
    """The step behind the one knows nothing of the other."""
    two_portals(host)
    host.rows("CREATE SCHEMA load_eu")
    host.rows(f"ALTER TABLE load.{VOYS} SET SCHEMA load_eu")
    host.rows(f"ALTER TABLE load_eu.{VOYS} RENAME TO {COMPANIES}")
    host.rows("UPDATE syncer.landings SET load_table = 'load_eu.load_hubspot_companies' WHERE environment = 'voys'")
    ended = host.run(f'wherescape.confirm("{COMPANIES}")')
    assert ended.status == "-2" and "is 2 load tables: load.load_hubspot_companies, load_eu." in ended.message, ended
    one = host.run(f'wherescape.confirm("load_eu.{COMPANIES}")')
    assert one.status == "1" and one.message.endswith(f"of load_eu.{COMPANIES}"), one


def test_what_stood_there_before_is_the_beginning_and_is_told(host: RedSite) -> None:
    """Rows that are older do not come by themselves: a warning, with the mark and the way to have them."""
    set_mark(host, "2100-01-01 10:00")
    host.make(PROJECTS, PROJECT)
    host.run("wherescape.pull()", PROJECTS, source="jira")
    host.run("wherescape.confirm()")
    host.make(ISSUES, ISSUE)
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    told = f"jira.issues: nothing new of 0 read; begins at 2100-01-01 10:00 UTC, by RED's parameter {MARK}: "
    assert ended.status == "-1" and ended.message.startswith(f"{told}pull(full=True) brings what is older"), ended
    assert "40 new of 40 read" in host.run("wherescape.pull(full=True)", ISSUES, source="jira").message


def test_an_archived_record_has_its_values_in_the_datastore(host: RedSite) -> None:
    """It comes with them, unlike one that is gone: the step of the page keeps those of both."""
    host.make(COMPANIES, COMPANY)
    host.run("wherescape.pull()", COMPANIES, source="hubspot")
    host.carry(COMPANIES, "id")
    host.run("wherescape.confirm()")
    host.truncate(COMPANIES)
    with host.sandbox.locked("hubspot") as portal:
        number = min(portal.store.records["companies"])  # type: ignore[attr-defined]
        portal.store.archive("companies", number)  # type: ignore[attr-defined]
    host.sandbox.clock.advance(600)
    host.run("wherescape.pull(census=True)", COMPANIES, source="hubspot")
    host.carry(COMPANIES, "id")
    query = (
        "SELECT dss_record_state, name IS NULL, archived_at IS NULL FROM datastore.ds_hubspot_companies WHERE id = "
    )
    assert host.rows(f"{query}{number}") == [("archived", False, False)]


def test_a_pull_elsewhere_is_refused_and_takes_nothing(host: RedSite) -> None:
    """A command line would pull the mapping into a table of its own between RED's pull and the confirmation."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    (host.folder / "syncer.toml").write_text('["jira.issues"]\nstyle = "delta"\n', encoding="utf-8")
    where = {"SYNCER_WAREHOUSE": host.database.setting, **variables(host.sandbox)}
    host.sandbox.clock.advance(600)
    elsewhere = host.run("import syncer\nprint(syncer.pull('jira.issues'))", **where)
    assert f"is pulled into load.{ISSUES} by host scripts" in elsewhere.err and elsewhere.code == 1, elsewhere
    wrong = host.run("import syncer\nprint(syncer.pull('jira.issues'))", **{**where, "SYNCER_JIRA_TOKEN": "wrong"})
    assert wrong.code == 1 and "401" in wrong.out + wrong.err, wrong
    assert host.rows("SELECT COUNT(*) FROM syncer.runs WHERE status = 'failed'") == [(0,)], "nothing was tried"
    (host.folder / "syncer.toml").unlink()
    assert host.run("wherescape.confirm()").message == f"confirmed: 40 rows of load.{ISSUES}"
    assert host.run("wherescape.pull()", ISSUES, source="jira").status == "1"


def test_a_column_more_changes_nothing_of_what_the_others_mean(host: RedSite) -> None:
    """By their columns alone nobody could tell; what the table has been, it stays."""
    host.make("load_jira_issue", (("id", "numeric"), ("key", "text"), ("created", "timestamp")))
    host.run("wherescape.pull()", "load_jira_issue", source="jira")
    query = "SELECT id, created, dss_record_source FROM load.load_jira_issue ORDER BY id"
    before = host.rows(query)
    assert before[0][2] == "Jira api - issue"
    host.rows("ALTER TABLE load.load_jira_issue ADD COLUMN summary text")
    host.run("wherescape.pull(full=True)", "load_jira_issue", source="jira")
    assert host.rows(query) == before
    otherwise = 'wherescape.pull(full=True, columns="mapping")'
    refused = host.run(otherwise, "load_jira_issue", source="jira")
    assert refused.status == "-2" and "40 rows are offered still" in refused.message, refused
    assert host.run("wherescape.pull(full=True)", "load_jira_issue", source="jira").status == "1"
    host.run("wherescape.confirm()")
    said = host.run(otherwise, "load_jira_issue", source="jira")
    assert said.status in ("1", "-1") and host.rows(query)[0][2] == "jira.issues", "unless the script says otherwise"


def test_the_offers_have_ended_though_the_mark_could_not_be_written(host: RedSite) -> None:
    """RED may not hold what depends on it, and the step must not fail forever: a warning."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    host.red.rows("DROP TABLE dss_parameter")
    ended = host.run("wherescape.confirm()")
    assert ended.status == "-1" and f"confirmed: 40 rows of load.{ISSUES}; RED's mark of jira" in ended.message, ended


@pytest.mark.parametrize("value", ["0001-01-01", "9999-12-31 23:59", "2025-01-01 10:00:00+99:00"])
def test_a_mark_at_the_edge_of_the_calendar_is_an_error(host: RedSite, value: str) -> None:
    """In the zone of some machine it is no moment at all; where it is one, it is a beginning."""
    set_mark(host, value)
    host.make(ISSUES, ISSUE)
    for zone in ("Asia/Tokyo", "America/New_York"):
        ended = host.run("wherescape.pull()", ISSUES, source="jira", TZ=zone)
        assert ended.status in ("-1", "1", "-2") and "unexpected" not in ended.out, ended


def test_what_is_no_name_is_refused(host: RedSite) -> None:
    """A list is a slip: nothing is confirmed."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    for given, told in (('["jira.issues"]', "list"), ('" "', "a blank text")):
        ended = host.run(f"wherescape.confirm({given})")
        assert ended.status == "-2" and f"confirm was given {told}" in ended.message, ended
