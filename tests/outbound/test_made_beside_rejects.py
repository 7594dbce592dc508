"""Each row is counted once; what was written of one that is rejected, in conflict or failed is told beside the sum."""

from __future__ import annotations

import io
from pathlib import Path

import attrs
import orjson
import pytest

from syncer import plans, reverting, tally
from syncer.plans import Header
from syncer.reports import plan_html, plan_json, plan_markdown, plan_text
from syncer.reports.plan_shown import Shown
from syncer.tally import Counts, Pushed
from tests.outbound import KEY, PushHome
from tests.outbound.edges_home import EdgesHome

MADE = "; 2 records made and 1 changed of rows that are rejected"


def with_edges_nowhere(edges: EdgesHome) -> None:
    """Have two new tickets and a changed one, each with a company that is not there, and one that is whole."""
    edges.rows("tickets", [{"key": "u", "company": "a"}, {"key": "w", "company": "a"}])
    assert edges.push().counts.created == 2
    edges.rows(
        "tickets",
        [
            {"key": "s", "company": "nowhere"},
            {"key": "t", "company": "nowhere"},
            {"key": "u", "name": "other", "company": "nowhere"},
            {"key": "v", "company": "a"},
            {"key": "w", "company": "a"},
        ],
    )


def beside(pushed: Pushed) -> tuple[int, int, int, int]:
    return pushed.counts.also_created, pushed.counts.also_updated, pushed.counts.rejected, pushed.counts.read


def shown(edges: EdgesHome, pushed: Pushed) -> Shown:
    warehouse = edges.home.warehouse()
    with warehouse.transaction() as t:
        header: Header = plans.header_of(t, pushed.plan)
    warehouse.close()
    return Shown(pushed=pushed, header=header, warehouse=warehouse)


def test_records_of_rejected_rows_are_told_beside_the_sum(edges: EdgesHome) -> None:
    """Else a run says that it made none, and stands beside creates that are done."""
    with_edges_nowhere(edges)
    done = edges.push()
    assert beside(done) == (2, 1, 3, 5)
    assert (done.counts.created, done.counts.updated, done.counts.unchanged, done.exit_code) == (1, 0, 1, 3)
    assert len([each for each in edges.changes(done) if (each.action, each.state) == ("create", "done")]) == 3
    assert MADE in str(done) and MADE in plan_text.summary(done)
    again = edges.push()
    assert beside(again) == (0, 0, 3, 5)
    assert " of rows that are " not in str(again)


def test_a_dry_run_says_what_would_be_written_of_rejected_rows(edges: EdgesHome) -> None:
    """It is what the limits count, and what the plan below its head shows."""
    with_edges_nowhere(edges)
    planned = edges.push(is_rehearsal=True)
    assert beside(planned) == (2, 1, 3, 5)
    assert "; 2 records to make and 1 to change of rows that are rejected; " in str(planned)
    assert edges.push(plan=planned.plan).counts == planned.counts


def test_the_counts_of_a_run_keep_them(edges: EdgesHome) -> None:
    """In `syncer.runs`, where a report of the week is made of, and in JSON."""
    with_edges_nowhere(edges)
    done = edges.push()
    [(stored, read)] = edges.home.rows("SELECT counts, read FROM syncer.runs WHERE run = ?", [done.run])
    counts = orjson.loads(stored)
    assert (counts["also_created"], counts["also_updated"], counts["created"], read) == (2, 1, 1, 5)
    entry = plan_json.entry(done)
    assert (entry["also_created"], entry["also_updated"], entry["read"]) == (2, 1, 5)


def test_the_head_of_a_refused_plan_tells_the_creates_that_the_limits_count(edges: EdgesHome, tmp_path: Path) -> None:
    """In each form: who reads `max_creates: 3 creates` below finds them above."""
    with_edges_nowhere(edges)
    edges.words("tickets", edges={"company": "companies"}, max_creates=2)
    refused = edges.push()
    assert (refused.status, beside(refused)) == ("refused", (2, 1, 3, 5))
    assert refused.trips == ("max_creates: 3 creates, and at most 2 are let through",)
    found = shown(edges, refused)
    lines = list(plan_text.lines(found, io.StringIO()))
    assert "1 to create" in lines[2] and "; 2 records to make and 1 to change of rows that are rejected" in lines[2]
    assert "| records to make, of rows that are rejected |" in plan_markdown.text(found)
    with plan_html.Report(tmp_path / "plan.html") as report:
        report.add(found)
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert '<li class="also_created"><b>2</b> records to make, of rows that are rejected</li>' in page
    assert '<li class="also_updated"><b>1</b> record to change, of rows that are rejected</li>' in page


@pytest.mark.parametrize(
    ("state", "outcome"), [("failed", "failed"), ("moved", "conflicts"), ("rejected", "rejected")]
)
def test_a_record_is_told_whose_edge_was_refused_while_it_was_sent(edges: EdgesHome, state: str, outcome: str) -> None:
    """The row counts as what became of the edge; the record is there."""
    edges.rows("tickets", [{"key": "s", "company": "a"}, {"key": "t", "company": "b"}])
    done = edges.push()
    assert (done.counts.created, done.counts.also_created) == (2, 0)
    edges.home.rows(
        "UPDATE syncer.changes SET state = ? WHERE plan = ? AND key = 's' AND action = 'associate'", [state, done.plan]
    )
    warehouse = edges.home.warehouse()
    with warehouse.transaction() as t:
        counts = tally.count(t, plans.header_of(t, done.plan), done.run)
    warehouse.close()
    assert counts == attrs.evolve(Counts(created=1, also_created=1), **{outcome: 1})


def test_a_record_that_was_made_with_an_edge_is_told_once(edges: EdgesHome) -> None:
    """As made; the edge stands among the edges."""
    edges.rows("tickets", [{"key": "s", "company": "a"}])
    done = edges.push()
    edges.home.rows("UPDATE syncer.plan_rows SET outcome = 'rejected' WHERE plan = ?", [done.plan])
    warehouse = edges.home.warehouse()
    with warehouse.transaction() as t:
        counts = tally.count(t, plans.header_of(t, done.plan), done.run)
    warehouse.close()
    assert (counts, done.associated) == (Counts(rejected=1, also_created=1), 1)


def test_limits_count_updates_of_rows_with_a_conflict(home: PushHome) -> None:
    """A field that is left alone does not make the others of its record less of an update."""
    rows = [{KEY: str(number), "name": f"C{number}", "phone": "1"} for number in range(3)]
    home.relation(rows)
    home.push()
    for row in rows:
        home.edit(row[KEY], phone="theirs")
    home.relation([{**row, "name": f"New {row[KEY]}", "phone": "2"} for row in rows])
    home = home.with_words(max_updates=2)
    refused = home.push()
    assert (refused.counts.conflicts, refused.counts.also_updated) == (3, 3)
    assert refused.trips == ("max_updates: 3 updates, and at most 2 are let through",)
    done = home.push(plan=refused.plan, is_forced=True)
    assert done.told == "3 in conflict of 3 read; 3 records changed of rows that are in conflict"
    assert set(home.values("name").values()) == {"New 0", "New 1", "New 2"}


def test_a_revert_tells_records_that_are_put_back_but_for_a_field(home: PushHome) -> None:
    """Its rows are the changes of the run; one of them may be both."""
    home.relation([{KEY: "1", "name": "A", "phone": "1"}])
    home.push()
    home.relation([{KEY: "1", "name": "B", "phone": "2"}])
    done = home.push()
    home.edit("1", phone="theirs")
    back = reverting.revert(done.run or "", settings=home.settings, request=home.request(), doors=home.doors)
    assert (back.counts.conflicts, back.counts.updated, back.counts.also_updated) == (1, 0, 1)
    assert back.told == "1 in conflict of 1 read; 1 record changed of rows that are in conflict"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counts(rejected=1, also_created=1), "1 record made of rows that are rejected"),
        (Counts(conflicts=9, also_updated=1), "1 record changed of rows that are in conflict"),
        (
            Counts(rejected=2, conflicts=1, also_created=2, also_updated=1),
            "2 records made and 1 changed of rows that are rejected or in conflict",
        ),
        (
            Counts(rejected=1, conflicts=1, failed=1, also_created=1_200),
            "1,200 records made of rows that are rejected, in conflict or failed",
        ),
        (Counts(failed=1, also_created=1), "1 record made of rows that failed"),
        (Counts(rejected=4), ""),
    ],
)
def test_the_words_name_only_what_there_is(counts: Counts, words: str) -> None:
    """A line that says conflict where there is none sends a person looking."""
    pushed = Pushed(run="r", plan="p", checksum="c", mapping="a.b", environment="default", counts=counts)
    assert pushed.told.partition(" read")[2] == (f"; {words}" if words else "")


def test_what_is_beside_the_sum_is_not_in_it() -> None:
    """Each row is counted once."""
    assert Counts(rejected=1, unchanged=2, also_created=7, also_updated=5).read == 3
    assert {field.name for field in attrs.fields(Counts)} >= {name for name, _, _ in tally.COUNTS}
