"""A census: what is no longer there is found, confirmed, and never believed too easily."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from syncer.errors import NotAllowed
from syncer.inbound import Inbound
from syncer.sources import ARCHIVED, DELETED, Identity, Page, State, Whole
from tests.conftest import Site, own_module
from tests.test_inbound import say, thing


def loaded(site: Site, count: int = 20, name: str = "scripted.things") -> None:
    say(site, Page(records=[thing(number) for number in range(count)], place={"n": 1}))
    site.pull(name)


def census(site: Site, present: list[int], *, answers: list[Page] | None = None, **request: Any) -> Any:
    """Take a census in which the API has *present*; asked by key, it has *answers*."""
    site.script.keys = lambda stream, places: iter(
        [Page(records=[{"id": number} for number in present], whole=Whole())]
    )
    site.script.fetch = lambda stream, keys: iter(answers or [])
    return site.pull(mode="census", **request)


STATES = "SELECT id, dss_record_state FROM load.scripted_things WHERE dss_record_state <> 'live' ORDER BY id"


def test_what_is_absent_and_confirmed_is_gone(site: Site) -> None:
    """Not deleted: the API does not say why."""
    loaded(site)
    done = census(site, list(range(2, 20)))
    assert (done.gone, done.status, done.exit_code, done.mode) == (2, "done", 0, "census")
    assert site.rows(STATES) == [(0, "gone"), (1, "gone")]
    assert site.rows("SELECT name FROM load.scripted_things WHERE id = 0") == [("thing 0",)]


def test_a_census_moves_no_place(site: Site) -> None:
    """The next pull goes on where the last one stopped."""
    loaded(site)
    census(site, list(range(20)))
    assert site.rows("SELECT place FROM syncer.marks") == [('{"n":1}',)]


def test_what_is_asked_for_by_key_and_still_there_stays(site: Site) -> None:
    """A list that missed a row is healed by the answer to the key; a state that comes back is recorded as it is."""
    loaded(site)
    answers = [Page(records=[thing(0, name="here all along")], states=[State(key=(1,), state=DELETED)])]
    done = census(site, list(range(2, 20)), answers=answers)
    assert (done.gone, done.updated) == (1, 1)
    assert site.rows(STATES) == [(1, "deleted")]


def test_an_archived_record_that_comes_by_key_keeps_its_values(site: Site) -> None:
    """Archived, deleted and gone are different things."""
    loaded(site)
    answers = [Page(records=[thing(0, name="last words")], states=[State(key=(0,), state=ARCHIVED)])]
    assert census(site, list(range(1, 20)), answers=answers).gone == 1
    assert site.rows("SELECT name, dss_record_state FROM load.scripted_things WHERE id = 0") == [
        ("last words", "archived")
    ]


def test_a_census_reads_what_the_warehouse_lacks(site: Site) -> None:
    """A row that was lost, and one that ended by mistake, come back."""
    loaded(site)
    site.rows("DELETE FROM load.scripted_things WHERE id = 3")
    site.rows("UPDATE load.scripted_things SET dss_record_state = 'gone' WHERE id = 4")
    done = census(site, list(range(20)), answers=[Page(records=[thing(3), thing(4)])])
    assert (done.inserted, done.updated, done.gone) == (1, 1, 0)


def test_a_census_reads_another_version(site: Site) -> None:
    """Where keys come with their version, what is stale is seen."""
    records = [{"id": number, "name": "old", "updated": "2026-01-01T00:00:00Z"} for number in range(3)]
    say(site, Page(records=records))
    site.pull("scripted.versioned")
    newer = {"id": 1, "name": "new", "updated": "2026-01-02T00:00:00Z"}
    site.script.keys = lambda stream, places: iter([Page(records=[records[0], newer, {"id": 2}], whole=Whole())])
    asked: list[Any] = []
    site.script.fetch = lambda stream, keys: (asked.extend(keys), iter([Page(records=[newer])]))[1]
    assert site.pull("scripted.versioned", mode="census").updated == 1
    assert asked == [(1,)]


def test_too_many_missing_are_a_finding_until_a_person_forces_it(site: Site) -> None:
    """An outage that answers short deletes nothing."""
    loaded(site)
    done = census(site, list(range(8)))
    assert (done.gone, done.exit_code) == (0, 3)
    assert "12 of 20" in site.rows("SELECT detail FROM syncer.findings")[0][0]
    done = census(site, list(range(8)), is_forced=True)
    assert (done.gone, done.exit_code) == (12, 0)
    assert site.rows("SELECT count(*) FROM syncer.findings") == [(0,)]


def test_rows_of_a_scope_that_failed_do_not_end(site: Site) -> None:
    """A lost permission is no deletion."""
    notes = [{"thing_id": number, "name": "n"} for number in (1, 2)]
    say(site, Page(records=notes))
    site.pull("scripted.notes")
    whole = Whole(columns=("thing_id",), values=[(2,)], within=("thing_id",))
    site.script.keys = lambda stream, places: iter(
        [Page(scope="1", error=NotAllowed("project 1: no")), Page(scope="2", whole=whole)]
    )
    done = site.pull("scripted.notes", mode="census")
    assert (done.gone, done.exit_code) == (1, 3)
    assert site.rows("SELECT thing_id, dss_record_state FROM load.scripted_notes ORDER BY 1") == [
        (1, "live"),
        (2, "gone"),
    ]


def test_an_archived_record_that_is_not_there_any_more_is_gone(site: Site) -> None:
    """It has left `live` already, so it is not counted once more."""
    loaded(site)
    census(site, list(range(1, 20)), answers=[Page(states=[State(key=(0,), state=ARCHIVED)])])
    assert site.rows(STATES) == [(0, "archived")]
    done = census(site, list(range(1, 20)))
    assert (site.rows(STATES), done.gone) == ([(0, "gone")], 0)


def test_an_archived_record_that_the_api_lists_as_live_is_read_again(site: Site) -> None:
    """Restored, and nothing else of it changed."""
    loaded(site)
    census(site, list(range(1, 20)), answers=[Page(states=[State(key=(0,), state=ARCHIVED)])])
    census(site, list(range(20)), answers=[Page(records=[thing(0)])])
    assert site.rows(STATES) == []


def test_a_place_that_a_census_made_untrue_is_replaced_when_it_is_done(site: Site) -> None:
    """A project that is out of sight must be read whole when it is back."""
    loaded(site)
    seen: dict[str, Any] = {}

    def keys(stream: str, places: Any) -> Any:
        seen.update(places)
        yield Page(records=[{"id": n} for n in range(20)], scope="hidden", place={"hidden": True}, whole=Whole())

    site.script.keys = keys
    assert site.pull(mode="census").status == "done"
    assert seen == {"": {"n": 1}}
    assert dict(site.rows("SELECT scope, place FROM syncer.marks")) == {"": '{"n":1}', "hidden": '{"hidden":true}'}


def test_a_reload_forgets_the_places_that_it_did_not_write(site: Site) -> None:
    """A project that is hidden while everything is reloaded is read whole when it is back."""
    say(site, Page(scope="a", place={"n": 1}), Page(scope="b", place={"n": 1}))
    site.pull()
    say(site, Page(scope="a", place={"n": 2}))
    site.pull()
    assert site.rows("SELECT scope FROM syncer.marks ORDER BY scope") == [("a",), ("b",)]
    site.pull(mode="full")
    assert site.rows("SELECT scope, place FROM syncer.marks") == [("a", '{"n":2}')]


def test_where_one_census_is_not_enough_the_second_ends_it_a_day_later(site: Site) -> None:
    """A key missed once stands in the findings until it is seen or missed again."""
    say(site, Page(records=[{"id": 1}, {"id": 2}]))
    site.pull("scripted.careful")
    site.script.keys = lambda stream, places: iter([Page(records=[{"id": 2}], whole=Whole())])

    def gone() -> int:
        return site.pull("scripted.careful", mode="census").gone

    assert gone() == 0
    assert site.rows("SELECT kind, key, times FROM syncer.findings") == [("census_miss", "1", 1)]
    assert gone() == 0
    site.clock.advance(86_400)
    assert gone() == 1
    assert site.rows("SELECT count(*) FROM syncer.findings") == [(0,)]


def test_a_key_that_is_seen_again_is_no_longer_missed(site: Site) -> None:
    """Two misses must be two in a row."""
    say(site, Page(records=[{"id": 1}, {"id": 2}]))
    site.pull("scripted.careful")
    for present in ([2], [1, 2]):
        site.script.keys = lambda stream, places, present=present: iter(
            [Page(records=[{"id": n} for n in present], whole=Whole())]
        )
        site.pull("scripted.careful", mode="census")
    assert site.rows("SELECT count(*) FROM syncer.findings") == [(0,)]


def test_a_census_of_several_groups_meets_every_key(site: Site, monkeypatch: Any) -> None:
    """Keys are kept in the warehouse, not in memory."""
    monkeypatch.setattr("syncer.census.KEYS_A_GROUP", 3)
    monkeypatch.setattr("syncer.census.KEYS_A_FETCH", 2)
    loaded(site)
    present = [number for number in range(20) if number not in (3, 9, 15)]
    site.script.keys = lambda stream, places: iter(
        [Page(records=[{"id": n}], whole=Whole(first=i == 0, last=i == 16)) for i, n in enumerate(present)]
    )
    assert site.pull(mode="census").gone == 3
    assert site.rows("SELECT count(*) FROM syncer.walks") == [(0,)]


def test_a_census_that_does_not_say_what_it_is_all_of_ends_nothing(site: Site) -> None:
    """Absence needs a whole to be absent from."""
    loaded(site)
    site.script.keys = lambda stream, places: iter([Page(records=[{"id": 1}])])
    done = site.pull(mode="census")
    assert done.status == "failed" and site.rows(STATES) == []


def missed(site: Site) -> Any:
    """Take a census of two careful records that meets the second one only."""
    site.script.keys = lambda stream, places: iter([Page(records=[{"id": 2}], whole=Whole())])
    return site.pull("scripted.careful", mode="census")


def careful(site: Site) -> None:
    say(site, Page(records=[{"id": 1}, {"id": 2}]))
    site.pull("scripted.careful")


CAREFUL = "SELECT dss_record_state FROM load.scripted_careful ORDER BY id"


def test_how_long_apart_misses_are_is_measured_by_the_api(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of ours that was years behind for one census would make the next one, minutes later, the last."""
    skew_s = [0.0]
    identity = Identity(account="the account", user="a test", clock_skew_s=0.0)
    monkeypatch.setattr(
        own_module("sources", "scripted").Scripted,
        "check",
        lambda source: attrs.evolve(identity, clock_skew_s=skew_s[0]),
    )
    careful(site)
    decade_s = 3_650 * 86_400.0
    site.clock.advance(-decade_s)
    skew_s[0] = decade_s
    missed(site)
    site.clock.advance(decade_s + 300)
    skew_s[0] = 0.0
    assert missed(site).gone == 0
    site.clock.advance(86_400)
    assert missed(site).gone == 1


def test_a_first_miss_in_the_future_counts_from_now(site: Site) -> None:
    """Else a clock that was years ahead, of an API that tells no time, would keep a row for years."""
    careful(site)
    site.clock.advance(3_650 * 86_400)
    missed(site)
    site.clock.advance(-3_650 * 86_400 + 60)
    assert missed(site).gone == 0
    site.clock.advance(86_400)
    assert missed(site).gone == 1


def test_a_census_that_is_killed_before_its_rows_end_does_not_count_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was missed often enough ends with the next census, and its finding goes with it."""
    careful(site)
    missed(site)
    site.clock.advance(86_400)
    with monkeypatch.context() as patched:

        def killed(inbound: Inbound, pages: Any, **given: Any) -> Any:
            raise SystemExit

        patched.setattr(Inbound, "load", killed)
        with pytest.raises(SystemExit):
            missed(site)
    assert site.rows(CAREFUL) == [("live",), ("live",)]
    assert missed(site).gone == 1
    assert site.rows(CAREFUL) == [("gone",), ("live",)]
    assert site.rows("SELECT count(*) FROM syncer.findings") == [(0,)]
