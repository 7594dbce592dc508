"""
An issue as the JSON of the API: which fields are asked for, and each of them.

Fields that a caller may name but that are not on the issue's project are left out; fields without a value are null.
What an issue shows of others (parent, sub-tasks, links, aggregates) is as they are now, whatever its own `updated`.
Source: Jira Cloud REST API v3, "Get issue", "Search for issues using JQL enhanced search".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from syncer.sandbox.jira.model import FieldDefinition, Issue, Link, Named
from syncer.sandbox.jira.render import Render, render_duration

EXPAND = "operations,versionedRepresentations,editmeta,changelog,renderedFields"
EMBEDDED_COMMENTS = 20
EMBEDDED_WORKLOGS = 20
EMBEDDED_HISTORIES = 40
NOT_FIELDS = frozenset({"id", "key", "self", "expand"})

# What moves in an issue although its `updated` does not: a comparison of issues has to leave it out.
VOLATILE = (
    "lastViewed",
    "parent",
    "subtasks",
    "issuelinks",
    "comment",
    "worklog",
    "aggregateprogress",
    "aggregatetimeestimate",
    "aggregatetimeoriginalestimate",
    "aggregatetimespent",
)


@attrs.frozen(kw_only=True)
class Selection:
    """Which fields of an issue a request wants."""

    everything: bool = False  # *all
    navigable: bool = False  # *navigable
    named: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, names: Iterable[str]) -> Selection:
        """Read a request's list of fields; names that nobody knows do no harm."""
        wanted = [name.strip() for name in names]
        return cls(
            everything="*all" in wanted or (bool(wanted) and all(name.startswith("-") for name in wanted if name)),
            navigable="*navigable" in wanted,
            named=frozenset(name for name in wanted if name and name[0] not in "*-"),
            without=frozenset(name[1:] for name in wanted if name.startswith("-")),
        )

    @property
    def is_id_only(self) -> bool:
        """Tell whether an issue is its id and nothing else: no key, no fields."""
        return not (self.everything or self.navigable or self.named - {"id"})

    @property
    def has_fields(self) -> bool:
        """Tell whether an issue has a `fields` object."""
        return self.everything or self.navigable or bool(self.named - NOT_FIELDS)

    def wants(self, field: FieldDefinition) -> bool:
        """Tell whether *field* is asked for."""
        if field.id in self.without:
            return False
        return self.everything or (self.navigable and field.is_navigable) or field.id in self.named


class IssueRender:
    """Renders issues for one request. *viewed_ms* tells when an issue was last viewed: it belongs to the reader."""

    def __init__(self, render: Render, selection: Selection, *, viewed_ms: Callable[[], int | None]) -> None:
        """Decide once which fields are asked for."""
        self.render = render
        self.records = render.records
        self.selection = selection
        self.viewed_ms = viewed_ms
        wanted = [field for field in render.catalogue.fields.values() if selection.wants(field)]
        self._system = [(field.id, _SYSTEM[field.id]) for field in wanted if field.id in _SYSTEM]
        self._custom = [field for field in wanted if field.kind is not None]

    def issue(self, issue: Issue) -> dict[str, Any]:
        """Return one issue, as far as it is asked for."""
        if self.selection.is_id_only:
            return {"id": issue.injected.get("id", str(issue.id))}
        data: dict[str, Any] = {
            "expand": EXPAND,
            "id": str(issue.id),
            "self": f"{self.render.link}/issue/{issue.id}",
            "key": issue.key,
        }
        if self.selection.has_fields:
            data["fields"] = self._fields(issue)
        for name in issue.injected.keys() & NOT_FIELDS:
            data[name] = issue.injected[name]
        return data

    def changelog(self, issue: Issue) -> dict[str, Any]:
        """Return what `expand=changelog` adds: the newest entries, newest first, and how many there are."""
        newest = issue.histories[::-1][:EMBEDDED_HISTORIES]
        return {
            "startAt": 0,
            "maxResults": len(newest),
            "total": len(issue.histories),
            "histories": [self.render.history(history, in_ms=False) for history in newest],
        }

    def _fields(self, issue: Issue) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, shown in self._system:
            fields[name] = shown(self, issue)
        if issue.parent is None or issue.parent not in self.records.issues:
            fields.pop("parent", None)
        for field in self._custom:
            if field.project is None or field.project == issue.project:
                fields[field.id] = self._custom_value(field, issue)
        for name, value in issue.injected.items():
            is_wanted = name in fields or self.selection.everything or name in self.selection.named
            if is_wanted and name not in NOT_FIELDS:
                fields[name] = value
        return fields

    def _custom_value(self, field: FieldDefinition, issue: Issue) -> Any:
        value = issue.values.get(field.id)
        if value is None:
            return _EMPTY.get(field.id)
        if field.kind == "adf":
            return self.render.body(value)
        if field.kind == "datetime":
            return self.render.time(value)
        if field.kind == "user":
            return self.render.user(value)
        if field.kind == "users":
            return [self.render.user(account) for account in value]
        if field.kind == "option":
            return self._option(field, value)
        return [self._option(field, one) for one in value] if field.kind == "options" else value

    def _option(self, field: FieldDefinition, value: str) -> dict[str, Any]:
        number = str(10_000 + (field.number - 10_000) * 10 + field.options.index(value))
        return {"self": f"{self.render.link}/customFieldOption/{number}", "value": value, "id": number}

    def names(self) -> dict[str, str]:
        """Return what `expand=names` adds: the names of the fields that are asked for."""
        ids = {name for name, _ in self._system} | {field.id for field in self._custom}
        return {field.id: field.name for field in self.render.catalogue.fields.values() if field.id in ids}

    def schema(self) -> dict[str, Any]:
        """Return what `expand=schema` adds."""
        fields = self.render.catalogue.fields
        return {name: fields[name].schema for name in self.names() if fields[name].schema is not None}

    def comments(self, issue: Issue) -> dict[str, Any]:
        """Return the oldest comments; `maxResults` is how many are there, `total` how many there would be."""
        shown = issue.comments[:EMBEDDED_COMMENTS]
        return {
            "comments": [self.render.comment(issue, comment) for comment in shown],
            "self": f"{self.render.link}/issue/{issue.id}/comment",
            "maxResults": len(shown),
            "total": len(issue.comments),
            "startAt": 0,
        }

    def worklogs(self, issue: Issue) -> dict[str, Any]:
        """Return the oldest worklogs."""
        shown = issue.worklogs[:EMBEDDED_WORKLOGS]
        return {
            "startAt": 0,
            "maxResults": EMBEDDED_WORKLOGS,
            "total": len(issue.worklogs),
            "worklogs": [self.render.worklog(issue, worklog) for worklog in shown],
        }

    def other(self, number: int) -> dict[str, Any] | None:
        """Return another issue as an issue shows it; None where it is gone or hidden."""
        other = self.records.issues.get(number)
        if other is None or not self.records.is_visible(other):
            return None
        fields = {
            "summary": other.injected.get("summary", other.values.get("summary")),
            "status": self.render.status(other.status),
            "priority": self.priority(other),
            "issuetype": self.render.type(other.type),
        }
        link = f"{self.render.link}/issue/{other.id}"
        return {"id": str(other.id), "key": other.key, "self": link, "fields": fields}

    def links(self, issue: Issue) -> list[dict[str, Any]]:
        """Return the links to issues that the caller may see."""
        shown = [(link, self.other(link.other)) for link in issue.links]
        return [self._link(link, other) for link, other in shown if other is not None]

    def _link(self, link: Link, other: dict[str, Any]) -> dict[str, Any]:
        kind = self.render.catalogue.link_types[link.type]
        return {
            "id": str(link.id),
            "self": f"{self.render.link}/issueLink/{link.id}",
            "type": {
                "id": str(kind.id),
                "name": kind.name,
                "inward": kind.inward,
                "outward": kind.outward,
                "self": f"{self.render.link}/issueLinkType/{kind.id}",
            },
            "outwardIssue" if link.is_outward else "inwardIssue": other,
        }

    def priority(self, issue: Issue) -> dict[str, Any]:
        """Return its priority."""
        return self.render.named("priority", self.render.catalogue.priorities[issue.priority])

    def resolution(self, issue: Issue) -> dict[str, Any] | None:
        """Return its resolution."""
        if issue.resolution is None:
            return None
        return self.render.named("resolution", self.render.catalogue.resolutions[issue.resolution])

    def named(self, kind: str, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Return components or versions."""
        pool = self.render.catalogue.components if kind == "component" else self.render.catalogue.versions
        return [self._version(pool[n]) if kind == "version" else self.render.named(kind, pool[n]) for n in numbers]

    def _version(self, named: Named) -> dict[str, Any]:
        more = {"archived": False, "released": named.id % 2 == 0, "releaseDate": f"2026-0{named.id % 9 + 1}-15"}
        return self.render.named("version", named) | more

    def attachments(self, issue: Issue) -> list[dict[str, Any]]:
        """Return its one attachment, if any."""
        if "attachment" not in issue.values:
            return []
        name, size = issue.values["attachment"]
        number = str(30_000 + issue.id)
        return [
            {
                "self": f"{self.render.link}/attachment/{number}",
                "id": number,
                "filename": name,
                "author": self.render.user(issue.creator),
                "created": self.render.time(issue.created),
                "size": size,
                "mimeType": "image/png",
                "content": f"{self.render.link}/attachment/content/{number}",
                "thumbnail": f"{self.render.link}/attachment/thumbnail/{number}",
            }
        ]

    def family_sum(self, issue: Issue, value: Callable[[Issue], int | None]) -> int | None:
        """Add *value* up over the issue and its sub-tasks; None where none has one."""
        family = [issue, *(self.records.issues[n] for n in issue.subtasks if n in self.records.issues)]
        known = [number for member in family if (number := value(member)) is not None]
        return sum(known) if known else None


def _spent(issue: Issue) -> int | None:
    return issue.seconds_spent


def _estimate(issue: Issue) -> int | None:
    estimate: int | None = issue.values.get("timeestimate")
    return estimate


def _original(issue: Issue) -> int | None:
    estimate: int | None = issue.values.get("timeoriginalestimate")
    return estimate


def _progress(spent: int | None, left: int | None) -> dict[str, Any]:
    done, total = spent or 0, (spent or 0) + (left or 0)
    progress: dict[str, Any] = {"progress": done, "total": total}
    return progress | {"percent": done * 100 // total} if total else progress


def _tracking(issue: Issue) -> dict[str, Any]:
    parts = (
        ("originalEstimate", _original(issue)),
        ("remainingEstimate", _estimate(issue)),
        ("timeSpent", _spent(issue)),
    )
    known = [(name, seconds) for name, seconds in parts if seconds is not None]
    tracking: dict[str, Any] = {name: render_duration(seconds) for name, seconds in known}
    return tracking | {f"{name}Seconds": seconds for name, seconds in known}


def _work_ratio(issue: Issue) -> int:
    original = _original(issue)
    return -1 if not original else (_spent(issue) or 0) * 100 // original


_EMPTY: dict[str, Any] = {
    "customfield_10000": "{}",
    "customfield_10018": {
        "hasEpicLinkFieldDependency": False,
        "showField": False,
        "nonEditableReason": {"reason": "PLUGIN_LICENSE_ERROR", "message": "Deze link is niet te wijzigen."},
    },
    "customfield_10073": [],
}

_SYSTEM: dict[str, Callable[[IssueRender, Issue], Any]] = {
    "statuscategorychangedate": lambda r, i: r.render.time(i.status_since),
    "parent": lambda r, i: None if i.parent is None else r.other(i.parent),
    "summary": lambda r, i: i.values.get("summary"),
    "fixVersions": lambda r, i: r.named("version", i.values.get("fixVersions", ())),
    "resolution": lambda r, i: r.resolution(i),
    "lastViewed": lambda r, i: r.render.time(r.viewed_ms()),
    "priority": lambda r, i: r.priority(i),
    "labels": lambda r, i: i.values.get("labels", []),
    "timeestimate": lambda r, i: _estimate(i),
    "aggregatetimeoriginalestimate": lambda r, i: r.family_sum(i, _original),
    "versions": lambda r, i: [],
    "issuelinks": lambda r, i: r.links(i),
    "assignee": lambda r, i: r.render.user(i.assignee),
    "status": lambda r, i: r.render.status(i.status),
    "components": lambda r, i: r.named("component", i.values.get("components", ())),
    "aggregatetimeestimate": lambda r, i: r.family_sum(i, _estimate),
    "creator": lambda r, i: r.render.user(i.creator),
    "subtasks": lambda r, i: [other for n in i.subtasks if (other := r.other(n)) is not None],
    "reporter": lambda r, i: r.render.user(i.reporter),
    "aggregateprogress": lambda r, i: _progress(r.family_sum(i, _spent), r.family_sum(i, _estimate)),
    "progress": lambda r, i: _progress(_spent(i), _estimate(i)),
    "votes": lambda r, i: {
        "self": f"{r.render.link}/issue/{i.key}/votes",
        "votes": i.values.get("votes", 0),
        "hasVoted": False,
    },
    "worklog": lambda r, i: r.worklogs(i),
    "issuetype": lambda r, i: r.render.type(i.type),
    "timespent": lambda r, i: _spent(i),
    "project": lambda r, i: r.render.project_of_issue(i.project),
    "aggregatetimespent": lambda r, i: r.family_sum(i, _spent),
    "resolutiondate": lambda r, i: r.render.time(i.resolved),
    "workratio": lambda r, i: _work_ratio(i),
    "watches": lambda r, i: {
        "self": f"{r.render.link}/issue/{i.key}/watchers",
        "watchCount": i.values.get("watches", 0),
        "isWatching": False,
    },
    "issuerestriction": lambda r, i: {"issuerestrictions": {}, "shouldDisplay": False},
    "created": lambda r, i: r.render.time(i.created),
    "updated": lambda r, i: r.render.time(i.updated),
    "timeoriginalestimate": lambda r, i: _original(i),
    "description": lambda r, i: r.render.body(i.values.get("description")),
    "timetracking": lambda r, i: _tracking(i),
    "security": lambda r, i: None,
    "attachment": lambda r, i: r.attachments(i),
    "environment": lambda r, i: r.render.body(i.values.get("environment")),
    "duedate": lambda r, i: i.values.get("duedate"),
    "comment": lambda r, i: r.comments(i),
}
