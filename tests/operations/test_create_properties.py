"""`syncer run hubspot.create_properties`: what a relation has columns for, and the portal lacks, is made once."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import mappings
from syncer.operations import Context, create_properties
from syncer.sandbox.faults import Fault
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.sandbox.hubspot.model import Definition
from syncer.sources.hubspot import connect
from tests.operations import MERGE, RESTORED_FROM, OperationHome
from tests.outbound import at_home

NAME = "hubspot.create_properties"
ROW = {"client_id": "A1", "name": "One"}


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[OperationHome]:
    """A portal without records, and a warehouse of each backend."""
    with at_home(tmp_path / "home", backend) as found:
        yield OperationHome(found)


def definition(home: OperationHome, name: str, kind: str = "companies") -> Definition | None:
    found = home.site.store.definitions[kind].get(name)
    return found if found is not None and found.archived_ms is None else None


def types(home: OperationHome, *names: str) -> list[tuple[str, str] | None]:
    found = [definition(home, name) for name in names]
    return [None if each is None else (each.type, each.field_type) for each in found]


def reasons(home: OperationHome, plan: str) -> dict[str, str]:
    return {each["key"]: each["reason"] for each in home.home.problems(plan)}


def requests(home: OperationHome, path: str = "/properties/") -> list[str]:
    return [each for each in home.home.sent() if path in each]


def test_each_column_that_stands_for_no_property_becomes_one_of_its_type(home: OperationHome) -> None:
    """And what is a property already, or the warehouse's own, is left alone; a second run plans nothing."""
    row = {
        **ROW,
        "a_text": "x",
        "a_long": "x" * 300,
        "a_number": 7,
        "an_amount": decimal.Decimal("1.5"),
        "a_flag": True,
    }
    row |= {"a_day": dt.date(2026, 3, 1), "a_time": dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC), "dss_load": "x"}
    home.home.relation([row])
    names = ("a_text", "a_long", "a_number", "an_amount", "a_flag", "a_day", "a_time")
    shown = home.run(NAME, is_rehearsal=True)
    assert (shown.counts.created, shown.error, types(home, *names)) == (7, None, [None] * 7)
    done = home.run(NAME)
    assert (done.counts.created, done.counts.rejected, done.error) == (7, 0, None)
    assert types(home, *names) == [
        ("string", "text"),
        ("string", "textarea"),
        ("number", "number"),
        ("number", "number"),
        ("bool", "booleancheckbox"),
        ("date", "date"),
        ("datetime", "date"),
    ]
    assert definition(home, "dss_load") is None
    again = home.run(NAME)
    assert (again.counts.created, again.counts.unchanged, again.exit_code) == (0, 1, 0)  # the key
    pushed = home.home.push()
    assert (pushed.counts.created, pushed.error, pushed.counts.rejected) == (1, None, 0)
    assert home.home.company("A1").properties["a_number"] == "7"


def test_the_dry_run_shows_type_and_choices(home: OperationHome) -> None:
    """What a person checks before a property is there for good."""
    home.home.relation([{**ROW, "segment": value, "is_big": True} for value in ("mid", "big", "mid")])
    shown = home.words(NAME, enumerations=["companies.seg*"]).run(NAME, is_rehearsal=True)
    by_key = {each.key: {name: edit.after for name, edit in each.fields.items()} for each in home.changes(shown.plan)}
    assert by_key["companies.segment"]["options"] == '["big","mid"]'
    assert by_key["companies.segment"]["type"] == "enumeration"
    assert by_key["companies.is_big"]["options"] == '["false","true"]'


def test_choices_are_the_different_values_of_a_column(home: OperationHome) -> None:
    """Those of a text with `;` are the parts of it; blanks are none, and those around a value no part of it."""
    rows = [("mid", "a;b"), ("big", "c; a"), (" mid", "a"), (None, None), (" ", "")]
    home.home.relation([{**ROW, "segment": one, "kinds": several} for one, several in rows])
    done = home.words(NAME, enumerations=["companies.segment", "companies.kinds"]).run(NAME)
    assert done.error is None
    found = {name: definition(home, name) for name in ("segment", "kinds")}
    told = {
        name: (each.field_type, [option["value"] for option in each.options]) for name, each in found.items() if each
    }
    assert told == {"segment": ("select", ["big", "mid"]), "kinds": ("checkbox", ["a", "b", "c"])}


def test_a_pattern_that_fits_no_column_is_told(home: OperationHome) -> None:
    """A slip in it would make a text of what was to be a choice, and a type stands for good."""
    home.home.relation([{**ROW, "segment": "mid"}])
    shown = home.words(NAME, enumerations=["companies.segmnt", "companies.seg*"]).run(NAME, is_rehearsal=True)
    assert "enumerations names no column that there is: companies.segmnt" in home.notes(shown.plan)
    home.words(NAME, enumerations=["companies.segment"]).run(NAME)
    home.home.later()
    assert "names no column" not in home.notes(home.run(NAME).plan)


@pytest.mark.parametrize(
    ("count", "several", "why"),
    [(101, False, "101"), (101, True, "101"), (10_001, True, "10,001"), (0, False, "no value")],
)
def test_too_many_choices_or_none_are_a_reject(home: OperationHome, count: int, several: bool, why: str) -> None:
    """Each value of a free text would be a choice."""
    home.home.relation([{**ROW, "segment": None}])
    end = " || ';'" if several else ""
    query = f"INSERT INTO stage.companies SELECT CAST(i AS TEXT), 'n', CAST(i AS TEXT){end}"
    source = f"generate_series(1, {count})"
    home.rows(f"{query} FROM {source} AS s(i)")
    done = home.words(NAME, enumerations=["*.segment"]).run(NAME)
    assert done.counts.rejected == 1 and definition(home, "segment") is None
    assert why in reasons(home, done.plan)["companies.segment"]


def test_a_hundred_choices_are_made(home: OperationHome) -> None:
    """The most there are."""
    home.home.relation([{**ROW, "segment": f"s{n}"} for n in range(100)])
    assert home.words(NAME, enumerations=["*.segment"]).run(NAME).counts.created == 1
    found = definition(home, "segment")
    assert found is not None and len(found.options) == 100


def test_numbers_with_decimals_are_no_choices(home: OperationHome) -> None:
    """How such a number is written is the warehouse's."""
    home.home.relation([{**ROW, "share": decimal.Decimal("0.5")}])
    done = home.words(NAME, enumerations=["*.share"]).run(NAME)
    assert "decimal" in reasons(home, done.plan)["companies.share"]


@pytest.mark.parametrize(
    ("column", "proposed"),
    [
        ("hs_score", "score"),
        ("2nd_name", "property_2nd_name"),
        ("Größe", "gr_e"),
        ("its_history", "its_history_value"),
        ("old_xdeadbeef", "old_xdeadbeef_value"),
    ],
)
def test_a_name_that_would_be_refused_is_a_reject_with_one_that_does(
    home: OperationHome, column: str, proposed: str
) -> None:
    """A name is fixed for ever, so it is not changed silently."""
    home.home.relation([{**ROW, column: "x"}])
    done = home.run(NAME)
    assert (done.counts.created, done.counts.rejected) == (0, 1)
    assert f"call the column {proposed}" in reasons(home, done.plan)[f"companies.{column}"]


def test_a_key_that_no_property_can_be_named_after_is_a_reject(home: OperationHome) -> None:
    """HubSpot takes a hundred letters."""
    home.home = home.home.with_words(match_on="k" * 101)
    done = home.run(NAME)
    reason = reasons(home, done.plan)[f"companies.{'k' * 101}"]
    assert "101 letters" in reason and 'match_on of ["hubspot.companies"]' in reason


def test_columns_that_are_something_else_are_no_properties(home: OperationHome) -> None:
    """Ids, edges, the row's own time; a pull's own columns are told, since somebody might miss them."""
    words = {"edges": {"parent": "companies"}, "changed_at": "moved"}
    home.home = home.home.with_words(**words)
    row = {**ROW, "id": "1", "parent": "A2", "moved": dt.datetime(2026, 3, 1, tzinfo=dt.UTC)}
    home.home.relation([{**row, "url": "x", "phone_history": "x"}])
    done = home.run(NAME)
    assert (done.counts.created, done.error) == (0, None)
    assert "url, phone_history" in home.notes(done.plan)


def test_only_the_columns_that_a_site_names_are_made(home: OperationHome) -> None:
    """Patterns of kind and column."""
    home.home.relation([{**ROW, "a_text": "x", "b_text": "x"}])
    assert home.words(NAME, columns=["companies.b*"]).run(NAME).counts.created == 1
    assert [definition(home, name) is None for name in ("a_text", "b_text")] == [True, False]


def test_a_name_that_is_near_another_is_noted(home: OperationHome) -> None:
    """It may be a slip of the keys, and a property stays."""
    home.home.relation([{**ROW, "industri": "x"}])
    shown = home.run(NAME, is_rehearsal=True)
    assert "companies.industri" in home.notes(shown.plan) and "industry" in home.notes(shown.plan)


def test_the_label_is_the_columns_comment(home: OperationHome) -> None:
    """What the warehouse calls it, people of the portal see; without one, its name in words."""
    home.home.relation([{**ROW, "a_text": "x", "b_text": "x", "c_text": "x"}])
    home.rows("COMMENT ON COLUMN stage.companies.a_text IS 'Tariff group'")
    home.rows(f"COMMENT ON COLUMN stage.companies.c_text IS '{'long ' * 30}'")
    home.run(NAME)
    found = [definition(home, name) for name in ("a_text", "b_text", "c_text")]
    assert [each and each.label for each in found] == ["Tariff group", "B text", "C text"]
    assert found[2] is not None and found[2].description.startswith("long long")


def test_the_group_is_the_kinds_own_or_the_one_that_a_site_names(home: OperationHome) -> None:
    """One that is not there is a reject beforehand, with those that are."""
    home.home.relation([{**ROW, "a_text": "x"}])
    done = home.words(NAME, group="no_such").run(NAME)
    assert "companies_information" in reasons(home, done.plan)["companies.a_text"]
    assert home.words(NAME, group="companies_information").run(NAME).counts.created == 1
    found = definition(home, "a_text")
    assert found is not None and found.group_name == "companies_information"


def test_an_archived_property_of_the_name_is_told_in_the_plan(home: OperationHome) -> None:
    """HubSpot keeps the name; a person restores it."""
    home.home.relation([{**ROW, "phone": "1"}])
    home.site.store.definitions["companies"]["phone"].archived_ms = 1
    done = home.run(NAME, is_rehearsal=True)
    assert (done.counts.created, done.counts.rejected) == (0, 1)
    assert "archived" in reasons(home, done.plan)["companies.phone"]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate", "status"])
def test_a_lost_answer_makes_no_second_one(home: OperationHome, kind: Any) -> None:
    """An enumeration is read back with its choices."""
    home.home.relation([{**ROW, "segment": value} for value in ("b", "a")])
    fault = {"status": 502} if kind == "status" else {}
    home.home.sandbox.faults.add(Fault(kind=kind, match="POST /crm/v3/properties/companies", **fault))
    done = home.words(NAME, enumerations=["*"]).run(NAME)
    assert (done.counts.created, done.error) == (1, None)
    found = definition(home, "segment")
    assert found is not None and [each["value"] for each in found.options] == ["a", "b"]


def test_ten_unique_properties_are_the_most(home: OperationHome) -> None:
    """HubSpot refuses an eleventh: it is told before anything is made, in a dry run too."""
    for n in range(8):
        words = {"name": f"u{n}", "label": "U", "has_unique_value": True, "group_name": "companies_information"}
        home.site.store.define("companies", Definition(**words))  # with client_id they are nine
    home.home.relation([{**ROW, "code": "1"}])
    home.home = home.home.with_words(match_on="code")
    home.words("hubspot.merge_tickets", object="companies")
    shown = home.run(NAME, is_rehearsal=True)
    assert (shown.counts.created, shown.counts.rejected) == (1, 1)
    assert "10" in reasons(home, shown.plan)[f"companies.{RESTORED_FROM}"]
    assert home.run(NAME).counts.created == 1


def test_what_a_revert_of_merges_needs_is_made_where_a_site_merges(home: OperationHome) -> None:
    """Without it a merge cannot be put back."""
    assert home.run(NAME).counts.created == 0
    assert home.words(MERGE, mode="archive").run(NAME).counts.created == 0
    assert home.words(MERGE, mode="merge").run(NAME).counts.created == 1
    found = definition(home, RESTORED_FROM, "tickets")
    assert found is not None and (found.has_unique_value, found.label) == (True, "Restored from (syncer)")
    assert home.run(NAME).counts.created == 0


def test_a_relation_that_cannot_be_read_is_told_once_and_its_key_is_made(home: OperationHome) -> None:
    """The table may come later than the property; but what nobody looked at is not done, and exit 0 would say so."""
    home.home = home.home.with_words(match_on="code", relation="stage.no_such")
    done = home.run(NAME)
    assert (done.counts.created, done.counts.rejected, done.error, done.exit_code) == (1, 1, None, 3)
    assert "Its columns are not looked at" in reasons(home, done.plan)["hubspot.companies"]
    again = home.run(NAME)
    assert (again.exit_code, rejects(home)) == (0, ["hubspot.companies"])
    home.home.relation([{**ROW, "code": "1"}])
    home.home = home.home.with_words(relation="stage.companies")
    assert (home.run(NAME).exit_code, rejects(home)) == (0, [])


# What is left alone.


def rejects(home: OperationHome) -> list[str]:
    return [str(key) for (key,) in home.rows(f"SELECT key FROM syncer.rejects WHERE mapping = '{NAME}' ORDER BY key")]


def test_a_column_that_is_left_alone_is_told_once_and_named_each_time(home: OperationHome) -> None:
    """A job of every night has news when there is some; its one line has a count, and its notes the columns."""
    home.home.relation([{**ROW, "Big": "x"}])
    shown = home.run(NAME, is_rehearsal=True)
    first, again = home.run(NAME), home.run(NAME)
    assert [each.exit_code for each in (shown, first, again)] == [3, 3, 0]
    assert (again.counts.rejected, rejects(home)) == (0, ["companies.Big"])
    assert "left alone: companies.Big; the plan says why" in home.notes(first.plan)
    assert "left alone, as an earlier run told: companies.Big" in home.notes(again.plan)
    home.home.relation([{**ROW, "Big": "x", "Bigger": "x"}])
    third = home.run(NAME)
    assert (third.exit_code, list(reasons(home, third.plan))) == (3, ["companies.Bigger"])


def test_a_column_whose_reason_is_another_one_is_told_again(home: OperationHome) -> None:
    """What was told is not so any more."""
    home.home.relation([{**ROW, "segment": None, "name": "x"}])
    home.words(NAME, enumerations=["*.segment"])
    assert [home.run(NAME).exit_code for _ in range(2)] == [3, 0]
    home.home.relation([{**ROW, "segment": str(number)} for number in range(101)])
    assert [home.run(NAME).exit_code for _ in range(2)] == [3, 0]


@pytest.mark.parametrize("is_made", [True, False])
def test_a_column_that_was_left_alone_is_nothing_to_look_at_once_it_is_mended(
    home: OperationHome, is_made: bool
) -> None:
    """It was renamed, or is made now: nothing else would take its reject back."""
    home.home.relation([{**ROW, "segment": None, "name": "x"}])
    home.words(NAME, enumerations=["*.segment"])
    home.run(NAME)
    home.home.relation([{**ROW, "segment": "a"}] if is_made else [ROW])
    done = home.run(NAME)
    assert (done.exit_code, done.counts.created, rejects(home)) == (0, int(is_made), [])


def test_columns_that_were_left_alone_stand_while_their_relation_cannot_be_read(home: OperationHome) -> None:
    """A view that is being rebuilt mends nothing, and they would be news again tomorrow."""
    home.home.relation([{**ROW, "Big": "x"}])
    home.run(NAME)
    home.rows("ALTER TABLE stage.companies RENAME TO away")
    assert (home.run(NAME).exit_code, rejects(home)) == (3, ["companies.Big", "hubspot.companies"])
    home.rows("ALTER TABLE stage.away RENAME TO companies")
    assert (home.run(NAME).exit_code, rejects(home)) == (0, ["companies.Big"])


def test_a_query_is_looked_at_as_a_table_is(home: OperationHome) -> None:
    """It has no comments."""
    home.home.relation([ROW])
    home.home = home.home.with_words(relation="SELECT *, 'x' AS segment FROM stage.companies")
    assert home.words(NAME, enumerations=["*.segment"]).run(NAME).counts.created == 1
    assert types(home, "segment") == [("enumeration", "select")]


def test_two_mappings_of_a_kind_make_a_property_once(home: OperationHome) -> None:
    """A company may have a mapping of its own beside ours."""
    home.home.relation([{**ROW, "a_text": "x"}])
    settings = home.home.settings
    ours = settings.applied_to(mappings.known()["hubspot.companies"])
    source: Any = connect(settings.account("hubspot"), doors=home.home.doors, streams=())
    warehouse = home.home.warehouse()
    with contextlib.closing(source), contextlib.closing(warehouse):
        context = Context(
            name=NAME,
            values={"columns": ("*",), "enumerations": (), "group": ""},
            environment="default",
            now=home.home.clock.now(),
            settings=settings,
            warehouse=warehouse,
            source=source,
            target=source.definitions(),
            mappings=[ours, attrs.evolve(ours, name="hubspot.clients")],
        )
        keys = [each.row.key for each in create_properties.looked(context)]
    assert sorted(keys) == ["companies.a_text", "companies.client_id"]


def test_what_is_asked_does_not_grow_with_the_columns(home: OperationHome) -> None:
    """One list of definitions for all of them."""
    home.home.relation([{**ROW, **{f"c{n}": "x" for n in range(20)}}])
    home.run(NAME, is_rehearsal=True)
    home.home.later()
    home.home.sent()
    shown = home.run(NAME, is_rehearsal=True)
    assert shown.counts.created == 20 and len(requests(home)) <= 9


def test_a_revert_says_why_properties_stay(home: OperationHome) -> None:
    """Values may stand in them."""
    home.home.relation([{**ROW, "a_text": "x"}])
    done = home.run(NAME)
    assert done.run is not None
    undone = home.revert(done.run)
    assert (undone.counts.archived, undone.exit_code) == (0, 3)
    assert "stays" in str(home.home.problems(undone.plan)) and definition(home, "a_text") is not None


def test_the_scope_is_asked_for_of_each_kind_that_lacks_a_property(home: OperationHome) -> None:
    """A dry run notes it, an apply makes nothing."""
    home.home.relation([{**ROW, "a_text": "x"}])
    home.site.add_token(TOKEN, ALL_SCOPES - {"crm.schemas.companies.write"})
    shown = home.run(NAME, is_rehearsal=True)
    assert shown.counts.created == 1 and "crm.schemas.companies.write" in home.notes(shown.plan)
    done = home.run(NAME)
    assert (done.exit_code, definition(home, "a_text")) == (1, None)
    assert "crm.schemas.companies.write" in (done.error or "")
