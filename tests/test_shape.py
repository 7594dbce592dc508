"""Tables are created, grow and widen with their mapping; nothing that was there is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncer.errors import NotAllowed, Unavailable
from syncer.mapping import EntityMapping, Field, Inbound
from syncer.rows import Typing
from syncer.sources import Page
from syncer.tables import Table
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type
from tests.conftest import Site, only
from tests.test_inbound import say


def define(site: Site, kind: Type, *values: Any) -> Any:
    """Let the API define a column of *kind*, and pull records with *values* in it."""
    site.script.describe = lambda stream: [Field("extra", type=kind, comment="Größe")]
    say(site, Page(records=[{"id": number, "extra": value} for number, value in enumerate(values)]))
    return site.pull("scripted.discovering")


def column(site: Site) -> tuple[Type | str, list[Any]]:
    kind = site.database.types("scripted_discovering")["extra"]
    return kind, [row[0] for row in site.rows("SELECT extra FROM load.scripted_discovering ORDER BY id")]


def test_a_new_definition_is_a_new_column_with_its_first_values(site: Site) -> None:
    """The name that people gave it is in the catalogue."""
    site.pull("scripted.discovering")
    define(site, BIGINT, 7)
    assert column(site) == (BIGINT, [7])
    assert site.database.comments("scripted_discovering")["extra"] == "Größe"


def test_a_definition_that_went_away_keeps_its_column(site: Site) -> None:
    """Its values stay as they were last read."""
    define(site, TEXT, "a")
    site.script.describe = lambda stream: []
    say(site, Page(records=[{"id": 0}]))
    assert site.pull("scripted.discovering").unchanged == 1
    assert column(site) == (TEXT, ["a"])


@pytest.mark.parametrize(
    ("before", "value", "after", "wanted"),
    [
        (BIGINT, 5, DECIMAL, DECIMAL),
        (BIGINT, 5, DOUBLE, DOUBLE),
        (BIGINT, 2**60 + 1, DOUBLE, TEXT),
        (DATE, "2026-01-02", TIMESTAMP, TIMESTAMP),
        (BOOLEAN, True, TEXT, TEXT),
        (BOOLEAN, True, DATE, TEXT),
        (TEXT, "a", BIGINT, TEXT),
        (DOUBLE, 1.5, BIGINT, DOUBLE),
        (JSON, {"a": 1}, TEXT, TEXT),
    ],
)
def test_a_column_is_widened_where_that_loses_nothing(
    site: Site, before: Type, value: Any, after: Type, wanted: Type
) -> None:
    """Else it becomes text, which holds everything; it never gets narrower."""
    define(site, before, value)
    site.script.describe = lambda stream: [Field("extra", type=after)]
    say(site)
    site.pull("scripted.discovering")
    found, values = column(site)
    assert found is wanted and values[0] is not None


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
    assert column(site) == (TEXT, ["1", "much"])
    assert site.rows("SELECT count(*) FROM syncer.rejects") == [(0,)]


def test_a_key_column_never_changes(site: Site) -> None:
    """Ids of two kinds in one column would be two records under one key; a wider one is good enough."""
    site.pull("scripted.notes")
    site.rows("ALTER TABLE load.scripted_notes RENAME TO other")
    site.rows("CREATE TABLE load.scripted_notes (thing_id BIGINT, name BIGINT, PRIMARY KEY (thing_id, name))")
    done = site.pull("scripted.notes")
    assert done.status == "failed" and "key column name is bigint" in str(done.error)
    site.rows("DROP TABLE load.scripted_notes")
    site.rows("CREATE TABLE load.scripted_notes (thing_id TEXT, name TEXT, PRIMARY KEY (thing_id, name))")
    say(site, Page(records=[{"thing_id": 1, "name": "a"}]))
    assert site.pull("scripted.notes").inserted == 1


def test_a_column_that_is_wider_than_its_field_takes_values_as_the_api_writes_them(site: Site) -> None:
    """Typed as declared they would be written otherwise, and each pull would write all rows again."""
    define(site, TEXT, "17.50", "2026-01-31T10:11:12.1Z")
    assert define(site, DECIMAL, "17.50", "2026-01-31T10:11:12.1Z").unchanged == 2
    assert define(site, TIMESTAMP, "17.50", "2026-01-31T10:11:12.1Z").unchanged == 2
    assert column(site) == (TEXT, ["17.50", "2026-01-31T10:11:12.1Z"])


@pytest.mark.parametrize(
    ("before", "value"),
    [(DECIMAL, "17.5"), (BOOLEAN, "true"), (DATE, "2026-01-31"), (TIMESTAMP, "2026-01-31T10:11:12Z"), (BIGINT, "7")],
)
def test_a_column_that_became_text_has_the_text_that_comes_next(site: Site, before: Type, value: str) -> None:
    """Else a retyped property would write every row again for nothing."""
    define(site, before, value)
    assert define(site, TEXT, value).unchanged == 1
    assert column(site) == (TEXT, [value])


def test_a_blank_clears_where_the_source_says_so(site: Site) -> None:
    """In a column of texts it is a text; in one that only became text it still means that there is no value."""
    fields = [Field("number", type=DECIMAL, blank_is_null=True), Field("words", blank_is_null=True)]
    site.script.describe = lambda stream: fields
    say(site, Page(records=[{"id": 1, "number": "5", "words": "a"}, {"id": 2, "number": "", "words": ""}]))
    assert (site.pull("scripted.discovering").rejected, site.pull("scripted.discovering").unchanged) == (0, 2)
    found = "SELECT number, words FROM load.scripted_discovering ORDER BY id"
    assert site.rows(found)[1] == (None, "")
    site.rows("ALTER TABLE load.scripted_discovering ALTER number SET DATA TYPE VARCHAR")
    say(site, Page(records=[{"id": 1, "number": "", "words": "a"}]))
    site.pull("scripted.discovering")
    assert site.rows(found) == [(None, "a"), (None, "")]


def again(site: Site, *pages: Page) -> list[Any]:
    """Answer what is asked for by key; return what will have been asked."""
    asked: list[Any] = []
    site.script.fetch = lambda stream, keys: (asked.extend(keys), iter(pages))[1]
    return asked


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [(BIGINT, 2**63, DECIMAL), (BIGINT, "3.5", DECIMAL), (DATE, "2026-01-31T10:00:00Z", TIMESTAMP)],
)
def test_values_that_lack_room_get_it_in_the_next_run(site: Site, kind: Type, value: Any, wanted: Type) -> None:
    """The definition still says otherwise; within a kind nothing is lost, and the records are read again."""
    first = 1 if kind is BIGINT else "2026-01-01"
    assert define(site, kind, first, value).rejected == 1
    asked = again(site, Page(records=[{"id": 1, "extra": value}]))
    say(site)
    done = site.pull("scripted.discovering")
    assert (asked, done.updated, done.exit_code) == ([(1,)], 1, 0)
    name, found = column(site)
    assert name is wanted and None not in found
    asked.clear()
    assert define(site, kind, first, value).unchanged == 2
    assert (asked, site.rows("SELECT count(*) FROM syncer.rejects")) == ([], [(0,)])


@pytest.mark.parametrize(
    ("kind", "value"), [(DECIMAL, "0.12345678901234567890"), (DECIMAL, "much"), (BOOLEAN, "yes"), (BIGINT, "1" * 60)]
)
def test_a_value_never_makes_a_column_text(site: Site, kind: Type, value: str) -> None:
    """What computes with the column would break: NULL and a reject, until the definition says text."""
    define(site, kind, None, value)
    before = column(site)
    assert define(site, kind, None, value).rejected == 1
    assert column(site) == before == (before[0], [None, None])


def test_what_rows_are_found_or_ordered_by_gets_no_room() -> None:
    """Which record is older, and which slice it belongs to, is decided by these columns: they stay as declared."""
    mapping = EntityMapping(
        name="a.b",
        key=("id",),
        fields=tuple(Field(name, type=BIGINT) for name in ("id", "version", "part", "size")),
        inbound=Inbound(stream="b", version="version", slice_by=("part",)),
    )
    typing = Typing(mapping, types=dict.fromkeys(("id", "version", "part", "size"), DECIMAL))
    assert typing.types == {"id": BIGINT, "version": BIGINT, "part": BIGINT, "size": DECIMAL}
    odd = {"id": 1, "version": 2**63, "part": 2**63, "size": 2**63}
    rejects = [Typing(mapping).rows([odd], scope="").rejects, typing.rows([odd], scope="").rejects]
    assert [[(each.column, each.roomier) for each in some] for some in rejects] == [
        [("version", ""), ("part", ""), ("size", "decimal")],
        [("version", ""), ("part", "")],
    ]


def test_what_could_not_be_read_again_is_asked_for_by_the_next_run(site: Site) -> None:
    """The column is widened once; a run that breaks behind that may not lose the values."""
    define(site, BIGINT, 1, "much")
    site.script.describe = lambda stream: [Field("extra", type=TEXT)]
    say(site)

    def broken(stream: str, keys: Any) -> Any:
        raise Unavailable("down")

    site.script.fetch = broken
    assert site.pull("scripted.discovering").status == "failed"
    asked = again(site, Page(scope="", error=NotAllowed("not yet")))
    site.pull("scripted.discovering")
    assert asked == [(1,)]
    asked = again(site, Page(records=[{"id": 1, "extra": "much"}]))
    site.pull("scripted.discovering")
    assert asked == [(1,)] and column(site) == (TEXT, ["1", "much"])


def test_what_the_api_no_longer_has_is_asked_for_once(site: Site) -> None:
    """Its reject would cost a request in every run."""
    define(site, BIGINT, 1, "much")
    site.script.describe = lambda stream: [Field("extra", type=TEXT)]
    say(site)
    asked = again(site)
    site.pull("scripted.discovering")
    site.pull("scripted.discovering")
    assert asked == [(1,)]


def test_a_version_in_a_wider_column_is_still_compared_as_declared(site: Site) -> None:
    """As texts, 09:00:00Z would be newer than 09:00:00.500Z."""
    say(site, Page(records=[{"id": 1, "name": "old", "updated": "2026-01-31T09:00:00Z"}]))
    site.pull("scripted.versioned")
    warehouse = site.warehouse()
    with warehouse.transaction() as t:
        t.widen(Table(schema="load", name="scripted_versioned", columns=()), "updated", TEXT)
    warehouse.close()
    for name, updated, wanted in (
        ("new", "2026-01-31T09:00:00.500Z", "new"),
        ("stale", "2026-01-31T09:00:00Z", "new"),
    ):
        say(site, Page(records=[{"id": 1, "name": name, "updated": updated}]))
        site.pull("scripted.versioned")
        assert site.rows("SELECT name FROM load.scripted_versioned") == [(wanted,)]


def altered(site: Site, change: str, kind: Type, *values: Any) -> Any:
    """Pull the first value, let a person change the column, and pull all of them."""
    define(site, kind, values[0])
    site.rows(f"ALTER TABLE load.scripted_discovering {change}")
    return define(site, kind, *values)


SECOND, MILLISECOND = "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1239Z"
MICROSECOND = "2026-01-02T03:04:05.123456Z"
UUID = "5b0c4b5e-8a6f-4d8e-9b57-0c1d1a3c1b11"
# What a person may make of a column, what the catalogue calls that, the column's own type, a value before, one after.
LESS_ROOM = {
    "duckdb": [
        ("DECIMAL(18,2)", "DECIMAL(18,2)", DECIMAL, "1.25", "1.23456"),
        ("HUGEINT", "HUGEINT", DECIMAL, "1", "1.5"),
        ("INTEGER", "INTEGER", BIGINT, 1, 2**40),
        ("DECIMAL(18,0)", "DECIMAL(18,0)", BIGINT, 1, 2**62),
        ("FLOAT", "FLOAT", DOUBLE, 0.5, 0.1),
        ("INTEGER", "INTEGER", BOOLEAN, True, False),
        ("TIMESTAMP_S", "TIMESTAMP_S", TIMESTAMP, SECOND, MICROSECOND),
        ("TIMESTAMP_MS", "TIMESTAMP_MS", TIMESTAMP, SECOND, MILLISECOND),
        ("ENUM('a', 'b')", "ENUM", TEXT, "a", "c"),  # the members of a type may be values of records
        ("INTEGER", "INTEGER", TEXT, "1", "c"),
        ("UUID", "UUID", TEXT, UUID, "c"),
    ],
    "postgresql": [
        ("NUMERIC(18,2)", "numeric(18,2)", DECIMAL, "1.25", "1.23456"),
        ("INTEGER", "integer", BIGINT, 1, 2**40),
        ("NUMERIC(18,0)", "numeric(18,0)", BIGINT, 1, 2**62),
        ("REAL", "real", DOUBLE, 0.5, 0.1),
        ("INTEGER USING extra::integer", "integer", BOOLEAN, True, False),
        ("TIMESTAMP(0)", "timestamp(0) without time zone", TIMESTAMP, SECOND, MICROSECOND),
        ("TIMESTAMPTZ(3)", "timestamp(3) with time zone", TIMESTAMP, SECOND, MILLISECOND),
        ("load.mood USING extra::load.mood", "load.mood", TEXT, "a", "c"),
        ("INTEGER USING extra::integer", "integer", TEXT, "1", "c"),
        ("UUID USING extra::uuid", "uuid", TEXT, UUID, "c"),
        ("VARCHAR(5)", "character varying(5)", TEXT, "five", "longer than five"),
        ("CHAR(5)", "character(5)", TEXT, "five", "longer than five"),
        ("NAME", "name", TEXT, "short", "x" * 200),
        ("JSON", "json", JSON, {"a": 1}, {"b": [1, None]}),
    ],
}


@pytest.mark.parametrize(
    ("backend", "change", "was", "kind", "values"),
    [(name, *given[:3], given[3:]) for name, every in LESS_ROOM.items() for given in every],
    indirect=["backend"],
)
def test_a_column_that_somebody_gave_less_room_gets_its_type_back(
    site: Site, change: str, was: str, kind: Type, values: tuple[Any, ...]
) -> None:
    """Else its values would be rounded or cut without a word, or each pull would fail."""
    if ".mood" in change:
        define(site, kind)
        site.rows("CREATE TYPE load.mood AS ENUM ('a', 'b')")
    done = altered(site, f"ALTER extra TYPE {change}", kind, *values)
    assert (done.status, done.rejected) == ("done", 0)
    found, stored = column(site)
    text = values[1] if isinstance(values[1], str) else json.dumps(values[1])
    wanted = site.rows(f"SELECT CAST('{text}' AS {site.database.native(kind)})")[0][0]
    assert (found, stored[1]) == (kind, wanted)
    assert done.notes == (
        f"1 column that somebody had altered, back to its type (--full fills it): extra (was {was})",
    )
    assert define(site, kind, *values).notes == ()


def test_a_type_that_cannot_be_ours_again_is_told(site: Site) -> None:
    """Table, column, both types, and what to do."""
    done = altered(site, f"ALTER extra TYPE INTEGER[] USING {site.database.array('7')}", BIGINT, 7, 8)
    assert done.status == "failed"
    for word in ("load.scripted_discovering", "column extra integer[]", "bigint", "drop it and pull with --full"):
        assert word in str(done.error).replace("INTEGER", "integer")
    site.rows("ALTER TABLE load.scripted_discovering DROP COLUMN extra")
    site.pull("scripted.discovering", mode="full")
    assert column(site) == (BIGINT, [7, 8])


@only("duckdb", "PostgreSQL tells EXTRA from extra: there it is a column that somebody dropped, and one of their own")
def test_a_name_in_other_letters_is_the_same_column(site: Site) -> None:
    """DuckDB takes `EXTRA` for `extra`: there is nothing to add, and nothing new to tell at every run."""
    done = altered(site, 'RENAME COLUMN extra TO "EXTRA"', BIGINT, 7, 8)
    assert (done.status, done.notes) == ("done", ())
    assert site.rows("SELECT extra FROM load.scripted_discovering ORDER BY id") == [(7,), (8,)]
    site.script.describe = lambda stream: [Field("extra", type=DECIMAL, comment="Weite")]
    assert site.pull("scripted.discovering").status == "done"
    assert site.database.comments("scripted_discovering")["EXTRA"] == "Weite"
    assert len(site.pull("scripted.discovering").notes) == 0


@only("postgresql", "DuckDB takes EXTRA for extra")
def test_a_name_in_other_letters_is_another_column(site: Site) -> None:
    """It stays, as a person's own; the one that went is made anew, and that is told once."""
    done = altered(site, 'RENAME COLUMN extra TO "EXTRA"', BIGINT, 7, 8)
    assert (done.status, len(done.notes)) == ("done", 1) and "dropped, made anew" in done.notes[0]
    assert site.rows('SELECT extra, "EXTRA" FROM load.scripted_discovering ORDER BY id') == [(7, 7), (8, None)]
    assert define(site, BIGINT, 7, 8).notes == ()
