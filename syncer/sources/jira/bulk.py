"""
Issues by id, many at a time, with proof for each: it comes back, or Jira says of it alone that it is not there (404).

A bulk fetch leaves issues out that are gone or hidden, but also some that it could not give just now: Atlassian's own
description of `issueErrors` speaks of retriable errors and payload constraints. So what did not come is asked for once
more, then one by one. A 404 counts only while the token still works.

Not here: which ids (`walk.py`), what becomes of the records (`issues.py`, `parts.py`).
Source: Jira Cloud REST API v3, "Bulk fetch issues", "Bulk fetch changelogs", "Get comments", "Get comments by IDs".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer.errors import AnswerError, NotFound, SyncerError, Unavailable
from syncer.sources import Record
from syncer.sources.jira.again import InARow
from syncer.sources.jira.calls import Calls, a_count, a_list, an_object
from syncer.sources.jira.offsets import Listed, listed
from syncer.sources.jira.walk import Once

HISTORIES_A_PAGE = 2_000  # of at most 10,000; some 2 MB
COMMENTS_A_PAGE = 100
COMMENTS_A_LIST = 1_000
TRIES = 3  # of a reading that something moved under


@attrs.frozen(kw_only=True)
class Fetched:
    """Issues that came, ids of those that are not there any more, or not for us, and why others did not come."""

    found: list[Record]
    vanished: list[str]
    failed: Mapping[str, Unavailable]


def issues(calls: Calls, ids: Sequence[str], *, fields: Sequence[str], row: InARow | None = None) -> Fetched:
    """
    Return the issues of *ids*.

    Raises: Unavailable; with *row* only where it is more than one issue's own.
    """
    found = _asked(calls, ids, fields)
    left = _lacking(ids, found)
    if left:
        found += _asked(calls, left, fields)
        left = _lacking(left, found)
    vanished = []
    failed: dict[str, Unavailable] = {}
    for number in left:
        try:
            record = _one(calls, number, fields)
        except Unavailable as error:
            if row is None:
                raise
            row.failed(error)
            failed[number] = error
            continue
        if row is not None:
            row.went_well()
        if record is None:
            vanished.append(number)
        else:
            found.append(record)
    if vanished:
        calls.still_us()
    return Fetched(found=found, vanished=vanished, failed=failed)


def changelogs(calls: Calls, ids: Sequence[str], *, only: Sequence[str] = (), once: Once) -> dict[str, list[Record]]:
    """
    Return the changelog entries of *ids* by issue, oldest first; an issue without any, or hidden, is not in it.

    only: the ids of fields; an entry comes if it touches one of them. Empty: all entries.
    Raises: AnswerError: issues vanished in each of several readings: a page token may have stepped over entries.
    """
    for attempt in range(TRIES):
        found, pages = _histories(calls, ids, only=only, once=once, attempt=attempt)
        if pages == 1 or not issues(calls, list(found), fields=["created"]).vanished:
            return found
    raise AnswerError(f"POST /changelog/bulkfetch: issues vanished in each of {TRIES} readings of {len(ids)} issues.")


def comments(calls: Calls, number: str) -> Listed | None:
    """Return all comments of an issue; None where the issue is gone."""
    return listed(lambda start: _comment_page(calls, number, start))


def comments_there(calls: Calls, ids: Sequence[str]) -> list[str]:
    """Return those of *ids* that are comments which we may see, whatever their issue tells."""
    there: list[str] = []
    for at in range(0, len(ids), COMMENTS_A_LIST):
        answer = calls.post("comment/list", {"ids": [int(number) for number in ids[at : at + COMMENTS_A_LIST]]})
        there += [str(record.get("id")) for record in a_list(answer, "values")]
    return there


def _asked(calls: Calls, ids: Sequence[str], fields: Sequence[str]) -> list[Record]:
    answer = calls.post("issue/bulkfetch", {"issueIdsOrKeys": list(ids), "fields": list(fields)})
    found = a_list(answer, "issues")
    for record in found:
        if not isinstance(record.get("fields"), dict):
            raise AnswerError(f"{answer.where} gave an issue without its fields, though {len(fields)} were asked for.")
    return found


def _lacking(ids: Sequence[str], found: Sequence[Record]) -> list[str]:
    met = {str(record.get("id")) for record in found}
    return [number for number in ids if number not in met]


def _one(calls: Calls, number: str, fields: Sequence[str]) -> Record | None:
    try:
        answer = calls.get(f"issue/{number}", {"fields": ",".join(fields)}, family="issue")
    except NotFound:
        return None
    record = an_object(answer)
    if not isinstance(record.get("fields"), dict):
        raise AnswerError(f"{answer.where} gave an issue without its fields.")
    return record


def _histories(
    calls: Calls, ids: Sequence[str], *, only: Sequence[str], once: Once, attempt: int
) -> tuple[dict[str, list[Record]], int]:
    """Read the entries of *ids*, page by page; return them by issue, and how many pages there were."""
    body: dict[str, Any] = {"issueIdsOrKeys": list(ids), "maxResults": HISTORIES_A_PAGE}
    if only:
        body["fieldIds"] = list(only)
    found: dict[str, dict[Any, Record]] = {}
    tokens: set[str] = set()
    while True:
        asked = dict(body)
        answer = once(f"changelogs {attempt} {asked}", lambda asked=asked: calls.post("changelog/bulkfetch", asked))  # type: ignore[misc]  # bound now
        page = an_object(answer)
        for group in a_list(answer, "issueChangeLogs", of=page):
            entries = found.setdefault(str(group.get("issueId")), {})
            entries.update((entry.get("id"), entry) for entry in group.get("changeHistories") or ())
        token = page.get("nextPageToken")
        if not token:
            return {number: list(entries.values()) for number, entries in found.items()}, len(tokens) + 1
        if token in tokens:
            raise AnswerError(f"{answer.where} gave a nextPageToken twice, after {len(tokens)} pages.")
        tokens.add(token)
        body["nextPageToken"] = token


def _comment_page(calls: Calls, number: str, start: int) -> tuple[list[Record], int] | None:
    params = {"startAt": start, "maxResults": COMMENTS_A_PAGE, "orderBy": "created"}
    try:
        answer = calls.get(f"issue/{number}/comment", params, family="issue/comment")
    except NotFound:
        if issues(calls, [number], fields=["created"]).vanished:
            return None
        raise
    page = an_object(answer)
    return a_list(answer, "comments", of=page), a_count(answer, "total", of=page)


@attrs.frozen(kw_only=True)
class Slice:
    """All records of one issue, or why they are not all. `issue` is its id; `is_apart`: they were asked for apart."""

    issue: int
    records: tuple[Record, ...]
    error: SyncerError | None = None
    is_apart: bool = False


def sliced(found: Mapping[str, Sequence[Record]]) -> list[Slice]:
    """Make a slice of each issue's records, which then tell whose they are."""
    return [
        Slice(issue=int(number), records=tuple({**record, "issue_id": number} for record in records))
        for number, records in found.items()
    ]
