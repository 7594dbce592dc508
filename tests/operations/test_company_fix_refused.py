"""`hubspot.fix_company_associations` where a setting or the token does not fit: nothing is tried."""

from __future__ import annotations

import pytest

from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.tally import Pushed
from tests.operations.company_home import CompanyHome


def refused(fix: CompanyHome, *, code: int = 2) -> Pushed:
    """Run it where it cannot be; nothing may be written."""
    fix.company("4711")
    fix.ticket("4711")
    fix.of.home.writes()
    done = fix.run()
    assert fix.of.home.writes() == []
    assert (done.status, done.exit_code) == ("failed", code)
    return done


def test_stand_in_that_is_not_set_is_asked_for(fix: CompanyHome) -> None:
    """Which company stands in is nothing to guess."""
    fix.of.home.settings.tables["hubspot.fix_company_associations"].clear()
    assert "stand_in_domain" in str(refused(fix).error)


def test_stand_in_that_is_not_found_is_told_with_what_was_looked_for(fix: CompanyHome) -> None:
    """A misspelt city must not look as if there was nothing to do."""
    error = str(refused(fix.words(stand_in_city="Groningen")).error)
    assert "domain example.com" in error and "city Groningen" in error


def test_stand_in_that_is_found_twice_is_told_with_both_ids(fix: CompanyHome) -> None:
    """Which of them stands in is not known."""
    twin = fix.company(None, domain="example.com", city="UTRECHT ")
    error = str(refused(fix).error)
    assert twin.id in error and fix.stand_in.id in error


def test_company_of_the_domain_in_another_city_is_not_the_stand_in(fix: CompanyHome) -> None:
    """Domain and city together name it."""
    fix.company(None, domain="example.com", city="Groningen")
    acme = fix.company("4711")
    ticket = fix.ticket("4711")
    assert fix.run().exit_code == 0
    assert set(fix.companies(ticket)) == {acme.id}


@pytest.mark.parametrize("key", ["ticket_property", "company_property", "email_property"])
def test_property_that_is_not_there_is_told_with_the_nearest_names(fix: CompanyHome, key: str) -> None:
    """Each setting that names one is checked before anything is looked for."""
    near = {"company_property": "client_di"}.get(key, "nerds_customer_idd")
    error = str(refused(fix.words(**{key: near}, customer_email="a@example.com")).error)
    assert key in error and near in error and {"company_property": "client_id"}.get(key, "nerds_customer") in error


@pytest.mark.parametrize("scope", ["crm.objects.companies.read", "crm.objects.companies.write", "tickets"])
def test_scope_that_the_token_lacks_is_told_before_anything_is_written(fix: CompanyHome, scope: str) -> None:
    """Half of it would leave tickets with two companies."""
    fix.site.add_token(TOKEN, ALL_SCOPES - {scope})
    assert scope in str(refused(fix, code=1).error)
