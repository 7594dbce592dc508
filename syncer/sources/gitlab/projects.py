"""
The projects: the stream of them, and the list that all other streams walk along.

The list is read once a verb and kept. Streams remember, by project, the path under which they read it: a project
that is new, came back, or has another path is read whole, since nothing of that moves the `updated_at` of what it has.

Source: GitLab REST API docs, "Projects", "Groups", "Pagination" (projects have keyset pages, a group's have not).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import attrs

from syncer import values
from syncer.errors import AnswerError, NotFound, SyncerError
from syncer.sources import ARCHIVED, Key, Page, Place, Record, State, Whole
from syncer.sources.gitlab.api import Api, is_scoped, named, text_of
from syncer.sources.gitlab.lists import ById, by_id, by_link
from syncer.transport import Answer

HIDDEN: Place = {"hidden": True}  # the place of a project that is not to be seen now: if it comes back, it is new


@attrs.frozen(kw_only=True)
class Project:
    """What the other streams need to know of a project. `part` is the scope of the list that it came in."""

    id: int
    part: str
    path: str
    web_url: str
    default_branch: str | None
    active_at: dt.datetime
    is_empty: bool
    has_issues: bool
    has_merge_requests: bool
    has_pipelines: bool
    has_repository: bool

    @property
    def scope(self) -> str:
        """The scope of what is read of this project alone."""
        return str(self.id)

    def __str__(self) -> str:
        return f"GitLab project {self.path} ({self.id})"


@attrs.frozen(kw_only=True)
class Part:
    """One list to read: of the whole instance, or of one group with those below it."""

    scope: str
    prefix: str  # of the API's paths
    group: str = ""

    def __str__(self) -> str:
        return f"GitLab group {self.group}" if self.group else "GitLab"


def parts_of(groups: Sequence[str]) -> list[Part]:
    """Return the lists to read: one a group, or the one of the instance."""
    if not groups:
        return [Part(scope="", prefix="")]
    return [
        Part(scope=f"group:{group}", prefix=f"/groups/{quote(str(group), safe='')}", group=str(group))
        for group in groups
    ]


class Projects:
    """The stream `projects`, and the list for the others."""

    def __init__(self, api: Api, parts: Sequence[Part]) -> None:
        self._api = api
        self._parts = parts
        self.failed: set[str] = set()  # scopes of parts that could not be read in this verb
        self._listed: set[int] = set()  # ids that a list had
        self._relisted: set[int] | None = None  # ids that a second look at the lists had
        self._trouble: SyncerError | None = None  # why that second look is not whole
        self._gone: dict[int, bool] = {}

    def each(self) -> Iterator[Project]:
        """Yield every project once. A group that cannot be read is left out, and stands in `failed`."""
        met: set[int] = set()
        for part, rows in self._lists():
            for row in rows if isinstance(rows, list) else ():
                if row["id"] not in met:
                    met.add(row["id"])
                    yield _project(row, part)

    def with_repository(self, present: set[int]) -> Iterator[Project]:
        """Yield every project that has a repository for us, and note it in *present*."""
        for project in self.each():
            if project.has_repository:
                present.add(project.id)
                yield project

    def vanished(self, places: Mapping[str, Place], present: set[int]) -> Iterator[Page]:
        """
        Yield, for each project that was read before and is not *present*, a page that makes it new if it comes back.

        Its rows stay: only a census tells what became of them. Where a group's list failed, the projects that are not
        in the others are asked for one by one.
        """
        for scope, place in places.items():
            if scope.isdigit() and int(scope) not in present and place != HIDDEN and self._is_gone(int(scope)):
                yield Page(scope=scope, place=HIDDEN)

    def check_sight(self, places: Mapping[str, Place]) -> None:
        """
        Look whether there is any project at all, before anything is read or ends.

        Raises: AnswerError: there is none, but places know some: more likely a permission than the truth.
        """
        before = max(sum(scope.isdigit() for scope in places), places.get("", {}).get("count", 0))
        if before and next(self.each(), None) is None and not self.failed:
            raise AnswerError(
                f"GitLab shows the token no project at all, where there were {before}; nothing was changed.",
                hint="Look at the memberships of the token's user, or begin anew with --full.",
            )

    def is_asked_for(self, project_id: int) -> bool:
        """
        Tell whether a project is in the groups that are read; without groups every one is.

        One that their lists did not have is looked for in them once more. Raises: what kept one from being read.
        """
        if not self._parts[0].group or project_id in self._listed:
            return True
        if self._relisted is None:
            self._relisted = set()
            for _, rows in self._lists(again=1):
                if isinstance(rows, SyncerError):
                    self._trouble = rows
                else:
                    self._relisted.update(row["id"] for row in rows)
        if project_id not in self._relisted and self._trouble is not None:
            raise self._trouble
        return project_id in self._relisted

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield the whole list; what is not in it any more is gone, deleted or hidden, the API does not say which."""
        self.check_sight(places)
        mark = text_of(self._api.opened)
        yield from self._walk()
        count = len(self._listed) if not self.failed else max(len(self._listed), places.get("", {}).get("count", 0))
        yield Page(place={"mark": mark, "count": count}, mark=mark)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield the whole list for a census."""
        self.check_sight(places)
        yield from self._walk()

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Ask for projects one by one; one outside the groups that are asked for is not there."""
        for (key,) in keys:
            if not self.is_asked_for(key):
                continue
            try:
                record = self._api.get(f"/projects/{key}").data
            except NotFound:
                continue
            if not isinstance(record, dict):
                raise AnswerError(f"GET /projects/{key} answered with no project.")
            yield Page(records=[record], states=_states([record]))

    def _is_gone(self, project_id: int) -> bool:
        """Tell whether a project that no list had is out of sight; where a list failed, only a 404 tells."""
        if not self.failed or project_id in self._listed:
            return True
        if project_id not in self._gone:
            try:
                self._api.get(f"/projects/{project_id}")
                is_gone = False
            except SyncerError as error:
                if not is_scoped(error):
                    raise
                is_gone = isinstance(error, NotFound)
            self._gone[project_id] = is_gone
        return self._gone[project_id]

    def _walk(self) -> Iterator[Page]:
        """Yield the pages of all parts under one walk; no walk where a part failed."""
        is_first, has_failed = True, False
        held: list[Record] = []
        for part, rows in self._lists():
            if isinstance(rows, SyncerError):
                has_failed = True
                yield Page(scope=part.scope, error=rows)
                continue
            if held:
                whole = None if has_failed else Whole(first=is_first, last=False)
                yield Page(records=held, states=_states(held), whole=whole)
                is_first = False
            held = rows
        whole = None if has_failed else Whole(first=is_first, last=True)
        yield Page(records=held, states=_states(held), whole=whole)

    def _lists(self, *, again: int = 0) -> Iterator[tuple[Part, list[Record] | SyncerError]]:
        """Yield the raw pages of each part, or the error of a group that cannot be read; *again*: a second look."""
        for part in self._parts:
            try:
                for rows in self._pages(part, again):
                    if not again:
                        self._listed.update(row["id"] for row in rows)
                    yield part, rows
            except SyncerError as error:
                if not part.group or not is_scoped(error):
                    raise
                if not again:
                    self.failed.add(part.scope)
                yield part, named(error, str(part))

    def _pages(self, part: Part, second: int) -> Iterator[list[Record]]:
        path = f"{part.prefix}/projects"

        def ask(params: dict[str, str | int], again: int) -> Answer:
            return self._api.get(path, params, keep=not second, again=again)

        params: dict[str, str | int] = {"order_by": "id", "sort": "asc"}
        if not part.group:
            last = 0
            for rows in by_link(ask, {**params, "pagination": "keyset"}):
                if rows[0]["id"] <= last:
                    raise AnswerError(f"GET {path}: ids do not ascend from page to page; the list cannot be proven.")
                last = rows[-1]["id"]
                yield rows
            return
        for rows, _ in by_id(ask, {**params, "include_subgroups": "true", "with_shared": "false"}, ById()):
            yield rows


def _states(rows: Sequence[Record]) -> list[State]:
    return [State(key=(row["id"],), state=ARCHIVED) for row in rows if row.get("archived")]


def _project(row: Record, part: Part) -> Project:
    """Read a project; a flag that is missing counts as on, since skipping what is there would lose it."""
    created = row.get("last_activity_at") or row["created_at"]
    return Project(
        id=row["id"],
        part=part.scope,
        path=row["path_with_namespace"],
        web_url=row["web_url"],
        default_branch=row.get("default_branch"),
        active_at=values.timestamp(created),
        is_empty=row.get("empty_repo") is True,
        has_issues=_is_on(row, "issues_enabled", "issues_access_level"),
        has_merge_requests=_is_on(row, "merge_requests_enabled", "merge_requests_access_level"),
        has_pipelines=_is_on(row, "jobs_enabled", "builds_access_level"),
        # without access to the repository these two are left out
        has_repository=_is_on(row, "repository_access_level") and ("readme_url" in row or "forks_count" in row),
    )


def _is_on(row: Record, *flags: str) -> bool:
    return not any(row.get(flag) in (False, "disabled") for flag in flags)
