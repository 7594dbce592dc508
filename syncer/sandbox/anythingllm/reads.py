"""
What each route of AnythingLLM's developer API answers, no kinder than its code.

Model methods catch what the database throws and return nothing: a list that could not be read is a 200 with `[]` (or
`null`, for workspaces). Not here: who may ask and which route it is (`anythingllm/__init__.py`).
Source: `endpoints/api/*` and `models/*` of AnythingLLM 1.16 (72aabbd15).
"""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from syncer.sandbox.anythingllm.model import Store, Workspace, WorkspaceChat, embed_chat
from syncer.sandbox.messages import Request, Response, json_bytes, json_response

CHATS_A_PAGE = 20
HISTORY = 100  # rows of a workspace's history where `limit` is not given


class Instance(Protocol):
    """What the routes need of the site."""

    store: Store
    is_multi_user: bool
    events: list[str]

    def fails(self, table: str) -> bool:
        """Tell whether the database fails at this table now."""
        ...

    def shuffler(self) -> random.Random:
        """Return a randomness that differs with each request."""
        ...


def embeds(site: Instance) -> Response:
    """GET /v1/embed."""
    rows = [] if site.fails("embeds") else [site.store.embed(each) for each in site.store.embeds.values()]
    return json_response({"embeds": rows})


def embed_chats(site: Instance, uuid: str, session: str | None = None) -> Response:
    """GET /v1/embed/:uuid/chats, and of one session: without an order; an unknown uuid has none."""
    found = next((each for each in site.store.embeds.values() if each.uuid == uuid), None)
    if found is None or site.fails("embed_chats"):
        return json_response({"chats": []})
    rows = [each for each in site.store.chats_of(found.id) if session is None or each.session_id == session]
    site.shuffler().shuffle(rows)
    return json_response({"chats": [embed_chat(each) for each in rows]})


def workspaces(site: Instance) -> Response:
    """GET /v1/workspaces: null where the database fails."""
    if site.fails("workspaces"):
        return json_response({"workspaces": None})
    store = site.store
    rows = [{**store.workspace(each), "threads": store.threads_of(each.id)} for each in store.workspaces.values()]
    return json_response({"workspaces": rows})


def workspace(site: Instance, slug: str) -> Response:
    """GET /v1/workspace/:slug: an array of one, or of none; its threads come without a name."""
    found = None if site.fails("workspaces") else by_slug(site.store, slug)
    if found is None:
        return json_response({"workspace": []})
    threads = [{"user_id": each["user_id"], "slug": each["slug"]} for each in site.store.threads_of(found.id)]
    return json_response({"workspace": [{**site.store.workspace(found), "documents": [], "threads": threads}]})


def workspace_history(site: Instance, slug: str, request: Request) -> Response:
    """GET /v1/workspace/:slug/chats: the default conversation, or one session of the API, cut at `limit`."""
    found = by_slug(site.store, slug)
    if found is None:
        return text(400, "Bad Request")
    limit = number_of(request.first("limit"), HISTORY)
    if site.fails("chats") or limit is None or limit < 1:
        return json_response({"history": []})  # NaN is refused by Prisma, and that is caught
    session = request.first("apiSessionId")
    rows = [each for each in by_id(site.store) if each.workspace_id == found.id and each.thread_id is None]
    if session:
        rows = [each for each in rows if each.api_session_id == session and each.user_id is None]
    else:
        rows = [each for each in rows if each.api_session_id is None and each.include]
    rows.sort(key=lambda each: each.created, reverse=request.first("orderBy") == "desc")
    return history(rows[: int(limit)])


def thread_history(site: Instance, slug: str, thread_slug: str) -> Response:
    """GET /v1/workspace/:slug/thread/:threadSlug/chats: all of it, oldest first."""
    found = by_slug(site.store, slug)
    if found is None:
        return json_response({"message": "Workspace not found"}, status=404)
    thread = next(
        (each for each in site.store.threads.values() if each.slug == thread_slug and each.workspace_id == found.id),
        None,
    )
    if thread is None:
        return json_response({"message": "Thread not found"}, status=404)
    if site.fails("chats"):
        return json_response({"history": []})
    return history([each for each in by_id(site.store) if each.thread_id == thread.id and each.include])


def admin_chats(site: Instance, request: Request) -> Response:
    """
    POST /v1/admin/workspace-chats: a page of twenty, newest first.

    `offset` is multiplied as JavaScript does it: a text is a number there, and "2" + 1 is "21" for `hasPages`.
    """
    try:
        body = json.loads(request.body) if request.body.strip() else {}
    except ValueError:
        return text(500, "Internal Server Error")
    offset = body.get("offset", 0) if isinstance(body, dict) else 0
    start, following = _javascript(offset)
    total = 0 if site.fails("chats_count") else len(site.store.chats)
    has_pages = total > following * CHATS_A_PAGE if not math.isnan(following) else False
    if site.fails("chats") or math.isnan(start) or start < 0:
        return json_response({"chats": [], "hasPages": has_pages})
    first = int(start * CHATS_A_PAGE)
    numbers = sorted(site.store.chats, reverse=True)[first : first + CHATS_A_PAGE]
    return json_response({"chats": [site.store.chat(site.store.chats[n]) for n in numbers], "hasPages": has_pages})


def _javascript(offset: Any) -> tuple[float, float]:
    """Return `offset * 1` and `(offset + 1) * 1`, as JavaScript has them."""
    if offset is None or isinstance(offset, bool):
        return float(bool(offset)), float(bool(offset)) + 1
    if isinstance(offset, int | float):
        return float(offset), float(offset) + 1
    if isinstance(offset, str):
        try:
            return float(offset or 0), float(offset + "1")
        except ValueError:
            return math.nan, math.nan
    return math.nan, math.nan


def export(site: Instance, request: Request) -> Response:
    """GET /v1/system/export-chats: everything at once, oldest first; each call is written to the audit log."""
    kind = request.first("type", "jsonl") or "jsonl"
    if kind not in ("json", "csv", "jsonl", "jsonAlpaca"):
        return text(500, "Internal Server Error")
    site.events.append("exported_chats")
    rows = [] if site.fails("chats") else [_exported(site.store, each) for each in by_id(site.store)]
    if kind == "json":
        return json_response(rows)
    if kind == "csv":
        columns = ("id", "workspace", "prompt", "response", "sent_at", "username", "rating")
        written = io.StringIO()
        table = csv.writer(written, quoting=csv.QUOTE_ALL)
        table.writerows([columns, *([row[name] for name in columns] for row in rows)])
        return Response(headers={"Content-Type": "text/csv"}, body=written.getvalue().encode())
    if kind == "jsonAlpaca":
        alpaca = [{"instruction": "", "input": row["prompt"], "output": row["response"]} for row in rows]
        return json_response(alpaca)
    by_workspace: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
        by_workspace.setdefault(row["workspace"], []).extend(turns)
    lines = b"\n".join(json_bytes({"messages": messages}) for messages in by_workspace.values())
    return Response(headers={"Content-Type": "application/jsonl"}, body=lines)


def users(site: Instance) -> Response:
    """GET /v1/users: only where the instance has several."""
    if not site.is_multi_user:
        return text(401, "Unauthorized")
    rows = [{"id": each.id, "username": each.username, "role": each.role} for each in site.store.users.values()]
    return json_response({"users": [] if site.fails("users") else rows})


def history(rows: Sequence[WorkspaceChat]) -> Response:
    """Show chats as two entries each. An answer that is no JSON takes the whole call down."""
    entries: list[dict[str, Any]] = []
    for chat in rows:
        try:
            data = json.loads(chat.response)
        except ValueError:
            return text(500, "Internal Server Error")
        told = data if isinstance(data, dict) else {}
        if not isinstance(told.get("text"), str):
            continue
        sent = int(datetime.fromisoformat(chat.created).timestamp())
        entries.append(
            {
                "role": "user",
                "content": chat.prompt,
                "sentAt": sent,
                "attachments": told.get("attachments", []),
                "chatId": chat.id,
            }
        )
        entries.append(
            {
                "type": told.get("type", "chat"),
                "role": "assistant",
                "content": told["text"],
                "sources": told.get("sources", []),
                "chatId": chat.id,
                "sentAt": sent,
                "feedbackScore": chat.feedback,
                "metrics": told.get("metrics", {}),
            }
        )
    return json_response({"history": entries})


def by_slug(store: Store, slug: str) -> Workspace | None:
    """Find a workspace by its slug."""
    return next((each for each in store.workspaces.values() if each.slug == slug), None)


def by_id(store: Store) -> list[WorkspaceChat]:
    """Return all workspace chats, oldest first."""
    return [store.chats[number] for number in sorted(store.chats)]


def number_of(value: str | None, default: int) -> float | None:
    """Read a parameter as JavaScript's Number does; None: NaN."""
    if value is None:
        return default
    try:
        return float(value or 0)
    except ValueError:
        return None


def text(status: int, body: str) -> Response:
    """Answer as Express' `sendStatus` does."""
    return Response(status=status, headers={"Content-Type": "text/plain; charset=utf-8"}, body=body.encode())


def _exported(store: Store, chat: WorkspaceChat) -> dict[str, Any]:
    row = store.chat(chat)
    try:
        data = json.loads(chat.response)
    except ValueError:
        data = {}
    told = data if isinstance(data, dict) else {}
    rating = "--" if chat.feedback is None else "GOOD" if chat.feedback else "BAD"
    return {
        "id": chat.id,
        "prompt": chat.prompt,
        "response": told.get("text", ""),
        "sent_at": chat.created,
        "attachments": told.get("attachments", []),
        "workspace": row["workspace"]["name"],
        "username": row["user"]["username"],
        "rating": rating,
    }
