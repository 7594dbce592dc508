"""The sandbox's AnythingLLM answers as the server's code does, no kinder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from syncer.sandbox import Clock
from syncer.sandbox.anythingllm import TOKEN, AnythingLLMSite
from syncer.sandbox.messages import Editable, Request, Response

V1 = "/api/v1"
PAGE = f"{V1}/admin/workspace-chats"


@pytest.fixture
def site() -> AnythingLLMSite:
    return AnythingLLMSite.generate(seed=3, clock=Clock(datetime(2026, 3, 1, tzinfo=UTC), is_frozen=True))


def ask(site: AnythingLLMSite, path: str, *, body: Any = None, key: str = f"Bearer {TOKEN}") -> Response:
    """Ask by GET, or by POST where there is a body."""
    path, _, query = path.partition("?")
    return site.answer(
        Request(
            method="GET" if body is None else "POST",
            path=path,
            raw_path=path,
            query={name: [value] for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)},
            headers={"authorization": key},
            body=b"" if body is None else json.dumps(body).encode(),
        )
    )


def told(site: AnythingLLMSite, path: str, *, body: Any = None) -> Any:
    """Return the JSON of a good answer."""
    answer = ask(site, path, body=body)
    assert answer.status == 200 and "json" in answer.headers["Content-Type"]
    return json.loads(answer.body)


def test_the_same_seed_makes_the_same_rows(site: AnythingLLMSite) -> None:
    """And another one makes others."""
    again = AnythingLLMSite.generate(seed=3, clock=site.clock)
    other = AnythingLLMSite.generate(seed=4, clock=site.clock)
    streams = ("embeds", "embed_chats", "workspaces", "threads", "workspace_chats")
    assert [again.truth(stream) for stream in streams] == [site.truth(stream) for stream in streams]
    assert other.truth("workspace_chats") != site.truth("workspace_chats")
    assert isinstance(site, Editable) and site.edit(50, 1) == again.edit(50, 1)


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", TOKEN])
def test_a_key_that_is_not_known_is_403_and_never_401(site: AnythingLLMSite, key: str) -> None:
    """The second word counts, whatever the first one is."""
    answer = ask(site, f"{V1}/auth", key=key)
    assert (answer.status, json.loads(answer.body)) == (403, {"error": "No valid api key found."})
    assert ask(site, f"{V1}/auth", key=f"Whatever {TOKEN}").status == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1/auth", "/v1/embed", "/api/v2/embed", f"{V1}/nothing", f"{V1}/embed/x", "/api"]
)
@pytest.mark.parametrize("body", [None, {}])
def test_every_other_path_is_the_web_app(site: AnythingLLMSite, path: str, body: Any) -> None:
    """With status 200, whatever the method, and without a key."""
    answer = ask(site, path, body=body, key="")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/html")


def test_the_embeds_have_just_these_keys(site: AnythingLLMSite) -> None:
    """As the endpoint writes them by hand."""
    embeds = told(site, f"{V1}/embed")["embeds"]
    keys = ["id", "uuid", "enabled", "chat_mode", "createdAt", "workspace", "chat_count"]
    assert [list(embed) for embed in embeds] == [keys] * 4
    assert [embed["chat_count"] for embed in embeds][-1] == 0 and not all(embed["enabled"] for embed in embeds)
    assert embeds[0]["workspace"] == embeds[1]["workspace"]
    for embed in embeds:
        assert len(told(site, f"{V1}/embed/{embed['uuid']}/chats")["chats"]) == embed["chat_count"]


def test_embed_chats_are_rows_of_the_table_in_no_order(site: AnythingLLMSite) -> None:
    """With JSON inside; an unknown uuid has none, and is no 404."""
    uuid = site.store.embeds[1].uuid
    first, second = (told(site, f"{V1}/embed/{uuid}/chats")["chats"] for _ in range(2))
    assert first != second and sorted(row["id"] for row in first) == sorted(row["id"] for row in second)
    row = first[0]
    assert list(row) == [
        "id", "prompt", "response", "session_id", "include", "connection_information", "embed_id", "usersId",
        "createdAt",
    ]  # fmt: skip
    assert isinstance(row["response"], str) and row["createdAt"].endswith("Z") and len(row["createdAt"]) == 24
    of_one = told(site, f"{V1}/embed/{uuid}/chats/{row['session_id']}")["chats"]
    assert {each["session_id"] for each in of_one} == {row["session_id"]}
    assert told(site, f"{V1}/embed/nobody/chats") == {"chats": []}


def test_generated_answers_have_what_breaks_parsers(site: AnythingLLMSite) -> None:
    """No JSON at all, JSON that is no object, metrics of several versions."""
    texts = [chat.response for chat in site.store.chats.values()]
    parsed = []
    for text in texts:
        try:
            parsed.append(json.loads(text))
        except ValueError:
            parsed.append(ValueError)
    assert ValueError in parsed and any(not isinstance(each, dict) for each in parsed if each is not ValueError)
    metrics = [each["metrics"] for each in parsed if isinstance(each, dict) and "metrics" in each]
    assert {} in metrics and any(each.get("outputTps", 0) is None for each in metrics)
    assert any("totalCost" in each for each in metrics) and any("reasoning_tokens" in each for each in metrics)
    connections = [chat.connection for chat in site.store.embed_chats.values()]
    assert None in connections and "{broken" in connections


def test_workspaces_have_threads_without_an_id(site: AnythingLLMSite) -> None:
    """One workspace comes as an array, with threads that have not even a name."""
    rows = told(site, f"{V1}/workspaces")["workspaces"]
    assert all(set(thread) == {"user_id", "slug", "name"} for row in rows for thread in row["threads"])
    row = next(row for row in rows if row["threads"])
    [one] = told(site, f"{V1}/workspace/{row['slug']}")["workspace"]
    assert [set(thread) for thread in one["threads"]] == [{"user_id", "slug"}] * len(row["threads"])
    assert "documents" in one and told(site, f"{V1}/workspace/nobody") == {"workspace": []}


def test_workspace_chats_are_pages_of_twenty_newest_first(site: AnythingLLMSite) -> None:
    """The last page says so; behind it there is nothing."""
    pages = [told(site, PAGE, body={"offset": number}) for number in range(11)]
    assert [len(page["chats"]) for page in pages] == [20] * 10 + [0]
    assert [page["hasPages"] for page in pages] == [True] * 9 + [False] * 2
    ids = [row["id"] for page in pages for row in page["chats"]]
    assert ids == sorted(site.store.chats, reverse=True)
    names = {row["user"]["username"] for page in pages for row in page["chats"]}
    assert {"API", "unknown user"} < names
    assert any(row["workspace"]["slug"] is None for page in pages for row in page["chats"])


@pytest.mark.parametrize(
    ("offset", "first", "has_pages"),
    [("2", 160, False), (2, 160, True), (None, 200, True), (-1, None, True), ("x", None, False), (1.5, 170, True)],
)
def test_an_offset_is_what_javascript_makes_of_it(
    site: AnythingLLMSite, offset: Any, first: int | None, has_pages: bool
) -> None:
    """A text is multiplied as a number, but "2" + 1 is "21"."""
    page = told(site, PAGE, body={"offset": offset})
    assert page["hasPages"] is has_pages
    assert (page["chats"][0]["id"] if page["chats"] else None) == first


def test_a_database_that_is_down_answers_200_with_nothing(site: AnythingLLMSite) -> None:
    """And workspaces are null; the key is still known."""
    site.is_database_down = True
    uuid = site.store.embeds[1].uuid
    assert told(site, f"{V1}/embed") == {"embeds": []}
    assert told(site, f"{V1}/embed/{uuid}/chats") == {"chats": []}
    assert told(site, f"{V1}/workspaces") == {"workspaces": None}
    assert told(site, PAGE, body={"offset": 0})["chats"] == []
    assert told(site, f"{V1}/system/export-chats?type=json") == []
    assert told(site, f"{V1}/auth") == {"authenticated": True}
    site.is_key_table_down = True
    assert ask(site, f"{V1}/auth").status == 403


def workspace_with(site: AnythingLLMSite, *, thread: bool) -> str:
    """Return the slug of a workspace whose default conversation, or a thread, has a good chat."""
    for chat in site.store.chats.values():
        if chat.workspace_id in site.store.workspaces and (chat.thread_id is not None) is thread and chat.include:
            return site.store.workspaces[chat.workspace_id].slug
    raise AssertionError


def test_the_history_leaves_out_threads_sessions_and_resets(site: AnythingLLMSite) -> None:
    """Two entries a chat, in seconds; the oldest hundred unless told otherwise."""
    for chat in site.store.chats.values():
        chat.response = chat.response if chat.response.startswith('{"text":"') and chat.response[-1] == "}" else "{}"
    slug = workspace_with(site, thread=False)
    found = told(site, f"{V1}/workspace/{slug}/chats")["history"]
    chats = [site.store.chats[entry["chatId"]] for entry in found]
    assert found and all(chat.thread_id is None and chat.api_session_id is None and chat.include for chat in chats)
    assert found[0]["role"] == "user" and found[1]["role"] == "assistant" and isinstance(found[0]["sentAt"], int)
    backwards = told(site, f"{V1}/workspace/{slug}/chats?limit=1&orderBy=desc")["history"]
    assert len(backwards) == 2 and backwards[0]["sentAt"] >= found[0]["sentAt"]
    assert told(site, f"{V1}/workspace/{slug}/chats?limit=abc") == {"history": []}
    answer = ask(site, f"{V1}/workspace/nobody/chats")
    assert (answer.status, answer.body) == (400, b"Bad Request")


def test_a_broken_answer_takes_the_history_down(site: AnythingLLMSite) -> None:
    """500 for the whole call."""
    slug = workspace_with(site, thread=False)
    workspace = next(each for each in site.store.workspaces.values() if each.slug == slug)
    chat = next(
        each
        for each in site.store.chats.values()
        if each.workspace_id == workspace.id and each.thread_id is None and each.api_session_id is None
    )
    chat.include, chat.response = True, "{broken"
    answer = ask(site, f"{V1}/workspace/{slug}/chats")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")


def test_threads_that_are_not_there_are_404(site: AnythingLLMSite) -> None:
    """With words, since 1.14.1."""
    thread = next(iter(site.store.threads.values()))
    slug = site.store.workspaces[thread.workspace_id].slug
    for chat in site.store.chats.values():
        if chat.thread_id == thread.id:
            chat.response = '{"text": "x"}'
    found = told(site, f"{V1}/workspace/{slug}/thread/{thread.slug}/chats")["history"]
    assert {site.store.chats[entry["chatId"]].thread_id for entry in found} <= {thread.id}
    for path, message in (("nobody/thread/x", "Workspace not found"), (f"{slug}/thread/x", "Thread not found")):
        answer = ask(site, f"{V1}/workspace/{path}/chats")
        assert (answer.status, json.loads(answer.body)) == (404, {"message": message})


def test_users_are_listed_only_where_there_are_several(site: AnythingLLMSite) -> None:
    """Else 401, as text."""
    assert told(site, f"{V1}/users")["users"] == told(site, f"{V1}/admin/users")["users"] != []
    site.is_multi_user = False
    answer = ask(site, f"{V1}/admin/users")
    assert (answer.status, answer.body) == (401, b"Unauthorized")
    assert told(site, f"{V1}/admin/is-multi-user-mode") == {"isMultiUser": False}
    assert told(site, "/api/utils/metrics")["mode"] == "single-user" and told(site, "/api/ping") == {"online": True}


def test_an_export_is_written_to_the_audit_log(site: AnythingLLMSite) -> None:
    """Everything, oldest first, as plain text."""
    rows = told(site, f"{V1}/system/export-chats?type=json")
    assert [row["id"] for row in rows] == sorted(site.store.chats) and site.events == ["exported_chats"]
    assert {row["rating"] for row in rows} == {"--", "GOOD", "BAD"}
    assert ask(site, f"{V1}/system/export-chats?type=csv").body.startswith(b'"id","workspace"')
    assert (
        ask(site, f"{V1}/system/export-chats").status == ask(site, f"{V1}/system/export-chats?type=jsonAlpaca").status
    )
    assert ask(site, f"{V1}/system/export-chats?type=xml").status == 500


def test_ids_are_never_given_twice(site: AnythingLLMSite) -> None:
    """Also when the newest row was deleted."""
    newest = max(site.store.chats)
    del site.store.chats[newest]
    assert site.maker().add_chat().id == newest + 1


def test_edits_leave_no_trace(site: AnythingLLMSite) -> None:
    """`lastUpdatedAt` moves for agent runs only, never of a workspace; an embed's chats go with it."""
    before = {each.id: each.last_updated for each in site.store.workspaces.values()}
    site.clock.advance(60)
    done = site.edit(400, 9)
    assert {each.id: each.last_updated for each in site.store.workspaces.values() if each.id in before}.items() <= (
        before.items()
    )
    moved = {each.id for each in site.store.chats.values() if each.last_updated != each.created}
    assert moved <= {int(what.split()[1]) for what in done if "agent" in what}
    assert {each.embed_id for each in site.store.embed_chats.values()} <= set(site.store.embeds)
