"""
What a GitLab's token may see right now, whole: what a test compares a warehouse with.

Records have the API's own shape. `references.relative` depends on the list that a record came from (here: the
project's), and `merge_status` is the settled one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from syncer.sandbox.gitlab.git import Repository
from syncer.sandbox.gitlab.git_shapes import branch_record, commit_record, merge_request_commit, tag_record
from syncer.sandbox.gitlab.rows import Project, User
from syncer.sandbox.gitlab.shapes import Record, Shapes

Pair = tuple[tuple[Any, ...], Record]


@attrs.frozen(kw_only=True)
class Truth:
    """The streams, for one user."""

    shapes: Shapes
    user: User
    is_member_only: bool = False  # True: only the projects that the user is a member of

    def of(self, stream: str) -> dict[tuple[Any, ...], Record]:
        """Return every record of *stream* by its key."""
        streams: dict[str, Callable[[], Iterator[Pair]]] = {
            "projects": self._project_records,
            "issues": self._issues,
            "merge_requests": self._merge_requests,
            "merge_request_commits": self._merge_request_commits,
            "pipelines": self._pipelines,
            "commits": self._commits,
            "branches": self._branches,
            "branch_commits": self._branch_commits,
            "tags": self._tags,
        }
        if stream not in streams:
            raise KeyError(f"no stream {stream!r}; known: {', '.join(streams)}")
        return dict(streams[stream]())

    def _projects(self) -> list[Project]:
        visible = self.shapes.store.visible_projects(self.user).values()
        return [project for project in visible if not self.is_member_only or self.user.id in project.members]

    def _project_records(self) -> Iterator[Pair]:
        for project in self._projects():
            yield (project.id,), self.shapes.project(project, user=self.user)

    def _issues(self) -> Iterator[Pair]:
        for project in self._projects():
            if project.issues_on:
                for row in self.shapes.store.issues_of[project.id].values():
                    yield (row.id,), self.shapes.issue(row)

    def _merge_requests(self) -> Iterator[Pair]:
        for project in self._projects():
            if project.merge_requests_on:
                for row in self.shapes.store.merge_requests_of[project.id].values():
                    yield (row.id,), self.shapes.merge_request(row)

    def _merge_request_commits(self) -> Iterator[Pair]:
        for project in self._projects():
            if project.merge_requests_on:
                for row in self.shapes.store.merge_requests_of[project.id].values():
                    for commit in row.commits:
                        yield (row.id, commit.sha), merge_request_commit(self.shapes, project, commit)

    def _pipelines(self) -> Iterator[Pair]:
        for project in self._projects():
            if project.jobs_on:
                for row in self.shapes.store.pipelines_of[project.id].values():
                    yield (row.id,), self.shapes.pipeline(row)

    def _repositories(self) -> Iterator[tuple[Project, Repository]]:
        for project in self._projects():
            repository = self.shapes.store.repository_of(project)
            if repository is not None:
                yield project, repository

    def _commits(self) -> Iterator[Pair]:
        for project, repository in self._repositories():
            for sha in sorted(repository.reachable(repository.branches.values())):
                yield (project.id, sha), commit_record(self.shapes, project, repository.commits[sha])

    def _branches(self) -> Iterator[Pair]:
        for project, repository in self._repositories():
            merged = repository.reachable([repository.head] if repository.head else [])
            for name in sorted(repository.branches):
                record = branch_record(self.shapes, project, repository, name=name, merged=merged)
                yield (project.id, name), record

    def _branch_commits(self) -> Iterator[Pair]:
        for project, repository in self._repositories():
            for name, head in sorted(repository.branches.items()):
                for sha in sorted(repository.reachable([head])):
                    yield (project.id, name, sha), {"project_id": project.id, "branch": name, "sha": sha}

    def _tags(self) -> Iterator[Pair]:
        for project, repository in self._repositories():
            for tag in repository.tags.values():
                yield (project.id, tag.name), tag_record(self.shapes, project, repository, tag)
