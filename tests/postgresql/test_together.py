"""Several processes at the same moment, and what a rewriting leaves of a person."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyodbc
import pytest

from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.sql import statement
from syncer.warehouses import find
from tests.postgresql import Place, with_pairs, write
from tests.servers import postgresql

ROUNDS = 20
MAKER = """
import sys
from pathlib import Path
from syncer import shape
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
from tests.postgresql import PAIRS
number = sys.argv[1]
for string in sys.stdin:
    string, _, when = string.strip().rpartition(" ")
    warehouse = find(Settings(warehouse="odbc:" + string, base=Path("."), wait_s=20), clock=SystemClock())
    warehouse.opened()
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        lease = warehouse.lease("maker" + number + "@default", run=number, wait_s=0)
        with warehouse.transaction() as t:
            shape.ensure_state(t)
            shape.ensure(t, PAIRS)
        lease.release()
        print("made", flush=True)
    except BaseException as error:
        print(type(error).__name__, error, flush=True)
    warehouse.close()
"""


def test_two_that_make_everything_at_once_both_succeed(place: Place) -> None:
    """Schemas, tables, and those of leases: `IF NOT EXISTS` alone fails for one of two that look at once."""
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for number in range(2)
    ]  # fmt: skip
    found: list[Any] = []
    try:
        for _ in range(ROUNDS):
            for maker in makers:
                tell(maker, f"{place.server.string(place.name)} now")
            assert [heard(maker) for maker in makers] == ["ready", "ready"]
            for maker in makers:
                tell(maker, "go")
            found += [heard(maker) for maker in makers]
            assert place.rows("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'load'") == [(1,)]
            place.rows("DROP SCHEMA load CASCADE")
            place.rows("DROP SCHEMA syncer CASCADE")
    finally:
        for maker in makers:
            maker.kill()
            maker.wait()
    assert found == ["made"] * 2 * ROUNDS


def tell(maker: subprocess.Popen[str], line: str) -> None:
    """Write a line to a process."""
    assert maker.stdin is not None
    maker.stdin.write(line + "\n")
    maker.stdin.flush()


def heard(maker: subprocess.Popen[str]) -> str:
    """Read a line of a process."""
    assert maker.stdout is not None
    return maker.stdout.readline().strip()


# What a rewriting leaves.


@pytest.fixture(scope="module")
def quiet() -> Iterator[postgresql.Server]:
    """A server of its own, whose files nobody else writes."""
    made = postgresql.start()
    yield made
    made.stop()


def is_in_files(server: postgresql.Server, text: str) -> list[str]:
    """The files of all databases that hold a text, once everything has been written out."""
    with server.connection("postgres") as connection:
        connection.execute("CHECKPOINT")
    files = sorted(file for file in (server.folder / "data" / "base").rglob("*") if file.is_file())
    return [str(file) for file in files if text.encode() in file.read_bytes()]


def filled(server: postgresql.Server, folder: Path, text: str) -> tuple[Any, str]:
    """A warehouse with a person in it, in a row and in a text that is stored beside it, who was then erased."""
    name = server.database()
    settings = Settings(warehouse=f"odbc:{server.string(name)}", base=folder, wait_s=2)
    warehouse: Any = with_pairs(find(settings, clock=SystemClock()))
    with warehouse.transaction() as t:
        t.fetched("SELECT set_config('default_toast_compression', 'pglz', TRUE)")
        t.execute("ALTER TABLE load.pairs ALTER COLUMN b SET STORAGE EXTERNAL")
        write(t, 1, text)
        write(t, 2, text + "x" * 100_000)
        write(t, 3, "somebody else")
    return warehouse, name


def erase(warehouse: Any) -> None:
    """Erase the person."""
    with warehouse.transaction() as t:
        t.run(statement("DELETE FROM load.pairs WHERE a < 3"))


def test_a_rewriting_leaves_no_byte_of_an_erased_person(quiet: postgresql.Server, tmp_path: Path) -> None:
    """Neither in the table nor beside it; what the server keeps elsewhere is said."""
    text = f"Erased{uuid.uuid4().hex}"
    warehouse, name = filled(quiet, tmp_path, text)
    assert len(is_in_files(quiet, text)) == 2
    erase(warehouse)
    assert is_in_files(quiet, text) != []  # a deleted row stays until it is overwritten
    found = warehouse.rewrite()
    assert is_in_files(quiet, text) == []
    assert len(found.left) == 1 and "write-ahead log" in found.left[0] and "backups" in found.left[0]
    assert quiet.query(name, "SELECT a FROM load.pairs") == [(3,)]
    warehouse.close()


def test_what_somebody_still_sees_is_said_to_be_left(quiet: postgresql.Server, tmp_path: Path) -> None:
    """A transaction that began before keeps the old rows: a rewriting copies them, too."""
    text = f"Erased{uuid.uuid4().hex}"
    warehouse, name = filled(quiet, tmp_path, text)
    person = pyodbc.connect(quiet.string(name), autocommit=False)
    person.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    ((pid,),) = person.execute("SELECT pg_backend_pid()").fetchall()
    person.execute("SELECT COUNT(*) FROM pg_class").fetchall()
    erase(warehouse)
    found = warehouse.rewrite()
    assert is_in_files(quiet, text) != []
    assert any(f"Session {pid} of postgres" in each and "again" in each for each in found.left), found.left
    person.close()
    assert len(warehouse.rewrite().left) == 1 and is_in_files(quiet, text) == []
    warehouse.close()


def test_a_table_that_cannot_be_rewritten_is_said_to_be_left(quiet: postgresql.Server, tmp_path: Path) -> None:
    """Somebody reads it for longer than we wait; the others are done."""
    text = f"Erased{uuid.uuid4().hex}"
    warehouse, name = filled(quiet, tmp_path, text)
    warehouse.wait_s = 0.2
    erase(warehouse)
    person = pyodbc.connect(quiet.string(name), autocommit=False)
    person.execute("SELECT * FROM load.pairs").fetchall()
    found = warehouse.rewrite()
    assert any("load.pairs was not written anew" in each and "VACUUM (FULL)" in each for each in found.left)
    person.close()
    warehouse.close()


def test_tables_of_others_are_said_to_be_left(place: Place) -> None:
    """We may not rewrite what is not ours, and must not say that it is clean."""
    with_pairs(place.warehouse())
    role = place.role(may_create=True)
    place.rows(f"GRANT USAGE ON SCHEMA load TO {role}")
    found = place.warehouse(UID=role).rewrite()
    assert any("load.pairs" in each and "VACUUM (FULL)" in each for each in found.left), found.left
