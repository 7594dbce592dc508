"""
Draws docs/plan.png: the report of a made-up plan, in a real browser.

    python -m tests.outbound.picture docs/plan.png
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from syncer import plan
from syncer.clock import SystemClock
from syncer.plan import Change, Edge, Edit
from syncer.plans import PlanRow, Problem
from syncer.reports.plan_html import Report
from syncer.reports.plan_shown import Shown
from syncer.settings import Settings
from syncer.tally import Counts
from syncer.warehouses import Warehouse, find
from tests.outbound.chromium import Browser
from tests.outbound.reported import header, stored

NAMES = ("Acme", "Bakkerij Jansen", "Café Zürich", "De Groot & Zonen", "Eiland Hotels", "Fryslân Logistics")
LEFT = {
    "dss_load_date": "the warehouse's own",
    "dss_record_source": "the warehouse's own",
    "hs_lead_score": "calculated by HubSpot",
    "revenue_2019": "no such property",
}


def changes() -> Iterator[Change]:
    """Yield what a push of companies may look like."""
    for number in range(1, 413):
        name = f"{NAMES[number % 6]} {number // 6 + 1}"
        key = f"c-{1_000 + number}"
        if number % 9 == 0:
            fields = {
                "client_id": Edit(None, key),
                "name": Edit(None, name),
                "phone": Edit(None, f"+31 20 555 {number:04}"),
            }
            yield Change(number=number, action=plan.CREATE, kind="companies", key=key, fields=fields)
        elif number % 14 == 0:
            edge = Edge(
                kind="contacts", id=str(88_000 + number), category="HUBSPOT_DEFINED", type_id=280, label="Billing"
            )
            yield Change(
                number=number, action=plan.ASSOCIATE, kind="companies", key=key, id=str(51_000 + number), edge=edge
            )
        else:
            fields = {"phone": Edit(f"+31 20 555 {number:04}", f"+31 20 556 {number:04}")}
            if number % 3 == 0:
                fields["industry"] = Edit(
                    "COMPUTER_SOFTWARE", "INFORMATION_TECHNOLOGY_AND_SERVICES", 'policy = "ours"'
                )
            if number % 5 == 0:
                fields["city"] = Edit(None, "Groningen")
            yield Change(
                number=number, action=plan.UPDATE, kind="companies", key=key, id=str(51_000 + number), fields=fields
            )  # fmt: skip


def rows() -> list[PlanRow]:
    """Return what was left for a person."""
    both = Problem(
        kind=plan.CONFLICT, field="phone", reason="Both sides changed it.", agreed="+31 20 555 2001", has_agreed=True,
        ours="+31 20 556 2001", theirs="+31 6 1234 5678",
    )  # fmt: skip
    never = Problem(
        kind=plan.CONFLICT, field="name", reason="The two sides differ and never agreed.", ours="Hotel Noord",
        theirs="Noord Hotels BV", setting='adopt = "skip"',
    )  # fmt: skip
    tier = Problem(
        kind=plan.REJECTED, field="tier", reason="It is none of the choices; the nearest: gold.", ours="golden"
    )
    return [
        PlanRow(key="c-2001", id="52001", outcome=plan.CONFLICT, problems=[both]),
        PlanRow(key="c-2002", id="52002", outcome=plan.CONFLICT, problems=[never]),
        PlanRow(key="c-2003", outcome=plan.REJECTED, problems=[tier]),
    ]


def shown(warehouse: Warehouse) -> Shown:
    """Store the plan."""
    counts = Counts(created=45, updated=367, conflicts=2, rejected=1, unchanged=4_402)
    head = header(
        plan="7c1f9a04d2be", checksum="9f0b6c2e7d1a4583b1e09c44a7d2f613", left_columns=LEFT, account="1234567"
    )
    return stored(
        warehouse, changes(), rows(), head=head, pushed={"counts": counts, "associated": 26}, personal_ends=frozenset()
    )


def draw(path: Path) -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = find(Settings(base=Path(folder), warehouse="duckdb:w.duckdb"), clock=SystemClock())
        try:
            with Report(Path(folder) / "plan.html") as report:
                report.add(shown(warehouse))
        finally:
            warehouse.close()
        with Browser(Path(folder) / "browser") as browser:
            browser.ask(
                "Emulation.setDeviceMetricsOverride", width=1_000, height=1_080, deviceScaleFactor=1, mobile=False
            )
            browser.open(Path(folder) / "plan.html")
            browser.picture(path, width=1_000, height=1_080)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
