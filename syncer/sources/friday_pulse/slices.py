"""
The streams of flow dates: results, notes and risks, of the company and of each group, a slice a request.

An account answers 500 where there is nothing for a date and group, and also when it is ill. So a slice that fails
after the retries is a reject that names it, its rows stay, and it is asked for again, as long as the topics are
answered; but where too many fail, or all of a date, it is the API that fails.

Not here: which dates are due (`walk.py`), what a row becomes (`records.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import attrs

from syncer.errors import AnswerError, NotFound, SyncerError, Unavailable, UnknownName, UsageError
from syncer.settings import Account
from syncer.sources import LIVE, Key, Page, Place, Record, State, Whole
from syncer.sources.friday_pulse import records
from syncer.sources.friday_pulse.calls import Calls
from syncer.sources.friday_pulse.homes import Homes
from syncer.sources.friday_pulse.listing import Failures, Listing, whole_number
from syncer.sources.friday_pulse.records import Slice
from syncer.sources.friday_pulse.walk import STALE_S, Due, Walk, due, name_of

ROUTES = {
    "company_results": "/results",
    "group_results": "/groups/{}/results",
    "notes": "/notes",
    "group_notes": "/groups/{}/notes",
    "risks": "/risk",
    "group_risks": "/groups/{}/risk",
}
NOTES = frozenset({"notes", "group_notes"})
MIN_SLICES = 10  # below this a share means nothing: only all of them do
MAX_FAILED_SHARE = 0.2
MOST_IN_A_ROW = 4
BEFORE_ALL = -1  # comes before the id of every group


@attrs.frozen(kw_only=True)
class Options:
    """What a site sets; `max_failed_share` None: no limit, not even all of a date."""

    max_failed_share: float | None
    risk_key: tuple[str, ...]
    start: str = ""  # the date that a first pull begins with; empty: the oldest

    @classmethod
    def of(cls, account: Account) -> Options:
        """Read them. Raises UsageError."""
        share = account.options.get("max_failed_share", MAX_FAILED_SHARE)
        if share != "off" and (not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1):
            raise UsageError(
                f'max_failed_share in [friday_pulse] is {share!r}; it is a share between 0 and 1, or "off".'
            )
        return cls(
            max_failed_share=None if share == "off" else float(share),
            risk_key=records.risk_key_of(account),
            start=account.start.date().isoformat() if account.start is not None else "",
        )


@attrs.define(kw_only=True)
class Tally:
    """How many slices were asked for, and how many failed; raises where it is the API that fails."""

    max_share: float | None
    asked: int = 0
    failed: int = 0
    last: SyncerError | None = None
    whole_dates: list[str] = attrs.field(factory=list)  # dates of groups of which every slice failed
    in_a_row: int = 0  # failures of the company's slice one after the other; a whole date of groups counts as two

    def add(self, error: SyncerError | None) -> None:
        """Count one slice."""
        self.asked += 1
        if error is not None:
            self.failed += 1
            self.last = error

    def end_date(self, failures: int) -> None:
        """Note how a date went: 0, 1, or 2 where all groups failed. Raises where too many failed in a row."""
        self.in_a_row = self.in_a_row + failures if failures else 0
        if self.in_a_row >= MOST_IN_A_ROW and self.max_share is not None:
            self.fail()

    def check(self) -> None:
        """Raise where too many slices failed. What was read well stands in the warehouse by then."""
        if self.max_share is None or self.last is None:
            return
        is_too_many = self.failed > self.max_share * self.asked if self.asked >= MIN_SLICES else False
        if is_too_many or self.failed == self.asked or self.whole_dates:
            self.fail()

    def fail(self) -> None:
        """Raise Unavailable, with the figures."""
        assert self.max_share is not None
        dates = f", all of {', '.join(self.whole_dates[:3])}" if self.whole_dates else ""
        raise Unavailable(
            f"Friday Pulse: {self.failed} of {self.asked} slices (a date, or a date and group) failed{dates}; the "
            f"limit is {self.max_share:.0%}. The last one: {self.last}",
            hint="What was read well is loaded, and it is safe to run again. Where the account answers like this "
            "whenever there is nothing, raise max_failed_share in [friday_pulse].",
            status=getattr(self.last, "status", 0),
        )


@attrs.frozen(kw_only=True)
class Slices:
    """Reads one stream."""

    stream: str
    calls: Calls
    listing: Listing
    options: Options

    def __attrs_post_init__(self) -> None:
        """Check the stream's name."""
        if self.stream not in ROUTES:
            raise UnknownName("stream of Friday Pulse", self.stream, known=ROUTES)

    @property
    def is_of_groups(self) -> bool:
        """Whether there is a slice for each group."""
        return "{}" in ROUTES[self.stream]

    def read(self, places: Mapping[str, Place], *, now: float, lookback: timedelta) -> Iterator[Page]:
        """
        Yield the slices of the dates that are due, each with the place behind it; *now* is the server's clock.

        A walk that was killed is gone on with; where it was opened long ago, the next one follows at once.
        Raises: AnswerError: no dates or no groups are listed at all.
        """
        first = dt.date.fromisoformat(self.options.start) - lookback if self.options.start else None
        since = first.isoformat() if first is not None else ""
        dates = [date for date in self.listing.dates() if date >= since or date in places]
        if self.is_of_groups:
            self.listing.groups()
        last = places.get("")
        now_there = dict(places)
        if last is not None and last["is_open"]:
            walk = Walk.of(last)
            for page in self._walked(walk, dates, places, lookback):
                if page.place is not None:
                    now_there[page.scope] = page.place
                yield page
            if now - walk.opened < STALE_S:
                return
            last = now_there[""]
        groups = self.listing.groups().found if self.is_of_groups else None
        yield from self._walked(Walk.after(last, now=now, groups=groups), dates, now_there, lookback)

    def keys(self, homes: Homes) -> Iterator[Page]:
        """Yield every slice that there is, of all dates; *homes* learns of which date each note is."""
        tally = Tally(max_share=self.options.max_failed_share)
        groups: list[int | None] = list(self.listing.groups().found) if self.is_of_groups else [None]
        if self.is_of_groups:
            yield from self.listing.pages_of_types()
        for date in sorted(self.listing.dates(), reverse=True):
            for group in groups:
                part = Slice(date=date, group=group)
                page = self._asked(part)
                if page is not None:
                    tally.add(page.error)
                    if self.stream in NOTES:
                        homes.add(part, page.records)
                    yield attrs.evolve(page, scope=part.scope)
        homes.is_complete = True
        tally.check()

    def fetch(self, keys: Sequence[Key], homes: Homes) -> Iterator[Page]:
        """
        Yield what there is for *keys*: their slices are asked for. What is of a date or group that is listed no more
        is history, and stays live. Where no walk has told yet which date each note is of, walk first.
        """
        parts: dict[Slice, set[Key]] = {}
        if self.stream in NOTES and not homes.is_complete:
            for met in self.keys(homes):
                if met.error is not None:
                    raise met.error
        for key in keys:
            part = homes.of(key) if self.stream in NOTES else self._part_of(key)
            if part is not None:
                parts.setdefault(part, set()).add(key)
        for part, wanted in parts.items():
            page = self._asked(part) if part.date in self.listing.dates() else None
            if page is None:
                yield Page(states=[State(key=key, state=LIVE) for key in sorted(wanted)])
                continue
            if page.error is not None:
                raise page.error
            yield Page(records=[record for record in page.records if self._key_of(record) in wanted])

    def one(self, part: Slice) -> list[Record]:
        """Return the records of one slice. Raises where it fails."""
        rows = self.calls.rows(ROUTES[self.stream].format(part.group), date=part.date)
        if self.stream in ("company_results", "group_results"):
            count = self.listing.dates().get(part.date, {}).get("question_count")
            return records.results(rows, part, question_count=count)
        if self.stream in NOTES:
            return records.notes(rows, part)
        return records.risks(rows, part, key=self.options.risk_key)

    def _part_of(self, key: Key) -> Slice:
        return Slice(date=key[0], group=key[1] if self.is_of_groups else None)

    def _key_of(self, record: Record) -> Key:
        if self.stream in NOTES:
            number = whole_number(record.get("id"))
            return (record["group_id"], number) if self.is_of_groups else (number,)
        last = record.get("topic_code" if self.stream.endswith("results") else "risk_key")
        own = (record["flow_date"], record["group_id"]) if self.is_of_groups else (record["flow_date"],)
        return (*own, last)

    def _walked(
        self, walk: Walk, dates: list[str], places: Mapping[str, Place], lookback: timedelta
    ) -> Iterator[Page]:
        """Yield what a walk has still to read, its own place before and behind that. Raises where too much fails."""
        newest = max(dates, default=None)
        yield Page(place=walk.place(), mark=newest)
        if self.is_of_groups:
            yield from self.listing.pages_of_types()
        tally = Tally(max_share=self.options.max_failed_share)
        for each in due(dates, walk, places=places, lookback=lookback):
            yield from self._date(each, walk, tally)
        still = self.listing.groups().found if self.is_of_groups else None
        read = None if still is None else [group for group in walk.groups or () if group in still]
        yield Page(place=walk.finished(read), mark=newest)
        tally.check()

    def _date(self, each: Due, walk: Walk, tally: Tally) -> Iterator[Page]:
        """Yield the slices of one date, each with the place behind it."""
        failed = dict(each.failed)
        went_well, went_wrong = 0, 0
        for group in each.groups:
            part = Slice(date=each.date, group=group)
            page = self._asked(part)
            if page is None:  # the group has vanished
                failed.pop(name_of(group), None)
                continue
            if each.is_counted or name_of(group) not in each.failed:
                tally.add(page.error)
            if page.error is not None:
                went_wrong += 1
                failed[name_of(group)] = failed.get(name_of(group), 0) + 1
                yield page
                if group is not None:
                    yield Page(scope=each.date, place=each.place(walk, after=group, failed=failed), mark=each.date)
                continue
            went_well += 1
            if failed.pop(name_of(group), None) is not None:
                yield Page(scope=part.scope)  # its reject ends
            yield attrs.evolve(page, place=each.place(walk, after=group, failed=failed), mark=each.date)
        names = {name_of(group) for group in walk.groups} if walk.groups is not None else {name_of(None)}
        left = {name: tries for name, tries in failed.items() if name in names}
        is_ill = tally.max_share is not None and went_wrong > 1 and not went_well and self._is_all(each, walk)
        after = BEFORE_ALL if is_ill else None  # then all of it is asked for again
        yield Page(scope=each.date, place=each.place(walk, after=after, failed=left), mark=each.date)
        if is_ill:
            tally.whole_dates.append(each.date)
            tally.end_date(2)
            return
        tally.end_date(0 if went_well or self.is_of_groups or not each.is_counted else went_wrong)

    def _is_all(self, each: Due, walk: Walk) -> bool:
        return each.is_whole and self.is_of_groups and len(each.groups) == len(walk.groups or ())

    def _asked(self, part: Slice) -> Page | None:
        """
        Ask for one slice; None where its group has vanished meanwhile.

        Raises: what is no matter of one slice: 401, 403, no answer at all, topics that fail as well.
        """
        if part.group is not None and part.group not in self.listing.groups().found:
            return None
        columns = tuple(part.own)
        whole = Whole(columns=columns, values=[tuple(part.own.values())], within=self._within())
        try:
            return Page(scope=part.date, records=self.one(part), whole=whole)
        except Failures as error:
            if isinstance(error, Unavailable) and error.status < 500:
                raise
            self.calls.still_works()
            if isinstance(error, NotFound) and part.group is not None and not self.listing.is_there(part.group):
                return None
            return Page(scope=part.scope, error=_named(error, part))

    def _within(self) -> tuple[str, ...]:
        """A date whose results vanish is no edit; notes and risks come and go."""
        return ("flow_date",) if self.stream.endswith("results") else ()


def _named(error: SyncerError, part: Slice) -> SyncerError:
    """Say which slice it is that failed: the reject is looked for by it."""
    return AnswerError(f"{part.scope} was left as it is (empty, or an error): {error.message}")
