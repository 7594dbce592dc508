"""The mappings that are known: each file here is data, one source a file, with a tuple `MAPPINGS`. Nothing else."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from syncer import catalog
from syncer.errors import UnknownName, UsageError
from syncer.mapping import EntityMapping


def known(*, folders: Sequence[Path] = ()) -> dict[str, EntityMapping]:
    """Return all mappings by name, in the order in which a pull of several takes them."""
    found: dict[str, EntityMapping] = {}
    for file, load in catalog.modules("mappings", folders=folders).items():
        for mapping in getattr(load(), "MAPPINGS", ()):
            if not isinstance(mapping, EntityMapping):
                raise UsageError(
                    f"mappings/{file}.py: MAPPINGS holds a {type(mapping).__name__}; it is a tuple of EntityMapping."
                )
            found[mapping.name] = mapping
    return found


def choose(names: Sequence[str], *, folders: Sequence[Path] = ()) -> list[EntityMapping]:
    """Return the mappings that *names* (patterns may be among them) name, each once. Raises UnknownName."""
    every = known(folders=folders)
    chosen: dict[str, EntityMapping] = {}
    for name in names:
        hits = (
            fnmatch.filter(every, name) if any(letter in name for letter in "*?[") else [name] if name in every else []
        )
        if not hits:
            raise UnknownName("mapping", name, known=every)
        chosen.update((hit, every[hit]) for hit in hits)
    return list(chosen.values())
