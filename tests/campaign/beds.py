"""
Where a campaign runs: sites in the sandbox, a folder, a warehouse (a file in the folder, or a database of a server),
and the settings that lead from one to the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from syncer import mappings
from syncer.mapping import EntityMapping
from syncer.sandbox import GitLabSite, JiraSite, Sandbox
from syncer.sandbox import jira as jira_site
from syncer.settings import Settings
from tests.campaign.stores import Database, File, Store
from tests.servers import postgresql
from tests.truth import differences

GITLAB_TOKEN = "glpat-sandbox"  # the sandbox's own
DUCKDB, POSTGRESQL = "duckdb", "postgresql"
TOKENS = {"hubspot": "", "friday_pulse": "", "anythingllm": ""}  # "": the first that the site lets in


@attrs.define
class Kind:
    """On what kind of warehouse beds are made that do not say it themselves."""

    name: str = DUCKDB


KIND = Kind()


@attrs.define
class Bed:
    """A running sandbox, and a folder and a warehouse to pull into."""

    sandbox: Sandbox
    folder: Path
    sites: dict[str, Any]
    more: dict[str, str] = attrs.field(factory=dict)  # further environment variables
    store: Store = attrs.field(default=attrs.Factory(lambda bed: store_of(bed.folder, DUCKDB), takes_self=True))

    def asked(self, site: str) -> int:
        """How many requests a site has had since the counts were reset."""
        return self.sandbox.counts[site].requests if site in self.sandbox.counts else 0

    def variables(self) -> dict[str, str]:
        """The environment that leads to the sandbox."""
        found = {"SYNCER_CACHE": str(self.folder / "cache"), "SYNCER_WAREHOUSE": self.store.url}
        if "jira" in self.sites:
            found |= {
                "SYNCER_JIRA_URL": self.sandbox.url("jira"),
                "SYNCER_JIRA_USER": jira_site.EMAIL,
                "SYNCER_JIRA_TOKEN": jira_site.TOKEN,
            }
        if "gitlab" in self.sites:
            found |= {
                "SYNCER_GITLAB_URL": self.sandbox.url("gitlab"),
                "SYNCER_GITLAB_TOKEN": next(iter(self.sites["gitlab"].tokens)),
            }
        for name, token in TOKENS.items():
            if name in self.sites:
                found[f"SYNCER_{name.upper()}_URL"] = self.sandbox.url(name)
                site = self.sites[name]
                known = [site.token] if hasattr(site, "token") else site.tokens  # AnythingLLM has but one
                found[f"SYNCER_{name.upper()}_TOKEN"] = token or next(iter(known))
        return {**found, **self.more}

    @property
    def file(self) -> Path:
        """The warehouse as a file: itself, or what a server holds now."""
        return self.store.readable()

    def settings(self, **tables: Any) -> Settings:
        """Settings for a pull in this process."""
        return Settings(warehouse=self.store.url, base=self.folder, variables=self.variables(), tables=tables)

    def process_environment(self) -> dict[str, str]:
        """The environment for a process of its own."""
        return {**os.environ, **self.variables(), "HOME": str(self.folder)}

    def wrong(self, name: str) -> list[str]:
        """Compare one mapping's table with what its site has now."""
        mapping = mapping_of(name)
        return differences(self.file, mapping, self.sites[mapping.source].truth(mapping.entity))


def mapping_of(name: str) -> EntityMapping:
    """Find a mapping by name."""
    return mappings.known()[name]


def store_of(folder: Path, kind: str) -> Store:
    """Make an empty warehouse of a kind."""
    if kind == POSTGRESQL:
        return Database(postgresql.shared(), folder)
    return File(folder / "warehouse.duckdb")


@contextlib.contextmanager
def bed(
    folder: Path,
    *,
    jira: JiraSite | None = None,
    gitlab: GitLabSite | None = None,
    store: Store | None = None,
    **others: Any,
) -> Iterator[Bed]:
    """Run the sites that are given, on one clock; *store* is the caller's to close."""
    sites = [site for site in (jira, gitlab, *others.values()) if site is not None]
    with contextlib.ExitStack() as opened:
        sandbox = opened.enter_context(Sandbox(sites=sites, clock=sites[0].clock))
        if store is None:
            store = store_of(folder, KIND.name)
            opened.callback(store.close)
        yield Bed(sandbox, folder, {site.name: site for site in sites}, store=store)
        assert sandbox.errors == [], sandbox.errors[0]
