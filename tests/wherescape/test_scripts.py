"""What an engineer of a RED site stumbles over: wrong arguments, messages in RED's words, and the command line."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from syncer import wherescape
from syncer.sandbox.hubspot import TOKEN
from tests.wherescape.red_site import Ended, RedSite

DOCS = (Path(__file__).parents[2] / "docs" / "wherescape.md").read_text(encoding="utf-8")
JIRA = "load_jira_issue"
ISSUE = (("id", "numeric"), ("key", "text"), ("updated", "timestamp"))
VERBS = {
    "pull": "lookback_weeks=3",
    "push": "lookback_weeks=3",
    "run": '"hubspot.merge_tickets", lookback_weeks=3',
    "confirm": "lookback_weeks=3",
    "create_metadata": "lookback_weeks=3",
    "browse": "lookback_weeks=3",
    "clear_job_logs": "lookback_weeks=3",
    "clear_archive": "lookback_weeks=3",
    "connect": "lookback_weeks=3",
    "red_parameters": "lookback_weeks=3",
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_argument_is_a_handled_error(host: RedSite, verb: str) -> None:
    """RED reads a status and a message that names it, whatever the script then does."""
    ended = host.run(f"wherescape.{verb}({VERBS[verb]})", JIRA, source="jira")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert ended.message.startswith(f"{verb} has no argument 'lookback_weeks'.")
    for name in inspect.signature(getattr(wherescape, verb)).parameters:
        assert name in ended.message


def test_a_wrong_argument_counts_also_where_the_script_goes_on(host: RedSite) -> None:
    """As every failure of a verb."""
    script = "try:\n    wherescape.confirm(days=3)\nexcept Exception as error:\n    assert 'days' in str(error)"
    ended = host.run(script, JIRA)
    assert ended.status == "-2" and ended.message.startswith("confirm has no argument 'days'."), ended


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("run()", "run needs the argument operation."),
        ('pull("jira.issues", "voys")', "pull takes 1 argument without a name, and was given 2."),
        ('pull("jira.issues", name="jira.issues")', "pull was given the argument name twice."),
        ("red_parameters(1)", "red_parameters takes no argument without a name, and was given 1."),
    ],
)
def test_arguments_that_do_not_fit_are_told(host: RedSite, script: str, said: str) -> None:
    """Which one, and what there is; not in the words of Python's own error."""
    ended = host.run(f"wherescape.{script}", JIRA, source="jira")
    assert (ended.status, ended.code) == ("-2", 0) and ended.message.startswith(said), ended


def test_fields_of_the_source_connection_are_named_as_red_has_them(host: RedSite) -> None:
    """Who fills in a connection in RED knows no SYNCER_… variable."""
    host.make(JIRA, ISSUE)
    ended = host.run("wherescape.pull()", JIRA)
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert "the field url (WSL_SRCCFG_url) of the source connection" in ended.out
    assert "(WSL_SRCCFG_apikey)" in ended.out and "(WSL_SRCCFG_user)" in ended.out
    assert "Fill in" in ended.out and "SYNCER_" not in ended.out


def test_a_token_that_is_refused_is_named_as_red_has_it(host: RedSite) -> None:
    """The field of the connection that it came from, and that of its user."""
    host.make(JIRA, ISSUE)
    host.make("load_gitlab_tag", ISSUE)
    ended = host.run("wherescape.pull()", JIRA, source="jira", WSL_SRCCFG_apikey="wrong-token")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert "the field user (WSL_SRCCFG_user) of the source connection" in ended.out
    assert "SYNCER_" not in ended.out and "wrong-token" not in ended.out + ended.err
    ended = host.run("wherescape.pull()", "load_gitlab_tag", source="gitlab", WSL_SRCCFG_apikey="wrong-token")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert "the field apikey (WSL_SRCCFG_apikey) of the source connection" in ended.out
    assert "SYNCER_" not in ended.out and "wrong-token" not in ended.out + ended.err


def test_a_variable_that_the_site_set_keeps_its_name(host: RedSite) -> None:
    """It is where the value came from; RED's connection left it out."""
    host.make("load_gitlab_tag", ISSUE)
    where = {"WSL_SRCCFG_apikey": "", "SYNCER_GITLAB_TOKEN": "wrong-token"}
    ended = host.run("wherescape.pull()", "load_gitlab_tag", source="gitlab", **where)
    assert ended.status == "-2" and "the token in SYNCER_GITLAB_TOKEN" in ended.out, ended
    (host.folder / "syncer.toml").write_text('[gitlab]\ntoken = "wrong-token"\n', encoding="utf-8")
    ended = host.run("wherescape.pull()", "load_gitlab_tag", source="gitlab", WSL_SRCCFG_apikey="")
    assert ended.status == "-2" and "the token in SYNCER_GITLAB_TOKEN" in ended.out, "syncer.toml is the site's, too"


def test_a_parameter_of_red_with_a_wrong_token_is_named(host: RedSite) -> None:
    """HubSpot's tokens stand there."""
    host.make("load_hubspot_voys_companies", (("hs_object_id", "text"),))
    host.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name LIKE 'hubspot%'")
    host.red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token_voys', 'pat-wrong-token', NULL)")
    where = {"SYNCER_HUBSPOT__VOYS_URL": host.sandbox.url("hubspot")}
    ended = host.run("wherescape.pull()", "load_hubspot_voys_companies", **where)
    assert ended.status == "-2" and "RED's parameter hubspot_access_token_voys" in ended.out, ended
    assert "SYNCER_" not in ended.out and "pat-wrong-token" not in ended.out + ended.err


def test_a_refused_login_names_what_red_hands_over(host: RedSite) -> None:
    """User and password of the target connection."""
    host.make(JIRA, ISSUE)
    ended = host.run("wherescape.pull()", JIRA, source="jira", WSL_TGT_USER="nobody_here")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert "WSL_TGT_USER" in ended.out and "WSL_TGT_PWD" in ended.out and "SYNCER_" not in ended.out


def test_a_long_message_is_whole_behind_it(host: RedSite) -> None:
    """Its remedy stands at its end, and RED's second line has 256 characters."""
    host.make(JIRA, ISSUE)
    lines = host.run("wherescape.pull()", JIRA).out.splitlines()
    assert lines[1].endswith("…") and len(lines[1]) <= 256
    assert all(len(line) <= 256 for line in lines)
    assert " ".join(lines[2:]).startswith(lines[1].rstrip("…")) and lines[-1].endswith("in RED.")


def test_two_verbs_are_told_once(host: RedSite) -> None:
    """The message has both; audit lines that say the same again are noise."""
    ended = host.run("wherescape.clear_job_logs(); wherescape.clear_archive()")
    assert ended.out == "1\njob logs: 1 job logs archived; archive of job logs: 1 archived logs removed\n", ended


def test_no_parameter_of_hubspot_is_read_for_another_source(host: RedSite) -> None:
    """A pull of Jira has nothing to look for in `hubspot_access_token_load`."""
    host.make(JIRA, ISSUE)
    host.run("wherescape.pull()", JIRA, source="jira")
    read = [str(values[0]) for routine, values in host.red.calls() if routine == "WsParameterRead"]
    assert [name for name in read if name.startswith("hubspot")] == []


def test_an_environment_is_known_by_its_parameter_alone(host: RedSite) -> None:
    """Whoever has the token in RED need not name the environment in syncer.toml as well; else what is missing is."""
    table = "load_hubspot_big_portal_companies"
    ended = host.run("wherescape.pull()", table)
    assert ended.status == "-2" and "is no environment" in ended.message
    assert "RED has no parameter hubspot_access_token_big_portal." in ended.out, ended
    host.red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token_big_portal', 'pat-any-token', NULL)")
    host.make(table, (("hs_object_id", "text"),))
    ended = host.run("wherescape.pull()", table, WSL_SRCCFG_url=host.sandbox.url("hubspot"))
    assert "the token in RED's parameter hubspot_access_token_big_portal is not accepted" in ended.message, ended


def test_a_job_without_a_repository_is_inside_red_all_the_same(host: RedSite) -> None:
    """It reads a status; and everything that is missing is named at once."""
    ended = host.run("wherescape.pull()", "", source="jira", WSL_META_DSN="")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert ended.message.startswith("WSL_LOAD_TABLE and WSL_META_DSN are not set.")


STAGE = "stage_company_voys"


@pytest.fixture
def portal(host: RedSite) -> dict[str, str]:
    """A stage table with one company of the sandbox's portal, whose token is a parameter of RED; what leads there."""
    with host.sandbox.locked("hubspot") as portal:
        first = min(portal.store.records["companies"])  # type: ignore[attr-defined]
    host.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name = 'hubspot_access_token_voys'")
    host.red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token_voys', ?, NULL)", [TOKEN])
    host.rows("CREATE SCHEMA IF NOT EXISTS stage")
    host.rows(f"CREATE TABLE stage.{STAGE} AS SELECT '{first}' AS hs_object_id, 'New name' AS name")
    (host.folder / "syncer.toml").write_text('["hubspot.companies"]\nadopt = "ours"\n', encoding="utf-8")
    return {"SYNCER_HUBSPOT__VOYS_URL": host.sandbox.url("hubspot"), "schema": "stage"}


def test_a_dry_run_says_what_applies_it_in_a_host_script(host: RedSite, portal: dict[str, str]) -> None:
    """In RED there is no command line; what it says works as it stands."""
    dry = host.run("wherescape.push(dry_run=True)", STAGE, **portal)
    advice = re.search(r"Apply just this: (wherescape\.push\(plan=\"\w+\"\))", dry.err)
    assert dry.status == "1" and advice is not None, dry
    assert "syncer push" not in dry.err
    done = host.run(advice[1], STAGE, **portal)
    assert done.status == "1" and "1 updated" in done.message, done


def test_a_plan_that_is_too_large_says_how_to_go_on_in_a_host_script(host: RedSite, portal: dict[str, str]) -> None:
    """With what the script named itself, so that the line works elsewhere, too."""
    toml = '["hubspot.companies"]\nadopt = "ours"\nmax_updates = 0\n'
    (host.folder / "syncer.toml").write_text(toml, encoding="utf-8")
    dry = host.run('wherescape.push("hubspot.companies", environment="voys", dry_run=True)', STAGE, **portal)
    call = r'wherescape\.push\("hubspot\.companies", environment="voys", plan="\w+"'
    assert re.search(rf"Look at all of it: +{call}, dry_run=True\)", dry.err), dry
    forced = re.search(rf"Apply it none the less: +({call}, force=True\))", dry.err)
    assert forced is not None and "syncer push" not in dry.err
    assert "1 updated" in host.run(forced[1], STAGE, **portal).message


def shell(host: RedSite, *command: str, table: str = "", source: str = "", **more: str) -> Ended:
    """Run `syncer wherescape env red.env -- syncer …` in the site's folder, where nothing else tells of RED."""
    told = {**host.environment(table, source=source), **more}
    lines = [f"{name}='{value}'" for name, value in told.items() if name.startswith(("WSL_", "SYNCER_HUBSPOT"))]
    (host.folder / "red.env").write_text("\n".join(lines), encoding="utf-8")
    own = {name: value for name, value in host.environment().items() if not name.startswith("WSL_")}
    syncer = (sys.executable, "-m", "syncer")
    done = subprocess.run(
        [*syncer, "wherescape", "env", "red.env", "--", *syncer, *command],
        cwd=host.folder,
        env=own,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_command_line_reads_red_s_warehouse(host: RedSite) -> None:
    """RED's file says where it is; an engineer should not have to say it a second time."""
    host.make(JIRA, (("id", "numeric"), ("key", "varchar(3)")))
    host.run("wherescape.pull()", JIRA, source="jira")
    ended = shell(host, "status", "--rejects", "jira.issues")
    assert ended.code in (0, 3) and "10001" in ended.out and "does not fit character varying(3)" in ended.out, ended
    assert "duckdb" not in ended.out + ended.err


def test_the_command_line_reads_the_source_of_red_s_connection(host: RedSite) -> None:
    """Address, token and user; which source it is the table's name tells, else the address."""
    for table in (JIRA, ""):
        ended = shell(host, "check", "jira", table=table, source="jira")
        assert ended.code == 0 and host.sandbox.url("jira") in ended.out, ended


@pytest.mark.parametrize("table", ["load_issues", "stage_company_voys", "load_jira_issue_of_old"])
def test_a_table_that_names_no_account_still_has_red_s_warehouse(host: RedSite, table: str) -> None:
    """Else the command would look, and pull, into a file in the working folder."""
    ended = shell(host, "status", table=table, source="jira")
    assert ended.code == 0 and "duckdb" not in ended.out + ended.err, ended
    assert not list(host.folder.glob("*.duckdb"))


def test_a_run_of_red_s_is_put_back_from_the_command_line(host: RedSite, portal: dict[str, str]) -> None:
    """A host script does not revert; the plan that it stored is applied there as well."""
    dry = host.run("wherescape.push(dry_run=True)", STAGE, **portal)
    plan = dry.err.split('push(plan="')[1].split('"')[0]
    toml = f'["hubspot.companies"]\nadopt = "ours"\nrelation = "stage.{STAGE}"\n'  # which RED's verb knows by itself
    (host.folder / "syncer.toml").write_text(toml, encoding="utf-8")
    where = {**portal, "SYNCER_HUBSPOT__VOYS_TOKEN": TOKEN}
    done = shell(host, "push", "hubspot.companies", "--environment", "voys", "--plan", plan, table=STAGE, **where)
    assert done.code == 0 and "1 updated" in done.out, done
    ((run,),) = host.rows("SELECT DISTINCT run FROM syncer.changes")
    back = shell(host, "revert", run, "--environment", "voys", table=STAGE, **where)
    assert back.code == 0 and "1 updated" in back.out, back


def section(title: str) -> str:
    """Return a section of the page."""
    return re.split(r"\n##+ ", DOCS.split(f"\n### {title}\n")[1])[0]


def block(text: str, language: str) -> str:
    """Return its block of code in a language."""
    return text.split(f"```{language}\n")[1].split("```")[0]


def test_the_lines_of_the_page_work_without_a_repository(host: RedSite) -> None:
    """Whoever tries it has no SQL Server; what is otherwise here is a port, and the name of the database."""
    page = section("Trying it without a repository")
    own = dict(line.split(" = ") for line in (host.folder / "odbc.ini").read_text().splitlines() if " = " in line)
    ini = block(page, "ini")
    for name in ("Driver", "Port", "Database"):
        ini = re.sub(rf"(?m)^{name} = .*$", f"{name} = {own[name]}", ini)
    (host.folder / "odbc.ini").write_text(ini, encoding="utf-8")
    for statement in block(page, "sql").split(";"):
        if statement.strip():
            host.rows(statement)
    file = block(page, "sh").replace(":8700/", f":{host.sandbox.port}/")
    (host.folder / "try.env").write_text(file, encoding="utf-8")
    told = [typed(host, line.strip()) for line in page.splitlines() if line.startswith("    syncer")]
    assert [ended.code for ended in told] == [0, 3, 0, 0, 0], told
    pull, again, confirm, status = (ended.out for ended in told[1:])
    assert pull.startswith("done, with something to look at: jira.issues: 40 new of 40 read")
    assert again.startswith("done: jira.issues: nothing new")
    assert confirm.startswith("done: ") and "40 rows" in confirm
    assert "jira.issues" in status and "duckdb" not in status
    assert host.red.calls() == []


def typed(host: RedSite, line: str) -> Ended:
    """Run a line of the page as in a shell that knows nothing of RED."""
    words = [sys.executable if word == "python" else word for word in shlex.split(line)]
    command = [part for word in words for part in ((sys.executable, "-m", "syncer") if word == "syncer" else (word,))]
    own = {name: value for name, value in host.environment().items() if not name.startswith("WSL_")}
    at = command.index("--") + 1 if "--" in command else 0
    assert at == 0 or command[at] == sys.executable
    done = subprocess.run(command, cwd=host.folder, env=own, capture_output=True, timeout=120, check=False)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_push_works_without_a_repository(host: RedSite, portal: dict[str, str]) -> None:
    """With the token in the connection; there is no parameter to read."""
    none = dict.fromkeys(("META_DSN", "SEQUENCE", "JOB_KEY", "JOB_NAME", "TASK_KEY", "TASK_NAME"), "")
    where = {**portal, "WSL_SRCCFG_apikey": TOKEN, **{f"WSL_{name}": value for name, value in none.items()}}
    ended = host.run("wherescape.push()", STAGE, **where)
    assert ended.code == 0 and ended.out.startswith("done: ") and "1 updated" in ended.out, ended
