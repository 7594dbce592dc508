"""
A portal's own state by stream: what a test compares a warehouse with.

Kinds of objects: every id that is or was a record, by state; what was purged, and what has been archived for more than
90 days, is nowhere. Associations: those between live records, each seen from the kind that comes first in ORDER.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from syncer.sandbox.hubspot.lookups import BIN_MS
from syncer.sandbox.hubspot.owner_routes import owner_json
from syncer.sandbox.hubspot.property_routes import definition_json
from syncer.sandbox.hubspot.shapes import Selection, always, record_json
from syncer.sandbox.hubspot.stages import pipeline_json, stage_json
from syncer.sandbox.hubspot.store import Store

Truth = dict[tuple[Any, ...], Any]
ORDER = (  # an edge is read from the kind that comes first; custom kinds follow, by name
    "notes",
    "calls",
    "emails",
    "meetings",
    "tasks",
    "communications",
    "tickets",
    "deals",
    "contacts",
    "companies",
)


class HasStore(Protocol):
    """A site, as far as the truth is concerned."""

    store: Store


def of(site: HasStore, stream: str) -> Truth:
    """
    Return everything of *stream* by its key.

    A kind of object: {(id,): {"state": "live" | "archived" | "merged", "into": id or None, "record": the record as a
    list shows it, with all properties that are not archived and not sensitive; None for a merged one}}.
    associations: {(from_type, from_id, to_type, to_id, category, type_id): {"label": …}}.
    owners: {(id,): owner}. pipelines: {(kind, id): pipeline}. pipeline_stages: {(kind, pipeline id, id): stage}.
    properties: {(kind, name): {"state": "live" | "archived", "record": definition}}.

    Raises: KeyError: there is no such stream.
    """
    store = site.store
    if stream in store.kinds:
        return _objects(store, stream)
    streams: dict[str, Callable[[Store], Truth]] = {
        "associations": _associations,
        "owners": lambda store: {(each.id,): owner_json(each) for each in store.owners.values()},
        "pipelines": _pipelines,
        "pipeline_stages": _stages,
        "properties": _properties,
    }
    if stream not in streams:
        raise KeyError(f"known: {', '.join([*store.kinds, *streams])}")
    return streams[stream](store)


def order(store: Store) -> list[str]:
    """Return all kinds in the order by which an edge's direction is chosen."""
    return [*ORDER, *sorted(name for name, kind in store.kinds.items() if kind.is_custom)]


def shown_names(store: Store, kind: str) -> list[str]:
    """Return the properties that a token without special scopes can read."""
    return [
        each.name
        for each in store.definitions[kind].values()
        if each.archived_ms is None and each.data_sensitivity == "non_sensitive"
    ]


def _objects(store: Store, kind: str) -> Truth:
    names = dict.fromkeys([*always(store.kinds[kind]), *shown_names(store, kind)])
    selection = Selection(names=tuple(names))
    oldest = store.now_ms() - BIN_MS
    truth: Truth = {}
    for record in store.records[kind].values():
        if record.archived_ms is not None and record.archived_ms < oldest:
            continue
        state = "archived" if record.is_archived else "live"
        shown = record_json(store, record, selection=selection)
        truth[record.id,] = {"state": state, "into": None, "record": shown}
    for old, new in store.merged[kind].items():
        if (new,) in truth:
            truth[old,] = {"state": "merged", "into": new, "record": None}
    return truth


def _associations(store: Store) -> Truth:
    names = order(store)
    truth: Truth = {}
    for at, start in enumerate(names):
        for end in names[at:]:
            for id in store.edges.get((start, end), {}):
                for other, specs in store.neighbours(start, id, end).items():
                    for category, type_id in specs:
                        label = store.label_of(start, end, (category, type_id))
                        shown = {"label": None if label is None else label.label}
                        truth[start, id, end, other, category, type_id] = shown
    return truth


def _pipelines(store: Store) -> Truth:
    return {
        (kind, each.id): pipeline_json(each)
        for kind, found in store.pipelines.items()
        for each in found.values()
        if not each.is_archived
    }


def _stages(store: Store) -> Truth:
    return {
        (kind, pipeline.id, stage.id): stage_json(stage)
        for kind, found in store.pipelines.items()
        for pipeline in found.values()
        for stage in pipeline.stages
        if not pipeline.is_archived and not stage.is_archived
    }


def _properties(store: Store) -> Truth:
    return {
        (kind, each.name): {
            "state": "live" if each.archived_ms is None else "archived",
            "record": definition_json(each),
        }
        for kind, definitions in store.definitions.items()
        for each in definitions.values()
        if each.data_sensitivity == "non_sensitive"
    }
