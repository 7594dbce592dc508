"""Who lost the lease sends nothing more, wherever it was that the connection was found to be gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import plan_journal
from tests.outbound import KEY, PushHome, at_home
from tests.servers import postgresql

COUNT = 700  # of creates: seven batches


@pytest.fixture
def home(tmp_path: Path) -> Iterator[PushHome]:
    """A portal and a PostgreSQL database with a relation of new companies."""
    with at_home(tmp_path / "home", "postgresql") as found:
        found.rows("CREATE SCHEMA IF NOT EXISTS stage")
        found.rows(
            f"CREATE TABLE stage.companies AS SELECT CAST(10000 + g.i AS TEXT) AS {KEY}, 'n' AS name "
            f"FROM generate_series(1, {COUNT}) AS g(i)"
        )
        yield found.with_words(max_creates="off")


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_what_was_drawn_before_the_loss_is_not_sent(home: PushHome, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """A later batch is drawn while an earlier one is read: its error comes out behind what was drawn before it."""
    draw, drawn = plan_journal.next_open, [0]
    seen: list[int] = []

    def lost(t: Any, *given: Any, **more: Any) -> Any:
        drawn[0] += 1
        if drawn[0] == at:
            ((pid,),) = t.fetched("SELECT pg_backend_pid()")
            with postgresql.shared().connection("postgres") as connection:
                connection.execute("SELECT pg_terminate_backend(?, 5000)", pid).fetchall()
            seen.append(_sending(home))
        return draw(t, *given, **more)

    monkeypatch.setattr(plan_journal, "next_open", lost)
    pushed = home.push()
    assert pushed.status == "failed" and "the connection was lost" in (pushed.error or "")
    assert _sending(home) <= seen[0] and len(home.live()) <= seen[0], "intents that no lease covers"
    monkeypatch.undo()
    assert home.push().status == "done" and sorted(home.values(KEY)) == [str(10001 + i) for i in range(COUNT)]


def _sending(home: PushHome) -> int:
    """Count the changes whose intent was ever written."""
    return int(home.rows("SELECT COUNT(sent_at) FROM syncer.changes")[0][0])
