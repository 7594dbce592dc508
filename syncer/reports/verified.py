"""
What `verify` found, for people and for programs: counts by verdict with their causes, each unexplained row by name.

Personal values, and keys that are personal, are hidden. Not here: finding it (`verifying.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from syncer.compare import NEVER
from syncer.judging import AGREED, CONFLICT, LEFT_ALONE, NOT_PUSHED, REJECT, UNEXPLAINED, Judged, Reason
from syncer.reports import terminal
from syncer.reports.plan_shown import HIDDEN
from syncer.reports.terminal import clean, counted, painted

if TYPE_CHECKING:
    from syncer.verifying import Told, Verified

HEADS = (
    (AGREED, "agreed", "green"),
    (NOT_PUSHED, "not pushed", "yellow"),
    (LEFT_ALONE, "left alone", "dim"),
    (CONFLICT, "conflicts", "yellow"),
    (REJECT, "rejects", "yellow"),
    (UNEXPLAINED, "unexplained", "red"),
)
FIRST = 50  # unexplained rows that are shown
INDENT = "      "
LONGEST = 160  # letters of a value that are shown


def lines(found: Verified, stream: TextIO, *, shows_personal: bool = False, most: int = FIRST) -> Iterator[str]:
    """
    Yield what came of verifying one mapping, line by line; its counts stand at the end as well. One line where both
    sides agree whole.
    """
    if found.counts.get(AGREED, 0) == found.read and not found.notes:
        requests = counted(found.requests, "request")
        told = f"{_extent(found)}, and all agree; {requests}. Nothing was written."
        yield painted(f"verify {found.mapping} ({clean(found.environment)}): {told}", "bold", stream)
        return
    yield painted(f"verify {found.mapping} ({clean(found.environment)}): {_extent(found)}", "bold", stream)
    width = max(len(head) for _, head, _ in HEADS)
    digits = max(len(f"{found.counts.get(verdict, 0):,}") for verdict, _, _ in HEADS)
    for verdict, head, colour in HEADS:
        count = found.counts.get(verdict, 0)
        text = f"  {head:<{width}}  {count:>{digits},}"
        causes = ", ".join(f"{clean(cause)} {number:,}" for cause, number in found.causes.get(verdict, {}).items())
        yield f"{painted(text, colour, stream) if count else text}{'  ' + causes if causes else ''}"
    for note in found.notes:
        yield f"  {note}"
    if found.unexplained:
        yield ""
        yield painted(f"{counted(found.unexplained, 'row')} that nothing explains", "bold", stream)
    shown = found.records[:most]
    for record in shown:
        yield from _record(record, found, stream, shows_personal=shows_personal)
    if found.unexplained > len(shown):
        yield f"  … and {found.unexplained - len(shown):,} more: --output json names all of them."
    yield ""
    yield painted(f"verify {found.mapping}: {_end(found)}", "bold", stream)


def document(found: Verified) -> dict[str, Any]:
    """Return the entry of one mapping for programs: counts, not rows."""
    return {
        "mapping": found.mapping,
        "environment": found.environment,
        "rows": found.rows,
        "read": found.read,
        **{verdict: found.counts.get(verdict, 0) for verdict, _, _ in HEADS},
        "causes": {verdict: dict(found.causes.get(verdict, {})) for verdict, _, _ in HEADS},
        "sample": found.sample,
        "seed": found.seed,
        "requests": found.requests,
        "notes": list(found.notes),
    }


def entry(told: Told, *, shows_personal: bool = False) -> dict[str, Any]:
    """Return the entry of one unexplained row for programs; what is personal is hidden unless it is asked for."""
    record = told.record
    return {
        "mapping": told.mapping,
        "key": _key(record.key, told, shows_personal=shows_personal) or None,
        "id": record.id,
        "reasons": [_reason(each, told, shows_personal=shows_personal) for each in record.reasons],
    }


def _extent(found: Verified) -> str:
    if found.sample is None:
        return f"{counted(found.read, 'row')} compared"
    return f"{found.read:,} of {counted(found.rows, 'row')} compared, a sample of {found.sample:,} ({found.seed})"


def _end(found: Verified) -> str:
    if found.unexplained:
        told = f"{found.unexplained:,} of {counted(found.read, 'row')} unexplained"
    else:
        told = f"nothing unexplained in {counted(found.read, 'row')}"
    open_ones = [
        f"{found.counts[verdict]:,} {name}"
        for verdict, name in ((CONFLICT, "in conflict"), (REJECT, "rejected"))
        if found.counts.get(verdict)
    ]
    also = f"; {' and '.join(open_ones)}, which a push names" if open_ones else ""
    return f"{told}{also}; {counted(found.requests, 'request')}. Nothing was written."


def _record(record: Judged, found: Verified, stream: TextIO, *, shows_personal: bool) -> Iterator[str]:
    key = clean(_cut(_key(record.key, found, shows_personal=shows_personal))) or "(no key)"
    name = key if record.id in (None, record.key) else f"{key} ({clean(record.id)})"
    for reason in record.reasons:
        field = f"  {clean(reason.field)}" if reason.field else ""
        told = _reason(reason, found, shows_personal=shows_personal)
        others = f" [{', '.join(clean(_cut(each)) for each in told['others'])}]" if told["others"] else ""
        yield f"  {painted('?', 'red', stream)} {name}{field}: {clean(reason.text)}{others}"
        if reason.has_values:
            ours, theirs = _value(told["ours"]), _value(told["theirs"])
            agreed = "never agreed" if reason.agreed is NEVER else f"last agreed {_value(told['agreed'])}"
            yield f"{INDENT}here {ours}, there {theirs}, {agreed}"


def _reason(reason: Reason, found: Verified | Told, *, shows_personal: bool) -> dict[str, Any]:
    hides = not shows_personal and reason.field in found.personal
    told: dict[str, Any] = {
        "field": reason.field,
        "cause": reason.cause,
        "text": reason.text,
        "others": [_key(each, found, shows_personal=shows_personal) for each in reason.others],
    }
    if reason.has_values:
        sides = {"agreed": reason.agreed, "ours": reason.ours, "theirs": reason.theirs}
        told |= {side: HIDDEN if hides and value else value for side, value in sides.items() if value is not NEVER}
    return told


def _key(key: str, found: Verified | Told, *, shows_personal: bool) -> str:
    return HIDDEN if key and found.hides_key and not shows_personal else key


def _value(value: str | None) -> str:
    return "blank" if value is None else f"'{clean(_cut(value))}'"


def _cut(text: str) -> str:
    return terminal.fitted(text, LONGEST)
