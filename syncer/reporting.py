"""
An operation that makes a report, as a run: its lines are gathered, those that no run told before are marked, and the
run is written down. Nothing but our own state is written.

Not here: what a report is (`findings.py`), the operations (`operations/`), those that make a plan (`operating.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs

from syncer import findings, journal, marks, operations, runs, shape, sources, warehouses
from syncer.clock import SystemClock
from syncer.engine import doors_of
from syncer.errors import SyncerError, UsageError
from syncer.executing import Request
from syncer.findings import Report
from syncer.mapping import EntityMapping
from syncer.operations import Context, Reporting
from syncer.settings import Settings
from syncer.sources import Source
from syncer.target import Target
from syncer.transport import Doors
from syncer.warehouses import Warehouse

RUN, MODE = "run", "report"


def run(
    operation: Reporting,
    values: Mapping[str, Any],
    chosen: Sequence[EntityMapping],
    *,
    settings: Settings,
    request: Request,
    doors: Doors | None,
) -> Report:
    """
    Make a report and write its run down; return it, a failed one too. A rehearsal keeps nothing: what is new now is
    new in the next one as well.

    Raises: UsageError before anything was tried; WarehouseError where no run could be written down.
    """
    _check(operation.NAME, request)
    doors = doors or doors_of(settings, SystemClock())
    with contextlib.ExitStack() as opened:
        warehouse = warehouses.find(settings, clock=doors.clock)
        opened.callback(warehouse.close)
        source = _source(operation.NAME, settings, doors)
        if source is not None:
            opened.callback(source.close)
        making = _Making(operation, values, chosen, settings, request, doors, warehouse, source)
        return making.run()


def _check(name: str, request: Request) -> None:
    """Refuse what goes with a plan only. Raises UsageError."""
    given = {
        "--plan": request.plan is not None,
        "--first": request.first is not None,
        "--require-clean": request.is_strict,
    }
    wrong = [word for word, is_given in given.items() if is_given]
    if wrong:
        raise UsageError(f"{name} makes a report, and {', '.join(wrong)} goes with a plan.", hint="Leave it out.")


def _source(name: str, settings: Settings, doors: Doors) -> Source | None:
    of = name.partition(".")[0]
    if of == operations.WAREHOUSE:
        return None
    return sources.connect(settings.account(of), doors=doors, streams=(), folders=settings.folders)


@attrs.frozen
class _Making:
    """One report under way."""

    operation: Reporting
    values: Mapping[str, Any]
    mappings: Sequence[EntityMapping]
    settings: Settings
    request: Request
    doors: Doors
    warehouse: Warehouse
    source: Source | None

    def run(self) -> Report:
        """Make it under its lease; what goes wrong is the outcome."""
        request, environment = self.request, self.settings.environment
        report = Report(
            operation=self.operation.NAME,
            environment=environment,
            run=None if request.is_rehearsal else journal.new_run(),
            columns=tuple(self.operation.COLUMNS),
        )
        has_begun = False
        try:
            with contextlib.ExitStack() as held:
                if report.run is not None:
                    name = f"{findings.LEASE}{self.operation.NAME}@{environment}"
                    held.callback(self.warehouse.lease(name, run=report.run, wait_s=request.wait_s).release)
                self._begin(report)
                has_begun = report.run is not None
                self._admit(report)
                report = self._made(report)
        except SyncerError as error:
            is_wrong = isinstance(error, UsageError)
            report = attrs.evolve(report, status=journal.FAILED, error=str(error), is_wrong_usage=is_wrong)
            report = attrs.evolve(report, requests=self._requests)
            if has_begun:
                self._write_down(report)
            if request.on_report_failure is not None:
                request.on_report_failure(report, error)
        if request.on_report is not None:
            request.on_report(report)
        return report

    def _begin(self, report: Report) -> None:
        with self.warehouse.transaction() as t:
            shape.ensure_state(t)
            if report.run is not None:
                runs.begin_report(t, report, verb=RUN, mode=MODE, now=self.doors.clock.now())
        self.warehouse.rest(waiting=True)

    def _admit(self, report: Report) -> None:
        """Ask whose account it is, and hold the warehouse against it. Raises: WrongAccount; what the source raises."""
        if self.source is None:
            return
        account, of = self.source.check().account, self.operation.NAME.partition(".")[0]
        marks.admit(self.warehouse.transaction, of, report.environment, account, now=self.doors.clock.now())
        self.warehouse.rest(waiting=True)

    def _made(self, report: Report) -> Report:
        context = Context(
            name=self.operation.NAME,
            values=self.values,
            environment=report.environment,
            now=self.doors.clock.now(),
            settings=self.settings,
            warehouse=self.warehouse,
            source=self.source,
            target=cast(Target, self.source) if hasattr(self.source, "send") else None,
            mappings=self.mappings,
            on_progress=self._progress(),
            kept=self._kept(report),
        )
        lines = list(self._lines(context))
        notes = tuple(context.notes)
        report = attrs.evolve(report, lines=lines, notes=notes, kept=context.keeps, requests=self._requests)
        now = self.doors.clock.now()
        with self.warehouse.transaction() as t:
            report = findings.marked(t, report, now=now, keeps=report.run is not None)
            if report.run is not None:
                runs.end_report(t, report, now=now)
        self.warehouse.rest(waiting=True)
        return report

    def _kept(self, report: Report) -> Mapping[str, Any]:
        with self.warehouse.transaction() as t:
            found = runs.kept(t, report, verb=RUN, mode=MODE)
        self.warehouse.rest(waiting=True)
        return found

    def _lines(self, context: Context) -> Iterator[findings.Line]:
        """Yield the lines of the operation, each key once; what was not looked at is a finding. Raises SyncerError."""
        seen: set[str] = set()
        for line in operations.lines_of(self.operation, context):
            if line.key not in seen:
                seen.add(line.key)
                yield line if line.unseen is None else attrs.evolve(line, is_finding=True)

    def _write_down(self, report: Report) -> None:
        with self.warehouse.transaction() as t:
            runs.end_report(t, report, now=self.doors.clock.now())
        self.warehouse.rest(waiting=True)

    def _progress(self) -> Callable[[int, int], None] | None:
        on_progress = self.request.on_progress
        name = self.operation.NAME
        return None if on_progress is None else lambda count, of: on_progress(name, "looked at", count, of)

    @property
    def _requests(self) -> int:
        return 0 if self.source is None else self.source.requests
