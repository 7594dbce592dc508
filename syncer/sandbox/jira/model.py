"""
What a Jira site is made of: users, statuses, projects, issues and what hangs on them.

Times are whole milliseconds since 1970, UTC; ids are integers here and texts in JSON. How these look in JSON is in
`jira_render`, how they change in `jira_records`, where the generated ones come from in `jira_data`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import attrs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000
DAY_MS = 86_400_000

ProjectState = Literal["live", "archived", "deleted"]
TokenKind = Literal["classic", "service"]


def to_ms(moment: datetime) -> int:
    """Return an aware datetime as milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def to_datetime(ms: int) -> datetime:
    """Return milliseconds since 1970 as an aware datetime in UTC; years before 1970 too."""
    return EPOCH + timedelta(milliseconds=ms)


def to_date(ms: int) -> date:
    """Return the UTC date of *ms*."""
    return to_datetime(ms).date()


@attrs.frozen(kw_only=True)
class Token:
    """An API token and whose it is. One that is not valid makes the caller anonymous, as a wrong one does."""

    secret: str = attrs.field(repr=False)
    email: str
    account_id: str
    kind: TokenKind = "classic"
    is_valid: bool = True


@attrs.frozen(kw_only=True)
class User:
    account_id: str
    name: str
    email: str | None  # None: hidden by its owner, as most are
    is_active: bool = True
    zone: str = "Europe/Amsterdam"
    kind: str = "atlassian"


@attrs.frozen(kw_only=True)
class Category:
    """A status category: there are these four and no others."""

    id: int
    key: str
    name: str
    color: str
    search_name: str  # what /statuses/search calls it


@attrs.frozen(kw_only=True)
class Status:
    id: int
    name: str
    category: int
    description: str = ""
    untranslated: str | None = None
    project: int | None = None  # a team-managed project has statuses of its own


@attrs.frozen(kw_only=True)
class IssueType:
    id: int
    name: str
    description: str
    level: int  # 1 epic, 0 standard, -1 sub-task
    avatar: int


@attrs.frozen(kw_only=True)
class Named:
    """A priority, resolution, component, version or link type: an id, a name and what little else it has."""

    id: int
    name: str
    description: str = ""
    inward: str = ""
    outward: str = ""


@attrs.frozen(kw_only=True)
class FieldDefinition:
    """A field of the site. `kind` says how a value is stored here; None: a system field."""

    id: str
    name: str
    schema: dict[str, Any] | None
    kind: str | None = None
    is_navigable: bool = True
    project: int | None = None  # only on issues of this project
    options: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The number in a custom field's id."""
        return int(self.id.removeprefix("customfield_"))


@attrs.define(kw_only=True)
class Project:
    id: int
    key: str
    name: str
    lead: str
    type_key: str = "software"
    is_team_managed: bool = False
    is_private: bool = False  # says the API, of projects that the token may very well see
    uuid: str = ""
    avatar: int = 10400
    description: str = ""
    old_keys: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    state: ProjectState = "live"
    state_since: int = 0  # when it was archived or deleted
    is_hidden: bool = False
    last_number: int = 0


@attrs.frozen(kw_only=True)
class Comment:
    id: int
    author: str
    editor: str
    created: int
    updated: int
    body: Any  # ADF
    role: str | None = None  # only this role may see it


@attrs.frozen(kw_only=True)
class Worklog:
    id: int
    author: str
    editor: str
    created: int
    updated: int
    started: int
    seconds: int
    comment: Any = None  # ADF; None: the key is absent


# field, fieldId (None: the key is absent), from, fromString, to, toString
Item = tuple[str, str | None, str | None, str | None, str | None, str | None]


@attrs.frozen(kw_only=True)
class History:
    """One entry of a changelog."""

    id: int
    author: str | None  # None: an automation, the key is absent
    created: int
    items: tuple[Item, ...]


@attrs.frozen(kw_only=True)
class Link:
    id: int
    type: int
    is_outward: bool
    other: int


@attrs.define(kw_only=True)
class Issue:
    """An issue as it is now. `values` holds fields as they are stored, by field id; absent means null."""

    id: int
    key: str
    project: int
    type: int
    status: int
    created: int
    updated: int
    creator: str
    reporter: str | None
    assignee: str | None
    priority: int
    tie: int  # orders issues that a query's ORDER BY leaves equal
    resolution: int | None = None
    resolved: int | None = None
    status_since: int = 0
    parent: int | None = None
    is_hidden: bool = False
    old_keys: tuple[str, ...] = ()
    values: dict[str, Any] = attrs.field(factory=dict)
    injected: dict[str, Any] = attrs.field(factory=dict)  # raw JSON that wins over what would be rendered
    comments: list[Comment] = attrs.field(factory=list)
    worklogs: list[Worklog] = attrs.field(factory=list)
    histories: list[History] = attrs.field(factory=list)
    links: list[Link] = attrs.field(factory=list)
    subtasks: list[int] = attrs.field(factory=list)

    def copy(self) -> Issue:
        """Return a copy that later edits of this one leave alone."""
        return attrs.evolve(
            self,
            values=dict(self.values),
            injected=dict(self.injected),
            comments=list(self.comments),
            worklogs=list(self.worklogs),
            histories=list(self.histories),
            links=list(self.links),
            subtasks=list(self.subtasks),
        )

    @property
    def sort_key(self) -> tuple[str, int]:
        """How JQL orders by key: by project key, then by number."""
        prefix, _, number = self.key.rpartition("-")
        return prefix, int(number)

    @property
    def seconds_spent(self) -> int | None:
        """The time logged, None where none is."""
        return sum(worklog.seconds for worklog in self.worklogs) if self.worklogs else None
