"""
A portal's records and edges, and what people do to them: create, edit, archive, restore, merge, purge, associate, …

What moves `hs_lastmodifieddate` and what does not is decided here: a write of a property does; archiving, restoring
and associations do not, but where the primary company changes, whose id a property holds.

Not here: routes, limits and scopes, the search index (it listens to `on_change`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from syncer.sandbox.clock import Clock
from syncer.sandbox.hubspot.merging import Coming, merged_histories, merged_values
from syncer.sandbox.hubspot.model import (
    BACK,
    HUBSPOT_DEFINED,
    KINDS,
    MIRRORS,
    PRIMARY,
    TYPE_IDS,
    USER_DEFINED,
    Account,
    Audit,
    Definition,
    Group,
    Kind,
    Label,
    Owner,
    Pipeline,
    PortalRecord,
    Spec,
    Written,
)
from syncer.sandbox.hubspot.watching import Watch

NEW_ID, PRIMARY_ID = "new", "primary"  # which id a merge leaves: a third one, or that of the primary record
LEFT_OUT, AS_ERRORS = "left out", "errors"  # what a batch read does with records that have no associations
Edges = dict[str, set[Spec]]  # by the other record's id


class Refused(ValueError):
    """HubSpot would not do this; the text is the reason."""


class TooManyMerges(Refused):
    """More than 250 records would be behind one."""


class Store:
    """One portal. `merge_mode` may change while it runs; nothing here takes a lock."""

    def __init__(self, *, clock: Clock, seed: int = 1, portal_id: int = 62515, merge_mode: str = NEW_ID) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.portal_id = portal_id
        self.merge_mode = merge_mode
        self.merge_lag_s = 0.0  # so long reads do not show the edges that a merge has moved
        self.unites_labels = False  # of a pair that both merged records had; False: the primary record's labels stay
        self.kinds: dict[str, Kind] = {kind.name: kind for kind in KINDS}
        self.records: dict[str, dict[str, PortalRecord]] = {name: {} for name in self.kinds}
        self.merged: dict[str, dict[str, str]] = {
            name: {} for name in self.kinds
        }  # old id -> the id that is there now
        self.purged: dict[str, set[str]] = {name: set() for name in self.kinds}
        self.definitions: dict[str, dict[str, Definition]] = {name: {} for name in self.kinds}
        self.edges: dict[tuple[str, str], dict[str, Edges]] = {}  # (from, to) -> from id -> to id -> specs
        self.labels: dict[tuple[str, str], list[Label]] = {}
        self.owners: dict[str, Owner] = {}
        self.pipelines: dict[str, dict[str, Pipeline]] = {}
        self.groups: dict[str, dict[str, Group]] = {}  # kind -> name; those that only definitions name come on top
        self.rules: dict[str, dict[str, list[dict[str, Any]]]] = {}  # kind -> property -> validation rules
        self.audits: list[Audit] = []
        self.account = Account()
        self.edge_page = 500  # neighbours in one answer; more come by `after`
        self.edge_caps: dict[tuple[str, str], int] = {}  # the most neighbours of one record, where it is not 50,000
        self.closed_edges: set[tuple[str, str]] = set()  # kinds that users may not associate; binds 2026-09 and later
        self.no_edges = LEFT_OUT  # a batch read's records without any: left out, or told as errors (207)
        self.on_change: list[Callable[[str, str], None]] = []  # called with kind and id after each change of a record
        self.watches: list[Watch] = []
        self._touched: set[tuple[str, str]] = set()  # whose edges the change that is being made concerns
        self._coming = Coming()
        self.form_required: dict[str, set[str]] = {}  # fields of the Create form; they bind 2026-09 and later only
        self.honours_traces = True  # False: an input's trace id is as if it were not sent, and not told in the answer
        self.blocklist: set[str] = set()  # e-mail addresses that were deleted for good
        self._last_id = 9_000_000_000 + self.random.randrange(1_000_000)
        self._last_label = 0
        for (start, end), types in TYPE_IDS.items():
            for type_id, label in types:
                self.labels.setdefault((start, end), []).append(
                    Label(
                        from_type=start,
                        to_type=end,
                        category=HUBSPOT_DEFINED,
                        type_id=type_id,
                        label=label,
                        inverse=self._inverse(start, end, type_id),
                    )
                )

    # Kinds, definitions, labels

    def add_custom_kind(self, name: str, singular: str, *, primary: str = "name") -> Kind:
        """Add a custom object; its records can be associated with companies and contacts, and with each other."""
        number = 100 + sum(1 for kind in self.kinds.values() if kind.is_custom)
        kind = Kind(
            name=name,
            singular=singular,
            type_id=f"2-{number}",
            primary=primary,
            required=(primary,),
            is_custom=True,
            qualified_name=f"p{self.portal_id}_{name}",
            created="hs_createdate",
            read_scopes=("crm.objects.custom.read",),
            write_scopes=("crm.objects.custom.write",),
        )
        self.kinds[name] = kind
        self.records[name], self.merged[name], self.definitions[name] = {}, {}, {}
        self.purged[name] = set()
        for other in ("companies", "contacts", name):
            self.add_label(name, other, None)
        return kind

    def kind(self, name: str) -> Kind | None:
        """Find a kind by what a path may call it: its plural, its type id, a custom object's qualified name."""
        found = self.kinds.get(name)
        if found is not None:
            return found
        return next((kind for kind in self.kinds.values() if name in (kind.type_id, kind.qualified_name)), None)

    def add_label(self, start: str, end: str, label: str | None) -> Label:
        """Add a label of the portal's own between two kinds; the way back has an id of its own."""
        there = self._last_label + 1
        back = there if start == end else there + 1
        self._last_label = back
        pairs = [(start, end, there, back)] if start == end else [(start, end, there, back), (end, start, back, there)]
        for one, other, type_id, inverse in pairs:
            self.labels.setdefault((one, other), []).append(
                Label(
                    from_type=one, to_type=other, category=USER_DEFINED, type_id=type_id, label=label, inverse=inverse
                )
            )
        return next(each for each in self.labels[start, end] if each.type_id == there)

    def label_of(self, start: str, end: str, spec: Spec) -> Label | None:
        """Find the label that a category and type id mean between two kinds."""
        return next(
            (each for each in self.labels.get((start, end), ()) if (each.category, each.type_id) == spec), None
        )

    def define(self, kind: str, definition: Definition) -> None:
        """Add a property, or put another definition in its place."""
        now = self.now_ms()
        definition.created_ms = definition.created_ms or now
        definition.updated_ms = now
        self.definitions[kind][definition.name] = definition

    # Records

    def now_ms(self) -> int:
        """The time, in milliseconds."""
        return int(self.clock.now().timestamp() * 1000)

    def new_id(self) -> str:
        """Make an id; now and then one that is smaller than earlier ones."""
        self._last_id += self.random.randrange(1, 2_000)
        number = self._last_id - self.random.randrange(1, 500_000) if self.random.random() < 0.1 else self._last_id
        while any(str(number) in self.records[kind] or str(number) in self.merged[kind] for kind in self.kinds):
            number += 1
        return str(number)

    def start_ids_behind(self, number: int) -> None:
        """Let the next ids be greater than *number*."""
        self._last_id = max(self._last_id, number)

    def create(
        self, kind: str, properties: Mapping[str, str | None], *, source_type: str = "CRM_UI", id: str | None = None
    ) -> PortalRecord:
        """Create a record; nothing is checked."""
        now = self.now_ms()
        record = PortalRecord(id=id or self.new_id(), kind=kind, properties={}, created_ms=now, updated_ms=now)
        record.properties = {"hs_object_id": record.id, self.kinds[kind].created: iso(now)}
        self.records[kind][record.id] = record
        self._write(record, properties, now, source_type)
        return record

    def update(
        self, kind: str, id: str, properties: Mapping[str, str | None], *, source_type: str = "CRM_UI"
    ) -> PortalRecord:
        """Write properties of a record that is there; `hs_lastmodifieddate` moves."""
        record = self.records[kind][id]
        self._write(record, properties, self.now_ms(), source_type)
        return record

    def archive(self, kind: str, id: str) -> None:
        """Put a record into the recycle bin. Its modified date stays; its edges are hidden until it is restored."""
        with self._moment("archive"):
            self.records[kind][id].archived_ms = self.now_ms()
            self._touch_all(kind, id)
            self._changed(kind, id)

    def restore(self, kind: str, id: str) -> None:
        """Take a record out of the recycle bin. Its modified date stays."""
        with self._moment("restore"):
            self.records[kind][id].archived_ms = None
            self._touch_all(kind, id)
            self._changed(kind, id)

    def purge(self, kind: str, id: str) -> None:
        """Delete a record for good, with its edges, and every id that was merged into it."""
        record = self.records[kind].pop(id)
        for old in record.merged_ids:
            self.merged[kind].pop(old, None)
            self.purged[kind].add(old)
        self.purged[kind].add(id)
        with self._moment("purge"):
            self._drop_edges(kind, id)
            self._changed(kind, id)

    def merge(self, kind: str, primary_id: str, lost_id: str) -> PortalRecord:
        """
        Merge two records; return the one that survives: a third, or the primary one, by `merge_mode`.

        Values are the primary's, blanks are filled from the other; histories of both are kept. Edges of both move
        over, with their labels; where both had a primary company, the second one's is primary no more.

        Raises: Refused: as `check_merge`. KeyError: there is no such record.
        """
        self.check_merge(kind, primary_id, lost_id)
        with self._moment("merge"):
            return self._merge(self.records[kind][primary_id], self.records[kind][lost_id])

    def check_merge(self, kind: str, primary_id: str, lost_id: str) -> None:
        """Refuse the same id twice, and too many merges behind the two (`TooManyMerges`)."""
        if primary_id == lost_id:
            raise Refused("Cannot merge a record with itself")
        if sum(len(self.records[kind][id].merged_ids) for id in (primary_id, lost_id)) >= 250:
            raise TooManyMerges("Cannot have more than 250 identities on a profile")

    def _merge(self, primary: PortalRecord, lost: PortalRecord) -> PortalRecord:
        kind, now = primary.kind, self.now_ms()
        own = {"hs_object_id", self.kinds[kind].created, self.kinds[kind].cursor}
        values = merged_values(primary, lost, but=own | {MIRRORS.get(kind, "")})
        histories = merged_histories(primary, lost, but=own)
        gone_ids = [*primary.merged_ids, *lost.merged_ids, lost.id]
        survivor = primary
        if self.merge_mode == NEW_ID:
            gone_ids.append(primary.id)
            survivor = PortalRecord(
                id=self.new_id(), kind=kind, properties={}, created_ms=primary.created_ms, updated_ms=now
            )
            survivor.properties = {"hs_object_id": survivor.id, self.kinds[kind].created: iso(primary.created_ms)}
            self.records[kind][survivor.id] = survivor
        survivor.history = histories
        survivor.merged_ids = list(dict.fromkeys(gone_ids))
        for old in survivor.merged_ids:
            self.merged[kind][old] = survivor.id
        self._move_edges(kind, primary.id, lost.id, survivor.id)
        for old in {primary.id, lost.id} - {survivor.id}:
            self.records[kind].pop(old)
            self._changed(kind, old)
        values["hs_merged_object_ids"] = ";".join(survivor.merged_ids)
        self._write(survivor, values, now, "MERGE_OBJECTS")
        for name, entries in histories.items():
            value = survivor.properties.get(name)
            if (entries[-1].value or None) != (value or None):  # the newest entry is the other's, the value is not
                entries.append(Written(value=value, ms=now, source_type="MERGE_OBJECTS"))
        return survivor

    def find(self, kind: str, id: str) -> PortalRecord | None:
        """Find a record by its id, or by one that was merged into it; archived ones too."""
        return self.records[kind].get(self.merged[kind].get(id, id))

    # Watches

    def watch_bare(self, kind: str, other: str) -> Watch:
        """
        Watch from now on whether a record of *kind* is left without any record of kind *other*.

        Raises: KeyError: there is no such kind.
        """
        for name in (kind, other):
            if name not in self.kinds:
                raise KeyError(f"no kind {name!r}; known: {', '.join(self.kinds)}")
        self.watches.append(Watch(self, kind, other))
        return self.watches[-1]

    @contextlib.contextmanager
    def _moment(self, why: str) -> Iterator[None]:
        """Make one change: the watches look at what stands at its end, at the records whose edges it concerned."""
        self._touched.clear()
        yield
        for watch in self.watches:
            watch.look(self._touched, why=why)

    def _touch_all(self, kind: str, id: str) -> None:
        """Let the watches look at a record, and at all that it has an edge with."""
        if self.watches:
            others = {
                (end, other)
                for start, end in self.edges
                if start == kind
                for other in self.edges[start, end].get(id, ())
            }
            self._touched |= {(kind, id), *others}

    # Edges

    def associate(self, start: str, start_id: str, end: str, end_id: str, specs: Iterable[Spec]) -> None:
        """
        Put the labels *specs* on a pair in place of those that it had; the unlabelled type always comes along.

        A first company becomes the primary one; a new primary one takes the place of the old, and
        moves the modified date of its contact, deal or ticket; nothing else here moves one.
        """
        with self._moment("associate"):
            wanted = set(specs)
            default = self.default_spec(start, end)
            if default is not None:
                wanted.add(default)
            primary = PRIMARY.get((start, end))
            if primary is not None:
                if not self._has_primary(start, start_id, end, primary):
                    wanted.add((HUBSPOT_DEFINED, primary))
                if (HUBSPOT_DEFINED, primary) in wanted:
                    self._demote(start, start_id, end, primary, but=end_id)
            elif (end, start) in PRIMARY:
                back = PRIMARY[end, start]
                if not self._has_primary(end, end_id, start, back):
                    wanted.add((HUBSPOT_DEFINED, BACK[back]))
                if (HUBSPOT_DEFINED, BACK[back]) in wanted:
                    self._demote(end, end_id, start, back, but=start_id)
            self._set(start, start_id, end, end_id, wanted)
            self._coming.drop((start, start_id), (end, end_id))

    def disassociate(self, start: str, start_id: str, end: str, end_id: str, specs: Iterable[Spec] = ()) -> None:
        """Remove a pair, or only some of its labels; without the unlabelled type the pair is gone as well."""
        kept = self.specs(start, start_id, end, end_id) - set(specs) if specs else set()
        default = self.default_spec(start, end)
        with self._moment("disassociate"):
            self._set(start, start_id, end, end_id, kept if default is None or default in kept else set())

    def specs(self, start: str, start_id: str, end: str, end_id: str) -> set[Spec]:
        """Return the types of one pair."""
        return set(self.edges.get((start, end), {}).get(start_id, {}).get(end_id, ()))

    def neighbours(self, start: str, start_id: str, end: str) -> dict[str, set[Spec]]:
        """Return what a live record is associated with, by id; archived records on either side are left out."""
        record = self.records[start].get(start_id)
        if record is None or record.is_archived:
            return {}
        found = self.edges.get((start, end), {}).get(start_id, {})
        return {
            other: specs
            for other, specs in found.items()
            if (there := self.records[end].get(other)) is not None and not there.is_archived
        }

    def shown(self, start: str, start_id: str, end: str) -> dict[str, set[Spec]]:
        """Return the neighbours that the API tells: those that there are, without what a merge brings only later."""
        found, now = self.neighbours(start, start_id, end), self.now_ms()
        if not self._coming.is_any(now_ms=now):
            return found
        one = (start, start_id)
        return {other: each for other, each in found.items() if not self._coming.hides(one, (end, other), now_ms=now)}

    def default_spec(self, start: str, end: str) -> Spec | None:
        """Return the unlabelled type between two kinds; None where they cannot be associated."""
        found = next((each for each in self.labels.get((start, end), ()) if each.label is None), None)
        return None if found is None else (found.category, found.type_id)

    def _set(self, start: str, start_id: str, end: str, end_id: str, specs: set[Spec]) -> None:
        there = self.edges.setdefault((start, end), {}).setdefault(start_id, {})
        back = self.edges.setdefault((end, start), {}).setdefault(end_id, {})
        self._touched |= {(start, start_id), (end, end_id)}
        if not specs:
            there.pop(end_id, None)
            back.pop(start_id, None)
            self._mirror(start, start_id, end, end_id)
            return
        there[end_id] = specs
        found = [self.label_of(start, end, spec) for spec in specs]
        inverse = {(label.category, label.inverse) for label in found if label is not None}
        if start == end and start_id == end_id:
            return
        back[start_id] = inverse
        self._mirror(start, start_id, end, end_id)

    def _mirror(self, start: str, start_id: str, end: str, end_id: str) -> None:
        """
        Write the primary company of a pair's contact, deal or ticket into its read-only property where it is another
        one now: a write as any other, so that the modified date moves.
        """
        kind, number = (start, start_id) if (start, end) in PRIMARY else (end, end_id)
        primary = PRIMARY.get((kind, "companies"))
        record = self.records[kind].get(number)
        if primary is None or record is None or {start, end} != {kind, "companies"}:
            return
        found = self.edges.get((kind, "companies"), {}).get(number, {})
        company = next((other for other, specs in found.items() if (HUBSPOT_DEFINED, primary) in specs), None)
        if record.properties.get(MIRRORS[kind]) != company:
            self._write(record, {MIRRORS[kind]: company}, self.now_ms(), "CALCULATED")

    def _has_primary(self, start: str, start_id: str, end: str, primary: int) -> bool:
        found = self.edges.get((start, end), {}).get(start_id, {})
        return any((HUBSPOT_DEFINED, primary) in specs for specs in found.values())

    def _demote(self, start: str, start_id: str, end: str, primary: int, *, but: str) -> None:
        found = self.edges.get((start, end), {}).get(start_id, {})
        for other, specs in list(found.items()):
            if other != but and (HUBSPOT_DEFINED, primary) in specs:
                self._set(start, start_id, end, other, specs - {(HUBSPOT_DEFINED, primary)})

    def _move_edges(self, kind: str, primary_id: str, lost_id: str, survivor: str) -> None:
        """
        Put the edges of both records on the survivor; reads show those that are new to it after `merge_lag_s`.

        Of a pair that both had the primary record's labels stay, unless `unites_labels`; of two primary companies
        the primary record's is the one.
        """
        olds = [old for old in (primary_id, lost_id) if old != survivor]
        from_ms = self.now_ms() + int(self.merge_lag_s * 1000)
        self._touched.add((kind, survivor))
        for start, end in [pair for pair in self.edges if pair[0] == kind]:
            for old in olds:
                for other, specs in list(self.edges[start, end].get(old, {}).items()):
                    had = self.specs(start, survivor, end, other)
                    is_between_them = end == kind and other in (primary_id, lost_id)
                    if not is_between_them and (self.unites_labels or not had):
                        self._set(start, survivor, end, other, had | self._second(start, survivor, end, specs))
                        if self.merge_lag_s and not had:
                            self._coming.add((start, survivor), (end, other), from_ms=from_ms)
                    self._set(start, old, end, other, set())

    def _second(self, start: str, survivor: str, end: str, specs: set[Spec]) -> set[Spec]:
        """Return *specs* without the primary type where the survivor has a primary company already."""
        primary = PRIMARY.get((start, end))
        if primary is not None and self._has_primary(start, survivor, end, primary):
            return specs - {(HUBSPOT_DEFINED, primary)}
        return specs

    def _drop_edges(self, kind: str, id: str) -> None:
        for start, end in [pair for pair in self.edges if pair[0] == kind]:
            for other in list(self.edges[start, end].get(id, {})):
                self._set(start, id, end, other, set())

    def _write(self, record: PortalRecord, properties: Mapping[str, str | None], now: int, source_type: str) -> None:
        """Write values. The record gets a new dict: the search index still holds the old one."""
        properties_now = dict(record.properties)
        for name, value in properties.items():
            if name == "email" and value is not None:
                value = value.lower()
            old = properties_now.get(name)
            if old != value:
                entries = record.history.setdefault(name, [])
                if not entries and old is not None:  # records that were made in bulk have no history
                    entries.append(Written(value=old, ms=record.created_ms))
                entries.append(Written(value=value, ms=now, source_type=source_type))
            properties_now[name] = value
        record.updated_ms = max(now, record.updated_ms)
        properties_now[self.kinds[record.kind].cursor] = iso(record.updated_ms)
        record.properties = properties_now
        self._changed(record.kind, record.id)

    def _changed(self, kind: str, id: str) -> None:
        for listener in self.on_change:
            listener(kind, id)

    @staticmethod
    def _inverse(start: str, end: str, type_id: int) -> int:
        if type_id in BACK:
            return BACK[type_id]
        back = TYPE_IDS.get((end, start), ((type_id, None),))
        return back[0][0]


def iso(ms: int) -> str:
    """Write milliseconds as HubSpot does: ISO 8601 in UTC; without a fraction where it is zero."""
    text = dt.datetime.fromtimestamp(ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms % 1000:03d}Z" if ms % 1000 else f"{text}Z"
