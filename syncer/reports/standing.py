"""
How things stand, as text and as JSON: what `syncer status` shows.

Not here: how it is found out (`status.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import attrs

from syncer.overdue import PULL, PUSH, RUN
from syncer.reports import terminal
from syncer.reports.terminal import age, clean, counted, duration, painted, table
from syncer.status import Run, Standing

_COLOUR = {"done": "green", "running": "yellow", "failed": "red", "broken": "red", "refused": "red"}
INDENT = "  "
FIRST_FINDINGS = 20  # how many of a kind and mapping are shown
_ALWAYS = ("read", "inserted", "updated", "requests")
_OF_PUSHES = ("created", "archived", "merged", "conflicts", "skipped", "failed", "pending")  # in the counts of a run
_COLUMNS = (
    "keys", "read", "inserted", "created", "updated", "archived", "merged", "unchanged", "skipped", "gone", "braked",
    "rejected", "conflicts", "failed", "pending", "requests",
)  # fmt: skip
_ROWS = (
    ("created", "created"), ("updated", "updated"), ("archived", "archived"), ("merged", "merged"),
    ("unchanged", "unchanged"), ("skipped", "skipped"), ("conflicts", "in conflict"), ("rejected", "rejected"),
    ("failed", "failed"), ("pending", "pending"),
)  # fmt: skip

_ALSO = (("also_created", "made"), ("also_updated", "changed"))


def as_document(found: Standing) -> dict[str, Any]:
    """Return what stands, for a program: a list a key, its entries named like the columns in schema `syncer`."""
    lists = (
        "runs", "places", "reject_counts", "rejects", "findings", "leases", "budget", "stale", "conflict_counts",
        "conflicts",
    )  # fmt: skip
    document: dict[str, Any] = {"warehouse": found.warehouse, "has_warehouse": found.has_warehouse, "now": found.now}
    document["budget_error"] = found.budget_error or None
    for name in lists:
        document[name] = [attrs.asdict(entry) for entry in getattr(found, name)]
    return document


def as_text(found: Standing, stream: TextIO) -> Iterable[str]:
    """Write what stands, for a person; a part of which there is nothing is left out."""
    if not found.has_warehouse:
        what = "has no schema syncer yet" if found.warehouse.startswith("odbc:") else "is not there yet"
        yield f"{found.warehouse} {what}: nothing was pulled. `syncer pull NAME` makes it."
    elif not found.runs:
        yield f"{found.warehouse}: no run yet."
    else:
        yield from _runs(found, stream)
        yield from _trouble(found, stream)
        yield from _section("places", _places(found, stream), stream)
        yield from _section("rejects", _rejects(found, stream), stream)
        yield from _section("open conflicts", _conflicts(found, stream), stream)
        yield from _section("findings", _findings(found, stream), stream)
    yield from _section("running now", _leases(found, stream), stream)
    yield from _section("request budget", _budget(found, stream), stream)


def one_run(run: Run, found: Standing, stream: TextIO) -> Iterable[str]:
    """Write all that is known of one run."""
    yield painted(f"run {run.run}: {run.verb} {_named(run.mapping, run.environment)}", "bold", stream)
    yield f"  status     {painted(run.status, _COLOUR.get(run.status, 'bold'), stream)}"
    yield from _done(run) if is_of_plan(run) else _loaded(run)
    yield f"  began      {terminal.moment(run.started_at)}, {age(run.started_at, found.now)}"
    yield f"  ended      {terminal.moment(run.finished_at)}"
    yield f"  took       {_took(run, found.now)}, {counted(run.requests, 'request')}"
    yield f"  process    {run.pid} on {clean(run.host)}"
    if run.error:
        yield painted(f"  error      {clean(run.error)}", "red", stream)
    yield from _section("rejects", _rejects(found, stream), stream)
    yield from _section("conflicts", _conflicts(found, stream), stream)
    yield from _section("findings", _findings(found, stream), stream)


def is_of_plan(run: Run) -> bool:
    """Tell whether a run carried out a plan, or was to: a push, a revert, an operation."""
    return run.verb == PUSH or run.plan is not None


def _loaded(run: Run) -> Iterable[str]:
    """Write what a pull did."""
    written = f"{run.inserted:,} inserted, {run.updated:,} updated, {run.unchanged:,} unchanged"
    braked = f", {run.braked:,} would have ended and did not" if run.braked else ""
    yield f"  mode       {run.mode}{f', {run.keys:,} keys met' if run.keys else ''}"
    yield f"  read       {run.read:,}: {written}"
    yield f"  beside it  {run.gone:,} gone, {run.rejected:,} rejected{braked}"
    yield f"  mark       {clean(run.mark or '-')}"


def _done(run: Run) -> Iterable[str]:
    """Write what a run of a plan did: its rows, each counted once, and the edges beside them."""
    told = run.counts or {}
    rows = [f"{told[name]:,} {word}" for name, word in _ROWS if told.get(name)]
    edges = [f"{told[name]:,} edges {name}" for name in ("associated", "disassociated") if told.get(name)]
    also = [
        f"{counted(told[name], 'record')} {word} of rows that are rejected, in conflict or failed"
        for name, word in _ALSO
        if told.get(name)
    ]
    yield f"  plan       {run.plan or '-'}"
    yield f"  read       {run.read:,}{': ' if rows else ''}{', '.join(rows)}"
    for beside in filter(None, (", ".join(also), ", ".join(edges))):
        yield f"  beside it  {beside}"
    for trip in told.get("trips") or ():
        yield f"  refused    {clean(str(trip))}"


def stale_text(found: Standing) -> list[str]:
    """Write a line for each mapping and operation that has not finished a run for too long."""
    lines = []
    for late in found.stale:
        name = _named(late.mapping, late.environment)
        last = (
            "never finished a run"
            if late.last_done is None
            else f"last finished {age(late.last_done, found.now, units=2)}"
        )
        since = f"; its last run: {late.last_status}" if late.last_status not in (None, "done") else ""
        lines.append(f"{name}{f' ({late.verb})' if late.verb != PULL else ''} {last}{since}")
    return lines


def _runs(found: Standing, stream: TextIO) -> Iterable[str]:
    """One line a mapping and verb; what is nothing for all of them has no column. A run of a plan ends with its id."""
    numbers = [(name, [_number(run, name) for run in found.runs]) for name in _COLUMNS]
    has_verbs = any(run.verb != PULL for run in found.runs)
    has_ids = any(is_of_plan(run) for run in found.runs)  # `syncer revert` takes them
    numbers = [(name, counts) for name, counts in numbers if name in _ALWAYS or any(counts)]
    rows = [
        (
            _named(run.mapping, run.environment),
            *([run.verb] if has_verbs else []),
            run.status,
            age(_moved_at(run), found.now),
            _took(run, found.now),
            *(counts[at] for _, counts in numbers),
            *([run.run if is_of_plan(run) else None] if has_ids else []),
        )
        for at, run in enumerate(found.runs)
    ]
    verbs = ["verb"] if has_verbs else []
    ids = ["run"] if has_ids else []
    lines = table(["mapping", *verbs, "status", "when", "took", *(name for name, _ in numbers), *ids], rows, stream)
    yield lines[0]
    for line, run in zip(lines[1:], found.runs, strict=True):
        # The status stands between blanks, and no name holds any; no verb is called as a status is.
        coloured = painted(run.status, _COLOUR.get(run.status, "bold"), stream)
        yield line.replace(f" {run.status} ", f" {coloured} ", 1)


def _number(run: Run, name: str) -> int:
    """Return a number of a run; what only pushes have stands in their counts."""
    return int((run.counts or {}).get(name) or 0) if name in _OF_PUSHES else int(getattr(run, name))


def _next(run: Run) -> str:
    """Say what the next run makes of one that was broken off."""
    if is_of_plan(run):
        return f"the next {RUN if run.verb == RUN else PUSH} settles what was in flight"
    return "the next run begins anew" if run.verb == RUN else f"the next {PULL} goes on from what it committed"


def _trouble(found: Standing, stream: TextIO) -> Iterable[str]:
    """Say why last runs did not end well; mappings that failed for one reason (a token that ended) share a line."""
    same: dict[str, list[str]] = {}
    for run in found.runs:
        name = _named(run.mapping, run.environment)
        if run.status == "broken":
            yield f"{name}: run {run.run} was broken off; {_next(run)}."
        elif run.error:
            done = f" (last done {age(run.last_done, found.now)})" if run.last_done else ""
            same.setdefault(run.error, []).append(name + done)
    for error, names in same.items():
        yield painted(f"{', '.join(names)}: {clean(error)}", "red", stream)


def _places(found: Standing, stream: TextIO) -> Sequence[str]:
    if not found.places:
        return []
    rows = [
        (_named(each.mapping, each.environment), each.scopes, age(each.moved_at, found.now), each.oldest, each.newest)
        for each in found.places
    ]
    if all(each.oldest == each.newest for each in found.places):
        return table(["mapping", "scopes", "moved", "mark"], [row[:-1] for row in rows], stream, indent=INDENT)
    return table(["mapping", "scopes", "moved", "oldest mark", "newest mark"], rows, stream, indent=INDENT)


def _rejects(found: Standing, stream: TextIO) -> Sequence[str]:
    if found.rejects:
        rows = [
            (
                _named(each.mapping, each.environment),
                each.key or ("a row without a key" if each.scope == PUSH else each.scope) or "-",
                each.column or "-",
                age(each.last_seen, found.now),
                each.reason,
            )
            for each in found.rejects
        ]
        return table(["mapping", "key or scope", "column", "seen", "reason"], rows, stream, indent=INDENT)
    has_pushed = any(each.pushed for each in found.reject_counts)
    counts = [
        (
            _named(each.mapping, each.environment),
            each.rejects,
            *([each.pushed] if has_pushed else []),
            each.scopes,
            age(each.last_seen, found.now),
        )
        for each in found.reject_counts
    ]
    if not counts:
        return []
    pushed = ["of pushes"] if has_pushed else []
    lines = table(["mapping", "rejects", *pushed, "scopes that failed", "seen"], counts, stream, indent=INDENT)
    return [*lines, f"{INDENT}`syncer status --rejects` shows the first ones."]


def _conflicts(found: Standing, stream: TextIO) -> Sequence[str]:
    """Which fields are left for a person; the values stand in the warehouse alone, since some are personal."""
    if found.conflicts:
        rows = [
            (
                _named(each.mapping, each.environment),
                each.key or "-",
                each.id or "-",
                each.field or "-",
                each.state,
                age(each.first_seen, found.now),
                f"{each.reason or ''}{f' ({each.setting})' if each.setting else ''}",
            )
            for each in found.conflicts
        ]
        columns = ["mapping", "key", "record", "field", "state", "since", "reason"]
        return [*table(columns, rows, stream, indent=INDENT), f"{INDENT}The values are in syncer.conflicts."]
    counts = [
        (_named(each.mapping, each.environment), each.conflicts, each.records, age(each.first_seen, found.now))
        for each in found.conflict_counts
    ]
    if not counts:
        return []
    lines = table(["mapping", "conflicts", "records", "the oldest"], counts, stream, indent=INDENT)
    return [*lines, f"{INDENT}`syncer status --rejects` shows the first ones."]


def _findings(found: Standing, stream: TextIO) -> Sequence[str]:
    """A line a finding, but for those of a kind of which a mapping has many (a portal's archived properties)."""
    rows: list[Sequence[object]] = []
    counts: dict[tuple[str, str], int] = {}
    for each in found.findings:
        of = (_named(each.mapping, each.environment), each.kind)
        counts[of] = counts.get(of, 0) + 1
        if counts[of] <= FIRST_FINDINGS:
            rows.append((*of, each.key or "-", each.times, age(each.last_seen, found.now), each.detail))
    rows += [
        (*of, f"{count - FIRST_FINDINGS:,} more", "-", "-", "`--output json` has them all")
        for of, count in counts.items()
        if count > FIRST_FINDINGS
    ]
    return table(["mapping", "finding", "key", "times", "seen", "detail"], rows, stream, indent=INDENT) if rows else []


def _leases(found: Standing, stream: TextIO) -> Sequence[str]:
    rows = [
        (
            _named(each.mapping, each.environment),
            f"process {each.pid} on {each.host}",
            age(_read(each.since), found.now),
        )
        for each in found.leases
    ]
    return table(["mapping", "by", "since"], rows, stream, indent=INDENT) if rows else []


def _budget(found: Standing, stream: TextIO) -> Sequence[str]:
    """The limits that something was taken of just now; or why they are not known."""
    if found.budget_error:
        return [f"{INDENT}{clean(found.budget_error)}"]
    rows = [
        (
            use.owner,
            use.bucket,
            f"{use.used:,} of {use.limit:,} in {duration(use.window_s)}",
            f"paused for {duration(use.paused_s)}" if use.paused_s else "-",
        )
        for use in found.budget
    ]
    if not rows:
        return []
    if not any(use.paused_s for use in found.budget):
        return table(["source and token", "limit", "used"], [row[:-1] for row in rows], stream, indent=INDENT)
    return table(["source and token", "limit", "used", "the API said"], rows, stream, indent=INDENT)


def _section(title: str, lines: Sequence[str], stream: TextIO) -> Iterable[str]:
    if lines:
        yield ""
        yield painted(title, "bold", stream)
        yield from lines


def _named(mapping: str, environment: str) -> str:
    return mapping if environment == "default" else f"{mapping}@{environment}"


def _moved_at(run: Run) -> dt.datetime:
    return run.finished_at or run.updated_at


def _took(run: Run, now: dt.datetime) -> str:
    until = now if run.status == "running" else _moved_at(run)
    return duration((until - run.started_at).total_seconds())


def _read(since: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(since)
    except ValueError:
        return None
