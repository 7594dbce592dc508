"""A revert of merges makes new tickets of what the journal kept, and says what cannot come back."""

from __future__ import annotations

from typing import Any

import pytest

from syncer import settling_merges
from syncer.sandbox.hubspot.model import USER_DEFINED, PortalRecord
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


def three(home: OperationHome) -> list[PortalRecord]:
    """One ticket of three by now, of which two had a company each and a text."""
    made = []
    for number, text in enumerate(("one", "two", "three")):
        made.append(home.ticket("7", content=text))
        if number:
            home.link(made[-1], "companies", home.other("companies"), COMPANY)
    return made


def test_a_survivor_keeps_what_it_got_of_what_does_not_come_back(home: OperationHome) -> None:
    """Taken off, it would be nowhere; the plan names the records."""
    del home.site.store.definitions["tickets"][RESTORED_FROM]
    tickets = three(home)
    done = home.run()
    before = home.only("7").properties["content"], home.linked(home.only("7").id, "companies")
    put = home.revert(done.run or "")
    assert (put.counts.created, put.exit_code, home.changes(put.plan)) == (0, 3, [])
    assert (home.only("7").properties["content"], home.linked(home.only("7").id, "companies")) == before
    reasons = [each["reason"] for each in home.home.problems(put.plan) if each["field"] in ("content", "companies")]
    assert len(reasons) == 3 and all(f"{tickets[1].id}, {tickets[2].id}" in reason for reason in reasons)


def test_a_survivor_keeps_its_text_where_a_create_is_rejected(home: OperationHome) -> None:
    """The update that takes it away waits for all that went into it."""
    tickets = three(home)
    home.site.store.update("tickets", tickets[2].id, {"hs_ticket_priority": "HIGH"}, source_type="CRM_UI")
    done = home.run()
    text = home.only("7").properties["content"]
    definition = home.site.store.definitions["tickets"]["hs_ticket_priority"]
    definition.options[:] = [each for each in definition.options if each["value"] != "HIGH"]
    home.home.later()
    put = home.revert(done.run or "")
    assert (put.counts.created, put.counts.rejected, put.counts.updated) == (1, 1, 0)
    back = next(each for each in home.live() if each.properties.get(RESTORED_FROM))
    survivor = next(each for each in home.live() if each.id != back.id)
    assert survivor.properties["content"] == text and len(home.linked(survivor.id, "companies")) == 2


@pytest.mark.parametrize("restored", [0, 1, 2])
def test_what_was_archived_is_not_taken_off_its_survivor(home: OperationHome, restored: int) -> None:
    """Only the UI restores the others; where it did that with all of them, the survivor is as it was."""
    tickets = three(home)
    done = home.words(mode="archive", max_archives=100).run()
    survivor = home.only("7")
    before = survivor.properties["content"], home.linked(survivor.id, "companies")
    for each in tickets[1 : 1 + restored]:
        home.site.store.restore("tickets", each.id)
    home.home.later(900)
    put = home.revert(done.run or "")
    now = survivor.properties["content"], home.linked(survivor.id, "companies")
    assert now == (("one", {}) if restored == 2 else before)
    assert put.error is None and bool(home.home.problems(put.plan)) == (restored < 2)


def test_one_who_merged_for_another_run_keeps_what_that_one_needs(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run was killed before its merges, and the next one finished them: the first alone does not bring them back."""
    three(home)

    def end(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(settling_merges, "as_planned", end)
        with pytest.raises(KeyboardInterrupt):
            home.run()
    [(killed,)] = home.rows("SELECT run FROM syncer.runs")
    home.home.later()
    home.run()
    for _ in range(2):
        home.revert(killed)
        texts = " ".join(str(each.properties["content"]) for each in home.live())
        assert all(text in texts for text in ("one", "two", "three"))
