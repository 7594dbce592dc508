"""
What a GitLab of the sandbox holds, as rows: users, groups, projects, issues, merge requests, pipelines, events.

Rows are changed in place by `gitlab.edits`, under the site's lock; that is why they are not frozen. Times are kept in
microseconds, as the real database has them, and shown in milliseconds. Not here: how a row looks as JSON
(`gitlab.shapes`), where rows are found (`gitlab.store`), commits, branches and tags (`gitlab.git`).

Source: the field lists of GitLab's REST API docs (projects, issues, merge requests, pipelines, events).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import attrs

from syncer.sandbox.gitlab.git import Commit

ACTIVITY_INTERVAL = timedelta(hours=1)  # last_activity_at moves at most once in it (GitLab: app/models/event.rb)


@attrs.define(kw_only=True, eq=False)
class User:
    """A person; commits carry the name and address as they were."""

    id: int
    username: str
    name: str
    email: str
    utc_offset: timedelta = timedelta(0)
    is_admin: bool = False
    created_at: datetime


@attrs.define(kw_only=True, eq=False)
class Group:
    """A namespace: a group, a subgroup, or (`kind` "user") somebody's own."""

    id: int
    name: str
    path: str
    full_path: str
    full_name: str
    parent_id: int | None = None
    kind: str = "group"
    visibility: str = "private"
    description: str = ""
    created_at: datetime


@attrs.define(kw_only=True, eq=False)
class Milestone:
    """A milestone of a group or of a project."""

    id: int
    iid: int
    title: str
    description: str
    state: str
    group_id: int | None
    project_id: int | None
    created_at: datetime
    updated_at: datetime
    start_date: date | None
    due_date: date | None


@attrs.define(kw_only=True, eq=False)
class Project:
    """A project. `members` are the users who see it where it is private."""

    id: int
    name: str
    path: str
    namespace_id: int
    creator_id: int
    description: str | None
    visibility: str = "private"
    members: set[int] = attrs.field(factory=set)
    topics: list[str] = attrs.field(factory=list)
    star_count: int = 0
    forked_from: int | None = None
    has_repository: bool = True  # False: created and never pushed to, `empty_repo` in the API
    is_archived: bool = False
    issues_on: bool = True
    merge_requests_on: bool = True
    jobs_on: bool = True
    repository_on: bool = True
    marked_for_deletion_on: date | None = None
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime

    def touch(self, at: datetime) -> None:
        """Note activity at *at*: both times move, but not twice within an hour."""
        if at - self.last_activity_at >= ACTIVITY_INTERVAL:
            self.last_activity_at = self.updated_at = at


@attrs.define(kw_only=True, eq=False)
class Issue:
    """An issue; `id` is the instance's, `iid` the project's."""

    id: int
    iid: int
    project_id: int
    title: str
    description: str | None
    author_id: int
    state: str = "opened"
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    closed_by_id: int | None = None
    labels: list[str] = attrs.field(factory=list)
    milestone_id: int | None = None
    assignee_ids: list[int] = attrs.field(factory=list)
    type: str = "ISSUE"
    notes_count: int = 0
    upvotes: int = 0
    downvotes: int = 0
    due_date: date | None = None
    is_confidential: bool = False
    discussion_locked: bool | None = None
    time_estimate: int = 0
    time_spent: int = 0
    tasks: tuple[int, int] = (0, 0)  # how many there are, how many are done
    weight: int | None = None
    severity: str = "UNKNOWN"
    health_status: str | None = None
    epic: tuple[int, int, str, int] | None = None  # id, iid, title, group id
    moved_to_id: int | None = None
    is_imported: bool = False


@attrs.define(kw_only=True, eq=False)
class MergeRequest:
    """A merge request of its target project; its commits are its own copy, as in GitLab's database."""

    id: int
    iid: int
    project_id: int
    source_project_id: int
    title: str
    description: str | None
    author_id: int
    state: str = "opened"
    created_at: datetime
    updated_at: datetime
    merged_at: datetime | None = None
    merged_by_id: int | None = None
    closed_at: datetime | None = None
    closed_by_id: int | None = None
    target_branch: str
    source_branch: str
    commits: tuple[Commit, ...] = ()  # newest first
    sha: str | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    labels: list[str] = attrs.field(factory=list)
    milestone_id: int | None = None
    assignee_ids: list[int] = attrs.field(factory=list)
    reviewer_ids: list[int] = attrs.field(factory=list)
    is_draft: bool = False
    has_conflicts: bool = False
    notes_count: int = 0
    upvotes: int = 0
    downvotes: int = 0
    is_squash: bool = False
    discussion_locked: bool | None = None
    time_estimate: int = 0
    time_spent: int = 0
    tasks: tuple[int, int] = (0, 0)


@attrs.define(kw_only=True, eq=False)
class Pipeline:
    """A pipeline; one whose `source` is "parent_pipeline" is a child."""

    id: int
    iid: int
    project_id: int
    sha: str
    ref: str
    status: str
    source: str
    name: str | None = None
    is_tag: bool = False
    user_id: int
    created_at: datetime
    updated_at: datetime | None  # None: an external one that nobody reported on again
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_child(self) -> bool:
        """Whether another pipeline made it: lists leave it out unless they are asked for just these."""
        return self.source == "parent_pipeline"


@attrs.frozen(kw_only=True)
class Event:
    """Something that somebody did in a project; a push has the fields from `ref` on."""

    id: int
    project_id: int
    author_id: int
    action: str
    created_at: datetime
    target_type: str | None = None
    target_id: int | None = None
    target_iid: int | None = None
    target_title: str | None = None
    ref: str | None = None
    ref_type: str = "branch"
    commit_from: str | None = None
    commit_to: str | None = None
    commit_count: int = 0
    commit_title: str | None = None
