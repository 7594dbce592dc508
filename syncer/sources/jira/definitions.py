"""
What a site defines: its fields, which become columns beside the declared ones, and the categories of its statuses.

A custom field's name is neither unique nor stable: its column is named by its id, the name is the column's comment.
Source: Jira Cloud REST API v3, "Get fields", "Get all statuses"; the field types of `schema.custom`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer.mapping import MAX_COLUMN_BYTES, Field
from syncer.sources.jira.calls import Calls, a_list, iso_of, ms_of
from syncer.values import BIGINT, BOOLEAN, DATE, DOUBLE, JSON, TEXT, TIMESTAMP, Type

IN_PROGRESS = "indeterminate"  # the category's key; its name, and those of statuses, are translated and renamed
RICH_TEXT = (":textarea",)  # endings of schema.custom whose values are ADF
PLAIN_TEXT = (":gh-lexo-rank", ":gh-epic-link")  # schema.type is "any", but it is a text

# System fields that mappings/jira.py declares, or that have no place in a row: the reader's own, those with streams.
DECLARED = frozenset({
    "issuekey", "key", "id", "project", "issuetype", "status", "priority", "resolution", "resolutiondate",
    "assignee", "reporter", "creator", "parent", "labels", "components", "fixVersions", "versions",
    "issuelinks", "subtasks", "attachment", "summary", "description", "environment", "created", "updated",
    "duedate", "statuscategorychangedate", "timespent", "timeestimate", "timeoriginalestimate",
    "aggregatetimespent", "aggregatetimeestimate", "aggregatetimeoriginalestimate", "progress",
    "aggregateprogress", "workratio", "timetracking", "votes", "watches", "security", "issuerestriction",
    "statusCategory",
})  # fmt: skip
LEFT_OUT = frozenset({"lastViewed", "comment", "worklog", "thumbnail"})
SYSTEM_RICH_TEXT = ("description", "environment")
SYSTEM_JSON = (
    "components", "fixVersions", "versions", "issuelinks", "subtasks", "attachment", "timetracking", "issuerestriction"
)  # fmt: skip

_PLAIN: Mapping[str, Type] = {
    "string": TEXT, "number": DOUBLE, "date": DATE, "datetime": TIMESTAMP, "boolean": BOOLEAN
}  # fmt: skip
# Objects of which two values are columns: the parts' names, where they stand, their types.
_PARTS: Mapping[str, tuple[tuple[str, str, Type], ...]] = {
    "option": (("id", "id", BIGINT), ("value", "value", TEXT)),
    "user": (("account_id", "accountId", TEXT), ("display_name", "displayName", TEXT)),
    **dict.fromkeys(
        ("version", "priority", "resolution", "status", "issuetype", "component", "securitylevel"),
        (("id", "id", BIGINT), ("name", "name", TEXT)),
    ),
    "project": (("id", "id", BIGINT), ("key", "key", TEXT), ("name", "name", TEXT)),
    "option-with-child": (("value", "value", TEXT), ("child_value", "child.value", TEXT)),
}


@attrs.frozen(kw_only=True)
class Definitions:
    """What the fields of issues are: the columns to add, and which values are rich text or other JSON."""

    columns: tuple[Field, ...]
    rich_text: tuple[str, ...]
    json: tuple[str, ...]


def read(calls: Calls) -> Definitions:
    """Ask for the fields that the site has now."""
    columns: list[Field] = []
    rich_text, json = list(SYSTEM_RICH_TEXT), list(SYSTEM_JSON)
    for field in a_list(calls.get("field")):
        number = field.get("id")
        if not isinstance(number, str) or number in DECLARED | LEFT_OUT:
            continue
        added = _columns(number, str(field.get("name") or number), field.get("schema"))
        kinds = {column.type for column in added}
        if _is_rich_text(field.get("schema")):
            rich_text.append(number)
        elif JSON in kinds:
            json.append(number)
        columns += added
    once = {column.column: column for column in reversed(columns)}
    return Definitions(columns=tuple(reversed(once.values())), rich_text=tuple(rich_text), json=tuple(json))


def categories(calls: Calls) -> dict[str, str]:
    """Return the category's key of each status that is known, by id."""
    found = {}
    for status in a_list(calls.get("status")):
        category = status.get("statusCategory")
        if isinstance(category, dict):
            found[str(status.get("id"))] = str(category.get("key"))
    return found


def _columns(number: str, comment: str, schema: object) -> list[Field]:
    """Return the columns of one field; its name is their comment."""
    column = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", number).lower()).strip("_")
    column = column[: MAX_COLUMN_BYTES - len("_display_name")]
    if not column or column[0].isdigit():
        column = f"field_{column}"
    base = ("fields", number)
    if _is_rich_text(schema):
        text = Field(f"{column}_text", path=("fields", f"{number}_text"), comment=comment)
        return [Field(column, path=base, type=JSON, comment=comment), text]
    parts = _PARTS.get(_kind(schema), ())
    found = [
        Field(
            f"{column}_{part}",
            path=(*base, *path.split(".")),
            type=kind,
            personal=part == "display_name",
            comment=comment,
        )
        for part, path, kind in parts
    ]
    if parts and _kind(schema) != "option-with-child":
        return found
    return [Field(column, path=base, type=_type(schema), personal=_is_of_users(schema), comment=comment), *found]


def _kind(schema: object) -> str:
    return str(schema.get("type")) if isinstance(schema, dict) else ""


def _custom(schema: object) -> str:
    return str(schema.get("custom") or "") if isinstance(schema, dict) else ""


def _is_of_users(schema: object) -> bool:
    """Tell whether the values are lists of people, each with their name."""
    return isinstance(schema, dict) and schema.get("items") == "user"


def _is_rich_text(schema: object) -> bool:
    return _custom(schema).endswith(RICH_TEXT)


def _type(schema: object) -> Type:
    if _custom(schema).endswith(PLAIN_TEXT):
        return TEXT
    return _PLAIN.get(_kind(schema), JSON)


def cleaned(value: Any, depth: int = 0) -> Any:
    """
    Return a JSON value without links, pictures and what belongs to others; what stands very deep stays as it is.

    A link depends on the host that was asked, a picture's address changes by itself; a user is their account and name;
    an issue that another one shows is its id and key, since what else it shows moves without that one's `updated`.
    Times, which the API writes in the zone of whoever asks, are UTC.
    """
    if depth > DEEPEST:
        return value
    if isinstance(value, list):
        return [cleaned(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return _utc(value)
    if not isinstance(value, dict):
        return value
    if "accountId" in value:
        return _kept(value, ("accountId", "displayName"))
    if "key" in value and isinstance(value.get("fields"), dict):
        return _kept(value, ("id", "key"))
    dropped = _LINKS | _CONTENTS if "mimeType" in value else _LINKS
    return {name: cleaned(inner, depth + 1) for name, inner in value.items() if name not in dropped}


DEEPEST = 100
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")
_LINKS = frozenset({"self", "avatarUrls", "avatarId", "iconUrl", "expand"})
_CONTENTS = frozenset({"content", "thumbnail"})  # of an attachment: links too


def _utc(text: str) -> str:
    at = ms_of(text) if _TIME.fullmatch(text) else None
    return text if at is None else iso_of(at)


def _kept(value: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
