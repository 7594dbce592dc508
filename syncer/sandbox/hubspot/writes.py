"""
The routes that write one record: create, update, delete, gdpr-delete; and what the batches share with them.

Not here: merges (`merge_routes`). Source: HubSpot's guide "Using object APIs", and its page "Error handling".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncer.sandbox.hubspot.call import WRITE, Call, text_of
from syncer.sandbox.hubspot.errors import CONFLICT, HubSpotError, invalid, not_found
from syncer.sandbox.hubspot.lookups import unique_names
from syncer.sandbox.hubspot.model import Kind, PortalRecord, Spec
from syncer.sandbox.hubspot.paths import DATED, Route, both, objects, route
from syncer.sandbox.hubspot.reads import check_unique, find
from syncer.sandbox.hubspot.shapes import always, plain, values
from syncer.sandbox.hubspot.validation import Checked, check
from syncer.sandbox.messages import Response, json_response

SOURCE = "INTEGRATION"
Edge = tuple[str, str, list[Spec]]  # kind at the other end, id, types


def create_post(call: Call, ref: str) -> Response:
    """Create a record, with associations."""
    kind = call.kind(ref, WRITE)
    found = check(call, kind, call.body.get("properties"), record=None)
    refuse_taken(call, kind, found, None)
    edges = edges_of(call, kind, call.body.get("associations"))
    record = write_new(call, kind, found, edges)
    return json_response(written(call, record, found), status=201)


def update_patch(call: Call, ref: str, id: str) -> Response:
    """
    Write some properties of a record.

    An id that was merged away writes to the record behind it, as GET shows that one: its id is in the answer.
    """
    kind = call.kind(ref, WRITE)
    record = find(call, kind, id, call.request.first("idProperty"))
    if record is None or record.is_archived:
        raise not_found()
    found = check(call, kind, call.body.get("properties"), record=record)
    refuse_taken(call, kind, found, record)
    call.store.update(kind.name, record.id, found, source_type=SOURCE)
    return json_response(written(call, record, found))


def one_delete(call: Call, ref: str, id: str) -> Response:
    """Put a record into the recycle bin. An id that is no live record's is passed over."""
    kind = call.kind(ref, WRITE)
    archive(call, kind, id)
    return Response(status=204)


def gdpr_post(call: Call) -> Response:
    """Delete a contact for good; its address, known or not, can be used for no new contact."""
    kind = call.kind("contacts", WRITE)
    id = text_of(call.body, "objectId")
    id_property = call.body.get("idProperty")
    if id_property == "email":
        call.store.blocklist.add(id.lower())
        record = call.site.values.find(kind.name, "email", id)
    elif id_property in (None, "", "hs_object_id"):
        record = call.store.records[kind.name].get(id)
        if record is None:
            raise not_found()
    else:
        raise invalid("idProperty must be email", idProperty=[str(id_property)])
    if record is not None:
        if email := record.properties.get("email"):
            call.store.blocklist.add(email.lower())
        call.store.purge(kind.name, record.id)
    return Response(status=204)


def archive(call: Call, kind: Kind, id: str) -> None:
    """Archive a live record; anything else is passed over in silence."""
    record = call.store.records[kind.name].get(id)
    if record is not None and not record.is_archived:
        call.store.archive(kind.name, id)


def refuse_taken(
    call: Call, kind: Kind, found: Checked, record: PortalRecord | None, taken: Sequence[Checked] = ()
) -> None:
    """Refuse a value of a unique property that another record has, or an earlier one of the same batch (*taken*)."""
    for name in unique_names(call.store, kind):
        value = found.get(name)
        if not value:
            continue
        if name == "email" and kind.name == "contacts" and value.lower() in call.store.blocklist:
            raise invalid(f"Contact {value} was deleted for good and cannot be added again", propertyName=[name])
        other = call.site.values.find(kind.name, name, value)
        is_other = other is not None and (record is None or other.id != record.id)
        if other is not None and is_other:
            raise conflict(kind, other.id)
        if any((each.get(name) or "").lower() == value.lower() for each in taken):
            raise conflict(kind, "")


def conflict(kind: Kind, id: str) -> HubSpotError:
    """Return the 409; the other record's id stands in its text only."""
    text = f"{kind.singular.capitalize()} already exists. Existing ID: {id}".rstrip()
    return HubSpotError(status=409, message=text, category=CONFLICT)


def edges_of(call: Call, kind: Kind, sent: Any) -> list[Edge]:
    """Return the associations of a create, checked; the types tell which kind the other record is of."""
    if sent is None:
        return []
    if not isinstance(sent, list) or any(not isinstance(each, dict) for each in sent):
        raise invalid("Invalid input JSON: associations must be an array of objects")
    found = []
    for each in sent:
        specs = [_spec(one) for one in each.get("types") or []]
        ends = _ends(call, kind, specs)
        id = text_of(each.get("to") or {}, "id")
        end = next((name for name in ends if id in call.store.records[name]), None)
        if not ends:
            raise invalid(f"No association type of {kind.singular.upper()} is {specs}")
        if end is None or call.store.records[end][id].is_archived:
            raise not_found(f"Object {id} to associate with does not exist", ids=[id])
        call.require(call.store.kinds[end].write_scopes)
        found.append((end, id, specs))
    return found


def _ends(call: Call, kind: Kind, specs: Sequence[Spec]) -> list[str]:
    """Return the kinds that all of *specs* lead to."""
    others = {end for start, end in call.store.labels if start == kind.name}
    return sorted(
        end for end in others if specs and all(call.store.label_of(kind.name, end, spec) is not None for spec in specs)
    )


def _spec(one: Any) -> Spec:
    if not isinstance(one, dict) or not isinstance(one.get("associationTypeId"), int):
        raise invalid("Some required fields were not set: [associationTypeId]")
    return str(one.get("associationCategory")), one["associationTypeId"]


def write_new(call: Call, kind: Kind, found: Checked, edges: Sequence[Edge]) -> PortalRecord:
    """Create a record whose values and associations were checked."""
    record = call.store.create(kind.name, found, source_type=SOURCE)
    for end, id, specs in edges:
        call.store.associate(kind.name, record.id, end, id, specs)
    return record


def written(call: Call, record: PortalRecord, found: Checked, trace: str | None = None) -> dict[str, Any]:
    """Return a record as a write answers it: what was written, its id and its dates."""
    kind = call.store.kinds[record.kind]
    shown = plain(record, values(call.store, record, dict.fromkeys([*always(kind), *found])))
    return shown if trace is None else {**shown, "objectWriteTraceId": trace}


def unique_key(call: Call, kind: Kind, name: Any, verb: str) -> str:
    """Return the `idProperty` of an input of a batch; what is not unique, and `hs_object_id`, is refused."""
    if not isinstance(name, str) or not name:
        raise invalid("Some required fields were not set: [idProperty]")
    if name not in unique_names(call.store, kind) or (name == "email" and verb == "update"):
        text = f"Unable to perform {verb} by non-unique {kind.type_id} property {name}"
        raise invalid(text.replace("perform update", "perform update/upsert"), propertyName=[name])
    check_unique(call, kind, name)
    return name


ROUTES: list[Route] = [
    *route("POST", objects(), create_post),
    *route("PATCH", objects("/{}"), update_patch),
    *route("DELETE", objects("/{}"), one_delete),
    *route(
        "POST", both("/crm/v3/objects/contacts/gdpr-delete", f"/crm/objects/{DATED}/contacts/gdpr-delete"), gdpr_post
    ),
]
