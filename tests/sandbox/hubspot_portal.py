"""A small portal made by hand, and a small client, for the tests of the HubSpot site's settings and associations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import requests

from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.hubspot import TOKEN, HubSpotSite
from syncer.sandbox.hubspot.model import Definition, Owner, Pipeline, PortalRecord, Stage

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FAMILIES = ("v3", "2026-09")


def hand_made() -> HubSpotSite:
    """Return a portal without records, but with some properties, an owner, pipelines, and a custom object."""
    site = HubSpotSite(clock=Clock(START, is_frozen=True), index_lag_s=0)
    store = site.store
    store.add_custom_kind("cables", "cable")
    for kind, name, type in (
        ("companies", "name", "string"),
        ("contacts", "email", "string"),
        ("contacts", "firstname", "string"),
        ("deals", "dealname", "string"),
        ("deals", "amount", "number"),
        ("deals", "pipeline", "enumeration"),
        ("deals", "dealstage", "enumeration"),
        ("tickets", "subject", "string"),
        ("tickets", "hs_pipeline", "enumeration"),
        ("tickets", "hs_pipeline_stage", "enumeration"),
        ("notes", "hs_note_body", "string"),
        ("notes", "hs_timestamp", "datetime"),
        ("cables", "name", "string"),
    ):
        field = {"number": "number", "enumeration": "select", "datetime": "date"}.get(type, "text")
        group = f"{kind}_information"
        defined = Definition(
            name=name, label=name.title(), type=type, field_type=field, group_name=group, hubspot_defined=True
        )
        store.define(kind, defined)
    store.owners["71"] = Owner(
        id="71", email="ada@example.com", first_name="Ada", last_name="Jansen", user_id=7, created_ms=1, updated_ms=1
    )
    store.pipelines["deals"] = {"default": _pipeline("default", "Sales", "new", "won")}
    store.pipelines["tickets"] = {"0": _pipeline("0", "Support", "1", "4")}
    return site


def _pipeline(id: str, label: str, *stages: str) -> Pipeline:
    found = [
        Stage(id=stage, label=f"Stage {stage}", display_order=order, metadata={"probability": "0.2"})
        for order, stage in enumerate(stages)
    ]
    return Pipeline(id=id, label=label, stages=found)


def some(site: HubSpotSite, kind: str, count: int = 1) -> list[PortalRecord]:
    """Create records that have what their kind needs."""
    needed: dict[str, dict[str, str | None]] = {
        "deals": {"dealname": "D", "pipeline": "default", "dealstage": "new"},
        "tickets": {"subject": "S", "hs_pipeline": "0", "hs_pipeline_stage": "1"},
    }
    return [site.store.create(kind, needed.get(kind, {site.store.kinds[kind].primary: "x"})) for _ in range(count)]


@contextlib.contextmanager
def running(site: HubSpotSite) -> Iterator[Api]:
    """Serve *site*; at the end, no request may have failed inside it."""
    with Sandbox(sites=[site], clock=site.clock) as sandbox:
        yield Api(site, sandbox.url(site.name))
        assert sandbox.errors == []


class Api:
    """Calls one family of a running site's paths: `v3`, with the v4 associations, or `2026-09`."""

    def __init__(self, site: HubSpotSite, root: str, family: str = "v3", token: str = TOKEN) -> None:
        self.site, self.root, self.family, self.token = site, root, family, token
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def by(self, family: str) -> Api:
        """Return a client of the other family."""
        return Api(self.site, self.root, family, self.token)

    def limited(self, *scopes: str) -> Api:
        """Return a client whose token may do only this."""
        secret = f"pat-{len(self.site.tokens)}"
        self.site.add_token(secret, frozenset(scopes))
        return Api(self.site, self.root, self.family, secret)

    def path(self, area: str, tail: str) -> str:
        """Return a path of the family; *area*: properties, pipelines, owners, limits, … (associations are v4 else)."""
        if self.family == "v3":
            version = "v4" if area == "associations" else "v3"
            return f"/crm/{version}/{area}{tail}"
        return f"/crm/{area}/2026-09{tail}"

    def pair_path(self, start: str, id: str, tail: str) -> str:
        """Return the path of one record's associations."""
        base = "/crm/v4/objects" if self.family == "v3" else "/crm/objects/2026-09"
        return f"{base}/{start}/{id}/associations/{tail}"

    def send(self, method: str, path: str, body: Any = None, **params: Any) -> requests.Response:
        return self.session.request(method, self.root + path, json=body, params=params, timeout=30)

    def ok(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Send; the answer must be a 2xx; return its JSON, None where it has no body."""
        answer = self.send(method, path, body, **params)
        assert 200 <= answer.status_code < 300, (answer.status_code, answer.text)
        return answer.json() if answer.content else None
