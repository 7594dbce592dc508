"""
AnythingLLM, read: embeds and their chats, workspaces, threads and workspace chats.

    calls.py            requests, who we are, lists that lie
    lists.py            embeds, workspaces, threads
    embed_chats.py      the chats of each embed, with their witness
    workspace_chats.py  the chats of all workspaces; descent.py: how a moving list is read down
    chat_records.py     the JSON inside a chat's JSON

Source: AnythingLLM's developer API, 1.16 (`/api/docs` of an instance, and the server's code where that is silent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from syncer.errors import UnknownName
from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Source
from syncer.sources.anythingllm.calls import WORKSPACES, Calls
from syncer.sources.anythingllm.embed_chats import EMBEDS, EmbedChats
from syncer.sources.anythingllm.lists import Listed, embeds_in, threads_in, workspaces_in
from syncer.sources.anythingllm.workspace_chats import WorkspaceChats
from syncer.transport import Doors

__all__ = ["NEEDS", "AnythingLLM", "connect"]

NEEDS = Needs(
    title="AnythingLLM",
    url="https://anythingllm.example.com (with or without /api)",
    token="an API key: Settings, Tools, Developer API; it opens everything",
    options={
        "embed": "the uuid of an embed: only its chats are read (without it, those of all)",
        "full_every": "hours between two full comparisons of chats, which find edits and deletions (24); 0: each pull",
        "empty_lists": '"believe": a list that is empty where it had rows is no error, for once (default "refuse")',
    },
    variables=("embed",),
)


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    """Make the source. Raises UsageError: an option is wrong."""
    return AnythingLLM(account, doors=doors)


class AnythingLLM:
    """One instance, read."""

    name = "anythingllm"

    def __init__(self, account: Account, *, doors: Doors) -> None:
        calls = self._calls = Calls(account, doors=doors)
        self._streams: dict[str, Listed | EmbedChats | WorkspaceChats] = {
            "embeds": Listed(calls=calls, path=EMBEDS, key="id", rows_in=embeds_in, witness_in=embeds_in),
            "embed_chats": EmbedChats(calls=calls),
            "workspaces": Listed(
                calls=calls, path=WORKSPACES, key="id", rows_in=workspaces_in, witness_in=workspaces_in
            ),
            "threads": Listed(calls=calls, path=WORKSPACES, key="slug", rows_in=threads_in, witness_in=workspaces_in),
            "workspace_chats": WorkspaceChats(calls=calls),
        }

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones too."""
        return self._calls.transport.requests

    def check(self) -> Identity:
        """Ask whether the key is good."""
        return self._calls.check()

    def describe(self, stream: str) -> Sequence[Field]:
        """Return nothing: an instance has no fields of its own."""
        self._stream(stream)
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield pages of *stream* from its places on."""
        return self._stream(stream).read(places)

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every key of *stream* for a census."""
        return self._stream(stream).keys(places)

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield what there is for *keys*."""
        return self._stream(stream).fetch(keys)

    def people(self) -> list[str]:
        """Return the names of the instance's users, for masking; none in single-user mode, where there are none."""
        return self._calls.user_names()

    def close(self) -> None:
        """Let go of connections and temporary files."""
        self._calls.close()

    def _stream(self, name: str) -> Listed | EmbedChats | WorkspaceChats:
        if name not in self._streams:
            raise UnknownName("stream of AnythingLLM", name, known=self._streams)
        return self._streams[name]
