"""A stored plan: what is written is what is read back, in its order."""

from __future__ import annotations

from syncer import plan_journal, plans
from syncer.plan import CREATE, UPDATE, Change
from tests.outbound import START, PushHome


def test_what_comes_after_a_change_of_an_earlier_batch_is_a_wave_later(home: PushHome) -> None:
    """Else it would be sent before what it comes after."""
    header = plans.Header(plan="p1", mapping="hubspot.companies", environment="default", account="1", made_at=START)
    first = Change(number=1, action=CREATE, kind="companies", key="1")
    second = Change(number=2, action=UPDATE, kind="companies", key="1", after=(1,))
    third = Change(number=3, action=UPDATE, kind="companies", key="1", after=(1, 2))
    warehouse = home.warehouse()
    try:
        with warehouse.transaction() as t:
            for table in plans.TABLES:
                t.create(table)
            plans.insert(t, header)
            for batch in ([first], [second], [third]):
                plans.add(t, header, changes=batch, rows=[], read_at=START)
            assert plan_journal.steps(t, "p1") == [(0, CREATE), (1, UPDATE), (2, UPDATE)]
            assert plans.changes(t, "p1") == [first, second, third]
    finally:
        warehouse.close()
