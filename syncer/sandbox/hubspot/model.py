"""
What a portal holds: kinds of objects, property definitions, records, edges, labels, owners, pipelines. Values only.

Not here: how they change (`store`), how they are answered (the routes). Source: HubSpot's documentation of objects,
properties, associations, pipelines and owners.
"""

from __future__ import annotations

from typing import Any

import attrs

HUBSPOT_DEFINED, USER_DEFINED = "HUBSPOT_DEFINED", "USER_DEFINED"
DAY_MS = 86_400_000

Spec = tuple[str, int]  # category and type id of one association


@attrs.frozen(kw_only=True)
class Kind:
    """
    A kind of object. `name` is the plural that paths take, `type_id` what they take as well (`0-2`).

    required: properties that a create must have. cursor: the property that searches filter changes by.
    """

    name: str
    singular: str
    type_id: str
    primary: str  # its primary display property
    required: tuple[str, ...] = ()
    is_activity: bool = False
    can_merge: bool = False
    cursor: str = "hs_lastmodifieddate"
    created: str = "createdate"
    read_scopes: tuple[str, ...] = ()
    write_scopes: tuple[str, ...] = ()
    is_custom: bool = False
    qualified_name: str = ""  # of a custom object: p{portalId}_{name}


def _crm(name: str, singular: str, type_id: str, primary: str, **extra: Any) -> Kind:
    scopes = (f"crm.objects.{name}.read",), (f"crm.objects.{name}.write",)
    return Kind(
        name=name,
        singular=singular,
        type_id=type_id,
        primary=primary,
        read_scopes=scopes[0],
        write_scopes=scopes[1],
        can_merge=True,
        **extra,
    )


def _activity(
    name: str, singular: str, type_id: str, primary: str, *, extra_scopes: tuple[str, ...] = (), needs: str = ""
) -> Kind:
    return Kind(
        name=name,
        singular=singular,
        type_id=type_id,
        primary=primary,
        required=("hs_timestamp", needs) if needs else ("hs_timestamp",),
        is_activity=True,
        created="hs_createdate",
        read_scopes=("crm.objects.contacts.read", *extra_scopes),
        write_scopes=("crm.objects.contacts.write", *extra_scopes),
    )


KINDS: tuple[Kind, ...] = (
    _crm("companies", "company", "0-2", "name"),
    _crm("contacts", "contact", "0-1", "email", cursor="lastmodifieddate"),
    _crm("deals", "deal", "0-3", "dealname", required=("dealname", "dealstage", "pipeline")),
    Kind(
        name="tickets",
        singular="ticket",
        type_id="0-5",
        primary="subject",
        required=("subject", "hs_pipeline", "hs_pipeline_stage"),
        can_merge=True,
        read_scopes=("tickets",),
        write_scopes=("tickets",),
    ),
    _activity("notes", "note", "0-46", "hs_note_body"),
    _activity("calls", "call", "0-48", "hs_call_title"),
    _activity(
        "emails", "email", "0-49", "hs_email_subject", extra_scopes=("sales-email-read",), needs="hs_email_direction"
    ),
    _activity("meetings", "meeting", "0-47", "hs_meeting_title"),
    _activity("tasks", "task", "0-27", "hs_task_subject"),
    _activity(
        "communications", "communication", "0-18", "hs_communication_body", needs="hs_communication_channel_type"
    ),
)

# HUBSPOT_DEFINED type ids, from (row) to (column): the unlabelled one first, then the labelled ones.
# Source: HubSpot's guide "Associate records", of 2026-03-30.
TYPE_IDS: dict[tuple[str, str], tuple[tuple[int, str | None], ...]] = {
    ("companies", "companies"): ((450, None), (13, "Parent Company"), (14, "Child Company")),
    ("companies", "contacts"): ((280, None), (2, "Primary"), (930, "Billing contact")),
    ("companies", "deals"): ((342, None), (6, "Primary")),
    ("companies", "tickets"): ((340, None), (25, "Primary")),
    ("contacts", "companies"): ((279, None), (1, "Primary"), (931, "Billing contact")),
    ("contacts", "contacts"): ((449, None),),
    ("contacts", "deals"): ((4, None),),
    ("contacts", "tickets"): ((15, None),),
    ("deals", "companies"): ((341, None), (5, "Primary")),
    ("deals", "contacts"): ((3, None),),
    ("deals", "deals"): ((451, None),),
    ("deals", "tickets"): ((27, None),),
    ("tickets", "companies"): ((339, None), (26, "Primary")),
    ("tickets", "contacts"): ((16, None),),
    ("tickets", "deals"): ((28, None),),
    ("tickets", "tickets"): ((452, None),),
    ("calls", "meetings"): ((399, None),),
    ("meetings", "calls"): ((400, None),),
}
_ACTIVITY_IDS = {  # to the activity from company, contact, deal, ticket; the way back is one more, or one less
    "notes": (189, 201, 213, 227, +1),
    "calls": (181, 193, 205, 219, +1),
    "emails": (185, 197, 209, 223, +1),
    "meetings": (187, 199, 211, 225, +1),
    "tasks": (191, 203, 215, 229, +1),
    "communications": (88, 82, 86, 84, -1),
}
for _name, (*_there, _step) in _ACTIVITY_IDS.items():
    for _crm_name, _id in zip(("companies", "contacts", "deals", "tickets"), _there, strict=True):
        TYPE_IDS[_crm_name, _name] = ((_id, None),)
        TYPE_IDS[_name, _crm_name] = ((_id + _step, None),)
PRIMARY: dict[tuple[str, str], int] = {  # a record has at most one primary company
    ("contacts", "companies"): 1,
    ("deals", "companies"): 5,
    ("tickets", "companies"): 26,
}
MIRRORS = {  # read-only properties that hold the primary company's id: kind -> name
    "contacts": "associatedcompanyid",
    "deals": "hs_primary_associated_company",
    "tickets": "hs_primary_company_id",
}
BACK: dict[int, int] = {1: 2, 5: 6, 26: 25, 13: 14, 14: 13, 931: 930}  # the labelled type seen from the other side
BACK |= {back: there for there, back in list(BACK.items())}


@attrs.frozen(kw_only=True)
class Label:
    """One type of association between two kinds, seen from *from_type*. `inverse` is its id seen from the other."""

    from_type: str
    to_type: str
    category: str
    type_id: int
    label: str | None
    inverse: int


@attrs.define(kw_only=True)
class Definition:
    """One property of a kind, as `GET properties` tells it; times in milliseconds."""

    name: str
    label: str
    type: str = "string"  # string number bool enumeration date datetime phone_number json object_coordinates
    field_type: str = "text"
    group_name: str = "companyinformation"
    description: str = ""
    options: list[dict[str, Any]] = attrs.field(factory=list)
    display_order: int = -1
    calculated: bool = False
    external_options: bool = False
    referenced_object_type: str | None = None
    has_unique_value: bool = False
    hidden: bool = False
    hubspot_defined: bool = False
    form_field: bool = False
    read_only: bool = False
    data_sensitivity: str = "non_sensitive"
    calculation_formula: str | None = None
    currency_property_name: str | None = None
    created_ms: int = 0
    updated_ms: int = 0
    archived_ms: int | None = None


@attrs.define(kw_only=True)
class Group:
    """A group of properties."""

    name: str
    label: str
    display_order: int = -1
    is_archived: bool = False


@attrs.define(kw_only=True)
class Written:
    """One entry of a property's history."""

    value: str | None
    ms: int
    source_type: str = "CRM_UI"
    source_id: str | None = None
    user_id: int | None = None


@attrs.define(kw_only=True)
class PortalRecord:
    """One record. `properties` holds texts or None, also what HubSpot sets itself (`hs_object_id`, the dates)."""

    id: str
    kind: str
    properties: dict[str, str | None]
    created_ms: int
    updated_ms: int
    archived_ms: int | None = None
    history: dict[str, list[Written]] = attrs.field(factory=dict)
    merged_ids: list[str] = attrs.field(factory=list)  # ids that are behind this record now, the oldest first

    @property
    def is_archived(self) -> bool:
        """It is in the recycle bin."""
        return self.archived_ms is not None


@attrs.define(kw_only=True)
class Owner:
    """Who may own records. `id` is what records hold, `user_id` is another number."""

    id: str
    email: str
    first_name: str
    last_name: str
    user_id: int | None
    type: str = "PERSON"
    created_ms: int = 0
    updated_ms: int = 0
    is_archived: bool = False
    teams: list[dict[str, Any]] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class Stage:
    """A stage of a pipeline."""

    id: str
    label: str
    display_order: int
    metadata: dict[str, str]
    created_ms: int = 0
    updated_ms: int = 0
    is_archived: bool = False


@attrs.define(kw_only=True)
class Pipeline:
    """A pipeline of deals, tickets or custom objects."""

    id: str
    label: str
    display_order: int = 0
    stages: list[Stage] = attrs.field(factory=list)
    created_ms: int = 0
    updated_ms: int = 0
    is_archived: bool = False


@attrs.frozen(kw_only=True)
class Audit:
    """One line of the audit of a pipeline (`stage_id` "") or of a stage: what was done to it, and what it was then."""

    kind: str
    pipeline_id: str
    stage_id: str = ""
    action: str  # CREATE UPDATE DELETE
    ms: int
    raw: dict[str, Any]


@attrs.define(kw_only=True)
class Account:
    """What an account tells about itself. `type` is STANDARD, SANDBOX, DEVELOPER_TEST or APP_DEVELOPER."""

    type: str = "DEVELOPER_TEST"
    time_zone: str = "Europe/Amsterdam"
    currency: str = "EUR"
    additional_currencies: list[str] = attrs.field(factory=lambda: ["GBP", "USD"])
    ui_domain: str = "app-eu1.hubspot.com"
    hosting: str = "eu1"
