"""
What a site of the sandbox sees and says: Request, Response, RESET, and the Protocols that a site fulfils.

Not here: sockets and HTTP syntax (`server`), faults (`faults`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import attrs
import orjson


@attrs.frozen(kw_only=True)
class Request:
    """One request, with the API's prefix already taken off its path."""

    method: str
    path: str  # decoded, below the API's prefix: "/rest/api/3/myself"
    raw_path: str  # the same as it was sent: "%2F" is still there
    query: Mapping[str, list[str]] = attrs.field(factory=dict)  # decoded; every value of a name, blank ones too
    headers: Mapping[str, str] = attrs.field(factory=dict)  # names in lower case
    body: bytes = b""
    base_url: str = ""  # "http://127.0.0.1:8700/gitlab"
    raw_query: str = ""  # as it was sent, without the "?"
    late_s: float = 0.0  # a fault wants it done so much later; a site that cannot does it at once

    @property
    def target(self) -> str:
        """What a fault's pattern is matched with: "GET /rest/api/3/search/jql?jql=..."."""
        return f"{self.method} {self.sent}"

    @property
    def sent(self) -> str:
        """Path and query as they were sent, below the prefix."""
        return f"{self.raw_path}?{self.raw_query}" if self.raw_query else self.raw_path

    def first(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a query parameter, or *default* where it is not there."""
        values = self.query.get(name)
        return values[0] if values else default


@attrs.frozen(kw_only=True)
class Response:
    """One answer. The server adds Date (of the sandbox's clock), Content-Length and Connection."""

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""


RESET = Response(status=0)  # in place of an answer the server resets the connection


class Site(Protocol):
    """One API. The server calls `answer` for one request at a time: a site needs no locks of its own."""

    name: str  # also its prefix: http://127.0.0.1:PORT/<name>

    def answer(self, request: Request) -> Response:
        """Answer *request*."""
        ...


@runtime_checkable
class Editable(Protocol):
    """What a site has besides, so that tests and `/_sandbox` can change its records and ask for the truth."""

    def edit(self, count: int, seed: int) -> list[str]:
        """Make *count* random realistic edits; return a short description of each."""
        ...

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """Return every record of *stream* that the token may see now, by key, in the API's own shape."""
        ...


def json_bytes(data: Any) -> bytes:
    """
    Write *data* as JSON.

    A text with a lone surrogate, or an integer of more than 64 bits, is what orjson refuses; the standard library
    writes it (the surrogate as its escape), which is also how the real APIs come to send it.
    """
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        return json.dumps(data, separators=(",", ":")).encode("ascii")


def json_response(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return *data* as an application/json answer; *headers* are added, and win."""
    all_headers = {"Content-Type": "application/json;charset=UTF-8", **(headers or {})}
    return Response(status=status, headers=all_headers, body=json_bytes(data))
