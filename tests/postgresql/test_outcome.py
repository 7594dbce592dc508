"""What is told of a run is what became of it: also after a crash of the server, a Ctrl-C, and over odd poolers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from syncer import journal
from syncer.errors import WarehouseError
from tests.conftest import Site
from tests.postgresql import Place, find, things
from tests.postgresql import SystemClock as Clock
from tests.postgresql.test_leases import LEASE
from tests.servers import pgbouncer, postgresql
from tests.servers.wire import Cut, Trap, Wire


@pytest.fixture
def server() -> Iterator[postgresql.Server]:
    """A server that may be crashed, and that answers a commit only when it is on disk."""
    made = postgresql.start(settings={"synchronous_commit": "on"})
    yield made
    made.stop()


@pytest.fixture
def wire(server: postgresql.Server) -> Iterator[Wire]:
    """A wire to that server."""
    made = Wire(server.port)
    yield made
    made.close()


def over(site: Site, server: postgresql.Server, database: str, wire: Wire) -> Site:
    """The site, its warehouse a database of *server* behind the wire."""
    link = f"odbc:{server.string(database, Port=str(wire.port))}"
    site.settings = attrs.evolve(site.settings, warehouse=link, wait_s=30)
    return site


def at_last_commit(monkeypatch: pytest.MonkeyPatch, wire: Wire, trap: Trap) -> None:
    """Set a trap on the commit that ends a run."""
    update = journal.update

    def watched(t: Any, pulled: journal.Pulled, *, now: Any) -> int:
        written = update(t, pulled, now=now)
        if pulled.status == journal.DONE and not trap.sprung.is_set():
            wire.set(trap)
        return written

    monkeypatch.setattr(journal, "update", watched)


def test_a_number_that_is_given_twice_is_not_taken_for_ours(
    site: Site, server: postgresql.Server, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before the commit reached the disk: the transaction's number is another one's soon after."""
    database = server.database()
    over(site, server, database, wire)
    site.script.read = lambda stream, places: things(1, 2, 3)
    assert site.pull().inserted == 3

    def crash() -> None:
        wire.is_refusing = True
        ((pid,),) = server.query("postgres", "SELECT pid FROM pg_stat_activity WHERE application_name = 'syncer'")
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)
        server.wait()
        for number in range(3):  # who was waiting for the server
            with server.connection("postgres") as other:
                other.execute(f"CREATE TABLE other_{number} (a int)")
        wire.is_refusing = False

    trap = Trap(text=b"COMMIT", cut=Cut.BEFORE, before=crash)
    at_last_commit(monkeypatch, wire, trap)
    site.script.read = lambda stream, places: things(4, 5, 6)
    done = site.pull()
    assert trap.sprung.is_set()
    assert done.status == "failed" and "was not kept" in (done.error or ""), done
    assert server.query(database, "SELECT id FROM load.scripted_things ORDER BY id") == [(1,), (2,), (3,)]
    assert site.pull().inserted == 3


def test_a_run_that_is_interrupted_in_its_commit_keeps_the_counts_of_what_was_kept(
    site: Site, server: postgresql.Server, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: the rows are there, so the sum of what runs inserted is their number."""
    database = server.database()
    over(site, server, database, wire)
    site.script.read = lambda stream, places: things(1, 2, 3)

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)

    at_last_commit(monkeypatch, wire, Trap(text=b"COMMIT", before=interrupt))
    with pytest.raises(KeyboardInterrupt):
        site.pull()
    monkeypatch.undo()
    site.pull()
    assert server.query(database, "SELECT COUNT(*) FROM load.scripted_things") == [(3,)]
    assert server.query(database, "SELECT SUM(inserted) FROM syncer.runs") == [(3,)]


@pytest.mark.parametrize("reset", ["RESET ALL", ""])
def test_a_pooler_that_hands_locks_on_is_refused(place: Place, reset: str) -> None:
    """A session that nobody cleans keeps the lease of a client that is dead."""
    pooler = pgbouncer.start(place.server, "session", reset=reset)
    try:
        settings = attrs.evolve(place.settings(), warehouse=f"odbc:{pooler.string(place.name)}")
        warehouse = find(settings, clock=Clock())
        with pytest.raises(WarehouseError, match=r"hands sessions on with their locks.*server_reset_query"):
            warehouse.lease(LEASE, run="r", wait_s=0)
        warehouse.close()
    finally:
        pooler.stop()


def test_a_trigger_that_speaks_of_connections_loses_none(place: Place) -> None:
    """What a person's trigger says is no word of the server's."""
    warehouse = place.warehouse()
    warehouse.lease(LEASE, run="r", wait_s=0)
    place.rows("CREATE TABLE public.mailed (a int)")
    place.rows(
        "CREATE FUNCTION public.mail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'mail: not connected'; END $$"
    )
    place.rows("CREATE TRIGGER mails BEFORE INSERT ON public.mailed FOR EACH ROW EXECUTE FUNCTION public.mail()")
    with pytest.raises(WarehouseError) as told, warehouse.transaction() as t:
        t.execute("INSERT INTO public.mailed VALUES (1)")
    assert "lost" not in str(told.value) and warehouse.is_leased


def test_who_waits_goes_on_waiting_over_a_lost_connection(place: Place) -> None:
    """It held nothing, so it has lost nothing."""
    holder, waiter = place.warehouse(), place.warehouse(wait_s=20)
    held = holder.lease(LEASE, run="r1", wait_s=0)
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(waiter.lease(LEASE, run="r2", wait_s=20)))
    thread.start()
    time.sleep(0.5)
    place.rows(f"SELECT pg_terminate_backend({waiter._pid})")
    time.sleep(0.5)
    held.release()
    thread.join(timeout=30)
    assert len(taken) == 1
    taken[0].release()


def test_two_threads_may_be_the_first_to_load_a_folders_files(make_site: Callable[..., Site]) -> None:
    """A module that is half there is no module."""
    site = make_site()
    site.script.read = lambda stream, places: things(1)
    told: list[Any] = []
    threads = [threading.Thread(target=lambda: told.append(site.pull(wait_s=20))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(told) == 2  # the clock of tests takes no time to wait, so one may be refused
    assert all(each.status == "done" or "is being run by" in each.error for each in told), told
