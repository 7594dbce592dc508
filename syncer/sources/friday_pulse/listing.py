"""
What is listed whole: topics, group types, groups, flow dates. Groups and dates are asked for once a verb, whichever
streams stand on them.

Not here: what hangs on a date (`slices.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import attrs

from syncer.errors import AnswerError, NotFound, SyncerError, Unavailable
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.friday_pulse.calls import Calls

LISTS = ("topics", "group_types", "groups", "result_dates")
Failures = (Unavailable, NotFound, AnswerError)  # what a part of an account may answer while the rest is well


@attrs.frozen(kw_only=True)
class Groups:
    """The groups that are there now, by id, and the types whose groups could not be listed."""

    found: dict[int, Record]
    failed: dict[str, SyncerError]
    types: Sequence[str]


class Listing:
    """Asks for each list once; an error is not kept."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._topics: list[Record] | None = None
        self._types: list[Record] | None = None
        self._groups: Groups | None = None
        self._dates: dict[str, Record] | None = None
        self.are_there: set[int] = set()  # groups that were found listed again after a 404

    def keep_topics(self, topics: list[Record]) -> None:
        """Keep what the check was answered."""
        self._topics = topics

    def topics(self) -> list[Record]:
        """Return the topics."""
        if self._topics is None:
            self._topics = self._calls.rows("/topics")
        return self._topics

    def types(self) -> list[Record]:
        """Return the group types."""
        if self._types is None:
            self._types = self._calls.rows("/group-types")
        return self._types

    def dates(self) -> dict[str, Record]:
        """Return the flow dates, by date, oldest first. Raises AnswerError where one is no date."""
        if self._dates is None:
            rows = {day_of(row.get("date"), what="info/results-dates"): row for row in self._calls.rows(_DATES)}
            self._dates = dict(sorted(rows.items()))
        return self._dates

    def groups(self) -> Groups:
        """Return all groups: one request a type."""
        if self._groups is None:
            self._groups = self._listed()
        return self._groups

    def pages_of_types(self) -> Iterator[Page]:
        """Yield how listing the groups of each type went, as scopes of their own: a reject names one that failed."""
        groups = self.groups()
        for code in groups.types:
            yield Page(scope=f"type {code}", error=groups.failed.get(code))

    def is_there(self, group: int) -> bool:
        """
        Tell whether a group whose route answered 404 is still listed, by asking once more, once a group and verb.

        All streams of the verb then leave out one that is not.
        """
        if group in self.are_there:
            return True
        now = self._listed()
        if group in now.found or (now.failed and group in self.groups().found):
            self.are_there.add(group)
            return True
        self.groups().found.pop(group, None)
        return False

    def _listed(self) -> Groups:
        found: dict[int, Record] = {}
        failed: dict[str, SyncerError] = {}
        codes = [str(row["code"]) for row in self.types() if row.get("code")]
        for code in codes:
            try:
                rows = self._calls.rows(f"/group-types/{quote(code, safe='')}/groups")
            except Failures as error:
                if isinstance(error, Unavailable) and error.status < 500:
                    raise
                self._calls.still_works()
                failed[code] = error
                continue
            for row in rows:
                number = whole_number(row.get("id"))
                if number is None:
                    raise AnswerError(f"The groups of type {code} have one without a whole number as its id.")
                known = found.setdefault(number, {**row, "group_type_code": code, "group_type_codes": [], "raw": row})
                if code not in known["group_type_codes"]:
                    known["group_type_codes"].append(code)
        if failed and len(failed) == len(codes):
            raise next(iter(failed.values()))
        return Groups(found=dict(sorted(found.items())), failed=failed, types=codes)


_DATES = "/info/results-dates"


@attrs.frozen(kw_only=True)
class Lists:
    """The streams that are listed whole each time."""

    listing: Listing

    def read(self, stream: str, place: Place | None) -> Iterator[Page]:
        """
        Yield the list, and how long it is as its place.

        Raises: AnswerError: it is empty and was not: a token that sees nothing any more looks like that.
        """
        records, whole, _ = self._of(stream)
        before = place.get("count", 0) if place else 0
        if before and not records:
            raise AnswerError(
                f"Friday Pulse lists no {stream.replace('_', ' ')} at all, where it listed {before}; none was ended.",
                hint="Has the token's user another role now?",
            )
        if stream == "groups":
            yield from self.listing.pages_of_types()
        mark = max(self.listing.dates(), default=None) if stream == "result_dates" else f"{len(records)} listed"
        yield Page(records=records, whole=whole, place={"count": len(records)}, mark=mark)

    def keys(self, stream: str) -> Iterator[Page]:
        """Yield the list."""
        records, whole, _ = self._of(stream)
        if stream == "groups":
            yield from self.listing.pages_of_types()
        yield Page(records=records, whole=whole)

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield those of the list that *keys* name. Raises where a part of it could not be read."""
        records, _, failed = self._of(stream)
        for error in failed.values():
            raise error
        name = {"groups": "id", "result_dates": "flow_date"}.get(stream, "code")
        wanted = {str(key[0]) for key in keys}
        yield Page(records=[record for record in records if str(record.get(name)) in wanted])

    def _of(self, stream: str) -> tuple[list[Record], Whole, dict[str, SyncerError]]:
        """Return the records of a list, what they are all of, and the group types that failed."""
        if stream == "topics":
            return _raw(self.listing.topics()), Whole(), {}
        if stream == "group_types":
            return _raw(self.listing.types()), Whole(), {}
        if stream == "result_dates":
            dates = self.listing.dates()
            return [{**row, "raw": row, "date": day, "flow_date": day} for day, row in dates.items()], Whole(), {}
        groups = self.listing.groups()
        whole = Whole()
        if groups.failed:
            well = [(code,) for code in groups.types if code not in groups.failed]
            whole = Whole(columns=("group_type_code",), values=well)
        return list(groups.found.values()), whole, groups.failed


def _raw(rows: list[Record]) -> list[Record]:
    return [{**row, "raw": row} for row in rows]


def day_of(value: object, *, what: str) -> str:
    """
    Return a date as YYYY-MM-DD; a time behind it is cut off, since dates are the account's own days.

    Raises: AnswerError where it is none.
    """
    text = value[:10] if isinstance(value, str) else ""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        raise AnswerError(f"{what} has a date that is none.") from None


def whole_number(value: object) -> int | None:
    """Return an id as a number, in quotes or not; None where it is none."""
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
