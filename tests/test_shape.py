"""Tables are created, grow and widen with their mapping; nothing that was there is lost."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.mapping import Field
from syncer.sources import Page
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from tests.conftest import Site
from tests.test_inbound import say


def define(site: Site, kind: Type, *values: Any) -> Any:
    """Let the API define a column of *kind*, and pull records with *values* in it."""
    site.script.describe = lambda stream: [Field("extra", type=kind, comment="Größe")]
    say(site, Page(records=[{"id": number, "extra": value} for number, value in enumerate(values)]))
    return site.pull("scripted.discovering")


def column(site: Site) -> tuple[str, list[Any]]:
    kind = site.rows(
        "SELECT data_type FROM duckdb_columns() WHERE table_name = 'scripted_discovering' AND column_name = 'extra'"
    )[0][0]
    return kind, [row[0] for row in site.rows("SELECT extra FROM load.scripted_discovering ORDER BY id")]


def test_a_new_definition_is_a_new_column_with_its_first_values(site: Site) -> None:
    """The name that people gave it is in the catalogue."""
    site.pull("scripted.discovering")
    define(site, BIGINT, 7)
    assert column(site) == ("BIGINT", [7])
    assert site.rows("SELECT comment FROM duckdb_columns() WHERE column_name = 'extra'") == [("Größe",)]


def test_a_definition_that_went_away_keeps_its_column(site: Site) -> None:
    """Its values stay as they were last read."""
    define(site, TEXT, "a")
    site.script.describe = lambda stream: []
    say(site, Page(records=[{"id": 0}]))
    assert site.pull("scripted.discovering").unchanged == 1
    assert column(site) == ("VARCHAR", ["a"])


@pytest.mark.parametrize(
    ("before", "value", "after", "type_name"),
    [
        (BIGINT, 5, DECIMAL, "DECIMAL(38,9)"),
        (BIGINT, 5, DOUBLE, "DOUBLE"),
        (BIGINT, 2**60 + 1, DOUBLE, "VARCHAR"),
        (DATE, "2026-01-02", TIMESTAMP, "TIMESTAMP WITH TIME ZONE"),
        (BOOLEAN, True, TEXT, "VARCHAR"),
        (BOOLEAN, True, DATE, "VARCHAR"),
        (TEXT, "a", BIGINT, "VARCHAR"),
        (DOUBLE, 1.5, BIGINT, "DOUBLE"),
        (JSON, {"a": 1}, TEXT, "VARCHAR"),
    ],
)
def test_a_column_is_widened_where_that_loses_nothing(
    site: Site, before: Type, value: Any, after: Type, type_name: str
) -> None:
    """Else it becomes text, which holds everything; it never gets narrower."""
    define(site, before, value)
    site.script.describe = lambda stream: [Field("extra", type=after)]
    say(site)
    site.pull("scripted.discovering")
    found, values = column(site)
    assert found == type_name and values[0] is not None


def test_what_did_not_fit_is_read_again_when_its_column_is_widened(site: Site) -> None:
    """The reject goes, the value comes, though the record did not change."""
    assert define(site, BIGINT, 1, "much").rejected == 1
    site.script.describe = lambda stream: [Field("extra", type=TEXT)]
    say(site)
    asked: list[Any] = []
    again = Page(records=[{"id": 1, "extra": "much"}])
    site.script.fetch = lambda stream, keys: (asked.extend(keys), iter([again]))[1]
    done = site.pull("scripted.discovering")
    assert asked == [(1,)]
    assert (done.updated, done.exit_code) == (1, 0)
    assert column(site) == ("VARCHAR", ["1", "much"])
    assert site.rows("SELECT count(*) FROM syncer.rejects") == [(0,)]


def test_a_key_column_never_changes(site: Site) -> None:
    """Ids of two kinds in one column would be two records under one key; a wider one is good enough."""
    site.pull("scripted.notes")
    site.rows("ALTER TABLE load.scripted_notes RENAME TO other")
    site.rows("CREATE TABLE load.scripted_notes (thing_id BIGINT, name BIGINT, PRIMARY KEY (thing_id, name))")
    done = site.pull("scripted.notes")
    assert done.status == "failed" and "key column name is bigint" in str(done.error)
    site.rows("DROP TABLE load.scripted_notes")
    site.rows("CREATE TABLE load.scripted_notes (thing_id VARCHAR, name VARCHAR, PRIMARY KEY (thing_id, name))")
    say(site, Page(records=[{"thing_id": 1, "name": "a"}]))
    assert site.pull("scripted.notes").inserted == 1
