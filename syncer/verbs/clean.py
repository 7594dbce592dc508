"""`syncer clean`: delete what need not be kept any more. How that is done: `cleaning.py`."""

from __future__ import annotations

import sys
from typing import Annotated

import attrs
import typer

from syncer.verbs import Session, Where


@attrs.frozen(kw_only=True)
class Options:
    """What `clean` takes."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted; change nothing.")] = False
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Then write the warehouse anew, so that no byte of what was deleted is left."),
    ] = False
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping", metavar="NAME", help="Also all that is kept of a mapping nobody configures any more."
        ),
    ] = None


def run(options: Options, where: Where, session: Session) -> int:
    """
    Delete what is old enough and needed by nobody: values, runs, rejects and findings; say what stays, and why.

    How old: keep_days and keep_runs_days in [journal]. A push does a part of it at its end. Safe beside any run.
    """
    from syncer import cleaning
    from syncer.reports.progress import PlanProgress

    session.log()
    settings = session.settings(where)
    progress = PlanProgress("clean", sys.stderr, is_shown=not session.shared.quiet)
    session.before_note = progress.clear
    with progress:
        done = cleaning.clean(
            settings=settings,
            dry_run=options.dry_run,
            rewrite=options.rewrite,
            mapping=options.mapping,
            on_progress=lambda table, count, of: progress.moved_plan(table, "rows deleted", count, of),
        )
    if session.is_json:
        session.document.put("cleaned", done.document())
    else:
        session.say(str(done))
    return 0
