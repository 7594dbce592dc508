"""
Friday Pulse, read: topics, groups, flow dates, and the results, notes and risks of each date, of the company and of
each group.

    calls.py     requests, who we are
    listing.py   what is listed whole; groups and dates are asked for once a verb
    walk.py      which dates are due, and what the places hold
    slices.py    the streams of dates, a date (and group) a request, and when a failure is a failure
    records.py   what a row becomes
    homes.py     which date a note is of

Source: api-docs.fridaypulse.com. Only notes are documented there: keys that are not known are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from syncer.errors import UnknownName
from syncer.mapping import Field
from syncer.settings import Account
from syncer.sources import Identity, Key, Needs, Page, Place, Source
from syncer.sources.friday_pulse.calls import Calls
from syncer.sources.friday_pulse.homes import Homes
from syncer.sources.friday_pulse.listing import LISTS, Listing, Lists
from syncer.sources.friday_pulse.slices import ROUTES, Options, Slices
from syncer.transport import Doors

STREAMS = (*LISTS, *ROUTES)

NEEDS = Needs(
    title="Friday Pulse",
    url="https://app.fridaypulse.com",
    token="an API token of Friday Pulse, of an administrator or analyst, who see all groups",
    options={
        "requests_per_minute": 'hold requests back to so many a minute (default 600), or "off"',
        "max_failed_share": 'the share of slices (a date and group) that may fail in a run (default 0.2), or "off"',
        "risk_key": 'where the key of a risk stands: a path such as "topic.code", or a list of paths',
        "start": "a date such as 2026-01-31: a first pull begins there, and a census brings what is older",
    },
    variables=("start",),
)


def connect(account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    """Make the source; *streams* are those that this verb reads."""
    return FridayPulse(account, doors=doors)


class FridayPulse:
    """One account, read."""

    name = "friday_pulse"

    def __init__(self, account: Account, *, doors: Doors) -> None:
        self._options = Options.of(account)
        self._calls = Calls(account, doors=doors)
        self._listing = Listing(self._calls)
        self._homes: dict[str, Homes] = {}
        self._opened: float | None = None  # the server's clock at the check, in seconds

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones too."""
        return self._calls.transport.requests

    def check(self) -> Identity:
        """Ask for the topics, which proves the token; they are kept for their stream."""
        identity, self._opened, topics = self._calls.check()
        self._listing.keep_topics(topics)
        return identity

    def describe(self, stream: str) -> Sequence[Field]:
        """Return nothing: Friday Pulse has no definitions."""
        return ()

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """Yield a list whole, or the flow dates that are due: a page a slice."""
        if stream in LISTS:
            return Lists(listing=self._listing).read(stream, places.get(""))
        return self._slices(stream).read(places, now=self._now(), lookback=lookback)

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield every key there is now: of a stream of dates, all slices of all dates are asked for."""
        if stream in LISTS:
            return Lists(listing=self._listing).keys(stream, places.get(""))
        return self._slices(stream).keys(self._homes_of(stream))

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield what there is for *keys*."""
        if stream in LISTS:
            return Lists(listing=self._listing).fetch(stream, keys)
        return self._slices(stream).fetch(keys, self._homes_of(stream))

    def close(self) -> None:
        """Let go of connections and temporary files."""
        self._calls.close()
        for homes in self._homes.values():
            homes.close()

    def _now(self) -> float:
        if self._opened is None:
            self.check()
        assert self._opened is not None
        return self._opened

    def _homes_of(self, stream: str) -> Homes:
        return self._homes.setdefault(stream, Homes())

    def _slices(self, stream: str) -> Slices:
        if stream not in ROUTES:
            raise UnknownName("stream of Friday Pulse", stream, known=STREAMS)
        return Slices(stream=stream, calls=self._calls, listing=self._listing, options=self._options)
