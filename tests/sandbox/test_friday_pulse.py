"""The sandbox's Friday Pulse: no kinder than the facts that are known of the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests

from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.friday_pulse import TOKEN, FridayPulseSite
from syncer.sandbox.messages import Editable

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STREAMS = ("topics", "group_types", "groups", "result_dates", "company_results", "group_results")
STREAMS += ("notes", "group_notes", "risks", "group_risks")


@pytest.fixture
def site() -> FridayPulseSite:
    return FridayPulseSite.generate(seed=2, dates=5, groups=14, clock=Clock(START, is_frozen=True))


@pytest.fixture
def sandbox(site: FridayPulseSite) -> Iterator[Sandbox]:
    with Sandbox(sites=[site], clock=site.clock) as running:
        yield running
        assert running.errors == []


def ask(sandbox: Sandbox, path: str, *, token: str = TOKEN, **query: str) -> requests.Response:
    """Ask by hand."""
    url = f"{sandbox.url('friday_pulse')}/api/v1/{path}"
    return requests.get(url, params=query, headers={"Authorization": f"Bearer {token}"}, timeout=5)


def rows(sandbox: Sandbox, path: str, **query: str) -> list[dict[str, Any]]:
    """Ask for a list that must be one."""
    answer = ask(sandbox, path, **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    assert isinstance(found, list)
    return found


def test_lists_are_bare_arrays(sandbox: Sandbox, site: FridayPulseSite) -> None:
    """Without an envelope, and without pages."""
    assert [set(row) >= {"code", "name"} for row in rows(sandbox, "topics")] == [True] * 10
    types = rows(sandbox, "group-types")
    groups = [row for kind in types for row in rows(sandbox, f"group-types/{kind['code']}/groups")]
    assert {row["id"] for row in groups} == set(site.groups) and len(groups) > len(site.groups)
    dates = rows(sandbox, "info/results-dates")
    assert {tuple(row) for row in dates} == {("date", "question_count")} and len(dates) == 5


@pytest.mark.parametrize(
    "route", ["results", "notes", "risk", "groups/12/results", "groups/12/notes", "groups/12/risk"]
)
def test_without_a_date_only_the_latest_is_told(sandbox: Sandbox, site: FridayPulseSite, route: str) -> None:
    """A client that thinks it got all of them loses the history."""
    newest, oldest = max(site.dates), min(site.dates)
    assert rows(sandbox, route) == rows(sandbox, route, date=newest) != rows(sandbox, route, date=oldest)


def test_a_result_has_the_documented_keys(sandbox: Sandbox) -> None:
    """One row a topic, one without a topic, and no question count."""
    found = rows(sandbox, "results")
    keys = {"sample_date", "score", "response_rate", "response_count", "total_count", "topic"}
    assert {frozenset(row) for row in found} == {frozenset(keys)}
    assert [row["topic"] for row in found].count(None) == 1 and len(found) == 11


def test_optional_keys_of_notes_are_not_always_there(sandbox: Sandbox, site: FridayPulseSite) -> None:
    """The first note does not tell which keys the others have."""
    found = [row for day in site.dates for row in rows(sandbox, "notes", date=day)]
    keys = {frozenset(row) for row in found}
    assert len(keys) > 2 and any("recipients" in each for each in keys) and any("author" not in each for each in keys)
    assert any(row.get("author", ...) is None for row in found)
    assert all(row["created_at"].endswith("Z") and row["flow_date"] in site.dates for row in found)


def test_a_note_of_a_group_is_the_company_s_note(sandbox: Sandbox) -> None:
    """The same object, by several ways."""
    company = {row["id"]: row for row in rows(sandbox, "notes")}
    assert all(company[row["id"]] == row for row in rows(sandbox, "groups/12/notes"))


def test_scores_of_few_are_not_shown(site: FridayPulseSite) -> None:
    """As a null, or as no row at all; they appear with late answers."""
    site.min_responders = 1000
    day = max(site.dates)
    assert site.results(day, 11) == [] and {row["score"] for row in site.results(day, 12)} == {None}
    site.min_responders = 3
    assert None not in {row["score"] for row in site.results(day, 12)}


def test_nothing_there_is_a_500(sandbox: Sandbox, site: FridayPulseSite) -> None:
    """And no JSON; it can be switched to an empty list."""
    site.clear_slice("risk", max(site.dates), 12)
    answer = ask(sandbox, "groups/12/risk")
    assert answer.status_code == 500 and answer.text.startswith("<!DOCTYPE html>")
    site.empty_status = 200
    assert rows(sandbox, "groups/12/risk") == []


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("groups/999/results", {}, 404),
        ("groups/x/notes", {}, 404),
        ("results", {"date": "2001-01-01"}, 404),
        ("results", {"date": "yesterday"}, 400),
        ("risks", {}, 404),
        ("group-types/none/groups", {}, 404),
    ],
)
def test_what_is_not_there_is_told(sandbox: Sandbox, path: str, query: dict[str, str], status: int) -> None:
    """By a status."""
    assert ask(sandbox, path, **query).status_code == status


def test_only_a_good_token_is_let_in(sandbox: Sandbox, site: FridayPulseSite) -> None:
    """401, until it is revoked and after."""
    assert ask(sandbox, "topics", token="another").status_code == 401
    site.revoke_token()
    assert ask(sandbox, "topics").status_code == 401


def test_late_answers_change_a_past_date(site: FridayPulseSite) -> None:
    """Of the group and of the company."""
    day = min(site.dates)
    before = site.results(day, 12), site.results(day, 0), site.results(max(site.dates), 12)
    site.answer_late(day, 12)
    after = site.results(day, 12), site.results(day, 0), site.results(max(site.dates), 12)
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]


def test_a_group_that_vanished_is_a_404(sandbox: Sandbox, site: FridayPulseSite) -> None:
    """In its routes, and in no list."""
    site.vanish_group(12)
    assert ask(sandbox, "groups/12/notes").status_code == 404
    assert all(row["id"] != 12 for kind in site.types for row in rows(sandbox, f"group-types/{kind}/groups"))


def test_the_same_seed_makes_the_same_account() -> None:
    """Whatever was asked for first."""
    one, other = (FridayPulseSite.generate(seed=4, clock=Clock(START, is_frozen=True)) for _ in range(2))
    last = other.results(max(other.dates), 14)
    assert [one.truth(stream) for stream in STREAMS[:6]] == [other.truth(stream) for stream in STREAMS[:6]]
    assert last == one.results(max(one.dates), 14)


def test_edits_are_those_of_three_weeks(site: FridayPulseSite) -> None:
    """What is older does not change by itself; and no slice is left empty where that is told by a 500."""
    assert isinstance(site, Editable)
    before = {stream: site.truth(stream) for stream in STREAMS}
    newest = date.fromisoformat(max(site.dates))
    done = site.edit(120, seed=1)
    assert len(done) == 120
    changed = {
        row["flow_date"]
        for stream in STREAMS[4:]
        for key, row in before[stream].items()
        if site.truth(stream).get(key) != row
    }
    assert changed and all(newest - date.fromisoformat(day) < timedelta(days=21) for day in changed)
    for day in site.dates:
        for group in (0, *site.groups):
            assert site.notes_of(day, group) and site.risks(day, group)
