"""The indexes that a table declares: made with it and behind it, once, and where they are ours to make."""

from __future__ import annotations

import attrs

from syncer import plans, shape, snapshots
from syncer.sql import statement
from syncer.tables import Table
from tests.postgresql import PAIRS, Place

BY_TEXT = attrs.evolve(PAIRS, indexes=(("b", "a"),))


def indexes(place: Place, table: Table = BY_TEXT) -> list[str]:
    """The names of a table's indexes, but for its key's."""
    query = "SELECT indexname FROM pg_indexes WHERE schemaname = ? AND tablename = ? ORDER BY 1"
    found = [name for (name,) in place.rows(query, [table.schema, table.name])]
    return [name for name in found if not name.endswith("_pkey")]


def ensure(place: Place, table: Table = BY_TEXT) -> None:
    with place.warehouse().transaction() as t:
        shape.ensure(t, table)


def test_a_table_is_made_with_its_indexes(place: Place) -> None:
    """Each is named as the table and its columns are."""
    ensure(place)
    assert indexes(place) == ["pairs_b_a"]


def test_a_table_that_was_made_before_gets_them(place: Place) -> None:
    """A site's journal is there already, and is the one that is slow."""
    ensure(place, PAIRS)
    place.rows("INSERT INTO load.pairs VALUES (1, 'x')")
    assert indexes(place) == []
    for _ in range(2):
        ensure(place)
    assert indexes(place) == ["pairs_b_a"]


def test_one_of_the_sites_own_serves_as_well(place: Place) -> None:
    """Two of the same columns cost each write twice."""
    ensure(place, PAIRS)
    place.rows("CREATE INDEX theirs ON load.pairs (b, a)")
    ensure(place)
    assert indexes(place) == ["theirs"]
    place.rows("DROP INDEX load.theirs")
    place.rows("CREATE INDEX theirs ON load.pairs (a, b)")
    ensure(place)
    assert indexes(place) == ["pairs_b_a", "theirs"]


def test_who_writes_is_not_waited_for_where_nothing_is_to_make(place: Place) -> None:
    """`CREATE INDEX IF NOT EXISTS` looks only when nobody writes to the table."""
    ensure(place)
    with place.warehouse().transaction() as writing:
        writing.run(statement("INSERT INTO load.pairs VALUES (1, 'x')"))
        with place.warehouse(wait_s=0.2).transaction() as t:
            shape.ensure(t, BY_TEXT)


def test_a_table_of_another_role_stays_without(place: Place) -> None:
    """Only its owner may make one; a push went without it until now, and goes on."""
    ensure(place, PAIRS)
    role = place.role()
    place.rows(f"GRANT USAGE, CREATE ON SCHEMA load TO {role}")
    with place.warehouse(UID=role).transaction() as t:
        shape.ensure(t, BY_TEXT)
        t.survey(BY_TEXT)
    assert indexes(place) == []


def test_an_index_begins_with_what_tells_rows_apart(place: Place) -> None:
    """One that begins with the plan is taken by who knows nothing of the plan, and reads all of it."""
    for table in (*plans.TABLES, *snapshots.TABLES):
        assert all(each[0] not in ("plan", "mapping", "environment") for each in table.indexes)
