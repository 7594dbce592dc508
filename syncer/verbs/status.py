"""`syncer status`: how things stand. How that is found out: `status.py`; how it is shown: `reports/standing.py`."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.errors import UsageError
from syncer.verbs import Session, Where, complete_mapping, seconds_of, warehouse_named

if TYPE_CHECKING:
    from syncer.status import Standing


@attrs.frozen(kw_only=True)
class Options:
    """What `status` takes."""

    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|NAME",
            help="A run's id (a clear beginning will do), or mappings and operations; none: everything.",
            autocompletion=complete_mapping,
        ),
    ] = None
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="26h",
            help="Exit 1 when what was ever pulled, pushed or run, or is named, has not finished for so long.",
        ),
    ] = None
    rejects: Annotated[
        bool, typer.Option("--rejects", help="Show the first rejects and open conflicts of each mapping.")
    ] = False
    last: Annotated[
        int, typer.Option("--last", metavar="N", help="The last N runs of each mapping and verb, the newest first.")
    ] = 1


def run(options: Options, where: Where, session: Session) -> int:
    """
    Show how things stand: last runs, places, rejects, conflicts, findings, who runs what now, the request budget.

    Answers while a pull or push runs, too. A run whose process has gone is shown as broken.
    """
    from syncer import status
    from syncer.reports import standing

    session.log()
    _check(options)
    settings = session.settings(where)
    max_age = dt.timedelta(seconds=seconds_of(options.max_age, "--max-age")) if options.max_age else None
    question = status.Question(
        names=tuple(options.names or ()),
        max_age=max_age,
        environment=where.environment,
        with_rejects=options.rejects,
        last=options.last,
    )
    with session.waiting("status", warehouse_named(settings)):
        found = status.read(settings, question)
    runs = [attrs.evolve(run, error=session.hidden(run.error)) if run.error else run for run in found.runs]
    found = attrs.evolve(found, runs=tuple(runs))
    if session.is_json:
        for key, value in standing.as_document(found).items():
            session.document.put(key, value)
    else:
        _show(session, found, by_run=any(status.RUN_ID.fullmatch(name) for name in question.names))
        for line in standing.stale_text(found):
            session.note(f"syncer: {line}; the limit is {options.max_age}.")
    is_never = max_age is not None and not found.runs  # what was never pulled at all is as bad as what stopped
    return 1 if found.stale or is_never else 0


def _check(options: Options) -> None:
    """Refuse what contradicts itself. Raises UsageError."""
    from syncer.status import RUN_ID

    if options.last < 1:
        raise UsageError(f"--last is {options.last}; it is a number from 1 on.")
    if options.last > 1 and (options.max_age or any(RUN_ID.fullmatch(name) for name in options.names or ())):
        raise UsageError("--last lists runs of mappings; it goes with no run's id and not with --max-age.")


def _show(session: Session, found: Standing, *, by_run: bool) -> None:
    from syncer.reports import standing

    if by_run:
        for at, each in enumerate(found.runs):
            for line in (*([""] if at else []), *standing.one_run(each, found, sys.stdout)):
                session.say(line)
        return
    for line in standing.as_text(found, sys.stdout):
        session.say(line)
