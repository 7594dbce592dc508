"""
The kinds of objects: their order, which decides on which side an edge stands, and what differs between them.

Source: HubSpot's documentation of objects, of search and of scopes; contacts have another cursor property than all
other kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from syncer.errors import UsageError

ORDER = (
    "notes",
    "calls",
    "emails",
    "meetings",
    "tasks",
    "communications",
    "tickets",
    "deals",
    "contacts",
    "companies",
)
TAKEN = ("associations", "owners", "pipelines", "pipeline_stages", "properties", "pairs")
PLACE = "in [hubspot]"
WITH_PIPELINES = ("deals", "tickets")
WITH_SCOPES = ("companies", "contacts", "deals")  # kinds that have scopes of their own name
EMAIL_SCOPE = "sales-email-read"
MERGED_IDS = "hs_merged_object_ids"
_ENTITY = re.compile(r"[a-z][a-z0-9_]*")
_CUSTOM = re.compile(r"[A-Za-z0-9_-]+")


@attrs.frozen(kw_only=True)
class Kind:
    """
    One kind of object. `name` is the stream's and the mapping's, `path` what its paths take: the same but for custom
    objects.
    """

    name: str
    path: str
    is_custom: bool = False

    @property
    def cursor(self) -> str:
        """The property that searches find changes by; the wrong one finds nothing, without an error."""
        return "lastmodifieddate" if self.name == "contacts" else "hs_lastmodifieddate"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that reading and writing records needs; activities go with contacts."""
        if self.name == "tickets" and not self.is_custom:
            return ("tickets",)  # one for both
        own = "custom" if self.is_custom else self.name if self.name in WITH_SCOPES else "contacts"
        more = (EMAIL_SCOPE,) if self.name == "emails" else ()
        return (f"crm.objects.{own}.read", f"crm.objects.{own}.write", *more)


def all_kinds(objects: Any, *, place: str = PLACE) -> dict[str, Kind]:
    """
    Return all kinds by name, in their order: HubSpot's own, then the custom ones that a site names in `objects`.

    objects: a list of names, or a table from names to what paths take (`licences = "2-345"`).
    place: where the option stands, for messages.
    Raises: UsageError.
    """
    found = {name: Kind(name=name, path=name) for name in ORDER}
    for name, path in sorted(custom_names(objects, place=place).items()):
        if name in found or name in TAKEN:
            raise UsageError(f"{place}: objects names {name}, which is no custom object: it has a mapping already.")
        found[name] = Kind(name=name, path=path, is_custom=True)
    return found


def custom_names(objects: Any, *, place: str = PLACE) -> Mapping[str, str]:
    """Return name and path of each custom object. Raises UsageError."""
    if objects is None:
        return {}
    if isinstance(objects, list):
        pairs = [(each, each) for each in objects]
    elif isinstance(objects, dict):
        pairs = list(objects.items())
    else:
        pairs = [(objects, objects)]
    for name, path in pairs:
        if not (
            isinstance(name, str) and isinstance(path, str) and _ENTITY.fullmatch(name) and _CUSTOM.fullmatch(path)
        ):
            raise UsageError(
                f"{place}: objects is a list of custom objects' names in small letters, digits and _, such as "
                '["subscriptions"], or a table from such names to what HubSpot calls them (licences = "2-345"); it '
                f"has {repr(name if name == path else {name: path})[:60]}."
            )
    return dict(pairs)
