"""The Jira source against the sandbox: everything arrives, once, whatever happens meanwhile; what is gone is told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from syncer import sources
from syncer.errors import AnswerError, NotAllowed, NotFound, Unavailable, UsageError
from syncer.sandbox import Fault, JiraSite
from syncer.sandbox.jira import CLOUD_ID, SERVICE_EMAIL, SERVICE_TOKEN, TOKEN
from syncer.sandbox.jira.model import Issue
from syncer.sandbox.messages import Request, Site
from syncer.sources import Page
from tests.sources.jira_home import STREAMS, JiraHome, ids_of, read, running, small_site

IN_PROGRESS = 4  # the category's id in the sandbox


@pytest.fixture
def home(tmp_path: Path) -> Iterator[JiraHome]:
    with running(small_site(), tmp_path) as running_home:
        yield running_home


def assert_equal_to_the_api(home: JiraHome) -> None:
    """Every row that is live is a record that the token may see, with its values; and there is no other."""
    for stream in STREAMS:
        assert set(home.live(stream)) == home.true_ids(stream), stream
    truth = {key[0]: record for key, record in home.site.truth("issues").items()}
    found = home.live("issues", "key", "summary", "status_id", "project_id", "epoch_ms(updated)", "customfield_10016")
    for number, (key, summary, status, project, updated, points) in found.items():
        fields = truth[number]["fields"]
        issue = home.site.issues[int(number)]
        assert (key, summary, updated) == (truth[number]["key"], fields["summary"], issue.updated)
        assert (status, project, points) == (issue.status, issue.project, fields["customfield_10016"])
    comments = home.live("comments", "issue_id", "epoch_ms(updated)", "author_account_id")
    worklogs = home.live("worklogs", "issue_id", "time_spent_seconds")
    for issue in home.site.visible_issues():
        for comment in issue.comments:
            assert comments[str(comment.id)] == (issue.id, comment.updated, comment.author)
        for worklog in issue.worklogs:
            assert worklogs[str(worklog.id)] == (issue.id, worklog.seconds)
    changelogs = home.live("changelogs", "issue_id", "epoch_ms(created)")
    expected = {str(h.id): (i.id, h.created) for i in home.site.visible_issues() for h in i.histories}
    assert changelogs == expected


def first_in_progress(site: JiraSite, issue: Issue) -> int | None:
    """Return when an issue first had a status of the category in progress: the definition, over its whole life."""
    category = {str(status.id): status.category for status in site.catalogue.statuses.values()}
    changes = [(h.created, item) for h in issue.histories for item in h.items if item[1] == "status"]
    began = changes[0][1][2] if changes else str(issue.status)
    if category.get(str(began)) == IN_PROGRESS:
        return issue.created
    return next((at for at, item in changes if category.get(str(item[4])) == IN_PROGRESS), None)


# Everything, once


def test_first_load_brings_everything_and_the_second_writes_nothing(home: JiraHome) -> None:
    """Promises 3 and 4, over all streams; what one verb asks for two streams is asked once."""
    first = home.pull()
    assert_equal_to_the_api(home)
    assert home.rows("SELECT * FROM syncer.rejects") == []
    assert sum(pulled.inserted for pulled in first) == sum(len(home.true_ids(stream)) for stream in STREAMS)
    assert [path for path, _ in home.asked].count("search/jql") == 1
    second = home.pull()
    assert [(pulled.inserted, pulled.updated) for pulled in second] == [(0, 0)] * len(STREAMS)
    found = home.live("issues", "epoch_ms(first_in_progress)")
    assert {number: at for number, (at,) in found.items()} == {
        str(issue.id): first_in_progress(home.site, issue) for issue in home.site.visible_issues()
    }


def test_edits_come_with_the_next_pull_and_the_rest_with_a_census(home: JiraHome) -> None:
    """Created, changed, moved, commented, logged: at once. Deleted and hidden: by the census. Tombstones: at once."""
    home.pull()
    home.later()
    worklog = next(w for issue in home.site.visible_issues() for w in issue.worklogs)
    home.site.delete_worklog(home.site.worklog_issues[worklog.id], worklog.id)
    home.site.edit(60, seed=5)
    home.later()
    changed = home.pull()
    assert 0 < changed[1].updated + changed[1].inserted < 120
    assert [pulled.exit_code for pulled in changed] == [0] * len(STREAMS)
    assert home.states("worklogs")[worklog.id] == "deleted"
    for stream in STREAMS:
        assert home.true_ids(stream) <= set(home.live(stream)), stream
    home.pull(mode="census")
    assert_equal_to_the_api(home)
    assert set(home.states("issues").values()) == {"gone"}


def test_what_two_streams_need_is_asked_once(home: JiraHome) -> None:
    """One verb asks for changed issues and their changelogs once: 3 to begin, 2 for definitions, 3 for an issue."""
    home.pull("issues", "changelogs")
    home.later(1_200)
    home.site.update_issue(next(home.site.visible_issues()).id, {"summary": "changed"})
    home.later()
    home.sandbox.reset_counts()
    home.asked.clear()
    home.pull("issues", "changelogs")
    assert [path for path, _ in home.asked] == ["search/jql", "issue/bulkfetch", "changelog/bulkfetch"]
    assert home.sandbox.counts["jira"].requests == 8


def test_people_edit_while_everything_is_pulled(tmp_path: Path) -> None:
    """Search lags, issues appear, change, move and vanish between any two requests: the next pulls heal all of it."""
    site = small_site(issues=160, lag_s=60.0, seed=9)
    rng = random.Random(4)
    with running(site, tmp_path, ids_a_page=50) as home:
        hook = edits_between_requests(rng)
        home.sandbox.before_request.append(hook)
        home.pull()
        home.sandbox.before_request.remove(hook)
        home.later()
        home.pull()
        for stream in STREAMS:
            assert home.true_ids(stream) <= set(home.live(stream)), stream
        home.pull(mode="census")
        assert_equal_to_the_api(home)


def edits_between_requests(rng: random.Random) -> Callable[[Site, Request], None]:
    """Make a hook that now and then lets somebody edit."""

    def edit(site: Site, _: Request) -> None:
        assert isinstance(site, JiraSite)
        site.clock.advance(rng.random() * 5)
        if rng.random() < 0.7:
            site.edit(rng.randint(1, 6), seed=rng.randrange(10**6))

    return edit


# Going on after a stop


@pytest.mark.parametrize("stream", ["issues", "comments", "changelogs", "worklogs"])
def test_a_place_goes_on_behind_its_page(tmp_path: Path, stream: str) -> None:
    """After a kill, nothing that was committed is fetched again, and nothing is lost; wherever it happens."""
    with running(small_site(issues=520), tmp_path, ids_a_page=150) as home:
        whole = ids_of(list(read(home.source(stream), stream)))
        assert len(whole) == len(set(whole)) == len(home.true_ids(stream))
        pages = list(read(home.source(stream), stream))
        cut = next(n for n in range(len(pages) // 2, len(pages)) if pages[n].place is not None) + 1
        home.asked.clear()
        rest = list(read(home.source(stream), stream, pages[cut - 1].place))
        assert sorted(ids_of(pages[:cut]) + ids_of(rest)) == sorted(whole)
        if stream != "worklogs":
            committed = {str(r.get("issue_id") or r["id"]) for page in pages[:cut] for r in page.records}
            assert committed and committed.isdisjoint(home.issues_fetched())
        assert rest[-1].place == pages[-1].place


def test_a_pull_that_was_killed_goes_on_with_its_window(home: JiraHome) -> None:
    """The window keeps its mark, however late it is finished; then comes, in the same run, what changed since."""
    place = next(read(home.source("issues"), "issues")).place
    assert place is not None
    home.later(3_600)
    home.asked.clear()
    places = [page.place for page in read(home.source("issues"), "issues", place) if page.place is not None]
    assert [ended["mark"] for ended in places if "created" not in ended] == [place["mark"], place["mark"] + 3_600_000]
    windows = [asked["jql"] for _, asked in home.asked if "jql" in asked]
    assert f"updated >= {place['mark'] - 600_000} " in windows[-1]
    home.asked.clear()
    newer = {str(i.id) for i in home.site.visible_issues() if i.updated >= place["mark"] + 3_000_000}
    assert set(ids_of(list(read(home.source("issues"), "issues", places[-1])))) == newer
    assert f"updated >= {place['mark'] + 3_000_000} " in home.asked[0][1]["jql"]


def test_a_failure_in_the_middle_keeps_what_was_committed(tmp_path: Path) -> None:
    """The next run finishes the window."""
    with running(small_site(), tmp_path, workers=1) as home:
        home.sandbox.faults.add(Fault(kind="status", status=500, match="issue/bulkfetch", skip=1, times=None))
        failed = home.outcome("issues")[0]
        assert failed.status == "failed" and "500" in (failed.error or "")
        assert len(home.live("issues")) == 100
        home.sandbox.faults.clear()
        home.asked.clear()
        home.pull("issues")
        assert len(set(home.issues_fetched())) == 20
        assert set(home.live("issues")) == home.true_ids("issues")


def test_a_deleted_comment_of_a_changed_issue_is_gone_and_no_other(home: JiraHome) -> None:
    """An issue's comments are a slice: what is not in it any more ends, what is in other slices stays."""
    home.pull("comments")
    issue = next(i for i in home.site.visible_issues() if i.comments)
    lost = issue.comments[0].id
    home.later()
    home.site.delete_comment(issue.id, lost)
    home.site.update_issue(issue.id, {"summary": "changed"})
    assert home.pull("comments")[0].exit_code == 0
    assert home.states("comments") == {lost: "gone"}


# The walk


def crowded_site(issues: int) -> JiraSite:
    """Make a site most of whose issues were created within one minute, as an import does."""
    site = small_site(issues=issues)
    for issue in list(site.issues.values())[20:-20]:
        issue.created = 1_700_000_000_000 - 1_700_000_000_000 % 60_000 + issue.id % 60_000
        issue.updated = max(issue.updated, issue.created)
    return site


def walked(home: JiraHome) -> list[str]:
    return ids_of(list(home.source("issues", ids_a_page=30).keys("issues", places={})))


def test_more_issues_in_one_minute_than_a_page_holds(tmp_path: Path) -> None:
    """There the token is followed, and each issue comes once."""
    with running(crowded_site(300), tmp_path) as home:
        found = walked(home)
        assert len(found) == len(set(found)) == 300


def test_a_deletion_behind_the_token_hides_no_issue(tmp_path: Path) -> None:
    """A token is a position: when an issue before it goes, one that was not read moves to where we have been."""
    with running(crowded_site(300), tmp_path) as home:
        deleted: list[str] = []

        def delete(site: Site, request: Request) -> None:
            assert isinstance(site, JiraSite)
            if b"nextPageToken" in request.body and len(deleted) < 5:
                crowd = [issue.id for issue in site.visible_issues() if not issue.subtasks][40 + len(deleted)]
                site.delete_issue(crowd)
                deleted.append(str(crowd))

        home.sandbox.before_request.append(delete)
        found = walked(home)
        assert len(deleted) == 5
        assert home.true_ids("issues") <= set(found)


def test_a_project_that_is_hidden_behind_the_token_is_not_the_end(tmp_path: Path) -> None:
    """So many leave the result that the token stands behind its end: an empty last page, and later issues unread."""
    with running(crowded_site(300), tmp_path) as home:
        largest = max(home.site.projects, key=lambda p: sum(i.project == p for i in home.site.issues.values()))
        tokens: list[bytes] = []

        def hide(site: Site, request: Request) -> None:
            assert isinstance(site, JiraSite)
            if b"nextPageToken" in request.body:
                tokens.append(request.body)
                if len(tokens) == 7:
                    site.hide_project(largest)

        home.sandbox.before_request.append(hide)
        found = walked(home)
        assert len(tokens) > 7
        assert home.true_ids("issues") <= set(found)


def test_a_token_that_died_begins_its_minute_again(tmp_path: Path) -> None:
    """Tokens live a week; the 400 must not end the run."""
    with running(crowded_site(200), tmp_path) as home:
        count = 0

        def age(site: Site, request: Request) -> None:
            nonlocal count
            if b"nextPageToken" in request.body:
                count += 1
                if count == 3:
                    site.clock.advance(8 * 86_400)  # type: ignore[attr-defined]  # a JiraSite

        home.sandbox.before_request.append(age)
        assert set(walked(home)) == home.true_ids("issues")


def test_pages_of_hidden_issues_are_empty_and_not_the_end(tmp_path: Path) -> None:
    """Issues that the token may not see take up places on pages."""
    with running(small_site(issues=200), tmp_path) as home:
        oldest = sorted(home.site.issues.values(), key=lambda issue: issue.created)
        for issue in oldest[:90]:
            home.site.hide_issue(issue.id)
        assert set(walked(home)) == home.true_ids("issues")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"issues": [], "isLast": false}', "no nextPageToken"),
        ('{"issues": [], "isLast": false, "nextPageToken": "again"}', "twice"),
        ('{"issues": [null], "isLast": true}', "array of 1 objects"),
        ('{"isLast": true}', "where an array should stand"),
    ],
)
def test_a_search_that_contradicts_itself_is_an_error(home: JiraHome, body: str, told: str) -> None:
    """A short success would lose rows."""
    home.sandbox.faults.add(Fault(kind="status", status=200, match="search/jql", body=body, times=None))
    with pytest.raises(AnswerError, match=told):
        list(read(home.source("issues"), "issues"))


# What may be seen


def test_all_projects_come_and_archived_and_trashed_ones_are_told_apart(tmp_path: Path) -> None:
    """Beyond the first 50, and beyond the cap of 100."""
    with running(small_site(issues=10, projects=230), tmp_path) as home:
        home.pull("projects")
        assert len(home.live("projects")) == 230
        archived, deleted, hidden, renamed = list(home.site.projects.values())[100:104]
        home.site.archive_project(archived.id)
        home.site.delete_project(deleted.id)
        home.site.hide_project(hidden.id)
        home.site.rename_project(renamed.id, key="NEWKEY")
        done = home.pull("projects")[0]
        assert home.states("projects") == {archived.id: "archived", deleted.id: "deleted", hidden.id: "gone"}
        assert (done.gone, done.updated) == (3, 3)
        assert home.live("projects", "key")[str(renamed.id)] == ("NEWKEY",)
        home.site.restore_project(archived.id)
        home.site.show_project(hidden.id)
        home.pull("projects")
        assert home.states("projects") == {deleted.id: "deleted"}


def test_a_list_that_is_refused_ends_no_project(home: JiraHome) -> None:
    """The lists of archived and deleted projects are an experimental parameter."""
    home.pull("projects")
    gone = next(iter(home.site.projects.values()))
    home.site.archive_project(gone.id)
    home.sandbox.faults.add(Fault(kind="status", status=400, match="status=archived", times=None))
    done = home.pull("projects")[0]
    assert (done.gone, done.rejected, done.exit_code) == (0, 1, 3)
    home.sandbox.faults.clear()
    assert home.pull("projects")[0].exit_code == 0
    assert home.states("projects") == {gone.id: "archived"}


def test_hidden_and_archived_projects_take_their_issues_along(home: JiraHome) -> None:
    """They are gone, not deleted; shown again they live again; too many at once are not believed."""
    home.pull("projects", "issues")
    by_size = sorted(home.site.projects, key=lambda p: sum(i.project == p for i in home.site.issues.values()))
    small, large = by_size[0], by_size[-1]
    home.site.hide_project(large)
    refused = home.pull("issues", mode="census")[0]
    assert (refused.gone, refused.exit_code) == (0, 3)
    home.site.show_project(large)
    home.site.archive_project(small)
    home.pull("projects", "issues", mode="census")
    assert home.states("projects") == {small: "archived"}
    assert set(home.states("issues").values()) == {"gone"}
    assert set(home.live("issues")) == home.true_ids("issues")
    home.site.restore_project(small)
    home.pull("issues", mode="census")
    assert home.states("issues") == {}


def test_a_moved_issue_is_the_same_row(home: JiraHome) -> None:
    """The key is an attribute, the id is the record."""
    home.pull("issues")
    issue = next(i for i in home.site.visible_issues() if i.parent is None and not i.subtasks)
    target = next(p for p in home.site.projects.values() if p.id != issue.project)
    home.later()
    home.site.move_issue(issue.id, target.id)
    done = home.pull("issues")[0]
    assert (done.inserted, done.updated) == (0, 1)
    assert home.live("issues", "key", "project_id")[str(issue.id)] == (issue.key, target.id)


# Tokens


def test_a_dead_token_is_an_error_and_changes_nothing(home: JiraHome) -> None:
    """Most reads answer it with 200 and nothing."""
    home.pull("projects", "issues")
    home.site.revoke_token(TOKEN)
    for done in home.outcome("issues", mode="census") + home.outcome("projects", "issues"):
        assert done.status == "failed" and "does not accept the token" in (done.error or "")
        assert TOKEN not in (done.error or "")
    assert len(home.live("issues")) == 120 and len(home.live("projects")) == 5


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("verb", ["read", "keys"])
def test_a_token_that_dies_in_the_middle_is_noticed(tmp_path: Path, stream: str, verb: str) -> None:
    """Whatever is asked next, to the last request: no answer that came after counts as the end, or as gone."""
    with running(small_site(issues=50), tmp_path, ids_a_page=20, workers=1) as home:
        count = 0

        def everything() -> list[Page]:
            nonlocal count
            count = 0
            source = home.source(stream)
            return list(read(source, stream) if verb == "read" else source.keys(stream, places={}))

        home.sandbox.reset_counts()
        assert everything()
        of_all = home.sandbox.counts["jira"].requests
        for fatal in (1, of_all // 2 + 1, of_all):

            def revoke(site: Site, _: Request, fatal: int = fatal) -> None:
                nonlocal count
                count += 1
                if count == fatal:
                    site.revoke_token(TOKEN)  # type: ignore[attr-defined]  # a JiraSite

            home.sandbox.before_request.append(revoke)
            with pytest.raises(NotAllowed, match="does not accept the token"):
                everything()
            home.sandbox.before_request.remove(revoke)
            home.site.restore_token(TOKEN)


def test_a_missing_issue_counts_as_gone_only_while_the_token_works(home: JiraHome) -> None:
    """A dead token gets 404 for every issue."""
    source = home.source("issues")
    issue = next(home.site.visible_issues())
    assert ids_of(list(source.fetch("issues", [(issue.id,), (999,)]))) == [str(issue.id)]
    home.site.hide_issue(issue.id)

    def revoke(site: Site, request: Request) -> None:
        if request.path.endswith(f"/issue/{issue.id}"):
            home.site.revoke_token(TOKEN)

    home.sandbox.before_request.append(revoke)
    with pytest.raises(NotAllowed):
        list(source.fetch("issues", [(issue.id,)]))


def test_a_service_account_goes_by_the_gateway(home: JiraHome) -> None:
    """Its token is refused by the site's own host, and the message says where it works."""
    account = attrs.evolve(home.settings.account("jira"), user=SERVICE_EMAIL, token=SERVICE_TOKEN)
    with pytest.raises(NotAllowed, match=r"api\.atlassian\.com/ex/jira"):
        sources.connect(account, doors=home.doors, streams=("projects",)).check()
    gateway = attrs.evolve(account, url=f"{account.url}/ex/jira/{CLOUD_ID}")
    source = sources.connect(gateway, doors=home.doors, streams=("projects",))
    assert source.check().account == CLOUD_ID
    assert set(ids_of(list(read(source, "projects")))) == home.true_ids("projects")


@pytest.mark.parametrize("ending", ["", "/", "/rest/api/3", "/rest/api/2/", "/rest/api/latest"])
def test_the_url_may_have_the_api_behind_it(home: JiraHome, ending: str) -> None:
    """People paste what they see; the account is the site in each case."""
    account = home.settings.account("jira")
    source = sources.connect(attrs.evolve(account, url=account.url + ending), doors=home.doors, streams=())
    identity = source.check()
    assert identity.account == CLOUD_ID and "(" in identity.user
    assert abs(identity.clock_skew_s) > 60 and "clock" in identity.notes[0]


def test_wrong_urls_and_options_are_one_readable_line(home: JiraHome) -> None:
    """Each says what to do next."""
    account = home.settings.account("jira")
    wrong = attrs.evolve(account, url=account.url + "/wiki")
    with pytest.raises(NotFound, match="no Jira Cloud REST API"):
        sources.connect(wrong, doors=home.doors, streams=()).check()
    bearer = attrs.evolve(account, options={"auth": "bearer"})
    with pytest.raises(NotAllowed, match="status 403"):
        sources.connect(bearer, doors=home.doors, streams=()).check()
    for options in ({"workers": 0}, {"workers": True}, {"limits": "none"}, {"wokers": 2}):
        with pytest.raises(UsageError, match=next(iter(options))):
            sources.connect(attrs.evolve(account, options=options), doors=home.doors, streams=())
    home.sandbox.faults.add(Fault(kind="html", match="myself"))
    with pytest.raises(AnswerError, match="not JSON"):
        home.source("issues").check()


def test_dropped_and_refused_requests_are_asked_again(home: JiraHome) -> None:
    """5xx, a 429 with and without a time, resets and cut answers cost time and nothing else."""
    for number, kind in enumerate(("status", "reset_before", "reset_after", "truncate")):
        home.sandbox.faults.add(Fault(kind=kind, match="POST|GET /rest/api/3/field", skip=number, status=503))  # type: ignore[arg-type]  # they are kinds
    home.sandbox.faults.add(Fault(kind="status", status=429, headers={"Retry-After": "3"}, match="bulkfetch"))
    home.sandbox.faults.add(Fault(kind="status", status=429, match="changelog", skip=1))
    home.pull("issues", "changelogs")
    assert set(home.live("issues")) == home.true_ids("issues")
    assert sum(home.sandbox.faults.reached.values()) == 6
    home.sandbox.faults.add(Fault(kind="status", status=503, match="search", times=None))
    with pytest.raises(Unavailable, match="5 times"):
        list(read(home.source("issues"), "issues"))
