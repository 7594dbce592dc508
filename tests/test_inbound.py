"""The way in, on real warehouses: what is written, what is not, what is told. The source is a script."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from syncer.errors import NotAllowed, Unavailable
from syncer.sources import ARCHIVED, DELETED, Page, State, Whole
from tests.conftest import Site


def thing(number: int, **values: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"thing {number}",
        "address": {"city": "Ulm"},
        "updated": "2026-01-02T03:04:05Z",
        **values,
    }


def say(site: Site, *pages: Page) -> None:
    """Let the source yield *pages*, whatever the place."""
    site.script.read = lambda stream, places: iter(pages)


def test_rows_arrive_typed(site: Site) -> None:
    """Nested objects are columns by path, lists are JSON, times are UTC."""
    record = thing(
        1,
        size="12",
        price=1.25,
        weight=3,
        is_sold=True,
        made_on="1850-02-28",
        updated="1899-12-31T23:00:00+01:00",
        tags=["a", {"b": 1}],
    )
    say(site, Page(records=[record], place={"n": 1}))
    assert site.pull().inserted == 1
    found = site.rows(
        "SELECT id, name, city, size, price::TEXT, weight, is_sold, made_on, updated, tags FROM load.scripted_things"
    )
    midnight = dt.datetime(1899, 12, 31, 22, tzinfo=dt.UTC)
    assert found == [
        (1, "thing 1", "Ulm", 12, "1.250000000", 3.0, True, dt.date(1850, 2, 28), midnight, '["a",{"b":1}]')
    ]
    assert site.rows(
        "SELECT dss_record_source, dss_record_state, dss_load_date IS NOT NULL FROM load.scripted_things"
    ) == [("scripted.things", "live", True)]


def test_second_pull_of_an_unchanged_source_writes_nothing(site: Site) -> None:
    """Promise 4: told by the run record and by the table's own content."""
    say(site, Page(records=[thing(number) for number in range(500)], place={"n": 500}))
    assert site.pull().inserted == 500
    before = site.rows("SELECT * FROM load.scripted_things ORDER BY id")
    again = site.pull()
    assert (again.read, again.inserted, again.updated, again.unchanged) == (500, 0, 0, 500)
    assert site.rows("SELECT * FROM load.scripted_things ORDER BY id") == before


def test_only_what_differs_is_written(site: Site) -> None:
    """A changed value, a value that became null, and a new record; the rest keeps its load date."""
    say(site, Page(records=[thing(number) for number in range(10)]))
    site.pull()
    say(site, Page(records=[thing(0, name="new"), thing(1, address=None), *[thing(n) for n in range(2, 11)]]))
    done = site.pull()
    assert (done.inserted, done.updated, done.unchanged) == (1, 2, 8)
    assert site.rows("SELECT count(DISTINCT dss_load_date) FROM load.scripted_things") == [(2,)]


def test_a_persons_columns_and_views_are_left_alone(site: Site) -> None:
    """A warehouse is used by people while we load it."""
    say(site, Page(records=[thing(1)]))
    site.pull()
    site.rows("ALTER TABLE load.scripted_things ADD COLUMN note TEXT")
    site.rows("UPDATE load.scripted_things SET note = 'mine'")
    site.rows("CREATE VIEW load.mine AS SELECT note FROM load.scripted_things")
    say(site, Page(records=[thing(1, name="other"), thing(2)]))
    assert site.pull().updated == 1
    assert site.rows("SELECT * FROM load.mine ORDER BY note") == [("mine",), (None,)]


def test_what_does_not_fit_is_a_reject_and_never_a_silent_null(site: Site) -> None:
    """The record is loaded with NULL there; the reject names key, column and the type that came."""
    say(site, Page(records=[thing(1, size="many", address="Ulm"), thing(2, size=2**70), thing(3, is_sold="perhaps")]))
    done = site.pull()
    assert (done.inserted, done.rejected, done.exit_code) == (3, 4, 3)
    assert site.rows('SELECT key, "column", declared, found FROM syncer.rejects ORDER BY key, "column"') == [
        ("1", "city", "text", "string"),
        ("1", "size", "bigint", "string"),
        ("2", "size", "bigint", "number"),
        ("3", "is_sold", "boolean", "string"),
    ]
    assert site.rows("SELECT id, size, city FROM load.scripted_things WHERE id < 3 ORDER BY id") == [
        (1, None, None),
        (2, None, "Ulm"),
    ]


def test_a_reject_goes_when_the_value_fits(site: Site) -> None:
    """Rejects tell what is wrong now, not what once was."""
    say(site, Page(records=[thing(1, size="many"), thing(2, size="more")]))
    site.pull()
    say(site, Page(records=[thing(1, size=5)]))
    assert site.pull().rejected == 0
    assert site.rows("SELECT key FROM syncer.rejects") == [("2",)]


@pytest.mark.parametrize("record", [{"name": "no id"}, {"id": None}, {"id": {"a": 1}}, {"id": "x7"}, None, "text", 7])
def test_a_record_without_a_usable_key_is_left_out_and_named(site: Site, record: Any) -> None:
    """It is counted as read; the others load."""
    say(site, Page(records=[thing(1), record, thing(2)]))
    done = site.pull()
    assert (done.read, done.inserted, done.rejected) == (3, 2, 1)
    key, column, reason = site.rows('SELECT key, "column", reason FROM syncer.rejects')[0]
    assert key.startswith("~") and column == "id" and "without a usable key" in reason


@pytest.mark.parametrize("text", ["{braces} %s {0}", "😀𝒳", "x" * 1_000_000, 'O\'Neil "q" \\ \n\r\t', "\u202e", ""])
def test_odd_text_arrives_as_it_is(site: Site, text: str) -> None:
    """Braces, 4-byte characters, quotes, a megabyte."""
    say(site, Page(records=[thing(1, name=text, tags=[text])]))
    assert site.pull().rejected == 0
    assert site.rows("SELECT name, tags->>0 FROM load.scripted_things") == [(text, text)]


@pytest.mark.parametrize("text", ["a\0b", "\0", "\0\0a", "a\\\0", "\\u0000"])
def test_nul_arrives_or_is_replaced_and_told(site: Site, text: str) -> None:
    """PostgreSQL's driver cuts a text there without a word: what a warehouse cannot hold is replaced and named."""
    say(site, Page(records=[thing(1, name=text, city="x", tags=[text, {text: 1}]), thing(2)]))
    done = site.pull()
    kept = text.replace("\0", site.database.nul)
    assert (done.inserted, done.rejected) == (2, 2 * (kept != text))
    ((name, tags),) = site.rows("SELECT name, tags FROM load.scripted_things WHERE id = 1")
    assert (name, json.loads(tags)) == (kept, [kept, {kept: 1}])
    told = site.rows('SELECT key, "column", reason FROM syncer.rejects ORDER BY "column"')
    assert [each[:2] for each in told] == ([("1", "name"), ("1", "tags")] if kept != text else [])
    assert all("U+FFFD" in reason for _, _, reason in told)
    assert site.pull().unchanged == 2


@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_a_key_with_nul_is_a_key_or_is_left_out_and_named(make_site: Callable[..., Site], style: str) -> None:
    """Replaced, two keys could become one: on a warehouse without NUL such a record is no record."""
    site = make_site(f'["scripted.notes"]\nstyle = "{style}"\n')
    names = ["a\0b", "a\ufffdb", "a"]
    for is_first in (True, False):
        say(site, Page(records=[{"thing_id": 1, "name": name, "text": f"of {name!a}"} for name in names]))
        done = site.pull("scripted.notes")
        held = [name for name in names if site.database.nul == "\0" or "\0" not in name]
        assert (done.read, done.inserted, done.unchanged) == (3, len(held) * is_first, len(held) * (not is_first))
        found = site.rows("SELECT name, text FROM load.scripted_notes")
        assert sorted(found) == sorted((name, f"of {name!a}") for name in held)
        rejects = site.rows("SELECT key, reason FROM syncer.rejects")
        assert len(rejects) == done.rejected == 3 - len(held)
        assert all(key.startswith("~") and "without a usable key" in reason for key, reason in rejects)


@pytest.mark.parametrize("style", ["mirror", "delta"])
def test_a_state_of_a_key_with_nul_ends_no_other_record(make_site: Callable[..., Site], style: str) -> None:
    """The record that it is told of is not there, and the one with U+FFFD in its name has nothing to do with it."""
    site = make_site(f'["scripted.notes"]\nstyle = "{style}"\n')
    say(site, Page(records=[{"thing_id": 1, "name": name} for name in ("a\0b", "a\ufffdb")]))
    site.pull("scripted.notes")
    say(site, Page(states=[State(key=(1, "a\0b"), state=DELETED)]))
    done = site.pull("scripted.notes")
    assert done.gone == (site.database.nul == "\0")
    found = site.rows("SELECT dss_record_state FROM load.scripted_notes WHERE name = 'a\ufffdb'")
    assert (done.status, found) == ("done", [("live",)])


def test_half_a_surrogate_pair_is_replaced_and_told(site: Site) -> None:
    """No database can hold it; losing the whole text for it would be worse, losing it silently worst."""
    say(site, Page(records=[thing(1, name="cut \ud83d", tags=["\ud83d"])]))
    assert site.pull().rejected == 2
    assert site.rows("SELECT name, tags FROM load.scripted_things") == [("cut \ufffd", '["\ufffd"]')]


def test_an_id_that_comes_twice_counts_once(site: Site) -> None:
    """Pages overlap where an API has no other safe way; the sum must hold all the same."""
    say(site, Page(records=[thing(1), thing(2)]), Page(records=[thing(2, name="newer"), thing(3)]))
    done = site.pull()
    assert (done.read, done.inserted) == (3, 3)
    assert site.rows("SELECT name FROM load.scripted_things WHERE id = 2") == [("newer",)]


def test_an_id_that_comes_again_in_a_later_group_counts_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unchanged, changed, and changed twice: read = inserted + updated + unchanged, and each key once."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 2)
    say(site, Page(records=[thing(1), thing(2), thing(3)]))
    site.pull()
    say(
        site,
        Page(records=[thing(1), thing(2, name="x"), thing(9)]),
        Page(records=[thing(1), thing(2, name="y"), thing(9, name="z")]),
        Page(records=[thing(1, name="late"), thing(3), thing(4)]),
        Page(records=[thing(1, name="later"), thing(5)]),
    )
    done = site.pull()
    assert (done.read, done.inserted, done.updated, done.unchanged) == (6, 3, 2, 1)
    assert site.rows("SELECT count(*) FROM syncer.walks") == [(0,)]


def test_an_older_record_never_replaces_a_newer_one(site: Site) -> None:
    """An index that lags may answer with yesterday's record; `--full` heals a row that somebody else changed."""
    page = Page(records=[{"id": 1, "name": "new", "updated": "2026-01-02T00:00:00Z"}])
    old = Page(records=[{"id": 1, "name": "old", "updated": "2026-01-01T00:00:00Z"}])
    say(site, page, old)
    site.pull("scripted.versioned")
    say(site, old)
    assert site.pull("scripted.versioned").unchanged == 1
    assert site.rows("SELECT name FROM load.scripted_versioned") == [("new",)]
    site.rows("UPDATE load.scripted_versioned SET updated = '2099-01-01'")
    say(site, page)
    assert site.pull("scripted.versioned").updated == 0
    assert site.pull("scripted.versioned", mode="full").updated == 1


def test_places_are_kept_by_scope_and_handed_back(site: Site) -> None:
    """The engine stores what it does not understand."""
    say(
        site,
        Page(scope="a", place={"head": "1"}, records=[thing(1)]),
        Page(scope="b", place={"x": [1, {"y": None}]}, mark="here"),
    )
    assert site.pull().mark == "here"
    seen: dict[str, Any] = {}

    def read(stream: str, places: Any) -> Any:
        seen.update(places)
        return iter(())

    site.script.read = read
    site.pull()
    assert seen == {"a": {"head": "1"}, "b": {"x": [1, {"y": None}]}}
    seen.clear()
    site.pull(mode="full")
    assert seen == {}


def test_what_was_read_before_a_failure_is_kept_with_its_place(site: Site) -> None:
    """A run that fails is a run that goes on where it stopped."""

    def read(stream: str, places: Any) -> Any:
        yield Page(place={"n": 1}, records=[thing(1)])
        raise Unavailable("no answer")

    site.script.read = read
    done = site.pull()
    assert (done.status, done.inserted, done.exit_code) == ("failed", 1, 1) and "no answer" in str(done.error)
    assert site.rows("SELECT status, inserted, error FROM syncer.runs") == [("failed", 1, "no answer")]
    assert site.rows("SELECT place FROM syncer.marks") == [('{"n":1}',)]


def test_a_scope_that_fails_is_named_and_the_others_load(site: Site) -> None:
    """No permission for one project: that scope fails, the others load, exit 3, nothing is deleted."""
    whole = Whole(columns=("thing_id",), values=[(1,)], within=("thing_id",), absent=DELETED)
    notes = [{"thing_id": 1, "name": "a"}, {"thing_id": 2, "name": "b"}]
    say(site, Page(scope="1", place={"n": 1}, records=notes[:1], whole=whole), Page(scope="2", records=notes[1:]))
    site.pull("scripted.notes")
    say(site, Page(scope="1", error=NotAllowed("project 1: no permission")), Page(scope="2", records=notes[1:]))
    done = site.pull("scripted.notes")
    assert (done.status, done.exit_code, done.rejected, done.gone) == ("done", 3, 1, 0)
    assert site.rows("SELECT scope, reason FROM syncer.rejects") == [("1", "project 1: no permission")]
    assert site.rows("SELECT place FROM syncer.marks WHERE scope = '1'") == [('{"n":1}',)]
    say(site, Page(scope="1", records=notes[:1], whole=whole))
    assert site.pull("scripted.notes").exit_code == 0
    assert site.rows("SELECT count(*) FROM syncer.rejects") == [(0,)]


def test_a_scope_whose_reload_failed_is_read_whole_by_the_next_pull(site: Site) -> None:
    """`--full` promised to read it again; its old place would say that there is nothing to read."""
    say(site, Page(scope="1", place={"n": 1}, records=[thing(1)]), Page(scope="2", place={"n": 2}))
    site.pull()
    say(site, Page(scope="1", error=NotAllowed("no permission")), Page(scope="2", place={"n": 3}))
    site.pull()
    assert site.rows("SELECT scope FROM syncer.marks ORDER BY scope") == [("1",), ("2",)]
    assert site.pull(mode="full").exit_code == 3
    assert site.rows("SELECT scope, place FROM syncer.marks") == [("2", '{"n":3}')]


def test_what_left_a_whole_slice_ends(site: Site) -> None:
    """A slice is compared as a whole; other slices are not touched, and what comes back is live again."""

    def notes(slice_id: int, *names: str) -> Page:
        whole = Whole(columns=("thing_id",), values=[(slice_id,)], absent=DELETED)
        return Page(records=[{"thing_id": slice_id, "name": name} for name in names], whole=whole)

    say(site, notes(1, "a", "b"), notes(2, "c"))
    site.pull("scripted.notes")
    say(site, notes(1, "b"))
    assert site.pull("scripted.notes").gone == 1
    states = "SELECT name, dss_record_state FROM load.scripted_notes ORDER BY name"
    assert site.rows(states) == [("a", "deleted"), ("b", "live"), ("c", "live")]
    say(site, notes(1, "a", "b"))
    done = site.pull("scripted.notes")
    assert (done.updated, done.gone) == (1, 0)
    assert site.rows(states) == [("a", "live"), ("b", "live"), ("c", "live")]


def test_a_slice_read_twice_in_one_group_is_compared_twice(site: Site) -> None:
    """What left the slice between two readings must not stay live because the first one had it."""

    def notes(*names: str) -> Page:
        whole = Whole(columns=("thing_id",), values=[(1,)], absent=DELETED)
        return Page(records=[{"thing_id": 1, "name": name} for name in names], whole=whole)

    say(site, notes("a", "b"), notes("b"))
    site.pull("scripted.notes")
    assert site.rows("SELECT name, dss_record_state FROM load.scripted_notes ORDER BY name") == [
        ("a", "deleted"),
        ("b", "live"),
    ]


def test_a_walk_over_several_groups_knows_what_it_met(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absence is settled with the last page, also when the run was broken in between and went on from its place."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 2)
    say(site, Page(records=[thing(number) for number in range(9)]))
    site.pull()

    def walk(start: int, *, fails_at: int | None) -> Any:
        for number in range(start, 9, 2):
            if fails_at == number:
                raise Unavailable("broken")
            records = [thing(n) for n in (number, number + 1) if n < 9 and n not in (1, 6)]
            yield Page(
                place={"next": number + 2}, records=records, whole=Whole(first=number == 0, last=number + 2 >= 9)
            )

    site.script.read = lambda stream, places: walk(0, fails_at=4)
    assert site.pull().status == "failed"
    site.script.read = lambda stream, places: walk(places[""]["next"], fails_at=None)
    assert site.pull().gone == 2
    assert site.rows("SELECT id FROM load.scripted_things WHERE dss_record_state = 'gone' ORDER BY id") == [(1,), (6,)]
    assert site.rows("SELECT count(*) FROM syncer.walks") == [(0,)]


def test_a_walk_that_ends_where_another_begins_keeps_what_it_met(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scope, one group: the last page of one slice's walk, then the first page of the next one's."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 3)
    notes = [{"thing_id": slice_id, "name": f"{slice_id}{letter}"} for slice_id in (1, 2) for letter in "abcde"]
    say(site, Page(records=[*notes, {"thing_id": 1, "name": "old"}, {"thing_id": 2, "name": "old"}]))
    site.pull("scripted.notes")

    def walks() -> Any:
        for slice_id in (1, 2):
            own = [note for note in notes if note["thing_id"] == slice_id]
            for at in range(0, 5, 2):
                whole = Whole(columns=("thing_id",), values=[(slice_id,)], first=at == 0, last=at == 4)
                yield Page(scope="s", records=own[at : at + 2], whole=whole)

    site.script.read = lambda stream, places: walks()
    assert site.pull("scripted.notes").gone == 2
    assert site.rows("SELECT name FROM load.scripted_notes WHERE dss_record_state = 'gone'") == [("old",), ("old",)]


def test_too_many_to_believe_end_none(site: Site) -> None:
    """A list that answers short must not end half a table: a finding, exit 3."""
    everything = Whole()
    say(site, Page(records=[thing(number) for number in range(10)], whole=everything))
    site.pull()
    say(site, Page(records=[thing(number) for number in range(6)], whole=everything))
    done = site.pull()
    assert (done.gone, done.exit_code) == (0, 3)
    assert site.rows("SELECT kind, detail FROM syncer.findings")[0][0] == "max_gone_share"
    say(site, Page(records=[thing(number) for number in range(7)], whole=everything))
    assert site.pull().gone == 3


def test_states_are_recorded_as_they_are_told(site: Site) -> None:
    """Archived with its record, deleted without one; a merge keeps who survives."""
    say(site, Page(records=[thing(1), thing(2), thing(3)]))
    site.pull()
    states = [
        State(key=(1,), state=ARCHIVED),
        State(key=(2,), state="merged", into="3"),
        State(key=(77,), state=DELETED),
    ]
    say(site, Page(records=[thing(1, name="put away")], states=states))
    assert site.pull().gone == 2
    found = site.rows("SELECT id, name, dss_record_state, dss_merged_into FROM load.scripted_things ORDER BY id")
    assert found == [(1, "put away", "archived", None), (2, "thing 2", "merged", "3"), (3, "thing 3", "live", None)]
    assert site.rows("SELECT mapping, old_id, new_id FROM syncer.aliases") == [("scripted.things", "2", "3")]
    assert site.pull().gone == 0


def test_an_environment_has_its_own_table_places_and_account(site: Site) -> None:
    """Two accounts of one source side by side; nothing of the one is ever mixed with the other."""
    say(site, Page(records=[thing(1)], place={"n": 1}))
    site.pull()
    variables = {
        name.replace("SCRIPTED_", "SCRIPTED__VOYS_"): value for name, value in site.settings.variables.items()
    }
    site.settings = attrs.evolve(site.settings, environment="voys", variables=variables)
    site.script.account = "somebody else"
    seen: list[Any] = []
    site.script.read = lambda stream, places: (seen.append(dict(places)), iter([Page(records=[thing(2)])]))[1]
    assert site.pull().environment == "voys"
    assert seen == [{}]
    assert site.rows("SELECT id FROM load.scripted_things") == [(1,)]
    assert site.rows("SELECT id FROM load.scripted_things_voys") == [(2,)]
    accounts = site.rows("SELECT environment, account FROM syncer.accounts ORDER BY environment")
    assert accounts == [("default", "the account"), ("voys", "somebody else")]


def test_another_account_is_refused(site: Site) -> None:
    """Ids of one account must never be mixed with those of another."""
    site.pull()
    site.script.account = "somebody else"
    done = site.pull()
    assert done.status == "failed" and "somebody else" in str(done.error) and "the account" in str(done.error)


@pytest.mark.parametrize("scope", ["a\0'b", "a\ufffd", "~hex:61", "a\\' ?", "{fn x} 'ü😀'?", ":x %s $1"])
def test_a_walk_and_a_place_of_any_scope_are_found_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """A scope is text of the source's own; two that differ in what a server cannot hold are two."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 1)
    say(site, *[Page(records=[thing(number)]) for number in range(3)])
    site.pull()
    seen: list[Any] = []

    def read(stream: str, places: Any) -> Any:
        seen.append(dict(places))
        yield Page(scope=scope, records=[thing(0)], whole=Whole(last=False), place={"k": 1})
        yield Page(scope=scope, records=[thing(1)], whole=Whole(first=False), place={"k": 2})
        for number in range(4):  # so many that they are staged
            yield Page(scope=f"a\0{number}", place={"k": number})

    site.script.read = read
    done = site.pull()
    assert (done.error, done.gone, done.rejected) == (None, 1, 0)
    site.pull()
    assert seen == [{}, {scope: {"k": 2}} | {f"a\0{number}": {"k": number} for number in range(4)}]
    assert site.rows("SELECT count(*) FROM syncer.walks") == [(0,)]


@pytest.mark.parametrize("place", [{"~hex": "zz"}, {"~hex": "7b7d"}, {"~hex": {"a": "\0"}}, {"~hex": "zz", "b": 1}])
def test_a_place_that_looks_like_one_that_we_wrote_is_handed_back(site: Site, place: Any) -> None:
    """What a source keeps is its own."""
    say(site, Page(place=place))
    site.pull()
    seen: list[Any] = []
    site.script.read = lambda stream, places: (seen.append(dict(places)), iter(()))[1]
    assert (site.pull().error, seen) == (None, [{"": place}])
