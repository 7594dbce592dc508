"""Both sides compared whole: what is explained is counted under its cause, and what nothing explains is named."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from syncer import verbs, verifying
from syncer.errors import UsageError
from syncer.judging import Judged, Reason
from syncer.reports import verified
from syncer.verbs import verify as verify_verb
from syncer.verifying import Told, Verified
from tests.outbound import PushHome


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"client_id": str(number), "name": f"Company {number}", "phone": f"+31 {number}", **more} for number in numbers
    ]


def verify(home: PushHome, **how: Any) -> Verified:
    home.later()
    home.sent()
    [found] = verifying.verify("hubspot.companies", settings=home.settings, doors=home.doors, **how)
    assert home.writes() == []
    assert found.read == sum(found.counts.values())
    return found


def pushed(home: PushHome, count: int = 5) -> None:
    home.relation(rows(*range(1, count + 1)))
    assert home.push().exit_code == 0
    home.later()


def only(found: Verified) -> Judged:
    """Return the one unexplained row; all others agree."""
    assert (found.unexplained, found.exit_code) == (1, 3), str(found)
    [record] = found
    return record


def some(counts: dict[str, int] | Any) -> dict[str, int]:
    return {verdict: count for verdict, count in counts.items() if count}


def test_all_agree_after_a_push(home: PushHome) -> None:
    pushed(home)
    found = verify(home)
    assert (some(found.counts), found.exit_code, list(found)) == ({"agreed": 5}, 0, [])


def test_ours_that_is_not_pushed_yet_is_counted_by_what_the_next_push_does(home: PushHome) -> None:
    pushed(home)
    home.change("1", phone="new")
    home.rows("INSERT INTO stage.companies VALUES ('9', 'Nine', '+31 9')")
    found = verify(home)
    assert some(found.counts) == {"agreed": 4, "not_pushed": 2}
    assert found.causes["not_pushed"] == {"to update": 1, "to create": 1}
    assert found.exit_code == 0


def test_an_edit_of_a_person_is_no_damage(home: PushHome) -> None:
    """It is what the decision table leaves alone; the history tells that somebody changed it after us."""
    pushed(home)
    home.edit("1", phone="theirs")
    found = verify(home)
    assert some(found.counts) == {"agreed": 4, "left_alone": 1}
    assert found.causes["left_alone"] == {"changed on their side": 1}


def test_a_person_who_puts_the_old_value_back_is_no_damage(home: PushHome) -> None:
    """It reads as a lost write does; only the time of the change tells them apart."""
    pushed(home)
    home.change("1", phone="new")
    home.push()
    home.later()
    home.edit("1", phone="+31 1")
    assert some(verify(home).counts) == {"agreed": 4, "left_alone": 1}


def test_a_write_that_was_acknowledged_and_lost_is_found(home: PushHome) -> None:
    pushed(home)
    home.change("1", phone="new")
    home.push()
    lose(home, "1", "phone", "+31 1")
    [reason] = only(verify(home)).reasons
    assert (reason.field, reason.cause, reason.ours, reason.theirs) == ("phone", "a lost write", "new", "+31 1")


def test_a_value_that_is_kept_otherwise_than_it_was_written_is_found(home: PushHome) -> None:
    """An API that cuts or turns a value into another one says that all went well."""
    pushed(home)
    record = home.company("1")
    record.properties = {**record.properties, "phone": "+31"}
    record.history["phone"][-1].value, record.history["phone"][-1].ms = "+31", record.created_ms - 1
    assert only(verify(home)).reasons[0].cause == "another value than was written"


def test_a_value_that_a_create_lost_is_found(home: PushHome) -> None:
    pushed(home)
    lose(home, "1", "phone", None)
    assert only(verify(home)).reasons[0].cause == "a lost write"


def test_settings_that_leave_fields_alone_are_named(home: PushHome) -> None:
    home.make("1", name="theirs", phone="theirs")
    home.make("2", name="Company 2", phone="+31 2")
    home.make("3", name="Company 3", phone="theirs")
    ours = rows(1, 2, 3)
    ours[2]["phone"] = None
    home.relation(ours)
    own = home.with_words(adopt="theirs", policies={"name": "fill"})
    assert own.push().counts.unchanged == 3
    found = verify(own)
    assert some(found.counts) == {"agreed": 1, "left_alone": 2}
    assert found.causes["left_alone"] == {'adopt = "theirs"': 1, 'policy = "fill"': 1, 'blanks = "leave"': 1}


def test_words_that_were_changed_since_do_not_make_their_rows_unexplained(home: PushHome) -> None:
    """The snapshot was made under other words; they stand with the plan that made it."""
    pushed(home)
    home.edit("1", phone="theirs")
    home.change("1", phone="ours")
    assert home.with_words(policy="theirs").push().counts.conflicts == 0
    assert verify(home).causes["left_alone"] == {'policy = "theirs"': 1}


def test_a_field_that_was_left_under_an_older_word_has_no_conflict_and_is_explained(home: PushHome) -> None:
    """`fill` leaves what differs, and writes no conflict down: only the plan's own words tell why."""
    home.make("1", name="Company 1", phone="theirs")
    home.relation(rows(1))
    home.with_words(policies={"phone": "fill"}).push()
    found = verify(home)
    assert (some(found.counts), found.causes["left_alone"]) == ({"left_alone": 1}, {'policy = "fill"': 1})


def test_rows_without_a_record_that_make_none_are_left_alone(home: PushHome) -> None:
    home.relation(rows(1, 2))
    own = home.with_words(creates=False)
    own.push()
    assert verify(own).causes["left_alone"] == {"creates = false": 2}


def test_conflicts_are_counted_until_they_are_settled(home: PushHome) -> None:
    pushed(home)
    home.edit("1", phone="theirs")
    home.change("1", phone="ours")
    found = verify(home)
    assert (some(found.counts), found.exit_code) == ({"agreed": 4, "conflicts": 1}, 3)
    home.push()
    assert some(verify(home).counts) == {"agreed": 4, "conflicts": 1}
    home.edit("1", phone="ours")
    assert some(verify(home).counts) == {"agreed": 5}


def test_rejects_are_counted(home: PushHome) -> None:
    """Those of the row, of its key, and those that only HubSpot would know."""
    home.relation([*rows(1, 2, 2, tier="gold"), *rows(3, tier="tin"), {**rows(4)[0], "client_id": None, "tier": None}])
    assert home.push().counts.rejected == 4
    found = verify(home)
    assert (some(found.counts), found.exit_code) == ({"agreed": 1, "rejects": 4}, 3)
    assert found.causes["rejects"]["client_id is blank"] == 1, "in the words of a push"


def test_a_row_that_left_the_relation_is_as_its_mapping_says(home: PushHome) -> None:
    pushed(home)
    home.rows("DELETE FROM stage.companies WHERE client_id = '1'")
    assert verify(home).causes["left_alone"] == {'it left the relation, on_missing = "leave"': 1}
    clears = home.with_words(on_missing="clear", max_missing_share="off")
    assert verify(clears).causes["not_pushed"] == {'it left the relation, on_missing = "clear"': 1}
    clears.push()
    assert some(verify(clears).counts) == {"agreed": 4}


@pytest.mark.parametrize("how", ["archive", "purge"])
def test_a_record_that_is_gone_and_that_nobody_told_of_is_named(home: PushHome, how: str) -> None:
    """No push looks at a row that did not change, so nobody would ever hear of it."""
    pushed(home)
    id = home.company("3").id
    getattr(home.site.store, how)("companies", id)
    record = only(verify(home))
    assert (record.key, record.id, record.reasons[0].cause) == ("3", id, "its record is archived or gone")


def test_a_record_that_is_gone_is_a_conflict_once_it_was_told(home: PushHome) -> None:
    pushed(home)
    home.site.store.archive("companies", home.company("3").id)
    home.change("3", phone="new")
    assert home.push().counts.conflicts == 1
    found = verify(home)
    assert (some(found.counts), found.causes["conflicts"]) == (
        {"agreed": 4, "conflicts": 1},
        {"its record is archived or gone": 1},
    )


def test_a_record_that_was_merged_is_followed(home: PushHome) -> None:
    pushed(home)
    home.site.store.merge("companies", home.company("1").id, home.make(None, name="other").id)
    assert some(verify(home).counts) == {"agreed": 5}


def test_two_rows_whose_records_were_merged_are_a_conflict(home: PushHome) -> None:
    pushed(home)
    home.site.store.merge_mode = "primary"
    home.site.store.merge("companies", home.company("1").id, home.company("2").id)
    found = verify(home)
    assert found.counts["conflicts"] == 1 and found.unexplained == 0
    assert found.causes["conflicts"] == {"its record was merged into another row's": 1}


DAMAGES = {
    "agreed on another value": "UPDATE syncer.agreed SET fields = '{fields}' WHERE key = '2'",
    "nothing is agreed": "DELETE FROM syncer.agreed WHERE key = '2'",
    "not in the snapshot": "DELETE FROM syncer.snapshots WHERE key = '2'",
    "no record": "UPDATE syncer.snapshots SET id = NULL WHERE key = '2'",
}


@pytest.mark.parametrize("cause", DAMAGES)
def test_damage_of_our_own_books_is_named(home: PushHome, cause: str) -> None:
    """A restored table, a hand in the warehouse: the next push would trust it."""
    pushed(home)
    fields = orjson.dumps({"client_id": "2", "name": "Company 2", "phone": "was"}).decode()
    home.rows(DAMAGES[cause].replace("{fields}", fields))
    record = only(verify(home))
    assert (record.key, [reason.cause for reason in record.reasons]) == ("2", [cause])


def test_a_row_that_counts_as_pushed_and_never_was_is_named(home: PushHome) -> None:
    """Its hash is the snapshot's, so that no push would look at it."""
    pushed(home)
    home.change("2", phone="new")
    planned = home.push(is_rehearsal=True)
    home.rows(
        "UPDATE syncer.snapshots SET row_hash = (SELECT c.row_hash FROM syncer.changes AS c WHERE c.plan = ? "
        "AND c.key = '2') WHERE key = '2'",
        [planned.plan],
    )
    [reason] = only(verify(home)).reasons
    assert (reason.field, reason.cause, reason.ours, reason.theirs) == ("phone", "never written", "new", "+31 2")


def test_a_snapshot_that_claims_what_nobody_wrote_is_named(home: PushHome) -> None:
    pushed(home)
    home.change("2", phone="new")
    planned = home.push(is_rehearsal=True)
    fields = orjson.dumps({"client_id": "2", "name": "Company 2", "phone": "new"}).decode()
    home.rows(f"UPDATE syncer.agreed SET fields = '{fields}' WHERE key = '2'")
    home.rows(
        "UPDATE syncer.snapshots SET row_hash = (SELECT c.row_hash FROM syncer.changes AS c WHERE c.plan = ? "
        "AND c.key = '2') WHERE key = '2'",
        [planned.plan],
    )
    assert only(verify(home)).reasons[0].cause == "agreed on another value"


def test_two_rows_of_the_snapshot_with_one_record_are_both_named(home: PushHome) -> None:
    pushed(home)
    home.rows("UPDATE syncer.snapshots SET id = ? WHERE key = '2'", [home.company("1").id])
    found = verify(home)
    assert sorted(record.key for record in found) == ["1", "2"]
    assert {reason.cause for record in found for reason in record.reasons} >= {"two keys, one record"}


def test_a_record_that_holds_the_key_of_another_is_named(home: PushHome) -> None:
    pushed(home)
    stranger = home.make(None, name="stranger").id
    home.rows("UPDATE syncer.snapshots SET id = ? WHERE key = '2'", [stranger])
    record = only(verify(home))
    [reason] = record.reasons
    assert (record.id, reason.cause, reason.others) == (
        stranger,
        "another record has its key",
        (home.company("2").id,),
    )


def test_a_record_that_we_made_and_know_nothing_of_is_named(home: PushHome) -> None:
    pushed(home)
    for table in ("syncer.snapshots", "syncer.agreed", "stage.companies"):
        home.rows(f"DELETE FROM {table} WHERE {'client_id' if table.startswith('stage') else 'key'} = '2'")
    record = only(verify(home))
    assert (record.key, record.id) == ("2", home.company("2").id)


def test_a_key_that_changed_is_no_damage(home: PushHome) -> None:
    """The row names its record, and the snapshot follows."""
    home.make("1", name="n")
    record = home.company("1")
    own = {"name": "n", "hs_object_id": record.id}
    home.relation([{"client_id": "1", **own}])
    home.push()
    home.relation([{"client_id": "2", **own}])
    assert some(verify(home).counts) == {"not_pushed": 1}
    home.push()
    assert some(verify(home).counts) == {"agreed": 1}


def test_a_sample_is_the_same_all_day_and_has_all_that_is_open(home: PushHome) -> None:
    pushed(home, 40)
    home.edit("7", phone="theirs")
    home.change("7", phone="ours")
    home.push()
    home.rows("DELETE FROM syncer.agreed WHERE key = '8'")
    first, second = verify(home, sample=10), verify(home, sample=10)
    assert first.rows == 40 and 11 <= first.read <= 12
    assert (first.counts["conflicts"], first.unexplained, first.counts) == (1, 1, second.counts)
    home.later(86_400)
    assert verify(home, sample=10).seed != first.seed
    assert verify(home, sample=100).read == 40
    with pytest.raises(UsageError, match="from 1 on"):
        verify(home, sample=0)


def test_nothing_of_it_stays_in_the_warehouse(home: PushHome) -> None:
    """The copies are large; and a run that fails leaves none either."""
    pushed(home)
    verify(home)
    verify(home, sample=2)
    left = home.rows("SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'copy_%'")
    assert left == []


def test_requests_are_one_a_hundred_rows(home: PushHome) -> None:
    pushed(home, 250)
    home.sent()
    home.later()
    verifying.verify("hubspot.companies", settings=home.settings, doors=home.doors)
    asked = home.sent()
    assert len([each for each in asked if each.endswith("/batch/read")]) == 3


def test_an_edge_that_a_person_took_away_is_left_alone_and_one_that_was_not_written_is_named(home: PushHome) -> None:
    contact = home.site.store.create("contacts", {"email": "a@example.com"})
    home.relation([{**row, "person": contact.id} for row in rows(1, 2)])
    own = home.with_words(edges={"person": "contacts"})
    assert own.push().associated == 2
    assert some(verify(own).counts) == {"agreed": 2}
    home.site.store.disassociate("companies", home.company("2").id, "contacts", contact.id)
    assert some(verify(own).counts) == {"agreed": 1, "left_alone": 1}
    agreed = {"client_id": "2", "name": "Company 2", "phone": "+31 2", "edge:person": None}
    home.rows("UPDATE syncer.agreed SET fields = '" + orjson.dumps(agreed).decode() + "' WHERE key = '2'")
    assert only(verify(own)).reasons[0].cause == "an edge never written"


def test_an_edge_in_conflict_has_the_words_of_a_push(home: PushHome) -> None:
    """Two sides that never agreed did not change: somebody would look for who changed it."""
    first, other = (home.site.store.create("contacts", {"email": f"{name}@example.com"}) for name in "ab")
    home.make("1", name="Company 1", phone="+31 1")
    ends = ("companies", home.company("1").id, "contacts", other.id)
    home.site.store.associate(*ends, ())
    home.relation([{**row, "person": first.id} for row in rows(1)])
    own = home.with_words(edges={"person": {"to": "contacts"}}, adopt="skip")
    done = own.push()
    assert [each["reason"] for each in home.problems(done.plan)] == ["The two sides differ and never agreed."]
    assert verify(own).causes["conflicts"] == {"never agreed": 1}


def test_the_text_names_each_unexplained_row_and_hides_what_is_personal(home: PushHome) -> None:
    pushed(home)
    home.change("1", phone="new")
    home.push()
    lose(home, "1", "phone", "+31 1")
    found = verify(home)
    text = "\n".join(verified.lines(found, io.StringIO()))
    assert "1 of 5 rows unexplained" in text and "? 1 (" in text
    if "phone" in found.personal:
        assert "'new'" not in text
    shown = "\n".join(verified.lines(found, io.StringIO(), shows_personal=True))
    assert "here 'new', there '+31 1', last agreed 'new'" in shown


def test_personal_keys_and_values_are_hidden_unless_they_are_asked_for() -> None:
    """They may be names and addresses; what the row is about can be told without."""
    reason = Reason(
        verdict="unexplained",
        cause="a lost write",
        field="phone",
        text="It is lost.",
        others=("b@example.com",),
        has_values=True,
        agreed="111",
        ours="222",
        theirs=None,
    )
    record = Judged(key="a@example.com", id="5", verdict="unexplained", reasons=(reason,))
    found = Verified(
        mapping="hubspot.contacts",
        environment="default",
        counts={"unexplained": 1},
        records=(record,),
        personal=frozenset({"phone", "email"}),
        hides_key=True,
    )
    told = Told(mapping=found.mapping, record=record, personal=found.personal, hides_key=True)
    secrets = ("a@example.com", "b@example.com", "111", "222")
    hidden = "\n".join(verified.lines(found, io.StringIO())) + str(verified.entry(told)) + str(found)
    shown = "\n".join(verified.lines(found, io.StringIO(), shows_personal=True))
    assert [each for each in secrets if each in hidden] == []
    assert [each for each in secrets if each not in shown] == []


def test_the_verb_answers_in_text_and_in_json(home: PushHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document for programs, with each unexplained row in it; exit 3 either way."""
    pushed(home)
    home.site.store.archive("companies", home.company("2").id)
    (tmp_path / "syncer.toml").write_text(
        '["hubspot.companies"]\nrelation = "stage.companies"\nmatch_on = "client_id"\n[hubspot]\nlimits = "off"\n'
    )
    monkeypatch.chdir(tmp_path)
    for name, value in home.settings.variables.items():
        if name.startswith("SYNCER_"):
            monkeypatch.setenv(name, value)
    app = typer.Typer()
    app.command("verify")(verbs.command(verify_verb.run))
    told = CliRunner().invoke(app, ["hubspot.companies"])
    assert told.exit_code == 3 and "1 of 5 rows unexplained" in told.stdout, told.output
    told = CliRunner().invoke(app, ["hubspot.companies", "--output", "json"])
    document = json.loads(told.stdout)
    assert (told.exit_code, [each["key"] for each in document["unexplained"]]) == (3, ["2"])
    assert document["unexplained"][0]["reasons"][0]["cause"] == "its record is archived or gone"
    assert (document["verified"][0]["read"], document["verified"][0]["agreed"]) == (5, 4)


def lose(home: PushHome, key: str, name: str, value: str | None) -> None:
    """Take the last write of a property away, as a portal does that never kept it."""
    record = home.company(key)
    record.properties = {**record.properties, name: value}
    record.history[name].pop()


def test_the_page_shows_what_is_really_printed(home: PushHome) -> None:
    """docs/verify.md: its example is the text of this portal, ids and the run aside."""
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
    example = re.findall(r"```\n(verify .*?)```", page, re.DOTALL)[0]
    pushed(home, 6)
    home.change("1", phone="+31 20 1")
    home.push()
    lose(home, "1", "phone", "+31 1")
    home.site.store.archive("companies", home.company("2").id)
    home.edit("3", phone="theirs")
    home.edit("4", name="theirs")
    home.change("4", name="ours")
    home.change("5", phone="+31 20 5")
    text = "\n".join(verified.lines(verify(home), io.StringIO(), shows_personal=True)) + "\n"
    plain = re.compile(r"\(\d{6,}\)|[0-9a-f]{12}|\d+ requests")
    assert plain.sub("…", text) == plain.sub("…", example)
