"""
The stream `worklogs`: what was logged or changed since the mark, and what was deleted, which Jira tells.

Both lists go by time, oldest first, without the last minute; the place has how far each was read. Worklogs that went
with their issue, or whose issue is hidden, are in no list of deleted ones: the census finds them.
Source: Jira Cloud REST API v3, "Get IDs of updated worklogs", "Get IDs of deleted worklogs", "Get worklogs".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import attrs

from syncer.ahead import ahead
from syncer.errors import AnswerError
from syncer.sources import DELETED, Key, Page, Place, Record, State, Whole
from syncer.sources.jira import adf
from syncer.sources.jira.calls import Calls, a_count, a_list, an_object, iso_of

NOT_YET_MS = 60_000  # changes of the last minute are not told yet
IDS_A_LIST = 500  # of at most 1,000: a page of a few hundred records
SAME_TIMES = 3  # pages in a row that may end at the time at which they begin

Change = tuple[int, int]  # a worklog's id, and when it changed


@attrs.define(kw_only=True)
class Worklogs:
    """Reads worklogs."""

    calls: Calls
    opened: int = 0  # the server's clock when the verb began, in milliseconds
    _deleted: set[int] | None = None  # the ids of all that were deleted, once they were asked for

    def read(self, place: Place | None, *, lookback: timedelta) -> Iterator[Page]:
        """
        Yield what changed and what was deleted, each since its own time.

        The place: {"updated", "deleted"} in milliseconds; with "open": true the window is not finished, and is gone on
        with from just there.
        """
        back = 0 if place is None or place.get("open") else lookback // timedelta(milliseconds=1)
        updated = max(0, place["updated"] - back) if place else 0
        deleted = max(0, place["deleted"] - back) if place else 0
        for changes, reached in self._chunks("updated", updated):
            updated = max(updated, reached)
            records = self._listed([number for number, _ in changes])
            yield Page(place=_place(updated, deleted, is_open=True), mark=iso_of(updated), records=records)
        for changes, reached in self._chunks("deleted", deleted):
            deleted = max(deleted, reached)
            states = [State(key=(number,), state=DELETED) for number, _ in changes]
            yield Page(place=_place(updated, deleted, is_open=True), mark=iso_of(updated), states=states)
        yield Page(place=_place(updated, deleted, is_open=False), mark=iso_of(updated))

    def keys(self) -> Iterator[Page]:
        """Yield every worklog that we may see."""
        chunks = (changes for changes, _ in self._chunks("updated", 0))
        listed = ahead(
            lambda changes: self._listed([number for number, _ in changes]), chunks, workers=self.calls.workers
        )
        is_first = True
        for records in listed:
            yield Page(records=records, whole=Whole(first=is_first, last=False))
            is_first = False
        yield Page(whole=Whole(first=is_first))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the worklogs of *keys* that are there, and the state of those that were deleted."""
        wanted = [int(key[0]) for key in keys]
        for at in range(0, len(wanted), IDS_A_LIST):
            ids = wanted[at : at + IDS_A_LIST]
            records = self._listed(ids)
            met = {str(record.get("id")) for record in records}
            missing = [number for number in ids if str(number) not in met]
            states = [State(key=(number,), state=DELETED) for number in self._told_deleted(missing)]
            yield Page(records=records, states=states)

    def _chunks(self, kind: str, since: int) -> Iterator[tuple[list[Change], int]]:
        """
        Yield changes since a time, some at a time, and the time that is read up to.

        Raises: AnswerError: a page leads nowhere.
        """
        stuck = 0
        while True:
            answer = self.calls.get(f"worklog/{kind}", {"since": since})
            page = an_object(answer)
            changes = [_change(value, answer.where) for value in a_list(answer, "values", of=page)]
            for at in range(0, len(changes), IDS_A_LIST):
                chunk = changes[at : at + IDS_A_LIST]
                yield chunk, max(when for _, when in chunk)
            until = a_count(answer, "until", of=page)
            if page.get("lastPage") is not False:
                yield [], max(until, self.opened - NOT_YET_MS)
                return
            stuck = stuck + 1 if until <= since else 0
            if stuck >= SAME_TIMES:
                raise AnswerError(f"{answer.where} gave {stuck} pages that end where they begin: it would never end.")
            since = max(since, until)

    def _listed(self, ids: Sequence[int]) -> list[Record]:
        """Return the worklogs of *ids* that are there."""
        if not ids:
            return []
        answer = self.calls.post("worklog/list", {"ids": list(dict.fromkeys(ids))})
        return [{**record, "comment_text": adf.plain_text(record.get("comment"))} for record in a_list(answer)]

    def _told_deleted(self, ids: Sequence[int]) -> list[int]:
        """Return those of *ids* that were deleted, as Jira tells, and did not go with their issue."""
        if not ids:
            return []
        if self._deleted is None:
            self._deleted = {number for changes, _ in self._chunks("deleted", 0) for number, _ in changes}
        return [number for number in ids if number in self._deleted]


def _place(updated: int, deleted: int, *, is_open: bool) -> Place:
    place: dict[str, Any] = {"updated": updated, "deleted": deleted}
    return {**place, "open": True} if is_open else place


def _change(value: Record, where: str) -> Change:
    number, when = value.get("worklogId"), value.get("updatedTime")
    if not isinstance(number, int) or not isinstance(when, int):
        raise AnswerError(f"{where} gave a change without a worklog's id and time.")
    return number, when
