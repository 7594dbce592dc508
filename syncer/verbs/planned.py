"""
What the verbs that make plans share (`push`, `revert`): their options, and how a run of a plan is told. No verb.

Not here: what a plan looks like (`reports/plan_*.py`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from syncer.errors import UsageError
from syncer.reports import plan_html, plan_json, plan_markdown, plan_text, terminal
from syncer.reports.plan_shown import Shown
from syncer.verbs import Session
from syncer.verbs.pull import wait_s_of

if TYPE_CHECKING:
    from syncer.executing import Request, Told
    from syncer.tally import Pushed

MARKDOWN = (".md", ".markdown")


@attrs.frozen(kw_only=True)
class PlanOptions:
    """The options of a verb that makes a plan and applies it."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and show the plan; write nothing.")] = False
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="ID", help="Apply what is left of this plan, as it stands.")
    ] = None
    force: Annotated[bool, typer.Option("--force", help="With --plan: apply it though the limits refuse it.")] = False
    first: Annotated[int | None, typer.Option("--first", metavar="N", help="Apply about N changes, and stop.")] = None
    require_clean: Annotated[
        bool, typer.Option("--require-clean", help="Write nothing when anything is rejected or in conflict.")
    ] = False
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the plan to FILE.html, all of it, or to FILE.md."),
    ] = None
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Show the values of personal fields, too.")
    ] = False
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait",
            metavar="[SECONDS]",
            help="Wait for a process that writes the same kind of records: so long, or as long as it takes.",
        ),
    ] = None


@contextlib.contextmanager
def telling(options: PlanOptions, session: Session, verb: str) -> Iterator[Request]:
    """
    Yield what is asked of the runs of a verb, in the words of its options; each run is told as it ends.

    Raises: UsageError: options that contradict each other, or a report that cannot be written.
    """
    from syncer.executing import Request
    from syncer.reports.progress import PlanProgress

    report = _report(options.report)
    progress = PlanProgress(verb, sys.stderr, is_shown=not session.shared.quiet)
    session.before_note = progress.clear
    teller = _Teller(session=session, report=report, shows_personal=options.show_personal)
    request = Request(
        is_rehearsal=options.dry_run,
        plan=options.plan,
        is_forced=options.force,
        first=options.first,
        is_strict=options.require_clean,
        wait_s=wait_s_of(options.wait),
        on_run=teller.told,
        on_failure=session.traced,
        on_plan=teller.planned,
        on_progress=progress.moved_plan,
    )
    with contextlib.ExitStack() as opened:
        if isinstance(report, plan_html.Report):
            opened.enter_context(report)
        opened.enter_context(progress)
        yield request
    if session.is_json:
        session.document.open_list("runs")
    if report is not None:
        session.say(f"report: {terminal.clean(options.report)}")


@attrs.frozen(kw_only=True)
class _Teller:
    """Tells each run as it ends, where whoever called looks for it."""

    session: Session
    report: plan_html.Report | _Markdown | None
    shows_personal: bool

    def told(self, pushed: Pushed) -> None:
        """Tell a run in a line or two: what failed on stderr."""
        session = self.session
        session.has_runs = True
        if session.is_json:
            session.document.add("runs", _hidden(session, plan_json.entry(pushed)))
        elif pushed.exit_code in (1, 2):
            session.note(session.hidden(f"syncer: {plan_text.summary(pushed)}"))
        elif pushed.exit_code:
            session.show(plan_text.summary(pushed))
        else:
            session.say(plan_text.summary(pushed))

    def planned(self, found: Told) -> None:
        """Tell a run that has a plan: the plan itself where nothing of it was written."""
        from syncer.operating import RUN

        session = self.session
        session.has_runs = True
        shown = Shown(
            pushed=found.pushed,
            header=found.header,
            warehouse=found.warehouse,
            personal=found.personal,
            personal_ends=found.personal_ends,
            shows_personal=self.shows_personal,
        )
        if self.report is not None:
            self.report.add(shown)
        if session.is_json:
            session.document.add_parts("runs", plan_json.parts(shown))
        elif found.pushed.is_rehearsal or found.pushed.trips:
            for line in plan_text.lines(shown, sys.stdout):
                session.show(line)
        elif found.header.verb == RUN:  # an operation tells what it left alone, and what it doubts
            self.told(attrs.evolve(found.pushed, notes=(*found.header.notes, *found.pushed.notes)))
        else:
            self.told(found.pushed)


@attrs.frozen
class _Markdown:
    """A report as Markdown: the plans one below the other."""

    path: Path

    def add(self, shown: Shown) -> None:
        """Add a plan."""
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(plan_markdown.text(shown))
        except OSError as error:
            raise UsageError(f"The report {self.path} cannot be written: {error.strerror}.") from error


def _report(path: Path | None) -> plan_html.Report | _Markdown | None:
    if path is None:
        return None
    if path.suffix.lower() not in MARKDOWN:
        plan_html.check(path)
        return plan_html.Report(path)
    try:
        path.write_text("", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The report {path} cannot be written: {error.strerror}.") from error
    return _Markdown(path)


def _hidden(session: Session, entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "error": session.hidden(entry["error"])} if entry.get("error") else entry
