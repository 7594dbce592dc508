"""
A stored plan as reports see it: its header and counts in memory, its changes and problems a batch at a time, and
personal values hidden. What it says in words, for text, Markdown and HTML alike.

The plan stands in the warehouse, which is let go between two batches. Not here: how any report looks
(`plan_text.py`, `plan_markdown.py`, `plan_json.py`, `plan_html.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import orjson

from syncer import plan, plans, sql
from syncer.plan import Change, Edge, Edit
from syncer.plans import Header, Problem
from syncer.reports import commands
from syncer.tally import Pushed
from syncer.warehouses import Warehouse

HIDDEN = "•••"
AT_ONCE = 2_000
FIRST = 50  # changes that are shown where not all are
SETTLED = "settled"  # of a problem: a conflict that a word of the mapping decided
_AFTER_COLON = re.compile(r":\s+.*", re.DOTALL)
_IN_QUOTES = re.compile(r"'.*'|\".*\"", re.DOTALL)
SHORTEST = 3  # letters of a value that is hidden inside of a word, too


@attrs.frozen(kw_only=True)
class Trouble:
    """One reject or conflict, and the row that it is about; an empty key: the row has none."""

    key: str
    id: str | None
    problem: Problem


@attrs.frozen(kw_only=True)
class Shown:
    """
    A plan, and what a run of it did or would do.

    personal: the properties whose values are hidden; of the row's key, too, where it is one of them.
    personal_ends: kinds of records whose key is personal, at the other end of an edge; None: not known, and every
    such key is hidden but for a number.
    """

    pushed: Pushed
    header: Header
    warehouse: Warehouse = attrs.field(repr=False, eq=False)
    personal: frozenset[str] = frozenset()
    personal_ends: frozenset[str] | None = None
    shows_personal: bool = False

    @property
    def hides_key(self) -> bool:
        """Whether the rows' key is hidden."""
        return not self.shows_personal and self.header.settings.get("match_on") in self.personal

    def changes(self, most: int | None = None) -> Iterator[Change]:
        """Yield the changes in the order of their numbers, at most *most*, with what is personal hidden."""
        after, left = 0, most
        while left is None or left > 0:
            with self.warehouse.transaction() as t:
                found = plans.changes(t, self.header.plan, after=after, limit=min(AT_ONCE, left or AT_ONCE))
            self.warehouse.rest(waiting=True)
            if not found:
                return
            for change in found:
                yield self._change(change)
            after = found[-1].number
            left = None if left is None else left - len(found)

    def troubles(self) -> Iterator[Trouble]:
        """Yield rejects and conflicts, settled ones too, in the order of their keys, with what is personal hidden."""
        last: str | None = None
        while True:
            behind = "" if last is None else "AND key > ? "
            query = (
                f"SELECT key, id, problems FROM {sql.table_name(plans.PLAN_ROWS)} WHERE plan = ? {behind}"
                f"AND problems IS NOT NULL ORDER BY key LIMIT {AT_ONCE}"
            )
            with self.warehouse.transaction() as t:
                parameters = [self.header.plan, *([] if last is None else [last])]
                found = t.rows(sql.statement(query), parameters)
            self.warehouse.rest(waiting=True)
            if not found:
                return
            for key, id, problems in found:
                for each in orjson.loads(problems):
                    yield self._trouble(key, id, Problem(**each))
            last = found[-1][0]

    def first_troubles(self, most: int = FIRST) -> dict[str, tuple[list[Trouble], int]]:
        """Return the first *most* of each kind (rejected, conflict, settled), and how many there are of it."""
        kept: dict[str, list[Trouble]] = {plan.REJECTED: [], plan.CONFLICT: [], SETTLED: []}
        counted = dict.fromkeys(kept, 0)
        for trouble in self.troubles():
            kind = trouble.problem.kind
            counted[kind] += 1
            if counted[kind] <= most:
                kept[kind].append(trouble)
        return {kind: (kept[kind], counted[kind]) for kind in kept}

    def _change(self, change: Change) -> Change:
        named = sorted(change.fields.items())  # a warehouse has an order of its own
        if self.shows_personal:
            return attrs.evolve(change, fields=dict(named), agreed={})
        values = [] if not self.hides_key else [change.key]
        fields = {}
        for name, edit in named:
            if name in self.personal:
                values += [value for value in (edit.before, edit.after) if value]
                edit = Edit(_hidden(edit.before), _hidden(edit.after), edit.setting)
            fields[name] = edit
        edge = change.edge
        if edge is not None and edge.key and self._hides_end(edge):
            values.append(edge.key)
            edge = attrs.evolve(edge, key=HIDDEN)
        key = HIDDEN if self.hides_key and change.key else change.key
        reason = _without(change.reason, values)
        return attrs.evolve(change, key=key, fields=fields, edge=edge, reason=reason, agreed={})

    def _hides_end(self, edge: Edge) -> bool:
        if edge.kind == self.header.settings.get("kind"):
            return self.hides_key
        return not edge.key.isdecimal() if self.personal_ends is None else edge.kind in self.personal_ends

    def _trouble(self, key: str, id: str | None, problem: Problem) -> Trouble:
        if self.shows_personal:
            return Trouble(key=key, id=id, problem=problem)
        values = [key] if self.hides_key else []
        if self._hides_field(problem.field):
            values += [value for value in (problem.agreed, problem.ours, problem.theirs) if value]
            reason = _IN_QUOTES.sub(HIDDEN, _AFTER_COLON.sub(f": {HIDDEN}", problem.reason))
            problem = attrs.evolve(
                problem,
                reason=reason,
                agreed=_hidden(problem.agreed),
                ours=_hidden(problem.ours),
                theirs=_hidden(problem.theirs),
            )
        problem = attrs.evolve(problem, reason=_without(problem.reason, values))
        return Trouble(key=HIDDEN if self.hides_key and key else key, id=id, problem=problem)

    def _hides_field(self, field: str) -> bool:
        """Tell whether a field's values are hidden: a property's by its name, an edge's column by its other end."""
        if field in self.personal:
            return True
        for edge in self.header.settings.get("edges", ()):
            if edge["column"] == field:
                return self.personal_ends is None or edge["to"] in self.personal_ends
        return False


def sides(header: Header) -> tuple[str, str, str]:
    """Name what a conflict shows: ours, theirs, and what both had agreed on; of a revert, what it would put back."""
    return ("here", "there", "last agreed") if header.reverts is None else ("before", "there now", "the run wrote")


def way(header: Header) -> str:
    """Write from where to where a plan leads: `stage.companies → hubspot (default, account 123)`."""
    source = header.mapping.partition(".")[0]
    relation = str(header.settings.get("relation") or header.mapping)
    if header.reverts is not None:
        relation = f"as it was before run {header.reverts}"
    return f"{relation} → {source} ({header.environment}, account {header.account})"


def ways_on(header: Header, *, program: str) -> tuple[str, str]:
    """Return the two commands behind a plan that limits refuse: look at all of it, and apply it none the less."""
    base = apply_command(header, program=program)
    return f"{base} --dry-run --report plan.html", f"{base} --force"


def where_set(pushed: Pushed, header: Header) -> str:
    """Say where the limits that refuse a plan are set; a revert has the site's own, and none of a mapping."""
    names = [trip.partition(":")[0] for trip in pushed.trips if trip.startswith("max_")]
    if not names or header.reverts is not None:
        return ""
    return f'{", ".join(names)} in ["{header.mapping}"] of syncer.toml'


def apply_command(header: Header, *, program: str) -> str:
    """Return the command that applies just this plan; *program* is how syncer is called where it is read."""
    environment = "" if header.environment == "default" else f" --environment {commands.argument(header.environment)}"
    what = header.reverts or header.mapping
    return f"{program} {header.verb} {what} --plan {header.plan}{environment}"


def outcome(shown: Shown) -> str:
    """Say in a few words where a plan stands."""
    pushed = shown.pushed
    if pushed.error:
        return "failed"
    if pushed.trips:
        return f"would be {refused_by(pushed)}" if pushed.is_rehearsal else refused_by(pushed)
    if pushed.is_rehearsal:
        return "nothing written"
    return "a part applied" if pushed.is_partial else "applied"


def refused_by(pushed: Pushed) -> str:
    """Say what refuses a plan: a clean one that was asked for is no limit, and nothing that could be forced."""
    why = "since something is rejected or in conflict"
    if not pushed.is_unclean:
        return "refused by its limits"
    return f"refused by its limits, and {why}" if pushed.is_too_large else f"refused, {why}"


def end_of(edge: Edge) -> str:
    """Name the other end of an edge: `companies acme (77)`, `companies acme, which change 3 makes`."""
    name = f"{edge.kind} {edge.key}".strip()
    if edge.id is not None and edge.id != edge.key:
        name += f" ({edge.id})"
    elif edge.made_by is not None:
        name += f", which change {edge.made_by} makes"
    return name


def type_of(edge: Edge) -> str:
    """Name the type of an edge: by its label, else by category and number."""
    return f"label {edge.label}" if edge.label else f"type {edge.type_id} ({edge.category})"


def excerpt(values: Iterable[str | None], most: int) -> list[str | None]:
    """Cut texts that are compared to about *most* letters each, from where they begin to differ."""
    given = list(values)
    texts = [each for each in given if each is not None]
    if all(len(each) <= most for each in texts):
        return given
    start = 0
    if len(texts) > 1:
        same = _same_beginning(texts)
        start = max(0, same - most // 4) if same > most // 2 else 0
    return [None if each is None else _part(each, start, most) for each in given]


def _same_beginning(texts: list[str]) -> int:
    shortest, longest = min(texts), max(texts)
    for at, letter in enumerate(shortest):
        if at >= len(longest) or letter != longest[at]:
            return at
    return len(shortest)


def _part(text: str, start: int, most: int) -> str:
    part = text[start : start + most]
    head = "…" if start and part else ""
    tail = f"… ({len(text):,} letters)" if len(text) > start + most or head else ""
    return f"{head}{part}{tail}" if part else f"… ({len(text):,} letters)"


def problem_of(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON shows it; `agreed` is left out where the two sides never agreed."""
    found = attrs.asdict(problem)
    if not found.pop("has_agreed"):
        del found["agreed"]
    return found


def _hidden(value: str | None) -> str | None:
    return None if value is None else HIDDEN


def _without(text: str, values: Iterable[str]) -> str:
    """Hide values within a text: a short one only where it is a word."""
    for value in sorted(set(values), key=len, reverse=True):
        if not value or value == HIDDEN:
            continue
        pattern = re.escape(value)
        text = re.sub(pattern if len(value) >= SHORTEST else rf"(?<!\w){pattern}(?!\w)", HIDDEN, text)
    return text
