"""What finds a record, and rows that get in each other's way: none of them is written, and each is told why."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from syncer import colliding, outbound
from syncer.sandbox.hubspot.model import Definition
from syncer.sources.hubspot.kinds import MERGED_IDS
from tests.outbound import PushHome

IDS = "SELECT key, id FROM syncer.snapshots ORDER BY key"


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"client_id": str(number), "name": f"Company {number}", "hs_object_id": None, **more} for number in numbers
    ]


def reasons(home: PushHome, plan: str) -> dict[str, str]:
    return {problem["key"]: problem["reason"] for problem in home.problems(plan)}


def define(home: PushHome, name: str, type: str = "string", *, is_unique: bool = True) -> None:
    """Add a property to the portal, with unique values unless it is said."""
    home.site.store.define(
        "companies",
        Definition(
            name=name,
            label=name,
            type=type,
            field_type="text" if type == "string" else type,
            group_name="companies_information",
            has_unique_value=is_unique,
        ),
    )


def test_an_id_and_a_key_that_lead_to_two_records_are_a_reject(home: PushHome) -> None:
    """Whichever were written, the other record would be wrong."""
    one, two = home.make("1"), home.make("2")
    home.relation([{**rows(1)[0], "hs_object_id": two.id}])
    done = home.with_words(adopt="ours").push()
    assert reasons(home, done.plan) == {"1": f"The id finds record {two.id}, its client_id record {one.id}."}
    assert (done.counts.rejected, home.writes()) == (1, [])
    home.relation([{**rows(1)[0], "hs_object_id": one.id}])
    assert home.with_words(adopt="ours").push().counts.updated == 1, "it is tried again"


def test_a_new_key_under_a_known_id_is_an_update(home: PushHome) -> None:
    """The id finds the record; match_on is a property like any other, and the row is the same row."""
    record = home.make("1")
    home.relation([{**rows(1)[0], "hs_object_id": record.id}])
    words = home.with_words(adopt="ours", on_missing="archive")
    words.push()
    home.change("1", client_id="9")
    done = words.push()
    assert (done.counts.updated, done.counts.archived, done.counts.read, done.exit_code) == (1, 0, 1, 0)
    assert home.values("name") == {"9": "Company 1"}
    assert home.rows(IDS) == [("9", record.id)], "the snapshot follows the key"
    again = words.push()
    assert (again.counts.unchanged, again.counts.read, again.counts.archived) == (1, 1, 0), "the old key is not gone"


def test_a_key_changed_on_their_side_is_theirs_until_another_record_has_it(home: PushHome) -> None:
    home.relation(rows(1))
    home.push()
    home.edit("1", client_id="theirs")
    home.change("1", name="new")
    assert home.push().counts.updated == 1
    assert home.values("name") == {"theirs": "new"}
    other = home.make("1")
    home.change("1", name="newer")
    home.sent()
    done = home.push()
    assert f"record {other.id}" in reasons(home, done.plan)["1"]
    assert home.writes() == []


def test_two_rows_that_lead_to_one_record_are_both_rejected(home: PushHome) -> None:
    """By an id and by a key: which of the two is right nobody can tell."""
    record = home.make("1")
    home.relation([*rows(1, 3), {"client_id": "2", "name": "Other", "hs_object_id": record.id}])
    # its key finds no record, so that it alone would change the key of the other one
    done = home.with_words(adopt="ours").push()
    assert (done.counts.rejected, done.counts.created, done.counts.read) == (2, 1, 3)
    told = reasons(home, done.plan)
    assert told["1"] == f"2 rows lead to record {record.id}, also 2; none of them is written."
    assert told["2"] == f"2 rows lead to record {record.id}, also 1; none of them is written."
    assert home.company("1").properties["name"] == "x"
    home.relation(rows(1, 3))
    done = home.with_words(adopt="ours").push()
    assert (done.counts.updated, done.counts.rejected) == (1, 0), "the other row is gone: this one is tried again"
    assert home.rows("SELECT key FROM syncer.rejects WHERE scope = 'push'") == []


def test_rows_in_different_batches_that_lead_to_one_record_are_rejected(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "ROWS_AT_ONCE", 2)
    record = home.make("x")
    given = [{**row, "hs_object_id": record.id if row["client_id"] in "17" else None} for row in rows(*range(1, 8))]
    home.relation(given)
    home = home.with_words(adopt="ours")
    planned = home.push(is_rehearsal=True)
    assert (planned.counts.rejected, planned.counts.created) == (2, 5)
    changes = home.changes(planned.plan)
    assert sorted(change.key for change in changes) == ["2", "3", "4", "5", "6"]
    assert home.rows("SELECT changes FROM syncer.plans WHERE plan = ?", [planned.plan]) == [(5,)]
    done = home.push(plan=planned.plan)
    assert (done.checksum, done.counts.created, done.exit_code) == (planned.checksum, 5, 3)


def test_a_row_that_leads_to_the_record_of_an_unchanged_row_is_rejected(home: PushHome) -> None:
    """The unchanged row stands nowhere in the plan; the snapshot knows its record."""
    home.relation(rows(1, 2))
    home.push()
    id = home.company("1").id
    home.relation([*rows(1, 2), {"client_id": "3", "name": "Third", "hs_object_id": id}])
    done = home.push()
    assert reasons(home, done.plan) == {"3": f"Record {id} is that of another row (1), which did not change."}
    assert (done.counts.rejected, done.counts.unchanged, home.company("1").properties["name"]) == (1, 2, "Company 1")


def test_rows_whose_records_were_merged_into_one_are_a_conflict_that_names_both(home: PushHome) -> None:
    """They merged two customers of ours: which row speaks for the one that is left a person must say."""
    home.relation(rows(1, 2, 3))
    home.push()
    one, two = home.company("1").id, home.company("2").id
    home.site.store.merge("companies", one, two)
    home.change("1", name="A")
    home.change("2", name="B")
    for _ in range(2):
        done = home.push()
        assert (done.counts.conflicts, done.counts.updated, done.counts.unchanged) == (2, 0, 1)
        told = reasons(home, done.plan)
        assert all(one in told[key] and two in told[key] for key in ("1", "2"))
    assert {row[0] for row in home.rows("SELECT key FROM syncer.conflicts WHERE state = 'open'")} == {"1", "2"}


def test_a_row_whose_record_was_merged_twice_names_an_unchanged_one_of_them(home: PushHome) -> None:
    """The survivor of a survivor tells of all that went into it; only one of the three rows differs."""
    define(home, MERGED_IDS, is_unique=False)
    home.relation(rows(1, 2, 3))
    home.push()
    one, two, three = (home.company(key).id for key in ("1", "2", "3"))
    first = home.site.store.merge("companies", two, three)
    survivor = home.site.store.merge("companies", first.id, one)
    told = {"2": two, "3": three}
    home.change("1", name="A")
    for _ in range(2):
        home.sent()
        done = home.push()
        assert (done.counts.conflicts, done.counts.updated, done.counts.unchanged, done.counts.read) == (1, 0, 2, 3)
        found = [each["reason"] for each in home.problems(done.plan) if "merged into one" in each["reason"]]
        assert all(any(f"({key})" in each and id in each for each in found) for key, id in told.items())
        assert home.writes() == []
    assert home.site.store.records["companies"][survivor.id].properties["name"] != "A"


def test_a_conflict_with_an_unchanged_row_of_a_merged_record_ends_when_either_row_is_mended(home: PushHome) -> None:
    """One of both leaves the relation, or the row that differs is as it was: nobody has to close it by hand."""
    is_open = "SELECT key FROM syncer.conflicts WHERE state = 'open' AND field = ''"
    define(home, MERGED_IDS, is_unique=False)
    home.relation(rows(1, 2))
    home.push()
    survivor = home.site.store.merge("companies", home.company("1").id, home.company("2").id)
    home.change("2", name="B")
    assert (home.push().exit_code, home.rows(is_open)) == (3, [("2",)])
    home.change("2", name="Company 2")
    assert (home.push().counts.unchanged, home.rows(is_open)) == (2, [])
    home.change("1", name="A")
    assert (home.push().exit_code, home.rows(is_open)) == (3, [("1",)])
    home.relation(rows(1, name="A"))
    done = home.with_words(max_missing_share="off").push()
    assert (done.counts.updated, done.counts.conflicts, home.rows(is_open)) == (1, 0, [])
    assert home.site.store.records["companies"][survivor.id].properties["name"] == "A"


def test_a_new_row_that_finds_what_an_unchanged_rows_record_was_merged_into_is_rejected(home: PushHome) -> None:
    """The unchanged row goes on naming the record that was merged away; the new one finds the survivor by its key."""
    define(home, MERGED_IDS, is_unique=False)
    home.relation(rows(1))
    home.push()
    known = home.company("1").id
    home.site.store.merge("companies", home.make("2").id, known)
    home.relation([{**row, "name": "Two"} if row["client_id"] == "2" else row for row in rows(1, 2)])
    done = home.with_words(adopt="ours").push()
    assert (done.counts.rejected, done.counts.updated, done.counts.unchanged) == (1, 0, 1)
    [reason] = reasons(home, done.plan).values()
    assert "(1)" in reason and known in reason


def test_what_was_merged_is_read_along_and_costs_no_request(home: PushHome) -> None:
    """Where nothing was merged a push asks what it must: one read of the rows that differ, one write."""
    define(home, MERGED_IDS, is_unique=False)
    home.relation(rows(*range(30)))
    home.push()
    for number in range(10):
        home.change(str(number), name="new")
    home.sent()
    assert home.push().counts.updated == 10
    of_records = [each for each in home.sent() if "/objects/" in each]
    assert [each.rpartition("/batch/")[2] for each in of_records] == ["read", "update"]


def test_a_merged_record_settles_no_conflict_by_what_it_happens_to_hold(home: PushHome) -> None:
    """What was seen equal on the survivor is not agreed: else that row counted as settled, and the other one won."""
    home.relation(rows(1, 2))
    home.push()
    one, two = home.company("1").id, home.company("2").id
    survivor = home.site.store.merge("companies", one, two)
    home.site.store.update("companies", survivor.id, {"name": "theirs"}, source_type="CRM_UI")
    home.change("1", name="ours")
    home.change("2", name="theirs")
    for _ in range(3):
        done = home.push()
        assert (done.counts.conflicts, done.counts.updated) == (2, 0)
    assert home.site.store.records["companies"][survivor.id].properties["name"] == "theirs"


def test_a_row_that_left_does_not_take_a_record_along_that_another_row_names(home: PushHome) -> None:
    """Merged away, its record lives on as that of a row that is there: archiving it would be our loss."""
    home.relation(rows(1, 2))
    home.push()
    one, two = home.company("1").id, home.company("2").id
    home.site.store.merge("companies", one, two)
    home.relation(rows(1, name="new"))
    done = home.with_words(on_missing="archive", max_archives=5).push()
    assert (done.counts.archived, done.counts.updated, len(home.live())) == (0, 1, 1)
    assert home.with_words(on_missing="archive").push().counts.read == 1


def test_two_rows_that_write_one_value_to_a_unique_property_are_rejected(home: PushHome) -> None:
    define(home, "vat")
    home.relation([{**row, "vat": vat} for row, vat in zip(rows(1, 2, 3), ("NL1", "nl1", "NL3"), strict=True)])
    done = home.push()
    assert (done.counts.rejected, done.counts.created) == (2, 1)
    [one, _] = home.problems(done.plan)
    assert (one["field"], one["reason"]) == (
        "vat",
        "2 rows write this value, also 2, and it is unique; none of them is written.",
    )


def test_a_unique_value_that_another_record_holds_is_a_reject_with_its_id(home: PushHome) -> None:
    """HubSpot would refuse it, and with it the whole batch."""
    define(home, "vat")
    holder = home.make("other", vat="NL1")
    home.relation([{**row, "vat": vat} for row, vat in zip(rows(1, 2), ("NL1", "NL2"), strict=True)])
    done = home.push()
    assert reasons(home, done.plan) == {"1": f"Record {holder.id} has this value, and vat is unique."}
    assert (done.counts.created, done.counts.rejected) == (1, 1)
    home.site.store.update("companies", holder.id, {"vat": ""}, source_type="CRM_UI")
    assert home.push().counts.created == 1, "it is tried again, though the row is as it was"
    assert home.push().counts.unchanged == 2


def test_the_given_id_goes_before_the_one_that_is_known(home: PushHome) -> None:
    """What was agreed on with the old record says nothing about the new one."""
    home.relation([{**rows(1)[0], "phone": "1"}])
    home.push()
    old = home.company("1")
    home.site.store.update("companies", old.id, {"client_id": ""}, source_type="CRM_UI")
    new = home.make("1", phone="5")
    home.change("1", hs_object_id=new.id)
    done = home.push()
    problems = {each["field"]: each["setting"] for each in home.problems(done.plan)}
    assert problems == {"name": 'adopt = "skip"', "phone": 'adopt = "skip"'}, "never agreed on with this record"
    assert home.with_words(adopt="ours").push().counts.updated == 1
    assert (home.company("1").id, home.company("1").properties["phone"]) == (new.id, "1")
    assert home.rows(IDS) == [("1", new.id)]


def test_an_id_that_the_known_one_was_merged_into_is_the_same_record(home: PushHome) -> None:
    home.relation([{**rows(1)[0], "phone": "1"}])
    home.push()
    other = home.make(None)
    survivor = home.site.store.merge("companies", other.id, home.company("1").id)
    home.site.store.update("companies", survivor.id, {"client_id": "1", "name": "Company 1"}, source_type="CRM_UI")
    home.change("1", hs_object_id=survivor.id, phone="2")
    done = home.push()
    assert (done.counts.updated, done.counts.conflicts) == (1, 0), "what was agreed on with it still is"


def test_an_id_that_leads_nowhere_is_told_until_it_is_mended(home: PushHome) -> None:
    home.relation([{**rows(1)[0], "hs_object_id": "404404"}])
    assert reasons(home, home.push().plan) == {"1": "There is no record 404404."}
    home.change("1", hs_object_id=None)
    assert home.push().counts.created == 1


def test_rows_with_one_key_are_one_wherever_they_stand(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the border between two batches goes through them."""
    monkeypatch.setattr(outbound, "ROWS_AT_ONCE", 3)
    home.relation(rows(1, 2, 3, 3, 3, 3, 3, 4))
    done = home.push()
    assert reasons(home, done.plan) == {"3": "The key stands in 5 rows; none of them is written."}
    assert (done.counts.rejected, done.counts.created, done.counts.read) == (5, 3, 8)
    home.relation(rows(1, 2, 3, 4))
    assert home.push().counts.created == 1, "the other ones are gone: it is tried again as it stands"
    home.relation(rows(1, 1, 2, 3, 4))
    done = home.push()
    assert (done.counts.rejected, done.counts.unchanged, done.counts.read) == (2, 3, 5), "also of rows that are known"


def test_rows_without_a_key_are_told_together(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "ROWS_AT_ONCE", 2)
    home.relation([*rows(1), *({**rows(2)[0], "client_id": key} for key in (None, "", "  ", None))])
    done = home.push()
    assert reasons(home, done.plan) == {"": "client_id is blank in 4 rows: nothing tells which records they are."}
    assert (done.counts.rejected, done.counts.created, done.counts.read) == (4, 1, 5)
    home.relation(rows(1))
    home.push()
    assert home.rows("SELECT key FROM syncer.rejects WHERE scope = 'push'") == []


def test_blanks_around_a_key_are_no_part_of_it(home: PushHome) -> None:
    home.relation([{**rows(1)[0], "client_id": " 1 "}])
    home.push()
    assert list(home.values("name")) == ["1"], "it is written as it is looked for"
    assert home.push().counts.unchanged == 1
    home.relation([{**rows(1)[0], "client_id": " 1 "}, *rows(1)])
    assert home.push().counts.rejected == 2


def test_keys_that_differ_by_their_capitals_are_one_to_hubspot(home: PushHome) -> None:
    home.relation([{**rows(1)[0], "client_id": "Ab"}, {**rows(1)[0], "client_id": "aB"}])
    done = home.push()
    assert (done.counts.rejected, home.live()) == (2, [])


def test_keys_that_are_one_number_are_one_key(home: PushHome) -> None:
    define(home, "number_id", type="number")
    words = home.with_words(match_on="number_id")
    home.relation([{"number_id": text, "name": "x"} for text in ("17", "17.0", "18")])
    done = words.push()
    assert (done.counts.rejected, done.counts.created) == (2, 1)
    home.rows("DROP TABLE stage.companies")
    home.rows("CREATE TABLE stage.companies (number_id DECIMAL(20,4), name TEXT)")
    home.rows("INSERT INTO stage.companies VALUES (17.0, 'x'), (18, 'x')")
    done = words.push()
    assert (done.counts.created, done.counts.unchanged, done.counts.rejected) == (1, 1, 0)


def test_a_unique_value_that_is_the_rows_own_is_no_collision(home: PushHome) -> None:
    define(home, "vat")
    home.relation([{**row, "vat": f"NL{row['client_id']}"} for row in rows(1, 2)])
    home.push()
    home.change("1", vat="nl1")
    assert home.push().counts.updated == 1
    assert home.push().counts.unchanged == 2


def test_a_thousand_rows_that_collide_are_all_told(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page at a time: one value in a whole column must not fill the memory."""
    monkeypatch.setattr(colliding, "AT_ONCE", 2)
    define(home, "vat")
    home.relation([{**row, "vat": "NL1"} for row in rows(*range(7))])
    done = home.push()
    assert (done.counts.rejected, len(home.problems(done.plan)), home.live()) == (7, 7, [])
    assert home.push().counts.rejected == 7
    home.change("3", vat="NL3")
    for number in (0, 1, 2, 4, 5):
        home.change(str(number), vat=None)
    assert (home.push().counts.created, home.push().counts.unchanged) == (7, 7)


def test_keys_of_other_rows_are_not_named_where_they_are_personal() -> None:
    """A reject of one row would else hold another person's address, also when that person was forgotten."""
    clash = colliding.Clash(
        key="a@x.com", what="", value="9", asked="9", rows=2, other="b@x.com", other_asked="9", is_held=False
    )
    merged = attrs.evolve(clash, what=colliding.MERGED, value="8", is_held=True)
    for each in (
        clash,
        attrs.evolve(clash, is_held=True),
        attrs.evolve(clash, other_asked="8"),
        attrs.evolve(merged, other_asked="8"),
        attrs.evolve(merged, asked="", other_asked="8"),
    ):
        assert "b@x.com" not in colliding._problem(each, hides=True).reason
        assert "b@x.com" in colliding._problem(each, hides=False).reason


@pytest.mark.parametrize("is_known", [True, False])
def test_a_key_that_stands_twice_is_told_though_one_of_its_rows_is_a_reject_already(
    home: PushHome, is_known: bool
) -> None:
    """The rejected row does not come again; the other one must not be taken for the only one."""
    home.relation([{"client_id": "1", "name": "Right", "size": "5" if is_known else "five"}])
    home.push()
    if is_known:
        home.change("1", size="five")
        assert home.push().counts.rejected == 1
    home.rows("INSERT INTO stage.companies VALUES ('1', 'Somebody else', '7')")
    for _ in range(2):
        done = home.push()
        assert (done.counts.rejected, done.counts.read) == (2, 2)
        assert {*home.values("name").values()} == ({"Right"} if is_known else set())
        [(reason,)] = home.rows("SELECT reason FROM syncer.rejects WHERE scope = 'push' AND \"column\" = 'client_id'")
        assert reason == "The key stands in 2 rows; none of them is written."
