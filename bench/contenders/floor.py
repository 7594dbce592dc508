"""
The floor: the fastest load that we know, with nothing around it. What is above it is the price of an engine.

Of each group of 10,000 rows one transaction: a temporary table, an update of what differs, an insert of what is new,
and the mark. No checks, no retries, no rejects, no second thread, no lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contenders import DUCKDB, Job
from bench.records import COLUMNS, NUMBERS, TIMES

if TYPE_CHECKING:
    import duckdb

IMPORTED = ("bench.arrow", "bench.fetch", "duckdb")

_KINDS = {
    column: "BIGINT" if column in NUMBERS else "TIMESTAMPTZ" if column in TIMES else "VARCHAR" for column in COLUMNS
}
_REST = COLUMNS[1:]
_CREATE = (
    "CREATE TABLE IF NOT EXISTS records ("
    f"{', '.join(f'{name} {kind}' for name, kind in _KINDS.items())}, PRIMARY KEY (id));"
    "CREATE TABLE IF NOT EXISTS marks (name VARCHAR PRIMARY KEY, place BIGINT)"
)
_STAGE = "CREATE OR REPLACE TEMP TABLE batch AS FROM arriving"
_UPDATE = (
    f"UPDATE records AS b SET {', '.join(f'{name} = s.{name}' for name in _REST)} FROM batch AS s "
    f"WHERE b.id = s.id AND ({' OR '.join(f'b.{name} IS DISTINCT FROM s.{name}' for name in _REST)})"
)
_INSERT = "INSERT INTO records SELECT s.* FROM batch AS s ANTI JOIN records AS b ON b.id = s.id"
_MARK = "INSERT OR REPLACE INTO marks VALUES ('records', ?)"


def load(job: Job) -> int:
    """Load all pages; return how many rows were written."""
    import duckdb

    from bench import arrow, fetch

    connection = duckdb.connect(str(job.database), config=DUCKDB)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(_CREATE)
    written = 0
    for batches in arrow.groups(fetch.pages(job.url), arrow.columns):
        written += _commit(connection, batches, batches[-1]["id"][-1].as_py())
    connection.close()
    return written


def _commit(connection: duckdb.DuckDBPyConnection, batches: list[Any], place: int) -> int:
    """Bring a group in, with its mark; return how many rows were written."""
    from bench import arrow

    connection.execute("BEGIN TRANSACTION")
    connection.register("arriving", arrow.table(batches))
    connection.execute(_STAGE)
    connection.unregister("arriving")
    written = sum(connection.execute(statement).fetchall()[0][0] for statement in (_UPDATE, _INSERT))
    connection.execute(_MARK, [place])
    connection.execute("COMMIT")
    return int(written)
