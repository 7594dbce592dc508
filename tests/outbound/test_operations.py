"""`syncer run hubspot.create_properties`: the unique property that a push needs is made, once."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import operating
from syncer.errors import UnknownName
from syncer.executing import Request
from syncer.sandbox.faults import Fault
from syncer.tally import Pushed
from tests.outbound import PushHome

NAME = "hubspot.create_properties"


def run(home: PushHome, **request: object) -> Pushed:
    return operating.run(NAME, settings=home.settings, request=Request(**request), doors=home.doors)  # type: ignore[arg-type]  # what a test asks


def made(home: PushHome) -> list[tuple[str, bool]]:
    return [
        (name, each.has_unique_value)
        for name, each in home.site.store.definitions["companies"].items()
        if name == "code"
    ]


def test_a_missing_property_is_made_and_a_push_finds_it(home: PushHome) -> None:
    """The error of a push names this command; after it, the push works."""
    home = home.with_words(match_on="code")
    home.relation([{"code": "A1", "name": "One"}])
    refused = home.push()
    assert refused.status == "failed" and NAME in (refused.error or "")
    shown = run(home, is_rehearsal=True)
    assert (shown.counts.created, made(home)) == (1, [])
    assert (run(home).counts.created, made(home)) == (1, [("code", True)])
    assert run(home).counts.unchanged == 1
    pushed = home.push()
    assert (pushed.counts.created, pushed.error) == (1, None)


def test_a_property_that_is_not_unique_is_a_reject_with_the_way_on(home: PushHome) -> None:
    """Whether values are unique is fixed when a property is made."""
    home = home.with_words(match_on="phone")
    home.relation([{"phone": "1", "name": "One"}])
    done = run(home)
    assert (done.counts.rejected, done.exit_code) == (1, 3)
    [problem] = home.problems(done.plan)
    assert "not unique" in problem["reason"] and "match_on" in problem["reason"]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
def test_a_lost_answer_makes_no_second_one(home: PushHome, kind: Any) -> None:
    """It is read back by its name; where it was not made, it is sent again."""
    home = home.with_words(match_on="code")
    home.sandbox.faults.add(Fault(kind=kind, match="POST /crm/v3/properties/companies"))
    done = run(home)
    assert (done.counts.created, made(home)) == (1, [("code", True)])
    assert home.site.store.definitions["companies"]["code"].label == "Code"


def test_an_archived_property_of_the_name_is_told(home: PushHome) -> None:
    """HubSpot keeps the name; a person restores it."""
    home = home.with_words(match_on="code")
    run(home)
    home.site.store.definitions["companies"]["code"].archived_ms = 1
    home.later()
    done = run(home)
    assert done.counts.rejected == 1


def test_an_unknown_operation_is_wrong_usage(home: PushHome) -> None:
    """With the nearest names."""
    with pytest.raises(UnknownName, match=NAME):
        operating.run("hubspot.create_propertys", settings=home.settings, doors=home.doors)
