"""
What is listed whole: topics, group types, groups, flow dates. Groups and dates are asked for once a verb, whichever
streams stand on them.

Not here: what hangs on a date (`slices.py`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote

import attrs

from syncer.errors import AnswerError, NotFound, SyncerError, Unavailable
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.friday_pulse.calls import Calls

LISTS = ("topics", "group_types", "groups", "result_dates")
Failures = (Unavailable, NotFound, AnswerError)  # what a part of an account may answer while the rest is well
MOST_DIGITS = 19  # of 64 bits
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Groups:
    """The groups that are there now, by id, and the types whose groups could not be listed."""

    found: dict[int, Record]
    failed: dict[str, SyncerError]
    types: Sequence[str]

    def pages(self) -> Iterator[Page]:
        """Yield how listing the groups of each type went, as scopes of their own: a reject names one that failed."""
        for code in self.types:
            yield Page(scope=f"type {code}", error=self.failed.get(code))

    def sizes(self) -> dict[str, int]:
        """Return how many groups each type has, but for those that have none."""
        return dict(Counter(code for row in self.found.values() for code in row["group_type_codes"]))

    def doubted(self, place: Place | None) -> Groups:
        """Return them with each type failed that has no groups now, where *place* tells that it had some."""
        sizes = self.sizes()
        before: dict[str, int] = place.get("sizes", {}) if place else {}
        failed = {
            code: AnswerError(
                f"Friday Pulse lists no groups of type {code}, where it listed {before[code]}; none was ended.",
                hint="If they are gone: pull friday_pulse.groups once with --full.",
            )
            for code in self.types
            if before.get(code) and code not in sizes
        }
        return attrs.evolve(self, failed={**failed, **self.failed})


class Listing:
    """
    Asks for each list once; an error is not kept.

    Every account has topics, types, groups and dates. So an empty list is an error, whatever was there before: a token
    that lost its role sees nothing, and a reload does not know what there was.
    """

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
        return some(self._topics, "topics")

    def types(self) -> list[Record]:
        """Return the group types."""
        if self._types is None:
            self._types = some(self._calls.rows("/group-types"), "group types")
        return self._types

    def dates(self) -> dict[str, Record]:
        """Return the flow dates, by date, oldest first. Raises AnswerError where one is no date."""
        if self._dates is None:
            listed = some(self._calls.rows(_DATES), "result dates")
            rows = {day_of(row.get("date"), what="info/results-dates"): row for row in listed}
            self._dates = dict(sorted(rows.items()))
        return self._dates

    def groups(self) -> Groups:
        """Return all groups: one request a type."""
        if self._groups is None:
            self._groups = self._listed()
        return self._groups

    def pages_of_types(self) -> Iterator[Page]:
        """Yield how listing the groups of each type went."""
        yield from self.groups().pages()

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
        codes = [clean_text(str(row["code"])) for row in self.types() if row.get("code")]
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
        some(list(found), "groups")
        return Groups(found=dict(sorted(found.items())), failed=failed, types=codes)


_DATES = "/info/results-dates"


@attrs.frozen(kw_only=True)
class Lists:
    """The streams that are listed whole each time."""

    listing: Listing

    def read(self, stream: str, place: Place | None) -> Iterator[Page]:
        """
        Yield the list. Its place: {"count": how long it is}; of groups also {"shared": the types of each group of
        several, "sizes": how many groups each type has}.

        Raises: AnswerError: it is empty.
        """
        records, whole, _ = self._of(stream, place)
        told: Place = {"count": len(records)}
        if stream == "groups":
            groups = self.listing.groups().doubted(place)
            yield from groups.pages()
            kept = {code: size for code, size in (place or {}).get("sizes", {}).items() if code in groups.failed}
            told |= {"shared": _shared(groups, place), "sizes": {**groups.sizes(), **kept}}
        mark = max(self.listing.dates(), default=None) if stream == "result_dates" else f"{len(records)} listed"
        yield Page(records=records, whole=whole, place=told, mark=mark)

    def keys(self, stream: str, place: Place | None) -> Iterator[Page]:
        """Yield the list. Raises AnswerError: it is empty."""
        records, whole, _ = self._of(stream, place)
        if stream == "groups":
            yield from self.listing.groups().doubted(place).pages()
        yield Page(records=records, whole=whole)

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield those of the list that *keys* name. Raises where a part of it could not be read."""
        records, _, failed = self._of(stream, None)
        for error in failed.values():
            raise error
        name = {"groups": "id", "result_dates": "flow_date"}.get(stream, "code")
        wanted = {str(key[0]) for key in keys}
        yield Page(records=[record for record in records if str(record.get(name)) in wanted])

    def _of(self, stream: str, place: Place | None) -> tuple[list[Record], Whole, dict[str, SyncerError]]:
        """Return the records of a list, what they are all of, and the group types that failed."""
        if stream == "topics":
            return _raw(self.listing.topics()), Whole(), {}
        if stream == "group_types":
            return _raw(self.listing.types()), Whole(), {}
        if stream == "result_dates":
            dates = self.listing.dates()
            return [{**row, "raw": row, "date": day, "flow_date": day} for day, row in dates.items()], Whole(), {}
        groups = self.listing.groups().doubted(place)
        if not groups.failed:
            return list(groups.found.values()), Whole(), {}
        shared = _shared(groups, place)
        records = [_with_codes(row, shared.get(str(number), [])) for number, row in groups.found.items()]
        # A group that is seen nowhere may still be of a type that failed, while its row stands under another one.
        unsure = {codes[0] for number, codes in shared.items() if int(number) not in groups.found}
        well = [(code,) for code in groups.types if code not in groups.failed and code not in unsure]
        return records, Whole(columns=("group_type_code",), values=well), groups.failed


def _shared(groups: Groups, place: Place | None) -> dict[str, list[str]]:
    """
    Return all types of each group that is of several, by its id; what types that failed now told earlier is kept.

    None of a type that failed is known where there is no place: then the next list that is whole puts it right.
    """
    before: dict[str, list[str]] = place.get("shared", {}) if place else {}
    now = {str(number): list(row["group_type_codes"]) for number, row in groups.found.items()}
    for number, codes in before.items():
        kept = [code for code in codes if code in groups.failed]
        if kept:
            there = {*now.get(number, []), *kept}
            is_seen = number in now
            now[number] = [code for code in groups.types if code in there] if is_seen else codes
    return {number: codes for number, codes in now.items() if len(codes) > 1}


def _with_codes(row: Record, codes: list[str]) -> Record:
    return {**row, "group_type_code": codes[0], "group_type_codes": codes} if codes else row


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
    """Return an id as a number, in quotes or not; None where it is none, or has more than 64 bits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def clean_text(text: str) -> str:
    """Replace each half of a surrogate pair, which neither a URL nor a warehouse takes, as columns do."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def some(rows: list[T], what: str) -> list[T]:
    """Return *rows*. Raises AnswerError where there is none."""
    if not rows:
        raise AnswerError(
            f"Friday Pulse lists no {what} at all, and every account has some; none was ended.",
            hint="Has the token's user another role now?",
        )
    return rows
