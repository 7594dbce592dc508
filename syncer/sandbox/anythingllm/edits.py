"""
Edits as people, visitors and the instance itself make them. None of them leaves a trace: no tombstone, and
`lastUpdatedAt` moves for agent runs only. Source: `models/workspaceChats.js` and `models/embedChats.js` (1.16).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from syncer.sandbox.anythingllm.generate import ANSWERS, QUESTIONS, Maker
from syncer.sandbox.anythingllm.model import Store

LEAST = 3  # rows of a kind that random edits leave


class Editor:
    """Makes random edits."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._rng = random.Random(seed)
        self._maker = Maker(store, self._rng)
        self._maker.is_old = False
        self._kinds: list[tuple[int, Callable[[], str]]] = [
            (20, self._add_chat),
            (14, self._add_embed_chat),
            (8, self._delete_chat),
            (6, self._delete_embed_chat),
            (8, self._rate),
            (6, self._rewrite),
            (4, self._run_agent),
            (4, self._reset),
            (4, self._reset_visitor),
            (3, self._remember),
            (3, self._rename_workspace),
            (3, self._add_thread),
            (2, self._rename_thread),
            (2, self._delete_thread),
            (2, self._toggle_embed),
            (1, self._add_embed),
            (1, self._delete_embed),
            (1, self._add_workspace),
            (1, self._delete_workspace),
        ]

    def make(self, count: int) -> list[str]:
        """Make *count* edits; return what was done."""
        weights, kinds = [weight for weight, _ in self._kinds], [kind for _, kind in self._kinds]
        return [self._rng.choices(kinds, weights)[0]() for _ in range(count)]

    def _one(self, table: dict[int, Any]) -> Any:
        return table[self._rng.choice(list(table))] if table else None

    def _add_chat(self) -> str:
        return f"chat {self._maker.add_chat().id} added"

    def _add_embed_chat(self) -> str:
        embed = self._one(self._store.embeds)
        return f"embed chat {self._maker.add_embed_chat(embed.id).id} added" if embed else "nothing"

    def _delete_chat(self) -> str:
        return self._deleted("chat", self._store.chats)

    def _delete_embed_chat(self) -> str:
        return self._deleted("embed chat", self._store.embed_chats)

    def _deleted(self, what: str, table: dict[int, Any]) -> str:
        if len(table) <= LEAST:
            return "nothing"
        number = self._rng.choice(list(table))
        del table[number]
        return f"{what} {number} deleted"

    def _rate(self) -> str:
        return self._set(self._store.chats, "feedback", (True, False, None))

    def _remember(self) -> str:
        return self._set(self._store.chats, "memory_processed", (True, None))

    def _reset(self) -> str:
        return self._set(self._store.chats, "include", (False,))

    def _toggle_embed(self) -> str:
        return self._set(self._store.embeds, "enabled", (True, False))

    def _rename_workspace(self) -> str:
        return self._set(self._store.workspaces, "name", (f"Renamed {self._rng.randrange(1000)}", "Support"))

    def _rename_thread(self) -> str:
        return self._set(self._store.threads, "name", (self._rng.choice(QUESTIONS)[:22] + "...",))

    def _set(self, table: dict[int, Any], name: str, choices: Iterable[Any]) -> str:
        row = self._one(table)
        if row is None:
            return "nothing"
        setattr(row, name, self._rng.choice(list(choices)))
        return f"{type(row).__name__} {row.id}: {name}"

    def _rewrite(self) -> str:
        """A person corrects a message: only the two texts change."""
        chat = self._one(self._store.chats)
        if chat is None:
            return "nothing"
        chat.prompt = self._rng.choice(QUESTIONS) + f" ({self._rng.randrange(10_000)})"
        chat.response = self._maker.response("chat", 1, has_attachments=True)
        return f"chat {chat.id} rewritten"

    def _run_agent(self) -> str:
        chat = self._one(self._store.chats)
        if chat is None:
            return "nothing"
        chat.response = self._maker.response("agent", 2, has_attachments=True)
        chat.last_updated = self._store.now()
        return f"chat {chat.id} gone on with by an agent: {len(ANSWERS)}"

    def _reset_visitor(self) -> str:
        """A visitor begins anew: all of the session is out of the history, and stays in the table."""
        chat = self._one(self._store.embed_chats)
        if chat is None:
            return "nothing"
        for other in self._store.chats_of(chat.embed_id):
            if other.session_id == chat.session_id:
                other.include = False
        return f"session {chat.session_id} reset"

    def _add_thread(self) -> str:
        workspace = self._one(self._store.workspaces)
        return f"thread {self._maker.add_thread(workspace.id).slug} added" if workspace else "nothing"

    def _delete_thread(self) -> str:
        thread = self._one(self._store.threads)
        if thread is None or len(self._store.threads) <= LEAST:
            return "nothing"
        self._store.delete_thread(thread.id)
        return f"thread {thread.slug} deleted"

    def _add_embed(self) -> str:
        return f"embed {self._maker.add_embed().id} added" if self._store.workspaces else "nothing"

    def _delete_embed(self) -> str:
        if len(self._store.embeds) <= LEAST:
            return "nothing"
        embed = self._one(self._store.embeds)
        self._store.delete_embed(embed.id)
        return f"embed {embed.id} deleted"

    def _add_workspace(self) -> str:
        return f"workspace {self._maker.add_workspace().id} added"

    def _delete_workspace(self) -> str:
        workspace = self._one(self._store.workspaces)
        has_embeds = workspace and any(each.workspace_id == workspace.id for each in self._store.embeds.values())
        if has_embeds or len(self._store.workspaces) <= LEAST:
            return "nothing"
        self._store.delete_workspace(workspace.id)
        return f"workspace {workspace.id} deleted"
