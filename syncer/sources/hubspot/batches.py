"""
Records by id, a hundred at a time; and what a record tells of the ids that were merged into it.

Ids that an answer names as not found are archived, merged away or purged; a batch does not say which. What it neither
gives nor names is asked for by itself: a record that a batch leaves out is not one that is gone.
Source: HubSpot's guides on objects ("Retrieve records", "batch read") and on merging.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from loguru import logger

from syncer.ahead import ahead
from syncer.errors import AnswerError, NotFound
from syncer.sources import ARCHIVED, MERGED, Record, State
from syncer.sources.hubspot.calls import Calls, a_list, an_object
from syncer.sources.hubspot.kinds import MERGED_IDS, Kind

BATCH = 100
BATCH_WITH_HISTORY = 50
NOT_FOUND = "OBJECT_NOT_FOUND"


@attrs.frozen(kw_only=True)
class Wanted:
    """Which properties of a kind are read, and of which the history as well."""

    kind: Kind
    properties: Sequence[str]
    histories: Sequence[str] = ()

    @property
    def batch(self) -> int:
        """How many records one batch may ask for."""
        return BATCH_WITH_HISTORY if self.histories else BATCH


@attrs.frozen(kw_only=True)
class Read:
    """What a batch gave: records, states of ids that were merged away, and the ids that it gave nothing for."""

    ids: Sequence[str]
    records: Sequence[Record]
    missing: Sequence[str] = ()
    states: Sequence[State] = ()


def read(calls: Calls, wanted: Wanted, ids: Sequence[str], *, archived: bool = False) -> Read:
    """
    Read the records of *ids*, at most a batch of them.

    Raises: AnswerError: the answer is no such answer, or leaves out, whenever it is asked, a record that is there.
    """
    unique = list(dict.fromkeys(ids))
    if not unique:
        return Read(ids=(), records=())
    records, told = _batch(calls, wanted, unique, archived=archived)
    came = {str(record.get("id")) for record in records}
    states = []
    for number in unique:
        if number in came or number in told:
            continue
        logger.debug("{} {}: a batch told nothing of it, it is asked for by itself", wanted.kind.name, number)
        record, state = one(calls, wanted, number, archived=archived)
        if record is not None:
            records.append(record)
            came.add(number)
        elif state is not None:
            states.append(state)
    came.update(str(state.key[0]) for state in states)
    missing = [each for each in unique if each not in came]
    return Read(ids=unique, records=records, missing=missing, states=states)


def _batch(calls: Calls, wanted: Wanted, ids: Sequence[str], *, archived: bool) -> tuple[list[Record], set[str]]:
    """Ask for one batch; return the records of it, and the ids that it names as not found. Raises AnswerError."""
    body: dict[str, Any] = {"inputs": [{"id": each} for each in ids], "properties": list(wanted.properties)}
    body["propertiesWithHistory"] = list(wanted.histories)
    path = calls.paths.objects(wanted.kind.path, "batch", "read")
    answer = calls.post(f"{path}?archived=true" if archived else path, body)
    data = an_object(answer)
    records = a_list(answer, "results", of=data)
    if data.get("status") not in (None, "COMPLETE"):
        raise AnswerError(f"{answer.where}: the batch is not complete.")
    told: set[str] = set()
    for error in a_list(answer, "errors", of=data) if data.get("errors") is not None else ():
        context = error.get("context")
        named = context.get("ids") if isinstance(context, Mapping) else None
        if error.get("category") == NOT_FOUND and isinstance(named, list):
            told.update(map(str, named))
    return records, told


def read_all(
    calls: Calls, wanted: Wanted, ids: Iterable[str], *, archived: bool = False, workers: int | None = None
) -> Iterator[Read]:
    """Read records by id, some batches at once; in the order of *ids*."""
    pool = list(dict.fromkeys(ids))
    parts = [pool[at : at + wanted.batch] for at in range(0, len(pool), wanted.batch)]
    return ahead(lambda part: read(calls, wanted, part, archived=archived), parts, workers=workers or calls.workers)


def merged_into(records: Iterable[Record]) -> list[State]:
    """Return the states of the ids that were merged into *records*."""
    states = []
    for record in records:
        survivor = str(record.get("id"))
        states += [State(key=(old,), state=MERGED, into=survivor) for old in merged_ids(record)]
    return states


def merged_ids(record: Record) -> list[str]:
    """Return the ids that were merged into a record, as its property tells them."""
    properties = record.get("properties")
    told = properties.get(MERGED_IDS) if isinstance(properties, Mapping) else None
    if not isinstance(told, str) or not told:
        return []
    survivor = str(record.get("id"))
    return [old for each in told.split(";") if (old := each.strip()) and old != survivor]


def states_of(records: Iterable[Record]) -> list[State]:
    """Return the states that records of any kind bring along: archived ones, and what was merged into each."""
    kept = list(records)
    archived = [each for each in kept if each.get("archived") is True]
    return [*(State(key=(str(each.get("id")),), state=ARCHIVED) for each in archived), *merged_into(kept)]


def one(calls: Calls, wanted: Wanted, id: str, *, archived: bool) -> tuple[Record | None, State | None]:
    """
    Read one record that no batch told of: an id that was merged away leads to the record that survives.

    Returns: the record, or the state of *id* where it is another record's now; nothing where there is none.
    Raises: AnswerError: it is there, and a batch of it alone does not give it.
    """
    query = [("properties", MERGED_IDS), *((("archived", "true"),) if archived else ())]
    try:
        answer = calls.get(calls.paths.objects(wanted.kind.path, id), query)
    except NotFound:
        return None, None
    found = str(an_object(answer).get("id"))
    if found != id:
        return None, State(key=(id,), state=MERGED, into=found)
    records, _ = _batch(calls, wanted, [id], archived=archived)
    if [str(record.get("id")) for record in records] != [id]:
        raise AnswerError(f"HubSpot has {wanted.kind.name} {id}, and batches do not give it.")
    return records[0], None
