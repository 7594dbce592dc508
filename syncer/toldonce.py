"""
Rejects that an operation tells once: the run that meets one rejects it, a later one that meets the same counts it as
unchanged, so that a job of every night has news when there is some. What stands is in `syncer.rejects`. One that could
not be looked at counts as unchanged, too, and as seen: `clean` takes none that a later run might still meet.

Not here: writing rejects down and seeing them again (`conflicts.py`), what an operation rejects (`operations/`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import attrs

from syncer import plan, sql
from syncer.journal import PUSHED, REJECTS, UNSEEN
from syncer.plans import PlanRow, Problem
from syncer.warehouses import Warehouse


@attrs.define
class ToldOnce:
    """
    The rejects that stand of an operation, by key with the hash of what was told; one key has one problem.

    again: keys that this run met as they were, new: those that it tells, hidden: those that it could not look at.
    """

    _standing: dict[str, str]
    again: list[str] = attrs.field(factory=list)
    new: list[str] = attrs.field(factory=list)
    hidden: list[str] = attrs.field(factory=list)

    @classmethod
    def read(cls, warehouse: Warehouse, operation: str, *, environment: str) -> ToldOnce:
        """Read what stands of an operation."""
        query = (
            f"SELECT key, row_hash FROM {sql.table_name(REJECTS)} WHERE mapping = ? AND environment = ? "
            f"AND scope = '{PUSHED}'"
        )
        with warehouse.transaction() as t:
            found = t.rows(sql.statement(query), [operation, environment]) if t.columns(REJECTS) else []
        warehouse.rest(waiting=True)
        return cls({str(key): str(row_hash or "") for key, row_hash in found})

    def row(self, key: str, problem: Problem) -> PlanRow:
        """Return the row of what is rejected: as such, or unchanged where it was told and is as it was."""
        told = "\0".join((problem.field, problem.reason)).encode()
        row = PlanRow(key=key, id=key, row_hash=hashlib.blake2b(told, digest_size=16).hexdigest())
        if self._standing.pop(key, None) == row.row_hash:
            self.again.append(key)
            return attrs.evolve(row, outcome=plan.UNCHANGED)
        self.new.append(key)
        return attrs.evolve(row, outcome=plan.REJECTED, problems=[problem])

    def met(self, key: str) -> None:
        """Say that a row of this key is in the plan already: it takes its reject back."""
        self._standing.pop(key, None)

    def taken_back(self, *, unseen: tuple[str, ...] = ()) -> Iterator[PlanRow]:
        """
        Yield a row for each reject that none of this run names: one that says nothing takes it back; *unseen*: with
        keys that begin so it stands as it is, since nobody could look.
        """
        for key in sorted(self._standing):
            row = PlanRow(key=key, id=key)
            if key.startswith(unseen):
                self.hidden.append(key)
                row = attrs.evolve(row, row_hash=UNSEEN, outcome=plan.UNCHANGED)
            yield row
