"""The verbs of the way out as a script calls them: what comes back, and what is raised."""

from __future__ import annotations

import pytest

import syncer
from syncer.errors import UsageError
from tests.outbound import PushHome

NAME = "hubspot.companies"


def rows(*numbers: int) -> list[dict[str, str]]:
    return [{"client_id": str(number), "name": f"Company {number}"} for number in numbers]


def test_a_plan_is_looked_at_applied_verified_and_put_back(home: PushHome) -> None:
    """All of what a host's script does, in its own words."""
    home.relation(rows(1, 2))
    plan = syncer.push(NAME, dry_run=True, settings=home.settings)
    assert (len(plan), plan.counts.created, plan.is_refused, home.live()) == (2, 2, False, [])
    assert [change.key for change in plan] == ["1", "2"]
    assert "name: blank → 'Company 1'" in str(plan) and plan.id in str(plan)
    pushed = syncer.push(NAME, plan=plan, settings=home.settings)
    assert (pushed.plan, pushed.checksum, pushed.counts.created) == (plan.id, plan.checksum, 2)
    assert str(pushed).startswith("push hubspot.companies: 2 created of 2 read; ")
    verified = syncer.verify(NAME, settings=home.settings)
    assert verified.exit_code == 0
    undo = syncer.revert(pushed, dry_run=True, settings=home.settings)
    assert (undo.counts.archived, len(home.live())) == (2, 2)
    back = syncer.revert(pushed, settings=home.settings)
    assert (back.verb, back.counts.archived, home.live()) == ("revert", 2, [])
    again = syncer.push(NAME, again=["1"], settings=home.settings)
    assert (again.counts.created, again.counts.skipped, len(home.live())) == (1, 1, 1)


def test_lists_return_lists(home: PushHome) -> None:
    """One kind of answer for one kind of question."""
    home.relation(rows(1))
    [plan] = syncer.push([NAME], dry_run=True, settings=home.settings)
    [pushed] = syncer.push(["hubspot.*"], settings=home.settings)
    [verified] = syncer.verify([NAME], settings=home.settings)
    assert (plan.mapping, pushed.mapping, verified.exit_code) == (NAME, NAME, 0)


def test_a_plan_that_limits_refuse_raises_and_forcing_it_does_not(home: PushHome) -> None:
    """A script must not take a refusal for a success."""
    home = home.with_words(max_creates=1)
    home.relation(rows(1, 2))
    with pytest.raises(syncer.PushFailed, match="max_creates: 2 creates") as raised:
        syncer.push(NAME, settings=home.settings)
    assert (raised.value.exit_code, raised.value.runs[0].status, home.live()) == (4, "refused", [])
    plan = raised.value.runs[0].plan
    assert syncer.push(NAME, plan=plan, force=True, settings=home.settings).counts.created == 2


def test_a_push_that_failed_raises_its_own_error(home: PushHome) -> None:
    """Alone: the mapping's; of a list: one that has all outcomes."""
    home = home.with_words(relation="stage.nowhere")
    with pytest.raises(UsageError, match="cannot be read"):
        syncer.push(NAME, settings=home.settings)
    with pytest.raises(syncer.PushFailed, match="nowhere"):
        syncer.push([NAME], settings=home.settings)


def test_an_operation_makes_what_a_push_lacks(home: PushHome) -> None:
    """As the error of the push says."""
    home = home.with_words(match_on="code")
    home.relation([{"code": "1", "name": "One"}])
    plan = syncer.run("hubspot.create_properties", dry_run=True, settings=home.settings)
    assert plan.counts.created == 1
    assert syncer.run("hubspot.create_properties", settings=home.settings).counts.created == 1
    assert syncer.push(NAME, settings=home.settings).counts.created == 1


@pytest.mark.parametrize("given", ["hubspot.*", "hubspot.deal[s]"])
def test_a_pattern_stands_in_a_list(home: PushHome, given: str) -> None:
    """It may name several."""
    with pytest.raises(UsageError, match="is a pattern"):
        syncer.push(given, settings=home.settings)
