"""
The rows that are pushed: made by SQL in the warehouse, and by Python in the portal, of a number and a version.

A row of a later version has another phone and another size; all else of it is the same. Not here: the wide rows of the
diff (`wide.py`).
"""

from __future__ import annotations

import datetime as dt

from bench.push import KEY, RELATION

TIERS = ("gold", "silver", "bronze")
# Name, type and kind of field in the portal; what SQL makes of the number `i` and the version `v`.
COLUMNS = (
    (KEY, "string", "text", "'C' || LPAD(CAST(i AS TEXT), 7, '0')"),
    ("name", "string", "text", "'Company ' || i"),
    ("phone", "string", "text", "'+31 ' || v || ' ' || i"),
    ("city", "string", "text", "'City ' || (i % 500)"),
    ("address", "string", "text", "'Street ' || (i % 9000) || ', ' || (i % 77)"),
    ("industry", "string", "text", "'Industry ' || (i % 40)"),
    ("size", "number", "number", "CAST(i % 1000 + v * 1000 AS BIGINT)"),
    ("revenue", "number", "number", "CAST(i AS DECIMAL(20, 2)) / 4"),
    ("since", "date", "date", "DATE '2020-01-01' + CAST(i % 1000 AS INTEGER)"),
    (
        "met_at", "datetime", "date",
        "TIMESTAMP WITH TIME ZONE '2026-01-01 09:00:00+00' + CAST(i % 1000 AS INTEGER) * INTERVAL '1 minute'",
    ),
    ("is_customer", "bool", "booleancheckbox", "(i % 3 = 0)"),
    ("tier", "enumeration", "select", "CASE i % 3 WHEN 0 THEN 'gold' WHEN 1 THEN 'silver' ELSE 'bronze' END"),
)  # fmt: skip


def values(number: int, version: int = 1) -> dict[str, str]:
    """Return a row as the portal has it: texts."""
    day = dt.date(2020, 1, 1) + dt.timedelta(days=number % 1000)
    met = dt.datetime(2026, 1, 1, 9, tzinfo=dt.UTC) + dt.timedelta(minutes=number % 1000)
    quarter = number % 4 * 25
    return {
        KEY: f"C{number:07d}",
        "name": f"Company {number}",
        "phone": f"+31 {version} {number}",
        "city": f"City {number % 500}",
        "address": f"Street {number % 9000}, {number % 77}",
        "industry": f"Industry {number % 40}",
        "size": str(number % 1000 + version * 1000),
        "revenue": f"{number // 4}.{quarter:02d}".rstrip("0").rstrip(".") if quarter else str(number // 4),
        "since": day.isoformat(),
        "met_at": f"{met:%Y-%m-%dT%H:%M:%SZ}",
        "is_customer": "true" if number % 3 == 0 else "false",
        "tier": TIERS[number % 3],
    }


def inserting(first: int, last: int, version: int = 1) -> list[str]:
    """Write the statements that make the relation where it is missing, and put rows from *first* to *last* into it."""
    listed = ", ".join(f'{expression} AS "{name}"' for name, _, _, expression in COLUMNS)
    rows = f"SELECT {listed} FROM (SELECT g.i AS i, {version} AS v FROM generate_series({first}, {last}) AS g(i)) AS n"
    return [
        "CREATE SCHEMA IF NOT EXISTS stage",
        f"CREATE TABLE IF NOT EXISTS {RELATION} AS {rows} WHERE 1 = 0",
        f"INSERT INTO {RELATION} {rows}",
    ]


def changing(first: int, last: int, version: int, *, every: int = 1) -> list[str]:
    """Write the statement that changes each *every*-th row from *first* to *last* to a later version."""
    number = f"CAST(SUBSTR({KEY}, 2) AS BIGINT)"
    return [
        f"UPDATE {RELATION} SET phone = '+31 {version} ' || {number}, size = {number} % 1000 + {version * 1000} "
        f"WHERE {number} BETWEEN {first} AND {last} AND {number} % {every} = 0"
    ]
