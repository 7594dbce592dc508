"""The short forms of the campaigns of pushes, with fixed seeds, on each kind of warehouse."""

from __future__ import annotations

import pytest

from tests.campaign import (
    beds,
    push_budget,
    push_days,
    push_interleavings,
    push_kills,
    push_lost_answers,
    push_random_kills,
    push_rejects,
    verify,
)


@pytest.fixture(autouse=True)
def on_each(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Campaigns run on the kind of warehouse that the test is of."""
    monkeypatch.setattr(beds.KIND, "name", backend)


def test_a_push_that_ends_at_any_moment_is_finished_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 8: kill -9, SIGTERM, the server's process: the next push completes it, and nothing is there twice."""
    assert push_random_kills.campaign(is_short=True) == 0, capsys.readouterr().out


def test_a_small_push_is_killed_before_and_after_its_io_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 8: kill -9, at each sixth of them here; what was in flight is settled, and nothing stays so."""
    assert push_kills.campaign(is_short=True) == 0, capsys.readouterr().out


def test_no_answer_that_is_lost_loses_or_doubles_anything(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 8: each write's answer is lost once, then all of them: what was done is read back, never guessed."""
    assert push_lost_answers.campaign(is_short=True) == 0, capsys.readouterr().out


def test_what_happens_between_plan_and_apply_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 6: what was reviewed is written, or less, and each record that moved is named."""
    assert push_interleavings.campaign(is_short=True) == 0, capsys.readouterr().out


def test_days_of_both_sides_being_edited_lose_no_persons_edit(capsys: pytest.CaptureFixture[str]) -> None:
    """Promises 7 and 12, over a plain relation and a view over the load table, with an older warehouse put back."""
    assert push_days.campaign(is_short=True) == 0, capsys.readouterr().out  # both forms of relation


def test_a_bad_row_that_only_the_portal_can_tell_costs_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 9, in as many requests as halving a batch takes, and in none where trace ids are honoured."""
    assert push_rejects.campaign(is_short=True) == 0, capsys.readouterr().out


def test_four_processes_never_pass_the_limit_of_one_portal(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 13, in real time: a window of ten seconds is one of ten seconds."""
    assert push_budget.campaign(is_short=True) == 0, capsys.readouterr().out


def test_verify_names_each_damage_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 12: twenty damages of a dozen kinds, among rows that people and the warehouse changed."""
    assert verify.campaign(is_short=True) == 0, capsys.readouterr().out
