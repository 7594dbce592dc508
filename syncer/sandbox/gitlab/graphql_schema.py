"""
GitLab's GraphQL schema, as much of it as the sandbox has, and how a query's complexity is counted.

Not here: what a field's value is, and the HTTP side (`gitlab.graphql`).

Source: GitLab GraphQL API reference; how complexity is counted is not documented: "sheet" is the fact sheet's rule,
"gitlab" that of app/graphql/types/base_field.rb and app/graphql/resolvers/base_resolver.rb.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import attrs
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
)
from graphql.utilities import value_from_ast_untyped

from syncer.sandbox.gitlab.call import Counting

MAX_NODES = 100
STATUSES = (
    "CREATED WAITING_FOR_RESOURCE PREPARING PENDING RUNNING FAILED SUCCESS CANCELED CANCELING SKIPPED MANUAL "
    "SCHEDULED WAITING_FOR_CALLBACK"
)
PAGES = "first: Int, after: String, last: Int, before: String"
TYPES: dict[str, dict[str, str]] = {
    "Query": {
        "currentUser": "CurrentUser",
        "metadata": "Metadata",
        "queryComplexity": "QueryComplexity",
        "project(fullPath: ID!)": "Project",
        f"projects(ids: [ID!], membership: Boolean, search: String, {PAGES})": "ProjectConnection",
        "group(fullPath: ID!)": "Group",
    },
    "CurrentUser": {"id": "UserID!", "username": "String!", "name": "String!"},
    "Metadata": {"version": "String!", "revision": "String!", "enterprise": "Boolean!"},
    "QueryComplexity": {"score": "Int", "limit": "Int"},
    "Group": {
        "id": "ID!",
        "fullPath": "ID!",
        "name": "String!",
        f"projects(includeSubgroups: Boolean, {PAGES})": "ProjectConnection!",
        f"mergeRequests(includeSubgroups: Boolean, updatedAfter: Time, updatedBefore: Time, {PAGES})": (
            "MergeRequestConnection"
        ),
    },
    "Project": {
        "id": "ID!",
        "fullPath": "ID!",
        "name": "String!",
        "archived": "Boolean",
        "webUrl": "String",
        "createdAt": "Time",
        "updatedAt": "Time",
        "lastActivityAt": "Time",
        f"pipelines(status: PipelineStatusEnum, source: String, ref: String, sha: String, updatedAfter: Time, "
        f"updatedBefore: Time, {PAGES})": "PipelineConnection!",
        "mergeRequest(iid: String!)": "MergeRequest",
        f"mergeRequests(iids: [String!], updatedAfter: Time, updatedBefore: Time, {PAGES})": "MergeRequestConnection",
    },
    "Pipeline": {
        "id": "CiPipelineID!",
        "iid": "String!",
        "status": "PipelineStatusEnum!",
        "source": "String",
        "ref": "String",
        "sha": "String",
        "name": "String",
        "path": "String",
        "createdAt": "Time!",
        "updatedAt": "Time!",
        "startedAt": "Time",
        "finishedAt": "Time",
    },
    "MergeRequest": {
        "id": "ID!",
        "iid": "String!",
        "projectId": "Int!",
        "title": "String!",
        "state": "String!",
        "diffHeadSha": "String",
        "createdAt": "Time!",
        "updatedAt": "Time!",
        f"commits({PAGES})": "CommitConnection",
        f"commitsWithoutMergeCommits({PAGES})": "CommitConnection",
    },
    "Commit": {
        "id": "ID!",
        "sha": "String!",
        "shortId": "String!",
        "title": "String",
        "message": "String",
        "authorName": "String",
        "authorEmail": "String",
        "committerName": "String",
        "committerEmail": "String",
        "authoredDate": "Time",
        "committedDate": "Time",
        "webUrl": "String!",
    },
    "PageInfo": {
        "startCursor": "String",
        "endCursor": "String",
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
    },
    # Nodes are never null: an error in one of them takes its whole project with it.
    "ProjectConnection": {"nodes": "[Project]", "pageInfo": "PageInfo!", "count": "Int!"},
    "PipelineConnection": {"nodes": "[Pipeline!]!", "pageInfo": "PageInfo!", "count": "Int!"},
    "MergeRequestConnection": {"nodes": "[MergeRequest]", "pageInfo": "PageInfo!", "count": "Int!"},
    "CommitConnection": {"nodes": "[Commit]", "pageInfo": "PageInfo!"},
}


@lru_cache(maxsize=16)
def schema_without(missing: frozenset[str]) -> GraphQLSchema:
    """Return the schema of an instance that does not know the fields in *missing* ("Pipeline.source") yet."""
    known = {f"{kind}.{field.partition('(')[0]}" for kind, fields in TYPES.items() for field in fields}
    if not missing <= known:
        unknown = ", ".join(sorted(missing - known))
        raise ValueError(f"no such GraphQL field: {unknown}; known: {', '.join(sorted(known))}")
    lines = ["scalar Time", "scalar UserID", "scalar CiPipelineID", f"enum PipelineStatusEnum {{ {STATUSES} }}"]
    for kind, fields in TYPES.items():
        kept = [f"{field}: {of}" for field, of in fields.items() if f"{kind}.{field.partition('(')[0]}" not in missing]
        lines.append(f"type {kind} {{ {' '.join(kept)} }}")
    return build_schema("\n".join(lines))


@attrs.frozen(kw_only=True)
class Complexity:
    """Counts one operation of a document: a field is 1; a connection as `counting` says; `__typename` is nothing."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    counting: Counting = "sheet"

    def of(self, selection: SelectionSetNode | None, parent: GraphQLNamedType | None) -> int:
        """Return the score of a selection on type *parent*."""
        return sum(self._one(node, parent) for node in selection.selections) if selection else 0

    def _one(self, node: Any, parent: GraphQLNamedType | None) -> int:
        if isinstance(node, FieldNode):
            return self._field(node, parent)
        if isinstance(node, FragmentSpreadNode):
            node = self.fragments.get(node.name.value)
        if isinstance(node, InlineFragmentNode | FragmentDefinitionNode):
            on = node.type_condition
            return self.of(node.selection_set, self.schema.type_map.get(on.name.value) if on else parent)
        return 0

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> int:
        name = node.name.value
        if name == "__typename":
            return 0
        field = getattr(parent, "fields", {}).get(name)
        kind = get_named_type(field.type) if field else None
        inside = self.of(node.selection_set, kind)
        if kind is None or not kind.name.endswith("Connection"):
            return 1 + inside
        known = dict(self.variables)
        arguments = {one.name.value: value_from_ast_untyped(one.value, known) for one in node.arguments or ()}
        wanted = [one for one in (arguments.get("first"), arguments.get("last")) if isinstance(one, int)]
        nodes = min([*wanted, MAX_NODES])
        if self.counting == "gitlab":
            multiplier = 0.0 if arguments.get("iids") or arguments.get("iid") else 0.01
            return int((1 + inside) * (1 + nodes * multiplier))
        return 1 + -(-nodes * inside // 100)


def count_complexity(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    *,
    variables: Mapping[str, Any],
    counting: Counting = "sheet",
) -> int:
    """Return the score of *operation*; the standard introspection query is free, as GitLab answers it from a cache."""
    if operation.name is not None and operation.name.value == "IntrospectionQuery":
        return 0
    defaults = {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions or ()
        if one.default_value is not None
    }
    counter = Complexity(
        schema=schema,
        fragments=_fragments(document.definitions),
        variables={**defaults, **variables},
        counting=counting,
    )
    return counter.of(operation.selection_set, schema.query_type)


def _fragments(definitions: Iterable[Any]) -> dict[str, FragmentDefinitionNode]:
    return {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
