"""
A report: the lines that an operation found, each a sentence for people and values by column, and which of them are
new since the last run. Data, and how new ones are told; no I/O but the warehouse's.

A finding is a line that a person should look at; it is told as new once, until it is gone and comes back. A part that
could not be looked at is a finding, too, and says which others it hides: those of earlier runs stay as they are, so
that a failure which passes makes none of them gone and new again. Not here: what is looked at (`operations/`), a
report as a run (`reporting.py`), how it is printed (`reports/report_*.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer import journal
from syncer.journal import DONE, Pulled
from syncer.warehouses import Transaction

LEASE = "report "  # what the lease of a report begins with; its operation follows
NAMED = 3  # parts that were not looked at are named in the one line of a report, the others counted


@attrs.frozen(kw_only=True)
class Unseen:
    """
    A part that could not be looked at, and the keys of its findings: that one key, all that have a beginning, or all
    that have something in them, where nobody knows how they begin.

    part: what it is called, such as `deals`.
    """

    part: str
    key: str = ""
    beginning: str = ""
    within: str = ""

    def hides(self, key: str) -> bool:
        """Tell whether a finding is one of this part."""
        named = key.casefold()  # a host may write a name in other capitals than the warehouse
        is_of_beginning = bool(self.beginning) and named.startswith(self.beginning.casefold())
        return key == self.key or is_of_beginning or (bool(self.within) and self.within.casefold() in named)


@attrs.frozen(kw_only=True)
class Line:
    """
    One line. key: what it is about, the only one of its report. text: a sentence. values: by column.

    is_finding: a person should look at it; else it is a measurement. is_new: no run before told it. told: what makes
    it new when it changes, a sentence too; empty: its text. A text with counts that move each day has one.

    unseen: what could not be looked at, which is what this line tells; it has a key that no other finding has.
    """

    key: str
    text: str
    values: Mapping[str, Any] = attrs.field(factory=dict)
    is_finding: bool = True
    is_new: bool = False
    told: str = ""
    unseen: Unseen | None = None


@attrs.frozen(kw_only=True)
class Report:
    """
    What an operation found; `run` is None with a dry run, which does not make a finding an old one.

    gone: findings of the run before that are none any more, by key; hidden: those that stand as they are, since their
    part could not be looked at. kept: what the operation is to know in its next
    run, such as counts; it stands in the run's row.
    """

    operation: str
    environment: str
    run: str | None
    columns: Sequence[str] = ()
    lines: Sequence[Line] = ()
    gone: Sequence[str] = ()
    hidden: Sequence[str] = ()
    kept: Mapping[str, Any] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()
    status: str = DONE
    error: str | None = None
    is_wrong_usage: bool = False  # it failed by what its operation or the settings of it say
    requests: int = 0

    @property
    def findings(self) -> list[Line]:
        """The lines that a person should look at."""
        return [line for line in self.lines if line.is_finding]

    @property
    def new(self) -> list[Line]:
        """The findings that no run told before."""
        return [line for line in self.lines if line.is_finding and line.is_new]

    @property
    def unseen(self) -> list[str]:
        """The parts that could not be looked at, as they are called."""
        return list(dict.fromkeys(line.unseen.part for line in self.lines if line.unseen is not None))

    @property
    def exit_code(self) -> int:
        """1 failed, 2 wrong usage, 3 where there are new findings, else 0: what was told before is told once only."""
        if self.status != DONE:
            return 2 if self.is_wrong_usage else 1
        return 3 if self.new else 0

    @property
    def told(self) -> str:
        """The counts in words, and what was not looked at: `3 findings, 1 of them new; not looked at: deals`."""
        parts = [f"{len(self.lines):,} {'line' if len(self.lines) == 1 else 'lines'}"]
        found = len(self.findings)
        if found:
            is_all = len(self.new) == found
            told = "all new" if is_all else f"{len(self.new):,} of them new" if self.new else "none of them new"
            parts = [f"{found:,} {'finding' if found == 1 else 'findings'}, {told}"]
        elif self.lines:
            parts.append("nothing to look at")
        else:
            parts = ["nothing found"]
        if self.gone:
            parts.append(f"{len(self.gone):,} gone since the last run")
        return ", ".join(parts) + self._told_unseen

    @property
    def _told_unseen(self) -> str:
        """What could not be looked at, in words; empty where all was."""
        if not self.unseen:
            return ""
        more = f" and {len(self.unseen) - NAMED:,} more" if len(self.unseen) > NAMED else ""
        stand = f" ({len(self.hidden):,} told before, and not looked at again)" if self.hidden else ""
        return f"; not looked at: {', '.join(self.unseen[:NAMED])}{more}{stand}"

    def __str__(self) -> str:
        """Write it in a line, and each new finding in one of its own."""
        if self.status != DONE:
            return f"run {self.operation} failed: {self.error}"
        head = f"run {self.operation}: {self.told}"
        return "\n".join([head, *(f"  {note}" for note in self.notes), *(f"  ! {line.text}" for line in self.new)])


def marked(t: Transaction, report: Report, *, now: dt.datetime, keeps: bool) -> Report:
    """
    Return a report whose findings say whether they are new, and what is gone; *keeps*: from now on they are not.

    What a finding says may change: then it is new again. One of a part that could not be looked at is left as it is.
    """
    details: dict[str, str | None] = {line.key: line.told or line.text for line in report.findings}
    pulled = Pulled(run=report.run or "", mapping=report.operation, environment=report.environment)
    before = journal.standing(t, FINDING, pulled=pulled)
    parts = [line.unseen for line in report.lines if line.unseen is not None]
    hidden = sorted(key for key in set(before) - set(details) if any(part.hides(key) for part in parts))
    details |= dict.fromkeys(hidden)
    if keeps:
        journal.stand(t, FINDING, details, pulled=pulled, now=now)
    lines = [
        attrs.evolve(line, is_new=line.is_finding and before.get(line.key) != (line.told or line.text))
        for line in report.lines
    ]
    return attrs.evolve(report, lines=lines, gone=sorted(set(before) - set(details)), hidden=hidden)


FINDING = "reported"  # the kind of what a report found, in syncer.findings
