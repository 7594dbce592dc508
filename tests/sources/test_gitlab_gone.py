"""GitLab as a source: what went out of sight, was half read, or was kept back, and what must not be taken for that."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import reading
from syncer.sandbox import Clock, Fault, GitLabSite
from syncer.sandbox.gitlab import rest_git, rest_projects
from syncer.sandbox.gitlab.pages import offset_page
from syncer.sandbox.gitlab.rows import Project
from syncer.sources.gitlab import walks
from syncer.transport import Rules
from tests.sources.gitlab_world import (
    GIT,
    NOT_GIT,
    SMALL,
    START,
    STREAMS,
    Stopped,
    World,
    a_branch,
    with_branches,
    world,
)


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[World]:
    """A small GitLab and an empty warehouse."""
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once, not after seconds."""
    monkeypatch.setattr("syncer.sources.gitlab.api.Rules", functools.partial(Rules, first_wait_s=0.001))


def a_site(**sizes: int) -> GitLabSite:
    """A GitLab with nothing hidden."""
    return GitLabSite.generate(seed=3, clock=Clock(START), **{**SMALL, "hidden": 0, **sizes})


def root_of(it: World, project: Project) -> str:
    """The path of the topmost group of a project."""
    group = it.site.store.groups[project.namespace_id]
    while group.parent_id is not None:
        group = it.site.store.groups[group.parent_id]
    return group.full_path


def edit_in(it: World, project: Project) -> None:
    """Change an issue and a merge request of a project."""
    it.site.edits.edit_issue(next(iter(it.site.store.issues_of[project.id].values())).id, title="while nobody looked")
    it.site.edits.edit_merge_request(next(iter(it.site.store.merge_requests_of[project.id].values())).id, title="too")


# A proxy takes the Link header away


@pytest.mark.parametrize("full", [True, False])
def test_a_full_page_of_projects_without_a_next_one_is_an_end_only_where_nothing_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """100 of 230 projects would be a short success; 100 of 100 are all of them."""
    monkeypatch.setattr(rest_projects, "keyset_headers", lambda *_, **__: {})
    with world(tmp_path, site=a_site(projects=100 if full else 130)) as gitlab:
        pulled = gitlab.pull("gitlab.projects")["projects"]
        if full:
            assert gitlab.differences("projects") == []
        else:
            assert pulled.status == "failed" and "Link header" in str(pulled.error)


def test_a_list_of_branches_or_a_walk_without_links_ends_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first page of 130 branches is not all of them: a reject names the project; a list of 100 has no doubt."""
    site = a_site(projects=1)
    project = next(iter(site.store.projects))
    for number in range(100 - len(site.store.repositories[project].branches)):
        site.git.create_branch(project, f"topic/{number:03}")
    for number in range(110):
        site.git.create_tag(project, f"v{number:03}")
    site.git.push(project, site.store.repositories[project].default_branch, count=120)
    with world(tmp_path, site=site) as gitlab:
        gitlab.pull(GIT)
        monkeypatch.setattr(rest_git, "keyset_headers", lambda *_, **__: {})
        gitlab.later(hours=25)
        pulled = gitlab.pull(GIT)
        assert {name: one.exit_code for name, one in pulled.items()} == {
            "commits": 0, "branches": 0, "branch_commits": 0, "tags": 3
        }  # fmt: skip
        site.git.create_branch(project, "zz/one-more")
        gitlab.later(hours=25)
        assert {one.exit_code for one in gitlab.pull(GIT).values()} == {3}
        assert (
            "Link header" in gitlab.query("SELECT reason FROM syncer.rejects WHERE mapping = 'gitlab.commits'")[0][0]
        )
        assert gitlab.all_differences(but=NOT_GIT) == [f"branches ({project}, 'zz/one-more') is missing"] + [
            each for each in gitlab.differences("branch_commits") if "zz/one-more" in each
        ]


def test_a_walk_over_commits_needs_a_word_of_its_next_page(tmp_path: Path) -> None:
    """`X-Next-Page` is one, where a proxy takes only Link away; without both the walk is not taken for whole."""
    site = a_site(projects=1)
    project = next(iter(site.store.projects))
    site.git.push(project, site.store.repositories[project].default_branch, count=120)
    with world(tmp_path, site=site) as gitlab:

        def stripped(*args: Any, but: str, **more: Any) -> Any:
            page = offset_page(*args, **more)
            kept = {name: value for name, value in page.headers.items() if name == but}
            return attrs.evolve(page, headers=kept)

        for but, code in (("X-Total", 3), ("X-Next-Page", 0)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("syncer.sandbox.gitlab.call.offset_page", functools.partial(stripped, but=but))
                patch.setattr(rest_git, "offset_page", functools.partial(stripped, but=but))
                assert gitlab.pull(["gitlab.commits"])["commits"].exit_code == code
        assert gitlab.differences("commits") == []


# A first load that was broken off


@pytest.mark.parametrize("what", ["rename", "delete", "force"])
def test_a_branch_that_was_half_written_and_is_another_one_now_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What the walk had met of it would pass for live until a census."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 20)
    monkeypatch.setattr(walks, "SHAS_A_PAGE", 20)
    site = a_site(projects=1, commits=300, branches=2)
    project = next(iter(site.store.projects))
    repository = site.store.repositories[project]
    site.git.create_branch(project, "dev", count=250)
    half = repository.default_branch if what == "rename" else "dev"
    with world(tmp_path, site=site, workers=1) as gitlab:
        for stop_after in range(2, 60):
            with pytest.raises(Stopped):
                gitlab.pull("gitlab.branch_commits", stop_after=stop_after)
            written = sum(key[1] == half for key in gitlab.rows("branch_commits"))
            if 0 < written < len(repository.reachable([repository.branches[half]])):
                break
        if what == "rename":
            repository.branches["trunk"] = repository.branches.pop(half)
            repository.default_branch = "trunk"
            site.store.changed()
        elif what == "delete":
            site.git.delete_branch(project, "dev")
        else:
            site.git.force_push(project, "dev", back=200, count=2)
        gitlab.pull("gitlab.branch_commits")
        assert gitlab.differences("branch_commits") == []


# Projects that go and come back


def test_a_full_pull_knows_every_scope_again(gitlab: World) -> None:
    """What it does not write is forgotten: also a project with nothing in it must have one."""
    gitlab.site.edits.create_project(with_branches(gitlab).namespace_id, "Empty", with_repository=False)
    gitlab.pull()
    scopes = "SELECT mapping, scope FROM syncer.marks ORDER BY ALL"
    before = gitlab.query(scopes)
    gitlab.pull(mode="full")
    assert gitlab.query(scopes) == before


@pytest.mark.parametrize("mode", ["full", "census"])
def test_a_project_that_was_hidden_in_a_full_pull_or_a_census_is_read_whole_when_it_is_back(
    gitlab: World, mode: str
) -> None:
    """A census ends its rows, and nothing in it moves when it comes back."""
    project = with_branches(gitlab)
    gitlab.pull()
    gitlab.later(hours=2)
    gitlab.site.edits.hide_project(project.id)
    gitlab.pull(mode=mode, is_forced=mode == "census")
    edit_in(gitlab, project)
    gitlab.later(minutes=20)
    gitlab.site.edits.show_project(project.id)
    gitlab.pull()
    assert gitlab.all_differences(but=["commits"]) == []


def test_a_failing_group_does_not_hide_what_was_hidden_in_another(gitlab: World) -> None:
    """Each known project that no list has is asked for: only a 404 tells that it went out of sight."""
    project = with_branches(gitlab)
    groups = [root_of(gitlab, project), "no/such"]
    gitlab.pull(groups=groups)
    gitlab.later(hours=2)
    gitlab.site.edits.hide_project(project.id)
    edit_in(gitlab, project)
    gitlab.later(hours=1)
    gitlab.pull(groups=groups)
    gitlab.later(hours=1)
    gitlab.site.edits.show_project(project.id)
    gitlab.pull(groups=groups)
    left = [each for stream in ("issues", "merge_requests") for each in gitlab.differences(stream)]
    assert not [each for each in left if not each.endswith("is missing")]


def test_a_project_that_left_the_groups_is_gone_with_its_branches_and_tags(gitlab: World) -> None:
    """It is readable still, but nobody asked for it."""
    project = with_branches(gitlab)
    groups = [root_of(gitlab, project)]
    gitlab.site.git.create_tag(project.id, "v1")
    gitlab.pull(groups=groups)
    inside = gitlab.site.store.subgroup_ids(
        next(group.id for group in gitlab.site.store.groups.values() if group.full_path == groups[0])
    )
    other = next(g for g in gitlab.site.store.groups.values() if g.kind == "group" and g.id not in inside)
    gitlab.site.edits.transfer_project(project.id, other.id)
    gitlab.pull(groups=groups, mode="census", is_forced=True)
    for stream in STREAMS:
        ids = {key[0] if stream == "projects" else row["project_id"] for key, row in gitlab.rows(stream).items()}
        assert project.id not in ids or stream == "commits", stream


def test_an_account_that_sees_nothing_any_more_is_an_error_and_ends_nothing(tmp_path: Path) -> None:
    """Eight projects are too few for the brake; when they are back, what changed meanwhile comes."""
    with world(tmp_path, site=a_site(projects=8)) as gitlab:
        gitlab.pull()
        projects = list(gitlab.site.store.visible_projects(gitlab.site.store.users[gitlab.site.edits.owner_id]))
        for project in projects:
            gitlab.site.edits.hide_project(project)
        for stream_id in list(gitlab.site.store.issues)[:5]:
            gitlab.site.edits.edit_issue(stream_id, title="unseen")
        gitlab.later(hours=2)
        for mode in ("incremental", "census"):
            pulled = gitlab.pull(mode=mode)
            assert {(one.status, one.gone) for one in pulled.values()} == {("failed", 0)}
            assert "no project at all" in str(pulled["issues"].error)
        for project in projects:
            gitlab.site.edits.show_project(project)
        gitlab.pull()
        assert gitlab.all_differences() == []


# Branches that go and come back


@pytest.mark.parametrize("what", ["deleted", "forced"])
def test_a_branch_that_is_back_at_its_old_head_after_a_census_has_its_rows_again(gitlab: World, what: str) -> None:
    """The census left it as it found it; the head is the one that the place knew."""
    project = with_branches(gitlab)
    branch = a_branch(gitlab, project)
    gitlab.site.git.push(project.id, branch, count=3)
    gitlab.pull(GIT)
    repository = gitlab.site.store.repositories[project.id]
    head = repository.branches[branch]
    gitlab.later(hours=2)
    if what == "deleted":
        gitlab.site.git.delete_branch(project.id, branch)
    else:
        gitlab.site.git.force_push(project.id, branch, back=2, count=1)
    gitlab.pull(GIT, mode="census", is_forced=True)
    if what == "deleted":
        gitlab.site.git.create_branch(project.id, branch, ref=head)
    else:
        repository.branches[branch] = head
        gitlab.site.store.changed()
    gitlab.later(minutes=10)
    gitlab.pull(GIT)
    assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []


def test_a_deleted_branch_whose_rows_the_brake_kept_is_told_by_each_pull(tmp_path: Path) -> None:
    """It has over 30 % of all rows: none ends until somebody has looked, and no pull says that all is well."""
    site = a_site(projects=1, commits=120, branches=3)
    project = next(iter(site.store.projects))
    with world(tmp_path, site=site) as gitlab:
        gitlab.pull(GIT)
        site.git.delete_branch(project, a_branch(gitlab, site.store.projects[project]))
        for hours in (2, 1, 25):
            gitlab.later(hours=hours)
            assert gitlab.pull("gitlab.branch_commits")["branch_commits"].exit_code == 3
        gitlab.pull("gitlab.branch_commits", mode="census", is_forced=True)
        assert gitlab.pull("gitlab.branch_commits")["branch_commits"].exit_code == 0
        assert gitlab.differences("branch_commits") == []


# Projects that fail


@pytest.mark.parametrize("status", [403, 404])
def test_a_census_keeps_the_pipelines_of_a_project_that_fails_behind_its_first_page(
    tmp_path: Path, status: int
) -> None:
    """It was read when its last page came, not when the first one did."""
    site = a_site(projects=3, pipelines=40)
    project = with_branches_of(site)
    for _ in range(150):
        site.edits.run_pipeline(project)
    with world(tmp_path, site=site, graphql="off") as gitlab:
        gitlab.pull("gitlab.pipelines")
        gitlab.sandbox.faults.add(
            Fault(kind="status", status=status, match=rf"/projects/{project}/pipelines\?.*page=[2-9]", times=None)
        )
        site.edits.delete_pipeline(next(key for key, row in site.store.pipelines.items() if row.project_id != project))
        census = gitlab.pull("gitlab.pipelines", mode="census")["pipelines"]
        assert (census.status, census.rejected, census.gone) == ("done", 1, 1)
        assert gitlab.differences("pipelines") == []


def with_branches_of(site: GitLabSite) -> int:
    """The id of a project with pipelines and a repository."""
    return next(
        project.id
        for project in site.store.projects.values()
        if project.jobs_on and project.id in site.store.repositories
    )


@pytest.mark.usefixtures("in_haste")
def test_a_broken_repository_fails_alone_and_many_are_the_api(tmp_path: Path) -> None:
    """503 for days (Gitaly): the other projects go on, and its place stays; the fourth in a row is no project's."""
    with world(tmp_path, workers=1) as gitlab:
        gitlab.pull(GIT)
        store = gitlab.site.store
        projects = [
            project.id
            for project in store.visible_projects(store.users[gitlab.site.edits.owner_id]).values()
            if project.repository_on and project.id in store.repositories
        ]
        gitlab.later(hours=2)
        for project in projects:
            gitlab.site.git.create_tag(project, "new")
        gitlab.sandbox.faults.add(
            Fault(kind="status", status=503, match=f"/projects/{projects[1]}/repository/", times=None)
        )
        pulled = gitlab.pull(GIT)
        assert {(one.status, one.exit_code) for one in pulled.values()} == {("done", 3)}
        assert gitlab.differences("tags") == [f"tags ({projects[1]}, 'new') is missing"]
        gitlab.sandbox.faults.clear()
        gitlab.pull(GIT)
        assert gitlab.all_differences(but=NOT_GIT) == []
        gitlab.later(hours=25)
        gitlab.sandbox.faults.add(Fault(kind="status", status=503, match="/repository/", times=None))
        assert {one.status for one in gitlab.pull(GIT).values()} == {"failed"}


def test_projects_that_swap_their_paths_keep_their_own_merge_requests(gitlab: World) -> None:
    """GraphQL finds a merge request by path: one that is another project's by now is asked by REST."""
    store, edits = gitlab.site.store, gitlab.site.edits
    visible = store.visible_projects(store.users[edits.owner_id]).values()
    with_some = [project for project in visible if store.merge_requests_of[project.id] and project.repository_on]
    one, other = with_some[:2]
    if other.namespace_id != one.namespace_id:
        edits.transfer_project(other.id, one.namespace_id)
    swapped: list[str] = []

    def swap(site: Any, request: Any) -> None:
        is_asked = "graphql" in request.path and b"mergeRequests" in request.body and b"__type" not in request.body
        if is_asked and not swapped:
            swapped.append(other.path)
            path = one.path
            edits.rename_project(one.id, "on-the-way")
            edits.rename_project(other.id, path)
            edits.rename_project(one.id, swapped[0])

    gitlab.sandbox.before_request.append(swap)
    gitlab.pull(["gitlab.merge_requests", "gitlab.merge_request_commits"])
    gitlab.sandbox.before_request.clear()
    assert swapped
    assert [each for each in gitlab.differences("merge_request_commits") if "web_url" not in each] == []
