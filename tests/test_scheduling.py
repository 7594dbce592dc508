"""docs/scheduling.md is true: its examples are the files beside it, and call what there is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from syncer import cli
from syncer.configfile import CAUSES, NOTIFY_KEYS, ON_DEFAULT, Checker
from syncer.settings import NOTIFY_S

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "scheduling.md").read_text(encoding="utf-8")
FILES = sorted(file for file in (DOCS / "examples").iterdir() if file.is_file())
EXAMPLES = [file for file in FILES if not file.name.startswith("requirements")]
GROUP: Any = typer.main.get_command(cli.application())  # typer's own type is not public
WORD = re.compile(r"(?<![\w./\\-])(?:/opt/syncer/\.venv/bin/)?syncer ([a-z]+)\b([^;`\"\n]*)")
LISTED = re.compile(r"""\[?"(pull|push|verify)", ([^)\]]*)[)\]]""")
CALLED = re.compile(r"syncer\.(pull|push)\(([^)]*)\)")
WINDOWS = re.compile(r'(?:%SYNCER%|-Argument ")\s?([a-z]+)\b([^"\n]*)')


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield verb and options of each call of syncer."""
    for pattern in (WORD, LISTED, CALLED, WINDOWS):
        for verb, rest in pattern.findall(text):
            if verb in GROUP.commands:
                yield verb, re.findall(r"(?<![\w-])--[a-z-]+", rest)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_on_the_page_is_the_file_that_is_run(file: Path) -> None:
    """What people paste is what the campaign ran."""
    assert f"\n{file.read_text(encoding='utf-8')}```\n" in TEXT


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_calls_verbs_and_options_that_there_are(file: Path) -> None:
    """A night's job that ends with 2 helps nobody."""
    text = file.read_text(encoding="utf-8")
    found = list(calls(text))
    assert found or file.suffix == ".timer"
    _check(found)
    if file.suffix == ".py":
        compile(text, str(file), "exec")


def test_the_page_calls_verbs_and_options_that_there_are() -> None:
    """Its tables, too."""
    _check(list(calls(TEXT)))


def _check(found: list[tuple[str, list[str]]]) -> None:
    for verb, options in found:
        known = {name for param in GROUP.commands[verb].params for name in param.opts}
        assert set(options) - known == set(), verb


def test_the_table_of_the_page_is_read_as_it_says(tmp_path: Path) -> None:
    """Every key is there, with its default where it has one."""
    [block] = re.findall(r"^    \[notify\]\n(?:    .*\n)+", TEXT, re.MULTILINE)
    found = tomllib.loads(block.replace("\n    ", "\n").strip())
    Checker(tmp_path / "syncer.toml", block).check(found)
    assert set(found["notify"]) == set(NOTIFY_KEYS)
    assert (found["notify"]["on"], found["notify"]["timeout_s"]) == (list(ON_DEFAULT), NOTIFY_S)
    assert [cause for cause in CAUSES if f"`{cause}`" not in TEXT] == []


@pytest.mark.parametrize("file", sorted(set(FILES) - set(EXAMPLES)), ids=lambda file: file.name)
def test_versions_are_pinned_and_no_host_is_named(file: Path) -> None:
    """They come from whatever index pip is set up for."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines and [line for line in lines if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+", line)] == []
