"""Names of tables: each is written so that it is read as the same one, and one that is gone is told by its name."""

from __future__ import annotations

import json
import string

import hypothesis
import pytest
from hypothesis import strategies

from syncer import counting
from syncer.counting import Name
from tests.operations.star import FLAGS, JOINS, SIZES, Star

PIECES = [
    "dw",
    "Fact",
    " ",
    "\t",
    "\n",
    "*",
    "?",
    '"',
    '""',
    "'",
    ".",
    "[",
    "]",
    "[a-z]",
    "%",
    "\\",
    "É",
    "select",
    "",
]
parts = strategies.lists(strategies.sampled_from(PIECES), max_size=4).map("".join) | strategies.text(max_size=8)
plain = strategies.text(string.ascii_lowercase + string.digits + "_", min_size=1)
ODD = [" lead", "trail ", "a*b", "a?b", 'a"b', '"', "a.b", "[a]", "*", "it's", " ", "a\nb"]


@hypothesis.given(parts, parts)
@hypothesis.example("dw", " lead")
@hypothesis.example("dw", "")
@hypothesis.example(" ", "*")
def test_a_table_that_is_there_is_written_as_it_is_read(schema: str, table: str) -> None:
    """What a run keeps is read by the next one: no letter of it is a pattern, and none is lost."""
    name = Name.of(schema, table)
    again = counting.parse(str(name))
    assert again == name and (again.schema, again.table, again.is_pattern) == (schema, table, False)


@hypothesis.given(strategies.text() | strategies.lists(strategies.sampled_from(PIECES), max_size=8).map("".join))
@hypothesis.example(" . ")
@hypothesis.example('"a". ')
@hypothesis.example('dw*."a*b"')
@hypothesis.example('"dw"."fact"')
@hypothesis.example(" dw . fact* ")
def test_a_name_of_a_site_is_written_as_it_is_read(text: str) -> None:
    """A pattern stays one, and what was quoted is taken exactly still."""
    name = counting.parse(text)
    assert counting.parse(str(name)) == name
    assert counting.parse(str(name)).is_pattern == name.is_pattern


@hypothesis.given(plain, plain)
def test_a_plain_name_is_written_plainly(schema: str, table: str) -> None:
    """Findings of before are known by it."""
    assert str(Name.of(schema, table)) == f"{schema}.{table}"


def name_of(table: str) -> str:
    return str(Name.of("dw", table))


def quoted(table: str) -> str:
    return '"dw"."' + table.replace('"', '""') + '"'


@pytest.mark.parametrize("table", ODD)
def test_a_table_of_any_name_that_is_gone_is_told(star: Star, table: str) -> None:
    """By the name that it had, whatever the list says by now."""
    star.table(quoted(table), "n", (1,))
    star.table("dw.axb", "n", (1,))
    star.words(SIZES, tables=["dw.*"]).run(SIZES)
    again = star.run(SIZES)
    assert (again.error, again.findings) == (None, [])
    assert {line.values["count_of_last_run"] for line in again.lines} == {1}
    star.rows(f"DROP TABLE {quoted(table)}")
    report = star.words(SIZES, tables=["dw.axb"]).run(SIZES)
    assert report.error is None
    assert [line.text for line in report.findings] == [f"{name_of(table)}: not there any more, and had 1 rows"]


@pytest.mark.parametrize("table", ODD)
def test_a_table_that_is_on_the_list_no_more_and_is_there_is_not_told(star: Star, table: str) -> None:
    """Nobody asks for it."""
    star.table(quoted(table), "n", (1,))
    star.table("dw.axb", "n", (1,))
    star.words(SIZES, tables=["dw.*"]).run(SIZES)
    report = star.words(SIZES, tables=["dw.axb"]).run(SIZES)
    assert (report.error, report.findings) == (None, [])


@pytest.mark.parametrize("table", [each for each in ODD if not set(each) & set('."')])
@pytest.mark.parametrize("is_gone", [False, True])
def test_counts_that_stand_in_the_form_of_before_break_no_run(star: Star, table: str, is_gone: bool) -> None:
    """They were written without quotes: blanks and stars are letters of the table's name."""
    star.table(quoted(table), "n", (1,))
    star.table("dw.axb", "n", (1,))
    star.words(SIZES, tables=["dw.*"]).run(SIZES)
    [(counts,)] = star.site.rows("SELECT counts FROM syncer.runs")
    told = json.loads(counts)
    (kept,) = [key for key, value in told.items() if isinstance(value, dict) and name_of(table) in value]
    told[kept] = {f"dw.{table}": told[kept].pop(name_of(table)), **told[kept], "odd": 3, "dw.": 4, "": 5}
    star.site.rows("UPDATE syncer.runs SET counts = ?", [json.dumps(told)])
    if is_gone:
        star.rows(f"DROP TABLE {quoted(table)}")
    report = star.run(SIZES)
    assert report.error is None
    texts = [line.text for line in report.findings]
    assert (f"{name_of(table)}: not there any more, and had 1 rows" in texts) == is_gone
    assert {line.values["count_of_last_run"] for line in report.lines if not line.is_finding} == {1}


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_table_that_is_gone_is_told_where_another_differs_in_capitals(star: Star) -> None:
    """It is another table; in DuckDB the two are one."""
    star.table('dw."Fact"', "n", (1,))
    star.table("dw.fact", "n", (1,))
    star.words(SIZES, tables=["dw.*"]).run(SIZES)
    star.rows('DROP TABLE dw."Fact"')
    assert [line.text for line in star.run(SIZES).findings] == ["dw.Fact: not there any more, and had 1 rows"]


@pytest.mark.parametrize("table", ODD)
def test_every_check_counts_a_table_of_any_name(star: Star, table: str) -> None:
    """Named as its lines name it."""
    star.table(quoted(table), "code INTEGER, dss_current_flag CHAR(1)", (0, "Y"))
    star.words(JOINS, joins={name_of(table): ["code"]}).words(FLAGS, dimensions={name_of(table): "code"})
    for operation in (JOINS, FLAGS):
        report = star.run(operation)
        assert report.error is None and report.unseen == []
        assert [line.key for line in report.lines] == [line.key for line in star.run(operation).lines] != []
        assert name_of(table) in str(report.lines[0].values) or name_of(table) in report.lines[0].text
