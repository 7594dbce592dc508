"""A push and others take turns on a file: kept while answers come at once, let go while one is waited for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from syncer import apply, snapshots
from syncer.clock import SystemClock
from syncer.warehouses import duckdb
from tests.outbound import KEY, PushHome, at_home

OTHER = """
import sys, time
from pathlib import Path
from syncer import sql
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
warehouse = find(Settings(warehouse=sys.argv[1], base=Path(sys.argv[2]), wait_s=20), clock=SystemClock())
print("ready", flush=True)
for line in sys.stdin:
    began = time.monotonic()
    with warehouse.transaction() as t:
        [(count,)] = t.rows(sql.statement("SELECT COUNT(*) FROM syncer.changes"))
    warehouse.rest(waiting=True)
    print(count, time.monotonic() - began, flush=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[PushHome]:
    """A portal and a DuckDB file, by the machine's own clock: who waits for a file waits by that."""
    with at_home(tmp_path / "home", "duckdb") as found:
        yield attrs.evolve(found, doors=attrs.evolve(found.doors, clock=SystemClock()))


def relate(home: PushHome, count: int) -> PushHome:
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows(
        f"CREATE TABLE stage.companies AS SELECT CAST(10000 + g.i AS TEXT) AS {KEY}, 'n' AS name "
        f"FROM generate_series(1, {count}) AS g(i)"
    )
    return home.with_words(max_creates="off")


@contextlib.contextmanager
def other(home: PushHome) -> Iterator[subprocess.Popen[str]]:
    """Start another process of ours, which asks the file each time that it gets a line."""
    command = [sys.executable, "-c", OTHER, home.settings.warehouse, str(home.settings.base)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def asked(process: subprocess.Popen[str]) -> tuple[int, float]:
    """Have the other process ask; return what it found, and how long that took."""
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    count, took = process.stdout.readline().split()
    return int(count), float(took)


def test_a_file_is_not_closed_for_each_batch(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing it writes its tables anew: three times a batch that was most of a large push's time."""
    closings: list[float] = []
    close = duckdb.DuckDBWarehouse.close

    def counted(self: duckdb.DuckDBWarehouse) -> None:
        closings.append(time.monotonic())
        close(self)

    monkeypatch.setattr(duckdb.DuckDBWarehouse, "close", counted)
    monkeypatch.setattr(apply, "PATIENCE_S", 5.0)  # a busy machine is no slow API
    monkeypatch.setattr(duckdb, "STRETCH_S", 60.0)
    home = relate(home, 2_000)
    planned = home.push(is_rehearsal=True)
    before = len(closings)
    assert home.push(plan=planned.plan).counts.created == 2_000
    assert len(closings) - before < 20  # of a plan that is applied; there are 20 batches, of 60 commits


def test_who_waits_for_the_file_gets_it_while_an_answer_is_late(home: PushHome) -> None:
    """A send that takes seconds must not keep a pull from its commits."""
    home = relate(home, 300)
    waited: list[tuple[int, float]] = []
    with other(home) as process:
        is_asked = threading.Event()

        def ask(site: object, request: object) -> None:
            if getattr(request, "path", "").endswith("/batch/create") and not is_asked.is_set():
                is_asked.set()
                waited.append(asked(process))  # the answer of this request waits for the other process

        home.sandbox.before_request.append(ask)
        assert home.push().counts.created == 300
    [(count, took)] = waited
    assert count == 300 and took < 5


def test_who_waits_for_the_file_gets_it_while_answers_come_at_once(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept for a stretch, and then left alone for as long as others take to look again."""
    monkeypatch.setattr(apply, "PATIENCE_S", 5.0)
    monkeypatch.setattr(duckdb, "STRETCH_S", 0.2)
    home = relate(home, 3_000)
    found: list[tuple[int, float]] = []
    with other(home) as process:
        planned = home.push(is_rehearsal=True)
        pushing = threading.Thread(target=lambda: home.push(plan=planned.plan))
        pushing.start()
        while pushing.is_alive():
            found.append(asked(process))
        pushing.join()
    assert len(found) > 3 and max(took for _, took in found) < 5


def test_rows_without_a_change_are_carried_in_parts(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement over a plan needs memory for all of it; a part that was committed stands, and may be repeated."""
    monkeypatch.setattr(snapshots, "MOVED_AT_ONCE", 7)
    home = relate(home, 50)
    for number in range(1, 51):
        home.make(str(10_000 + number), name="n")
    bring, parts = snapshots._bring, []

    class Killed(BaseException):
        """As a kill: nothing may tidy up behind it."""

    def killed(*given: object, **more: object) -> None:
        if len(parts) == 3:
            raise Killed
        parts.append(bring(*given, **more))  # type: ignore[arg-type, func-returns-value]

    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "_bring", killed)
        with pytest.raises(Killed):
            home.push()
    assert home.rows("SELECT COUNT(*) FROM syncer.snapshots") == [(21,)]
    done = home.push()
    assert (done.status, done.counts.unchanged) == ("done", 50)
    assert home.rows("SELECT COUNT(*), COUNT(DISTINCT key), COUNT(row_hash) FROM syncer.snapshots") == [(50, 50, 50)]
    assert home.rows("SELECT COUNT(*) FROM syncer.agreed") == [(50,)]
    home.sent()
    assert home.push().counts.unchanged == 50
    assert not [each for each in home.sent() if each.endswith("/batch/read")]
