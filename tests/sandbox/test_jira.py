"""The Jira site but for issues: who may call, projects, definitions, limits, odd data, and the client of others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from jira import JIRA

from syncer.sandbox import JiraSite
from syncer.sandbox.jira import CLOUD_ID, EMAIL, SERVICE_EMAIL, SERVICE_TOKEN, TOKEN
from syncer.sandbox.jira.data import LARGE
from syncer.sandbox.jira.limits import Limits
from syncer.sandbox.jira.model import Issue
from syncer.sandbox.jira.words import document
from tests.sandbox.jira_api import Api, running, small_site


@pytest.fixture
def api() -> Iterator[Api]:
    with running(small_site()) as running_api:
        yield running_api


@pytest.fixture
def site(api: Api) -> JiraSite:
    return api.site


@pytest.fixture
def client(api: Api) -> JIRA:
    return JIRA(api.root, options={"rest_api_version": "3"}, basic_auth=(EMAIL, TOKEN), max_retries=0)


def large_issue(site: JiraSite) -> Issue:
    """Return the one issue that has more of everything than is embedded."""
    return max(site.issues.values(), key=lambda issue: len(issue.comments))


def lone_issue(site: JiraSite) -> Issue:
    return next(issue for issue in site.visible_issues() if not issue.subtasks and issue.parent is None)


def test_client_reads_every_issue(client: JIRA, site: JiraSite) -> None:
    """It pages by token, 100 at a time."""
    issues = client.search_issues("updated >= 0 ORDER BY created ASC", maxResults=0)
    assert {issue.id for issue in issues} == {str(issue.id) for issue in site.visible_issues()}
    assert isinstance(issues[0].fields.status.statusCategory.key, str) and issues[0].fields.created


def test_client_posts_nulls_and_still_reads(client: JIRA) -> None:
    """Its POST has `expand` and `properties` as null."""
    assert len(client.enhanced_search_issues("updated >= 0", maxResults=30, use_post=True)) == 30


def test_client_reads_projects_and_one_issue(client: JIRA, site: JiraSite) -> None:
    """By key and by id; the account is known."""
    assert {project.key for project in client.projects()} == {project.key for project in site.projects.values()}
    issue = next(site.visible_issues())
    assert client.issue(issue.key).id == str(issue.id)
    assert client.project(str(issue.project)).id == str(issue.project)
    assert client.myself()["emailAddress"] == EMAIL and client.server_info()["deploymentType"] == "Cloud"


def test_client_reads_comments_worklogs_and_definitions(client: JIRA, site: JiraSite) -> None:
    """It asks for one page of comments, and so gets the first 100 of them."""
    issue = large_issue(site)
    assert len(client.comments(issue.key)) == 100 < LARGE[0] == len(issue.comments)
    assert len(client.worklogs(issue.key)) == LARGE[1]
    assert client.fields() and client.statuses() and client.statuscategories()


def test_client_gets_wiki_text_from_version_2(api: Api, site: JiraSite) -> None:
    """Its default version has no ADF."""
    old = JIRA(api.root, basic_auth=(EMAIL, TOKEN), max_retries=0)
    site.update_issue(next(site.visible_issues()).id, {"description": document(random.Random(1), 2)})
    assert isinstance(old.issue(str(next(site.visible_issues()).id)).fields.description, str)


def test_revoked_token_reads_nothing_and_is_not_refused(api: Api, site: JiraSite) -> None:
    """Trap 1: 200 with empty lists, and one header."""
    issue = next(site.visible_issues())
    site.revoke_token()
    for answer in (api.get("/project/search"), api.get("/search/jql", jql="updated >= 0"), api.get("/field")):
        assert answer.status_code == 200
        assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"
        assert "X-AACCOUNTID" not in answer.headers
    assert api.get("/project/search").json()["values"] == [] == api.search()["issues"]
    assert api.get(f"/issue/{issue.key}").status_code == 404
    assert api.bulk(issue.id)["issues"] == []


def test_only_myself_tells_a_bad_token_by_its_status(api: Api, site: JiraSite) -> None:
    """The gate of every run."""
    assert api.get("/myself").json()["timeZone"] == "Europe/Amsterdam"
    site.revoke_token()
    answer = api.get("/myself")
    assert answer.status_code == 401 and answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"
    site.restore_token()
    assert api.get("/myself").ok


@pytest.mark.parametrize("auth", [(EMAIL, "wrong"), ("other@example.com", TOKEN), None])
def test_unknown_caller_is_anonymous(api: Api, auth: tuple[str, str] | None) -> None:
    """The token must be that address's own; without any there is not even the header."""
    answer = requests.get(f"{api.base}/project/search", auth=auth, timeout=10)
    assert answer.json()["values"] == [] and ("X-Seraph-LoginReason" in answer.headers) is (auth is not None)
    assert requests.get(f"{api.base}/serverInfo", auth=auth, timeout=10).ok


def test_service_account_is_refused_at_the_site_and_welcome_at_the_gateway(api: Api) -> None:
    """Its links are the gateway's, so they are no part of a record that stays the same."""
    auth = (SERVICE_EMAIL, SERVICE_TOKEN)
    assert requests.get(f"{api.base}/project/search", auth=auth, timeout=10).status_code == 401
    cloud = requests.get(f"{api.root}/_edge/tenant_info", timeout=10).json()["cloudId"]
    gateway = f"{api.root}/ex/jira/{cloud}/rest/api/3/project/search"
    project = requests.get(gateway, auth=auth, timeout=10).json()["values"][0]
    assert f"/ex/jira/{CLOUD_ID}/rest/api/3/project/" in project["self"]
    assert requests.get(gateway, auth=(EMAIL, TOKEN), timeout=10).status_code == 401
    other = gateway.replace(cloud, "another-cloud")
    assert requests.get(other, auth=auth, timeout=10).status_code == 404


def test_unreadable_bearer_is_a_403(api: Api) -> None:
    """With a body like no other."""
    answer = requests.get(f"{api.base}/myself", headers={"Authorization": "Bearer x"}, timeout=10)
    assert (answer.status_code, answer.json()) == (403, {"error": "Failed to parse Connect Session Auth Token"})


def test_healthy_answer_names_the_account(api: Api) -> None:
    """And its Date is the sandbox's."""
    headers = api.get("/myself").headers
    assert headers["X-AACCOUNTID"] == api.get("/myself").json()["accountId"]
    assert headers["Date"] == "Mon, 02 Mar 2026 09:00:00 GMT"


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/myself", 405), ("GET", "/nothing", 404)])
def test_what_is_not_served_is_a_problem(api: Api, method: str, path: str, status: int) -> None:
    """RFC 7807."""
    answer = api.session.request(method, api.base + path, timeout=10)
    assert answer.status_code == status and answer.headers["Content-Type"] == "application/problem+json"


def test_projects_come_50_at_a_time_and_never_more_than_100() -> None:
    """Trap 10: whatever is asked; nextPage can be followed."""
    with running(small_site(projects=130, issues=50)) as api:
        first = api.get("/project/search").json()
        assert (len(first["values"]), first["total"], first["isLast"]) == (50, 130, False)
        page = api.get("/project/search", maxResults=500).json()
        assert (len(page["values"]), page["maxResults"]) == (100, 100)
        rest = api.session.get(page["nextPage"], timeout=10).json()
        assert (len(rest["values"]), rest["isLast"], "nextPage" in rest) == (30, True, False)


def test_project_has_the_keys_of_its_style(api: Api) -> None:
    """Team-managed ones have two more; isPrivate is no reason to skip one (trap 15)."""
    projects = api.get("/project/search").json()["values"]
    classic, _, team, private, _ = sorted(projects, key=lambda project: int(project["id"]))
    assert set(team) - set(classic) == {"entityId", "uuid"}
    assert {"self", "id", "key", "name", "style", "simplified", "avatarUrls", "properties"} <= set(classic)
    assert private["isPrivate"] is True and api.search(f"project = {private['key']}")["issues"]


def test_insight_moves_with_the_issues_and_empty_projects_have_none(api: Api, site: JiraSite) -> None:
    """It lags as search does: a gate that trusts it at once skips what is not indexed yet."""
    project = site.project(lone_issue(site).project)

    def insight() -> Any:
        return api.get("/project/search", keys=project.key, expand="insight").json()["values"][0].get("insight")

    site.index_lag_s, before = 60.0, insight()
    site.update_issue(lone_issue(site).id, {"summary": "x"})
    assert insight() == before
    site.clock.advance(60)
    assert insight()["lastIssueUpdateTime"] == "2026-03-02T09:00:00.000+0000" != before["lastIssueUpdateTime"]
    for issue in [issue for issue in site.issues.values() if issue.project == project.id]:
        site.issues.pop(issue.id)
    site.revision += 1
    assert insight() is None


@pytest.mark.parametrize(("state", "key"), [("archived", "archivedDate"), ("deleted", "retentionTillDate")])
def test_archive_and_trash_are_told_apart_by_status_only(api: Api, site: JiraSite, state: str, key: str) -> None:
    """Their issues drop out of everything, and come back as they were."""
    issue = lone_issue(site)
    updated = issue.updated
    (site.archive_project if state == "archived" else site.delete_project)(issue.project)
    listed = api.get("/project/search", status=state).json()["values"]
    assert [project["id"] for project in listed] == [str(issue.project)] and key in listed[0]
    assert str(issue.project) not in {project["id"] for project in api.get("/project/search").json()["values"]}
    assert str(issue.id) not in api.ids() and api.bulk(issue.id)["issues"] == []
    site.restore_project(issue.project)
    assert str(issue.id) in api.ids() and site.issue(issue.id).updated == updated


def test_statuses_are_localised_and_a_project_may_have_its_own(api: Api) -> None:
    """Trap 7: the id leads to the category's key; names repeat, and are in other languages."""
    statuses = api.get("/status").json()
    progress = [s for s in statuses if s["statusCategory"]["key"] == "indeterminate"]
    assert len({s["name"] for s in progress}) > 2 and any("scope" in s for s in progress)
    assert {s["name"] for s in progress if s.get("untranslatedName") == "In Progress"} == {"In behandeling"}
    searched = api.get("/statuses/search").json()
    assert {s["id"] for s in searched["values"]} == {s["id"] for s in statuses} and searched["isLast"]
    assert {c["key"] for c in api.get("/statuscategory").json()} == {"undefined", "new", "indeterminate", "done"}


def test_changelogs_name_a_status_that_no_list_has(site: JiraSite) -> None:
    """A status that was deleted lives on in history."""
    named = {x[4] for i in site.issues.values() for h in i.histories for x in h.items if x[1] == "status"}
    assert named - {str(number) for number in site.catalogue.statuses} == {"10999"}


def test_field_names_are_not_unique(api: Api) -> None:
    """Trap 17: "Klant" is there twice, as text and as number."""
    fields = [field for field in api.get("/field").json() if field["name"] == "Klant"]
    assert [field["schema"]["type"] for field in fields] == ["string", "number"]
    assert fields[0]["clauseNames"][0] == "cf[10030]"


def test_burst_gets_a_429_with_its_headers(api: Api, site: JiraSite) -> None:
    """By endpoint and method: others go on."""
    site.limits = Limits(methods={"GET": 3.0, "POST": 3.0})
    answers = [api.get("/field") for _ in range(5)]
    refused = answers[-1]
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["RateLimit-Reason"] == "jira-burst-based" and "X-RateLimit-Reset" in refused.headers
    assert answers[0].headers["X-RateLimit-Limit"] == "3" and "X-RateLimit-Reset" not in answers[0].headers
    assert api.get("/status").ok
    assert site.refused_requests == sum(answer.status_code == 429 for answer in answers)
    assert site.peak_requests(60) == 5 and site.peak_requests(60, "GET /status") == 1
    site.limits = None
    assert api.get("/field").ok


def test_odd_values_arrive_as_they_are(api: Api, site: JiraSite) -> None:
    """A lone surrogate is in the bytes as its escape; orjson alone could not write it."""
    odd = {"summary": "x\ud83dy\x00{z}", "customfield_10016": "no number", "created": "1899-12-31T23:00:00.000-1230"}
    issue = next(site.visible_issues())
    for field, value in {**odd, "environment": "e" * 1_000_000}.items():
        site.inject(issue.id, field, value)
    answer = api.post("/issue/bulkfetch", {"issueIdsOrKeys": [str(issue.id)], "fields": [*odd, "environment"]})
    assert b"x\\ud83dy\\u0000" in answer.content and len(answer.content) > 1_000_000
    fields = json.loads(answer.content)["issues"][0]["fields"]
    assert {name: fields[name] for name in odd} == odd


def test_same_seed_is_the_same_site() -> None:
    """And the same edits, in the same order, with the same lags."""

    def told() -> list[Any]:
        site = small_site()
        site.index_lag_s = 60.0
        edits = site.edit(50, seed=9)
        with running(site) as api:
            pages = [api.post("/search/jql", {"jql": "updated >= 0", "fields": ["*all"]}).content for _ in range(2)]
        return [edits, pages, site.truth("issues")]

    assert told() == told()


def test_truth_is_what_the_api_says(api: Api, site: JiraSite) -> None:
    """After edits too; lastViewed is left out."""
    site.edit(200, seed=1)
    truth = site.truth("issues")
    seen = [i for page in api.pages(fields=["*all", "-lastViewed"], maxResults=100) for i in page["issues"]]
    expected = {number: json.loads(json.dumps(record)) for (number,), record in truth.items()}
    assert {issue["id"]: issue for issue in seen} == expected
    for stream in ("projects", "comments", "worklogs", "changelogs", "statuses", "fields"):
        assert site.truth(stream)


def test_edits_are_of_every_kind(site: JiraSite) -> None:
    """Create, change, comment, log work, delete, move, hide."""
    said = site.edit(400, seed=2)
    kinds = {text.partition(" ")[0] for text in said}
    assert kinds == {"created", "updated", "moved", "commented", "changed", "deleted", "logged", "hid"}
    assert len(said) == 400 and site.tombstones


def test_updated_never_lies_behind_what_happened() -> None:
    """Comments, worklogs and changes are never newer than the issue itself."""
    for issue in small_site().issues.values():
        moments = [c.updated for c in issue.comments] + [w.updated for w in issue.worklogs]
        assert issue.updated == max([issue.created, *moments, *(h.created for h in issue.histories)])
