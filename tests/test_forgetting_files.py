"""
`syncer forget` on a DuckDB file, which is copied and renamed: what a person made in it stays, and a kill at any step
leaves a good one.

Not here: what is forgotten (`test_forgetting.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import duckdb
import pytest

from syncer import rewriting
from syncer.errors import OutOfMemory, WarehouseBusy, WarehouseError
from tests.conftest import OWN, Site, only
from tests.people import FOLDER
from tests.test_forgetting import WAREHOUSE, forget, left_of

pytest_plugins = ["tests.people.fixtures"]

OF_FILES = "a file is copied and renamed; a server writes its own tables anew"


@only("duckdb", OF_FILES)
def test_the_file_keeps_what_a_person_made_in_it(people: Site) -> None:
    """Views, indexes, sequences, macros, types, comments, own tables, and the file's permissions."""
    file = people.folder / WAREHOUSE
    people.rows("CREATE SCHEMA mine")
    for statement in (
        "CREATE VIEW mine.b AS SELECT id, city FROM load.scripted_people",
        "CREATE VIEW mine.a AS SELECT * FROM mine.b",
        "CREATE INDEX by_city ON load.scripted_people (city)",
        "CREATE SEQUENCE counter START 5",
        "CREATE MACRO plus_one(x) AS x + 1",
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE mine.own (m mood DEFAULT 'bad', n INT NOT NULL DEFAULT nextval('counter'), CHECK (n > 0))",
        "INSERT INTO mine.own (m) VALUES ('good')",
        "COMMENT ON COLUMN mine.own.n IS 'a number'",
    ):
        with duckdb.connect(str(file)) as connection:
            connection.execute(statement)
    file.chmod(0o640)
    forget(people, "7")
    assert people.rows("SELECT COUNT(*) FROM mine.a") == [(3,)]
    assert people.rows("SELECT index_name FROM duckdb_indexes()") == [("by_city",)]
    assert people.rows("SELECT plus_one(n), m, nextval('counter') FROM mine.own") == [(6, "good", 6)]
    assert people.rows("SELECT comment FROM duckdb_columns() WHERE comment = 'a number'") == [("a number",)]
    assert people.rows(
        "SELECT constraint_type FROM duckdb_constraints() WHERE table_name = 'scripted_people' "
        "AND constraint_type = 'PRIMARY KEY'"
    )
    assert os.name == "nt" or file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in people.folder.glob("warehouse.duckdb?*")] == ["warehouse.duckdb.leases"]


@only("duckdb", OF_FILES)
def test_a_copy_that_is_not_whole_does_not_take_the_place(people: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the engine may leave out one day: the old file stands."""
    whole = rewriting._contents
    monkeypatch.setattr(
        rewriting, "_contents", lambda t, database: whole(t, database)[: 1 if database == rewriting.NEW else None]
    )
    with pytest.raises(WarehouseError, match="not the same in the copy"):
        forget(people, "7")
    assert people.rows("SELECT COUNT(*) FROM load.scripted_people") == [(3,)]
    assert not list(people.folder.glob("*.rewriting*"))
    monkeypatch.undo()
    forget(people, "7")
    assert left_of(people, 7) == {}


@only("duckdb", OF_FILES)
def test_a_copy_that_needs_more_memory_takes_it(people: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a load does; a limit that a site set is kept, and told."""
    copy, tries = rewriting._copy, []

    def tight(*given: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OutOfMemory("no")
        copy(*given)

    monkeypatch.setattr(rewriting, "_copy", tight)
    forget(people, "7")
    assert left_of(people, 7) == {} and len(tries) == 3
    people.settings = attrs.evolve(people.settings, memory_limit="50MB")
    tries.clear()
    with pytest.raises(OutOfMemory):
        forget(people, "8")


@only("duckdb", OF_FILES)
def test_no_room_is_told_before_anything_is_copied(people: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up would stop everything else on it."""
    usage = rewriting.shutil.disk_usage(people.folder)
    monkeypatch.setattr(rewriting.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(WarehouseError, match="room for 0 MB"):
        forget(people, "7")
    assert people.rows("SELECT COUNT(*) FROM load.scripted_people") == [(3,)]


@only("duckdb", OF_FILES)
def test_a_file_that_somebody_has_open_is_waited_for_and_told(people: Site) -> None:
    """Nothing is replaced under another program."""
    code = (
        f"import duckdb, sys; c = duckdb.connect({str(people.folder / WAREHOUSE)!r}); print('open', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        people.settings = attrs.evolve(people.settings, wait_s=0.2)
        with pytest.raises(WarehouseBusy, match=f"process {other.pid}"):
            forget(people, "7")
        other.communicate(b"")
    forget(people, "7")


KILLED = """
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
import attrs
from syncer import forgetting, rewriting, settings, warehouses
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.transport import Doors

at, count = int(sys.argv[1]), 0

def door(owner, name):
    whole = getattr(owner, name)
    def counted(*given, **named):
        global count
        for is_after in (False, True):
            count += 1
            if count == at:
                os._exit(9)
            if not is_after:
                result = whole(*given, **named)
        return result
    setattr(owner, name, counted)

import duckdb
from syncer.warehouses.duckdb import DuckDBTransaction, DuckDBWarehouse
door(DuckDBTransaction, "run")
for name in ("_copy", "_take_place", "_clear", "_keep_name"):
    door(rewriting, name)
for name in ("replace", "unlink"):
    door(Path, name)
folder = Path({folder!r})
clock = SystemClock()
found = settings.load(variables={variables!r}, folder=folder)
found = attrs.evolve(found, folders=(*found.folders, Path({people!r})))
doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock))
forgetting.forget("scripted.people", "7", settings=found, doors=doors, warehouse=warehouses.find(found, clock=clock))
print(count)
"""


@only("duckdb", OF_FILES)
def test_a_kill_at_any_step_leaves_a_good_file_and_a_second_forget_finishes(people: Site, tmp_path: Path) -> None:
    """Before and after each statement, copy and rename."""
    code = KILLED.format(
        root=str(OWN.parents[1]),
        folder=str(people.folder),
        people=str(FOLDER),
        variables={key: value for key, value in people.settings.variables.items() if key.startswith("SYNCER_")},
    )
    script = tmp_path / "killed.py"
    script.write_text(code, encoding="utf-8")
    file = people.folder / WAREHOUSE
    whole = file.read_bytes()

    def run(at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(script), str(at)], capture_output=True, text=True, check=False)

    steps = int(run(0).stdout)
    assert steps >= 20
    for at in [*range(2, steps - 12, 12), *range(steps - 12, steps + 1)]:  # the copy and the rename come last
        for left in people.folder.glob("warehouse.duckdb.*"):
            if left.is_file():
                left.unlink()
        file.write_bytes(whole)
        killed = run(at)
        assert killed.returncode == 9, killed.stderr
        emails = people.rows("SELECT email IS NULL FROM load.scripted_people ORDER BY id")
        assert emails in ([(False,)] * 3, [(True,), (False,), (False,)])
        forget(people, "7")
        assert left_of(people, 7) == {}
        assert people.rows("SELECT COUNT(*), COUNT(email) FROM load.scripted_people") == [(3, 2)]
