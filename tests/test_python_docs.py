"""docs/python.md is complete and true: every public name, parameter and field is there, and its code runs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import syncer
from syncer import errors
from syncer.inbound import Progress
from syncer.sandbox import Clock, JiraSite, Sandbox
from syncer.sandbox.jira import EMAIL, TOKEN
from tests.shop import Shop

pytest_plugins = ["tests.shop.fixtures"]

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
VERBS = {
    "pull": syncer.pull,
    "push": syncer.push,
    "revert": syncer.revert,
    "run": syncer.run,
    "verify": syncer.verify,
    "clean": syncer.clean,
}
ADDRESS = "https://example.atlassian.net"


def section(title: str) -> str:
    """The text below a heading."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def explained(title: str) -> list[str]:
    """What the first column of a section's tables names."""
    rows = [line.split(" | ")[0] for line in section(title).splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def block(beginning: str) -> str:
    """The one block of code that has a text."""
    (found,) = (code for code in BLOCKS if beginning in code)
    return found


def run(code: str, *, name: str = "page") -> dict[str, Any]:
    """Run a block of the page; return its names."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def jira(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A small Jira, the variables that lead to it, and an empty working directory."""
    for variable in [variable for variable in os.environ if variable.startswith("SYNCER_")]:
        monkeypatch.delenv(variable)
    clock = Clock(is_frozen=True)
    site = JiraSite.generate(seed=1, projects=2, issues=30, clock=clock)
    with Sandbox(sites=[site], clock=clock) as sandbox:
        monkeypatch.setenv("SYNCER_JIRA_URL", sandbox.url("jira"))
        monkeypatch.setenv("SYNCER_JIRA_USER", EMAIL)
        monkeypatch.setenv("SYNCER_JIRA_TOKEN", TOKEN)
        monkeypatch.setenv("SYNCER_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("TOKEN_FROM_THE_VAULT", TOKEN)
        folder = tmp_path / "site"
        (folder / "data").mkdir(parents=True)
        monkeypatch.chdir(folder)
        yield sandbox


# What it names


@pytest.mark.parametrize("name", syncer.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What is exported and not described is guessed at."""
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("verb", VERBS)
def test_every_parameter_is_explained(verb: str) -> None:
    """Each once, and none that there is not; the signature is that of the code."""
    parameters = list(inspect.signature(VERBS[verb]).parameters.values())
    assert sorted(explained(f"`syncer.{verb}`")) == sorted(parameter.name for parameter in parameters)
    shown = re.search(rf"^    syncer\.{verb}\((.*)\)$", TEXT, re.MULTILINE)
    assert shown is not None and re.findall(r"(\w+)=([\w.()]+)", shown[1]) == [
        (parameter.name, repr(parameter.default))
        for parameter in parameters
        if parameter.default is not inspect.Parameter.empty
    ]


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("`Pulled`", syncer.Pulled),
        ("`Progress`", Progress),
        ("`Pushed`", syncer.Pushed),
        ("`Settings`", syncer.Settings),
    ],
)
def test_every_field_is_explained(title: str, kind: type[Any]) -> None:
    """Each once, and none that there is not."""
    assert sorted(explained(title)) == sorted(field.name for field in attrs.fields(kind))


def test_the_defaults_of_settings_are_those_of_the_code() -> None:
    """A default that is told wrong costs an evening."""
    told = dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", section("`Settings`"), re.MULTILINE))
    made = syncer.Settings()
    plain = {"wait_s": "60.0", "file": "None", "base": "the working directory"}
    for field in attrs.fields(syncer.Settings):
        shown = repr(getattr(made, field.name)).replace("'", '"')
        assert told[field.name] == plain.get(field.name, shown)
    assert (made.wait_s, made.file, made.base) == (60.0, None, Path.cwd())


@pytest.mark.parametrize("kind", [syncer.EntityMapping, syncer.Field, syncer.Inbound])
def test_what_a_mapping_takes_is_there(kind: type[Any]) -> None:
    """Whoever writes one looks here."""
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{kind.__name__}` |"))
    assert [field.name for field in attrs.fields(kind) if f"`{field.name}`" not in row] == []
    assert all(f"`{each.name}`" in TEXT for each in syncer.Type)


def test_every_error_is_there() -> None:
    """The classes by which a caller acts."""
    kinds = [name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert [name for name in kinds if f"`{name}`" not in TEXT] == []


# What it shows


@pytest.mark.parametrize("code", BLOCKS)
def test_every_block_compiles(code: str) -> None:
    """At least that."""
    compile(code, str(PAGE), "exec")


def test_the_first_example_runs(jira: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """What a newcomer copies."""
    run(BLOCKS[0])
    assert capsys.readouterr().out.startswith("pull jira.issues: 30 read: 30 inserted")


def test_progress_is_told_in_the_thread_that_reads(jira: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """As the page says; the example runs."""
    threads: set[threading.Thread] = set()
    syncer.pull("jira.issues", on_progress=lambda progress: threads.add(threading.current_thread()))
    assert threads and threading.current_thread() not in threads
    run(block("def show("))
    assert "jira.issues: " in capsys.readouterr().out


def test_what_progress_raises_ends_the_pull(jira: Sandbox) -> None:
    """And comes out as it is, of a list too."""

    def fails(progress: Progress) -> None:
        raise KeyError(progress.mapping)

    with pytest.raises(KeyError, match=r"jira\.projects"):
        syncer.pull(["jira.projects", "jira.issues"], on_progress=fails)


def test_the_log_is_told_where_it_is_asked_for(jira: Sandbox) -> None:
    """In a process of its own, since it changes loguru's sinks."""
    code = block("logger.enable").replace('"INFO"', '"DEBUG"')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "pull jira.projects: " in done.stderr and TOKEN not in done.stderr


def test_settings_made_by_hand_are_all_there_is(jira: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the process are not read beside them."""
    code = block("TOKEN_FROM_THE_VAULT").replace(ADDRESS, jira.url("jira")).replace("ada@example.com", EMAIL)
    code = code.replace("variables={\n", f'variables={{"SYNCER_CACHE": {os.environ["SYNCER_CACHE"]!r},\n')
    monkeypatch.setenv("SYNCER_JIRA_TOKEN", "wrong")
    monkeypatch.setenv("SYNCER_WAREHOUSE", "duckdb:elsewhere.duckdb")
    run(code)
    assert Path("data/warehouse.duckdb").exists() and not Path("elsewhere.duckdb").exists()


def test_the_script_for_a_host_returns_exit_codes(
    jira: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 done, 1 failed, 2 wrong usage."""
    code = block("def main()")
    with pytest.raises(SystemExit) as done:
        run(code, name="__main__")
    assert done.value.code == 0 and capsys.readouterr().out.count("pull jira.") == 5
    main = run(code)["main"]
    jira.sites["jira"].revoke_token()  # type: ignore[attr-defined]
    assert main() == 1 and capsys.readouterr().err.count("failed") == 5
    monkeypatch.delenv("SYNCER_JIRA_URL")
    assert main() == 2 and "SYNCER_JIRA_URL" in capsys.readouterr().err


def test_the_task_fails_in_two_ways(jira: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is worth another try, the other wants a person."""
    names = run(block("def pull_task("))
    assert names["pull_task"]("jira.issues")["status"] == "done"
    monkeypatch.setattr(syncer, "pull", failing(errors.Unavailable("no answer")), raising=False)
    with pytest.raises(errors.Unavailable):
        names["pull_task"]("jira.issues")
    monkeypatch.setattr(syncer, "pull", failing(errors.NotAllowed("the token")), raising=False)
    with pytest.raises(names["NeedsAPerson"]):
        names["pull_task"]("jira.issues")


def failing(error: Exception) -> Any:
    """A pull that fails."""

    def pull(*arguments: object, **options: object) -> None:
        raise error

    return pull


def test_rejects_are_shown(
    variables: dict[str, str], shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The query of the page runs, and finds them."""
    shop.records["items"][4]["price"] = "cheap"
    run(block("syncer.rejects").replace("jira.issues", "shop.items"))
    assert "shop.items 5: price is bigint, string came: " in capsys.readouterr().out


# What it says of lists and errors


def test_a_list_returns_a_list_in_the_order_of_its_sources(variables: dict[str, str], shop: Shop) -> None:
    """Each mapping once; a list of one too, an empty one for an empty one."""
    assert [run.mapping for run in syncer.pull(["shop.orders", "shop.*"])] == ["shop.orders", "shop.items"]
    assert [run.mapping for run in syncer.pull(["shop.items"])] == ["shop.items"]
    assert syncer.pull([]) == []
    with pytest.raises(syncer.UsageError):
        syncer.pull("shop.*")


def test_a_list_that_failed_carries_every_run(variables: dict[str, str], shop: Shop) -> None:
    """Those that are done stand; a text raises the mapping's own error."""
    shop.forbidden = {"items"}
    with pytest.raises(syncer.PullFailed) as failed:
        syncer.pull(["shop.items", "shop.orders"])
    assert [(run.mapping, run.status) for run in failed.value.runs] == [
        ("shop.items", "failed"),
        ("shop.orders", "done"),
    ]
    with pytest.raises(errors.NotAllowed):
        syncer.pull("shop.items")


def test_a_warehouse_that_refuses_comes_out_of_a_list_as_it_is(variables: dict[str, str]) -> None:
    """No run could be written down."""
    Path("warehouse.duckdb").write_text("no database", encoding="utf-8")
    with pytest.raises(errors.WarehouseError):
        syncer.pull(["shop.items", "shop.orders"])


def test_an_environment_is_not_looked_at_beside_settings(variables: dict[str, str]) -> None:
    """The settings have one of their own."""
    folders = (Path(__file__).parent / "shop",)
    settings = syncer.Settings(base=Path.cwd(), variables=variables, folders=folders)
    assert syncer.pull("shop.items", settings=settings, environment="another").environment == "default"


@pytest.mark.parametrize(
    ("names", "given", "words"),
    [
        (None, {}, "names is None. Give one mapping as a text, or a list"),
        (5, {}, "names is of type int"),
        (["shop.items", 5], {}, "names holds something of type int. Each is a mapping or a pattern"),
        ("shop.items", {"environment": 5}, "environment is of type int. Give its name"),
        ("shop.items", {"settings": 5}, "settings is of type int. Give a syncer.Settings"),
    ],
)
def test_what_is_of_another_type_is_wrong_usage(names: Any, given: dict[str, Any], words: str) -> None:
    """A task's variable that was never set must not end in a traceback of syncer's own."""
    with pytest.raises(errors.UsageError) as caught:
        syncer.pull(names, **given)
    assert words in str(caught.value)


def test_what_forget_takes_is_looked_at_as_well() -> None:
    """Before anything is opened."""
    with pytest.raises(errors.UsageError, match="settings is of type str"):
        syncer.forget("shop.items", "1", settings="syncer.toml")  # type: ignore[arg-type]
