"""
Branches and tags: lists of a project, each read whole and proven complete, so that what is not in one is deleted.

A project's lists are read when it was active since they were read last, and once a day in any case. Every list is
walked twice: once over the wire, until it is proven, and once out of the spool, which hands it on.

Not here: commits (`commits.py`, `branch_commits.py`), which stand on the lists of branches.
Source: GitLab REST API docs, "Branches", "Tags"; lib/api/tags.rb (keyset by name, 422 for a name that is gone);
app/models/event.rb (`last_activity_at` moves at most once an hour).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

import attrs

from syncer.ahead import ahead
from syncer.clock import from_iso
from syncer.errors import AnswerError, NotFound, RequestError, SyncerError
from syncer.sources import DELETED, Key, Page, Place, Record, Whole
from syncer.sources.gitlab.api import (
    PER_PAGE,
    STRIPPED,
    Api,
    is_scoped,
    is_silent,
    named,
    next_params,
    rows_of,
    text_of,
)
from syncer.sources.gitlab.projects import Project, Projects

ACTIVITY_LAG = dt.timedelta(minutes=90)  # last_activity_at stands still for up to an hour; and half an hour of doubt
READ_EVERY = dt.timedelta(hours=24)
MIN_BRANCHES = 10  # from here on a list that lost much is asked once more
MAX_LOST = 0.3
MAX_BEGINNINGS = 5  # a list whose page token vanished is begun anew so often


@attrs.frozen(kw_only=True)
class Proven:
    """A list that was read to its end: how many names, and which repetition of the question it was."""

    project: Project
    count: int = 0
    again: int = 0
    error: SyncerError | None = None


class RefLists:
    """The lists of branches, or of tags; safe for threads."""

    def __init__(self, api: Api, kind: str) -> None:
        self.kind = kind
        self._api = api
        self._params: dict[str, str | int] = {"pagination": "keyset", "per_page": PER_PAGE}
        # tags come by date unless told otherwise; branches know no order_by
        self._params |= {"sort": "name_asc"} if kind == "branches" else {"order_by": "name", "sort": "asc"}

    def prove(self, project: Project, *, before: int) -> Proven:
        """
        Read a list to its end; *before* is how many names it had the last time.

        One that lost much since, or is empty though the repository is not, is asked once more. An error of the project
        stands in the answer; any other is raised.
        """
        if project.is_empty:
            return Proven(project=project)
        try:
            return self._prove(project, before)
        except SyncerError as error:
            if not is_scoped(error):
                raise
            return Proven(project=project, error=named(error, f"{project}, {self.kind}"))

    def pages(self, proven: Proven) -> Iterator[list[Record]]:
        """Yield the pages of a list that was proven, out of the spool."""
        if not proven.project.is_empty:
            yield from self._walk(proven.project, proven.again)

    def _prove(self, project: Project, before: int) -> Proven:
        has_doubt, again = False, 0
        for _ in range(MAX_BEGINNINGS):
            try:
                count = sum(len(rows) for rows in self._walk(project, again))
            except RequestError as error:
                if error.status != 422:
                    raise
                again += 1
                continue
            has_lost = before >= MIN_BRANCHES and count < (1 - MAX_LOST) * before
            is_odd = self.kind == "branches" and count == 0
            if not has_doubt and (has_lost or is_odd):
                has_doubt, again = True, again + 1
                continue
            if is_odd:
                raise AnswerError("the list is empty, but the project says that its repository is not.")
            return Proven(project=project, count=count, again=again)
        raise AnswerError(f"names vanished while the list was read, {MAX_BEGINNINGS} times in a row.")

    def _walk(self, project: Project, again: int) -> Iterator[list[Record]]:
        """Yield the pages; the end is proven by full pages before it, and names that ascend."""
        path = f"/projects/{project.id}/repository/{self.kind}"
        params, last = dict(self._params), ""
        while True:
            answer = self._api.get(path, params, keep=True, again=again)
            rows, following = rows_of(answer), next_params(answer)
            names = [str(row["name"]) for row in rows]
            if any(name <= before for before, name in zip([last, *names], names, strict=False)):
                raise AnswerError("the names do not ascend from row to row: the list cannot be proven.")
            if rows:
                yield rows
                last = names[-1]
            if following is None:
                if is_silent(answer, rows) and rows_of(self._api.get(path, {**params, "page_token": last})):
                    raise AnswerError(f"{STRIPPED}.")
                return
            if len(rows) < PER_PAGE and rows:
                raise AnswerError(f"a page of {len(rows)} names in the middle of the list; full ones have {PER_PAGE}.")
            if not rows:
                raise AnswerError("an empty page that names a next one.")
            params = {**following}


def is_due(project: Project, place: Place, opened: dt.datetime) -> bool:
    """Tell whether a project's repository must be looked at: it was active, it is long ago, or it never was."""
    read = place.get("read")
    if read is None:
        return True
    moment = from_iso(read)
    return project.active_at >= moment - ACTIVITY_LAG or opened - moment >= READ_EVERY


class Refs:
    """The stream `branches`, or `tags`."""

    def __init__(
        self, lists: RefLists, api: Api, *, projects: Projects, workers: int, settings_of: Callable[[Project], Place]
    ) -> None:
        self._lists = lists
        self._api = api
        self._projects = projects
        self._workers = workers
        self._settings_of = settings_of  # what of the project itself shows in these records

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield the lists of the projects that are due."""
        self._projects.check_sight(places)
        mark = text_of(self._api.opened)
        present: set[int] = set()
        for proven in ahead(
            lambda project: self._lists.prove(project, before=places.get(project.scope, {}).get("count", 0)),
            self._due(places, present),
            workers=self._workers,
        ):
            scope = proven.project.scope
            if proven.error is not None:
                yield Page(scope=scope, error=proven.error)
                continue
            place = {"read": mark, "mark": mark, "count": proven.count, **self._settings_of(proven.project)}
            whole = Whole(
                columns=("project_id",), values=[(proven.project.id,)], within=("project_id",), absent=DELETED
            )
            yield from _in_pages(self._records(proven), Page(scope=scope, place=place, mark=mark, whole=whole))
        yield from self._projects.vanished(places, present)
        yield Page(place={"mark": mark}, mark=mark)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every list."""
        self._projects.check_sight(places)
        present: set[int] = set()
        done: list[tuple[int]] = []
        has_failed = False
        for proven in ahead(
            lambda project: self._lists.prove(project, before=0),
            self._projects.with_repository(present),
            workers=self._workers,
        ):
            if proven.error is not None:
                has_failed = True
                yield Page(scope=proven.project.scope, error=proven.error)
                continue
            done.append((proven.project.id,))
            for records in self._records(proven):
                yield Page(records=records)
        yield from self._projects.vanished(places, present)
        yield Page(whole=census_whole(done, has_failed=has_failed or bool(self._projects.failed)))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Ask for refs one by one; those of a project outside the groups that are asked for are not there."""
        for project_id, name in keys:
            if not self._projects.is_asked_for(project_id):
                continue
            path = f"/projects/{project_id}/repository/{self._lists.kind}/{quote(name, safe='')}"
            try:
                row = self._api.get(path).data
            except NotFound:
                continue
            if not isinstance(row, dict) or row.get("name") != name:
                raise AnswerError(f"GET {path} answered with another record than that of this name.")
            yield Page(records=[{**row, "project_id": project_id}])

    def _due(self, places: Mapping[str, Place], present: set[int]) -> Iterator[Project]:
        for project in self._projects.with_repository(present):
            place = places.get(project.scope, {})
            now = self._settings_of(project)
            if is_due(project, place, self._api.opened) or any(place.get(name) != now[name] for name in now):
                yield project

    def _records(self, proven: Proven) -> Iterator[list[Record]]:
        for rows in self._lists.pages(proven):
            yield [{**row, "project_id": proven.project.id} for row in rows]


def _in_pages(pages: Iterator[list[Record]], end: Page) -> Iterator[Page]:
    """Yield pages of records as one walk, of which *end* says what it is and which place comes with the last."""
    assert end.whole is not None
    is_first = True
    held: list[Record] = []
    for records in pages:
        if held:
            yield Page(scope=end.scope, records=held, whole=attrs.evolve(end.whole, first=is_first, last=False))
            is_first = False
        held = records
    yield attrs.evolve(end, records=held, whole=attrs.evolve(end.whole, first=is_first))


def census_whole(done: Sequence[tuple[int]], *, has_failed: bool) -> Whole:
    """Say what a census of repositories holds all of: everything, or the projects that could be read."""
    return Whole(columns=("project_id",), values=list(done)) if has_failed else Whole()
