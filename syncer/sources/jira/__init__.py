"""
Jira Cloud, read: projects, issues, their changelogs and comments, and worklogs.

    calls.py        requests, who we are, the limits
    walk.py         which issues changed since a moment
    bulk.py         issues, changelogs and comments by id
    offsets.py      lists by offset that move while they are read
    again.py        issues that could not be read, and are read first next time
    issues.py, parts.py (comments, changelogs), worklogs.py, projects.py      the streams
    definitions.py, adf.py      what a site defines; rich text as text

Source: Jira Cloud REST API v3 (OpenAPI), developer.atlassian.com/cloud/jira/platform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import attrs

from syncer.errors import UnknownName
from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Source
from syncer.sources.jira import definitions
from syncer.sources.jira.calls import Calls
from syncer.sources.jira.issues import Issues
from syncer.sources.jira.parts import Changelogs, Comments, Homes, Parts
from syncer.sources.jira.projects import Projects, nothing_visible
from syncer.sources.jira.walk import Once, Window, ask_again
from syncer.sources.jira.worklogs import Worklogs
from syncer.spool import Spool
from syncer.transport import Doors

STREAMS = ("projects", "issues", "changelogs", "comments", "worklogs")
WALKED = frozenset({"issues", "changelogs", "comments"})  # by the issues that changed

NEEDS = Needs(
    title="Jira Cloud",
    url="https://SITE.atlassian.net; for scoped tokens and service accounts https://api.atlassian.com/ex/jira/CLOUD_ID",
    token="an API token of id.atlassian.com, Security, API tokens; scopes read:jira-work, read:jira-user",
    user="the e-mail address of the token's user",
    options={
        "workers": "requests in flight at once, 1 to 16 (default 4)",
        "limits": '"off": do not hold back requests by the documented burst limits (default "on")',
        "auth": '"bearer" for an OAuth 2.0 token (default "basic")',
        "ids_a_page": "issues a page of search, 1 to 5000 (default 5000); fewer where a proxy refuses large answers",
        "start": "a date such as 2026-01-31: a first pull begins there, and a census brings what is older",
    },
    variables=("start",),
)


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    """Make the source; *streams* are those that this verb reads."""
    return Jira(account, doors=doors, streams=streams)


class Jira:
    """One site, read."""

    name = "jira"

    def __init__(self, account: Account, *, doors: Doors, streams: Sequence[str]) -> None:
        self._calls = Calls(account, doors=doors)
        self._start = account.start
        self._streams = frozenset(streams)
        self._spool = Spool() if len(WALKED & self._streams) > 1 else None
        self._homes: dict[str, Homes] = {}
        self._worklogs: Worklogs | None = None
        self._opened: int | None = None  # the server's clock at the check, in milliseconds
        self._definitions: definitions.Definitions | None = None
        self._categories: Mapping[str, str] | None = None
        self._live: Mapping[str, str] | None = None  # the keys of projects that are live, by id
        self._ended: Mapping[str, str] | None = None  # the states of those that are not

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones too."""
        return self._calls.transport.requests

    def check(self) -> Identity:
        """Ask who we are, and when: that is where the next window ends."""
        identity, self._opened = self._calls.check()
        return identity

    def describe(self, stream: str) -> Sequence[Field]:
        """Return the columns of the fields that this site has beside Jira's own."""
        return self._defined().columns if stream == "issues" else ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield what changed since the place of the one scope that each stream has."""
        place = places.get("")
        if stream == "projects":
            return Projects(calls=self._calls).read(place, self._now())
        self._check_visible(place)
        if stream == "worklogs":
            return self._counted(self._logged().read(place, lookback=lookback))
        reader = self._issues() if stream == "issues" else self._parts(stream)
        if place is None and self._start is not None:
            place = {"mark": int(self._start.timestamp() * 1_000)}
        windows = Window.since(place, now=self._now(), lookback=lookback)
        return self._counted(reader.read(windows, place=place))

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every key there is now."""
        if stream == "projects":
            return Projects(calls=self._calls).keys()
        place = places.get("")
        self._check_visible(place)
        if stream == "worklogs":
            return self._logged().keys()
        if stream == "issues":
            return self._issues().keys(self._now())
        return self._parts(stream).keys(self._now(), place=place)

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield what there is for *keys*."""
        if stream == "projects":
            return Projects(calls=self._calls).fetch(keys)
        if stream == "worklogs":
            return self._logged().fetch(keys)
        return self._issues().fetch(keys) if stream == "issues" else self._parts(stream).fetch(keys, self._now())

    def close(self) -> None:
        """Let go of connections and temporary files."""
        self._calls.close()
        if self._spool is not None:
            self._spool.close()
        for homes in self._homes.values():
            homes.close()

    def _once(self) -> Once:
        return self._spool.once if self._spool is not None else ask_again

    def _now(self) -> int:
        if self._opened is None:
            self.check()
        assert self._opened is not None
        return self._opened

    def _defined(self) -> definitions.Definitions:
        if self._definitions is None:
            self._definitions = definitions.read(self._calls)
        return self._definitions

    def _logged(self) -> Worklogs:
        if self._worklogs is None:
            self._worklogs = Worklogs(calls=self._calls, opened=self._now())
        return self._worklogs

    def _issues(self) -> Issues:
        if self._categories is None:
            self._categories = definitions.categories(self._calls)
        return Issues(
            calls=self._calls,
            once=self._once(),
            definitions=self._defined(),
            categories=self._categories,
            project_keys=self._project_keys,
            ended_projects=self._ended_projects,
            zone=self._calls.zone,
            shares_histories="changelogs" in self._streams,
        )

    def _project_keys(self) -> Mapping[str, str]:
        if self._live is None:
            self._live = Projects(calls=self._calls).live()
        return self._live

    def _check_visible(self, place: Place | None) -> None:
        """Raise AnswerError where there were projects, as *place* tells, and none at all is visible now."""
        before = place.get("projects", 1) if place is not None else 0
        if before and not self._project_keys() and not self._ended_projects():
            raise nothing_visible(place.get("projects") if place is not None else None)

    def _counted(self, pages: Iterator[Page]) -> Iterator[Page]:
        """Put into each place how many projects there are."""
        count = len(self._project_keys()) or len(self._ended_projects())
        for page in pages:
            yield page if page.place is None else attrs.evolve(page, place={**page.place, "projects": count})

    def _ended_projects(self) -> Mapping[str, str]:
        if self._ended is None:
            self._ended = Projects(calls=self._calls).ended()
        return self._ended

    def _parts(self, stream: str) -> Parts:
        if stream not in STREAMS:
            raise UnknownName("stream of Jira", stream, known=STREAMS)
        part = (
            Comments(calls=self._calls) if stream == "comments" else Changelogs(calls=self._calls, once=self._once())
        )
        homes = self._homes.setdefault(stream, Homes())
        shares = stream == "changelogs" and "issues" in self._streams
        return Parts(calls=self._calls, once=self._once(), part=part, homes=homes, shares=shares)
