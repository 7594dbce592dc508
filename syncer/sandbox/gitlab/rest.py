"""
The REST routes of GitLab: which path is answered by what.

Not here: the answers (`gitlab.rest_projects`, `gitlab.rest_items`, `gitlab.rest_git`). Only reading is there: other
methods get 405.

Source: GitLab REST API docs, "REST API"; a path's parts come URL-encoded, so "group%2Fproject" is one part.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

import attrs

from syncer.sandbox.gitlab import rest_git as git
from syncer.sandbox.gitlab import rest_items as items
from syncer.sandbox.gitlab import rest_projects as projects
from syncer.sandbox.gitlab.access import insufficient_scope
from syncer.sandbox.gitlab.call import Call
from syncer.sandbox.gitlab.pages import ApiError, refused
from syncer.sandbox.messages import Response

PREFIX = "/api/v4/"
Handler = Callable[[Call], Response]
ROUTES: dict[str, Handler] = {
    "version": projects.version,
    "user": projects.current_user,
    "personal_access_tokens/self": projects.own_token,
    "projects": projects.projects,
    "projects/:id": projects.project,
    "projects/:id/issues": items.project_issues,
    "projects/:id/issues/:iid": items.project_issue,
    "projects/:id/merge_requests": items.project_merge_requests,
    "projects/:id/merge_requests/:iid": items.project_merge_request,
    "projects/:id/merge_requests/:iid/commits": items.merge_request_commits,
    "projects/:id/pipelines": items.pipelines,
    "projects/:id/pipelines/:pipeline_id": items.pipeline,
    "projects/:id/events": git.events,
    "projects/:id/repository/commits": git.commits,
    "projects/:id/repository/commits/:sha": git.commit,
    "projects/:id/repository/branches": git.branches,
    "projects/:id/repository/branches/:name": git.branch,
    "projects/:id/repository/tags": git.tags,
    "projects/:id/repository/tags/:name": git.tag,
    "groups": projects.groups,
    "groups/:id": projects.group,
    "groups/:id/projects": projects.group_projects,
    "groups/:id/subgroups": projects.subgroups,
    "groups/:id/descendant_groups": projects.descendant_groups,
    "groups/:id/issues": items.group_issues,
    "groups/:id/merge_requests": items.group_merge_requests,
    "issues": items.issues,
    "issues/:issue_id": items.issue,
    "merge_requests": items.merge_requests,
}
PARTS = [(pattern.split("/"), handler) for pattern, handler in ROUTES.items()]
ANY_SCOPE = {"user": frozenset({"api", "read_api", "read_user"}), "personal_access_tokens/self": None}


def answer(call: Call) -> Response:
    """Answer a request below /api/v4."""
    path = call.request.raw_path.removeprefix(PREFIX).strip("/")
    try:
        if call.request.method not in ("GET", "HEAD"):
            raise refused(405, error="405 Not Allowed")
        if not _may_read(call, path):
            return insufficient_scope()
        handler, args = _find(path)
        return handler(attrs.evolve(call, args=args))
    except ApiError as error:
        return error.response


def _may_read(call: Call, path: str) -> bool:
    if call.caller.token is None or path not in ANY_SCOPE:
        return call.caller.can_read_api
    enough = ANY_SCOPE[path]
    return enough is None or not enough.isdisjoint(call.caller.token.scopes)


def _find(path: str) -> tuple[Handler, dict[str, str]]:
    """Return the handler of *path*, and the parts of the path that its pattern names."""
    parts = path.split("/")
    for pattern, handler in PARTS:
        if len(pattern) == len(parts) and all(
            name.startswith(":") or name == part for name, part in zip(pattern, parts, strict=True)
        ):
            named = zip(pattern, parts, strict=True)
            return handler, {name[1:]: unquote(part) for name, part in named if name.startswith(":")}
    raise refused(404, error="404 Not Found")
