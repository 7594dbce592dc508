"""`syncer forget`: a person is erased to the last byte, and does not come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from syncer import cli, forgetting, rewriting
from syncer.errors import LeaseHeld, UsageError, WarehouseError
from syncer.mapping import Field
from syncer.sources import Page, Whole
from tests.conftest import OWN, Site, only
from tests.people import FOLDER, NUMBERS, furnished, keys_of, left_in, needles, pages, person

pytest_plugins = ["tests.people.fixtures"]

WAREHOUSE = "warehouse.duckdb"


def forget(site: Site, key: str, name: str = "scripted.people", **options: Any) -> forgetting.Forgotten:
    warehouse = site.warehouse()
    try:
        return forgetting.forget(name, key, settings=site.settings, doors=site.doors, warehouse=warehouse, **options)
    finally:
        warehouse.close()


def left_of(site: Site, number: int) -> dict[str, list[str]]:
    """The files of the site and of its warehouse that hold something of a person."""
    return left_in(site, needles(number))


def test_no_byte_of_the_person_is_left(people: Site) -> None:
    """In no file beside the warehouse either; the others are as they were."""
    others = people.rows("SELECT * FROM load.scripted_people WHERE id <> 7 ORDER BY id")
    assert {"email", "phone", "nickname", "author_name", "note", "extra"} <= set(left_of(people, 7))
    done = forget(people, "7")
    assert left_of(people, 7) == {}
    assert people.rows("SELECT * FROM load.scripted_people WHERE id <> 7 ORDER BY id") == others
    row = dict(
        zip(
            people.columns("scripted_people"),
            people.rows("SELECT * FROM load.scripted_people WHERE id = 7")[0],
            strict=True,
        )
    )
    assert {name for name, value in row.items() if value is not None} == {
        "id", "city", "dss_record_source", "dss_load_date", "dss_record_state",
    }  # fmt: skip
    assert (done.records, done.is_rewritten) == (1, True)
    assert [(each.table, each.rows) for each in done.touched if each.rows] == [("load.scripted_people", 1)]


@only("postgresql", "DuckDB keeps no values beside the rows")
def test_the_servers_statistics_hold_nothing_of_the_person(people: Site) -> None:
    """Whoever may read the table reads its most common values in pg_stats, until it is analysed again."""
    people.rows("ANALYZE load.scripted_people")
    asked = "SELECT count(*) FROM pg_stats WHERE schemaname = 'load' AND strpos(pg_stats::text, 'eldzaam7') > 0"
    assert people.rows(asked)[0][0] > 0
    forget(people, "7")
    assert people.rows(asked) == [(0,)]


def test_without_the_rewriting_the_bytes_are_still_there(people: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why a checkpoint is not enough: this test shows that the one above looks well."""
    monkeypatch.setattr(type(people.warehouse()), "rewrite", lambda self: rewriting.Rewritten())
    forget(people, "7")
    assert left_of(people, 7)


def test_rejects_and_findings_of_the_person_go(people: Site) -> None:
    """A reject names a key; a finding's detail may say more."""
    people.script.read = lambda stream, places: pages(person(7, city={"x": 1}), person(8, city={"x": 1}))
    people.pull("scripted.people")
    assert len(people.rows("SELECT * FROM syncer.rejects")) == 2
    done = forget(people, "7")
    assert people.rows("SELECT key FROM syncer.rejects") == [("8",)]
    assert [(each.table, each.rows) for each in done.touched if each.what == "deleted" and each.rows] == [
        ("syncer.rejects", 1)
    ]


def test_a_person_who_is_still_in_the_source_does_not_come_back(people: Site) -> None:
    """The row stays, blank; a second pull writes nothing; what is wrong with the record is not told either."""
    forget(people, "7")
    changed = [person(number, city={"odd": number}) for number in NUMBERS]
    people.script.read = lambda stream, places: pages(*changed)
    people.pull("scripted.people", mode="full")
    again = people.pull("scripted.people", mode="full")
    assert (again.read, again.inserted + again.updated) == (3, 0)
    assert left_of(people, 7) == {}
    assert people.rows("SELECT email FROM load.scripted_people ORDER BY id") == [
        (None,), ("Zeldzaam8@Voorbeeld.example",), ("Zeldzaam9@Voorbeeld.example",),
    ]  # fmt: skip
    assert people.rows("SELECT key FROM syncer.rejects ORDER BY key") == [("8",), ("9",)]


def test_the_hash_that_is_left_is_keyed(people: Site) -> None:
    """An id is easily guessed: a plain hash of it would be the id."""
    forget(people, "7")
    ((mapping, environment, key_hash, at, done),) = people.rows(
        "SELECT mapping, environment, key_hash, forgotten_at, rewritten_at FROM syncer.forgotten"
    )
    assert (mapping, environment, len(key_hash)) == ("scripted.people", "default", 64)
    assert at is not None and done is not None
    people.settings = attrs.evolve(
        people.settings, variables={**people.settings.variables, "SYNCER_HASH_KEY": "another key of many"}
    )
    pulled = people.pull("scripted.people")
    assert pulled.status == "failed" and "under another hash key" in str(pulled.error)
    with pytest.raises(UsageError, match="under another hash key"):
        forget(people, "8")
    people.settings = attrs.evolve(
        people.settings,
        variables={key: value for key, value in people.settings.variables.items() if key != "SYNCER_HASH_KEY"},
    )
    pulled = people.pull("scripted.people")
    assert pulled.status == "failed" and "SYNCER_HASH_KEY" in str(pulled.error)


def contents(site: Site) -> Any:
    """A file's bytes; the rows of a server's tables and where each stands, but for who held a lease and committed."""
    if site.database.nul == "\0":
        return (site.folder / WAREHOUSE).read_bytes()
    tables = (
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname ~ 'load|syncer' "
        "AND tablename NOT IN ('leases', 'commits')"
    )
    return {
        (schema, table): site.rows(f"SELECT t.ctid::text, t::text FROM {schema}.{table} t")
        for schema, table in site.rows(tables)
    }


def test_a_dry_run_touches_nothing(people: Site) -> None:
    """It counts by doing, and rolls back."""
    before = contents(people)
    done = forget(people, "7", is_rehearsal=True)
    assert [(each.table, each.rows) for each in done.touched if each.rows] == [("load.scripted_people", 1)]
    assert not done.is_rewritten and "nothing was changed" in str(done)
    assert contents(people) == before
    assert people.pull("scripted.people", mode="full").unchanged == 3


def test_forgetting_twice_is_fine(people: Site) -> None:
    """Also where the first one was killed before it rewrote the file."""
    forget(people, "7")
    forget(people, "7")
    assert people.rows("SELECT COUNT(*) FROM syncer.forgotten") == [(1,)]


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("scripted.people", "99", "no record with this key"),
        ("scripted.people", "seven", "no key of scripted.people, which is id .bigint"),
        ("scripted.plain", "1", "no personal field"),
        ("scripted.peeple", "1", "Did you mean scripted.people"),
    ],
)
def test_what_cannot_be_forgotten_is_told(people: Site, name: str, key: str, words: str) -> None:
    """A typing error must not look like an erasure; the key is not repeated, it may be an address."""
    with pytest.raises(UsageError, match=words) as caught:
        forget(people, key, name)
    assert key == "1" or key not in str(caught.value)
    assert not (people.folder / "warehouse.duckdb.rewriting").exists()


def test_without_a_hash_key_nothing_is_forgotten(people: Site) -> None:
    """The person would be back with the next pull."""
    people.settings = attrs.evolve(people.settings, variables={"SYNCER_CACHE": str(people.folder)})
    with pytest.raises(UsageError, match="SYNCER_HASH_KEY"):
        forget(people, "7")


def test_without_a_warehouse_none_is_made(make_site: Callable[..., Site]) -> None:
    """Nothing was pulled."""
    site = furnished(make_site())
    with pytest.raises(UsageError, match="[Nn]othing was ever pulled"):
        forget(site, "7")
    assert not (site.folder / WAREHOUSE).exists()


def test_the_mapping_must_not_be_running(people: Site) -> None:
    """A pull that read the person before would write it after."""
    warehouse = people.warehouse()
    lease = warehouse.lease("scripted.people@default", run="x", wait_s=0)
    try:
        with pytest.raises(LeaseHeld):
            forget(people, "7")
    finally:
        lease.release()


def test_a_personal_key_takes_the_row_with_it(make_site: Callable[..., Site]) -> None:
    """A row without its key is no row; what comes in under it later is left out."""
    site = furnished(make_site())
    records = [{"email": f"zeldzaam{number}@voorbeeld.example", "city": "Utrecht"} for number in NUMBERS]
    site.script.read = lambda stream, places: pages(*records)
    site.script.keys = lambda stream, places: iter([Page(records=records, whole=Whole())])
    site.pull("scripted.by_mail")
    forget(site, "zeldzaam7@voorbeeld.example", "scripted.by_mail")
    assert left_in(site, {"email": [b"zeldzaam7@"]}) == {}
    site.pull("scripted.by_mail", mode="full")
    assert left_in(site, {"email": [b"zeldzaam7@"]}) == {}
    assert site.rows("SELECT COUNT(*) FROM load.scripted_by_mail") == [(2,)]
    forget(site, "zeldzaam7@voorbeeld.example", "scripted.by_mail")  # it is known by its hash alone


def test_offers_of_the_delta_style_are_blanked(make_people: Callable[..., Site]) -> None:
    """What the host has not carried on yet; its next offer is the blank row."""
    site = make_people('["scripted.people"]\nstyle = "delta"\npersonal = { note = "keep", nickname = "keep" }\n')
    done = forget(site, "7")
    assert left_of(site, 7) == {}
    assert {each.table: each.rows for each in done.touched if each.rows} == {
        "load.scripted_people": 1,
        "syncer.offers_scripted_people": 1,
    }
    assert site.rows("SELECT key, row_hash IS NULL FROM syncer.seen ORDER BY key") == [
        ("7", True), ("8", False), ("9", False),
    ]  # fmt: skip
    assert site.pull("scripted.people").updated == 1  # the blank row is offered
    assert site.pull("scripted.people").updated == 0
    assert left_of(site, 7) == {}


def test_a_column_that_the_source_no_longer_tells_of_is_blanked(make_site: Callable[..., Site]) -> None:
    """Nobody knows any more whether it was personal; a person's own column stays where fields are declared."""
    site = furnished(make_site())
    site.script.describe = lambda stream: (Field("mail", personal=True), Field("bsn", personal=True), Field("size"))
    record = {"id": 7, "mail": "zeldzaam7", "bsn": "Geheimpje7", "size": "9"}
    site.script.read = lambda stream, places: pages(record)
    site.pull("scripted.found")
    site.script.describe = lambda stream: (Field("mail", personal=True), Field("size"))
    done = forget(site, "7", "scripted.found")
    assert set(done.columns) == {"raw", "mail", "bsn"}
    assert left_in(site, {"all": [b"zeldzaam7", b"Geheimpje7"]}) == {}
    assert site.rows("SELECT size FROM load.scripted_found") == [("9",)]


def gone(site: Site, *numbers: int) -> Any:
    """Take a census that no longer finds some people."""
    site.script.keys = lambda stream, places: keys_of(*(each for each in NUMBERS if each not in numbers))
    return site.pull("scripted.people", mode="census", is_forced=True)


def test_who_is_gone_is_kept_unless_a_site_says_otherwise(people: Site) -> None:
    """Absence has other causes: a token that lost a right."""
    assert gone(people, 7).gone == 1
    assert left_of(people, 7)


def file_of(site: Site) -> int:
    """Which file the load table stands in: another one when it was written anew."""
    if site.database.nul == "\0":
        return (site.folder / WAREHOUSE).stat().st_ino
    return int(site.rows("SELECT pg_relation_filenode('load.scripted_people')::bigint")[0][0])


def test_erase_gone_forgets_after_the_census(make_people: Callable[..., Site]) -> None:
    """One rewriting for all of them, and none where nobody new is gone."""
    site = make_people('["scripted.people"]\nerase_gone = true\npersonal = { note = "keep" }\n')
    assert gone(site, 7, 8).gone == 2
    assert (left_of(site, 7), left_of(site, 8)) == ({}, {}) and left_of(site, 9)
    assert site.rows("SELECT id FROM load.scripted_people WHERE email IS NULL ORDER BY id") == [(7,), (8,)]
    written = file_of(site)
    assert gone(site, 7, 8).status == "done"
    assert file_of(site) == written
    site.pull("scripted.people", mode="full")  # both are back
    assert (left_of(site, 7), left_of(site, 8)) == ({}, {})


def test_erase_gone_goes_on_with_what_a_killed_one_began(
    make_people: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are blank; the file is not rewritten."""
    site = make_people('["scripted.people"]\nerase_gone = true\n')
    with monkeypatch.context() as patched:
        patched.setattr(type(site.warehouse()), "rewrite", broken)
        assert gone(site, 7).status == "failed"
    assert left_of(site, 7)
    assert gone(site, 7).status == "done"
    assert left_of(site, 7) == {}


def broken(self: object) -> rewriting.Rewritten:
    raise WarehouseError("no")


def test_erase_gone_needs_the_key_before_it_reads(make_people: Callable[..., Site]) -> None:
    """Not after a census of an hour."""
    site = make_people('["scripted.people"]\nerase_gone = true\n')
    site.settings = attrs.evolve(site.settings, variables={**site.settings.variables, "SYNCER_HASH_KEY": ""})
    before = site.script.calls.count("keys")
    pulled = gone(site, 7)
    assert pulled.status == "failed" and "SYNCER_HASH_KEY" in str(pulled.error)
    assert site.script.calls.count("keys") == before


def test_the_verb_prints_what_it_touched(
    people: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text, and as a document."""
    (people.folder / "syncer.toml").write_text(f"[syncer]\nfolders = ['{OWN.as_posix()}', '{FOLDER.as_posix()}']\n")
    monkeypatch.chdir(people.folder)
    for name, value in people.settings.variables.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["forget", "scripted.people", "7", "--dry-run", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["forgotten"]
    assert (told["mapping"], told["records"], told["is_rewritten"]) == ("scripted.people", 1, False)
    assert {"table": "load.scripted_people", "rows": 1, "what": "blanked"} in told["touched"]
    assert cli.main(["forget", "scripted.people", "7"]) == 0
    said = capsys.readouterr().out
    kept = "Copies of the file" if people.database.nul == "\0" else "write-ahead log"
    assert "load.scripted_people: 1 blanked" in said and "columns: email, phone" in said and kept in said
    assert left_of(people, 7) == {}
    assert cli.main(["forget", "scripted.people", "--untreated"]) == 0
    assert cli.main(["forget", "scripted.people"]) == cli.main(["forget", "scripted.people", "7", "--untreated"]) == 2
    assert cli.main(["forget", "scripted.plain", "7"]) == 2
    monkeypatch.delenv("SYNCER_HASH_KEY")
    assert cli.main(["forget", "scripted.people", "7"]) == 2
    assert "SYNCER_HASH_KEY" in capsys.readouterr().err
