"""Each row is counted once: what every run of every test of pushes is held against."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from syncer.tally import Pushed

if TYPE_CHECKING:
    from tests.outbound import PushHome


def sums_wrong(home: PushHome) -> list[str]:
    """Say which runs do not count each row once: `read` is the sum."""
    found = []
    counted = "counts IS NOT NULL AND mode <> 'report'"  # a report counts lines, of which some are findings
    for run, read, counts in home.rows(f"SELECT run, read, counts FROM syncer.runs WHERE {counted}"):
        told = json.loads(counts)
        total = sum(
            value
            for name, value in told.items()
            if isinstance(value, int) and not name.startswith(("also_", "associated", "disassociated"))
        )
        if read != total:
            found.append(f"run {run} read {read}, and its counts are {told}")
    return found


def read_wrong(home: PushHome, pushed: Pushed, relation: str) -> list[str]:
    """Say whether a run that made a plan counted the relation's rows, and those that left it since the last run."""
    if not pushed.plan:
        return []
    [(rows, gone)] = home.rows("SELECT relation_rows, missing_rows FROM syncer.plans WHERE plan = ?", [pushed.plan])
    [(there,)] = home.rows(f"SELECT COUNT(*) FROM {relation}")
    if pushed.counts.read == there + gone and rows == there:
        return []
    return [f"{pushed.run} read {pushed.counts.read}: the relation has {there} rows ({rows} by the plan), {gone} left"]
