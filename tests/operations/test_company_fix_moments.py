"""
`hubspot.fix_company_associations` where something comes between: people, lost answers, a day, a part, a revert.

At no moment is a ticket without a company: the fixture watches.
"""

from __future__ import annotations

import pytest

from syncer.sandbox.faults import Fault
from tests.operations import COMPANY, PRIMARY
from tests.operations.company_home import FIX, OWN, CompanyHome

DAY_S = 86_400.0


def planned(fix: CompanyHome) -> str:
    """Make a plan of all there is, and let a day pass."""
    plan = fix.run(is_rehearsal=True).plan
    fix.of.home.later(DAY_S)
    return plan


def open_conflicts(fix: CompanyHome) -> int:
    """Return how many conflicts of the operation are open."""
    query = f"SELECT COUNT(*) FROM syncer.conflicts WHERE mapping = '{FIX}' AND state = 'open'"
    return int(fix.of.rows(query)[0][0])


def test_stored_plan_is_applied_a_day_later(fix: CompanyHome) -> None:
    """Just that: also where the stand-in is the primary company no more as soon as the right one is."""
    acme, bolt = fix.company("4711"), fix.company("1")
    tickets = [fix.ticket("4711") for _ in range(3)]
    fix.link(tickets[1], acme)
    fix.link(tickets[2], bolt, COMPANY, PRIMARY)
    done = fix.run(plan=planned(fix))
    assert (done.error, done.exit_code, done.counts.updated) == (None, 0, 3)
    assert [fix.companies(each) for each in tickets[:2]] == [{acme.id: OWN}] * 2
    assert fix.companies(tickets[2]) == {acme.id: OWN, bolt.id: {COMPANY}}


def test_first_part_of_a_plan_is_whole_tickets(fix: CompanyHome) -> None:
    """What is left waits, and is done by the plan."""
    acme = fix.company("4711")
    tickets = [fix.ticket("4711") for _ in range(5)]
    part = fix.run(first=2)
    assert (part.error, part.exit_code) == (None, 0)
    found = [fix.companies(each) for each in tickets]
    assert found.count({acme.id: OWN}) == 1 and found.count({fix.stand_in.id: OWN}) == 4
    assert fix.run(plan=part.plan).exit_code == 0
    assert [fix.companies(each) for each in tickets] == [{acme.id: OWN}] * 5


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
@pytest.mark.parametrize("match", ["batch/create", "batch/archive", "batch/read"])
def test_lost_answers_change_nothing(fix: CompanyHome, kind: str, match: str) -> None:
    """Each is settled by reading back."""
    acme, label = fix.company("4711"), fix.label("Payer")
    tickets = [fix.ticket("4711") for _ in range(3)]
    fix.link(tickets[0], fix.stand_in, label)
    fix.of.home.sandbox.faults.add(Fault(kind=kind, match=f"POST .*{match}", times=1))  # type: ignore[arg-type]
    done = fix.run()
    assert (done.error, done.exit_code) == (None, 0)
    assert [fix.companies(each) for each in tickets] == [{acme.id: OWN}] * 3


def test_stand_in_stays_where_the_right_company_is_refused(fix: CompanyHome) -> None:
    """Nothing goes before something is there."""
    acme = fix.company("4711")
    ticket = fix.ticket("4711")
    plan = planned(fix)
    fix.site.store.archive("companies", acme.id)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.counts.rejected) == (3, 1)
    assert fix.companies(ticket) == {fix.stand_in.id: OWN}


def test_stand_in_stays_where_the_right_company_was_taken_away_since(fix: CompanyHome) -> None:
    """It was the primary one as the plan was made, so that nothing was to be written but the removal."""
    acme = fix.company("4711")
    ticket = fix.ticket("4711", is_linked=False)
    fix.link(ticket, acme, COMPANY, PRIMARY)
    fix.link(ticket, fix.stand_in, COMPANY)
    plan = planned(fix)
    fix.unlink(ticket, acme)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.disassociated, set(fix.companies(ticket))) == (1, 0, {fix.stand_in.id})
    assert fix.run().exit_code == 0
    assert fix.companies(ticket) == {acme.id: OWN}


def test_primary_company_that_a_person_set_since_is_left(fix: CompanyHome) -> None:
    """Both sides moved; the next plan sees it, and nothing is in conflict any more."""
    acme, bolt = fix.company("4711"), fix.company("1")
    ticket = fix.ticket("4711")
    plan = planned(fix)
    fix.link(ticket, bolt, COMPANY, PRIMARY)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.counts.conflicts) == (3, 1)
    assert fix.companies(ticket) == {fix.stand_in.id: {COMPANY}, bolt.id: OWN}
    assert (fix.run().exit_code, open_conflicts(fix)) == (0, 0)
    assert fix.companies(ticket) == {acme.id: OWN, bolt.id: {COMPANY}}


def test_conflict_of_a_ticket_that_left_the_stand_in_is_settled(fix: CompanyHome) -> None:
    """No later run names it."""
    bolt = fix.company("1")
    fix.company("4711")
    ticket = fix.ticket("4711")
    plan = planned(fix)
    fix.link(ticket, bolt, COMPANY, PRIMARY)
    fix.unlink(ticket, fix.stand_in)
    assert (fix.run(plan=plan).exit_code, open_conflicts(fix)) == (3, 1)
    fix.of.home.later()
    assert (fix.run().exit_code, open_conflicts(fix)) == (0, 0)
    assert fix.companies(ticket) == {bolt.id: OWN}


def test_ticket_that_a_person_put_right_since_is_the_same(fix: CompanyHome) -> None:
    """Nothing is sent, and nothing is ours to put back."""
    acme = fix.company("4711")
    ticket = fix.ticket("4711")
    plan = planned(fix)
    fix.link(ticket, acme, COMPANY, PRIMARY)
    fix.unlink(ticket, fix.stand_in)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.associated, done.disassociated) == (0, 0, 0)
    assert fix.companies(ticket) == {acme.id: OWN}


def test_label_that_a_person_gave_the_stand_in_since_is_not_lost(fix: CompanyHome) -> None:
    """It would go with the stand-in, and no revert would know it; the next plan does."""
    acme, label, earlier = fix.company("4711"), fix.label("Payer"), fix.label("Owner")
    tickets = [fix.ticket("4711") for _ in range(3)]
    fix.link(tickets[2], fix.stand_in, earlier)
    plan = planned(fix)
    fix.link(tickets[0], fix.stand_in, label)
    fix.link(tickets[2], fix.stand_in, label)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.counts.conflicts, open_conflicts(fix)) == (3, 2, 2)
    assert fix.companies(tickets[0]) == {acme.id: OWN, fix.stand_in.id: {COMPANY, label[1]}}
    assert fix.companies(tickets[1]) == {acme.id: OWN}
    assert fix.companies(tickets[2]) == {acme.id: OWN, fix.stand_in.id: {COMPANY, label[1], earlier[1]}}
    again = fix.run()
    assert (again.exit_code, open_conflicts(fix)) == (0, 0)
    assert [fix.companies(each) for each in tickets] == [{acme.id: OWN}] * 3
    fix.of.home.later()
    assert fix.revert(again.run).exit_code == 0
    assert fix.companies(tickets[0])[fix.stand_in.id] == {COMPANY, label[1]}


def test_label_that_a_person_took_off_the_stand_in_since_stops_nothing(fix: CompanyHome) -> None:
    """Less goes than was planned: nothing of theirs is lost."""
    acme, label = fix.company("4711"), fix.label("Payer")
    ticket = fix.ticket("4711")
    fix.link(ticket, fix.stand_in, label)
    plan = planned(fix)
    fix.site.store.disassociate("tickets", ticket.id, "companies", fix.stand_in.id, [label])
    assert fix.run(plan=plan).exit_code == 0
    assert fix.companies(ticket) == {acme.id: OWN}


@pytest.mark.parametrize("is_stored", [False, True])
def test_revert_puts_back_what_was_there(fix: CompanyHome, is_stored: bool) -> None:
    """The stand-in with its labels, and the primary company that there was; a revert may wait, too."""
    acme, bolt, label = fix.company("4711"), fix.company("1"), fix.label("Payer")
    tickets = [fix.ticket("4711") for _ in range(5)]
    fix.link(tickets[1], fix.stand_in, label)
    fix.link(tickets[2], acme, COMPANY, label)
    fix.link(tickets[3], bolt, COMPANY, PRIMARY)
    fix.link(tickets[4], acme, COMPANY, PRIMARY)
    before = [fix.companies(each) for each in tickets]
    done = fix.run()
    assert done.exit_code == 0
    fix.of.home.later()
    if is_stored:
        plan = fix.revert(done.run, is_rehearsal=True).plan
        fix.of.home.later(DAY_S)
        back = fix.revert(done.run, plan=plan)
    else:
        back = fix.revert(done.run)
    assert (back.error, back.exit_code) == (None, 0)
    assert [fix.companies(each) for each in tickets] == before


def test_revert_leaves_what_a_person_did_since(fix: CompanyHome) -> None:
    """A company that they added stays, and so does a label of theirs, with the association that has it."""
    acme, bolt, label = fix.company("4711"), fix.company("1"), fix.label("Payer")
    one, two = fix.ticket("4711"), fix.ticket("4711")
    done = fix.run()
    fix.link(one, bolt)
    fix.link(two, acme, label)
    assert fix.revert(done.run).error is None
    assert fix.companies(one) == {fix.stand_in.id: OWN, bolt.id: {COMPANY}}
    assert fix.companies(two) == {fix.stand_in.id: OWN, acme.id: {COMPANY, label[1]}}
