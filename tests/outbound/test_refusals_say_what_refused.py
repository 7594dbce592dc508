"""What was refused, or failed before it had a plan, is told as what it is: with what to do next, and its exit code."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

import syncer
from syncer import cli, plans
from syncer.errors import UsageError
from syncer.executing import lease_name
from syncer.reports import plan_html, plan_markdown, plan_text
from syncer.reports.plan_shown import Shown
from syncer.tally import Pushed
from tests.outbound import KEY, PushHome

NAME = "hubspot.companies"


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{KEY: str(number), "name": f"C{number}"} for number in numbers]


def forms(home: PushHome, pushed: Pushed, folder: Path) -> list[str]:
    """Return a plan as text, Markdown and HTML."""
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        header = plans.header_of(t, pushed.plan)
    shown = Shown(pushed=pushed, header=header, warehouse=warehouse)
    with plan_html.Report(folder / "plan.html") as report:
        report.add(shown)
    found = ["\n".join(plan_text.lines(shown, io.StringIO())), plan_markdown.text(shown)]
    warehouse.close()
    return [*found, (folder / "plan.html").read_text(encoding="utf-8").partition('<section id="changes"')[0]]


def on_the_command_line(home: PushHome, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the command line to this portal and warehouse."""
    words = [
        "[hubspot]", 'limits = "off"', "", f'["{NAME}"]', 'relation = "stage.companies"', f'match_on = "{KEY}"',
        'max_create_share = "off"', "max_creates = 1", "", '["hubspot.deals"]', 'relation = "stage.nowhere"',
    ]  # fmt: skip
    (folder / "syncer.toml").write_text("\n".join(words), encoding="utf-8")
    for name in [name for name in os.environ if name.startswith("SYNCER_")]:
        monkeypatch.delenv(name)
    for name, value in home.settings.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)


def test_a_dry_run_that_limits_would_refuse_is_four(home: PushHome) -> None:
    """A task that plans first must not take it for a plan that goes through; in Python it is returned all the same."""
    home = home.with_words(max_creates=1)
    home.relation(rows(1, 2))
    planned = home.push(is_rehearsal=True)
    assert (planned.status, planned.exit_code, home.live()) == ("done", 4, [])
    plan = syncer.push(NAME, dry_run=True, settings=home.settings)
    assert plan.is_refused and plan.pushed.exit_code == 4
    [same] = syncer.push([NAME], dry_run=True, settings=home.settings)
    assert same.pushed.exit_code == 4
    forced = home.push(is_rehearsal=True, plan=plan.id, is_forced=True)
    assert (forced.exit_code, forced.trips) == (0, ())


def test_a_dry_run_that_a_clean_plan_is_asked_of_is_four(home: PushHome) -> None:
    """Where something is rejected; without that word it is three."""
    home.relation([*rows(1, 1), *rows(2)])
    assert home.push(is_rehearsal=True).exit_code == 3
    assert home.push(is_rehearsal=True, is_strict=True).exit_code == 4


def test_the_command_line_ends_with_four_and_with_one(
    home: PushHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mapping whose set-up is wrong is a failed run; the others go on. Wrong usage of the command itself is two."""
    home.relation(rows(1, 2))
    on_the_command_line(home, tmp_path, monkeypatch)
    assert cli.main(["push", NAME, "--dry-run"]) == 4
    assert "Would be refused by its limits." in capsys.readouterr().out
    assert cli.main(["push", NAME]) == 4
    assert home.live() == []
    home.relation(rows(1))
    assert cli.main(["push", "hubspot.deals", NAME]) == 1
    told = capsys.readouterr()
    assert "syncer: push hubspot.deals failed: " in told.err and "hubspot.deals:" not in told.out + told.err
    assert "push hubspot.companies: 1 created of 1 read; " in told.out and len(home.live()) == 1
    assert cli.main(["push", "hubspot.nothing"]) == 2
    assert cli.main(["push", NAME, "--force"]) == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [({"relation": "stage.nowhere"}, "nowhere"), ({"match_on": "unknown"}, "unknown"), ({"match_on": "name"}, "name")],
)
def test_a_run_that_failed_before_it_had_a_plan_says_only_that(
    home: PushHome, words: dict[str, str], what: str
) -> None:
    """It read nothing, so that `nothing to do of 0 read` would be false."""
    home.relation(rows(1))
    failed = home.with_words(**words).push()
    assert (failed.status, failed.plan, failed.exit_code) == ("failed", "", 1)
    assert str(failed).startswith(f"push {NAME} failed: ") and what in str(failed)
    assert plan_text.summary(failed) == str(failed) and "read" not in str(failed).partition("failed:")[0]


def test_a_run_that_finds_the_lease_held_says_only_that(home: PushHome) -> None:
    """Who holds it is all there is to say."""
    home.relation(rows(1))
    other = home.warehouse()
    lease = other.lease(lease_name(NAME, "default"), run="other", wait_s=0.0)
    try:
        failed = home.push()
    finally:
        lease.release()
        other.close()
    assert plan_text.summary(failed).startswith(f"push {NAME} failed: ") and "0 requests" not in str(failed)


def test_a_clean_plan_that_was_asked_for_is_no_limit(home: PushHome, tmp_path: Path) -> None:
    """What refuses is a reject or a conflict: there is something to look at, and nothing to force."""
    home.relation([*rows(1, 1), *rows(2)])
    refused = home.push(is_strict=True)
    assert (refused.status, refused.exit_code, home.live()) == ("refused", 4, [])
    for is_rehearsal in (False, True):
        pushed = home.push(is_strict=True, is_rehearsal=is_rehearsal)
        for text in forms(home, pushed, tmp_path):
            assert "--force" not in text and "limits" not in text
            assert "something is rejected or in conflict" in text
            assert f"syncer push {NAME} --plan {pushed.plan} --dry-run --report plan.html" in text.replace(
                "python -m syncer", "syncer"
            ).replace("&#45;", "-")
    with pytest.raises(syncer.PushFailed) as raised:
        syncer.push(NAME, require_clean=True, settings=home.settings)
    told = str(raised.value)
    assert "force" not in told and "require_clean=True" in told and "rejected or in conflict" in told


def test_limits_and_a_clean_plan_may_refuse_both(home: PushHome, tmp_path: Path) -> None:
    """Then both are told, and forcing alone would not do."""
    home = home.with_words(max_creates=0)
    home.relation([*rows(1, 1), *rows(2)])
    refused = home.push(is_strict=True)
    assert len(refused.trips) == 2
    for text in forms(home, refused, tmp_path):
        assert "limits" in text and "something is rejected or in conflict" in text and "--force" in text


def test_what_python_raises_has_the_plans_id_and_whole_sentences(home: PushHome) -> None:
    """It is copied into the script, and not looked for."""
    home = home.with_words(max_creates=1)
    home.relation(rows(1, 2))
    with pytest.raises(syncer.PushFailed) as raised:
        syncer.push(NAME, settings=home.settings)
    plan = raised.value.runs[0].plan
    told = str(raised.value)
    assert "at most 1 are let through. Look at it" in told and f'plan="{plan}", force=True' in told
    assert "--force" in told and "ID" not in told


def test_python_words_that_contradict_each_other_are_named_as_python_has_them(home: PushHome) -> None:
    """A script has no options."""
    home.relation(rows(1))
    for words, said in (
        ({"force": True}, "force=True"),
        ({"first": 0}, "first=0"),
        ({"again": ["1"], "plan": "7c1f"}, "again="),
    ):
        with pytest.raises(UsageError, match=said):
            syncer.push(NAME, settings=home.settings, **words)  # type: ignore[call-overload]
