"""An instance of DuckDB that let its file go waits for the next file, and has nothing of the one before."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.sql import statement
from syncer.values import TEXT
from syncer.warehouses import find
from syncer.warehouses.duckdb import SPARE


def test_the_next_file_gets_the_instance_of_the_one_before_and_nothing_else_of_it(tmp_path: Path) -> None:
    """Making one takes ten times as long as attaching a file; one file's limit or rows must not be the next one's."""
    SPARE.close()
    first = find(Settings(warehouse="duckdb:a.duckdb", base=tmp_path, memory_limit="50MB"), clock=SystemClock())
    with first.transaction() as t:
        t.stage("mine", pa.table({"a": ["Ada"]}), {"a": TEXT})
        t.run(statement("CREATE TABLE a AS SELECT 1 AS b"))
    first.close()
    [instance] = SPARE._waiting.values()
    second = find(Settings(warehouse="duckdb:b.duckdb", base=tmp_path), clock=SystemClock())
    with second.transaction() as t:
        assert SPARE.take() is None
        views = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
        assert t.rows(statement(f"SELECT table_name FROM duckdb_tables() UNION ALL {views}")) == []
        [[limit, folder]] = t.rows(
            statement("SELECT current_setting('memory_limit'), current_setting('temp_directory')")
        )
        assert limit.startswith("91.5") and folder.endswith("b.duckdb.tmp")  # 96 MB, in MiB
    second.close()
    assert SPARE.take() is instance
    instance.close()


def test_an_instance_that_had_to_spill_does_not_wait(tmp_path: Path) -> None:
    """Its folder goes with it, and it takes no other."""
    SPARE.close()
    warehouse = find(Settings(warehouse="duckdb:a.duckdb", base=tmp_path, memory_limit="60MB"), clock=SystemClock())
    with warehouse.transaction() as t:
        rows = "SELECT i, md5(CAST(i AS TEXT)) AS m FROM range(2000000) AS r(i) ORDER BY m"
        t.run(statement(f"CREATE TABLE a AS {rows}"))
    assert (tmp_path / "a.duckdb.tmp").exists()
    warehouse.close()
    assert SPARE.take() is None and not (tmp_path / "a.duckdb.tmp").exists()


def test_a_forked_process_leaves_its_parents_instance_alone(tmp_path: Path) -> None:
    """It lacks its parent's threads: a statement on that instance would wait for ever."""
    warehouse = find(Settings(warehouse="duckdb:a.duckdb", base=tmp_path), clock=SystemClock())
    with warehouse.transaction():
        pass
    warehouse.close()
    assert SPARE._waiting
    child = os.fork()
    if child == 0:
        os._exit(0 if SPARE.take() is None else 1)
    assert os.waitpid(child, 0)[1] == 0
