"""
`wherescape.pull` and `wherescape.confirm`: a load table of RED filled with what changed; what was carried on let go.

RED empties its load table, a pull fills it with all that is offered, and a procedure of RED carries that to a table
that stays. What was offered stays offered until `confirm`, the job's last step, says that it was carried; where no job
has that step, `reoffer_days` ends an offer.

Not here: the offers (`offers.py`), how a load table is filled (`landing.py`), what its columns mean (`legacy.py`).
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Sequence

import attrs

from syncer import engine, landing, mappings, marks, offers, sql, warehouses
from syncer.clock import SystemClock
from syncer.engine import CENSUS, FULL, INCREMENTAL, Request
from syncer.errors import SyncerError, UsageError
from syncer.journal import Pulled
from syncer.landing import LANDINGS, Landing
from syncer.offers import Confirmed
from syncer.settings import Settings
from syncer.tables import LOAD, Table
from syncer.wherescape import highwater, legacy, shapes, tasklog
from syncer.wherescape.environment import Environment
from syncer.wherescape.sitting import Meant, Sitting, meant_by, sitting

Row = tuple[str, str, str, str, dt.datetime]  # a landing: mapping, environment, load table, run, when it began
WAIT_S = 600.0  # for another process that pulls the same mapping: a job that was started twice


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
        where, is_first = landing_of(here, found, columns)
        settings = found.settings if full else _beginning(here, found, is_first=is_first)
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
        here.ended(pulled.exit_code, told(pulled), details=pulled.notes, counts=tasklog.of_pull(pulled))
        return pulled


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


def _beginning(here: Sitting, found: Meant, *, is_first: bool) -> Settings:
    """
    Return the settings with the place where a first pull begins: RED's mark of before, where the site says nothing.

    Friday Pulse's counts for each pull: dates before it are left out for as long as RED has it.
    """
    source = found.mapping.source
    account = found.settings.account(source)
    if account.start is not None or not here.red.meta.dsn or not (is_first or source == highwater.PULSE):
        return found.settings
    start = highwater.start_of(here.parameters, source=source, load_table=here.red.load_table)
    if start is None:
        return found.settings
    name, value = highwater.variable(source, found.environment, start)
    return attrs.evolve(found.settings, variables={**found.settings.variables, name: value})


def landing_of(here: Sitting, found: Meant, shape: str = "") -> tuple[Landing, bool]:
    """
    Look up the load table in the warehouse's catalogue, and what its columns mean; tell whether this is the mapping's
    first pull. Raises UsageError.
    """
    red = here.red
    schema = schema_of(red)
    warehouse = warehouses.find(found.settings, clock=SystemClock())
    try:
        with warehouse.transaction() as t:
            columns = landing.read_columns(t, schema, red.load_table)
            is_first = not _has_places(t, found)
    finally:
        warehouse.close()
    meanings, source = shapes.meanings(found.mapping, columns, shape=shape)
    before = legacy.stream_of(found.mapping.name)
    made = Landing(
        schema=schema,
        name=red.load_table,
        columns=columns,
        label=source or found.mapping.name,
        labels=(found.mapping.name, *([before.record_source] if before else [])),
        meanings=meanings,
        carrier=here.carrier,
    )
    return made, is_first


def _has_places(t: warehouses.Transaction, found: Meant) -> bool:
    if not t.columns(marks.MARKS):
        return False
    query = f"SELECT COUNT(*) FROM {sql.table_name(marks.MARKS)} WHERE mapping = ? AND environment = ?"
    return bool(t.rows(sql.statement(query), [found.mapping.name, found.environment])[0][0])


def schema_of(red: Environment) -> str:
    """Return the load table's schema: RED's own word, else what stands before the table in its full name."""
    before = red.load_fullname.rpartition(".")[0].rpartition(".")[2].strip('"[]')
    return red.load_schema or before or LOAD


def confirm(*names: str) -> list[Confirmed]:
    """
    Say that what pulls put into load tables was carried on: those offers end. The last step of a job.

    names: mappings, patterns among them; left out, all that this execution of the job has pulled.
    Confirms nothing of a pull that did not finish, and says so.
    Raises: UsageError: outside a job, and no mapping is named; a name that was never pulled into a load table.
    """
    with sitting() as here:
        here.red.require("target_dsn")
        if not names and not here.carrier:
            raise UsageError(
                "Outside a job nobody knows what was carried on.", hint='Name the mappings: confirm("jira.issues").'
            )
        settings = here.settings("", "default")
        warehouse = warehouses.find(settings, clock=SystemClock())
        try:
            with warehouse.transaction() as t:
                rows = _landings(t, names, here.carrier)
                done = [_confirmed(t, row, settings) for row in rows]
        finally:
            warehouse.close()
        carried = [(row[0].partition(".")[0], row[4]) for row, each in zip(rows, done, strict=True) if not each.reason]
        kept = highwater.keep(here.parameters, carried) if here.red.meta.dsn and carried else []
        _tell(here, rows, done, kept)
        return done


def _landings(t: warehouses.Transaction, names: Sequence[str], carrier: str) -> list[Row]:
    """Return what is meant, by mapping: its environment, load table, run, and when the run began."""
    if not t.columns(LANDINGS):
        found = []
    else:
        query = (
            "SELECT mapping, environment, load_table, run, began_at, carrier "
            f"FROM {sql.table_name(LANDINGS)} ORDER BY 1, 2"
        )
        found = t.rows(sql.statement(query))
    if not names:
        return [row[:5] for row in found if row[5] == carrier]
    for name in names:
        if not any(fnmatch.fnmatchcase(row[0], name) for row in found):
            known = ", ".join(sorted({row[0] for row in found})) or "none"
            raise UsageError(
                f"No pull of {name} has filled a load table of this warehouse.", hint=f"Those that did: {known}."
            )
    return [row[:5] for row in found if any(fnmatch.fnmatchcase(row[0], name) for name in names)]


def _confirmed(t: warehouses.Transaction, row: Row, settings: Settings) -> Confirmed:
    mapping, environment, _, run, _ = row
    known = mappings.known(folders=settings.folders, objects=settings.objects(is_every=True))
    if mapping not in known:
        return Confirmed(ended=0, run=run, reason=f"{mapping} is no mapping any more")
    table = Table(schema=LOAD, name=known[mapping].table(environment), columns=())
    # The last pull, not just the one that is written down here: one that failed before it could begin came after it.
    return offers.confirm(t, table, mapping=mapping, environment=environment)


def _tell(here: Sitting, rows: Sequence[Row], done: Sequence[Confirmed], kept: Sequence[str]) -> None:
    """Say how many rows of which tables were carried on; what could not be confirmed is a warning."""
    ended = sum(each.ended for each in done)
    refused = [f"{row[2]}: {each.reason}" for row, each in zip(rows, done, strict=True) if each.reason]
    tables = f"{len(rows) - len(refused)} load table{'' if len(rows) - len(refused) == 1 else 's'}"
    message = f"{ended:,} row{'' if ended == 1 else 's'} of {tables} confirmed"
    if not rows:
        message = "nothing to confirm: this job has pulled nothing"
    details = tuple(f"RED's parameter {name} is up to date" for name in kept)
    here.ended(3 if refused else 0, "; ".join([message, *refused]), details=details)
