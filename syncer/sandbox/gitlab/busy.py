"""
The busy hour of a large GitLab: so much of everything changes, in so many projects, and what that was.

Not here: the changes themselves (`gitlab.edits`, `gitlab.pushes`), edits at random (`gitlab.life`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from syncer.sandbox.gitlab.edits import Edits
from syncer.sandbox.gitlab.rows import MergeRequest, Pipeline, Project

T = TypeVar("T")
HOUR_S = 3600.0
STATUSES = ("running", "success", "failed", "canceled")
QUIET_SHARE = 0.2  # of the pipelines: scheduled ones of projects where nothing else happens


@attrs.frozen(kw_only=True)
class Hour:
    """How much is to change."""

    projects: int = 30
    issues: int = 200
    merge_requests: int = 150
    new_heads: int = 60  # of the merge requests; each moves its source branch by one commit
    heads_in_forks: int = 0  # of the new heads: those whose source branch is in a fork that the token does not see
    branches: int = 40  # besides those of the new heads; by three commits each
    pipelines: int = 300


@attrs.frozen(kw_only=True)
class Happened:
    """What changed in a busy hour."""

    projects: tuple[int, ...]
    issues: tuple[int, ...]
    merge_requests: tuple[int, ...]
    new_heads: tuple[int, ...]  # ids of merge requests
    branches: tuple[tuple[int, str], ...]
    pipelines: tuple[int, ...]


def spend_hour(edits: Edits, rng: random.Random, hour: Hour) -> Happened:
    """Make the changes of *hour* in random order, spread over an hour of the clock; return what changed."""
    return _BusyHour(edits=edits, rng=rng, hour=hour).spend()


@attrs.define(kw_only=True, eq=False)
class _BusyHour:
    edits: Edits
    rng: random.Random
    hour: Hour
    pipeline_ids: list[int] = attrs.field(factory=list)

    def spend(self) -> Happened:
        hour = self.hour
        active = self._sample("projects with everything switched on", self._able(), hour.projects)
        issues = self._sample("issues", self._issue_ids(active), hour.issues)
        heads = self._sample("open merge requests", [row.id for row in self._open(active)], hour.new_heads)
        others = [row.id for row in self._merge_requests(active) if row.id not in heads]
        edited = self._sample("merge requests", others, hour.merge_requests - hour.new_heads)
        branches = self._sample("branches", self._branches(active), hour.branches)
        steps = (
            [self._issue_step(issue_id) for issue_id in issues]
            + [lambda row_id=row_id: self.edits.edit_merge_request(row_id) for row_id in edited]
            + [self._head_step(row_id, is_fork=n < hour.heads_in_forks) for n, row_id in enumerate(heads)]
            + [lambda at=at: self.edits.git.push(at[0], at[1], count=3) for at in branches]
            + self._pipeline_steps(active)
        )
        self.rng.shuffle(steps)
        for step in steps:
            self.edits.clock.advance(HOUR_S / len(steps))
            step()
        return Happened(
            projects=tuple(project.id for project in active),
            issues=tuple(issues),
            merge_requests=(*edited, *heads),
            new_heads=tuple(heads),
            branches=tuple(branches),
            pipelines=tuple(self.pipeline_ids),
        )

    def _sample(self, what: str, rows: Sequence[T], count: int) -> list[T]:
        if len(rows) < count:
            raise ValueError(f"a busy hour needs {count} {what}, this site has {len(rows)}: use GitLabSite.large()")
        return self.rng.sample(rows, count)

    def _able(self) -> list[Project]:
        """Return the projects in which all kinds of change can happen."""
        store = self.edits.store
        return [
            project
            for project in store.visible_projects(store.users[self.edits.owner_id]).values()
            if project.issues_on
            and project.merge_requests_on
            and project.jobs_on
            and project.repository_on
            and project.id in store.repositories
            and not project.is_archived
        ]

    def _issue_ids(self, projects: Sequence[Project]) -> list[int]:
        return [row.id for project in projects for row in self.edits.store.issues_of[project.id].values()]

    def _merge_requests(self, projects: Sequence[Project]) -> list[MergeRequest]:
        return [row for project in projects for row in self.edits.store.merge_requests_of[project.id].values()]

    def _open(self, projects: Sequence[Project]) -> list[MergeRequest]:
        repositories = self.edits.store.repositories
        return [
            row
            for row in self._merge_requests(projects)
            if row.state == "opened"
            and row.source_project_id == row.project_id
            and row.source_branch in repositories[row.project_id].branches
        ]

    def _branches(self, projects: Sequence[Project]) -> list[tuple[int, str]]:
        """Return the branches that no open merge request comes from."""
        taken = {(row.project_id, row.source_branch) for row in self._open(projects)}
        repositories = self.edits.store.repositories
        names = [(project.id, name) for project in projects for name in repositories[project.id].branches]
        return [pair for pair in names if pair not in taken]

    def _issue_step(self, issue_id: int) -> Callable[[], object]:
        edits = self.edits
        kinds = (edits.edit_issue, edits.edit_issue, edits.close_issue, edits.reopen_issue)
        kind = self.rng.choice(kinds)
        return lambda: kind(issue_id)

    def _head_step(self, row_id: int, *, is_fork: bool) -> Callable[[], object]:
        edits = self.edits
        return lambda: edits.push_to_fork(row_id) if is_fork else edits.push_to_merge_request(row_id)

    def _pipeline_steps(self, active: Sequence[Project]) -> list[Callable[[], object]]:
        """Return the steps of the pipelines: a quarter are changed, the rest run, some as children, some scheduled."""
        rows = [row for project in active for row in self.edits.store.pipelines_of[project.id].values()]
        changed = self._sample("pipelines", rows, self.hour.pipelines // 4)
        steps = [self._change_step(row) for row in changed]
        quiet = [project for project in self._able() if project not in active] or list(active)
        for number in range(self.hour.pipelines - len(changed)):
            is_quiet = number < self.hour.pipelines * QUIET_SHARE
            project = self.rng.choice(quiet if is_quiet else list(active))
            source = "schedule" if is_quiet else "parent_pipeline" if number % 6 == 0 else "push"
            steps.append(self._run_step(project, source))
        return steps

    def _change_step(self, row: Pipeline) -> Callable[[], object]:
        self.pipeline_ids.append(row.id)
        status = self.rng.choice(STATUSES)
        return lambda: self.edits.set_pipeline_status(row.id, status)

    def _run_step(self, project: Project, source: str) -> Callable[[], object]:
        return lambda: self.pipeline_ids.append(self.edits.run_pipeline(project.id, source=source).id)
