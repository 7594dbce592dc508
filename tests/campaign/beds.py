"""
Where a campaign runs: sites in the sandbox, a folder with a warehouse file, and the settings that lead from one to the
other.
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
from tests.truth import differences

GITLAB_TOKEN = "glpat-sandbox"  # the sandbox's own
TOKENS = {"hubspot": "", "friday_pulse": "", "anythingllm": ""}  # "": the first that the site lets in


@attrs.define
class Bed:
    """A running sandbox, and a folder to pull into."""

    sandbox: Sandbox
    folder: Path
    sites: dict[str, Any]
    more: dict[str, str] = attrs.field(factory=dict)  # further environment variables

    def asked(self, site: str) -> int:
        """How many requests a site has had since the counts were reset."""
        return self.sandbox.counts[site].requests if site in self.sandbox.counts else 0

    def variables(self) -> dict[str, str]:
        """The environment that leads to the sandbox."""
        found = {"SYNCER_CACHE": str(self.folder / "cache"), "SYNCER_WAREHOUSE": f"duckdb:{self.file}"}
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
        """The warehouse file."""
        return self.folder / "warehouse.duckdb"

    def settings(self, **tables: Any) -> Settings:
        """Settings for a pull in this process."""
        return Settings(warehouse=f"duckdb:{self.file}", base=self.folder, variables=self.variables(), tables=tables)

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


@contextlib.contextmanager
def bed(
    folder: Path, *, jira: JiraSite | None = None, gitlab: GitLabSite | None = None, **others: Any
) -> Iterator[Bed]:
    """Run the sites that are given, on one clock."""
    sites = [site for site in (jira, gitlab, *others.values()) if site is not None]
    with Sandbox(sites=sites, clock=sites[0].clock) as sandbox:
        yield Bed(sandbox, folder, {site.name: site for site in sites})
        assert sandbox.errors == [], sandbox.errors[0]
