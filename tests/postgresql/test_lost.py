"""A connection that is lost at any moment: what became of a commit is found out, never guessed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pyodbc
import pytest

from syncer.errors import LeaseHeld, WarehouseError, WarehouseLost
from syncer.settings import Settings
from syncer.sql import statement
from tests.conftest import Site
from tests.postgresql import Place, eventually, find, things, with_pairs, write
from tests.postgresql import SystemClock as Clock
from tests.servers import postgresql
from tests.servers.wire import Cut, Trap, Wire

COMMIT = b"COMMIT"
LEASE = "x@default"


@pytest.fixture
def wire(place: Place) -> Iterator[Wire]:
    """A wire to the shared server."""
    made = Wire(place.server.port)
    yield made
    made.close()


@pytest.fixture
def wired(place: Place, wire: Wire) -> Any:
    """A warehouse over the wire, with the table PAIRS and a lease."""
    warehouse = with_pairs(place.warehouse(Port=str(wire.port)))
    warehouse.lease(LEASE, run="r", wait_s=0)
    return warehouse


def kept(place: Place) -> list[int]:
    """The rows that are there."""
    return [number for (number,) in place.rows("SELECT a FROM load.pairs ORDER BY a")]


def lost_once(warehouse: Any) -> None:
    """The holder is told once; then a new connection is a new beginning."""
    with pytest.raises(WarehouseLost, match=f"the connection was lost, and with it the lease of {LEASE}"):
        write_one(warehouse, 8)
    write_one(warehouse, 9)


def write_one(warehouse: Any, number: int) -> None:
    """Write a row in a transaction of its own."""
    with warehouse.transaction() as t:
        write(t, number)


def test_a_commit_that_never_arrived_was_not_kept(place: Place, wire: Wire, wired: Any) -> None:
    """It is told as lost, once; the lease is free for others."""
    trap = wire.set(Trap(text=COMMIT, cut=Cut.BEFORE))
    with pytest.raises(WarehouseLost, match="lost in the middle of a commit; that group was not kept.*Run it again"):
        write_one(wired, 1)
    assert trap.sprung.is_set() and kept(place) == []
    place.warehouse().lease(LEASE, run="other", wait_s=0)
    write_one(wired, 2)
    assert kept(place) == [2]


def test_a_commit_whose_answer_is_lost_was_kept(place: Place, wire: Wire, wired: Any) -> None:
    """It returns as if nothing had been; the lease is lost, which the next transaction says."""
    wire.set(Trap(text=COMMIT, cut=Cut.AFTER))
    write_one(wired, 1)
    assert kept(place) == [1]
    lost_once(wired)
    assert kept(place) == [1, 9]


def test_a_commit_that_is_held_back_is_waited_for(place: Place, wire: Wire, wired: Any) -> None:
    """Longer than wait_s: a commit that is under way has no other end than its own."""
    wired.wait_s = 0.2
    gate = threading.Event()
    wire.set(Trap(text=COMMIT, before=lambda: gate.wait(10)))
    threading.Timer(0.6, gate.set).start()
    write_one(wired, 1)
    assert kept(place) == [1] and LEASE in wired.leases()


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown(place: Place, wire: Wire, wired: Any, cut: Cut) -> None:
    """The server stays away longer than wait_s: neither answer is claimed."""
    wired.wait_s = 0.5

    def away() -> None:
        wire.is_refusing = True

    wire.set(Trap(text=COMMIT, cut=cut, before=away))
    with pytest.raises(WarehouseLost, match="did not tell whether that group was kept"):
        write_one(wired, 1)
    assert kept(place) == ([1] if cut is Cut.AFTER else [])
    wire.is_refusing = False
    write_one(wired, 2)


def test_a_server_that_comes_back_in_time_tells_the_outcome(place: Place, wire: Wire, wired: Any) -> None:
    """It is asked until it answers."""

    def away() -> None:
        wire.is_refusing = True
        threading.Timer(0.6, lambda: setattr(wire, "is_refusing", False)).start()

    wire.set(Trap(text=COMMIT, cut=Cut.AFTER, before=away))
    write_one(wired, 1)
    assert kept(place) == [1]
    lost_once(wired)


def test_a_commit_that_the_server_still_works_on_is_waited_for(place: Place, wire: Wire, wired: Any) -> None:
    """`in progress` is no outcome: a deferred trigger keeps the commit busy when the wire is cut."""
    place.rows(
        "CREATE FUNCTION load.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN NULL; "
        "END $$"
    )
    place.rows(
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON load.pairs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION load.slow()"
    )
    wire.set(Trap(text=COMMIT, after=lambda: threading.Timer(0.2, wire.cut).start()))
    write_one(wired, 1)
    assert kept(place) == [1]


def test_a_commit_that_the_server_refuses_is_no_loss(place: Place, wired: Any) -> None:
    """A deferred constraint of a person's own fails at the commit; connection and lease stay."""
    place.rows("ALTER TABLE load.pairs ADD CONSTRAINT theirs UNIQUE (b) DEFERRABLE INITIALLY DEFERRED")
    write_one(wired, 1)
    with pytest.raises(WarehouseError, match='"theirs".*drop it') as caught:
        write_one(wired, 2)
    assert not isinstance(caught.value, WarehouseLost) and kept(place) == [1]
    assert LEASE in wired.leases()


def test_a_transaction_that_only_read_needs_no_outcome(place: Place, wire: Wire, wired: Any) -> None:
    """Nothing was written, so nothing can be lost but the lease."""
    wire.set(Trap(text=COMMIT, cut=Cut.BEFORE))
    with wired.transaction() as t:
        assert t.rows(statement("SELECT 1")) == [(1,)]
    lost_once(wired)


def test_a_lease_whose_note_was_committed_on_a_lost_connection_is_not_held(place: Place, wire: Wire) -> None:
    """The lock went with its session: whoever believed in it would run beside another."""
    warehouse = with_pairs(place.warehouse(Port=str(wire.port)))
    warehouse.lease("y@default", run="r", wait_s=0).release()
    armed = Trap(text=COMMIT, cut=Cut.AFTER)
    wire.set(Trap(text=b"ON CONFLICT (name)", before=lambda: wire.set(armed)))
    with contextlib.suppress(WarehouseLost):
        warehouse.lease(LEASE, run="r", wait_s=0)
        other = place.warehouse()
        with pytest.raises(LeaseHeld):
            other.lease(LEASE, run="other", wait_s=0)
    assert armed.sprung.is_set()


def test_releasing_over_a_lost_connection_is_harmless(place: Place, wire: Wire) -> None:
    """There is nothing to give back, and nobody else's lease is touched."""
    warehouse = with_pairs(place.warehouse(Port=str(wire.port)))
    lease = warehouse.lease(LEASE, run="r", wait_s=0)
    wire.cut()
    eventually(lambda: place.warehouse().leases() == {})
    theirs = place.warehouse().lease(LEASE, run="other", wait_s=0)
    lease.release()
    lease.release()
    assert set(place.warehouse().leases()) == {LEASE}
    theirs.release()
    with contextlib.suppress(WarehouseLost):
        write_one(warehouse, 1)
    again = warehouse.lease(LEASE, run="r2", wait_s=0)
    lease.release()  # an old one must not free a new one
    assert set(place.warehouse().leases()) == {LEASE}
    again.release()
    assert place.warehouse().leases() == {}


def test_a_host_that_is_gone_is_noticed_within_a_minute(place: Place) -> None:
    """Keep-alive and the time that sent bytes may stay unanswered, on both ends of the connection."""
    warehouse = place.warehouse()
    with warehouse.transaction() as t:
        shown = {name: t.fetched(f"SHOW {name}")[0][0] for name in ("tcp_keepalives_idle", "tcp_user_timeout")}
    assert shown == {"tcp_keepalives_idle": "20", "tcp_user_timeout": "60000"}
    for own in ours(place.server.port):
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        found = [
            own.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ]
        own.close()
        assert found == [20, 10, 3, 60_000]


def ours(port: int) -> list[socket.socket]:
    """The sockets of this process that are connected to a port."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are numbers
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):  # noqa: PTH115
                own = socket.socket(fileno=os.dup(int(name)))
                if own.family == socket.AF_INET and own.getpeername()[1] == port:
                    found.append(own)
                else:
                    own.close()
    assert found
    return found


# At every message of a pull.


def renamed(numbers: Any, name: str, stream: str, places: Any) -> Any:
    """These things, all under a name."""
    return things(*numbers, name=name)


@pytest.mark.parametrize("how", ["terminated", "cut before", "cut after"])
def test_a_pull_survives_a_loss_at_any_message(site: Site, how: str) -> None:
    """It fails or is done; the next one completes, each row is there once, and the runs' counts say the same."""
    wire = Wire(postgresql.shared().port)
    wired = site.settings.warehouse.replace(f"Port={postgresql.shared().port}", f"Port={wire.port}")
    site.settings = attrs.evolve(site.settings, warehouse=wired, wait_s=20)
    end = (
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'syncer'"
    )
    number, at, ended = 0, 1, set()
    try:
        while True:
            trap = Trap(
                text=b"",
                skip=at,
                cut={"cut before": Cut.BEFORE, "cut after": Cut.AFTER}.get(how, Cut.NOWHERE),
                before=(lambda: site.rows(end)) if how == "terminated" else (lambda: None),
            )
            wire.set(trap)
            numbers = range(1, number + 4)
            site.script.read = partial(renamed, numbers, f"at {at}")
            try:
                ended.add(site.pull().status)
            except WarehouseError as error:
                ended.add(type(error).__name__)
            if not trap.sprung.is_set():
                break
            done = site.pull()
            assert done.status == "done", (how, at, done.error)
            number += 3
            rows = site.rows("SELECT id, name FROM load.scripted_things ORDER BY id")
            assert rows == [(each, f"at {at}") for each in numbers], (how, at)
            assert site.rows("SELECT SUM(inserted) FROM syncer.runs") == [(number,)], (how, at)
            assert site.warehouse().leases() == {}
            at += 17
    finally:
        wire.disarm()
        wire.close()
    assert number >= 15 and "done" in ended and ended <= {"done", "failed", "WarehouseLost"}, ended


def test_a_loss_while_a_pooler_is_looked_for_is_no_pooler(site: Site) -> None:
    """The session that answers then is another one because the first was lost: nobody shares it."""
    wire = Wire(postgresql.shared().port)
    wired = site.settings.warehouse.replace(f"Port={postgresql.shared().port}", f"Port={wire.port}")
    site.settings = attrs.evolve(site.settings, warehouse=wired, wait_s=20)
    site.script.read = partial(renamed, range(1, 4), "a")
    trap = Trap(text=b"COMMIT", cut=Cut.AFTER)
    wire.set(Trap(text=b"SELECT pg_backend_pid()", after=lambda: wire.set(trap)))
    try:
        assert site.pull().status == "done" and trap.sprung.is_set()
    finally:
        wire.disarm()
        wire.close()


# kill -9 of the server's backend: the server restarts.


@pytest.fixture(scope="module")
def fragile() -> Iterator[postgresql.Server]:
    """A server of its own, which these tests crash."""
    made = postgresql.start()
    yield made
    made.stop()


def kill_backends(server: postgresql.Server) -> None:
    """kill -9 of every session that is ours."""
    found = server.query("postgres", "SELECT pid FROM pg_stat_activity WHERE application_name = 'syncer'")
    for (pid,) in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def asked(server: postgresql.Server, name: str, query: str) -> Any:
    """Ask; None while the server restarts, which it does a moment after its session was killed."""
    with contextlib.suppress(pyodbc.Error):
        return server.query(name, query)
    return None


@pytest.mark.parametrize(
    ("moment", "expected"), [("before", False), ("after", True), ("answered", True), ("between", False)]
)
def test_the_outcome_is_found_out_over_a_crash_of_the_server(
    fragile: postgresql.Server, tmp_path: Path, moment: str, expected: bool
) -> None:
    """Before the commit arrives, behind it with the answer lost, behind the answer, and between two statements."""
    eventually(lambda: asked(fragile, "postgres", "SELECT pg_sleep(0.1)") is not None)
    wire, name = Wire(fragile.port), fragile.database()
    settings = Settings(warehouse=f"odbc:{fragile.string(name, Port=str(wire.port))}", base=tmp_path, wait_s=30)
    warehouse: Any = with_pairs(find(settings, clock=Clock()))
    warehouse.lease(LEASE, run="r", wait_s=0)

    def kill() -> None:
        kill_backends(fragile)

    actions: dict[str, Callable[[], Any]] = {
        "before": lambda: wire.set(Trap(text=COMMIT, before=kill)),
        "after": lambda: wire.set(Trap(text=COMMIT, cut=Cut.AFTER, after=kill)),
    }
    actions.get(moment, lambda: None)()
    try:
        with warehouse.transaction() as t:
            write(t, 1)
            if moment == "between":
                kill()
                write(t, 2)
        was_lost = False
    except WarehouseLost:
        was_lost = True
    if moment == "answered":
        kill()
    assert was_lost is not expected
    eventually(lambda: asked(fragile, name, "SELECT a FROM load.pairs") == ([(1,)] if expected else []))
    eventually(lambda: asked(fragile, name, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == [])
    if expected:
        with pytest.raises(WarehouseLost):
            write_one(warehouse, 8)
    write_one(warehouse, 9)
    warehouse.close()
    wire.close()


def test_a_number_alone_is_no_proof_of_a_commit(place: Place, wire: Wire) -> None:
    """Before there is a table of commits, nothing tells a number from the same one given again after a crash."""
    warehouse = with_pairs(place.warehouse(wait_s=0.2, Port=str(wire.port)))
    wire.set(Trap(text=COMMIT, cut=Cut.AFTER))
    with pytest.raises(WarehouseLost, match="did not tell whether that group was kept"):
        write_one(warehouse, 1)


def test_a_commit_without_a_lease_is_settled_by_its_row(place: Place, wire: Wire) -> None:
    """It is written wherever the table is there."""
    place.warehouse().lease("other@default", run="r", wait_s=0)
    warehouse = with_pairs(place.warehouse(wait_s=0.2, Port=str(wire.port)))
    wire.set(Trap(text=COMMIT, cut=Cut.AFTER))
    write_one(warehouse, 1)
    assert kept(place) == [1]


def test_a_row_that_somebody_took_away_leaves_the_outcome_unknown(place: Place, wire: Wire, wired: Any) -> None:
    """The group may have been kept: to claim that it was not would be a guess."""
    wired.wait_s = 0.2
    wire.set(Trap(text=COMMIT, cut=Cut.AFTER, after=lambda: place.rows("DELETE FROM syncer.commits RETURNING 1")))
    with pytest.raises(WarehouseLost, match="did not tell whether that group was kept"):
        write_one(wired, 1)
    assert kept(place) == [1]


def test_a_row_of_an_earlier_commit_tells_that_a_later_one_was_not_kept(place: Place, wired: Any) -> None:
    """Even where the number was committed: after a crash it is somebody else's."""
    write_one(wired, 1)
    ((number,),) = place.rows("SELECT txid_current()")
    with wired.transaction() as t:
        assert wired.outcome(t, (number, wired._commits)) is True
        assert wired.outcome(t, (number, wired._commits + 1)) is False


@pytest.mark.parametrize("state", ["08001", "08006", "57P01"])
@pytest.mark.parametrize("is_deferred", [False, True], ids=["at once", "in the commit"])
def test_a_trigger_that_reaches_another_server_loses_nothing(
    place: Place, wired: Any, state: str, is_deferred: bool
) -> None:
    """It raises what a lost connection raises; ours is asked, and what it raised is told."""
    place.rows(
        "CREATE FUNCTION load.reach() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        f"'could not connect to the other' USING ERRCODE = '{state}'; END $$"
    )
    kind, when = ("CONSTRAINT ", "DEFERRABLE INITIALLY DEFERRED ") if is_deferred else ("", "")
    place.rows(
        f"CREATE {kind}TRIGGER reach AFTER INSERT ON load.pairs {when}FOR EACH ROW EXECUTE FUNCTION load.reach()"
    )
    with pytest.raises(WarehouseError, match=rf"could not connect .*\[{state}\]") as told:
        write_one(wired, 1)
    assert "lost" not in str(told.value) and not isinstance(told.value, WarehouseLost)
    assert wired.is_leased and LEASE in wired.leases()
    place.rows("DROP TRIGGER reach ON load.pairs")
    write_one(wired, 2)
    assert kept(place) == [2]
