"""
`wherescape.pull`: a load table of RED filled with what changed, and with all that was not carried on yet.

Not here: what was carried on (`carried.py`), the offers (`offers.py`), how a load table is filled (`landing.py`), what
its columns mean (`legacy.py`).
"""

from __future__ import annotations

import attrs

from syncer import engine, journal, landings, marks, sql, warehouses
from syncer.clock import SystemClock
from syncer.engine import CENSUS, FULL, INCREMENTAL, Request
from syncer.errors import SyncerError, UsageError
from syncer.journal import Pulled
from syncer.landing import Landing
from syncer.settings import Settings
from syncer.tables import LOAD
from syncer.wherescape import highwater, legacy, shapes, tasklog, written
from syncer.wherescape.binding import hosted
from syncer.wherescape.environment import Environment
from syncer.wherescape.sitting import Meant, Sitting, meant_by, sitting

MOST_REJECTS = 10  # kinds that are told
WAIT_S = 600.0  # for another process that pulls the same mapping: a job that was started twice


@attrs.frozen(kw_only=True)
class Before:
    """
    What earlier pulls of a mapping were.

    has_come: something came by one of them, or was read: where the next one goes on, that says.
    wants_all: a full was asked for, and what it wanted may not have come: it did not end, or found nothing.
    """

    has_come: bool
    wants_all: bool


@hosted
def pull(
    name: str = "",
    *,
    environment: str = "",
    full: bool = False,
    census: bool = False,
    force: bool = False,
    wait_s: float = WAIT_S,
    columns: str = "",
) -> Pulled:
    """
    Fill the load table of this host script with what changed since the last pull; the first time, with everything.

    name, environment: the mapping and its account; left out, they are deduced from the load table's name.
    full, census, force, wait_s: as of `syncer.pull`.
    columns: `legacy` or `mapping`: what the load table's columns are, where they do not tell (`shapes.py`).
    Raises: UsageError: nothing was tried. The mapping's own error where the pull failed: the load table is as it was.
    """
    with sitting() as here:
        here.red.require("target_dsn", "load_table")
        if full and census:
            raise UsageError("A pull is full or a census, not both.")
        found = meant_by(here, name, environment)
        where, before = landing_of(here, found, columns)
        settings, begins = (found.settings, "") if full or census else _beginning(here, found, before)
        failures: list[SyncerError] = []
        request = Request(
            mode=FULL if full else CENSUS if census else INCREMENTAL,
            is_forced=force,
            wait_s=wait_s,
            landing=where,
            on_failure=lambda pulled, error: failures.append(error),
        )
        pulled = engine.pull(found.mapping.name, settings=settings, request=request)[0]
        if failures:
            raise failures[0]
        notes = (*([begins] if begins else []), *pulled.notes)
        details = (*_rejects(found, pulled), f"{where.told} has {counted(pulled.landed or 0, 'row')} to carry on")
        code = pulled.exit_code or (3 if notes else 0)  # what is told once is to be looked at
        here.ended(code, "; ".join([told(pulled), *notes]), details=details, counts=tasklog.of_pull(pulled))
        return pulled


def counted(number: int, noun: str) -> str:
    """Write a number and what it counts."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _rejects(found: Meant, pulled: Pulled) -> list[str]:
    """Say which columns of this pull have rejects, and why; no value is told."""
    if not pulled.rejected:
        return []
    query = (
        f'SELECT r."column", r.reason, COUNT(*) FROM {sql.table_name(journal.REJECTS)} AS r '
        'WHERE r.run = ? GROUP BY r."column", r.reason ORDER BY 3 DESC, 1, 2'
    )
    warehouse = warehouses.find(found.settings, clock=SystemClock())
    try:
        with warehouse.transaction() as t:
            rows = t.rows(sql.statement(query), [pulled.run])
    finally:
        warehouse.close()
    told_of = [f"{counted(int(count), 'reject')} of {column or 'records'}: {reason}" for column, reason, count in rows]
    more = [f"and {len(rows) - MOST_REJECTS:,} more kinds"] if len(rows) > MOST_REJECTS else []
    return [*told_of[:MOST_REJECTS], *more, "`syncer status --rejects` names their records"]


def told(pulled: Pulled) -> str:
    """Say what a pull did in one line: `jira.issues: 3 new, 12 changed, 1 gone of 16 read`."""
    parts = (
        (pulled.inserted, "new"),
        (pulled.updated, "changed"),
        (pulled.gone, "gone"),
        (pulled.rejected, "rejected"),
        (pulled.braked, "too many to end"),
    )
    counts = ", ".join(f"{count:,} {what}" for count, what in parts if count) or "nothing new"
    return f"{pulled.mapping}: {counts} of {pulled.read or pulled.keys:,} read"


def _beginning(here: Sitting, found: Meant, before: Before) -> tuple[Settings, str]:
    """
    Return the settings with the place where a plain pull begins as long as nothing has come: RED's mark of before,
    where the site says nothing; and what is told of it, since records that are older do not come. Streams that read
    everything the first time have no such place.

    Friday Pulse's counts for each pull: dates before it are left out for as long as RED has it. Behind a full that did
    not end no mark counts: whoever asked for everything gets everything.
    """
    source, inbound = found.mapping.source, found.mapping.inbound
    account = found.settings.account(source)
    has_start = inbound is not None and inbound.begins_at_start
    counts = has_start and not before.wants_all and (not before.has_come or source == highwater.PULSE)
    if account.start is not None or not here.red.meta.dsn or not counts:
        return found.settings, ""
    mark = highwater.start_of(here.parameters, source=source, load_table=here.red.load_table)
    if mark is None:
        return found.settings, ""
    name, value = highwater.variable(source, found.environment, mark.start)
    settings = attrs.evolve(found.settings, variables={**found.settings.variables, name: value})
    began = f"{mark.start:%Y-%m-%d %H:%M} UTC"
    told_of = f"begins at {began}, by RED's parameter {mark.parameter}: pull(full=True) brings what is older"
    return settings, "" if before.has_come else told_of


def landing_of(here: Sitting, found: Meant, shape: str = "") -> tuple[Landing, Before]:
    """
    Look up the load table in the warehouse's catalogue, what its columns mean, and what earlier pulls of the mapping
    were. Raises UsageError.
    """
    owner = marks.Owner(mapping=found.mapping.name, environment=found.environment, run="")
    warehouse = warehouses.find(found.settings, clock=SystemClock())
    try:
        with warehouse.transaction() as t:
            table = landings.look_up(t, schema_of(here.red), here.red.load_table)
            label = landings.label_of(t, owner, f"{table.schema}.{table.name}")
            wrote = shapes.shape_of_source(found.mapping, written.source_of(t, here.red.load_table, owner))
            before = _before(t, owner)
    finally:
        warehouse.close()
    shape = shape or shapes.shape_of_label(found.mapping, label)
    meanings, source = shapes.meanings(found.mapping, table.columns, shape=shape, written=wrote)
    of_old = legacy.stream_of(found.mapping.name)
    made = Landing(
        schema=table.schema,
        name=table.name,
        columns=table.columns,
        label=source or found.mapping.name,
        labels=(found.mapping.name, *([of_old.record_source] if of_old else [])),
        meanings=meanings,
        carrier=here.carrier,
    )
    return made, before


def _before(t: warehouses.Transaction, owner: marks.Owner) -> Before:
    if not t.columns(marks.MARKS):
        return Before(has_come=False, wants_all=False)
    pulls = (
        f"SELECT COUNT(CASE WHEN r.{sql.quoted('read')} > 0 THEN 1 END), "
        f"COUNT(CASE WHEN r.mode = '{journal.FULL}' THEN 1 END) FROM {sql.table_name(journal.RUNS)} AS r "
        "WHERE r.mapping = ? AND r.environment = ? AND r.verb = 'pull'"
    )
    ((readers, fulls),) = t.rows(sql.statement(pulls), [owner.mapping, owner.environment])
    # Without rows that were seen the engine forgets the places: it would read everything, or from the mark once more.
    is_empty = not readers and marks.has_lost_its_base(t, owner, is_delta=True, is_new=False)
    has_come = bool(marks.places(t, owner)) and not is_empty
    wants_all = bool(marks.unfinished_fulls(t, owner)) or (bool(fulls) and not has_come)
    return Before(has_come=has_come, wants_all=wants_all)


def schema_of(red: Environment) -> str:
    """Return the load table's schema: RED's own word, else what stands before the table in its full name."""
    before = red.load_fullname.rpartition(".")[0].rpartition(".")[2].strip('"[]')
    return red.load_schema or before or LOAD
