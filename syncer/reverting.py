"""
A revert: what one run changed is put back, as a run of a plan like any other, which can be read first and reverted.

Nothing is put back that somebody changed since. It counts as an edit of theirs: what both sides agreed on stays, so
that the next push leaves those fields alone. Not here: what is put back (`undoing.py`), which run it is
(`reverted.py`), what a run of a plan does (`executing.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import cast

import attrs

from syncer import notifying, operations, plans, reverted, warehouses
from syncer import settings as settings_module
from syncer.clock import SystemClock
from syncer.engine import doors_of
from syncer.errors import UsageError
from syncer.executing import Executing, Request, Work
from syncer.operations import Operation
from syncer.plans import Header
from syncer.pushing import PUSH, executing
from syncer.reverted import Reverted
from syncer.settings import Settings
from syncer.sources import Source
from syncer.tally import Pushed
from syncer.transport import Doors
from syncer.undoing import REVERT, Undoing


def revert(
    run: str, *, settings: Settings | None = None, request: Request | None = None, doors: Doors | None = None
) -> Pushed:
    """
    Put back what a run of a plan changed, as far as nobody touched it since; return the outcome, a failed one too.

    run: its id, or a clear beginning of it. Raises: UsageError before anything was tried; WarehouseError where no run
    could be written down.
    """
    settings = settings or settings_module.load()
    request = request or Request()
    request.check()
    doors = doors or doors_of(settings, SystemClock())
    found = _found(run, settings, request, doors)
    asked = [found.header.mapping]
    with notifying.Watch(REVERT, asked=asked, settings=settings, doors=doors, is_silent=request.is_rehearsal) as watch:
        request = attrs.evolve(request, on_failure=watch.failing(request.on_failure))
        return watch.pushed(_reverted(found, settings, request, doors))


def _reverted(found: Reverted, settings: Settings, request: Request, doors: Doors) -> Pushed:
    with executing(found.source, settings=settings, request=request, doors=doors) as opened:
        if opened.identity.account != found.header.account:
            raise UsageError(
                f"Run {found.run} wrote to account {found.header.account}, and this is {opened.identity.account}.",
                hint="Ids of one account must never be written in another.",
            )
        operation = _operation(found.header, settings)
        stays = ""
        if operation is not None:
            stays = str(getattr(operation, "STAYS", ""))
            opened = attrs.evolve(opened, target=operations.target_of(operation, cast(Source, opened.target)))
        return opened.run(_work(found, stays))


def _operation(header: Header, settings: Settings) -> Operation | None:
    """Return the operation that made a plan; None: a push did. Raises UsageError: its file is broken."""
    file = header.mapping.partition(".")[2]
    files = operations.read([file], folders=settings.folders)
    if file in files.broken and header.verb != PUSH:
        raise files.broken[file]
    return files.found.get(header.mapping)


def _found(run: str, settings: Settings, request: Request, doors: Doors) -> Reverted:
    """Find the run, and the plan of a revert of it where one was asked for. Raises UsageError."""
    with contextlib.closing(warehouses.find(settings, clock=doors.clock)) as warehouse:
        if not warehouse.exists():
            raise UsageError(f"There is no run {run}: {warehouse.name} is not there yet.")
        held = {holder.run for holder in warehouse.leases().values()}
        with warehouse.transaction() as t:
            found = reverted.find(t, run, environment=settings.environment, held=held)
            if request.plan is not None:
                header = plans.find(t, request.plan, environment=settings.environment)
                if header.reverts != found.run:
                    of = f"reverts run {header.reverts}" if header.reverts else f"is a {header.verb}"
                    raise UsageError(f"Plan {header.plan} {of}; it is none that reverts run {found.run}.")
    return found


def _work(found: Reverted, stays: str) -> Work:
    outbound = found.outbound

    def make(run: Executing, on_progress: Callable[[int, int], None] | None) -> Header:
        return Undoing(
            reverted=found,
            outbound=outbound,
            account=run.identity.account,
            target=run.target,
            warehouse=run.warehouse,
            clock=run.doors.clock,
            stays=stays,
            is_rehearsal=run.request.is_rehearsal,
            on_progress=on_progress,
        ).make()

    return Work(
        mapping=found.header.mapping,
        source=found.source,
        verb=REVERT,
        outbound=outbound,
        make=make,
        has_shares=False,
        ends=tuple(dict.fromkeys(edge.to for edge in outbound.edges)),
    )
