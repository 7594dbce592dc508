"""A pooler between us and the server: one that shares sessions is recognised, one that does not is fine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from syncer.errors import LeaseHeld, WarehouseError
from syncer.odbc import warehouse as every
from tests.conftest import Site
from tests.postgresql import Place, SystemClock, eventually, find, started, things, with_pairs, write
from tests.postgresql.test_leases import HOLDER, LEASE, is_free
from tests.servers import pgbouncer, postgresql
from tests.servers.pgbouncer import Pooler

SHARED = "is a pooler that shares the server's sessions.*pool_mode = session"


@pytest.fixture
def pooler(place: Place) -> Iterator[Callable[..., Pooler]]:
    """Start poolers."""
    made: list[Pooler] = []

    def start(mode: str, **more: Any) -> Pooler:
        made.append(pgbouncer.start(place.server, mode, **more))
        return made[-1]

    yield start
    for warehouse in place.made:
        warehouse.close()
    for each in made:
        each.stop()


def behind(place: Place, found: Pooler) -> Any:
    """A warehouse behind a pooler."""
    made = find(attrs.evolve(place.settings(), warehouse=f"odbc:{found.string(place.name)}"), clock=SystemClock())
    place.made.append(made)
    return made


@pytest.mark.parametrize("sessions", [1, 20])
def test_a_pooler_that_lends_sessions_by_transaction_is_refused(
    place: Place, pooler: Callable[..., Pooler], sessions: int
) -> None:
    """A lease would live on whichever session was lent, and the next to borrow that would have it."""
    found = pooler("transaction", sessions=sessions)
    first = behind(place, found)
    with pytest.raises(WarehouseError, match=SHARED):
        first.lease(LEASE, run="r1", wait_s=0)
    assert is_free(place)


def test_a_pooler_that_lends_by_statement_is_refused(place: Place, pooler: Callable[..., Pooler]) -> None:
    """It takes no transaction at all, which is told at once."""
    warehouse = behind(place, pooler("statement"))
    with pytest.raises(WarehouseError, match=SHARED):
        warehouse.lease(LEASE, run="r1", wait_s=0)
    assert is_free(place)


def test_many_behind_a_pooler_never_get_one_lease(place: Place, pooler: Callable[..., Pooler]) -> None:
    """With many at work, two connections may be lent two sessions when we look: the lock itself tells then."""
    found = pooler("transaction", sessions=3)
    others = [behind(place, found) for _ in range(3)]
    with_pairs(others[0])
    holders = 0
    for warehouse in others:
        warehouse.recognise_pooler = lambda: None  # as if it had seen nothing
        try:
            warehouse.lease(LEASE, run="r", wait_s=0)
            holders += 1
        except (LeaseHeld, WarehouseError):
            pass
    assert holders <= 1


def test_a_commit_on_another_session_than_that_of_the_lease_is_refused(
    place: Place, pooler: Callable[..., Pooler]
) -> None:
    """What would be written there is protected by nobody."""
    found = pooler("transaction", sessions=3)
    warehouse, other = behind(place, found), behind(place, found)
    with_pairs(warehouse)
    warehouse.recognise_pooler = lambda: None
    with other.transaction() as t:
        write(t, 1)
    warehouse.lease(LEASE, run="r", wait_s=0)
    refused = set()
    for number in range(2, 10):
        with other.transaction() as held:
            held.fetched("SELECT 1")  # has borrowed a session, so that ours may be another one
            try:
                with warehouse.transaction() as t:
                    ((pid,),) = t.fetched("SELECT pg_backend_pid()")
                    is_other = pid != warehouse._pid
                    write(t, number)
                assert not is_other
            except WarehouseError as error:
                assert is_other and "shares the server's sessions" in str(error)
                refused.add(number)
    assert refused
    assert not refused & {number for (number,) in place.rows("SELECT a FROM load.pairs")}


@pytest.mark.parametrize("how", ["closed", "kill -9"])
def test_a_pooler_of_whole_sessions_is_fine(place: Place, pooler: Callable[..., Pooler], how: str) -> None:
    """A lease is held by one, and free when its client goes: the pooler resets the session."""
    found = pooler("session")
    setting = f"odbc:{found.string(place.name)}"
    holder = started(HOLDER, setting, str(place.folder))
    try:
        warehouse = behind(place, found)
        with pytest.raises(LeaseHeld, match=f"process {holder.pid} "):
            warehouse.lease(LEASE, run="r2", wait_s=0)
        holder.kill() if how == "kill -9" else holder.terminate()
        assert eventually(lambda: is_free(place)) < 1
        lease = warehouse.lease(LEASE, run="r3", wait_s=0)
        with with_pairs(warehouse).transaction() as t:
            write(t, 1)
        warehouse.close()
        eventually(lambda: is_free(place))
        lease.release()
    finally:
        holder.kill()
        holder.wait()
    assert place.rows("SELECT a FROM load.pairs") == [(1,)]


def test_a_pull_behind_a_pooler(site: Site, place: Place, pooler: Callable[..., Pooler]) -> None:
    """Of whole sessions: done; by transaction: an error, and not a row."""
    before = site.settings
    port = f"Port={postgresql.shared().port}"
    site.script.read = lambda stream, places: things(1, 2)
    shared = before.warehouse.replace(port, f"Port={pooler('transaction').port}")
    site.settings = attrs.evolve(before, warehouse=shared)
    with pytest.raises(WarehouseError, match="pool_mode = session"):
        site.pull()
    assert site.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'load'") == []
    whole = before.warehouse.replace(port, f"Port={pooler('session').port}")
    site.settings = attrs.evolve(before, warehouse=whole)
    assert site.pull().inserted == 2 and site.pull().unchanged == 2
    assert site.warehouse().leases() == {}


def test_a_pooler_with_one_session_is_not_waited_for_long(
    place: Place, pooler: Callable[..., Pooler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets a second connection wait for two minutes, and no time-out of the driver ends that: ours does."""
    monkeypatch.setattr(every, "ANOTHER_S", 0.3)
    warehouse = with_pairs(behind(place, pooler("session", sessions=1)))
    began = time.monotonic()
    warehouse.lease(LEASE, run="r", wait_s=0)
    assert time.monotonic() - began < 10
    with warehouse.transaction() as t:
        write(t, 1)
    with pytest.raises(WarehouseError, match=r"no second connection within.*default_pool_size"):
        warehouse.another()
    warehouse.close()
    assert eventually(lambda: not [each for each in threading.enumerate() if each.name == every.ANOTHER]) < 10
