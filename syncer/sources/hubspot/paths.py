"""
Where HubSpot's endpoints stand, in the family of paths that an environment chose: `v3`, which means v3 objects with v4
associations, or a date version such as `2026-09`. No other file has a path in it.

Source: HubSpot's documentation of its API versions; the endpoints' own pages.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from syncer.errors import UsageError

V3 = "v3"
DATED = "2026-09"
_DATED = re.compile(r"20\d\d-(?:03|09)")


class Paths:
    """Builds paths of one family. `family` is `v3` or a date version."""

    def __init__(self, family: str, *, place: str = "in [hubspot]") -> None:
        """Choose a family; *place*: where that stands. Raises UsageError where there is none of that name."""
        if family != V3 and not _DATED.fullmatch(family):
            raise UsageError(
                f"{place}: the API version '{family[:40]}' is none of HubSpot's.",
                hint=f"api is {V3} or a date version such as {DATED}.",
            )
        self.family = family
        self._is_dated = family != V3

    def objects(self, kind: str, *tail: str) -> str:
        """Return the path of records of a kind, or of something below it (`batch`, `read`)."""
        root = f"/crm/objects/{self.family}" if self._is_dated else "/crm/v3/objects"
        return "/".join((root, *map(_part, (kind, *tail))))

    def associations(self, start: str, end: str, *tail: str) -> str:
        """Return the path of the associations from one kind to another, or of something below it."""
        root = f"/crm/associations/{self.family}" if self._is_dated else "/crm/v4/associations"
        return "/".join((root, *map(_part, (start, end, *tail))))

    def validations(self, type_id: str) -> str:
        """Return the path of the rules that a portal sets for values; it takes the id of a type."""
        root = f"/crm/property-validations/{self.family}" if self._is_dated else "/crm/v3/property-validations"
        return f"{root}/{_part(type_id)}"

    def schema(self, kind: str) -> str:
        """Return the path of what a custom object is."""
        return f"/crm-object-schemas/{self.family if self._is_dated else V3}/schemas/{_part(kind)}"

    def account(self) -> str:
        """Return the path of the portal's own details."""
        return f"/account-info/{self.family if self._is_dated else V3}/details"

    def daily_usage(self) -> str:
        """Return the path of how many requests were used today; it stands in v3 only."""
        return "/account-info/v3/api-usage/daily/private-apps"


def _part(text: str) -> str:
    return quote(text, safe="")
