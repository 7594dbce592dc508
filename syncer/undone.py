"""
What the undoing of one change of a run comes to: a change of the opposite, nothing, or a conflict. Data only, no I/O.

Not here: deciding which (`undoing.py`, `undoing_edges.py`).
"""

from __future__ import annotations

import attrs

from syncer import plan
from syncer.plan import Change
from syncer.plans import PlanRow, Problem
from syncer.reverted import Done

ERASED = "What it wrote was erased from the journal since: there is nothing to put back."


@attrs.frozen
class Undone:
    """What one change comes to: its row of the plan, and the change that puts it back; None: there is none."""

    row: PlanRow
    change: Change | None = None


def nothing(done: Done, key: str) -> Undone:
    """Say that there is nothing to do: it is as it was before."""
    return Undone(PlanRow(key=key, id=done.id, outcome=plan.UNCHANGED))


def left(done: Done, key: str, reason: str, *, field: str = "", theirs: str | None = None) -> Undone:
    """Leave a change as it is, for a person to decide."""
    end = done.edge.id if done.edge is not None else None
    before, after = (end, None) if done.action == plan.DISASSOCIATE else (None, end)
    problem = conflict(field, before, after, theirs, reason)
    return Undone(PlanRow(key=key, id=done.id, outcome=plan.CONFLICT, problems=[problem]))


def conflict(name: str, before: str | None, after: str | None, now: str | None, reason: str) -> Problem:
    """
    Show a field that does not read as the run wrote it: what would be put back as ours, what is there as theirs, what
    the run wrote as what both sides had agreed on.
    """
    return Problem(
        kind=plan.CONFLICT, field=name, reason=reason, agreed=after, has_agreed=True, ours=before, theirs=now
    )
