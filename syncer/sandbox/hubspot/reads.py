"""
The routes that read records: list, get, batch/read. Search is in `search`, writes are in `writes` and `batches`.

Source: HubSpot's guide "Using object APIs".
"""

from __future__ import annotations

from collections.abc import Sequence

from syncer.sandbox.hubspot.call import READ, Call, text_of
from syncer.sandbox.hubspot.errors import HubSpotError, invalid, not_found
from syncer.sandbox.hubspot.lookups import unique_names
from syncer.sandbox.hubspot.model import Kind, PortalRecord
from syncer.sandbox.hubspot.paths import Route, objects, route
from syncer.sandbox.hubspot.shapes import EMBEDDED, Selection, edges, record_json, select, split
from syncer.sandbox.messages import Response, json_response

LIST_MOST, HISTORY_MOST, BATCH_MOST = 100, 50, 100


def list_get(call: Call, ref: str) -> Response:
    """List records by id, from `after` on. There is no filter, no sort, and no end at 10,000."""
    kind = call.kind(ref, READ)
    selection = from_query(call, kind)
    most = HISTORY_MOST if selection.histories else LIST_MOST
    archived = call.flag("archived")
    records, following = call.site.order.page(
        kind.name,
        after=call.integer("after", 0),
        limit=call.limit(default=10, most=most),
        archived=archived,
    )
    link = f"{call.request.base_url}{call.request.raw_path}"
    page = {"results": [record_json(call.store, each, selection=selection, link=link) for each in records]}
    return json_response(page if following is None else {**page, "paging": call.next_page(following)})


def one_get(call: Call, ref: str, id: str) -> Response:
    """Show one record. An id that was merged away shows the record that is behind it now, under its own id."""
    kind = call.kind(ref, READ)
    selection = from_query(call, kind)
    record = find(call, kind, id, call.request.first("idProperty"))
    if record is None or record.is_archived != call.flag("archived"):
        raise not_found()
    link = f"{call.request.base_url}{call.request.raw_path.rpartition('/')[0]}"
    return json_response(record_json(call.store, record, selection=selection, link=link))


def embedded_get(call: Call, ref: str, id: str, other: str) -> Response:
    """Page through what a record is associated with, in the old shape: where the link inside a record leads."""
    kind, end = call.kind(ref, READ), call.kind(other, READ)
    after = str(call.integer("after", 0))
    entries = edges(call.store, kind.name, id, end.name)
    rest = [each for each in entries if int(each["id"]) >= int(after)]
    page, following = split(rest, call.limit(default=EMBEDDED, most=500))
    return json_response(
        {"results": page} if following is None else {"results": page, "paging": call.next_page(following)}
    )


def batch_read(call: Call, ref: str) -> Response:
    """
    Show up to 100 records, 50 with histories, in no order; those that are not there are named in a 207.

    An id that was merged away is not there: it is no record of its own any more (HubSpot documents this for GET only).
    """
    kind = call.kind(ref, READ)
    inputs = call.inputs(most=BATCH_MOST)
    histories = texts(call.body.get("propertiesWithHistory"), "propertiesWithHistory")
    if histories and len(inputs) > HISTORY_MOST:
        raise invalid(
            f"The maximum number of inputs supported in a batch request for property histories is {HISTORY_MOST}"
        )
    selection = select(call, kind, properties=texts(call.body.get("properties"), "properties"), histories=histories)
    ids = [text_of(each, "id") for each in inputs]
    refuse_duplicates(ids)
    id_property = call.body.get("idProperty")
    archived = call.flag("archived")
    records, missing = [], []
    for id in ids:
        record = find(call, kind, id, id_property) if id_property else call.store.records[kind.name].get(id)
        if record is None or record.is_archived != archived:
            missing.append(id)
        else:
            records.append(record)
    shown = [record_json(call.store, each, selection=selection) for each in mixed(records)]
    return call.batch_answer(shown, [missing_error(kind, missing)] if missing else None)


def find(call: Call, kind: Kind, id: str, id_property: str | None) -> PortalRecord | None:
    """
    Find a record by its id, or by the value of a unique property.

    An id that was merged away finds the record behind it, unless the site answers none (`answers_old_ids`).
    """
    if not id_property:
        return call.store.find(kind.name, id) if call.site.answers_old_ids else call.store.records[kind.name].get(id)
    check_unique(call, kind, id_property)
    return call.site.values.find(kind.name, id_property, id)


def check_unique(call: Call, kind: Kind, name: str) -> None:
    """Refuse a property that is no key; `hs_object_id` is none either."""
    if name not in unique_names(call.store, kind):
        raise invalid(f"Unable to perform a lookup by non-unique {kind.type_id} property {name}", propertyName=[name])


def from_query(call: Call, kind: Kind) -> Selection:
    """Choose what to show from the query."""
    return select(
        call,
        kind,
        properties=call.names("properties"),
        histories=call.names("propertiesWithHistory"),
        associations=call.names("associations"),
    )


def texts(value: object, name: str) -> list[str]:
    """Return an array of texts, empty where it is absent or null."""
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(each, str) for each in value):
        raise invalid(f"Invalid input JSON: {name} must be an array of strings")
    return list(value)


def refuse_duplicates(ids: Sequence[str]) -> None:
    """Refuse a whole batch that names an id twice, with or without trace ids."""
    twice = sorted({id for id in ids if ids.count(id) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        text = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
        raise invalid(text, ids=twice)


def mixed(records: Sequence[PortalRecord]) -> list[PortalRecord]:
    """Return records in another order than they came: nobody may match results by position."""
    found = sorted(records, key=lambda record: record.id[::-1])
    return found[::-1] if found == list(records) else found


def missing_error(kind: Kind, ids: Sequence[str]) -> dict[str, object]:
    """Return the error of a 207 that names the ids that are not there."""
    text = (
        f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist. "
        "Check that ids are valid."
    )
    return HubSpotError(status=207, message=text, category="OBJECT_NOT_FOUND", context={"ids": list(ids)}).body()


ROUTES: list[Route] = [
    *route("GET", objects(), list_get),
    *route("GET", objects("/{}"), one_get),
    *route("GET", ("/crm/v3/objects/{}/{}/associations/{}",), embedded_get),
    *route("POST", objects("/batch/read"), batch_read),
]
