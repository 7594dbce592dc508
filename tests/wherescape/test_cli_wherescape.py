"""`syncer wherescape env` and `files`: a stand-in for RED, and what is loaded into it."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from syncer import mappings, operations, wherescape
from syncer.cli import main, spelled_out
from syncer.verbs.wherescape import SCRIPTS
from syncer.wherescape import environment
from tests.wherescape.red_site import Ended

SECRET = "s3cr#et pass"
PAGE = (Path(__file__).parents[2] / "docs" / "from-python-wherescape.md").read_text(encoding="utf-8")
IMPORTS = (  # what host scripts of before import
    "anythingllm.anythingllm_create_metadata anythingllm.anythingllm_load_data "
    "friday_pulse.friday_pulse_create_metadata friday_pulse.friday_pulse_load_data "
    "gitlab.python_gitlab_create_metadata gitlab.python_gitlab_load_data gitlab.python_gitlab_high_water_mark "
    "jira.python_jira_create_metadata jira.python_jira_load_data hubspot.collect_data hubspot.ticket_updates "
    "hubspot.python_hubspot_check_missing_columns wherescape_os.validators.fact_dimension_join"
)


def called(folder: Path, *arguments: str, **more: str) -> Ended:
    """Call `syncer wherescape` in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "syncer", "wherescape", *arguments],
        cwd=folder,
        env={**os.environ, **more},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def in_git(folder: Path, ignored: str = "") -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / ".gitignore").write_text(f"{ignored}\n", encoding="utf-8")


def test_a_template_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    """It will hold passwords; the job is that of RED's window, so that no run warns of counts that nobody took."""
    ended = called(tmp_path, "env", "red.env")
    assert (ended.code, ended.err) == (0, ""), ended
    file = tmp_path / "red.env"
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    red = environment.read(environment.env_file(file))
    assert (red.sequence, red.job_key, red.job_name, red.task_key) == (1234, 0, "Develop", 0)
    assert red.is_development and not red.in_job
    for login in ("META", "TGT", "SRC"):
        assert [f"WSL_{login}_{what}=" in file.read_text(encoding="utf-8") for what in ("DSN", "USER", "PWD")] == [
            True
        ] * 3
    assert (red.load_table, red.task_name, red.meta.dsn) == ("load_jira_issues", "load_jira_issues", "")


def test_a_file_that_is_there_is_left(tmp_path: Path) -> None:
    """Its names are told, and none of its values."""
    text = f"WSL_META_DSN=red\nWSL_META_PWD='{SECRET}'\nWSL_TGT_PWD=\n"
    (tmp_path / "red.env").write_text(text, encoding="utf-8")
    ended = called(tmp_path, "env", "red.env", "--output", "json")
    document = json.loads(ended.out)
    assert (document["is_new"], document["set"]) == (False, ["WSL_META_DSN", "WSL_META_PWD"])
    assert (tmp_path / "red.env").read_text(encoding="utf-8") == text
    assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize(("ignored", "warns"), [("", True), ("*.env", False)])
def test_a_file_that_git_does_not_ignore_is_a_warning(tmp_path: Path, ignored: str, warns: bool) -> None:
    """When it is written, and each time that it is used."""
    in_git(tmp_path, ignored)
    for arguments in (("env", "red.env"), ("env", "red.env", "--", sys.executable, "-c", "")):
        ended = called(tmp_path, *arguments)
        assert ended.code == 0 and ("git does not ignore red.env" in ended.err) == warns, ended


def test_a_command_runs_with_what_the_file_sets(tmp_path: Path) -> None:
    """The file's variables go before those that are there, RED's others are gone, and the exit code is its own."""
    (tmp_path / "red.env").write_text(f"WSL_LOAD_TABLE=load_x\nWSL_META_PWD='{SECRET}'\n", encoding="utf-8")
    code = (
        "import os, sys; print([v for n, v in sorted(os.environ.items()) if n[:4] == 'WSL_'], sys.argv[1:]); exit(7)"
    )
    command = ("--", sys.executable, "-c", code, "--wait", "--output", "json")
    ended = called(tmp_path, "env", "red.env", *command, WSL_LOAD_TABLE="load_y", WSL_JOB_KEY="5")
    assert (ended.code, ended.err) == (7, ""), ended
    assert ended.out.strip() == f"{['load_x', SECRET]} {['--wait', '--output', 'json']}"


PRINT = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('SYNCER_')}))"
RED = {
    "WSL_TGT_DSN": "a warehouse",
    "WSL_TGT_USER": "red",
    "WSL_TGT_PWD": SECRET,
    "WSL_SRCCFG_url": "https://example.atlassian.net",
    "WSL_SRCCFG_apikey": "t0ken",
}


def commanded(folder: Path, **more: str) -> dict[str, str]:
    """Return the variables of syncer's own that a command finds, with what a file sets and nothing else."""
    text = "".join(f"{name}='{value}'\n" for name, value in {**RED, **more}.items())
    (folder / "red.env").write_text(text, encoding="utf-8")
    unset = {name: "" for name in os.environ if name.startswith("SYNCER_")}
    ended = called(folder, "env", "red.env", "--", sys.executable, "-c", PRINT, **unset)
    assert ended.code == 0 and SECRET not in ended.err, ended
    return {name: value for name, value in json.loads(ended.out).items() if value}


WAREHOUSE = {
    "SYNCER_WAREHOUSE": "odbc:DSN=a warehouse;",
    "SYNCER_WAREHOUSE_USER": "red",
    "SYNCER_WAREHOUSE_PASSWORD": SECRET,
}
ACCOUNT = {"SYNCER_JIRA_URL": "https://example.atlassian.net", "SYNCER_JIRA_TOKEN": "t0ken"}


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"WSL_LOAD_TABLE": "load_jira_issues"}, {**WAREHOUSE, **ACCOUNT}),
        ({}, {**WAREHOUSE, **ACCOUNT}),  # by its address
        ({"WSL_SRCCFG_url": "https://example.com"}, WAREHOUSE),
        ({"WSL_LOAD_TABLE": "load_jira_acme_issues"}, WAREHOUSE),  # whose token is it, of an environment nobody knows?
        ({"WSL_JOB_KEY": "seven"}, {}),
        ({"WSL_TGT_DSN": ""}, ACCOUNT),
        ({"SYNCER_WAREHOUSE_USER": "another"}, {**WAREHOUSE, **ACCOUNT}),
        (
            {"SYNCER_WAREHOUSE": "duckdb:a", "SYNCER_JIRA_TOKEN": "b"},
            {"SYNCER_WAREHOUSE": "duckdb:a", "SYNCER_JIRA_TOKEN": "b", "SYNCER_JIRA_URL": ACCOUNT["SYNCER_JIRA_URL"]},
        ),
    ],
)
def test_a_command_finds_the_warehouse_and_the_account(
    tmp_path: Path, more: dict[str, str], wanted: dict[str, str]
) -> None:
    """As a host script does; what the site set itself stays, and a login goes with its own warehouse."""
    assert commanded(tmp_path, **more) == wanted


def test_an_account_of_a_named_environment_stays_its_own(tmp_path: Path) -> None:
    """The default one would be another portal."""
    where = {"WSL_LOAD_TABLE": "load_hubspot_voys_companies", "SYNCER_HUBSPOT__VOYS_URL": "https://example.com"}
    found = commanded(tmp_path, **where)
    assert found == {
        **WAREHOUSE,
        "SYNCER_HUBSPOT__VOYS_URL": "https://example.com",
        "SYNCER_HUBSPOT__VOYS_TOKEN": "t0ken",
    }


def test_a_host_script_thinks_that_it_is_inside_red(tmp_path: Path) -> None:
    """Status and message, and the exit code 0, as RED gets them."""
    called(tmp_path, "env", "red.env")
    file = tmp_path / "red.env"
    text = file.read_text(encoding="utf-8").replace("WSL_META_DSN=", "WSL_META_DSN=red_dev")
    file.write_text(text.replace("WSL_WORKDIR=", f"WSL_WORKDIR={tmp_path}"), encoding="utf-8")
    called(tmp_path, "files", ".")
    ended = called(tmp_path, "env", "red.env", "--", sys.executable, "pull.py")
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert ended.message.startswith("WSL_TGT_DSN is not set")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("env",), "wants the name of a file"),
        (("files",), "wants the name of a folder"),
        (("files", "one", "two"), "takes one folder"),
        (("check", "load_jira_issue"), "takes nothing"),
        (("else",), "'else' is not one of env, check, files"),
        (("env", "none.env", "--", "python"), "none.env cannot be read"),
        (("env", "bad.env", "--", "python"), "bad.env, line 1"),
        (("env", "good.env", "--", "no-such-command"), "There is no command 'no-such-command'"),
        (("env", "good.env", "--output", "json", "--", "python"), "--output json"),
        (("env", "no/folder/red.env"), "cannot be written"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """2, and nothing was tried; a line of a file is not repeated."""
    (tmp_path / "bad.env").write_text(f"{SECRET}\n", encoding="utf-8")
    (tmp_path / "good.env").write_text("A=1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, told = main(["wherescape", *arguments]), capfd.readouterr()
    assert code == 2 and said in told.out + told.err, told
    assert SECRET not in told.out + told.err and "Traceback" not in told.err


def test_the_files_for_red_are_written_once(tmp_path: Path) -> None:
    """What somebody changed is left, and told."""
    assert called(tmp_path, "files", "red").code == 0
    (tmp_path / "red" / "pull.py").write_text("from syncer import wherescape\n", encoding="utf-8")
    again = called(tmp_path, "files", "red", "--output", "json")
    document = json.loads(again.out)
    assert (again.code, document["written"], document["left"]) == (3, [], ["pull.py"])
    assert len(document["unchanged"]) == 5


def test_each_script_calls_a_verb_that_is_there() -> None:
    """Two lines, and nothing to fill in."""
    for name, text in SCRIPTS.items():
        first, _, last = text.splitlines()
        assert first == "from syncer import wherescape"
        assert last.removesuffix("()") == f"wherescape.{name.removesuffix('.py')}"
        assert name.removesuffix(".py") in wherescape.__all__


def test_the_connection_type_has_the_three_fields_of_a_source(tmp_path: Path) -> None:
    """They arrive as WSL_SRCCFG_url, _apikey and _user; a secret is masked."""
    called(tmp_path, "files", ".")
    found = json.loads((tmp_path / "api_connection.uiconfig").read_text(encoding="utf-8"))
    assert (found["uiConfigType"], found["uiConfigName"]) == ("ConnectionProperties", "API connection")
    fields = {each["name"]: (each["required"], each["masked"]) for each in found["uiConfigFields"]}
    assert fields == {"url": (True, False), "apikey": (True, True), "user": (False, True)}
    for each in found["uiConfigFields"]:
        assert (each["type"], each["textBoxSettings"]["length"]) == ("textBox", 256)
        assert each["setEnvVarForScripts"]


def test_what_stands_behind_two_dashes_is_anothers() -> None:
    """Its own `--wait` is not ours."""
    assert spelled_out(["pull", "--wait"]) == ["pull", "--wait=forever"]
    assert spelled_out(["env", "f", "--", "x", "--wait"]) == ["env", "f", "--", "x", "--wait"]


@pytest.mark.parametrize("name", IMPORTS.split())
def test_the_page_has_each_script_of_before(name: str) -> None:
    """Whoever moves over looks it up there."""
    assert f"`{name}`" in PAGE


def test_the_page_names_what_is_there() -> None:
    """Each verb, mapping and operation that it tells people to write."""
    assert set(re.findall(r"wherescape\.([a-z_]+)\(", PAGE)) - set(wherescape.__all__) == set()
    named = set(re.findall(r'(?:pull|push|create_metadata|run)\("([a-z_]+\.[a-z_]+)"', PAGE))
    assert len(named) > 5 and named - {*mappings.known(), *operations.read().found} == set()
