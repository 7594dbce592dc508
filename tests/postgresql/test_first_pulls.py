"""The first runs of a source in a new database, by two processes at once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest

from syncer import marks, shape, sql
from syncer.errors import WarehouseError, WrongAccount
from syncer.warehouses import Warehouse
from tests.postgresql import Place, eventually

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
WAITING = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
Raced = Callable[[str], list[Exception]]


@pytest.fixture
def raced(place: Place) -> Raced:
    """Admit account 1 while another transaction, which looked before, has its row in and not yet committed."""
    mine, other = place.warehouse(), place.warehouse()
    with mine.transaction() as t:
        shape.ensure_state(t)

    def admitted(account: str) -> list[Exception]:
        errors: list[Exception] = []
        thread = threading.Thread(target=_admitted, args=(mine, errors))
        with other.transaction() as t:
            t.run(sql.insert(marks.ACCOUNTS), ["hubspot", "default", account, NOW])
            thread.start()
            eventually(lambda: place.rows(WAITING) == [(1,)])
        thread.join(timeout=20)
        assert not thread.is_alive()
        return errors

    return admitted


def _admitted(warehouse: Warehouse, errors: list[Exception]) -> None:
    try:
        marks.admit(warehouse.transaction, "hubspot", "default", "1", now=NOW)
    except (WarehouseError, WrongAccount) as error:
        errors.append(error)


def test_an_account_that_another_process_wrote_down_meanwhile_is_compared(raced: Raced, place: Place) -> None:
    """Its row comes to be between our look and our insert: that is no failure."""
    assert raced("1") == []
    assert place.rows("SELECT source, account FROM syncer.accounts") == [("hubspot", "1")]


def test_another_account_that_was_written_down_meanwhile_is_refused(raced: Raced) -> None:
    """Two tokens, of two accounts, begin at once: one of them is told."""
    (error,) = raced("2")
    assert isinstance(error, WrongAccount)


def test_an_insert_that_fails_twice_is_told(place: Place) -> None:
    """A rule of a site's own refuses the row; nothing is tried for ever."""
    warehouse, tried = place.warehouse(), []
    with warehouse.transaction() as t:
        shape.ensure_state(t)
    place.rows("ALTER TABLE syncer.accounts ADD CHECK (account <> '1')")

    def opened() -> Any:
        tried.append(1)
        return warehouse.transaction()

    with pytest.raises(WarehouseError):
        marks.admit(opened, "hubspot", "default", "1", now=NOW)
    assert len(tried) == 2
