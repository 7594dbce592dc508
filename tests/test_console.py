"""
The command line among consoles, shells and processes; progress; the sandbox and the demo.

Not here: what each verb answers (`test_cli.py`).
"""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from syncer import cli
from syncer.journal import Pulled
from syncer.reports import progress, terminal
from syncer.verbs import demo, seconds_of
from syncer.verbs.sandbox import Amount
from tests.conftest import query_file
from tests.shop import Shop, Syncer, started

pytest_plugins = ["tests.shop.fixtures"]


def test_console_that_lacks_a_letter_shows_its_code(variables: dict[str, str], shop: Shop) -> None:
    """Windows' cp1252 has no emoji; printing must not raise."""
    shop.account = "угол 🛒 \x1b[2J"
    process = started("check", "shop", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    out, err = process.communicate(timeout=60)
    assert b"\\u0443\\u0433" in out and b"\\U0001f6d2" in out and b"Traceback" not in err
    assert b"\x1b" not in out and b"\\x1b[2J" in out  # and what a terminal would obey is shown, too


def test_reader_that_goes_away_gets_no_traceback(variables: dict[str, str]) -> None:
    """`syncer list | head -1`."""
    process = started("list", "--output", "json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) in (0, 1)


def test_mapping_names_complete(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A company's own too."""
    monkeypatch.setenv("_SYNCER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "syncer pull shop.")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        cli.main([])
    assert capfd.readouterr().out.split() == ["shop.items", "shop.orders"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], shell: str
) -> None:
    """For the shell that is named, whichever we are called from."""
    monkeypatch.setenv(cli.NAMED_SHELL, "")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--show-completion", shell])
    assert ended.value.code == 0 and f"complete_{shell}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["pull", "a.b", "--wait"], ["pull", "a.b", "--wait=forever"]),
        (["pull", "--wait", "a.b"], ["pull", "--wait=forever", "a.b"]),
        (["pull", "--wait", "600", "a.b"], ["pull", "--wait", "600", "a.b"]),
        (["pull", "--wait=10m"], ["pull", "--wait=10m"]),
    ],
)
def test_wait_may_stand_alone(given: list[str], expected: list[str]) -> None:
    """As long as it takes."""
    assert cli.spelled_out(given) == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("15m", 900), ("26h", 93_600), ("2d", 172_800), ("1.5h", 5_400)]
)
def test_durations(text: str, seconds: float) -> None:
    """Units s, m, h, d; none means seconds."""
    assert seconds_of(text, "--max-age") == seconds


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_shows_a_pull_that_takes_long(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of text elsewhere; in a terminal one that is taken away again, drawn without escape codes."""
    for name in ("QUIET_S", "PLAIN_S"):
        monkeypatch.setattr(progress, name, 0.0)
    monkeypatch.setattr(progress, "LIVE_S", 0.01)
    with progress.PullProgress(["shop.items", "shop.orders"], stream) as shown:
        shown.ended(Pulled(run="1", mapping="shop.items"))
        time.sleep(0.2)
    text = stream.getvalue()
    assert "pull shop.orders (2 of 2): waiting for the first page" in text and "\x1b" not in text
    assert text.endswith("\r" if stream.isatty() else "\n")


def test_progress_is_silent_for_what_is_over_soon() -> None:
    """Two seconds are nothing to wait for."""
    stream = Terminal()
    with progress.PullProgress(["shop.items"], stream):
        time.sleep(0.3)
    assert stream.getvalue() == ""


def test_no_colour_where_nobody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a pipe, NO_COLOR."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.painted("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert terminal.painted("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.painted("x", "red", Terminal()) == "x"


def test_table_is_not_cut_where_it_is_piped() -> None:
    """So that it can be searched; wide letters take two columns."""
    lines = terminal.table(["name", "n", "why"], [("代码", 1200, "x" * 300), ("b", 3, None)], io.StringIO())
    assert lines[1] == f"代码  1,200  {'x' * 300}" and lines[2] == "b         3  -"


def test_sandbox_says_what_to_set_and_ends_by_itself(variables: dict[str, str]) -> None:
    """A script reads the document, works with it, and leaves nothing running."""
    process = started(
        "sandbox", "--port", "0", "--issues", "5", "--projects", "2", "--minutes", "0.05", "--output", "json"
    )
    assert process.stdout is not None
    document = b""
    while not document.rstrip().endswith(b'Z"'):
        document += process.stdout.read1(10_000)  # type: ignore[attr-defined]  # a BufferedReader has it
    found = json.loads(document + b"}")
    with urllib.request.urlopen(f"{found['control']}/counts") as answer:
        assert json.load(answer)["sites"] == {}
    assert set(found["environment"]) >= {"SYNCER_JIRA_URL", "SYNCER_GITLAB_TOKEN", "SYNCER_WAREHOUSE"}
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_demo_shows_that_only_changes_are_written(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in one folder; it uses nothing of the user's, and the commands that it prints work."""
    monkeypatch.setattr(demo, "AMOUNT", Amount(3, 30))
    monkeypatch.setenv("SYNCER_WAREHOUSE", "duckdb:not/to/be/used.duckdb")
    result = syncer("demo")
    assert result.code == 0 and result.err == "" and "3. The second pull" in result.out
    assert result.out.count("   pull jira.") == 2 * 5 and result.out.count("   pull gitlab.") == 2 * 9
    monkeypatch.setattr(demo, "NAMES", ("jira.issues", "gitlab.merge_requests"))  # the rest was shown by the first
    again = syncer("demo", "--output", "json")
    assert len(again.json["edits"]) == 2 * demo.EDITS
    runs = again.json["runs"]
    first, second = runs[: len(runs) // 2], runs[len(runs) // 2 :]
    assert 0 < sum(run["inserted"] + run["updated"] for run in second) < sum(run["inserted"] for run in first) / 3
    for command in again.json["try"]:
        tried = subprocess.run(shlex.split(command), capture_output=True, check=False)
        assert (tried.returncode, tried.stderr) == (0, b"") and tried.stdout.count(b"\n") > 3


def test_demo_leaves_a_file_of_another_alone(syncer: Syncer) -> None:
    """It may be somebody's warehouse that happens to have this name."""
    syncer("pull", "shop.items", "--warehouse", "duckdb:demo.duckdb")
    result = syncer("demo")
    assert result.code == 2 and "no demo made it" in result.err
    assert query_file(Path("demo.duckdb"), "SELECT COUNT(*) FROM load.shop_items") == [(120,)]
