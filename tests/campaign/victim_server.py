"""
What a victim that pulls into a server does beside: it writes down what became of each connection that was lost, counts
commits, and may shoot the server's process that serves it just before it sends a commit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from syncer.errors import LeaseHeld, SyncerError, WarehouseLost
from syncer.leases import Holder
from syncer.odbc.transaction import Transaction
from syncer.odbc.warehouse import WROTE_NOTHING, Warehouse
from syncer.warehouses import postgresql
from syncer.warehouses.postgresql import PostgreSQLWarehouse

KEPT, NOT_KEPT, UNKNOWN = "commit settled: kept", "commit settled: not kept", "commit settled: never told"
NOTHING_WRITTEN = "commit lost that had nothing written"
IN_A_STATEMENT, LEASE_LOST = "lost in a statement", "told that the lease is lost"
WAITED_FOR_SERVER, LEASE_HELD = "waited for a server that starts", "refused: the lease is held"
SHOT_S = 0.05  # how long the server may take to die

Note = Callable[..., None]


def watch(note: Note, order: dict[str, Any]) -> None:
    """Watch whatever happens to connections; *order* may change a session, or ask for a shot."""
    postgresql.SESSION.update(order.get("session", {}))
    _watch_losses(note)
    _watch_settling(note)
    _watch_connecting(note)
    if "shoot_empty_commit" in order:
        _shoot(int(order["shoot_empty_commit"]))


def watch_commits(passes: Callable[[], int], passed: Callable[[int], None]) -> None:
    """Call *passes* before each commit, and *passed* behind it."""
    original = Warehouse.transaction

    @contextlib.contextmanager
    def transaction(self: Warehouse) -> Iterator[Transaction]:
        number = 0
        with original(self) as t:
            yield t
            number = passes()
        passed(number)

    Warehouse.transaction = transaction  # type: ignore[method-assign]


def _watch_losses(note: Note) -> None:
    given_up, tell_lost, held = Warehouse.given_up, Warehouse._tell_lost, Warehouse._held_by_other

    def watched_given_up(self: Warehouse, error: BaseException) -> SyncerError:
        note(met=str(error)[:200])
        found = given_up(self, error)
        if isinstance(found, WarehouseLost):
            note(branch=IN_A_STATEMENT)
        return found

    def watched_tell_lost(self: Warehouse) -> None:
        try:
            tell_lost(self)
        except WarehouseLost:
            note(branch=LEASE_LOST)
            raise

    def watched_held(self: Warehouse, holder: Holder | None, name: str, wait_s: float) -> LeaseHeld:
        note(branch=LEASE_HELD)
        return held(self, holder, name, wait_s)

    Warehouse.given_up = watched_given_up  # type: ignore[assignment,method-assign]
    Warehouse._tell_lost = watched_tell_lost  # type: ignore[method-assign]
    Warehouse._held_by_other = watched_held  # type: ignore[method-assign]


def _watch_settling(note: Note) -> None:
    settle = Warehouse._settle

    def watched(self: Warehouse, error: BaseException, token: Any) -> None:
        note(met=str(error)[:200])
        try:
            settle(self, error, token)
        except WarehouseLost as lost:
            note(branch=NOT_KEPT if "was not kept" in str(lost) else UNKNOWN)
            raise
        note(branch=NOTHING_WRITTEN if token is WROTE_NOTHING else KEPT)

    Warehouse._settle = watched  # type: ignore[method-assign]


def _watch_connecting(note: Note) -> None:
    connect = Warehouse._connect

    def watched(self: Warehouse) -> Any:
        began = time.monotonic()
        try:
            return connect(self)
        finally:
            if time.monotonic() - began > 0.15 and self._was_connected:
                note(branch=WAITED_FOR_SERVER)

    Warehouse._connect = watched  # type: ignore[method-assign]


def _shoot(number: int) -> None:
    """Kill the server's process as the *number*-th commit is sent whose transaction wrote nothing, under a lease."""
    sealed, seen = PostgreSQLWarehouse.sealed, [0]

    def watched(self: PostgreSQLWarehouse, t: Transaction) -> object:
        token = sealed(self, t)
        if token is WROTE_NOTHING:
            seen[0] += 1
            if seen[0] == number:
                os.kill(self._pid, signal.SIGKILL)
                time.sleep(SHOT_S)
        return token

    PostgreSQLWarehouse.sealed = watched  # type: ignore[method-assign]
