"""
Records of a kind a page at a time, with a few of their properties: all of them by the list, those with certain values
by search, and what survived merges, by the window of what changed.

What was written a moment ago may be missing from a search. Not here: the walks themselves (`walk.py`), records by id
(`writing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from syncer.sources import Record
from syncer.sources.hubspot import walk
from syncer.sources.hubspot.batches import Wanted, merged_ids, read
from syncer.sources.hubspot.calls import Calls
from syncer.sources.hubspot.kinds import MERGED_IDS, Kind
from syncer.target import Found

VALUES = 100  # of one search; how many it takes is not documented
MOST_BYTES = 2_000  # of the values in it: HubSpot's guide wants a body of 3,000 characters at most
LAG_MS = 600_000  # so much earlier than asked a window begins: clocks differ, and the index lags


def listed(calls: Calls, kind: Kind, properties: Sequence[str]) -> Iterator[list[Found]]:
    """Yield all live records, by id."""
    names = list(dict.fromkeys([*properties, MERGED_IDS]))
    is_direct = walk.fits_url(names)
    wanted = Wanted(kind=kind, properties=names)
    for page in walk.list_pages(calls, kind, properties=names if is_direct else [MERGED_IDS]):
        ids = [str(record.get("id")) for record in page.records]
        yield [found(record) for record in (page.records if is_direct else read(calls, wanted, ids).records)]


def matching(
    calls: Calls, kind: Kind, property: str, wanted: Sequence[str], properties: Sequence[str]
) -> Iterator[list[Found]]:
    """
    Yield the live records of which *property* is one of the values *wanted*; letters count for the same in capitals,
    and blanks around a value for nothing: a record that is found is told whichever part of them it came in.
    """
    names = list(dict.fromkeys([*properties, property]))
    meant = {each.strip().lower() for each in wanted}
    for part in _parts(wanted):
        asked = {each.lower() for each in part}
        only = {"propertyName": property, "operator": "IN", "values": sorted(asked)}
        for page in walk.searched(calls, kind, only=only, properties=names):
            records = [found(record) for record in page]
            yield [each for each in records if (each.properties.get(property) or "").strip().lower() in meant]


def survivors(calls: Calls, kind: Kind, ids: Sequence[str], *, since_ms: int) -> dict[str, str]:
    """Return the records that ids were merged into, of those that changed since a moment, by old id."""
    asked = set(ids)
    kept: dict[str, str] = {}
    for page in walk.changed(calls, kind, floor=since_ms - LAG_MS, last=None):
        for record in page:
            kept |= dict.fromkeys(asked & set(merged_ids(record)), str(record.get("id")))
    return kept


def _parts(wanted: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for value in dict.fromkeys(wanted):
        length = len(orjson.dumps(value)) + 1
        if part and (len(part) >= VALUES or size + length > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(value)
        size += length
    if part:
        yield part


def found(record: Record) -> Found:
    """Return a record of an answer as what a target finds."""
    properties = record.get("properties")
    return Found(
        id=str(record.get("id")),
        properties=properties if isinstance(properties, dict) else {},
        is_archived=record.get("archived") is True,
        merged=merged_ids(record),
    )
