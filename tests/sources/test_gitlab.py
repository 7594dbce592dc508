"""GitLab as a source, over real sockets: what the warehouse holds is what the API has, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import reading
from syncer.sandbox import Clock, Fault, GitLabSite
from syncer.settings import Account
from syncer.sources.gitlab.lists import overlapping
from tests.sources.gitlab_world import GIT, NOT_GIT, SMALL, START, Stopped, World, a_branch, with_branches, world


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[World]:
    """A small GitLab and an empty warehouse."""
    with world(tmp_path) as made:
        yield made


def reads(pulled: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """What each run wrote."""
    return {name: (one.inserted, one.updated, one.gone) for name, one in pulled.items()}


# Whole, and not twice


def test_everything_arrives_and_an_unchanged_second_pull_writes_nothing(gitlab: World) -> None:
    """All nine streams, column by column; archived projects and hidden ones among them."""
    first = gitlab.pull()
    assert {one.status for one in first.values()} == {"done"}
    assert gitlab.all_differences() == []
    gitlab.forget()
    second = gitlab.pull()
    assert set(reads(second).values()) == {(0, 0, 0)}
    assert all(one.rejected == 0 for one in second.values())
    assert gitlab.asked("/repository/") == 0, "no project was active: no repository is looked at"
    assert gitlab.asked() <= 12


def test_what_changed_comes_with_the_next_pull_and_what_vanished_with_a_census(gitlab: World) -> None:
    """150 edits of all kinds, force pushes, renamed projects and deletions among them."""
    gitlab.pull()
    gitlab.later(hours=1)
    gitlab.site.edit(150, 2)
    gitlab.pull()
    left = gitlab.all_differences(but=["commits"])
    assert all(each.endswith("is too much") for each in left), left
    gitlab.pull(["gitlab.issues", "gitlab.merge_requests", "gitlab.merge_request_commits", "gitlab.pipelines"],
                mode="census", is_forced=True)  # fmt: skip
    assert gitlab.all_differences(but=["commits"]) == []
    assert not gitlab.truth("commits").keys() - gitlab.rows("commits").keys()


@pytest.mark.parametrize(
    ("quirks", "options"),
    [
        ({"graphql": "absent"}, {}),
        ({"graphql": "refused"}, {}),
        ({"graphql_missing": {"Pipeline.source"}}, {}),
        ({"graphql_max_complexity": 60}, {}),
        ({"graphql_counting": "gitlab"}, {}),
        ({}, {"graphql": "off", "workers": 1}),
    ],
    ids=["absent", "refused", "older", "tight", "counts otherwise", "off"],
)
def test_without_graphql_the_rows_are_the_same(
    tmp_path: Path, quirks: dict[str, Any], options: dict[str, Any]
) -> None:
    """Absent, refused, too old, with little room, or switched off: REST brings the very same columns."""
    names = ["gitlab.pipelines", "gitlab.merge_request_commits"]
    with world(tmp_path, **options) as gitlab:
        gitlab.site.adjust(**quirks)
        gitlab.pull(names)
        gitlab.later(hours=1)
        gitlab.site.edit(60, 5)
        pulled = gitlab.pull(names)
        assert all(one.status == "done" for one in pulled.values())
        left = [each for name in ("pipelines", "merge_request_commits") for each in gitlab.differences(name)]
        assert all(each.endswith("is too much") for each in left), left


# Stopped, and run again


@pytest.mark.parametrize(
    ("stream", "late"),
    [
        ("issues", 7),
        ("merge_request_commits", 20),
        ("pipelines", 4),
        ("commits", 8),
        ("branch_commits", 8),
        ("tags", 3),
    ],
)
def test_a_pull_that_was_stopped_goes_on_behind_its_last_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str, late: int
) -> None:
    """Whatever the page, the end is the same, and what was committed is not asked for again."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 1)
    sizes = {**SMALL, "projects": 4, "branches": 12, "issues": 400, "commits": 350, "pipelines": 30}
    site = GitLabSite.generate(seed=4, clock=Clock(START), **sizes)
    with world(tmp_path / "whole", site=site, workers=1, graphql="off") as gitlab:
        gitlab.folder.mkdir()
        gitlab.pull(f"gitlab.{stream}")
        whole = gitlab.asked()
    for stop_after in (2, late):
        with world(tmp_path / str(stop_after), site=site, workers=1, graphql="off") as gitlab:
            gitlab.folder.mkdir()
            with pytest.raises(Stopped):
                gitlab.pull(f"gitlab.{stream}", stop_after=stop_after)
            gitlab.forget()
            gitlab.pull(f"gitlab.{stream}")
            assert gitlab.differences(stream) == []
            # a window of pipelines that was broken off is finished, and then one is opened for what changed since
            since = 2 * sizes["projects"] if stream == "pipelines" else 0
            assert gitlab.asked() - since < whole if stop_after == late else gitlab.asked() - since <= whole


def test_edits_between_a_stop_and_the_next_run_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was read before the stop, too: the run that goes on ends at what the API has then."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 1)
    site = GitLabSite.generate(seed=5, clock=Clock(START), **{**SMALL, "projects": 5, "branches": 15, "pipelines": 30})
    with world(tmp_path, site=site, workers=1) as gitlab:
        streams = ("issues", "merge_request_commits", "pipelines", "commits", "branches", "branch_commits")
        for stream in streams:
            with pytest.raises(Stopped):
                gitlab.pull(f"gitlab.{stream}", stop_after=3)
            gitlab.later(seconds=10)
            gitlab.site.edit(40, 7)
        gitlab.pull([f"gitlab.{stream}" for stream in streams])
        left = [each for stream in streams if stream != "commits" for each in gitlab.differences(stream)]
        assert all(each.endswith("is too much") for each in left), left
        assert not gitlab.truth("commits").keys() - gitlab.rows("commits").keys()


# Records that change under us


def test_edits_while_a_pull_runs_are_there_after_the_next_one(tmp_path: Path) -> None:
    """Between any two requests something is created, changed, pushed, deleted or renamed."""
    site = GitLabSite.generate(seed=6, clock=Clock(START), **{**SMALL, "projects": 6, "branches": 25})
    with world(tmp_path, site=site) as gitlab:
        edits = 0

        def edit(site: Any, request: Any) -> None:
            nonlocal edits
            edits += 1
            gitlab.site.edit(2, 11_000 + edits)

        gitlab.sandbox.before_request.append(edit)
        gitlab.pull()
        gitlab.sandbox.before_request.clear()
        gitlab.later(seconds=30)
        gitlab.pull()
        left = gitlab.all_differences(but=["commits"])
        assert all(each.endswith("is too much") for each in left), left
        census = [
            f"gitlab.{name}" for name in ("projects", "issues", "merge_requests", "merge_request_commits", "pipelines")
        ]
        gitlab.pull(census, mode="census", is_forced=True)
        assert gitlab.all_differences(but=["commits"]) == []
        assert edits > 30


def test_rows_that_share_one_time_are_read_whole_while_some_are_touched(tmp_path: Path) -> None:
    """A bulk edit gives 350 issues one `updated_at`; each touched one moves behind, and would shift a plain offset."""
    site = GitLabSite.generate(seed=2, clock=Clock(START), **{**SMALL, "issues": 420})
    with world(tmp_path, site=site) as gitlab:
        ids = sorted(key[0] for key in gitlab.site.truth("issues"))
        gitlab.site.edits.bulk_edit_issues(ids[:350])
        gitlab.later(minutes=1)
        untouched = iter(ids[:350])

        def touch(site: Any, request: Any) -> None:
            if "/issues" in request.path and random.Random(gitlab.asked()).random() < 0.5:
                gitlab.site.edits.edit_issue(next(untouched))

        gitlab.sandbox.before_request.append(touch)
        gitlab.pull("gitlab.issues")
        gitlab.sandbox.before_request.clear()
        assert not gitlab.truth("issues").keys() - gitlab.rows("issues").keys()
        gitlab.pull("gitlab.issues")
        assert gitlab.differences("issues") == []


def test_a_pipeline_deleted_during_an_offset_walk_shifts_nothing_away(tmp_path: Path) -> None:
    """REST knows pages by number only: a page that does not begin at the last id is asked again further back."""
    site = GitLabSite.generate(seed=2, clock=Clock(START), **{**SMALL, "projects": 1, "pipelines": 450, "hidden": 0})
    with world(tmp_path, site=site, graphql="off") as gitlab:
        ids = sorted(key[0] for key in gitlab.site.truth("pipelines"))
        doomed = iter(ids[:60:2])

        def delete(site: Any, request: Any) -> None:
            if request.path.endswith("/pipelines"):
                for pipeline in itertools.islice(doomed, 3):
                    gitlab.site.edits.delete_pipeline(pipeline)

        gitlab.sandbox.before_request.append(delete)
        gitlab.pull("gitlab.pipelines")
        assert not gitlab.truth("pipelines").keys() - gitlab.rows("pipelines").keys()


def test_overlapping_pages_hold_the_last_row_seen_and_go_further() -> None:
    """The next offset page must begin at or before the last row seen, and bring new ones."""
    for seen in range(1, 3000):
        page, size = overlapping(seen)
        assert (page - 1) * size < seen < page * size
        assert page * size - seen >= 45


# Projects that come, go, and change


def test_archived_is_a_state_and_what_is_in_it_still_comes(gitlab: World) -> None:
    """An archived project is read on, and live again when it is brought back."""
    project = with_branches(gitlab)
    gitlab.pull(["gitlab.projects", "gitlab.issues"])
    gitlab.later(hours=1)
    gitlab.site.edits.archive_project(project.id)
    gitlab.site.edits.edit_issue(next(iter(gitlab.site.store.issues_of[project.id].values())).id, title="late {0}")
    gitlab.pull(["gitlab.projects", "gitlab.issues"])
    assert (project.id,) in gitlab.rows("projects", state="archived")
    assert gitlab.differences("issues") == []
    gitlab.site.edits.unarchive_project(project.id)
    gitlab.pull("gitlab.projects")
    assert (project.id,) in gitlab.rows("projects")


def test_a_hidden_project_is_gone_its_rows_stay_and_all_of_it_comes_back_with_it(gitlab: World) -> None:
    """Lost permission deletes nothing; what changed meanwhile has old times, and is read since the project is new."""
    project = with_branches(gitlab)
    streams = ["projects", "issues", "merge_request_commits", "pipelines", "branches", "branch_commits"]
    names = [f"gitlab.{stream}" for stream in streams]
    gitlab.pull(names)
    gitlab.later(hours=1)
    gitlab.site.edits.hide_project(project.id)
    gitlab.site.edits.create_issue(project.id, title="while nobody looked")
    gitlab.site.edits.push_to_merge_request(gitlab.site.edits.create_merge_request(project.id).id)
    gitlab.site.edits.run_pipeline(project.id)
    gitlab.later(days=3)
    hidden = gitlab.pull(names)
    assert (project.id,) in gitlab.rows("projects", state="gone")
    assert sum(one.gone for one in hidden.values()) == 1
    gitlab.site.edits.show_project(project.id)
    gitlab.pull(names)
    assert [each for stream in streams for each in gitlab.differences(stream)] == []


def test_a_deleted_project_is_gone_and_a_census_settles_what_was_in_it(gitlab: World) -> None:
    """The API does not say whether a project is deleted or hidden: `gone`, and so are its rows, but its commits."""
    project = with_branches(gitlab)
    names = ["gitlab.issues", "gitlab.commits", "gitlab.branches", "gitlab.branch_commits"]
    gitlab.pull(["gitlab.projects", *names])
    gitlab.site.edits.delete_project(project.id)
    gitlab.pull("gitlab.projects")
    assert (project.id,) in gitlab.rows("projects", state="gone")
    gitlab.pull(names, mode="census", is_forced=True)
    for stream in ("issues", "branches", "branch_commits"):
        assert gitlab.differences(stream) == []
    assert any(key[0] == project.id for key in gitlab.rows("commits"))


def test_a_project_with_another_path_has_the_new_urls_everywhere(gitlab: World) -> None:
    """A rename touches no `updated_at` of what is in the project."""
    project = with_branches(gitlab)
    gitlab.pull()
    gitlab.site.edits.rename_project(project.id, "renamed", name="Renamed")
    gitlab.pull()
    assert gitlab.all_differences() == []


# What is refused


def test_one_project_that_is_refused_fails_alone_and_is_read_when_it_is_not(gitlab: World) -> None:
    """403 for one project: a reject names it, exit code 3, no row ends, the others load, the next pull heals it."""
    project = with_branches(gitlab)
    gitlab.pull(GIT)
    gitlab.later(hours=2)
    gitlab.site.git.create_tag(project.id, "v1")
    gitlab.site.git.push(project.id, a_branch(gitlab, project), count=1)
    gitlab.sandbox.faults.add(
        Fault(kind="status", status=403, match=rf"/projects/{project.id}/repository", times=None, body="{}")
    )
    refused = gitlab.pull(GIT)
    assert {name: one.exit_code for name, one in refused.items()} == dict.fromkeys(refused, 3)
    assert sum(one.gone for one in refused.values()) == 0
    reason = gitlab.query("SELECT DISTINCT reason FROM syncer.rejects WHERE mapping = 'gitlab.tags'")[0][0]
    assert str(project.id) in reason and "Reporter" in reason
    gitlab.sandbox.faults.clear()
    gitlab.pull(GIT)
    assert gitlab.all_differences(but=["commits", *NOT_GIT]) == []
    assert gitlab.query("SELECT COUNT(*) FROM syncer.rejects") == [(0,)]


def test_pipelines_of_a_project_that_is_refused_come_when_it_is_not(tmp_path: Path) -> None:
    """By REST: the project counts as new from then on, so that nothing between is missed."""
    with world(tmp_path, graphql="off") as gitlab:
        project = with_branches(gitlab)
        gitlab.pull("gitlab.pipelines")
        fault = Fault(kind="status", status=403, match=rf"/projects/{project.id}/pipelines", times=None, body="{}")
        gitlab.sandbox.faults.add(fault)
        gitlab.later(hours=1)
        gitlab.site.edits.run_pipeline(project.id)
        assert gitlab.pull("gitlab.pipelines")["pipelines"].exit_code == 3
        gitlab.later(hours=5)
        gitlab.sandbox.faults.clear()
        assert gitlab.pull("gitlab.pipelines")["pipelines"].exit_code == 0
        assert gitlab.differences("pipelines") == []


def test_commits_of_merge_requests_that_are_refused_come_when_they_are_not(tmp_path: Path) -> None:
    """Else they would be missing until each merge request changes again."""
    with world(tmp_path, graphql="off") as gitlab:
        project = with_branches(gitlab)
        fault = Fault(
            kind="status", status=403, match=rf"/projects/{project.id}/merge_requests/", times=None, body="{}"
        )
        gitlab.sandbox.faults.add(fault)
        assert gitlab.pull("gitlab.merge_request_commits")["merge_request_commits"].exit_code == 3
        gitlab.sandbox.faults.clear()
        assert gitlab.pull("gitlab.merge_request_commits")["merge_request_commits"].exit_code == 0
        assert gitlab.differences("merge_request_commits") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": "glpat-wrong"}, "is not known there"),
        ({"expires_at": START.date()}, "has expired"),
        ({"is_revoked": True}, "was revoked"),
        ({"scopes": ("read_user",)}, "read_api"),
        ({"scopes": ("read_registry",)}, "read_api"),
    ],
)
def test_a_token_that_is_no_good_fails_each_run_with_one_line(
    gitlab: World, change: dict[str, Any], words: str
) -> None:
    """The message names the variable and what to do, never the token."""
    import attrs

    site = gitlab.site
    token = attrs.evolve(site.tokens[site.token], **change)
    if "value" not in change:
        site.tokens[site.token] = token
    failed = gitlab.pull(["gitlab.projects", "gitlab.tags"], token=token.value)
    assert {one.status for one in failed.values()} == {"failed"}
    told = str(failed["tags"].error)
    assert words in told and "SYNCER_GITLAB_TOKEN" in told
    assert token.value not in told and "\n" not in told


def test_a_url_that_is_no_api_says_so(gitlab: World) -> None:
    """A path too much: GitLab answers with its log-in page, not with an error."""
    gitlab.sandbox.faults.add(Fault(kind="html", match="/user"))
    told = str(gitlab.pull("gitlab.projects")["projects"].error)
    assert "not JSON" in told and "base URL" in told


def test_gitlab_com_needs_groups(gitlab: World) -> None:
    """Its lists hold the public projects of everybody."""
    from syncer.errors import UsageError
    from syncer.sources.gitlab import connect

    account = Account(source="gitlab", url="https://gitlab.com", token="x")
    with pytest.raises(UsageError, match="groups"):
        connect(account, doors=None, streams=())  # type: ignore[arg-type]  # it does not come so far


def test_groups_bring_what_is_in_them_and_below(tmp_path: Path) -> None:
    """By full path; a group that is not there fails alone, and ends nothing."""
    with world(tmp_path) as gitlab:
        store = gitlab.site.store
        parent = next(group for group in store.groups.values() if group.kind == "group" and group.parent_id is None)
        below = store.subgroup_ids(parent.id)
        inside = {project.id for project in store.projects.values() if project.namespace_id in below}
        seen = {key[0] for key in gitlab.site.truth("projects")}
        names = ["gitlab.projects", "gitlab.issues", "gitlab.merge_requests", "gitlab.branches"]
        pulled = gitlab.pull(names, groups=[parent.full_path, "no/such"])
        assert {key[0] for key in gitlab.rows("projects", state=None)} == inside & seen
        assert {row["project_id"] for row in gitlab.rows("issues").values()} <= inside
        assert gitlab.truth("issues").keys() - gitlab.rows("issues").keys() == {
            key for key, row in gitlab.truth("issues").items() if row["project_id"] not in inside
        }
        assert pulled["projects"].exit_code == 3
        assert sum(one.gone for one in pulled.values()) == 0
