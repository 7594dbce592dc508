"""The first pulls of a source into a new database, by two processes at once."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import marks
from tests.conftest import Site
from tests.postgresql import things


def test_an_account_that_another_process_wrote_down_meanwhile_is_compared(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row comes to be between our look and our insert: that is no failure."""
    site.script.read = lambda stream, places: things(1, 2)
    site.pull("scripted.things")
    site.rows("DELETE FROM syncer.accounts")
    admit, turns = marks.admit, []

    def raced(t: Any, *given: Any, **more: Any) -> None:
        if not turns:
            turns.append(1)
            other = site.warehouse()
            with other.transaction() as first:
                admit(first, *given, **more)
            other.close()
            t.rows = no_rows(t)
        admit(t, *given, **more)

    def no_rows(t: Any) -> Any:
        rows = type(t).rows.__get__(t)

        def once(statement: Any, parameters: Any = ()) -> Any:
            t.rows = rows
            return []

        return once

    monkeypatch.setattr(marks, "admit", raced)
    assert site.pull("scripted.things").status == "done" and turns == [1]
    assert site.rows("SELECT COUNT(*) FROM syncer.accounts") == [(1,)]
