"""`[notify]`: who hears of a pull that a person should look at, what of, and that telling changes nothing."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import syncer as library
from syncer.errors import NotAllowed, UsageError
from tests.hooks import SECRETS, Hook, listening
from tests.shop import Shop, Syncer, one_line

pytest_plugins = ["tests.shop.fixtures"]

PERSON = "ada.lovelace@example.com"
BEARER = "b3arer-t0ken"
HEAD = {"notification", "syncer", "verb", "environment", "host", "at", "asked", "causes", "exit_code", "runs"}
Notify = Callable[..., None]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook on this machine."""
    with listening() as found:
        yield found


@pytest.fixture
def notify(variables: dict[str, str]) -> Notify:
    """Write `[notify]` into the site's file."""

    def write(**keys: Any) -> None:
        file = Path("syncer.toml")
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        file.write_text("\n".join([file.read_text(encoding="utf-8"), "[notify]", *lines, ""]), encoding="utf-8")

    return write


def keeping(tmp_path: Path, more: str = "") -> list[str]:
    """Return a command that keeps its stdin in `told.json`; *more* is Python that it runs then."""
    code = f"import sys; open({str(tmp_path / 'told.json')!r}, 'wb').write(sys.stdin.buffer.read()); {more}"
    return [sys.executable, "-c", code]


def test_a_pull_that_fails_is_told_once_with_all_its_runs(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook
) -> None:
    """Two mappings failed, and one did not: one document, which has the two."""
    shop.forbidden = {"items"}
    notify(webhook=hook.url)
    assert syncer("pull", "shop.items", "shop.orders").code == 1
    found = hook.only
    assert set(found) == HEAD and (found["verb"], found["causes"], found["exit_code"]) == ("pull", ["failed"], 1)
    assert (found["environment"], found["host"]) == ("default", socket.gethostname())
    assert found["asked"] == ["shop.items", "shop.orders"]
    [run] = found["runs"]
    assert (run["mapping"], run["status"], run["exit_code"], run["requests"]) == (
        "shop.items",
        "failed",
        1,
        run["requests"],
    )
    assert (run["error"]["type"], run["error"]["status"]) == ("NotAllowed", 403)
    assert run["look"] == f"syncer status {run['run']}"
    assert syncer(*run["look"].split()[1:]).code == 0


def test_what_the_error_says_itself_is_not_told(syncer: Syncer, shop: Shop, notify: Notify, hook: Hook) -> None:
    """An error may name a record, a path, a branch: the words that are told are of its kind."""
    shop.forbidden = {"items"}
    notify(webhook=hook.url)
    told = syncer("pull", "shop.items").err
    message = hook.only["runs"][0]["error"]["message"]
    assert message == " ".join((NotAllowed.__doc__ or "").split()) and message not in told


def test_python_calls_are_told_as_well(variables: dict[str, str], shop: Shop, notify: Notify, hook: Hook) -> None:
    """A DAG that calls `syncer.pull` is a schedule, too."""
    shop.forbidden = {"items"}
    notify(webhook=hook.url)
    with pytest.raises(NotAllowed):
        library.pull("shop.items")
    assert hook.only["runs"][0]["mapping"] == "shop.items"


def test_rejects_are_told_as_counts_without_what_was_rejected(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook
) -> None:
    """The value, its key and what stands beside it may be a person's."""
    shop.records["items"].append({"id": 987654321, "name": f"{PERSON}\0\ud83d", "price": f"{PERSON} \0 \ud83d owes"})
    notify(webhook=hook.url)
    assert syncer("pull", "shop.items").code == 3
    [run] = hook.only["runs"]
    assert (run["causes"], run["status"], run["counts"]["rejected"], run["counts"]["read"]) == (
        ["rejects"],
        "done",
        2,
        121,
    )
    body = hook.came[0][2].decode("ascii")
    assert not [each for each in (PERSON, "ada", "987654321", "owes", "\\u0000", "\\ud83d", "thing") if each in body]


@pytest.mark.parametrize("break_it", ["column", "mapping"])
def test_no_record_in_the_error_of_a_warehouse_or_of_an_own_file_is_told(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, monkeypatch: pytest.MonkeyPatch, break_it: str
) -> None:
    """What a foreign program says may hold the row that it met, NUL and half letters, too."""
    from syncer.errors import WarehouseError
    from syncer.loading import Loading

    said = f"row ({PERSON}\0\ud83d, 987654321) violates"
    error = WarehouseError(said, hint=said) if break_it == "column" else KeyError(said)

    def broken(*given: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(Loading, "load", broken, raising=False)
    monkeypatch.setattr("syncer.inbound.Inbound.load", broken)
    notify(webhook=hook.url)
    assert syncer("pull", "shop.items").code == 1
    body = hook.came[0][2].decode("ascii")
    assert PERSON not in body and "987654321" not in body and "violates" not in body
    found = hook.only
    told = found["error"] if "error" in found else found["runs"][0]["error"]
    assert told["type"] == type(error).__name__


def test_nothing_is_told_when_all_is_well(syncer: Syncer, notify: Notify, hook: Hook) -> None:
    """A channel that speaks every night is not read."""
    notify(webhook=hook.url)
    assert syncer("pull", "shop.items").code == 0 and hook.came == []


def test_only_what_is_named_in_on_is_told(syncer: Syncer, shop: Shop, notify: Notify, hook: Hook) -> None:
    """A site whose rejects are everyday work hears of failures alone."""
    shop.records["items"][4]["price"] = "a lot"
    notify(webhook=hook.url, on=["failed"])
    assert syncer("pull", "shop.items").code == 3 and hook.came == []
    shop.forbidden = {"items"}
    syncer("pull", "shop.items")
    assert hook.only["causes"] == ["failed"]


def test_a_verb_that_ended_before_its_first_run_is_told(
    syncer: Syncer, notify: Notify, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warehouse is gone, or a token: there is no run, and that is what a schedule must not hide."""
    notify(webhook=hook.url)
    Path("wrong.duckdb").write_bytes(b"this is no database at all, but a text" * 20)
    monkeypatch.setenv("SYNCER_WAREHOUSE", "duckdb:wrong.duckdb")
    assert syncer("pull", "shop.items").code == 1
    assert (hook.only["runs"], hook.only["causes"], hook.only["error"]["type"]) == ([], ["failed"], "WarehouseError")
    monkeypatch.delenv("SYNCER_SHOP_TOKEN")
    assert syncer("pull", "shop.items").code == 2
    assert (hook.documents[1]["error"]["type"], hook.documents[1]["exit_code"]) == ("UsageError", 2)


def test_a_name_that_nobody_knows_is_for_who_typed_it(syncer: Syncer, notify: Notify, hook: Hook) -> None:
    """A typing error at a keyboard wakes nobody."""
    notify(webhook=hook.url)
    assert syncer("pull", "shop.itms").code == 2 and hook.came == []


def test_the_token_is_sent_as_a_bearer_and_the_variable_goes_before_the_file(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver may ask who we are."""
    shop.forbidden = {"items"}
    notify(webhook=hook.url, token=BEARER)
    syncer("pull", "shop.items")
    monkeypatch.setenv("SYNCER_NOTIFY_TOKEN", "another-one")
    syncer("pull", "shop.items")
    sent = [headers["Authorization"] for _, headers, _ in hook.came]
    assert sent == [f"Bearer {BEARER}", "Bearer another-one"]
    assert hook.came[0][1]["Content-Type"] == "application/json" and hook.came[0][0].endswith("?sig=qu3ry-s3cret")


def test_a_command_gets_the_document_and_its_output_goes_nowhere(
    syncer: Syncer, shop: Shop, notify: Notify, tmp_path: Path
) -> None:
    """stdout stays one JSON document, whatever the command prints."""
    shop.forbidden = {"items"}
    notify(command=keeping(tmp_path, "print('from the command'); print('so', file=sys.stderr)"))
    result = syncer("pull", "shop.items", "--output", "json")
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["runs"][0]["mapping"] == "shop.items" == result.json["runs"][0]["mapping"]
    assert (result.code, result.err) == (1, "")


def test_webhook_and_command_both_hear(syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, tmp_path: Path) -> None:
    """Where one of them is down, the other one is not."""
    shop.forbidden = {"items"}
    hook.statuses = [400]
    notify(webhook=hook.url, command=keeping(tmp_path))
    syncer("pull", "shop.items")
    assert hook.only == json.loads((tmp_path / "told.json").read_text())


@pytest.mark.parametrize(("statuses", "tries", "told"), [
    ([503], 2, ""), ([500, 502], 2, "it answered 502"), ([400, 200], 1, "it answered 400"),
    ([302], 1, "it answered 302"),
])  # fmt: skip
def test_it_is_sent_once_more_where_a_server_failed(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, statuses: list[int], tries: int, told: str
) -> None:
    """And the outcome is the same whatever it answers; the warning has the host alone."""
    shop.forbidden = {"items"}
    hook.statuses = list(statuses)
    notify(webhook=hook.url, token=BEARER)
    result = syncer("pull", "shop.items", "--verbose")
    assert (result.code, len(hook.came)) == (1, tries)
    assert ("notify: 127.0.0.1 could not be told of this pull" in result.err) == bool(told) and told in result.err
    assert not [each for each in (*SECRETS, BEARER) if each in result.err + result.out]


@pytest.mark.parametrize("debug", ["--verbose", "--debug"])
def test_nobody_there_is_a_warning_without_the_path_or_the_token(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, debug: str
) -> None:
    """The URL of a webhook is a secret as a token is."""
    shop.forbidden = {"items"}
    notify(webhook=hook.url.replace(hook.url.split(":")[2].split("/")[0], "9"), token=BEARER)
    result = syncer("pull", "shop.items", debug)
    assert result.code == 1 and "notify: 127.0.0.1 could not be told" in result.err and "nobody answers" in result.err
    assert not [each for each in (*SECRETS, BEARER) if each in result.err + result.out]


@pytest.mark.parametrize("kind", ["drips", "hangs", "command", "reads nothing"])
def test_telling_takes_no_longer_than_its_time(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, tmp_path: Path, kind: str
) -> None:
    """A receiver that answers without end, or never, holds no schedule."""
    shop.forbidden = {"items"}
    if kind == "drips":
        hook.drips = True
        notify(webhook=hook.url, timeout_s=1)
    elif kind == "hangs":
        listener = socket.create_server(("127.0.0.1", 0))
        notify(webhook=f"http://127.0.0.1:{listener.getsockname()[1]}/x", timeout_s=1)
    else:
        read = "sys.stdin.read(); " if kind == "command" else ""
        notify(command=[sys.executable, "-c", f"import sys, time; {read}time.sleep(60)"], timeout_s=1)
    began = time.monotonic()
    result = syncer("pull", "shop.items")
    assert result.code == 1 and "could not be told" in result.err
    assert time.monotonic() - began < 6


@pytest.mark.skipif(sys.platform == "win32", reason="a process group is POSIX's")
def test_a_command_out_of_time_is_ended_with_what_it_started(
    syncer: Syncer, shop: Shop, notify: Notify, tmp_path: Path
) -> None:
    """Nothing is left behind that a person would have to look for."""
    shop.forbidden = {"items"}
    child = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    )
    child += f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(60)"
    notify(command=[sys.executable, "-c", child], timeout_s=2)
    assert syncer("pull", "shop.items").code == 1
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if _is_gone(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("command", [["/no/such/pr0gram", "t0ken-in-argument"], [sys.executable, "-c", "exit(7)"]])
def test_a_command_that_cannot_be_run_or_fails_is_a_warning(
    syncer: Syncer, shop: Shop, notify: Notify, command: list[str]
) -> None:
    """It names the program, and none of its arguments."""
    shop.forbidden = {"items"}
    notify(command=command)
    result = syncer("pull", "shop.items", "--debug")
    assert result.code == 1 and f"notify: {Path(command[0]).name} could not be told" in result.err
    assert "t0ken" not in result.err and "/no/such" not in result.err


def test_the_warehouse_is_let_go_before_anybody_is_told(
    syncer: Syncer, shop: Shop, notify: Notify, tmp_path: Path
) -> None:
    """A slow receiver must not keep the file, or a lease, from the next run: the command pulls itself."""
    shop.forbidden = {"items"}
    code = "import subprocess, sys; r = subprocess.run([sys.executable, '-m', 'syncer', 'pull', 'shop.orders'], "
    code += f"capture_output=True); open({str(tmp_path / 'code')!r}, 'w').write(str(r.returncode))"
    notify(command=[sys.executable, "-c", code], timeout_s=60)
    assert syncer("pull", "shop.items").code == 1
    assert (tmp_path / "code").read_text() == "0"


def test_the_keys_of_an_environment_go_before_those_of_all(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, variables: dict[str, str]
) -> None:
    """The test account's failures need not wake who is on duty."""
    shop.forbidden = {"items"}
    notify(webhook=hook.url)
    with Path("syncer.toml").open("a", encoding="utf-8") as file:
        file.write(f'[environments.trial.shop]\nurl = "{shop.url}"\ntoken = "shop-token-1"\n')
        file.write('[environments.trial.notify]\non = ["rejects"]\n')
    assert syncer("pull", "shop.items", "--environment", "trial").code == 1 and hook.came == []
    assert syncer("pull", "shop.items").code == 1 and len(hook.came) == 1


@pytest.mark.parametrize(("key", "value"), [
    ("webhook", '"ftp://hooks.example.com/s3cret"'), ("webhook", '"https://ada:s3cret@hooks.example.com/"'),
    ("webhook", '"s3cret"'), ("command", '"s3cret --now"'), ("command", "[]"), ("command", '["s3cret\\u0000"]'),
    ("on", '["s3cret"]'), ("on", "[]"), ("timeout_s", "0"), ("timeout_s", "301"), ("timeout_s", '"s3cret"'),
    ("token", '"s3cret\\n"'), ("token", "1234567890"), ("webhok", '"s3cret"'),
])  # fmt: skip
def test_what_is_wrong_in_the_table_is_told_with_its_line_and_not_repeated(
    syncer: Syncer, variables: dict[str, str], key: str, value: str
) -> None:
    """Any of these may be a secret in the wrong place."""
    with Path("syncer.toml").open("a", encoding="utf-8") as file:
        file.write(f"[notify]\n{key} = {value}\n")
    result = syncer("pull", "shop.items")
    assert result.code == 2 and one_line(result.err) and "syncer.toml, line 4: " in result.err and key in result.err
    assert "s3cret" not in result.err and "1234567890" not in result.err


def test_a_wrong_word_in_on_is_told_by_its_place_and_what_it_may_mean(syncer: Syncer) -> None:
    """Of six words one is misspelt; which one, nobody should have to guess."""
    with Path("syncer.toml").open("a", encoding="utf-8") as file:
        file.write('[notify]\non = ["failed", "reject", "conflicts"]\n')
    result = syncer("pull", "shop.items")
    assert result.code == 2 and "word 2 of 3 is none of the choices (did you mean rejects?)" in result.err


def test_check_shows_who_is_told_and_sends_a_test_where_asked(
    syncer: Syncer, notify: Notify, hook: Hook, tmp_path: Path
) -> None:
    """One wants to know before the night whether anybody would hear."""
    assert "nobody is told" in syncer("check", "shop").out
    assert syncer("check", "shop", "--notify").code == 1
    notify(webhook=hook.url, token=BEARER, command=keeping(tmp_path))
    shown = syncer("check", "shop")
    assert shown.code == 0 and "127.0.0.1" in shown.out and hook.came == []
    tried = syncer("check", "shop", "--notify")
    assert tried.code == 0 and hook.only["is_test"] is True and (tmp_path / "told.json").exists()
    assert not [each for each in (*SECRETS, BEARER, "told.json") if each in shown.out + tried.out]
    hook.statuses = [403]
    failed = syncer("check", "shop", "--notify")
    assert failed.code == 1 and "it answered 403" in failed.out


def test_the_webhook_may_stand_in_a_variable(
    syncer: Syncer, shop: Shop, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret is better there: the file is likely to be shared."""
    shop.forbidden = {"items"}
    monkeypatch.setenv("SYNCER_NOTIFY_WEBHOOK", hook.url)
    syncer("pull", "shop.items")
    assert hook.only["causes"] == ["failed"]
    assert "nothing reads it" not in syncer("check", "shop").out
    monkeypatch.setenv("SYNCER_NOTIFY_WEBHOOK", "s3cret")
    result = syncer("pull", "shop.items")
    assert result.code == 1 and "its URL is none" in result.err and "s3cret" not in result.err


def test_ctrl_c_is_not_told(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is there."""

    def interrupted(stream: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("syncer.inbound.Inbound.load", lambda *given, **more: interrupted(""))
    notify(webhook=hook.url)
    assert syncer("pull", "shop.items").code == 130 and hook.came == []


def test_a_fault_while_telling_changes_nothing(
    syncer: Syncer, shop: Shop, notify: Notify, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the exit code, not what is printed, whatever is wrong with it."""

    def broken(*given: object, **more: object) -> None:
        raise RuntimeError(hook.url)

    shop.forbidden = {"items"}
    notify(webhook=hook.url)
    monkeypatch.setattr("syncer.notifying.head", broken)
    result = syncer("pull", "shop.items", "--debug")
    assert result.code == 1 and "403" in result.err and "RuntimeError" in result.err
    assert not [each for each in SECRETS if each in result.err]


def test_pulls_at_the_same_time_are_told_each(
    variables: dict[str, str], shop: Shop, notify: Notify, hook: Hook
) -> None:
    """In a program with threads, one document for each call."""
    shop.forbidden = {"items", "orders"}
    notify(webhook=hook.url)
    wrong: list[Exception] = []

    def pull(name: str) -> None:
        try:
            library.pull(name)
        except NotAllowed as error:
            wrong.append(error)

    threads = [threading.Thread(target=pull, args=(name,)) for name in ("shop.items", "shop.orders")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 2 and sorted(each["runs"][0]["mapping"] for each in hook.documents) == [
        "shop.items",
        "shop.orders",
    ]
    assert UsageError not in map(type, wrong)
