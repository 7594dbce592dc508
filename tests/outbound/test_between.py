"""Between a plan and its apply, and where an apply ends in the middle."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pytest

from syncer import reverting
from syncer.apply import Applying
from syncer.errors import UsageError
from tests.outbound import KEY, PushHome


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{KEY: f"{number:03}", "name": f"Company {number}", **more} for number in range(count)]


def test_a_plan_that_ended_half_way_is_applied_once_for_the_rest(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--plan ID` goes on where it stopped: what was in flight is read back, what was done is not sent again."""
    home.relation(rows(250))
    planned = home.push(is_rehearsal=True)
    write_down = Applying._write_down

    def once(applying: Applying, sent: Any) -> None:
        write_down(applying, sent)
        raise KeyboardInterrupt

    monkeypatch.setattr(Applying, "_write_down", once)
    with pytest.raises(KeyboardInterrupt):
        home.push(plan=planned.plan)
    monkeypatch.undo()
    first = len(home.live())
    assert 100 <= first <= 250
    sent_first = len(home.writes())
    rest = home.push(plan=planned.plan)
    assert (rest.exit_code, len(home.live())) == (0, 250)
    assert sent_first + len(home.writes()) <= 4, "three batches, of which one may have been cut by the settling"
    assert home.rows("SELECT state, COUNT(*) FROM syncer.changes GROUP BY state") == [("done", 250)]
    after = home.push()
    assert (after.counts.unchanged, after.counts.read, home.writes()) == (250, 250, [])


def test_a_row_that_changes_between_plan_and_apply_is_pushed_by_the_next_push(home: PushHome) -> None:
    """The plan writes what it showed; the snapshot has the row as the plan read it, so that it differs again."""
    home.relation(rows(3))
    planned = home.push(is_rehearsal=True)
    home.change("001", name="Changed since")
    done = home.push(plan=planned.plan)
    assert (done.counts.created, home.values("name")["001"]) == (3, "Company 1")
    later = home.push()
    assert (later.counts.updated, later.counts.unchanged, home.values("name")["001"]) == (1, 2, "Changed since")


def test_a_plan_does_not_go_over_what_a_later_push_of_ours_wrote(home: PushHome) -> None:
    """Within the same minute: its records are read again, since it does not know of that push."""
    home.relation(rows(3, phone="0"))
    home.push()
    home.change("001", phone="1")
    planned = home.push(is_rehearsal=True)
    home.change("001", phone="2")
    assert home.push().counts.updated == 1
    done = home.push(plan=planned.plan)
    assert (done.counts.updated, done.counts.conflicts, home.values("phone")["001"]) == (0, 1, "2")
    after = home.push()
    assert (after.counts.unchanged, after.exit_code, home.values("phone")["001"]) == (3, 0, "2")


def test_a_plan_that_another_one_carried_out_has_nothing_to_do(home: PushHome) -> None:
    """Two dry runs of the same rows, both applied: the second sends nothing, counts nothing, and undoes nothing."""
    home.make("000", name="x", phone="old")
    home.relation(rows(3, phone="0"))
    words = home.with_words(adopt="ours", max_update_share="off")
    first, second = (words.push(is_rehearsal=True).plan for _ in range(2))
    done = words.push(plan=first)
    assert (done.counts.created, done.counts.updated) == (2, 1)
    home.sent()
    again = words.push(plan=second)
    assert (again.counts.unchanged, again.counts.read, again.exit_code, home.writes()) == (3, 3, 0, [])
    assert home.rows("SELECT DISTINCT state FROM syncer.changes WHERE plan = ?", [second]) == [("same",)]
    with pytest.raises(UsageError, match="wrote nothing"):
        reverting.revert(again.run or "", settings=words.settings, request=words.request(), doors=home.doors)
    assert words.push().counts.unchanged == 3
    with pytest.raises(UsageError, match="applied already"):
        words.push(plan=second)


def test_a_record_that_somebody_made_since_the_plan_is_not_made_again(home: PushHome) -> None:
    """With other values it is told of, with its id; with the same ones there is nothing to do."""
    home.relation(rows(3))
    planned = home.push(is_rehearsal=True)
    made = home.make("001", name="Somebody's")
    home.make("002", name="Company 2")
    done = home.push(plan=planned.plan)
    assert (done.counts.created, done.counts.conflicts, done.counts.unchanged, done.exit_code) == (1, 1, 1, 3)
    [(reason,)] = home.rows("SELECT reason FROM syncer.conflicts WHERE state = 'open'")
    assert made.id in reason and len(home.live()) == 3
    assert home.values("name")["001"] == "Somebody's"


def test_a_row_that_left_between_plan_and_apply_is_written_as_the_plan_showed(home: PushHome) -> None:
    """And is a row that left for the next push."""
    home.relation(rows(3))
    planned = home.push(is_rehearsal=True)
    home.rows(f"DELETE FROM stage.companies WHERE {KEY} = '001'")
    assert home.push(plan=planned.plan).counts.created == 3
    assert home.push().exit_code == 0
    assert len(home.live()) == 3


def test_push_revert_push_ends_with_nothing_to_do(home: PushHome) -> None:
    """The revert is an edit of theirs: ours did not change since, so it stands."""
    home.relation(rows(3))
    home.push()
    home.rows("UPDATE stage.companies SET name = 'new'")
    home.with_words(max_update_share="off").push()
    home.site.store.update("companies", home.company("001").id, {"name": "old"}, source_type="CRM_UI")
    last = home.push()
    assert (last.counts.updated, last.counts.read) == (0, 3)


@pytest.mark.parametrize(
    ("name", "given", "there"),
    [
        ("name", "O'Neil & Söhne", "O'Neil & Söhne"),
        ("name", 'say "hello"', 'say "hello"'),
        ("name", "one\ntwo\r\nthree", "one\ntwo\r\nthree"),
        ("name", "🚀 emoji 日本", "🚀 emoji 日本"),
        ("name", "{braces} {{x}} %s ${y}", "{braces} {{x}} %s ${y}"),
        ("phone", "a/b#c@x.com?d=e&f", "a/b#c@x.com?d=e&f"),
        ("size", decimal.Decimal("12.3400"), "12.34"),
        ("since", dt.date(2026, 2, 28), "2026-02-28"),
        ("met_at", dt.datetime(2026, 2, 28, 23, 59, 59, 123000, tzinfo=dt.UTC), "2026-02-28T23:59:59.123Z"),
        ("is_customer", True, "true"),
        ("phone", None, None),
    ],
)
def test_a_value_arrives_as_it_is(home: PushHome, name: str, given: Any, there: str | None) -> None:
    """And is read back equal: the next push has nothing to do, and verify finds nothing."""
    home.relation([{KEY: "1", "name": "x", **{name: given}}])
    assert home.push().counts.created == 1
    assert (home.company("1").properties.get(name) or None) == there
    home.later()
    again = home.push()
    assert (again.counts.unchanged, home.writes()[1:]) == (1, [])
    home.rows("DELETE FROM syncer.snapshots")
    home.rows("DELETE FROM syncer.agreed")
    adopted = home.push()
    assert (adopted.counts.unchanged, adopted.exit_code, home.writes()) == (1, 0, []), "compared anew, it is equal"


@pytest.mark.parametrize(
    "key", ["O'Neil", 'a "b"', "a/b#c@x.com", "{braces}", "🚀", "ä ö", "a;b", "%", "_", "1e5", "01"]
)
def test_a_key_arrives_as_it_is(home: PushHome, key: str) -> None:
    """It is found again by that very key."""
    home.relation([{KEY: key, "name": "one"}, {KEY: f"{key}x", "name": "two"}])
    assert home.push().counts.created == 2
    home.rows("DELETE FROM syncer.snapshots")
    home.rows("DELETE FROM syncer.agreed")
    home.rows("UPDATE stage.companies SET name = 'three'")
    adopted = home.with_words(adopt="ours").push()
    assert (adopted.counts.updated, len(home.live())) == (2, 2)
    assert home.values("name") == {key: "three", f"{key}x": "three"}
