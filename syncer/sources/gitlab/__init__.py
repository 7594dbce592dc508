"""
GitLab, read: projects, issues, merge requests and their commits, pipelines, commits, branches and their commits, tags.

Here: what a site must set, and which stream is read by what. Requests are in `api.py`, lists in `lists.py`, GraphQL in
`graphql.py`, the projects that everything walks along in `projects.py`; each stream has a file beside them.

Source: GitLab REST API docs and GraphQL API reference, as each file names them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import attrs

from syncer.errors import UnknownName, UsageError
from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Source
from syncer.sources.gitlab.api import Api
from syncer.sources.gitlab.branch_commits import BranchCommits
from syncer.sources.gitlab.commits import Commits
from syncer.sources.gitlab.graphql import GraphQL
from syncer.sources.gitlab.items import ISSUES, MERGE_REQUESTS, Items
from syncer.sources.gitlab.merge_request_commits import MergeRequestCommits
from syncer.sources.gitlab.pipeline_answers import PipelineAnswers
from syncer.sources.gitlab.pipelines import Pipelines
from syncer.sources.gitlab.projects import Project, Projects, parts_of
from syncer.sources.gitlab.refs import RefLists, Refs
from syncer.sources.gitlab.walks import Walks
from syncer.transport import Doors

__all__ = ["NEEDS", "GitLab", "connect"]

WORKERS = 4
NEEDS = Needs(
    title="GitLab",
    url="https://gitlab.example.com",
    token="a personal, project or group access token with the scope read_api",
    options={
        "groups": "full paths or ids of groups to read, subgroups included; without it the whole instance",
        "graphql": '"auto" (default): used where the instance has it; "off": REST only',
        "requests_per_minute": 'the most requests a minute of this token, 2000 unless set; "off": no limit',
        "workers": "requests at a time, 4 unless set",
        "account": '"host": any user of the host is the same account, for bots whose user changes with each token',
        "start": "a date such as 2026-01-31: a first pull begins there, and a census brings what is older"
        "; of issues and merge requests",
    },
    variables=("start",),
)


@attrs.frozen(kw_only=True)
class Stream:
    """How one stream is read; *ask* tells it beforehand which fields are wanted of its records."""

    read: Callable[[Mapping[str, Place], timedelta], Iterator[Page]]
    keys: Callable[[Mapping[str, Place]], Iterator[Page]]
    fetch: Callable[[Sequence[Key]], Iterator[Page]]
    close: Callable[[], None] = lambda: None
    ask: Callable[[Sequence[Field]], None] = lambda fields: None


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    """
    Make the source.

    Raises: UsageError: an option is wrong, or GitLab.com without groups: its lists hold the projects of strangers.
    """
    return GitLab(account, doors=doors, streams=streams)


class GitLab:
    """One GitLab."""

    name = "gitlab"

    def __init__(self, account: Account, *, doors: Doors, streams: Sequence[str]) -> None:
        options = _Options.of(account)
        self._api = Api(account, doors=doors)
        self._streams = _streams(self._api, options, frozenset(streams))

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._api.requests

    def check(self) -> Identity:
        """Ask GitLab who we are."""
        return self._api.check()

    def describe(self, stream: str) -> Sequence[Field]:
        """GitLab's records have no fields of a site's own."""
        self._stream(stream)
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield pages of *stream* from its places on."""
        found = self._stream(stream)
        found.ask(fields)
        return found.read(places, lookback)

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every key of *stream* for a census."""
        return self._stream(stream).keys(places)

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield what GitLab has for just these keys."""
        return self._stream(stream).fetch(keys)

    def close(self) -> None:
        """Let go of connections and temporary files."""
        for stream in self._streams.values():
            stream.close()
        self._api.close()

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            raise UnknownName("stream of GitLab", name, known=self._streams)
        return self._streams[name]


@attrs.frozen(kw_only=True)
class _Options:
    groups: tuple[str, ...]
    workers: int
    has_graphql: bool
    start: dt.datetime | None = None

    @classmethod
    def of(cls, account: Account) -> _Options:
        """Read and check the options of an account."""
        options = account.options
        groups = options.get("groups", [])
        if not isinstance(groups, list) or not all(isinstance(group, str | int) and group for group in groups):
            raise UsageError(
                'groups in [gitlab] is a list of full paths or ids, such as ["company", "company/tools"].'
            )
        workers = options.get("workers", WORKERS)
        if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= 16:
            raise UsageError("workers in [gitlab] is a whole number from 1 to 16.")
        graphql = options.get("graphql", "auto")
        if graphql not in ("auto", "off"):
            raise UsageError('graphql in [gitlab] is "auto" or "off".')
        if options.get("account", "user") not in ("user", "host"):
            raise UsageError('account in [gitlab] is "user" (the default) or "host".')
        if not groups and (urlsplit(account.url).hostname or "").lower() in ("gitlab.com", "www.gitlab.com"):
            raise UsageError(
                "GitLab.com lists the public projects of everybody.",
                hint='Say which groups to read: groups = ["your-group"] in the table [gitlab] of syncer.toml.',
            )
        return cls(
            groups=tuple(str(group).strip("/") for group in groups),
            workers=workers,
            has_graphql=graphql == "auto",
            start=account.start,
        )


def _streams(api: Api, options: _Options, wanted: frozenset[str]) -> dict[str, Stream]:
    """Make the streams; those that stand on the same answers share the object that asks."""
    parts = parts_of(options.groups)
    projects = Projects(api, parts)
    graphql = GraphQL(api, is_wanted=options.has_graphql)
    is_shared = {"merge_requests", "merge_request_commits"} <= wanted
    issues = Items(ISSUES, api, projects=projects, parts=parts, is_shared=False)
    merge_requests = Items(MERGE_REQUESTS, api, projects=projects, parts=parts, is_shared=is_shared)
    issues.start = merge_requests.start = options.start
    of_merge_requests = MergeRequestCommits(
        api, graphql, projects=projects, parts=parts, is_shared=is_shared, workers=options.workers
    )
    pipelines = Pipelines(api, PipelineAnswers(api, graphql), projects=projects, workers=options.workers)
    return {
        "projects": Stream(
            read=lambda places, lookback: projects.read(places), keys=projects.keys, fetch=projects.fetch
        ),
        "issues": _timed(issues),
        "merge_requests": _timed(merge_requests),
        "merge_request_commits": _timed(of_merge_requests),
        "pipelines": _timed(pipelines),
        **_repository_streams(api, options, projects, wanted),
    }


def _repository_streams(api: Api, options: _Options, projects: Projects, wanted: frozenset[str]) -> dict[str, Stream]:
    branch_lists, tag_lists = RefLists(api, "branches"), RefLists(api, "tags")
    walks = Walks(api, is_kept="branch_commits" in wanted)
    workers = options.workers
    branches = Refs(branch_lists, api, projects=projects, workers=workers, settings_of=_shown_in_branches)
    tags = Refs(tag_lists, api, projects=projects, workers=workers, settings_of=lambda project: {})
    commits = Commits(branch_lists, walks, api, projects=projects, workers=workers)
    branch_commits = BranchCommits(branch_lists, walks, api, projects=projects, workers=workers)
    return {
        "commits": _untimed(commits),
        "branches": _untimed(branches),
        "branch_commits": attrs.evolve(_untimed(branch_commits), ask=branch_commits.ask),
        "tags": _untimed(tags),
    }


def _shown_in_branches(project: Project) -> Place:
    """What of a project shows in its branches: their URL, and which one is the default."""
    return {"path": project.path, "default": project.default_branch}


def _timed(stream: Items | MergeRequestCommits | Pipelines) -> Stream:
    return Stream(read=stream.read, keys=stream.keys, fetch=stream.fetch, close=stream.close)


def _untimed(stream: Commits | Refs | BranchCommits) -> Stream:
    """Make a stream whose windows hang on heads and activity, not on a lookback."""
    return Stream(read=lambda places, lookback: stream.read(places), keys=stream.keys, fetch=stream.fetch)
