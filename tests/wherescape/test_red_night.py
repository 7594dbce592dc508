"""The short form of `python -m tests.campaign red-night`, with a fixed seed."""

from __future__ import annotations

import pytest

from syncer.verbs.sandbox import Amount
from tests.campaign import red_night


@pytest.mark.timeout(600)  # some thirty processes, one after the other: 33 s of their own
def test_what_two_nights_did_not_carry_on_comes_with_the_third() -> None:
    """A source down, a failed step to the datastore, a kill: each row is in the datastore once, as the API has it."""
    with red_night.site_of(3, Amount(2, 30)) as site:
        found = red_night.three_nights(site, seed=3, names=red_night.FEW, edits=8)
    assert found.wrong == []
    assert (found.nights, found.kills) == (3, 1)
