"""Two or three writes to one kind of records are under way at once, where there is enough to write; never more."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from syncer.sandbox import Sandbox
from syncer.sandbox.messages import Request, Response
from tests.outbound import PROBE_BYTES, PushHome

MOST, BATCHES, BATCH = 3, 7, 100
SLOW_S = 0.2


class Overlapping:
    """A sandbox that takes its time with writes: how many it has in hand at once, and how many came at all."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        self.came: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self._moved = threading.Condition()
        self._handle = Sandbox.handle

    def answer(self, sandbox: Sandbox, request: Request, name: str) -> Response:
        """Answer a write late, or as soon as one more is there than may be."""
        path = request.path
        if not path.endswith(("/batch/create", "/batch/update")) or len(request.body) == PROBE_BYTES:
            return self._handle(sandbox, request, name)
        kind = path.split("/")[-3]
        with self._moved:
            self.came[path.rpartition("/")[2]] += 1
            self.under_way[kind] += 1
            self.most[kind] = max(self.most[kind], self.under_way[kind])
            self._moved.notify_all()
            self._moved.wait_for(lambda: self.most[kind] > MOST, timeout=SLOW_S)
        try:
            return self._handle(sandbox, request, name)
        finally:
            with self._moved:
                self.under_way[kind] -= 1


@pytest.fixture
def overlapping(monkeypatch: pytest.MonkeyPatch) -> Overlapping:
    found = Overlapping()
    monkeypatch.setattr(Sandbox, "handle", lambda *given: found.answer(*given))
    return found


def test_at_most_three_writes_to_one_kind_overlap(home: PushHome, overlapping: Overlapping) -> None:
    """HubSpot locks a kind that many write to at once, so more of them are slower; one alone waits for each answer."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows("CREATE TABLE stage.companies (client_id TEXT, name TEXT, phone TEXT)")
    home.rows(
        "INSERT INTO stage.companies SELECT CAST(n AS TEXT), 'C' || CAST(n AS TEXT), '1' FROM "
        f"(SELECT * FROM generate_series(1, {BATCHES * BATCH})) AS g(n)"
    )
    created = home.push()
    assert (created.counts.created, created.exit_code) == (BATCHES * BATCH, 0), created
    assert overlapping.came == {"create": BATCHES}
    assert 2 <= overlapping.most["companies"] <= MOST
    home.later()
    overlapping.most.clear()
    home.rows("UPDATE stage.companies SET phone = '2'")
    updated = home.push()
    assert (updated.counts.updated, updated.exit_code) == (BATCHES * BATCH, 0), updated
    assert overlapping.came == {"create": BATCHES, "update": BATCHES}
    assert 2 <= overlapping.most["companies"] <= MOST
    assert not +overlapping.under_way
