"""
Whether a warehouse holds what an API has: record by record, column by column, written without the product's own
conversion.

`differences` names each record that is missing, stale or too many. Columns that a source makes up beside the record
(text of ADF, …) and those that an API changes without telling are listed here by name, not guessed.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from syncer import mappings
from syncer.mapping import EntityMapping, Field
from syncer.values import DATE, DOUBLE, JSON, TIMESTAMP
from tests.backends import Database, asked

Query = Callable[[str], list[tuple[Any, ...]]]

# Made by the source beside the record; tests of the sources look at them.
MADE = {
    "jira.issues": {"first_in_progress", "description_text", "environment_text", "issuelinks", "subtasks"},
    "jira.comments": {"body_text"},
    "jira.worklogs": {"comment_text"},
    "jira.projects": {
        "description",
        "url",
        "lead_account_id",
        "lead_display_name",
        "project_keys",
    },  # only with `expand`
    "gitlab.merge_request_commits": {"project_id", "merge_request_iid"},
}
# Moved by the API without `updated` moving: as of the record's own last change.
UNTOLD = {
    "jira.issues": {
        "parent_id",
        "parent_key",
        "project_key",
        "project_name",
        "assignee_display_name",
        "status_name",
        "aggregatetimespent",
        "aggregatetimeestimate",
        "aggregatetimeoriginalestimate",
        "aggregateprogress",
        "aggregateprogress_total",
        "progress",
        "progress_total",
        "timespent",
        "timeestimate",
        "timetracking",
        "workratio",
    },
}
LINKS = {
    "self",
    "avatarUrls",
    "avatarId",
    "iconUrl",
    "expand",
    "content",
    "thumbnail",
    "active",
    "timeZone",
    "emailAddress",
    "accountType",
}
JIRA_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}([+-]\d{4}|Z)")
# Where the truth has what a source puts into the record under another name.
ELSEWHERE = {("jira.comments", "issue_id"): ("issueId",), ("jira.changelogs", "issue_id"): ("issueId",)}
WHOLE_SECONDS = {"gitlab.pipelines"}
KEPT = {"gitlab.commits"}  # rows stay when the API has them no more


def unmasked(source: str) -> dict[str, dict[str, str]]:
    """Return the tables of `syncer.toml` by which a source's free text is kept, to be compared with the API's."""
    chosen = [each for each in mappings.known().values() if each.source == source]
    return {each.name: {"personal": "keep"} for each in chosen if any(field.personal for field in each.fields)}


def differences(where: Path | Database, mapping: EntityMapping, truth: Mapping[tuple[Any, ...], Any]) -> list[str]:
    """Compare a load table, by its warehouse or DuckDB file, with *truth* (by key); return what is wrong, in words."""
    checked = [
        field
        for field in mapping.fields
        if field.column not in set(mapping.key) | MADE.get(mapping.name, set()) | UNTOLD.get(mapping.name, set())
    ]
    columns = ", ".join(f'"{name}"' for name in (*mapping.key, "dss_record_state", *(each.column for each in checked)))
    rows = asked(where, f"SELECT {columns} FROM load.{mapping.table('default')}")
    depth = len(mapping.key)
    found = {tuple(str(part) for part in row[:depth]): row[depth:] for row in rows}
    wanted = {tuple(str(part) for part in key): record for key, record in truth.items()}
    wrong = [f"{mapping.name} {key}: not there" for key in wanted if key not in found]
    if len(found) != len(rows):
        wrong.append(f"{mapping.name}: {len(rows) - len(found)} keys stand twice")
    for key, (state, *values) in found.items():
        record = wanted.get(key)
        if record is None:
            if state == "live" and mapping.name not in KEPT:
                wrong.append(f"{mapping.name} {key}: live, but the API has it no more")
            continue
        if state in ("gone", "deleted"):
            wrong.append(f"{mapping.name} {key}: {state}, but the API has it")
        wrong += [
            f"{mapping.name} {key}: {field.column} is {value!r:.60}, the API has {expected(field, record)!r:.60}"
            for field, value in zip(checked, values, strict=True)
            if plain(field, value)
            != cut(mapping, expected(field, record, ELSEWHERE.get((mapping.name, field.column))))
        ]
    return wrong


def cut(mapping: EntityMapping, value: Any) -> Any:
    """Cut times to what the API's other path tells: GraphQL has whole seconds."""
    return value.replace(microsecond=0) if mapping.name in WHOLE_SECONDS and isinstance(value, dt.datetime) else value


def expected(field: Field, record: Any, steps: tuple[str, ...] | None = None) -> Any:
    """Return what the API has for a field, in plain form."""
    value = record
    for step in steps or field.steps:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return None
    if field.type is JSON:
        return without_links(value)
    if field.type is TIMESTAMP:
        if isinstance(value, int):
            return dt.datetime.fromtimestamp(value / 1000, dt.UTC)
        return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
    if field.type is DATE:
        return dt.date.fromisoformat(value)
    return str(float(value)) if field.type is DOUBLE else str(value)


def without_links(value: Any) -> Any:
    """
    Take out of nested JSON what names a host, a picture or the person of an account: sources leave it out. Times are
    moments, whatever zone they are told in.
    """
    if isinstance(value, list):
        return [without_links(inner) for inner in value]
    if isinstance(value, str) and JIRA_TIME.fullmatch(value):
        return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
    if not isinstance(value, dict):
        return value
    return {name: without_links(inner) for name, inner in value.items() if name not in LINKS}


def plain(field: Field, value: Any) -> Any:
    """Return what the warehouse has for a field, in the same form."""
    if value is None:
        return None
    if field.type is JSON:
        return without_links(json.loads(value))
    if field.type is TIMESTAMP:
        return value.astimezone(dt.UTC)
    if field.type is DATE:
        return value
    return str(value)
