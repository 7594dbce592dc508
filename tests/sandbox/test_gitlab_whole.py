"""The sandbox's GitLab as a whole: the API tells the truth, also after edits; other people's client; scenarios."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gitlab as python_gitlab
import pytest
import requests

from syncer.sandbox import Clock, GitLabSite, Sandbox
from syncer.sandbox.gitlab.busy import Hour
from tests.sandbox.gitlab_client import START, Api, serve, small_site

STREAMS = (
    "projects",
    "issues",
    "merge_requests",
    "merge_request_commits",
    "pipelines",
    "commits",
    "branches",
    "branch_commits",
    "tags",
)


@pytest.fixture
def gitlab() -> Iterator[Api]:
    """A small GitLab of this test's own."""
    clock = Clock(START)
    with serve(small_site(clock), clock) as api:
        yield api


def read_all(api: Api) -> dict[str, dict[tuple[Any, ...], Any]]:
    """Read every stream over REST, project by project, the slow and certain way."""
    found: dict[str, dict[tuple[Any, ...], Any]] = {stream: {} for stream in STREAMS}
    for project in api.all("/projects", pagination="keyset", order_by="id", sort="asc"):
        key, path = project["id"], f"/projects/{project['id']}"
        found["projects"][(key,)] = project
        found["issues"] |= {(row["id"],): row for row in api.all(f"{path}/issues")}
        if project["merge_requests_enabled"]:
            for row in api.all(f"{path}/merge_requests"):
                found["merge_requests"][(row["id"],)] = row | settled(row)
                commits = api.all(f"{path}/merge_requests/{row['iid']}/commits")
                found["merge_request_commits"] |= {(row["id"], commit["id"]): commit for commit in commits}
        if project["jobs_enabled"]:
            for source in ({}, {"source": "parent_pipeline"}):
                found["pipelines"] |= {(row["id"],): row for row in api.all(f"{path}/pipelines", **source)}
        if project["repository_access_level"] == "enabled" and not project["empty_repo"]:
            read_repository(api, key, found)
    return found


def settled(row: dict[str, Any]) -> dict[str, str]:
    """Return a merge request's status as it ends up; lists show it on its way."""
    status = "cannot_be_merged" if row["has_conflicts"] else "can_be_merged"
    if row["state"] != "opened":
        return {"merge_status": status}
    detailed = "draft_status" if row["draft"] else "conflict" if row["has_conflicts"] else "mergeable"
    return {"merge_status": status, "detailed_merge_status": detailed}


def read_repository(api: Api, key: int, found: dict[str, dict[tuple[Any, ...], Any]]) -> None:
    path = f"/projects/{key}/repository"
    found["tags"] |= {(key, row["name"]): row for row in api.all(f"{path}/tags")}
    for branch in api.all(f"{path}/branches", pagination="keyset"):
        name = branch["name"]
        found["branches"][(key, name)] = branch
        for row in api.all(f"{path}/commits", ref_name=name):
            found["commits"][(key, row["id"])] = row
            found["branch_commits"][(key, name, row["id"])] = {"project_id": key, "branch": name, "sha": row["id"]}


def test_the_api_tells_the_truth_before_and_after_edits(gitlab: Api) -> None:
    """Every record of every stream, whole; 400 edits of all kinds leave nothing inconsistent."""
    for edits in (0, 400):
        said = gitlab.site.edit(edits, seed=8)
        found = read_all(gitlab)
        for stream in STREAMS:
            assert found[stream] == gitlab.site.truth(stream), (stream, said)


def test_edits_are_of_all_kinds(gitlab: Api) -> None:
    """Created, changed, deleted, moved, pushed, forced, merged, run: a few hundred edits meet each."""
    said = " ".join(gitlab.site.edit(600, seed=2))
    for kind in ("created", "changed", "commented", "deleted", "moved", "closed", "reopened", "new head", "merged"):
        assert kind in said
    for kind in ("pushed by", "pushed by force", " of 20", "tag v", "pipeline", "renamed"):
        assert kind in said


def test_the_same_seed_gives_the_same_answers() -> None:
    """Data, edits, ties and passing states hang on the seed and on the requests alone."""

    def talk() -> list[bytes]:
        clock = Clock(START, is_frozen=True)
        site = small_site(clock)
        with Sandbox(sites=[site], clock=clock) as sandbox:
            site.edit(80, seed=1)
            project = max(site.store.projects, key=lambda key: len(site.store.pipelines_of[key]))
            paths = ("merge_requests", f"projects/{project}/pipelines?order_by=status", "projects?per_page=100")
            headers = {"PRIVATE-TOKEN": site.token}
            base = sandbox.url("gitlab")
            bodies = [requests.get(f"{base}/api/v4/{path}", headers=headers, timeout=10).content for path in paths]
            return [body.replace(base.encode(), b"") for body in bodies]

    assert talk() == talk()
    assert small_site(Clock(START)).truth("issues") != GitLabSite.generate(seed=9, clock=Clock(START)).truth("issues")


def test_the_texts_are_awkward(gitlab: Api) -> None:
    """Nulls, empty texts, braces, per cent, several scripts, emoji of four bytes, Windows line ends, long texts."""
    issues = gitlab.site.truth("issues").values()
    texts = [issue["description"] for issue in issues]
    joined = " ".join(text or "" for text in texts) + " ".join(issue["title"] for issue in issues)
    assert None in texts and "" in texts and max(len(text or "") for text in texts) > 1_000
    for piece in ("{{", "%", "日本語", "кириллице", "خطأ", "\r\n", "🚪", "'", '"', "\\", "<b>"):
        assert piece in joined


def test_python_gitlab_reads_it(gitlab: Api) -> None:
    """A client that others wrote understands every list."""
    client = python_gitlab.Gitlab(gitlab.url, private_token=gitlab.site.token)
    client.auth()
    assert client.user is not None and client.user.id == gitlab.site.edits.owner_id
    truth = {stream: gitlab.site.truth(stream) for stream in STREAMS}
    projects = list(client.projects.list(iterator=True, pagination="keyset", order_by="id", per_page=6))
    assert {(project.id,) for project in projects} == set(truth["projects"])
    issues = client.issues.list(iterator=True, scope="all", non_archived=False, per_page=50)
    assert {(issue.id,) for issue in issues} == set(truth["issues"])
    merge_requests = list(client.mergerequests.list(iterator=True, scope="all"))
    assert {(row.id,) for row in merge_requests} == set(truth["merge_requests"])
    project = client.projects.get(gitlab.encoded(gitlab.usable()[0]).replace("%2F", "/"))
    branches = project.branches.list(iterator=True, pagination="keyset", per_page=3)
    assert {branch.name for branch in branches} == {name for key, name in truth["branches"] if key == project.id}
    tags = project.tags.list(get_all=True)
    assert {tag.name for tag in tags} == {name for key, name in truth["tags"] if key == project.id}
    commits = project.commits.list(iterator=True, query_parameters={"all": True}, per_page=40)
    assert {commit.id for commit in commits} == {sha for key, sha in truth["commits"] if key == project.id}
    rows = project.pipelines.list(get_all=True) + project.pipelines.list(get_all=True, source="parent_pipeline")
    assert len(rows) == len(gitlab.site.store.pipelines_of[project.id])


def test_python_gitlab_reads_single_records_and_graphql(gitlab: Api) -> None:
    """Its errors and redirects are those of the real one."""
    client = python_gitlab.Gitlab(gitlab.url, private_token=gitlab.site.token)
    row = gitlab.open_merge_request()
    project = client.projects.get(row.project_id)
    assert next(project.mergerequests.get(row.iid).commits()).id == row.sha
    assert project.commits.get(row.sha or "").stats["total"] >= 0
    assert client.groups.get("platform").subgroups.list()[0].full_path.startswith("platform/")
    old = gitlab.path(gitlab.site.store.projects[row.project_id])
    gitlab.site.edits.rename_project(row.project_id, "moved-away")
    assert client.projects.get(old).id == row.project_id
    answer = client.http_post(f"{gitlab.url}/api/graphql", post_data={"query": "{ metadata { version } }"})
    assert isinstance(answer, dict) and answer["data"]["metadata"]["version"] == client.version()[0]
    with pytest.raises(python_gitlab.GitlabGetError, match="404"):
        client.projects.get(1)
    with pytest.raises(python_gitlab.GitlabAuthenticationError):
        python_gitlab.Gitlab(gitlab.url, private_token="wrong").auth()


def test_a_large_site_and_its_busy_hour() -> None:
    """500 projects, 3,000 branches, in a few seconds; then as much changes as an incremental run is measured with."""
    started = time.monotonic()
    clock = Clock(START, is_frozen=True)
    site = GitLabSite.large(seed=1, clock=clock)
    assert time.monotonic() - started < 20
    assert (len(site.truth("projects")), len(site.truth("branches"))) == (500, 3_000)
    before = heads(site)
    happened = site.busy_hour()
    assert abs((clock.now() - START).total_seconds() - 3600) < 1
    for name, count in (("issues", 200), ("merge_requests", 150), ("pipelines", 300)):
        changed = touched(getattr(site.store, name).values())
        assert changed == set(getattr(happened, name)) and len(changed) == count
    moved = {pair for pair, head in heads(site).items() if before[pair] != head}
    assert moved == set(happened.branches) | {
        (site.store.merge_requests[key].project_id, site.store.merge_requests[key].source_branch)
        for key in happened.new_heads
    }
    assert (len(happened.branches), len(happened.new_heads), len(happened.projects)) == (40, 60, 30)
    assert {key for key, _ in moved} <= set(happened.projects)


def touched(rows: Any) -> set[int]:
    return {row.id for row in rows if row.updated_at is not None and row.updated_at > START}


def heads(site: GitLabSite) -> dict[tuple[int, str], str]:
    repositories = site.store.repositories
    return {(key, name): sha for key, one in repositories.items() for name, sha in one.branches.items()}


def test_heads_may_come_from_forks(gitlab: Api) -> None:
    """Then a merge request has a new head, and no branch that the token sees has moved."""
    before = heads(gitlab.site)
    hour = Hour(projects=8, issues=5, merge_requests=6, new_heads=4, heads_in_forks=4, branches=2, pipelines=8)
    happened = gitlab.site.busy_hour(hour=hour)
    after = heads(gitlab.site)
    assert {pair for pair in after if after[pair] != before[pair]} == set(happened.branches)
    row = gitlab.site.store.merge_requests[happened.new_heads[0]]
    listed = gitlab.rows(f"/projects/{row.project_id}/merge_requests", iids=row.iid)[0]
    assert listed["sha"] == row.sha and listed["source_project_id"] != row.project_id


def test_a_site_that_is_too_small_says_so(gitlab: Api) -> None:
    """Not fewer changes than were asked for."""
    with pytest.raises(ValueError, match="a busy hour needs 30 projects"):
        gitlab.site.busy_hour()
