"""Close tickets that wait for an answer, and that nobody changed for some weeks."""

from collections.abc import Iterator
from datetime import timedelta

from syncer.declared import count, text
from syncer.operations import Context, Looked, updated
from syncer.values import timestamp

NAME = "hubspot.close_stale_tickets"
SUMMARY = "close tickets that wait for an answer and that nobody changed for some weeks"
KIND = "tickets"
READS = ("tickets",)
SETTINGS = {
    "waiting": text("2", meaning="the id of a stage: tickets in it wait for an answer"),
    "closed": text("4", meaning="the id of the stage that they get"),
    "weeks": count(8, least=1, most=520),
}

STAGE, CHANGED, SUBJECT = "hs_pipeline_stage", "hs_lastmodifieddate", "subject"


def looked(context: Context) -> Iterator[Looked]:
    """Yield each ticket that is to be closed; it writes nothing, and never will: what it yields is a plan."""
    own = context.values
    stale = context.now - timedelta(weeks=own["weeks"])
    for page in context.api.matching(KIND, STAGE, [own["waiting"]], [STAGE, CHANGED, SUBJECT]):
        for ticket in page:
            if timestamp(ticket.properties[CHANGED]) < stale:
                yield updated(context, KIND, ticket, {STAGE: own["closed"]})
            else:
                context.passed(1)
    context.note(f"tickets in stage {own['waiting']} that nobody changed since {stale:%Y-%m-%d}")
