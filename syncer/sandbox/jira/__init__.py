"""
The sandbox's Jira Cloud site: who may call, which route answers, how often, and the truth behind it.

    site = JiraSite.generate(seed=1, projects=5, issues=200, clock=clock)
    site.tokens["jira-token"]          # Basic auth with site.tokens["jira-token"].email

The site host is the prefix itself (/jira/rest/api/3/...); below /jira/ex/jira/CLOUD_ID stands the API gateway, which
alone takes service accounts. Not here: records and edits (`jira.records`), the routes (`jira.search`, `jira.reads`),
JQL (`jira.jql`), generated data (`jira.data`). What is chosen where the documentation is silent: docs/sandbox.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from syncer.sandbox.clock import Clock
from syncer.sandbox.jira import reads, search
from syncer.sandbox.jira.call import Call
from syncer.sandbox.jira.data import Shape, generate
from syncer.sandbox.jira.edits import Editor
from syncer.sandbox.jira.errors import JiraError, localised, problem
from syncer.sandbox.jira.issue import VOLATILE, IssueRender, Selection
from syncer.sandbox.jira.limits import Limits, Meter
from syncer.sandbox.jira.model import DAY_MS, Token
from syncer.sandbox.jira.records import JiraRecords
from syncer.sandbox.jira.render import Render
from syncer.sandbox.messages import Request, Response, json_response

CLOUD_ID = "5a11d0b0-0000-4000-8000-00000000cafe"
SITE_URL = "https://jira.sandbox.invalid"
GATEWAY_URL = f"https://api.sandbox.invalid/ex/jira/{CLOUD_ID}"
ZONE = "Europe/Amsterdam"
EMAIL, TOKEN = "sync@example.com", "jira-token"
SERVICE_EMAIL, SERVICE_TOKEN = "sync-bot@serviceaccount.atlassian.com", "jira-service-token"

_BASE = re.compile(r"(/ex/jira/[^/]+)?/rest/api/(2|3|latest)(/.*)")
_GATEWAY = re.compile(r"/ex/jira/([^/]+)(?:/.*)?")

Handler = Callable[..., Response]


class JiraSite(JiraRecords):
    """
    A Jira Cloud site. Settings, all of which may change while it runs:

    `tokens` (by secret), `zone` and `language` ("nl", "en") of the account, `limits` (None: none), `index_lag_s`.
    """

    name = "jira"
    volatile = VOLATILE

    def __init__(self, *, clock: Clock | None = None, seed: int = 1, index_lag_s: float = 60.0) -> None:
        """Make an empty site."""
        super().__init__(clock=clock or Clock(), seed=seed, index_lag_s=index_lag_s)
        self.zone: tzinfo = ZoneInfo(ZONE)
        self.language = "nl"
        self.limits: Limits | None = Limits()
        self.meter = Meter()
        self.tokens: dict[str, Token] = {}
        self._views = 0
        self._searcher = search.Searcher(self)
        self._routes = _Routes(self._searcher)

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 1,
        projects: int = 5,
        issues: int = 200,
        clock: Clock | None = None,
        index_lag_s: float = 60.0,
        shape: Shape | None = None,
    ) -> JiraSite:
        """Make a site with generated records: the same for the same arguments and time of the clock."""
        site = cls(clock=clock, seed=seed, index_lag_s=index_lag_s)
        generate(site, projects=projects, issues=issues, shape=shape or Shape())
        accounts = list(site.catalogue.users)
        site.add_token(Token(secret=TOKEN, email=EMAIL, account_id=accounts[0]))
        site.add_token(Token(secret=SERVICE_TOKEN, email=SERVICE_EMAIL, account_id=accounts[1], kind="service"))
        return site

    def add_token(self, token: Token) -> None:
        """Let *token* in."""
        self.tokens[token.secret] = token

    def revoke_token(self, secret: str = TOKEN) -> None:
        """Make a token worthless, as its expiry or its owner does."""
        self.tokens[secret] = attrs.evolve(self.tokens[secret], is_valid=False)

    def restore_token(self, secret: str = TOKEN) -> None:
        """Make it good again."""
        self.tokens[secret] = attrs.evolve(self.tokens[secret], is_valid=True)

    def edit(self, count: int, seed: int) -> list[str]:
        """Make *count* random edits; return a short description of each."""
        return Editor(self, seed).make(count)

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """
        Return what the token may see now, by id, as version 3 of the API shows it on the site host.

        Streams: projects (live ones), issues (all fields but lastViewed), comments and changelogs (with the issue's
        id added as `issueId`; a changelog's `created` as the bulk call has it), worklogs, statuses, fields.
        """
        streams: dict[str, Callable[[Render], list[dict[str, Any]]]] = {
            "projects": self._true_projects,
            "issues": self._true_issues,
            "comments": self._true_comments,
            "worklogs": self._true_worklogs,
            "changelogs": self._true_changelogs,
            "statuses": lambda render: [render.status(number) for number in self.catalogue.statuses],
            "fields": lambda render: [render.field(field) for field in self.catalogue.fields.values()],
        }
        if stream not in streams:
            raise KeyError(f"known: {', '.join(sorted(streams))}")
        render = Render(self, link=f"{SITE_URL}/rest/api/3", zone=self.zone)
        return {(record["id"],): record for record in streams[stream](render)}

    def peak_requests(self, window_s: float, endpoint: str | None = None) -> int:
        """Return the most requests in any *window_s* seconds, of one endpoint ("GET /issue/{}") or of the busiest."""
        return self.meter.peak(window_s, endpoint)

    @property
    def refused_requests(self) -> int:
        """How many requests got a 429."""
        return self.meter.refused

    def _true_projects(self, render: Render) -> list[dict[str, Any]]:
        live = [project for project in self.projects.values() if project.state == "live" and not project.is_hidden]
        return [render.project(project) for project in live]

    def _true_issues(self, render: Render) -> list[dict[str, Any]]:
        issues = IssueRender(render, Selection.parse(["*all", "-lastViewed"]), viewed_ms=lambda: None)
        return [issues.issue(issue) for issue in self.visible_issues()]

    def _true_comments(self, render: Render) -> list[dict[str, Any]]:
        return [
            {**render.comment(issue, comment), "issueId": str(issue.id)}
            for issue in self.visible_issues()
            for comment in issue.comments
        ]

    def _true_worklogs(self, render: Render) -> list[dict[str, Any]]:
        return [render.worklog(issue, worklog) for issue in self.visible_issues() for worklog in issue.worklogs]

    def _true_changelogs(self, render: Render) -> list[dict[str, Any]]:
        return [
            {**render.history(history, in_ms=True), "issueId": str(issue.id)}
            for issue in self.visible_issues()
            for history in issue.histories
        ]

    def answer(self, request: Request) -> Response:
        """Answer *request*: limits first, then who is calling, then the route."""
        headers: dict[str, str] = {}
        try:
            response = self._answer(request, headers)
        except JiraError as error:
            response = error.response(language=self.language, instance=request.path)
        return attrs.evolve(response, headers={**response.headers, **headers})

    def _answer(self, request: Request, headers: dict[str, str]) -> Response:
        """Answer *request*, putting what comes with every answer into *headers*."""
        if request.path == "/_edge/tenant_info":
            return json_response({"cloudId": CLOUD_ID})
        base = _BASE.fullmatch(request.path)
        gateway = _GATEWAY.fullmatch(request.path)
        if base is None or (gateway is not None and gateway[1] != CLOUD_ID):
            return problem(404, "No such resource.", instance=request.path)
        endpoint, handler, refs = self._routes.find(request.method, base[3])
        verdict = self.meter.ask(endpoint, self.limits)
        headers |= verdict.headers(self.clock.now())
        if not verdict.is_granted:
            return json_response({"errorMessages": [localised("Rate limit exceeded.", self.language)]}, status=429)
        credentials = request.headers.get("authorization", "")
        if credentials.startswith("Bearer "):
            return json_response({"error": "Failed to parse Connect Session Auth Token"}, status=403)
        caller = self._caller(credentials, headers, is_gateway=gateway is not None)
        version = "3" if base[2] == "3" else "2"
        host = GATEWAY_URL if gateway is not None else SITE_URL
        zone = self.zone if caller is not None else UTC
        call = Call(
            records=self,
            request=request,
            render=Render(self, link=f"{host}/rest/api/{version}", zone=zone, version=version),
            zone=zone,
            language=self.language,
            caller=caller,
            viewed_ms=self._viewed_ms,
        )
        return handler(call, *refs)

    def _caller(self, credentials: str, headers: dict[str, str], *, is_gateway: bool) -> Token | None:
        """Return whose request it is. A wrong token makes it nobody's, and only a header tells."""
        if not credentials:
            return None
        token = self.tokens.get(_secret(credentials)[1])
        if token is None or not token.is_valid or token.email.lower() != _secret(credentials)[0].lower():
            headers["X-Seraph-LoginReason"] = "AUTHENTICATED_FAILED"
            return None
        if (token.kind == "service") != is_gateway:
            headers["X-Seraph-LoginReason"] = "AUTHENTICATED_FAILED"
            raise JiraError(401, "Client must be authenticated to access this resource.")
        headers["X-AACCOUNTID"] = token.account_id
        return token

    def _viewed_ms(self) -> int | None:
        """Return when the reader last viewed an issue: something else at every look, now and then never."""
        self._views += 1
        return None if self._views % 7 == 0 else self.now_ms() - self._views * 37_001 % DAY_MS


def _secret(credentials: str) -> tuple[str, str]:
    """Return email and token of a Basic header; blanks where it cannot be read."""
    kind, _, code = credentials.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(code, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    email, _, secret = text.partition(":")
    return email, secret


class _Routes:
    """Which handler answers what; "{}" stands for an id or a key."""

    def __init__(self, searcher: search.Searcher) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/myself"): reads.myself_get,
            ("GET", "/serverInfo"): reads.server_info_get,
            ("GET", "/project"): reads.project_list_get,
            ("GET", "/project/search"): lambda call: reads.projects_get(call, searcher),
            ("GET", "/project/{}"): reads.project_get,
            ("GET", "/search/jql"): lambda call: search.search_get(call, searcher),
            ("POST", "/search/jql"): lambda call: search.search_post(call, searcher),
            ("POST", "/search/approximate-count"): lambda call: search.count_post(call, searcher),
            ("GET", "/search"): _gone,
            ("POST", "/search"): _gone,
            ("POST", "/issue/bulkfetch"): search.bulkfetch_post,
            ("GET", "/issue/{}"): search.issue_get,
            ("GET", "/issue/{}/changelog"): search.changelog_get,
            ("POST", "/changelog/bulkfetch"): search.changelogs_post,
            ("GET", "/issue/{}/comment"): reads.comments_get,
            ("POST", "/comment/list"): reads.comments_post,
            ("GET", "/issue/{}/worklog"): reads.worklogs_get,
            ("GET", "/worklog/updated"): reads.worklogs_updated_get,
            ("GET", "/worklog/deleted"): reads.worklogs_deleted_get,
            ("POST", "/worklog/list"): reads.worklogs_post,
            ("GET", "/field"): reads.fields_get,
            ("GET", "/status"): reads.statuses_get,
            ("GET", "/statuses/search"): reads.statuses_search_get,
            ("GET", "/statuscategory"): reads.categories_get,
        }
        self._paths = {path for _, path in self._handlers}

    def find(self, method: str, path: str) -> tuple[str, Handler, tuple[str, ...]]:
        """Return the endpoint's name, its handler, and what stood in the place of each "{}"."""
        parts = path.strip("/").split("/")
        general = f"/{parts[0]}/" + "/".join(["{}", *parts[2:]])
        exact = f"/{'/'.join(parts)}"
        for known, refs in ((exact, ()), (general, (parts[1],) if len(parts) > 1 else ())):
            handler = self._handlers.get((method, known))
            if handler is not None:
                return f"{method} {known}", handler, refs
        if exact in self._paths or general in self._paths:
            raise JiraError(405, f"Request method '{method}' is not supported", is_problem=True)
        raise JiraError(404, "No such resource.", is_problem=True)


def _gone(call: Call) -> Response:
    """The old search, which is removed. Source: change CHANGE-2046."""
    raise JiraError(410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.")
