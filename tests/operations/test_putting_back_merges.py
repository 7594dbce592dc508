"""A revert of merges makes new tickets of what the journal kept, and says what cannot come back."""

from __future__ import annotations

from syncer.sandbox.hubspot.model import USER_DEFINED
from tests.operations import COMPANY, PRIMARY, RESTORED_FROM, SAME, OperationHome


def test_tickets_come_back_with_their_values_and_edges(home: OperationHome) -> None:
    """Under other ids: which one each was before, a property of ours says."""
    label = USER_DEFINED, home.site.store.add_label("tickets", "companies", "Reseller").type_id
    acme, bolt = home.other("companies", name="Acme"), home.other("companies", name="Bolt")
    one = home.ticket("7", content="one", subject="First")
    two = home.ticket("7", content="two", subject="Second", hs_resolution="done")
    home.link(one, "companies", acme, COMPANY, PRIMARY)
    home.link(two, "companies", bolt, COMPANY, PRIMARY, label)
    done = home.run()
    shown = home.revert(done.run or "", is_rehearsal=True)
    assert "another id" in home.notes(shown.plan) and "timeline" in home.notes(shown.plan)
    put = home.revert(done.run or "")
    assert (put.error, put.counts.created) == (None, 1)
    [back] = [each for each in home.live() if each.properties.get(RESTORED_FROM)]
    kept = {name: back.properties.get(name) for name in (RESTORED_FROM, SAME, "content", "subject", "hs_resolution")}
    assert kept == {RESTORED_FROM: two.id, SAME: "7", "content": "two", "subject": "Second", "hs_resolution": "done"}
    assert home.linked(back.id, "companies") == {bolt.id: {COMPANY, PRIMARY, label[1]}}
    [survivor] = [each for each in home.live() if each.id != back.id]
    assert (survivor.properties["content"], survivor.properties.get("hs_resolution") or None) == ("one", None)
    assert home.linked(survivor.id, "companies") == {acme.id: {COMPANY, PRIMARY}}


def test_what_people_changed_on_the_survivor_since_stands(home: OperationHome) -> None:
    """It is a conflict that names both values."""
    home.ticket("7", content="one")
    home.ticket("7", content="two")
    done = home.run()
    survivor = home.only("7")
    home.site.store.update("tickets", survivor.id, {"content": "mine"}, source_type="CRM_UI")
    put = home.revert(done.run or "")
    assert (put.counts.created, put.counts.conflicts) == (1, 1)
    assert home.site.store.records["tickets"][survivor.id].properties["content"] == "mine"


def test_edges_stay_on_the_survivor_where_their_record_cannot_be_made(home: OperationHome) -> None:
    """Taken off before the new one has them, they would be nowhere."""
    acme = home.other("companies", name="Acme")
    home.ticket("7")
    home.link(home.ticket("7", hs_ticket_priority="HIGH"), "companies", acme, COMPANY)
    done = home.run()
    definition = home.site.store.definitions["tickets"]["hs_ticket_priority"]
    definition.options[:] = [each for each in definition.options if each["value"] != "HIGH"]
    home.home.later()
    put = home.revert(done.run or "")
    assert (put.counts.created, put.counts.rejected, put.exit_code) == (0, 1, 1)
    assert set(home.linked(home.only("7").id, "companies")) == {acme.id}


def test_a_second_revert_makes_nothing(home: OperationHome) -> None:
    """What is there again is not made twice."""
    home.ticket("7")
    home.ticket("7")
    done = home.run()
    home.revert(done.run or "")
    shown = home.revert(done.run or "", is_rehearsal=True)
    assert (shown.counts.created, len(home.changes(shown.plan))) == (0, 0)
    again = home.revert(done.run or "")
    assert (again.counts.created, len(home.live())) == (0, 2)


def test_what_was_put_back_is_not_merged_again(home: OperationHome) -> None:
    """Somebody said no: the next nightly run leaves the group alone, and says so."""
    home.ticket("7")
    home.ticket("7")
    done = home.run()
    home.revert(done.run or "")
    again = home.run()
    assert (again.counts.merged, again.counts.skipped, again.exit_code) == (0, 2, 0)
    assert "put back by a revert" in home.notes(again.plan)


def test_a_portal_without_our_property_cannot_put_back(home: OperationHome) -> None:
    """The plan says so beforehand, and the revert as well."""
    del home.site.store.definitions["tickets"][RESTORED_FROM]
    home.ticket("7")
    home.ticket("7")
    done = home.run()
    assert "cannot be put back" in home.notes(done.plan)
    put = home.revert(done.run or "")
    assert (put.counts.created, put.counts.conflicts, len(home.live())) == (0, 1, 1)
