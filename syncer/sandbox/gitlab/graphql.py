"""
GitLab's GraphQL endpoint: `POST /api/graphql`, one query or an array of them, over the same rows as REST.

Errors come with HTTP 200; a token that is not good gets 401. Not here: the schema and the counting of complexity
(`gitlab.graphql_schema`).

Source: GitLab docs, "GraphQL API" (limits, pagination); app/graphql/types/time_type.rb (whole seconds);
app/finders/ci/pipelines_finder.rb (an unknown source filters nothing; children only with source "parent_pipeline").
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from syncer.sandbox.gitlab.call import Call
from syncer.sandbox.gitlab.git import Commit
from syncer.sandbox.gitlab.graphql_schema import MAX_NODES, count_complexity, schema_without
from syncer.sandbox.gitlab.pages import read_time
from syncer.sandbox.gitlab.rest_items import SOURCES
from syncer.sandbox.gitlab.rows import Group, MergeRequest, Pipeline, Project
from syncer.sandbox.gitlab.shapes import shown
from syncer.sandbox.messages import Response, json_response

MAX_QUERY = 10_000  # characters; of an array of queries, all together
MAX_ERRORS = 5
ANONYMOUS_COMPLEXITY = 200
ADMIN_EXTRA = 50
_REWORDED = (
    (
        re.compile(r"^Cannot query field '(\w+)' on type '(\w+)'\..*", re.DOTALL),
        r"Field '\1' doesn't exist on type '\2'",
    ),
    (
        re.compile(r"^Unknown argument '(\w+)' on field '(\w+)\.(\w+)'\..*", re.DOTALL),
        r"Field '\3' doesn't accept argument '\1'",
    ),
    (re.compile(r"^(Cannot return null for non-nullable field [\w.]+)\.$"), r"\1"),
)


def unavailable(call: Call) -> Response | None:
    """Return what an instance says whose GraphQL is absent or refused."""
    if call.quirks.graphql == "absent":
        return json_response({"error": "404 Not Found"}, status=404)
    if call.quirks.graphql == "refused":
        return json_response({"errors": [{"message": "Forbidden"}]}, status=403)
    return None


def invalid_token() -> Response:
    """Return the 401 of a token that is not good, or not good for this."""
    return json_response({"errors": [{"message": "Invalid token"}]}, status=401)


def answer(call: Call) -> Response:
    """Answer `POST /api/graphql`."""
    refusal = unavailable(call)
    if refusal is not None:
        return refusal
    if not call.caller.can_read_api:
        return invalid_token()
    if call.request.method != "POST":
        return json_response({"error": "404 Not Found"}, status=404)
    try:
        body = orjson.loads(call.request.body)
    except orjson.JSONDecodeError:
        return json_response({"errors": [{"message": "Unexpected end of document"}]}, status=422)
    queries = body if isinstance(body, list) else [body]
    if not all(isinstance(query, dict) for query in queries):
        return json_response({"errors": [{"message": "Unexpected format"}]}, status=422)
    if sum(len(str(query.get("query") or "")) for query in queries) > MAX_QUERY:
        answers: list[dict[str, Any]] = [{"errors": [{"message": "Query too large"}]} for _ in queries]
    else:
        answers = _answer_all(call, [_read(call, query) for query in queries])
    return json_response(answers if isinstance(body, list) else answers[0])


@attrs.frozen(kw_only=True)
class _Query:
    """One query, read and counted; `errors` where it does not get further."""

    document: DocumentNode | None = None
    variables: dict[str, Any] = attrs.field(factory=dict)
    operation_name: str | None = None
    score: int = 0
    errors: Sequence[dict[str, Any]] = ()


@attrs.frozen(kw_only=True)
class _Context:
    """What a field's value may depend on."""

    call: Call
    score: int
    limit: int


def _limit(call: Call) -> int:
    user = call.caller.user
    if user is None:
        return min(ANONYMOUS_COMPLEXITY, call.quirks.graphql_max_complexity)
    return call.quirks.graphql_max_complexity + (ADMIN_EXTRA if user.is_admin else 0)


def _schema(call: Call) -> GraphQLSchema:
    return schema_without(call.quirks.graphql_missing)


def _read(call: Call, query: dict[str, Any]) -> _Query:
    """Parse, validate and count one query."""
    schema = _schema(call)
    variables = query.get("variables") or {}
    if isinstance(variables, str):
        variables = json.loads(variables)
    try:
        document = parse(str(query.get("query") or ""))
        found = validate(schema, document)
    except GraphQLError as error:
        found = [error]
    if found:
        return _Query(errors=[_formatted(error) for error in found[:MAX_ERRORS]])
    name = query.get("operationName")
    operation = get_operation_ast(document, name)
    if not isinstance(operation, OperationDefinitionNode):
        return _Query(errors=[{"message": "An operation name is required"}])
    score = count_complexity(schema, document, operation, variables=variables, counting=call.quirks.graphql_counting)
    return _Query(document=document, variables=variables, operation_name=name, score=score)


def _answer_all(call: Call, queries: Sequence[_Query]) -> list[dict[str, Any]]:
    """Execute the queries; those of an array must keep the limit together, as in GitLab's multiplex."""
    limit, total = _limit(call), sum(query.score for query in queries)
    if total > limit:
        message = f"Query has complexity of {total}, which exceeds max complexity of {limit}"
        return [{"errors": [{"message": message}]} for _ in queries]
    return [_execute(call, query, limit) for query in queries]


def _execute(call: Call, query: _Query, limit: int) -> dict[str, Any]:
    if query.document is None:
        return {"errors": list(query.errors)}
    result = execute_sync(
        _schema(call),
        query.document,
        context_value=_Context(call=call, score=query.score, limit=limit),
        variable_values=query.variables,
        operation_name=query.operation_name,
        field_resolver=_resolve,
    )
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_formatted(error) for error in result.errors]
    return answer


def _formatted(error: GraphQLError) -> dict[str, Any]:
    """Return an error in GitLab's words."""
    formatted: dict[str, Any] = dict(error.formatted)
    for pattern, words in _REWORDED:
        formatted["message"] = pattern.sub(words, formatted["message"])
    return formatted


# A field is a key of a dict that a parent made, or one of `FIELDS`.


def _resolve(source: Any, info: GraphQLResolveInfo[_Context], /, **arguments: Any) -> Any:
    if isinstance(source, dict):
        return source[info.field_name]
    return FIELDS[info.parent_type.name, info.field_name](info.context, source, arguments)


def _time(context: _Context, at: datetime | None) -> str | None:
    """Return a time: cut to whole seconds, as `iso8601` without digits does."""
    if at is None or context.call.quirks.graphql_has_milliseconds:
        return shown(at)
    return at.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def _wanted_time(arguments: dict[str, Any], name: str) -> datetime | None:
    value = arguments.get(name)
    if value is None:
        return None
    try:
        return read_time(str(value))
    except ValueError:
        raise GraphQLError(f"no time information in {json.dumps(str(value))}") from None


def _in_window(rows: Sequence[Any], arguments: dict[str, Any]) -> list[Any]:
    """Return the rows between updatedAfter and updatedBefore, both inclusive; one without a time is in no window."""
    after, before = _wanted_time(arguments, "updatedAfter"), _wanted_time(arguments, "updatedBefore")
    if after is not None:
        rows = [row for row in rows if row.updated_at is not None and row.updated_at >= after]
    if before is not None:
        rows = [row for row in rows if row.updated_at is not None and row.updated_at <= before]
    return list(rows)


def _connection(rows: Sequence[Any], arguments: dict[str, Any], position_of: Callable[[Any], int]) -> dict[str, Any]:
    """
    Return one page of *rows*, which stand in descending order of their position; a cursor holds a position.

    A row that is gone does not matter to a cursor; more than 100 nodes are not given, whatever is asked.
    """
    before, after = arguments.get("before"), arguments.get("after")
    left = [row for row in rows if after is None or position_of(row) < _position(after)]
    left = [row for row in left if before is None or position_of(row) > _position(before)]
    first, last = arguments.get("first"), arguments.get("last")
    size = min(first if first is not None else MAX_NODES, MAX_NODES)
    if size < 0 or (last or 0) < 0:
        raise GraphQLError("Limit must be a positive number.")
    taken = left[max(0, len(left) - min(last, MAX_NODES)) :] if last is not None and first is None else left[:size]
    return {
        "nodes": taken,
        "count": len(rows),
        "pageInfo": {
            "startCursor": _cursor(position_of(taken[0])) if taken else None,
            "endCursor": _cursor(position_of(taken[-1])) if taken else None,
            "hasNextPage": bool(taken) and taken[-1] is not left[-1],
            "hasPreviousPage": after is not None,
        },
    }


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"id": str(position)}).encode()).decode().rstrip("=")


def _position(cursor: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))["id"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise GraphQLError(f"Please provide a valid cursor, not {json.dumps(cursor)}") from None


def _by_id(rows: Sequence[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    newest_first = sorted(rows, key=lambda row: row.id, reverse=True)
    return _connection(newest_first, arguments, lambda row: int(row.id))


def _project(context: _Context, _: object, arguments: dict[str, Any]) -> Project | None:
    """Return a project by its present path; a path that it had is not followed here."""
    call = context.call
    path = str(arguments["fullPath"]).lower()
    project = call.visible().get(call.store.paths.get(path, 0))
    return project if project and call.store.path_of(project).lower() == path else None


def _projects(context: _Context, _: object, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the projects of `ids`, or all; ids that are hidden or unknown are left out silently."""
    user = context.call.caller.user
    rows = list(context.call.visible().values())
    if arguments.get("ids") is not None:
        wanted = {_gid(gid, "Project") for gid in arguments["ids"]}
        rows = [row for row in rows if row.id in wanted]
    if arguments.get("membership"):
        rows = [row for row in rows if user is not None and user.id in row.members]
    search = (arguments.get("search") or "").lower()
    return _by_id([row for row in rows if search in row.name.lower()], arguments)


def _gid(gid: str, kind: str) -> int:
    match = re.fullmatch(rf"gid://gitlab/{kind}/(\d+)", str(gid))
    if match is None:
        raise GraphQLError(f"{json.dumps(str(gid))} is not a valid GitLab ID.")
    return int(match[1])


def _group(context: _Context, _: object, arguments: dict[str, Any]) -> Group | None:
    group = context.call.store.group_by_path(str(arguments["fullPath"]))
    return group if group and group.kind == "group" and context.call.sees(group) else None


def _below(context: _Context, group: Group, arguments: dict[str, Any]) -> list[Project]:
    call = context.call
    group_ids = call.store.subgroup_ids(group.id) if arguments.get("includeSubgroups") else {group.id}
    return [project for project in call.visible().values() if project.namespace_id in group_ids]


def _group_merge_requests(context: _Context, group: Group, arguments: dict[str, Any]) -> dict[str, Any]:
    of = context.call.store.merge_requests_of
    projects = [project for project in _below(context, group, arguments) if project.merge_requests_on]
    rows = [row for project in projects for row in of[project.id].values()]
    return _by_id(_in_window(rows, arguments), arguments)


def _pipelines(context: _Context, project: Project, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return pipelines, newest id first; none, and no error, where the project's CI is off."""
    rows = list(context.call.store.pipelines_of[project.id].values()) if project.jobs_on else []
    source = arguments.get("source")
    if source != "parent_pipeline":
        rows = [row for row in rows if not row.is_child]
    if source in SOURCES:
        rows = [row for row in rows if row.source == source]
    for name in ("ref", "sha"):
        if arguments.get(name) is not None:
            rows = [row for row in rows if getattr(row, name) == arguments[name]]
    if arguments.get("status") is not None:
        rows = [row for row in rows if row.status.upper() == arguments["status"]]
    return _by_id(_in_window(rows, arguments), arguments)


def _merge_request(context: _Context, project: Project, arguments: dict[str, Any]) -> MergeRequest | None:
    iid = str(arguments["iid"])
    rows = context.call.store.merge_requests_of[project.id] if project.merge_requests_on else {}
    return rows.get(int(iid)) if iid.isdigit() else None


def _merge_requests(context: _Context, project: Project, arguments: dict[str, Any]) -> dict[str, Any]:
    rows = list(context.call.store.merge_requests_of[project.id].values()) if project.merge_requests_on else []
    if arguments.get("iids") is not None:
        rows = [row for row in rows if str(row.iid) in arguments["iids"]]
    return _by_id(_in_window(rows, arguments), arguments)


@attrs.frozen(kw_only=True)
class _Placed:
    """A commit with its place in its list, from the end on, and its project."""

    commit: Commit
    place: int
    project: Project


def _commits(
    context: _Context, row: MergeRequest, arguments: dict[str, Any], *, with_merges: bool = True
) -> dict[str, Any]:
    project = context.call.store.projects[row.project_id]
    commits = [one for one in row.commits if with_merges or len(one.parents) < 2]
    placed = [_Placed(commit=one, place=len(commits) - n, project=project) for n, one in enumerate(commits)]
    return _connection(placed, arguments, lambda one: one.place)


def _commit_url(context: _Context, one: _Placed) -> str:
    shapes = context.call.shapes
    return f"{shapes.url}/{shapes.store.path_of(one.project)}/-/commit/{one.commit.sha}"


def _pipeline_path(context: _Context, row: Pipeline) -> str:
    store = context.call.store
    return f"/{store.path_of(store.projects[row.project_id])}/-/pipelines/{row.id}"


def _current_user(context: _Context) -> dict[str, str] | None:
    user = context.call.caller.user
    if user is None:
        return None
    return {"id": f"gid://gitlab/User/{user.id}", "username": user.username, "name": user.name}


def _metadata(context: _Context) -> dict[str, Any] | None:
    """Return the version; nobody is not told."""
    if context.call.caller.user is None:
        return None
    return {"version": context.call.quirks.version, "revision": "4f5a6b7c8d9", "enterprise": True}


def _path(context: _Context, project: Project) -> str:
    return context.call.store.path_of(project)


FIELDS: dict[tuple[str, str], Callable[[_Context, Any, dict[str, Any]], Any]] = {
    ("Query", "currentUser"): lambda context, _, __: _current_user(context),
    ("Query", "metadata"): lambda context, _, __: _metadata(context),
    ("Query", "queryComplexity"): lambda context, _, __: {"score": context.score, "limit": context.limit},
    ("Query", "project"): _project,
    ("Query", "projects"): _projects,
    ("Query", "group"): _group,
    ("Group", "id"): lambda _, row, __: f"gid://gitlab/Group/{row.id}",
    ("Group", "fullPath"): lambda _, row, __: row.full_path,
    ("Group", "name"): lambda _, row, __: row.name,
    ("Group", "projects"): lambda context, row, arguments: _by_id(_below(context, row, arguments), arguments),
    ("Group", "mergeRequests"): _group_merge_requests,
    ("Project", "id"): lambda _, row, __: f"gid://gitlab/Project/{row.id}",
    ("Project", "fullPath"): lambda context, row, _: _path(context, row),
    ("Project", "name"): lambda _, row, __: row.name,
    ("Project", "archived"): lambda _, row, __: row.is_archived,
    ("Project", "webUrl"): lambda context, row, _: f"{context.call.shapes.url}/{_path(context, row)}",
    ("Project", "createdAt"): lambda context, row, _: _time(context, row.created_at),
    ("Project", "updatedAt"): lambda context, row, _: _time(context, row.updated_at),
    ("Project", "lastActivityAt"): lambda context, row, _: _time(context, row.last_activity_at),
    ("Project", "pipelines"): _pipelines,
    ("Project", "mergeRequest"): _merge_request,
    ("Project", "mergeRequests"): _merge_requests,
    ("Pipeline", "id"): lambda _, row, __: f"gid://gitlab/Ci::Pipeline/{row.id}",
    ("Pipeline", "iid"): lambda _, row, __: str(row.iid),
    ("Pipeline", "status"): lambda _, row, __: row.status.upper(),
    ("Pipeline", "source"): lambda _, row, __: row.source,
    ("Pipeline", "ref"): lambda _, row, __: row.ref,
    ("Pipeline", "sha"): lambda _, row, __: row.sha,
    ("Pipeline", "name"): lambda _, row, __: row.name,
    ("Pipeline", "path"): lambda context, row, _: _pipeline_path(context, row),
    ("Pipeline", "createdAt"): lambda context, row, _: _time(context, row.created_at),
    ("Pipeline", "updatedAt"): lambda context, row, _: _time(context, row.updated_at),
    ("Pipeline", "startedAt"): lambda context, row, _: _time(context, row.started_at),
    ("Pipeline", "finishedAt"): lambda context, row, _: _time(context, row.finished_at),
    ("MergeRequest", "id"): lambda _, row, __: f"gid://gitlab/MergeRequest/{row.id}",
    ("MergeRequest", "iid"): lambda _, row, __: str(row.iid),
    ("MergeRequest", "projectId"): lambda _, row, __: row.project_id,
    ("MergeRequest", "title"): lambda _, row, __: row.title,
    ("MergeRequest", "state"): lambda _, row, __: row.state,
    ("MergeRequest", "diffHeadSha"): lambda _, row, __: row.sha,
    ("MergeRequest", "createdAt"): lambda context, row, _: _time(context, row.created_at),
    ("MergeRequest", "updatedAt"): lambda context, row, _: _time(context, row.updated_at),
    ("MergeRequest", "commits"): _commits,
    ("MergeRequest", "commitsWithoutMergeCommits"): lambda context, row, arguments: _commits(
        context, row, arguments, with_merges=False
    ),
    ("Commit", "id"): lambda _, one, __: f"gid://gitlab/Commit/{one.commit.sha}",
    ("Commit", "sha"): lambda _, one, __: one.commit.sha,
    ("Commit", "shortId"): lambda _, one, __: one.commit.sha[:8],
    ("Commit", "title"): lambda _, one, __: one.commit.title,
    ("Commit", "message"): lambda _, one, __: one.commit.message,
    ("Commit", "authorName"): lambda _, one, __: one.commit.author_name,
    ("Commit", "authorEmail"): lambda _, one, __: one.commit.author_email,
    ("Commit", "committerName"): lambda _, one, __: one.commit.committer_name,
    ("Commit", "committerEmail"): lambda _, one, __: one.commit.committer_email,
    ("Commit", "authoredDate"): lambda context, one, _: _time(context, one.commit.authored_date),
    ("Commit", "committedDate"): lambda context, one, _: _time(context, one.commit.committed_date),
    ("Commit", "webUrl"): lambda context, one, _: _commit_url(context, one),
}
