"""
syncer keeps a company's warehouse and its CRM in agreement, in both directions, and can prove it.

    import syncer

    pulled = syncer.pull("jira.issues")
    print(pulled.inserted, pulled.updated)
    print(syncer.push("hubspot.companies", dry_run=True))  # field by field; nothing is written

The verbs and nouns of this module are the public interface; each is imported when it is first used. What syncer does
is told to loguru, and kept quiet until the program that imports it says `loguru.logger.enable("syncer")`.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncer.api import PullFailed, clean, forget, pull
    from syncer.errors import SyncerError, UsageError
    from syncer.handles import Plan
    from syncer.journal import Pulled
    from syncer.mapping import EntityMapping, Field, Inbound, Outbound
    from syncer.outward import PushFailed, push, revert, run, verify
    from syncer.settings import Settings
    from syncer.tally import Pushed
    from syncer.values import Type

_HOMES = {
    "pull": "api",
    "forget": "api",
    "clean": "api",
    "push": "outward",
    "run": "outward",
    "verify": "outward",
    "revert": "outward",
    "PullFailed": "api",
    "PushFailed": "outward",
    "Plan": "handles",
    "Pushed": "tally",
    "Outbound": "mapping",
    "SyncerError": "errors",
    "UsageError": "errors",
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
    "Outbound",
    "Plan",
    "PullFailed",
    "Pulled",
    "PushFailed",
    "Pushed",
    "Settings",
    "SyncerError",
    "Type",
    "UsageError",
    "clean",
    "forget",
    "pull",
    "push",
    "revert",
    "run",
    "verify",
]


def _be_quiet() -> None:
    from loguru import logger

    logger.disable("syncer")


if "loguru" in sys.modules:
    _be_quiet()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'syncer' has no attribute '{name}'")
    if "loguru" not in sys.modules:  # its import costs 30 ms, so it waits; who imported it since may have enabled us
        _be_quiet()
    return getattr(importlib.import_module(f"syncer.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
