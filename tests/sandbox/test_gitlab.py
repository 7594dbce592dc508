"""GitLab's REST API in the sandbox: each trap of the fact sheet is there, as awkward as it is described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from syncer.sandbox import Clock, GitLabSite
from syncer.sandbox.gitlab import Limits, Token
from tests.sandbox.gitlab_client import START, Api, serve, small_site


@pytest.fixture
def gitlab() -> Iterator[Api]:
    """A small GitLab of this test's own."""
    clock = Clock(START)
    with serve(small_site(clock), clock) as api:
        yield api


@pytest.fixture(scope="module")
def big() -> Iterator[Api]:
    """A GitLab with more than 10,000 issues and with strangers' projects, to be read only."""
    clock = Clock(START)
    site = GitLabSite.generate(seed=4, projects=30, issues=11_000, strangers=2, clock=clock)
    with serve(site, clock) as api:
        yield api


def shown(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def test_a_page_has_20_rows_and_at_most_100(big: Api) -> None:
    """A client that asks for 500 rows gets 100 and must not think that this was all."""
    page = big.get("/projects")
    assert (len(page.json()), page.headers["X-Total"], page.headers["X-Next-Page"]) == (20, "32", "2")
    assert len(big.rows("/issues", scope="all", per_page=500)) == 100


def test_over_10_000_rows_the_totals_vanish(big: Api) -> None:
    """Counting pages by x-total breaks just where it matters; rel=next stays."""
    few = big.get("/issues", scope="all", iids="1")
    many = big.get("/issues", scope="all", non_archived="false")
    assert "X-Total" in few.headers and 'rel="last"' in few.headers["Link"]
    assert "X-Total" not in many.headers and "X-Total-Pages" not in many.headers
    assert 'rel="last"' not in many.headers["Link"] and 'rel="next"' in many.headers["Link"]
    assert many.headers["X-Next-Page"] == "2"


def test_links_are_whole_urls_that_carry_the_filters(big: Api) -> None:
    """Following rel=next alone visits every row once."""
    rows = [row for page in big.pages("/projects", per_page=7, order_by="name") for row in page.json()]
    assert len({row["id"] for row in rows}) == len(rows) == len(big.site.truth("projects"))
    assert (
        f"<{big.url}/api/v4/projects?order_by=name&page=2&per_page=7>"
        in big.get("/projects", per_page=7, order_by="name").headers["Link"]
    )


def test_keyset_pages_have_a_link_and_nothing_else(big: Api) -> None:
    """No x-next-page and no totals; the link stands behind every page that is not empty, the last one too."""
    pages = list(big.pages("/projects", pagination="keyset", order_by="id", sort="asc", per_page=20))
    assert [len(page.json()) for page in pages] == [20, 12, 0]
    assert all("X-Next-Page" not in page.headers and "X-Total" not in page.headers for page in pages)
    assert "Link" not in pages[-1].headers


def test_keyset_works_for_projects_by_id_only(big: Api) -> None:
    """Anything else is 405; lists that do not know it ignore the word and give offset pages."""
    assert big.get("/projects", pagination="keyset", order_by="name").status_code == 405
    assert "X-Next-Page" in big.get("/merge_requests", scope="all", pagination="keyset").headers


def test_offsets_of_projects_end_at_50_000(big: Api) -> None:
    """The cap counts what was asked for, not what is there."""
    assert big.get("/projects", page=500, per_page=100).status_code == 200
    refused = big.get("/projects", page=501, per_page=100)
    assert refused.status_code == 405
    assert "maximum allowed offset of 50000 for requests that return objects of type Project" in refused.text


def test_project_issues_by_keyset(big: Api) -> None:
    """Since 18.3; equal times are passed in order."""
    project = max(big.usable(), key=lambda one: len(big.site.store.issues_of[one.id]))
    path = f"/projects/{project.id}/issues"
    rows = big.all(path, pagination="keyset", order_by="updated_at", sort="asc")
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)
    assert len({row["id"] for row in rows}) == len(rows) == len(big.site.store.issues_of[project.id])


def test_commits_have_no_totals_and_a_full_last_page_is_followed_by_an_empty_one(gitlab: Api) -> None:
    """So "the page is full" does not mean that there is more."""
    project = gitlab.usable()[0]
    path = f"/projects/{project.id}/repository/commits"
    count = len(gitlab.all(path))
    pages = list(gitlab.pages(path, per_page=count))
    assert [len(page.json()) for page in pages] == [count, 0]
    assert not any("X-Total" in page.headers or 'rel="last"' in page.headers["Link"] for page in pages)


def test_instance_lists_are_the_callers_own_by_default(gitlab: Api) -> None:
    """`/issues` without scope=all is a short success."""
    own = gitlab.all("/issues")
    assert {row["author"]["id"] for row in own} == {gitlab.site.edits.owner_id}
    assert len(own) < len(gitlab.all("/issues", scope="all"))
    assert {row["author"]["id"] for row in gitlab.all("/merge_requests")} == {gitlab.site.edits.owner_id}


def test_issues_of_archived_projects_are_hidden_by_default(gitlab: Api) -> None:
    """On the instance and on groups; the project's own list shows them."""
    project = gitlab.usable()[0]
    gitlab.site.edits.archive_project(project.id)
    assert project.id not in {row["project_id"] for row in gitlab.all("/issues", scope="all")}
    assert project.id in {row["project_id"] for row in gitlab.all("/issues", scope="all", non_archived="false")}
    assert gitlab.rows(f"/projects/{project.id}/issues")


def test_unknown_parameters_are_ignored(gitlab: Api) -> None:
    """A misspelt filter is a full pull; so are filters that a list does not have."""
    far = shown(START + timedelta(days=400))
    project = next(one for one in gitlab.usable() if gitlab.site.store.repositories[one.id].tags)
    row = gitlab.open_merge_request()
    assert gitlab.rows("/issues", scope="all", update_after=far)
    assert gitlab.rows(f"/projects/{project.id}/repository/tags", updated_after=far)
    assert gitlab.rows(f"/projects/{row.project_id}/merge_requests/{row.iid}/commits", since=far)


def test_updated_after_is_inclusive_and_finer_than_what_is_shown(gitlab: Api) -> None:
    """Rows are shown in milliseconds and kept in microseconds: the last time seen brings its own row again."""
    for row in gitlab.rows("/issues", scope="all", order_by="updated_at", per_page=10):
        again = gitlab.all("/issues", scope="all", updated_after=row["updated_at"])
        assert row["id"] in {one["id"] for one in again}


@pytest.mark.parametrize("order", ["updated_at", "created_at"])
def test_a_window_has_both_its_ends(gitlab: Api, order: str) -> None:
    """`updated_after` and `updated_before` are inclusive, whatever the order is."""
    issue = gitlab.site.edits.create_issue(gitlab.usable()[0].id)
    issue.updated_at = issue.updated_at.replace(microsecond=250_000)
    gitlab.site.store.changed()
    at = shown(issue.updated_at)
    found = gitlab.rows("/issues", scope="all", order_by=order, updated_after=at, updated_before=at)
    assert [row["id"] for row in found] == [issue.id]


def test_a_time_without_a_zone_is_utc(gitlab: Api) -> None:
    """Local time as a watermark skips hours; an unescaped "+02:00" is lost on the way, which is the same."""
    issue = gitlab.site.edits.edit_issue(next(iter(gitlab.site.truth("issues")))[0])
    utc = issue.updated_at
    local = utc + timedelta(hours=2)
    path, form = "/issues?scope=all&non_archived=false&updated_after=", "%Y-%m-%dT%H:%M:%S"

    def finds(text: str) -> bool:
        return issue.id in {row["id"] for row in gitlab.rows(path + text)}

    assert finds(utc.strftime(form)) and finds(local.strftime(form) + "%2B02:00")
    assert not finds(local.strftime(form)) and not finds(local.strftime(form) + "+02:00")


def test_bad_values_are_400(gitlab: Api) -> None:
    """Known parameters are checked."""
    assert gitlab.get("/issues", scope="all", updated_after="soon").json() == {"error": "updated_after is invalid"}
    assert gitlab.get("/issues", order_by="luck").json() == {"error": "order_by does not have a valid value"}
    assert gitlab.get("/projects", archived="perhaps").status_code == 400


def test_updated_after_of_projects_needs_its_order(gitlab: Api) -> None:
    """With any other order it filters nothing; last_activity_after always does."""
    far = shown(START + timedelta(days=1))
    assert gitlab.rows("/projects", updated_after=far)
    assert gitlab.rows("/projects", updated_after=far, order_by="updated_at") == []
    assert gitlab.rows("/projects", last_activity_after=far) == []


def test_created_at_orders_by_id(gitlab: Api) -> None:
    """An imported issue has an old time under a new id, and stands where its id says."""
    new = gitlab.site.edits.create_issue(gitlab.usable()[0].id)
    new.created_at = datetime(2019, 1, 1, tzinfo=UTC)
    assert gitlab.rows("/issues", scope="all", order_by="created_at", sort="desc")[0]["id"] == new.id


def test_many_issues_share_one_time(big: Api) -> None:
    """More than a page of them: going on from the last time seen never ends without paging inside it."""
    times = Counter(row.updated_at for row in big.site.store.issues.values())
    assert max(times.values()) > 100


def test_activity_moves_once_an_hour_and_not_by_pipelines(gitlab: Api) -> None:
    """A gate on last_activity_after needs more than an hour of overlap, and no pipelines behind it."""
    project = gitlab.usable()[0]
    gitlab.clock.advance(7200)
    gitlab.site.git.push(project.id, gitlab.site.store.repositories[project.id].default_branch)
    first = gitlab.get(f"/projects/{project.id}").json()["last_activity_at"]
    gitlab.clock.advance(3000)
    gitlab.site.edits.create_issue(project.id)
    gitlab.clock.advance(700)
    gitlab.site.edits.run_pipeline(project.id)
    assert gitlab.get(f"/projects/{project.id}").json()["last_activity_at"] == first
    gitlab.site.edits.create_issue(project.id)
    assert gitlab.get(f"/projects/{project.id}").json()["last_activity_at"] > first


def test_a_renamed_project_redirects_to_its_id(gitlab: Api) -> None:
    """Paths are no keys; ids stay."""
    project = gitlab.usable()[0]
    old = gitlab.encoded(project)
    assert gitlab.get(f"/projects/{old}").json()["id"] == project.id
    gitlab.site.edits.rename_project(project.id, "elsewhere")
    moved = gitlab.get(f"/projects/{old}/issues", state="opened")
    assert moved.status_code == 301
    assert moved.headers["Location"] == f"{gitlab.url}/api/v4/projects/{project.id}/issues?state=opened"
    assert gitlab.get(f"/projects/{gitlab.encoded(project)}").json()["id"] == project.id


def test_what_the_token_may_not_see_looks_deleted(gitlab: Api) -> None:
    """A lost permission and a deletion are the same 404, and both vanish from the lists."""
    hidden, deleted = gitlab.usable()[:2]
    gitlab.site.edits.hide_project(hidden.id)
    gitlab.site.edits.delete_project(deleted.id)
    for project in (hidden, deleted):
        answer = gitlab.get(f"/projects/{project.id}/issues")
        assert (answer.status_code, answer.json()) == (404, {"message": "404 Project Not Found"})
    gone = {hidden.id, deleted.id}
    assert not gone & {row["project_id"] for row in gitlab.all("/issues", scope="all")}
    assert not gone & {row["id"] for row in gitlab.all("/projects")}
    assert (hidden.id,) not in gitlab.site.truth("projects")
    gitlab.site.edits.show_project(hidden.id)
    assert gitlab.get(f"/projects/{hidden.id}").status_code == 200


def test_a_project_marked_for_deletion_stays_for_a_week(gitlab: Api) -> None:
    """It is renamed, listed, readable; only active=true leaves it out."""
    project = gitlab.site.edits.mark_project_for_deletion(gitlab.usable()[0].id)
    row = gitlab.get(f"/projects/{project.id}").json()
    assert row["marked_for_deletion_on"] == "2026-06-22"
    assert row["path"].endswith(f"-deletion_scheduled-{project.id}")
    assert project.id in {one["id"] for one in gitlab.all("/projects")}
    assert project.id not in {one["id"] for one in gitlab.all("/projects", active="true")}


def test_features_that_are_off_answer_each_in_its_own_way(gitlab: Api) -> None:
    """Issues: an empty list. Pipelines, merge requests: 403. Repository: 404. None of it means that rows are gone."""
    project = gitlab.usable()[0]
    for feature in ("issues", "jobs", "merge_requests", "repository"):
        gitlab.site.edits.switch_feature(project.id, feature, is_on=False)
    base = f"/projects/{project.id}"
    assert gitlab.rows(f"{base}/issues") == []
    assert gitlab.get(f"{base}/pipelines").json() == {"message": "403 Forbidden"}
    assert gitlab.get(f"{base}/merge_requests").status_code == 403
    assert gitlab.get(f"{base}/repository/commits").json() == {"message": "404 Repository Not Found"}
    row = gitlab.get(base).json()
    assert "readme_url" not in row and "forks_count" not in row and row["jobs_enabled"] is False


def test_a_project_without_a_repository_is_404_too(gitlab: Api) -> None:
    """`empty_repo` tells it apart from a lost permission."""
    project = gitlab.site.edits.create_project(gitlab.usable()[0].namespace_id, "Brand new", with_repository=False)
    row = gitlab.get(f"/projects/{project.id}").json()
    assert (row["empty_repo"], row["default_branch"]) == (True, None)
    for part in ("commits", "branches", "tags"):
        assert gitlab.get(f"/projects/{project.id}/repository/{part}").status_code == 404
    assert gitlab.get(f"/projects/{project.id}/repository/tags").json() == {"message": "404 Not Found"}


def test_simple_projects_have_no_updated_at(gitlab: Api) -> None:
    """Nor most of the rest."""
    row = gitlab.rows("/projects", simple="true")[0]
    assert "updated_at" not in row and "archived" not in row and "last_activity_at" in row


def test_membership_leaves_strangers_out(big: Api) -> None:
    """The instance's list has everybody's public projects."""
    everybodys, own = big.all("/projects"), big.all("/projects", membership="true")
    assert len({row["id"] for row in everybodys} - {row["id"] for row in own}) == 2


def test_group_lists_reach_into_subgroups_when_asked(gitlab: Api) -> None:
    """Projects of subgroups only with include_subgroups; issues of a group always have them."""
    top = next(row for row in gitlab.all("/groups") if row["parent_id"] is None and row["path"] == "platform")
    direct = {row["id"] for row in gitlab.all(f"/groups/{top['id']}/projects")}
    below = {row["id"] for row in gitlab.all(f"/groups/{top['id']}/projects", include_subgroups="true")}
    assert direct < below
    issues = {row["project_id"] for row in gitlab.all(f"/groups/{top['id']}/issues", non_archived="false")}
    assert issues <= below and issues - direct
    assert gitlab.get("/groups/platform%2Finfra").json()["parent_id"] == top["id"]
    assert {row["path"] for row in gitlab.all(f"/groups/{top['id']}/subgroups")} == {"infra", "billing"}


def test_relative_references_depend_on_the_list(gitlab: Api) -> None:
    """A hash over the whole record changes with the endpoint."""
    row = gitlab.rows("/issues", scope="all")[0]
    own = gitlab.get(f"/projects/{row['project_id']}/issues/{row['iid']}").json()
    assert row["references"]["full"] == row["references"]["relative"] == own["references"]["full"]
    assert own["references"]["relative"] == own["references"]["short"] == f"#{row['iid']}"


def test_an_issue_by_its_id_is_for_admins(gitlab: Api) -> None:
    """Sub-URLs of a project take the iid."""
    issue = next(iter(gitlab.site.truth("issues").values()))
    assert gitlab.get(f"/issues/{issue['id']}").status_code == 403
    gitlab.site.store.users[gitlab.site.edits.owner_id].is_admin = True
    assert gitlab.get(f"/issues/{issue['id']}").json()["iid"] == issue["iid"]
    assert gitlab.get(f"/projects/{issue['project_id']}/issues/{issue['id']}").status_code == 404


def test_a_moved_issue_leaves_a_closed_one_behind(gitlab: Api) -> None:
    """The new one has another id; the old one names it."""
    here, there = gitlab.usable()[:2]
    old = gitlab.site.edits.create_issue(here.id)
    new = gitlab.site.edits.move_issue(old.id, there.id)
    row = gitlab.get(f"/projects/{here.id}/issues/{old.iid}").json()
    assert (row["state"], row["moved_to_id"]) == ("closed", new.id)
    assert gitlab.get(f"/projects/{there.id}/issues/{new.iid}").json()["id"] == new.id


def test_merge_status_changes_without_updated_at(gitlab: Api) -> None:
    """Whoever keeps it sees rows change that did not."""
    row = gitlab.open_merge_request()
    path = f"/projects/{row.project_id}/merge_requests"
    seen = [gitlab.rows(path, iids=row.iid)[0] for _ in range(3)]
    assert len({one["merge_status"] for one in seen}) == 3
    assert len({one["updated_at"] for one in seen}) == 1


def test_commits_of_a_merge_request_have_no_parents(gitlab: Api) -> None:
    """Their times are in UTC; the repository's have the author's offset."""
    row = gitlab.open_merge_request()
    listed = gitlab.all(f"/projects/{row.project_id}/merge_requests/{row.iid}/commits")
    alone = gitlab.get(f"/projects/{row.project_id}/repository/commits/{row.sha}").json()
    assert listed[0]["id"] == row.sha and all(one["parent_ids"] == [] for one in listed)
    assert alone["parent_ids"] and not alone["committed_date"].endswith("Z")
    assert datetime.fromisoformat(alone["committed_date"]) == datetime.fromisoformat(listed[0]["committed_date"])


def test_pushing_to_its_branch_moves_a_merge_request(gitlab: Api) -> None:
    """A new sha, a newer updated_at, one commit more."""
    row = gitlab.open_merge_request()
    path = f"/projects/{row.project_id}/merge_requests/{row.iid}"
    before, count = gitlab.get(path).json(), len(gitlab.all(path + "/commits"))
    head = gitlab.site.edits.push_to_merge_request(row.id)
    after = gitlab.get(path).json()
    assert after["sha"] == head != before["sha"] and after["updated_at"] > before["updated_at"]
    assert len(gitlab.all(path + "/commits")) == count + 1


def test_child_pipelines_are_listed_only_when_asked_for(gitlab: Api) -> None:
    """And then only they: all of them are two calls."""
    project = gitlab.usable()[0]
    parent = gitlab.site.edits.run_pipeline(project.id, with_child=True)
    path = f"/projects/{project.id}/pipelines"
    plain, children = gitlab.all(path), gitlab.all(path, source="parent_pipeline")
    assert {row["source"] for row in children} == {"parent_pipeline"}
    assert max(row["id"] for row in children) > parent.id
    assert parent.id in {row["id"] for row in plain} and "parent_pipeline" not in {row["source"] for row in plain}
    assert len(plain) + len(children) == len(gitlab.site.store.pipelines_of[project.id])
    assert [row["id"] for row in plain] == sorted((row["id"] for row in plain), reverse=True)


def test_a_pipeline_without_updated_at_is_in_no_window(gitlab: Api) -> None:
    """A first pull that filters never sees it."""
    project = gitlab.usable()[0]
    silent = gitlab.site.edits.run_pipeline(project.id, source="external")
    path = f"/projects/{project.id}/pipelines"
    rows = {row["id"]: row["updated_at"] for row in gitlab.all(path)}
    assert rows[silent.id] is None
    for window in ({"updated_after": "1970-01-01"}, {"updated_before": "2100-01-01"}):
        assert silent.id not in {row["id"] for row in gitlab.all(path, **window)}
    assert gitlab.rows(path, order_by="updated_at")[0]["updated_at"] is None


def test_ties_of_pipelines_come_in_another_order_each_time(gitlab: Api) -> None:
    """Offset pages over them skip and repeat; by id they do not."""
    project = gitlab.usable()[0]
    for _ in range(12):
        gitlab.site.edits.run_pipeline(project.id)
    path = f"/projects/{project.id}/pipelines"
    orders = {tuple(row["id"] for row in gitlab.rows(path, order_by="ref")) for _ in range(4)}
    assert len(orders) == 4
    assert len({tuple(row["id"] for row in gitlab.rows(path)) for _ in range(4)}) == 1


def test_without_a_token_there_is_public_data_and_no_error(big: Api) -> None:
    """A lost header is silent."""
    for headers in ({}, {"PRIVATE-TOKEN": ""}):
        rows = requests.get(f"{big.url}/api/v4/projects", params={"per_page": 100}, headers=headers, timeout=10)
        assert rows.status_code == 200 and {row["visibility"] for row in rows.json()} == {"public"}
    issues = requests.get(f"{big.url}/api/v4/issues", timeout=10)
    assert issues.status_code == 401


def test_tokens_that_are_not_good(gitlab: Api) -> None:
    """401 for wrong, expired, revoked; 403 for a scope that is not enough; Bearer is as good as PRIVATE-TOKEN."""
    owner, tokens = gitlab.site.edits.owner_id, gitlab.site.tokens
    tokens["old"] = Token(value="old", user_id=owner, expires_at=START.date())
    tokens["gone"] = Token(value="gone", user_id=owner, is_revoked=True)
    tokens["git"] = Token(value="git", user_id=owner, scopes=("read_repository",))

    def ask(value: str, path: str = "/projects") -> tuple[int, str]:
        answer = requests.get(f"{gitlab.url}/api/v4{path}", headers={"Authorization": f"Bearer {value}"}, timeout=10)
        return answer.status_code, answer.text

    assert ask("nobody's") == (401, '{"message":"401 Unauthorized"}')
    assert "Token is expired" in ask("old")[1] and "revoked" in ask("gone")[1]
    assert ask("git")[0] == 403 and "insufficient_scope" in ask("git")[1]
    assert ask("git", "/personal_access_tokens/self")[0] == 200
    assert ask(gitlab.site.token)[0] == 200


def test_each_token_sees_the_projects_of_its_user(gitlab: Api) -> None:
    """What is hidden from one may be another's."""
    hidden = gitlab.usable()[0]
    other = next(user_id for user_id in hidden.members if user_id != gitlab.site.edits.owner_id)
    gitlab.site.tokens["other"] = Token(value="other", user_id=other)
    gitlab.site.edits.hide_project(hidden.id)
    assert gitlab.get(f"/projects/{hidden.id}").status_code == 404
    gitlab.session.headers["PRIVATE-TOKEN"] = "other"
    assert gitlab.get(f"/projects/{hidden.id}").status_code == 200


def test_too_many_requests_are_told_in_plain_text(gitlab: Api) -> None:
    """Headers may be missing; nothing is JSON; what was refused does not count against the limit."""
    gitlab.site.limits = Limits(requests=3, window_s=0.4)
    answers = [gitlab.get("/version") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 3
    assert {answer.text for answer in answers[3:]} == {"Retry later\n"}
    assert [("Retry-After" in one.headers, "RateLimit-Reset" in one.headers) for one in answers[3:]] == [
        (True, True),
        (False, True),
        (False, False),
    ]
    assert (gitlab.site.too_many, gitlab.site.peak_requests(60)) == (3, 6)
    gitlab.site.limits = Limits(requests=3, window_s=0.001)
    assert gitlab.get("/version").status_code == 200


def test_single_routes_have_limits_of_their_own_on_gitlab_com(gitlab: Api) -> None:
    """400 a minute for one project's row, while the other routes go on."""
    gitlab.site.limits = Limits.gitlab_com()
    project = gitlab.usable()[0]
    statuses = Counter(gitlab.get(f"/projects/{project.id}").status_code for _ in range(402))
    assert statuses == {200: 400, 429: 2}
    assert gitlab.get(f"/projects/{project.id}/issues").status_code == 200


def test_what_is_not_the_api_is_a_page(gitlab: Api) -> None:
    """A wrong base URL ends at a log-in form, with 200."""
    answer = gitlab.session.get(f"{gitlab.url}/projects", timeout=10)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    assert gitlab.get("/nowhere").status_code == 404
    assert gitlab.session.delete(f"{gitlab.url}/api/v4/projects/1", timeout=10).status_code == 405


def test_an_etag_saves_bytes_only(gitlab: Api) -> None:
    """304 for what the client has."""
    first = gitlab.get("/groups")
    again = gitlab.session.get(first.url, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
