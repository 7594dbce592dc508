"""The result protocol of WhereScape RED: what is written, and that a host script writes it however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from syncer.errors import LeaseHeld, UsageError
from syncer.wherescape import protocol
from syncer.wherescape.hosting import Host
from syncer.wherescape.protocol import LONGEST, MOST_AUDIT_LINES, Outcome, Status, worst
from tests.wherescape.endings import ENDINGS, HOST, LIBRARY, Ending

RED = {
    "WSL_META_DSN": "repository",
    "WSL_SEQUENCE": "1234",
    "WSL_JOB_KEY": "9",
    "WSL_JOB_NAME": "Night",
    "WSL_TASK_KEY": "66",
    "WSL_TASK_NAME": "load issues",
}
KEPT = ("PATH", "SYSTEMROOT", "HOME", "TMPDIR", "TEMP")


@attrs.frozen
class Ended:
    """What RED sees of a process: its exit code and both streams, as bytes."""

    code: int
    stdout: bytes
    stderr: bytes


def run(ending: Ending, folder: Path) -> Ended:
    """Run a script in *folder* as RED does: by its name, with variables, and two pipes."""
    folder.mkdir()
    (folder / "greeting.py").write_text(LIBRARY, encoding="utf-8")
    script = folder / "script.py"
    script.write_text(HOST * ending.is_with_host + ending.script, encoding="utf-8")
    if ending.config:
        (folder / "syncer.toml").write_text(f"[wherescape]\n{ending.config}\n", encoding="utf-8")
    command = [sys.executable, str(script)]
    variables = variables_of(ending, folder)
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, timeout=25, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def variables_of(ending: Ending, folder: Path) -> dict[str, str]:
    """Return what RED sets for a script, and what this machine needs."""
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    package = str(Path(__file__).parents[2])
    return {**own, **RED, "WSL_WORKDIR": f"{folder}/", "PYTHONPATH": package, **ending.variables}


def check(ending: Ending, found: Ended) -> None:
    """Compare what a script printed with what it should have."""
    stdout = found.stdout.decode("utf-8")
    stderr = found.stderr.decode("cp1252" if "PYTHONIOENCODING" in ending.variables else "utf-8")
    lines = stdout.split("\n")
    assert (lines[0], found.code) == (ending.first, ending.code), stderr
    assert ending.second is None or lines[1] == ending.second
    assert [text for text in ending.stdout if text not in stdout] == []
    assert [text for text in ending.not_stdout if text in stdout] == []
    assert [text for text in ending.stderr if text not in stderr] == []
    assert [text for text in ending.not_stderr if text in stderr] == []


@pytest.mark.parametrize("name", ENDINGS)
def test_however_a_script_ends_its_status_is_the_first_line(name: str, tmp_path: Path) -> None:
    """RED decides by what it reads; a crash that reads as a success loses a night's data."""
    ending = ENDINGS[name]
    check(ending, run(ending, tmp_path / "a"))


def test_a_failed_run_is_followed_by_one_that_is_none(tmp_path: Path) -> None:
    """Nothing of a killed process stands in the way of the next one: no lock, no half log file."""
    run(ENDINGS["kill -9"], tmp_path / "a")
    after = run(attrs.evolve(ENDINGS["ok"], variables={"WSL_WORKDIR": str(tmp_path / "a")}), tmp_path / "b")
    assert after.stdout == b"1\n4 rows\n"
    log = (tmp_path / "a" / "python_logging" / "wherescape.log").read_text(encoding="utf-8")
    assert log.count("4 rows") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes descriptors otherwise there")
@pytest.mark.parametrize(("closed", "stdout"), [("2>&-", b"1\n4 rows\n"), (">&-", b""), (">&- 2>&-", b"")])
def test_a_stream_that_is_closed_disturbs_nothing(closed: str, stdout: bytes, tmp_path: Path) -> None:
    """A service may have no stderr; another file would get its number, and what is printed."""
    (tmp_path / "script.py").write_text(HOST + "note(0, '4 rows')\nprint('late')\n", encoding="utf-8")
    variables = {**os.environ, **RED, "WSL_WORKDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = f'"{sys.executable}" script.py {closed}'
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=variables, stdout=-1, timeout=25, check=False)
    assert (done.returncode, done.stdout) == (0, stdout)


def test_under_a_warning_the_script_s_words_stand_first_and_the_warning_behind_them() -> None:
    """The status says that there is something; nobody should have to look for what."""
    host = Host({"WSL_TASK_NAME": "load"})
    host.note(Outcome(Status.WARNED, "2 rejects"))
    host.message = "all\nloaded"
    assert host.result() == (Outcome(Status.WARNED, "all loaded"), ("2 rejects",))


def test_an_error_is_counted_once() -> None:
    """A verb counts it, and Python's hook sees it again."""
    host, error = Host({}), UsageError("wrong")
    host.failed(error)
    host.failed(error)
    assert host.result() == (Outcome(Status.FAILED, "wrong", exit_code=2), ())


def test_a_secret_that_was_read_later_is_hidden_too() -> None:
    """Tokens stand in parameters of the repository."""
    host = Host({})
    host.conceal("t0ken", "a")
    host.note(Outcome(Status.FAILED, "not allowed: t0ken"))
    assert host.result()[0].message == "not allowed: ***"


def test_what_a_script_left_open_is_written_whole(tmp_path: Path) -> None:
    """Python would flush it at its end; the host must not lose it."""
    run(ENDINGS["others' exit functions"], tmp_path / "a")
    assert (tmp_path / "a" / "left.txt").read_text(encoding="utf-8") == "whole"


def test_no_secret_is_in_the_log_file(tmp_path: Path) -> None:
    """It is kept for weeks, and many may read it."""
    run(ENDINGS["a secret"], tmp_path / "a")
    log = (tmp_path / "a" / "python_logging" / "wherescape.log").read_text(encoding="utf-8")
    assert "login with *** failed" in log and "s3cr" not in log


@pytest.mark.parametrize(
    ("code", "status"), [(0, 1), (3, -1), (4, -2), (1, -2), (2, -2), (130, -3), (139, -3), (-9, -3)]
)
def test_an_exit_code_of_the_command_line_has_a_status(code: int, status: int) -> None:
    """A host script may run the command line; what is no code of ours is a crash."""
    assert protocol.of_exit_code(code, "").status == status


def test_the_worst_outcome_counts_with_its_own_messages() -> None:
    """One success must not hide a failure, nor a failure the other one."""
    found = [Outcome(Status.DONE, "a"), Outcome(Status.FAILED, "b"), Outcome(Status.FAILED, "c", exit_code=4)]
    assert worst([*found, Outcome(Status.FAILED, "b")]) == Outcome(Status.FAILED, "b; c", exit_code=1)
    assert worst([]) == Outcome(Status.DONE, "")


def test_an_error_of_syncer_is_a_failure_with_its_own_exit_code() -> None:
    """Message and hint are what people see first."""
    assert protocol.of_error(UsageError("a", hint="b")) == Outcome(Status.FAILED, "a b", exit_code=2)
    assert protocol.of_error(LeaseHeld("a")).exit_code == 1


def test_no_line_is_longer_than_red_keeps() -> None:
    """RED's columns hold 256 characters as UTF-16 counts them, in which an emoji is two."""
    lines = protocol.rendered(Status.DONE, "🐘" * 200, ["a" * 300, "b" * 256]).decode("utf-8").splitlines()
    assert [len(line.encode("utf-16-le")) // 2 for line in lines[1:]] == [255, LONGEST, 144, LONGEST, LONGEST]
    assert lines[4].endswith("a…") and not lines[5].endswith("…")


def test_a_message_that_is_cut_stands_whole_in_the_audit_part() -> None:
    """What to do about it is at its end; it is broken at blanks, and goes before what else there is."""
    text = " ".join(f"word{number:03}" for number in range(60)) + " 🐘" * 100
    lines = protocol.rendered(Status.FAILED, text, ["else"]).decode("utf-8").splitlines()
    assert lines[1].endswith("…") and lines[-1] == "else"
    assert " ".join(lines[2:-1]) == text
    assert max(len(line.encode("utf-16-le")) // 2 for line in lines) <= LONGEST
    assert protocol.wrapped("a" * 300 + " b") == ["a" * 256, "a" * 44 + " b"]


def test_a_message_that_is_very_long_leaves_the_audit_part_short() -> None:
    """RED makes a row of each line."""
    lines = protocol.rendered(Status.FAILED, "word " * 2_000, ["else"]).decode("utf-8").splitlines()
    assert len(lines) == 2 + MOST_AUDIT_LINES and lines[-1].endswith("more lines are on stderr.")


def test_what_the_message_has_is_no_audit_line() -> None:
    """Two outcomes stand in one message; a row more for each says nothing."""
    host = Host({})
    host.note(Outcome(Status.WARNED, "2 rejects"))
    host.note(Outcome(Status.DONE, "4 rows"))
    host.note(Outcome(Status.WARNED, "1 conflict"))
    assert host.result() == (Outcome(Status.WARNED, "2 rejects; 1 conflict"), ("4 rows",))


def test_the_audit_part_stays_short() -> None:
    """RED makes a row of each line; the bulk belongs on stderr."""
    lines = protocol.rendered(Status.DONE, "a", [str(number) for number in range(50)]).decode("utf-8").splitlines()
    assert len(lines) == 2 + MOST_AUDIT_LINES
    assert lines[-1] == "31 more lines are on stderr."


def test_no_line_of_the_audit_part_is_empty_or_two() -> None:
    """A line feed in a text would make two rows of it."""
    assert protocol.rendered(Status.FATAL, "", ["a\nb", " \n", "c"]) == b"-3\n\na b\nc\n"
