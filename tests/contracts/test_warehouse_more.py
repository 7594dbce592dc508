"""
The contract of a warehouse, continued: what a backend gets wrong without a pull noticing, and what the way out asks of
it. It runs on every warehouse of `test_warehouse.py`.
"""

from __future__ import annotations

import datetime as dt
import decimal
import subprocess
import sys
import threading
import time
from typing import Any

import attrs
import pyarrow as pa
import pytest

from syncer import sql
from syncer.clock import SystemClock
from syncer.errors import WarehouseBusy
from syncer.settings import Settings
from syncer.tables import Column, Table
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from syncer.warehouses import Transaction, Warehouse, find
from tests.contracts import test_warehouse as contract

settings, warehouse = contract.settings, contract.warehouse
ODD, PAIRS = contract.ODD, contract.PAIRS
MOMENT = dt.datetime(2026, 1, 31, 9, 30, 0, 123456, dt.UTC)
CUT = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
KEPT = Table(schema="load", name="kept", columns=())


def ask(t: Transaction, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return t.rows(sql.statement(query), parameters)


def stage(t: Transaction, **columns: list[Any]) -> None:
    """Make a temporary table `s` of texts, numbered."""
    count = len(next(iter(columns.values())))
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    t.stage("s", pa.table({"n": list(range(count)), **texts}), {"n": BIGINT, **dict.fromkeys(columns, TEXT)})


# Values.


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TIMESTAMP, MOMENT),
        (TIMESTAMP, dt.datetime(2026, 1, 31, 0, 30, 0, 1, dt.timezone(dt.timedelta(hours=2)))),
        (TIMESTAMP, CUT),
        (DOUBLE, 0.1 + 0.2),
        (DOUBLE, 1e300 / 3),
        (DOUBLE, -2.2250738585072014e-308),
        (DECIMAL, decimal.Decimal("-12345678901234567890123456789.123456789")),
        (BIGINT, 2**63 - 1),
        (DATE, dt.date(1850, 2, 28)),
        (BOOLEAN, False),
        (TEXT, "2026-01-31 09:30:00.123456"),
    ],
)
def test_a_parameter_is_kept_and_found_as_it_is(warehouse: Warehouse, kind: Type, value: Any) -> None:
    """One cut to whole seconds, or to 15 digits, is another value: a row would be written again by each pull."""
    name = f"a {kind.value}"
    with warehouse.transaction() as t:
        t.create(ODD)
        t.run(sql.statement(f'INSERT INTO load.odd (id, "{name}") VALUES (?, ?)'), [1, value])
        contract.load(t, {"id": 2, name: value})
        assert ask(t, f'SELECT "{name}" FROM load.odd ORDER BY id') == [(value,), (value,)]
        assert ask(t, f'SELECT COUNT(*) FROM load.odd WHERE "{name}" = ?', value) == [(2,)]
        assert ask(t, f'SELECT COUNT(DISTINCT "{name}") FROM load.odd') == [(1,)]


def test_moments_are_compared_to_the_microsecond(warehouse: Warehouse) -> None:
    """A slice ends between two that are one apart."""
    later, name = MOMENT + dt.timedelta(microseconds=1), "a timestamp"
    with warehouse.transaction() as t:
        t.create(ODD)
        contract.load(t, {"id": 1, name: MOMENT}, {"id": 2, name: later})
        assert ask(t, f'SELECT id FROM load.odd WHERE "{name}" < ?', later) == [(1,)]
        assert ask(t, f'SELECT id FROM load.odd WHERE "{name}" > ?', MOMENT) == [(2,)]
        assert ask(t, f'SELECT MAX("{name}"), MIN("{name}") FROM load.odd') == [(later, MOMENT)]


def test_numbers_of_an_expression_have_64_bits(warehouse: Warehouse) -> None:
    """A driver that is told no type may give 32 of them."""
    with warehouse.transaction() as t:
        t.create(ODD)
        contract.load(t, {"id": 7, "a bigint": -(2**40)})
        query = (
            'SELECT MAX(id) + 5000000000, COUNT(*) + 99999999999, MIN("a bigint"), MAX("a bigint" + 1) FROM load.odd'
        )
        assert ask(t, query) == [(5_000_000_007, 100_000_000_000, -(2**40), 1 - 2**40)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7", 7), ("-12", -12), ("+5", 5), ("007", 7), ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None), ("abc", None), ("", None), ("-", None), ("1-2", None), ("1 2", None),
        ("12abc", None), (None, None),
    ],
)  # fmt: skip
def test_what_is_no_number_is_null(warehouse: Warehouse, text: str | None, found: int | None) -> None:
    """An error would end the pull, and 0 would be a version."""
    with warehouse.transaction() as t:
        stage(t, a=[text])
        assert ask(t, f"SELECT {t.try_cast('s.a', BIGINT)} FROM s AS s") == [(found,)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-31T09:30:00.123456Z", MOMENT),
        ("2026-01-31T09:30:00.123456", MOMENT),
        ("2026-01-31 09:30:00.123456+00:00", MOMENT),
        ("2026-01-31T09:30:00.12345600Z", MOMENT),
        ("2026-01-31T11:30:00.1234560000+02:00", MOMENT),
        ("2026-01-31T06:00:00.123456000-0330", MOMENT),
        ("2026-01-31T11:30:00.000+0200", CUT),
        ("2026-01-31T09:30:00Z", CUT),
        ("2026-01-31T09:30Z", CUT),
        ("2026-01-31T09:30", CUT),
        ("2026-01-31 11:30+02:00", CUT),
        ("2026-01-31T11:30+02", CUT),
        ("2026-01-31", dt.datetime(2026, 1, 31, tzinfo=dt.UTC)),
        *((text, None) for text in ("2026", "2026-01-31T09Z", "2026-02-30T09:30Z", "2026-13-01T09:30:00Z",
          "2026-01-31T09:60Z", "2026-01-31T09:30:00.1.2Z", "soon", "", None)),
    ],
)  # fmt: skip
def test_what_is_no_moment_is_null(warehouse: Warehouse, text: str | None, found: dt.datetime | None) -> None:
    """With and without seconds, decimals, an offset, its colon; what is none, or cannot be, is no error."""
    with warehouse.transaction() as t:
        stage(t, a=[text])
        assert ask(t, f"SELECT {t.try_cast('s.a', TIMESTAMP)} FROM s AS s") == [(found,)]


@pytest.mark.parametrize("text", ["2026-01-31T09:30:00.12345678Z", "2026-01-31T11:30:00.123456789+0200"])
def test_decimals_beyond_the_sixth_move_a_moment_by_a_microsecond_at_most(warehouse: Warehouse, text: str) -> None:
    """One warehouse cuts them, another rounds."""
    with warehouse.transaction() as t:
        stage(t, a=[text])
        ((found,),) = ask(t, f"SELECT {t.try_cast('s.a', TIMESTAMP)} FROM s AS s")
    assert found in (MOMENT, MOMENT + dt.timedelta(microseconds=1))


def test_a_text_starts_with_what_stands_at_its_beginning(warehouse: Warehouse) -> None:
    """Letter by letter: scopes of a walk begin with each other, and `%` is a letter."""
    texts = ["a/b", "ba/b", "A/b", "a", "", "a%b", None]
    with warehouse.transaction() as t:
        stage(t, a=texts)
        for given in ("a", "a/", "%", "a%", "b"):
            found = [
                texts[n] for (n,) in ask(t, "SELECT s.n FROM s AS s WHERE STARTS_WITH(s.a, ?) ORDER BY s.n", given)
            ]
            assert found == [text for text in texts if text is not None and text.startswith(given)], given


@pytest.mark.parametrize("by", ["/", "|", ".", ",", "~", " "])
def test_a_text_is_split_by_any_letter(warehouse: Warehouse, by: str) -> None:
    """A part that is not there is an empty text; of NULL there is none."""
    texts = [f"x{by}y z'\"\\{by}😀", f"{by}y", "/|.,~", "", "alone", None]
    with warehouse.transaction() as t:
        stage(t, a=texts)
        for place in (1, 2, 3):
            found = [row[0] for row in ask(t, f"SELECT SPLIT_PART(s.a, '{by}', {place}) FROM s AS s ORDER BY s.n")]
            parts = [None if text is None else [*text.split(by), "", ""][place - 1] for text in texts]
            assert found == parts


PARTS: list[tuple[str | None, str | None, str | None]] = [
    ("a'b", "c", "d"), ("a", "b'c", "d"), ("a", "b", "c'd"), ("a','b", "c", "d"), ("a", "b','c", "d"),
    ("a,b", "c", "d"), ("a", "b,c", "d"), ("ab", "c", "d"), ("a", "bc", "d"), ("abcd", "", ""), ("", "abcd", ""),
    (None, "", ""), ("", None, ""), ("", "", None), ("", "", ""), (None, None, None), ("NULL", "NULL", "NULL"),
    ("''", "", ""), ("", "''", ""), ("\\", "", ""), ('"', "", ""), ("1", "23", ""), ("12", "3", ""),
]  # fmt: skip


def test_a_row_hash_tells_where_a_value_ends(warehouse: Warehouse) -> None:
    """Quotes, separators and words of a backend's own may stand in a text."""
    with warehouse.transaction() as t:
        stage(t, **{name: [row[place] for row in PARTS] for place, name in enumerate("abc")})
        hashes = ask(t, f"SELECT {t.row_hash('s', ['a', 'b', 'c'])} FROM s AS s")
        assert len(set(hashes)) == len(PARTS)
        t.stage("s", pa.table({"a": [1, 12], "b": [23, 3]}), {"a": BIGINT, "b": BIGINT})
        assert len(set(ask(t, f"SELECT {t.row_hash('s', ['a', 'b'])} FROM s AS s"))) == 2
        stage(t, **{name: [row[place] for row in PARTS] for place, name in enumerate("abc")})
        typed = t.row_hash("s", dict.fromkeys("abc", TEXT))
        assert len(set(ask(t, f"SELECT {typed} FROM s AS s"))) == len(PARTS)


def test_a_transaction_with_room_is_one_like_others(warehouse: Warehouse) -> None:
    """However many rows there are: it is all kept, and the next one follows."""
    for rows in (0, 1, 1_000_000, 10_000_000_000):
        with warehouse.transaction() as t:
            t.create(PAIRS)
            t.make_room(rows)
            t.run(sql.insert(PAIRS), [rows, "b", "v"])
    with warehouse.transaction() as t:
        assert ask(t, f"SELECT COUNT(*) FROM {sql.table_name(PAIRS)}") == [(4,)]


@pytest.mark.parametrize("comment", ["x" * 3_760, "😀" * 2_000, "x" + "😀" * 2_000])
def test_a_long_comment_is_kept_or_cut_between_letters(warehouse: Warehouse, comment: str) -> None:
    """One that is cut ends with `…`, by which it is known again as ours."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
        t.comment(PAIRS, Column("v", TEXT, comment))
    with warehouse.transaction() as t:
        kept = t.comments(PAIRS)["v"]
    assert kept == comment or (kept.endswith("…") and comment.startswith(kept[:-1]) and len(kept) > 1_800)


# What others do at the same time.


def test_what_is_not_there_does_not_exist(warehouse: Warehouse) -> None:
    """A status of a site that never pulled asks this first."""
    assert not warehouse.exists()
    with warehouse.transaction() as t:
        t.create(attrs.evolve(PAIRS, schema="syncer"))
    assert warehouse.exists()


def test_erasing_leaves_no_byte_that_is_ours(settings: Settings, warehouse: Warehouse) -> None:
    """Neither in the files nor beside them; a server has none of ours, and says what it keeps."""
    with warehouse.transaction() as t:
        t.create(PAIRS)
        for number, text in enumerate(("Ada Lovelace" * 3000, "Ada Lovelace", "Ada Lovelace" * 20)):
            t.run(sql.statement("INSERT INTO load.pairs VALUES (?, 'x', ?)"), [number, text])
    with warehouse.transaction() as t:
        t.run(sql.statement("UPDATE load.pairs SET v = NULL WHERE a = 0"))
        t.run(sql.statement("DELETE FROM load.pairs WHERE a > 0"))
    done = warehouse.rewrite()
    warehouse.close()
    files = [file for file in settings.base.rglob("contract*") if file.is_file()]
    assert not [file for file in files if b"Ada Lovelace" in file.read_bytes()]
    assert files or done.left
    with warehouse.transaction() as t:
        assert ask(t, "SELECT a, v FROM load.pairs") == [(0, None)]


OTHER = """
import sys
from pathlib import Path
from syncer import sql
from syncer.clock import SystemClock
from syncer.settings import Settings
from syncer.warehouses import find
folder = Path(sys.argv[2])
own = tuple(map(Path, sys.argv[-1].split("|"))) if sys.argv[-1] else ()
warehouse = find(Settings(warehouse=sys.argv[1], base=folder, folders=own, wait_s=20), clock=SystemClock())
with warehouse.transaction() as t:
    if sys.argv[3] == "writes":
        t.run(sql.statement("UPDATE load.pairs SET v = 'theirs'"))
    else:
        t.rows(sql.statement("SELECT COUNT(*) FROM load.pairs"))
    print("there", flush=True)
    sys.stdin.readline()
    t.run(sql.statement("INSERT INTO load.pairs VALUES (1, 'theirs', NULL)"))
warehouse.close()
"""


def other(settings: Settings, does: str) -> subprocess.Popen[str]:
    """Another process in the middle of a transaction, which ends when it is told to go on."""
    link = [settings.warehouse, str(settings.base), does, contract.folders(settings)]
    command = [sys.executable, "-c", OTHER, *link]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline().strip() == "there"
    return child


def go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go on\n")
    child.stdin.flush()


def prepare(warehouse: Warehouse) -> None:
    with warehouse.transaction() as t:
        t.create(PAIRS)
        t.run(sql.statement("INSERT INTO load.pairs VALUES (0, 'x', NULL)"))
    warehouse.close()


def test_what_another_holds_is_waited_for_and_then_told(settings: Settings, warehouse: Warehouse) -> None:
    """Neither for ever nor as another error; when it is free, the same warehouse goes on."""
    prepare(warehouse)
    mine = find(attrs.evolve(settings, wait_s=0.5), clock=SystemClock())
    child = other(settings, "writes")
    try:
        began = time.monotonic()
        with pytest.raises(WarehouseBusy), mine.transaction() as t:
            t.run(sql.statement("UPDATE load.pairs SET v = 'mine'"))
        assert 0.4 < time.monotonic() - began < 5
    finally:
        child.kill()
        child.wait()
    with mine.transaction() as t:
        assert t.run(sql.statement("UPDATE load.pairs SET v = 'mine' WHERE v IS NULL")) == 1
    mine.close()


def test_two_that_read_and_then_write_are_both_kept(settings: Settings, warehouse: Warehouse) -> None:
    """Who reads first must not be refused when it wants to write: each would wait for the other to end."""
    prepare(warehouse)
    child = other(settings, "reads")
    began = time.monotonic()
    threading.Timer(0.3, go_on, [child]).start()
    with warehouse.transaction() as t:
        ask(t, "SELECT COUNT(*) FROM load.pairs")
        time.sleep(max(0.0, began + 0.6 - time.monotonic()))
        t.run(sql.statement("INSERT INTO load.pairs VALUES (2, 'mine', NULL)"))
    warehouse.close()
    assert child.wait(20) == 0
    with warehouse.transaction() as t:
        assert ask(t, "SELECT a FROM load.pairs ORDER BY a") == [(0,), (1,), (2,)]


# What the way out asks.

SHAPES = {
    "table": "SELECT * FROM load.odd AS o",
    "view": 'SELECT * FROM "load"."odd_view" AS o',
    "with": "WITH w AS (SELECT * FROM load.odd ORDER BY id), v AS (SELECT * FROM w) SELECT * FROM v",
    "with inside": "SELECT * FROM (WITH w AS (SELECT * FROM load.odd) SELECT * FROM w) AS r",
    "order": 'SELECT * FROM load.odd ORDER BY id DESC, "a text"',
    "limit": "SELECT * FROM (SELECT * FROM load.odd ORDER BY id LIMIT 5) AS r ORDER BY id",
    "union": "SELECT * FROM load.odd UNION ALL SELECT * FROM load.odd WHERE id < 0 ORDER BY id",
    "semicolon": "SELECT * FROM load.odd;",
    "semicolons": "SELECT * FROM load.odd ; ; \n",
    "comment": "SELECT * FROM load.odd -- it's all of them",
    "comment before": "/* it's */ SELECT * -- what's\nFROM load.odd",
    "comments": "SELECT * FROM load.odd /* all; */ ; -- it's done;\n-- really",
}


def filled(warehouse: Warehouse) -> None:
    """A table with a row of values and one of NULLs, and a view of it."""
    with warehouse.transaction() as t:
        t.create(ODD)
        contract.load(t, contract.FULL_ROW, {"id": 2})
        t.run(sql.statement("CREATE VIEW load.odd_view AS SELECT * FROM load.odd"))


def told(found: dict[str, Type], *, jsons: tuple[str, ...] = ("a json",)) -> dict[str, Type]:
    """A driver may tell JSON as the text that it is."""
    return {name: JSON if name in jsons and kind is TEXT else kind for name, kind in found.items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_columns_of_a_query_are_told_with_their_types(warehouse: Warehouse, shape: str) -> None:
    """Whatever a person's query ends with; in their order, and without reading a row."""
    filled(warehouse)
    with warehouse.transaction() as t:
        found = told(t.query_columns(sql.statement(SHAPES[shape])))
        assert found == ODD.types() and list(found) == list(ODD.types())
        assert ask(t, "SELECT COUNT(*) FROM load.odd") == [(2,)]  # the session goes on


def test_the_columns_of_expressions_are_told(warehouse: Warehouse) -> None:
    """By the names that they are given, letters as they are."""
    filled(warehouse)
    query = 'SELECT id AS "Id", "a text" AS "it\'s -- a; name", \'-- x;\' AS "text", COUNT(*) AS n, 7 AS "seven" '
    query += 'FROM load.odd GROUP BY id, "a text"'
    with warehouse.transaction() as t:
        found = t.query_columns(sql.statement(query))
    assert list(found) == ["Id", "it's -- a; name", "text", "n", "seven"]
    assert [found[name] for name in ("Id", "it's -- a; name", "text")] == [BIGINT, TEXT, TEXT]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rows_of_a_query_are_saved(warehouse: Warehouse, shape: str) -> None:
    """As a table like any other: a later connection has the same rows, of the same types."""
    filled(warehouse)
    with warehouse.transaction() as t:
        assert t.save(KEPT, sql.statement(SHAPES[shape])) == 2
    warehouse.close()
    with warehouse.transaction() as t:
        assert told(t.columns(KEPT)) == ODD.types()
        query = f"SELECT {sql.names(ODD.types())} FROM load.{{}} ORDER BY id"
        assert ask(t, query.format("kept")) == ask(t, query.format("odd"))
        assert t.run(sql.statement("DELETE FROM load.kept AS k WHERE k.id = 2")) == 1


def test_a_saved_table_takes_the_place_of_the_one_before(warehouse: Warehouse) -> None:
    """With parameters, texts and NULLs of its own; in a schema that was not there."""
    filled(warehouse)
    table = Table(schema="syncer", name="copy_of_plan", columns=())
    query = "SELECT o.id AS id, ? AS given, CAST(NULL AS TEXT) AS was, TRUE AS is_new FROM load.odd AS o "
    with warehouse.transaction() as t:
        t.save(table, sql.statement("SELECT 1 AS other"))
    with warehouse.transaction() as t:
        where = 'WHERE o.id > ? OR o."a timestamp" > ?'
        assert t.save(table, sql.statement(f"{query} {where}; -- it's ?"), ["it's", 1, MOMENT]) == 1
    with warehouse.transaction() as t:
        assert list(t.columns(table)) == ["id", "given", "was", "is_new"]
        ((number, given, was, is_new),) = ask(t, f"SELECT * FROM {sql.table_name(table)}")
        assert (number, given, was, bool(is_new)) == (2, "it's", None, True)
        t.run(sql.statement(f"UPDATE {sql.table_name(table)} AS c SET was = ?"), ["x" * 5_000])
        assert ask(t, f"SELECT LENGTH(c.was) FROM {sql.table_name(table)} AS c") == [(5_000,)]


def test_a_saved_table_is_dropped_with_its_transaction(warehouse: Warehouse) -> None:
    """All or nothing holds for it, too: what stood there before stands again."""
    filled(warehouse)
    with warehouse.transaction() as t:
        t.save(KEPT, sql.statement("SELECT 1 AS a"))
    with pytest.raises(KeyError), warehouse.transaction() as t:
        t.save(KEPT, sql.statement("SELECT 2 AS a UNION ALL SELECT 3 AS a"))
        raise KeyError
    with warehouse.transaction() as t:
        assert ask(t, "SELECT a FROM load.kept") == [(1,)]


def test_a_table_is_dropped_and_one_that_is_not_there_is_not_missed(warehouse: Warehouse) -> None:
    """Whoever drops a plan's copy does not know whether another did."""
    filled(warehouse)
    with warehouse.transaction() as t:
        t.drop(KEPT)
        t.save(KEPT, sql.statement("SELECT id FROM load.odd"))
        t.drop(KEPT)
        t.drop(KEPT)
        assert t.columns(KEPT) == {} and t.columns(ODD) != {}


def test_what_is_derived_has_the_types_of_its_query(warehouse: Warehouse) -> None:
    """A moment stays one, and a decimal exact; what stands around the query is no part of its comment."""
    filled(warehouse)
    names = sql.names(name for name in ODD.types() if name != "a json")
    with warehouse.transaction() as t:
        query = f"WITH w AS (SELECT {names} FROM load.odd WHERE id >= ?) SELECT * FROM w ORDER BY id; -- it's all"
        assert t.derive("d", sql.statement(query), [1]) == 2
        assert ask(t, f"SELECT {names} FROM d AS d ORDER BY id") == ask(t, f"SELECT {names} FROM load.odd ORDER BY id")
