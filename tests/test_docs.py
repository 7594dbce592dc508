"""docs/cli.md is complete and true: every command and option is there, and nothing that there is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest
import typer

from syncer import cli, status
from syncer.reports import documents
from syncer.verbs import check

TEXT = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
GROUP: Any = typer.main.get_command(cli.application())  # typer's own type is not public
VERBS = sorted(GROUP.commands)
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def sections() -> dict[str, str]:
    """The text below each heading."""
    parts = HEADING.split(TEXT)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options_of(command: Any) -> set[str]:
    """Every way to write an option of a command."""
    context = typer.Context(command, help_option_names=cli.HELP_NAMES)
    return {name for param in command.get_params(context) for name in param.opts if name.startswith("-")}


def documented(text: str) -> set[str]:
    """Every option that a text names in code."""
    return {found for code in re.findall(r"`[^`]+`|^    .+$", text, re.MULTILINE) for found in OPTION.findall(code)}


def explained(text: str) -> set[str]:
    """Every option that has a row of a table."""
    return documented("\n".join(line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")))


SHARED = explained(sections()["What all of them share"])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_section(verb: str) -> None:
    """A verb that nobody reads of is not used."""
    assert f"syncer {verb}" in sections()


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_documented(verb: str) -> None:
    """In the section of its verb, or of all."""
    assert options_of(GROUP.commands[verb]) - explained(sections()[f"syncer {verb}"]) - SHARED == set()


def test_options_of_syncer_itself_are_documented() -> None:
    """Completion, version."""
    assert options_of(GROUP) - SHARED == set()


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_is_documented_that_there_is_not(verb: str) -> None:
    """A page that promises too much is worse than none."""
    own = documented(sections()[f"syncer {verb}"]) - {"--output"}
    assert own - options_of(GROUP.commands[verb]) == set()


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help_text(verb: str) -> None:
    """`--help` says what each is for."""
    assert all(param.help for param in GROUP.commands[verb].params)


@pytest.mark.parametrize("key", documents.RUN_NAMES)
def test_the_keys_of_a_run_are_documented(key: str) -> None:
    """Programs read them."""
    assert f'"{key}"' in sections()["syncer pull"]


@pytest.mark.parametrize("kind", [status.Places, status.Held, status.Stale])
def test_the_keys_of_status_are_documented(kind: type[Any]) -> None:
    """Dashboards read them."""
    text = sections()["syncer status"]
    assert [field.name for field in attrs.fields(kind) if f"`{field.name}`" not in text] == []


def test_the_keys_of_check_are_documented() -> None:
    """Monitoring reads them."""
    assert [
        field.name for field in attrs.fields(check.Found) if f'"{field.name}"' not in sections()["syncer check"]
    ] == []


def test_the_example_of_a_run_has_the_keys_in_their_order() -> None:
    """What is shown is what is written."""
    example = sections()["syncer pull"].partition('{"runs": [')[2].partition("]}")[0]
    assert re.findall(r'"([a-z]+)":', example) == list(documents.RUN_NAMES)
