"""The scopes that a run needs are asked for before its first write: of its kind, and of the other ends of edges."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from syncer import operating
from syncer.executing import Request
from syncer.sandbox.faults import Fault
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.tally import Pushed
from tests.outbound import PushHome
from tests.outbound.edges_home import EdgesHome, tickets

CONTACTS = "crm.objects.contacts.write"
SCHEMA = "crm.schemas.companies.write"
OPERATION = "hubspot.create_properties"


def without(home: PushHome, *scopes: str) -> None:
    """Take scopes away from the token."""
    home.site.add_token(TOKEN, ALL_SCOPES - set(scopes))


def made(home: PushHome, kind: str = "companies", name: str = "code") -> bool:
    return name in home.site.store.definitions[kind]


def operate(home: PushHome, **request: object) -> Pushed:
    return operating.run(OPERATION, settings=home.settings, request=Request(**request), doors=home.doors)  # type: ignore[arg-type]  # what a test asks


# Pushes


@pytest.mark.parametrize("is_known", [False, True], ids=["the record is to be made", "the record is there"])
def test_the_scope_of_the_other_end_is_asked_for_before_the_first_write(edges: EdgesHome, is_known: bool) -> None:
    """Else the tickets would be written, and only the associations be refused."""
    edges.words("contacts")
    edges.words("tickets", edges={"person": "contacts"})
    edges.make("contacts", "ada@example.com")
    if is_known:
        edges.make("tickets", "t")
    edges.rows("tickets", [{"key": "t", "person": "ada@example.com", "name": "New"}])
    without(edges.home, CONTACTS)
    done = edges.push()
    assert (done.status, done.exit_code) == ("failed", 1) and CONTACTS in (done.error or ""), done
    assert "/tickets/contacts/" in (done.error or "")
    assert edges.writes() == []
    without(edges.home)
    done = edges.push()
    assert (done.status, done.associated) == ("done", 1), done


def test_the_other_end_is_not_asked_for_where_no_column_leads_to_it(edges: EdgesHome) -> None:
    """A token that may write just what goes out is enough."""
    edges.rows("tickets", tickets(("t", "a")))
    without(edges.home, CONTACTS)
    assert edges.push().status == "done"


# Definitions


def test_a_property_is_not_made_without_the_scope_and_the_run_says_so_first(home: PushHome) -> None:
    """Nothing of a plan is sent, not even the property that could be made."""
    home = home.with_words(match_on="code")
    tables = {**home.settings.tables, "hubspot.deals": {"relation": "stage.deals", "match_on": "code"}}
    home = attrs.evolve(home, settings=attrs.evolve(home.settings, tables=tables))
    without(home, "crm.schemas.deals.write")
    home.sent()
    done = operate(home)
    assert (done.status, done.exit_code) == ("failed", 1) and "crm.schemas.deals.write" in (done.error or ""), done
    assert [each for each in home.sent() if each.startswith("POST /crm/v3/properties")] == []
    assert not made(home) and not made(home, "deals")
    without(home)
    assert (operate(home).counts.created, made(home), made(home, "deals")) == (2, True, True)


def test_a_dry_run_without_the_scope_shows_the_plan_and_the_scope(home: PushHome) -> None:
    """Who may only look sees what would be made, and what it needs."""
    home = home.with_words(match_on="code")
    home.relation([{"code": "A1", "name": "One"}])
    without(home, SCHEMA)
    shown = operate(home, is_rehearsal=True)
    assert (shown.status, shown.counts.created, shown.exit_code) == ("done", 1, 0), shown
    [(notes,)] = home.rows("SELECT notes FROM syncer.plans WHERE plan = ?", [shown.plan])
    assert SCHEMA in notes and "would be refused" in notes
    assert not made(home)


def test_a_dry_run_with_the_scope_has_no_note(home: PushHome) -> None:
    """A note is only where something is missing."""
    home = home.with_words(match_on="code")
    home.relation([{"code": "A1", "name": "One"}])
    shown = operate(home, is_rehearsal=True)
    assert home.rows("SELECT notes FROM syncer.plans WHERE plan = ?", [shown.plan]) == [("[]",)]


def test_a_dry_run_in_a_portal_where_people_work_says_once_that_nothing_allows_writing(home: PushHome) -> None:
    """It is shown all the same, and nothing is asked of such a portal that a write would be."""
    tables = {**home.settings.tables, "hubspot.deals": {"relation": "stage.deals", "match_on": "code"}}
    home = attrs.evolve(home, settings=attrs.evolve(home.settings, tables=tables)).with_words(match_on="code")
    home.site.store.account = attrs.evolve(home.site.store.account, type="STANDARD")
    shown = operate(home, is_rehearsal=True)
    [(notes,)] = home.rows("SELECT notes FROM syncer.plans WHERE plan = ?", [shown.plan])
    assert (shown.counts.created, notes.count("allow_production")) == (2, 1)
    assert [each.path for each in home.sandbox.log if "/batch/" in each.path] == []


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate", "status"])
def test_a_lost_answer_to_the_question_for_the_scope_is_asked_again(home: PushHome, kind: Any) -> None:
    """Nothing was made, whatever became of it."""
    home = home.with_words(match_on="code")
    home.sandbox.faults.add(Fault(kind=kind, match="POST /crm/v3/properties/companies/batch/create"))
    done = operate(home)
    assert (done.error, done.counts.created, made(home)) == (None, 1, True)


def test_a_stored_plan_is_refused_before_it_is_sent_as_well(home: PushHome) -> None:
    """The scope may have been taken away since it was made."""
    home = home.with_words(match_on="code")
    without(home, SCHEMA)
    shown = operate(home, is_rehearsal=True)
    home.sent()
    done = operate(home, plan=shown.plan)
    assert (done.status, done.exit_code) == ("failed", 1) and SCHEMA in (done.error or ""), done
    assert [each for each in home.sent() if each.startswith("POST /crm/v3/properties")] == [] and not made(home)
    without(home)
    assert (operate(home, plan=shown.plan).counts.created, made(home)) == (1, True)


def test_the_rest_of_a_stored_plan_needs_the_scopes_of_the_rest_only(home: PushHome) -> None:
    """What was made of it already is not sent again."""
    tables = {**home.settings.tables, "hubspot.deals": {"relation": "stage.deals", "match_on": "code"}}
    home = attrs.evolve(home, settings=attrs.evolve(home.settings, tables=tables)).with_words(match_on="code")
    begun = operate(home, first=1)
    rest = {"companies": "deals", "deals": "companies"}
    [kind] = [each for each in rest if made(home, each)]
    home.later(4_000)  # that a token may write is believed for an hour
    without(home, f"crm.schemas.{rest[kind]}.write")
    home.sent()
    assert operate(home, plan=begun.plan).status == "failed"
    assert [each for each in home.sent() if each.startswith("POST /crm/v3/properties")] == []
    home.later(4_000)
    without(home, f"crm.schemas.{kind}.write")
    done = operate(home, plan=begun.plan)
    assert (done.error, made(home, rest[kind])) == (None, True), done


def test_a_property_that_is_there_needs_no_scope(home: PushHome) -> None:
    """Nothing is to be made: a token that may make nothing is enough."""
    home.relation([{"client_id": "A1", "name": "One"}])
    without(home, SCHEMA, "crm.schemas.contacts.write", "crm.schemas.deals.write", "crm.schemas.custom.write")
    done = operate(home)
    assert (done.status, done.exit_code, done.counts.unchanged >= 1) == ("done", 0, True), done


def test_a_failed_run_of_an_operation_is_not_taken_for_one_that_makes_its_plan(home: PushHome) -> None:
    """Its plan is let go of, so that the next run's sweep ages what it left."""
    home = home.with_words(match_on="code")
    without(home, SCHEMA)
    operate(home)
    [(left, state)] = home.rows("SELECT plan, state FROM syncer.plans")
    without(home)
    home.later()
    operate(home)
    assert state == "planning"
    assert [each for each in home.rows("SELECT plan, state FROM syncer.plans") if each == (left, "planning")] == []
