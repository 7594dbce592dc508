"""
A push: what an earlier run left in flight is settled, a plan is made and stored, held against the limits, and carried
out, under the lease of its kind of records. A dry run makes the plan and needs no lease.

Not here: how a plan is made (`outbound.py`) and carried out (`apply.py`), what is printed (`reports/`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import attrs

from syncer import (
    choosing,
    conflicts,
    journal,
    limits,
    mappings,
    marks,
    plan,
    plans,
    runs,
    shape,
    snapshots,
    sources,
    tally,
    warehouses,
)
from syncer import settings as settings_module
from syncer.apply import FRESH_S, Applying
from syncer.clock import SystemClock
from syncer.engine import doors_of
from syncer.errors import SyncerError, UsageError
from syncer.mapping import EntityMapping, Outbound
from syncer.outbound import Planning
from syncer.plan import Change
from syncer.plans import Header
from syncer.settings import Settings
from syncer.sources import Identity
from syncer.tally import Pushed
from syncer.target import Target
from syncer.transport import Doors
from syncer.warehouses import Warehouse

OnProgress = Callable[[str, str, int, int], None]  # mapping, what is done, how many, of how many


@attrs.frozen(kw_only=True)
class Request:
    """
    What was asked of a push.

    plan: the id of a stored plan that is applied as it stands; is_forced: though limits refuse it.
    first: apply about so many changes, and stop. is_strict: write nothing when anything is rejected or in conflict.
    """

    is_rehearsal: bool = False
    plan: str | None = None
    is_forced: bool = False
    first: int | None = None
    is_strict: bool = False
    wait_s: float = 0.0
    fresh_s: float = FRESH_S
    on_progress: OnProgress | None = None
    on_run: Callable[[Pushed], None] | None = None
    on_failure: Callable[[Pushed, SyncerError], None] | None = None

    def check(self) -> None:
        """Raise UsageError where it contradicts itself."""
        if self.is_forced and self.plan is None:
            raise UsageError(
                "--force goes with the id of a plan that was looked at: --plan ID --force.",
                hint="Make it with --dry-run, look at it, and force that one.",
            )
        if self.first is not None and self.first < 1:
            raise UsageError(f"--first is {self.first}; it is a number from 1 on.")


def push(
    names: str | Sequence[str],
    *,
    settings: Settings | None = None,
    request: Request | None = None,
    doors: Doors | None = None,
) -> list[Pushed]:
    """
    Push the mappings that *names* (patterns may be among them) name; return the outcome of each, failed ones too.

    Raises: UsageError before anything was tried; WarehouseError where no run could be written down.
    """
    settings = settings or settings_module.load()
    request = request or Request()
    request.check()
    chosen = mappings.choose(
        [names] if isinstance(names, str) else names, folders=settings.folders, objects=settings.objects()
    )
    chosen = [settings.applied_to(mapping) for mapping in chosen if mapping.outbound is not None]
    if not chosen:
        raise UsageError("None of these mappings goes out.", hint="`syncer list` says which do.")
    doors = doors or doors_of(settings, SystemClock())
    warehouse = warehouses.find(settings, clock=doors.clock)
    done: list[Pushed] = []
    with contextlib.ExitStack() as opened:
        opened.callback(warehouse.close)
        for name in dict.fromkeys(mapping.source for mapping in chosen):
            target = opened.enter_context(_connected(name, settings=settings, doors=doors))
            verb = _Verb(settings=settings, request=request, doors=doors, warehouse=warehouse, target=target)
            done += verb.push([mapping for mapping in chosen if mapping.source == name])
    return done


@contextlib.contextmanager
def _connected(name: str, *, settings: Settings, doors: Doors) -> Iterator[Target]:
    source = sources.connect(settings.account(name), doors=doors, streams=(), folders=settings.folders)
    try:
        if not hasattr(source, "send"):
            raise UsageError(f"{name} can only be read: no mapping of it goes out.")
        yield cast(Target, source)
    finally:
        source.close()


def lease_name(kind: str, environment: str) -> str:
    """Name the right to write one kind of records of an environment."""
    return f"write {kind}@{environment}"


@attrs.define(kw_only=True)
class _Verb:
    """One push of one source's mappings."""

    settings: Settings
    request: Request
    doors: Doors
    warehouse: Warehouse
    target: Target
    _identity: Identity = Identity(account="", user="", clock_skew_s=0.0)
    _told_requests: int = 0

    def push(self, chosen: Sequence[EntityMapping]) -> list[Pushed]:
        """Push each mapping; one that fails does not keep the others from running."""
        self._identity = self.target.check()
        return [self._one(mapping) for mapping in chosen]

    def _one(self, mapping: EntityMapping) -> Pushed:
        outbound = _out(mapping)
        run = None if self.request.is_rehearsal else journal.new_run()
        pushed = Pushed(run=run, plan="", checksum="", mapping=mapping.name, environment=self.settings.environment)
        try:
            with contextlib.ExitStack() as held:
                if run is not None:
                    name = lease_name(f"{mapping.source}.{outbound.kind}", self.settings.environment)
                    lease = self.warehouse.lease(name, run=run, wait_s=self.request.wait_s)
                    held.callback(lease.release)
                self._begin(mapping, pushed)
                pushed = self._leased(mapping, pushed)
        except SyncerError as error:
            pushed = attrs.evolve(pushed, status=journal.FAILED, error=str(error))
            self._write_down(pushed)
            if self.request.on_failure is not None:
                self.request.on_failure(pushed, error)
        if self.request.on_run is not None:
            self.request.on_run(pushed)
        return pushed

    def _begin(self, mapping: EntityMapping, pushed: Pushed) -> None:
        now = self.doors.clock.now()
        with self.warehouse.transaction() as t:
            shape.ensure_state(t)
            for table in (*plans.TABLES, *snapshots.TABLES, *conflicts.TABLES):
                shape.ensure(t, table)
            marks.admit(t, mapping.source, self.settings.environment, self._identity.account, now=now)
            if pushed.run is not None:
                runs.begin(t, pushed, verb="push", now=now)

    def _leased(self, mapping: EntityMapping, pushed: Pushed) -> Pushed:
        if pushed.run is not None:
            pushed = attrs.evolve(pushed, notes=tuple(self._settled(mapping, pushed.run)))
        header = self._planned(mapping)
        pushed = attrs.evolve(pushed, plan=header.plan, checksum=header.checksum)
        if pushed.run is None:
            return self._counted(header, attrs.evolve(pushed, trips=tuple(header.trips)))
        trips = self._trips(header)
        if trips:
            refused = self._counted(header, attrs.evolve(pushed, trips=tuple(trips)), is_planned=True)
            refused = attrs.evolve(refused, status=journal.REFUSED)
            self._write_down(refused)
            return refused
        return self._carried_out(mapping, header, pushed, pushed.run)

    def _trips(self, header: Header) -> list[str]:
        """Return why nothing of a plan may be sent; empty where it may."""
        trips = [] if self.request.is_forced else list(header.trips)
        if self.request.is_strict:
            with self.warehouse.transaction() as t:
                counts = tally.count(t, header, is_rehearsal=True)
            if counts.rejected or counts.conflicts:
                trips.append(f"--require-clean: {counts.rejected:,} rejected and {counts.conflicts:,} in conflict")
        return trips

    def _carried_out(self, mapping: EntityMapping, header: Header, pushed: Pushed, run: str) -> Pushed:
        with self.warehouse.transaction() as t:
            runs.note_plan(t, run, header.plan)
            plans.leave(t, header.plan, states=[plan.LEFT_OUT], as_state=plan.PLANNED)
        if self.request.first is not None:
            only = choosing.chosen(lambda: self._changes(header), self.request.first)
            with self.warehouse.transaction() as t:
                plans.leave(t, header.plan, states=sorted(plan.OPEN_STATES), as_state=plan.LEFT_OUT, but=only)
            pushed = attrs.evolve(pushed, is_partial=True)
        error: SyncerError | None = None
        try:
            self._applying(mapping, header, run).carry_out()
        except SyncerError as raised:
            error = raised
        self._keep_problems(mapping, header, run)
        done = self._counted(header, pushed)
        if error is not None:
            done = attrs.evolve(done, status=journal.FAILED, error=str(error))
        self._write_down(done)
        if error is not None and self.request.on_failure is not None:
            self.request.on_failure(done, error)
        return done

    def _settled(self, mapping: EntityMapping, run: str) -> Iterator[str]:
        """Settle what earlier runs left that were killed, under their own ids; say what was found."""
        outbound, environment = _out(mapping), self.settings.environment
        with self.warehouse.transaction() as t:
            left = plans.left_in_flight(t, kind=outbound.kind, environment=environment)
            left += runs.left_open(t, mapping=mapping.name, environment=environment, verb="push")
        for of_plan, of_run in dict.fromkeys(each for each in left if each[1] != run):
            with self.warehouse.transaction() as t:
                header = plans.header_of(t, of_plan)
                unknown = len(plans.in_flight(t, of_plan))
            self._applying(mapping, header, of_run).settle()
            self._keep_problems(mapping, header, of_run)
            broken = Pushed(
                run=of_run,
                plan=of_plan,
                checksum=header.checksum,
                mapping=header.mapping,
                environment=environment,
                status=journal.BROKEN,
                error="its process ended in the middle",
            )
            self._write_down(self._counted(header, broken))
            yield (
                f"run {of_run} had ended in the middle: {unknown:,} changes were in flight and are settled by reading "
                "them back; what was not begun is planned anew"
            )

    def _keep_problems(self, mapping: EntityMapping, header: Header, run: str) -> None:
        shape_ = self.target.shape(_out(mapping).kind)
        personal = frozenset(name for name, each in shape_.properties.items() if each.is_personal)
        with self.warehouse.transaction() as t:
            seen = conflicts.Seen(header=header, run=run, version=shape_.version, personal=personal)
            conflicts.keep(t, seen, now=self.doors.clock.now())

    def _changes(self, header: Header) -> Iterator[Change]:
        """Yield the changes of a plan, some thousand in memory at once."""
        after = 0
        while True:
            with self.warehouse.transaction() as t:
                found = plans.changes(t, header.plan, after=after)
            if not found:
                return
            yield from found
            after = found[-1].number

    def _planned(self, mapping: EntityMapping) -> Header:
        """Find the plan that was asked for, or make one and hold it against the limits."""
        if self.request.plan is not None:
            with self.warehouse.transaction() as t:
                header = plans.find(t, self.request.plan, environment=self.settings.environment)
                if header.mapping != mapping.name:
                    raise UsageError(f"Plan {header.plan} is of {header.mapping}, not of {mapping.name}.")
                if not plans.is_left(t, header.plan):
                    raise UsageError(f"Plan {header.plan} was applied already: nothing of it is left.")
            self._check_stored(mapping, header)
            return header
        planning = Planning(
            mapping=mapping,
            environment=self.settings.environment,
            account=self._identity.account,
            target=self.target,
            warehouse=self.warehouse,
            clock=self.doors.clock,
            on_progress=self._progress(mapping.name, "planned"),
        )
        header = planning.make()
        with self.warehouse.transaction() as t:
            counts = tally.count(t, header, is_rehearsal=True)
            size = tally.size(counts, plans.counts(t, header.plan), header)
            header = attrs.evolve(header, trips=limits.trips(size, _out(mapping).limits))
            plans.update(t, header)
        return header

    def _check_stored(self, mapping: EntityMapping, header: Header) -> None:
        """Refuse a plan that is not whole, or was made under other words or for another account."""
        found = plan.Checksum()
        found.add(change.digest(header.mapping, header.environment) for change in self._changes(header))
        if str(found) != header.checksum:
            raise UsageError(
                f"Plan {header.plan} is not what it was: its checksum is {found}, and was {header.checksum}.",
                hint="Somebody changed syncer.changes. Plan anew.",
            )
        if header.account != self._identity.account:
            raise UsageError(
                f"Plan {header.plan} was made for account {header.account}, and this is {self._identity.account}."
            )
        now = plans.words_of(_out(mapping))
        changed = sorted(name for name in now if header.settings.get(name) != now[name])
        if changed:
            raise UsageError(
                f"{', '.join(changed)} of {mapping.name} changed since plan {header.plan} was made.",
                hint="Plan anew: what that plan holds is not what these settings would write.",
            )

    def _applying(self, mapping: EntityMapping, header: Header, run: str) -> Applying:
        outbound = _out(mapping)
        return Applying(
            header=header,
            run=run,
            target=self.target,
            shape=self.target.shape(outbound.kind),
            match_on=outbound.match_on,
            warehouse=self.warehouse,
            clock=self.doors.clock,
            fresh_s=self.request.fresh_s,
            on_progress=self._progress(mapping.name, "written"),
        )

    def _counted(self, header: Header, pushed: Pushed, *, is_planned: bool = False) -> Pushed:
        is_rehearsal = pushed.run is None or is_planned
        with self.warehouse.transaction() as t:
            counts = tally.count(t, header, is_rehearsal=is_rehearsal)
            made, taken = tally.edges(plans.counts(t, header.plan), is_rehearsal=is_rehearsal)
        requests, self._told_requests = self.target.requests - self._told_requests, self.target.requests
        self.warehouse.rest(waiting=True)
        return attrs.evolve(pushed, counts=counts, associated=made, disassociated=taken, requests=requests)

    def _write_down(self, pushed: Pushed) -> None:
        if pushed.run is None:
            return
        with self.warehouse.transaction() as t:
            runs.end(t, pushed, now=self.doors.clock.now())
        self.warehouse.rest(waiting=True)

    def _progress(self, mapping: str, what: str) -> Callable[[int, int], None] | None:
        on_progress = self.request.on_progress
        return None if on_progress is None else lambda count, of: on_progress(mapping, what, count, of)


def _out(mapping: EntityMapping) -> Outbound:
    assert mapping.outbound is not None
    return mapping.outbound
