"""
HubSpot: what its records are as rows. Data only; what each stream brings and does not bring is in docs/hubspot.md.

Ids are text everywhere: that of the default pipeline is "default" for deals and "0" for tickets.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from syncer.mapping import EntityMapping, Field, Inbound, Outbound
from syncer.values import BIGINT, BOOLEAN, DECIMAL, JSON, TIMESTAMP

LOOKBACK = timedelta(minutes=10)  # search learns of a change later than it is made
TRAILING = timedelta(days=7)  # edges come and go without any date moving: those of what changed so lately are read
A_DAY = timedelta(hours=20)  # between two censuses that are taken daily, with room for a slow one

# What every kind of object has; its properties are added by the portal's own definitions.
_RECORD = (
    Field("id"),
    Field("created_at", path="createdAt", type=TIMESTAMP),
    Field("updated_at", path="updatedAt", type=TIMESTAMP),
    Field("archived_at", path="archivedAt", type=TIMESTAMP, comment="when it was put into the recycle bin"),
    Field("url", comment="of the record in HubSpot, where the API tells it"),
)
TEMPLATE = EntityMapping(
    name="hubspot.custom_object",
    key=("id",),
    fields=_RECORD,
    inbound=Inbound(
        stream="custom_object",
        lookback=LOOKBACK,
        version="updated_at",
        discovers=True,
        misses=2,
        misses_apart=A_DAY,
    ),
    outbound=Outbound(kind="custom_object"),
)


def _object(name: str) -> EntityMapping:
    """Make the mapping of one of HubSpot's own kinds: they differ in nothing but their properties."""
    assert TEMPLATE.inbound is not None
    return attrs.evolve(
        TEMPLATE,
        name=f"hubspot.{name}",
        inbound=attrs.evolve(TEMPLATE.inbound, stream=name),
        outbound=Outbound(kind=name),
    )


ASSOCIATIONS = EntityMapping(
    name="hubspot.associations",
    key=("from_type", "from_id", "to_type", "to_id", "category", "type_id"),
    fields=(
        Field("from_type"),
        Field("from_id"),
        Field("to_type"),
        Field("to_id"),
        Field("category", comment="HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or WORK"),
        Field("type_id", type=BIGINT, comment="of its category and direction"),
        Field("label", comment="empty for the type without one"),
    ),
    inbound=Inbound(
        stream="associations",
        lookback=TRAILING,
        slice_by=("from_type", "from_id", "to_type"),
        told_by_keys=("label",),
    ),
)
OWNERS = EntityMapping(
    name="hubspot.owners",
    key=("id",),
    fields=(
        Field("id", comment="what hubspot_owner_id holds; not the user's id"),
        Field("email", personal=True),
        Field("type", comment="PERSON or QUEUE"),
        Field("first_name", path="firstName", personal=True),
        Field("last_name", path="lastName", personal=True),
        Field("user_id", path="userId", comment="empty where the user was deactivated"),
        Field("user_id_including_inactive", path="userIdIncludingInactive"),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("updated_at", path="updatedAt", type=TIMESTAMP),
        Field("archived", type=BOOLEAN, comment="the user was deactivated; records keep the id"),
        Field("teams", type=JSON, comment="id, name and primary of each"),
    ),
    inbound=Inbound(stream="owners"),
)

PIPELINES = EntityMapping(
    name="hubspot.pipelines",
    key=("object_type", "id"),
    fields=(
        Field("object_type"),
        Field("id"),
        Field("label"),
        Field("display_order", path="displayOrder", type=BIGINT),
        Field("archived", type=BOOLEAN),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("updated_at", path="updatedAt", type=TIMESTAMP),
        Field("archived_at", path="archivedAt", type=TIMESTAMP),
        Field("stages", type=JSON, comment="in their order; hubspot.pipeline_stages has them as rows"),
    ),
    inbound=Inbound(stream="pipelines", slice_by=("object_type",)),
)

PIPELINE_STAGES = EntityMapping(
    name="hubspot.pipeline_stages",
    key=("object_type", "pipeline_id", "id"),
    fields=(
        Field("object_type"),
        Field("pipeline_id"),
        Field("id", comment="what dealstage or hs_pipeline_stage holds"),
        Field("label"),
        Field("display_order", path="displayOrder", type=BIGINT),
        Field("probability", path="metadata.probability", type=DECIMAL, comment="of a deal: 0 is lost, 1 is won"),
        Field("is_closed", path="metadata.isClosed", type=BOOLEAN),
        Field("ticket_state", path="metadata.ticketState", comment="OPEN or CLOSED"),
        Field("metadata", type=JSON),
        Field("write_permissions", path="writePermissions"),
        Field("archived", type=BOOLEAN),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("updated_at", path="updatedAt", type=TIMESTAMP),
        Field("archived_at", path="archivedAt", type=TIMESTAMP),
    ),
    inbound=Inbound(stream="pipeline_stages", slice_by=("object_type",)),
)

PROPERTIES = EntityMapping(
    name="hubspot.properties",
    key=("object_type", "name"),
    fields=(
        Field("object_type"),
        Field("name"),
        Field("label"),
        Field("type", comment="string, number, bool, enumeration, date, datetime, phone_number, and HubSpot's own"),
        Field("field_type", path="fieldType", comment="how a form shows it; checkbox holds several values"),
        Field("group_name", path="groupName"),
        Field("group_label"),
        Field("description"),
        Field("display_order", path="displayOrder", type=BIGINT),
        Field("options", type=JSON, comment="the choices; records hold the value, people see the label"),
        Field("external_options", path="externalOptions", type=BOOLEAN, comment="the choices are owners or the like"),
        Field("referenced_object_type", path="referencedObjectType"),
        Field("calculated", type=BOOLEAN, comment="means nothing for a portal's own properties"),
        Field("calculation_formula", path="calculationFormula"),
        Field("has_unique_value", path="hasUniqueValue", type=BOOLEAN),
        Field("hidden", type=BOOLEAN),
        Field("hubspot_defined", path="hubspotDefined", type=BOOLEAN),
        Field("form_field", path="formField", type=BOOLEAN),
        Field("is_writable", type=BOOLEAN, comment="records take a value for it"),
        Field("read_only_value", path="modificationMetadata.readOnlyValue", type=BOOLEAN),
        Field("read_only_definition", path="modificationMetadata.readOnlyDefinition", type=BOOLEAN),
        Field("read_only_options", path="modificationMetadata.readOnlyOptions", type=BOOLEAN),
        Field("archivable", path="modificationMetadata.archivable", type=BOOLEAN),
        Field("data_sensitivity", path="dataSensitivity"),
        Field("currency_property_name", path="currencyPropertyName"),
        Field("show_currency_symbol", path="showCurrencySymbol", type=BOOLEAN),
        Field("archived", type=BOOLEAN),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("updated_at", path="updatedAt", type=TIMESTAMP),
        Field("archived_at", path="archivedAt", type=TIMESTAMP),
        Field("created_user_id", path="createdUserId"),
        Field("updated_user_id", path="updatedUserId"),
        Field("definition", type=JSON, comment="the whole definition, as HubSpot has it"),
    ),
    inbound=Inbound(stream="properties", slice_by=("object_type",)),
)

MAPPINGS = (
    PROPERTIES,
    OWNERS,
    PIPELINES,
    PIPELINE_STAGES,
    *(
        _object(name)
        for name in (
            "companies",
            "contacts",
            "deals",
            "tickets",
            "notes",
            "calls",
            "emails",
            "meetings",
            "tasks",
            "communications",
        )
    ),
    ASSOCIATIONS,  # behind the objects: it uses the ids that their lists gave
)
