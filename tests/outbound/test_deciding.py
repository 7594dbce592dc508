"""What becomes of a whole row: the lower half of docs/decision-table.md."""

from __future__ import annotations

import datetime as dt
from typing import Any

import attrs
import pytest

from syncer import plan
from syncer.deciding import SETTLED, Decided, Deciding, Row
from syncer.mapping import Outbound
from syncer.plan import ARCHIVE, CREATE, UPDATE, Edit
from syncer.sources.hubspot.definitions import Definition
from syncer.sources.hubspot.shape import Described, HubSpotShape
from syncer.target import Found, Unfit

NAMES = ("client_id", "name", "phone", "locked")
LIVE = {"client_id": "k", "name": "n", "phone": "1"}
AGREED = {"client_id": "k", "name": "n", "phone": "1"}
WORDS = Outbound(kind="companies", match_on="client_id")


def shape(**definition: Any) -> HubSpotShape:
    """Return companies; *definition* is more about `locked`."""
    more = {"locked": definition}
    made = [Definition(object_type="companies", name=name, type="string", **more.get(name, {})) for name in NAMES]
    return HubSpotShape(
        Described(kind="companies", definitions=made, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    )


def row(*, has: dict[str, Any] | None = None, **more: Any) -> Row:
    """Return a row that holds what both agreed on, but for *has*."""
    texts = {**LIVE, **(has or {})}
    values, _ = shape().typing(list(texts))(list(texts.values()))
    return Row(**{"key": "k", "row_hash": "h", "known_id": "7", "values": values, "agreed": AGREED, **more})


def gone(**more: Any) -> Row:
    """Return a row that left the relation."""
    return row(**{"row_hash": None, "values": {}, **more})


def record(*, is_archived: bool = False, **properties: str | None) -> Found:
    return Found(id="7", properties={**LIVE, **properties}, is_archived=is_archived)


def decide(given: Row, found: Found | None, **words: Any) -> Decided:
    return Deciding(attrs.evolve(WORDS, **words), shape()).decide(given, found)


def actions(decided: Decided) -> list[str]:
    return [change.action for change in decided.changes]


def test_a_row_that_names_no_record_is_rejected() -> None:
    """A wrong id must never become a new record: it is somebody's typing error, or another account's id."""
    for word in ("report", "create"):
        found = decide(row(given_id="404", known_id=None, agreed=None), None, on_archived=word)
        [problem] = found.row.problems
        assert (found.row.outcome, found.changes, problem.kind) == (plan.REJECTED, (), plan.REJECTED)
        assert problem.reason == "There is no record 404."


def test_a_row_without_a_key_is_told_by_the_column_that_is_blank() -> None:
    """Whoever reads it looks into that column; "no key" might be any."""
    for words, times, told in (
        ({}, 1, "client_id is blank: nothing tells which record it is."),
        ({}, 3, "client_id is blank in 3 rows: nothing tells which records they are."),
        ({"match_on": None}, 1, "The id is blank: nothing tells which record it is."),
    ):
        [problem] = decide(row(key=None, times=times), None, **words).row.problems
        assert (problem.field, problem.reason) == (words.get("match_on", "client_id") or "", told)


def test_a_row_that_is_rejected_anyway_is_not_told_that_its_record_is_missing() -> None:
    """Nobody asked for the record of a row that cannot be written: the reason would be a lie."""
    for more in ({"unfit": [Unfit("name", "It is too long.")]}, {"times": 2}):
        found = decide(row(given_id="7", known_id=None, **more), None)
        assert [problem.field for problem in found.row.problems] in (["name"], ["client_id"])


@pytest.mark.parametrize("there", [None, record(is_archived=True)])
def test_a_record_that_is_gone_is_reported(there: Found | None) -> None:
    """They archived it: making it again is not ours to decide."""
    found = decide(row(has={"phone": "2"}), there)
    [problem] = found.row.problems
    assert (found.row.outcome, found.changes, found.row.row_hash, found.row.id) == (plan.CONFLICT, (), "", "7")
    assert 'on_archived = "create"' in problem.reason
    assert found.row.agreed == AGREED


@pytest.mark.parametrize("there", [None, record(is_archived=True)])
def test_a_record_that_is_gone_is_made_anew_where_the_mapping_says_so(there: Found | None) -> None:
    found = decide(row(has={"phone": "2", "name": "m"}), there, on_archived="create")
    [change] = found.changes
    assert (change.action, change.id, found.row.outcome) == (CREATE, None, "")
    assert change.agreed == {"client_id": "k", "name": "m", "phone": "2"}
    assert found.row.agreed == {}, "what was agreed on with the old record is not agreed on with the new one"


def test_a_record_is_not_made_anew_without_a_property_to_find_it_by() -> None:
    """A lost answer could not be settled, and the row would go on naming the old record: one more at each change."""
    words = {"on_archived": "create", "match_on": None}
    found = decide(row(key="7", given_id="7"), record(is_archived=True), **words)
    assert (found.row.outcome, found.changes) == (plan.CONFLICT, ())
    assert "match_on" in found.row.problems[0].reason


def test_a_record_is_made_anew_once_though_the_row_goes_on_naming_the_old_one() -> None:
    """The snapshot knows the new record; the row's own id still leads to the one that was archived."""
    first = decide(row(given_id="7", known_id=None, agreed=None), record(is_archived=True), on_archived="create")
    assert actions(first) == [CREATE]
    again = decide(row(given_id="7", known_id="8", has={"phone": "2"}), record(is_archived=True), on_archived="create")
    assert (again.row.outcome, again.changes, again.row.id) == (plan.CONFLICT, (), "8")
    assert "8" in again.row.problems[0].reason


def test_a_row_without_a_record_is_left_out_where_creates_are_off() -> None:
    found = decide(row(known_id=None, agreed=None), None, creates=False)
    assert (found.row.outcome, found.changes) == (plan.SKIPPED, ())


def test_a_create_that_was_reverted_is_skipped() -> None:
    assert decide(row(state="declined"), None).row.outcome == plan.SKIPPED
    assert decide(row(state="declined"), record(phone="2")).changes == ()


def test_a_new_record_is_sent_no_blanks_and_agrees_on_them() -> None:
    """A blank field of a new record is blank on both sides; sending forty of them would hide the others."""
    found = decide(row(has={"phone": ""}, known_id=None, agreed=None), None)
    [change] = found.changes
    assert change.fields == {"client_id": Edit(None, "k"), "name": Edit(None, "n")}
    assert change.agreed == {"client_id": "k", "name": "n", "phone": None}


def test_a_new_record_that_lacks_what_it_needs_is_rejected() -> None:
    found = decide(row(has={"name": ""}, known_id=None, agreed=None), None)
    assert (found.row.outcome, found.changes) == (plan.REJECTED, ())


def test_a_value_that_is_cleared_is_blank_in_the_plan() -> None:
    [change] = decide(row(has={"phone": ""}), record()).changes
    assert (change.action, change.fields) == (UPDATE, {"phone": Edit("1", None)})


def test_a_column_that_the_relation_does_not_have_says_nothing_about_its_field() -> None:
    """No column is not a blank one: whoever drops a column from a view clears nothing."""
    given = row(has={"name": "m"})
    values = {name: ours for name, ours in given.values.items() if name != "phone"}
    found = decide(attrs.evolve(given, values=values), record())
    assert (list(found.changes[0].fields), found.row.agreed) == (["name"], AGREED)


def test_a_row_that_left_the_relation_is_left() -> None:
    found = decide(gone(), record())
    assert (found.row.outcome, found.changes, found.row.agreed) == (plan.UNCHANGED, (), AGREED)


def test_a_row_that_left_is_archived_where_the_mapping_says_so() -> None:
    [change] = decide(gone(), record(), on_missing="archive").changes
    assert (change.action, change.id, change.fields) == (ARCHIVE, "7", {})


@pytest.mark.parametrize("word", ["leave", "clear", "archive"])
@pytest.mark.parametrize("there", [None, record(is_archived=True)])
def test_a_row_that_left_and_whose_record_is_gone_is_nothing_to_do(word: str, there: Found | None) -> None:
    found = decide(gone(), there, on_missing=word, on_archived="create")
    assert (found.row.outcome, found.changes) == (plan.UNCHANGED, ())


def test_a_row_that_left_is_cleared_but_for_its_key() -> None:
    [change] = decide(gone(), record(), on_missing="clear").changes
    assert change.fields == {"name": Edit("n", None), "phone": Edit("1", None)}
    assert change.agreed == {"name": None, "phone": None}
    assert change.row_hash == "left", "the row is looked at when it comes back"


def test_a_field_that_a_person_changed_is_not_cleared() -> None:
    """The row left on our side, the person moved on theirs: both moved, and no word says who wins."""
    found = decide(gone(), record(phone="2"), on_missing="clear")
    assert (found.row.outcome, [list(change.fields) for change in found.changes]) == (plan.CONFLICT, [["name"]])
    [problem] = found.row.problems
    assert (problem.field, problem.agreed, problem.ours, problem.theirs) == ("phone", "1", None, "2")


@pytest.mark.parametrize(
    ("policy", "blanks", "is_cleared"),
    [("ours", "leave", False), ("ours", "clear", True), ("theirs", "clear", False), ("newest", "clear", False)],
)
def test_a_field_that_a_person_changed_is_cleared_just_by_two_words(
    policy: str, blanks: str, is_cleared: bool
) -> None:
    """`on_missing` alone does not overwrite a person; a row that is gone has no time either."""
    found = decide(gone(), record(phone="2"), on_missing="clear", policy=policy, blanks=blanks)
    assert ("phone" in found.changes[0].fields) == is_cleared


def test_a_row_that_left_and_was_cleared_is_nothing_to_do() -> None:
    agreed = {"client_id": "k", "name": None, "phone": None}
    found = decide(gone(agreed=agreed), record(name=None, phone=""), on_missing="clear")
    assert (found.row.outcome, found.changes) == (plan.UNCHANGED, ())


def test_a_field_that_takes_no_values_any_more_is_not_cleared() -> None:
    """It became read-only since: HubSpot would refuse the whole record."""
    deciding = Deciding(attrs.evolve(WORDS, on_missing="clear"), shape(read_only=True))
    left = gone(agreed={**AGREED, "locked": "x", "dropped": "y"})
    [change] = deciding.decide(left, record(locked="x")).changes
    assert set(change.fields) == {"name", "phone"}


@pytest.mark.parametrize(
    ("policy", "is_newer", "is_written"),
    [("ours", None, True), ("theirs", None, False), ("newest", True, True), ("newest", False, False)],
)
def test_a_conflict_that_a_word_settles_is_shown_with_both_values(
    policy: str, is_newer: bool | None, is_written: bool
) -> None:
    """Settled is not silent: who looks at the plan sees whose value went, and by which word."""
    given = row(has={"phone": "2"}, is_newer={"phone": is_newer})
    found = decide(given, record(phone="3"), policies={"phone": policy})
    [problem] = found.row.problems
    assert (problem.kind, problem.field, problem.setting) == (SETTLED, "phone", f'policy = "{policy}"')
    assert (problem.agreed, problem.ours, problem.theirs) == ("1", "2", "3")
    assert (bool(found.changes), found.row.outcome) == (is_written, "" if is_written else plan.UNCHANGED)
    assert found.row.row_hash == "h", "settled: the row is not looked at again until it changes"
    if is_written:
        assert found.changes[0].fields["phone"] == Edit("3", "2", f'policy = "{policy}"')


def test_a_field_in_conflict_does_not_keep_the_others_from_being_written() -> None:
    found = decide(row(has={"phone": "2", "name": "m"}), record(phone="3"))
    assert (found.row.outcome, list(found.changes[0].fields), found.row.row_hash) == (plan.CONFLICT, ["name"], "")


def test_a_record_that_was_merged_away_is_written_where_it_lives_on() -> None:
    found = decide(row(has={"phone": "2"}), attrs.evolve(record(), id="70"))
    assert (found.changes[0].id, found.row.id) == ("70", "70")
