"""
What admins do to a portal: add, retype, rename and archive properties, let owners come and go, add stages.

Not here: records and edges (`life`); the routes by which an app does the same (`property_routes`, `pipeline_routes`).
Source: HubSpot's guides to properties and owners; that every deal of an edited pipeline counts as modified is what
users of the API report.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from syncer.sandbox.hubspot.events import Event, Notes
from syncer.sandbox.hubspot.life_values import Values, is_number, pick
from syncer.sandbox.hubspot.model import Definition, Owner, Stage
from syncer.sandbox.hubspot.stages import edited
from syncer.sandbox.hubspot.store import Store

NEW_TYPES = (  # type and field type of a new property; the first is a string that holds numbers
    ("string", "text"),
    ("string", "textarea"),
    ("number", "number"),
    ("bool", "booleancheckbox"),
    ("enumeration", "select"),
    ("enumeration", "checkbox"),
    ("date", "date"),
    ("datetime", "date"),
)
FIRST_NAMES = ("Ada", "Grace", "Edsger", "Annie", "Tim", "Radia", "Zoë")
LAST_NAMES = ("de Vries", "Jansen", "Bakker", "Müller", "Ó Briain")
COUNTS = "life_count"  # how the names of strings that hold numbers begin


@attrs.frozen(kw_only=True)
class SettingsLife:
    """The events of one portal that concern no single record; each is described in `Life`."""

    store: Store
    rng: random.Random
    values: Values
    note: Notes
    unfit_share: float

    def new_property(self, kind: str) -> Event:
        """Define a property; write it on up to thirty live records."""
        type, field_type = self.rng.choice(NEW_TYPES)
        holds_numbers = field_type == "text" or type == "number"
        name = self._free_name(kind, COUNTS if holds_numbers else "life_note")
        definition = Definition(
            name=name,
            label=name.replace("_", " ").capitalize(),
            type=type,
            field_type=field_type,
            group_name=self._group(kind),
            options=_options() if type == "enumeration" else [],
        )
        self.store.define(kind, definition)
        live = [record for record in self.store.records[kind].values() if not record.is_archived]
        chosen = self.rng.sample(live, min(len(live), self.rng.randint(3, 30)))
        for record in chosen:
            self.store.update(kind, record.id, {name: self._first_value(kind, definition)})
        ids = tuple(record.id for record in chosen)
        return self.note("new_property", kind, ids, name=name, text=f"property {kind}.{name} ({type}) added")

    def retype_property(self) -> Event:
        """Turn a number into a string, or a string that mostly holds numbers into a number; values stay."""
        found = [
            (kind, definition)
            for kind, definition in self._own()
            if not definition.has_unique_value
            and (
                definition.type == "number" or (definition.type == "string" and self._holds_numbers(kind, definition))
            )
        ]
        kind, definition = pick(self.rng, found)
        is_number_now = definition.type == "number"
        new = attrs.evolve(
            definition,
            type="string" if is_number_now else "number",
            field_type="text" if is_number_now else "number",
        )
        self.store.define(kind, new)
        unfit = () if is_number_now else tuple(self._unfit(kind, new.name))
        text = f"property {kind}.{new.name} made a {new.type}, {len(unfit)} values do not fit"
        return self.note("retype_property", kind, unfit, name=new.name, text=text)

    def archive_property(self) -> Event:
        """Archive a property; what it held is not shown any more."""
        kind, definition = pick(self.rng, list(self._own()))
        definition.archived_ms = definition.updated_ms = self.store.now_ms()
        held = [each.id for each in self.store.records[kind].values() if each.properties.get(definition.name)]
        text = f"property {kind}.{definition.name} archived"
        return self.note("archive_property", kind, tuple(held), name=definition.name, text=text)

    def rename_property(self) -> Event:
        """Give a property another label."""
        kind, definition = pick(self.rng, list(self._own()))
        definition.label = f"{definition.label.partition(' (')[0]} ({self.rng.randrange(10_000)})"
        definition.updated_ms = self.store.now_ms()
        text = f"property {kind}.{definition.name} labelled {definition.label}"
        return self.note("rename_property", kind, (), name=definition.name, text=text)

    def owner_joins(self) -> Event:
        """Add an active owner; now and then one who left comes back."""
        now = self.store.now_ms()
        left = [owner for owner in self.store.owners.values() if owner.is_archived]
        if left and self.rng.random() < 0.2:
            owner = self.rng.choice(left)
            owner.is_archived, owner.updated_ms = False, now
        else:
            owner = self._new_owner(now)
            self.store.owners[owner.id] = owner
        return self.note("owner_joins", "owners", (owner.id,), name=owner.email, text=f"owner {owner.id} joined")

    def owner_leaves(self) -> Event:
        """Deactivate an owner, never the last one."""
        active = [owner for owner in self.store.owners.values() if not owner.is_archived]
        owner = pick(self.rng, active if len(active) > 1 else [])
        owner.is_archived, owner.updated_ms = True, self.store.now_ms()
        return self.note("owner_leaves", "owners", (owner.id,), name=owner.email, text=f"owner {owner.id} left")

    def stage_added(self) -> Event:
        """Add a stage to a pipeline and touch what is in it."""
        found = [
            (kind, each) for kind, all in self.store.pipelines.items() for each in all.values() if not each.is_archived
        ]
        kind, pipeline = pick(self.rng, found)
        now = self.store.now_ms()
        taken = {stage.id for each in self.store.pipelines[kind].values() for stage in each.stages}
        number = next(n for n in iter(lambda: self.rng.randrange(10**6, 10**9), -1) if str(n) not in taken)
        stage = Stage(
            id=str(number),
            label=f"{self.rng.choice(('Waiting', 'Legal', 'Procurement', 'On hold'))} {len(pipeline.stages) + 1}",
            display_order=1 + max((each.display_order for each in pipeline.stages), default=-1),
            metadata=stage_metadata(kind, self.rng),
            created_ms=now,
            updated_ms=now,
        )
        pipeline.stages.append(stage)
        touched = edited(self.store, kind, pipeline, action="CREATE", stage=stage)
        text = f"stage {stage.id} added to pipeline {kind} {pipeline.id}: {len(touched)} records count as modified"
        return self.note("stage_added", kind, tuple(touched), other=pipeline.id, name=stage.id, text=text)

    def _own(self) -> Iterator[tuple[str, Definition]]:
        """Yield the live definitions of the portal's own, by kind; those that find records stay as they are."""
        for kind, definitions in self.store.definitions.items():
            for definition in self.values.writable(kind):
                is_needed = definition.name in (*self.store.kinds[kind].required, self.store.kinds[kind].primary)
                is_own = not definition.hubspot_defined and not is_needed and not definition.has_unique_value
                if is_own and definition.name in definitions:
                    yield kind, definition

    def _holds_numbers(self, kind: str, definition: Definition) -> bool:
        held = [value for value in self._held(kind, definition.name) if value]
        fit = sum(is_number(value) for value in held)
        return bool(held) and fit >= len(held) * 0.8

    def _held(self, kind: str, name: str) -> Iterator[str | None]:
        for record in self.store.records[kind].values():
            yield record.properties.get(name)

    def _unfit(self, kind: str, name: str) -> Iterator[str]:
        for record in self.store.records[kind].values():
            value = record.properties.get(name)
            if value and not is_number(value):
                yield record.id

    def _first_value(self, kind: str, definition: Definition) -> str:
        if not (definition.type == "string" and definition.name.startswith(COUNTS)):
            return self.values.value(kind, definition)
        return "n/a" if self.rng.random() < self.unfit_share else self.values.number()

    def _free_name(self, kind: str, stem: str) -> str:
        while (name := f"{stem}_{self.rng.randrange(10**5)}") in self.store.definitions[kind]:
            continue
        return name

    def _group(self, kind: str) -> str:
        return next((each.group_name for each in self.store.definitions[kind].values()), f"{kind}_information")

    def _new_owner(self, now: int) -> Owner:
        numbers = iter(lambda: self.rng.randrange(10**7, 10**9), -1)
        number = next(each for each in numbers if str(each) not in self.store.owners)
        first, last = self.rng.choice(FIRST_NAMES), self.rng.choice(LAST_NAMES)
        return Owner(
            id=str(number),
            email=f"owner-{number}@example.com",
            first_name=first,
            last_name=last,
            user_id=number % 90_000_000 + 3,
            created_ms=now,
            updated_ms=now,
        )


def stage_metadata(kind: str, rng: random.Random) -> dict[str, str]:
    """Draw what a stage of *kind* must tell about itself."""
    if kind == "tickets":
        return {"ticketState": rng.choice(("OPEN", "CLOSED"))}
    return {"probability": rng.choice(("0.2", "0.4", "0.6", "0.8")), "isClosed": "false"}


def _options() -> list[dict[str, object]]:
    return [
        {"label": label, "value": label.lower(), "hidden": False, "displayOrder": order, "description": ""}
        for order, label in enumerate(("Bronze", "Silver", "Gold", "Platinum"))
    ]
