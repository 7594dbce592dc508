"""
One request to the Jira site, as its routes see it: who calls, what they may see, and their parameters, checked.

Bad integers are RFC 7807 answers, bodies that cannot be read are not: so it was measured on live sites.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import tzinfo
from typing import Any

import attrs
import orjson

from syncer.sandbox.jira.errors import JiraError, not_found, payload_error
from syncer.sandbox.jira.issue import IssueRender, Selection
from syncer.sandbox.jira.model import Issue, Token
from syncer.sandbox.jira.records import JiraRecords
from syncer.sandbox.jira.render import Render
from syncer.sandbox.messages import Request, Response, json_response

_WHOLE = re.compile(r"-?[0-9]{1,19}")


@attrs.frozen(kw_only=True)
class Call:
    """A request with its caller. `caller` None: anonymous, who sees nothing."""

    records: JiraRecords
    request: Request
    render: Render
    zone: tzinfo
    language: str
    caller: Token | None
    viewed_ms: Callable[[], int | None]

    def issue(self, ref: str) -> Issue:
        """Return an issue by id, key or old key; one that the caller may not see is not there."""
        try:
            issue = self.records.issue(ref)
        except KeyError as error:
            raise not_found() from error
        if self.caller is None or not self.records.is_readable(issue):
            raise not_found()
        return issue

    def issues(self, refs: Collection[str]) -> tuple[list[Issue], list[str]]:
        """Return the issues that *refs* name, each once, by id; and the refs that name none."""
        found: dict[int, Issue] = {}
        missing = []
        for ref in refs:
            try:
                issue = self.issue(ref)
            except JiraError:
                missing.append(ref)
            else:
                found[issue.id] = issue
        return [found[number] for number in sorted(found)], missing

    def issue_render(self, selection: Selection) -> IssueRender:
        """Return what renders issues for this call."""
        return IssueRender(self.render, selection, viewed_ms=self.viewed_ms)

    def integer(self, name: str, default: int) -> int:
        """Return a query parameter that must be a whole number."""
        text = self.request.first(name)
        if text is None or text == "":
            return default
        if not _WHOLE.fullmatch(text):
            raise JiraError(400, f"Failed to convert '{name}' with value: '{text}'", is_problem=True)
        return int(text)

    def texts(self, name: str) -> list[str]:
        """Return a query parameter that is a comma list, or comes several times, or both."""
        parts = [part.strip() for value in self.request.query.get(name, []) for part in value.split(",")]
        return [part for part in parts if part]

    def body(self, known: Collection[str]) -> dict[str, Any]:
        """Return the JSON object that was posted; a key that is not *known* is refused."""
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise JiraError(415, f"Content-Type '{kind}' is not supported", is_problem=True)
        try:
            data = orjson.loads(self.request.body)
        except orjson.JSONDecodeError as error:
            raise payload_error() from error
        if not isinstance(data, dict) or set(data) - set(known):
            raise payload_error()
        return data

    def counted(self, items: Sequence[Any], shown: Callable[[Any], Any], *, default: int, cap: int) -> dict[str, Any]:
        """Return a page by `startAt` and `maxResults`; more than *cap* is silently *cap*."""
        start, size = self.integer("startAt", 0), self.integer("maxResults", default)
        if start < 0 or size < 0:
            raise JiraError(400, "startAt and maxResults must not be negative.")
        size = min(size, cap)
        values = [shown(item) for item in items[start : start + size]]
        return {
            "maxResults": size,
            "startAt": start,
            "total": len(items),
            "isLast": start + size >= len(items),
            "values": values,
        }

    def linked(self, page: dict[str, Any]) -> Response:
        """Return a page with links to itself and to the next one; those go to the sandbox, and can be followed."""
        base = f"{self.request.base_url}{self.request.raw_path}"
        links = {"self": f"{base}?startAt={page['startAt']}&maxResults={page['maxResults']}"}
        if not page["isLast"]:
            following = page["startAt"] + page["maxResults"]
            links["nextPage"] = f"{base}?startAt={following}&maxResults={page['maxResults']}"
        return json_response(links | page)


def is_id(text: str) -> bool:
    """Tell whether *text* is an id: ASCII digits."""
    return text.isascii() and text.isdigit()


def text_list(data: dict[str, Any], name: str, *, most: int | None = None) -> list[str]:
    """Return an array of texts (or numbers) from a body, empty where it is absent or null."""
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise payload_error()
    if any(isinstance(part, bool) or not isinstance(part, (str, int)) for part in value):
        raise payload_error()
    if most is not None and len(value) > most:
        raise JiraError(400, f"{name} may hold at most {most}.")
    return [str(part) for part in value]


def whole(data: dict[str, Any], name: str, default: int) -> int:
    """Return a whole number from a body; null counts as 0."""
    value = data.get(name, default)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise payload_error()
    return value
