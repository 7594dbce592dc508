"""Values at the edge of what a host's column holds: each is there, or NULL and a reject; none makes a pull fail."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import pytest

from syncer import sql
from syncer.landing import Landing, Meaning
from syncer.landings import look_up
from syncer.loadtypes import Family, LoadColumn, described, fitting
from syncer.sources import Page
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from tests.conftest import Site, only
from tests.test_inbound import say

ONLY_POSTGRESQL = only("postgresql", "the types are PostgreSQL's")
NO = "does not fit"
SMALL, TINY = "0." + "0" * 60 + "1", "1e-400"  # DuckDB reads the second as a decimal

# What stands in a column of ours, by its type: one list for all of a host's types.
EDGES: dict[Type, tuple[str, ...]] = {
    TEXT: (
        "", " ", "abc", "ab        ", "1e-60", "1e-400", SMALL, "0.000000000", "12.7", "-0", "+5", "NaN", "-infinity",
        "9223372036854775808", "-9223372036854775808", "9" * 29, "9" * 400, "true", "1", "0", "1_000", "0x10", "now",
        "0000-01-01", "0001-01-01T00:00:00+15:59", "9999-12-31T23:59:59.999999-15:59", "10000-01-01", "2026-02-30",
        "2026-01-01T24:00:00Z", "2026-06-30T23:59:60Z", "2026-01-01 BC", "{1,2}", '{"a":1}', "😀😀😀😀", "١٢",
    ),
    BIGINT: ("9223372036854775807", "-9223372036854775808", "92233720368547759", "9007199254740993", "32768", "1"),
    DECIMAL: (
        "99999999999999999999999999999.999999999", "-92233720368547758.09", "92233720368547758.075", "0.000000001",
        "99999.995", "9223372036854775807.5", "1",
    ),
    DOUBLE: (
        "1e-46", "-7e-46", "1e-300", "5e-324", "1e300", "9.223372036854775807e18", "-9.223372036854775808e18",
        "9.999999999999998e28", "-0", "0.5", "1",
    ),
    BOOLEAN: ("true", "false"),
    DATE: ("0001-01-01", "9999-12-31"),
    TIMESTAMP: ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    JSON: ('{"a":"\ufffd"}', "[1,2]", '"abc"', "null", "1e300", "9" * 400),
}  # fmt: skip
FILLED = (
    "smallint", "integer", "bigint", "numeric", "numeric(5,2)", "numeric(5,-2)", "numeric(3,5)", "numeric(50,20)",
    "money", "real", "float(24)", "double precision", "boolean", "bit", "bit(1)", "char", "char(3)", "varchar(3)",
    "bpchar", "text", "date", "timestamp", "timestamp(0)", "timestamptz", "timestamptz(0)", "json", "jsonb", "short",
    "small",
)  # fmt: skip
UNFILLED = (
    "bit(3)", "varbit(3)", "name", '"char"', "time", "timetz", "interval", "uuid", "bytea", "text[]", "int[]", "inet",
    "cidr", "macaddr", "xml", "tsvector", "oid", "int4range", "point", "mood",
)  # fmt: skip


def made(site: Site, column: str, kind: str) -> Landing:
    """Make a load table as a host would, and read it out of the catalogue."""
    site.rows("CREATE SCHEMA IF NOT EXISTS load")
    site.rows(f'CREATE TABLE load.load_thing (id bigint, "{column}" {kind}, dss_record_source varchar(256))')
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        columns = look_up(t, "load", "load_thing").columns
    return Landing(schema="load", name="load_thing", label="Things api - things", columns=columns)


def has_lengths(site: Site) -> bool:
    """Tell whether a text's length is the warehouse's law: DuckDB takes `varchar(3)` for `varchar`."""
    return site.database.setting.startswith("odbc:")


def landed(site: Site, column: str, kind: str, *values: Any) -> dict[Any, Any]:
    """Pull a thing for each value, and return what stands in the load table in its place; NO: NULL and a reject."""
    say(site, Page(records=[{"id": number, column: value} for number, value in enumerate(values)]))
    done = site.pull(landing=made(site, column, kind))
    assert done.status == "done", done.error
    rejects = {key for (key,) in site.rows("SELECT key FROM syncer.rejects")}
    found = site.rows(f'SELECT id, CAST("{column}" AS TEXT) FROM load.load_thing ORDER BY id')
    assert all((str(key) in rejects) == (value is None) for key, value in found), (found, rejects)
    return {values[key]: NO if value is None else value for key, value in found}


@pytest.mark.parametrize("kind", ["real", "float4"])
def test_a_number_too_small_for_a_real_is_a_reject(site: Site, kind: str) -> None:
    """PostgreSQL refused the whole load, each night again; DuckDB made it 0."""
    found = landed(site, "weight", kind, 1e-46, 1e-300, 5e-324, 1e39, 0.5, 1e-40)
    assert found == {1e-46: NO, 1e-300: NO, 5e-324: NO, 1e39: NO, 0.5: "0.5", 1e-40: "1e-40"}


def test_a_text_too_small_for_a_real_is_a_reject(site: Site) -> None:
    """As a number is."""
    assert landed(site, "name", "real", "1e-60", "1e-400", "1e40", "1.5", "0.0") == {
        "1e-60": NO,
        "1e-400": NO,
        "1e40": NO,
        "1.5": "1.5",
        "0.0": "0" if site.database.setting.startswith("odbc:") else "0.0",
    }


def test_a_number_too_small_for_others_stands_in_double_precision(site: Site) -> None:
    """A double of ours is one there."""
    assert landed(site, "weight", "double precision", 1e-300, 5e-324) == {1e-300: "1e-300", 5e-324: "5e-324"}


@ONLY_POSTGRESQL
def test_money_beyond_its_range_is_a_reject(site: Site) -> None:
    """It is 64 bits of cents."""
    edge, beyond = "92233720368547758.07", "92233720368547758.075"
    found = landed(site, "price", "money", "1e20", "-1e20", beyond, edge, "12.345")
    assert found == {
        "1e20": NO,
        "-1e20": NO,
        beyond: NO,
        edge: "$92,233,720,368,547,758.07",
        "12.345": found["12.345"],
    }
    assert found["12.345"] in ("$12.35", "$12.34")


@ONLY_POSTGRESQL
@pytest.mark.parametrize("kind", ["bit", "bit(1)"])
def test_a_bit_has_truths_and_nought_and_one(site: Site, kind: str) -> None:
    """The server refused each of them: no truth becomes a bit by itself."""
    assert landed(site, "is_sold", kind, True, False, "true") == {True: "1", False: "0", "true": "1"}


@ONLY_POSTGRESQL
def test_a_bit_has_numbers_and_texts_that_are_one_or_nought(site: Site) -> None:
    """And no others."""
    assert landed(site, "size", "bit", 0, 1, 2) == {0: "0", 1: "1", 2: NO}
    assert site.rows("SELECT reason FROM syncer.rejects") == [("does not fit bit(1) of load.load_thing",)]
    site.rows("DROP TABLE load.load_thing")
    site.rows("DROP SCHEMA syncer CASCADE")
    assert landed(site, "name", "bit", "0", "1", "TRUE", "yes", "") == {
        "0": "0",
        "1": "1",
        "TRUE": "1",
        "yes": NO,
        "": NO,
    }


@ONLY_POSTGRESQL
def test_a_numeric_that_ends_before_the_point_is_rounded_to_there(site: Site) -> None:
    """Its scale is less than nothing, which the catalogue tells as a large one."""
    landing = made(site, "size", "numeric(5,-2)")
    assert landing.columns[1].told == "numeric(5,-2)"
    site.rows("DROP TABLE load.load_thing")
    assert landed(site, "size", "numeric(5,-2)", 1200, 9_999_900, 9_999_950) == {
        1200: "1200",
        9_999_900: "9999900",
        9_999_950: NO,
    }


@ONLY_POSTGRESQL
def test_no_value_makes_a_load_fail(site: Site) -> None:
    """Whatever stands in a column of ours, and whatever a host's column is: all values of a type in one statement."""
    _make_types(site)
    site.rows("CREATE SCHEMA load")
    for kind in FILLED:
        site.rows("DROP TABLE IF EXISTS load.load_thing")
        site.rows(f"CREATE TABLE load.load_thing (x {kind})")
        with contextlib.closing(site.warehouse()) as warehouse:
            for stored, texts in EDGES.items():
                _fill(site, warehouse, kind, stored, texts)


@ONLY_POSTGRESQL
def test_what_no_value_of_ours_becomes_is_filled_by_nothing(site: Site) -> None:
    """A column of such a type is named once, and stays NULL."""
    _make_types(site)
    site.rows("CREATE SCHEMA load")
    site.rows(f"CREATE TABLE load.load_thing ({', '.join(f'x{i} {kind}' for i, kind in enumerate(UNFILLED))})")
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        columns = look_up(t, "load", "load_thing").columns
    assert [column.told for column in columns if column.family is not Family.OTHER] == []


@pytest.mark.parametrize(
    ("text", "kind", "there"),
    [
        ("12.7", LoadColumn(name="x", type="integer"), NO),
        ("12.0", LoadColumn(name="x", type="integer"), "12"),
        (SMALL, LoadColumn(name="x", type="double precision"), NO),
        (TINY, LoadColumn(name="x", type="double precision"), NO),
        (SMALL, LoadColumn(name="x", type="real"), NO),
        ("-0.000000000000", LoadColumn(name="x", type="double precision"), "0"),
    ],
)
def test_a_text_is_not_rounded_away(site: Site, text: str, kind: LoadColumn, there: str) -> None:
    """To a whole number, or to nothing."""
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        fit = fitting("s.x", TEXT, kind, try_cast=t.try_cast)
        assert fit is not None
        row = f"FROM (SELECT {sql.literal(text)} AS x) AS s"
        ((value, fits),) = t.rows(sql.statement(f"SELECT {fit.safe}, {fit.fits} {row}"))
    assert (value is None, fits) == ((True, False) if there == NO else (False, True))
    assert there == NO or float(value) == float(there)


def test_a_float_of_24_bits_is_a_real() -> None:
    """DuckDB calls it `float`, SQL Server calls one of 53 bits so."""
    fits = [
        fitting("s.x", BIGINT, described("x", "FLOAT", None, bits, None), try_cast=lambda value, to: value)
        for bits in (24, 53)
    ]
    assert [fit is not None and str(2**24) in fit.fits for fit in fits] == [True, False]


def _make_types(site: Site) -> None:
    site.rows("CREATE DOMAIN short AS varchar(3)")
    site.rows("CREATE DOMAIN small AS numeric(3,1)")
    site.rows("CREATE TYPE mood AS ENUM ('sad', 'ok')")


def _fill(site: Site, warehouse: Any, kind: str, stored: Type, texts: tuple[str, ...]) -> None:
    """Fill a column with all values of a type of ours; each is there, or does not fit."""
    with warehouse.transaction() as t:
        (column,) = look_up(t, "load", "load_thing").columns
        fit = fitting("s.x", stored, column, try_cast=t.try_cast)
        if fit is None:
            return
        values = ", ".join(f"({sql.literal(text)})" for text in texts)
        t.derive(
            "edges",
            sql.statement(f"SELECT CAST(v.x AS {site.database.native(stored)}) AS x FROM (VALUES {values}) AS v(x)"),
        )
        t.run(sql.statement("DELETE FROM load.load_thing AS t"))
        t.run(sql.statement(f"INSERT INTO load.load_thing (x) SELECT {fit.safe} FROM edges AS s"))
        fits = fit.fits or "TRUE"
        ((filled,),) = t.rows(sql.statement("SELECT COUNT(x) FROM load.load_thing"))
        ((fitted,),) = t.rows(sql.statement(f"SELECT COUNT(*) FROM edges AS s WHERE {fits}"))
        ((misfits,),) = t.rows(sql.statement(f"SELECT COUNT(*) FROM edges AS s WHERE NOT ({fits})"))
    assert (filled, fitted + misfits) == (fitted, len(texts)), (kind, stored)


@pytest.mark.parametrize(
    ("kind", "there"), [("varchar(3)", None), ("integer", None), ("varchar(20)", "[MASKED]"), ("text", "[MASKED]")]
)
def test_a_constant_that_does_not_fit_is_null(site: Site, kind: str, there: str | None) -> None:
    """It is the same in every row: what the site sees at once needs no reject a row."""
    landing = attrs.evolve(made(site, "prompt", kind), meanings={"prompt": Meaning(constant="[MASKED]")})
    say(site, Page(records=[{"id": 1}]))
    assert site.pull(landing=landing).status == "done"
    if kind == "varchar(3)" and not has_lengths(site):
        there = "[MASKED]"
    assert site.rows("SELECT prompt FROM load.load_thing") == [(there,)]


@pytest.mark.parametrize(("kind", "longest"), [("varchar(5)", 0), ("char(10)", 0), ("varchar(40)", 40), ("text", 40)])
def test_a_load_date_that_does_not_fit_is_null(site: Site, kind: str, longest: int) -> None:
    """Its column is the host's as any other."""
    landing = made(site, "dss_load_date", kind)
    site.rows('ALTER TABLE load.load_thing ADD COLUMN "name" text')
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        landing = attrs.evolve(landing, columns=look_up(t, "load", "load_thing").columns)
    say(site, Page(records=[{"id": 1, "name": "a"}]))
    assert site.pull(landing=landing).status == "done"
    ((date,),) = site.rows("SELECT dss_load_date FROM load.load_thing")
    assert (date is None) == (longest == 0 and has_lengths(site)), date
