"""
Where a GitLab's rows are kept and found: by id, by project, by path; who may see what.

Not here: the rows (`gitlab.rows`), their changes (`gitlab.edits`), tokens (`gitlab.access`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

import attrs

from syncer.sandbox.gitlab.git import Repository
from syncer.sandbox.gitlab.rows import Event, Group, Issue, MergeRequest, Milestone, Pipeline, Project, User

T = TypeVar("T")
MAX_CACHED = 64


class TellsTime(Protocol):
    """What a GitLab needs of a clock (`clock.Clock` is one)."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        ...

    def advance(self, seconds: float) -> object:
        """Put the clock *seconds* on."""
        ...


@attrs.define(kw_only=True, eq=False)
class Store:
    """The rows of one GitLab instance, with the ways to find them."""

    users: dict[int, User] = attrs.field(factory=dict)
    groups: dict[int, Group] = attrs.field(factory=dict)
    milestones: dict[int, Milestone] = attrs.field(factory=dict)
    projects: dict[int, Project] = attrs.field(factory=dict)
    issues: dict[int, Issue] = attrs.field(factory=dict)
    merge_requests: dict[int, MergeRequest] = attrs.field(factory=dict)
    pipelines: dict[int, Pipeline] = attrs.field(factory=dict)
    repositories: dict[int, Repository] = attrs.field(factory=dict)
    issues_of: dict[int, dict[int, Issue]] = attrs.field(factory=dict)  # project id: iid: issue
    merge_requests_of: dict[int, dict[int, MergeRequest]] = attrs.field(factory=dict)  # project id: iid: merge request
    pipelines_of: dict[int, dict[int, Pipeline]] = attrs.field(factory=dict)  # project id: id: pipeline
    events_of: dict[int, list[Event]] = attrs.field(factory=dict)
    paths: dict[str, int] = attrs.field(factory=dict)  # full path in lower case, present and past ones: project id
    _ids: dict[str, int] = attrs.field(factory=dict)
    _iids: dict[tuple[str, int], int] = attrs.field(factory=dict)
    _cache: dict[Hashable, Any] = attrs.field(factory=dict)

    def changed(self) -> None:
        """Forget what was computed from rows that have changed."""
        self._cache.clear()

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what *make* returns, computed once until the next change, or until it was not asked for long."""
        found = self._cache.pop(key) if key in self._cache else make()
        if len(self._cache) >= MAX_CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = found
        return cast(T, found)

    def next_id(self, kind: str, *, start: int = 1, step: int = 1) -> int:
        """Return a new id of *kind*; never one that was given before, deleted or not."""
        self._ids[kind] = self._ids.get(kind, start - step) + step
        return self._ids[kind]

    def next_iid(self, kind: str, project_id: int) -> int:
        """Return a new iid of *kind* in a project."""
        key = (kind, project_id)
        self._iids[key] = self._iids.get(key, 0) + 1
        return self._iids[key]

    def add_project(self, project: Project) -> Project:
        """Store *project*, without a repository."""
        self.projects[project.id] = project
        self.issues_of[project.id] = {}
        self.merge_requests_of[project.id] = {}
        self.pipelines_of[project.id] = {}
        self.events_of[project.id] = []
        self.paths[self.path_of(project).lower()] = project.id
        return project

    def add_issue(self, issue: Issue) -> Issue:
        """Store *issue*."""
        self.issues[issue.id] = self.issues_of[issue.project_id][issue.iid] = issue
        return issue

    def add_merge_request(self, merge_request: MergeRequest) -> MergeRequest:
        """Store *merge_request*."""
        self.merge_requests[merge_request.id] = merge_request
        self.merge_requests_of[merge_request.project_id][merge_request.iid] = merge_request
        return merge_request

    def add_pipeline(self, pipeline: Pipeline) -> Pipeline:
        """Store *pipeline*."""
        self.pipelines[pipeline.id] = self.pipelines_of[pipeline.project_id][pipeline.id] = pipeline
        return pipeline

    def remove_project(self, project_id: int) -> None:
        """Remove a project with all that is in it; its path is free again."""
        for issue in self.issues_of.pop(project_id).values():
            del self.issues[issue.id]
        for merge_request in self.merge_requests_of.pop(project_id).values():
            del self.merge_requests[merge_request.id]
        for pipeline_id in self.pipelines_of.pop(project_id):
            del self.pipelines[pipeline_id]
        self.events_of.pop(project_id)
        self.repositories.pop(project_id, None)
        del self.projects[project_id]
        self.paths = {path: owner for path, owner in self.paths.items() if owner != project_id}

    def path_of(self, project: Project) -> str:
        """Return the full path that *project* has now."""
        return f"{self.groups[project.namespace_id].full_path}/{project.path}"

    def repository_of(self, project: Project) -> Repository | None:
        """Return the repository that the API would read: None where there is none, or the feature is off."""
        return self.repositories.get(project.id) if project.repository_on else None

    def group_by_path(self, path: str) -> Group | None:
        """Return the group of a full path."""
        return next((group for group in self.groups.values() if group.full_path.lower() == path.lower()), None)

    def subgroup_ids(self, group_id: int) -> set[int]:
        """Return the ids of a group and of all groups below it."""
        found = {group_id}
        waiting = [group_id]
        while waiting:
            parent = waiting.pop()
            below = [group.id for group in self.groups.values() if group.parent_id == parent]
            found.update(below)
            waiting.extend(below)
        return found

    def is_visible(self, project: Project, user: User | None) -> bool:
        """Whether *user* (None: nobody, no token) sees *project*."""
        if project.visibility == "public":
            return True
        if user is None:
            return False
        return user.is_admin or project.visibility == "internal" or user.id in project.members

    def visible_projects(self, user: User | None) -> dict[int, Project]:
        """Return the projects that *user* sees, by id, ascending."""
        return self.cached(("visible", user and user.id), lambda: self._visible(user))

    def _visible(self, user: User | None) -> dict[int, Project]:
        return {key: self.projects[key] for key in sorted(self.projects) if self.is_visible(self.projects[key], user)}
