"""A look-up of many values at once: found, or two, whatever part of the search a value came in."""

from __future__ import annotations

import math

import pytest

from tests.operations.company_home import OWN, CompanyHome

MANY = 130  # missed: three spellings each, of 100 a search


def numbers(fix: CompanyHome) -> None:
    """Tickets whose numbers lead nowhere; they sort before, between and behind others."""
    for number in range(MANY):
        fix.ticket(f"{'0x'[number % 2]}{number:05d}")


@pytest.mark.parametrize("odd", [" 4711", "4711 "])
@pytest.mark.parametrize("by", ["old_number", "client_id"])
def test_a_number_with_a_blank_beside_it_is_found_among_many(fix: CompanyHome, odd: str, by: str) -> None:
    """Values of a search are sorted: `" 4711"` comes in another part than `"4711"`."""
    fix.words(company_property=by)
    right, ticket = fix.company(**{by: odd}), fix.ticket("4711")
    numbers(fix)
    assert fix.run().counts.rejected == MANY
    assert fix.companies(ticket) == {right.id: OWN}


@pytest.mark.parametrize("by", ["old_number", "client_id"])
def test_two_companies_that_differ_in_blanks_only_are_two_among_many(fix: CompanyHome, by: str) -> None:
    """Nobody can tell which one is meant, whatever parts they came in."""
    fix.words(company_property=by)
    one, two = fix.company(**{by: " 4711"}), fix.company(**{by: "4711 "})
    ticket = fix.ticket("4711")
    numbers(fix)
    assert fix.run().counts.rejected == MANY + 1
    assert f"2 companies ({one.id}, {two.id}) with {by} '4711'" in dict(fix.rejects())[ticket.id]
    assert fix.companies(ticket) == {fix.stand_in.id: OWN}


def test_looking_up_many_takes_a_search_for_each_hundred_values(fix: CompanyHome) -> None:
    """No part is asked twice."""
    fix.words(company_property="old_number")
    fix.company(old_number=" 4711")
    fix.ticket("4711")
    numbers(fix)
    fix.of.home.sent()
    fix.run(is_rehearsal=True)
    searches = [each for each in fix.of.home.sent() if each.endswith("/companies/search")]
    names = MANY + 1
    stand_in = 1
    assert len(searches) == stand_in + math.ceil(names / 100) + math.ceil(3 * names / 100)
