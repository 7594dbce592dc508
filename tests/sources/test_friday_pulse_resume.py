"""Friday Pulse: going on after a kill, and which dates a walk has to read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer import engine, reading
from syncer.inbound import Progress
from syncer.sandbox import Fault
from syncer.sources.friday_pulse.walk import MOST_TRIES, STALE_S, Due, Walk, due
from tests.campaign import friday
from tests.sources.pulse_home import OF_GROUPS, PulseHome, running, slices_of, small_site

WEEKS = ["2026-01-01", "2026-01-08", "2026-01-15", "2026-01-22", "2026-01-29", "2026-02-05"]
LOOKBACK = timedelta(weeks=3)


class Killed(BaseException):
    """A pull is ended from outside."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[PulseHome]:
    with running(small_site(dates=10, groups=8), tmp_path) as found:
        yield found


def committed(home: PulseHome, stream: str) -> set[str]:
    """The slices that a warehouse has rows of."""
    rows = home.rows(f"SELECT DISTINCT flow_date, group_id FROM load.friday_pulse_{stream}")
    return {
        f"/groups/{group}/{stream.removeprefix('group_').replace('risks', 'risk')}?date={day}" for day, group in rows
    }


@pytest.mark.parametrize("at", [0, 1, 7, 8, 9, 40, 79])
@pytest.mark.parametrize("stream", OF_GROUPS)
def test_a_first_load_that_broke_asks_for_no_finished_slice_again(home: PulseHome, stream: str, at: int) -> None:
    """By the sandbox's log: together both runs have asked for each slice once."""
    home.sandbox.faults.add(Fault(kind="status", match="/groups/.*date=", status=418, skip=at, times=1))
    (broken,) = home.outcome(stream)
    assert broken.status == "failed"
    first = home.asked()[:-1]
    home.pull(stream)
    asked = slices_of([*first, *home.asked()])
    assert len(asked) == 80 and set(asked.values()) == {1} and home.wrong(stream) == []


@pytest.mark.parametrize("at", [3, 30, 75])
def test_a_first_load_that_was_killed_repeats_nothing_that_was_committed(
    home: PulseHome, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """What was read and not committed yet is all that is asked for again."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 60)

    def kill(progress: Progress) -> None:
        if progress.pages > at:
            raise Killed

    with pytest.raises(Killed):
        home.outcome("group_results", on_progress=kill)
    first = slices_of(home.asked())
    done = committed(home, "group_results") if at > 20 else set()
    home.pull("group_results")
    again = slices_of(home.asked())
    assert not done & set(again) and len({*first, *again}) == 80
    assert set(again.values()) == {1} and home.wrong("group_results") == []


def test_a_refresh_that_broke_goes_on_too(home: PulseHome) -> None:
    """The slices of the lookback that were read are not read twice, and the next pull reads all of them."""
    home.pull("group_results")
    home.asked()
    home.sandbox.faults.add(Fault(kind="status", match="/groups/.*date=", status=418, skip=20, times=1))
    home.outcome("group_results")
    first = home.asked()[:-1]
    home.pull("group_results")
    asked = slices_of([*first, *home.asked()])
    assert len(asked) == 4 * 8 and set(asked.values()) == {1}
    home.pull("group_results")
    assert len(slices_of(home.asked())) == 4 * 8


def test_a_walk_that_broke_long_ago_is_followed_by_the_next_one(home: PulseHome) -> None:
    """What it had read may be out of date by then."""
    home.sandbox.faults.add(Fault(kind="status", match="/groups/.*date=", status=418, skip=20, times=1))
    home.outcome("group_results")
    home.site.answer_late(home.dates[0], 12)
    home.site.clock.advance(STALE_S + 1)
    home.pull("group_results")
    assert home.wrong("group_results") == []


def test_a_full_pull_that_broke_does_not_end_as_an_incremental_one(home: PulseHome) -> None:
    """Places of an earlier walk are none of the reload's."""
    home.pull("group_results")
    home.site.clock.advance(60)
    home.sandbox.faults.add(Fault(kind="status", match="/groups/.*date=", status=418, skip=3, times=1))
    home.outcome("group_results", mode=engine.FULL)
    home.site.answer_late(home.dates[2], 12)
    home.pull("group_results")
    assert home.wrong("group_results") == []


def test_places_do_not_grow_with_the_slices(home: PulseHome) -> None:
    """One row a date, some bytes each."""
    home.pull(*OF_GROUPS)
    columns = "count(*), max(length(place))"
    query = f"SELECT {columns} FROM syncer.marks WHERE mapping = 'friday_pulse.group_notes' AND scope <> ''"
    assert home.rows(query)[0] == (10, len('{"walk":1772442000,"newest":"2026-03-01"}'))


def test_the_short_campaign_passes() -> None:
    """kill -9 of a child process in the middle of a first load."""
    assert friday.campaign(is_short=True) == 0


def walk(number: int = 5, *, groups: tuple[int, ...] | None = (1, 2, 3), known: set[int] | None = None) -> Walk:
    """A walk."""
    return Walk(number=number, opened=0.0, groups=groups, known=frozenset({1, 2, 3} if known is None else known))


def wanted(place: dict[str, Any] | None, date: str, at: Walk) -> Due | None:
    """What is due of one date, the others being done by this walk."""
    done = {each: {"walk": at.number, "newest": WEEKS[-1]} for each in WEEKS}
    places = {**done, date: place} if place is not None else {each: done[each] for each in WEEKS if each != date}
    return next(iter(due(WEEKS, at, places=places, lookback=LOOKBACK)), None)


@pytest.mark.parametrize(
    ("place", "date", "groups"),
    [
        pytest.param(None, WEEKS[0], (1, 2, 3), id="never read"),
        pytest.param({"walk": 4, "newest": WEEKS[5]}, WEEKS[5], (1, 2, 3), id="the newest"),
        pytest.param({"walk": 4, "newest": WEEKS[5]}, WEEKS[2], (1, 2, 3), id="three weeks old"),
        pytest.param({"walk": 4, "newest": WEEKS[5]}, WEEKS[1], None, id="older, and read when it was old"),
        pytest.param(
            {"walk": 4, "newest": WEEKS[3]}, WEEKS[0], None, id="older, and read when it was three weeks old"
        ),
        pytest.param({"walk": 4, "newest": WEEKS[2]}, WEEKS[0], (1, 2, 3), id="older, and read when it was young"),
        pytest.param({"walk": 5, "newest": WEEKS[5]}, WEEKS[5], None, id="read by this walk"),
        pytest.param({"walk": 5, "newest": WEEKS[5], "after": 1}, WEEKS[5], (2, 3), id="begun by this walk"),
        pytest.param({"walk": 5, "newest": WEEKS[5], "after": -1}, WEEKS[0], (1, 2, 3), id="all of it failed"),
        pytest.param({"walk": 4, "newest": WEEKS[5], "after": 2}, WEEKS[0], (1, 2, 3), id="begun by another walk"),
        pytest.param({"walk": 4, "newest": WEEKS[5], "failed": {"2": 1}}, WEEKS[0], (2,), id="one failed"),
        pytest.param(
            {"walk": 4, "newest": WEEKS[5], "failed": {"2": MOST_TRIES}}, WEEKS[0], None, id="failed too often"
        ),
        pytest.param({"walk": 5, "newest": WEEKS[5], "failed": {"2": 1}}, WEEKS[0], (2,), id="failed in this walk"),
        pytest.param(
            {"walk": 5, "newest": WEEKS[5], "failed": {"3": 1}, "after": 1, "is_part": True},
            WEEKS[0],
            (3,),
            id="some of it begun",
        ),
    ],
)
def test_what_is_due_of_a_date(place: dict[str, Any] | None, date: str, groups: tuple[int, ...] | None) -> None:
    """Of six weekly dates, with three weeks of lookback."""
    found = wanted(place, date, walk())
    assert (found.groups if found is not None else None) == groups


def test_a_new_group_is_due_of_every_date() -> None:
    """And only it, of those that are done."""
    place = {"walk": 4, "newest": WEEKS[5]}
    found = wanted(place, WEEKS[0], walk(known={1, 2}))
    assert found is not None and (found.groups, found.is_whole) == ((3,), False)


def test_the_company_has_one_slice_a_date() -> None:
    """And no groups."""
    found = wanted(None, WEEKS[0], walk(groups=None))
    assert found is not None and found.groups == (None,)


def test_a_date_that_was_read_in_part_stays_as_old_as_it_was() -> None:
    """Else what came late for its other groups would be taken for read."""
    found = wanted({"walk": 4, "newest": WEEKS[4], "failed": {"2": 1}}, WEEKS[0], walk())
    assert found is not None
    assert found.place(walk(), after=None, failed={}) == {"walk": 5, "newest": WEEKS[4]}


def test_a_history_that_broke_goes_on_with_its_groups(home: PulseHome) -> None:
    """Two groups came back; of the old dates only their slices are asked for, in both runs, each once."""
    home.pull("group_risks")
    away = {number: home.site.vanish_group(number) for number in (12, 13)}
    home.pull("group_risks")
    home.site.groups = dict(sorted({**home.site.groups, **away}.items()))
    home.asked()
    home.sandbox.faults.add(Fault(kind="status", match="/groups/.*date=", status=418, skip=4 * 8 + 1, times=1))
    home.outcome("group_risks")
    first = home.asked()[:-1]
    home.pull("group_risks")
    asked = slices_of([*first, *home.asked()])
    assert len(asked) == 4 * 8 + 6 * 2 and set(asked.values()) == {1}
