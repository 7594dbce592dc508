"""AnythingLLM's embeds and their chats: which end, and whose place was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer.errors import NotFound
from syncer.sandbox import Fault
from syncer.sandbox.messages import Request
from tests.sources.anythingllm_home import STREAMS, Home, running, small_site

MODES = ("incremental", "census", "full")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with running(small_site(), tmp_path) as running_home:
        yield running_home


def test_two_embeds_that_look_the_same_are_two(home: Home) -> None:
    """They are of one workspace; their chats are told apart by the embed's id."""
    home.pull()
    names = [record["workspace"]["name"] for record in home.site.truth("embeds").values()]
    assert len(set(names)) < len(names)
    found = dict(home.rows("SELECT embed_id, count(*) FROM load.anythingllm_embed_chats GROUP BY ALL"))
    embeds = home.site.store.embeds
    assert found == {number: len(home.site.store.chats_of(number)) for number in embeds if number in found}
    assert {1, 2} <= set(found)


@pytest.mark.parametrize("is_full", [False, True])
def test_chats_of_a_deleted_embed_are_gone(home: Home, is_full: bool) -> None:
    """They went with it, and its disappearance proves it; also with a reload, which knows of no place."""
    home.pull()
    lost = {chat.id for chat in home.site.store.chats_of(1)}
    home.site.store.delete_embed(1)
    [done] = home.pull("embed_chats", mode="full" if is_full else "incremental")
    assert lost and done.gone == len(lost) and set(home.states("embed_chats")) == lost
    assert home.pull("embed_chats")[0].gone == 0
    assert home.wrong("embed_chats") == []


def sicken(home: Home, number: int) -> None:
    """Let the chats of an embed fail."""
    home.sandbox.faults.add(
        Fault(kind="status", match=f"{home.site.store.embeds[number].uuid}/chats", status=500, times=None)
    )


def lose(home: Home, number: int) -> set[int]:
    """Delete an embed; return the ids of its chats."""
    lost = {chat.id for chat in home.site.store.chats_of(number)}
    home.site.store.delete_embed(number)
    assert lost
    return lost


def test_a_reload_in_which_one_embed_fails_loses_no_other(home: Home) -> None:
    """It knows no place; what it could not end then, the next full comparison does, and only one is needed."""
    home.pull("embed_chats")
    chats = home.site.store.embed_chats
    deleted = home.site.store.chats_of(3)[0].id
    del chats[deleted]
    lost = lose(home, 1)
    sicken(home, 2)
    [done] = home.pull("embed_chats", mode="full")
    assert (done.rejected, set(home.states("embed_chats"))) == (1, {deleted})
    assert home.place("embed_chats") == {"listed": 3, "tried_at": home.place("embed_chats", "3")["full_at"]}
    home.sandbox.faults.clear()
    home.asked()
    home.pull("embed_chats")
    assert len(home.asked()) == 2  # the list, and the one that failed
    home.later()
    home.pull("embed_chats")
    assert set(home.states("embed_chats")) == {deleted, *lost} and home.wrong("embed_chats") == []
    assert home.place("embed_chats") == {"listed": 3, "whole": True}


def test_a_sweep_in_which_an_embed_fails_is_tried_again_a_day_later(home: Home) -> None:
    """Not with each pull, which would read everything as long as the embed is ill."""
    home.pull("embed_chats")
    lost = lose(home, 1)
    sicken(home, 2)
    home.pull("embed_chats", mode="full")
    for _ in range(2):
        home.later()
        home.pull("embed_chats")
        home.asked()
        home.later(1)
        assert home.outcome("embed_chats")[0].status == "failed"  # the one that was asked for
        assert [each for each in home.asked() if home.site.store.embeds[3].uuid in each] == []
    home.sandbox.faults.clear()
    home.later()
    home.pull("embed_chats")
    assert set(home.states("embed_chats")) == lost


def test_a_reload_of_one_embed_loses_no_other(home: Home) -> None:
    """It forgets the places of the others; the first pull of all reads all."""
    home.pull("embed_chats")
    home.set(embed=home.site.store.embeds[2].uuid)
    home.pull("embed_chats", mode="full")
    lost = lose(home, 1)
    home.pull("embed_chats")
    assert home.states("embed_chats") == {}
    home.set(embed="")
    home.pull("embed_chats")
    assert set(home.states("embed_chats")) == lost and home.wrong("embed_chats") == []


def test_a_first_load_that_was_killed_loses_no_embed(home: Home) -> None:
    """Chats were committed, and not yet the place of their embed: the next pull loads the rest, a sweep follows."""
    home.sandbox.faults.add(
        Fault(kind="status", match=f"{home.site.store.embeds[3].uuid}/chats", status=400, times=None)
    )
    assert home.outcome("embed_chats")[0].status == "failed"
    home.sandbox.faults.clear()
    home.rows("DELETE FROM syncer.marks WHERE scope = '1'")
    lost = lose(home, 1)
    home.asked()
    home.pull("embed_chats")
    assert [each for each in home.asked() if home.site.store.embeds[2].uuid in each] == []
    home.later()
    home.pull("embed_chats")
    assert set(home.states("embed_chats")) == lost and home.wrong("embed_chats") == []


def test_what_a_census_brought_of_an_embed_ends_with_it(home: Home) -> None:
    """Its chats stand there, and no place tells of it."""
    home.pull("embed_chats")
    maker = home.site.maker()
    number = maker.add_embed().id
    for _ in range(3):
        maker.add_embed_chat(number)
    assert home.pull("embed_chats", mode="census")[0].inserted == 3
    lost = lose(home, number)
    home.later()
    home.pull("embed_chats")
    assert set(home.states("embed_chats")) == lost and home.wrong("embed_chats") == []


def test_the_style_delta_ends_nothing_in_an_outage_and_all_that_is_deleted(tmp_path: Path) -> None:
    """Its load table is emptied by somebody else; what was seen is its base."""
    with running(small_site(embeds=3, embed_chats=30, workspaces=3, chats=50), tmp_path) as home:
        names = {f"anythingllm.{stream}" for stream in STREAMS}
        tables = {name: {**home.settings.tables.get(name, {}), "style": "delta"} for name in names}
        home.settings = attrs.evolve(home.settings, tables={**home.settings.tables, **tables})
        seen = "SELECT mapping, key FROM syncer.seen WHERE state <> 'live' ORDER BY ALL"
        home.pull()
        for mode in MODES:
            home.later()
            home.site.is_database_down = True
            assert {pulled.status for pulled in home.outcome(mode=mode)} == {"failed"}
            home.site.is_database_down = False
            assert home.rows(seen) == []
        lost = lose(home, 1)
        del home.site.store.chats[7]
        home.later()
        home.pull()
        wanted = [("anythingllm.embed_chats", str(number)) for number in lost]
        wanted += [("anythingllm.embeds", "1"), ("anythingllm.workspace_chats", "7")]
        assert sorted(home.rows(seen)) == sorted(wanted)


def test_chats_deleted_between_the_count_and_the_list_are_no_lie(home: Home) -> None:
    """The count is asked for again, and fits."""
    home.pull()
    home.later()

    def delete(site: Any, request: Request) -> None:
        if request.path.endswith("/chats") and site.store.chats_of(1):
            del site.store.embed_chats[site.store.chats_of(1)[0].id]

    home.sandbox.before_request.append(delete)
    [done] = home.pull("embed_chats")
    assert done.rejected == 0 and done.gone >= 1
    home.sandbox.before_request.clear()
    home.later()
    home.pull("embed_chats")
    assert home.wrong("embed_chats") == []


def test_one_embed_alone_may_be_asked_for(home: Home) -> None:
    """By its uuid; chats of the others stay as they are."""
    home.pull()
    store = home.site.store
    home.set(embed=store.embeds[2].uuid)
    home.later()
    for chat in [*store.chats_of(1)[:3], *store.chats_of(2)[:2]]:
        del store.embed_chats[chat.id]
    home.asked()
    [done] = home.pull("embed_chats")
    assert done.gone == 2
    assert home.asked() == ["GET /api/v1/embed", f"GET /api/v1/embed/{store.embeds[2].uuid}/chats"]
    home.set(embed="nobody")
    with pytest.raises(NotFound, match="embed"):
        list(home.source(embed="nobody").read("embed_chats", places={}, lookback=None, fields=()))  # type: ignore[arg-type]
