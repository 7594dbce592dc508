"""
syncer keeps a company's warehouse and its CRM in agreement, in both directions, and can prove it.

    import syncer

    pulled = syncer.pull("jira.issues")
    print(pulled.inserted, pulled.updated)

The verbs and nouns of this module are the public interface; each is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncer.api import PullFailed, pull
    from syncer.errors import SyncerError, UsageError
    from syncer.inbound import Progress
    from syncer.journal import Pulled
    from syncer.mapping import EntityMapping, Field, Inbound
    from syncer.settings import Settings
    from syncer.values import Type

_HOMES = {
    "pull": "api",
    "PullFailed": "api",
    "SyncerError": "errors",
    "UsageError": "errors",
    "Progress": "inbound",
    "Pulled": "journal",
    "EntityMapping": "mapping",
    "Field": "mapping",
    "Inbound": "mapping",
    "Settings": "settings",
    "Type": "values",
}
__all__ = [
    "EntityMapping",
    "Field",
    "Inbound",
    "Progress",
    "PullFailed",
    "Pulled",
    "Settings",
    "SyncerError",
    "Type",
    "UsageError",
    "pull",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'syncer' has no attribute '{name}'")
    return getattr(importlib.import_module(f"syncer.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
