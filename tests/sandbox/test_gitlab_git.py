"""GitLab's commits, branches, tags, push events in the sandbox: dates that are no arrival, heads, ranges, garbage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from syncer.sandbox import Clock
from syncer.sandbox.gitlab.git import Repository
from syncer.sandbox.gitlab.rows import Project
from tests.sandbox.gitlab_client import START, Api, serve, small_site


@pytest.fixture
def gitlab() -> Iterator[Api]:
    """A small GitLab of this test's own."""
    clock = Clock(START)
    with serve(small_site(clock), clock) as api:
        yield api


def a_project(gitlab: Api, *, branches: int = 2) -> tuple[Project, Repository, str, str]:
    """Return a project with its repository, its path in the API, and a branch that is not the default one."""
    project = next(one for one in gitlab.usable() if len(gitlab.site.store.repositories[one.id].branches) >= branches)
    repository = gitlab.site.store.repositories[project.id]
    branch = next(name for name in repository.branches if name != repository.default_branch)
    return project, repository, f"/projects/{project.id}/repository", branch


def ids(rows: list[dict[str, object]]) -> list[object]:
    return [row["id"] for row in rows]


def test_a_commit_made_on_monday_and_pushed_on_friday_is_missed_by_its_date(gitlab: Api) -> None:
    """`since` is the committer date; only the range between two heads finds what came."""
    project, repository, path, branch = a_project(gitlab)
    old = repository.branches[branch]
    pushed = gitlab.site.git.push(project.id, branch, count=2, made=START - timedelta(days=4))
    hour_ago = (START - timedelta(hours=1)).isoformat()
    assert not set(ids(gitlab.all(f"{path}/commits", all="true", since=hour_ago))) & {one.sha for one in pushed}
    head = gitlab.get(f"{path}/branches/{branch.replace('/', '%2F').replace('#', '%23')}").json()["commit"]["id"]
    found = gitlab.all(f"{path}/commits", ref_name=f"{old}..{head}")
    assert ids(found) == [one.sha for one in reversed(pushed)]


def test_git_stops_at_an_old_date(gitlab: Api) -> None:
    """A commit that is newer than `since` but stands behind an older one is not found."""
    project, _, path, branch = a_project(gitlab)
    gitlab.clock.advance(3600)
    newer = gitlab.site.git.push(project.id, branch)[0]
    assert newer.sha in ids(gitlab.all(f"{path}/commits", ref_name=branch, since=START.isoformat()))
    gitlab.site.git.push(project.id, branch, made=START - timedelta(days=9))
    assert newer.sha not in ids(gitlab.all(f"{path}/commits", ref_name=branch, since=START.isoformat()))


def test_only_the_default_branch_is_listed_unless_asked(gitlab: Api) -> None:
    """A branch, a tag, a sha, or all=true."""
    project, repository, path, branch = a_project(gitlab)
    new = gitlab.site.git.push(project.id, branch)[0].sha
    gitlab.site.git.create_tag(project.id, "v99", ref=branch)
    assert new not in ids(gitlab.all(f"{path}/commits"))
    for ref in ({"ref_name": branch}, {"ref_name": "v99"}, {"ref_name": new}, {"all": "true"}):
        assert new in ids(gitlab.all(f"{path}/commits", **ref))
    everything = gitlab.all(f"{path}/commits", all="true")
    assert set(ids(everything)) == repository.reachable(repository.heads())


def test_a_force_push_is_seen_both_ways_until_garbage_is_collected(gitlab: Api) -> None:
    """`old..new` is what came, `new..old` what went; afterwards the old sha is 404 and the branch is walked whole."""
    project, repository, path, branch = a_project(gitlab)
    gone = gitlab.site.git.push(project.id, branch, count=2)
    old = repository.branches[branch]
    came = gitlab.site.git.force_push(project.id, branch, back=2, count=1)
    new = repository.branches[branch]
    assert ids(gitlab.all(f"{path}/commits", ref_name=f"{old}..{new}")) == [one.sha for one in came]
    assert set(ids(gitlab.all(f"{path}/commits", ref_name=f"{new}..{old}"))) == {one.sha for one in gone}
    assert gitlab.get(f"{path}/commits/{old}").status_code == 200
    assert gitlab.site.git.garbage_collect(project.id) >= 2
    for ref in (f"{old}..{new}", f"{new}..{old}", old):
        assert gitlab.get(f"{path}/commits", ref_name=ref).status_code == 404
    assert new in ids(gitlab.all(f"{path}/commits", ref_name=new))


def test_a_plain_push_leaves_nothing_behind(gitlab: Api) -> None:
    """`new..old` is empty, with 200."""
    project, repository, path, branch = a_project(gitlab)
    old = repository.branches[branch]
    gitlab.site.git.push(project.id, branch, count=3)
    assert gitlab.rows(f"{path}/commits", ref_name=f"{repository.branches[branch]}..{old}") == []


def test_merging_an_old_branch_brings_old_commits(gitlab: Api) -> None:
    """They keep their dates and their shas; the range has all of them, and the merge with both parents."""
    project, repository, path, branch = a_project(gitlab)
    gitlab.site.git.push(project.id, branch, made=START - timedelta(days=300), count=2)
    old = repository.head
    merge = gitlab.site.git.merge_branch(project.id, branch)
    found = gitlab.all(f"{path}/commits", ref_name=f"{old}..{merge.sha}")
    assert found[0]["parent_ids"] == [old, repository.branches[branch]] and len(found) >= 3
    merged = {row["name"]: row["merged"] for row in gitlab.all(f"{path}/branches", pagination="keyset")}
    assert merged[branch] is True and merged[repository.default_branch] is False


def test_bad_refs(gitlab: Api) -> None:
    """What is no ref at all is 400; what is not there is 404."""
    _, _, path, _ = a_project(gitlab)
    assert gitlab.get(f"{path}/commits", ref_name="a b").json() == {"error": "ref_name is invalid"}
    assert gitlab.get(f"{path}/commits", ref_name="no-such-branch").status_code == 404


def test_git_dates_have_the_offset_of_whoever_made_them(gitlab: Api) -> None:
    """Several offsets in one list, none of them Z, all with milliseconds."""
    rows = [row for project in gitlab.usable() for row in gitlab.all(f"/projects/{project.id}/repository/commits")]
    offsets = {row["authored_date"][23:] for row in rows}
    assert {"+02:00", "+05:30", "-07:00"} <= offsets and "Z" not in offsets
    assert {row["authored_date"][19:23] for row in rows} == {".000"}
    assert all(row["created_at"] == row["committed_date"] and "project_id" not in row for row in rows)


def test_branches_by_offset_are_empty_from_page_2_on(gitlab: Api) -> None:
    """Under headers that are right; another instance does not have the bug."""
    project, repository, path, _ = a_project(gitlab)
    for number in range(8):
        gitlab.site.git.create_branch(project.id, f"zz-{number}")
    count = len(repository.branches)
    second = gitlab.get(f"{path}/branches", page=2, per_page=5)
    assert (second.json(), second.headers["X-Total"], second.headers["X-Next-Page"]) == ([], str(count), "3")
    gitlab.site.adjust(has_branch_page_bug=False)
    assert len(gitlab.rows(f"{path}/branches", page=2, per_page=5)) == 5


def test_branches_by_keyset(gitlab: Api) -> None:
    """Names ascend, no total, a link behind every full page: complete is a page that is not full."""
    project, repository, path, _ = a_project(gitlab)
    while len(repository.branches) < 10:
        gitlab.site.git.create_branch(project.id, f"zz-{len(repository.branches)}")
    pages = list(gitlab.pages(f"{path}/branches", pagination="keyset", per_page=5))
    assert [len(page.json()) for page in pages] == [5, 5, 0]
    assert [row["name"] for page in pages for row in page.json()] == sorted(repository.branches)
    assert not any("X-Total" in page.headers or "X-Next-Page" in page.headers for page in pages)


def test_a_page_token_whose_branch_is_gone_is_refused(gitlab: Api) -> None:
    """The walk begins anew: 422, for branches and for tags."""
    _, _, path, _ = a_project(gitlab)
    for part in ("branches", "tags"):
        assert gitlab.get(f"{path}/{part}", pagination="keyset", page_token="gone").status_code == 422


def test_branches_vanish_and_come(gitlab: Api) -> None:
    """No tombstone is left; a single one is 404."""
    project, _, path, branch = a_project(gitlab)
    gitlab.site.git.delete_branch(project.id, branch)
    gitlab.site.git.create_branch(project.id, "neu/ä", count=1)
    names = {row["name"] for row in gitlab.all(f"{path}/branches", pagination="keyset")}
    assert "neu/ä" in names and branch not in names
    assert gitlab.get(f"{path}/branches/neu%2F%C3%A4").json()["name"] == "neu/ä"
    assert gitlab.get(f"{path}/branches/gone").status_code == 404


def test_tags_are_annotated_or_not(gitlab: Api) -> None:
    """A lightweight one has no time, and the commit as its target; a release may hang on either."""
    project, repository, path, _ = a_project(gitlab)
    gitlab.site.git.create_tag(project.id, "v50", release="notes")
    gitlab.site.git.create_tag(project.id, "v51", message="signed")
    rows = {row["name"]: row for row in gitlab.all(f"{path}/tags", pagination="keyset", order_by="name")}
    assert (rows["v50"]["created_at"], rows["v50"]["target"]) == (None, repository.head)
    assert rows["v50"]["release"] == {"tag_name": "v50", "description": "notes"} and rows["v51"]["release"] is None
    assert rows["v51"]["created_at"] and rows["v51"]["target"] != rows["v51"]["commit"]["id"] == repository.head
    gitlab.site.git.delete_tag(project.id, "v50")
    assert gitlab.get(f"{path}/tags/v50").status_code == 404


def test_forks_hold_the_same_shas(gitlab: Api) -> None:
    """A sha is no key without its project."""
    store = gitlab.site.store
    fork = next(one for one in store.projects.values() if one.forked_from is not None)
    parent = store.projects[fork.forked_from or 0]
    assert set(store.repositories[fork.id].commits) & set(store.repositories[parent.id].commits)


def test_push_events_tell_when_something_arrived(gitlab: Api) -> None:
    """`after` is a day, and the day itself is left out."""
    project, repository, _, branch = a_project(gitlab)
    old = repository.branches[branch]
    commit = gitlab.site.git.push(project.id, branch, made=datetime(2020, 1, 1, tzinfo=UTC))[0]
    path = f"/projects/{project.id}/events"
    event = gitlab.rows(path, action="pushed", after="2026-06-14")[0]
    assert event["created_at"].startswith("2026-06-15")
    assert event["push_data"]["commit_from"] == old and event["push_data"]["commit_to"] == commit.sha
    assert gitlab.rows(path, action="pushed", after="2026-06-15") == []
