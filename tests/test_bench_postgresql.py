"""The bench of PostgreSQL: a figure counts only where the table is the API's, and the server's share is in it."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import environments, measure
from bench.contenders import postgresql_floor
from bench.postgresql import RUNS, check, server, table, turns
from bench.postgresql.server import Server
from bench.postgresql.turns import Site, Used

RECORDS = 300
MEASURED = measure.Measured(cpu_s=1.0, work_cpu_s=0.5, wall_s=2.0, peak_mb=100.0, requests=3, written=RECORDS)
USED = Used(client=MEASURED, server_cpu_s=1.0, wal_mb=3.0, written=0, written_elsewhere=4, upkeep_cpu_s=0.1)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """The bench's server."""
    with server.running() as found:
        yield found


@pytest.fixture(scope="module")
def site(running: Server) -> Iterator[Site]:
    """What is read, few records of it, and where it goes."""
    with turns.site(running, RECORDS) as found:
        yield found


@pytest.fixture
def own_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contenders that need what the tests need anyway run without an environment of their own."""
    monkeypatch.setattr(environments, "interpreter", lambda name: Path(sys.executable))


@pytest.mark.parametrize("contender", ["postgresql_floor", "postgresql_syncer"])
def test_a_turn_loads_all_then_nothing_then_what_changed(contender: str, site: Site, own_interpreter: None) -> None:
    """Each run's table is compared with the API's records; rows are counted by the server, not by the contender."""
    found = turns.turn(contender, site, environments.ROOT)
    assert [found[run].written for run in RUNS] == [RECORDS, 0, RECORDS // 100]
    assert [found[run].client.written for run in RUNS] == [RECORDS, 0, RECORDS // 100]
    assert all(used.cpu_s > used.client.cpu_s > 0 for used in found.values())
    assert found["first"].wal_mb > 0.1


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM load.records WHERE id = 7",
        "UPDATE load.records SET text_20 = 'x' WHERE id = 7",
        "UPDATE load.records SET number_08 = COALESCE(number_08, 0) + 1 WHERE id = 7",
        "UPDATE load.records SET updated = updated + interval '1 millisecond' WHERE id = 7",
    ],
)
def test_a_wrong_table_is_noticed(change: str, site: Site, tmp_path: Path) -> None:
    """A fast load of something else is no figure."""
    database = loaded(site, tmp_path)
    expected = check.truth(RECORDS, is_changed=False)
    check.check(site.server, database, postgresql_floor.TABLE, expected)
    site.server.ask(change, database)
    with pytest.raises(measure.Broken, match="not what the API has"):
        check.check(site.server, database, postgresql_floor.TABLE, expected)


def test_a_turn_that_left_a_wrong_table_is_none(
    site: Site, own_interpreter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison stands in each turn, not beside it."""
    monkeypatch.setattr(turns, "truth", lambda records, *, is_changed: check.Held(records, "another"))
    with pytest.raises(measure.Broken, match="not what the API has"):
        turns.turn("postgresql_floor", site, environments.ROOT)


def test_what_changed_is_another_table() -> None:
    """Else a run that wrote nothing would pass as the run of one record in a hundred."""
    before, after = (check.truth(RECORDS, is_changed=is_changed) for is_changed in (False, True))
    assert before.rows == after.rows == RECORDS
    assert before.checksum != after.checksum


def test_sessions_that_ended_are_in_the_servers_cpu(running: Server) -> None:
    """Most of a load's work on the server is done by a process that is gone when the bench reads what was used."""
    before = running.cpu_s()
    running.ask("SELECT COUNT(*) FROM generate_series(1, 5000000)")
    running.wait_until_idle()
    assert running.cpu_s() - before > 0.1


def test_a_session_that_is_open_is_waited_for(running: Server, tmp_path: Path) -> None:
    """A process is counted when its end was seen, which is a moment behind the client's."""
    import pyodbc

    pyodbc.pooling = False
    connection = pyodbc.connect(running.address("postgres").odbc, autocommit=True)
    began = time.monotonic()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(server, "ENDED_S", 0.1)
            with pytest.raises(measure.Broken, match="did not end"):
                running.wait_until_idle()
    finally:
        connection.close()
    running.wait_until_idle()
    assert time.monotonic() - began < server.ENDED_S


def test_a_bench_that_is_killed_leaves_no_server() -> None:
    """Nobody is there to end it, and it would take a core of whoever measures next."""
    text = (
        "import time; from bench.postgresql import server\n"
        "with server.running() as found:\n"
        '    print(found.ask("SHOW data_directory"), flush=True)\n'
        "    time.sleep(600)"
    )
    bench = subprocess.Popen([sys.executable, "-c", text], cwd=environments.ROOT, stdout=subprocess.PIPE, text=True)
    assert bench.stdout is not None
    data = Path(bench.stdout.readline().strip())
    first = int((data / "postmaster.pid").read_text().splitlines()[0])
    bench.kill()
    bench.wait()
    bench.stdout.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{first}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    is_there = Path(f"/proc/{first}").exists()
    shutil.rmtree(data.parent, ignore_errors=True)
    assert not is_there


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_the_server_keeps_what_it_says_it_keeps(setting: str, running: Server) -> None:
    """A load into a server that may forget it is cheaper, and nobody's."""
    assert running.ask(f"SHOW {setting}") == "on"


def test_a_ratio_counts_client_and_server() -> None:
    """Work that is moved to the server is still work."""
    lazy = dataclasses.replace(USED, client=dataclasses.replace(MEASURED, cpu_s=0.5), server_cpu_s=5.5)
    found = list(table.promises(results(USED, lazy), is_judged=True))
    assert [line.value for line in found[:3]] == [3.0] * 3
    assert str(found[0]).endswith("at most 1.5: MISSED")


def test_one_row_written_where_nothing_changed_is_a_miss() -> None:
    """The promise is none, not few."""
    *_, quiet = table.promises(results(USED, USED), is_judged=True)
    *_, busy = table.promises(results(USED, dataclasses.replace(USED, written=1)), is_judged=True)
    assert str(quiet).endswith("at most 0: met") and str(busy).endswith("at most 0: MISSED")


def test_few_records_are_not_judged() -> None:
    """Below 50,000 most of the price is starting."""
    *ratios, _ = table.lines(results(USED, USED), records=RECORDS, repeat=1)
    assert not [line for line in ratios if "at most" in line]


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no server is told which packages have it."""
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(measure.Broken, match=r"initdb is not here; Debian's packages are postgresql"):
        server.program("initdb")


@pytest.mark.parametrize("arguments", [["postgresql", "--only", "floor"], ["--only", "postgresql_floor"]])
def test_a_contender_of_another_bench_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before minutes of measuring, not behind them."""
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert "no contender" in capsys.readouterr().err


def results(floor: Used, syncer: Used) -> table.Results:
    """Two contenders, each the same in all runs."""
    each = {table.FLOOR: floor, table.SYNCER: syncer}
    return {(contender, run): used for run in RUNS for contender, used in each.items()}


def loaded(site: Site, folder: Path) -> str:
    """Make a database, and let the floor fill it in this process; return its name."""
    from bench.contenders import Job

    database = f"checked_{next(_numbers)}"
    site.server.ask(f"CREATE DATABASE {database} TEMPLATE template0")
    site.server.address(database).keep(folder)
    assert postgresql_floor.load(Job(url=site.api.url, folder=folder, is_again=False)) == RECORDS
    return database
