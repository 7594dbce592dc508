"""
GitLab's rows as its REST API shows them. The keys are those of real records; the values are the sandbox's own.

Not here: git's records (`gitlab.git_shapes`), which rows a list has (`gitlab.rest_items`), GraphQL (`gitlab.graphql`).

Source: GitLab REST API docs (projects, issues, merge requests, pipelines, users, groups), lib/api/entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import attrs

from syncer.sandbox.gitlab.rows import Group, Issue, MergeRequest, Pipeline, Project, User
from syncer.sandbox.gitlab.store import Store

Record = dict[str, Any]
HOURS_A_DAY = 8  # time tracking counts working days, and 5 of them a week


def shown(at: datetime | None) -> str | None:
    """Return a time as the API shows it: UTC, milliseconds (cut, not rounded), Z."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z" if at else None


def shown_day(day: date | None) -> str | None:
    """Return a date."""
    return day.isoformat() if day else None


def human_time(seconds: int) -> str | None:
    """Return a tracked time in words; None for none."""
    if not seconds:
        return None
    minutes, words = seconds // 60, []
    for size, unit in ((60 * HOURS_A_DAY * 5, "w"), (60 * HOURS_A_DAY, "d"), (60, "h"), (1, "m")):
        if minutes >= size:
            words.append(f"{minutes // size}{unit}")
            minutes %= size
    return " ".join(words)


@attrs.frozen(kw_only=True)
class Shapes:
    """Makes records of rows; `url` is the instance's, without a slash at its end."""

    store: Store
    url: str

    def user(self, user_id: int | None) -> Record | None:
        """Return the short form of a user that other records carry."""
        if user_id is None:
            return None
        user = self.store.users[user_id]
        return {
            "id": user.id,
            "username": user.username,
            "public_email": "",
            "name": user.name,
            "state": "active",
            "locked": False,
            "avatar_url": f"{self.url}/uploads/-/system/user/avatar/{user.id}/avatar.png" if user.id % 4 else None,
            "web_url": f"{self.url}/{user.username}",
        }

    def users(self, user_ids: Sequence[int]) -> list[Record | None]:
        """Return several users."""
        return [self.user(user_id) for user_id in user_ids]

    def current_user(self, user: User) -> Record:
        """Return what `/user` says."""
        return {
            **(self.user(user.id) or {}),
            "created_at": shown(user.created_at),
            "bio": "",
            "location": None,
            "email": user.email,
            "commit_email": user.email,
            "bot": False,
            "two_factor_enabled": True,
            "external": False,
            "private_profile": False,
            "is_admin": user.is_admin,
        }

    def namespace(self, group: Group) -> Record:
        """Return a project's namespace."""
        prefix = "groups/" if group.kind == "group" else ""
        return {
            "id": group.id,
            "name": group.name,
            "path": group.path,
            "kind": group.kind,
            "full_path": group.full_path,
            "parent_id": group.parent_id,
            "avatar_url": None,
            "web_url": f"{self.url}/{prefix}{group.full_path}",
        }

    def group(self, group: Group) -> Record:
        """Return a group."""
        return {
            "id": group.id,
            "web_url": f"{self.url}/groups/{group.full_path}",
            "name": group.name,
            "path": group.path,
            "description": group.description,
            "visibility": group.visibility,
            "full_name": group.full_name,
            "full_path": group.full_path,
            "parent_id": group.parent_id,
            "created_at": shown(group.created_at),
            "avatar_url": None,
            "archived": False,
            "marked_for_deletion_on": None,
        }

    def project(self, project: Project, *, is_simple: bool = False, user: User | None = None) -> Record:
        """Return a project; without its repository it has neither `readme_url` nor `forks_count`."""
        record = self._simple_project(project)
        if is_simple or user is None:
            return record
        record |= self._project_settings(project)
        member = {"access_level": 30, "notification_level": 3} if user.id in project.members else None
        record["permissions"] = {"project_access": member, "group_access": None}
        return record

    def _simple_project(self, project: Project) -> Record:
        group = self.store.groups[project.namespace_id]
        path = self.store.path_of(project)
        repository = self.store.repositories.get(project.id)
        has_code = project.repository_on
        record: Record = {
            "id": project.id,
            "description": project.description,
            "name": project.name,
            "name_with_namespace": f"{group.full_name} / {project.name}",
            "path": project.path,
            "path_with_namespace": path,
            "created_at": shown(project.created_at),
            "default_branch": repository.default_branch if repository and has_code else None,
            "tag_list": list(project.topics),
            "topics": list(project.topics),
            "ssh_url_to_repo": f"git@gitlab.example.com:{path}.git",
            "http_url_to_repo": f"{self.url}/{path}.git",
            "web_url": f"{self.url}/{path}",
        }
        if has_code:
            default = repository.default_branch if repository else None
            record["readme_url"] = f"{self.url}/{path}/-/blob/{default}/README.md" if default else None
            record["forks_count"] = self._forks().get(project.id, 0)
        return record | {
            "avatar_url": None,
            "star_count": project.star_count,
            "last_activity_at": shown(project.last_activity_at),
            "visibility": project.visibility,
            "namespace": self.namespace(group),
        }

    def _forks(self) -> dict[int, int]:
        return self.store.cached("forks", self._count_forks)

    def _count_forks(self) -> dict[int, int]:
        counts: dict[int, int] = {}
        for project in self.store.projects.values():
            if project.forked_from is not None:
                counts[project.forked_from] = counts.get(project.forked_from, 0) + 1
        return counts

    def _project_settings(self, project: Project) -> Record:
        """Return what the simple form of a project leaves out."""
        issues = self.store.issues_of[project.id].values()
        access = {True: "enabled", False: "disabled"}
        links = ("issues", "merge_requests", "repo_branches", "labels", "events", "members")
        base = f"{self.url}/api/v4/projects/{project.id}"
        record: Record = {
            "_links": {"self": base} | {name: f"{base}/{name.replace('repo_', 'repository/')}" for name in links},
            "packages_enabled": True,
            "empty_repo": not project.has_repository,
            "archived": project.is_archived,
            "resolve_outdated_diff_discussions": False,
            "issues_enabled": project.issues_on,
            "merge_requests_enabled": project.merge_requests_on,
            "wiki_enabled": False,
            "jobs_enabled": project.jobs_on,
            "snippets_enabled": True,
            "container_registry_enabled": True,
            "service_desk_enabled": False,
            "can_create_merge_request_in": project.merge_requests_on,
            "issues_access_level": access[project.issues_on],
            "repository_access_level": access[project.repository_on],
            "merge_requests_access_level": access[project.merge_requests_on],
            "forking_access_level": "enabled",
            "wiki_access_level": "disabled",
            "builds_access_level": access[project.jobs_on],
            "snippets_access_level": "enabled",
            "shared_runners_enabled": True,
            "lfs_enabled": True,
            "creator_id": project.creator_id,
            "import_url": None,
            "import_type": None,
            "import_status": "none",
            "open_issues_count": sum(issue.state == "opened" for issue in issues),
            "description_html": project.description or "",
            "updated_at": shown(project.updated_at),
            "ci_default_git_depth": 20,
            "ci_config_path": None,
            "public_jobs": True,
            "shared_with_groups": [],
            "only_allow_merge_if_pipeline_succeeds": False,
            "merge_method": "merge",
            "squash_option": "default_off",
            "auto_devops_enabled": False,
            "marked_for_deletion_at": shown_day(project.marked_for_deletion_on),
            "marked_for_deletion_on": shown_day(project.marked_for_deletion_on),
        }
        if project.forked_from in self.store.projects and project.forked_from is not None:
            record["forked_from_project"] = self._simple_project(self.store.projects[project.forked_from])
        return record

    def milestone(self, milestone_id: int | None) -> Record | None:
        """Return a milestone: it names its group or its project."""
        if milestone_id is None:
            return None
        row = self.store.milestones[milestone_id]
        if row.group_id is not None:
            owner, path = {"group_id": row.group_id}, f"groups/{self.store.groups[row.group_id].full_path}"
        else:
            project = self.store.projects[row.project_id or 0]
            owner, path = {"project_id": project.id}, self.store.path_of(project)
        return {
            "id": row.id,
            "iid": row.iid,
            **owner,
            "title": row.title,
            "description": row.description,
            "state": row.state,
            "created_at": shown(row.created_at),
            "updated_at": shown(row.updated_at),
            "due_date": shown_day(row.due_date),
            "start_date": shown_day(row.start_date),
            "expired": row.state == "closed",
            "web_url": f"{self.url}/{path}/-/milestones/{row.iid}",
        }

    def _issuable(self, row: Issue | MergeRequest, *, sign: str, is_relative: bool) -> Record:
        """Return what issues and merge requests have in common; `relative` is short in a project's own list."""
        full = f"{self.store.path_of(self.store.projects[row.project_id])}{sign}{row.iid}"
        assignees = self.users(row.assignee_ids)
        return {
            "id": row.id,
            "iid": row.iid,
            "project_id": row.project_id,
            "title": row.title,
            "description": row.description,
            "state": row.state,
            "created_at": shown(row.created_at),
            "updated_at": shown(row.updated_at),
            "closed_at": shown(row.closed_at),
            "closed_by": self.user(row.closed_by_id),
            "labels": list(row.labels),
            "milestone": self.milestone(row.milestone_id),
            "assignees": assignees,
            "assignee": assignees[0] if assignees else None,
            "author": self.user(row.author_id),
            "user_notes_count": row.notes_count,
            "upvotes": row.upvotes,
            "downvotes": row.downvotes,
            "discussion_locked": row.discussion_locked,
            "references": {
                "short": f"{sign}{row.iid}",
                "relative": f"{sign}{row.iid}" if is_relative else full,
                "full": full,
            },
            "time_stats": {
                "time_estimate": row.time_estimate,
                "total_time_spent": row.time_spent,
                "human_time_estimate": human_time(row.time_estimate),
                "human_total_time_spent": human_time(row.time_spent),
            },
            "task_completion_status": {"count": row.tasks[0], "completed_count": row.tasks[1]},
            "imported": False,
            "imported_from": "none",
        }

    def issue(self, issue: Issue, *, is_relative: bool = True) -> Record:
        """Return an issue; *is_relative* where its project's own list shows it."""
        record = self._issuable(issue, sign="#", is_relative=is_relative)
        api = f"{self.url}/api/v4/projects/{issue.project_id}"
        path = self.store.path_of(self.store.projects[issue.project_id])
        counted, done = issue.tasks
        record |= {
            "type": issue.type,
            "merge_requests_count": issue.id % 3,
            "due_date": shown_day(issue.due_date),
            "confidential": issue.is_confidential,
            "issue_type": issue.type.lower(),
            "web_url": f"{self.url}/{path}/-/issues/{issue.iid}",
            "weight": issue.weight,
            "blocking_issues_count": 0,
            "has_tasks": counted > 0,
            "_links": {
                "self": f"{api}/issues/{issue.iid}",
                "notes": f"{api}/issues/{issue.iid}/notes",
                "award_emoji": f"{api}/issues/{issue.iid}/award_emoji",
                "project": api,
                "closed_as_duplicate_of": None,
            },
            "severity": issue.severity,
            "moved_to_id": issue.moved_to_id,
            "service_desk_reply_to": None,
            "epic_iid": issue.epic[1] if issue.epic else None,
            "epic": self._epic(issue.epic),
            "iteration": None,
            "health_status": issue.health_status,
        }
        if counted:
            record["task_status"] = f"{done} of {counted} checklist items completed"
        if issue.is_imported:
            record |= {"imported": True, "imported_from": "github"}
        return record

    def _epic(self, epic: tuple[int, int, str, int] | None) -> Record | None:
        if epic is None:
            return None
        epic_id, iid, title, group_id = epic
        group = self.store.groups[group_id]
        return {
            "id": epic_id,
            "iid": iid,
            "title": title,
            "url": f"/groups/{group.full_path}/-/epics/{iid}",
            "group_id": group_id,
            "human_readable_end_date": None,
            "human_readable_timestamp": None,
        }

    def merge_request(self, row: MergeRequest, *, is_relative: bool = True, merge_status: str | None = None) -> Record:
        """Return a merge request; *merge_status* is what the list happens to say, None: the settled state."""
        record = self._issuable(row, sign="!", is_relative=is_relative)
        path = self.store.path_of(self.store.projects[row.project_id])
        settled = "cannot_be_merged" if row.has_conflicts else "can_be_merged"
        status = merge_status or settled
        is_open = row.state == "opened"
        detailed = {"cannot_be_merged": "conflict", "can_be_merged": "mergeable"}.get(status, status)
        return record | {
            "merged_by": self.user(row.merged_by_id),
            "merge_user": self.user(row.merged_by_id),
            "merged_at": shown(row.merged_at),
            "target_branch": row.target_branch,
            "source_branch": row.source_branch,
            "reviewers": self.users(row.reviewer_ids),
            "source_project_id": row.source_project_id,
            "target_project_id": row.project_id,
            "draft": row.is_draft,
            "work_in_progress": row.is_draft,
            "merge_when_pipeline_succeeds": False,
            "merge_status": status,
            "detailed_merge_status": ("draft_status" if row.is_draft else detailed) if is_open else "not_open",
            "merge_after": None,
            "sha": row.sha,
            "merge_commit_sha": row.merge_commit_sha,
            "squash_commit_sha": row.squash_commit_sha,
            "should_remove_source_branch": None,
            "force_remove_source_branch": not row.is_draft,
            "prepared_at": shown(row.created_at),
            "reference": f"!{row.iid}",
            "web_url": f"{self.url}/{path}/-/merge_requests/{row.iid}",
            "squash": row.is_squash,
            "squash_on_merge": row.is_squash,
            "has_conflicts": row.has_conflicts,
            "blocking_discussions_resolved": True,
            "approvals_before_merge": 0 if row.state == "merged" and row.iid % 2 else None,
        }

    def pipeline(self, row: Pipeline) -> Record:
        """Return a pipeline as lists have it."""
        path = self.store.path_of(self.store.projects[row.project_id])
        return {
            "id": row.id,
            "iid": row.iid,
            "project_id": row.project_id,
            "sha": row.sha,
            "ref": row.ref,
            "status": row.status,
            "source": row.source,
            "created_at": shown(row.created_at),
            "updated_at": shown(row.updated_at),
            "web_url": f"{self.url}/{path}/-/pipelines/{row.id}",
            "name": row.name,
        }

    def pipeline_detail(self, row: Pipeline) -> Record:
        """Return a pipeline as it is shown alone."""
        took = row.finished_at - row.started_at if row.finished_at and row.started_at else None
        path = self.store.path_of(self.store.projects[row.project_id])
        return self.pipeline(row) | {
            "before_sha": "0" * 40,
            "tag": row.is_tag,
            "yaml_errors": None,
            "user": self.user(row.user_id),
            "started_at": shown(row.started_at),
            "finished_at": shown(row.finished_at),
            "committed_at": None,
            "duration": int(took.total_seconds()) if took else None,
            "queued_duration": 1 if row.started_at else None,
            "coverage": None,
            "archived": False,
            "detailed_status": {
                "icon": f"status_{row.status}",
                "text": row.status.capitalize(),
                "label": row.status,
                "group": row.status,
                "tooltip": row.status,
                "has_details": True,
                "details_path": f"/{path}/-/pipelines/{row.id}",
                "illustration": None,
                "favicon": f"/assets/ci_favicons/favicon_status_{quote(row.status)}.png",
            },
        }
