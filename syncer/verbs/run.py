"""`syncer run`: an operation, as a plan that can be read first. Not here: what each does (`operations/`)."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from syncer.verbs import Session, Where, worst
from syncer.verbs.planned import PlanOptions, telling


@attrs.frozen(kw_only=True)
class Options:
    """What `run` takes, beside the options of plans."""

    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="Such as hubspot.create_properties.")]


def run(options: Options, plans: PlanOptions, where: Where, session: Session) -> int:
    """
    Run a maintenance operation: it makes a plan, which is shown, held against the limits, and carried out.

    `--dry-run` shows what it would do, and writes nothing.
    """
    from syncer import operating

    session.log()
    settings = session.settings(where)
    with telling(plans, session, "run") as request:
        done = operating.run(options.operation, settings=settings, request=request)
    return worst([done.exit_code])
