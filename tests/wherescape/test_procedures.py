"""Each call of RED's routines has its documented shape; its answer is fetched, and an error code is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyodbc
import pytest
import sqlglot

from syncer.errors import UsageError, WarehouseError
from syncer.wherescape.connections import Connections
from syncer.wherescape.procedures import ROUTINES, Line, Procedures, cut, lines_of
from tests.wherescape.stand_in import Red, red_repository

COMMON = [1234, "Local env", "load_jira_issue", 9999, 6666]
LOG = ["I", "Local env", "load_jira_issue", 1234, "said", "42000", "db said", 6666, 9999]
LINE = Line(code="I", message="said", db_code="42000", db_message="db said")
Call = Callable[[Procedures], Any]
# Each call, with the values that are sent in their order, and what comes back.
CALLS: dict[str, tuple[Call, list[Any], Any]] = {
    "WsParameterRead": (lambda p: p.read_parameter("hubspot_access_token_voys"), ["hubspot_access_token_voys"],
                        ("not-a-token", "portal voys")),
    "WsParameterReadF": (lambda p: p.parameter("jira_high_water_mark"), ["jira_high_water_mark"], "2024-05-01 10:00"),
    "WsParameterWrite": (lambda p: p.write_parameter("new", "x"), ["new", "x", None], 2),
    "WsWrkTask": (lambda p: p.task_counts([1, 2, 3, 4, 5, 6, 7]), [9999, 6666, 1234, 1, 2, 3, 4, 5, 6, 7], None),
    "WsWrkAudit": (lambda p: p.audit(LINE), LOG, None),
    "WsWrkAuditBulk": (lambda p: p.audit_bulk(LINE), LOG, None),
    "WsWrkError": (lambda p: p.error(LINE, "x"), [*LOG, "x"], None),
    "WsWrkErrorBulk": (lambda p: p.error_bulk(LINE, "x"), [*LOG, "x"], None),
    "Ws_Job_Clear_Logs_By_Date": (lambda p: p.clear_logs_by_date(days=30), [*COMMON, "%", 30], 1),
    "Ws_Job_Clear_Logs": (lambda p: p.clear_logs(keep=1), [*COMMON, "%", 1], 1),
    "Ws_Job_Clear_Archive": (lambda p: p.clear_archive(is_truncated=True), [*COMMON, 365, "%", "TRUNCATE"], 1),
}  # fmt: skip
NAMES = sorted(CALLS)


@pytest.mark.parametrize("noisy", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_call_has_its_shape_and_its_answer_is_fetched(red: Red, name: str, noisy: int) -> None:
    """Also where a procedure switches row counts on, whose results come before the answer. It is committed."""
    call, sent, answer = CALLS[name]
    red.switch(noisy=noisy)
    found = call(red.procedures())
    assert getattr(found, "result", found) == answer
    assert red.calls() == [(name, sent)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "WsParameterReadF"])
def test_an_error_code_is_an_error(red: Red, name: str) -> None:
    """It names the routine and the code, and what the procedure said; nothing is kept."""
    red.switch(fail=1)
    with pytest.raises(WarehouseError, match=rf"dbo\.{name} answered -3") as told:
        CALLS[name][0](red.procedures())
    assert ("Forced failure" in str(told.value)) is name.startswith("Ws_Job")


@pytest.mark.parametrize("name", NAMES)
def test_a_routine_that_is_not_there_is_told(red: Red, name: str) -> None:
    """RED 10 lists some no longer; the text of the server would help nobody."""
    red.lacks(name)
    with pytest.raises(WarehouseError, match=rf"no routine dbo\.{name}\. RED 10 lists some"):
        CALLS[name][0](red.procedures())


def test_the_prefix_is_that_of_the_repository() -> None:
    """WSL_META_SCHEMA has its dot."""
    assert all(f"EXEC @code = meta.{each.name} @" in each.batch("meta.") for each in ROUTINES)


def test_who_calls_is_told_as_its_columns_take_it(red: Red) -> None:
    """A name that is too long would be cut by some servers, and refused by others."""
    procedures = red.procedures(job_name="j" * 70, task_name="", sequence=0, job_key=0, task_key=0)
    procedures.audit(LINE)
    assert red.calls()[0][1][1:4] == ["j" * 64, "", 0]


def test_a_task_that_does_not_run_is_told(red: Red) -> None:
    """-1 is RED's warning: the counts went nowhere."""
    with pytest.raises(WarehouseError, match=r"WsWrkTask answered -1 \(no such task is running\)"):
        red.procedures(task_key=1).task_counts([0] * 7)


def test_log_lines_end_with_task_and_job(red: Red) -> None:
    """The other way round than the counts."""
    red.procedures().audit(LINE)
    red.procedures().error(LINE)
    assert red.rows("SELECT wa_task_key, wa_job_key FROM ws_wrk_audit_log") == [(6666, 9999)]
    assert red.rows("SELECT wd_task_key, wd_job_key FROM ws_wrk_error_log") == [(6666, 9999)]


@pytest.mark.parametrize(("text", "longest", "written"), [
    ("x" * 256, 256, "x" * 256), ("x" * 257, 256, "x" * 255 + "…"), ("a\r\nb\t c", 256, "a b c"), ("", 256, ""),
])  # fmt: skip
def test_a_message_is_one_line_of_what_fits(text: str, longest: int, written: str) -> None:
    """What is longer is cut, or fails, by the server's mood."""
    assert cut(text, longest) == written


def test_several_lines_are_parted_where_red_parts_them(red: Red) -> None:
    """At line feeds; a ~ of the text is none of RED's, and a long line goes on in the next row."""
    red.procedures().audit_bulk(Line(code="W", message=f"one ~ two\r\n\n{'x' * 300}\n"))
    rows = red.rows("SELECT wa_message FROM ws_wrk_audit_log")
    assert rows == [("one - two",), ("x" * 256,), ("x" * 44,)] and lines_of("") == ""


def test_a_status_code_that_is_none_is_refused(red: Red) -> None:
    """Before the call; the detail log has fewer than the audit log."""
    with pytest.raises(UsageError, match="'S'; choices: I, W, E"):
        red.procedures().error(Line(code="S", message="x"))
    assert red.calls() == []


def test_unknown_jobs_are_refused_with_what_red_says(red: Red) -> None:
    """The message is the procedure's."""
    with pytest.raises(WarehouseError, match=r"answered -2 \(E\): No such job or number"):
        red.procedures().clear_logs_by_date(days=1, job="weekly")


@pytest.mark.parametrize(
    ("job", "days", "told"),
    [
        ("x" * 65, 1, "a job's name of 65 letters"),
        ("", 1, "a job's name of 0 letters"),
        (None, 1, "the job None"),
        ("%", -365, "-365 days or runs"),
        ("%", "90", "'90' days or runs"),
        ("%", True, "True days or runs"),
    ],
)
def test_what_red_would_take_for_something_else_is_refused(red: Red, job: Any, days: Any, told: str) -> None:
    """A name is cut, and matches others; a day below 0 is none of the past."""
    for clear in (red.procedures().clear_archive, red.procedures().clear_logs_by_date):
        with pytest.raises(UsageError, match=f"cannot take {told}; nothing was removed"):
            clear(days=days, job=job)
    with pytest.raises(UsageError, match=told):
        red.procedures().clear_logs(keep=days, job=job)
    assert red.calls() == []


@pytest.mark.parametrize(
    "answer", [(None, None, None, None), (None, "", "", 0), (None, "S", "done", 0), (None, "W", "", 1)]
)
def test_job_logs_are_cleared_where_red_says_so_alone(
    red: Red, monkeypatch: pytest.MonkeyPatch, answer: tuple[Any, ...]
) -> None:
    """Success is S and 1; no answer is none."""
    monkeypatch.setattr("syncer.wherescape.connections.Connection.call", lambda *_, **__: answer)
    with pytest.raises(WarehouseError, match="Ws_Job_Clear_Logs_By_Date answered"):
        red.procedures().clear_logs_by_date(days=1)


def test_job_logs_go_into_the_archive_and_out_of_it(red: Red) -> None:
    """What is older than the days, and with TRUNCATE all of it."""
    procedures = red.procedures()
    assert procedures.clear_logs_by_date(days=90).message == "1 job logs archived"
    assert procedures.clear_archive(days=500).message == "0 archived logs removed"
    assert procedures.clear_archive(is_truncated=True).message == "1 archived logs removed"


def test_a_repository_on_postgresql_is_refused(red: Red, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its schema, and by what the server calls itself."""
    with pytest.raises(UsageError, match="WSL_META_SCHEMA is red., a repository on PostgreSQL"):
        red.procedures(meta_schema="red.")
    monkeypatch.setenv(red_repository.DBMS, "PostgreSQL")
    with pytest.raises(UsageError, match=r"DSN red_meta\) leads to PostgreSQL. syncer reads repositories on SQL Ser"):
        red.procedures()


def test_the_stand_in_takes_nothing_else(red: Red) -> None:
    """A call in another shape is refused, as is an answer that is fetched where a count stands."""
    meta = Connections(red.environment()).meta
    with pytest.raises(WarehouseError, match="Incorrect syntax"):
        meta.query("EXEC WsParameterRead ?", ["x"])
    red.switch(noisy=2)
    cursor = pyodbc.connect("DSN=red_meta").cursor().execute(red_repository.SHAPES["WsParameterRead"], "x")
    with pytest.raises(pyodbc.ProgrammingError, match="not a query"):
        cursor.fetchone()
    with pytest.raises(WarehouseError, match="converting data type"):
        red.procedures(sequence="no").audit(LINE)


def test_a_statement_is_run_to_its_end(red: Red) -> None:
    """What it wrote may stand in a later result than the first."""
    red.switch(noisy=2)
    shape = red_repository.SHAPES["WsParameterWrite"]
    assert Connections(red.environment()).meta.execute(shape, ["new", "x", None]) == 1


def test_processes_share_a_repository(red: Red, tmp_path: Path) -> None:
    """A child that is started with nothing but its environment finds it; several write at once."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nfrom syncer.wherescape import connections, environment, procedures\n"
        "found = environment.read(os.environ)\nwith connections.Connections(found) as c:\n"
        "    for n in range(20):\n        procedures.Procedures(c.meta).write_parameter(f'p{sys.argv[1]}_{n}', 'x')\n",
        encoding="utf-8",
    )
    variables = {**os.environ, **red.variables}
    started = [subprocess.Popen([sys.executable, str(script), str(n)], env=variables) for n in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert red.rows("SELECT COUNT(*) FROM dss_parameter WHERE dss_parameter_name LIKE 'p%'") == [(60,)]


def test_the_script_of_the_repository_is_t_sql() -> None:
    """As far as a reader of T-SQL without a server can tell; so are the batches."""
    for batch in (*red_repository.batches(), *(each.batch("dbo.").replace("?", "@x") for each in ROUTINES)):
        assert sqlglot.parse(batch, read="tsql")


@pytest.mark.sqlserver
@pytest.mark.parametrize("noisy", [0, 1, 2])
def test_a_real_server_answers_as_the_stand_in(server: Connections, noisy: int) -> None:
    """On the procedures of repository.sql, row counts or not."""
    server.meta.execute("UPDATE dbo.dss_test_switch SET noisy = ?", [noisy])
    for name in NAMES:
        call, _, answer = CALLS[name]
        found = call(Procedures.of(server))
        assert getattr(found, "result", found) == answer
