"""`syncer push`: bring rows out, as a plan that can be read first. What a push does: `pushing.py`, `outbound.py`."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from syncer.verbs import Session, Where, complete_mapping, naming_mappings, worst
from syncer.verbs.planned import PlanOptions, telling


@attrs.frozen(kw_only=True)
class Options:
    """What `push` takes, beside the options of plans."""

    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="Mappings; patterns in quotes ('hubspot.*').", autocompletion=complete_mapping
        ),
    ]
    again: Annotated[
        list[str] | None,
        typer.Option("--again", metavar="KEY", help="Make the record of this row again, whose create was reverted."),
    ] = None


def run(options: Options, plans: PlanOptions, where: Where, session: Session) -> int:
    """
    Push mappings: what changed in the warehouse is compared with HubSpot, shown, and written.

    Nothing is written that the plan did not show; what people changed there is left alone.
    """
    from syncer import pushing

    session.log()
    settings = session.settings(where)
    with naming_mappings(settings), telling(plans, session, "push") as request:
        asked = attrs.evolve(request, again=tuple(options.again or ()))
        runs = pushing.push(options.names, settings=settings, request=asked)
    return worst(pushed.exit_code for pushed in runs)
