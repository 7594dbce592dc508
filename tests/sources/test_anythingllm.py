"""The AnythingLLM source against the sandbox: everything arrives, once; lists that lie end nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer.errors import AnswerError, NotAllowed, UsageError
from syncer.sandbox import Fault
from syncer.sandbox.anythingllm import AnythingLLMSite
from syncer.sandbox.messages import Request, json_response
from syncer.sources.anythingllm.calls import root_of
from tests.sources.anythingllm_home import STREAMS, Home, running, small_site

MODES = ("incremental", "census", "full")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with running(small_site(), tmp_path) as running_home:
        yield running_home


# Everything, once


def test_the_first_pull_brings_everything_and_the_second_writes_nothing(home: Home) -> None:
    """In all streams, with every column; the broken answers are no rejects."""
    first = home.pull()
    assert home.wrong() == []
    assert [pulled.inserted for pulled in first] == [len(home.site.truth(stream)) for stream in STREAMS]
    assert home.rows("SELECT * FROM syncer.rejects") == []
    home.asked()
    second = home.pull()
    assert [(pulled.inserted, pulled.updated, pulled.gone) for pulled in second] == [(0, 0, 0)] * len(STREAMS)
    asked = home.asked()
    assert [each for each in asked if each.startswith("GET")] == ["GET /api/v1/embed", "GET /api/v1/workspaces"]
    assert len(asked) <= 6


def test_an_unchanged_full_comparison_writes_nothing(home: Home) -> None:
    """Everything is read again, and found equal."""
    home.pull()
    home.later()
    again = home.pull()
    assert [(pulled.inserted, pulled.updated, pulled.gone) for pulled in again] == [(0, 0, 0)] * len(STREAMS)
    assert [pulled.read for pulled in again] == [len(home.site.truth(stream)) for stream in STREAMS]


@pytest.mark.parametrize("seed", range(6))
def test_edits_and_deletions_come_with_the_next_full_comparison(home: Home, seed: int) -> None:
    """None of them leaves a trace in the API."""
    home.pull()
    home.site.edit(60, seed)
    home.later()
    home.pull()
    home.pull(mode="census", is_forced=True)
    assert home.wrong() == []


def test_new_chats_come_before_a_full_comparison_is_due(home: Home) -> None:
    """Of workspaces by their ids, of embeds by the count; nothing else is asked."""
    home.pull()
    maker = home.site.maker()
    embed = next(iter(home.site.store.embeds))
    for _ in range(30):
        maker.add_chat()
    maker.add_embed_chat(embed)
    home.later(1)
    home.asked()
    done = home.pull()
    assert (done[1].inserted, done[4].inserted) == (1, 30)
    assert [each.count("/chats") for each in home.asked()].count(1) == 1
    assert home.wrong() == []


def test_feedback_waits_for_the_full_comparison(home: Home) -> None:
    """A thumb on an old chat moves nothing else."""
    home.pull()
    home.site.store.chats[1].feedback = True
    home.site.store.chats[1].include = False
    home.later(1)
    assert home.pull("workspace_chats")[0].updated == 0
    home.later(24)
    assert home.pull("workspace_chats")[0].updated == 1
    assert home.wrong("workspace_chats") == [] and home.states("workspace_chats") == {}


# Lists that lie


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_due", [False, True])
def test_an_outage_that_answers_200_with_nothing_deletes_nothing_and_fails(
    home: Home, mode: str, is_due: bool
) -> None:
    """Whatever is asked for; and afterwards everything is as before."""
    home.pull()
    home.later(25 if is_due else 1)
    home.site.is_database_down = True
    broken = home.outcome(mode=mode)
    assert {pulled.status for pulled in broken} == {"failed"} and sum(pulled.gone for pulled in broken) == 0
    assert [home.states(stream) for stream in STREAMS] == [{}] * len(STREAMS)
    home.site.is_database_down = False
    home.pull()
    assert home.wrong() == []


@pytest.mark.parametrize("table", ["embeds", "embed_chats", "workspaces", "chats"])
@pytest.mark.parametrize("mode", MODES)
def test_an_outage_of_one_table_deletes_nothing(home: Home, table: str, mode: str) -> None:
    """The other lists are good, and what hangs on the one that is not stays."""
    home.pull()
    home.later()
    home.site.failing = {table}
    broken = home.outcome(mode=mode)
    assert sum(pulled.gone for pulled in broken) == 0
    if mode != "full":
        assert "failed" in {pulled.status for pulled in broken} or sum(pulled.rejected for pulled in broken)
    home.outcome()  # and again, with the places that the first one left
    assert [home.states(stream) for stream in STREAMS] == [{}] * len(STREAMS)
    home.site.failing = set()
    home.later()
    home.pull()
    assert home.wrong() == []


@pytest.mark.parametrize("at", range(1, 14))
def test_an_outage_in_the_middle_ends_nothing(home: Home, at: int) -> None:
    """A list that breaks off is not the end of the list."""
    home.pull()
    home.later()
    count = iter(range(1, 10_000))

    def fail(site: Any, request: Request) -> None:
        if "/v1/" in request.path and "/auth" not in request.path:
            site.is_database_down = next(count) > at

    home.sandbox.before_request.append(fail)
    assert sum(pulled.gone for pulled in home.outcome()) == 0
    home.sandbox.before_request.clear()
    home.site.is_database_down = False
    home.pull()
    assert home.wrong() == []


@pytest.mark.parametrize("table", ["chats", "chats_count", "embed_chats", "workspaces", "embeds"])
def test_a_list_that_fails_now_and_then_loses_nothing(home: Home, table: str) -> None:
    """Each third answer is a lie: a page of nothing, a count of nothing."""
    home.pull()
    home.later()
    count = iter(range(1, 10_000))

    def fail(site: Any, request: Request) -> None:
        site.failing = {table} if next(count) % 3 == 0 else set()

    home.sandbox.before_request.append(fail)
    assert sum(pulled.gone for pulled in home.outcome()) == 0
    home.sandbox.before_request.clear()
    home.site.failing = set()
    home.pull()
    assert home.wrong() == []


@pytest.mark.parametrize("stream", ["embeds", "workspaces", "workspace_chats", "embed_chats"])
def test_an_empty_list_is_believed_once_somebody_says_so(tmp_path: Path, stream: str) -> None:
    """They may really have been deleted."""
    with running(small_site(embeds=2, embed_chats=6, workspaces=2, chats=6), tmp_path) as home:
        home.pull()
        store = home.site.store
        for embed in list(store.embeds):
            store.delete_embed(embed)
        for workspace in list(store.workspaces):
            store.delete_workspace(workspace)
        store.chats.clear()
        home.later()
        assert home.outcome(stream)[0].status == "failed"
        home.set(empty_lists="believe")
        home.pull(stream)
        home.set(empty_lists="refuse")
        home.later()
        home.pull(stream)
        assert home.wrong(stream) == [] and home.states(stream)


@pytest.mark.parametrize("mode", ["incremental", "full"])
@pytest.mark.parametrize("table", ["embeds", "chats"])
def test_a_first_load_does_not_believe_an_empty_list_that_comes_once(home: Home, table: str, mode: str) -> None:
    """Nothing is known of before, in a reload neither; so it is asked for again."""
    path = {"embeds": "/embed", "chats": "/workspace-chats"}[table]
    count = iter(range(100))

    def fail(site: Any, request: Request) -> None:
        site.failing = set()
        if request.path.endswith(path) and next(count) == 0:
            site.failing = {table, f"{table}_count"}

    home.sandbox.before_request.append(fail)
    streams = ("embeds", "embed_chats") if table == "embeds" else ("workspace_chats",)
    assert {pulled.status for pulled in home.outcome(*streams, mode=mode)} == {"failed"}


def test_null_where_a_list_belongs_is_an_error(home: Home) -> None:
    """In every list; null is not "no rows"."""
    home.pull()
    home.later()
    for name in ("embeds", "workspaces", "chats"):
        body = f'{{"{name}": null, "hasPages": false}}'
        headers = {"Content-Type": "application/json"}
        match = {"embeds": "v1/embed$", "workspaces": "v1/workspaces", "chats": "chats"}[name]
        home.sandbox.faults.add(Fault(kind="status", match=match, status=200, body=body, headers=headers, times=None))
    broken = home.outcome()
    assert {pulled.status for pulled in broken} == {"failed"} and sum(pulled.gone for pulled in broken) == 0
    assert all("null" in str(pulled.error) for pulled in broken)


def test_one_embed_that_lies_does_not_keep_the_others(home: Home) -> None:
    """Its rows stay, a reject names it, and the next pull reads it again."""
    home.pull()
    home.later()
    sick = next(each for each in home.site.store.embeds.values() if home.site.store.chats_of(each.id))
    home.sandbox.faults.add(
        Fault(
            kind="status",
            match=f"{sick.uuid}/chats",
            status=200,
            body='{"chats": []}',
            headers={"Content-Type": "application/json"},
            times=None,
        )
    )
    home.site.maker().add_embed_chat(max(home.site.store.embeds))
    [done] = home.pull("embed_chats")
    assert (done.rejected, done.gone, done.inserted) == (1, 0, 1)
    assert home.rows("SELECT scope FROM syncer.rejects") == [(str(sick.id),)]
    home.sandbox.faults.clear()
    home.pull("embed_chats")
    assert home.wrong("embed_chats") == [] and home.rows("SELECT * FROM syncer.rejects") == []


# Inner JSON


def test_broken_inner_json_costs_no_row_and_no_text(home: Home) -> None:
    """It stands in a column of its own, as it came."""
    chat = home.site.store.chats[7]
    for text in ('{"text": "cut', "null", "[]", "", "{}", '{"text": 5, "metrics": "none", "sources": null}'):
        chat.response = text
        embed_chat = home.site.store.embed_chats[7]
        embed_chat.response, embed_chat.connection = text, text
        home.later()
        home.pull("workspace_chats", "embed_chats")
        for table in ("workspace_chats", "embed_chats"):
            query = f"SELECT response_unparsed, response_text FROM load.anythingllm_{table} WHERE id = 7"
            is_object = text.startswith("{") and text.endswith("}")
            assert home.rows(query) == [(None if is_object else text, "5" if '"text": 5' in text else None)]


def test_metrics_that_nobody_knows_are_kept(home: Home) -> None:
    """Their keys differ by provider and version."""
    home.site.store.chats[
        8
    ].response = (
        '{"text": "x", "metrics": {"prompt_tokens": 3, "outputTps": null, "duration": 0.5, "cached": {"a": 1}}}'
    )
    home.pull("workspace_chats")
    query = (
        "SELECT prompt_tokens, output_tps, duration_s, total_tokens, metrics_other FROM "
        "load.anythingllm_workspace_chats WHERE id = 8"
    )
    assert home.rows(query) == [(3, None, 0.5, None, '{"cached":{"a":1}}')]


# Who we are


@pytest.mark.parametrize("tail", ["", "/", "/api", "/api/", "/api/v1", "/v1", "/api/docs"])
def test_the_base_url_may_have_api_behind_it_or_not(home: Home, tail: str) -> None:
    """People copy what their browser shows."""
    base = home.sandbox.url("anythingllm")
    assert root_of(base + tail) == base
    home.settings = attrs.evolve(
        home.settings, variables={**home.settings.variables, "SYNCER_ANYTHINGLLM_URL": base + tail}
    )
    assert home.source().check().account == base.partition("://")[2]


def test_html_with_status_200_names_the_base_url(home: Home) -> None:
    """A wrong path is answered with the web app's page."""
    wrong = home.sandbox.url("anythingllm") + "/apps"
    home.settings = attrs.evolve(home.settings, variables={**home.settings.variables, "SYNCER_ANYTHINGLLM_URL": wrong})
    with pytest.raises(AnswerError, match="base URL") as raised:
        home.source().check()
    assert "/api" in str(raised.value) and wrong in str(raised.value)


@pytest.mark.parametrize("how", ["token", "is_key_table_down"])
def test_a_key_that_is_not_known_fails_everything(home: Home, how: str) -> None:
    """403 means that, and never "not this row"."""
    home.pull()
    setattr(home.site, how, "another" if how == "token" else True)
    broken = home.outcome()
    assert {pulled.status for pulled in broken} == {"failed"} and sum(pulled.gone for pulled in broken) == 0
    with pytest.raises(NotAllowed, match="SYNCER_ANYTHINGLLM_TOKEN"):
        home.source().check()


def test_the_check_tells_what_it_opens(home: Home) -> None:
    """Mode and version, where the instance says so; an API key has no user."""
    home.site.version = "1.16.0"
    assert home.source().check().user == "API key (multi-user, version 1.16.0)"
    home.sandbox.faults.add(Fault(kind="html", match="utils/metrics"))
    assert home.source().check().user == "API key"


@pytest.mark.parametrize(
    "options",
    [{"embed": 5}, {"full_every": -1}, {"full_every": "daily"}, {"full_every": True}, {"empty_lists": "yes"}],
)
def test_a_wrong_option_is_told(home: Home, options: dict[str, Any]) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match="anythingllm"):
        home.source(**options)


def test_single_user_mode_is_no_hindrance(tmp_path: Path) -> None:
    """Users cannot be listed there; nothing here needs them."""
    site = small_site(chats=30)
    site.is_multi_user = False
    with running(site, tmp_path) as home:
        home.pull()
        assert home.wrong() == []


@pytest.mark.parametrize("is_multi_user", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_no_name_is_loaded_in_clear_because_users_could_not_be_listed(
    tmp_path: Path, is_multi_user: bool, mode: str
) -> None:
    """In multi-user mode there is a user at least; and the mode itself stands in the database that fails."""
    with running(small_site(embeds=1, embed_chats=3, workspaces=1, chats=3), tmp_path) as home:
        home.settings = attrs.evolve(home.settings, tables={})
        name = home.site.store.users[1].username = "Wilhelmina Kowalczyk"
        chat = home.site.store.chats[2]
        chat.user_id, chat.prompt = None, f"ask {name}"
        home.pull("workspace_chats")
        query = f"SELECT count(*) FROM load.anythingllm_workspace_chats WHERE prompt LIKE '%{name}%'"
        home.site.is_multi_user = is_multi_user
        home.site.failing = {"users"} if is_multi_user else {"workspaces"}
        home.later()
        assert home.outcome("workspace_chats", mode=mode)[0].status == "failed"
        assert home.rows(query) == [(0,)]


def test_chats_of_another_embed_are_refused(home: Home) -> None:
    """An answer about something else must not end this embed's rows."""
    home.pull()
    home.later()
    answer = AnythingLLMSite.answer

    def swapped(request: Request) -> Any:
        if request.path.endswith("/chats"):
            return json_response({"chats": [{"id": 1, "embed_id": 99}] * 500})
        return answer(home.site, request)

    home.site.answer = swapped  # type: ignore[method-assign]
    [broken] = home.outcome("embed_chats")
    assert broken.status == "failed" and broken.gone == 0


def test_a_whole_number_is_a_double_too(home: Home) -> None:
    """JSON does not tell 1 from 1.0."""
    home.site.store.workspaces[1].settings["openAiTemp"] = 1
    home.pull("workspaces")
    assert home.rows("SELECT open_ai_temp FROM load.anythingllm_workspaces WHERE id = 1") == [(1.0,)]
