"""The short form of the campaign of `hubspot.fix_company_associations`, on each kind of warehouse."""

from __future__ import annotations

import pytest

from tests.campaign import beds, company_fix


def test_two_thousand_tickets_and_a_small_one_that_is_killed(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """20 tickets cost one request at most, and none is without a company at any moment; kill -9, and lost answers."""
    monkeypatch.setattr(beds.KIND, "name", backend)
    assert company_fix.campaign(is_short=True) == 0, capsys.readouterr().out
