"""
The routes that find and read issues: /search/jql, /search/approximate-count, /issue/bulkfetch, /issue/{id}, and the
changelogs.

Search reads the lagging index, everything else the issues as they are. A page token is a position in the live result:
when an issue leaves the part that was read already, one that was not read is never shown.
Source: Jira Cloud REST API v3, "Issue search", "Bulk fetch issues", "Bulk fetch changelogs".
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import OrderedDict
from datetime import tzinfo
from typing import Any

import attrs
import orjson

from syncer.sandbox.jira.call import Call, is_id, text_list, whole
from syncer.sandbox.jira.errors import JiraError, localised, not_found, payload_error
from syncer.sandbox.jira.issue import IssueRender, Selection
from syncer.sandbox.jira.jql import parse
from syncer.sandbox.jira.model import DAY_MS, History, Issue
from syncer.sandbox.jira.records import JiraRecords
from syncer.sandbox.messages import Response, json_response

TOKEN_DAYS = 7
MAX_IDS = 5000  # a page of ids, keys and one field more
MAX_FEW = 1000  # a page of two fields or more
MAX_MANY = 100  # a page of all fields, or of more than MANY_FIELDS, or with an expansion
MANY_FIELDS = 20
CACHED_QUERIES = 8

INVALID_TOKEN = "The provided nextPageToken is invalid or has expired."
UNBOUNDED = "Unbounded JQL queries are not allowed here. Add a search restriction to the query."
MAX_RESULTS = "The maxResults parameter must be between 1 and 5,000."


class Searcher:
    """Runs queries over the index, and keeps the last results while nothing changes."""

    def __init__(self, records: JiraRecords) -> None:
        """Start with nothing kept."""
        self.records = records
        self._kept: OrderedDict[tuple[str, str, frozenset[int], int], list[Issue]] = OrderedDict()

    def results(self, jql: str, *, zone: tzinfo, fresh: frozenset[int] = frozenset()) -> list[Issue]:
        """
        Return the issues that *jql* finds, in order; those in *fresh* are looked up as they are.

        Hidden issues of visible projects are among them: they take up places on pages, but are not shown.
        """
        records = self.records
        now = records.now_ms()
        if records.index.settle(now):
            records.revision += 1
        key = (jql, str(zone), fresh, records.revision)
        if key in self._kept:
            return self._kept[key]
        query = parse(jql, records, now_ms=now, zone=zone)
        if query.matches is None:
            raise JiraError(400, UNBOUNDED)
        seen = {p.id for p in records.projects.values() if p.state == "live" and not p.is_hidden}
        found = [i for i in records.index.view(records.issues, fresh) if i.project in seen and query.matches(i)]
        query.sort(found)
        if not query.is_relative:
            self._kept[key] = found
            while len(self._kept) > CACHED_QUERIES:
                self._kept.popitem(last=False)
        return found

    def last_updates(self) -> dict[int, tuple[int, int]]:
        """Return, by project, how many issues the index knows and the newest `updated` among them."""
        if self.records.index.settle(self.records.now_ms()):
            self.records.revision += 1
        found: dict[int, tuple[int, int]] = {}
        for issue in self.records.index.view(self.records.issues, ()):
            count, newest = found.get(issue.project, (0, issue.updated))
            found[issue.project] = (count + 1, max(newest, issue.updated))
        return found


@attrs.frozen(kw_only=True)
class _Wish:
    """What a search asks for, by GET or by POST."""

    jql: str
    max_results: int
    selection: Selection
    token: str | None
    expand: frozenset[str]
    fresh: frozenset[int]
    has_properties: bool


def search_get(call: Call, searcher: Searcher) -> Response:
    """GET /search/jql."""
    reconcile = call.texts("reconcileIssues")
    if not all(is_id(number) for number in reconcile) or len(reconcile) > 50:
        raise JiraError(400, "reconcileIssues takes at most 50 issue ids.")
    wish = _Wish(
        jql=call.request.first("jql", "") or "",
        max_results=call.integer("maxResults", 50),
        selection=Selection.parse(call.texts("fields") or ["id"]),
        token=call.request.first("nextPageToken"),
        expand=frozenset(call.texts("expand")),
        fresh=frozenset(int(number) for number in reconcile),
        has_properties=_has_properties(call.texts("properties")),
    )
    return _search(call, searcher, wish)


def search_post(call: Call, searcher: Searcher) -> Response:
    """POST /search/jql; the query string is not looked at."""
    known = ("jql", "maxResults", "fields", "nextPageToken", "expand", "properties", "fieldsByKeys", "reconcileIssues")
    data = call.body(known)
    expand, jql, token = data.get("expand") or "", data.get("jql") or "", data.get("nextPageToken", "")
    reconcile = data.get("reconcileIssues") or []
    if not isinstance(expand, str) or not isinstance(jql, str) or not isinstance(reconcile, list):
        raise payload_error()
    if any(isinstance(number, bool) or not isinstance(number, int) for number in reconcile):
        raise payload_error()
    if len(reconcile) > 50:
        raise JiraError(400, "reconcileIssues takes at most 50 issue ids.")
    if not isinstance(token, str) or ("nextPageToken" in data and not token):
        raise JiraError(400, INVALID_TOKEN)
    wish = _Wish(
        jql=jql,
        max_results=whole(data, "maxResults", 50),
        selection=Selection.parse(text_list(data, "fields") or ["id"]),
        token=token or None,
        expand=frozenset(part.strip() for part in expand.split(",")),
        fresh=frozenset(reconcile),
        has_properties=_has_properties(text_list(data, "properties")),
    )
    return _search(call, searcher, wish)


def count_post(call: Call, searcher: Searcher) -> Response:
    """POST /search/approximate-count: an estimate, off by up to 2 % where there are many."""
    jql = call.body(("jql",)).get("jql") or ""
    if not isinstance(jql, str):
        raise payload_error()
    if call.caller is None:
        check_bounded(call, jql)
        return json_response({"count": 0})
    found = len(searcher.results(jql, zone=call.zone))
    error = found // 64 * (1 if zlib.crc32(jql.encode("utf-8", "replace")) % 2 else -1)
    return json_response({"count": found + error})


def _search(call: Call, searcher: Searcher, wish: _Wish) -> Response:
    if not 1 <= wish.max_results <= MAX_IDS:
        raise JiraError(400, MAX_RESULTS)
    if call.caller is None:
        check_bounded(call, wish.jql)
        return json_response({"issues": [], "isLast": True})
    start = _position(call, wish.token, wish.jql) if wish.token is not None else 0
    found = searcher.results(wish.jql, zone=call.zone, fresh=wish.fresh)
    size = min(wish.max_results, _page_cap(wish))
    render = call.issue_render(wish.selection)
    # Who may see an issue is decided when it is shown: a page can be short, or empty.
    issues = [
        _expanded(render, issue, wish.expand, has_properties=wish.has_properties)
        for issue in found[start : start + size]
        if not call.records.issues.get(issue.id, issue).is_hidden
    ]
    answer: dict[str, Any] = {"issues": issues, "isLast": start + size >= len(found)}
    if not answer["isLast"]:
        answer["nextPageToken"] = _token(call, wish.jql, start + size)
    return json_response(answer | _described(render, wish.expand))


def check_bounded(call: Call, jql: str) -> None:
    """Refuse an unbounded query of a caller who sees nothing; for any other, however wrong, they get nothing."""
    try:
        query = parse(jql, call.records, now_ms=call.records.now_ms(), zone=call.zone)
    except JiraError:
        return
    if query.matches is None:
        raise JiraError(400, UNBOUNDED)


def _page_cap(wish: _Wish) -> int:
    selection = wish.selection
    others = selection.named - {"id", "key"}
    is_expanded = bool(wish.expand & {"changelog", "renderedFields", "editmeta", "transitions", "operations"})
    if selection.everything or selection.navigable or is_expanded or len(others) > MANY_FIELDS:
        return MAX_MANY
    return MAX_IDS if len(others) <= 1 else MAX_FEW


def _has_properties(names: list[str]) -> bool:
    if len(names) > 5:
        raise JiraError(400, "At most 5 properties may be asked for.")
    return bool(names)


def _expanded(
    render: IssueRender, issue: Issue, expand: frozenset[str], *, has_properties: bool = False
) -> dict[str, Any]:
    """Return an issue with what `expand` adds to it."""
    data = render.issue(issue)
    if has_properties:
        data["properties"] = {}
    if "changelog" in expand:
        data["changelog"] = render.changelog(issue)
    if "renderedFields" in expand:
        data["renderedFields"] = {"summary": None, "created": "gisteren", "updated": "gisteren"}
    return data


def _described(render: IssueRender, expand: frozenset[str]) -> dict[str, Any]:
    """Return what `expand` adds beside the issues."""
    more: dict[str, Any] = {}
    if "names" in expand:
        more["names"] = render.names()
    if "schema" in expand:
        more["schema"] = render.schema()
    return more


def _token(call: Call, query: str, position: int) -> str:
    """Return an opaque token for *position* of the result of *query*."""
    data = orjson.dumps([position, zlib.crc32(query.encode("utf-8", "replace")), call.records.now_ms()])
    return base64.urlsafe_b64encode(b"%08x" % zlib.crc32(data) + data).decode("ascii")


def _position(call: Call, token: str, query: str) -> int:
    """Return the position that *token* holds; 400 where it is none of ours, of another query, or too old."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise JiraError(400, INVALID_TOKEN) from error
    if raw[:8] != b"%08x" % zlib.crc32(raw[8:]):
        raise JiraError(400, INVALID_TOKEN)
    position, of_query, issued = orjson.loads(raw[8:])
    is_old = call.records.now_ms() - issued > TOKEN_DAYS * DAY_MS
    if is_old or of_query != zlib.crc32(query.encode("utf-8", "replace")):
        raise JiraError(400, INVALID_TOKEN)
    return int(position)


def issue_get(call: Call, ref: str) -> Response:
    """GET /issue/{idOrKey}: an old key finds the issue, and shows the new one."""
    issue = call.issue(ref)
    render = call.issue_render(Selection.parse(call.texts("fields") or ["*all"]))
    expand = frozenset(call.texts("expand"))
    return json_response(_expanded(render, issue, expand) | _described(render, expand))


def bulkfetch_post(call: Call) -> Response:
    """POST /issue/bulkfetch: by id, ascending; what is not there, or not to be seen, is an error of its own."""
    data = call.body(("issueIdsOrKeys", "fields", "expand", "properties", "fieldsByKeys"))
    expand = data.get("expand") or []
    if not isinstance(expand, list) or any(not isinstance(part, str) for part in expand):
        raise payload_error()
    refs = text_list(data, "issueIdsOrKeys")
    if not 1 <= len(refs) <= 100:
        raise JiraError(400, "issueIdsOrKeys must hold between 1 and 100 ids or keys.")
    found, missing = call.issues(refs)
    render = call.issue_render(Selection.parse(text_list(data, "fields") or ["*navigable"]))
    has_properties = _has_properties(text_list(data, "properties"))
    message = localised(not_found().message, call.language)
    answer = {
        "expand": "names,schema,changelog,renderedFields,operations,editmeta,transitions,versionedRepresentations",
        "issues": [_expanded(render, issue, frozenset(expand), has_properties=has_properties) for issue in found],
        "issueErrors": [{"id": ref, "errorMessage": message} for ref in missing],
    }
    return json_response(answer | _described(render, frozenset(expand)))


def changelog_get(call: Call, ref: str) -> Response:
    """GET /issue/{idOrKey}/changelog: oldest first, dates as text."""
    histories = call.issue(ref).histories
    return call.linked(
        call.counted(histories, lambda entry: call.render.history(entry, in_ms=False), default=100, cap=100)
    )


def changelogs_post(call: Call) -> Response:
    """
    POST /changelog/bulkfetch: oldest first, `created` in milliseconds; an issue may be split over pages.

    An entry that touches one of `fieldIds` comes with all its items, also those of other fields.
    """
    data = call.body(("issueIdsOrKeys", "fieldIds", "maxResults", "nextPageToken"))
    refs = text_list(data, "issueIdsOrKeys")
    if not 1 <= len(refs) <= 1000:
        raise JiraError(400, "issueIdsOrKeys must hold between 1 and 1,000 ids or keys.")
    size = whole(data, "maxResults", 1000)
    if not 1 <= size <= 10_000:
        raise JiraError(400, "The maxResults parameter must be between 1 and 10,000.")
    wanted = frozenset(text_list(data, "fieldIds", most=10))
    token, subject = data.get("nextPageToken"), f"{refs} {sorted(wanted)}"
    if token is not None and not isinstance(token, str):
        raise payload_error()
    start = _position(call, token, subject) if token else 0
    found, _ = call.issues(refs)
    entries = [(i, h) for i in found for h in i.histories if not wanted or any(item[1] in wanted for item in h.items)]
    answer: dict[str, Any] = {"issueChangeLogs": _grouped(call, entries[start : start + size])}
    more = start + size < len(entries)
    return json_response(answer | {"nextPageToken": _token(call, subject, start + size) if more else None})


def _grouped(call: Call, entries: list[tuple[Issue, History]]) -> list[dict[str, Any]]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for issue, history in entries:
        groups.setdefault(issue.id, []).append(call.render.history(history, in_ms=True))
    return [{"issueId": str(number), "changeHistories": histories} for number, histories in groups.items()]
