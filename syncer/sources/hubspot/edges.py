"""
The edges of up to a thousand records of one kind to another kind: one request, and more where a record has many.

A record without edges is missing from the answer, or stands there as an error of its own; both mean none. Any other
error means that its edges are not known. Source: HubSpot's guide "Associate records" ("Retrieve associated records"),
and its changelog of 2025-02-10 on the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncer.errors import AnswerError
from syncer.sources import Record
from syncer.sources.hubspot.calls import Calls, a_list, an_object, next_after
from syncer.sources.hubspot.kinds import Kind
from syncer.transport import Answer

BATCH = 1_000
NONE = ("OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND")  # as a category, or at the end of a subCategory: there are none


def edges_of(calls: Calls, start: Kind, end: Kind, ids: Sequence[str]) -> list[Record]:
    """
    Return the edges from the records *ids* of kind *start* to records of kind *end*, one record for each label.

    Raises: AnswerError: an answer that cannot be true.
    """
    found: dict[tuple[Any, ...], Record] = {}
    inputs: list[dict[str, str]] = [{"id": each} for each in dict.fromkeys(ids)]
    asked = {each["id"] for each in inputs}
    while inputs:
        path = calls.paths.associations(start.path, end.path, "batch", "read")
        answer = calls.associated(path, {"inputs": inputs})
        data = an_object(answer)
        _check(answer, data)
        before = {(each["id"], each.get("after")) for each in inputs}
        inputs = []
        for result in a_list(answer, "results", of=data):
            from_id = _id_of(answer.where, result.get("from"))
            if from_id not in asked:
                raise AnswerError(f"{answer.where} gave the associations of a record that was not asked for.")
            for other in a_list(answer, "to", of=result):
                for edge in _labels(answer.where, other):
                    record = {"from_type": start.name, "from_id": from_id, "to_type": end.name, **edge}
                    found[from_id, edge["to_id"], edge["category"], edge["type_id"]] = record
            after = next_after(answer, result)
            if after is not None:
                if (from_id, after) in before:
                    raise AnswerError(
                        f"{answer.where} goes on with the same 'after' for a record: it would never end."
                    )
                inputs.append({"id": from_id, "after": after})
    return list(found.values())


def _check(answer: Answer, data: Mapping[str, Any]) -> None:
    """Raise AnswerError where a batch failed in part: what it does not show is not gone."""
    if data.get("status") not in (None, "COMPLETE"):
        raise AnswerError(f"{answer.where}: the batch is not complete.")
    for error in a_list(answer, "errors", of=data) if data.get("errors") is not None else ():
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
