"""What a pull of Jira could not see, and the next one makes up for: issues that fail, projects with another key."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from syncer.errors import AnswerError
from syncer.sandbox import Fault
from syncer.sandbox.jira.words import document
from syncer.sources.jira.again import Again
from tests.sources.jira_home import STREAMS, JiraHome, busiest, running, small_site


@pytest.fixture
def home(tmp_path: Path) -> Iterator[JiraHome]:
    with running(small_site(issues=40), tmp_path) as running_home:
        yield running_home


# Issues that fail

COUNTED = {"comments": [], "total": 130, "startAt": 0, "maxResults": 100}  # more than are shown
TROUBLES = {
    "0 comments came of 130": Fault(
        kind="status", status=200, body=orjson.dumps(COUNTED).decode(), match="/comment[?]", times=None
    ),
    "status 500": Fault(kind="status", status=500, match="/comment[?]", times=None),
}


@pytest.mark.parametrize("told", TROUBLES)
def test_comments_of_an_issue_that_cannot_be_read_end_nothing_and_are_asked_again(tmp_path: Path, told: str) -> None:
    """They must not block the others, nor be missing once the mark has moved on."""
    with running(small_site(issues=520), tmp_path) as home:
        home.pull("comments")
        issue, other = busiest(home.site), next(home.site.visible_issues())
        home.later(3_600)
        new = str(home.site.add_comment(issue.id, document(random.Random(1), 1)).id)
        home.site.add_comment(other.id, document(random.Random(2), 1))
        home.later(3_600)
        home.sandbox.faults.add(TROUBLES[told])
        for _ in range(2):
            done = home.pull("comments")[0]
            assert (done.rejected, done.gone, done.exit_code) == (1, 0, 3)
            [(scope, reason)] = home.rows("SELECT scope, reason FROM syncer.rejects")
            assert scope == f"issue {issue.id}" and told in reason
            assert home.true_ids("comments") - set(home.live("comments")) == {new}
            home.later(3_600)
        home.sandbox.faults.clear()
        assert home.pull("comments")[0].exit_code == 0
        assert home.rows("SELECT * FROM syncer.rejects") == []
        assert set(home.live("comments")) == home.true_ids("comments")
        assert "again" not in home.rows("SELECT place FROM syncer.marks")[0][0]


@pytest.mark.parametrize("told", TROUBLES)
def test_a_census_leaves_the_comments_of_an_issue_that_cannot_be_read(tmp_path: Path, told: str) -> None:
    """Only those that Jira does not give by their own ids either end; the next pull settles the reject."""
    with running(small_site(issues=520), tmp_path) as home:
        home.pull("comments")
        issue = busiest(home.site)
        other = next(i for i in home.site.visible_issues() if i.comments and i.id != issue.id and not i.subtasks)
        deleted, left = other.comments[0].id, issue.comments[50].id
        home.site.delete_comment(issue.id, left)
        home.site.delete_issue(other.id)
        home.later(3_600)
        home.sandbox.faults.add(TROUBLES[told])
        done = home.pull("comments", mode="census")[0]
        assert (done.rejected, done.exit_code) == (1, 3) and {deleted, left} <= set(home.states("comments"))
        assert set(home.live("comments")) == home.true_ids("comments")
        home.sandbox.faults.clear()
        assert home.pull("comments")[0].exit_code == 0
        assert home.rows("SELECT * FROM syncer.rejects") == []


def test_an_issue_that_could_not_be_read_and_is_deleted_takes_its_reject_along(tmp_path: Path) -> None:
    """It is not asked for again."""
    with running(small_site(issues=40), tmp_path) as home:
        issue = busiest(home.site)
        home.sandbox.faults.add(TROUBLES["status 500"])
        assert home.pull("comments")[0].rejected == 1
        home.sandbox.faults.clear()
        home.site.delete_issue(issue.id)
        home.later(3_600)
        assert home.pull("comments")[0].exit_code == 0
        assert home.rows("SELECT * FROM syncer.rejects") == []


@pytest.mark.parametrize(("count", "is_done"), [(3, True), (4, False)])
def test_several_issues_in_a_row_that_fail_are_the_api(tmp_path: Path, count: int, is_done: bool) -> None:
    """The window stays where it was; what failed before does not count."""
    site = small_site(issues=60)
    for issue in list(site.issues.values())[:count]:
        for _ in range(25):
            site.add_comment(issue.id, document(random.Random(1), 1))
    site.delete_issue(busiest(site).id)
    with running(site, tmp_path, workers=1) as home:
        home.sandbox.faults.add(TROUBLES["status 500"])
        for _ in range(3):
            done = home.outcome("comments")[0]
            assert (done.status, done.rejected) == (("done", count) if is_done else ("failed", 0))
        home.sandbox.faults.clear()
        home.pull("comments")
        assert set(home.live("comments")) == home.true_ids("comments")


def test_an_issue_that_cannot_be_read_itself_is_asked_again(home: JiraHome) -> None:
    """The others come; a census does not take it for gone."""
    issue = next(home.site.visible_issues())
    home.pull("issues")
    home.later(3_600)
    home.site.update_issue(issue.id, {"summary": "changed"})
    home.later(3_600)
    for match in ("issue/bulkfetch", f"GET /rest/api/3/issue/{issue.id}[?]"):
        is_bulk = match.startswith("issue")
        body = '{"issues": [], "issueErrors": []}' if is_bulk else ""
        home.sandbox.faults.add(
            Fault(kind="status", status=200 if is_bulk else 503, match=match, body=body, times=None)
        )
    done = home.pull("issues")[0]
    assert (done.rejected, done.gone, done.exit_code) == (1, 0, 3)
    home.sandbox.faults.clear()
    home.later(3_600)
    assert home.pull("issues")[0].exit_code == 0
    assert home.live("issues", "summary")[str(issue.id)] == ("changed",) and home.states("issues") == {}
    assert home.rows("SELECT * FROM syncer.rejects") == []


def test_a_place_that_would_keep_too_many_issues_stays() -> None:
    """Then the window is not left before they can be read; failures that go on do not hide one that is over."""
    again = Again.of({"mark": 1, "again": ["1", "2", "3", "4"]})
    tried = []
    for number in again.tries():
        tried.append(number)
        again.note(number, AnswerError("odd"))
    assert tried == ["1", "2", "3"]
    assert again.put({"mark": 2}) == {"mark": 2, "again": ["4", "1", "2", "3"]}
    for other in range(101):
        again.note(str(other), AnswerError("odd"))
    assert again.put({"mark": 2}) is None


# Projects


def test_a_project_that_gets_another_key_gives_it_to_its_issues(home: JiraHome) -> None:
    """Their `updated` does not move; those of other projects are not fetched, and the next pull fetches none."""
    home.later(3_600)
    home.pull("issues")
    by_size = sorted(home.site.projects, key=lambda p: sum(i.project == p for i in home.site.issues.values()))
    home.site.rename_project(by_size[-1], key="RENAMED")
    home.site.hide_project(by_size[0])
    home.site.rename_project(by_size[0], key="UNSEEN")
    renamed = {str(issue.id) for issue in home.site.visible_issues() if issue.project == by_size[-1]}
    for expected in (renamed, set()):
        home.later(3_600)
        home.asked.clear()
        home.pull("issues")
        assert set(home.issues_fetched()) == expected
    home.site.show_project(by_size[0])
    home.pull("issues")
    found = home.live("issues", "key", "project_key")
    assert {key.rpartition("-")[0] for key, _ in found.values()} == {key for _, key in found.values()}
    assert {key for _, key in found.values()} == {project.key for project in home.site.projects.values()}


def test_a_project_that_gets_another_key_in_the_middle_of_a_first_load(tmp_path: Path) -> None:
    """What was read before the kill is read again."""
    with running(small_site(), tmp_path, workers=1) as home:
        home.sandbox.faults.add(Fault(kind="status", status=500, match="issue/bulkfetch", skip=1, times=None))
        assert home.outcome("issues")[0].status == "failed"
        home.sandbox.faults.clear()
        for number, project in home.site.projects.items():
            home.site.rename_project(number, key=f"NEW{project.key}")
        home.pull("issues")
        assert {key[:3] for (key,) in home.live("issues", "project_key").values()} == {"NEW"}


@pytest.mark.parametrize("stream", STREAMS)
def test_no_project_at_all_is_an_alarm(home: JiraHome, stream: str) -> None:
    """A permission that was lost looks like an empty site: the mark must not pass what is changed meanwhile."""
    home.pull(stream)
    rows, place = home.live(stream), home.rows("SELECT place FROM syncer.marks")
    for project in home.site.projects.values():
        home.site.hide_project(project.id)
    for mode in ("incremental", *(("census",) if stream != "projects" else ())):
        assert "no project at all is visible" in (home.outcome(stream, mode=mode)[0].error or "")
    assert home.live(stream) == rows and home.rows("SELECT place FROM syncer.marks") == place
    home.pull(stream, mode="full")
    home.pull(stream)
