"""A push from end to end: what changed here is written there, once, and what changed there stays."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.errors import UsageError
from syncer.plan import CREATE, UPDATE, Edit
from tests.outbound import PushHome


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"client_id": str(number), "name": f"Company {number}", "phone": f"+31 {number}", **more} for number in numbers
    ]


def test_new_rows_are_created_once(home: PushHome) -> None:
    home.relation(rows(1, 2, 3))
    done = home.push()
    assert (done.status, done.counts.created, done.counts.read, done.exit_code) == ("done", 3, 3, 0)
    assert home.values("name") == {"1": "Company 1", "2": "Company 2", "3": "Company 3"}
    again = home.push()
    assert (again.counts.unchanged, again.counts.read, home.writes()[1:]) == (3, 3, [])


def test_a_dry_run_writes_nothing_and_shows_each_field(home: PushHome) -> None:
    home.make("1", phone="old")
    home.relation(rows(1, 2))
    planned = home.with_words(adopt="ours").push(is_rehearsal=True)
    assert (planned.run, planned.counts.created, planned.counts.updated) == (None, 1, 1)
    assert home.writes() == []
    create, update = sorted(home.changes(planned.plan), key=lambda change: change.action)
    assert (create.action, create.key, create.fields["name"]) == (CREATE, "2", Edit(None, "Company 2"))
    assert (update.action, update.fields["phone"]) == (UPDATE, Edit("old", "+31 1", 'adopt = "ours"'))


def test_only_what_changed_here_is_written(home: PushHome) -> None:
    home.relation(rows(*range(1, 21)))
    home.push()
    home.edit("2", phone="theirs")
    home.change("1", phone="ours")
    done = home.push()
    assert (done.counts.updated, done.counts.unchanged) == (1, 19)
    assert (home.values("phone")["1"], home.values("phone")["2"]) == ("ours", "theirs")


def test_an_edit_of_theirs_stands_when_another_column_of_ours_changes(home: PushHome) -> None:
    home.relation(rows(1))
    home.push()
    home.edit("1", phone="theirs")
    for turn in range(10):
        home.change("1", name=f"Name {turn}")
        assert home.push().counts.updated == 1
        assert (home.values("phone")["1"], home.values("name")["1"]) == ("theirs", f"Name {turn}")


def test_there_and_back_and_there_again_is_written_each_time(home: PushHome) -> None:
    home.relation(rows(1))
    home.push()
    for phone in ("2", "1", "2"):
        home.change("1", phone=phone)
        assert home.push().counts.updated == 1
        assert home.values("phone") == {"1": phone}


def test_what_both_sides_changed_is_a_conflict_until_it_is_settled(home: PushHome) -> None:
    home.relation(rows(1))
    home.push()
    home.edit("1", phone="theirs")
    home.change("1", phone="ours")
    for _ in range(2):
        done = home.push()
        assert (done.counts.conflicts, done.counts.updated, done.exit_code) == (1, 0, 3)
        [problem] = home.problems(done.plan)
        assert (problem["field"], problem["agreed"], problem["ours"], problem["theirs"]) == (
            "phone",
            "+31 1",
            "ours",
            "theirs",
        )
    home.edit("1", phone="ours")
    assert (home.push().counts.unchanged, home.values("phone")) == (1, {"1": "ours"})


def test_a_row_that_moved_since_the_plan_is_named_and_not_overwritten(home: PushHome) -> None:
    home.relation(rows(1, 2))
    home.push()
    home.change("1", phone="ours 1")
    home.change("2", phone="ours 2")
    planned = home.push(is_rehearsal=True)
    home.edit("1", phone="theirs")
    home.later()
    done = home.push(plan=planned.plan)
    assert (done.counts.updated, done.counts.conflicts, done.exit_code) == (1, 1, 3)
    assert home.values("phone") == {"1": "theirs", "2": "ours 2"}


def test_one_bad_row_costs_one_row(home: PushHome) -> None:
    home.relation([{**row, "tier": "gold" if number != 50 else "tin"} for number, row in enumerate(rows(*range(100)))])
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.exit_code) == (99, 1, 3)
    [problem] = home.problems(done.plan)
    assert (problem["key"], problem["field"]) == ("50", "tier")


def test_rows_with_one_key_or_none_are_named_and_not_written(home: PushHome) -> None:
    home.relation([*rows(1, 2, 2), {"client_id": None, "name": "n", "phone": "p"}])
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.counts.read) == (1, 3, 4)
    assert list(home.values("name")) == ["1"]


def test_a_plan_that_was_looked_at_is_applied_once(home: PushHome) -> None:
    home.relation(rows(1, 2))
    planned = home.push(is_rehearsal=True)
    done = home.push(plan=planned.plan[:6])
    assert (done.plan, done.checksum, done.counts.created) == (planned.plan, planned.checksum, 2)
    home.sent()
    with pytest.raises(UsageError, match="applied already"):
        home.push(plan=planned.plan)
    assert home.writes() == []


def test_a_part_of_a_plan_is_applied_first_and_the_rest_later(home: PushHome) -> None:
    home.make("1", phone="old")
    home.relation(rows(*range(1, 11)))
    first = home.with_words(adopt="ours").push(first=3)
    assert (first.counts.created + first.counts.updated, first.counts.pending, first.exit_code) == (3, 7, 0)
    assert first.counts.updated == 1, "every action occurs"
    rest = home.with_words(adopt="ours").push(plan=first.plan)
    assert (rest.counts.pending, len(home.live()), rest.exit_code) == (0, 10, 0)
    assert (rest.counts.created, rest.counts.unchanged) == (7, 3), "what the first run did is unchanged by now"
    assert home.with_words(adopt="ours").push().counts.unchanged == 10


def test_nothing_is_written_where_something_is_not_clean(home: PushHome) -> None:
    home.relation([*rows(1, tier="gold"), *rows(2, tier="tin")])
    refused = home.push(is_strict=True)
    assert (refused.status, refused.exit_code, home.live()) == ("refused", 4, [])


def test_too_large_a_plan_is_refused_until_it_is_forced_by_its_id(home: PushHome) -> None:
    home.relation(rows(*range(20)))
    small = home.with_words(max_creates=5)
    refused = small.push()
    assert (refused.status, refused.exit_code, home.writes()) == ("refused", 4, [])
    assert refused.trips == ("max_creates: 20 creates, and at most 5 are let through",)
    assert small.push(plan=refused.plan).exit_code == 4
    assert (small.push(plan=refused.plan, is_forced=True).counts.created, len(home.live())) == (20, 20)


def test_a_plan_is_bound_to_the_words_it_was_made_under(home: PushHome) -> None:
    home.relation(rows(1))
    planned = home.push(is_rehearsal=True)
    with pytest.raises(UsageError, match=r"policy of hubspot\.companies changed"):
        home.with_words(policy="ours").push(plan=planned.plan)


def test_conflicts_and_rejects_stand_in_tables_until_they_are_settled(home: PushHome) -> None:
    home.relation(rows(1, 2, tier="gold"))
    home.push()
    home.edit("1", phone="theirs")
    home.change("1", phone="ours")
    home.change("2", tier="tin")
    home.push()
    conflicts = "SELECT key, field, state, agreed, ours, theirs FROM syncer.conflicts"
    rejects = "SELECT key, \"column\", value FROM syncer.rejects WHERE scope = 'push'"
    assert home.rows(conflicts) == [("1", "phone", "open", "+31 1", "ours", "theirs")]
    assert [row[:2] for row in home.rows(rejects)] == [("2", "tier")]
    home.sent()
    again = home.push()
    assert (again.counts.rejected, again.counts.conflicts) == (1, 1)
    assert [each for each in home.sent() if "batch/read" in each] == ["POST /crm/objects/2026-09/companies/batch/read"]
    home.edit("1", phone="ours")
    home.change("2", tier="silver")
    assert home.push().exit_code == 0
    assert home.rows(conflicts)[0][:3] == ("1", "phone", "settled")
    assert home.rows(rejects) == []


def test_a_row_without_a_key_stands_among_the_rejects(home: PushHome) -> None:
    """Its key is the empty text, before all others."""
    home.relation([*rows(1), {"client_id": None, "name": "n", "phone": "p"}])
    home.push()
    [(key, reason)] = home.rows("SELECT key, reason FROM syncer.rejects WHERE scope = 'push'")
    assert (key, reason) == ("", "client_id is blank: nothing tells which record it is.")
