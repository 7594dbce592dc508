"""Associations that are written: labels stay, primaries move only when asked, each pair has an outcome of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from syncer.plan import ASSOCIATE, DISASSOCIATE, MERGE, Change, Edge
from syncer.sandbox import Fault
from syncer.sandbox.hubspot import PRIMARY_ID
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED
from syncer.sources.hubspot import HubSpot
from syncer.target import DONE, MISSED, REFUSED, BatchRefused, Outcome, Uncertain
from tests.sources.hubspot_home import HubSpotHome, add_custom_kind, add_settings, running, small_site, some

PLAIN, PRIMARY = 339, 26  # of a ticket's company
Spec = tuple[str, int]


@pytest.fixture(params=["v3", "2026-09"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubSpotHome]:
    site = small_site(companies=4, tickets=3, contacts=3)
    add_settings(site)
    with running(site, tmp_path, api=request.param) as running_home:
        yield running_home


def target(home: HubSpotHome) -> HubSpot:
    return cast(HubSpot, home.source("tickets"))


def ids(home: HubSpotHome, kind: str) -> list[str]:
    return list(home.site.store.records[kind])


def specs(home: HubSpotHome, ticket: str, company: str) -> set[Spec]:
    return home.site.store.specs("tickets", ticket, "companies", company)


def change(number: int, action: str, ticket: str, company: str | None, spec: Spec | int = PLAIN) -> Change:
    category, type_id = spec if isinstance(spec, tuple) else (HUBSPOT_DEFINED, spec)
    end = Edge(kind="companies", id=company, category=category, type_id=type_id)
    return Change(number=number, action=action, kind="tickets", key=ticket, id=ticket, edge=end)


def label(home: HubSpotHome, text: str) -> Spec:
    return USER_DEFINED, home.site.store.add_label("tickets", "companies", text).type_id


def states(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_a_label_is_added_to_those_that_a_pair_has(home: HubSpotHome) -> None:
    """A create replaces them: the union is sent, and the primary that the pair is stays."""
    ticket, company, own, other = (
        *(ids(home, kind)[0] for kind in ("tickets", "companies")),
        label(home, "A"),
        label(home, "B"),
    )
    home.site.store.associate("tickets", ticket, "companies", company, [own])
    before = specs(home, ticket, company)
    assert {own, (HUBSPOT_DEFINED, PRIMARY)} <= before
    assert states(target(home).send([change(1, ASSOCIATE, ticket, company, other)])) == [DONE]
    assert specs(home, ticket, company) == before | {other}


def test_two_labels_of_one_pair_in_one_batch_are_both_there(home: HubSpotHome) -> None:
    """The second must not replace the first."""
    ticket, company, own, other = (
        ids(home, "tickets")[0],
        ids(home, "companies")[0],
        label(home, "A"),
        label(home, "B"),
    )
    changes = [change(n, ASSOCIATE, ticket, company, spec) for n, spec in enumerate((own, other, PLAIN), 1)]
    assert states(target(home).send(changes)) == [DONE] * 3
    assert [len(each["inputs"]) for each in home.bodies("/batch/create")] == [1]
    assert not [each for each in home.sent() if each.endswith("/default")]  # it comes along with any label
    assert {own, other, (HUBSPOT_DEFINED, PLAIN)} <= specs(home, ticket, company)


def test_the_primary_company_moves_only_when_asked(home: HubSpotHome) -> None:
    """A label, or an association without one, leaves the primary where it is."""
    ticket, [first, second, third, _] = ids(home, "tickets")[0], ids(home, "companies")
    home.site.store.associate("tickets", ticket, "companies", first, ())
    source = target(home)
    source.send([change(1, ASSOCIATE, ticket, second)])
    source.send([change(1, ASSOCIATE, ticket, third, label(home, "A"))])
    primary = (HUBSPOT_DEFINED, PRIMARY)
    assert [primary in specs(home, ticket, each) for each in (first, second, third)] == [True, False, False]
    source.send([change(1, ASSOCIATE, ticket, second, PRIMARY)])
    assert [primary in specs(home, ticket, each) for each in (first, second, third)] == [False, True, False]


def test_an_association_without_a_label_costs_no_reading_and_keeps_labels(home: HubSpotHome) -> None:
    """The default endpoint leaves what a pair has."""
    ticket, company, own = ids(home, "tickets")[0], ids(home, "companies")[0], label(home, "A")
    home.site.store.associate("tickets", ticket, "companies", company, [own])
    source = target(home)
    source.edge_types("tickets", "companies")
    source.shape("tickets")
    home.sent()
    source.send([change(1, ASSOCIATE, ticket, company)])
    assert len(home.sent()) == 1 and own in specs(home, ticket, company)


def test_what_a_pair_has_already_is_done_and_not_sent(home: HubSpotHome) -> None:
    """Sent again, a primary that a person moved meanwhile would move back."""
    ticket, company, own = ids(home, "tickets")[0], ids(home, "companies")[0], label(home, "A")
    home.site.store.associate("tickets", ticket, "companies", company, [own])
    assert states(target(home).send([change(1, ASSOCIATE, ticket, company, own)])) == [DONE]
    assert not [each for each in home.sent() if each.endswith("/batch/create")]


def test_disassociating_a_label_leaves_the_pair_and_without_one_takes_it(home: HubSpotHome) -> None:
    """Only the label, or the whole association."""
    ticket, company, own, other = (
        ids(home, "tickets")[0],
        ids(home, "companies")[0],
        label(home, "A"),
        label(home, "B"),
    )
    home.site.store.associate("tickets", ticket, "companies", company, [own, other])
    source = target(home)
    assert states(source.send([change(1, DISASSOCIATE, ticket, company, own)])) == [DONE]
    assert specs(home, ticket, company) >= {other, (HUBSPOT_DEFINED, PLAIN)} and own not in specs(
        home, ticket, company
    )
    assert states(source.send([change(1, DISASSOCIATE, ticket, company, PRIMARY)])) == [DONE]
    assert (HUBSPOT_DEFINED, PRIMARY) not in specs(home, ticket, company) != set()
    both = [change(1, DISASSOCIATE, ticket, company, other), change(2, DISASSOCIATE, ticket, company)]
    assert states(source.send(both)) == [DONE, DONE] and specs(home, ticket, company) == set()


def test_a_bad_pair_costs_itself_only(home: HubSpotHome) -> None:
    """207: errors name their pairs; results come without order."""
    ticket, company, own = ids(home, "tickets")[0], ids(home, "companies")[0], label(home, "A")
    for spec in (PLAIN, own):
        changes = [change(1, ASSOCIATE, "42", company, spec), change(2, ASSOCIATE, ticket, company, spec)]
        outcomes = target(home).send(changes)
        assert states(outcomes) == [REFUSED, DONE] and "does not exist" in outcomes[0].reason


def test_a_type_that_is_no_more_or_an_end_that_is_not_there_is_refused_unsent(home: HubSpotHome) -> None:
    """Taken for the type without a label, it would take the whole pair."""
    ticket, company = ids(home, "tickets")[0], ids(home, "companies")[0]
    home.site.store.associate("tickets", ticket, "companies", company, ())
    source = target(home)
    outcomes = source.send(
        [change(1, DISASSOCIATE, ticket, company, (USER_DEFINED, 99)), change(2, DISASSOCIATE, ticket, None)]
    )
    assert states(outcomes) == [REFUSED, REFUSED] and specs(home, ticket, company) != set()
    assert "no such type" in outcomes[0].reason and "not there yet" in outcomes[1].reason


def test_a_silent_pair_is_missed(home: HubSpotHome) -> None:
    """Neither result nor error is not success."""
    home.fault("/batch/associate/default", {"status": "COMPLETE", "results": []}, times=1)
    outcomes = target(home).send([change(1, ASSOCIATE, ids(home, "tickets")[0], ids(home, "companies")[0])])
    assert states(outcomes) == [MISSED] and outcomes[0].reason


def test_an_error_that_names_nobody_is_not_success(home: HubSpotHome) -> None:
    """One pair, one error: it is that pair's. Of several, none is known to be done."""
    errors = {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [{"message": "Nope", "category": "X"}]}
    tickets, company = ids(home, "tickets"), ids(home, "companies")[0]
    home.fault("/batch/associate/default", errors, status=207, times=2)
    [alone] = target(home).send([change(1, ASSOCIATE, tickets[0], company)])
    assert (alone.state, alone.reason) == (REFUSED, "Nope")
    both = target(home).send([change(n, ASSOCIATE, id, company) for n, id in enumerate(tickets[:2])])
    assert DONE not in states(both)
    home.fault("/batch/archive", errors, status=207, times=1)
    gone = target(home).send([change(n, DISASSOCIATE, id, company) for n, id in enumerate(tickets[:2])])
    assert DONE not in states(gone)


def test_a_batch_that_is_refused_whole_is_said_to_be(home: HubSpotHome) -> None:
    """The caller halves it; one alone is refused with the reason."""
    tickets, company = ids(home, "tickets"), ids(home, "companies")[0]
    changes = [change(n, ASSOCIATE, id, company) for n, id in enumerate(tickets[:2])]
    home.fault("/batch/associate/default", {"category": "VALIDATION_ERROR", "message": "No"}, status=400, times=2)
    with pytest.raises(BatchRefused, match="No"):
        target(home).send(changes)
    [outcome] = target(home).send(changes[:1])
    assert (outcome.state, outcome.reason) == (REFUSED, "No")


FAULTS = ("reset_before", "reset_after", "truncate", "html", "timeout")
LOST = [(ASSOCIATE, kind) for kind in FAULTS] + [(DISASSOCIATE, kind) for kind in FAULTS if kind != "truncate"]


@pytest.mark.parametrize(("action", "kind"), LOST)  # an empty answer has nothing to cut
def test_a_lost_answer_about_edges_is_uncertain(home: HubSpotHome, kind: str, action: str) -> None:
    """They are read back, and sent again where that shows nothing."""
    fault = Fault(kind=kind, match="/batch/(associate|archive)", hang_s=0.2)  # type: ignore[arg-type]
    source = target(home)
    source.edge_types("tickets", "companies")
    home.sandbox.faults.add(fault)
    with pytest.raises(Uncertain):
        source.send([change(1, action, ids(home, "tickets")[0], ids(home, "companies")[0])])


def test_edges_are_read_in_batches_with_paging_inside_a_record(home: HubSpotHome) -> None:
    """Up to a thousand records a request; a record with many goes on by its own `after`."""
    home.site.store.edge_page = 2
    company, *_ = ids(home, "companies")
    contacts = [each.id for each in some(home.site, "contacts", 5)]
    for contact in contacts:
        home.site.store.associate("contacts", contact, "companies", company, ())
    found = target(home).edges("companies", ids(home, "companies"), "contacts")
    assert list(found) == [company] and {each.id for each in found[company]} == set(contacts)
    [types] = {tuple(sorted((each.type_id, each.is_primary) for each in other.types)) for other in found[company]}
    assert types == ((2, True), (280, False))


def test_many_edges_go_in_batches_of_two_thousand_and_a_hundred(home: HubSpotHome) -> None:
    """As many as HubSpot takes at once."""
    made = [each.id for each in some(home.site, "tickets", 2_001)]
    company = ids(home, "companies")[0]
    source = target(home)
    home.bodies("")
    done = source.send([change(n, ASSOCIATE, id, company) for n, id in enumerate(made)])
    assert set(states(done)) == {DONE} and [len(each["inputs"]) for each in home.bodies("/default")] == [2_000, 1]
    source.send([change(n, DISASSOCIATE, id, company) for n, id in enumerate(made[:101])])
    assert [len(each["inputs"]) for each in home.bodies("/batch/archive")] == [100, 1]
    assert (source.most(ASSOCIATE), source.most(DISASSOCIATE)) == (2_000, 100)


def test_edges_of_custom_objects_have_types_of_the_portals_own(home: HubSpotHome) -> None:
    """Their unlabelled type is the portal's own."""
    add_custom_kind(home.site, "machines")
    machine, company = some(home.site, "machines")[0].id, ids(home, "companies")[0]
    source = cast(HubSpot, home.source("machines", objects=["machines"]))
    [kind] = source.edge_types("machines", "companies")
    end = Edge(kind="companies", id=company, category=kind.category, type_id=kind.type_id)
    made = Change(number=1, action=ASSOCIATE, kind="machines", key=machine, id=machine, edge=end)
    assert states(source.send([made])) == [DONE] and list(source.edges("machines", [machine], "companies")) == [
        machine
    ]


def test_edges_to_several_kinds_in_one_call_each_have_an_outcome(home: HubSpotHome) -> None:
    """In the order that was asked for."""
    ticket, company, contact = (ids(home, kind)[0] for kind in ("tickets", "companies", "contacts"))
    end = Edge(kind="contacts", id=contact, category=HUBSPOT_DEFINED, type_id=16)
    other = Change(number=7, action=ASSOCIATE, kind="tickets", key=ticket, id=ticket, edge=end)
    outcomes = target(home).send([change(5, ASSOCIATE, ticket, company), other, change(6, ASSOCIATE, ticket, "42")])
    assert [(each.number, each.state) for each in outcomes] == [(5, DONE), (7, DONE), (6, REFUSED)]


# Merges


@pytest.mark.parametrize("mode", ["new", PRIMARY_ID])
def test_merges_go_one_at_a_time_into_what_survived_the_last(home: HubSpotHome, mode: str) -> None:
    """The answer's id counts, be it a third one or the primary's."""
    home.site.merge_mode = mode
    kept, *lost = ids(home, "companies")
    merges = [Change(number=n, action=MERGE, kind="companies", key=id, id=id, into=kept) for n, id in enumerate(lost)]
    outcomes = target(home).send(merges)
    assert states(outcomes) == [DONE] * 3 and ids(home, "companies") == [outcomes[-1].id]
    assert (outcomes[-1].id == kept) == (mode == PRIMARY_ID)


def test_a_merge_that_cannot_be_is_refused_with_the_reason(home: HubSpotHome) -> None:
    """Too many records were merged into one already (414), a record that is not there (404), itself (400)."""
    first, second, third, _ = ids(home, "companies")
    home.site.store.records["companies"][first].merged_ids = [str(n) for n in range(250)]
    merge = Change(number=1, action=MERGE, kind="companies", key=second, id=second, into=first)
    [outcome] = target(home).send([merge])
    assert outcome.state == REFUSED and "250 identities" in outcome.reason
    [gone] = target(home).send([Change(number=1, action=MERGE, kind="companies", key="42", id="42", into=third)])
    assert gone.state == MISSED
    [itself] = target(home).send([Change(number=1, action=MERGE, kind="companies", key=third, id=third, into=third)])
    assert itself.state == REFUSED and "itself" in itself.reason


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate", "html"])
def test_a_lost_answer_to_a_merge_is_uncertain(home: HubSpotHome, kind: str) -> None:
    """Both ids are read then: they lead to one record where it was done."""
    first, second, *_ = ids(home, "companies")
    home.sandbox.faults.add(Fault(kind=kind, match="/merge"))  # type: ignore[arg-type]
    source = target(home)
    with pytest.raises(Uncertain):
        source.send([Change(number=1, action=MERGE, kind="companies", key=second, id=second, into=first)])
    found = source.find("companies", [first, second], by=None, properties=["name"])
    is_one = len({each.id for each in found.values()}) == 1
    assert is_one == (kind in ("reset_after", "truncate"))


def test_a_merge_whose_answer_names_no_survivor_is_uncertain(home: HubSpotHome) -> None:
    """Without its id nobody can go on with it."""
    first, second, *_ = ids(home, "companies")
    home.fault("/merge", {"properties": {}}, times=1)
    with pytest.raises(Uncertain):
        target(home).send([Change(number=1, action=MERGE, kind="companies", key=second, id=second, into=first)])
