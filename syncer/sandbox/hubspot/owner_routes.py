"""
Owners: list and get. A record holds an owner's id, never the user's; who was deactivated shows with `archived=true`.

Source: HubSpot's guide to owners. Where it is silent: pages go by id; a lower-cased e-mail address finds its owner.
"""

from __future__ import annotations

from typing import Any

from syncer.sandbox.hubspot.call import Call
from syncer.sandbox.hubspot.errors import invalid, not_found
from syncer.sandbox.hubspot.model import Owner
from syncer.sandbox.hubspot.paths import DATED, Route, both, route
from syncer.sandbox.hubspot.store import iso
from syncer.sandbox.messages import Response, json_response

LIST_DEFAULT, LIST_MOST = 100, 500
SCOPE = "crm.objects.owners.read"


def owner_json(owner: Owner) -> dict[str, Any]:
    """Show an owner; `userId` is absent for a queue and for who was deactivated."""
    shown: dict[str, Any] = {
        "id": owner.id,
        "email": owner.email,
        "type": owner.type,
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "createdAt": iso(owner.created_ms),
        "updatedAt": iso(owner.updated_ms),
        "archived": owner.is_archived,
    }
    if owner.user_id is not None:
        shown["userIdIncludingInactive"] = owner.user_id
        if not owner.is_archived:
            shown["userId"] = owner.user_id
    if owner.teams:
        shown["teams"] = owner.teams
    return shown


def list_get(call: Call) -> Response:
    """List the active owners, or the archived ones, by id."""
    call.require((SCOPE,))
    limit = call.limit(default=LIST_DEFAULT, most=LIST_MOST)
    email, is_archived, after = call.request.first("email"), call.flag("archived"), call.integer("after", 0)
    found = [
        owner
        for owner in call.store.owners.values()
        if owner.is_archived == is_archived
        and int(owner.id) > after
        and (not email or owner.email.lower() == email.lower())
    ]
    page = sorted(found, key=lambda owner: int(owner.id))[:limit]
    body: dict[str, Any] = {"results": [owner_json(owner) for owner in page]}
    if len(page) < len(found):
        body["paging"] = call.next_page(page[-1].id)
    return json_response(body)


def one_get(call: Call, id: str) -> Response:
    """Show one owner, by id or by `idProperty=userId`; an archived one only with `archived=true`."""
    call.require((SCOPE,))
    key = call.request.first("idProperty") or "id"
    if key not in ("id", "userId"):
        raise invalid(f"idProperty must be id or userId, not {key}", idProperty=[key])
    owner = call.store.owners.get(id) if key == "id" else _by_user(call, id)
    if owner is None or owner.is_archived != call.flag("archived"):
        raise not_found(f"Owner {id} does not exist", ownerId=[id])
    return json_response(owner_json(owner))


def _by_user(call: Call, user_id: str) -> Owner | None:
    return next((each for each in call.store.owners.values() if str(each.user_id) == user_id), None)


def _paths(tail: str = "") -> tuple[str, str]:
    return both(f"/crm/v3/owners{tail}", f"/crm/owners/{DATED}{tail}")


ROUTES: list[Route] = [
    *route("GET", _paths(), list_get),
    *route("GET", _paths("/{}"), one_get),
]
