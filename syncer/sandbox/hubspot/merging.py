"""
What two records become when they are merged: their values, their histories, and which pairs reads show later.

Not here: moving the edges, and what becomes of the ids (`store`); the route, and merges that take place late
(`merge_routes`). Source: HubSpot's guide "Merge records", and its changelogs on merging deals, contacts and companies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncer.sandbox.hubspot.model import PortalRecord, Written

End = tuple[str, str]  # kind and id


def merged_values(primary: PortalRecord, lost: PortalRecord, *, but: Collection[str]) -> dict[str, str | None]:
    """Return the primary record's values, blanks filled from the other; without the properties *but*."""
    return {
        name: value
        for record in (lost, primary)
        for name, value in record.properties.items()
        if value not in (None, "") and name not in but
    }


def merged_histories(primary: PortalRecord, lost: PortalRecord, *, but: Collection[str]) -> dict[str, list[Written]]:
    """Return the entries of both records by property, the oldest first; without the properties *but*."""
    names = {*primary.history, *lost.history, *primary.properties, *lost.properties} - set(but)
    found = {
        name: sorted([*_entries(lost, name), *_entries(primary, name)], key=lambda each: each.ms) for name in names
    }
    return {name: entries for name, entries in found.items() if entries}


def _entries(record: PortalRecord, name: str) -> Iterable[Written]:
    """Return a property's entries; a record that was made in bulk has none, and one value since it is there."""
    value = record.properties.get(name)
    if record.history.get(name) or value is None:
        return record.history.get(name, ())
    return (Written(value=value, ms=record.created_ms),)


class Coming:
    """Pairs that a merge has moved and that reads do not show yet. Times in milliseconds of the portal's clock."""

    def __init__(self) -> None:
        """Start with none."""
        self._from_ms: dict[frozenset[End], int] = {}
        self._last_ms = 0

    def add(self, one: End, other: End, *, from_ms: int) -> None:
        """Hide a pair until *from_ms*."""
        self._from_ms[frozenset((one, other))] = from_ms
        self._last_ms = max(self._last_ms, from_ms)

    def drop(self, one: End, other: End) -> None:
        """Show a pair at once: somebody wrote it."""
        self._from_ms.pop(frozenset((one, other)), None)

    def is_any(self, *, now_ms: int) -> bool:
        """Tell whether any pair is hidden; forget them where none is any more."""
        if now_ms >= self._last_ms:
            self._from_ms.clear()
        return bool(self._from_ms)

    def hides(self, one: End, other: End, *, now_ms: int) -> bool:
        """Tell whether a pair is not to be shown yet."""
        return self._from_ms.get(frozenset((one, other)), 0) > now_ms
