"""
What people write into a portal's properties: a value that its definition allows, drawn at random.

Not here: which record, and when (`life`).
Source: HubSpot's guide to properties (what each type takes and gives back).
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from syncer.sandbox.hubspot.model import DAY_MS, Definition, PortalRecord
from syncer.sandbox.hubspot.stages import STAGE_OF
from syncer.sandbox.hubspot.store import Store, iso

T = TypeVar("T")
WORDS = [
    "fibre",
    "north",
    "harbour",
    "quiet",
    "Zoë",
    "invoice",
    "cable",
    "Müller",
    "renewal",
    "roaming",
    "Friese",
    "Poort",
    "urgent",
    "'t",
    "Hart",
    "<b>bold</b>",
    "Łódź",
    "support",
    "東京",
    "trunk",
    "voice;",
    "desk",
    "O'Brien",
    "100%",
    "&",
    "sons",
]
OWN = frozenset(  # HubSpot writes these itself, whatever the definition says
    ["hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate", "hs_merged_object_ids"]
)
CLEARED = 0.12  # so often an edit clears what it touches
SHORT = 20  # characters of a unique value at most
NO_VALUES = ("json", "object_coordinates")  # internal types, which nobody writes


class NothingToDo(LookupError):
    """No row that this kind of event could change."""


def pick(rng: random.Random, rows: Sequence[T]) -> T:
    """Draw one row; Raises: NothingToDo: there is none."""
    if not rows:
        raise NothingToDo
    return rng.choice(rows)


def is_number(value: str | None) -> bool:
    """Whether a property of type number could hold *value*."""
    if value is None or not value.strip("-"):
        return False
    digits = value.removeprefix("-").replace(".", "", 1)
    return digits.isascii() and digits.isdigit()


@attrs.frozen(kw_only=True)
class Values:
    """Draws values for one portal."""

    store: Store
    rng: random.Random

    def record(self, kind: str) -> dict[str, str | None]:
        """Draw a new record's properties: those that it must have, and about a third of the rest."""
        required = (*self.store.kinds[kind].required, self.store.kinds[kind].primary)
        drawn: dict[str, str | None] = {}
        for definition in self.writable(kind):
            is_needed = definition.name in required or definition.has_unique_value
            if is_needed or self.rng.random() < 0.35:
                drawn |= self._of(kind, definition)
        for name in required:  # a portal without this definition still has the value
            if name not in drawn:
                drawn |= self._of(kind, Definition(name=name, label=name))
        return drawn

    def changes(self, record: PortalRecord, *, count: int) -> dict[str, str | None]:
        """Draw up to *count* properties of *record* with values that it does not have; some are cleared."""
        kind = self.store.kinds[record.kind]
        found = self.writable(record.kind)
        drawn: dict[str, str | None] = {}
        for definition in self.rng.sample(found, min(count, len(found))):
            may_clear = definition.name not in (*kind.required, kind.primary, *STAGE_OF.values())
            if may_clear and record.properties.get(definition.name) and self.rng.random() < CLEARED:
                drawn[definition.name] = ""
            else:
                drawn |= self._of(record.kind, definition)
        return {name: value for name, value in drawn.items() if record.properties.get(name) != value}

    def writable(self, kind: str) -> list[Definition]:
        """Return the definitions whose values people may write."""
        return [
            each
            for each in self.store.definitions[kind].values()
            if each.archived_ms is None
            and not (each.read_only or each.calculated)
            and each.name not in OWN
            and each.type not in NO_VALUES
            and self._fits_rules(kind, each.name)
        ]

    def value(self, kind: str, definition: Definition) -> str:
        """Draw a value of *definition*, as HubSpot gives it back."""
        if definition.name == "email":
            return f"{self._serial('person')}@example.com"
        if definition.has_unique_value:
            return self._serial(definition.name)
        if definition.referenced_object_type == "OWNER" or definition.name == "hubspot_owner_id":
            active = [owner.id for owner in self.store.owners.values() if not owner.is_archived]
            return self.rng.choice(active) if active else ""
        by_type: dict[str, Callable[[], str]] = {
            "number": self.number,
            "bool": lambda: self.rng.choice(("true", "false")),
            "enumeration": lambda: self._option(definition),
            "date": lambda: self._moment().strftime("%Y-%m-%d"),
            "datetime": lambda: iso(int(self._moment().timestamp()) * 1000),
            "phone_number": lambda: f"+3150{self.rng.randrange(10**6):06d}",
        }
        value = by_type.get(definition.type, self.text)()
        return value[:SHORT] if definition.name in self.store.rules.get(kind, {}) else value

    def number(self) -> str:
        """Draw a number, whole or with two digits, now and then a large one."""
        whole = self.rng.choice((self.rng.randrange(100), self.rng.randrange(100_000), self.rng.randrange(10**12)))
        return f"{whole}.{self.rng.randrange(100):02d}" if self.rng.random() < 0.4 else str(whole)

    def text(self) -> str:
        """Draw a few words."""
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 5)))

    def _of(self, kind: str, definition: Definition) -> dict[str, str]:
        """Draw a value; a pipeline comes with one of its stages, a stage with its pipeline."""
        for pipeline_name, stage_name in STAGE_OF.items():
            if definition.name in (pipeline_name, stage_name):
                pipelines = [each for each in self.store.pipelines.get(kind, {}).values() if not each.is_archived]
                pipeline = pick(self.rng, pipelines)
                stage = pick(self.rng, [each for each in pipeline.stages if not each.is_archived])
                return {pipeline_name: pipeline.id, stage_name: stage.id}
        return {definition.name: self.value(kind, definition)}

    def _option(self, definition: Definition) -> str:
        values = [str(option["value"]) for option in definition.options if not option.get("hidden")]
        if not values:
            return ""
        if definition.field_type == "checkbox":
            return ";".join(self.rng.sample(values, self.rng.randint(1, min(3, len(values)))))
        return self.rng.choice(values)

    def _moment(self) -> dt.datetime:
        away = self.rng.randrange(-400 * DAY_MS, 90 * DAY_MS)
        return dt.datetime.fromtimestamp((self.store.now_ms() + away) // 1000, dt.UTC)

    def _fits_rules(self, kind: str, name: str) -> bool:
        """Whether the portal's own rules for *name* can be kept: those on length only, which short values keep."""
        rules = self.store.rules.get(kind, {}).get(name, [])
        return all(rule["ruleType"] == "MAX_LENGTH" and int(rule["ruleArguments"][0]) >= SHORT for rule in rules)

    def _serial(self, prefix: str) -> str:
        return f"{prefix[: SHORT - 11]}-{self.rng.randrange(16**10):010x}"
