"""
The rows of an AnythingLLM instance, in tables as its database has them, and how each is shown.

`response` and `connection_information` are texts that hold JSON, as in the database: a row may hold a broken one.
Times are ISO 8601 in UTC with milliseconds and `Z`. Source: `prisma/schema.prisma` of AnythingLLM 1.16.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from syncer.sandbox.clock import Clock

DELETED_WORKSPACE = {"name": "deleted workspace", "slug": None}
KNOWN_METRICS = (
    "prompt_tokens", "completion_tokens", "total_tokens", "outputTps", "duration", "model", "provider", "timestamp",
    "inputCost", "outputCost", "totalCost",
)  # fmt: skip


@attrs.define(kw_only=True)
class User:
    """A person who may log in, where the instance has several."""

    id: int
    username: str
    role: str = "default"


@attrs.define(kw_only=True)
class Thread:
    """A conversation of a workspace beside its default one."""

    id: int
    slug: str
    name: str
    workspace_id: int
    user_id: int | None = None


@attrs.define(kw_only=True)
class Workspace:
    """A workspace; `settings` are its other columns, by the names that the API has for them."""

    id: int
    name: str
    slug: str
    created: str
    last_updated: str
    settings: dict[str, Any] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class WorkspaceChat:
    """One prompt with its answer. `thread_id` None: the workspace's default conversation."""

    id: int
    workspace_id: int
    prompt: str
    response: str
    created: str
    last_updated: str
    include: bool = True
    user_id: int | None = None
    thread_id: int | None = None
    api_session_id: str | None = None
    feedback: bool | None = None
    memory_processed: bool | None = None


@attrs.define(kw_only=True)
class Embed:
    """A chat widget of a workspace. It has no name of its own."""

    id: int
    uuid: str
    workspace_id: int
    created: str
    enabled: bool = True
    chat_mode: str = "query"


@attrs.define(kw_only=True)
class EmbedChat:
    """One prompt of a visitor, with its answer."""

    id: int
    embed_id: int
    prompt: str
    response: str
    session_id: str
    created: str
    connection: str | None = None
    include: bool = True
    users_id: int | None = None


@attrs.define(kw_only=True)
class Store:
    """All tables, by id. `next_ids` only grows: an id is never given again."""

    clock: Clock
    users: dict[int, User] = attrs.field(factory=dict)
    workspaces: dict[int, Workspace] = attrs.field(factory=dict)
    threads: dict[int, Thread] = attrs.field(factory=dict)
    chats: dict[int, WorkspaceChat] = attrs.field(factory=dict)
    embeds: dict[int, Embed] = attrs.field(factory=dict)
    embed_chats: dict[int, EmbedChat] = attrs.field(factory=dict)
    next_ids: dict[str, int] = attrs.field(factory=dict)

    def new_id(self, table: str) -> int:
        """Give the next id of a table."""
        self.next_ids[table] = self.next_ids.get(table, 0) + 1
        return self.next_ids[table]

    def now(self) -> str:
        """Write the clock's time as the database shows it."""
        return iso(self.clock.now())

    def chats_of(self, embed_id: int) -> list[EmbedChat]:
        """Return the chats of an embed, by id."""
        return [chat for chat in self.embed_chats.values() if chat.embed_id == embed_id]

    def embed(self, embed: Embed) -> dict[str, Any]:
        """Show an embed, as `GET /v1/embed` does."""
        workspace = self.workspaces[embed.workspace_id]
        return {
            "id": embed.id,
            "uuid": embed.uuid,
            "enabled": embed.enabled,
            "chat_mode": embed.chat_mode,
            "createdAt": embed.created,
            "workspace": {"id": workspace.id, "name": workspace.name},
            "chat_count": len(self.chats_of(embed.id)),
        }

    def workspace(self, workspace: Workspace) -> dict[str, Any]:
        """Show a workspace's own row."""
        return {
            "id": workspace.id,
            "name": workspace.name,
            "slug": workspace.slug,
            "createdAt": workspace.created,
            "lastUpdatedAt": workspace.last_updated,
            **workspace.settings,
        }

    def threads_of(self, workspace_id: int) -> list[dict[str, Any]]:
        """Show the threads of a workspace, as the list of workspaces does: no id, no time."""
        return [
            {"user_id": thread.user_id, "slug": thread.slug, "name": thread.name}
            for thread in self.threads.values()
            if thread.workspace_id == workspace_id
        ]

    def chat(self, chat: WorkspaceChat) -> dict[str, Any]:
        """Show a workspace chat, as `POST /v1/admin/workspace-chats` does."""
        workspace = self.workspaces.get(chat.workspace_id)
        user = self.users.get(chat.user_id) if chat.user_id is not None else None
        nobody = "API" if chat.api_session_id else "unknown user"
        return {
            "id": chat.id,
            "workspaceId": chat.workspace_id,
            "prompt": chat.prompt,
            "response": chat.response,
            "include": chat.include,
            "user_id": chat.user_id,
            "thread_id": chat.thread_id,
            "api_session_id": chat.api_session_id,
            "createdAt": chat.created,
            "lastUpdatedAt": chat.last_updated,
            "feedbackScore": chat.feedback,
            "memoryProcessed": chat.memory_processed,
            "workspace": {"name": workspace.name, "slug": workspace.slug} if workspace else {**DELETED_WORKSPACE},
            "user": {"username": user.username if user else nobody},
        }

    def delete_workspace(self, workspace_id: int) -> None:
        """Delete a workspace with its threads, its embeds and their chats. Its own chats stay, orphaned."""
        del self.workspaces[workspace_id]
        for thread in [each for each in self.threads.values() if each.workspace_id == workspace_id]:
            del self.threads[thread.id]
        for embed in [each for each in self.embeds.values() if each.workspace_id == workspace_id]:
            self.delete_embed(embed.id)

    def delete_embed(self, embed_id: int) -> None:
        """Delete an embed, and its chats with it."""
        del self.embeds[embed_id]
        for chat in self.chats_of(embed_id):
            del self.embed_chats[chat.id]

    def delete_thread(self, thread_id: int) -> None:
        """Delete a thread, and its chats with it."""
        del self.threads[thread_id]
        for chat in [each for each in self.chats.values() if each.thread_id == thread_id]:
            del self.chats[chat.id]


def embed_chat(chat: EmbedChat) -> dict[str, Any]:
    """Show an embed chat: the row of its table."""
    return {
        "id": chat.id,
        "prompt": chat.prompt,
        "response": chat.response,
        "session_id": chat.session_id,
        "include": chat.include,
        "connection_information": chat.connection,
        "embed_id": chat.embed_id,
        "usersId": chat.users_id,
        "createdAt": chat.created,
    }


def iso(moment: datetime) -> str:
    """Write a time as Prisma does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
