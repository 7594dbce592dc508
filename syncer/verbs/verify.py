"""`syncer verify`: compare both sides whole, and write nothing. What is compared, and how: `verifying.py`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.verbs import Session, Where, complete_mapping, naming_mappings, worst

if TYPE_CHECKING:
    from syncer.verifying import Told


@attrs.frozen(kw_only=True)
class Options:
    """What `verify` takes."""

    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="Mappings; patterns in quotes ('hubspot.*').", autocompletion=complete_mapping
        ),
    ]
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            help="Compare N rows of each, other ones each day, and all that something is open about.",
        ),
    ] = None
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Show the values of personal fields, too.")
    ] = False


def run(options: Options, where: Where, session: Session) -> int:
    """
    Compare both sides of mappings, whole or a sample, and write nothing: was anything quietly lost?

    Names each row that nothing explains. Exit 3 when there is one, or a reject or conflict is left.
    """
    from syncer import verifying
    from syncer.reports import verified
    from syncer.reports.progress import PlanProgress

    session.log()
    settings = session.settings(where)

    def told(found: Told) -> None:
        session.has_runs = True
        session.document.add("unexplained", verified.entry(found, shows_personal=options.show_personal))

    if session.is_json:
        session.document.open_list("unexplained")
    progress = PlanProgress("verify", sys.stderr, is_shown=not session.shared.quiet)
    session.before_note = progress.clear
    with naming_mappings(settings), progress:
        done = verifying.verify(
            options.names,
            settings=settings,
            sample=options.sample,
            on_progress=lambda mapping, count, of: progress.moved_plan(mapping, "compared", count, of),
            on_unexplained=told if session.is_json else None,
        )
    if session.is_json:
        session.document.put("verified", [verified.document(each) for each in done])
    for each in done:
        for line in verified.lines(each, sys.stdout, shows_personal=options.show_personal):
            session.show(line) if each.exit_code else session.say(line)
    return worst(each.exit_code for each in done)
