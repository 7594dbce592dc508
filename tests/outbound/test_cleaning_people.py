"""`syncer forget` reaches what an operation wrote down of a person: before-images, titles, rows, rejects."""

from __future__ import annotations

from syncer import conflicts, sql
from syncer.plan import Change, Edge, Edit
from syncer.plans import PlanRow, Problem
from tests.outbound import PushHome
from tests.outbound.test_forgetting_pushed import (
    BOB,
    EMAIL,
    forget,
    has,
    id_of,
    left,
    lived,
    people,
    stored,
    texts_with,
)

__all__ = ["people"]  # a fixture
NAME = "hubspot.merge_contacts"


def test_no_byte_of_a_person_is_left_of_an_operation(people: PushHome) -> None:
    """Its plans stand under the operation's name, keys are its own, and only the record's id tells whose they are."""
    lived(people)
    ada, bob = id_of(people, EMAIL), id_of(people, BOB[0])
    held = {"email": Edit(EMAIL, None), "firstname": Edit("Quirijn", None), "phone": Edit("0612345678", None)}
    edge = Edge(kind="companies", id="9", category="HUBSPOT_DEFINED", type_id=1)
    done = Change(
        number=1, action="archive", kind="contacts", key=ada, id=ada, fields=held, edges=(edge,), state="done"
    )
    planned = Change(
        number=2, action="update", kind="contacts", key="group 1", id=ada, fields=held, title=f"Quirijn <{EMAIL}>"
    )
    other = Change(number=3, action="update", kind="contacts", key="group 2", id=bob, fields={"phone": Edit("1", "2")})
    problem = Problem(kind="rejected", field="email", reason=f"{EMAIL} stands twice.", ours=EMAIL, theirs=EMAIL)
    row = PlanRow(key="group 3", id=ada, outcome="rejected", problems=[problem])
    header = stored(people, NAME, [done, planned, other], [row, PlanRow(key="group 1", id=ada)])
    reject = {"mapping": NAME, "environment": "default", "key": "group 3", "column": "email", "scope": "push"}
    warehouse = people.warehouse()
    with warehouse.transaction() as t:
        values = {**reject, "value": EMAIL, "reason": EMAIL}
        t.run(sql.insert(conflicts.REJECTS), [values.get(column.name) for column in conflicts.REJECTS.columns])
    warehouse.close()
    has(people)
    forget(people, ada)
    assert texts_with(people, EMAIL, "Quirijn", "0612345678", "Zeldzaam") == [] and left(people) == {}
    first, second, third = people.changes(header.plan)
    assert (first.state, second.state, third.state) == ("done", "rejected", "planned")
    assert (third.key, dict(third.fields)) == ("group 2", {"phone": Edit("1", "2")}), "Bob's stands"


def test_what_was_to_be_merged_into_a_person_is_theirs_too(people: PushHome) -> None:
    """Its before-image stands under another record's id, and what its place has then is the person's."""
    lived(people)
    ada, bob = id_of(people, EMAIL), id_of(people, BOB[0])
    held = {"email": Edit("quirijn@old.example", EMAIL), "firstname": Edit("Quirijn", "Quirijn")}
    merge = Change(number=1, action="merge", kind="contacts", key="999", id="999", into=ada, fields=held)
    other = Change(
        number=2, action="merge", kind="contacts", key="998", id="998", into=bob, fields={"phone": Edit("1", "2")}
    )
    header = stored(people, NAME, [merge, other], [PlanRow(key="999", id="999"), PlanRow(key="998", id="998")])
    forget(people, ada)
    assert texts_with(people, EMAIL, "Quirijn", "quirijn@old.example") == []
    first, second = people.changes(header.plan)
    assert (first.state, dict(first.fields)) == ("rejected", {})
    assert (second.state, dict(second.fields)) == ("planned", {"phone": Edit("1", "2")})
