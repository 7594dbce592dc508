"""
Which scopes the definitions of a kind need: any scope of its objects or of its schema to read, the schema's to write.

Not here: the scopes of records (`Call.kind`). Where the documentation is silent: activities have no scopes of their
own, so those of contacts count.
Source: HubSpot's API specifications of properties and pipelines, as the fact sheet has them.
"""

from __future__ import annotations

from syncer.sandbox.hubspot.call import Call
from syncer.sandbox.hubspot.model import Kind


def may_read_schema(call: Call, ref: str) -> Kind:
    """Return the kind that a path names; 403 without any scope of its objects or its schema."""
    kind = call.kind(ref)
    call.require_any({*kind.read_scopes, *kind.write_scopes, *(f"crm.schemas.{_family(kind)}.{x}" for x in _BOTH)})
    return kind


def may_write_schema(call: Call, ref: str) -> Kind:
    """Return the kind that a path names; 403 without the scope to write its schema (tickets have but one scope)."""
    kind = call.kind(ref)
    call.require(kind.write_scopes if kind.name == "tickets" else (f"crm.schemas.{_family(kind)}.write",))
    return kind


_BOTH = ("read", "write")


def _family(kind: Kind) -> str:
    if kind.is_custom:
        return "custom"
    return "contacts" if kind.is_activity else kind.name
