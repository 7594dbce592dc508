"""
Random realistic edits of a Friday Pulse account: what happens in the three weeks after a flow date.

Each edit is one call of `friday_pulse.records`; only which one, and with what, is decided here.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable

from syncer.sandbox.friday_pulse.records import COMPANY, PulseRecords

MAX_TRIES = 200
LATE = dt.timedelta(days=20)  # how long after its date a slice still changes


class Editor:
    """Makes edits, drawn from a seed; *may_empty*: a slice may lose its last row."""

    def __init__(self, records: PulseRecords, seed: int, *, may_empty: bool) -> None:
        """Prepare for edits of *records*."""
        self.records = records
        self.rng = random.Random(f"edit {seed}")
        self._may_empty = may_empty
        self._kinds: tuple[tuple[int, Callable[[str], str | None]], ...] = (
            (30, self._answer),
            (6, self._drop_topic),
            (15, self._write),
            (8, self._rewrite),
            (8, self._remove),
            (8, self._risk),
            (3, self._rename),
            (1, self._topic),
            (1, self._group),
            (1, self._date),
        )

    def make(self, count: int) -> list[str]:
        """Make *count* edits; return what was done. One that does not suit is drawn again."""
        done: list[str] = []
        weights = [weight for weight, _ in self._kinds]
        for _ in range(count):
            for _ in range(MAX_TRIES):
                _, kind = self.rng.choices(self._kinds, weights)[0]
                what = kind(self.rng.choice(self._recent()))
                if what is not None:
                    done.append(what)
                    break
        return done

    def _recent(self) -> list[str]:
        newest = dt.date.fromisoformat(max(self.records.dates))
        return [date for date in self.records.dates if newest - dt.date.fromisoformat(date) <= LATE]

    def _anybody(self) -> int:
        return self.rng.choice(sorted(self.records.groups))

    def _answer(self, date: str) -> str:
        group = self._anybody()
        self.records.answer_late(date, group, answers=1 + self.rng.randrange(2))
        return f"late answers of group {group} for {date}"

    def _drop_topic(self, date: str) -> str | None:
        group = self.rng.choice([COMPANY, *self.records.groups])
        code = self.rng.choice(sorted(self.records.topics))
        is_last = len(self.records.results(date, group)) <= 1
        if is_last or not self.records.drop_topic(date, group, code):
            return None
        return f"topic {code} dropped from {group or 'the company'} on {date}"

    def _write(self, date: str) -> str:
        group = self._anybody()
        return f"note {self.records.add_note(date, (group,))} of group {group} on {date}"

    def _rewrite(self, date: str) -> str | None:
        number = self._a_note(date)
        if number is None:
            return None
        self.records.change_note(date, number, f"Written anew, {self.rng.randrange(10_000)}")
        return f"note {number} rewritten"

    def _remove(self, date: str) -> str | None:
        number = self._a_note(date)
        if number is None:
            return None
        groups = (COMPANY, *self.records.notes_on(date)[number].groups)
        if not self._may_empty and any(len(self.records.notes_of(date, group)) <= 1 for group in groups):
            return None
        self.records.remove_note(date, number)
        return f"note {number} removed"

    def _risk(self, date: str) -> str:
        group = self.rng.choice([COMPANY, *self.records.groups])
        self.records.change_risk(date, group)
        return f"risk of {group or 'the company'} on {date}"

    def _rename(self, date: str) -> str:
        group = self._anybody()
        self.records.rename_group(group, f"Renamed {self.rng.randrange(1000)}")
        return f"group {group} renamed"

    def _topic(self, date: str) -> str:
        code = f"topic{len(self.records.topics)}"
        self.records.add_topic(code, code.title())
        return f"topic {code} added"

    def _group(self, date: str) -> str:
        return f"group {self.records.add_group(members=20)} added"

    def _date(self, date: str) -> str:
        return f"flow date {self.records.add_date()}"

    def _a_note(self, date: str) -> int | None:
        notes = sorted(self.records.notes_on(date))
        return self.rng.choice(notes) if notes else None
