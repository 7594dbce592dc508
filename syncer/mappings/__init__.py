"""
The mappings that are known: each file here is data, one source a file, with a tuple `MAPPINGS`. Nothing else.

A file may have a `TEMPLATE` besides: the mapping of each further object that a site names (HubSpot's custom objects).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from syncer import catalog
from syncer.errors import MappingError, UnknownName
from syncer.mapping import EntityMapping

if TYPE_CHECKING:
    from syncer.settings import Option

NO_OBJECTS: Mapping[str, Sequence[Option]] = {}
DEFAULT = "default"
_OBJECT = re.compile(r"[a-z][a-z0-9_]*")


def known(
    *,
    folders: Sequence[Path] = (),
    objects: Mapping[str, Sequence[Option]] = NO_OBJECTS,
    environments: Sequence[str] = (DEFAULT,),
) -> dict[str, EntityMapping]:
    """
    Return all mappings by name, in the order in which a pull of several takes them.

    objects: the options by which a site names further objects, by source.
    environments: those in which no two mappings may fill one table.
    Raises: MappingError: a file cannot be loaded, holds no mappings, or two mappings fill one table; an object has no
    name that can be one, or one that is declared.
    """
    found: dict[str, EntityMapping] = {}
    for name, load in catalog.modules("mappings", folders=folders).items():
        module = load()
        declared = _declared(name, module)
        found.update((mapping.name, mapping) for mapping in declared)
        further = _of_template(module, objects.get(name, ()), declared=[mapping.name for mapping in declared])
        found.update((mapping.name, mapping) for mapping in further)
    _check_tables(list(found.values()), environments)
    return found


def _check_tables(found: Sequence[EntityMapping], environments: Sequence[str]) -> None:
    """Refuse two mappings that fill one table, each in an environment of its own, too."""
    by_table: dict[str, tuple[str, str]] = {}
    for environment in dict.fromkeys((DEFAULT, *environments)):
        for mapping in found:
            table = mapping.table(environment)
            other, where = by_table.setdefault(table, (mapping.name, environment))
            if other == mapping.name:
                continue
            if environment == where == DEFAULT:
                raise MappingError(
                    f"The mappings {other} and {mapping.name} both fill load.{table}. Rename one of them."
                )
            raise MappingError(
                f"The mappings {other}{_in(where)} and {mapping.name}{_in(environment)} both fill load.{table}.",
                hint="Rename the environment or one of them; an object of a portal gets another name by "
                'objects = { other_name = "ITS_NAME" }.',
            )


def _in(environment: str) -> str:
    return "" if environment == DEFAULT else f" in the environment {environment}"


def _of_template(module: ModuleType, options: Sequence[Option], *, declared: Sequence[str]) -> list[EntityMapping]:
    """Return the mapping of each further object; none where the source has no such thing, and says so itself."""
    template = getattr(module, "TEMPLATE", None)
    if not isinstance(template, EntityMapping) or template.inbound is None:
        return []
    names: dict[str, None] = {}
    for option in options:
        names.update(dict.fromkeys(_object_names(option.value, option.place)))
        taken = next((name for name in names if f"{template.source}.{name}" in declared), None)
        if taken is not None:
            raise MappingError(
                f"{option.place}: objects names {taken}, which is no further object: {template.source}.{taken} is "
                "there anyway."
            )
    return [
        attrs.evolve(
            template,
            name=f"{template.source}.{name}",
            inbound=attrs.evolve(template.inbound, stream=name),
            outbound=template.outbound and attrs.evolve(template.outbound, kind=name),
        )
        for name in names
    ]


def _object_names(value: Any, place: str) -> list[str]:
    """Read the option `objects`: a list of names, or a table from names to what the API calls them."""
    calls = value if isinstance(value, dict) else {}
    named = list(value) if isinstance(value, list | dict) else [value]
    is_good = isinstance(value, list | dict) and all(isinstance(each, str) and each for each in calls.values())
    if is_good and all(isinstance(each, str) and _OBJECT.fullmatch(each) for each in named):
        return named
    raise MappingError(
        f"{place}: objects is a list of names in small letters, digits and _, such as "
        '["subscriptions"], or a table from such names to what the API calls them (licences = "2-345").'
    )


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
    names: Sequence[str], *, folders: Sequence[Path] = (), objects: Mapping[str, Sequence[Option]] = NO_OBJECTS
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
