"""
GitLab on 127.0.0.1: REST v4 below /api/v4 and GraphQL at /api/graphql, over one set of rows that edits change.

    site = GitLabSite.generate(seed=1, clock=clock)
    with Sandbox(sites=[site], clock=clock) as sandbox:
        requests.get(sandbox.url("gitlab") + "/api/v4/projects", headers={"PRIVATE-TOKEN": site.token})
        site.edits.close_issue(22097949)
        site.git.push(278964, "main", count=3)

Here: the site and its settings. The rest stands beside it: rows and git (`gitlab.rows`, `gitlab.git`,
`gitlab.store`), making them (`gitlab.generate`, `gitlab.generate_git`, `gitlab.text`), changing them (`gitlab.edits`,
`gitlab.pushes`, `gitlab.life`, `gitlab.busy`), showing them (`gitlab.shapes`, `gitlab.git_shapes`, `gitlab.truth`),
answering (`gitlab.rest` and its three, `gitlab.graphql`, `gitlab.graphql_schema`, `gitlab.call`, `gitlab.pages`),
tokens and limits (`gitlab.access`).

Source: GitLab's docs and code, as each file names them; what they leave open is answered in the way that hurts a
client most, and docs/sandbox.md says so.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

import attrs

from syncer.sandbox.clock import Clock
from syncer.sandbox.gitlab import graphql, rest
from syncer.sandbox.gitlab.access import Caller, Limits, RateLimiter, Token, identify, sent_token
from syncer.sandbox.gitlab.busy import Happened, Hour, spend_hour
from syncer.sandbox.gitlab.call import Call, Quirks
from syncer.sandbox.gitlab.edits import Edits
from syncer.sandbox.gitlab.generate import generate
from syncer.sandbox.gitlab.generate_git import Sizes
from syncer.sandbox.gitlab.graphql_schema import schema_without
from syncer.sandbox.gitlab.life import RandomEdits
from syncer.sandbox.gitlab.pages import Params
from syncer.sandbox.gitlab.pushes import Pushes
from syncer.sandbox.gitlab.shapes import Shapes
from syncer.sandbox.gitlab.store import Store, TellsTime
from syncer.sandbox.gitlab.truth import Truth
from syncer.sandbox.messages import Request, Response, json_response

__all__ = ["GitLabSite", "Happened", "Hour", "Limits", "Quirks", "Sizes", "Token"]

TOKEN = "glpat-sandbox"
GRAPHQL = "/api/graphql"
SIGN_IN = "/users/sign_in"


class GitLabSite:
    """One GitLab instance."""

    name = "gitlab"

    def __init__(self, store: Store, clock: TellsTime, *, seed: int = 1) -> None:
        """Serve *store*; its first user has the token `glpat-sandbox`."""
        rng = random.Random(f"edits {seed}")
        owner_id = next(iter(store.users))
        self.store = store
        self.clock = clock
        self.quirks = Quirks()
        self.token = TOKEN
        self.tokens: dict[str, Token] = {TOKEN: Token(value=TOKEN, user_id=owner_id)}
        self.url = "http://127.0.0.1/gitlab"  # the base URL that web_url and Link begin with: that of the last request
        self.git = Pushes(store=store, clock=clock, rng=rng)
        self.edits = Edits(store=store, clock=clock, rng=rng, git=self.git, owner_id=owner_id)
        self._limiter = RateLimiter(Limits())
        self._serial = 0

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 1,
        projects: int = 20,
        issues: int = 200,
        merge_requests: int = 100,
        pipelines: int = 300,
        branches: int = 120,
        commits: int = 800,
        tags: int = 40,
        hidden: int = 1,
        strangers: int = 0,
        clock: TellsTime | None = None,
    ) -> GitLabSite:
        """
        Make a site from *seed*, as it stands at the clock's time.

        *hidden*: private projects that the token does not see; *strangers*: public ones that its user is no member of.
        Both come on top of *projects*. Issues, branches and so on are spread over all of them.
        """
        sizes = Sizes(
            projects=projects,
            issues=issues,
            merge_requests=merge_requests,
            pipelines=pipelines,
            branches=branches,
            commits=commits,
            tags=tags,
            hidden=hidden,
            strangers=strangers,
        )
        time = clock or Clock()
        return cls(generate(seed, sizes, time.now()), time, seed=seed)

    @classmethod
    def large(cls, seed: int = 1, *, clock: TellsTime | None = None) -> GitLabSite:
        """Make the large site: 500 projects that the token sees, 3,000 branches; `busy_hour()` is made for it."""
        return cls.generate(
            seed=seed,
            projects=500,
            issues=20_000,
            merge_requests=8_000,
            pipelines=20_000,
            branches=3_000,
            commits=20_000,
            tags=1_000,
            hidden=0,
            clock=clock,
        )

    @property
    def limits(self) -> Limits | None:
        """The rate limits; None: none. Set them to change them."""
        return self._limiter.limits

    @limits.setter
    def limits(self, limits: Limits | None) -> None:
        self._limiter.limits = limits

    @property
    def too_many(self) -> int:
        """How many requests got a 429."""
        return self._limiter.refused

    def peak_requests(self, window_s: float) -> int:
        """Return the most requests that one user sent within any *window_s* seconds, refused ones too."""
        return self._limiter.peak(window_s)

    def adjust(self, **quirks: Any) -> Quirks:
        """Change some of `quirks` by name: `site.adjust(graphql="absent")`; return what was there before."""
        before, after = self.quirks, attrs.evolve(self.quirks, **quirks)
        schema_without(after.graphql_missing)  # refuses a field that there never was
        self.quirks = after
        return before

    def answer(self, request: Request) -> Response:
        """Answer a request: limits first, then the token, then the route."""
        self._serial += 1
        if request.base_url:
            self.url = request.base_url
        today = self.clock.now().date()
        caller = identify(sent_token(request.headers), tokens=self.tokens, store=self.store, today=today)
        is_graphql = request.raw_path.rstrip("/") == GRAPHQL
        key = caller.key if isinstance(caller, Caller) else "nobody"
        refusal = self._limiter.refuse(request, key)
        if refusal is not None:
            return refusal
        if not request.raw_path.startswith("/api/"):
            return self._page(request)
        if isinstance(caller, Response):
            return graphql.invalid_token() if is_graphql else caller
        call = self._call(request, caller)
        if is_graphql:
            return graphql.answer(call)
        if request.raw_path.startswith(rest.PREFIX):
            return _with_etag(request, rest.answer(call))
        return json_response({"error": "404 Not Found"}, status=404)

    def edit(self, count: int, seed: int) -> list[str]:
        """Make *count* random edits; return a short description of each."""
        return RandomEdits(edits=self.edits, rng=random.Random(seed)).make(count)

    def busy_hour(self, seed: int = 1, *, hour: Hour | None = None) -> Happened:
        """Let an hour pass in which much changes (see `Hour`); return what did."""
        return spend_hour(self.edits, random.Random(seed), hour or Hour())

    def truth(self, stream: str, *, is_member_only: bool = False) -> dict[tuple[Any, ...], Any]:
        """Return every record of *stream* that the token sees now, by key."""
        owner = self.store.users[self.tokens[self.token].user_id]
        return Truth(shapes=self._shapes(), user=owner, is_member_only=is_member_only).of(stream)

    def _shapes(self) -> Shapes:
        return Shapes(store=self.store, url=self.url)

    def _call(self, request: Request, caller: Caller) -> Call:
        return Call(
            request=request,
            params=Params(request.query),
            caller=caller,
            store=self.store,
            shapes=self._shapes(),
            quirks=self.quirks,
            serial=self._serial,
        )

    def _page(self, request: Request) -> Response:
        """Answer what is not the API as GitLab's pages do: the way to the log-in form, and that form, with 200."""
        if request.path != SIGN_IN:
            return Response(status=302, headers={"Location": self.url + SIGN_IN, "Content-Type": "text/html"})
        body = b"<!DOCTYPE html><html><head><title>Sign in \xc2\xb7 GitLab</title></head><body></body></html>"
        return Response(headers={"Content-Type": "text/html; charset=utf-8"}, body=body)


def _with_etag(request: Request, response: Response) -> Response:
    """Give a good answer a weak ETag, and 304 instead where the client has it already."""
    if response.status != 200:
        return response
    etag = f'W/"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    headers = {**response.headers, "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status=304, headers=headers)
    return Response(headers=headers, body=response.body)
