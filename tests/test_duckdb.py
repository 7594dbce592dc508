"""The embedded warehouse, where it differs from others: one file, which programs must share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from syncer.clock import SystemClock
from syncer.errors import UsageError, WarehouseBusy, WarehouseError
from syncer.settings import Settings
from syncer.sql import statement
from syncer.warehouses import find

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
from syncer.warehouses import find
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
    assert done.stdout.startswith("told:") and "Traceback" not in done.stderr, done.stderr[-500:]


def test_ctrl_c_while_duckdb_works_is_an_interruption(tmp_path: Path) -> None:
    """DuckDB turns it into an error of its own; it must not look like a fault of ours."""
    file = find(Settings(warehouse="duckdb:w.duckdb", base=tmp_path), clock=SystemClock())
    slow = statement("SELECT COUNT(*) FROM range(1000000) AS a, range(1000000) AS b WHERE a.range + b.range = 1")
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), file.transaction() as t:
        t.rows(slow)
    with file.transaction() as t:
        assert t.rows(statement("SELECT 1")) == [(1,)]
    file.close()
