"""What became of a write whose answer was lost is read back, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer import settling, sources
from syncer.plan import ASSOCIATE, DISASSOCIATE, DONE, MERGE, MOVED, PLANNED, Change, Edge
from syncer.settling_merges import Patience
from tests.outbound import START, PushHome, at_home

UNLABELLED = 339  # from a ticket to a company


@pytest.fixture
def home(tmp_path: Path) -> Iterator[PushHome]:
    """Nothing here is the warehouse's business."""
    with at_home(tmp_path / "home", "duckdb") as found:
        yield found


def settled(home: PushHome, *changes: Change) -> list[Change]:
    patience = Patience(clock=home.clock, seconds=0.0, since=START)
    source = sources.connect(home.settings.account("hubspot"), doors=home.doors, streams=())
    try:
        return settling.settled(source, source.shape(changes[0].kind), changes, match_on=None, patience=patience)  # type: ignore[attr-defined, arg-type]
    finally:
        source.close()


def of_edge(action: str, number: int, ticket: str, company: str) -> Change:
    edge = Edge(kind="companies", id=company, category="HUBSPOT_DEFINED", type_id=UNLABELLED)
    return Change(number=number, action=action, kind="tickets", key=ticket, id=ticket, edge=edge)


def test_an_edge_is_done_where_the_pair_has_its_type(home: PushHome) -> None:
    """Neither has fields that could be compared: an empty comparison must not mean done."""
    store = home.site.store
    needed = {"subject": "S", "hs_pipeline": "0", "hs_pipeline_stage": "1"}
    linked, bare = (store.create("tickets", dict(needed)).id for _ in range(2))
    company = home.make("1").id
    store.associate("tickets", linked, "companies", company, [("HUBSPOT_DEFINED", UNLABELLED)])
    for action, states in ((ASSOCIATE, [DONE, PLANNED]), (DISASSOCIATE, [PLANNED, DONE])):
        found = settled(home, of_edge(action, 1, linked, company), of_edge(action, 2, bare, company))
        assert [change.state for change in found] == states


def test_a_merge_is_done_where_both_ids_lead_to_one_record(home: PushHome) -> None:
    """The id of the record that survives may be a third one."""
    one, two, other = (home.make(str(number)).id for number in range(3))
    merge = Change(number=1, action=MERGE, kind="companies", key="1", id=two, into=one)
    assert settled(home, merge)[0].state == PLANNED
    survivor = home.site.store.merge("companies", one, two)
    [found] = settled(home, merge)
    assert (found.state, found.id) == (DONE, survivor.id)
    assert (
        settled(home, Change(number=1, action=MERGE, kind="companies", key="1", id=other, into=one))[0].state == MOVED
    )
