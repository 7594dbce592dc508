"""A column of a relation that becomes another type: what it holds now is compared, and a hash tells it."""

from __future__ import annotations

import pytest

from tests.outbound import KEY, PushHome
from tests.outbound.test_types_of_columns import make

DUCKDB = (
    ("size", "DECIMAL(10,2)", "1.50", "BIGINT", "150", "150"),
    ("size", "DECIMAL(10,2)", "1.50", "DECIMAL(10,1)", "15.0", "15"),
    ("size", "DECIMAL(10,2)", "1.50", "DECIMAL(12,3)", "0.150", "0.15"),
    ("tier", "ENUM('gold','silver')", "'gold'", "ENUM('silver','gold')", "'silver'", "silver"),
    ("phone", "VARCHAR COLLATE NOCASE", "'Abc'", "VARCHAR COLLATE NOCASE", "'aBC'", "aBC"),
    ("phone", "BOOLEAN", "TRUE", "INTEGER", "1", "1"),
    ("phone", "DATE", "'1970-01-02'", "INTEGER", "1", "1"),
    ("phone", "VARCHAR[]", "['a']", "VARCHAR", "'a'", "a"),
    ("phone", "VARCHAR[][]", "[['a'],['b']]", "VARCHAR[][]", "[['a','b']]", '[["a","b"]]'),
    ("phone", "MAP(TEXT,TEXT)", "MAP{'a':'b'}", "MAP(TEXT,TEXT)", "MAP{'b':'a'}", '{"b":"a"}'),
    ("phone", "STRUCT(a TEXT)", "{'a':'x'}", "STRUCT(b TEXT)", "{'b':'x'}", '{"b":"x"}'),
    ("phone", "INTERVAL", "INTERVAL 1 MONTH", "INTERVAL", "INTERVAL 30 DAY", "30 days"),
    ("phone", "TIMESTAMP", "'2020-01-01'", "BIGINT", "1577836800000000", "1577836800000000"),
)
POSTGRESQL = (
    ("size", "numeric(10,2)", "1.50", "bigint", "150", "150"),
    ("phone", "boolean", "TRUE", "integer", "1", "1"),
    ("phone", "date", "'2000-01-02'", "bigint", "1", "1"),
    ("phone", "timestamp", "'2020-01-01'", "bigint", "631152000000000", "631152000000000"),
    ("phone", "text[]", "ARRAY['a,b']", "text[]", "ARRAY['a','b']", "{a,b}"),
    ("phone", "text", "'t'", "boolean", "TRUE", "true"),
    ("phone", "interval", "'1 month'", "interval", "'30 days'", "P30D"),
)
CASES = [("duckdb", *case) for case in DUCKDB] + [("postgresql", *case) for case in POSTGRESQL]


@pytest.mark.parametrize(("backend", "name", "type", "value", "other", "now", "expected"), CASES, indirect=["backend"])
def test_a_value_of_another_type_is_written(
    home: PushHome, name: str, type: str, value: str, other: str, now: str, expected: str
) -> None:
    """Two values of two types that an engine keeps by the same bytes once counted as unchanged, for ever."""
    key, words = (KEY, "text", "'1'"), ("name", "text", "'n'")
    make(home, key, words, (name, type, value))
    assert home.push().counts.created == 1
    make(home, key, words, (name, other, now))
    assert home.push().counts.updated == 1
    assert home.company("1").properties[name] == expected


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_letters_that_a_collation_takes_for_the_same_are_written(home: PushHome) -> None:
    """The server's hash of a text goes by its column's collation, and people read letters."""
    home.rows("CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = FALSE)")
    key, words, type = (KEY, "text", "'1'"), ("name", "text", "'n'"), "text COLLATE no_case"
    make(home, key, words, ("phone", type, "'Abc'"))
    assert home.push().counts.created == 1
    make(home, key, words, ("phone", type, "'aBC'"))
    assert home.push().counts.updated == 1
    assert home.company("1").properties["phone"] == "aBC"
    assert home.push().counts.unchanged == 1


@pytest.mark.parametrize(
    ("backend", "type", "other"),
    [
        ("duckdb", "ENUM('gold','silver')", "ENUM('silver','gold')"),
        ("duckdb", "VARCHAR", "ENUM('gold')"),
        ("duckdb", "ENUM('gold')", "VARCHAR"),
        ("postgresql", "text", "varchar(10)"),
    ],
    indirect=["backend"],
)
def test_an_equal_value_of_another_type_costs_no_request(home: PushHome, type: str, other: str) -> None:
    """The rows differ by their hash once, are as agreed, and their hashes move."""
    key, words = (KEY, "text", "'1'"), ("name", "text", "'n'")
    make(home, key, words, ("tier", type, "'gold'"))
    home.push()
    make(home, key, words, ("tier", other, "'gold'"))
    home.sent()
    done = home.push()
    assert (done.counts.unchanged, done.counts.updated) == (1, 0)
    assert not [each for each in home.sent() if "/batch/" in each], "no record is asked for"
    before = home.rows("SELECT row_hash FROM syncer.snapshots")
    home.push()
    assert home.rows("SELECT row_hash FROM syncer.snapshots") == before


@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
def test_a_snapshot_with_hashes_of_an_older_make_is_looked_at_once_without_a_request(
    home: PushHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such rows are read from the warehouse, are as agreed, and nobody is asked about them."""
    home.relation([{KEY: str(at), "name": f"n{at}", "phone": str(at)} for at in range(30)])
    with monkeypatch.context() as patch:  # as hashes were made without types
        patch.setattr("syncer.duckdbhash.Mapping", type("Nothing", (), {}))
        assert home.push().counts.created == 30
    home.sent()
    done = home.push()
    assert (done.counts.unchanged, done.counts.updated, done.exit_code) == (30, 0, 0)
    assert not [each for each in home.sent() if "/batch/" in each]
    names = home.rows("SELECT DISTINCT SUBSTR(row_hash, 1, 9) FROM syncer.snapshots")
    assert len(names) == 1
    equal = home.rows("SELECT unchanged_rows FROM syncer.plans WHERE plan = ?", [done.plan])
    assert equal == [(0,)], "all rows are read once"
    planned = home.push(is_rehearsal=True)
    equal = home.rows("SELECT unchanged_rows FROM syncer.plans WHERE plan = ?", [planned.plan])
    assert equal == [(30,)], "their hashes moved: the next push reads none of them"
