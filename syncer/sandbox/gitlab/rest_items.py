"""
The REST routes of issues, merge requests and pipelines.

Source: GitLab REST API docs: issues, merge requests, pipelines; app/finders/ci/pipelines_finder.rb for child pipelines
and for the order without a tie-break; lib/api/helpers.rb: ordering by created_at is ordering by id.
"""

from __future__ import annotations

import base64
import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from syncer.sandbox.gitlab.call import Call
from syncer.sandbox.gitlab.git_shapes import merge_request_commit
from syncer.sandbox.gitlab.pages import Page, check_offset, keyset_headers, no_keyset, refused
from syncer.sandbox.gitlab.rows import Issue, MergeRequest, Pipeline, Project
from syncer.sandbox.gitlab.shapes import Record
from syncer.sandbox.messages import Response, json_response

Item = TypeVar("Item", Issue, MergeRequest)
Test = Callable[[Any], bool]
FAR = datetime.max.replace(tzinfo=UTC)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
SCOPES = ("all", "created_by_me", "created-by-me", "assigned_to_me", "assigned-to-me", "reviews_for_me")
ORDERS: dict[str, Callable[[Any], Any]] = {
    "created_at": lambda row: row.id,
    "id": lambda row: row.id,
    "updated_at": lambda row: row.updated_at,
    "title": lambda row: row.title.lower(),
    "popularity": lambda row: row.upvotes,
    "label_priority": lambda row: 0,
    "milestone_due": lambda row: row.milestone_id or 0,
    "priority": lambda row: 0,
}
ISSUE_ORDERS = ORDERS | {
    "due_date": lambda row: row.due_date.toordinal() if row.due_date else 0,
    "relative_position": lambda row: row.id,
    "weight": lambda row: row.weight or 0,
}
MERGE_REQUEST_ORDERS = ORDERS | {"merged_at": lambda row: row.merged_at or FAR}
ISSUE_KEYSET = ("created_at", "updated_at", "title", "id", "weight", "due_date", "relative_position")
PIPELINE_ORDERS: dict[str, Callable[[Pipeline], Any]] = {
    "id": lambda row: row.id,
    "status": lambda row: row.status,
    "ref": lambda row: row.ref,
    "updated_at": lambda row: row.updated_at or FAR,  # PostgreSQL: null is the greatest
    "user_id": lambda row: row.user_id,
}
SOURCES = (
    *("push", "web", "trigger", "schedule", "api", "external", "pipeline", "chat", "webide", "merge_request_event"),
    *("external_pull_request_event", "parent_pipeline", "ondemand_dast_scan", "security_orchestration_policy"),
)
STATUSES = (
    *("created", "waiting_for_resource", "preparing", "pending", "running", "success", "failed", "canceled"),
    *("canceling", "skipped", "manual", "scheduled", "waiting_for_callback"),
)
PIPELINE_SCOPES: dict[str, Test] = {
    "running": lambda row: row.status == "running",
    "pending": lambda row: row.status == "pending",
    "finished": lambda row: row.status in ("success", "failed", "canceled"),
    "branches": lambda row: not row.is_tag,
    "tags": lambda row: row.is_tag,
}


def group_projects(call: Call) -> list[Project]:
    """Return the visible projects of the group in the path and of those below it."""
    group_ids = call.store.subgroup_ids(call.group().id)
    return [project for project in call.visible().values() if project.namespace_id in group_ids]


def _without_archived(call: Call, projects: Iterable[Project]) -> list[Project]:
    is_hiding = call.params.flag("non_archived") is not False
    return [project for project in projects if not (is_hiding and project.is_archived)]


def issues(call: Call) -> Response:
    """`GET /issues`: of the whole instance, and only the caller's own unless `scope=all`."""
    if call.params.text("scope") != "all":
        call.need_user()
    projects = _without_archived(call, call.visible().values())
    return _issues(call, projects, default_scope="created_by_me")


def group_issues(call: Call) -> Response:
    """`GET /groups/:id/issues`."""
    return _issues(call, _without_archived(call, group_projects(call)))


def project_issues(call: Call) -> Response:
    """`GET /projects/:id/issues`: [] where the feature is off; keyset pages since 18.3."""
    project = call.project()
    if not (call.params.is_keyset and call.quirks.has_issue_keyset):
        check_offset(call.params, "Issue", limit=call.quirks.offset_limit)
        return _issues(call, [project], is_relative=True)
    order = call.params.choice("order_by", ISSUE_ORDERS, "created_at")
    if order not in ISSUE_KEYSET:
        raise no_keyset()
    rows = call.cached(lambda: _find_issues(call, [project], "all"), "rows")
    return _issue_keyset(call, rows, ISSUE_ORDERS[order])


def _issues(
    call: Call, projects: Iterable[Project], *, default_scope: str = "all", is_relative: bool = False
) -> Response:
    rows = call.cached(lambda: _find_issues(call, projects, default_scope))
    return call.offset(rows, lambda row: call.shapes.issue(row, is_relative=is_relative))


def _find_issues(call: Call, projects: Iterable[Project], default_scope: str) -> list[Issue]:
    wanted = [project.id for project in projects if project.issues_on]
    tests = _item_tests(call, default_scope, states=("opened", "closed", "all"))
    confidential, kind = call.params.flag("confidential"), call.params.text("issue_type")
    if confidential is not None:
        tests.append(lambda row: row.is_confidential == confidential)
    if kind is not None:
        tests.append(lambda row: row.type.lower() == kind)
    return _ordered(call, call.store.issues_of, wanted, tests=tests, orders=ISSUE_ORDERS)


def _issue_keyset(call: Call, rows: list[Issue], key: Callable[[Issue], Any]) -> Response:
    """Return the page behind the `cursor`, which holds the last row's value and id."""
    is_descending = call.params.text("sort", "desc") == "desc"
    cursor = call.params.text("cursor")
    if cursor is not None:
        last = _read_cursor(cursor)
        rows = [row for row in rows if ((key(row), row.id) < last if is_descending else (key(row), row.id) > last)]
    _, per_page = call.params.page()
    taken = rows[:per_page]
    headers = {}
    if len(rows) > per_page:
        headers = keyset_headers(call.request, per_page, cursor=_write_cursor(key(taken[-1]), taken[-1].id))
    return call.answer(Page(rows=taken, headers=headers), call.shapes.issue)


def _write_cursor(value: Any, row_id: int) -> str:
    text = {"at": value.isoformat()} if isinstance(value, datetime) else {"value": value}
    return base64.urlsafe_b64encode(json.dumps(text | {"id": row_id, "_kd": "n"}).encode()).decode()


def _read_cursor(cursor: str) -> tuple[Any, int]:
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor))
        value = datetime.fromisoformat(parts["at"]) if "at" in parts else parts["value"]
        return value, int(parts["id"])
    except (ValueError, KeyError, TypeError):
        raise refused(400, error="cursor is invalid") from None


def issue(call: Call) -> Response:
    """`GET /issues/:id`: for admins only."""
    call.need_user()
    if call.caller.user is None or not call.caller.user.is_admin:
        raise refused(403, message="403 Forbidden")
    wanted = call.args["issue_id"]
    row = call.store.issues.get(int(wanted)) if wanted.isdigit() else None
    if row is None:
        raise refused(404, message="404 Issue Not Found")
    return json_response(call.shapes.issue(row, is_relative=False))


def project_issue(call: Call) -> Response:
    """`GET /projects/:id/issues/:iid`."""
    project = call.project()
    row = call.store.issues_of[project.id].get(_iid(call)) if project.issues_on else None
    if row is None:
        raise refused(404, message="404 Not found")
    return json_response(call.shapes.issue(row) | {"subscribed": False})


def _iid(call: Call) -> int:
    if not call.args["iid"].isdigit():
        raise refused(400, error="iid is invalid")
    return int(call.args["iid"])


def _item_tests(call: Call, default_scope: str, *, states: tuple[str, ...]) -> list[Test]:
    params = call.params
    tests = _scope_tests(call, default_scope) + _time_tests(call, ("created_at",))
    state = params.choice("state", states, "all")
    if state != "all":
        tests.append(lambda row: row.state == state)
    iids = params.numbers("iids")
    if iids is not None:
        tests.append(lambda row: row.iid in iids)
    labels = params.texts("labels")
    if labels is not None:
        tests.append(lambda row: all(label in row.labels for label in labels))
    search = (params.text("search") or "").lower()
    if search:
        tests.append(lambda row: search in row.title.lower() or search in (row.description or "").lower())
    return tests


def _scope_tests(call: Call, default_scope: str) -> list[Test]:
    params = call.params
    user_id = call.caller.user.id if call.caller.user else 0
    by_scope: dict[str, Test] = {
        "created_by_me": lambda row: row.author_id == user_id,
        "assigned_to_me": lambda row: user_id in row.assignee_ids,
        "reviews_for_me": lambda row: user_id in row.reviewer_ids,
    }
    scope = params.choice("scope", SCOPES, default_scope).replace("-", "_")
    tests = [by_scope[scope]] if scope != "all" else []
    author, assignee = params.number("author_id"), params.number("assignee_id")
    if author is not None:
        tests.append(lambda row: row.author_id == author)
    if assignee is not None:
        tests.append(lambda row: assignee in row.assignee_ids)
    return tests


def _time_tests(call: Call, names: Iterable[str]) -> list[Test]:
    """Return the tests of `<name>_after` and `<name>_before`, both inclusive; without that time no row meets them."""
    tests: list[Test] = []
    for name in names:
        stem = name.removesuffix("_at")
        after, before = call.params.time(f"{stem}_after"), call.params.time(f"{stem}_before")
        if after is not None or before is not None:
            tests.append(_within(name, after or LONG_AGO, before or FAR))
    return tests


def _within(name: str, start: datetime, end: datetime) -> Test:
    def test(row: Any) -> bool:
        at = getattr(row, name)
        return at is not None and start <= at <= end

    return test


def _equals(name: str, value: object) -> Test:
    return lambda row: bool(getattr(row, name) == value)


def _ordered(
    call: Call,
    rows_of: Mapping[int, Mapping[int, Item]],
    project_ids: list[int],
    *,
    tests: list[Test],
    orders: dict[str, Callable[[Any], Any]],
) -> list[Item]:
    """Return the rows of some projects that pass all tests and lie in the window of `updated_at`, ordered."""
    order = call.params.choice("order_by", orders, "created_at")
    is_descending = call.params.choice("sort", ("asc", "desc"), "desc") == "desc"
    after, before = call.params.time("updated_after"), call.params.time("updated_before")

    def sort() -> list[Item]:
        rows = [row for project_id in project_ids for row in rows_of[project_id].values()]
        return sorted(rows, key=lambda row: (orders[order](row), row.id))

    rows = call.store.cached(("ordered", id(rows_of), order, tuple(project_ids)), sort)
    if order == "updated_at":
        start = bisect_left(rows, after, key=_updated_at) if after else 0
        end = bisect_right(rows, before, key=_updated_at) if before else len(rows)
        rows = rows[start:end]
    elif after or before:
        tests = [*tests, _within("updated_at", after or LONG_AGO, before or FAR)]
    left = [row for row in rows if all(test(row) for test in tests)] if tests else rows
    return left[::-1] if is_descending else left


def _updated_at(row: Item) -> datetime:
    return row.updated_at


def merge_requests(call: Call) -> Response:
    """`GET /merge_requests`: of the instance, archived projects too, and only the caller's own unless `scope=all`."""
    if call.params.text("scope") != "all":
        call.need_user()
    return _merge_requests(call, call.visible().values(), default_scope="created_by_me")


def group_merge_requests(call: Call) -> Response:
    """`GET /groups/:id/merge_requests`."""
    return _merge_requests(call, _without_archived(call, group_projects(call)))


def project_merge_requests(call: Call) -> Response:
    """`GET /projects/:id/merge_requests`: 403 where the feature is off."""
    return _merge_requests(call, [_merge_request_project(call)], is_relative=True)


def _merge_request_project(call: Call) -> Project:
    project = call.project()
    if not project.merge_requests_on:
        raise refused(403, message="403 Forbidden")
    return project


def _merge_requests(
    call: Call, projects: Iterable[Project], *, default_scope: str = "all", is_relative: bool = False
) -> Response:
    rows = call.cached(lambda: _find_merge_requests(call, projects, default_scope))

    def shape(row: MergeRequest) -> Record:
        status = _passing_status(call, row)
        return call.shapes.merge_request(row, is_relative=is_relative, merge_status=status)

    return call.offset(rows, shape)


def _find_merge_requests(call: Call, projects: Iterable[Project], default_scope: str) -> list[MergeRequest]:
    wanted = [project.id for project in projects if project.merge_requests_on]
    tests = _item_tests(call, default_scope, states=("opened", "closed", "locked", "merged", "all"))
    for name in ("source_branch", "target_branch"):
        branch = call.params.text(name)
        if branch is not None:
            tests.append(_equals(name, branch))
    return _ordered(call, call.store.merge_requests_of, wanted, tests=tests, orders=MERGE_REQUEST_ORDERS)


def _passing_status(call: Call, row: MergeRequest) -> str | None:
    """Return the merge status that a list shows this time: it is settled later, without `updated_at` moving."""
    if row.state != "opened" or not call.quirks.has_lazy_merge_status:
        return None
    return ("unchecked", "checking", None)[(row.id + call.serial) % 3]


def _merge_request(call: Call) -> tuple[Project, MergeRequest]:
    project = _merge_request_project(call)
    row = call.store.merge_requests_of[project.id].get(_iid(call))
    if row is None:
        raise refused(404, message="404 Not found")
    return project, row


def project_merge_request(call: Call) -> Response:
    """`GET /projects/:id/merge_requests/:iid`."""
    _, row = _merge_request(call)
    base = row.commits[-1].parents[0] if row.commits and row.commits[-1].parents else None
    return json_response(
        call.shapes.merge_request(row)
        | {
            "subscribed": False,
            "changes_count": str(len(row.commits)),
            "pipeline": None,
            "head_pipeline": None,
            "diff_refs": {"base_sha": base, "head_sha": row.sha, "start_sha": base},
            "merge_error": None,
            "first_contribution": False,
            "user": {"can_merge": False},
        }
    )


def merge_request_commits(call: Call) -> Response:
    """`GET /projects/:id/merge_requests/:iid/commits`: newest first; takes no filter at all."""
    project, row = _merge_request(call)
    return call.offset(list(row.commits), lambda commit: merge_request_commit(call.shapes, project, commit))


def _pipeline_project(call: Call) -> Project:
    project = call.project()
    if not project.jobs_on:
        raise refused(403, message="403 Forbidden")
    return project


def pipelines(call: Call) -> Response:
    """`GET /projects/:id/pipelines`: child pipelines only with `source=parent_pipeline`, and then only they."""
    project = _pipeline_project(call)
    order = call.params.choice("order_by", PIPELINE_ORDERS, "id")
    rows = call.cached(lambda: _find_pipelines(call, project))
    if order != "id":
        rows = _tied(call, rows, PIPELINE_ORDERS[order])
    return call.offset(rows, call.shapes.pipeline)


def _find_pipelines(call: Call, project: Project) -> list[Pipeline]:
    params = call.params
    tests = _time_tests(call, ("created_at", "updated_at"))
    source = params.text("source")
    if source is not None:
        params.choice("source", SOURCES, "")
        tests.append(lambda row: row.source == source)
    else:
        tests.append(lambda row: not row.is_child)
    if params.text("status") is not None:
        params.choice("status", STATUSES, "")
    if params.text("scope") is not None:
        tests.append(PIPELINE_SCOPES[params.choice("scope", PIPELINE_SCOPES, "")])
    for name in ("status", "ref", "sha", "name"):
        value = params.text(name)
        if value is not None:
            tests.append(_equals(name, value))
    username = params.text("username")
    if username is not None:
        tests.append(lambda row: call.store.users[row.user_id].username == username)
    rows = [row for row in call.store.pipelines_of[project.id].values() if all(test(row) for test in tests)]
    return sorted(rows, key=lambda row: row.id, reverse=call.params.choice("sort", ("asc", "desc"), "desc") == "desc")


def _tied(call: Call, rows: list[Pipeline], key: Callable[[Pipeline], Any]) -> list[Pipeline]:
    """Order *rows* by *key* alone; equal ones come as the database pleases, which is not the same twice."""
    serial = call.serial if call.quirks.has_unstable_ties else 0

    def any_order(row: Pipeline) -> bytes:
        return hashlib.blake2b(f"{serial} {row.id}".encode(), digest_size=8).digest()

    shuffled = sorted(rows, key=any_order)
    return sorted(shuffled, key=key, reverse=call.params.text("sort", "desc") == "desc")


def pipeline(call: Call) -> Response:
    """`GET /projects/:id/pipelines/:pipeline_id`."""
    project = _pipeline_project(call)
    wanted = call.args["pipeline_id"]
    row = call.store.pipelines_of[project.id].get(int(wanted)) if wanted.isdigit() else None
    if row is None:
        raise refused(404, message="404 Not found")
    return json_response(call.shapes.pipeline_detail(row))
