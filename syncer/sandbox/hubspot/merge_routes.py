"""
The route that merges two records, and merges that take place after their answer was lost or given up.

Where the documentation is silent: while a merge is under way, another one of either record is a 423 (HubSpot's lock of
heavy writes), and everything else goes on as if nothing was; it is dropped where one of the two is gone by then.
What a merge does: `Store.merge`. Source: HubSpot's guide "Merge records", and its page "Error handling".
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from syncer.sandbox.hubspot.call import WRITE, Call, text_of
from syncer.sandbox.hubspot.errors import HubSpotError, html, invalid, not_found
from syncer.sandbox.hubspot.model import Kind
from syncer.sandbox.hubspot.paths import Route, objects, route
from syncer.sandbox.hubspot.store import Refused, Store, TooManyMerges
from syncer.sandbox.hubspot.writes import written
from syncer.sandbox.messages import RESET, Response, json_response


@attrs.frozen(kw_only=True)
class UnderWay:
    """A merge that was taken in and takes place at *due_ms* of the portal's clock."""

    kind: str
    primary: str
    lost: str
    due_ms: int


class LateMerges:
    """The merges of one portal that are under way. `done` and `dropped` count those whose time has come."""

    def __init__(self, store: Store) -> None:
        """Start with none."""
        self.waiting: list[UnderWay] = []
        self.done = self.dropped = 0
        self._store = store

    def add(self, merge: UnderWay) -> None:
        """Take a merge in."""
        self.waiting.append(merge)
        self.waiting.sort(key=lambda each: each.due_ms)

    def concerns(self, kind: str, ids: Collection[str]) -> bool:
        """Tell whether one of these records is being merged."""
        return any(each.kind == kind and {each.primary, each.lost} & set(ids) for each in self.waiting)

    def take_place(self) -> None:
        """Do the merges whose time has come, in order, where both records are still live ones."""
        while self.waiting and self.waiting[0].due_ms <= self._store.now_ms():
            merge = self.waiting.pop(0)
            records = [self._store.records[merge.kind].get(id) for id in (merge.primary, merge.lost)]
            try:
                if any(record is None or record.is_archived for record in records):
                    raise Refused("a record is gone")
                self._store.merge(merge.kind, merge.primary, merge.lost)
                self.done += 1
            except Refused:
                self.dropped += 1


def merge_post(call: Call, ref: str) -> Response:
    """Merge two records into a third one, or into the primary one: the answer's id tells which. Or do it late."""
    kind = call.kind(ref, WRITE)
    primary, lost = text_of(call.body, "primaryObjectId"), text_of(call.body, "objectIdToMerge")
    _check(call, kind, primary, lost)
    late_s = call.request.late_s or call.site.merge_late_s
    try:
        if not late_s:
            survivor = call.store.merge(kind.name, primary, lost)
            return json_response(written(call, survivor, survivor.properties))
        call.store.check_merge(kind.name, primary, lost)
    except TooManyMerges as error:
        raise HubSpotError(status=414, message=str(error)) from error
    except Refused as error:
        raise invalid(str(error)) from error
    due_ms = call.store.now_ms() + int(late_s * 1000)
    call.site.late.add(UnderWay(kind=kind.name, primary=primary, lost=lost, due_ms=due_ms))
    status = call.site.merge_late_status
    return html(status, "A timeout occurred") if status else RESET


def _check(call: Call, kind: Kind, primary: str, lost: str) -> None:
    """
    Refuse what cannot be merged.

    Raises: HubSpotError: 400 for a kind that has no merges, and for an id that was merged away (where such ids are
    answered); 404 for one that is no live record's; 423 for one of which a merge is under way.
    """
    if not kind.can_merge:
        raise invalid(f"Objects of type {kind.singular.upper()} cannot be merged")
    for id in (primary, lost):
        if id in call.store.merged[kind.name] and call.site.answers_old_ids:
            raise invalid(f"Object {id} has a forward reference to {call.store.merged[kind.name][id]}", ids=[id])
        record = call.store.records[kind.name].get(id)
        if record is None or record.is_archived:
            raise not_found(f"Object {id} not found", ids=[id])
    if call.site.late.concerns(kind.name, (primary, lost)):
        raise HubSpotError(status=423, message=f"Objects {primary}, {lost} are locked", category=None)


ROUTES: list[Route] = [*route("POST", objects("/merge"), merge_post)]
