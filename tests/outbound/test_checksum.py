"""The checksum of a plan: of all that it would do, and of nothing else."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest

from syncer.plan import ASSOCIATE, MERGE, UPDATE, Change, Checksum, Edge, Edit

CHANGE = Change(number=1, action=UPDATE, kind="companies", key="k", id="1", fields={"name": Edit("a", "b")})
LINKED = Change(
    number=1,
    action=ASSOCIATE,
    kind="tickets",
    key="k",
    id="1",
    edge=Edge(kind="companies", id="2", category="HUBSPOT_DEFINED", type_id=339, key="c"),
)
EDGE = LINKED.edge
assert EDGE is not None


def summed(*changes: Change, mapping: str = "hubspot.companies", environment: str = "default") -> str:
    checksum = Checksum()
    checksum.add(change.digest(mapping, environment) for change in changes)
    return str(checksum)


@pytest.mark.parametrize(
    ("change", "other"),
    [
        (CHANGE, {"action": "archive"}),
        (CHANGE, {"kind": "contacts"}),
        (CHANGE, {"key": "l"}),
        (CHANGE, {"id": "2"}),
        (CHANGE, {"id": None}),
        (CHANGE, {"fields": {"name": Edit("a", "c")}}),
        (CHANGE, {"fields": {"name": Edit("z", "b")}}),
        (CHANGE, {"fields": {"phone": Edit("a", "b")}}),
        (CHANGE, {"fields": {"name": Edit("a", "b"), "phone": Edit(None, "1")}}),
        (CHANGE, {"fields": {"name": Edit("a", None)}}),
        (attrs.evolve(CHANGE, action=MERGE, into="2"), {"into": "3"}),
        (LINKED, {"edge": attrs.evolve(EDGE, id="3")}),
        (LINKED, {"edge": attrs.evolve(EDGE, kind="contacts")}),
        (LINKED, {"edge": attrs.evolve(EDGE, type_id=26)}),
        (LINKED, {"edge": attrs.evolve(EDGE, category="USER_DEFINED")}),
        (LINKED, {"edge": attrs.evolve(EDGE, id=None, key="d", made_by=1)}),
        (LINKED, {"edge": None}),
    ],
)
def test_what_would_be_done_changes_it(change: Change, other: dict[str, Any]) -> None:
    assert summed(attrs.evolve(change, **other)) != summed(change)


def test_the_mapping_the_environment_and_the_number_of_changes_change_it() -> None:
    assert len({summed(CHANGE), summed(CHANGE, CHANGE), summed(), summed(CHANGE, mapping="x"),
                summed(CHANGE, environment="x")}) == 5  # fmt: skip


@pytest.mark.parametrize(
    "other", [{"number": 9}, {"state": "done"}, {"row_hash": "h"}, {"reason": "r"}, {"after": (1,)}]
)
def test_what_stands_beside_it_does_not(other: dict[str, Any]) -> None:
    """Order, state and time are not what a person agreed to."""
    assert summed(attrs.evolve(CHANGE, **other)) == summed(CHANGE)


def test_the_order_does_not_change_it() -> None:
    changes = [attrs.evolve(CHANGE, key=str(number)) for number in range(50)]
    assert summed(*random.Random(1).sample(changes, 50)) == summed(*changes)
