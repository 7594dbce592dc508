"""
One request to the HubSpot site, as its routes see it: who calls, by which family of paths, and what was sent, checked.

Not here: limits and tokens as such (`HubSpotSite.answer`), the refusals' bodies (`errors`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import orjson

from syncer.sandbox.hubspot.errors import HubSpotError, invalid, missing_scopes
from syncer.sandbox.hubspot.model import KINDS, Kind
from syncer.sandbox.hubspot.paths import DATED
from syncer.sandbox.hubspot.store import Store
from syncer.sandbox.messages import Request, Response, json_response

if TYPE_CHECKING:
    from syncer.sandbox.hubspot import HubSpotSite

READ, WRITE = "read", "write"
SENSITIVE = "crm.objects.{}.{}.read.v2"  # kind; sensitive or highly_sensitive
ALL_SCOPES = frozenset(
    scope for kind in KINDS for scope in (*kind.read_scopes, *kind.write_scopes) if scope != "sales-email-read"
) | {
    "sales-email-read",
    "crm.objects.owners.read",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "crm.schemas.deals.read",
    "crm.schemas.deals.write",
    "crm.schemas.custom.read",
    "crm.schemas.custom.write",
    "crm.export",
}
_WHOLE = re.compile(r"-?[0-9]{1,19}")


@attrs.frozen(kw_only=True)
class Token:
    """A key to one portal, and what it may do. Sensitive properties need scopes that are not in ALL_SCOPES."""

    secret: str = attrs.field(repr=False)
    scopes: frozenset[str] = ALL_SCOPES
    is_valid: bool = True


@attrs.frozen(kw_only=True)
class Call:
    """A request with its caller. `data` is the JSON that was sent, None without a body."""

    site: HubSpotSite
    store: Store
    request: Request
    family: str  # "v3" | "2026-09"
    token: Token
    data: Any = None

    @property
    def scopes(self) -> frozenset[str]:
        """What the token may do."""
        return self.token.scopes

    @property
    def is_dated(self) -> bool:
        """It came by the dated family: the portal's own rules bind writes."""
        return self.family == DATED

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        if not isinstance(self.data, dict):
            raise invalid("Invalid input JSON on line 1, column 1: Cannot deserialize value of the expected object")
        return self.data

    @property
    def array(self) -> list[Any]:
        """The JSON array that was sent (a PUT of association types)."""
        if not isinstance(self.data, list):
            raise invalid("Invalid input JSON on line 1, column 1: Cannot deserialize value of the expected array")
        return self.data

    def require(self, scopes: Iterable[str]) -> None:
        """Refuse with 403 where the token lacks one of *scopes*; the body names those that are missing."""
        missing = set(scopes) - self.token.scopes
        if missing:
            raise missing_scopes(missing)

    def require_any(self, scopes: Iterable[str]) -> None:
        """Refuse with 403 where the token has none of *scopes*."""
        wanted = set(scopes)
        if not wanted & self.token.scopes:
            raise missing_scopes(wanted)

    def kind(self, ref: str, access: str | None = None) -> Kind:
        """Return the kind that a path names, by plural, type id or qualified name; check the scopes of *access*."""
        found = self.store.kind(ref)
        if found is None:
            raise HubSpotError(status=400, message=f"Unable to infer object type from: {ref}")
        if access is not None:
            self.require(found.read_scopes if access == READ else found.write_scopes)
        return found

    def may_see(self, kind: Kind, data_sensitivity: str) -> bool:
        """Tell whether the token may see properties of this sensitivity: others are as if they were not there."""
        if data_sensitivity == "non_sensitive":
            return True
        return SENSITIVE.format(kind.name, data_sensitivity) in self.token.scopes

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a query parameter that is true or false."""
        text = self.request.first(name)
        if text is None or text == "":
            return default
        if text.lower() not in ("true", "false"):
            raise invalid(f"{name} must be true or false")
        return text.lower() == "true"

    def integer(self, name: str, default: int) -> int:
        """Return a query parameter that is a whole number."""
        text = self.request.first(name)
        if text is None or text == "":
            return default
        if not _WHOLE.fullmatch(text):
            raise invalid(f"{name} must be an integer", **{name: [text]})
        return int(text)

    def limit(self, *, default: int, most: int) -> int:
        """Return `limit`; outside of 1 to *most* it is refused."""
        found = self.integer("limit", default)
        if not 1 <= found <= most:
            raise invalid(f"Invalid value for limit: {found}. It must be between 1 and {most}", limit=[str(found)])
        return found

    def names(self, name: str) -> list[str]:
        """Return a query parameter that is a comma list, or comes several times, or both; each name once."""
        parts = [part.strip() for value in self.request.query.get(name, []) for part in value.split(",")]
        return list(dict.fromkeys(part for part in parts if part))

    def inputs(self, *, most: int = 100) -> list[dict[str, Any]]:
        """Return the `inputs` of a batch: objects, at least one, at most *most*."""
        found = self.body.get("inputs")
        if not isinstance(found, list) or any(not isinstance(each, dict) for each in found):
            raise invalid("Invalid input JSON: inputs must be an array of objects")
        if not found:
            raise invalid("Some required fields were not set: [inputs]")
        if len(found) > most:
            raise invalid(f"The maximum number of inputs supported in a batch request for this call is {most}")
        return found

    def next_page(self, after: str) -> dict[str, Any]:
        """Return `paging` with the way to the next page; its link goes to the sandbox and can be followed."""
        kept = {name: values for name, values in self.request.query.items() if name != "after"}
        query = urlencode({**kept, "after": after}, doseq=True)
        link = f"{self.request.base_url}{self.request.raw_path}?{query}"
        return {"next": {"after": after, "link": link}}

    def batch_answer(
        self, results: list[Any], errors: list[dict[str, Any]] | None = None, *, status: int = 200
    ) -> Response:
        """Return a batch's answer: *status*, or 207 with the errors. `numErrors` counts error objects, not records."""
        now = self.site.now_text()
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if errors:
            body |= {"numErrors": len(errors), "errors": errors}
            status = 207
        return json_response(body, status=status)


def text_of(data: dict[str, Any], name: str) -> str:
    """Return a text (a number counts) of a JSON object; refuse where it is missing or something else."""
    value = data.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise invalid(f"Some required fields were not set: [{name}]")
    return value


def parsed(body: bytes) -> Any:
    """Read a request's body; None where there is none."""
    if not body.strip():
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Invalid input JSON on line 1, column 1: {error}") from error
