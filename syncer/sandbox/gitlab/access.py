"""
Who asks, and how often: tokens, scopes, rate limits.

Rate limits count in real time, as a client really waits. Not here: which projects a user sees (`gitlab.store`).

Source: GitLab REST API docs ("Authentication", "Personal access tokens"); GitLab docs, "Rate limits", "User and IP
rate limits"; for answers without the headers: gitlab-org/gitlab issues 365728, 199738, 352409.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from datetime import date
from typing import Literal, get_args

import attrs

from syncer.sandbox.gitlab.rows import User
from syncer.sandbox.gitlab.store import Store
from syncer.sandbox.messages import Request, Response, json_response

READ_SCOPES = frozenset({"api", "read_api"})
HeaderHabit = Literal["all", "some", "none"]


@attrs.frozen(kw_only=True)
class Token:
    """A personal access token."""

    value: str = attrs.field(repr=False)
    user_id: int
    id: int = 1
    name: str = "sandbox"
    scopes: tuple[str, ...] = ("read_api",)
    expires_at: date | None = None  # None: never
    is_revoked: bool = False


@attrs.frozen(kw_only=True)
class Caller:
    """Who a request came from; without a token it is nobody, who sees what is public."""

    token: Token | None = None
    user: User | None = None

    @property
    def key(self) -> str:
        """What requests are counted by."""
        return f"user {self.user.id}" if self.user else "nobody"

    @property
    def can_read_api(self) -> bool:
        """Whether the token's scopes allow to read (nobody has no scopes, and may try)."""
        return self.token is None or not READ_SCOPES.isdisjoint(self.token.scopes)


def sent_token(headers: Mapping[str, str]) -> str | None:
    """Return the token that a request brought, if any."""
    if "private-token" in headers:
        return headers["private-token"].strip()
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def identify(value: str | None, *, tokens: Mapping[str, Token], store: Store, today: date) -> Caller | Response:
    """Return who *value* belongs to, or the 401 that a bad one gets. An empty token is none: 200, and public data."""
    if not value:
        return Caller()
    token = tokens.get(value)
    if token is None:
        return json_response({"message": "401 Unauthorized"}, status=401)
    if token.is_revoked:
        return _invalid_token("Token was revoked. You have to re-authorize from the user.")
    if token.expires_at is not None and token.expires_at <= today:
        return _invalid_token("Token is expired. You can either do re-authorization or token refresh.")
    return Caller(token=token, user=store.users[token.user_id])


def _invalid_token(description: str) -> Response:
    return json_response({"error": "invalid_token", "error_description": description}, status=401)


def insufficient_scope() -> Response:
    """Return the 403 of a token whose scopes do not allow what it asked."""
    description = "The request requires higher privileges than provided by the access token."
    return json_response(
        {"error": "insufficient_scope", "error_description": description, "scope": "api read_api"}, status=403
    )


def _is_habit(limits: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value not in get_args(HeaderHabit):
        raise ValueError(f"Limits.headers is one of {', '.join(get_args(HeaderHabit))}, not {value!r}")


@attrs.frozen(kw_only=True)
class RouteLimit:
    """A limit of its own for some paths, beside the one for all."""

    match: str  # a regular expression, searched in the path below /api
    requests: int
    window_s: float
    name: str


@attrs.frozen(kw_only=True)
class Limits:
    """
    How many requests a user has in any window of `window_s` (any: not only one that begins on the minute).

    headers: which of `RateLimit-*` and `Retry-After` a 429 has. "some": the first all, the second all but Retry-After,
    the third none, and so on.
    """

    requests: int = 2000
    window_s: float = 60.0
    headers: HeaderHabit = attrs.field(default="some", validator=_is_habit)
    routes: tuple[RouteLimit, ...] = ()

    @classmethod
    def gitlab_com(cls) -> Limits:
        """Return the limits of GitLab.com. Source: GitLab docs, "GitLab.com settings"."""
        return cls(
            routes=(
                RouteLimit(match=r"^/v4/projects$", requests=2000, window_s=600, name="projects_api"),
                RouteLimit(match=r"^/v4/projects/[^/]+$", requests=400, window_s=60, name="project_api"),
                RouteLimit(match=r"^/v4/groups$", requests=200, window_s=60, name="groups_api"),
                RouteLimit(match=r"^/v4/groups/[^/]+$", requests=400, window_s=60, name="group_api"),
                RouteLimit(match=r"^/v4/groups/[^/]+/projects$", requests=600, window_s=60, name="group_projects_api"),
            )
        )


class RateLimiter:
    """Counts requests, and refuses those above the limits. A refused request does not count against them."""

    def __init__(self, limits: Limits | None) -> None:
        """None: nothing is refused; requests are counted all the same."""
        self.limits = limits
        self.refused = 0
        self._arrived: dict[str, list[float]] = {}
        self._passed: dict[tuple[str, str], deque[float]] = {}

    def refuse(self, request: Request, key: str) -> Response | None:
        """Count a request of *key*; return the 429 that it gets, or None."""
        now = time.monotonic()
        self._arrived.setdefault(key, []).append(now)
        if self.limits is None:
            return None
        path = request.raw_path.removeprefix("/api")
        everything = RouteLimit(
            match="", requests=self.limits.requests, window_s=self.limits.window_s, name="throttle_authenticated_api"
        )
        holding = [limit for limit in (everything, *self.limits.routes) if re.search(limit.match, path)]
        windows = [self._window(key, limit, now) for limit in holding]
        for limit, window in zip(holding, windows, strict=True):
            if len(window) >= limit.requests:
                return self._too_many(limit, wait_s=window[0] + limit.window_s - now, is_graphql="graphql" in path)
        for window in windows:
            window.append(now)
        return None

    def peak(self, window_s: float) -> int:
        """Return the most requests that arrived from one user (or from nobody) within any *window_s* seconds."""
        most = 0
        for arrived in self._arrived.values():
            for index, at in enumerate(arrived):
                most = max(most, index + 1 - bisect_left(arrived, at - window_s, hi=index))
        return most

    def _window(self, key: str, limit: RouteLimit, now: float) -> deque[float]:
        window = self._passed.setdefault((key, limit.name), deque())
        while window and window[0] <= now - limit.window_s:
            window.popleft()
        return window

    def _too_many(self, limit: RouteLimit, *, wait_s: float, is_graphql: bool) -> Response:
        """Return a 429; GraphQL's is text/html without headers unless all are wanted."""
        self.refused += 1
        habit = self.limits.headers if self.limits else "none"
        if habit == "some":
            habit = "none" if is_graphql or self.refused % 3 == 0 else "all"
        headers = {"Content-Type": "text/html" if is_graphql else "text/plain"}
        if habit == "all":
            reset = time.time() + wait_s
            headers |= {
                "RateLimit-Limit": str(limit.requests),
                "RateLimit-Name": limit.name,
                "RateLimit-Observed": str(limit.requests + 1),
                "RateLimit-Remaining": "0",
                "RateLimit-Reset": str(int(reset) + 1),
                "RateLimit-ResetTime": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(int(reset) + 1)),
            }
            if not (self.limits and self.limits.headers == "some" and self.refused % 3 == 2):
                headers["Retry-After"] = str(max(1, int(wait_s) + 1))
        return Response(status=429, headers=headers, body=b"Retry later\n")
