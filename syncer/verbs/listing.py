"""`syncer list`: the mappings that are known. Imports no warehouse and no source."""

from __future__ import annotations

import fnmatch
import sys
from typing import Annotated, Any

import attrs
import typer

from syncer import mappings
from syncer.errors import UnknownName
from syncer.mapping import EntityMapping
from syncer.reports import terminal
from syncer.settings import Settings
from syncer.tables import LOAD
from syncer.verbs import Session, Where, complete_mapping


@attrs.frozen(kw_only=True)
class Options:
    """What `list` takes."""

    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATTERN", help="Only these.", autocompletion=complete_mapping),
    ] = None


def run(options: Options, where: Where, session: Session) -> int:
    """List the mappings: their directions, the load table that a pull fills, its key, and what a push reads."""
    settings = session.settings(where)
    known = mappings.known(folders=settings.folders, objects=settings.objects())
    chosen = known
    if options.patterns:
        chosen = {name: known[name] for pattern in options.patterns for name in _hits(pattern, known)}
    entries = [_entry(mapping, settings) for mapping in chosen.values()]
    if session.is_json:
        session.document.put("mappings", entries)
        return 0
    if not entries:
        session.say("No mapping is known.")
        return 0
    has_relations = any(entry["relation"] for entry in entries)
    rows = [
        [
            entry["mapping"],
            ", ".join(entry["directions"]),
            entry["table"],
            ", ".join(entry["key"]),
            *([entry["relation"] or "-"] if has_relations else []),
        ]
        for entry in entries
    ]
    columns = ["mapping", "directions", "table", "key", *(["a push reads"] if has_relations else [])]
    for line in terminal.table(columns, rows, sys.stdout):
        session.say(line)
    return 0


def _hits(pattern: str, known: dict[str, EntityMapping]) -> list[str]:
    hits = fnmatch.filter(known, pattern)
    if not hits:
        raise UnknownName("mapping", pattern, known=known)
    return hits


def _entry(mapping: EntityMapping, settings: Settings) -> dict[str, Any]:
    outbound = mapping.outbound
    own = settings.for_mapping(mapping.name)
    return {
        "mapping": mapping.name,
        "source": mapping.source,
        "directions": [*(["in"] if mapping.inbound is not None else []), *(["out"] if outbound is not None else [])],
        "table": f"{LOAD}.{mapping.table(settings.environment)}",
        "key": list(mapping.key),
        "columns": [field.column for field in mapping.fields],
        "is_extended": mapping.inbound is not None and mapping.inbound.discovers,
        "relation": own.get("relation", outbound.relation) if outbound is not None else None,
    }
