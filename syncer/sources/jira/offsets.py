"""
Lists by offset, read whole although they move: a page begins with the last record of the one before it.

Where that record is not there, something before it came or went, and the list is read anew. The count alone proves
nothing: one that was deleted after it was read stands for one that was stepped over.
Source: Jira Cloud REST API v3, "Pagination" (startAt, maxResults, total).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from syncer.sources import Record

TRIES = 3  # of a list that something moved under

Ask = Callable[[int], tuple[list[Record], int] | None]  # from an offset on: the records, and how many there are in all


@attrs.frozen(kw_only=True)
class Listed:
    """What a list has; `is_whole`: it did not move, and has as many as it says."""

    records: list[Record]
    total: int
    is_whole: bool


def listed(ask: Ask) -> Listed | None:
    """Read a list to its end, again where it moved; None where *ask* says that there is none any more."""
    found: Listed | None = None
    for _ in range(TRIES):
        found = _read_once(ask)
        if found is None or found.is_whole:
            return found
    return found


def _read_once(ask: Ask) -> Listed | None:
    records: list[Record] = []
    while True:
        page = ask(max(0, len(records) - 1))
        if page is None:
            return None
        some, total = page
        if records:
            if not some or some[0].get("id") != records[-1].get("id"):
                return Listed(records=records, total=total, is_whole=False)
            some = some[1:]
        records += some
        if not some or len(records) >= total:
            ids = {str(record.get("id")) for record in records}
            return Listed(records=records, total=total, is_whole=len(ids) == len(records) == total)
