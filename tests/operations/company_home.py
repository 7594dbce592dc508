"""A portal where a stand-in is the company of tickets, for the tests of `hubspot.fix_company_associations`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from syncer.plan import Change
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.model import PortalRecord
from syncer.sandbox.hubspot.watching import Watch
from syncer.tally import Pushed
from tests.operations import COMPANY, PRIMARY, OperationHome, define, operation_home

FIX = "hubspot.fix_company_associations"
NUMBER, ADDRESS = "nerds_customer_id", "nerds_customer_email"
OWN = {COMPANY, PRIMARY}  # the types of a primary company


@attrs.define
class CompanyHome:
    """An `OperationHome` with a company that stands in; watch: what it saw of tickets without a company."""

    of: OperationHome
    stand_in: PortalRecord
    watch: Watch

    @property
    def site(self) -> HubSpotSite:
        """The portal."""
        return self.of.site

    def words(self, **words: Any) -> CompanyHome:
        """Say what `syncer.toml` says of the operation."""
        self.of.words(FIX, **words)
        return self

    def run(self, **request: Any) -> Pushed:
        """Run the operation, however it ends."""
        return self.of.run(FIX, **request)

    def revert(self, run: str | None, **request: Any) -> Pushed:
        """Put a run back, however it ends."""
        assert run is not None
        return self.of.revert(run, **request)

    def company(self, number: str | None = None, **properties: str) -> PortalRecord:
        """Create a company with a number."""
        own = {} if number is None else {"client_id": number}
        return self.of.other("companies", **own, **properties)

    def ticket(self, number: str | None = None, *, is_linked: bool = True, **properties: str) -> PortalRecord:
        """Create a ticket, of the stand-in unless it is said."""
        own = {} if number is None else {NUMBER: number}
        ticket = self.of.ticket(None, **own, **properties)
        if is_linked:
            self.link(ticket, self.stand_in)
        return ticket

    def link(self, ticket: PortalRecord, company: PortalRecord, *types: int | tuple[str, int]) -> None:
        """Associate as a person would; what the pair has stays."""
        self.of.link(ticket, "companies", company, *types)

    def unlink(self, ticket: PortalRecord, company: PortalRecord) -> None:
        """Take an association away as a person would."""
        self.site.store.disassociate("tickets", ticket.id, "companies", company.id)

    def companies(self, ticket: PortalRecord) -> dict[str, set[int]]:
        """Return the types of a ticket's companies, by id."""
        return self.of.linked(ticket.id, "companies")

    def label(self, text: str) -> tuple[str, int]:
        """Make a label between tickets and companies."""
        label = self.site.store.add_label("tickets", "companies", text)
        return label.category, label.type_id

    def problems(self, plan: str) -> list[dict[str, Any]]:
        """Return the rejects of a stored plan."""
        return self.of.home.problems(plan)

    def changes(self, plan: str) -> list[Change]:
        """Return the changes of a stored plan."""
        return self.of.changes(plan)

    def rejects(self) -> list[tuple[str, str]]:
        """Return what stands in `syncer.rejects`: key and reason."""
        found = self.of.rows(f"SELECT key, reason FROM syncer.rejects WHERE mapping = '{FIX}' ORDER BY key")
        return [(str(key), str(reason)) for key, reason in found]


@contextlib.contextmanager
def company_home(folder: Path, backend: str, *, api: str = "v3") -> Iterator[CompanyHome]:
    """A portal with a stand-in, and at the end: no ticket was without a company that had one, at any moment."""
    with operation_home(folder, backend, api=api) as home:
        define(home.site, "tickets", NUMBER)
        define(home.site, "tickets", ADDRESS)
        known = home.site.store.definitions["companies"]
        for name in ("domain", "city", "old_number", "hs_object_id"):
            if name not in known:
                define(home.site, "companies", name, type="number" if name == "hs_object_id" else "string")
        stand_in = home.other("companies", name="Everybody", domain="example.com", city="Utrecht")
        home.words(FIX, stand_in_domain="example.com", stand_in_city="utrecht")
        found = CompanyHome(home, stand_in, home.site.store.watch_bare("tickets", "companies"))
        yield found
        assert found.watch.found == []
