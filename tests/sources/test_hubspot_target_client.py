"""HubSpot's own client for Python does the same writes against the sandbox: both leave the same portal behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import hubspot
import pytest
from hubspot.crm.companies.exceptions import ApiException

from syncer.plan import ARCHIVE, ASSOCIATE, CREATE, DISASSOCIATE, MERGE, UPDATE, Change, Edge, Edit
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED
from syncer.sources.hubspot import HubSpot
from syncer.target import BatchRefused
from tests.sources.hubspot_home import HubSpotHome, add_settings, define, running, small_site

State = dict[str, Any]


def portal(folder: Path, do: Callable[[HubSpotHome], None]) -> State:
    """Make a portal, always the same, let *do* write to it, and return what it holds then."""
    site = small_site(companies=6, tickets=2)
    add_settings(site)
    define(site, "companies", "client_id", has_unique_value=True)
    site.store.add_label("tickets", "companies", "Pays for")
    with running(site, folder) as home:
        do(home)
    kept = ("name", "client_id", "phone", "hs_merged_object_ids")
    records = {
        record.id: ({name: record.properties.get(name) or None for name in kept}, record.is_archived)
        for record in site.store.records["companies"].values()
    }
    edges = {
        (one, other, spec)
        for one, others in site.store.edges.get(("tickets", "companies"), {}).items()
        for other, specs in others.items()
        for spec in specs
    }
    return {"records": records, "edges": edges, "merged": site.store.merged["companies"]}


def known(home: HubSpotHome) -> tuple[list[str], list[str]]:
    return list(home.site.store.records["companies"]), list(home.site.store.records["tickets"])


def by_us(home: HubSpotHome) -> None:
    """Write as a push does."""
    source = cast(HubSpot, home.source("companies"))
    companies, [first, second] = known(home)

    def change(action: str, id: str | None = None, **more: Any) -> None:
        fields = {name: Edit(None, value) for name, value in more.pop("values", {}).items()}
        [outcome] = source.send(
            [Change(number=1, action=action, kind="companies", key="k", id=id, fields=fields, **more)]
        )
        assert outcome.state == "done", outcome

    def edge(action: str, ticket: str, company: str, category: str, type_id: int) -> None:
        end = Edge(kind="companies", id=company, category=category, type_id=type_id)
        source.send([Change(number=1, action=action, kind="tickets", key=ticket, id=ticket, edge=end)])

    change(CREATE, values={"name": "O'Neil {x} 😀", "client_id": "k-1"})
    change(UPDATE, companies[0], values={"name": "New"})
    change(UPDATE, companies[1], values={"name": ""})
    change(ARCHIVE, companies[2])
    edge(ASSOCIATE, first, companies[0], HUBSPOT_DEFINED, 339)
    edge(ASSOCIATE, first, companies[1], HUBSPOT_DEFINED, 26)
    edge(ASSOCIATE, second, companies[0], USER_DEFINED, 1)
    edge(ASSOCIATE, second, companies[1], HUBSPOT_DEFINED, 339)
    edge(DISASSOCIATE, second, companies[0], USER_DEFINED, 1)
    edge(DISASSOCIATE, second, companies[1], HUBSPOT_DEFINED, 339)
    change(MERGE, companies[4], into=companies[3])


def by_the_client(home: HubSpotHome) -> None:
    """Write the same by the official client's own methods."""
    client = hubspot.Client.create(access_token=TOKEN, host=home.sandbox.url("hubspot"))
    companies, [first, second] = known(home)
    batch, edges = client.crm.companies.batch_api, client.crm.associations.v4.batch_api

    def inputs(*each: dict[str, Any]) -> dict[str, Any]:
        return {"inputs": list(each)}

    def pair(ticket: str, company: str, *specs: tuple[str, int]) -> dict[str, Any]:
        types = [{"associationCategory": category, "associationTypeId": type_id} for category, type_id in specs]
        return {"from": {"id": ticket}, "to": {"id": company}} | ({"types": types} if types else {})

    new = {"name": "O'Neil {x} 😀", "client_id": "k-1"}
    batch.create(inputs({"properties": new, "objectWriteTraceId": "1", "associations": []}))
    for id, name in ((companies[0], "New"), (companies[1], "")):
        batch.update(inputs({"id": id, "properties": {"name": name}, "objectWriteTraceId": "1"}))
    batch.archive(inputs({"id": companies[2]}))
    ends = ("tickets", "companies")
    edges.create_default(*ends, inputs(pair(first, companies[0])))
    edges.create(*ends, inputs(pair(first, companies[1], (HUBSPOT_DEFINED, 26))))
    edges.create(*ends, inputs(pair(second, companies[0], (USER_DEFINED, 1))))
    edges.create_default(*ends, inputs(pair(second, companies[1])))
    edges.archive_labels(*ends, inputs(pair(second, companies[0], (USER_DEFINED, 1))))
    edges.archive(*ends, inputs({"from": {"id": second}, "to": [{"id": companies[1]}]}))
    client.crm.companies.basic_api.merge({"primaryObjectId": companies[3], "objectIdToMerge": companies[4]})


def test_the_official_client_and_a_push_leave_the_same_portal(tmp_path: Path) -> None:
    """Create, update, clear, archive, associate, label, take away, merge: where the two differ, one errs."""
    ours, theirs = portal(tmp_path / "ours", by_us), portal(tmp_path / "theirs", by_the_client)
    assert ours == theirs
    assert ours["edges"] and ours["merged"] and any(is_archived for _, is_archived in ours["records"].values())


def test_both_are_refused_alike(tmp_path: Path) -> None:
    """One input twice refuses the whole batch, by whoever it is sent."""
    site = small_site(companies=1)
    with running(site, tmp_path) as home:
        [id] = site.store.records["companies"]
        fields = {"name": Edit(None, "X")}
        changes = [Change(number=n, action=UPDATE, kind="companies", key=id, id=id, fields=fields) for n in (1, 2)]
        with pytest.raises(BatchRefused, match="Duplicate IDs"):
            cast(HubSpot, home.source("companies")).send(changes)
        client = hubspot.Client.create(access_token=TOKEN, host=home.sandbox.url("hubspot"))
        twice = [{"id": id, "properties": {"name": "X"}, "objectWriteTraceId": str(n)} for n in (1, 2)]
        with pytest.raises(ApiException) as caught:
            client.crm.companies.batch_api.update({"inputs": twice})
        assert caught.value.status == 400 and site.store.records["companies"][id].properties["name"] != "X"
