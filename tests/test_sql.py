"""Each statement is one that sqlglot reads whole: another dialect is then its business."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlglot

from syncer import sql
from syncer.sources import DELETED, Page, State, Whole
from tests.backends import columns_of
from tests.conftest import Site
from tests.test_inbound import say, thing
from tests.test_offers import TOML


def live(site: Site) -> None:
    """Use everything that a pull can use: both styles, slices, states, walks, rejects, censuses, repeats."""
    whole = Whole(columns=("thing_id",), values=[(1,)], within=("thing_id",), absent=DELETED)
    say(
        site,
        Page(records=[thing(n, size="x" if n in (3, 7) else n) for n in range(12)]),
        Page(records=[thing(2, name="again")], place={"n": 1}),
    )
    site.pull()
    say(site, Page(records=[thing(3)], states=[State(key=(4,), state="merged", into="5")]))
    site.pull()
    site.script.keys = lambda stream, places: iter([Page(records=[{"id": n} for n in range(10)], whole=Whole())])
    site.pull(mode="census")
    say(site, Page(scope="s", records=[{"thing_id": 1, "name": "a"}, {"thing_id": 1, "name": "b"}], whole=whole))
    site.pull("scripted.notes")
    say(site, Page(scope="s", records=[{"thing_id": 1, "name": "b"}], whole=whole))
    site.pull("scripted.notes")
    say(site, Page(records=[{"id": 1, "name": "x", "updated": "2026-01-01T00:00:00Z"}]))
    site.pull("scripted.versioned", mode="full")


TABLES = (
    ("load", "scripted_things"),
    ("load", "scripted_notes"),
    ("syncer", "rejects"),
    ("syncer", "aliases"),
    ("syncer", "marks"),
)
OF_THE_RUN = {"dss_load_date", "run", "first_seen", "last_seen", "updated", "updated_at"}


def state(site: Site) -> list[Any]:
    found = []
    for schema, table in TABLES:
        columns = [name for name in columns_of(site.database, table, schema=schema) if name not in OF_THE_RUN]
        found.append(sorted(map(repr, site.rows(f"SELECT {sql.names(columns)} FROM {schema}.{table}"))))
        assert found[-1], table
    return found


@pytest.mark.parametrize("toml", ["", TOML])
def test_what_sqlglot_makes_of_the_statements_does_the_same(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, toml: str
) -> None:
    """Parsed and written anew, every statement of a pull still means what it meant."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 5)
    as_written, rewritten = make_site(toml, "one"), make_site(toml, "two")
    live(as_written)
    used: list[str] = []

    def always(self: sql.Statement, dialect: str) -> str:
        used.append(self.text)
        written = sqlglot.parse_one(self.text, read="duckdb").sql(dialect=dialect)
        return written.replace("%s", "?")  # its mark of a parameter for PostgreSQL is psycopg's

    monkeypatch.setattr(sql.Statement, "sql", always)
    live(rewritten)
    assert state(rewritten) == state(as_written)
    assert len(set(used)) > 30
