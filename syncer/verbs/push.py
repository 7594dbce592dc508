"""`syncer push`: bring rows out, as a plan that can be read first. What a push does: `pushing.py`, `outbound.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.reports import plan_text
from syncer.verbs import Session, Where, complete_mapping, worst

if TYPE_CHECKING:
    from syncer.tally import Pushed


@attrs.frozen(kw_only=True)
class Options:
    """What `push` takes."""

    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="Mappings; patterns in quotes ('hubspot.*').", autocompletion=complete_mapping
        ),
    ]
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and show the plan; write nothing.")] = False
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="ID", help="Apply what is left of this plan, as it stands.")
    ] = None
    force: Annotated[bool, typer.Option("--force", help="With --plan: apply it though the limits refuse it.")] = False
    first: Annotated[int | None, typer.Option("--first", metavar="N", help="Apply about N changes, and stop.")] = None
    require_clean: Annotated[
        bool, typer.Option("--require-clean", help="Write nothing when anything is rejected or in conflict.")
    ] = False
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Show the values of personal fields, too.")
    ] = False


def run(options: Options, where: Where, session: Session) -> int:
    """
    Push mappings: what changed in the warehouse is compared with HubSpot, shown, and written.

    Nothing is written that the plan did not show; what people changed there is left alone.
    """
    from syncer import pushing

    session.log()
    settings = session.settings(where)

    def told(pushed: Pushed) -> None:
        session.show(plan_text.summary(pushed)) if pushed.exit_code else session.say(plan_text.summary(pushed))

    request = pushing.Request(
        is_rehearsal=options.dry_run,
        plan=options.plan,
        is_forced=options.force,
        first=options.first,
        is_strict=options.require_clean,
        on_run=told,
    )
    runs = pushing.push(options.names, settings=settings, request=request)
    return worst(pushed.exit_code for pushed in runs)
