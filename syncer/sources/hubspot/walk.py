"""
Walks over the ids of one kind of object: all of them by the list, those that changed by search.

Both go by the id, which never changes, so that records may come and go while they are walked. A search has a wall at
10,000 results; a walk by id never meets it: each page asks for what is behind the greatest id met. The lower end is
frozen, the upper one open: a record that changes again meanwhile stays in it.
Source: HubSpot's guides on objects and on search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from syncer.errors import AnswerError
from syncer.sources import Record
from syncer.sources.hubspot.calls import Calls, a_list, an_object, next_after
from syncer.sources.hubspot.kinds import MERGED_IDS, Kind
from syncer.sources.hubspot.places import ms_of
from syncer.transport import Answer

SEARCH_PAGE = 200
LIST_PAGE = 100
LIST_PAGE_WITH_HISTORY = 50
MOST_CHARACTERS = 15_000  # of properties' names in a URL; more is answered with 414
COMMA = 3  # characters of a comma in a URL

Filter = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Listed:
    """A page of the list: records, and the id that the next page begins with; None at the end."""

    records: Sequence[Record]
    after: str | None


def list_pages(
    calls: Calls,
    kind: Kind,
    *,
    properties: Sequence[str],
    histories: Sequence[str] = (),
    after: str | None = None,
    archived: bool = False,
) -> Iterator[Listed]:
    """
    Yield the list of a kind, by id, from *after* on (that record included).

    Raises: AnswerError: a page that cannot be true: an `after` that does not move, no record where there are some.
    """
    asked_twice = False
    size = LIST_PAGE_WITH_HISTORY if histories else LIST_PAGE
    while True:
        query: list[tuple[str, Any]] = [("limit", size), ("properties", ",".join(properties))]
        if histories:
            query.append(("propertiesWithHistory", ",".join(histories)))
        if archived:
            query.append(("archived", "true"))
        if after is not None:
            query.append(("after", after))
        answer = calls.get(calls.paths.objects(kind.path), query)
        data = an_object(answer)
        records = a_list(answer, "results", of=data)
        following = next_after(answer, data)
        if following is not None and (following == after or not records):
            raise AnswerError(f"{answer.where} gave {len(records)} records and goes on with 'after' as before.")
        if not records and (after is not None or not archived):  # what was announced may have been archived since
            behind = 0 if archived else _count_behind(calls, kind, after)
            if not asked_twice and (archived or behind):
                asked_twice = True
                continue
            if behind:
                raise AnswerError(f"{answer.where} gave no record, where a search of {kind.name} has {behind:,}.")
        asked_twice = False
        yield Listed(records=records, after=following)
        if following is None:
            return
        after = following


def _count_behind(calls: Calls, kind: Kind, after: str | None) -> int:
    """Count by search the records from the id *after* on, or all. Raises AnswerError where it tells no count."""
    behind = {"propertyName": "hs_object_id", "operator": "GTE", "value": after if after is not None else "0"}
    body = {"filterGroups": [{"filters": [behind]}], "properties": [MERGED_IDS], "limit": 1}
    answer = calls.search(calls.paths.objects(kind.path, "search"), body)
    return _total(answer, an_object(answer))


def _total(answer: Answer, data: Mapping[str, Any]) -> int:
    total = data.get("total")
    if not isinstance(total, int) or isinstance(total, bool):
        raise AnswerError(f"{answer.where} told no total; whether it is complete must be known.")
    return total


def fits_url(properties: Sequence[str], histories: Sequence[str] = ()) -> bool:
    """Tell whether the names of properties fit into the URL of a list, which separates them by commas."""
    names = [*properties, *histories]
    is_clear = not any("," in name for name in names)
    return is_clear and sum(len(quote(name, safe="")) + COMMA for name in names) < MOST_CHARACTERS


def changed(calls: Calls, kind: Kind, *, floor: int, last: str | None) -> Iterator[Sequence[Record]]:
    """
    Yield pages of what changed since *floor* (milliseconds), behind the id *last*: id, cursor and merged ids of each.

    Raises: AnswerError: a page that cannot be true.
    """
    cursor = {"propertyName": kind.cursor, "operator": "GTE", "value": str(floor)}
    for page in searched(calls, kind, only=cursor, last=last):
        stale = [each for each in page if _is_before(each, kind.cursor, floor)]
        if stale:
            raise AnswerError(
                f"A search of {kind.name} since {floor} gave {len(stale)} of {len(page)} records that changed before: "
                "the filter was not heeded."
            )
        yield page


def searched(
    calls: Calls, kind: Kind, *, only: Filter, last: str | None = None, properties: Sequence[str] = ()
) -> Iterator[Sequence[Record]]:
    """
    Yield pages of the records that meet a filter, by id, behind the id *last*: cursor and merged ids of each, and a
    few *properties*.
    """
    while True:
        filters = [only]
        if last is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": last})
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": [*dict.fromkeys([kind.cursor, MERGED_IDS, *properties])],
            "limit": SEARCH_PAGE,
        }
        answer = calls.search(calls.paths.objects(kind.path, "search"), body)
        data = an_object(answer)
        page = a_list(answer, "results", of=data)
        total = _total(answer, data)
        if not page:
            if total > 0:
                raise AnswerError(f"{answer.where} told of {total:,} records and gave none of them.")
            return
        ids = [_number(answer.where, each) for each in page]
        if last is not None and min(ids) <= int(last):
            raise AnswerError(f"{answer.where} gave records before id {last}: the filter was not heeded.")
        if ids != sorted(ids):
            raise AnswerError(f"{answer.where} gave {len(ids)} records, not in the order of their ids as asked.")
        yield page
        if len(page) >= total:
            return
        last = str(ids[-1])


def _number(where: str, record: Record) -> int:
    text = record.get("id")
    if not isinstance(text, str | int) or isinstance(text, bool) or not (str(text).isascii() and str(text).isdigit()):
        raise AnswerError(f"{where} gave a record without a usable id.")
    return int(text)


def _is_before(record: Record, cursor: str, floor: int) -> bool:
    properties = record.get("properties")
    told = ms_of(properties.get(cursor)) if isinstance(properties, dict) else None
    return told is not None and told < floor
