"""
The REST routes of commits, branches, tags and events.

Source: GitLab REST API docs: commits, branches, tags, events; lib/api/commits.rb (no totals),
lib/gitlab/pagination/gitaly_keyset_pager.rb (a Link behind every full page); for offset pages of branches that are
empty: gitlab-org/gitlab merge request 244062.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from syncer.sandbox.gitlab.call import Call
from syncer.sandbox.gitlab.git import BAD_REF, Commit, Repository, Tag, UnknownRefError
from syncer.sandbox.gitlab.git_shapes import branch_record, commit_record, event_record, tag_record
from syncer.sandbox.gitlab.pages import Page, keyset_headers, offset_page, refused
from syncer.sandbox.gitlab.rows import Event, Project
from syncer.sandbox.gitlab.shapes import Record
from syncer.sandbox.messages import Response, json_response

T = TypeVar("T")
EVENT_ACTIONS: dict[str, tuple[str, ...]] = {
    "pushed": ("pushed to", "pushed new", "deleted"),
    "created": ("created",),
    "updated": ("updated",),
    "closed": ("closed",),
    "reopened": ("reopened",),
    "merged": ("accepted",),
    "approved": ("approved",),
    "commented": ("commented on",),
    "joined": ("joined",),
    "left": ("left",),
    "destroyed": ("destroyed",),
    "expired": ("expired",),
}


def _repository(call: Call, *, missing: str = "404 Repository Not Found") -> tuple[Project, Repository]:
    """Return the project's repository; 404 where there is none yet, and where the feature is off."""
    project = call.project()
    repository = call.store.repository_of(project)
    if repository is None:
        raise refused(404, message=missing)
    return project, repository


def commits(call: Call) -> Response:
    """`GET /projects/:id/repository/commits`: newest first, never with totals."""
    project, repository = _repository(call)
    params = call.params
    with_stats, with_trailers = params.flag("with_stats") is True, params.flag("trailers") is True
    rows = call.cached(lambda: _find_commits(call, repository))
    return call.offset(
        rows,
        lambda row: commit_record(call.shapes, project, row, with_stats=with_stats, with_trailers=with_trailers),
        has_totals=False,
    )


def _find_commits(call: Call, repository: Repository) -> list[Commit]:
    params = call.params
    if params.flag("all"):
        heads, without = repository.heads(), list[str]()
    else:
        ref = params.text("ref_name") or repository.default_branch
        if any(BAD_REF.search(side) for side in ref.split("..")):
            raise refused(400, error="ref_name is invalid")
        try:
            heads, without = repository.select(ref)
        except UnknownRefError:
            raise refused(404, message="404 Commit Not Found") from None
    found = repository.log(
        heads,
        without=without,
        since=params.time("since"),
        until=params.time("until"),
        first_parent_only=params.flag("first_parent") is True,
    )
    author = (params.text("author") or "").lower()
    return [row for row in found if author in f"{row.author_name} <{row.author_email}>".lower()] if author else found


def commit(call: Call) -> Response:
    """`GET /projects/:id/repository/commits/:sha`; the sha may be a branch or a tag."""
    project, repository = _repository(call)
    try:
        row = repository.commits[repository.resolve(call.args["sha"])]
    except UnknownRefError:
        raise refused(404, message="404 Commit Not Found") from None
    record = commit_record(call.shapes, project, row, with_stats=call.params.flag("stats") is not False)
    return json_response(record | {"status": None, "project_id": project.id, "last_pipeline": None})


def branches(call: Call) -> Response:
    """`GET /projects/:id/repository/branches`: keyset by name; by offset, page 2 is empty where the bug is on."""
    project, repository = _repository(call)
    names = _branch_names(call, repository)
    merged = _merged(call, project, repository)

    def shape(name: str) -> Record:
        return branch_record(call.shapes, project, repository, name=name, merged=merged)

    if call.params.is_keyset:
        return _name_keyset(call, names, shape, name_of=str)
    page = offset_page(names, call.request, call.params)
    number, _ = call.params.page()
    rows = [] if number > 1 and call.quirks.has_branch_page_bug else page.rows
    return call.answer(Page(rows=rows, headers=page.headers), shape)


def _branch_names(call: Call, repository: Repository) -> list[str]:
    """Return the names that `search` and `regex` leave, in the order of `sort`."""
    order = call.params.choice("sort", ("name_asc", "updated_asc", "updated_desc"), "name_asc")
    search, regex = call.params.text("search"), call.params.text("regex")
    names = sorted(repository.branches)
    if search:
        stem = search.removeprefix("^").removesuffix("$").lower()
        starts, ends = search.startswith("^"), search.endswith("$")
        names = [name for name in names if _matches(name.lower(), stem, starts=starts, ends=ends)]
    elif regex:
        try:
            names = [name for name in names if re.search(regex, name)]
        except re.error:
            raise refused(400, error="regex is invalid") from None
    if order == "name_asc":
        return names
    commits_by_sha = repository.commits
    return sorted(
        names,
        key=lambda name: commits_by_sha[repository.branches[name]].committed_date,
        reverse=order == "updated_desc",
    )


def _matches(name: str, stem: str, *, starts: bool, ends: bool) -> bool:
    if starts and ends:
        return name == stem
    if starts:
        return name.startswith(stem)
    return name.endswith(stem) if ends else stem in name


def _merged(call: Call, project: Project, repository: Repository) -> set[str]:
    head = repository.head
    return call.store.cached(("merged", project.id, head), lambda: repository.reachable([head] if head else []))


def _name_keyset(
    call: Call, rows: Sequence[T], shape: Callable[[T], Record], *, name_of: Callable[[T], str]
) -> Response:
    """Return the page behind `page_token`, a name that must still be there; full pages have a Link."""
    token = call.params.text("page_token")
    start = 0
    if token is not None:
        names = [name_of(row) for row in rows]
        if token not in names:
            raise refused(422, message="Invalid page token")
        start = names.index(token) + 1
    _, per_page = call.params.page()
    taken = rows[start : start + per_page]
    headers = {}
    if len(taken) == per_page:
        headers = keyset_headers(call.request, per_page, page_token=name_of(taken[-1]))
    return call.answer(Page(rows=taken, headers=headers), shape)


def branch(call: Call) -> Response:
    """`GET /projects/:id/repository/branches/:name`."""
    project, repository = _repository(call)
    name = call.args["name"]
    if name not in repository.branches:
        raise refused(404, message="404 Branch Not Found")
    merged = _merged(call, project, repository)
    return json_response(branch_record(call.shapes, project, repository, name=name, merged=merged))


def tags(call: Call) -> Response:
    """`GET /projects/:id/repository/tags`: by offset or by keyset; `updated_after` does nothing."""
    project, repository = _repository(call, missing="404 Not Found")
    order = call.params.choice("order_by", ("name", "updated", "version"), "updated")
    is_descending = call.params.choice("sort", ("asc", "desc"), "desc") == "desc"
    search = (call.params.text("search") or "").strip("^$").lower()
    rows = [tag for tag in repository.tags.values() if search in tag.name.lower()]
    rows.sort(key=lambda tag: tag.name)
    rows.sort(key=_tag_order(order, repository), reverse=is_descending)

    def shape(tag: Tag) -> Record:
        return tag_record(call.shapes, project, repository, tag)

    if call.params.is_keyset:
        return _name_keyset(call, rows, shape, name_of=lambda tag: tag.name)
    return call.offset(rows, shape)


def _tag_order(order: str, repository: Repository) -> Callable[[Tag], Any]:
    if order == "updated":
        return lambda tag: tag.created_at or repository.commits[tag.sha].committed_date
    if order == "version":
        return lambda tag: [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _parts(tag.name)]
    return lambda tag: tag.name


def _parts(name: str) -> list[str]:
    return re.findall(r"\d+|\D+", name)


def tag(call: Call) -> Response:
    """`GET /projects/:id/repository/tags/:name`."""
    project, repository = _repository(call, missing="404 Not Found")
    row = repository.tags.get(call.args["name"])
    if row is None:
        raise refused(404, message="404 Tag Not Found")
    return json_response(tag_record(call.shapes, project, repository, row))


def events(call: Call) -> Response:
    """`GET /projects/:id/events`: `after` and `before` are days, and neither is itself included."""
    project = call.project()
    params = call.params
    action, after, before = params.text("action"), params.day("after"), params.day("before")
    wanted = EVENT_ACTIONS[params.choice("action", EVENT_ACTIONS, "pushed")] if action else None
    is_descending = params.choice("sort", ("asc", "desc"), "desc") == "desc"

    def is_wanted(event: Event) -> bool:
        day = event.created_at.date()
        if (after is not None and day <= after) or (before is not None and day >= before):
            return False
        return wanted is None or event.action in wanted

    rows = sorted(filter(is_wanted, call.store.events_of[project.id]), key=lambda row: row.id, reverse=is_descending)
    return call.offset(rows, lambda row: event_record(call.shapes, row))
