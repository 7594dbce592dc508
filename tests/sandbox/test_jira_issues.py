"""The Jira site's issues one by one, and what hangs on them: changelogs, comments, worklogs; moves and deletions."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from syncer.sandbox import JiraSite
from syncer.sandbox.jira.data import LARGE
from syncer.sandbox.jira.model import Issue, to_ms
from syncer.sandbox.jira.render import render_time
from syncer.sandbox.jira.words import document
from tests.sandbox.jira_api import START, Api, running, small_site

ISSUE_FIELDS = """
aggregateprogress aggregatetimeestimate aggregatetimeoriginalestimate aggregatetimespent assignee attachment comment
components created creator customfield_10000 customfield_10014 customfield_10016 customfield_10018 customfield_10019
customfield_10020 customfield_10021 description duedate environment fixVersions issuelinks issuerestriction issuetype
labels lastViewed priority progress project reporter resolution resolutiondate security status
statuscategorychangedate subtasks summary timeestimate timeoriginalestimate timespent timetracking updated versions
votes watches worklog workratio
"""


@pytest.fixture
def api() -> Iterator[Api]:
    with running(small_site()) as running_api:
        yield running_api


@pytest.fixture
def site(api: Api) -> JiraSite:
    return api.site


def large_issue(site: JiraSite) -> Issue:
    """Return the one issue that has more of everything than is embedded."""
    return max(site.issues.values(), key=lambda issue: len(issue.comments))


def lone_issue(site: JiraSite) -> Issue:
    return next(issue for issue in site.visible_issues() if not issue.subtasks and issue.parent is None)


def test_issue_has_the_keys_of_real_ones(api: Api) -> None:
    """With `*all`; unset fields are null, parent is absent without one."""
    fields = api.bulk(large_issue(api.site).id, fields=["*all"])["issues"][0]["fields"]
    assert set(ISSUE_FIELDS.split()) <= set(fields)
    issue = lone_issue(api.site)
    assert "parent" not in api.bulk(issue.id, fields=["*all"])["issues"][0]["fields"]


def test_fields_of_another_project_are_absent(api: Api, site: JiraSite) -> None:
    """Team-managed projects have fields of their own."""
    own = next(field for field in site.catalogue.fields.values() if field.project is not None)
    inside = next(issue for issue in site.visible_issues() if issue.project == own.project)
    outside = next(issue for issue in site.visible_issues() if issue.project != own.project)
    one, two = sorted(api.bulk(inside.id, outside.id)["issues"], key=lambda issue: issue["id"] != str(inside.id))
    assert own.id in one["fields"] and own.id not in two["fields"]


def test_bulkfetch_is_by_id_and_has_errors_of_its_own(api: Api, site: JiraSite) -> None:
    """Hidden and missing look the same; the default is `*navigable`."""
    one, two, three = [issue.id for issue in site.visible_issues()][:3]
    site.hide_issue(two)
    answer = api.bulk(three, one, two, 99, "NO-1", three)
    assert [issue["id"] for issue in answer["issues"]] == [str(one), str(three)]
    assert [error["id"] for error in answer["issueErrors"]] == [str(two), "99", "NO-1"]
    assert "comment" not in answer["issues"][0]["fields"] and "summary" in answer["issues"][0]["fields"]


@pytest.mark.parametrize(
    "body",
    [
        {"issueIdsOrKeys": []},
        {"issueIdsOrKeys": [str(n) for n in range(101)]},
        {"issueIdsOrKeys": ["10001"], "expand": "names"},
        {"issueIdsOrKeys": ["10001"], "maxResults": 5},
    ],
)
def test_bulkfetch_checks_its_body(api: Api, body: dict[str, Any]) -> None:
    """`expand` is a list here: trap 14."""
    assert api.post("/issue/bulkfetch", body).status_code == 400


def test_moved_issue_keeps_its_id_and_answers_to_its_old_key(api: Api, site: JiraSite) -> None:
    """Trap 8: 200 with the new key, no redirect; the changelog has `Key` and `project`."""
    issue = lone_issue(site)
    old, target = issue.key, next(p for p in site.projects.values() if p.id != issue.project)
    site.move_issue(issue.id, target.id)
    answer = api.get(f"/issue/{old}")
    assert (answer.json()["id"], answer.history) == (str(issue.id), [])
    assert answer.json()["key"].startswith(target.key + "-")
    items = api.get(f"/issue/{old}/changelog").json()["values"][-1]["items"]
    assert [item["field"] for item in items][:2] == ["project", "Key"] and "fieldId" not in items[1]
    assert api.bulk(old)["issues"][0]["key"] == answer.json()["key"]


def test_deleted_and_hidden_issue_look_alike(api: Api, site: JiraSite) -> None:
    """§7: nothing tells them apart."""
    one, two = [issue.id for issue in site.visible_issues() if not issue.subtasks][:2]
    site.delete_issue(one)
    site.hide_issue(two)
    answers = [api.get(f"/issue/{number}") for number in (one, two)]
    assert [answer.status_code for answer in answers] == [404, 404] and answers[0].json() == answers[1].json()


def test_last_viewed_differs_at_every_look(api: Api) -> None:
    """It belongs to the reader: equal issues must not differ by it."""
    one, two = (api.bulk(next(api.site.visible_issues()).id)["issues"][0]["fields"] for _ in range(2))
    assert one.pop("lastViewed") != two.pop("lastViewed") and one == two


def test_dates_are_in_the_zone_of_the_account(api: Api, site: JiraSite) -> None:
    """The same instant, written differently: the text of a date is no hash of it."""
    issue = next(site.visible_issues())
    shown = []
    for zone in ("Europe/Amsterdam", "America/New_York"):
        site.zone = ZoneInfo(zone)
        shown.append(api.bulk(issue.id, fields=["created"])["issues"][0]["fields"]["created"])
    assert shown[0] != shown[1] and all(re.fullmatch(r"[\d-]{10}T[\d:.]{12}[+-]\d{4}", text) for text in shown)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (START, "2026-03-02T10:00:00.000+0100"),
        (START.replace(month=7), "2026-07-02T11:00:00.000+0200"),
        (START.replace(year=1850), "1850-03-02T09:17:00.000+0017"),
    ],
)
def test_offset_is_written_without_a_colon(moment: Any, text: str) -> None:
    """Summer and winter; before zones there were seconds in it, which cannot be written."""
    assert render_time(to_ms(moment), ZoneInfo("Europe/Brussels")) == text


def test_embedded_comments_and_worklogs_are_truncated(api: Api, site: JiraSite) -> None:
    """`total` tells; with no comment `maxResults` is 0."""
    fields = api.bulk(large_issue(site).id, fields=["comment", "worklog"])["issues"][0]["fields"]
    assert (len(fields["comment"]["comments"]), fields["comment"]["total"]) == (20, LARGE[0])
    assert (len(fields["worklog"]["worklogs"]), fields["worklog"]["total"]) == (20, LARGE[1])
    bare = next(issue for issue in site.visible_issues() if not issue.comments)
    assert api.bulk(bare.id, fields=["comment"])["issues"][0]["fields"]["comment"]["maxResults"] == 0


def test_comments_come_100_at_a_time(api: Api, site: JiraSite) -> None:
    """Whatever is asked."""
    issue = large_issue(site)
    page = api.get(f"/issue/{issue.id}/comment", maxResults=500).json()
    assert (len(page["comments"]), page["maxResults"], page["total"]) == (100, 100, LARGE[0])
    rest = api.get(f"/issue/{issue.id}/comment", startAt=100).json()
    assert len(rest["comments"]) == LARGE[0] - 100


def test_comment_moves_updated_but_its_deletion_does_not(api: Api, site: JiraSite) -> None:
    """§6a: only reading the comments again finds it."""
    issue = lone_issue(site)
    comment = site.add_comment(issue.id, document(random.Random(1), 1))
    assert site.issue(issue.id).updated == to_ms(START)
    site.clock.advance(600)
    site.delete_comment(issue.id, comment.id)
    assert api.ids("updated >= -5m") == []
    assert str(comment.id) not in {c["id"] for c in api.get(f"/issue/{issue.id}/comment").json()["comments"]}


def test_expanded_changelog_loses_the_oldest(api: Api, site: JiraSite) -> None:
    """Trap 6: newest first, 40 at most; `total` tells."""
    block = api.bulk(large_issue(site).id, expand=["changelog"])["issues"][0]["changelog"]
    assert (len(block["histories"]), block["maxResults"], block["total"]) == (40, 40, LARGE[2])
    ids = [int(history["id"]) for history in block["histories"]]
    assert ids == sorted(ids, reverse=True)


def test_changelog_of_one_issue_is_oldest_first_with_dates_as_text(api: Api, site: JiraSite) -> None:
    """100 a page."""
    page = api.get(f"/issue/{large_issue(site).id}/changelog", maxResults=1000).json()
    assert (page["maxResults"], page["total"], page["isLast"]) == (100, LARGE[2], True)
    created = [history["created"] for history in page["values"]]
    ids = [int(history["id"]) for history in page["values"]]
    assert all(isinstance(text, str) for text in created) and ids == sorted(ids)


def test_bulk_changelog_splits_an_issue_and_counts_milliseconds(api: Api, site: JiraSite) -> None:
    """Merge by issueId; the last page has no token, or null."""
    body: dict[str, Any] = {"issueIdsOrKeys": [i.key for i in site.visible_issues()], "maxResults": 50}
    seen: dict[str, list[int]] = {}
    parts = 0
    while True:
        page = api.post("/changelog/bulkfetch", body).json()
        for log in page["issueChangeLogs"]:
            parts += 1
            seen.setdefault(log["issueId"], []).extend(history["created"] for history in log["changeHistories"])
        if not page.get("nextPageToken"):
            break
        body["nextPageToken"] = page["nextPageToken"]
    assert parts > len(seen)
    assert seen == {str(i.id): [h.created for h in i.histories] for i in site.visible_issues() if i.histories}


def test_bulk_changelog_by_field_brings_whole_entries(api: Api, site: JiraSite) -> None:
    """An entry that matches comes with its other items; an issue without a match is absent."""
    refs = [str(issue.id) for issue in site.visible_issues()]
    logs = api.post("/changelog/bulkfetch", {"issueIdsOrKeys": refs, "fieldIds": ["status"]}).json()["issueChangeLogs"]
    entries = [[item.get("fieldId") for item in h["items"]] for log in logs for h in log["changeHistories"]]
    assert all("status" in ids for ids in entries) and any(None in ids or "resolution" in ids for ids in entries)
    changed = {i.id for i in site.visible_issues() for h in i.histories for item in h.items if item[1] == "status"}
    assert {int(log["issueId"]) for log in logs} == changed


@pytest.mark.parametrize("more", [{"fieldIds": list("abcdefghijk")}, {"issueIdsOrKeys": []}, {"maxResults": 10_001}])
def test_bulk_changelog_checks_its_body(api: Api, more: dict[str, Any]) -> None:
    """Ten fields, 1,000 issues, 10,000 entries."""
    assert api.post("/changelog/bulkfetch", {"issueIdsOrKeys": ["10001"], **more}).status_code == 400


def worklog_changes(api: Api, kind: str, since: int = 0) -> list[int]:
    """Follow nextPage; return the ids, as they come."""
    url, ids = f"{api.base}/worklog/{kind}?since={since}", []
    while True:
        page = api.session.get(url, timeout=10).json()
        ids += [change["worklogId"] for change in page["values"]]
        if page["lastPage"]:
            return ids
        url = page["nextPage"]


def test_worklog_changes_leave_the_last_minute_out(api: Api, site: JiraSite) -> None:
    """A mark at the time of the call would jump over it."""
    now = to_ms(site.clock.now())
    worklog = site.add_worklog(lone_issue(site).id, 3600)
    assert worklog_changes(api, "updated", now - 1000) == []
    site.clock.advance(60)
    assert worklog_changes(api, "updated", now - 1000) == [worklog.id]


def test_deleted_worklog_leaves_a_tombstone_but_not_with_its_issue(api: Api, site: JiraSite) -> None:
    """Deleting an issue takes its worklogs without a word."""
    one, two = [i for i in site.visible_issues() if i.worklogs and not i.subtasks][:2]
    gone, silent = one.worklogs[0].id, two.worklogs[0].id
    site.delete_worklog(one.id, gone)
    site.delete_issue(two.id)
    site.clock.advance(60)
    assert worklog_changes(api, "deleted") == [gone]
    assert {gone, silent} & set(worklog_changes(api, "updated")) == set()
    assert api.post("/worklog/list", {"ids": [gone, silent]}).json() == []


def test_worklog_changes_come_1000_at_a_time_and_may_come_twice() -> None:
    """The next page begins at the very millisecond at which this one ends."""
    with running(small_site(issues=1200)) as api:
        ids = worklog_changes(api, "updated")
        assert len(set(ids)) == len(api.site.worklog_issues) > 1000
        assert len(ids) > len(set(ids))


def test_worklog_list_is_a_bare_array_without_what_is_hidden(api: Api, site: JiraSite) -> None:
    """The list of changes has the ids of hidden issues, the records stay away."""
    issue = next(issue for issue in site.visible_issues() if issue.worklogs)
    number = issue.worklogs[0].id
    record = api.post("/worklog/list", {"ids": [number]}).json()[0]
    assert (record["id"], record["issueId"]) == (str(number), str(issue.id))
    site.hide_issue(issue.id)
    assert number in worklog_changes(api, "updated") and api.post("/worklog/list", {"ids": [number]}).json() == []
