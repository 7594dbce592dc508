"""Blanks at the ends of a key: those of the keyboard do not count, all others are part of it."""

from __future__ import annotations

import pytest

from tests.outbound import KEY, PushHome


@pytest.mark.parametrize(
    ("given", "there"), [("a ", "a"), (" a", "a"), ("a\u00a0", "a\u00a0"), ("a\u3000b", "a\u3000b")]
)
def test_a_key_is_found_again_whatever_blanks_it_has(home: PushHome, given: str, there: str) -> None:
    """By the key that was written: else the record would be looked for in vain, and refused as a second one."""
    home.relation([{KEY: given, "name": "one"}])
    assert home.push().counts.created == 1
    assert list(home.values("name")) == [there]
    home.rows("DELETE FROM syncer.snapshots")
    home.rows("DELETE FROM syncer.agreed")
    adopted = home.push()
    assert (adopted.counts.unchanged, adopted.counts.rejected, len(home.live())) == (1, 0, 1)
