"""
How a record is shown: the properties that were asked for, their histories, what it is associated with.

`record_json(store, record, names=…)` is what list, get, batch/read, search and the truth have in common. Property
values are texts or null; a property without a value is null, an unknown name is left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from syncer.sandbox.hubspot.call import READ, Call
from syncer.sandbox.hubspot.model import PRIMARY, Kind, PortalRecord, Spec, Written
from syncer.sandbox.hubspot.store import Store, iso

DEFAULTS: dict[str, tuple[str, ...]] = {  # what comes where no properties are named, beside id and dates
    "companies": ("name", "domain"),
    "contacts": ("email", "firstname", "lastname"),
    "deals": ("dealname", "amount", "closedate", "dealstage", "pipeline"),
    "tickets": ("subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority"),
}
HISTORY_DEPTH = 20  # so many entries of a property's history come; HubSpot publishes no number
EMBEDDED = 100  # so many associations stand in a record before they are paged


@attrs.frozen(kw_only=True)
class Selection:
    """What to show of records of one kind; made once for a request."""

    names: tuple[str, ...]
    histories: tuple[str, ...] = ()
    associations: tuple[Kind, ...] = ()


def always(kind: Kind) -> tuple[str, ...]:
    """Return what comes with every record: its id and its dates."""
    return kind.created, kind.cursor, "hs_object_id"


def select(
    call: Call,
    kind: Kind,
    *,
    properties: Sequence[str],
    histories: Sequence[str] = (),
    associations: Sequence[str] = (),
) -> Selection:
    """Choose what to show; names that are unknown, archived or hidden from the token are left out."""
    definitions = call.store.definitions[kind.name]
    visible = {
        name
        for name in {*properties, *histories}
        if (found := definitions.get(name)) is not None
        and found.archived_ms is None
        and call.may_see(kind, found.data_sensitivity)
    }
    wanted = [name for name in (*properties, *histories) if name in visible]
    if not properties and not histories:
        wanted = [*DEFAULTS.get(kind.name, (kind.primary,) if kind.is_custom else ())]
    return Selection(
        names=tuple(dict.fromkeys([*always(kind), *wanted])),
        histories=tuple(name for name in histories if name in visible),
        associations=tuple(call.kind(ref, READ) for ref in associations),
    )


def record_json(store: Store, record: PortalRecord, *, selection: Selection, link: str = "") -> dict[str, Any]:
    """Return one record. *link*: where the pages of its associations are, without it they are not paged."""
    shown = plain(record, values(store, record, selection.names))
    if selection.histories:
        shown["propertiesWithHistory"] = {name: history(record, name) for name in selection.histories}
    if selection.associations:
        found = {kind.name: embedded(store, record, kind, link) for kind in selection.associations}
        if found := {name: each for name, each in found.items() if each}:
            shown["associations"] = found
    return shown


def plain(record: PortalRecord, properties: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a record with these properties and nothing besides."""
    shown: dict[str, Any] = {
        "id": record.id,
        "properties": properties,
        "createdAt": iso(record.created_ms),
        "updatedAt": iso(record.updated_ms),
        "archived": record.is_archived,
    }
    if record.archived_ms is not None:
        shown["archivedAt"] = iso(record.archived_ms)
    return shown


def values(store: Store, record: PortalRecord, names: Iterable[str]) -> dict[str, str | None]:
    """Return values by name, null where a record has none."""
    found = record.properties
    return {name: found.get(name) for name in names}


def history(record: PortalRecord, name: str) -> list[dict[str, Any]]:
    """Return the entries of a property, at most HISTORY_DEPTH, the newest ones; in no order that one may rely on."""
    entries = record.history.get(name, [])
    value = record.properties.get(name)
    if not entries and value is not None:
        entries = [Written(value=value, ms=record.created_ms)]
    shown = [_entry(each) for each in reversed(entries[-HISTORY_DEPTH:])]
    return shown[::-1] if int(record.id) % 2 else shown


def embedded(store: Store, record: PortalRecord, kind: Kind, link: str) -> dict[str, Any] | None:
    """Return what a record is associated with, one entry for each type of each pair; None where there is nothing."""
    entries = edges(store, record.kind, record.id, kind.name)
    if not entries:
        return None
    page, after = split(entries, EMBEDDED) if link else (entries, None)
    if after is None:
        return {"results": page}
    paging = {"next": {"after": after, "link": f"{link}/{record.id}/associations/{kind.name}?after={after}"}}
    return {"results": page, "paging": paging}


def edges(store: Store, start: str, id: str, end: str) -> list[dict[str, str]]:
    """Return a record's edges to one kind, by the other id, one entry for each type."""
    found = store.shown(start, id, end)
    return [
        {"id": other, "type": type_name(store, start, end, spec)}
        for other in sorted(found, key=int)
        for spec in sorted(found[other])
    ]


def split(entries: list[dict[str, str]], most: int) -> tuple[list[dict[str, str]], str | None]:
    """Return about *most* entries, all of one other record together, and the id that the rest begins with."""
    if len(entries) <= most:
        return entries, None
    following = entries[most]["id"]
    page = [each for each in entries[:most] if each["id"] != following]
    return page, following


def type_name(store: Store, start: str, end: str, spec: Spec) -> str:
    """Return how v3 calls a type: `contact_to_company` is the primary one, or the only one."""
    base = f"{store.kinds[start].singular}_to_{store.kinds[end].singular}"
    label = store.label_of(start, end, spec)
    if label is None:
        return base
    if label.label is None:
        return f"{base}_unlabeled" if (start, end) in PRIMARY or (end, start) in PRIMARY else base
    return base if label.label == "Primary" else label.label.lower().replace(" ", "_")


def _entry(written: Written) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "value": written.value,
        "timestamp": iso(written.ms),
        "sourceType": written.source_type,
        "sourceId": written.source_id or "userId:9999",
        "sourceLabel": None,
        "updatedByUserId": written.user_id,
    }
    return {key: value for key, value in shown.items() if value is not None or key == "value"}
