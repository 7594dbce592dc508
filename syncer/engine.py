"""
The engine: settings become a source and a warehouse, and a verb runs on them, one mapping after the other.

A run is written down whatever happens: a token that expired last night stands in `syncer.runs` as a failed run of each
mapping, so that `syncer status` shows the sync that silently never ran.

Not here: what a pull does (`inbound.py`, `census.py`), what is printed (`cli.py`, `reports/`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import attrs
from loguru import logger

from syncer import (
    cache,
    census,
    drift,
    forgetting,
    journal,
    landing,
    landings,
    mappings,
    marks,
    notifying,
    operations,
    shape,
    sources,
    treating,
    warehouses,
)
from syncer import settings as settings_module
from syncer.budget import Budget
from syncer.clock import Clock, SystemClock
from syncer.demomark import is_of_demo
from syncer.errors import LeaseHeld, SyncerError, UsageError, WarehouseBusy, WarehouseError, WarehouseLost
from syncer.inbound import Inbound, OnProgress
from syncer.journal import Pulled
from syncer.landing import Fitted, Landing
from syncer.leases import Holder, held_by, told
from syncer.loading import Context, Loading
from syncer.mapping import EntityMapping
from syncer.mirror import Mirror
from syncer.offers import OFFERINGS, REOFFER, Delta, begin_anew, offer_all, offers_table, put_back
from syncer.privacy import Privacy
from syncer.rows import Typing, key_values
from syncer.settings import Settings
from syncer.sources import Source
from syncer.tables import LOAD, STATE
from syncer.transport import Doors
from syncer.warehouses import Warehouse

INCREMENTAL, FULL, CENSUS = journal.INCREMENTAL, journal.FULL, journal.CENSUS
DEMO = "demo"  # the mode of each pull of a demo, and of no other
FAILED_TRIES = 3  # to write down a failure over a connection that is lost again
TOLD_S = 10.0  # how often it is looked anew who holds what is waited for
OnRun = Callable[[Pulled], None]  # called with each run as it ends
OnFailure = Callable[[Pulled, SyncerError], None]  # called with each run that failed, and why


@attrs.frozen(kw_only=True)
class Request:
    """What was asked of a pull. `wait_s`: how long to wait for a mapping that another process runs."""

    mode: str = INCREMENTAL
    is_forced: bool = False
    wait_s: float = 0.0
    landing: Landing | None = None  # where the one mapping that is pulled goes: a load table that a host made
    on_progress: OnProgress | None = None
    on_run: OnRun | None = None
    on_failure: OnFailure | None = None
    on_wait: Callable[[str], None] | None = None  # called with what is waited for; empty: the next page


def doors_of(settings: Settings, clock: Clock) -> Doors:
    """Make the doors to the outside: the system's clock and the machine's shared budget."""
    return Doors(clock=clock, budget=Budget(cache.folder(dict(settings.variables)), clock=clock))


def pull(
    names: str | Sequence[str],
    *,
    settings: Settings | None = None,
    request: Request | None = None,
    doors: Doors | None = None,
) -> list[Pulled]:
    """
    Pull the mappings that *names* (patterns may be among them) name; return the outcome of each, failed ones too.

    Raises: UsageError before anything was tried; WarehouseError where the warehouse cannot be had at all. One that is
    lost on the way fails the mapping that was under way and those after it.
    """
    settings = settings or settings_module.load()
    request = request or Request()
    settings.check_names(
        sources=sources.names(folders=settings.folders),
        mappings=mappings.known(
            folders=settings.folders,
            objects=settings.objects(is_every=True),
            environments=settings.environments(),
        ),
        operations=operations.named_in(settings),
    )
    chosen = mappings.choose(
        [names] if isinstance(names, str) else names, folders=settings.folders, objects=settings.objects()
    )
    doors = doors or doors_of(settings, SystemClock())
    asked = [mapping.name for mapping in chosen]
    with notifying.Watch("pull", asked=asked, settings=settings, doors=doors, is_silent=request.mode == DEMO) as watch:
        on_run, on_failure = watch.pulling(request.on_run), watch.failing(request.on_failure)
        request = attrs.evolve(request, on_run=on_run, on_failure=on_failure)
        return _pulled(chosen, settings=settings, request=request, doors=doors)


def _pulled(chosen: Sequence[EntityMapping], *, settings: Settings, request: Request, doors: Doors) -> list[Pulled]:
    """Pull mappings, source by source."""
    warehouse = warehouses.find(settings, clock=doors.clock)
    by_source: dict[str, list[EntityMapping]] = {}
    for mapping in chosen:
        by_source.setdefault(mapping.source, []).append(settings.applied_to(mapping))
    done: list[Pulled] = []
    is_gone = is_looked_at = False
    with contextlib.ExitStack() as opened:
        opened.callback(warehouse.close)
        connected = [
            opened.enter_context(_connected(name, of_source, settings=settings, doors=doors))
            for name, of_source in by_source.items()
        ]
        for source, of_source in zip(connected, by_source.values(), strict=True):
            verb = _Verb(settings=settings, request=request, doors=doors, warehouse=warehouse, source=source)
            verb.is_looked_at = is_looked_at
            done += verb.untried(of_source) if is_gone else verb.pull(of_source, is_first=not done)
            is_gone, is_looked_at = is_gone or verb.is_gone, verb.is_looked_at
    return done


def _refuse_demo(t: warehouses.Transaction, warehouse: Warehouse) -> None:
    """Raise UsageError where a demo filled the warehouse: its places would be taken for those of a true account."""
    if is_of_demo(t):
        is_file = warehouse.dialect == "duckdb"
        clear = "delete that file" if is_file else f"drop the tables of its schemas {LOAD} and {STATE}"
        raise UsageError(
            f"{warehouse.name} holds the made-up records of a demo: nothing else is pulled into it.",
            hint=f"Name another one in SYNCER_WAREHOUSE; or {clear}, where nothing else is in it.",
        )


@contextlib.contextmanager
def _connected(name: str, chosen: Sequence[EntityMapping], *, settings: Settings, doors: Doors) -> Iterator[Source]:
    streams = [mapping.inbound.stream for mapping in chosen if mapping.inbound is not None]
    source = sources.connect(settings.account(name), doors=doors, streams=streams, folders=settings.folders)
    try:
        yield source
    finally:
        source.close()


class _Unwritten(WarehouseError):
    """Inside this module: a run failed, and that could not be written down."""

    def __init__(self, message: str, *, hint: str, pulled: Pulled) -> None:
        super().__init__(message, hint=hint)
        self.pulled = pulled


@attrs.define(kw_only=True)
class _Verb:
    """One pull of one source's mappings."""

    settings: Settings
    request: Request
    doors: Doors
    warehouse: Warehouse
    source: Source
    _identity: sources.Identity = sources.Identity(account="", user="", clock_skew_s=0.0)
    is_gone: bool = False  # the warehouse was there, and is not any more
    is_looked_at: bool = False  # that no demo filled the warehouse was seen
    _fitted: Fitted | None = None  # where the mapping lands in a host's table
    _told_requests: int = 0  # those that a run has counted; what the source asked at the start is the first run's

    def pull(self, chosen: Sequence[EntityMapping], *, is_first: bool = True) -> list[Pulled]:
        """
        Pull each mapping; one that fails does not keep the others from running, but where the warehouse has gone.

        is_first: no mapping was pulled before these: what the warehouse refuses then is told of itself, and of no run.
        """
        try:
            self._identity = self.source.check()
        except SyncerError as error:
            return [self._record_failure(mapping, error) for mapping in chosen]
        done: list[Pulled] = []
        for at, mapping in enumerate(chosen):
            try:
                done.append(self._one(mapping))
            except WarehouseError as error:
                is_lost = isinstance(error, WarehouseLost) or isinstance(error.__cause__, WarehouseLost)
                if is_first and not done and not (isinstance(error, _Unwritten) and is_lost):  # not there, or not ours
                    if isinstance(error, _Unwritten):
                        raise WarehouseError(error.message, hint=error.hint) from error.__cause__
                    raise
                pulled = error.pulled if isinstance(error, _Unwritten) else self._new(mapping)
                failed = attrs.evolve(pulled, status=journal.FAILED, error=str(error))
                done.append(self._told(self._explained(failed, error)))
                self.is_gone = is_lost or not self._answers()
                if self.is_gone:
                    return done + self.untried(chosen[at + 1 :])
        return done

    def _answers(self) -> bool:
        """Tell whether the warehouse is still there: what it refused may be a matter of one mapping."""
        try:
            self.warehouse.exists()
        except WarehouseError:
            return False
        return True

    def untried(self, chosen: Sequence[EntityMapping]) -> list[Pulled]:
        """Tell of each mapping that it was not tried, since the warehouse has gone."""
        error = WarehouseError("not tried: the warehouse is gone.", hint="Run it again when it is back.")
        failed = [attrs.evolve(self._new(each), status=journal.FAILED, error=str(error)) for each in chosen]
        return [self._told(self._explained(each, error)) for each in failed]

    def _new(self, mapping: EntityMapping) -> Pulled:
        return Pulled(
            run=journal.new_run(), mapping=mapping.name, environment=self.settings.environment, mode=self.request.mode
        )

    def _one(self, mapping: EntityMapping) -> Pulled:
        pulled = self._new(mapping)
        lease_name = f"{mapping.name}@{self.settings.environment}"
        log = logger.bind(run=pulled.run, mapping=mapping.name)
        self._waits(f"{self.warehouse.name}, and for its lease")
        try:
            lease = self._lease(lease_name, pulled.run)
        except (LeaseHeld, WarehouseLost, WarehouseBusy) as error:
            refused = attrs.evolve(pulled, status=journal.FAILED, error=str(error))
            return self._told(self._explained(refused, error))
        self._waits("the first page")
        try:
            done = self._leased(mapping, pulled)
        finally:
            self._told_requests = self.source.requests
            lease.release()
        log.debug("{}", attrs.evolve(done, notes=()))
        return self._told(done)

    def _lease(self, name: str, run: str) -> warehouses.Lease:
        """Take a lease; while another process has it, say who: in a long wait that may become another one."""
        left, wait_s = self.request.wait_s, 0.0
        holder: Holder | None = None
        while True:
            try:
                return self.warehouse.lease(name, run=run, wait_s=wait_s)
            except LeaseHeld:
                left -= wait_s
                if not self.request.wait_s:
                    raise
                with contextlib.suppress(WarehouseLost):
                    holder = self.warehouse.leases().get(name, holder)
                if left <= 0:
                    raise held_by(holder, name, self.request.wait_s) from None
                self._waits(f"the lease of {name}, held by {told(holder)}")
            except WarehouseLost:  # who waits goes on over a lost connection
                left -= wait_s
                if left <= 0:
                    raise
            wait_s = min(left, TOLD_S)

    def _waits(self, what: str) -> None:
        if self.request.on_wait is not None:
            self.request.on_wait(what)

    def _leased(self, mapping: EntityMapping, pulled: Pulled) -> Pulled:
        before = self._told_requests
        inbound: Inbound | None = None
        try:
            mapping = self._discovered(mapping)
            if self.request.landing is not None:
                self._fitted = self.request.landing.fitted(mapping)
                mapping = self._fitted.mapping
            privacy = self._privacy(mapping.with_names_of(self.warehouse.longest_name))
            inbound, places, again = self._begin(privacy, pulled, before)
            if again:
                self._read_again(inbound, mapping, again)
            done = self._read(inbound, mapping, places)
            if self._erases_gone(mapping):
                forgetting.erase_gone(
                    self.warehouse,
                    privacy,
                    environment=pulled.environment,
                    clock=self.doors.clock,
                    settings=self.settings,
                )
            return done
        except SyncerError as error:
            latest = inbound.pulled if inbound is not None else pulled
            return self._failed(attrs.evolve(latest, requests=self.source.requests - before), error)
        except BaseException as error:
            latest = inbound.pulled if inbound is not None else pulled
            with contextlib.suppress(SyncerError):
                self._failed(
                    attrs.evolve(latest, requests=self.source.requests - before),
                    SyncerError(f"ended by {type(error).__name__}"),
                )
            raise

    def _discovered(self, mapping: EntityMapping) -> EntityMapping:
        if mapping.inbound is None or not mapping.inbound.discovers:
            return mapping
        mapping = mapping.with_fields(self.source.describe(mapping.inbound.stream))
        return treating.treated(mapping, settings=self.settings, warehouse=self.warehouse)

    def _privacy(self, mapping: EntityMapping) -> Privacy:
        """Compile what becomes of personal fields; the source is asked for names where something is masked."""
        if self._erases_gone(mapping):
            self.settings.hash_key()  # before anything is read
        privacy = self.settings.privacy_of(mapping)
        people = getattr(self.source, "people", None)
        return self.settings.privacy_of(mapping, people=people()) if people and privacy.masks else privacy

    def _erases_gone(self, mapping: EntityMapping) -> bool:
        """Tell whether this run forgets the people whom its census does not find any more."""
        return self.request.mode == CENSUS and bool(self.settings.for_mapping(mapping.name).get("erase_gone"))

    def _begin(
        self, privacy: Privacy, pulled: Pulled, requests_before: int
    ) -> tuple[Inbound, dict[str, sources.Place], list[str]]:
        """Write down that the run begins, shape its table, and find where it goes on."""
        self._waits(self.warehouse.name)
        now = self.doors.clock.now()
        mapping = privacy.mapping  # its columns as the warehouse can have them
        owner = marks.Owner(mapping=mapping.name, environment=self.settings.environment, run=pulled.run)
        marks.admit(self._with_state, mapping.source, owner.environment, self._identity.account, now=now)
        with self.warehouse.transaction() as t:
            if self._fitted is None:
                landings.refuse_ours(t, owner)
            wanted = shape.load_table(mapping, self.settings.environment)
            shaped = shape.ensure(t, offers_table(wanted) if self._fitted else wanted)
            shaped = shape.make_room(t, shaped, journal.room_asked(t, pulled=pulled))
            is_delta = bool(self._fitted) or self.settings.for_mapping(mapping.name).get("style") == "delta"
            notes = drift.tell(t, mapping, shaped, pulled=pulled, now=now, is_delta=is_delta)
            if self._fitted is None:  # else those are of the table of offers, which nobody reads
                pulled = attrs.evolve(pulled, notes=notes)
            journal.begin(t, pulled, verb="pull", now=now)
            if marks.has_lost_its_base(t, owner, is_delta=is_delta, is_new=shaped.is_new):
                begin_anew(t, owner, wanted, is_delta=is_delta)
            places = marks.places(t, owner)
            has_rejects = journal.has_rejects(t, pulled)
            privacy = forgetting.recalled(t, privacy, environment=owner.environment)
            table = landing.table_of(wanted, shaped.table) if self._fitted else shaped.table
            typing = Typing(mapping, types=table.types(), privacy=privacy, takes_nul=self.warehouse.takes_nul)
            again = journal.rejected_keys(t, typing.types, pulled=pulled)
            marks.end_walks(t, "run:", owner=owner)
            is_landed, is_full = self._fitted is not None, self.request.mode == FULL
            context = Context(
                mapping=mapping, table=table, owner=owner, started=now, is_landed=is_landed, is_full=is_full
            )
            base = self._base(context, t, now, shaped) if is_delta else Mirror(context, t)
            if self._fitted is not None:
                again = list(dict.fromkeys([*again, *self._fitted.landing.outgrown(t, context)]))
        self._waits("the first page")
        for note in pulled.notes:
            logger.bind(run=pulled.run, mapping=mapping.name).info("{}: {}", mapping.name, note)
        inbound = Inbound(
            context=context,
            typing=typing,
            loading=Loading(context, base),
            warehouse=self.warehouse,
            clock=self.doors.clock,
            pulled=pulled,
            sent=lambda: self.source.requests - requests_before,
            on_progress=self.request.on_progress,
            on_wait=self.request.on_wait,
            on_end=self._fitted.on_end(context, pulled=pulled, reoffer=self._reoffer(mapping))
            if self._fitted
            else None,
            has_rejects=has_rejects,
        )
        return inbound, places, again

    @contextlib.contextmanager
    def _with_state(self) -> Iterator[warehouses.Transaction]:
        """
        Open a transaction in which the tables of state are there.

        Raises: UsageError: a demo filled this warehouse. The first of a verb asks; nothing is written there, no failed
        run either, or the demo could not be made anew.
        """
        with self.warehouse.transaction() as t:
            if not self.is_looked_at and self.request.mode != DEMO:
                _refuse_demo(t, self.warehouse)
            shape.ensure_state(t)
            yield t
        self.is_looked_at = True

    def _base(self, context: Context, t: warehouses.Transaction, now: dt.datetime, shaped: shape.Shaped) -> Delta:
        """Compare with what was seen; the open offers are put back first, into a host's table when the run ends."""
        shape.ensure(t, offers_table(context.table))
        shape.ensure(t, OFFERINGS)
        offer_all(t, context)
        reoffer = self._reoffer(context.mapping)
        if self._fitted is not None:
            shape.ensure(t, landings.LANDINGS)
            landings.begin(t, context, self._fitted.landing, reoffer=reoffer, now=now)
        else:
            put_back(t, context, reoffer=reoffer, now=now, is_mended=bool(shaped.added or shaped.restored))
        return Delta(context, t)

    def _reoffer(self, mapping: EntityMapping) -> dt.timedelta:
        """Return for how long an offer that nobody confirms is put back."""
        found = self.settings.for_mapping(mapping.name)
        return dt.timedelta(days=found["reoffer_days"]) if "reoffer_days" in found else REOFFER

    def _read_again(self, inbound: Inbound, mapping: EntityMapping, keys: Sequence[str]) -> None:
        """Read the records again whose value did not fit a column that has been widened."""
        assert mapping.inbound is not None
        usable = [key_values(key, inbound.typing.key_types) for key in keys if not key.startswith("~")]
        failed: list[sources.Page] = []

        def watched(pages: Iterator[sources.Page]) -> Iterator[sources.Page]:
            for page in pages:
                failed.extend([page] if page.error is not None else [])
                yield page

        inbound.load(watched(self.source.fetch(mapping.inbound.stream, usable)), ends_run=False)
        if not failed:  # else the next run asks again
            with self.warehouse.transaction() as t:
                journal.note_read_again(t, inbound.typing.types, pulled=inbound.pulled)
                if self._fitted is not None:
                    self._fitted.landing.forget_outgrown(t, inbound.context)

    def _read(self, inbound: Inbound, mapping: EntityMapping, places: dict[str, sources.Place]) -> Pulled:
        assert mapping.inbound is not None
        stream = mapping.inbound.stream
        if self.request.mode == CENSUS:
            return census.take(
                inbound,
                self.source,
                stream,
                places=places,
                is_forced=self.request.is_forced,
                clock_skew_s=self._identity.clock_skew_s,
            )
        known = {} if self.request.mode == FULL else places
        pages = self.source.read(stream, places=known, lookback=mapping.inbound.lookback, fields=mapping.fields)
        return inbound.load(pages)

    def _failed(self, pulled: Pulled, error: SyncerError) -> Pulled:
        """Write down that a run failed; the places that were committed stay."""
        failed = attrs.evolve(pulled, status=journal.FAILED, error=str(error))
        if isinstance(error, landings.OfHost):
            return self._explained(failed, error)
        self._waits(f"{self.warehouse.name}, to write down that it failed")
        for tries_left in reversed(range(FAILED_TRIES)):
            try:
                self._write_down(failed, is_ended=pulled.status == journal.DONE)
                break
            except WarehouseError as second:  # a server that was lost a moment ago may be so again
                if not tries_left or not isinstance(second, WarehouseLost):
                    again = " --full does it anew: a plain pull would go on." if pulled.mode == FULL else ""
                    raise _Unwritten(
                        f"{error.message} The run could not be written down: {second.message}",
                        hint=f"{second.hint}{again}".strip(),
                        pulled=pulled,
                    ) from error
        self.warehouse.rest(waiting=True)
        return self._explained(failed, error)

    def _write_down(self, failed: Pulled, *, is_ended: bool) -> None:
        now = self.doors.clock.now()
        with self._with_state() as t:
            if not journal.fail(t, failed, is_ended=is_ended, now=now):
                journal.insert(t, failed, verb="pull", now=now)

    def _record_failure(self, mapping: EntityMapping, error: SyncerError) -> Pulled:
        """Write down a run that could not even begin: the source does not know us."""
        pulled = self._new(mapping)
        failed = attrs.evolve(pulled, status=journal.FAILED, error=str(error))
        now = self.doors.clock.now()
        owner = marks.Owner(mapping=mapping.name, environment=failed.environment, run=failed.run)
        with self._with_state() as t:
            if self.request.landing is not None or not landings.host_table(t, owner):
                journal.insert(t, failed, verb="pull", now=now)
        self.warehouse.rest(waiting=True)
        return self._told(self._explained(failed, error))

    def _explained(self, pulled: Pulled, error: SyncerError) -> Pulled:
        if self.request.on_failure is not None:
            self.request.on_failure(pulled, error)
        return pulled

    def _told(self, pulled: Pulled) -> Pulled:
        if self.request.on_run is not None:
            self.request.on_run(pulled)
        return pulled
