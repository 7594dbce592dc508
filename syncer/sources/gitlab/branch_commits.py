"""
Which commits each branch reaches: one row a commit and branch, derived from heads.

A branch that moved: what came between its old head and its new one, and, unless the new one grew out of the old one,
what left. A branch that is new, or whose old head was collected, is written whole, out of the graph of its project's
commits: the default branch once, and of each other one what it has beside it. A branch that went is an empty slice.

The details of a commit (`commit`) stand in a row only where a field asks for them. They cost no request, since the
walks bring them, but a graph that keeps them is larger.

Not here: the commits themselves (`commits.py`), whose walks these are in the same verb.
Source: GitLab REST API docs, "Commits"; gitrevisions(7).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import attrs

from syncer.ahead import ahead
from syncer.errors import NotFound, SyncerError
from syncer.mapping import Field
from syncer.sources import DELETED, Key, Page, Place, Record, State, Whole
from syncer.sources.gitlab.api import Api, is_scoped, named, text_of
from syncer.sources.gitlab.projects import Project, Projects
from syncer.sources.gitlab.refs import RefLists, census_whole, is_due
from syncer.sources.gitlab.walks import (
    Graph,
    Move,
    Walks,
    beside,
    details_of,
    heads_of,
    is_cheaper,
    known_heads,
    moves,
    reaches_back,
)

COMMIT = "commit"  # where the details of a commit stand in a row
CAME, LEFT, ALL = "came", "left", "all"
GONE_KEPT = 200  # names of branches that went, which the place of a project keeps


@attrs.frozen(kw_only=True)
class Heads:
    """A project that is due, with the heads of its branches now, or why there are none."""

    project: Project
    now: Mapping[str, str] = attrs.field(factory=dict)
    error: SyncerError | None = None


class BranchCommits:
    """The stream `branch_commits`."""

    def __init__(self, lists: RefLists, walks: Walks, api: Api, *, projects: Projects, workers: int) -> None:
        self._lists = lists
        self._walks = walks
        self._api = api
        self._projects = projects
        self._workers = workers
        self._has_details = False

    def ask(self, fields: Sequence[Field]) -> None:
        """Note whether any of *fields* stands in the details of a commit."""
        self._has_details = any(field.steps[:1] == (COMMIT,) for field in fields)

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield what changed in the branches of the projects that are due."""
        self._projects.check_sight(places)
        mark = text_of(self._api.opened)
        present: set[int] = set()
        for scope, place in places.items():
            if place.get("gone"):
                # `max_gone_share` may have kept their rows, though GitLab told that they went: so each pull tells it
                yield Page(scope=_slice_scope(int(scope), ""), whole=_slices(int(scope), place["gone"]))
        for heads in ahead(
            lambda project: self._heads(project, known_heads(places.get(project.scope, {}))),
            self._due(places, present),
            workers=self._workers,
        ):
            scope = heads.project.scope
            if heads.error is not None:
                yield Page(scope=scope, error=heads.error)
                continue
            try:
                yield from self._project(heads, places.get(scope, {}))
            except SyncerError as error:
                if not is_scoped(error):
                    raise
                yield Page(scope=scope, error=named(error, f"{heads.project}, commits of branches"))
        yield from self._projects.vanished(places, present)
        yield Page(place={"mark": mark}, mark=mark)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every commit of every branch."""
        self._projects.check_sight(places)
        present: set[int] = set()
        done: list[tuple[int]] = []
        has_failed = False
        projects = self._projects.with_repository(present)
        for heads in ahead(lambda project: self._heads(project, {}), projects, workers=self._workers):
            try:
                if heads.error is not None:
                    raise heads.error
                for branch, commits in self._derived(heads.project, heads.now, list(heads.now), has_details=False):
                    yield Page(records=_rows(heads.project.id, branch, commits))
                done.append((heads.project.id,))
                yield from _doubted(heads, places.get(heads.project.scope, {}))
            except SyncerError as error:
                if not is_scoped(error):
                    raise
                has_failed = True
                yield Page(scope=heads.project.scope, error=named(error, f"{heads.project}, commits of branches"))
        yield from self._projects.vanished(places, present)
        yield Page(whole=census_whole(done, has_failed=has_failed or bool(self._projects.failed)))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield those of some keys that are so now."""
        wanted = set(keys)
        ids = {key[0] for key in keys}
        for project in self._projects.each():
            if project.id not in ids or not project.has_repository:
                continue
            heads = self._heads(project, {})
            if heads.error is not None:
                raise heads.error
            branches = sorted({key[1] for key in keys if key[0] == project.id and key[1] in heads.now})
            for branch, commits in self._derived(project, heads.now, branches, has_details=True):
                some = [commit for commit in commits if (project.id, branch, commit["id"]) in wanted]
                yield Page(records=_rows(project.id, branch, some, has_details=True))

    def _due(self, places: Mapping[str, Place], present: set[int]) -> Iterator[Project]:
        for project in self._projects.with_repository(present):
            place = places.get(project.scope, {})
            if "walk" in place or is_due(project, place, self._api.opened):
                yield project

    def _heads(self, project: Project, known: Mapping[str, str]) -> Heads:
        proven = self._lists.prove(project, before=len(known))
        if proven.error is not None:
            return Heads(project=project, error=proven.error)
        return Heads(project=project, now=heads_of(self._lists, proven))

    def _project(self, heads: Heads, place: Place) -> Iterator[Page]:
        """
        Bring one project's branches up to date.

        A walk of a new project that was broken off begins anew where it has met rows that are no longer so: commits of
        it were collected since, or the branch that it was in went or moved.
        """
        try:
            yield from self._from(heads, _anew(place, heads.now) if _is_stale(place, heads.now) else place)
        except NotFound:
            if place.get("open") is not True:
                raise
            yield from self._from(heads, _anew(place, heads.now))

    def _from(self, heads: Heads, place: Place) -> Iterator[Page]:
        """Bring one project's branches up to date, from a place on."""
        project, now, mark = heads.project, heads.now, text_of(self._api.opened)
        known = known_heads(place)
        is_begun = place.get("open") is True
        gone = [name for name in known if name not in now]
        before = [name for name in place.get("gone", ()) if name not in now and name not in gone]
        state = _State(
            project=project,
            read=place.get("read"),
            known=known,
            is_open=is_begun or not known,
            is_begun=is_begun,
            gone=[*before, *gone][-GONE_KEPT:],
            writing=dict(place.get("writing", {})),
        )
        if gone:
            for name in gone:
                del known[name]
            yield Page(scope=_slice_scope(project.id, ""), whole=_slices(project.id, gone))
            yield Page(scope=project.scope, place=state.place())
        whole: set[str] = set()
        if "walk" in place and place["walk"]["branch"] in now:
            yield from self._resumed(state, place["walk"], whole)
        for move in moves(known, now, project.default_branch):
            if move.old is None:
                whole.add(move.branch)
            elif move.branch not in whole:
                yield from self._moved(state, move, whole)
        yield from self._written_whole(state, now, whole)
        done: Place = {"read": mark, "mark": mark, "heads": dict(now), **state.kept()}
        yield Page(scope=project.scope, place=done, mark=mark, whole=state.whole(is_last=True))

    def _resumed(self, state: _State, walk: Place, whole: set[str]) -> Iterator[Page]:
        """Go on with the walk that was broken off."""
        move = Move(branch=walk["branch"], old=walk["old"], new=walk["new"])
        if walk["part"] == ALL:
            with self._graph() as graph:
                yield from self._default(state, move, graph, page=walk["page"])
        else:
            yield from self._moved(state, move, whole, part=walk["part"], page=walk["page"])

    def _moved(self, state: _State, move: Move, whole: set[str], *, part: str = CAME, page: int = 1) -> Iterator[Page]:
        """Yield what came to a branch and what left it; where a sha was collected, note it in *whole*."""
        project = state.project
        has_grown = False
        try:
            if part == CAME:
                for one in self._walks.pages(project, f"{move.old}..{move.new}", page=page):
                    has_grown = has_grown or reaches_back(one.records, str(move.old))
                    rows = self._rows(project.id, move.branch, one.records)
                    yield state.page(rows, place=state.place(move, CAME, one.following))
                page = 1
            if not has_grown:
                for one in self._walks.pages(project, f"{move.new}..{move.old}", page=page):
                    left = [
                        State(key=(project.id, move.branch, record["id"]), state=DELETED) for record in one.records
                    ]
                    yield state.page(states=left, place=state.place(move, LEFT, one.following))
        except NotFound:
            if state.is_open:
                raise
            whole.add(move.branch)
            return
        state.known[move.branch] = move.new

    def _written_whole(self, state: _State, now: Mapping[str, str], whole: set[str]) -> Iterator[Page]:
        """
        Write branches whole, out of the graph of their project.

        Where the project is new, all of them are one walk, so that a branch that we do not know of ends as well; its
        default branch is written page by page as it is walked. Else each branch is a slice.
        """
        if not whole:
            return
        project, default = state.project, state.project.default_branch
        with self._graph() as graph:
            if state.is_open and default in whole and default is not None:
                yield from self._default(state, Move(branch=default, old=None, new=now[default]), graph)
                whole = whole - {default}
            for branch, pages in self._others(project, now, sorted(whole), graph):
                if state.is_open:
                    state.writing[branch] = now[branch]
                    for commits in pages:
                        yield state.page(self._rows(project.id, branch, commits), place=state.place())
                    del state.writing[branch]
                else:
                    yield from self._slice(project, branch, pages)
                state.known[branch] = now[branch]
                yield state.page(place=state.place())

    def _default(self, state: _State, move: Move, graph: Graph, *, page: int = 1) -> Iterator[Page]:
        """Walk the whole of one branch, each page with its place."""
        state.writing[move.branch] = move.new
        for one in self._walks.pages(state.project, move.new, page=page):
            graph.add(one.records)
            rows = self._rows(state.project.id, move.branch, one.records)
            if one.following is None:
                del state.writing[move.branch]
            yield state.page(rows, place=state.place(move, ALL, one.following))
        state.known[move.branch] = move.new

    def _slice(self, project: Project, branch: str, pages: Iterator[list[Record]]) -> Iterator[Page]:
        """Yield one branch as a walk of a scope of its own."""
        is_first = True
        held: list[Record] = []
        base = _slices(project.id, [branch])
        scope = _slice_scope(project.id, branch)
        for commits in pages:
            if held:
                rows = self._rows(project.id, branch, held)
                yield Page(scope=scope, records=rows, whole=attrs.evolve(base, first=is_first, last=False))
                is_first = False
            held = commits
        yield Page(scope=scope, records=self._rows(project.id, branch, held), whole=attrs.evolve(base, first=is_first))

    def _derived(
        self, project: Project, now: Mapping[str, str], branches: Sequence[str], *, has_details: bool
    ) -> Iterator[tuple[str, list[Record]]]:
        """Yield the commits of branches out of the graph alone."""
        with Graph(keeps_details=has_details) as graph:
            for branch, pages in self._others(project, now, branches, graph):
                for commits in pages:
                    yield branch, commits

    def _others(
        self, project: Project, now: Mapping[str, str], branches: Sequence[str], graph: Graph
    ) -> Iterator[tuple[str, Iterator[list[Record]]]]:
        """Yield branches with what each reaches; the default branch is walked first where the graph lacks it."""
        if not branches:
            return
        default, pages = now.get(project.default_branch or ""), None
        if default is not None:
            pages = self._fill(project, default, graph)
        todo = [now[branch] for branch in branches if not graph.has(now[branch])]
        everything = (
            self._walks.graph_of(project, todo, keeps_details=graph.keeps_details)
            if is_cheaper(len(todo), pages)
            else None
        )
        with everything or contextlib.nullcontext():
            for branch in branches:
                head = now[branch]
                if graph.has(head) or everything is None:
                    if not graph.has(head):
                        self._fill(project, beside(default, head), graph)
                    yield branch, graph.reach(head)
                else:
                    yield branch, everything.reach(head)

    def _graph(self) -> Graph:
        return Graph(keeps_details=self._has_details)

    def _rows(self, project_id: int, branch: str, commits: Sequence[Record]) -> list[Record]:
        return _rows(project_id, branch, commits, has_details=self._has_details)

    def _fill(self, project: Project, revision: str, graph: Graph) -> int:
        """Walk into the graph; return how many pages that were."""
        pages = 0
        for one in self._walks.pages(project, revision):
            graph.add(one.records)
            pages += 1
        return pages


@attrs.define(kw_only=True)
class _State:
    """How far one project is."""

    project: Project
    read: str | None
    known: dict[str, str]
    is_open: bool  # the project is new: all that is read of it is one walk, which ends what is not in it
    is_begun: bool  # that walk has begun, in this run or in an earlier one
    gone: Sequence[str]  # branches that went, the last one last
    writing: dict[str, str]  # branches that the open walk holds half of, and their heads

    def page(
        self, records: Sequence[Record] = (), *, states: Sequence[State] = (), place: Place | None = None
    ) -> Page:
        """A page of the project, in its walk where one is open."""
        whole = self.whole(is_last=False)
        self.is_begun = True
        return Page(scope=self.project.scope, place=place, records=records, states=states, whole=whole)

    def whole(self, *, is_last: bool) -> Whole | None:
        """What the page is all of: the project, where its walk is open."""
        if not self.is_open:
            return None
        return Whole(
            columns=("project_id",),
            values=[(self.project.id,)],
            absent=DELETED,
            first=not self.is_begun,
            last=is_last,
        )

    def place(self, move: Move | None = None, part: str = "", following: int | None = None) -> Place:
        """The place: the heads that are done, and the walk under way; what came is followed by what left."""
        place: Place = {"read": self.read, "mark": self.read, "heads": dict(self.known), **self.kept()}
        if self.is_open:
            place["open"] = True
        if self.writing:
            place["writing"] = dict(self.writing)
        if move is None:
            return place
        if following is None and part == CAME:
            part, following = LEFT, 1
        if following is None:
            place["heads"][move.branch] = move.new
        else:
            place["walk"] = {
                "branch": move.branch, "old": move.old, "new": move.new, "part": part, "page": following
            }  # fmt: skip
        return place

    def kept(self) -> Place:
        """What every place of the project keeps."""
        return {"gone": list(self.gone)} if self.gone else {}


def _is_stale(place: Place, now: Mapping[str, str]) -> bool:
    """Tell whether an open walk was broken off in a branch that went, or that is another one than was half written."""
    if place.get("open") is not True:
        return False
    walked = place["walk"]["branch"] if "walk" in place else None  # a walk goes on at its sha, then to the head
    writing: Place = place.get("writing", {})
    return any(name not in now or (now[name] != head and name != walked) for name, head in writing.items())


def _anew(place: Place, now: Mapping[str, str]) -> Place:
    """Return the place of a project that begins anew: only the branches that went are still known."""
    names = [*place.get("gone", ()), *place.get("heads", ()), *place.get("writing", ())]
    return {"gone": [name for name in dict.fromkeys(names) if name not in now]}


def _doubted(heads: Heads, place: Place) -> Iterator[Page]:
    """
    Yield the place of a project of which a census met other heads than it knows.

    The census leaves the rows of the heads that it met, so the heads before say nothing any more: a branch that is
    back at its old one would never be read. These branches are written whole by the next pull.
    """
    known = known_heads(place)
    same = {name: sha if heads.now.get(name) == sha else "" for name, sha in known.items()}
    if same == known:
        return
    place = {**place, "read": None, "heads": same}
    if "walk" in place and place["walk"]["part"] != ALL and not same.get(place["walk"]["branch"]):
        del place["walk"]
    yield Page(scope=heads.project.scope, place=place)


def _slices(project_id: int, branches: Sequence[str]) -> Whole:
    return Whole(columns=("project_id", "branch"), values=[(project_id, name) for name in branches], absent=DELETED)


def _slice_scope(project_id: int, branch: str) -> str:
    """Name the scope of one branch's slice: several walks must not meet in one scope."""
    return f"{project_id} {branch}"


def _rows(project_id: int, branch: str, commits: Sequence[Record], *, has_details: bool = False) -> list[Record]:
    base = {"project_id": project_id, "branch": branch}
    if not has_details:
        return [{**base, "sha": commit["id"]} for commit in commits]
    return [{**base, "sha": commit["id"], COMMIT: details_of(commit)} for commit in commits]
