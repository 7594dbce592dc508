"""
Property definitions of HubSpot, as what changes are sent to: a key is `KIND.NAME`, a field a part of the definition.

Definitions are made one at a time, over the official client. A property goes into the group that a change names, else
into its kind's own (`companyinformation`, …), or the first there is. Its choices are one part, a JSON list of values
in the order of their letters: each is its own label. Not here: definitions as columns (`definitions.py`), records
(`writing.py`). Source: HubSpot's guide "Properties": a create needs name, label, type, fieldType and groupName, and
options where it is an enumeration or a bool; `hasUniqueValue` is fixed at creation, 10 such properties a kind.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from syncer import values
from syncer.errors import NotAllowed, RequestError, Unavailable, UsageError
from syncer.plan import CREATE, Change
from syncer.sources import Identity, Record
from syncer.sources.hubspot import definitions
from syncer.sources.hubspot.kinds import Kind
from syncer.sources.hubspot.official import Official
from syncer.sources.hubspot.refusals import parsed
from syncer.target import DONE, REFUSED, EdgeType, Found, Linked, Ours, Outcome, Property, Typed, Typing, Uncertain

PROPERTIES = "properties"
OPTIONS = "options"
FIELDS = ("name", "label", "type", "fieldType", "groupName", "hasUniqueValue", "description", OPTIONS)
YES_NO = {"true": "Yes", "false": "No"}  # what people see of a bool, the first one first
NO_ANSWER = 408
NOT_DONE = (423, 429, 477)  # the answer says that nothing was done


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value in (None, "") else str(value)


def _parts(record: Record) -> dict[str, str | None]:
    parts = {name: _text(record.get(name)) for name in FIELDS if name != OPTIONS}
    found = record.get(OPTIONS)
    chosen = (
        sorted(str(each.get("value")) for each in found if isinstance(each, dict)) if isinstance(found, list) else []
    )
    return {**parts, OPTIONS: values.dumps(chosen) if chosen else None}


def _options(type: str, text: str) -> list[Record]:
    """Write choices as the API wants them, of a JSON list of their values."""
    chosen = [str(each) for each in orjson.loads(text)]
    labels = YES_NO if type == "bool" else {value: value for value in chosen}
    ordered = [value for value in labels if value in chosen]
    return [{"label": labels[value], "value": value, "displayOrder": order} for order, value in enumerate(ordered)]


class DefinitionShape:
    """What a definition is made of, as far as we make one."""

    kind = PROPERTIES
    title = "label"
    version = hashlib.blake2b("".join(FIELDS).encode(), digest_size=8).hexdigest()

    def __init__(self) -> None:
        self.properties: Mapping[str, Property] = {
            name: Property(name=name, label=name, theirs=lambda value: value or None) for name in FIELDS
        }

    def property_of(self, column: str) -> str | None:
        """Name the part that a column stands for."""
        return column if column in self.properties else None

    def why_not(self, column: str) -> str:
        """Say why a column is not sent."""
        return "" if column in self.properties else "no part of a definition"

    def typing(self, columns: Sequence[str]) -> Typing:
        """Compile what turns values into texts."""

        def typed(row: Sequence[Any]) -> Typed:
            texts = [_text(value) for value in row]
            return {name: Ours(text, text) for name, text in zip(columns, texts, strict=True)}, ()

        return typed

    def missing(self, values: Mapping[str, Ours]) -> Sequence[str]:
        """Return what a new definition lacks."""
        return [name for name in ("name", "label", "type", "fieldType") if name not in values]


@attrs.define(kw_only=True)
class Definitions:
    """A portal's property definitions; it is asked and guarded as the portal's records are."""

    official: Official
    kinds: Mapping[str, Kind]
    declared: Collection[str]  # columns that a pull of any kind has anyway
    identity: Callable[[], Identity]
    count: Callable[[], int]
    allow: Callable[[], bool]
    may_write: Callable[[Sequence[str]], None]  # called with kinds; raises where their definitions may not be made
    made: Callable[[str], None]  # called with the kind that has a new property
    _shape: DefinitionShape = attrs.field(factory=DefinitionShape)
    _groups: dict[str, list[str]] = attrs.field(factory=dict)

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self.count()

    @property
    def is_production(self) -> bool:
        """Whether people work in the portal."""
        return self.allow()

    def check(self) -> Identity:
        """Ask whose portal it is."""
        return self.identity()

    def guard(self, kind: str, *, to: Sequence[str] = ()) -> None:
        """Look for what stands in the way of writing at all, and of making properties of the kinds *to*."""
        self.may_write(to)

    def most(self, action: str) -> int:
        """Return how many changes one `send` takes: definitions are made one by one."""
        return 1

    def shape(self, kind: str) -> DefinitionShape:
        """Return what a definition is made of."""
        return self._shape

    def find(self, kind: str, keys: Sequence[str], *, by: str | None, properties: Sequence[str]) -> dict[str, Found]:
        """Read definitions by key."""
        wanted: dict[str, list[str]] = {}
        for key in keys:
            wanted.setdefault(key.partition(".")[0], []).append(key)
        found = {}
        for of_kind, its_keys in wanted.items():
            there = {str(each.get("name")): each for each in self.official.properties(self._path(of_kind))}
            for key in its_keys:
                record = there.get(key.partition(".")[2])
                if record is not None:
                    found[key] = Found(id=key, properties=_parts(record))
        return found

    def moved(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Found]:
        """Definitions have no histories."""
        return {}

    def walked(self, kind: str, properties: Sequence[str]) -> Iterator[Sequence[Found]]:
        """Yield all definitions, a kind's at a time."""
        for of_kind in self.kinds:
            records = self.official.properties(self._path(of_kind))
            yield [Found(id=f"{of_kind}.{each.get('name')}", properties=_parts(each)) for each in records]

    def matching(
        self, kind: str, property: str, wanted: Sequence[str], properties: Sequence[str]
    ) -> Iterator[Sequence[Found]]:
        """Yield the definitions of which a part is one of some values."""
        for page in self.walked(kind, properties):
            yield [each for each in page if each.properties.get(property) in wanted]

    def survivors(self, kind: str, ids: Sequence[str], *, since: dt.datetime) -> dict[str, str]:
        """Definitions are not merged."""
        return {}

    def linked_kinds(self, kind: str) -> Sequence[str]:
        """Definitions have no edges."""
        return ()

    def edge_types(self, kind: str, to: str) -> Sequence[EdgeType]:
        """Definitions have no edges."""
        return ()

    def edges(self, kind: str, ids: Sequence[str], to: str) -> dict[str, Sequence[Linked]]:
        """Definitions have no edges."""
        return {}

    def archived(self, kind: str) -> dict[str, str]:
        """Return the names of a kind's archived properties, by the column that each had."""
        found = definitions.of_type(self.official, self._path(kind), archived=True)
        return {definitions.column_of(each.name, declared=self.declared): each.name for each in found}

    def unique(self, kind: str) -> list[str]:
        """Name the unique properties of the portal's own: HubSpot takes 10 a kind."""
        found = definitions.of_type(self.official, self._path(kind))
        return [each.name for each in found if each.has_unique_value and not each.hubspot_defined]

    def groups(self, kind: str) -> list[str]:
        """Name the groups of a kind's properties."""
        if kind not in self._groups:
            found = self.official.groups(self._path(kind))
            self._groups[kind] = [str(each.get("name")) for each in found if each.get("archived") is not True]
        return self._groups[kind]

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Make definitions. Raises: Uncertain: no answer; what ends a run."""
        return [self._made(change) for change in changes]

    def _made(self, change: Change) -> Outcome:
        if change.action != CREATE:
            raise UsageError(f"A definition is made here, and this is to {change.action} it.")
        kind = change.key.partition(".")[0]
        path = self._path(kind)
        body: Record = {name: edit.after for name, edit in change.fields.items()}
        body |= {"hasUniqueValue": body.get("hasUniqueValue") == "true"}
        if body.get(OPTIONS):
            body[OPTIONS] = _options(str(body.get("type")), body[OPTIONS])
        if not body.get("groupName"):
            body["groupName"] = self._group(kind)
        try:
            self.official.create_property(path, body)
        except NotAllowed:
            raise
        except RequestError as error:
            if error.status >= 500 or error.status == NO_ANSWER:
                raise Uncertain(error.message, hint=error.hint) from error
            told = parsed(error.body).get("message")
            reason = str(told) if told else error.message
            if error.status == 409:
                reason = "A property of this name is there, perhaps archived: restore it, or choose another name."
            return Outcome(number=change.number, state=REFUSED, reason=reason)
        except Unavailable as error:
            if error.status in NOT_DONE:
                raise
            raise Uncertain(error.message, hint=error.hint) from error
        self.made(kind)
        return Outcome(number=change.number, state=DONE, id=change.key)

    def _group(self, kind: str) -> str:
        names = self.groups(kind)
        own = [name for name in names if name.endswith("information")]
        return (own or names or ["information"])[0]

    def _path(self, kind: str) -> str:
        return self.kinds[kind].path if kind in self.kinds else kind
