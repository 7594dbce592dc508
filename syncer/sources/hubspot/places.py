"""
Places of a stream of objects, and sets of ids that are kept in one.

    {"mark": ms, "after": id}                 the first load: records by id, gone on with behind `after`
    {"mark": ms, "floor": ms, "last": id}     a window: what changed since `floor`, gone on with behind `last`
    {"mark": ms}                              read to the end; the next window begins there

Times are milliseconds of the server's clock.
"""

from __future__ import annotations

import base64
import datetime as dt
import zlib
from collections.abc import Iterable, Iterator
from datetime import timedelta

import attrs

from syncer import values
from syncer.clock import iso
from syncer.sources import Place

LAG_MS = 60_000  # search learns of a change later than it is made
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@attrs.frozen(kw_only=True)
class Window:
    """
    What is read: all records (no floor), or those that changed since `floor`; from behind `last` on.

    mark: the server's clock when it was opened, less the lag of search.
    """

    mark: int
    floor: int | None = None
    last: str | None = None

    @classmethod
    def since(cls, place: Place | None, *, now: int, lookback: timedelta) -> Iterator[Window]:
        """
        Yield the window of *place*; behind one that is gone on with, also the next: what was read may have changed
        since.
        """
        mark = now - LAG_MS
        back = lookback // timedelta(milliseconds=1)
        if place is None:
            yield cls(mark=mark)
            return
        if "after" in place or "last" in place:
            yield cls(mark=place["mark"], floor=place.get("floor"), last=place.get("after") or place.get("last"))
        # One wrong Date of the server must not make all later windows begin in the future.
        yield cls(mark=mark, floor=min(place["mark"], mark) - back)

    @property
    def text(self) -> str:
        """The mark for people."""
        return iso_of(self.mark)

    @property
    def finished(self) -> Place:
        """The place behind the whole window."""
        return {"mark": self.mark}

    def at(self, last: str | None) -> Place:
        """Return the place inside the window, behind the record *last*."""
        if self.floor is None:
            return {"mark": self.mark, "after": last} if last is not None else {"mark": self.mark}
        return {"mark": self.mark, "floor": self.floor, "last": last}


def packed(texts: Iterable[str]) -> str:
    """Write a set of texts as one small text."""
    plain = (each.replace("%", "%25").replace(",", "%2C") for each in sorted(texts))
    return base64.b85encode(zlib.compress(",".join(plain).encode(), 9)).decode()


def unpacked(text: str) -> set[str]:
    """Read what `packed` wrote."""
    found = zlib.decompress(base64.b85decode(text)).decode()
    return {each.replace("%2C", ",").replace("%25", "%") for each in found.split(",")} if found else set()


def ms_of(time: object) -> int | None:
    """Turn a time as the API writes it into milliseconds since 1970; None where it is none."""
    try:
        return (values.timestamp(time) - EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return None


def iso_of(ms: int) -> str:
    """Write milliseconds since 1970 as people have it."""
    return iso(EPOCH + timedelta(milliseconds=ms))
