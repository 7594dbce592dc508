"""
Jira records as the JSON of the API: for one caller, in their time zone, with links below the base that they called.

Here: users, projects, comments, worklogs, changelogs, definitions. Issues are in `jira.issue`.
Source: Jira Cloud REST API v3 (OpenAPI), and the shapes of §6a of the fact sheet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, tzinfo
from typing import Any

from syncer.sandbox.jira.model import (
    Comment,
    FieldDefinition,
    History,
    Issue,
    Named,
    Project,
    Status,
    Worklog,
    to_datetime,
)
from syncer.sandbox.jira.records import JiraRecords

SIZES = (("48x48", ""), ("24x24", "?size=small"), ("16x16", "?size=xsmall"), ("32x32", "?size=medium"))
PROJECT_EXPAND = "description,lead,issueTypes,url,projectKeys,permissions,insight"
TRASH_DAYS = 60
AVATARS = "https://avatars.sandbox.invalid"


def render_time(ms: int, zone: tzinfo) -> str:
    """Return "2026-08-24T11:11:52.944+0200": milliseconds, and the offset without a colon."""
    local = to_datetime(ms).astimezone(zone)
    offset = local.utcoffset() or timedelta()
    # Before 1937 Amsterdam was 19 minutes and 32 seconds ahead: an offset has no seconds, the instant must be right.
    odd = offset % timedelta(minutes=1)
    if odd:
        text = (local - odd).replace(tzinfo=None).isoformat(timespec="milliseconds")
        minutes = int((offset - odd) / timedelta(minutes=1))
        return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    text = local.isoformat(timespec="milliseconds")
    return text[:-3] + text[-2:]


def render_duration(seconds: int) -> str:
    """Return "1d 2h 15m"; a day has eight hours and a week five days, as Jira's usual settings have it."""
    parts, minutes = [], seconds // 60
    for unit, size in (("w", 2400), ("d", 480), ("h", 60), ("m", 1)):
        count, minutes = divmod(minutes, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0m"


def plain_text(document: Any) -> Any:
    """Return the text of an ADF document, for version 2 of the API; what is none is returned as it is."""
    if not isinstance(document, dict) or document.get("type") != "doc":
        return document
    return "\n\n".join("".join(_texts(block)) for block in document.get("content", []))


def _texts(node: dict[str, Any]) -> list[str]:
    attributes = node.get("attrs", {})
    own = node.get("text") or attributes.get("text") or attributes.get("url") or ""
    return [own, *(text for child in node.get("content", []) for text in _texts(child))]


class Render:
    """Renders for one request: *link* is "https://HOST/rest/api/3", *version* "3" or "2"."""

    def __init__(self, records: JiraRecords, *, link: str, zone: tzinfo, version: str = "3") -> None:
        """Prepare; what repeats on a page (users, statuses) is rendered once."""
        self.records = records
        self.catalogue = records.catalogue
        self.link = link
        self.zone = zone
        self.body: Callable[[Any], Any] = plain_text if version == "2" else lambda document: document
        self._users: dict[str, dict[str, Any]] = {}
        self._statuses: dict[int, dict[str, Any]] = {}
        self._types: dict[int, dict[str, Any]] = {}
        self._projects: dict[int, dict[str, Any]] = {}

    def time(self, ms: int | None) -> str | None:
        """Return a time as text, None where there is none."""
        return None if ms is None else render_time(ms, self.zone)

    def user(self, account_id: str | None) -> dict[str, Any] | None:
        """Return a user; the address is absent where its owner hides it."""
        if account_id is None:
            return None
        known = self._users.get(account_id)
        if known is None:
            user = self.catalogue.users[account_id]
            known = {"self": f"{self.link}/user?accountId={account_id}", "accountId": account_id}
            if user.email is not None:
                known["emailAddress"] = user.email
            known |= {
                "avatarUrls": {size: f"{AVATARS}/{account_id}{query}" for size, query in SIZES},
                "displayName": user.name,
                "active": user.is_active,
                "timeZone": user.zone,
                "accountType": user.kind,
            }
            self._users[account_id] = known
        return known

    def status(self, number: int) -> dict[str, Any]:
        """Return a status as /status and issues have it."""
        known = self._statuses.get(number)
        if known is None:
            status = self.catalogue.statuses[number]
            known = {
                "self": f"{self.link}/status/{number}",
                "description": status.description,
                "iconUrl": f"{self.link.partition('/rest/')[0]}/",
                "name": status.name,
                "id": str(number),
                "statusCategory": self.category(status.category),
            }
            if status.untranslated is not None:
                known["untranslatedName"] = status.untranslated
            if status.project is not None:
                known["scope"] = {"type": "PROJECT", "project": {"id": str(status.project)}}
            self._statuses[number] = known
        return known

    def category(self, number: int) -> dict[str, Any]:
        """Return a status category; its id is a number, as nowhere else."""
        category = self.catalogue.categories[number]
        return {
            "self": f"{self.link}/statuscategory/{number}",
            "id": number,
            "key": category.key,
            "colorName": category.color,
            "name": category.name,
        }

    def searched_status(self, status: Status) -> dict[str, Any]:
        """Return a status as /statuses/search has it."""
        scope: dict[str, Any] = {"type": "GLOBAL"}
        if status.project is not None:
            scope = {"type": "PROJECT", "project": {"id": str(status.project)}}
        return {
            "id": str(status.id),
            "name": status.name,
            "statusCategory": self.catalogue.categories[status.category].search_name,
            "scope": scope,
            "description": status.description,
        }

    def type(self, number: int) -> dict[str, Any]:
        """Return an issue type."""
        known = self._types.get(number)
        if known is None:
            kind = self.catalogue.types[number]
            icon = f"{self.link}/universal_avatar/view/type/issuetype/avatar/{kind.avatar}?size=medium"
            known = {
                "self": f"{self.link}/issuetype/{number}",
                "id": str(number),
                "description": kind.description,
                "iconUrl": icon,
                "name": kind.name,
                "subtask": kind.level < 0,
                "avatarId": kind.avatar,
                "hierarchyLevel": kind.level,
            }
            self._types[number] = known
        return known

    def named(self, kind: str, named: Named) -> dict[str, Any]:
        """Return a priority, resolution or component."""
        data = {"self": f"{self.link}/{kind}/{named.id}", "id": str(named.id), "name": named.name}
        if kind == "priority":
            name = ("highest", "high", "medium", "low", "lowest")[named.id - 1]
            data["iconUrl"] = f"{self.link.partition('/rest/')[0]}/images/icons/priorities/{name}.svg"
        elif named.description or kind != "component":
            data["description"] = named.description
        return data

    def project_of_issue(self, number: int) -> dict[str, Any]:
        """Return a project as issues have it."""
        known = self._projects.get(number)
        if known is None:
            project = self.records.projects[number]
            known = {
                "self": f"{self.link}/project/{number}",
                "id": str(number),
                "key": project.key,
                "name": project.name,
                "projectTypeKey": project.type_key,
                "simplified": project.is_team_managed,
                "avatarUrls": self.project_avatars(project),
            }
            self._projects[number] = known
        return known

    def project_avatars(self, project: Project) -> dict[str, str]:
        """Return the four sizes of a project's avatar."""
        path = f"{self.link}/universal_avatar/view/type/project/avatar/{project.avatar}"
        return {size: path + query for size, query in SIZES}

    def project(self, project: Project) -> dict[str, Any]:
        """Return a project as /project/search has it, without what `expand` adds."""
        data: dict[str, Any] = {
            "expand": PROJECT_EXPAND,
            **self.project_of_issue(project.id),
            "style": "next-gen" if project.is_team_managed else "classic",
            "isPrivate": project.is_private,
            "properties": {},
        }
        if project.is_team_managed:
            data |= {"entityId": project.uuid, "uuid": project.uuid}
        if project.state == "archived":
            data |= {"archived": True, "archivedDate": self.time(project.state_since)}
            data["archivedBy"] = self.user(project.lead)
        elif project.state == "deleted":
            retention = project.state_since + TRASH_DAYS * 86_400_000
            data |= {"deleted": True, "deletedDate": self.time(project.state_since)}
            data |= {"retentionTillDate": self.time(retention), "deletedBy": self.user(project.lead)}
        return data

    def comment(self, issue: Issue, comment: Comment) -> dict[str, Any]:
        """Return a comment; `visibility` is there only where it is restricted."""
        data = {
            "self": f"{self.link}/issue/{issue.id}/comment/{comment.id}",
            "id": str(comment.id),
            "author": self.user(comment.author),
            "body": self.body(comment.body),
            "updateAuthor": self.user(comment.editor),
            "created": self.time(comment.created),
            "updated": self.time(comment.updated),
            "jsdPublic": comment.role is None,
        }
        if comment.role is not None:
            data["visibility"] = {"type": "role", "value": comment.role, "identifier": "10002"}
        return data

    def worklog(self, issue: Issue, worklog: Worklog) -> dict[str, Any]:
        """Return a worklog; `comment` is absent where there is none."""
        data = {
            "self": f"{self.link}/issue/{issue.id}/worklog/{worklog.id}",
            "author": self.user(worklog.author),
            "updateAuthor": self.user(worklog.editor),
            "created": self.time(worklog.created),
            "updated": self.time(worklog.updated),
            "started": self.time(worklog.started),
            "timeSpent": render_duration(worklog.seconds),
            "timeSpentSeconds": worklog.seconds,
            "id": str(worklog.id),
            "issueId": str(issue.id),
        }
        if worklog.comment is not None:
            data["comment"] = self.body(worklog.comment)
        return data

    def history(self, history: History, *, in_ms: bool) -> dict[str, Any]:
        """Return a changelog entry; *in_ms*: `created` is a number, as only the bulk call has it."""
        data: dict[str, Any] = {"id": str(history.id)}
        if history.author is not None:
            data["author"] = self.user(history.author)
        data["created"] = history.created if in_ms else self.time(history.created)
        data["items"] = [_item(*item) for item in history.items]
        return data

    def field(self, field: FieldDefinition) -> dict[str, Any]:
        """Return a field's definition."""
        is_custom = field.kind is not None
        data: dict[str, Any] = {"id": field.id, "key": field.id, "name": field.name}
        if is_custom:
            data["untranslatedName"] = field.name
        clauses = [f"cf[{field.number}]", field.name] if is_custom else [field.id]
        data |= {
            "custom": is_custom,
            "orderable": is_custom or field.id in ("summary", "description", "assignee", "duedate", "labels"),
            "navigable": field.is_navigable,
            "searchable": True,
            "clauseNames": clauses,
        }
        if field.schema is not None:
            data["schema"] = field.schema
        if field.project is not None:
            data["scope"] = {"type": "PROJECT", "project": {"id": str(field.project)}}
        return data


def _item(
    field: str, field_id: str | None, old: str | None, old_text: str | None, new: str | None, new_text: str | None
) -> dict[str, Any]:
    is_custom = field == "Rank" or (field_id or "").startswith("customfield_")
    item: dict[str, Any] = {"field": field, "fieldtype": "custom" if is_custom else "jira"}
    if field_id is not None:
        item["fieldId"] = field_id
    return item | {"from": old, "fromString": old_text, "to": new, "toString": new_text}
