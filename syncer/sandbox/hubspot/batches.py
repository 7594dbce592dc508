"""
The batches that write: create, update, upsert, archive.

Without `objectWriteTraceId` on every input one bad input refuses the whole batch and nothing is written; with it the
good ones are written and the bad ones are told in a 207; `store.honours_traces` switches that off. An id twice refuses
the whole batch either way. An update of an id that was merged away is passed over: neither result nor error. Source:
HubSpot's page "Error handling".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from syncer.sandbox.hubspot.call import WRITE, Call, text_of
from syncer.sandbox.hubspot.errors import HubSpotError, invalid, not_found
from syncer.sandbox.hubspot.model import Kind, PortalRecord
from syncer.sandbox.hubspot.paths import Route, objects, route
from syncer.sandbox.hubspot.reads import refuse_duplicates
from syncer.sandbox.hubspot.validation import Checked, check
from syncer.sandbox.hubspot.writes import (
    SOURCE,
    Edge,
    archive,
    edges_of,
    refuse_taken,
    unique_key,
    write_new,
    written,
)
from syncer.sandbox.messages import Response


@attrs.frozen(kw_only=True)
class Intent:
    """What one input wants, checked. record None: a new one."""

    record: PortalRecord | None
    values: Checked
    edges: list[Edge] = attrs.field(factory=list)
    is_missed: bool = False  # passed over in silence


Prepare = Callable[[dict[str, Any], Sequence[Checked]], Intent]


def batch_create(call: Call, ref: str) -> Response:
    """Create up to 100 records."""
    kind = call.kind(ref, WRITE)

    def prepare(each: dict[str, Any], taken: Sequence[Checked]) -> Intent:
        found = check(call, kind, each.get("properties"), record=None)
        refuse_taken(call, kind, found, None, taken)
        return Intent(record=None, values=found, edges=edges_of(call, kind, each.get("associations")))

    return _Batch(call, kind, call.inputs(), prepare).run(status=201)


def batch_update(call: Call, ref: str) -> Response:
    """Update up to 100 records by id, or by a unique property that is not the e-mail address."""
    kind = call.kind(ref, WRITE)
    inputs = call.inputs()
    for each in inputs:
        if each.get("idProperty"):
            unique_key(call, kind, each["idProperty"], "update")
    refuse_duplicates([text_of(each, "id") for each in inputs])

    def prepare(each: dict[str, Any], taken: Sequence[Checked]) -> Intent:
        id = text_of(each, "id")
        if each.get("idProperty"):
            record = call.site.values.find(kind.name, each["idProperty"], id)
        else:
            record = call.store.records[kind.name].get(id)
        if record is None and id in call.store.merged[kind.name]:
            return Intent(record=None, values={}, is_missed=True)
        if record is None or record.is_archived:
            raise not_found(f"Could not find {kind.singular.upper()} {id}", ids=[id])
        found = check(call, kind, each.get("properties"), record=record)
        refuse_taken(call, kind, found, record, taken)
        return Intent(record=record, values=found)

    return _Batch(call, kind, inputs, prepare).run(status=200)


def batch_upsert(call: Call, ref: str) -> Response:
    """Update up to 100 records by the value of a unique property, and create those that are not there."""
    kind = call.kind(ref, WRITE)
    inputs = call.inputs()
    for each in inputs:
        unique_key(call, kind, each.get("idProperty"), "upsert")
    refuse_duplicates([text_of(each, "id") for each in inputs])

    def prepare(each: dict[str, Any], taken: Sequence[Checked]) -> Intent:
        name, value = each["idProperty"], text_of(each, "id")
        record = call.site.values.find(kind.name, name, value)
        sent = each.get("properties") or {}
        if record is None and isinstance(sent, dict):
            sent = {name: value, **sent}
        found = check(call, kind, sent, record=record)
        refuse_taken(call, kind, found, record, taken)
        return Intent(record=record, values=found)

    return _Batch(call, kind, inputs, prepare, tells_new=True).run(status=200)


def batch_archive(call: Call, ref: str) -> Response:
    """Archive up to 100 records; those that are gone already are passed over."""
    kind = call.kind(ref, WRITE)
    ids = [text_of(each, "id") for each in call.inputs()]
    refuse_duplicates(ids)
    for id in ids:
        archive(call, kind, id)
    return Response(status=204)


class _Batch:
    """One batch: prepared input by input, then written as a whole or in part."""

    def __init__(
        self, call: Call, kind: Kind, inputs: list[dict[str, Any]], prepare: Prepare, *, tells_new: bool = False
    ) -> None:
        self.call, self.kind, self.inputs, self.prepare, self.tells_new = call, kind, inputs, prepare, tells_new
        honours = call.store.honours_traces
        self.traces = [each.get("objectWriteTraceId") if honours else None for each in inputs]
        given = [str(trace) for trace in self.traces if trace is not None]
        if len(set(given)) < len(given):
            raise invalid("objectWriteTraceId must be unique in a batch")

    def run(self, *, status: int) -> Response:
        """Write, and answer with *status*, or 207."""
        is_traced = all(isinstance(trace, str) and trace for trace in self.traces)
        results, errors = self._in_part() if is_traced else (self._as_a_whole(), [])
        shown = sorted(results, key=lambda each: str(each["id"])[::-1])
        if shown == results:  # nobody may match results by position
            shown = shown[::-1]
        return self.call.batch_answer(shown, errors, status=status)

    def _as_a_whole(self) -> list[dict[str, Any]]:
        intents: list[Intent] = []
        for each in self.inputs:
            intents.append(self.prepare(each, [intent.values for intent in intents]))
        return [
            self._write(intent, trace)
            for intent, trace in zip(intents, self.traces, strict=True)
            if not intent.is_missed
        ]

    def _in_part(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        results, errors = [], []
        for each, trace in zip(self.inputs, self.traces, strict=True):
            try:
                intent = self.prepare(each, ())
            except HubSpotError as error:
                context = {**error.context, "objectWriteTraceId": [str(trace)]}
                if "id" in each:
                    context.setdefault("ids", [str(each["id"])])
                errors.append(attrs.evolve(error, context=context).body())
                continue
            if not intent.is_missed:
                results.append(self._write(intent, trace))
        return results, errors

    def _write(self, intent: Intent, trace: Any) -> dict[str, Any]:
        record = intent.record
        if record is None:
            record = write_new(self.call, self.kind, intent.values, intent.edges)
        else:
            self.call.store.update(self.kind.name, record.id, intent.values, source_type=SOURCE)
        shown = written(self.call, record, intent.values, trace if isinstance(trace, str) else None)
        return {**shown, "new": intent.record is None} if self.tells_new else shown


ROUTES: list[Route] = [
    *route("POST", objects("/batch/create"), batch_create),
    *route("POST", objects("/batch/update"), batch_update),
    *route("POST", objects("/batch/upsert"), batch_upsert),
    *route("POST", objects("/batch/archive"), batch_archive),
]
