"""
The REST routes of projects, groups, and of who is asking.

Source: GitLab REST API docs: projects, groups, version, users, personal access tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from syncer.sandbox.gitlab.call import Call
from syncer.sandbox.gitlab.pages import MAX_PER_PAGE, Page, check_offset, keyset_headers, no_keyset, refused
from syncer.sandbox.gitlab.rows import Project
from syncer.sandbox.gitlab.shapes import Record, shown, shown_day
from syncer.sandbox.messages import Response, json_response

ORDERS: dict[str, Callable[[Project], Any]] = {
    "id": lambda project: project.id,
    "name": lambda project: project.name.lower(),
    "path": lambda project: project.path,
    "created_at": lambda project: project.id,  # so it is: lib/api/helpers.rb, order_options_with_tie_breaker
    "updated_at": lambda project: project.updated_at,
    "last_activity_at": lambda project: project.last_activity_at,
    "star_count": lambda project: project.star_count,
    "similarity": lambda project: project.id,
}


def version(call: Call) -> Response:
    """`GET /version`; needs a token."""
    call.need_user()
    return json_response({"version": call.quirks.version, "revision": "4f5a6b7c8d9"})


def current_user(call: Call) -> Response:
    """`GET /user`."""
    call.need_user()
    assert call.caller.user is not None
    return json_response(call.shapes.current_user(call.caller.user))


def own_token(call: Call) -> Response:
    """`GET /personal_access_tokens/self`."""
    call.need_user()
    token = call.caller.token
    assert token is not None
    return json_response(
        {
            "id": token.id,
            "name": token.name,
            "revoked": token.is_revoked,
            "created_at": "2026-01-05T09:00:00.000Z",
            "description": None,
            "scopes": list(token.scopes),
            "user_id": token.user_id,
            "last_used_at": shown(call.store.users[token.user_id].created_at),
            "active": True,
            "expires_at": shown_day(token.expires_at),
        }
    )


def projects(call: Call) -> Response:
    """`GET /projects`: offset pages up to 50,000 rows, keyset pages by id."""
    call.params.page()
    order = call.params.choice("order_by", ORDERS, "created_at")
    if not call.params.is_keyset:
        check_offset(call.params, "Project", limit=call.quirks.offset_limit)
        return call.offset(call.cached(lambda: _filtered(call, call.visible().values())), _shape(call))
    if order != "id":
        raise no_keyset()
    rows = call.cached(lambda: _filtered(call, call.visible().values()))
    _, per_page = call.params.page()
    taken = rows[:per_page]
    headers = {}
    if taken:  # GitLab's pager sets the link behind any page that is not empty, the last one too
        position = "id_after" if call.params.text("sort") == "asc" else "id_before"
        headers = keyset_headers(call.request, per_page, **{position: taken[-1].id})
    return call.answer(Page(rows=taken, headers=headers), _shape(call))


def project(call: Call) -> Response:
    """`GET /projects/:id`."""
    return json_response(call.shapes.project(call.project(), user=call.caller.user))


def _shape(call: Call) -> Callable[[Project], Record]:
    is_simple = call.params.flag("simple") is True
    return lambda row: call.shapes.project(row, is_simple=is_simple, user=call.caller.user)


def _filtered(call: Call, rows: Iterable[Project]) -> list[Project]:
    """Return the projects that the parameters leave, in their order."""
    order = call.params.choice("order_by", ORDERS, "created_at")
    is_descending = call.params.choice("sort", ("asc", "desc"), "desc") == "desc"
    tests = _flag_tests(call) + _time_tests(call, order)
    key = ORDERS[order]
    left = [row for row in rows if all(test(row) for test in tests)]
    return sorted(left, key=lambda row: (key(row), row.id), reverse=is_descending)


def _flag_tests(call: Call) -> list[Callable[[Project], bool]]:
    params, user = call.params, call.caller.user
    tests: list[Callable[[Project], bool]] = []
    archived, active = params.flag("archived"), params.flag("active")
    if archived is not None:
        tests.append(lambda row: row.is_archived == archived)
    if active is not None:
        tests.append(lambda row: (not row.is_archived and row.marked_for_deletion_on is None) == active)
    if params.flag("membership"):
        tests.append(lambda row: user is not None and user.id in row.members)
    if params.flag("owned"):
        tests.append(lambda row: user is not None and user.id == row.creator_id)
    visibility = params.text("visibility")
    if visibility is not None:
        tests.append(lambda row: row.visibility == visibility)
    search = (params.text("search") or "").lower()
    if search:
        tests.append(lambda row: search in row.name.lower() or search in row.path.lower())
    return tests


def _time_tests(call: Call, order: str) -> list[Callable[[Project], bool]]:
    params = call.params
    tests: list[Callable[[Project], bool]] = []
    id_after, id_before = params.number("id_after"), params.number("id_before")
    if id_after is not None:
        tests.append(lambda row: row.id > id_after)
    if id_before is not None:
        tests.append(lambda row: row.id < id_before)
    active_after, active_before = params.time("last_activity_after"), params.time("last_activity_before")
    if active_after is not None:
        tests.append(lambda row: row.last_activity_at > active_after)
    if active_before is not None:
        tests.append(lambda row: row.last_activity_at < active_before)
    updated_after, updated_before = params.time("updated_after"), params.time("updated_before")
    if updated_after is not None and order == "updated_at":  # with any other order it is ignored silently
        tests.append(lambda row: row.updated_at >= updated_after)
    if updated_before is not None and order == "updated_at":
        tests.append(lambda row: row.updated_at <= updated_before)
    return tests


def groups(call: Call) -> Response:
    """`GET /groups`."""
    order = call.params.choice("order_by", ("name", "path", "id", "similarity"), "name")
    is_descending = call.params.choice("sort", ("asc", "desc"), "asc") == "desc"
    is_top_level_only = call.params.flag("top_level_only") is True
    search = (call.params.text("search") or "").lower()
    rows = [
        group
        for group in call.store.groups.values()
        if group.kind == "group"
        and call.sees(group)
        and not (is_top_level_only and group.parent_id)
        and (search in group.full_path.lower() or search in group.name.lower())
    ]
    rows.sort(key=lambda row: (row.id if order == "id" else row.name.lower(), row.id), reverse=is_descending)
    return call.offset(rows, call.shapes.group)


def group(call: Call) -> Response:
    """`GET /groups/:id`: with its first 100 projects unless `with_projects=false`."""
    row = call.group()
    record = call.shapes.group(row)
    if call.params.flag("with_projects") is not False:
        own = [one for one in call.visible().values() if one.namespace_id == row.id]
        record["projects"] = [call.shapes.project(one, user=call.caller.user) for one in own[:MAX_PER_PAGE]]
        record["shared_projects"] = []
    return json_response(record)


def _below(call: Call, *, is_direct: bool) -> Response:
    row = call.group()
    below = call.store.subgroup_ids(row.id) - {row.id}
    rows = [
        one
        for one in call.store.groups.values()
        if one.id in below and call.sees(one) and (not is_direct or one.parent_id == row.id)
    ]
    return call.offset(sorted(rows, key=lambda one: (one.name.lower(), one.id)), call.shapes.group)


def subgroups(call: Call) -> Response:
    """`GET /groups/:id/subgroups`."""
    return _below(call, is_direct=True)


def descendant_groups(call: Call) -> Response:
    """`GET /groups/:id/descendant_groups`."""
    return _below(call, is_direct=False)


def group_projects(call: Call) -> Response:
    """`GET /groups/:id/projects`: without the subgroups' unless `include_subgroups=true`; offset pages only."""
    row = call.group()
    group_ids = call.store.subgroup_ids(row.id) if call.params.flag("include_subgroups") else {row.id}
    own = [one for one in call.visible().values() if one.namespace_id in group_ids]
    return call.offset(_filtered(call, own), _shape(call))


def not_found(call: Call) -> Response:
    """Any other path."""
    raise refused(404, error="404 Not Found")
