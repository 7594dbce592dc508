"""
Changes of a GitLab's issues, merge requests, pipelines and projects, one method each.

Not here: changes of repositories (`gitlab.pushes`), many changes at random (`gitlab.life`).

Source: GitLab docs (moving issues, deleting projects, transfers); app/models/event.rb: pipelines and settings make no
event.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import attrs

from syncer.sandbox.gitlab import text
from syncer.sandbox.gitlab.generate_git import make_commit
from syncer.sandbox.gitlab.pushes import Pushes
from syncer.sandbox.gitlab.rows import Issue, MergeRequest, Pipeline, Project, User
from syncer.sandbox.gitlab.store import Store, TellsTime

OVER = frozenset({"success", "failed", "canceled", "skipped"})


@attrs.frozen(kw_only=True)
class Edits:
    """What people do; ids are the instance's own, the time is the clock's. `git` does what concerns repositories."""

    store: Store
    clock: TellsTime
    rng: random.Random
    git: Pushes
    owner_id: int  # whose token reads: `hide_project` hides from them

    def create_issue(self, project_id: int, *, title: str | None = None, description: str | None = None) -> Issue:
        """Create an issue."""
        now = self.clock.now()
        issue = self.store.add_issue(
            Issue(
                id=self.store.next_id("issue"),
                iid=self.store.next_iid("issue", project_id),
                project_id=project_id,
                title=title or text.title(self.rng),
                description=description,
                author_id=self._somebody().id,
                created_at=now,
                updated_at=now,
                labels=text.labels(self.rng),
            )
        )
        self.git.note(project_id, "opened", issue, kind="Issue")
        return issue

    def edit_issue(
        self,
        issue_id: int,
        *,
        title: str | None = None,
        description: str | None = None,
        labels: list[str] | None = None,
    ) -> Issue:
        """Change what is given of an issue; with nothing given a comment is written, which counts as well."""
        issue = self.store.issues[issue_id]
        if title is not None:
            issue.title = title
        if description is not None:
            issue.description = description
        if labels is not None:
            issue.labels = sorted(labels)
        if title is None and description is None and labels is None:
            issue.notes_count += 1
        self._touched(issue, "updated")
        return issue

    def bulk_edit_issues(self, issue_ids: list[int], *, label: str = "bulk") -> None:
        """Label many issues in one go: all get the same `updated_at`, to the microsecond."""
        now = self.clock.now()
        for issue_id in issue_ids:
            issue = self.store.issues[issue_id]
            issue.labels = sorted({*issue.labels, label})
            issue.updated_at = now
            self.store.projects[issue.project_id].touch(now)
        self.store.changed()

    def close_issue(self, issue_id: int) -> Issue:
        """Close an issue."""
        issue = self.store.issues[issue_id]
        issue.state, issue.closed_by_id, issue.closed_at = "closed", self._somebody().id, self.clock.now()
        self._touched(issue, "closed")
        return issue

    def reopen_issue(self, issue_id: int) -> Issue:
        """Reopen an issue."""
        issue = self.store.issues[issue_id]
        issue.state, issue.closed_by_id, issue.closed_at = "opened", None, None
        self._touched(issue, "reopened")
        return issue

    def delete_issue(self, issue_id: int) -> None:
        """Delete an issue for good; nothing is left that says so."""
        issue = self.store.issues.pop(issue_id)
        del self.store.issues_of[issue.project_id][issue.iid]
        self.store.changed()

    def move_issue(self, issue_id: int, to_project_id: int) -> Issue:
        """Move an issue: a new one there, the old one stays, closed, and names the new one."""
        old = self.store.issues[issue_id]
        new = self.store.add_issue(
            attrs.evolve(
                old,
                id=self.store.next_id("issue"),
                iid=self.store.next_iid("issue", to_project_id),
                project_id=to_project_id,
                updated_at=self.clock.now(),
                labels=list(old.labels),
                assignee_ids=list(old.assignee_ids),
            )
        )
        self.git.note(to_project_id, "opened", new, kind="Issue")
        old.moved_to_id = new.id
        self.close_issue(old.id)
        return new

    def create_merge_request(
        self, project_id: int, *, branch: str | None = None, title: str | None = None
    ) -> MergeRequest:
        """Create a merge request from *branch*; None: from a new branch with one commit."""
        repository = self.store.repositories[project_id]
        iid = self.store.next_iid("merge_request", project_id)
        if branch is None:
            branch = f"{iid}-{self.rng.choice(text.SUBJECTS)}-mr"
            self.git.create_branch(project_id, branch, count=1)
        now = self.clock.now()
        row = self.store.add_merge_request(
            MergeRequest(
                id=self.store.next_id("merge_request"),
                iid=iid,
                project_id=project_id,
                source_project_id=project_id,
                title=title or text.title(self.rng),
                description=None,
                author_id=self._somebody().id,
                created_at=now,
                updated_at=now,
                target_branch=repository.default_branch,
                source_branch=branch,
            )
        )
        self.git.refresh(row)
        self.git.note(project_id, "opened", row, kind="MergeRequest")
        return row

    def edit_merge_request(self, merge_request_id: int, *, title: str | None = None) -> MergeRequest:
        """Change the title of a merge request; None: write a comment on it."""
        row = self.store.merge_requests[merge_request_id]
        if title is None:
            row.notes_count += 1
        else:
            row.title = title
        self._touched(row, "updated")
        return row

    def push_to_merge_request(self, merge_request_id: int, *, count: int = 1) -> str:
        """Push to the branch that an open merge request comes from; return its new head."""
        row = self.store.merge_requests[merge_request_id]
        return self.git.push(row.source_project_id, row.source_branch, count=count)[-1].sha

    def push_to_fork(self, merge_request_id: int) -> str:
        """Push to an open merge request whose branch is in a fork that nobody here sees; return its new head."""
        row = self.store.merge_requests[merge_request_id]
        if row.source_project_id == row.project_id:
            row.source_project_id = self.store.next_id("project")
        commit = make_commit(
            self.store,
            self._somebody(),
            parents=(row.sha,) if row.sha else (),
            message=text.message(self.rng),
            authored=self.clock.now(),
        )
        row.commits, row.sha = (commit, *row.commits), commit.sha
        self._touched(row, "updated")
        return commit.sha

    def merge(self, merge_request_id: int, *, keep_branch: bool = False) -> MergeRequest:
        """Merge an open merge request with a merge commit; its branch goes unless it is kept."""
        row = self.store.merge_requests[merge_request_id]
        repository = self.store.repositories[row.project_id]
        row.merge_commit_sha = self.git.merge_branch(row.project_id, row.source_branch, into=row.target_branch).sha
        row.state, row.merged_by_id, row.merged_at = "merged", self._somebody().id, self.clock.now()
        self._touched(row, "accepted")
        if not keep_branch and row.source_branch in repository.branches:
            self.git.delete_branch(row.project_id, row.source_branch)
        return row

    def close_merge_request(self, merge_request_id: int) -> MergeRequest:
        """Close a merge request without merging it."""
        row = self.store.merge_requests[merge_request_id]
        row.state, row.closed_by_id, row.closed_at = "closed", self._somebody().id, self.clock.now()
        self._touched(row, "closed")
        return row

    def delete_merge_request(self, merge_request_id: int) -> None:
        """Delete a merge request for good."""
        row = self.store.merge_requests.pop(merge_request_id)
        del self.store.merge_requests_of[row.project_id][row.iid]
        self.store.changed()

    def run_pipeline(
        self, project_id: int, *, ref: str | None = None, source: str = "push", with_child: bool = False
    ) -> Pipeline:
        """Start a pipeline, with a child on request; the project's activity does not move."""
        repository = self.store.repositories[project_id]
        branch = ref or repository.default_branch
        now = self.clock.now()
        row = self.store.add_pipeline(
            Pipeline(
                id=self.store.next_id("pipeline"),
                iid=self.store.next_iid("pipeline", project_id),
                project_id=project_id,
                sha=repository.resolve(branch),
                ref=branch,
                status="created",
                source=source,
                user_id=self._somebody().id,
                created_at=now,
                updated_at=None if source == "external" else now,
            )
        )
        if with_child:
            self.run_pipeline(project_id, ref=branch, source="parent_pipeline")
        self.store.changed()
        return row

    def set_pipeline_status(self, pipeline_id: int, status: str) -> Pipeline:
        """Change the status of a pipeline."""
        row = self.store.pipelines[pipeline_id]
        now = self.clock.now()
        row.status, row.updated_at = status, now
        row.started_at = row.started_at or now
        row.finished_at = now if status in OVER else None
        self.store.changed()
        return row

    def delete_pipeline(self, pipeline_id: int) -> None:
        """Delete a pipeline for good, as an expiry policy does every day."""
        row = self.store.pipelines.pop(pipeline_id)
        del self.store.pipelines_of[row.project_id][pipeline_id]
        self.store.changed()

    def create_project(self, namespace_id: int, name: str, *, with_repository: bool = True) -> Project:
        """Create a private project that the token sees."""
        now = self.clock.now()
        project = self.store.add_project(
            Project(
                id=self.store.next_id("project"),
                name=name,
                path=name.lower().replace(" ", "-"),
                namespace_id=namespace_id,
                creator_id=self.owner_id,
                description=None,
                members={self.owner_id},
                has_repository=False,
                created_at=now,
                updated_at=now,
                last_activity_at=now,
            )
        )
        if with_repository:
            self.git.init_repository(project.id)
        self.store.changed()
        return project

    def archive_project(self, project_id: int, *, is_archived: bool = True) -> Project:
        """Archive a project, or bring it back; it stays readable, and its activity does not move."""
        project = self.store.projects[project_id]
        project.is_archived = is_archived
        return self._settings_changed(project)

    def unarchive_project(self, project_id: int) -> Project:
        """Bring an archived project back."""
        return self.archive_project(project_id, is_archived=False)

    def rename_project(self, project_id: int, path: str, *, name: str | None = None) -> Project:
        """Give a project another path; the old one answers with a redirect."""
        project = self.store.projects[project_id]
        project.path, project.name = path, name or path
        return self._settings_changed(project)

    def transfer_project(self, project_id: int, namespace_id: int) -> Project:
        """Put a project in another group; its id stays, its path changes."""
        project = self.store.projects[project_id]
        project.namespace_id = namespace_id
        return self._settings_changed(project)

    def mark_project_for_deletion(self, project_id: int) -> Project:
        """Schedule a project for deletion: its path gets a suffix, and it is still there for a week."""
        project = self.store.projects[project_id]
        project.marked_for_deletion_on = self.clock.now().date() + timedelta(days=7)
        project.path = f"{project.path}-deletion_scheduled-{project.id}"
        return self._settings_changed(project)

    def delete_project(self, project_id: int) -> None:
        """Remove a project with everything in it."""
        self.store.remove_project(project_id)
        self.store.changed()

    def hide_project(self, project_id: int) -> Project:
        """Take the project away from the token: it becomes private, and its owner is no longer a member."""
        project = self.store.projects[project_id]
        project.visibility = "private"
        project.members.discard(self.owner_id)
        self.store.changed()
        return project

    def show_project(self, project_id: int) -> Project:
        """Make the token's owner a member again."""
        project = self.store.projects[project_id]
        project.members.add(self.owner_id)
        self.store.changed()
        return project

    def switch_feature(self, project_id: int, feature: str, *, is_on: bool) -> Project:
        """Switch "issues", "merge_requests", "jobs" or "repository" of a project on or off."""
        project = self.store.projects[project_id]
        if not hasattr(project, f"{feature}_on"):
            raise ValueError(f"no feature {feature!r}; known: issues, merge_requests, jobs, repository")
        setattr(project, f"{feature}_on", is_on)
        return self._settings_changed(project)

    def _settings_changed(self, project: Project) -> Project:
        project.updated_at = self.clock.now()
        self.store.paths[self.store.path_of(project).lower()] = project.id
        self.store.changed()
        return project

    def _touched(self, row: Issue | MergeRequest, action: str) -> None:
        row.updated_at = self._now_after(row.updated_at)
        self.git.note(row.project_id, action, row, kind=type(row).__name__)

    def _now_after(self, at: datetime) -> datetime:
        return max(self.clock.now(), at)

    def _somebody(self) -> User:
        return self.rng.choice(list(self.store.users.values()))
