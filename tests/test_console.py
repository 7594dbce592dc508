"""
The command line among consoles, shells and processes; progress; the sandbox and the demo.

Not here: what each verb answers (`test_cli.py`).
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import string
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

import syncer
from syncer import cli, engine
from syncer.journal import Pulled
from syncer.reports import progress, terminal
from syncer.sandbox import Clock, HubSpotSite, Sandbox
from syncer.sandbox.faults import Fault, wished
from syncer.verbs import demo, demo_warehouse, seconds_of
from syncer.verbs import sandbox as sandboxes
from syncer.verbs.sandbox import Amount
from tests.conftest import query_file
from tests.shop import Shop, Syncer, started

pytest_plugins = ["tests.shop.fixtures"]
ROOT = Path(__file__).parents[1]


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
    found = json.loads(process.stdout.readline())
    with urllib.request.urlopen(f"{found['control']}/counts") as answer:
        assert json.load(answer)["sites"] == {}
    assert set(found["environment"]) >= {"SYNCER_JIRA_URL", "SYNCER_GITLAB_TOKEN", "SYNCER_WAREHOUSE"}
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and rest == b""


@pytest.mark.skipif(sys.platform == "win32", reason="a process group is sent Ctrl-C in another way there")
@pytest.mark.parametrize("output", ["text", "json"])
def test_ctrl_c_ends_what_start_py_runs_without_a_traceback(
    variables: dict[str, str], tmp_path: Path, output: str
) -> None:
    """A terminal sends it to both; start.py waits, and returns what the command returned."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pathlib, start;"
        "start.installed = lambda requirements: pathlib.Path(sys.executable);"
        "sys.exit(start.main(sys.argv[1:]))"
    )
    arguments = ["sandbox", "--port=0", "--issues=2", "--projects=2", "--minutes=1", f"--output={output}"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    begun = process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and b"Traceback" not in err
    if output == "json":
        assert set(json.loads(begun)) == {"environment", "control", "until"} and out == b""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
@pytest.mark.parametrize("module", ["typer", "typer.main", "syncer.verbs", "syncer.verbs.pull", "syncer.engine"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_ctrl_c_while_syncer_starts_is_one_line(variables: dict[str, str], module: str, output: str) -> None:
    """A third of a second, in which a person sees the typo."""
    code = (
        "import signal, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from syncer.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "pull", "shop.items", "--output", output]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 130
    told = json.loads(found.stdout)["error"]["message"] if found.stdout else found.stderr
    assert "interrupted." in told and found.stderr.count("\n") <= 1 and "Traceback" not in found.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_start_py_returns_the_exit_code_of_a_command_that_was_killed() -> None:
    """As a shell does: 128 and the number of the signal; never a negative number."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import start; sys.exit(start.run(sys.argv[1:]))"
    for ends, expected in (("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", 137)):
        command = [sys.executable, "-c", code, sys.executable, "-c", f"import os, sys; {ends}"]
        assert subprocess.run(command, check=False).returncode == expected


def test_demo_shows_that_only_changes_are_written(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in one folder; it uses nothing of the user's, and the commands that it prints work."""
    monkeypatch.setattr(demo, "AMOUNT", Amount(3, 30))
    monkeypatch.setenv("SYNCER_WAREHOUSE", "duckdb:not/to/be/used.duckdb")
    result = syncer("demo")
    assert result.code == 0 and result.err == "" and "3. The second pull" in result.out
    for source, streams in {"hubspot": 15, "jira": 5, "gitlab": 9, "friday_pulse": 10, "anythingllm": 5}.items():
        assert result.out.count(f"   pull {source}.") == 2 * streams
    # The rest was shown by the first.
    names = ("hubspot.companies", "hubspot.associations", "jira.issues", "gitlab.merge_requests")
    monkeypatch.setattr(demo, "NAMES", names)
    again = syncer("demo", "--output", "json")
    assert len(again.json["edits"]) == 5 * demo.EDITS
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


def test_demo_leaves_a_file_alone_that_somebody_pulled_into_since(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a demo's, and is a warehouse now."""
    monkeypatch.setattr(demo, "AMOUNT", Amount(3, 30))
    monkeypatch.setattr(demo, "NAMES", ("hubspot.companies", "jira.issues", "gitlab.merge_requests"))
    assert syncer("demo").code == 0
    with monkeypatch.context() as patched:  # no syncer does it any more
        patched.setattr(engine, "_refuse_demo", lambda *_: None)
        assert syncer("pull", "shop.items", "--warehouse", "duckdb:demo.duckdb").code == 0
    result = syncer("demo")
    assert result.code == 2 and "no demo made it" in result.err
    assert query_file(Path("demo.duckdb"), "SELECT COUNT(*) FROM load.shop_items") == [(120,)]


@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE TABLE notes (text VARCHAR)",
        "CREATE TABLE load.mine (id INT)",
        "CREATE VIEW load.seen AS SELECT 1 AS one",
    ],
)
def test_demo_leaves_a_file_alone_in_which_somebody_made_a_table(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    """It was a demo's, and has something of a person's now."""
    monkeypatch.setattr(demo, "AMOUNT", Amount(3, 30))
    monkeypatch.setattr(demo, "NAMES", ("hubspot.companies", "jira.issues", "gitlab.merge_requests"))
    assert syncer("demo").code == 0
    query_file(Path("demo.duckdb"), theirs)
    result = syncer("demo")
    assert result.code == 2 and "no demo made it" in result.err
    assert syncer("demo").code == 2


def test_demo_leaves_a_file_alone_that_only_has_a_table_of_the_marks_name(syncer: Syncer) -> None:
    """A demo's mark is a table with its columns."""
    Path("demo.duckdb").unlink(missing_ok=True)
    query_file(Path("demo.duckdb"), "CREATE SCHEMA syncer")
    query_file(Path("demo.duckdb"), "CREATE TABLE syncer.demo (title VARCHAR)")
    result = syncer("demo")
    assert result.code == 2 and "no demo made it" in result.err


def test_demo_says_what_helps_where_its_file_is_no_warehouse(syncer: Syncer) -> None:
    """Not SYNCER_WAREHOUSE, which it does not read."""
    Path("demo.duckdb").write_text("a letter", encoding="utf-8")
    result = syncer("demo")
    assert result.code == 2 and "--folder" in result.err and "SYNCER_WAREHOUSE" not in result.err
    assert Path("demo.duckdb").read_text(encoding="utf-8") == "a letter"


def test_demo_says_what_helps_where_its_file_is_held(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person looks at the last demo's file; wait_s is no setting of the demo."""
    monkeypatch.setattr(demo_warehouse, "WAIT_S", 0.1)
    code = "import duckdb, sys; held = duckdb.connect('demo.duckdb'); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline()
    result = syncer("demo")
    holder.communicate(b"")
    assert result.code == 1 and "--folder" in result.err and "wait_s" not in result.err
    assert str(holder.pid) in result.err or "another process" in result.err


def test_sandbox_says_only_where_it_is_when_it_is_to_be_quiet(syncer: Syncer) -> None:
    """What must be set differs from start to start; the rest is in the docs."""
    result = syncer("sandbox", "-q", "--port=0", "--issues=2", "--projects=2", "--minutes=0.001")
    assert (result.code, result.err) == (0, "")
    assert [line.partition("=")[0] for line in result.out.splitlines()] == [
        f"SYNCER_{name}_URL" for name in ("HUBSPOT", "JIRA", "GITLAB", "FRIDAY_PULSE", "ANYTHINGLLM")
    ]


def test_sandbox_prints_commands_of_the_python_that_runs_it(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came by start.py has no `syncer` on the PATH."""
    arguments = ("sandbox", "--port=0", "--issues=2", "--projects=2", "--minutes=0.001")
    monkeypatch.setenv("PATH", "")
    assert f"  {sys.executable} -m syncer pull 'hubspot.*' 'jira.*' 'gitlab.*'\n" in syncer(*arguments).out
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert "  syncer check\n" in syncer(*arguments).out


@pytest.mark.parametrize("page", [False, True])
def test_what_the_sandbox_says_of_pushing_works_as_it_stands(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, page: bool
) -> None:
    """Printed, and in docs/sandbox.md: a newcomer copies it line by line."""
    with sandboxes.built(Amount(2, 150), seed=1, port=0) as sandbox:
        needed = {"SYNCER_WAREHOUSE": "duckdb:sandbox.duckdb", **sandboxes.variables(sandbox)}
        for name, value in needed.items():
            monkeypatch.setenv(name, value)
        printed = "\n".join(sandboxes._how_to(needed, sandbox.url("_sandbox"), replaced=""))
        docs = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
        text = docs.partition("## Rehearsing a push")[2].partition("\n## ")[0] if page else printed
        Path("syncer.toml").write_text("\n".join(re.findall(r'^ +(\[?".*\]|\w+ = ".*")$', text, re.MULTILINE)))
        syncer.pull("hubspot.companies")
        made = re.findall(r"^ +(create [^;]*);", text, re.MULTILINE)
        with duckdb.connect("sandbox.duckdb") as warehouse:
            for statement in made:
                warehouse.execute(statement)
        pushed = syncer.push("hubspot.companies")
        assert len(made) == 2 and pushed.counts.unchanged == pushed.counts.read > 99
        [curl] = re.findall(r"^ +(curl -X PATCH(?:.*\\\n)*.*)$", text, re.MULTILINE)
        edited(curl, needed)
        assert phone_of("C000001", sandbox) == "+31 20 2"
        assert syncer.push("hubspot.companies").counts.unchanged == pushed.counts.read
        with duckdb.connect("sandbox.duckdb") as warehouse:
            warehouse.execute("update stage.companies set phone = '+31 20 3' where client_id = 'C000001'")
        assert syncer.push("hubspot.companies").counts.conflicts == 1


def test_the_sandbox_names_the_unique_property_of_each_kind() -> None:
    """Also on its page."""
    site = HubSpotSite.generate(seed=1, companies=2, clock=Clock())
    own = {
        kind: [each.name for each in site.store.definitions[kind].values() if each.has_unique_value]
        for kind in ("companies", "contacts", "deals", "tickets")
    }
    assert own == {kind: [name] for kind, name in sandboxes.UNIQUE.items()}
    docs = " ".join((ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8").split())
    assert all(f"`{name}` of {kind}" in docs for kind, name in sandboxes.UNIQUE.items())


def phone_of(client_id: str, sandbox: Sandbox) -> str:
    """Return what the sandbox's portal has for a company."""
    with urllib.request.urlopen(f"{sandbox.url('_sandbox')}/truth?site=hubspot&stream=companies") as answer:
        live = [each["record"]["record"] for each in json.load(answer) if each["record"]["state"] == "live"]
    [found] = [each["properties"] for each in live if each["properties"]["client_id"] == client_id]
    return str(found["phone"])


def edited(curl: str, variables: dict[str, str]) -> None:
    """Do what a line with curl does, without curl."""
    words = shlex.split(string.Template(curl.replace("\\\n", " ")).substitute(variables))
    assert words[:3] == ["curl", "-X", "PATCH"]
    headers = dict(after.split(": ") for word, after in pairwise(words) if word == "-H")
    [body] = [after for word, after in pairwise(words) if word == "-d"]
    request = urllib.request.Request(words[-1], body.encode(), headers, method="PATCH")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"kind": "zap"}, 'kind is "zap"; known: reset_before, reset_after, timeout, truncate, status, html'),
        ({}, "kind is missing; known: reset_before,"),
        ({"kind": "status", "tims": 1}, "no key tims; did you mean times? Known: kind, match, times,"),
        ({"kind": "status", "times": "3"}, 'times is "3"; wanted: a whole number, 0 or more, or null: for ever'),
        ({"kind": "status", "times": True}, "times is true; wanted:"),
        ({"kind": "status", "match": "("}, 'match is "("; wanted: a regular expression'),
        ({"kind": "status", "match": None}, "match is null; wanted: a regular expression"),
        ({"kind": "status", "probability": 2}, "probability is 2; wanted: a number between 0 and 1"),
        ({"kind": "status", "status": 42}, "status is 42; wanted: a status from 100 to 599"),
        ({"kind": "late", "late_s": -1}, "late_s is -1; wanted: seconds, 0 or more"),
        ({"kind": "status", "headers": ["x"]}, 'headers is ["x"]; wanted: an object of texts'),
        ({"kind": "status", "site": "jirra"}, 'site is "jirra"; known: gitlab, jira'),
    ],
)
def test_fault_that_is_none_is_told_in_the_words_of_who_asked(wish: dict[str, object], told: str) -> None:
    """Whoever types JSON into curl knows nothing of Python."""
    with pytest.raises(ValueError) as raised:
        wished(wish, sites=("gitlab", "jira"))
    assert str(raised.value).startswith(f"not a fault: {told}")


def test_fault_that_is_one_is_taken_as_it_was_asked_for() -> None:
    """All that is not said stays as it is."""
    wish = {"kind": "status", "times": None, "status": 429, "headers": {"Retry-After": "2"}, "site": "jira"}
    assert wished(wish, sites=("jira",)) == Fault(**wish)
