"""A part of a report that could not be looked at: it is told, and its findings of before are neither gone nor new."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import cli
from syncer.errors import SyncerError, UsageError
from syncer.findings import Report
from syncer.reports import report_shown
from tests.operations.star import FLAGS, JOINS, SIZES, Star

FLAG = "dss_current_flag CHAR(1)"


def broken(star: Star, name: str) -> None:
    """Put a view in the place of a table: it is there, and cannot be read."""
    star.rows(f"ALTER TABLE {name} RENAME TO kept")
    star.rows("CREATE TABLE dw.base (t TEXT)")
    star.rows("INSERT INTO dw.base VALUES ('secret')")
    star.rows(
        f"CREATE VIEW {name} AS SELECT CAST(t AS INTEGER) AS a_key, t AS code, t AS dss_current_flag FROM dw.base "
        "WHERE CAST(t AS INTEGER) > 0"
    )


def mended(star: Star, name: str) -> None:
    """Put the table back."""
    star.rows(f"DROP VIEW {name}")
    star.rows("DROP TABLE dw.base")
    star.rows(f"ALTER TABLE dw.kept RENAME TO {name.partition('.')[2]}")


def gone(star: Star, name: str) -> None:
    """Take a table away."""
    star.rows(f"ALTER TABLE {name} RENAME TO kept")


def back(star: Star, name: str) -> None:
    """Put it back."""
    star.rows(f"ALTER TABLE dw.kept RENAME TO {name.partition('.')[2]}")


def with_null_key(star: Star) -> str:
    """A fact with a finding."""
    star.table("dw.f", "a_key", (None,))
    star.words(JOINS, joins={"dw.f": ["a_key"]})
    return JOINS


def with_two_current(star: Star) -> str:
    """A dimension with a finding."""
    star.table("dw.f", f"code, {FLAG}", (1, "Y"), (1, "Y"))
    star.words(FLAGS, dimensions={"dw.f": "code"})
    return FLAGS


def with_no_rows(star: Star) -> str:
    """A table that became empty, after the run that knew it otherwise."""
    star.table("dw.f", "a_key", (1,))
    star.words(SIZES, tables=["dw.f"]).run(SIZES)
    star.rows("DELETE FROM dw.f")
    return SIZES


def told(report: Report) -> tuple[int, int, int, int]:
    """Return how many findings are new, gone and hidden, and how the run ends."""
    assert report.error is None
    return len(report.new), len(report.gone), len(report.hidden), report.exit_code


def standing(star: Star, operation: str) -> list[tuple[Any, ...]]:
    """Return the findings of an operation that stand, with how often they were seen."""
    query = "SELECT key, detail, times FROM syncer.findings WHERE mapping = ? ORDER BY key"
    return star.site.rows(query, [operation])


@pytest.mark.parametrize(("away", "again"), [(broken, mended), (gone, back)])
@pytest.mark.parametrize("made", [with_null_key, with_two_current, with_no_rows])
def test_a_failure_that_passes_makes_no_finding_gone_and_new_again(
    star: Star, made: Callable[[Star], str], away: Callable[..., None], again: Callable[..., None]
) -> None:
    """A view that is being rebuilt while a report runs is news; what is wrong behind it was told."""
    operation = made(star)
    assert told(star.run(operation)) == (1, 0, 0, 3)
    before = standing(star, operation)
    away(star, "dw.f")
    unseen = star.run(operation)
    assert told(unseen) == (1, 0, 1, 3) and unseen.unseen == ["dw.f"]
    assert set(before) < set(standing(star, operation))
    assert told(star.run(operation)) == (0, 0, 1, 0)
    again(star, "dw.f")
    seen = star.run(operation)
    assert told(seen) == (0, 1, 0, 0) and len(seen.findings) == 1


def test_a_finding_that_is_no_more_is_gone_once_its_part_is_looked_at(star: Star) -> None:
    """It stood only while nobody could tell."""
    with_null_key(star)
    star.run()
    broken(star, "dw.f")
    star.run()
    mended(star, "dw.f")
    star.rows("UPDATE dw.f SET a_key = 1")
    assert told(star.run()) == (0, 2, 0, 0)
    assert standing(star, JOINS) == []


def test_a_part_hides_its_own_findings_only(star: Star) -> None:
    """`dw.f` is the beginning of `dw.f2`, and no part of it."""
    for name in ("dw.f", "dw.f2"):
        star.table(name, "a_key", (None,))
    star.words(JOINS, joins={"dw.f": ["a_key"], "dw.f2": ["a_key"]}).run()
    star.rows("UPDATE dw.f2 SET a_key = 1")
    broken(star, "dw.f")
    report = star.run()
    assert (list(report.hidden), list(report.gone)) == (["dw.f.a_key"], ["dw.f2.a_key"])


def test_a_part_that_nobody_asks_for_any_more_hides_nothing(star: Star) -> None:
    """Who takes a table out of the list takes its findings with it."""
    with_null_key(star)
    star.table("dw.g", "a_key", (1,))
    star.run()
    gone(star, "dw.f")
    star.run()
    assert told(star.words(JOINS, joins={"dw.g": ["a_key"]}).run()) == (0, 2, 0, 0)


def test_a_dry_run_leaves_what_is_hidden(star: Star) -> None:
    """It is a look."""
    with_null_key(star)
    star.run()
    before = standing(star, JOINS)
    gone(star, "dw.f")
    assert told(star.run(is_rehearsal=True)) == (1, 0, 1, 3)
    assert standing(star, JOINS) == before


def test_the_line_names_what_was_not_looked_at(star: Star) -> None:
    """Each time: `nothing found` of a part that nobody saw is no news that is good."""
    joins = {f"dw.f{number}": ["a_key"] for number in range(5)}
    star.words(JOINS, joins=joins).run()
    again = star.run()
    assert again.told == "5 findings, none of them new; not looked at: dw.f0, dw.f1, dw.f2 and 2 more"
    document = report_shown.document(again)
    assert document["unseen"] == list(joins) and all(line["is_unseen"] for line in document["lines"])
    with_null_key(star)
    star.run()
    gone(star, "dw.f")
    assert star.run().told == "1 finding, all new; not looked at: dw.f (1 told before, and not looked at again)"


def test_counts_of_a_column_that_is_not_there_are_empty(star: Star, tmp_path: Path) -> None:
    """Programs that read the CSV take 0 for a count; and NULL keys that were told are neither gone nor new."""
    star.table("dw.f", "a_key, b_key", (None, 1))
    star.words(JOINS, joins={"dw.f": ["a_key", "b_key"]}).run()
    star.rows("ALTER TABLE dw.f RENAME COLUMN a_key TO z_key")
    report = star.run()
    report_shown.write(report, tmp_path / "joins.csv")
    assert [row[1:] for row in csv.reader((tmp_path / "joins.csv").open())][1:] == [
        ["dw.f", "a_key", "", ""],
        ["dw.f", "b_key", "1", "0"],
    ]
    assert told(report) == (1, 0, 1, 3)
    star.rows("ALTER TABLE dw.f RENAME COLUMN z_key TO a_key")
    assert told(star.run()) == (0, 1, 0, 0)


# A setting without which nothing can be looked at.


@pytest.mark.parametrize("operation", [JOINS, SIZES, FLAGS])
def test_a_list_that_nobody_set_is_told_before_anything_runs(star: Star, operation: str) -> None:
    """The file is wrong, and no run would mend it: exit 2, no row of a run, and no [notify] each night."""
    with pytest.raises(UsageError, match="docs/operations.md") as refused:
        star.run(operation)
    assert refused.value.exit_code == 2
    with pytest.raises(UsageError):
        star.run(operation, is_rehearsal=True)
    assert star.site.rows("SELECT 1 FROM information_schema.tables WHERE table_schema = 'syncer'") == []


def test_the_verb_ends_with_2_where_a_list_is_not_set(
    star: Star, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for any other mistake in `syncer.toml`."""
    monkeypatch.chdir(star.site.folder)
    monkeypatch.setenv("SYNCER_WAREHOUSE", star.site.settings.warehouse)
    monkeypatch.setenv("SYNCER_CACHE", str(star.site.folder / "cache"))
    assert [cli.main(["run", each]) for each in (JOINS, SIZES, FLAGS)] == [2, 2, 2]
    assert "has no tables to count" in capsys.readouterr().err


# An operation of a company's own.

OWN = '''"""Look at what a company has."""
from syncer.errors import SyncerError, UsageError
from syncer.findings import Line, Unseen

NAME, SUMMARY, COLUMNS = "warehouse.mine", "look at what we have", ("part",)


def check(values, *, settings, mappings):
    {check}


def lines(context):
    yield Line(key="a", text="a: not looked at", is_finding=False, unseen=Unseen(part="a", beginning="a "))
'''


def own(star: Star, check: str) -> None:
    """Write an operation of a company's own, whose check does so."""
    folder = star.site.folder / "own"
    (folder / "operations").mkdir(parents=True, exist_ok=True)
    (folder / "operations" / "mine.py").write_text(OWN.replace("{check}", check), encoding="utf-8")
    star.site.settings = attrs.evolve(star.site.settings, folders=(folder,))


def test_what_an_own_report_could_not_look_at_is_a_finding(star: Star) -> None:
    """Whoever writes it need not think of it: what nobody saw never is a measurement."""
    own(star, "return None")
    report = star.run("warehouse.mine")
    assert (report.told, report.exit_code) == ("1 finding, all new; not looked at: a", 3)


@pytest.mark.parametrize(("check", "code"), [('raise UsageError("set part")', 2), ("raise KeyError(1)", 1)])
def test_what_an_own_check_of_settings_raises_is_told_before_anything_runs(star: Star, check: str, code: int) -> None:
    """What it refuses is wrong usage; what it did not mean to raise is told with its file, without the text."""
    own(star, check)
    with pytest.raises(SyncerError, match="set part|mine.py, line") as refused:
        star.run("warehouse.mine")
    assert refused.value.exit_code == code
