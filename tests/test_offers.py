"""The style `delta`: what was offered stays offered until it was carried on; the base is what was seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import sqlglot

from syncer import marks, offers, shape, sql
from syncer.errors import Unavailable
from syncer.loading import Context, Loading
from syncer.mapping import EntityMapping, Field
from syncer.offers import Delta
from syncer.rows import Typing
from syncer.sources import DELETED, Page, State, Whole
from tests.conftest import Site, own_module
from tests.test_inbound import say, thing

TOML = "".join(f'["scripted.{name}"]\nstyle = "delta"\n' for name in ("things", "notes", "versioned"))
DAY_S = 86_400
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


def confirm(site: Site, run: str | None = None) -> offers.Confirmed:
    mapping = own_module("mappings", "scripted").THINGS
    table = shape.load_table(mapping, "default")
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction() as t:
        return offers.confirm(t, table, mapping=mapping.name, environment="default", run=run)


def fail(site: Site, *pages: Page) -> str:
    """Let a pull load *pages* and then fail; return its run."""

    def read(stream: str, places: Any) -> Any:
        yield from pages
        raise Unavailable("gone away")

    site.script.read = read
    done = site.pull()
    assert done.status == "failed"
    return done.run


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


@pytest.mark.parametrize("clock_s", [1.0, -2.0 * DAY_S, 2.0 * DAY_S])
def test_confirm_ends_what_the_named_pull_had_put_there(delta: Site, clock_s: float) -> None:
    """A pull that ran between the host's carry and its confirm must not lose what it offered, wherever clocks jump."""
    say(delta, Page(records=[thing(1), thing(3)]))
    first = delta.pull().run
    carry_on(delta)
    delta.clock.advance(clock_s)
    say(delta, Page(records=[thing(1), thing(2), thing(3, name="newer")]))
    second = delta.pull().run
    assert confirm(delta, first) == offers.Confirmed(ended=1, run=first)
    assert delta.rows(OFFERS) == [(2, "thing 2", "live"), (3, "newer", "live")]
    assert len(carry_on(delta)) == 3  # what the second pull had put back: carried twice, never lost
    assert confirm(delta, second) == offers.Confirmed(ended=2, run=second)
    assert confirm(delta, first).ended == 0 and delta.rows(OFFERS) == []


def test_what_sqlglot_makes_of_confirm_does_the_same(delta: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `test_sql.py` shows of a pull; every branch that asks the warehouse."""
    monkeypatch.setattr(sql.Statement, "sql", lambda self, to: sqlglot.parse_one(self.text, read=to).sql(dialect=to))
    delta.pull()
    say(delta, Page(records=[thing(1), thing(2)]))
    run = delta.pull().run
    say(delta, Page(records=[thing(2, name="newer")]))
    delta.pull()
    assert confirm(delta, run).ended == 1 and confirm(delta).ended == 1


def test_confirm_ends_what_the_named_pull_had_only_put_back(delta: Site) -> None:
    """Also what a pull that failed had offered, once a later one that finished has put it back."""
    fail(delta, Page(records=[thing(1)], place={}))
    say(delta)
    second = delta.pull().run
    assert carry_on(delta) == [(1, "thing 1", "live")]
    say(delta, Page(records=[thing(2)]))
    delta.pull()
    assert confirm(delta, second).ended == 1
    assert delta.rows(OFFERS) == [(2, "thing 2", "live")]


def test_a_row_that_was_changed_and_changed_back_is_not_confirmed(delta: Site) -> None:
    """The host carried the first form; the last one is another offer, whatever it says."""
    say(delta, Page(records=[thing(1)]))
    first = delta.pull().run
    for name in ("other", "thing 1"):
        say(delta, Page(records=[thing(1, name=name)]))
        delta.pull()
    assert confirm(delta, first).ended == 0 and len(delta.rows(OFFERS)) == 1


def test_confirm_confirms_nothing_after_a_pull_that_failed(delta: Site) -> None:
    """What that pull put into the load table may not have been all when the host read it."""
    say(delta, Page(records=[thing(1)]))
    first = delta.pull().run
    failed = fail(delta, Page(records=[thing(2)], place={}))
    for run in (None, failed):
        found = confirm(delta, run)
        assert found.ended == 0 and failed in found.reason and "failed" in found.reason
    assert len(delta.rows(OFFERS)) == 2
    assert confirm(delta, first).ended == 1


def test_confirm_without_a_name_confirms_nothing_when_another_pull_began(delta: Site) -> None:
    """A pull that failed before it could put anything back left the load table empty: the host carried nothing on."""
    say(delta, Page(records=[thing(1)]))
    delta.pull()
    delta.rows("DELETE FROM load.scripted_things")
    delta.clock.advance(-DAY_S)
    delta.script.account = "somebody else"
    failed = delta.pull().run
    found = confirm(delta)
    assert found.ended == 0 and f"(run {failed}) failed" in found.reason
    delta.script.account = "the account"
    say(delta)
    assert delta.pull().status == "done"
    assert len(carry_on(delta)) == 1 and confirm(delta).ended == 1


def test_confirm_of_what_never_ran_confirms_nothing(delta: Site) -> None:
    """A slip of the pen, a mapping that was never pulled, and a pull that did not offer anything."""
    assert "never pulled" in confirm(delta).reason
    mirrored = delta.pull("scripted.careful").run
    assert "never pulled" in confirm(delta).reason
    say(delta, Page(records=[thing(1)]))
    delta.pull()
    for run in ("0123456789ab", mirrored, ""):
        found = confirm(delta, run)
        assert found.ended == 0 and f"no pull '{run}'" in found.reason
    assert len(delta.rows(OFFERS)) == 1


def test_confirm_of_a_pull_in_the_other_style_confirms_nothing(make_site: Callable[..., Site]) -> None:
    """The style was changed: nobody wrote down what stood in the load table then."""
    site = make_site(TOML)
    say(site, Page(records=[thing(1)]))
    site.pull()
    delta, site.settings = site.settings, attrs.evolve(site.settings, tables={})
    mirrored = site.pull().run
    assert f"(run {mirrored}) did not fill this table" in confirm(site).reason
    site.settings = delta
    site.pull()
    assert "delta" in confirm(site, mirrored).reason and confirm(site).ended == 1


def reoffering(make_site: Callable[..., Site], days: int = 2) -> Site:
    """Make a site with an offer that nobody confirmed, made just now."""
    site = make_site(TOML.replace('"delta"\n', f'"delta"\nreoffer_days = {days}\n', 1))
    say(site, Page(records=[thing(1)]))
    site.pull()
    carry_on(site)
    return site


def days_later(site: Site, days: float, *, is_failing: bool = False) -> list[Any]:
    """Pull the unchanged source *days* later; return what the host finds."""
    site.clock.advance(days * DAY_S)
    if is_failing:
        fail(site)
    else:
        say(site, Page(records=[thing(1)]))
        assert site.pull().unchanged == 1
    return carry_on(site)


def test_an_offer_ends_when_it_is_old(make_site: Callable[..., Site]) -> None:
    """Where nobody confirms: it has been put back for longer than `reoffer`."""
    site = reoffering(make_site)
    found = [len(days_later(site, 1)) for _ in range(6)]
    assert found == [1, 1, 1, 0, 0, 0] and site.rows(OFFERS) == []


def test_an_old_offer_is_put_back_before_it_ends(make_site: Callable[..., Site]) -> None:
    """Nothing ran for long: a change that the host has not got must not end unseen, nor while pulls fail."""
    site = reoffering(make_site)
    assert len(days_later(site, 30)) == 1
    assert len(days_later(site, 0.1)) == 1
    site = reoffering(lambda toml: make_site(toml, "failing"))
    for _ in range(5):
        assert len(days_later(site, 10, is_failing=True)) == 1
    assert len(days_later(site, 1)) == 1 and len(site.rows(OFFERS)) == 1


def test_a_pull_in_the_other_style_puts_nothing_back(make_site: Callable[..., Site]) -> None:
    """So it does not bring an offer nearer to its end."""
    site = reoffering(make_site)
    confirm(site)
    say(site, Page(states=[State(key=(1,), state=DELETED)]))
    site.pull()
    assert len(carry_on(site)) == 1
    say(site)
    delta, site.settings = site.settings, attrs.evolve(site.settings, tables={})
    site.clock.advance(10 * DAY_S)
    assert site.pull().status == "done"
    site.settings = delta
    for days in (10, 0.1, 0.1):
        site.clock.advance(days * DAY_S)
        site.pull()
        assert carry_on(site) == [(1, None, "deleted")]


def test_what_went_while_the_other_style_was_on_is_not_offered_as_it_was(delta: Site) -> None:
    """Nor is what changed: an offer of before would be carried on behind what the table was meanwhile."""
    say(delta, Page(records=[thing(1), thing(2)]))
    delta.pull()
    carry_on(delta)
    styled, delta.settings = delta.settings, attrs.evolve(delta.settings, tables={})
    say(delta, Page(records=[thing(1, name="new")]))
    delta.pull()
    delta.settings = styled
    assert delta.pull().status == "done"
    assert delta.rows(OFFERS) == [(1, "new", "live")]


@pytest.mark.parametrize("wrong", range(4))
@pytest.mark.parametrize("days", [4, -4])
def test_a_clock_that_is_wrong_once_ends_no_offer(make_site: Callable[..., Site], wrong: int, days: int) -> None:
    """Ahead or behind, in the pull that made the offer or in a later one."""
    site = make_site(TOML)
    say(site, Page(records=[thing(1)]))
    for number in range(6):
        site.clock.advance(days * DAY_S if number == wrong else 3600)
        site.pull()
        assert carry_on(site) == [(1, "thing 1", "live")] and len(site.rows(OFFERS)) == 1
        site.clock.advance(-days * DAY_S if number == wrong else 0)


def test_an_offer_whose_run_nobody_remembers_still_ends(make_site: Callable[..., Site]) -> None:
    """A person may tidy `syncer.runs`, or drop a table of ours: offers are neither lost nor offered for ever."""
    site = reoffering(make_site)
    site.rows("DELETE FROM syncer.runs")
    site.rows("DROP TABLE syncer.offerings")
    found = [len(days_later(site, 1)) for _ in range(6)]
    assert found == [1, 1, 1, 0, 0, 0]


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
    delta.script.keys = lambda stream, places: iter([Page(records=[{"id": n} for n in range(10)], whole=Whole())])
    assert delta.pull(mode="census").gone == 2
    assert [row[0] for row in delta.rows(LOAD)] == [10, 11]


def versioned(name: str, day: int | None) -> Page:
    return Page(records=[{"id": 1, "name": name, "updated": day and f"2026-01-{day:02}T00:00:00Z"}])


def test_an_older_record_never_replaces_a_newer_one(delta: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the style `mirror`; a full run believes the source, but for what the run itself has read before."""
    monkeypatch.setattr("syncer.reading.GROUP_ROWS", 1)
    load = "SELECT name FROM load.scripted_versioned"
    say(delta, versioned("new", 9), versioned("older", 8))
    delta.pull("scripted.versioned")
    say(delta, versioned("old", 3))
    assert delta.pull("scripted.versioned").unchanged == 1
    assert delta.rows(load) == [("new",)]
    say(delta, versioned("same", 9))
    assert delta.pull("scripted.versioned").updated == 1
    say(delta, versioned("healed", 5), versioned("old", 4))
    assert delta.pull("scripted.versioned", mode="full").updated == 1
    assert delta.rows(load) == [("healed",)]
    say(delta, versioned("without", None))
    assert delta.pull("scripted.versioned").updated == 1


def test_a_full_pull_offers_what_differs_where_the_load_table_is_ours(delta: Site) -> None:
    """An unchanged source writes nothing, whatever is asked of it."""
    say(delta, Page(records=[thing(1), thing(2)]))
    delta.pull()
    carry_on(delta)
    confirm(delta)
    say(delta, Page(records=[thing(1), thing(2, name="changed")]))
    done = delta.pull(mode="full")
    assert (done.updated, done.unchanged) == (1, 1)
    assert [row[0] for row in delta.rows(LOAD)] == [2]


def test_a_tombstone_keeps_the_version(delta: Site) -> None:
    """An index that lags must not raise the dead; the record itself may come back."""
    say(delta, versioned("new", 9))
    delta.pull("scripted.versioned")
    say(delta, Page(states=[State(key=(1,), state=DELETED)]))
    assert delta.pull("scripted.versioned").gone == 1
    say(delta, versioned("old", 8))
    assert delta.pull("scripted.versioned").updated == 0
    say(delta, versioned("new", 9))
    assert delta.pull("scripted.versioned").updated == 1


def test_a_census_heals_another_version(delta: Site) -> None:
    """The keys come with their version; what was seen in another one is read again, and nothing else."""
    say(delta, versioned("new", 9))
    delta.pull("scripted.versioned")
    for day, fetched in ((9, 0), (10, 1)):
        delta.script.keys = lambda stream, places, day=day: iter([attrs.evolve(versioned("", day), whole=Whole())])
        delta.script.fetch = lambda stream, keys: iter([versioned("newer", 10)])
        delta.script.calls.clear()
        assert delta.pull("scripted.versioned", mode="census").updated == fetched
        assert delta.script.calls.count("fetch") == fetched
    assert delta.rows("SELECT name FROM load.scripted_versioned") == [("newer",)]


@pytest.mark.parametrize("column_type", ["BIGINT", "DECIMAL(38, 9)", "VARCHAR"])
def test_a_number_is_a_version_too(delta: Site, column_type: str) -> None:
    """Compared as a number, also where the load table's column has become wider: 10 is newer than 9."""
    things: EntityMapping = own_module("mappings", "scripted").THINGS
    assert things.inbound is not None
    mapping = attrs.evolve(things, inbound=attrs.evolve(things.inbound, version="size"))
    delta.pull()
    delta.rows(f"ALTER TABLE load.scripted_things ALTER size TYPE {column_type}")
    delta.rows(f"ALTER TABLE syncer.offers_scripted_things ALTER size TYPE {column_type}")
    now = delta.clock.now()
    owner = marks.Owner(mapping=mapping.name, environment="default", run="a run")
    for size, expected in ((9, (1, 0)), (10, (0, 1)), (9, (0, 0)), (11, (0, 1))):
        with contextlib.closing(delta.warehouse()) as warehouse, warehouse.transaction() as t:
            table = shape.ensure(t, shape.load_table(mapping, "default")).table
            context = Context(mapping=mapping, table=table, owner=owner, started=now)
            rows = Typing(mapping).rows([thing(1, size=size)], scope="").table
            done = Loading(context, Delta(context, t)).load(t, rows, states=(), endings=(), is_last=True, now=now)
        assert (done.inserted, done.updated) == expected


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


def test_definitions_in_another_order_offer_nothing(make_site: Any) -> None:
    """An API may list them in any order; a portal's every row would be carried again."""
    site = make_site('["scripted.discovering"]\nstyle = "delta"\n')
    say(site, Page(records=[{"id": 1, "a": "x", "b": "y"}]))
    for names, written in ((("a", "b"), 1), (("b", "a"), 0), (("b", "a", "c"), 1), (("c", "a", "b"), 0)):
        site.script.describe = lambda stream, names=names: [Field(name) for name in names]
        done = site.pull("scripted.discovering")
        assert (done.inserted + done.updated, done.status) == (written, "done")
