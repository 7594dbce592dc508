"""
HubSpot's refusals: one exception, and the body that it becomes.

Every field but `status` may be missing from a real body; here `correlationId` is always there. Source: HubSpot's pages
"Error handling" and "Using object APIs".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from syncer.sandbox.messages import Response, json_response

VALIDATION, NOT_FOUND, CONFLICT = "VALIDATION_ERROR", "OBJECT_NOT_FOUND", "CONFLICT"


@attrs.define(kw_only=True, eq=False)
class HubSpotError(Exception):
    """A request is refused: what its body says."""

    status: int
    message: str
    category: str | None = VALIDATION
    sub_category: str | None = None
    errors: list[dict[str, Any]] = attrs.field(factory=list)
    context: dict[str, list[str]] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def body(self, correlation_id: str | None = None) -> dict[str, Any]:
        """Return the body; without *correlation_id* it is one of the `errors` of a 207."""
        body: dict[str, Any] = {"status": "error", "message": self.message}
        if correlation_id is not None:
            body["correlationId"] = correlation_id
        more = {
            "category": self.category,
            "subCategory": self.sub_category,
            "errors": self.errors,
            "context": self.context,
        }
        return body | {key: value for key, value in more.items() if value}

    def response(self, correlation_id: str) -> Response:
        """Return the answer."""
        return json_response(self.body(correlation_id), status=self.status, headers=self.headers)


def invalid(message: str, **context: Sequence[str]) -> HubSpotError:
    """Return a 400 VALIDATION_ERROR with a context."""
    return HubSpotError(status=400, message=message, context={key: list(value) for key, value in context.items()})


def not_found(message: str = "resource not found", **context: Sequence[str]) -> HubSpotError:
    """Return a 404."""
    shown = {key: list(value) for key, value in context.items()}
    return HubSpotError(status=404, message=message, category=NOT_FOUND, context=shown)


def missing_scopes(scopes: Iterable[str]) -> HubSpotError:
    """Return the 403 that names the scopes that a token lacks."""
    text = "This app hasn't been granted all required scopes to make this call."
    detail = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": sorted(scopes)},
    }
    return HubSpotError(status=403, message=text, category="MISSING_SCOPES", errors=[detail])


def unauthorized() -> HubSpotError:
    """Return the 401 of a token that is missing, unknown, expired or revoked."""
    text = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
    return HubSpotError(status=401, message=text, category="INVALID_AUTHENTICATION")


def html(status: int, title: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a page of what stands before the API: no JSON, no correlation id."""
    page = f"<!DOCTYPE html><html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
    shown = {"Content-Type": "text/html; charset=utf-8", **(headers or {})}
    return Response(status=status, headers=shown, body=page.encode())
