"""Rejects: with the value that is to be mended, tried again when they can have healed, and gone once they have."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.outbound import PushHome
from tests.outbound.edges_home import EdgesHome

REJECTS = 'SELECT key, "column", value, row_hash FROM syncer.rejects WHERE scope = \'push\' ORDER BY key, "column"'
READS = "POST /crm/objects/2026-09/companies/batch/read"


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"client_id": str(number), "name": f"Company {number}", **more} for number in numbers]


def values(home: PushHome) -> list[tuple[str, str, str | None]]:
    return [row[:3] for row in home.rows(REJECTS)]


def test_a_value_that_does_not_fit_stands_with_its_reject(home: PushHome) -> None:
    """Who mends it must see it: in the table, in the plan that is stored, and wherever that is shown."""
    home.relation(rows(1, tier="tin", phone="1"))
    done = home.push()
    [problem] = home.problems(done.plan)
    assert (problem["field"], problem["ours"]) == ("tier", "tin")
    assert values(home) == [("1", "tier", "tin")]


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("size", " 1,234.50 ", " 1,234.50 "),
        ("since", dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC), "2026-03-01T09:30:00.000Z"),
        ("industry", "x" * 65_537, "x" * 65_537),
        ("products", "a;q;O'Neil\n🙂", "a;q;O'Neil\n🙂"),
        ("is_customer", 2, "2"),
    ],
    ids=["number", "time", "long", "choices", "bool"],
)
def test_the_value_of_a_reject_is_as_it_stands_in_the_relation(
    home: PushHome, column: str, value: Any, shown: str
) -> None:
    """Not trimmed, cut or in another form: what is looked for is found by it."""
    home.relation(rows(1, **{column: value}))
    done = home.push()
    assert done.counts.rejected == 1, done.error
    assert values(home) == [("1", column, shown)]


NEEDS = "A new record needs name or domain."


def unnamed(*keys: str) -> list[dict[str, Any]]:
    return [{"client_id": key, "name": None, "phone": f"+31 {key}"} for key in keys]


def test_a_row_that_could_not_be_created_heals_when_its_record_appears(home: PushHome) -> None:
    """Somebody made the record by hand: neither the row nor a definition changed, and nothing is lacking any more."""
    home.relation(unnamed("1", "2"))
    for _ in range(2):
        done = home.push()
        assert [(each["key"], each["reason"]) for each in home.problems(done.plan)] == [("1", NEEDS), ("2", NEEDS)]
        assert (done.counts.rejected, done.counts.read, done.exit_code, home.live()) == (2, 2, 3, [])
    home.make("1")
    done = home.push()
    assert (done.counts.rejected, done.counts.updated, done.counts.read) == (1, 1, 2)
    assert home.values("phone") == {"1": "+31 1"}
    assert [row[0] for row in home.rows(REJECTS)] == ["2"]
    again = home.push()
    assert (again.counts.rejected, again.counts.unchanged, again.counts.read) == (1, 1, 2)


def test_rows_that_lack_something_are_read_again_a_hundred_a_request(home: PushHome) -> None:
    """As open conflicts are; a row whose own values do not fit is not: no record would mend it."""
    home.relation([*unnamed(*map(str, range(150))), *({**row, "name": "n"} for row in unnamed("x"))])
    home.push()
    home.sent()
    assert home.push().counts.rejected == 150
    assert [each for each in home.sent() if "batch/" in each] == [READS, READS]
    home.relation(rows(*range(150), tier="tin"))
    home.push()
    home.sent()
    done = home.push()
    assert (done.counts.rejected, [each for each in home.sent() if "batch/" in each]) == (150, [])


def test_a_reject_of_an_edge_stands_until_its_other_end_is_there(edges: EdgesHome) -> None:
    """Its row did not change, so that no hash of it may stand for it: the other end decides, and is asked each run."""
    home = edges.home
    edges.rows("tickets", [{"key": "t", "company": "later"}, {"key": "u", "company": "a"}])
    first_seen = "SELECT first_seen FROM syncer.rejects WHERE scope = 'push'"
    edges.push()
    seen = home.rows(first_seen)
    home.later()
    for _ in range(2):
        assert edges.push().counts.rejected == 1
        assert home.rows(REJECTS) == [("t", "company", "later", "")]
        assert home.rows(first_seen) == seen, "it is the same one"
    edges.make("companies", "later")
    done = edges.push()
    assert (done.counts.rejected, set(edges.linked("t")), home.rows(REJECTS)) == (0, {"later"}, [])
    assert edges.push().counts.unchanged == 2


@pytest.mark.parametrize("company", ["a", None])
def test_a_reject_of_an_edge_is_gone_when_the_row_names_another_end_or_none(
    edges: EdgesHome, company: str | None
) -> None:
    edges.rows("tickets", [{"key": "t", "company": "later"}])
    assert edges.push().counts.rejected == 1
    edges.set("tickets", "t", company=company)
    assert (edges.push().counts.rejected, edges.home.rows(REJECTS)) == (0, [])
    assert (set(edges.linked("t")), edges.push().exit_code) == ({company} - {None}, 0)
