"""
What a plan is: the changes of one run, what each field was and becomes, and a checksum over them. Data only, no I/O.

A plan is stored before it is shown (`plans.py`), so that what is applied is what was reviewed: here are the values
that are stored, read back, shown (`reports/`) and sent (`apply.py`). Not here: deciding (`compare.py`), limits
(`limits.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson

from syncer import joining

CREATE, UPDATE, ARCHIVE, MERGE = "create", "update", "archive", "merge"
ASSOCIATE, DISASSOCIATE = "associate", "disassociate"
ACTIONS = (CREATE, UPDATE, ARCHIVE, MERGE, ASSOCIATE, DISASSOCIATE)
OF_EDGES = frozenset({ASSOCIATE, DISASSOCIATE})

# The states of a change. `sending` is an intent: it was written down, and what became of it is not known yet.
PLANNED, SENDING, DONE, SAME, FAILED, MOVED, PENDING, LEFT_OUT = (
    "planned",
    "sending",
    "done",
    "same",  # what was planned stood there already: nothing was sent, and both sides agree
    "failed",
    "moved",  # the record moved since the plan was made: left alone, a conflict
    "pending",
    "left_out",
)
OPEN_STATES = frozenset({PLANNED, PENDING})
AGREED_STATES = frozenset({DONE, SAME})

# What a row of the relation comes to, in the order that decides where several apply; each row is counted once.
REJECTED, CONFLICT, ROW_FAILED, CREATED, UPDATED, ARCHIVED, MERGED, ROW_PENDING, SKIPPED, UNCHANGED = OUTCOMES = (
    "rejected",
    "conflict",
    "failed",
    "created",
    "updated",
    "archived",
    "merged",
    "pending",
    "skipped",
    "unchanged",
)
CHECKSUM_BITS = 128
_MASK = (1 << CHECKSUM_BITS) - 1


@attrs.frozen
class Edit:
    """
    One property of one change: what the API holds, and what it will hold; None is blank.

    setting: the word of the mapping that decided, where both sides had moved or never agreed (`policy = "ours"`).
    """

    before: str | None
    after: str | None
    setting: str = ""


@attrs.frozen(kw_only=True)
class Edge:
    """
    The other end of an association and its type. `id` is None where a change of the same plan makes that record:
    *made_by* is its number, and *key* what it is found by. is_whole: the pair was not associated before an associate,
    and is not any more after a disassociate, whatever its type.
    """

    kind: str
    id: str | None
    category: str
    type_id: int
    label: str = ""
    key: str = ""
    made_by: int | None = None
    is_whole: bool = False


@attrs.frozen(kw_only=True)
class Change:
    """
    One intended write to one record, or to one edge of it.

    number: in its plan, from 1 on; changes that it comes `after` have smaller ones.
    key: the row's; id: the record's, None for a create and for what comes after one. title: what people call the
    record; empty where nobody may see that.
    fields: what is written, by property; of a merge and an archive what the record held, and what its place has then.
    edge: of an associate or disassociate. into: what survives a merge, as the plan knows it, or stays in the place of
    what is archived, and must be there; into_by: the number of the merge before it, which alone tells the id by then.
    edges: of a merge or an archive, those that the record had; of a pair that goes whole, those of the pair; of the
    first associate of a record to a kind, those that the record had by itself to that kind, and its own one behind.
    row_hash: of the row as the plan read it; empty for a change that no row stands behind.
    agreed: what both sides agree on once this is done, by field, in normal form; beside it, under names of their own,
    the values that it was decided on (`grounds.py`).
    """

    number: int
    action: str = attrs.field(validator=attrs.validators.in_(ACTIONS))
    kind: str
    key: str
    id: str | None = None
    fields: Mapping[str, Edit] = attrs.field(factory=dict)
    edge: Edge | None = None
    into: str | None = None
    into_by: int | None = None
    edges: tuple[Edge, ...] = ()
    title: str = ""
    after: tuple[int, ...] = ()
    row_hash: str = ""
    agreed: Mapping[str, str | None] = attrs.field(factory=dict)
    state: str = PLANNED
    reason: str = ""

    def digest(self, mapping: str, environment: str) -> int:
        """Return 128 bits of what this change would do: not of its number, its state, or when it was made."""
        edge = self.edge and [self.edge.kind, self.edge.id or "", self.edge.key, self.edge.category, self.edge.type_id]
        if edge and self.edge and self.edge.is_whole and self.action == DISASSOCIATE:
            edge = [*edge, "whole"]
        fields = {name: [edit.before, edit.after] for name, edit in self.fields.items()}
        what = [mapping, environment, self.action, self.kind, self.key, self.id, fields, edge, self.into]
        if self.edges and self.action != ASSOCIATE:  # there they are what was, and nothing that it would do
            what.append([[each.kind, each.id, each.category, each.type_id] for each in self.edges])
        text = orjson.dumps(what, option=orjson.OPT_SORT_KEYS)
        return int.from_bytes(hashlib.blake2b(text, digest_size=CHECKSUM_BITS // 8).digest(), "big")


@attrs.define
class Checksum:
    """A sum of digests: whatever the order of the changes, and made while they stream."""

    total: int = 0
    count: int = 0

    def add(self, digests: Iterable[int]) -> None:
        """Take changes in."""
        for digest in digests:
            self.total = (self.total + digest) & _MASK
            self.count += 1

    def __str__(self) -> str:
        text = f"{self.count}:{self.total:032x}".encode()
        return hashlib.blake2b(text, digest_size=16).hexdigest()


def shown_fields(change: Change) -> Mapping[str, Edit]:
    """
    Return the fields of a change that a person should see: what it writes; of a record that goes, what is lost with
    it: not what its place holds then as well, as it is or as a part of a text that was joined.
    """
    if change.action not in (MERGE, ARCHIVE):
        return change.fields
    return {
        name: edit
        for name, edit in change.fields.items()
        if not joining.is_within(edit.before or "", edit.after or "")
    }


def json_of(change: Change) -> dict[str, Any]:
    """Return a change as `--output json` shows it; the names are those that others build on."""
    shown: dict[str, Any] = {
        "action": change.action,
        "key": change.key,
        "id": change.id,
        "fields": {name: {"before": edit.before, "after": edit.after} for name, edit in change.fields.items()},
        "state": change.state,
        "reason": change.reason,
    }
    if change.edge is not None:
        edge = change.edge
        shown |= {"to_type": edge.kind, "to_id": edge.id, "category": edge.category, "type_id": edge.type_id}
    if change.action == MERGE:
        shown["into"] = change.into
    if change.title:
        shown["title"] = change.title
    if change.edges and change.action != ASSOCIATE:
        shown["edges"] = [
            {"to_type": each.kind, "to_id": each.id, "category": each.category, "type_id": each.type_id}
            for each in change.edges
        ]
    return shown
