"""The hash of a row and the memory of a diff, where a server's session may be set otherwise."""

from __future__ import annotations

import datetime as dt

import pytest

from syncer.sql import statement
from syncer.values import Type
from syncer.warehouses import Transaction
from tests.postgresql import Place

TYPES = {
    "t": Type.TEXT,
    "i": Type.BIGINT,
    "n": Type.DECIMAL,
    "f": Type.DOUBLE,
    "b": Type.BOOLEAN,
    "d": Type.DATE,
    "z": Type.TIMESTAMP,
}
ROW = (
    "SELECT CAST('a' AS text) AS t, CAST(-7 AS bigint) AS i, CAST(1.50 AS numeric) AS n, CAST(0.1 AS float8) AS f, "
    "TRUE AS b, CAST('2026-03-01' AS date) AS d, CAST('2026-03-01 12:00:00.000001+00' AS timestamptz) AS z"
)


def hash_of(t: Transaction, row: str, types: dict[str, Type]) -> str:
    return str(t.rows(statement(f"SELECT {t.row_hash('r', types)} FROM ({row}) AS r"))[0][0])


@pytest.mark.parametrize(
    "setting", ["TimeZone = 'Asia/Tokyo'", "DateStyle = 'German'", "work_mem = '64kB'", "jit = on", "search_path = ''"]
)
def test_a_hash_is_the_same_in_every_session(place: Place, setting: str) -> None:
    """It is kept for years, and compared with what another session makes of the same row."""
    one, other = place.warehouse(), place.warehouse()
    with one.transaction() as t:
        expected = hash_of(t, ROW, TYPES)
    with other.transaction() as t:
        t.run(statement(f"SET LOCAL {setting}"))
        assert hash_of(t, ROW, TYPES) == expected


def test_values_of_two_types_never_share_a_hash(place: Place) -> None:
    """A column that became a moment holds other values than the numbers before, though their bytes are the same."""
    moment = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    micros = int((moment - dt.datetime(2000, 1, 1, tzinfo=dt.UTC)).total_seconds()) * 1_000_000
    with place.warehouse().transaction() as t:
        (number,), (time,) = t.rows(
            statement(f"SELECT CAST(int8send({micros}) AS text) UNION ALL SELECT timestamptz_send('{moment}')::text")
        )
        assert number == time
        found = {
            hash_of(t, f"SELECT CAST({micros} AS bigint) AS v", {"v": Type.BIGINT}),
            hash_of(t, f"SELECT CAST('{moment}' AS timestamptz) AS v", {"v": Type.TIMESTAMP}),
            hash_of(t, f"SELECT '{micros}' AS v", {"v": Type.TEXT}),
            hash_of(t, f"SELECT CAST({micros} AS numeric) AS v", {"v": Type.DECIMAL}),
        }
    assert len(found) == 4


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("CAST(7 AS smallint)", Type.BIGINT),
        ("CAST(7 AS integer)", Type.BIGINT),
        ("CAST('2026-03-01 12:00' AS timestamp)", Type.TIMESTAMP),
        ("CAST('{}' AS json)", Type.TEXT),
        ("CAST('{}' AS jsonb)", Type.TEXT),
        ("CAST('1.50' AS money)", Type.DOUBLE),
        ("CAST(B'1' AS bit(1))", Type.BOOLEAN),
        ("CAST('infinity' AS timestamptz)", Type.TIMESTAMP),
    ],
)
def test_a_column_of_a_type_of_their_own_is_hashed(place: Place, value: str, kind: Type) -> None:
    """A relation is somebody's view: its columns have the server's types, not ours."""
    with place.warehouse().transaction() as t:
        assert hash_of(t, f"SELECT {value} AS v", {"v": kind}) != hash_of(t, "SELECT NULL AS v", {"v": Type.TEXT})


def test_memory_is_raised_for_a_large_join_until_its_transaction_ends(place: Place) -> None:
    """By default a server hashes a million rows in parts; what a site gave us stays where it is more."""
    ask = statement("SELECT current_setting('work_mem')")
    warehouse = place.warehouse()
    for rows, expected in ((1_000, "4MB"), (1_000_000, "250000kB"), (10**10, "256MB")):
        with warehouse.transaction() as t:
            t.make_room(rows)
            assert t.rows(ask) == [(expected,)]
    with warehouse.transaction() as t:
        assert t.rows(ask) == [("4MB",)]
        t.run(statement("SET LOCAL work_mem = '1GB'"))
        t.make_room(1_000_000)
        assert t.rows(ask) == [("1GB",)]
