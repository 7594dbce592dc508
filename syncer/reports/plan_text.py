"""
A plan as text for people: what it would do, the first changes field by field, what is left for a person, what is not
pushed, and which limits refuse it.

Line by line, as the warehouse gives it. What the two sides hold may be anything: it is shown on one line, and never
obeyed by a terminal. Piped, nothing is cut. Not here: what of it is hidden (`plan_shown.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from syncer import plan
from syncer.plan import Change
from syncer.plans import Problem
from syncer.reports import commands, plan_shown, terminal
from syncer.reports.plan_shown import FIRST, SETTLED, Shown, Trouble
from syncer.reports.terminal import clean, counted, painted
from syncer.tally import Pushed

SIGNS = {
    plan.CREATE: ("+", "green"),
    plan.UPDATE: ("~", "yellow"),
    plan.ARCHIVE: ("-", "red"),
    plan.MERGE: ("&", "red"),
    plan.ASSOCIATE: (">", "green"),
    plan.DISASSOCIATE: ("<", "yellow"),
}
LEAST, MOST = 30, 160  # letters of a value that a terminal is shown
INDENT = "      "
_HEADS = (
    (plan.CONFLICT, "in conflict: left alone", "!", "yellow"),
    (plan.REJECTED, "rejected: not written", "x", "red"),
    (SETTLED, "both sides moved, settled by a setting", "=", "dim"),
)


def summary(pushed: Pushed) -> str:
    """Write one run of a plan in a line or two."""
    lines = [f"{pushed.named} failed: {clean(pushed.error)}" if pushed.has_no_plan else pushed.line]
    lines += [f"  {clean(note)}" for note in pushed.notes]
    if pushed.trips:
        lines += [f"  refused: {clean(trip)}" for trip in pushed.trips]
    if pushed.error and not pushed.has_no_plan:
        lines.append(f"  failed: {clean(pushed.error)}")
    return "\n".join(lines)


def lines(shown: Shown, stream: TextIO, *, most: int = FIRST) -> Iterator[str]:
    """
    Yield a plan line by line, its first *most* changes field by field; colour only where *stream* shows it.

    The counts stand at the end as well: that is what a person sees who scrolled past the rest.
    """
    header = shown.header
    yield painted(f"plan {header.plan} of {header.mapping}: {clean(plan_shown.way(header))}", "bold", stream)
    yield f"  made {terminal.moment(header.made_at)}, checksum {header.checksum}"
    if header.reverts:
        yield f"  puts back run {header.reverts}"
    yield f"  {shown.pushed.told}"
    for note in dict.fromkeys([*header.notes, *shown.pushed.notes]):
        yield f"  {clean(note)}"
    yield from _changes(shown, stream, most)
    yield from _troubles(shown, stream)
    yield from _left(shown, stream)
    yield from _limits(shown, stream)
    yield ""
    yield painted(f"plan {header.plan}: {shown.pushed.told}. {_end(shown)}", "bold", stream)
    if shown.pushed.is_rehearsal and header.changes and not shown.pushed.trips:
        yield f"Apply just this: {plan_shown.apply_command(header, program=commands.program('syncer'))}"


def _end(shown: Shown) -> str:
    text = plan_shown.outcome(shown)
    return text[0].upper() + text[1:] + "."


def _changes(shown: Shown, stream: TextIO, most: int) -> Iterator[str]:
    number = 0
    for change in shown.changes(most):
        if not number:
            yield ""
        number += 1
        yield from _change(change, stream)
    if shown.header.changes > number:
        yield f"  … and {shown.header.changes - number:,} more changes: --report plan.html shows all of them."


def _change(change: Change, stream: TextIO) -> Iterator[str]:
    sign, colour = SIGNS[change.action]
    text = f"{sign} {change.action} {_record(change.key, change.id, stream)}{_title(change, stream)}"
    if change.edge is not None:
        text += f" → {clean(plan_shown.end_of(change.edge))}, {clean(plan_shown.type_of(change.edge))}"
    if change.into is not None:
        text += f" into {clean(change.into)}"
    text = painted(text, colour, stream)
    if change.after:
        text += painted(f"  after {_numbers(change.after)}", "dim", stream)
    if change.state != plan.PLANNED:
        text += f"  [{change.state}]"
    yield f"  {text}{': ' + clean(change.reason) if change.reason else ''}"
    for name, edit in plan.shown_fields(change).items():
        before, after = _values([edit.before, edit.after], stream)
        if change.action in (plan.MERGE, plan.ARCHIVE) and edit.after is not None:
            yield f"{INDENT}lost: {clean(name)} {before}, {after} stays"
            continue
        setting = painted(f"  ({clean(edit.setting)})", "dim", stream) if edit.setting else ""
        yield f"{INDENT}{clean(name)}: {before} → {after}{setting}"


def _title(change: Change, stream: TextIO) -> str:
    """What people call the record."""
    return f" {_values([change.title], stream)[0]}" if change.title else ""


def _numbers(after: tuple[int, ...]) -> str:
    return ", ".join(f"#{number}" for number in after)


def _record(key: str, id: str | None, stream: TextIO) -> str:
    [short] = plan_shown.excerpt([key], MOST) if terminal.width_of(stream) is not None else [key]
    name = clean(short) if key else "(no key)"
    return name if id is None or id == key else f"{name} ({clean(id)})"


def _values(values: list[str | None], stream: TextIO) -> list[str]:
    """Write values beside each other; in a terminal only as much of them as two take on a line or two."""
    room = terminal.width_of(stream)
    if room is not None:
        values = plan_shown.excerpt(values, max(LEAST, min(MOST, room - 20)))
    return ["blank" if value is None else f"'{clean(value)}'" for value in values]


def _troubles(shown: Shown, stream: TextIO) -> Iterator[str]:
    found = shown.first_troubles()
    for kind, head, sign, colour in _HEADS:
        first, total = found[kind]
        if kind == plan.REJECTED and shown.header.standing_rejects:
            head += f"; {shown.header.standing_rejects:,} more rows were rejected before, and are as they were"
        elif not total:
            continue
        yield ""
        yield painted(f"{counted(total, 'field or row', 'fields or rows')} {head}", "bold", stream)
        for trouble in first:
            yield from _trouble(trouble, painted(sign, colour, stream), stream, plan_shown.sides(shown.header))
        if total > len(first):
            yield f"  … and {total - len(first):,} more: --report plan.html shows all of them."


def _trouble(trouble: Trouble, sign: str, stream: TextIO, names: tuple[str, str, str]) -> Iterator[str]:
    problem = trouble.problem
    field = f"  {clean(problem.field)}" if problem.field else ""
    setting = painted(f"  ({clean(problem.setting)})", "dim", stream) if problem.setting else ""
    yield f"  {sign} {_record(trouble.key, trouble.id, stream)}{field}: {clean(problem.reason)}{setting}"
    sides = _sides(problem, stream, names)
    if sides:
        yield f"{INDENT}{sides}"


def _sides(problem: Problem, stream: TextIO, names: tuple[str, str, str]) -> str:
    """Write what stands on either side: a reject has ours only, and a conflict of a whole record has neither."""
    if problem.kind == plan.REJECTED:
        return f"here {_values([problem.ours], stream)[0]}" if problem.ours is not None else ""
    if not problem.field:
        return ""
    ours, theirs, agreed = _values([problem.ours, problem.theirs, problem.agreed], stream)
    here, there, last = names
    return f"{here} {ours}, {there} {theirs}, {last + ' ' + agreed if problem.has_agreed else 'never agreed'}"


def _left(shown: Shown, stream: TextIO) -> Iterator[str]:
    if not shown.header.left_columns:
        return
    yield ""
    yield painted("columns that are not pushed", "bold", stream)
    width = max(terminal.cells(clean(name)) for name in shown.header.left_columns)
    for name, why in sorted(shown.header.left_columns.items()):
        head = "  " + clean(name) + " " * (width - terminal.cells(clean(name))) + terminal.GAP
        yield terminal.hanging(head, clean(why), stream)


def _limits(shown: Shown, stream: TextIO) -> Iterator[str]:
    if not shown.pushed.trips:
        return
    yield ""
    yield painted(f"{plan_shown.refused_by(shown.pushed)}; nothing is written", "red", stream)
    for trip in shown.pushed.trips:
        yield f"  {clean(trip)}"
    look, force = plan_shown.ways_on(shown.header, program=commands.program("syncer"))
    yield f"  Look at all of it:   {look}"
    if shown.pushed.is_too_large:
        yield f"  Apply it none the less:  {force}"
    if where := plan_shown.where_set(shown.pushed, shown.header):
        yield f"  Let more through, always: {where}"
