"""
What becomes of one edge column of one row: nothing, an edge made, one put in the place of another, a conflict, or a
reject of that edge alone. Pure.

An edge column is a field whose value is the linked record, decided by `compare.py`. A record may be linked to several
by one type (HubSpot's unlabelled associations usually are many): theirs is then ours where it is among them, else the
agreed one, else the first by id; what another column of the row names is that column's. A write puts ours in the place
of the agreed one, or of the only one there is; edges of other types, and others of this type, stay. A pair loses the
type that every pair has only where no label would go with it.
Not here: reading either side (`linking.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from syncer import compare, plan
from syncer.compare import NEVER, Decision, Never, Rule, Verdict
from syncer.deciding import SETTLED
from syncer.edgecolumns import Column
from syncer.plan import ASSOCIATE, DISASSOCIATE, Change, Edge, Edit
from syncer.plans import Problem
from syncer.target import Linked

MADE = "made by change "  # stands for a record's id until that change has made it
FORGOTTEN = "The record at the other end is somebody's who was forgotten."
FIXED = (compare.FILL, compare.ONCE)  # under these nothing that stands is taken away


@attrs.frozen(kw_only=True)
class End:
    """
    A record that a row names: its key as given (None: blank), its id (None: not there), and the change to come.

    is_barred: it is somebody's who was forgotten, and nothing of the key is kept.
    """

    key: str | None
    is_barred: bool = False
    id: str | None = None
    made_by: int | None = None


@attrs.frozen(kw_only=True)
class Sides:
    """
    What is known of one row's edges. id: its record's; None: the change *created* makes it. next: its next number.

    agreed: ids by field, those of merged records followed. linked: by kind at the other end.
    """

    key: str
    id: str | None
    created: int | None
    next: int
    ends: Mapping[str, End]
    agreed: Mapping[str, str | None]
    linked: Mapping[str, Sequence[Linked]]


@attrs.frozen
class _Write:
    """A decision to write, what stands there by the table, and all that is linked by the type."""

    decision: Decision
    theirs: str | None
    linked: Sequence[str]


@attrs.define
class Came:
    """What one row's edges come to."""

    changes: list[Change] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    agreed: dict[str, str | None] = attrs.field(factory=dict)
    waiting: int = 0


@attrs.frozen(kw_only=True)
class EdgeDeciding:
    """
    Decides about the edge columns of one mapping. *others*: the kinds that other mappings go out to.
    """

    kind: str
    columns: Sequence[Column]
    others: frozenset[str] = frozenset()
    is_rehearsal: bool = False

    def judge(self, column: Column, row: Sides, rule: Rule, came: Came) -> None:
        """Decide about one column of one row."""
        end = row.ends[column.name]
        if end.is_barred:
            came.problems.append(Problem(kind=plan.REJECTED, field=column.name, reason=FORGOTTEN))
            return
        if end.key is not None and (end.id is None or end.id == row.id):
            is_itself = end.id is not None or (column.is_own and end.key == row.key)
            reason = "It names the row's own record." if is_itself else self.not_there(column)
            came.problems.append(Problem(kind=plan.REJECTED, field=column.name, reason=reason, ours=end.key))
            came.waiting += column.is_own and not is_itself
            return
        agreed: str | None | Never = row.agreed.get(column.field, NEVER)
        linked = self._of_type(column, row)
        theirs = end.id if end.id in linked else agreed if agreed in linked else next(iter(linked), None)
        assert not isinstance(theirs, Never)
        decision = compare.decide(agreed, end.id, theirs, rule)
        if decision.verdict is Verdict.SAME:
            is_moved = agreed in linked and agreed != end.id and rule.policy not in FIXED
            if not is_moved or not self._written(column, row, _Write(decision, theirs, linked), came):
                came.agreed[column.field] = end.id
        if decision.verdict is Verdict.WRITE and not self._written(
            column, row, _Write(decision, theirs, linked), came
        ):
            self._not_written(column, row, linked, came)
        if decision.verdict is Verdict.CONFLICT or decision.settles:
            came.problems.append(_conflict(column, agreed, end, linked, decision))

    def _written(self, column: Column, row: Sides, write: _Write, came: Came) -> bool:
        """Add the changes that put ours in the place of theirs; tell whether there are any."""
        end, agreed = row.ends[column.name], row.agreed.get(column.field)
        is_new = end.id is not None and end.id not in write.linked
        old = [id for id in write.linked if id == agreed]
        if not old and (end.id is None or len(write.linked) == 1):
            old = list(write.linked)
        kept = {id: _labels_of(column, row, id) for id in old}
        named = self._named_by_others(column, row)
        taken = [id for id in old if id != end.id and id not in named and not kept[id]]
        made: list[Change] = []
        if is_new:
            made.append(_associate(self.kind, column, row, write))
            made[0] = attrs.evolve(made[0], reason=" ".join(_stays(column, id, kept[id]) for id in old if kept[id]))
        for id in taken:
            after = (made[-1].number,) if made else ()
            edit = {} if is_new else {column.name: Edit(id, end.id, write.decision.setting)}
            change = _change(self.kind, column, row, DISASSOCIATE, id)
            made.append(attrs.evolve(change, number=row.next + len(made), after=after, fields=edit))
        if made:  # agreed only when all of it is done: else what is left to take away would be theirs
            made[-1] = attrs.evolve(made[-1], agreed={column.field: end.id})
        came.changes += made
        return bool(made)

    def _not_written(self, column: Column, row: Sides, linked: Sequence[str], came: Came) -> None:
        """Nothing may be taken away: another column names it, or it has a label that would go with it."""
        held = [id for id in linked if _labels_of(column, row, id)]
        if not held:
            came.agreed[column.field] = row.ends[column.name].id
            return
        labels = ", ".join(_labels_of(column, row, held[0]))
        reason = f"Ours is blank, and the association has the label {labels}, which would go with it."
        came.problems.append(Problem(kind=plan.CONFLICT, field=column.name, reason=reason, theirs=held[0]))

    def _of_type(self, column: Column, row: Sides) -> list[str]:
        """Return what the row's record is linked to by the column's type, and no other column stands for."""
        wide = column.is_plain or column.type.is_primary  # HubSpot gives these by itself
        own = {row.ends[column.name].id, row.agreed.get(column.field)}
        of_others: set[str | None] = set()
        for other in self.columns:
            if other.name != column.name and other.to == column.to and (wide or other.type == column.type):
                end = row.ends.get(other.name)
                of_others |= {row.agreed.get(other.field), end.id if end is not None else None}
        spec = column.type.category, column.type.type_id
        ids = [
            each.id
            for each in row.linked.get(column.to, ())
            if spec in {(type.category, type.type_id) for type in each.types}
        ]
        return sorted((id for id in ids if id in own or id not in of_others), key=lambda id: (len(id), id))

    def _named_by_others(self, column: Column, row: Sides) -> set[str | None]:
        """Return the records that other columns of the row need this type of; of a reject the agreed one."""
        named: set[str | None] = set()
        for other in self.columns:
            end = row.ends.get(other.name)
            is_near = other.to == column.to and (column.is_plain or other.type == column.type)
            if other.name != column.name and is_near and end is not None and end.key is not None:
                named.add(end.id or row.agreed.get(other.field))
        return named

    def not_there(self, column: Column) -> str:
        """Say why an edge is not written yet; the same of each row."""
        reason = f"There is no record of {column.to} with this {column.by or 'id'}; it is tried again each run."
        if self.is_rehearsal and column.to in self.others:
            reason += f" A dry run does not see what a push of {column.to} before it would make."
        return reason


def _labels_of(column: Column, row: Sides, id: str) -> list[str]:
    """Return the labels that would go with the type that every pair has; HubSpot's own primary is none."""
    if not column.is_plain:
        return []
    return sorted(
        type.label
        for each in row.linked.get(column.to, ())
        if each.id == id
        for type in each.types
        if type.label and not type.is_primary
    )


def _stays(column: Column, id: str, labels: Sequence[str]) -> str:
    return f"{column.to} {id} stays: it has the label {', '.join(labels)}, which would go with it."


def _change(kind: str, column: Column, row: Sides, action: str, id: str | None) -> Change:
    type = column.type
    edge = Edge(kind=column.to, id=id, category=type.category, type_id=type.type_id, label=type.label)
    # Without the row's hash: one that is refused does not stand until the row changes, it is tried again each run.
    return Change(number=row.next, action=action, kind=kind, key=row.key, id=row.id, edge=edge)


def _associate(kind: str, column: Column, row: Sides, write: _Write) -> Change:
    end = row.ends[column.name]
    change = _change(kind, column, row, ASSOCIATE, None if end.made_by else end.id)
    assert change.edge is not None
    linked = row.linked.get(column.to, ())
    is_whole = all(each.id != end.id for each in linked)
    had = [
        Edge(kind=column.to, id=each.id, category=type.category, type_id=type.type_id, label=type.label)
        for each in linked
        for type in each.types
    ]
    return attrs.evolve(
        change,
        edge=attrs.evolve(change.edge, key=end.key or "", made_by=end.made_by, is_whole=is_whole),
        edges=(*had, change.edge),
        after=tuple(number for number in (row.created, end.made_by) if number is not None),
        fields={column.name: Edit(write.theirs, end.id, write.decision.setting)},
    )


def _conflict(
    column: Column, agreed: str | None | Never, end: End, linked: Sequence[str], decision: Decision
) -> Problem:
    """Show an edge that both sides moved: open, or settled by the mapping's word."""
    is_never = isinstance(agreed, Never)
    ours = end.key if end.id in (None, end.key) or end.made_by else f"{end.key} ({end.id})"
    return Problem(
        kind=plan.CONFLICT if decision.verdict is Verdict.CONFLICT else SETTLED,
        field=column.name,
        reason="The two sides differ and never agreed." if is_never else "Both sides changed it.",
        agreed=None if isinstance(agreed, Never) else agreed,
        has_agreed=not is_never,
        ours=ours,
        theirs=", ".join(linked) or None,
        setting=decision.setting,
    )
