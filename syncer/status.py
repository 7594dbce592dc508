"""
How things stand: the last runs of each mapping and operation, places, rejects, conflicts, findings, who holds which
lease, and what is used of the request budget.

Everything that stands in the warehouse is read in one short transaction, so that it fits together and a pull that is
under way hardly notices. Nothing is written, and no warehouse is made where there is none.
Not here: how it is shown (`reports/`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
import orjson

from syncer import budget, cache, journal, mappings, marks, operations, outstanding, overdue, sql, warehouses
from syncer.clock import Clock, SystemClock
from syncer.errors import SyncerError, UnknownName, UsageError
from syncer.findings import LEASE
from syncer.journal import BROKEN, DONE, PUSHED, RUNNING
from syncer.outstanding import Conflict, ConflictCount, Reject, RejectCount
from syncer.overdue import PULL, PUSH, RUN, Stale
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.tables import Table
from syncer.warehouses import Holder, Transaction, Warehouse

Entry = TypeVar("Entry")

FIRST_REJECTS = 20  # how many of a mapping are shown
WRITE = "write "  # what the lease of a kind that is written begins with
_COUNTS = ("read", "inserted", "updated", "unchanged", "gone", "rejected", "requests", "keys", "braked")
EMAIL = "email"  # a key that is personal wherever it is one
HIDDEN = "(personal)"
RUN_ID = re.compile(r"[0-9a-f]{4,12}")


@attrs.frozen(kw_only=True)
class Run:
    """A row of `syncer.runs`; one that says running although nobody holds its lease is `broken`."""

    run: str
    mapping: str
    environment: str
    verb: str
    mode: str
    status: str
    started_at: dt.datetime
    updated_at: dt.datetime
    finished_at: dt.datetime | None
    pid: int
    host: str
    read: int
    inserted: int
    updated: int
    unchanged: int
    gone: int
    rejected: int
    requests: int
    mark: str | None
    error: str | None
    keys: int  # that a census walked
    braked: int  # rows that would have ended and did not
    plan: str | None = None  # that it carried out
    counts: Mapping[str, Any] | None = None  # of a push: its rows by what they came to, as `tally.Counts` has them
    last_done: dt.datetime | None = None  # when a run of this mapping and verb last ended as done


@attrs.frozen(kw_only=True)
class Places:
    """How far the scopes of a mapping were read."""

    mapping: str
    environment: str
    scopes: int
    oldest: str | None
    newest: str | None
    moved_at: dt.datetime


@attrs.frozen(kw_only=True)
class Finding:
    """Something that a person should look at."""

    mapping: str
    environment: str
    kind: str
    key: str
    detail: str
    run: str
    first_seen: dt.datetime
    last_seen: dt.datetime
    times: int


@attrs.frozen(kw_only=True)
class Held:
    """A lease that a process holds now; `mapping` and `environment` are what it may run, `kind` what it may write."""

    mapping: str
    environment: str
    pid: int
    host: str
    since: str
    run: str
    kind: str = ""


@attrs.frozen(kw_only=True)
class Question:
    """
    What is asked. `names` are mappings and operations (patterns may be among them) or the beginning of a run's id;
    none: everything.

    max_age: what was ever pulled, pushed or run, or is named, and has not finished a run for so long is stale.
    environment: None: all of them.
    with_rejects: the first rejects and open conflicts of each mapping too. last: so many runs of each verb.
    """

    names: tuple[str, ...] = ()
    max_age: dt.timedelta | None = None
    environment: str | None = None
    with_rejects: bool = False
    last: int = 1


@attrs.frozen(kw_only=True)
class Standing:
    """The answer. `has_warehouse` is False where nothing was ever pulled."""

    now: dt.datetime
    warehouse: str
    has_warehouse: bool = False
    runs: tuple[Run, ...] = ()
    places: tuple[Places, ...] = ()
    reject_counts: tuple[RejectCount, ...] = ()
    rejects: tuple[Reject, ...] = ()
    conflict_counts: tuple[ConflictCount, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    findings: tuple[Finding, ...] = ()
    leases: tuple[Held, ...] = ()
    budget: tuple[budget.Usage, ...] = ()
    budget_error: str = ""  # why nothing is known of it
    stale: tuple[Stale, ...] = ()


def read(settings: Settings, question: Question | None = None, *, clock: Clock | None = None) -> Standing:
    """
    Tell how things stand.

    Raises: UnknownName: a name that is no mapping, and no run; WarehouseError.
    """
    clock = clock or SystemClock()
    question = question or Question()
    warehouse = warehouses.find(settings, clock=clock)
    known, budget_error = [], ""
    try:
        known = budget.Budget(cache.folder(dict(settings.variables)), clock=clock).usage()
    except SyncerError as error:  # a folder that is damaged hides nothing of the warehouse
        budget_error = str(error)
    used = tuple(use for use in known if use.used or use.paused_s)
    bare = Standing(now=clock.now(), warehouse=warehouse.name, budget=used, budget_error=budget_error)
    with contextlib.closing(warehouse):
        reading = _Reading(settings, question, warehouse)
        found = reading.narrowed(reading.take(bare) if warehouse.exists() else bare)
    return attrs.evolve(found, stale=reading.stale(found))


@attrs.define
class _Reading:
    """One reading of a warehouse."""

    settings: Settings
    question: Question
    warehouse: Warehouse

    @property
    def ids(self) -> list[str]:
        """The names that are beginnings of a run's id."""
        return [name for name in self.question.names if RUN_ID.fullmatch(name)]

    def take(self, bare: Standing) -> Standing:
        """Read the warehouse and its leases."""
        hidden = self._with_personal_keys()
        with self.warehouse.transaction() as t:
            runs = self._runs(t)
            found = attrs.evolve(
                bare,
                has_warehouse=True,
                runs=runs,
                places=_entries(t, marks.MARKS, Places, _PLACES),
                reject_counts=outstanding.reject_counts(t),
                rejects=self._rejects(t, hidden),
                conflict_counts=outstanding.conflict_counts(t),
                conflicts=self._conflicts(t, runs, hidden),
                findings=_entries(t, journal.FINDINGS, Finding, _FINDINGS),
            )
            fulls = marks.unfinished_fulls(t) if t.columns(journal.RUNS) and t.columns(marks.MARKS) else []
            writing = _writing(t)
        self.warehouse.rest(waiting=True)
        held = tuple(_held(name, holder, writing) for name, holder in sorted(self.warehouse.leases().items()))
        findings = self._with_fulls(found.findings, fulls, held)
        return attrs.evolve(found, leases=held, runs=self._told_broken(found.runs, held), findings=findings)

    def _with_fulls(
        self, findings: Sequence[Finding], fulls: Sequence[marks.UnfinishedFull], held: Sequence[Held]
    ) -> tuple[Finding, ...]:
        """
        Tell of each --full that did not end what the next plain pull makes of it. Once one was done, what is left
        stands in `syncer.findings`.
        """
        holding = {(lease.mapping, lease.environment) for lease in held if not lease.kind}
        known = mappings.known(folders=self.settings.folders, objects=self.settings.objects())
        told: dict[tuple[str, str], Finding] = {}
        for full in fulls:
            name = (full.mapping, full.environment)
            if full.status == RUNNING and name in holding:
                continue
            inbound = known[full.mapping].inbound if full.mapping in known else None
            told[name] = Finding(
                mapping=full.mapping,
                environment=full.environment,
                kind=marks.FULL_UNFINISHED,
                key="",
                detail=full.told(version=inbound.version if inbound else None, is_past=False),
                run=full.run,
                first_seen=full.started_at,
                last_seen=full.updated_at,
                times=full.times,
            )
        others = [
            each
            for each in findings
            if each.kind != marks.FULL_UNFINISHED or (each.mapping, each.environment) not in told
        ]
        return tuple(sorted([*others, *told.values()], key=lambda each: (each.mapping, each.environment)))

    def stale(self, found: Standing) -> tuple[Stale, ...]:
        """Find what has no finished run since `max_age`; what is named counts even if it never ran."""
        if self.question.max_age is None:
            return ()
        asked = overdue.Asked(
            names={name: verb for name, verb in self._verbs().items() if name in self.question.names},
            environment=self.question.environment or DEFAULT_ENVIRONMENT,
            max_age=self.question.max_age,
        )
        return overdue.of(found.runs, asked, settings=self.settings, now=found.now)

    def _verbs(self) -> dict[str, str]:
        """
        Return what can be named, each with the verb that runs it: mappings, and operations where a name is none of the
        mappings, since these are loaded to be known.
        """
        known = mappings.known(folders=self.settings.folders, objects=self.settings.objects())
        verbs = {name: PULL if each.inbound is not None else PUSH for name, each in known.items()}
        names = [name for name in self.question.names if name not in self.ids]
        if any(not fnmatch.filter(verbs, name) for name in names):
            verbs |= dict.fromkeys(operations.known(folders=self.settings.folders), RUN)
        return verbs

    def _runs(self, t: Transaction) -> tuple[Run, ...]:
        """The last run, or runs, of each mapping, environment and verb, or the runs that are asked for by id."""
        last = _run_entries(t, _LAST_RUNS.replace("<= 1", f"<= {self.question.last:d}"))
        if self.question.last > 1:
            return last
        if not self.ids:
            return tuple(run for run in last if run.verb in overdue.VERBS or not _is_followed(run, last))
        done = {(run.mapping, run.environment, run.verb): run.last_done for run in last}
        chosen = []
        for beginning in self.ids:
            found = _run_entries(t, _RUNS_BY_ID, beginning)
            if len(found) != 1:
                raise _no_run(beginning, [run.run for run in found])
            last_done = done.get((found[0].mapping, found[0].environment, found[0].verb))
            chosen.append(attrs.evolve(found[0], last_done=last_done))
        return tuple(chosen)

    def _rejects(self, t: Transaction, hidden: set[str]) -> tuple[Reject, ...]:
        if not self.question.with_rejects and not self.ids:
            return ()
        return tuple(
            attrs.evolve(each, key=HIDDEN) if each.mapping in hidden and each.scope == PUSHED and each.key else each
            for each in outstanding.first_rejects(t, FIRST_REJECTS)
        )

    def _conflicts(self, t: Transaction, runs: Sequence[Run], hidden: set[str]) -> tuple[Conflict, ...]:
        if self.ids:
            found = outstanding.conflicts_of(t, [run.run for run in runs], FIRST_REJECTS)
        else:
            found = outstanding.first_conflicts(t, FIRST_REJECTS) if self.question.with_rejects else ()
        return tuple(attrs.evolve(each, key=HIDDEN) if each.mapping in hidden else each for each in found)

    def _with_personal_keys(self) -> set[str]:
        """Return the mappings whose rows go out under a key that is personal."""
        found = set()
        for mapping in mappings.known(folders=self.settings.folders, objects=self.settings.objects()).values():
            own = self.settings.for_mapping(mapping.name)
            match_on = own.get("match_on") or (mapping.outbound.match_on if mapping.outbound is not None else None)
            rules = own.get("personal", {})
            named = {field.column for field in mapping.fields if field.personal} | set(
                () if isinstance(rules, str) else rules
            )
            if match_on == EMAIL or match_on in named:
                found.add(mapping.name)
        return found

    def _told_broken(self, runs: Sequence[Run], held: Sequence[Held]) -> tuple[Run, ...]:
        """
        Call a run broken that says it is running while nobody holds its lease.

        A run may have ended between the reading of its row and of the leases. It writes its end before it lets go, so
        its row, read again after the lease was seen free, tells.
        """
        pulling = {(lease.mapping, lease.environment) for lease in held if not lease.kind}
        holding = {lease.run for lease in held}  # a kind's lease may be another mapping's
        doubtful = [
            run
            for run in runs
            if run.status == RUNNING
            and run.run not in holding
            and (run.verb != PULL or (run.mapping, run.environment) not in pulling)
        ]
        if not doubtful:
            return tuple(runs)
        with self.warehouse.transaction() as t:
            again = {run.run: _run_entries(t, _RUNS_BY_ID, run.run) for run in doubtful}
        self.warehouse.rest(waiting=True)
        settled = {run.run: told(run, again[run.run]) for run in doubtful}
        return tuple(settled.get(run.run, run) for run in runs)

    def narrowed(self, found: Standing) -> Standing:
        """
        Keep what is asked for by name, by run and by environment.

        Raises: UnknownName: a mapping; UsageError: a run, where there is no warehouse yet.
        """
        if self.ids and not found.has_warehouse:
            raise _no_run(self.ids[0], ())
        ids = {run.run for run in found.runs} if self.ids else None
        present = {run.mapping for run in found.runs} | {place.mapping for place in found.places}
        known = present | set(self._verbs())
        patterns = [name for name in self.question.names if name not in self.ids]
        chosen = {name for pattern in patterns for name in _hits(pattern, known)}
        if ids is not None:
            chosen |= {run.mapping for run in found.runs}

        def is_kept(entry: Any) -> bool:
            if self.question.environment not in (None, entry.environment):
                return False
            if ids is not None and hasattr(entry, "run"):
                return entry.run in ids
            return not self.question.names or entry.mapping in chosen

        wanted = {name.partition(".")[0] for name in chosen}
        return attrs.evolve(
            found,
            runs=tuple(filter(is_kept, found.runs)),
            places=tuple(filter(is_kept, found.places)),
            reject_counts=tuple(filter(is_kept, found.reject_counts)),
            rejects=tuple(filter(is_kept, found.rejects)),
            conflict_counts=tuple(filter(is_kept, found.conflict_counts)),
            conflicts=tuple(filter(is_kept, found.conflicts)),
            findings=tuple(filter(is_kept, found.findings)),
            leases=tuple(filter(is_kept, found.leases)),
            budget=tuple(use for use in found.budget if not wanted or use.owner.partition(":")[0] in wanted),
        )


def _entries(
    t: Transaction, table: Table, kind: type[Entry], query: str, parameters: Sequence[Any] = ()
) -> tuple[Entry, ...]:
    """Run a query on a table of ours, its columns in the order of *kind*'s fields; empty where there is no table."""
    if not t.columns(table):
        return ()
    names = [field.name for field in attrs.fields(kind)]  # type: ignore[arg-type]  # all of them are
    found = t.rows(sql.statement(query.format(table=sql.table_name(table))), list(parameters))
    return tuple(kind(**dict(zip(names, row, strict=True))) for row in found)


def _run_entries(t: Transaction, query: str, *parameters: str) -> tuple[Run, ...]:
    """Read runs; what the warehouse has no column for yet, or a run that is not over has not counted, is nothing."""
    present = t.columns(journal.RUNS)
    names = [field.name for field in attrs.fields(Run) if field.name != "last_done"]
    columns = [
        f"COALESCE(r.{sql.quoted(name)}, 0)"
        if name in _COUNTS and name in present
        else "0"
        if name in _COUNTS
        else f"r.{sql.quoted(name)}"
        if name in present
        else "CAST(NULL AS TEXT)"
        for name in names
    ]
    found = _entries(t, journal.RUNS, Run, query.replace("{columns}", ", ".join(columns)), parameters)
    return tuple(attrs.evolve(run, counts=orjson.loads(str(run.counts)) if run.counts else None) for run in found)


def _is_followed(run: Run, others: Sequence[Run]) -> bool:
    """Tell whether a push, or another run of a plan, began after this one."""
    same = [each for each in others if (each.mapping, each.environment) == (run.mapping, run.environment)]
    return any(each.started_at > run.started_at for each in same if each.verb != PULL)


def _writing(t: Transaction) -> dict[str, str]:
    """Return the mappings of the runs that say they are under way, by run."""
    if not t.columns(journal.RUNS):
        return {}
    query = f"SELECT run, mapping FROM {sql.table_name(journal.RUNS)} WHERE status = '{RUNNING}'"
    return dict(t.rows(sql.statement(query)))


def told(run: Run, again: Sequence[Run]) -> Run:
    """Say what a run is whose lease was seen free, by its row as it was read afterwards."""
    now = attrs.evolve(again[0], last_done=run.last_done) if again else run
    if now.status == RUNNING:
        return attrs.evolve(now, status=BROKEN)
    return attrs.evolve(now, last_done=now.finished_at) if now.status == DONE else now


def _hits(pattern: str, known: set[str]) -> list[str]:
    hits = fnmatch.filter(sorted(known), pattern)
    if not hits:
        if "." in pattern:
            raise UnknownName("mapping or operation", pattern, known=known)
        wrong = UnknownName("mapping or run", pattern, known=known)
        wrong.hint += " The beginning of a run's id has at least 4 letters."
        raise wrong
    return hits


def _no_run(beginning: str, found: Sequence[str]) -> UsageError:
    if found:
        shown = ", ".join(found[:3])
        return UsageError(f"{beginning} is the beginning of {len(found)} runs: {shown}.", hint="Give more of it.")
    return UsageError(
        f"There is no run {beginning} in this warehouse.", hint="`syncer status` shows the last one of each mapping."
    )


def _held(name: str, holder: Holder, writing: Mapping[str, str]) -> Held:
    what, _, environment = name.partition("@")
    kind = what.removeprefix(WRITE) if what.startswith(WRITE) else ""
    return Held(
        mapping=writing.get(holder.run, kind) if kind else what.removeprefix(LEASE),
        kind=kind,
        environment=environment or DEFAULT_ENVIRONMENT,
        pid=holder.pid,
        host=holder.host,
        since=holder.since,
        run=holder.run,
    )


_LAST_RUNS = f"""
SELECT {{columns}}, d.last_done
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY mapping, environment, verb ORDER BY started_at DESC, run DESC)
    AS from_last FROM {{table}}
) AS r
LEFT JOIN (
    SELECT mapping, environment, verb, MAX(finished_at) AS last_done FROM {{table}} WHERE status = '{DONE}'
    GROUP BY mapping, environment, verb
) AS d ON d.mapping = r.mapping AND d.environment = r.environment AND d.verb = r.verb
WHERE r.from_last <= 1
ORDER BY r.mapping, r.environment, r.verb, r.from_last
"""
_RUNS_BY_ID = """
SELECT {columns}, NULL FROM {table} AS r WHERE r.run LIKE ? || '%' ORDER BY r.started_at
"""
_PLACES = """
SELECT mapping, environment, COUNT(*), MIN(mark), MAX(mark), MAX(updated_at)
FROM {table} GROUP BY mapping, environment ORDER BY mapping, environment
"""
_FINDINGS = """
SELECT mapping, environment, kind, key, detail, run, first_seen, last_seen, times
FROM {table} ORDER BY mapping, environment, last_seen DESC, kind, key
"""
