"""
Asking for pipelines: many projects in one GraphQL query, or one project by REST; both as records of the same shape.

GraphQL has whole seconds, so REST's times are cut to them. A pipeline without `updated_at` makes GraphQL answer with
an error and a hole; that project is asked by REST.

Not here: which projects are asked for what (`pipelines.py`).
Source: GitLab REST API docs, "Pipelines"; GraphQL API reference, "Project.pipelines" (newest id first).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import values
from syncer.errors import AnswerError, SyncerError
from syncer.sources import Record
from syncer.sources.gitlab.api import PER_PAGE, Api, is_scoped
from syncer.sources.gitlab.graphql import GraphQL, Reply, Size, TooLargeError, last_segment, quoted
from syncer.sources.gitlab.lists import ById, by_id
from syncer.sources.gitlab.projects import Project

OWN, CHILDREN = "own", "children"
FIRST = 20  # pipelines of each project that are asked at once where only changes are wanted
FIELDS = "id iid status source ref sha name createdAt updatedAt"
CONNECTION = f"nodes {{ {FIELDS} }} pageInfo {{ endCursor hasNextPage }}"
_FRACTION = re.compile(r"\.\d+")


@attrs.frozen(kw_only=True)
class Filter:
    """Which pipelines are wanted; neither: all. Both times are inclusive."""

    updated_after: str | None = None
    created_after: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether all are wanted."""
        return self.updated_after is None and self.created_after is None


@attrs.frozen(kw_only=True)
class More:
    """Where one project's list goes on: by GraphQL behind a cursor, or by REST behind an id."""

    project_id: int
    part: str
    cursor: str | None = None
    seen: int = 0
    last: int = 0


@attrs.frozen(kw_only=True)
class Batch:
    """The first answer of some projects."""

    projects: Sequence[Project]
    records: list[Record] = attrs.field(factory=list)
    more: tuple[More, ...] = ()
    errors: tuple[tuple[Project, SyncerError], ...] = ()

    @property
    def good(self) -> list[Project]:
        """The projects that answered."""
        bad = {project.id for project, _ in self.errors}
        return [project for project in self.projects if project.id not in bad]

    def __add__(self, other: Batch) -> Batch:
        return Batch(
            projects=[*self.projects, *other.projects],
            records=self.records + other.records,
            more=self.more + other.more,
            errors=self.errors + other.errors,
        )


class PipelineAnswers:
    """Asks; safe for threads."""

    def __init__(self, api: Api, graphql: GraphQL) -> None:
        self._api = api
        self._graphql = graphql
        self._few = Size(50, most=100)  # projects in a query, where FIRST of each are asked
        self._many = Size(5, most=20)  # where PER_PAGE of each are

    def batches(self, projects: Sequence[Project], asked: Filter) -> Iterator[list[Project]]:
        """Put projects together as many as one request may ask for."""
        start = 0
        while start < len(projects):
            size = (self._many if asked.is_open else self._few).now if self._graphql.is_there else 1
            yield list(projects[start : start + size])
            start += size

    def first(self, projects: list[Project], asked: Filter) -> Batch:
        """Ask for the first pipelines of some projects."""
        if not self._graphql.is_there:
            return self._by_rest(projects[0], asked)
        try:
            reply = self._query(projects, asked)
        except TooLargeError:
            if len(projects) == 1:
                return self._by_rest(projects[0], asked)
            (self._many if asked.is_open else self._few).halve(len(projects))
            middle = len(projects) // 2
            return self.first(projects[:middle], asked) + self.first(projects[middle:], asked)
        nodes = (reply.data.get("projects") or {}).get("nodes") or ()
        found = {last_segment(node["id"]): node for node in nodes if isinstance(node, dict)}
        together = Batch(projects=[])
        for project in projects:
            batch = self._of_node(project, found.get(project.id), asked)
            together += batch if batch is not None else self._by_rest(project, asked)
        return together

    def next(self, project: Project, more: More, asked: Filter) -> tuple[list[Record], More | None]:
        """Ask for the pipelines behind those that came; a cursor that does not lead on is left for REST."""
        if more.cursor is not None and self._graphql.is_there:
            query = f"projects(ids: [{_gid(project)}], first: 1) {{ nodes {{ id {_connection(more, asked)} }} }}"
            try:
                reply = self._graphql.ask(query)
            except TooLargeError:
                return [], More(project_id=project.id, part=more.part)
            nodes = (reply.data.get("projects") or {}).get("nodes") or [None]
            step = self._of_connection(project, more.part, (nodes[0] or {}).get(more.part), asked)
            return step if step is not None else ([], More(project_id=project.id, part=more.part))
        return self._rest_page(project, attrs.evolve(more, cursor=None), asked)

    def _query(self, projects: Sequence[Project], asked: Filter) -> Reply:
        first = PER_PAGE if asked.is_open else FIRST
        lists = " ".join(_connection(More(project_id=0, part=part), asked, first=first) for part in (OWN, CHILDREN))
        ids = ", ".join(map(_gid, projects))
        reply = self._graphql.ask(f"projects(ids: [{ids}], first: {len(projects)}) {{ nodes {{ id {lists} }} }}")
        (self._many if asked.is_open else self._few).learn(reply, len(projects))
        return reply

    def _of_node(self, project: Project, node: Mapping[str, Any] | None, asked: Filter) -> Batch | None:
        """Read what one project's node holds; None where it has a hole."""
        if node is None:
            return None
        records: list[Record] = []
        more = []
        for part in (OWN, CHILDREN):
            step = self._of_connection(project, part, node.get(part), asked)
            if step is None:
                return None
            records += step[0]
            more += [step[1]] if step[1] is not None else []
        return Batch(projects=[project], records=records, more=tuple(more))

    @staticmethod
    def _of_connection(
        project: Project, part: str, connection: Any, asked: Filter
    ) -> tuple[list[Record], More | None] | None:
        """Turn a connection into REST's records, and where it goes on; None where it has a hole."""
        if not isinstance(connection, dict):
            return None
        nodes, info = connection.get("nodes"), connection.get("pageInfo") or {}
        if nodes is None or not all(isinstance(node, dict) for node in nodes):
            return None
        records = [_of_graphql(project, node) for node in nodes]
        if not info.get("hasNextPage") or _is_behind(records, asked):
            return records, None
        if not info.get("endCursor"):
            raise AnswerError(f"{project}, pipelines: another page follows, but GraphQL gives no cursor to it.")
        return records, More(project_id=project.id, part=part, cursor=info["endCursor"])

    def _by_rest(self, project: Project, asked: Filter) -> Batch:
        """Ask one project by REST: its own pipelines, then the children."""
        records: list[Record] = []
        more = []
        try:
            for part in (OWN, CHILDREN):
                rows, further = self._rest_page(project, More(project_id=project.id, part=part), asked)
                records += rows
                more += [further] if further is not None else []
        except SyncerError as error:
            if not is_scoped(error):
                raise
            return Batch(projects=[project], errors=((project, error),))
        return Batch(projects=[project], records=records, more=tuple(more))

    def _rest_page(self, project: Project, more: More, asked: Filter) -> tuple[list[Record], More | None]:
        path = f"/projects/{project.id}/pipelines"
        params: dict[str, str | int] = {"order_by": "id", "sort": "asc"}
        if more.part == CHILDREN:
            params["source"] = "parent_pipeline"
        if asked.updated_after is not None:
            params["updated_after"] = asked.updated_after
        if asked.created_after is not None:
            params["created_after"] = asked.created_after
        at = ById(seen=more.seen, last=more.last)
        rows, behind = next(by_id(lambda query, again: self._api.get(path, query), params, at))
        further = attrs.evolve(more, seen=behind.seen, last=behind.last) if behind is not None else None
        return [as_record(row) for row in rows], further


def _gid(project: Project) -> str:
    return quoted(f"gid://gitlab/Project/{project.id}")


def _connection(more: More, asked: Filter, *, first: int = PER_PAGE) -> str:
    arguments = [f"first: {first}"]
    if more.part == CHILDREN:
        arguments.append('source: "parent_pipeline"')
    if asked.updated_after is not None:
        arguments.append(f"updatedAfter: {quoted(asked.updated_after)}")
    if more.cursor is not None:
        arguments.append(f"after: {quoted(more.cursor)}")
    return f"{more.part}: pipelines({', '.join(arguments)}) {{ {CONNECTION} }}"


def _is_behind(records: Sequence[Record], asked: Filter) -> bool:
    """Tell whether a page, newest first, lies wholly before what a sweep wants."""
    if asked.created_after is None or not records:
        return False
    bound = values.timestamp(asked.created_after)
    return all(values.timestamp(record["created_at"]) < bound for record in records)


def _of_graphql(project: Project, node: Mapping[str, Any]) -> Record:
    number = last_segment(node["id"])
    return {
        "id": number,
        "iid": int(node["iid"]),
        "project_id": project.id,
        "status": str(node["status"]).lower(),
        "source": node["source"],
        "ref": node["ref"],
        "sha": node["sha"],
        "name": node["name"],
        "web_url": f"{project.web_url}/-/pipelines/{number}",
        "created_at": _seconds(node["createdAt"]),
        "updated_at": _seconds(node["updatedAt"]),
    }


def as_record(row: Record) -> Record:
    """Cut the times of REST's record to whole seconds: GraphQL has no more, and both must be equal."""
    return {**row, "created_at": _seconds(row.get("created_at")), "updated_at": _seconds(row.get("updated_at"))}


def _seconds(text: Any) -> Any:
    return _FRACTION.sub("", text, count=1) if isinstance(text, str) else text
