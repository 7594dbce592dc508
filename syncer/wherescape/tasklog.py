"""
The counts of a run, told to RED's scheduler (`WsWrkTask`), which shows them beside the task.

Only inside a job: outside of one, and in a run that somebody started from RED's window, there is no task to count for.
That they could not be told is said, and no more: the rows are committed by then, and a failed task would hold those
that come after it, and have people run it again, for nothing but a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from syncer.errors import SyncerError
from syncer.journal import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.journal import Pulled
    from syncer.tally import Pushed
    from syncer.wherescape.environment import Environment
    from syncer.wherescape.procedures import Procedures

MOST = 2**31 - 1  # what an int of the repository holds


@attrs.frozen(kw_only=True)
class Counts:
    """Rows by what became of them, as RED counts them."""

    inserted: int = 0
    updated: int = 0
    replaced: int = 0
    deleted: int = 0
    discarded: int = 0
    rejected: int = 0
    errored: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Count two runs of one task together."""
        ours, theirs = attrs.astuple(self), attrs.astuple(other)
        return Counts(**dict(zip(attrs.asdict(self), map(sum, zip(ours, theirs, strict=True)), strict=True)))


def of_pull(pulled: Pulled) -> Counts:
    """Count a pull: what is gone is deleted."""
    return Counts(inserted=pulled.inserted, updated=pulled.updated, deleted=pulled.gone, rejected=pulled.rejected)


def of_push(pushed: Pushed) -> Counts:
    """
    Count what a push or an operation wrote: archived and merged away is deleted, left alone is discarded.

    Of a plan that nobody carried out (refused, or a rehearsal) nothing was written, and nothing failed; what is
    rejected, skipped or in conflict was seen to be so, and counts all the same.
    """
    rows = pushed.counts
    seen = Counts(discarded=rows.skipped + rows.conflicts, rejected=rows.rejected)
    if pushed.is_rehearsal or pushed.status == REFUSED:
        return seen
    return seen + Counts(
        inserted=rows.created,
        updated=rows.updated,
        deleted=rows.archived + rows.merged,
        errored=rows.failed,
    )


def tell(counts: Counts, *, environment: Environment, procedures: Callable[[], Procedures]) -> str:
    """
    Tell the scheduler what a run did; *procedures* is called only where there is somebody to tell.

    Returns: what went wrong, for a warning; empty where nothing did, or there is no task.
    """
    if not environment.in_job or environment.is_development:
        return ""
    try:
        procedures().task_counts([min(each, MOST) for each in attrs.astuple(counts)])
    except SyncerError as error:
        return f"The rows were not counted in RED's log of the task: {error}"
    return ""
