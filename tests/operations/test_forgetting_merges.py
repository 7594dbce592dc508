"""Somebody is forgotten while a merge of theirs is planned, or after their record was archived for another."""

from __future__ import annotations

import attrs
import pytest

from syncer import forgetting
from syncer.forgotten import REASON
from syncer.plan import REJECTED
from syncer.sandbox.hubspot.model import PortalRecord
from tests.operations import RESTORED_FROM, OperationHome, define

KEY = "a key of many characters"
VALUES = ("zeldzaam", "vroeger", "Quirijn", "Quirinus", "0699999999")


@pytest.fixture
def people(home: OperationHome) -> OperationHome:
    """A portal whose contacts may be one."""
    define(home.site, "contacts", "dup")
    define(home.site, "contacts", RESTORED_FROM, has_unique_value=True)
    variables = {**home.home.settings.variables, "SYNCER_HASH_KEY": KEY}
    home.home.settings = attrs.evolve(home.home.settings, variables=variables)
    return home.words(object="contacts", property="dup", max_archives=100, keep={"firstname": "longest"})


def person(home: OperationHome, dup: str = "1", **properties: str) -> PortalRecord:
    home.home.later(60)
    return home.site.store.create("contacts", {"dup": dup, **properties}, source_type="CRM_UI")


def forget(home: OperationHome, id: str) -> None:
    warehouse = home.home.warehouse()
    try:
        given = {"settings": home.home.settings, "doors": home.home.doors, "warehouse": warehouse}
        forgetting.forget("hubspot.contacts", id, **given)
    finally:
        warehouse.close()


def left(home: OperationHome, *values: str) -> list[str]:
    """Return which values stand in a change or a row of a plan."""
    stored = str(home.rows("SELECT * FROM syncer.changes")) + str(home.rows("SELECT * FROM syncer.plan_rows"))
    return [each for each in values if each in stored]


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("mode", ["merge", "archive"])
def test_a_stored_plan_gives_nothing_of_who_was_forgotten_to_another(
    people: OperationHome, mode: str, who: int
) -> None:
    """What the one that stays was to get are the other's values; other groups of the plan are done."""
    people.words(mode=mode)
    both = [
        person(people, email="zeldzaam@x.example", firstname="Quirijn"),
        person(people, email="vroeger@x.example", firstname="Quirinus", phone="0699999999"),
    ]
    for each in ("o", "other"):
        person(people, "2", email=f"{each}@x.example", firstname=each)
    made = people.run(is_rehearsal=True)
    forget(people, both[who].id)
    assert left(people, *VALUES) == []
    people.home.later()
    done = people.run(plan=made.plan)
    assert both[0].properties["firstname"] == "Quirijn" and not both[0].properties.get("phone")
    assert done.counts.merged + done.counts.archived == 1
    live = [each for each in people.site.store.records["contacts"].values() if not each.is_archived]
    assert sorted(each.properties["dup"] or "" for each in live if each.properties.get("dup")) == ["1", "1", "2"]
    left_out = [each.state for each in people.changes(made.plan) if each.reason == REASON]
    assert len(left_out) >= 2 and set(left_out) == {REJECTED}


@pytest.mark.parametrize("who", [0, 1])
def test_what_an_archive_gave_to_the_one_that_stayed_is_kept_nowhere(people: OperationHome, who: int) -> None:
    """It stands in the change that gave it, and in that of the archive."""
    people.words(mode="archive")
    both = [
        person(people, email="zeldzaam@x.example", firstname="Quirijn"),
        person(people, email="vroeger@x.example", firstname="Quirinus", phone="0699999999"),
    ]
    assert people.run().counts.archived == 1
    forget(people, both[who].id)
    assert left(people, *VALUES) == []
