"""
Pipelines and their stages, of deals, tickets and custom objects, and the audits that tell who changed them.

There are no pages, and what is archived is not shown any more (404). Every edit makes the records of the pipeline
count as modified, as users of the API report. Where the documentation is silent: records keep the id of a stage that
was archived; `validateReferencesBeforeDelete` refuses while live records stand in it.
Source: HubSpot's guide to pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer.sandbox.hubspot.call import Call, text_of
from syncer.sandbox.hubspot.errors import HubSpotError, invalid, not_found
from syncer.sandbox.hubspot.model import Audit, Kind, Pipeline, Stage
from syncer.sandbox.hubspot.paths import DATED, Route, both, route
from syncer.sandbox.hubspot.scopes import may_read_schema
from syncer.sandbox.hubspot.stages import STAGE_OF, edited, pipeline_json, stage_json
from syncer.sandbox.hubspot.store import Store, iso
from syncer.sandbox.messages import Response, json_response

WITH_PIPELINES = ("deals", "tickets")  # custom objects as well
USER_ID = 9999  # who changes are written down under


@attrs.frozen(kw_only=True)
class _Place:
    """Where a request works: a kind's pipelines, one of them, one of its stages."""

    call: Call
    kind: Kind

    @classmethod
    def of(cls, call: Call, ref: str, *, is_write: bool = False) -> _Place:
        kind = may_read_schema(call, ref)
        if not kind.is_custom and kind.name not in WITH_PIPELINES:
            raise invalid(f"Object type {kind.name} does not support pipelines", objectType=[ref])
        if is_write:
            call.require_any({*kind.write_scopes, f"crm.schemas.{'custom' if kind.is_custom else kind.name}.write"})
        return cls(call=call, kind=kind)

    @property
    def store(self) -> Store:
        return self.call.store

    @property
    def pipelines(self) -> dict[str, Pipeline]:
        return self.store.pipelines.setdefault(self.kind.name, {})

    def pipeline(self, id: str) -> Pipeline:
        found = self.pipelines.get(id)
        if found is None or found.is_archived:
            raise not_found(f"Pipeline {id} does not exist for {self.kind.type_id}", pipelineId=[id])
        return found

    def stage(self, pipeline: Pipeline, id: str) -> Stage:
        found = next((each for each in pipeline.stages if each.id == id and not each.is_archived), None)
        if found is None:
            raise not_found(f"Stage {id} does not exist in pipeline {pipeline.id}", stageId=[id])
        return found

    def changed(self, pipeline: Pipeline, action: str, stage: Stage | None = None) -> None:
        """Write an edit down, and let the records of the pipeline count as modified."""
        edited(self.store, self.kind.name, pipeline, action=action, stage=stage)

    def refuse_if_used(self, name: str, id: str) -> None:
        """Refuse to archive what live records stand in, where the request asks to look."""
        if not self.call.flag("validateReferencesBeforeDelete") and not self.call.flag(
            "validateDealStageUsagesBeforeDelete"
        ):
            return
        records = self.store.records[self.kind.name].values()
        names = STAGE_OF if name == "pipeline" else STAGE_OF.values()
        inside = [each.id for each in records if not each.is_archived and id in map(each.properties.get, names)]
        if inside:
            raise HubSpotError(
                status=400,
                message=f"The {name} {id} is still used by {len(inside)} records",
                sub_category=f"PipelineError.{name.upper()}_ID_IN_USE",
                context={"ids": inside[:100]},
            )

    def new_stage(self, body: Mapping[str, Any], order: int) -> Stage:
        """Make a stage of what was sent. Raises: HubSpotError: a label or what the metadata need is missing."""
        now = self.store.now_ms()
        stage = Stage(
            id=self.store.new_id(),
            label=text_of(dict(body), "label"),
            display_order=_order(body, order),
            metadata=self.metadata(body.get("metadata")),
            created_ms=now,
            updated_ms=now,
        )
        return stage

    def metadata(self, sent: Any) -> dict[str, str]:
        """Check the metadata of a stage: deals need `probability`, tickets may say `ticketState`."""
        found = {} if sent is None else sent
        if not isinstance(found, dict) or any(not isinstance(value, str) for value in found.values()):
            raise invalid("Invalid input JSON: metadata must be an object of strings")
        if self.kind.name == "deals":
            text = found.get("probability", "")
            if not _is_share(text):
                raise invalid("metadata.probability must be a number between 0.0 and 1.0", probability=[text])
            return {"isClosed": str(float(text) in (0.0, 1.0)).lower(), **found}
        state = found.get("ticketState", "OPEN")
        if self.kind.name == "tickets" and state not in ("OPEN", "CLOSED"):
            raise invalid("metadata.ticketState must be OPEN or CLOSED", ticketState=[state])
        return {"ticketState": state, **found} if self.kind.name == "tickets" else dict(found)


def list_get(call: Call, ref: str) -> Response:
    """List the live pipelines of a kind."""
    live = [each for each in _Place.of(call, ref).pipelines.values() if not each.is_archived]
    return json_response({"results": [pipeline_json(each) for each in sorted(live, key=lambda x: x.display_order)]})


def one_get(call: Call, ref: str, id: str) -> Response:
    """Show a pipeline."""
    return json_response(pipeline_json(_Place.of(call, ref).pipeline(id)))


def create_post(call: Call, ref: str) -> Response:
    """Create a pipeline with its stages: 201."""
    place = _Place.of(call, ref, is_write=True)
    now = place.store.now_ms()
    pipeline = Pipeline(
        id=place.store.new_id(),
        label=text_of(call.body, "label"),
        display_order=_order(call.body, len(place.pipelines)),
        stages=_stages(place, call.body),
        created_ms=now,
        updated_ms=now,
    )
    _refuse_taken(pipeline.label, [each for each in place.pipelines.values() if not each.is_archived], "pipeline")
    place.pipelines[pipeline.id] = pipeline
    place.changed(pipeline, "CREATE")
    return json_response(pipeline_json(pipeline), status=201)


def replace_put(call: Call, ref: str, id: str) -> Response:
    """Put other labels and other stages in the place of a pipeline's."""
    place = _Place.of(call, ref, is_write=True)
    pipeline = place.pipeline(id)
    pipeline.label = text_of(call.body, "label")
    pipeline.display_order = _order(call.body, pipeline.display_order)
    pipeline.stages = _stages(place, call.body)
    place.changed(pipeline, "UPDATE")
    return json_response(pipeline_json(pipeline))


def update_patch(call: Call, ref: str, id: str) -> Response:
    """Change a pipeline's label or place."""
    place = _Place.of(call, ref, is_write=True)
    pipeline = place.pipeline(id)
    pipeline.label = str(call.body.get("label", pipeline.label))
    pipeline.display_order = _order(call.body, pipeline.display_order)
    place.changed(pipeline, "UPDATE")
    return json_response(pipeline_json(pipeline))


def archive_delete(call: Call, ref: str, id: str) -> Response:
    """Archive a pipeline: 204."""
    place = _Place.of(call, ref, is_write=True)
    pipeline = place.pipeline(id)
    place.refuse_if_used("pipeline", id)
    pipeline.is_archived = True
    place.changed(pipeline, "DELETE")
    return Response(status=204)


def stages_get(call: Call, ref: str, id: str) -> Response:
    """List the live stages of a pipeline."""
    return json_response({"results": pipeline_json(_Place.of(call, ref).pipeline(id))["stages"]})


def stage_get(call: Call, ref: str, id: str, stage_id: str) -> Response:
    """Show a stage."""
    place = _Place.of(call, ref)
    return json_response(stage_json(place.stage(place.pipeline(id), stage_id)))


def stage_post(call: Call, ref: str, id: str) -> Response:
    """Add a stage: 201."""
    place = _Place.of(call, ref, is_write=True)
    pipeline = place.pipeline(id)
    stage = place.new_stage(call.body, len(pipeline.stages))
    _refuse_taken(stage.label, [each for each in pipeline.stages if not each.is_archived], "stage")
    pipeline.stages.append(stage)
    place.changed(pipeline, "CREATE", stage)
    return json_response(stage_json(stage), status=201)


def stage_replace_put(call: Call, ref: str, id: str, stage_id: str) -> Response:
    """Put all of a stage anew, but for its id."""
    return _stage_update(call, ref, id, stage_id, is_whole=True)


def stage_patch(call: Call, ref: str, id: str, stage_id: str) -> Response:
    """Change what is sent of a stage; metadata are replaced as a whole."""
    return _stage_update(call, ref, id, stage_id, is_whole=False)


def _stage_update(call: Call, ref: str, id: str, stage_id: str, *, is_whole: bool) -> Response:
    place = _Place.of(call, ref, is_write=True)
    pipeline = place.pipeline(id)
    stage = place.stage(pipeline, stage_id)
    label = text_of(call.body, "label") if is_whole else str(call.body.get("label", stage.label))
    if is_whole or "metadata" in call.body:
        stage.metadata = place.metadata(call.body.get("metadata"))
    stage.label, stage.display_order = label, _order(call.body, stage.display_order)
    stage.updated_ms = place.store.now_ms()
    place.changed(pipeline, "UPDATE", stage)
    return json_response(stage_json(stage))


def stage_delete(call: Call, ref: str, id: str, stage_id: str) -> Response:
    """Archive a stage: 204."""
    place = _Place.of(call, ref, is_write=True)
    pipeline = place.pipeline(id)
    stage = place.stage(pipeline, stage_id)
    place.refuse_if_used("stage", stage_id)
    stage.is_archived, stage.updated_ms = True, place.store.now_ms()
    place.changed(pipeline, "DELETE", stage)
    return Response(status=204)


def audit_get(call: Call, ref: str, id: str, stage_id: str = "") -> Response:
    """Tell what was done to a pipeline, or to one of its stages, the newest first; to an archived one too."""
    place = _Place.of(call, ref)
    if id not in place.pipelines:
        raise not_found(f"Pipeline {id} does not exist for {place.kind.type_id}", pipelineId=[id])
    found = [
        _audit_json(place.store, each)
        for each in reversed(place.store.audits)
        if (each.kind, each.pipeline_id, each.stage_id) == (place.kind.name, id, stage_id)
    ]
    return json_response({"results": found})


def _audit_json(store: Store, audit: Audit) -> dict[str, Any]:
    return {
        "portalId": store.portal_id,
        "identifier": audit.stage_id or audit.pipeline_id,
        "action": audit.action,
        "timestamp": iso(audit.ms),
        "message": f"{'Stage' if audit.stage_id else 'Pipeline'} {audit.action.lower()}d",
        "rawObject": audit.raw,
        "fromUserId": USER_ID,
    }


def _stages(place: _Place, body: Mapping[str, Any]) -> list[Stage]:
    sent = body.get("stages")
    if not isinstance(sent, list) or not sent or any(not isinstance(each, dict) for each in sent):
        raise invalid("Some required fields were not set: [stages]")
    stages: list[Stage] = []
    for order, each in enumerate(sent):
        stage = place.new_stage(each, order)
        _refuse_taken(stage.label, stages, "stage")
        stages.append(stage)
    return stages


def _refuse_taken(label: str, others: Sequence[Pipeline | Stage], what: str) -> None:
    if any(each.label == label for each in others):
        raise invalid(f"A {what} with the label '{label}' already exists", label=[label])


def _order(body: Mapping[str, Any], default: int) -> int:
    found = body.get("displayOrder", default)
    if not isinstance(found, int) or isinstance(found, bool):
        raise invalid("displayOrder must be an integer", displayOrder=[str(found)])
    return found


def _is_share(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False


def _paths(tail: str = "") -> tuple[str, str]:
    return both(f"/crm/v3/pipelines/{{}}{tail}", f"/crm/pipelines/{DATED}/{{}}{tail}")


ROUTES: list[Route] = [
    *route("GET", _paths(), list_get),
    *route("POST", _paths(), create_post),
    *route("GET", _paths("/{}"), one_get),
    *route("PUT", _paths("/{}"), replace_put),
    *route("PATCH", _paths("/{}"), update_patch),
    *route("DELETE", _paths("/{}"), archive_delete),
    *route("GET", _paths("/{}/audit"), audit_get),
    *route("GET", _paths("/{}/stages"), stages_get),
    *route("POST", _paths("/{}/stages"), stage_post),
    *route("GET", _paths("/{}/stages/{}"), stage_get),
    *route("PUT", _paths("/{}/stages/{}"), stage_replace_put),
    *route("PATCH", _paths("/{}/stages/{}"), stage_patch),
    *route("DELETE", _paths("/{}/stages/{}"), stage_delete),
    *route("GET", _paths("/{}/stages/{}/audit"), audit_get),
]
