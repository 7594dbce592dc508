"""
Associations of HubSpot's records, written: a type added to a pair, a type taken away, or the pair.

A create puts labels on a pair in place of those that it had, so the union is sent: what the pair has, and what is new.
The types that make a company the primary one are sent only where a change asks for one, or the pair has it already. An
association without a label keeps the labels that there are, and costs no reading; it is sent after those with one,
since the first company that a record gets becomes its primary one by itself. Between two records of one kind a pair
can be written from either end, and a write from one is a write to the other: one after the other, each with the union.
Not here: what a record is associated with (`edges.py`), which associations there should be (`linking.py`).
Source: HubSpot's guide "Associate records".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer.errors import RequestError, SyncerError
from syncer.plan import ASSOCIATE, Change, Edge
from syncer.sources import Record
from syncer.sources.hubspot.calls import Calls, a_list, an_object
from syncer.sources.hubspot.edges import edges_of
from syncer.sources.hubspot.kinds import Kind
from syncer.sources.hubspot.portal import is_primary
from syncer.sources.hubspot.refusals import parsed, refusal
from syncer.sources.hubspot.writing import REFUSALS, write
from syncer.target import DONE, MISSED, REFUSED, BatchRefused, EdgeType, Linked, Outcome, Shape, Uncertain
from syncer.transport import Answer

CREATE_MOST, ARCHIVE_MOST = 2_000, 100
COMPANIES = "companies"
SILENT = "HubSpot neither wrote it nor said why."

Spec = tuple[str, int]  # category and type id
Pair = tuple[str, str]  # from id and to id


def linked(
    calls: Calls, start: Kind, end: Kind, ids: Sequence[str], *, sizes: dict[tuple[str, str], int]
) -> dict[str, list[Linked]]:
    """Return what each record is associated with, and all types of each pair."""
    found: dict[str, dict[str, list[EdgeType]]] = {}
    for _, records in edges_of(calls, start, end, ids, sizes=sizes):
        for each in records:
            category, type_id = str(each["category"]), int(each["type_id"])
            kind = EdgeType(
                category=category,
                type_id=type_id,
                label=str(each["label"] or ""),
                is_primary=is_primary(start.name, end.name, category, type_id),
            )
            found.setdefault(each["from_id"], {}).setdefault(each["to_id"], []).append(kind)
    return {id: [Linked(id=other, types=types) for other, types in others.items()] for id, others in found.items()}


@attrs.define(kw_only=True)
class EdgeWriting:
    """
    Writes the associations from one kind to another; *types* are those that the two have. *alone*: held while labels
    are written that somebody else may write from the other end.
    """

    calls: Calls
    start: Kind
    end: Kind
    types: Sequence[EdgeType]
    shape: Shape
    sizes: dict[tuple[str, str], int]
    alone: contextlib.AbstractContextManager[Any]
    _told: dict[int, Outcome] = attrs.field(factory=dict, init=False)

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Send changes of one action. Raises: Uncertain, BatchRefused, and what ends a run."""
        self._told = {}
        labels = {(each.category, each.type_id): each.label for each in self.types}
        known = [change for change in changes if self._is_possible(change, labels)]
        is_making = bool(known) and known[0].action == ASSOCIATE
        by_label = [bool(labels[_spec(each)]) and (is_making or not _edge(each).is_whole) for each in known]
        plain = [change for change, is_labelled in zip(known, by_label, strict=True) if not is_labelled]
        labelled = [change for change, is_labelled in zip(known, by_label, strict=True) if is_labelled]
        if is_making:
            self._associate(plain, labelled)
        else:
            self._disassociate(plain, labelled)
        return [self._told[change.number] for change in changes]

    def _is_possible(self, change: Change, labels: Mapping[Spec, str]) -> bool:
        names = f"{self.start.name} and {self.end.name}"
        if change.id is None or _edge(change).id is None:
            reason = "The record at one end is not there yet."
        elif _spec(change) not in labels:
            reason = f"HubSpot has no such type of association between {names} any more."
        else:
            return True
        self._told[change.number] = Outcome(number=change.number, state=REFUSED, reason=reason)
        return False

    def _associate(self, plain: Sequence[Change], labelled: Sequence[Change]) -> None:
        """Add types to pairs; what is written without a label comes along with any label."""
        wanted: dict[Pair, set[Spec]] = {}
        for change in labelled:
            wanted.setdefault(_pair(change), set()).add(_spec(change))
        alone = list(dict.fromkeys(_pair(change) for change in plain if _pair(change) not in wanted))
        changes = _by_pair([*plain, *labelled])
        with self.alone if self.start.name == self.end.name else contextlib.nullcontext():
            for some in self._rounds(wanted):
                unions = self._unions(some, changes)
                for part in _parts(list(unions), CREATE_MOST):
                    labels = [_labelled(pair, unions[pair]) for pair in part]
                    self._written(("create",), labels, part, changes)
        for part in _parts(alone, CREATE_MOST):
            inputs = [{"from": {"id": one}, "to": {"id": other}} for one, other in part]
            self._written(("associate", "default"), inputs, part, changes)

    def _rounds(self, wanted: Mapping[Pair, set[Spec]]) -> Iterator[dict[Pair, set[Spec]]]:
        """Yield the pairs of which none is another one's from its other end, then those others."""
        first: dict[Pair, set[Spec]] = {}
        second: dict[Pair, set[Spec]] = {}
        for (one, other), specs in wanted.items():
            is_seen = self.start.name == self.end.name and (other, one) in first
            (second if is_seen else first)[one, other] = specs
        yield from (each for each in (first, second) if each)

    def _unions(self, wanted: Mapping[Pair, set[Spec]], changes: Mapping[Pair, list[Change]]) -> dict[Pair, set[Spec]]:
        """
        Return all types that each pair must have; a pair that has them already is done. One whose record gets another
        primary company in the same go is not the primary one then.
        """
        ids = list(dict.fromkeys(one for one, _ in wanted))
        there: dict[Pair, set[Spec]] = {}
        for id, others in linked(self.calls, self.start, self.end, ids, sizes=self.sizes).items():
            for other in others:
                there[id, other.id] = {(each.category, each.type_id) for each in other.types}
        moving = {self._owner(pair) for pair, specs in wanted.items() if any(map(self._is_primary, specs))}
        unions = {}
        for pair, specs in wanted.items():
            had = there.get(pair, set())
            if specs <= had:
                self._settle(changes[pair], DONE)
            else:
                kept = {each for each in had if not (self._owner(pair) in moving and self._is_primary(each))}
                unions[pair] = kept | specs
        return unions

    def _is_primary(self, spec: Spec) -> bool:
        return is_primary(self.start.name, self.end.name, *spec)

    def _owner(self, pair: Pair) -> str:
        """Return the end of a pair that has one primary company at the most."""
        return pair[1] if self.start.name == COMPANIES else pair[0]

    def _disassociate(self, plain: Sequence[Change], labelled: Sequence[Change]) -> None:
        """Take types away from pairs; without the unlabelled one the pair is gone, with all its labels."""
        whole = _by_pair(plain)
        changes = _by_pair([*plain, *labelled])
        others: dict[str, list[str]] = {}
        for one, other in whole:
            others.setdefault(one, []).append(other)
        for part in _parts(list(others), ARCHIVE_MOST):
            inputs = [{"from": {"id": one}, "to": [{"id": other} for other in others[one]]} for one in part]
            pairs = [(one, other) for one in part for other in others[one]]
            self._written(("archive",), inputs, pairs, changes, is_silence_good=True)
        left = _by_pair([change for change in labelled if _pair(change) not in whole])
        for some in _parts(list(left), ARCHIVE_MOST):
            labels = [_labelled(pair, map(_spec, left[pair])) for pair in some]
            self._written(("labels", "archive"), labels, some, changes, is_silence_good=True)

    def _written(
        self,
        tail: Sequence[str],
        inputs: Sequence[Mapping[str, Any]],
        pairs: Sequence[Pair],
        changes: Mapping[Pair, list[Change]],
        *,
        is_silence_good: bool = False,
    ) -> None:
        """Send one batch, and settle the changes of its pairs."""
        path = self.calls.paths.associations(self.start.path, self.end.path, "batch", *tail)
        try:
            answer = write(self.calls, path, {"inputs": list(inputs)}, edges=True)
        except RequestError as error:
            self._refused(error, [change for pair in pairs for change in changes[pair]])
            return
        told = _Told.of(answer) if answer.body else _Told()
        for pair in pairs:
            if pair in told.errors:
                self._fail(changes[pair], told.errors[pair])
            elif pair in told.done or (is_silence_good and not told.unnamed):
                self._settle(changes[pair], DONE)
            elif told.unnamed and len(pairs) - len(told.done & set(pairs)) - len(told.errors) == 1:
                self._fail(changes[pair], told.unnamed[0])
            else:
                self._settle(changes[pair], MISSED, SILENT)

    def _refused(self, error: RequestError, changes: Sequence[Change]) -> None:
        told = parsed(error.body)
        if error.status not in REFUSALS or (error.status == 404 and not told):
            raise error
        if len(changes) > 1:
            raise BatchRefused(refusal(told, changes[0], self.shape).reason) from error
        self._fail(changes, told)

    def _fail(self, changes: Sequence[Change], error: Mapping[str, Any]) -> None:
        for change in changes:
            self._settle([change], REFUSED, refusal(error, change, self.shape).reason)

    def _settle(self, changes: Sequence[Change], state: str, reason: str = "") -> None:
        for change in changes:
            self._told[change.number] = Outcome(number=change.number, state=state, id=change.id, reason=reason)


@attrs.frozen
class _Told:
    """What an answer tells: the pairs that were written, the error of each that was not, errors that name none."""

    done: set[Pair] = attrs.field(factory=set)
    errors: dict[Pair, Record] = attrs.field(factory=dict)
    unnamed: list[Record] = attrs.field(factory=list)

    @classmethod
    def of(cls, answer: Answer) -> _Told:
        """Read an answer. Raises: Uncertain: it was cut, or is none."""
        told = cls()
        try:
            data = an_object(answer)
            results = a_list(answer, "results", of=data)
            errors = a_list(answer, "errors", of=data) if data.get("errors") is not None else []
        except SyncerError as error:
            raise Uncertain(error.message) from error
        told.done.update(pair for each in results for pair in _pairs_of(each))
        for each in errors:
            context = each.get("context")
            context = context if isinstance(context, dict) else {}
            ones, others = context.get("fromObjectId"), context.get("toObjectId")
            if isinstance(ones, list) and isinstance(others, list) and len(ones) == len(others):
                told.errors.update({(str(one), str(other)): each for one, other in zip(ones, others, strict=True)})
            else:
                told.unnamed.append(each)
        return told


def _pairs_of(result: Record) -> Iterator[Pair]:
    """Yield the pair of a result: as a create tells it, or as associating by default does."""
    if result.get("fromObjectId") is not None:
        yield str(result["fromObjectId"]), str(result.get("toObjectId"))
    one, other = result.get("from"), result.get("to")
    if isinstance(one, dict) and isinstance(other, dict):
        yield str(one.get("id")), str(other.get("id"))


def _edge(change: Change) -> Edge:
    if change.edge is None:
        raise ValueError(f"change {change.number} of an association has no other end")
    return change.edge


def _spec(change: Change) -> Spec:
    edge = _edge(change)
    return edge.category, edge.type_id


def _pair(change: Change) -> Pair:
    return change.id or "", _edge(change).id or ""


def _by_pair(changes: Sequence[Change]) -> dict[Pair, list[Change]]:
    found: dict[Pair, list[Change]] = {}
    for change in changes:
        found.setdefault(_pair(change), []).append(change)
    return found


def _labelled(pair: Pair, specs: Iterable[Spec]) -> dict[str, Any]:
    types = [{"associationCategory": category, "associationTypeId": id} for category, id in sorted(set(specs))]
    return {"from": {"id": pair[0]}, "to": {"id": pair[1]}, "types": types}


def _parts(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for at in range(0, len(items), most):
        yield items[at : at + most]
