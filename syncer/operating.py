"""
An operation as a run of a plan: what it looked at is stored as a plan, which is shown, held against the limits and
carried out like any other.

Not here: the operations (`operations/`), what a run of a plan does (`executing.py`).
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import attrs

from syncer import mappings, operations, plans
from syncer import settings as settings_module
from syncer.errors import NotAllowed, UsageError
from syncer.executing import Executing, Request, Work
from syncer.mapping import EntityMapping, Outbound
from syncer.operations import Context, Looked, Operation
from syncer.plan import DONE, FAILED, MOVED, SAME, Change, Checksum
from syncer.plans import Header
from syncer.pushing import executing
from syncer.settings import Settings
from syncer.sources import Source
from syncer.tally import Pushed
from syncer.transport import Doors

RUN = "run"
ENDED = frozenset({DONE, SAME, FAILED, MOVED})  # changes that a stored plan does not send any more
AT_ONCE = 500  # records that were looked at are stored so many at once


def run(
    name: str, *, settings: Settings | None = None, request: Request | None = None, doors: Doors | None = None
) -> Pushed:
    """
    Run an operation; return its outcome, a failed one too.

    Raises: UsageError before anything was tried; WarehouseError where no run could be written down.
    """
    settings = settings or settings_module.load()
    request = request or Request()
    request.check()
    operation = operations.find(name, folders=settings.folders)
    source = name.partition(".")[0]
    chosen = _going_out(source, settings)
    with executing(source, settings=settings, request=request, doors=doors) as opened:
        reader = cast(Source, opened.target)
        of_operation = attrs.evolve(opened, target=operation.target(reader))
        work = _work(operation, reader, chosen)
        return of_operation.run(attrs.evolve(work, ends=_stored_ends(of_operation, operation)))


def _ends(operation: Operation, changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the kinds that changes need the right to write, beside the operation's own."""
    ends: Callable[[Change], Sequence[str]] | None = getattr(operation, "ends", None)
    return () if ends is None else tuple(dict.fromkeys(end for change in changes for end in ends(change)))


def _stored_ends(run: Executing, operation: Operation) -> tuple[str, ...]:
    """Return them of the plan that is asked for; none where it is yet to be made. Raises UsageError."""
    if run.request.plan is None:
        return ()
    with run.warehouse.transaction() as t:
        if not t.columns(plans.PLANS):
            return ()
        header = plans.find(t, run.request.plan, environment=run.settings.environment)
    return _ends(operation, (each for each in run.changes(header) if each.state not in ENDED))


def _work(operation: Operation, source: Source, chosen: Sequence[EntityMapping]) -> Work:
    outbound = Outbound(kind=operation.KIND)

    def make(run: Executing, on_progress: Callable[[int, int], None] | None) -> Header:
        context = Context(source=source, target=run.target, warehouse=run.warehouse, mappings=chosen)
        return _Storing(run=run, operation=operation, outbound=outbound).store(operation.looked(context))

    return Work(
        mapping=operation.NAME,
        source=operation.NAME.partition(".")[0],
        verb=RUN,
        outbound=outbound,
        make=make,
        has_shares=False,
    )


def _going_out(source: str, settings: Settings) -> list[EntityMapping]:
    found = mappings.choose([f"{source}.*"], folders=settings.folders, objects=settings.objects())
    return [settings.applied_to(mapping) for mapping in found if mapping.outbound is not None]


@attrs.define(kw_only=True)
class _Storing:
    """Stores what an operation looked at as a plan."""

    run: Executing
    operation: Operation
    outbound: Outbound
    _checksum: Checksum = attrs.field(factory=Checksum)
    _number: int = 0
    _rows: int = 0
    _asked: set[str] = attrs.field(factory=set)
    _notes: dict[str, None] = attrs.field(factory=dict)

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
            settings=plans.words_of(self.outbound),
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
            self._ask(changes)
            self._checksum.add(change.digest(header.mapping, header.environment) for change in changes)
            self._rows += len(batch)
            with warehouse.transaction() as t:
                plans.add(t, header, changes=changes, rows=[each.row for each in batch], read_at=clock.now())
            warehouse.rest(waiting=True)
        ended: dict[str, Any] = {
            "state": plans.PLANNED,
            "read_at": read_at,
            "relation_rows": self._rows,
            "found_rows": self._rows,
            "changes": self._number,
            "checksum": str(self._checksum),
            "notes": list(self._notes),
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
                self.run.target.guard(self.operation.KIND, to=(end,))
            except (NotAllowed, UsageError) as error:
                if not self.run.request.is_rehearsal:
                    raise
                self._notes[f"as it stands it would be refused: {error}"] = None

    def _numbered(self, looked: Looked) -> Iterator[Change]:
        first = self._number
        for change in looked.changes:
            self._number += 1
            after = tuple(first + number for number in change.after)
            yield attrs.evolve(change, number=self._number, after=after)
