"""
`syncer run`: an operation, as a plan that can be read first, or as a report. Not here: what each does (`operations/`).
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.errors import UnknownName, UsageError
from syncer.reports import report_shown
from syncer.verbs import Session, Where, worst
from syncer.verbs.planned import PlanOptions, telling
from syncer.verbs.pull import wait_s_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.executing import Request
    from syncer.findings import Report
    from syncer.operations import Operation
    from syncer.settings import Settings


@attrs.frozen(kw_only=True)
class Options:
    """What `run` takes, beside the options of plans."""

    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="Such as hubspot.merge_tickets.")]


def run(options: Options, plans: PlanOptions, where: Where, session: Session) -> int:
    """
    Run a maintenance operation: it makes a plan, held against the limits and carried out, or a report.

    `--dry-run` shows what a plan would do, and writes nothing; of a report, its findings stay new. A report is written
    to `--report FILE.csv`. Exit 3 where a report has new findings.
    """
    from syncer import operating, operations

    session.log()
    settings = session.settings(where, but=[options.operation])
    is_report = operations.is_report(_found(options.operation, settings))
    with _reporting(plans, session) if is_report else telling(plans, session, "run") as request:
        done = operating.run(options.operation, settings=settings, request=request)
    return worst([done.exit_code])


def _found(name: str, settings: Settings) -> Operation:
    """Find the operation. Raises UsageError: there is none of that name, or it is a mapping's."""
    from syncer import mappings, operations

    try:
        return operations.find(name, folders=settings.folders)
    except UnknownName as error:
        if name not in mappings.known(folders=settings.folders, objects=settings.objects()):
            raise
        raise UsageError(
            f"{name} is a mapping, and no operation.", hint="`syncer pull` and `syncer push` take mappings."
        ) from error


@contextlib.contextmanager
def _reporting(plans: PlanOptions, session: Session) -> Iterator[Request]:
    """Yield what is asked of a report, in the words of the verb's options; it is told when it is made."""
    from syncer.executing import Request
    from syncer.reports.progress import PlanProgress

    if plans.report is not None:
        report_shown.check(plans.report)
    if plans.force or plans.show_personal:
        word = "--force" if plans.force else "--show-personal"
        raise UsageError(f"{word} goes with a plan, and this makes a report.", hint="Leave it out.")
    made: list[Report] = []
    progress = PlanProgress("run", sys.stderr, is_shown=not session.shared.quiet)
    session.before_note = progress.clear
    with progress:
        yield Request(
            is_rehearsal=plans.dry_run,
            plan=plans.plan,
            first=plans.first,
            is_strict=plans.require_clean,
            wait_s=wait_s_of(plans.wait),
            on_report=made.append,
            on_report_failure=session.traced,
            on_progress=progress.moved_plan,
        )
    for report in made:
        _tell(report, plans, session)


def _tell(report: Report, plans: PlanOptions, session: Session) -> None:
    session.has_runs = True
    if session.is_json:
        session.document.put("report", report_shown.document(report))
    elif report.exit_code in (1, 2):
        for line in report_shown.lines(report, sys.stderr):
            session.note(session.hidden(f"syncer: {line}"))
    else:
        for line in report_shown.lines(report, sys.stdout):
            session.show(line) if report.exit_code else session.say(line)
    if plans.report is not None and report.exit_code not in (1, 2):
        report_shown.write(report, plans.report)
        session.say(f"report: {plans.report}")
