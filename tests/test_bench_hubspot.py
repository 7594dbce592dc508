"""The bench of HubSpot: a figure counts only where the table is the portal's; what cannot run is refused at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from bench import __main__ as command
from bench.contenders import Job, hubspot_floor
from bench.hubspot import checksum, query, turns
from bench.hubspot.portal import EVERY, Portal
from syncer.sandbox.hubspot import generate

ROW = ("1", "Ada", "ada.example.com", None, "", "Delft", "C1", Decimal("3.000000000"), None, True, 1_000)


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A small portal that answers."""
    found = Portal(120)
    with found.sandbox:
        yield found


def job(portal: Portal, folder: Path, *, is_again: bool = False) -> Job:
    """What the floor is told."""
    return Job(url=portal.sandbox.url("hubspot"), folder=folder, is_again=is_again)


def held(folder: Path, change: str = "") -> dict[str, object]:
    """What the floor's table holds, after *change*."""
    with duckdb.connect(str(folder / "bench.duckdb")) as connection:
        if change:
            connection.execute(change)
        rows = connection.execute(query(hubspot_floor.ROWS)).fetchall()
    return {"rows": len(rows), "checksum": checksum(rows)}


def test_the_floor_has_what_the_portal_has(portal: Portal, tmp_path: Path) -> None:
    """Two ways to the same checksum: the sandbox's own records, and a program that read them over a socket."""
    written = hubspot_floor.load(job(portal, tmp_path))
    assert held(tmp_path) == portal.truth()
    assert written == portal.truth()["rows"] > 100


def test_the_floor_follows_what_changed(portal: Portal, tmp_path: Path) -> None:
    """Only what changed is read again; a second change gives new values, so that no run has nothing to do."""
    hubspot_floor.load(job(portal, tmp_path))
    for _ in range(2):
        before, changed = portal.truth(), portal.change()
        assert portal.truth() != before
        assert hubspot_floor.load(job(portal, tmp_path, is_again=True)) == changed
        assert held(tmp_path) == portal.truth()
    assert changed == -(-portal.truth()["rows"] // EVERY)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM companies WHERE id = (SELECT MIN(id) FROM companies)",
        "UPDATE companies SET phone = 'x' WHERE id = (SELECT MIN(id) FROM companies)",
        "UPDATE companies SET is_public = NOT is_public",
        "UPDATE companies SET numberofemployees = numberofemployees + 0.000000001",
        "UPDATE companies SET hs_lastmodifieddate = hs_lastmodifieddate + INTERVAL 1 millisecond",
    ],
)
def test_a_wrong_table_is_noticed(portal: Portal, tmp_path: Path, change: str) -> None:
    """A fast load of something else is no figure."""
    hubspot_floor.load(job(portal, tmp_path))
    assert held(tmp_path, change) != portal.truth()


def test_the_checksum_knows_values_and_no_order() -> None:
    """A blank is what null is, and 3 what 3.000 is; another value is another checksum."""
    other = ("2", *ROW[1:])
    assert checksum([ROW, other]) == checksum([other, ROW])
    same = ("1", "Ada", "ada.example.com", "", None, "Delft", "C1", Decimal(3), None, True, 1_000)
    assert checksum([ROW]) == checksum([same])
    assert checksum([ROW]) != checksum([(*ROW[:-1], 1_001)])


def test_a_small_portal_leaves_the_sandbox_as_it_is(portal: Portal) -> None:
    """The bench may raise how many records get all their values, never lower it for the tests that follow."""
    assert generate.FULL_UP_TO >= 20_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hubspot", "--only", "floor"], "no contender floor of hubspot"),
        (["--only", "hubspot_floor"], "no contender hubspot_floor of records"),
        (["hubspot", "--only", turns.LENT], "needs --dlt-source"),
    ],
)
def test_a_contender_that_cannot_run_is_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before minutes of measuring, not behind them."""
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
