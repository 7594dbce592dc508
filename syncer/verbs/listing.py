"""`syncer list`: the mappings and operations that are known. Asks no warehouse and no source."""

from __future__ import annotations

import fnmatch
import sys
from typing import Annotated, Any

import attrs
import typer

from syncer import mappings, operations
from syncer.errors import UnknownName
from syncer.mapping import EntityMapping
from syncer.operations import Operation
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
    """
    List the mappings: their directions, the load table that a pull fills, its key, and what a push reads. Behind them
    the operations: whether each makes a plan or a report, and what it does.
    """
    settings = session.settings(where, but=None)
    known = mappings.known(folders=settings.folders, objects=settings.objects())
    files = operations.read(folders=settings.folders)
    jobs = files.found
    if files.broken:  # by no log, whose import takes longer than the list
        session.note(session.hidden(f"syncer: {' '.join(error.message for error in files.broken.values())}"))
    chosen, names = known, sorted(jobs)
    if options.patterns:
        hits = dict.fromkeys(name for pattern in options.patterns for name in _hits(pattern, [*known, *names]))
        chosen, names = {name: known[name] for name in hits if name in known}, [name for name in hits if name in jobs]
    entries = [_entry(mapping, settings) for mapping in chosen.values()]
    works = [_operation(jobs[name]) for name in names]
    if session.is_json:
        session.document.put("mappings", entries)
        session.document.put("operations", works)
        return 0
    if not entries and not works:
        session.say("No mapping and no operation is known.")
    if entries:
        _show(*_table(entries), session=session)
    if entries and works:
        session.say("")
    if works:
        _show(["operation", "makes", "what it does"], [list(work.values()) for work in works], session=session)
    return 0


def _show(columns: list[str], rows: list[list[str]], *, session: Session) -> None:
    for line in terminal.table(columns, rows, sys.stdout):
        session.say(line)


def _table(entries: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the mappings, for people."""
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
    return ["mapping", "directions", "table", "key", *(["a push reads"] if has_relations else [])], rows


def _hits(pattern: str, known: list[str]) -> list[str]:
    hits = fnmatch.filter(known, pattern)
    if not hits:
        raise UnknownName("mapping or operation", pattern, known=known)
    return hits


def _operation(operation: Operation) -> dict[str, str]:
    return {
        "operation": operation.NAME,
        "makes": "report" if operations.is_report(operation) else "plan",
        "summary": operation.SUMMARY,
    }


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
