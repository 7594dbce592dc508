"""
What happened in a portal that is pushed to, write by write, and whether the journal tells the same.

The site is watched from inside: each request that writes, as it came, and each value that was overwritten, with who
had written it. Joined with `syncer.changes`: what arrived had an intent before, what was overwritten is the plan's
*before*, what is called done was written, and each key was created once.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson

from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.messages import Request, Response
from tests.outbound import PushHome

PERSON, OURS = "CRM_UI", "INTEGRATION"
CREATE, UPDATE, ARCHIVE, ASSOCIATE, DISASSOCIATE = "create", "update", "archive", "associate", "disassociate"
_RECORDS = re.compile(r"/objects/(?:[^/]*/)?([a-z_]+)/batch/(create|update|archive)$")
_EDGES = re.compile(r"/associations/(?:[^/]*/)?(\w+)/(\w+)/batch/(create|associate/default|archive|labels/archive)$")
_NO_RECORDS = frozenset({"read"})
Signature = tuple[Any, ...]


@attrs.frozen(kw_only=True)
class Write:
    """One write to one record or edge that was done. at: seconds since 1970; by: who wrote each value before."""

    at: float
    action: str
    kind: str
    id: str
    before: Mapping[str, str | None] = attrs.field(factory=dict)
    after: Mapping[str, str | None] = attrs.field(factory=dict)
    by: Mapping[str, str] = attrs.field(factory=dict)
    other: str = ""  # the record at the other end

    @property
    def signature(self) -> Signature:
        """What a change of the journal must have that it is."""
        if self.action in (ASSOCIATE, DISASSOCIATE):
            return self.action, self.kind, self.id, self.other
        if self.action == CREATE:
            return CREATE, self.kind, "", _values(self.after)
        return self.action, self.kind, self.id, _values(self.after)


@attrs.frozen(kw_only=True)
class Asked:
    """One input of a request that writes, as it arrived, whether it was done or refused."""

    at: float
    signature: Signature


@attrs.define
class History:
    """All that was written, by us and by people, in its order."""

    site: HubSpotSite
    asked: list[Asked] = attrs.field(factory=list)
    writes: list[Write] = attrs.field(factory=list)
    known: frozenset[str] = frozenset()  # plans that were there before it began
    _answering: int = 0  # the thread that answers a request now

    @classmethod
    def of(cls, site: HubSpotSite) -> History:
        """Watch a site from now on."""
        found = cls(site)
        found._watch()
        return found

    def forget(self) -> None:
        """Begin anew, for plans that are not known yet."""
        self.asked.clear()
        self.writes.clear()

    def know(self, home: PushHome) -> None:
        """Leave out what the plans that are there now did."""
        self.known = frozenset(plan for (plan,) in home.rows("SELECT plan FROM syncer.plans"))

    def since(self, moment: float) -> list[Asked]:
        """Return what arrived later than a moment."""
        return [each for each in self.asked if each.at > moment]

    def _watch(self) -> None:
        site, store = self.site, self.site.store
        answer = site.answer
        create, update, archive, associate, disassociate = (
            store.create,
            store.update,
            store.archive,
            store.associate,
            store.disassociate,
        )

        def answered(request: Request) -> Response:
            self.asked += arrived(request)
            self._answering = threading.get_ident()
            try:
                return answer(request)
            finally:
                self._answering = 0

        def created(kind: str, properties: Mapping[str, str | None], **more: Any) -> Any:
            record = create(kind, properties, **more)
            if self._is_ours():
                self._note(CREATE, kind, record.id, after=dict(properties))
            return record

        def updated(kind: str, id: str, properties: Mapping[str, str | None], **more: Any) -> Any:
            if self._is_ours():
                record = store.records[kind][id]
                before = {name: record.properties.get(name) for name in properties}
                by = {name: entries[-1].source_type for name, entries in record.history.items() if entries}
                self._note(UPDATE, kind, id, before=before, after=dict(properties), by=by)
            return update(kind, id, properties, **more)

        def archived(kind: str, id: str) -> None:
            if self._is_ours():
                self._note(ARCHIVE, kind, id)
            archive(kind, id)

        def linked(start: str, start_id: str, end: str, end_id: str, specs: Iterable[Any]) -> None:
            if self._is_ours():
                self._note(ASSOCIATE, start, start_id, other=end_id)
            associate(start, start_id, end, end_id, specs)

        def unlinked(start: str, start_id: str, end: str, end_id: str, specs: Iterable[Any] = ()) -> None:
            if self._is_ours():
                self._note(DISASSOCIATE, start, start_id, other=end_id)
            disassociate(start, start_id, end, end_id, specs)

        site.answer = answered  # type: ignore[method-assign]
        store.create, store.update, store.archive = created, updated, archived  # type: ignore[method-assign]
        store.associate, store.disassociate = linked, unlinked  # type: ignore[method-assign]

    def _is_ours(self) -> bool:
        return self._answering == threading.get_ident()

    def _note(self, action: str, kind: str, id: str, **facts: Any) -> None:
        self.writes.append(Write(at=time.time(), action=action, kind=kind, id=id, **facts))


def arrived(request: Request) -> list[Asked]:
    """Return what a request wants to write, input by input; nothing of one that reads."""
    path, now = request.path, time.time()
    of_records, of_edges = _RECORDS.search(path), _EDGES.search(path)
    if request.method != "POST" or not (of_records or of_edges):
        return []
    inputs = orjson.loads(request.body)["inputs"]
    if of_records:
        kind, action = of_records.groups()
        return [Asked(at=now, signature=_of_input(kind, action, each)) for each in inputs]
    assert of_edges is not None
    start, _, how = of_edges.groups()
    action = DISASSOCIATE if "archive" in how else ASSOCIATE
    pairs = [
        (each["from"]["id"], to["id"])
        for each in inputs
        for to in (each["to"] if isinstance(each["to"], list) else [each["to"]])
    ]
    return [Asked(at=now, signature=(action, start, one, other)) for one, other in pairs]


def _of_input(kind: str, action: str, each: Mapping[str, Any]) -> Signature:
    if action == ARCHIVE:
        return ARCHIVE, kind, str(each["id"]), ()
    return action, kind, "" if action == CREATE else str(each["id"]), _values(each["properties"])


def _values(properties: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value or "") for name, value in properties.items()))


@attrs.frozen(kw_only=True)
class Intent:
    """A change of the journal that was written down as about to be sent, at least once."""

    plan: str
    number: int
    key: str  # of its row
    signature: Signature
    before: Mapping[str, str | None]
    state: str
    sent_at: float


def journal(home: PushHome) -> list[Intent]:
    """Read the changes that were to be sent, by now."""
    query = (
        "SELECT plan, number, key, action, kind, id, result, fields, edge, state, sent_at FROM syncer.changes "
        "WHERE sent_at IS NOT NULL"
    )
    found = []
    for plan, number, key, action, kind, id, result, fields, edge, state, sent_at in home.rows(query):
        edits = orjson.loads(fields) if fields else {}
        to = orjson.loads(edge)["id"] if edge else None
        after = {name: edit[1] for name, edit in edits.items()}
        if to is not None:
            signature: Signature = (action, kind, result or id, to)
        else:
            signature = (action, kind, "" if action == CREATE else id, () if action == ARCHIVE else _values(after))
        found.append(
            Intent(
                plan=plan,
                number=int(number),
                key=key,
                signature=signature,
                before={name: edit[0] for name, edit in edits.items()},
                state=state,
                sent_at=sent_at.timestamp(),
            )
        )
    return found


def unannounced(asked: Iterable[Asked], intents: Iterable[Intent], *, is_timed: bool) -> list[str]:
    """Say what arrived without an intent; *is_timed*: or before it (both clocks are this machine's)."""
    first: dict[Signature, float] = {}
    for intent in intents:
        first[intent.signature] = min(intent.sent_at, first.get(intent.signature, intent.sent_at))
    found = []
    for each in asked:
        if each.signature not in first:
            found.append(f"arrived, and no plan shows it: {each.signature}")
        elif is_timed and each.at < first[each.signature]:
            found.append(f"arrived {first[each.signature] - each.at:.3f} s before its intent: {each.signature}")
    return found


def wrong_with(history: History, home: PushHome, *, key: str, is_timed: bool = False) -> list[str]:
    """
    Hold the history against the journal; return what does not fit. *key*: the property that finds a new record.

    Only for a history in which nobody else wrote what a change would write, and all settling is over.
    """
    intents = [intent for intent in journal(home) if intent.plan not in history.known]
    found = unannounced(history.asked, intents, is_timed=is_timed)
    found += overwritten_wrongly(history.writes, intents)
    done = Counter(intent.signature for intent in intents if intent.state == "done")
    written = Counter(write.signature for write in history.writes)
    found += [f"done {count} times by the journal, {written[what]} times there: {what}" for what, count in done.items()
              if written[what] < count]  # fmt: skip
    found += [f"written, and not done by the journal: {what}" for what in written if not done[what]]
    return found + [f"created {count} times: {value}" for value, count in created(history.writes, key).items()
                    if count > 1]  # fmt: skip


def overwritten_wrongly(writes: Iterable[Write], intents: Iterable[Intent]) -> list[str]:
    """Say which values were overwritten that were not the plan's *before*."""
    by_signature: dict[Signature, list[Intent]] = {}
    for intent in intents:
        by_signature.setdefault(intent.signature, []).append(intent)
    found = []
    for write in writes:
        if write.action != UPDATE:
            continue
        befores = [dict(intent.before) for intent in by_signature.get(write.signature, ())]
        had = {name: value or None for name, value in write.before.items()}
        if had not in [{name: value or None for name, value in before.items()} for before in befores]:
            found.append(f"{write.kind} {write.id} had {had}, and the plan shows {befores or 'nothing'}")
    return found


def created(writes: Iterable[Write], key: str) -> Counter[str]:
    """Count how often each key was created."""
    return Counter(write.after.get(key) or "" for write in writes if write.action == CREATE)
