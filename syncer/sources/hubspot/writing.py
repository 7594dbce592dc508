"""
Records of HubSpot, written: found by id or by a unique property, sent in batches, and what became of each input.

Every input carries a trace id, so that one bad input costs itself only; outcomes are results, errors, and what is in
neither. A write whose answer was lost is `Uncertain`: only reads are asked again. Not here: associations
(`edgewriting.py`), what is sent, and when (`apply.py`).
Source: HubSpot's guides "Using object APIs" and "Merge records", its page "Error handling".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import values
from syncer.errors import NotAllowed, NotFound, RequestError, SyncerError, Unavailable
from syncer.plan import ARCHIVE, CREATE, UPDATE, Change
from syncer.sources import Record
from syncer.sources.hubspot import walking
from syncer.sources.hubspot.batches import BATCH, BATCH_WITH_HISTORY, NOT_FOUND, Wanted, one, read
from syncer.sources.hubspot.calls import Calls, a_list, an_object
from syncer.sources.hubspot.kinds import MERGED_IDS, Kind
from syncer.sources.hubspot.refusals import parsed, refusal
from syncer.target import DONE, MISSED, REFUSED, BatchRefused, Found, Outcome, Shape, Uncertain
from syncer.transport import Answer

BATCHES = {CREATE: "create", UPDATE: "update", ARCHIVE: "archive"}
REFUSALS = (400, 404, 409)
OF_MERGES = (*REFUSALS, 414)  # too many records were merged into one already
NOT_DONE = (423, 429, 477)  # the answer says that nothing was done
NO_ANSWER = 408
OTHER_ADDRESSES = "hs_additional_emails"
SILENT = "HubSpot neither wrote it nor said why: its record may have been merged into another."
_ID = re.compile(r"[0-9]{1,19}")


def find(
    calls: Calls, kind: Kind, keys: Sequence[str], *, by: str | None, properties: Sequence[str], shape: Shape
) -> dict[str, Found]:
    """Read records by id or by a unique property; by what was asked for."""
    found: dict[str, Found] = {}
    unique = list(dict.fromkeys(keys))
    for at in range(0, len(unique), BATCH):
        part = unique[at : at + BATCH]
        if by is None:
            found |= _by_id(calls, kind, [each for each in part if _ID.fullmatch(each)], properties)
        else:
            found |= _by_property(calls, kind, part, by, properties, shape)
    return found


def moved(calls: Calls, kind: Kind, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Found]:
    """Read records with when each property last changed."""
    found: dict[str, Found] = {}
    unique = [each for each in dict.fromkeys(ids) if _ID.fullmatch(each)]
    wanted = Wanted(kind=kind, properties=properties, histories=properties)
    for at in range(0, len(unique), BATCH_WITH_HISTORY):
        for record in read(calls, wanted, unique[at : at + BATCH_WITH_HISTORY]).records:
            found[str(record["id"])] = _found(record, moved_at=_moments(record))
    return found


def _moments(record: Record) -> dict[str, str]:
    """Return the newest time in each history; HubSpot does not say in which order a history stands."""
    histories = record.get("propertiesWithHistory")
    newest = {}
    for name, entries in histories.items() if isinstance(histories, dict) else ():
        moments = []
        for each in entries if isinstance(entries, list) else ():
            try:
                moments.append(values.timestamp(each.get("timestamp")))
            except (ValueError, AttributeError):
                continue  # an entry without a time tells nothing
        known = [each for each in moments if each is not None]
        if known:
            newest[str(name)] = max(known).isoformat()
    return newest


def _by_id(calls: Calls, kind: Kind, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Found]:
    wanted = Wanted(kind=kind, properties=list(dict.fromkeys([*properties, MERGED_IDS])))
    came = read(calls, wanted, ids)
    found = {str(record["id"]): _found(record) for record in came.records}
    into = {str(state.key[0]): state.into for state in came.states if state.into is not None}
    missing = [each for each in came.missing if each not in found]
    if missing:
        archived = read(calls, wanted, missing, archived=True)
        found |= {str(record["id"]): _found(record, is_archived=True) for record in archived.records}
    for each in missing:
        if each not in found:  # no batch knows it: read by itself, it leads to the record that it was merged into
            _, state = one(calls, wanted, each, archived=False)
            if state is not None and state.into is not None:
                into[each] = state.into
    if into:
        kept = {str(each["id"]): _found(each) for each in read(calls, wanted, list(into.values())).records}
        found |= {old: kept[survivor] for old, survivor in into.items() if survivor in kept}
    return found


def _by_property(
    calls: Calls, kind: Kind, keys: Sequence[str], by: str, properties: Sequence[str], shape: Shape
) -> dict[str, Found]:
    same = shape.properties[by].theirs
    forms = {key: _form(same, key) for key in keys if key}
    asked = {form: key for key, form in forms.items()}  # one of each: an input twice refuses the whole batch
    if not asked:
        return {}
    also = [OTHER_ADDRESSES] if by == "email" and OTHER_ADDRESSES in shape.properties else []
    wanted = list(dict.fromkeys([*properties, by, MERGED_IDS, *also]))
    body = {
        "inputs": [{"id": key} for key in asked.values()],
        "properties": wanted,
        "propertiesWithHistory": [],
        "idProperty": by,
    }
    answer = calls.post(calls.paths.objects(kind.path, "batch", "read"), body)
    by_form: dict[str, Found] = {}
    for record in a_list(answer, "results"):
        for value in _values(record, by, also):
            by_form.setdefault(_form(same, value), _found(record))
    told = {_form(same, each) for each in _not_found(answer)}
    for form in set(asked) - set(by_form) - told:  # a record that a batch leaves out is not one that is not there
        alone = _alone(calls, kind, asked[form], by, wanted)
        if alone is not None:
            by_form[form] = alone
    return {key: by_form[form] for key, form in forms.items() if form in by_form}


def _values(record: Record, by: str, also: Sequence[str]) -> Iterator[str]:
    """Yield the values that lead to a record: a contact is found by each of its addresses."""
    properties = record.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    if isinstance(properties.get(by), str):
        yield properties[by]
    for name in also:
        yield from (each.strip() for each in str(properties.get(name) or "").split(";") if each.strip())


def _form(same: Callable[[str | None], str | None], value: str) -> str:
    return (same(value) or value).lower()  # unique values differ by more than their capitals


def _alone(calls: Calls, kind: Kind, key: str, by: str, properties: Sequence[str]) -> Found | None:
    query = {"idProperty": by, "properties": ",".join(properties)}
    try:
        return _found(an_object(calls.get(calls.paths.objects(kind.path, key), query)))
    except NotFound:
        return None


def _not_found(answer: Answer) -> list[str]:
    data = an_object(answer)
    told: list[str] = []
    for error in a_list(answer, "errors", of=data) if data.get("errors") is not None else ():
        context = error.get("context")
        ids = context.get("ids") if isinstance(context, Mapping) else None
        if error.get("category") == NOT_FOUND and isinstance(ids, list):
            told += map(str, ids)
    return told


def write(calls: Calls, path: str, body: object, *, edges: bool = False) -> Answer:
    """
    Send a write once. Raises: Uncertain: it was done, or not; RequestError: it was refused; what ends a run.
    """
    try:
        return calls.write_edges(path, body) if edges else calls.write(path, body)
    except NotAllowed:
        raise
    except RequestError as error:
        if error.status < 500 and error.status != NO_ANSWER:
            raise
        raise Uncertain(error.message, hint=error.hint) from error
    except Unavailable as error:
        if error.status in NOT_DONE:
            raise
        raise Uncertain(error.message, hint=error.hint) from error


def send(calls: Calls, kind: Kind, changes: Sequence[Change], shape: Shape) -> list[Outcome]:
    """Send changes of one action as one batch. Raises: Uncertain, BatchRefused, and what ends a run."""
    action = changes[0].action
    path = calls.paths.objects(kind.path, "batch", BATCHES[action])
    try:
        answer = write(calls, path, {"inputs": [_input(change) for change in changes]})
    except RequestError as error:
        return [refused(error, changes, shape)]
    if action == ARCHIVE and not answer.body:
        return [Outcome(number=change.number, state=DONE, id=change.id) for change in changes]
    with_answer = Answered(changes, shape, is_silence_good=action == ARCHIVE)
    return with_answer.outcomes(answer, expects=action == CREATE)


def refused(
    error: RequestError, changes: Sequence[Change], shape: Shape, *, statuses: Sequence[int] = REFUSALS
) -> Outcome:
    """Return the outcome of the one change that was refused. Raises: BatchRefused of several; what is no refusal."""
    told = parsed(error.body)
    if error.status not in statuses or (error.status == 404 and not told):
        raise error
    first = changes[0]
    why = refusal(told, first, shape)
    if len(changes) > 1:
        raise BatchRefused(why.reason) from error
    if error.status == 404:
        return Outcome(number=first.number, state=MISSED, reason=why.reason)
    return Outcome(number=first.number, state=REFUSED, reason=why.reason, property=why.property)


class Answered:
    """Which change each result and each error of a batch's answer is about: by trace id or id, never by position."""

    def __init__(self, changes: Sequence[Change], shape: Shape, *, is_silence_good: bool) -> None:
        self._changes, self._shape, self._is_silence_good = changes, shape, is_silence_good
        self._by_trace = {str(change.number): change for change in changes}
        self._by_id = {change.id: change for change in changes if change.id is not None}
        self._told: dict[int, Outcome] = {}

    def outcomes(self, answer: Answer, *, expects: bool) -> list[Outcome]:
        """
        Return an outcome for each change. *expects*: a result that is nobody's may be a record that was made.

        Raises: Uncertain: the answer was cut, is none, or does not tell which record is whose.
        """
        try:
            data = an_object(answer)
            results = a_list(answer, "results", of=data)
            errors = a_list(answer, "errors", of=data) if data.get("errors") is not None else []
        except SyncerError as error:
            raise Uncertain(error.message) from error
        nobodys = [record for record in results if not self._done(record)]
        unnamed = [error for error in errors if not self._refused(error)]
        left = [change for change in self._changes if change.number not in self._told]
        if expects and nobodys and left:
            raise Uncertain(f"{answer.where} does not tell which of {len(nobodys)} new records is whose.")
        for change in left:
            self._told[change.number] = self._leftover(change, unnamed, is_only_one=len(left) == 1)
        return [self._told[change.number] for change in self._changes]

    def _done(self, record: Record) -> bool:
        id = str(record.get("id"))
        change = self._by_trace.get(str(record.get("objectWriteTraceId"))) or self._by_id.get(id)
        change = change or self._by_value(record)
        if change is not None:
            self._told[change.number] = Outcome(number=change.number, state=DONE, id=id)
        return change is not None

    def _by_value(self, record: Record) -> Change | None:
        """Find whose a new record is where trace ids are not repeated: by a value that must be unique."""
        properties = record.get("properties")
        if not isinstance(properties, dict):
            return None
        for change in self._changes:
            for name, edit in change.fields.items():
                known = self._shape.properties.get(name)
                if change.id is None and known is not None and known.is_unique and edit.after:
                    value = properties.get(name)
                    if isinstance(value, str) and _form(known.theirs, value) == _form(known.theirs, edit.after):
                        return change
        return None

    def _refused(self, error: Record) -> bool:
        context = error.get("context")
        context = context if isinstance(context, dict) else {}
        traces, ids = context.get("objectWriteTraceId"), context.get("ids")
        named = [self._by_trace[each] for each in _texts(traces) if each in self._by_trace]
        named = named or [self._by_id[each] for each in _texts(ids) if each in self._by_id]
        for change in named:
            self._told[change.number] = self._outcome(change, error)
        return bool(named)

    def _outcome(self, change: Change, error: Record) -> Outcome:
        why = refusal(error, change, self._shape)
        state = MISSED if error.get("category") == NOT_FOUND else REFUSED
        return Outcome(number=change.number, state=state, reason=why.reason, property=why.property)

    def _leftover(self, change: Change, unnamed: Sequence[Record], *, is_only_one: bool) -> Outcome:
        """Say what became of a change that the answer is silent about."""
        if unnamed and is_only_one:
            return self._outcome(change, unnamed[0])
        if unnamed:
            reason = " ".join(dict.fromkeys(refusal(each, change, self._shape).reason for each in unnamed))
            return Outcome(number=change.number, state=MISSED, reason=reason)
        if self._is_silence_good:
            return Outcome(number=change.number, state=DONE, id=change.id)
        return Outcome(number=change.number, state=MISSED, reason=SILENT)


def merge(calls: Calls, kind: Kind, changes: Sequence[Change], shape: Shape) -> list[Outcome]:
    """
    Merge records, one pair at a time, each into what survived the last one: an answer's id is the one to go on with.

    Raises: Uncertain, and what ends a run.
    """
    outcomes = []
    now: dict[str, str] = {}
    for change in changes:
        lost, kept = (_survivor(now, change.id or ""), _survivor(now, change.into or ""))
        body = {"primaryObjectId": kept, "objectIdToMerge": lost}
        try:
            answer = write(calls, calls.paths.objects(kind.path, "merge"), body)
        except RequestError as error:
            outcomes.append(refused(error, [change], shape, statuses=OF_MERGES))
            continue
        try:
            id = an_object(answer).get("id")
        except SyncerError as error:
            raise Uncertain(error.message) from error
        if not isinstance(id, str | int) or isinstance(id, bool) or not str(id):
            raise Uncertain(f"{answer.where} does not tell which record survived.")
        now[lost] = now[kept] = str(id)
        outcomes.append(Outcome(number=change.number, state=DONE, id=str(id)))
    return outcomes


def _survivor(now: Mapping[str, str], id: str) -> str:
    while now.get(id, id) != id:
        id = now[id]
    return id


def _input(change: Change) -> dict[str, Any]:
    if change.action == ARCHIVE:
        return {"id": change.id}
    properties = {name: edit.after or "" for name, edit in change.fields.items()}
    made: dict[str, Any] = {"properties": properties, "objectWriteTraceId": str(change.number)}
    return {"id": change.id, **made} if change.action == UPDATE else made


def _found(record: Record, *, is_archived: bool = False, moved_at: Mapping[str, str] | None = None) -> Found:
    as_told = walking.found(record)
    return attrs.evolve(as_told, is_archived=is_archived or as_told.is_archived, moved_at=moved_at or {})


def _texts(found: object) -> list[str]:
    return [str(each) for each in found] if isinstance(found, list) else []
