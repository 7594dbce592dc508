"""A stored plan is applied as a person read it, where it belongs, or not at all."""

from __future__ import annotations

import attrs
import pytest

from syncer.errors import UnknownName, UsageError
from tests.outbound import KEY, PushHome


@pytest.fixture
def planned(home: PushHome) -> str:
    """Store a plan of two creates; return its id."""
    home.relation([{KEY: "1", "name": "One"}, {KEY: "2", "name": "Two"}])
    found = home.push(is_rehearsal=True)
    assert found.counts.created == 2
    home.sent()
    return found.plan


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE syncer.changes SET fields = {json}",
        "UPDATE syncer.changes SET key = '3' WHERE key = '2'",
        "DELETE FROM syncer.changes WHERE key = '2'",
        "UPDATE syncer.changes SET action = 'archive' WHERE key = '2'",
    ],
)
def test_a_plan_that_somebody_changed_is_not_applied(home: PushHome, planned: str, change: str) -> None:
    """Its checksum is what a person looked at; nothing else may be written in its name, forced or not."""
    text = "REPLACE(CAST(fields AS VARCHAR), 'Two', 'Tow')"
    home.rows(change.format(json=text if "duckdb" in home.settings.warehouse else f"CAST({text} AS jsonb)"))
    for is_forced in (False, True):
        with pytest.raises(UsageError, match="is not what it was: its checksum is"):
            home.push(plan=planned, is_forced=is_forced)
    assert (home.writes(), home.live()) == ([], [])


def test_a_plan_is_not_applied_to_another_account(home: PushHome, planned: str) -> None:
    """Ids of one portal are other records in another."""
    home.rows("UPDATE syncer.plans SET account = '999'")
    with pytest.raises(UsageError, match="was made for account 999, and this is"):
        home.push(plan=planned)
    assert (home.writes(), home.live()) == ([], [])


def test_a_plan_of_another_environment_is_refused_by_name(home: PushHome, planned: str) -> None:
    home.rows("UPDATE syncer.plans SET environment = 'voys'")
    with pytest.raises(UsageError, match="is of the environment voys, not of"):
        home.push(plan=planned)
    assert (home.writes(), home.live()) == ([], [])


def test_a_plan_of_another_mapping_is_refused_by_name(home: PushHome, planned: str) -> None:
    home.rows("UPDATE syncer.plans SET mapping = 'hubspot.contacts'")
    with pytest.raises(UsageError, match=r"is a push of hubspot\.contacts, not a push of hubspot\.companies"):
        home.push(plan=planned)
    assert home.live() == []


def test_a_plan_that_is_not_there_is_told_before_there_is_a_run(home: PushHome, planned: str) -> None:
    """With those that there are; and no run stands in the journal for a typo."""
    with pytest.raises(UnknownName, match="nosuchplan"):
        home.push(plan="nosuchplan")
    with pytest.raises(UsageError, match="too short"):
        home.push(plan=planned[:2])
    assert home.rows("SELECT COUNT(*) FROM syncer.runs") == [(0,)]


def test_forcing_without_a_plan_is_wrong_usage(home: PushHome, planned: str) -> None:
    """A force covers what a person looked at, and nothing larger."""
    with pytest.raises(UsageError, match="--plan"):
        home.push(is_forced=True)
    assert (home.writes(), home.live()) == ([], [])


def test_the_beginning_of_an_id_is_enough(home: PushHome, planned: str) -> None:
    assert attrs.asdict(home.push(plan=planned[:8]))["plan"] == planned
    assert len(home.live()) == 2
