"""GitLab as a source, over real sockets: commits, branches, tags, and the pipelines that run on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncer import reading, sources
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.mapping import Field
from syncer.mappings.gitlab import MAPPINGS
from syncer.sandbox import Clock, GitLabSite
from syncer.sources import Place, Record
from syncer.transport import Doors
from tests.sources.gitlab_world import GIT, NOT_GIT, SMALL, START, Stopped, World, a_branch, with_branches, world


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[World]:
    """A small GitLab and an empty warehouse."""
    with world(tmp_path) as made:
        yield made


def one_project(**sizes: int) -> GitLabSite:
    """A GitLab with one project."""
    return GitLabSite.generate(seed=3, clock=Clock(START), **{**SMALL, "projects": 1, "hidden": 0, **sizes})


def test_a_force_push_takes_commits_off_the_branch_and_keeps_them(gitlab: World) -> None:
    """What left is deleted from `branch_commits`; `commits` keeps what no branch reaches any more."""
    project = with_branches(gitlab)
    branch = a_branch(gitlab, project)
    gitlab.site.git.push(project.id, branch, count=3)
    gitlab.pull(GIT)
    old = gitlab.site.store.repositories[project.id].branches[branch]
    gitlab.later(hours=2)
    gitlab.site.git.force_push(project.id, branch, back=2, count=1)
    pulled = gitlab.pull(GIT)
    assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []
    assert pulled["branch_commits"].gone == 2
    assert (project.id, branch, old) in gitlab.rows("branch_commits", state="deleted")
    assert (project.id, old) in gitlab.rows("commits")


DETAILS = (Field("title", path="commit.title"), Field("created_at", path="commit.created_at"))


def test_details_of_a_branchs_commits_cost_no_request(gitlab: World) -> None:
    """The walks bring them, however a branch is read; they stand in a row only where a field asks for them."""
    project, clock = with_branches(gitlab), SystemClock()
    branch = a_branch(gitlab, project)
    doors = Doors(clock=clock, budget=Budget(gitlab.folder / "cache", clock=clock))

    def read(places: dict[str, Place], fields: Sequence[Field]) -> tuple[list[Record], int]:
        source = sources.connect(gitlab.settings().account("gitlab"), doors=doors, streams=["branch_commits"])
        found: list[Record] = []
        for page in source.read("branch_commits", places=dict(places), lookback=dt.timedelta(0), fields=fields):
            found += page.records
            places.update({page.scope: page.place} if page.place is not None else {})
        source.close()
        return found, source.requests

    with_details: dict[str, Place] = {}
    without: dict[str, Place] = {}
    told, asked = read(with_details, DETAILS)
    assert read(without, ()) == (plain(told), asked)
    gitlab.later(hours=2)
    gitlab.site.git.push(project.id, branch, count=2)
    gitlab.site.git.create_branch(project.id, "new", ref=branch)
    more, asked = read(with_details, DETAILS)
    assert read(without, ()) == (plain(more), asked)
    repositories = gitlab.site.store.repositories.values()
    titles = {commit.sha: commit.title for repository in repositories for commit in repository.commits.values()}
    assert {record["branch"] for record in more} == {branch, "new"} and len(told) > 100
    assert all(record["commit"]["title"] == titles[record["sha"]] for record in [*told, *more])


def plain(records: Sequence[Record]) -> list[Record]:
    """The same rows without details."""
    return [{name: value for name, value in record.items() if name != "commit"} for record in records]


def test_commits_of_branches_are_fetched_with_their_details(gitlab: World) -> None:
    """Who fetches some keys asked for no fields; what is compared with them may hold details."""
    project, clock = with_branches(gitlab), SystemClock()
    repository = gitlab.site.store.repositories[project.id]
    branch = a_branch(gitlab, project)
    head = repository.commits[repository.branches[branch]]
    doors = Doors(clock=clock, budget=Budget(gitlab.folder / "cache", clock=clock))
    source = sources.connect(gitlab.settings().account("gitlab"), doors=doors, streams=["branch_commits"])
    pages = list(source.fetch("branch_commits", [(project.id, branch, head.sha)]))
    source.close()
    assert [record["commit"]["title"] for page in pages for record in page.records] == [head.title]


def test_a_head_whose_old_commit_was_collected_is_walked_whole(gitlab: World) -> None:
    """The range from a sha that is gone is 404: the branch is written anew, and nothing is left over."""
    project = with_branches(gitlab)
    branch = a_branch(gitlab, project)
    gitlab.site.git.push(project.id, branch, count=3)
    gitlab.pull(GIT)
    gitlab.later(hours=2)
    gitlab.site.git.force_push(project.id, branch, back=3, count=2)
    assert gitlab.site.git.garbage_collect(project.id) > 0
    gitlab.pull(GIT)
    assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []
    assert not gitlab.truth("commits").keys() - gitlab.rows("commits").keys()


def test_a_branch_that_went_is_deleted_with_its_commits_and_one_that_came_is_whole(gitlab: World) -> None:
    """The list of branches is complete, so absence is deletion, not `gone`."""
    project = with_branches(gitlab)
    branch = a_branch(gitlab, project)
    gitlab.pull(GIT)
    gitlab.later(hours=2)
    gitlab.site.git.delete_branch(project.id, branch)
    gitlab.site.git.create_branch(project.id, "feature/new {1}", count=2)
    gitlab.pull(GIT)
    assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []
    assert (project.id, branch) in gitlab.rows("branches", state="deleted")
    assert {key[1] for key in gitlab.rows("branch_commits", state="deleted")} == {branch}


def test_a_push_of_old_commits_is_not_missed(gitlab: World) -> None:
    """Made two years ago, pushed today: no date would tell."""
    project = with_branches(gitlab)
    gitlab.pull(GIT)
    gitlab.later(hours=2)
    pushed = gitlab.site.git.push(project.id, a_branch(gitlab, project), count=2, made=START - dt.timedelta(days=700))
    gitlab.pull(GIT)
    assert {(project.id, commit.sha) for commit in pushed} <= gitlab.rows("commits").keys()


def test_an_empty_repository_is_no_error_and_its_first_push_arrives(gitlab: World) -> None:
    """GitLab answers 404 for a repository that was never pushed to: nothing is asked of it."""
    empty = gitlab.site.edits.create_project(with_branches(gitlab).namespace_id, "Empty", with_repository=False)
    pulled = gitlab.pull(GIT)
    assert sum(one.rejected for one in pulled.values()) == 0
    gitlab.later(hours=2)
    gitlab.site.git.init_repository(empty.id)
    gitlab.pull(GIT)
    assert gitlab.all_differences(but=NOT_GIT) == []


def test_a_project_with_many_branches_is_not_asked_branch_by_branch(tmp_path: Path) -> None:
    """300 branches with a commit of their own: everything is walked at once, and filtered by what branches reach."""
    site = one_project()
    project = next(iter(site.store.projects))
    for number in range(300):
        site.git.create_branch(project, f"topic/{number:03}", count=1)
    site.git.create_branch(project, "lost", count=2)
    site.git.create_tag(project, "only-by-tag", ref="lost")
    site.git.delete_branch(project, "lost")
    with world(tmp_path, site=site) as gitlab:
        gitlab.pull(GIT)
        assert gitlab.all_differences(but=NOT_GIT) == []
        assert gitlab.asked("/repository/commits") < 20


def test_a_page_token_that_vanishes_begins_the_list_anew(tmp_path: Path) -> None:
    """The branch that the next page is named by is deleted between the two: 422, and no branch is lost."""
    site = one_project()
    project = next(iter(site.store.projects))
    for number in range(150):
        site.git.create_branch(project, f"topic/{number:03}")
    with world(tmp_path, site=site) as gitlab:

        def delete(site: Any, request: Any) -> None:
            token = request.first("page_token")
            if token and token in gitlab.site.store.repositories[project].branches and not gone:
                gone.append(token)
                gitlab.site.git.delete_branch(project, token)

        gone: list[str] = []
        gitlab.sandbox.before_request.append(delete)
        pulled = gitlab.pull(["gitlab.branches", "gitlab.branch_commits"])
        assert gone
        assert all(one.rejected == 0 for one in pulled.values())
        assert gitlab.differences("branches") == [] and gitlab.differences("branch_commits") == []


def test_a_long_history_goes_on_from_each_page_and_loses_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new project's branches are one walk over several pages and commits of the warehouse; stopped behind each."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 1)
    site = one_project(commits=20, branches=3)
    project = next(iter(site.store.projects))
    site.git.push(project, site.store.repositories[project].default_branch, count=250)
    for stream in ("commits", "branch_commits"):
        for stop_after in range(2, 7):
            folder = tmp_path / f"{stream} {stop_after}"
            folder.mkdir()
            with world(folder, site=site, workers=1) as gitlab:
                try:
                    gitlab.pull(f"gitlab.{stream}", stop_after=stop_after)
                except Stopped:
                    gitlab.pull(f"gitlab.{stream}")
                assert gitlab.differences(stream) == []
                assert gitlab.rows(stream, state="deleted") == {}


def test_a_first_load_whose_head_was_collected_while_it_stood_still_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a stop and the next run the default branch was forced away, its commits are 404, and a branch went."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 1)
    site = one_project(commits=20, branches=3)
    project = next(iter(site.store.projects))
    default = site.store.repositories[project].default_branch
    site.git.push(project, default, count=250)
    with world(tmp_path, site=site, workers=1) as gitlab:
        for stream in ("commits", "branch_commits"):
            with pytest.raises(Stopped):
                gitlab.pull(f"gitlab.{stream}", stop_after=2)
        site.git.force_push(project, default, back=5, count=1)
        site.git.delete_branch(project, a_branch(gitlab, site.store.projects[project]))
        site.git.garbage_collect(project)
        gitlab.pull(GIT)
        assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []
        assert not gitlab.truth("commits").keys() - gitlab.rows("commits").keys()


def test_a_full_pull_ends_what_went_before_it(gitlab: World) -> None:
    """It knows no heads: a new project's branches are read as one whole, so one that it does not meet ends as well."""
    project = with_branches(gitlab)
    gitlab.pull(GIT)
    gitlab.site.git.delete_branch(project.id, a_branch(gitlab, project))
    gitlab.pull(GIT, mode="full")
    assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []


# Pipelines


def test_children_come_and_pipelines_without_a_time_with_the_daily_sweep(gitlab: World) -> None:
    """An external pipeline without `updated_at` is in no window of updates; children are in no list but their own."""
    project = with_branches(gitlab)
    gitlab.pull("gitlab.pipelines")
    gitlab.later(hours=1)
    child = gitlab.site.edits.run_pipeline(project.id, with_child=True).id + 1
    silent = gitlab.site.edits.run_pipeline(project.id, source="external").id
    gitlab.pull("gitlab.pipelines")
    assert gitlab.rows("pipelines")[max(key for key in gitlab.rows("pipelines"))]["source"] == "parent_pipeline"
    assert (silent,) not in gitlab.rows("pipelines"), child
    gitlab.later(hours=24)
    gitlab.pull("gitlab.pipelines")
    assert gitlab.rows("pipelines")[(silent,)]["updated_at"] is None
    assert gitlab.differences("pipelines") == []


# What is written of it


def test_every_column_is_documented() -> None:
    """A column that nobody explains is a column that somebody misreads."""
    told = (Path(__file__).parents[2] / "docs" / "gitlab.md").read_text(encoding="utf-8")
    for mapping in MAPPINGS:
        described = told.partition(f"**{mapping.entity}**")[2].partition("\n\n")[0]
        missing = [field.column for field in mapping.fields if f"`{field.column}`" not in described]
        assert missing == [], mapping.name
