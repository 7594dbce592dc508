"""
The edges of up to a thousand records of one kind to another kind: one request, and more where a record has many.

A record without edges is missing from the answer, or stands there as an error of its own; both mean none. Any other
error means that its edges are not known. Source: HubSpot's guide "Associate records" ("Retrieve associated records"),
and its changelog of 2025-02-10 on the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncer.errors import AnswerError
from syncer.sources import Record
from syncer.sources.hubspot.calls import Calls, a_list, an_object, next_after
from syncer.sources.hubspot.kinds import Kind
from syncer.transport import Answer

BATCH = 1_000
FIRST = 250  # records in the first request of a pair: how many edges they have is not known yet
MOST = 20_000  # edges of several records that are held at once; of one record, all of them
NONE = ("OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND")  # as a category, or at the end of a subCategory: there are none


def edges_of(
    calls: Calls, start: Kind, end: Kind, ids: Sequence[str], *, sizes: dict[tuple[str, str], int]
) -> Iterator[tuple[list[str], list[Record]]]:
    """
    Yield the edges from the records *ids* of kind *start* to records of kind *end*, one record for each label: some of
    the ids, and all edges of those, at a time.

    sizes: for how many records one request asks, by pair of kinds: learned from what came, kept by the caller.
    Raises: AnswerError: an answer that cannot be true.
    """
    pair = start.name, end.name
    left = list(dict.fromkeys(ids))
    while left:
        size = sizes.get(pair, FIRST)
        part = left[:size]
        found, count = _gathered(calls, start, end, part)
        fitting = len(part) * MOST // 2 // max(count, 1)
        if found is None:
            sizes[pair] = max(1, min(len(part) // 2, fitting))
            continue
        sizes[pair] = min(BATCH, max(size, fitting)) if count <= MOST // 2 else max(1, min(size, fitting))
        left = left[size:]
        yield part, found


def _gathered(calls: Calls, start: Kind, end: Kind, ids: Sequence[str]) -> tuple[list[Record] | None, int]:
    """Return the edges of *ids* and how many came; None where those of several records are more than MOST."""
    found: dict[tuple[Any, ...], Record] = {}
    inputs: list[dict[str, str]] = [{"id": each} for each in ids]
    asked = set(ids)
    before: set[tuple[str, str]] = set()
    count = 0
    while inputs:
        path = calls.paths.associations(start.path, end.path, "batch", "read")
        answer = calls.associated(path, {"inputs": inputs})
        data = an_object(answer)
        _check(answer, data)
        inputs = []
        for result in a_list(answer, "results", of=data):
            from_id = _id_of(answer.where, result.get("from"))
            if from_id not in asked:
                raise AnswerError(f"{answer.where} gave the associations of a record that was not asked for.")
            others = a_list(answer, "to", of=result)
            count += len(others)
            if count > MOST and len(ids) > 1:
                return None, count
            for other in others:
                for edge in _labels(answer.where, other):
                    record = {"from_type": start.name, "from_id": from_id, "to_type": end.name, **edge}
                    found[from_id, edge["to_id"], edge["category"], edge["type_id"]] = record
            after = next_after(answer, result)
            if after is not None:
                if (from_id, after) in before:
                    raise AnswerError(
                        f"{answer.where} goes on with an 'after' that a record had before: it would never end."
                    )
                before.add((from_id, after))
                inputs.append({"id": from_id, "after": after})
    return list(found.values()), count


def _check(answer: Answer, data: Mapping[str, Any]) -> None:
    """Raise AnswerError where a batch failed in part: what it does not show is not gone."""
    if data.get("status") not in (None, "COMPLETE"):
        raise AnswerError(f"{answer.where}: the batch is not complete.")
    errors = a_list(answer, "errors", of=data) if data.get("errors") is not None else []
    if data.get("numErrors") and not errors:
        raise AnswerError(f"{answer.where} counts errors and names none; for which records is not known.")
    for error in errors:
        category, more = str(error.get("category")), str(error.get("subCategory"))
        if category not in NONE and not more.endswith(NONE):
            raise AnswerError(f"{answer.where} failed for some records ({category[:60]}); their edges are not known.")


def _labels(where: str, other: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what one `to` says: the other id, and each type of association with it."""
    to_id = other.get("toObjectId")
    types = other.get("associationTypes")
    if not isinstance(to_id, str | int) or isinstance(to_id, bool) or not isinstance(types, list):
        raise AnswerError(f"{where} gave an association without toObjectId or associationTypes.")
    labels = []
    for each in types:
        category = each.get("category") if isinstance(each, dict) else None
        type_id = each.get("typeId") if isinstance(each, dict) else None
        if not isinstance(category, str) or not isinstance(type_id, int) or isinstance(type_id, bool):
            raise AnswerError(f"{where} gave an association type without category or typeId.")
        labels.append({"to_id": str(to_id), "category": category, "type_id": type_id, "label": each.get("label")})
    return labels


def _id_of(where: str, found: object) -> str:
    number = found.get("id") if isinstance(found, dict) else None
    if not isinstance(number, str | int) or isinstance(number, bool):
        raise AnswerError(f"{where} gave associations without the id of their record.")
    return str(number)
