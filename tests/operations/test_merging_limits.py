"""What HubSpot does not take: too many records behind one, texts that are too long, associations nobody may see."""

from __future__ import annotations

import attrs
import pytest

from syncer.joining import LONGEST
from syncer.plan import REJECTED
from syncer.sandbox.faults import Fault
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from syncer.sandbox.hubspot.model import PortalRecord
from tests.operations import CONTACT, OperationHome

MANY = 248  # records behind one, so that two more can be merged in either mode at most


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


def with_behind(home: OperationHome, ticket: PortalRecord, count: int) -> PortalRecord:
    """Let records stand behind a ticket, as merges of years leave them."""
    ids = [home.site.store.new_id() for _ in range(count)]
    ticket.merged_ids = ids
    ticket.properties = {**ticket.properties, "hs_merged_object_ids": ";".join(ids)}
    home.site.store.merged["tickets"].update(dict.fromkeys(ids, ticket.id))
    return ticket


def problems(home: OperationHome, plan: str) -> list[tuple[str, str]]:
    return [(each["key"], each["reason"]) for each in home.home.problems(plan)]


# Records behind one


def test_too_many_records_behind_one_are_a_reject_beforehand(home: OperationHome) -> None:
    """Nothing of the group is written: a joined text without a merge would be worse than none."""
    one, two = with_behind(home, home.ticket("7"), 200), with_behind(home, home.ticket("7"), 51)
    home.ticket("8")
    home.ticket("8")
    done = home.run()
    assert (done.exit_code, done.counts.rejected, done.counts.merged) == (3, 2, 1)
    told = dict(problems(home, done.plan))
    assert set(told) == {one.id, two.id} and "HubSpot takes 250" in told[one.id] and "archive" in told[one.id]
    assert {one.id, two.id} <= {each.id for each in home.live()}


def test_as_many_as_hubspot_takes_are_merged(home: OperationHome) -> None:
    """The limit is what its own refusal says, in either mode of merging."""
    with_behind(home, home.ticket("7"), MANY)
    home.ticket("7")
    done = home.run()
    assert (done.error, done.exit_code, done.counts.merged) == (None, 0, 1)


@pytest.mark.parametrize("merge_mode", ["new"], indirect=True)
def test_a_group_that_hubspot_would_refuse_half_way_is_a_reject_beforehand(home: OperationHome) -> None:
    """Each merge leaves a third record, with both behind it."""
    with_behind(home, home.ticket("7"), MANY)
    home.ticket("7")
    home.ticket("7")
    done = home.run()
    assert (done.exit_code, done.counts.rejected, done.counts.merged, len(home.live())) == (3, 3, 0, 3)
    assert "252 records would stand behind" in problems(home, done.plan)[0][1]


@pytest.mark.parametrize("merge_mode", ["primary"], indirect=True)
def test_where_merges_were_seen_to_keep_the_id_just_as_many_as_hubspot_takes_are_merged(home: OperationHome) -> None:
    """One stands behind for each merge; before the first one nobody knows."""
    with_behind(home, home.ticket("7"), MANY)
    home.ticket("7")
    home.ticket("7")
    home.ticket("8")
    home.ticket("8")
    done = home.run()
    assert (done.exit_code, done.counts.rejected, done.counts.merged) == (3, 3, 1)
    again = home.run()
    assert (again.exit_code, again.counts.rejected, again.counts.merged, len(home.live())) == (0, 0, 2, 2)


def test_a_refusal_for_too_many_is_a_reject_and_the_rest_is_done(home: OperationHome) -> None:
    """HubSpot may count otherwise than we do."""
    for same in ("7", "8"):
        home.ticket(same, content="one")
        home.ticket(same, content="two")
    body = '{"status":"error","message":"Cannot have more than 250 identities","category":"VALIDATION_ERROR"}'
    kind = {"Content-Type": "application/json"}
    fault = Fault(kind="status", status=414, body=body, headers=kind, match="/merge")
    home.home.sandbox.faults.add(fault)
    done = home.run()
    assert (done.error, done.exit_code, done.counts.rejected, done.counts.merged) == (None, 3, 1, 1)
    [reason] = [each.reason for each in home.changes(done.plan) if each.state == REJECTED]
    assert "250 identities" in reason and len(home.live()) == 3
    again = home.run()
    assert (again.counts.merged, again.exit_code) == (1, 0)
    assert [(home.only(same).properties["content"] or "").count("two") for same in ("7", "8")] == [1, 1]


def test_groups_that_earlier_merges_chained_become_one(home: OperationHome) -> None:
    """Their ids all lead to what is left, and what was joined before is not joined once more."""
    first = [home.ticket("7", content=text) for text in ("one", "two")]
    home.run()
    second = [home.ticket("9", content=text) for text in ("three", "four")]
    home.run()
    home.site.store.update("tickets", home.only("9").id, {"nerds_ticket_id": "7"}, source_type="CRM_UI")
    done = home.run()
    assert (done.error, done.counts.merged, len(home.live())) == (None, 1, 1)
    found = home.only("7")
    assert {each.id for each in (*first, *second)} <= {found.id, *found.merged_ids}
    text = found.properties["content"] or ""
    order = [text.index(each) for each in ("\none", "\ntwo", "\nthree", "\nfour")]
    assert order == sorted(order) and text.count("--- ticket") == 4


# Texts that are too long


def test_content_beyond_what_a_property_takes_is_cut_and_the_plan_says_so(home: OperationHome) -> None:
    """With a note at its end; the second run plans nothing."""
    home.ticket("7", content="a" * 40_000)
    home.ticket("7", content="b" * 40_000)
    shown = home.run(is_rehearsal=True)
    assert "characters do not fit into joined texts" in home.notes(shown.plan)
    done = home.run()
    assert (done.error, done.counts.merged, done.counts.updated, done.exit_code) == (None, 1, 1, 0)
    text = home.only("7").properties["content"] or ""
    assert LONGEST - 10 < len(text) <= LONGEST and text.endswith("[… cut: all of it has more than 65,536 characters]")
    again = home.run()
    assert (again.counts.merged, again.counts.updated, again.counts.unchanged, again.exit_code) == (0, 0, 1, 0)


def test_a_long_text_is_not_written_anew_by_the_run_after_one_that_merged_nothing(home: OperationHome) -> None:
    """It updated the survivor, and then HubSpot merged nothing: the next one only merges."""
    one, *_ = (home.ticket("7", content=letter * 30_000) for letter in "abc")
    home.home.sandbox.faults.add(Fault(kind="status", status=414, body="{}", match="/merge", times=None))
    assert home.run().counts.merged == 0
    text = one.properties["content"] or ""
    assert len(text) == LONGEST
    home.home.sandbox.faults.clear()
    done = home.run()
    assert (done.error, done.counts.merged, done.counts.updated) == (None, 2, 0)
    assert home.only("7").properties["content"] == text


# Associations that nobody may see

HIDDEN = "crm.objects.contacts.read"


@pytest.mark.parametrize("scope", [HIDDEN, "crm.objects.companies.read", "crm.objects.custom.read"])
@pytest.mark.parametrize("is_rehearsal", [True, False], ids=["a dry run", "a run"])
def test_nothing_is_merged_of_which_an_association_cannot_be_seen(
    home: OperationHome, scope: str, is_rehearsal: bool
) -> None:
    """It could not be carried over; the error says which scope, and a dry run says it as well."""
    one, two = home.ticket("7"), home.ticket("7")
    home.link(two, "contacts", home.other("contacts", email="a@example.com"), CONTACT)
    tables = home.home.settings.tables
    tables = {**tables, "hubspot": {**tables["hubspot"], "objects": ["cables"]}}
    home.home.settings = attrs.evolve(home.home.settings, tables=tables)
    home.site.add_token(TOKEN, ALL_SCOPES - {scope})
    done = home.run(is_rehearsal=is_rehearsal)
    assert (done.status, done.exit_code) == ("failed", 1), done
    assert "Nothing is merged of which an association cannot be seen" in (done.error or "")
    assert scope.removesuffix(".read") in (done.error or "")
    assert {one.id, two.id} == {each.id for each in home.live()}


def test_an_association_that_cannot_be_made_stops_the_run_before_its_first_write(home: OperationHome) -> None:
    """Else the survivor would be written, and its group stay."""
    one, two = home.ticket("7", content="one"), home.ticket("7", content="two")
    home.link(two, "contacts", home.other("contacts", email="a@example.com"), CONTACT)
    home.site.add_token(TOKEN, ALL_SCOPES - {"crm.objects.contacts.write"})
    done = home.run()
    assert (done.status, done.exit_code) == ("failed", 1) and "crm.objects.contacts.write" in (done.error or "")
    assert one.properties["content"] == "one" and len(home.live()) == 2
    shown = home.run(is_rehearsal=True)
    assert shown.exit_code == 0 and "would be refused" in home.notes(shown.plan)
