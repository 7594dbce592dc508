"""How rows and their counts come in on a real server, where it keeps the keys of a run, and what people did to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from syncer import engine
from syncer.loading import Loading
from syncer.sources import DELETED, Page, Whole
from tests.conftest import Site


def named(number: int, name: str = "x") -> dict[str, Any]:
    return {"id": number, "name": name}


def say(site: Site, *pages: Page) -> None:
    """Let the source yield *pages*, whatever the place."""
    site.script.read = lambda stream, places: iter(pages)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The walks that keys were kept under in the table."""
    kept: list[str] = []
    real = Loading.remember

    def remember(self: Loading, t: Any, walk: str, **more: Any) -> None:
        kept.append(walk.split(":")[0])
        real(self, t, walk, **more)

    monkeypatch.setattr(Loading, "remember", remember)
    return kept


def test_keys_are_kept_beside_the_tables_when_the_first_group_has_no_rows(
    site: Site, walks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `walks` each group is looked up in all before it: 100,000 rows and more, and a pull does not end."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 2)

    def read(stream: str, places: Any) -> Iterator[Page]:
        yield Page(scope="quiet", place={"n": 1})
        yield Page(scope="quiet", place={"n": 2})
        site.clock.advance(6)  # a group is at most so old
        until = time.monotonic() + 5
        while not site.rows("SELECT 1 FROM syncer.marks") and time.monotonic() < until:
            time.sleep(0.01)
        for group in range(3):
            yield Page(records=[named(1, f"x{group}"), named(group + 2)])

    site.script.read = read
    done = site.pull()
    assert (done.read, done.inserted, done.unchanged) == (4, 4, 0)
    assert walks == []


def test_keys_are_kept_beside_the_tables_when_a_census_loads_states_first(
    site: Site, walks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a census asked for is gone, and then it heals, group by group."""
    monkeypatch.setattr("syncer.census.KEYS_A_FETCH", 1)
    say(site, Page(records=[named(number) for number in range(20)]))
    site.pull()
    found = [named(number) for number in range(1, 24)]
    site.script.keys = lambda stream, places: iter([Page(records=found, whole=Whole())])
    site.script.fetch = lambda stream, keys: iter([Page(records=[named(key[0]) for key in keys if key[0] > 0])])
    done = site.pull(mode=engine.CENSUS)
    assert (done.read, done.inserted, done.gone) == (4, 4, 1)
    assert "census" in walks and "run" not in walks


def test_a_publication_of_all_tables_stops_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server refuses to delete from a published table that has neither a key nor another identity."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 1)
    notes = [{"thing_id": 1, "name": name} for name in "abc"]
    say(site, Page(records=notes))
    site.pull("scripted.notes")
    site.rows("CREATE PUBLICATION everything FOR ALL TABLES")
    try:
        pull_a_walk(site, notes)
    finally:
        site.rows("DROP PUBLICATION everything")  # the database is used again


def pull_a_walk(site: Site, notes: list[dict[str, Any]]) -> None:
    """Pull two of three, a group each, with the word that they are all: one is gone, and the walk is forgotten."""
    first, last = (
        Whole(columns=("thing_id",), values=[(1,)], absent=DELETED, first=not number, last=bool(number))
        for number in range(2)
    )
    say(site, Page(scope="s", records=notes[:1], whole=first), Page(scope="s", records=notes[1:2], whole=last))
    done = site.pull("scripted.notes")
    assert (done.error, done.gone) == (None, 1)
    assert site.rows("SELECT count(*) FROM syncer.walks") == [(0,)]


def with_trigger(site: Site, body: str) -> None:
    """Let a person's trigger change what comes in."""
    site.rows(f"CREATE FUNCTION tidied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$")
    site.rows("CREATE TRIGGER tidied BEFORE INSERT ON load.scripted_things FOR EACH ROW EXECUTE FUNCTION tidied()")


def test_a_row_that_a_trigger_changes_as_it_comes_in_is_written_once(site: Site) -> None:
    """A pull counts each key once: inserted, updated or unchanged."""
    say(site, Page(records=[named(1), named(2)]))
    site.pull()
    with_trigger(site, "NEW.name := upper(NEW.name)")
    say(site, Page(records=[named(1, "y"), named(3)]))
    done = site.pull()
    assert (done.read, done.inserted, done.updated, done.unchanged) == (2, 1, 1, 0)
    assert site.rows("SELECT id, name FROM load.scripted_things ORDER BY id") == [(1, "y"), (2, "x"), (3, "X")]


@pytest.mark.parametrize("size", [2, 10])
def test_a_key_with_two_rows_counts_once(site: Site, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person dropped the primary key, and doubled the rows: that is theirs to mend, and counts are still a sum."""
    say(site, Page(records=[named(1), named(2)]))
    site.pull()
    site.rows("ALTER TABLE load.scripted_things DROP CONSTRAINT scripted_things_pkey")
    site.rows("INSERT INTO load.scripted_things SELECT * FROM load.scripted_things")
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", size)
    say(site, Page(records=[named(1, "y"), named(3)]), Page(records=[named(1, "z"), named(4)]))
    done = site.pull()
    assert (done.read, done.inserted, done.updated, done.unchanged) == (3, 2, 1, 0)
    assert site.rows("SELECT id, name FROM load.scripted_things ORDER BY id, name") == [
        (1, "z"), (1, "z"), (2, "x"), (2, "x"), (3, "x"), (4, "x")
    ]  # fmt: skip
