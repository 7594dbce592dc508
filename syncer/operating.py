"""
An operation as a run of a plan: what it looked at is stored as a plan, which is shown, held against the limits and
carried out like any other.

Not here: the operations (`operations/`), what a run of a plan does (`executing.py`).
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import attrs

from syncer import mappings, operations, plans
from syncer import settings as settings_module
from syncer.executing import Executing, Request, Work
from syncer.mapping import EntityMapping, Outbound
from syncer.operations import Context, Looked, Operation
from syncer.plan import Change, Checksum
from syncer.plans import Header
from syncer.pushing import executing
from syncer.settings import Settings
from syncer.sources import Source
from syncer.tally import Pushed
from syncer.transport import Doors

RUN = "run"
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
        return of_operation.run(_work(operation, reader, chosen))


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

    def store(self, found: Iterator[Looked]) -> Header:
        """Store a plan as it is made; return its header."""
        clock, warehouse = self.run.doors.clock, self.run.warehouse
        header = Header(
            plan=plans.new_plan(),
            mapping=self.operation.NAME,
            environment=self.run.settings.environment,
            account=self.run.identity.account,
            verb=RUN,
            made_at=clock.now(),
            settings=plans.words_of(self.outbound),
            pid=os.getpid(),
            host=socket.gethostname(),
        )
        with warehouse.transaction() as t:
            plans.insert(t, header)
        read_at = clock.now()
        while batch := list(itertools.islice(found, AT_ONCE)):
            changes = [change for each in batch for change in self._numbered(each)]
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
        }
        header = attrs.evolve(header, **ended)
        with warehouse.transaction() as t:
            plans.update(t, header)
        return header

    def _numbered(self, looked: Looked) -> Iterator[Change]:
        first = self._number
        for change in looked.changes:
            self._number += 1
            after = tuple(first + number for number in change.after)
            yield attrs.evolve(change, number=self._number, after=after)
