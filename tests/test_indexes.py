"""
The indexes that a table declares, on a stand-in for a SQL Server, and on DuckDB, which has none. Those of PostgreSQL
are in `postgresql/test_indexes.py`.
"""

from __future__ import annotations

import attrs
import pytest

from syncer import shape, sql
from syncer.odbc.exactly import COLLATION
from syncer.odbc.tsqltypes import definition, indexed_lengths
from syncer.tables import Column, Table
from syncer.values import BIGINT, TEXT
from syncer.warehouses import Warehouse
from tests.servers import tsql

pytest_plugins = ["tests.servers.fixtures"]

INDEXED = Table(
    schema="syncer",
    name="kept",
    columns=(Column("plan", TEXT), Column("number", BIGINT), Column("key", TEXT), Column("more", TEXT)),
    key=("plan", "number"),
    indexes=(("key", "plan"),),
)


def test_a_text_of_an_index_has_a_length(warehouse: Warehouse, stand_in: tsql.StandIn) -> None:
    """One of any length is in none; what stands beside it is counted as it is, and not as its column allows."""
    assert indexed_lengths(INDEXED) == {"key": 818}
    assert "[key] nvarchar(818) COLLATE Latin1_General_100_BIN2 NULL" in definition(INDEXED)
    assert f"[more] nvarchar(max) COLLATE {COLLATION} NULL" in definition(INDEXED)
    with warehouse.transaction() as t:
        t.create(INDEXED)
        assert t.foreign(INDEXED) == {}
    assert [text for text in stand_in.server.sent if text.startswith("CREATE INDEX")] == [
        "CREATE INDEX [kept_key_plan] ON [syncer].[kept] ([key], [plan])"
    ]


@pytest.mark.parametrize(("letters", "made"), [(818, 1), (819, 0)])
def test_a_table_that_was_made_before_gets_its_index(
    warehouse: Warehouse, stand_in: tsql.StandIn, letters: int, made: int
) -> None:
    """Its text gets a length where every value fits; else it is found as before, and nothing is lost."""
    with warehouse.transaction() as t:
        t.create(attrs.evolve(INDEXED, indexes=()))
        t.run(sql.insert(INDEXED), ["p", 1, "k" * letters, None])
    for _ in range(2):
        with warehouse.transaction() as t:
            shape.ensure(t, INDEXED)
    sent = stand_in.server.sent
    assert sum(text.startswith("CREATE INDEX [kept_key_plan]") for text in sent) == made
    narrowed = "ALTER TABLE [syncer].[kept] ALTER COLUMN [key] nvarchar(818) COLLATE Latin1_General_100_BIN2 NULL"
    assert sent.count(narrowed) == made


def test_a_file_has_none(embedded: Warehouse) -> None:
    """DuckDB would hold it in memory as a whole, and write it at each commit."""
    with embedded.transaction() as t:
        shape.ensure(t, INDEXED)
        shape.ensure(t, INDEXED)
        t.survey(INDEXED)
        query = "SELECT index_name FROM duckdb_indexes() WHERE table_name = 'kept'"
        assert t.rows(sql.statement(query)) == []
