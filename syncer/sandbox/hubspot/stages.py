"""
Pipelines and stages: which properties of a record hold them, how they are shown, what an edit of them does.

Not here: the routes (`pipeline_routes`).
"""

from __future__ import annotations

from typing import Any

from syncer.sandbox.hubspot.model import Audit, Pipeline, PortalRecord, Stage
from syncer.sandbox.hubspot.store import Store, iso

STAGE_OF = {"pipeline": "dealstage", "hs_pipeline": "hs_pipeline_stage"}


def stage_json(stage: Stage) -> dict[str, Any]:
    """Show a stage."""
    shown = {
        "id": stage.id,
        "label": stage.label,
        "displayOrder": stage.display_order,
        "metadata": dict(stage.metadata),
        "createdAt": iso(stage.created_ms),
        "updatedAt": iso(stage.updated_ms),
        "archived": stage.is_archived,
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
    }
    return shown | ({"archivedAt": iso(stage.updated_ms)} if stage.is_archived else {})


def pipeline_json(pipeline: Pipeline) -> dict[str, Any]:
    """Show a pipeline with its live stages, in their order."""
    stages = sorted((each for each in pipeline.stages if not each.is_archived), key=lambda each: each.display_order)
    return {
        "id": pipeline.id,
        "label": pipeline.label,
        "displayOrder": pipeline.display_order,
        "stages": [stage_json(each) for each in stages],
        "createdAt": iso(pipeline.created_ms),
        "updatedAt": iso(pipeline.updated_ms),
        "archived": pipeline.is_archived,
    }


def edited(store: Store, kind: str, pipeline: Pipeline, *, action: str, stage: Stage | None = None) -> list[str]:
    """
    Write an edit of a pipeline, or of its *stage*, into the audit; its live records count as modified.

    Returns: the ids of these. action: CREATE, UPDATE or DELETE. Source: users of the API report that effect.
    """
    now = store.now_ms()
    pipeline.updated_ms = now
    store.audits.append(
        Audit(
            kind=kind,
            pipeline_id=pipeline.id,
            stage_id=stage.id if stage else "",
            action=action,
            ms=now,
            raw=stage_json(stage) if stage else pipeline_json(pipeline),
        )
    )

    def is_inside(record: PortalRecord) -> bool:
        return not record.is_archived and any(record.properties.get(name) == pipeline.id for name in STAGE_OF)

    ids = [record.id for record in store.records[kind].values() if is_inside(record)]
    for id in ids:
        store.update(kind, id, {}, source_type="PIPELINE")
    return ids
