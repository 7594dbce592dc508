"""A revert puts back what a run wrote, where nobody touched it since; it is a plan, and can be reverted itself."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import executing, operating, plan_journal, reverting
from syncer.errors import UsageError
from syncer.sandbox.faults import Fault
from syncer.tally import Pushed
from tests.outbound import KEY, PushHome


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{KEY: str(number), "name": f"Company {number}", "phone": f"+31 {number}", **more} for number in numbers]


def revert(home: PushHome, run: str | None, **request: Any) -> Pushed:
    assert run is not None
    return reverting.revert(run, settings=home.settings, request=executing.Request(**request), doors=home.doors)


def updated(home: PushHome, *numbers: int) -> Pushed:
    """Make companies, then change the phone of each: the run that is reverted."""
    home.relation(rows(*numbers))
    home.push()
    home.later()
    for number in numbers:
        home.change(str(number), phone=f"new {number}", name=f"New {number}")
    done = home.push()
    home.later()
    home.sent()
    return done


def agreed(home: PushHome, key: str) -> str:
    [(fields,)] = home.rows("SELECT fields FROM syncer.agreed WHERE key = ?", [key])
    return str(fields)


def states(home: PushHome) -> dict[str, str]:
    return dict(home.rows("SELECT key, state FROM syncer.snapshots"))


# Updates.


def test_old_values_come_back(home: PushHome) -> None:
    done = updated(home, 1, 2, 3)
    back = revert(home, done.run)
    assert (back.counts.updated, back.counts.read, back.exit_code, back.verb) == (3, 3, 0, "revert")
    assert home.values("phone") == {"1": "+31 1", "2": "+31 2", "3": "+31 3"}
    assert home.values("name")["2"] == "Company 2"


def test_push_revert_push_leaves_nothing_to_do(home: PushHome) -> None:
    """A revert counts as their edit: what both sides agreed on stays, so the next push leaves those fields alone."""
    done = updated(home, 1, 2)
    before = agreed(home, "1")
    revert(home, done.run)
    assert agreed(home, "1") == before
    home.sent()
    again = home.push()
    assert (home.changes(again.plan), again.counts.unchanged, again.exit_code) == ([], 2, 0)
    assert home.values("phone") == {"1": "+31 1", "2": "+31 2"}


def test_a_field_that_changes_here_after_a_revert_is_a_conflict(home: PushHome) -> None:
    """Both sides moved since they last agreed: a person decides."""
    done = updated(home, 1, 2)
    revert(home, done.run)
    home.change("1", phone="newer")
    again = home.push()
    assert (again.counts.conflicts, again.counts.updated) == (1, 0)
    [problem] = [each for each in home.problems(again.plan) if each["field"] == "phone"]
    assert (problem["agreed"], problem["ours"], problem["theirs"]) == ("new 1", "newer", "+31 1")


def test_a_field_that_somebody_changed_since_is_left_and_the_others_come_back(home: PushHome) -> None:
    """The conflict names what would be put back, what is there, and what the run wrote."""
    done = updated(home, 1, 2)
    home.edit("1", phone="theirs")
    back = revert(home, done.run)
    assert (back.counts.conflicts, back.counts.updated, back.counts.read, back.exit_code) == (1, 1, 2, 3)
    company = home.company("1").properties
    assert (company["phone"], company["name"]) == ("theirs", "Company 1")
    [problem] = home.problems(back.plan)
    assert (problem["key"], problem["field"], problem["reason"]) == ("1", "phone", "Changed on their side since.")
    assert (problem["ours"], problem["theirs"], problem["agreed"]) == ("+31 1", "theirs", "new 1")


def test_what_reads_as_before_already_is_nothing_to_do(home: PushHome) -> None:
    done = updated(home, 1, 2)
    home.edit("1", phone="+31 1", name="Company 1")
    back = revert(home, done.run)
    assert (back.counts.unchanged, back.counts.updated, back.exit_code) == (1, 1, 0)


def test_a_blank_that_was_filled_is_blank_again(home: PushHome) -> None:
    home.relation(rows(1, industry=None))
    home.push()
    home.change("1", industry="Telecom")
    done = home.push()
    revert(home, done.run)
    assert not home.values("industry")["1"]


def test_a_later_run_that_wrote_the_field_is_named(home: PushHome) -> None:
    """To put the first one back would take away what the later one wrote: it is reverted first."""
    done = updated(home, 1, 2)
    home.change("1", phone="newest")
    later = home.push()
    home.later()
    back = revert(home, done.run)
    [problem] = home.problems(back.plan)
    assert problem["reason"] == f"Run {later.run} wrote it since."
    assert home.values("phone") == {"1": "newest", "2": "+31 2"}


def test_a_later_run_that_wrote_the_same_value_again_is_named(home: PushHome) -> None:
    """It reads as both runs wrote it, and is the later one's."""
    done = updated(home, 1)
    home.edit("1", phone="theirs")
    home.later()
    home.change("1", name="other")
    later = home.with_words(policy="ours").push()
    assert later.counts.updated == 1
    home.edit("1", phone="new 1")
    home.later()
    back = revert(home, done.run)
    fields = {each["field"]: each["reason"] for each in home.problems(back.plan)}
    assert fields == {"name": f"Run {later.run} wrote it since."}


def test_a_record_that_is_gone_is_a_conflict(home: PushHome) -> None:
    done = updated(home, 1, 2)
    home.site.store.archive("companies", home.company("1").id)
    back = revert(home, done.run)
    assert (back.counts.conflicts, back.counts.updated) == (1, 1)
    assert "was archived" in home.problems(back.plan)[0]["reason"]


def test_a_record_that_was_merged_away_is_put_back_through_the_survivor(home: PushHome) -> None:
    done = updated(home, 1)
    kept = home.make(phone="x")
    home.site.store.merge("companies", kept.id, home.company("1").id)
    [survivor] = home.live()
    home.site.store.update("companies", survivor.id, {"phone": "new 1", "name": "New 1"}, source_type="CRM_UI")
    back = revert(home, done.run)
    assert (back.counts.updated, home.live()[0].properties["phone"]) == (1, "+31 1")


# Creates.


def test_what_was_made_is_archived_and_not_made_again(home: PushHome) -> None:
    home.relation(rows(1, 2))
    done = home.push()
    back = revert(home, done.run)
    assert (back.counts.archived, back.counts.read, home.live(), back.exit_code) == (2, 2, [], 0)
    assert states(home) == {"1": "declined", "2": "declined"}
    again = home.push()
    assert (again.counts.skipped, home.changes(again.plan), home.live()) == (2, [], [])


def test_what_was_reverted_is_made_again_where_it_is_asked_for(home: PushHome) -> None:
    """As if it had never been there; the others stay skipped."""
    home.relation(rows(1, 2))
    revert(home, home.push().run)
    done = home.push(again=("1",))
    assert (done.counts.created, done.counts.skipped, list(home.values("name"))) == (1, 1, ["1"])
    assert states(home) == {"1": "live", "2": "declined"}
    again = home.push()
    assert (again.counts.unchanged, again.counts.skipped, home.changes(again.plan)) == (1, 1, [])


def test_a_key_that_was_not_reverted_is_not_made_again(home: PushHome) -> None:
    home.relation(rows(1, 2))
    home.push()
    done = home.push(again=("1",))
    assert (done.status, "No create of 1 of hubspot.companies was reverted" in (done.error or "")) == ("failed", True)


def test_what_was_made_and_edited_since_stays(home: PushHome) -> None:
    """Somebody works with it."""
    home.relation(rows(1, 2))
    done = home.push()
    home.edit("1", phone="theirs")
    back = revert(home, done.run)
    assert (back.counts.archived, back.counts.conflicts, list(home.values("name"))) == (1, 1, ["1"])
    [problem] = home.problems(back.plan)
    assert (problem["field"], problem["agreed"], problem["theirs"]) == ("phone", "+31 1", "theirs")
    assert states(home) == {"1": "live", "2": "declined"}


def test_what_was_made_and_merged_into_another_since_takes_that_one_not_along(home: PushHome) -> None:
    """Its id leads to the survivor, which is not ours to archive."""
    home.relation(rows(1))
    done = home.push()
    kept = home.make(name="Company 1", phone="+31 1")
    home.site.store.merge("companies", kept.id, home.company("1").id)
    back = revert(home, done.run)
    assert (back.counts.conflicts, back.counts.archived, len(home.live())) == (1, 0, 1)
    assert "was merged into record" in home.problems(back.plan)[0]["reason"]


def test_what_is_edited_between_the_plan_and_its_application_stays(home: PushHome) -> None:
    """A plan that was looked at an hour ago archives nothing that people have worked on since."""
    home.relation(rows(1, 2))
    done = home.push()
    planned = revert(home, done.run, is_rehearsal=True)
    home.edit("1", phone="theirs")
    home.later()
    back = revert(home, done.run, plan=planned.plan)
    assert (back.counts.archived, back.counts.conflicts, list(home.values("name"))) == (1, 1, ["1"])


# Archives, merges, operations.


def test_what_was_archived_only_the_ui_restores(home: PushHome) -> None:
    home.relation(rows(1, 2))
    home.push()
    home.rows(f"DELETE FROM stage.companies WHERE {KEY} = '1'")
    words = home.with_words(on_missing="archive", max_archives=5, max_missing_share="off")
    done = words.push()
    assert done.counts.archived == 1
    back = revert(home, done.run)
    assert (back.counts.conflicts, back.exit_code, len(home.live())) == (1, 3, 1)
    assert "only the UI can restore it" in home.problems(back.plan)[0]["reason"]


def test_a_definition_that_was_made_stays(home: PushHome) -> None:
    """Values may stand in it."""
    home = home.with_words(match_on="code")
    done = operating.run(
        "hubspot.create_properties", settings=home.settings, request=executing.Request(), doors=home.doors
    )
    back = revert(home, done.run)
    assert (back.counts.conflicts, back.exit_code, back.error) == (1, 3, None)
    assert "code" in home.site.store.definitions["companies"]


# A revert is a run of a plan.


def test_a_dry_run_writes_nothing_and_its_plan_is_applied_by_its_id(home: PushHome) -> None:
    done = updated(home, 1, 2)
    planned = revert(home, done.run, is_rehearsal=True)
    assert (planned.run, planned.counts.updated, home.writes()) == (None, 2, [])
    back = revert(home, done.run, plan=planned.plan[:6])
    assert (back.plan, back.counts.updated, home.values("phone")["1"]) == (planned.plan, 2, "+31 1")
    with pytest.raises(UsageError, match="applied already"):
        revert(home, done.run, plan=planned.plan)


def test_a_part_is_put_back_first_and_the_rest_later(home: PushHome) -> None:
    done = updated(home, *range(1, 6))
    first = revert(home, done.run, first=2)
    assert (first.counts.updated, first.counts.pending, first.exit_code) == (2, 3, 0)
    rest = revert(home, done.run, plan=first.plan)
    assert (rest.counts.pending, set(home.values("phone").values())) == (0, {f"+31 {each}" for each in range(1, 6)})


def test_nothing_is_put_back_where_something_is_not_clean(home: PushHome) -> None:
    done = updated(home, 1, 2)
    home.edit("1", phone="theirs")
    back = revert(home, done.run, is_strict=True)
    assert (back.status, back.exit_code, home.values("phone")["2"], home.writes()) == ("refused", 4, "new 2", [])


def test_a_revert_is_reverted(home: PushHome) -> None:
    done = updated(home, 1, 2)
    back = revert(home, done.run)
    home.later()
    forth = revert(home, back.run)
    assert (forth.counts.updated, home.values("phone")) == (2, {"1": "new 1", "2": "new 2"})
    home.later()
    assert revert(home, done.run).counts.updated == 2
    assert home.values("phone")["1"] == "+31 1"


def test_only_what_the_run_itself_did_is_put_back(home: PushHome) -> None:
    """A plan may be carried out by several runs."""
    home.relation(rows(*range(1, 7)))
    first = home.push(first=2)
    rest = home.push(plan=first.plan)
    back = revert(home, first.run)
    assert (back.counts.archived, back.counts.read, len(home.live())) == (2, 2, 4)
    assert (revert(home, rest.run).counts.archived, home.live()) == (4, [])


def test_the_limits_are_the_counts_of_the_run(home: PushHome) -> None:
    """No archive is let through otherwise."""
    home.relation(rows(*range(1, 31)))
    done = home.push()
    strict = home.with_words(max_archives=0, max_updates=0)
    assert revert(strict, done.run).counts.archived == 30


def test_open_conflicts_of_pushes_stay_open(home: PushHome) -> None:
    """A revert of the same rows says nothing about what a push would do."""
    home.relation(rows(1, 2))
    home.push()
    home.edit("1", phone="theirs")
    home.change("1", phone="ours", name="other")
    done = home.push()
    assert (done.counts.conflicts, home.company("1").properties["name"]) == (1, "other")
    before = home.rows("SELECT key, field, state, ours, theirs, run FROM syncer.conflicts")
    home.edit("1", name="theirs, too")
    back = revert(home, done.run)
    assert back.counts.conflicts == 1
    assert home.rows("SELECT key, field, state, ours, theirs, run FROM syncer.conflicts") == before


# After a kill.


class Killed(BaseException):
    """The process ended."""


def killed_at(home: PushHome, monkeypatch: pytest.MonkeyPatch, number: int, act: Any) -> None:
    """End the process as the states of a plan are written for the so manieth time."""
    whole, times = plan_journal.set_states, [0]

    def dying(*args: Any, **named: Any) -> None:
        times[0] += 1
        if times[0] == number:
            raise Killed
        whole(*args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(plan_journal, "set_states", dying)
        with pytest.raises(Killed):
            act()


@pytest.mark.parametrize("number", range(1, 5))
def test_a_revert_that_was_killed_is_gone_on_with(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What was put back reads as before already; what was in flight is read back."""
    done = updated(home, *range(1, 151))
    killed_at(home, monkeypatch, number, lambda: revert(home, done.run))
    home.later()
    back = revert(home, done.run)
    assert (back.exit_code, back.counts.read, back.counts.conflicts) == (0, 150, 0)
    assert home.values("phone") == {str(each): f"+31 {each}" for each in range(1, 151)}
    assert home.push().counts.unchanged == 150


def test_a_broken_run_is_reverted(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in flight is settled first, under its own id."""
    home.relation(rows(*range(1, 151)))
    killed_at(home, monkeypatch, 2, home.push)
    [(run,)] = home.rows("SELECT run FROM syncer.runs")
    made = len(home.live())
    assert made >= 100
    shown = revert(home, run, is_rehearsal=True)
    assert (shown.counts.read, len(home.live())) == (0, made)
    home.later()
    back = revert(home, run)
    assert (back.exit_code, back.counts.archived, home.live()) == (0, made, [])
    assert any("are settled by reading them back" in note for note in back.notes)


def test_an_answer_that_is_lost_is_read_back(home: PushHome) -> None:
    done = updated(home, 1, 2)
    home.sandbox.faults.add(Fault(kind="reset_after", match="POST /crm/objects/2026-09/companies/batch/update"))
    back = revert(home, done.run)
    assert (back.counts.updated, back.exit_code, home.values("phone")["1"]) == (2, 0, "+31 1")


# What cannot be reverted.


def refused(home: PushHome, run: str, **request: Any) -> str:
    with pytest.raises(UsageError) as raised:
        revert(home, run, **request)
    assert home.writes() == []
    return str(raised.value)


def test_a_run_that_is_not_there_is_named(home: PushHome) -> None:
    done = updated(home, 1)
    assert "no run ffffffff" in refused(home, "ffffffff")
    assert "too short" in refused(home, "ab")
    assert "no run" in refused(home, done.plan)


def test_without_a_warehouse_there_is_no_run(home: PushHome) -> None:
    assert "no run" in refused(home, "abcdef")


def test_a_clear_beginning_of_an_id_will_do(home: PushHome) -> None:
    done = updated(home, 1)
    assert revert(home, (done.run or "")[:8]).counts.updated == 1


def test_the_beginning_of_several_runs_is_refused(home: PushHome) -> None:
    updated(home, 1)
    home.rows("UPDATE syncer.runs SET run = 'aaaa1' WHERE run = (SELECT MIN(run) FROM syncer.runs)")
    home.rows("UPDATE syncer.runs SET run = 'aaaa2' WHERE run <> 'aaaa1'")
    assert "the beginning of 2 runs" in refused(home, "aaaa")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("verb = 'pull'", "is a pull"),
        ("environment = 'other'", "is of the environment other"),
        ('"plan" = NULL', "before there was a plan"),
    ],
)
def test_a_run_that_cannot_be_put_back_says_why(home: PushHome, change: str, text: str) -> None:
    done = updated(home, 1)
    home.rows(f"UPDATE syncer.runs SET {change} WHERE run = ?", [done.run])
    assert text in refused(home, done.run or "")


def test_a_run_of_another_account_is_refused(home: PushHome) -> None:
    done = updated(home, 1)
    home.rows("UPDATE syncer.plans SET account = '999'")
    assert "wrote to account 999" in refused(home, done.run or "")


def test_a_run_that_wrote_nothing_has_nothing_to_put_back(home: PushHome) -> None:
    home.relation(rows(*range(1, 21)))
    done = home.with_words(max_creates=5).push()
    assert "wrote nothing" in refused(home, done.run or "")


def test_a_run_whose_journal_aged_is_refused(home: PushHome) -> None:
    done = updated(home, 1)
    home.rows("UPDATE syncer.plans SET state = 'aged'")
    assert "deleted from the journal" in refused(home, done.run or "")


def test_a_run_that_is_still_going_is_refused(home: PushHome) -> None:
    done = updated(home, 1)
    home.rows("UPDATE syncer.runs SET status = 'running' WHERE run = ?", [done.run])
    warehouse = home.warehouse()
    lease = warehouse.lease("write hubspot.companies@default", run=done.run or "", wait_s=0)
    try:
        assert "still going" in refused(home, done.run or "")
    finally:
        lease.release()
        warehouse.close()


def test_a_plan_of_another_run_is_refused(home: PushHome) -> None:
    done = updated(home, 1)
    planned = revert(home, done.run, is_rehearsal=True)
    back = revert(home, done.run)
    home.sent()
    assert "none that reverts run" in refused(home, back.run or "", plan=planned.plan)
    assert "is a push" in refused(home, done.run or "", plan=done.plan)


def test_values_that_were_forgotten_are_not_put_back(home: PushHome) -> None:
    """Nobody knows them any more."""
    done = updated(home, 1, 2)
    home.rows("UPDATE syncer.changes SET fields = '{}', key = 'forgotten 1' WHERE key = '1'")
    back = revert(home, done.run)
    assert (back.counts.conflicts, back.counts.updated, home.values("phone")["1"]) == (1, 1, "new 1")
