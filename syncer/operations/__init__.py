"""
Maintenance operations: a file each, that makes the changes of a plan. Everything else, the dry run, limits, journal,
resume, is what any run of a plan has (`executing.py`).

A module here, or a company's own in a folder named in `syncer.toml`, has `NAME` (`source.operation`), `SUMMARY` (a
line for `syncer list`), `KIND` (what its target calls the kind that is written; the lease is of it), `target(source)`
and `looked(context)`; `STAYS`, a sentence, where a revert cannot take away what it made; and `ends(change)`, where its
target's `guard` is to look for more than `KIND`: the kinds that a change needs the right to write. Not here: storing,
holding against limits, applying (`operating.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

import attrs

from syncer import catalog
from syncer.errors import MappingError, UnknownName
from syncer.mapping import EntityMapping
from syncer.plan import Change
from syncer.plans import PlanRow
from syncer.sources import Source
from syncer.target import Target
from syncer.warehouses import Warehouse


@attrs.frozen(kw_only=True)
class Context:
    """What an operation may look at. mappings: those of its source that go out, with the site's words."""

    source: Source
    target: Target
    warehouse: Warehouse
    mappings: Sequence[EntityMapping]


@attrs.frozen
class Looked:
    """One record that was looked at, and its changes; numbers begin with 1 within the record."""

    row: PlanRow
    changes: Sequence[Change] = ()


class Operation(Protocol):
    """What a module is to fulfil."""

    NAME: str
    SUMMARY: str
    KIND: str

    def target(self, source: Source) -> Target:
        """Return what its changes are sent to."""

    def looked(self, context: Context) -> Iterator[Looked]:
        """Yield what was looked at, one record after the other. Raises: UsageError: nothing was tried."""


def known(*, folders: Sequence[Path] = ()) -> dict[str, Operation]:
    """Return the operations there are, by name; a company's own go before ours of the same file."""
    found: dict[str, Operation] = {}
    for file, load in catalog.modules("operations", folders=folders).items():
        module = load()
        missing = [name for name in ("NAME", "SUMMARY", "KIND", "target", "looked") if not hasattr(module, name)]
        if missing:
            raise MappingError(f"The operation {file} has no {', '.join(missing)}.")
        found[_name(module)] = cast(Operation, module)
    return found


def find(name: str, *, folders: Sequence[Path] = ()) -> Operation:
    """Find an operation. Raises UnknownName."""
    operations = known(folders=folders)
    if name not in operations:
        raise UnknownName("operation", name, known=operations)
    return operations[name]


def _name(module: ModuleType) -> str:
    return str(module.NAME)
