"""A small client for the tests of the Jira site: one session, and the two ways to search."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import requests

from syncer.sandbox import Clock, JiraSite, Sandbox
from syncer.sandbox.jira import EMAIL, TOKEN

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALL = "updated >= 0 ORDER BY created ASC, key ASC"


def small_site(*, issues: int = 120, projects: int = 5) -> JiraSite:
    """Return a site whose clock stands and whose search sees edits at once."""
    clock = Clock(START, is_frozen=True)
    return JiraSite.generate(seed=3, projects=projects, issues=issues, clock=clock, index_lag_s=0)


@contextlib.contextmanager
def running(site: JiraSite) -> Iterator[Api]:
    """Serve *site*; at the end, no request may have failed inside it."""
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        yield Api(sandbox, site)
        assert sandbox.errors == []


class Api:
    """Calls version 3 of a running site, as the account of its classic token."""

    def __init__(self, sandbox: Sandbox, site: JiraSite) -> None:
        self.site = site
        self.root = sandbox.url("jira")
        self.base = self.root + "/rest/api/3"
        self.session = requests.Session()
        self.session.auth = (EMAIL, TOKEN)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.session.get(self.base + path, params=params, timeout=30)

    def post(self, path: str, body: Any, **kwargs: Any) -> requests.Response:
        return self.session.post(self.base + path, json=body, timeout=30, **kwargs)

    def search(self, jql: str = ALL, **more: Any) -> Any:
        answer = self.post("/search/jql", {"jql": jql, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, jql: str = ALL, **more: Any) -> list[str]:
        return [issue["id"] for page in self.pages(jql, **more) for issue in page["issues"]]

    def pages(self, jql: str = ALL, **more: Any) -> Iterator[Any]:
        """Yield pages until the token is absent."""
        while True:
            page = self.search(jql, **more)
            yield page
            if "nextPageToken" not in page:
                return
            more["nextPageToken"] = page["nextPageToken"]

    def bulk(self, *refs: Any, **more: Any) -> Any:
        answer = self.post("/issue/bulkfetch", {"issueIdsOrKeys": [str(ref) for ref in refs], **more})
        assert answer.status_code == 200, answer.text
        return answer.json()
