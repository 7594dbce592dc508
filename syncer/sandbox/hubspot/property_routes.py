"""
The definitions of properties and their groups: list, get, create, change, archive, one by one and in batches.

Source: HubSpot's guide to properties. Where it is silent: a name stays taken while its property is archived; what
HubSpot defined can be neither changed nor archived; values stay as they are when a type changes; a group that still
has properties cannot be archived.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from syncer.sandbox.hubspot.call import Call, text_of
from syncer.sandbox.hubspot.errors import CONFLICT, NOT_FOUND, HubSpotError, invalid, not_found
from syncer.sandbox.hubspot.model import Definition, Group, Kind
from syncer.sandbox.hubspot.paths import DATED, Route, both, route
from syncer.sandbox.hubspot.scopes import may_read_schema, may_write_schema
from syncer.sandbox.hubspot.store import Store, iso
from syncer.sandbox.messages import Response, json_response

BATCH_MOST = 100
CUSTOM_CAP, UNIQUE_CAP = 1_000, 10  # properties of the portal's own, and unique ones, of one kind
FIELD_TYPES = {
    "string": ("text", "textarea", "html", "phonenumber", "file", "calculation_equation"),
    "number": ("number", "calculation_equation"),
    "bool": ("booleancheckbox", "calculation_equation"),
    "enumeration": ("checkbox", "select", "radio", "booleancheckbox", "calculation_equation"),
    "date": ("date",),
    "datetime": ("date", "calculation_equation"),
    "phone_number": ("phonenumber",),
}
SENSITIVITIES = ("non_sensitive", "sensitive", "highly_sensitive")
REQUIRED = ("name", "label", "type", "fieldType", "groupName")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_KEYS = {  # of what may be sent, besides options; the key in JSON and the attribute
    "label": "label",
    "type": "type",
    "fieldType": "field_type",
    "groupName": "group_name",
    "description": "description",
    "displayOrder": "display_order",
    "hidden": "hidden",
    "formField": "form_field",
    "externalOptions": "external_options",
    "referencedObjectType": "referenced_object_type",
    "calculationFormula": "calculation_formula",
    "currencyPropertyName": "currency_property_name",
}


def definition_json(definition: Definition) -> dict[str, Any]:
    """
    Show a definition as `GET properties` does.

    That a property of the portal's own is calculated shows in `fieldType` and `calculationFormula` only.
    """
    is_own = not definition.hubspot_defined
    modification: dict[str, Any] = {
        "archivable": is_own,
        "readOnlyDefinition": not is_own,
        "readOnlyValue": (definition.read_only or definition.calculated) and not (is_own and definition.calculated),
    }
    if definition.options or definition.type == "enumeration":
        modification["readOnlyOptions"] = not is_own
    shown: dict[str, Any] = {
        "name": definition.name,
        "label": definition.label,
        "type": definition.type,
        "fieldType": definition.field_type,
        "groupName": definition.group_name,
        "description": definition.description,
        "options": [_option_json(each, order) for order, each in enumerate(definition.options)],
        "displayOrder": definition.display_order,
        "calculated": definition.calculated and definition.hubspot_defined,  # of the portal's own it tells nothing
        "externalOptions": definition.external_options,
        "hasUniqueValue": definition.has_unique_value,
        "hidden": definition.hidden,
        "hubspotDefined": definition.hubspot_defined,
        "formField": definition.form_field,
        "archived": definition.archived_ms is not None,
        "dataSensitivity": definition.data_sensitivity,
        "createdAt": iso(definition.created_ms),
        "updatedAt": iso(definition.updated_ms),
        "modificationMetadata": modification,
    }
    more = {
        "referencedObjectType": definition.referenced_object_type,
        "calculationFormula": definition.calculation_formula,
        "currencyPropertyName": definition.currency_property_name,
        "archivedAt": None if definition.archived_ms is None else iso(definition.archived_ms),
    }
    return shown | {name: value for name, value in more.items() if value is not None}


def _option_json(option: Mapping[str, Any], order: int) -> dict[str, Any]:
    return {
        "label": option["label"],
        "value": option["value"],
        "hidden": option.get("hidden", False),
        "displayOrder": option.get("displayOrder", order),
        "description": option.get("description", ""),
    }


def list_get(call: Call, ref: str) -> Response:
    """List all definitions of one sensitivity, the live or the archived ones; there are no pages."""
    kind = may_read_schema(call, ref)
    sensitivity = call.request.first("dataSensitivity") or SENSITIVITIES[0]
    if sensitivity not in SENSITIVITIES:
        raise invalid(f"dataSensitivity must be one of {', '.join(SENSITIVITIES)}", dataSensitivity=[sensitivity])
    is_archived = call.flag("archived")
    found = [
        definition_json(each)
        for each in call.store.definitions[kind.name].values()
        if each.data_sensitivity == sensitivity
        and call.may_see(kind, sensitivity)
        and (each.archived_ms is not None) == is_archived
    ]
    return json_response({"results": found})


def one_get(call: Call, ref: str, name: str) -> Response:
    """Show one definition; an archived one only with `archived=true`."""
    kind = may_read_schema(call, ref)
    found = _visible(call, kind, name, is_archived=call.flag("archived"))
    if found is None:
        raise _unknown(kind, name)
    return json_response(definition_json(found))


def create_post(call: Call, ref: str) -> Response:
    """Create a definition: 201; 409 where the name is taken, by an archived one too."""
    kind = may_write_schema(call, ref)
    return json_response(definition_json(create(call.store, kind, call.body)), status=201)


def update_patch(call: Call, ref: str, name: str) -> Response:
    """Change a definition; its name, its kind and whether it is unique are fixed for ever."""
    kind = may_write_schema(call, ref)
    definition = _visible(call, kind, name, is_archived=False)
    if definition is None:
        raise _unknown(kind, name)
    if definition.hubspot_defined:
        raise invalid(f"Property {name} is defined by HubSpot and cannot be modified", propertyName=[name])
    body = call.body
    if bool(body.get("hasUniqueValue", definition.has_unique_value)) != definition.has_unique_value:
        raise invalid("hasUniqueValue can be set at creation only", propertyName=[name])
    wished = {**_as_sent(definition), **body, "name": name}
    checked = _checked(call.store, kind, wished)
    for key in (*_KEYS.values(), "options", "calculated", "read_only"):
        setattr(definition, key, getattr(checked, key))
    definition.updated_ms = call.store.now_ms()
    return json_response(definition_json(definition))


def archive_delete(call: Call, ref: str, name: str) -> Response:
    """Archive a definition: 204; 400 for one that HubSpot defined."""
    kind = may_write_schema(call, ref)
    definition = _visible(call, kind, name, is_archived=False)
    if definition is None:
        raise _unknown(kind, name)
    if definition.hubspot_defined:
        raise invalid(f"Property {name} is defined by HubSpot and cannot be archived", propertyName=[name])
    definition.archived_ms = definition.updated_ms = call.store.now_ms()
    return Response(status=204)


def batch_read_post(call: Call, ref: str) -> Response:
    """Show up to 100 definitions; 207 names those that are not there."""
    kind = may_read_schema(call, ref)
    is_archived = bool(call.body.get("archived", False))
    names = [text_of(each, "name") for each in call.inputs(most=BATCH_MOST)]
    found = {name: _visible(call, kind, name, is_archived=is_archived) for name in names}
    shown = [definition_json(each) for each in found.values() if each is not None]
    missing = [name for name, each in found.items() if each is None]
    if not missing:
        return call.batch_answer(shown)
    error = HubSpotError(
        status=404, message="Some properties do not exist", category=NOT_FOUND, context={"name": missing}
    )
    return call.batch_answer(shown, [error.body()])


def batch_create_post(call: Call, ref: str) -> Response:
    """Create up to 100 definitions: 201, or 207 where some cannot be."""
    kind = may_write_schema(call, ref)
    results, errors = [], []
    for each in call.inputs(most=BATCH_MOST):
        try:
            results.append(definition_json(create(call.store, kind, each)))
        except HubSpotError as error:
            error.context.setdefault("name", [str(each.get("name"))])
            errors.append(error.body())
    return call.batch_answer(results, errors, status=201)


def batch_archive_post(call: Call, ref: str) -> Response:
    """Archive up to 100 definitions: 204 whatever becomes of them."""
    kind = may_write_schema(call, ref)
    now = call.store.now_ms()
    for each in call.inputs(most=BATCH_MOST):
        definition = _visible(call, kind, text_of(each, "name"), is_archived=False)
        if definition is not None and not definition.hubspot_defined:
            definition.archived_ms = definition.updated_ms = now
    return Response(status=204)


def create(store: Store, kind: Kind, body: Mapping[str, Any]) -> Definition:
    """Make a definition of what was sent. Raises: HubSpotError: 400 or 409."""
    missing = [name for name in REQUIRED if not body.get(name)]
    if missing:
        raise invalid(f"Some required fields were not set: [{', '.join(missing)}]")
    definition = _checked(store, kind, body)
    definition.has_unique_value = bool(body.get("hasUniqueValue", False))
    definition.data_sensitivity = str(body.get("dataSensitivity") or SENSITIVITIES[0])
    taken = store.definitions[kind.name]
    if definition.name in taken:
        message = f"A property named '{definition.name}' already exists."
        raise HubSpotError(status=409, message=message, category=CONFLICT, context={"name": [definition.name]})
    own = [each for each in taken.values() if not each.hubspot_defined and each.archived_ms is None]
    if len(own) >= CUSTOM_CAP:
        raise invalid(f"You have reached the limit of {CUSTOM_CAP} custom properties for {kind.name}")
    if definition.has_unique_value:
        if definition.type not in ("string", "number"):
            raise invalid(f"A property of type {definition.type} cannot have unique values", name=[definition.name])
        if sum(each.has_unique_value for each in own) >= UNIQUE_CAP:
            raise invalid(f"You have reached the limit of {UNIQUE_CAP} unique properties for {kind.name}")
    store.define(kind.name, definition)
    return definition


def _checked(store: Store, kind: Kind, body: Mapping[str, Any]) -> Definition:
    """Return a definition of what was sent, put nowhere yet."""
    name, type, field_type = (str(body[key]) for key in ("name", "type", "fieldType"))
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid property name '{name}': lower-case letters, digits and underscores only", name=[name])
    if type not in FIELD_TYPES:
        raise invalid(f"Invalid property type '{type}', not one of [{', '.join(FIELD_TYPES)}]", type=[type])
    if field_type not in FIELD_TYPES[type]:
        raise invalid(f"Invalid fieldType '{field_type}' for type '{type}'", fieldType=[field_type])
    if body["groupName"] not in groups_of(store, kind):
        raise invalid(f"Property group '{body['groupName']}' does not exist", groupName=[str(body["groupName"])])
    is_external = bool(body.get("externalOptions"))
    definition = Definition(name=name, label=str(body["label"]))
    for key, attribute in _KEYS.items():
        if body.get(key) is not None:
            setattr(definition, attribute, body[key])
    definition.options = [] if is_external else _options(body, type)
    definition.calculated = definition.read_only = field_type == "calculation_equation"
    return definition


def _options(body: Mapping[str, Any], type: str) -> list[dict[str, Any]]:
    found = body.get("options") or []
    if not isinstance(found, list) or any(not isinstance(each, dict) for each in found):
        raise invalid("Invalid input JSON: options must be an array of objects")
    if type == "bool" and not found:
        found = [{"label": "Yes", "value": "true"}, {"label": "No", "value": "false"}]
    if type not in ("enumeration", "bool"):
        return []
    if not found:
        raise invalid("A property of type enumeration needs options", options=[])
    options = [each | {"label": text_of(each, "label"), "value": text_of(each, "value")} for each in found]
    values = [each["value"] for each in options]
    if len(set(values)) < len(values):
        raise invalid("Property option values must be unique", options=values)
    return [_option_json(each, order) for order, each in enumerate(options)]


def _as_sent(definition: Definition) -> dict[str, Any]:
    return {key: getattr(definition, attribute) for key, attribute in _KEYS.items()} | {"options": definition.options}


def _visible(call: Call, kind: Kind, name: str, *, is_archived: bool) -> Definition | None:
    found = call.store.definitions[kind.name].get(name)
    if found is None or (found.archived_ms is not None) != is_archived:
        return None
    return found if call.may_see(kind, found.data_sensitivity) else None


def _unknown(kind: Kind, name: str) -> HubSpotError:
    return not_found(f"Property {name} does not exist for {kind.type_id}", propertyName=[name])


# Groups


def groups_of(store: Store, kind: Kind) -> dict[str, Group]:
    """Return the live groups: those that were made, and those that only definitions name."""
    made = store.groups.setdefault(kind.name, {})
    for definition in store.definitions[kind.name].values():
        name = definition.group_name
        if name not in made:
            made[name] = Group(name=name, label=name.replace("_", " ").capitalize(), display_order=len(made))
    return {name: group for name, group in made.items() if not group.is_archived}


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "label": group.label,
        "displayOrder": group.display_order,
        "archived": group.is_archived,
    }


def groups_get(call: Call, ref: str) -> Response:
    """List the groups."""
    kind = may_read_schema(call, ref)
    return json_response({"results": [_group_json(each) for each in groups_of(call.store, kind).values()]})


def group_get(call: Call, ref: str, name: str) -> Response:
    """Show one group."""
    return json_response(_group_json(_group(call, may_read_schema(call, ref), name)))


def group_post(call: Call, ref: str) -> Response:
    """Create a group: 201; 409 where the name is taken."""
    kind = may_write_schema(call, ref)
    name, label = text_of(call.body, "name"), text_of(call.body, "label")
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid property group name '{name}'", name=[name])
    if name in groups_of(call.store, kind):
        message = f"A property group named '{name}' already exists."
        raise HubSpotError(status=409, message=message, category=CONFLICT, context={"name": [name]})
    group = Group(name=name, label=label, display_order=int(call.body.get("displayOrder", -1)))
    call.store.groups[kind.name][name] = group
    return json_response(_group_json(group), status=201)


def group_patch(call: Call, ref: str, name: str) -> Response:
    """Change a group's label or place."""
    group = _group(call, may_write_schema(call, ref), name)
    group.label = str(call.body.get("label", group.label))
    group.display_order = int(call.body.get("displayOrder", group.display_order))
    return json_response(_group_json(group))


def group_delete(call: Call, ref: str, name: str) -> Response:
    """Archive a group: 204; 400 while properties stand in it."""
    kind = may_write_schema(call, ref)
    group = _group(call, kind, name)
    inside = [
        each.name
        for each in call.store.definitions[kind.name].values()
        if each.group_name == name and each.archived_ms is None
    ]
    if inside:
        raise invalid(f"Property group '{name}' still has {len(inside)} properties", properties=inside)
    group.is_archived = True
    return Response(status=204)


def _group(call: Call, kind: Kind, name: str) -> Group:
    group = groups_of(call.store, kind).get(name)
    if group is None:
        raise not_found(f"Property group {name} does not exist for {kind.type_id}", groupName=[name])
    return group


def _paths(tail: str = "") -> tuple[str, str]:
    return both(f"/crm/v3/properties/{{}}{tail}", f"/crm/properties/{DATED}/{{}}{tail}")


ROUTES: list[Route] = [
    *route("GET", _paths(), list_get),
    *route("POST", _paths(), create_post),
    *route("GET", _paths("/{}"), one_get),
    *route("PATCH", _paths("/{}"), update_patch),
    *route("DELETE", _paths("/{}"), archive_delete),
    *route("POST", _paths("/batch/read"), batch_read_post),
    *route("POST", _paths("/batch/create"), batch_create_post),
    *route("POST", _paths("/batch/archive"), batch_archive_post),
    *route("GET", _paths("/groups"), groups_get),
    *route("POST", _paths("/groups"), group_post),
    *route("GET", _paths("/groups/{}"), group_get),
    *route("PATCH", _paths("/groups/{}"), group_patch),
    *route("DELETE", _paths("/groups/{}"), group_delete),
]
