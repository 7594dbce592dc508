"""`[journal] keep_days`: values that were written stand in the journal so long, and counts for good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import aging, cli, configfile, executing, plans, reverting, settings, snapshots, sql
from syncer.aging import Aged
from syncer.errors import UsageError
from syncer.plans import Header
from tests.outbound import PushHome

DAY = 86_400.0


def age(home: PushHome, keep_days: int | None = 90) -> Aged:
    warehouse = home.warehouse()
    try:
        with warehouse.transaction() as t:
            return aging.age(t, keep_days=keep_days, now=home.clock.now())
    finally:
        warehouse.close()


def is_aged(home: PushHome, run: str | None) -> bool:
    warehouse = home.warehouse()
    try:
        with warehouse.transaction() as t:
            return aging.is_aged(t, run or "")
    finally:
        warehouse.close()


def counted(home: PushHome) -> tuple[int, ...]:
    """How many plans, changes, rows and conflicts there are."""
    tables = ("plans", "changes", "plan_rows", "conflicts")
    return tuple(home.rows(f"SELECT COUNT(*) FROM syncer.{name}")[0][0] for name in tables)


def rows(*phones: str) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"C{number}", "phone": phone} for number, phone in enumerate(phones)]


def test_what_a_run_wrote_is_deleted_after_so_many_days(home: PushHome) -> None:
    """And not a day before; its counts, and that it was a run of this plan, stay."""
    home.relation(rows("1", "2"))
    done = home.push()
    counts = home.rows("SELECT read, counts FROM syncer.runs")
    home.clock.advance(89 * DAY)
    assert (age(home), counted(home), is_aged(home, done.run)) == (Aged(), (1, 2, 2, 0), False)
    home.clock.advance(2 * DAY)
    assert age(home) == Aged(changes=2, plan_rows=2)
    assert (counted(home), is_aged(home, done.run)) == ((1, 0, 0, 0), True)
    assert home.rows("SELECT read, counts FROM syncer.runs") == counts
    assert home.rows("SELECT state, checksum FROM syncer.plans") == [("aged", done.checksum)]
    assert age(home) == Aged()  # once


def test_the_snapshot_does_not_age(home: PushHome) -> None:
    """What both sides agreed on is no journal: the next push has nothing to do."""
    home.relation(rows("1", "2"))
    home.push()
    home.later(91 * DAY)
    age(home)
    again = home.push()
    assert (again.counts.unchanged, again.counts.updated, again.counts.created) == (2, 0, 0)


def test_a_plan_that_nobody_applied_goes_whole(home: PushHome) -> None:
    """Nothing names it any more."""
    home.relation(rows("1"))
    planned = home.push(is_rehearsal=True)
    home.clock.advance(91 * DAY)
    assert age(home) == Aged(plans=1, changes=1, plan_rows=1)
    assert counted(home) == (0, 0, 0, 0)
    with pytest.raises(UsageError, match="No plan"):
        home.push(plan=planned.plan)


def test_a_plan_is_as_old_as_its_last_run(home: PushHome) -> None:
    """What is left of a plan may be applied long after; that can be put back as long as any other run."""
    home.relation(rows("1", "2", "3"))
    home.push(first=1)
    [(plan,)] = home.rows("SELECT plan FROM syncer.plans")
    home.later(80 * DAY)
    rest = home.push(plan=plan)
    assert rest.counts.created >= 2
    home.clock.advance(20 * DAY)
    assert (age(home), is_aged(home, rest.run)) == (Aged(), False)
    home.clock.advance(71 * DAY)
    assert age(home).changes == 3 and is_aged(home, rest.run)


def test_what_is_in_flight_is_kept(home: PushHome) -> None:
    """What became of it is not known yet: without the journal it might be sent a second time."""
    home.relation(rows("1", "2"))
    home.push()
    home.rows("UPDATE syncer.changes SET state = 'sending' WHERE key = '1'")
    home.clock.advance(1_000 * DAY)
    assert (age(home), counted(home)) == (Aged(), (1, 2, 2, 0))


def test_settled_conflicts_go_and_open_ones_stay(home: PushHome) -> None:
    """An open one waits for a person, however long that takes."""
    home.relation(rows("1", "2"))
    home.push()
    for key in ("0", "1"):
        home.edit(key, phone="theirs")
        home.change(key, phone="ours")
    assert home.push().counts.conflicts == 2
    home.edit("0", phone="ours")
    home.later()
    assert home.push().counts.conflicts == 1
    assert sorted(home.rows("SELECT key, state FROM syncer.conflicts")) == [("0", "settled"), ("1", "open")]
    home.clock.advance(91 * DAY)
    assert age(home).conflicts == 1
    assert home.rows("SELECT key, ours FROM syncer.conflicts") == [("1", "ours")]


def test_off_keeps_everything_but_what_a_kill_left(home: PushHome) -> None:
    """The copy of a relation's rows is no journal."""
    home.relation(rows("1"))
    home.push()
    warehouse = home.warehouse()
    half = Header(
        plan="0123456789ab", mapping="hubspot.companies", environment="default", account="1", made_at=home.clock.now()
    )
    with warehouse.transaction() as t:
        plans.insert(t, half)
        t.save(snapshots.Table(schema="syncer", name=f"copy_{half.plan}", columns=()), sql.statement("SELECT 1 AS x"))
    warehouse.close()
    home.clock.advance(0.9 * DAY)
    assert age(home, None) == Aged()
    home.clock.advance(500 * DAY)
    assert age(home, None) == Aged(abandoned=1)
    assert counted(home) == (1, 1, 1, 0)
    with pytest.raises(Exception, match="copy_0123456789ab"):
        home.rows(f"SELECT * FROM syncer.copy_{half.plan}")


def test_where_nothing_was_ever_pushed_nothing_is_done(home: PushHome) -> None:
    """No table is made."""
    assert age(home) == Aged() and not is_aged(home, "x")


def test_the_verb_tells_what_it_deleted(
    home: PushHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """These rows are of spring 2026; a rehearsal deletes none of them."""
    home.relation(rows("1", "2"))
    home.push()
    monkeypatch.chdir(tmp_path)
    for name, value in home.settings.variables.items():
        monkeypatch.setenv(name, value)
    Path("syncer.toml").write_text("[journal]\nkeep_days = 36600\n")
    assert cli.main(["clean"]) == 0
    said = capsys.readouterr().out
    assert "deleted nothing. Values are kept for 36600 days, runs for 36600 days." in said and said.count("\n") == 1
    Path("syncer.toml").unlink()
    assert cli.main(["clean", "--dry-run", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["cleaned"]
    goes = {line["table"]: line["goes"] for line in told["lines"] if line["goes"]}
    assert (goes, told["is_rehearsal"]) == ({"syncer.changes": 2, "syncer.plan_rows": 2}, True)
    assert counted(home) == (1, 2, 2, 0)
    assert cli.main(["clean", "--rewrite"]) == 0
    said = capsys.readouterr().out
    assert "deleted 2 rows of syncer.changes, 2 rows of syncer.plan_rows" in said and len(said.splitlines()) > 1
    assert counted(home) == (1, 0, 0, 0)
    assert cli.main(["clean", "--rewrite", "--dry-run"]) == 2


@pytest.mark.parametrize(
    ("text", "days"), [("", 90), ("keep_days = 1", 1), ("keep_days = 400", 400), ('keep_days = "off"', None)]
)
def test_the_setting(tmp_path: Path, text: str, days: int | None) -> None:
    """Ninety days where nobody says anything; `off` keeps values for good."""
    (tmp_path / "syncer.toml").write_text(f"[journal]\n{text}\n")
    found = settings.load(variables={}, folder=tmp_path)
    found.check_names(sources=[], mappings=[])
    assert found.keep_days == days
    assert "journal" not in found.objects()


@pytest.mark.parametrize(
    "text", ["keep_days = 0", "keep_days = 1.5", "keep_days = true", 'keep_days = "on"', "days = 3"]
)
def test_a_wrong_setting_is_told(tmp_path: Path, text: str) -> None:
    """With its line: a journal that ends too early cannot be read any more."""
    (tmp_path / "syncer.toml").write_text(f"\n[journal]\n{text}\n")
    with pytest.raises(UsageError, match=r"syncer\.toml, line 3: .*keep_days"):
        configfile.read(tmp_path / "syncer.toml")


@pytest.mark.parametrize(
    ("text", "days"),
    [("", 400), ("keep_days = 500", 500), ('keep_days = "off"', None), ("keep_runs_days = 90", 90)],
)
def test_runs_are_kept_at_least_as_long_as_what_they_wrote(tmp_path: Path, text: str, days: int | None) -> None:
    """Else a run would be gone that could still be put back."""
    (tmp_path / "syncer.toml").write_text(f"[journal]\n{text}\n")
    assert settings.load(variables={}, folder=tmp_path).keep_runs_days == days


@pytest.mark.parametrize("text", ["keep_runs_days = 89", 'keep_runs_days = 800\nkeep_days = "off"'])
def test_runs_that_would_go_before_what_they_wrote_are_wrong_usage(tmp_path: Path, text: str) -> None:
    """With the line that says so."""
    (tmp_path / "syncer.toml").write_text(f"[journal]\n{text}\n")
    with pytest.raises(UsageError, match=r"syncer\.toml, line 2: keep_runs_days .*before what it wrote"):
        _ = settings.load(variables={}, folder=tmp_path).keep_runs_days


def test_one_day_is_a_day(home: PushHome) -> None:
    """Not the change of a date."""
    home.relation(rows("1"))
    home.push()
    home.clock.advance(0.98 * DAY)
    assert age(home, 1) == Aged()
    home.clock.advance(0.04 * DAY)
    assert age(home, 1).changes == 1


@pytest.mark.parametrize(("words", "kept"), [({}, 0), ({"keep_days": 120}, 2), ({"keep_days": "off"}, 2)])
def test_a_push_deletes_what_is_old(home: PushHome, words: dict[str, Any], kept: int) -> None:
    """Where nobody runs `syncer clean`, values would stand in the journal for ever; what it wrote itself stays."""
    home.settings = attrs.evolve(home.settings, tables={**home.settings.tables, "journal": words})
    home.relation(rows("1", "2"))
    first = home.push()
    home.later(89 * DAY)
    home.change("0", phone="3")
    assert (home.push().counts.updated, counted(home)[:2]) == (1, (2, 3))
    home.later(2 * DAY)
    home.change("0", phone="4")
    planned = home.push(is_rehearsal=True)
    assert counted(home)[:2] == (3, 4), "a plan that is only made deletes nothing"
    done = home.push()
    assert (done.counts.updated, done.exit_code, is_aged(home, first.run)) == (1, 0, not kept), done
    changes = dict(home.rows("SELECT plan, COUNT(*) FROM syncer.changes GROUP BY plan"))
    assert (changes.get(first.plan, 0), changes[planned.plan], changes[done.plan]) == (kept, 1, 1)
    home.later()
    assert (home.push().counts.unchanged, home.values("phone")) == (2, {"0": "4", "1": "2"})


def test_a_revert_deletes_what_is_old(home: PushHome) -> None:
    """It writes values down as a push does."""
    home.relation(rows("1"))
    first = home.push()
    home.later(91 * DAY)
    home.settings = attrs.evolve(home.settings, tables={**home.settings.tables, "journal": {"keep_days": "off"}})
    home.change("0", phone="2")
    second = home.push()
    assert (second.counts.updated, is_aged(home, first.run)) == (1, False)
    home.settings = attrs.evolve(home.settings, tables={**home.settings.tables, "journal": {}})
    home.later()
    request = executing.Request()
    undone = reverting.revert(second.run or "", settings=home.settings, request=request, doors=home.doors)
    assert (undone.counts.updated, home.values("phone"), is_aged(home, first.run)) == (1, {"0": "1"}, True), undone
