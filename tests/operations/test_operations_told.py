"""What the command line tells of an operation that was run, not only of its dry run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncer import cli
from tests.operations import MERGE, OperationHome


@pytest.fixture
def called(
    home: OperationHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Call syncer where `syncer.toml` and the variables are those of the portal; return the exit code and the text."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.chdir(site)
    for name, value in {**home.home.settings.variables, "SYNCER_WAREHOUSE": home.home.settings.warehouse}.items():
        monkeypatch.setenv(name, value)
    (site / "syncer.toml").write_text(f'["{MERGE}"]\nmax_merges = 100\nmax_group = 2\n["hubspot"]\nlimits = "off"\n')

    def call(*arguments: str) -> tuple[int, str]:
        code = cli.main(arguments)
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


def test_a_run_tells_which_groups_it_left_alone(home: OperationHome, called: Callable[..., tuple[int, str]]) -> None:
    """A support lead reads what cron sends, and no dry run."""
    for same, count in (("1", 2), ("2", 3)):
        for number in range(count):
            home.ticket(same, content=f"{number}")
    code, told = called("run", MERGE)
    assert code == 0 and "1 merged" in told
    assert "more than max_group = 2" in told or "max_group" in told, told


def test_a_refused_run_tells_where_its_limit_is_set(
    home: OperationHome, called: Callable[..., tuple[int, str]]
) -> None:
    """Forcing is for once."""
    for number in range(2):
        home.ticket("1", content=f"{number}")
    Path("syncer.toml").write_text('["hubspot"]\nlimits = "off"\n')
    code, told = called("run", MERGE)
    assert code == 4 and f'max_merges in ["{MERGE}"] of syncer.toml' in told, told


def test_an_operation_that_is_misspelt_in_the_file_is_named(
    home: OperationHome, called: Callable[..., tuple[int, str]]
) -> None:
    """Its settings are no mapping's, and that they are none says nothing of what is wrong."""
    Path("syncer.toml").write_text('["hubspot.merge_ticket"]\nproperty = "nerds_ticket_id"\n')
    code, told = called("run", MERGE)
    assert code == 2 and "line 1" in told and f"Did you mean {MERGE} " in told, told


def test_the_page_of_the_sandbox_makes_tickets_that_are_one(
    home: OperationHome, called: Callable[..., tuple[int, str]]
) -> None:
    """Who rehearses a merge pastes these lines; the plan is refused until a limit is set, as the page says."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    _, _, section = page.partition("### Operations\n")
    lines = section.partition("`syncer run")[0].splitlines()
    code = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
    exec(compile(code, "sandbox.md", "exec"), {"site": home.site})  # what the page says, as it stands
    Path("syncer.toml").write_text('["hubspot"]\nlimits = "off"\n')
    code_of, told = called("run", MERGE, "--dry-run")
    assert code_of == 4 and "max_merges: 1 merge, and at most 0" in told, told
