"""
A Jira site's records and every edit that can be made to them, with what each edit moves and what it does not.

Here: issues, projects, permissions, tombstones. Not here: what search knows of them (`jira.index`), how they look as
JSON (`jira.render`), the random edits of `JiraSite.edit` (`jira.edits`), HTTP (`jira`).
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer.sandbox.clock import Clock
from syncer.sandbox.jira.index import Index
from syncer.sandbox.jira.model import (
    Category,
    Comment,
    FieldDefinition,
    History,
    Issue,
    IssueType,
    Item,
    Named,
    Project,
    ProjectState,
    Status,
    User,
    Worklog,
    to_ms,
)

DONE = 3  # the id of the status category "done"
ATTRIBUTES = {"assignee": "assignee", "reporter": "reporter", "priority": "priority", "issuetype": "type"}


@attrs.define(kw_only=True)
class Catalogue:
    """What issues refer to, by id."""

    users: dict[str, User] = attrs.field(factory=dict)
    categories: dict[int, Category] = attrs.field(factory=dict)
    statuses: dict[int, Status] = attrs.field(factory=dict)
    types: dict[int, IssueType] = attrs.field(factory=dict)
    priorities: dict[int, Named] = attrs.field(factory=dict)
    resolutions: dict[int, Named] = attrs.field(factory=dict)
    components: dict[int, Named] = attrs.field(factory=dict)
    versions: dict[int, Named] = attrs.field(factory=dict)
    link_types: dict[int, Named] = attrs.field(factory=dict)
    fields: dict[str, FieldDefinition] = attrs.field(factory=dict)


class JiraRecords:
    """
    The records of one site. Every method that changes one takes ids or keys; times come from the clock.

    `index_lag_s` is the most seconds (of the sandbox's clock) that search is behind; each edit draws its own. 0: none.
    """

    def __init__(self, *, clock: Clock, seed: int, index_lag_s: float = 60.0) -> None:
        """Start empty."""
        self.clock = clock
        self.seed = seed
        self.index_lag_s = index_lag_s
        self.shows_archived = False  # issues of archived projects by their ids; search has them never
        self.catalogue = Catalogue()
        self.projects: dict[int, Project] = {}
        self.issues: dict[int, Issue] = {}
        self.ids_by_key: dict[str, int] = {}  # old keys too
        self.worklog_issues: dict[int, int] = {}
        self.tombstones: list[tuple[int, int]] = []  # worklog id, when it was deleted
        self.revision = 0
        self.index = Index()
        self._lag_random = random.Random(f"lag {seed}")
        self._author_random = random.Random(f"author {seed}")
        self._next_ids = {"issue": 10_001, "project": 10_000, "comment": 10_001, "worklog": 10_001, "history": 10_001}

    def now_ms(self) -> int:
        """Return the time of the site."""
        return to_ms(self.clock.now())

    def issue(self, ref: int | str) -> Issue:
        """Return an issue by id, key or an old key; KeyError where there is none."""
        text = str(ref)
        number = int(text) if text.isascii() and text.isdigit() else self.ids_by_key.get(text.upper(), -1)
        if number not in self.issues:
            raise KeyError(f"no issue {ref!r}")
        return self.issues[number]

    def project(self, ref: int | str) -> Project:
        """Return a project by id, key or an old key; KeyError where there is none."""
        text = str(ref)
        if text.isascii() and text.isdigit() and int(text) in self.projects:
            return self.projects[int(text)]
        for project in self.projects.values():
            if text.upper() == project.key or text.upper() in project.old_keys:
                return project
        raise KeyError(f"no project {ref!r}")

    def is_visible(self, issue: Issue) -> bool:
        """Tell whether the token may see *issue*: it is not hidden, and its project is live and not hidden."""
        project = self.projects[issue.project]
        return not issue.is_hidden and not project.is_hidden and project.state == "live"

    def is_readable(self, issue: Issue) -> bool:
        """Tell whether the token may read *issue* by its id."""
        project = self.projects[issue.project]
        is_shown = self.shows_archived and project.state == "archived"
        return self.is_visible(issue) or (is_shown and not issue.is_hidden and not project.is_hidden)

    def visible_issues(self) -> Iterator[Issue]:
        """Yield the issues that the token may see now, whatever the index knows; by id."""
        for number in sorted(self.issues):
            if self.is_visible(self.issues[number]):
                yield self.issues[number]

    def next_id(self, kind: str) -> int:
        """Return a new id of *kind*; ids have gaps, as the real ones do."""
        number = self._next_ids[kind]
        self._next_ids[kind] = number + 1 + number % 3
        return number

    def tie(self, number: int) -> int:
        """Return what orders issue *number* among equals: arbitrary, but always the same."""
        return zlib.crc32(b"%d/%d" % (self.seed, number))

    def add_project(self, project: Project) -> Project:
        """Add *project*."""
        self.projects[project.id] = project
        self.revision += 1
        return project

    def hide_project(self, ref: int | str, *, is_hidden: bool = True) -> None:
        """Take the token's Browse permission for a project away, or give it back."""
        self.project(ref).is_hidden = is_hidden
        self.revision += 1

    def show_project(self, ref: int | str) -> None:
        """Give the permission back."""
        self.hide_project(ref, is_hidden=False)

    def archive_project(self, ref: int | str) -> None:
        """Archive a project: its issues drop out of everything, none is deleted."""
        self._set_state(ref, "archived")

    def delete_project(self, ref: int | str) -> None:
        """Move a project to the trash."""
        self._set_state(ref, "deleted")

    def restore_project(self, ref: int | str) -> None:
        """Bring a project back from the archive or the trash; its issues' `updated` stay as they were."""
        self._set_state(ref, "live")

    def rename_project(self, ref: int | str, *, key: str) -> None:
        """Give a project another key: all its issues' keys change, their `updated` and their ids do not."""
        project = self.project(ref)
        project.old_keys += (project.key,)
        project.key = key
        for issue in [issue for issue in self.issues.values() if issue.project == project.id]:
            self._set_key(issue, f"{key}-{issue.key.rpartition('-')[2]}")
        self.revision += 1

    def _set_state(self, ref: int | str, state: ProjectState) -> None:
        project = self.project(ref)
        project.state, project.state_since = state, self.now_ms()
        self.revision += 1

    def create_issue(self, project_ref: int | str, values: Mapping[str, Any], *, parent: int | None = None) -> Issue:
        """Create an issue, or a sub-task of *parent*; *values* as in `update_issue`."""
        project, now, number = self.project(project_ref), self.now_ms(), self.next_id("issue")
        project.last_number += 1
        author = self._some_author()
        issue = Issue(
            id=number,
            key=f"{project.key}-{project.last_number}",
            project=project.id,
            type=self._type_of_level(0 if parent is None else -1),
            status=project.statuses[0],
            created=now,
            updated=now,
            creator=author,
            reporter=author,
            assignee=None,
            priority=3,
            tie=self.tie(number),
            status_since=now,
            parent=parent,
        )
        for name, value in values.items():
            self._put(issue, name, value)
        self.index.before(number, None)
        self.issues[number] = issue
        self.ids_by_key[issue.key] = number
        if parent is not None:
            self.issues[parent].subtasks.append(number)
        self._edited(number)
        return issue

    def update_issue(self, ref: int | str, values: Mapping[str, Any], *, author: str | None = None) -> None:
        """Set fields, by field id, as they are stored (see `model.FieldDefinition.kind`); the changelog tells."""
        issue = self.issue(ref)
        with self._editing(issue):
            items = [self._change(issue, name, value) for name, value in values.items()]
            self._log(issue, items, author=author)

    def transition(self, ref: int | str, status_id: int, *, author: str | None = None) -> None:
        """Move an issue to a status; one of category "done" sets the resolution, leaving it clears that."""
        issue, now = self.issue(ref), self.now_ms()
        old, new = self.catalogue.statuses[issue.status], self.catalogue.statuses[status_id]
        with self._editing(issue):
            items: list[Item] = [("status", "status", str(old.id), old.name, str(new.id), new.name)]
            resolution = next(iter(self.catalogue.resolutions)) if new.category == DONE else None
            if resolution != issue.resolution and (resolution is None or issue.resolution is None):
                items.insert(0, self._resolution_item(issue.resolution, resolution))
                issue.resolution = resolution
                issue.resolved = now if resolution is not None else None
            if old.category != new.category:
                issue.status_since = now
            issue.status = status_id
            self._log(issue, items, author=author)

    def move_issue(self, ref: int | str, project_ref: int | str) -> None:
        """Move an issue, and its sub-tasks, to another project: new key, same id; the old key still finds it."""
        issue, target = self.issue(ref), self.project(project_ref)
        source = self.projects[issue.project]
        with self._editing(issue):
            target.last_number += 1
            old_key, new_key = issue.key, f"{target.key}-{target.last_number}"
            items: list[Item] = [
                ("project", "project", str(source.id), source.name, str(target.id), target.name),
                ("Key", None, None, old_key, None, new_key),
            ]
            if issue.status not in target.statuses:
                old, new = self.catalogue.statuses[issue.status], self.catalogue.statuses[target.statuses[0]]
                items.append(("status", "status", str(old.id), old.name, str(new.id), new.name))
                issue.status = new.id
            issue.project = target.id
            self._set_key(issue, new_key)
            self._log(issue, items)
        for child in list(issue.subtasks):
            self.move_issue(child, target.id)

    def delete_issue(self, ref: int | str) -> None:
        """Delete an issue and its sub-tasks. Its worklogs go without a tombstone."""
        issue = self.issue(ref)
        for child in list(issue.subtasks):
            self.delete_issue(child)
        self.index.before(issue.id, issue)
        del self.issues[issue.id]
        for key in (issue.key, *issue.old_keys):
            self.ids_by_key.pop(key, None)
        for worklog in issue.worklogs:
            self.worklog_issues.pop(worklog.id, None)
        parent = self.issues.get(issue.parent or -1)
        if parent is not None and issue.id in parent.subtasks:
            parent.subtasks.remove(issue.id)
        self._edited(issue.id)

    def hide_issue(self, ref: int | str, *, is_hidden: bool = True) -> None:
        """Hide an issue from the token (a security level), or show it again; its `updated` stays."""
        self.issue(ref).is_hidden = is_hidden
        self.revision += 1

    def show_issue(self, ref: int | str) -> None:
        """Show a hidden issue again."""
        self.hide_issue(ref, is_hidden=False)

    def inject(self, ref: int | str, field: str, value: Any, *, is_silent: bool = False) -> None:
        """
        Let *field* of an issue be *value*, any JSON, whatever the field's type says.

        "id" and "key" are the issue's own, all others stand in its fields. *is_silent*: `updated` stays.
        """
        issue = self.issue(ref)
        with self._editing(issue):
            issue.injected[field] = value
            if not is_silent:
                issue.updated = self.now_ms()

    def add_comment(self, ref: int | str, body: Any, *, author: str | None = None, role: str | None = None) -> Comment:
        """Add a comment; the issue's `updated` moves."""
        issue, now = self.issue(ref), self.now_ms()
        who = author or self._some_author()
        comment = Comment(
            id=self.next_id("comment"), author=who, editor=who, created=now, updated=now, body=body, role=role
        )
        with self._editing(issue):
            issue.comments.append(comment)
            issue.updated = now
        return comment

    def edit_comment(self, ref: int | str, comment_id: int, body: Any) -> None:
        """Change a comment; the issue's `updated` moves, its changelog says nothing."""
        issue, now = self.issue(ref), self.now_ms()
        at = _position(issue.comments, comment_id)
        with self._editing(issue):
            issue.comments[at] = attrs.evolve(issue.comments[at], body=body, updated=now, editor=self._some_author())
            issue.updated = now

    def delete_comment(self, ref: int | str, comment_id: int) -> None:
        """Delete a comment; nothing tells: the issue's `updated` stays as it was."""
        issue = self.issue(ref)
        with self._editing(issue):
            del issue.comments[_position(issue.comments, comment_id)]

    def add_worklog(self, ref: int | str, seconds: int, *, comment: Any = None, author: str | None = None) -> Worklog:
        """Log work that began just before now; `updated` and the time spent move."""
        issue, now = self.issue(ref), self.now_ms()
        who = author or self._some_author()
        worklog = Worklog(
            id=self.next_id("worklog"),
            author=who,
            editor=who,
            created=now,
            updated=now,
            started=now - seconds * 1000,
            seconds=seconds,
            comment=comment,
        )
        with self._editing(issue):
            before = issue.seconds_spent
            issue.worklogs.append(worklog)
            self.worklog_issues[worklog.id] = issue.id
            self._log(issue, [_time_item(before, issue.seconds_spent)], author=who)
        return worklog

    def edit_worklog(self, ref: int | str, worklog_id: int, seconds: int) -> None:
        """Change the time of a worklog."""
        issue, now = self.issue(ref), self.now_ms()
        at = _position(issue.worklogs, worklog_id)
        with self._editing(issue):
            before = issue.seconds_spent
            issue.worklogs[at] = attrs.evolve(issue.worklogs[at], seconds=seconds, updated=now)
            self._log(issue, [_time_item(before, issue.seconds_spent)])

    def delete_worklog(self, ref: int | str, worklog_id: int) -> None:
        """Delete a worklog: a tombstone tells, and the issue's `updated` moves, since its time spent does."""
        issue = self.issue(ref)
        at = _position(issue.worklogs, worklog_id)
        with self._editing(issue):
            before = issue.seconds_spent
            del issue.worklogs[at]
            del self.worklog_issues[worklog_id]
            self.tombstones.append((worklog_id, self.now_ms()))
            self._log(issue, [_time_item(before, issue.seconds_spent)])

    @contextlib.contextmanager
    def _editing(self, issue: Issue) -> Iterator[None]:
        """Surround a change of *issue*, so that the index learns of it only later."""
        if self.index_lag_s:
            self.index.before(issue.id, issue)
        yield
        self._edited(issue.id)

    def _edited(self, number: int) -> None:
        self.revision += 1
        lag_ms = int(self._lag_random.uniform(0, self.index_lag_s) * 1000) if self.index_lag_s else 0
        self.index.after(number, self.issues.get(number), self.now_ms() + lag_ms)

    def _log(self, issue: Issue, items: list[Item], *, author: str | None = None) -> None:
        """Add a changelog entry of now; `updated` moves with it."""
        issue.updated = self.now_ms()
        who = author or self._some_author()
        entry = History(id=self.next_id("history"), author=who, created=issue.updated, items=tuple(items))
        issue.histories.append(entry)

    def _change(self, issue: Issue, name: str, value: Any) -> Item:
        """Put *value* into a field; return the changelog's item."""
        attribute = ATTRIBUTES.get(name)
        old = getattr(issue, attribute) if attribute else issue.values.get(name)
        self._put(issue, name, value)
        field = self.catalogue.fields.get(name)
        label = field.name if field is not None and field.kind is not None else name
        return label, name, _text(old), self._label(name, old), _text(value), self._label(name, value)

    def _put(self, issue: Issue, name: str, value: Any) -> None:
        if name in ATTRIBUTES:
            setattr(issue, ATTRIBUTES[name], value)
        elif value is None:
            issue.values.pop(name, None)
        else:
            issue.values[name] = value

    def _label(self, name: str, value: Any) -> str | None:
        """Return what a changelog shows for *value*, as the name of what it refers to."""
        if value is None:
            return None
        if name in ("assignee", "reporter"):
            return self.catalogue.users[value].name
        if name == "priority":
            return self.catalogue.priorities[value].name
        return self.catalogue.types[value].name if name == "issuetype" else _text(value)

    def _resolution_item(self, old: int | None, new: int | None) -> Item:
        names = self.catalogue.resolutions
        return (
            "resolution",
            "resolution",
            _text(old),
            names[old].name if old is not None else None,
            _text(new),
            names[new].name if new is not None else None,
        )

    def _set_key(self, issue: Issue, key: str) -> None:
        issue.old_keys += (issue.key,)
        issue.key = key
        self.ids_by_key[key] = issue.id

    def _type_of_level(self, level: int) -> int:
        return next(kind.id for kind in self.catalogue.types.values() if kind.level == level)

    def _some_author(self) -> str:
        return self._author_random.choice(list(self.catalogue.users))


def _position(parts: Sequence[Comment | Worklog], number: int) -> int:
    for at, part in enumerate(parts):
        if part.id == number:
            return at
    raise KeyError(f"no comment or worklog {number} there")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _time_item(before: int | None, after: int | None) -> Item:
    return "timespent", "timespent", _text(before), _text(before), _text(after), _text(after)
