"""A warehouse is used by people while we load it: what they hang on a load table stays, or is told; no row is lost."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.mapping import Field
from syncer.sources import Page
from syncer.values import BIGINT, DECIMAL, TEXT
from tests.conftest import Site, only
from tests.test_inbound import say, thing

NAME, TABLE = "scripted.discovering", "load.scripted_discovering"
COUNT = "SELECT count(*) FROM load.scripted_things"


def refused(site: Site, *words: str) -> None:
    """Pull two more things, of which neither the rows nor the place may stay; then they wait for a table in order."""
    say(site, Page(records=[thing(1), thing(2), thing(3)], place={"n": 3}))
    done = site.pull()
    assert (done.status, done.inserted, done.exit_code) == ("failed", 0, 1)
    for word in words:
        assert word in str(done.error), done.error
    assert site.rows(COUNT) == [(1,)]
    assert site.rows("SELECT place FROM syncer.marks") == [('{"n":1}',)]


@pytest.fixture
def things(site: Site) -> Site:
    """A site with one thing, that was pulled."""
    say(site, Page(records=[thing(1, name="ada@example.com")], place={"n": 1}))
    assert site.pull().inserted == 1
    return site


def test_an_index_a_view_and_columns_of_their_own_stay(things: Site) -> None:
    """Also over a pull that changes what they stand on, and one that adds a column."""
    things.rows("CREATE INDEX by_name ON load.scripted_things (name)")
    things.rows("ALTER TABLE load.scripted_things ADD COLUMN note TEXT DEFAULT 'new'")
    things.rows("CREATE VIEW load.mine AS SELECT id, name, note FROM load.scripted_things")
    things.rows("UPDATE load.scripted_things SET note = 'mine'")
    say(things, Page(records=[thing(1, name="other"), thing(2)]))
    assert (things.pull().updated, things.pull().unchanged) == (1, 2)
    found = things.rows("SELECT id, name, note FROM load.mine ORDER BY id")
    assert found == [(1, "other", "mine"), (2, "thing 2", "new")]
    say(things, Page(records=[thing(1, name="third"), thing(2)]))
    assert things.pull(mode="full").updated == 1


def test_a_column_of_their_own_that_may_not_be_empty_is_told(things: Site) -> None:
    """We do not fill it: the column is named, nothing is kept, and the pull goes on when it may be empty."""
    things.rows("ALTER TABLE load.scripted_things ADD COLUMN checked_by TEXT")
    things.rows("UPDATE load.scripted_things SET checked_by = 'me'")
    things.rows("ALTER TABLE load.scripted_things ALTER COLUMN checked_by SET NOT NULL")
    refused(things, "checked_by")
    things.rows("ALTER TABLE load.scripted_things ALTER COLUMN checked_by DROP NOT NULL")
    assert (things.pull().status, things.rows(COUNT)) == ("done", [(3,)])


def test_a_unique_index_of_their_own_is_told_without_a_value(things: Site) -> None:
    """What the server says of it quotes the row."""
    things.rows("CREATE UNIQUE INDEX one_city ON load.scripted_things (city)")
    refused(things)
    done = things.pull()
    assert "Ulm" not in str(done.error) and "index" in str(done.error).lower()
    things.rows("DROP INDEX load.one_city")
    assert (things.pull().status, things.rows(COUNT)) == ("done", [(3,)])


@only("postgresql", "DuckDB has no triggers, and lets a column under a view change its type")
def test_a_column_under_a_view_that_must_change_its_type_is_told(site: Site) -> None:
    """PostgreSQL refuses that; the view is named by what to do, and the table heals when it is out of the way."""
    site.script.describe = lambda stream: [Field("extra", type=BIGINT)]
    say(site, Page(records=[{"id": 1, "extra": 1}], place={"n": 1}))
    site.pull(NAME)
    site.rows(f"CREATE VIEW load.mine AS SELECT extra FROM {TABLE}")
    for kind, value in ((DECIMAL, "1.5"), (TEXT, "one")):
        site.script.describe = lambda stream, kind=kind: [Field("extra", type=kind)]
        say(site, Page(records=[{"id": 1, "extra": value}, {"id": 2, "extra": value}], place={"n": 2}))
        done = site.pull(NAME)
        assert done.status == "failed" and "extra" in str(done.error) and "Drop the view" in str(done.error)
        assert site.rows("SELECT place FROM syncer.marks") == [('{"n":1}',)]
    site.rows("DROP VIEW load.mine")
    done = site.pull(NAME)
    assert (done.updated, done.inserted, site.rows("SELECT * FROM syncer.marks WHERE place->>'n' = '2'") != []) == (
        1,
        1,
        True,
    )
    assert site.rows(f"SELECT extra FROM {TABLE} ORDER BY id") == [("one",), ("one",)]


@only("postgresql", "DuckDB's rows have no page to fit in")
@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_a_row_that_is_larger_than_a_page_is_told(make_site: Any, style: str) -> None:
    """A thousand texts, each beside the row, leave a thousand pointers in it: 18 kB, and a page has 8."""
    site = make_site(f'["{NAME}"]\nstyle = "{style}"\n')
    names = [f"p{number:04}" for number in range(1_000)]
    site.script.describe = lambda stream: [Field(name) for name in names]
    small = {"id": 1, "p0000": "small"}
    say(site, Page(records=[small], place={"n": 1}))
    assert site.pull(NAME).inserted == 1
    large = {"id": 2} | {name: f"{name} {'some text of a person ' * 4}" for name in names}
    say(site, Page(records=[small, large], place={"n": 2}))
    done = site.pull(NAME)
    assert done.status == "failed" and "larger than a page" in str(done.error) and "Leave out" in str(done.error)
    assert "of a person" not in str(done.error)
    assert site.rows("SELECT place FROM syncer.marks") == [('{"n":1}',)]
    assert site.rows(f"SELECT id FROM {TABLE}") == [(1,)]
    site.script.describe = lambda stream: [Field(name) for name in names[:200]]
    done = site.pull(NAME)
    assert (done.status, done.inserted) == ("done", 1)
    assert site.rows(f"SELECT p0199 FROM {TABLE} WHERE id = 2") == [(large["p0199"],)]


def test_a_table_that_somebody_made_with_other_types_becomes_ours(site: Site) -> None:
    """What its values can become, they become; columns that are not ours stay."""
    site.rows("CREATE SCHEMA load")
    site.rows(
        "CREATE TABLE load.scripted_things (id BIGINT PRIMARY KEY, name VARCHAR(5), size SMALLINT, price REAL, "
        "is_sold INTEGER, made_on TEXT, mine TEXT)"
    )
    site.rows("INSERT INTO load.scripted_things VALUES (7, 'seven', 7, 0.5, 1, 'once', 'mine')")
    record = thing(1, name="longer than five", size=2**40, price="1.123456789", is_sold=True, made_on="2026-01-02")
    say(site, Page(records=[record]))
    done = site.pull()
    assert (done.status, done.inserted, done.rejected) == ("done", 1, 0), done.error
    found = site.rows("SELECT name, size, price::TEXT, is_sold, made_on FROM load.scripted_things WHERE id = 1")
    assert found == [("longer than five", 2**40, "1.123456789", True, "2026-01-02")]
    kept = site.rows("SELECT name, size, made_on, mine FROM load.scripted_things WHERE id = 7")
    assert kept == [("seven", 7, "once", "mine")]
