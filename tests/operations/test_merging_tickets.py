"""`hubspot.merge_tickets`: tickets that are one become one, and nothing of them is lost."""

from __future__ import annotations

import pytest

from syncer import apply
from syncer.plan import MERGE as MERGED
from syncer.sandbox.hubspot.model import USER_DEFINED
from tests.operations import COMPANY, CONTACT, NOTE, PRIMARY, SAME, OperationHome


def test_three_tickets_with_one_value_become_one(home: OperationHome) -> None:
    """Whichever id a merge leaves, the next one goes into that."""
    tickets = [home.ticket("7", content=text) for text in ("one", "two", "three")]
    other = home.ticket("8")
    done = home.run()
    assert (done.error, done.counts.merged, done.exit_code) == (None, 2, 0)
    survivor = home.only("7")
    assert set(survivor.merged_ids) >= {each.id for each in tickets} - {survivor.id}
    assert [each.id for each in home.live() if each.id != survivor.id] == [other.id]
    again = home.run()
    assert (again.counts.merged, again.counts.updated, again.error) == (0, 0, None)


def test_content_of_all_is_joined_the_oldest_first(home: OperationHome) -> None:
    """Each part under a line with its ticket and date; what says the same stands there once."""
    one, two, _ = (home.ticket("7", content=text) for text in ("one", "two", " one "))
    home.run()
    text = home.only("7").properties["content"] or ""
    assert text.index(f"ticket {one.id}, 2026-") < text.index("one") < text.index(f"ticket {two.id}, 2026-")
    assert text.count("one") == 1 and text.count("---") == 4


def test_blank_properties_are_filled_from_the_next_oldest(home: OperationHome) -> None:
    """What the survivor has stays."""
    home.ticket("7", hs_ticket_priority="LOW")
    home.ticket("7", hs_ticket_priority="HIGH", hs_resolution="second")
    home.ticket("7", hs_resolution="third", source_type="EMAIL")
    home.run()
    found = home.only("7").properties
    kept = {name: found[name] for name in ("hs_ticket_priority", "hs_resolution", "source_type")}
    assert kept == {"hs_ticket_priority": "LOW", "hs_resolution": "second", "source_type": "EMAIL"}


def test_associations_of_all_end_up_on_the_survivor_with_their_labels(home: OperationHome) -> None:
    """A pair that two tickets have keeps the labels of both; the survivor's primary company stays."""
    label = USER_DEFINED, home.site.store.add_label("tickets", "companies", "Reseller").type_id
    acme, bolt, zeta = (home.other("companies", name=name) for name in ("Acme", "Bolt", "Zeta"))
    contact, note = home.other("contacts", email="a@example.com"), home.other("notes")
    one, two, three = (home.ticket("7") for _ in range(3))
    home.link(one, "companies", acme, COMPANY, PRIMARY)
    home.link(two, "companies", bolt, COMPANY, PRIMARY)
    home.link(two, "companies", acme, COMPANY, label)
    home.link(three, "companies", zeta, COMPANY)
    home.link(two, "contacts", contact, CONTACT)
    home.link(three, "notes", note, NOTE)
    shown = home.run(is_rehearsal=True)
    planned = [each.edge for each in home.changes(shown.plan) if each.edge is not None]
    made = {(each.id, each.type_id) for each in planned}
    assert made == {
        (acme.id, label[1]), (bolt.id, COMPANY), (zeta.id, COMPANY), (contact.id, CONTACT), (note.id, NOTE)
    }  # fmt: skip
    done = home.run()
    assert done.error is None
    survivor = home.only("7").id
    assert home.linked(survivor, "companies") == {
        acme.id: {COMPANY, PRIMARY, label[1]},
        bolt.id: {COMPANY},
        zeta.id: {COMPANY},
    }
    assert set(home.linked(survivor, "contacts")) == {contact.id}
    assert set(home.linked(survivor, "notes")) == {note.id}


def test_an_edge_to_a_ticket_that_another_group_took_away_meanwhile_reads_back(
    home: OperationHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands there under the id of what survived: what comes after it is sent."""
    monkeypatch.setattr(apply, "READ", {**apply.READ, MERGED: 1})  # as with more merges than one request reads
    _, taken = home.ticket("a"), home.ticket("a")
    pairs = [(home.ticket(f"b{number}"), home.ticket(f"b{number}")) for number in range(5)]
    for _, lost in pairs:
        home.site.store.associate("tickets", lost.id, "tickets", taken.id, ())
    done = home.run()
    assert (done.error, done.counts.failed, done.counts.merged, len(home.live())) == (None, 0, 6, 6)
    survivor = home.only("a").id
    assert len(home.linked(survivor, "tickets")) == 5 and home.home.clock.waited == []


def test_nothing_is_merged_until_a_site_sets_how_many(home: OperationHome) -> None:
    """A merge cannot be undone: silence is not consent, and the refusal says how many are planned."""
    home.ticket("7")
    home.ticket("7")
    done = home.words(max_merges=0).run()
    assert (done.exit_code, len(home.live())) == (4, 2)
    assert "max_merges: 1 merge," in done.trips[0]


def test_a_stored_plan_of_merges_is_held_against_the_limit_of_now(home: OperationHome) -> None:
    """A merge cannot be undone: whoever sets max_merges to 0 after a plan was made wants none."""
    home.ticket("7")
    home.ticket("7")
    made = home.words(max_merges=50).run(is_rehearsal=True)
    refused = home.words(max_merges=0).run(plan=made.plan)
    assert (made.exit_code, refused.exit_code, refused.status, len(home.live())) == (0, 4, "refused", 2)
    assert "max_merges: 1 merge, and at most 0" in refused.trips[0]
    assert home.run(plan=made.plan, is_forced=True).counts.merged == 1


def test_a_value_that_too_many_share_is_told_and_left_alone(home: OperationHome) -> None:
    """An empty-like value must not make one ticket of a thousand."""
    for _ in range(4):
        home.ticket("n/a")
    done = home.words(max_group=3).run()
    assert (done.counts.merged, done.counts.skipped, len(home.live()), done.exit_code) == (0, 4, 4, 0)
    assert "'n/a': 4" in home.notes(done.plan) and "max_group = 3" in home.notes(done.plan)


def test_what_nobody_has_a_value_of_is_no_group(home: OperationHome) -> None:
    """Blank is not a value that tickets share."""
    for _ in range(3):
        home.ticket(None)
    home.ticket("", **{SAME: ""})
    done = home.run()
    assert (done.counts.merged, done.counts.unchanged, len(home.live())) == (0, 4, 4)


@pytest.mark.parametrize("blank", ["  ", "\t", "\u00a0", "\u200b", "\ufeff"])
def test_a_value_that_nobody_can_see_is_no_group(home: OperationHome, blank: str) -> None:
    """To a person it is blank, and two tickets without a number are two. `0` is a number, `n/a` a text."""
    for value in (blank, blank, "0", "0", "n/a", "n/a"):
        home.ticket(value)
    done = home.run()
    assert (done.counts.merged, len(home.live())) == (2, 4)
