"""
Many changes of a GitLab at random: a handful of edits of all kinds, and the busy hour of a large instance.

Not here: the changes themselves (`gitlab.edits`, `gitlab.pushes`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import attrs

from syncer.sandbox.gitlab import text
from syncer.sandbox.gitlab.edits import Edits
from syncer.sandbox.gitlab.git import Repository
from syncer.sandbox.gitlab.rows import MergeRequest, Pipeline, Project

T = TypeVar("T")
TRIES = 20  # a kind of edit that finds nothing to work on gives way to another, so often


class NothingToDoError(LookupError):
    """No row that this kind of edit could change."""


@attrs.frozen(kw_only=True)
class RandomEdits:
    """Draws edits; the same random numbers on the same rows make the same edits."""

    edits: Edits
    rng: random.Random

    def make(self, count: int) -> list[str]:
        """Make *count* edits; return a short description of each."""
        return [self._one() for _ in range(count)]

    def _one(self) -> str:
        kinds, weights = zip(*self._kinds(), strict=True)
        for _ in range(TRIES):
            try:
                return str(self.rng.choices(kinds, weights)[0]())
            except NothingToDoError:
                continue
        issue = self.edits.create_issue(self._project(needs_issues=True).id)
        return f"issue {issue.id} created"

    def _kinds(self) -> list[tuple[Callable[[], str], int]]:
        return [
            (self._create_issue, 8),
            (self._edit_issue, 20),
            (self._close_issue, 6),
            (self._delete_issue, 2),
            (self._move_issue, 2),
            (self._create_merge_request, 4),
            (self._edit_merge_request, 8),
            (self._push_to_merge_request, 6),
            (self._merge, 3),
            (self._close_merge_request, 1),
            (self._delete_merge_request, 1),
            (self._push, 8),
            (self._push_old, 2),
            (self._force_push, 2),
            (self._create_branch, 3),
            (self._delete_branch, 2),
            (self._merge_branch, 1),
            (self._create_tag, 2),
            (self._delete_tag, 1),
            (self._run_pipeline, 8),
            (self._finish_pipeline, 8),
            (self._delete_pipeline, 2),
            (self._rename_project, 1),
        ]

    def _pick(self, rows: Sequence[T]) -> T:
        if not rows:
            raise NothingToDoError
        return self.rng.choice(rows)

    def _visible(self) -> list[Project]:
        store = self.edits.store
        return [
            project
            for project in store.visible_projects(store.users[self.edits.owner_id]).values()
            if not project.is_archived and project.marked_for_deletion_on is None
        ]

    def _project(self, *, needs_issues: bool = False) -> Project:
        return self._pick([project for project in self._visible() if project.issues_on or not needs_issues])

    def _repository(self) -> tuple[Project, Repository]:
        repositories = self.edits.store.repositories
        project = self._pick([one for one in self._visible() if one.id in repositories and one.repository_on])
        return project, repositories[project.id]

    def _issue_id(self) -> int:
        return self._pick(list(self.edits.store.issues_of[self._project(needs_issues=True).id].values())).id

    def _merge_request(self, *, is_open: bool = True) -> MergeRequest:
        """Pick a merge request; an open one has its branch still."""
        project, repository = self._repository()
        if not project.merge_requests_on:
            raise NothingToDoError
        rows = list(self.edits.store.merge_requests_of[project.id].values())
        if is_open:
            rows = [row for row in rows if row.state == "opened" and row.source_project_id == project.id]
            rows = [row for row in rows if row.source_branch in repository.branches]
        return self._pick(rows)

    def _other_branch(self) -> tuple[Project, str]:
        """Pick a branch that is not the default one."""
        project, repository = self._repository()
        return project, self._pick([name for name in repository.branches if name != repository.default_branch])

    def _pipeline(self, *, is_running: bool = False) -> Pipeline:
        project, _ = self._repository()
        rows = self.edits.store.pipelines_of[project.id].values() if project.jobs_on else ()
        return self._pick([row for row in rows if not is_running or row.finished_at is None])

    def _create_issue(self) -> str:
        return f"issue {self.edits.create_issue(self._project(needs_issues=True).id).id} created"

    def _edit_issue(self) -> str:
        issue_id = self._issue_id()
        title = self.rng.choice((None, text.title(self.rng)))
        self.edits.edit_issue(issue_id, title=title, labels=None if title is None else text.labels(self.rng))
        return f"issue {issue_id} {'commented on' if title is None else 'changed'}"

    def _close_issue(self) -> str:
        issue = self.edits.store.issues[self._issue_id()]
        if issue.state == "closed":
            return f"issue {self.edits.reopen_issue(issue.id).id} reopened"
        return f"issue {self.edits.close_issue(issue.id).id} closed"

    def _delete_issue(self) -> str:
        issue_id = self._issue_id()
        self.edits.delete_issue(issue_id)
        return f"issue {issue_id} deleted"

    def _move_issue(self) -> str:
        issue_id, target = self._issue_id(), self._project(needs_issues=True)
        if self.edits.store.issues[issue_id].project_id == target.id:
            raise NothingToDoError
        return f"issue {issue_id} moved, now {self.edits.move_issue(issue_id, target.id).id}"

    def _create_merge_request(self) -> str:
        project, _ = self._repository()
        if not project.merge_requests_on:
            raise NothingToDoError
        return f"merge request {self.edits.create_merge_request(project.id).id} created"

    def _edit_merge_request(self) -> str:
        row = self._merge_request(is_open=False)
        self.edits.edit_merge_request(row.id, title=self.rng.choice((None, text.title(self.rng))))
        return f"merge request {row.id} changed"

    def _push_to_merge_request(self) -> str:
        row = self._merge_request()
        return f"merge request {row.id} has a new head {self.edits.push_to_merge_request(row.id)[:8]}"

    def _merge(self) -> str:
        return f"merge request {self.edits.merge(self._merge_request().id).id} merged"

    def _close_merge_request(self) -> str:
        return f"merge request {self.edits.close_merge_request(self._merge_request().id).id} closed"

    def _delete_merge_request(self) -> str:
        row = self._merge_request(is_open=False)
        self.edits.delete_merge_request(row.id)
        return f"merge request {row.id} deleted"

    def _push(self) -> str:
        project, repository = self._repository()
        branch, count = self.rng.choice(list(repository.branches)), self.rng.randint(1, 3)
        self.edits.git.push(project.id, branch, count=count)
        return f"project {project.id} branch {branch} pushed by {count}"

    def _push_old(self) -> str:
        project, repository = self._repository()
        branch = self.rng.choice(list(repository.branches))
        made = self.edits.clock.now() - timedelta(days=self.rng.randint(2, 400))
        self.edits.git.push(project.id, branch, count=2, made=made)
        return f"project {project.id} branch {branch} pushed by 2 of {made:%Y-%m-%d}"

    def _force_push(self) -> str:
        project, branch = self._other_branch()
        self.edits.git.force_push(project.id, branch, back=self.rng.randint(1, 2), count=self.rng.randint(0, 2))
        return f"project {project.id} branch {branch} pushed by force"

    def _create_branch(self) -> str:
        project, repository = self._repository()
        branch = text.branch_name(self.rng, 1000 + self.rng.randrange(10**6))
        if branch in repository.branches:
            raise NothingToDoError
        self.edits.git.create_branch(project.id, branch, count=self.rng.randrange(3))
        return f"project {project.id} branch {branch} created"

    def _delete_branch(self) -> str:
        project, branch = self._other_branch()
        self.edits.git.delete_branch(project.id, branch)
        return f"project {project.id} branch {branch} deleted"

    def _merge_branch(self) -> str:
        project, branch = self._other_branch()
        self.edits.git.merge_branch(project.id, branch)
        return f"project {project.id} branch {branch} merged"

    def _create_tag(self) -> str:
        project, repository = self._repository()
        name = f"v{self.rng.randrange(10, 10**4)}.{self.rng.randrange(100)}"
        if name in repository.tags:
            raise NothingToDoError
        self.edits.git.create_tag(project.id, name, message=self.rng.choice(("", text.title(self.rng))))
        return f"project {project.id} tag {name} created"

    def _delete_tag(self) -> str:
        project, repository = self._repository()
        name = self._pick(list(repository.tags))
        self.edits.git.delete_tag(project.id, name)
        return f"project {project.id} tag {name} deleted"

    def _run_pipeline(self) -> str:
        project, repository = self._repository()
        if not project.jobs_on:
            raise NothingToDoError
        branch = self.rng.choice(list(repository.branches))
        row = self.edits.run_pipeline(project.id, ref=branch, with_child=self.rng.random() < 0.3)
        return f"pipeline {row.id} run"

    def _finish_pipeline(self) -> str:
        row = self._pipeline(is_running=True)
        status = self.rng.choice(("running", "success", "failed"))
        return f"pipeline {self.edits.set_pipeline_status(row.id, status).id} {status}"

    def _delete_pipeline(self) -> str:
        row = self._pipeline()
        self.edits.delete_pipeline(row.id)
        return f"pipeline {row.id} deleted"

    def _rename_project(self) -> str:
        project = self._project()
        path = f"{project.path.partition('-r')[0]}-r{self.rng.randrange(10**6)}"
        return f"project {self.edits.rename_project(project.id, path).id} renamed to {path}"
