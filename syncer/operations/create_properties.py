"""
`hubspot.create_properties`: make the unique properties that mappings find records by, where the portal lacks them.

A create is done exactly once only where a unique property tells, after a lost answer, whether it was done. Whether a
property's values are unique is fixed when it is made, so one that is there and is not unique is a reject. Not here:
what a definition is (`sources/hubspot/defining.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, cast

from syncer import plan
from syncer.operations import Context, Looked
from syncer.plan import Change, Edit
from syncer.plans import PlanRow, Problem
from syncer.sources import Source
from syncer.target import Shape, Target

NAME = "hubspot.create_properties"
SUMMARY = "make the unique properties that match_on names and the portal lacks"
KIND = "properties"
STAYS = "A property that was made stays: values may stand in it. HubSpot's settings archive it."


class _Definable(Protocol):
    def definitions(self) -> Target: ...


def target(source: Source) -> Target:
    """Return the portal's definitions, as a target."""
    return cast(_Definable, source).definitions()


def ends(change: Change) -> Sequence[str]:
    """Return the kind that a property is made for: making it needs a scope of that kind."""
    return (change.key.partition(".")[0],)


def looked(context: Context) -> Iterator[Looked]:
    """Yield each property that a mapping's match_on names: there already, to be made, or not to be had."""
    records = cast(Target, context.source)
    seen = set()
    for mapping in context.mappings:
        words = mapping.outbound
        if words is None or words.match_on is None or (words.kind, words.match_on) in seen:
            continue
        seen.add((words.kind, words.match_on))
        yield _one(records.shape(words.kind), words.kind, words.match_on, mapping.name)


def _one(shape: Shape, kind: str, name: str, mapping: str) -> Looked:
    key = f"{kind}.{name}"
    there = shape.properties.get(name)
    if there is not None and there.is_unique:
        return Looked(PlanRow(key=key, id=key, outcome=plan.UNCHANGED))
    if there is not None:
        reason = (
            f"{kind} has a property {name} whose values are not unique, and that is fixed when a property is made: "
            f'name another one in match_on of ["{mapping}"].'
        )
        problem = Problem(kind=plan.REJECTED, field="hasUniqueValue", reason=reason, ours="true", theirs="false")
        return Looked(PlanRow(key=key, id=key, outcome=plan.REJECTED, problems=[problem]))
    wanted = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": "string",
        "fieldType": "text",
        "hasUniqueValue": "true",
        "description": f"Finds the record of a row of {mapping}.",
    }
    change = Change(
        number=1,
        action=plan.CREATE,
        kind=KIND,
        key=key,
        fields={field: Edit(None, value) for field, value in sorted(wanted.items())},
    )
    return Looked(PlanRow(key=key), [change])
