"""
What becomes of one row of the relation: rejected, left for a person, created, updated, archived, or nothing. Pure.

The row as it was copied, the record as the API has it, and what both sides agreed on go in; a `PlanRow` and the row's
changes come out. Each field is decided by `compare.py`. Not here: reading either side (`outbound.py`), edges
(`linking.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import compare, plan
from syncer.compare import NEVER, Decision, Never, Rule, Verdict
from syncer.mapping import Outbound
from syncer.plan import Change, Edit
from syncer.plans import PlanRow, Problem
from syncer.snapshots import DECLINED, IS_LEFT, LIVE
from syncer.target import Found, Ours, Shape, Unfit

LEAVE, CLEAR, ARCHIVE = "leave", "clear", "archive"  # on_missing
REPORT, CREATE = "report", "create"  # on_archived
SETTLED = "settled"  # of a problem: a conflict that a word of the mapping decided; shown, and kept as such


@attrs.frozen(kw_only=True)
class Row:
    """
    One row that differs from the snapshot. key None: it has none. row_hash None: it left the relation.

    known_id: the record by the snapshot; given_id: by a column of the row itself. times: how often the key stands
    there. agreed: by field, as the snapshot has it; None: it has none. links: the raw values of edge columns.
    changed_at: the row's own time; None: it has none, or none that can be read. is_renamed: its record is known under
    another key.
    """

    key: str | None
    row_hash: str | None = None
    base: str | None = None
    known_id: str | None = None
    given_id: str | None = None
    state: str | None = None
    times: int = 1
    values: Mapping[str, Ours] = attrs.field(factory=dict)
    unfit: Sequence[Unfit] = ()
    links: Mapping[str, Any] = attrs.field(factory=dict)
    agreed: Mapping[str, str | None] | None = None
    changed_at: dt.datetime | None = None
    is_newer: Mapping[str, bool | None] = attrs.field(factory=dict)  # under `newest`, by field
    is_renamed: bool = False

    @property
    def id(self) -> str | None:
        """The record's id, as far as one is known before the API is asked; the row's own goes first."""
        return self.given_id or self.known_id


@attrs.frozen
class Decided:
    """What one row came to."""

    row: PlanRow
    changes: Sequence[Change] = ()


class Deciding:
    """Decides row after row; changes are numbered by whoever stores them."""

    def __init__(self, outbound: Outbound, shape: Shape) -> None:
        self._outbound, self._shape = outbound, shape
        self._rules: dict[str, Rule] = {}

    def rule(self, field: str) -> Rule:
        """Return the mapping's words for a field."""
        if field not in self._rules:
            words = self._outbound
            self._rules[field] = Rule(
                policy=words.policies.get(field, words.policy),
                adopt=words.adopt,
                blanks=words.blanks_by_field.get(field, words.blanks),
            )
        return self._rules[field]

    def is_as_agreed(self, row: Row) -> bool:
        """
        Tell whether a row holds in each field what both sides agreed on: nothing is written then, whatever they have.

        Such a row differs by its hash only: its columns became others, or the texts of its values.
        """
        if row.state != LIVE or row.base is None or row.known_id is None or row.is_renamed or row.unfit:
            return False
        agreed = row.agreed or {}
        return (
            row.key is not None
            and row.row_hash is not None
            and row.times == 1
            and row.given_id in (None, row.known_id)
            and not row.links
            and all(
                ours.normal == agreed[name]
                if name in agreed
                else ours.normal is None and self.rule(name).blanks != compare.CLEAR
                for name, ours in row.values.items()
            )
        )

    def unasked(self, row: Row) -> Decided:
        """Return what a row comes to whose record need not be read."""
        if row.row_hash is None:
            return self._left(row, None)
        return Decided(self._plan_row(row, None, outcome=plan.UNCHANGED))

    def asks_for_key(self, row: Row, found: Found | None) -> bool:
        """Tell whether a row that names its record must be looked for by its key too: it may lead to another one."""
        match_on = self._outbound.match_on
        if match_on is None or row.row_hash is None or row.state == DECLINED or row.id is None:
            return False
        if found is None or found.is_archived:
            return True
        return match_on in row.values and row.values[match_on].normal != self._theirs(match_on, found)

    def waits_for_times(self, row: Row, found: Found) -> list[str]:
        """Return the fields whose decision needs to know when their side last changed."""
        agreed = row.agreed or {}
        return [
            name
            for name, ours in row.values.items()
            if compare.needs_times(agreed.get(name, NEVER), ours.normal, self._theirs(name, found), self.rule(name))
        ]

    def decide(
        self, row: Row, found: Found | None, *, known: Found | None = None, by_key: Found | None = None
    ) -> Decided:
        """
        Decide about one row; *found* is its record, None where there is none.

        known: the record that the snapshot knows, where the row names another one. by_key: what the row's key leads
        to, where that was asked for beside its id (`asks_for_key`).
        """
        rejected = self._rejected(row, found, by_key)
        if rejected:
            is_settled = bool(row.unfit) and len(rejected) == len(row.unfit)  # by the row and the definitions alone
            return Decided(self._plan_row(row, found, outcome=plan.REJECTED, problems=rejected, is_settled=is_settled))
        if row.state == DECLINED:
            return Decided(self._plan_row(row, found, outcome=plan.SKIPPED))
        if row.row_hash is None:
            return self._left(row, found)
        row = self.of_its_record(row, found, known=known)
        if found is not None and not found.is_archived:
            return self._compared(row, found)
        reason = self._why_none(row, found, by_key)
        if reason:
            problem = Problem(kind=plan.CONFLICT, reason=reason)
            kept = self._plan_row(row, None, outcome=plan.CONFLICT, problems=[problem], is_settled=False)
            return Decided(attrs.evolve(kept, id=row.known_id or row.given_id))
        if by_key is not None:  # it was made anew already
            return self._compared(attrs.evolve(row, agreed=None), by_key)
        return self._created(row)

    def of_its_record(self, row: Row, found: Found | None, *, known: Found | None) -> Row:
        """Return a row with what was agreed on with just its record: nothing, where it names another one by now."""
        if found is None or row.known_id is None or row.given_id in (None, row.known_id):
            return row
        is_same = known is not None and known.id == found.id  # the one was merged into the other
        return row if is_same else attrs.evolve(row, agreed=None)

    def _why_none(self, row: Row, found: Found | None, by_key: Found | None) -> str:
        """Say why a row whose record is not there makes no new one; empty where it does."""
        if row.id is None:
            return ""
        gone = f"Its record {row.id} {'was archived' if found is not None else 'is there no more'} on their side"
        if self._outbound.on_archived == REPORT:
            leads = f", and its {self._outbound.match_on} finds record {by_key.id}" if by_key is not None else ""
            what = "write that one" if by_key is not None else "make a new one"
            return f'{gone}{leads}; on_archived = "create" would {what}.'
        if self._outbound.match_on is None:
            return f"{gone}; a new one would need match_on: a unique property to find it by."
        if row.given_id is not None and row.known_id not in (None, row.given_id):
            return f"{gone}; its key is record {row.known_id} by now: the row should name that one, or none."
        return ""

    def _rejected(self, row: Row, found: Found | None, by_key: Found | None) -> list[Problem]:
        return [
            Problem(kind=plan.REJECTED, field=field, reason=reason, ours=ours)
            for field, reason, ours in self._reasons(row, found, by_key)
        ]

    def _reasons(self, row: Row, found: Found | None, by_key: Found | None) -> Iterator[tuple[str, str, str | None]]:
        match_on = self._outbound.match_on or ""
        if row.key is None:
            several = f" in {row.times} rows: nothing tells which records they are."
            tells = several if row.times > 1 else ": nothing tells which record it is."
            yield match_on, f"{match_on or 'The id'} is blank{tells}", None
            return
        if row.row_hash is None:
            return
        if row.times > 1:
            yield match_on, f"The key stands in {row.times} rows; none of them is written.", row.key
        for unfit in row.unfit:
            yield unfit.property, unfit.reason, unfit.value
        is_read = row.times == 1 and not row.unfit  # else nobody asked for its record
        if is_read and row.given_id is not None and found is None and row.known_id != row.given_id:
            yield "", f"There is no record {row.given_id}.", row.given_id
        elif by_key is not None and found is not None and by_key.id != found.id and self._is_named(row, found):
            archived = ", which was archived" if found.is_archived else ""
            yield match_on, f"The id finds record {found.id}{archived}, its {match_on} record {by_key.id}.", row.key

    def _is_named(self, row: Row, found: Found) -> bool:
        """Tell whether a row stands by its record's id: of an archived one the snapshot's word alone is not enough."""
        return not found.is_archived or row.given_id is not None

    def _created(self, row: Row) -> Decided:
        if not self._outbound.creates:
            return Decided(self._plan_row(row, None, outcome=plan.SKIPPED))
        values = {name: ours for name, ours in row.values.items() if ours.normal is not None}
        lacking = self._shape.missing(values)
        if lacking:
            problems = [
                Problem(kind=plan.REJECTED, field=name, reason=f"A new record needs {name}.") for name in lacking
            ]
            # Its record may appear: it is looked for again each run, as the records of conflicts are.
            return Decided(self._plan_row(row, None, outcome=plan.REJECTED, problems=problems, is_settled=False))
        assert row.key is not None
        change = Change(
            number=0,
            action=plan.CREATE,
            kind=self._outbound.kind,
            key=row.key,
            fields={name: Edit(None, ours.sent) for name, ours in sorted(values.items())},
            row_hash=row.row_hash or "",
            agreed={name: ours.normal for name, ours in row.values.items()},
        )
        kept = self._plan_row(row, None)
        return Decided(attrs.evolve(kept, agreed={}), [change])

    def _compared(self, row: Row, found: Found) -> Decided:
        edits: dict[str, Edit] = {}
        written: dict[str, str | None] = {}
        agreed = dict(row.agreed or {})
        problems = []
        for name, ours in row.values.items():
            before: str | None | Never = (row.agreed or {}).get(name, NEVER)
            theirs = self._theirs(name, found)
            decision = compare.decide(
                before, ours.normal, theirs, self.rule(name), is_ours_newer=row.is_newer.get(name)
            )
            if decision.verdict is Verdict.SAME:
                agreed[name] = ours.normal
            elif decision.verdict is Verdict.WRITE:
                edits[name] = Edit(found.properties.get(name) or None, ours.sent or None, decision.setting)
                written[name] = ours.normal
            if decision.verdict is Verdict.CONFLICT or decision.settles:
                problems.append(_conflict(name, before, ours, found, decision))
        is_open = any(problem.kind == plan.CONFLICT for problem in problems)
        outcome = plan.CONFLICT if is_open else "" if edits else plan.UNCHANGED
        kept = self._plan_row(row, found, outcome=outcome, problems=problems, is_settled=not is_open)
        kept = attrs.evolve(kept, agreed=agreed)
        if not edits:
            return Decided(kept)
        assert row.key is not None
        change = Change(
            number=0,
            action=plan.UPDATE,
            kind=self._outbound.kind,
            key=row.key,
            id=found.id,
            fields=dict(sorted(edits.items())),
            row_hash=row.row_hash or "",
            agreed=written,
        )
        return Decided(kept, [change])

    def _left(self, row: Row, found: Found | None) -> Decided:
        """Decide about a row that left the relation: never a deletion unless the mapping says so."""
        on_missing = self._outbound.on_missing
        row = attrs.evolve(row, row_hash=IS_LEFT)
        if on_missing == LEAVE or found is None or found.is_archived:
            return Decided(self._plan_row(row, found, outcome=plan.UNCHANGED))
        assert row.key is not None
        if on_missing == ARCHIVE:
            change = Change(number=0, action=plan.ARCHIVE, kind=self._outbound.kind, key=row.key, id=found.id)
            return Decided(self._plan_row(row, found), [change])
        blank = Ours(None, "")
        cleared = {
            name: blank
            for name, value in (row.agreed or {}).items()
            if value is not None and name != self._outbound.match_on and self._is_writable(name)
        }
        return self._compared(attrs.evolve(row, values=cleared), found)

    def _is_writable(self, name: str) -> bool:
        found = self._shape.properties.get(name)
        return found is not None and not found.why_not

    def _theirs(self, name: str, found: Found) -> str | None:
        return self._shape.properties[name].theirs(found.properties.get(name))

    def _plan_row(
        self,
        row: Row,
        found: Found | None,
        *,
        outcome: str = "",
        problems: Sequence[Problem] = (),
        is_settled: bool = True,
    ) -> PlanRow:
        return PlanRow(
            key=row.key or "",
            id=found.id if found is not None else row.id,
            row_hash=(row.row_hash or "") if is_settled else "",
            base=row.base,
            agreed=dict(row.agreed or {}),
            outcome=outcome,
            problems=problems,
            times=row.times,
        )


def _conflict(name: str, before: str | None | Never, ours: Ours, found: Found, decision: Decision) -> Problem:
    """Show a field that both sides moved: open, or settled by the mapping's word."""
    is_open = decision.verdict is Verdict.CONFLICT
    never = before is NEVER
    reason = "The two sides differ and never agreed." if never else "Both sides changed it."
    return Problem(
        kind=plan.CONFLICT if is_open else SETTLED,
        field=name,
        reason=reason,
        agreed=None if isinstance(before, Never) else before,
        has_agreed=not never,
        ours=ours.sent or None,
        theirs=found.properties.get(name) or None,
        setting=decision.setting,
    )
