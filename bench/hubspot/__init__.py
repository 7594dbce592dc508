"""
The bench of HubSpot, `python -m bench hubspot`: a first load of a portal's companies, what changed in them, and a run
in which nothing did.

    portal.py      the sandbox's portal, a process of its own
    turns.py       who is measured, the runs of one turn, and what the portal goes through meanwhile
    check.py       what a contender's table holds
    table.py       what is printed

The contenders stand with the others, in `bench/contenders`. Not here: how a process is measured (`bench/measure.py`).
Only the standard library is imported here, so that every environment can read this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

TOKEN = "pat-bench-hubspot"
PROPERTIES = "/crm/v3/properties/companies"
OBJECTS = "/crm/objects/2026-09/companies"
LOOKBACK_MS = 600_000  # how far before its mark a later run begins: syncer's mapping has ten minutes
LAG_MS = 60_000  # how far behind the server's clock a mark stands: syncer's

# What of each record is compared with the portal, texts as they are.
TEXTS = ("name", "domain", "description", "phone", "city", "client_id")
NUMBERS = ("numberofemployees", "annualrevenue")
FLAG = "is_public"
CHANGED = "hs_lastmodifieddate"


class Source(Protocol):
    """What a contender's module has beside `IMPORTED` and `load`: where its rows are, as SQL behind FROM."""

    ROWS: str


def names_of(definitions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the properties that a portal defines, in its order."""
    return [each["name"] for each in definitions if not each.get("archived")]


def query(rows: str) -> str:
    """Write the query whose rows `checksum` takes; who keeps all values as texts has "" among them."""
    typed = {**dict.fromkeys(NUMBERS, "DECIMAL(38, 9)"), FLAG: "BOOLEAN", CHANGED: "TIMESTAMPTZ"}
    casts = {name: f"CAST(NULLIF(CAST({name} AS VARCHAR), '') AS {kind})" for name, kind in typed.items()}
    chosen = [*TEXTS, *(casts[name] for name in (*NUMBERS, FLAG)), f"epoch_ms({casts[CHANGED]})"]
    return f"SELECT id, {', '.join(chosen)} FROM {rows}"


def checksum(rows: Iterable[Sequence[Any]]) -> str:
    """
    Return one text for rows in any order: id, TEXTS, NUMBERS (decimals), FLAG (a bool), CHANGED (in milliseconds).

    A blank is what null is: HubSpot shows "" where a value was cleared, and not everybody keeps it.
    """
    found = hashlib.sha256()
    for row in sorted(rows, key=lambda row: str(row[0])):
        values = [format(each.normalize(), "f") if isinstance(each, Decimal) else each for each in row]
        found.update(repr(["" if each is None else str(each) for each in values]).encode())
    return found.hexdigest()
