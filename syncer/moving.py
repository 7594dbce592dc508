"""
How the snapshot moves by what a run of a plan did, which depends on what the run was for.

A push moves it: what was seen equal or written is agreed. An operation does not: what it wrote is nobody's row. A
revert is an edit of theirs: what both sides agreed on stays, and a row whose record it archives is declined, so that
the next push does not make it again. Not here: the snapshot itself (`snapshots.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from syncer import snapshots, sql
from syncer.plan import ARCHIVE, Change
from syncer.plans import Header
from syncer.snapshots import DECLINED, SNAPSHOTS, Owner
from syncer.warehouses import Transaction

PUSH, REVERT = "push", "revert"


def unchanged(t: Transaction, header: Header, owner: Owner, *, after: str, now: dt.datetime) -> str:
    """
    Move the snapshot by some rows of a plan that have no change, behind the key *after*, empty at first. Return the
    last key that was looked at, empty at the end.
    """
    return snapshots.move_unchanged(t, owner, after=after, now=now) if header.verb == PUSH else ""


def done(t: Transaction, header: Header, owner: Owner, changes: Sequence[Change], *, now: dt.datetime) -> None:
    """Move the snapshot by changes that were done, whose states stand in the plan already."""
    if header.verb == PUSH:
        snapshots.move_done(t, owner, changes, now=now)
    elif header.verb == REVERT:
        _decline(t, owner, [each.id for each in changes if each.action == ARCHIVE and each.id], now=now)


def _decline(t: Transaction, owner: Owner, ids: Sequence[str], *, now: dt.datetime) -> None:
    """Skip the rows of records from now on; what is agreed stays, and so does the hash."""
    if not ids:
        return
    marks = ", ".join("?" for _ in ids)
    t.run(
        sql.statement(
            f"UPDATE {sql.table_name(SNAPSHOTS)} SET state = '{DECLINED}', run = ?, moved_at = ? "
            f"WHERE mapping = ? AND environment = ? AND id IN ({marks})"
        ),
        [owner.run, now, owner.mapping, owner.environment, *ids],
    )
