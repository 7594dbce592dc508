"""How a value gets into a column of somebody else's load table: what it becomes there, and what does not fit."""

from __future__ import annotations

import contextlib

import pytest

from syncer import sql
from syncer.loadtypes import Family, LoadColumn, described, fitting, wanted
from syncer.mapping import HASH, Field
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from tests.conftest import Site

MOMENT = "CAST('2026-07-01T23:30:00Z' AS TIMESTAMP WITH TIME ZONE)"
AMOUNT = "CAST('12.345' AS DECIMAL(38,9))"
SHORT, INT, BIG = (
    LoadColumn(name="x", type="varchar", longest=4),
    LoadColumn(name="x", type="integer"),
    LoadColumn(name="x", type="bigint"),
)
MONEY, ANY_NUMBER = (
    LoadColumn(name="x", type="numeric", digits=5, scale=2),
    LoadColumn(name="x", type="numeric"),
)
CURRENCY = LoadColumn(name="x", type="money", digits=19, scale=4)  # of SQL Server
WALL, WITH_ZONE, DAY, YES_NO, TEXTS, FLOAT = (
    LoadColumn(name="x", type=kind)
    for kind in ("timestamp", "timestamp with time zone", "date", "boolean", "text", "double precision")
)
BIT = LoadColumn(name="x", type="bit", longest=1)  # of PostgreSQL; other warehouses' have no length
NO = "does not fit"


@pytest.mark.parametrize(
    ("value", "stored", "column", "there"),
    [
        ("'abcd'", TEXT, SHORT, "abcd"),
        ("'abcde'", TEXT, SHORT, NO),
        ("'äöüß'", TEXT, SHORT, "äöüß"),
        ("CAST(12345 AS BIGINT)", BIGINT, SHORT, NO),
        ("CAST(1234 AS BIGINT)", BIGINT, SHORT, "1234"),
        ("TRUE", BOOLEAN, TEXTS, "true"),
        ("CAST(2147483647 AS BIGINT)", BIGINT, INT, "2147483647"),
        ("CAST(2147483648 AS BIGINT)", BIGINT, INT, NO),
        ("CAST(-2147483649 AS BIGINT)", BIGINT, INT, NO),
        ("CAST(9223372036854775807 AS BIGINT)", BIGINT, BIG, "9223372036854775807"),
        (AMOUNT, DECIMAL, INT, NO),
        ("CAST('12' AS DECIMAL(38,9))", DECIMAL, INT, "12"),
        ("'17'", TEXT, BIG, "17"),
        ("'seventeen'", TEXT, BIG, NO),
        ("''", TEXT, BIG, NO),
        (AMOUNT, DECIMAL, ANY_NUMBER, "12.345000000"),
        ("CAST('999.994' AS DECIMAL(38,9))", DECIMAL, MONEY, "999.994000000"),  # the warehouse rounds what is behind
        ("CAST('999.995' AS DECIMAL(38,9))", DECIMAL, MONEY, NO),  # which would need a fourth digit before the point
        ("CAST(1000 AS BIGINT)", BIGINT, MONEY, NO),
        ("CAST('922337203685477.5807' AS DECIMAL(38,9))", DECIMAL, CURRENCY, "922337203685477.580700000"),
        ("CAST('922337203685477.5808' AS DECIMAL(38,9))", DECIMAL, CURRENCY, NO),
        ("CAST(-9223372036854775807 - 1 AS BIGINT)", BIGINT, FLOAT, NO),
        ("CAST('9.223372036854775807e18' AS DOUBLE PRECISION)", DOUBLE, BIG, NO),
        ("CAST('-9.223372036854775808e18' AS DOUBLE PRECISION)", DOUBLE, BIG, "-9223372036854775808"),
        ("CAST('9.999999999999998e28' AS DOUBLE PRECISION)", DOUBLE, ANY_NUMBER, NO),
        ("'12.5'", TEXT, BIG, NO),
        ("'12.5'", TEXT, ANY_NUMBER, "12.500000000"),
        ("'12,5'", TEXT, ANY_NUMBER, NO),
        (AMOUNT, DECIMAL, FLOAT, "12.345"),
        ("CAST(0.5 AS DOUBLE PRECISION)", DOUBLE, ANY_NUMBER, "0.500000000"),
        ("CAST(1e35 AS DOUBLE PRECISION)", DOUBLE, ANY_NUMBER, NO),
        ("CAST(1000 AS DOUBLE PRECISION)", DOUBLE, MONEY, NO),
        ("'x'", TEXT, FLOAT, NO),
        (MOMENT, TIMESTAMP, WALL, "2026-07-01 23:30:00"),
        (MOMENT, TIMESTAMP, DAY, "2026-07-01"),
        ("CAST('2026-07-01' AS DATE)", DATE, WALL, "2026-07-01 00:00:00"),
        ("'2026-07-01T23:30:00+02:00'", TEXT, WALL, "2026-07-01 21:30:00"),
        ("'yesterday'", TEXT, WALL, NO),
        ("'yesterday'", TEXT, DAY, NO),
        ("'yesterday'", TEXT, WITH_ZONE, NO),
        ("FALSE", BOOLEAN, YES_NO, "false"),
        ("'TRUE'", TEXT, YES_NO, "true"),
        ("'perhaps'", TEXT, YES_NO, NO),
    ],
)
def test_a_value_becomes_what_the_column_holds(
    site: Site, value: str, stored: Type, column: LoadColumn, there: str
) -> None:
    """Or is found before it is written: no warehouse is left to cut it or to refuse a whole load."""
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        fit = fitting("s.x", stored, column, try_cast=t.try_cast)
        assert fit is not None
        row = f"FROM (SELECT {value} AS x) AS s"
        found = t.rows(sql.statement(f"SELECT CAST({fit.safe} AS TEXT), {fit.fits or 'TRUE'} {row}"))
    if there == NO:
        assert found == [(None, False)]
    else:
        assert found == [(there, True)]


@pytest.mark.parametrize("stored", list(Type))
@pytest.mark.parametrize("column", [SHORT, INT, BIG, MONEY, ANY_NUMBER, WALL, WITH_ZONE, DAY, YES_NO, FLOAT])
def test_a_value_that_is_not_there_fits_anywhere(site: Site, stored: Type, column: LoadColumn) -> None:
    """NULL is no reject."""
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        fit = fitting("s.x", stored, column, try_cast=t.try_cast)
        if fit is None:
            return
        native = site.database.native(stored)
        row = f"FROM (SELECT CAST(NULL AS {native}) AS x) AS s"
        assert t.rows(sql.statement(f"SELECT {fit.safe}, {fit.fits or 'TRUE'} {row}")) == [(None, True)]


def test_no_value_becomes_one_of_another_kind() -> None:
    """A date is no number, and a truth is no date."""
    for stored, column in ((DATE, INT), (BOOLEAN, WALL), (JSON, ANY_NUMBER), (BIGINT, YES_NO), (DOUBLE, DAY)):
        assert fitting("s.x", stored, column, try_cast=lambda value, to: value) is None


@pytest.mark.parametrize(
    ("told", "family", "spelled"),
    [
        (("x", "character varying", 64, None, None), Family.TEXT, "character varying(64)"),
        (("x", "nvarchar", -1, None, None), Family.TEXT, "nvarchar"),
        (("x", "DECIMAL(10,2)", None, 10, 2), Family.NUMERIC, "decimal(10,2)"),
        (("x", "numeric", None, None, None), Family.NUMERIC, "numeric"),
        (("x", "integer", None, 32, 0), Family.INTEGER, "integer"),
        (("x", "timestamp without time zone", None, None, None), Family.WALL, "timestamp without time zone"),
        (("x", "numeric", None, 5, 2046), Family.NUMERIC, "numeric(5,-2)"),
        (("x", "bit", 1, None, None), Family.BOOLEAN, "bit(1)"),
        (("x", "bit", 3, None, None), Family.OTHER, "bit(3)"),
        (("x", "bit", None, None, None), Family.BOOLEAN, "bit"),
        (("x", "ARRAY", None, None, None), Family.OTHER, "array"),
    ],
)
def test_a_type_is_read_from_the_catalogue(
    told: tuple[str, str, int | None, int | None, int | None], family: Family, spelled: str
) -> None:
    """Each warehouse has its own way to tell a size."""
    column = described(*told)
    assert (column.family, column.told) == (family, spelled)


def test_a_field_is_offered_in_the_type_that_its_column_wants() -> None:
    """So that the API's own text is typed once; what is hashed is a text, whatever the column is."""
    assert wanted(Field("x", type=BIGINT), TEXTS) is TEXT
    assert wanted(Field("x", type=JSON), TEXTS) is JSON
    assert wanted(Field("x", type=DOUBLE), MONEY) is DOUBLE
    assert wanted(Field("x"), MONEY) is DECIMAL
    assert wanted(Field("x", type=BIGINT), MONEY) is BIGINT
    assert wanted(Field("x", type=DATE), WALL) is DATE
    assert wanted(Field("x", type=BOOLEAN), BIT) is TEXT
    assert wanted(Field("x", type=DECIMAL), BIT) is BIGINT
    assert wanted(Field("x", personal=True, treatment=HASH), INT) is TEXT
