"""
A run of a plan, whatever made the plan: what an earlier run left in flight is settled, the plan is made or found, held
against the limits, and carried out, under the lease of its kind of records. A rehearsal makes the plan and needs no
lease.

Not here: how a plan is made (`outbound.py`, `reverting.py`) and carried out (`apply.py`), which mappings go out
(`pushing.py`), what is printed (`reports/`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import attrs

from syncer import (
    aging,
    choosing,
    conflicts,
    journal,
    limits,
    mappings,
    marks,
    plan,
    plan_journal,
    plans,
    runs,
    shape,
    snapshots,
    tally,
)
from syncer.apply import NEVER_S, Applying
from syncer.errors import AnswerError, SyncerError, UnknownName, UsageError
from syncer.findings import Report
from syncer.mapping import EntityMapping, Outbound
from syncer.plan import Change
from syncer.plans import Header
from syncer.settings import Settings
from syncer.sources import Identity
from syncer.tally import Pushed
from syncer.target import Target
from syncer.transport import Doors
from syncer.warehouses import Lease, Warehouse

RUN = "run"  # the verb of operations
SHOWN = 5  # changes that an error names
OnProgress = Callable[[str, str, int, int], None]  # mapping, what is done, how many, of how many


@attrs.frozen(kw_only=True)
class Told:
    """
    A run of a plan that ended, and where its plan can be read as long as the verb runs.

    personal: properties whose values are not shown; personal_ends: kinds at the other end of an edge whose key is none
    to show.
    """

    pushed: Pushed
    header: Header
    warehouse: Warehouse
    personal: frozenset[str]
    personal_ends: frozenset[str]


@attrs.frozen(kw_only=True)
class Request:
    """
    What was asked of a run of a plan.

    plan: the id of a stored plan that is applied as it stands (a rehearsal shows it); is_forced: though limits refuse
    it.
    first: apply about so many changes, read back what they wrote, and stop. is_strict: write nothing when anything is
    rejected or in conflict.
    again: keys whose create was reverted, and that are made again. fresh_s: in place of the site's own.
    on_plan: called with each run that has a plan as it ends; on_run with each that has none.
    """

    is_rehearsal: bool = False
    plan: str | None = None
    is_forced: bool = False
    first: int | None = None
    is_strict: bool = False
    again: tuple[str, ...] = ()
    wait_s: float = 0.0
    fresh_s: float | None = None
    on_progress: OnProgress | None = None
    on_run: Callable[[Pushed], None] | None = None
    on_plan: Callable[[Told], None] | None = None
    on_failure: Callable[[Pushed, SyncerError], None] | None = None
    on_report: Callable[[Report], None] | None = None  # an operation's
    on_report_failure: Callable[[Report, SyncerError], None] | None = None

    def check(self) -> None:
        """Raise UsageError where it contradicts itself."""
        if self.is_forced and self.plan is None:
            raise UsageError(
                "--force goes with the id of a plan that was looked at: --plan ID --force.",
                hint="Make it with --dry-run, look at it, and force that one.",
            )
        if self.again and self.plan is not None:
            raise UsageError(
                "--again KEY goes with a plan that is made anew, and --plan ID applies one as it stands.",
                hint="Leave one of them out; with --dry-run, --again shows what it would make.",
            )
        if self.first is not None and self.first < 1:
            raise UsageError(f"--first is {self.first}; it is a number from 1 on.")


@attrs.frozen(kw_only=True)
class Work:
    """
    What one run is about: whose plan it is, the words that it is held against, and how it is made.

    verb: `push`, `revert`. make: makes and stores the plan; takes what reports progress. has_shares: limits that are
    shares hold. values: settings of an operation, which its plan is bound to. ends: the kinds at the other end of its
    edges, or, of an operation, whose definitions it makes. keys: the property that finds a record, by kind.
    """

    mapping: str
    source: str
    verb: str
    outbound: Outbound
    make: Callable[[Executing, Callable[[int, int], None] | None], Header]
    has_shares: bool = True
    values: Mapping[str, Any] = attrs.field(factory=dict)
    ends: tuple[str, ...] = ()
    keys: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def words(self) -> dict[str, Any]:
        """The words that a plan of it is bound to, as they come back from JSON."""
        return plans.words_of(self.outbound, self.values)


def lease_name(kind: str, environment: str) -> str:
    """Name the right to write one kind of records of an environment."""
    return f"write {kind}@{environment}"


@attrs.define(kw_only=True)
class Executing:
    """Runs of plans on one account, one after the other."""

    settings: Settings
    request: Request
    doors: Doors
    warehouse: Warehouse
    target: Target
    _identity: Identity | None = None
    _told_requests: int = 0
    _has_begun: bool = False  # the run's row is there
    _made: str = ""  # the plan that this run made itself
    _lease: Lease = attrs.field(init=False)  # of what a run writes; a rehearsal has none

    def run(self, work: Work) -> Pushed:
        """Make and carry out the plan of a work; what goes wrong is the outcome of its run."""
        run = None if self.request.is_rehearsal else journal.new_run()
        self._has_begun = False
        environment = self.settings.environment
        pushed = Pushed(run=run, plan="", checksum="", mapping=work.mapping, environment=environment, verb=work.verb)
        if self.request.plan is not None:
            self._check_asked(work, self.request.plan)
        try:
            with contextlib.ExitStack() as held:
                if run is not None:
                    name = lease_name(f"{work.source}.{work.outbound.kind}", self.settings.environment)
                    self._lease = self.warehouse.lease(name, run=run, wait_s=self.request.wait_s)
                    held.callback(self._lease.release)
                self._begin(work, pushed)
                pushed = self._leased(work, pushed)
        except SyncerError as error:
            is_wrong = work.verb == RUN and isinstance(error, UsageError)
            pushed = attrs.evolve(pushed, status=journal.FAILED, error=str(error), is_wrong_usage=is_wrong)
            if self._has_begun:  # else there is no run to write it to: somebody else holds the lease
                self._write_down(pushed)
            if self.request.on_failure is not None:
                self.request.on_failure(pushed, error)
        if pushed.plan and self.request.on_plan is not None:
            self.request.on_plan(self._told(work, pushed))
        elif self.request.on_run is not None:
            self.request.on_run(pushed)
        return pushed

    @property
    def identity(self) -> Identity:
        """Whose account it is; asked once. Raises: what the source raises."""
        if self._identity is None:
            self._identity = self.target.check()
        return self._identity

    def _told(self, work: Work, pushed: Pushed) -> Told:
        with self.warehouse.transaction() as t:
            header = plans.header_of(t, pushed.plan)
        self.warehouse.rest(waiting=True)
        return Told(
            pushed=pushed,
            header=header,
            warehouse=self.warehouse,
            personal=self._personal(work.outbound.kind),
            personal_ends=self._personal_ends(work),
        )

    def _personal(self, kind: str) -> frozenset[str]:
        properties = self.target.shape(kind).properties
        return frozenset(name for name, each in properties.items() if each.is_personal)

    def _personal_ends(self, work: Work) -> frozenset[str]:
        return frozenset(end for end in work.ends if work.keys.get(end) in self._personal(end))

    def _begin(self, work: Work, pushed: Pushed) -> None:
        now = self.doors.clock.now()
        with self.warehouse.transaction() as t:
            shape.ensure_state(t)
            for table in (*plans.TABLES, *snapshots.TABLES, *conflicts.TABLES):
                shape.ensure(t, table)
            aging.sweep(t, now=now, mapping=work.mapping, environment=self.settings.environment)
            if pushed.run is not None:
                runs.begin(t, pushed, verb=work.verb, now=now)
        self._has_begun = pushed.run is not None  # a token that is refused is a run that failed
        self.warehouse.rest(waiting=True)
        account = self.identity.account
        marks.admit(self.warehouse.transaction, work.source, self.settings.environment, account, now=now)
        self.warehouse.rest(waiting=True)
        if pushed.run is not None:
            self.target.guard(work.outbound.kind, to=work.ends)

    def _leased(self, work: Work, pushed: Pushed) -> Pushed:
        if pushed.run is not None:
            pushed = attrs.evolve(pushed, notes=tuple(self._settled(work, pushed.run)))
        header = self._planned(work)
        pushed = attrs.evolve(pushed, plan=header.plan, checksum=header.checksum)
        if self.request.plan is not None and not header.changes:
            pushed = attrs.evolve(pushed, notes=(*pushed.notes, f"plan {header.plan} had no changes"))
        trips = self._trips(header)
        if pushed.run is None:
            return self._counted(header, attrs.evolve(pushed, trips=tuple(trips)))
        if trips:
            refused = self._counted(header, attrs.evolve(pushed, trips=tuple(trips)), is_planned=True)
            refused = attrs.evolve(refused, status=journal.REFUSED)
            self._write_down(refused)
            return refused
        return self._carried_out(work, header, pushed, pushed.run)

    def _trips(self, header: Header) -> list[str]:
        """Return why nothing of a plan may be sent; empty where it may."""
        trips = [] if self.request.is_forced else list(header.trips)
        if self.request.is_strict:
            with self.warehouse.transaction() as t:
                counts = tally.count(t, header, None)
            if counts.rejected or counts.conflicts:
                trips.append(f"--require-clean: {counts.rejected:,} rejected and {counts.conflicts:,} in conflict")
        return trips

    def _carried_out(self, work: Work, header: Header, pushed: Pushed, run: str) -> Pushed:
        with self.warehouse.transaction() as t:
            runs.note_plan(t, run, header.plan)
            plan_journal.leave(t, header.plan, states=[plan.LEFT_OUT], as_state=plan.PLANNED)
        only: set[int] = set()
        if self.request.first is not None:
            only = choosing.chosen(lambda: self._open(header), self.request.first)
            with self.warehouse.transaction() as t:
                plan_journal.leave(t, header.plan, states=sorted(plan.OPEN_STATES), as_state=plan.LEFT_OUT, but=only)
            pushed = attrs.evolve(pushed, is_partial=True)
        error: SyncerError | None = None
        try:
            applying = self._applying(work, header, run)
            applying.carry_out()
            if only:
                pushed = self._confirmed(applying, header, pushed, only)
        except SyncerError as raised:
            error = raised
        self._keep_problems(work, header, run)
        done = self._counted(header, pushed)
        with self.warehouse.transaction() as t:
            aging.age(t, keep_days=self.settings.keep_days, now=self.doors.clock.now())
        if error is not None:
            done = attrs.evolve(done, status=journal.FAILED, error=str(error))
        self._write_down(done)
        if error is not None and self.request.on_failure is not None:
            self.request.on_failure(done, error)
        return done

    def _confirmed(self, applying: Applying, header: Header, pushed: Pushed, only: Collection[int]) -> Pushed:
        """Read back what a first, small part of a plan wrote. Raises AnswerError where a record does not have it."""
        written = [each for each in self.changes(header) if each.number in only and each.state == plan.DONE]
        unlike = applying.unlike(written)
        if unlike:
            more = f", and {len(unlike) - SHOWN:,} more" if len(unlike) > SHOWN else ""
            raise AnswerError(
                f"{len(unlike):,} of the {len(written):,} changes that were written do not read back as they were "
                f"sent: {'; '.join(unlike[:SHOWN])}{more}.",
                hint=f"Look at these records. What is left of the plan waits: --plan {header.plan}.",
            )
        return attrs.evolve(pushed, notes=(*pushed.notes, f"{len(written):,} changes read back as they were written"))

    def _settled(self, work: Work, run: str) -> Iterator[str]:
        """Settle what earlier runs left that were killed, under their own ids; say what was found."""
        environment = self.settings.environment
        with self.warehouse.transaction() as t:
            left = plan_journal.left_in_flight(t, kind=work.outbound.kind, environment=environment)
            left += runs.left_open(t, mapping=work.mapping, environment=environment)
        for of_plan, of_run in dict.fromkeys(each for each in left if each[1] != run):
            with self.warehouse.transaction() as t:
                header = plans.header_of(t, of_plan)
                unknown = len(plan_journal.in_flight(t, of_plan))
                ended = runs.ended(t, of_run)
            self._applying(work, header, of_run).settle()
            self._keep_problems(work, header, of_run)
            status, error, requests = ended or (journal.BROKEN, "its process ended in the middle", None)
            known = Pushed(
                run=of_run,
                plan=of_plan,
                checksum=header.checksum,
                mapping=header.mapping,
                environment=environment,
                verb=header.verb,
                status=status,
                error=error,
            )
            known = self._counted(header, known)
            self._write_down(known if requests is None else attrs.evolve(known, requests=requests))
            found = f"{unknown:,} changes were in flight and are settled by reading them back"
            how = "ended in the middle" if ended is None else status
            yield (
                f"run {of_run} had {how}: {found if unknown else 'nothing was in flight'}; what was not begun is "
                "planned anew"
            )

    def _keep_problems(self, work: Work, header: Header, run: str) -> None:
        kind = work.outbound.kind
        ends = self._personal_ends(work)
        personal = self._personal(kind) | {edge.column for edge in work.outbound.edges if edge.to in ends}
        with self.warehouse.transaction() as t:
            seen = conflicts.Seen(header=header, run=run, version=self.target.shape(kind).version, personal=personal)
            conflicts.keep(t, seen, now=self.doors.clock.now())

    def _open(self, header: Header) -> Iterator[Change]:
        return (change for change in self.changes(header) if change.state in plan.OPEN_STATES)

    def changes(self, header: Header) -> Iterator[Change]:
        """Yield the changes of a plan, some thousand in memory at once."""
        after = 0
        while True:
            with self.warehouse.transaction() as t:
                found = plans.changes(t, header.plan, after=after)
            if not found:
                return
            yield from found
            after = found[-1].number

    def _planned(self, work: Work) -> Header:
        """Find the plan that was asked for, or make one and hold it against the limits."""
        if self.request.plan is not None:
            header = self._stored(work, self.request.plan, needs_rest=False)  # what was in flight may have been all
            self._check_stored(work, header)
            return self._judged(work, header)
        header = work.make(self, self._progress(work.mapping, "planned"))
        self._made = header.plan
        with self.warehouse.transaction() as t:
            if header.changes >= plans.SURVEYED:
                t.survey(plans.CHANGES, plans.PLAN_ROWS, *snapshots.TABLES)
        header = self._judged(work, header)
        with self.warehouse.transaction() as t:
            plans.update(t, header)
        return header

    def _judged(self, work: Work, header: Header) -> Header:
        """Hold what is left of a plan against the limits that hold now, whatever they were when it was made."""
        with self.warehouse.transaction() as t:
            counts = tally.count(t, header, None)
            size = tally.size(counts, plan_journal.counts(t, header.plan), header)
        trips = limits.trips(size, work.outbound.limits, has_shares=work.has_shares)
        return attrs.evolve(header, trips=[*limits.kept(header.trips, trips, work.outbound.limits), *trips])

    def _check_asked(self, work: Work, wanted: str) -> None:
        """Raise UsageError for a plan that is not there, or not to be applied: no run was begun for it."""
        with self.warehouse.transaction() as t:
            is_new = not t.columns(plans.PLANS)
        if is_new:
            raise UnknownName("plan", wanted, known=())
        self._check_stored(work, self._stored(work, wanted, needs_rest=not self.request.is_rehearsal))

    def _stored(self, work: Work, wanted: str, *, needs_rest: bool) -> Header:
        with self.warehouse.transaction() as t:
            header = plans.find(t, wanted, environment=self.settings.environment)
            if (header.mapping, header.verb) != (work.mapping, work.verb):
                raise UsageError(
                    f"Plan {header.plan} is a {header.verb} of {header.mapping}, not a {work.verb} of {work.mapping}."
                )
            if header.state == aging.AGED:
                raise UsageError(f"Plan {header.plan} is older than keep_days: its changes were deleted.")
            if needs_rest and not plan_journal.is_left(t, header.plan):
                if header.changes:
                    raise UsageError(f"Plan {header.plan} was applied already: nothing of it is left.")
                if runs.has_carried_out(t, header.plan):
                    raise UsageError(f"Plan {header.plan} had no changes, and a run has carried it out already.")
        self.warehouse.rest(waiting=True)
        return header

    def _check_stored(self, work: Work, header: Header) -> None:
        """Refuse a plan that is not whole, or was made under other words or for another account."""
        found = plan.Checksum()
        found.add(change.digest(header.mapping, header.environment) for change in self.changes(header))
        if str(found) != header.checksum:
            raise UsageError(
                f"Plan {header.plan} is not what it was: its checksum is {found}, and was {header.checksum}.",
                hint="Somebody changed syncer.changes. Plan anew.",
            )
        if header.account != self.identity.account:
            raise UsageError(
                f"Plan {header.plan} was made for account {header.account}, and this is {self.identity.account}."
            )
        now = work.words
        changed = sorted(name for name in now if header.settings.get(name) != now[name])
        if changed:
            raise UsageError(
                f"{', '.join(changed)} of {work.mapping} changed since plan {header.plan} was made.",
                hint="Plan anew: what that plan holds is not what these settings would write.",
            )

    def _applying(self, work: Work, header: Header, run: str) -> Applying:
        fresh_s = self.settings.fresh_s if self.request.fresh_s is None else self.request.fresh_s
        is_new = header.plan == self._made  # of another one we may have written ourselves what it did not see
        return Applying(
            header=header,
            run=run,
            target=self.target,
            shape=self.target.shape(work.outbound.kind),
            match_on=header.settings.get("match_on"),
            warehouse=self.warehouse,
            lease=self._lease,
            clock=self.doors.clock,
            fresh_s=fresh_s if is_new else NEVER_S,
            settle_s=self.settings.settle_s,
            follows=self._follows(work.source, work.outbound.kind),
            on_progress=self._progress(header.mapping, "written"),
        )

    def _follows(self, source: str, kind: str) -> list[EntityMapping]:
        """
        Return the mappings of a kind, in or out: what is merged is merged for all of them. One of the style `delta`
        has no way in here: its load table is somebody else's to empty.
        """
        settings = self.settings
        known = mappings.choose([f"{source}.*"], folders=settings.folders, objects=settings.objects())
        return [
            attrs.evolve(each, inbound=None) if settings.for_mapping(each.name).get("style") == "delta" else each
            for each in known
            if (each.inbound is not None and each.inbound.stream == kind)
            or (each.outbound is not None and each.outbound.kind == kind)
        ]

    def _counted(self, header: Header, pushed: Pushed, *, is_planned: bool = False) -> Pushed:
        run = None if is_planned else pushed.run
        with self.warehouse.transaction() as t:
            counts = tally.count(t, header, run)
            made, taken = tally.edges(t, header, run)
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
