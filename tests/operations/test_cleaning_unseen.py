"""`syncer clean` beside operations: what could not be looked at since it was told stays, however old it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import cleaning
from syncer.operations import create_properties
from tests.operations import OperationHome
from tests.operations.star import Star
from tests.operations.test_unseen_parts import (
    back,
    broken,
    gone,
    mended,
    standing,
    told,
    with_no_rows,
    with_null_key,
    with_two_current,
)
from tests.outbound import at_home

NAME = create_properties.NAME
ROW = {"client_id": "A1", "name": "One"}
DAY = 86_400.0
OLDER = 100 * DAY  # than the 90 days of keep_days


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[OperationHome]:
    """A portal without records, and a warehouse of each backend."""
    with at_home(tmp_path / "home", backend) as found:
        yield OperationHome(found)


def cleaned(home: OperationHome) -> dict[str, int]:
    """Clean; return how many rows of each table went."""
    done = cleaning.clean(settings=home.home.settings, clock=home.home.clock)
    return {line.table: line.goes for line in done.lines if line.goes}


def rejects(home: OperationHome) -> list[str]:
    """Return the keys that stand as rejects."""
    return [key for (key,) in home.rows("SELECT key FROM syncer.rejects ORDER BY key")]


# Findings of reports.


@pytest.mark.parametrize(("away", "again"), [(broken, mended), (gone, back)])
@pytest.mark.parametrize("made", [with_null_key, with_two_current, with_no_rows])
def test_findings_stay_while_their_part_cannot_be_looked_at(
    star: Star, made: Callable[[Star], str], away: Callable[..., None], again: Callable[..., None]
) -> None:
    """A view that is broken for a season: the runs meanwhile saw nothing of what stands."""
    operation = made(star)
    assert told(star.run(operation)) == (1, 0, 0, 3)
    before = standing(star, operation)
    away(star, "dw.f")
    for _ in range(3):
        star.site.clock.advance(OLDER)
        assert star.run(operation).hidden
    cleaning.clean(settings=star.site.settings, clock=star.site.clock)
    assert set(before) < set(standing(star, operation))
    again(star, "dw.f")
    assert told(star.run(operation)) == (0, 1, 0, 0)


def test_findings_stay_where_nothing_ran_since_they_were_hidden(star: Star) -> None:
    """The job was off for a season, too."""
    operation = with_null_key(star)
    star.run(operation)
    broken(star, "dw.f")
    star.site.clock.advance(DAY)
    star.run(operation)
    star.site.clock.advance(OLDER)
    cleaning.clean(settings=star.site.settings, clock=star.site.clock)
    mended(star, "dw.f")
    assert told(star.run(operation)) == (0, 1, 0, 0)


# Rejects that are told once.


def unread(home: OperationHome) -> None:
    """Take the relation away, and run for a season."""
    home.rows("ALTER TABLE stage.companies RENAME TO away")
    for _ in range(3):
        home.home.later(OLDER)
        home.run(NAME)


def test_rejects_stay_while_their_relation_cannot_be_read(home: OperationHome) -> None:
    """Each run says that it could not look; back again, they are no news."""
    home.home.relation([{**ROW, "Big": "x"}])
    assert home.run(NAME).exit_code == 3
    unread(home)
    assert "syncer.rejects" not in cleaned(home)
    assert rejects(home) == ["companies.Big", "hubspot.companies"]
    home.rows("ALTER TABLE stage.away RENAME TO companies")
    assert (home.run(NAME).exit_code, rejects(home)) == (0, ["companies.Big"])


def test_what_the_portal_refused_to_make_stays_while_its_relation_cannot_be_read(home: OperationHome) -> None:
    """A reject of a change has no hash: nobody looked at it either."""
    home.home.relation([{**ROW, "Big": "x"}])
    home.run(NAME)
    home.rows("UPDATE syncer.rejects SET row_hash = NULL")
    unread(home)
    assert "syncer.rejects" not in cleaned(home)
    assert "companies.Big" in rejects(home)


def test_a_reject_that_no_run_met_again_goes(home: OperationHome) -> None:
    """What nobody says of it is no reason to keep it."""
    home.home.relation([{**ROW, "Big": "x"}])
    home.run(NAME)
    home.rows("UPDATE syncer.rejects SET key = 'another.kind', mapping = 'warehouse.mine'")
    home.home.later(DAY)
    home.run(NAME)
    home.rows("UPDATE syncer.runs SET mapping = 'warehouse.mine'")
    home.home.later(OLDER)
    assert cleaned(home)["syncer.rejects"] == 1


def test_a_plan_that_is_applied_later_looks_at_nothing(home: OperationHome) -> None:
    """It was made before the reject was told: its run says nothing of it."""
    home.home.relation([{**ROW, "a_text": "x"}])
    planned: Any = home.run(NAME, is_rehearsal=True)
    home.home.later()
    home.home.relation([{**ROW, "Big": "x"}])
    assert home.run(NAME).counts.rejected == 1
    home.home.later()
    assert home.run(NAME, plan=planned.plan).error is None
    home.home.later(OLDER)
    assert "syncer.rejects" not in cleaned(home)
    assert rejects(home) == ["companies.Big"]
