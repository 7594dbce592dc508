"""`--again KEY`: the record of a row whose create was reverted is made again, and what is asked in vain is told."""

from __future__ import annotations

from typing import Any

import pytest

import syncer
from syncer import cli, reverting
from syncer.errors import UsageError
from tests.outbound import PushHome

NAME = "hubspot.companies"


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"Company {number}"} for number in numbers]


def reverted(home: PushHome, *numbers: int) -> None:
    """Push rows, and revert that: each is declined."""
    home.relation(rows(*numbers))
    done = home.push()
    reverting.revert(done.run or "", settings=home.settings, request=home.request(), doors=home.doors)
    assert home.live() == []
    home.sent()


def test_again_of_a_row_that_left_the_relation_tells_so(home: PushHome) -> None:
    """Nothing can be made of it: a run that said nothing would be taken for one that made it."""
    reverted(home, 1, 2, 3)
    home.relation(rows(1))
    done = home.push(again=("1", "2", "3"))
    assert (done.status, done.exit_code, home.writes()) == ("failed", 1, [])
    assert "no row 2, 3" in (done.error or "") and "stage.companies" in (done.error or "")
    assert home.rows("SELECT COUNT(*) FROM syncer.plans WHERE plan = ?", [done.plan]) == [(0,)]
    assert home.push(again=("1",)).counts.created == 1, "the one that is there is made"


def test_again_of_a_row_that_came_back_makes_it(home: PushHome) -> None:
    reverted(home, 1, 2)
    home.relation(rows(1))
    home.push()
    home.relation(rows(1, 2))
    done = home.push(again=("2",))
    assert (done.counts.created, list(home.values("name"))) == (1, ["2"]), done.error


def test_again_of_a_row_whose_key_stands_in_another_form_makes_it(home: PushHome) -> None:
    """It is the same row, as a push takes it: blanks around a key are no part of it."""
    reverted(home, 1)
    home.relation([{"client_id": " 1 ", "name": "Company 1"}])
    assert home.push(again=("1",)).counts.created == 1


@pytest.mark.parametrize("is_rehearsal", [True, False])
def test_again_goes_with_no_stored_plan(home: PushHome, is_rehearsal: bool) -> None:
    """A stored plan is applied as it stands: what is asked beside it would be left out without a word."""
    reverted(home, 1)
    planned = home.push(is_rehearsal=True)
    with pytest.raises(UsageError, match="--again"):
        home.push(plan=planned.plan, again=("1",), is_rehearsal=is_rehearsal)
    with pytest.raises(UsageError, match="--again"):
        syncer.push(NAME, plan=planned.plan, again=["1"], dry_run=is_rehearsal, settings=home.settings)
    assert home.writes() == []


def test_again_beside_a_stored_plan_is_wrong_usage_on_the_command_line(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in home.settings.variables.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["push", NAME, "--plan", "7c1f9a", "--again", "1"]) == 2
    told = capsys.readouterr().err
    assert "--again" in told and "--plan" in told


def test_again_on_the_command_line_makes_the_records_of_all_its_keys(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option may stand several times; each is a key of its own."""
    reverted(home, 1, 2, 3)
    for name, value in home.settings.variables.items():
        monkeypatch.setenv(name, value)
    text = f'["{NAME}"]\nrelation = "stage.companies"\nmatch_on = "client_id"\n'
    (home.settings.base / "syncer.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(home.settings.base)
    assert cli.main(["push", NAME, "--again", "1", "--again", "3"]) == 0, capsys.readouterr()
    assert sorted(home.values("name")) == ["1", "3"]
