"""A record that was merged with that of a row which did not change: the row that did change is not its only one."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.sandbox.hubspot.model import Definition
from tests.outbound import PushHome

MODES = ("new", "primary")


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"Company {number}", **more} for number in numbers]


def merged(home: PushHome, mode: str, *, first: str = "1", second: str = "2") -> tuple[str, str, str]:
    """Push both rows, and merge the second one's record into the first one's; return both ids, and the survivor's."""
    of_every_portal = Definition(
        name="hs_merged_object_ids",
        label="Merged record ids",
        type="string",
        field_type="text",
        group_name="companies_information",
        hubspot_defined=True,
    )
    home.site.store.define("companies", of_every_portal)
    home.relation(rows(1, 2))
    home.push()
    one, two = home.company(first).id, home.company(second).id
    home.site.store.merge_mode = mode
    return one, two, home.site.store.merge("companies", one, two).id


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changed", ["1", "2"])
def test_a_row_whose_record_was_merged_with_that_of_an_unchanged_row_is_a_conflict(
    home: PushHome, mode: str, changed: str
) -> None:
    """Nobody reads the unchanged row's record; what survives tells which ids were merged into it."""
    one, two, survivor = merged(home, mode)
    had = dict(home.site.store.records["companies"][survivor].properties)
    home.change(changed, name="ours")
    home.sent()
    for _ in range(2):
        done = home.push()
        assert (done.counts.conflicts, done.counts.updated, done.counts.unchanged) == (1, 0, 1)
        [told] = [each for each in home.problems(done.plan) if not each.get("field")]
        assert told["key"] == changed
        assert one in told["reason"], told
        assert two in told["reason"], told
        assert home.rows("SELECT fields FROM syncer.agreed WHERE key = ?", [changed])[0][0].count("Company") == 1
    assert home.writes() == []
    assert home.site.store.records["companies"][survivor].properties == had


def test_what_the_survivor_happens_to_hold_is_not_agreed_for_the_one_row_that_changed(home: PushHome) -> None:
    """It may be the other row's value: agreed, it would let the next change of ours overwrite that."""
    _, _, survivor = merged(home, "new")
    home.change("2", name="Company 1")  # what the survivor has, since that was row 1's record
    assert home.push().counts.conflicts == 1
    home.change("2", name="new")
    assert (home.push().counts.updated, home.company("1").id) == (0, survivor)
    assert home.company("1").properties["name"] == "Company 1"


def test_two_rows_of_one_record_of_which_one_left_are_one_row_again(home: PushHome) -> None:
    merged(home, "new")
    home.relation(rows(1, name="ours"))
    done = home.push()
    assert (done.counts.conflicts, done.counts.updated) == (0, 1)


def test_a_row_that_left_takes_no_record_along_that_is_an_unchanged_rows_by_now(home: PushHome) -> None:
    """Archived with the row that left, it would be the record of the one that stayed."""
    merged(home, "new")
    home.relation(rows(1))
    words = home.with_words(on_missing="archive", max_archives=5, max_missing_share="off")
    for _ in range(2):
        done = words.push()
        assert (done.counts.archived, len(home.live())) == (0, 1)


def test_a_row_with_a_new_column_claims_its_record_though_nobody_reads_it(home: PushHome) -> None:
    """Its hash differs and its values are as agreed: it stands in the plan, unread, by the id that was merged away."""
    merged(home, "new")
    home.relation([{**rows(1)[0], "name": "ours", "industry": None}, {**rows(2)[0], "industry": None}])
    done = home.with_words(blanks="leave").push()
    assert (done.counts.conflicts, done.counts.updated, done.counts.unchanged) == (1, 0, 1)
