"""What `syncer status` counts is what stands in the tables, after a push, a revert of it, and a verify."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import reverting, status, verifying
from syncer.status import Question, Standing
from tests.outbound import PushHome

NAME = "hubspot.companies"


def read(home: PushHome) -> Standing:
    return status.read(home.settings, Question(with_rejects=True), clock=home.clock)


def told(home: PushHome) -> tuple[int, int, int]:
    """What status says of the mapping: rejects, open conflicts, and the records of these."""
    found = read(home)
    rejects = sum(each.rejects for each in found.reject_counts if each.mapping == NAME)
    conflicts = [(each.conflicts, each.records) for each in found.conflict_counts if each.mapping == NAME]
    assert (len(found.rejects), len(found.conflicts)) == (rejects, sum(count for count, _ in conflicts))
    return (rejects, *(conflicts[0] if conflicts else (0, 0)))


def stands(home: PushHome) -> tuple[int, int, int]:
    """The same, from the tables."""
    [(rejects,)] = home.rows("SELECT COUNT(*) FROM syncer.rejects WHERE mapping = ?", [NAME])
    [(conflicts, records)] = home.rows(
        "SELECT COUNT(*), COUNT(DISTINCT key) FROM syncer.conflicts WHERE mapping = ? AND state = 'open'", [NAME]
    )
    return rejects, conflicts, records


def verified(home: PushHome) -> dict[str, int]:
    home.later()
    [found] = verifying.verify(NAME, settings=home.settings, doors=home.doors)
    return {verdict: count for verdict, count in found.counts.items() if count}


def revert(home: PushHome, run: str | None) -> Any:
    home.later()
    done = reverting.revert(run or "", settings=home.settings, request=home.request(), doors=home.doors)
    assert done.status == "done", done.error
    return done


def rows(**more: dict[str, Any]) -> list[dict[str, Any]]:
    """Six rows, with what is given by key."""
    return [
        {"client_id": str(number), "name": f"C{number}", "phone": f"+31 {number}", "tier": "gold"}
        | more.get(f"of_{number}", {})
        for number in range(1, 7)
    ]


def with_trouble(home: PushHome) -> Any:
    """Push: a new row, a change, a conflict in two fields, one in another row beside a change, and a reject."""
    home.relation(rows()[:5])
    assert home.push().counts.created == 5
    home.edit("1", phone="theirs", name="Theirs")
    home.edit("2", phone="theirs")
    home.later()
    home.relation(
        rows(
            of_1={"phone": "ours", "name": "Ours"},
            of_2={"phone": "ours", "name": "New"},
            of_3={"tier": "tin"},
            of_4={"phone": "new"},
        )
    )
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.exit_code) == (1, 1, 3)
    return done


def test_after_a_push_and_a_verify(home: PushHome) -> None:
    """A verify writes nothing there; its own counts are of rows, and those of status of fields too."""
    with_trouble(home)
    assert told(home) == stands(home) == (1, 3, 2)
    assert verified(home) == {"agreed": 3, "conflicts": 2, "rejects": 1}
    assert told(home) == stands(home) == (1, 3, 2)


def test_after_a_revert(home: PushHome) -> None:
    """What was put back settles nothing: the conflicts and the reject stand, and a verify finds the same ones."""
    done = with_trouble(home)
    back = revert(home, done.run)
    assert told(home) == stands(home) == (1, 3, 2)
    found = read(home)
    assert [(run.verb, run.status) for run in found.runs if run.mapping == NAME] == [
        ("push", "done"),
        ("revert", "done"),
    ]
    counts = next(run.counts for run in found.runs if run.verb == "revert")
    assert counts is not None and counts["updated"] == back.counts.updated and counts["rejected"] == 0
    assert verified(home) == {"agreed": 1, "left_alone": 2, "conflicts": 2, "rejects": 1}
    assert told(home) == stands(home) == (1, 3, 2)
    again = home.push()
    assert (again.counts.conflicts, again.counts.rejected) == (2, 1)
    assert told(home) == stands(home) == (1, 3, 2)


def test_after_a_revert_of_what_settled_a_conflict(home: PushHome) -> None:
    """A word of the mapping settled it; that their value is put back is the choice of a person, and no conflict."""
    home.relation(rows()[:2])
    home.push()
    home.edit("1", phone="theirs")
    home.later()
    home.change("1", phone="ours")
    assert home.push().counts.conflicts == 1 and told(home) == stands(home) == (0, 1, 1)
    home.later()
    done = home.with_words(policy="ours").push()
    assert done.counts.updated == 1 and told(home) == stands(home) == (0, 0, 0)
    revert(home, done.run)
    assert home.values("phone")["1"] == "theirs" and told(home) == stands(home) == (0, 0, 0)
    assert verified(home) == {"agreed": 1, "left_alone": 1}
    assert told(home) == stands(home) == (0, 0, 0)


@pytest.mark.parametrize("how", ["mended", "gone"])
def test_after_what_was_left_is_mended(home: PushHome, how: str) -> None:
    """By a person, here or there: the next push takes it off, after a revert as well."""
    done = with_trouble(home)
    revert(home, done.run)
    if how == "gone":
        home.rows("DELETE FROM stage.companies WHERE client_id IN ('1', '2', '3')")
    else:
        home.edit("1", phone="ours", name="Ours")
        home.edit("2", phone="ours")
        home.change("3", tier="silver")
    home.later()
    assert home.push().counts.conflicts == 0
    assert told(home) == stands(home) == (0, 0, 0)
    assert {"conflicts", "rejects", "unexplained"}.isdisjoint(verified(home))
