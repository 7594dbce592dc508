"""
Pipelines: only projects have lists of them, so many projects are asked in one GraphQL request, or each by REST.

A window walks the projects by id, in three phases: those that are new are read whole; of the others what was updated
since the mark; once a day also what was created since the last such sweep, since a pipeline without `updated_at` is in
no window of updates. Child pipelines are asked for beside the others everywhere.

Not here: the queries and REST calls themselves (`pipeline_answers.py`).
Source: GitLab REST API docs, "Pipelines"; app/finders/ci/pipelines_finder.rb (children only with their own source).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Iterator, Mapping, Sequence

import attrs

from syncer.ahead import ahead
from syncer.clock import from_iso
from syncer.errors import NotFound, SyncerError
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.gitlab.api import Api, is_scoped, named, text_of
from syncer.sources.gitlab.located import Located, Location
from syncer.sources.gitlab.pipeline_answers import Batch, Filter, More, PipelineAnswers, as_record
from syncer.sources.gitlab.projects import HIDDEN, Project, Projects

NEW, CHANGED, SWEEP = "new", "changed", "sweep"
SWEEP_EVERY = dt.timedelta(hours=24)
SWEEP_OVERLAP = dt.timedelta(hours=24)
RECORDS_A_PAGE = 500


@attrs.frozen(kw_only=True)
class Window:
    """
    Where a window stands; a place is this as JSON.

    behind: the id of the last project of which everything was asked for, but for `more`.
    fresh: projects that are known once `more` is done.
    """

    opened: str
    mark: str | None
    swept: str | None
    is_sweeping: bool
    phase: str = NEW
    behind: int = 0
    more: tuple[More, ...] = ()
    fresh: tuple[tuple[int, str], ...] = ()

    @property
    def place(self) -> Place:
        """The place."""
        return {
            "mark": self.mark,
            "swept": self.swept,
            "window": {
                "opened": self.opened,
                "is_sweeping": self.is_sweeping,
                "phase": self.phase,
                "behind": self.behind,
                "more": [attrs.asdict(each) for each in self.more],
                "fresh": [list(each) for each in self.fresh],
            },
        }

    @property
    def end(self) -> Place:
        """The place when the window is finished."""
        swept = self.opened if self.is_sweeping or self.swept is None else self.swept
        return {"mark": self.opened, "swept": swept}

    @classmethod
    def of(cls, place: Place) -> Window:
        """Read back an open window."""
        window = place["window"]
        return cls(
            opened=window["opened"],
            mark=place["mark"],
            swept=place["swept"],
            is_sweeping=window["is_sweeping"],
            phase=window["phase"],
            behind=window["behind"],
            more=tuple(More(**each) for each in window["more"]),
            fresh=tuple((project, path) for project, path in window["fresh"]),
        )


class Pipelines:
    """The stream `pipelines`."""

    def __init__(self, api: Api, answers: PipelineAnswers, *, projects: Projects, workers: int) -> None:
        self._api = api
        self._answers = answers
        self._projects = projects
        self._workers = workers
        self._located = Located()
        self._read_as: dict[int, str] = {}  # the path under which each project was read whole
        self._counted: set[int] | None = None  # projects that this verb's census has read to their last page

    def read(self, places: Mapping[str, Place], lookback: dt.timedelta) -> Iterator[Page]:
        """Finish the window that is open, if one is, then open one for what came since."""
        self._projects.check_sight(places)
        self._read_as = {
            int(scope): place["path"] for scope, place in places.items() if scope.isdigit() and place.get("path")
        }
        projects = sorted(
            (project for project in self._projects.each() if project.has_pipelines), key=lambda one: one.id
        )
        place = places.get("", {})
        if "window" in place:
            window = Window.of(place)
            yield from self._finish(window, projects, lookback)
            place = window.end
        opened = self._api.opened
        swept = place.get("swept")
        is_sweeping = swept is not None and opened - from_iso(swept) >= SWEEP_EVERY
        window = Window(opened=text_of(opened), mark=place.get("mark"), swept=swept, is_sweeping=is_sweeping)
        yield from self._finish(window, projects, lookback)
        yield from self._projects.vanished(places, {project.id for project in projects})

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every pipeline of every project; the whole of those that were read to their last page."""
        self._projects.check_sight(places)
        self._located.is_confirmed = False
        has_failed = False
        done: set[int] = set()
        for project, part in self._each_whole():
            if part is None:
                done.add(project.id)
            elif isinstance(part, SyncerError):
                has_failed = True
                yield Page(scope=project.scope, error=part)
            else:
                yield Page(records=part)
        self._counted = done
        yield from self._projects.vanished(
            places, {project.id for project in self._projects.each() if project.has_pipelines}
        )
        has_failed = has_failed or bool(self._projects.failed)
        whole = Whole(columns=("project_id",), values=[(one,) for one in sorted(done)]) if has_failed else Whole()
        yield Page(whole=attrs.evolve(whole, first=False))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """
        Yield the pipelines of some ids; those that no walk meets are not there.

        Raises: what a project answers now that the census had read: its pipelines may be there.
        """
        ids = [key[0] for key in keys]
        found = self._located.find(ids)
        if len(found) < len(set(ids)) and not self._located.is_confirmed:
            for project, part in self._each_whole():
                if isinstance(part, SyncerError) and self._unsettles(project, part):
                    raise part
            self._located.is_confirmed = True
            found = self._located.find(ids)
        for at in found:
            try:
                row = self._api.get(f"/projects/{at.project_id}/pipelines/{at.id}").data
            except NotFound:
                continue
            yield Page(records=[as_record(row)])

    def close(self) -> None:
        """Let go of the temporary file."""
        self._located.close()

    def _finish(self, window: Window, projects: Sequence[Project], lookback: dt.timedelta) -> Iterator[Page]:
        """Read a window from where it stands to its end."""
        by_id = {project.id: project for project in projects}
        phases = [NEW, CHANGED, SWEEP] if window.is_sweeping else [NEW, CHANGED]
        known = dict(self._read_as)  # what is read whole in this window is not asked for its changes as well
        for phase in phases[phases.index(window.phase) :]:
            if window.phase != phase:
                window = attrs.evolve(window, phase=phase, behind=0, more=(), fresh=())
            is_new = phase == NEW
            if not is_new and window.mark is None:
                continue
            chosen = [one for one in projects if (known.get(one.id) != one.path) is is_new]
            asked = self._filter(window, lookback)
            window = yield from self._follow(window, by_id, asked)
            window = yield from self._phase(window, [one for one in chosen if one.id > window.behind], by_id, asked)
        yield Page(place=window.end, mark=window.opened)

    def _filter(self, window: Window, lookback: dt.timedelta) -> Filter:
        if window.phase == CHANGED and window.mark is not None:
            return Filter(updated_after=text_of(from_iso(window.mark) - lookback))
        if window.phase == SWEEP and window.swept is not None:
            return Filter(created_after=text_of(from_iso(window.swept) - SWEEP_OVERLAP))
        return Filter()

    def _phase(
        self, window: Window, projects: Sequence[Project], by_id: Mapping[int, Project], asked: Filter
    ) -> Generator[Page, None, Window]:
        """Ask the projects of a phase, some at a time, and follow what each has more."""
        batches = ahead(
            lambda batch: self._answers.first(batch, asked),
            self._answers.batches(projects, asked),
            workers=self._workers,
        )
        for batch in batches:
            window = attrs.evolve(window, behind=batch.projects[-1].id, more=batch.more, fresh=())
            if window.phase == NEW:
                window = attrs.evolve(window, fresh=tuple((one.id, one.path) for one in batch.good))
            yield from self._records(batch.records, window)
            for project, error in batch.errors:
                yield from self._failed(project, error)
            window = yield from self._follow(window, by_id, asked)
        return window

    @staticmethod
    def _records(records: Sequence[Record], window: Window) -> Iterator[Page]:
        """Yield records in pages of a bearable size; the place comes with the last."""
        for start in range(0, max(1, len(records)), RECORDS_A_PAGE):
            part = records[start : start + RECORDS_A_PAGE]
            is_last = start + RECORDS_A_PAGE >= len(records)
            yield Page(records=part, place=window.place if is_last else None)

    def _follow(self, window: Window, by_id: Mapping[int, Project], asked: Filter) -> Generator[Page, None, Window]:
        """Read what the first answer did not hold of some projects, then note which are known now."""
        while window.more:
            project = by_id.get(window.more[0].project_id)
            if project is None:  # it went out of sight since: when it comes back, it is new
                window = _without(window, window.more[0].project_id)
                continue
            now = [more for more in window.more if more.project_id == project.id]
            try:
                records, further = self._answers.next(project, now[0], asked)
            except SyncerError as error:
                if not is_scoped(error):
                    raise
                window = _without(window, project.id)
                yield from self._failed(project, error)
                continue
            left = [more for more in window.more if more != now[0]]
            window = attrs.evolve(window, more=(*((further,) if further else ()), *left))
            yield from self._records(records, window)
        for project_id, path in window.fresh:
            self._read_as[project_id] = path
            yield Page(scope=str(project_id), place={"path": path})
        return attrs.evolve(window, fresh=())

    def _failed(self, project: Project, error: SyncerError) -> Iterator[Page]:
        """Tell that a project failed; it is read whole once it does not any more."""
        self._read_as.pop(project.id, None)
        yield Page(scope=project.scope, place=HIDDEN)
        yield Page(scope=project.scope, error=named(error, f"{project}, pipelines"))

    def _unsettles(self, project: Project, error: SyncerError) -> bool:
        """Tell whether what a project answers leaves open which pipelines are there."""
        return not isinstance(error, NotFound) if self._counted is None else project.id in self._counted

    def _each_whole(self) -> Iterator[tuple[Project, list[Record] | SyncerError | None]]:
        """
        Yield all pipelines of all projects, page by page, and note where each is.

        Behind a project's last page comes None; where one failed, its error instead.
        """
        asked = Filter()
        projects = (project for project in self._projects.each() if project.has_pipelines)
        batches: Iterator[Batch] = ahead(
            lambda batch: self._answers.first(batch, asked),
            self._answers.batches(list(projects), asked),
            workers=self._workers,
        )
        for batch in batches:
            by_id = {project.id: project for project in batch.projects}
            failed = dict(batch.errors)
            for project in batch.good:
                yield project, self._noted([row for row in batch.records if row["project_id"] == project.id])
            todo = list(batch.more)
            while todo:
                more = todo.pop(0)
                project = by_id[more.project_id]
                if project in failed:
                    continue
                try:
                    records, further = self._answers.next(project, more, asked)
                except SyncerError as error:
                    if not is_scoped(error):
                        raise
                    failed[project] = error
                    continue
                todo[:0] = [further] if further else []
                yield project, self._noted(records)
            for project in batch.projects:
                trouble = failed.get(project)
                yield project, named(trouble, f"{project}, pipelines") if trouble is not None else None

    def _noted(self, records: list[Record]) -> list[Record]:
        self._located.put(Location(row["id"], row["project_id"], row["iid"]) for row in records)
        return records


def _without(window: Window, project_id: int) -> Window:
    return attrs.evolve(
        window,
        more=tuple(more for more in window.more if more.project_id != project_id),
        fresh=tuple(each for each in window.fresh if each[0] != project_id),
    )
