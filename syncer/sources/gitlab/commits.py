"""
Commits: all that any branch reaches, and kept when none does any more.

A commit's date says nothing of when it was pushed, so heads are compared, not dates: for each branch that moved,
what is new between its old head and its new one. A branch that is new is asked for beside the default branch; many of
them at once, in one walk of everything.

Not here: which commits belong to which branch (`branch_commits.py`).
Source: GitLab REST API docs, "Commits" (`since` is the committer's date); a sha that no branch reaches is readable
until garbage is collected, then 404.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from syncer.ahead import ahead
from syncer.errors import NotFound, SyncerError
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.gitlab.api import Api, is_scoped, named, text_of
from syncer.sources.gitlab.projects import Project, Projects
from syncer.sources.gitlab.refs import Proven, RefLists, is_due
from syncer.sources.gitlab.walks import Graph, Move, Walks, beside, heads_of, is_cheaper, known_heads, moves

MOVES_AHEAD = 5  # of one project, so many walks are begun ahead


@attrs.frozen(kw_only=True)
class Ready:
    """A project that is due, with the heads of its branches now."""

    proven: Proven
    heads: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def project(self) -> Project:
        """The project."""
        return self.proven.project


class Commits:
    """The stream `commits`."""

    def __init__(self, lists: RefLists, walks: Walks, api: Api, *, projects: Projects, workers: int) -> None:
        self._lists = lists
        self._walks = walks
        self._api = api
        self._projects = projects
        self._workers = workers

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield what is new in the projects that are due."""
        self._projects.check_sight(places)
        mark = text_of(self._api.opened)
        present: set[int] = set()
        readies = ahead(
            lambda project: self._ready(project, _place(places, project)),
            self._due(places, present),
            workers=self._workers,
        )
        for ready in readies:
            if ready.proven.error is not None:
                yield Page(scope=ready.project.scope, error=ready.proven.error)
                continue
            try:
                yield from self._project(ready, _place(places, ready.project))
            except SyncerError as error:
                if not is_scoped(error):
                    raise
                yield Page(scope=ready.project.scope, error=named(error, f"{ready.project}, commits"))
        yield from self._projects.vanished(places, present)
        yield Page(place={"mark": mark}, mark=mark)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every commit that a branch reaches; a census ends none, since they are kept."""
        self._projects.check_sight(places)
        present: set[int] = set()
        projects = self._projects.with_repository(present)
        for ready in ahead(lambda project: self._ready(project, {}), projects, workers=self._workers):
            if ready.proven.error is not None:
                yield Page(scope=ready.project.scope, error=ready.proven.error)
                continue
            try:
                for page in self._project(ready, {}):
                    yield attrs.evolve(page, place=None, mark=None)
            except SyncerError as error:
                if not is_scoped(error):
                    raise
                yield Page(scope=ready.project.scope, error=named(error, f"{ready.project}, commits"))
        yield from self._projects.vanished(places, present)
        yield Page(whole=Whole(columns=("project_id",), values=()))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Ask for commits one by one."""
        for records in ahead(self._one, keys, workers=self._workers):
            yield Page(records=records)

    def _one(self, key: Key) -> list[Record]:
        project_id, sha = key
        try:
            row = self._api.get(f"/projects/{project_id}/repository/commits/{sha}").data
        except NotFound:
            return []
        return [{**row, "project_id": project_id}]

    def _due(self, places: Mapping[str, Place], present: set[int]) -> Iterator[Project]:
        for project in self._projects.with_repository(present):
            place = _place(places, project)
            if "walk" in place or is_due(project, place, self._api.opened):
                yield project

    def _ready(self, project: Project, place: Place) -> Ready:
        """List a project's branches, and begin the walks that they will need."""
        known = known_heads(place)
        proven = self._lists.prove(project, before=len(known))
        if proven.error is not None:
            return Ready(proven=proven)
        heads = heads_of(self._lists, proven)
        for move in moves(known, heads, project.default_branch)[:MOVES_AHEAD]:
            if move.old is not None or move.branch == project.default_branch:
                try:
                    self._walks.fetch_ahead(project, move.revision)
                except SyncerError as error:
                    if not is_scoped(error):
                        raise  # one that is of this walk alone is met again where the walk is made
        return Ready(proven=proven, heads=heads)

    def _project(self, ready: Ready, place: Place) -> Iterator[Page]:
        """Walk what is new in one project, each page with a place that goes on behind it."""
        project, mark = ready.project, text_of(self._api.opened)
        known = known_heads(place)
        walked = set(known.values())
        with Graph() as graph:
            walking = _Walking(project=project, known=known, read=place.get("read"), graph=graph)
            if "walk" in place:
                walk = place["walk"]
                move = Move(branch=walk["branch"], old=None, new=walk["new"])
                try:
                    yield from self._walk(walking, move, revision=walk["revision"], page=walk["page"])
                except NotFound:  # collected while nobody read: the branch is elsewhere, and is walked there
                    walking.default_pages = None
                else:
                    known[move.branch] = move.new
                    walked.add(move.new)
            for move in moves(known, ready.heads, project.default_branch):
                if move.branch != project.default_branch:
                    yield from self._at_once(walking, ready.heads, walked)
                if move.new not in walked and not graph.has(move.new):
                    yield from self._walk(walking, move)
                known[move.branch] = move.new
                walked.add(move.new)
        heads = {name: sha for name, sha in known.items() if name in ready.heads}
        place = {"read": mark, "mark": mark, "path": project.path, "heads": heads}
        yield Page(scope=project.scope, place=place, mark=mark)

    def _at_once(self, walking: _Walking, heads: Mapping[str, str], walked: set[str]) -> Iterator[Page]:
        """Where many heads are new, walk everything once and take what they reach: one request a page, not a head."""
        pages, walking.default_pages = walking.default_pages, None
        todo = [
            head
            for name, head in heads.items()
            if name not in walking.known and head not in walked and not walking.graph.has(head)
        ]
        if not is_cheaper(len(todo), pages):
            return
        everything = self._walks.graph_of(walking.project, todo)
        if everything is None:
            return
        with everything:
            for records in self._walks.everything(walking.project):
                fresh = [
                    one for one in records if everything.is_wanted(one["id"]) and not walking.graph.has(one["id"])
                ]
                walking.graph.add(fresh)
                yield Page(scope=walking.project.scope, records=fresh)

    def _walk(self, walking: _Walking, move: Move, *, revision: str = "", page: int = 1) -> Iterator[Page]:
        """
        Walk what came to one branch; where a sha of that was collected, what it has beside the default branch, or all.

        *revision* and *page* go on with a walk that was broken off.
        """
        default = walking.project.default_branch
        base = walking.known.get(default) if default is not None and default != move.branch else None
        choices = [
            (revision, page),
            (move.revision if move.old else "", 1),
            (beside(base, move.new), 1),
            (move.new, 1),
        ]
        tries = list(dict.fromkeys(choice for choice in choices if choice[0]))
        for chosen, start in tries:
            try:
                for number, one in enumerate(self._walks.pages(walking.project, chosen, page=start), start=start):
                    walking.graph.add(one.records)
                    if move.branch == default and chosen == move.new:
                        walking.default_pages = number
                    place = walking.place(move, chosen, one.following)
                    yield Page(scope=walking.project.scope, place=place, records=one.records)
                return
            except NotFound:
                walking.graph.clear()  # what a walk met that was broken off is not closed under parents
                if (chosen, start) == tries[-1]:
                    raise


@attrs.define(kw_only=True)
class _Walking:
    """What the walks of one project share."""

    project: Project
    known: dict[str, str]
    read: str | None
    graph: Graph
    default_pages: int | None = None  # of the default branch, where it was walked whole just now

    def place(self, move: Move, revision: str, following: int | None) -> Place:
        """The place behind a page of a walk."""
        heads = dict(self.known)
        place: Place = {"read": self.read, "mark": self.read, "path": self.project.path, "heads": heads}
        if following is None:
            heads[move.branch] = move.new
        else:
            place["walk"] = {"branch": move.branch, "new": move.new, "revision": revision, "page": following}
        return place


def _place(places: Mapping[str, Place], project: Project) -> Place:
    """Return the place of a project; none where its path is another one now, and with it the URL of every commit."""
    place = places.get(project.scope, {})
    return place if place.get("path") == project.path else {}
