"""The contract of a warehouse: every backend runs through this suite. Add one to WAREHOUSES, and nothing else."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncer import sql
from syncer.clock import SystemClock
from syncer.errors import LeaseHeld
from syncer.settings import Settings
from syncer.tables import Column, Table
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, arrow_type
from syncer.warehouses import Transaction, Warehouse, find
from tests.contracts import third
from tests.servers import postgresql, sqlserver


def new_database() -> str:
    """A connection string of an empty database."""
    server = postgresql.shared()
    return server.string(server.database())


WAREHOUSES: dict[str, Callable[[Path], Settings]] = {
    "duckdb": lambda folder: Settings(warehouse="duckdb:contract.duckdb", base=folder, wait_s=20),
    "sqlite": lambda folder: third.settings(folder),
    "sqlserver": lambda folder: Settings(warehouse=f"odbc:{sqlserver.new_database()}", base=folder, wait_s=20),
    "postgresql": lambda folder: Settings(warehouse=f"odbc:{new_database()}", base=folder, wait_s=20),
}
KINDS = (TEXT, BIGINT, DECIMAL, DOUBLE, BOOLEAN, DATE, TIMESTAMP, JSON)
ODD = Table(
    schema="load",
    name="odd",
    columns=(
        Column("id", BIGINT),
        *(Column(f"a {kind.value}", kind, 'it\'s a "comment"') for kind in KINDS),
        Column("order", TEXT),
    ),
    key=("id",),
)
PAIRS = Table(
    schema="load", name="pairs", columns=(Column("a", BIGINT), Column("b", TEXT), Column("v", TEXT)), key=("a", "b")
)


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.sqlserver] if name == "sqlserver" else []) for name in sorted(WAREHOUSES)
    ]
)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return WAREHOUSES[request.param](tmp_path)


@pytest.fixture
def warehouse(settings: Settings) -> Any:
    found = find(settings, clock=SystemClock())
    yield found
    found.close()


def odd_rows(*rows: dict[str, Any]) -> pa.Table:
    columns = {
        column.name: pa.array([row.get(column.name) for row in rows], arrow_type(column.type))
        for column in ODD.columns
    }
    return pa.table(columns)


def load(t: Transaction, *rows: dict[str, Any]) -> tuple[int, int]:
    """Bring rows in by the statements that all backends share."""
    t.stage("s_odd", odd_rows(*rows), ODD.types())
    update, insert = sql.upsert_from(ODD, "s_odd", list(ODD.types()))
    return t.run(update), t.run(insert)


FULL_ROW = {
    "id": 1,
    "a text": 'O\'Neil "q" \\ \n\t{x} %s ? 😀 \u00e9',
    "a bigint": -(2**63),
    "a decimal": decimal.Decimal("12345678901234567890.123456789"),
    "a double": 0.1,
    "a boolean": False,
    "a date": dt.date(1850, 2, 28),
    "a timestamp": dt.datetime(1899, 12, 31, 23, 59, 59, 123456, dt.UTC),
    "a json": '{"a":[1,null,"x"]}',
    "order": "",
}


def everything(t: Transaction) -> list[tuple[Any, ...]]:
    return t.rows(sql.statement(f"SELECT {sql.names(ODD.types())} FROM load.odd ORDER BY id"))


def test_every_type_comes_back_as_it_went(warehouse: Warehouse) -> None:
    """Values and NULLs of each type, odd names, odd letters, times aware and in UTC."""
    with warehouse.transaction() as t:
        t.create(ODD)
        assert load(t, FULL_ROW, {"id": 2}) == (0, 2)
    with warehouse.transaction() as t:
        first, second = everything(t)
    found = dict(zip(ODD.types(), first, strict=True))
    assert json.loads(found.pop("a json")) == {"a": [1, None, "x"]}
    assert found == {name: value for name, value in FULL_ROW.items() if name != "a json"}
    assert second == (2, *(None for _ in KINDS), None)


def test_a_megabyte_of_text_passes(warehouse: Warehouse) -> None:
    """Texts are not cut."""
    with warehouse.transaction() as t:
        t.create(ODD)
        load(t, {"id": 1, "a text": "é" * 1_000_000})
        assert t.rows(sql.statement('SELECT LENGTH("a text") FROM load.odd')) == [(1_000_000,)]


def test_equal_rows_are_not_written(warehouse: Warehouse) -> None:
    """The count of rows written is the truth that the run record tells."""
    with warehouse.transaction() as t:
        t.create(ODD)
        load(t, FULL_ROW, {"id": 2})
    with warehouse.transaction() as t:
        assert load(t, FULL_ROW, {"id": 2}) == (0, 0)
        assert load(t, {**FULL_ROW, "order": None}, {"id": 2, "a boolean": True}, {"id": 3}) == (2, 1)


def test_a_transaction_is_all_or_nothing(warehouse: Warehouse) -> None:
    """Rows, state and DDL alike."""
    with warehouse.transaction() as t:
        t.create(ODD)
    with pytest.raises(KeyError), warehouse.transaction() as t:
        load(t, FULL_ROW)
        t.add_column(ODD, Column("later", TEXT))
        raise KeyError
    with warehouse.transaction() as t:
        assert everything(t) == [] and "later" not in t.columns(ODD)


def test_the_catalogue_tells_columns_and_types(warehouse: Warehouse) -> None:
    """Empty where there is no table; a person's own column is seen too."""
    with warehouse.transaction() as t:
        assert t.columns(ODD) == {}
        t.create(ODD)
        assert t.columns(ODD) == ODD.types()
        t.add_column(ODD, Column("later", TIMESTAMP))
        assert t.columns(ODD)["later"] is TIMESTAMP


@pytest.mark.parametrize(
    ("kind", "value", "to"),
    [
        (BIGINT, 7, DECIMAL),
        (BIGINT, 7, DOUBLE),
        (BIGINT, 7, TEXT),
        (DATE, dt.date(2026, 1, 2), TIMESTAMP),
        (BOOLEAN, True, TEXT),
        (JSON, "[1]", TEXT),
    ],
)
def test_a_column_is_widened_with_its_values(warehouse: Warehouse, kind: Any, value: Any, to: Any) -> None:
    """No value is lost, and the key stands."""
    name = f"a {kind.value}"
    with warehouse.transaction() as t:
        t.create(ODD)
        load(t, {"id": 1, name: value}, {"id": 2})
        t.widen(ODD, name, to)
        assert t.columns(ODD)[name] is to
        (one,), (two,) = t.rows(sql.statement(f'SELECT "{name}" FROM load.odd ORDER BY id'))
    assert one is not None and two is None


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (BIGINT, -7, "-7"),
        (DECIMAL, decimal.Decimal("17.5"), "17.5"),
        (DECIMAL, decimal.Decimal(-100), "-100"),
        (DECIMAL, decimal.Decimal("0.000000001"), "0.000000001"),
        (DECIMAL, decimal.Decimal(0), "0"),
        (BOOLEAN, True, "true"),
        (DATE, dt.date(850, 1, 2), "0850-01-02"),
        (TIMESTAMP, dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC), "2026-01-31T09:30:00Z"),
        (TIMESTAMP, dt.datetime(1899, 12, 31, 23, 59, 59, 20000, dt.UTC), "1899-12-31T23:59:59.020Z"),
        (TIMESTAMP, dt.datetime(2026, 1, 31, 9, 30, 1, 123456, dt.UTC), "2026-01-31T09:30:01.123456Z"),
        (JSON, '{"a":["x"]}', '{"a":["x"]}'),
        (JSON, '"a \\"text\\""', 'a "text"'),
    ],
)
def test_what_becomes_text_reads_as_an_api_writes_it(warehouse: Warehouse, kind: Any, value: Any, text: str) -> None:
    """Else every row of a column that was widened would differ from what comes next."""
    with warehouse.transaction() as t:
        t.create(ODD)
        load(t, {"id": 1, f"a {kind.value}": value}, {"id": 2})
        t.widen(ODD, f"a {kind.value}", TEXT)
        query = sql.statement(f'SELECT "a {kind.value}" FROM load.odd ORDER BY id')
        (one,), (two,) = t.rows(query)
        assert two is None and (json.loads(one) == json.loads(text) if text[0] == "{" else one == text)
        if kind in (DECIMAL, TIMESTAMP):  # typed as declared, the column being wider
            t.stage("s", odd_rows({"id": 1, f"a {kind.value}": value}), {"id": BIGINT, f"a {kind.value}": TEXT})
            assert t.rows(sql.statement(f'SELECT "a {kind.value}" FROM s')) == [(text,)]


def test_comments_are_told_and_changed(warehouse: Warehouse) -> None:
    """They stay when the column is widened; one that is empty is taken away."""
    name = "a bigint"
    with warehouse.transaction() as t:
        assert t.comments(ODD) == {}
        t.create(ODD)
        t.add_column(ODD, Column("later", TEXT, "{x} %s ? 😀"))
    with warehouse.transaction() as t:
        commented = {f"a {kind.value}": 'it\'s a "comment"' for kind in KINDS}
        assert t.comments(ODD) == {**commented, "later": "{x} %s ? 😀"}
        t.comment(ODD, Column(name, BIGINT, "It's new"))
        t.comment(ODD, Column("later", TEXT))
        t.widen(ODD, name, TEXT)
    with warehouse.transaction() as t:
        assert t.comments(ODD) == {**commented, name: "It's new"}


def test_a_type_of_a_persons_own_is_told_and_taken_back(warehouse: Warehouse) -> None:
    """With the values that it has, where they are the same as before in the type that it gets."""
    name = f"a {BIGINT.value}"
    with warehouse.transaction() as t:
        t.create(ODD)
        load(t, {"id": 1, name: 5})
        assert t.foreign(ODD) == {}
        t.run(sql.statement(f'ALTER TABLE load.odd ALTER COLUMN "{name}" SET DATA TYPE SMALLINT'))
    with warehouse.transaction() as t:
        assert list(t.foreign(ODD)) == [name]
        assert t.holds(ODD, name, BIGINT) and not t.holds(ODD, name, DATE)
        t.widen(ODD, name, BIGINT)
        assert t.foreign(ODD) == {}
        assert t.rows(sql.statement(f'SELECT "{name}" FROM load.odd')) == [(5,)]


@pytest.mark.parametrize(
    ("kind", "value", "to", "is_held"),
    [
        (BIGINT, 5, DOUBLE, True),
        (BIGINT, 2**60 + 1, DOUBLE, False),
        (TEXT, "7", BIGINT, True),
        (TEXT, "07", BIGINT, False),
    ],
)
def test_what_a_cast_would_lose_is_known_before(
    warehouse: Warehouse, kind: Any, value: Any, to: Any, is_held: bool
) -> None:
    """It casts there and back."""
    with warehouse.transaction() as t:
        t.create(ODD)
        load(t, {"id": 1, f"a {kind.value}": value})
        assert t.holds(ODD, f"a {kind.value}", to) is is_held


def test_names_are_told_as_the_warehouse_compares_them(warehouse: Warehouse) -> None:
    """`EXTRA` is the column `extra` where the warehouse takes one for the other; comments are told under that name."""
    extra = Column("extra", TEXT, "more")
    with warehouse.transaction() as t:
        t.create(PAIRS)
        t.run(sql.statement('ALTER TABLE load.pairs ADD COLUMN "EXTRA" TEXT'))
    with warehouse.transaction() as t:
        if "extra" not in t.columns(PAIRS):
            t.add_column(PAIRS, extra)
        t.comment(PAIRS, extra)
        assert t.comments(PAIRS)["extra"] == "more"
        t.run(sql.statement("UPDATE load.pairs SET extra = 'x'"))


def test_a_set_is_passed_whatever_its_size(warehouse: Warehouse) -> None:
    """Ten thousand rows at once, and none."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
        for size in (0, 1, 10_000):
            rows = pa.table(
                {
                    "a": pa.array(range(size), pa.int64()),
                    "b": pa.array(["x"] * size, pa.string()),
                    "v": pa.nulls(size, pa.string()),
                }
            )
            t.stage("s_pairs", rows, PAIRS.types())
            assert t.rows(sql.statement("SELECT COUNT(*) FROM s_pairs")) == [(size,)]
        assert t.run(sql.insert_new(PAIRS, "s_pairs", ["a", "b", "v"])) == 10_000


def test_a_key_is_the_same_text_in_the_warehouse_and_in_python(warehouse: Warehouse) -> None:
    """Rejects and findings find their rows by it."""
    from syncer.rows import key_text

    keys = [(1, "a/b"), (-2, "~x~1/"), (3, ""), (4, "😀")]
    rows = pa.table({"a": [key[0] for key in keys], "b": [key[1] for key in keys], "v": pa.nulls(4, pa.string())})
    with warehouse.transaction() as t:
        t.stage("s", rows, PAIRS.types())
        found = t.rows(sql.statement(f"SELECT {sql.key_text('s', PAIRS.key, PAIRS.types())} FROM s ORDER BY ABS(s.a)"))
    assert [text for (text,) in found] == [key_text(key) for key in keys]


def test_a_row_hash_tells_rows_apart(warehouse: Warehouse) -> None:
    """NULL, empty text, and values that moved between columns are different rows."""
    rows = [(1, "a", None), (1, None, "a"), (1, "", None), (1, None, None), (1, "a", None)]
    table = pa.table(
        {
            "a": [row[0] for row in rows],
            "b": pa.array([row[1] for row in rows]),
            "v": pa.array([row[2] for row in rows]),
        }
    )
    with warehouse.transaction() as t:
        t.stage("s", table, PAIRS.types())
        hashes = [row[0] for row in t.rows(sql.statement(f"SELECT {t.row_hash('s', ['a', 'b', 'v'])} FROM s"))]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (DECIMAL, decimal.Decimal(5), decimal.Decimal(-5)),
        (BIGINT, 1, 2**32),
        (BIGINT, -1, 2**32 - 1),
        (DOUBLE, 0.1, 0.10000000000000002),
        (BOOLEAN, True, False),
        (DATE, dt.date(2026, 1, 1), dt.date(2026, 1, 2)),
        (TIMESTAMP, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, 0, 0, 0, 1, dt.UTC)),
        (JSON, "12.5", "-12.5"),
        (JSON, "[1]", "[[[1]]]"),
        (TEXT, "a", "a "),
        (TEXT, "a", "A"),
    ],
)
def test_a_row_hash_tells_values_apart(warehouse: Warehouse, kind: Any, one: Any, other: Any) -> None:
    """A hash of a number without its sign would hide a change for ever."""
    name = f"a {kind.value}"
    types = {"id": BIGINT, name: kind}
    with warehouse.transaction() as t:
        t.stage("s", odd_rows({"id": 1, name: one}, {"id": 1, name: other}, {"id": 1, name: None}), types)
        for columns in (list(types), types):  # with and without what the types are
            made = t.row_hash("s", columns)
            hashes = t.rows(sql.statement(f"SELECT {made} FROM s"))
            assert hashes == t.rows(sql.statement(f"SELECT {made} FROM s"))
            assert len(set(hashes)) == 3


def test_a_lease_is_held_by_one(settings: Settings, warehouse: Warehouse) -> None:
    """The second is told who holds it, and since when; after its release it is free."""
    other = find(settings, clock=SystemClock())
    lease = warehouse.lease("x@default", run="r1", wait_s=0)
    with pytest.raises(LeaseHeld, match=r"x@default is being run by process \d+ on .* since 20"):
        other.lease("x@default", run="r2", wait_s=0)
    with pytest.raises(LeaseHeld, match=r"since 20.*; waited 0\.6 s\. Wait longer"):
        other.lease("x@default", run="r2", wait_s=0.6)
    assert set(other.leases()) == {"x@default"}
    other.lease("y@default", run="r3", wait_s=0).release()
    threading.Timer(0.5, lease.release).start()
    other.lease("x@default", run="r4", wait_s=20).release()
    assert other.leases() == {}
    other.close()


def folders(settings: Settings) -> str:
    """The folders of a site, for another process."""
    return "|".join(str(folder.absolute()) for folder in settings.folders)


HOLDER = """
import sys, time
from pathlib import Path
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
folder = Path(sys.argv[2])
own = tuple(map(Path, sys.argv[-1].split("|"))) if sys.argv[-1] else ()
warehouse = find(Settings(warehouse=sys.argv[1], base=folder, folders=own), clock=SystemClock())
lease = warehouse.lease("x@default", run="r1", wait_s=0)
print("held", flush=True)
time.sleep(60)
"""


def test_a_lease_ends_with_its_process(settings: Settings, warehouse: Warehouse) -> None:
    """kill -9 must not leave a mapping locked for good."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, settings.warehouse, str(settings.base), folders(settings)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline().strip() == "held"
    with pytest.raises(LeaseHeld, match=str(holder.pid)):
        warehouse.lease("x@default", run="r2", wait_s=0)
    holder.kill()
    holder.wait()
    warehouse.lease("x@default", run="r3", wait_s=5).release()


WRITER = """
import sys, time
from pathlib import Path
from syncer import sql
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
folder = Path(sys.argv[2])
own = tuple(map(Path, sys.argv[-1].split("|"))) if sys.argv[-1] else ()
warehouse = find(Settings(warehouse=sys.argv[1], base=folder, folders=own, wait_s=60), clock=SystemClock())
for number in range(int(sys.argv[3]), int(sys.argv[3]) + 20):
    with warehouse.transaction() as t:
        t.run(sql.statement("INSERT INTO load.pairs VALUES (?, 'x', NULL)"), [number])
    warehouse.rest(waiting=True)
    time.sleep(0.01)
"""


def test_processes_take_turns(settings: Settings, warehouse: Warehouse) -> None:
    """Several pulls and a reader on one warehouse: all finish, nothing is lost, the reader is answered."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
    warehouse.rest(waiting=True)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, settings.warehouse, str(settings.base), str(start), folders(settings)]
        )
        for start in (0, 100)
    ]
    longest = 0.0
    while any(writer.poll() is None for writer in writers):
        began = time.monotonic()
        with warehouse.transaction() as t:
            t.rows(sql.statement("SELECT COUNT(*) FROM load.pairs"))
        warehouse.rest(waiting=True)
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    assert [writer.returncode for writer in writers] == [0, 0]
    with warehouse.transaction() as t:
        assert t.rows(sql.statement("SELECT COUNT(*) FROM load.pairs")) == [(40,)]
    assert longest < 5
