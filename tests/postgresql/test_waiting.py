"""Others at work on the same server: who is waited for is named, and what ends us is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pyarrow as pa
import pyodbc
import pytest

from syncer.errors import WarehouseBusy, WarehouseError, WarehouseLost
from syncer.sql import statement
from syncer.tables import Column
from syncer.values import TEXT
from tests.backends import PostgreSQLDatabase
from tests.conftest import Site
from tests.postgresql import PAIRS, Place, column, eventually, things, with_pairs, write

OURS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'syncer'"
TABLE = "load.scripted_things"


@contextlib.contextmanager
def person(place: Place, *statements: str, **more: str) -> Iterator[Any]:
    """Somebody with a transaction open in which some statements were run; gives the connection and its session."""
    connection = pyodbc.connect(place.server.string(place.name, **more), autocommit=False)
    try:
        for each in (*statements, "SET application_name = 'a shell'"):
            connection.execute(each)
        ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        yield pid
    finally:
        connection.close()


def of(site: Site) -> Place:
    """The database of a site."""
    return Place(folder=site.folder, database=site.database)  # type: ignore[arg-type]  # it is this server's


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE"])
def test_who_holds_a_table_is_named(place: Place, mode: str) -> None:
    """Session, user, program and table; readers of other tables, who came first, are not blamed."""
    role = place.role("SUPERUSER")
    warehouse = with_pairs(place.warehouse(wait_s=0.3))
    place.rows("CREATE TABLE load.others AS SELECT 1 AS a")
    told = rf"load\.pairs is held by session %d of {role} \(a shell, idle in transaction\); waited 0 s.*wait_s"
    with (
        person(place, "SELECT * FROM load.others"),
        person(place, f"LOCK TABLE load.pairs IN {mode} MODE", UID=role) as pid,
        person(place, "SELECT * FROM load.others"),
        pytest.raises(WarehouseBusy, match=told % pid),
        warehouse.transaction() as t,
    ):
        write(t, 1)
    with warehouse.transaction() as t:
        write(t, 2)
    assert place.rows("SELECT a FROM load.pairs") == [(2,)]


def test_who_holds_a_table_of_another_database_is_not_named(place: Place) -> None:
    """A copy of a database has its tables under the same numbers."""
    with_pairs(place.warehouse()).close()
    other = Place(folder=place.folder, database=PostgreSQLDatabase(f"{place.name}_copy", is_used_again=False))
    with place.server.connection("postgres") as connection:
        connection.execute(f'CREATE DATABASE "{other.name}" TEMPLATE "{place.name}"')
    warehouse = place.warehouse(wait_s=0.3)
    with (
        person(other, "LOCK TABLE load.pairs IN ACCESS EXCLUSIVE MODE"),
        person(place, "LOCK TABLE load.pairs IN ACCESS EXCLUSIVE MODE") as pid,
        pytest.raises(WarehouseBusy, match=f"held by session {pid} "),
        warehouse.transaction() as t,
    ):
        write(t, 1)
    other.close()


def test_a_row_that_somebody_else_writes_is_waited_for_and_named(place: Place) -> None:
    """A key that is inserted twice waits for the other transaction."""
    warehouse = with_pairs(place.warehouse(wait_s=0.3))
    with (
        person(place, "INSERT INTO load.pairs VALUES (1, 'theirs')") as pid,
        pytest.raises(WarehouseBusy, match=rf"load\.pairs is held by session {pid}"),
        warehouse.transaction() as t,
    ):
        write(t, 1)


def test_a_reader_is_in_the_way_of_a_change_of_the_table_alone(place: Place) -> None:
    """A long open transaction that only read: rows are written beside it, a column waits for it."""
    warehouse = with_pairs(place.warehouse(wait_s=0.3))
    with person(place, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM load.pairs") as pid:
        with warehouse.transaction() as t:
            write(t, 1)
        with pytest.raises(WarehouseBusy, match=f"session {pid} "), warehouse.transaction() as t:
            t.add_column(PAIRS, Column("later", TEXT))
    with warehouse.transaction() as t:
        t.add_column(PAIRS, Column("later", TEXT))


def test_a_table_that_is_let_go_in_time_is_waited_for(place: Place) -> None:
    """Nothing is told: it just takes a moment."""
    warehouse = with_pairs(place.warehouse(wait_s=10))
    with contextlib.ExitStack() as stack:
        stack.enter_context(person(place, "LOCK TABLE load.pairs IN ACCESS EXCLUSIVE MODE"))
        threading.Timer(0.4, stack.pop_all().close).start()
        began = time.monotonic()
        with warehouse.transaction() as t:
            write(t, 1)
    assert 0.2 < time.monotonic() - began < 5


def test_a_role_that_may_not_see_others_still_hears_what_is_held(place: Place) -> None:
    """The server hides what they do, not that they are."""
    role = place.role(may_create=True)
    warehouse = with_pairs(place.warehouse(wait_s=0.3, UID=role))
    with (
        person(place, "LOCK TABLE load.pairs IN ACCESS EXCLUSIVE MODE") as pid,
        pytest.raises(WarehouseBusy, match=rf"load\.pairs is held by session {pid} of postgres"),
        warehouse.transaction() as t,
    ):
        write(t, 1)


def test_a_pull_that_waits_too_long_fails_and_the_next_completes(site: Site) -> None:
    """Its run says who was in the way."""
    site.script.read = lambda stream, places: things(1)
    assert site.pull().status == "done"
    site.settings = attrs.evolve(site.settings, wait_s=0.3)
    site.script.read = lambda stream, places: things(1, 2)
    with person(of(site), f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE") as pid:
        done = site.pull()
    assert done.status == "failed" and f"{TABLE} is held by session {pid} of postgres" in (done.error or "")
    assert site.pull().inserted == 1
    assert site.warehouse().leases() == {}


def test_a_statement_that_takes_too_long_is_told(place: Place) -> None:
    """`statement_timeout` is the role's own, and not ours to change."""
    role = place.role("SUPERUSER")
    place.rows(f"ALTER ROLE {role} SET statement_timeout = '200ms'")
    warehouse = with_pairs(place.warehouse(UID=role))
    with (
        pytest.raises(
            WarehouseError, match="ended a statement.*statement timeout.*ALTER ROLE … SET statement_timeout"
        ),
        warehouse.transaction() as t,
    ):
        write(t, 1)
        t.fetched("SELECT pg_sleep(5)")
    with warehouse.transaction() as t:
        write(t, 2)
    assert place.rows("SELECT a FROM load.pairs") == [(2,)]


@pytest.mark.parametrize("name", ["idle_session_timeout", "idle_in_transaction_session_timeout", "lock_timeout"])
def test_our_own_limits_go_before_those_of_the_role(place: Place, name: str) -> None:
    """A pull waits for an API for minutes, with its lease on an idle session."""
    role = place.role("SUPERUSER")
    place.rows(f"ALTER ROLE {role} SET {name} = '50ms'")
    warehouse = with_pairs(place.warehouse(UID=role))
    warehouse.lease("x@default", run="r", wait_s=0)
    time.sleep(0.3)
    with contextlib.ExitStack() as stack:
        stack.enter_context(person(place, "LOCK TABLE load.pairs IN SHARE MODE"))
        threading.Timer(0.2, stack.pop_all().close).start()
        with warehouse.transaction() as t:
            t.fetched("SELECT 1")
            time.sleep(0.15)
            write(t, 1)
    assert set(warehouse.leases()) == {"x@default"}


def test_a_deadlock_ends_one_of_two_and_is_told(place: Place) -> None:
    """Nothing of it was kept, the connection is alive, and it is safe to run again."""
    warehouse = with_pairs(place.warehouse(wait_s=20))
    with warehouse.transaction() as t:
        write(t, 1)
        write(t, 2)
    place.rows(f"ALTER DATABASE \"{place.name}\" SET deadlock_timeout = '5s'")
    place.database.is_used_again = False
    theirs = pyodbc.connect(place.server.string(place.name), autocommit=False)
    theirs.execute("SET lock_timeout = 0")
    theirs.execute("UPDATE load.pairs SET b = 'theirs' WHERE a = 2")
    ours = threading.Event()

    def cross() -> None:
        ours.wait(10)
        with contextlib.suppress(pyodbc.Error):
            theirs.execute("UPDATE load.pairs SET b = 'theirs' WHERE a = 1")
            theirs.commit()

    thread = threading.Thread(target=cross)
    thread.start()
    told = r"deadlock detected.*\[40P01\].*Nothing of the open transaction was kept"
    with pytest.raises(WarehouseError, match=told), warehouse.transaction() as t:
        t.run(statement("SET LOCAL deadlock_timeout = '300ms'"))
        t.run(statement("UPDATE load.pairs SET b = 'ours' WHERE a = 1"))
        ours.set()
        time.sleep(0.1)
        t.run(statement("UPDATE load.pairs SET b = 'ours' WHERE a = 2"))
    thread.join(10)
    theirs.close()
    assert place.rows("SELECT b FROM load.pairs") == [("theirs",), ("theirs",)]
    with warehouse.transaction() as t:
        write(t, 3)


def test_a_session_that_an_administrator_ends_is_told_with_what_was_kept(place: Place) -> None:
    """Within a transaction, and between two."""
    warehouse = with_pairs(place.warehouse())
    end = f"SELECT pg_terminate_backend(pid, 2000) FROM ({OURS}) AS s"
    told = "connection was lost.*nothing of the open transaction was kept"
    with pytest.raises(WarehouseLost, match=told), warehouse.transaction() as t:
        write(t, 1)
        place.rows(end)
        write(t, 2)
    with warehouse.transaction() as t:
        write(t, 3)
    place.rows(end)
    with pytest.raises(WarehouseLost), warehouse.transaction() as t:
        write(t, 4)
    with warehouse.transaction() as t:
        write(t, 5)
    assert place.rows("SELECT a FROM load.pairs ORDER BY a") == [(3,), (5,)]


def test_a_statement_that_somebody_cancels_is_told(place: Place) -> None:
    """It is no loss: the connection stays."""
    warehouse = with_pairs(place.warehouse())
    cancel = f"SELECT pg_cancel_backend(pid) FROM ({OURS}) AS s"
    timer = threading.Timer(0.2, lambda: place.rows(cancel))
    timer.start()
    told = "ended a statement: canceling statement due to user request"
    with pytest.raises(WarehouseError, match=told), warehouse.transaction() as t:
        t.fetched("SELECT pg_sleep(5)")
    timer.join()
    with warehouse.transaction() as t:
        write(t, 1)


def test_a_set_goes_in_while_a_table_of_its_name_stands_elsewhere(place: Place) -> None:
    """A person's `public.batch` is left alone, whatever the path."""
    place.rows("CREATE TABLE public.batch (a text)")
    with with_pairs(place.warehouse()).transaction() as t:
        t.stage("batch", column(["x"], pa.string()), {"a": TEXT})
        assert t.rows(statement("SELECT a FROM batch")) == [("x",)]
    eventually(lambda: place.rows("SELECT COUNT(*) FROM public.batch") == [(0,)])
