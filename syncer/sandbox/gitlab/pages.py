"""
Parameters and pages of GitLab's REST API: what is ignored, what is refused, offset pages, keyset pages, Link headers.

Not here: the routes (`gitlab.rest`), GraphQL's cursors (`gitlab.graphql`).

Source: GitLab REST API docs, "Pagination"; lib/gitlab/pagination and lib/api/helpers/pagination_strategies.rb for what
the docs leave out (a keyset Link on every page that is not empty, 405 for what keyset cannot do).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import attrs

from syncer.sandbox.messages import Request, Response, json_response

T = TypeVar("T")
DEFAULT_PER_PAGE = 20
MAX_PER_PAGE = 100
MAX_COUNTED = 10_000  # above it a list has no totals
OFFSET_LIMIT = 50_000
_TRUE = frozenset({"true", "1", "t", "yes", "y", "on"})
_FALSE = frozenset({"false", "0", "f", "no", "n", "off"})


class ApiError(Exception):
    """A request that ends with an error; `response` is what it gets."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status}")
        self.response = response


def refused(status: int, *, message: str | None = None, error: str | None = None) -> ApiError:
    """Return the error {"message": …} or {"error": …}."""
    return ApiError(json_response({"message": message} if error is None else {"error": error}, status=status))


def read_time(text: str) -> datetime:
    """
    Read a time: without a zone it is UTC, and a date is its midnight.

    An unescaped "+" has become a space on the way here: what comes behind it is lost, and the time is read as UTC.
    """
    plain = text.strip().partition(" ")[0] if "T" in text else text.strip().replace(" ", "T", 1)
    at = datetime.fromisoformat(plain)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


class Params:
    """The parameters of a request; names that nobody asks for are never looked at, so a misspelt one does nothing."""

    def __init__(self, query: Mapping[str, list[str]]) -> None:
        """Take the decoded query; of a parameter that comes twice the last counts, as in Rack."""
        self._query = query

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a text; an empty one counts as not given."""
        values = self._query.get(name)
        return (values[-1] or default) if values else default

    def texts(self, name: str) -> list[str] | None:
        """Return a list: `name[]=a&name[]=b`, or `name=a,b`."""
        values = self._query.get(f"{name}[]")
        if values is None:
            joined = self.text(name)
            values = joined.split(",") if joined else None
        return values

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """Return one of *choices*, else 400."""
        value = self.text(name, default) or default
        if value not in choices:
            raise refused(400, error=f"{name} does not have a valid value")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean, None where it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if value.lower() not in _TRUE | _FALSE:
            raise refused(400, error=f"{name} is invalid")
        return value.lower() in _TRUE

    def number(self, name: str) -> int | None:
        """Return a whole number, None where it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d+", value):
            raise refused(400, error=f"{name} is invalid")
        return int(value)

    def numbers(self, name: str) -> list[int] | None:
        """Return a list of whole numbers."""
        values = self.texts(name)
        if values is None:
            return None
        if not all(value.isdigit() for value in values):
            raise refused(400, error=f"{name} is invalid")
        return [int(value) for value in values]

    def time(self, name: str) -> datetime | None:
        """Return a time in UTC, None where it is not given."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return read_time(value)
        except ValueError:
            raise refused(400, error=f"{name} is invalid") from None

    def day(self, name: str) -> date | None:
        """Return a date, None where it is not given."""
        at = self.time(name)
        return at.date() if at else None

    def page(self) -> tuple[int, int]:
        """Return page number and rows a page: 20 by default, never more than 100 whatever was asked."""
        page = self.number("page")
        per_page = self.number("per_page")
        for name, value in (("page", page), ("per_page", per_page)):
            if value is not None and value < 1:
                raise refused(400, error=f"{name} does not have a valid value")
        return page or 1, min(per_page or DEFAULT_PER_PAGE, MAX_PER_PAGE)

    @property
    def is_keyset(self) -> bool:
        """Whether keyset pagination was asked for."""
        return self.text("pagination") == "keyset"

    def frozen(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return everything but what picks the page, as a key for a cache."""
        skipped = {"page", "per_page"}
        return tuple((name, tuple(values)) for name, values in sorted(self._query.items()) if name not in skipped)


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """The rows of one page, and the headers that go with them."""

    rows: Sequence[T]
    headers: Mapping[str, str] = attrs.field(factory=dict)


def link(request: Request, **changes: Any) -> str:
    """Return the request's own URL with some parameters changed, sorted as Rails sorts them."""
    query = {name: list(values) for name, values in request.query.items()}
    query |= {name: [str(value)] for name, value in changes.items()}
    pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name in sorted(query) for value in query[name]]
    return f"{request.base_url}{request.raw_path}?{'&'.join(pairs)}"


def offset_page(rows: Sequence[T], request: Request, params: Params, *, has_totals: bool = True) -> Page[T]:
    """
    Return one page of all *rows*.

    Over 10,000 rows the totals and rel="last" vanish. A list that never has totals (commits) does not know that it has
    ended: its last page, if full, says that another one follows, and that one is empty.
    """
    page, per_page = params.page()
    start = (page - 1) * per_page
    taken = rows[start : start + per_page]
    is_counted = has_totals and len(rows) <= MAX_COUNTED
    has_next = start + per_page < len(rows) if has_totals else len(taken) == per_page
    last = max(1, -(-len(rows) // per_page))
    headers = {
        "X-Page": str(page),
        "X-Per-Page": str(per_page),
        "X-Next-Page": str(page + 1) if has_next else "",
        "X-Prev-Page": str(page - 1) if page > 1 else "",
    }
    if is_counted:
        headers |= {"X-Total": str(len(rows)), "X-Total-Pages": str(last)}
    links = [("prev", page - 1)] * (page > 1) + [("next", page + 1)] * has_next + [("first", 1)]
    links += [("last", last)] * is_counted
    headers["Link"] = ", ".join(
        f'<{link(request, page=number, per_page=per_page)}>; rel="{name}"' for name, number in links
    )
    return Page(rows=taken, headers=headers)


def keyset_headers(request: Request, per_page: int, **position: Any) -> dict[str, str]:
    """Return the only header that a keyset page has: where the next one is."""
    return {"Link": f'<{link(request, per_page=per_page, **position)}>; rel="next"'}


def check_offset(params: Params, kind: str, *, limit: int = OFFSET_LIMIT) -> None:
    """Refuse an offset page that ends behind *limit*: lists that have keyset pages do."""
    page, per_page = params.page()
    if page * per_page > limit:
        raise refused(
            405,
            error=f"Offset pagination has a maximum allowed offset of {limit} for requests that return objects of "
            f"type {kind}. Remaining records can be retrieved using keyset pagination.",
        )


def no_keyset() -> ApiError:
    """Return the error of a keyset request that the list cannot serve."""
    return refused(405, error="Keyset pagination is not yet available for this type of request")
