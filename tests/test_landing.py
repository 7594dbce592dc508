"""A load table that a host made: filled with all that is offered when a run ends; its columns and types are law."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import pytest

from syncer.errors import Unavailable
from syncer.journal import Pulled
from syncer.landing import Landing, Meaning
from syncer.landings import look_up
from syncer.loadtypes import LoadColumn
from syncer.mapping import MASK, EntityMapping, Field, Inbound
from syncer.sources import DELETED, Page, State
from syncer.values import BIGINT
from tests.conftest import Site
from tests.test_inbound import say, thing

OURS = (
    LoadColumn(name="dss_record_source", type="varchar", longest=256),
    LoadColumn(name="dss_load_date", type="timestamp"),
)
STATES = (LoadColumn(name="dss_record_state", type="text"), LoadColumn(name="dss_merged_into", type="text"))
THINGS = (
    LoadColumn(name="id", type="numeric"),
    LoadColumn(name="name", type="varchar", longest=10),
    LoadColumn(name="size", type="integer"),
    LoadColumn(name="updated", type="timestamp"),
)


def spelled(column: LoadColumn) -> str:
    size = f"({column.longest})" if column.longest else f"({column.digits},{column.scale})" if column.digits else ""
    return f'"{column.name}" {column.type}{size}'


def made(site: Site, *columns: LoadColumn, name: str = "load_thing", **landing: Any) -> Landing:
    """Make a load table as a host would, and what knows it."""
    site.rows("CREATE SCHEMA IF NOT EXISTS load")
    site.rows(f"CREATE TABLE load.{name} ({', '.join(map(spelled, columns))})")
    return Landing(schema="load", name=name, columns=columns, label="Things api - things", **landing)


def rows(site: Site, columns: str = "id, name", name: str = "load_thing") -> list[tuple[Any, ...]]:
    return site.rows(f"SELECT {columns} FROM load.{name} ORDER BY 1")


def failing(site: Site, *pages: Page) -> None:
    def read(stream: str, places: Any) -> Any:
        yield from pages
        raise Unavailable("gone away")

    site.script.read = read


def land(site: Site, landing: Landing, *records: dict[str, Any], **page: Any) -> Pulled:
    say(site, Page(records=records, **page))
    return site.pull(landing=landing)


def test_the_load_table_has_what_is_offered_in_its_own_types(site: Site) -> None:
    """A number is a number without a scale there, a time has no zone and is UTC's, the label is the host's."""
    landing = made(site, *THINGS, *OURS, *STATES)
    done = land(site, landing, thing(1, size=7), thing(2, updated="2026-01-02T03:04:05+02:00"))
    assert (done.status, done.inserted, done.rejected) == ("done", 2, 0)
    assert rows(
        site, "CAST(id AS BIGINT), name, size, CAST(updated AS TEXT), dss_record_source, dss_record_state"
    ) == [
        (1, "thing 1", 7, "2026-01-02 03:04:05", "Things api - things", "live"),
        (2, "thing 2", None, "2026-01-02 01:04:05", "Things api - things", "live"),
    ]
    assert site.rows("SELECT count(DISTINCT dss_load_date) FROM load.load_thing") == [(1,)]


def test_what_was_offered_stays_offered(site: Site) -> None:
    """The host emptied its table and carried nothing on: the next pull puts all of it there again."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1), thing(2))
    site.rows("DELETE FROM load.load_thing")
    land(site, landing, thing(2, name="new"))
    assert rows(site) == [(1, "thing 1"), (2, "new")]


def test_a_run_that_died_leaves_the_load_table_as_it_was(site: Site) -> None:
    """Its rows are offered all the same, and stand there when a later one ended."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    failing(site, Page(records=[thing(2)], place={"n": 1}))
    assert site.pull(landing=landing).status == "failed"
    assert rows(site) == [(1, "thing 1")]
    land(site, landing)
    assert rows(site) == [(1, "thing 1"), (2, "thing 2")]


def test_an_offer_that_ends_stands_there_once_more(site: Site) -> None:
    """Where nobody confirms: a host that could not carry for days gets it with the very pull that ends it."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    stood = []
    for days in (1, 4, 4, 4):
        site.clock.advance(days * 86_400)
        land(site, landing)
        stood.append((len(rows(site)), site.rows("SELECT count(*) FROM syncer.offers_scripted_things")[0][0]))
    assert stood == [(1, 1), (1, 1), (1, 0), (0, 0)]


def test_rows_of_others_stay(site: Site) -> None:
    """A load table may be filled by another script as well: theirs have another record source."""
    landing = made(site, *THINGS, *OURS, labels=("things before",))
    site.rows("INSERT INTO load.load_thing (id, dss_record_source) VALUES (8, 'theirs'), (9, 'things before')")
    land(site, landing, thing(1))
    assert rows(site, "id") == [(1,), (8,)]


def test_a_value_that_does_not_fit_is_null_there_and_a_reject(site: Site) -> None:
    """A warehouse would cut the text, or refuse the whole load."""
    landing = made(site, *THINGS, *OURS)
    done = land(site, landing, thing(1, name="x" * 11, size=2**40), thing(2, size=2**31 - 1))
    assert (done.status, done.rejected, done.exit_code) == ("done", 2, 3)
    assert rows(site, "id, name, size") == [(1, None, None), (2, "thing 2", 2**31 - 1)]
    assert site.rows('SELECT key, "column", reason FROM syncer.rejects ORDER BY "column"') == [
        ("1", "name", "does not fit varchar(10) of load.load_thing"),
        ("1", "size", "does not fit integer of load.load_thing"),
    ]


def test_a_value_arrives_when_its_column_got_room(site: Site) -> None:
    """The host widened the column: the record is read again by its key, though nothing of it changed."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1, name="x" * 11), thing(2))
    site.rows("DELETE FROM load.load_thing")  # carried on, and confirmed
    site.rows("DELETE FROM syncer.offers_scripted_things")
    site.rows("ALTER TABLE load.load_thing ALTER COLUMN name TYPE varchar(20)")
    wider = attrs.evolve(landing, columns=(THINGS[0], attrs.evolve(THINGS[1], longest=20), *THINGS[2:], *OURS))
    site.script.fetch = lambda stream, keys: iter([Page(records=[thing(key[0], name="x" * 11) for key in keys])])
    done = land(site, wider)
    assert (done.status, done.rejected) == ("done", 0)
    assert rows(site) == [(1, "x" * 11)]
    assert site.rows("SELECT count(*) FROM syncer.rejects") == [(0,)]


def test_who_is_named_in_a_record_is_known_to_the_mask(site: Site) -> None:
    """A name that the table has no column for is masked in the text that it has one for."""
    fields = (
        Field("id", type=BIGINT),
        Field("text", personal=True, treatment=MASK),
        Field("author", personal=True, names_people=True),
    )
    mapping = EntityMapping(name="scripted.letters", key=("id",), fields=fields, inbound=Inbound(stream="letters"))
    columns = (LoadColumn(name="id", type="bigint"), LoadColumn(name="text", type="text"), *OURS)
    fitted = Landing(schema="load", name="x", columns=columns, label="x").fitted(mapping)
    assert [field.column for field in fitted.mapping.fields] == ["id", "text", "author"]


def test_tombstones_are_told_where_the_table_has_the_column(site: Site) -> None:
    """A record that ended has its key and no values."""
    landing = made(site, *THINGS, *OURS, *STATES)
    land(site, landing, thing(1), thing(2))
    land(site, landing, states=[State(key=(2,), state=DELETED)])
    assert rows(site, "CAST(id AS BIGINT), name, dss_record_state") == [(1, "thing 1", "live"), (2, None, "deleted")]


def test_without_the_column_tombstones_are_counted(site: Site) -> None:
    """A row of nothing but a key would be taken for a record that lost its values."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1), thing(2))
    done = land(site, landing, states=[State(key=(2,), state=DELETED)])
    assert rows(site) == [(1, "thing 1")]
    assert any(note.startswith("1 record that ended not told") for note in done.notes), done.notes


def test_a_column_has_the_meaning_that_a_host_gives_it(site: Site) -> None:
    """A field of its own under a name that the mapping has for something else, or one text in every row."""
    columns = (
        LoadColumn(name="id_001", type="numeric"),
        LoadColumn(name="name", type="text"),
        LoadColumn(name="secret", type="text"),
    )
    meanings = {
        "id_001": Meaning(field=Field("id", type=BIGINT)),
        "name": Meaning(field=Field("name", path="address.city")),
        "secret": Meaning(constant="[MASKED]"),
    }
    landing = made(site, *columns, *OURS, meanings=meanings)
    land(site, landing, thing(1))
    assert rows(site, "id_001, name, secret") == [(1, "Ulm", "[MASKED]")]


def test_a_version_is_kept_beside_another_meaning_of_its_column(site: Site) -> None:
    """What rows are ordered by stays what the mapping says, whatever the load table has under that name."""
    columns = (LoadColumn(name="id", type="bigint"), LoadColumn(name="updated", type="text"))
    landing = made(site, *columns, *OURS, meanings={"updated": Meaning(field=Field("updated", path="updated"))})
    say(site, Page(records=[thing(1)]))
    assert site.pull("scripted.versioned", landing=landing).inserted == 1
    assert rows(site, "id, updated") == [(1, "2026-01-02T03:04:05Z")]
    say(site, Page(records=[thing(1, updated="2020-01-01T00:00:00Z")]))
    assert site.pull("scripted.versioned", landing=landing).updated == 0


def test_columns_that_one_side_lacks_are_told_once(site: Site) -> None:
    """A column that the host does not know yet is named, and a column that nothing fills; each run would be noise."""
    landing = made(site, *THINGS, LoadColumn(name="colour", type="text"), *OURS)
    first = land(site, landing, thing(1))
    told = [note for note in first.notes if "column_" in note]
    assert len(told) == 2 and "city" in told[0] and "colour" in told[1], first.notes
    again = land(site, landing, thing(1))
    assert not [note for note in again.notes if "column_" in note]


def test_columns_are_read_from_the_catalogue(site: Site) -> None:
    """In their order, whatever case somebody writes the table's name in; none where there is no table."""
    made(site, *THINGS, LoadColumn(name="default", type="numeric", digits=10, scale=2), *OURS)
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        found = look_up(t, "load", "LOAD_THING").columns
        assert look_up(t, "load", "other").columns == ()
    assert [column.name for column in found] == [*(c.name for c in THINGS), "default", *(c.name for c in OURS)]
    assert found[4].told == "numeric(10,2)" or found[4].told == "decimal(10,2)"
    assert [column.family.name for column in found[:4]] == ["NUMERIC", "TEXT", "INTEGER", "WALL"]


def test_two_tables_of_one_mapping_are_refused(site: Site) -> None:
    """What one of them had carried on would be missing in the other."""
    first = made(site, *THINGS, *OURS)
    land(site, first, thing(1))
    second = made(site, *THINGS, *OURS, name="load_things")
    done = land(site, second, thing(2))
    assert done.status == "failed" and "load.load_thing, and not load.load_things" in str(done.error)
    assert rows(site, name="load_things") == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "no such table"),
        (THINGS, "no column dss_record_source"),
        (OURS, "no columns but the warehouse's own"),
        ((LoadColumn(name="other", type="text"), *OURS), "no column that scripted.things could fill"),
    ],
)
def test_a_table_that_cannot_be_filled_is_refused(site: Site, columns: tuple[LoadColumn, ...], message: str) -> None:
    """Nothing is read then."""
    landing = Landing(schema="load", name="load_thing", columns=columns, label="x")
    done = land(site, landing, thing(1))
    assert done.status == "failed" and message in str(done.error)
    assert "read" not in site.script.calls


def test_a_second_run_of_an_unchanged_source_changes_nothing(site: Site) -> None:
    """Promise 4 as it stands for `delta`: but for open offers."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    done = land(site, landing, thing(1, address={"city": "Bonn"}))
    assert (done.inserted, done.updated, done.unchanged) == (0, 0, 1), "a field that the table lacks is no change"
