"""
An operation that makes a plan, as a run: what it looked at is stored as a plan, which is shown, held against the
limits and carried out like any other.

Not here: the operations (`operations/`), those that make a report (`reporting.py`), what a run of a plan does
(`executing.py`).
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs

from syncer import declared, mappings, notifying, operations, plans, reporting
from syncer import settings as settings_module
from syncer.clock import SystemClock
from syncer.engine import doors_of
from syncer.errors import NotAllowed, UsageError
from syncer.executing import Executing, Request, Work
from syncer.findings import Report
from syncer.mapping import EntityMapping, Outbound
from syncer.operations import Context, Looked, Operation, Planning
from syncer.plan import DONE, FAILED, MOVED, SAME, Change, Checksum
from syncer.plans import Header
from syncer.pushing import executing
from syncer.settings import Settings
from syncer.sources import Source
from syncer.tally import Pushed
from syncer.target import Found, Target
from syncer.transport import Doors

RUN = "run"
ENDED = frozenset({DONE, SAME, FAILED, MOVED})  # changes that a stored plan does not send any more
AT_ONCE = 500  # records that were looked at are stored so many at once


def run(
    name: str, *, settings: Settings | None = None, request: Request | None = None, doors: Doors | None = None
) -> Pushed | Report:
    """
    Run an operation; return its outcome, a failed one too: of a plan, or its report.

    Raises: UsageError before anything was tried; WarehouseError where no run could be written down.
    """
    settings = settings or settings_module.load()
    request = request or Request()
    request.check()
    operation = operations.find(name, folders=settings.folders)
    values = declared.read(settings, name, operations.declared_of(operation))
    source = name.partition(".")[0]
    chosen = [] if source == operations.WAREHOUSE else _of_source(source, settings)
    operations.check_settings(operation, values, settings=settings, mappings=chosen)
    doors = doors or doors_of(settings, SystemClock())
    with notifying.Watch(RUN, asked=[name], settings=settings, doors=doors, is_silent=request.is_rehearsal) as watch:
        failing, failing_report = watch.failing(request.on_failure), watch.failing(request.on_report_failure)
        request = attrs.evolve(request, on_failure=failing, on_report_failure=failing_report)
        if operations.is_report(operation):
            reporter = cast(operations.Reporting, operation)
            return watch.reported(
                reporting.run(reporter, values, chosen, settings=settings, request=request, doors=doors)
            )
        planner = cast(Planning, operation)
        return watch.pushed(_planned(planner, values, chosen, settings=settings, request=request, doors=doors))


def _planned(
    operation: Planning,
    values: Mapping[str, Any],
    chosen: Sequence[EntityMapping],
    *,
    settings: Settings,
    request: Request,
    doors: Doors,
) -> Pushed:
    """Run an operation that makes a plan."""
    source, name = operation.NAME.partition(".")[0], operation.NAME
    outbound = Outbound(kind=operations.kind_of(operation, values), limits=declared.limits_of(settings, name))
    with executing(source, settings=settings, request=request, doors=doors) as opened:
        reader = cast(Source, opened.target)
        of_operation = attrs.evolve(opened, target=operations.target_of(operation, reader))
        making = _Making(operation, values, reader, chosen, outbound)
        return of_operation.run(attrs.evolve(making.work(), ends=_stored_ends(of_operation, operation)))


def _ends(operation: Operation, changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the kinds that changes need the right to write, beside the operation's own: those of its edges, too."""
    ends: Callable[[Change], Sequence[str]] = getattr(operation, "ends", _other_ends)
    return tuple(dict.fromkeys(end for change in changes for end in ends(change)))


def _other_ends(change: Change) -> Sequence[str]:
    return () if change.edge is None else (change.edge.kind,)


def _stored_ends(run: Executing, operation: Operation) -> tuple[str, ...]:
    """Return them of the plan that is asked for; none where it is yet to be made. Raises UsageError."""
    if run.request.plan is None:
        return ()
    with run.warehouse.transaction() as t:
        if not t.columns(plans.PLANS):
            return ()
        header = plans.find(t, run.request.plan, environment=run.settings.environment)
    return _ends(operation, (each for each in run.changes(header) if each.state not in ENDED))


def _of_source(source: str, settings: Settings) -> list[EntityMapping]:
    """Return all mappings of a source, with the site's words."""
    found = mappings.choose([f"{source}.*"], folders=settings.folders, objects=settings.objects())
    return [settings.applied_to(mapping) for mapping in found]


@attrs.frozen
class _Making:
    """An operation, and what it needs to make its plan."""

    operation: Planning
    values: Mapping[str, Any]
    source: Source
    mappings: Sequence[EntityMapping]
    outbound: Outbound

    def work(self) -> Work:
        """Return the work of a run of it."""
        return Work(
            mapping=self.operation.NAME,
            source=self.operation.NAME.partition(".")[0],
            verb=RUN,
            outbound=self.outbound,
            make=self._make,
            has_shares=False,
            values=self.values,
        )

    def _make(self, run: Executing, on_progress: Callable[[int, int], None] | None) -> Header:
        searching = _Searching(run.target)
        context = Context(
            name=self.operation.NAME,
            values=self.values,
            environment=run.settings.environment,
            now=run.doors.clock.now(),
            settings=run.settings,
            warehouse=run.warehouse,
            source=self.source,
            target=cast(Target, searching),
            mappings=self.mappings,
            on_progress=on_progress,
        )
        storing = _Storing(
            run=run, operation=self.operation, work=self.work(), context=context, searched=searching.kinds
        )
        return storing.store(operations.looked_at(self.operation, context))


@attrs.define
class _Searching:
    """A target that remembers of which kinds records were found by search."""

    target: Target
    kinds: set[str] = attrs.field(factory=set)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def matching(
        self, kind: str, property: str, wanted: Sequence[str], properties: Sequence[str]
    ) -> Iterator[Sequence[Found]]:
        """Search, and remember it."""
        self.kinds.add(kind)
        return self.target.matching(kind, property, wanted, properties)


@attrs.define(kw_only=True)
class _Storing:
    """Stores what an operation looked at as a plan."""

    run: Executing
    operation: Operation
    work: Work
    context: Context
    searched: set[str]  # what a search answers may be old: it is read again before it is written
    _checksum: Checksum = attrs.field(factory=Checksum)
    _number: int = 0
    _rows: int = 0
    _asked: set[str] = attrs.field(factory=set)

    def store(self, found: Iterator[Looked]) -> Header:
        """Store a plan as it is made; return its header. Raises: NotAllowed: a change of it may not be sent."""
        header = self._header()
        try:
            return self._stored(header, found)
        finally:
            plans.let_go(header.plan)

    def _header(self) -> Header:
        return Header(
            plan=plans.new_plan(),
            mapping=self.operation.NAME,
            environment=self.run.settings.environment,
            account=self.run.identity.account,
            verb=RUN,
            made_at=self.run.doors.clock.now(),
            settings=self.work.words,
            pid=os.getpid(),
            host=socket.gethostname(),
        )

    def _stored(self, header: Header, found: Iterator[Looked]) -> Header:
        clock, warehouse = self.run.doors.clock, self.run.warehouse
        with warehouse.transaction() as t:
            plans.insert(t, header)
        read_at = clock.now()
        while batch := list(itertools.islice(found, AT_ONCE)):
            changes = [change for each in batch for change in self._numbered(each)]
            rows = [row for each in batch for row in (each.row, *each.also)]
            self._ask(changes)
            self._checksum.add(change.digest(header.mapping, header.environment) for change in changes)
            self._rows += len(rows)
            with warehouse.transaction() as t:
                plans.add(t, header, changes=changes, rows=rows, read_at=clock.now())
            warehouse.rest(waiting=True)
        ended: dict[str, Any] = {
            "state": plans.PLANNED,
            "read_at": None if self.work.outbound.kind in self.searched else read_at,
            "relation_rows": self._rows + self.context.unchanged,
            "unchanged_rows": self.context.unchanged,
            "found_rows": self._rows + self.context.unchanged,
            "changes": self._number,
            "checksum": str(self._checksum),
            "notes": list(self.context.notes),
        }
        header = attrs.evolve(header, **ended)
        with warehouse.transaction() as t:
            plans.update(t, header)
        return header

    def _ask(self, changes: Sequence[Change]) -> None:
        """
        Ask whether changes may be sent, each kind once; what stands in the way ends a run, and is a note of a dry run.
        """
        for end in _ends(self.operation, changes):
            if end in self._asked:
                continue
            self._asked.add(end)
            try:
                self.run.target.guard(self.work.outbound.kind, to=(end,))
            except (NotAllowed, UsageError) as error:
                if not self.run.request.is_rehearsal:
                    raise
                self.context.note(f"as it stands it would be refused: {error}")

    def _numbered(self, looked: Looked) -> Iterator[Change]:
        first = self._number
        for change in looked.changes:
            self._number += 1
            after = tuple(first + number for number in change.after)
            into_by = None if change.into_by is None else first + change.into_by
            edge = change.edge
            if edge is not None and edge.made_by is not None:
                edge = attrs.evolve(edge, made_by=first + edge.made_by)
            yield attrs.evolve(change, number=self._number, after=after, into_by=into_by, edge=edge)
