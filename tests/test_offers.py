"""The style `delta`: what was offered stays offered until it was carried on; the base is what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncer import offers, shape
from syncer.errors import Unavailable
from syncer.sources import DELETED, Page, State, Whole
from tests.conftest import Site, own_module
from tests.test_inbound import say, thing

TOML = '["scripted.things"]\nstyle = "delta"\n["scripted.notes"]\nstyle = "delta"\n'
LOAD = "SELECT id, name, dss_record_state FROM load.scripted_things ORDER BY id"
OFFERS = "SELECT id, name, dss_record_state FROM syncer.offers_scripted_things ORDER BY id"


@pytest.fixture
def delta(make_site: Callable[..., Site]) -> Site:
    return make_site(TOML)


def carry_on(site: Site) -> list[Any]:
    """Do what the host does: take the load table's rows and empty it."""
    rows = site.rows(LOAD)
    site.rows("DELETE FROM load.scripted_things")
    return rows


def confirm(site: Site) -> offers.Confirmed:
    mapping = own_module("mappings", "scripted").THINGS
    with site.warehouse().transaction() as t:
        return offers.confirm(t, shape.load_table(mapping, "default"), mapping=mapping.name, environment="default")


def test_the_load_table_gets_what_changed(delta: Site) -> None:
    """A host that empties its load tables gets each change once it confirmed the ones before."""
    say(delta, Page(records=[thing(1), thing(2)]))
    done = delta.pull()
    assert (done.inserted, done.updated) == (2, 0)
    assert carry_on(delta) == [(1, "thing 1", "live"), (2, "thing 2", "live")]
    assert confirm(delta).ended == 2
    say(delta, Page(records=[thing(1), thing(2, name="new")]))
    done = delta.pull()
    assert (done.read, done.inserted, done.updated, done.unchanged) == (2, 0, 1, 1)
    assert carry_on(delta) == [(2, "new", "live")]


def test_an_unchanged_source_writes_nothing_but_open_offers(delta: Site) -> None:
    """Promise 4 as it stands for `delta`."""
    say(delta, Page(records=[thing(1)]))
    delta.pull()
    carry_on(delta)
    assert confirm(delta).ended == 1
    assert delta.pull().unchanged == 1
    assert delta.rows(LOAD) == []


def test_what_nobody_confirmed_is_offered_again(delta: Site) -> None:
    """The host died between our commit and its own step: nothing is lost."""
    say(delta, Page(records=[thing(1)]))
    delta.pull()
    carry_on(delta)
    say(delta, Page(records=[thing(1), thing(2)]))
    delta.pull()
    assert carry_on(delta) == [(1, "thing 1", "live"), (2, "thing 2", "live")]


def test_a_key_is_offered_once_in_its_newest_form(delta: Site) -> None:
    """Never twice in the load table, whatever came in between."""
    for name in ("a", "b", "c"):
        say(delta, Page(records=[thing(1, name=name)]))
        delta.pull()
    assert delta.rows(LOAD) == delta.rows(OFFERS) == [(1, "c", "live")]


def test_confirm_confirms_nothing_after_a_pull_that_failed(delta: Site) -> None:
    """What that pull put into the load table may not have been all when the host read it."""
    say(delta, Page(records=[thing(1)]))
    delta.pull()

    def read(stream: str, places: Any) -> Any:
        yield Page(records=[thing(2)], place={})
        raise Unavailable("gone away")

    delta.script.read = read
    delta.pull()
    found = confirm(delta)
    assert found.ended == 0 and "failed" in found.reason
    assert len(delta.rows(OFFERS)) == 2


def test_an_offer_ends_when_it_is_old(make_site: Callable[..., Site]) -> None:
    """Where nobody confirms."""
    site = make_site(TOML.replace('"delta"\n[', '"delta"\nreoffer_days = 2\n['))
    say(site, Page(records=[thing(1)]))
    site.pull()
    carry_on(site)
    site.clock.advance(86_400)
    site.pull()
    assert len(carry_on(site)) == 1
    site.clock.advance(2 * 86_400)
    site.pull()
    assert site.rows(LOAD) == site.rows(OFFERS) == []


def test_a_deletion_is_offered_as_a_tombstone(delta: Site) -> None:
    """Key and our own columns, no values."""
    say(delta, Page(records=[thing(1), thing(2)]))
    delta.pull()
    say(delta, Page(states=[State(key=(1,), state=DELETED)]))
    assert delta.pull().gone == 1
    assert delta.rows(LOAD) == [(1, None, "deleted"), (2, "thing 2", "live")]
    say(delta, Page(records=[thing(1)]))
    assert delta.pull().updated == 1
    assert delta.rows(LOAD)[0] == (1, "thing 1", "live")


def test_a_slice_is_compared_with_what_was_seen(delta: Site) -> None:
    """The load table is empty; absence is still found, also for keys with `/` and `~` in them."""

    def notes(*names: str) -> Page:
        return Page(
            records=[{"thing_id": 1, "name": n} for n in names],
            whole=Whole(columns=("thing_id",), values=[(1,)], absent=DELETED),
        )

    say(delta, notes("a/b", "~c", "d"))
    delta.pull("scripted.notes")
    delta.rows("DELETE FROM load.scripted_notes")
    delta.rows("DELETE FROM syncer.offers_scripted_notes")
    say(delta, notes("d"))
    assert delta.pull("scripted.notes").gone == 2
    assert delta.rows("SELECT thing_id, name, dss_record_state FROM load.scripted_notes ORDER BY name") == [
        (1, "a/b", "deleted"),
        (1, "~c", "deleted"),
    ]


def test_a_census_works_on_what_was_seen(delta: Site) -> None:
    """The base is `syncer.seen`, never the host's tables."""
    say(delta, Page(records=[thing(number) for number in range(12)]))
    delta.pull()
    delta.rows("DELETE FROM load.scripted_things")
    delta.rows("DELETE FROM syncer.offers_scripted_things")
    delta.script.keys = lambda stream: iter([Page(records=[{"id": number} for number in range(10)], whole=Whole())])
    assert delta.pull(mode="census").gone == 2
    assert [row[0] for row in delta.rows(LOAD)] == [10, 11]


def test_both_styles_see_the_same_changes(make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """The base of comparison is a parameter: counts are equal, group by group and repeat by repeat."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 3)
    mirror, delta = make_site("", "mirror"), make_site(TOML, "delta")
    days = [
        [Page(records=[thing(n) for n in range(8)])],
        [Page(records=[thing(n, name=f"x{n // 2}") for n in range(8)]), Page(records=[thing(2, name="y"), thing(9)])],
        [Page(records=[thing(2, name="y"), thing(3)]), Page(records=[thing(3, name="z")]), Page(records=[thing(3)])],
    ]
    for pages in days:
        for site in (mirror, delta):
            say(site, *pages)
        one, other = mirror.pull(), delta.pull()
        assert (one.read, one.inserted, one.updated, one.unchanged) == (
            other.read,
            other.inserted,
            other.updated,
            other.unchanged,
        )
    assert mirror.rows(LOAD) == delta.rows(LOAD)
