"""What becomes of Jira's records: custom fields, rich text, first in progress, odd data, and parts fetched by key."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from syncer import sources
from syncer.errors import AnswerError, NotAllowed
from syncer.mappings.jira import MAPPINGS
from syncer.sandbox import Clock, Fault, JiraSite
from syncer.sandbox.jira.catalogue import custom
from syncer.sandbox.jira.data import Shape
from syncer.sandbox.jira.words import document
from syncer.sandbox.messages import Request, Site
from syncer.sources.jira import definitions
from syncer.sources.jira.adf import plain_text
from syncer.sources.jira.issues import Issues
from syncer.values import BIGINT, DATE, DOUBLE, JSON, TEXT, TIMESTAMP
from tests.sources.jira_home import START, JiraHome, busiest, ids_of, read, running, small_site


@pytest.fixture
def home(tmp_path: Path) -> Iterator[JiraHome]:
    with running(small_site(issues=40), tmp_path) as running_home:
        yield running_home


# Rich text


def doc(*content: Any) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(content)}


def paragraph(*content: Any) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, None),
        (5, None),
        ("plain already", "plain already"),
        (doc(), ""),
        (doc(paragraph(text("one "), text("line")), paragraph(text("two"))), "one line\ntwo"),
        (doc(paragraph(text("a"), {"type": "hardBreak"}, text("b"))), "a\nb"),
        (doc(paragraph({"type": "mention", "attrs": {"id": "5b", "text": "@Mia"}}, text(" hi"))), "@Mia hi"),
        (doc(paragraph({"type": "emoji", "attrs": {"shortName": ":tada:", "text": "🎉"}})), ":tada:"),
        (doc(paragraph({"type": "inlineCard", "attrs": {"url": "https://a.invalid/?b={c}"}})), "https://a.invalid/?b={c}"),
        (doc({"type": "blockCard", "attrs": {"url": "https://a.invalid/x"}}), "https://a.invalid/x"),
        (doc(paragraph({"type": "date", "attrs": {"timestamp": "-3155673600000"}})), "1870-01-01"),
        (doc(paragraph({"type": "status", "attrs": {"text": "DONE", "color": "green"}})), "DONE"),
        (doc({"type": "bulletList", "content": [{"type": "listItem", "content": [paragraph(text("a"))]}] * 2}),
         "a\na"),
        (doc({"type": "somethingNew", "content": [paragraph(text("kept"))]}, paragraph(text("too"))), "kept\ntoo"),
        (doc(None, [], {"type": "paragraph", "content": "odd"}, {"type": "text", "text": 5}, {"attrs": 1}), ""),
    ],
)  # fmt: skip
def test_rich_text_as_plain_text(document: Any, told: str | None) -> None:
    """A line a block; what stands in attributes is told; nothing odd makes it fail."""
    assert plain_text(document) == told


def test_rich_text_may_nest_deeper_than_the_stack() -> None:
    """A document of a hundred thousand levels is somebody's idea of a joke."""
    nested: dict[str, Any] = paragraph(text("deep"))
    for _ in range(100_000):
        nested = {"type": "blockquote", "content": [nested]}
    assert plain_text(doc(nested)) == "deep"
    while nested["type"] == "blockquote":  # undone level by level: freeing it at once would need the stack
        nested = nested["content"].pop()


def test_text_stands_beside_its_json(home: JiraHome) -> None:
    """Descriptions, environments, text areas, comments, and what was said with a worklog."""
    home.pull("issues", "comments", "worklogs")
    assert (
        home.rows("SELECT count(*) FROM load.jira_issues WHERE description IS NOT NULL AND description_text = ''")[0][
            0
        ]
        == 0
    )
    for table, column in (
        ("issues", "description"),
        ("issues", "environment"),
        ("issues", "customfield_10031"),
        ("comments", "body"),
        ("worklogs", "comment"),
    ):
        rows = home.rows(f"SELECT {column}::TEXT, {column}_text FROM load.jira_{table} WHERE {column} IS NOT NULL")
        assert rows and all(plain_text(orjson.loads(json)) == told for json, told in rows)


# First in progress

CATEGORIES = {"1": "new", "3": "indeterminate", "7": "indeterminate", "6": "done"}
CREATED = "2026-01-01T10:00:00.000+0100"


def change(at: Any, old: str, new: str, field: str = "status") -> dict[str, Any]:
    item = {"field": field, "fieldId": field, "from": old, "to": new, "toString": "In Progress"}
    return {"id": "1", "created": at, "items": [{"field": "Rank", "to": "3"}, item]}


@pytest.mark.parametrize(
    ("status", "histories", "expected"),
    [
        ("1", [], None),
        ("3", [], CREATED),
        ("3", [change(1492070429123, "1", "3")], "2017-04-13T08:00:29.123Z"),
        ("6", [change("2026-02-01T00:00:00.000+0200", "1", "7"), change("2026-01-15T00:00:00.000+0000", "1", "3")],
         "2026-01-15T00:00:00.000Z"),
        ("6", [change(1492070429, "3", "6")], CREATED),
        ("6", [change(1492070429123, "1", "6")], None),
        ("6", [change(1492070429123, "1", "99"), change(1492070430000, "99", "6")], None),
        ("3", [change(1492070429123, "1", "3", field="customfield_1")], CREATED),
        ("1", [change("no time", "1", "3")], None),
        ("1", [{"id": "1", "created": 1492070429123, "items": None}], None),
    ],
)  # fmt: skip
def test_first_in_progress(status: str, histories: Sequence[dict[str, Any]], expected: str | None) -> None:
    """By the category of the status's id, whatever its name says; milliseconds, seconds or text."""
    home = Issues(calls=None, once=None, definitions=None, categories=CATEGORIES)  # type: ignore[arg-type]  # only the categories are looked at
    record = {"fields": {"created": CREATED, "status": {"id": status, "statusCategory": {"key": CATEGORIES[status]}}}}
    assert home.first_in_progress(record, histories) == expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Amsterdam", "2026-07-01T11:30:00.000+02:00"),
        ("Asia/Kolkata", "2026-07-01T15:00:00.000+05:30"),
        ("", "2026-07-01T10:30:00.000+01:00"),
        ("Nowhere/Else", "2026-07-01T10:30:00.000+01:00"),
    ],
)
def test_a_status_called_in_progress(zone: str, expected: str) -> None:
    """By its name alone, the earliest time; in the user's zone, as the issue's own times are, or with their offset."""
    home = Issues(calls=None, once=None, definitions=None, categories=CATEGORIES, zone=zone)  # type: ignore[arg-type]  # only the zone is looked at
    record = {"fields": {"created": "2026-01-04T15:31:51.081+0100"}}
    histories = [change(at, "1", "3") for at in (1782984600000, 1782898200000, 1782811800000)]
    for history, name in zip(histories, ("In Progress", "In Progress", "In progress"), strict=True):
        history["items"][1]["toString"] = name
    assert home.named_in_progress(record, histories) == expected
    assert home.named_in_progress(record, histories[2:]) is None


def test_more_changes_than_a_page_and_an_issue_that_vanishes_between_pages(tmp_path: Path) -> None:
    """A page token is a position: what an issue takes with it must not make another one's changes be stepped over."""
    shape = Shape(comments=0, worklogs=0, histories=50, extra_fields=0)
    clock = Clock(START, is_frozen=True)
    site = JiraSite.generate(seed=2, projects=2, issues=60, clock=clock, index_lag_s=0, shape=shape)
    with running(site, tmp_path, workers=1) as home:
        deleted: list[int] = []

        def delete(_: Site, request: Request) -> None:
            if b"nextPageToken" in request.body and "changelog" in request.path and not deleted:
                victim = next(issue for issue in site.visible_issues() if issue.histories and not issue.subtasks)
                deleted.append(victim.id)
                site.delete_issue(victim.id)

        home.sandbox.before_request.append(delete)
        found = ids_of(list(read(home.source("changelogs"), "changelogs")))
        assert deleted and len(found) == len(set(found)) > 2_000
        assert set(found) == home.true_ids("changelogs")


# Custom fields


def test_custom_fields_are_columns_by_id_and_type(home: JiraHome) -> None:
    """Names are not unique; what a value is, its definition says."""
    columns = {field.column: field for field in home.source("issues").describe("issues")}
    assert {name: columns[name].type for name in ("customfield_10016", "customfield_10015", "customfield_10036")} == {
        "customfield_10016": DOUBLE,
        "customfield_10015": DATE,
        "customfield_10036": TIMESTAMP,
    }
    assert (columns["customfield_10032_id"].type, columns["customfield_10032_value"].type) == (BIGINT, TEXT)
    assert (columns["customfield_10031"].type, columns["customfield_10031_text"].type) == (JSON, TEXT)
    assert columns["customfield_10034_display_name"].personal
    assert columns["customfield_10030"].comment == columns["customfield_10037"].comment == "Klant"
    assert (
        "customfield_10032" not in columns
        and "summary" not in columns
        and not {"lastViewed", "last_viewed"} & set(columns)
    )


def test_custom_values_arrive(home: JiraHome) -> None:
    """Each kind of value, as the API has it; links and pictures are left out."""
    issue = next(home.site.visible_issues())
    users = list(home.site.catalogue.users)
    home.later()
    home.site.update_issue(issue.id, {
        "customfield_10015": "1898-12-31", "customfield_10016": 0.5, "customfield_10030": "ACME {x}",
        "customfield_10032": "致命", "customfield_10033": ("test", "productie"), "customfield_10034": users[0],
        "customfield_10035": users[:2], "customfield_10038": ["vip"],
    })  # fmt: skip
    home.pull("issues")
    columns = ("10015::TEXT", "10016", "10030", "10032_value", "10034_account_id", "10033", "10035", "10038")
    row = home.live("issues", *(f"customfield_{column}" for column in columns))[str(issue.id)]
    assert row[:5] == ("1898-12-31", 0.5, "ACME {x}", "致命", users[0])
    options, people, labels = (orjson.loads(json) for json in row[5:])
    assert [option["value"] for option in options] == ["test", "productie"] and labels == ["vip"]
    assert [set(option) for option in options] == [{"id", "value"}] * 2
    assert [set(user) for user in people] == [{"accountId", "displayName"}] * 2


def test_a_field_that_appears_later_gets_its_column(home: JiraHome) -> None:
    """New fields must not break a run; one that goes away keeps its column."""
    home.pull("issues")
    issue = next(home.site.visible_issues())
    home.site.catalogue.fields["customfield_12345"] = custom(12345, "Nieuw", "number", "float")
    del home.site.catalogue.fields["customfield_10039"]
    home.later()
    home.site.update_issue(issue.id, {"customfield_12345": 7})
    home.pull("issues")
    assert home.live("issues", "customfield_12345")[str(issue.id)] == (7.0,)
    kept = "SELECT 1 FROM information_schema.columns WHERE column_name = 'customfield_10039'"
    assert home.rows(kept) == [(1,)]


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        (None, {"customfield_1": JSON}),
        ({"type": "any"}, {"customfield_1": JSON}),
        ({"type": "any", "custom": "com.pyxis.greenhopper.jira:gh-lexo-rank"}, {"customfield_1": TEXT}),
        ({"type": "option-with-child"},
         {"customfield_1": JSON, "customfield_1_value": TEXT, "customfield_1_child_value": TEXT}),
        ({"type": "version"}, {"customfield_1_id": BIGINT, "customfield_1_name": TEXT}),
        ({"type": "array", "items": "option"}, {"customfield_1": JSON}),
        ({"type": "string", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:textarea"},
         {"customfield_1": JSON, "customfield_1_text": TEXT}),
        ({"type": "never seen"}, {"customfield_1": JSON}),
    ],
)  # fmt: skip
def test_columns_of_a_definition(home: JiraHome, schema: Any, columns: dict[str, Any]) -> None:
    """What is not known is JSON, which holds everything."""
    fields = [
        {"id": "customfield_1", "name": "x", "schema": schema},
        {"id": "lastViewed"},
        {"id": None},
        {"name": "no id"},
    ]
    home.sandbox.faults.add(Fault(kind="status", status=200, match="/field", body=orjson.dumps(fields).decode()))
    assert {field.column: field.type for field in home.source("issues").describe("issues")} == columns


def test_what_an_issue_shows_of_others_is_cut_to_what_stays(home: JiraHome) -> None:
    """A sub-task's status moves without its parent's `updated`; links depend on the host."""
    assert definitions.cleaned([{"id": "1", "key": "A-1", "self": "https://x", "fields": {"status": {}}}]) == [
        {"id": "1", "key": "A-1"}
    ]
    attachment = {
        "id": "1",
        "created": "2026-03-01T00:30:00.000+0100",
        "filename": "a",
        "mimeType": "x",
        "content": "https://x",
        "author": {"accountId": "5", "avatarUrls": {}},
    }
    assert definitions.cleaned(attachment) == {
        "id": "1",
        "created": "2026-02-28T23:30:00.000Z",
        "filename": "a",
        "mimeType": "x",
        "author": {"accountId": "5"},
    }
    assert definitions.cleaned(["2026-03-01T00:30:00", "at 2026-03-01T00:30:00.000+0100"])[0][-2:] == "00"
    home.pull("issues")
    parents = [orjson.loads(json) for (json,) in home.live("issues", "subtasks").values()]
    assert any(parents) and all(set(other) == {"id", "key"} for subtasks in parents for other in subtasks)


# Odd data


def test_odd_values_cost_a_value_and_never_the_run(home: JiraHome) -> None:
    """NUL, half a surrogate pair, braces, a megabyte, dates before 1900, a field that changed its type."""
    issues = [issue.id for issue in home.site.visible_issues()]
    megabyte = "å" * 1_000_000
    odd: dict[str, list[Any]] = {
        "summary": ["\x00 nul", "half \ud83d", "{0} {x}", megabyte, 5, "ok"],
        "duedate": [None, None, None, None, "0101-02-03", "1870-01-01"],
    }
    home.later()
    for at, number in enumerate(issues[:6]):
        for field, values in odd.items():
            if values[at] is not None:
                home.site.inject(number, field, values[at])
    home.site.inject(issues[6], "status", "no object")
    home.site.inject(issues[7], "created", "nonsense")
    home.site.inject(issues[8], "customfield_10016", {"not": "a number"})
    home.site.inject(issues[9], "resolutiondate", "1899-12-31T23:59:59.999-1145")
    done = home.pull("issues")[0]
    assert done.exit_code == 3 and set(home.live("issues")) == home.true_ids("issues")
    found = home.live("issues", "summary", "duedate::TEXT", "status_name", "resolutiondate::TEXT")
    assert [found[str(number)][0] for number in issues[1:5]] == ["half \ufffd", "{0} {x}", megabyte, "5"]
    assert [found[str(number)][1] for number in issues[4:6]] == ["0101-02-03", "1870-01-01"]
    assert found[str(issues[6])][2] is None and str(found[str(issues[9])][3]).startswith("1900-01-01 11:44:59.999")
    rejects = dict(
        home.rows('SELECT key, string_agg("column", \',\' ORDER BY "column") FROM syncer.rejects GROUP BY key')
    )
    assert rejects[str(issues[1])] == "summary" and rejects[str(issues[7])] == "created"
    assert "status_name" in rejects[str(issues[6])] and rejects[str(issues[8])] == "customfield_10016"
    again = home.pull("issues")[0]
    assert (again.inserted, again.updated) == (0, 0)


@pytest.mark.parametrize("number", [None, "", "no number", 12345.5, {"an": "object"}])
def test_an_issue_without_a_usable_id_is_left_out_and_named(home: JiraHome, number: Any) -> None:
    """The others come."""
    victim = next(home.site.visible_issues())
    home.site.inject(victim.id, "id", number)
    done = home.pull("issues")[0]
    assert done.rejected >= 1 and done.exit_code == 3
    assert set(home.live("issues")) == {str(issue.id) for issue in home.site.visible_issues()} - {str(victim.id)}


def test_an_issue_without_fields_is_an_error(home: JiraHome) -> None:
    """A changed default would load empty rows."""
    home.sandbox.faults.add(
        Fault(kind="status", status=200, match="issue/bulkfetch", body='{"issues":[{"id":"10001"}]}')
    )
    with pytest.raises(AnswerError, match="without its fields"):
        list(read(home.source("issues"), "issues"))


# By id


@pytest.mark.parametrize("left_out", [1, 2, 3])
def test_what_a_bulk_fetch_leaves_out_is_asked_for_again(home: JiraHome, left_out: int) -> None:
    """Atlassian: an error there may be one that passes; only a 404 of its own says that an issue is not there."""
    error = {"issues": [], "issueErrors": [{"id": "10001", "errorMessage": "try again"}]}
    body = orjson.dumps(error).decode()
    home.sandbox.faults.add(Fault(kind="status", status=200, match="issue/bulkfetch", body=body, times=left_out))
    found = ids_of(list(read(home.source("issues", workers=1), "issues")))
    assert set(found) == home.true_ids("issues")
    one_by_one = home.sandbox.counts["jira"].routes["GET", "/rest/api/{}/issue/{}"]
    assert one_by_one == (0 if left_out == 1 else len(found))


def test_an_issue_that_search_still_shows_but_is_deleted_is_gone(tmp_path: Path) -> None:
    """Search lags; the 404 of the issue itself is the truth."""
    with running(small_site(issues=40, lag_s=60.0), tmp_path) as home:
        home.pull("issues")
        home.later(600)
        issue = next(i for i in home.site.visible_issues() if not i.subtasks)
        home.site.update_issue(issue.id, {"summary": "last words"})
        home.later(61)
        home.site.delete_issue(issue.id)
        home.pull("issues")
        assert home.states("issues") == {issue.id: "gone"}


def test_a_404_to_a_token_that_just_died_is_not_the_end(tmp_path: Path) -> None:
    """It would be the last answer of the walk, and all that is missing would count as read."""
    with running(small_site(issues=40, lag_s=60.0), tmp_path) as home:
        issue = next(i for i in home.site.visible_issues() if not i.subtasks)
        home.site.delete_issue(issue.id)
        busiest(home.site).comments.clear()  # so that nothing is asked for afterwards

        def revoke(_: Site, request: Request) -> None:
            if request.path.endswith(f"/issue/{issue.id}"):
                home.site.revoke_token()

        home.sandbox.before_request.append(revoke)
        with pytest.raises(NotAllowed):
            list(read(home.source("comments"), "comments"))


def test_comments_beyond_the_embedded_ones_come_though_some_vanish(home: JiraHome) -> None:
    """Pages by offset, and the count stays the same: only the overlap of two pages tells that they moved."""
    issue = busiest(home.site)
    deleted: list[int] = []

    def delete(_: Site, request: Request) -> None:
        if request.query.get("startAt") == ["99"] and not deleted:
            deleted.append(issue.comments[3].id)
            home.site.delete_comment(issue.id, deleted[0])
            home.site.add_comment(issue.id, document(random.Random(1), 1))

    home.sandbox.before_request.append(delete)
    found = ids_of(list(read(home.source("comments"), "comments")))
    assert deleted and set(found) == home.true_ids("comments")
    assert len(found) == len(set(found))


def test_an_issue_of_an_archived_project_that_can_still_be_read_is_archived(home: JiraHome) -> None:
    """Archived, in the trash and no longer visible are different things, where Jira shows them."""
    issue = next(home.site.visible_issues())
    page = {"values": [{"id": str(issue.project)}], "total": 1, "startAt": 0, "maxResults": 100, "isLast": True}
    home.sandbox.faults.add(
        Fault(kind="status", status=200, match="status=archived", body=orjson.dumps(page).decode(), times=None)
    )
    pages = list(home.source("issues").fetch("issues", [(issue.id,)]))
    assert [(state.key, state.state) for page in pages for state in page.states] == [((issue.id,), "archived")]


def test_issues_are_archived_with_their_project_and_live_again_with_it(tmp_path: Path) -> None:
    """Where Jira gives them by id; one that is deleted meanwhile is gone, and stays so."""
    with running(small_site(issues=120), tmp_path) as home:
        home.site.shows_archived = True
        home.pull("issues")
        small = min(home.site.projects, key=lambda p: sum(i.project == p for i in home.site.issues.values()))
        ids = [issue.id for issue in home.site.visible_issues() if issue.project == small]
        home.site.archive_project(small)
        home.pull("issues", mode="census")
        assert home.states("issues") == dict.fromkeys(ids, "archived")
        home.site.restore_project(small)
        assert (home.pull("issues", mode="census")[0].exit_code, home.states("issues")) == (0, {})
        home.site.archive_project(small)
        home.pull("issues", mode="census")
        lost = next(number for number in ids if not home.site.issues[number].subtasks)
        home.site.delete_issue(lost)
        home.pull("issues", mode="census")
        assert home.states("issues") == {**dict.fromkeys(ids, "archived"), lost: "gone"}
        home.site.restore_project(small)
        home.pull("issues", mode="census")
        assert home.states("issues") == {lost: "gone"}


@pytest.mark.parametrize("stream", ["comments", "changelogs", "worklogs", "projects", "issues"])
def test_records_come_by_key(home: JiraHome, stream: str) -> None:
    """Also where no walk has told yet which issue a comment is of; a key of which nothing comes is absent."""
    source = home.source(stream)
    wanted = sorted(home.true_ids(stream))[:7]
    pages = list(source.fetch(stream, [(int(number),) for number in (*wanted, "99999999")]))
    assert sorted(ids_of(pages)) == wanted and not any(page.states or page.error for page in pages)
    before = source.requests
    assert sorted(ids_of(list(source.fetch(stream, [(int(wanted[0]),)])))) == wanted[:1]
    assert source.requests - before <= 6
    source.close()


def test_a_worklog_that_was_deleted_is_told_by_key(home: JiraHome) -> None:
    """A tombstone says more than absence."""
    worklog = next(w for issue in home.site.visible_issues() for w in issue.worklogs)
    home.site.delete_worklog(home.site.worklog_issues[worklog.id], worklog.id)
    home.later()
    pages = list(home.source("worklogs").fetch("worklogs", [(worklog.id,), (424242,)]))
    assert [(state.key, state.state) for page in pages for state in page.states] == [((worklog.id,), "deleted")]


def test_worklogs_beyond_a_page_and_of_one_moment(tmp_path: Path) -> None:
    """Lists by time: 1,000 a page, and more of one time than fit one."""
    site = small_site(issues=30)
    issue = busiest(site)
    for _ in range(1_050):
        site.add_worklog(issue.id, 60)
    site.clock.advance(1)
    for _ in range(200):
        site.add_worklog(issue.id, 60)
    with running(site, tmp_path) as home:
        home.later()
        found = ids_of(list(read(home.source("worklogs"), "worklogs")))
        assert set(found) == home.true_ids("worklogs") and len(found) >= 1_250
        loop = '{"values": [], "since": 0, "until": 0, "lastPage": false}'
        home.sandbox.faults.add(Fault(kind="status", status=200, match="worklog/updated", body=loop, times=None))
        with pytest.raises(AnswerError, match="never end"):
            list(read(home.source("worklogs"), "worklogs"))


def test_the_site_stays_the_account_whoever_reads_it(home: JiraHome) -> None:
    """Another user of the same site is let in; another site is not."""
    home.pull("projects")
    account = home.settings.account("jira")
    home.sandbox.faults.add(Fault(kind="status", status=404, match="tenant_info", times=None))
    other = sources.connect(attrs.evolve(account), doors=home.doors, streams=()).check()
    assert other.account == account.url.split("/")[2]
    done = home.outcome("projects")[0]
    assert done.status == "failed" and "account" in (done.error or "")


def test_every_column_is_documented() -> None:
    """A column that nobody explains is a column that somebody misreads."""
    told = (Path(__file__).parents[2] / "docs" / "jira.md").read_text(encoding="utf-8")
    for mapping in MAPPINGS:
        described = told.partition(f"**{mapping.entity}**")[2].partition("\n\n")[0]
        missing = [field.column for field in mapping.fields if f"`{field.column}`" not in described]
        assert missing == [], mapping.name
