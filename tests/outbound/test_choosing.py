"""`--first N`: about so many changes, among them each action and each field of the plan as far as they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from syncer import choosing
from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, UPDATE, Change, Edge, Edit
from tests.outbound import KEY, PushHome

MANY = 200


def change(number: int, action: str, *fields: str, key: str = "", after: Sequence[int] = (), to: str = "") -> Change:
    return Change(
        number=number,
        action=action,
        kind="tickets",
        key=key or f"k{number}",
        id=None if action == CREATE else str(number),
        fields={name: Edit("a", "b") for name in fields},
        edge=Edge(kind=to, id="7", category="HUBSPOT_DEFINED", type_id=1) if to else None,
        after=tuple(after),
    )


def with_rare(*rare: Change) -> list[Change]:
    """Return many updates of one field, with some others in place of the last ones."""
    common = [change(number, UPDATE, "phone") for number in range(1, MANY + 1)]
    return [*common[: rare[0].number - 1], *rare, *common[rare[-1].number :]]


def chosen(changes: Sequence[Change], number: int) -> set[int]:
    calls = []

    def given() -> Iterator[Change]:
        calls.append(1)
        return iter(changes)

    found = choosing.chosen(given, number)
    assert len(calls) <= 2
    return found


@pytest.mark.parametrize(
    "rare",
    [
        change(150, UPDATE, "industry"),
        change(150, UPDATE, "phone", "industry"),
        change(150, CREATE, "phone"),
        change(150, ARCHIVE),
        change(150, ASSOCIATE, to="companies"),
    ],
    ids=["a field", "a field beside another", "a create", "an archive", "an edge"],
)
def test_what_is_rare_is_among_the_first_however_far_behind_it_stands(rare: Change) -> None:
    """Whoever looks at some of a plan before all of it is sent must see each thing that it does."""
    assert chosen(with_rare(rare), 3) == {1, 2, 150}


def test_each_field_of_each_action_is_among_them() -> None:
    """The same field of another action is another thing: what a create sends, an update may not be able to."""
    rare = [
        change(140, UPDATE, "industry"),
        change(141, CREATE, "industry"),
        change(142, UPDATE, "name"),
        change(143, ASSOCIATE, to="companies"),
        change(144, ASSOCIATE, to="contacts"),
        change(145, ARCHIVE),
    ]
    assert chosen(with_rare(*rare), 8) == {1, 2, 140, 141, 142, 143, 144, 145}


def test_what_an_update_writes_a_create_sends_too() -> None:
    """That one of each was seen says nothing of the field that only one of them was seen with."""
    rare = [change(140, UPDATE, "industry"), change(141, CREATE, "name"), change(142, CREATE, "industry")]
    assert chosen(with_rare(*rare), 5) == {1, 2, 140, 141, 142}


def test_where_not_all_fit_they_are_those_that_stand_first() -> None:
    rare = [change(140, UPDATE, "industry"), change(141, CREATE, "name"), change(142, ARCHIVE)]
    assert chosen(with_rare(*rare), 3) == {1, 140, 141}
    assert chosen(with_rare(*rare), 1) == {1}


def test_a_row_is_chosen_whole_with_what_it_comes_after() -> None:
    """Half of a row, or an edge to a record that was not made, is no sample of anything."""
    rare = [
        change(140, UPDATE, "industry", key="r"),
        change(141, UPDATE, "phone", key="r"),
        change(142, ASSOCIATE, key="r", after=[90], to="companies"),
    ]
    assert chosen(with_rare(*rare), 5) == {1, 90, 140, 141, 142}


def test_a_small_plan_is_chosen_whole() -> None:
    assert chosen([change(1, CREATE, "name"), change(2, UPDATE, "name")], 50) == {1, 2}
    assert chosen([], 5) == set()


def test_the_first_few_of_a_push_write_each_field_that_it_would(home: PushHome) -> None:
    """Rows 0 to 29 change their phone; one far behind its industry, and one is new."""
    home.relation([{KEY: f"{n:03}", "name": f"C{n}", "phone": "1", "industry": "a"} for n in range(30)])
    home.push()
    home.rows("UPDATE stage.companies SET phone = '2'")
    home.change("027", industry="b", phone="1")
    home.rows("INSERT INTO stage.companies VALUES ('028x', 'New', '1', 'a')")
    home.later()
    done = home.push(first=4)
    assert (done.counts.created, done.counts.updated, done.is_partial) == (1, 3, True), done
    assert (home.values("industry")["027"], home.values("name")["028x"]) == ("b", "New")
    assert [key for key, phone in sorted(home.values("phone").items()) if phone == "2"] == ["000", "001"]
