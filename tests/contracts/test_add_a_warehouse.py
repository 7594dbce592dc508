"""
`docs/add-a-warehouse.md`, followed as it stands: its file under the contract of all warehouses, whole pulls into it
compared with DuckDB, and what is its own: several files in one commit, the driver's odd ways.
"""

from __future__ import annotations

import datetime as dt
import decimal
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pytest

from syncer import engine, sql
from syncer import settings as configuration
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.errors import UsageError, WarehouseBusy
from syncer.sandbox import Sandbox
from syncer.settings import Settings
from syncer.tables import Column, Table
from syncer.transport import Doors
from syncer.values import BIGINT, DECIMAL, DOUBLE, TEXT, TIMESTAMP, Type, arrow_type
from syncer.verbs.demo import LATER_S, NAMES, SEED, UNLIMITED
from syncer.verbs.sandbox import Amount, built, variables
from syncer.warehouses import Transaction, Warehouse, find
from tests.backends import new_file
from tests.conftest import OWN, MovableClock, Site, own_module
from tests.contracts import shelf, third
from tests.contracts import test_warehouse as contract
from tests.test_offers import TOML as DELTA
from tests.test_sql import live

PAGE = third.PAGE.read_text(encoding="utf-8")
PAIRS, STATE_PAIRS = contract.PAIRS, attrs.evolve(contract.PAIRS, schema="syncer")
MOMENT = dt.datetime(2026, 1, 31, 9, 30, 0, 123456, dt.UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The page's warehouse."""
    return third.settings(tmp_path)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    found = find(settings, clock=SystemClock())
    yield found
    found.close()


# The page.


def test_the_code_has_at_most_200_lines() -> None:
    """Blank lines, docstrings of one line and comments that stand alone are not counted."""
    lines = [line.strip() for line in third.code().splitlines()]
    assert len([line for line in lines if line and not line.startswith(('"""', "#"))]) <= 200


def test_the_page_is_followed_with_a_source_of_ones_own(tmp_path: Path) -> None:
    """Its `syncer.toml` and its variable, and two pulls from the command line: the second writes nothing."""
    shelf.write_code(third.write_code(tmp_path))
    toml, link = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL), re.search(r"SYNCER_WAREHOUSE='(.*?)'", PAGE)
    assert toml is not None and link is not None
    (tmp_path / "syncer.toml").write_text(toml[1], encoding="utf-8")
    site = shelf.ShelfSite(230)
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCER_", "PYTEST_"))}
        own = {"SYNCER_SHELF_URL": sandbox.url("shelf"), "SYNCER_SHELF_TOKEN": shelf.TOKEN}
        environment = {**kept, **own, "SYNCER_WAREHOUSE": link[1], "SYNCER_CACHE": str(tmp_path / "cache")}
        said = []
        for verb in (["pull", "shelf.books"], ["pull", "shelf.books"], ["status"]):
            command = [sys.executable, "-m", "syncer", *verb]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr
            said.append(done.stdout)
    assert "230 inserted" in said[0] and " 0 inserted" in said[1] and "shelf.books" in said[2]
    with sqlite3.connect(tmp_path / "warehouse.load.sqlite") as file:
        assert file.execute("SELECT COUNT(*) FROM shelf_books").fetchall() == [(230,)]


def test_a_connection_string_without_a_file_is_refused(tmp_path: Path) -> None:
    """It says what is missing."""
    wanted = attrs.evolve(third.settings(tmp_path), warehouse="odbc:Driver={SQLite3}")
    with pytest.raises(UsageError, match="Database=…"):
        find(wanted, clock=SystemClock())


# Whole pulls, compared with DuckDB.


def tables_of(t: Transaction, names: list[str], left_out: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The rows of tables, comparable: moments in UTC, exact numbers without zeros at their end."""
    found = {}
    for name in names:
        schema, _, plain = name.partition(".")
        columns = sorted(set(t.columns(Table(schema=schema, name=plain, columns=()))) - set(left_out))
        rows = t.rows(sql.statement(f"SELECT {sql.names(columns)} FROM {name}"))
        found[name] = sorted(repr([columns, *map(plainly, row)]) for row in rows)
    return found


def plainly(value: Any) -> Any:
    return value.normalize() if isinstance(value, decimal.Decimal) else value


def differing(mine: Warehouse, theirs: Warehouse, names: list[str], left_out: tuple[str, ...]) -> list[str]:
    """The tables that are not the same in both; one at least has rows."""
    with mine.transaction() as t:
        here = tables_of(t, names, left_out)
    with theirs.transaction() as t:
        there = tables_of(t, names, left_out)
    assert any(there.values())
    return [name for name in names if here[name] != there[name]]


def scripted(folder: Path, name: str, toml: str) -> Site:
    """A site of the scripted source, on DuckDB or on the page's warehouse."""
    own, site_folder = own_module("sources", "scripted"), folder / name
    mine = third.write_code(folder)
    site_folder.mkdir()
    (site_folder / "syncer.toml").write_text(
        f"[syncer]\nfolders = ['{OWN.as_posix()}', '{mine.as_posix()}']\n{toml}", encoding="utf-8"
    )
    own.SCRIPTS[f"{folder.name}-{name}"] = script = own.Script()
    given = {
        "SYNCER_WAREHOUSE": third.LINK if name == "sqlite" else "duckdb:warehouse.duckdb",
        "SYNCER_SCRIPTED_URL": f"http://script/{folder.name}-{name}",
        "SYNCER_SCRIPTED_TOKEN": "not-a-secret",
        "SYNCER_CACHE": str(folder / "cache"),
    }
    clock = MovableClock()
    doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock))
    loaded = configuration.load(variables=given, folder=site_folder)
    database: Any = new_file(site_folder)  # asked through the port only
    return Site(site_folder, loaded, clock, doors, script, database)


@pytest.mark.parametrize("toml", ["", DELTA], ids=["mirror", "delta"])
def test_everything_that_a_pull_can_use_leaves_what_duckdb_has(tmp_path: Path, toml: str) -> None:
    """Slices, states, walks, rejects, a census, repeats, versions; rows and state alike."""
    sites = [scripted(tmp_path, name, toml) for name in ("sqlite", "duckdb")]
    for site in sites:
        live(site)
    mine, theirs = (site.warehouse() for site in sites)
    names = [f"load.scripted_{name}" for name in ("things", "notes", "versioned")]
    names += [f"syncer.{name}" for name in ("marks", "rejects", "findings", "walks", "aliases", "accounts", "runs")]
    chance = ("dss_load_date", "run", "row_hash", "requests", "pid")
    times = ("updated_at", "first_seen", "last_seen", "started_at", "finished_at")
    assert differing(mine, theirs, names, chance + times) == []
    if toml:
        offers = [f"syncer.offers_{name.removeprefix('load.')}" for name in names[:1]]
        assert differing(mine, theirs, ["syncer.seen", *offers], (*chance, "dss_offered_by", "offered_by")) == []
    mine.close()
    theirs.close()


def test_the_five_sources_of_the_sandbox_leave_what_duckdb_has(tmp_path: Path) -> None:
    """All mappings; then edits in each source, and again."""
    mine = third.write_code(tmp_path)
    with built(Amount(2, 12), seed=SEED, port=0) as sandbox:
        for name in UNLIMITED:
            sandbox.sites[name].limits = None  # type: ignore[attr-defined]  # it has some
        given = {**variables(sandbox), "SYNCER_CACHE": str(tmp_path / "cache")}
        both = [
            Settings(
                warehouse=link,
                base=tmp_path,
                folders=(mine,),
                variables=given,
                tables={name: dict(words) for name, words in UNLIMITED.items()},
            )
            for link in (third.LINK, "duckdb:warehouse.duckdb")
        ]
        written = [[pulled(each) for each in both]]
        for name in sandbox.sites:
            with sandbox.locked(name) as site:
                site.edit(5, SEED)  # type: ignore[attr-defined]  # all can
        sandbox.clock.advance(LATER_S)
        written.append([pulled(each) for each in both])
    assert all(mine_wrote == theirs > 0 for mine_wrote, theirs in written)
    here, there = (find(each, clock=SystemClock()) for each in both)
    with there.transaction() as t:
        found = t.rows(sql.statement("SELECT table_name FROM information_schema.tables WHERE table_schema = 'load'"))
    names = sorted(f"load.{name}" for (name,) in found)
    assert len(names) > 30 and differing(here, there, names, ("dss_load_date",)) == []
    here.close()
    there.close()


def pulled(settings: Settings) -> int:
    """Pull everything; return how many rows were written."""
    runs = engine.pull(NAMES, settings=settings)
    assert {run.status for run in runs} == {"done"}
    return sum(run.inserted + run.updated for run in runs)


# What is its own.

KEPT = """
import sys
from pathlib import Path
from syncer import sql
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
base = Path(sys.argv[2])
settings = Settings(warehouse=sys.argv[1], base=base, folders=(base / "mine",), wait_s=20)
warehouse = find(settings, clock=SystemClock())
number = int(sys.argv[3])
while True:
    number += 1
    with warehouse.transaction() as t:
        for schema in ("load", "syncer"):
            t.run(sql.statement(f"INSERT INTO {schema}.pairs VALUES (?, 'x', NULL)"), [number])
    print("kept", flush=True)
"""


def numbers(warehouse: Warehouse, schema: str) -> list[int]:
    with warehouse.transaction() as t:
        return [number for (number,) in t.rows(sql.statement(f"SELECT a FROM {schema}.pairs ORDER BY a"))]


def test_a_commit_is_kept_in_both_files_or_in_none(settings: Settings, warehouse: Warehouse) -> None:
    """kill -9 at six moments of a stream of commits: rows and state stand in different files, and agree."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
        t.create(STATE_PAIRS)
    for moment in range(6):
        start = [settings.warehouse, str(settings.base), str(moment * 1_000_000)]
        child = subprocess.Popen([sys.executable, "-c", KEPT, *start], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline().strip() == "kept"
        time.sleep(0.023 * moment)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert numbers(warehouse, "load") == numbers(warehouse, "syncer")
    assert len(numbers(warehouse, "load")) >= 6


@pytest.mark.parametrize("schema", ["load", "syncer"])
def test_a_file_that_another_program_holds_is_waited_for_and_then_told(tmp_path: Path, schema: str) -> None:
    """Not for ever; when it is free, the same warehouse goes on."""
    warehouse = find(third.settings(tmp_path, wait_s=0.3), clock=SystemClock())
    with warehouse.transaction() as t:
        t.create(PAIRS)
    other = sqlite3.connect(tmp_path / f"contract.{schema}.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WarehouseBusy, match="another program has the file open"), warehouse.transaction():
        pass
    other.execute("ROLLBACK")
    assert numbers(warehouse, "load") == []
    other.execute("BEGIN")
    other.execute("SELECT COUNT(*) FROM sqlite_master").fetchall()  # a reader holds up the commit only
    with pytest.raises(WarehouseBusy), warehouse.transaction() as t:
        for table in (PAIRS, STATE_PAIRS):
            t.create(table)
            t.run(sql.statement(f"INSERT INTO {table.schema}.pairs VALUES (1, 'x', NULL)"))
    other.close()
    assert numbers(warehouse, "load") == []
    warehouse.close()


def test_what_was_staged_is_gone_with_its_transaction(warehouse: Warehouse) -> None:
    """It is a person's data, and SQLite would keep it as long as the connection."""
    with warehouse.transaction() as t:
        t.stage("s", pa.table({"a": ["Ada"]}), {"a": TEXT})
        t.derive("d", sql.statement("SELECT s.a FROM s"))
    with warehouse.transaction() as t:
        assert t.rows(sql.statement("SELECT name FROM temp.sqlite_master")) == []


def test_a_file_in_wal_mode_is_taken_out_of_it(settings: Settings, tmp_path: Path) -> None:
    """There a commit would be one file's: a kill could leave the place without its rows."""
    file = tmp_path / "contract.load.sqlite"
    with sqlite3.connect(file) as made:
        assert made.execute("PRAGMA journal_mode = WAL").fetchall() == [("wal",)]
        made.execute("CREATE TABLE kept (a)")
    made.close()
    warehouse = find(settings, clock=SystemClock())
    with warehouse.transaction() as t:
        t.create(PAIRS)
    warehouse.close()
    with sqlite3.connect(file) as asked:
        assert asked.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
    asked.close()


def test_nothing_is_there_before_the_first_pull(settings: Settings, warehouse: Warehouse) -> None:
    """Asking makes no table."""
    assert not warehouse.exists()
    with warehouse.transaction() as t:
        t.create(PAIRS)
    assert warehouse.exists()


ODDLY = Table(
    schema="load",
    name="oddly",
    columns=tuple(Column(kind.value, kind) for kind in (BIGINT, DOUBLE, DECIMAL, TIMESTAMP, TEXT)),
)
ODD_ROW: dict[Type, Any] = {
    BIGINT: 2**63 - 1,
    DOUBLE: 0.1 + 0.2,
    DECIMAL: decimal.Decimal("-12345678901234567890123456789.123456789"),
    TIMESTAMP: MOMENT,
    TEXT: "2026-01-31T09:30:00.123456Z",
}


def odd_values(warehouse: Warehouse) -> None:
    """What the driver would change without the page's care."""
    types, columns = (
        ODDLY.types(),
        {kind.value: pa.array([value], arrow_type(kind)) for kind, value in ODD_ROW.items()},
    )
    with warehouse.transaction() as t:
        t.create(ODDLY)
        t.stage("s", pa.table(columns), types)
        t.run(sql.statement(f"INSERT INTO load.oddly SELECT {sql.names(types)} FROM s"))
        first = tuple(ODD_ROW.values())
        t.run(sql.insert(ODDLY), first)
        assert t.rows(sql.statement(f"SELECT {sql.names(types)} FROM load.oddly")) == [first, first]
        query = 'SELECT MAX("bigint"), MAX("timestamp"), MIN("text"), COUNT(*) + 99999999999 FROM load.oddly'
        assert t.rows(sql.statement(query)) == [(2**63 - 1, MOMENT, ODD_ROW[TEXT], 100_000_000_001)]
        found = t.rows(
            sql.statement('SELECT COUNT(*) FROM load.oddly WHERE "timestamp" = ? AND "double" = ?'), first[3:0:-2]
        )
        assert found == [(2,)]


def test_what_the_driver_would_change_is_kept(warehouse: Warehouse) -> None:
    """64 bits without a type, all digits, a moment that an expression returns, a text that looks like one."""
    odd_values(warehouse)


@pytest.mark.parametrize("text", ["2026-01-31 09:30:00.123456 Z", "2026-13-45 09:30:00.123456 Z"])
def test_a_text_that_has_the_form_of_a_moment_stays_a_text(warehouse: Warehouse, text: str) -> None:
    """A column's type goes before the form; a moment that cannot be is none anywhere."""
    with warehouse.transaction() as t:
        t.create(ODDLY)
        t.run(sql.insert(ODDLY), [*list(ODD_ROW.values())[:-1], text])
        assert t.rows(sql.statement('SELECT "text", "timestamp" FROM load.oddly')) == [(text, MOMENT)]
        if "13-45" in text:
            assert t.rows(sql.statement('SELECT MAX("text") FROM load.oddly')) == [(text,)]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"BigInt": "1", ', ""),
        ('"DOUBLE TEXT"', '"DOUBLE"'),
        ('"DECIMAL TEXT(38,9)"', '"DECIMAL(38,9)"'),
        ("MOMENT.fullmatch(value)", "None"),
        ("OF_EXPRESSION: moment", "0: moment"),
        ('.isoformat(" ", "microseconds") + " Z"', '.isoformat(" ")'),
    ],
)
def test_a_wrong_backend_is_noticed(tmp_path: Path, right: str, wrong: str) -> None:
    """A test that never failed is not trusted."""
    wanted, text = third.settings(tmp_path), third.code()
    assert text.count(right) == 1
    third.write_code(tmp_path, text.replace(right, wrong))
    warehouse = find(wanted, clock=SystemClock())
    with pytest.raises(AssertionError):
        odd_values(warehouse)
    warehouse.close()


def hashes(t: Transaction, *texts: str) -> list[str]:
    """The row hash of each text."""
    t.stage("s", pa.table({"n": list(range(len(texts))), "a": list(texts)}), {"n": BIGINT, "a": TEXT})
    return [row[0] for row in t.rows(sql.statement(f"SELECT {t.row_hash('s', ['a'])} FROM s ORDER BY s.n"))]


def test_a_row_hash_holds_no_value_and_tells_long_texts_apart(warehouse: Warehouse) -> None:
    """It is kept when a person is forgotten. One letter differs at either end, or two blocks change places."""
    begin, block, other = "-" * 1124, "a" * 1125, "b" * 1125  # with its quote, a piece of the hash each: 4,500 digits
    texts = [begin + block + other, begin + other + block]
    texts += ["Ada", "x" + block, "y" + block, block + "x", block + "y"]
    with warehouse.transaction() as t:
        found = hashes(t, *texts, texts[0])
        assert len(set(found)) == len(texts) and found[0] == found[-1]
        assert all(re.fullmatch(r"\d+-\d+", each) for each in found)


def test_a_thousand_columns_are_compared(warehouse: Warehouse) -> None:
    """SQLite refuses an expression of 1,000 levels; one that changed is found."""
    names = [f"c{number}" for number in range(1000)]
    wide = Table(schema="load", name="wide", columns=tuple(Column(name, TEXT) for name in names), key=("c0",))
    with warehouse.transaction() as t:
        t.create(wide)
        for last, wanted in (("1", (0, 1)), ("1", (0, 0)), ("2", (1, 0))):
            t.stage("s", pa.table({name: ["1"] for name in names[:-1]} | {names[-1]: [last]}), wide.types())
            assert tuple(t.run(each) for each in sql.upsert_from(wide, "s", names)) == wanted
            assert len(t.rows(sql.statement(f"SELECT {t.row_hash('s', names)} FROM s"))) == 1


@pytest.mark.parametrize(
    ("text", "to", "found"),
    [
        (" -12 ", BIGINT, -12),
        ("1-2", BIGINT, None),
        ("", BIGINT, None),
        ("12.0", BIGINT, None),
        ("2026-01-31T09:30:00.123456Z", TIMESTAMP, MOMENT),
        ("2026-01-31T23:59:59.9999+02:00", TIMESTAMP, dt.datetime(2026, 1, 31, 21, 59, 59, 999900, dt.UTC)),
        ("2026-01-31 09:30:00", TIMESTAMP, dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)),
        ("2026-13-31T09:30:00Z", TIMESTAMP, None),
        ("soon", TIMESTAMP, None),
    ],
)
def test_a_version_that_became_text_is_compared_as_declared(
    warehouse: Warehouse, text: str, to: Type, found: Any
) -> None:
    """Texts are in another order; what is none is NULL."""
    with warehouse.transaction() as t:
        t.stage("s", pa.table({"a": [text]}), {"a": TEXT})
        assert t.rows(sql.statement(f"SELECT {t.try_cast('s.a', to)} FROM s")) == [(found,)]


def test_erasing_leaves_no_byte(settings: Settings, warehouse: Warehouse, tmp_path: Path) -> None:
    """Neither in the files nor in what is beside them."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
        t.run(sql.statement("INSERT INTO load.pairs VALUES (1, 'x', ?)"), ["Ada Lovelace" * 3000])
    with warehouse.transaction() as t:
        t.run(sql.statement("UPDATE load.pairs SET v = NULL"))
    assert warehouse.rewrite().left
    kept = [file for file in tmp_path.glob("contract*") if file.is_file()]
    assert kept and not [file for file in kept if b"Ada Lovelace" in file.read_bytes()]
    assert numbers(warehouse, "load") == [1]


def test_a_value_is_gone_from_the_file_with_the_commit_that_erased_it(warehouse: Warehouse, tmp_path: Path) -> None:
    """SQLite would keep it in a page that is free, or in the gaps of one that is not, until that is used again."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
        for number, text in enumerate(("Ada Lovelace" * 3000, "Ada Lovelace", "Ada Lovelace" * 20)):
            t.run(sql.statement("INSERT INTO load.pairs VALUES (?, 'x', ?)"), [number, text])
    file = tmp_path / "contract.load.sqlite"
    assert b"Ada Lovelace" in file.read_bytes()
    with warehouse.transaction() as t:
        t.run(sql.statement("UPDATE load.pairs SET v = NULL WHERE a = 0"))
        t.run(sql.statement("DELETE FROM load.pairs WHERE a > 0"))
    assert b"Ada Lovelace" not in file.read_bytes()


@pytest.mark.parametrize("schema", ["load", "syncer"])
def test_erasing_reaches_what_another_program_left(warehouse: Warehouse, tmp_path: Path, schema: str) -> None:
    """One that deletes without `secure_delete` leaves the bytes; only a file that is written anew has none."""
    with warehouse.transaction() as t:
        t.create(attrs.evolve(PAIRS, schema=schema))
        t.run(sql.statement(f"INSERT INTO {schema}.pairs VALUES (1, 'x', ?)"), ["Ada Lovelace" * 3000])
    warehouse.close()
    file = tmp_path / f"contract.{schema}.sqlite"
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA secure_delete = OFF")
        other.execute("DELETE FROM pairs")
    other.close()
    assert b"Ada Lovelace" in file.read_bytes()
    warehouse.rewrite()
    assert b"Ada Lovelace" not in file.read_bytes()
