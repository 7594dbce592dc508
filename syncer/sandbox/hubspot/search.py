"""
`POST …/search`: what a client may ask, and the pages of the answer.

It is answered from the index, which lags; `after` is an offset; beyond 10,000 there is nothing, though `total` counts
on. A filter by the wrong one of `lastmodifieddate` and `hs_lastmodifieddate` finds nothing and says nothing. Source:
HubSpot's guide "Search the CRM".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from syncer.sandbox.hubspot import filters
from syncer.sandbox.hubspot.call import READ, Call
from syncer.sandbox.hubspot.errors import invalid
from syncer.sandbox.hubspot.index import Seen, Test
from syncer.sandbox.hubspot.model import Definition, Kind, PortalRecord
from syncer.sandbox.hubspot.paths import Route, objects, route
from syncer.sandbox.hubspot.reads import texts
from syncer.sandbox.hubspot.shapes import plain, select, values
from syncer.sandbox.messages import Response, json_response

DEFAULT, MOST, WALL = 10, 200, 10_000
QUERY_MOST = 3_000
CURSORS = ("lastmodifieddate", "hs_lastmodifieddate")
KNOWN = {"filterGroups", "filters", "query", "sorts", "properties", "limit", "after"}
ASSOCIATIONS = {
    f"associations.{name}": plural
    for name, plural in (("company", "companies"), ("contact", "contacts"), ("deal", "deals"), ("ticket", "tickets"))
}
NOT_FILTERABLE = {"hs_body_preview_html"}
NOT_FILTERABLE_EMAILS = {"hs_email_html", "hs_body_preview"}
SEARCHED = {  # what `query` looks into
    "companies": ("name", "domain", "website", "phone"),
    "contacts": ("firstname", "lastname", "email", "phone", "company"),
    "deals": ("dealname", "pipeline", "dealstage", "description", "dealtype"),
    "tickets": ("subject", "content", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_id"),
}


def search_post(call: Call, ref: str) -> Response:
    """Answer a search."""
    kind = call.kind(ref, READ)
    body = call.body
    most = call.site.search_body_most
    length = len(call.request.body.decode("utf-8", "replace"))
    if most is not None and length > most:
        raise invalid(f"The request body is {length} characters long; the maximum is {most}")
    if unknown := set(body) - KNOWN:
        raise invalid(f"Invalid input JSON: unrecognized field {min(unknown)!r}")
    start, limit = _page(body)
    groups = filters.check(_groups(body))
    query = body.get("query") or ""
    if not isinstance(query, str) or len(query) > QUERY_MOST:
        raise invalid(f"query must be a string of at most {QUERY_MOST} characters")
    name, descending = _sort(body)
    definitions = {key: found for key, found in call.store.definitions[kind.name].items() if found.archived_ms is None}
    if name is not None and name not in definitions and name not in CURSORS:
        raise invalid(f"Cannot sort by {name}: it does not exist", propertyName=[name])
    groups, behind = _without_keyset(groups, is_by_id=name == filters.ID and not descending)
    call.site.index.catch_up(call.site.index_lag_s)
    test, is_fixed = _test(call, kind, groups, query)
    key = filters.sort_key(name, definitions.get(name or ""), descending=descending)
    asked = json.dumps([groups, query, name, descending], sort_keys=True) if is_fixed else None
    total, ids = call.site.index.answer(kind.name, asked, test, key).page(start, limit, behind=behind)
    selection = select(call, kind, properties=texts(body.get("properties"), "properties"))
    answer: dict[str, Any] = {"total": total, "results": [_shown(call, kind, id, selection.names) for id in ids]}
    if start + limit < total:
        answer["paging"] = {"next": {"after": str(start + limit)}}
    return json_response(answer)


def _page(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return offset and size; refuse what lies beyond the wall."""
    after, limit = body.get("after") or 0, body.get("limit", DEFAULT)
    if isinstance(after, str) and after.isdigit():
        after = int(after)
    if isinstance(after, bool) or not isinstance(after, int) or after < 0:
        raise invalid(f"after must be an integer, not {body['after']!r}", after=[str(body["after"])])
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= MOST:
        raise invalid(f"Invalid value for limit: {limit}. It must be between 1 and {MOST}", limit=[str(limit)])
    if after + limit > WALL:
        raise invalid(f"Paging through search results is limited to {WALL} records", after=[str(after)])
    return after, limit


def _groups(body: Mapping[str, Any]) -> Any:
    """Return the groups; `filters` beside them is one group."""
    if body.get("filters"):
        return [{"filters": body["filters"]}, *(body.get("filterGroups") or [])]
    return body.get("filterGroups")


def _sort(body: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the property to sort by and whether it is descending; one rule only. A bare name sorts ascending."""
    sorts = body.get("sorts") or []
    if not isinstance(sorts, list) or len(sorts) > 1:
        raise invalid("Only one sort is supported per request")
    if not sorts:
        return None, False
    if isinstance(sorts[0], str):
        return sorts[0].removeprefix("-"), sorts[0].startswith("-")
    name, direction = sorts[0].get("propertyName"), sorts[0].get("direction", "ASCENDING")
    if not isinstance(name, str) or direction not in ("ASCENDING", "DESCENDING"):
        raise invalid("Invalid input JSON: a sort needs propertyName, and ASCENDING or DESCENDING as its direction")
    return name, direction == "DESCENDING"


def _without_keyset(
    groups: list[list[Mapping[str, Any]]], *, is_by_id: bool
) -> tuple[list[list[Mapping[str, Any]]], int | None]:
    """Take `hs_object_id GT n` out of a search that is sorted by id: that is a place in its answer, not a filter."""
    if not is_by_id or len(groups) != 1:
        return groups, None
    found = [one for one in groups[0] if one["propertyName"] == filters.ID and one["operator"] == "GT"]
    if len(found) != 1 or not str(found[0].get("value", "")).isdigit():
        return groups, None
    return [[one for one in groups[0] if one is not found[0]]], int(found[0]["value"])


def _test(call: Call, kind: Kind, groups: list[list[Mapping[str, Any]]], query: str) -> tuple[Test, bool]:
    """Return the test of all groups and the query, and whether its answer may be kept: edges have no index."""
    is_fixed = not any(one["propertyName"] in ASSOCIATIONS for group in groups for one in group)
    tests = [[_filter(call, kind, one) for one in group] for group in groups]
    words = filters.tokens(query)
    searched = SEARCHED.get(kind.name, (kind.primary,))

    def passes(seen: Seen) -> bool:
        if tests and not any(all(test(seen) for test in group) for group in tests):
            return False
        return not words or _mentions(seen, searched, words)

    return passes, is_fixed


def _filter(call: Call, kind: Kind, one: Mapping[str, Any]) -> Test:
    """Return the test of one filter; refuse what cannot be filtered by."""
    name = one["propertyName"]
    if name in ASSOCIATIONS:
        return _associated(call, kind, one)
    if name in NOT_FILTERABLE or (kind.name == "emails" and name in NOT_FILTERABLE_EMAILS):
        raise invalid(f"Filtering by {name} is not supported", propertyName=[name])
    found: Definition | None = call.store.definitions[kind.name].get(name)
    if found is not None and (found.archived_ms is not None or not call.may_see(kind, found.data_sensitivity)):
        found = None
    if found is None and name not in CURSORS:
        raise invalid("There was a problem with the request.", propertyName=[name])
    stamps: dict[str, Callable[[Seen], int]] = {
        kind.cursor: lambda seen: seen.updated_ms,
        kind.created: lambda seen: seen.created_ms,
    }
    return filters.test_of(one, found, stamp=stamps.get(name) if found is not None else None)


def _associated(call: Call, kind: Kind, one: Mapping[str, Any]) -> Test:
    """Return the test of a pseudo-property; it reads the edges as they are now."""
    if kind.is_custom or one["operator"] != "EQ":
        raise invalid(f"{one['propertyName']} takes EQ only, and not on custom objects")
    other = ASSOCIATIONS[one["propertyName"]]
    ids = call.store.shown(other, str(one.get("value")), kind.name)
    return lambda seen: seen.id in ids


def _mentions(seen: Seen, searched: Sequence[str], words: Sequence[str]) -> bool:
    """Tell whether each word begins a word of one of the properties."""
    known = [token for name in searched for token in filters.tokens(seen.properties.get(name) or "")]
    return all(any(token.startswith(word) for token in known) for word in words)


def _shown(call: Call, kind: Kind, id: str, names: Sequence[str]) -> dict[str, Any]:
    """Return one record as the index has it."""
    seen = call.site.index.get(kind.name, id)
    record = PortalRecord(
        id=id, kind=kind.name, properties=seen.properties, created_ms=seen.created_ms, updated_ms=seen.updated_ms
    )
    return plain(record, values(call.store, record, names))


ROUTES: list[Route] = [*route("POST", objects("/search"), search_post)]
