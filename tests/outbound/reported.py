"""Stored plans of any kind, without a portal: what the tests of reports show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from syncer import plan, plans, shape
from syncer.plan import Change, Edge, Edit
from syncer.plans import Header, PlanRow, Problem
from syncer.reports.plan_shown import SETTLED, Shown
from syncer.tally import Counts, Pushed
from syncer.warehouses import Warehouse

MADE = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
ODD = (
    "O'Neil",
    'a "quoted" word',
    "two\nlines\r\nand\ta tab",
    "<script>alert(1)</script><b>bold</b>",
    "</script><script>window.broken = true</script><!--",
    "</script ><script >window.broken = true</script/><!--<script x",
    "&lt;not a tag&gt; &amp; &#64;",
    "a|pipe || and `ticks` ``` and \\| \\",
    "@octocat #1 https://example.org www.example.org ada@example.org",
    "[link](javascript:alert(1)) ![image](x) *star* _line_ ~~gone~~ $x$ :smile:",
    "{braces} {{twice}} {0} %s",
    "a/b#c@x.com",
    "\u202etxt.exe\u202c and \u200bnothing \x1b[31mred\x1b[0m \x07",
    "  blanks around  ",
    "日本語 😀 👩\u200d👧 e\u0301",
    "\u2028line\u2029paragraph",
    "",
)
LONG = "Q" * 10_000


def header(**more: Any) -> Header:
    """Make a header of companies, by `client_id`."""
    settings = {"kind": "companies", "relation": "stage.companies", "match_on": "client_id", "edges": []}
    return Header(
        **{
            "plan": plans.new_plan(),
            "mapping": "hubspot.companies",
            "environment": "default",
            "account": "123",
            "state": plans.PLANNED,
            "made_at": MADE,
            "settings": settings,
            "checksum": "c" * 32,
            **more,
        }
    )


def stored(
    warehouse: Warehouse,
    changes: Iterable[Change],
    rows: Sequence[PlanRow] = (),
    *,
    head: Header | None = None,
    pushed: dict[str, Any] | None = None,
    **how: Any,
) -> Shown:
    """Store a plan as a push does, some at once; return it as it is shown."""
    made = head or header()
    number = 0
    with warehouse.transaction() as t:
        shape.ensure_state(t)
        for table in plans.TABLES:
            shape.ensure(t, table)
        plans.insert(t, made)
        for part in _parts(changes):
            number += len(part)
            plans.add(t, made, changes=part, rows=[], read_at=MADE)
        plans.add(t, made, changes=[], rows=rows, read_at=MADE)
        made = attrs.evolve(made, changes=number)
        plans.update(t, made)
    told = {"counts": Counts(created=number), **(pushed or {})}
    run = Pushed(
        run=told.pop("run", None), plan=made.plan, checksum=made.checksum, mapping=made.mapping,
        environment=made.environment, requests=3, **told,
    )  # fmt: skip
    return Shown(pushed=run, header=made, warehouse=warehouse, **how)


def _parts(changes: Iterable[Change]) -> Iterator[list[Change]]:
    part: list[Change] = []
    for change in changes:
        part.append(change)
        if len(part) == 1_000:
            yield part
            part = []
    if part:
        yield part


def change(number: int, action: str = plan.UPDATE, **more: Any) -> Change:
    """Make a change of a company."""
    given: dict[str, Any] = {"kind": "companies", "key": f"client-{number}", **more}
    if action != plan.CREATE:
        given.setdefault("id", str(5_000 + number))
    return Change(number=number, action=action, **given)


def problem(kind: str, field: str = "phone", **more: Any) -> Problem:
    """Make a problem of a field."""
    return Problem(kind=kind, field=field, **more)


def one_of_each() -> tuple[list[Change], list[PlanRow]]:
    """Make a change of each action, and a row for each kind of problem."""
    edge = Edge(
        kind="companies", id=None, category="USER_DEFINED", type_id=7, label="Parent", key="client-1", made_by=1
    )
    gone = Edge(kind="contacts", id="77", category="HUBSPOT_DEFINED", type_id=280, key="ada@example.org")
    changes = [
        change(1, plan.CREATE, fields={"name": Edit(None, "Acme")}),
        change(2, fields={"phone": Edit("010-1", "010-2", 'policy = "ours"'), "industry": Edit("x", None)}),
        change(3, plan.ASSOCIATE, edge=edge, after=(1, 2)),
        change(4, plan.DISASSOCIATE, edge=gone),
        change(5, plan.ARCHIVE),
        change(6, plan.MERGE, into="5001"),
        change(7, fields={"phone": Edit("1", "2")}, state=plan.FAILED, reason="HubSpot refused it."),
    ]
    both = {"reason": "Both sides changed it.", "agreed": "0", "has_agreed": True}
    never = {"reason": "They differ and never agreed.", "ours": "A", "setting": 'adopt = "skip"'}
    rejects = [problem(plan.REJECTED, "tier", reason="It is none of the choices: gold.", ours="tin")]
    no_key = [problem(plan.REJECTED, "", reason="client_id is blank: nothing tells which record it is.")]
    settled = [problem(SETTLED, **both, ours="3", theirs="4", setting='policy = "ours"')]
    archived = [problem(plan.CONFLICT, "", reason="Its record 5011 was archived on their side.")]
    conflicts = [problem(plan.CONFLICT, **both, ours="1", theirs="2"), problem(plan.CONFLICT, "name", **never)]
    rows = [
        PlanRow(key="client-8", id="5008", outcome=plan.CONFLICT, problems=conflicts),
        PlanRow(key="client-9", outcome=plan.REJECTED, problems=rejects),
        PlanRow(key="", outcome=plan.REJECTED, problems=no_key),
        PlanRow(key="client-10", id="5010", problems=settled),
        PlanRow(key="client-11", id="5011", outcome=plan.CONFLICT, problems=archived),
    ]
    return changes, rows
