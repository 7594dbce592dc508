"""
Paths of both families, and which handler answers which: `/crm/v3/objects/{}`, `/crm/objects/2026-09/{}`.

A route is (method, pattern, handler); a pattern is a full path in which `{}` stands for one segment. A segment that is
written out wins over `{}`. Older date versions, and v1 and v2, are not there. Source: fact sheet, "Version choice".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

import attrs

from syncer.sandbox.messages import Response

if TYPE_CHECKING:
    pass

DATED = "2026-09"
V3 = "v3"  # with the v4 associations
Handler = Callable[..., Response]  # handler(call, *refs): refs are what stood in the place of each {}
Route = tuple[str, str, Handler]


def both(v3: str, dated: str) -> tuple[str, str]:
    """Name one endpoint in both families: its v3 (or v4) path and its dated one."""
    return v3, dated


def route(method: str, patterns: Iterable[str], handler: Handler) -> list[Route]:
    """Return the routes of one handler, one for each pattern: `ROUTES = [*route("GET", both(…), labels_get), …]`."""
    return [(method, pattern, handler) for pattern in patterns]


def objects(tail: str = "") -> tuple[str, str]:
    """Name an endpoint below the objects of a kind: `objects("/batch/read")`."""
    return both(f"/crm/v3/objects/{{}}{tail}", f"/crm/objects/{DATED}/{{}}{tail}")


@attrs.frozen(kw_only=True)
class Found:
    """What a path led to. `bucket` is the limit that it counts under: general, search, associations."""

    handler: Handler
    refs: tuple[str, ...]
    family: str
    bucket: str


@attrs.define
class _Node:
    below: dict[str, _Node] = attrs.field(factory=dict)
    handlers: dict[str, tuple[str, Handler]] = attrs.field(factory=dict)


class Router:
    """A tree of segments. Raises KeyError where nothing is, LookupError with the methods where another method is."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Build the tree."""
        self._root = _Node()
        for method, pattern, handler in routes:
            node = self._root
            for segment in pattern.strip("/").split("/"):
                node = node.below.setdefault(segment, _Node())
            if method in node.handlers:
                raise ValueError(f"two routes for {method} {pattern}")
            node.handlers[method] = (pattern, handler)

    def find(self, method: str, raw_path: str) -> Found:
        """Find the handler of a path as it was sent. A path that is there with other methods: status 405."""
        segments = tuple(unquote(segment) for segment in raw_path.strip("/").split("/"))
        ends = list(_ends(self._root, segments, ()))
        for node, refs in ends:
            if method in node.handlers:
                pattern, handler = node.handlers[method]
                family = DATED if f"/{DATED}" in pattern else V3
                return Found(handler=handler, refs=refs, family=family, bucket=bucket_of(pattern))
        if ends:
            raise NoMethod(sorted({name for node, _ in ends for name in node.handlers}))
        raise KeyError(raw_path)


class NoMethod(LookupError):
    """The path is there, with other methods; its argument is their list."""


def bucket_of(pattern: str) -> str:
    """Name the limit that a pattern counts under: search and the batches of associations have their own."""
    if pattern.endswith("/search"):
        return "search"
    if "/associations/" in pattern and "/batch/" in pattern:
        return "associations"
    return "general"


def _ends(node: _Node, segments: tuple[str, ...], refs: tuple[str, ...]) -> Iterable[tuple[_Node, tuple[str, ...]]]:
    """Yield the nodes that *segments* lead to, the most literal first."""
    if not segments:
        if node.handlers:
            yield node, refs
        return
    if segments[0] != "{}" and segments[0] in node.below:
        yield from _ends(node.below[segments[0]], segments[1:], refs)
    if "{}" in node.below and segments[0]:
        yield from _ends(node.below["{}"], segments[1:], (*refs, segments[0]))
