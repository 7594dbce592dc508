"""A portal with tickets that are one, and what an operation on it needs: what the tests of operations stand on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from syncer import operating, reverting
from syncer.executing import Request
from syncer.findings import Report
from syncer.plan import Change
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.definitions import of_kind
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, Definition, PortalRecord
from syncer.tally import Pushed
from tests.outbound import PushHome, at_home, portal

MERGE = "hubspot.merge_tickets"
SAME, RESTORED_FROM = "nerds_ticket_id", "syncer_restored_from"
COMPANY, PRIMARY, CONTACT, NOTE = 339, 26, 16, 227
TICKET = {"hs_pipeline": "0", "hs_pipeline_stage": "1"}


@attrs.define
class OperationHome:
    """A `PushHome` whose tickets may be one; words: what `syncer.toml` says of the operation."""

    home: PushHome

    @property
    def site(self) -> HubSpotSite:
        """The portal."""
        return self.home.site

    def words(self, operation: str = MERGE, **words: Any) -> OperationHome:
        """Say what `syncer.toml` says of an operation."""
        settings = self.home.settings
        tables = {**settings.tables, operation: {**settings.tables.get(operation, {}), **words}}
        self.home.settings = attrs.evolve(settings, tables=tables)
        return self

    def run(self, operation: str = MERGE, **request: Any) -> Pushed:
        """Run an operation that makes a plan, however it ends."""
        done = operating.run(operation, settings=self.home.settings, request=Request(**request), doors=self.home.doors)
        assert isinstance(done, Pushed)
        return done

    def report(self, operation: str, **request: Any) -> Report:
        """Run an operation that makes a report, however it ends."""
        done = operating.run(operation, settings=self.home.settings, request=Request(**request), doors=self.home.doors)
        assert isinstance(done, Report)
        return done

    def revert(self, run: str, **request: Any) -> Pushed:
        """Put a run back, however it ends."""
        return reverting.revert(run, settings=self.home.settings, request=Request(**request), doors=self.home.doors)

    def changes(self, plan: str) -> list[Change]:
        """Return the changes of a stored plan."""
        return self.home.changes(plan)

    def notes(self, plan: str) -> str:
        """Return what a stored plan tells, as text."""
        return str(self.home.rows("SELECT notes FROM syncer.plans WHERE plan = ?", [plan])[0][0])

    def ticket(self, same: str | None = None, **properties: str) -> PortalRecord:
        """Create a ticket as a person would, a minute after the one before."""
        self.site.clock.advance(60)
        self.home.clock.advance(60)
        own = {} if same is None else {SAME: same}
        given = {"subject": "Printer", **TICKET, **own, **properties}
        return self.site.store.create("tickets", given, source_type="CRM_UI")

    def other(self, kind: str, **properties: str) -> PortalRecord:
        """Create a record of another kind."""
        needed = {"notes": {"hs_timestamp": "2026-03-01T10:00:00Z"}, "companies": {"name": "Acme"}}.get(kind, {})
        return self.site.store.create(kind, {**needed, **properties}, source_type="CRM_UI")

    def link(self, ticket: PortalRecord, kind: str, other: PortalRecord, *types: int | tuple[str, int]) -> None:
        """Associate as a person would; what the pair has stays."""
        ends = "tickets", ticket.id, kind, other.id
        specs = {each if isinstance(each, tuple) else (HUBSPOT_DEFINED, each) for each in types}
        self.site.store.associate(*ends, {*self.site.store.specs(*ends), *specs})

    def linked(self, id: str, kind: str) -> dict[str, set[int]]:
        """Return the type ids of a ticket's edges to a kind, by the id at the other end."""
        found = self.site.store.neighbours("tickets", id, kind)
        return {other: {type for _, type in specs} for other, specs in found.items()}

    def live(self) -> list[PortalRecord]:
        """Return the live tickets, by the number of their id."""
        records = self.site.store.records["tickets"].values()
        return sorted((each for each in records if not each.is_archived), key=lambda each: int(each.id))

    def only(self, same: str) -> PortalRecord:
        """Return the one live ticket with a value."""
        [found] = [each for each in self.live() if each.properties.get(SAME) == same]
        return found

    def rows(self, query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        return self.home.rows(query, parameters or [])


def define(site: HubSpotSite, kind: str, name: str, **words: Any) -> None:
    """Define a property of a portal's own."""
    given: Mapping[str, Any] = {"type": "string", "field_type": "text", "has_unique_value": False, **words}
    site.store.define(kind, Definition(name=name, label=name.title(), group_name="ticketinformation", **given))


@contextlib.contextmanager
def operation_home(folder: Path, backend: str, *, merge_mode: str = "new", api: str = "v3") -> Iterator[OperationHome]:
    """A portal without tickets, whose tickets have what a merge and its way back need."""
    site = portal()
    site.merge_mode = merge_mode
    define(site, "tickets", SAME)
    for definition in of_kind(site.store.kinds["tickets"]):
        site.store.define("tickets", definition)
    define(site, "tickets", RESTORED_FROM, has_unique_value=True)
    with at_home(folder, backend, site=site) as home:
        home.settings = attrs.evolve(
            home.settings,
            tables={**home.settings.tables, "hubspot": {**home.settings.tables["hubspot"], "api": api}},
        )
        yield OperationHome(home).words(max_merges=1_000)


def planned(home: OperationHome) -> str:
    """Store a plan of all there is, and let a day pass."""
    shown = home.run(is_rehearsal=True)
    assert shown.exit_code == 0
    home.home.later(86_400)
    return shown.plan


def edited(home: OperationHome, ticket: PortalRecord, **values: str) -> None:
    """Edit a ticket as a person would."""
    home.site.store.update("tickets", ticket.id, values, source_type="CRM_UI")
