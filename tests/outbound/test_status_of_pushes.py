"""`syncer status` tells of pushes what it tells of pulls, and what they left for a person."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import attrs
import pytest

from syncer import cli, executing, journal, shape, status
from syncer.reports import standing
from syncer.status import Question, Standing
from tests.outbound import PushHome

NAME = "hubspot.companies"


def read(home: PushHome, *names: str, **question: Any) -> Standing:
    return status.read(home.settings, Question(names=names, **question), clock=home.clock)


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"C{number}", "phone": f"+31 {number}"} for number in numbers]


def pull(home: PushHome) -> None:
    """Write down a pull that was done, as the engine does."""
    done = journal.Pulled(run=journal.new_run(), mapping=NAME, status="done", read=2, inserted=2)
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        shape.ensure_state(t)
        journal.begin(t, done, verb="pull", now=home.clock.now())
        journal.update(t, done, now=home.clock.now())
    warehouse.close()


def text(found: Standing) -> str:
    return "\n".join(standing.as_text(found, io.StringIO()))


def with_trouble(home: PushHome) -> str:
    """Push five rows: one in conflict in two fields, one that stands twice. Return the run."""
    home.relation(rows(1, 2, 3))
    home.push()
    home.edit("1", phone="theirs", name="Theirs")
    home.relation([*rows(2, 3, 4, 4), {"client_id": "1", "name": "Ours", "phone": "ours"}])
    return home.push().run or ""


def test_pull_and_push_of_a_mapping_are_two_runs(home: PushHome) -> None:
    """Each with its own numbers; without a push there is no column for verbs."""
    pull(home)
    assert "verb" not in text(read(home))
    home.relation(rows(1, 2, 3))
    home.push()
    found = read(home)
    assert [(run.verb, run.status) for run in found.runs] == [("pull", "done"), ("push", "done")]
    pushed = found.runs[1]
    assert (pushed.read, pushed.counts and pushed.counts["created"], pushed.keys) == (3, 3, 0)
    lines = [line.split() for line in text(found).splitlines()]
    at = lines[0].index("created") - len(lines[0])
    assert [line[at] for line in lines[1:3]] == ["0", "3"] and lines[2][1] == "push"


def test_open_conflicts_and_rejects_are_counted(home: PushHome) -> None:
    """By mapping; a reject without a key is no scope that failed."""
    with_trouble(home)
    home.relation(
        [
            *rows(2, 3),
            {"client_id": None, "name": "x", "phone": "y"},
            {"client_id": "1", "name": "Ours", "phone": "ours"},
        ]
    )
    home.push()
    found = read(home)
    [conflicts], [rejects] = found.conflict_counts, found.reject_counts
    assert (conflicts.mapping, conflicts.conflicts, conflicts.records) == (NAME, 2, 1)
    assert (rejects.rejects, rejects.pushed, rejects.scopes) == (2, 2, 0) or (rejects.rejects, rejects.scopes) == (
        1,
        0,
    )
    assert (found.conflicts, found.rejects) == ((), ())
    told = text(found)
    assert "open conflicts" in told and "of pushes" in told
    first = read(home, with_rejects=True)
    assert [(each.key, each.field, each.state) for each in first.conflicts] == [
        ("1", "name", "open"),
        ("1", "phone", "open"),
    ]
    assert "a row without a key" in text(first) and "syncer.conflicts" in text(first)
    assert read(home, "hubspot.contacts", with_rejects=True).conflicts == ()


def test_of_one_run_its_own(home: PushHome) -> None:
    """What it was the last to see; the counts are those that it was told with."""
    run = with_trouble(home)
    found = read(home, run[:8])
    assert {each.field for each in found.conflicts} == {"name", "phone"}
    assert [each.key for each in found.rejects] == ["4"]
    told = "\n".join(standing.one_run(found.runs[0], found, io.StringIO()))
    assert "1 in conflict, 2 rejected" in told and f"plan       {found.runs[0].plan}" in told
    assert "inserted" not in told and "mark" not in told
    home.edit("1", phone="ours", name="Ours")
    home.later()
    home.relation([*rows(2, 3), {"client_id": "1", "name": "Ours", "phone": "ours"}])
    settled = home.push().run or ""
    assert {each.state for each in read(home, run).conflicts} == {"settled"}
    assert read(home, settled).conflicts == read(home, settled).rejects == read(home, run).rejects == ()
    assert read(home).conflict_counts == ()


def test_a_key_that_is_personal_is_not_shown(home: PushHome) -> None:
    """Nor any value: what is personal of them only the source knows. The record's id leads to it."""
    run = with_trouble(home)
    own = {**home.settings.tables[NAME], "personal": {"client_id": "keep"}}
    hidden = attrs.evolve(home, settings=attrs.evolve(home.settings, tables={**home.settings.tables, NAME: own}))
    found = read(hidden, with_rejects=True)
    assert {each.key for each in (*found.conflicts, *found.rejects)} == {"(personal)"}
    assert all(each.id == home.company("1").id for each in found.conflicts)
    told = json.dumps(standing.as_document(read(home, run)), default=str) + text(read(home, with_rejects=True))
    assert 'theirs"' not in told and "Theirs" not in told


@pytest.mark.parametrize(
    ("pulled", "pushed", "stale"),
    [
        (1, 1, []),
        (30, 1, [("pull", "done")]),
        (1, 30, [("push", "done")]),
        (30, 30, [("pull", "done"), ("push", "done")]),
    ],
)
def test_each_verb_has_its_own_age(home: PushHome, pulled: int, pushed: int, stale: list[tuple[str, str]]) -> None:
    """A push every hour must not hide that pulls stopped days ago."""
    home.relation(rows(1))
    for at in sorted({pulled, pushed}, reverse=True):
        if at == pulled:
            pull(home)
        if at == pushed:
            home.push()
        home.clock.advance(3_600 * (abs(pulled - pushed) if at == max(pulled, pushed) and pulled != pushed else at))
    found = read(home, max_age=dt.timedelta(hours=26))
    assert [(late.verb, late.last_status) for late in found.stale] == stale
    assert all(
        ("(push)" in line) is (late.verb == "push")
        for line, late in zip(standing.stale_text(found), found.stale, strict=True)
    )


def test_a_push_that_was_refused_is_not_finished(home: PushHome) -> None:
    """Nothing was written: whoever waits for it should know."""
    home.relation(rows(1))
    home.push()
    home.clock.advance(30 * 3_600)
    home.relation(rows(*range(1, 9)))
    assert home.with_words(max_creates=2).push().status == "refused"
    [late] = read(home, max_age=dt.timedelta(hours=26)).stale
    assert (late.verb, late.last_status) == ("push", "refused")


def test_a_push_without_its_lease_is_broken_and_with_it_running(home: PushHome) -> None:
    """It holds the lease of the kind that it writes; who pulls the same mapping meanwhile does not hide that."""
    home.relation(rows(1))
    run = home.push().run or ""
    home.rows(
        "UPDATE syncer.runs SET status = 'running', finished_at = NULL, read = NULL, counts = NULL WHERE run = ?",
        [run],
    )
    warehouse = home.warehouse()
    pulling = warehouse.lease(f"{NAME}@default", run="p", wait_s=0)
    found = read(home)
    assert (found.runs[0].status, found.runs[0].read) == ("broken", 0)
    assert "the next push settles what was in flight" in text(found)
    writing = warehouse.lease(executing.lease_name("hubspot.companies", "default"), run=run, wait_s=0)
    found = read(home)
    pulling.release()
    writing.release()
    warehouse.close()
    assert found.runs[0].status == "running"
    assert sorted((held.mapping, held.environment, held.kind, held.run) for held in found.leases) == [
        (NAME, "default", "", "p"), (NAME, "default", "hubspot.companies", run),
    ]  # fmt: skip


def test_another_run_of_a_plan_is_shown_until_the_next_push(home: PushHome) -> None:
    """A revert is nothing that is done every day: it never is too old."""
    home.relation(rows(1))
    run = home.push().run or ""
    home.later()
    second = home.push().run or ""
    home.rows("UPDATE syncer.runs SET verb = 'revert' WHERE run = ?", [second])
    assert [each.verb for each in read(home).runs] == ["push", "revert"]
    home.rows("UPDATE syncer.runs SET verb = 'revert' WHERE run = ?", [run])
    home.rows("UPDATE syncer.runs SET verb = 'push' WHERE run = ?", [second])
    assert [each.verb for each in read(home).runs] == ["push"]
    home.rows("DELETE FROM syncer.runs WHERE run = ?", [second])
    assert read(home, max_age=dt.timedelta(0)).stale == ()


def test_list_says_what_goes_out(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    """And what a push would read, where a site named it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syncer.toml").write_text('["hubspot.companies"]\nrelation = "stage.companies"\n')
    assert cli.main(["list", "hubspot.companies", "hubspot.owners", "--output", "json"]) == 0
    companies, owners = json.loads(capsys.readouterr().out)["mappings"]
    assert (companies["directions"], companies["relation"]) == (["in", "out"], "stage.companies")
    assert (owners["directions"], owners["relation"]) == (["in"], None)
    assert cli.main(["list", "hubspot.*"]) == 0
    said = capsys.readouterr().out
    assert "a push reads" in said.splitlines()[0] and "in, out" in said and "stage.companies" in said
    assert cli.main(["list", "jira.*"]) == 0
    assert "a push reads" not in capsys.readouterr().out
