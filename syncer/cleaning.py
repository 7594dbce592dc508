"""
`syncer clean`: delete what the warehouse need not keep any more of what we wrote there, and tell what stays and why.

First everything is judged (`stale.py`), in one transaction that changes nothing. Then it goes, in transactions of some
ten thousand rows each; in between the warehouse is let go. Each of them leaves a state that the next cleaning goes on
from: a plan is marked before its changes go, so that nobody takes up half of one, and its header goes last. No lease
is taken: nothing that a run under way reads or writes is old enough.

Not here: which rows are stale (`stale.py`), what killed runs left (`aging.py`), mappings that nobody configures any
more (`unconfigured.py`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from syncer import aging, stale, unconfigured, warehouses
from syncer import settings as settings_module
from syncer.clock import Clock, SystemClock
from syncer.errors import UsageError
from syncer.plans import CHANGES, PLAN_ROWS, PLANS
from syncer.settings import Settings
from syncer.stale import Ages, Line
from syncer.tables import STATE
from syncer.unconfigured import Unconfigured
from syncer.warehouses import Transaction, Warehouse

SHOWN = 3  # names of what nobody configures that one line has
OnCleaning = Callable[[str, int, int], None]  # the table, its rows that are gone, of how many


@attrs.frozen(kw_only=True)
class Cleaned:
    """
    What went, or would go, and what stays; a line for each table that is there.

    abandoned: plans and comparisons that killed runs were making; copies: tables of rows that belong to none.
    of_mapping: rows of the mapping that was asked for by name, none of which stays.
    unconfigured: what is kept of mappings and environments that nobody configures any more. left: in sentences, what
    rewriting does not reach. keep_days, keep_runs_days: None: for good.
    """

    warehouse: str
    is_rehearsal: bool = False
    lines: Sequence[Line] = ()
    abandoned: int = 0
    copies: int = 0
    of_mapping: Sequence[Line] = ()
    unconfigured: Sequence[Unconfigured] = ()
    left: Sequence[str] = ()
    keep_days: int | None = None
    keep_runs_days: int | None = None

    @property
    def goes(self) -> int:
        """How many rows went, or would go."""
        return sum(line.goes for line in (*self.lines, *self.of_mapping))

    @property
    def kept(self) -> str:
        """How long what is kept, in words."""
        return f"Values are kept {_days(self.keep_days)}, runs {_days(self.keep_runs_days)}."

    def __str__(self) -> str:
        """Write it: one line where nothing goes, else one a table as well."""
        parts = [
            f"{line.goes:,} {'row' if line.goes == 1 else 'rows'} of {line.table}" for line in self.lines if line.goes
        ]
        parts += [f"{line.goes:,} of {line.table} of the mapping" for line in self.of_mapping if line.goes]
        parts += aging.left_behind(self.abandoned, self.copies)
        does = "would delete" if self.is_rehearsal else "deleted"
        head = f"{self.warehouse}: {does} {', '.join(parts) or 'nothing'}. {self.kept}"
        if not parts and self.unconfigured:
            rows = sum(each.rows for each in self.unconfigured)
            first = ", ".join(each.named for each in self.unconfigured[:SHOWN])
            more = f" and {len(self.unconfigured) - SHOWN:,} more" if len(self.unconfigured) > SHOWN else ""
            stay = "row stays" if rows == 1 else "rows stay"
            head += f" {rows:,} {stay} of what nobody configures: {first}{more}."
        body = [*map(_told, self.lines), *map(str, self.unconfigured)] if parts else []
        return "\n".join([head, *(f"  {line}" for line in (*body, *self.left))])

    def document(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "warehouse": self.warehouse,
            "is_rehearsal": self.is_rehearsal,
            "keep_days": self.keep_days,
            "keep_runs_days": self.keep_runs_days,
            "lines": [
                {
                    "table": each.table,
                    "goes": each.goes,
                    "stays": each.stays,
                    "why": dict(each.why),
                    "oldest": each.oldest,
                }
                for each in self.lines
            ],
            "of_mapping": {each.table: each.goes for each in self.of_mapping},
            "abandoned": self.abandoned,
            "tables": self.copies,
            "unconfigured": [attrs.asdict(each) for each in self.unconfigured],
            "left": list(self.left),
        }


def _days(count: int | None) -> str:
    return "for good" if count is None else f"for {count} day{'' if count == 1 else 's'}"


def _told(line: Line) -> str:
    why = ", ".join(f"{count:,} {words}" for words, count in line.why.items())
    oldest = f"; the oldest of {line.oldest:%Y-%m-%d}" if line.oldest is not None else ""
    return f"{line.table}: {line.goes:,} go, {line.stays:,} stay{f' ({why}{oldest})' if why else ''}"


class _Rehearsed(Exception):
    """Inside this module: the transaction is to be rolled back; nothing went wrong."""


def clean(
    *,
    settings: Settings | None = None,
    dry_run: bool = False,
    rewrite: bool = False,
    mapping: str | None = None,
    clock: Clock | None = None,
    on_progress: OnCleaning | None = None,
) -> Cleaned:
    """
    Delete what is old enough, or with *dry_run* tell what would go; safe to repeat, and beside any run.

    rewrite: then write the warehouse anew, so that no byte of what was deleted is left.
    mapping: also all that is kept of this mapping, which nobody configures any more, in the environment in force.
    Raises: UsageError: both *dry_run* and *rewrite*; the mapping is configured, or may still be put back;
    WarehouseError.
    """
    if dry_run and rewrite:
        raise UsageError("--rewrite changes the warehouse, and --dry-run changes nothing.")
    settings = settings or settings_module.load()
    clock = clock or SystemClock()
    ages = Ages(now=clock.now(), keep_days=settings.keep_days, keep_runs_days=settings.keep_runs_days)
    warehouse = warehouses.find(settings, clock=clock)
    bare = Cleaned(
        warehouse=warehouse.name,
        is_rehearsal=dry_run,
        keep_days=ages.keep_days,
        keep_runs_days=ages.keep_runs_days,
    )
    try:
        if not warehouse.exists():
            return bare
        cleaning = _Cleaning(
            settings=settings,
            warehouse=warehouse,
            ages=ages,
            mapping=mapping,
            on_progress=on_progress,
            dry_run=dry_run,
        )
        done = cleaning.run(bare)
        return attrs.evolve(done, left=warehouse.rewrite().left) if rewrite else done
    finally:
        warehouse.close()


@attrs.define(kw_only=True)
class _Cleaning:
    """One cleaning."""

    settings: Settings
    warehouse: Warehouse
    ages: Ages
    mapping: str | None
    on_progress: OnCleaning | None
    dry_run: bool
    _gone: dict[str, int] = attrs.field(factory=dict, init=False)
    _of: dict[str, int] = attrs.field(factory=dict, init=False)

    def run(self, bare: Cleaned) -> Cleaned:
        """Judge, delete what is to go, and judge again what is left."""
        if self.mapping is not None:
            self._check(self.mapping)
        before = self._judged(bare, sweeps=True)
        if self.dry_run or not before.goes:
            return before
        self._of = {line.table: line.goes for line in (*before.lines, *before.of_mapping)}
        self._delete()
        of_mapping = [attrs.evolve(line, goes=self._delete_of(line.table)) for line in before.of_mapping]
        after = self._judged(bare, sweeps=False)
        lines = [attrs.evolve(line, goes=self._gone.get(line.table, 0)) for line in after.lines]
        return attrs.evolve(before, lines=lines, of_mapping=of_mapping, unconfigured=after.unconfigured)

    def _check(self, mapping: str) -> None:
        """Raise UsageError where what is kept of a mapping must stay."""
        with self.warehouse.transaction() as t:
            unconfigured.check(t, mapping, settings=self.settings, ages=self.ages)
        self.warehouse.rest(waiting=True)

    def _judged(self, bare: Cleaned, *, sweeps: bool) -> Cleaned:
        """Judge all rows; *sweeps*: first take away what killed runs left. A rehearsal changes nothing."""
        found = bare
        with contextlib.suppress(_Rehearsed), self.warehouse.transaction() as t:
            if sweeps and t.columns(PLANS):
                found = attrs.evolve(
                    found, abandoned=aging.sweep(t, now=self.ages.now), copies=aging.drop_ownerless(t)
                )
            rules = stale.judge(t, self.ages)
            of_mapping = (
                [] if self.mapping is None else unconfigured.of_mapping(t, self.mapping, settings=self.settings)
            )
            found = attrs.evolve(
                found,
                lines=list(stale.lines(t, rules)),
                of_mapping=of_mapping,
                unconfigured=unconfigured.find(t, settings=self.settings),
            )
            if self.dry_run:
                raise _Rehearsed
        self.warehouse.rest(waiting=True)
        return found

    def _delete(self) -> None:
        """Delete what is stale: the values of plans, then all else, some of each table at once."""
        with self.warehouse.transaction() as t:
            stale.age_plans(t, self.ages)
        for table in (CHANGES, PLAN_ROWS):
            self._in_parts(
                f"{STATE}.{table.name}", functools.partial(stale.delete_values, table=table, ages=self.ages)
            )
        is_over = False
        while not is_over:
            with self.warehouse.transaction() as t:
                counts = [(rule, stale.delete(t, rule)) for rule in stale.judge(t, self.ages)]
            for rule, count in counts:
                self._note(f"{STATE}.{rule.table.name}", count)
            is_over = all(count < stale.AT_ONCE for _, count in counts)
            self.warehouse.rest(waiting=False)

    def _delete_of(self, table: str) -> int:
        """Delete a table's rows of the mapping that was asked for; return how many."""
        before = self._gone.get(table, 0)
        self._in_parts(table, lambda t: unconfigured.delete(t, table, self.mapping or "", settings=self.settings))
        return self._gone.pop(table, 0) - before

    def _in_parts(self, table: str, delete: Callable[[Transaction], int]) -> None:
        """Delete until a part is not full, each in a transaction of its own."""
        if not self._of.get(table):
            return
        count = stale.AT_ONCE
        while count >= stale.AT_ONCE:
            with self.warehouse.transaction() as t:
                count = delete(t)
            self._note(table, count)
            self.warehouse.rest(waiting=False)

    def _note(self, table: str, count: int) -> None:
        self._gone[table] = self._gone.get(table, 0) + count
        if count and self.on_progress is not None:
            self.on_progress(table, self._gone[table], self._of.get(table, 0))
