"""
What an account tells about itself: whose it is, what of its day is used, its limits, its rules for values, what its
custom objects are.

Source: HubSpot's API specifications of account info, limits tracking and property validations, as the fact sheet has
them. It does not give the shapes of the answers about limits: here each has `limit`, `usage` and `percentage`.
"""

from __future__ import annotations

from typing import Any

from syncer.sandbox.hubspot.associations import EDGE_CAP
from syncer.sandbox.hubspot.call import READ, Call
from syncer.sandbox.hubspot.errors import not_found
from syncer.sandbox.hubspot.model import Kind
from syncer.sandbox.hubspot.paths import DATED, Route, both, route
from syncer.sandbox.hubspot.property_routes import CUSTOM_CAP
from syncer.sandbox.hubspot.scopes import may_read_schema
from syncer.sandbox.hubspot.store import Store, iso
from syncer.sandbox.messages import Response, json_response

RECORD_CAP = 15_000_000  # records of one kind


def details_get(call: Call) -> Response:
    """Tell whose account a token is for."""
    account = call.store.account
    offset = call.site.local_now().strftime("%z")
    return json_response(
        {
            "portalId": call.store.portal_id,
            "accountType": account.type,
            "timeZone": account.time_zone,
            "companyCurrency": account.currency,
            "additionalCurrencies": account.additional_currencies,
            "utcOffset": f"{offset[:3]}:{offset[3:]}",
            "utcOffsetMilliseconds": _offset_ms(call),
            "uiDomain": account.ui_domain,
            "dataHostingLocation": account.hosting,
        }
    )


def usage_get(call: Call) -> Response:
    """Tell what is used of the account's day, by all of its apps together, and when the next one begins."""
    limit, used, resets = call.site.daily_usage()
    usage = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": limit,
        "currentUsage": used,
        "collectedAt": call.site.now_text(),
        "resetsAt": iso(int(resets.timestamp() * 1000)),
        "fetchStatus": "SUCCESS",
    }
    return json_response({"results": [usage]})


def validations_get(call: Call, ref: str) -> Response:
    """Tell the rules that values must keep, by property."""
    kind = may_read_schema(call, ref)
    found = {name: rules for name, rules in call.store.rules.get(kind.name, {}).items() if rules}
    return json_response({"results": {name: [_rule_json(each) for each in rules] for name, rules in found.items()}})


def validation_get(call: Call, ref: str, name: str) -> Response:
    """Tell the rules of one property; 404 for one that is not there."""
    kind = may_read_schema(call, ref)
    if name not in call.store.definitions[kind.name]:
        raise not_found(f"Property {name} does not exist for {kind.type_id}", propertyName=[name])
    rules = call.store.rules.get(kind.name, {}).get(name, [])
    return json_response({"results": [_rule_json(each) for each in rules]})


def _rule_json(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "ruleType": rule["ruleType"],
        "ruleArguments": [str(each) for each in rule.get("ruleArguments", ())],
        "shouldApplyNormalization": rule.get("shouldApplyNormalization", False),
    }


def schema_get(call: Call, ref: str) -> Response:
    """Tell what a custom object is, without its properties and associations; 404 for HubSpot's own kinds."""
    kind = may_read_schema(call, ref)
    if not kind.is_custom:
        raise not_found(f"Object type {ref} is no custom object")
    return json_response(
        {
            "id": kind.type_id.partition("-")[2],
            "objectTypeId": kind.type_id,
            "name": kind.name,
            "fullyQualifiedName": kind.qualified_name,
            "labels": {"singular": kind.singular, "plural": kind.name},
            "primaryDisplayProperty": kind.primary,
            "requiredProperties": list(kind.required),
            "archived": False,
        }
    )


def records_limit_get(call: Call) -> Response:
    """Tell how many records there are of each kind, archived ones aside, and how many there may be."""
    kinds = call.store.kinds.values()
    standard = [_usage(each, RECORD_CAP, _count(call.store, each)) for each in kinds if not each.is_custom]
    custom = [_usage(each, RECORD_CAP, _count(call.store, each)) for each in kinds if each.is_custom]
    overall = sum(each["usage"] for each in custom)
    return json_response(
        {
            "hubspotDefinedObjectTypes": standard,
            "customObjectTypes": {
                "byObjectType": custom,
                "overallLimit": RECORD_CAP,
                "overallUsage": overall,
                "overallPercentage": round(100 * overall / RECORD_CAP, 2),
            },
        }
    )


def properties_limit_get(call: Call) -> Response:
    """Tell how many properties of its own a portal has on each kind, and how many it may have."""
    found = [
        _usage(kind, CUSTOM_CAP, sum(not each.hubspot_defined and each.archived_ms is None for each in definitions))
        for kind in call.store.kinds.values()
        for definitions in (call.store.definitions[kind.name].values(),)
    ]
    return json_response({"byObjectType": found})


def associations_limit_get(call: Call, start: str, end: str) -> Response:
    """Tell how many neighbours of a kind a record may have, and how many the record with the most of them has."""
    one, other = call.kind(start, READ), call.kind(end, READ)
    found = call.store.edges.get((one.name, other.name), {}).values()
    most = max((len(edges) for edges in found), default=0)
    cap = call.store.edge_caps.get((one.name, other.name), EDGE_CAP)
    types = call.store.labels.get((one.name, other.name), [])
    shown = [
        {"category": each.category, "typeId": each.type_id, "label": each.label, **_share(cap, most)} for each in types
    ]
    return json_response({"results": shown})


def _usage(kind: Kind, limit: int, usage: int) -> dict[str, Any]:
    names = {"objectTypeId": kind.type_id, "singularLabel": kind.singular, "pluralLabel": kind.name}
    return names | _share(limit, usage)


def _share(limit: int, usage: int) -> dict[str, Any]:
    return {"limit": limit, "usage": usage, "percentage": round(100 * usage / limit, 2)}


def _count(store: Store, kind: Kind) -> int:
    return sum(not record.is_archived for record in store.records[kind.name].values())


def _offset_ms(call: Call) -> int:
    offset = call.site.local_now().utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)


def _account(tail: str) -> tuple[str, str]:
    return both(f"/account-info/v3/{tail}", f"/account-info/{DATED}/{tail}")


def _limits(tail: str) -> tuple[str, str]:
    return both(f"/crm/v3/limits/{tail}", f"/crm/limits/{DATED}/{tail}")


def _validations(tail: str) -> tuple[str, str]:
    return both(f"/crm/v3/property-validations/{tail}", f"/crm/property-validations/{DATED}/{tail}")


ROUTES: list[Route] = [
    *route("GET", _account("details"), details_get),
    *route("GET", _account("api-usage/daily/private-apps"), usage_get),
    *route("GET", _validations("{}"), validations_get),
    *route("GET", _validations("{}/{}"), validation_get),
    *route("GET", both("/crm-object-schemas/v3/schemas/{}", f"/crm-object-schemas/{DATED}/schemas/{{}}"), schema_get),
    *route("GET", _limits("records"), records_limit_get),
    *route("GET", _limits("custom-properties"), properties_limit_get),
    *route("GET", _limits("associations/records/{}/{}"), associations_limit_get),
]
