"""
What a plan's rows came to, each counted once, from what is stored; and what a run of it is told as.

A row counts by the first that applies of `plan.OUTCOMES`; rows whose hash is the snapshot's stand in the plan's header
only. Not here: writing any of it (`plans.py`, `apply.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from syncer import plan, sql
from syncer.journal import BROKEN, DONE, FAILED, REFUSED
from syncer.limits import Size
from syncer.plans import CHANGES, PLAN_ROWS, Header
from syncer.warehouses import Transaction

COUNTS = (  # the name in a run's counts, what is told of a plan, and of a run
    ("created", "to create", "created"),
    ("updated", "to update", "updated"),
    ("archived", "to archive", "archived"),
    ("merged", "to merge", "merged"),
    ("conflicts", "in conflict", "in conflict"),
    ("rejected", "rejected", "rejected"),
    ("failed", "failed", "failed"),
    ("pending", "pending", "pending"),
    ("skipped", "skipped", "skipped"),
    ("unchanged", "unchanged", "unchanged"),
)
BESIDE = ("also_created", "also_updated")  # of `Counts`: in no sum
REQUIRE_CLEAN = "--require-clean"  # what a reason begins with that is no limit
BEHIND_KEY = " change #"  # of a revert's row, before its number, where its key has several
_WRITES = "action IN ('update', 'associate', 'disassociate')"
_NOT_ENDED = (plan.PLANNED, plan.PENDING, plan.SENDING, plan.LEFT_OUT)
_OPEN = f"state IN ({', '.join(sql.literal(each) for each in _NOT_ENDED)})"


@attrs.frozen(kw_only=True)
class Counts:
    """
    Rows by what they came to, each once; `read` is their sum. Edges and requests stand beside the sum.

    also_created, also_updated: beside the sum, too: how many records were made and changed of rows that count as
    rejected, in conflict or failed, since not all of such a row was written.
    """

    rejected: int = 0
    conflicts: int = 0
    failed: int = 0
    created: int = 0
    updated: int = 0
    archived: int = 0
    merged: int = 0
    pending: int = 0
    skipped: int = 0
    unchanged: int = 0
    also_created: int = 0
    also_updated: int = 0

    @property
    def read(self) -> int:
        """All rows that were looked at."""
        return sum(number for name, number in attrs.asdict(self).items() if name not in BESIDE)


@attrs.frozen(kw_only=True)
class Pushed:
    """
    What a run of a plan did, or with a dry run would do; `run` is None then.

    status: done, failed, refused, broken. trips: the limits that refused it. associated, disassociated: edges.
    """

    run: str | None
    plan: str
    checksum: str
    mapping: str
    environment: str
    verb: str = "push"
    status: str = DONE
    counts: Counts = attrs.field(factory=Counts)
    associated: int = 0
    disassociated: int = 0
    requests: int = 0
    trips: tuple[str, ...] = ()
    error: str | None = None
    notes: tuple[str, ...] = ()
    is_partial: bool = False  # `--first`: what is pending was left out on purpose
    is_wrong_usage: bool = False  # it failed by what its operation or the settings of it say; nothing was sent

    @property
    def is_rehearsal(self) -> bool:
        """Whether nothing was to be written."""
        return self.run is None

    def __str__(self) -> str:
        """Write the run in a line: `push hubspot.companies: 1 created of 4 read; 5 requests; run 60662ebe4952`."""
        if self.has_no_plan:
            return f"{self.named} failed: {self.error}"
        refused = "".join(f"; refused: {trip}" for trip in self.trips)
        failed = f"; failed: {self.error}" if self.error else ""
        return f"{self.line}{refused}{failed}"

    @property
    def named(self) -> str:
        """What was run, and of which mapping: `push hubspot.companies`."""
        return f"{'plan' if self.is_rehearsal else self.verb} {self.mapping}"

    @property
    def line(self) -> str:
        """What a run that has a plan came to, and its id where it wrote: that is what `syncer revert` takes."""
        requests = f"{self.requests:,} {'request' if self.requests == 1 else 'requests'}"
        return f"{self.named}: {self.told}; {requests}{f'; run {self.run}' if self.has_written else ''}"

    @property
    def told(self) -> str:
        """The counts in words: `3 to create, 1 in conflict of 4,815 read`; what stands beside the sum behind them."""
        parts = [f"{number:,} {words}" for _, number, words in self.outcomes() if number]
        text = f"{', '.join(parts) or 'nothing to do'} of {self.counts.read:,} read"
        also = [f"{self._also} of {self._halved}"] if self._also else []
        return "; ".join([text, *also, *(f"{number:,} {words}" for _, number, words in self.edges())])

    @property
    def has_no_plan(self) -> bool:
        """Whether it failed before it had a plan: nothing was counted then."""
        return bool(self.error) and not self.plan

    @property
    def has_written(self) -> bool:
        """Whether something was written that could be put back."""
        counts = self.counts
        rows = counts.created + counts.updated + counts.archived + counts.merged
        also = counts.also_created + counts.also_updated
        return not self._is_plan and bool(rows + also + self.associated + self.disassociated)

    @property
    def is_too_large(self) -> bool:
        """Whether limits refuse it; until a person forces that very plan."""
        return any(not trip.startswith(REQUIRE_CLEAN) for trip in self.trips)

    @property
    def is_unclean(self) -> bool:
        """Whether it was to be clean, and something is rejected or in conflict."""
        return any(trip.startswith(REQUIRE_CLEAN) for trip in self.trips)

    def outcomes(self) -> list[tuple[str, int, str]]:
        """Return name, number and words of what the rows came to, or would; those of which there are none, too."""
        is_plan = self._is_plan
        return [(name, getattr(self.counts, name), would if is_plan else did) for name, would, did in COUNTS]

    def edges(self) -> list[tuple[str, int, str]]:
        """Return name, number and words of the edges that are made and taken away, where there are any."""
        found = (
            ("associated", self.associated, "to make" if self._is_plan else "made"),
            ("disassociated", self.disassociated, "to take away" if self._is_plan else "taken away"),
        )
        return [
            (name, number, f"{'edge' if number == 1 else 'edges'} {what}") for name, number, what in found if number
        ]

    def beside(self) -> list[tuple[str, int, str]]:
        """Return name, number and words of the records that were written of rows that count as something else."""
        found = (
            (BESIDE[0], self.counts.also_created, "to make" if self._is_plan else "made"),
            (BESIDE[1], self.counts.also_updated, "to change" if self._is_plan else "changed"),
        )
        return [
            (name, number, f"{'record' if number == 1 else 'records'} {what}, of {self._halved}")
            for name, number, what in found
            if number
        ]

    @property
    def _also(self) -> str:
        made, changed = ("to make", "to change") if self._is_plan else ("made", "changed")
        first, second = self.counts.also_created, self.counts.also_updated
        parts = [f"{number:,} {what}" for number, what in ((first, made), (second, changed)) if number]
        noun = "record" if (first or second) == 1 else "records"
        return " and ".join(part.replace(" ", f" {noun} ", 1) if not at else part for at, part in enumerate(parts))

    @property
    def _halved(self) -> str:
        """Name the rows of which not all was written, by what there is of them."""
        counts = self.counts
        if not counts.rejected and not counts.conflicts:
            return "rows that failed"
        *first, last = [
            words
            for number, words in (
                (counts.rejected, "rejected"), (counts.conflicts, "in conflict"), (counts.failed, "failed")
            )
            if number
        ]  # fmt: skip
        return f"rows that are {', '.join(first)}{' or ' if first else ''}{last}"

    @property
    def _is_plan(self) -> bool:
        return self.is_rehearsal or self.status == REFUSED

    @property
    def exit_code(self) -> int:
        """
        Return 1 failed, or rows that failed or are pending; 2 wrong usage; 4 refused by the limits, or with a dry run
        would be; 3 rejects or conflicts; 0 done. What `first` left out counts for nothing.
        """
        if self.is_wrong_usage:
            return 2
        if self.status in (FAILED, BROKEN) or self.counts.failed:
            return 1
        if self.status == REFUSED or self.trips:
            return 4
        if self.counts.pending and not self.is_partial and not self.is_rehearsal:
            return 1
        return 3 if self.counts.rejected or self.counts.conflicts else 0


def count(t: Transaction, header: Header, run: str | None) -> Counts:
    """
    Count the rows of a plan by what a run did; what an earlier run of it did is unchanged by now.

    run: None: as if every change that is still open were done.
    """
    done = _OPEN if run is None else f"state = '{plan.DONE}' AND run = {sql.literal(run)}"
    left = "FALSE" if run is None else _OPEN

    marks = {
        "rejected": f"state = '{plan.REJECTED}'",
        "moved": f"state = '{plan.MOVED}'",
        "failed": f"state = '{plan.FAILED}'",
        "created": f"action = '{plan.CREATE}' AND {done}",
        "updated": f"{_WRITES} AND {done}",
        "archived": f"action = '{plan.ARCHIVE}' AND {done}",
        "merged": f"action = '{plan.MERGE}' AND {done}",
        "pending": left,
    }
    marked = ", ".join(f"MAX(CASE WHEN {each} THEN 1 ELSE 0 END) AS {name}" for name, each in marks.items())
    changed = _changed(header, marked)
    first = "".join(
        f"WHEN {condition} THEN '{outcome}' "
        for outcome, condition in (
            (plan.REJECTED, f"r.outcome = '{plan.REJECTED}' OR r.rejected = 1"),
            (plan.CONFLICT, f"r.outcome = '{plan.CONFLICT}' OR r.moved = 1"),
            (plan.ROW_FAILED, "r.failed = 1"),
            (plan.CREATED, "r.created = 1"),
            (plan.UPDATED, "r.updated = 1"),
            (plan.ARCHIVED, "r.archived = 1"),
            (plan.MERGED, "r.merged = 1"),
            (plan.ROW_PENDING, "r.pending = 1"),
            (plan.SKIPPED, f"r.outcome = '{plan.SKIPPED}'"),
        )
    )
    # One pass over both, and no join: PostgreSQL knows nothing of a plan that has just been made, and would look at
    # all its changes once a row.
    none, best = (", ".join(write.format(name) for name in marks) for write in ("0 AS {0}", "MAX(b.{0}) AS {0}"))
    query = (
        f"SELECT o.outcome, SUM(o.times), SUM(o.created), SUM(CASE WHEN o.created = 1 THEN 0 ELSE o.updated END) FROM "
        f"(SELECT CASE {first}ELSE '{plan.UNCHANGED}' END AS outcome, r.times AS times, r.created AS created, "
        "r.updated AS updated FROM (SELECT b.key, MAX(b.is_row) AS is_row, MAX(b.outcome) AS outcome, MAX(b.times) AS "
        f"times, {best} FROM (SELECT key, 1 AS is_row, outcome, times, {none} FROM {sql.table_name(PLAN_ROWS)} WHERE "
        f"plan = ? UNION ALL SELECT c.key, 0, CAST(NULL AS TEXT), CAST(NULL AS BIGINT), {sql.names(marks, of='c')} "
        f"FROM ({changed}) AS c) AS b GROUP BY b.key) AS r WHERE r.is_row = 1) AS o GROUP BY o.outcome"
    )
    counted = t.rows(sql.statement(query), [header.plan, header.plan])
    found = {outcome: int(number) for outcome, number, _, _ in counted}
    halved = [row for row in counted if row[0] in (plan.REJECTED, plan.CONFLICT, plan.ROW_FAILED)]
    found["also_created"], found["also_updated"] = (sum(int(row[at]) for row in halved) for at in (2, 3))
    found["conflicts"] = found.pop(plan.CONFLICT, 0)
    found[plan.UNCHANGED] = found.get(plan.UNCHANGED, 0) + header.unchanged_rows
    found[plan.REJECTED] = found.get(plan.REJECTED, 0) + header.standing_rejects
    return Counts(**found)


def _changed(header: Header, marked: str) -> str:
    """Select what the changes of each row come to; a row of a revert is one change, whatever else its key has."""
    changes = sql.table_name(CHANGES)
    if header.reverts is None:
        return f"SELECT key, {marked} FROM {changes} WHERE plan = ? GROUP BY key"
    return (
        f"SELECT COALESCE(q.key, x.key) AS key, {marked} FROM {changes} AS x LEFT JOIN {sql.table_name(PLAN_ROWS)} AS "
        f"q ON q.plan = x.plan AND q.key = x.key || '{BEHIND_KEY}' || CAST(x.number AS TEXT) WHERE x.plan = ? "
        "GROUP BY COALESCE(q.key, x.key)"
    )


def size(counts: Counts, counted: Mapping[tuple[str, str], int], header: Header) -> Size:
    """Return how large a plan is, for its limits: of the changes that are not done yet."""

    def open_ones(action: str) -> int:
        return sum(number for (each, state), number in counted.items() if each == action and state in _NOT_ENDED)

    return Size(
        updates=counts.updated + counts.also_updated,
        creates=open_ones(plan.CREATE),
        archives=open_ones(plan.ARCHIVE),
        merges=open_ones(plan.MERGE),
        disassociations=open_ones(plan.DISASSOCIATE),
        missing=header.missing_rows,
        found=header.found_rows,
        known=header.known_rows,
    )


def edges(t: Transaction, header: Header, run: str | None) -> tuple[int, int]:
    """Return how many edges a run made and took away; None: how many would be."""
    done = _OPEN if run is None else f"state = '{plan.DONE}' AND run = {sql.literal(run)}"
    query = f"SELECT action, COUNT(*) FROM {sql.table_name(CHANGES)} WHERE plan = ? AND {done} GROUP BY action"
    found = {action: int(number) for action, number in t.rows(sql.statement(query), [header.plan])}
    return found.get(plan.ASSOCIATE, 0), found.get(plan.DISASSOCIATE, 0)
