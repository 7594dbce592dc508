"""
What stood in load tables so far: the API's own JSON, flattened, and cast by the database. Written from the rules
alone, without the product's code.

Here: the two ways to flatten, and the rows of GitLab, Jira, Friday Pulse and AnythingLLM, asked of the sandbox as a
script would ask the API. Rows are keyed as the mapping that serves the table is.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def numbered(value: Any, skip: str = "") -> Row:
    """Flatten, with a column for each element of a list."""
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = [(str(place), each) for place, each in enumerate(value)]
    else:
        return {"": value}
    found: Row = {}
    for name, inner in parts:
        for rest, each in numbered(inner, skip).items():
            found["_".join(part for part in ("" if name == skip else name, rest) if part)] = each
    return found


def joined(value: Row) -> Row:
    """Flatten, with the elements of a list as one text."""
    found: Row = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            found |= {f"{name}_{rest}": each for rest, each in joined(inner).items()}
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            for key in sorted({key for each in inner for key in each}):
                found[f"{name}_{key}"] = text_of([each.get(key) for each in inner])
        else:
            found[name] = text_of(inner) if isinstance(inner, list) else inner
    return found


def text_of(values: list[Any]) -> str | None:
    """Join the values of a list."""
    return ", ".join("" if each is None else str(each) for each in values) if values else None


def cast(value: Any, word: str) -> Any:
    """Return what a PostgreSQL column of a type has of a value: a timestamp drops the offset of a text."""
    if value is None:
        return None
    if word == "timestamp":
        return dt.datetime.fromisoformat(value).replace(tzinfo=None)
    if word in ("numeric", "int", "bigint"):
        return float(value)
    if word in ("bool", "boolean"):
        assert isinstance(value, bool)
        return value
    return str(value)


class Api:
    """Asks the sandbox over its socket."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, auth: tuple[str, str] | None = None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers.update(headers or {})
        self.session.auth = auth

    def get(self, path: str, **params: Any) -> Any:
        """Ask once."""
        answer = self.session.get(f"{self.url}{path}", params=params, timeout=30)
        if answer.status_code in (403, 404):
            return []
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Row) -> Any:
        """Ask by POST."""
        answer = self.session.post(f"{self.url}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def pages(self, path: str, **params: Any) -> Iterator[Row]:
        """Ask page by page, by number."""
        page = 1
        while rows := self.get(path, page=page, per_page=50, **params):
            yield from rows
            page += 1


def gitlab(api: Api, stream: str) -> Rows:
    """Return a GitLab stream's rows."""
    found: Rows = {}
    for project in api.pages("/projects", order_by="id"):
        if stream == "projects":
            found[(project["id"],)] = numbered(project)
            continue
        base = f"/projects/{project['id']}"
        for key, record, more in _of_project(api, stream, base):
            row = numbered(record) | more
            row.setdefault("project_id", project["id"])
            found[tuple(project["id"] if part is ... else part for part in key)] = row
    return found


def _of_project(api: Api, stream: str, base: str) -> Iterator[tuple[tuple[Any, ...], Row, Row]]:
    git = f"{base}/repository"
    if stream in ("issues", "pipelines", "merge_requests"):
        for each in api.pages(f"{base}/{stream}"):
            yield (each["id"],), each, {}
    elif stream in ("tags", "branches"):
        for each in api.pages(f"{git}/{stream}"):
            yield (..., each["name"]), each, {}
    elif stream == "commits":
        for each in api.pages(f"{git}/commits"):
            yield (..., each["id"]), each, {}
    elif stream == "merge_request_commits":
        for of in api.pages(f"{base}/merge_requests"):
            for each in api.pages(f"{base}/merge_requests/{of['iid']}/commits"):
                yield (of["id"], each["id"]), each, {"merge_request_id": of["id"]}
    else:
        for branch in api.pages(f"{git}/branches"):
            for each in api.pages(f"{git}/commits", ref_name=branch["name"]):
                yield (..., branch["name"], each["id"]), each, {"branch_name": branch["name"]}


def jira_issues(api: Api) -> Rows:
    """Return the issues of projects that are not private."""
    found: Rows = {}
    for project in jira_projects(api).values():
        token: dict[str, str] = {}
        while True:
            body = {"jql": f"project = {project['id']} ORDER BY key", "maxResults": 50, "fields": ["*all"], **token}
            page = api.post("/search/jql", body)
            for issue in page["issues"]:
                found[(int(issue["id"]),)] = numbered(issue, "fields") | {
                    "id": issue["id"],
                    "resolution": (issue["fields"]["resolution"] or {}).get("name"),
                    "status_in_progress_date": _in_progress(api, issue["id"]),
                }
            if not page.get("nextPageToken"):
                break
            token = {"nextPageToken": page["nextPageToken"]}
    return found


def _in_progress(api: Api, number: str) -> str | None:
    start, times = 0, []
    while entries := api.get(f"/issue/{number}/changelog", startAt=start, maxResults=100)["values"]:
        start += len(entries)
        times += [
            entry["created"]
            for entry in entries
            if any(item["field"] == "status" and item["toString"] == "In Progress" for item in entry["items"])
        ]
    return min(times, key=dt.datetime.fromisoformat, default=None)


def jira_projects(api: Api) -> Rows:
    """Return the projects that are not private."""
    listed = api.get("/project/search", maxResults=100)["values"]
    return {(int(each["id"]),): numbered(each) for each in listed if not each["isPrivate"]}


def pulse(api: Api, stream: str, groups: list[int], dates: dict[str, int]) -> Rows:
    """Return a Friday Pulse stream's rows, of all dates and groups."""
    if stream in ("topics", "group_types"):
        return {(each["code"],): joined(each) for each in api.get(f"/{stream.replace('_', '-')}")}
    if stream == "groups":
        found: Rows = {}
        for kind in api.get("/group-types"):
            for each in api.get(f"/group-types/{quote(kind['code'])}/groups"):
                found.setdefault((each["id"],), joined(each) | {"group_type_code": kind["code"]})
        return found
    whose, _, kind = stream.partition("_")
    rows: Rows = {}
    for date, questions in dates.items():
        for group in [None] if whose == "general" else groups:
            base = "" if group is None else f"/groups/{group}"
            for each in api.get(f"{base}/{'risk' if kind == 'risks' else kind}", date=date):
                part = () if group is None else (group,)
                code = (each.get("topic") or {}).get("code")
                key = {
                    "results": (date, *part, code or "overall"),
                    "notes": (*part, each.get("id")),
                    "risks": (date, *part, code),
                }[kind]
                more: Row = {} if group is None else {"group_id": group}
                more |= {"question_count": questions} if stream == "general_results" else {}
                rows[key] = joined(each) | more
    return rows


def chats(api: Api, embeds: list[str]) -> Rows:
    """Return the chats of embeds: two of their values are JSON in a text, and may be none."""
    found: Rows = {}
    for uuid in embeds:
        for chat in api.get(f"/v1/embed/{uuid}/chats")["chats"]:
            found[(chat["id"],)] = _chat(chat)
    return found


def _chat(chat: Row) -> Row:
    answer, visitor = _object(chat["response"]), _object(chat["connection_information"]) or {}
    told: Row = answer or {}
    metrics = told.get("metrics") or {}
    names = ("completion_tokens", "prompt_tokens", "total_tokens", "duration")
    return {
        **{name: chat[name] for name in ("id", "session_id", "include", "embed_id")},
        **dict.fromkeys(("prompt", "connection_ip", "response_text"), "[MASKED]"),
        "user_id": chat["usersId"],
        "created_at": chat["createdAt"],
        "connection_host": visitor.get("host"),
        "connection_username": visitor.get("username"),
        "response_type": None if answer is None else told.get("type", ""),
        "response_attachments": json.dumps(told.get("attachments", [])),
        "response_sources": json.dumps(told.get("sources", [])),
        "response_sources_count": len(told.get("sources", [])),
        "metrics_output_tps": metrics.get("outputTps"),
        **{f"metrics_{name}": metrics.get(name) for name in names},
    }


def _object(text: str | None) -> Row | None:
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
