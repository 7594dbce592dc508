"""What happened in a portal's life: one value an event, and who hears of it. Not here: making it happen (`life`)."""

from __future__ import annotations

from typing import Protocol

import attrs

from syncer.sandbox.hubspot.store import Store


@attrs.frozen(kw_only=True)
class Event:
    """
    One thing that happened.

    kind: what; type: the kind of object; ids: the records that it concerns, see each method of `Life`; ms: when;
    other: the kind at the other end of an edge; name: the property, owner or stage; text: for people.
    """

    kind: str
    type: str
    ids: tuple[str, ...]
    ms: int
    other: str = ""
    name: str = ""
    text: str = ""


class Lives(Protocol):
    """The part of a site that life happens in."""

    store: Store
    events: list[Event]


class Notes(Protocol):
    """Writes an event down, with the time."""

    def __call__(
        self, kind: str, type: str, ids: tuple[str, ...], *, other: str = "", name: str = "", text: str = ""
    ) -> Event:
        """Return the event."""
        ...
