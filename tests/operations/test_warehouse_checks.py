"""The checks of the warehouse: joins of facts, sizes, current flags; each finding is told as new once."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from syncer import cli, counting, sql, warehouses
from syncer.counting import Join, Name, Place
from syncer.findings import Report
from syncer.operations import Context, check_fact_dimensions
from syncer.reports import report_shown
from tests.conftest import Site, only
from tests.operations.star import FLAGS, JOINS, SIZES, Star

FACTS, KEYS = 40, 5
TODAY = dt.date(2026, 3, 1).isoformat()


def cells(report: Report) -> list[tuple[Any, ...]]:
    """Return the values of all lines, without the date."""
    return [tuple(line.values.get(name) for name in report.columns[1:]) for line in report.lines]


def texts(report: Report) -> list[str]:
    """Return what the findings say."""
    return [line.text for line in report.findings]


# The joins of facts.


def test_zero_keys_are_counted_by_fact_and_key(star: Star) -> None:
    """0 stands for no row of the dimension; a fact without keys has one line, as its CSV always had."""
    star.table("dw.fact_call", "a_key, b_key", (0, 1), (0, 0), (7, 2))
    star.table("dw.fact_note", "n", (1,), (2,))
    report = star.words(JOINS, joins={"dw.fact_call": ["a_key", "b_key"], "dw.fact_note": []}).run()
    assert cells(report) == [
        ("dw.fact_call", "a_key", 3, 2),
        ("dw.fact_call", "b_key", 3, 1),
        ("dw.fact_note", None, 2, None),
    ]
    assert (report.findings, report.exit_code, report.error) == ([], 0, None)


def test_the_csv_has_five_columns_and_an_empty_cell_for_none(star: Star, tmp_path: Path) -> None:
    """Others read these columns; what NULL keys there are stands in the text and the JSON only."""
    star.table("dw.fact_call", "a_key", (0,), (None,))
    star.table("dw.fact_note", "n", (1,))
    report = star.words(JOINS, joins={"dw.fact_call": ["a_key"], "dw.fact_note": []}).run()
    report_shown.write(report, tmp_path / "joins.csv")
    assert list(csv.reader((tmp_path / "joins.csv").open())) == [
        ["date", "table", "attribute", "count_of_all_records", "count_of_0_key_records"],
        [TODAY, "dw.fact_call", "a_key", "2", "1"],
        [TODAY, "dw.fact_note", "", "1", ""],
    ]
    assert report_shown.document(report)["lines"][0]["values"]["count_of_null_key_records"] == 1


def test_40_facts_with_200_keys_take_one_query_each_and_findings_are_new_once(
    star: Star, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact of a billion rows is read once, however many keys it has; a daily run tells what is wrong once."""
    keys = [f"dim_{number}_key" for number in range(KEYS)]
    for number in range(FACTS):
        star.table(f"dw.fact_{number:02}", ", ".join(keys), [0] * KEYS, range(KEYS))
    star.rows("INSERT INTO dw.fact_07 (dim_0_key) VALUES (3)")
    star.words(JOINS, joins={"dw.fact_*": ["dim_*_key"]})
    asked: list[str] = []
    rendered = sql.Statement.sql
    monkeypatch.setattr(
        sql.Statement, "sql", lambda self, dialect: (asked.append(self.text), rendered(self, dialect))[1]
    )
    first, second = star.run(), star.run()
    assert len(first.lines) == len(second.lines) == FACTS * KEYS == 200
    for number in range(FACTS):
        assert sum(f'"dw"."fact_{number:02}"' in each for each in asked) == 2, "one in each of two runs"
    assert (len(first.new), first.exit_code, len(second.findings), len(second.new), second.exit_code) == (
        4,
        3,
        4,
        0,
        0,
    )


def test_a_null_key_is_a_finding_that_stays_one_while_its_count_moves(star: Star) -> None:
    """NULL is no key, not even none; a count that grows each day must not be news each day."""
    star.table("dw.fact_call", "a_key", (None,), (0,), (1,))
    star.words(JOINS, joins={"dw.fact_call": ["a_key"]})
    first = star.run()
    star.rows("INSERT INTO dw.fact_call VALUES (NULL)")
    second = star.run()
    star.rows("UPDATE dw.fact_call SET a_key = 1")
    third = star.run()
    assert texts(first) == ["dw.fact_call.a_key: 1 of 3 rows have 0, and 1 have NULL"]
    assert texts(second) == ["dw.fact_call.a_key: 1 of 4 rows have 0, and 2 have NULL"]
    assert [len(each.new) for each in (first, second, third)] == [1, 0, 0]
    assert (third.findings, third.gone) == ([], ["dw.fact_call.a_key"])


def test_a_dry_run_leaves_findings_new(star: Star) -> None:
    """It is a look, and somebody is still to be told."""
    star.table("dw.fact_call", "a_key", (None,))
    star.words(JOINS, joins={"dw.fact_call": ["a_key"]})
    assert [len(star.run(is_rehearsal=each).new) for each in (True, True, False, False)] == [1, 1, 1, 0]


@pytest.mark.parametrize(("most", "found"), [("off", 0), (0.7, 0), (0.5, 1)])
def test_more_zeros_than_a_site_lets_pass_are_a_finding(star: Star, most: float | str, found: int) -> None:
    """Some facts have no customer, and that is right; most of them have one."""
    star.table("dw.fact_call", "a_key", (0,), (0,), (1,))
    report = star.words(JOINS, joins={"dw.fact_call": ["a_key"]}, max_zero_share=most).run()
    assert len(report.findings) == found
    if found:
        assert texts(report) == ["dw.fact_call.a_key: 2 of 3 rows have 0: more than max_zero_share = 50%"]


def test_what_is_not_there_is_told_and_the_rest_is_counted(star: Star) -> None:
    """One wrong line of a list of 200 costs one line: a table, a column, a schema, a pattern without a table."""
    star.table("dw.fact_call", "a_key", (0,))
    joins = {
        "dw.gone": ["a", "b"],
        "fact_call": ["a"],
        "dw.fact_call": ["nope", "a_key"],
        "dw.none_*": [],
        "a.b.c": [],
    }
    report = star.words(JOINS, joins=joins).run()
    assert cells(report) == [
        ("dw.gone", None, None, None),
        ("fact_call", None, None, None),
        ("dw.fact_call", "nope", None, None),
        ("dw.fact_call", "a_key", 1, 1),
        ("dw.none_*", None, None, None),
        ("a.b.c", None, None, None),
    ]
    assert texts(report) == [
        "dw.gone: there is no table dw.gone",
        "fact_call: the table fact_call is named without its schema, or as no SCHEMA.TABLE",
        "dw.fact_call.nope: dw.fact_call has no such column",
        "dw.none_*: no table is called dw.none_*",
        "a.b.c: the table a.b.c is named without its schema, or as no SCHEMA.TABLE",
    ]
    assert (len(report.new), report.exit_code, report.error) == (5, 3, None)


def test_a_view_that_leads_nowhere_is_told(star: Star, backend: str) -> None:
    """The warehouse refuses it when it is read; the other tables are counted, and no value is repeated."""
    star.table("dw.base", "t TEXT", ("secret",))
    star.rows("CREATE VIEW dw.broken AS SELECT CAST(t AS INTEGER) AS a_key FROM dw.base")
    star.rows("CREATE VIEW dw.whole AS SELECT 0 AS a_key FROM dw.base")
    report = star.words(JOINS, joins={"dw.broken": ["a_key"], "dw.whole": ["a_key"]}).run()
    assert cells(report) == [("dw.broken", None, None, None), ("dw.whole", "a_key", 1, 1)]
    [text] = texts(report)
    assert text.startswith("dw.broken: it could not be read: ") and "secret" not in text


def test_names_with_quotes_blanks_and_capitals(star: Star) -> None:
    """Names are quoted: nobody's column is a statement."""
    star.rows('CREATE SCHEMA "My.Dw"')
    star.rows('CREATE TABLE "My.Dw"."Fact ""x"" call" ("Dim Key" INTEGER, "or""der" INTEGER)')
    star.rows('INSERT INTO "My.Dw"."Fact ""x"" call" VALUES (0, 1)')
    joins = {'"My.Dw"."Fact ""x"" call"': ["Dim Key", 'or"der']}
    report = star.words(JOINS, joins=joins).run()
    name = '"My.Dw"."Fact ""x"" call"'
    assert cells(report) == [(name, "Dim Key", 1, 1), (name, 'or"der', 1, 0)]


@pytest.mark.parametrize("keys", [["*"], ["ÉTÉ_Key"]])
def test_capitals_that_are_not_ascii_are_a_columns_own(star: Star, keys: list[str]) -> None:
    """DuckDB and PostgreSQL take `É` for another letter than `é`, whatever they make of `E`."""
    star.table('dw."FACT É"', '"ÉTÉ_Key"', (0,), (1,))
    star.words(JOINS, joins={'dw."FACT É"': keys})
    found = star.run()
    ((attribute, count),) = [(each.values["attribute"], each.values["count_of_0_key_records"]) for each in found.lines]
    assert (str(attribute).casefold(), count) == ("été_key", 1)


def test_other_letters_find_a_table_unless_two_are_called_so(star: Star, backend: str) -> None:
    """A repository says FACT_CALL, the warehouse fact_call; where both are there, nobody guesses."""
    star.table('dw."Fact_Call"', '"A_Key"', (0,))
    star.words(JOINS, joins={"DW.FACT_CALL": ["a_key"]})
    assert cells(star.run()) == [("dw.Fact_Call", "a_key", 1, 1)]
    if backend == "postgresql":
        star.table('dw."fact_CALL"', "a_key", (0,))
        [text] = texts(star.run())
        assert '"dw"."Fact_Call"' in text and text.endswith(": quote it")


@pytest.mark.parametrize("kind", ["TEXT", "SMALLINT", "BIGINT", "DECIMAL(9,2)", "DOUBLE PRECISION", "CHAR(1)"])
def test_a_key_of_any_type_is_counted(star: Star, kind: str) -> None:
    """A key may be a text; comparing that with a number is refused by some warehouses."""
    star.table("dw.fact_call", f"a_key {kind}")
    other = "x" if kind in ("TEXT", "CHAR(1)") else "1"
    star.rows(f"INSERT INTO dw.fact_call VALUES ('0'), ('{other}'), (NULL)")
    report = star.words(JOINS, joins={"dw.fact_call": ["a_key"]}).run()
    assert cells(report) == [("dw.fact_call", "a_key", 3, 1)]


def test_a_key_that_is_named_twice_is_counted_once(star: Star) -> None:
    """Once by its name in other letters, once by a pattern; so is a fact."""
    star.table("dw.fact_call", "a_key, b_key", (0, 1))
    report = star.words(JOINS, joins={"dw.fact_call": ["A_KEY"], "dw.fact_*": ["*_key"], "dw.FACT_CALL": []}).run()
    assert cells(report) == [("dw.fact_call", "A_KEY", 1, 1), ("dw.fact_call", "b_key", 1, 0)]


def test_joins_are_read_from_a_table_of_the_warehouse(star: Star) -> None:
    """40 facts and 200 keys may stand in a repository already; a row without a key is a fact without."""
    star.table("dw.fact_call", "a_key, b_key", (0, 1))
    star.table("dw.fact_note", "n", (1,))
    star.table("dw.joins", "fact TEXT, key TEXT", ("dw.fact_call", "b_key"), ("dw.fact_call", "a_key"))
    star.rows("INSERT INTO dw.joins VALUES ('dw.fact_note', NULL), (NULL, 'x')")
    report = star.words(JOINS, joins_from="dw.joins").run()
    assert sorted(cells(report), key=str) == [
        ("", None, None, None),
        ("dw.fact_call", "a_key", 1, 1),
        ("dw.fact_call", "b_key", 1, 0),
        ("dw.fact_note", None, 1, None),
    ]


@pytest.mark.parametrize("words", [{"joins_from": "dw.nothing"}, {"joins_from": "dw.dim"}])
def test_a_list_that_is_not_there_is_a_failed_run(star: Star, words: dict[str, str]) -> None:
    """A report of nothing looks like one that found nothing; only the warehouse knows, and tomorrow has it."""
    star.table("dw.dim", "a")
    report = star.words(JOINS, **words).run()
    assert (report.status, report.exit_code) == ("failed", 2) and "joins_from" in (report.error or "")


def test_a_host_hands_over_its_own_list(star: Star) -> None:
    """A repository's list may lack a schema: that line is told, and nothing crashes."""
    star.table("dw.fact_call", "a_key", (0,))
    warehouse = warehouses.find(star.site.settings, clock=star.site.clock)
    values = {"max_zero_share": "off"}
    context = Context(
        name=JOINS, values=values, environment="default", now=star.site.clock.now(), settings=star.site.settings,
        warehouse=warehouse,
    )  # fmt: skip
    joins = [Join(Name(None, "fact_call"), "a_key"), Join(Name("dw", "fact_call"), "a_key")]
    found = list(check_fact_dimensions.checked(context, joins))
    warehouse.close()
    assert [line.is_finding for line in found] == [True, False]


@only("duckdb", "nothing is asked")
@pytest.mark.parametrize(
    "value", [["dw.f"], {"dw": {"f": ["a"]}}, {"dw.f": "a"}, {"dw.f": [1]}, {"dw.f": {"a": 1}}, {"": ["a"]}, 7]
)
def test_joins_of_another_form_are_refused(value: Any, backend: str) -> None:
    """A table that is not quoted becomes two in TOML."""
    assert not counting.is_joins(value)


# Sizes.


def test_sizes_have_a_line_a_table_and_what_was_there(star: Star) -> None:
    """The tables are those of the joins where nobody names others."""
    star.table("dw.fact_call", "dim_who_key", (1,), (2,))
    star.table("dw.dim_who", "dim_who_key", (1,))
    star.words(JOINS, joins={"dw.fact_call": {"dim_who_key": "dw.dim_who"}})
    first = star.run(SIZES)
    star.rows("INSERT INTO dw.dim_who VALUES (2)")
    second = star.run(SIZES)
    assert cells(first) == [("dw.fact_call", 2, None), ("dw.dim_who", 1, None)]
    assert cells(second) == [("dw.fact_call", 2, 2), ("dw.dim_who", 2, 1)]
    assert (bool(first.notes), second.notes, first.exit_code, second.exit_code) == (True, (), 0, 0)


def test_a_table_that_became_empty_is_a_finding_until_it_is_filled(star: Star) -> None:
    """It is told once, and is no measurement meanwhile; one that never had rows is none."""
    star.table("dw.a", "n", (1,), (2,))
    star.table("dw.b", "n")
    star.words(SIZES, tables=["dw.*"])
    reports = [star.run(SIZES)]
    star.rows("DELETE FROM dw.a")
    reports += [star.run(SIZES), star.run(SIZES)]
    star.rows("INSERT INTO dw.a VALUES (1)")
    reports += [star.run(SIZES)]
    assert [texts(each) for each in reports] == [[], *[["dw.a: empty, and had 2 rows"]] * 2, []]
    assert [len(each.new) for each in reports] == [0, 1, 0, 0]


def test_a_table_that_lost_a_share_is_told_and_is_then_what_is_compared_with(star: Star) -> None:
    """Each loss is news; a few rows of few are no share."""
    star.table("dw.a", "n", *[(n,) for n in range(20)])
    star.table("dw.few", "n", (1,), (2,), (3,))
    star.words(SIZES, tables=["dw.a", "dw.few"], max_lost_share=0.4)
    star.run(SIZES)
    reports = []
    for left in (12, 7, 7, 4):
        star.rows(f"DELETE FROM dw.a WHERE n >= {left}")
        star.rows("DELETE FROM dw.few WHERE n > 1")
        reports.append(star.run(SIZES))
    lost = ["dw.a: 7 rows, and had 12: 42% are gone, and max_lost_share is 40%"]
    assert [texts(each) for each in reports] == [[], lost, [], []]


def test_a_dry_run_is_not_what_the_next_one_compares_with(star: Star) -> None:
    """It keeps nothing."""
    star.table("dw.a", "n", (1,), (2,))
    star.words(SIZES, tables=["dw.a"]).run(SIZES)
    star.rows("DELETE FROM dw.a")
    assert [len(star.run(SIZES, is_rehearsal=each).new) for each in (True, True, False)] == [1, 1, 1]


def test_a_table_that_is_gone_is_told(star: Star) -> None:
    """A pattern would not miss it; one that a person named is missed by itself, and compared when it is back."""
    star.table("dw.a", "n", (1,))
    star.table("dw.b", "n", (1,))
    star.words(SIZES, tables=["dw.*"]).run(SIZES)
    star.rows("DROP TABLE dw.a")
    by_pattern = star.run(SIZES)
    star.words(SIZES, tables=["dw.b"])
    star.rows("DROP TABLE dw.b")
    by_name = star.run(SIZES)
    star.table("dw.b", "n")
    back = star.run(SIZES)
    assert texts(by_pattern) == ["dw.a: not there any more, and had 1 rows"]
    assert texts(by_name) == ["dw.b: there is no table dw.b"]
    assert texts(back) == ["dw.b: empty, and had 1 rows"]


# Current flags.


def test_each_business_key_has_one_current_row(star: Star) -> None:
    """Several count facts twice, none loses them; what is told are counts, never a key."""
    rows = [("a", "Y"), ("a", "N"), ("b", "Y"), ("b", "Y"), ("c", "N"), ("c", None), ("d", "N"), (None, "Y")]
    star.table("dw.dim_who", "code TEXT, dss_current_flag CHAR(1)", *rows)
    star.table("dw.dim_ok", "code TEXT, dss_current_flag CHAR(1)", ("a", "Y"), ("a", "N"))
    star.words(FLAGS, dimensions={"dw.dim_who": ["code"], "dw.dim_ok": "code"})
    first, second = star.run(FLAGS), star.run(FLAGS)
    assert cells(first) == [("dw.dim_who", 8, 5, 1, 2), ("dw.dim_ok", 2, 1, 0, 0)]
    assert texts(first) == ["dw.dim_who: of 5 keys 1 have several current rows, 2 have none"]
    assert [len(each.new) for each in (first, second)] == [1, 0]


def test_flag_and_its_value_are_settings_and_a_key_may_be_several_columns(star: Star) -> None:
    """Not every warehouse says Y."""
    star.table("dw.d", "a, b, is_now BOOLEAN", (1, 1, True), (1, 2, True), (1, 2, False), (2, 1, False))
    report = star.words(FLAGS, dimensions={"dw.d": ["a", "b"]}, flag="is_now", current="true").run(FLAGS)
    assert cells(report) == [("dw.d", 4, 3, 0, 1)]


def test_a_pattern_passes_by_dimensions_without_a_flag(star: Star) -> None:
    """They have no history; one that is named was meant to have one. An exact name goes before a pattern."""
    flag = "dss_current_flag CHAR(1)"
    star.table("dw.dim_date", "day")
    star.table("dw.dim_who", f"code, {flag}", (1, "Y"))
    star.table("dw.dim_what", f"number, {flag}", (1, "Y"))
    report = star.words(FLAGS, dimensions={"dw.dim_*": ["code"], "dw.dim_what": ["number"]}).run(FLAGS)
    assert cells(report) == [("dw.dim_what", 1, 1, 0, 0), ("dw.dim_who", 1, 1, 0, 0)]
    wrong = star.words(FLAGS, dimensions={"dw.dim_date": ["day"], "dw.gone": ["x"], "dw.dim_who": ["y"]}).run(FLAGS)
    assert texts(wrong) == [
        "dw.dim_date: there is no column dss_current_flag",
        "dw.gone: there is no table dw.gone",
        "dw.dim_who: there is no column y",
    ]


def test_an_empty_dimension_has_no_keys(star: Star) -> None:
    """A sum over nothing is NULL."""
    star.table("dw.d", "code, dss_current_flag CHAR(1)")
    assert cells(star.words(FLAGS, dimensions={"dw.d": "code"}).run(FLAGS)) == [("dw.d", 0, 0, 0, 0)]


# What another dialect makes of the queries.


def test_the_queries_are_written_for_t_sql_too() -> None:
    """Names in brackets, counts that hold more than two thousand million rows."""
    place = Place(name=Name("dw", 'fact "x"'), columns=("a b", "t"), numbers=frozenset({"a b"}))
    zeros = sql.statement(counting.zero_query(place, ["a b", "t"])).sql("tsql")
    flags = sql.statement(counting.flag_query(place, ["t"], "a b")).sql("tsql")
    assert '[dw].[fact "x"]' in zeros and "r.[a b] = 0" in zeros and "COUNT(" not in zeros + flags
    assert sqlglot.parse_one(zeros, read="tsql") and sqlglot.parse_one(flags, read="tsql")


class _Stream(io.StringIO):
    """No terminal."""


def test_what_sqlglot_makes_of_the_queries_finds_the_same(star: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed and written anew, each of them still means what it meant."""
    star.table("dw.fact_call", "a_key, b_key TEXT", (0, "0"), (None, "1"))
    star.table("dw.dim_who", "code, dss_current_flag CHAR(1)", (1, "Y"), (1, "Y"), (2, "N"))
    star.table("dw.joins", "fact TEXT, key TEXT", ("dw.fact_call", "*_key"))
    star.words(JOINS, joins_from="dw.joins").words(SIZES, tables=["dw.*"]).words(
        FLAGS, dimensions={"dw.dim_*": "code"}
    )
    written = [cells(star.run(each, is_rehearsal=True)) for each in (JOINS, SIZES, FLAGS)]
    used: list[str] = []

    def always(self: sql.Statement, dialect: str) -> str:
        used.append(self.text)
        return sqlglot.parse_one(self.text, read="duckdb").sql(dialect=dialect).replace("%s", "?")

    monkeypatch.setattr(sql.Statement, "sql", always)
    assert [cells(star.run(each, is_rehearsal=True)) for each in (JOINS, SIZES, FLAGS)] == written
    assert any("dss_current_flag" in each for each in used) and len(written[0]) == 2


def test_a_report_of_many_lines_is_short_on_a_terminal(make_site: Callable[..., Site]) -> None:
    """The CSV has all; what is wrong comes with its text."""
    site = make_site()
    site.rows("CREATE SCHEMA dw")
    star = Star(site)
    star.table("dw.f", ", ".join(f"k{n}" for n in range(60)), [None] + [0] * 59)
    shown = list(report_shown.lines(star.words(JOINS, joins={"dw.f": ["k*"]}).run(), _Stream()))
    assert "  … and 9 more: --report FILE.csv has all of them." in shown and "1 finding, new" in shown


@only("duckdb", "nothing is asked")
def test_a_run_without_news_is_one_line_unless_somebody_watches(star: Star, backend: str) -> None:
    """A scheduler would send the same table to somebody each night; the file and JSON have it."""
    star.table("dw.f", "a, b", (None, 0))
    star.words(JOINS, joins={"dw.f": ["a", "b"]})
    first, second, dry = star.run(), star.run(), star.run(is_rehearsal=True)
    told = [list(report_shown.lines(each, _Stream())) for each in (first, second, dry)]
    assert [len(each) > 5 for each in told] == [True, False, True]
    assert len(told[1]) == 1 and "1 finding, none of them new" in told[1][0]


@only("duckdb", "the verb is the same")
def test_the_verb_writes_the_csv_and_ends_with_3_once(
    star: Star, backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options of plans are refused, before anything is read."""
    star.table("dw.f", "a", (None,))
    folder = star.site.folder
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SYNCER_WAREHOUSE", star.site.settings.warehouse)
    monkeypatch.setenv("SYNCER_CACHE", str(folder / "cache"))
    (folder / "syncer.toml").write_text(f'["{JOINS}".joins]\n"dw.f" = ["a"]\n', encoding="utf-8")
    assert [cli.main(["run", JOINS, "--report", "j.csv"]) for _ in range(2)] == [3, 0]
    assert len((folder / "j.csv").read_text(encoding="utf-8").splitlines()) == 2
    assert "dw.f.a: 0 of 1 rows have 0, and 1 have NULL" in capsys.readouterr().out
    assert [cli.main(["run", JOINS, *wrong]) for wrong in (["--report", "j.html"], ["--plan", "x"], ["--force"])] == [
        2
    ] * 3
    assert cli.main(["run", JOINS, "--output", "json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["report"]["lines"][0]["values"]["count_of_null_key_records"] == 1
