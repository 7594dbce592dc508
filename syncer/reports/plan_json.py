"""
A run of a plan as JSON for programs: the names that others build on, written part by part, so that memory holds some
thousand changes of any number.

ASCII only, like the document that it stands in (`documents.py`). What is personal is hidden here as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from syncer.errors import SyncerError
from syncer.plan import json_of
from syncer.reports import plan_shown
from syncer.reports.documents import as_json
from syncer.reports.plan_shown import Shown
from syncer.tally import Pushed

COUNTS = ("created", "updated", "archived", "merged", "unchanged", "conflicts", "rejected", "skipped", "failed",
          "pending", "also_created", "also_updated")  # fmt: skip


def entry(pushed: Pushed) -> dict[str, Any]:
    """Return the entry of one run, without its changes: all that there is of one that failed before it had a plan."""
    counts = attrs.asdict(pushed.counts)
    return {
        "run": pushed.run,
        "plan": pushed.plan or None,
        "checksum": pushed.checksum or None,
        "mapping": pushed.mapping,
        "environment": pushed.environment,
        "status": pushed.status,
        "read": pushed.counts.read,
        **{name: counts[name] for name in COUNTS},
        "associated": pushed.associated,
        "disassociated": pushed.disassociated,
        "requests": pushed.requests,
        "trips": list(pushed.trips),
        "notes": list(pushed.notes),
        **({"error": pushed.error} if pushed.error else {}),
    }


def parts(shown: Shown) -> Iterator[str]:
    """
    Yield the entry of one run in parts: its counts, `left_columns`, then `changes` and `problems`, one a line.

    Raises: SyncerError: the warehouse failed in the middle; what was written so far is ended as JSON, with the error.
    """
    notes = list(dict.fromkeys([*shown.header.notes, *shown.pushed.notes]))
    head = {**entry(shown.pushed), "notes": notes, "left_columns": dict(shown.header.left_columns)}
    yield as_json(head)[:-1]
    lists: tuple[tuple[str, Iterable[dict[str, Any]]], ...] = (
        ("changes", (json_of(change) for change in shown.changes())),
        ("problems", _problems(shown)),
    )
    for name, items in lists:
        yield f', "{name}": ['
        try:
            yield from _listed(items)
        except SyncerError as error:
            told = "" if shown.pushed.error else f', "error": {as_json(str(error))}'
            yield f"]{told}}}"
            raise
        yield "]"
    yield "}"


def _problems(shown: Shown) -> Iterator[dict[str, Any]]:
    for trouble in shown.troubles():
        yield {"key": trouble.key or None, "id": trouble.id, **plan_shown.problem_of(trouble.problem)}


def _listed(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    is_first = True
    for item in items:
        yield f"{'' if is_first else ','}\n{as_json(item)}"
        is_first = False
