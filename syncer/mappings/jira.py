"""
Jira Cloud: what its records are as rows. Data only; what each stream brings and does not bring is in docs/jira.md.

Names of people, projects, statuses and the like are as they were when the row's own record last changed: renaming one
does not touch the issues that show it.
"""

from __future__ import annotations

from datetime import timedelta

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, BOOLEAN, DATE, JSON, TIMESTAMP

LOOKBACK = timedelta(minutes=10)  # search learns of an edit later than it is made

PROJECTS = EntityMapping(
    name="jira.projects",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("key"),  # changes; the id does not
        Field("name"),
        Field("project_type_key", path="projectTypeKey"),
        Field("style", comment="classic, or next-gen for a team-managed project"),
        Field("simplified", type=BOOLEAN),
        Field("is_private", path="isPrivate", type=BOOLEAN, comment="whatever it says, the token sees the project"),
        Field("description"),
        Field("url"),
        Field("lead_account_id", path="lead.accountId"),
        Field("lead_display_name", path="lead.displayName", personal=True),
        Field("project_keys", path="projectKeys", type=JSON, comment="present and earlier keys"),
        Field("category_id", path="projectCategory.id", type=BIGINT),
        Field("category_name", path="projectCategory.name"),
        Field("uuid", comment="team-managed projects only"),
        Field("archived_date", path="archivedDate", type=TIMESTAMP),
        Field("archived_by_account_id", path="archivedBy.accountId"),
        Field("deleted_date", path="deletedDate", type=TIMESTAMP),
        Field("deleted_by_account_id", path="deletedBy.accountId"),
        Field("retention_till_date", path="retentionTillDate", type=TIMESTAMP, comment="when the trash is emptied"),
    ),
    inbound=Inbound(stream="projects"),
)

ISSUES = EntityMapping(
    name="jira.issues",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("key"),  # changes with a move
        Field("summary", path="fields.summary"),
        Field("project_id", path="fields.project.id", type=BIGINT),
        Field("project_key", path="fields.project.key"),
        Field("project_name", path="fields.project.name"),
        Field("issuetype_id", path="fields.issuetype.id", type=BIGINT),
        Field("issuetype_name", path="fields.issuetype.name"),
        Field("issuetype_subtask", path="fields.issuetype.subtask", type=BOOLEAN),
        Field("issuetype_hierarchy_level", path="fields.issuetype.hierarchyLevel", type=BIGINT),
        Field("status_id", path="fields.status.id", type=BIGINT),
        Field("status_name", path="fields.status.name", comment="renamed and translated by people; see the category"),
        Field("status_category_key", path="fields.status.statusCategory.key", comment="new, indeterminate or done"),
        Field("status_category_name", path="fields.status.statusCategory.name"),
        Field("statuscategorychangedate", path="fields.statuscategorychangedate", type=TIMESTAMP),
        Field(
            "first_in_progress",
            type=TIMESTAMP,
            comment="when it first had a status of the category in progress (indeterminate)",
        ),
        Field("priority_id", path="fields.priority.id", type=BIGINT),
        Field("priority_name", path="fields.priority.name"),
        Field("resolution_id", path="fields.resolution.id", type=BIGINT),
        Field("resolution_name", path="fields.resolution.name"),
        Field("resolutiondate", path="fields.resolutiondate", type=TIMESTAMP),
        Field("assignee_account_id", path="fields.assignee.accountId"),
        Field("assignee_display_name", path="fields.assignee.displayName", personal=True),
        Field("reporter_account_id", path="fields.reporter.accountId"),
        Field("reporter_display_name", path="fields.reporter.displayName", personal=True),
        Field("creator_account_id", path="fields.creator.accountId"),
        Field("creator_display_name", path="fields.creator.displayName", personal=True),
        Field("parent_id", path="fields.parent.id", type=BIGINT),
        Field("parent_key", path="fields.parent.key"),
        Field("labels", path="fields.labels", type=JSON),
        Field("components", path="fields.components", type=JSON),
        Field("fix_versions", path="fields.fixVersions", type=JSON),
        Field("versions", path="fields.versions", type=JSON),
        Field("issuelinks", path="fields.issuelinks", type=JSON, comment="of the other issue only id and key"),
        Field("subtasks", path="fields.subtasks", type=JSON, comment="id and key of each"),
        Field("attachments", path="fields.attachment", type=JSON, personal=True),
        Field("description", path="fields.description", type=JSON, comment="ADF"),
        Field("description_text", path="fields.description_text"),
        Field("environment", path="fields.environment", type=JSON, comment="ADF"),
        Field("environment_text", path="fields.environment_text"),
        Field("created", path="fields.created", type=TIMESTAMP),
        Field("updated", path="fields.updated", type=TIMESTAMP),
        Field("duedate", path="fields.duedate", type=DATE),
        Field("timespent", path="fields.timespent", type=BIGINT, comment="seconds, as all times here"),
        Field("timeestimate", path="fields.timeestimate", type=BIGINT, comment="what remains"),
        Field("timeoriginalestimate", path="fields.timeoriginalestimate", type=BIGINT),
        # With sub-tasks; they move without the issue's own `updated`, so they are as of its last change.
        Field("aggregatetimespent", path="fields.aggregatetimespent", type=BIGINT),
        Field("aggregatetimeestimate", path="fields.aggregatetimeestimate", type=BIGINT),
        Field("aggregatetimeoriginalestimate", path="fields.aggregatetimeoriginalestimate", type=BIGINT),
        Field("aggregateprogress", path="fields.aggregateprogress.progress", type=BIGINT),
        Field("aggregateprogress_total", path="fields.aggregateprogress.total", type=BIGINT),
        Field("progress", path="fields.progress.progress", type=BIGINT),
        Field("progress_total", path="fields.progress.total", type=BIGINT),
        Field("timetracking", path="fields.timetracking", type=JSON),
        Field("workratio", path="fields.workratio", type=BIGINT, comment="percent; -1 without an estimate"),
        Field("votes", path="fields.votes.votes", type=BIGINT),
        Field("watches", path="fields.watches.watchCount", type=BIGINT),
        Field("security_id", path="fields.security.id", type=BIGINT),
        Field("security_name", path="fields.security.name"),
        Field("issuerestriction", path="fields.issuerestriction", type=JSON),
    ),
    inbound=Inbound(stream="issues", begins_at_start=True, lookback=LOOKBACK, version="updated", discovers=True),
)

CHANGELOGS = EntityMapping(
    name="jira.changelogs",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("issue_id", type=BIGINT),
        Field("created", type=TIMESTAMP),
        Field("author_account_id", path="author.accountId"),  # absent for some automations
        Field("author_display_name", path="author.displayName", personal=True),
        # They have no id of their own, so they are no table: [{field, fieldId, from, fromString, to, toString}].
        Field("items", type=JSON),
    ),
    inbound=Inbound(stream="changelogs", begins_at_start=True, lookback=LOOKBACK, slice_by=("issue_id",)),
)

COMMENTS = EntityMapping(
    name="jira.comments",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("issue_id", type=BIGINT),
        Field("created", type=TIMESTAMP),
        Field("updated", type=TIMESTAMP),
        Field("author_account_id", path="author.accountId"),
        Field("author_display_name", path="author.displayName", personal=True),
        Field("update_author_account_id", path="updateAuthor.accountId"),
        Field("update_author_display_name", path="updateAuthor.displayName", personal=True),
        Field("body", type=JSON, comment="ADF"),
        Field("body_text"),
        Field("jsd_public", path="jsdPublic", type=BOOLEAN),
        Field("visibility_type", path="visibility.type", comment="role or group; empty: everybody who sees the issue"),
        Field("visibility_value", path="visibility.value"),
        Field("visibility_identifier", path="visibility.identifier"),
    ),
    inbound=Inbound(
        stream="comments", begins_at_start=True, lookback=LOOKBACK, slice_by=("issue_id",), version="updated"
    ),
)

WORKLOGS = EntityMapping(
    name="jira.worklogs",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("issue_id", path="issueId", type=BIGINT),
        Field("created", type=TIMESTAMP),
        Field("updated", type=TIMESTAMP),
        Field("started", type=TIMESTAMP),
        Field("time_spent", path="timeSpent"),
        Field("time_spent_seconds", path="timeSpentSeconds", type=BIGINT),
        Field("author_account_id", path="author.accountId"),
        Field("author_display_name", path="author.displayName", personal=True),
        Field("update_author_account_id", path="updateAuthor.accountId"),
        Field("update_author_display_name", path="updateAuthor.displayName", personal=True),
        Field("comment", type=JSON, comment="ADF"),
        Field("comment_text"),
        Field("visibility_type", path="visibility.type"),
        Field("visibility_value", path="visibility.value"),
        Field("visibility_identifier", path="visibility.identifier"),
    ),
    inbound=Inbound(stream="worklogs", lookback=LOOKBACK, version="updated"),
)

MAPPINGS = (PROJECTS, ISSUES, CHANGELOGS, COMMENTS, WORKLOGS)
