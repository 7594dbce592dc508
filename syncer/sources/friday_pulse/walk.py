"""
Which flow dates a pull reads, and what its places hold. No request is sent here.

A *walk* goes over the dates that are due, the newest first, and over the groups of each in the order of their ids.
The place of the scope "" tells which walk is under way; the place of each date tells how far the latest walk came
there. So a walk that was killed goes on behind the last slice that was committed, and no place grows with the number
of slices:

    ""            {"walk": 7, "is_open": true, "opened": 1788163200, "groups": [11, 12], "known": [11]}
    "2025-01-16"  {"walk": 7, "newest": "2025-01-16", "after": 12, "failed": {"11": 1}}

A date is due that was never read to its end, that lies in the lookback (inclusive) of the newest date, or that was
still younger when it was read last: what came late for it since must arrive. A group that is new has all dates read.

Not here: the requests (`slices.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

import attrs

from syncer.sources import Place

MOST_TRIES = 3  # runs that ask for a slice of an old date; in the lookback each run does
STALE_S = 6 * 3600.0  # a walk that was opened longer ago is finished, and the next one follows at once


@attrs.frozen(kw_only=True)
class Walk:
    """
    One walk, as the place of the scope "" tells it.

    opened: the server's clock, in seconds. groups: those it reads; None where the stream has none. known: those whose
    every date had been read when it was opened.
    """

    number: int
    opened: float
    groups: tuple[int, ...] | None
    known: frozenset[int] = frozenset()

    @classmethod
    def of(cls, place: Place) -> Walk:
        """Read an open walk back."""
        groups = place.get("groups")
        return cls(
            number=place["walk"],
            opened=place["opened"],
            groups=None if groups is None else tuple(groups),
            known=frozenset(place.get("known", ())),
        )

    @classmethod
    def after(cls, place: Place | None, *, now: float, groups: Iterable[int] | None) -> Walk:
        """Open the walk that comes after the one that *place* tells."""
        return cls(
            number=max(int(now), place["walk"] + 1 if place else 0),  # a reload knows no place, and yet is another one
            opened=now,
            groups=None if groups is None else tuple(sorted(groups)),
            known=frozenset(place.get("known", ())) if place else frozenset(),
        )

    def place(self) -> Place:
        """The place while it is under way."""
        told: Place = {"walk": self.number, "is_open": True, "opened": self.opened}
        if self.groups is not None:
            told |= {"groups": list(self.groups), "known": sorted(self.known)}
        return told

    def finished(self, groups: Iterable[int] | None) -> Place:
        """The place behind it; *groups* are those that it read to the end."""
        told: Place = {"walk": self.number, "is_open": False, "opened": self.opened}
        return told if groups is None else {**told, "known": sorted(groups)}


@attrs.frozen(kw_only=True)
class Due:
    """
    What a walk has to read of one date.

    groups: in their order; (None,) for the company. newest: what the place tells as the newest date.
    is_whole: all groups of the walk are read, and not only new ones and some that failed before.
    is_counted: those that failed before count in the share of failures; not where they are old and tried once more.
    failed: how often each group failed, by its name; what is read well is taken out.
    """

    date: str
    groups: tuple[int | None, ...]
    newest: str
    is_whole: bool
    is_counted: bool = True
    failed: Mapping[str, int] = attrs.field(factory=dict)

    def place(self, walk: Walk, *, after: int | None, failed: Mapping[str, int]) -> Place:
        """Return the place behind the slice of a group, or (*after* is None) behind the date."""
        told: Place = {"walk": walk.number, "newest": self.newest}
        if after is not None:
            told |= {"after": after} if self.is_whole else {"after": after, "is_part": True}
        return {**told, "failed": dict(failed)} if failed else told


def name_of(group: int | None) -> str:
    """Name a group as the places do."""
    return "company" if group is None else str(group)


def due(dates: Sequence[str], walk: Walk, *, places: Mapping[str, Place], lookback: timedelta) -> Iterator[Due]:
    """Yield what *walk* still has to read, newest date first; *dates* are all that there are."""
    newest = max(dates, default="")
    for date in sorted(dates, reverse=True):
        found = _due(date, walk, places.get(date), newest=newest, lookback=lookback)
        if found is not None:
            yield found


def _due(date: str, walk: Walk, place: Place | None, *, newest: str, lookback: timedelta) -> Due | None:
    groups: tuple[int | None, ...] = (None,) if walk.groups is None else walk.groups
    if place is None:
        return Due(date=date, groups=groups, newest=newest, is_whole=True)
    failed = place.get("failed", {})
    if place["walk"] == walk.number:
        if "after" not in place:  # this walk has read it, in an earlier run; what failed then is asked for again
            again = tuple(group for group in groups if 0 < failed.get(name_of(group), 0) < MOST_TRIES)
            return attrs.evolve(_part(date, again, place), is_counted=True) if again else None
        is_whole = "is_part" not in place
        left = groups if is_whole else _some(groups, walk, failed)
        behind = tuple(group for group in left if group is not None and group > place["after"])
        return attrs.evolve(_part(date, behind, place), is_whole=is_whole, is_counted=is_whole)
    if "after" in place or _in_lookback(date, newest, lookback) or _was_young(date, place["newest"], lookback):
        return Due(date=date, groups=groups, newest=newest, is_whole=True, failed=failed)
    some = _some(groups, walk, failed)
    return _part(date, some, place) if some else None


def _part(date: str, groups: tuple[int | None, ...], place: Place) -> Due:
    """Make a reading of some groups of a date; it stays as new as it was."""
    return Due(
        date=date,
        groups=groups,
        newest=place["newest"],
        is_whole=False,
        is_counted=False,
        failed=place.get("failed", {}),
    )


def _some(groups: Iterable[int | None], walk: Walk, failed: Mapping[str, int]) -> tuple[int | None, ...]:
    """Return the groups that are new, and those that failed too seldom to be given up."""
    return tuple(
        group
        for group in groups
        if (group is not None and group not in walk.known) or 0 < failed.get(name_of(group), 0) < MOST_TRIES
    )


def _in_lookback(date: str, newest: str, lookback: timedelta) -> bool:
    """Tell whether a date is at most *lookback* before the newest one."""
    return dt.date.fromisoformat(newest) - dt.date.fromisoformat(date) <= lookback


def _was_young(date: str, newest: str, lookback: timedelta) -> bool:
    """Tell whether a date could still change after it was read, when *newest* was the newest one."""
    return dt.date.fromisoformat(newest) - dt.date.fromisoformat(date) < lookback
