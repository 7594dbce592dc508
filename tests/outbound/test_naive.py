"""The short form of `python -m tests.campaign planner`: two planners, the same plan."""

from __future__ import annotations

import random
from collections import Counter

import attrs
import pytest

from tests.campaign import planner
from tests.campaign.planner import Reached


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_planners_plan_the_same(seed: int) -> None:
    """One base, perturbed twice; applied and planned again, only conflicts and rejects are left."""
    reached = planner.run(planner.SHORT, seed=seed)
    assert reached.wrong == []
    assert [name for name in planner.MUST_REACH if not reached.what[name]] == []


def test_a_plan_that_differs_is_told() -> None:
    """A campaign that cannot fail proves nothing: a portal that moved between the two planners is noticed."""
    rng = random.Random(1)
    noticed = Counter[bool]()
    for _ in range(200):
        case = planner.case(rng)
        before = {key: planner.told(case, each) for key, each in planner.planned(case).items()}
        moved = attrs.evolve(
            case, portal={id: (gone, {**has, "name": "moved"}) for id, (gone, has) in case.portal.items()}
        )
        after = {key: planner.told(moved, each) for key, each in planner.planned(moved).items()}
        noticed[before == after] += 1
        assert planner.check(moved, rng, Reached()) == []
    assert noticed[False] > noticed[True]
