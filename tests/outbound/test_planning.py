"""What a plan is made of: columns and their properties, rows that came and left, hashes, and what is let go."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import pytest

from syncer import outbound, plans, relation, snapshots, sql
from syncer.errors import OutOfMemory, RequestError
from syncer.sandbox.hubspot.model import Definition
from syncer.sources.hubspot.definitions import column_of
from tests.outbound import PushHome

MANY = 2_000
STATES = "SELECT key, state FROM syncer.snapshots ORDER BY key"
REJECTS = "SELECT key FROM syncer.rejects WHERE scope = 'push' ORDER BY key"
LONG = "a_property_with_a_name_that_is_longer_than_any_column_may_be_in_postgresql"


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"Company {number}", "phone": "1", **more} for number in numbers]


def many(home: PushHome, *columns: str) -> PushHome:
    """Make a relation of many rows that were pushed."""
    more = "".join(f", {column}" for column in columns)
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    home.rows(
        f"CREATE TABLE stage.companies AS SELECT CAST(g.i AS TEXT) AS client_id, 'n' AS name, 'p' AS phone{more} "
        f"FROM generate_series(1, {MANY}) AS g(i)"
    )
    home = home.with_words(max_creates="off")
    assert home.push().counts.created == MANY
    home.sent()
    return home


def asked(home: PushHome) -> list[str]:
    """Return which requests about records were sent since the last call."""
    return [each.rpartition("/batch/")[2] for each in home.sent() if "/batch/" in each]


def test_a_column_is_pushed_under_the_name_of_the_property_that_a_pull_cut(home: PushHome) -> None:
    home.site.store.define(
        "companies",
        Definition(name=LONG, label=LONG, type="string", field_type="text", group_name="companies_information"),
    )
    column = column_of(LONG, declared=())
    assert column != LONG
    home.relation(rows(1, **{column: "v"}))
    home.push()
    assert home.values(LONG) == {"1": "v"}
    home.change("1", **{column: ""})
    done = home.push()
    assert (done.counts.updated, home.values(LONG)["1"] or None) == (1, None)
    assert home.push().counts.unchanged == 1


def test_two_columns_that_stand_for_one_property_are_told(home: PushHome) -> None:
    """Which of the two is right nobody can tell."""
    home.site.store.define(
        "companies",
        Definition(name=LONG[:70], label="x", type="string", field_type="text", group_name="companies_information"),
    )
    column = column_of(LONG[:70], declared=())
    home.relation(rows(1, **{column: "v"}))
    if home.database.setting.startswith("duckdb"):  # PostgreSQL has no column with so long a name
        home.rows(f'ALTER TABLE stage.companies ADD COLUMN "{LONG[:70]}" TEXT')
        failed = home.push()
        assert column in str(failed.error)
        assert f"both stand for the property {LONG[:70]}" in str(failed.error)
        assert home.writes() == []


def test_what_is_left_of_a_relation_is_told_with_the_nearest_names(home: PushHome) -> None:
    home.site.store.define(
        "companies", Definition(name="locked", label="x", group_name="companies_information", read_only=True)
    )
    home.relation(rows(1, phon="x", locked="x", dss_load_date="x", updated_at="x"))
    plan = home.with_words(changed_at="updated_at").push(is_rehearsal=True).plan
    warehouse = home.warehouse()
    with warehouse.transaction() as t:
        left = plans.header_of(t, plan).left_columns
    warehouse.close()
    assert left["phon"] == "no such property in HubSpot; did you mean phone?"
    assert left["locked"] == "read-only in HubSpot"
    assert left["dss_load_date"] == "the warehouse's own"
    assert set(left) == {"phon", "locked", "dss_load_date"}


@pytest.mark.parametrize(
    ("column", "value"), [("size", True), ("met_at", False), ("since", True), ("size", dt.date(2026, 3, 1))]
)
def test_a_column_that_can_never_fit_is_told_before_any_row(home: PushHome, column: str, value: Any) -> None:
    """Else each row of the relation would be a reject, for one mistake."""
    home.relation(rows(1, 2, **{column: value}))
    failed = home.push()
    assert f"no value of column {column}" in str(failed.error)
    assert home.writes() == []


def test_a_column_whose_values_may_fit_is_judged_row_by_row(home: PushHome) -> None:
    """A date is a point in time; a text may be a number, and JSON may be one too."""
    home.relation(rows(1, met_at=dt.date(2026, 3, 1)))
    home.rows("ALTER TABLE stage.companies ADD COLUMN size JSON")
    home.rows(
        """INSERT INTO stage.companies (client_id, name, size) VALUES ('2', 'n', '17'), ('3', 'n', '{"a": 1}')"""
    )
    done = home.push()
    assert (done.counts.created, done.counts.rejected) == (2, 1)
    assert home.values("size")["2"] == "17"
    assert [(each["key"], each["field"]) for each in home.problems(done.plan)] == [("3", "size")]


def test_lists_and_binary_data_are_judged_row_by_row(home: PushHome) -> None:
    """A list stands for several choices; binary data for nothing that HubSpot has."""
    home.relation(rows(1))
    binary = "BLOB" if home.database.setting.startswith("duckdb") else "BYTEA"
    home.rows("ALTER TABLE stage.companies ADD COLUMN products TEXT[]")
    home.rows(f"ALTER TABLE stage.companies ADD COLUMN industry {binary}")
    home.rows(f"UPDATE stage.companies SET products = {home.database.array(chr(39) + 'a' + chr(39))}")
    if home.database.setting.startswith("duckdb"):
        assert home.push().counts.created == 1
        assert home.values("products") == {"1": "a"}
    home.rows(f"INSERT INTO stage.companies (client_id, name, industry) VALUES ('2', 'n', CAST('ab' AS {binary}))")
    [problem] = [each for each in home.problems(home.push().plan) if each["field"] == "industry"]
    assert problem["reason"] == "It is binary data."


def test_a_value_that_is_cleared_is_blank_in_the_plan_and_empty_in_what_is_sent(home: PushHome) -> None:
    home.relation(rows(1))
    home.push()
    home.change("1", phone="")
    planned = home.push(is_rehearsal=True)
    [change] = home.changes(planned.plan)
    assert change.fields["phone"].after is None
    home.push(plan=planned.plan)
    assert home.company("1").properties.get("phone") in ("", None)
    assert home.push().counts.unchanged == 1
    home.relation([*rows(1, phone=""), {"client_id": "2", "name": "n", "phone": ""}])
    create = next(each for each in home.changes(home.push(is_rehearsal=True).plan) if each.action == "create")
    assert "phone" not in create.fields


def test_a_row_that_left_is_told_once_and_costs_no_request(home: PushHome) -> None:
    home.relation(rows(*range(5)))
    home.push()
    home.relation(rows(0, 1))
    home.sent()
    left = home.push(is_rehearsal=True)
    assert home.rows("SELECT missing_rows, known_rows FROM syncer.plans WHERE plan = ?", [left.plan]) == [(3, 5)]
    assert home.push().counts.unchanged == 5, "three of them left"
    done = home.push()
    assert (done.counts.read, asked(home)) == (2, [])
    assert home.rows("SELECT missing_rows, known_rows FROM syncer.plans WHERE plan = ?", [done.plan]) == [(0, 2)]
    assert dict(home.rows(STATES)) == {"0": "live", "1": "live", "2": "left", "3": "left", "4": "left"}


def test_a_row_that_comes_back_is_compared_with_what_was_agreed(home: PushHome) -> None:
    home.relation(rows(1, 2))
    home.push()
    home.relation(rows(1))
    home.push()
    home.edit("2", phone="theirs")
    home.relation(rows(1, 2, name="new"))
    done = home.push()
    assert (done.counts.updated, done.counts.conflicts, done.counts.created) == (2, 0, 0)
    assert home.values("phone")["2"] == "theirs", "ours is what both had agreed on"
    assert dict(home.rows(STATES)) == {"1": "live", "2": "live"}
    assert home.push().counts.unchanged == 2


@pytest.mark.parametrize("word", ["clear", "archive"])
def test_what_is_done_about_a_row_that_left_is_done_once(home: PushHome, word: str) -> None:
    home = home.with_words(on_missing=word, max_archives=5)
    home.relation(rows(1, 2))
    home.push()
    home.relation(rows(1))
    done = home.push()
    assert done.counts.archived + done.counts.updated == 1
    home.sent()
    again = home.push()
    assert (again.counts.read, again.counts.unchanged, asked(home)) == (1, 1, [])


def test_a_row_that_left_long_ago_is_not_archived_when_the_word_changes(home: PushHome) -> None:
    """A word is for what leaves from now on; else one line in a file would archive years of records."""
    home.relation(rows(1, 2))
    home.push()
    home.relation(rows(1))
    home.push()
    done = home.with_words(on_missing="archive", max_archives=5).push()
    assert (done.counts.archived, len(home.live())) == (0, 2)


def test_a_conflict_about_a_row_that_left_is_looked_at_until_it_is_settled(home: PushHome) -> None:
    home = home.with_words(on_missing="clear")
    home.relation(rows(1, 2))
    home.push()
    home.edit("2", phone="theirs")
    home.relation(rows(1))
    for _ in range(2):
        assert home.push().counts.conflicts == 1
    home.edit("2", phone="")
    assert home.push().exit_code == 0
    assert home.push().counts.read == 1


def test_a_new_column_is_pushed_once_for_the_rows_that_have_a_value(home: PushHome) -> None:
    """A column more is no change of a million rows."""
    home = many(home)
    home.rows("ALTER TABLE stage.companies ADD COLUMN industry TEXT")
    home.rows("UPDATE stage.companies SET industry = 'new' WHERE client_id IN ('7', '8', '9')")
    home.rows("UPDATE stage.companies SET phone = 'changed' WHERE client_id IN ('9', '10')")
    done = home.push()
    assert (done.counts.updated, done.counts.unchanged) == (4, MANY - 4)
    assert asked(home) == ["read", "update"]
    assert (home.push().counts.unchanged, asked(home)) == (MANY, [])
    home.rows("UPDATE stage.companies SET industry = 'late' WHERE client_id = '500'")
    assert (home.push().counts.updated, asked(home)) == (1, ["read", "update"])
    home.rows("UPDATE stage.companies SET industry = 'late' WHERE client_id = '8'")
    assert home.push().counts.updated == 1


def test_a_column_that_is_gone_is_no_change(home: PushHome) -> None:
    home = many(home, "'i' AS industry")
    home.rows("ALTER TABLE stage.companies DROP COLUMN industry")
    home.rows("UPDATE stage.companies SET phone = 'changed' WHERE client_id = '10'")
    done = home.push()
    assert (done.counts.updated, done.counts.unchanged) == (1, MANY - 1)
    assert asked(home) == ["read", "update"]
    assert home.values("industry")["10"] == "i", "a column that is not there says nothing"
    assert (home.push().counts.unchanged, asked(home)) == (MANY, [])
    assert len(home.rows("SELECT name FROM syncer.hashes")) == 1, "a hash that no row has is forgotten"


def test_columns_that_came_and_went_together_are_no_change(home: PushHome) -> None:
    home = many(home, "'i' AS industry")
    home.rows("ALTER TABLE stage.companies DROP COLUMN industry")
    home.rows("ALTER TABLE stage.companies ADD COLUMN since DATE")
    home.rows("UPDATE stage.companies SET since = DATE '2026-03-01' WHERE client_id = '10'")
    done = home.push()
    assert (done.counts.updated, done.counts.unchanged, asked(home)) == (1, MANY - 1, ["read", "update"])


def test_where_blanks_are_written_a_new_column_is_looked_at_in_each_row(home: PushHome) -> None:
    """The mapping says that a blank clears: so each record must be asked whether there is something to clear."""
    home.relation(rows(1, 2))
    home.push()
    home.edit("2", industry="theirs")
    home.rows("ALTER TABLE stage.companies ADD COLUMN industry TEXT")
    home.sent()
    assert home.push().counts.unchanged == 2
    assert asked(home) == []
    done = home.with_words(blanks="clear").push()
    assert (done.counts.updated, home.values("industry")["2"] or "") == (1, "")


def test_a_hash_that_another_engine_made_costs_no_request(home: PushHome) -> None:
    """After an upgrade of the server every hash may be another one; what was agreed is still known."""
    home = many(home)
    home.rows("UPDATE syncer.snapshots SET row_hash = '00000000-' || SUBSTR(row_hash, 10)")
    home.rows("UPDATE stage.companies SET phone = 'changed' WHERE client_id = '10'")
    done = home.push()
    assert (done.counts.updated, done.counts.unchanged, asked(home)) == (1, MANY - 1, ["read", "update"])
    assert home.rows("SELECT COUNT(*) FROM syncer.snapshots WHERE row_hash LIKE '00000000-%'") == [(0,)]


def test_a_hash_of_texts_is_told_from_one_of_types(home: PushHome) -> None:
    """Snapshots of before hold hashes of all columns as texts: those rows are looked at once, and nothing is asked."""
    home = many(home, "CAST(g.i AS BIGINT) AS size", "CAST('2026-03-01' AS DATE) AS since")
    names, engine = ["client_id", "name", "phone", "since", "size"], "1234567890"
    with contextlib.closing(home.warehouse()) as warehouse, warehouse.transaction() as t:
        as_texts = t.row_hash("r", names)
        name = snapshots._hash_name(engine, names)
        t.run(sql.statement("UPDATE syncer.hashes SET name = ?, engine = ?"), [name, engine])
        t.run(
            sql.statement(
                f"UPDATE syncer.snapshots AS s SET row_hash = '{name}' || {as_texts} FROM stage.companies AS r "
                "WHERE r.client_id = s.key"
            )
        )
    home.rows("UPDATE stage.companies SET size = -size WHERE client_id = '10'")
    done = home.push()
    assert (done.counts.updated, done.counts.unchanged, asked(home)) == (1, MANY - 1, ["read", "update"])
    assert (home.push().counts.unchanged, asked(home)) == (MANY, [])
    [(now,)] = home.rows("SELECT name FROM syncer.hashes")
    assert now != name
    assert home.rows("SELECT DISTINCT SUBSTR(row_hash, 1, 9) FROM syncer.snapshots") == [(now,)]


def test_a_column_of_another_type_with_the_same_values_costs_no_request(home: PushHome) -> None:
    """Values of two types never share a hash: the rows are looked at, and found equal."""
    home = many(home, "CAST(g.i AS BIGINT) AS size")
    home.rows("ALTER TABLE stage.companies ALTER COLUMN size TYPE TEXT")
    for _ in range(2):
        assert (home.push().counts.unchanged, asked(home)) == (MANY, [])


def test_another_text_of_the_same_value_is_no_change_and_costs_no_request(home: PushHome) -> None:
    home.relation(rows(1, size="1"))
    home.push()
    home.change("1", size="1.0")
    home.sent()
    assert (home.push().counts.unchanged, asked(home)) == (1, [])


def test_the_value_of_an_edge_column_makes_a_row_differ(home: PushHome) -> None:
    """A row whose only change is what it is linked to must be looked at."""
    home = home.with_words(edges={"parent": "companies"})
    home.relation(rows(1, 2, parent=None))
    home.push()
    home.sent()
    assert (home.push().counts.unchanged, asked(home)) == (2, [])
    home.change("1", parent="2")
    home.push(is_rehearsal=True)
    assert "read" in asked(home)


def test_a_reject_whose_row_is_gone_is_let_go(home: PushHome) -> None:
    """It never had a record, so nothing else tells that it is gone."""
    home.relation([*rows(1, tier="gold"), *rows(2, 3, tier="tin")])
    home.push()
    assert home.rows(REJECTS) == [("2",), ("3",)]
    home.relation([*rows(1, tier="gold"), *rows(3, tier="tin")])
    done = home.push()
    assert (home.rows(REJECTS), done.counts.read, done.counts.rejected) == ([("3",)], 2, 1)


def test_a_reject_or_conflict_whose_row_is_again_as_agreed_is_let_go(home: PushHome) -> None:
    home.relation(rows(1, 2, tier="gold"))
    home.push()
    home.change("1", tier="tin")
    home.edit("2", phone="theirs")
    home.change("2", phone="ours")
    assert home.push().exit_code == 3
    home.change("1", tier="gold")
    home.change("2", phone="1")
    done = home.push()
    assert (done.exit_code, done.counts.unchanged, done.counts.read, home.rows(REJECTS)) == (0, 2, 2, [])
    assert home.rows("SELECT key, state FROM syncer.conflicts") == [("2", "settled")]


def test_a_dry_run_lets_nothing_go(home: PushHome) -> None:
    home.relation(rows(1, tier="tin"))
    home.push()
    home.relation(rows(2, tier="gold"))
    home.push(is_rehearsal=True)
    assert home.rows(REJECTS) == [("1",)]


def test_what_a_killed_plan_left_is_dropped_by_the_next_one(home: PushHome) -> None:
    home.relation(rows(1))
    planned = home.push(is_rehearsal=True).plan
    for plan, pid in (("dead", 2**22 + 1), ("alive", 1)):
        home.rows(f"CREATE TABLE syncer.copy_{plan} (x INT)")
        home.rows(f"CREATE TABLE syncer.claims_{plan} (x INT)")
        columns = [name for name in plans.PLANS.types() if name not in ("plan", "state", "pid")]
        listed = ", ".join(columns)
        home.rows(
            f"INSERT INTO syncer.plans (plan, state, pid, {listed}) SELECT '{plan}', 'planning', {pid}, {listed} "
            f"FROM syncer.plans WHERE plan = '{planned}'"
        )
    home.push(is_rehearsal=True)
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'syncer'"
    beside = {name for (name,) in home.rows(query) if name.startswith(("copy_", "claims_"))}
    assert beside == {"copy_alive", "claims_alive"}, "one that is being made keeps its own"


def test_a_plan_that_failed_leaves_nothing_beside_it(home: PushHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.relation(rows(1))

    def refuse(*_: Any) -> Any:
        raise RequestError("no", status=400)

    monkeypatch.setattr(outbound.Planning, "_looked", refuse)
    assert home.push().error is not None
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'syncer'"
    assert [name for (name,) in home.rows(query) if name.startswith(("copy_", "claims_"))] == []


def test_a_diff_that_ran_out_of_memory_is_made_again_with_more(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million rows may need more than a file of DuckDB may use at first; a server has its own limits."""
    home.relation(rows(1))
    find, failed = relation.find, []

    def once(*given: Any, **named: Any) -> Any:
        if not failed:
            failed.append(True)
            raise OutOfMemory("no room")
        return find(*given, **named)

    monkeypatch.setattr(relation, "find", once)
    done = home.push()
    assert (done.error is None) == home.database.setting.startswith("duckdb")
