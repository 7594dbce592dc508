"""
Plain text of an ADF document: Jira's rich text, a tree of nodes, as version 3 of the API has it.

The JSON is kept beside the text; nothing here can fail on a document that is not as it should be.
Source: Atlassian Document Format, "Structure", and its lists of inline and block nodes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

# Nodes within a line; every other one, unknown ones too, stands on lines of its own.
INLINE = frozenset({
    "text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status", "mediaInline", "inlineExtension",
    "placeholder",
})  # fmt: skip
_BLOCK_END = object()


def plain_text(document: object) -> str | None:
    """
    Return the text of *document*, one line a block; None where there is none.

    Mentions, emoji, cards, dates and statuses are told by their attributes. A document that is plain text already is
    returned as it is. Walks without recursion: a document may nest deeper than Python's stack.
    """
    if isinstance(document, str):
        return document
    if not isinstance(document, dict):
        return None
    parts: list[str] = []
    waiting: list[object] = [document]
    while waiting:
        node = waiting.pop()
        if node is _BLOCK_END:
            _end_line(parts)
        elif isinstance(node, dict):
            kind = node.get("type")
            if kind in INLINE:
                parts += filter(None, [_inline(kind, node)])
                continue
            _end_line(parts)
            parts += filter(None, [_card(node)])
            waiting.append(_BLOCK_END)
            children = node.get("content")
            if isinstance(children, list):
                waiting.extend(reversed(children))
    return "".join(parts).strip("\n")


def _end_line(parts: list[str]) -> None:
    if parts and not parts[-1].endswith("\n"):
        parts.append("\n")


def _inline(kind: str, node: Mapping[str, Any]) -> str:
    if kind == "text":
        return _told(node.get("text"))
    if kind == "hardBreak":
        return "\n"
    attributes = node.get("attrs")
    if not isinstance(attributes, dict):
        return ""
    if kind == "date":
        return _date(attributes.get("timestamp"))
    names = {"emoji": ("shortName", "text"), "inlineCard": ("url",), "mediaInline": ("alt",)}.get(kind, ("text",))
    return next((found for name in names if (found := _told(attributes.get(name)))), "")


def _card(node: Mapping[str, Any]) -> str:
    """Return the address of a card that is a block of its own."""
    attributes = node.get("attrs")
    return _told(attributes.get("url")) if isinstance(attributes, dict) else ""


def _date(timestamp: object) -> str:
    """Return the date of a date node, whose timestamp is a text of milliseconds."""
    text = _told(timestamp) if isinstance(timestamp, str) else str(timestamp)
    try:
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=int(text))).date().isoformat()
    except (ValueError, OverflowError):
        return ""


def _told(value: object) -> str:
    return value if isinstance(value, str) else ""
