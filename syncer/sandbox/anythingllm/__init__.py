"""
AnythingLLM on 127.0.0.1: the developer API below /api, and its web app's page for everything else.

    site = AnythingLLMSite.generate(seed=1, clock=clock)
    with Sandbox(sites=[site], clock=clock) as sandbox:
        requests.get(sandbox.url("anythingllm") + "/api/v1/embed", headers={"Authorization": f"Bearer {site.token}"})
        site.is_database_down = True        # every list answers 200 with nothing

Rows stand in `site.store` (`anythingllm.model`) and may be changed there; random edits are in `anythingllm.edits`,
what routes answer in `anythingllm.reads`. Source: AnythingLLM 1.16's server, as each file names it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from syncer.sandbox.anythingllm import reads
from syncer.sandbox.anythingllm.edits import Editor
from syncer.sandbox.anythingllm.generate import Amounts, Maker, generate
from syncer.sandbox.anythingllm.model import KNOWN_METRICS, Store, embed_chat
from syncer.sandbox.clock import Clock
from syncer.sandbox.messages import Request, Response, json_response

__all__ = ["TOKEN", "AnythingLLMSite"]

TOKEN = "ABCDEFG-HIJKLMN-OPQRSTU-VWXYZ12"
PAGE = (
    '<!DOCTYPE html><html lang="en"><head><title>AnythingLLM | Your personal LLM trained on anything</title></head>'
    '<body><div id="root" class="h-screen"></div></body></html>'
)
LISTS = ("embeds", "embed_chats", "workspaces", "chats", "chats_count", "users")

_Handler = Callable[..., Response]


class AnythingLLMSite:
    """
    One instance. Settings, all of which may change while it runs:

    `token`: the API key that is known. `is_multi_user`. `version`: what `appVersion` says, None as by default.
    `is_database_down`: every list answers 200 with nothing. `failing`: only these of LISTS do. `is_key_table_down`: no
    key is known, which looks just like a wrong one. `events`: the audit log.
    """

    name = "anythingllm"

    def __init__(self, store: Store, *, seed: int = 1) -> None:
        """Serve *store*."""
        self.store = store
        self.clock = store.clock
        self.token = TOKEN
        self.is_multi_user = True
        self.version: str | None = None
        self.is_database_down = False
        self.is_key_table_down = False
        self.failing: set[str] = set()
        self.events: list[str] = []
        self._seed = seed
        self._serial = 0

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 1,
        embeds: int = 4,
        embed_chats: int = 120,
        workspaces: int = 5,
        chats: int = 200,
        clock: Clock | None = None,
    ) -> AnythingLLMSite:
        """Make an instance with generated rows: the same for the same arguments and time of the clock."""
        amounts = Amounts(embeds=embeds, embed_chats=embed_chats, workspaces=workspaces, chats=chats)
        return cls(generate(seed, amounts, clock or Clock()), seed=seed)

    def maker(self, seed: int = 1) -> Maker:
        """Return what adds rows, made now."""
        maker = Maker(self.store, random.Random(seed))
        maker.is_old = False
        return maker

    def edit(self, count: int, seed: int) -> list[str]:
        """Make *count* random edits; return a short description of each."""
        return Editor(self.store, seed).make(count)

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """
        Return every record of *stream* by key, in the API's shape.

        The JSON inside `response` and `connection_information` stands there as what it means; a text that means no
        object is under `…_unparsed`, and metrics without a column of their own under `metrics_other`. A thread has the
        id of its workspace. Streams: embeds, embed_chats, workspaces, threads (by slug), workspace_chats.
        """
        store = self.store
        if stream == "embeds":
            return {(each.id,): store.embed(each) for each in store.embeds.values()}
        if stream == "embed_chats":
            return {(each.id,): _told(embed_chat(each)) for each in store.embed_chats.values()}
        if stream == "workspaces":
            return {
                (each.id,): {**store.workspace(each), "threads": store.threads_of(each.id)}
                for each in store.workspaces.values()
            }
        if stream == "threads":
            return {
                (thread["slug"],): {**thread, "workspace_id": each.id}
                for each in store.workspaces.values()
                for thread in store.threads_of(each.id)
            }
        if stream == "workspace_chats":
            return {(each.id,): _told(store.chat(each)) for each in store.chats.values()}
        raise KeyError("known: embed_chats, embeds, threads, workspace_chats, workspaces")

    def fails(self, table: str) -> bool:
        """Tell whether the database fails at this list now."""
        return self.is_database_down or table in self.failing

    def shuffler(self) -> random.Random:
        """Return a randomness that differs with each request."""
        return random.Random(f"{self._seed} {self._serial}")

    def answer(self, request: Request) -> Response:
        """Answer a request: the API's own routes, and the web app's page for whatever is none of them."""
        self._serial += 1
        path = request.raw_path.rstrip("/") or "/"
        if path == "/api/ping" and request.method == "GET":
            return json_response({"online": True})
        if path == "/api/utils/metrics" and request.method == "GET":
            return self._metrics()
        for method, pattern, handler in _ROUTES:
            found = pattern.fullmatch(path)
            if found is not None and method == request.method:
                return handler(self, request, *found.groups()) if self._is_known(request) else _unknown_key()
        return Response(headers={"Content-Type": "text/html; charset=utf-8"}, body=PAGE.encode())

    def _is_known(self, request: Request) -> bool:
        """Take the second word of the header, whatever the first one is."""
        words = request.headers.get("authorization", "").split(" ")
        return len(words) > 1 and words[1] == self.token and bool(self.token) and not self.is_key_table_down

    def _metrics(self) -> Response:
        return json_response(
            {
                "online": True,
                "version": "--",
                "mode": "multi-user" if self.is_multi_user else "single-user",
                "vectorDB": "lancedb",
                "storage": {"capacity": 100, "used": 12},
                "appVersion": self.version,
            }
        )


def _unknown_key() -> Response:
    return json_response({"error": "No valid api key found."}, status=403)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Put what a row's inner JSON means in its place."""
    told = dict(row)
    for name in ("response", "connection_information"):
        if name not in row or row[name] is None:
            continue
        try:
            meant = json.loads(row[name])
        except ValueError:
            meant = None
        told[name] = meant if isinstance(meant, dict) else None
        if told[name] is None:
            told[f"{name}_unparsed"] = row[name]
    metrics = (told["response"] or {}).get("metrics") or {}
    other = {name: value for name, value in metrics.items() if name not in KNOWN_METRICS}
    return {**told, "metrics_other": other} if other else told


def _route(method: str, path: str, handler: _Handler) -> tuple[str, re.Pattern[str], _Handler]:
    return method, re.compile("/api/v1" + path.replace("{}", "([^/]+)")), handler


_ROUTES = (
    _route("GET", "/auth", lambda site, request: json_response({"authenticated": True})),
    _route("GET", "/embed", lambda site, request: reads.embeds(site)),
    _route("GET", "/embed/{}/chats", lambda site, request, uuid: reads.embed_chats(site, uuid)),
    _route("GET", "/embed/{}/chats/{}", lambda site, request, *parts: reads.embed_chats(site, *parts)),
    _route("GET", "/workspaces", lambda site, request: reads.workspaces(site)),
    _route("GET", "/workspace/{}", lambda site, request, slug: reads.workspace(site, slug)),
    _route("GET", "/workspace/{}/chats", lambda site, request, slug: reads.workspace_history(site, slug, request)),
    _route("GET", "/workspace/{}/thread/{}/chats", lambda site, request, *parts: reads.thread_history(site, *parts)),
    _route("POST", "/admin/workspace-chats", lambda site, request: reads.admin_chats(site, request)),
    _route("GET", "/system/export-chats", lambda site, request: reads.export(site, request)),
    _route("GET", "/users", lambda site, request: reads.users(site)),
    _route("GET", "/admin/users", lambda site, request: reads.users(site)),
    _route(
        "GET",
        "/admin/is-multi-user-mode",
        lambda site, request: json_response({"isMultiUser": site.is_multi_user}),
    ),
)
