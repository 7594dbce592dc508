"""
A `--full` that did not end: the next plain pull says what it made of it, and `status` until it is done.

Places that the full had left are gone on with; all other scopes are read from their older places, so that rows which
only the full would have healed stay as they are. Not here: kills at every point (`test_kills.py`).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncer import status
from syncer.errors import NotAllowed
from syncer.sources import Page
from tests.conftest import Site
from tests.servers import postgresql
from tests.shop import Shop, Syncer, started
from tests.test_inbound import thing

pytest_plugins = ["tests.shop.fixtures", "tests.servers.postgresql_fixtures"]
KIND = "full_unfinished"


@pytest.fixture
def on_server(syncer: Syncer, database: str, monkeypatch: pytest.MonkeyPatch) -> Syncer:
    """Call the command line with a PostgreSQL warehouse."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", f"odbc:{postgresql.shared().string(database)}")
    return syncer


def failing_at(shop: Shop, page: int) -> Callable[[str], None]:
    """Answer 403 from a page of a stream on."""
    asked = iter(range(1, 1_000))

    def gate(stream: str) -> None:
        if next(asked) == page:
            shop.forbidden.add(stream)

    return gate


def findings(syncer: Syncer) -> list[dict[str, Any]]:
    return [each for each in syncer("status", "--output", "json").json["findings"] if each["kind"] == KIND]


def spoil(database: str, *ids: int) -> None:
    """Do to rows what only a --full heals."""
    with postgresql.shared().connection(database) as connection:
        connection.execute(f"UPDATE load.shop_items SET name = 'spoilt' WHERE id IN ({', '.join(map(str, ids))})")


def spoilt(database: str) -> list[int]:
    rows = postgresql.shared().query(database, "SELECT id FROM load.shop_items WHERE name = 'spoilt' ORDER BY id")
    return [row[0] for row in rows]


def test_a_plain_pull_goes_on_with_a_full_that_failed_and_says_so(
    on_server: Syncer, shop: Shop, database: str
) -> None:
    """Its place stands: what it had not read yet is healed by the plain pull, which is told; then all is quiet."""
    on_server("pull", "shop.items")
    spoil(database, 7, 119)
    shop.gate = failing_at(shop, 3)
    assert on_server("pull", "shop.items", "--full").code == 1
    assert spoilt(database) == [119]
    (finding,) = findings(on_server)
    assert "a plain pull goes on with it, to its end" in finding["detail"] and finding["mapping"] == "shop.items"
    shop.gate, shop.forbidden = lambda stream: None, set()
    told = on_server("pull", "shop.items")
    assert (told.code, spoilt(database)) == (0, [])
    assert f"(run {finding['run']})" in told.out and "this pull went on with it, to its end" in told.out
    assert findings(on_server) == [] and KIND not in on_server("status").out
    assert "--full" not in on_server("pull", "shop.items").out


def test_a_full_that_was_killed_before_it_left_a_place_is_not_gone_on_with(
    on_server: Syncer, shop: Shop, database: str
) -> None:
    """The old place stands, the plain pull reads on from there, and only a --full mends what it does not meet."""
    on_server("pull", "shop.items")
    spoil(database, 7, 119)

    def kill(stream: str) -> None:
        process.send_signal(signal.SIGKILL)

    shop.gate = kill
    process = started("pull", "shop.items", "--full")
    try:
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    shop.gate = lambda stream: None
    (finding,) = findings(on_server)
    assert "it had left no place" in finding["detail"] and "pull shop.items --full" in finding["detail"]
    assert "full_unfinished" in on_server("status").out
    told = on_server("pull", "shop.items")
    assert told.code == 0 and f"(run {finding['run']})" in told.out and "syncer pull shop.items --full" in told.out
    assert spoilt(database) == [7, 119]
    assert "--full" not in on_server("pull", "shop.items").out  # the first one tells it; the finding stands
    assert [each["run"] for each in findings(on_server)] != []
    assert on_server("pull", "shop.items", "--full").code == 0
    assert (spoilt(database), findings(on_server)) == ([], [])


def test_a_full_that_a_source_refused_at_once_was_not_done_either(on_server: Syncer, shop: Shop) -> None:
    """Somebody asked for it; a token that had expired that night must not make it look done."""
    on_server("pull", "shop.items")
    shop.forbidden.add("items")
    on_server("pull", "shop.items", "--full")
    shop.forbidden.clear()
    assert "it had left no place" in on_server("pull", "shop.items").out


def test_a_full_that_runs_is_not_unfinished(on_server: Syncer, shop: Shop) -> None:
    """Who looks while it reads is not told that it was broken off."""
    on_server("pull", "shop.items")
    found: list[Any] = []

    def look(stream: str) -> None:
        from syncer import settings

        found.append(status.read(settings.load()).findings)

    shop.gate = look
    assert on_server("pull", "shop.items", "--full").code == 0
    assert found == [(), (), ()]


def test_the_first_pull_of_all_may_be_a_full(on_server: Syncer, shop: Shop) -> None:
    """Where there is no place at all, a plain pull reads everything: that is what was asked for."""
    shop.forbidden.add("items")
    on_server("pull", "shop.items", "--full")
    assert "a plain pull reads everything" in findings(on_server)[0]["detail"]
    shop.forbidden.clear()
    assert "this pull read everything" in on_server("pull", "shop.items").out
    assert findings(on_server) == []


# Several scopes: some were reached, some were not


def scopes(site: Site, *, fails_after: str = "") -> None:
    """Tell of three scopes, a record each, and only of those without a place; fail behind one of them."""

    def read(stream: str, places: Mapping[str, Any]) -> Any:
        for number, scope in enumerate("abc", 1):
            yield Page(scope=scope, place={"n": number}, records=[] if scope in places else [thing(number)])
            if scope == fails_after:
                raise NotAllowed("the token has ended.", hint="Get another.")

    site.script.read = read


def names(site: Site) -> list[str]:
    return [row[0] for row in site.rows("SELECT name FROM load.scripted_things ORDER BY id")]


def details(site: Site) -> Sequence[str]:
    return [each.detail for each in status.read(site.settings).findings if each.kind == KIND]


@pytest.fixture
def broken(site: Site) -> Site:
    """Three scopes were read; all rows were spoilt; a --full failed behind the first scope."""
    scopes(site)
    site.pull()
    site.rows("UPDATE load.scripted_things SET name = 'spoilt'")
    scopes(site, fails_after="a")
    assert site.pull(mode="full").status == "failed"
    scopes(site)
    return site


def test_scopes_that_a_full_had_not_reached_are_told(broken: Site) -> None:
    """Two of three are read from their old places: their rows are not compared anew."""
    assert "in 1 of 3 scopes" in details(broken)[0]
    done = broken.pull()
    assert names(broken).count("spoilt") == 2
    assert "in 1 of 3 scopes" in done.notes[0] and "syncer pull scripted.things --full" in done.notes[0]
    assert "in 1 of 3 scopes" in details(broken)[0]
    assert broken.pull().notes == ()
    assert broken.pull(mode="full").notes == ()
    assert (names(broken).count("spoilt"), details(broken)) == (0, [])


def test_a_pull_that_failed_in_between_does_not_make_it_whole(broken: Site) -> None:
    """It moved the old places, too; what the full had not reached is told all the same, by the one that is done."""
    scopes(broken, fails_after="c")
    assert broken.pull().status == "failed"
    scopes(broken)
    assert "in 1 of 3 scopes" in broken.pull().notes[0]
    assert len(details(broken)) == 1


def test_one_full_after_another_that_did_not_end(broken: Site) -> None:
    """What either reached is gone on with; and one that reached all of it leaves nothing to tell."""
    broken.pull()
    scopes(broken, fails_after="c")
    broken.pull(mode="full")
    scopes(broken)
    assert names(broken).count("spoilt") == 0
    assert "to its end" in details(broken)[0]
    assert "to its end" in broken.pull().notes[0]
    assert details(broken) == []


def test_a_version_protects_rows_from_the_plain_pull(site: Site) -> None:
    """Only a --full writes over a row that says it is newer: where a version stands, the rest is not the same."""

    def told(*, fails: bool) -> None:
        def read(stream: str, places: Mapping[str, Any]) -> Any:
            for number in range(places["last"]["n"] + 1 if places else 1, 3):
                yield Page(scope="last", place={"n": number}, records=[thing(number)])
                if fails:
                    raise NotAllowed("the token has ended.", hint="Get another.")

        site.script.read = read

    name = "scripted.versioned"
    told(fails=False)
    site.pull(name)
    site.rows("UPDATE load.scripted_versioned SET name = 'spoilt', updated = '2030-01-01 00:00:00+00'")
    told(fails=True)
    site.pull(name, mode="full")
    told(fails=False)
    note = site.pull(name).notes[0]
    assert "rows whose updated is later here than at the source were left" in note
    assert site.rows("SELECT id FROM load.scripted_versioned WHERE name = 'spoilt'") == [(2,)]
    assert "is later here" in details(site)[0]
    assert site.pull(name, mode="full").status == "done"
    assert (site.rows("SELECT id FROM load.scripted_versioned WHERE name = 'spoilt'"), details(site)) == ([], [])


def test_a_census_leaves_it_standing(broken: Site) -> None:
    """It heals what it finds; it is not what was asked for."""
    broken.script.keys = lambda stream, places: iter([Page(scope="a", records=[thing(1)])])
    broken.pull(mode="census")
    assert "in 1 of 3 scopes" in broken.pull().notes[0]


def test_a_load_table_that_was_dropped_is_read_whole(broken: Site) -> None:
    """Then there is nothing of the full left to do."""
    broken.pull()
    assert len(details(broken)) == 1
    broken.rows("DROP TABLE load.scripted_things")
    assert broken.pull().inserted == 3
    assert details(broken) == []


def test_an_environment_stands_in_the_command(on_server: Syncer, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who pastes it without that would reload another account."""
    for what, value in (("URL", shop.url), ("TOKEN", "shop-token-1")):
        monkeypatch.setenv(f"SYNCER_SHOP__VOYS_{what}", value)
    Path("syncer.toml").write_text(
        Path("syncer.toml").read_text(encoding="utf-8") + "[environments.voys]\n", encoding="utf-8"
    )
    on_server("pull", "shop.items", "--environment", "voys")
    shop.forbidden.add("items")
    on_server("pull", "shop.items", "--full", "--environment", "voys")
    assert "syncer pull shop.items --full --environment voys" in findings(on_server)[0]["detail"]
