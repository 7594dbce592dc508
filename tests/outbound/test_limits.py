"""Too large a plan is refused: each limit, at its border, with its number, and until a person forces that plan."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import limits
from syncer.limits import Size
from tests.outbound import KEY, PushHome
from tests.outbound.edges_home import EdgesHome


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{KEY: str(number), "name": f"Company {number}", "phone": "+31 1", **more} for number in range(count)]


@pytest.mark.parametrize(
    ("size", "trip"),
    [
        (Size(updates=30, found=100), ""),
        (Size(updates=31, found=100), "max_update_share: 31 updates are 31% of 100 rows whose record was found, "),
        (Size(creates=30, found=100), ""),
        (Size(creates=31, found=100), "max_create_share: 31 creates are 31% of 100 rows whose record was found, "),
        (Size(missing=3, known=10), ""),
        (Size(missing=4, known=10), "max_missing_share: 4 rows gone are 40% of 10 rows of the last run, "),
        (Size(updates=9, creates=9, found=9, missing=9, known=9), ""),
        (Size(creates=1_000, found=10_000), ""),
        (Size(creates=1_001, found=10_000), "max_creates: 1,001 creates, and at most 1,000 are let through"),
        (Size(archives=1), "max_archives: 1 archive, and at most 0 are let through"),
        (Size(merges=1), "max_merges: 1 merge, and at most 0 are let through"),
        (Size(disassociations=1_000), ""),
        (Size(disassociations=1_001), "max_disassociations: 1,001 associations to remove, and at most 1,000 "),
    ],
)
def test_each_limit_holds_from_its_border_on(size: Size, trip: str) -> None:
    """A share counts from ten rows on, a number from the first; a message has the limit and the figures."""
    found = limits.trips(size, {})
    assert (found == []) if not trip else (len(found) == 1 and found[0].startswith(trip)), found


@pytest.mark.parametrize("name", limits.DEFAULTS)
def test_each_limit_can_be_switched_off(name: str) -> None:
    """And then that one alone."""
    huge = Size(updates=99_999, creates=99_999, archives=9, merges=9, disassociations=99_999, missing=99, found=10,
                known=10)  # fmt: skip
    on = {each.partition(":")[0] for each in limits.trips(huge, {"max_updates": 5})}
    off = {each.partition(":")[0] for each in limits.trips(huge, {"max_updates": 5, name: "off"})}
    assert on == set(limits.DEFAULTS) and off == on - {name}


def test_shares_hold_for_pushes_only() -> None:
    """An operation is about few records of many; its numbers hold."""
    found = limits.trips(Size(updates=99, found=100, archives=1), {}, has_shares=False)
    assert [each.partition(":")[0] for each in found] == ["max_archives"]


def test_many_updates_are_refused_until_that_plan_is_forced(home: PushHome) -> None:
    """And nothing is written before."""
    home.relation(rows(20))
    home.push()
    for number in range(7):
        home.change(str(number), phone="+31 2")
    small = home.with_words(max_update_share=0.3)
    home.sent()
    refused = small.push()
    assert (refused.status, refused.exit_code, home.writes()) == ("refused", 4, [])
    assert refused.trips[0].startswith("max_update_share: 7 updates are 35% of 20 rows")
    forced = small.push(plan=refused.plan, is_forced=True)
    assert (forced.counts.updated, forced.exit_code) == (7, 0)


def test_rows_that_are_gone_are_refused_also_where_nothing_is_done_about_them(home: PushHome) -> None:
    """A table of which a third is gone is one that was loaded badly."""
    home.relation(rows(20))
    home.push()
    home.relation(rows(13))
    refused = home.with_words(max_missing_share=0.3).push()
    assert (refused.exit_code, refused.trips[0][:37]) == (4, "max_missing_share: 7 rows gone are 35")


@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("on_missing", ["leave", "clear", "archive"])
def test_an_empty_relation_is_refused_however_few_rows_there_were(home: PushHome, count: int, on_missing: str) -> None:
    """It is the sign of a load that failed; nothing is written, and both ways on are told."""
    home.relation(rows(count))
    home.push()
    home.rows("DELETE FROM stage.companies")
    words = home.with_words(on_missing=on_missing, max_missing_share=0.3, max_archives="off", max_update_share="off")
    home.sent()
    refused = words.push()
    assert (refused.status, refused.exit_code, home.writes(), len(home.live())) == ("refused", 4, [], count)
    assert f"max_missing_share: the relation is empty, and {count} rows were there at the last run" in refused.trips
    off = home.with_words(on_missing="leave", max_missing_share="off").push()
    assert (off.exit_code, len(home.live())) == (0, count)


def test_a_column_that_became_blank_in_all_rows_is_refused(home: PushHome) -> None:
    """Also where few records have a value in it, so that no share of updates is reached."""
    home.relation([*rows(12), *({**row, KEY: f"x{row[KEY]}", "phone": None} for row in rows(50))])
    home.push()
    home.rows("UPDATE stage.companies SET phone = NULL")
    words = home.with_words(max_missing_share=0.3, max_update_share=0.3)
    home.sent()
    refused = words.push()
    assert (refused.status, refused.exit_code, home.writes()) == ("refused", 4, [])
    assert refused.trips == (
        "max_missing_share: column phone is blank in all 62 rows, and 12 records would lose their phone",
    )
    assert len({*home.values("phone").values()} - {None}) == 1
    forced = words.push(plan=refused.plan, is_forced=True)
    assert (forced.counts.updated, {*home.values("phone").values()} - {None, ""}) == (12, set())


def test_most_records_that_lose_a_column_are_refused_however_few_they_are(home: PushHome) -> None:
    """Three of twelve are conflicts, and nine would be cleared: that is no everyday work."""
    home.relation(rows(12))
    home.push()
    for number in range(3):
        home.edit(str(number), phone="theirs")
    home.later()
    home.rows("UPDATE stage.companies SET phone = NULL")
    home.sent()
    refused = home.with_words(max_missing_share=0.3, max_update_share="off").push()
    assert (refused.exit_code, home.writes()) == (4, [])
    assert refused.trips == (
        "max_missing_share: column phone is blank in all 12 rows, and 9 records would lose their phone",
    )


@pytest.mark.parametrize(
    ("backend", "type", "full", "empty"),
    [
        ("duckdb", "VARCHAR[]", "['a']", "[]"),
        ("duckdb", "VARCHAR[]", "['a']", "['']"),
        ("duckdb", "TEXT", "'a'", "';'"),
        ("postgresql", "TEXT", "'a'", "';'"),
    ],
    indirect=["backend"],
)
def test_a_set_without_a_member_is_blank_too(home: PushHome, type: str, full: str, empty: str) -> None:
    """A join that finds nothing any more leaves empty lists."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows(f"CREATE TABLE stage.companies ({KEY} TEXT, name TEXT, products {type})")
    for number in range(20):
        home.rows(f"INSERT INTO stage.companies VALUES ('{number}', 'x', {full})")
    assert home.push().counts.created == 20
    home.rows(f"UPDATE stage.companies SET products = {empty}")
    refused = home.with_words(max_missing_share=0.3, blanks="clear", max_update_share="off").push()
    assert (refused.exit_code, set(home.values("products").values())) == (4, {"a"})


def test_blanks_in_all_rows_are_refused_as_nulls_are(home: PushHome) -> None:
    """A column of fixed width that came without its values."""
    home.relation(rows(20))
    home.push()
    home.rows("UPDATE stage.companies SET phone = '   '")
    refused = home.with_words(max_missing_share=0.3, blanks="clear", max_update_share="off").push()
    assert refused.exit_code == 4


def test_an_edge_column_that_became_blank_in_all_rows_is_refused(edges: EdgesHome) -> None:
    """Associations are as hard to put back as values."""
    edges.rows("companies", [{"key": "c1"}, {"key": "c2"}])
    edges.push("companies")
    edges.rows("tickets", [{"key": f"t{number}", "company": "c1" if number < 12 else None} for number in range(50)])
    edges.push("tickets")
    edges.words("tickets", edges={"company": "companies"}, max_missing_share=0.3, max_update_share="off")
    edges.home.rows("UPDATE stage.tickets SET company = NULL")
    refused = edges.push("tickets")
    assert refused.exit_code == 4
    assert refused.trips == (
        "max_missing_share: column company is blank in all 50 rows, and 12 records would lose their company",
    )
    assert len(edges.linked("t0")) == 1


def test_a_few_records_that_lose_the_last_values_of_a_column_do_not_wait_for_a_person(home: PushHome) -> None:
    """As with shares: below ten it is everyday work."""
    home.relation([*rows(9), *({**row, KEY: f"x{row[KEY]}", "phone": None} for row in rows(50))])
    home.push()
    home.rows("UPDATE stage.companies SET phone = NULL")
    cleared = home.with_words(max_missing_share=0.3, max_update_share=0.3).push()
    assert (cleared.counts.updated, cleared.exit_code) == (9, 0)


def test_a_stored_plan_is_held_against_the_limits_of_now(home: PushHome) -> None:
    """Whoever lowers a limit means what is not written yet, too; a dry run of the plan says so."""
    home.relation(rows(20))
    home.push()
    for number in range(7):
        home.change(str(number), phone="+31 2")
    made = home.with_words(max_update_share="off").push(is_rehearsal=True)
    assert made.trips == ()
    home.sent()
    low = home.with_words(max_update_share=0.3)
    shown, refused = low.push(plan=made.plan, is_rehearsal=True), low.push(plan=made.plan)
    assert (shown.exit_code, refused.exit_code, refused.status, home.writes()) == (4, 4, "refused", [])
    assert shown.trips == refused.trips and "7 updates are 35% of 20 rows" in refused.trips[0]
    assert home.with_words(max_update_share=0.5).push(plan=made.plan).counts.updated == 7


@pytest.mark.parametrize("is_forced", [True, False])
def test_what_first_left_out_is_held_against_them_as_well(home: PushHome, is_forced: bool) -> None:
    """A few were looked at, or let through by force: the rest was not."""
    home.relation(rows(20))
    few = home.with_words(max_creates=5)
    made = (few if is_forced else home).push(is_rehearsal=True)
    (few if is_forced else home).push(plan=made.plan, first=1, is_forced=is_forced)
    home.sent()
    shown, refused = few.push(plan=made.plan, is_rehearsal=True), few.push(plan=made.plan)
    assert (shown.exit_code, refused.exit_code, home.writes(), len(home.live())) == (4, 4, [], 1)
    assert "19 creates" in refused.trips[0]
    assert home.with_words(max_creates=19).push(plan=made.plan).counts.created == 19


def test_a_limit_that_was_raised_lets_a_stored_plan_through(home: PushHome) -> None:
    """What is left of a plan counts, as it would in a new one; an empty relation was seen only when it was made."""
    home.relation(rows(20))
    refused = home.with_words(max_creates=5).push()
    assert (refused.exit_code, refused.counts.created) == (4, 20)
    assert home.with_words(max_creates=20).push(plan=refused.plan).counts.created == 20
    home.rows("DELETE FROM stage.companies")
    words = {"on_missing": "archive", "max_archives": "off", "max_update_share": "off"}
    empty = home.with_words(**words, max_missing_share=0.3).push()
    still = home.with_words(**words, max_missing_share=0.9).push(plan=empty.plan)
    assert (still.exit_code, len(home.live())) == (4, 20) and "the relation is empty" in " ".join(still.trips)
    assert home.with_words(**words, max_missing_share="off").push(plan=empty.plan).counts.archived == 20
