"""`syncer revert`: put back what a run changed. What a revert does: `reverting.py`, `undoing.py`."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from syncer.verbs import Session, Where, worst
from syncer.verbs.planned import PlanOptions, telling


@attrs.frozen(kw_only=True)
class Options:
    """What `revert` takes, beside the options of plans."""

    reverted: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or a clear beginning of it.")]


def run(options: Options, plans: PlanOptions, where: Where, session: Session) -> int:
    """
    Put back what a run of `push`, `run` or `revert` changed, as far as nobody touched it since.

    `--dry-run` shows what would be put back, and writes nothing.
    """
    from syncer import reverting

    session.log()
    settings = session.settings(where)
    with telling(plans, session, "revert") as request:
        done = reverting.revert(options.reverted, settings=settings, request=request)
    return worst([done.exit_code])
