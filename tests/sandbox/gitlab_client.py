"""A plain client for the sandbox's GitLab, and how tests pick what they need of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import attrs
import requests

from syncer.sandbox import Clock, GitLabSite, Sandbox
from syncer.sandbox.gitlab.rows import MergeRequest, Project

START = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)
NEXT = re.compile(r'<([^>]+)>; rel="next"')


@attrs.define(kw_only=True)
class Api:
    """One site, its sandbox, and a session that sends its token."""

    site: GitLabSite
    sandbox: Sandbox
    clock: Clock
    session: requests.Session

    @property
    def url(self) -> str:
        return self.sandbox.url("gitlab")

    def get(self, path: str, **params: Any) -> requests.Response:
        """Ask `/api/v4` + *path*."""
        return self.session.get(f"{self.url}/api/v4{path}", params=params, allow_redirects=False, timeout=10)

    def rows(self, path: str, **params: Any) -> list[Any]:
        """Return one page."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return list(response.json())

    def pages(self, path: str, **params: Any) -> Iterator[requests.Response]:
        """Yield page after page by the Link header alone."""
        response = self.get(path, **params)
        while True:
            assert response.status_code == 200, response.text
            yield response
            following = NEXT.search(response.headers.get("Link", ""))
            if following is None:
                return
            response = self.session.get(following[1], timeout=10)

    def all(self, path: str, **params: Any) -> list[Any]:
        """Return the rows of all pages."""
        return [row for page in self.pages(path, per_page=100, **params) for row in page.json()]

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send one GraphQL query."""
        response = self.session.post(
            f"{self.url}/api/graphql", json={"query": query, "variables": variables}, timeout=10
        )
        assert response.status_code == 200, response.text
        return dict(response.json())

    def path(self, project: Project) -> str:
        """Return the project's full path."""
        return self.site.store.path_of(project)

    def encoded(self, project: Project) -> str:
        """Return the project's full path as a URL has it."""
        return quote(self.path(project), safe="")

    def usable(self) -> list[Project]:
        """Return the projects that the token sees and in which everything is switched on."""
        store = self.site.store
        seen = store.visible_projects(store.users[self.site.edits.owner_id]).values()
        return [
            one
            for one in seen
            if one.issues_on and one.merge_requests_on and one.jobs_on and one.repository_on and one.has_repository
        ]

    def open_merge_request(self) -> MergeRequest:
        """Return an open merge request whose branch is there."""
        return next(
            row
            for project in self.usable()
            for row in self.site.store.merge_requests_of[project.id].values()
            if row.state == "opened"
        )


@contextmanager
def serve(site: GitLabSite, clock: Clock) -> Iterator[Api]:
    """Serve *site* without rate limits; a request that it could not answer fails the test."""
    site.limits = None
    with Sandbox(sites=[site], clock=clock) as sandbox, requests.Session() as session:
        session.headers["PRIVATE-TOKEN"] = site.token
        yield Api(site=site, sandbox=sandbox, clock=clock, session=session)
        assert sandbox.errors == []


def small_site(clock: Clock) -> GitLabSite:
    """Make the site that most tests edit."""
    return GitLabSite.generate(seed=3, clock=clock)
