"""What a host's load table cannot hold is not lost unseen: misfits, ended records, odd columns, personal data."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import pytest

from syncer.errors import Unavailable, UsageError
from syncer.journal import Pulled
from syncer.landing import Landing, Meaning
from syncer.landings import Found, look_up
from syncer.loadtypes import LoadColumn
from syncer.mapping import DROP, HASH, KEEP, MASK, EntityMapping, Field, Inbound
from syncer.sources import DELETED, Page, State
from syncer.values import BIGINT, JSON, TEXT
from tests.conftest import Site
from tests.test_inbound import say, thing
from tests.test_landing import OURS, STATES, THINGS, land, made, rows

LONG = "x" * 11  # longer than the column `name` of THINGS
WIDER = (THINGS[0], attrs.evolve(THINGS[1], longest=20), *THINGS[2:], *OURS)


def confirmed(site: Site) -> None:
    """Let a host carry on what is there, and confirm it."""
    site.rows("DELETE FROM load.load_thing")
    site.rows("DELETE FROM syncer.offers_scripted_things")


def widened(site: Site, landing: Landing, *records: dict[str, Any]) -> Pulled:
    """Give the column room, and pull what changed since: nothing; the source can be asked for keys."""
    site.rows("ALTER TABLE load.load_thing ALTER COLUMN name TYPE varchar(20)")
    known = {record["id"]: record for record in records}
    site.script.fetch = lambda stream, keys: iter([Page(records=[known[key[0]] for key in keys if key[0] in known])])
    return land(site, attrs.evolve(landing, columns=WIDER))


def test_a_misfit_stands_though_its_record_is_read_again(site: Site) -> None:
    """What is unchanged is not offered again, and its value is still missing: it comes when the column has room."""
    landing = made(site, *THINGS, *OURS)
    record = thing(1, name=LONG)
    land(site, landing, record)
    confirmed(site)
    assert land(site, landing, record).unchanged == 1
    assert site.rows("SELECT key FROM syncer.rejects") == [("1",)]
    assert widened(site, landing, record).rejected == 0
    assert rows(site) == [(1, LONG)]
    assert site.rows("SELECT count(*) FROM syncer.rejects") == [(0,)]


def test_a_record_that_fits_by_now_is_no_reject_any_more(site: Site) -> None:
    """Somebody shortened it at the source; the reject of a record that was not offered stays."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1, name=LONG), thing(2, name=LONG))
    confirmed(site)
    land(site, landing, thing(1, name="short"))
    assert site.rows("SELECT key FROM syncer.rejects") == [("2",)]


def test_all_misfits_are_known_by_their_keys(site: Site) -> None:
    """However many: each comes when its column has room."""
    landing = made(site, *THINGS, *OURS)
    records = [thing(number, name=LONG) for number in range(1_500)]
    assert land(site, landing, *records).rejected == 1_500
    confirmed(site)
    done = widened(site, landing, *records)
    assert (done.rejected, len(rows(site))) == (0, 1_500)


def test_a_misfit_whose_record_is_gone_is_asked_for_once(site: Site) -> None:
    """Its column has room by now, and the source has it no more: no reject that nothing ever mends."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1, name=LONG))
    confirmed(site)
    widened(site, landing)
    assert site.rows("SELECT count(*) FROM syncer.rejects") == [(0,)]
    asked = site.script.calls.count("fetch")
    land(site, attrs.evolve(landing, columns=WIDER))
    assert site.script.calls.count("fetch") == asked


def test_a_row_whose_key_does_not_fit_is_left_out(site: Site) -> None:
    """A row without its key would be nobody's, and stand in the datastore for good."""
    column = LoadColumn(name="id", type="varchar", longest=1)
    landing = made(site, column, THINGS[1], *OURS)
    done = land(site, landing, thing(7), thing(17))
    assert (rows(site), done.rejected) == ([("7", "thing 7")], 1)
    assert "1 record left out of load.load_thing: a column of the key has no room for theirs" in done.notes
    site.rows("ALTER TABLE load.load_thing ALTER COLUMN id TYPE varchar(9)")
    site.script.fetch = lambda stream, keys: iter([Page(records=[thing(key[0]) for key in keys])])
    done = land(site, attrs.evolve(landing, columns=(attrs.evolve(column, longest=9), THINGS[1], *OURS)))
    assert (len(rows(site)), done.rejected, done.notes) == (2, 0, ())


def test_first_seen_stays_with_a_misfit(site: Site) -> None:
    """It is the same reject, night after night."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1, name=LONG))
    before = site.rows("SELECT first_seen FROM syncer.rejects")
    site.clock.advance(600)
    land(site, landing, thing(1, name=LONG))
    assert site.rows("SELECT first_seen FROM syncer.rejects") == before
    assert site.rows("SELECT count(*) FROM syncer.rejects WHERE last_seen > first_seen") == [(1,)]


@pytest.mark.parametrize("kind", ["varchar(20)", "double precision", "numeric", "bigint", "integer"])
def test_a_tombstone_has_its_key_in_whatever_type(site: Site, kind: str) -> None:
    """A row without a key tells nobody which record ended; here the column has a meaning of the host's, too."""
    name = kind.partition("(")[0]
    column = LoadColumn(name="id", type=name, longest=20 if name == "varchar" else None)
    meanings = {"id": Meaning(field=Field("id", type=TEXT, comment="of the host"))}
    landing = made(site, column, THINGS[1], *OURS, *STATES, meanings=meanings)
    land(site, landing, thing(1), thing(2))
    land(site, landing, states=[State(key=(2,), state=DELETED)])
    found = rows(site, "CAST(CAST(id AS double precision) AS BIGINT), name, dss_record_state")
    assert found == [(1, "thing 1", "live"), (2, None, "deleted")]


def test_without_its_whole_key_a_record_that_ended_is_counted_and_not_told(site: Site) -> None:
    """By half a key a host would end the wrong rows."""
    columns = (LoadColumn(name="thing_id", type="bigint"), LoadColumn(name="text", type="text"), *OURS, *STATES)
    landing = made(site, *columns)
    say(site, Page(records=[{"thing_id": 1, "name": "a", "text": "one"}, {"thing_id": 1, "name": "b", "text": "two"}]))
    site.pull("scripted.notes", landing=landing)
    say(site, Page(states=[State(key=(1, "a"), state=DELETED)]))
    done = site.pull("scripted.notes", landing=landing)
    assert rows(site, "thing_id, text, dss_record_state") == [(1, "two", "live")]
    assert "1 record that ended not told: load.load_thing has no column name" in done.notes


def test_whole_numbers_are_not_rounded_into_a_column_of_floats(site: Site) -> None:
    """Two ids that become one would be one record."""
    columns = (LoadColumn(name="id", type="real"), LoadColumn(name="size", type="double precision"))
    landing = made(site, *columns, *OURS)
    done = land(site, landing, thing(2**24, size=2**53), thing(2**24 + 1, size=2**53 + 1))
    assert done.rejected == 2
    assert rows(site, "CAST(id AS BIGINT), CAST(size AS BIGINT)") == [(2**24, 2**53)], "the other has no key"


def test_a_column_of_a_type_that_nothing_fits_is_told(site: Site) -> None:
    """NULL in every row, without a word, is a loss."""
    landing = made(site, *THINGS, *OURS)
    odd = attrs.evolve(landing, columns=(*THINGS, LoadColumn(name="city", type="uuid"), *OURS))
    site.rows("ALTER TABLE load.load_thing ADD COLUMN city uuid")
    done = land(site, odd, thing(1))
    assert any("nothing fills" in note and "city (is uuid)" in note for note in done.notes), done.notes


def test_a_value_of_what_is_offered_that_a_new_type_cannot_have_is_a_reject(site: Site) -> None:
    """The column became another one while offers were open."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    site.rows("ALTER TABLE load.load_thing DROP COLUMN name")
    site.rows("ALTER TABLE load.load_thing ADD COLUMN name json")
    columns = (THINGS[0], LoadColumn(name="name", type="json"), *THINGS[2:], *OURS)
    done = land(site, attrs.evolve(landing, columns=columns))
    assert done.rejected == 1
    assert site.rows("SELECT reason FROM syncer.rejects") == [("does not fit json of load.load_thing",)]


def test_a_column_that_came_later_is_told_and_a_full_pull_fills_it(site: Site) -> None:
    """Rows that do not change are not offered by themselves."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    confirmed(site)
    site.rows("ALTER TABLE load.load_thing ADD COLUMN city varchar(20)")
    later = attrs.evolve(landing, columns=(*THINGS, LoadColumn(name="city", type="varchar", longest=20), *OURS))
    done = land(site, later)
    assert "1 column of load.load_thing filled from now on: city; pull(full=True) fills old rows, too" in done.notes
    assert not land(site, later).notes
    site.rows("UPDATE syncer.landings SET filled = '[\"id\"]'")
    say(site, Page(records=[thing(1)]))
    full = site.pull(landing=later, mode="full")
    assert any(note.endswith("filled from now on: name, size, updated, city") for note in full.notes), full.notes
    assert rows(site, "id, city") == [(1, "Ulm")]


def test_a_column_with_one_text_for_all_is_there(site: Site) -> None:
    """What the stream has for it is left out on purpose: it lacks nothing."""
    landing = made(site, *THINGS, *OURS, meanings={"name": Meaning(constant="masked")})
    done = land(site, landing, thing(1))
    assert rows(site) == [(1, "masked")]
    assert any("does not have" in note for note in done.notes)
    ((known,),) = site.rows("SELECT detail FROM syncer.findings WHERE kind = 'column_not_carried'")
    assert "city" in known and "name" not in known.split(", "), known


def test_what_is_told_once_is_told_by_a_pull_that_ended_well(site: Site) -> None:
    """One that fails says why, and nothing else."""
    landing = made(site, *THINGS, *OURS)

    def read(stream: str, places: Any) -> Any:
        yield Page(records=[thing(1)], scope="all", place={"n": 1})
        raise Unavailable("gone away")

    site.script.read = read
    assert site.pull(landing=landing, mode="full").status == "failed"
    assert any("does not have" in note for note in land(site, landing, thing(1)).notes)
    assert not land(site, landing, thing(1)).notes


def test_a_column_that_was_dropped_and_is_there_again_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was offered meanwhile has no value for it; it is told also where the first pull with it died."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    without = attrs.evolve(landing, columns=(THINGS[0], *THINGS[2:], *OURS))
    site.rows("ALTER TABLE load.load_thing DROP COLUMN name")
    assert not any("filled from now on" in note for note in land(site, without, thing(2)).notes)
    site.rows("ALTER TABLE load.load_thing ADD COLUMN name varchar(10)")
    with monkeypatch.context() as patch:
        patch.setattr("syncer.landing.misfits.keep", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            land(site, landing)
    done = land(site, landing)
    assert "1 column of load.load_thing filled from now on: name; pull(full=True) fills old rows, too" in done.notes
    assert rows(site) == [(1, "thing 1"), (2, None)]
    assert not land(site, landing).notes
    say(site, Page(records=[thing(1), thing(2)]))
    site.pull(landing=landing, mode="full")
    assert rows(site) == [(1, "thing 1"), (2, "thing 2")]


@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_a_pull_into_a_table_of_ours_takes_nothing_from_a_hosts(site: Site, style: str) -> None:
    """It would be offered to nobody, and what ended meanwhile would be told to nobody."""
    landing = made(site, *THINGS, *OURS, *STATES)
    land(site, landing, thing(1), thing(2))
    confirmed(site)
    site.settings = attrs.evolve(site.settings, tables={"scripted.things": {"style": style}})
    say(site, Page(records=[thing(1, name="new")], states=[State(key=(2,), state=DELETED)]))
    failed = site.pull()
    assert failed.status == "failed" and "is pulled into load.load_thing by host scripts" in str(failed.error)
    done = site.pull(landing=landing)
    assert (done.updated, done.gone) == (1, 1)
    assert rows(site, "id, name, dss_record_state") == [(1, "new", "live"), (2, None, "deleted")]
    site.rows("DELETE FROM syncer.landings")
    assert site.pull().status == "done"


def test_rows_of_a_table_of_another_meaning_are_carried_on_first(site: Site) -> None:
    """They were made for what its columns meant before; a tombstone has none of them."""
    landing = made(site, *THINGS, *OURS, *STATES)
    land(site, landing, thing(1), thing(2))
    other = attrs.evolve(landing, label="scripted.things")
    say(site, Page(records=[thing(1), thing(2)]))
    for mode in ("incremental", "full"):
        failed = site.pull(landing=other, mode=mode)
        assert failed.status == "failed", failed
        assert "2 rows are offered still that were made for its columns as of Things api - things" in str(failed.error)
    site.rows("DELETE FROM syncer.offers_scripted_things")
    assert site.pull(landing=other, mode="full").updated == 2
    assert site.rows("SELECT label FROM syncer.landings") == [("scripted.things",)]


def test_a_load_table_is_one_environments(site: Site) -> None:
    """Also where the other mapping is another one."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1))
    site.rows("UPDATE syncer.landings SET mapping = 'scripted.notes', environment = 'voys'")
    failed = site.pull(landing=landing)
    assert "load.load_thing is filled with scripted.notes of the environment voys" in str(failed.error)


def test_a_full_pull_offers_everything_again_and_each_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lost what it had carried on gets it again; what the run has read twice is no second change."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 1)
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1), thing(2))
    confirmed(site)
    say(site, Page(records=[thing(1)]), Page(records=[thing(2)]), Page(records=[thing(1)]))
    assert site.pull(landing=landing).unchanged == 2
    assert rows(site) == []
    done = site.pull(landing=landing, mode="full")
    assert (done.updated, done.unchanged) == (2, 0)
    assert rows(site) == [(1, "thing 1"), (2, "thing 2")]


def test_a_full_pull_that_died_is_gone_on_with_by_the_next_one(site: Site) -> None:
    """It offers the rest, too, though nothing of it changed."""
    landing = made(site, *THINGS, *OURS)
    land(site, landing, thing(1), thing(2), thing(3), scope="all", place={"n": 1})
    confirmed(site)

    def read(stream: str, places: Any) -> Any:
        yield Page(records=[thing(1)], scope="all", place={"n": 1})
        raise Unavailable("gone away")

    site.script.read = read
    assert site.pull(landing=landing, mode="full").status == "failed"
    assert land(site, landing, thing(2), thing(3), scope="all", place={"n": 3}).updated == 2
    assert rows(site) == [(1, "thing 1"), (2, "thing 2"), (3, "thing 3")]
    assert land(site, landing, thing(1), thing(2), thing(3)).unchanged == 3


def test_rows_that_a_rule_keeps_out_are_told(site: Site) -> None:
    """They were offered, and a confirmation would end them."""
    if "PostgreSQL" not in str(site.rows("SELECT version()")):
        return  # the other one has neither triggers nor rules
    landing = made(site, *THINGS, *OURS, *STATES)
    site.rows("CREATE RULE few AS ON INSERT TO load.load_thing WHERE NEW.id > 1 DO INSTEAD NOTHING")
    done = land(site, landing, thing(1), thing(2), thing(3))
    assert "2 rows of 3 did not come into load.load_thing: it has a trigger or a rule" in done.notes


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (LoadColumn(name="dss_record_source", type="varchar", longest=5), "a text of 19 letters or more"),
        (LoadColumn(name="dss_record_state", type="varchar", longest=2), "a text of 8 letters or more"),
        (LoadColumn(name="dss_record_state", type="integer"), "is integer, and must be a text"),
        (LoadColumn(name="dss_merged_into", type="bigint"), "must be a text"),
    ],
)
def test_own_columns_that_have_no_room_are_refused(site: Site, own: LoadColumn, message: str) -> None:
    """Each night's failure would be the server's words."""
    columns = (*THINGS, *(column for column in OURS if column.name != own.name), own)
    done = land(
        site, Landing(schema="load", name="load_thing", columns=columns, label="Things api - things"), thing(1)
    )
    assert done.status == "failed" and message in str(done.error), done.error


def test_a_table_is_found_as_the_catalogue_writes_it(site: Site) -> None:
    """Capitals are the catalogue's; of two that differ by them alone the one that is written so is meant."""
    site.rows("CREATE SCHEMA IF NOT EXISTS load")
    site.rows('CREATE TABLE load."Load_Thing" (id int)')
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        assert look_up(t, "LOAD", "LOAD_THING").name == "Load_Thing"
        assert look_up(t, "load", "nobody") == Found("load", "nobody")
    if "PostgreSQL" not in str(site.rows("SELECT version()")):
        return  # names of the other one differ by more than capitals
    site.rows("CREATE TABLE load.load_thing (number int)")
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        assert [column.name for column in look_up(t, "load", "load_thing").columns] == ["number"]
        with pytest.raises(UsageError, match="they differ by capitals alone"):
            look_up(t, "load", "LOAD_THING")


PERSON = EntityMapping(
    name="scripted.people",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("author", type=JSON, personal=True),
        Field("author_name", path="author.name", personal=True),
        Field("text", personal=True),
        Field("size", type=BIGINT),
        Field("raw", path=".", type=JSON),
    ),
    inbound=Inbound(stream="people"),
)
HOSTS = {
    "writer": Field("writer", path="author.name", personal=True),  # the place of another field
    "author_name": Field("author_name", path="author.nick", personal=True),  # the name of another one
    "mail": Field("mail", path="author.mail", personal=True),  # inside JSON
    "words": Field("words", path="text", personal=True, treatment=MASK),
    "size": Field("size", type=BIGINT),
}


def treated(column: str, kind: str = "text", **treatments: str) -> str:
    """Return how a column of a host's is treated where the site treats the mapping's columns so."""
    fields = tuple(
        attrs.evolve(field, treatment=treatments.get(field.column, field.treatment), personal=True)
        for field in PERSON.fields
    )
    columns = (LoadColumn(name="id", type="bigint"), LoadColumn(name=column, type=kind), *OURS)
    meanings = {column: Meaning(field=HOSTS[column])}
    landing = Landing(schema="load", name="x", columns=columns, label="x", meanings=meanings)
    return landing.fitted(attrs.evolve(PERSON, fields=fields)).mapping.field(column).treatment


@pytest.mark.parametrize(
    ("column", "kind", "site_says", "becomes"),
    [
        ("writer", "text", {"author_name": DROP}, DROP),
        ("author_name", "text", {"author_name": HASH}, HASH),
        ("mail", "text", {"author": DROP}, DROP),
        ("mail", "text", {"author_name": DROP}, KEEP),
        ("words", "text", {}, KEEP),  # the mapping's field decides, and it says nothing
        ("words", "text", {"text": MASK}, MASK),
        ("words", "text", {"text": HASH}, HASH),
        ("words", "bigint", {"text": MASK}, KEEP),
        ("words", "bigint", {"text": HASH}, DROP),
        ("size", "bigint", {"size": DROP}, DROP),
    ],
)
def test_a_column_of_the_hosts_is_treated_as_the_site_says(
    column: str, kind: str, site_says: dict[str, str], becomes: str
) -> None:
    """By the mapping's field of that name, or of that place: a host's own names open no back door."""
    assert treated(column, kind, **site_says) == becomes


def test_what_is_treated_inside_json_is_treated_there_too(site: Site) -> None:
    """The table has the whole, and no column for the part."""
    fields = tuple(
        attrs.evolve(field, treatment=DROP, personal=True) if field.column == "author_name" else field
        for field in PERSON.fields
    )
    columns = (LoadColumn(name="id", type="bigint"), LoadColumn(name="raw", type="json"), *OURS)
    fitted = Landing(schema="load", name="x", columns=columns, label="x").fitted(attrs.evolve(PERSON, fields=fields))
    assert "author_name" in [field.column for field in fitted.mapping.fields]


def test_what_a_site_drops_stands_nowhere(site: Site) -> None:
    """Neither in the load table nor among the offers."""
    site.settings = attrs.evolve(site.settings, tables={"scripted.things": {"personal": {"city": "drop"}}})
    columns = (LoadColumn(name="id", type="bigint"), LoadColumn(name="town", type="text"))
    meanings = {"town": Meaning(field=Field("town", path="address.city"))}
    landing = made(site, *columns, *OURS, meanings=meanings)
    land(site, landing, thing(1))
    assert rows(site, "id, town") == [(1, None)]
    assert "Ulm" not in str(site.rows("SELECT * FROM syncer.offers_scripted_things"))
