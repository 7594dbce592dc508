"""An operation of a company's own: that of docs/operations.md, with all that a run of a plan has, and its mistakes."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from syncer import cli, operations, settings
from syncer.errors import SyncerError, UsageError
from syncer.sandbox.hubspot.model import Stage
from tests.conftest import only
from tests.operations import OperationHome, define, operation_home

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "own_operation"
FILE = EXAMPLE / "operations" / "close_stale_tickets.py"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
CLOSE, REPORT = "hubspot.close_stale_tickets", "warehouse.my_report"
WAITING, CLOSED, OPEN = "2", "4", "1"


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[OperationHome]:
    """A portal whose site has a folder with the operation of the page."""
    with operation_home(tmp_path / "home", backend) as found:
        shutil.copytree(EXAMPLE, tmp_path / "own")
        define(found.site, "tickets", "hs_object_id", type="number", field_type="number")  # a search is in its order
        define(found.site, "tickets", "hs_lastmodifieddate", type="datetime", field_type="date")
        support = found.site.store.pipelines["tickets"]["0"]
        waiting = Stage(id=WAITING, label="Waiting on contact", display_order=1, metadata={"ticketState": "OPEN"})
        found.site.store.pipelines["tickets"]["0"] = attrs.evolve(support, stages=[*support.stages, waiting])
        found.home.settings = attrs.evolve(found.home.settings, folders=(tmp_path / "own",))
        yield found


def tickets(home: OperationHome) -> list[str]:
    """Make tickets: two that nobody touched for long, one of today, one that is not waiting."""
    made = [home.ticket(hs_pipeline_stage=stage, subject="Old") for stage in (WAITING, WAITING, OPEN)]
    home.home.later(dt.timedelta(weeks=9).total_seconds())
    made.append(home.ticket(hs_pipeline_stage=WAITING, subject="New"))
    return [each.id for each in made]


def stages(home: OperationHome) -> dict[str, str | None]:
    """Return the stage of each ticket, by id."""
    return {each.id: each.properties["hs_pipeline_stage"] for each in home.live()}


def write(home: OperationHome, text: str, name: str = "close_stale_tickets") -> Path:
    """Replace the operation of the page, or put another one beside it."""
    file = home.home.settings.folders[0] / "operations" / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_page_shows_the_files_that_are_run() -> None:
    """What people paste is what these tests run; forty lines are few enough to be read."""
    for file in (FILE, EXAMPLE / "syncer.toml"):
        assert f"\n{file.read_text(encoding='utf-8')}```\n" in PAGE
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 40


def test_a_dry_run_shows_what_would_be_done(home: OperationHome) -> None:
    """Ticket, subject, before and after; nothing is written."""
    one, two, *_ = tickets(home)
    done = home.run(CLOSE, is_rehearsal=True)
    assert (done.error, done.run, done.counts.updated, done.counts.unchanged) == (None, None, 2, 1)
    first, second = home.changes(done.plan)
    assert ({first.id, second.id}, first.title) == ({one, two}, "Old")
    assert (first.fields["hs_pipeline_stage"].before, first.fields["hs_pipeline_stage"].after) == (WAITING, CLOSED)
    assert "nobody changed since 2026-03-" in home.notes(done.plan)
    assert set(stages(home).values()) == {WAITING, OPEN}


def test_it_is_carried_out_written_down_and_put_back(home: OperationHome) -> None:
    """Journal and revert are the frame's; a second run plans nothing."""
    made = tickets(home)
    before = stages(home)
    done = home.run(CLOSE)
    assert (done.error, done.counts.updated, done.exit_code) == (None, 2, 0)
    assert stages(home) == {made[0]: CLOSED, made[1]: CLOSED, made[2]: OPEN, made[3]: WAITING}
    written = home.rows("SELECT id, state FROM syncer.changes WHERE plan = ? ORDER BY id", [done.plan])
    assert written == [(id, "done") for id in sorted(made[:2])]
    assert home.rows("SELECT mapping, verb, status FROM syncer.runs WHERE run = ?", [done.run]) == [
        (CLOSE, "run", "done")
    ]
    again = home.run(CLOSE)
    assert (again.counts.updated, again.error) == (0, None)
    back = home.revert(str(done.run))
    assert (back.error, back.counts.updated, stages(home)) == (None, 2, before)


def test_what_a_search_tells_is_read_again_before_it_is_written(home: OperationHome) -> None:
    """Its index lags: a person's edit of a moment ago is not in it, nor what the run before wrote."""
    made = tickets(home)
    home.home.later()
    home.site.index_lag_s = 600
    home.site.store.update("tickets", made[0], {"hs_pipeline_stage": OPEN}, source_type="CRM_UI")
    done = home.run(CLOSE)
    assert (stages(home)[made[0]], stages(home)[made[1]], done.counts.conflicts) == (OPEN, CLOSED, 1)
    again = home.run(CLOSE)
    assert (again.counts.updated, stages(home)[made[0]]) == (0, OPEN)


def test_limits_hold(home: OperationHome) -> None:
    """They stand beside its settings, and it has not a line about them."""
    tickets(home)
    done = home.words(CLOSE, max_updates=1).run(CLOSE)
    assert (done.exit_code, done.counts.updated, set(stages(home).values())) == (4, 2, {WAITING, OPEN})
    assert home.run(CLOSE, plan=done.plan, is_forced=True).exit_code == 0


def test_its_settings_are_read(home: OperationHome) -> None:
    """What the site says goes before what it declares."""
    tickets(home)
    assert home.words(CLOSE, weeks=20).run(CLOSE).counts.updated == 0


def test_a_value_that_does_not_fit_is_a_reject(home: OperationHome) -> None:
    """A stage that the portal lacks costs no answer of the API, and says why."""
    tickets(home)
    done = home.words(CLOSE, closed="no such stage").run(CLOSE)
    assert (done.error, done.counts.rejected, done.counts.updated, done.exit_code) == (None, 2, 0, 3)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('NAME = "hubspot.close_stale_tickets"\n', "", "an operation has NAME, and this one has not"),
        ("hubspot.close_stale_tickets", "hubspot.close", "named hubspot.close: what stands behind the dot"),
        ("count(8, least=1, most=520)", "8", "declares weeks in SETTINGS, which is no Setting"),
        ('"weeks": count', '"max_updates": count', "declares max_updates in SETTINGS, which each operation has"),
        ("from syncer.values import timestamp", "import nothing", "line 8: ModuleNotFoundError"),
    ],
)
@only("duckdb", "nothing is asked")
def test_a_file_that_is_wrong_is_told_before_anything_is_tried(
    home: OperationHome, old: str, new: str, words: str
) -> None:
    """With the file: whoever wrote it must not look for the fault in syncer."""
    file = write(home, FILE.read_text(encoding="utf-8").replace(old, new))
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        home.run(CLOSE)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("own = context.values", "own = {}", 1, "line 26: unexpected KeyError. Mend the file"),
        ("STAGE: own[", "'no_such': own[", 2, "writes no_such of tickets: there is no such property"),
        ("STAGE: own[", "'createdate': own[", 2, "writes createdate of tickets: "),
        (
            'yield updated(context, KIND, ticket, {STAGE: own["closed"]})',
            "yield ticket",
            2,
            "yields Found; it is to yield",
        ),
        ("timestamp(ticket.properties[CHANGED])", "int(ticket.properties[SUBJECT])", 1, "unexpected ValueError"),
    ],
)
def test_what_goes_wrong_under_way_is_a_failed_run(
    home: OperationHome, old: str, new: str, code: int, words: str
) -> None:
    """
    Told with its file, without a value of a record; the lease is free, and nothing was written. What is wrong in the
    file is wrong usage; what it raised may be a matter of the records that it met.
    """
    tickets(home)
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    file = write(home, text.replace(old, new))
    done = home.run(CLOSE)
    assert (done.status, done.exit_code) == ("failed", code) and re.search(re.escape(words), done.error or "")
    assert (str(file) in str(done.error)) is ("writes" not in words) and "Old" not in str(done.error)
    assert home.rows("SELECT status FROM syncer.runs WHERE run = ?", [done.run]) == [("failed",)]
    write(home, text + "\n")
    assert set(stages(home).values()) == {WAITING, OPEN}


@only("duckdb", "nothing of it is the warehouse's business")
def test_a_revert_needs_only_the_file_that_made_the_plan(home: OperationHome) -> None:
    """What that one says of its target and of what stays is not to be missed; another one has no say."""
    tickets(home)
    before, done = stages(home), home.run(CLOSE)
    file, text = write(home, "import nothing\n"), FILE.read_text(encoding="utf-8")
    sys.modules.pop(f"syncer_own_operations_{file.stem}")  # as another process finds it
    with pytest.raises(UsageError, match=re.escape(f"{file}, line 1")):
        home.revert(str(done.run))
    write(home, "import nothing\n", "another")
    write(home, text)
    assert (home.revert(str(done.run)).error, stages(home)) == (None, before)


MY_REPORT = '''"""A report."""
from syncer.findings import Line

NAME, SUMMARY, COLUMNS = "warehouse.my_report", "look at something", ("n",)


def lines(context):
    yield Line(key="1", text="one", values={"n": 1})
    yield Line(key="2", text="two", values={"n": 1 / context.values.get("by", 0)})
'''


def test_a_report_that_raises_is_a_failed_run_too(home: OperationHome) -> None:
    """The next one begins anew."""
    file = write(home, MY_REPORT, "my_report")
    report = home.report(REPORT)
    assert (report.status, report.exit_code) == ("failed", 1)
    assert f"{file}, line 9: unexpected ZeroDivisionError" in str(report.error)
    assert home.rows("SELECT status FROM syncer.runs WHERE run = ?", [report.run]) == [("failed",)]


def test_wrong_settings_are_told_with_file_and_line(tmp_path: Path) -> None:
    """`syncer.toml` of the page, with a slip; and its own words, which are good."""
    folder = tmp_path / "own"
    shutil.copytree(EXAMPLE, folder)
    text = (folder / "syncer.toml").read_text(encoding="utf-8")
    operations.check_all(settings.load(variables={}, folder=folder))
    for wrong, words in (
        ("weeks = 0", "line 5: weeks in .* is 0. Choices: a whole number"),
        ("week = 6", "Did you mean weeks"),
    ):
        (folder / "syncer.toml").write_text(text.replace("weeks = 6", wrong), encoding="utf-8")
        with pytest.raises(SyncerError, match=words):
            operations.check_all(settings.load(variables={}, folder=folder))


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `syncer list` in the folder of the page."""
    shutil.copytree(EXAMPLE, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")

    def run(*arguments: str) -> str:
        assert cli.main(["list", *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_list_has_operations_behind_the_mappings(listed: Callable[..., str]) -> None:
    """Name, plan or report, and what it is for."""
    lines = listed().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("operation"))
    names = [line.split()[0] for line in lines[at + 1 :]]
    assert CLOSE in names and "warehouse.check_sizes" in names and lines[at - 1] == ""
    assert any(line.split()[:2] == [CLOSE, "plan"] and "nobody changed" in line for line in lines)


def test_list_takes_patterns_of_operations(listed: Callable[..., str]) -> None:
    """What only an operation fits shows no mapping."""
    found = json.loads(listed("warehouse.*", "--output", "json"))
    assert found["mappings"] == [] and {each["makes"] for each in found["operations"]} == {"report"}
    assert [each["operation"] for each in json.loads(listed(CLOSE, "--output", "json"))["operations"]] == [CLOSE]
    assert listed(CLOSE).splitlines()[0].split() == ["operation", "makes", "what", "it", "does"]


SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))


@pytest.mark.parametrize("name", sorted(operations.known()))
def test_the_page_has_a_section_for_each_operation_and_all_of_its_settings(name: str) -> None:
    """What is not on the page is not set."""
    declared = operations.declared_of(operations.find(name))
    assert [each for each in declared if f"`{each}`" not in SECTIONS[name]] == []
    assert f"(#{name.replace('.', '')})" in PAGE


def test_the_settings_on_the_page_are_taken(tmp_path: Path) -> None:
    """What people paste is checked as their own file is."""
    blocks = re.findall(r"^```toml(?: file=\S+)?\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    shutil.copytree(EXAMPLE, tmp_path / "own")
    for block in blocks:
        (tmp_path / "own" / "syncer.toml").write_text(block, encoding="utf-8")
        operations.check_all(settings.load(variables={}, folder=tmp_path / "own"))
