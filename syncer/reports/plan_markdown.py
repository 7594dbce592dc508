"""
A plan in Markdown, for a pull request: counts, the first changes, what is left for a person, limits.

What the two sides hold may be anything. Each value stands in `<code>`, its letters written as numbers wherever
Markdown, HTML or the page around it (mentions, links, emoji, formulas) would read more into them than letters.
Source: GitHub Flavored Markdown Spec, "Entity and numeric character references", "Tables", "Autolinks". Mentions are
found in what the page made of the text, and not inside code (GitHub Docs, "Mentioning people and teams").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from syncer import plan
from syncer.plan import Change
from syncer.reports import plan_shown, terminal
from syncer.reports.plan_shown import FIRST, SETTLED, Shown, Trouble

LONGEST = 300  # letters of one value
ROOM = 60_000  # letters of it all: a comment on GitHub takes 65,536
FIELDS = 40  # of one change
_ODD = re.compile(r"[&<>|`\\*_\[\]{}()~@#:$^\"'!=]|(?<=www)\.|(?<= ) |^ | $", re.IGNORECASE)
_NOT_JOINED = "@#"  # a page looks for mentions in what it made of the text: a comment behind these parts it
_BLANK = "&#160;"  # at either end and behind another one, where a plain one would not be seen
_HEADS = (
    (plan.CONFLICT, "In conflict, left alone"),
    (plan.REJECTED, "Rejected, not written"),
    (SETTLED, "Both sides moved, settled by a setting"),
)


def text(shown: Shown, *, most: int = FIRST) -> str:
    """Write a plan with its first *most* changes, as many as a comment holds."""
    head = "\n".join([*_head(shown), *_limits(shown), *_left(shown)])
    rows, number, used = [], 0, len(head)
    for change in shown.changes(most):
        found = list(_rows(change))
        used += sum(len(row) + 1 for row in found)
        if used > ROOM // 2:
            break
        rows += found
        number += 1
    changes = (
        [] if not rows else ["", "| change | record | property | before | after |", "|---|---|---|---|---|", *rows]
    )
    if shown.header.changes > number:
        changes += ["", f"… and {shown.header.changes - number:,} more changes."]
    done = "\n".join([head, *changes])
    return "\n".join([done, *_troubles(shown, ROOM - len(done) - 500)]) + "\n"


def value(given: str | None) -> str:
    """Write one value so that it is shown as it is, and does nothing."""
    return "*blank*" if given is None else f"<code>{escaped(given)}</code>" if given else "*empty*"


def escaped(given: str) -> str:
    """Write a text on one line, its odd letters as numbers; a line feed as `↵`, what cannot be printed as its code."""
    lines = given.replace("\r\n", "\n").split("\n")
    return "↵".join(_ODD.sub(_as_number, terminal.clean(line)) for line in lines)


def _as_number(found: re.Match[str]) -> str:
    letter = found[0]
    return _BLANK if letter == " " else f"&#{ord(letter)};{'<!-- -->' if letter in _NOT_JOINED else ''}"


def _head(shown: Shown) -> Iterator[str]:
    header, pushed = shown.header, shown.pushed
    yield f"### Plan `{header.plan}` of {value(header.mapping)}: {plan_shown.outcome(shown)}"
    yield ""
    yield f"{value(plan_shown.way(header))}, made {terminal.moment(header.made_at)}, checksum `{header.checksum}`"
    yield ""
    told = (*pushed.outcomes(), *pushed.beside(), *pushed.edges())
    found = [(words, number) for _, number, words in told if number]
    found = [("read", pushed.counts.read), *found]
    yield "| " + " | ".join(words for words, _ in found) + " |"
    yield "|" + "--:|" * len(found)
    yield "| " + " | ".join(f"{number:,}" for _, number in found) + " |"
    if pushed.error:
        yield from ("", f"**Failed:** {value(pushed.error)}")
    for note in dict.fromkeys([*header.notes, *pushed.notes]):
        yield from ("", escaped(note))


def _limits(shown: Shown) -> Iterator[str]:
    if not shown.pushed.trips:
        return
    refused = plan_shown.refused_by(shown.pushed)
    yield from ("", f"**{refused[0].upper()}{refused[1:]}; nothing is written:**", "")
    yield from (f"- {escaped(trip)}" for trip in shown.pushed.trips)
    look, force = plan_shown.ways_on(shown.header, program="syncer")
    forced = f", or apply it none the less: {value(force)}" if shown.pushed.is_too_large else ""
    where = plan_shown.where_set(shown.pushed, shown.header)
    always = f"; or let more through, always: {value(where)}" if where else ""
    yield from ("", f"Look at all of it: {value(look)}{forced}{always}")


def _left(shown: Shown) -> Iterator[str]:
    left = sorted(shown.header.left_columns.items())
    if not left:
        return
    yield from ("", f"<details><summary>{terminal.counted(len(left), 'column')} not pushed</summary>", "")
    yield from ("| column | why |", "|---|---|")
    yield from (f"| {value(name)} | {escaped(why)} |" for name, why in left[:200])
    yield from ("", "</details>")


def _rows(change: Change) -> Iterator[str]:
    state = "" if change.state == plan.PLANNED else f" ({change.state})"
    title = f" {_short(change.title)}" if change.title else ""
    first = f"| {change.action}{state} | {_record(change.key, change.id)}{title} |"
    if change.reason:
        yield f"{first} | | {escaped(change.reason[:LONGEST])} |"
        first = "| | |"
    if change.edge is not None:
        yield f"{first} {_short(plan_shown.type_of(change.edge))} | | {_short(plan_shown.end_of(change.edge))} |"
    elif change.into is not None:
        yield f"{first} | | into {value(change.into)} |"
        first = "| lost | |"
    elif not change.fields:
        yield f"{first} | | |"
    fields = plan.shown_fields(change)
    for at, (name, edit) in enumerate(fields.items()):
        if at == FIELDS:
            yield f"| | | … and {len(fields) - FIELDS:,} more properties | | |"
            return
        before, after = _values([edit.before, edit.after])
        yield f"{first} {_short(name)} | {before} | {after}{_setting(edit.setting)} |"
        first = "| | |"


def _values(values: Iterable[str | None]) -> list[str]:
    return [value(each) for each in plan_shown.excerpt(values, LONGEST)]


def _setting(setting: str) -> str:
    return f" ({escaped(setting)})" if setting else ""


def _record(key: str, id: str | None) -> str:
    name = _short(key) if key else "*no key*"
    return name if id is None or id == key else f"{name} {escaped(id)}"


def _short(text: str) -> str:
    return _values([text])[0]


def _troubles(shown: Shown, room: int) -> Iterator[str]:
    found = shown.first_troubles()
    for kind, head in _HEADS:
        first, total = found[kind]
        if not total:
            continue
        yield from ("", f"**{head}: {total:,}**", "")
        names = " | ".join(plan_shown.sides(shown.header))
        yield from (f"| record | field | why | {names} |", "|---|---|---|---|---|---|")
        written = 0
        for row in map(_trouble, first):
            room -= len(row) + 1
            if room < 0:
                break
            yield row
            written += 1
        if total > written:
            yield from ("", f"… and {total - written:,} more.")


def _trouble(trouble: Trouble) -> str:
    problem = trouble.problem
    record, field = _record(trouble.key, trouble.id), _short(problem.field) if problem.field else ""
    why = f"{escaped(problem.reason[:LONGEST])}{_setting(problem.setting)}"
    ours, theirs, agreed = _values([problem.ours, problem.theirs, problem.agreed])
    if problem.kind == plan.REJECTED or not problem.field:
        return f"| {record} | {field} | {why} | {ours if problem.ours is not None else ''} | | |"
    return f"| {record} | {field} | {why} | {ours} | {theirs} | {agreed if problem.has_agreed else '*never*'} |"
