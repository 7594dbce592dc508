"""
The life of a portal: what people do to it, one event after another, drawn from a seed.

    life = Life(site, seed=7)
    life.step()              # one event, now
    life.day()               # some forty of them, spread over 24 hours of the clock
    site.events[-1]          # what happened: Event(kind="merge", type="tickets", ids=(...), ms=...)

Only what a portal allows happens: nobody edits what is archived or merges across kinds. Events are made by the store,
so that search index and history follow. Not here: events that concern properties, owners and stages
(`life_settings`), values that people write (`life_values`).

Source: HubSpot's knowledge base (recycle bin of 90 days, permanent deletion of contacts) and its guides on merging
and associations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from syncer.sandbox.hubspot.events import Event, Lives
from syncer.sandbox.hubspot.life_settings import SettingsLife
from syncer.sandbox.hubspot.life_values import NothingToDo, Values, pick
from syncer.sandbox.hubspot.lookups import unique_names
from syncer.sandbox.hubspot.model import DAY_MS, HUBSPOT_DEFINED, PRIMARY, PortalRecord, Spec

T = TypeVar("T")
EVENTS_A_DAY = 40
BIN_DAYS = 90  # so long an archived record can be restored; then it is gone
TRIES = 30  # a draw that finds nothing to work on is repeated so often
KIND_WEIGHTS = {"contacts": 6, "companies": 4, "deals": 4, "tickets": 4}  # other kinds: 1 each


def edit(site: Lives, count: int, seed: int) -> list[str]:
    """Make *count* random edits; return a short description of each."""
    life = Life(site, seed)
    return [life.step().text for _ in range(count)]


class Life:
    """
    One portal's life from *seed*: the same on the same portal at the same time.

    unfit_share: how many of the values that a property of type string holds are no numbers when people make a number
    of it; the API goes on showing them, and the event's ids name them.
    """

    def __init__(self, site: Lives, seed: int, *, unfit_share: float = 0.05) -> None:
        """Draw from *seed*; nothing happens yet."""
        self.site = site
        self.store = site.store
        self.random = random.Random(f"life {seed}")
        self.values = Values(store=self.store, rng=self.random)
        self.settings = SettingsLife(
            store=self.store, rng=self.random, values=self.values, note=self._note, unfit_share=unfit_share
        )
        self._kinds: dict[Callable[[], Event], float] = {
            self.create: 14,
            self.edit: 24,
            self.archive: 8,
            self.restore: 5,
            self.merge: 5,
            self.merge_merged: 3,
            self.purge: 2,
            self.associate: 14,
            self.disassociate: 7,
            self.relabel: 7,
            self.new_property: 1.5,
            self.retype_property: 2,
            self.archive_property: 1,
            self.rename_property: 1.5,
            self.owner_joins: 1.2,
            self.owner_leaves: 1,
            self.stage_added: 1.2,
        }

    def step(self) -> Event:
        """Let one event happen, now; return it. A kind that finds nothing to work on gives way to another."""
        kinds, weights = list(self._kinds), list(self._kinds.values())
        for _ in range(TRIES):
            try:
                return self.random.choices(kinds, weights)[0]()
            except NothingToDo:
                continue
        return self.create()

    def day(self, events: int = EVENTS_A_DAY) -> list[Event]:
        """
        Let a day pass, with about *events* events at random moments; return them.

        What lay in the recycle bin for 90 days goes first.
        """
        before = len(self.site.events)
        self._empty_bin()
        count = max(1, round(events * self.random.uniform(0.7, 1.3)))
        moments = sorted(self.random.uniform(0, DAY_MS / 1000) for _ in range(count))
        for earlier, moment in zip([0.0, *moments], moments, strict=False):
            self.store.clock.advance(moment - earlier)
            self.step()
        self.store.clock.advance(DAY_MS / 1000 - moments[-1])
        return self.site.events[before:]

    # Records

    def create(self) -> Event:
        """Create a record, now and then with edges from the start; ids: (it,)."""
        kind = self._kind(is_any=True)
        record = self.store.create(kind, self.values.record(kind))
        ends = self._ends(kind)
        if ends and self.random.random() < 0.6:
            for end in self._draw_ends(ends, count=self.random.randint(1, 2)):
                other = self._live(end)
                if other.id != record.id:
                    self.store.associate(kind, record.id, end, other.id, ())
        return self._note("create", kind, (record.id,), text=f"{kind} {record.id} created")

    def edit(self) -> Event:
        """Write one to three properties of a live record; ids: (it,); name: the properties."""
        kind = self._kind()
        record = self._live(kind)
        written = self.values.changes(record, count=self.random.randint(1, 3))
        if not written:
            raise NothingToDo
        self.store.update(kind, record.id, written)
        names = ", ".join(written)
        return self._note("edit", kind, (record.id,), name=names, text=f"{kind} {record.id} edited: {names}")

    def archive(self) -> Event:
        """Put a live record into the recycle bin; ids: (it,)."""
        kind = self._kind()
        record = self._live(kind)
        self.store.archive(kind, record.id)
        return self._note("archive", kind, (record.id,), text=f"{kind} {record.id} archived")

    def restore(self) -> Event:
        """Take a record out of the recycle bin; ids: (it,). One whose unique value was taken meanwhile stays."""
        record = self._pick(self._archived())
        if self._is_taken(record):
            raise NothingToDo
        self.store.restore(record.kind, record.id)
        return self._note("restore", record.kind, (record.id,), text=f"{record.kind} {record.id} restored")

    def merge(self) -> Event:
        """Merge two live records of a kind; ids: (the primary one, the other, the one that survives)."""
        kind = self._kind(can_merge=True)
        return self._merge(kind, self._live(kind), self._live(kind), "merge")

    def merge_merged(self) -> Event:
        """Merge a record that has merged ones behind it, as either of the two; ids: as in `merge`."""
        behind = [
            record
            for kind in self.store.kinds.values()
            if kind.can_merge
            for record in self.store.records[kind.name].values()
            if record.merged_ids and not record.is_archived
        ]
        record = self._pick(behind)
        other = self._live(record.kind)
        pair = (record, other) if self.random.random() < 0.5 else (other, record)
        return self._merge(record.kind, *pair, "merge_merged")

    def purge(self) -> Event:
        """
        Delete for good a contact, live or not, or an archived record; ids: (it, what was merged into it, …).

        Nothing but a listing of all ids tells of it.
        """
        is_contact = self.random.random() < 0.6
        record = self._live("contacts") if is_contact else self._pick(self._archived())
        if email := record.properties.get("email"):
            self.store.blocklist.add(email.lower())
        return self._purge(record, "purge")

    def _purge(self, record: PortalRecord, event: str) -> Event:
        ids = (record.id, *record.merged_ids)
        self.store.purge(record.kind, record.id)
        return self._note(event, record.kind, ids, text=f"{record.kind} {record.id} deleted for good")

    def _empty_bin(self) -> None:
        end = self.store.now_ms() - BIN_DAYS * DAY_MS
        for record in self._archived():
            if record.archived_ms is not None and record.archived_ms < end:
                self._purge(record, "expire")

    def _merge(self, kind: str, primary: PortalRecord, lost: PortalRecord, event: str) -> Event:
        if primary.id == lost.id or len(primary.merged_ids) + len(lost.merged_ids) >= 250:
            raise NothingToDo
        survivor = self.store.merge(kind, primary.id, lost.id)
        ids = (primary.id, lost.id, survivor.id)
        return self._note(event, kind, ids, text=f"{kind} {lost.id} merged into {primary.id}: {survivor.id}")

    # Edges

    def associate(self) -> Event:
        """Link two records that were not linked, with a label or without; ids: (from, to); other: the kind of to."""
        for _ in range(TRIES):
            start, end = self._ends_of_edge()
            one, other = self._live(start), self._live(end)
            if one.id != other.id and not self.store.specs(start, one.id, end, other.id):
                self.store.associate(start, one.id, end, other.id, self._labels(start, end))
                return self._note_edge("associate", (start, one.id, end, other.id), "linked")
        raise NothingToDo

    def disassociate(self) -> Event:
        """Take a link away, or one of its labels; ids: (from, to)."""
        start, start_id, end, end_id = self._edge()
        specs = sorted(self.store.specs(start, start_id, end, end_id) - {self.store.default_spec(start, end)})
        if specs and self.random.random() < 0.3:
            category, type_id = self.random.choice(specs)
            self.store.disassociate(start, start_id, end, end_id, [(category, type_id)])
            done = f"lost the label {category} {type_id}"
            return self._note_edge("disassociate", (start, start_id, end, end_id), done)
        self.store.disassociate(start, start_id, end, end_id)
        return self._note_edge("disassociate", (start, start_id, end, end_id), "linked no more")

    def relabel(self) -> Event:
        """Put other labels on a link; ids: (from, to). A new primary company takes the place of the old one."""
        for _ in range(TRIES):
            start, start_id, end, end_id = self._edge()
            before = self.store.specs(start, start_id, end, end_id)
            self.store.associate(start, start_id, end, end_id, self._labels(start, end, is_labelled=True))
            if self.store.specs(start, start_id, end, end_id) != before:
                return self._note_edge("relabel", (start, start_id, end, end_id), "relabelled")
        raise NothingToDo

    def _note_edge(self, event: str, edge: tuple[str, str, str, str], done: str) -> Event:
        start, start_id, end, end_id = edge
        text = f"{start} {start_id} and {end} {end_id} {done}"
        return self._note(event, start, (start_id, end_id), other=end, text=text)

    def _labels(self, start: str, end: str, *, is_labelled: bool = False) -> list[Spec]:
        """Draw the labels of a link; none: unlabelled."""
        if not is_labelled and self.random.random() < 0.5:
            return []
        primary = PRIMARY.get((start, end))
        labels = [(each.category, each.type_id) for each in self.store.labels[start, end] if each.label is not None]
        if not labels:
            return []
        if primary is not None and self.random.random() < 0.4:
            return [(HUBSPOT_DEFINED, primary)]
        return self.random.sample(labels, self.random.randint(0 if is_labelled else 1, min(2, len(labels))))

    def _ends_of_edge(self) -> tuple[str, str]:
        start = self._kind()
        ends = self._ends(start)
        if not ends:
            raise NothingToDo
        return start, self._draw_ends(ends, count=1)[0]

    def _ends(self, start: str) -> list[str]:
        """Return the kinds that *start* can be linked with and that have live records."""
        return [end for one, end in self.store.labels if one == start and self._has_live(end)]

    def _draw_ends(self, ends: Sequence[str], *, count: int) -> list[str]:
        weights = [KIND_WEIGHTS.get(end, 1) for end in ends]
        return list(dict.fromkeys(self.random.choices(ends, weights, k=count)))

    def _edge(self) -> tuple[str, str, str, str]:
        """Draw a link between two live records."""
        pairs = [pair for pair, found in self.store.edges.items() if any(found.values())]
        for _ in range(TRIES):
            start, end = self._pick(pairs)
            linked = [id for id, others in self.store.edges[start, end].items() if others]
            start_id = self._pick(linked)
            others = list(self.store.neighbours(start, start_id, end))
            if others:
                return start, start_id, end, self.random.choice(others)
        raise NothingToDo

    # Properties, owners, stages: what they do stands in `life_settings`

    def new_property(self) -> Event:
        """Add a property and write it on some records; ids: these; name: the property."""
        return self.settings.new_property(self._kind())

    def retype_property(self) -> Event:
        """Make a number of a string, or back; ids: the records whose value is not one; name: the property."""
        return self.settings.retype_property()

    def archive_property(self) -> Event:
        """Archive a property of the portal's own; no record's modified date moves. ids: who had a value."""
        return self.settings.archive_property()

    def rename_property(self) -> Event:
        """Change a property's label, its name stays; ids: ()."""
        return self.settings.rename_property()

    def owner_joins(self) -> Event:
        """Let somebody join who may own records; ids: (the owner's,)."""
        return self.settings.owner_joins()

    def owner_leaves(self) -> Event:
        """Deactivate an owner; records keep the id. ids: (the owner's,)."""
        return self.settings.owner_leaves()

    def stage_added(self) -> Event:
        """Add a stage to a pipeline; every record in that pipeline counts as modified. ids: these."""
        return self.settings.stage_added()

    # Draws

    def _kind(self, *, can_merge: bool = False, is_any: bool = False) -> str:
        """Draw a kind that has live records; *is_any*: or none yet, where its properties are there."""
        names = [
            name
            for name, kind in self.store.kinds.items()
            if (kind.can_merge or not can_merge)
            and (self._has_live(name) or (is_any and self.store.definitions[name]))
        ]
        if not names:
            raise NothingToDo
        return self.random.choices(names, [KIND_WEIGHTS.get(name, 1) for name in names])[0]

    def _has_live(self, kind: str) -> bool:
        return any(not record.is_archived for record in self.store.records[kind].values())

    def _live(self, kind: str) -> PortalRecord:
        records = list(self.store.records[kind].values())
        for _ in range(TRIES):
            record = self._pick(records)
            if not record.is_archived:
                return record
        return self._pick([record for record in records if not record.is_archived])

    def _is_taken(self, record: PortalRecord) -> bool:
        """Whether a live record has a unique value of this one."""
        own = {name: record.properties.get(name) for name in unique_names(self.store, self.store.kinds[record.kind])}
        others = [each for each in self.store.records[record.kind].values() if not each.is_archived]
        return any(value and each.properties.get(name) == value for name, value in own.items() for each in others)

    def _archived(self) -> list[PortalRecord]:
        return [record for found in self.store.records.values() for record in found.values() if record.is_archived]

    def _pick(self, rows: Sequence[T]) -> T:
        return pick(self.random, rows)

    def _note(
        self, kind: str, type: str, ids: tuple[str, ...], *, other: str = "", name: str = "", text: str = ""
    ) -> Event:
        event = Event(kind=kind, type=type, ids=ids, ms=self.store.now_ms(), other=other, name=name, text=text)
        self.site.events.append(event)
        return event
