"""
GitLab's mappings: data only. Where a field stands, of which type, what is a key.

What is left out, and why, is in docs/gitlab.md: what depends on the reader (`can_push`), what is settled lazily
without `updated_at` moving (`merge_status`, `has_conflicts`), what GraphQL lacks (of a merge request's commits:
`parent_ids`, `trailers`).

Source: GitLab REST API docs (projects, issues, merge requests, pipelines, commits, branches, tags).
"""

from __future__ import annotations

from datetime import timedelta

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, BOOLEAN, DATE, JSON, TIMESTAMP

LOOKBACK = timedelta(minutes=5)  # a row may be committed a little after the time that it carries

PROJECTS = EntityMapping(
    name="gitlab.projects",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("name"),
        Field("name_with_namespace"),
        Field("path"),
        Field("path_with_namespace"),
        Field("description"),
        Field("default_branch"),  # null: empty, or the repository is not ours to see
        Field("visibility"),
        Field("archived", type=BOOLEAN),
        Field("empty_repo", type=BOOLEAN),
        Field("namespace_id", path="namespace.id", type=BIGINT),
        Field("namespace_kind", path="namespace.kind"),
        Field("namespace_full_path", path="namespace.full_path"),
        Field("creator_id", type=BIGINT),
        Field("forked_from_project_id", path="forked_from_project.id", type=BIGINT),
        Field("topics", type=JSON),
        Field("star_count", type=BIGINT),
        Field("forks_count", type=BIGINT),
        Field("open_issues_count", type=BIGINT),
        Field("issues_enabled", type=BOOLEAN),
        Field("merge_requests_enabled", type=BOOLEAN),
        Field("jobs_enabled", type=BOOLEAN),
        Field("wiki_enabled", type=BOOLEAN),
        Field("repository_access_level"),
        Field("merge_method"),
        Field("squash_option"),
        Field("web_url"),
        Field("ssh_url_to_repo"),
        Field("http_url_to_repo"),
        Field("readme_url"),
        Field("avatar_url"),
        Field("created_at", type=TIMESTAMP),
        Field("updated_at", type=TIMESTAMP),
        Field("last_activity_at", type=TIMESTAMP),  # moves at most once an hour, and not for pipelines
        Field("marked_for_deletion_on", type=DATE),
    ),
    inbound=Inbound(stream="projects"),
)

ISSUES = EntityMapping(
    name="gitlab.issues",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("iid", type=BIGINT),
        Field("project_id", type=BIGINT),
        Field("title"),
        Field("description"),
        Field("state"),
        Field("issue_type"),
        Field("severity"),
        Field("labels", type=JSON),
        Field("milestone_id", path="milestone.id", type=BIGINT),
        Field("milestone_title", path="milestone.title"),
        Field("author_id", path="author.id", type=BIGINT),
        Field("author_username", path="author.username", personal=True),
        Field("author_name", path="author.name", personal=True),
        Field("assignee_id", path="assignee.id", type=BIGINT),  # the first of the assignees
        Field("assignees", type=JSON, personal=True),
        Field("closed_by_id", path="closed_by.id", type=BIGINT),
        Field("closed_by_username", path="closed_by.username", personal=True),
        Field("confidential", type=BOOLEAN),
        Field("discussion_locked", type=BOOLEAN),
        Field("due_date", type=DATE),
        Field("weight", type=BIGINT),
        Field("health_status"),
        Field("user_notes_count", type=BIGINT),
        Field("merge_requests_count", type=BIGINT),
        Field("blocking_issues_count", type=BIGINT),
        Field("upvotes", type=BIGINT),
        Field("downvotes", type=BIGINT),
        Field("time_estimate_s", path="time_stats.time_estimate", type=BIGINT),
        Field("total_time_spent_s", path="time_stats.total_time_spent", type=BIGINT),
        Field("task_count", path="task_completion_status.count", type=BIGINT),
        Field("task_completed_count", path="task_completion_status.completed_count", type=BIGINT),
        Field("epic_id", path="epic.id", type=BIGINT),
        Field("epic_iid", path="epic.iid", type=BIGINT),
        Field("epic_title", path="epic.title"),
        Field("iteration", type=JSON),
        Field("moved_to_id", type=BIGINT),  # this one stays, closed; the new one has an id of its own
        Field("imported", type=BOOLEAN),
        Field("service_desk_reply_to", personal=True),
        Field("reference", path="references.full"),  # `relative` depends on the list that was asked
        Field("web_url"),
        Field("created_at", type=TIMESTAMP),
        Field("updated_at", type=TIMESTAMP),
        Field("closed_at", type=TIMESTAMP),
    ),
    inbound=Inbound(stream="issues", begins_at_start=True, lookback=LOOKBACK, version="updated_at"),
)

MERGE_REQUESTS = EntityMapping(
    name="gitlab.merge_requests",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("iid", type=BIGINT),
        Field("project_id", type=BIGINT),  # the target project
        Field("source_project_id", type=BIGINT),
        Field("target_project_id", type=BIGINT),
        Field("title"),
        Field("description"),
        Field("state"),
        Field("draft", type=BOOLEAN),
        Field("source_branch"),
        Field("target_branch"),
        Field("sha"),
        Field("merge_commit_sha"),
        Field("squash_commit_sha"),
        Field("squash", type=BOOLEAN),
        Field("labels", type=JSON),
        Field("milestone_id", path="milestone.id", type=BIGINT),
        Field("milestone_title", path="milestone.title"),
        Field("author_id", path="author.id", type=BIGINT),
        Field("author_username", path="author.username", personal=True),
        Field("author_name", path="author.name", personal=True),
        Field("assignee_id", path="assignee.id", type=BIGINT),
        Field("assignees", type=JSON, personal=True),
        Field("reviewers", type=JSON, personal=True),
        Field("merge_user_id", path="merge_user.id", type=BIGINT),
        Field("merge_user_username", path="merge_user.username", personal=True),
        Field("closed_by_id", path="closed_by.id", type=BIGINT),
        Field("closed_by_username", path="closed_by.username", personal=True),
        Field("user_notes_count", type=BIGINT),
        Field("upvotes", type=BIGINT),
        Field("downvotes", type=BIGINT),
        Field("discussion_locked", type=BOOLEAN),
        Field("time_estimate_s", path="time_stats.time_estimate", type=BIGINT),
        Field("total_time_spent_s", path="time_stats.total_time_spent", type=BIGINT),
        Field("task_count", path="task_completion_status.count", type=BIGINT),
        Field("task_completed_count", path="task_completion_status.completed_count", type=BIGINT),
        Field("imported", type=BOOLEAN),
        Field("reference", path="references.full"),
        Field("web_url"),
        Field("created_at", type=TIMESTAMP),
        Field("updated_at", type=TIMESTAMP),
        Field("prepared_at", type=TIMESTAMP),
        Field("merged_at", type=TIMESTAMP),
        Field("closed_at", type=TIMESTAMP),
    ),
    inbound=Inbound(stream="merge_requests", begins_at_start=True, lookback=LOOKBACK, version="updated_at"),
)

MERGE_REQUEST_COMMITS = EntityMapping(
    name="gitlab.merge_request_commits",
    key=("merge_request_id", "id"),
    fields=(
        Field("merge_request_id", type=BIGINT),
        Field("id"),  # the sha
        Field("project_id", type=BIGINT),
        Field("merge_request_iid", type=BIGINT),
        Field("short_id"),
        Field("title"),
        Field("message"),
        Field("author_name", personal=True),
        Field("author_email", personal=True),
        Field("authored_date", type=TIMESTAMP),
        Field("committer_name", personal=True),
        Field("committer_email", personal=True),
        Field("committed_date", type=TIMESTAMP),
        Field("web_url"),
    ),
    inbound=Inbound(stream="merge_request_commits", lookback=LOOKBACK, slice_by=("merge_request_id",)),
)

PIPELINES = EntityMapping(
    name="gitlab.pipelines",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("iid", type=BIGINT),
        Field("project_id", type=BIGINT),
        Field("status"),
        Field("source"),  # parent_pipeline: a child
        Field("ref"),
        Field("sha"),
        Field("name"),
        Field("web_url"),
        Field("created_at", type=TIMESTAMP),  # whole seconds: GraphQL has no more
        Field("updated_at", type=TIMESTAMP),  # null: an external one that nobody reported on again
    ),
    inbound=Inbound(stream="pipelines", lookback=LOOKBACK, version="updated_at"),
)

COMMITS = EntityMapping(
    name="gitlab.commits",
    key=("project_id", "id"),  # the same sha lives in forks
    fields=(
        Field("project_id", type=BIGINT),
        Field("id"),  # the sha
        Field("short_id"),
        Field("parent_ids", type=JSON),
        Field("title"),
        Field("message"),
        Field("author_name", personal=True),
        Field("author_email", personal=True),
        Field("authored_date", type=TIMESTAMP),
        Field("committer_name", personal=True),
        Field("committer_email", personal=True),
        Field("committed_date", type=TIMESTAMP),
        Field("web_url"),
    ),
    inbound=Inbound(stream="commits"),
)

BRANCHES = EntityMapping(
    name="gitlab.branches",
    key=("project_id", "name"),
    fields=(
        Field("project_id", type=BIGINT),
        Field("name"),
        Field("merged", type=BOOLEAN),
        Field("protected", type=BOOLEAN),
        Field("default", type=BOOLEAN),
        Field("developers_can_push", type=BOOLEAN),
        Field("developers_can_merge", type=BOOLEAN),
        Field("web_url"),
        Field("commit_id", path="commit.id"),
        Field("commit_short_id", path="commit.short_id"),
        Field("commit_parent_ids", path="commit.parent_ids", type=JSON),
        Field("commit_title", path="commit.title"),
        Field("commit_message", path="commit.message"),
        Field("commit_author_name", path="commit.author_name", personal=True),
        Field("commit_author_email", path="commit.author_email", personal=True),
        Field("commit_authored_date", path="commit.authored_date", type=TIMESTAMP),
        Field("commit_committer_name", path="commit.committer_name", personal=True),
        Field("commit_committer_email", path="commit.committer_email", personal=True),
        Field("commit_committed_date", path="commit.committed_date", type=TIMESTAMP),
    ),
    inbound=Inbound(stream="branches", slice_by=("project_id",)),
)

BRANCH_COMMITS = EntityMapping(
    name="gitlab.branch_commits",
    key=("project_id", "branch", "sha"),
    fields=(
        Field("project_id", type=BIGINT),
        Field("branch"),
        Field("sha"),
    ),
    inbound=Inbound(stream="branch_commits", slice_by=("project_id", "branch")),
)

TAGS = EntityMapping(
    name="gitlab.tags",
    key=("project_id", "name"),
    fields=(
        Field("project_id", type=BIGINT),
        Field("name"),
        Field("message"),
        Field("target"),  # the tag object's sha; of a lightweight tag the commit's
        Field("protected", type=BOOLEAN),
        Field("created_at", type=TIMESTAMP),  # null for a lightweight tag
        Field("release_tag_name", path="release.tag_name"),
        Field("release_description", path="release.description"),
        Field("commit_id", path="commit.id"),
        Field("commit_short_id", path="commit.short_id"),
        Field("commit_parent_ids", path="commit.parent_ids", type=JSON),
        Field("commit_title", path="commit.title"),
        Field("commit_message", path="commit.message"),
        Field("commit_author_name", path="commit.author_name", personal=True),
        Field("commit_author_email", path="commit.author_email", personal=True),
        Field("commit_authored_date", path="commit.authored_date", type=TIMESTAMP),
        Field("commit_committer_name", path="commit.committer_name", personal=True),
        Field("commit_committer_email", path="commit.committer_email", personal=True),
        Field("commit_committed_date", path="commit.committed_date", type=TIMESTAMP),
    ),
    inbound=Inbound(stream="tags", slice_by=("project_id",)),
)

MAPPINGS = (
    PROJECTS,
    ISSUES,
    MERGE_REQUESTS,
    MERGE_REQUEST_COMMITS,
    PIPELINES,
    COMMITS,
    BRANCHES,
    BRANCH_COMMITS,
    TAGS,
)
