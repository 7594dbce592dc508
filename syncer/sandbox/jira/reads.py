"""
The routes that read everything but issues: the caller, the site, projects, comments, worklogs, fields and statuses.

Source: Jira Cloud REST API v3, "Myself", "Server info", "Projects", "Issue comments", "Issue worklogs", "Issue
fields", "Workflow statuses", "Status"; §2, §6 and §6a of the fact sheet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

from syncer.sandbox.jira.call import Call, is_id, text_list
from syncer.sandbox.jira.errors import JiraError
from syncer.sandbox.jira.model import MINUTE_MS, Project
from syncer.sandbox.jira.render import render_time
from syncer.sandbox.jira.search import Searcher
from syncer.sandbox.messages import Response, json_response

WORKLOG_PAGE = 1000
COMMENT_LIST = 1_000
PROJECT_CAP = 100
NO_PROJECT = "No project could be found with that id or key."


def myself_get(call: Call) -> Response:
    """GET /myself: the one read that tells a bad token by its status."""
    if call.caller is None:
        raise JiraError(401, "Client must be authenticated to access this resource.")
    data = call.render.user(call.caller.account_id) or {}
    mine = {"emailAddress": call.caller.email, "timeZone": str(call.zone), "locale": "nl_NL", "active": True}
    none = {"groups": {"size": 1, "items": []}, "applicationRoles": {"size": 1, "items": []}}
    return json_response(data | mine | none)


def server_info_get(call: Call) -> Response:
    """GET /serverInfo: anonymous callers get it too."""
    now = call.records.now_ms()
    return json_response(
        {
            "baseUrl": call.render.link.partition("/rest/")[0],
            "version": "1001.0.0-SNAPSHOT",
            "versionNumbers": [1001, 0, 0],
            "deploymentType": "Cloud",
            "buildNumber": 100300,
            "buildDate": render_time(now - 14 * 24 * 60 * MINUTE_MS, call.zone),
            "serverTime": render_time(now, call.zone),
            "scmInfo": "0" * 40,
            "serverTitle": "Jira",
            "defaultLocale": {"locale": "nl_NL"},
        }
    )


def _by_key(project: Project, stats: tuple[int, int], call: Call) -> Any:
    return project.key


_PROJECT_ORDERS: dict[str, Callable[[Project, tuple[int, int], Call], Any]] = {
    "key": _by_key,
    "name": lambda project, stats, call: project.name.lower(),
    "category": _by_key,
    "owner": lambda project, stats, call: call.records.catalogue.users[project.lead].name,
    "issueCount": lambda project, stats, call: stats[0],
    "lastIssueUpdatedDate": lambda project, stats, call: stats[1],
    "archivedDate": lambda project, stats, call: project.state_since,
    "deletedDate": lambda project, stats, call: project.state_since,
}


def projects_get(call: Call, searcher: Searcher) -> Response:
    """GET /project/search."""
    ids, keys, states = call.texts("id"), call.texts("keys"), call.texts("status") or ["live"]
    if len(ids) > 50 or len(keys) > 50:
        raise JiraError(400, "At most 50 ids or keys may be asked for.")
    if set(states) - {"live", "archived", "deleted"}:
        raise JiraError(400, "status must be live, archived or deleted.")
    text, types = (call.request.first("query") or "").lower(), call.texts("typeKey")
    found = [
        project
        for project in _visible(call)
        if project.state in states
        and (not ids or str(project.id) in ids)
        and (not keys or project.key in keys)
        and (text in project.name.lower() or text in project.key.lower())
        and (not types or project.type_key in types)
    ]
    expand = frozenset(call.texts("expand"))
    stats = searcher.last_updates() if "insight" in expand or call.request.first("orderBy") else {}
    _sort(found, call, stats)
    return call.linked(
        call.counted(found, lambda project: _project(call, project, expand, stats), default=50, cap=PROJECT_CAP)
    )


def _visible(call: Call) -> list[Project]:
    if call.caller is None:
        return []
    return [project for project in call.records.projects.values() if not project.is_hidden]


def _sort(projects: list[Project], call: Call, stats: dict[int, tuple[int, int]]) -> None:
    wish = call.request.first("orderBy") or "key"
    order = _PROJECT_ORDERS.get(wish.lstrip("+- "))
    if order is None:
        raise JiraError(400, "orderBy is not one of the fields that projects can be sorted by.")
    projects.sort(key=lambda p: (order(p, stats.get(p.id, (0, 0)), call), p.id), reverse=wish.startswith("-"))


def _project(
    call: Call, project: Project, expand: frozenset[str], stats: dict[int, tuple[int, int]]
) -> dict[str, Any]:
    data = call.render.project(project)
    if "insight" in expand and project.id in stats:
        count, newest = stats[project.id]
        # Whole seconds in UTC, unlike every other time; empty projects have no such block.
        moment = render_time(newest // 1000 * 1000, UTC)
        data["insight"] = {"totalIssueCount": count, "lastIssueUpdateTime": moment}
    if "description" in expand:
        data["description"] = project.description
    if "lead" in expand:
        data["lead"] = call.render.user(project.lead)
    if "projectKeys" in expand:
        data["projectKeys"] = [project.key, *project.old_keys]
    if "issueTypes" in expand:
        data["issueTypes"] = [call.render.type(number) for number in call.records.catalogue.types]
    return data


def project_list_get(call: Call) -> Response:
    """GET /project: the old list, all at once."""
    live = [project for project in _visible(call) if project.state == "live"]
    return json_response([call.render.project(project) for project in live])


def project_get(call: Call, ref: str) -> Response:
    """GET /project/{idOrKey}."""
    try:
        project = call.records.project(ref)
    except KeyError as error:
        raise JiraError(404, NO_PROJECT) from error
    if project not in _visible(call) or project.state == "deleted":
        raise JiraError(404, NO_PROJECT)
    expand = frozenset({"description", "lead", "issueTypes", *call.texts("expand")}) - {"insight"}
    return json_response(_project(call, project, expand, {}))


def comments_get(call: Call, ref: str) -> Response:
    """GET /issue/{idOrKey}/comment."""
    issue = call.issue(ref)
    wish = call.request.first("orderBy") or "created"
    if wish.lstrip("+- ") != "created":
        raise JiraError(400, "orderBy must be created.")
    comments = sorted(issue.comments, key=lambda one: (one.created, one.id), reverse=wish.startswith("-"))
    page = call.counted(comments, lambda comment: call.render.comment(issue, comment), default=100, cap=100)
    del page["isLast"]
    return json_response({**page, "comments": page.pop("values")})


def comments_post(call: Call) -> Response:
    """POST /comment/list: by id; those that are gone, or not to be seen, are left out."""
    wanted = text_list(call.body(("ids",)), "ids")
    if not 1 <= len(wanted) <= COMMENT_LIST:
        raise JiraError(400, "ids must hold between 1 and 1,000 comment ids.")
    seen = call.records.visible_issues() if call.caller is not None else ()
    found = [
        call.render.comment(issue, comment)
        for issue in seen
        for comment in issue.comments
        if str(comment.id) in wanted
    ]
    page = {"isLast": True, "maxResults": COMMENT_LIST, "startAt": 0, "total": len(found), "values": found}
    return json_response(page)


def worklogs_get(call: Call, ref: str) -> Response:
    """GET /issue/{idOrKey}/worklog."""
    issue = call.issue(ref)
    page = call.counted(issue.worklogs, lambda one: call.render.worklog(issue, one), default=5000, cap=5000)
    del page["isLast"]
    return json_response({**page, "worklogs": page.pop("values")})


def worklogs_updated_get(call: Call) -> Response:
    """GET /worklog/updated: ids only, those of hidden issues too; the last minute is not in it yet."""
    records = call.records
    homes = [(number, records.issues[issue]) for number, issue in records.worklog_issues.items()]
    moments = [(one.updated, number) for number, issue in homes for one in issue.worklogs if one.id == number]
    return _worklog_changes(call, moments)


def worklogs_deleted_get(call: Call) -> Response:
    """GET /worklog/deleted: worklogs that went with their issue are not in it."""
    return _worklog_changes(call, [(at, number) for number, at in call.records.tombstones])


def _worklog_changes(call: Call, moments: list[tuple[int, int]]) -> Response:
    since, now = call.integer("since", 0), call.records.now_ms()
    found = sorted(moment for moment in moments if since <= moment[0] <= now - MINUTE_MS) if call.caller else []
    size = WORKLOG_PAGE
    # The next page begins with the time at which this one ends: a page of one time only would never end.
    while size < len(found) and found[0][0] == found[size - 1][0]:
        size += 1
    page, is_last = found[:size], size >= len(found)
    until = page[-1][0] if page else now - MINUTE_MS
    base = f"{call.request.base_url}{call.request.raw_path}"
    data: dict[str, Any] = {
        "values": [{"worklogId": number, "updatedTime": at, "properties": []} for at, number in page],
        "since": since,
        "until": until,
        "self": f"{base}?since={since}",
        "lastPage": is_last,
    }
    if not is_last:
        data["nextPage"] = f"{base}?since={until}"
    return json_response(data)


def worklogs_post(call: Call) -> Response:
    """POST /worklog/list: a bare array; ids that are gone, or not to be seen, are left out."""
    wanted = text_list(call.body(("ids",)), "ids")
    if not 1 <= len(wanted) <= WORKLOG_PAGE:
        raise JiraError(400, "ids must hold between 1 and 1,000 worklog ids.")
    found = []
    for text in wanted:
        issue = call.records.issues.get(call.records.worklog_issues.get(int(text), -1)) if is_id(text) else None
        if issue is not None and call.caller is not None and call.records.is_visible(issue):
            found += [call.render.worklog(issue, one) for one in issue.worklogs if one.id == int(text)]
    return json_response(found)


def fields_get(call: Call) -> Response:
    """GET /field: names are not unique."""
    fields = call.records.catalogue.fields.values() if call.caller else ()
    return json_response([call.render.field(field) for field in fields if _is_in_scope(call, field.project)])


def statuses_get(call: Call) -> Response:
    """GET /status: a bare array."""
    statuses = call.records.catalogue.statuses.values() if call.caller else ()
    return json_response([call.render.status(status.id) for status in statuses if _is_in_scope(call, status.project)])


def statuses_search_get(call: Call) -> Response:
    """GET /statuses/search: 200 a page."""
    statuses = call.records.catalogue.statuses.values() if call.caller else ()
    project, category = call.request.first("projectId"), call.request.first("statusCategory")
    found = [
        status
        for status in statuses
        if _is_in_scope(call, status.project)
        and (project is None or str(status.project) == project)
        and (category is None or call.records.catalogue.categories[status.category].search_name == category)
    ]
    return call.linked(call.counted(found, call.render.searched_status, default=200, cap=200))


def categories_get(call: Call) -> Response:
    """GET /statuscategory."""
    return json_response([call.render.category(number) for number in call.records.catalogue.categories])


def _is_in_scope(call: Call, project: int | None) -> bool:
    """Tell whether something that a project has for itself may be seen."""
    if project is None:
        return True
    owner = call.records.projects.get(project)
    return owner is not None and not owner.is_hidden and owner.state == "live"
