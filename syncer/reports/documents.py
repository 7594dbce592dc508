"""
JSON for programs: one document on stdout, written as it goes, so that a program that reads along sees each run as it
ends.

ASCII only (`\\u00e9` for é): it stays valid JSON whatever encoding a console, a pipe or PowerShell takes it for.
Not here: text for people (`terminal.py`).
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import attrs

from syncer.clock import iso

if TYPE_CHECKING:
    from syncer.journal import Pulled

RUN_NAMES = (
    "run", "mapping", "environment", "mode", "status", "read", "inserted", "updated", "unchanged", "gone", "rejected",
    "requests", "mark", "keys", "braked", "notes",
)  # fmt: skip


def as_json(value: Any) -> str:
    """Write *value* as JSON on one line; times as ISO 8601 in UTC."""
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return iso(value)
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=False)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def run(pulled: Pulled) -> dict[str, Any]:
    """Return the entry of one pull: the fixed names, what came since, and `error` where it failed."""
    entry = {name: getattr(pulled, name) for name in RUN_NAMES}
    return {**entry, "error": pulled.error} if pulled.error else entry


def error(type_name: str, message: str, hint: str = "") -> dict[str, str]:
    """Return the entry of an error."""
    return {"type": type_name, "message": message, "hint": hint}


class Document:
    """
    One JSON object on a stream. `put` writes a whole value, `add` one more item of a list, which stays open until
    something else comes.

    Nothing is written before the first of these; `close` writes what is left (`{}` where nothing came).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._keys: set[str] = set()
        self._list = ""  # the list that is open
        self._is_closed = False

    @property
    def is_begun(self) -> bool:
        """Tell whether something was written."""
        return bool(self._keys)

    @property
    def is_closed(self) -> bool:
        """Tell whether it is whole; nothing can be added any more."""
        return self._is_closed

    def put(self, key: str, value: Any) -> None:
        """Write one key with its value."""
        self._key(key)
        self._write(as_json(value))

    def open_list(self, key: str) -> None:
        """Begin a list, so that it is there even when nothing is added."""
        if self._list != key:
            self._key(key)
            self._list = key
            self._write("[")
            self._is_first = True

    def add(self, key: str, item: Any) -> None:
        """Add *item* to the list *key*."""
        self.open_list(key)
        # The line's end comes at once: who reads by lines has the item then, and not when the next one is written.
        self._write(("\n" if self._is_first else ",") + as_json(item) + "\n")
        self._is_first = False

    def add_parts(self, key: str, parts: Iterable[str]) -> None:
        """Add one more item to the list *key*: one value, that is written part by part."""
        self.open_list(key)
        self._write("\n" if self._is_first else ",")
        self._is_first = False
        for part in parts:
            self._write(part)
        self._write("\n")

    def close(self) -> None:
        """End the document; what is closed stays closed."""
        if self._is_closed:
            return
        self._is_closed = True
        self._end_list()
        self._write("}\n" if self._keys else "{}\n")

    def _key(self, key: str) -> None:
        if key in self._keys:
            raise ValueError(f"the document has {key} already")
        self._end_list()
        self._write(f"{', ' if self._keys else '{'}{as_json(key)}: ")
        self._keys.add(key)

    def _end_list(self) -> None:
        if self._list:
            self._write("]")
            self._list = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
