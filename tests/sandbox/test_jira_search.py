"""The Jira site's search: paging by tokens, JQL, the index that lags, and what each refusal looks like."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from syncer.sandbox import JiraSite
from syncer.sandbox.jira.model import to_ms
from tests.sandbox.jira_api import ALL, START, Api, running, small_site

DAY_S = 86_400


@pytest.fixture
def api() -> Iterator[Api]:
    with running(small_site()) as running_api:
        yield running_api


@pytest.fixture(scope="module")
def large() -> Iterator[Api]:
    """A site of 1,200 issues that no test changes."""
    site = small_site(issues=1200)
    site.limits = None
    with running(site) as running_api:
        yield running_api


@pytest.fixture
def site(api: Api) -> JiraSite:
    return api.site


def some_ids(site: JiraSite, count: int) -> list[int]:
    return [issue.id for issue in site.visible_issues()][:count]


def test_without_fields_an_issue_is_its_id_and_nothing_else(large: Api) -> None:
    """Trap 2: no key, no fields object."""
    assert all(set(issue) == {"id"} for issue in large.search(maxResults=20)["issues"])


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        (["key"], {"expand", "id", "self", "key"}),
        (["summary"], {"expand", "id", "self", "key", "fields"}),
        (["*navigable"], {"expand", "id", "self", "key", "fields"}),
    ],
)
def test_fields_decide_the_shape(large: Api, fields: list[str], keys: set[str]) -> None:
    """The fields object is there only when a field is asked for."""
    assert set(large.search(fields=fields)["issues"][0]) == keys


def test_minus_takes_a_field_out_and_unknown_names_do_no_harm(large: Api) -> None:
    """`*all,-comment` is how a pull leaves the truncated pages out."""
    fields = large.search(fields=["*all", "-comment", "no_such_field"])["issues"][0]["fields"]
    assert "comment" not in fields and "worklog" in fields


def test_navigable_has_no_comments(large: Api) -> None:
    """The default of bulkfetch is not everything."""
    fields = large.search(fields=["*navigable"])["issues"][0]["fields"]
    assert not {"comment", "worklog", "attachment"} & set(fields)


def test_get_takes_fields_as_a_list_and_repeated(large: Api) -> None:
    """The client `jira` repeats the parameter."""
    one = large.get("/search/jql", jql=ALL, fields="summary,status").json()["issues"][0]["fields"]
    two = large.get("/search/jql", jql=ALL, fields=["summary", "status"]).json()["issues"][0]["fields"]
    assert one == two and set(one) == {"summary", "status"}


def test_names_and_schema_are_expanded_by_a_string(large: Api) -> None:
    """Trap 14: a string here, a list in bulkfetch."""
    page = large.search(expand="names,schema", fields=["customfield_10030"])
    assert page["names"] == {"customfield_10030": "Klant"}
    assert page["schema"]["customfield_10030"]["customId"] == 10030


def test_no_total_and_no_start(large: Api) -> None:
    """Trap 12."""
    assert set(large.search()) == {"issues", "isLast", "nextPageToken"}


@pytest.mark.parametrize(
    ("fields", "cap"),
    [(["id"], 1200), (["key", "updated"], 1200), (["created", "updated"], 1000), (["*all"], 100), (["-votes"], 100)],
)
def test_page_is_smaller_the_more_is_asked(large: Api, fields: list[str], cap: int) -> None:
    """Whatever maxResults says; up to 5,000 for ids."""
    page = large.search(fields=fields, maxResults=5000)
    assert len(page["issues"]) == cap
    assert page["isLast"] is (cap == 1200) and ("nextPageToken" in page) is (cap < 1200)


def test_pages_hold_every_issue_once(large: Api) -> None:
    """While nothing changes."""
    assert sorted(large.ids(maxResults=137)) == sorted(str(issue.id) for issue in large.site.visible_issues())


def test_page_that_holds_the_rest_exactly_is_the_last(api: Api) -> None:
    """No token, and no empty page behind it."""
    first, second = api.pages(maxResults=60)
    assert "nextPageToken" in first and "nextPageToken" not in second and second["isLast"] is True


def test_ties_in_created_are_in_an_order_of_their_own_that_stays(large: Api) -> None:
    """Issues of one import share the millisecond: neither id nor key orders them."""
    ids = [int(number) for number in large.ids("updated >= 0 ORDER BY created ASC", maxResults=200)]
    created = [large.site.issues[number].created for number in ids]
    assert created == sorted(created) and len(set(created)) < len(created)
    assert ids != sorted(ids, key=lambda number: (large.site.issues[number].created, number))
    assert ids == [int(number) for number in large.ids("updated >= 0 ORDER BY created ASC", maxResults=500)]


def test_token_is_a_position_so_by_updated_an_edit_hides_a_row(api: Api, site: JiraSite) -> None:
    """§5: an issue that was read and is edited goes to the end, and one that was not read takes its place."""
    jql = "updated >= 0 ORDER BY updated ASC"
    everything = api.ids(jql)
    first = api.search(jql, maxResults=10)
    site.clock.advance(60)
    site.update_issue(first["issues"][0]["id"], {"summary": "edited"})
    rest = api.ids(jql, nextPageToken=first["nextPageToken"])
    assert everything[10] not in rest and first["issues"][0]["id"] in rest


def test_by_created_an_edit_hides_nothing(api: Api, site: JiraSite) -> None:
    """The recommended order: rows can only enter, at the end."""
    first = api.search(maxResults=10)
    site.clock.advance(60)
    site.update_issue(first["issues"][0]["id"], {"summary": "edited"})
    rest = api.ids(nextPageToken=first["nextPageToken"])
    assert len(rest) == 110


def test_by_created_a_deleted_row_still_hides_one(api: Api, site: JiraSite) -> None:
    """A position has no order that is safe from deletions in what was read."""
    everything = api.ids()
    first = api.search(maxResults=10)
    victim = next(i["id"] for i in first["issues"] if not site.issue(i["id"]).subtasks)
    site.delete_issue(victim)
    assert everything[10] not in api.ids(nextPageToken=first["nextPageToken"])


def test_hidden_issues_make_pages_short_and_even_empty(api: Api, site: JiraSite) -> None:
    """An empty page with a token is not the end."""
    for number in api.ids()[:20]:
        site.hide_issue(number)
    pages = list(api.pages(maxResults=15))
    assert [len(page["issues"]) for page in pages[:3]] == [0, 10, 15]
    assert "nextPageToken" in pages[0] and sum(len(page["issues"]) for page in pages) == 100


def test_token_lives_seven_days(api: Api, site: JiraSite) -> None:
    """Trap 13: kept across days it is a 400, told by the status only."""
    token = api.search()["nextPageToken"]
    site.clock.advance(7 * DAY_S - 1)
    assert api.post("/search/jql", {"jql": ALL, "nextPageToken": token}).ok
    site.clock.advance(2)
    site.language = "en"
    answer = api.post("/search/jql", {"jql": ALL, "nextPageToken": token})
    assert answer.status_code == 400
    assert answer.json()["errorMessages"] == ["The provided nextPageToken is invalid or has expired."]


@pytest.mark.parametrize("token", ["abc", "", None, "é", "QUJDREVGR0g="])
def test_token_that_is_none_is_a_400(large: Api, token: str | None) -> None:
    """Trap 11: null is no way to leave it out."""
    assert large.post("/search/jql", {"jql": ALL, "nextPageToken": token}).status_code == 400


def test_token_belongs_to_its_query(large: Api) -> None:
    """With another query it is invalid."""
    token = large.search()["nextPageToken"]
    assert large.post("/search/jql", {"jql": "updated > 0", "nextPageToken": token}).status_code == 400


@pytest.mark.parametrize("jql", ["", "   ", "ORDER BY created", None])
def test_unbounded_query_is_refused(api: Api, site: JiraSite, jql: str | None) -> None:
    """Order alone is no restriction."""
    site.language = "en"
    answer = api.post("/search/jql", {"jql": jql})
    assert answer.status_code == 400
    assert answer.json()["errorMessages"][0].startswith("Unbounded JQL queries are not allowed here.")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"maxResults": 0}, 400),
        ({"maxResults": 5001}, 400),
        ({"maxResults": None}, 400),
        ({"maxResults": "10"}, 400),
        ({"startAt": 0}, 400),
        ({"expand": ["names"]}, 400),
        ({"fields": "summary"}, 400),
        ({"reconcileIssues": ["10001"]}, 400),
        ({"reconcileIssues": list(range(51))}, 400),
        ({"properties": list("abcdef")}, 400),
        ({"maxResults": 5000, "expand": None, "properties": None, "reconcileIssues": []}, 200),
    ],
)
def test_body_of_a_search_is_checked(large: Api, body: dict[str, Any], status: int) -> None:
    """Traps 11, 12 and 14."""
    assert large.post("/search/jql", {"jql": ALL, **body}).status_code == status


def test_body_that_cannot_be_read_has_no_errors_object(large: Api) -> None:
    """Other 400s have one."""
    assert set(large.post("/search/jql", {"jql": ALL, "startAt": 0}).json()) == {"errorMessages"}
    assert set(large.post("/search/jql", {"jql": ""}).json()) == {"errorMessages", "errors"}


def test_post_does_not_read_the_query_string(large: Api) -> None:
    """Only the body counts."""
    assert large.post("/search/jql?jql=updated>=0&maxResults=5", {}).status_code == 400
    assert len(large.post("/search/jql?maxResults=5", {"jql": ALL}).json()["issues"]) == 50


def test_other_content_type_is_a_415_problem(large: Api) -> None:
    """RFC 7807, unlike most errors."""
    answer = large.session.post(large.base + "/search/jql", data='{"jql":"updated >= 0"}', timeout=10)
    assert answer.status_code == 415 and answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "instance"}


def test_bad_integer_in_a_query_is_a_problem(large: Api) -> None:
    """So is a bad int."""
    answer = large.get("/search/jql", jql=ALL, maxResults="many")
    assert answer.status_code == 400 and answer.headers["Content-Type"] == "application/problem+json"


def test_messages_are_in_the_language_of_the_account(api: Api, site: JiraSite) -> None:
    """§10: never match text."""
    dutch = api.post("/search/jql", {"jql": ""}).json()["errorMessages"]
    site.language = "en"
    assert api.post("/search/jql", {"jql": ""}).json()["errorMessages"] != dutch


def test_old_search_is_gone(large: Api) -> None:
    """CHANGE-2046."""
    assert large.get("/search", jql=ALL).status_code == 410


def test_milliseconds_are_absolute(api: Api, site: JiraSite) -> None:
    """Trap 3, the right way: to the millisecond, whatever the zone."""
    moment = site.issue(api.ids()[30]).updated
    site.zone = ZoneInfo("America/New_York")
    expected = {str(issue.id) for issue in site.visible_issues() if issue.updated >= moment}
    assert set(api.ids(f"updated >= {moment}")) == expected
    assert len(api.ids(f"updated > {moment}")) < len(expected)


@pytest.mark.parametrize(("sign", "found"), [(">=", 1), (">", 0), ("<", 119), ("<=", 120)])
def test_each_comparison_takes_its_bound_or_not(api: Api, site: JiraSite, sign: str, found: int) -> None:
    """To the millisecond."""
    site.update_issue(some_ids(site, 1)[0], {"summary": "newest"})
    assert len(api.ids(f"updated {sign} {to_ms(START)}")) == found


@pytest.mark.parametrize("name", ["maxResults", "startAt"])
@pytest.mark.parametrize("text", ["--5", "²", "1.0", "1e3"])
def test_number_that_is_none_is_a_400(large: Api, name: str, text: str) -> None:
    """Never a defect of the sandbox."""
    assert large.get("/project/search", **{name: text}).status_code == 400


@pytest.mark.parametrize(("zone", "found"), [("Europe/Amsterdam", 1), ("UTC", 0), ("America/New_York", 0)])
def test_literal_is_read_in_the_zone_of_the_caller(api: Api, site: JiraSite, zone: str, found: int) -> None:
    """Trap 3: at 09:00 UTC it is 10:00 in Amsterdam."""
    number = some_ids(site, 1)[0]
    site.update_issue(number, {"summary": "now"})
    site.zone = ZoneInfo(zone)
    assert len(api.ids('updated >= "2026-03-02 10:00"')) == found
    assert len(api.ids('updated >= "2026/03/02 10:00"')) == found


def test_literal_has_minutes_only(api: Api) -> None:
    """Seconds are a syntax error."""
    assert api.post("/search/jql", {"jql": 'updated >= "2026-03-02 10:00:30"'}).status_code == 400


def test_literal_follows_daylight_saving(api: Api, site: JiraSite) -> None:
    """In summer Amsterdam is two hours ahead."""
    site.clock.advance((datetime(2026, 7, 1, 10, 0, tzinfo=UTC) - START).total_seconds())
    number = some_ids(site, 1)[0]
    site.update_issue(number, {"summary": "now"})
    assert api.ids('updated >= "2026-07-01 12:00"') == [str(number)]
    assert api.ids('updated >= "2026-07-01 12:01"') == []


def test_relative_dates_follow_the_clock(api: Api, site: JiraSite) -> None:
    """-30m is another moment half an hour later."""
    number = some_ids(site, 1)[0]
    site.update_issue(number, {"summary": "now"})
    assert api.ids("updated >= -30m") == [str(number)] == api.ids("updated >= now()")
    site.clock.advance(31 * 60)
    assert api.ids("updated >= -30m") == [] and api.ids("updated >= startOfDay()") == [str(number)]


def test_projects_go_by_key_id_and_name(api: Api, site: JiraSite) -> None:
    """One query over all, `project in (...)`, or one by one."""
    first, second = list(site.projects.values())[:2]
    by_key = api.ids(f"project = {first.key} AND updated >= 0")
    for name in (first.id, f'"{first.name}"', first.key.lower()):
        assert by_key and api.ids(f"project = {name} AND updated >= 0") == by_key
    both = api.ids(f"project in ({first.key}, {second.id})")
    assert set(both) == set(by_key) | set(api.ids(f"project = {second.key}"))


def test_ids_and_keys_can_be_mixed(api: Api, site: JiraSite) -> None:
    """A moved issue is found by its old key too."""
    one, two, three = some_ids(site, 3)
    old = site.issue(three).key
    site.move_issue(three, next(p.id for p in site.projects.values() if p.id != site.issue(three).project))
    found = api.ids(f"id in ({one}, {two}) OR issuekey = {old}")
    assert {str(one), str(two), str(three)} <= set(found)


def test_and_binds_stronger_than_or(api: Api, site: JiraSite) -> None:
    """And parentheses win."""
    one, two = some_ids(site, 2)
    never = "updated < 0"
    assert api.ids(f"id = {one} OR id = {two} AND {never}") == [str(one)]
    assert api.ids(f"(id = {one} OR id = {two}) AND {never}") == []


def test_order_is_by_up_to_seven_fields(api: Api) -> None:
    """An eighth is a 400; DESC turns one field only."""
    created = api.ids("updated >= 0 ORDER BY created DESC, key ASC")
    assert set(created) == set(api.ids()) and created != api.ids()
    eight = ", ".join(["created"] * 8)
    assert api.post("/search/jql", {"jql": f"updated >= 0 ORDER BY {eight}"}).status_code == 400


@pytest.mark.parametrize(
    "jql",
    ["project = NOSUCH", "id = 1", "id > 0", "updated >= soon", "updated >=", "color = red", "created < 0 AND", "(id"],
)
def test_query_that_names_nothing_or_cannot_be_read_is_a_400(large: Api, jql: str) -> None:
    """A project that went away breaks the whole query."""
    assert large.post("/search/jql", {"jql": jql}).status_code == 400


def test_hidden_project_is_as_if_it_were_not_there(api: Api, site: JiraSite) -> None:
    """By name a 400; without a name its issues just do not come."""
    project = next(iter(site.projects.values()))
    before = len(api.ids())
    site.hide_project(project.key)
    assert api.post("/search/jql", {"jql": f"project = {project.key}"}).status_code == 400
    assert 0 < len(api.ids()) < before


@pytest.fixture
def lagging(site: JiraSite) -> JiraSite:
    site.index_lag_s = 60.0
    return site


def test_search_sees_an_edit_late_and_bulkfetch_at_once(api: Api, lagging: JiraSite) -> None:
    """§3: fresh edits can be missing for a while."""
    number = some_ids(lagging, 1)[0]
    floor = to_ms(lagging.clock.now())
    lagging.update_issue(number, {"summary": "fresh"})
    assert api.ids(f"updated >= {floor}") == []
    assert api.search(f"id = {number}", fields=["summary"])["issues"][0]["fields"]["summary"] != "fresh"
    assert api.bulk(number)["issues"][0]["fields"]["summary"] == "fresh"
    lagging.clock.advance(60)
    assert api.ids(f"updated >= {floor}") == [str(number)]


def test_each_edit_has_a_lag_of_its_own(api: Api, lagging: JiraSite) -> None:
    """A running maximum of `updated` jumps over what is indexed late: trap 4."""
    numbers = some_ids(lagging, 20)
    for number in numbers:
        lagging.update_issue(number, {"summary": "fresh"})
    lagging.clock.advance(20)
    assert 0 < len(api.ids("updated >= -1h")) < 20
    lagging.clock.advance(40)
    assert len(api.ids("updated >= -1h")) == 20


def test_reconcile_forces_named_issues_only(api: Api, lagging: JiraSite) -> None:
    """Up to 50 ids, as integers."""
    one, two = some_ids(lagging, 2)
    for number in (one, two):
        lagging.update_issue(number, {"summary": "fresh"})
    assert api.ids("updated >= -1m", reconcileIssues=[one]) == [str(one)]


def test_created_comes_late_and_deleted_stays_on(api: Api, lagging: JiraSite) -> None:
    """Search finds what bulkfetch no longer does."""
    project = next(iter(lagging.projects.values()))
    new = lagging.create_issue(project.id, {"summary": "new"})
    gone = next(issue.id for issue in lagging.visible_issues() if not issue.subtasks and issue.id != new.id)
    lagging.delete_issue(gone)
    ids = api.ids()
    assert str(new.id) not in ids and str(gone) in ids
    assert api.bulk(gone)["issueErrors"][0]["id"] == str(gone) and api.bulk(new.id)["issues"]
    lagging.clock.advance(60)
    ids = api.ids()
    assert str(new.id) in ids and str(gone) not in ids


def test_moved_issue_is_found_in_its_old_project_for_a_while(api: Api, lagging: JiraSite) -> None:
    """A read per project can see it in neither, or in both."""
    first, second = list(lagging.projects.values())[:2]
    number = next(i.id for i in lagging.visible_issues() if i.project == first.id and not i.subtasks)
    lagging.move_issue(number, second.id)
    assert str(number) in api.ids(f"project = {first.key}")
    assert str(number) not in api.ids(f"project = {second.key}")
    lagging.clock.advance(60)
    assert str(number) in api.ids(f"project = {second.key}")


def test_approximate_count_is_an_estimate(large: Api) -> None:
    """It proves nothing: not that a pull is complete, and not that it is not."""
    count = large.post("/search/approximate-count", {"jql": "updated >= 0"}).json()["count"]
    assert count != 1200 and abs(count - 1200) <= 24


def test_upper_bound_loses_the_busy_issue(api: Api, site: JiraSite) -> None:
    """Trap 5: an open window sees an issue that changes while it is read."""
    number = some_ids(site, 1)[0]
    bound = to_ms(site.clock.now() - timedelta(minutes=1))
    assert str(number) in api.ids(f"updated >= 0 AND updated <= {bound}")
    site.update_issue(number, {"summary": "busy"})
    assert str(number) not in api.ids(f"updated >= 0 AND updated <= {bound}")
    assert str(number) in api.ids("updated >= 0")
