"""Where pulls begin that have RED's mark, and what `confirm` does while another pull begins."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from syncer import settings, warehouses
from syncer.clock import SystemClock
from syncer.sandbox import Fault
from tests.wherescape.red_site import SCRIPT_S, RedSite

ISSUES = "load_jira_issues"
ISSUE = (("id", "bigint"), ("key", "text"), ("updated", "timestamp"))
MARK, PULSE_MARK = "jira_high_water_mark", "HWM_ds_friday_pulse_company_results"
RESULTS = "load_friday_pulse_company_results"
RESULT = (
    ("sample_date", "date"),
    ("flow_date", "date"),
    ("topic_code", "text"),
    ("question", "text"),
    ("score", "numeric"),
    ("dss_record_state", "varchar(256)"),
)
PAUSED = """
import pathlib, time
from syncer.wherescape import carried
ended = carried.offers.confirm
def paused(*given, **named):
    done = ended(*given, **named)
    if not pathlib.Path("between").exists():
        pathlib.Path("between").touch()
        while not pathlib.Path("go_on").exists():
            time.sleep(0.05)
    return done
carried.offers.confirm = paused
wherescape.confirm({})
"""


def counted(host: RedSite, table: str = ISSUES) -> int:
    return int(host.rows(f"SELECT count(*) FROM load.{table}")[0][0])


def mark(host: RedSite) -> str:
    query = "SELECT dss_parameter_value FROM dss_parameter WHERE dss_parameter_name = ?"
    return str(host.red.rows(query, [MARK])[0][0])


def set_mark(host: RedSite, value: str) -> None:
    host.red.rows("UPDATE dss_parameter SET dss_parameter_value = ? WHERE dss_parameter_name = ?", [value, MARK])


@pytest.mark.parametrize("after", [(), ("wherescape.pull(census=True)",)])
def test_who_asked_for_everything_first_gets_everything(host: RedSite, after: tuple[str, ...]) -> None:
    """A full that left no place is made up for by the next plain pull, which RED's mark must not cut short."""
    set_mark(host, "2025-06-01 10:00")
    host.make(ISSUES, ISSUE)
    host.sandbox.faults.add(Fault(kind="status", match="search", status=403, times=1))
    assert host.run("wherescape.pull(full=True)", ISSUES, source="jira").status == "-2"
    for script in after:
        host.run(script, ISSUES, source="jira")
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    assert "of 40 read" in ended.message and "begins at" not in ended.out, ended
    assert "this pull read everything" in ended.out and counted(host) == 40, ended
    assert host.run("wherescape.pull()", ISSUES, source="jira").status == "1"


def test_a_full_that_died_behind_an_empty_first_pull_is_made_up_for(host: RedSite) -> None:
    """That pull left a place, and nothing that it speaks of."""
    set_mark(host, "2100-01-01 10:00")
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    host.sandbox.faults.add(Fault(kind="status", match="search", status=403, times=1))
    assert host.run("wherescape.pull(full=True)", ISSUES, source="jira").status == "-2"
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    assert "40 new of 40 read" in ended.message and "this pull read everything" in ended.out, ended


def test_a_first_pull_that_brought_nothing_is_followed_by_another_first(host: RedSite) -> None:
    """It begins at the same mark, and says so: what is older comes with a census or a full, as the page has it."""
    set_mark(host, "2100-01-01 10:00")
    host.make(ISSUES, ISSUE)
    for _ in range(2):
        ended = host.run("wherescape.pull()", ISSUES, source="jira")
        assert "nothing new of 0 read; begins at 2100-01-01 10:00 UTC" in ended.message, ended
    census = host.run("wherescape.pull(census=True)", ISSUES, source="jira")
    assert census.status == "1" and counted(host) == 40, census
    for _ in range(2):  # the census left no place: once more from the mark, and then from the place behind that
        ended = host.run("wherescape.pull()", ISSUES, source="jira")
    assert (ended.status, ended.message) == ("1", "jira.issues: nothing new of 0 read"), ended


def test_a_full_that_found_nothing_has_read_everything(host: RedSite) -> None:
    """What comes behind it is all new: no mark of before passes it over."""
    set_mark(host, "2025-06-01 10:00")
    host.make(ISSUES, ISSUE)
    host.sandbox.faults.add(
        Fault(kind="status", match="search/jql", status=200, body='{"issues": [], "isLast": true}', times=None)
    )
    full = host.run("wherescape.pull(full=True)", ISSUES, source="jira")
    assert "nothing new of 0 read" in full.message, full
    host.sandbox.faults.clear()
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    assert "40 new of 40 read" in ended.message and "begins at" not in ended.out, ended


def test_dates_before_a_mark_of_survey_dates_come_behind_a_full_that_died(host: RedSite) -> None:
    """RED's parameter leaves them out of each plain pull, but not of one that makes up for a full."""
    host.make(RESULTS, RESULT)
    host.run("wherescape.pull()", RESULTS, source="friday_pulse")
    dates = sorted(each for (each,) in host.rows(f"SELECT DISTINCT flow_date FROM load.{RESULTS}"))
    for schema in ("syncer", "load", "datastore"):
        host.rows(f"DROP SCHEMA {schema} CASCADE")
    host.make(RESULTS, RESULT)
    host.red.rows("INSERT INTO dss_parameter VALUES (?, ?, NULL)", [PULSE_MARK, f"{dates[-1]}"])
    host.sandbox.faults.add(Fault(kind="status", match=f"{dates[-2]}", status=403, times=None))
    full = host.run("wherescape.pull(full=True)", RESULTS, source="friday_pulse")
    assert full.status == "-2", full
    host.sandbox.faults.clear()
    ended = host.run("wherescape.pull()", RESULTS, source="friday_pulse")
    assert "did not end" in ended.out, ended
    host.truncate(RESULTS)
    host.run("wherescape.pull()", RESULTS, source="friday_pulse")
    found = sorted(each for (each,) in host.rows(f"SELECT DISTINCT flow_date FROM load.{RESULTS}"))
    assert found == dates


@pytest.mark.parametrize("names", ["", f'"{ISSUES}"'])
def test_a_pull_that_begins_while_it_is_confirmed_is_not_confirmed(host: RedSite, names: str) -> None:
    """Another job's pull comes between confirm's statements: neither RED's mark nor an offer goes by that pull."""
    set_mark(host, "")
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    job = host.sequence
    with ThreadPoolExecutor(1) as pool:
        confirming = pool.submit(host.run, PAUSED.format(names))
        until = time.monotonic() + SCRIPT_S
        while not (host.folder / "between").exists() and time.monotonic() < until and not confirming.done():
            time.sleep(0.05)
        other = host.run("wherescape.pull()", ISSUES, source="jira", WSL_SEQUENCE=str(job + 1))
        (host.folder / "go_on").touch()
        ended = confirming.result()
    assert "jira.issues: nothing new" in other.out, other
    assert ended.status == "-1" and "a pull began while it was being confirmed" in ended.message, ended
    assert host.rows("SELECT carrier, carried_at FROM syncer.landings") == [(f"9999/{job + 1}", None)]
    assert mark(host) == "", "RED's mark stays"
    assert host.rows("SELECT count(*) FROM syncer.offers_jira_issues") == [(40,)], "what is offered stays so"
    mended = host.run("wherescape.confirm()", WSL_SEQUENCE=str(job + 1))
    assert mended.message == f"confirmed: 40 rows of load.{ISSUES}" and mark(host) > "2026", mended
    assert host.rows("SELECT carried_at = began_at FROM syncer.landings") == [(True,)]


def test_a_pull_that_somebody_else_runs_is_waited_for_in_a_host_scripts_words(host: RedSite) -> None:
    """RED has no command line with options."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    found = settings.load(variables={"SYNCER_WAREHOUSE": host.database.setting}, folder=host.folder)
    with closing(warehouses.find(found, clock=SystemClock())) as warehouse:
        lease = warehouse.lease("jira.issues@default", run="1", wait_s=0)
        for wait, said in (("0", "Wait for it (wait_s=…)"), ("0.5", "Wait longer (wait_s=…)")):
            ended = host.run(f"wherescape.pull(wait_s={wait})", ISSUES, source="jira")
            assert ended.status == "-2" and said in ended.out and "--" not in ended.out, ended
        lease.release()


def test_an_account_that_is_another_one_is_told_in_a_host_scripts_words(host: RedSite) -> None:
    """The way on is an argument of the verb."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    host.rows("UPDATE syncer.accounts SET account = 'another one'")
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    assert ended.status == "-2" and '(environment="NAME")' in ended.out and "--" not in ended.out, ended


def test_a_full_that_did_not_end_is_told_in_a_host_scripts_words(host: RedSite) -> None:
    """It was no `--full`, and is done anew by no command line: that would fill a table of our own."""
    host.make(ISSUES, ISSUE)
    host.run("wherescape.pull()", ISSUES, source="jira")
    host.sandbox.faults.add(Fault(kind="status", match="search", status=403, times=1))
    host.run("wherescape.pull(full=True)", ISSUES, source="jira")
    ended = host.run("wherescape.pull()", ISSUES, source="jira")
    said = " ".join(ended.out.split())
    assert "the pull(full=True) of 2" in said and "`pull(full=True)` does it anew" in said, ended
    assert "--" not in said and "syncer pull" not in said, ended
