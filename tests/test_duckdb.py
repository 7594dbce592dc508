"""The embedded warehouse, where it differs from others: one file, which programs must share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncer.clock import SystemClock
from syncer.errors import LeaseHeld, OutOfMemory, UsageError, WarehouseBusy, WarehouseError
from syncer.settings import Settings
from syncer.sql import statement
from syncer.tables import Column, Table
from syncer.values import BIGINT, DECIMAL
from syncer.warehouses import Transaction, find
from syncer.warehouses.duckdb import SPARE

SCHEMAS = ("information_schema", "pg_catalog")
HOLDER = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"


def open_it(file: Path, **settings: object) -> None:
    warehouse = find(Settings(warehouse=f"duckdb:{file}", base=file.parent, **settings), clock=SystemClock())  # type: ignore[arg-type]
    with warehouse.transaction():
        pass
    warehouse.close()


def test_who_holds_the_file_is_told_by_its_pid(tmp_path: Path) -> None:
    """A person's shell that was forgotten is the usual reason."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "w.duckdb")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline()
    with pytest.raises(WarehouseBusy, match=rf"held by process {holder.pid} .*waited 1 s.*wait_s"):
        open_it(tmp_path / "w.duckdb", wait_s=1)
    holder.kill()
    holder.wait()
    open_it(tmp_path / "w.duckdb", wait_s=5)


def test_a_hint_of_which_nothing_is_left_is_not_shown(tmp_path: Path) -> None:
    """DuckDB quotes what it takes to be meant, and quotes are cut: a row's value may stand in them."""
    warehouse = find(Settings(warehouse=f"duckdb:{tmp_path / 'w.duckdb'}", base=tmp_path), clock=SystemClock())
    with pytest.raises(WarehouseError) as raised, warehouse.transaction() as t:
        t.run(statement("CREATE TABLE companies (a INTEGER)"))
        t.rows(statement("SELECT a FROM compnies"))
    warehouse.close()
    assert raised.value.message.endswith("Table with name compnies does not exist!")


def test_a_file_that_is_not_duckdb_is_left_alone(tmp_path: Path) -> None:
    """One line, and not a byte of it changed."""
    file = tmp_path / "letters.txt"
    file.write_text("Dear Ada, " * 500)
    with pytest.raises(WarehouseError, match="letters.txt is not a DuckDB file"):
        open_it(file)
    assert file.read_text() == "Dear Ada, " * 500


def test_a_folder_a_missing_folder_and_an_unknown_kind_are_told(tmp_path: Path) -> None:
    """Each names the next step."""
    with pytest.raises(UsageError, match="is a folder"):
        open_it(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        open_it(tmp_path / "none" / "w.duckdb")
    assert not (tmp_path / "none").exists()  # a typo must not become a new, empty warehouse
    with pytest.raises(UsageError, match="duckdb:PATH"):
        find(Settings(warehouse="oracle:x", base=tmp_path), clock=SystemClock())


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Read-only media, a mount that fell back to read-only. Root may write anywhere, so the kernel is asked."""
    folder = Path("/proc/self")
    with pytest.raises(WarehouseError):
        open_it(folder / "w.duckdb")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """Nothing of the open transaction is kept."""
    script = """
import resource, sys
from pathlib import Path
from syncer import sql
from syncer.clock import SystemClock
from syncer.errors import WarehouseError
from syncer.settings import Settings
from syncer.warehouses import Transaction, find
from syncer.warehouses.duckdb import SPARE
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=Path(sys.argv[1])), clock=SystemClock())
try:
    with warehouse.transaction() as t:
        t.run(
            sql.statement(
                "CREATE TABLE x AS SELECT md5(CAST(i AS TEXT)) || md5(CAST(i + 1 AS TEXT)) AS a "
                "FROM range(2000000) AS r(i)"
            )
        )
except WarehouseError as error:
    print("told:", error)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert "may not grow" in done.stdout and "Traceback" not in done.stderr, done.stderr[-500:]


PRESSED = """
import os, signal, sys, threading
from pathlib import Path
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.sql import statement
from syncer.warehouses import Transaction, find
from syncer.warehouses.duckdb import SPARE
signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of pytest-xdist ignores it, and so do its children
warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=Path(sys.argv[1])), clock=SystemClock())
rows = statement("SELECT i, md5(CAST(i AS TEXT)) AS m FROM range(60000) AS r(i)")
try:
    with warehouse.transaction() as t:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:  # one long statement might not look at signals for many seconds
            t.derive("x", rows)
except KeyboardInterrupt:
    print("interrupted")
with warehouse.transaction() as t:
    print(t.rows(statement("SELECT 1")))
warehouse.close()
"""


def test_ctrl_c_while_duckdb_works_is_an_interruption(tmp_path: Path) -> None:
    """DuckDB turns it into an error of its own; it must not look like a fault of ours, and the file goes on."""
    done = subprocess.run([sys.executable, "-c", PRESSED, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["interrupted", "[(1,)]"], done.stderr[-500:]


class Pressed:
    """A connection on which the first statement that begins with *word* is interrupted, as DuckDB tells it."""

    def __init__(self, connection: Any, words: list[str], error: Exception) -> None:
        self._connection, self._words, self._error = connection, words, error

    def cursor(self) -> Pressed:
        return Pressed(self._connection.cursor(), self._words, self._error)

    def execute(self, text: str, *rest: Any) -> Any:
        self._interrupt(text)
        return self._connection.execute(text, *rest)

    def close(self) -> None:
        self._connection.close()
        self._interrupt("close")

    def _interrupt(self, text: str) -> None:
        if self._words and text.startswith(self._words[0]):
            self._words.clear()
            raise self._error


@pytest.mark.parametrize("error", [RuntimeError("Query interrupted"), duckdb.InterruptException("Interrupted!")])
@pytest.mark.parametrize(
    "word", ["SET memory", "SET Time", "ATTACH", "BEGIN", "COMMIT", "ROLLBACK", "close", "DETACH"]
)
def test_ctrl_c_at_any_statement_is_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, error: Exception
) -> None:
    """Otherwise the engine would go on with the next mapping; and the file can be opened again afterwards."""
    warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    real = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *given, **named: Pressed(real(*given, **named), [word], error))
    SPARE.close()
    with pytest.raises(KeyboardInterrupt):
        with warehouse.transaction():
            if word == "ROLLBACK":
                raise KeyError
        warehouse.close()
    monkeypatch.undo()
    with warehouse.transaction() as t:
        assert t.rows(statement("SELECT 1")) == [(1,)]
    warehouse.close()


@pytest.mark.parametrize("place", ["block", "a Conflicting lock is held folder"])
def test_only_the_engines_own_words_mean_that_the_file_is_held(tmp_path: Path, place: str) -> None:
    """A folder named `block`, or a damaged block, is no lock: it is told at once, and for what it is."""
    (tmp_path / place).mkdir()
    file = tmp_path / place / "clock.duckdb"
    file.write_text("Dear Ada, " * 500)
    began = time.monotonic()
    with pytest.raises(WarehouseError, match="is not a DuckDB file"):
        open_it(file, wait_s=20)
    assert time.monotonic() - began < 10


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """DuckDB's words have `block` in them."""
    file = tmp_path / "w.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE x AS SELECT i, md5(CAST(i AS TEXT)) FROM range(60000) AS r(i)")
    whole = file.read_bytes()
    for broken in (whole[:20_000], whole[:12_288] + os.urandom(8_000) + whole[20_288:]):
        file.write_bytes(broken)
        with pytest.raises(WarehouseError, match="is damaged") as caught:
            open_it(file, wait_s=20)
        assert not isinstance(caught.value, WarehouseBusy)


WORDS = [
    'IO Error: Could not set lock on file "{file}": Conflicting lock is held in /usr/bin/python3 (PID 71). See also',
    'IO Error: Could not set lock on file "{file}": Conflicting lock is held in PID 71',
    'IO Error: Cannot open file "{file}": Le processus\n\nFile is already open in \nC:\\python.exe (PID 71)',
]


@pytest.mark.parametrize("words", WORDS)
def test_who_holds_the_file_is_read_off_each_systems_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Linux with and without the right to see the program, and a Windows that speaks French."""

    def refuse(*_: Any, **__: Any) -> None:
        raise duckdb.IOException(words.format(file=tmp_path / "w.duckdb"))

    monkeypatch.setattr(duckdb, "connect", refuse)
    SPARE.close()
    with pytest.raises(WarehouseBusy, match="held by process 71"):
        open_it(tmp_path / "w.duckdb", wait_s=0)


def test_a_file_that_is_held_is_waited_for_once(tmp_path: Path) -> None:
    """The run that failed is written down too, and that must not wait as long again."""
    file = tmp_path / "w.duckdb"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline()
    warehouse = find(Settings(warehouse=f"duckdb:{file}", base=tmp_path, wait_s=2), clock=SystemClock())
    took = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(WarehouseBusy, match="waited 2 s"), warehouse.transaction():
            pass
        took.append(time.monotonic() - began)
    holder.kill()
    holder.wait()
    assert took[0] >= 2 and took[1] < 1.5
    with warehouse.transaction():
        pass
    warehouse.close()


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("INSERT INTO load.t VALUES (1, 'Ada Lovelace'), (2, 'Ada Lovelace')", "Ada"),
        ("""INSERT INTO load.t VALUES (1, 'Ada "the 1st" Lovelace'), (2, 'Ada "the 1st" Lovelace')""", "1st"),
        ("INSERT INTO load.t VALUES (1, 'Ada\nLINE 1: Lovelace'), (2, 'Ada\nLINE 1: Lovelace')", "Lovelace"),
        ("SELECT CAST(3000000000 AS INTEGER)", "3000000000"),
        ("SELECT CAST(123456.123 AS DECIMAL(5, 2))", "123456"),
        ("SELECT CAST('Ada Lovelace' AS DATE)", "Ada"),
        ("SELECT CAST('Ada Lovelace' AS BIGINT)", "Ada"),
        ("SELECT CAST(-123456.5 AS DOUBLE) :: UTINYINT", "123456"),
    ],
)
def test_what_duckdb_refused_is_told_without_a_rows_values(tmp_path: Path, query: str, value: str) -> None:
    """Messages stand in logs and in syncer.runs."""
    warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA load")
        connection.execute("CREATE TABLE load.t (id BIGINT, name TEXT UNIQUE)")
    with pytest.raises(WarehouseError) as caught, warehouse.transaction() as t:
        t.rows(statement(query))
    warehouse.close()
    told = str(caught.value)
    assert value not in told and "\n" not in told and "Exception: " in told


def test_a_link_to_the_file_is_the_file(tmp_path: Path) -> None:
    """Two names must not mean two sets of leases, and so two pulls of one mapping at once."""
    open_it(tmp_path / "w.duckdb")
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "w.duckdb")
    (tmp_path / "ring.duckdb").symlink_to(tmp_path / "ring.duckdb")
    one, other = (
        find(Settings(warehouse=f"duckdb:{name}.duckdb", base=tmp_path), clock=SystemClock()) for name in ("w", "link")
    )
    lease = one.lease("x@default", run="r1", wait_s=0)
    with pytest.raises(LeaseHeld):
        other.lease("x@default", run="r2", wait_s=0)
    lease.release()
    for name in ("ring.duckdb", "x" * 300, "a\0b"):
        with pytest.raises(UsageError, match="cannot be a file"):
            open_it(tmp_path / name)


def test_where_no_lease_can_be_taken_that_is_one_line(tmp_path: Path) -> None:
    """A read-only folder, a name that is too long."""
    here = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    with pytest.raises(WarehouseError, match="No lease can be taken in .*too long.*SYNCER_WAREHOUSE"):
        here.lease("x@" + "y" * 300, run="r", wait_s=0)
    (tmp_path / "w.duckdb.leases").rmdir()
    (tmp_path / "w.duckdb.leases").write_text("a file")
    with pytest.raises(WarehouseError, match="No lease can be taken in"):
        here.lease("x@default", run="r", wait_s=0)
    there = find(Settings(warehouse="duckdb:/proc/self/w.duckdb", base=tmp_path), clock=SystemClock())
    with pytest.raises(WarehouseError, match="No lease can be taken in /proc"):
        there.lease("x@default", run="r", wait_s=0)


THINGS = Table(schema="load", name="things", columns=(Column("id", BIGINT), Column("size", BIGINT)), key=("id",))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("CREATE INDEX mine ON load.things (size)", "Column size of load.things .*index load.mine .*Drop it, pull"),
        (
            "ALTER TABLE load.things ADD COLUMN mine TEXT; CREATE INDEX x ON load.things (mine)",
            "index load.x .*Drop it",
        ),
    ],
)
def test_an_index_that_is_in_the_way_of_a_wider_column_is_named(tmp_path: Path, own: str, words: str) -> None:
    """DuckDB cannot change a column of a table that something depends on; only its owner may drop that."""
    warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    with warehouse.transaction() as t:
        t.create(THINGS)
    warehouse.rest(waiting=True)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(own)
    with pytest.raises(WarehouseError, match=words), warehouse.transaction() as t:
        t.widen(THINGS, "size", DECIMAL)
    warehouse.close()


def test_a_column_of_a_persons_own_that_must_not_be_empty_is_named(tmp_path: Path) -> None:
    """We do not know what to write there; a default does."""
    warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute('CREATE SCHEMA load; CREATE TABLE load.things (id BIGINT, "My note" TEXT NOT NULL)')
    with pytest.raises(WarehouseError, match="column My note is NOT NULL.*default"), warehouse.transaction() as t:
        t.run(statement("INSERT INTO load.things (id) VALUES (1)"))
    warehouse.close()


def limit_of(t: Transaction) -> float:
    """What DuckDB may use now, in MB."""
    [(text,)] = t.rows(statement("SELECT current_setting('memory_limit')"))
    number, unit = text.split(" ")
    return float(number) * {"MiB": 1.048576, "GiB": 1073.741824}[unit]


def test_a_large_join_has_memory_until_its_transaction_ends(tmp_path: Path) -> None:
    """A plan goes on for hours after the diff: its memory must not grow with the rows that did not change."""
    warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    for rows, least, most in ((1_000, 90, 97), (1_000_000, 495, 505), (10**9, 505, 4_010)):
        with warehouse.transaction() as t:
            t.make_room(rows)
            assert least < limit_of(t) < most
        with warehouse.transaction() as t:
            assert 90 < limit_of(t) < 97
    with pytest.raises(ZeroDivisionError), warehouse.transaction() as t:
        t.make_room(1_000_000)
        raise ZeroDivisionError
    with warehouse.transaction() as t:
        assert 90 < limit_of(t) < 97
    warehouse.close()


def test_what_did_not_fit_into_the_room_gets_more_than_that(tmp_path: Path) -> None:
    """Else the join would be made again with less."""
    warehouse = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    with pytest.raises(OutOfMemory, match="ran out of the 500MB"), warehouse.transaction() as t:
        t.make_room(1_000_000)
        raise duckdb.OutOfMemoryException("no room")
    assert warehouse.grow()
    with warehouse.transaction() as t:
        assert 900 < limit_of(t) < 1_100
    warehouse.close()


def test_a_limit_that_somebody_chose_holds_for_joins_too(tmp_path: Path) -> None:
    settings = Settings(warehouse="duckdb:w.duckdb", base=tmp_path, memory_limit="80MB")
    warehouse = find(settings, clock=SystemClock())
    with warehouse.transaction() as t:
        t.make_room(1_000_000)
        assert 75 < limit_of(t) < 85
    warehouse.close()


@pytest.mark.parametrize(
    "name", ["memory", "Temp", "system", "main", "pg_catalog", "information_schema", "w 1", 'w"1', "w'1", "wärme"]
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    """It is attached beside an instance that has names of its own."""
    file = tmp_path / f"{name}.duckdb"
    warehouse = find(Settings(warehouse=f"duckdb:{file}", base=tmp_path), clock=SystemClock())
    table = Table(schema="crm", name="companies", columns=(Column("id", BIGINT),), key=("id",))
    with warehouse.transaction() as t:
        t.create(table)
        t.run(statement('INSERT INTO "crm"."companies" VALUES (1)'))
    warehouse.close()
    with warehouse.transaction() as t:
        assert t.rows(statement('SELECT id FROM "crm"."companies"')) == [(1,)]
    warehouse.close()
    with duckdb.connect(str(file)) as connection:  # and others see the same
        assert connection.execute("SELECT id FROM crm.companies").fetchall() == [(1,)]


def test_a_file_called_as_one_of_its_schemas_is_told_apart_or_refused(tmp_path: Path) -> None:
    """DuckDB takes no `crm.companies` in `crm.duckdb`: its words, an ambiguous reference, help nobody."""
    warehouse = find(Settings(warehouse=f"duckdb:{tmp_path / 'CRM.duckdb'}", base=tmp_path), clock=SystemClock())
    table = Table(schema="crm", name="companies", columns=(Column("id", BIGINT),), key=("id",))
    with (
        pytest.raises(UsageError, match=r"called CRM, as the schema crm .*Rename the file"),
        warehouse.transaction() as t,
    ):
        t.create(table)
    warehouse.close()
    with duckdb.connect(str(tmp_path / "CRM.duckdb")) as connection:
        connection.execute("CREATE SCHEMA crm")
    with warehouse.transaction() as t:
        t.create(table)
        assert t.columns(table) == {"id": BIGINT}
        assert t.rows(statement("SELECT current_database()")) == [("CRM_db",)]
    warehouse.close()


def test_a_file_that_this_process_has_open_is_told(tmp_path: Path) -> None:
    """A host script with a connection of its own: no other process could be named."""
    with (
        duckdb.connect(str(tmp_path / "w.duckdb")),
        pytest.raises(WarehouseError, match="open in this process already"),
    ):
        open_it(tmp_path / "w.duckdb")
    open_it(tmp_path / "w.duckdb")


def test_row_groups_are_small_and_what_is_put_aside_lies_beside_the_file(tmp_path: Path) -> None:
    """A checkpoint writes the last row group again, in memory: of 122,880 wide rows that is more than all the rest."""
    warehouse = find(Settings(warehouse=f"duckdb:{tmp_path / 'w.duckdb'}", base=tmp_path), clock=SystemClock())
    with warehouse.transaction() as t:
        t.run(statement("CREATE TABLE numbers AS SELECT range AS n FROM RANGE(30000)"))
    warehouse.close()
    with warehouse.transaction() as t:
        groups = t.rows(
            statement("SELECT MAX(count), COUNT(DISTINCT row_group_id) FROM PRAGMA_STORAGE_INFO('numbers')")
        )
        assert groups == [(12_288, 3)]
        assert t.rows(statement("SELECT CURRENT_SETTING('temp_directory')")) == [(f"{tmp_path / 'w.duckdb'}.tmp",)]
    warehouse.close()
