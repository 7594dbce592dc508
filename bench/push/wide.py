"""
The relation of the diff: 42 columns beside the key, a quarter of the values null, as the bench's records have them;
and the same comparison written by hand, in the ways that were found fastest.

By hand a row's hash stands beside its key and nothing else, of the engine's own type; a row is compared by the hash,
or column by column with all that was agreed. What differs is kept whole, as syncer keeps it.
"""

from __future__ import annotations

from bench.push import KEY

TEXTS, NUMBERS, TIMES, WORDS = 20, 8, 8, 6
EVERY = 1000  # one row of so many changes
WIDE = "stage.wide"
AGREED = "hand.agreed"  # whole rows, as they were
HASHES = "hand.hashes"
FOUND = "hand.found"
WAYS = ("hash", "hash, then rows", "columns")


def columns() -> dict[str, str]:
    """Return the columns beside the key, and what SQL makes of a number `i`."""
    found: dict[str, str] = {}
    for at in range(TEXTS):
        found[f"text_{at:02d}"] = f"'text ' || ((i * 7919 + {at} * 31) % 1000003)"
    for at in range(NUMBERS):
        found[f"number_{at}"] = f"CAST((i * 104729 + {at}) % 1000000007 AS BIGINT)"
    for at in range(TIMES):
        moment = "TIMESTAMP WITH TIME ZONE '2020-01-01 00:00:00+00'"
        found[f"time_{at}"] = f"{moment} + CAST((i * 31 + {at}) % 100000000 AS INTEGER) * INTERVAL '1 second'"
    for at in range(WORDS):
        found[f"word_{at}"] = f"'option_' || ((i + {at}) % 9)"
    return {
        name: f"CASE WHEN (i * 7 + {at} * 13) % 4 = 0 THEN NULL ELSE {made} END"
        for at, (name, made) in enumerate(found.items())
    }


def making(rows: int) -> list[str]:
    """Write the statements that make the relation."""
    listed = ", ".join(f"{made} AS {name}" for name, made in columns().items())
    return [
        "CREATE SCHEMA IF NOT EXISTS stage",
        "CREATE SCHEMA IF NOT EXISTS hand",
        f"CREATE TABLE {WIDE} AS SELECT 'C' || LPAD(CAST(i AS TEXT), 9, '0') AS {KEY}, {listed} "
        f"FROM (SELECT g.i AS i FROM generate_series(CAST(1 AS BIGINT), {rows}) AS g(i)) AS n",
    ]


def keeping(backend: str) -> list[str]:
    """Write the statements that keep what was agreed, by hand."""
    return [
        f"CREATE TABLE {AGREED} AS SELECT * FROM {WIDE}",
        f"CREATE TABLE {HASHES} AS SELECT r.{KEY} AS {KEY}, {_hash(backend)} AS hash FROM {WIDE} AS r",
    ]


def changing() -> list[str]:
    """Write the statement that changes a few rows."""
    return [
        f"UPDATE {WIDE} SET text_01 = 'changed', word_1 = 'changed' "
        f"WHERE CAST(SUBSTR({KEY}, 2) AS BIGINT) % {EVERY} = 0"
    ]


def by_hand(backend: str, way: str) -> list[str]:
    """Write the statements of a diff by hand: new, changed and gone rows are kept whole in `FOUND`."""
    if way == "columns":
        differ = " OR ".join(f"r.{name} IS DISTINCT FROM s.{name}" for name in columns())
        return [
            f"CREATE TABLE {FOUND} AS SELECT s.{KEY} AS was, r.* FROM {WIDE} AS r FULL JOIN {AGREED} AS s "
            f"ON s.{KEY} = r.{KEY} WHERE {differ}"
        ]
    if way == "hash":
        return [
            f"CREATE TABLE {FOUND} AS SELECT s.{KEY} AS was, r.* FROM (SELECT r.*, {_hash(backend)} AS hash "
            f"FROM {WIDE} AS r) AS r FULL JOIN {HASHES} AS s ON s.{KEY} = r.{KEY} WHERE r.hash IS DISTINCT FROM s.hash"
        ]
    return [
        f"CREATE TEMPORARY TABLE other AS SELECT s.{KEY} AS was, r.{KEY} AS {KEY} FROM (SELECT r.{KEY}, "
        f"{_hash(backend)} AS hash FROM {WIDE} AS r) AS r FULL JOIN {HASHES} AS s ON s.{KEY} = r.{KEY} "
        "WHERE r.hash IS DISTINCT FROM s.hash",
        f"CREATE TABLE {FOUND} AS SELECT o.was, r.* FROM other AS o LEFT JOIN {WIDE} AS r ON r.{KEY} = o.{KEY}",
    ]


def _hash(backend: str) -> str:
    listed = ", ".join(f"r.{name}" for name in (KEY, *columns()))
    return f"hash({listed})" if backend == "duckdb" else f"hash_record_extended(ROW({listed}), 0)"
