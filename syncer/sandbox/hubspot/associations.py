"""
Associations: read in batches and by record, created, labelled, taken away; by v4 and by the dated paths.

What they do to a pair, to its labels and to the primary company is the store's. Where the documentation is silent:
a record that is archived or merged away has no neighbours and can get none; archiving what is not there succeeds;
associating by default keeps the labels that a pair has; a batch read tells its results in another order than asked.

Source: HubSpot's guide "Associate records"; the limit of 1,000 inputs is its changelog's of 2025-02-10.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import attrs

from syncer.sandbox.hubspot.call import READ, WRITE, Call, text_of
from syncer.sandbox.hubspot.errors import NOT_FOUND, HubSpotError, invalid, not_found
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED, Kind, Spec
from syncer.sandbox.hubspot.paths import DATED, Route, both, route
from syncer.sandbox.hubspot.store import AS_ERRORS
from syncer.sandbox.messages import Response, json_response

READ_MOST, CREATE_MOST, ARCHIVE_MOST, LIST_MOST = 1_000, 2_000, 100, 500
EDGE_CAP = 50_000  # the most neighbours of one kind that a record may have, unless the store says otherwise
CATEGORIES = (HUBSPOT_DEFINED, USER_DEFINED, "INTEGRATOR_DEFINED", "WORK")
NO_ASSOCIATIONS = "crm.associations.NO_ASSOCIATIONS_FOUND"
INVALID_TYPE = "crm.associations.INVALID_ASSOCIATION_TYPE"
INVALID_OBJECTS = "crm.associations.INVALID_OBJECT_IDS"
OVER_CAP = "crm.associations.ASSOCIATION_LIMIT_EXCEEDED"


@attrs.frozen(kw_only=True)
class _Ends:
    """Two kinds of which the token may read, or write, both."""

    call: Call
    start: Kind
    end: Kind

    @classmethod
    def of(cls, call: Call, start: str, end: str, access: str) -> _Ends:
        """
        Find the kinds that a path names.

        Raises: HubSpotError: 400 where they cannot be associated at all, or where an admin has closed it to users:
        that binds writes by the dated family only.
        """
        ends = cls(call=call, start=call.kind(start, access), end=call.kind(end, access))
        if call.store.default_spec(*ends.names) is None:
            raise invalid(f"No association types exist between {ends.start.name} and {ends.end.name}")
        is_closed = not call.store.closed_edges.isdisjoint({ends.names, ends.names[::-1]})
        if access == WRITE and call.is_dated and is_closed:
            raise invalid(f"You may not associate {ends.start.name} with {ends.end.name}")
        return ends

    @property
    def names(self) -> tuple[str, str]:
        return self.start.name, self.end.name

    def types_of(self, specs: Iterable[Spec]) -> list[dict[str, Any]]:
        """Show the types of one pair."""
        found = [self.call.store.label_of(*self.names, spec) for spec in specs]
        labels = sorted((each for each in found if each), key=lambda each: (each.category, each.type_id))
        return [{"category": each.category, "typeId": each.type_id, "label": each.label} for each in labels]

    def neighbours(self, id: str, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return one page of what a live record is associated with, and the token of the next page."""
        found = self.call.store.shown(self.start.name, id, self.end.name)
        last = _last_id(after)
        ids = sorted((other for other in found if int(other) > last), key=int)
        page = ids[: min(limit, self.call.store.edge_page)]
        shown = [
            {"toObjectId": self.shown_id(other), "associationTypes": self.types_of(found[other])} for other in page
        ]
        return shown, _token(page[-1]) if len(page) < len(ids) else None

    def shown_id(self, id: str) -> int | str:
        """Show the id of an associated record: v4 gives a number, 2026-09 a text."""
        return id if self.call.is_dated else int(id)

    def pair(self, start_id: str, end_id: str) -> dict[str, Any]:
        """Show what a create leaves between two records."""
        types = self.types_of(self.call.store.specs(self.start.name, start_id, self.end.name, end_id))
        return {
            "fromObjectTypeId": self.start.type_id,
            "fromObjectId": self.shown_id(start_id),
            "toObjectTypeId": self.end.type_id,
            "toObjectId": self.shown_id(end_id),
            "labels": [each["label"] for each in types if each["label"] is not None],
        }

    def check(self, start_id: str, end_id: str, specs: Iterable[Spec]) -> None:
        """
        Refuse a pair that cannot be made.

        Raises: HubSpotError: an id that is no live record, the same record twice, a type that these kinds do not have,
        or one neighbour too many.
        """
        context = {"fromObjectId": [start_id], "toObjectId": [end_id]}
        for kind, id in ((self.start, start_id), (self.end, end_id)):
            record = self.call.store.records[kind.name].get(id)
            if record is None or record.is_archived:
                message = f"{kind.singular} {id} does not exist"
                raise HubSpotError(
                    status=404, message=message, category=NOT_FOUND, sub_category=INVALID_OBJECTS, context=context
                )
        if self.start == self.end and start_id == end_id:
            raise invalid(f"Cannot associate {self.start.singular} {start_id} with itself", **context)
        for category, type_id in specs:
            if self.call.store.label_of(*self.names, (category, type_id)) is None:
                names = f"{self.start.singular} to {self.end.singular}"
                message = f"{category} {type_id} is not a valid association type for {names}"
                types = {"category": [category], "associationTypeId": [str(type_id)]}
                raise HubSpotError(status=400, message=message, sub_category=INVALID_TYPE, context=context | types)
        self._check_cap(start_id, end_id, context)

    def _check_cap(self, start_id: str, end_id: str, context: dict[str, list[str]]) -> None:
        store = self.call.store
        for (start, one), (end, other) in (
            ((self.start.name, start_id), (self.end.name, end_id)),
            ((self.end.name, end_id), (self.start.name, start_id)),
        ):
            cap = store.edge_caps.get((start, end), EDGE_CAP)
            found = store.neighbours(start, one, end)
            if other not in found and len(found) >= cap:
                message = f"{start} {one} has reached its limit of {cap} associations to {end}"
                raise HubSpotError(status=400, message=message, sub_category=OVER_CAP, context=context)


def batch_read_post(call: Call, start: str, end: str) -> Response:
    """Answer `batch/read`: each record's first page of neighbours, or the one behind its `after`."""
    ends = _Ends.of(call, start, end, READ)
    wanted = {text_of(each, "id"): each.get("after") for each in call.inputs(most=READ_MOST)}
    results, errors = [], []
    for id, after in wanted.items():
        shown, token = ends.neighbours(id, after=after, limit=LIST_MOST)
        if not shown:
            errors.append(_no_associations(ends, id))
            continue
        result: dict[str, Any] = {"from": {"id": id}, "to": shown}
        if token is not None:
            link = f"{call.request.base_url}{call.request.raw_path}?after={token}"
            result["paging"] = {"next": {"after": token, "link": link}}
        results.append(result)
    results.reverse()
    return call.batch_answer(results, errors if call.store.no_edges == AS_ERRORS else None)


def list_get(call: Call, start: str, id: str, end: str) -> Response:
    """Answer one record's neighbours; none for one that is archived or merged away, 404 for one that never was."""
    ends = _Ends.of(call, start, end, READ)
    if call.store.find(ends.start.name, id) is None:
        raise not_found(f"{ends.start.singular} {id} does not exist", id=[id])
    limit = call.limit(default=LIST_MOST, most=LIST_MOST)
    shown, token = ends.neighbours(id, after=call.request.first("after"), limit=limit)
    body: dict[str, Any] = {"results": shown}
    if token is not None:
        body["paging"] = call.next_page(token)
    return json_response(body)


def batch_create_post(call: Call, start: str, end: str) -> Response:
    """Answer `batch/create`: each pair has just the labels sent, and the unlabelled type. 201; dated: 200."""
    ends = _Ends.of(call, start, end, WRITE)
    inputs = [
        (_end(each, "from"), _end(each, "to"), _specs(each.get("types"))) for each in call.inputs(most=CREATE_MOST)
    ]
    results, errors = [], []
    for start_id, end_id, specs in inputs:
        try:
            ends.check(start_id, end_id, specs)
        except HubSpotError as error:
            errors.append(error.body())
            continue
        call.store.associate(ends.start.name, start_id, ends.end.name, end_id, specs)
        results.append(ends.pair(start_id, end_id))
    return call.batch_answer(results, errors, status=200 if call.is_dated else 201)


def batch_default_post(call: Call, start: str, end: str) -> Response:
    """Answer `batch/associate/default`: both directions of each pair, with the unlabelled type."""
    ends = _Ends.of(call, start, end, WRITE)
    inputs = [(_end(each, "from"), _end(each, "to")) for each in call.inputs(most=CREATE_MOST)]
    results: list[dict[str, Any]] = []
    errors = []
    for start_id, end_id in inputs:
        try:
            results += _associate_default(ends, start_id, end_id)
        except HubSpotError as error:
            errors.append(error.body())
    return call.batch_answer(results, errors)


def default_put(call: Call, start: str, start_id: str, end: str, end_id: str) -> Response:
    """Answer the PUT that associates two records without a label."""
    ends = _Ends.of(call, start, end, WRITE)
    return call.batch_answer(_associate_default(ends, start_id, end_id))


def pair_put(call: Call, start: str, start_id: str, end: str, end_id: str) -> Response:
    """Answer the PUT that puts an array of labels on a pair, in place of those that it had."""
    ends = _Ends.of(call, start, end, WRITE)
    specs = _specs(call.array)
    ends.check(start_id, end_id, specs)
    call.store.associate(ends.start.name, start_id, ends.end.name, end_id, specs)
    return json_response(ends.pair(start_id, end_id), status=201)


def pair_delete(call: Call, start: str, start_id: str, end: str, end_id: str) -> Response:
    """Answer the DELETE of a pair: 204, was it there or not."""
    ends = _Ends.of(call, start, end, WRITE)
    _disassociate(ends, start_id, end_id)
    return Response(status=204)


def batch_archive_post(call: Call, start: str, end: str) -> Response:
    """Answer `batch/archive`: the pairs are gone, with all their labels."""
    ends = _Ends.of(call, start, end, WRITE)
    pairs = []
    for each in call.inputs(most=ARCHIVE_MOST):
        others = each.get("to")
        if not isinstance(others, list) or any(not isinstance(other, dict) for other in others):
            raise invalid("Some required fields were not set: [to]")
        pairs += [(_end(each, "from"), text_of(other, "id")) for other in others]
    for start_id, end_id in pairs:
        _disassociate(ends, start_id, end_id)
    return _archived(call)


def labels_archive_post(call: Call, start: str, end: str) -> Response:
    """Answer `batch/labels/archive`: these labels are off; with the unlabelled type the whole pair is gone."""
    ends = _Ends.of(call, start, end, WRITE)
    inputs = [
        (_end(each, "from"), _end(each, "to"), _specs(each.get("types"))) for each in call.inputs(most=CREATE_MOST)
    ]
    for start_id, end_id, specs in inputs:
        _disassociate(ends, start_id, end_id, specs)
    return _archived(call)


def labels_get(call: Call, start: str, end: str) -> Response:
    """Answer the types of association from one kind to another."""
    ends = _Ends.of(call, start, end, READ)
    types: list[dict[str, Any]] = [
        {"category": each.category, "typeId": each.type_id, "label": each.label}
        for each in call.store.labels[ends.names]
    ]
    if call.is_dated:
        kinds = {"fromObjectTypeId": ends.start.type_id, "toObjectTypeId": ends.end.type_id}
        types = [each | kinds for each in types]
    return json_response({"results": types})


def configurations_get(call: Call, start: str, end: str) -> Response:
    """Answer the limits that an admin has set, lower than HubSpot's own: one for each type."""
    ends = _Ends.of(call, start, end, READ)
    cap = call.store.edge_caps.get(ends.names)
    found = [] if cap is None else ends.call.store.labels[ends.names]
    return json_response(
        {
            "results": [
                {
                    "category": each.category,
                    "typeId": each.type_id,
                    "label": each.label,
                    "userEnforcedMaxToObjectIds": cap,
                }
                for each in found
            ]
        }
    )


def _associate_default(ends: _Ends, start_id: str, end_id: str) -> list[dict[str, Any]]:
    store = ends.call.store
    ends.check(start_id, end_id, ())
    had = store.shown(ends.start.name, start_id, ends.end.name).get(end_id, ())
    store.associate(ends.start.name, start_id, ends.end.name, end_id, had)
    shown = []
    for (start, one), (end, other) in (
        ((ends.start.name, start_id), (ends.end.name, end_id)),
        ((ends.end.name, end_id), (ends.start.name, start_id)),
    ):
        spec = store.default_spec(start, end)
        if spec is not None:
            types = {"associationCategory": spec[0], "associationTypeId": spec[1]}
            shown.append({"from": {"id": one}, "to": {"id": other}, "associationSpec": types})
    return shown


def _disassociate(ends: _Ends, start_id: str, end_id: str, specs: Iterable[Spec] = ()) -> None:
    """Take a pair away, where both of its ends are live, and it is to be seen: not one that follows a merge late."""
    if end_id in ends.call.store.shown(ends.start.name, start_id, ends.end.name):
        ends.call.store.disassociate(ends.start.name, start_id, ends.end.name, end_id, specs)


def _archived(call: Call) -> Response:
    return call.batch_answer([]) if call.is_dated else Response(status=204)


def _end(each: dict[str, Any], name: str) -> str:
    """Return the id of `from` or `to`."""
    found = each.get(name)
    if not isinstance(found, dict):
        raise invalid(f"Some required fields were not set: [{name}]")
    return text_of(found, "id")


def _specs(types: Any) -> list[Spec]:
    """Return the types that were sent, at least one; 400 where they are none or have no such category."""
    if not isinstance(types, list) or not types or any(not isinstance(each, dict) for each in types):
        raise invalid("Some required fields were not set: [types]")
    specs = []
    for each in types:
        category, type_id = each.get("associationCategory"), each.get("associationTypeId")
        if category not in CATEGORIES:
            known = ", ".join(CATEGORIES)
            raise invalid(f"Invalid input JSON: {category} is not a valid associationCategory, not one of [{known}]")
        if isinstance(type_id, str) and type_id.isdigit():
            type_id = int(type_id)
        if not isinstance(type_id, int) or isinstance(type_id, bool):
            raise invalid("Some required fields were not set: [associationTypeId]")
        specs.append((category, type_id))
    return specs


def _no_associations(ends: _Ends, id: str) -> dict[str, Any]:
    message = f"No {ends.end.singular} is associated with {ends.start.singular} {id}."
    context = {"fromObjectId": [id], "fromObjectType": [ends.start.singular], "toObjectType": [ends.end.singular]}
    error = HubSpotError(
        status=404, message=message, category=NOT_FOUND, sub_category=NO_ASSOCIATIONS, context=context
    )
    return error.body()


def _token(id: str) -> str:
    """Make the opaque `after` that goes on behind *id*."""
    return base64.urlsafe_b64encode(id.encode()).decode()


def _last_id(after: Any) -> int:
    if after in (None, ""):
        return -1
    try:
        return int(base64.b64decode(str(after), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Invalid paging token: {after}", after=[str(after)]) from error


def _batch(tail: str) -> tuple[str, str]:
    return both(f"/crm/v4/associations/{{}}/{{}}/batch/{tail}", f"/crm/associations/{DATED}/{{}}/{{}}/batch/{tail}")


def _record(tail: str) -> tuple[str, str]:
    return both(
        f"/crm/v4/objects/{{}}/{{}}/associations/{tail}", f"/crm/objects/{DATED}/{{}}/{{}}/associations/{tail}"
    )


_CONFIGURATIONS = both(
    "/crm/v4/associations/definitions/configurations/{}/{}",
    f"/crm/associations/{DATED}/definitions/configurations/{{}}/{{}}",
)
ROUTES: list[Route] = [
    *route("POST", _batch("read"), batch_read_post),
    *route("POST", _batch("create"), batch_create_post),
    *route("POST", _batch("associate/default"), batch_default_post),
    *route("POST", _batch("archive"), batch_archive_post),
    *route("POST", _batch("labels/archive"), labels_archive_post),
    ("GET", _record("{}")[0], list_get),  # the dated family has no such GET
    *route("PUT", _record("default/{}/{}"), default_put),
    *route("PUT", _record("{}/{}"), pair_put),
    *route("DELETE", _record("{}/{}"), pair_delete),
    ("GET", "/crm/associations/v4/{}/{}/labels", labels_get),
    *route("GET", _CONFIGURATIONS, configurations_get),
    *route(
        "GET", both("/crm/v4/associations/{}/{}/labels", f"/crm/associations/{DATED}/{{}}/{{}}/labels"), labels_get
    ),
]
