"""GitLab's GraphQL in the sandbox: the rows of REST, with limits, cursors and errors of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from graphql import get_introspection_query

from syncer.sandbox import Clock
from syncer.sandbox.gitlab import Token
from syncer.sandbox.gitlab.rows import Project
from tests.sandbox.gitlab_client import START, Api, serve, small_site

PIPELINES = """query($path: ID!, $source: String, $after: String, $since: Time) { project(fullPath: $path) { id
  pipelines(source: $source, after: $after, updatedAfter: $since, first: 20) { pageInfo { endCursor hasNextPage }
    nodes { id iid status source ref sha name path createdAt updatedAt } } } }"""
COMMITS = """query($path: ID!, $iids: [String!]) { project(fullPath: $path) { mergeRequests(iids: $iids, first: 10) {
  nodes { id iid commits(first: 100) { nodes { sha shortId title message authorName authorEmail committerName
    committerEmail authoredDate committedDate webUrl } } } } } }"""
TWO = """{ a: project(fullPath: "%s") { ...p } b: project(fullPath: "%s") { ...p } }
  fragment p on Project { pipelines(first: 1) { nodes { updatedAt } } }"""
BOTH = """query($p: ID!, $i: String!) { project(fullPath: $p) { mergeRequest(iid: $i) {
  commits { nodes { sha } } commitsWithoutMergeCommits { nodes { sha } } } } }"""
SCORE = """query($p: ID!, $n: Int) { queryComplexity { score }
  project(fullPath: $p) { pipelines(first: $n) { nodes { id } } } }"""
PLAIN = "query($p: ID!) { project(fullPath: $p) { pipelines { nodes { id iid status ref } } } }"
BY_ID = "query($i: [ID!]) { projects(ids: $i) { nodes { id pipelines { nodes { id } } } } }"


@pytest.fixture
def gitlab() -> Iterator[Api]:
    """A small GitLab of this test's own, in which every pipeline has its updated_at."""
    clock = Clock(START)
    site = small_site(clock)
    for pipeline in site.store.pipelines.values():
        pipeline.updated_at = pipeline.updated_at or pipeline.created_at
    with serve(site, clock) as api:
        yield api


def busiest(gitlab: Api) -> Project:
    """Return the project with the most pipelines."""
    return max(gitlab.usable(), key=lambda one: len(gitlab.site.store.pipelines_of[one.id]))


def pipelines(gitlab: Api, project: Project, **variables: Any) -> list[dict[str, Any]]:
    """Return the pipelines of all pages."""
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        answer = gitlab.graphql(PIPELINES, path=gitlab.path(project), after=after, **variables)
        page = answer["data"]["project"]["pipelines"]
        rows += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return rows
        after = page["pageInfo"]["endCursor"]


def as_rest(gitlab: Api, project: Project, node: dict[str, Any]) -> dict[str, Any]:
    """Return a node with REST's names and values; times stay as they are."""
    return {
        "id": int(node["id"].rpartition("/")[2]),
        "iid": int(node["iid"]),
        "project_id": project.id,
        "status": node["status"].lower(),
        "web_url": gitlab.url + node["path"],
        **{name: node[name] for name in ("source", "ref", "sha", "name")},
        "created_at": node["createdAt"],
        "updated_at": node["updatedAt"],
    }


def test_pipelines_are_those_of_rest_in_whole_seconds(gitlab: Api) -> None:
    """Ids are gids, iids text, statuses upper case; the milliseconds are lost; children come only when asked for."""
    project = busiest(gitlab)
    nodes = pipelines(gitlab, project) + pipelines(gitlab, project, source="parent_pipeline")
    path = f"/projects/{project.id}/pipelines"
    rest = gitlab.all(path) + gitlab.all(path, source="parent_pipeline")
    assert len(nodes) > 20
    for row in rest:
        row["created_at"], row["updated_at"] = (row[key][:19] + "Z" for key in ("created_at", "updated_at"))
    assert [as_rest(gitlab, project, node) for node in nodes] == rest


def test_an_instance_may_show_milliseconds(gitlab: Api) -> None:
    """Not known of any; for comparing."""
    gitlab.site.adjust(graphql_has_milliseconds=True)
    assert len(pipelines(gitlab, busiest(gitlab))[0]["updatedAt"]) == len("2026-01-01T00:00:00.000Z")


def test_windows_are_inclusive_and_an_unknown_source_filters_nothing(gitlab: Api) -> None:
    """As in REST, but a misspelt source is no error here."""
    project = busiest(gitlab)
    row = gitlab.site.edits.run_pipeline(project.id)
    at = row.updated_at
    assert at is not None
    found = pipelines(gitlab, project, since=at.isoformat())
    assert [node["iid"] for node in found] == [str(row.iid)]
    assert len(pipelines(gitlab, project, source="pusch")) == len(pipelines(gitlab, project))


def test_a_pipeline_without_updated_at_takes_its_project_with_it(gitlab: Api) -> None:
    """HTTP 200, `errors`, and null where the project was; the other projects of the query are whole."""
    one, other = gitlab.usable()[:2]
    gitlab.site.edits.run_pipeline(one.id, source="external")
    answer = gitlab.graphql(TWO % (gitlab.path(one), gitlab.path(other)))
    assert answer["data"]["a"] is None and answer["data"]["b"]["pipelines"]["nodes"]
    assert answer["errors"][0]["message"] == "Cannot return null for non-nullable field Pipeline.updatedAt"
    assert answer["errors"][0]["path"][0] == "a"
    assert pipelines(gitlab, one, since="2000-01-01T00:00:00Z")  # in no window, so it does no harm there


def test_commits_of_merge_requests_are_those_of_rest(gitlab: Api) -> None:
    """All columns but parents and trailers, which are empty in REST's list anyway."""
    row = gitlab.open_merge_request()
    project = gitlab.site.store.projects[row.project_id]
    answer = gitlab.graphql(COMMITS, path=gitlab.path(project), iids=[str(row.iid)])
    (node,) = answer["data"]["project"]["mergeRequests"]["nodes"]
    rest = gitlab.all(f"/projects/{project.id}/merge_requests/{row.iid}/commits")
    assert node["id"] == f"gid://gitlab/MergeRequest/{row.id}"
    for ours, theirs in zip(rest, node["commits"]["nodes"], strict=True):
        assert (theirs["sha"], theirs["shortId"], theirs["webUrl"]) == (ours["id"], ours["short_id"], ours["web_url"])
        assert (theirs["message"], theirs["title"]) == (ours["message"], ours["title"])
        assert (theirs["authorName"], theirs["authorEmail"]) == (ours["author_name"], ours["author_email"])
        assert (theirs["committerName"], theirs["committerEmail"]) == (ours["committer_name"], ours["committer_email"])
        assert theirs["committedDate"][:19] == ours["committed_date"][:19]


def test_merge_commits_can_be_left_out(gitlab: Api) -> None:
    """`commits` has them, `commitsWithoutMergeCommits` does not."""
    row = gitlab.open_merge_request()
    repository = gitlab.site.store.repositories[row.project_id]
    gitlab.site.git.push(row.project_id, repository.default_branch)
    merge = gitlab.site.git.merge_branch(row.project_id, repository.default_branch, into=row.source_branch)
    path = gitlab.path(gitlab.site.store.projects[row.project_id])
    found = gitlab.graphql(BOTH, p=path, i=str(row.iid))["data"]["project"]["mergeRequest"]
    shas = {name: {node["sha"] for node in found[name]["nodes"]} for name in found}
    assert shas["commits"] - shas["commitsWithoutMergeCommits"] == {merge.sha}


def test_a_query_above_the_limit_is_refused_with_200(gitlab: Api) -> None:
    """1 a field, and for a connection its fields times first / 100; the query can ask what it costs."""
    path = gitlab.path(busiest(gitlab))
    one = 'p%d: project(fullPath: "%s") { id pipelines(first: 50) { nodes { id iid status ref } } }'
    answer = gitlab.graphql("{ queryComplexity { score limit } " + one % (1, path) + "}")
    # 3 for the question; 1 each for project, id and pipelines; then half of nodes and its four fields, rounded up
    assert answer["data"]["queryComplexity"] == {"score": 3 + 3 + 3, "limit": 250}
    fits = "{" + " ".join(one % (n, path) for n in range(41)) + "}"
    assert "errors" not in gitlab.graphql(fits)
    refused = gitlab.graphql("{" + " ".join(one % (n, path) for n in range(42)) + "}")
    assert refused == {"errors": [{"message": "Query has complexity of 252, which exceeds max complexity of 250"}]}


def test_complexity_may_be_counted_as_gitlabs_code_does(gitlab: Api) -> None:
    """(1 + fields) * (1 + first / 100): a client that counts by itself is wrong somewhere; the score tells."""
    gitlab.site.adjust(graphql_counting="gitlab")
    path = gitlab.path(busiest(gitlab))
    scores = [gitlab.graphql(SCORE, p=path, n=n)["data"]["queryComplexity"]["score"] for n in (50, 100)]
    assert scores == [2 + 1 + 4, 2 + 1 + 6]  # the connection: (1 + 2) * 1.5, cut, and (1 + 2) * 2


def test_first_may_come_from_a_variable_and_is_100_by_default(gitlab: Api) -> None:
    """What is counted is what is asked; more than 100 nodes are neither counted nor given."""
    path = gitlab.path(busiest(gitlab))
    scores = [gitlab.graphql(SCORE, p=path, n=n)["data"]["queryComplexity"]["score"] for n in (10, 100, 500, None)]
    assert scores == [5, 6, 6, 6]


def test_an_array_of_queries_keeps_the_limit_together(gitlab: Api) -> None:
    """Several queries in one request, several answers; too much in sum, and none is answered."""
    path = gitlab.path(busiest(gitlab))
    query = {"query": PLAIN, "variables": {"p": path}}

    def send(count: int) -> list[dict[str, Any]]:
        return list(gitlab.session.post(f"{gitlab.url}/api/graphql", json=[query] * count, timeout=10).json())

    assert [answer["data"]["project"]["pipelines"]["nodes"] != [] for answer in send(2)] == [True, True]
    assert all("exceeds max complexity" in answer["errors"][0]["message"] for answer in send(36))


def test_a_long_query_is_refused(gitlab: Api) -> None:
    """10,000 characters; variables do not count."""
    assert gitlab.graphql("{ currentUser { id } }" + " " * 9_978)["data"]["currentUser"]
    assert gitlab.graphql("{ currentUser { id } }" + " " * 9_979) == {"errors": [{"message": "Query too large"}]}


def test_an_older_instance_lacks_fields(gitlab: Api) -> None:
    """Found by introspection, or by the error."""
    gitlab.site.adjust(graphql_missing={"Pipeline.source", "Commit.committedDate"})
    answer = gitlab.graphql(PIPELINES, path="any")
    assert answer["errors"][0]["message"] == "Field 'source' doesn't exist on type 'Pipeline'"
    fields = gitlab.graphql('{ __type(name: "Pipeline") { fields { name } } }')["data"]["__type"]["fields"]
    assert "source" not in {field["name"] for field in fields}
    with pytest.raises(ValueError, match=r"Pipeline\.sauce"):
        gitlab.site.adjust(graphql_missing={"Pipeline.sauce"})


def test_introspection_tells_fields_and_arguments(gitlab: Api) -> None:
    """The standard query is answered whatever it costs."""
    schema = gitlab.graphql(get_introspection_query())["data"]["__schema"]
    project = next(kind for kind in schema["types"] if kind["name"] == "Project")
    arguments = next(field["args"] for field in project["fields"] if field["name"] == "pipelines")
    assert {"updatedAfter", "source", "first", "after"} <= {argument["name"] for argument in arguments}
    assert "sort" not in {argument["name"] for argument in arguments}
    wrong = gitlab.graphql('{ project(fullPath: "a/b") { pipelines(sort: 1) { nodes { id } } } }')
    assert wrong["errors"][0]["message"] == "Field 'pipelines' doesn't accept argument 'sort'"


def test_graphql_may_be_absent_or_refused(gitlab: Api) -> None:
    """Then REST has to do; a bad token is 401, and so is one whose scope is not enough."""
    gitlab.site.tokens["git"] = Token(value="git", user_id=gitlab.site.edits.owner_id, scopes=("read_repository",))

    def ask(token: str) -> requests.Response:
        headers, query = {"Authorization": f"Bearer {token}"}, {"query": "{ __typename }"}
        return requests.post(f"{gitlab.url}/api/graphql", json=query, headers=headers, timeout=10)

    for token in ("wrong", "git"):
        assert (ask(token).status_code, ask(token).json()) == (401, {"errors": [{"message": "Invalid token"}]})
    for quirk, status in (("absent", 404), ("refused", 403), ("on", 200)):
        gitlab.site.adjust(graphql=quirk)
        assert ask(gitlab.site.token).status_code == status


def test_what_may_not_be_seen_is_null_or_empty_without_an_error(gitlab: Api) -> None:
    """A hidden project: null, and not among `projects`; CI switched off: no pipelines. Both look like nothing."""
    hidden, off = gitlab.usable()[:2]
    gitlab.site.edits.hide_project(hidden.id)
    gitlab.site.edits.switch_feature(off.id, "jobs", is_on=False)
    ids = [f"gid://gitlab/Project/{project.id}" for project in (hidden, off)]
    nothing = {"id": ids[1], "pipelines": {"nodes": []}}
    assert gitlab.graphql(BY_ID, i=ids) == {"data": {"projects": {"nodes": [nothing]}}}
    assert gitlab.graphql(PIPELINES, path=gitlab.path(hidden)) == {"data": {"project": None}}


def test_without_a_token_nobody_is_there(gitlab: Api) -> None:
    """200, and null where the user would be; only public projects."""
    query = {"query": "{ currentUser { id } metadata { version } projects { count } queryComplexity { limit } }"}
    data = requests.post(f"{gitlab.url}/api/graphql", json=query, timeout=10).json()["data"]
    public = sum(project.visibility == "public" for project in gitlab.site.store.projects.values())
    assert (data["currentUser"], data["metadata"]) == (None, None)
    assert (data["projects"]["count"], data["queryComplexity"]["limit"]) == (public, 200)


def test_groups_reach_into_subgroups_when_asked(gitlab: Api) -> None:
    """A group's merge requests by update, as REST has them."""
    query = """query($s: Boolean) { group(fullPath: "platform") { projects(includeSubgroups: $s, first: 100) { count }
      mergeRequests(includeSubgroups: true, first: 100) { nodes { iid } } } }"""
    few, all_of_them = (gitlab.graphql(query, s=flag)["data"]["group"] for flag in (False, True))
    assert 0 < few["projects"]["count"] < all_of_them["projects"]["count"]
    rest = gitlab.all("/groups/platform/merge_requests", non_archived="false")
    assert len(all_of_them["mergeRequests"]["nodes"]) == len(rest)
