"""
Rows that a real instance has, made from a seed: what people say, in several scripts, and what breaks parsers.

Among them on purpose: two embeds of one workspace, one that is switched off, one without chats; answers whose JSON is
broken, `{}`, `null` or no object; metrics of several versions; visitors without an origin; refusals and resets.
"""

from __future__ import annotations

import json
import random
import uuid
from datetime import timedelta
from typing import Any

import attrs

from syncer.sandbox.anythingllm.model import Embed, EmbedChat, Store, Thread, User, Workspace, WorkspaceChat, iso
from syncer.sandbox.clock import Clock

NAMES = ("Support", "Kennisbank", "営業", "Onboarding & HR", "Отдел кадров", "Prijzen {2026}", "Wiki", "دعم")
PEOPLE = ("sam", "zoë", "o'neill", "陈小明", "Łukasz", "admin")
QUESTIONS = (
    "How do I reset my voicemail?",
    "Wat kost een extra toestel?",
    "电话无法接通怎么办?",
    "Как перенести номер?",
    "Why does {customer} see error 100%?",
    "My number is 010-1234567, call me 😀",
    'He said "no"\nand then\tnothing.',
    "كيف أغير كلمة المرور؟",
    "SELECT 'x' -- what does this do?",
)
ANSWERS = (
    "Open the settings and choose *Voicemail*.",
    "Dat staat in de prijslijst: {price}.",
    "请重启设备。",
    "There is no relevant information in this workspace to answer your query.",
    "Сначала проверьте договор.",
    '```json\n{"a": [1, 2]}\n```',
    "Gezin: 👩‍👩‍👧 — gelukt!",
)
MODELS = (("gpt-4o", "openai"), ("llama3.1:8b", "ollama"), ("claude-3-5-sonnet", "anthropic"))
BROKEN = ('{"text":"cut in the mid', "", "not JSON", "[1,2]", "null", '"a text"', "{}")


@attrs.frozen(kw_only=True)
class Amounts:
    """How many rows of each kind."""

    embeds: int = 4
    embed_chats: int = 120
    workspaces: int = 5
    chats: int = 200


def generate(seed: int, amounts: Amounts, clock: Clock) -> Store:
    """Make a store: the same for the same arguments and time of the clock."""
    store = Store(clock=clock)
    maker = Maker(store, random.Random(f"anythingllm {seed}"))
    for name in PEOPLE:
        number = store.new_id("users")
        store.users[number] = User(id=number, username=name, role="admin" if name == "admin" else "default")
    for _ in range(amounts.workspaces):
        maker.add_workspace()
    for _ in range(amounts.embeds if amounts.workspaces else 0):
        maker.add_embed()
    embeds = list(store.embeds.values())
    talked = embeds[:-1] if len(embeds) > 2 else embeds  # one that nobody ever used
    for _ in range(amounts.embed_chats if talked else 0):
        maker.add_embed_chat(maker.rng.choice(talked).id)
    for _ in range(amounts.chats):
        maker.add_chat()
    return store


class Maker:
    """Makes rows, old ones first; once `is_old` is off they are made now."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self.store = store
        self.rng = rng
        self._start = store.clock.now() - timedelta(days=90)
        self._steps = 0
        self.is_old = True

    def time(self) -> str:
        """Return the time of the next row."""
        if not self.is_old:
            return self.store.now()
        self._steps += 1
        return iso(self._start + timedelta(minutes=7 * self._steps, milliseconds=self.rng.randrange(1000)))

    def add_workspace(self) -> Workspace:
        """Add a workspace, with up to three threads. Two may have one name; a slug is unique."""
        number = self.store.new_id("workspaces")
        created = self.time()
        name = NAMES[(number - 1) % len(NAMES)]
        workspace = Workspace(
            id=number,
            name=name,
            slug=f"{''.join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())}-{number}",
            created=created,
            last_updated=created,
            settings=self._settings(),
        )
        self.store.workspaces[number] = workspace
        for _ in range(self.rng.randrange(4)):
            self.add_thread(number)
        return workspace

    def add_thread(self, workspace_id: int) -> Thread:
        """Add a thread; its name is the beginning of what was asked first."""
        number = self.store.new_id("threads")
        user = self.rng.choice([None, *self.store.users])
        name = self.rng.choice(("Thread", self.rng.choice(QUESTIONS)[:22] + "..."))
        thread = Thread(id=number, slug=self.uuid(), name=name, workspace_id=workspace_id, user_id=user)
        self.store.threads[number] = thread
        return thread

    def add_embed(self) -> Embed:
        """Add an embed; the first two are of one workspace, so that they look the same but for the id."""
        number = self.store.new_id("embeds")
        workspaces = list(self.store.workspaces)
        workspace = workspaces[0] if number <= 2 else self.rng.choice(workspaces)
        embed = Embed(
            id=number,
            uuid=self.uuid(),
            workspace_id=workspace,
            created=self.time(),
            enabled=number != 3,
            chat_mode=("query", "chat")[number % 2],
        )
        self.store.embeds[number] = embed
        return embed

    def add_embed_chat(self, embed_id: int) -> EmbedChat:
        """Add what a visitor asked, with its answer."""
        number = self.store.new_id("embed_chats")
        kind = self.store.embeds[embed_id].chat_mode
        chat = EmbedChat(
            id=number,
            embed_id=embed_id,
            prompt=self.rng.choice(QUESTIONS),
            response=self.response(kind, number, has_attachments=False),
            session_id=f"session-{embed_id}-{self.rng.randrange(12)}",
            created=self.time(),
            connection=self._connection(),
            include=self.rng.random() > 0.1,
        )
        self.store.embed_chats[number] = chat
        return chat

    def add_chat(self) -> WorkspaceChat:
        """Add a chat of a workspace: in its default conversation, in a thread, or of an API's session."""
        rng = self.rng
        number = self.store.new_id("chats")
        workspaces = list(self.store.workspaces) or [1]
        workspace = rng.choice(workspaces)
        threads = [each.id for each in self.store.threads.values() if each.workspace_id == workspace]
        dice = rng.random()
        created = self.time()
        chat = WorkspaceChat(
            id=number,
            workspace_id=10_000 if number % 41 == 0 else workspace,  # of one that was deleted long ago
            prompt=rng.choice(QUESTIONS),
            response=self.response(rng.choice(("chat", "query", "agent")), number, has_attachments=True),
            created=created,
            last_updated=created,
            include=rng.random() > 0.08,
            user_id=rng.choice([None, *self.store.users]) if dice < 0.8 else None,
            thread_id=rng.choice(threads) if threads and dice < 0.4 else None,
            api_session_id=f"api-{rng.randrange(5)}" if dice >= 0.8 else None,
            feedback=rng.choice((None, None, True, False)),
        )
        self.store.chats[number] = chat
        return chat

    def response(self, kind: str, number: int, *, has_attachments: bool) -> str:
        """Return an answer as the table has it: a text that holds JSON, now and then a broken one."""
        if number % 29 == 0:
            return BROKEN[number // 29 % len(BROKEN)]
        rng = self.rng
        data: dict[str, Any] = {"text": rng.choice(ANSWERS), "sources": self._sources(), "type": kind}
        if has_attachments:
            picture = {"name": "a.png", "mime": "image/png", "contentString": "data:image/png;base64,iVBORw0KGgo="}
            data["attachments"] = [picture] if rng.random() < 0.1 else []
        if number % 11:  # before 1.4 there were none
            data["metrics"] = self._metrics(number)
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

    def uuid(self) -> str:
        """Return a uuid of our own randomness."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def _sources(self) -> list[dict[str, Any]]:
        return [
            {
                "id": self.uuid(),
                "title": f"manual {number}.pdf",
                "text": "…" * 20,
                "score": round(self.rng.random(), 4),
            }
            for number in range(self.rng.randrange(3))
        ]

    def _metrics(self, number: int) -> dict[str, Any]:
        if number % 13 == 0:
            return {}
        prompt, completion = self.rng.randrange(50, 2000), self.rng.randrange(1, 400)
        duration = round(self.rng.uniform(0.2, 12), 3)
        metrics: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "outputTps": None if number % 17 == 0 else round(completion / duration, 4),
            "duration": duration,
        }
        if number % 3:
            model, provider = self.rng.choice(MODELS)
            metrics |= {"model": model, "provider": provider, "timestamp": self.store.now()}
        if number % 5 == 0:
            costs = {"inputCost": prompt * 2.5e-6, "outputCost": completion * 1e-5}
            metrics |= {**costs, "totalCost": sum(costs.values())}
        if number % 7 == 0:
            metrics["reasoning_tokens"] = self.rng.randrange(100)
        return metrics

    def _connection(self) -> str | None:
        dice = self.rng.random()
        if dice < 0.1:
            return None
        if dice < 0.14:
            return "{broken"
        told: dict[str, Any] = {"ip": f"10.0.0.{self.rng.randrange(1, 255)}"}
        if dice < 0.9:
            told["host"] = "https://site.example"
        told["username"] = self.rng.choice((None, None, *PEOPLE))
        return json.dumps(told, ensure_ascii=False)

    def _settings(self) -> dict[str, Any]:
        rng = self.rng
        return {
            "vectorTag": None,
            "openAiTemp": rng.choice((None, 0.7, 0.25)),
            "openAiHistory": 20,
            "openAiPrompt": rng.choice((None, "Answer in Dutch. The key is {secret}.")),
            "similarityThreshold": rng.choice((0.25, 0.5)),
            "chatProvider": rng.choice((None, "openai")),
            "chatModel": None,
            "topN": 4,
            "chatMode": rng.choice(("chat", "query", "automatic")),
            "pfpFilename": None,
            "agentProvider": None,
            "agentModel": None,
            "queryRefusalResponse": rng.choice((None, "Ask a colleague.")),
            "vectorSearchMode": "default",
            "router_id": None,
        }
