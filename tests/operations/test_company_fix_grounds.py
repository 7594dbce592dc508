"""
`hubspot.fix_company_associations` where what a ticket was decided by is another one when its turn comes: it is left.

At no moment is a ticket without a company: the fixture watches.
"""

from __future__ import annotations

import pytest

from syncer import settling
from tests.operations import COMPANY, PRIMARY, OperationHome
from tests.operations.company_home import ADDRESS, NUMBER, OWN, CompanyHome
from tests.operations.test_company_fix_moments import DAY_S, planned

PERSON = "CRM_UI"


class Died(BaseException):
    """The process ended."""


def reasons(fix: CompanyHome, plan: str) -> list[str]:
    """Return why changes of a plan were not done."""
    return [each.reason for each in fix.changes(plan) if each.reason]


def test_ticket_whose_number_was_changed_since_is_left_with_both_numbers(fix: CompanyHome) -> None:
    """Its company would be wrong, and no later run would see it: the stand-in is gone then."""
    fix.company("1")
    bolt = fix.company("2")
    ticket = fix.ticket("1")
    plan = planned(fix)
    fix.site.store.update("tickets", ticket.id, {NUMBER: "2"}, source_type=PERSON)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.associated, done.disassociated) == (3, 0, 0)
    assert fix.companies(ticket) == {fix.stand_in.id: OWN}
    assert (
        f"{NUMBER} of record {ticket.id} of tickets is '2' by now, and was '1' in the plan." in reasons(fix, plan)[0]
    )
    assert (fix.run().exit_code, fix.companies(ticket), fix.rejects()) == (0, {bolt.id: OWN}, [])


def test_ticket_whose_number_moved_to_another_company_since_is_left(fix: CompanyHome) -> None:
    """It is the other company's now."""
    acme, bolt = fix.company("1"), fix.company()
    ticket = fix.ticket("1")
    plan = planned(fix)
    fix.site.store.update("companies", acme.id, {"client_id": ""}, source_type=PERSON)
    fix.site.store.update("companies", bolt.id, {"client_id": "1"}, source_type=PERSON)
    done = fix.run(plan=plan)
    assert (done.exit_code, fix.companies(ticket)) == (3, {fix.stand_in.id: OWN})
    assert (
        f"client_id of record {acme.id} of companies is blank by now, and was '1' in the plan" in reasons(fix, plan)[0]
    )
    assert (fix.run().exit_code, fix.companies(ticket)) == (0, {bolt.id: OWN})


def test_ticket_whose_address_was_changed_since_is_left(fix: CompanyHome) -> None:
    """It is none of those that the site named; a later run does not look at it."""
    fix.company("1")
    ticket = fix.ticket("1", **{ADDRESS: "anon@example.com"})
    fix.words(customer_email="anon@example.com")
    plan = planned(fix)
    fix.site.store.update("tickets", ticket.id, {ADDRESS: "real@customer.nl"}, source_type=PERSON)
    done = fix.run(plan=plan)
    assert (done.exit_code, fix.companies(ticket)) == (3, {fix.stand_in.id: OWN})
    assert ADDRESS in reasons(fix, plan)[0]
    assert (fix.run().exit_code, fix.companies(ticket), fix.rejects()) == (0, {fix.stand_in.id: OWN}, [])


def test_stand_in_stays_where_the_number_was_changed_and_nothing_but_it_was_to_go(fix: CompanyHome) -> None:
    """The company was right as the plan was made, so that nothing else of it is sent."""
    acme = fix.company("1")
    ticket = fix.ticket("1", is_linked=False)
    fix.link(ticket, acme, COMPANY, PRIMARY)
    fix.link(ticket, fix.stand_in, COMPANY)
    plan = planned(fix)
    fix.site.store.update("tickets", ticket.id, {NUMBER: "2"}, source_type=PERSON)
    done = fix.run(plan=plan)
    assert (done.exit_code, fix.companies(ticket)) == (3, {acme.id: OWN, fix.stand_in.id: {COMPANY}})


def test_other_tickets_of_the_batch_are_put_right(fix: CompanyHome) -> None:
    """One that is left holds nobody up."""
    acme = fix.company("1")
    tickets = [fix.ticket("1") for _ in range(3)]
    plan = planned(fix)
    fix.site.store.update("tickets", tickets[1].id, {NUMBER: "2"}, source_type=PERSON)
    done = fix.run(plan=plan)
    assert (done.exit_code, done.counts.updated, done.counts.conflicts) == (3, 2, 1)
    assert [acme.id in fix.companies(each) for each in tickets] == [True, False, True]


@pytest.mark.parametrize("mode", ["primary", "new"])
def test_stand_in_stays_where_the_right_company_became_it_before_it_was_confirmed(
    fix: CompanyHome, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right company is then the stand-in, and taking that away would leave the ticket bare."""
    fix.site.store.merge_mode, fix.site.store.unites_labels = mode, True  # type: ignore[assignment]
    acme, ticket = fix.company("1"), fix.ticket("1")
    unlike, merged = settling.unlike, []

    def confirmed(*given: object, **named: object) -> set[int]:
        if not merged:
            merged.append(fix.site.store.merge("companies", fix.stand_in.id, acme.id).id)
        return unlike(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(settling, "unlike", confirmed)
    done = fix.run()
    assert (done.exit_code, fix.companies(ticket)) == (1, {merged[0]: OWN})
    assert "does not read back as it was written" in reasons(fix, done.plan)[0]


def test_stand_in_stays_where_the_right_company_became_it_after_a_kill(
    fix: CompanyHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run settles what was left, and reads it back as well."""
    fix.site.store.merge_mode, fix.site.store.unites_labels = "primary", True
    acme, ticket = fix.company("1"), fix.ticket("1")
    with monkeypatch.context() as killing, pytest.raises(Died):
        killing.setattr(settling, "unlike", _die)
        fix.run()
    fix.of.home.later(DAY_S)
    fix.site.store.merge("companies", fix.stand_in.id, acme.id)
    done = fix.run()
    assert (done.error, fix.companies(ticket)) == (None, {fix.stand_in.id: OWN})


def _die(*_: object, **__: object) -> set[int]:
    raise Died


def test_reject_that_still_stands_is_seen_again(fix: CompanyHome) -> None:
    """Else `clean` would delete it by its age, and the run after that would tell it as new."""
    fix.ticket("99")
    assert fix.run().exit_code == 3
    told = seen(fix.of)
    fix.of.home.later(100 * DAY_S)
    again = fix.run()
    assert (again.exit_code, again.counts.rejected, again.counts.unchanged) == (0, 0, 1)
    first, last, run = seen(fix.of)
    assert (first, run) == (told[0], again.run) and last > told[1]
    assert fix.run(is_rehearsal=True).exit_code == 0
    assert seen(fix.of) == (first, last, run)


def seen(home: OperationHome) -> tuple[object, ...]:
    """Return when the one reject was seen first and last, and by which run."""
    [found] = home.rows("SELECT first_seen, last_seen, run FROM syncer.rejects")
    return tuple(found)


@pytest.mark.parametrize("by", ["client_id", "old_number"])
@pytest.mark.parametrize("theirs", ["4711 ", " 4711"])
def test_number_of_a_company_with_a_blank_beside_it_is_found(fix: CompanyHome, by: str, theirs: str) -> None:
    """Such a blank is nothing that anybody sees."""
    acme, ticket = fix.company(None, **{by: theirs}), fix.ticket("4711")
    assert fix.words(company_property=by).run().exit_code == 0
    assert fix.companies(ticket) == {acme.id: OWN}
