"""`newest`: of two sides that both changed a field, the later one wins, where both times are known."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from syncer.sources.hubspot import writing
from tests.outbound import START, PushHome

HOUR = dt.timedelta(hours=1)


def row(key: str, **more: Any) -> dict[str, Any]:
    return {"client_id": key, "name": f"Company {key}", "phone": "agreed", **more}


def at_odds(home: PushHome, changed_at: Any, *, before: Any = None) -> tuple[str | None, str]:
    """Push, let both sides change the phone, theirs at START plus an hour; return what is written, and the plan."""
    words = home.with_words(policy="newest", changed_at="updated_at")
    home.relation([row("1", updated_at=before or changed_at)])
    words.push()
    home.later(3600)
    home.edit("1", phone="theirs")
    home.later()
    home.rows("DROP TABLE stage.companies")
    home.relation([row("1", updated_at=changed_at)])
    home.change("1", phone="ours")
    plan = words.push().plan
    return home.values("phone")["1"], plan


@pytest.mark.parametrize(
    ("changed_at", "wins"),
    [
        (START + HOUR + dt.timedelta(milliseconds=1), "ours"),
        (START + HOUR - dt.timedelta(milliseconds=1), "theirs"),
        ((START + HOUR).isoformat(), "skip"),
        ("2026-03-01T13:00:00.001Z", "ours"),
        ("2026-03-01 13:00:00.001", "ours"),  # without a zone it is UTC
        ("2026-03-01T13:30:00+01:00", "theirs"),
        (dt.date(2026, 3, 2), "ours"),
        (dt.date(2026, 3, 1), "theirs"),
        ("", "skip"),
        ("yesterday", "skip"),
        (dt.datetime(2026, 3, 1, 13, 0, 0, 600, tzinfo=dt.UTC), "skip"),  # HubSpot keeps milliseconds
    ],
)
def test_the_later_side_wins(home: PushHome, changed_at: Any, wins: str) -> None:
    written, plan = at_odds(home, changed_at)
    [problem] = home.problems(plan)
    assert written == ("ours" if wins == "ours" else "theirs")
    assert (problem["kind"], problem["setting"]) == ("conflict" if wins == "skip" else "settled", 'policy = "newest"')
    assert (problem["ours"], problem["theirs"], problem["agreed"]) == ("ours", "theirs", "agreed")


def test_a_time_without_a_zone_is_utc(home: PushHome) -> None:
    words = home.with_words(policies={"phone": "newest"}, changed_at="updated_at")
    home.relation([row("1")])
    home.rows("ALTER TABLE stage.companies ADD COLUMN updated_at TIMESTAMP")
    words.push()
    home.later(3600)
    home.edit("1", phone="theirs")
    home.later()
    home.rows("UPDATE stage.companies SET phone = 'ours', updated_at = CAST('2026-03-01 13:00:01' AS TIMESTAMP)")
    assert (words.push().counts.updated, home.values("phone")) == (1, {"1": "ours"})


def test_the_rows_own_time_alone_is_no_change(home: PushHome) -> None:
    """A job that touches all rows each night changes nothing."""
    words = home.with_words(policy="newest", changed_at="updated_at")
    home.relation([row(str(number), updated_at=START) for number in range(3)])
    words.push()
    home.rows("UPDATE stage.companies SET updated_at = CAST('2026-03-05 00:00:00+00' AS TIMESTAMP WITH TIME ZONE)")
    home.sent()
    done = words.push()
    assert (done.counts.unchanged, [each for each in home.sent() if "batch" in each]) == (3, [])


def test_histories_are_read_of_the_records_in_question_only(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories cost twice the requests."""
    words = home.with_words(policy="newest", changed_at="updated_at")
    home.relation([row(str(number), updated_at=START) for number in range(60)])
    words.push()
    home.later()
    home.rows("UPDATE stage.companies SET name = 'new'")
    home.edit("7", phone="theirs")
    home.change("7", phone="ours")
    asked: list[Any] = []
    moved = writing.moved

    def noted(calls: Any, kind: Any, ids: Any, properties: Any) -> Any:
        asked.append((list(ids), list(properties)))
        return moved(calls, kind, ids, properties)

    monkeypatch.setattr(writing, "moved", noted)
    home.sent()
    words.push(is_rehearsal=True)
    assert asked == [([home.company("7").id], ["phone"])]
    assert len([each for each in home.sent() if each.endswith("batch/read")]) == 2, "60 records, and one once more"


@pytest.mark.parametrize("words", [{"policy": "newest"}, {"policies": {"phone": "newest"}}])
def test_newest_without_a_time_is_told_before_anything_is_asked(home: PushHome, words: dict[str, Any]) -> None:
    home.relation([row("1")])
    home.sent()
    failed = home.with_words(**words).push()
    assert "changed_at" in str(failed.error)
    failed = home.with_words(**words, changed_at="no_such").push()
    assert "has no column no_such" in str(failed.error)
    assert [each for each in home.sent() if "companies" in each or "properties" in each] == []
