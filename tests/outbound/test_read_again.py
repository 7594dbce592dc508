"""
Records that are read once more: just before they are written where they were read too long ago, and behind `--first`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from syncer import settings
from syncer.errors import UsageError
from tests.backends import BACKENDS
from tests.outbound import PushHome, at_home
from tests.outbound.edges_home import edges_at_home

READ, WRITE = "/batch/read", "/batch/update"


@pytest.fixture(params=sorted(BACKENDS))
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PushHome]:
    with at_home(tmp_path, request.param) as found:
        found.relation([{"client_id": str(number), "name": "x", "phone": "1"} for number in range(4)])
        assert found.push().counts.created == 4
        for number in range(4):
            found.change(str(number), phone="2")
        found.later()
        found.sent()
        yield found


def once(what: str, do: Callable[[], None]) -> Callable[[str, str, int, int], None]:
    """Do something when this much of a push is done, the first time."""
    waiting = [do]

    def on_progress(mapping: str, done: str, count: int, of: int) -> None:
        if done == what and waiting:
            waiting.pop()()

    return on_progress


def with_fresh(home: PushHome, fresh_s: float) -> PushHome:
    tables = {**home.settings.tables, "push": {"fresh_s": fresh_s}}
    return attrs.evolve(home, settings=attrs.evolve(home.settings, tables=tables))


@pytest.mark.parametrize(("fresh_s", "passed_s"), [(None, 61), (30, 31), (0, 1)])
def test_a_record_that_was_read_too_long_ago_is_read_again_before_it_is_written(
    home: PushHome, fresh_s: float | None, passed_s: float
) -> None:
    """Promise 7: what a person edits while a long push makes its plan is a conflict, and is not overwritten."""

    def edited() -> None:
        home.edit("1", phone="a person's")
        home.later(passed_s)

    one = home if fresh_s is None else with_fresh(home, fresh_s)
    pushed = one.push(on_progress=once("planned", edited))
    assert (pushed.counts.updated, pushed.counts.conflicts) == (3, 1)
    assert home.values("phone") == {"0": "2", "1": "a person's", "2": "2", "3": "2"}


@pytest.mark.parametrize(("fresh_s", "passed_s"), [(None, 59), (30, 29)])
def test_a_record_that_was_read_just_now_costs_no_second_read(
    home: PushHome, fresh_s: float | None, passed_s: float
) -> None:
    """20,000 rows of which 200 changed may cost five requests."""
    one = home if fresh_s is None else with_fresh(home, fresh_s)
    pushed = one.push(on_progress=once("planned", lambda: home.later(passed_s)))
    assert pushed.counts.updated == 4
    asked = [each for each in home.sent() if each.endswith((READ, WRITE))]
    assert [each.rpartition("/")[2] for each in asked] == ["read", "update"]


def test_how_fresh_a_record_must_be_is_a_setting(tmp_path: Path) -> None:
    """A minute where nothing is said; never hours, behind which there is nothing to write on."""
    file = tmp_path / "syncer.toml"
    variables = {"SYNCER_CONFIG": str(file)}
    for text, found in (("", 60.0), ("[push]\nfresh_s = 0", 0.0), ("[push]\nfresh_s = 300.5", 300.5)):
        file.write_text(text)
        assert settings.load(variables=variables, folder=tmp_path).fresh_s == found
    for wrong in ("-1", "3601", "true", '"60"'):
        file.write_text(f"[push]\nfresh_s = {wrong}")
        with pytest.raises(UsageError, match=r"syncer\.toml, line 2: fresh_s in \[push\] .*seconds from 0 to 3600"):
            settings.load(variables=variables, folder=tmp_path)


def test_the_first_changes_of_a_plan_are_read_back(home: PushHome) -> None:
    """Who tries a plan out on a few records wants to know that it did there what it said."""
    pushed = home.push(first=2)
    assert (pushed.status, pushed.counts.updated, pushed.counts.pending) == ("done", 2, 2)
    assert "2 changes read back as they were written" in pushed.notes
    asked = [each.rpartition("/")[2] for each in home.sent() if each.endswith((READ, WRITE))]
    assert asked == ["read", "update", "read"]


def test_a_first_change_that_does_not_read_back_fails_the_run(home: PushHome) -> None:
    """An automation of the portal that puts values back: before the rest goes there, somebody must look."""
    pushed = home.push(first=2, on_progress=once("written", lambda: home.edit("0", phone="put back")))
    assert pushed.status == "failed" and pushed.exit_code == 1
    assert "1 of the 2 changes that were written do not read back" in str(pushed.error)
    assert f"update companies {home.company('0').id}: phone" in str(pushed.error)
    assert "put back" not in str(pushed.error)  # no values in errors
    assert home.rows("SELECT status FROM syncer.runs WHERE run = ?", [pushed.run]) == [("failed",)]
    rest = home.push(plan=pushed.plan)
    assert (rest.status, rest.counts.updated) == ("done", 2)


def test_creates_of_a_first_part_are_read_back_too(tmp_path: Path) -> None:
    """A create is found by its key, and named by its record."""
    with at_home(tmp_path, "duckdb") as home:
        home.relation([{"client_id": f"c{number}", "name": "x", "phone": "1"} for number in range(3)])
        pushed = home.push(first=2, on_progress=once("written", lambda: home.edit("c1", phone="other")))
        assert pushed.status == "failed"
        assert f"(create companies {home.company('c1').id}: client_id, name, phone)" in str(pushed.error)


def test_edges_of_a_first_part_are_read_back_too(tmp_path: Path) -> None:
    """Also of a record that the same plan makes."""
    with edges_at_home(tmp_path, "duckdb") as edges:
        company = edges.make("companies", "c1")
        edges.rows("tickets", [{"key": "t1", "company": "c1"}])
        edges.words("tickets", edges={"company": "companies"})
        store = edges.home.site.store

        def unlink() -> None:
            [ticket] = store.records["tickets"].values()
            store.disassociate("tickets", ticket.id, "companies", company.id)

        calls = iter([lambda: None, unlink])  # the create, and then the edge
        pushed = edges.push(first=2, on_progress=lambda _, done, *__: done == "written" and next(calls)())
        assert pushed.status == "failed" and "(associate tickets " in str(pushed.error), pushed
