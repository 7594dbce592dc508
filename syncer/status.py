"""
How things stand: the last run of each mapping, places, rejects, findings, who holds which lease, and what is used of
the request budget.

Everything that stands in the warehouse is read in one short transaction, so that it fits together and a pull that is
under way hardly notices. Nothing is written, and no warehouse is made where there is none.
Not here: how it is shown (`reports/`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import attrs

from syncer import budget, cache, journal, mappings, marks, sql, warehouses
from syncer.clock import Clock, SystemClock
from syncer.errors import UnknownName, UsageError
from syncer.journal import BROKEN, DONE, RUNNING
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.tables import Table
from syncer.warehouses import Holder, Transaction, Warehouse

Entry = TypeVar("Entry")

FIRST_REJECTS = 20  # how many of a mapping are shown
_CAME_LATER = ("keys", "braked")  # columns of `syncer.runs` that an older warehouse lacks
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
    last_done: dt.datetime | None = None  # when a run of this mapping last ended as done


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
class RejectCount:
    """How many rejects a mapping has, and how many of its scopes failed."""

    mapping: str
    environment: str
    rejects: int
    scopes: int
    last_seen: dt.datetime


@attrs.frozen(kw_only=True)
class Reject:
    """One reject: a value, a record without a key, or (no key) a scope that failed."""

    mapping: str
    environment: str
    key: str
    column: str
    scope: str
    reason: str
    declared: str | None
    found: str | None
    run: str
    first_seen: dt.datetime
    last_seen: dt.datetime


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
    """A lease that a process holds now; `mapping` and `environment` are what it may run."""

    mapping: str
    environment: str
    pid: int
    host: str
    since: str
    run: str


@attrs.frozen(kw_only=True)
class Stale:
    """A mapping that has not finished a run for too long. `last_done` is None where it never did."""

    mapping: str
    environment: str
    last_done: dt.datetime | None
    last_status: str | None


@attrs.frozen(kw_only=True)
class Question:
    """
    What is asked. `names` are mappings (patterns may be among them) or the beginning of a run's id; none: everything.

    max_age: a mapping that was ever pulled, or is named, and has not finished a run for so long is stale.
    environment: None: all of them.
    with_rejects: the first rejects of each mapping too.
    """

    names: tuple[str, ...] = ()
    max_age: dt.timedelta | None = None
    environment: str | None = None
    with_rejects: bool = False


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
    findings: tuple[Finding, ...] = ()
    leases: tuple[Held, ...] = ()
    budget: tuple[budget.Usage, ...] = ()
    stale: tuple[Stale, ...] = ()


def read(settings: Settings, question: Question | None = None, *, clock: Clock | None = None) -> Standing:
    """
    Tell how things stand.

    Raises: UnknownName: a name that is no mapping, and no run; WarehouseError.
    """
    clock = clock or SystemClock()
    question = question or Question()
    warehouse = warehouses.find(settings, clock=clock)
    known = budget.Budget(cache.folder(dict(settings.variables)), clock=clock).usage()
    used = [use for use in known if use.used or use.paused_s]
    bare = Standing(now=clock.now(), warehouse=warehouse.name, budget=tuple(used))
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
        with self.warehouse.transaction() as t:
            found = attrs.evolve(
                bare,
                has_warehouse=True,
                runs=self._runs(t),
                places=_entries(t, marks.MARKS, Places, _PLACES),
                reject_counts=_entries(t, journal.REJECTS, RejectCount, _REJECT_COUNTS),
                rejects=self._rejects(t),
                findings=_entries(t, journal.FINDINGS, Finding, _FINDINGS),
            )
        self.warehouse.rest(waiting=True)
        held = tuple(_held(name, holder) for name, holder in sorted(self.warehouse.leases().items()))
        return attrs.evolve(found, leases=held, runs=self._told_broken(found.runs, held))

    def stale(self, found: Standing) -> tuple[Stale, ...]:
        """Find what has no finished run since `max_age`; a mapping that is named counts even if never pulled."""
        if self.question.max_age is None:
            return ()
        last: dict[tuple[str, str], Run | None] = {(run.mapping, run.environment): run for run in found.runs}
        environment = self.question.environment or DEFAULT_ENVIRONMENT
        pulled = {mapping for mapping, _ in last}
        named = [
            name
            for name in mappings.known(folders=self.settings.folders, objects=self.settings.objects())
            if name in self.question.names
        ]
        last.update({(name, environment): None for name in named if name not in pulled})
        oldest = found.now - self.question.max_age
        return tuple(
            Stale(
                mapping=name,
                environment=where,
                last_done=run.last_done if run else None,
                last_status=run.status if run else None,
            )
            for (name, where), run in last.items()
            if run is None or run.last_done is None or run.last_done < oldest
        )

    def _runs(self, t: Transaction) -> tuple[Run, ...]:
        """The last run of each mapping and environment, or the runs that are asked for by id."""
        last = _run_entries(t, _LAST_RUNS)
        if not self.ids:
            return last
        done = {(run.mapping, run.environment): run.last_done for run in last}
        chosen = []
        for beginning in self.ids:
            found = _run_entries(t, _RUNS_BY_ID, beginning)
            if len(found) != 1:
                raise _no_run(beginning, [run.run for run in found])
            chosen.append(attrs.evolve(found[0], last_done=done.get((found[0].mapping, found[0].environment))))
        return tuple(chosen)

    def _rejects(self, t: Transaction) -> tuple[Reject, ...]:
        if not self.question.with_rejects and not self.ids:
            return ()
        return _entries(t, journal.REJECTS, Reject, _FIRST_REJECTS, [FIRST_REJECTS])

    def _told_broken(self, runs: Sequence[Run], held: Sequence[Held]) -> tuple[Run, ...]:
        """
        Call a run broken that says it is running while nobody holds its lease.

        A run may have ended between the reading of its row and of the leases. It writes its end before it lets go, so
        its row, read again after the lease was seen free, tells.
        """
        holding = {(lease.mapping, lease.environment) for lease in held}
        doubtful = [run for run in runs if run.status == RUNNING and (run.mapping, run.environment) not in holding]
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
        known = present | set(mappings.known(folders=self.settings.folders, objects=self.settings.objects()))
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
    """Read runs; a column that the warehouse does not have yet, or a run from before it, counts nothing."""
    present = t.columns(journal.RUNS)
    names = [field.name for field in attrs.fields(Run) if field.name != "last_done"]
    columns = [
        f"r.{sql.quoted(name)}"
        if name not in _CAME_LATER
        else f"COALESCE(r.{sql.quoted(name)}, 0)"
        if name in present
        else "0"
        for name in names
    ]
    return _entries(t, journal.RUNS, Run, query.replace("{columns}", ", ".join(columns)), parameters)


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
            raise UnknownName("mapping", pattern, known=known)
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


def _held(name: str, holder: Holder) -> Held:
    mapping, _, environment = name.partition("@")
    return Held(
        mapping=mapping,
        environment=environment or DEFAULT_ENVIRONMENT,
        pid=holder.pid,
        host=holder.host,
        since=holder.since,
        run=holder.run,
    )


_LAST_RUNS = f"""
SELECT {{columns}}, d.last_done
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY mapping, environment ORDER BY started_at DESC, run DESC) AS from_last
    FROM {{table}}
) AS r
LEFT JOIN (
    SELECT mapping, environment, MAX(finished_at) AS last_done FROM {{table}} WHERE status = '{DONE}'
    GROUP BY mapping, environment
) AS d ON d.mapping = r.mapping AND d.environment = r.environment
WHERE r.from_last = 1
ORDER BY r.mapping, r.environment
"""
_RUNS_BY_ID = """
SELECT {columns}, NULL FROM {table} AS r WHERE r.run LIKE ? || '%' ORDER BY r.started_at
"""
_PLACES = """
SELECT mapping, environment, COUNT(*), MIN(mark), MAX(mark), MAX(updated_at)
FROM {table} GROUP BY mapping, environment ORDER BY mapping, environment
"""
_REJECT_COUNTS = """
SELECT mapping, environment, COUNT(*), SUM(CASE WHEN key = '' AND scope <> '' THEN 1 ELSE 0 END), MAX(last_seen)
FROM {table} GROUP BY mapping, environment ORDER BY mapping, environment
"""
_FIRST_REJECTS = """
SELECT mapping, environment, key, "column", scope, reason, declared, found, run, first_seen, last_seen
FROM (
    SELECT *, ROW_NUMBER() OVER (
        PARTITION BY mapping, environment ORDER BY last_seen DESC, key, "column", scope
    ) AS from_last FROM {table}
) AS r
WHERE r.from_last <= ? ORDER BY mapping, environment, r.from_last
"""
_FINDINGS = """
SELECT mapping, environment, kind, key, detail, run, first_seen, last_seen, times
FROM {table} ORDER BY mapping, environment, last_seen DESC, kind, key
"""
