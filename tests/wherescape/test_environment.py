"""What WhereScape RED tells a host script is read as it is meant, in all forms that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.errors import UsageError
from syncer.wherescape import environment
from syncer.wherescape.environment import Environment, Login, env_file, read

TASK = {"WSL_SEQUENCE": "1", "WSL_JOB_KEY": "2", "WSL_TASK_KEY": "3", "WSL_TGT_DSN": "a"}
INSIDE = {"WSL_META_DSN": "repository", "WSL_SEQUENCE": "12"}


def test_every_variable_is_read() -> None:
    """A script of a job has them all."""
    found = read(
        {
            **{
                f"WSL_{login}_{what}": f"{login} {what}"
                for login in ("META", "TGT", "SRC")
                for what in ("DSN", "USER")
            },
            "WSL_TGT_PWD": " p;w ",
            "WSL_META_SCHEMA": "dbo.",
            "WSL_LOAD_TABLE": "load_jira_issues",
            "WSL_LOAD_SCHEMA": "load.",
            "WSL_LOAD_FULLNAME": "load.load_jira_issues",
            "WSL_SEQUENCE": "1234",
            "WSL_JOB_KEY": "9",
            "WSL_JOB_NAME": "Night",
            "WSL_TASK_KEY": "66",
            "WSL_TASK_NAME": "load issues",
            "WSL_WORKDIR": "/red/work/",
            "WSL_SRCCFG_url": "https://example.com",
        }
    )
    assert found == Environment(
        meta=Login(dsn="META DSN", user="META USER"),
        target=Login(dsn="TGT DSN", user="TGT USER", password=" p;w "),
        source=Login(dsn="SRC DSN", user="SRC USER"),
        load_table="load_jira_issues",
        load_schema="load",
        load_fullname="load.load_jira_issues",
        sequence=1234,
        job_key=9,
        job_name="Night",
        task_key=66,
        task_name="load issues",
        workdir=Path("/red/work"),
        srccfg={"url": "https://example.com"},
        is_inside_red=True,
    )


def test_nothing_at_all_is_an_environment_too() -> None:
    """Outside RED the numbers are 0, as its guide wants."""
    found = read({})
    assert (found.sequence, found.job_key, found.task_key, found.meta_schema) == (0, 0, 0, "dbo.")
    assert not found.is_inside_red and not found.in_job and found.workdir.is_dir()


def test_names_without_the_prefix_come_second() -> None:
    """The UNIX scheduler of RED sets the same variables without it; an empty one is none."""
    found = read({"TGT_DSN": "a", "LOAD_TABLE": "b", "SRCCFG_apikey": "c", "WSL_TGT_DSN": " ", "WSL_LOAD_TABLE": "d"})
    assert (found.target.dsn, found.load_table, found.srccfg) == ("a", "d", {"apikey": "c"})


def test_a_field_of_the_source_is_found_in_any_case() -> None:
    """Windows writes names of variables in capitals; RED names a field as its connection type does."""
    assert read({"WSL_SRCCFG_ApiKey": "a", "WSL_SRCCFG_URL": "b", "WSL_SRCCFG_user": ""}).srccfg == {
        "apikey": "a",
        "url": "b",
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (INSIDE, True),
        ({"WSL_META_DSN": "a", "WSL_LOAD_TABLE": ""}, True),  # a host script that is started directly
        ({"META_DSN": "a", "SEQUENCE": "1"}, True),
        ({"WSL_META_DSN": "a"}, False),
        ({"WSL_META_DSN": " ", "WSL_SEQUENCE": "1"}, False),
        ({"WSL_SEQUENCE": "1", "WSL_LOAD_TABLE": "a"}, False),
        (TASK, True),  # of a job, whose repository is missing
        ({"SEQUENCE": "1", "JOB_KEY": "2", "TASK_KEY": "3", "TGT_DSN": "a"}, True),
        ({**TASK, "WSL_TASK_KEY": ""}, False),
        ({**TASK, "WSL_TGT_DSN": ""}, False),
        ({"WSL_TGT_DSN": "a", "WSL_TGT_USER": "b", "WSL_TGT_PWD": "c", "WSL_LOAD_TABLE": "d"}, False),
    ],
)
def test_inside_red_is_a_repository_and_a_run_or_a_table(variables: dict[str, str], expected: bool) -> None:
    """RED has no variable that says so."""
    assert environment.is_inside(variables) is read(variables).is_inside_red is expected


def test_red_s_window_is_no_job() -> None:
    """There is no task then whose counts could be written."""
    window = read({**INSIDE, "WSL_JOB_KEY": "0", "WSL_JOB_NAME": "Develop"})
    job = read({**INSIDE, "WSL_JOB_KEY": "7", "WSL_JOB_NAME": "Develop", "WSL_TASK_KEY": "3"})
    assert (window.is_development, window.in_job) == (True, False)
    assert (job.is_development, job.in_job) == (False, True)


@pytest.mark.parametrize("name", ["SEQUENCE", "JOB_KEY", "TASK_KEY"])
@pytest.mark.parametrize("value", ["seven", "1.5", "1e3", "١", "1" * 19])
def test_what_must_be_a_number_is_named_where_it_is_none(name: str, value: str) -> None:
    """Procedures take integers; an error of the server would name no variable."""
    with pytest.raises(UsageError, match=f"WSL_{name} is "):
        read({f"WSL_{name}": value})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "dbo."),
        ("dbo", "dbo."),
        ("red.", "red."),
        ("[my schema].", "[my schema]."),
        ('"my ""schema"""', '"my ""schema""".'),
        ("red_db.dbo.", "red_db.dbo."),
        ("dbo..", "dbo."),
    ],
)
def test_the_schema_of_the_repository_ends_in_one_dot(given: str, expected: str) -> None:
    """It stands before each name as it is."""
    assert read({"WSL_META_SCHEMA": given}).meta_schema == expected


@pytest.mark.parametrize("given", ["dbo; DROP TABLE a", "[dbo", "a b", "'a'", '"a"b"'])
def test_a_schema_that_is_no_name_is_refused(given: str) -> None:
    """It becomes a part of a statement."""
    with pytest.raises(UsageError, match="WSL_META_SCHEMA is no name"):
        read({"WSL_META_SCHEMA": given})


@pytest.mark.parametrize("given", ["load", "load.", '"load".', "[load].", "[load]"])
def test_the_schema_of_the_load_table_is_a_bare_name(given: str) -> None:
    """RED appends a dot where the target is SQL Server or Oracle."""
    assert read({"WSL_LOAD_SCHEMA": given, "WSL_LOAD_TABLE": given}).load_schema == "load"


def test_everything_that_is_missing_is_named_at_once() -> None:
    """Who sets one variable a run needs many runs."""
    found = read({"WSL_META_DSN": "a", "WSL_SRCCFG_url": "b"})
    found.require("meta_dsn", "srccfg_url")
    with pytest.raises(UsageError, match="^WSL_TGT_DSN, WSL_LOAD_TABLE, WSL_SEQUENCE and WSL_SRCCFG_apikey are not "):
        found.require("meta_dsn", "target_dsn", "load_table", "sequence", "srccfg_apikey")
    with pytest.raises(UsageError, match="^WSL_SRC_USER is not set"):
        found.require("source_user")


def test_inside_red_a_missing_repository_is_named_with_the_others() -> None:
    """A task's counts and RED's parameters are there; outside RED a pull needs neither."""
    read({"WSL_TGT_DSN": "a"}).require("target_dsn")
    with pytest.raises(UsageError, match="^WSL_LOAD_TABLE and WSL_META_DSN are not set"):
        read(TASK).require("target_dsn", "load_table")
    with pytest.raises(UsageError, match="^WSL_META_DSN is not set.*leave out the job's variables as well"):
        read(TASK).require("meta_dsn")


def test_a_secret_is_not_shown() -> None:
    """An environment may be logged."""
    found = read({"WSL_META_PWD": "s3cret", "WSL_SRCCFG_apikey": "t0ken"})
    assert "s3cret" not in repr(found) and "t0ken" not in repr(found)
    assert environment.secrets_of(
        {"WSL_SRC_PWD": "a", "WSL_SRCCFG_url": "b", "WSL_SRCCFG_key": "c", "X_TOKEN": ""}
    ) == {
        "a",
        "c",
    }


@pytest.mark.parametrize("end", ["", "/", "\\"])
def test_a_work_directory_is_made_with_or_without_a_separator_at_its_end(end: str, tmp_path: Path) -> None:
    """RED ends it in a backslash; pasting texts made a folder beside it."""
    found = read({"WSL_WORKDIR": f"{tmp_path}/red{end}"})
    assert found.folder("python_logging") == tmp_path / "red" / "python_logging"
    assert (tmp_path / "red" / "python_logging").is_dir()


def test_a_file_stands_in_for_red(tmp_path: Path) -> None:
    """On a developer's machine; a path of Windows stays one."""
    file = tmp_path / "red.env"
    text = (
        "\ufeff# my machine\n\nWSL_META_DSN=repository  # a comment\nexport WSL_TGT_PWD='a # b\"'\n"
        'WSL_WORKDIR = "C:\\Temp\\"\nWSL_SRCCFG_url=https://example.com/#top\r\n'
        "WSL_LOAD_TABLE=\nWSL_JOB_NAME= # none\n"
    )
    file.write_text(text, encoding="utf-8")
    assert env_file(file) == {
        "WSL_META_DSN": "repository",
        "WSL_TGT_PWD": 'a # b"',
        "WSL_WORKDIR": "C:\\Temp\\",
        "WSL_SRCCFG_url": "https://example.com/#top",
        "WSL_LOAD_TABLE": "",
        "WSL_JOB_NAME": "",
    }


@pytest.mark.parametrize("line", ["s3cret", "=s3cret", "WSL_TGT_PWD='s3cret", "WSL_TGT_PWD='s3c'ret", "A B=s3cret"])
def test_a_line_that_is_no_variable_is_named_by_its_number(line: str, tmp_path: Path) -> None:
    """It is not repeated: it may be a password."""
    file = tmp_path / "red.env"
    file.write_text(f"A=1\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2: neither") as error:
        env_file(file)
    assert "s3c" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """None is there, or it is no text."""
    (tmp_path / "latin").write_bytes(b"A=\xe9")
    for name in ("none", "latin"):
        with pytest.raises(UsageError, match=f"{name} cannot be read"):
            env_file(tmp_path / name)
