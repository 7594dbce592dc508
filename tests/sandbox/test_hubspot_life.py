"""The life of a HubSpot portal: what happens leaves a portal that the API could be in, and comes from its seed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from syncer.sandbox import Clock
from syncer.sandbox.hubspot import ALL_SCOPES, TOKEN, HubSpotSite
from syncer.sandbox.hubspot.call import SENSITIVE
from syncer.sandbox.hubspot.events import Event
from syncer.sandbox.hubspot.life import Life, edit
from syncer.sandbox.hubspot.life_values import NothingToDo, Values, is_number
from syncer.sandbox.hubspot.model import DAY_MS, HUBSPOT_DEFINED, MIRRORS, PRIMARY
from syncer.sandbox.hubspot.property_routes import SENSITIVITIES
from syncer.sandbox.hubspot.stages import STAGE_OF
from syncer.sandbox.hubspot.store import Store
from syncer.sandbox.hubspot.truth import ORDER, of, shown_names
from tests.sandbox.hubspot_portal import START, hand_made, running

DAYS = 30
KINDS = {
    "create",
    "edit",
    "archive",
    "restore",
    "merge",
    "merge_merged",
    "purge",
    "associate",
    "disassociate",
    "relabel",
    "new_property",
    "retype_property",
    "archive_property",
    "rename_property",
    "owner_joins",
    "owner_leaves",
    "stage_added",
}


def portal(seed: int = 3, *, mode: str = "new") -> HubSpotSite:
    site = HubSpotSite.generate(seed=seed, custom=True, clock=Clock(START, is_frozen=True))
    site.merge_mode = mode
    return site


def check(store: Store) -> None:
    """Assert what is true of a portal at any time."""
    for kind, records in store.records.items():
        check_ids(store, kind)
        for id, record in records.items():
            assert record.id == id == record.properties["hs_object_id"] and record.kind == kind
            assert record.created_ms <= record.updated_ms <= store.now_ms()
            check_stage(store, kind, record.properties)
    check_edges(store)
    assert any(not owner.is_archived for owner in store.owners.values())


def check_ids(store: Store, kind: str) -> None:
    """An id is a record, or leads to one that is there, or is gone for good: one of the three."""
    live, merged, purged = set(store.records[kind]), set(store.merged[kind]), store.purged[kind]
    assert not live & merged and not live & purged and not merged & purged
    assert set(store.merged[kind].values()) <= live
    for record in store.records[kind].values():
        assert all(store.merged[kind][old] == record.id for old in record.merged_ids if old != record.id)
        shown = record.properties.get("hs_merged_object_ids")
        assert not record.merged_ids or shown == ";".join(record.merged_ids)


def check_stage(store: Store, kind: str, properties: dict[str, str | None]) -> None:
    """A pipeline comes with one of its own stages."""
    for name, stage_name in STAGE_OF.items():
        pipeline = store.pipelines.get(kind, {}).get(properties.get(name) or "")
        if pipeline is not None:
            assert properties[stage_name] in [stage.id for stage in pipeline.stages]


def check_edges(store: Store) -> None:
    """Both ends are there, both directions say the same, the unlabelled type is there, one company is primary."""
    for start, start_id, end, end_id, specs in edges(store):
        assert start_id in store.records[start] and end_id in store.records[end], (start, start_id, end, end_id)
        assert (start, start_id) != (end, end_id)
        labels = [store.label_of(start, end, spec) for spec in specs]
        assert all(labels) and store.default_spec(start, end) in specs
        back = {(label.category, label.inverse) for label in labels if label}
        assert store.specs(end, end_id, start, start_id) == back
    for (start, end), type_id in PRIMARY.items():
        for id, record in store.records[start].items():
            others = store.edges.get((start, end), {}).get(id, {})
            primary = [other for other, specs in others.items() if (HUBSPOT_DEFINED, type_id) in specs]
            assert primary == [company for company in [record.properties.get(MIRRORS[start])] if company]


def edges(store: Store) -> Iterator[tuple[str, str, str, str, set[tuple[str, int]]]]:
    for (start, end), found in store.edges.items():
        for start_id, others in found.items():
            for end_id, specs in others.items():
                yield start, start_id, end, end_id, specs


@pytest.mark.parametrize("mode", ["new", "primary"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thirty_days_leave_a_portal_that_the_api_could_be_in(seed: int, mode: str) -> None:
    """Every day is looked at; and each kind of event happens, those that concern records often."""
    site = portal(mode=mode)
    life = Life(site, seed)
    for _ in range(DAYS):
        life.day()
        check(site.store)
    counts = Counter(event.kind for event in site.events)
    assert set(counts) - {"expire"} == KINDS
    assert min(counts[kind] for kind in KINDS) >= 3, counts
    assert all(counts[kind] >= 10 for kind in ("merge", "merge_merged", "purge", "restore", "relabel")), counts
    assert sum(counts.values()) == pytest.approx(DAYS * 40, rel=0.15)


def test_a_day_is_a_day_long_and_its_events_come_in_order() -> None:
    """They are spread over it, so that pulls in between see some of them."""
    site = portal()
    events = Life(site, 1).day()
    times = [event.ms for event in events]
    assert site.clock.now().timestamp() - START.timestamp() == pytest.approx(86_400, abs=0.001)
    assert times == sorted(times) and len(set(times)) == len(times) and events == site.events


def test_a_step_takes_no_time() -> None:
    """The clock belongs to whoever makes people edit while a pull runs."""
    site = portal()
    event = Life(site, 1).step()
    assert site.events == [event] and site.clock.now() == START


def test_the_same_seed_gives_the_same_life() -> None:
    """In another process as well, where texts hash differently."""
    script = (
        "import hashlib; from tests.sandbox.test_hubspot_life import *; site = portal(); life = Life(site, 5)\n"
        "for _ in range(20): life.day()\n"
        "print(hashlib.sha256(repr(site.events).encode()).hexdigest())"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(set(told)) == 1
    other = portal()
    Life(other, 6).day()
    again = portal()
    Life(again, 5).day()
    assert [each.text for each in other.events] != [each.text for each in again.events]


def test_edits_are_described() -> None:
    """`site.edit` is what every site of the sandbox has."""
    site = portal()
    told = site.edit(25, 4)
    assert told == [event.text for event in site.events] and all(told)
    assert edit(portal(), 25, 4) == told


def happened(site: HubSpotSite, kind: str) -> list[Event]:
    return [event for event in site.events if event.kind == kind]


@pytest.fixture(scope="module")
def lived() -> HubSpotSite:
    """A portal after thirty days."""
    site = portal()
    life = Life(site, 8, unfit_share=0.2)
    for _ in range(DAYS):
        life.day()
    return site


def test_events_name_what_they_concern(lived: HubSpotSite) -> None:
    """A test explains a difference by the event that caused it."""
    store = lived.store
    for event in happened(lived, "purge"):
        assert set(event.ids) <= store.purged[event.type]
    for event in [*happened(lived, "merge"), *happened(lived, "merge_merged")]:
        primary, lost, survivor = event.ids
        assert primary != lost and {primary, lost} <= set(store.merged[event.type]) | store.purged[event.type]
        assert survivor not in (primary, lost)
    for event in happened(lived, "stage_added"):
        assert event.name in [stage.id for stage in store.pipelines[event.type][event.other].stages]
    for kind in ("associate", "disassociate", "relabel"):
        assert all(event.other in store.kinds and len(event.ids) == 2 for event in happened(lived, kind))


def test_merges_of_merged_records_chain_up(lived: HubSpotSite) -> None:
    """The oldest id leads to the one that is there now, in one step."""
    records = [record for found in lived.store.records.values() for record in found.values()]
    deepest = max(records, key=lambda record: len(record.merged_ids))
    assert len(deepest.merged_ids) >= 4
    assert all(lived.store.find(deepest.kind, old) is deepest for old in deepest.merged_ids)


def test_a_string_becomes_a_number_and_back_and_what_does_not_fit_is_named(lived: HubSpotSite) -> None:
    """The API goes on showing such a value."""
    turns = Counter(event.name for event in happened(lived, "retype_property"))
    assert max(turns.values()) >= 2
    unfit = [event for event in happened(lived, "retype_property") if event.ids]
    assert unfit
    for kind, definitions in lived.store.definitions.items():
        for definition in definitions.values():
            if definition.name.startswith("life_") and definition.type == "number":
                values = [each.properties.get(definition.name) for each in lived.store.records[kind].values()]
                assert sum(not is_number(value) for value in values if value) < len(values)


def test_what_lay_in_the_bin_for_90_days_is_gone() -> None:
    """It can be restored until then."""
    site = portal()
    life = Life(site, 1)
    id = next(id for id, each in site.store.records["notes"].items() if not each.is_archived)
    site.store.archive("notes", id)
    site.clock.advance(89 * DAY_MS / 1000)
    assert of(site, "notes")[id,]["state"] == "archived" and id not in site.store.purged["notes"]
    site.clock.advance(DAY_MS / 1000 + 1)
    assert (id,) not in of(site, "notes")
    life.day(1)
    assert id in site.store.purged["notes"]
    assert (id,) in [event.ids for event in happened(site, "expire")]


def test_what_people_write_the_api_would_take() -> None:
    """Values are drawn from the definitions: an app that sent the same would not be refused."""
    site = portal()
    site.limits = None
    kinds = site.store.kinds
    site.add_token(TOKEN, ALL_SCOPES | {SENSITIVE.format(kind, which) for kind in kinds for which in SENSITIVITIES})
    values = Values(store=site.store, rng=random.Random(1))
    with running(site) as api:
        for kind in kinds:
            for _ in range(8):
                api.ok("POST", api.path("objects", f"/{kind}"), {"properties": values.record(kind)})
            record = next(each for each in site.store.records[kind].values() if not each.is_archived)
            for _ in range(8):
                if changes := values.changes(record, count=5):
                    api.ok("PATCH", api.path("objects", f"/{kind}/{record.id}"), {"properties": changes})


def test_a_record_whose_address_was_taken_stays_in_the_bin() -> None:
    """Two contacts with one address are what no portal has."""
    site = HubSpotSite(clock=Clock(START, is_frozen=True))
    life = Life(site, 1)
    old = site.store.create("contacts", {"email": "a@example.com"})
    site.store.archive("contacts", old.id)
    taken = site.store.create("contacts", {"email": "a@example.com"})
    with pytest.raises(NothingToDo):
        life.restore()
    site.store.purge("contacts", taken.id)
    assert life.restore().ids == (old.id,)


def test_the_last_owner_stays() -> None:
    """Somebody pays for the portal."""
    site = hand_made()
    with pytest.raises(NothingToDo):
        Life(site, 1).owner_leaves()


def test_life_begins_on_an_empty_portal() -> None:
    """The first event can only be a create."""
    site = hand_made()
    site.store.definitions["deals"].clear()
    assert Life(site, 1).create().ids[0] in {id for found in site.store.records.values() for id in found}
    assert edit(site, 30, 2)
    check(site.store)


# The truth


def test_the_truth_tells_every_id_and_its_state(lived: HubSpotSite) -> None:
    """Purged ones are nowhere; a merged one leads to what is there."""
    truth = of(lived, "contacts")
    records = lived.store.records["contacts"]
    states = Counter(each["state"] for each in truth.values())
    assert states["live"] == sum(not each.is_archived for each in records.values())
    assert states["archived"] and states["merged"] == len(lived.store.merged["contacts"])
    assert not {id for (id,) in truth} & lived.store.purged["contacts"]
    for (id,), each in truth.items():
        if each["state"] == "merged":
            assert each["record"] is None and truth[each["into"],]["state"] != "merged"
        else:
            assert each["record"]["id"] == id and each["into"] is None
            assert each["record"]["archived"] == (each["state"] == "archived")


def test_the_truth_of_a_record_has_all_live_properties(lived: HubSpotSite) -> None:
    """Archived ones are not shown any more."""
    (event, *_) = happened(lived, "archive_property")
    for each in of(lived, event.type).values():
        assert each["record"] is None or event.name not in each["record"]["properties"]
    live = [key for key, each in of(lived, "properties").items() if key[0] == event.type and each["state"] == "live"]
    shown = next(each["record"]["properties"] for each in of(lived, event.type).values() if each["record"])
    assert {name for _, name in live} <= set(shown)
    assert of(lived, "properties")[event.type, event.name]["state"] == "archived"


def test_the_truth_of_a_record_is_what_the_api_shows(lived: HubSpotSite) -> None:
    """Live ones and archived ones, with all properties, to the letter."""
    lived.limits = None
    with running(lived) as api:
        for kind in lived.store.kinds:
            for state in ("live", "archived"):
                truth = {key[0]: each["record"] for key, each in of(lived, kind).items() if each["state"] == state}
                ids = list(truth)[:100]
                body = {"inputs": [{"id": id} for id in ids], "properties": shown_names(lived.store, kind)}
                path = api.path("objects", f"/{kind}/batch/read")
                found = api.ok("POST", path, body, archived=str(state == "archived").lower())["results"] if ids else []
                assert {each["id"]: each for each in found} == {id: truth[id] for id in ids}


def test_the_truth_of_associations_is_what_the_api_shows(lived: HubSpotSite) -> None:
    """Read by the kind that comes first, from all of its records."""
    lived.limits = None
    truth = {key for key in of(lived, "associations") if key[0] == "contacts"}
    found = set()
    with running(lived) as api:
        for end in ("contacts", "companies", "machines"):
            body = {"inputs": [{"id": id} for id in lived.store.records["contacts"]]}
            for each in api.ok("POST", f"/crm/v4/associations/contacts/{end}/batch/read", body)["results"]:
                for to in each["to"]:
                    for one in to["associationTypes"]:
                        other = str(to["toObjectId"])
                        found.add(("contacts", each["from"]["id"], end, other, one["category"], one["typeId"]))
    assert found == truth


def test_the_truth_of_associations_has_each_edge_from_one_side(lived: HubSpotSite) -> None:
    """From the kind that comes first; between records of one kind from both."""
    truth = of(lived, "associations")
    names = [*ORDER, *sorted(name for name, kind in lived.store.kinds.items() if kind.is_custom)]
    for start, start_id, end, end_id, *_ in truth:
        assert names.index(start) <= names.index(end)
        assert not lived.store.records[start][start_id].is_archived
        assert not lived.store.records[end][end_id].is_archived
    for start, start_id, end, end_id, specs in edges(lived.store):
        both_live = not (
            lived.store.records[start][start_id].is_archived or lived.store.records[end][end_id].is_archived
        )
        for category, type_id in specs:
            is_there = (start, start_id, end, end_id, category, type_id) in truth
            assert is_there == (both_live and names.index(start) <= names.index(end))


def test_the_truth_of_settings_follows_life(lived: HubSpotSite) -> None:
    """Owners who left are there still, stages that came are."""
    owners = of(lived, "owners")
    assert {each["archived"] for each in owners.values()} == {True, False}
    assert {(event.type, event.other, event.name) for event in happened(lived, "stage_added")} <= set(
        of(lived, "pipeline_stages")
    )
    assert {(kind, pipeline) for kind, pipeline, _ in of(lived, "pipeline_stages")} <= set(of(lived, "pipelines"))
    with pytest.raises(KeyError, match="associations"):
        of(lived, "nothing")
