"""
`wherescape.push` and `wherescape.run`: the rows of RED's table go out as a plan, and maintenance as a step of a job.

Not here: what a push or an operation does (`pushing.py`, `operating.py`), and pulls (`inward.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs

from syncer import counting, lacking, operations, outward
from syncer import settings as settings_module
from syncer.api import kind_of
from syncer.errors import SyncerError, UsageError
from syncer.findings import Report
from syncer.handles import Plan
from syncer.operations import check_fact_dimensions
from syncer.reports import commands, plan_shown, report_shown
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.tables import Table
from syncer.tally import Pushed
from syncer.wherescape import deducing, tasklog
from syncer.wherescape.binding import hosted
from syncer.wherescape.inward import WAIT_S, schema_of
from syncer.wherescape.procedures import ALL_JOBS, JobLog
from syncer.wherescape.repository import Repository
from syncer.wherescape.sitting import Meant, Sitting, check_texts, meant_by, sitting

Done = TypeVar("Done")
NO_JOB = "no-job-key"


@hosted
def push(
    name: str = "",
    *,
    environment: str = "",
    dry_run: bool = False,
    plan: str | None = None,
    force: bool = False,
    first: int | None = None,
    require_clean: bool = False,
    wait_s: float = WAIT_S,
) -> Plan | Pushed:
    """
    Bring the rows of this host script's table (or of the relation that the site set for the account) out to HubSpot.

    name, environment: the mapping and its account; left out, they are deduced from the table's name. The others, and
    what is raised, as of `syncer.push`.
    """
    with sitting() as here:
        here.red.require("target_dsn")
        outward.check_words(plan, is_forced=force, first=first)
        found = meant_by(here, name, environment, verb=deducing.PUSH)
        settings = _with_relation(found, here)
        words: dict[str, Any] = {"plan": plan, "force": force, "first": first, "require_clean": require_clean}
        words |= {"dry_run": dry_run, "wait_s": wait_s}

        def go() -> Plan | Pushed:
            made: Plan | Pushed = outward.push(found.mapping.name, settings=settings, **words)
            return made

        return _told(here, _counted(here, go), _call("push", name, environment))


@hosted
def run(
    operation: str,
    *,
    environment: str = DEFAULT_ENVIRONMENT,
    dry_run: bool = False,
    plan: str | None = None,
    force: bool = False,
    first: int | None = None,
    require_clean: bool = False,
    wait_s: float = WAIT_S,
) -> Plan | Pushed | Report:
    """
    Run a maintenance operation, such as `hubspot.merge_tickets`.

    `warehouse.check_fact_dimensions` gets the joins of RED's repository where the site lists none, and writes its CSV
    into the work directory. The others, and what is raised, as of `syncer.run`.
    """
    with sitting() as here:
        here.red.require("target_dsn")
        _check_operation(operation, environment)
        outward.check_words(plan, is_forced=force, first=first)
        source, environment = operation.partition(".")[0], environment or DEFAULT_ENVIRONMENT
        settings = here.settings("" if source == "warehouse" else source, environment)
        notes: tuple[str, ...] = ()
        if operation == counting.LIST:
            settings, notes = _with_joins(settings, here)

        def go() -> Plan | Pushed | Report:
            words: dict[str, Any] = {"plan": plan, "force": force, "first": first, "require_clean": require_clean}
            words |= {"dry_run": dry_run, "wait_s": wait_s}
            made: Plan | Pushed | Report = outward.run(operation, settings=settings, **words)
            return made

        done = _counted(here, go)
        if not isinstance(done, Report):
            account = "" if environment == DEFAULT_ENVIRONMENT else environment
            return _told(here, done, _call("run", operation, account))
        if operation == counting.LIST:
            notes = (*notes, f"written to {_written(done, here)}")
        _report_told(here, done, notes)
        return done


def _check_operation(operation: str, environment: str) -> None:
    """Raise UsageError where there is no such operation: it is said before a token is missed."""
    if not isinstance(operation, str):
        raise UsageError(
            f"operation is {kind_of(operation)}.", hint="Give its name as a text, such as hubspot.merge_tickets."
        )
    check_texts(environment=environment)
    operations.find(operation, folders=settings_module.load().folders)


def _with_relation(found: Meant, here: Sitting) -> Settings:
    """
    Have the push read this script's table, or the relation that the site set for this account. One that it set for
    all accounts is that of one of them: it stands where there is no table.

    Raises: UsageError: it is another table than this script's, whose rows are of another account perhaps.
    """
    settings, name = found.settings, found.mapping.name
    table = settings.tables.get(name, {})
    if table.get("environments", {}).get(found.environment, {}).get("relation"):
        return settings
    relation = table.get("relation")
    if relation and not here.red.load_table:
        return settings
    here.red.require("load_table")
    own = f"{schema_of(here.red)}.{here.red.load_table}"
    if relation and _is_same(str(relation), own):
        return settings  # in the capitals that the site wrote: the host's may be others than the warehouse's
    if relation:
        way = f'set it for the account that it is of: relation in ["{name}".environments.{found.environment}].'
        is_query = lacking.is_query(relation)
        raise UsageError(
            f"{name} has {'a query' if is_query else relation} as its relation in syncer.toml for all accounts, and "
            f"this host script is of {own}.",
            hint=f"A host script sends the rows of its own table: {'' if is_query else 'leave it out, or '}{way}",
        )
    return attrs.evolve(settings, tables={**settings.tables, name: {**table, "relation": own}})


def _is_same(relation: str, own: str) -> bool:
    """Tell whether a relation is a table, whatever the capitals."""
    one, other = lacking.table_of(relation), lacking.table_of(own)
    return one is not None and other is not None and _folded(one) == _folded(other)


def _folded(table: Table) -> tuple[str, str]:
    return table.schema.lower(), table.name.lower()


def _with_joins(settings: Settings, here: Sitting) -> tuple[Settings, tuple[str, ...]]:
    """
    Give the check the joins that RED knows, and the facts that RED knows too little of without a schema: these are
    told as not looked at. Raises UsageError: RED knows of no fact that can be counted.
    """
    if counting.has_list(settings):
        return settings, ()
    found = Repository(here.connections.meta, here.red.meta_schema).fact_joins()
    if not found.joins:
        why = "RED's repository knows no fact table"
        if found.rejects:
            why = f"none of {len(found.rejects)} fact tables can be counted: {'; '.join(found.rejects.values())}"
        raise UsageError(
            f"{counting.LIST} counted nothing: {why}.",
            hint=f'Give them a target in RED, or set joins in ["{counting.LIST}"] of syncer.toml.',
        )
    joins = {**found.joins, **{name: [] for name in found.rejects}}
    table = {**settings.tables.get(counting.LIST, {}), "joins": joins}
    return attrs.evolve(settings, tables={**settings.tables, counting.LIST: table}), tuple(found.rejects.values())


def _counted(here: Sitting, go: Callable[[], Done]) -> Done:
    """Run a verb; what a run did that failed, or was refused, is counted all the same."""
    try:
        return go()
    except SyncerError as error:
        if error.runs:
            here.count(sum((tasklog.of_push(each) for each in error.runs), tasklog.Counts()))
        raise


def _call(verb: str, name: str, environment: str) -> str:
    """Write the call of a host script as far as the script said it; what follows are its other arguments."""
    given = (f'"{name}", ' if name else "", f'environment="{environment}", ' if environment else "")
    return f"wherescape.{verb}({''.join(given)}"


def _shown(plan: Plan, call: str) -> list[str]:
    """Write a plan, with what a host script says to go on where it has what the command line does."""
    text, this = str(plan), f'{call}plan="{plan.id}"'
    program = commands.program("syncer")
    look, force = plan_shown.ways_on(plan.header, program=program)
    for command, instead in (
        (look, f"{this}, dry_run=True)"),
        (force, f"{this}, force=True)"),
        (plan_shown.apply_command(plan.header, program=program), f"{this})"),
        ("--report plan.html shows", f'{this}, dry_run=True).report("plan.html") has'),
    ):
        text = text.replace(command, instead)
    return text.splitlines()


def _told(here: Sitting, done: Plan | Pushed, call: str) -> Plan | Pushed:
    """Count what a plan came to; of a dry run the plan itself goes to stderr. *call*: how the script called it."""
    pushed = done.pushed if isinstance(done, Plan) else done
    if isinstance(done, Plan):
        here.ended(pushed.exit_code, str(pushed), plan=tuple(_shown(done, call)))
    else:
        here.ended(pushed.exit_code, str(pushed), details=pushed.notes, counts=tasklog.of_push(pushed))
    return done


def _report_told(here: Sitting, report: Report, notes: tuple[str, ...]) -> None:
    """Count what a report found: new findings are a warning, once. *notes*: what RED knows too little of, and why."""
    news, more = tuple(line.text for line in report.new), ""
    if news:
        beginning = f"{report.new[0].key}: "
        more = f" (the first: {next((note for note in notes if note.startswith(beginning)), news[0])})"
    here.ended(report.exit_code, f"{report.operation}: {report.told}{more}", details=(*notes, *report.notes, *news))


def _written(report: Report, here: Sitting) -> Path:
    """Write the CSV of the check beside what RED's own steps write; a second run of a day replaces it."""
    key = str(here.red.job_key) if here.red.job_key else NO_JOB
    day = dt.date.fromisoformat(report.lines[0].values[check_fact_dimensions.DATE])  # each line has the run's
    try:
        file = here.red.folder() / f"{key}_fact_dimension_check_result_{day:%y%m%d}.csv"
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        report_shown.write(report, file)
    except OSError as error:
        raise UsageError(
            f"The report could not be written into the work directory {here.red.workdir}: {error.strerror}.",
            hint="WSL_WORKDIR must be a folder that this account may write to.",
        ) from error
    return file


@hosted
def clear_job_logs(days: int = 90, job: str = ALL_JOBS) -> JobLog:
    """
    Have RED archive the logs of its jobs that are older than *days* (0: all); *job*: a name, `%` for all.

    Raises: WarehouseError: RED refused.
    """
    with sitting() as here:
        found = here.procedures.clear_logs_by_date(days=days, job=job)
        here.ended(0, f"job logs: {found.message}")
        return found


@hosted
def clear_archive(days: int = 365, job: str = ALL_JOBS, *, truncate: bool = False) -> JobLog:
    """
    Have RED delete archived logs that are older than *days*; *truncate*: all of them, of any job.

    Raises: WarehouseError: RED refused.
    """
    with sitting() as here:
        found = here.procedures.clear_archive(days=days, job=job, is_truncated=truncate)
        here.ended(0, f"archive of job logs: {found.message}")
        return found
