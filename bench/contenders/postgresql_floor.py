"""
The floor on PostgreSQL: the fastest load over ODBC that we know, with nothing around it.

Of each group one transaction: the records as one JSON text, taken apart by `json_to_recordset` and typed there, in one
`INSERT … ON CONFLICT DO UPDATE … WHERE` something differs; and the mark. No checks, no retries, no rejects, no second
thread, no lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contenders import GROUP_ROWS, Job
from bench.postgresql import Address
from bench.records import COLUMNS, NUMBERS, TIMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IMPORTED = ("bench.fetch", "orjson", "pyodbc")
TABLE = "load.records"

_KINDS = {
    column: "bigint" if column in NUMBERS else "timestamptz" if column in TIMES else "text" for column in COLUMNS
}
_TYPED = ", ".join(f"{name} {kind}" for name, kind in _KINDS.items())
_REST = COLUMNS[1:]
_CREATE = (
    "CREATE SCHEMA IF NOT EXISTS load",
    f"CREATE TABLE IF NOT EXISTS load.records ({_TYPED}, PRIMARY KEY (id))",
    "CREATE TABLE IF NOT EXISTS load.marks (name text PRIMARY KEY, place bigint)",
)
_UPSERT = (
    f"INSERT INTO load.records AS b SELECT * FROM json_to_recordset(?::json) AS s ({_TYPED}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _REST)} "
    f"WHERE {' OR '.join(f'b.{name} IS DISTINCT FROM excluded.{name}' for name in _REST)}"
)
_MARK = "INSERT INTO load.marks VALUES ('records', ?) ON CONFLICT (name) DO UPDATE SET place = excluded.place"


def load(job: Job) -> int:
    """Load all pages; return how many rows were written."""
    import orjson
    import pyodbc

    from bench import fetch

    connection = pyodbc.connect(Address.of(job.folder).odbc, autocommit=False)
    cursor = connection.cursor()
    for statement in ("SET TIME ZONE 'UTC'", *_CREATE):
        cursor.execute(statement)
    connection.commit()
    written = 0
    for records in _groups(fetch.pages(job.url)):
        place = records[-1]["id"]
        cursor.execute(_UPSERT, orjson.dumps(records).decode())
        written += cursor.rowcount
        cursor.execute(_MARK, place)
        connection.commit()
    connection.close()
    return written


def _groups(pages: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of GROUP_ROWS rows' pages together."""
    records: list[dict[str, Any]] = []
    for page in pages:
        records += page
        if len(records) >= GROUP_ROWS:
            yield records
            records = []
    if records:
        yield records
