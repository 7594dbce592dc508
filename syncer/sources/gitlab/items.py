"""
Issues and merge requests: lists of the whole instance or of a group, walked in ascending order of `updated_at`.

A window is open upwards: what is touched while it is read comes again at its end. What `updated_at` does not tell (a
project that came into sight, or whose path changed, and with it every URL in it) is read by project, whole.

Not here: the commits of merge requests (`merge_request_commits.py`), which walk the same lists.
Source: GitLab REST API docs, "Issues", "Merge requests": the scope of the instance's lists is created_by_me unless it
is asked for, and `non_archived` is true there, which would stop the rows of archived projects.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import attrs

from syncer.clock import from_iso
from syncer.errors import NotFound, SyncerError
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.gitlab.api import PER_PAGE, Api, is_scoped, named, rows_of, text_of
from syncer.sources.gitlab.lists import ByUpdate, by_update
from syncer.sources.gitlab.located import Located, Location
from syncer.sources.gitlab.projects import Part, Project, Projects
from syncer.transport import Answer

FILTER: dict[str, str | int] = {"scope": "all", "state": "all", "non_archived": "false"}
IIDS_A_REQUEST = 50


class Settle(Protocol):
    """What is made of one page of a list: pages; the last one carries *after*, the others at most *before*."""

    def __call__(self, rows: list[Record], *, scope: str, before: Place | None, after: Place) -> Iterator[Page]:
        """Yield the pages."""


@attrs.frozen(kw_only=True)
class Kind:
    """Issues or merge requests: the API's name of the list, and whether a project has it."""

    name: str
    is_on: Callable[[Project], bool]

    @property
    def words(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")


ISSUES = Kind(name="issues", is_on=lambda project: project.has_issues)
MERGE_REQUESTS = Kind(name="merge_requests", is_on=lambda project: project.has_merge_requests)


def as_they_are(rows: list[Record], *, scope: str, before: Place | None, after: Place) -> Iterator[Page]:
    """Yield one page of the rows themselves."""
    yield Page(scope=scope, place=after, mark=after.get("mark"), records=rows)


class Items:
    """The stream of one kind, or of what *settle* makes of its lists."""

    def __init__(
        self,
        kind: Kind,
        api: Api,
        *,
        projects: Projects,
        parts: Sequence[Part],
        is_shared: bool,
        settle: Settle = as_they_are,
    ) -> None:
        self._kind = kind
        self._api = api
        self._projects = projects
        self._parts = parts
        self._is_shared = is_shared  # another stream of this verb walks the same lists
        self._settle = settle
        self.start: dt.datetime | None = None  # where a first window begins; None: at the beginning
        self.located = Located()

    def read(self, places: Mapping[str, Place], lookback: dt.timedelta) -> Iterator[Page]:
        """Yield what was updated since the mark, then what other changes made new."""
        self._projects.check_sight(places)
        new_parts = {part.scope for part in self._parts if part.scope not in places}
        if new_parts:
            yield from self._remember(new_parts)
        failed = set()
        for part in self._parts:
            try:
                yield from self._window(part, places.get(part.scope, {}), lookback)
            except SyncerError as error:
                if not part.group or not is_scoped(error):
                    raise
                failed.add(part.scope)
                yield Page(scope=part.scope, error=named(error, f"{part}, {self._kind.words}"))
        yield from self._by_project(places, new_parts | failed)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every record there is, by the same walk as `read`."""
        self._projects.check_sight(places)
        self.located.is_confirmed = False
        has_failed = False
        for part in self._parts:
            try:
                for rows in self.rows(part):
                    yield Page(records=rows, whole=None if has_failed else Whole(last=False))
            except SyncerError as error:
                if not part.group or not is_scoped(error):
                    raise
                has_failed = True
                yield Page(scope=part.scope, error=named(error, f"{part}, {self._kind.words}"))
        yield from self.vanished(places)
        if not has_failed:
            yield Page(whole=Whole(first=False))

    def vanished(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield, for each project that is not to be seen any more, a page that makes it new if it comes back."""
        present = {project.id for project in self._projects.each() if self._kind.is_on(project)}
        yield from self._projects.vanished(places, present)

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the records of some ids; those that no walk meets are not there."""
        for project_id, located in itertools.groupby(self.locate([key[0] for key in keys]), lambda at: at.project_id):
            iids = [at.iid for at in located]
            for start in range(0, len(iids), IIDS_A_REQUEST):
                yield Page(records=self._by_iid(project_id, iids[start : start + IIDS_A_REQUEST]))

    def locate(self, ids: Sequence[int]) -> list[Location]:
        """Find where some ids are; those that the last walk did not meet are looked for in one more walk."""
        found = self.located.find(ids)
        if len(found) < len(set(ids)) and not self.located.is_confirmed:
            for part in self._parts:
                for _ in self.rows(part):
                    pass
            self.located.is_confirmed = True
            found = self.located.find(ids)
        return found

    def rows(self, part: Part) -> Iterator[list[Record]]:
        """Yield every row of a part, and note where each is."""
        for rows, _ in by_update(
            self._ask(f"{part.prefix}/{self._kind.name}", keep=False), self._params(), ByUpdate()
        ):
            self.located.put(Location(row["id"], row["project_id"], row["iid"]) for row in rows)
            yield rows

    def close(self) -> None:
        """Let go of the temporary file."""
        self.located.close()

    def _window(self, part: Part, place: Place, lookback: dt.timedelta) -> Iterator[Page]:
        """Read the part's window from its place on: one that is open goes on, else a new one begins at the mark."""
        mark = place.get("mark")
        window = place.get("window")
        if window is None:
            begin = from_iso(mark) if mark else self.start
            after = text_of(begin - lookback) if begin is not None else None
            window = {"opened": text_of(self._api.opened), "after": after, "seen": 0, "last": None}
        opened = window["opened"]
        at = ByUpdate(after=window["after"], seen=window["seen"], last=window["last"])
        now: Place = {"mark": mark, "window": window}
        for rows, behind in by_update(
            self._ask(f"{part.prefix}/{self._kind.name}", keep=self._is_shared), self._params(), at
        ):
            if behind is None:
                following: Place = {"mark": opened}
            else:
                following = {"mark": mark, "window": {"opened": opened, **attrs.asdict(behind)}}
            yield from self._settle(rows, scope=part.scope, before=now, after=following)
            now = following

    def _remember(self, new_parts: set[str]) -> Iterator[Page]:
        """Note under which path each project of parts that are read for the first time is read."""
        for project in self._projects.each():
            if project.part in new_parts and self._kind.is_on(project):
                yield Page(scope=project.scope, place={"path": project.path})

    def _by_project(self, places: Mapping[str, Place], but: set[str]) -> Iterator[Page]:
        """Read the projects whole that came into sight, or whose path changed, since they were read."""
        for project in self._projects.each():
            if not self._kind.is_on(project):
                continue
            place = places.get(project.scope, {})
            if project.part not in but and place.get("path") != project.path:
                try:
                    yield from self._whole_project(project, place)
                except SyncerError as error:
                    if not is_scoped(error):
                        raise
                    yield Page(scope=project.scope, error=named(error, f"{project}, {self._kind.words}"))
        yield from self.vanished(places)

    def _whole_project(self, project: Project, place: Place) -> Iterator[Page]:
        walk = place.get("walk")
        if walk is None or walk["path"] != project.path:
            walk = {"path": project.path, "after": None, "seen": 0, "last": None}
        at = ByUpdate(after=walk["after"], seen=walk["seen"], last=walk["last"])
        now = {"path": place.get("path"), "walk": walk}
        path = f"/projects/{project.id}/{self._kind.name}"
        for rows, behind in by_update(self._ask(path, keep=self._is_shared), self._params(), at):
            if behind is None:
                following: Place = {"path": project.path}
            else:
                following = {"path": place.get("path"), "walk": {"path": project.path, **attrs.asdict(behind)}}
            yield from self._settle(rows, scope=project.scope, before=now, after=following)
            now = following

    def _by_iid(self, project_id: int, iids: Sequence[int]) -> list[Record]:
        query: dict[str, str | int] = {**FILTER, "per_page": PER_PAGE}
        listed = "&".join(f"iids[]={iid}" for iid in iids)
        try:
            return rows_of(self._api.get(f"/projects/{project_id}/{self._kind.name}?{listed}", query))
        except NotFound:
            return []

    def _ask(self, path: str, *, keep: bool) -> Callable[[dict[str, str | int], int], Answer]:
        return lambda params, again: self._api.get(path, params, keep=keep, again=again)

    def _params(self) -> dict[str, str | int]:
        return dict(FILTER)
