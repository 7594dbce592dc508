"""
Generated portals: any number of records of each kind, the same ones for the same seed and time of the clock.

Records are put into the store without telling anybody, and without histories: 100,000 take a few seconds. Then come
owners, pipelines, edges (`generate_edges`), a few archived and a few merged records. Everything happened at least an
hour before now. The properties are in `definitions`, the words in `words`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import attrs

from syncer.sandbox.hubspot import definitions, words
from syncer.sandbox.hubspot.generate_edges import associate
from syncer.sandbox.hubspot.model import DAY_MS, Definition, Owner, Pipeline, PortalRecord, Stage
from syncer.sandbox.hubspot.store import Store, iso

HOUR_MS = 3_600_000
SPAN_DAYS = 900  # how far back the oldest record goes
FULL_UP_TO = 20_000  # a kind with more records than this gets few values on each
ARCHIVED_SHARE, MERGED_SHARE = 0.03, 0.02
AT_MOST_ARCHIVED, AT_MOST_MERGED = 400, 100


@attrs.frozen(kw_only=True)
class Sizes:
    """How many records of each kind; `activities` of each of the six."""

    companies: int = 60
    contacts: int = 80
    deals: int = 40
    tickets: int = 50
    activities: int = 30
    extra_properties: int = 0

    def of(self, kind: str) -> int:
        """Return the number of records of a kind; custom objects are as many as activities."""
        return int(getattr(self, kind, self.activities))


def generate(store: Store, *, seed: int, sizes: Sizes, custom: bool) -> None:
    """Fill an empty *store*."""
    rng = random.Random(seed)
    if custom:
        store.add_custom_kind("machines", "machine")
    definitions.define_all(store, extra_properties=sizes.extra_properties)
    _age(store)
    _add_owners(store, rng)
    _add_pipelines(store, has_custom=custom)
    store.rules["companies"] = {
        "client_id": [{"ruleType": "MAX_LENGTH", "ruleArguments": ["20"], "shouldApplyNormalization": False}]
    }
    writer = _Writer(store, rng, sizes)
    for kind in store.kinds:
        writer.write(kind, sizes.of(kind))
    store.start_ids_behind(writer.next_id)
    associate(store, rng)
    for kind in store.kinds:
        _archive_some(store, rng, kind)
    for known in store.kinds.values():
        if known.can_merge:
            _merge_some(store, rng, known.name)


def _age(store: Store) -> None:
    """Let the definitions be old."""
    born = store.now_ms() - SPAN_DAYS * DAY_MS
    for found in store.definitions.values():
        for definition in found.values():
            definition.created_ms = definition.updated_ms = born


def _add_owners(store: Store, rng: random.Random) -> None:
    born = store.now_ms() - SPAN_DAYS * DAY_MS
    for number, (first, last) in enumerate(words.OWNERS):
        id = str(70_000_000 + number * 1_013 + rng.randrange(1_000))
        is_queue = not first
        store.owners[id] = Owner(
            id=id,
            email=f"owner{number}@example.com",
            first_name=first,
            last_name=last,
            user_id=None if is_queue else 1_000_000 + rng.randrange(1_000_000),
            type="QUEUE" if is_queue else "PERSON",
            created_ms=born,
            updated_ms=born + number * DAY_MS,
            is_archived=first == "Gone",
            teams=[{"id": "177", "name": "Sales Noord", "primary": True}] if number < 3 else [],
        )


def _add_pipelines(store: Store, *, has_custom: bool) -> None:
    """Add two pipelines of deals, two of tickets, and one of the custom object."""
    deal_stages = (
        ("appointmentscheduled", "Appointment scheduled", "0.2"),
        ("qualifiedtobuy", "Qualified to buy", "0.4"),
        ("presentationscheduled", "Presentation scheduled", "0.6"),
        ("contractsent", "Contract sent", "0.9"),
        ("closedwon", "Closed won", "1.0"),
        ("closedlost", "Closed lost", "0.0"),
    )
    ticket_stages = (("1", "New", "OPEN"), ("2", "Waiting on contact", "OPEN"), ("3", "Waiting on us", "OPEN"))
    _add_pipeline(store, "deals", "default", "Sales pipeline", deal_stages, "probability")
    own = [(str(47_110_000 + at), label, chance) for at, (_, label, chance) in enumerate(deal_stages[1:])]
    _add_pipeline(store, "deals", "47109999", "Verlengingen", tuple(own), "probability")
    _add_pipeline(
        store, "tickets", "0", "Support pipeline", (*ticket_stages, ("4", "Closed", "CLOSED")), "ticketState"
    )
    second = (("51120001", "Gemeld", "OPEN"), ("51120002", "Opgelost ✅", "CLOSED"))
    _add_pipeline(store, "tickets", "51120000", "Storingen", second, "ticketState")
    if has_custom:
        _add_pipeline(store, "machines", "default", "Machines", (("90001", "Ordered", "OPEN"),), "ticketState")


def _add_pipeline(
    store: Store, kind: str, id: str, label: str, stages: tuple[tuple[str, str, str], ...], fact: str
) -> None:
    born = store.now_ms() - SPAN_DAYS * DAY_MS
    found = store.pipelines.setdefault(kind, {})
    made = [
        Stage(
            id=stage,
            label=text,
            display_order=at,
            metadata={fact: value, "isClosed": str(value in ("1.0", "0.0", "CLOSED")).lower()},
            created_ms=born,
            updated_ms=born,
        )
        for at, (stage, text, value) in enumerate(stages)
    ]
    found[id] = Pipeline(id=id, label=label, display_order=len(found), stages=made, created_ms=born, updated_ms=born)


class _Writer:
    """Writes records of one kind after the other."""

    def __init__(self, store: Store, rng: random.Random, sizes: Sizes) -> None:
        self.store, self.rng, self.sizes = store, rng, sizes
        self.until = store.now_ms() - HOUR_MS
        self.owners = [owner.id for owner in store.owners.values() if owner.type == "PERSON"]
        self.companies = sizes.companies
        self.next_id = 9_000_000_000 + rng.randrange(1_000_000)

    def write(self, kind: str, count: int) -> None:
        """Write *count* records; ids ascend with the time of creation, but for a few."""
        rng, records = self.rng, self.store.records[kind]
        created, step = self.until - SPAN_DAYS * DAY_MS, SPAN_DAYS * DAY_MS / (count + 1)
        late: list[int] = []
        is_full = count <= FULL_UP_TO
        created_name, cursor = self.store.kinds[kind].created, self.store.kinds[kind].cursor
        for number in range(count):
            if rng.random() > 0.05:  # a twentieth came in bulk: created in the same millisecond as the one before
                created += int(rng.random() * 2 * step)
                created = min(created, self.until - 1)
            self.next_id += rng.randrange(1, 900)
            if rng.random() < 0.05:
                late.append(self.next_id)
                self.next_id += rng.randrange(1, 900)
            own_id = late.pop(0) if late and rng.random() < 0.02 else self.next_id
            updated = rng.randrange(created, self.until) if rng.random() < 0.7 else created + rng.randrange(500)
            if number % 37 == 5:
                updated -= updated % 1000  # such a time is written without a fraction
            updated = max(min(updated, self.until), created)
            id = str(own_id)
            properties: dict[str, str | None] = {created_name: iso(created), cursor: iso(updated), "hs_object_id": id}
            properties |= self._values(kind, number)
            if is_full:
                self._fill(kind, number, properties)
            records[id] = PortalRecord(id=id, kind=kind, properties=properties, created_ms=created, updated_ms=updated)

    def _values(self, kind: str, number: int) -> dict[str, str | None]:
        """Return what every record of a kind has."""
        rng = self.rng
        if kind == "companies":
            name = words.COMPANIES[number % len(words.COMPANIES)]
            name = name if number < len(words.COMPANIES) else f"{name} {number}"
            return {"name": name, "domain": f"company{number}.example.com", "client_id": f"C{number:06d}"}
        if kind == "contacts":
            first, last = words.PEOPLE[number % len(words.PEOPLE)]
            return {"email": f"person{number}@company{number % 60}.example.com", "firstname": first, "lastname": last}
        if kind in ("deals", "tickets"):
            pipelines = self.store.pipelines[kind]
            pipeline = pipelines[rng.choice(list(pipelines))]
            title = f"{words.SUBJECTS[number % len(words.SUBJECTS)]} {number}"
            stage = rng.choice(pipeline.stages).id
            if kind == "deals":
                return {"dealname": title, "pipeline": pipeline.id, "dealstage": stage}
            return {"subject": title, "hs_pipeline": pipeline.id, "hs_pipeline_stage": stage}
        if self.store.kinds[kind].is_custom:
            return {"name": f"Machine {number}", "serial_number": f"SN-{number:05d}"}
        values: dict[str, str | None] = {"hs_timestamp": iso(self.until - rng.randrange(SPAN_DAYS * DAY_MS))}
        text = words.BODIES[number % len(words.BODIES)]
        return values | {name: value.format_map(_Blank(text=text, n=number)) for name, value in ACTIVITIES[kind]}

    def _fill(self, kind: str, number: int, properties: dict[str, str | None]) -> None:
        """Give a record about half of its other properties; some are blank, which is not the same as null."""
        rng = self.rng
        for definition in self._fillable(kind):
            draw = rng.random()
            if definition.name in properties or draw > 0.55:
                continue
            if draw < 0.04:
                properties[definition.name] = "" if draw < 0.02 else None
            else:
                properties[definition.name] = self._value(definition, number)

    def _fillable(self, kind: str) -> Iterator[Definition]:
        for definition in self.store.definitions[kind].values():
            is_own = definition.name in definitions.KEPT_BY_HUBSPOT or definition.archived_ms is not None
            if not is_own and not (definition.name.startswith("extra_property_") and self.rng.random() < 0.9):
                yield definition

    def _value(self, definition: Definition, number: int) -> str | None:
        rng, name = self.rng, definition.name
        if definition.has_unique_value:
            return f"{name}-{number}"
        if definition.external_options:
            return rng.choice(self.owners)
        if definition.type == "enumeration":
            options = [each["value"] for each in definition.options]
            if not options:
                return None
            many = rng.sample(options, k=min(len(options), rng.randrange(1, 4)))
            return ";".join(many) if definition.field_type == "checkbox" else many[0]
        if definition.type == "bool":
            return rng.choice(("true", "false"))
        if definition.type == "number":
            return rng.choice((str(rng.randrange(10_000)), f"{rng.randrange(100_000)}.{rng.randrange(100):02d}", "0"))
        moment = self.until - rng.randrange(SPAN_DAYS * DAY_MS)
        if definition.type == "datetime":
            return iso(moment)
        if definition.type == "date":
            return iso(moment)[:10]
        if definition.type == "phone_number" or "phone" in name or "number" in name:
            return f"+31 50 {rng.randrange(1_000_000, 9_999_999)}"
        return self._text(definition, number)

    def _text(self, definition: Definition, number: int) -> str:
        rng, name = self.rng, definition.name
        city, country, code = words.CITIES[number % len(words.CITIES)]
        known: dict[str, Any] = {
            "city": city,
            "country": country,
            "hs_country_code": country,
            "zip": code,
            "address": f"{rng.choice(words.STREETS)} {rng.randrange(1, 300)}",
            "website": f"https://company{number}.example.com/?a=1&b=ü",
            "company": rng.choice(words.COMPANIES),
            "work_email": f"work{number}@example.com",
            "hs_email_domain": f"company{number % 60}.example.com",
        }
        if name in known:
            return str(known[name])
        if definition.field_type in ("textarea", "html"):
            return rng.choice(words.BODIES)
        return rng.choice(words.SUBJECTS)


class _Blank(dict[str, Any]):
    """Values of a pattern."""


ACTIVITIES: dict[str, tuple[tuple[str, str], ...]] = {
    "notes": (("hs_note_body", "{text}"),),
    "calls": (
        ("hs_call_title", "Call {n}"),
        ("hs_call_body", "{text}"),
        ("hs_call_direction", "OUTBOUND"),
        ("hs_call_status", "COMPLETED"),
        ("hs_call_duration", "{n}000"),
    ),
    "emails": (
        ("hs_email_direction", "EMAIL"),
        ("hs_email_subject", "Mail {n}"),
        ("hs_email_html", "{text}"),
        ("hs_email_status", "SENT"),
        ("hs_email_from_email", "owner1@example.com"),
    ),
    "meetings": (
        ("hs_meeting_title", "Meeting {n}"),
        ("hs_meeting_body", "{text}"),
        ("hs_meeting_outcome", "COMPLETED"),
    ),
    "tasks": (
        ("hs_task_subject", "Task {n}"),
        ("hs_task_body", "{text}"),
        ("hs_task_status", "NOT_STARTED"),
        ("hs_task_priority", "HIGH"),
        ("hs_task_type", "TODO"),
    ),
    "communications": (("hs_communication_channel_type", "WHATS_APP"), ("hs_communication_body", "{text}")),
}


def _archive_some(store: Store, rng: random.Random, kind: str) -> None:
    """Put a few records into the recycle bin, some of them longer ago than it keeps them."""
    live = list(store.records[kind].values())
    count = min(AT_MOST_ARCHIVED, round(len(live) * ARCHIVED_SHARE))
    for record in rng.sample(live, k=count):
        earliest = max(record.updated_ms, store.now_ms() - 89 * DAY_MS)
        record.archived_ms = rng.randrange(earliest, store.now_ms() - HOUR_MS + 1)


def _merge_some(store: Store, rng: random.Random, kind: str) -> None:
    """Merge a few pairs, one of them in two steps."""
    live = [record.id for record in store.records[kind].values() if not record.is_archived]
    count = min(AT_MOST_MERGED, round(len(live) * MERGED_SHARE))
    chosen = rng.sample(live, k=2 * count)
    survivor = None
    for at in range(0, len(chosen) - 1, 2):
        lost = chosen[at + 1]
        survivor = store.merge(kind, survivor.id if survivor and at == 2 else chosen[at], lost)
        past = store.now_ms() - rng.randrange(HOUR_MS, 30 * DAY_MS)
        survivor.updated_ms = max(past, survivor.created_ms)
        survivor.properties[store.kinds[kind].cursor] = iso(survivor.updated_ms)
        for entries in survivor.history.values():
            for entry in entries:
                entry.ms = min(entry.ms, survivor.updated_ms)
