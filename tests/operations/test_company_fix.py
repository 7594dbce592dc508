"""`hubspot.fix_company_associations`: tickets of a stand-in get the company that their number names."""

from __future__ import annotations

import pytest

from tests.operations import COMPANY, PRIMARY, define
from tests.operations.company_home import ADDRESS, OWN, CompanyHome


def test_right_company_becomes_the_primary_one_and_the_stand_in_goes(fix: CompanyHome) -> None:
    """That is all of the rule; a second run finds nothing to do."""
    acme = fix.company("4711", name="Acme")
    ticket = fix.ticket(" 4711 ")
    done = fix.run()
    assert (done.error, done.exit_code, done.counts.updated) == (None, 0, 1)
    assert fix.companies(ticket) == {acme.id: OWN}
    again = fix.run()
    assert (again.exit_code, fix.changes(again.plan), again.counts.read) == (0, [], 0)


def test_company_that_is_linked_already_is_made_the_primary_one(fix: CompanyHome) -> None:
    """Its labels are kept: a write of an association replaces those that it does not send."""
    acme, label = fix.company("4711"), fix.label("Payer")
    ticket = fix.ticket("4711")
    fix.link(ticket, acme, COMPANY, label)
    assert fix.run().exit_code == 0
    assert fix.companies(ticket) == {acme.id: {*OWN, label[1]}}


def test_company_that_is_the_primary_one_already_is_not_written(fix: CompanyHome) -> None:
    """Only the stand-in goes, when the right company reads back."""
    acme = fix.company("4711")
    ticket = fix.ticket("4711", is_linked=False)
    fix.link(ticket, acme, COMPANY, PRIMARY)
    fix.link(ticket, fix.stand_in, COMPANY)
    fix.of.home.writes()
    done = fix.run()
    assert (done.exit_code, done.associated, done.disassociated) == (0, 0, 1)
    assert fix.companies(ticket) == {acme.id: OWN}
    assert [each.rpartition("/")[2] for each in fix.of.home.writes()] == ["archive"]


def test_other_companies_of_a_ticket_stay(fix: CompanyHome) -> None:
    """One that was the primary company is none any more: a ticket has one at most."""
    acme, bolt, zeta = fix.company("4711"), fix.company("1"), fix.company("2")
    ticket = fix.ticket("4711")
    fix.link(ticket, bolt, COMPANY, PRIMARY)
    fix.link(ticket, zeta, COMPANY)
    assert fix.run().exit_code == 0
    assert fix.companies(ticket) == {acme.id: OWN, bolt.id: {COMPANY}, zeta.id: {COMPANY}}


def test_ticket_whose_right_company_is_the_stand_in_keeps_it(fix: CompanyHome) -> None:
    """It has a number of its own, too."""
    fix.site.store.update("companies", fix.stand_in.id, {"client_id": "1"}, source_type="CRM_UI")
    ticket = fix.ticket("1")
    done = fix.run()
    assert (done.exit_code, done.counts.unchanged, fix.companies(ticket)) == (0, 1, {fix.stand_in.id: OWN})


def test_ticket_without_a_number_is_left_and_counted(fix: CompanyHome) -> None:
    """There is nothing to find a company by, and nothing that is wrong with it."""
    tickets = [fix.ticket(None), fix.ticket("  ")]
    done = fix.run()
    assert (done.exit_code, done.counts.unchanged) == (0, 2)
    assert "2 tickets of the stand-in have no nerds_customer_id" in fix.of.notes(done.plan)
    assert all(set(fix.companies(each)) == {fix.stand_in.id} for each in tickets)


def test_number_that_no_company_has_leaves_the_ticket_and_is_told_once(fix: CompanyHome) -> None:
    """A job of every night does not fail for ever for a ticket that nobody can put right; what is new is told."""
    ticket = fix.ticket("4711")
    assert fix.run(is_rehearsal=True).exit_code == 3
    told = fix.run()
    reason = "Left with the stand-in: no company with client_id '4711'."
    assert (told.exit_code, told.counts.rejected, fix.rejects()) == (3, 1, [(ticket.id, reason)])
    again = fix.run()
    assert (again.exit_code, again.counts.rejected, fix.rejects()) == (0, 0, [(ticket.id, reason)])
    assert "1 ticket is left as an earlier run told" in fix.of.notes(again.plan)
    assert fix.companies(ticket) == {fix.stand_in.id: OWN}


def test_ticket_that_was_left_is_fixed_when_its_company_is_there(fix: CompanyHome) -> None:
    """Then nothing of it is left to look at."""
    ticket = fix.ticket("4711")
    fix.run()
    acme = fix.company("4711")
    assert fix.run().exit_code == 0
    assert (fix.companies(ticket), fix.rejects()) == ({acme.id: OWN}, [])


def test_ticket_that_a_person_put_right_is_nothing_to_look_at_any_more(fix: CompanyHome) -> None:
    """It is none of the stand-in's now, so that nothing else would take its reject back."""
    ticket = fix.ticket("4711")
    fix.run()
    fix.link(ticket, fix.company("1"))
    fix.unlink(ticket, fix.stand_in)
    done = fix.run()
    assert (done.exit_code, fix.rejects()) == (0, [])


def test_ticket_that_was_left_is_told_again_when_its_number_is_another_one(fix: CompanyHome) -> None:
    """What was told is not so any more."""
    ticket = fix.ticket("4711")
    fix.run()
    fix.site.store.update("tickets", ticket.id, {"nerds_customer_id": "4712"}, source_type="CRM_UI")
    assert (fix.run().exit_code, fix.run().exit_code) == (3, 0)
    assert "'4712'" in fix.rejects()[0][1]


def test_number_that_two_companies_have_leaves_the_ticket(fix: CompanyHome) -> None:
    """Both are named, so that a person can tell which is right, or merge them."""
    one, two = (fix.company(None, old_number="4711") for _ in range(2))
    ticket = fix.ticket("4711")
    done = fix.words(company_property="old_number").run()
    assert done.exit_code == 3
    assert f"2 companies ({one.id}, {two.id}) with old_number '4711'" in fix.rejects()[0][1]
    assert fix.companies(ticket) == {fix.stand_in.id: OWN}


def test_archived_company_is_none_that_a_ticket_gets(fix: CompanyHome) -> None:
    """It could not be associated."""
    fix.site.store.archive("companies", fix.company("4711").id)
    fix.ticket("4711")
    assert fix.run().counts.rejected == 1


@pytest.mark.parametrize("by", ["client_id", "old_number"])
def test_values_are_compared_as_text(fix: CompanyHome, by: str) -> None:
    """`007` is not `7`, and `ab` is not `AB`, however the portal searches."""
    fix.company(None, **{by: "7"})
    fix.company(None, **{by: "AB"})
    tickets = [fix.ticket("007"), fix.ticket("ab")]
    done = fix.words(company_property=by).run()
    assert done.counts.rejected == 2
    assert all(set(fix.companies(each)) == {fix.stand_in.id} for each in tickets)


@pytest.mark.parametrize(("ours", "theirs"), [("007", "7"), ("7", "007"), ("07", "00007"), ("000", "0")])
def test_leading_zeros_count_for_nothing_where_a_site_says_so(fix: CompanyHome, ours: str, theirs: str) -> None:
    """On either side, whoever wrote them."""
    acme = fix.company(theirs)
    ticket = fix.ticket(ours)
    assert fix.words(strip_leading_zeros=True).run().exit_code == 0
    assert fix.companies(ticket) == {acme.id: OWN}


def test_two_companies_that_differ_in_leading_zeros_only_are_two(fix: CompanyHome) -> None:
    """With strip_leading_zeros nobody can tell which one is meant."""
    fix.company("7")
    fix.company("007")
    fix.ticket("7")
    done = fix.words(strip_leading_zeros=True).run()
    assert done.counts.rejected == 1 and "2 companies" in fix.rejects()[0][1]


def test_value_that_is_no_number_does_not_spoil_the_look_up_of_the_others(fix: CompanyHome) -> None:
    """The API refuses a search for a text among numbers, as a whole."""
    define(fix.site, "companies", "count", type="number", field_type="number")
    acme = fix.company(None, count="4711")
    bad, long, good = fix.ticket("n/a"), fix.ticket("9" * 500), fix.ticket("4711")
    done = fix.words(company_property="count").run()
    assert (done.error, done.counts.rejected, done.counts.updated) == (None, 2, 1)
    assert set(fix.companies(bad)) == set(fix.companies(long)) == {fix.stand_in.id}
    assert fix.companies(good) == {acme.id: OWN}


def test_only_tickets_with_the_address_are_fixed_where_one_is_set(fix: CompanyHome) -> None:
    """Others of the stand-in may be right as they are."""
    acme = fix.company("4711")
    ours, other = (
        fix.ticket("4711", **{ADDRESS: " Anon@example.com"}),
        fix.ticket("4711", **{ADDRESS: "b@example.com"}),
    )
    done = fix.words(customer_email="anon@example.com").run()
    assert (done.exit_code, done.counts.updated, done.counts.unchanged) == (0, 1, 1)
    assert (set(fix.companies(ours)), set(fix.companies(other))) == ({acme.id}, {fix.stand_in.id})


def test_an_address_that_no_ticket_of_the_stand_in_has_is_told(fix: CompanyHome) -> None:
    """A slip in it would do nothing each night, and look well."""
    fix.company("4711")
    fix.ticket("4711", **{ADDRESS: "anon@example.com"})
    fix.words(customer_email="anonymus@example.com")
    assert "no ticket of the stand-in's 1 has the nerds_customer_email" in fix.of.notes(fix.run().plan)
    fix.words(customer_email="anon@example.com")
    assert "no ticket of" not in fix.of.notes(fix.run().plan)


def test_tickets_of_other_companies_are_not_looked_at(fix: CompanyHome) -> None:
    """Whatever number they have."""
    acme, bolt = fix.company("4711"), fix.company("1")
    ticket = fix.ticket("4711", is_linked=False)
    fix.link(ticket, bolt)
    assert fix.run().counts.read == 0
    assert (set(fix.companies(ticket)), acme.is_archived) == ({bolt.id}, False)


def test_archived_tickets_are_left_alone(fix: CompanyHome) -> None:
    """Nothing is written to what is not there."""
    fix.company("4711")
    fix.site.store.archive("tickets", fix.ticket("4711").id)
    assert (fix.run().exit_code, fix.run().counts.updated) == (0, 0)


def test_dry_run_shows_what_a_support_lead_can_check(fix: CompanyHome) -> None:
    """Ticket ids and subjects, and the companies by name; and it writes nothing."""
    acme = fix.company("4711", name="Acme")
    ticket = fix.ticket("4711", subject="Printer on fire")
    done = fix.run(is_rehearsal=True)
    made, gone = fix.changes(done.plan)
    assert [each.title for each in (made, gone)] == ["Printer on fire"] * 2
    assert [each.key for each in (made, gone)] == [ticket.id] * 2
    assert made.edge and gone.edge and gone.after == (made.number,)
    assert (made.edge.key, made.edge.id, gone.edge.key, gone.edge.id) == (
        "Acme",
        acme.id,
        "Everybody",
        fix.stand_in.id,
    )
    assert f"company {fix.stand_in.id} (Everybody), of 1 ticket" in fix.of.notes(done.plan)
    assert fix.companies(ticket) == {fix.stand_in.id: OWN}


def test_more_stand_ins_taken_away_than_the_limit_are_refused(fix: CompanyHome) -> None:
    """A wrong rule would otherwise rewrite every ticket there is."""
    fix.company("4711")
    tickets = [fix.ticket("4711") for _ in range(2)]
    done = fix.words(max_disassociations=1).run()
    assert done.exit_code == 4 and "max_disassociations: 2" in done.trips[0]
    assert all(set(fix.companies(each)) == {fix.stand_in.id} for each in tickets)
