"""`syncer clean` after 500 days: what nobody needs any more goes, and what a run, a revert or a person needs stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import attrs
import pytest

from syncer import aging, apply, cleaning, executing, journal, marks, reverting, stale, status
from syncer.cleaning import Cleaned
from syncer.errors import UsageError
from syncer.rows import Reject
from syncer.unconfigured import Unconfigured
from tests.outbound import PushHome

DAY = 86_400.0
NAME = "hubspot.companies"


def clean(home: PushHome, **asked: Any) -> Cleaned:
    return cleaning.clean(settings=home.settings, clock=home.clock, **asked)


def rows(*phones: str) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"C{number}", "phone": phone} for number, phone in enumerate(phones)]


def gone(done: Cleaned) -> dict[str, int]:
    return {line.table.partition(".")[2]: line.goes for line in done.lines if line.goes}


def why(done: Cleaned, table: str) -> dict[str, int]:
    [line] = [each for each in done.lines if each.table == f"syncer.{table}"]
    return dict(line.why)


def revert(home: PushHome, run: str | None, **asked: Any) -> Any:
    request = executing.Request(**asked)
    return reverting.revert(run or "", settings=home.settings, request=request, doors=home.doors)


def add_run(home: PushHome, run: str, days_ago: float, **said: Any) -> None:
    """Write down a pull that ended so long ago, or never."""
    at = home.clock.now() - dt.timedelta(days=days_ago)
    pulled = journal.Pulled(run=run, mapping=NAME, **{"status": journal.DONE, **said})
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        journal.insert(t, pulled, verb="pull", now=at)
    warehouse.close()


def keep(home: PushHome, run: str, days_ago: float, *rejects: Reject) -> None:
    """Write down rejects of a pull, so long ago."""
    at = home.clock.now() - dt.timedelta(days=days_ago)
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        journal.keep_rejects(t, rejects, pulled=journal.Pulled(run=run, mapping=NAME), now=at)
    warehouse.close()


def reject(key: str, scope: str = "") -> Reject:
    return Reject(key=key, column="size", reason="too large", declared="bigint", found="text", scope=scope)


def runs(home: PushHome) -> list[str]:
    return [row[0] for row in home.rows("SELECT run FROM syncer.runs ORDER BY run")]


def test_after_500_days_of_all_sorts_only_what_somebody_needs_is_left(home: PushHome) -> None:
    """A rehearsal tells what goes, to the row; a second cleaning finds nothing; pushes go on as before."""
    home.relation(rows("1", "2", "3", "4"))
    first = home.push()
    for phone in ("a", "b"):
        home.later(DAY)
        home.change("0", phone=phone)
        home.push()
    home.later(DAY)
    home.change("2", phone="c")
    back = home.push()
    home.later()
    assert revert(home, back.run).counts.updated == 1
    home.push(is_rehearsal=True)
    failed = home.with_words(match_on="no_such").push()
    assert failed.status == journal.FAILED
    home.later(500 * DAY)
    home.change("1", phone="d")
    last = home.push()
    before = status.read(home.settings, clock=home.clock).runs
    told = clean(home, dry_run=True)
    done = clean(home)
    assert gone(done) == gone(told) and gone(done)["runs"] >= 1
    assert [(each.table, each.why) for each in done.lines] == [(each.table, each.why) for each in told.lines]
    assert gone(clean(home)) == {}
    assert status.read(home.settings, clock=home.clock).runs == before, "the last of each kind is the same"
    assert {first.run, last.run} <= set(runs(home)), "a snapshot names the one, the other is new"
    home.later()
    assert home.push().exit_code == 0
    assert revert(home, last.run).counts.updated == 1


def test_a_run_whose_values_may_still_be_put_back_stays(home: PushHome) -> None:
    """However old the run: its plan was carried on with last week."""
    home.relation(rows("1", "2"))
    part = home.push(first=1)
    home.later(450 * DAY)
    home.rows("UPDATE syncer.plans SET made_at = ?", [home.clock.now()])
    home.push()
    home.rows("DELETE FROM syncer.snapshots")
    done = clean(home)
    assert part.run in runs(home) and gone(done) == {}
    assert why(done, "runs")["what it wrote stands in the journal"] == 1


def test_only_runs_that_nobody_reads_go(home: PushHome) -> None:
    """The newest, the newest that was done, an unfinished full and what a place names are read by status and pulls."""
    home.relation(rows("1"))
    home.push()
    add_run(home, "aaaaaaaaaaaa", 600)
    add_run(home, "bbbbbbbbbbbb", 550)
    add_run(home, "cccccccccccc", 540, mode=journal.FULL, status=journal.FAILED)
    add_run(home, "dddddddddddd", 530, status=journal.FAILED)
    add_run(home, "eeeeeeeeeeee", 520, status=journal.FAILED)
    add_run(home, "ffffffffffff", 560, status=journal.RUNNING)
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        owner = marks.Owner(mapping=NAME, environment="default", run="aaaaaaaaaaaa")
        marks.put_places(t, {"": ({"at": 1}, "1")}, owner=owner, now=home.clock.now())
        fulls = marks.unfinished_fulls(t)
    warehouse.close()
    done = clean(home)
    assert gone(done) == {"runs": 1}
    assert "dddddddddddd" not in runs(home) and len(runs(home)) == 6
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        assert marks.unfinished_fulls(t) == fulls != []
    warehouse.close()


def test_a_reject_goes_once_a_full_has_not_met_it_again(home: PushHome) -> None:
    """An incremental pull does not look at it: then its age tells nothing."""
    home.relation(rows("1"))
    home.push()
    keep(home, "1" * 12, 300, reject("7"), reject("8"))
    add_run(home, "2" * 12, 200)
    assert gone(clean(home)) == {}
    add_run(home, "3" * 12, 100, mode=journal.FULL)
    keep(home, "3" * 12, 99, reject("8"))
    assert gone(clean(home)) == {"rejects": 1}
    assert home.rows("SELECT key FROM syncer.rejects") == [("8",)]


def test_a_reject_stays_where_its_scope_may_not_have_been_read(home: PushHome) -> None:
    """The full was done, but one of its scopes failed: nobody knows whose rejects it would have met."""
    home.relation(rows("1"))
    home.push()
    keep(home, "1" * 12, 300, reject("7"))
    add_run(home, "2" * 12, 200, mode=journal.FULL)
    keep(home, "2" * 12, 200, reject("", scope="group/project"))
    done = clean(home)
    assert gone(done) == {} and why(done, "rejects")["a scope of its mapping was not read since"] == 1


def test_a_reject_of_a_push_stands_however_old(home: PushHome) -> None:
    """A push does not look at its row again until one of the two changes."""
    home.relation([{"client_id": "1", "name": "x", "size": "many"}])
    assert home.push().counts.rejected == 1
    home.later(500 * DAY)
    assert gone(clean(home)).get("rejects", 0) == 0
    assert home.push().counts.rejected == 1


def test_a_declined_row_stays_declined(home: PushHome) -> None:
    """A create that was reverted is made again only when somebody asks; and a row that left keeps its base."""
    home.relation(rows("1", "2"))
    made = home.push()
    home.later()
    revert(home, made.run)
    home.later(500 * DAY)
    done = clean(home)
    assert why(done, "snapshots") == {"a revert took it back: no push makes it again": 2}
    assert (home.push().counts.skipped, home.live()) == (2, [])


def test_a_push_under_way_is_not_hurt(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes up a plan just as it grows too old carries out all of it."""
    home.relation(rows("1", "2"))
    planned = home.push(is_rehearsal=True)
    home.later(91 * DAY)
    leased = executing.Executing._leased
    told: list[Cleaned] = []

    def beside(*given: Any) -> Any:
        told.append(clean(home))
        return leased(*given)

    monkeypatch.setattr(executing.Executing, "_leased", beside)
    done = home.push(plan=planned.plan)
    assert (done.counts.created, done.status, gone(told[0])) == (2, journal.DONE, {})
    assert why(told[0], "changes") == {"a run has begun that may take it up": 2}


def test_a_plan_that_was_marked_as_a_run_took_it_up_stays_whole(home: PushHome) -> None:
    """The run had looked at it before: it carries out all of it, and what is left goes the next time."""
    home.relation(rows("1", "2"))
    planned = home.push(is_rehearsal=True)
    home.later(91 * DAY)
    add_run(home, "a" * 12, 0, status=journal.RUNNING)
    home.rows("UPDATE syncer.runs SET verb = 'push'")
    home.rows("UPDATE syncer.plans SET state = 'aged'")
    assert gone(clean(home)) == {} and len(home.changes(planned.plan)) == 2
    home.rows("UPDATE syncer.runs SET status = 'broken'")
    assert gone(clean(home)) == {"changes": 2, "plan_rows": 2, "plans": 1}


def test_a_revert_under_way_is_not_hurt(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it reads from grows too old while it reads."""
    home.relation(rows("1", "2"))
    made = home.push()
    home.later(89.99 * DAY)
    several = reverting.reverted.several
    told: list[Cleaned] = []

    def later(t: Any, reverted: Any) -> Any:
        home.later(DAY)
        return several(t, reverted)

    monkeypatch.setattr(reverting.reverted, "several", later)
    records = reverting.reverted.records

    def beside(t: Any, reverted: Any, **place: Any) -> Any:
        reasons, parameters = aging.either(
            aging.plan_stays(stale.Ages(now=home.clock.now(), keep_days=90, keep_runs_days=400).values)
        )
        query = f"SELECT COUNT(*) FROM syncer.plans AS p WHERE p.plan = ? AND ({reasons})"
        told.append(t.rows(stale.sql.statement(query), [made.plan, *parameters])[0][0])
        return records(t, reverted, **place)

    monkeypatch.setattr(reverting.reverted, "records", beside)
    assert revert(home, made.run).counts.archived == 2
    assert told and all(count == 1 for count in told)


def test_what_a_revert_still_needs_stays_until_that_is_over(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was killed with a change in flight is gone on with by the next, however late."""
    home.relation(rows("1", "2"))
    made = home.push()
    home.later(89 * DAY)

    def end(applying: Any, sent: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(apply.Applying, "_write_down", end)
        with pytest.raises(KeyboardInterrupt):
            revert(home, made.run)
    home.later(200 * DAY)
    assert why(clean(home), "changes") == {"it is being put back": 2, "a change is in flight": 2}
    again = revert(home, made.run)
    assert (again.error, [each for each in home.site.store.records["companies"].values() if not each.is_archived]) == (
        None,
        [],
    )


@pytest.mark.parametrize("asked", [{"first": 1}, {"is_rehearsal": True}])
def test_a_stored_plan_of_a_revert_can_be_applied_as_long_as_it_stands(home: PushHome, asked: dict[str, Any]) -> None:
    """Part of it, or nothing, was done; both go once the revert's plan is as old."""
    home.relation(rows("1", "2", "3"))
    made = home.push()
    home.later(85 * DAY)
    part = revert(home, made.run, **asked)
    home.later(10 * DAY)
    assert why(clean(home), "changes")["it is being put back"] == 3
    assert revert(home, made.run, plan=part.plan).error is None
    home.later(100 * DAY)
    assert gone(clean(home))["changes"] == 6


@pytest.mark.parametrize("at", range(1, 7))
def test_a_kill_in_the_middle_is_made_up_for(home: PushHome, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whatever transaction it ends behind, pushes go on, and the next cleaning ends where a whole one does."""
    monkeypatch.setattr(stale, "AT_ONCE", 2)
    home.relation(rows("1", "2", "3", "4", "5"))
    home.push()
    home.later(DAY)
    home.change("0", phone="x")
    home.push()
    home.push(is_rehearsal=True)
    home.later(500 * DAY)
    counted = iter(range(1, 1_000))

    def ends(table: str, count: int, of: int) -> None:
        if next(counted) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean(home, on_progress=ends)
    clean(home)
    tables = ("changes", "plan_rows", "plans")
    assert [home.rows(f"SELECT COUNT(*) FROM syncer.{name}")[0][0] for name in tables] == [0, 0, 2]
    assert gone(clean(home)) == {}
    home.change("1", phone="y")
    assert home.push().counts.updated == 1


def test_keys_of_a_walk_go_once_nobody_goes_on_with_it(home: PushHome) -> None:
    """A scope that has a place may be read on from the middle of its walk."""
    home.relation(rows("1"))
    home.push()
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        owner = marks.Owner(mapping=NAME, environment="default", run="a" * 12)
        marks.put_places(t, {"here": ({"at": 1}, "1")}, owner=owner, now=home.clock.now())
        for walk in (marks.walk_of("here"), marks.walk_of("away"), "census:met"):
            t.run(stale.sql.statement("INSERT INTO syncer.walks VALUES (?, 'default', ?, '1')"), [NAME, walk])
    warehouse.close()
    add_run(home, "b" * 12, 1, status=journal.RUNNING)
    assert gone(clean(home)) == {}, "a pull is under way"
    home.rows("UPDATE syncer.runs SET status = 'broken' WHERE run = ?", ["b" * 12])
    assert gone(clean(home)) == {"walks": 2}
    assert home.rows("SELECT walk FROM syncer.walks") == [("scope:here",)]


def test_what_nobody_configures_goes_only_by_name(home: PushHome) -> None:
    """A mapping may be missing by mistake; and while it may be put back it stays, by name, too."""
    home.relation(rows("1", "2"))
    home.push()
    for table in ("runs", "plans", "changes", "snapshots", "agreed", "hashes"):
        home.rows(f"UPDATE syncer.{table} SET mapping = 'hubspot.dropped'")
    [found] = clean(home).unconfigured
    assert found.mapping == "hubspot.dropped" and "clean --mapping hubspot.dropped" in str(found)
    with pytest.raises(UsageError, match="may be put back"):
        clean(home, mapping="hubspot.dropped")
    with pytest.raises(UsageError, match="is configured"):
        clean(home, mapping=NAME)
    home.later(91 * DAY)
    told = clean(home, mapping="hubspot.dropped", dry_run=True)
    done = clean(home, mapping="hubspot.dropped")
    assert told.of_mapping == done.of_mapping and done.unconfigured == []
    for table in ("runs", "plans", "changes", "plan_rows", "snapshots", "agreed", "hashes"):
        assert home.rows(f"SELECT COUNT(*) FROM syncer.{table}") == [(0,)], table


def test_where_nothing_was_ever_done_one_line_is_told(home: PushHome) -> None:
    """No warehouse is made, and no table."""
    assert str(clean(home)).endswith("deleted nothing. Values are kept for 90 days, runs for 400 days.")


def test_off_keeps_everything(home: PushHome) -> None:
    """Also runs: they tell what was written."""
    home.settings = attrs.evolve(home.settings, tables={**home.settings.tables, "journal": {"keep_days": "off"}})
    home.relation(rows("1"))
    home.push()
    home.later(5_000 * DAY)
    assert (clean(home).goes, clean(home).keep_runs_days) == (0, None)


def test_what_is_told_has_names_and_nouns() -> None:
    """A line without them says nothing to who reads what cron sends."""
    told = Cleaned(warehouse="w", is_rehearsal=True, abandoned=1, copies=1)
    assert "would delete 1 plan or comparison that a killed run was making, 1 copy of rows that belongs" in str(told)
    assert "2 plans or comparisons that a killed run was making" in str(attrs.evolve(told, abandoned=2))
    unknown = [
        Unconfigured(mapping=f"hubspot.old_{number}", environment=where, rows=1)
        for number, where in enumerate(["default", "voys", "default", "default"])
    ]
    bare = str(Cleaned(warehouse="w", unconfigured=unknown[:1]))
    assert "1 row stays of what nobody configures: hubspot.old_0." in bare and "\n" not in bare
    many = str(Cleaned(warehouse="w", unconfigured=unknown))
    assert "4 rows stay" in many and "hubspot.old_1 (voys)" in many and many.endswith("and 1 more.")
