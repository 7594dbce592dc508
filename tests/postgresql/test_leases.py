"""Leases on a server: one holder at a time over processes, freed by whatever ends the connection."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pyodbc
import pytest

from syncer.errors import LeaseHeld, WarehouseBusy, WarehouseError, WarehouseLost
from syncer.sql import statement
from syncer.warehouses import Holder
from tests.conftest import MovableClock
from tests.postgresql import Place, SystemClock, eventually, find, new_place, started, with_pairs, write
from tests.test_odbc import called

LEASE = "x@default"
HOLDER = """
import sys, time
from pathlib import Path
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
warehouse = find(Settings(warehouse=sys.argv[1], base=Path(sys.argv[2])), clock=SystemClock())
lease = warehouse.lease("x@default", run="r1", wait_s=0)
print("held", flush=True)
time.sleep(60)
"""


def is_free(place: Place) -> bool:
    """Take it and give it back."""
    try:
        place.warehouse().lease(LEASE, run="probe", wait_s=0).release()
    except LeaseHeld:
        return False
    return True


def test_two_connections_of_one_process_are_two_holders(place: Place) -> None:
    """Threads of a service: the second is refused with the same words as another process."""
    first, second = place.warehouse(), place.warehouse()
    lease = first.lease(LEASE, run="r1", wait_s=0)
    told = rf"x@default is being run by process {os.getpid()} on {socket.gethostname()} since 20\d\d-.*Z\."
    with pytest.raises(LeaseHeld, match=told):
        second.lease(LEASE, run="r2", wait_s=0)
    lease.release()
    second.lease(LEASE, run="r2", wait_s=0).release()


def test_one_warehouse_does_not_take_a_lease_twice(place: Place) -> None:
    """The server would let it: a lock of a session is counted, and one release would not free it."""
    warehouse = place.warehouse()
    lease = warehouse.lease(LEASE, run="r1", wait_s=0)
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()} .* since this run"):
        warehouse.lease(LEASE, run="r2", wait_s=0)
    other = warehouse.lease("y@default", run="r3", wait_s=0)
    assert set(warehouse.leases()) == {LEASE, "y@default"}
    lease.release()
    assert is_free(place) and set(warehouse.leases()) == {"y@default"}
    other.release()
    assert warehouse.leases() == {}


def test_who_holds_what_is_told_to_everybody(place: Place) -> None:
    """Process, host, run, and since when by the server's clock; also to who may only read."""
    before = dt.datetime.now(dt.UTC)
    lease = place.warehouse().lease(LEASE, run="r1", wait_s=0)
    ((found),) = place.warehouse().leases().values()
    assert found == Holder(pid=os.getpid(), host=socket.gethostname(), since=found.since, run="r1")
    assert abs((dt.datetime.fromisoformat(found.since) - before).total_seconds()) < 5
    role = place.role()
    place.rows(f"GRANT USAGE ON SCHEMA syncer TO {role}")
    place.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA syncer TO {role}")
    place.rows(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    assert set(place.warehouse(UID=role).leases()) == {LEASE}
    lease.release()
    assert place.warehouse(UID=role).leases() == {}


def test_another_lock_of_the_same_number_is_no_lease(place: Place) -> None:
    """Other programs use advisory locks, too: in two halves, or in another database."""
    warehouse = place.warehouse()
    warehouse.lease(LEASE, run="r1", wait_s=0).release()
    ((key,),) = place.rows("SELECT lock_key FROM syncer.leases")
    person = pyodbc.connect(place.server.string(place.name))
    person.execute("SELECT pg_advisory_lock(?, ?)", key >> 32, (key & 0xFFFFFFFF) - 2**32 * (key >> 31 & 1))
    elsewhere = pyodbc.connect(place.server.string("postgres"))
    elsewhere.execute(f"SELECT pg_advisory_lock({key})")
    assert warehouse.leases() == {} and is_free(place)
    person.close()
    elsewhere.close()


def test_one_name_in_two_databases_is_two_leases(place: Place) -> None:
    """A server holds the warehouses of several companies."""
    other = new_place(place.folder, options="ENCODING 'UTF8'")
    one, two = place.warehouse(), other.warehouse()
    lease = one.lease(LEASE, run="r1", wait_s=0)
    theirs = two.lease(LEASE, run="r2", wait_s=0)
    assert [each.run for each in (*one.leases().values(), *two.leases().values())] == ["r1", "r2"]
    lease.release()
    assert one.leases() == {} and set(two.leases()) == {LEASE}
    theirs.release()
    other.close()


@pytest.mark.parametrize("how", ["kill -9", "terminated"])
def test_a_lease_is_free_within_a_second_of_its_holders_end(place: Place, how: str) -> None:
    """Nobody has to be asked, and no time has to pass."""
    settings = place.settings()
    holder = started(HOLDER, settings.warehouse, str(place.folder))
    try:
        with pytest.raises(LeaseHeld, match=f"process {holder.pid} "):
            place.warehouse().lease(LEASE, run="r2", wait_s=0)
        if how == "kill -9":
            holder.kill()
        else:
            place.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        assert eventually(lambda: is_free(place)) < 1
    finally:
        holder.kill()
        holder.wait()


def test_a_waiting_one_gets_it_when_the_holder_dies(place: Place) -> None:
    """`--wait` over a crash of the other."""
    settings = place.settings()
    holder = started(HOLDER, settings.warehouse, str(place.folder))
    holder.kill()
    place.warehouse().lease(LEASE, run="r2", wait_s=10).release()
    holder.wait()


def test_a_holder_whose_session_was_ended_is_told_once(place: Place) -> None:
    """It must not write beside a new holder: what it had begun fails, and so does its next step."""
    warehouse = with_pairs(place.warehouse())
    lease = warehouse.lease(LEASE, run="r1", wait_s=0)
    place.rows("SELECT pg_terminate_backend(pid, 2000) FROM pg_locks WHERE locktype = 'advisory'")
    theirs = place.warehouse().lease(LEASE, run="r2", wait_s=0)
    with pytest.raises(WarehouseLost), warehouse.transaction() as t:
        write(t, 1)
    lease.release()
    with warehouse.transaction() as t:  # told once: from here on it is a new beginning, without a lease
        t.rows(statement("SELECT 1"))
    with pytest.raises(LeaseHeld):
        warehouse.lease(LEASE, run="r1", wait_s=0)
    assert place.rows("SELECT COUNT(*) FROM load.pairs") == [(0,)]
    theirs.release()


def test_a_release_that_finds_the_connection_lost_tells_it_to_the_other_holders(place: Place) -> None:
    """Two leases on one connection: giving the one back must not hide that the other is gone."""
    warehouse = with_pairs(place.warehouse())
    lease = warehouse.lease(LEASE, run="r1", wait_s=0)
    warehouse.lease("y@default", run="r2", wait_s=0)
    place.rows("SELECT pg_terminate_backend(pid, 2000) FROM pg_locks WHERE locktype = 'advisory'")
    lease.release()
    with pytest.raises(WarehouseLost, match="the lease of y@default"), warehouse.transaction() as t:
        write(t, 1)
    with warehouse.transaction() as t:
        write(t, 2)
    assert place.rows("SELECT a FROM load.pairs") == [(2,)]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_changes_nothing(place: Place, hours: int) -> None:
    """No lease ends by a time, and since when is the server's own."""
    clock = MovableClock()
    clock.offset = dt.datetime.now(dt.UTC) - dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
    lease = place.warehouse(clock=clock).lease(LEASE, run="r1", wait_s=0)
    other = place.warehouse()
    with pytest.raises(LeaseHeld):
        other.lease(LEASE, run="r2", wait_s=0)
    (found,) = other.leases().values()
    assert abs((dt.datetime.fromisoformat(found.since) - dt.datetime.now(dt.UTC)).total_seconds()) < 60
    clock.advance(7_200)
    with pytest.raises(LeaseHeld):
        other.lease(LEASE, run="r2", wait_s=0)
    lease.release()
    other.lease(LEASE, run="r2", wait_s=0).release()


def test_a_lease_that_could_not_be_noted_is_not_kept(place: Place) -> None:
    """A lock that nobody knows of would keep everybody out until the process ends."""
    warehouse = place.warehouse(wait_s=0.3)
    warehouse.lease(LEASE, run="r1", wait_s=0).release()
    person = pyodbc.connect(place.server.string(place.name), autocommit=False)
    person.execute("LOCK TABLE syncer.leases IN EXCLUSIVE MODE")
    with pytest.raises(WarehouseBusy, match=r"syncer\.leases is held by session"):
        warehouse.lease(LEASE, run="r1", wait_s=0)
    person.close()
    assert place.rows("SELECT pid FROM pg_locks WHERE locktype = 'advisory'") == []
    place.warehouse().lease(LEASE, run="r2", wait_s=0).release()
    warehouse.lease(LEASE, run="r1", wait_s=0).release()
    assert place.rows("SELECT pid FROM pg_locks WHERE locktype = 'advisory'") == []


def test_a_lock_that_our_session_has_by_somebody_else_is_refused(place: Place) -> None:
    """A session that two share would let both in."""
    warehouse = place.warehouse()
    warehouse.lease(LEASE, run="r1", wait_s=0).release()
    ((key,),) = place.rows("SELECT lock_key FROM syncer.leases")
    with warehouse.transaction() as t:
        t.fetched(f"SELECT pg_advisory_lock({key})")
    with pytest.raises(WarehouseError, match="shares the server's sessions"):
        warehouse.lease(LEASE, run="r2", wait_s=0)


def test_a_pull_of_what_another_process_runs_is_refused_with_its_holder(place: Place, tmp_path: Any) -> None:
    """Through the command line: exit code 1, who, and since when."""
    warehouse = place.warehouse()
    lease = warehouse.lease("scripted.things@default", run="r1", wait_s=0)
    setting = place.settings().warehouse
    code, said = called(tmp_path, "pull", "scripted.things", warehouse=setting)
    assert code == 1 and f"being run by process {os.getpid()} on {socket.gethostname()} since 20" in said
    code, said = called(tmp_path, "status", "--output", "json", warehouse=setting)
    assert code == 0 and f'"pid":{os.getpid()}' in said.replace(" ", "")
    lease.release()


class StepClock(MovableClock):
    """A clock on which something happens at the third sleep."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__()
        self._what = what

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if len(self.slept) == 3:
            self._what()


def unnamed_holder(place: Place) -> pyodbc.Connection:
    """A session that has the lock of the lease, and has written no note of it."""
    place.warehouse().lease(LEASE, run="r1", wait_s=0).release()
    ((key,),) = place.rows("SELECT lock_key FROM syncer.leases")
    holder = pyodbc.connect(place.server.string(place.name), autocommit=True)
    holder.execute(f"SELECT pg_advisory_lock({key})").fetchall()
    return holder


def test_a_note_that_comes_late_is_waited_for(place: Place) -> None:
    """It is committed behind the lock: whoever is refused wants to know who it was."""
    holder = unnamed_holder(place)

    def note() -> None:
        holder.execute("UPDATE syncer.leases SET pid = 12, host = 'north', since = now(), session = pg_backend_pid()")

    clock = StepClock(note)
    with pytest.raises(LeaseHeld, match=r"being run by process 12 on north since 20\d\d"):
        place.warehouse(clock=clock).lease(LEASE, run="r2", wait_s=0)
    assert len(clock.slept) == 3
    holder.close()


@pytest.mark.parametrize(("wait_s", "told"), [(0, r"by another process\."), (3, "by another process; waited 3 s")])
def test_a_note_that_never_comes_is_waited_for_a_second_and_no_longer(place: Place, wait_s: float, told: str) -> None:
    """A lock that a person took, or a holder that is stuck: who it is, nobody knows."""
    holder, clock = unnamed_holder(place), StepClock(lambda: None)
    with pytest.raises(LeaseHeld, match=told):
        place.warehouse(clock=clock).lease(LEASE, run="r2", wait_s=wait_s)
    assert wait_s + 0.9 < sum(clock.slept) < wait_s + 1.3
    holder.close()


def test_a_lease_that_is_given_back_while_its_holder_is_looked_for_is_taken(place: Place) -> None:
    """A run that ends just then has no lock any more, and no holder: to be refused by nobody would be wrong."""
    holder = unnamed_holder(place)
    clock = StepClock(lambda: holder.execute("SELECT pg_advisory_unlock_all()").fetchall())
    place.warehouse(clock=clock).lease(LEASE, run="r2", wait_s=0).release()
    assert len(clock.slept) == 3
    holder.close()


@pytest.mark.parametrize("where", ["string", "odbc.ini"])
@pytest.mark.parametrize("key", ["BoolsAsChar", "LFConversion"])
def test_no_setting_of_the_driver_gives_a_lease_to_two(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, key: str
) -> None:
    """With `BoolsAsChar` a false is the text "0", which is true; with `LFConversion` a line feed is two letters."""
    if where == "string":
        first, second = (place.warehouse(**{key: "1"}) for _ in range(2))
    else:
        (tmp_path / "odbc.ini").write_text(
            "[own]\nDriver = PostgreSQL Unicode\nServername = 127.0.0.1\nUsername = postgres\n"
            f"Port = {place.server.port}\nDatabase = {place.name}\n{key} = 1\n"
        )
        monkeypatch.setenv("ODBCINI", str(tmp_path / "odbc.ini"))
        settings = attrs.evolve(place.settings(), warehouse="odbc:DSN=own")
        first, second = (find(settings, clock=SystemClock()) for _ in range(2))
        place.made += [first, second]
    first.lease(LEASE, run="r1", wait_s=0)
    with pytest.raises(LeaseHeld):
        second.lease(LEASE, run="r2", wait_s=0)
    with first.transaction() as t:
        assert t.fetched("SELECT E'a\\nb', FALSE") == [("a\nb", False)]
