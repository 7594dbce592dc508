"""The bench of pushes: a short form of each case, with requests counted; a push to somewhere else is no figure."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import environments, measure
from bench.postgresql import server
from bench.postgresql.server import Server
from bench.push import BACKENDS, DEFINITIONS, GUARD, KIND, READ, WRITE, peer, rows, table, wide
from bench.push.cases import ADOPTED, ALL, CHANGED, CREATED, DIFF, PEER, SYNCER, Bench, Key, Sizes, Used
from bench.push.portal import PROBE, Portal, sort_of
from bench.push.site import portal, warehouse

SIZES = Sizes(changed=300, created=150, few=100, all=300, diff=2_000, peer=100)
USED = Used(rows=100, about=100, cpu_s=1.0, wall_s=1.0, work_s=1.0, peak_mb=100.0)
OBJECTS = f"/crm/objects/2026-09/{KIND}"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """The bench's server."""
    with server.running() as found:
        yield found


@pytest.fixture(autouse=True)
def own_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured needs what the tests need anyway, and runs without an environment of its own."""
    monkeypatch.setattr(environments, "interpreter", lambda name: Path(sys.executable))


@pytest.fixture
def bench(running: Server) -> Bench:
    """The cases, with few rows."""
    return Bench(packages=environments.ROOT, sizes=SIZES, server=running)


def asked(used: Used) -> dict[str, int]:
    """What a run asked for, definitions left out: the cache may have had them."""
    return {name: count for name, count in used.requests.items() if name not in ("requests", DEFINITIONS)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_few_changed_rows_cost_one_read_and_one_write(backend: str, bench: Bench) -> None:
    """Nothing else is sent: who reads all records to write three of them pays for all of them, each time."""
    some, none = bench.turn(CHANGED, backend).values()
    assert asked(some) == {GUARD: 1, READ: 1, WRITE: 1}
    assert asked(none) == {GUARD: 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_creates_go_a_hundred_at_once(backend: str, bench: Bench) -> None:
    """150 new rows are looked for, and made, in two requests each."""
    [used] = bench.turn(CREATED, backend).values()
    assert asked(used) == {GUARD: 1, READ: 2, WRITE: 2}


@pytest.mark.parametrize("backend", BACKENDS)
def test_adopting_reads_once_and_writes_nothing_and_updates_are_read_twice(backend: str, bench: Bench) -> None:
    """The first push of rows that are there; then all change, and each is read again before it is written."""
    found = bench.turn(ALL, backend)
    adopted, changed = found[ADOPTED, backend, "300 rows"], found[ALL, backend, "300 rows, all changed"]
    assert (adopted.requests[READ], adopted.requests.get(WRITE, 0)) == (3, 0)
    assert asked(changed) == {GUARD: 1, READ: 6, WRITE: 3}
    assert all(used.peak_mb > 20 and used.cpu_s > 0 for used in found.values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_diff_finds_what_the_one_by_hand_finds(backend: str, bench: Bench) -> None:
    """A comparison of times says something only where both found the same rows."""
    found = bench.turn(DIFF, backend)
    assert [what for _, _, what in found] == [*wide.WAYS, SYNCER]
    assert {used.told for used in found.values()} == {"2 found"}


def test_a_diff_that_finds_other_rows_is_no_figure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast diff that misses a row is not a fast diff."""
    monkeypatch.setattr(wide, "EVERY", 500)
    monkeypatch.setattr(wide, "changing", lambda: [f"UPDATE {wide.WIDE} SET text_01 = 'x' WHERE text_00 IS NULL"])
    with pytest.raises(measure.Broken, match="rows found, and 4 differ"):
        bench.turn(DIFF, "duckdb")


def test_a_push_that_left_the_portal_otherwise_is_no_figure(bench: Bench) -> None:
    """Requests that did something else are not counted as these."""
    with (
        portal(20, bench.packages) as site,
        warehouse("duckdb", bench.packages, server=None, url=site.api.url) as place,
    ):
        place.tell([*rows.inserting(1, 20), *rows.changing(1, 20, 2, every=2)])
        with pytest.raises(measure.Broken, match="The portal holds"):
            bench._pushed(place, site, {"1": 10, "2": 10})  # what differs at the first push is left as it is


@pytest.mark.parametrize("number", [1, 2, 3, 4, 999, 1000, 19_999])
def test_a_row_is_the_same_in_the_portal(number: int, tmp_path: Path) -> None:
    """What SQL makes of a number is what the portal has, in the portal's words: else each row would be an update."""
    import duckdb

    listed = ", ".join(f"CAST({made} AS VARCHAR)" for *_, made in rows.COLUMNS)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT {listed} FROM (SELECT CAST({number} AS BIGINT) AS i, 3 AS v)").fetchone()
    told = dict(zip([name for name, *_ in rows.COLUMNS], found or (), strict=True))
    told["met_at"] = told["met_at"].replace(" ", "T").removesuffix("+00") + "Z"
    told["revenue"] = told["revenue"].removesuffix(".0")
    assert told == rows.values(number, 3)


@pytest.mark.parametrize(
    ("method", "path", "body", "sort"),
    [
        ("POST", f"{OBJECTS}/batch/update", PROBE, GUARD),
        ("GET", "/account-info/2026-09/details", b"", GUARD),
        ("POST", f"{OBJECTS}/batch/read", b"{}", READ),
        ("POST", f"{OBJECTS}/batch/update", b"{}", WRITE),
        ("POST", f"/crm/v3/objects/{KIND}", b"{}", WRITE),
        ("PATCH", f"/crm/v3/objects/{KIND}/C1", b"{}", WRITE),
        ("GET", f"/crm/properties/2026-09/{KIND}", b"", DEFINITIONS),
        ("POST", f"{OBJECTS}/search", b"{}", f"else POST {OBJECTS}/search"),
        ("GET", OBJECTS, b"", f"else GET {OBJECTS}"),
    ],
)
def test_a_request_that_is_none_of_a_pushs_stands_apart(method: str, path: str, body: bytes, sort: str) -> None:
    """A search, or a list of all records, is nothing that a push sends, and must not pass as a definition."""
    assert sort_of(method, path, body) == sort.replace("else", "other")


def test_a_wrong_company_is_of_no_row() -> None:
    """One value that is not the row's, one company too many: the portal is not what was pushed."""
    site = Portal(10)
    assert site.versions() == {"live": 10, "keys": 10, "wrong": 0, "versions": {"1": 10}}
    first = next(iter(site.site.store.records[KIND]))
    site.site.store.update(KIND, first, {"city": "Elsewhere"})
    site.site.store.create(KIND, {"name": "One too many"})
    assert site.versions() == {"live": 11, "keys": 11, "wrong": 2, "versions": {"1": 9}}


def results(**of: Used) -> table.Results:
    """A diff by hand and ours, as told."""
    found: dict[Key, Used] = {(DIFF, "duckdb", way): USED for way in wide.WAYS}
    return {**found, (DIFF, "duckdb", SYNCER): of["ours"]}


def test_a_slow_or_large_diff_is_a_miss() -> None:
    """Half as slow again and 100 MB more than the best by hand, and no more."""
    ours = dataclasses.replace(USED, work_s=1.5, peak_mb=200.0)
    assert all(str(line).endswith("met") for line in table.promises(results(ours=ours), is_judged=True))
    ours = dataclasses.replace(USED, work_s=1.6, peak_mb=201.0)
    assert all(str(line).endswith("MISSED") for line in table.promises(results(ours=ours), is_judged=True))


@pytest.mark.parametrize(
    ("case", "used", "verdict"),
    [
        (CHANGED, dataclasses.replace(USED, requests={"requests": 12, DEFINITIONS: 7}), "met"),
        (CHANGED, dataclasses.replace(USED, requests={"requests": 13, DEFINITIONS: 7}), "MISSED"),
        (ADOPTED, dataclasses.replace(USED, requests={READ: 1, WRITE: 1}), "MISSED"),
        (ALL, dataclasses.replace(USED, about=10_000, requests={"requests": 303}), "met"),
        (ALL, dataclasses.replace(USED, about=10_000, requests={"requests": 304}), "MISSED"),
    ],
)
def test_one_request_too_many_is_a_miss(case: str, used: Used, verdict: str) -> None:
    """What is promised of requests is promised exactly."""
    said = [str(line) for line in table.promises({(case, "duckdb", "x"): used}, is_judged=True)]
    assert ("MISSED" in "".join(said)) == (verdict == "MISSED")


def test_who_has_no_drt_is_told_so() -> None:
    """The bench needs no drt; an interpreter without it is named, with the package to install."""
    with pytest.raises(measure.Broken, match=r"drt-core\[duckdb\]"):
        peer.version_of(Path(sys.executable))
    with pytest.raises(measure.Broken, match="cannot be run"):
        peer.version_of(Path("no/such/python"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["push", "--only", PEER], "drt needs --drt"),
        (["push", "--only", "floor"], "no contender floor of push"),
        (["push", "--warehouse", "oracle"], "no warehouse oracle"),
        (["push", "--records", "5"], "its own number of rows"),
    ],
)
def test_a_case_that_cannot_run_is_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before minutes of measuring, not behind them."""
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
