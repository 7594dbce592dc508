"""
The mappings that are known: each file here is data, one source a file, with a tuple `MAPPINGS`. Nothing else.

A file may have a `TEMPLATE` besides: the mapping of each further object that a site names (HubSpot's custom objects).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import attrs

from syncer import catalog
from syncer.errors import MappingError, UnknownName
from syncer.mapping import EntityMapping

NO_OBJECTS: Mapping[str, Sequence[str]] = {}


def known(
    *, folders: Sequence[Path] = (), objects: Mapping[str, Sequence[str]] = NO_OBJECTS
) -> dict[str, EntityMapping]:
    """
    Return all mappings by name, in the order in which a pull of several takes them.

    objects: the further objects that a site names, by source.
    Raises: MappingError: a file cannot be loaded, holds no mappings, or two mappings fill one table.
    """
    found: dict[str, EntityMapping] = {}
    for name, load in catalog.modules("mappings", folders=folders).items():
        module = load()
        declared = [*_declared(name, module), *_of_template(module, objects.get(name, ()))]
        found.update((mapping.name, mapping) for mapping in declared)
    by_table: dict[str, str] = {}
    for mapping in found.values():
        table = mapping.table("default")
        other = by_table.setdefault(table, mapping.name)
        if other != mapping.name:
            raise MappingError(f"The mappings {other} and {mapping.name} both fill load.{table}. Rename one of them.")
    return found


def _of_template(module: ModuleType, names: Sequence[str]) -> list[EntityMapping]:
    """Return the mapping of each further object; none where the source has no such thing, and says so itself."""
    template = getattr(module, "TEMPLATE", None)
    if not isinstance(template, EntityMapping) or template.inbound is None:
        return []
    return [
        attrs.evolve(template, name=f"{template.source}.{name}", inbound=attrs.evolve(template.inbound, stream=name))
        for name in names
    ]


def _declared(name: str, module: ModuleType) -> Sequence[EntityMapping]:
    """Return the mappings that a file declares."""
    file = getattr(module, "__file__", None) or f"mappings/{name}.py"
    found = getattr(module, "MAPPINGS", None)
    if found is None:
        raise MappingError(f"{file}: it has no MAPPINGS.", hint="Write MAPPINGS = (…,), a tuple of EntityMapping.")
    if not isinstance(found, tuple | list):
        hint = "Put a comma behind it: MAPPINGS = (X,)." if isinstance(found, EntityMapping) else ""
        raise MappingError(f"{file}: MAPPINGS is {_kind(found)}; it is a tuple of EntityMapping.", hint=hint)
    names = []
    for mapping in found:
        if not isinstance(mapping, EntityMapping):
            raise MappingError(f"{file}: MAPPINGS holds {_kind(mapping)}; it is a tuple of EntityMapping.")
        names.append(mapping.name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MappingError(f"{file}: MAPPINGS holds {', '.join(twice)} more than once.")
    return found


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def choose(
    names: Sequence[str], *, folders: Sequence[Path] = (), objects: Mapping[str, Sequence[str]] = NO_OBJECTS
) -> list[EntityMapping]:
    """Return the mappings that *names* (patterns may be among them) name, each once. Raises UnknownName."""
    every = known(folders=folders, objects=objects)
    chosen: dict[str, EntityMapping] = {}
    for name in names:
        hits = (
            fnmatch.filter(every, name) if any(letter in name for letter in "*?[") else [name] if name in every else []
        )
        if not hits:
            raise UnknownName("mapping", name, known=every)
        chosen.update((hit, every[hit]) for hit in hits)
    return list(chosen.values())
