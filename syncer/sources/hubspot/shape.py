"""
What a kind of HubSpot's records looks like to a push: its properties, what each takes, what a new record needs.

Not here: normal forms (`normal.py`), the portal's rules (`rules.py`), owners and stages (`choices.py`), asking for all
that (`portal.py`), sending (`writing.py`). Source: HubSpot's guides "Properties" and "Using object APIs".
"""

from __future__ import annotations

import decimal
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs

from syncer import values
from syncer.sources.hubspot import choices, normal, rules
from syncer.sources.hubspot.definitions import SEVERAL, Definition, column_of
from syncer.sources.hubspot.normal import Misfit, Of
from syncer.sources.hubspot.personal import is_personal
from syncer.sources.hubspot.rules import Now, Rule
from syncer.target import Ours, Property, Typed, Typing, Unfit

# What a new record needs: all of the first, and one of the second where there are any.
REQUIRED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "companies": ((), ("name", "domain")),
    "contacts": ((), ("email", "firstname", "lastname")),
    "deals": (("dealname", "dealstage", "pipeline"), ()),
    "tickets": (("subject", "hs_pipeline", "hs_pipeline_stage"), ()),
    "notes": (("hs_timestamp",), ()),
    "calls": (("hs_timestamp",), ()),
    "emails": (("hs_timestamp", "hs_email_direction"), ()),
    "meetings": (("hs_timestamp",), ()),
    "tasks": (("hs_timestamp",), ()),
    "communications": (("hs_timestamp", "hs_communication_channel_type"), ()),
}
TITLES: Mapping[str, str] = {  # the property that people call a record by; of other kinds it is name
    "contacts": "email",
    "deals": "dealname",
    "tickets": "subject",
    "calls": "hs_call_title",
    "emails": "hs_email_subject",
    "meetings": "hs_meeting_title",
    "tasks": "hs_task_subject",
}
OWNER = "OWNER"
SLIP = 0.8  # how near a column's name is to that of the property that was meant: a slip of the keys, not another word
_BY_TYPE: Mapping[str, tuple[Of, Callable[[str], str]]] = {
    "number": (normal.ours_of_number, normal.number),
    "bool": (normal.ours_of_bool, normal.boolean),
    "date": (normal.ours_of_date, normal.date),
    "datetime": (normal.ours_of_datetime, normal.datetime),
}


@attrs.frozen(kw_only=True)
class Described:
    """
    A kind as its portal defines it.

    declared: columns that a pull has anyway; owners: None where no property holds one; required: of a custom object.
    """

    kind: str
    definitions: Sequence[Definition]
    declared: Collection[str] = ()
    rules: Mapping[str, Sequence[Rule]] = attrs.field(factory=dict)
    owners: choices.Owners | None = None
    pipelines: choices.Pipelines | None = None
    required: Sequence[str] = ()
    now: Now


class HubSpotShape:
    """One kind of records, by the portal's definitions."""

    def __init__(self, described: Described) -> None:
        self.kind = described.kind
        self._described = described
        self._ours: dict[str, Of] = {}
        self._columns: dict[str, str] = {}
        made: dict[str, Property] = {}
        self.properties: Mapping[str, Property] = made
        self.title = TITLES.get(described.kind, "name")
        self._stage, self._pipeline = _stage_names(described)
        for definition in described.definitions:
            made[definition.name] = self._property(definition)
        together = "".join(sorted(f"{each.name}:{each.version};" for each in self.properties.values()))
        together += ";".join(sorted(described.required))
        self.version = hashlib.blake2b(together.encode("utf-8", "replace"), digest_size=8).hexdigest()

    def property_of(self, column: str) -> str | None:
        """Name the property that a column stands for: as a pull names columns, else by its own name."""
        found = self._columns.get(column)
        if found is not None or column in self._described.declared:
            return found
        return column if column in self.properties else None

    def why_not(self, column: str) -> str:
        """Say why a column is not pushed; empty where it is."""
        name = self.property_of(column)
        if name is not None:
            return self.properties[name].why_not
        names = [each.name for each in self.properties.values() if not each.why_not]
        near = choices.nearest(column, names, cutoff=SLIP)
        return (
            f"no such property in HubSpot; did you mean {' or '.join(near)}?"
            if near
            else "no such property in HubSpot"
        )

    def typing(self, columns: Sequence[str]) -> Typing:
        """Compile what turns a row's values into normal forms."""
        compiled = [(column, self._ours[column]) for column in columns]
        at = {column: n for n, column in enumerate(columns)}
        stage = at.get(self._stage) if self._described.pipelines is not None else None

        def typed(row: Sequence[Any]) -> Typed:
            found: dict[str, Ours] = {}
            unfit: list[Unfit] = []
            for n, (value, (column, ours)) in enumerate(zip(row, compiled, strict=True)):
                if n != stage:
                    _take(column, value, ours, found, unfit)
            if stage is not None and not any(each.property == self._pipeline for each in unfit):
                _take(self._stage, row[stage], self._stage_in(found), found, unfit)
            return found, unfit

        return typed

    def missing(self, values: Mapping[str, Ours]) -> Sequence[str]:
        """Return what a new record lacks."""
        needed, either = REQUIRED.get(self.kind, (tuple(self._described.required), ()))
        has = {name for name, ours in values.items() if ours.normal is not None}
        lacking = [name for name in needed if name not in has]
        if either and not has & set(either):
            lacking.append(" or ".join(either))
        return lacking

    def _property(self, definition: Definition) -> Property:
        name, described = definition.name, self._described
        ours, theirs = self._forms(definition)
        own_rules = described.rules.get(name, ())
        self._ours[name] = _obeying(ours, own_rules, described.now) if own_rules else ours
        self._columns[column_of(name, declared=described.declared)] = name
        return Property(
            name=name,
            label=definition.label,
            type=definition.type,
            is_list=definition.type == "enumeration" and definition.field_type == SEVERAL,
            why_not=_why_not(definition),
            is_unique=definition.has_unique_value or (self.kind == "contacts" and name == "email"),
            is_personal=definition.is_sensitive or is_personal(self.kind, name),
            version=_version(definition, own_rules, self._choices(definition)),
            theirs=_or_blank(theirs),
        )

    def _forms(self, definition: Definition) -> tuple[Of, Callable[[str], str | None]]:
        name, described = definition.name, self._described
        if name == "email":
            return (normal.ours_of_address if self.kind == "contacts" else normal.ours_of_email), normal.lower
        if described.pipelines is not None and name == self._pipeline:
            return described.pipelines.pipeline, normal.same
        if described.pipelines is not None and name == self._stage:
            return self._stage_in({}), normal.same
        if definition.type == "enumeration" and definition.external_options:
            owners = described.owners if definition.referenced_object_type == OWNER else None
            if definition.field_type == SEVERAL:
                return (_each_of(owners) if owners is not None else normal.ours_of_text), normal.several
            return (owners.ours if owners is not None else normal.ours_of_text), normal.same
        if definition.type == "enumeration":
            options = {option.value: option.label for option in definition.options}
            if definition.field_type == SEVERAL:
                return normal.choices(options), normal.several
            return (normal.choice(options) if options else normal.ours_of_text), normal.same
        return _BY_TYPE.get(definition.type, (normal.ours_of_text, normal.same))

    def _stage_in(self, found: Mapping[str, Ours]) -> Of:
        """Return what takes a stage of the pipeline that a row is in, or of any where it does not say."""
        pipelines = self._described.pipelines
        assert pipelines is not None
        pipeline = found.get(self._pipeline)
        return lambda value: pipelines.stage(value, pipeline.normal if pipeline is not None else None)

    def _choices(self, definition: Definition) -> str:
        """Return a digest of the choices that stand elsewhere."""
        described = self._described
        if described.pipelines is not None and definition.name in (self._stage, self._pipeline):
            return described.pipelines.version
        is_owner = definition.external_options and definition.referenced_object_type == OWNER
        return described.owners.version if is_owner and described.owners is not None else ""


def has_owners(definitions: Sequence[Definition]) -> bool:
    """Tell whether some property that records take a value for holds an owner."""
    return any(
        each.external_options and each.referenced_object_type == OWNER and each.is_writable for each in definitions
    )


def _stage_names(described: Described) -> tuple[str, str]:
    return choices.OF_DEALS if described.kind == "deals" else choices.OF_OTHERS


def _take(column: str, value: Any, ours: Of, found: dict[str, Ours], unfit: list[Unfit]) -> None:
    """Turn one value into normal form, or say why that cannot be."""
    if value is None or value == "":
        found[column] = normal.BLANK
        return
    try:
        made = ours(value)
    except Misfit as error:
        unfit.append(Unfit(column, str(error), _as_it_stands(value)))
    else:
        found[column] = made if made.normal else normal.BLANK


def _as_it_stands(value: Any) -> str:
    """Return a value as a text that every warehouse keeps; what no text can carry is written as its code."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"0x{bytes(value).hex()}"
    text = str(value) if isinstance(value, decimal.Decimal) else normal.plain(value)
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _obeying(ours: Of, own_rules: Sequence[Rule], now: Now) -> Of:
    return lambda value: rules.obey(ours(value), own_rules, now=now)


def _each_of(owners: choices.Owners) -> Of:
    """Make what takes several owners: a list, or a text with `;` between them."""

    def ours(value: Any) -> Ours:
        parts = value if isinstance(value, list | tuple) else normal.plain(value).split(";")
        given = [part for part in parts if normal.plain(part).strip()]
        found = list(dict.fromkeys(owners.ours(part).sent or "" for part in given))
        return Ours(";".join(sorted(found)), ";".join(found)) if found else normal.BLANK

    return ours


def _or_blank(theirs: Callable[[str], str | None]) -> Callable[[str | None], str | None]:
    return lambda text: theirs(text) if text else None


def _why_not(definition: Definition) -> str:
    if definition.is_writable:
        return ""
    if definition.archived:
        return "archived in HubSpot"
    return "calculated by HubSpot" if definition.is_calculated else "read-only in HubSpot"


def _version(definition: Definition, own_rules: Sequence[Rule], elsewhere: str) -> str:
    """Return a digest of what decides whether a value fits."""
    what = [
        definition.type,
        definition.field_type,
        definition.is_writable,
        definition.has_unique_value,
        sorted(option.value for option in definition.options),
        [[rule.type, list(rule.arguments), rule.normalizes] for rule in own_rules],
        elsewhere,
    ]
    return hashlib.blake2b(values.dumps(what).encode(), digest_size=8).hexdigest()
