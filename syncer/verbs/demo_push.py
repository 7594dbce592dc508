"""
How the demo pushes: a small relation of its own, made of what it pulled; a plan, its picture, the apply, and a push
with nothing to do. Not a verb.

Not here: the pulls before it (`demo.py`), what a push does (`pushing.py`), what a plan looks like
(`reports/plan_text.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer.reports import plan_json, plan_text
from syncer.reports.plan_shown import Shown
from syncer.tables import LOAD, Column, Table
from syncer.values import DECIMAL, DOUBLE, TEXT

if TYPE_CHECKING:
    from syncer.executing import Told
    from syncer.sandbox import Sandbox
    from syncer.settings import Settings
    from syncer.tally import Pushed
    from syncer.verbs import Session
    from syncer.verbs.demo_warehouse import DemoWarehouse

MAPPING, SOURCE, KIND = "hubspot.companies", "hubspot", "companies"
LOADED = f"{LOAD}.hubspot_companies"
KEY, EDGE = "client_id", "parent"
RELATION = Table(
    schema=LOAD,  # where all is the demo's
    name="demo_companies",
    columns=(
        Column(KEY, TEXT),
        Column("name", TEXT),
        Column("phone", TEXT),
        Column("industry", TEXT),
        Column("numberofemployees", DECIMAL),
        Column("health_score", DOUBLE),  # calculated there: the plan says that it is not pushed
        Column(EDGE, TEXT),
    ),
    key=(KEY,),
)
WORDS = {
    "relation": f"{RELATION.schema}.{RELATION.name}",
    "match_on": KEY,
    "edges": {EDGE: {"to": KIND, "label": "Parent Company"}},
}
MOST = 60  # companies
NEW = (
    {KEY: "N000001", "name": "De Groot & Zonen", "phone": "+31 20 555 0101", "industry": "RETAIL"},
    {KEY: "N000002", "name": "De Groot & Zonen Transport", "phone": "+31 20 555 0102", EDGE: "N000001"},
)
NO_OPTION = "SPACE_TRAVEL"
OURS, THEIRS = "+31 20 555 0103", "+31 6 5550 0104"  # what both sides make of one phone
INDENT = "   "
_BUILT_IN = "demo_rows"


@attrs.define(kw_only=True)
class DemoPush:
    """The demo's way out, step by step. done: its runs, in their order."""

    session: Session
    sandbox: Sandbox
    settings: Settings
    warehouse: DemoWarehouse
    done: list[Pushed] = attrs.field(factory=list)

    def run(self) -> bool:
        """Push; tell whether all of it went as a demo should. What it leaves for a person is no failure."""
        say = self.session.say
        keys = self._make_relation()
        say(
            f"\n4. The way back: {len(keys):,} of the companies, in a table of ours, {WORDS['relation']}. The first "
            "push finds both\n   sides equal, writes nothing, and keeps what they agreed on:\n"
        )
        if not self._push():
            return False
        self._edit(keys)
        say(
            "\n5. Both sides go on working. Here five companies change and two are new; there a person changes a "
            "phone\n   that changed here as well. A dry run stores a plan and shows it; nothing is written:\n"
        )
        if not self._push(is_rehearsal=True):
            return False
        say("\n6. Just that plan is applied, by its id:\n")
        if not self._push(plan=self.done[-1].plan):
            return False
        say(
            "\n7. A second push has nothing to do. What is in conflict, and what was rejected, is left for a person:\n"
        )
        return self._push()

    def _make_relation(self) -> list[str]:
        """Make the relation of live companies, those with the first keys; return these."""
        from syncer import sql

        names = [column.name for column in RELATION.columns if column.name != EDGE]
        query = f"SELECT {sql.names(names)} FROM {LOADED} WHERE dss_record_state = 'live' AND {KEY} IS NOT NULL"
        with self.warehouse.opened() as t:
            # Sorted here: a server has an order of its own.
            found = sorted(t.rows(sql.statement(query)), key=lambda row: str(row[0]))[:MOST]
            rows = [{**dict(zip(names, row, strict=True)), EDGE: None} for row in found]
            t.create(RELATION)
            t.stage(_BUILT_IN, RELATION.arrow(rows), RELATION.types())
            listed = sql.names(RELATION.types())
            t.run(
                sql.statement(
                    f"INSERT INTO {sql.table_name(RELATION)} ({listed}) SELECT {listed} FROM {sql.quoted(_BUILT_IN)}"
                )
            )
        return [row[KEY] for row in rows]

    def _edit(self, keys: Sequence[str]) -> None:
        """Let both sides change: a field of each of five rows, one of them there as well, and two new rows."""
        from syncer import sql

        with self.sandbox.locked(SOURCE) as site:
            records = {
                each.properties.get(KEY): each
                for each in site.store.records[KIND].values()  # type: ignore[attr-defined]  # HubSpot's has it
                if not each.is_archived
            }
            free = [key for key in keys if key in records]

            def take(fits: Callable[[Mapping[str, Any]], Any]) -> str:
                found = next((key for key in free if fits(records[key].properties)), free[0])
                free.remove(found)
                return found

            edits: list[tuple[str, dict[str, str | int]]] = [
                (take(lambda of: of.get("phone")), {"phone": "+31 20 555 0100"}),
                (take(lambda of: of.get("industry") == "RETAIL"), {"industry": "BANKING"}),
                (take(lambda of: not of.get("numberofemployees")), {"numberofemployees": 25}),
                (take(lambda of: of.get("industry")), {"industry": NO_OPTION}),
            ]
            torn = take(lambda of: of.get("phone"))
            edits.append((torn, {"phone": OURS}))
            site.store.update(KIND, records[torn].id, {"phone": THEIRS})  # type: ignore[attr-defined]  # as above
        with self.warehouse.opened() as t:
            for key, values in edits:
                for name, value in values.items():
                    changed = f"UPDATE {sql.table_name(RELATION)} SET {sql.quoted(name)} = ? WHERE {KEY} = ?"
                    t.run(sql.statement(changed), [value, key])
            for row in NEW:
                marks = ", ".join("?" for _ in row)
                made = f"INSERT INTO {sql.table_name(RELATION)} ({sql.names(row)}) VALUES ({marks})"
                t.run(sql.statement(made), list(row.values()))

    def _push(self, **asked: Any) -> bool:
        """Push once, and tell it; tell whether it went as it should."""
        from syncer import executing, pushing
        from syncer.reports.progress import PlanProgress

        session = self.session
        progress = PlanProgress("push", sys.stderr, is_shown=not session.shared.quiet)
        session.before_note = progress.clear
        request = executing.Request(
            on_plan=self._told_plan, on_run=self._told, on_progress=progress.moved_plan, **asked
        )
        settings = attrs.evolve(self.settings, tables={**self.settings.tables, MAPPING: WORDS})
        with progress:
            runs = pushing.push(MAPPING, settings=settings, request=request)
        self.done += runs
        return all(run.exit_code in (0, 3) for run in runs)

    def _told(self, pushed: Pushed) -> None:
        """Tell a run that has no plan: it failed."""
        session = self.session
        session.has_runs = True
        if session.is_json:
            entry = plan_json.entry(pushed)
            session.document.add(
                "pushes", {**entry, "error": session.hidden(entry["error"])} if pushed.error else entry
            )
        else:
            session.note(session.hidden(f"syncer: {plan_text.summary(pushed)}"))

    def _told_plan(self, found: Told) -> None:
        """Tell a run of a plan: the plan itself where nothing of it was written, else a line."""
        session, pushed = self.session, found.pushed
        session.has_runs = True
        shown = Shown(
            pushed=pushed,
            header=found.header,
            warehouse=found.warehouse,
            personal=found.personal,
            personal_ends=found.personal_ends,
        )
        if session.is_json:
            session.document.add_parts("pushes", plan_json.parts(shown))
        elif pushed.exit_code == 1:
            session.note(session.hidden(f"syncer: {plan_text.summary(pushed)}"))
        elif pushed.is_rehearsal or pushed.trips:
            for line in plan_text.lines(shown, sys.stdout):
                session.say(f"{INDENT}{line}" if line else "")
        else:
            for line in plan_text.summary(pushed).splitlines():
                session.say(f"{INDENT}{line}")
