"""What goes to a real server as arrays comes back as it went: every type, odd texts, sizes, limits."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from syncer.errors import WarehouseError
from syncer.mapping import Field
from syncer.sources import Page
from syncer.sql import names, statement
from syncer.tables import Column, Table
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type, arrow_type
from tests.conftest import Site
from tests.postgresql import Place, column, new_place, things

LIMIT = decimal.Decimal(f"{'9' * 29}.{'9' * 9}")  # 38 digits, 9 of them behind the point
ODD_TEXTS = [
    "", " ", "NULL", "null", "{NULL}", "{}", "{", "}", ",", '"', '""', "\\", '\\"', "\\\\", "\n", "\r\n", "\t", "'",
    "''", "$$", "%s", "?", ":x", "\\u0000", "\\x00", "é", "😀", "\ufeff", "\ufffd", "\u2028", "\x01", "\x7f", "a,b",
    '{"a",NULL}', '{"a":null}', "--", "/* */", ";", "\\N", "\x1b[0m", "e\u0301",
]  # fmt: skip
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(alphabet="{}\",\\NUL \n\r\t'é😀", max_size=10) | st.text(max_size=20)
LETTERS = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(LETTERS, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=4), inner, max_size=3),
    max_leaves=6,
)
VALUES: dict[Type, st.SearchStrategy[Any]] = {
    TEXT: TEXTS,
    BIGINT: st.integers(-(2**63), 2**63 - 1),
    DECIMAL: st.integers(1 - 10**38, 10**38 - 1).map(lambda digits: decimal.Decimal(f"{digits}E-9")),
    DOUBLE: st.floats(allow_nan=False),
    BOOLEAN: st.booleans(),
    DATE: st.dates(),
    TIMESTAMP: st.datetimes(timezones=st.just(dt.UTC)),
    JSON: JSONS.map(json.dumps),
}
NAMES = {kind: f"a {kind.value}" for kind in VALUES}
ROWS = st.lists(
    st.fixed_dictionaries({NAMES[kind]: st.none() | values for kind, values in VALUES.items()}), max_size=4
)


@pytest.fixture(scope="module")
def open_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One database for all cases: each rolls back."""
    made = new_place(tmp_path_factory.mktemp("texts"))
    made.warehouse()
    yield made
    made.close()


def passed(place: Place, rows: pa.Table, types: dict[str, Type]) -> list[tuple[Any, ...]]:
    """Pass a set to the server, and read it back."""
    with place.made[0].transaction() as t:
        t.stage("s", rows, types)
        return t.rows(statement(f"SELECT {names(types)} FROM s"))


def expected(kind: Type, value: Any) -> Any:
    """What must come back: a NUL is U+FFFD, JSON is compared as what it says."""
    if kind is JSON and value is not None:
        return json.loads(value)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(ROWS)
def test_every_set_comes_back_as_it_went(open_place: Place, given: list[dict[str, Any]]) -> None:
    """Every type, NULL among them, none at all."""
    types = {name: kind for kind, name in NAMES.items()}
    rows = pa.table({name: pa.array([row[name] for row in given], arrow_type(kind)) for name, kind in types.items()})
    found = passed(open_place, rows, types)
    came = [
        tuple(json.loads(v) if kind is JSON and v is not None else v for v, kind in zip(row, NAMES, strict=True))
        for row in found
    ]
    assert came == [tuple(expected(kind, row[name]) for kind, name in NAMES.items()) for row in given]


@hypothesis_settings(max_examples=100)
@given(st.lists(st.none() | TEXTS, max_size=6))
def test_texts_in_chunks_come_back_as_they_went(open_place: Place, given: list[str | None]) -> None:
    """A column that was put together of several, also of large strings and none."""
    chunks = pa.chunked_array([pa.array([value], pa.large_string()) for value in given], pa.large_string())
    found = passed(open_place, pa.table({"a": chunks}), {"a": TEXT})
    assert [value for (value,) in found] == [expected(TEXT, value) for value in given]


@hypothesis_settings(max_examples=100)
@given(st.text(alphabet="\0{a\\u0\"'", max_size=8))
def test_a_text_as_a_parameter_is_never_cut(open_place: Place, given: str) -> None:
    """Also one that looks like an array."""
    with open_place.made[0].transaction() as t:
        assert t.rows(statement("SELECT CAST(? AS TEXT)"), [given]) == [(given.replace("\0", "\ufffd"),)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TEXT, ODD_TEXTS),
        (BIGINT, [-(2**63), 2**63 - 1, 0]),
        (
            DECIMAL,
            [LIMIT, LIMIT.copy_negate(), decimal.Decimal("0E-9"), decimal.Decimal("0.000000001"), decimal.Decimal(-1)],
        ),
        (DOUBLE, [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 1e16, 123456789.123456789]),
        (BOOLEAN, [True, False]),
        (DATE, [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1582, 10, 10), dt.date(1900, 2, 28)]),
        (
            TIMESTAMP,
            [
                dt.datetime(1, 1, 1, tzinfo=dt.UTC),
                dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC),
                dt.datetime(1899, 12, 31, 23, 59, 59, 1, dt.UTC),
                dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC),
            ],
        ),
    ],
)
def test_the_ends_of_each_type_come_back(open_place: Place, kind: Type, values: list[Any]) -> None:
    """The year 1 and not `-infinity`; all 38 digits."""
    found = [value for (value,) in passed(open_place, column(values, arrow_type(kind)), {"a": kind})]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]
    if kind is DOUBLE:
        assert math.copysign(1, found[1]) == -1


@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_large_text_is_not_cut(open_place: Place, size: int) -> None:
    """With letters of two bytes and of those that are escaped, in a set and as a parameter."""
    text = 'é"\\{},' * (size // 6)
    assert passed(open_place, column([None, text], pa.string()), {"a": TEXT}) == [(None,), (text,)]
    with open_place.made[0].transaction() as t:
        ((found,),) = t.rows(statement("SELECT CAST(? AS TEXT)"), [text])
    assert found == text


def test_fifty_thousand_rows_and_none_are_passed(open_place: Place) -> None:
    """In their order, each once."""
    rows = pa.table({"a": pa.array(range(50_000), pa.int64()), "b": pa.array([f"x{n}" for n in range(50_000)])})
    found = passed(open_place, rows, {"a": BIGINT, "b": TEXT})
    assert found == [(number, f"x{number}") for number in range(50_000)]
    assert passed(open_place, rows.slice(0, 0), {"a": BIGINT, "b": TEXT}) == []


def test_a_thousand_columns_are_passed(open_place: Place) -> None:
    """One array each; more than a table can have is said in one line."""
    types = {f"column {number}": (TEXT, BIGINT)[number % 2] for number in range(1_000)}
    rows = pa.table(
        {name: pa.array([None, 7 if kind is BIGINT else "x"], arrow_type(kind)) for name, kind in types.items()}
    )
    assert passed(open_place, rows, types) == [
        (None,) * 1_000,
        tuple(7 if kind is BIGINT else "x" for kind in types.values()),
    ]
    wide = Table(schema="load", name="wide", columns=tuple(Column(f"c{n}", BIGINT) for n in range(1_601)))
    warehouse = open_place.made[0]
    with pytest.raises(WarehouseError, match=r"1,601 columns; PostgreSQL allows"), warehouse.transaction() as t:
        t.create(wide)


def test_a_row_that_fits_no_page_is_told(place: Place) -> None:
    """A thousand columns of numbers do not fit 8 kB; nothing was kept."""
    types = {f"c{number}": DECIMAL for number in range(1_000)}
    wide = Table(schema="load", name="wide", columns=tuple(Column(name, kind) for name, kind in types.items()))
    rows = pa.table({name: pa.array([LIMIT], arrow_type(DECIMAL)) for name in types})
    warehouse = place.warehouse()
    with pytest.raises(WarehouseError, match="larger than a page of PostgreSQL"), warehouse.transaction() as t:
        t.create(wide)
        t.stage("s", rows, types)
    with warehouse.transaction() as t:
        assert t.columns(wide) == {}


def test_a_nul_is_replaced_in_every_column_and_told(site: Site) -> None:
    """A reject says so for each column; the rows are there whole; the second pull writes nothing."""
    record = {"name": "a\0b", "tags": {"k\0": ["\0", "\\u0000"]}, "address": {"city": "\0"}}
    site.script.read = lambda stream, places: things(1, **record)
    pulled = site.pull()
    assert (pulled.status, pulled.inserted, pulled.rejected) == ("done", 1, 3)
    assert site.rows("SELECT name, city FROM load.scripted_things") == [("a\ufffdb", "\ufffd")]
    ((tags,),) = site.rows("SELECT tags::text FROM load.scripted_things")
    assert json.loads(tags) == {"k\ufffd": ["\ufffd", "\\u0000"]}
    reasons = site.rows('SELECT "column", reason FROM syncer.rejects ORDER BY 1')
    assert [name for name, _ in reasons] == ["city", "name", "tags"] and all("NUL" in why for _, why in reasons)
    again = site.pull()
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 1)


def test_a_record_with_a_nul_in_its_key_is_rejected(site: Site) -> None:
    """Cut or replaced, it would be another record's key: no row, and a reject that says so."""
    site.script.read = lambda stream, places: iter(
        [Page(scope="all", records=[{"thing_id": 1, "name": name, "text": "x\0"} for name in ("a\0b", "a")])]
    )
    pulled = site.pull("scripted.notes")
    assert (pulled.status, pulled.inserted) == ("done", 1)
    assert site.rows("SELECT name, text FROM load.scripted_notes") == [("a", "x\ufffd")]
    rejected = site.rows('SELECT "column", reason FROM syncer.rejects ORDER BY reason')
    assert len(rejected) == 2 and any("NUL" in why for _, why in rejected), rejected


def test_places_and_scopes_with_odd_letters_are_kept(site: Site, tmp_path: Path) -> None:
    """What a source wrote is handed back as it was."""
    odd = {"at": 'é"\\{}NULL\n', "nul": "a\0b"}
    seen: list[Any] = []

    def read(stream: str, places: Any) -> Iterator[Any]:
        seen.append(dict(places))
        yield Page(scope='{"é\\",NULL}', records=[{"id": 1}], place=odd)

    site.script.read = read
    assert site.pull().status == "done" and site.pull().status == "done"
    assert seen == [{}, {'{"é\\",NULL}': odd}]


@pytest.mark.parametrize("given", ["a\ud83db", "a\0b"])
def test_a_comment_that_no_server_holds_is_cleaned(open_place: Place, given: str) -> None:
    """Half a letter, or NUL, is told by U+FFFD, as it is in a row."""
    table = Table(schema="load", name="labelled", columns=(Column("a", BIGINT, given),), key=("a",))
    with open_place.warehouse().transaction() as t:
        t.drop(table)
        t.create(table)
        assert t.comments(table) == {"a": "a\ufffdb"}


@pytest.mark.parametrize(("given", "stored"), [("a\0b", "a\ufffdb"), ("it's \\ ?", "it's \\ ?")])
def test_any_label_of_a_field_is_a_comment(site: Site, given: str, stored: str) -> None:
    """What an administrator of the source has typed is no reason for a pull to fail."""
    site.script.describe = lambda stream: (Field("x", comment=given),)
    site.script.read = lambda stream, places: things(1, x="q")
    done = site.pull("scripted.discovering")
    assert done.status == "done", done.error
    query = (
        "SELECT col_description('load.scripted_discovering'::regclass, attnum) FROM pg_attribute WHERE attname = 'x'"
    )
    assert site.rows(query + " AND attrelid = 'load.scripted_discovering'::regclass") == [(stored,)]
